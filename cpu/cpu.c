/*
 * cpu/cpu.c - a vCPU's life: making, reset, pins, and the views that debuggers and loaders have.
 *
 * Reset values: Intel SDM vol. 3, 9.1.1 (table 9-1).
 */
#include "base/log.h"
#include "cpu/breaks.h"
#include "cpu/interp_priv.h"

#include <stdio.h>
#include <stdlib.h>

static void space_changed(void *ctx)
{
    struct cpu *cpu = ctx;
    mmu_flush_all(&cpu->mmu);
    blocks_flush(cpu);
}

static noreturn void mmu_fault(void *ctx, gla addr, u32 error)
{
    cpu_page_fault(ctx, addr, error);
}

enum status cpu_new(const struct cpu_config *c, struct cpu **out, struct error *err)
{
    struct cpu *cpu = aligned_alloc(64, align_up(sizeof(*cpu), 64));
    if (!cpu)
        return fail(err, ST_NOMEM, "out of memory for a CPU");
    memset(cpu, 0, sizeof(*cpu));
    cpu->self = cpu;
    cpu->id = c->id;
    cpu->clk = c->clk;
    cpu->mem = c->mem;
    cpu->ports = c->ports;
    cpu->ram = c->ram;
    enum status st = cpu_model_apply(cpu, c->model, err);
    if (st != ST_OK) {
        free(cpu);
        return st;
    }
    mmu_init(&cpu->mmu, c->mem);
    cpu->mmu.ctx = cpu;
    cpu->mmu.page_fault = mmu_fault;
    cpu->mmu.has_nx = cpu_has(cpu, FEAT_NX);
    cpu->mmu.has_pse36 = cpu_has(cpu, FEAT_PSE36);
    cpu->mmu.has_gbpages = cpu_has(cpu, FEAT_GBPAGES);
    cpu->mmu.phys_bits = cpu_has(cpu, FEAT_LM) ? 40 : cpu_has(cpu, FEAT_PAE) ? 36 : 32;
    cpu->mmu.local_page = ~0ull;
    blocks_new(cpu);
    native_init(cpu);
    if (cpu_has(cpu, FEAT_APIC))
        cpu->lapic = lapic_new(cpu, c->clk);
    space_set_listener(c->mem, space_changed, cpu);
    cpu_reset(cpu, false);
    *out = cpu;
    return ST_OK;
}

void cpu_free(struct cpu *cpu)
{
    if (!cpu)
        return;
    space_set_listener(cpu->mem, NULL, NULL);
    if (cpu->lapic)
        lapic_free(cpu->lapic);
    native_free(cpu);
    cpu_break_clear(cpu);
    blocks_free(cpu);
    free(cpu);
}

void cpu_set_seg(struct cpu *cpu, int s, u16 sel, u64 base, u32 limit, u16 attr)
{
    cpu->seg[s] = (struct seg){.sel = sel, .base = base, .limit = limit, .attr = attr};
    seg_cache(cpu, s);
}

void cpu_reset(struct cpu *cpu, bool init)
{
    u32 keep_cr0 = init ? (u32)cpu->cr0 & (CR0_CD | CR0_NW) : CR0_CD | CR0_NW;

    TRACE(cpu, TRACE_RESET, init, 0, 0);
    memset(cpu->gpr, 0, sizeof(cpu->gpr));
    cpu->gpr[RDX] = cpu_signature(cpu);
    cpu->fl = fl_from_eflags(0);
    cpu->flsys = FL_1;
    cpu->cr0 = cpu_has(cpu, FEAT_I486) ? keep_cr0 | CR0_ET : 0;
    cpu->cr2 = cpu->cr3 = cpu->cr4 = cpu->efer = 0;
    cpu->cpl = 0;
    cpu->ldtr = (struct seg){.limit = 0xffff, .attr = ATTR_P | 2};
    cpu->tr = (struct seg){.limit = 0xffff, .attr = ATTR_P | 11};
    cpu->gdtr = (struct dtable){0, 0xffff};
    cpu->idtr = (struct dtable){0, cpu_has(cpu, FEAT_I286) ? 0xffff : 0x3ff};
    for (int s = 0; s < SEG_COUNT; s++)
        cpu->seg[s] = (struct seg){.limit = 0xffff, .attr = ATTR_P | ATTR_S | ATTR_RW | ATTR_A};
    cpu->seg[SEG_CS].attr |= ATTR_X;
    if (!cpu_has(cpu, FEAT_I286)) { /* 8086: FFFF:0000 */
        cpu->seg[SEG_CS].sel = 0xffff;
        cpu->seg[SEG_CS].base = 0xffff0;
        cpu->rip = 0;
    } else {
        cpu->seg[SEG_CS].sel = 0xf000;
        cpu->seg[SEG_CS].base = cpu_has(cpu, FEAT_I386) ? 0xffff0000 : 0xff0000;
        cpu->rip = 0xfff0;
    }
    memset(cpu->dr, 0, sizeof(cpu->dr));
    cpu->dr[6] = 0xffff0ff0;
    cpu->dr[7] = 0x400;
    cpu->dr6_pending = 0;
    cpu->pending = 0;
    cpu->halted = cpu->nmi_blocked = cpu->watch_on = false;
    cpu->ex_nested = -1;
    cpu->ferr = false;
    if (!init) {
        cpu->star = cpu->lstar = cpu->cstar = cpu->sfmask = cpu->kernel_gs_base = cpu->tsc_aux = 0;
        cpu->sysenter_cs = cpu->sysenter_esp = cpu->sysenter_eip = 0;
        cpu->pat = 0x0007040600070406;
        cpu->misc_enable = 1;
        cpu->mtrr_def = 0;
        memset(cpu->mtrr_fix, 0, sizeof(cpu->mtrr_fix));
        memset(cpu->mtrr_var, 0, sizeof(cpu->mtrr_var));
        cpu->tsc_adjust = 0;
        cpu->xcr0 = 1;
        /* FPU as after FINIT with the reset MXCSR; x87 registers zero (SDM vol. 3, table 9-1) */
        memset(&cpu->xs, 0, sizeof(cpu->xs));
        st_u16(cpu->xs.legacy, 0x37f);
        st_u32(cpu->xs.legacy + 24, 0x1f80);
        st_u32(cpu->xs.legacy + 28, 0xffff);
        cpu->fop = cpu->fcs = cpu->fds = 0;
        cpu->fip = cpu->fdp = 0;
        native_reset(cpu);
    }
    if (cpu->lapic)
        lapic_reset(cpu->lapic);
    if (init && cpu->pv_init)
        cpu->pv_init(cpu->pv_ctx);
    cpu_sync(cpu);
}

void cpu_state_written(struct cpu *cpu, bool paging)
{
    for (int s = 0; s < SEG_COUNT; s++)
        seg_cache(cpu, s);
    if (paging) {
        mmu_set_regs(&cpu->mmu, cpu->cr0, cpu->cr3, cpu->cr4, cpu->efer);
        mmu_flush_all(&cpu->mmu);
    }
    update_mode(cpu);
    debug_sync(cpu);
    cpu_update_intr(cpu);
}

void cpu_sync(struct cpu *cpu)
{
    blocks_flush(cpu);
    cpu_state_written(cpu, true);
}

void cpu_set_intr(struct cpu *cpu, bool level)
{
    cpu->intr_pin = level;
    if (cpu->lapic)
        lapic_set_lint0(cpu->lapic, level);
    cpu_update_intr(cpu);
}

void cpu_raise_nmi(struct cpu *cpu)
{
    cpu->pending |= PEND_NMI;
    cpu_cut_slice(cpu);
}

void cpu_apic_message(struct cpu *cpu, u32 dest, bool logical, int mode, int vector, bool level)
{
    lapic_message(cpu->lapic, dest, logical, mode, vector, level);
}

void cpu_set_a20(struct cpu *cpu, bool on)
{
    mmu_set_a20(&cpu->mmu, on);
}

u64 cpu_rflags(const struct cpu *cpu)
{
    return cpu->flsys | fl_to_eflags(cpu->fl) | FL_1;
}

void cpu_set_rflags(struct cpu *cpu, u64 v)
{
    set_eflags(cpu, (u32)v, ~0u);
}

bool cpu_read_msr(struct cpu *cpu, u32 msr, u64 *v)
{
    return msr_read(cpu, msr, v);
}

u64 cpu_cr8(struct cpu *cpu)
{
    return read_cr8(cpu);
}

void cpu_set_cr8(struct cpu *cpu, u64 v)
{
    write_cr8(cpu, v & 0xf);
}

size_t cpu_dump(const struct cpu *cpu, char *buf, size_t size)
{
    static const char *const modes[] = {"real", "v86", "prot", "compat", "long64"};
    static const char *const names[] = {"RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI",
                                        "R8 ", "R9 ", "R10", "R11", "R12", "R13", "R14", "R15"};
    static const char *const segs[] = {"ES", "CS", "SS", "DS", "FS", "GS"};
    size_t n = 0;
#define OUT(...)                                                                                   \
    do {                                                                                           \
        int w_ = snprintf(n < size ? buf + n : NULL, n < size ? size - n : 0, __VA_ARGS__);        \
        n += w_ > 0 ? (size_t)w_ : 0;                                                              \
    } while (0)
    OUT("CPU%u %s CPL=%d RIP=%016llx RFLAGS=%08llx insns=%llu%s\n", cpu->id, modes[cpu->mode],
        cpu->cpl, (unsigned long long)cpu->rip, (unsigned long long)cpu_rflags(cpu),
        (unsigned long long)cpu_icount(cpu), cpu->halted ? " HLT" : "");
    for (int r = 0; r < 16; r++)
        OUT("%s=%016llx%c", names[r], (unsigned long long)cpu->gpr[r], r % 4 == 3 ? '\n' : ' ');
    for (int s = 0; s < SEG_COUNT; s++)
        OUT("%s =%04x %016llx %08x %04x\n", segs[s], cpu->seg[s].sel,
            (unsigned long long)cpu->seg[s].base, cpu->seg[s].limit, cpu->seg[s].attr);
    OUT("LDT=%04x %016llx %08x  TR=%04x %016llx %08x\n", cpu->ldtr.sel,
        (unsigned long long)cpu->ldtr.base, cpu->ldtr.limit, cpu->tr.sel,
        (unsigned long long)cpu->tr.base, cpu->tr.limit);
    OUT("GDT=%016llx %04x  IDT=%016llx %04x\n", (unsigned long long)cpu->gdtr.base, cpu->gdtr.limit,
        (unsigned long long)cpu->idtr.base, cpu->idtr.limit);
    OUT("CR0=%08llx CR2=%016llx CR3=%016llx CR4=%08llx EFER=%04llx DR6=%08llx DR7=%08llx\n",
        (unsigned long long)cpu->cr0, (unsigned long long)cpu->cr2, (unsigned long long)cpu->cr3,
        (unsigned long long)cpu->cr4, (unsigned long long)cpu->efer, (unsigned long long)cpu->dr[6],
        (unsigned long long)cpu->dr[7]);
#undef OUT
    return n;
}

void exec_invalid(struct cpu *cpu, const struct insn *i)
{
    if (i->imm == EX_GP)
        raise_gp0(cpu); /* longer than 15 bytes */
    raise_ud(cpu);
}
