/*
 * tests/pv/test_trv.c - our own hypercall interface, called as the CPU calls it.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "pv/trv.h"

/* Only the registers matter; the CPU is never run. */
static struct cpu *blank(u32 eax, u8 cpl)
{
    struct cpu *cpu = aligned_alloc(_Alignof(struct cpu), sizeof *cpu);
    memset(cpu, 0, sizeof *cpu);
    for (int i = 0; i < 16; i++)
        cpu->gpr[i] = 0xaaaaaaaa55555555;
    cpu->gpr[RAX] = 0xdddddddd00000000 | eax;
    cpu->cpl = cpl;
    return cpu;
}

Test(trv, identify)
{
    struct trv t = {TRV_ENGINE_INTERP, TRV_PERSONALITY_BARE};
    struct cpu *cpu = blank(TRV_IDENTIFY, 0);
    cr_assert(trv_hypercall(&t, cpu));
    cr_expect_eq(cpu->gpr[RAX], TRV_ABI_VERSION);
    cr_expect_eq(cpu->gpr[RBX], TRV_ENGINE_INTERP);
    cr_expect_eq(cpu->gpr[RCX], TRV_PERSONALITY_BARE);
    cr_expect_eq(cpu->gpr[RDX], 0);
    cr_expect_eq(cpu->gpr[RSI], 0xaaaaaaaa55555555, "all else is kept");
    free(cpu);
}

Test(trv, unknown_call)
{
    struct trv t = {TRV_ENGINE_INTERP, TRV_PERSONALITY_BARE};
    struct cpu *cpu = blank(0x12345678, 0);
    cr_assert(trv_hypercall(&t, cpu));
    cr_expect_eq(cpu->gpr[RAX], TRV_UNKNOWN);
    cr_expect_eq(cpu->gpr[RBX], 0xaaaaaaaa55555555);
    free(cpu);
}

Test(trv, programs_are_refused)
{
    struct trv t = {TRV_ENGINE_INTERP, TRV_PERSONALITY_BARE};
    struct cpu *cpu = blank(TRV_IDENTIFY, 3);
    cr_expect_not(trv_hypercall(&t, cpu));
    cr_expect_eq(cpu->gpr[RAX], 0xdddddddd00000000);
    free(cpu);
}

Test(trv, signature)
{
    struct trv t = {TRV_ENGINE_INTERP, TRV_PERSONALITY_TRV};
    u32 out[4];
    char text[13] = "";
    cr_assert(trv_cpuid(&t, NULL, TRV_CPUID_LEAF, 0, out));
    memcpy(text, out + 1, 12);
    cr_expect_str_eq(text, "TRIVISOR TRV");
    cr_expect_not(trv_cpuid(&t, NULL, TRV_CPUID_LEAF + 1, 0, out));
}
