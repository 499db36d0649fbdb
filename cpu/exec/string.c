/*
 * cpu/exec/string.c - MOVS CMPS SCAS LODS STOS, alone and repeated.
 *
 * Repetitions work a page at a time where all sides are plain RAM; everything else goes element by
 * element. Code pages, devices and watched pages are never plain (mem_rmw gives NULL).
 * Manuals: AMD APM vol. 3, 1.2.6 (repeat prefixes); a REP can be interrupted after any iteration.
 */
#include "cpu/alu_priv.h"
#include "cpu/exec/rows_priv.h"
#include "cpu/exec/string_priv.h"

/* Elements moved one by one after host memory could not be had twice in a row (once: an element
 * lies across two pages), before it is asked for again. */
enum { SLOW_RUN = 32 };

static always_inline u64 load(const u8 *p, int size)
{
    return size == 1 ? *p : size == 2 ? ld_u16(p) : size == 4 ? ld_u32(p) : ld_u64(p);
}
static always_inline void store(u8 *p, int size, u64 v)
{
    if (size == 1)
        *p = (u8)v;
    else if (size == 2)
        st_u16(p, (u16)v);
    else if (size == 4)
        st_u32(p, (u32)v);
    else
        st_u64(p, v);
}

/* Calls BODY with a constant element size. */
#define WITH_SIZE(call)                                                                            \
    switch (i->osize) {                                                                            \
    case 1:                                                                                        \
        call(cpu, i, 1);                                                                           \
        break;                                                                                     \
    case 2:                                                                                        \
        call(cpu, i, 2);                                                                           \
        break;                                                                                     \
    case 4:                                                                                        \
        call(cpu, i, 4);                                                                           \
        break;                                                                                     \
    default:                                                                                       \
        call(cpu, i, 8);                                                                           \
        break;                                                                                     \
    }

/* ES:rDI; where segmentation is flat the decoder has said so for the source already. */
static always_inline int dest_seg(const struct cpu *cpu)
{
    return cpu->key & (KEY_FLAT | KEY_64) ? SEG_FLAT : SEG_ES;
}

/* ---- MOVS ----------------------------------------------------------------------------------- */
static always_inline void movs_one(struct cpu *cpu, const struct insn *i, int size)
{
    gva si = addr_mask(cpu->gpr[RSI], i->asize), di = addr_mask(cpu->gpr[RDI], i->asize);
    mem_write(cpu, dest_seg(cpu), di, mem_read(cpu, i->seg, si, size), size);
    str_advance(cpu, i, RSI, str_step(cpu, size, 1));
    str_advance(cpu, i, RDI, str_step(cpu, size, 1));
}

/* Moves some elements upwards by host memory; returns how many (0: none could be). */
static always_inline u64 movs_bulk(struct cpu *cpu, const struct insn *i, int size, u64 n)
{
    gva si = addr_mask(cpu->gpr[RSI], i->asize), di = addr_mask(cpu->gpr[RDI], i->asize);
    int ds = dest_seg(cpu);
    const u8 *s = mem_read_ptr(cpu, i->seg, si, size);
    if (!s)
        return 0;
    u8 *d = mem_rmw(cpu, ds, di, size);
    if (!d)
        return 0;
    n = str_room(cpu, i, i->seg, si, s, size, n);
    n = str_room(cpu, i, ds, di, d, size, n);
    u64 bytes = n * (u64)size;
    if (d <= s || d >= s + bytes) {
        memmove(d, s, bytes);
    } else { /* the destination runs ahead: the pattern repeats, element by element */
        for (u64 k = 0; k < bytes; k += (u64)size)
            store(d + k, size, load(s + k, size));
    }
    str_advance(cpu, i, RSI, (i64)bytes);
    str_advance(cpu, i, RDI, (i64)bytes);
    return n;
}

static always_inline void movs(struct cpu *cpu, const struct insn *i, int size)
{
    if (!is_rep(i)) {
        movs_one(cpu, i, size);
        return;
    }
    u64 n = rep_count(cpu, i), budget = REP_BUDGET, slow = 0;
    bool again = false; /* it was not to be had the last time */
    while (n) {
        u64 done = 0;
        if (slow)
            slow--;
        else if (!(cpu->flsys & FL_DF) && !(cpu->pending & PEND_STEP))
            done = movs_bulk(cpu, i, size, n);
        if (done) {
            again = false;
        } else {
            slow = slow || !again ? slow : SLOW_RUN;
            again = true;
            movs_one(cpu, i, size);
            done = 1;
        }
        rep_done(cpu, i, done);
        n -= done;
        budget -= MIN(budget, done);
        if (n && (!budget || rep_should_pause(cpu))) {
            rep_pause(cpu, i);
            return;
        }
    }
}

void exec_movs(struct cpu *cpu, const struct insn *i)
{
    WITH_SIZE(movs)
}

/* ---- STOS ----------------------------------------------------------------------------------- */
static always_inline void stos_one(struct cpu *cpu, const struct insn *i, int size)
{
    gva di = addr_mask(cpu->gpr[RDI], i->asize);
    mem_write(cpu, dest_seg(cpu), di, gpr_read(cpu, RAX, size), size);
    str_advance(cpu, i, RDI, str_step(cpu, size, 1));
}

static always_inline u64 stos_bulk(struct cpu *cpu, const struct insn *i, int size, u64 n)
{
    gva di = addr_mask(cpu->gpr[RDI], i->asize);
    int ds = dest_seg(cpu);
    u8 *d = mem_rmw(cpu, ds, di, size);
    if (!d)
        return 0;
    n = str_room(cpu, i, ds, di, d, size, n);
    u64 bytes = n * (u64)size, v = gpr_read(cpu, RAX, size);
    if (v == (u8)v * (size_mask(size) / 0xff)) {
        memset(d, (u8)v, bytes);
    } else {
        for (u64 k = 0; k < bytes; k += (u64)size)
            store(d + k, size, v);
    }
    str_advance(cpu, i, RDI, (i64)bytes);
    return n;
}

static always_inline void stos(struct cpu *cpu, const struct insn *i, int size)
{
    if (!is_rep(i)) {
        stos_one(cpu, i, size);
        return;
    }
    u64 n = rep_count(cpu, i), budget = REP_BUDGET, slow = 0;
    bool again = false; /* it was not to be had the last time */
    while (n) {
        u64 done = 0;
        if (slow)
            slow--;
        else if (!(cpu->flsys & FL_DF) && !(cpu->pending & PEND_STEP))
            done = stos_bulk(cpu, i, size, n);
        if (done) {
            again = false;
        } else {
            slow = slow || !again ? slow : SLOW_RUN;
            again = true;
            stos_one(cpu, i, size);
            done = 1;
        }
        rep_done(cpu, i, done);
        n -= done;
        budget -= MIN(budget, done);
        if (n && (!budget || rep_should_pause(cpu))) {
            rep_pause(cpu, i);
            return;
        }
    }
}

void exec_stos(struct cpu *cpu, const struct insn *i)
{
    WITH_SIZE(stos)
}

/* ---- LODS CMPS SCAS ---------------------------------------------------------------------------
 */
static always_inline void lods_one(struct cpu *cpu, const struct insn *i, int size)
{
    gva si = addr_mask(cpu->gpr[RSI], i->asize);
    gpr_write(cpu, RAX, size, mem_read(cpu, i->seg, si, size));
    str_advance(cpu, i, RSI, str_step(cpu, size, 1));
}

static always_inline void compare(struct cpu *cpu, int size, u64 a, u64 b)
{
    if (size == 1)
        alu_cmp8((u8)a, (u8)b, &cpu->fl);
    else if (size == 2)
        alu_cmp16((u16)a, (u16)b, &cpu->fl);
    else if (size == 4)
        alu_cmp32((u32)a, (u32)b, &cpu->fl);
    else
        alu_cmp64(a, b, &cpu->fl);
}

static always_inline void cmps_one(struct cpu *cpu, const struct insn *i, int size)
{
    gva si = addr_mask(cpu->gpr[RSI], i->asize), di = addr_mask(cpu->gpr[RDI], i->asize);
    u64 b = mem_read(cpu, dest_seg(cpu), di, size); /* first, as silicon does: which one faults */
    u64 a = mem_read(cpu, i->seg, si, size);
    compare(cpu, size, a, b);
    str_advance(cpu, i, RSI, str_step(cpu, size, 1));
    str_advance(cpu, i, RDI, str_step(cpu, size, 1));
}

static always_inline void scas_one(struct cpu *cpu, const struct insn *i, int size)
{
    gva di = addr_mask(cpu->gpr[RDI], i->asize);
    compare(cpu, size, gpr_read(cpu, RAX, size), mem_read(cpu, dest_seg(cpu), di, size));
    str_advance(cpu, i, RDI, str_step(cpu, size, 1));
}

/* How many elements, at most n, lie in host memory upwards and do not end the repetition. The last
 * one that could is left to the ordinary way, which sets the flags. */
static always_inline bool skips(const struct cpu *cpu)
{
    return !(cpu->flsys & FL_DF) && !(cpu->pending & PEND_STEP);
}

static always_inline u64 lods_skip(struct cpu *cpu, const struct insn *i, int size, u64 n)
{
    return 0;
}

static always_inline u64 scas_skip(struct cpu *cpu, const struct insn *i, int size, u64 n)
{
    gva di = addr_mask(cpu->gpr[RDI], i->asize);
    const u8 *p = skips(cpu) ? mem_read_ptr(cpu, dest_seg(cpu), di, size) : NULL;
    if (!p)
        return 0;
    n = str_room(cpu, i, dest_seg(cpu), di, p, size, n);
    u64 k = 0, a = gpr_read(cpu, RAX, size);
    bool equal = i->flags & INF_REP;
    while (k + 1 < n && (load(p + k * (u64)size, size) == a) == equal)
        k++;
    if (k) /* else upper halves stay */
        str_advance(cpu, i, RDI, (i64)k * size);
    return k;
}

static always_inline u64 cmps_skip(struct cpu *cpu, const struct insn *i, int size, u64 n)
{
    gva si = addr_mask(cpu->gpr[RSI], i->asize), di = addr_mask(cpu->gpr[RDI], i->asize);
    int ds = dest_seg(cpu);
    const u8 *d = skips(cpu) ? mem_read_ptr(cpu, ds, di, size) : NULL;
    const u8 *s = d ? mem_read_ptr(cpu, i->seg, si, size) : NULL;
    if (!s)
        return 0;
    n = str_room(cpu, i, ds, di, d, size, n);
    n = str_room(cpu, i, i->seg, si, s, size, n);
    u64 k = 0;
    bool equal = i->flags & INF_REP;
    while (k + 1 < n && (load(s + k * (u64)size, size) == load(d + k * (u64)size, size)) == equal)
        k++;
    if (k) {
        str_advance(cpu, i, RSI, (i64)k * size);
        str_advance(cpu, i, RDI, (i64)k * size);
    }
    return k;
}

/* COND: go on after an element (REPE and REPNE look at ZF; LODS does not). */
#define REPEATED(op, COND)                                                                         \
    static always_inline void op(struct cpu *cpu, const struct insn *i, int size)                  \
    {                                                                                              \
        if (!is_rep(i)) {                                                                          \
            op##_one(cpu, i, size);                                                                \
            return;                                                                                \
        }                                                                                          \
        u64 n = rep_count(cpu, i);                                                                 \
        bool want_zf unused_arg = i->flags & INF_REP;                                              \
        for (int budget = REP_BUDGET; n; n--, budget--) {                                          \
            if (budget < REP_BUDGET && (!budget || rep_should_pause(cpu))) {                       \
                rep_pause(cpu, i);                                                                 \
                return;                                                                            \
            }                                                                                      \
            u64 skipped = op##_skip(cpu, i, size, n);                                              \
            if (skipped)                                                                           \
                rep_done(cpu, i, skipped);                                                         \
            n -= skipped;                                                                          \
            op##_one(cpu, i, size);                                                                \
            rep_done(cpu, i, 1);                                                                   \
            if (!(COND))                                                                           \
                return;                                                                            \
        }                                                                                          \
    }                                                                                              \
    void exec_##op(struct cpu *cpu, const struct insn *i)                                          \
    {                                                                                              \
        WITH_SIZE(op)                                                                              \
    }
REPEATED(lods, true)
REPEATED(cmps, fl_zf(cpu) == want_zf)
REPEATED(scas, fl_zf(cpu) == want_zf)
