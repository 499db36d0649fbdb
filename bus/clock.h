/*
 * bus/clock.h - the only time there is: virtual nanoseconds since the VM was made, and timers.
 *
 * You are here: devices read time and arm timers here and nowhere else, so that time can stop,
 * be replayed, or advance with executed instructions.
 *
 * Modes: CLOCK_REAL follows the host's monotonic clock (stopped while the VM is paused);
 * CLOCK_ICOUNT asks a source (the vCPU's instruction count) so that runs are identical;
 * CLOCK_FAKE moves only by clock_advance(), for tests.
 * Thread: the VM's thread only.
 */
#ifndef BUS_CLOCK_H
#define BUS_CLOCK_H

#include "base/types.h"

#define NS_PER_SEC  1000000000ull
#define CLOCK_NEVER UINT64_MAX

enum clock_mode { CLOCK_REAL, CLOCK_ICOUNT, CLOCK_FAKE };

struct clock;

typedef void timer_fn(void *ctx);
struct timer {
    struct clock *clk;
    timer_fn *fn;
    void *ctx;
    u64 when;       /* ns; CLOCK_NEVER when not armed */
    u64 seq;        /* the clock's own: among equal deadlines the first armed fires first */
    u32 heap_index; /* the clock's own */
};

/* wall_epoch_ns: host wall time (ns since 1970, UTC) that virtual time 0 stands for. */
struct clock *clock_new(enum clock_mode mode, u64 wall_epoch_ns);
void clock_free(struct clock *clk);

/* CLOCK_ICOUNT: fn returns virtual ns, monotonic. Must be set before use. */
void clock_set_source(struct clock *clk, u64 (*fn)(void *ctx), void *ctx);

/* Called whenever the nearest deadline gets nearer, so that a running vCPU can end its slice. */
void clock_set_kick(struct clock *clk, void (*fn)(void *ctx), void *ctx);

u64 clock_now(struct clock *clk);  /* ns since the VM was made */
u64 clock_wall(struct clock *clk); /* ns since 1970-01-01 UTC, as the guest's RTC should say */
u64 clock_wall_epoch(const struct clock *clk); /* clock_wall() - clock_now() at any one moment */
void clock_pause(struct clock *clk);           /* time stands still; nests not */
void clock_resume(struct clock *clk);
void clock_advance(struct clock *clk, u64 ns); /* CLOCK_FAKE: moves time, firing timers in order */
void clock_warp(struct clock *clk, u64 to);    /* CLOCK_ICOUNT: skip idle time to `to` */
/* After a restore: it is now_ns, whatever it was, and goes on from there; timers stay as they are.
 * A clock that is paused stays so. */
void clock_set(struct clock *clk, u64 now_ns, u64 wall_epoch_ns);

u64 clock_next(struct clock *clk); /* nearest deadline, or CLOCK_NEVER */
void clock_run(struct clock *clk); /* fires every timer that is due now; callbacks may
                                    * re-arm: what they arm in the past waits for the next call */

void timer_init(struct timer *t, struct clock *clk, timer_fn *fn, void *ctx); /* not armed */
void timer_arm(struct timer *t, u64 when_ns); /* absolute; moves an armed timer */
void timer_disarm(struct timer *t);           /* no-op when not armed */
static inline bool timer_armed(const struct timer *t)
{
    return t->when != CLOCK_NEVER;
}

/* a * b / c without overflow in between; for turning ns into ticks and back. c != 0. */
static inline u64 muldiv64(u64 a, u64 b, u64 c)
{
    return (u64)((u128)a * b / c);
}

#endif
