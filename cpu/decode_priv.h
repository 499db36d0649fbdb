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

/* ---- cpu/decode_memo.c: encodings seen before --------------------------------------------------
 */
/* Where an encoding has its displacement and immediate; sizes in bytes, 0: it has none. */
struct decode_shape {
    u8 disp_at, disp_size;
    u8 imm_at, imm_size, imm_size2; /* of a second immediate: such forms are not remembered */
    bool imm_signed;
    bool changed; /* decoded from other bytes than those there are: not remembered */
};
struct memo;
struct memo *memo_new(void); /* NULL without memory; free() it */
void memo_clear(struct memo *m);
/* bytes: 15 are readable. The instruction's length, or 0: not known. */
int memo_find(const struct memo *m, const u8 *bytes, u32 key, struct insn *out);
/* bytes: 15 are readable, decoded into i under key. */
void memo_add(struct memo *m, const u8 *bytes, u32 key, const struct decode_shape *s,
              const struct insn *i);

/* bytes as the decoder library knows them. shape: filled in when the length is returned. */
int decode_known(struct cpu *cpu, const u8 *bytes, int avail, u32 key, struct insn *out,
                 struct decode_shape *shape);
/* Makes i an instruction that raises vector, #UD or #GP(0); -1. */
int decode_invalid(struct insn *i, int len, int vector);
/* cpu/decode_old.c: the same for models before the 80386. */
int decode_old(struct cpu *cpu, const u8 *bytes, int avail, u32 key, struct insn *out,
               struct decode_shape *shape);
/* 8086: the instruction at CS:IP whose bytes go on at the start of the segment. */
void decode_wrapped(struct cpu *cpu, struct insn *out);

/* cpu/native.c: rows that native_prepare completes. */
bool native_row(const struct insn_row *row);

#endif
