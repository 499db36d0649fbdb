/*
 * cpu/trace.h - who watches a CPU run, and what it is told.
 *
 * You are here: machine/trace.c is the one user; front ends see machine/trace.h. While a tracer is
 * set, the first instruction of every decoded block has a handler that tells of the block's entry
 * (cpu/blocks.c); nothing else on the fast path knows of it, and without one nothing is paid.
 *
 * Counting is exact: cpu_icount() is the sum of the instructions of all blocks told of, less what
 * TRACE_CUT took back, and one for each event of enum cpu_trace_event below TRACE_TICKS.
 * Callbacks run on the CPU's thread inside an instruction or between two; they must not change the
 * guest's state. They may call cpu_cut_slice and cpu_set_tracer.
 */
#ifndef CPU_TRACE_H
#define CPU_TRACE_H

#include "base/types.h"

struct cpu;
struct insn;

enum cpu_trace_event {
    /* Between instructions; each counts as one. */
    TRACE_EXCEPTION, /* a: vector, b: error code, c: CR2. Is about to be delivered */
    TRACE_INTERRUPT, /* a: vector */
    TRACE_NMI,
    TRACE_RESTART, /* the instruction starts again after something pending was looked at */
    TRACE_TICKS,
    /* The block told of last, or the single step, ended after `a` of its instructions. */
    TRACE_CUT = TRACE_TICKS,
    TRACE_RESET, /* a: 1 INIT, 0 RESET; may be inside an instruction */
    /* Inside an instruction of the current block, after its effect (TRACE_OUT: before). */
    TRACE_SOFT,  /* INT n, INT3, INTO, INT1; a: vector */
    TRACE_IN,    /* a: port | size << 16, b: value */
    TRACE_OUT,   /* the same */
    TRACE_RDMSR, /* a: number, b: value */
    TRACE_WRMSR,
    TRACE_CR,        /* written; a: number, b: value */
    TRACE_HYPERCALL, /* b: RAX before */
    TRACE_EVENTS
};

/* A few words kept with each decoded block for the tracer; 0 since it was decoded. */
struct trace_mark {
    u64 rip;
    u32 tag, epoch;
};

struct trace_block {
    u32 n, bytes;            /* instructions; their length */
    u32 key;                 /* enum block_key */
    u32 first_len;           /* bytes of the first instruction */
    bool plain;              /* RAM or ROM: reading the bytes has no side effects */
    gpa phys;                /* of the first byte */
    gpa phys2;               /* of the page that holds what lies beyond phys's page */
    const struct insn *insn; /* n of them */
};
void trace_block_of(const struct trace_mark *m, struct trace_block *out);

enum { TRACE_SPLITS = 8 };

struct cpu_tracer {
    void *ctx;
    /* A block is entered at cpu->rip, all registers are up to date. */
    void (*block)(void *ctx, struct cpu *cpu, struct trace_mark *m);
    /* The first instruction of that block is executed alone. */
    void (*step)(void *ctx, struct cpu *cpu, struct trace_mark *m);
    void (*event)(void *ctx, struct cpu *cpu, enum cpu_trace_event ev, u32 a, u64 b, u64 c);
    /* Linear addresses at which a new block begins. */
    u64 split[TRACE_SPLITS];
    int n_splits;
};

/* CPU's thread; t must outlive its use. NULL: none. Everything decoded is forgotten; call it again
 * after splits or cpu->block_max changed. */
void cpu_set_tracer(struct cpu *cpu, struct cpu_tracer *t);

/* Which instruction of the running block is being executed, from 0; 0 outside blocks. */
u32 trace_position(const struct cpu *cpu);

#define TRACE(cpu, ...)                                                                            \
    do {                                                                                           \
        if (unlikely((cpu)->tracer != NULL))                                                       \
            (cpu)->tracer->event((cpu)->tracer->ctx, (cpu), __VA_ARGS__);                          \
    } while (0)

#endif
