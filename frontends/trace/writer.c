/*
 * frontends/trace/writer.c - blocks and events into chunks.
 *
 * A chunk is closed only before a block is entered, so that all events of a block are with it.
 * Nothing but the guest decides what is written: two identical runs give identical files.
 */
#include "frontends/trace/writer.h"
#include "frontends/trace/format_priv.h"
#include "base/zip.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { SLACK = 4096 }; /* more than the longest token or description */

struct trace_writer {
    /* hot */
    u64 insns;      /* recorded in this chunk */
    u64 hits;       /* predictions that came true, not yet written */
    u8 *at, *limit; /* of the stream; limit: time to close the chunk */
    u32 last_n;
    struct predictor pred;

    FILE *f;
    struct zip *zip;
    u8 *stream, *dict, *dict_at, *packed, *packed2;
    u32 flags, chunk_blocks, blocks; /* before this chunk; numbered now */
    u32 total_blocks, fresh;         /* fresh: the number whose first entry is next */
    u64 first, now_gap;              /* where the chunk begins; left out in it */
    u64 total, offset;
    u64 base; /* insns of closed chunks and gaps, plus the start */
    u64 prev_lin, prev_delta, prev_phys;
    u16 prev_cs;
    struct trvt_place *places;
    u32 n_places, room;
    int failed; /* errno */
};

static void put(struct trace_writer *w, const void *p, size_t n)
{
    if (!w->failed && fwrite(p, 1, n, w->f) != n)
        w->failed = errno ? errno : EIO;
    w->offset += n;
}

static void flush_hits(struct trace_writer *w, enum trvt_token what)
{
    w->at = put_varint(w->at, w->hits << 2 | what);
    w->hits = 0;
}

static bool add_place(struct trace_writer *w)
{
    if (w->n_places == w->room) {
        u32 room = w->room ? w->room * 2 : 64;
        struct trvt_place *p = realloc(w->places, room * sizeof(*p));
        if (!p) {
            w->failed = ENOMEM;
            return false;
        }
        w->places = p;
        w->room = room;
    }
    w->places[w->n_places++] = (struct trvt_place){w->offset, w->first};
    return true;
}

static void start_chunk(struct trace_writer *w)
{
    w->at = w->stream;
    w->dict_at = w->dict;
    w->chunk_blocks = w->blocks;
    w->insns = w->now_gap = 0;
    w->prev_lin = w->prev_delta = w->prev_phys = 0;
    w->prev_cs = 0;
    w->last_n = 0;
    w->flags = 0;
    w->fresh = w->blocks;
    pred_reset(&w->pred, w->blocks);
}

static void close_chunk(struct trace_writer *w)
{
    if (w->at == w->stream && !w->hits)
        return;
    flush_hits(w, TOK_EVENT);
    *w->at++ = TRVT_END;
    u32 stream = (u32)(w->at - w->stream), dict = (u32)(w->dict_at - w->dict);
    size_t dz = dict ? zip_pack(w->zip, w->packed, zip_bound(TRVT_MAX_DICT), w->dict, dict) : 0;
    size_t sz = zip_pack(w->zip, w->packed2, zip_bound(TRVT_MAX_STREAM), w->stream, stream);
    if (!sz || (dict && !dz))
        w->failed = w->failed ? w->failed : EIO;
    struct trvt_chunk c = {.magic = TRVT_CHUNK,
                           .flags = w->flags,
                           .dict = dict,
                           .dict_zip = (u32)dz,
                           .stream = stream,
                           .stream_zip = (u32)sz,
                           .blocks = w->chunk_blocks,
                           .defs = w->blocks - w->chunk_blocks,
                           .first = w->first,
                           .insns = w->insns};
    if (!add_place(w))
        return;
    put(w, &c, sizeof(c));
    put(w, w->packed, dz);
    put(w, w->packed2, sz);
    w->total += w->insns;
    w->first += w->insns + w->now_gap;
    start_chunk(w);
}

enum status trace_writer_new(const char *path, const char *meta, u64 first,
                             struct trace_writer **out, struct error *err)
{
    size_t n_meta = MIN(strlen(meta), (size_t)TRVT_MAX_META);
    struct trace_writer *w = calloc(1, sizeof(*w));
    if (!w)
        return fail(err, ST_NOMEM, "out of memory");
    w->zip = zip_new(3, true);
    w->stream = malloc(TRVT_MAX_STREAM);
    w->dict = malloc(TRVT_MAX_DICT);
    w->packed = malloc(zip_bound(TRVT_MAX_DICT));
    w->packed2 = malloc(zip_bound(TRVT_MAX_STREAM));
    w->f = w->zip && w->stream && w->dict && w->packed && w->packed2 ? fopen(path, "wbe") : NULL;
    if (!w->f) {
        enum status st = w->packed2 ? status_from_errno(errno) : ST_NOMEM;
        fail(err, st, "%s: %s", path, w->packed2 ? strerror(errno) : "out of memory");
        trace_writer_close(w, NULL);
        return st;
    }
    struct trvt_header h = {.version = TRVT_VERSION, .meta = (u32)n_meta, .first = first};
    memcpy(h.magic, TRVT_MAGIC, 8);
    put(w, &h, sizeof(h));
    put(w, meta, n_meta);
    w->first = first;
    w->limit = w->stream + TRVT_STREAM;
    start_chunk(w);
    *out = w;
    return ST_OK;
}

enum status trace_writer_close(struct trace_writer *w, struct error *err)
{
    enum status st = ST_OK;
    if (w->f) {
        close_chunk(w);
        struct trvt_end end = {.index = w->offset,
                               .chunks = w->n_places,
                               .blocks = w->total_blocks,
                               .insns = w->total,
                               .last = w->first};
        memcpy(end.magic, TRVT_END_MAGIC, 8);
        put(w, w->places, w->n_places * sizeof(*w->places));
        put(w, &end, sizeof(end));
        if (fclose(w->f) && !w->failed)
            w->failed = errno;
        if (w->failed)
            st = fail(err, status_from_errno(w->failed), "writing the trace: %s",
                      strerror(w->failed));
    }
    zip_free(w->zip);
    free(w->stream);
    free(w->dict);
    free(w->packed);
    free(w->packed2);
    free(w->places);
    free(w);
    return st;
}

static bool full(const struct trace_writer *w)
{
    return unlikely(w->at > w->limit || w->insns > TRVT_INSNS);
}

/* The block's first entry follows at once, in the same chunk. */
void trace_writer_define(struct trace_writer *w, const struct vm_trace_block *b)
{
    if (full(w) || w->dict_at > w->dict + TRVT_DICT - SLACK)
        close_chunk(w);
    u8 *p = w->dict_at;
    u64 delta = b->lin - b->rip;
    u8 flags = (u8)((b->bits == 64   ? 2
                     : b->bits == 32 ? 1
                                     : 0) |
                    (b->user ? DEF_USER : 0) | (b->cs != w->prev_cs ? DEF_CS : 0) |
                    (delta != w->prev_delta ? DEF_RIP : 0));
    *p++ = flags;
    *p++ = (u8)b->n;
    p = put_varint(p, b->len);
    p = put_varint(p, zigzag((i64)(b->lin - w->prev_lin)));
    p = put_varint(p, zigzag((i64)(b->phys - w->prev_phys)));
    if (flags & DEF_CS)
        p = put_varint(p, b->cs);
    if (flags & DEF_RIP)
        p = put_varint(p, zigzag((i64)(delta - w->prev_delta)));
    memcpy(p, b->bytes, b->len);
    w->dict_at = p + b->len;
    w->prev_lin = b->lin + b->len;
    w->prev_phys = b->phys + b->len;
    w->prev_cs = b->cs;
    w->prev_delta = delta;
    w->blocks++;
    w->total_blocks++;
    w->pred.alt[w->blocks] = 0;
}

/* The prediction failed: p, number + 1, was expected. */
static noinline void miss(struct trace_writer *w, u32 id, u32 *expected)
{
    u32 *alt = &w->pred.alt[w->pred.prev];
    if (id == w->fresh) {
        flush_hits(w, TOK_NEW);
        w->fresh++;
    } else if (*alt == id + 1) {
        flush_hits(w, TOK_ALT);
    } else {
        flush_hits(w, TOK_JUMP);
        w->at = put_varint(w->at, zigzag((i64)id - (i64)w->pred.prev));
    }
    *alt = id + 1;
    *expected = id + 1;
}

void trace_writer_enter(struct trace_writer *w, u32 id, u32 n)
{
    if (full(w))
        close_chunk(w);
    u32 *expected = &w->pred.after[w->pred.hash];
    if (likely(*expected == id + 1))
        w->hits++;
    else
        miss(w, id, expected);
    pred_step(&w->pred, id);
    w->insns += n;
    w->last_n = n;
}

void trace_writer_event(struct trace_writer *w, const struct vm_trace_event *e)
{
    if (w->at > w->stream + TRVT_MAX_STREAM - SLACK)
        return; /* a REP OUTS is cut by the CPU long before */
    flush_hits(w, TOK_EVENT);
    u8 *p = w->at;
    *p++ = e->kind;
    if (e->kind > VM_TRACE_RESET)
        *p++ = e->at;
    p = put_varint(p, e->a);
    if (e->kind != VM_TRACE_CUT) {
        p = put_varint(p, e->b);
        if (e->kind == VM_TRACE_EXCEPTION)
            p = put_varint(p, e->c);
    }
    w->at = p;
    if (e->kind == VM_TRACE_CUT) {
        w->insns -= w->last_n - MIN(e->a, w->last_n);
        w->last_n = 0;
    }
    w->insns += vm_trace_ticks(e->kind);
}

void trace_writer_gap(struct trace_writer *w, u64 n)
{
    if (full(w))
        close_chunk(w);
    flush_hits(w, TOK_EVENT);
    *w->at++ = TRVT_GAP;
    w->at = put_varint(w->at, n);
    w->now_gap += n;
}

void trace_writer_forget(struct trace_writer *w)
{
    close_chunk(w);
    w->blocks = 0;
    start_chunk(w);
    w->flags = TRVT_FORGET;
}

u64 trace_writer_bytes(const struct trace_writer *w)
{
    return w->offset;
}

u64 trace_writer_insns(const struct trace_writer *w)
{
    return w->total + w->insns;
}

u32 trace_writer_blocks(const struct trace_writer *w)
{
    return w->total_blocks;
}
