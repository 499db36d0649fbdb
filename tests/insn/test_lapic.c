/*
 * tests/insn/test_lapic.c - the local APIC alone: registers in memory and as MSRs, priorities, the
 * timer on a fake clock, destinations of messages. SDM vol. 3, ch. 10.
 */
#include <criterion/criterion.h>

#include "tests/insn/insn_test.h"

enum { ID = 0x20, VER = 0x30, TPR = 0x80, PPR = 0xa0, EOI = 0xb0, LDR = 0xd0, DFR = 0xe0 };
enum { SVR = 0xf0, ISR = 0x100, IRR = 0x200, ESR = 0x280, ICR = 0x300, ICR_HIGH = 0x310 };
enum { TIMER = 0x320, LINT0 = 0x350, ERR = 0x370, INIT = 0x380, NOW = 0x390, DIV = 0x3e0 };

struct apic_test {
    struct box *b;
    struct lapic *l;
    int eoi_vector;
};

static u32 rd(struct apic_test *t, u32 off)
{
    struct device *d = lapic_device(t->l);
    return (u32)d->ops->read(d, 0, off, 4);
}

static void wr(struct apic_test *t, u32 off, u32 v)
{
    struct device *d = lapic_device(t->l);
    d->ops->write(d, 0, off, v, 4);
}

static void note_eoi(void *ctx, int vector)
{
    ((struct apic_test *)ctx)->eoi_vector = vector;
}

static void open_apic(struct apic_test *t)
{
    t->b = box_new("x86-64-v2");
    t->l = t->b->cpu->lapic;
    t->eoi_vector = -1;
    t->b->cpu->eoi_hook = note_eoi;
    t->b->cpu->eoi_ctx = t;
    cr_assert_not_null(t->l);
    wr(t, SVR, 0x1ff);
}

Test(lapic, reset_state)
{
    struct apic_test t;
    open_apic(&t);
    lapic_reset(t.l);
    cr_assert_eq(rd(&t, ID), 0);
    cr_assert_eq(rd(&t, VER) & 0xff, 0x14);
    cr_assert_eq(rd(&t, SVR), 0xff);
    cr_assert_eq(rd(&t, DFR), 0xffffffff);
    cr_assert_eq(rd(&t, TIMER), 0x10000);
    cr_assert_eq(t.b->cpu->apic_base, 0xfee00900);
    cr_assert(lapic_extint(t.l), "virtual wire mode");
    cr_assert_eq(lapic_pending(t.l), -1);
    lapic_message(t.l, 0, false, 0, 0x40, false);
    cr_assert_eq(rd(&t, IRR + 0x20), 0, "software-disabled: nothing is accepted");
    box_free(t.b);
}

Test(lapic, priorities)
{
    struct apic_test t;
    open_apic(&t);
    lapic_message(t.l, 0, false, 0, 0x45, false);
    lapic_message(t.l, 0, false, 0, 0x51, true);
    cr_assert_eq(lapic_pending(t.l), 0x51);
    cr_assert(t.b->cpu->pending & PEND_INTR);
    wr(&t, TPR, 0x5f);
    cr_assert_eq(lapic_pending(t.l), -1);
    cr_assert(!(t.b->cpu->pending & PEND_INTR));
    wr(&t, TPR, 0x4f);
    cr_assert_eq(lapic_pending(t.l), 0x51);
    cr_assert_eq(lapic_accept(t.l), 0x51);
    cr_assert_eq(rd(&t, ISR + 0x20), 1u << 17);
    cr_assert_eq(rd(&t, PPR), 0x50);
    wr(&t, TPR, 0);
    cr_assert_eq(lapic_pending(t.l), -1, "0x45 waits for 0x51's end");
    lapic_message(t.l, 0, false, 0, 0x5f, false);
    cr_assert_eq(lapic_pending(t.l), -1, "the same class does not preempt");
    lapic_message(t.l, 0, false, 0, 0x60, false);
    cr_assert_eq(lapic_accept(t.l), 0x60);
    wr(&t, EOI, 0);
    cr_assert_eq(t.eoi_vector, -1, "edge: no broadcast");
    wr(&t, EOI, 0);
    cr_assert_eq(t.eoi_vector, 0x51);
    cr_assert_eq(lapic_accept(t.l), 0x5f);
    wr(&t, EOI, 0);
    cr_assert_eq(lapic_accept(t.l), 0x45);
    wr(&t, EOI, 0);
    cr_assert_eq(lapic_accept(t.l), 0xff, "spurious");
    box_free(t.b);
}

Test(lapic, timer_one_shot)
{
    struct apic_test t;
    open_apic(&t);
    wr(&t, TIMER, 0x40);
    wr(&t, DIV, 3); /* by 16 */
    wr(&t, INIT, 1000);
    clock_advance(t.b->clk, 16 * 400);
    cr_assert_eq(rd(&t, NOW), 600);
    clock_advance(t.b->clk, 16 * 600 - 1);
    cr_assert_eq(lapic_pending(t.l), -1);
    clock_advance(t.b->clk, 1);
    cr_assert_eq(lapic_accept(t.l), 0x40);
    wr(&t, EOI, 0);
    cr_assert_eq(rd(&t, NOW), 0);
    clock_advance(t.b->clk, 1000000);
    cr_assert_eq(lapic_pending(t.l), -1);
    wr(&t, INIT, 1000);
    wr(&t, INIT, 0); /* stops it */
    clock_advance(t.b->clk, 1000000);
    cr_assert_eq(lapic_pending(t.l), -1);
    box_free(t.b);
}

Test(lapic, timer_periodic)
{
    struct apic_test t;
    open_apic(&t);
    wr(&t, TIMER, 0x20041);
    wr(&t, DIV, 0xb); /* by 1 */
    wr(&t, INIT, 50000);
    for (int k = 0; k < 5; k++) {
        clock_advance(t.b->clk, 49999);
        cr_assert_eq(lapic_pending(t.l), -1);
        clock_advance(t.b->clk, 1);
        cr_assert_eq(lapic_accept(t.l), 0x41);
        wr(&t, EOI, 0);
    }
    wr(&t, TIMER, 0x30041); /* masked: it counts but does not tell */
    clock_advance(t.b->clk, 75000);
    cr_assert_eq(rd(&t, NOW), 25000);
    cr_assert_eq(lapic_pending(t.l), -1);
    wr(&t, TIMER, 0x20041);
    wr(&t, INIT, 1); /* hostile: a period of a nanosecond must not hang the host */
    clock_advance(t.b->clk, 1000000);
    cr_assert_eq(lapic_accept(t.l), 0x41);
    box_free(t.b);
}

Test(lapic, timer_deadline)
{
    struct apic_test t;
    open_apic(&t);
    u64 tsc = read_tsc(t.b->cpu);
    lapic_set_deadline(t.l, tsc + 1000);
    cr_assert_eq(lapic_deadline(t.l), 0, "ignored in the other modes");
    wr(&t, TIMER, 0x40042);
    lapic_set_deadline(t.l, tsc + 5000);
    cr_assert_eq(lapic_deadline(t.l), tsc + 5000);
    clock_advance(t.b->clk, 4999);
    cr_assert_eq(lapic_pending(t.l), -1);
    clock_advance(t.b->clk, 2);
    cr_assert_eq(lapic_accept(t.l), 0x42);
    cr_assert_eq(lapic_deadline(t.l), 0);
    wr(&t, EOI, 0);
    lapic_set_deadline(t.l, 1); /* long past */
    clock_advance(t.b->clk, 1);
    cr_assert_eq(lapic_accept(t.l), 0x42);
    box_free(t.b);
}

Test(lapic, lint0)
{
    struct apic_test t;
    open_apic(&t);
    wr(&t, LINT0, 0x10700);
    cr_assert(!lapic_extint(t.l));
    wr(&t, LINT0, 0x700);
    cr_assert(lapic_extint(t.l));
    wr(&t, LINT0, 0x44); /* fixed */
    cr_assert(!lapic_extint(t.l));
    lapic_set_lint0(t.l, false);
    lapic_set_lint0(t.l, true);
    cr_assert_eq(lapic_accept(t.l), 0x44);
    lapic_set_base(t.l, 0xfee00100); /* hardware-disabled: the pin goes through */
    cr_assert(lapic_extint(t.l));
    cr_assert_eq(lapic_pending(t.l), -1);
    box_free(t.b);
}

Test(lapic, destinations)
{
    struct apic_test t;
    open_apic(&t);
    struct {
        u32 ldr, dfr, dest;
        bool logical, ours;
    } cases[] = {
        {0, 0xffffffff, 0, false, true},
        {0, 0xffffffff, 1, false, false},
        {0, 0xffffffff, 0xff, false, true},
        {0x02000000, 0xffffffff, 2, true, true},
        {0x02000000, 0xffffffff, 7, true, true},
        {0x02000000, 0xffffffff, 4, true, false},
        {0x32000000, 0x0fffffff, 0x32, true, true},
        {0x32000000, 0x0fffffff, 0x31, true, false},
        {0x32000000, 0x0fffffff, 0x22, true, false},
        {0x32000000, 0x0fffffff, 0xff, true, true},
    };
    for (size_t k = 0; k < ARRAY_LEN(cases); k++) {
        wr(&t, LDR, cases[k].ldr);
        wr(&t, DFR, cases[k].dfr);
        lapic_message(t.l, cases[k].dest, cases[k].logical, 0, 0x50, false);
        cr_assert_eq(lapic_pending(t.l) == 0x50, cases[k].ours, "case %zu", k);
        if (cases[k].ours) {
            lapic_accept(t.l);
            wr(&t, EOI, 0);
        }
    }
    box_free(t.b);
}

Test(lapic, ipis_and_errors)
{
    struct apic_test t;
    open_apic(&t);
    wr(&t, ICR, 0x40000 | 0x33); /* self */
    cr_assert_eq(lapic_accept(t.l), 0x33);
    wr(&t, EOI, 0);
    wr(&t, ICR, 0xc0000 | 0x33); /* all but self */
    cr_assert_eq(lapic_pending(t.l), -1);
    wr(&t, ICR_HIGH, 0);
    wr(&t, ICR, 0x34);
    cr_assert_eq(lapic_accept(t.l), 0x34);
    wr(&t, EOI, 0);
    wr(&t, ICR, 0x40400); /* NMI */
    cr_assert(t.b->cpu->pending & PEND_NMI);
    wr(&t, ERR, 0xfe);
    wr(&t, ICR, 0x40005); /* a vector below 16 */
    cr_assert_eq(rd(&t, ESR), 0);
    wr(&t, ESR, 0);
    cr_assert_eq(rd(&t, ESR), 0x20);
    cr_assert_eq(lapic_accept(t.l), 0xfe);
    wr(&t, ERR, 3); /* an error about the error vector must not recurse */
    wr(&t, ICR, 0x40005);
    wr(&t, SVR, 0xff);
    cr_assert_eq(rd(&t, TIMER) & 0x10000, 0x10000, "software-disabled: all masked");
    box_free(t.b);
}

Test(lapic, x2apic)
{
    struct apic_test t;
    u64 v;
    open_apic(&t);
    cr_assert(!lapic_read_msr(t.l, 0x802, &v), "not in xAPIC mode");
    lapic_set_base(t.l, 0xfee00d00);
    cr_assert(lapic_read_msr(t.l, 0x803, &v));
    cr_assert_eq(v & 0xff, 0x14);
    cr_assert(lapic_read_msr(t.l, 0x80d, &v));
    cr_assert_eq(v, 1);
    cr_assert(!lapic_read_msr(t.l, 0x80b, &v), "EOI is write-only");
    cr_assert(!lapic_read_msr(t.l, 0x80e, &v), "there is no DFR");
    cr_assert(!lapic_write_msr(t.l, 0x80b, 1), "EOI takes 0 only");
    cr_assert(!lapic_write_msr(t.l, 0x808, 0x100));
    cr_assert(!lapic_write_msr(t.l, 0x802, 0));
    cr_assert(!lapic_write_msr(t.l, 0x831, 0));
    cr_assert(lapic_write_msr(t.l, 0x83f, 0x77));
    cr_assert_eq(lapic_accept(t.l), 0x77);
    cr_assert(lapic_write_msr(t.l, 0x80b, 0));
    cr_assert(lapic_write_msr(t.l, 0x830, 0x78)); /* physical, ID 0 */
    cr_assert_eq(lapic_accept(t.l), 0x78);
    cr_assert(lapic_write_msr(t.l, 0x80b, 0));
    cr_assert(lapic_write_msr(t.l, 0x830, 1ull << 32 | 0x79));
    cr_assert_eq(lapic_pending(t.l), -1);
    cr_assert_eq(t.b->cpu->mmu.local_page, ~0ull, "no registers in memory");
    box_free(t.b);
}
