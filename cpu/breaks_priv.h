/*
 * cpu/breaks_priv.h - what the interpreter asks about a debugger's breakpoints.
 *
 * You are here: private to cpu/: breaks.c, blocks.c, interp.c, debug.c.
 */
#ifndef CPU_BREAKS_PRIV_H
#define CPU_BREAKS_PRIV_H

#include "cpu/breaks.h"

struct breaks {
    struct cpu_break list[CPU_MAX_BREAKS];
    int n, n_exec, n_watch;
    u64 offsets[PAGE_SIZE / 64]; /* which page offsets have an execution breakpoint */
    struct cpu_break met;
    bool pass; /* the instruction at pass_at, when pass_icount have been executed, is let go */
    gla pass_at;
    u64 pass_icount;
};

static always_inline bool breaks_at_offset(const struct cpu *c, u32 off)
{
    return unlikely(c->breaks != NULL) && (c->breaks->offsets[off >> 6] >> (off & 63) & 1);
}

/* An instruction is about to be executed as number icount: whether a breakpoint stops it. Then
 * PEND_DEBUG is set. */
bool breaks_meet(struct cpu *cpu, gla lin, gpa phys, u64 icount);

/* For the mmu's watch hooks, beside the guest's debug registers. */
bool breaks_watch_page(const struct cpu *cpu, gla page);
void breaks_watch(struct cpu *cpu, gla a, u64 size, bool write);

/* blocks.c: forgets the blocks that have an instruction at this page offset. */
void blocks_forget_offset(struct cpu *cpu, u32 off);
/* blocks.c: the running block ends behind the instruction that is being executed. */
void blocks_leave_running(struct cpu *cpu);

#endif
