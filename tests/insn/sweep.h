/*
 * tests/insn/sweep.h - every opcode with the prefixes and ModRM bytes that select a meaning.
 *
 * You are here: test_table.c and the writer of docs/instructions.md walk the same encodings. It is
 * an enumeration of what decides which instruction this is, not of all operands.
 */
#ifndef TESTS_INSN_SWEEP_H
#define TESTS_INSN_SWEEP_H

#include "cpu/zydis_priv.h"

/* What both the product's decode and the decoder library say about one encoding. */
struct encoding {
    const u8 *bytes; /* 24, d.length of them the instruction */
    u32 key;
    bool valid; /* decode_insn took it: insn is filled in */
    struct insn insn;
    ZydisDecodedInstruction d;
    ZydisDecodedOperand ops[ZYDIS_MAX_OPERAND_COUNT];
};
typedef void sweep_fn(void *ctx, struct cpu *cpu, const struct encoding *e);

/* A CPU of that model with 1 MiB of RAM; NULL is "host". The caller's, for sweep_free(). */
struct cpu *sweep_cpu(const char *model);
/* One that has every feature, whatever the host has: to decode with, not to run. */
struct cpu *sweep_cpu_all(void);
void sweep_free(struct cpu *cpu);

enum sweep_what {
    SWEEP_ALL = 0,
    SWEEP_16 = 1,    /* 16-bit mode only */
    SWEEP_BRIEF = 2, /* not all ModRM bytes */
};
/* Calls fn for all encodings that the library decodes. */
void sweep_encodings(struct cpu *cpu, int what, sweep_fn *fn, void *ctx);

/* The library's ISA set in features.def: FEAT_COUNT when it is not there. */
enum feature sweep_feature(ZydisISASet set);
const char *sweep_feature_name(enum feature f); /* "" for FEAT_ALWAYS */

#endif
