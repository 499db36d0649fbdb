/*
 * machine/insns.h - the instruction table and its decoder, for front ends.
 *
 * You are here: front ends do not see cpu/. Rows by number or name, what an encoding's operands
 * are, and what is known of its flags, on the model of a testbed.
 */
#ifndef MACHINE_INSNS_H
#define MACHINE_INSNS_H

#include "cpu/insn/shape.h"
#include "machine/testbed.h"

struct insns_row {
    const char *name;
    const char *privilege; /* "USER", "CPL0", "IOPL", "IOPERM", "UMIP", "TSD", "PCE" */
    bool user;             /* no privilege needed ... */
    bool system;           /* ... but it sees or changes more than registers, memory and the FPU */
    bool exits;            /* engines end a block after it */
};

/* Rows are 1 .. insns_count() - 1. */
int insns_count(void);
bool insns_row(int row, struct insns_row *out); /* false: no such row */
int insns_find(const char *name);               /* 0: there is none */

/* bits: 16, 32 or 64. False: no instruction of this model. */
bool insns_shape(const struct testbed *tb, int bits, const u8 *bytes, int avail,
                 struct insn_shape *out);

#endif
