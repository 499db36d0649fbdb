/*
 * tests/insn/test_delivery.c - interrupts and exceptions in every mode, double and triple faults,
 * hardware task switches.
 *
 * Expected values from Intel SDM vol. 3, ch. 6, 7 and 20.
 */
#include <criterion/criterion.h>

#include "tests/insn/sys_rig.h"

enum { INT_GATE = ATTR_P | 14, TRAP_GATE = ATTR_P | 15, USER_GATE = ATTR_P | 14 | 3 << 5 };

/* ---- protected mode
 * ----------------------------------------------------------------------------------- */
Test(delivery, software_interrupt_to_inner_level)
{
    struct sys *s = sys_new("x86-64");
    struct cpu *c = s->cpu;
    sys_prot(s, 3);
    cpu_set_rflags(c, FL_1 | FL_IF | FL_CF);
    sys_gate(s, 0x80, S_CODE0, (u32)HANDLER(0x80), USER_GATE);
    SYS_STEP(s, 0xcd, 0x80);
    EXPECT_AT(s, HANDLER(0x80));
    static const u32 frame[] = {CODE_AT + 2, S_CODE3, FL_1 | FL_IF | FL_CF, USTACK, S_DATA3};
    cr_assert_eq(c->gpr[RSP], KSTACK0 - 20);
    for (size_t k = 0; k < ARRAY_LEN(frame); k++)
        cr_assert_eq(sys_u32(s, KSTACK0 - 20 + 4 * k), frame[k], "frame[%zu]", k);
    cr_assert_eq(cpu_rflags(c) & FL_IF, 0);
    cr_assert_eq(c->cpl, 0);
    cr_assert_eq(c->ex_nested, -1);
    sys_free(s);
}

Test(delivery, trap_gate_keeps_if)
{
    struct sys *s = sys_new("x86-64");
    sys_prot(s, 0);
    cpu_set_rflags(s->cpu, FL_1 | FL_IF | FL_NT);
    sys_gate(s, 0x80, S_CODE0, (u32)HANDLER(0x80), TRAP_GATE);
    SYS_STEP(s, 0xcd, 0x80);
    cr_assert_eq(cpu_rflags(s->cpu), FL_1 | FL_IF);
    cr_assert_eq(s->cpu->gpr[RSP], KSTACK - 12);
    sys_free(s);
}

/* What is wrong with a gate, and what that raises. EXT only when the event was not INT n. */
Test(delivery, gate_checks)
{
    static const struct {
        u16 sel;
        u8 attr;
        int vector;
        u32 error;
    } cases[] = {
        {S_CODE0, INT_GATE, EX_GP, 0x80 * 8 + 2},             /* DPL 0 */
        {S_CODE0, USER_GATE & ~ATTR_P, EX_NP, 0x80 * 8 + 2},  /* not present */
        {S_CODE0, ATTR_P | 3 << 5 | 12, EX_GP, 0x80 * 8 + 2}, /* a call gate */
        {0, USER_GATE, EX_GP, 0},                             /* null code selector */
        {S_DATA0, USER_GATE, EX_GP, S_DATA0},                 /* not code */
        {GDT_END, USER_GATE, EX_GP, GDT_END},                 /* not in the table */
        {S_ABSENT_CODE, USER_GATE, EX_NP, S_ABSENT_CODE},
    };
    for (size_t k = 0; k < ARRAY_LEN(cases); k++) {
        struct sys *s = sys_new("x86-64");
        sys_prot(s, 3);
        sys_gate(s, 0x80, cases[k].sel, (u32)HANDLER(0x80), cases[k].attr);
        SYS_STEP(s, 0xcd, 0x80);
        EXPECT_FAULT(s, cases[k].vector, cases[k].error);
        cr_assert_eq(sys_u32(s, s->cpu->gpr[RSP] + 4), CODE_AT, "case %zu: at the INT", k);
        sys_free(s);
    }
}

Test(delivery, idt_limit)
{
    struct sys *s = sys_new("x86-64");
    sys_prot(s, 0);
    s->cpu->idtr.limit = 0x80 * 8 + 6;
    SYS_STEP(s, 0xcd, 0x80);
    EXPECT_FAULT(s, EX_GP, 0x80 * 8 + 2);
    sys_free(s);
}

Test(delivery, fault_pushes_rf_and_its_own_address)
{
    struct sys *s = sys_new("x86-64");
    struct cpu *c = s->cpu;
    sys_prot(s, 0);
    SYS_STEP(s, 0x0f, 0x0b);
    EXPECT_FAULT(s, EX_UD, CODE_AT); /* no error code: EIP is on top */
    cr_assert_eq(sys_u32(s, c->gpr[RSP] + 8), FL_1 | FL_RF);
    cr_assert_eq(cpu_rflags(c) & FL_RF, 0);
    sys_free(s);
}

Test(delivery, external_interrupt_sets_ext)
{
    struct sys *s = sys_new("x86-64");
    struct cpu *c = s->cpu;
    sys_prot(s, 0);
    sys_gate(s, EX_NMI, S_ABSENT_CODE, 0, INT_GATE);
    cpu_raise_nmi(c);
    cpu_step(c); /* fails */
    EXPECT_FAULT(s, EX_NP, S_ABSENT_CODE | 1);
    sys_free(s);
}

/* The frame does not fit: #SS of the current stack is a double fault's beginning, so give #SS a
 * task's worth of room through the inner stack. Registers must be what they were. */
Test(delivery, push_that_faults_changes_nothing)
{
    struct sys *s = sys_new("x86-64");
    struct cpu *c = s->cpu;
    sys_prot(s, 3);
    sys_gate(s, 0x80, S_CONF, (u32)HANDLER(0x80), USER_GATE); /* on the CPL 3 stack */
    cpu_set_seg(c, SEG_SS, S_DATA3, 0, 0xfff,
                ATTR_P | ATTR_S | ATTR_RW | ATTR_A | ATTR_DB | ATTR_DPL);
    c->gpr[RSP] = 0x1004; /* the first push fails */
    SYS_STEP(s, 0xcd, 0x80);
    EXPECT_FAULT(s, EX_SS, 0);
    cr_assert_eq(sys_u32(s, KSTACK0 - 24 + 4), CODE_AT);
    cr_assert_eq(sys_u32(s, KSTACK0 - 24 + 8), S_CODE3);
    cr_assert_eq(sys_u32(s, KSTACK0 - 24 + 16), 0x1004);
    sys_free(s);
}

/* ---- double and triple faults
 * ----------------------------------------------------------------------- */
static void bad_gate(struct sys *s, int vector)
{
    sys_gate(s, vector, S_DATA0, 0, INT_GATE); /* delivery raises #GP */
}

Test(delivery, double_fault)
{
    struct sys *s = sys_new("x86-64");
    sys_prot(s, 0);
    bad_gate(s, EX_GP);
    SYS_STEP(s, 0xea, FAR32(0, 0)); /* #GP, whose delivery raises #GP */
    EXPECT_FAULT(s, EX_DF, 0);
    cr_assert_eq(sys_u32(s, s->cpu->gpr[RSP] + 4), CODE_AT);
    sys_free(s);
}

Test(delivery, benign_then_contributory_is_serial)
{
    struct sys *s = sys_new("x86-64");
    sys_prot(s, 0);
    bad_gate(s, EX_UD);
    SYS_STEP(s, 0x0f, 0x0b);
    EXPECT_FAULT(s, EX_GP, S_DATA0 | 1);
    sys_free(s);
}

Test(delivery, contributory_then_page_fault_is_serial)
{
    struct sys *s = sys_new("x86-64");
    struct cpu *c = s->cpu;
    sys_long(s, 0);
    /* the #GP handler's stack (IST1) is not mapped; #PF has a good one */
    *sys_mem(s, IDT_AT + EX_GP * 16 + 4) = 1;
    st_u64(sys_mem(s, TSS_AT + 36), 0x40000000);
    c->gpr[RBX] = 0x0000800000000000;
    SYS_STEP(s, 0x8b, 0x03);
    EXPECT_FAULT(s, EX_PF, PF_W);
    cr_assert_eq(c->cr2, 0x40000000 - 8);
    sys_free(s);
}

Test(delivery, page_fault_then_page_fault_is_double)
{
    struct sys *s = sys_new("x86-64");
    struct cpu *c = s->cpu;
    sys_long(s, 0);
    *sys_mem(s, IDT_AT + EX_PF * 16 + 4) = 1;
    st_u64(sys_mem(s, TSS_AT + 36), 0x40000000);
    c->gpr[RBX] = 0x50000000;
    SYS_STEP(s, 0x8b, 0x03);
    EXPECT_FAULT(s, EX_DF, 0);
    sys_free(s);
}

Test(delivery, triple_fault_shuts_down)
{
    struct sys *s = sys_new("x86-64");
    sys_prot(s, 0);
    bad_gate(s, EX_GP);
    bad_gate(s, EX_DF);
    SYS_STEP(s, 0xea, FAR32(0, 0));
    enum cpu_exit why = CPU_SLICE;
    for (int k = 0; k < 4 && why == CPU_SLICE; k++)
        why = cpu_step(s->cpu);
    cr_assert_eq(why, CPU_SHUTDOWN);
    cr_assert_eq(cpu_run(s->cpu, 100), CPU_SHUTDOWN, "and stays so");
    sys_free(s);
}

/* ---- 64-bit mode
 * ------------------------------------------------------------------------------------- */
Test(delivery, long_mode_frame_is_aligned)
{
    struct sys *s = sys_new("x86-64");
    struct cpu *c = s->cpu;
    sys_long(s, 0);
    c->gpr[RSP] = KSTACK - 3;
    SYS_STEP(s, 0x0f, 0x0b);
    EXPECT_AT(s, HANDLER(EX_UD));
    cr_assert_eq(c->gpr[RSP], KSTACK - 16 - 40);
    cr_assert_eq(sys_u64(s, c->gpr[RSP] + 24), KSTACK - 3);
    cr_assert_eq(sys_u64(s, c->gpr[RSP] + 32), S_DATA0);
    cr_assert_eq(c->seg[SEG_SS].sel, S_DATA0);
    sys_free(s);
}

Test(delivery, long_mode_ist_and_null_ss)
{
    struct sys *s = sys_new("x86-64");
    struct cpu *c = s->cpu;
    sys_long(s, 3);
    *sys_mem(s, IDT_AT + EX_UD * 16 + 4) = 1;
    SYS_STEP(s, 0x0f, 0x0b);
    EXPECT_AT(s, HANDLER(EX_UD));
    cr_assert_eq(c->gpr[RSP], IST1 - 40);
    cr_assert_eq(c->seg[SEG_SS].sel, 0);
    cr_assert_eq(sys_u64(s, IST1 - 8), S_DATA3);
    SYS_STEP(s, 0x48, 0xcf);
    EXPECT_AT(s, CODE_AT);
    cr_assert_eq(c->cpl, 3);
    cr_assert_eq(c->gpr[RSP], USTACK);
    sys_free(s);
}

Test(delivery, long_mode_needs_64_bit_code)
{
    struct sys *s = sys_new("x86-64");
    sys_long(s, 0);
    sys_gate(s, EX_UD, S_CODE0, (u32)HANDLER(EX_UD), INT_GATE);
    SYS_STEP(s, 0x0f, 0x0b);
    EXPECT_FAULT(s, EX_GP, S_CODE0 | 1);
    sys_free(s);
}

/* ---- real and virtual-8086 mode
 * ------------------------------------------------------------------------ */
Test(delivery, real_mode)
{
    struct sys *s = sys_new("486");
    struct cpu *c = s->cpu;
    cpu_set_rflags(c, FL_1 | FL_IF | FL_CF);
    SYS_STEP(s, 0xcd, 0x21);
    cr_assert_eq(c->seg[SEG_CS].sel, 0x3000);
    EXPECT_AT(s, 0x210);
    cr_assert_eq(c->gpr[RSP], 0xffea);
    cr_assert_eq(sys_u16(s, 0x6ffea), 2);
    cr_assert_eq(sys_u16(s, 0x6ffec), 0x2000);
    cr_assert_eq(sys_u16(s, 0x6ffee), FL_1 | FL_IF | FL_CF);
    cr_assert_eq(cpu_rflags(c) & FL_IF, 0);
    SYS_STEP(s, 0xcf);
    EXPECT_AT(s, 2);
    cr_assert_eq(cpu_rflags(c), FL_1 | FL_IF | FL_CF);
    sys_free(s);
}

Test(delivery, v86_int_needs_iopl_3)
{
    struct sys *s = sys_new("x86-64");
    sys_v86(s, 0);
    SYS_STEP(s, 0xcd, 0x21);
    EXPECT_FAULT(s, EX_GP, 0);
    cr_assert_eq(sys_u32(s, KSTACK0 - 40 + 4), 0, "at the INT");
    sys_v86(s, 3);
    SYS_STEP(s, 0xcd, 0x21); /* DPL 0 */
    EXPECT_FAULT(s, EX_GP, 0x21 * 8 + 2);
    sys_free(s);
}

Test(delivery, v86_handler_must_be_ring_0)
{
    struct sys *s = sys_new("x86-64");
    sys_v86(s, 3);
    sys_gate(s, 0x21, S_CODE3, (u32)HANDLER(0x21), USER_GATE);
    SYS_STEP(s, 0xcd, 0x21);
    EXPECT_FAULT(s, EX_GP, S_CODE3 & 0xfffc);
    sys_free(s);
}

/* CR4.VME, IOPL 0, bit clear in the redirection bitmap: straight to the 8086 handler. */
Test(delivery, vme_redirection)
{
    struct sys *s = sys_new("pentium");
    struct cpu *c = s->cpu;
    c->features[FEAT_VME >> 6] |= BIT64(FEAT_VME & 63);
    sys_v86(s, 0);
    c->cr4 = CR4_VME;
    cpu_set_rflags(c, FL_1 | FL_VM | FL_VIF | FL_IF);
    st_u16(sys_mem(s, TSS_AT + 102), 0xa8); /* I/O map; the redirection map is 32 bytes below */
    memset(sys_mem(s, TSS_AT + 0x88), 0xff, 32);
    *sys_mem(s, TSS_AT + 0x88 + 0x21 / 8) = (u8) ~(1 << (0x21 & 7));
    SYS_STEP(s, 0xcd, 0x21);
    cr_assert_eq(c->mode, MODE_V86);
    cr_assert_eq(c->seg[SEG_CS].sel, 0x3000);
    EXPECT_AT(s, 0x210);
    cr_assert_eq(sys_u16(s, 0x6ffee), FL_1 | FL_IF | FL_IOPL, "IF is VIF's image, IOPL reads 3");
    cr_assert_eq(cpu_rflags(c) & (FL_VIF | FL_IF), FL_IF);
    SYS_STEP(s, 0xcf);
    EXPECT_AT(s, 2);
    cr_assert_eq(cpu_rflags(c) & (FL_VIF | FL_IF | FL_IOPL), FL_VIF | FL_IF);
    SYS_STEP(s, 0xcd, 0x22); /* bit set: #GP at IOPL 0 */
    EXPECT_FAULT(s, EX_GP, 0);
    sys_free(s);
}

/* ---- tasks
 * ------------------------------------------------------------------------------------------- */
enum { T_CR3 = 28, T_EIP = 32, T_FLAGS = 36, T_REGS = 40, T_SEGS = 72, T_LDT = 96, T_TRAP = 100 };

static void fill_tss2(struct sys *s, int cpl)
{
    static const u16 sel0[6] = {S_DATA0, S_CODE0, S_DATA0, S_DATA0, 0, S_DATA1};
    static const u16 sel3[6] = {S_DATA3, S_CODE3, S_DATA3, S_DATA3, 0, 0};
    memset(sys_mem(s, TSS2_AT), 0, 0x68);
    st_u32(sys_mem(s, TSS2_AT + T_EIP), 0x22000);
    st_u32(sys_mem(s, TSS2_AT + T_FLAGS), FL_1 | FL_CF);
    for (u32 k = 0; k < 8; k++)
        st_u32(sys_mem(s, TSS2_AT + T_REGS + 4 * k), 0x1000 + k);
    st_u32(sys_mem(s, TSS2_AT + T_REGS + 4 * RSP), cpl ? USTACK : 0x55000);
    for (u32 k = 0; k < 6; k++)
        st_u16(sys_mem(s, TSS2_AT + T_SEGS + 4 * k), cpl ? sel3[k] : sel0[k]);
    sys_gdt(s, S_TSS2, sys_desc(TSS2_AT, 0x67, ATTR_P | 9));
}

static int tss_type(struct sys *s, u16 sel)
{
    return *sys_mem(s, GDT_AT + (sel & 0xfff8u) + 5) & 15;
}

Test(task, call_and_return)
{
    struct sys *s = sys_new("x86-64");
    struct cpu *c = s->cpu;
    sys_prot(s, 0);
    fill_tss2(s, 3);
    c->gpr[RBX] = 0xb0b;
    SYS_STEP(s, 0x9a, FAR32(0, S_TSS2));
    EXPECT_AT(s, 0x22000);
    cr_assert_eq(c->cpl, 3);
    cr_assert_eq(c->seg[SEG_CS].sel, S_CODE3);
    cr_assert_eq(c->gpr[RAX], 0x1000);
    cr_assert_eq(c->gpr[RSP], USTACK);
    cr_assert_eq(cpu_rflags(c), FL_1 | FL_CF | FL_NT);
    cr_assert_eq(c->tr.sel, S_TSS2);
    cr_assert(c->cr0 & CR0_TS);
    cr_assert(c->fpu_trap);
    cr_assert_eq(tss_type(s, S_TSS), 11);
    cr_assert_eq(tss_type(s, S_TSS2), 11);
    cr_assert_eq(sys_u16(s, TSS2_AT), S_TSS, "the link back");
    cr_assert_eq(sys_u32(s, TSS_AT + T_EIP), CODE_AT + 7);
    cr_assert_eq(sys_u32(s, TSS_AT + T_REGS + 4 * RBX), 0xb0b);
    SYS_STEP(s, 0xcf);
    EXPECT_AT(s, CODE_AT + 7);
    cr_assert_eq(c->cpl, 0);
    cr_assert_eq(c->gpr[RBX], 0xb0b);
    cr_assert_eq(c->tr.sel, S_TSS);
    cr_assert_eq(tss_type(s, S_TSS), 11);
    cr_assert_eq(tss_type(s, S_TSS2), 9);
    cr_assert_eq(sys_u32(s, TSS2_AT + T_FLAGS) & FL_NT, 0);
    sys_free(s);
}

Test(task, jump_clears_busy)
{
    struct sys *s = sys_new("x86-64");
    sys_prot(s, 0);
    fill_tss2(s, 0);
    SYS_STEP(s, 0xea, FAR32(0, S_TASKGATE));
    EXPECT_AT(s, 0x22000);
    cr_assert_eq(tss_type(s, S_TSS), 9);
    cr_assert_eq(tss_type(s, S_TSS2), 11);
    cr_assert_eq(cpu_rflags(s->cpu) & FL_NT, 0);
    cr_assert_eq(s->cpu->seg[SEG_GS].sel, S_DATA1);
    sys_free(s);
}

Test(task, busy_or_short_tss)
{
    struct sys *s = sys_new("x86-64");
    sys_prot(s, 0);
    SYS_STEP(s, 0xea, FAR32(0, S_TSS)); /* the running one */
    EXPECT_FAULT(s, EX_GP, S_TSS);
    sys_prot(s, 0);
    fill_tss2(s, 0);
    sys_gdt(s, S_TSS2, sys_desc(TSS2_AT, 0x66, ATTR_P | 9));
    SYS_STEP(s, 0xea, FAR32(0, S_TSS2));
    EXPECT_FAULT(s, EX_TS, S_TSS2);
    cr_assert_eq(tss_type(s, S_TSS), 11);
    sys_free(s);
}

/* A double fault through a task gate, as careful kernels have it: works with no stack at all. */
Test(task, gate_in_the_idt_with_error_code)
{
    struct sys *s = sys_new("x86-64");
    struct cpu *c = s->cpu;
    sys_prot(s, 0);
    fill_tss2(s, 0);
    sys_gate(s, EX_DF, S_TSS2, 0, ATTR_P | 5);
    c->gpr[RSP] = 2;
    cpu_set_seg(c, SEG_SS, S_DATA0, 0, 1, ATTR_P | ATTR_S | ATTR_RW | ATTR_A | ATTR_DB);
    SYS_STEP(s, 0x50); /* push: #SS, whose frame does not fit either */
    EXPECT_AT(s, 0x22000);
    cr_assert_eq(c->tr.sel, S_TSS2);
    cr_assert_eq(c->gpr[RSP], 0x55000 - 4);
    cr_assert_eq(sys_u32(s, 0x55000 - 4), 0);
    cr_assert_eq(sys_u32(s, TSS_AT + T_EIP), CODE_AT);
    sys_free(s);
}

/* A fault of the new task is reported there: at its EIP, on its stack. */
Test(task, fault_in_the_new_context)
{
    struct sys *s = sys_new("x86-64");
    struct cpu *c = s->cpu;
    sys_prot(s, 0);
    fill_tss2(s, 0);
    st_u16(sys_mem(s, TSS2_AT + T_SEGS + 4 * 3), S_XONLY); /* DS */
    SYS_STEP(s, 0x9a, FAR32(0, S_TSS2));
    EXPECT_FAULT(s, EX_TS, S_XONLY);
    cr_assert_eq(c->tr.sel, S_TSS2);
    cr_assert_eq(c->gpr[RSP], 0x55000 - 16);
    cr_assert_eq(sys_u32(s, 0x55000 - 12), 0x22000);
    sys_free(s);
}

Test(task, debug_trap_bit)
{
    struct sys *s = sys_new("x86-64");
    struct cpu *c = s->cpu;
    sys_prot(s, 0);
    fill_tss2(s, 0);
    st_u16(sys_mem(s, TSS2_AT + T_TRAP), 1);
    *sys_mem(s, 0x22000) = 0x90;
    static const u8 jump[] = {0xea, FAR32(0, S_TSS2)};
    sys_put(s, CODE_AT, jump, sizeof(jump));
    cpu_run(c, 2); /* through the block path: the trap comes before the task's first instruction */
    EXPECT_FAULT(s, EX_DB, 0x22000);
    cr_assert_eq(c->dr[6] & 0xf00f, 0x8000);
    sys_free(s);
}

Test(task, to_v86)
{
    struct sys *s = sys_new("x86-64");
    struct cpu *c = s->cpu;
    sys_prot(s, 0);
    fill_tss2(s, 0);
    st_u32(sys_mem(s, TSS2_AT + T_FLAGS), 0xffc00000 | FL_1 | FL_VM);
    st_u32(sys_mem(s, TSS2_AT + T_EIP), 0x40);
    for (u32 k = 0; k < 6; k++)
        st_u16(sys_mem(s, TSS2_AT + T_SEGS + 4 * k), (u16)(0x2000 + k));
    SYS_STEP(s, 0xea, FAR32(0, S_TSS2));
    cr_assert_eq(c->mode, MODE_V86);
    cr_assert_eq(c->cpl, 3);
    EXPECT_AT(s, 0x40);
    cr_assert_eq(c->seg[SEG_CS].base, 0x20010);
    cr_assert_eq(cpu_rflags(c) >> 22, 0);
    sys_free(s);
}
