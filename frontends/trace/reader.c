/*
 * frontends/trace/reader.c - chunks back into blocks and events.
 *
 * Every length and number of the file is checked before it is used, sizes are bounded by the
 * format's limits, and each step consumes bytes or instructions that a chunk may have only so
 * many of; so any file ends in an error or its end.
 */
#include "frontends/trace/reader.h"
#include "frontends/trace/format_priv.h"
#include "base/zip.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { MAX_EVENTS = 1 << 20 };

struct place {
    u64 offset;
    struct trvt_chunk c;
};

struct def {
    struct vm_trace_block b;
    u64 at; /* of its bytes in `bytes` */
};

struct trace_reader {
    FILE *f;
    struct trace_info info;
    char *meta;
    struct zip *zip;
    struct place *places;
    u32 n_places;

    u32 dict_done; /* dictionaries of chunks before this one are in */
    struct def *defs;
    u32 n_defs, room;
    u8 *bytes;
    u64 n_bytes, bytes_room;

    u32 chunk; /* the one in `stream`; n_places: none */
    u8 *stream, *packed, *dict;
    const u8 *at, *end;
    u64 pos, left; /* instructions before; that the chunk still has */
    u64 hits;
    int what; /* token that follows the hits; -1: none read */
    u32 fresh;
    struct predictor pred;

    struct trace_item item; /* being gathered */
    bool pending, eof;
    struct vm_trace_event *events;
    u32 events_room;
    struct vm_trace_event tick;
};

static enum status damaged(struct error *err, const struct trace_reader *r, const char *what)
{
    return fail(err, ST_FORMAT, "damaged trace: %s in chunk %u", what, r->chunk);
}

/* ---- the file ------------------------------------------------------------------------------- */
static bool read_at(struct trace_reader *r, u64 off, void *to, size_t n)
{
    return off <= r->info.bytes && n <= r->info.bytes - off &&
           !fseeko(r->f, (off_t)off, SEEK_SET) && fread(to, 1, n, r->f) == n;
}

static bool chunk_ok(const struct trace_reader *r, u64 off, const struct trvt_chunk *c)
{
    u64 body = (u64)c->dict_zip + c->stream_zip;
    return c->magic == TRVT_CHUNK && c->dict <= TRVT_MAX_DICT && c->stream <= TRVT_MAX_STREAM &&
           c->stream >= 2 && c->insns <= TRVT_MAX_INSNS && c->defs <= TRVT_MAX_BLOCKS &&
           c->blocks <= TRVT_MAX_BLOCKS && c->blocks + c->defs <= TRVT_MAX_BLOCKS &&
           (u64)c->defs * 5 <= c->dict && !(c->dict && !c->dict_zip) &&
           body <= r->info.bytes - off - sizeof(*c) && c->first >= r->info.first &&
           c->first <= ~0ull - c->insns;
}

/* Walks the chunks' heads. Stops at the first that is none: the index, or where the file broke. */
static enum status find_chunks(struct trace_reader *r, u64 off, struct error *err)
{
    u32 room = 0, blocks = 0;
    u64 first = r->info.first;
    for (;;) {
        struct trvt_chunk c;
        if (!read_at(r, off, &c, sizeof(c)) || !chunk_ok(r, off, &c))
            break;
        if (c.first < first || (c.flags & TRVT_FORGET ? c.blocks != 0 : c.blocks != blocks))
            break;
        if (r->n_places == room) {
            room = room ? room * 2 : 64;
            struct place *p = realloc(r->places, room * sizeof(*p));
            if (!p)
                return fail(err, ST_NOMEM, "out of memory");
            r->places = p;
        }
        r->places[r->n_places++] = (struct place){off, c};
        first = c.first + c.insns;
        blocks = c.blocks + c.defs;
        r->info.insns += c.insns;
        r->info.blocks += c.defs;
        off += sizeof(c) + c.dict_zip + c.stream_zip;
    }
    r->info.last = first;
    r->info.chunks = r->n_places;

    struct trvt_end end;
    u64 index = (u64)r->n_places * sizeof(struct trvt_place);
    r->info.cut_short = true;
    if (read_at(r, off + index, &end, sizeof(end)) && !memcmp(end.magic, TRVT_END_MAGIC, 8) &&
        end.index == off && end.chunks == r->n_places && end.last >= first &&
        off + index + sizeof(end) == r->info.bytes) {
        r->info.cut_short = false;
        r->info.last = end.last;
    }
    if (r->info.cut_short && !r->n_places && off != r->info.bytes)
        return fail(err, ST_FORMAT, "damaged trace: no chunk can be read");
    return ST_OK;
}

static enum status open_file(struct trace_reader *r, const char *path, struct error *err)
{
    struct trvt_header h;
    struct stat st;
    r->f = fopen(path, "rbe");
    if (!r->f)
        return fail(err, status_from_errno(errno), "%s: %s", path, strerror(errno));
    if (fstat(fileno(r->f), &st) || !S_ISREG(st.st_mode))
        return fail(err, ST_FORMAT, "%s: not a regular file", path);
    r->info.bytes = (u64)st.st_size;
    if (!read_at(r, 0, &h, sizeof(h)) || memcmp(h.magic, TRVT_MAGIC, 8))
        return fail(err, ST_FORMAT, "%s: not a Trivisor trace", path);
    if (h.version != TRVT_VERSION)
        return fail(err, ST_UNSUP, "%s: a trace of version %u, this program reads %d", path,
                    h.version, TRVT_VERSION);
    if (h.meta > TRVT_MAX_META)
        return fail(err, ST_FORMAT, "%s: damaged trace: header", path);
    r->info.first = h.first;
    r->meta = calloc(1, h.meta + 1u);
    r->zip = zip_new(3, true);
    r->stream = malloc(TRVT_MAX_STREAM);
    r->dict = malloc(TRVT_MAX_DICT);
    if (!r->meta || !r->zip || !r->stream || !r->dict)
        return fail(err, ST_NOMEM, "out of memory");
    if (!read_at(r, sizeof(h), r->meta, h.meta))
        return fail(err, ST_FORMAT, "%s: damaged trace: header", path);
    r->info.meta = r->meta;
    return find_chunks(r, sizeof(h) + h.meta, err);
}

enum status trace_open(const char *path, struct trace_reader **out, struct error *err)
{
    struct trace_reader *r = calloc(1, sizeof(*r));
    if (!r)
        return fail(err, ST_NOMEM, "out of memory");
    enum status st = open_file(r, path, err);
    if (!st)
        st = trace_seek(r, r->info.first, err);
    if (st) {
        trace_close(r);
        return st;
    }
    *out = r;
    return ST_OK;
}

void trace_close(struct trace_reader *r)
{
    if (!r)
        return;
    if (r->f)
        fclose(r->f);
    zip_free(r->zip);
    free(r->meta);
    free(r->places);
    free(r->defs);
    free(r->bytes);
    free(r->stream);
    free(r->packed);
    free(r->dict);
    free(r->events);
    free(r);
}

const struct trace_info *trace_info(const struct trace_reader *r)
{
    return &r->info;
}

/* ---- dictionaries --------------------------------------------------------------------------- */
static enum status unpack(struct trace_reader *r, u64 off, u32 zip, u8 *to, u32 n,
                          struct error *err)
{
    u8 *p = realloc(r->packed, zip ? zip : 1);
    if (!p)
        return fail(err, ST_NOMEM, "out of memory");
    r->packed = p;
    if (!read_at(r, off, p, zip) || !zip_unpack(r->zip, to, n, p, zip))
        return damaged(err, r, "compressed data");
    return ST_OK;
}

static bool room_for(struct trace_reader *r, u32 defs, u64 bytes)
{
    if (r->n_defs + defs > r->room) {
        u32 room = MAX(r->n_defs + defs, r->room * 2);
        struct def *p = realloc(r->defs, room * sizeof(*p));
        if (!p)
            return false;
        r->defs = p;
        r->room = room;
    }
    if (r->n_bytes + bytes > r->bytes_room) {
        u64 room = MAX(r->n_bytes + bytes, r->bytes_room * 2);
        u8 *p = realloc(r->bytes, room);
        if (!p)
            return false;
        r->bytes = p;
        r->bytes_room = room;
    }
    return true;
}

static const u8 *read_def(struct trace_reader *r, const u8 *p, const u8 *end,
                          struct vm_trace_block *prev, u64 *prev_delta)
{
    u64 len, lin, phys, cs = prev->cs, delta = 0;
    if (end - p < 2)
        return NULL;
    u8 flags = *p++, n = *p++;
    if (!(p = get_varint(p, end, &len)) || !(p = get_varint(p, end, &lin)) ||
        !(p = get_varint(p, end, &phys)))
        return NULL;
    if ((flags & DEF_CS) && !(p = get_varint(p, end, &cs)))
        return NULL;
    if ((flags & DEF_RIP) && !(p = get_varint(p, end, &delta)))
        return NULL;
    if ((flags & DEF_BITS) == 3 || !n || n > TRVT_MAX_N || len < n || len > TRVT_MAX_LEN ||
        cs > 0xffff || (u64)(end - p) < len)
        return NULL;
    *prev_delta += (u64)unzigzag(delta);
    struct def *d = &r->defs[r->n_defs++];
    d->at = r->n_bytes;
    memcpy(r->bytes + r->n_bytes, p, len);
    r->n_bytes += len;
    d->b = (struct vm_trace_block){.lin = prev->lin + (u64)unzigzag(lin),
                                   .phys = prev->phys + (u64)unzigzag(phys),
                                   .n = n,
                                   .len = (u16)len,
                                   .cs = (u16)cs,
                                   .bits = (u8)(16 << (flags & DEF_BITS)),
                                   .user = flags & DEF_USER};
    d->b.rip = d->b.lin - *prev_delta;
    prev->lin = d->b.lin + len;
    prev->phys = d->b.phys + len;
    prev->cs = (u16)cs;
    return p + len;
}

static enum status load_dict(struct trace_reader *r, u32 k, struct error *err)
{
    const struct place *pl = &r->places[k];
    const struct trvt_chunk *c = &pl->c;
    struct vm_trace_block prev = {0};
    u64 delta = 0;
    if (c->flags & TRVT_FORGET)
        r->n_defs = 0, r->n_bytes = 0;
    if (!room_for(r, c->defs, c->dict))
        return fail(err, ST_NOMEM, "out of memory");
    if (c->dict) {
        enum status st = unpack(r, pl->offset + sizeof(*c), c->dict_zip, r->dict, c->dict, err);
        if (st)
            return st;
    }
    const u8 *p = r->dict, *end = p + c->dict;
    for (u32 n = 0; n < c->defs; n++)
        if (!(p = read_def(r, p, end, &prev, &delta)))
            return damaged(err, r, "description of a block");
    return p == end ? ST_OK : damaged(err, r, "dictionary");
}

/* ---- the stream ----------------------------------------------------------------------------- */
static enum status load_chunk(struct trace_reader *r, u32 k, struct error *err)
{
    const struct place *pl = &r->places[k];
    r->chunk = k;
    if (k < r->dict_done) {
        /* back: from the last chunk that starts numbering */
        r->dict_done = k;
        while (r->dict_done && !(r->places[r->dict_done].c.flags & TRVT_FORGET))
            r->dict_done--;
        r->n_defs = 0;
        r->n_bytes = 0;
    }
    for (; r->dict_done <= k; r->dict_done++) {
        enum status st = load_dict(r, r->dict_done, err);
        if (st)
            return st;
    }
    enum status st = unpack(r, pl->offset + sizeof(pl->c) + pl->c.dict_zip, pl->c.stream_zip,
                            r->stream, pl->c.stream, err);
    if (st)
        return st;
    r->at = r->stream;
    r->end = r->at + pl->c.stream;
    r->pos = pl->c.first;
    r->left = pl->c.insns;
    r->hits = 0;
    r->what = -1;
    r->fresh = pl->c.blocks;
    pred_reset(&r->pred, r->n_defs);
    return ST_OK;
}

enum status trace_seek(struct trace_reader *r, u64 at, struct error *err)
{
    u32 lo = 0, hi = r->n_places; /* the last chunk that begins at or before `at` */
    r->pending = false;
    r->eof = r->n_places == 0;
    if (r->eof)
        return ST_OK;
    while (hi - lo > 1) {
        u32 mid = lo + (hi - lo) / 2;
        if (r->places[mid].c.first <= at)
            lo = mid;
        else
            hi = mid;
    }
    return load_chunk(r, lo, err);
}

static enum status enter(struct trace_reader *r, u32 id, struct error *err)
{
    if (id >= r->n_defs)
        return damaged(err, r, "number of a block");
    const struct def *d = &r->defs[id];
    r->item = (struct trace_item){.at = r->pos, .block = &d->b, .id = id, .done = d->b.n};
    /* pointers into growing arrays are made here, where nothing grows any more */
    ((struct def *)(uintptr_t)d)->b.bytes = r->bytes + d->at;
    pred_step(&r->pred, id);
    return ST_OK;
}

static enum status predicted(struct trace_reader *r, struct error *err)
{
    u32 id = r->pred.after[r->pred.hash];
    if (!id)
        return damaged(err, r, "prediction");
    return enter(r, id - 1, err);
}

static enum status missed(struct trace_reader *r, struct error *err)
{
    u32 *alt = &r->pred.alt[r->pred.prev], *after = &r->pred.after[r->pred.hash];
    u64 v;
    u32 id;
    if (r->what == TOK_NEW) {
        id = r->fresh++;
    } else if (r->what == TOK_ALT) {
        if (!*alt)
            return damaged(err, r, "prediction");
        id = *alt - 1;
    } else {
        if (!(r->at = get_varint(r->at, r->end, &v)))
            return damaged(err, r, "token");
        i64 to = unzigzag(v) + (i64)r->pred.prev;
        if (to < 0 || to >= (i64)r->n_defs)
            return damaged(err, r, "number of a block");
        id = (u32)to;
    }
    if (id >= r->n_defs)
        return damaged(err, r, "number of a block");
    *alt = *after = id + 1;
    return enter(r, id, err);
}

static bool add_event(struct trace_reader *r, const struct vm_trace_event *e)
{
    if (r->item.n_events == r->events_room) {
        u32 room = r->events_room ? r->events_room * 2 : 16;
        struct vm_trace_event *p = room > MAX_EVENTS ? NULL : realloc(r->events, room * sizeof(*p));
        if (!p)
            return false;
        r->events = p;
        r->events_room = room;
    }
    r->events[r->item.n_events++] = *e;
    r->item.events = r->events;
    return true;
}

static enum status read_event(struct trace_reader *r, int kind, struct vm_trace_event *e,
                              struct error *err)
{
    u64 a, b = 0, c = 0;
    bool at = kind > VM_TRACE_RESET;
    *e = (struct vm_trace_event){.kind = (u8)kind};
    if (kind >= VM_TRACE_KINDS || (at && r->at == r->end))
        return damaged(err, r, "event");
    if (at)
        e->at = *r->at++ & (TRVT_MAX_N - 1);
    if (!(r->at = get_varint(r->at, r->end, &a)) || a > 0xffffffffu ||
        (kind != VM_TRACE_CUT && !(r->at = get_varint(r->at, r->end, &b))) ||
        (kind == VM_TRACE_EXCEPTION && !(r->at = get_varint(r->at, r->end, &c))))
        return damaged(err, r, "event");
    e->a = (u32)a;
    e->b = b;
    e->c = c;
    return ST_OK;
}

/* Gives out what was gathered. */
static bool give(struct trace_reader *r, struct trace_item *item)
{
    *item = r->item;
    r->pending = false;
    return true;
}

static bool spend(struct trace_reader *r, u64 n)
{
    if (n > r->left)
        return false;
    r->left -= n;
    r->pos += n;
    return true;
}

/* One step through the stream: a block begins, an event is added, or the chunk ends. True: *item is
 * complete. */
static bool step(struct trace_reader *r, struct trace_item *item, enum status *st,
                 struct error *err)
{
    if (r->what < 0) {
        u64 t;
        if (!(r->at = get_varint(r->at, r->end, &t))) {
            *st = damaged(err, r, "end of the stream");
            return false;
        }
        r->hits = t >> 2;
        r->what = (int)(t & 3);
    }
    bool block = r->hits || r->what != TOK_EVENT;
    if (block) {
        if (r->pending) { /* the one before is complete now */
            if (!spend(r, r->item.done))
                *st = damaged(err, r, "count of instructions");
            return !*st && give(r, item);
        }
        if (r->hits) {
            r->hits--;
            *st = predicted(r, err);
        } else {
            *st = missed(r, err);
            r->what = -1;
        }
        r->pending = !*st;
        return false;
    }
    if (r->at == r->end) {
        *st = damaged(err, r, "end of the stream");
        return false;
    }
    int op = *r->at;
    bool outside = op == TRVT_GAP || op == TRVT_END || vm_trace_ticks(op) ||
                   (op == VM_TRACE_RESET && !r->pending);
    if (outside && r->pending) {
        if (!spend(r, r->item.done))
            *st = damaged(err, r, "count of instructions");
        return !*st && give(r, item);
    }
    r->at++;
    r->what = -1;
    if (op == TRVT_END) {
        if (r->at != r->end || r->left)
            *st = damaged(err, r, "end of the stream");
        else if (r->chunk + 1 >= r->n_places)
            r->eof = true;
        else
            *st = load_chunk(r, r->chunk + 1, err);
        return false;
    }
    if (op == TRVT_GAP) {
        u64 n;
        if (!(r->at = get_varint(r->at, r->end, &n)) || n > ~0ull - r->pos - r->left) {
            *st = damaged(err, r, "gap");
            return false;
        }
        *item = (struct trace_item){.at = r->pos, .gap = n};
        r->pos += n;
        return true;
    }
    struct vm_trace_event e;
    *st = read_event(r, op, &e, err);
    if (*st)
        return false;
    if (outside) {
        r->tick = e;
        *item = (struct trace_item){.at = r->pos, .events = &r->tick, .n_events = 1};
        if (vm_trace_ticks(op) && !spend(r, 1))
            *st = damaged(err, r, "count of instructions");
        return !*st;
    }
    if (!r->pending) {
        *st = damaged(err, r, "event outside a block");
        return false;
    }
    if (op == VM_TRACE_CUT) {
        if (e.a > r->item.done)
            *st = damaged(err, r, "length of a block");
        r->item.done = MIN(r->item.done, e.a);
    } else if (!add_event(r, &e)) {
        *st = damaged(err, r, "number of events");
    }
    return false;
}

bool trace_next(struct trace_reader *r, struct trace_item *item, enum status *st, struct error *err)
{
    *st = ST_OK;
    while (!r->eof && !*st)
        if (step(r, item, st, err))
            return true;
    r->eof = true;
    return false;
}
