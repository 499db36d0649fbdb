/*
 * cpu/insn/facts.h - what an instruction reads and writes, for liveness and tracing.
 *
 * You are here: the decoder library's operand and flag facts, corrected by fixups.def. They say
 * what happens when the instruction completes; when it faults, and after a row that is EXIT,
 * everything is visible to somebody else (`barrier`). Vector, x87 and system registers are not
 * here: the row's sees and changes say which system state takes part.
 *
 * Must and may: liveness forgets an older value only when it is certainly replaced. So
 *   live before = (live after & ~must) | read
 * and a register of which a part is kept (AL, AX), or that is written on some inputs only (CMOVcc,
 * BSF of 0), is in may and not in must. The same with flags: SHL by CL keeps them when CL is 0.
 * RSP as a stack pointer is never in must: its width is the stack's, not the instruction's.
 *
 * Manuals: SDM vol. 2 (each instruction's "Operation" and "Flags Affected"), vol. 1 app. A.
 */
#ifndef CPU_INSN_FACTS_H
#define CPU_INSN_FACTS_H

#include "cpu/cpu.h"

struct insn_facts {
    u16 row;                  /* enum insn_id */
    u8 len;                   /* bytes, 1..15 */
    bool mem_read, mem_write; /* on some inputs at least; stack and string operands included */
    bool barrier;             /* liveness: all registers and flags are needed before it */

    /* EFLAGS bits (FL_*) */
    u32 flags_read;
    u32 flags_must;      /* defined afterwards, whatever they were */
    u32 flags_may;       /* includes must and undefined */
    u32 flags_undefined; /* the manuals leave them open; engines give the host silicon's, which may
                            be the old value. Never in must */

    /* Bit n: the n-th general-purpose register, as a whole. */
    u16 gpr_read;
    u16 gpr_must; /* replaced: written with 32 or 64 bits */
    u16 gpr_may;  /* includes must */
};

/* Decodes like decode_insn and without its effects (no host stub is built). bytes: avail of them,
 * key: enum block_key. False, with *out zero: too few bytes, or an invalid instruction; also the
 * LOCK prefixes that only processors before the 80386 accept. */
bool insn_facts(const struct cpu *cpu, const u8 *bytes, int avail, u32 key, struct insn_facts *out);

#endif
