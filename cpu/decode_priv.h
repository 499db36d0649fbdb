/*
 * cpu/decode_priv.h - decode's helpers for the block builder.
 *
 * You are here: private to cpu/decode.c and cpu/blocks.c.
 */
#ifndef CPU_DECODE_PRIV_H
#define CPU_DECODE_PRIV_H

#include "cpu/exec_priv.h"

/* Chains of candidate rows by mnemonic; both arrays are the caller's to free, NULL without memory.
 */
void decode_index_rows(u16 **first, u16 **next);

/* The decoders for cpu's model, by decode mode; the caller's to free, NULL without memory. */
void *decode_new(const struct cpu *cpu);

/* Gives a decoded instruction its place in a block: offset, rip-relative displacement, target. */
void insn_place(struct insn *i, u16 off);

/* cpu/native.c: rows that native_prepare completes. */
bool native_row(const struct insn_row *row);

#endif
