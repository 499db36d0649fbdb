/*
 * cpu/control.c - control registers, EFER and what follows from them: mode, CPL, block key, view.
 *
 * Intel SDM vol. 3: 2.5 (control registers), 4.1 (paging modes), 4.10.4 (what flushes), 9.9 (mode
 * switches); AMD APM vol. 2, 14.4-14.8 (long mode).
 */
#include "cpu/exec_priv.h"

static always_inline void derive(struct seg *sg, bool real)
{
    u16 a = sg->attr;
    bool usable = (a & ATTR_P) && (a & ATTR_S);
    bool code = a & ATTR_X;
    bool down = !code && (a & ATTR_DC);

    sg->rok = usable && !down && (!code || (a & ATTR_RW));
    sg->wok = usable && !down && !code && (a & ATTR_RW);
    if (real) /* types are not checked, CS is writable (SDM vol. 3, 20.1) */
        sg->rok = sg->wok = true;
    sg->rlimit = sg->rok ? sg->limit : 0;
    sg->full = sg->rok && sg->wok && sg->limit == 0xffffffff;
}

void seg_derive(struct cpu *cpu, int s)
{
    derive(&cpu->seg[s], !(cpu->cr0 & CR0_PE) || (cpu->flsys & FL_VM));
}

void seg_usable(struct seg *s)
{
    derive(s, false);
}

void seg_cache(struct cpu *cpu, int s)
{
    seg_derive(cpu, s);
    update_mode(cpu);
}

static bool flat_data(const struct seg *s)
{
    return s->full && s->base == 0;
}

void update_mode(struct cpu *cpu)
{
    u32 key;
    const struct seg *cs = &cpu->seg[SEG_CS];

    if (!(cpu->cr0 & CR0_PE)) {
        cpu->mode = MODE_REAL;
        cpu->cpl = 0;
    } else if (cpu->flsys & FL_VM) {
        cpu->mode = MODE_V86;
        cpu->cpl = 3;
    } else if (cpu->efer & EFER_LMA) {
        cpu->mode = cs->attr & ATTR_L ? MODE_LONG64 : MODE_COMPAT;
    } else {
        cpu->mode = MODE_PROT;
    }
    if (cpu->mode == MODE_LONG64) {
        key = KEY_64 | KEY_SS32;
    } else {
        key = cs->attr & ATTR_DB ? KEY_32 : KEY_16;
        if (cpu->seg[SEG_SS].attr & ATTR_DB)
            key |= KEY_SS32;
        if (cpu->mode == MODE_REAL || cpu->mode == MODE_V86)
            key |= KEY_REAL;
        else if (cs->base == 0 && cs->limit == 0xffffffff && cs->rok &&
                 flat_data(&cpu->seg[SEG_SS]) && flat_data(&cpu->seg[SEG_DS]) &&
                 flat_data(&cpu->seg[SEG_ES]))
            key |= KEY_FLAT;
    }
    if (cpu->cpl == 3)
        key |= KEY_USER;
    else if (unlikely(cpu->cpl))
        key |= KEY_RING12;
    cpu->key = key;

    if (cpu->cpl == 3)
        cpu->view = (cpu->cr0 & CR0_AM) && (cpu->flsys & FL_AC) ? VIEW_USER_AC : VIEW_USER;
    else
        cpu->view = (cpu->cr4 & CR4_SMAP) && !(cpu->flsys & FL_AC) ? VIEW_SUP : VIEW_SUP_AC;

    cpu->tlb = cpu->mmu.tlb[cpu->view];
    cpu->sys_view = cpu->cr4 & CR4_SMAP ? VIEW_SUP : VIEW_SUP_AC;
    cpu->sys_tlb = cpu->mmu.tlb[cpu->sys_view];
    if (cpu->view == VIEW_USER_AC)
        mmu_clear_sites(&cpu->mmu); /* of VIEW_USER */
    cpu->fpu_trap = cpu->cr0 & (CR0_EM | CR0_TS);
    cpu->sse_trap = cpu->fpu_trap || !(cpu->cr4 & CR4_OSFXSR);
    cpu->avx_trap = (cpu->cr0 & CR0_TS) || !(cpu->cr4 & CR4_OSXSAVE) || (cpu->xcr0 & 6) != 6;
}

static void mode_changed(struct cpu *cpu)
{
    for (int s = 0; s < SEG_COUNT; s++)
        seg_derive(cpu, s);
    update_mode(cpu);
}

void write_cr0(struct cpu *cpu, u64 v)
{
    u64 old = cpu->cr0;

    if (v >> 32)
        raise_gp0(cpu);
    if (!cpu_has(cpu, FEAT_I386)) {
        v &= 0xf; /* the 286's MSW */
    } else {
        u32 known = CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_PG;
        if (cpu_has(cpu, FEAT_I486))
            known |= CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD;
        v = (v & known) | CR0_ET;
    }
    if (((v & CR0_PG) && !(v & CR0_PE)) || ((v & CR0_NW) && !(v & CR0_CD)))
        raise_gp0(cpu);
    u64 efer = cpu->efer;
    if ((v & CR0_PG) && !(old & CR0_PG)) {
        if (efer & EFER_LME) {
            /* nor may TR hold a 16-bit TSS (SDM vol. 3, 9.8.5) */
            if (!(cpu->cr4 & CR4_PAE) || (cpu->seg[SEG_CS].attr & ATTR_L) ||
                (cpu->tr.attr & 15) < 9)
                raise_gp0(cpu);
            efer |= EFER_LMA;
        } else if ((cpu->cr4 & CR4_PAE) && !mmu_load_pdptes(&cpu->mmu, cpu->cr3)) {
            raise_gp0(cpu);
        }
    } else if (!(v & CR0_PG) && (old & CR0_PG)) {
        if ((cpu->mode == MODE_LONG64) || (cpu->cr4 & CR4_PCIDE))
            raise_gp0(cpu);
        efer &= ~(u64)EFER_LMA;
    } else if ((v & CR0_PG) && (cpu->cr4 & CR4_PAE) && !(efer & EFER_LMA) &&
               ((v ^ old) & (CR0_CD | CR0_NW)) && !mmu_load_pdptes(&cpu->mmu, cpu->cr3)) {
        raise_gp0(cpu);
    }
    cpu->cr0 = v;
    cpu->efer = efer;
    if ((v ^ old) & (CR0_PE | CR0_PG | CR0_WP))
        mmu_set_regs(&cpu->mmu, cpu->cr0, cpu->cr3, cpu->cr4, cpu->efer);
    if ((v ^ old) & CR0_PE)
        mode_changed(cpu); /* hidden parts of the segment registers stay (unreal mode) */
    else
        update_mode(cpu);
    TRACE(cpu, TRACE_CR, 0, v, 0);
}

void write_cr3(struct cpu *cpu, u64 v)
{
    bool keep = false;

    if (cpu->efer & EFER_LMA) {
        if (cpu->cr4 & CR4_PCIDE) {
            keep = v >> 63;
            v &= ~BIT64(63);
        }
        if (v >> cpu->mmu.phys_bits)
            raise_gp0(cpu);
    } else {
        v = (u32)v;
        if ((cpu->cr4 & CR4_PAE) && (cpu->cr0 & CR0_PG) && !mmu_load_pdptes(&cpu->mmu, v))
            raise_gp0(cpu);
    }
    cpu->cr3 = v;
    mmu_set_regs(&cpu->mmu, cpu->cr0, v | (keep ? BIT64(63) : 0), cpu->cr4, cpu->efer);
    TRACE(cpu, TRACE_CR, 3, v, 0);
}

u32 cr4_known(const struct cpu *cpu)
{
    static const struct {
        u32 bit;
        enum feature f;
    } map[] = {
        {CR4_VME | CR4_PVI, FEAT_VME}, {CR4_TSD, FEAT_TSC},       {CR4_DE, FEAT_DE},
        {CR4_PSE, FEAT_PSE},           {CR4_PAE, FEAT_PAE},       {CR4_MCE, FEAT_MCE},
        {CR4_PGE, FEAT_PGE},           {CR4_PCE, FEAT_CMOV},      {CR4_OSFXSR, FEAT_FXSR},
        {CR4_OSXMMEXCPT, FEAT_SSE},    {CR4_UMIP, FEAT_UMIP},     {CR4_FSGSBASE, FEAT_FSGSBASE},
        {CR4_PCIDE, FEAT_PCID},        {CR4_OSXSAVE, FEAT_XSAVE}, {CR4_SMEP, FEAT_SMEP},
        {CR4_SMAP, FEAT_SMAP},
    };
    u32 v = 0;
    for (size_t k = 0; k < ARRAY_LEN(map); k++)
        if (cpu_has(cpu, map[k].f))
            v |= map[k].bit;
    return v;
}

void write_cr4(struct cpu *cpu, u64 v)
{
    u64 old = cpu->cr4;

    if (v & ~(u64)cr4_known(cpu))
        raise_gp0(cpu);
    if ((cpu->efer & EFER_LMA) && !(v & CR4_PAE))
        raise_gp0(cpu);
    if ((v & CR4_PCIDE) && !(old & CR4_PCIDE) && (!(cpu->efer & EFER_LMA) || (cpu->cr3 & 0xfff)))
        raise_gp0(cpu);
    if ((cpu->cr0 & CR0_PG) && (v & CR4_PAE) && !(cpu->efer & EFER_LMA) &&
        ((v ^ old) & (CR4_PAE | CR4_PSE | CR4_PGE | CR4_SMEP)) &&
        !mmu_load_pdptes(&cpu->mmu, cpu->cr3))
        raise_gp0(cpu);
    cpu->cr4 = v;
    mmu_set_regs(&cpu->mmu, cpu->cr0, cpu->cr3, v, cpu->efer);
    update_mode(cpu);
    TRACE(cpu, TRACE_CR, 4, v, 0);
}

void write_efer(struct cpu *cpu, u64 v)
{
    u64 known = 0;
    if (cpu_has(cpu, FEAT_SYSCALL))
        known |= EFER_SCE;
    if (cpu_has(cpu, FEAT_LM))
        known |= EFER_LME | EFER_LMA;
    if (cpu_has(cpu, FEAT_NX))
        known |= EFER_NXE;
    if (v & ~known)
        raise_gp0(cpu);
    if (((v ^ cpu->efer) & EFER_LME) && (cpu->cr0 & CR0_PG))
        raise_gp0(cpu);
    cpu->efer = (v & ~(u64)EFER_LMA) | (cpu->efer & EFER_LMA);
    mmu_set_regs(&cpu->mmu, cpu->cr0, cpu->cr3, cpu->cr4, cpu->efer);
    update_mode(cpu);
}

void write_cr8(struct cpu *cpu, u64 v)
{
    if (v & ~0xfull)
        raise_gp0(cpu);
    if (cpu->lapic)
        lapic_set_tpr(cpu->lapic, v << 4);
    TRACE(cpu, TRACE_CR, 8, v, 0);
}

u64 read_cr8(struct cpu *cpu)
{
    return cpu->lapic ? lapic_tpr(cpu->lapic) >> 4 : 0;
}

enum { FL_ALL_MODELS = FL_ARITH | FL_TF | FL_IF | FL_DF | FL_IOPL | FL_NT };

/* The bits that this model has; a guest tells a 386 from a 486 and either from later ones by what
 * it can toggle. */
static u32 eflags_known(const struct cpu *cpu)
{
    u32 known = FL_ALL_MODELS;
    if (cpu_has(cpu, FEAT_I386))
        known |= FL_RF | FL_VM;
    if (cpu_has(cpu, FEAT_I486))
        known |= FL_AC;
    if (cpu_has(cpu, FEAT_CPUID))
        known |= FL_ID;
    if (cpu_has(cpu, FEAT_VME))
        known |= FL_VIF | FL_VIP;
    return known;
}

void set_eflags(struct cpu *cpu, u32 v, u32 mask)
{
    /* RF acts on instruction breakpoints only, and who has none must not pay for clearing it after
     * every return from a fault. */
    if (!(cpu->dr[7] & 0xff))
        v &= ~(u32)FL_RF;
    if (unlikely(v & ~(u32)FL_ALL_MODELS))
        v &= eflags_known(cpu);
    u32 arith = mask & FL_ARITH;
    if (arith)
        cpu->fl = fl_from_eflags((fl_to_eflags(cpu->fl) & ~arith) | (v & arith));
    u32 sys = mask & ~(u32)FL_ARITH;
    u32 old = cpu->flsys;
    cpu->flsys = (old & ~sys) | (v & sys) | FL_1;
    if (cpu->flsys & FL_TF)
        cpu->pending |= PEND_STEP;
    if ((cpu->flsys ^ old) & FL_VM)
        mode_changed(cpu);
    else if ((cpu->flsys ^ old) & FL_AC)
        update_mode(cpu);
}
