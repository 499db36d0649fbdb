/*
 * bt/refill_priv.h - C functions that host code calls without giving up its registers.
 *
 * You are here: private to bt/; refill.c has them.
 */
#ifndef BT_REFILL_PRIV_H
#define BT_REFILL_PRIV_H

#include "cpu/cpu.h"

#define KEEPS_REGISTERS __attribute__((no_caller_saved_registers))

/* The TLB's entry for a, for reading or writing, from its second level. 0: it is not there. */
KEEPS_REGISTERS u64 bt_refill_read(struct cpu *c, gla a);
KEEPS_REGISTERS u64 bt_refill_write(struct cpu *c, gla a);

#endif
