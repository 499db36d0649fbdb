/*
 * cpu/exec/system.c - control registers, flags, MSRs, time, system calls, halt, hypercall.
 *
 * Intel SDM vol. 2 and vol. 3 chapters 2, 5.8.7-8 (SYSENTER, SYSCALL), 20.3 (VME); AMD APM vol. 2,
 * 6.1 (SYSCALL outside 64-bit mode).
 */
#include "cpu/exec/rows_priv.h"
#include "cpu/segment_priv.h"

/* ---- control and debug registers
 * -------------------------------------------------------------------- */
void exec_mov_cr(struct cpu *cpu, const struct insn *i)
{
    bool store = i->kind[0] != OP_CR; /* MOV r, CRn */
    int n = store ? i->reg[1] : i->reg[0];
    int g = store ? i->reg[0] : i->reg[1];
    int size = cpu->mode == MODE_LONG64 ? 8 : 4;

    if (n == 1 || (n > 4 && n != 8) || (n == 8 && size != 8) ||
        (n == 4 && !cpu_has(cpu, FEAT_CPUID)))
        raise_ud(cpu);
    need_cpl0(cpu);
    if (store) {
        u64 v = n == 0   ? cpu->cr0
                : n == 2 ? cpu->cr2
                : n == 3 ? cpu->cr3
                : n == 4 ? cpu->cr4
                         : read_cr8(cpu);
        gpr_write(cpu, g, size, v);
        return;
    }
    u64 v = gpr_read(cpu, g, size);
    switch (n) {
    case 0:
        write_cr0(cpu, v);
        break;
    case 2:
        cpu->cr2 = v;
        TRACE(cpu, TRACE_CR, 2, v, 0);
        break;
    case 3:
        write_cr3(cpu, v);
        break;
    case 4:
        write_cr4(cpu, v);
        break;
    default:
        write_cr8(cpu, v);
        break;
    }
}

void exec_mov_dr(struct cpu *cpu, const struct insn *i)
{
    bool store = i->kind[0] != OP_DR;
    int n = store ? i->reg[1] : i->reg[0];
    int g = store ? i->reg[0] : i->reg[1];
    int size = cpu->mode == MODE_LONG64 ? 8 : 4;

    if (n > 7)
        raise_ud(cpu);
    if (n == 4 || n == 5) {
        if (cpu->cr4 & CR4_DE)
            raise_ud(cpu);
        n += 2;
    }
    need_cpl0(cpu);
    if (cpu->dr[7] & BIT(13)) { /* general detect: a fault before the access */
        cpu->dr[6] |= BIT(13);
        cpu_raise(cpu, EX_DB);
    }
    if (store)
        gpr_write(cpu, g, size, cpu->dr[n]);
    else
        write_dr(cpu, n, gpr_read(cpu, g, size));
}

void exec_lmsw(struct cpu *cpu, const struct insn *i)
{
    need_cpl0(cpu);
    u64 v = op_read(cpu, i, 0) & 0xf;
    /* PE can be set, not cleared */
    write_cr0(cpu, (cpu->cr0 & ~0xeull) | (v & 0xf));
}

void exec_smsw(struct cpu *cpu, const struct insn *i)
{
    if (unlikely(cpu->cr4 & CR4_UMIP) && cpu->cpl != 0)
        raise_gp0(cpu);
    u64 v = cpu->cr0;
    if (!cpu_has(cpu, FEAT_I386))
        v |= 0xfff0;
    if (i->kind[0] == OP_MEM)
        mem_write(cpu, i->seg, op_ea(cpu, i), v & 0xffff, 2);
    else
        gpr_write(cpu, i->reg[0], i->size[0], v);
}

void exec_clts(struct cpu *cpu, const struct insn *i)
{
    (void)i;
    need_cpl0(cpu);
    cpu->cr0 &= ~(u64)CR0_TS;
    update_mode(cpu);
    TRACE(cpu, TRACE_CR, 0, cpu->cr0, 0);
}

void exec_invlpg(struct cpu *cpu, const struct insn *i)
{
    need_cpl0(cpu);
    gla a = op_ea(cpu, i);
    if (i->seg != SEG_FLAT)
        a = cpu->mode == MODE_LONG64 ? (i->seg >= SEG_FS ? a + cpu->seg[i->seg].base : a)
                                     : (u32)(a + cpu->seg[i->seg].base);
    if (is_canonical(a))
        mmu_flush_page(&cpu->mmu, a);
}

void exec_invpcid(struct cpu *cpu, const struct insn *i)
{
    need_cpl0(cpu);
    u64 type = gpr_read(cpu, i->reg[0], cpu->mode == MODE_LONG64 ? 8 : 4);
    gva ea = op_ea(cpu, i);
    u64 pcid = mem_read(cpu, i->seg, ea, 8);
    u64 addr = mem_read(cpu, i->seg, addr_mask(ea + 8, i->asize), 8);
    if (type > 3 || (type < 2 && (pcid >> 12)) || (type < 2 && pcid && !(cpu->cr4 & CR4_PCIDE)) ||
        (type == 0 && !is_canonical(addr)))
        raise_gp0(cpu);
    if (type == 0)
        mmu_flush_page(&cpu->mmu, addr);
    else if (type == 2)
        mmu_flush_all(&cpu->mmu);
    else
        mmu_flush_nonglobal(&cpu->mmu); /* the TLB keeps one address space at a time */
}

void exec_wbinvd(struct cpu *cpu, const struct insn *i)
{
    (void)i;
    need_cpl0(cpu); /* memory is coherent: nothing to do */
}

void exec_xgetbv(struct cpu *cpu, const struct insn *i)
{
    (void)i;
    if (!(cpu->cr4 & CR4_OSXSAVE))
        raise_ud(cpu);
    u32 n = (u32)cpu->gpr[RCX];
    if (n > 1 || (n == 1 && !cpu_has(cpu, FEAT_XGETBV1)))
        raise_gp0(cpu);
    u64 v = n ? native_xinuse(cpu) : cpu->xcr0;
    cpu->gpr[RAX] = (u32)v;
    cpu->gpr[RDX] = v >> 32;
}

void exec_xsetbv(struct cpu *cpu, const struct insn *i)
{
    (void)i;
    if (!(cpu->cr4 & CR4_OSXSAVE))
        raise_ud(cpu);
    need_cpl0(cpu);
    u64 v = (u32)cpu->gpr[RAX] | cpu->gpr[RDX] << 32;
    u64 known = cpu_has(cpu, FEAT_AVX) ? 7 : 3;
    if ((u32)cpu->gpr[RCX] != 0 || !(v & 1) || (v & ~known) || ((v & 4) && !(v & 2)))
        raise_gp0(cpu);
    cpu->xcr0 = v;
    update_mode(cpu);
}

static void set_ac(struct cpu *cpu, bool on)
{
    if (cpu->cpl != 0)
        raise_ud(cpu);
    set_eflags(cpu, on ? FL_AC : 0, FL_AC);
}
void exec_clac(struct cpu *cpu, const struct insn *i)
{
    (void)i;
    set_ac(cpu, false);
}
void exec_stac(struct cpu *cpu, const struct insn *i)
{
    (void)i;
    set_ac(cpu, true);
}

/* ---- flags
 * ---------------------------------------------------------------------------------------------- */
static int iopl(const struct cpu *cpu)
{
    return (int)(cpu->flsys & FL_IOPL) >> 12;
}

/* Whether CLI and STI act on VIF instead of IF (VME in V86 mode, PVI at CPL 3). */
static bool virtual_if(const struct cpu *cpu)
{
    if (iopl(cpu) == 3)
        return false;
    return cpu->mode == MODE_V86 ? cpu->cr4 & CR4_VME
                                 : cpu->cpl == 3 && (cpu->cr4 & CR4_PVI) && iopl(cpu) < 3;
}

void exec_cli(struct cpu *cpu, const struct insn *i)
{
    (void)i;
    if (cpu->cpl <= iopl(cpu))
        cpu->flsys &= ~(u32)FL_IF;
    else if (virtual_if(cpu))
        cpu->flsys &= ~(u32)FL_VIF;
    else
        raise_gp0(cpu);
}

void exec_sti(struct cpu *cpu, const struct insn *i)
{
    (void)i;
    if (cpu->cpl <= iopl(cpu)) {
        if (!(cpu->flsys & FL_IF)) {
            if (cpu->block && !cpu->pending)
                cpu->shadow = cpu->left + cpu->stolen;
            else
                cpu->pending |= PEND_SHADOW;
        }
        cpu->flsys |= FL_IF;
    } else if (virtual_if(cpu) && !(cpu->flsys & FL_VIP)) {
        cpu->flsys |= FL_VIF;
    } else {
        raise_gp0(cpu);
    }
}

void exec_pushf(struct cpu *cpu, const struct insn *i)
{
    u32 fl = (u32)cpu_rflags(cpu);
    if (cpu->mode == MODE_V86 && iopl(cpu) < 3) {
        if (!(cpu->cr4 & CR4_VME) || i->osize != 2)
            raise_gp0(cpu);
        fl = (fl & ~(u32)FL_IF) | FL_IOPL | (fl & FL_VIF ? (u32)FL_IF : 0);
    }
    fl &= ~(u32)(FL_RF | FL_VM);
    if (!cpu_has(cpu, FEAT_I286))
        fl |= 0xf000; /* the 8086 has ones there, the 286 zeroes in real mode */
    else if (!cpu_has(cpu, FEAT_I386) && cpu->mode == MODE_REAL)
        fl &= 0xfff;
    push(cpu, fl, i->osize);
}

void exec_popf(struct cpu *cpu, const struct insn *i)
{
    u32 fl = (u32)stack_peek(cpu, 0, i->osize);
    u32 mask = FL_ARITH | FL_TF | FL_DF | FL_NT;
    if (i->osize > 2) {
        mask |= FL_AC | FL_RF;
        if (cpu_has(cpu, FEAT_CPUID))
            mask |= FL_ID;
        fl &= ~(u32)FL_RF; /* cleared, whatever the image says */
    }
    if (cpu->mode == MODE_V86) {
        if (iopl(cpu) < 3) {
            if (!(cpu->cr4 & CR4_VME) || i->osize != 2 || (fl & FL_TF) ||
                ((fl & FL_IF) && (cpu->flsys & FL_VIP)))
                raise_gp0(cpu);
            pop_commit(cpu, i->osize);
            set_eflags(cpu, (fl & ~(u32)FL_VIF) | (fl & FL_IF ? (u32)FL_VIF : 0), mask | FL_VIF);
            return;
        }
        mask |= FL_IF;
    } else {
        if (cpu->cpl == 0)
            mask |= FL_IOPL;
        if (cpu->cpl <= iopl(cpu))
            mask |= FL_IF;
    }
    if (!cpu_has(cpu, FEAT_I386) && cpu->mode == MODE_REAL)
        mask &= ~(u32)(FL_IOPL | FL_NT);
    pop_commit(cpu, i->osize);
    set_eflags(cpu, fl, mask);
}

void exec_hlt(struct cpu *cpu, const struct insn *i)
{
    (void)i;
    need_cpl0(cpu);
    if (unlikely(cpu->unhalted)) {
        cpu->unhalted = false;
        return;
    }
    cpu->halted = true;
    cpu->pending |= PEND_HALT;
}

/* ---- MSRs, time, identity
 * ------------------------------------------------------------------------------------ */
void exec_rdmsr(struct cpu *cpu, const struct insn *i)
{
    u64 v;
    (void)i;
    if (!cpu_has(cpu, FEAT_MSR))
        raise_ud(cpu);
    need_cpl0(cpu);
    if (!msr_read(cpu, (u32)cpu->gpr[RCX], &v))
        raise_gp0(cpu);
    cpu->gpr[RAX] = (u32)v;
    cpu->gpr[RDX] = v >> 32;
    TRACE(cpu, TRACE_RDMSR, (u32)cpu->gpr[RCX], v, 0);
}

void exec_wrmsr(struct cpu *cpu, const struct insn *i)
{
    u64 v = (u32)cpu->gpr[RAX] | cpu->gpr[RDX] << 32;

    (void)i;
    if (!cpu_has(cpu, FEAT_MSR))
        raise_ud(cpu);
    need_cpl0(cpu);
    if (!msr_write(cpu, (u32)cpu->gpr[RCX], v))
        raise_gp0(cpu);
    TRACE(cpu, TRACE_WRMSR, (u32)cpu->gpr[RCX], v, 0);
}

static void time_to_regs(struct cpu *cpu)
{
    if (unlikely(cpu->cr4 & CR4_TSD) && cpu->cpl != 0)
        raise_gp0(cpu);
    u64 t = read_tsc(cpu);
    cpu->gpr[RAX] = (u32)t;
    cpu->gpr[RDX] = t >> 32;
}

void exec_rdtsc(struct cpu *cpu, const struct insn *i)
{
    (void)i;
    time_to_regs(cpu);
}

void exec_rdtscp(struct cpu *cpu, const struct insn *i)
{
    (void)i;
    time_to_regs(cpu);
    cpu->gpr[RCX] = (u32)cpu->tsc_aux;
}

void exec_rdpmc(struct cpu *cpu, const struct insn *i)
{
    (void)i;
    if (!(cpu->cr4 & CR4_PCE))
        need_cpl0(cpu);
    if ((u32)cpu->gpr[RCX] > 3)
        raise_gp0(cpu);
    cpu->gpr[RAX] = cpu->gpr[RDX] = 0; /* counters that never count */
}

void exec_rdpid(struct cpu *cpu, const struct insn *i)
{
    gpr_write(cpu, i->reg[0], cpu->mode == MODE_LONG64 ? 8 : 4, cpu->tsc_aux);
}

void exec_cpuid(struct cpu *cpu, const struct insn *i)
{
    u32 r[4], leaf = (u32)cpu->gpr[RAX], sub = (u32)cpu->gpr[RCX];
    (void)i;
    cpuid(cpu, leaf, sub, r);
    if (leaf >> 28 != 4) /* those are the hypervisor's */
        cpu->cpuid_known[leaf % CPUID_KNOWN] =
            (struct cpuid_known){.leaf = leaf,
                                 .sub = sub,
                                 .cr4 = cpu->cr4,
                                 .xcr0 = cpu->xcr0,
                                 .apic_base = cpu->apic_base,
                                 .out = {r[0], r[1], r[2], r[3]}};
    /* Four loads: one of all that was stored in parts would have to wait for the cache. */
    u32 a = r[0], b = r[1], c = r[2], d = r[3];
    __asm__("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d));
    cpu->gpr[RAX] = a;
    cpu->gpr[RBX] = b;
    cpu->gpr[RCX] = c;
    cpu->gpr[RDX] = d;
}

/* ---- system calls
 * ---------------------------------------------------------------------------------------------- */
enum {
    CODE_ATTR = ATTR_P | ATTR_S | ATTR_X | ATTR_RW | ATTR_A | ATTR_G,
    DATA_ATTR = ATTR_P | ATTR_S | ATTR_RW | ATTR_A | ATTR_G | ATTR_DB,
};

/* CS, SS and CPL as all four leave them: flat, whatever the descriptors say. */
static void flat_segments(struct cpu *cpu, u16 cs, u16 ss, int cpl, bool lm)
{
    cpu->cpl = (u8)cpl;
    cpu->seg[SEG_CS] = (struct seg){.sel = (u16)((cs & 0xfffc) | cpl),
                                    .limit = 0xffffffff,
                                    .attr = (u16)(CODE_ATTR | cpl << 5 | (lm ? ATTR_L : ATTR_DB))};
    cpu->seg[SEG_SS] = (struct seg){.sel = (u16)((ss & 0xfffc) | cpl),
                                    .limit = 0xffffffff,
                                    .attr = (u16)(DATA_ATTR | cpl << 5)};
    seg_derive(cpu, SEG_CS);
    seg_derive(cpu, SEG_SS);
    update_mode(cpu);
}

void exec_syscall(struct cpu *cpu, const struct insn *i)
{
    (void)i;
    bool lm = cpu->efer & EFER_LMA;
    if (!(cpu->efer & EFER_SCE) || !(cpu->cr0 & CR0_PE) ||
        (!cpu_is_amd(cpu) && cpu->mode != MODE_LONG64))
        raise_ud(cpu);
    u16 cs = (u16)(cpu->star >> 32);
    u32 fl = (u32)cpu_rflags(cpu) & ~(u32)FL_RF;
    if (lm) {
        cpu->gpr[RCX] = cpu->rip;
        cpu->gpr[R11] = fl;
        cpu->rip = cpu->mode == MODE_LONG64 ? cpu->lstar : cpu->cstar;
        set_eflags(cpu, 0, (u32)cpu->sfmask | FL_RF);
    } else {
        cpu->gpr[RCX] = (u32)cpu->rip;
        cpu->rip = (u32)cpu->star;
        set_eflags(cpu, 0, FL_VM | FL_IF | FL_RF);
    }
    flat_segments(cpu, cs, (u16)((cs & 0xfffc) + 8), 0, lm);
}

void exec_sysret(struct cpu *cpu, const struct insn *i)
{
    bool lm = cpu->efer & EFER_LMA;
    if (!(cpu->efer & EFER_SCE) || !(cpu->cr0 & CR0_PE) ||
        (!cpu_is_amd(cpu) && cpu->mode != MODE_LONG64))
        raise_ud(cpu);
    need_cpl0(cpu);
    u16 sel = (u16)(cpu->star >> 48);
    bool to64 = lm && i->osize == 8;
    if (to64 && !cpu_is_amd(cpu) && !is_canonical(cpu->gpr[RCX]))
        raise_gp0(cpu);
    if (lm)
        set_eflags(cpu, (u32)cpu->gpr[R11] & 0x3c7fd7, ~(u32)(FL_RF | FL_VM));
    else
        set_eflags(cpu, FL_IF, FL_IF);
    cpu->rip = to64 ? cpu->gpr[RCX] : (u32)cpu->gpr[RCX];
    flat_segments(cpu, (u16)(sel + (to64 ? 16 : 0)), (u16)(sel + 8), 3, to64);
}

void exec_sysenter(struct cpu *cpu, const struct insn *i)
{
    (void)i;
    bool lm = cpu->efer & EFER_LMA;
    if (!cpu_has(cpu, FEAT_SEP) || (lm && cpu_is_amd(cpu)))
        raise_ud(cpu);
    if (!(cpu->cr0 & CR0_PE) || sel_null((u16)cpu->sysenter_cs))
        raise_gp0(cpu);
    u16 cs = (u16)cpu->sysenter_cs;
    set_eflags(cpu, 0, FL_VM | FL_IF | FL_RF);
    cpu->gpr[RSP] = lm ? cpu->sysenter_esp : (u32)cpu->sysenter_esp;
    cpu->rip = lm ? cpu->sysenter_eip : (u32)cpu->sysenter_eip;
    flat_segments(cpu, cs, (u16)((cs & 0xfffc) + 8), 0, lm);
}

void exec_sysexit(struct cpu *cpu, const struct insn *i)
{
    bool lm = cpu->efer & EFER_LMA;
    if (!cpu_has(cpu, FEAT_SEP) || (lm && cpu_is_amd(cpu)))
        raise_ud(cpu);
    if (!(cpu->cr0 & CR0_PE) || sel_null((u16)cpu->sysenter_cs))
        raise_gp0(cpu);
    need_cpl0(cpu);
    bool to64 = lm && i->osize == 8;
    u64 sp = cpu->gpr[RCX], ip = cpu->gpr[RDX];
    if (to64 && (!is_canonical(sp) || !is_canonical(ip)))
        raise_gp0(cpu);
    u16 cs = (u16)((cpu->sysenter_cs & 0xfffc) + (to64 ? 32 : 16));
    cpu->gpr[RSP] = to64 ? sp : (u32)sp;
    cpu->rip = to64 ? ip : (u32)ip;
    flat_segments(cpu, cs, (u16)(cs + 8), 3, to64);
}

void exec_rsm(struct cpu *cpu, const struct insn *i)
{
    (void)i;
    raise_ud(cpu); /* never in system-management mode */
}

void exec_vmcall(struct cpu *cpu, const struct insn *i)
{
    u64 rax = cpu->gpr[RAX];
    u64 began = ledger_begin(cpu->mmu.ledger);
    (void)i;
    if (!cpu->hypercall || !cpu->hypercall(cpu->hypercall_ctx, cpu))
        raise_ud(cpu);
    cpu->n_hypercalls++;
    ledger_end(cpu->mmu.ledger, LEDGER_HYPERCALL, began);
    TRACE(cpu, TRACE_HYPERCALL, 0, rax, 0);
}
