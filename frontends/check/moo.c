/*
 * frontends/check/moo.c - vectors as MOO chunks (docs/vector-format.md).
 *
 * A chunk is a 4-byte tag, a u32 length and as many bytes; unknown ones are skipped. Public chunks:
 * MOO META RMSK RM32 TEST NAME BYTS INIT FINA REGS RG16 RG32 RAM EXCP HASH. Ours: CPUN MODE RG64
 * RM64 XSAV XMSK RA64 EX64.
 */
#include "frontends/check/vector_priv.h"
#include "base/bits.h"

#include <stdio.h>
#include <string.h>

/* The rest of a payload. */
struct span {
    const u8 *p;
    u32 n;
};

static const u8 order16[14] = {0,       3, 1, 2, VREG_CS, VREG_SS,  VREG_DS,
                               VREG_ES, 4, 5, 6, 7,       VREG_RIP, VREG_RFLAGS};
static const u8 order32[20] = {VREG_CR0, VREG_CR3, 0,           3,        1,
                               2,        6,        7,           5,        4,
                               VREG_CS,  VREG_DS,  VREG_ES,     VREG_FS,  VREG_GS,
                               VREG_SS,  VREG_RIP, VREG_RFLAGS, VREG_DR6, VREG_DR7};

/* Cuts the next chunk off s. False at the end; *cut: the rest is no chunk. */
static bool next_chunk(struct span *s, u8 tag[4], struct span *body, bool *cut)
{
    *cut = false;
    if (!s->n)
        return false;
    if (s->n < 8 || ld_u32(s->p + 4) > s->n - 8) {
        *cut = true;
        return false;
    }
    memcpy(tag, s->p, 4);
    *body = (struct span){s->p + 8, ld_u32(s->p + 4)};
    s->p += 8 + body->n;
    s->n -= 8 + body->n;
    return true;
}

static bool is(const u8 tag[4], const char *name)
{
    return !memcmp(tag, name, 4);
}

/* A bitmap of `width` bytes and a value of `size` bytes for each bit; have and reg are of a state
 * or a mask. */
static bool read_regs(struct span s, int size, u32 *have, u64 *reg)
{
    const u8 *order = size == 2 ? order16 : order32;
    u32 n_bits = size == 2 ? ARRAY_LEN(order16) : size == 4 ? ARRAY_LEN(order32) : VREG_COUNT;
    if (s.n < (u32)size)
        return false;
    u64 map = size == 2 ? ld_u16(s.p) : size == 4 ? ld_u32(s.p) : ld_u64(s.p);
    const u8 *p = s.p + size, *end = s.p + s.n;
    for (u32 k = 0; map; k++, map >>= 1) {
        if (!(map & 1))
            continue;
        if (end - p < size)
            return false;
        if (k < n_bits) {
            u32 r = size == 8 ? k : order[k];
            *have |= 1u << r;
            reg[r] = size == 2 ? ld_u16(p) : size == 4 ? ld_u32(p) : ld_u64(p);
            if (size == 4 && r >= VREG_ES && r <= VREG_GS)
                reg[r] &= 0xffff;
        }
        p += size;
    }
    return true;
}

/* Sparse bytes of an XSAVE image. */
static bool read_image(struct span s, u8 *image)
{
    while (s.n) {
        if (s.n < 4)
            return false;
        u32 off = ld_u16(s.p), len = ld_u16(s.p + 2);
        if (off > CPU_XSAVE_SIZE || len > CPU_XSAVE_SIZE - off || len > s.n - 4)
            return false;
        memcpy(image + off, s.p + 4, len);
        s.p += 4 + len;
        s.n -= 4 + len;
    }
    return true;
}

static bool read_cells(struct span s, u32 addr_size, struct vector_state *st)
{
    u32 step = addr_size + 1;
    if (s.n < 4 || ld_u32(s.p) > (s.n - 4) / step)
        return false;
    u32 count = ld_u32(s.p);
    const u8 *p = s.p + 4;
    for (u32 k = 0; k < count; k++, p += step)
        if (!vector_add_cell(st, addr_size == 4 ? ld_u32(p) : ld_u64(p), p[addr_size]))
            return false;
    return true;
}

static bool read_mask(const u8 tag[4], struct span c, struct vector_mask *m, bool *ok)
{
    if (is(tag, "RMSK"))
        *ok = read_regs(c, 2, &m->have, m->reg);
    else if (is(tag, "RM32"))
        *ok = read_regs(c, 4, &m->have, m->reg);
    else if (is(tag, "RM64"))
        *ok = read_regs(c, 8, &m->have, m->reg);
    else if (is(tag, "XMSK")) {
        memset(m->xsave, 0xff, sizeof(m->xsave));
        m->has_xsave = true;
        *ok = read_image(c, m->xsave);
    } else {
        return false;
    }
    return true;
}

static bool read_state(struct span s, struct vector_state *st, struct vector_mask *mask)
{
    u8 tag[4];
    struct span c;
    bool cut, ok = true;
    while (ok && next_chunk(&s, tag, &c, &cut)) {
        if (is(tag, "REGS") || is(tag, "RG16"))
            ok = read_regs(c, 2, &st->have, st->reg);
        else if (is(tag, "RG32"))
            ok = read_regs(c, 4, &st->have, st->reg);
        else if (is(tag, "RG64"))
            ok = read_regs(c, 8, &st->have, st->reg);
        else if (is(tag, "RAM "))
            ok = read_cells(c, 4, st);
        else if (is(tag, "RA64"))
            ok = read_cells(c, 8, st);
        else if (is(tag, "XSAV")) {
            st->has_xsave = true;
            ok = read_image(c, st->xsave);
        } else {
            read_mask(tag, c, mask, &ok);
        }
    }
    return ok && !cut;
}

static bool read_exception(struct span c, bool wide, struct vector_exception *ex)
{
    if (!wide) {
        if (c.n < 1)
            return false;
        ex->number = c.p[0];
        ex->has_flags_addr = c.n >= 5;
        if (ex->has_flags_addr)
            ex->flags_addr = ld_u32(c.p + 1);
        return true;
    }
    if (c.n < 14)
        return false;
    ex->number = c.p[0];
    ex->has_error = c.p[1] & 1;
    ex->has_fault_addr = c.p[1] & 2;
    ex->error = ld_u32(c.p + 2);
    ex->fault_addr = ld_u64(c.p + 6);
    return true;
}

/* NAME and BYTS carry their length twice. */
static struct span counted(struct span c)
{
    if (c.n < 4)
        return (struct span){c.p, 0};
    return (struct span){c.p + 4, MIN(ld_u32(c.p), c.n - 4)};
}

static enum status bad(const struct vector_file *f, u32 k, const char *what, struct error *err)
{
    return fail(err, ST_FORMAT, "%s: test %u: bad %s", f->name, k, what);
}

enum status moo_read(const struct vector_file *f, u32 k, struct vector *v, struct error *err)
{
    struct span s = {f->data + f->tests[k].at, f->tests[k].len}, c, init = {0}, final = {0};
    u8 tag[4];
    bool cut, ok = true;

    v->index = ld_u32(s.p);
    s.p += 4;
    s.n -= 4;
    while (next_chunk(&s, tag, &c, &cut)) {
        if (is(tag, "NAME")) {
            c = counted(c);
            size_t n = MIN(c.n, VECTOR_NAME - 1u);
            memcpy(v->name, c.p, n);
            v->name[n] = 0;
            for (size_t j = 0; j < n; j++)
                if ((u8)v->name[j] < 0x20 || (u8)v->name[j] >= 0x7f)
                    v->name[j] = '?';
        } else if (is(tag, "BYTS")) {
            c = counted(c);
            if (c.n > VECTOR_BYTES)
                return bad(f, k, "BYTS", err);
            memcpy(v->bytes, c.p, c.n);
            v->len = (u8)c.n;
        } else if (is(tag, "INIT")) {
            init = c;
        } else if (is(tag, "FINA")) {
            final = c;
        } else if (is(tag, "EXCP") || is(tag, "EX64")) {
            if (!read_exception(c, is(tag, "EX64"), &v->ex))
                return bad(f, k, "exception", err);
        } else if (is(tag, "HASH") && c.n >= 20) {
            memcpy(v->hash, c.p, 20);
            v->has_hash = true;
        } else if (is(tag, "MODE")) {
            if (c.n < 1 || (c.p[0] != 16 && c.p[0] != 32 && c.p[0] != 64))
                return bad(f, k, "MODE", err);
            v->bits = c.p[0];
            if (c.n >= 2)
                v->env = c.p[1] <= VENV_USER ? (enum vector_env)c.p[1] : VENV_OTHER;
        } else {
            read_mask(tag, c, &v->mask, &ok);
        }
    }
    if (cut || !ok)
        return bad(f, k, "chunk", err);
    if (!init.p || !final.p)
        return bad(f, k, init.p ? "FINA (there is none)" : "INIT (there is none)", err);
    memset(v->init.xsave, 0, sizeof(v->init.xsave));
    if (!read_state(init, &v->init, &v->mask))
        return bad(f, k, "INIT", err);
    memcpy(v->final.xsave, v->init.xsave, sizeof(v->init.xsave));
    if (!read_state(final, &v->final, &v->mask))
        return bad(f, k, "FINA", err);
    return ST_OK;
}

enum status moo_index(struct vector_file *f, struct error *err)
{
    struct span s = {f->data, (u32)f->size}, c;
    struct vector_meta *m = &f->meta;
    u8 tag[4];
    bool cut, ok = true;

    while (next_chunk(&s, tag, &c, &cut)) {
        if (is(tag, "MOO ")) {
            if (c.n < 12 || c.p[0] != 1)
                return fail(err, ST_FORMAT, "%s: MOO version %u is not known", f->name,
                            c.n ? c.p[0] : 0);
            memcpy(m->cpu, c.p + 8, 4);
        } else if (is(tag, "META") && c.n >= 27) {
            m->cpu_type = c.p[2];
            m->opcode = ld_u32(c.p + 3);
            memcpy(m->mnemonic, c.p + 7, 8);
            m->seed = ld_u64(c.p + 19);
            if (c.n >= 28 && c.p[27])
                m->env = VENV_OTHER;
        } else if (is(tag, "MODE") && c.n >= 2) {
            m->bits = c.p[0] == 64 || c.p[0] == 32 ? c.p[0] : 16;
            m->env = c.p[1] <= VENV_USER ? (enum vector_env)c.p[1] : VENV_OTHER;
        } else if (is(tag, "CPUN")) {
            c = counted(c);
            memcpy(m->cpu_name, c.p, MIN(c.n, sizeof(m->cpu_name) - 1));
        } else if (is(tag, "TEST")) {
            if (c.n < 4)
                return fail(err, ST_FORMAT, "%s: a test without a number", f->name);
            if (!vector_add_test(f, (size_t)(c.p - f->data), c.n))
                return fail(err, ST_NOMEM, "%s: out of memory", f->name);
        } else {
            read_mask(tag, c, &m->mask, &ok);
        }
    }
    if (cut || !ok)
        return fail(err, ST_FORMAT, "%s: cut short, or a bad chunk", f->name);
    return ST_OK;
}

/* ---- writing -------------------------------------------------------------------------------- */
static size_t begin(struct buf *b, const char *tag)
{
    buf_put(b, tag, 4);
    buf_u32(b, 0);
    return b->len;
}

static void end(struct buf *b, size_t at)
{
    if (!b->failed)
        st_u32(b->data + at - 4, (u32)(b->len - at));
}

static void put_counted(struct buf *b, const char *tag, const void *p, u32 n)
{
    size_t at = begin(b, tag);
    buf_u32(b, n);
    buf_put(b, p, n);
    end(b, at);
}

/* Files of the old processors keep the public chunks, so that other programs read them. */
static int reg_size(const struct vector_meta *m)
{
    return m->env != VENV_REAL ? 8 : m->cpu_type >= 7 || !memcmp(m->cpu, "386", 3) ? 4 : 2;
}

static void put_regs(struct buf *b, const char *tag, int size, u32 have, const u64 *reg)
{
    const u8 *order = size == 2 ? order16 : order32;
    u32 n = size == 2 ? ARRAY_LEN(order16) : size == 4 ? ARRAY_LEN(order32) : VREG_COUNT;
    u64 map = 0;
    for (u32 k = 0; k < n; k++)
        if (have >> (size == 8 ? k : order[k]) & 1)
            map |= BIT64(k);
    size_t at = begin(b, tag);
    buf_put(b, &map, (size_t)size);
    for (u32 k = 0; k < n; k++)
        if (map >> k & 1)
            buf_put(b, &reg[size == 8 ? k : order[k]], (size_t)size);
    end(b, at);
}

/* The bytes of image that differ from those of base; short gaps are bridged. */
static void put_image(struct buf *b, const char *tag, const u8 *image, const u8 *base)
{
    size_t at = begin(b, tag);
    for (u32 k = 0; k < CPU_XSAVE_SIZE;) {
        if (image[k] == base[k]) {
            k++;
            continue;
        }
        u32 last = k;
        for (u32 j = k; j < CPU_XSAVE_SIZE && j - last <= 4; j++)
            if (image[j] != base[j])
                last = j;
        buf_u16(b, (u16)k);
        buf_u16(b, (u16)(last + 1 - k));
        buf_put(b, image + k, last + 1 - k);
        k = last + 1;
    }
    end(b, at);
}

static void put_mask(struct buf *b, int size, const struct vector_mask *m)
{
    if (m->have)
        put_regs(b, size == 2 ? "RMSK" : size == 4 ? "RM32" : "RM64", size, m->have, m->reg);
    if (m->has_xsave) {
        u8 all[CPU_XSAVE_SIZE];
        memset(all, 0xff, sizeof(all));
        put_image(b, "XMSK", m->xsave, all);
    }
}

static void put_state(struct buf *b, int size, const struct vector_state *s, const u8 *base)
{
    put_regs(b, size == 2 ? "REGS" : size == 4 ? "RG32" : "RG64", size, s->have, s->reg);
    size_t at = begin(b, size == 8 ? "RA64" : "RAM ");
    buf_u32(b, s->n_cells);
    for (u32 k = 0; k < s->n_cells; k++) {
        buf_put(b, &s->cells[k].addr, size == 8 ? 8 : 4);
        buf_u8(b, s->cells[k].value);
    }
    end(b, at);
    if (s->has_xsave)
        put_image(b, "XSAV", s->xsave, base);
}

void moo_put_test(struct buf *b, const struct vector_meta *m, const struct vector *v)
{
    static const u8 zero[CPU_XSAVE_SIZE];
    int size = reg_size(m);
    size_t at = begin(b, "TEST"), in;
    buf_u32(b, v->index);
    put_counted(b, "NAME", v->name, (u32)strlen(v->name));
    put_counted(b, "BYTS", v->bytes, v->len);
    if (v->bits != m->bits || v->env != m->env) {
        in = begin(b, "MODE");
        buf_u8(b, (u8)v->bits);
        buf_u8(b, (u8)v->env);
        end(b, in);
    }
    in = begin(b, "INIT");
    put_state(b, size, &v->init, zero);
    end(b, in);
    in = begin(b, "FINA");
    put_state(b, size, &v->final, v->init.has_xsave ? v->init.xsave : zero);
    put_mask(b, size, &v->mask);
    end(b, in);
    if (v->ex.number >= 0) {
        in = begin(b, size == 8 ? "EX64" : "EXCP");
        buf_u8(b, (u8)v->ex.number);
        if (size == 8) {
            buf_u8(b, (u8)(v->ex.has_error | v->ex.has_fault_addr << 1));
            buf_u32(b, v->ex.error);
            buf_u64(b, v->ex.fault_addr);
        } else if (v->ex.has_flags_addr) {
            buf_u32(b, (u32)v->ex.flags_addr);
        }
        end(b, in);
    }
    if (v->has_hash) {
        in = begin(b, "HASH");
        buf_put(b, v->hash, sizeof(v->hash));
        end(b, in);
    }
    end(b, at);
}

void moo_put_head(struct buf *b, const struct vector_meta *m, u32 n)
{
    size_t at = begin(b, "MOO ");
    char pad[9];
    buf_u8(b, 1);
    buf_u8(b, 1);
    buf_u16(b, 0);
    buf_u32(b, n);
    snprintf(pad, sizeof(pad), "%-4.4s", m->cpu);
    buf_put(b, pad, 4);
    end(b, at);
    at = begin(b, "META");
    buf_u8(b, 1);
    buf_u8(b, 0);
    buf_u8(b, m->cpu_type);
    buf_u32(b, m->opcode);
    snprintf(pad, sizeof(pad), "%-8.8s", m->mnemonic);
    buf_put(b, pad, 8);
    buf_u32(b, n);
    buf_u64(b, m->seed);
    buf_u8(b, m->env == VENV_OTHER);
    buf_put(b, "\0\0", 3);
    end(b, at);
    if (m->bits != 16 || m->env != VENV_REAL) {
        at = begin(b, "MODE");
        buf_u8(b, (u8)m->bits);
        buf_u8(b, (u8)m->env);
        end(b, at);
    }
    if (m->cpu_name[0])
        put_counted(b, "CPUN", m->cpu_name, (u32)strlen(m->cpu_name));
    put_mask(b, reg_size(m), &m->mask);
}
