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
