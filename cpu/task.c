/*
 * cpu/task.c - the hardware task switch of protected mode.
 *
 * Faults before the point of no return belong to the old task; later ones (segment loads of the new
 * task) to the new one, whose registers are loaded by then. Intel SDM vol. 3, 7.3 and table 7-1.
 */
#include "cpu/segment_priv.h"

struct tss {
    u32 cr3, eip, eflags, gpr[8];
    u16 sel[6], ldt;
    bool trap;
};

static const u8 seg_order[6] = {SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS};

static u64 tss_get(struct cpu *cpu, u64 base, u32 off, int size)
{
    return sys_read(cpu, (u32)(base + off), size);
}

static void read_tss32(struct cpu *cpu, u64 base, struct tss *t)
{
    t->cr3 = (u32)tss_get(cpu, base, 28, 4);
    t->eip = (u32)tss_get(cpu, base, 32, 4);
    t->eflags = (u32)tss_get(cpu, base, 36, 4);
    for (u32 k = 0; k < 8; k++)
        t->gpr[k] = (u32)tss_get(cpu, base, 40 + k * 4, 4);
    for (u32 k = 0; k < 6; k++)
        t->sel[k] = (u16)tss_get(cpu, base, 72 + k * 4, 2);
    t->ldt = (u16)tss_get(cpu, base, 96, 2);
    t->trap = tss_get(cpu, base, 100, 2) & 1;
}

static void read_tss16(struct cpu *cpu, u64 base, struct tss *t)
{
    memset(t, 0, sizeof(*t));
    t->eip = (u32)tss_get(cpu, base, 14, 2);
    t->eflags = (u32)tss_get(cpu, base, 16, 2);
    for (u32 k = 0; k < 8; k++)
        t->gpr[k] = 0xffff0000u | (u32)tss_get(cpu, base, 18 + k * 2, 2);
    for (u32 k = 0; k < 4; k++)
        t->sel[k] = (u16)tss_get(cpu, base, 34 + k * 2, 2);
    t->ldt = (u16)tss_get(cpu, base, 42, 2);
}

static void save_tss(struct cpu *cpu, bool wide, u32 fl)
{
    u64 b = cpu->tr.base;
    if (wide) {
        sys_write(cpu, (u32)(b + 32), cpu->rip, 4);
        sys_write(cpu, (u32)(b + 36), fl, 4);
        for (u32 k = 0; k < 8; k++)
            sys_write(cpu, (u32)(b + 40 + k * 4), cpu->gpr[k], 4);
        for (u32 k = 0; k < 6; k++)
            sys_write(cpu, (u32)(b + 72 + k * 4), cpu->seg[seg_order[k]].sel, 2);
    } else {
        sys_write(cpu, (u32)(b + 14), cpu->rip, 2);
        sys_write(cpu, (u32)(b + 16), fl, 2);
        for (u32 k = 0; k < 8; k++)
            sys_write(cpu, (u32)(b + 18 + k * 2), cpu->gpr[k], 2);
        for (u32 k = 0; k < 4; k++)
            sys_write(cpu, (u32)(b + 34 + k * 2), cpu->seg[seg_order[k]].sel, 2);
    }
}

/* Segment registers of the new task: #TS instead of #GP. */
static void load_task_seg(struct cpu *cpu, int s, u16 sel)
{
    struct desc d;
    if (s == SEG_CS) {
        if (sel_null(sel))
            cpu_raise_err(cpu, EX_TS, 0);
        desc_need(cpu, sel, &d, EX_TS);
        int rpl = sel & 3, dpl = desc_dpl(&d);
        if (!desc_s(&d) || !desc_code(&d) || (desc_conforming(&d) ? dpl > rpl : dpl != rpl))
            cpu_raise_err(cpu, EX_TS, sel & 0xfffc);
        if (!desc_p(&d))
            cpu_raise_err(cpu, EX_NP, sel & 0xfffc);
        u64 rip = cpu->rip;
        load_cs(cpu, sel, rpl, &d, rip);
        return;
    }
    if (s == SEG_SS) {
        check_ss(cpu, sel, cpu->cpl, &d, EX_TS);
    } else {
        if (sel_null(sel)) {
            seg_null(cpu, s, sel);
            return;
        }
        desc_need(cpu, sel, &d, EX_TS);
        if (!desc_s(&d) || (desc_code(&d) && !(d.hi & 0x200)))
            cpu_raise_err(cpu, EX_TS, sel & 0xfffc);
        if (!(desc_code(&d) && desc_conforming(&d)) &&
            ((sel & 3) > desc_dpl(&d) || cpu->cpl > desc_dpl(&d)))
            cpu_raise_err(cpu, EX_TS, sel & 0xfffc);
        if (!desc_p(&d))
            cpu_raise_err(cpu, EX_NP, sel & 0xfffc);
    }
    desc_mark_accessed(cpu, &d);
    seg_fill(cpu, s, sel, &d);
}

static void load_task_ldt(struct cpu *cpu, u16 sel)
{
    struct desc d;
    cpu->ldtr = (struct seg){.sel = sel};
    if (sel_null(sel))
        return;
    if (sel & 4)
        cpu_raise_err(cpu, EX_TS, sel & 0xfffc);
    desc_need(cpu, sel, &d, EX_TS);
    if (desc_s(&d) || desc_type(&d) != SYS_LDT || !desc_p(&d))
        cpu_raise_err(cpu, EX_TS, sel & 0xfffc);
    cpu->ldtr.attr = desc_attr(&d);
    cpu->ldtr.base = desc_base(&d);
    cpu->ldtr.limit = desc_limit(&d);
}

void task_switch(struct cpu *cpu, u16 sel, int source, bool has_error, u32 error)
{
    struct desc d;
    struct tss t;
    desc_need(cpu, sel, &d, EX_TS);
    bool wide = desc_type(&d) >= SYS_TSS32;
    bool old_wide = (cpu->tr.attr & 15) >= SYS_TSS32;
    u64 base = desc_base(&d);

    if (desc_limit(&d) < (wide ? 0x67u : 0x2bu))
        cpu_raise_err(cpu, EX_TS, sel & 0xfffc);
    /* Everything that can fault in the old task: both TSSs are touched first. */
    if (wide)
        read_tss32(cpu, base, &t);
    else
        read_tss16(cpu, base, &t);
    int sup = cpu->cr4 & CR4_SMAP ? VIEW_SUP : VIEW_SUP_AC;
    mmu_probe_write(&cpu->mmu, sup, cpu->tr.base, old_wide ? 0x68 : 0x2c);
    if (source == TASK_CALL || source == TASK_INT)
        mmu_probe_write(&cpu->mmu, sup, base, 2);

    if (source == TASK_JUMP || source == TASK_IRET) {
        struct desc old;
        if (desc_read(cpu, cpu->tr.sel, &old))
            desc_mark_busy(cpu, &old, false);
    }
    u32 fl = (u32)cpu_rflags(cpu);
    if (source == TASK_IRET)
        fl &= ~(u32)FL_NT;
    save_tss(cpu, old_wide, fl);
    if (source == TASK_CALL || source == TASK_INT) {
        sys_write(cpu, (u32)base, cpu->tr.sel, 2);
        t.eflags |= FL_NT;
    }
    if (source != TASK_IRET)
        desc_mark_busy(cpu, &d, true);

    /* The new task from here on. */
    cpu->tr =
        (struct seg){.sel = sel, .attr = desc_attr(&d) | 2, .base = base, .limit = desc_limit(&d)};
    cpu->cr0 |= CR0_TS;
    cpu->dr[7] &= ~0x55ull; /* local breakpoints */
    debug_sync(cpu);
    cpu->rip = t.eip;
    cpu->cur = NULL; /* faults are the new task's, at its EIP */
    for (int k = 0; k < 8; k++)
        cpu->gpr[k] = t.gpr[k];
    /* selectors only: nothing can be used through them until each is loaded */
    for (int k = 0; k < 6; k++)
        cpu->seg[seg_order[k]] = (struct seg){.sel = t.sel[k]};
    set_eflags(cpu, t.eflags, ~0u);
    cpu->cpl = t.eflags & FL_VM ? 3 : t.sel[1] & 3;
    for (int k = 0; k < 6; k++)
        seg_cache(cpu, seg_order[k]);
    if (wide && (cpu->cr0 & CR0_PG))
        write_cr3(cpu, t.cr3);
    load_task_ldt(cpu, t.ldt);
    if (t.eflags & FL_VM) {
        for (int k = 0; k < 6; k++)
            seg_v86(cpu, seg_order[k], t.sel[k]);
    } else {
        load_task_seg(cpu, SEG_CS, t.sel[1]);
        load_task_seg(cpu, SEG_SS, t.sel[2]);
        load_task_seg(cpu, SEG_ES, t.sel[0]);
        load_task_seg(cpu, SEG_DS, t.sel[3]);
        load_task_seg(cpu, SEG_FS, t.sel[4]);
        load_task_seg(cpu, SEG_GS, t.sel[5]);
    }
    if (cpu->rip > cpu->seg[SEG_CS].limit)
        raise_gp0(cpu);
    if (has_error) {
        struct stack st = stack_current(cpu);
        stack_push(cpu, &st, error, wide ? 4 : 2);
        stack_commit(cpu, &st);
    }
    if (t.trap)
        cpu->dr6_pending |= 1u << 15; /* BT */
    if (cpu->dr6_pending)
        cpu->pending |= PEND_STEP;
}
