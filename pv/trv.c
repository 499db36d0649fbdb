/*
 * pv/trv.c - the host side of our own hypercall interface (docs/pv-abi.md).
 *
 * No guest memory is touched: arguments and results are registers. A 32-bit result clears the
 * upper half of its register, as any 32-bit write does.
 */
#include "pv/trv.h"

bool trv_hypercall(void *ctx, struct cpu *cpu)
{
    const struct trv *t = ctx;
    if (cpu->cpl != 0)
        return false;
    switch ((u32)cpu->gpr[RAX]) {
    case TRV_IDENTIFY:
        cpu->gpr[RAX] = TRV_ABI_VERSION;
        cpu->gpr[RBX] = t->engine;
        cpu->gpr[RCX] = t->personality;
        cpu->gpr[RDX] = 0;
        return true;
    default:
        cpu->gpr[RAX] = TRV_UNKNOWN;
        return true;
    }
}

bool trv_cpuid(void *ctx, struct cpu *cpu, u32 leaf, u32 sub, u32 out[4])
{
    if (leaf != TRV_CPUID_LEAF)
        return false;
    out[0] = TRV_CPUID_LEAF;
    out[1] = TRV_SIGNATURE_EBX;
    out[2] = TRV_SIGNATURE_ECX;
    out[3] = TRV_SIGNATURE_EDX;
    return true;
}
