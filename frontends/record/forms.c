/*
 * frontends/record/forms.c - see forms.h.
 */
#include "frontends/record/forms.h"

#include <stdlib.h>
#include <string.h>

enum { REX_W = 0x48, LOCK = 0xf0, GS = 0x65, ADDRESS = 0x67 };

/* ---- bytes ----------------------------------------------------------------------------------- */
struct choice {
    u8 rxb; /* REX or VEX extension bits, 1: extended */
    bool rex, short_vex;
    u8 modrm, sib, vvvv;
    u64 tail[2]; /* displacement and immediate */
};

static int emit(const struct form *f, const struct choice *c, u8 b[24])
{
    int n = 0;
    memset(b, 0, 24);
    memcpy(b, f->prefix, f->n_prefix);
    n = f->n_prefix;
    if (f->vex) {
        u8 last = (u8)((f->wlpp & 0x87) | c->vvvv << 3);
        if (c->short_vex && f->map == 1 && !(c->rxb & 3) && !(f->wlpp & 0x80)) {
            b[n++] = 0xc5;
            b[n++] = (u8)((last & 0x7f) | (c->rxb & 4 ? 0 : 0x80));
        } else {
            b[n++] = 0xc4;
            b[n++] = (u8)((~c->rxb & 7) << 5 | f->map);
            b[n++] = last;
        }
    } else {
        u8 rex = (u8)(0x40 | (f->rexw ? 8 : 0) | c->rxb);
        if (f->bits == 64 && (rex != 0x40 || c->rex))
            b[n++] = rex;
        if (f->map)
            b[n++] = 0x0f;
        if (f->map >= 2)
            b[n++] = f->map == 2 ? 0x38 : 0x3a;
    }
    b[n++] = f->op;
    int at = n;
    memcpy(b + n, c->tail, (size_t)MIN(16, 24 - n));
    return at;
}

static u32 identity(const struct insn_shape *s, const struct form *f)
{
    u64 h = hash_add(s->row, (u64)s->map << 8 | s->opcode);
    h = hash_add(h, (u64)s->osize << 8 | s->asize);
    h = hash_add(h, (u64)s->lock << 1 | s->rep);
    h = hash_add(h, (u64)s->vex << 16 | (u64)s->veclen << 8 | (s->vex && s->w));
    for (int k = 0; k < s->n; k++) {
        const struct shape_op *o = &s->op[k];
        h = hash_add(h, (u64)o->kind << 32 | (u64)o->size << 16 | (u64)o->read << 3 |
                            (u64)o->write << 2 | (u64)o->hidden << 1 | o->vsib);
        if (o->kind == SHAPE_MEM && o->seg == 5)
            h = hash_add(h, GS);
    }
    return (u32)hash_add(h, f->bits);
}

void form_make(const struct testbed *tb, const struct form *f, struct rnd *r, u8 bytes[24],
               struct insn_shape *shape)
{
    struct choice c;

    for (int tries = 0; tries < 24; tries++) {
        bool wild = tries < 16;
        c.rxb = f->bits == 64 && tries < 20 ? (u8)(rnd_next(r) & rnd_next(r) & 7) : 0;
        c.rex = rnd_one_in(r, 8) && wild;
        c.short_vex = rnd_one_in(r, 2);
        c.vvvv = f->vvvv;
        if (f->vex && f->vvvv != 15)
            c.vvvv = (u8)(f->bits == 64 ? rnd_below(r, 16) : 8 | rnd_below(r, 8));
        c.tail[0] = rnd_next(r);
        c.tail[1] = rnd_next(r);
        int at = emit(f, &c, bytes);
        if (f->shape.modrm_at) {
            u8 m = f->modrm;
            if (m >= 0xc0)
                m = (u8)(wild ? 0xc0 | rnd_below(r, 64) : (m & 0xf8) | rnd_below(r, 8));
            else
                m = (u8)(rnd_below(r, 3) << 6 |
                         (wild ? rnd_below(r, 64) : (m & 0x38) | rnd_below(r, 8)));
            if (tries & 1) /* the register field selects the instruction in groups */
                m = (u8)((m & 0xc7) | (f->modrm & 0x38));
            bytes[at] = m;
            if (f->shape.op[0].vsib || f->shape.op[1].vsib || f->shape.op[2].vsib)
                bytes[at] = (u8)((m & 0xf8) | 4);
        }
        if (insns_shape(tb, f->bits, bytes, 15, shape) && shape->row == f->shape.row &&
            identity(shape, f) == f->id)
            goto done;
    }
    memset(&c, 0, sizeof(c));
    c.vvvv = f->vvvv;
    int at = emit(f, &c, bytes);
    if (f->shape.modrm_at) {
        bytes[at] = f->modrm;
        bytes[at + 1] = f->sib;
    }
    insns_shape(tb, f->bits, bytes, 15, shape);
done:
    memset(bytes + shape->len, 0, 24 - shape->len);
}

/* ---- the walk -------------------------------------------------------------------------------- */
struct walk {
    const struct testbed *tb;
    bool (*want)(void *ctx, const struct form *f);
    void *ctx;
    struct forms *out;
    u32 *seen; /* open addressing; 0: free */
    bool full;
};
enum { SEEN = 1 << 16 };

static bool is_new(struct walk *w, u32 id)
{
    id |= !id;
    u32 k = id % SEEN;
    while (w->seen[k] && w->seen[k] != id)
        k = (k + 1) % SEEN;
    if (w->seen[k])
        return false;
    w->seen[k] = id;
    return true;
}

static bool try_form(struct walk *w, struct form *f)
{
    struct choice c = {.vvvv = f->vvvv};
    u8 b[24];
    int at = emit(f, &c, b);
    b[at] = f->modrm;
    b[at + 1] = f->sib;
    if (!insns_shape(w->tb, f->bits, b, 15, &f->shape) || f->shape.vex != f->vex)
        return false;
    f->id = identity(&f->shape, f);
    if (!w->want(w->ctx, f) || !is_new(w, f->id))
        return true;
    struct forms *o = w->out;
    if (o->n == o->room) {
        int room = o->room ? o->room * 2 : 1024;
        struct form *v = realloc(o->v, (size_t)room * sizeof(*v));
        if (!v) {
            w->full = true;
            return true;
        }
        o->v = v;
        o->room = room;
    }
    if (o->n < SEEN / 2)
        o->v[o->n++] = *f;
    return true;
}

static bool has_memory(const struct insn_shape *s)
{
    for (int k = 0; k < s->n; k++)
        if (s->op[k].kind == SHAPE_MEM)
            return true;
    return false;
}

/* The encoding itself, and with prefixes that change how it reaches memory. */
static void try_all(struct walk *w, struct form *f)
{
    static const u8 more[][2] = {{ADDRESS}, {GS}, {LOCK}, {ADDRESS, GS}, {LOCK, ADDRESS}};
    bool counts = f->map == 0 && f->op >= 0xe0 && f->op <= 0xe3; /* LOOP, JCXZ */
    if (!try_form(w, f)) {
        struct form g = *f;
        if (f->bits == 16 && f->vex) { /* gathers have no 16-bit addresses */
            g.prefix[g.n_prefix++] = ADDRESS;
            try_form(w, &g);
        }
        return;
    }
    if (!has_memory(&f->shape) && !counts)
        return;
    bool lock = f->shape.accepts_lock;
    int n = f->n_prefix;
    for (size_t k = 0; k < ARRAY_LEN(more); k++) {
        struct form g = *f;
        int add = more[k][1] ? 2 : 1;
        if ((more[k][0] == LOCK && !lock) || n + add > (int)sizeof(g.prefix))
            continue;
        /* in 32-bit code 16-bit addresses reach our pages through GS only */
        if (f->bits == 32 && more[k][0] == ADDRESS && !more[k][1] && !counts)
            continue;
        if (f->bits == 32 && more[k][0] == LOCK && more[k][1])
            continue;
        memcpy(g.prefix + n, more[k], (size_t)add);
        g.n_prefix = (u8)(n + add);
        try_form(w, &g);
    }
}

/* Opcodes that use every bit of ModRM to say what they are. */
static bool modrm_is_opcode(const struct form *f)
{
    if (f->vex)
        return false;
    if (f->map == 0)
        return f->op >= 0xd8 && f->op <= 0xdf;
    return f->map == 1 &&
           (f->op == 0x00 || f->op == 0x01 || f->op == 0xae || f->op == 0xc7 || f->op == 0x18);
}

static void each_modrm(struct walk *w, struct form *f)
{
    bool all = modrm_is_opcode(f);
    f->sib = 0;
    for (int m = 0; m < 256; m++) {
        bool some = m < 0x40 ? (m & 7) == 0 : m >= 0xc0 && ((m & 7) == 1 || (m & 7) == 4);
        if (!all && !some)
            continue;
        f->modrm = (u8)m;
        try_all(w, f);
    }
    f->modrm = 0x04; /* with a SIB byte of index 2: the gathers, whose registers must differ */
    f->sib = 0x10;
    try_all(w, f);
}

/* A prefix or an escape, and no opcode. */
static bool leads_on(int bits, int map, int op)
{
    static const u8 prefixes[] = {0x0f, 0x26, 0x2e, 0x36, 0x3e, 0x64,
                                  0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3};
    if (map == 1)
        return op == 0x38 || op == 0x3a || op == 0x0f;
    return map == 0 && (memchr(prefixes, op, sizeof(prefixes)) || (bits == 64 && op >> 4 == 4));
}

static void legacy(struct walk *w, int bits)
{
    static const u8 prefix[][2] = {{0}, {0x66}, {0xf2}, {0xf3}, {0x66, 0xf2}, {0x66, 0xf3}};
    for (int rexw = 0; rexw < (bits == 64 ? 2 : 1); rexw++)
        for (size_t p = 0; p < ARRAY_LEN(prefix); p++)
            for (int map = 0; map < 4; map++)
                for (int op = 0; op < 256; op++) {
                    if (leads_on(bits, map, op))
                        continue;
                    struct form f = {.bits = (u8)bits, .rexw = rexw, .map = (u8)map, .op = (u8)op};
                    f.n_prefix = prefix[p][0] ? prefix[p][1] ? 2 : 1 : 0;
                    memcpy(f.prefix, prefix[p], f.n_prefix);
                    each_modrm(w, &f);
                }
}

static void vex(struct walk *w, int bits)
{
    for (int map = 1; map <= 3; map++)
        for (int low = 0; low < 16; low++) /* W, L, pp */
            for (int op = 0; op < 256; op++)
                for (int v = 0; v < 2; v++) {
                    struct form f = {.bits = (u8)bits,
                                     .vex = true,
                                     .map = (u8)map,
                                     .op = (u8)op,
                                     .wlpp = (u8)((low & 8) << 4 | (low & 7)),
                                     .vvvv = v ? 15 : 14};
                    each_modrm(w, &f);
                }
}

static int by_row(const void *a, const void *b)
{
    const struct form *x = a, *y = b;
    if (x->shape.row != y->shape.row)
        return x->shape.row < y->shape.row ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

bool forms_list(const struct testbed *tb, int bits, bool (*want)(void *ctx, const struct form *f),
                void *ctx, struct forms *out)
{
    struct walk w = {tb, want, ctx, out, calloc(SEEN, sizeof(u32)), false};
    memset(out, 0, sizeof(*out));
    if (!w.seen)
        return false;
    legacy(&w, bits);
    vex(&w, bits);
    free(w.seen);
    if (w.full)
        forms_free(out);
    else
        qsort(out->v, (size_t)out->n, sizeof(*out->v), by_row);
    return !w.full;
}

void forms_free(struct forms *f)
{
    free(f->v);
    memset(f, 0, sizeof(*f));
}
