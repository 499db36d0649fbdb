/*
 * cpu/zydis_priv.h - the one place that includes the decoder library.
 *
 * You are here: cpu/decode.c, cpu/native.c and cpu/insn/facts.c see it, and the table (mnemonic numbers).
 */
#ifndef CPU_ZYDIS_PRIV_H
#define CPU_ZYDIS_PRIV_H

#include "cpu/exec_priv.h"
#include <Zydis/Zydis.h>

/* cpu/decode.c: ZydisDecoderDecodeFull with the library's mistakes put right: everybody decodes
 * with this. */
ZyanStatus decode_full(const ZydisDecoder *dec, const u8 *bytes, int avail,
                       ZydisDecodedInstruction *d, ZydisDecodedOperand *ops);

/* cpu/decode.c: the row for a decoded encoding on cpu's model; INSN_INVALID: it has none there. */
u16 decode_row(const struct cpu *cpu, const ZydisDecodedInstruction *d,
               const ZydisDecodedOperand *ops, u32 key);

/* cpu/native.c: makes i executable by exec_native (or an x87/SIMD exec of its own): finds or builds
 * the host stub for this form and sets i->stub and INF_STUB, INF_ALIGN. Called by decode for rows of
 * simd.def and x87.def after the generic operands were filled in. False: #UD. */
bool native_prepare(struct cpu *cpu, const ZydisDecodedInstruction *d, const ZydisDecodedOperand *ops,
                    struct insn *i);

#endif
