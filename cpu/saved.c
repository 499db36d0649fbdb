/*
 * cpu/saved.c - the vCPU's fields in a snapshot, and the check of what comes back.
 *
 * What is derived is not saved: segment caches, mode, block key, views, traps, the TLB, blocks.
 * Invariant: whatever the fields held, after cpu_loaded() said true the CPU is in a state that
 * software could have brought it to as far as the host can tell: reserved bits that would fault
 * on the host or lead a page walk out of physical memory are gone.
 * Intel SDM vol. 3: 2.5 (control registers), 4.4.1 (PDPTEs), 9.1.1 (reset values), 10.4.4
 * (APIC base).
 */
#include "cpu/saved.h"
#include "cpu/exec_priv.h"
#include "cpu/native_priv.h"

#define U(m)   FIELD_U(struct cpu, m)
#define A(m)   FIELD_A(struct cpu, m)
#define B(m)   FIELD_B(struct cpu, m)
#define SEG(m) U(m.sel), U(m.attr), U(m.limit), U(m.base)

// clang-format off
const struct field cpu_saved[] = {
    {"gpr", offsetof(struct cpu, gpr), 8, 16, FIELD_UINT}, /* the slots above are the engines' */
    U(rip), U(fl), U(flsys), U(cpl), U(pending), A(bt_x87_address),
    SEG(seg[SEG_ES]), SEG(seg[SEG_CS]), SEG(seg[SEG_SS]), SEG(seg[SEG_DS]), SEG(seg[SEG_FS]),
    SEG(seg[SEG_GS]), SEG(ldtr), SEG(tr),
    U(gdtr.base), U(gdtr.limit), U(idtr.base), U(idtr.limit),
    U(cr0), U(cr2), U(cr3), U(cr4), U(efer), U(xcr0), A(dr), A(mmu.pdpte), U(mmu.a20_mask),
    U(star), U(lstar), U(cstar), U(sfmask), U(kernel_gs_base), U(tsc_aux),
    U(sysenter_cs), U(sysenter_esp), U(sysenter_eip),
    U(apic_base), U(pat), U(misc_enable), U(mtrr_def), A(mtrr_fix), A(mtrr_var), U(mca_status),
    U(tsc_offset), U(tsc_adjust), U(dr6_pending), U(smi_count),
    B(nmi_blocked), B(intr_pin), B(ferr), B(halted), B(unhalted),
    U(ex_nested), B(ex_ext),
    FIELD_BUF(struct cpu, xs.legacy), FIELD_BUF(struct cpu, xs.ymm_hi),
    U(fop), U(fcs), U(fds), U(fip), U(fdp),
    U(insns), U(random_sequence),
    U(n_interrupts), U(n_exceptions), U(n_hypercalls),
    FIELD_END,
};
// clang-format on
#undef U
#undef A
#undef B
#undef SEG

enum {
    PEND_SAVED = PEND_NMI | PEND_INIT | PEND_SHADOW | PEND_SHADOW_SS | PEND_STEP | PEND_HALT |
                 PEND_SHUTDOWN | PEND_SIPI_WAIT,
};
#define CR0_KNOWN                                                                                  \
    ((u64)(CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW |        \
           CR0_CD) |                                                                               \
     CR0_PG)
#define FLSYS_KNOWN                                                                                \
    (FL_1 | FL_TF | FL_IF | FL_DF | FL_IOPL | FL_NT | FL_RF | FL_VM | FL_AC | FL_VIF | FL_VIP |    \
     FL_ID)

static bool control_possible(const struct cpu *c)
{
    bool pg = c->cr0 & CR0_PG, lm = cpu_has(c, FEAT_LM);
    if ((c->cr0 & ~CR0_KNOWN) || (pg && !(c->cr0 & CR0_PE)) || (c->cr4 & ~(u64)cr4_known(c)))
        return false;
    if ((c->efer & ~(u64)(EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE)) || c->cpl > 3)
        return false;
    if ((c->efer & (EFER_LME | EFER_LMA)) && !lm)
        return false;
    if (!!(c->efer & EFER_LMA) != (pg && (c->efer & EFER_LME)))
        return false;
    if ((c->efer & EFER_LMA) && !(c->cr4 & CR4_PAE))
        return false;
    return cpu_has(c, FEAT_XSAVE) ? (c->xcr0 & 1) && !(c->xcr0 & ~7ull) : c->xcr0 == 1;
}

/* In 64-bit code an address that no page table reaches cannot be the next instruction's. */
static bool addresses_possible(const struct cpu *c)
{
    bool in64 = (c->efer & EFER_LMA) && (c->seg[SEG_CS].attr & ATTR_L);
    if (in64 ? !is_canonical(c->rip) : c->rip >> 32 != 0)
        return false;
    return is_canonical(c->lstar) && is_canonical(c->cstar) && is_canonical(c->kernel_gs_base) &&
           is_canonical(c->sysenter_esp) && is_canonical(c->sysenter_eip);
}

bool cpu_loaded(struct cpu *c)
{
    if (!control_possible(c) || !addresses_possible(c) ||
        (c->mmu.a20_mask != ~0ull && c->mmu.a20_mask != ~BIT64(20)) || c->ex_nested < -2 ||
        c->ex_nested > 255)
        return false;
    u64 physical = BIT64(c->mmu.phys_bits) - 1;
    for (int k = 0; k < 4; k++)
        c->mmu.pdpte[k] &= (physical & PAGE_MASK) | 0xfff;
    for (int s = 0; s < SEG_COUNT; s++)
        c->seg[s].attr &= 0xf0ff;
    c->flsys = (c->flsys & FLSYS_KNOWN) | FL_1;
    c->fl &= 0xd701;
    c->pending &= PEND_SAVED;
    c->dr[6] = (c->dr[6] & 0xe00f) | 0xffff0ff0;
    c->dr[7] = (c->dr[7] & 0xffff27ff) | 0x400;
    c->dr6_pending &= 0xe00f;
    c->dr[4] = c->dr[5] = 0;
    st_u32(c->xs.legacy + 24, ld_u32(c->xs.legacy + 24) & MXCSR_VALID);
    if (c->lapic)
        lapic_place(c->lapic);
    blocks_flush(c);
    cpu_state_written(c, true);
    return true;
}

struct device *cpu_apic(const struct cpu *cpu)
{
    return cpu->lapic ? lapic_device(cpu->lapic) : NULL;
}

bool cpu_ignne(const struct cpu *cpu)
{
    return cpu->native->ignne;
}

void cpu_set_ignne(struct cpu *cpu, bool on)
{
    cpu->native->ignne = on;
}
