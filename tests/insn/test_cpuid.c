/*
 * tests/insn/test_cpuid.c - the models: names, what CPUID says, what is refused.
 */
#include <criterion/criterion.h>

#include "tests/insn/insn_test.h"

enum { A, B, C, D };

Test(cpuid, every_model_starts)
{
    for (const char *const *name = cpu_model_names(); *name; name++) {
        struct box *b = box_new(*name);
        u32 r[4];
        cpuid(b->cpu, 0, 0, r);
        cr_assert_lt(r[A], 0x20u);
        box_free(b);
    }
}

Test(cpuid, unknown_model)
{
    struct cpu_config cfg = {.model = "z80"};
    struct cpu *cpu;
    struct error err;
    cr_assert_eq(cpu_new(&cfg, &cpu, &err), ST_INVAL);
    cr_assert(strstr(err.msg, "x86-64-v2") && strstr(err.msg, "z80"), "%s", err.msg);
}

Test(cpuid, basic_leaves)
{
    struct box *b = box_new("x86-64-v2");
    u32 r[4];
    cpuid(b->cpu, 0, 0, r);
    cr_assert(!memcmp(&r[B], "Auth", 4) && !memcmp(&r[D], "enti", 4) && !memcmp(&r[C], "cAMD", 4));
    cpuid(b->cpu, 1, 0, r);
    cr_assert_eq(r[D] & 0x06000011, 0x06000011); /* SSE2 SSE TSC FPU */
    cr_assert_eq(r[C] & (1u << 28), 0, "no AVX");
    cr_assert_eq(r[C] >> 31, 0, "no hypervisor without one");
    cr_assert(r[D] & (1u << 9));
    lapic_set_base(b->cpu->lapic, 0xfee00100);
    cpuid(b->cpu, 1, 0, r);
    cr_assert(!(r[D] & (1u << 9)), "the APIC bit follows the enable bit");
    cpuid(b->cpu, 0x80000001, 0, r);
    cr_assert_eq(r[D] & 0x28100800, 0x28100800); /* LM RDTSCP NX SYSCALL */
    cr_assert(r[D] & 1, "AMD repeats the old bits");
    cpuid(b->cpu, 0x40000000, 0, r);
    cr_assert_eq(r[A] | r[B] | r[C] | r[D], 0);
    cpuid(b->cpu, 0x7fffffff, 0, r);
    cr_assert_eq(r[A] | r[B] | r[C] | r[D], 0);
    box_free(b);
}

Test(cpuid, old_models_stay_old)
{
    struct box *b = box_new("pentium");
    u32 r[4];
    cpuid(b->cpu, 0, 0, r);
    cr_assert_eq(r[A], 1);
    cpuid(b->cpu, 1, 0, r);
    cr_assert_eq(r[A], 0x544);
    cr_assert_eq(r[D] & (1u << 15 | 1u << 25), 0, "no CMOV, no SSE");
    cpuid(b->cpu, 0x80000000, 0, r); /* Intel: the last basic leaf */
    cr_assert_eq(r[A], 0x544);
    box_free(b);
    b = box_new("486");
    static const u8 cmov[] = {0x0f, 0x44, 0xc1}, bswap[] = {0x0f, 0xc8};
    struct insn i;
    cr_assert_eq(decode_insn(b->cpu, cmov, 3, KEY_32, &i), -1, "#UD");
    cr_assert_eq(decode_insn(b->cpu, bswap, 2, KEY_32, &i), 2);
    box_free(b);
}

static bool hypervisor(void *ctx, struct cpu *cpu, u32 leaf, u32 sub, u32 out[4])
{
    out[0] = 0x40000001;
    out[1] = leaf;
    return leaf < 0x40000100;
}

Test(cpuid, paravirtual_leaves)
{
    struct box *b = box_new("x86-64");
    u32 r[4];
    b->cpu->pv_cpuid = hypervisor;
    cpuid(b->cpu, 1, 0, r);
    cr_assert_eq(r[C] >> 31, 1);
    cpuid(b->cpu, 0x40000001, 0, r);
    cr_assert_eq(r[B], 0x40000001);
    box_free(b);
}

/* XSAVE's sizes: legacy and header 576, AVX at 576 with 256 bytes (SDM vol. 1, 13.4). */
Test(cpuid, xsave_leaf)
{
    struct box *b = box_new("host");
    u32 r[4];
    if (cpu_has(b->cpu, FEAT_AVX)) {
        cpuid(b->cpu, 0xd, 0, r);
        cr_assert_eq(r[A], 7);
        cr_assert_eq(r[B], 576);
        cr_assert_eq(r[C], 832);
        b->cpu->xcr0 = 7;
        cpuid(b->cpu, 0xd, 0, r);
        cr_assert_eq(r[B], 832);
        cpuid(b->cpu, 0xd, 2, r);
        cr_assert_eq(r[A], 256);
        cr_assert_eq(r[B], 576);
        cpuid(b->cpu, 0xd, 3, r);
        cr_assert_eq(r[A], 0);
    }
    box_free(b);
}
