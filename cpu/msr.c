/*
 * cpu/msr.c - model-specific registers and the time-stamp counter.
 *
 * What is not listed is #GP, as on silicon; stock kernels probe with fault handlers. Intel SDM
 * vol. 4; AMD APM vol. 2, appendix A.
 */
#include "cpu/exec_priv.h"

enum {
    MSR_P5_MC_ADDR = 0,
    MSR_P5_MC_TYPE = 1,
    MSR_TSC = 0x10,
    MSR_PLATFORM_ID = 0x17,
    MSR_APIC_BASE = 0x1b,
    MSR_TSC_ADJUST = 0x3b,
    MSR_BIOS_SIGN = 0x8b,
    MSR_MTRRCAP = 0xfe,
    MSR_SYSENTER_CS = 0x174,
    MSR_SYSENTER_ESP = 0x175,
    MSR_SYSENTER_EIP = 0x176,
    MSR_MCG_CAP = 0x179,
    MSR_MCG_STATUS = 0x17a,
    MSR_MCG_CTL = 0x17b,
    MSR_MISC_ENABLE = 0x1a0,
    MSR_DEBUGCTL = 0x1d9,
    MSR_MTRR_VAR = 0x200,
    MSR_MTRR_FIX64K = 0x250,
    MSR_MTRR_FIX16K = 0x258,
    MSR_MTRR_FIX4K = 0x268,
    MSR_PAT = 0x277,
    MSR_MTRR_DEF = 0x2ff,
    MSR_TSC_DEADLINE = 0x6e0,
    MSR_X2APIC = 0x800,
};
#define MSR_EFER       0xc0000080u
#define MSR_STAR       0xc0000081u
#define MSR_LSTAR      0xc0000082u
#define MSR_CSTAR      0xc0000083u
#define MSR_SFMASK     0xc0000084u
#define MSR_FS_BASE    0xc0000100u
#define MSR_GS_BASE    0xc0000101u
#define MSR_KGS_BASE   0xc0000102u
#define MSR_TSC_AUX    0xc0000103u
#define MSR_AMD_HWCR   0xc0010015u
#define MSR_AMD_DE_CFG 0xc0011029u

/* One tick a nanosecond: exact in every clock mode, and migratable. */
u64 cpu_tsc_hz(const struct cpu *cpu)
{
    (void)cpu;
    return NS_PER_SEC;
}

u64 read_tsc(struct cpu *cpu)
{
    return clock_now(cpu->clk) + (u64)cpu->tsc_offset;
}

static u64 *mtrr(struct cpu *cpu, u32 msr)
{
    if (msr >= MSR_MTRR_VAR && msr < MSR_MTRR_VAR + 16)
        return &cpu->mtrr_var[msr - MSR_MTRR_VAR];
    if (msr == MSR_MTRR_FIX64K)
        return &cpu->mtrr_fix[0];
    if (msr == MSR_MTRR_FIX16K || msr == MSR_MTRR_FIX16K + 1)
        return &cpu->mtrr_fix[1 + msr - MSR_MTRR_FIX16K];
    if (msr >= MSR_MTRR_FIX4K && msr < MSR_MTRR_FIX4K + 8)
        return &cpu->mtrr_fix[3 + msr - MSR_MTRR_FIX4K];
    return msr == MSR_MTRR_DEF ? &cpu->mtrr_def : NULL;
}

static bool memory_type(u64 t)
{
    return t == 0 || t == 1 || t == 4 || t == 5 || t == 6;
}

static bool mtrr_valid(const struct cpu *cpu, u32 msr, u64 v)
{
    if (msr < MSR_MTRR_FIX64K) { /* variable: base (even) has a type, mask a valid bit */
        if (v >> cpu->mmu.phys_bits)
            return false;
        return msr & 1 ? !(v & 0x7ff) : !(v & 0xf00) && memory_type(v & 0xff);
    }
    if (msr == MSR_MTRR_DEF)
        return !(v & ~0xcffull) && memory_type(v & 0xff);
    if (msr >= MSR_MTRR_FIX64K && msr < MSR_PAT) {
        for (int k = 0; k < 64; k += 8)
            if (!memory_type(v >> k & 0xff))
                return false;
        return true;
    }
    return true;
}

static bool pat_valid(u64 v)
{
    for (int k = 0; k < 64; k += 8) {
        u64 t = v >> k & 0xff;
        if (!memory_type(t) && t != 7)
            return false;
    }
    return true;
}

/* AMD configuration registers that stock kernels read or write without a net: they read as 0 and
 * ignore writes, as there is nothing behind them to configure. */
static bool amd_config(u32 msr)
{
    switch (msr) {
    case 0xc0010010: /* SYSCFG */
    case 0xc001001f: /* NB_CFG: extended configuration cycles */
    case 0xc0010055: /* interrupt pending, C1E */
    case 0xc0010058: /* MMIO configuration base */
    case 0xc0010112: /* SMM base and mask */
    case 0xc0010113:
    case 0xc0011020: /* load-store, data cache, table walker, bus unit */
    case 0xc0011022:
    case 0xc0011023:
    case 0xc001102a:
        return true;
    default:
        return false;
    }
}

bool msr_read(struct cpu *cpu, u32 msr, u64 *v)
{
    u64 *m = cpu_has(cpu, FEAT_MTRR) ? mtrr(cpu, msr) : NULL;
    *v = 0;
    if (m) {
        *v = *m;
        return true;
    }
    if (msr >= MSR_X2APIC && msr < MSR_X2APIC + 0x100)
        return cpu->lapic && lapic_read_msr(cpu->lapic, msr, v);
    switch (msr) {
    case MSR_TSC:
        *v = read_tsc(cpu);
        return cpu_has(cpu, FEAT_TSC);
    case MSR_P5_MC_ADDR: /* no machine check ever happened */
    case MSR_P5_MC_TYPE:
        return cpu_has(cpu, FEAT_MCE);
    case MSR_PLATFORM_ID:
    case MSR_MCG_STATUS:
        return true;
    case MSR_APIC_BASE:
        *v = cpu->apic_base;
        return cpu->lapic != NULL;
    case MSR_TSC_ADJUST:
        *v = cpu->tsc_adjust;
        return cpu_has(cpu, FEAT_TSCADJ);
    case MSR_BIOS_SIGN:
        *v = cpu_is_amd(cpu) ? 0x01000065 : 0x100000000ull;
        return true;
    case MSR_MTRRCAP:
        *v = 0x508; /* 8 variable ranges, fixed ranges, write-combining */
        return cpu_has(cpu, FEAT_MTRR);
    case MSR_SYSENTER_CS:
        *v = cpu->sysenter_cs;
        return cpu_has(cpu, FEAT_SEP);
    case MSR_SYSENTER_ESP:
        *v = cpu->sysenter_esp;
        return cpu_has(cpu, FEAT_SEP);
    case MSR_SYSENTER_EIP:
        *v = cpu->sysenter_eip;
        return cpu_has(cpu, FEAT_SEP);
    case MSR_MCG_CAP: /* no banks */
        return cpu_has(cpu, FEAT_MCA);
    case MSR_MISC_ENABLE:
        *v = cpu->misc_enable;
        return !cpu_is_amd(cpu);
    case MSR_DEBUGCTL: /* no branch tracing */
        return cpu_has(cpu, FEAT_CMOV);
    case MSR_PAT:
        *v = cpu->pat;
        return cpu_has(cpu, FEAT_PAT);
    case MSR_TSC_DEADLINE:
        if (!cpu->lapic || !cpu_has(cpu, FEAT_TSCDL))
            return false;
        *v = lapic_deadline(cpu->lapic);
        return true;
    case MSR_EFER:
        *v = cpu->efer;
        return cpu_has(cpu, FEAT_NX) || cpu_has(cpu, FEAT_SYSCALL);
    case MSR_STAR:
        *v = cpu->star;
        return cpu_has(cpu, FEAT_SYSCALL);
    case MSR_LSTAR:
        *v = cpu->lstar;
        return cpu_has(cpu, FEAT_LM);
    case MSR_CSTAR:
        *v = cpu->cstar;
        return cpu_has(cpu, FEAT_LM);
    case MSR_SFMASK:
        *v = cpu->sfmask;
        return cpu_has(cpu, FEAT_LM);
    case MSR_FS_BASE:
        *v = cpu->seg[SEG_FS].base;
        return cpu_has(cpu, FEAT_LM);
    case MSR_GS_BASE:
        *v = cpu->seg[SEG_GS].base;
        return cpu_has(cpu, FEAT_LM);
    case MSR_KGS_BASE:
        *v = cpu->kernel_gs_base;
        return cpu_has(cpu, FEAT_LM);
    case MSR_TSC_AUX:
        *v = cpu->tsc_aux;
        return cpu_has(cpu, FEAT_RDTSCP);
    case MSR_AMD_HWCR:
        *v = BIT(24); /* TscFreqSel */
        return cpu_is_amd(cpu);
    case MSR_AMD_DE_CFG:
        *v = BIT(1); /* LFENCE is dispatch serializing */
        return cpu_is_amd(cpu);
    default:
        if (cpu->pv_rdmsr && cpu->pv_rdmsr(cpu->pv_ctx, msr, v))
            return true;
        if (cpu_is_amd(cpu) && amd_config(msr))
            return true;
        log_guest("RDMSR of unknown %08x", msr);
        return false;
    }
}

/* SDM vol. 3, 10.12.5: xAPIC to x2APIC mode only while enabled, and back only through disabled. */
static bool apic_base_valid(const struct cpu *cpu, u64 v)
{
    enum { X2 = BIT(10), EN = BIT(11) };
    u64 old = cpu->apic_base & (X2 | EN), new = v &(X2 | EN);
    if ((v & 0x2ff) || v >> cpu->mmu.phys_bits || new == X2)
        return false;
    if ((new &X2) && !cpu_has(cpu, FEAT_X2APIC))
        return false;
    return !(old == (X2 | EN) && new == EN) && !(old == 0 && new == (X2 | EN));
}

static void move_tsc(struct cpu *cpu, i64 by)
{
    cpu->tsc_offset = (i64)((u64)cpu->tsc_offset + (u64)by); /* the guest chose it: wraps */
    if (cpu->pv_tsc_moved)
        cpu->pv_tsc_moved(cpu->pv_ctx);
}

static bool canonical_to(u64 *dst, u64 v)
{
    if (!is_canonical(v))
        return false;
    *dst = v;
    return true;
}

bool msr_write(struct cpu *cpu, u32 msr, u64 v)
{
    u64 *m = cpu_has(cpu, FEAT_MTRR) ? mtrr(cpu, msr) : NULL;
    bool lm = cpu_has(cpu, FEAT_LM);
    if (m) {
        if (!mtrr_valid(cpu, msr, v))
            return false;
        *m = v; /* memory types have no effect here: all guest memory is coherent */
        return true;
    }
    if (msr >= MSR_X2APIC && msr < MSR_X2APIC + 0x100)
        return cpu->lapic && lapic_write_msr(cpu->lapic, msr, v);
    switch (msr) {
    case MSR_TSC: {
        i64 delta = (i64)(v - read_tsc(cpu));
        if (!cpu_has(cpu, FEAT_TSC))
            return false;
        move_tsc(cpu, delta);
        cpu->tsc_adjust += (u64)delta;
        return true;
    }
    case MSR_APIC_BASE:
        if (!cpu->lapic || !apic_base_valid(cpu, v))
            return false;
        lapic_set_base(cpu->lapic, v);
        return true;
    case MSR_TSC_ADJUST:
        if (!cpu_has(cpu, FEAT_TSCADJ))
            return false;
        move_tsc(cpu, (i64)(v - cpu->tsc_adjust));
        cpu->tsc_adjust = v;
        return true;
    case MSR_BIOS_SIGN:
    case MSR_MCG_STATUS:
        return true;
    case MSR_SYSENTER_CS:
        cpu->sysenter_cs = v;
        return cpu_has(cpu, FEAT_SEP);
    case MSR_SYSENTER_ESP:
        return cpu_has(cpu, FEAT_SEP) && canonical_to(&cpu->sysenter_esp, v);
    case MSR_SYSENTER_EIP:
        return cpu_has(cpu, FEAT_SEP) && canonical_to(&cpu->sysenter_eip, v);
    case MSR_MISC_ENABLE:
        if (cpu_is_amd(cpu))
            return false;
        cpu->misc_enable = v;
        return true;
    case MSR_DEBUGCTL:
        return cpu_has(cpu, FEAT_CMOV) && !(v & ~0xffffull);
    case MSR_PAT:
        if (!cpu_has(cpu, FEAT_PAT) || !pat_valid(v))
            return false;
        cpu->pat = v;
        return true;
    case MSR_TSC_DEADLINE:
        if (!cpu->lapic || !cpu_has(cpu, FEAT_TSCDL))
            return false;
        lapic_set_deadline(cpu->lapic, v);
        return true;
    case MSR_EFER:
        if (!cpu_has(cpu, FEAT_NX) && !cpu_has(cpu, FEAT_SYSCALL))
            return false;
        write_efer(cpu, v);
        return true;
    case MSR_STAR:
        cpu->star = v;
        return cpu_has(cpu, FEAT_SYSCALL);
    case MSR_LSTAR:
        return lm && canonical_to(&cpu->lstar, v);
    case MSR_CSTAR:
        return lm && canonical_to(&cpu->cstar, v);
    case MSR_SFMASK:
        cpu->sfmask = (u32)v;
        return lm;
    case MSR_FS_BASE:
        return lm && canonical_to(&cpu->seg[SEG_FS].base, v);
    case MSR_GS_BASE:
        return lm && canonical_to(&cpu->seg[SEG_GS].base, v);
    case MSR_KGS_BASE:
        return lm && canonical_to(&cpu->kernel_gs_base, v);
    case MSR_TSC_AUX:
        cpu->tsc_aux = (u32)v;
        return cpu_has(cpu, FEAT_RDTSCP) && !(v >> 32);
    case MSR_AMD_HWCR:
    case MSR_AMD_DE_CFG:
        return cpu_is_amd(cpu);
    default:
        if (cpu->pv_wrmsr && cpu->pv_wrmsr(cpu->pv_ctx, msr, v))
            return true;
        if (cpu_is_amd(cpu) && amd_config(msr))
            return true;
        log_guest("WRMSR of unknown %08x = %016llx", msr, (unsigned long long)v);
        return false;
    }
}
