/*
 * cpu/far.c - far JMP, CALL, RET and IRET in every mode.
 *
 * As in delivery, everything that can fault comes before anything changes. Intel SDM vol. 2 (CALL,
 * JMP, RET, IRET pseudocode), vol. 3: 5.8 (gates), 20.2 (V86); AMD APM vol. 2, 4.11 (long mode).
 */
#include "cpu/segment_priv.h"

static bool real_like(const struct cpu *cpu)
{
    return cpu->mode == MODE_REAL || cpu->mode == MODE_V86;
}

static void load_cs_real(struct cpu *cpu, u16 sel, u64 off)
{
    if (cpu->mode == MODE_V86)
        seg_v86(cpu, SEG_CS, sel);
    else
        seg_real(cpu, SEG_CS, sel);
    cpu->rip = off;
}

static u64 trim(u64 v, int osize)
{
    return osize == 2 ? (u16)v : osize == 4 ? (u32)v : v;
}

/* Target offset against the code descriptor it will run under. */
static void check_offset(struct cpu *cpu, const struct desc *d, u64 off)
{
    bool long_cs = (cpu->efer & EFER_LMA) && (d->hi & 0x200000);
    if (long_cs ? !is_canonical(off) : off > desc_limit(d))
        raise_gp0(cpu);
}

/* L and D both set in long mode is reserved. */
static void check_code_bits(struct cpu *cpu, u16 sel, const struct desc *d)
{
    if ((cpu->efer & EFER_LMA) && (d->hi & 0x600000) == 0x600000)
        cpu_raise_err(cpu, EX_GP, sel & 0xfffc);
}

/* A code segment reached directly by JMP or CALL. */
static void check_direct_code(struct cpu *cpu, u16 sel, const struct desc *d)
{
    int rpl = sel & 3, dpl = desc_dpl(d);
    check_code_bits(cpu, sel, d);
    if (desc_conforming(d) ? dpl > cpu->cpl : rpl > cpu->cpl || dpl != cpu->cpl)
        cpu_raise_err(cpu, EX_GP, sel & 0xfffc);
    if (!desc_p(d))
        cpu_raise_err(cpu, EX_NP, sel & 0xfffc);
}

struct call_gate {
    u16 sel;
    u64 off;
    int count, size; /* parameters; bytes of each pushed item */
};

/* Reads and checks the call gate itself and its code segment. */
static struct call_gate read_call_gate(struct cpu *cpu, u16 sel, const struct desc *d,
                                       struct desc *cs, bool jump)
{
    bool lm = cpu->efer & EFER_LMA;
    struct call_gate g = {.sel = (u16)(d->lo >> 16),
                          .off = (d->lo & 0xffff) | (d->hi & 0xffff0000),
                          .count = (int)d->hi & 31,
                          .size = lm                           ? 8
                                  : desc_type(d) == SYS_CALL32 ? 4
                                                               : 2};
    if (desc_dpl(d) < cpu->cpl || desc_dpl(d) < (sel & 3))
        cpu_raise_err(cpu, EX_GP, sel & 0xfffc);
    if (!desc_p(d))
        cpu_raise_err(cpu, EX_NP, sel & 0xfffc);
    if (lm)
        g.off |= (u64)desc_upper(cpu, sel, d, EX_GP) << 32;
    else if (g.size == 2)
        g.off &= 0xffff;
    if (sel_null(g.sel))
        raise_gp0(cpu);
    desc_need(cpu, g.sel, cs, EX_GP);
    bool bad = !desc_s(cs) || !desc_code(cs) || desc_dpl(cs) > cpu->cpl;
    if (jump && !desc_conforming(cs) && desc_dpl(cs) != cpu->cpl)
        bad = true;
    if (lm && (cs->hi & 0x600000) != 0x200000)
        bad = true;
    if (bad)
        cpu_raise_err(cpu, EX_GP, g.sel & 0xfffc);
    if (!desc_p(cs))
        cpu_raise_err(cpu, EX_NP, g.sel & 0xfffc);
    check_offset(cpu, cs, g.off);
    return g;
}

/* A TSS or task gate as the target of JMP or CALL. */
static void far_task(struct cpu *cpu, u16 sel, const struct desc *d, int source)
{
    if (desc_dpl(d) < cpu->cpl || desc_dpl(d) < (sel & 3))
        cpu_raise_err(cpu, EX_GP, sel & 0xfffc);
    if (desc_type(d) == SYS_TASK) {
        struct desc t;
        if (!desc_p(d))
            cpu_raise_err(cpu, EX_NP, sel & 0xfffc);
        sel = (u16)(d->lo >> 16);
        if (sel_null(sel) || (sel & 4))
            cpu_raise_err(cpu, EX_GP, sel & 0xfffc);
        desc_need(cpu, sel, &t, EX_GP);
        if (desc_s(&t) || (desc_type(&t) != SYS_TSS16 && desc_type(&t) != SYS_TSS32))
            cpu_raise_err(cpu, EX_GP, sel & 0xfffc);
        if (!desc_p(&t))
            cpu_raise_err(cpu, EX_NP, sel & 0xfffc);
    } else {
        if (sel & 4)
            cpu_raise_err(cpu, EX_GP, sel & 0xfffc);
        if (!desc_p(d))
            cpu_raise_err(cpu, EX_NP, sel & 0xfffc);
    }
    task_switch(cpu, sel, source, false, 0);
}

static bool is_task(const struct cpu *cpu, const struct desc *d)
{
    int t = desc_type(d);
    return !(cpu->efer & EFER_LMA) && (t == SYS_TASK || t == SYS_TSS16 || t == SYS_TSS32);
}

static bool is_call_gate(const struct cpu *cpu, const struct desc *d)
{
    int t = desc_type(d);
    return t == SYS_CALL32 || (t == SYS_CALL16 && !(cpu->efer & EFER_LMA));
}

void far_jump(struct cpu *cpu, u16 sel, u64 off, int osize)
{
    struct desc d, cs;

    off = trim(off, osize);
    if (real_like(cpu)) {
        if (off > cpu->seg[SEG_CS].limit)
            raise_gp0(cpu);
        load_cs_real(cpu, sel, off);
        return;
    }
    if (sel_null(sel))
        raise_gp0(cpu);
    desc_need(cpu, sel, &d, EX_GP);
    if (desc_s(&d)) {
        if (!desc_code(&d))
            cpu_raise_err(cpu, EX_GP, sel & 0xfffc);
        check_direct_code(cpu, sel, &d);
        check_offset(cpu, &d, off);
        load_cs(cpu, sel, cpu->cpl, &d, off);
    } else if (is_call_gate(cpu, &d)) {
        struct call_gate g = read_call_gate(cpu, sel, &d, &cs, true);
        load_cs(cpu, g.sel, cpu->cpl, &cs, g.off);
    } else if (is_task(cpu, &d)) {
        far_task(cpu, sel, &d, TASK_JUMP);
    } else {
        cpu_raise_err(cpu, EX_GP, sel & 0xfffc);
    }
}

static void call_gate_inner(struct cpu *cpu, const struct call_gate *g, struct desc *cs)
{
    int new_cpl = desc_dpl(cs);
    struct stack old = stack_current(cpu), st;
    struct desc ss_d;
    u16 ss = (u16)new_cpl;

    if (cpu->efer & EFER_LMA) {
        st = stack_new(0, NULL, tss_rsp64(cpu, new_cpl), new_cpl);
    } else {
        u32 esp;
        tss_stack(cpu, new_cpl, &ss, &esp);
        check_ss(cpu, ss, new_cpl, &ss_d, EX_TS);
        st = stack_new(ss, &ss_d, esp, new_cpl);
    }
    stack_push(cpu, &st, cpu->seg[SEG_SS].sel, g->size);
    stack_push(cpu, &st, cpu->gpr[RSP], g->size);
    if (g->size != 8) {
        /* parameters, in their order: the last one first */
        u64 top = old.sp;
        for (int k = g->count - 1; k >= 0; k--) {
            old.sp = top + (u64)(k * g->size);
            stack_push(cpu, &st, stack_pop(cpu, &old, g->size), g->size);
        }
    }
    stack_push(cpu, &st, cpu->seg[SEG_CS].sel, g->size);
    stack_push(cpu, &st, cpu->rip, g->size);
    desc_mark_accessed(cpu, cs);
    if (g->size != 8)
        desc_mark_accessed(cpu, &ss_d);
    load_cs(cpu, g->sel, new_cpl, cs, g->off);
    if (g->size == 8)
        seg_null(cpu, SEG_SS, ss);
    else
        seg_fill(cpu, SEG_SS, ss, &ss_d);
    stack_commit(cpu, &st);
}

void far_call(struct cpu *cpu, u16 sel, u64 off, int osize)
{
    struct desc d, cs;
    struct stack st = stack_current(cpu);

    off = trim(off, osize);
    if (real_like(cpu)) {
        if (off > cpu->seg[SEG_CS].limit)
            raise_gp0(cpu);
        stack_push(cpu, &st, cpu->seg[SEG_CS].sel, osize);
        stack_push(cpu, &st, cpu->rip, osize);
        stack_commit(cpu, &st);
        load_cs_real(cpu, sel, off);
        return;
    }
    if (sel_null(sel))
        raise_gp0(cpu);
    desc_need(cpu, sel, &d, EX_GP);
    if (desc_s(&d)) {
        if (!desc_code(&d))
            cpu_raise_err(cpu, EX_GP, sel & 0xfffc);
        check_direct_code(cpu, sel, &d);
        stack_push(cpu, &st, cpu->seg[SEG_CS].sel, osize);
        stack_push(cpu, &st, cpu->rip, osize);
        check_offset(cpu, &d, off);
        desc_mark_accessed(cpu, &d);
        stack_commit(cpu, &st);
        load_cs(cpu, sel, cpu->cpl, &d, off);
    } else if (is_call_gate(cpu, &d)) {
        struct call_gate g = read_call_gate(cpu, sel, &d, &cs, false);
        if (!desc_conforming(&cs) && desc_dpl(&cs) < cpu->cpl) {
            call_gate_inner(cpu, &g, &cs);
            return;
        }
        stack_push(cpu, &st, cpu->seg[SEG_CS].sel, g.size);
        stack_push(cpu, &st, cpu->rip, g.size);
        desc_mark_accessed(cpu, &cs);
        stack_commit(cpu, &st);
        load_cs(cpu, g.sel, cpu->cpl, &cs, g.off);
    } else if (is_task(cpu, &d)) {
        far_task(cpu, sel, &d, TASK_CALL);
    } else {
        cpu_raise_err(cpu, EX_GP, sel & 0xfffc);
    }
}

/* ---- returns
 * -------------------------------------------------------------------------------------------- */
/* Checks the return CS; returns its new CPL. */
static int check_return_cs(struct cpu *cpu, u16 sel, struct desc *d)
{
    int rpl = sel & 3;
    if (sel_null(sel))
        raise_gp0(cpu);
    desc_need(cpu, sel, d, EX_GP);
    if (!desc_s(d) || !desc_code(d) || rpl < cpu->cpl ||
        (desc_conforming(d) ? desc_dpl(d) > rpl : desc_dpl(d) != rpl))
        cpu_raise_err(cpu, EX_GP, sel & 0xfffc);
    check_code_bits(cpu, sel, d);
    if (!desc_p(d))
        cpu_raise_err(cpu, EX_NP, sel & 0xfffc);
    return rpl;
}

/* SS of a return to `cpl`: null is fine for 64-bit code below CPL 3. Returns false for null. */
static bool check_return_ss(struct cpu *cpu, u16 ss, int cpl, const struct desc *cs, struct desc *d)
{
    bool to64 = (cpu->efer & EFER_LMA) && (cs->hi & 0x200000);
    if (sel_null(ss)) {
        if (!to64 || cpl == 3 || (ss & 3) != cpl)
            raise_gp0(cpu);
        return false;
    }
    check_ss(cpu, ss, cpl, d, EX_GP);
    return true;
}

static void set_outer_sp(struct cpu *cpu, u64 sp)
{
    if (cpu->mode == MODE_LONG64)
        cpu->gpr[RSP] = sp;
    else if (cpu->key & KEY_SS32)
        cpu->gpr[RSP] = (u32)sp;
    else
        *(u16 *)&cpu->gpr[RSP] = (u16)sp;
}

void far_return(struct cpu *cpu, int osize, u32 pop_bytes)
{
    struct stack st = stack_current(cpu);
    u64 off = stack_pop(cpu, &st, osize);
    u16 sel = (u16)stack_pop(cpu, &st, osize);
    struct desc cs, ss_d;

    if (real_like(cpu)) {
        if (off > cpu->seg[SEG_CS].limit)
            raise_gp0(cpu);
        st.sp += pop_bytes;
        stack_commit(cpu, &st);
        load_cs_real(cpu, sel, off);
        return;
    }
    int cpl = check_return_cs(cpu, sel, &cs);
    check_offset(cpu, &cs, off);
    st.sp += pop_bytes;
    if (cpl == cpu->cpl) {
        desc_mark_accessed(cpu, &cs);
        stack_commit(cpu, &st);
        load_cs(cpu, sel, cpl, &cs, off);
        return;
    }
    u64 sp = stack_pop(cpu, &st, osize);
    u16 ss = (u16)stack_pop(cpu, &st, osize);
    bool real_ss = check_return_ss(cpu, ss, cpl, &cs, &ss_d);
    desc_mark_accessed(cpu, &cs);
    if (real_ss)
        desc_mark_accessed(cpu, &ss_d);
    load_cs(cpu, sel, cpl, &cs, off);
    if (real_ss)
        seg_fill(cpu, SEG_SS, ss, &ss_d);
    else
        seg_null(cpu, SEG_SS, ss);
    set_outer_sp(cpu, sp + pop_bytes);
    drop_inner_segments(cpu, cpl);
}

static void iret_real(struct cpu *cpu, int osize)
{
    struct stack st = stack_current(cpu);
    u64 off = stack_pop(cpu, &st, osize);
    u16 sel = (u16)stack_pop(cpu, &st, osize);
    u32 fl = (u32)stack_pop(cpu, &st, osize);
    u32 mask = FL_ARITH | FL_TF | FL_IF | FL_DF | FL_NT | FL_IOPL;

    if (off > cpu->seg[SEG_CS].limit)
        raise_gp0(cpu);
    if (!cpu_has(cpu, FEAT_I386))
        mask &= ~(u32)(FL_NT | FL_IOPL); /* the 286 and before: not in real mode */
    if (osize == 4)
        mask |= FL_RF | FL_AC | FL_ID;
    if (cpu->mode == MODE_V86) {
        bool iopl3 = (cpu->flsys & FL_IOPL) == FL_IOPL;
        if (!iopl3) {
            /* VME: IF goes to VIF (SDM vol. 3, 20.3.3.4) */
            if (!(cpu->cr4 & CR4_VME) || osize == 4 || (fl & FL_TF) ||
                ((fl & FL_IF) && (cpu->flsys & FL_VIP)))
                raise_gp0(cpu);
            mask &= ~(u32)(FL_IF | FL_IOPL);
            stack_commit(cpu, &st);
            set_eflags(cpu, fl & FL_IF ? FL_VIF : 0, FL_VIF);
            set_eflags(cpu, fl, mask);
            load_cs_real(cpu, sel, off);
            return;
        }
        mask &= ~(u32)FL_IOPL;
    }
    stack_commit(cpu, &st);
    set_eflags(cpu, fl, mask);
    load_cs_real(cpu, sel, off);
}

/* IRETD at CPL 0 with VM set in the image. */
static void iret_to_v86(struct cpu *cpu, struct stack *st, u64 off, u16 sel, u32 fl)
{
    static const u8 order[] = {SEG_ES, SEG_DS, SEG_FS, SEG_GS};
    u32 esp = (u32)stack_pop(cpu, st, 4);
    u16 ss = (u16)stack_pop(cpu, st, 4);
    u16 data[4];
    for (int k = 0; k < 4; k++)
        data[k] = (u16)stack_pop(cpu, st, 4);
    if (off > 0xffff)
        raise_gp0(cpu);
    set_eflags(cpu, fl, ~0u);
    cpu->cpl = 3;
    seg_v86(cpu, SEG_CS, sel);
    seg_v86(cpu, SEG_SS, ss);
    for (int k = 0; k < 4; k++)
        seg_v86(cpu, order[k], data[k]);
    cpu->rip = off;
    cpu->gpr[RSP] = esp;
}

/* Flags that IRET and POPF at this CPL may change. */
static u32 iret_mask(const struct cpu *cpu, int osize)
{
    u32 mask = FL_ARITH | FL_TF | FL_DF | FL_NT;
    if (osize > 2)
        mask |= FL_RF | FL_AC | FL_ID;
    if (cpu->cpl <= (int)((cpu->flsys & FL_IOPL) >> 12))
        mask |= FL_IF;
    if (cpu->cpl == 0) {
        mask |= FL_IOPL;
        if (osize > 2)
            mask |= FL_VIF | FL_VIP;
    }
    return mask;
}

void iret(struct cpu *cpu, int osize)
{
    bool lm = cpu->efer & EFER_LMA;
    struct desc cs, ss_d;

    if (real_like(cpu)) {
        iret_real(cpu, osize);
        cpu->nmi_blocked = false;
        return;
    }
    if (cpu->flsys & FL_NT) {
        if (lm)
            raise_gp0(cpu);
        u16 link = (u16)sys_read(cpu, (u32)cpu->tr.base, 2);
        if (sel_null(link) || (link & 4))
            cpu_raise_err(cpu, EX_TS, link & 0xfffc);
        struct desc t;
        desc_need(cpu, link, &t, EX_TS);
        if (desc_s(&t) || (desc_type(&t) != SYS_TSS16_BUSY && desc_type(&t) != SYS_TSS32_BUSY))
            cpu_raise_err(cpu, EX_TS, link & 0xfffc);
        if (!desc_p(&t))
            cpu_raise_err(cpu, EX_NP, link & 0xfffc);
        task_switch(cpu, link, TASK_IRET, false, 0);
        cpu->nmi_blocked = false;
        return;
    }
    struct stack st = stack_current(cpu);
    u64 frame[5];
    stack_pop_all(cpu, &st, frame, 3, osize);
    u64 off = frame[0];
    u16 sel = (u16)frame[1];
    u32 fl = (u32)frame[2];
    if (!lm && osize == 4 && (fl & FL_VM) && cpu->cpl == 0) {
        iret_to_v86(cpu, &st, off, sel, fl);
        cpu->nmi_blocked = false;
        return;
    }
    int cpl = check_return_cs(cpu, sel, &cs);
    u32 mask = iret_mask(cpu, osize);
    bool from64 = cpu->mode == MODE_LONG64;
    check_offset(cpu, &cs, off);
    if (cpl == cpu->cpl && !from64) {
        desc_mark_accessed(cpu, &cs);
        stack_commit(cpu, &st);
        set_eflags(cpu, fl, mask);
        load_cs(cpu, sel, cpl, &cs, off);
        cpu->nmi_blocked = false;
        return;
    }
    /* outer level, or any return from 64-bit mode: SS:RSP comes too */
    stack_pop_all(cpu, &st, frame + 3, 2, osize);
    u64 sp = frame[3];
    u16 ss = (u16)frame[4];
    bool real_ss = check_return_ss(cpu, ss, cpl, &cs, &ss_d);
    bool outer = cpl != cpu->cpl;
    desc_mark_accessed(cpu, &cs);
    if (real_ss)
        desc_mark_accessed(cpu, &ss_d);
    set_eflags(cpu, fl, mask);
    put_cs(cpu, sel, cpl, &cs, off);
    if (real_ss)
        seg_put(cpu, SEG_SS, ss, &ss_d);
    else
        seg_put_null(cpu, SEG_SS, ss);
    update_mode(cpu);
    set_outer_sp(cpu, sp);
    if (outer)
        drop_inner_segments(cpu, cpl);
    cpu->nmi_blocked = false;
}
