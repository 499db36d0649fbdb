/*
 * bt/cpuid.c - CPUID in host code: what it said last (cpu->cpuid_known), while the registers that
 * it depends on are what they were. The rest, the hypervisor's leaves too, is exec_cpuid's.
 */
#include "bt/bt_priv.h"

/* call. ZF: EAX to EDX have it. Destroys r14, r15. */
void make_cpuid_thunk(struct bt *t)
{
    struct asm_buf *a = &t->a;
    static const struct {
        size_t now, known;
    } same[] = {
        {offsetof(struct cpu, cr4), offsetof(struct cpuid_known, cr4)},
        {offsetof(struct cpu, xcr0), offsetof(struct cpuid_known, xcr0)},
        {offsetof(struct cpu, apic_base), offsetof(struct cpuid_known, apic_base)},
    };
    static const u8 regs[] = {H_RAX, H_RBX, H_RCX, H_RDX};
    size_t at = offsetof(struct cpu, cpuid_known);
    u8 *no[2 + ARRAY_LEN(same)];
    int n = 0;
    _Static_assert(sizeof(struct cpuid_known) == 64 && CPUID_KNOWN == 8, "the shift below");

    t->cpuid = a->p;
    e_mov_rr(a, false, S2, H_RAX);
    E(a, 0x41, 0x83, 0xe7, CPUID_KNOWN - 1); /* and r15d, 7 */
    E(a, 0x41, 0xc1, 0xe7, 6);               /* shl r15d, 6 */
    e_gs_at(a, false, OP_LOAD_CMP, H_RAX, S2, at + offsetof(struct cpuid_known, leaf));
    no[n++] = e_jcc(a, CC_NE);
    e_gs_at(a, false, OP_LOAD_CMP, H_RCX, S2, at + offsetof(struct cpuid_known, sub));
    no[n++] = e_jcc(a, CC_NE);
    for (size_t k = 0; k < ARRAY_LEN(same); k++) {
        e_gs(a, true, OP_LOAD, S1, same[k].now);
        e_gs_at(a, true, OP_LOAD_CMP, S1, S2, at + same[k].known);
        no[n++] = e_jcc(a, CC_NE);
    }
    for (size_t k = 0; k < ARRAY_LEN(regs); k++)
        e_gs_at(a, false, OP_LOAD, regs[k], S2, at + offsetof(struct cpuid_known, out) + 4 * k);
    for (int k = 0; k < n; k++)
        e_land(a, no[k]);
    e1(a, 0xc3);
}

void emit_cpuid(struct xl *x, int k)
{
    int first = x->n_cold;
    flags_before_write(x, k, 1u << H_RAX | 1u << H_RBX | 1u << H_RCX | 1u << H_RDX, false);
    flags_destroy(x);
    e_patch(x->a, e_call(x->a), x->t->cpuid);
    cold_add(x, e_jcc(x->a, CC_NE), COLD_SLOW, k, 0);
    cold_back(x, first);
}
