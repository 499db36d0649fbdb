/*
 * tests/insn/test_control.c - control registers, EFER, MSRs, flags, system calls, debug registers.
 *
 * Expected values from Intel SDM vol. 3, ch. 2, 4, 9 and 17, vol. 2 for each instruction, and AMD
 * APM vol. 2 ch. 6 for SYSCALL.
 */
#include <criterion/criterion.h>

#include "tests/insn/sys_rig.h"

#define NOT_CANONICAL 0x0000800000000000ull

/* ---- control registers
 * ---------------------------------------------------------------------------------- */
/* MOV CRn, RAX in 64-bit mode at CPL 0: whether it faults. */
static void cr_case(int n, u64 v, bool ok, int line)
{
    struct sys *s = sys_new("x86-64");
    sys_long(s, 0);
    u64 old = n == 0 ? s->cpu->cr0 : n == 3 ? s->cpu->cr3 : s->cpu->cr4;
    s->cpu->gpr[RAX] = v;
    if (n == 8)
        SYS_STEP(s, 0x44, 0x0f, 0x22, 0xc0);
    else
        SYS_STEP(s, 0x0f, 0x22, (u8)(0xc0 | n << 3));
    if (ok) {
        sys_expect_at(s, CODE_AT + (n == 8 ? 4 : 3), line);
    } else {
        sys_expect_fault(s, EX_GP, 0, line);
        if (n != 8)
            cr_assert_eq(n == 0 ? s->cpu->cr0 : n == 3 ? s->cpu->cr3 : s->cpu->cr4, old);
    }
    sys_free(s);
}
#define CR_OK(n, v)  cr_case(n, v, true, __LINE__)
#define CR_BAD(n, v) cr_case(n, v, false, __LINE__)

Test(control, reserved_and_inconsistent_bits)
{
    u64 cr0 = CR0_PG | CR0_PE | CR0_ET | CR0_NE | CR0_WP;
    CR_OK(0, cr0 | CR0_TS | CR0_MP | CR0_AM | CR0_CD);
    CR_OK(0, cr0 | CR0_CD | CR0_NW);
    CR_BAD(0, cr0 | CR0_NW);       /* NW without CD */
    CR_BAD(0, cr0 & ~(u64)CR0_PE); /* PG without PE */
    CR_BAD(0, cr0 & ~(u64)CR0_PG); /* paging off in 64-bit mode */
    CR_BAD(0, cr0 | 1ull << 32);
    CR_OK(3, PML4_AT | 0x18);
    CR_BAD(3, PML4_AT | 1ull << 60); /* above the physical address */
    CR_BAD(3, PML4_AT | 1ull << 63); /* no PCID */
    CR_OK(4, CR4_PAE | CR4_PGE | CR4_OSFXSR | CR4_TSD);
    CR_BAD(4, 0); /* PAE is what long mode stands on */
    CR_BAD(4, CR4_PAE | 1 << 30);
    CR_BAD(4, CR4_PAE | CR4_SMEP); /* the model has none */
    CR_OK(8, 15);
    CR_BAD(8, 16);
}

Test(control, needs_cpl_0)
{
    struct sys *s = sys_new("x86-64");
    static const u8 insns[][3] = {{0x0f, 0x20, 0xc0},                     /* mov eax, cr0 */
                                  {0x0f, 0x22, 0xc0}, {0x0f, 0x21, 0xc0}, /* mov eax, dr0 */
                                  {0x0f, 0x06, 0x90},                     /* clts */
                                  {0x0f, 0x08, 0x90},                     /* invd */
                                  {0x0f, 0x09, 0x90},                     /* wbinvd */
                                  {0x0f, 0x30, 0x90},                     /* wrmsr */
                                  {0x0f, 0x32, 0x90},                     /* rdmsr */
                                  {0x0f, 0x01, 0xf0},                     /* lmsw ax */
                                  {0x0f, 0x01, 0x3b},                     /* invlpg [ebx] */
                                  {0x0f, 0x01, 0x13},                     /* lgdt [ebx] */
                                  {0x0f, 0x00, 0xd0},                     /* lldt ax */
                                  {0x0f, 0x00, 0xd8},                     /* ltr ax */
                                  {0xf4, 0x90, 0x90},                     /* hlt */
                                  {0xfa, 0x90, 0x90},                     /* cli */
                                  {0xfb, 0x90, 0x90}};                    /* sti */
    for (size_t k = 0; k < ARRAY_LEN(insns); k++) {
        sys_prot(s, 3);
        s->cpu->gpr[RBX] = DATA_AT;
        sys_step(s, insns[k], 3);
        cr_assert_eq(s->cpu->rip, HANDLER(EX_GP), "%02x %02x %02x", insns[k][0], insns[k][1],
                     insns[k][2]);
        cr_assert_eq(sys_u32(s, s->cpu->gpr[RSP]), 0);
    }
    sys_free(s);
}

/* From real mode to 64-bit mode, the way boot code does it, and back out to protected mode. */
Test(control, long_mode_activation)
{
    struct sys *s = sys_new("x86-64");
    struct cpu *c = s->cpu;
    sys_long(s, 0); /* for its page tables and descriptors */
    sys_prot(s, 0);
    c->cr3 = PML4_AT;
    cpu_sync(c);
    c->gpr[RAX] = c->cr0 | CR0_PG;
    c->efer = EFER_LME;
    SYS_STEP(s, 0x0f, 0x22, 0xc0);
    EXPECT_FAULT(s, EX_GP, 0); /* PAE is off */
    c->rip = CODE_AT;
    c->gpr[RAX] = CR4_PAE;
    SYS_STEP(s, 0x0f, 0x22, 0xe0);
    c->gpr[RAX] = c->cr0 | CR0_PG;
    SYS_STEP(s, 0x0f, 0x22, 0xc0);
    EXPECT_AT(s, CODE_AT + 6);
    cr_assert_eq(c->mode, MODE_COMPAT);
    cr_assert_eq(c->efer, EFER_LME | EFER_LMA);
    SYS_STEP(s, 0xea, FAR32(0x23000, S_CODE64));
    cr_assert_eq(c->mode, MODE_LONG64);
    EXPECT_AT(s, 0x23000);
    /* back: through compatibility mode */
    st_u32(sys_mem(s, DATA_AT), 0x24000);
    st_u16(sys_mem(s, DATA_AT + 4), S_CODE0);
    c->gpr[RBX] = DATA_AT;
    SYS_STEP(s, 0xff, 0x2b); /* jmp far [rbx] */
    cr_assert_eq(c->mode, MODE_COMPAT);
    c->gpr[RAX] = c->cr0 & ~(u64)CR0_PG;
    SYS_STEP(s, 0x0f, 0x22, 0xc0);
    cr_assert_eq(c->mode, MODE_PROT);
    cr_assert_eq(c->efer, EFER_LME);
    sys_free(s);
}

Test(control, long_mode_needs_a_32_bit_tss)
{
    struct sys *s = sys_new("x86-64");
    struct cpu *c = s->cpu;
    sys_prot(s, 0);
    c->cr3 = PML4_AT;
    c->cr4 = CR4_PAE;
    c->efer = EFER_LME;
    c->tr.attr = ATTR_P | 3;
    cpu_sync(c);
    c->gpr[RAX] = c->cr0 | CR0_PG;
    SYS_STEP(s, 0x0f, 0x22, 0xc0);
    EXPECT_FAULT(s, EX_GP, 0);
    sys_free(s);
}

Test(control, pae_pdptes_are_checked)
{
    struct sys *s = sys_new("x86-64");
    struct cpu *c = s->cpu;
    sys_prot(s, 0);
    c->cr4 = CR4_PAE;
    cpu_sync(c);
    st_u64(sys_mem(s, 0x90000), 0x91000 | 1);
    st_u64(sys_mem(s, 0x91000), 0x83);
    st_u64(sys_mem(s, 0x91008), 0x200083);
    c->gpr[RAX] = 0x90000;
    SYS_STEP(s, 0x0f, 0x22, 0xd8); /* mov cr3: paging is off, nothing is read */
    c->gpr[RAX] = c->cr0 | CR0_PG;
    SYS_STEP(s, 0x0f, 0x22, 0xc0);
    EXPECT_AT(s, CODE_AT + 6);
    st_u64(sys_mem(s, 0x92000), 0x91000 | 3); /* a reserved bit */
    c->gpr[RAX] = 0x92000;
    SYS_STEP(s, 0x0f, 0x22, 0xd8);
    EXPECT_FAULT(s, EX_GP, 0);
    cr_assert_eq(c->cr3, 0x90000);
    sys_free(s);
}

Test(control, efer)
{
    struct sys *s = sys_new("x86-64");
    struct cpu *c = s->cpu;
    static const struct {
        u64 v;
        bool ok;
    } cases[] = {
        {EFER_LME | EFER_NXE | EFER_SCE, true},
        {EFER_LME, true},
        {EFER_NXE, false},           /* LME while paging */
        {EFER_LME | 1 << 20, false}, /* reserved */
    };
    for (size_t k = 0; k < ARRAY_LEN(cases); k++) {
        sys_long(s, 0);
        c->gpr[RCX] = 0xc0000080;
        c->gpr[RAX] = cases[k].v;
        c->gpr[RDX] = 0;
        SYS_STEP(s, 0x0f, 0x30);
        if (cases[k].ok) {
            EXPECT_AT(s, CODE_AT + 2);
            cr_assert_eq(c->efer, cases[k].v | EFER_LMA);
        } else {
            EXPECT_FAULT(s, EX_GP, 0);
        }
    }
    sys_free(s);
}

Test(control, lmsw_cannot_leave_protected_mode)
{
    struct sys *s = sys_new("x86-64");
    sys_prot(s, 0);
    s->cpu->gpr[RAX] = CR0_TS;
    SYS_STEP(s, 0x0f, 0x01, 0xf0); /* lmsw ax */
    cr_assert_eq(s->cpu->cr0 & 0xf, CR0_PE | CR0_TS);
    cr_assert(s->cpu->fpu_trap);
    SYS_STEP(s, 0x0f, 0x06); /* clts */
    cr_assert(!s->cpu->fpu_trap);
    sys_free(s);
}

Test(control, descriptor_table_registers)
{
    struct sys *s = sys_new("x86-64");
    struct cpu *c = s->cpu;
    sys_prot(s, 0);
    st_u16(sys_mem(s, DATA_AT), 0x1234);
    st_u32(sys_mem(s, DATA_AT + 2), 0x89abcdef);
    c->gpr[RBX] = DATA_AT;
    SYS_STEP(s, 0x66, 0x0f, 0x01, 0x1b); /* lidt, 16-bit operand: 24 bits of base */
    cr_assert_eq(c->idtr.base, 0xabcdef);
    cr_assert_eq(c->idtr.limit, 0x1234);
    SYS_STEP(s, 0x0f, 0x01, 0x1b);
    cr_assert_eq(c->idtr.base, 0x89abcdef);
    c->gpr[RBX] = DATA_AT + 0x100;
    SYS_STEP(s, 0x66, 0x0f, 0x01, 0x0b); /* sidt: always all of it */
    cr_assert_eq(sys_u16(s, DATA_AT + 0x100), 0x1234);
    cr_assert_eq(sys_u32(s, DATA_AT + 0x102), 0x89abcdef);
    sys_long(s, 0);
    st_u64(sys_mem(s, DATA_AT + 2), NOT_CANONICAL);
    c->gpr[RBX] = DATA_AT;
    SYS_STEP(s, 0x0f, 0x01, 0x13);
    EXPECT_FAULT(s, EX_GP, 0);
    cr_assert_eq(c->gdtr.base, GDT_AT);
    sys_free(s);
}

Test(control, umip)
{
    struct sys *s = sys_new("x86-64");
    static const u8 insns[][3] = {{0x0f, 0x01, 0x03},
                                  {0x0f, 0x01, 0x0b},
                                  {0x0f, 0x01, 0xe0},
                                  {0x0f, 0x00, 0xc0},
                                  {0x0f, 0x00, 0xc8}};
    for (size_t k = 0; k < ARRAY_LEN(insns); k++) {
        for (int on = 0; on < 2; on++) {
            sys_prot(s, 3);
            s->cpu->cr4 = on ? CR4_UMIP : 0;
            s->cpu->gpr[RBX] = DATA_AT;
            sys_step(s, insns[k], 3);
            cr_assert_eq(s->cpu->rip, on ? HANDLER(EX_GP) : CODE_AT + 3, "case %zu", k);
        }
    }
    sys_free(s);
}

/* ---- MSRs
 * ----------------------------------------------------------------------------------------- */
Test(msr, writes)
{
    static const struct {
        u32 msr;
        u64 v;
        bool ok;
    } cases[] = {
        {0xc0000082, 0xffffffff81000000, true}, /* LSTAR */
        {0xc0000082, NOT_CANONICAL, false},
        {0xc0000100, 0x7fffffffffff, true}, /* FS.base */
        {0xc0000101, NOT_CANONICAL, false},
        {0xc0000102, 0xffff888000000000, true},
        {0x175, NOT_CANONICAL, false},     /* SYSENTER_ESP */
        {0x277, 0x0007010600070106, true}, /* PAT */
        {0x277, 0x0007010600070102, false},
        {0x2ff, 0xc06, true}, /* MTRR_DEF_TYPE */
        {0x2ff, 0xc02, false},
        {0x2ff, 0x1c06, false},
        {0x200, 0x80000006, true}, /* variable base: type */
        {0x200, 0x80000003, false},
        {0x201, 0xff80000800, true},
        {0x201, 0xff80000001, false},
        {0x250, 0x0606060606060606, true},
        {0x250, 0x0606060606060602, false},
        {0x1b, 0xfee00900, true}, /* APIC_BASE */
        {0x1b, 0xfee00901, false},
        {0x1b, 0xfee00d00, false}, /* x2APIC: not in this model */
        {0x12345678, 0, false},
        {0xfe, 0, false}, /* MTRRcap is read-only */
    };
    struct sys *s = sys_new("x86-64");
    struct cpu *c = s->cpu;
    for (size_t k = 0; k < ARRAY_LEN(cases); k++) {
        sys_long(s, 0);
        c->gpr[RCX] = cases[k].msr;
        c->gpr[RAX] = (u32)cases[k].v;
        c->gpr[RDX] = cases[k].v >> 32;
        SYS_STEP(s, 0x0f, 0x30);
        cr_assert_eq(c->rip, cases[k].ok ? CODE_AT + 2 : HANDLER(EX_GP), "%#x = %#lx", cases[k].msr,
                     cases[k].v);
        if (!cases[k].ok)
            continue;
        c->gpr[RAX] = c->gpr[RDX] = ~0ull;
        SYS_STEP(s, 0x0f, 0x32);
        cr_assert_eq(c->gpr[RAX] | c->gpr[RDX] << 32, cases[k].v, "%#x", cases[k].msr);
    }
    sys_free(s);
}

Test(msr, x2apic_transitions)
{
    struct sys *s = sys_new("x86-64-v2");
    struct cpu *c = s->cpu;
    cr_assert(msr_write(c, 0x1b, 0xfee00d00));  /* xAPIC to x2APIC */
    cr_assert(!msr_write(c, 0x1b, 0xfee00900)); /* not back at once */
    cr_assert(msr_write(c, 0x1b, 0xfee00100));  /* off */
    cr_assert(!msr_write(c, 0x1b, 0xfee00d00)); /* nor from off at once */
    cr_assert(!msr_write(c, 0x1b, 0xfee00500)); /* x2APIC without enable */
    cr_assert(msr_write(c, 0x1b, 0xfee00900));
    sys_free(s);
}

Test(msr, tsc)
{
    struct sys *s = sys_new("x86-64");
    struct cpu *c = s->cpu;
    sys_long(s, 3);
    u64 t0 = read_tsc(c);
    clock_advance(s->clk, 1000000);
    cr_assert_eq(read_tsc(c) - t0, 1000000 * cpu_tsc_hz(c) / NS_PER_SEC);
    cr_assert(msr_write(c, 0x10, 5000));
    SYS_STEP(s, 0x0f, 0x31); /* rdtsc */
    cr_assert_eq(c->gpr[RAX], 5000);
    cr_assert_eq(c->gpr[RDX], 0);
    c->cr4 |= CR4_TSD;
    SYS_STEP(s, 0x0f, 0x31);
    EXPECT_FAULT(s, EX_GP, 0);
    sys_free(s);
}

/* What stock kernels read without a net on a CPU of this vendor. */
Test(msr, kernels_read_these)
{
    static const u32 amd[] = {0x8b,       0x10,       0x1b,       0x179,      0x17a,
                              0xfe,       0x2ff,      0x277,      0xc0010010, 0xc0010015,
                              0xc001001f, 0xc0010055, 0xc0011029, 0x1d9};
    struct sys *s = sys_new("x86-64");
    u64 v;
    for (size_t k = 0; k < ARRAY_LEN(amd); k++)
        cr_assert(msr_read(s->cpu, amd[k], &v), "%#x", amd[k]);
    sys_free(s);
}

Test(msr, not_on_a_486)
{
    struct sys *s = sys_new("486");
    sys_prot(s, 0);
    SYS_STEP(s, 0x0f, 0x32);
    EXPECT_FAULT(s, EX_UD, NO_ERROR);
    sys_free(s);
}

/* ---- flags
 * ------------------------------------------------------------------------------------------ */
static void popf_step(struct sys *s, u32 v)
{
    s->cpu->gpr[RSP] -= 4;
    st_u32(sys_mem(s, s->cpu->gpr[RSP]), v);
    SYS_STEP(s, 0x9d);
}

Test(flags, popf_by_privilege)
{
    struct sys *s = sys_new("x86-64");
    struct cpu *c = s->cpu;
    sys_prot(s, 0);
    popf_step(s, 0xffffffff & ~(u32)FL_TF);
    u32 all = FL_1 | FL_ARITH | FL_IF | FL_DF | FL_IOPL | FL_NT | FL_AC | FL_ID;
    cr_assert_eq(cpu_rflags(c), all);
    sys_prot(s, 3);
    popf_step(s, FL_1 | FL_IF | FL_IOPL | FL_CF);
    cr_assert_eq(cpu_rflags(c), FL_1 | FL_CF, "IOPL 0: neither IF nor IOPL");
    cpu_set_rflags(c, FL_1 | FL_IOPL);
    popf_step(s, FL_1 | FL_IF);
    cr_assert_eq(cpu_rflags(c), FL_1 | FL_IF | FL_IOPL, "IOPL 3: IF, not IOPL");
    sys_free(s);
}

/* How a guest tells a 386, a 486 and later ones apart. */
Test(flags, what_a_model_can_toggle)
{
    static const struct {
        const char *model;
        u32 bits;
    } cases[] = {{"386", 0}, {"486", FL_AC | FL_ID}, {"pentium", FL_AC | FL_ID}};
    for (size_t k = 0; k < ARRAY_LEN(cases); k++) {
        struct sys *s = sys_new(cases[k].model);
        sys_prot(s, 0);
        popf_step(s, FL_1 | FL_AC | FL_ID);
        cr_assert_eq(cpu_rflags(s->cpu) & (FL_AC | FL_ID), cases[k].bits, "%s", cases[k].model);
        sys_free(s);
    }
}

Test(flags, v86_needs_iopl_3)
{
    static const u8 ops[] = {0x9c, 0x9d, 0xfa, 0xfb};
    struct sys *s = sys_new("486");
    for (size_t k = 0; k < sizeof(ops); k++) {
        sys_v86(s, 0);
        SYS_STEP(s, ops[k]);
        EXPECT_FAULT(s, EX_GP, 0);
        sys_v86(s, 3);
        SYS_STEP(s, ops[k]);
        EXPECT_AT(s, 1);
        cr_assert_eq(s->cpu->mode, MODE_V86);
    }
    sys_free(s);
}

Test(flags, alignment_check)
{
    struct sys *s = sys_new("x86-64");
    struct cpu *c = s->cpu;
    sys_prot(s, 3);
    c->cr0 |= CR0_AM;
    cpu_set_rflags(c, FL_1 | FL_AC);
    cpu_sync(c);
    c->gpr[RBX] = DATA_AT;
    SYS_STEP(s, 0x8b, 0x03);
    EXPECT_AT(s, CODE_AT + 2);
    c->gpr[RBX] = DATA_AT + 2;
    SYS_STEP(s, 0x66, 0x8b, 0x03); /* a word at an even address */
    EXPECT_AT(s, CODE_AT + 5);
    SYS_STEP(s, 0x8b, 0x03);
    EXPECT_FAULT(s, EX_AC, 0);
    cr_assert_eq(c->cpl, 0);
    c->gpr[RBX] = DATA_AT + 1;
    SYS_STEP(s, 0x8b, 0x03); /* not at CPL 0 */
    EXPECT_AT(s, HANDLER(EX_AC) + 2);
    sys_free(s);
}

Test(flags, sti_shadow)
{
    struct sys *s = sys_new("x86-64");
    struct cpu *c = s->cpu;
    sys_prot(s, 0);
    static const u8 code[] = {0xfb, 0x90, 0x90};
    sys_put(s, CODE_AT, code, sizeof(code));
    c->pic_ack = NULL;
    SYS_STEP(s, 0xfb);
    cr_assert(c->pending & PEND_SHADOW);
    SYS_STEP(s, 0xfb);
    cr_assert(!(c->pending & PEND_SHADOW), "a second STI makes none");
    sys_free(s);
}

/* ---- system calls
 * ----------------------------------------------------------------------------------- */
Test(syscall, syscall_and_sysret)
{
    struct sys *s = sys_new("x86-64");
    struct cpu *c = s->cpu;
    sys_long(s, 3);
    c->star = (u64)(S_CODE64_3 - 16) << 48 | (u64)S_CODE64 << 32;
    c->lstar = 0x25000;
    c->sfmask = FL_IF | FL_DF;
    cpu_set_rflags(c, FL_1 | FL_IF | FL_DF | FL_CF);
    SYS_STEP(s, 0x0f, 0x05);
    EXPECT_AT(s, 0x25000);
    cr_assert_eq(c->cpl, 0);
    cr_assert_eq(c->seg[SEG_CS].sel, S_CODE64);
    cr_assert_eq(c->seg[SEG_SS].sel, S_CODE64 + 8);
    cr_assert_eq(c->gpr[RCX], CODE_AT + 2);
    cr_assert_eq(c->gpr[R11], FL_1 | FL_IF | FL_DF | FL_CF);
    cr_assert_eq(cpu_rflags(c), FL_1 | FL_CF);
    cr_assert_eq(c->gpr[RSP], USTACK);
    SYS_STEP(s, 0x48, 0x0f, 0x07);
    EXPECT_AT(s, CODE_AT + 2);
    cr_assert_eq(c->cpl, 3);
    cr_assert_eq(c->seg[SEG_CS].sel, S_CODE64_3);
    cr_assert_eq(c->mode, MODE_LONG64);
    cr_assert_eq(cpu_rflags(c), FL_1 | FL_IF | FL_DF | FL_CF);
    /* back to 32-bit code */
    SYS_STEP(s, 0x0f, 0x05);
    SYS_STEP(s, 0x0f, 0x07);
    cr_assert_eq(c->mode, MODE_COMPAT);
    cr_assert_eq(c->key & KEY_DMODE, KEY_32);
    sys_free(s);
}

Test(syscall, sce_off_is_ud)
{
    struct sys *s = sys_new("x86-64");
    sys_long(s, 3);
    s->cpu->efer &= ~(u64)EFER_SCE;
    SYS_STEP(s, 0x0f, 0x05);
    EXPECT_AT(s, HANDLER(EX_UD));
    sys_free(s);
}

Test(syscall, sysenter_and_sysexit)
{
    struct sys *s = sys_new("x86-64");
    struct cpu *c = s->cpu;
    sys_prot(s, 3);
    c->sysenter_cs = S_CODE0;
    c->sysenter_esp = 0x56000;
    c->sysenter_eip = 0x26000;
    cpu_set_rflags(c, FL_1 | FL_IF);
    SYS_STEP(s, 0x0f, 0x34);
    EXPECT_AT(s, 0x26000);
    cr_assert_eq(c->cpl, 0);
    cr_assert_eq(c->seg[SEG_SS].sel, S_CODE0 + 8);
    cr_assert_eq(c->gpr[RSP], 0x56000);
    cr_assert_eq(cpu_rflags(c) & FL_IF, 0);
    c->gpr[RCX] = USTACK;
    c->gpr[RDX] = 0x27000;
    SYS_STEP(s, 0x0f, 0x35);
    EXPECT_AT(s, 0x27000);
    cr_assert_eq(c->cpl, 3);
    cr_assert_eq(c->seg[SEG_CS].sel, (S_CODE0 + 16) | 3);
    cr_assert_eq(c->seg[SEG_SS].sel, (S_CODE0 + 24) | 3);
    c->sysenter_cs = 0;
    SYS_STEP(s, 0x0f, 0x34);
    EXPECT_FAULT(s, EX_GP, 0);
    /* AMD's rule: not in long mode */
    sys_long(s, 3);
    c->sysenter_cs = S_CODE64;
    SYS_STEP(s, 0x0f, 0x34);
    EXPECT_AT(s, HANDLER(EX_UD));
    sys_free(s);
}

Test(syscall, swapgs_and_bases)
{
    struct sys *s = sys_new("x86-64");
    struct cpu *c = s->cpu;
    sys_long(s, 0);
    c->seg[SEG_GS].base = 0x1111;
    c->kernel_gs_base = DATA_AT;
    SYS_STEP(s, 0x0f, 0x01, 0xf8);
    cr_assert_eq(c->seg[SEG_GS].base, DATA_AT);
    cr_assert_eq(c->kernel_gs_base, 0x1111);
    st_u32(sys_mem(s, DATA_AT + 8), 0x600d);
    SYS_STEP(s, 0x65, 0x8b, 0x04, 0x25, 8, 0, 0, 0); /* mov eax, gs:[8] */
    cr_assert_eq(c->gpr[RAX], 0x600d);
    sys_free(s);
}

Test(syscall, hypercall_without_a_handler_is_ud)
{
    struct sys *s = sys_new("x86-64");
    sys_long(s, 0);
    SYS_STEP(s, 0x0f, 0x01, 0xd9); /* vmmcall */
    EXPECT_AT(s, HANDLER(EX_UD));
    sys_free(s);
}

/* ---- debug
 * ------------------------------------------------------------------------------------------ */
Test(debug, single_step)
{
    struct sys *s = sys_new("x86-64");
    struct cpu *c = s->cpu;
    sys_prot(s, 0);
    static const u8 nops[] = {0x90, 0x90, 0x90};
    sys_put(s, CODE_AT, nops, 3);
    cpu_set_rflags(c, FL_1 | FL_TF);
    cpu_run(c, 2); /* the instruction and the delivery */
    EXPECT_FAULT(s, EX_DB, CODE_AT + 1);
    cr_assert_eq(c->dr[6] & 0xf00f, 0x4000);
    cr_assert_eq(cpu_rflags(c) & FL_TF, 0);
    cr_assert_eq(sys_u32(s, c->gpr[RSP] + 8) & FL_TF, FL_TF);
    SYS_STEP(s, 0xcf); /* TF comes back: one more instruction, then the trap */
    EXPECT_AT(s, CODE_AT + 1);
    SYS_STEP(s, 0x90);
    EXPECT_FAULT(s, EX_DB, CODE_AT + 2);
    sys_free(s);
}

Test(debug, int_n_is_not_stepped_into)
{
    struct sys *s = sys_new("x86-64");
    struct cpu *c = s->cpu;
    sys_prot(s, 0);
    cpu_set_rflags(c, FL_1 | FL_TF);
    SYS_STEP(s, 0xcd, 0x80);
    EXPECT_AT(s, HANDLER(0x80));
    cr_assert_eq(cpu_rflags(c) & FL_TF, 0);
    sys_free(s);
}

Test(debug, mov_ss_delays_the_trap)
{
    struct sys *s = sys_new("x86-64");
    struct cpu *c = s->cpu;
    sys_prot(s, 0);
    c->gpr[RAX] = S_DATA0;
    cpu_set_rflags(c, FL_1 | FL_TF);
    SYS_STEP(s, 0x8e, 0xd0);
    EXPECT_AT(s, CODE_AT + 2);
    SYS_STEP(s, 0x90);
    EXPECT_FAULT(s, EX_DB, CODE_AT + 3);
    sys_free(s);
}

Test(debug, halt_is_left_by_its_trap)
{
    struct sys *s = sys_new("x86-64");
    struct cpu *c = s->cpu;
    sys_prot(s, 0);
    cpu_set_rflags(c, FL_1 | FL_TF);
    SYS_STEP(s, 0xf4);
    EXPECT_FAULT(s, EX_DB, CODE_AT + 1);
    cr_assert(!c->halted);
    SYS_STEP(s, 0x90);
    EXPECT_AT(s, HANDLER(EX_DB) + 1);
    sys_free(s);
}

Test(debug, instruction_breakpoint_and_rf)
{
    struct sys *s = sys_new("x86-64");
    struct cpu *c = s->cpu;
    sys_prot(s, 0);
    write_dr(c, 0, CODE_AT + 1);
    write_dr(c, 7, 1);
    static const u8 nops[] = {0x90, 0x90, 0x90};
    sys_put(s, CODE_AT, nops, 3);
    cpu_run(c, 2);
    EXPECT_FAULT(s, EX_DB, CODE_AT + 1); /* a fault: before the instruction */
    cr_assert_eq(c->dr[6] & 0xf00f, 1);
    cr_assert_eq(sys_u32(s, c->gpr[RSP] + 8) & FL_RF, 0);
    st_u32(sys_mem(s, c->gpr[RSP] + 8), FL_1 | FL_RF);
    SYS_STEP(s, 0xcf);
    EXPECT_AT(s, CODE_AT + 1);
    cpu_step(c); /* RF: not again */
    EXPECT_AT(s, CODE_AT + 2);
    cr_assert_eq(cpu_rflags(c) & FL_RF, 0);
    c->rip = CODE_AT + 1;
    cpu_step(c);
    EXPECT_FAULT(s, EX_DB, CODE_AT + 1);
    sys_free(s);
}

Test(debug, data_breakpoint)
{
    struct sys *s = sys_new("x86-64");
    struct cpu *c = s->cpu;
    sys_prot(s, 0);
    c->gpr[RBX] = DATA_AT;
    SYS_STEP(s, 0x89, 0x03); /* the page is in the TLB */
    write_dr(c, 1, DATA_AT + 4);
    write_dr(c, 7, 4 | 0xdull << 20); /* G/L1: L1; write, 4 bytes */
    SYS_STEP(s, 0x89, 0x03);
    EXPECT_AT(s, CODE_AT + 4);
    SYS_STEP(s, 0x8b, 0x43, 4); /* a read does not count */
    EXPECT_AT(s, CODE_AT + 7);
    SYS_STEP(s, 0x89, 0x43, 5); /* overlaps */
    EXPECT_FAULT(s, EX_DB, CODE_AT + 10);
    cr_assert_eq(c->dr[6] & 0xf00f, 2);
    write_dr(c, 7, 0);
    SYS_STEP(s, 0x89, 0x43, 4);
    EXPECT_AT(s, HANDLER(EX_DB) + 3);
    sys_free(s);
}

Test(debug, io_breakpoint)
{
    struct sys *s = sys_new("x86-64");
    struct cpu *c = s->cpu;
    sys_prot(s, 0);
    c->cr4 |= CR4_DE;
    write_dr(c, 0, 0x3f8);
    write_dr(c, 7, 1 | 2 << 16);
    c->gpr[RDX] = 0x3f9;
    SYS_STEP(s, 0xec);
    EXPECT_AT(s, CODE_AT + 1);
    c->gpr[RDX] = 0x3f8;
    SYS_STEP(s, 0xec);
    EXPECT_FAULT(s, EX_DB, CODE_AT + 2);
    sys_free(s);
}

Test(debug, general_detect)
{
    struct sys *s = sys_new("x86-64");
    struct cpu *c = s->cpu;
    sys_prot(s, 0);
    write_dr(c, 7, BIT(13));
    SYS_STEP(s, 0x0f, 0x21, 0xf8); /* mov eax, dr7 */
    EXPECT_FAULT(s, EX_DB, CODE_AT);
    cr_assert_eq(c->dr[6] & 0xf00f, 0x2000);
    cr_assert_eq(c->dr[7] & BIT(13), 0);
    SYS_STEP(s, 0x0f, 0x21, 0xf8);
    cr_assert_eq(c->gpr[RAX], 0x400);
    sys_free(s);
}

Test(debug, registers_4_and_5)
{
    struct sys *s = sys_new("x86-64");
    struct cpu *c = s->cpu;
    sys_prot(s, 0);
    SYS_STEP(s, 0x0f, 0x21, 0xe0); /* mov eax, dr4 */
    cr_assert_eq(c->gpr[RAX], 0xffff0ff0);
    c->cr4 |= CR4_DE;
    SYS_STEP(s, 0x0f, 0x21, 0xe0);
    EXPECT_FAULT(s, EX_UD, NO_ERROR);
    sys_free(s);
}

Test(debug, reset_forgets_breakpoints)
{
    struct sys *s = sys_new("x86-64");
    write_dr(s->cpu, 0, DATA_AT);
    write_dr(s->cpu, 7, 1 | 1 << 16);
    cr_assert(s->cpu->watch_on && s->cpu->mmu.watch_page);
    cpu_reset(s->cpu, true);
    cr_assert(!s->cpu->watch_on && !s->cpu->mmu.watch_page);
    sys_free(s);
}
