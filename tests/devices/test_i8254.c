/* tests/devices/test_i8254.c - the timer and port 0x61 against the data sheet's mode diagrams. */
#include "tests/devices/rig.h"
#include "devices/i8254.h"
#include "devices/port61.h"

struct pit_rig {
    struct rig r;
    struct device *pit, *p61;
};

static void start(struct pit_rig *p)
{
    rig_init(&p->r);
    p->pit = i8254_new(p->r.ports, 0x40, probe_irq(&p->r.irq), p->r.clk);
    p->p61 = port61_new(p->r.ports, p->pit, p->r.clk, NULL);
}

static void stop(struct pit_rig *p)
{
    rig_fini(&p->r);
    device_destroy(p->p61);
    device_destroy(p->pit);
}

/* Moves time to the middle of the tick `n` ticks on. */
static void ticks(struct pit_rig *p, u64 n)
{
    u64 t = muldiv64(clock_now(p->r.clk), I8254_HZ, NS_PER_SEC) + n;
    u64 ns = muldiv64(2 * t + 1, NS_PER_SEC, 2 * I8254_HZ);
    clock_advance(p->r.clk, ns - clock_now(p->r.clk));
}

static void program(struct pit_rig *p, int ch, u8 ctl, u16 count)
{
    out8(&p->r, 0x43, (u8)(ch << 6 | 0x30 | ctl));
    out8(&p->r, (u16)(0x40 + ch), (u8)count);
    out8(&p->r, (u16)(0x40 + ch), (u8)(count >> 8));
}

static u16 count(struct pit_rig *p, int ch)
{
    out8(&p->r, 0x43, (u8)(ch << 6));
    u8 lo = in8(&p->r, (u16)(0x40 + ch));
    return (u16)(lo | in8(&p->r, (u16)(0x40 + ch)) << 8);
}

/* Output and count of counter 2 on successive ticks: '1'/'0' a tick, from the tick of the load. */
static const struct wave {
    u8 ctl;
    u16 n;
    const char *out;
    u16 counts[12];
} waves[] = {
    {0x00, 4, "000011111111", {4, 3, 2, 1, 0, 0xffff, 0xfffe}},
    {0x04, 3, "110110110110", {3, 2, 1, 3, 2, 1, 3}},
    {0x0c, 3, "110110110110", {3, 2, 1, 3, 2, 1, 3}}, /* mode 6 is mode 2 */
    {0x06, 4, "110011001100", {4, 2, 4, 2, 4, 2, 4}},
    {0x06, 5, "111001110011", {4, 2, 0, 4, 2, 4, 2}},
    {0x08, 3, "111011111111", {3, 2, 1, 0, 0xffff, 0xfffe}},
    {0x01, 0x10, "000000000011", {0x10, 9, 8, 7, 6, 5, 4}},
};

Test(i8254, waves)
{
    for (size_t i = 0; i < ARRAY_LEN(waves); i++) {
        const struct wave *w = &waves[i];
        struct pit_rig p;
        start(&p);
        out8(&p.r, 0x61, 1);
        ticks(&p, 5);
        program(&p, 2, w->ctl, w->n);
        for (int t = 0; t < 12; t++) {
            ticks(&p, 1);
            cr_expect_eq(i8254_out(p.pit, 2), w->out[t] == '1', "wave %zu tick %d", i, t);
            if (t < 7 && (w->counts[t] || t == 0 || w->counts[t - 1] < 3))
                cr_expect_eq(count(&p, 2), w->counts[t], "wave %zu tick %d: %x", i, t,
                             count(&p, 2));
        }
        stop(&p);
    }
}

/* Mode 1: a pulse of n ticks after a rising gate, extended by a second one. Mode 5: a strobe. */
Test(i8254, triggered_modes)
{
    struct pit_rig p;
    start(&p);
    program(&p, 2, 0x02, 4);
    ticks(&p, 10);
    cr_expect(i8254_out(p.pit, 2));
    i8254_set_gate(p.pit, 2, true);
    ticks(&p, 3);
    cr_expect_not(i8254_out(p.pit, 2));
    i8254_set_gate(p.pit, 2, false);
    i8254_set_gate(p.pit, 2, true); /* 2 of 4 ticks done; starts again */
    ticks(&p, 4);
    cr_expect_not(i8254_out(p.pit, 2));
    ticks(&p, 1);
    cr_expect(i8254_out(p.pit, 2));

    i8254_set_gate(p.pit, 2, false);
    program(&p, 2, 0x0a, 3);
    i8254_set_gate(p.pit, 2, true);
    ticks(&p, 3);
    cr_expect(i8254_out(p.pit, 2));
    ticks(&p, 1);
    cr_expect_not(i8254_out(p.pit, 2));
    ticks(&p, 1);
    cr_expect(i8254_out(p.pit, 2));
    stop(&p);
}

Test(i8254, gate_pauses_and_restarts)
{
    struct pit_rig p;
    start(&p);
    out8(&p.r, 0x61, 1);
    program(&p, 2, 0x00, 100);
    ticks(&p, 11);
    cr_expect_eq(count(&p, 2), 90);
    out8(&p.r, 0x61, 0);
    ticks(&p, 1000);
    cr_expect_eq(count(&p, 2), 90);
    cr_expect_eq(in8(&p.r, 0x61) & 0x20, 0);
    out8(&p.r, 0x61, 1);
    ticks(&p, 90);
    cr_expect_eq(in8(&p.r, 0x61) & 0x20, 0x20);

    program(&p, 2, 0x06, 10); /* square wave: low gate makes OUT high, rising reloads */
    ticks(&p, 8);
    cr_expect_not(i8254_out(p.pit, 2));
    out8(&p.r, 0x61, 0);
    cr_expect(i8254_out(p.pit, 2));
    cr_expect_eq(i8254_period(p.pit, 2), 0);
    out8(&p.r, 0x61, 3);
    ticks(&p, 1);
    cr_expect_eq(count(&p, 2), 10);
    cr_expect_eq(port61_tone(p.p61), 10);
    stop(&p);
}

Test(i8254, latch_holds_until_read)
{
    struct pit_rig p;
    start(&p);
    program(&p, 0, 0x04, 0); /* 0 is 65536 */
    ticks(&p, 0x101);
    out8(&p.r, 0x43, 0x00);
    ticks(&p, 50);
    out8(&p.r, 0x43, 0x00); /* ignored */
    cr_expect_eq(in8(&p.r, 0x40), 0x00);
    cr_expect_eq(in8(&p.r, 0x40), 0xff);
    cr_expect_eq(count(&p, 0), 0xff00 - 50);
    stop(&p);
}

Test(i8254, read_back)
{
    struct pit_rig p;
    start(&p);
    out8(&p.r, 0x61, 1);
    out8(&p.r, 0x43, 0xb6); /* counter 2, both bytes, mode 3 */
    out8(&p.r, 0x43, 0xe8); /* status of 2 */
    cr_expect_eq(in8(&p.r, 0x42), 0xf6, "OUT high, null count");
    out8(&p.r, 0x42, 8);
    out8(&p.r, 0x42, 0);
    ticks(&p, 6);
    out8(&p.r, 0x43, 0xc8); /* status and count of 2 */
    ticks(&p, 1);
    cr_expect_eq(in8(&p.r, 0x42), 0x36, "OUT low");
    cr_expect_eq(in8(&p.r, 0x42), 6);
    cr_expect_eq(in8(&p.r, 0x42), 0);
    stop(&p);
}

Test(i8254, new_count_waits_for_cycle_end)
{
    struct pit_rig p;
    start(&p);
    program(&p, 0, 0x04, 1000);
    ticks(&p, 501);
    out8(&p.r, 0x40, 100);
    out8(&p.r, 0x40, 0);
    cr_expect_eq(count(&p, 0), 500);
    ticks(&p, 501);
    cr_expect_eq(count(&p, 0), 99);
    cr_expect_eq(p.r.irq.rises, 2); /* OUT high at the mode word, and the end of the cycle */
    ticks(&p, 100);
    cr_expect_eq(p.r.irq.rises, 3);
    stop(&p);
}

/* Exactly HZ edges a second over a minute: 1193182 / 1193 ticks a period. */
Test(i8254, edges_are_exact)
{
    static const struct {
        u8 ctl;
        u16 n;
    } cases[] = {{0x04, 1193}, {0x06, 11932}, {0x06, 0}, {0x04, 4773}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct pit_rig p;
        start(&p);
        program(&p, 0, cases[i].ctl, cases[i].n);
        u32 before = p.r.irq.rises;
        u64 t0 = muldiv64(clock_now(p.r.clk), I8254_HZ, NS_PER_SEC) + 1;
        clock_advance(p.r.clk, 60 * NS_PER_SEC);
        u64 t1 = muldiv64(clock_now(p.r.clk), I8254_HZ, NS_PER_SEC);
        u32 n = cases[i].n ? cases[i].n : 65536;
        cr_expect_eq(p.r.irq.rises - before, (t1 - t0) / n, "case %zu", i);
        stop(&p);
    }
}

/* One-shot kernels' clock event: mode 4, and mode 0; one edge each. */
Test(i8254, one_shots)
{
    struct pit_rig p;
    start(&p);
    static const u8 modes[] = {0x00, 0x08};
    for (int i = 0; i < 2; i++) {
        program(&p, 0, modes[i], 2000);
        u32 before = p.r.irq.rises;
        ticks(&p, 2000);
        cr_expect_eq(p.r.irq.rises, before);
        ticks(&p, 2);
        cr_expect_eq(p.r.irq.rises, before + 1);
        clock_advance(p.r.clk, NS_PER_SEC);
        cr_expect_eq(p.r.irq.rises, before + 1);
    }
    stop(&p);
}

/* A late host: the timer's callback does not run for 50 ms of a 1 kHz tick. */
static u64 late_now(void *ctx)
{
    return *(u64 *)ctx;
}

Test(i8254, late_edges_are_caught_up)
{
    struct pit_rig p;
    rig_init(&p.r);
    clock_free(p.r.clk);
    u64 now = 0;
    p.r.clk = clock_new(CLOCK_ICOUNT, 0);
    clock_set_source(p.r.clk, late_now, &now);
    p.pit = i8254_new(p.r.ports, 0x40, probe_irq(&p.r.irq), p.r.clk);
    p.p61 = port61_new(p.r.ports, p.pit, p.r.clk, NULL);
    program(&p, 0, 0x04, 1193);
    u32 before = p.r.irq.rises;
    now = 50000000;
    clock_run(p.r.clk);
    cr_expect_eq(p.r.irq.rises - before, 1, "no storm");
    u64 until = now + 25000000; /* 50 owed at four times the rate: done within 17 ms */
    u64 least = CLOCK_NEVER;
    while (now < until && clock_next(p.r.clk) <= until) {
        u64 next = clock_next(p.r.clk);
        least = MIN(least, next - now);
        now = MAX(next, now);
        clock_run(p.r.clk);
    }
    now = until;
    clock_run(p.r.clk);
    cr_expect_eq(p.r.irq.rises - before, 75, "%u", p.r.irq.rises - before);
    cr_expect_geq(least, 200000, "closest edges %lu ns", (unsigned long)least);
    /* Ten seconds lost: no more than about one second of ticks is owed. */
    before = p.r.irq.rises;
    now += 10 * NS_PER_SEC;
    until = now + 2 * NS_PER_SEC;
    while (now < until) {
        clock_run(p.r.clk);
        now = MAX(now + 1, MIN(until, clock_next(p.r.clk)));
    }
    cr_expect(p.r.irq.rises - before > 2900 && p.r.irq.rises - before < 3100);
    stop(&p);
}

Test(i8254, refresh_toggles)
{
    struct pit_rig p;
    start(&p);
    int changes = 0;
    u8 was = in8(&p.r, 0x61) & 0x10;
    for (int i = 0; i < 1000; i++) {
        clock_advance(p.r.clk, 1000);
        u8 is = in8(&p.r, 0x61) & 0x10;
        changes += is != was;
        was = is;
    }
    cr_expect(changes == 66 || changes == 67, "1 ms holds 66 periods of 15 us: %d", changes);
    stop(&p);
}

Test(i8254, state_moves)
{
    struct pit_rig p, q;
    start(&p);
    start(&q);
    program(&p, 0, 0x04, 1193);
    clock_advance(p.r.clk, 12345678);
    clock_advance(q.r.clk, 12345678);
    cr_expect(clone_state(p.pit, q.pit));
    cr_expect(clone_state(p.p61, q.p61));
    cr_expect_eq(count(&p, 0), count(&q, 0));
    u32 a = p.r.irq.rises, b = q.r.irq.rises;
    clock_advance(p.r.clk, NS_PER_SEC);
    clock_advance(q.r.clk, NS_PER_SEC);
    cr_expect_eq(p.r.irq.rises - a, q.r.irq.rises - b);
    cr_expect_geq(p.r.irq.rises - a, 1000);
    stop(&p);
    stop(&q);
}

Test(i8254, hostile)
{
    struct pit_rig p;
    start(&p);
    for (u32 i = 0; i < 100; i++) {
        if (poison_state(p.pit, i))
            hammer(&p.r, 0x40, 4, i, 50);
        device_reset(p.pit);
        hammer(&p.r, 0x40, 4, i, 100);
        hammer(&p.r, 0x61, 1, i, 10);
    }
    stop(&p);
}
