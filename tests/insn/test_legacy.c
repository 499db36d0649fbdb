/*
 * tests/insn/test_legacy.c - what 64-bit mode does not have: decimal adjust, PUSHA, BOUND, 16-bit
 * addresses and stacks; and control flow, whose result is RIP.
 *
 * Decimal adjust is compared with the host, which still runs it in 32-bit mode, for every AX and
 * every carry. The rest has expected values from the manuals.
 */
#include <criterion/criterion.h>

#include "tests/insn/insn_test.h"

/* ---- decimal adjust: all inputs, against the silicon ---------------------------------------- */
static void decimal_all(struct box *b, const u8 *code, int len, u32 ax_step, u64 defined)
{
    struct insn i;
    /* the undefined ones follow AMD's silicon */
    u64 seen = cpu_is_amd(b->cpu) ? FLAGS_SEEN : defined;
    box_decode(b, code, len, &i);
    for (u32 ax = 0; ax < 0x10000; ax += ax_step) {
        for (u32 k = 0; k < 8; k++) {
            struct regs in = {0}, ours, host;
            in.gpr[RAX] = 0x5a5a0000 | ax;
            in.flags = (k & 1 ? FL_CF : 0) | (k & 2 ? FL_AF : 0) |
                       (k & 4 ? FL_OF | FL_SF | FL_ZF | FL_PF : 0);
            ours = host = in;
            int vector = box_exec(b, &i, &ours), sig = native_run(code, len, true, &host);
            cr_assert_eq(vector, sig == 8 ? EX_DE : -1, "%02x: vector %d, signal %d", code[0],
                         vector, sig);
            if (sig)
                continue;
            cr_assert_eq((u32)ours.gpr[RAX], (u32)host.gpr[RAX],
                         "%02x %02x: AX %04x flags %#lx gives %#x, on the host %#x", code[0],
                         code[len - 1], ax, in.flags, (u32)ours.gpr[RAX], (u32)host.gpr[RAX]);
            cr_assert_eq(ours.flags & seen, host.flags & seen,
                         "%02x %02x: AX %04x flags %#lx gives flags %#lx, on the host %#lx",
                         code[0], code[len - 1], ax, in.flags, ours.flags, host.flags & FLAGS_SEEN);
        }
    }
}

/* The trampoline's far jump works on the kernels we know; where it does not, nothing is proven. */
static bool host_runs_32bit(void)
{
    static const u8 inc_eax = 0x40;
    struct regs r = {.gpr = {41}};
    return native_run(&inc_eax, 1, true, &r) == 0 && r.gpr[RAX] == 42;
}

#define DECIMAL(name, step, defined, ...)                                                          \
    Test(decimal, name)                                                                            \
    {                                                                                              \
        static const u8 code[] = {__VA_ARGS__};                                                    \
        if (!native_open() || !host_runs_32bit())                                                  \
            cr_skip("32-bit code does not run here");                                              \
        struct box *b = box_new("host");                                                           \
        box_mode32(b);                                                                             \
        decimal_all(b, code, sizeof(code), step, defined);                                         \
        box_free(b);                                                                               \
    }
enum { RES_FLAGS = FL_SF | FL_ZF | FL_PF, DEC_FLAGS = RES_FLAGS | FL_AF | FL_CF };
DECIMAL(daa, 1, DEC_FLAGS, 0x27)
DECIMAL(das, 1, DEC_FLAGS, 0x2f)
DECIMAL(aaa, 1, FL_AF | FL_CF, 0x37)
DECIMAL(aas, 1, FL_AF | FL_CF, 0x3f)
DECIMAL(aam, 7, RES_FLAGS, 0xd4, 10)
DECIMAL(aam_by_zero, 0x1111, 0, 0xd4, 0)
DECIMAL(aam_by_3, 7, RES_FLAGS, 0xd4, 3)
DECIMAL(aad, 1, RES_FLAGS, 0xd5, 10)
DECIMAL(aad_by_200, 3, RES_FLAGS, 0xd5, 200)
DECIMAL(salc, 0x101, FLAGS_SEEN, 0xd6)

/* ---- 32- and 16-bit stacks ------------------------------------------------------------------ */
Test(legacy, pusha_and_popa)
{
    struct box *b = box_new("host");
    struct regs r = {0}, before;
    static const u8 pusha = 0x60, popa = 0x61;
    box_mode32(b);
    for (int k = 0; k < 8; k++)
        r.gpr[k] = 0x11111111u * (u32)(k + 1);
    r.gpr[RSP] = DATA_AT + 256;
    before = r;
    cr_assert_eq(box_run(b, &pusha, 1, &r), -1);
    cr_assert_eq(r.gpr[RSP], DATA_AT + 256 - 32);
    for (int k = 0; k < 8; k++) /* EAX at the top of memory; the old ESP among them */
        cr_assert_eq(ld_u32(box_mem(b, DATA_AT + 252 - 4 * (u64)k)), (u32)before.gpr[k]);
    st_u32(box_mem(b, DATA_AT + 236), 0xdeadbeef); /* the ESP image is ignored */
    for (int k = 0; k < 8; k++)
        if (k != RSP)
            r.gpr[k] = 0;
    cr_assert_eq(box_run(b, &popa, 1, &r), -1);
    cr_assert(!memcmp(r.gpr, before.gpr, 8 * sizeof(r.gpr[0])));
    box_free(b);
}

/* A real-mode stack wraps at 64 KiB, an even SP never faults (SDM vol. 2, PUSHA). */
Test(legacy, real_mode_stack_wraps)
{
    struct box *b = box_new("host");
    struct regs r = {0};
    static const u8 pusha = 0x60, push_sp = 0x54, enter[] = {0xc8, 4, 0, 2};
    box_mode16(b);
    r.gpr[RSP] = 0xabcd0004;
    r.gpr[RBP] = 0x2222;
    cr_assert_eq(box_run(b, &pusha, 1, &r), -1);
    cr_assert_eq(r.gpr[RSP], 0xabcdfff4);
    cr_assert_eq(ld_u16(box_mem(b, 0xfffa)), 4); /* SP as it was */
    cr_assert_eq(ld_u16(box_mem(b, 0xfff8)), 0x2222);
    r.gpr[RSP] = 0x100;
    cr_assert_eq(box_run(b, &push_sp, 1, &r), -1);
    cr_assert_eq(ld_u16(box_mem(b, 0xfe)), 0x100);
    r.gpr[RSP] = 0x100;
    r.gpr[RBP] = 0x80;
    st_u16(box_mem(b, 0x7e), 0x7777);
    cr_assert_eq(box_run(b, enter, sizeof(enter), &r), -1);
    cr_assert_eq(r.gpr[RBP], 0xfe);
    cr_assert_eq(r.gpr[RSP], 0x100 - 2 - 4 - 4);
    cr_assert_eq(ld_u16(box_mem(b, 0xfe)), 0x80);
    cr_assert_eq(ld_u16(box_mem(b, 0xfc)), 0x7777);
    cr_assert_eq(ld_u16(box_mem(b, 0xfa)), 0xfe);
    box_free(b);
}

/* The source of a string instruction takes any override, ES too; the destination none. */
Test(legacy, string_overrides)
{
    struct box *b = box_new("host");
    struct regs r = {0};
    static const u8 movs[] = {0x26, 0xa4}, xlat[] = {0x26, 0xd7}, lods[] = {0x2e, 0xac};
    box_mode16(b);
    b->cpu->seg[SEG_ES].base = 0x20000;
    b->cpu->seg[SEG_CS].base = 0x30000;
    r.gpr[RSI] = 0x10;
    r.gpr[RDI] = 0x20;
    r.gpr[RBX] = 0x10;
    *box_mem(b, 0x20010) = 0x5a;
    *box_mem(b, 0x30011) = 0xa5;
    cr_assert_eq(box_run(b, movs, 2, &r), -1);
    cr_assert_eq(*box_mem(b, 0x20020), 0x5a);
    cr_assert_eq(box_run(b, xlat, 2, &r), -1);
    cr_assert_eq((u8)r.gpr[RAX], 0x5a);
    cr_assert_eq(box_run(b, lods, 2, &r), -1);
    cr_assert_eq((u8)r.gpr[RAX], 0xa5);
    box_free(b);
}

/* Before the 80386, LOCK goes with anything; since then only with what it is for. */
Test(legacy, lock_prefix)
{
    static const u8 lock_mov[] = {0xf0, 0x89, 0xc8}, jcxz[] = {0xe3, 0x10};
    struct insn i;
    struct box *b = box_new("286");
    cr_assert_eq(decode_insn(b->cpu, lock_mov, 3, KEY_16 | KEY_REAL, &i), 3);
    cr_assert_eq(decode_insn(b->cpu, jcxz, 2, KEY_16 | KEY_REAL, &i), 2);
    box_free(b);
    b = box_new("386");
    cr_assert_eq(decode_insn(b->cpu, lock_mov, 3, KEY_16 | KEY_REAL, &i), -1);
    box_free(b);
}

/* The 8086 stores SP decremented and shifts by all eight bits of CL (APM vol. 3, PUSH; SDM vol. 3,
 * 22.17). */
Test(legacy, the_8086_differs)
{
    struct box *b = box_new("8086");
    struct regs r = {0};
    static const u8 push_sp = 0x54, shl[] = {0xd3, 0xe0}, aaa = 0x37;
    r.gpr[RSP] = 0x100;
    cr_assert_eq(box_run(b, &push_sp, 1, &r), -1);
    cr_assert_eq(ld_u16(box_mem(b, 0xfe)), 0xfe);
    r.gpr[RAX] = 0xffff;
    r.gpr[RCX] = 0x21;
    cr_assert_eq(box_run(b, shl, 2, &r), -1);
    cr_assert_eq((u16)r.gpr[RAX], 0);
    r.gpr[RAX] = 0x00fb; /* the carry of AL + 6 does not reach AH */
    r.flags = 0;
    cr_assert_eq(box_run(b, &aaa, 1, &r), -1);
    cr_assert_eq((u16)r.gpr[RAX], 0x0101);
    box_free(b);
    b = box_new("486");
    box_mode16(b);
    r.gpr[RAX] = 0xffff;
    r.gpr[RCX] = 0x21;
    cr_assert_eq(box_run(b, shl, 2, &r), -1);
    cr_assert_eq((u16)r.gpr[RAX], 0xfffe);
    box_free(b);
}

Test(legacy, bound)
{
    struct box *b = box_new("host");
    static const u8 bound[] = {0x62, 0x03}; /* bound eax,[ebx] */
    struct {
        i32 low, high, index;
        int vector;
    } cases[] = {{-5, 7, -5, -1}, {-5, 7, 7, -1}, {-5, 7, 8, EX_BR}, {-5, 7, -6, EX_BR}};
    box_mode32(b);
    for (size_t k = 0; k < ARRAY_LEN(cases); k++) {
        struct regs r = {0};
        r.gpr[RBX] = DATA_AT;
        r.gpr[RAX] = (u32)cases[k].index;
        st_u32(box_mem(b, DATA_AT), (u32)cases[k].low);
        st_u32(box_mem(b, DATA_AT + 4), (u32)cases[k].high);
        cr_assert_eq(box_run(b, bound, 2, &r), cases[k].vector);
    }
    box_free(b);
}

/* ---- control flow --------------------------------------------------------------------------- */
static u64 rip_after(struct box *b, const u8 *code, int len, struct regs *r)
{
    cr_assert_eq(box_run(b, code, len, r), -1);
    return b->cpu->rip;
}

/* Each condition in the words of the manual (SDM vol. 1, appendix B). */
static bool condition(int cc, u64 fl)
{
    bool cf = fl & FL_CF, zf = fl & FL_ZF, sf = fl & FL_SF, of = fl & FL_OF, pf = fl & FL_PF;
    const bool holds[] = {of, cf, zf, cf || zf, sf, pf, sf != of, zf || sf != of};
    return holds[cc >> 1] ^ (cc & 1);
}

Test(flow, conditions)
{
    struct box *b = box_new("host");
    for (int cc = 0; cc < 16; cc++) {
        for (int k = 0; k < 32; k++) {
            struct regs r = {0};
            u8 jcc[] = {(u8)(0x70 | cc), 0xf0}, near[] = {0x0f, (u8)(0x80 | cc), 0, 1, 0, 0};
            r.flags = (k & 1 ? FL_CF : 0u) | (k & 2 ? FL_ZF : 0u) | (k & 4 ? FL_SF : 0u) |
                      (k & 8 ? FL_OF : 0u) | (k & 16 ? FL_PF : 0u);
            bool taken = condition(cc, r.flags);
            cr_assert_eq(rip_after(b, jcc, 2, &r), (u64)CODE_AT + 2 - (taken ? 16 : 0));
            cr_assert_eq(rip_after(b, near, 6, &r), (u64)CODE_AT + 6 + (taken ? 256 : 0));
        }
    }
    box_free(b);
}

Test(flow, loops)
{
    struct box *b = box_new("host");
    static const u8 loop[] = {0xe2, 0x10}, loop32[] = {0x67, 0xe2, 0x10}, loope[] = {0xe1, 0x10},
                    loopne[] = {0xe0, 0x10}, jrcxz[] = {0xe3, 0x10}, jecxz[] = {0x67, 0xe3, 0x10};
    struct regs r = {0};
    r.gpr[RCX] = 2;
    cr_assert_eq(rip_after(b, loop, 2, &r), CODE_AT + 18);
    cr_assert_eq(rip_after(b, loop, 2, &r), CODE_AT + 2);
    cr_assert_eq(r.gpr[RCX], 0);
    cr_assert_eq(rip_after(b, loop, 2, &r), CODE_AT + 18);
    cr_assert_eq(r.gpr[RCX], ~0ull);
    r.gpr[RCX] = 0xff00000000; /* ECX: 0 becomes FFFFFFFF, the upper half is cleared */
    cr_assert_eq(rip_after(b, loop32, 3, &r), CODE_AT + 19);
    cr_assert_eq(r.gpr[RCX], 0xffffffff);
    r.flags = FL_ZF;
    cr_assert_eq(rip_after(b, loope, 2, &r), CODE_AT + 18);
    cr_assert_eq(rip_after(b, loopne, 2, &r), CODE_AT + 2);
    r.flags = 0;
    cr_assert_eq(rip_after(b, loope, 2, &r), CODE_AT + 2);
    cr_assert_eq(rip_after(b, loopne, 2, &r), CODE_AT + 18);
    r.gpr[RCX] = 1ull << 32;
    cr_assert_eq(rip_after(b, jrcxz, 2, &r), CODE_AT + 2);
    cr_assert_eq(rip_after(b, jecxz, 3, &r), CODE_AT + 19);
    box_free(b);
}

Test(flow, calls_and_returns)
{
    struct box *b = box_new("host");
    static const u8 call[] = {0xe8, 0xfb, 0xff, 0xff, 0x7f}, call_m[] = {0xff, 0x13},
                    ret8[] = {0xc2, 8, 0}, jmp_r[] = {0xff, 0xe0};
    struct regs r = {0};
    r.gpr[RSP] = DATA_AT + 64;
    cr_assert_eq(rip_after(b, call, 5, &r), CODE_AT + 0x80000000ull);
    cr_assert_eq(r.gpr[RSP], DATA_AT + 56);
    cr_assert_eq(ld_u64(box_mem(b, DATA_AT + 56)), CODE_AT + 5);
    cr_assert_eq(rip_after(b, ret8, 3, &r), CODE_AT + 5);
    cr_assert_eq(r.gpr[RSP], DATA_AT + 72);
    r.gpr[RBX] = DATA_AT + 8;
    st_u64(box_mem(b, DATA_AT + 8), 0xffff800000001234);
    cr_assert_eq(rip_after(b, call_m, 2, &r), 0xffff800000001234);
    /* a non-canonical target faults with nothing pushed */
    u64 rsp = r.gpr[RSP];
    st_u64(box_mem(b, DATA_AT + 8), 1ull << 47);
    cr_assert_eq(box_run(b, call_m, 2, &r), EX_GP);
    cr_assert_eq(r.gpr[RSP], rsp);
    r.gpr[RAX] = 1ull << 63;
    cr_assert_eq(box_run(b, jmp_r, 2, &r), EX_GP);
    box_free(b);
}

/* In 32-bit mode a target beyond the code segment's limit is #GP; 16-bit targets are masked. */
Test(flow, targets_are_checked)
{
    struct box *b = box_new("host");
    static const u8 jmp_eax[] = {0xff, 0xe0}, jmp16[] = {0x66, 0xe9, 0xf0, 0xff};
    struct regs r = {0};
    box_mode32(b);
    cr_assert_eq(rip_after(b, jmp16, 4, &r), (u16)(CODE_AT + 4 - 16));
    b->cpu->seg[SEG_CS].limit = 0xffff;
    r.gpr[RAX] = 0x10000;
    cr_assert_eq(box_run(b, jmp_eax, 2, &r), EX_GP);
    r.gpr[RAX] = 0xffff;
    cr_assert_eq(rip_after(b, jmp_eax, 2, &r), 0xffff);
    box_free(b);
}

/* ---- faults leave nothing half done --------------------------------------------------------- */
Test(faults, string_stops_at_the_page)
{
    struct box *b = box_new("host");
    static const u8 movs[] = {0xf3, 0xa4};
    struct regs r = {0};
    r.gpr[RSI] = DATA_AT;
    r.gpr[RDI] = RAM_SIZE - 5; /* nothing is mapped behind */
    r.gpr[RCX] = 100;
    cr_assert_eq(box_run(b, movs, 2, &r), EX_PF);
    cr_assert_eq(b->cpu->cr2, RAM_SIZE);
    cr_assert_eq(r.gpr[RCX], 95);
    cr_assert_eq(r.gpr[RSI], DATA_AT + 5);
    cr_assert_eq(r.gpr[RDI], RAM_SIZE);
    box_free(b);
}

Test(faults, nothing_is_written)
{
    struct box *b = box_new("host");
    struct {
        u8 code[6];
        int len;
    } cases[] = {
        {{0x01, 0x03}, 2},       /* add [rbx],eax */
        {{0xf0, 0x01, 0x03}, 3}, /* lock */
        {{0x11, 0x03}, 2},       /* adc */
        {{0xd3, 0x23}, 2},       /* shl [rbx],cl */
        {{0x0f, 0xab, 0x03}, 3}, /* bts */
        {{0x0f, 0xb1, 0x0b}, 3}, /* cmpxchg: even when not equal */
        {{0x0f, 0xc1, 0x0b}, 3}, /* xadd */
        {{0x87, 0x0b}, 2},       /* xchg */
        {{0x0f, 0xc7, 0x0b}, 3}, /* cmpxchg8b */
        {{0x8f, 0x03}, 2},       /* pop [rbx] */
        {{0xff, 0x33}, 2},       /* push [rbx] */
        {{0xf7, 0x23}, 2},       /* mul */
        {{0xab}, 1},             /* stos */
    };
    for (size_t k = 0; k < ARRAY_LEN(cases); k++) {
        struct regs r = {.flags = FL_CF | FL_SF}, before;
        for (int g = 0; g < 16; g++)
            r.gpr[g] = 3;
        r.gpr[RBX] = r.gpr[RDI] = RAM_SIZE - 2; /* half of it is there */
        r.gpr[RSP] = DATA_AT + 64;
        st_u16(box_mem(b, RAM_SIZE - 2), 0x1234);
        before = r;
        cr_assert_eq(box_run(b, cases[k].code, cases[k].len, &r), EX_PF, "case %zu", k);
        cr_assert(!memcmp(&r, &before, sizeof(r)), "case %zu changed a register", k);
        cr_assert_eq(ld_u16(box_mem(b, RAM_SIZE - 2)), 0x1234, "case %zu wrote", k);
        cr_assert_eq(b->cpu->cr2, RAM_SIZE, "case %zu: CR2 %#lx", k, b->cpu->cr2);
    }
    box_free(b);
}

Test(faults, division)
{
    struct box *b = box_new("host");
    static const u8 idiv[] = {0x48, 0xf7, 0xf9}; /* idiv rcx */
    struct regs r = {0};
    r.gpr[RAX] = 1ull << 63;
    r.gpr[RDX] = ~0ull;
    r.gpr[RCX] = ~0ull; /* -2^63 / -1 */
    cr_assert_eq(box_run(b, idiv, 3, &r), EX_DE);
    cr_assert_eq(r.gpr[RAX], 1ull << 63);
    r.gpr[RCX] = 1;
    cr_assert_eq(box_run(b, idiv, 3, &r), -1);
    cr_assert_eq(r.gpr[RAX], 1ull << 63);
    box_free(b);
}
