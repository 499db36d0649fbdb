/*
 * cpu/breaks.h - a debugger's breakpoints and watchpoints of one vCPU.
 *
 * You are here: machine/debug.c sets them, the interpreter and the mmu meet them. The guest sees
 * nothing of it: no debug register, no byte of memory, no flag changes.
 *
 * An execution breakpoint ends decoded blocks before its page offset and puts a check in front of
 * the instruction there; without breakpoints nothing is slower. A watched page has no fast TLB
 * entry, so that its accesses come by and are compared; others keep theirs.
 *
 * Thread: the vCPU's, outside cpu_run and cpu_step.
 */
#ifndef CPU_BREAKS_H
#define CPU_BREAKS_H

#include "cpu/cpu.h"

enum { CPU_MAX_BREAKS = 256, CPU_MAX_WATCH_LEN = 8 };

enum break_kind {
    BREAK_SOFT, /* linear address of an instruction; soft and hard differ in name only */
    BREAK_HARD,
    BREAK_PHYS, /* its physical address */
    WATCH_WRITE,
    WATCH_READ,
    WATCH_ACCESS,
};

struct cpu_break {
    enum break_kind kind;
    u64 addr;
    u32 len; /* watches: bytes, 1..CPU_MAX_WATCH_LEN; else 1 */
};

/* Adding what is there already is no error. ST_RANGE: bad length; ST_NOMEM: too many. */
enum status cpu_break_add(struct cpu *cpu, const struct cpu_break *b);
bool cpu_break_remove(struct cpu *cpu, const struct cpu_break *b); /* false: there is none */
void cpu_break_clear(struct cpu *cpu);

/* After CPU_BREAK: which one was met; for a watch addr is where the access touched it. */
struct cpu_break cpu_break_met(const struct cpu *cpu);

/* The instruction at the current RIP does not stop the next run by a breakpoint of its own. */
void cpu_break_pass(struct cpu *cpu);

/* As cpu_step, but interrupts and NMIs wait: the instruction itself is executed. */
enum cpu_exit cpu_step_held(struct cpu *cpu);

#endif
