/* tests/bus/test_clock.c - virtual time and timers, without waiting for real time. */
#include <criterion/criterion.h>

#include "bus/clock.h"
#include "base/types.h"

#include <stdio.h>
#include <string.h>

struct rig {
    struct clock *clk;
    char log[512];
};

struct bell {
    struct timer t;
    struct rig *rig;
    char name;
    u64 period; /* re-arms in its callback */
    int left;
    struct bell *other; /* disarms or arms that one */
    u64 arm_other;
    void (*then)(struct bell *b);
};

static void ring(void *ctx)
{
    struct bell *b = ctx;
    size_t n = strlen(b->rig->log);
    snprintf(b->rig->log + n, sizeof(b->rig->log) - n, "%s%c%llu", n ? " " : "", b->name,
             (unsigned long long)clock_now(b->rig->clk));
    cr_expect(!timer_armed(&b->t), "a timer that fires is not armed");
    if (b->period && b->left-- > 0)
        timer_arm(&b->t, clock_now(b->rig->clk) + b->period);
    if (b->other) {
        if (b->arm_other)
            timer_arm(&b->other->t, b->arm_other);
        else
            timer_disarm(&b->other->t);
    }
}

static struct bell *bell(struct rig *r, struct bell *b, char name)
{
    *b = (struct bell){.rig = r, .name = name};
    timer_init(&b->t, r->clk, ring, b);
    return b;
}

static struct rig rig(void)
{
    return (struct rig){.clk = clock_new(CLOCK_FAKE, 1000000)};
}

Test(clock, fires_in_order_at_its_time)
{
    struct rig r = rig();
    struct bell a, b, c;
    timer_arm(&bell(&r, &a, 'a')->t, 300);
    timer_arm(&bell(&r, &b, 'b')->t, 100);
    timer_arm(&bell(&r, &c, 'c')->t, 200);
    cr_expect_eq(clock_next(r.clk), 100);
    clock_advance(r.clk, 99);
    cr_expect_str_eq(r.log, "");
    clock_advance(r.clk, 1);
    cr_expect_str_eq(r.log, "b100");
    clock_advance(r.clk, 1000);
    cr_expect_str_eq(r.log, "b100 c200 a300");
    cr_expect_eq(clock_now(r.clk), 1100);
    cr_expect_eq(clock_wall(r.clk), 1001100);
    cr_expect_eq(clock_next(r.clk), CLOCK_NEVER);
    clock_free(r.clk);
}

Test(clock, equal_deadlines_in_arming_order)
{
    struct rig r = rig();
    struct bell b[9];
    for (int k = 0; k < 9; k++)
        timer_arm(&bell(&r, &b[k], (char)('a' + k))->t, 50);
    timer_arm(&b[3].t, 50); /* armed again: now the last */
    timer_disarm(&b[5].t);
    clock_advance(r.clk, 50);
    cr_expect_str_eq(r.log, "a50 b50 c50 e50 g50 h50 i50 d50");
    clock_free(r.clk);
}

Test(clock, moved_and_disarmed)
{
    struct rig r = rig();
    struct bell a, b;
    bell(&r, &a, 'a');
    bell(&r, &b, 'b');
    timer_disarm(&a.t); /* not armed: nothing */
    timer_arm(&a.t, 100);
    timer_arm(&b.t, 150);
    timer_arm(&a.t, 200); /* later */
    clock_advance(r.clk, 160);
    cr_expect_str_eq(r.log, "b150");
    timer_arm(&a.t, 170); /* sooner */
    cr_expect_eq(clock_next(r.clk), 170);
    timer_arm(&a.t, CLOCK_NEVER);
    cr_expect(!timer_armed(&a.t));
    clock_advance(r.clk, 1000);
    cr_expect_str_eq(r.log, "b150");
    clock_free(r.clk);
}

Test(clock, callbacks_arm_and_disarm)
{
    struct rig r = rig();
    struct bell a, b, c;
    bell(&r, &a, 'a')->period = 10;
    a.left = 3;
    timer_arm(&a.t, 10);
    timer_arm(&bell(&r, &b, 'b')->t, 20);
    timer_arm(&bell(&r, &c, 'c')->t, 25);
    b.other = &c; /* disarms c before it is due */
    clock_advance(r.clk, 100);
    /* at 20 b was armed before a's second time */
    cr_expect_str_eq(r.log, "a10 b20 a20 a30 a40");
    r.log[0] = 0;
    b.arm_other = 100; /* in the past: fires in the same advance */
    timer_arm(&b.t, 105);
    clock_advance(r.clk, 10);
    cr_expect_str_eq(r.log, "b105 c105");
    clock_free(r.clk);
}

static u64 counter(void *ctx)
{
    return *(u64 *)ctx;
}

static void kicked(void *ctx)
{
    ++*(int *)ctx;
}

Test(clock, icount_and_kick)
{
    u64 now = 0;
    int kicks = 0;
    struct rig r = {.clk = clock_new(CLOCK_ICOUNT, 5)};
    struct bell a, b;
    clock_set_source(r.clk, counter, &now);
    clock_set_kick(r.clk, kicked, &kicks);
    timer_arm(&bell(&r, &a, 'a')->t, 100);
    cr_expect_eq(kicks, 1);
    timer_arm(&bell(&r, &b, 'b')->t, 200); /* later than the nearest: nobody must look up */
    cr_expect_eq(kicks, 1);
    timer_arm(&b.t, 50);
    cr_expect_eq(kicks, 2);
    now = 60;
    clock_run(r.clk);
    cr_expect_str_eq(r.log, "b60");
    clock_warp(r.clk, 100); /* idle until the next */
    cr_expect_eq(clock_now(r.clk), 100);
    clock_warp(r.clk, 90); /* never back */
    cr_expect_eq(clock_now(r.clk), 100);
    clock_run(r.clk);
    cr_expect_str_eq(r.log, "b60 a100");
    now = 70;
    cr_expect_eq(clock_now(r.clk), 110);
    cr_expect_eq(clock_wall(r.clk), 115);
    clock_free(r.clk);
}

Test(clock, rearming_in_the_past_ends)
{
    u64 now = 1000;
    struct rig r = {.clk = clock_new(CLOCK_ICOUNT, 0)};
    struct bell a, b;
    clock_set_source(r.clk, counter, &now);
    bell(&r, &a, 'a')->other = &a; /* arms itself for a time gone by, for ever */
    a.arm_other = 500;
    timer_arm(&a.t, 400);
    timer_arm(&bell(&r, &b, 'b')->t, 450);
    clock_run(r.clk);
    cr_expect_str_eq(r.log, "a1000 b1000");
    clock_run(r.clk);
    cr_expect_str_eq(r.log, "a1000 b1000 a1000");
    clock_free(r.clk);
    cr_expect(!timer_armed(&a.t), "a clock that goes takes its timers along");
    timer_disarm(&a.t);
}

Test(clock, real_time_pauses)
{
    struct clock *c = clock_new(CLOCK_REAL, 7);
    u64 a = clock_now(c), b = clock_now(c);
    cr_expect(b >= a && b < 60 * NS_PER_SEC);
    clock_pause(c);
    a = clock_now(c);
    clock_pause(c); /* does not nest */
    for (volatile int k = 0; k < 100000; k++)
        ;
    cr_expect_eq(clock_now(c), a);
    cr_expect_eq(clock_wall(c), a + 7);
    clock_resume(c);
    clock_resume(c);
    cr_expect(clock_now(c) >= a);
    clock_free(c);
    clock_free(NULL);
}

/* Many timers, random deadlines and changes: what fires is sorted and complete. */
struct load {
    struct clock *clk;
    u64 last;
    int fired;
    bool sorted;
};
struct shot {
    struct timer t;
    struct load *l;
    u64 due;
};

static void shoot(void *ctx)
{
    struct shot *s = ctx;
    u64 now = clock_now(s->l->clk);
    s->l->sorted &= now >= s->l->last && now == s->due;
    s->l->last = now;
    s->l->fired++;
}

Test(clock, heap)
{
    enum { N = 500 };
    struct load l = {.clk = clock_new(CLOCK_FAKE, 0), .sorted = true};
    static struct shot s[N];
    u32 seed = 99;
    int armed = 0;
    for (int k = 0; k < N; k++) {
        s[k].l = &l;
        timer_init(&s[k].t, l.clk, shoot, &s[k]);
    }
    for (int k = 0; k < 5000; k++) {
        struct shot *p = &s[(seed = seed * 1664525 + 1013904223) >> 8 & 255];
        if (seed & 0x40000000) {
            timer_disarm(&p->t);
        } else {
            p->due = 1 + (seed >> 4) % 100000;
            timer_arm(&p->t, p->due);
        }
    }
    for (int k = 0; k < N; k++)
        armed += timer_armed(&s[k].t);
    clock_advance(l.clk, 200000);
    cr_expect(l.sorted && armed > 50);
    cr_expect_eq(l.fired, armed);
    clock_free(l.clk);
}

Test(clock, muldiv)
{
    cr_expect_eq(muldiv64(UINT64_MAX, 1193182, NS_PER_SEC), 22010322987356910ull);
    cr_expect_eq(muldiv64(3, 5, 7), 2);
    cr_expect_eq(muldiv64(UINT64_MAX, UINT64_MAX, UINT64_MAX), UINT64_MAX);
}
