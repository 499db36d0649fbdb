/*
 * tests/insn/native_rig.h - one vector or x87 instruction, run twice: through cpu/native* and its
 * exec function, and by itself on the host with the same registers and memory. The whole state
 * afterwards must agree.
 *
 * The rig stands in for decode, the mmu and the run loop, so that nothing else is under test.
 */
#ifndef TESTS_INSN_NATIVE_RIG_H
#define TESTS_INSN_NATIVE_RIG_H

#include "cpu/native_priv.h"
#include "cpu/zydis_priv.h"

enum { RIG_MEM = 8192 }; /* bytes of operand memory; what follows it faults */

struct rig_state {
    u64 gpr[16];
    u64 flags;
    u8 xs[832] __attribute__((__aligned__(64))); /* XSAVE standard format */
    u8 mem[RIG_MEM];
    int vector; /* of the exception, -1: none */
};

struct rig {
    struct cpu *cpu;
    u8 *mem; /* RIG_MEM bytes, then a page that faults */
    struct rig_state in, host, ours;
    u64 seed;
    bool plain;     /* memory by pointer; else through the scratch buffer */
    bool tlb;       /* memory in the TLB */
    bool mode32;    /* ours decodes as 32-bit code, in which some VEX bits mean nothing */
    char text[128]; /* the instruction */
};

struct rig *rig_new(u64 seed);
void rig_free(struct rig *r);

u64 rig_rand(struct rig *r);
/* Random registers with interesting floating-point values; everything masked unless unmask. */
void rig_random_state(struct rig *r, bool unmask);
/* Decodes with the rows of simd.def and x87.def. False: not ours. */
bool rig_decode(struct rig *r, const u8 *bytes, ZydisMachineMode mode, struct insn *i,
                ZydisDecodedInstruction *d, ZydisDecodedOperand *ops);
/* Runs bytes both ways from r->in. False: the rows do not have it. */
bool rig_run(struct rig *r, const u8 *bytes);
/* Runs ours only. */
void rig_run_ours(struct rig *r, const struct insn *i, u64 rip);
/* NULL when both agree, else what differs. */
const char *rig_compare(struct rig *r);

#endif
