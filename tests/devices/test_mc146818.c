/* tests/devices/test_mc146818.c - the real-time clock as kernels and firmware use it. */
#include "tests/devices/rig.h"
#include "devices/mc146818.h"

#define MS 1000000ull

struct rtc_rig {
    struct rig r;
    struct device *d;
};

static void start(struct rtc_rig *p)
{
    rig_init(&p->r);
    p->d = mc146818_new(p->r.ports, probe_irq(&p->r.irq), p->r.clk);
}

static void stop(struct rtc_rig *p)
{
    rig_fini(&p->r);
    device_destroy(p->d);
}

static u8 rd(struct rtc_rig *p, u8 idx)
{
    out8(&p->r, 0x70, idx);
    return in8(&p->r, 0x71);
}

static void wr(struct rtc_rig *p, u8 idx, u8 val)
{
    out8(&p->r, 0x70, idx);
    out8(&p->r, 0x71, val);
}

/* Sets registers the way a kernel does: SET, values, SET off. Order: s m h wday d mon y century. */
static const u8 order[8] = {0, 2, 4, 6, 7, 8, 9, 0x32};

static void set_time(struct rtc_rig *p, const u8 v[8])
{
    u8 b = rd(p, 11);
    wr(p, 11, b | 0x80);
    for (int i = 0; i < 8; i++)
        wr(p, order[i], v[i]);
    wr(p, 11, b);
}

static void expect_time(struct rtc_rig *p, const u8 v[8], const char *what)
{
    for (int i = 0; i < 8; i++)
        cr_expect_eq(rd(p, order[i]), v[i], "%s: register %02x is %02x, not %02x", what, order[i],
                     rd(p, order[i]), v[i]);
}

Test(mc146818, epoch_and_formats)
{
    struct rtc_rig p;
    start(&p);
    clock_advance(p.r.clk, (13 * 3600 + 47 * 60 + 59) * NS_PER_SEC);
    expect_time(&p, (const u8[]){0x59, 0x47, 0x13, 5, 1, 1, 0x70, 0x19}, "BCD, 24 h");
    wr(&p, 11, 0x06);
    expect_time(&p, (const u8[]){59, 47, 13, 5, 1, 1, 70, 19}, "binary, 24 h");
    wr(&p, 11, 0x04);
    expect_time(&p, (const u8[]){59, 47, 0x81, 5, 1, 1, 70, 19}, "binary, 12 h");
    wr(&p, 11, 0x00);
    expect_time(&p, (const u8[]){0x59, 0x47, 0x81, 5, 1, 1, 0x70, 0x19}, "BCD, 12 h");
    stop(&p);
}

/* A second before each carry, and after it. */
Test(mc146818, carries)
{
    static const struct {
        u8 from[8], to[8];
    } t[] = {
        {{0x59, 0x59, 0x23, 7, 0x31, 0x12, 0x99, 0x19}, {0, 0, 0, 1, 1, 1, 0x00, 0x20}},
        {{0x59, 0x59, 0x23, 2, 0x28, 0x02, 0x24, 0x20}, {0, 0, 0, 3, 0x29, 2, 0x24, 0x20}},
        {{0x59, 0x59, 0x23, 3, 0x28, 0x02, 0x23, 0x20}, {0, 0, 0, 4, 1, 3, 0x23, 0x20}},
        {{0x59, 0x59, 0x23, 3, 0x28, 0x02, 0x00, 0x20}, {0, 0, 0, 4, 0x29, 2, 0x00, 0x20}},
        {{0x09, 0x59, 0x09, 3, 0x30, 0x04, 0x26, 0x20}, {0x10, 0x59, 0x09, 3, 0x30, 4, 0x26, 0x20}},
    };
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        struct rtc_rig p;
        start(&p);
        set_time(&p, t[i].from);
        expect_time(&p, t[i].from, "as set");
        clock_advance(p.r.clk, NS_PER_SEC);
        expect_time(&p, t[i].to, "a second later");
        stop(&p);
    }
}

Test(mc146818, midnight_in_12_hours)
{
    struct rtc_rig p;
    start(&p);
    wr(&p, 11, 0);
    set_time(&p, (const u8[]){0x59, 0x59, 0x12, 1, 1, 1, 0x25, 0x20}); /* 12:59:59 am */
    clock_advance(p.r.clk, NS_PER_SEC);
    cr_expect_eq(rd(&p, 4), 0x01);
    wr(&p, 11, 2);
    cr_expect_eq(rd(&p, 4), 0x01);
    wr(&p, 11, 0);
    set_time(&p, (const u8[]){0x59, 0x59, 0x92, 1, 1, 1, 0x25, 0x20}); /* 12:59:59 pm */
    clock_advance(p.r.clk, NS_PER_SEC);
    cr_expect_eq(rd(&p, 4), 0x81);
    stop(&p);
}

Test(mc146818, set_holds_the_clock)
{
    struct rtc_rig p;
    start(&p);
    wr(&p, 11, 0x92); /* SET with UIE: SET clears UIE */
    cr_expect_eq(rd(&p, 11), 0x82);
    clock_advance(p.r.clk, 10 * NS_PER_SEC);
    cr_expect_eq(rd(&p, 0), 0);
    cr_expect_eq(rd(&p, 10) & 0x80, 0);
    wr(&p, 0, 0x30);
    cr_expect_eq(rd(&p, 0), 0x30);
    wr(&p, 11, 0x02);
    clock_advance(p.r.clk, 2 * NS_PER_SEC);
    cr_expect_eq(rd(&p, 0), 0x32);
    stop(&p);
}

/* The sequence kernels use: SET, divider reset, write, SET off, divider on: the first update comes
 * half a second later. */
Test(mc146818, divider_reset)
{
    struct rtc_rig p;
    start(&p);
    clock_advance(p.r.clk, 300 * MS);
    wr(&p, 11, 0x82);
    wr(&p, 10, 0x76);
    wr(&p, 0, 0x30);
    wr(&p, 11, 0x02);
    clock_advance(p.r.clk, 7 * NS_PER_SEC);
    cr_expect_eq(rd(&p, 0), 0x30, "no divider, no time");
    wr(&p, 10, 0x26);
    clock_advance(p.r.clk, 499 * MS);
    cr_expect_eq(rd(&p, 0), 0x30);
    clock_advance(p.r.clk, 2 * MS);
    cr_expect_eq(rd(&p, 0), 0x31);
    stop(&p);
}

Test(mc146818, uip_before_each_update)
{
    struct rtc_rig p;
    start(&p);
    clock_advance(p.r.clk, 997700 * 1000ull);
    cr_expect_eq(rd(&p, 10), 0x26);
    clock_advance(p.r.clk, 100 * 1000);
    cr_expect_eq(rd(&p, 10), 0xa6);
    cr_expect_eq(rd(&p, 0), 0);
    clock_advance(p.r.clk, 2200 * 1000);
    cr_expect_eq(rd(&p, 10), 0x26);
    cr_expect_eq(rd(&p, 0), 1);
    stop(&p);
}

Test(mc146818, update_interrupt)
{
    struct rtc_rig p;
    start(&p);
    clock_advance(p.r.clk, 500 * MS);
    cr_expect_eq(rd(&p, 12), 0x40, "half a second of 1024 Hz sets PF, enabled or not");
    wr(&p, 11, 0x12);
    clock_advance(p.r.clk, 499 * MS);
    cr_expect_not(p.r.irq.level);
    clock_advance(p.r.clk, 1 * MS);
    cr_expect(p.r.irq.level);
    clock_advance(p.r.clk, 5 * NS_PER_SEC);
    cr_expect_eq(p.r.irq.rises, 1, "merged until C is read");
    cr_expect_eq(rd(&p, 12) & 0xb0, 0x90);
    cr_expect_not(p.r.irq.level);
    cr_expect_eq(rd(&p, 12), 0);
    clock_advance(p.r.clk, NS_PER_SEC);
    cr_expect_eq(p.r.irq.rises, 2);
    stop(&p);
}

/* Every rate: count the interrupts of a second, serving each. */
static void serve(void *ctx, int n, bool level)
{
    (*(u32 *)ctx)++;
}

Test(mc146818, periodic_rates)
{
    static const u32 hz[16] = {0,   256, 128, 8192, 4096, 2048, 1024, 512,
                               256, 128, 64,  32,   16,   8,    4,    2};
    for (u8 rs = 0; rs < 16; rs++) {
        struct rig r;
        u32 n = 0, served = 0;
        rig_init(&r);
        struct device *d = mc146818_new(r.ports, (struct irq){serve, &n, 0}, r.clk);
        out8(&r, 0x70, 10);
        out8(&r, 0x71, 0x20 | rs);
        out8(&r, 0x70, 11);
        out8(&r, 0x71, 0x42);
        out8(&r, 0x70, 12);
        for (u64 end = NS_PER_SEC; clock_now(r.clk) < end;) {
            u64 next = MIN(clock_next(r.clk), end);
            clock_advance(r.clk, next - clock_now(r.clk));
            served += in8(&r, 0x71) >> 7;
        }
        cr_expect_eq(served, hz[rs], "rate %d: %u", rs, served);
        rig_fini(&r);
        device_destroy(d);
    }
}

Test(mc146818, alarms)
{
    static const struct {
        u8 s, m, h;
        u64 at; /* seconds after 10:20:30; 0 never within a day */
    } t[] = {
        {0x31, 0x20, 0x10, 1}, {0x30, 0x20, 0x10, 86400}, {0x00, 0xff, 0xff, 30},
        {0xc0, 0xc0, 0xc0, 1}, {0x00, 0x00, 0x00, 49170}, {0x00, 0x20, 0xff, 3570},
        {0x7f, 0xff, 0xff, 0}, {0xff, 0x21, 0xff, 30},    {0x29, 0x20, 0x10, 86399},
    };
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        struct rtc_rig p;
        start(&p);
        set_time(&p, (const u8[]){0x30, 0x20, 0x10, 1, 1, 1, 0x25, 0x20});
        wr(&p, 1, t[i].s);
        wr(&p, 3, t[i].m);
        wr(&p, 5, t[i].h);
        wr(&p, 11, 0x22);
        if (t[i].at) {
            clock_advance(p.r.clk, t[i].at * NS_PER_SEC - MS);
            cr_expect_not(p.r.irq.level, "alarm %zu early", i);
            clock_advance(p.r.clk, MS);
            cr_expect(p.r.irq.level, "alarm %zu", i);
            cr_expect_eq(rd(&p, 12) & 0xa0, 0xa0);
        } else {
            clock_advance(p.r.clk, 90000 * NS_PER_SEC);
            cr_expect_not(p.r.irq.level, "alarm %zu", i);
        }
        stop(&p);
    }
}

Test(mc146818, cmos_and_nmi)
{
    struct rtc_rig p;
    start(&p);
    cr_expect_eq(rd(&p, 13), 0x80, "battery good");
    mc146818_set(p.d, 0x15, 0x80);
    mc146818_set(p.d, 0x32, 0x99); /* the clock's */
    mc146818_set(p.d, 300, 1);
    cr_expect_eq(rd(&p, 0x15), 0x80);
    cr_expect_eq(rd(&p, 0x32), 0x19);
    wr(&p, 0x7f, 0x5a);
    cr_expect_eq(mc146818_get(p.d, 0x7f), 0x5a);
    cr_expect_not(mc146818_nmi_masked(p.d));
    out8(&p.r, 0x70, 0x8f);
    cr_expect(mc146818_nmi_masked(p.d));
    cr_expect_eq(in8(&p.r, 0x70), 0x8f);
    wr(&p, 11, 0x72);
    device_reset(p.d);
    cr_expect_eq(rd(&p, 11), 0x02);
    cr_expect_eq(rd(&p, 0x7f), 0x5a);
    stop(&p);
}

Test(mc146818, state_moves)
{
    struct rtc_rig p, q;
    start(&p);
    start(&q);
    set_time(&p, (const u8[]){0x30, 0x20, 0x10, 6, 1, 1, 0x25, 0x20});
    wr(&p, 11, 0x12);
    cr_expect(clone_state(p.d, q.d));
    clock_advance(q.r.clk, NS_PER_SEC);
    cr_expect(q.r.irq.level);
    cr_expect_eq(rd(&q, 0), 0x31);
    cr_expect_eq(rd(&q, 6), 6);
    stop(&p);
    stop(&q);
}

Test(mc146818, hostile)
{
    struct rtc_rig p;
    start(&p);
    for (u32 i = 0; i < 200; i++) {
        if (poison_state(p.d, i)) {
            hammer(&p.r, 0x70, 2, i, 200);
        } else {
            stop(&p);
            start(&p);
        }
    }
    hammer(&p.r, 0x70, 2, 7, 5000);
    stop(&p);
}
