/*
 * machine/snapshot_file.c - the container of a snapshot: sections, sums, and files that are there
 * as a whole or not at all.
 *
 * Writing: a temporary file in the same folder, fsync, rename over the old, fsync of the folder;
 * whenever that is cut off, either the old file or the new one is there. The file can be read by
 * its owner only: it has all of the guest's memory.
 * Reading: nothing the file says is believed before it was compared with the file's size; no
 * length leads to more memory than SNAP_SMALL_MAX.
 */
#include "machine/snapshot_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

static u64 sum_of(const void *data, size_t len)
{
    return XXH3_64bits(data, len);
}

/* ---- buffers --------------------------------------------------------------------------------- */
void snap_buf_add(struct snap_buf *b, const void *data, size_t len)
{
    if (b->failed)
        return;
    if (len > b->cap - b->len) {
        size_t cap = MAX(b->cap * 2, b->len + len + 4096);
        u8 *p = realloc(b->data, cap);
        if (!p) {
            b->failed = true;
            return;
        }
        b->data = p;
        b->cap = cap;
    }
    memcpy(b->data + b->len, data, len);
    b->len += len;
}

void snap_buf_free(struct snap_buf *b)
{
    free(b->data);
    *b = (struct snap_buf){0};
}

/* ---- writing --------------------------------------------------------------------------------- */
static void write_failed(struct snap_writer *w, int e)
{
    if (w->st == ST_OK)
        w->st = fail(w->err, status_from_errno(e), "cannot write %s: %s", w->path, strerror(e));
}

static void put_at(struct snap_writer *w, u64 off, const void *data, size_t len)
{
    const u8 *p = data;
    while (len && w->st == ST_OK) {
        ssize_t n = pwrite(w->fd, p, len, (off_t)off);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            write_failed(w, n ? errno : ENOSPC);
            return;
        }
        p += n;
        off += (u64)n;
        len -= (size_t)n;
    }
}

enum status snap_create(struct snap_writer *w, const char *path, struct error *err)
{
    struct stat st;
    *w = (struct snap_writer){.fd = -1, .err = err, .at = sizeof(struct snap_header)};
    /* a link stays one, and what it points to is replaced */
    w->path = realpath(path, NULL);
    if (!w->path)
        w->path = strdup(path);
    size_t room = w->path ? strlen(w->path) + 16 : 0;
    w->temp = room ? malloc(room) : NULL;
    w->sections = calloc(SNAP_SECTIONS_MAX, sizeof(*w->sections));
    w->sum = XXH3_createState();
    if (!w->temp || !w->sections || !w->sum)
        return w->st = fail(err, ST_NOMEM, "out of memory for %s", path);
    if (stat(w->path, &st) == 0 && !S_ISREG(st.st_mode)) {
        free(w->temp);
        w->temp = NULL;
        return w->st = fail(err, ST_INVAL, "%s is not a regular file", path);
    }
    snprintf(w->temp, room, "%s.XXXXXX", w->path);
    w->fd = mkostemp(w->temp, O_CLOEXEC);
    if (w->fd < 0) {
        int e = errno;
        free(w->temp);
        w->temp = NULL;
        write_failed(w, e);
    }
    return w->st;
}

void snap_begin(struct snap_writer *w, const char *name, u32 version, enum snap_kind kind,
                u64 plain)
{
    if (w->st != ST_OK)
        return;
    w->section = (struct snap_section){.version = version, .kind = kind, .plain = plain};
    snprintf(w->section.name, sizeof(w->section.name), "%s", name);
    w->section_at = w->at;
    w->at += sizeof(w->section);
    XXH3_64bits_reset(w->sum);
}

void snap_write(struct snap_writer *w, const void *data, size_t len)
{
    if (w->st != ST_OK)
        return;
    XXH3_64bits_update(w->sum, data, len);
    put_at(w, w->at, data, len);
    w->at += len;
    w->section.length += len;
}

void snap_end(struct snap_writer *w)
{
    if (w->st != ST_OK)
        return;
    if (w->n == SNAP_SECTIONS_MAX) {
        w->st = fail(w->err, ST_RANGE, "cannot write %s: too many parts", w->path);
        return;
    }
    w->section.contents_sum = XXH3_64bits_digest(w->sum);
    w->section.sum = sum_of(&w->section, offsetof(struct snap_section, sum));
    put_at(w, w->section_at, &w->section, sizeof(w->section));
    w->sections[w->n++] = w->section;
}

/* A rename is durable when the folder is. */
static void sync_folder(const char *path)
{
    char *copy = strdup(path);
    int fd = copy ? open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
    free(copy);
}

enum status snap_finish(struct snap_writer *w)
{
    if (w->st == ST_OK) {
        struct snap_header h = {
            .magic = SNAP_MAGIC,
            .version = SNAP_VERSION,
            .sections = (u32)w->n,
            .file_size = w->at,
            .sections_sum = sum_of(w->sections, (size_t)w->n * sizeof(*w->sections)),
        };
        h.sum = sum_of(&h, offsetof(struct snap_header, sum));
        put_at(w, 0, &h, sizeof(h));
    }
    if (w->st == ST_OK && fsync(w->fd) < 0)
        write_failed(w, errno);
    if (w->fd >= 0 && close(w->fd) < 0)
        write_failed(w, errno);
    if (w->st == ST_OK && rename(w->temp, w->path) < 0)
        write_failed(w, errno);
    if (w->st == ST_OK)
        sync_folder(w->path);
    else if (w->temp)
        unlink(w->temp);
    free(w->path);
    free(w->temp);
    free(w->sections);
    XXH3_freeState(w->sum);
    enum status st = w->st;
    *w = (struct snap_writer){.fd = -1, .st = ST_INVAL};
    return st;
}

/* ---- reading --------------------------------------------------------------------------------- */
enum status snap_damaged(struct snap_reader *r, const char *what)
{
    return fail(r->err, ST_FORMAT, "%s: the file is damaged (%s)", r->path, what);
}

static enum status get_at(struct snap_reader *r, u64 off, void *buf, size_t len)
{
    u8 *p = buf;
    while (len) {
        ssize_t n = pread(r->fd, p, len, (off_t)off);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail(r->err, ST_IO, "cannot read %s: %s", r->path, strerror(errno));
        if (n == 0)
            return snap_damaged(r, "it ends too early");
        p += n;
        off += (u64)n;
        len -= (size_t)n;
    }
    return ST_OK;
}

static enum status read_header(struct snap_reader *r, struct snap_header *h)
{
    enum status st = get_at(r, 0, h, MIN(r->size, sizeof(*h)));
    if (st != ST_OK)
        return st;
    if (r->size < sizeof(h->magic) || memcmp(h->magic, SNAP_MAGIC, sizeof(h->magic)))
        return fail(r->err, ST_FORMAT, "%s is not a snapshot", r->path);
    if (r->size < sizeof(*h))
        return snap_damaged(r, "it ends too early");
    if (h->sum != sum_of(h, offsetof(struct snap_header, sum)))
        return snap_damaged(r, "header");
    if (h->version != SNAP_VERSION)
        return fail(r->err, ST_FORMAT, "%s is a snapshot of version %u, this is %s: version %u",
                    r->path, h->version,
                    h->version > SNAP_VERSION ? "an older program" : "a newer program",
                    SNAP_VERSION);
    if (h->file_size != r->size)
        return snap_damaged(r, r->size < h->file_size ? "it ends too early"
                                                      : "something was added to it");
    return h->sections <= SNAP_SECTIONS_MAX ? ST_OK : snap_damaged(r, "number of sections");
}

static enum status read_sections(struct snap_reader *r, const struct snap_header *h)
{
    XXH3_state_t *all = XXH3_createState();
    u64 at = sizeof(*h);
    enum status st = ST_OK;

    r->entry = calloc(MAX(h->sections, 1u), sizeof(*r->entry));
    if (!all || !r->entry) {
        XXH3_freeState(all);
        return fail(r->err, ST_NOMEM, "out of memory for %s", r->path);
    }
    XXH3_64bits_reset(all);
    for (u32 k = 0; k < h->sections && st == ST_OK; k++) {
        struct snap_entry *e = &r->entry[k];
        if (r->size - at < sizeof(e->s)) {
            st = snap_damaged(r, "section header");
            break;
        }
        st = get_at(r, at, &e->s, sizeof(e->s));
        at += sizeof(e->s);
        if (st != ST_OK)
            break;
        if (e->s.sum != sum_of(&e->s, offsetof(struct snap_section, sum)) ||
            e->s.length > r->size - at || e->s.name[SNAP_NAME - 1]) {
            st = snap_damaged(r, "section header");
            break;
        }
        if (snap_find(r, e->s.name)) {
            st = snap_damaged(r, "a section is there twice");
            break;
        }
        XXH3_64bits_update(all, &e->s, sizeof(e->s));
        e->at = at;
        at += e->s.length;
        r->n++;
    }
    if (st == ST_OK && (at != r->size || XXH3_64bits_digest(all) != h->sections_sum))
        st = snap_damaged(r, "section headers");
    XXH3_freeState(all);
    return st;
}

enum status snap_open(struct snap_reader *r, const char *path, struct error *err)
{
    struct stat s;
    struct snap_header h;
    *r = (struct snap_reader){.path = path, .err = err};
    /* a named pipe must not hang us before it is refused */
    r->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (r->fd < 0)
        return fail(err, status_from_errno(errno), "cannot open %s: %s", path, strerror(errno));
    enum status st = ST_OK;
    if (fstat(r->fd, &s) < 0 || !S_ISREG(s.st_mode))
        st = fail(err, ST_FORMAT, "%s is not a regular file", path);
    r->size = st == ST_OK ? (u64)s.st_size : 0;
    if (st == ST_OK)
        st = read_header(r, &h);
    if (st == ST_OK)
        st = read_sections(r, &h);
    if (st != ST_OK)
        snap_close(r);
    return st;
}

void snap_close(struct snap_reader *r)
{
    if (r->fd >= 0)
        close(r->fd);
    free(r->entry);
    r->entry = NULL;
    r->n = 0;
    r->fd = -1;
}

enum status snap_check_sums(struct snap_reader *r)
{
    enum { PIECE = 1 << 20 };
    u8 *buf = malloc(PIECE);
    XXH3_state_t *x = XXH3_createState();
    enum status st = buf && x ? ST_OK : fail(r->err, ST_NOMEM, "out of memory for %s", r->path);

    for (int k = 0; k < r->n && st == ST_OK; k++) {
        const struct snap_entry *e = &r->entry[k];
        XXH3_64bits_reset(x);
        for (u64 off = 0; off < e->s.length && st == ST_OK; off += PIECE) {
            size_t n = MIN(e->s.length - off, (u64)PIECE);
            st = get_at(r, e->at + off, buf, n);
            if (st == ST_OK)
                XXH3_64bits_update(x, buf, n);
        }
        if (st == ST_OK && XXH3_64bits_digest(x) != e->s.contents_sum)
            st = snap_damaged(r, e->s.name);
    }
    XXH3_freeState(x);
    free(buf);
    return st;
}

enum status snap_read(struct snap_reader *r, const struct snap_entry *e, u64 off, void *buf,
                      size_t len)
{
    if (off > e->s.length || len > e->s.length - off)
        return snap_damaged(r, e->s.name);
    return get_at(r, e->at + off, buf, len);
}

struct snap_entry *snap_find(struct snap_reader *r, const char *name)
{
    for (int k = 0; k < r->n; k++)
        if (!strcmp(r->entry[k].s.name, name))
            return &r->entry[k];
    return NULL;
}

enum status snap_read_small(struct snap_reader *r, const char *name, enum snap_kind kind, u8 **data,
                            size_t *len, struct snap_entry **entry)
{
    struct snap_entry *e = snap_find(r, name);
    *data = NULL;
    if (!e)
        return fail(r->err, ST_INVAL, "%s is of another machine: it has no '%s'", r->path, name);
    if (e->s.kind != (u32)kind || e->s.length > SNAP_SMALL_MAX)
        return snap_damaged(r, name);
    *data = malloc(MAX(e->s.length, 1u));
    if (!*data)
        return fail(r->err, ST_NOMEM, "out of memory for %s", r->path);
    *len = e->s.length;
    e->used = true;
    if (entry)
        *entry = e;
    enum status st = get_at(r, e->at, *data, *len);
    if (st == ST_OK && sum_of(*data, *len) != e->s.contents_sum)
        st = snap_damaged(r, name);
    if (st != ST_OK) {
        free(*data);
        *data = NULL;
    }
    return st;
}
