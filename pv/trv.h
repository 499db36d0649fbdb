/*
 * pv/trv.h - the host side of our own hypercall interface (docs/pv-abi.md).
 *
 * You are here: the board sets cpu->hypercall = trv_hypercall with a struct trv as its context,
 * and, where the guest is told of a hypervisor, cpu->pv_cpuid = trv_cpuid.
 */
#ifndef PV_TRV_H
#define PV_TRV_H

#include "base/types.h"
#include "cpu/cpu.h"
#include "pv/guest/trv.h"

/* What this machine says it is; owned by the board, constant while it runs. */
struct trv {
    u32 engine;      /* TRV_ENGINE_* */
    u32 personality; /* TRV_PERSONALITY_* */
};

/* Answers the call in EAX by ring 0; false (the instruction raises #UD) for any other ring.
 * VM's thread. */
bool trv_hypercall(void *ctx, struct cpu *cpu);

/* The CPUID leaves 40000000h.. of personality trv; false: not one of them. */
bool trv_cpuid(void *ctx, struct cpu *cpu, u32 leaf, u32 sub, u32 out[4]);

#endif
