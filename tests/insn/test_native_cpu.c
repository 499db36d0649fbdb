/*
 * tests/insn/test_native_cpu.c - vector and x87 instructions in a whole CPU: who may run them, how
 * their exceptions arrive, what their memory images look like in each mode, and what happens when
 * the stub arena is full.
 */
#include <criterion/criterion.h>

#include "cpu/native_priv.h"
#include "tests/insn/insn_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { DATA = DATA_AT, TEXT = CODE_AT };

static struct box *box_fpu(void)
{
    struct box *b = box_new("host");
    b->cpu->cr4 |= CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE;
    b->cpu->xcr0 = 7;
    cpu_sync(b->cpu);
    return b;
}

/* Runs one instruction with RBX = address; -1 or the vector. FPU state carries over. */
static int run_at(struct box *b, u64 addr, const u8 *bytes, int len)
{
    struct regs r = {.gpr = {[RBX] = addr, [RAX] = 7}};
    native_enter(b->cpu);
    int v = box_run(b, bytes, len, &r);
    native_leave(b->cpu);
    return v;
}
#define RUN(b, addr, ...)                                                                          \
    run_at(b, addr, (const u8[]){__VA_ARGS__}, (int)sizeof((const u8[]){__VA_ARGS__}))

static void dirty(struct cpu *c)
{
    for (int k = 0; k < 256; k++) {
        c->xs.legacy[160 + k] = (u8)(k + 1);
        c->xs.ymm_hi[k] = (u8)(255 - k);
    }
    st_u16(c->xs.legacy, 0x27f);
    st_u32(c->xs.legacy + 24, 0x1fa0);
}

/* ---- gates ----------------------------------------------------------------------------------- */
struct gate_case {
    const char *name;
    u8 bytes[6];
    int len;
    int em, ts, osfxsr, osxsave; /* vector with EM = 1, TS = 1, OSFXSR = 0, OSXSAVE = 0 */
};
static const struct gate_case gates[] = {
    {"addps", {0x0f, 0x58, 0xc1}, 3, EX_UD, EX_NM, EX_UD, -1},
    {"paddb mm", {0x0f, 0xfc, 0xc1}, 3, EX_UD, EX_NM, -1, -1},
    {"emms", {0x0f, 0x77}, 2, EX_UD, EX_NM, -1, -1},
    {"cvtpi2ps", {0x0f, 0x2a, 0xc1}, 3, EX_UD, EX_NM, EX_UD, -1},
    {"fld1", {0xd9, 0xe8}, 2, EX_NM, EX_NM, -1, -1},
    {"fninit", {0xdb, 0xe3}, 2, EX_NM, EX_NM, -1, -1},
    {"fnstsw ax", {0xdf, 0xe0}, 2, EX_NM, EX_NM, -1, -1},
    {"fwait", {0x9b}, 1, -1, -1, -1, -1},
    {"vaddps", {0xc5, 0xf0, 0x58, 0xc2}, 4, -1, EX_NM, -1, EX_UD},
    {"vzeroupper", {0xc5, 0xf8, 0x77}, 3, -1, EX_NM, -1, EX_UD},
    {"stmxcsr", {0x0f, 0xae, 0x1b}, 3, EX_UD, EX_NM, EX_UD, -1},
    {"fxsave", {0x0f, 0xae, 0x03}, 3, EX_NM, EX_NM, -1, -1},
    {"xsave", {0x0f, 0xae, 0x23}, 3, -1, EX_NM, -1, EX_UD},
    {"movnti", {0x0f, 0xc3, 0x03}, 3, -1, -1, -1, -1},
};

Test(native_cpu, control_registers_close_the_gates)
{
    struct box *b = box_fpu();
    struct cpu *c = b->cpu;
    u64 cr0 = c->cr0, cr4 = c->cr4;
    for (size_t k = 0; k < ARRAY_LEN(gates); k++) {
        const struct gate_case *g = &gates[k];
        const int want[] = {-1, g->em, g->ts, g->osfxsr, g->osxsave};
        for (int n = 0; n < 5; n++) {
            c->cr0 = cr0 | (n == 1 ? CR0_EM : n == 2 ? CR0_TS : 0);
            c->cr4 = cr4 & ~(u64)(n == 3 ? CR4_OSFXSR : n == 4 ? CR4_OSXSAVE : 0);
            cpu_sync(c);
            int v = run_at(b, DATA, g->bytes, g->len);
            cr_expect_eq(v, want[n], "%s, case %d: %d, want %d", g->name, n, v, want[n]);
        }
    }
    c->cr0 = cr0 | CR0_TS | CR0_MP;
    cpu_sync(c);
    cr_expect_eq(RUN(b, DATA, 0x9b), EX_NM);
    c->cr0 = cr0;
    c->xcr0 = 3;
    cpu_sync(c);
    cr_expect_eq(RUN(b, DATA, 0xc5, 0xf0, 0x58, 0xc2), EX_UD);
    box_free(b);
}

/* ---- exceptions through the IDT -------------------------------------------------------------- */
enum { IDT = 0x10000, GDT = 0x11000, HANDLERS = 0x12000, STACK = 0x20000 };

/* Handler n: HLT at HANDLERS + 16 n. */
static void with_idt(struct box *b)
{
    struct cpu *c = b->cpu;
    st_u64(box_mem(b, GDT + 8), 0x00af9b000000ffff);
    st_u64(box_mem(b, GDT + 16), 0x00cf93000000ffff);
    for (u64 n = 0; n < 32; n++) {
        u64 h = HANDLERS + 16 * n;
        st_u64(box_mem(b, IDT + 16 * n),
               (h & 0xffff) | 8u << 16 | 0x8e00ull << 32 | (h >> 16) << 48);
        *box_mem(b, h) = 0xf4;
    }
    c->gdtr = (struct dtable){GDT, 23};
    c->idtr = (struct dtable){IDT, 32 * 16 - 1};
}

/* Runs code until HLT; the handler's number, or -1. */
static int run_code(struct box *b, const u8 *code, size_t len)
{
    struct cpu *c = b->cpu;
    memcpy(box_mem(b, TEXT), code, len);
    *box_mem(b, TEXT + len) = 0xf4;
    cpu_sync(c);
    c->rip = TEXT;
    c->gpr[RSP] = STACK;
    c->pending &= ~(u32)PEND_HALT;
    c->halted = false;
    for (int k = 0; k < 10 && cpu_run(c, 1000) == CPU_SLICE; k++)
        ;
    return c->rip >= HANDLERS && c->rip < HANDLERS + 512 ? (int)(c->rip - HANDLERS) / 16 : -1;
}

Test(native_cpu, simd_exception_is_delivered)
{
    /* ldmxcsr [rbx]; cvtsi2ss xmm1, eax; xorps xmm0, xmm0; divss xmm1, xmm0 */
    static const u8 code[] = {0x0f, 0xae, 0x13, 0xf3, 0x0f, 0x2a, 0xc8,
                              0x0f, 0x57, 0xc0, 0xf3, 0x0f, 0x5e, 0xc8};
    struct box *b = box_fpu();
    struct cpu *c = b->cpu;
    with_idt(b);
    st_u32(box_mem(b, DATA), 0x1d80); /* zero divide unmasked */
    c->gpr[RBX] = DATA;
    c->gpr[RAX] = 5;
    cr_expect_eq(run_code(b, code, sizeof(code)), EX_XM);
    cr_expect_eq(ld_u64(box_mem(b, STACK - 40)), TEXT + 10, "return address");
    cr_expect_eq(ld_u32(c->xs.legacy + 24), 0x1d84u, "mxcsr %x", ld_u32(c->xs.legacy + 24));
    cr_expect_eq(ld_u32(c->xs.legacy + 176), 0x40a00000u, "destination unchanged");
    c->cr4 &= ~(u64)CR4_OSXMMEXCPT;
    st_u32(c->xs.legacy + 24, 0x1f80);
    cr_expect_eq(run_code(b, code, sizeof(code)), EX_UD);
    box_free(b);
}

/* fldcw [rbx]; fld1; fldz; fdivp; nop; fld1 */
static const u8 divide[] = {0xd9, 0x2b, 0xd9, 0xe8, 0xd9, 0xee, 0xde, 0xf9, 0x90, 0xd9, 0xe8};

static void lower_or_raise(void *ctx, int n, bool level)
{
    *(int *)ctx += level ? 1 : -1;
}

Test(native_cpu, x87_exception_is_delivered)
{
    struct box *b = box_fpu();
    struct cpu *c = b->cpu;
    with_idt(b);
    st_u16(box_mem(b, DATA), 0x37b); /* zero divide unmasked */
    c->gpr[RBX] = DATA;
    cr_expect_eq(run_code(b, divide, sizeof(divide)), EX_MF);
    cr_expect_eq(ld_u64(box_mem(b, STACK - 40)), TEXT + 9, "at the waiting instruction");
    cr_expect_eq(c->fip, TEXT + 6);
    cr_expect_eq(c->fop, 0x6f9);
    cr_expect(c->xs.legacy[2] & 0x80);
    box_free(b);
}

Test(native_cpu, x87_error_pin)
{
    struct box *b = box_fpu();
    struct cpu *c = b->cpu;
    int pin = 0;
    with_idt(b);
    c->cr0 &= ~(u64)CR0_NE;
    c->ferr_irq = (struct irq){.set = lower_or_raise, .ctx = &pin};
    st_u16(box_mem(b, DATA), 0x37b);
    c->gpr[RBX] = DATA;
    cr_expect_eq(run_code(b, divide, sizeof(divide)), -1);
    cr_expect_eq(pin, 1);
    cr_expect_eq(c->rip, TEXT + 9, "waits before the instruction: %llx",
                 (unsigned long long)c->rip);
    cpu_ferr_ack(c);
    cr_expect_eq(pin, 0);
    for (int k = 0; k < 4 && cpu_run(c, 100) == CPU_SLICE; k++)
        ;
    cr_expect_eq(c->rip, TEXT + sizeof(divide) + 1, "went on: %llx", (unsigned long long)c->rip);
    box_free(b);
}

/* ---- memory through the mmu ------------------------------------------------------------------ */
/* Operands that begin in the last mapped page: #PF, and nothing is written or popped. */
Test(native_cpu, faulting_operands_change_nothing)
{
    struct box *b = box_fpu();
    struct cpu *c = b->cpu;
    u64 edge = RAM_SIZE - 4;
    u8 *m = box_mem(b, RAM_SIZE - 16), before[16];

    dirty(c);
    for (int k = 0; k < 16; k++)
        m[k] = (u8)(0xc0 + k);
    memcpy(before, m, 16);
#define FAULTS(...)                                                                                \
    do {                                                                                           \
        c->cr2 = 0;                                                                                \
        cr_expect_eq(RUN(b, edge, __VA_ARGS__), EX_PF);                                            \
        cr_expect_eq(c->cr2, RAM_SIZE, "CR2 %llx", (unsigned long long)c->cr2);                    \
        cr_expect_arr_eq(m, before, 16);                                                           \
    } while (0)
    FAULTS(0x0f, 0x11, 0x03);             /* movups [rbx], xmm0 */
    FAULTS(0x0f, 0x10, 0x03);             /* movups xmm0, [rbx] */
    FAULTS(0xc5, 0xfe, 0x7f, 0x03);       /* vmovdqu [rbx], ymm0 */
    FAULTS(0xc4, 0xe3, 0x7d, 0x1d, 3, 0); /* vcvtps2ph [rbx], ymm0, 0 */
    FAULTS(0xd9, 0x33);                   /* fnstenv [rbx] */
    FAULTS(0xdd, 0x33);                   /* fnsave [rbx] */
    cr_expect_eq(ld_u16(c->xs.legacy), 0x27f, "FNSTENV did not mask");
    cr_expect_eq(ld_u32(c->xs.legacy + 24), 0x1fa0u, "no MXCSR flags");
    cr_expect_eq(RUN(b, edge, 0xd9, 0xe8), -1); /* fld1 */
    u8 tags = c->xs.legacy[4];
    FAULTS(0xdd, 0x1b); /* fstp qword [rbx] */
    FAULTS(0xdb, 0x3b); /* fstp tbyte [rbx] */
    cr_expect_eq(c->xs.legacy[4], tags, "popped");
    cr_expect_eq(c->fop, 0x1e8, "pointers stay");
    box_free(b);
}

/* A vector store over the next instruction. */
Test(native_cpu, vector_store_over_code)
{
    /* movups [rip + 2], xmm0; jmp +0; then 16 bytes of HLT that become NOPs and MOV EAX, 1; HLT */
    static const u8 code[] = {0x0f, 0x11, 0x05, 2, 0, 0, 0, 0xeb, 0};
    static const u8 fresh[16] = {0x90, 0x90, 0x90, 0x90, 0x90, 0xb8, 1, 0, 0, 0, 0xf4};
    struct box *b = box_fpu();
    struct cpu *c = b->cpu;
    for (int jump = 0; jump < 2; jump++) {
        u8 *p = box_mem(b, TEXT);
        memset(p, 0xf4, 64);
        memcpy(p, code, sizeof(code));
        if (!jump) { /* straight into the new bytes */
            p[3] = 0;
            p[7] = p[8] = 0xf4;
        }
        memcpy(c->xs.legacy + 160, fresh, 16);
        cpu_sync(c);
        for (int pass = 0; pass < 2; pass++) {
            c->rip = TEXT;
            c->gpr[RAX] = 0;
            c->pending &= ~(u32)PEND_HALT;
            c->halted = false;
            while (cpu_run(c, 1000) == CPU_SLICE)
                ;
            cr_expect_eq(c->gpr[RAX], 1u, "jump %d pass %d", jump, pass);
        }
    }
    box_free(b);
}

/* ---- environment images ---------------------------------------------------------------------- */
Test(native_cpu, environment_formats)
{
    struct box *b = box_fpu();
    struct cpu *c = b->cpu;
    u8 *env;

    /* real mode, 16-bit image: fld1 at 1234:0000 (the box runs at offset 0), fnstenv [bx] */
    box_mode16(b);
    cpu_set_seg(c, SEG_CS, 0x1234, 0x12340, 0xffff, ATTR_P | ATTR_S | ATTR_X | ATTR_RW | ATTR_A);
    cpu_set_seg(c, SEG_DS, 0x2000, 0x20000, 0xffff, ATTR_P | ATTR_S | ATTR_RW | ATTR_A);
    st_u32(box_mem(b, 0x20000 + 0x5678), 0x3f800000);
    cr_expect_eq(RUN(b, 0, 0xdb, 0xe3), -1);
    cr_expect_eq(RUN(b, 0x5678, 0xd9, 0x07), -1); /* fld dword [bx] */
    cr_expect_eq(RUN(b, 0x9000, 0xd9, 0x37), -1);
    env = box_mem(b, 0x29000);
    cr_expect_eq(ld_u16(env), 0x37f);
    cr_expect_eq(ld_u16(env + 4), 0x3fff, "tags %x", ld_u16(env + 4));
    cr_expect_eq(ld_u16(env + 6), 0x2340, "ip %x", ld_u16(env + 6));
    cr_expect_eq(ld_u16(env + 8), 0x1107, "ip high, opcode %x", ld_u16(env + 8));
    cr_expect_eq(ld_u16(env + 10), 0x5678, "dp %x", ld_u16(env + 10));
    cr_expect_eq(ld_u16(env + 12), 0x2000, "dp high %x", ld_u16(env + 12));
    /* 32-bit image */
    cr_expect_eq(RUN(b, 0x9000, 0x66, 0xd9, 0x37), -1);
    cr_expect_eq(ld_u32(env + 8), 0xffff3fffu);
    cr_expect_eq(ld_u32(env + 12), 0x2340u);
    cr_expect_eq(ld_u32(env + 16), 0x1107u);
    cr_expect_eq(ld_u32(env + 20), 0x5678u);
    cr_expect_eq(ld_u32(env + 24), 0x2000u);

    /* protected mode */
    box_mode32(b);
    cr_expect_eq(RUN(b, DATA, 0xdb, 0xe3), -1);
    st_u64(box_mem(b, DATA + 8), 0x4000000000000000);
    cr_expect_eq(RUN(b, DATA, 0xdd, 0x43, 0x08), -1); /* fld qword [ebx+8] */
    cr_expect_eq(RUN(b, DATA + 64, 0xd9, 0x33), -1);
    env = box_mem(b, DATA + 64);
    cr_expect_eq(ld_u32(env + 12), (u32)TEXT);
    cr_expect_eq(ld_u32(env + 16), 8u | 0x543u << 16, "%x", ld_u32(env + 16));
    cr_expect_eq(ld_u32(env + 20), (u32)DATA + 8);
    cr_expect_eq(ld_u16(env + 24), 0x10);
    cr_expect_eq(RUN(b, DATA + 64, 0x66, 0xd9, 0x33), -1);
    cr_expect_eq(ld_u16(env + 6), (u16)TEXT);
    cr_expect_eq(ld_u16(env + 8), 8);
    cr_expect_eq(ld_u16(env + 10), (u16)(DATA + 8));
    cr_expect_eq(ld_u16(env + 12), 0x10);
    /* masked by FNSTENV; a saved and restored environment is the same again */
    cr_expect_eq(RUN(b, DATA + 128, 0xdd, 0x33), -1); /* fnsave */
    cr_expect_eq(RUN(b, DATA + 128, 0xdd, 0x23), -1); /* frstor */
    cr_expect_eq(RUN(b, DATA + 256, 0xdd, 0x33), -1);
    cr_expect_arr_eq(box_mem(b, DATA + 128), box_mem(b, DATA + 256), 108);
    box_free(b);
}

/* ---- FXSAVE, XSAVE --------------------------------------------------------------------------- */
Test(native_cpu, fxsave_in_each_mode)
{
    struct box *b = box_fpu();
    struct cpu *c = b->cpu;
    u8 *m = box_mem(b, DATA);
    dirty(c);
    memset(m, 0x5a, 512);
    cr_expect_eq(RUN(b, DATA + 8, 0x0f, 0xae, 0x03), EX_GP);
    cr_expect_eq(RUN(b, DATA, 0x0f, 0xae, 0x03), -1);
    cr_expect_eq(ld_u16(m), 0x27f);
    cr_expect_eq(ld_u32(m + 24), 0x1fa0u);
    cr_expect_eq(ld_u32(m + 28), 0xffffu);
    cr_expect_arr_eq(m + 160, c->xs.legacy + 160, 256);
    cr_expect_eq(m[416], 0x5a);
    /* reserved MXCSR bits: nothing is loaded */
    st_u16(m, 0x37f);
    st_u32(m + 24, 0x10000);
    m[160] = 0x77;
    cr_expect_eq(RUN(b, DATA, 0x0f, 0xae, 0x0b), EX_GP);
    cr_expect_eq(c->xs.legacy[160], 1);
    cr_expect_eq(ld_u16(c->xs.legacy), 0x27f);
    st_u32(m + 24, 0x1f80);
    cr_expect_eq(RUN(b, DATA, 0x0f, 0xae, 0x0b), -1);
    cr_expect_eq(c->xs.legacy[160], 0x77);
    cr_expect_eq(ld_u16(c->xs.legacy), 0x37f);
    cr_expect_eq(ld_u32(c->xs.legacy + 24), 0x1f80u);
    /* outside 64-bit mode XMM8-15 are not there */
    box_mode32(b);
    c->cr4 = CR4_OSFXSR;
    cpu_sync(c);
    memset(m, 0x5a, 512);
    cr_expect_eq(RUN(b, DATA, 0x0f, 0xae, 0x03), -1);
    cr_expect_eq(m[160], 0x77);
    cr_expect_eq(m[160 + 128], 0x5a);
    memset(m + 160, 0x11, 256);
    cr_expect_eq(RUN(b, DATA, 0x0f, 0xae, 0x0b), -1);
    cr_expect_eq(c->xs.legacy[160], 0x11);
    cr_expect_eq(c->xs.legacy[160 + 128], 129);
    box_free(b);
}

Test(native_cpu, xsave_and_xrstor)
{
    struct box *b = box_fpu();
    struct cpu *c = b->cpu;
    u8 *m = box_mem(b, DATA);
    dirty(c);
    memset(m, 0, 1024);
    st_u64(m + 512, 1ull << 40); /* XSTATE_BV bits that are not asked for stay */
    cr_expect_eq(RUN(b, DATA + 32, 0x0f, 0xae, 0x23), EX_GP);
    cr_expect_eq(RUN(b, DATA, 0x0f, 0xae, 0x23), -1);
    cr_expect_eq(ld_u64(m + 512), 1ull << 40 | 7);
    cr_expect_arr_eq(m + 576, c->xs.ymm_hi, 256);
    cr_expect_eq(RUN(b, DATA, 0x0f, 0xae, 0x2b), EX_GP, "XSTATE_BV beyond XCR0");
    st_u64(m + 512, 3); /* AVX goes to its initial state */
    cr_expect_eq(RUN(b, DATA, 0x0f, 0xae, 0x2b), -1);
    cr_expect_eq(c->xs.ymm_hi[5], 0);
    cr_expect_eq(c->xs.legacy[165], 6);
    st_u64(m + 520, 1);
    cr_expect_eq(RUN(b, DATA, 0x0f, 0xae, 0x2b), EX_GP, "XCOMP_BV without bit 63");
    st_u64(m + 520, 0);
    /* all initial; MXCSR still comes from memory */
    st_u64(m + 512, 0);
    st_u32(m + 24, 0x1f00);
    cr_expect_eq(RUN(b, DATA, 0x0f, 0xae, 0x2b), -1);
    cr_expect_eq(c->xs.legacy[165], 0);
    cr_expect_eq(ld_u16(c->xs.legacy), 0x37f);
    cr_expect_eq(ld_u32(c->xs.legacy + 24), 0x1f00u);
    /* compacted: only what is in use; MXCSR counts as SSE */
    if (cpu_has(c, FEAT_XSAVEC)) {
        memset(m, 0x5a, 1024);
        st_u32(c->xs.legacy + 24, 0x1f80);
        cr_expect_eq(RUN(b, DATA, 0x0f, 0xc7, 0x23), -1);
        cr_expect_eq(ld_u64(m + 512), 0u, "%llx", (unsigned long long)ld_u64(m + 512));
        cr_expect_eq(ld_u64(m + 520), 1ull << 63 | 7);
        cr_expect_eq(m[0], 0x5a);
        c->xs.ymm_hi[3] = 9;
        st_u32(c->xs.legacy + 24, 0x1f81);
        memset(m + 512, 0, 64);
        cr_expect_eq(RUN(b, DATA, 0x0f, 0xc7, 0x23), -1);
        cr_expect_eq(ld_u64(m + 512), 6u);
        memset(c->xs.ymm_hi, 1, 256);
        dirty(c);
        cr_expect_eq(RUN(b, DATA, 0x0f, 0xae, 0x2b), -1);
        cr_expect_eq(c->xs.ymm_hi[3], 9);
        cr_expect_eq(c->xs.ymm_hi[4], 0);
        cr_expect_eq(ld_u32(c->xs.legacy + 24), 0x1f81u);
        cr_expect_eq(ld_u16(c->xs.legacy), 0x37f);
        m[530] = 1;
        cr_expect_eq(RUN(b, DATA, 0x0f, 0xae, 0x2b), EX_GP, "reserved header bytes");
    }
    c->cr4 &= ~(u64)CR4_OSXSAVE;
    cpu_sync(c);
    cr_expect_eq(RUN(b, DATA, 0x0f, 0xae, 0x23), EX_UD);
    box_free(b);
}

/* ---- the arena ------------------------------------------------------------------------------- */
/* More forms than the arena holds: everything is forgotten on the way, and nothing goes wrong. */
Test(native_cpu, full_arena_starts_afresh)
{
    static const u8 ops[4] = {0xc6, 0x70, 0xc2, 0xc2}; /* SHUFPS PSHUFD CMPPS CMPPD */
    struct box *b = box_fpu();
    struct cpu *c = b->cpu;
    size_t cap = 2 * MIB;
    u8 *host =
        mmap(NULL, cap, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    u8 *p = host, regs[256], want[256];
    u64 seed = 99;

    for (int k = 0; k < 16; k++) {
        /* movups xmmN, [rdi + 16 N] */
        const u8 ld[] = {k & 8 ? 0x44 : 0x40, 0x0f, 0x10, (u8)(0x87 | (k & 7) << 3)};
        memcpy(p, ld, 4);
        st_u32(p + 4, (u32)(16 * k));
        p += 8;
    }
    u8 *body = p;
    for (int op = 0; op < 4; op++)
        for (int n = 0; n < 256 * 256; n++) {
            int imm = n >> 8, reg = n >> 4 & 15, rm = n & 15;
            if (op == 1 || op == 3)
                *p++ = 0x66;
            *p++ = (u8)(0x40 | (reg >> 3) << 2 | rm >> 3);
            *p++ = 0x0f;
            *p++ = ops[op];
            *p++ = (u8)(0xc0 | (reg & 7) << 3 | (rm & 7));
            *p++ = (u8)(op < 2 ? imm : imm & 31);
        }
    u8 *end = p;
    for (int k = 0; k < 16; k++) {
        const u8 st[] = {k & 8 ? 0x44 : 0x40, 0x0f, 0x11, (u8)(0x87 | (k & 7) << 3)};
        memcpy(p, st, 4);
        st_u32(p + 4, (u32)(16 * k));
        p += 8;
    }
    *p++ = 0xc3;
    cr_assert((size_t)(p - host) < cap);
    for (int k = 0; k < 256; k++)
        regs[k] = (u8)next_random(&seed);
    memcpy(want, regs, 256);
    ((void (*)(u8 *))(void *)host)(want);

    memcpy(box_mem(b, 0x100000), body, (size_t)(end - body));
    *box_mem(b, 0x100000 + (u64)(end - body)) = 0xf4;
    /* twice: the second time over blocks that were decoded before the arena was full */
    for (int pass = 0; pass < 2; pass++) {
        u32 last = 0;
        int flushes = 0;
        memcpy(c->xs.legacy + 160, regs, 256);
        c->pending &= ~(u32)PEND_HALT;
        c->halted = false;
        c->rip = 0x100000;
        while (cpu_run(c, 20000) == CPU_SLICE) {
            flushes += c->native->used < last;
            last = c->native->used;
        }
        cr_expect(flushes >= 1, "the arena was never full");
        cr_expect_eq(c->rip, 0x100000u + (u64)(end - body) + 1);
        cr_expect_arr_eq(c->xs.legacy + 160, want, 256);
    }
    munmap(host, cap);
    box_free(b);
}
