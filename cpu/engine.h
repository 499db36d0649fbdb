/*
 * cpu/engine.h - the wires between the interpreter's blocks and a translator.
 *
 * You are here: cpu/ calls these when cpu->engine is set and knows no more of bt/.
 */
#ifndef CPU_ENGINE_H
#define CPU_ENGINE_H

#include "cpu/insn/insn.h"

struct block;
struct cpu_engine {
    /* The thread that runs the CPU is about to run guest code. */
    void (*enter)(struct cpu *cpu);
    /* A block was entered often: the handler that replaces its first instruction's, or NULL to
     * leave the block to the interpreter for good. */
    run_fn *(*translate)(struct cpu *cpu, struct block *b);
    void (*killed)(struct cpu *cpu, struct block *b); /* its bytes changed */
    void (*reset)(struct cpu *cpu);                   /* all blocks were forgotten; none runs */
    /* A host instruction at pc faulted that is a guest's: where to go on, 0: not ours. */
    u64 (*fault_at)(struct cpu *cpu, u64 pc);
    u32 heat; /* entries before translate is called */
};

#endif
