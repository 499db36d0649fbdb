/*
 * cpu/exec/string_priv.h - what string instructions share: pointers that step, REP that yields.
 *
 * You are here: string.c (MOVS..STOS) and io.c (INS, OUTS). Registers are committed after every
 * iteration (or chunk of iterations that cannot fault), so a fault or a pause needs no rollback:
 * the instruction is simply executed again with what is left.
 */
#ifndef CPU_EXEC_STRING_PRIV_H
#define CPU_EXEC_STRING_PRIV_H

#include "cpu/exec_priv.h"

/* Iterations before a REP lets the run loop look around. */
enum { REP_BUDGET = 65536 };

static always_inline bool is_rep(const struct insn *i)
{
    return i->flags & (INF_REP | INF_REPNE);
}

static always_inline u64 rep_count(const struct cpu *cpu, const struct insn *i)
{
    return addr_mask(cpu->gpr[RCX], i->asize);
}

/* Bytes to add to a pointer after `n` elements. */
static always_inline i64 str_step(const struct cpu *cpu, int size, i64 n)
{
    return cpu->flsys & FL_DF ? -(i64)size * n : (i64)size * n;
}

static always_inline void str_advance(struct cpu *cpu, const struct insn *i, int reg, i64 by)
{
    gpr_write(cpu, reg, i->asize, cpu->gpr[reg] + (u64)by);
}

static always_inline void rep_done(struct cpu *cpu, const struct insn *i, u64 n)
{
    gpr_write(cpu, RCX, i->asize, cpu->gpr[RCX] - n);
}

/* Something waits for the end of the instruction. Not the end of the slice: how many instructions a
 * REP counts as must not depend on where a run was cut into slices, nor on how an engine counts. */
static always_inline bool rep_should_pause(const struct cpu *cpu)
{
    return cpu->pending != 0 || cpu->cut || cpu->dr6_pending != 0;
}

/* Back to the instruction's own start: it goes on when it is executed again. */
static always_inline void rep_pause(struct cpu *cpu, const struct insn *i)
{
    u64 start = cpu->rip - i->len;
    if ((cpu->key & KEY_DMODE) != KEY_64)
        start = (u32)start;
    if ((cpu->key & KEY_DMODE) == KEY_16 && cpu->rip <= 0xffff)
        start = (u16)start;
    cpu->rip = start;
}

/* How many elements of `size` from [seg:off] upwards lie in one page, in the segment and below the
 * address size's wrap; at most n; 0: take the slow way. The first element's own access decides
 * about faults. */
static always_inline u64 str_room(const struct cpu *cpu, const struct insn *i, int s, gva off,
                                  const u8 *host, int size, u64 n)
{
    u64 bytes = PAGE_SIZE - ((u64)(uintptr_t)host & (PAGE_SIZE - 1));
    if (i->asize != 8) {
        u64 top = (i->asize == 2 ? 0x10000ull : 0x100000000ull) - off;
        bytes = MIN(bytes, top);
    }
    if (s != SEG_FLAT && cpu->mode != MODE_LONG64) {
        const struct seg *sg = &cpu->seg[s];
        if (!sg->rok || off > sg->limit)
            return 0;
        bytes = MIN(bytes, (u64)sg->limit - off + 1);
    }
    return MIN(bytes / (u64)size, n);
}

#endif
