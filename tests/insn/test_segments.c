/*
 * tests/insn/test_segments.c - loading segment registers, far JMP CALL RET, IRET.
 *
 * Expected values from Intel SDM vol. 2 (pseudocode of each instruction) and vol. 3, ch. 3, 5, 20.
 */
#include <criterion/criterion.h>

#include "tests/insn/sys_rig.h"

/* ---- MOV to a segment register
 * ---------------------------------------------------------------------- */
static void load_case(int cpl, int seg, u16 sel, int vector, u32 error, int line)
{
    struct sys *s = sys_new("x86-64");
    sys_prot(s, cpl);
    s->cpu->gpr[RAX] = sel;
    u16 old = s->cpu->seg[seg].sel;
    SYS_STEP(s, 0x8e, (u8)(0xc0 | seg << 3)); /* mov seg, ax */
    if (vector < 0) {
        sys_expect_at(s, CODE_AT + 2, line);
        cr_assert_eq(s->cpu->seg[seg].sel, sel, "line %d", line);
    } else {
        sys_expect_fault(s, vector, error, line);
        if (seg != SEG_SS)
            cr_assert_eq(s->cpu->seg[seg].sel, old, "line %d: half loaded", line);
    }
    sys_free(s);
}
#define LOAD(cpl, seg, sel, vector, error) load_case(cpl, seg, sel, vector, error, __LINE__)

Test(segments, data_checks)
{
    LOAD(0, SEG_DS, S_DATA0, -1, 0);
    LOAD(0, SEG_ES, S_DATA3, -1, 0);
    LOAD(0, SEG_FS, S_RODATA, -1, 0);
    LOAD(0, SEG_GS, S_CODE0, -1, 0);
    LOAD(0, SEG_DS, 0, -1, 0);
    LOAD(0, SEG_DS, 3, -1, 0);
    LOAD(0, SEG_DS, S_XONLY, EX_GP, S_XONLY);
    LOAD(0, SEG_DS, S_TSS, EX_GP, S_TSS);
    LOAD(0, SEG_DS, S_ABSENT, EX_NP, S_ABSENT);
    LOAD(0, SEG_DS, GDT_END, EX_GP, GDT_END);
    LOAD(0, SEG_DS, S_DATA0 | 4, EX_GP, S_DATA0 | 4); /* no LDT */
    LOAD(0, SEG_DS, S_DATA0 | 3, EX_GP, S_DATA0);     /* RPL above DPL */
    LOAD(3, SEG_DS, S_DATA3, -1, 0);
    LOAD(3, SEG_DS, S_DATA0, EX_GP, S_DATA0);
    LOAD(3, SEG_DS, S_CODE3, -1, 0);
    LOAD(3, SEG_DS, S_CODE0 | 3, EX_GP, S_CODE0);
    LOAD(3, SEG_DS, S_CONF | 3, -1, 0); /* conforming: any privilege */
}

Test(segments, stack_checks)
{
    LOAD(0, SEG_SS, S_DATA0, -1, 0);
    LOAD(0, SEG_SS, 0, EX_GP, 0);
    LOAD(0, SEG_SS, S_DATA3, EX_GP, S_DATA3 & 0xfffc);
    LOAD(0, SEG_SS, S_DATA0 | 3, EX_GP, S_DATA0); /* RPL is not CPL */
    LOAD(0, SEG_SS, S_RODATA, EX_GP, S_RODATA);
    LOAD(0, SEG_SS, S_CODE0, EX_GP, S_CODE0);
    LOAD(0, SEG_SS, S_ABSENT, EX_SS, S_ABSENT);
    LOAD(3, SEG_SS, S_DATA3, -1, 0);
    LOAD(3, SEG_SS, S_DATA0, EX_GP, S_DATA0);
}

Test(segments, accessed_bit_and_hidden_part)
{
    struct sys *s = sys_new("x86-64");
    sys_prot(s, 0);
    sys_gdt(s, S_DATA16, sys_desc(0x12345678, 0x9abcd, ATTR_P | ATTR_S | ATTR_RW | ATTR_G));
    s->cpu->gpr[RAX] = S_DATA16;
    SYS_STEP(s, 0x8e, 0xe8); /* mov gs, ax */
    cr_assert_eq(s->cpu->seg[SEG_GS].base, 0x12345678);
    cr_assert_eq(s->cpu->seg[SEG_GS].limit, 0x9abcdfff);
    cr_assert_eq(*sys_mem(s, GDT_AT + S_DATA16 + 5) & 1, 1);
    sys_free(s);
}

Test(segments, limits)
{
    struct sys *s = sys_new("x86-64");
    sys_prot(s, 0);
    struct cpu *c = s->cpu;
    cpu_set_seg(c, SEG_DS, S_DATA16, 0x70000, 0x0fff, ATTR_P | ATTR_S | ATTR_RW | ATTR_A);
    c->gpr[RBX] = 0xffc;
    SYS_STEP(s, 0x8b, 0x03); /* mov eax, [ebx] */
    EXPECT_AT(s, CODE_AT + 2);
    c->gpr[RBX] = 0xffd;
    SYS_STEP(s, 0x8b, 0x03);
    EXPECT_FAULT(s, EX_GP, 0);

    sys_prot(s, 0);
    c->gpr[RAX] = S_DOWN;
    SYS_STEP(s, 0x8e, 0xd8);
    c->gpr[RBX] = 0x10000;
    SYS_STEP(s, 0x8b, 0x03);
    EXPECT_AT(s, CODE_AT + 4);
    c->gpr[RBX] = 0xffff;
    SYS_STEP(s, 0x8b, 0x03);
    EXPECT_FAULT(s, EX_GP, 0);

    sys_prot(s, 0);
    c->gpr[RAX] = S_RODATA;
    SYS_STEP(s, 0x8e, 0xd8);
    c->gpr[RBX] = DATA_AT;
    SYS_STEP(s, 0x89, 0x03); /* mov [ebx], eax */
    EXPECT_FAULT(s, EX_GP, 0);

    sys_prot(s, 0);
    c->gpr[RAX] = 0;
    SYS_STEP(s, 0x8e, 0xd8);
    SYS_STEP(s, 0x8b, 0x03);
    EXPECT_FAULT(s, EX_GP, 0);
    sys_free(s);
}

/* A 4 GiB limit loaded in protected mode stays in real mode, until something loads a limit. */
Test(segments, unreal_mode)
{
    struct sys *s = sys_new("486");
    struct cpu *c = s->cpu;
    c->gdtr = (struct dtable){GDT_AT, GDT_END - 1};
    SYS_STEP(s, 0x0f, 0x20, 0xc0); /* mov eax, cr0 */
    c->gpr[RAX] |= CR0_PE;
    SYS_STEP(s, 0x0f, 0x22, 0xc0);
    cr_assert_eq(c->mode, MODE_PROT);
    c->gpr[RBX] = S_DATA0;
    SYS_STEP(s, 0x8e, 0xdb); /* mov ds, bx */
    c->gpr[RAX] &= ~(u64)CR0_PE;
    SYS_STEP(s, 0x0f, 0x22, 0xc0);
    cr_assert_eq(c->mode, MODE_REAL);
    c->gpr[RBX] = 0x7000;
    SYS_STEP(s, 0x8e, 0xdb);
    cr_assert_eq(c->seg[SEG_DS].base, 0x70000);
    st_u32(sys_mem(s, 0x270000), 0xcafe1234);
    c->gpr[RBX] = 0x200000;
    SYS_STEP(s, 0x67, 0x66, 0x8b, 0x03); /* mov eax, [ebx] */
    cr_assert_eq((u32)c->gpr[RAX], 0xcafe1234);
    sys_free(s);
}

Test(segments, null_selectors_in_64_bit_mode)
{
    struct sys *s = sys_new("x86-64");
    struct cpu *c = s->cpu;
    sys_long(s, 0);
    c->gpr[RAX] = 0;
    SYS_STEP(s, 0x8e, 0xd0); /* mov ss, ax: allowed below CPL 3 */
    EXPECT_AT(s, CODE_AT + 2);
    SYS_STEP(s, 0x8e, 0xd8); /* mov ds, ax */
    c->gpr[RBX] = DATA_AT;
    SYS_STEP(s, 0x89, 0x03); /* mov [rbx], eax: DS is not looked at */
    EXPECT_AT(s, CODE_AT + 6);
    sys_long(s, 3);
    c->gpr[RAX] = 3;
    SYS_STEP(s, 0x8e, 0xd0);
    EXPECT_FAULT(s, EX_GP, 0);
    sys_free(s);
}

Test(segments, canonical)
{
    struct sys *s = sys_new("x86-64");
    struct cpu *c = s->cpu;
    sys_long(s, 0);
    c->gpr[RBX] = 0x0000800000000000;
    SYS_STEP(s, 0x8b, 0x03); /* mov eax, [rbx] */
    EXPECT_FAULT(s, EX_GP, 0);
    sys_long(s, 0);
    sys_gate(s, EX_SS, S_CODE64, (u32)HANDLER(EX_SS), ATTR_P | 14);
    *sys_mem(s, IDT_AT + EX_SS * 16 + 4) = 1; /* IST1: RSP is no stack */
    c->gpr[RSP] = 0x0000900000000000;
    SYS_STEP(s, 0x50);
    EXPECT_FAULT(s, EX_SS, 0);
    sys_free(s);
}

Test(segments, lar_lsl_verr_verw_arpl)
{
    static const struct {
        u16 sel;
        bool lar, lsl, verr, verw;
    } cases[] = {
        {S_DATA3, true, true, true, true},     {S_DATA0, false, false, false, false},
        {S_CODE3, true, true, true, false},    {S_CONF, true, true, true, false},
        {S_GATE32, true, false, false, false}, {0, false, false, false, false},
        {GDT_END, false, false, false, false},
    };
    struct sys *s = sys_new("x86-64");
    struct cpu *c = s->cpu;
    for (size_t k = 0; k < ARRAY_LEN(cases); k++) {
        sys_prot(s, 3);
        c->gpr[RAX] = cases[k].sel;
        SYS_STEP(s, 0x0f, 0x02, 0xd8); /* lar ebx, eax */
        cr_assert_eq(fl_zf(c), cases[k].lar, "LAR %#x", cases[k].sel);
        SYS_STEP(s, 0x0f, 0x03, 0xc8); /* lsl ecx, eax */
        cr_assert_eq(fl_zf(c), cases[k].lsl, "LSL %#x", cases[k].sel);
        SYS_STEP(s, 0x0f, 0x00, 0xe0); /* verr ax */
        cr_assert_eq(fl_zf(c), cases[k].verr, "VERR %#x", cases[k].sel);
        SYS_STEP(s, 0x0f, 0x00, 0xe8); /* verw ax */
        cr_assert_eq(fl_zf(c), cases[k].verw, "VERW %#x", cases[k].sel);
        if (cases[k].sel == S_DATA3) {
            cr_assert_eq(c->gpr[RBX] & 0xff00, 0xf200);
            cr_assert_eq(c->gpr[RCX], 0xffffffff);
        }
    }
    c->gpr[RAX] = 0x10;
    c->gpr[RBX] = 0x1b;
    SYS_STEP(s, 0x63, 0xd8); /* arpl ax, bx */
    cr_assert_eq(c->gpr[RAX], 0x13);
    cr_assert(fl_zf(c));
    SYS_STEP(s, 0x63, 0xd8);
    cr_assert(!fl_zf(c));
    sys_free(s);
}

Test(segments, ldtr_and_tr)
{
    struct sys *s = sys_new("x86-64");
    struct cpu *c = s->cpu;
    sys_prot(s, 0);
    st_u64(sys_mem(s, LDT_AT + 8), sys_desc(DATA_AT, 0xff, ATTR_P | ATTR_S | ATTR_RW | ATTR_DB));
    c->gpr[RAX] = S_LDT;
    SYS_STEP(s, 0x0f, 0x00, 0xd0); /* lldt ax */
    cr_assert_eq(c->ldtr.base, LDT_AT);
    c->gpr[RAX] = 0xc;
    SYS_STEP(s, 0x8e, 0xd8); /* mov ds, ax */
    cr_assert_eq(c->seg[SEG_DS].base, DATA_AT);
    c->gpr[RAX] = S_TSS2;
    SYS_STEP(s, 0x0f, 0x00, 0xd8); /* ltr ax */
    cr_assert_eq(c->tr.base, TSS2_AT);
    cr_assert_eq(*sys_mem(s, GDT_AT + S_TSS2 + 5) & 15, 11, "busy");
    SYS_STEP(s, 0x0f, 0x00, 0xd8); /* busy: no */
    EXPECT_FAULT(s, EX_GP, S_TSS2);
    sys_prot(s, 0);
    c->gpr[RAX] = S_DATA0;
    SYS_STEP(s, 0x0f, 0x00, 0xd0);
    EXPECT_FAULT(s, EX_GP, S_DATA0);
    /* 16-byte descriptors in long mode */
    sys_long(s, 0);
    sys_gdt(s, S_LDT + 8, 0xffff8000);
    c->gpr[RAX] = S_LDT;
    SYS_STEP(s, 0x0f, 0x00, 0xd0);
    cr_assert_eq(c->ldtr.base, 0xffff800000000000 | LDT_AT);
    sys_free(s);
}

/* ---- far JMP and CALL
 * ----------------------------------------------------------------------------- */
static void jump_case(int cpl, u16 sel, u32 off, u64 at, int vector, u32 error, int line)
{
    for (int call = 0; call < 2; call++) {
        struct sys *s = sys_new("x86-64");
        sys_prot(s, cpl);
        u64 sp = s->cpu->gpr[RSP];
        SYS_STEP(s, call ? 0x9a : 0xea, FAR32(off, sel));
        if (vector >= 0) {
            sys_expect_fault(s, vector, error, line);
        } else {
            sys_expect_at(s, at, line);
            cr_assert_eq(s->cpu->cpl, cpl, "line %d", line);
            cr_assert_eq(s->cpu->seg[SEG_CS].sel & 3, cpl, "line %d", line);
            if (call) {
                cr_assert_eq(s->cpu->gpr[RSP], sp - 8, "line %d", line);
                cr_assert_eq(sys_u32(s, sp - 8), CODE_AT + 7, "line %d", line);
                cr_assert_eq(sys_u32(s, sp - 4), cpl ? S_CODE3 : S_CODE0, "line %d", line);
            }
        }
        sys_free(s);
    }
}
#define JUMP(cpl, sel, off, at)             jump_case(cpl, sel, off, at, -1, 0, __LINE__)
#define JUMP_FAULT(cpl, sel, vector, error) jump_case(cpl, sel, 0, 0, vector, error, __LINE__)

Test(far, direct)
{
    JUMP(0, S_CODE0, 0x21000, 0x21000);
    JUMP(0, S_CONF, 0x21000, 0x21000);
    JUMP(3, S_CONF, 0x21000, 0x21000);
    JUMP(3, S_CODE3, 0x21000, 0x21000);
    JUMP_FAULT(0, 0, EX_GP, 0);
    JUMP_FAULT(0, S_DATA0, EX_GP, S_DATA0);
    JUMP_FAULT(0, S_CODE3, EX_GP, S_CODE3 & 0xfffc);
    JUMP_FAULT(3, S_CODE0, EX_GP, S_CODE0);
    JUMP_FAULT(0, S_ABSENT_CODE, EX_NP, S_ABSENT_CODE);
    JUMP_FAULT(0, GDT_END, EX_GP, GDT_END);
    JUMP_FAULT(0, S_LDT, EX_GP, S_LDT);
}

Test(far, target_beyond_limit)
{
    struct sys *s = sys_new("x86-64");
    sys_prot(s, 0);
    SYS_STEP(s, 0xea, FAR32(0x10000, S_CODE16));
    EXPECT_FAULT(s, EX_GP, 0);
    cr_assert_eq(s->cpu->seg[SEG_CS].sel, S_CODE0);
    sys_free(s);
}

/* CPL 3 through a 32-bit call gate to CPL 0 with two parameters, and back by RETF 8. */
Test(far, call_gate_to_inner_and_back)
{
    struct sys *s = sys_new("x86-64");
    struct cpu *c = s->cpu;
    sys_prot(s, 3);
    st_u32(sys_mem(s, USTACK), 0x11111111);
    st_u32(sys_mem(s, USTACK + 4), 0x22222222);
    SYS_STEP(s, 0x9a, FAR32(0xdeadbeef, S_GATE32));
    EXPECT_AT(s, HANDLER(200));
    cr_assert_eq(c->cpl, 0);
    cr_assert_eq(c->seg[SEG_CS].sel, S_CODE0);
    cr_assert_eq(c->seg[SEG_SS].sel, S_DATA0);
    cr_assert_eq(c->gpr[RSP], KSTACK0 - 24);
    static const u32 frame[] = {CODE_AT + 7, S_CODE3, 0x11111111, 0x22222222, USTACK, S_DATA3};
    for (size_t k = 0; k < ARRAY_LEN(frame); k++)
        cr_assert_eq(sys_u32(s, KSTACK0 - 24 + 4 * k), frame[k], "frame[%zu]", k);
    c->gpr[RAX] = S_DATA0;
    SYS_STEP(s, 0x8e, 0xd8); /* mov ds, ax: must not survive the return */
    SYS_STEP(s, 0xca, 8, 0); /* retf 8 */
    EXPECT_AT(s, CODE_AT + 7);
    cr_assert_eq(c->cpl, 3);
    cr_assert_eq(c->seg[SEG_CS].sel, S_CODE3);
    cr_assert_eq(c->seg[SEG_SS].sel, S_DATA3);
    cr_assert_eq(c->gpr[RSP], USTACK + 8);
    cr_assert_eq(c->seg[SEG_DS].sel, 0);
    cr_assert_eq(c->seg[SEG_ES].sel, S_DATA3);
    sys_free(s);
}

Test(far, call_gate_same_level_and_16_bit)
{
    struct sys *s = sys_new("x86-64");
    struct cpu *c = s->cpu;
    sys_prot(s, 0);
    SYS_STEP(s, 0x9a, FAR32(0, S_GATE16));
    EXPECT_AT(s, 0x100);
    cr_assert_eq(c->seg[SEG_CS].sel, S_CODE16);
    cr_assert_eq(c->gpr[RSP], KSTACK - 4, "a 16-bit gate pushes words, and copies nothing here");
    cr_assert_eq(sys_u16(s, KSTACK - 4), (u16)(CODE_AT + 7));
    cr_assert_eq(sys_u16(s, KSTACK - 2), S_CODE0);
    sys_free(s);
}

Test(far, call_gate_faults_change_nothing)
{
    struct sys *s = sys_new("x86-64");
    struct cpu *c = s->cpu;
    sys_prot(s, 3);
    st_u16(sys_mem(s, TSS_AT + 8), S_DATA1);                      /* wrong privilege for stack 0 */
    sys_gate(s, EX_TS, S_CONF, (u32)HANDLER(EX_TS), ATTR_P | 14); /* stays at CPL 3 */
    SYS_STEP(s, 0x9a, FAR32(0, S_GATE32));
    EXPECT_FAULT(s, EX_TS, S_DATA1);
    cr_assert_eq(c->cpl, 3);
    cr_assert_eq(c->gpr[RSP], USTACK - 16);
    cr_assert_eq(sys_u32(s, USTACK - 12), CODE_AT);

    sys_prot(s, 3);
    st_u32(sys_mem(s, TSS_AT + 4), 0x7f000); /* not writable: beyond a small limit */
    sys_gdt(s, S_DATA16, sys_desc(0, 0x7efff, ATTR_P | ATTR_S | ATTR_RW | ATTR_DB));
    st_u16(sys_mem(s, TSS_AT + 8), S_DATA16);
    sys_gate(s, EX_SS, S_CONF, (u32)HANDLER(EX_SS), ATTR_P | 14);
    st_u32(sys_mem(s, TSS_AT + 4), 0x7f001);
    SYS_STEP(s, 0x9a, FAR32(0, S_GATE32));
    EXPECT_FAULT(s, EX_SS, S_DATA16);
    sys_free(s);
}

Test(far, call_gate_64)
{
    struct sys *s = sys_new("x86-64");
    struct cpu *c = s->cpu;
    sys_long(s, 3);
    st_u32(sys_mem(s, DATA_AT + 4), S_GATE64);
    c->gpr[RBX] = DATA_AT;
    SYS_STEP(s, 0xff, 0x1b); /* call far [rbx] */
    EXPECT_AT(s, HANDLER(201));
    cr_assert_eq(c->cpl, 0);
    cr_assert_eq(c->seg[SEG_SS].sel, 0);
    cr_assert_eq(c->gpr[RSP], KSTACK0 - 32);
    cr_assert_eq(sys_u64(s, KSTACK0 - 32), CODE_AT + 2);
    cr_assert_eq(sys_u64(s, KSTACK0 - 24), S_CODE64_3);
    cr_assert_eq(sys_u64(s, KSTACK0 - 16), USTACK);
    cr_assert_eq(sys_u64(s, KSTACK0 - 8), S_DATA3);
    SYS_STEP(s, 0x48, 0xcb); /* retfq */
    EXPECT_AT(s, CODE_AT + 2);
    cr_assert_eq(c->cpl, 3);
    cr_assert_eq(c->gpr[RSP], USTACK);
    sys_free(s);
}

Test(far, return_checks)
{
    static const struct {
        int cpl;
        u16 sel;
        int vector;
        u32 error;
    } cases[] = {
        {3, S_CODE0, EX_GP, S_CODE0},       /* to an inner level */
        {0, 0, EX_GP, 0},                   /* null */
        {0, S_DATA0, EX_GP, S_DATA0},       /* not code */
        {0, S_CODE3 & 0xfffc, EX_GP, 0x18}, /* RPL is not DPL */
        {0, S_ABSENT_CODE, EX_NP, S_ABSENT_CODE},
    };
    for (size_t k = 0; k < ARRAY_LEN(cases); k++) {
        struct sys *s = sys_new("x86-64");
        sys_prot(s, cases[k].cpl);
        u64 sp = s->cpu->gpr[RSP];
        st_u32(sys_mem(s, sp), 0x21000);
        st_u32(sys_mem(s, sp + 4), cases[k].sel);
        SYS_STEP(s, 0xcb);
        EXPECT_FAULT(s, cases[k].vector, cases[k].error);
        sys_free(s);
    }
}

/* ---- IRET
 * ----------------------------------------------------------------------------------------- */
static void push32(struct sys *s, u32 v)
{
    s->cpu->gpr[RSP] -= 4;
    st_u32(sys_mem(s, s->cpu->gpr[RSP]), v);
}

Test(iret, same_level_flags)
{
    struct sys *s = sys_new("x86-64");
    struct cpu *c = s->cpu;
    sys_prot(s, 0);
    push32(s, 0xffffffff & ~(u32)(FL_VM | FL_NT | FL_TF));
    push32(s, S_CODE0);
    push32(s, 0x21000);
    SYS_STEP(s, 0xcf);
    EXPECT_AT(s, 0x21000);
    cr_assert_eq(c->gpr[RSP], KSTACK);
    cr_assert_eq(cpu_rflags(c) & (FL_IOPL | FL_IF | FL_AC | FL_ID),
                 FL_IOPL | FL_IF | FL_AC | FL_ID);
    cr_assert_eq(cpu_rflags(c) >> 22, 0, "reserved bits stay 0");
    cr_assert_eq(cpu_rflags(c) & 0x8028, 0);
    sys_free(s);
}

Test(iret, user_cannot_touch_iopl_and_if)
{
    struct sys *s = sys_new("x86-64");
    struct cpu *c = s->cpu;
    sys_prot(s, 3);
    cpu_set_rflags(c, FL_1 | FL_IF);
    push32(s, FL_1 | FL_IOPL | FL_CF); /* IF clear */
    push32(s, S_CODE3);
    push32(s, 0x21000);
    SYS_STEP(s, 0xcf);
    EXPECT_AT(s, 0x21000);
    cr_assert_eq(cpu_rflags(c), FL_1 | FL_IF | FL_CF);
    sys_free(s);
}

Test(iret, outer_level)
{
    struct sys *s = sys_new("x86-64");
    struct cpu *c = s->cpu;
    sys_prot(s, 0);
    c->nmi_blocked = true;
    push32(s, S_DATA3);
    push32(s, USTACK);
    push32(s, FL_1 | FL_IF);
    push32(s, S_CODE3);
    push32(s, 0x21000);
    SYS_STEP(s, 0xcf);
    EXPECT_AT(s, 0x21000);
    cr_assert_eq(c->cpl, 3);
    cr_assert_eq(c->gpr[RSP], USTACK);
    cr_assert_eq(c->seg[SEG_DS].sel, 0, "an inner DS is taken away");
    cr_assert(!c->nmi_blocked);
    cr_assert(c->key & KEY_USER);
    sys_free(s);
}

Test(iret, bad_outer_stack_changes_nothing)
{
    struct sys *s = sys_new("x86-64");
    struct cpu *c = s->cpu;
    sys_prot(s, 0);
    push32(s, S_DATA0);
    push32(s, USTACK);
    push32(s, FL_1 | FL_IF);
    push32(s, S_CODE3);
    push32(s, 0x21000);
    SYS_STEP(s, 0xcf);
    EXPECT_FAULT(s, EX_GP, S_DATA0);
    cr_assert_eq(c->gpr[RSP], KSTACK - 20 - 16);
    cr_assert_eq(sys_u32(s, KSTACK - 20 - 12), CODE_AT);
    cr_assert_eq(sys_u32(s, KSTACK - 20 - 4) & FL_IF, 0);
    sys_free(s);
}

Test(iret, to_v86_and_interrupt_back)
{
    struct sys *s = sys_new("x86-64");
    struct cpu *c = s->cpu;
    static const u32 frame[] = {0x7003, 0x7002, 0x7000,
                                0x7001, /* GS FS DS ES */
                                0x6000, 0xfff0, FL_1 | FL_VM | FL_IOPL | FL_IF,
                                0x2000, 0x100};
    sys_prot(s, 0);
    for (size_t k = 0; k < ARRAY_LEN(frame); k++)
        push32(s, frame[k]);
    SYS_STEP(s, 0xcf);
    cr_assert_eq(c->mode, MODE_V86);
    cr_assert_eq(c->cpl, 3);
    EXPECT_AT(s, 0x100);
    cr_assert_eq(c->seg[SEG_CS].base, 0x20000);
    cr_assert_eq(c->seg[SEG_ES].base, 0x70010);
    cr_assert_eq(c->seg[SEG_FS].base, 0x70020);
    cr_assert_eq(c->seg[SEG_GS].base, 0x70030);
    cr_assert_eq(c->seg[SEG_SS].limit, 0xffff);
    sys_gate(s, 0x40, S_CODE0, (u32)HANDLER(0x40), ATTR_P | 14 | 3 << 5);
    SYS_STEP(s, 0xcd, 0x40);
    EXPECT_AT(s, HANDLER(0x40));
    cr_assert_eq(c->mode, MODE_PROT);
    cr_assert_eq(c->cpl, 0);
    cr_assert_eq(c->gpr[RSP], KSTACK0 - 36);
    for (size_t k = 0; k < ARRAY_LEN(frame); k++)
        cr_assert_eq(sys_u32(s, KSTACK0 - 4 - 4 * k), k == 8 ? 0x102 : frame[k], "frame[%zu]", k);
    cr_assert_eq(c->seg[SEG_DS].sel | c->seg[SEG_ES].sel | c->seg[SEG_FS].sel | c->seg[SEG_GS].sel,
                 0);
    cr_assert_eq(cpu_rflags(c) & (FL_VM | FL_IF), 0);
    SYS_STEP(s, 0xcf);
    cr_assert_eq(c->mode, MODE_V86);
    EXPECT_AT(s, 0x102);
    sys_free(s);
}

Test(iret, from_64_bit_always_pops_the_stack)
{
    struct sys *s = sys_new("x86-64");
    struct cpu *c = s->cpu;
    static const u64 frame[] = {0, 0x51000, FL_1 | FL_IF, S_CODE64, 0x21000};
    sys_long(s, 0);
    for (size_t k = 0; k < ARRAY_LEN(frame); k++)
        st_u64(sys_mem(s, KSTACK - 8 - 8 * k), frame[k]);
    c->gpr[RSP] = KSTACK - 40;
    SYS_STEP(s, 0x48, 0xcf);
    EXPECT_AT(s, 0x21000);
    cr_assert_eq(c->gpr[RSP], 0x51000);
    cr_assert_eq(c->seg[SEG_SS].sel, 0);
    /* non-canonical target: #GP(0), nothing changed */
    st_u64(sys_mem(s, 0x51000), 0x0000800000000000);
    st_u64(sys_mem(s, 0x51008), S_CODE64);
    SYS_STEP(s, 0x48, 0xcf);
    EXPECT_FAULT(s, EX_GP, 0);
    cr_assert_eq(sys_u64(s, c->gpr[RSP] + 8), 0x21000);
    sys_free(s);
}

Test(iret, to_compatibility_mode)
{
    struct sys *s = sys_new("x86-64");
    struct cpu *c = s->cpu;
    static const u64 frame[] = {S_DATA3, USTACK, FL_1 | FL_IF, S_CODE3, 0x21000};
    sys_long(s, 0);
    for (size_t k = 0; k < ARRAY_LEN(frame); k++)
        st_u64(sys_mem(s, KSTACK - 8 - 8 * k), frame[k]);
    c->gpr[RSP] = KSTACK - 40;
    SYS_STEP(s, 0x48, 0xcf);
    EXPECT_AT(s, 0x21000);
    cr_assert_eq(c->mode, MODE_COMPAT);
    cr_assert_eq(c->key & KEY_DMODE, KEY_32);
    sys_free(s);
}

Test(iret, nested_task_flag_in_long_mode)
{
    struct sys *s = sys_new("x86-64");
    sys_long(s, 0);
    cpu_set_rflags(s->cpu, FL_1 | FL_NT);
    SYS_STEP(s, 0x48, 0xcf);
    EXPECT_FAULT(s, EX_GP, 0);
    sys_free(s);
}
