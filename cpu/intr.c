/*
 * cpu/intr.c - delivery of interrupts and exceptions through the IVT, IDT and VME redirection.
 *
 * A delivery that faults leaves the registers as they were: everything is checked and the frame is
 * pushed (below the stack pointer) before SS, RSP, CS, RIP and the flags change.
 * cpu->ex_nested tells the run loop's next cpu_deliver_fault what was being delivered.
 *
 * Intel SDM vol. 3: 6.12 (gates), 6.13 (error codes), 6.14 (64-bit), 6.15 (#DF), 20.1.4 (real
 * mode), 20.3 (V86 and VME).
 */
#include "cpu/segment_priv.h"

static bool contributory(int v)
{
    return v == EX_DE || (v >= EX_TS && v <= EX_GP);
}

void cpu_deliver_fault(struct cpu *cpu, int vector, bool has_error, u32 error)
{
    int first = cpu->ex_nested;

    cpu->ex_ext = false;
    cpu->dr6_pending = 0; /* of the instruction that did not complete */
    if (first == EX_DF) {
        log_guest("triple fault: vector %d while delivering #DF at %llx", vector,
                  (unsigned long long)cpu->rip);
        cpu->pending |= PEND_SHUTDOWN;
        return;
    }
    if ((contributory(first) && contributory(vector)) ||
        (first == EX_PF && (vector == EX_PF || contributory(vector)))) {
        vector = EX_DF;
        has_error = true;
        error = 0;
    }
    deliver(cpu, vector, INTR_EXCEPTION, has_error, error);
}

/* The 16-bit FLAGS image that is pushed in real mode: the top bits are the model's. */
static u16 flags16(const struct cpu *cpu)
{
    u16 f = (u16)cpu_rflags(cpu);
    if (!cpu_has(cpu, FEAT_I286))
        f |= 0xf000;
    else if (!cpu_has(cpu, FEAT_I386))
        f &= 0x0fff;
    return f;
}

static void clear_intr_flags(struct cpu *cpu, bool interrupt_gate)
{
    u32 clear = FL_TF | FL_NT | FL_RF | FL_VM;
    if (cpu->mode == MODE_REAL)
        clear = FL_TF | FL_AC | FL_RF;
    set_eflags(cpu, 0, clear | (interrupt_gate ? (u32)FL_IF : 0));
}

static void deliver_real(struct cpu *cpu, int vector)
{
    if ((u32)vector * 4 + 3 > cpu->idtr.limit)
        cpu_raise_err(cpu, EX_GP, 0);
    u32 entry = (u32)sys_read(cpu, (u32)(cpu->idtr.base + (u32)vector * 4), 4);
    struct stack st = stack_current(cpu);
    stack_push(cpu, &st, flags16(cpu), 2);
    stack_push(cpu, &st, cpu->seg[SEG_CS].sel, 2);
    stack_push(cpu, &st, (u16)cpu->rip, 2);
    stack_commit(cpu, &st);
    clear_intr_flags(cpu, true);
    seg_real(cpu, SEG_CS, (u16)(entry >> 16));
    cpu->rip = entry & 0xffff;
}

/* INT n in V86 mode under VME whose bit in the redirection bitmap is clear: the 8086 handler. */
static void deliver_v86_redirected(struct cpu *cpu, int vector)
{
    u32 entry = (u32)mmu_read(&cpu->mmu, cpu->view, (u32)vector * 4, 4);
    u32 fl = (u32)cpu_rflags(cpu);
    bool iopl3 = (fl & FL_IOPL) == FL_IOPL;
    struct stack st = stack_current(cpu);

    if (!iopl3) /* IF is VIF's image, IOPL reads as 3 (SDM vol. 3, 20.3.3.4) */
        fl = (fl & ~(u32)FL_IF) | FL_IOPL | (fl & FL_VIF ? (u32)FL_IF : 0);
    stack_push(cpu, &st, (u16)fl, 2);
    stack_push(cpu, &st, cpu->seg[SEG_CS].sel, 2);
    stack_push(cpu, &st, (u16)cpu->rip, 2);
    stack_commit(cpu, &st);
    set_eflags(cpu, 0, FL_TF | FL_NT | (iopl3 ? (u32)FL_IF : (u32)FL_VIF));
    seg_v86(cpu, SEG_CS, (u16)(entry >> 16));
    cpu->rip = entry & 0xffff;
}

/* Whether INT n from V86 mode goes to the 8086 handler. #GP(0) where IOPL forbids it. */
static bool v86_redirects(struct cpu *cpu, int vector)
{
    bool iopl3 = (cpu->flsys & FL_IOPL) == FL_IOPL;
    if (cpu->cr4 & CR4_VME) {
        /* the bitmap lies below the I/O bitmap: 32 bytes before its offset */
        u32 map = (u32)sys_read(cpu, cpu->tr.base + 102, 2);
        if (map >= 32 && map - 32 + (u32)vector / 8 <= cpu->tr.limit) {
            u8 byte = (u8)sys_read(cpu, cpu->tr.base + map - 32 + (u32)vector / 8, 1);
            if (!(byte >> (vector & 7) & 1))
                return true;
        }
    }
    if (!iopl3)
        raise_gp0(cpu);
    return false;
}

struct gate {
    u16 sel;
    u64 off;
    int type, dpl, ist;
    bool present;
};

static struct gate read_gate(struct cpu *cpu, int vector, bool soft, u32 ext)
{
    bool lm = cpu->efer & EFER_LMA;
    u32 size = lm ? 16 : 8;
    u32 err = (u32)vector * 8 + 2 + ext;
    struct gate g;

    if ((u32)vector * size + size - 1 > cpu->idtr.limit)
        cpu_raise_err(cpu, EX_GP, err);
    gla a = cpu->idtr.base + (u64)(u32)vector * size;
    if (!lm)
        a = (u32)a;
    u64 v = sys_read(cpu, a, 8);
    g.sel = (u16)(v >> 16);
    g.off = (v & 0xffff) | (v >> 32 & 0xffff0000);
    g.type = (int)(v >> 40) & 15;
    g.dpl = (int)(v >> 45) & 3;
    g.ist = (int)(v >> 32) & 7;
    g.present = v >> 47 & 1;
    bool system = !(v >> 44 & 1);
    if (lm) {
        u64 up = sys_read(cpu, a + 8, 8);
        g.off |= up << 32;
        if (!system || (g.type != SYS_INT32 && g.type != SYS_TRAP32) || (up >> 40 & 0x1f))
            cpu_raise_err(cpu, EX_GP, err);
    } else {
        if (!system ||
            !(g.type == SYS_TASK || g.type == SYS_INT16 || g.type == SYS_TRAP16 ||
              ((g.type == SYS_INT32 || g.type == SYS_TRAP32) && cpu_has(cpu, FEAT_I386))))
            cpu_raise_err(cpu, EX_GP, err);
        if (g.type < 8)
            g.off &= 0xffff; /* 286 gates: the last word is not theirs */
    }
    if (soft && g.dpl < cpu->cpl)
        cpu_raise_err(cpu, EX_GP, err);
    if (!g.present)
        cpu_raise_err(cpu, EX_NP, err);
    return g;
}

static void deliver_task(struct cpu *cpu, u16 sel, bool has_error, u32 error)
{
    struct desc d;
    if (sel_null(sel) || (sel & 4))
        cpu_raise_err(cpu, EX_GP, sel & 0xfffc);
    desc_need(cpu, sel, &d, EX_GP);
    int type = desc_type(&d);
    if (desc_s(&d) || (type != SYS_TSS16 && type != SYS_TSS32))
        cpu_raise_err(cpu, EX_GP, sel & 0xfffc);
    if (!desc_p(&d))
        cpu_raise_err(cpu, EX_NP, sel & 0xfffc);
    task_switch(cpu, sel, TASK_INT, has_error, error);
}

/* The frame of a 16- or 32-bit gate. */
static void deliver_legacy(struct cpu *cpu, const struct gate *g, struct desc *cs, int new_cpl,
                           bool has_error, u32 error, u32 pushed_flags)
{
    int size = g->type >= 8 ? 4 : 2;
    bool v86 = cpu->flsys & FL_VM;
    bool inner = new_cpl != cpu->cpl || v86;
    struct stack st;
    struct desc ss_d;
    u16 ss = 0;
    u64 frame[10];
    int n = 0;

    if (inner) {
        u32 esp;
        tss_stack(cpu, new_cpl, &ss, &esp);
        check_ss(cpu, ss, new_cpl, &ss_d, EX_TS);
        st = stack_new(ss, &ss_d, esp, new_cpl);
        if (v86) {
            static const u8 order[] = {SEG_GS, SEG_FS, SEG_DS, SEG_ES};
            for (int k = 0; k < 4; k++)
                frame[n++] = cpu->seg[order[k]].sel;
        }
        frame[n++] = cpu->seg[SEG_SS].sel;
        frame[n++] = cpu->gpr[RSP];
    } else {
        st = stack_current(cpu);
    }
    frame[n++] = pushed_flags;
    frame[n++] = cpu->seg[SEG_CS].sel;
    frame[n++] = cpu->rip;
    if (has_error)
        frame[n++] = error;
    stack_push_all(cpu, &st, frame, n, size);
    if (g->off > desc_limit(cs))
        raise_gp0(cpu);
    desc_mark_accessed(cpu, cs);
    if (inner)
        desc_mark_accessed(cpu, &ss_d);

    clear_intr_flags(cpu, !(g->type & 1));
    put_cs(cpu, g->sel, new_cpl, cs, g->off);
    if (inner)
        seg_put(cpu, SEG_SS, ss, &ss_d);
    if (v86) {
        seg_put_null(cpu, SEG_GS, 0);
        seg_put_null(cpu, SEG_FS, 0);
        seg_put_null(cpu, SEG_DS, 0);
        seg_put_null(cpu, SEG_ES, 0);
    }
    update_mode(cpu);
    stack_commit(cpu, &st);
}

static void deliver_long(struct cpu *cpu, const struct gate *g, struct desc *cs, int new_cpl,
                         bool has_error, u32 error, u32 pushed_flags)
{
    u64 rsp;
    bool inner = new_cpl != cpu->cpl;

    if (g->ist)
        rsp = tss_rsp64(cpu, g->ist + 3);
    else if (inner)
        rsp = tss_rsp64(cpu, new_cpl);
    else
        rsp = cpu->gpr[RSP];
    struct stack st = stack_new(0, NULL, rsp & ~15ull, new_cpl);
    const u64 frame[] = {cpu->seg[SEG_SS].sel, cpu->gpr[RSP], pushed_flags,
                         cpu->seg[SEG_CS].sel, cpu->rip,      error};
    stack_push_all(cpu, &st, frame, has_error ? 6 : 5, 8);
    if (!is_canonical(g->off))
        raise_gp0(cpu);
    desc_mark_accessed(cpu, cs);

    clear_intr_flags(cpu, !(g->type & 1));
    put_cs(cpu, g->sel, new_cpl, cs, g->off);
    if (inner)
        seg_put_null(cpu, SEG_SS, (u16)new_cpl);
    update_mode(cpu);
    cpu->gpr[RSP] = st.sp;
}

static void deliver_protected(struct cpu *cpu, int vector, enum intr_kind kind, bool has_error,
                              u32 error)
{
    bool soft = kind == INTR_SOFT || kind == INTR_TRAP;
    bool lm = cpu->efer & EFER_LMA;
    struct gate g = read_gate(cpu, vector, soft, soft ? 0 : 1);
    struct desc cs;

    if (g.type == SYS_TASK) {
        deliver_task(cpu, g.sel, has_error, error);
        return;
    }
    if (sel_null(g.sel))
        cpu_raise_err(cpu, EX_GP, 0);
    desc_need(cpu, g.sel, &cs, EX_GP);
    if (!desc_s(&cs) || !desc_code(&cs) || desc_dpl(&cs) > cpu->cpl)
        cpu_raise_err(cpu, EX_GP, g.sel & 0xfffc);
    if (lm && (cs.hi & 0x600000) != 0x200000) /* L = 1, D = 0 */
        cpu_raise_err(cpu, EX_GP, g.sel & 0xfffc);
    if (!desc_p(&cs))
        cpu_raise_err(cpu, EX_NP, g.sel & 0xfffc);
    int new_cpl = desc_conforming(&cs) ? cpu->cpl : desc_dpl(&cs);
    if ((cpu->flsys & FL_VM) && new_cpl != 0)
        cpu_raise_err(cpu, EX_GP, g.sel & 0xfffc);

    u32 fl = (u32)cpu_rflags(cpu);
    /* SDM vol. 3, 17.3.1.1: faults other than #DB push RF set */
    if (kind == INTR_EXCEPTION && vector != EX_DB && vector != EX_DF && vector != EX_MC)
        fl |= FL_RF;
    if (lm)
        deliver_long(cpu, &g, &cs, new_cpl, has_error, error, fl);
    else
        deliver_legacy(cpu, &g, &cs, new_cpl, has_error, error, fl);
}

void deliver(struct cpu *cpu, int vector, enum intr_kind kind, bool has_error, u32 error)
{
    cpu->ex_nested = kind == INTR_EXCEPTION ? vector : -2;
    cpu->halted = false;
    cpu->pending &= ~(u32)PEND_HALT;
    if (kind == INTR_SOFT && cpu->mode == MODE_V86 && v86_redirects(cpu, vector)) {
        deliver_v86_redirected(cpu, vector);
    } else if (cpu->mode == MODE_REAL) {
        deliver_real(cpu, vector);
    } else {
        cpu->ex_ext = kind == INTR_EXTERNAL || kind == INTR_EXCEPTION || kind == INTR_ICEBP;
        deliver_protected(cpu, vector, kind, has_error, error);
        cpu->ex_ext = false;
    }
    if (vector == EX_DB && kind == INTR_EXCEPTION)
        cpu->dr[7] &= ~(u64)BIT(13); /* GD: its handler may use the debug registers */
    cpu->ex_nested = -1;
    if (kind == INTR_SOFT || kind == INTR_TRAP || kind == INTR_ICEBP)
        TRACE(cpu, TRACE_SOFT, (u32)vector, 0, 0);
}
