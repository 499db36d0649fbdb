/*
 * frontends/record/inputs.c - see inputs.h.
 */
#include "frontends/record/inputs.h"
#include "frontends/record/layout.h"
#include "frontends/record/segments.h"
#include "frontends/record/values.h"
#include "base/bits.h"

#include <string.h>

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI };
enum { FLAGS_ARITH = 0x8d5, FLAG_DF = 0x400, FLAG_AC = 0x40000 };
enum { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS };

struct maker {
    struct rnd *r;
    struct host_case *c;
    struct insn_shape *s;
    const char *row;
    u8 code[24];
    u16 fixed; /* registers that address something */
    u8 image[ARENA_BYTES], set[ARENA_BYTES];
};

static bool starts(const char *text, const char *with)
{
    return !strncmp(text, with, strlen(with));
}

static void put(struct maker *m, u64 addr, const u8 *p, int n)
{
    for (int k = 0; k < n; k++) {
        int off = arena_offset(addr + (u64)k);
        if (off >= 0) {
            m->image[off] = p[k];
            m->set[off] = 1;
        }
    }
}

static void put_value(struct maker *m, u64 addr, u64 v, int n)
{
    u8 b[8];
    st_u64(b, v);
    put(m, addr, b, n);
}

/* A value of RIP in the code pages. */
static u64 code_address(struct maker *m)
{
    return (m->c->bits == 16 ? 0 : AREA_CODE) + rnd_below(m->r, AREA_BYTES);
}

static u64 stack_base(const struct maker *m)
{
    return m->c->bits == 16 ? STACK16_BASE : 0;
}

static u64 segment_base(const struct maker *m, int seg)
{
    static const u32 of16[] = {DATA16_BASE, CODE16_BASE, STACK16_BASE, DATA16_BASE, 0, GS_BASE};
    if (m->c->bits == 16)
        return seg <= SEG_GS ? of16[seg] : 0;
    return seg == SEG_GS ? GS_BASE : 0;
}

/* ---- where an operand of n bytes lies -------------------------------------------------------- */
static u64 place(struct maker *m, u32 n, bool stack)
{
    struct rnd *r = m->r;
    u64 base = stack && !rnd_one_in(r, 6) ? AREA_STACK : AREA_DATA;
    u32 len = MAX(n, 1u);
    u64 room = AREA_BYTES - len;
    u64 any = base + rnd_below(r, (u32)room);

    switch (rnd_below(r, 24)) {
    case 0:
    case 1:
    case 2:
        return any;
    case 3: /* across the two pages */
    case 4:
        return base + 4096 - 1 - rnd_below(r, len > 1 ? len - 1 : 1);
    case 5: /* the last bytes there are */
        return base + room;
    case 6: /* across the end */
        return base + AREA_BYTES - 1 - rnd_below(r, len > 1 ? len - 1 : 1);
    case 7: /* across the beginning */
        return base - 1 - rnd_below(r, len > 1 ? len - 1 : 1);
    case 8: /* nothing there */
        return base + AREA_BYTES + rnd_below(r, 0x4000);
    case 9: /* read only */
    case 10:
        return AREA_CONST + rnd_below(r, (u32)room);
    case 11:
        return AREA_CONST + 4096 - 1 - rnd_below(r, len > 1 ? len - 1 : 1);
    default:
        return any & ~63ull;
    }
}

static u64 width_mask(int bytes)
{
    return bytes == 8 ? ~0ull : (1ull << 8 * bytes) - 1;
}

/* Bytes of the address: the stack's own for what is pushed and popped. */
static int address_size(const struct maker *m, const struct shape_op *o)
{
    return o->hidden && o->seg == SEG_SS && m->c->bits == 16 ? 2 : m->s->asize;
}

/* A register that is an address of that many bytes: the rest of it is noise. */
static void set_address(struct maker *m, int size, int reg, u64 v)
{
    u64 mask = width_mask(size), noise = rnd_one_in(m->r, 3) ? rnd_next(m->r) : 0;
    if (m->c->bits != 64)
        noise &= 0xffffffff;
    m->c->in.gpr[reg] = (v & mask) | (noise & ~mask);
    m->fixed |= (u16)(1 << reg);
}

static void patch_disp(struct maker *m, u64 v)
{
    for (int k = 0; k < m->s->disp_size; k++)
        m->code[m->s->disp_at + k] = (u8)(v >> 8 * k);
}

static u64 address_now(const struct maker *m, const struct shape_op *o)
{
    u64 a = (u64)o->disp;
    if (o->base != SHAPE_NONE)
        a += m->c->in.gpr[o->base];
    if (o->index != SHAPE_NONE && !o->vsib)
        a += m->c->in.gpr[o->index] * o->scale;
    return a & width_mask(address_size(m, o));
}

/* Makes the operand's address t as far as its registers are free; the linear address it got. */
static u64 reach(struct maker *m, const struct shape_op *o, u64 t)
{
    int size = address_size(m, o);
    u64 segment = segment_base(m, o->seg), mask = width_mask(size);
    u64 *g = m->c->in.gpr;
    u64 ea = (t - segment) & mask;
    bool base_free = o->base != SHAPE_NONE && !(m->fixed & 1 << o->base);
    bool index = o->index != SHAPE_NONE && !o->vsib;

    if (!strcmp(m->row, "XLAT")) {
        if (base_free)
            set_address(m, size, o->base, ea - (g[RAX] & 0xff));
        return segment + ((g[RBX] + (g[RAX] & 0xff)) & mask);
    }
    if (o->ip) {
        u64 from = m->c->in.rip + m->s->len;
        u64 disp = t - segment - from;
        patch_disp(m, disp);
        return segment + ((from + (u64)(i64)(i32)disp) & mask); /* t may be too far away */
    }
    if (o->base == SHAPE_NONE && o->index == SHAPE_NONE) {
        patch_disp(m, ea);
        return segment + ea;
    }
    if (index && o->index == o->base) {
        if (base_free)
            set_address(m, size, o->base, (ea - (u64)o->disp) / (1u + o->scale));
    } else if (index && o->base == SHAPE_NONE) {
        if (!(m->fixed & 1 << o->index))
            set_address(m, size, o->index, rnd_next(m->r) & 0xfffff);
        if (m->s->disp_size == 4) {
            patch_disp(m, ea - (g[o->index] & mask) * o->scale);
            return segment + ea;
        }
    } else if (base_free) {
        if (index && !(m->fixed & 1 << o->index)) {
            u64 x = rnd_one_in(m->r, 2) ? rnd_below(m->r, 256) : rnd_next(m->r);
            set_address(m, size, o->index, x);
        }
        set_address(m, size, o->base, ea - (u64)o->disp - (index ? g[o->index] * o->scale : 0));
    }
    return segment + address_now(m, o);
}

/* ---- images of saved state ------------------------------------------------------------------- */
static void put_xsave_image(struct maker *m, u64 t, bool header)
{
    u8 x[832];
    value_xsave(m->r, x);
    if (rnd_one_in(m->r, 12))
        st_u32(x + 24, (u32)rnd_next(m->r)); /* reserved bits of MXCSR */
    if (header) {
        st_u64(x + 512, rnd_below(m->r, 8));
        if (rnd_one_in(m->r, 8))
            st_u64(x + 512 + 8 * rnd_below(m->r, 8), rnd_next(m->r));
        if (rnd_one_in(m->r, 4))
            st_u64(x + 520, 1ull << 63 | 7);
    }
    put(m, t, x, header ? 832 : 512);
}

static void put_x87_image(struct maker *m, u64 t, int n)
{
    u8 x[832], out[108];
    int env = n == 14 || n == 94 ? 14 : 28, step = env == 28 ? 4 : 2;
    value_xsave(m->r, x);
    value_fill(m->r, out, sizeof(out));
    memset(out, 0, (size_t)env);
    memcpy(out, x, 2);
    memcpy(out + step, x + 2, 2);
    st_u16(out + 2 * step, (u16)rnd_next(m->r));
    for (int k = 0; k < 8; k++)
        memcpy(out + env + 10 * k, x + 32 + 16 * k, 10);
    put(m, t, out, n);
}

/* ---- selectors and far pointers -------------------------------------------------------------- */
static bool is_far(const char *row)
{
    return !strcmp(row, "JMP_FAR") || !strcmp(row, "CALL_FAR") || !strcmp(row, "RET_FAR") ||
           starts(row, "IRET");
}

/* LDS and its like, in rows of these names. */
static bool loads_pointer(const char *row)
{
    return row[0] == 'L' && row[2] == 'S' && !row[3];
}

/* A target in the code pages for a code segment: its offset in that segment. */
static u64 far_offset(struct maker *m, u16 sel)
{
    u64 at = rnd_below(m->r, AREA_BYTES);
    if (rnd_one_in(m->r, 16))
        return rnd_next(m->r);
    return sel == SEL_CODE16 ? at : AREA_CODE + at;
}

/* Rows that look a selector up. */
static bool selector_in(const char *row)
{
    return !strcmp(row, "LAR") || !strcmp(row, "LSL") || !strcmp(row, "VERR") ||
           !strcmp(row, "VERW");
}

/* What RETF and IRET pop, from t up; osize bytes each. */
static void far_frame(struct maker *m, u64 t, int osize)
{
    u16 sel = segments_pick_code(m->r);
    put_value(m, t, far_offset(m, sel), osize);
    put_value(m, t + (u64)osize, sel, osize);
    if (m->row[0] != 'I')
        return;
    put_value(m, t + 2 * (u64)osize, rnd_next(m->r), osize);
    put_value(m, t + 3 * (u64)osize, value_int(m->r), osize);
    put_value(m, t + 4 * (u64)osize, segments_pick_data(m->r), osize);
}

/* ---- memory operands ------------------------------------------------------------------------- */
static u32 reach_size(const struct maker *m, const struct shape_op *o)
{
    if (starts(m->row, "XSAVE") || starts(m->row, "XRSTOR"))
        return 832;
    if (starts(m->row, "FXSAVE") || starts(m->row, "FXRSTOR"))
        return 512;
    return o->size ? MIN(o->size, 832) : 8;
}

static void fill_operand(struct maker *m, const struct shape_op *o, u64 t, u32 n)
{
    u8 b[1024];
    const char *row = m->row;

    value_fill(m->r, b, (int)n);
    put(m, t, b, (int)n);
    if (!strcmp(row, "JMP") || !strcmp(row, "CALL") || !strcmp(row, "RET")) {
        if (!rnd_one_in(m->r, 6))
            put_value(m, t, code_address(m), (int)n);
    } else if (!strcmp(row, "RET_FAR") || starts(row, "IRET")) {
        far_frame(m, t, m->s->osize);
    } else if ((is_far(row) || loads_pointer(row)) && !o->hidden && n > 2) {
        u16 sel = is_far(row) ? segments_pick_code(m->r) : segments_pick_data(m->r);
        if (is_far(row))
            put_value(m, t, far_offset(m, sel), MIN((int)n - 2, 8));
        put_value(m, t + n - 2, sel, 2);
    } else if (!strcmp(row, "POP_SEG") || !strcmp(row, "MOV_SEG") || selector_in(row)) {
        put_value(m, t, segments_pick_data(m->r), 2);
    } else if (starts(row, "XRSTOR") || (starts(row, "XSAVE") && rnd_one_in(m->r, 2))) {
        put_xsave_image(m, t, true);
    } else if (starts(row, "FXRSTOR")) {
        put_xsave_image(m, t, false);
    } else if (!strcmp(row, "FLDENV") || !strcmp(row, "FRSTOR")) {
        put_x87_image(m, t, o->size);
    } else if ((!strcmp(row, "LDMXCSR") || !strcmp(row, "VLDMXCSR")) && !rnd_one_in(m->r, 8)) {
        put_value(m, t, value_mxcsr(m->r), 4);
    } else if (starts(row, "CMPXCHG") && rnd_one_in(m->r, 2)) {
        u64 *g = m->c->in.gpr;
        int half = (int)n / 2;
        put_value(m, t, g[RAX], !strcmp(row, "CMPXCHG") ? (int)n : half);
        if (strcmp(row, "CMPXCHG"))
            put_value(m, t + (u64)half, g[RDX], half);
    }
    if (starts(row, "XSAVE") || starts(row, "FXSAVE"))
        put_value(m, t + 30, 0, 1); /* session.c: MXCSR_MASK */
}

static void string_count(struct maker *m)
{
    u64 mask = width_mask(m->s->asize);
    u64 n = rnd_below(m->r, 6);
    if (rnd_one_in(m->r, 10))
        n = 20;
    set_address(m, m->s->asize, RCX, n & mask);
}

static void gather_indices(struct maker *m, const struct shape_op *o)
{
    u8 *x = m->c->in.xsave;
    bool wide = strstr(m->row, "GATHERQ") != NULL;
    for (int k = 0; k < 32; k += wide ? 8 : 4) {
        u8 *e = x + (k < 16 ? 160 + k : 576 + k - 16) + 16 * o->index;
        i64 v = (i64)rnd_below(m->r, 200) - 60;
        if (wide)
            st_u64(e, (u64)v);
        else
            st_u32(e, (u32)v);
    }
}

static void memory_operand(struct maker *m, const struct shape_op *o)
{
    u32 n = reach_size(m, o);
    bool stack = o->base == RSP || (o->base == RBP && o->hidden);
    bool bits = starts(m->row, "BT") && m->s->op[1].kind == SHAPE_GPR;
    u64 t;

    if (o->agen)
        return;
    if (stack && !(m->fixed & 1 << RSP)) { /* room on both sides, but for some */
        t = place(m, n, true);
        if (rnd_one_in(m->r, 10))
            t = AREA_STACK + rnd_below(m->r, 16);
    } else {
        t = place(m, n, m->c->bits == 16 && o->seg == SEG_SS);
    }
    if (o->vsib)
        gather_indices(m, o);
    bool by_stack = !o->hidden && (o->base == RSP || o->base == RBP); /* #SS, not #GP */
    if (m->c->bits == 64 && m->s->asize == 8 && rnd_one_in(m->r, by_stack ? 6 : 24))
        t = (rnd_next(m->r) & 0x00007fffffffffff) | 0x5a5a000000000000; /* not canonical */
    if (o->seg == SEG_GS && m->c->bits != 64 && rnd_one_in(m->r, 3))    /* about the limit */
        t = GS_BASE + GS_LIMIT + 1 - n - 2 + rnd_below(m->r, 5);
    if (m->c->bits == 16 && o->seg != SEG_GS && rnd_one_in(m->r, 8))
        t = (o->seg == SEG_SS ? STACK16_BASE + STACK16_LIMIT : DATA16_BASE + DATA16_LIMIT) + 1 - n -
            2 + rnd_below(m->r, 5);
    u64 got = reach(m, o, t);
    if (!o->hidden) {
        m->c->operand = got;
        m->c->operand_size = (u16)n;
    }
    fill_operand(m, o, got, n);
    u8 around[256];
    if (stack && o->hidden) { /* whatever the width turns out to be, and frames of ENTER */
        value_fill(m->r, around, 128);
        put(m, got - 64, around, 64);
        put(m, got + n, around + 64, 64);
    }
    if (bits || o->vsib || m->s->rep) {
        int w = bits ? 256 : 128;
        value_fill(m->r, around, w);
        put(m, got - (u64)w / 2, around, w / 2);
        put(m, got + n, around + w / 2, w / 2);
    }
}

/* ---- registers that mean something ----------------------------------------------------------- */
static void special_registers(struct maker *m)
{
    u64 *g = m->c->in.gpr;
    const char *row = m->row;
    struct rnd *r = m->r;

    if (m->s->rep)
        string_count(m);
    if (starts(row, "BT") && m->s->op[1].kind == SHAPE_GPR && m->s->op[0].kind == SHAPE_MEM) {
        u64 v = (u64)(i64)(i16)(rnd_next(r) & 0xffff) >> 0;
        v = (u64)((i64)v >> 5);
        g[m->s->op[1].reg] = m->c->bits != 64 ? (u32)v : v;
        m->fixed |= (u16)(1 << m->s->op[1].reg);
    }
    if ((!strcmp(row, "DIV") || !strcmp(row, "IDIV")) && !rnd_one_in(r, 4)) {
        u32 size = m->s->op[0].size;
        bool neg = row[0] == 'I' && rnd_one_in(r, 2);
        if (size == 1)
            g[RAX] = (g[RAX] & ~0xffffull) | (neg ? 0xff80 | rnd_below(r, 128) : rnd_below(r, 600));
        else
            g[RDX] = neg ? (m->c->bits != 64 ? 0xffffffff : ~0ull) : rnd_below(r, 3);
    }
    if (starts(row, "XSAVE") || starts(row, "XRSTOR")) { /* components that all hosts have */
        g[RAX] = rnd_below(r, 8);
        g[RDX] = 0;
        m->fixed |= 1 << RAX | 1 << RDX;
    }
    if (starts(row, "PCMPESTR") || starts(row, "VPCMPESTR")) {
        if (rnd_one_in(r, 2))
            g[RAX] = (u32)rnd_below(r, 40) - 20;
        if (rnd_one_in(r, 2))
            g[RDX] = (u32)rnd_below(r, 40) - 20;
    }
    if (!strcmp(row, "MOV_SEG") || selector_in(row))
        for (int k = 0; k < m->s->n; k++)
            if (m->s->op[k].kind == SHAPE_GPR && m->s->op[k].read) {
                u64 *p = &g[m->s->op[k].reg];
                *p = (*p & ~0xffffull) | segments_pick_data(r);
                m->fixed |= (u16)(1 << m->s->op[k].reg);
            }
    if ((!strcmp(row, "WRFSBASE") || !strcmp(row, "WRGSBASE")) && !rnd_one_in(r, 4))
        g[m->s->op[0].reg] = (u64)((i64)(rnd_next(r) << 17) >> 17);
    if ((!strcmp(row, "JMP") || !strcmp(row, "CALL")) && m->s->op[0].kind == SHAPE_GPR &&
        !rnd_one_in(r, 6))
        g[m->s->op[0].reg] = code_address(m);
}

static void place_code(struct maker *m)
{
    u32 len = m->s->len;
    u64 end = m->c->bits == 16 ? CODE16_BASE + CODE16_LIMIT + 1 : AREA_CODE + AREA_BYTES;
    u64 at = AREA_CODE + 0x100 + rnd_below(m->r, 0xe00);
    switch (rnd_below(m->r, 40)) {
    case 0:
    case 1: /* across the pages */
        if (len > 1)
            at = AREA_CODE + 4096 - 1 - rnd_below(m->r, len - 1);
        break;
    case 2: /* up to the end */
        at = end - len;
        break;
    case 3: /* and beyond */
        if (len > 1)
            at = end - 1 - rnd_below(m->r, len - 1);
        break;
    default:
        break;
    }
    m->c->in.rip = at - code_linear(m->c->bits, 0);
}

/* A branch whose displacement could leave a small segment stays in it. */
static void to_code(struct maker *m)
{
    u64 d = code_address(m) - (m->c->in.rip + m->s->len);
    for (int k = 0; k < m->s->imm_size; k++)
        m->code[m->s->imm_at + k] = (u8)(d >> 8 * k);
}

static bool dangerous(const struct maker *m)
{
    if (strcmp(m->row, "INT"))
        return false;
    u8 n = m->code[m->s->len - 1];
    return n == 0x80 || n == 1 || n == 3 || n == 4; /* Linux has user gates for the latter */
}

/* LOCK where it must not be: #UD. The instruction is the same otherwise. */
static void lock_wrongly(const struct testbed *tb, struct maker *m)
{
    u8 b[24] = {0xf0};
    struct insn_shape s;
    memcpy(b + 1, m->code, 15);
    if (!code_reaches(m->c->bits,
                      m->c->in.rip + m->s->len)) /* which of #UD and #PF is a matter of taste */
        return;
    /* AMD: CR8 without REX; and VERW takes the prefix */
    if (!strcmp(m->row, "MOV_CR") || !strcmp(m->row, "VERW"))
        return;
    if (m->s->len == 15 || insns_shape(tb, m->c->bits, b, 15, &s))
        return;
    memcpy(m->code, b, 16);
    m->s->len++;
    m->c->len++;
    m->c->rep = false;
}

/* Everything but the code, which m has already. */
static bool fill(const struct testbed *tb, int bits, struct maker *m)
{
    struct host_case *c = m->c;
    struct insn_shape *shape = m->s;
    struct insns_row row;
    struct rnd *r = m->r;

    memset(m->set, 0, sizeof(m->set));
    m->fixed = 0;
    insns_row(shape->row, &row);
    m->row = row.name;
    c->bits = bits;
    c->len = shape->len;
    c->rep = shape->rep;
    for (int k = 0; k < shape->n; k++)
        c->rep |= shape->op[k].vsib; /* gathers let traps in between their elements */
    c->max_steps = 64;
    c->operand_size = 0;

    for (int k = 0; k < 16; k++) {
        u64 v = value_int(r);
        c->in.gpr[k] = bits == 64 ? v : k < 8 ? (u32)v : 0;
    }
    value_xsave(r, c->in.xsave);
    c->in.rflags = 0x202 | (rnd_next(r) & FLAGS_ARITH);
    if (rnd_one_in(r, 4))
        c->in.rflags |= FLAG_DF;
    if (rnd_one_in(r, 12))
        c->in.rflags |= FLAG_AC;
    place_code(m);
    if (is_far(m->row) && !shape->modrm_at && (m->row[0] == 'J' || m->row[0] == 'C')) {
        u16 sel = segments_pick_code(r); /* ptr16:16, ptr16:32 */
        u64 to = far_offset(m, sel);
        memcpy(m->code + shape->len - 2 - shape->osize, &to, shape->osize);
        memcpy(m->code + shape->len - 2, &sel, 2);
    }
    if (bits == 16 && shape->relative && shape->imm_size > 1 && rnd_one_in(r, 2))
        to_code(m);
    special_registers(m);
    for (int hidden = 1; hidden >= 0; hidden--) /* the stack pointer first: it may be a base too */
        for (int k = 0; k < shape->n; k++)
            if (shape->op[k].kind == SHAPE_MEM && shape->op[k].hidden == hidden)
                memory_operand(m, &shape->op[k]);
    if (!strcmp(m->row, "ENTER") || !strcmp(m->row, "LEAVE")) {
        u64 sp = AREA_STACK + 256 + rnd_below(r, AREA_BYTES - 512), b[16];
        value_fill(r, (u8 *)b, 128);
        if (!rnd_one_in(r, 4))
            c->in.gpr[RBP] = sp - stack_base(m);
        put(m, stack_base(m) + (c->in.gpr[RBP] & width_mask(bits / 8)) - 64, (u8 *)b, 128);
        if (m->row[0] == 'E' && !rnd_one_in(r, 6)) { /* a frame that fits */
            m->code[shape->imm_at + 1] = 0;
            m->code[shape->imm_at + 2] &= 0x0f;
        }
    }
    if (dangerous(m))
        return false;
    if (rnd_one_in(r, 40))
        lock_wrongly(tb, m);
    put(m, code_linear(bits, c->in.rip), m->code, shape->len);
    c->n_in = 0;
    for (int k = 0; k < ARENA_BYTES && c->n_in < HOST_CELLS; k++)
        if (m->set[k])
            c->mem_in[c->n_in++] = (struct host_cell){(u32)arena_address(k), m->image[k]};
    return true;
}

bool inputs_make(const struct testbed *tb, const struct form *f, struct rnd *r, struct host_case *c,
                 struct insn_shape *shape)
{
    struct maker m = {.r = r, .c = c, .s = shape};
    form_make(tb, f, r, m.code, shape);
    return fill(tb, f->bits, &m);
}

bool inputs_for(const struct testbed *tb, int bits, const u8 *bytes, int n, struct rnd *r,
                struct host_case *c, struct insn_shape *shape)
{
    struct maker m = {.r = r, .c = c, .s = shape};
    n = MIN(n, 15);
    memcpy(m.code, bytes, (size_t)n);
    return insns_shape(tb, bits, m.code, n, shape) && fill(tb, bits, &m);
}
