/*
 * base/ledger.h - what a guest's exits cost: how many of each cause, and the host's time in them.
 *
 * You are here: where a guest leaves its own code for a device, an exception, an interrupt or a
 * hypercall (mmu/access.c, cpu/), a cost is booked if somebody keeps a ledger (machine/ledger.h).
 * Ticks are the host's time stamp counter. An exit inside another (a device that raises an
 * interrupt line) is part of the outer one. An access that ends in a fault of the guest is not
 * booked, its fault is. One ledger, one thread.
 */
#ifndef BASE_LEDGER_H
#define BASE_LEDGER_H

#include "base/types.h"

enum ledger_cause {
    LEDGER_PORT,      /* IN, OUT and their string forms: one each element */
    LEDGER_MMIO,      /* memory-mapped registers, the local APIC too */
    LEDGER_FAULT,     /* page faults: delivery to the guest's handler */
    LEDGER_EXCEPTION, /* other exceptions */
    LEDGER_INTERRUPT,
    LEDGER_HYPERCALL,
    LEDGER_CAUSES
};

struct ledger {
    struct {
        u64 n, ticks;
    } row[LEDGER_CAUSES];
};

/* 0: nobody keeps one. */
static inline u64 ledger_begin(const struct ledger *l)
{
    return unlikely(l != NULL) ? __builtin_ia32_rdtsc() : 0;
}

static inline void ledger_end(struct ledger *l, enum ledger_cause cause, u64 begun)
{
    if (unlikely(l != NULL) && begun) { /* begun 0: it was opened in between */
        l->row[cause].n++;
        l->row[cause].ticks += __builtin_ia32_rdtsc() - begun;
    }
}

#endif
