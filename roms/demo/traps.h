/*
 * roms/demo/traps.h - the interrupt descriptor table, the timer, and faults that are expected.
 *
 * You are here: freestanding guest code in long mode, one CPU.
 */
#ifndef ROMS_DEMO_TRAPS_H
#define ROMS_DEMO_TRAPS_H

#include "roms/console.h"

/* What the handlers counted. */
struct traps {
    volatile u64 count[32]; /* exceptions by vector */
    volatile u64 ticks;     /* timer interrupts */
    volatile u64 last_error, last_address;
    volatile u64 user_faults;
    u64 resume; /* where an expected fault goes on; 0: it was not expected */
};
extern struct traps traps;

/* GDT with user segments and a TSS, IDT, PICs remapped to vectors 32..47 and masked. */
void traps_init(void);

/* Programs the PIT's channel 0 to `hz` and lets IRQ 0 through; interrupts on. */
void timer_start(u32 hz);
void timer_stop(void);

/* Runs one instruction that may fault. Nonzero: the vector + 1 that it raised. */
#define GUARDED(insn, outputs, inputs, clobbers...)                                                \
    ({                                                                                             \
        u64 before_[32];                                                                           \
        for (int i_ = 0; i_ < 32; i_++)                                                            \
            before_[i_] = traps.count[i_];                                                         \
        asm volatile("leaq 1f(%%rip), %%r11\n\t"                                                   \
                     "movq %%r11, %[resume]\n\t" insn "\n1:"                                       \
                     : [resume] "=m"(traps.resume)outputs:inputs                                   \
                     : "r11", "memory", ##clobbers);                                               \
        traps.resume = 0;                                                                          \
        int raised_ = 0;                                                                           \
        for (int i_ = 0; i_ < 32; i_++)                                                            \
            if (traps.count[i_] != before_[i_])                                                    \
                raised_ = i_ + 1;                                                                  \
        raised_;                                                                                   \
    })
#define AND , /* separates operands inside GUARDED's arguments */

/* Enters ring 3 at rip with the stack rsp; returns when the program makes system call 0. */
void enter_user(u64 rip, u64 rsp);
extern volatile u64 syscalls;
void syscalls_init(void);

#endif
