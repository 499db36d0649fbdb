/*
 * tests/insn/test_vendor.c - where AMD and Intel differ, and what is left of the system
 * instructions: 16-bit tasks, protected-mode virtual interrupts, INVPCID, far pointers.
 *
 * AMD APM vol. 3 (SYSCALL, SYSRET, SYSENTER, PUSH); Intel SDM vol. 2 (the same), vol. 3, 7.6, 20.4.
 */
#include <criterion/criterion.h>

#include "tests/insn/sys_rig.h"

#define NOT_CANONICAL 0x0000800000000000ull

static struct sys *new_of(const char *vendor)
{
    struct sys *s = sys_new("x86-64");
    memcpy(s->cpu->ident.vendor, vendor, 13);
    return s;
}
#define AMD   "AuthenticAMD"
#define INTEL "GenuineIntel"

static void to_compat(struct sys *s, int cpl)
{
    sys_long(s, cpl);
    cpu_set_seg(s->cpu, SEG_CS, cpl ? S_CODE3 : S_CODE0, 0, 0xffffffff,
                (u16)(ATTR_P | ATTR_S | ATTR_X | ATTR_RW | ATTR_A | ATTR_G | ATTR_DB | cpl << 5));
    cr_assert_eq(s->cpu->mode, MODE_COMPAT);
}

Test(vendor, syscall_in_compatibility_mode)
{
    struct sys *s = new_of(AMD);
    to_compat(s, 3);
    s->cpu->star = (u64)S_CODE64 << 32;
    s->cpu->lstar = 0x25000;
    s->cpu->cstar = 0x26000;
    SYS_STEP(s, 0x0f, 0x05);
    EXPECT_AT(s, 0x26000);
    cr_assert_eq(s->cpu->mode, MODE_LONG64);
    cr_assert_eq(s->cpu->gpr[RCX], CODE_AT + 2);
    sys_free(s);
    s = new_of(INTEL);
    to_compat(s, 3);
    SYS_STEP(s, 0x0f, 0x05);
    EXPECT_AT(s, HANDLER(EX_UD));
    sys_free(s);
}

/* A return address that is not canonical: Intel faults before, AMD after the change to CPL 3. */
Test(vendor, sysret_to_non_canonical)
{
    struct sys *s = new_of(INTEL);
    struct cpu *c = s->cpu;
    sys_long(s, 0);
    c->star = (u64)(S_CODE64_3 - 16) << 48;
    c->gpr[RCX] = NOT_CANONICAL;
    SYS_STEP(s, 0x48, 0x0f, 0x07);
    EXPECT_FAULT(s, EX_GP, 0);
    cr_assert_eq(sys_u64(s, c->gpr[RSP] + 16), S_CODE64, "still at CPL 0");
    sys_free(s);
    s = new_of(AMD);
    c = s->cpu;
    sys_long(s, 0);
    c->star = (u64)(S_CODE64_3 - 16) << 48;
    c->gpr[RCX] = NOT_CANONICAL;
    SYS_STEP(s, 0x48, 0x0f, 0x07);
    cr_assert_eq(c->cpl, 3);
    cpu_step(c);
    EXPECT_FAULT(s, EX_GP, 0);
    cr_assert_eq(sys_u64(s, c->gpr[RSP] + 16), S_CODE64_3);
    sys_free(s);
}

Test(vendor, sysenter_in_long_mode)
{
    struct sys *s = new_of(INTEL);
    struct cpu *c = s->cpu;
    to_compat(s, 3);
    c->sysenter_cs = S_CODE64;
    c->sysenter_esp = 0xffff800000056000;
    c->sysenter_eip = 0x26000;
    SYS_STEP(s, 0x0f, 0x34);
    EXPECT_AT(s, 0x26000);
    cr_assert_eq(c->mode, MODE_LONG64);
    cr_assert_eq(c->gpr[RSP], 0xffff800000056000);
    c->gpr[RCX] = NOT_CANONICAL;
    c->gpr[RSP] = KSTACK;
    SYS_STEP(s, 0x48, 0x0f, 0x35);
    EXPECT_FAULT(s, EX_GP, 0);
    c->rip = 0x26000;
    c->gpr[RCX] = USTACK;
    c->gpr[RDX] = 0x27000;
    SYS_STEP(s, 0x48, 0x0f, 0x35);
    EXPECT_AT(s, 0x27000);
    cr_assert_eq(c->mode, MODE_LONG64);
    cr_assert_eq(c->cpl, 3);
    cr_assert_eq(c->seg[SEG_CS].sel, (S_CODE64 + 32) | 3);
    sys_free(s);
}

Test(vendor, push_of_a_segment_register)
{
    for (int amd = 0; amd < 2; amd++) {
        struct sys *s = new_of(amd ? AMD : INTEL);
        sys_prot(s, 0);
        st_u32(sys_mem(s, KSTACK - 4), 0xffffffff);
        SYS_STEP(s, 0x0f, 0xa0); /* push fs */
        cr_assert_eq(s->cpu->gpr[RSP], KSTACK - 4);
        cr_assert_eq(sys_u32(s, KSTACK - 4), amd ? S_DATA0 : 0xffff0000 | S_DATA0);
        sys_free(s);
    }
}

/* ---- far pointers
 * ----------------------------------------------------------------------------------- */
Test(pointers, lds_and_lss)
{
    struct sys *s = sys_new("x86-64");
    struct cpu *c = s->cpu;
    sys_prot(s, 0);
    st_u32(sys_mem(s, DATA_AT), 0x51000);
    st_u16(sys_mem(s, DATA_AT + 4), S_DATA0);
    c->gpr[RBX] = DATA_AT;
    SYS_STEP(s, 0x0f, 0xb2, 0x23); /* lss esp, [ebx] */
    cr_assert_eq(c->gpr[RSP], 0x51000);
    st_u16(sys_mem(s, DATA_AT + 4), S_ABSENT);
    SYS_STEP(s, 0xc5, 0x0b); /* lds ecx, [ebx] */
    EXPECT_FAULT(s, EX_NP, S_ABSENT);
    cr_assert_eq(c->gpr[RCX], 0, "not half done");
    sys_free(s);
}

Test(pointers, pop_ss_keeps_the_old_stack_until_the_end)
{
    struct sys *s = sys_new("x86-64");
    struct cpu *c = s->cpu;
    sys_prot(s, 0);
    c->gpr[RSP] = KSTACK | 0x100000; /* above 64 KiB, then a 16-bit stack */
    st_u32(sys_mem(s, KSTACK | 0x100000), S_DATA16);
    SYS_STEP(s, 0x17);
    cr_assert_eq(c->seg[SEG_SS].sel, S_DATA16);
    cr_assert_eq(c->gpr[RSP], (KSTACK | 0x100000) + 4);
    cr_assert(!(c->key & KEY_SS32));
    sys_free(s);
}

/* A flat operand that runs over the 4 GiB violates the limit. */
Test(pointers, over_4_gib)
{
    struct sys *s = sys_new("x86-64");
    struct cpu *c = s->cpu;
    sys_prot(s, 0);
    cr_assert(c->key & KEY_FLAT);
    c->gpr[RBX] = 0xfffffffe;
    SYS_STEP(s, 0x8b, 0x03);
    EXPECT_FAULT(s, EX_GP, 0);
    sys_free(s);
}

/* ---- 16-bit tasks
 * ----------------------------------------------------------------------------------- */
Test(task16, call_and_return)
{
    struct sys *s = sys_new("x86-64");
    struct cpu *c = s->cpu;
    enum { T_IP = 14, T_FLAGS = 16, T_REGS = 18, T_SEGS = 34, T_LDT = 42 };
    static const u16 sels[4] = {S_DATA16, S_CODE16, S_DATA16, S_DATA16};
    sys_prot(s, 0);
    sys_gdt(s, S_TSS2, sys_desc(TSS2_AT, 0x2b, ATTR_P | 1));
    memset(sys_mem(s, TSS2_AT), 0, 0x2c);
    st_u16(sys_mem(s, TSS2_AT + T_IP), 0x1000);
    st_u16(sys_mem(s, TSS2_AT + T_FLAGS), FL_1 | FL_ZF);
    for (u32 k = 0; k < 8; k++)
        st_u16(sys_mem(s, TSS2_AT + T_REGS + 2 * k), (u16)(0x7000 + k));
    for (u32 k = 0; k < 4; k++)
        st_u16(sys_mem(s, TSS2_AT + T_SEGS + 2 * k), sels[k]);
    c->gpr[RBX] = 0x12345678;
    SYS_STEP(s, 0x9a, FAR32(0, S_TSS2));
    EXPECT_AT(s, 0x1000);
    cr_assert_eq(c->key & KEY_DMODE, KEY_16);
    cr_assert_eq((u16)c->gpr[RDI], 0x7007);
    cr_assert_eq((u16)c->gpr[RSP], 0x7004);
    cr_assert_eq(c->seg[SEG_CS].base, CODE_AT);
    cr_assert_eq(c->seg[SEG_FS].sel, 0);
    cr_assert_eq(cpu_rflags(c), FL_1 | FL_ZF | FL_NT);
    cr_assert_eq(*sys_mem(s, GDT_AT + S_TSS2 + 5) & 15, 3);
    SYS_STEP(s, 0xcf);
    EXPECT_AT(s, CODE_AT + 7);
    cr_assert_eq(c->gpr[RBX], 0x12345678, "a 32-bit task's registers are 32 bits");
    cr_assert_eq(sys_u16(s, TSS2_AT + T_IP), 0x1001);
    sys_free(s);
}

/* ---- the rest
 * --------------------------------------------------------------------------------------- */
Test(rest, protected_mode_virtual_interrupts)
{
    struct sys *s = sys_new("pentium");
    struct cpu *c = s->cpu;
    c->features[FEAT_VME >> 6] |= BIT64(FEAT_VME & 63);
    sys_prot(s, 3);
    c->cr4 = CR4_PVI;
    cpu_set_rflags(c, FL_1 | FL_IF);
    SYS_STEP(s, 0xfb); /* sti */
    EXPECT_AT(s, CODE_AT + 1);
    cr_assert_eq(cpu_rflags(c), FL_1 | FL_IF | FL_VIF);
    SYS_STEP(s, 0xfa); /* cli */
    cr_assert_eq(cpu_rflags(c), FL_1 | FL_IF);
    cpu_set_rflags(c, FL_1 | FL_IF | FL_VIP);
    SYS_STEP(s, 0xfb);
    EXPECT_FAULT(s, EX_GP, 0);
    sys_free(s);
}

Test(rest, invpcid)
{
    static const struct {
        u64 type, pcid, addr;
        bool ok;
    } cases[] = {{0, 0, DATA_AT, true},   {1, 0, 0, true},
                 {2, ~0ull, ~0ull, true}, {3, 0, 0, true},
                 {4, 0, 0, false},        {0, 0x1000, 0, false},
                 {1, 5, 0, false},        {0, 0, NOT_CANONICAL, false}};
    struct sys *s = sys_new("x86-64");
    struct cpu *c = s->cpu;
    c->features[FEAT_INVPCID >> 6] |= BIT64(FEAT_INVPCID & 63);
    for (size_t k = 0; k < ARRAY_LEN(cases); k++) {
        sys_long(s, 0);
        st_u64(sys_mem(s, DATA_AT), cases[k].pcid);
        st_u64(sys_mem(s, DATA_AT + 8), cases[k].addr);
        c->gpr[RBX] = DATA_AT;
        c->gpr[RAX] = cases[k].type;
        SYS_STEP(s, 0x66, 0x0f, 0x38, 0x82, 0x03); /* invpcid rax, [rbx] */
        cr_assert_eq(c->rip, cases[k].ok ? CODE_AT + 5 : HANDLER(EX_GP), "case %zu", k);
    }
    sys_free(s);
}

/* What INVLPG and MOV CR3 promise: the new translation is used at once. */
Test(rest, invlpg_and_cr3)
{
    struct sys *s = sys_new("x86-64");
    struct cpu *c = s->cpu;
    const u64 pd = PML4_AT + 0x2000, page = 0x100000;
    sys_long(s, 0);
    st_u64(sys_mem(s, 0x90000 + 8 * 0), 0xa0003); /* a page table for 4 MiB.. */
    st_u64(sys_mem(s, pd + 8 * 2), 0x90003);
    st_u32(sys_mem(s, 0xa0000), 0xaaaa);
    st_u32(sys_mem(s, page), 0xbbbb);
    c->gpr[RBX] = 4 << 20;
    SYS_STEP(s, 0x8b, 0x0b); /* mov ecx, [rbx] */
    cr_assert_eq(c->gpr[RCX], 0xaaaa);
    st_u64(sys_mem(s, 0x90000), page | 3);
    SYS_STEP(s, 0x0f, 0x01, 0x3b); /* invlpg [rbx] */
    SYS_STEP(s, 0x8b, 0x0b);
    cr_assert_eq(c->gpr[RCX], 0xbbbb);
    st_u64(sys_mem(s, 0x90000), 0xa0003);
    c->gpr[RAX] = PML4_AT;
    SYS_STEP(s, 0x0f, 0x22, 0xd8);
    SYS_STEP(s, 0x8b, 0x0b);
    cr_assert_eq(c->gpr[RCX], 0xaaaa);
    sys_free(s);
}

Test(rest, smap_and_implicit_accesses)
{
    struct sys *s = sys_new("x86-64");
    struct cpu *c = s->cpu;
    c->features[FEAT_SMAP >> 6] |= BIT64(FEAT_SMAP & 63);
    sys_long(s, 0);
    /* everything is a user page but the first 2 MiB, where tables and code are */
    st_u64(sys_mem(s, PML4_AT + 0x2000), 0x83);
    c->cr4 |= CR4_SMAP;
    cpu_sync(c);
    c->gpr[RBX] = 0x200000;
    SYS_STEP(s, 0x8b, 0x03);
    EXPECT_FAULT(s, EX_PF, PF_P);
    cr_assert_eq(c->cr2, 0x200000);
    c->rip = CODE_AT;
    SYS_STEP(s, 0x0f, 0x01, 0xcb); /* stac */
    SYS_STEP(s, 0x8b, 0x03);
    EXPECT_AT(s, CODE_AT + 5);
    c->gdtr.base = 0x200000; /* a descriptor table in user memory: AC does not help */
    memcpy(sys_mem(s, 0x200000), sys_mem(s, GDT_AT), GDT_END);
    c->gpr[RAX] = S_DATA0;
    c->idtr.limit = 0; /* #PF's delivery would need the GDT: look at CR2 */
    c->cr2 = 0;
    SYS_STEP(s, 0x8e, 0xd8);
    cr_assert_eq(c->cr2, 0x200000 + S_DATA0);
    sys_free(s);
}
