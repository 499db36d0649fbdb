/*
 * bus/clock.c - virtual time and its timers (a binary heap by deadline).
 */
#include "bus/clock.h"
#include "base/log.h"

#include <stdlib.h>
#include <time.h>

struct clock {
    enum clock_mode mode;
    u64 wall_epoch;
    u64 base;      /* REAL: host ns that stands for virtual 0 */
    u64 fake;      /* FAKE: now */
    u64 warp;      /* ICOUNT: added to the source */
    u64 paused_at; /* host ns, while paused */
    bool paused;
    u64 (*source)(void *);
    void *source_ctx;
    void (*kick)(void *);
    void *kick_ctx;
    struct timer **heap;
    u32 n, cap;
    u64 seq;
    bool running; /* inside clock_run: no kick needed */
};

static u64 host_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (u64)ts.tv_sec * NS_PER_SEC + (u64)ts.tv_nsec;
}

struct clock *clock_new(enum clock_mode mode, u64 wall_epoch_ns)
{
    struct clock *c = calloc(1, sizeof(*c));
    CHECK(c);
    c->mode = mode;
    c->wall_epoch = wall_epoch_ns;
    c->base = host_ns();
    return c;
}

void clock_free(struct clock *c)
{
    if (!c)
        return;
    for (u32 k = 0; k < c->n; k++)
        c->heap[k]->when = CLOCK_NEVER;
    free(c->heap);
    free(c);
}

void clock_set_source(struct clock *c, u64 (*fn)(void *), void *ctx)
{
    c->source = fn;
    c->source_ctx = ctx;
}

void clock_set_kick(struct clock *c, void (*fn)(void *), void *ctx)
{
    c->kick = fn;
    c->kick_ctx = ctx;
}

u64 clock_now(struct clock *c)
{
    switch (c->mode) {
    case CLOCK_REAL:
        return (c->paused ? c->paused_at : host_ns()) - c->base;
    case CLOCK_ICOUNT:
        return (c->source ? c->source(c->source_ctx) : 0) + c->warp;
    default:
        return c->fake;
    }
}

u64 clock_wall(struct clock *c)
{
    return c->wall_epoch + clock_now(c);
}

u64 clock_wall_epoch(const struct clock *c)
{
    return c->wall_epoch;
}

void clock_pause(struct clock *c)
{
    if (!c->paused) {
        c->paused = true;
        c->paused_at = host_ns();
    }
}

void clock_resume(struct clock *c)
{
    if (c->paused) {
        c->paused = false;
        c->base += host_ns() - c->paused_at;
    }
}

/* ---- the heap ------------------------------------------------------------------------------ */
static bool sooner(const struct timer *a, const struct timer *b)
{
    return a->when != b->when ? a->when < b->when : a->seq < b->seq;
}

static void put(struct clock *c, u32 at, struct timer *t)
{
    c->heap[at] = t;
    t->heap_index = at;
}

static void up(struct clock *c, u32 at)
{
    struct timer *t = c->heap[at];
    while (at && sooner(t, c->heap[(at - 1) / 2])) {
        put(c, at, c->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    put(c, at, t);
}

static void down(struct clock *c, u32 at)
{
    struct timer *t = c->heap[at];
    for (;;) {
        u32 kid = 2 * at + 1;
        if (kid >= c->n)
            break;
        if (kid + 1 < c->n && sooner(c->heap[kid + 1], c->heap[kid]))
            kid++;
        if (!sooner(c->heap[kid], t))
            break;
        put(c, at, c->heap[kid]);
        at = kid;
    }
    put(c, at, t);
}

void timer_init(struct timer *t, struct clock *clk, timer_fn *fn, void *ctx)
{
    *t = (struct timer){.clk = clk, .fn = fn, .ctx = ctx, .when = CLOCK_NEVER};
}

void timer_disarm(struct timer *t)
{
    if (!timer_armed(t))
        return;
    struct clock *c = t->clk;
    u32 at = t->heap_index;
    t->when = CLOCK_NEVER;
    struct timer *last = c->heap[--c->n];
    if (last != t) {
        put(c, at, last);
        up(c, at);
        down(c, last->heap_index);
    }
}

void timer_arm(struct timer *t, u64 when_ns)
{
    struct clock *c = t->clk;
    u64 before = clock_next(c);

    timer_disarm(t);
    if (when_ns == CLOCK_NEVER)
        return;
    if (c->n == c->cap) {
        u32 cap = c->cap ? c->cap * 2 : 16;
        struct timer **heap = realloc(c->heap, cap * sizeof(*heap));
        CHECK(heap);
        c->heap = heap;
        c->cap = cap;
    }
    t->when = when_ns;
    t->seq = ++c->seq;
    put(c, c->n++, t);
    up(c, c->n - 1);
    if (when_ns < before && c->kick && !c->running)
        c->kick(c->kick_ctx);
}

u64 clock_next(struct clock *c)
{
    return c->n ? c->heap[0]->when : CLOCK_NEVER;
}

/* Fires what is due at `now` and was armed before the call, so that a callback which re-arms in the
 * past cannot keep us here. */
static void fire(struct clock *c, u64 now)
{
    u64 armed_before = c->seq;
    while (c->n && c->heap[0]->when <= now) {
        struct timer *t = c->heap[0];
        if (t->seq > armed_before) {
            /* Armed by a callback, and sooner than older ones that are due as well: those first
             * would be out of order, so the rest is the next call's. */
            break;
        }
        timer_disarm(t);
        t->fn(t->ctx);
    }
}

void clock_run(struct clock *c)
{
    bool outer = !c->running;
    c->running = true;
    fire(c, clock_now(c));
    if (outer)
        c->running = false;
}

void clock_advance(struct clock *c, u64 ns)
{
    u64 end = c->fake + ns;
    while (c->n && c->heap[0]->when <= end) {
        if (c->heap[0]->when > c->fake)
            c->fake = c->heap[0]->when;
        struct timer *t = c->heap[0];
        timer_disarm(t);
        t->fn(t->ctx);
    }
    c->fake = end;
}

void clock_warp(struct clock *c, u64 to)
{
    u64 now = clock_now(c);
    if (to > now)
        c->warp += to - now;
}

void clock_set(struct clock *c, u64 now, u64 wall_epoch)
{
    c->wall_epoch = wall_epoch;
    c->fake = now;
    c->base = (c->paused ? c->paused_at : host_ns()) - now;
    c->warp = now - (c->source ? c->source(c->source_ctx) : 0);
}
