/*
 * frontends/check/vector.c - vectors in memory; opening, creating, packing of their files.
 *
 * The only file that knows zlib. Files are read whole: a test is then an offset, and jobs that were
 * forked share the text.
 */
#include "frontends/check/vector_priv.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

enum { MAX_FILE = 1 << 30 };

/* ---- vectors -------------------------------------------------------------------------------- */
void vector_init(struct vector *v)
{
    memset(v, 0, sizeof(*v));
    v->ex.number = -1;
}

static void clear_state(struct vector_state *s)
{
    s->have = 0;
    s->n_cells = 0;
    s->has_xsave = false;
}

void vector_clear(struct vector *v)
{
    clear_state(&v->init);
    clear_state(&v->final);
    v->mask.have = 0;
    v->mask.has_xsave = false;
    v->ex = (struct vector_exception){.number = -1};
    v->index = 0;
    v->bits = 0;
    v->env = VENV_REAL;
    v->name[0] = 0;
    v->len = v->has_hash = 0;
}

void vector_free(struct vector *v)
{
    free(v->init.cells);
    free(v->final.cells);
    vector_init(v);
}

bool vector_add_cell(struct vector_state *s, u64 addr, u8 value)
{
    if (s->n_cells == s->cap_cells) {
        u32 cap = s->cap_cells ? s->cap_cells * 2 : 64;
        struct vector_cell *c =
            cap > VECTOR_CELLS ? NULL : realloc(s->cells, cap * sizeof(s->cells[0]));
        if (!c)
            return false;
        s->cells = c;
        s->cap_cells = cap;
    }
    s->cells[s->n_cells++] = (struct vector_cell){addr, value};
    return true;
}

void vector_set(struct vector_state *s, int reg, u64 value)
{
    s->have |= 1u << reg;
    s->reg[reg] = value;
}

const char *vector_reg_name(int reg, int bits)
{
    static const char *const names[VREG_COUNT] = {
        "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",    "r8",      "r9",
        "r10", "r11", "r12", "r13", "r14", "r15", "rip", "rflags", "es",      "cs",
        "ss",  "ds",  "fs",  "gs",  "cr0", "cr3", "dr6", "dr7",    "fs_base", "gs_base"};
    static const char *const names32[8] = {"eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"};
    if (bits != 64 && reg < 8)
        return names32[reg] + (bits == 16);
    if (reg == VREG_RIP || reg == VREG_RFLAGS) {
        const char *n = reg == VREG_RIP ? "eip" : "eflags";
        return bits == 64 ? names[reg] : n + (bits == 16);
    }
    return names[reg];
}

/* ---- buffers -------------------------------------------------------------------------------- */
void buf_put(struct buf *b, const void *p, size_t n)
{
    if (b->cap - b->len < n) {
        size_t cap = MAX(b->cap * 2, b->len + n + 4096);
        u8 *d = realloc(b->data, cap);
        if (!d) {
            b->failed = true;
            return;
        }
        b->data = d;
        b->cap = cap;
    }
    if (n)
        memcpy(b->data + b->len, p, n);
    b->len += n;
}

void buf_u8(struct buf *b, u8 v)
{
    buf_put(b, &v, 1);
}

void buf_u16(struct buf *b, u16 v)
{
    buf_put(b, &v, 2);
}

void buf_u32(struct buf *b, u32 v)
{
    buf_put(b, &v, 4);
}

void buf_u64(struct buf *b, u64 v)
{
    buf_put(b, &v, 8);
}

void buf_text(struct buf *b, const char *fmt, ...)
{
    char line[1024];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    buf_put(b, line, n < 0 ? 0 : MIN((size_t)n, sizeof(line) - 1));
}

/* ---- reading -------------------------------------------------------------------------------- */
bool vector_add_test(struct vector_file *f, size_t at, size_t len)
{
    if (f->n_tests == f->cap_tests) {
        u32 cap = f->cap_tests ? f->cap_tests * 2 : 1024;
        struct test_at *t = realloc(f->tests, cap * sizeof(*t));
        if (!t)
            return false;
        f->tests = t;
        f->cap_tests = cap;
    }
    f->tests[f->n_tests++] = (struct test_at){(u32)at, (u32)len};
    return true;
}

static enum status unpack(gzFile g, const char *path, struct buf *b, struct error *err)
{
    u8 chunk[65536];
    int n;
    while ((n = gzread(g, chunk, sizeof(chunk))) > 0) {
        buf_put(b, chunk, (size_t)n);
        if (b->failed)
            return fail(err, ST_NOMEM, "%s: out of memory", path);
        if (b->len > MAX_FILE)
            return fail(err, ST_FORMAT, "%s: more than 1 GiB when unpacked", path);
    }
    int e;
    const char *why = gzerror(g, &e);
    if (n < 0 || (e != Z_OK && e != Z_STREAM_END))
        return fail(err, e == Z_ERRNO ? ST_IO : ST_FORMAT, "%s: %s", path,
                    e == Z_ERRNO ? strerror(errno) : why);
    return ST_OK;
}

/* Takes b's memory. */
static enum status open_buf(struct buf *b, const char *name, struct vector_file **out,
                            struct error *err)
{
    struct vector_file *f = calloc(1, sizeof(*f));
    if (!f) {
        free(b->data);
        return fail(err, ST_NOMEM, "%s: out of memory", name);
    }
    f->data = b->data;
    f->size = b->len;
    snprintf(f->name, sizeof(f->name), "%s", name);
    f->meta.bits = 16;
    f->meta.opcode = ~0u;
    size_t k = 0;
    while (k < f->size && strchr(" \t\r\n", f->data[k]) && f->data[k])
        k++;
    enum status st;
    if (f->size >= 8 && !memcmp(f->data, "MOO ", 4))
        st = moo_index(f, err);
    else if (k < f->size && f->data[k] == '[') {
        f->format = VECTOR_JSON;
        st = json_index(f, err);
    } else {
        st = fail(err, ST_FORMAT, "%s: neither MOO nor JSON vectors", name);
    }
    if (st != ST_OK) {
        vector_close(f);
        return st;
    }
    *out = f;
    return ST_OK;
}

enum status vector_open(const char *path, struct vector_file **out, struct error *err)
{
    struct buf b = {0};
    errno = 0;
    gzFile g = gzopen(path, "rb");
    if (!g)
        return fail(err, status_from_errno(errno), "%s: %s", path,
                    errno ? strerror(errno) : "out of memory");
    enum status st = unpack(g, path, &b, err);
    gzclose(g);
    if (st != ST_OK) {
        free(b.data);
        return st;
    }
    return open_buf(&b, path, out, err);
}

enum status vector_open_memory(const void *data, size_t len, const char *name,
                               struct vector_file **out, struct error *err)
{
    struct buf b = {0};
    if (len > MAX_FILE)
        return fail(err, ST_FORMAT, "%s: more than 1 GiB", name);
    buf_put(&b, data, len);
    if (b.failed)
        return fail(err, ST_NOMEM, "%s: out of memory", name);
    return open_buf(&b, name, out, err);
}

void vector_close(struct vector_file *f)
{
    if (!f)
        return;
    free(f->data);
    free(f->tests);
    free(f);
}

const struct vector_meta *vector_meta(const struct vector_file *f)
{
    return &f->meta;
}

u32 vector_count(const struct vector_file *f)
{
    return f->n_tests;
}

enum status vector_read(const struct vector_file *f, u32 k, struct vector *v, struct error *err)
{
    vector_clear(v);
    if (k >= f->n_tests)
        return fail(err, ST_NOENT, "%s: no test %u, it has %u", f->name, k, f->n_tests);
    v->index = k;
    v->bits = f->meta.bits;
    v->env = f->meta.env;
    enum status st = f->format == VECTOR_MOO ? moo_read(f, k, v, err) : json_read(f, k, v, err);
    if (st != ST_OK)
        return st;
    for (int r = 0; r < VREG_COUNT; r++)
        if ((f->meta.mask.have & ~v->mask.have) >> r & 1)
            v->mask.reg[r] = f->meta.mask.reg[r];
    v->mask.have |= f->meta.mask.have;
    if (f->meta.mask.has_xsave && !v->mask.has_xsave) {
        v->mask.has_xsave = true;
        memcpy(v->mask.xsave, f->meta.mask.xsave, CPU_XSAVE_SIZE);
    }
    return ST_OK;
}

/* ---- writing -------------------------------------------------------------------------------- */
struct vector_out {
    enum vector_format format;
    struct vector_meta meta;
    struct buf body;
    u32 n;
    char *path, *temp;
};

void vector_out_abandon(struct vector_out *o)
{
    if (!o)
        return;
    free(o->body.data);
    free(o->path);
    free(o->temp);
    free(o);
}

enum status vector_create(const char *path, enum vector_format format,
                          const struct vector_meta *meta, struct vector_out **out,
                          struct error *err)
{
    struct vector_out *o = calloc(1, sizeof(*o));
    size_t n = strlen(path) + 16;
    if (o) {
        o->path = strdup(path);
        o->temp = malloc(n);
    }
    if (!o || !o->path || !o->temp) {
        vector_out_abandon(o);
        return fail(err, ST_NOMEM, "%s: out of memory", path);
    }
    snprintf(o->temp, n, "%s.%d", path, (int)getpid());
    o->format = format;
    o->meta = *meta;
    *out = o;
    return ST_OK;
}

enum status vector_write(struct vector_out *o, const struct vector *v, struct error *err)
{
    if (o->format == VECTOR_MOO) {
        moo_put_test(&o->body, &o->meta, v);
    } else {
        buf_text(&o->body, o->n ? ",\n" : "[\n");
        json_put_test(&o->body, &o->meta, v, !o->n);
    }
    o->n++;
    if (o->body.len > MAX_FILE - (1 << 20))
        return fail(err, ST_RANGE, "%s: more than 1 GiB", o->path);
    return o->body.failed ? fail(err, ST_NOMEM, "%s: out of memory", o->path) : ST_OK;
}

static bool put_file(struct vector_out *o, const struct buf *head)
{
    size_t n = strlen(o->path);
    bool pack = n > 3 && !strcmp(o->path + n - 3, ".gz");
    gzFile g = gzopen(o->temp, pack ? "wb9" : "wbT");
    if (!g)
        return false;
    bool ok = !head->len || gzwrite(g, head->data, (unsigned)head->len) == (int)head->len;
    for (size_t at = 0; ok && at < o->body.len;) {
        unsigned part = (unsigned)MIN(o->body.len - at, (size_t)1 << 24);
        ok = gzwrite(g, o->body.data + at, part) == (int)part;
        at += part;
    }
    ok = gzclose(g) == Z_OK && ok;
    return ok && !rename(o->temp, o->path);
}

enum status vector_out_close(struct vector_out *o, struct error *err)
{
    struct buf head = {0};
    enum status st = ST_OK;
    if (o->format == VECTOR_MOO)
        moo_put_head(&head, &o->meta, o->n);
    else
        buf_text(&o->body, o->n ? "\n]\n" : "[]\n");
    errno = 0;
    if (head.failed || o->body.failed) {
        st = fail(err, ST_NOMEM, "%s: out of memory", o->path);
    } else if (!put_file(o, &head)) {
        int e = errno;
        unlink(o->temp);
        st = fail(err, e ? status_from_errno(e) : ST_IO, "%s: %s", o->path,
                  e ? strerror(e) : "cannot write");
    }
    free(head.data);
    vector_out_abandon(o);
    return st;
}
