/*
 * frontends/lockstep/program.c - makes up programs.
 *
 * Opcodes and operands are drawn blindly; the machine's own decoder says what they are
 * (machine/insns.h), so that every row of the table comes up without a list here. What is known of
 * an encoding is used to keep addresses inside the data and counts small, most of the time.
 */
#include "frontends/lockstep/program.h"
#include "base/bits.h"
#include "machine/insns.h"

#include <string.h>

enum { PAGE_P = 1, PAGE_W = 2, PAGE_U = 4 };
enum { SOME_LIMIT = 0x77f0 }; /* about where segments end, in setups with all kinds of them */

u64 random_next(u64 *s)
{
    u64 z = *s += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

static const struct {
    const char *name;
    u8 bits;
    bool ring3;
} setups[SETUPS] = {
    [SETUP_LONG] = {"long", 64, true},     [SETUP_COMPAT] = {"compat", 32, true},
    [SETUP_PROT] = {"prot", 32, true},     [SETUP_PROT_ODD] = {"odd", 32, true},
    [SETUP_REAL] = {"real", 16, false},    [SETUP_PROT16] = {"prot16", 16, true},
    [SETUP_V86] = {"v86", 16, true},       [SETUP_SEGS] = {"segs", 32, true},
    [SETUP_SEGS16] = {"segs16", 16, true},
};

int setup_bits(enum setup s)
{
    return setups[s].bits;
}

bool setup_ring3(enum setup s)
{
    return setups[s].ring3;
}

const char *setup_name(enum setup s)
{
    return setups[s].name;
}

int setup_find(const char *name)
{
    for (int k = 0; k < SETUPS; k++)
        if (!strcmp(setups[k].name, name))
            return k;
    return -1;
}

/* Segments begin where code and data do. */
static bool segmented(enum setup s)
{
    return setups[s].bits == 16 || s == SETUP_PROT_ODD || s == SETUP_SEGS;
}

u64 setup_code_base(enum setup s)
{
    return segmented(s) ? AT_CODE : 0;
}

/* Where data begins as an offset in DS. */
static u64 data_start(enum setup s)
{
    return segmented(s) ? 0 : AT_DATA;
}

/* ---- making ---------------------------------------------------------------------------------- */
struct maker {
    struct program *p;
    const struct testbed *tb;
    u64 seed;
    int bits;
    bool pointer[16]; /* the register holds an address in the data */
    bool small[16];   /* ... or a small number */
};

static u64 draw(struct maker *m)
{
    return random_next(&m->seed);
}

static bool chance(struct maker *m, u32 in_256)
{
    return (draw(m) & 255) < in_256;
}

static struct item *add(struct maker *m, const u8 *bytes, int len)
{
    if (m->p->n >= PROGRAM_MAX)
        return NULL;
    struct item *i = &m->p->item[m->p->n++];
    memset(i, 0, sizeof(*i));
    memcpy(i->bytes, bytes, (size_t)len);
    i->len = (u8)len;
    return i;
}

/* mov reg, v in the width of the mode */
static void load(struct maker *m, int reg, u64 v)
{
    u8 b[12];
    int n = 0;
    if (reg > 7)
        b[n++] = 0x41;
    b[n++] = (u8)(0xb8 | (reg & 7));
    for (int k = 0; k < (m->bits == 16 ? 2 : 4); k++)
        b[n++] = (u8)(v >> 8 * k);
    add(m, b, n);
    m->pointer[reg] = m->small[reg] = false;
}

static u64 data_address(struct maker *m)
{
    u64 r = draw(m), off = r & 0xfff8;
    if ((r >> 16 & 15) == 0)
        off |= r >> 20 & 7;
    if ((r >> 24 & 31) == 0)
        off = 0xfff0 | (r & 15); /* on to the page that is read only */
    if ((r >> 32 & 63) == 0 && m->bits != 16)
        off = 0x10ff0 | (r & 15); /* ... and out of the data */
    if ((r >> 38 & 7) == 0 && (m->p->setup == SETUP_SEGS || m->p->setup == SETUP_SEGS16))
        off = SOME_LIMIT - 4 + (r & 15);
    return data_start(m->p->setup) + off;
}

static void want_pointer(struct maker *m, int reg)
{
    if (reg >= 16 || m->pointer[reg] || chance(m, 16))
        return;
    load(m, reg,
         reg == 4 ? data_start(m->p->setup) + 0x8000 + (draw(m) & 0x3ff8) : data_address(m));
    m->pointer[reg] = true;
}

static void want_small(struct maker *m, int reg, u64 most)
{
    if (reg >= 16 || m->small[reg] || chance(m, 16))
        return;
    load(m, reg, draw(m) % (most + 1));
    m->small[reg] = true;
}

static int draw_prefixes(struct maker *m, u8 *b)
{
    static const u8 prefix[] = {0x66, 0x66, 0x66, 0xf2, 0xf3, 0xf3, 0x67,
                                0xf0, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65};
    int n = 0;
    while (n < 3 && chance(m, n ? 32 : 100))
        b[n++] = prefix[draw(m) % sizeof(prefix)];
    return n;
}

/* Bytes that may be an instruction; 24 are filled. */
static void draw_bytes(struct maker *m, u8 *b)
{
    static const u8 lock[] = {0x01, 0x09, 0x11, 0x21, 0x29, 0x31, 0x81, 0x83, 0x87, 0xff, 0xfe};
    u64 r = draw(m);
    int n = 0;
    for (int k = 0; k < 24; k++)
        b[k] = (u8)draw(m);
    switch (r & 15) {
    case 0: /* VEX */
    case 1:
        b[n++] = 0xc5;
        break;
    case 2:
    case 3: {
        u8 map = (u8)(1 + (r >> 8) % 3);
        b[n++] = 0xc4;
        b[n] = (u8)((b[n] & 0xe0) | map);
        if (r >> 16 & 1)
            b[n] |= 0xe0; /* as 32-bit code can say it */
        n++;
        if (r >> 17 & 1)
            b[n] |= 0x78; /* no second source */
        n++;
        break;
    }
    default:
        n = draw_prefixes(m, b);
        if (m->bits == 64 && (r >> 8 & 1))
            b[n++] = (u8)(0x40 | (r >> 9 & 15));
        switch (r >> 20 & 7) {
        case 0:
        case 1:
        case 2:
            b[n++] = 0x0f;
            break;
        case 3:
            b[n++] = 0x0f;
            b[n++] = r >> 24 & 1 ? 0x38 : 0x3a;
            break;
        case 4:
            b[n] = (u8)(0xd8 | (r >> 24 & 7)); /* x87 */
            break;
        case 5:
            if (r >> 24 & 1)
                b[n] = lock[(r >> 25) % sizeof(lock)];
            break;
        default:
            break;
        }
    }
}

static bool usable(struct maker *m, const u8 *b, struct insn_shape *s)
{
    struct insns_row row;
    if (!insns_shape(m->tb, m->bits, b, 15, s) || !insns_row(s->row, &row))
        return false;
    if (row.user)
        return !row.system || chance(m, 64);
    return setup_ring3(m->p->setup) && chance(m, 16); /* it faults */
}

/* The item's displacement becomes a small one, or inside the data where nothing else gives one. */
static void fix_displacement(struct maker *m, u8 *b, const struct insn_shape *s,
                             const struct shape_op *mem)
{
    u64 v;
    if (!s->disp_at)
        return;
    if (mem->ip)
        v = 0x10000 + (draw(m) & 0x7ff8); /* code is a page or so: lands in the data */
    else if (mem->base == SHAPE_NONE && mem->index == SHAPE_NONE)
        v = data_address(m);
    else
        v = (u64)(i64)(i8)draw(m);
    if (chance(m, 4))
        return; /* anywhere */
    for (int k = 0; k < s->disp_size; k++)
        b[s->disp_at + k] = (u8)(v >> 8 * k);
}

static void prepare_operands(struct maker *m, u8 *b, const struct insn_shape *s)
{
    for (int k = 0; k < s->n; k++) {
        const struct shape_op *o = &s->op[k];
        if (o->kind != SHAPE_MEM || o->agen)
            continue;
        if (!o->hidden)
            fix_displacement(m, b, s, o);
        if (o->base != SHAPE_NONE)
            want_pointer(m, o->base);
        if (o->index != SHAPE_NONE && !o->vsib)
            want_small(m, o->index, 64);
    }
    if (s->rep)
        want_small(m, 1, 12);
    for (int k = 0; k < s->n; k++) {
        const struct shape_op *o = &s->op[k];
        if ((o->kind == SHAPE_GPR || o->kind == SHAPE_GPRH) && o->write && o->reg < 16)
            m->pointer[o->reg & (o->kind == SHAPE_GPRH ? 3 : 15)] =
                m->small[o->reg & (o->kind == SHAPE_GPRH ? 3 : 15)] = false;
    }
    m->small[1] = m->small[1] && !s->rep;
    if (s->rep) /* MOVS and the like move them a little */
        m->pointer[6] = m->pointer[7] = false;
}

static bool is_branch(const struct insn_shape *s)
{
    for (int k = 0; k < s->n; k++)
        if (s->op[k].kind == SHAPE_MEM && s->op[k].ip)
            return false;
    return s->relative && s->imm_at;
}

static void add_drawn(struct maker *m)
{
    struct insn_shape s;
    u8 b[24];
    for (int tries = 0; tries < 200; tries++) {
        draw_bytes(m, b);
        if (!usable(m, b, &s))
            continue;
        if (is_branch(&s)) {
            if (!chance(m, 128))
                continue; /* there are many of them */
            struct item *i = add(m, b, s.len);
            if (!i)
                return;
            int at = m->p->n - 1, away = 1 + (int)(draw(m) % 4);
            i->rel_at = s.imm_at;
            i->rel_size = s.imm_size;
            i->target = (u16)(chance(m, 40) && at > away ? at - away : at + away);
            /* who comes another way comes with other registers */
            memset(m->pointer, 0, sizeof(m->pointer));
            memset(m->small, 0, sizeof(m->small));
            return;
        }
        prepare_operands(m, b, &s);
        add(m, b, s.len);
        return;
    }
}

/* A store into the program: mov byte [code], imm8, through a register. */
static void add_self_modification(struct maker *m)
{
    int reg = 3; /* (R)BX addresses memory in every mode */
    u8 b[4];
    int n = 0;
    u64 off = draw(m) % 512;
    load(m, reg, m->bits == 16 ? off : AT_CODE + off);
    if (m->bits == 16)
        b[n++] = 0x2e; /* CS; in protected mode it faults */
    b[n++] = 0xc6;
    b[n++] = m->bits == 16 ? 0x07 : 0x03;
    b[n++] = (u8)draw(m);
    add(m, b, n);
}

void program_make(struct program *p, const struct testbed *tb, enum setup setup, u64 seed,
                  int length)
{
    struct maker m = {.p = p, .tb = tb, .seed = seed * 0x2545f4914f6cdd1dull + setup};
    const char *cpu = p->cpu;
    memset(p, 0, sizeof(*p));
    p->cpu = cpu;
    p->setup = setup;
    m.bits = setup_bits(setup);
    p->state = draw(&m);
    p->pace = draw(&m) & 3 ? draw(&m) : 0;
    for (int k = 0; k < 16; k++)
        m.pointer[k] = false;
    for (int k = 0; k < length && p->n < PROGRAM_MAX; k++) {
        u64 r = draw(&m);
        if ((r & 255) < 3)
            add_self_modification(&m);
        else if ((r & 255) < 5) {
            u8 b[15];
            for (int j = 0; j < 15; j++)
                b[j] = (u8)draw(&m);
            add(&m, b, 1 + (int)(draw(&m) % 4));
        } else
            add_drawn(&m);
    }
    for (int k = 0; k < p->n; k++)
        p->item[k].target = (u16)MIN(p->item[k].target, p->n);
}

/* ---- placing --------------------------------------------------------------------------------- */
void program_layout(struct program *p, u8 *code)
{
    u16 off = 0;
    for (int k = 0; k < p->n; k++) {
        p->item[k].off = off;
        if (!p->item[k].gone)
            off = (u16)(off + p->item[k].len);
    }
    p->bytes = off;
    memset(code, 0xf4, CODE_BYTES);
    for (int k = 0; k < p->n; k++) {
        struct item *i = &p->item[k];
        if (i->gone)
            continue;
        if (i->rel_at) {
            int to = i->target < p->n ? p->item[i->target].off : off;
            i64 rel = to - (i->off + i->len);
            for (size_t j = i->rel_at; j < MIN((size_t)(i->rel_at + i->rel_size), sizeof(i->bytes));
                 j++)
                i->bytes[j] = (u8)((u64)rel >> 8 * (j - i->rel_at));
        }
        memcpy(code + i->off, i->bytes, i->len);
    }
}

int program_after(const struct program *p, u64 off)
{
    int k = 0;
    while (k < p->n && (p->item[k].off <= off || p->item[k].gone))
        k++;
    return k;
}

/* ---- state ----------------------------------------------------------------------------------- */
static u64 draw_value(u64 *s)
{
    static const u64 edge[] = {
        0,          1,      2,          0x7f,       0x80,       0xff,
        0x7fff,     0x8000, 0xffff,     0x7fffffff, 0x80000000, 0xffffffff,
        1ull << 32, ~0ull,  ~0ull >> 1, 1ull << 63, ~1ull,      0x8000ull << 32};
    u64 r = random_next(s);
    if (r & 1)
        return edge[(r >> 8) % ARRAY_LEN(edge)] + ((r >> 4 & 3) == 0 ? (r >> 40 & 3) - 1 : 0);
    return random_next(s);
}

/* Numbers as programs have them, odd ones included. */
static u64 draw_double(u64 *s)
{
    static const u64 edge[] = {0,
                               1ull << 63,
                               0x3ff0000000000000ull,
                               0xbff0000000000000ull,
                               0x7ff0000000000000ull,
                               0xfff0000000000000ull,
                               0x7ff8000000000000ull,
                               0x7ff0000000000001ull,
                               1,
                               0x000fffffffffffffull,
                               0x7fefffffffffffffull,
                               0x3f8000003f800000ull,
                               0x7f800000ff800001ull,
                               0x0000000180000001ull};
    u64 r = random_next(s);
    if ((r & 3) == 0)
        return edge[(r >> 8) % ARRAY_LEN(edge)];
    if ((r & 3) == 1) /* near 1 */
        return (random_next(s) & 0x800fffffffffffffull) | (0x3f0ull + (r >> 8 & 31)) << 52;
    return (r & 7) == 2 ? r >> 32 & 0xff : random_next(s);
}

static void make_fpu(struct cpu_regs *r, u64 *s)
{
    u64 x = random_next(s);
    u8 *f = r->xsave;
    st_u16(f, (u16)((x & 3) ? 0x37f : (0x340 | (x >> 8 & 0xc3f))));
    st_u16(f + 2, (u16)(x >> 20 & 0x4700 & ((x & 12) ? 0 : 0xffff)));
    f[4] = (u8)(x & 48 ? 0 : x >> 40);
    st_u32(f + 24, (x & 0xc0) ? 0x1f80 : (u32)(x >> 16 & 0xffff));
    for (int k = 0; k < 8; k++) {
        u64 v = random_next(s);
        st_u64(f + 32 + 16 * k, v & 1 ? v | 1ull << 63 : draw_double(s));
        st_u16(f + 40 + 16 * k, (u16)((v >> 8 & 3)  ? 0x3ff0 + (v >> 16 & 0x801f)
                                      : (v & 0x800) ? 0x7fff
                                                    : v >> 20));
    }
    for (int k = 0; k < 16; k++) {
        st_u64(f + 160 + 16 * k, draw_double(s));
        st_u64(f + 168 + 16 * k, draw_double(s));
        st_u64(f + 576 + 16 * k, draw_double(s));
        st_u64(f + 584 + 16 * k, draw_double(s));
    }
}

static struct cpu_seg_state segment(u16 sel, u64 base, u32 limit, u16 attr)
{
    return (struct cpu_seg_state){.sel = sel, .base = base, .limit = limit, .attr = attr};
}

/* One of the setups with all kinds. */
static struct cpu_seg_state any_segment(enum setup setup, int k, u64 r)
{
    bool big = setup == SETUP_SEGS;
    u32 limit = big ? 0x10fff : 0xffff;
    u16 db = big ? 0x4000 : 0;
    if (k == CPU_SEG_CS) /* some cannot be read; some end in the program */
        return segment(0x1b, AT_CODE, r & 7 ? 0xffff : (u32)(r >> 8 & 0x1ff),
                       db | (r & 0x70 ? 0xfb : 0xf9));
    if ((r >> 4 & 3) == 0)
        db ^= 0x4000; /* of SS: the stack pointer's size; expand-down: the upper end */
    u64 base = AT_DATA + (r & 0x800 ? r >> 12 & 0x1ff : 0);
    switch (r & 15) {
    case 0:
    case 1:
    case 2:
        return segment(0x23, base, SOME_LIMIT + (u32)(r >> 24 & 15), db | 0xf3);
    case 3:
    case 4: /* expand-down */
        return segment(0x23, base, SOME_LIMIT + (u32)(r >> 24 & 15), db | 0xf7);
    case 5:
        if (k != CPU_SEG_SS)
            return segment(0x23, base, limit, db | 0xf1); /* read only */
        break;
    case 6:
        if (k != CPU_SEG_SS)
            return segment(0, 0, 0, 0); /* null */
        break;
    default:
        break;
    }
    return segment(0x23, base, limit, db | 0xf3);
}

static void make_segments(enum setup setup, u64 state, struct cpu_regs *r)
{
    struct cpu_seg_state *g = r->seg;
    u64 base = setup_code_base(setup) ? AT_DATA : 0;
    for (int k = 0; k < CPU_SEGS; k++) {
        bool cs = k == CPU_SEG_CS;
        u16 kind = cs ? 0xfb : 0xf3;
        if (setup == SETUP_SEGS || setup == SETUP_SEGS16)
            g[k] = any_segment(setup, k, random_next(&state));
        else if (setup == SETUP_REAL || setup == SETUP_V86)
            g[k] = segment(cs ? AT_CODE >> 4 : AT_DATA >> 4, cs ? AT_CODE : AT_DATA, 0xffff,
                           setup == SETUP_V86 ? 0xf3 : 0x93);
        else if (setup == SETUP_PROT16)
            g[k] = segment(cs ? 0x1b : 0x23, cs ? AT_CODE : AT_DATA, 0xffff, kind);
        else if (setup == SETUP_PROT_ODD)
            g[k] = segment(cs ? 0x1b : 0x23, cs ? AT_CODE : base, cs ? 0xffff : 0x10fff,
                           0x4000 | kind);
        else
            g[k] = segment(cs ? 0x1b : 0x23, 0, 0xffffffff,
                           (u16)((setup == SETUP_LONG && cs ? 0xa000 : 0xc000) | kind));
    }
    if (setup == SETUP_REAL)
        g[CPU_SEG_CS].attr = 0x9b;
    if (setup == SETUP_LONG || setup == SETUP_COMPAT)
        g[CPU_SEG_GS].base = g[CPU_SEG_FS].base = 0x40;
    r->tr = segment(0x40, 0, 0x67, 0x8b);
}

void program_state(const struct program *p, struct cpu_regs *r, u8 *data)
{
    u64 s = p->state, x;
    memset(r, 0, sizeof(*r));
    for (u64 k = 0; k < DATA_BYTES; k += 8)
        st_u64(data + k, k & 64 ? draw_double(&s) : draw_value(&s));
    for (int k = 0; k < (setup_bits(p->setup) == 64 ? 16 : 8); k++) {
        x = random_next(&s);
        r->gpr[k] = x & 1 ? draw_value(&s) : data_start(p->setup) + (x >> 8 & 0xfff8);
        if (setup_bits(p->setup) != 64)
            r->gpr[k] = (u32)r->gpr[k];
    }
    r->gpr[4] = data_start(p->setup) + 0x9000 + (random_next(&s) & 0x1ff8);
    make_fpu(r, &s);
    make_segments(p->setup, p->state, r);
    x = random_next(&s);
    r->rflags = 0x202 | (x & 0x8d5);
    if ((x >> 32 & 7) == 0)
        r->rflags |= 0x400;
    if ((x >> 35 & 31) == 0)
        r->rflags |= 0x40000; /* alignment is checked */
    r->cr0 = 0x10;
    r->dr[6] = 0xffff0ff0;
    r->dr[7] = 0x400;
    r->xcr0 = 7;
    r->rip = setup_code_base(p->setup) ? 0 : AT_CODE;
    /* OSFXSR OSXMMEXCPT; FSGSBASE in 64-bit mode; OSXSAVE */
    r->cr4 = 0x600 | 0x40000;
    if (p->setup == SETUP_REAL)
        return;
    r->cr0 = 0x80050033;
    r->cr3 = AT_TABLES;
    r->cpl = 3;
    if (p->setup == SETUP_V86) { /* IOPL 3, or 0 */
        x = p->state;
        r->rflags |= random_next(&x) & 7 ? 0x23000 : 0x20000;
    }
    if (p->setup == SETUP_LONG || p->setup == SETUP_COMPAT) {
        r->cr4 |= 0x10020;
        r->efer = 0xd00;
    }
}

void program_tables(struct testbed *tb, enum setup setup)
{
    u64 at = AT_TABLES, e;
    bool wide = setup == SETUP_LONG || setup == SETUP_COMPAT;
    int size = wide ? 8 : 4;
    for (int level = 0; level < (wide ? 3 : 1); level++, at += PAGE_SIZE) {
        e = (at + PAGE_SIZE) | PAGE_P | PAGE_W | PAGE_U;
        testbed_write(tb, at, &e, (u64)size);
    }
    for (u64 page = 0; page < PROGRAM_RAM; page += PAGE_SIZE) {
        e = page | PAGE_P | PAGE_U;
        if (page != AT_CONST)
            e |= PAGE_W;
        if (page < AT_CODE || page > AT_CONST)
            e = 0;
        testbed_write(tb, at + (page >> PAGE_SHIFT) * (u64)size, &e, (u64)size);
    }
}
