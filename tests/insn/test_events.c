/*
 * tests/insn/test_events.c - interrupts and changes of translation around instructions that an
 * engine likes to run without looking: each test once interpreted and once translated at once.
 */
#include <criterion/criterion.h>

#ifdef TRV_HAVE_BT
#include "bt/bt.h"
#endif
#include "tests/insn/sys_rig.h"

enum { VECTOR = 0x30 };

static int ack(void *ctx)
{
    struct cpu *c = ctx;
    cpu_set_intr(c, false);
    return VECTOR;
}

static struct sys *start(bool bt)
{
    struct sys *s = sys_new("x86-64-v2");
    s->cpu->pic_ack = ack;
    s->cpu->pic_ctx = s->cpu;
#ifdef TRV_HAVE_BT
    struct bt_config cfg = {.heat = 1};
    struct error err;
    if (bt)
        cr_assert_eq(bt_attach(s->cpu, &cfg, &err), ST_OK);
#else
    (void)bt;
#endif
    return s;
}

static void end(struct sys *s)
{
#ifdef TRV_HAVE_BT
    bt_detach(s->cpu);
#endif
    sys_free(s);
}

/* ---- STI's shadow ------------------------------------------------------------------------------
 */
/* Slices of `slice` instructions, with the interrupt pin raised before each or (late) only between
 * the STI and what follows. */
static int shadow(bool bt, bool lm, int slice, bool late)
{
    static const u8 code[] = {0xfa, 0xeb, 0, 0xfb, 0x90, 0x90, 0xeb, 0xf8};
    enum { AFTER_STI = 4, AFTER_SHADOW = 5 };
    static const u8 iret32[] = {0xcf}, iret64[] = {0x48, 0xcf};
    struct sys *s = start(bt);
    struct cpu *c = s->cpu;
    int taken = 0, at_once = 0;

    if (lm)
        sys_long(s, 0);
    else
        sys_prot(s, 0);
    sys_put(s, CODE_AT, code, sizeof(code));
    sys_put(s, HANDLER(VECTOR), lm ? iret64 : iret32, lm ? 2 : 1);
    for (int k = 0; k < 600; k++) {
        if (!late || (c->rip == CODE_AT + AFTER_STI && (c->flsys & FL_IF)))
            cpu_set_intr(c, true);
        cpu_run(c, slice);
        for (int tries = 0; c->rip != HANDLER(VECTOR) && c->intr_pin && tries < 3; tries++)
            cpu_run(c, 1);
        if (c->rip == HANDLER(VECTOR)) {
            u64 from = lm ? sys_u64(s, c->gpr[RSP]) : sys_u32(s, c->gpr[RSP]);
            cr_assert_neq(from, CODE_AT + AFTER_STI, "bt %d long %d slice %d late %d", bt, lm,
                          slice, late);
            at_once += from == CODE_AT + AFTER_SHADOW;
            taken++;
        }
    }
    cr_assert(slice != 1 || at_once > 10, "bt %d long %d late %d", bt, lm, late);
    end(s);
    return taken;
}

Test(events, sti_shadow)
{
    for (int n = 0; n < 4; n++) {
        int taken = 0;
        cr_assert_gt(shadow(n & 1, n & 2, 1, true), 10);
        for (int slice = 1; slice < 9; slice++)
            taken += shadow(n & 1, n & 2, slice, false);
        cr_assert_gt(taken, 500);
    }
}

/* ---- FS and GS outside 64-bit mode --------------------------------------------------------------
 */
/* MOV EAX, FS:[off] or MOV FS:[off], EAX; returns the vector of its fault, or -1. */
static int through_fs(struct sys *s, u32 base, u32 limit, u16 attr, u32 off, bool write)
{
    struct cpu *c = s->cpu;
    static const u8 load[] = {0x64, 0x8b, 0x03, 0xeb, 0xfe},
                    store[] = {0x64, 0x89, 0x03, 0xeb, 0xfe};
    cpu_set_seg(c, SEG_FS, S_DATA0, base, limit, attr);
    for (int v = EX_SS; v <= EX_GP; v++) {
        static const u8 stay[] = {0xeb, 0xfe};
        sys_put(s, HANDLER(v), stay, sizeof(stay));
    }
    u64 at = write ? CODE_AT + 64 : CODE_AT;
    sys_put(s, at, write ? store : load, sizeof(load));
    c->rip = at;
    c->gpr[RSP] = KSTACK;
    c->gpr[RBX] = off;
    c->gpr[RAX] = 0x12345678;
    cpu_run(c, 8);
    if (c->rip == at + 3)
        return -1;
    for (int v = 0; v < 32; v++)
        if (c->rip == HANDLER(v))
            return v;
    return 99;
}

Test(events, fs_in_32_bits)
{
    enum { DATA = ATTR_P | ATTR_S | ATTR_RW | ATTR_A | ATTR_DB | ATTR_G };
    for (int bt = 0; bt < 2; bt++) {
        struct sys *s = start(bt);
        struct cpu *c = s->cpu;
        sys_prot(s, 0);
        for (int again = 0; again < 3; again++) { /* the same code for all: what it asks is state */
            st_u32(sys_mem(s, DATA_AT), 0xcafe0000u + (u32)again);
            cr_expect_eq(through_fs(s, DATA_AT - 0x100, ~0u, DATA, 0x100, false), -1);
            cr_expect_eq(c->gpr[RAX], 0xcafe0000u + (u32)again);
            cr_expect_eq(through_fs(s, DATA_AT + 0x100, ~0u, DATA, -0x100u, false), -1);
            cr_expect_eq(c->gpr[RAX], 0xcafe0000u + (u32)again, "addresses wrap at 4 GiB");
            cr_expect_eq(through_fs(s, DATA_AT + 4, ~0u, DATA, -4u, true), -1);
            cr_expect_eq(sys_u32(s, DATA_AT), 0x12345678);
            cr_expect_eq(through_fs(s, DATA_AT + 4, ~0u, DATA, -3u, false), EX_GP);
            cr_expect_eq(through_fs(s, DATA_AT + 4, ~0u, DATA, -1u, true), EX_GP);
            cr_expect_eq(through_fs(s, DATA_AT, 0xfff, DATA, 0xffc, false), -1);
            cr_expect_eq(through_fs(s, DATA_AT, 0xfff, DATA, 0xffd, false), EX_GP);
            cr_expect_eq(through_fs(s, DATA_AT, ~0u, DATA & ~ATTR_RW, 0, false), -1);
            cr_expect_eq(through_fs(s, DATA_AT, ~0u, DATA & ~ATTR_RW, 0, true), EX_GP);
            cr_expect_eq(through_fs(s, 0, 0, 0, 0, false), EX_GP, "null");
        }
        end(s);
    }
}

/* ---- flags on the stack -------------------------------------------------------------------------
 */
Test(events, pushf_and_popf)
{
    static const u8 code[] = {0x9c, 0x58, 0x53, 0x9d, 0x9c, 0x59, 0xeb, 0xfe};
    /* pushf; pop eax; push ebx; popf; pushf; pop ecx */
    enum { POPF_MAY = FL_ARITH | FL_TF | FL_IF | FL_DF | FL_IOPL | FL_NT | FL_AC | FL_ID };
    static const u32 images[] = {0,       FL_ARITH,   FL_IF,         FL_IF | FL_CF, FL_DF | FL_OF,
                                 FL_IOPL, FL_NT,      FL_AC | FL_SF, FL_ID | FL_ZF, FL_RF,
                                 FL_VM,   ~(u32)FL_TF};
    for (int n = 0; n < 4; n++) {
        struct sys *s = start(n & 1);
        struct cpu *c = s->cpu;
        bool lm = n & 2;
        if (lm)
            sys_long(s, 0);
        else
            sys_prot(s, 0);
        sys_put(s, CODE_AT, code, sizeof(code));
        for (u32 k = 0; k < 4 * ARRAY_LEN(images); k++) {
            u32 before = images[k / 4] & POPF_MAY & ~(u32)FL_TF;
            u32 image = images[(k * 7 + k / 4) % ARRAY_LEN(images)];
            cpu_set_rflags(c, before | FL_1);
            c->rip = CODE_AT;
            c->gpr[RBX] = image;
            cpu_run(c, 20);
            cr_expect_eq(c->rip, CODE_AT + 6, "%d: %x", n, image);
            cr_expect_eq(c->gpr[RAX], before | FL_1, "%d: %x", n, before);
            cr_expect_eq(c->gpr[RCX], (image & POPF_MAY) | FL_1, "%d: %x then %x", n, before,
                         image);
            cr_expect_eq(cpu_rflags(c), (image & POPF_MAY) | FL_1);
        }
        end(s);
    }
}
