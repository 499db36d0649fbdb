/*
 * devices/i8254.c - 8254 programmable interval timer.
 *
 * What it is: three counters, six modes, binary and BCD, latches and read-back, computed from the
 * clock when somebody looks: nothing runs per tick. What it is not: a model of counts read in the
 * very CLK pulse between a write and its load.
 *
 * Invariants: a counter's state is (n, start): since tick `start` it counts the count n (1..65536
 * or 10000), so elapsed e = tick - start; `held` replaces e while it is stopped. sync() brings a
 * counter to a tick and loads the count register where the mode says so. Every entry point syncs
 * first and calls rearm() last. Ticks are counted from virtual time 0.
 *
 * Manual: Intel 8254 data sheet (231164-005); the mode comments quote its mode definitions.
 */
#include "devices/i8254.h"
#include "base/bits.h"
#include "base/log.h"
#include "bus/space.h"
#include <stdlib.h>

#define MIN_EDGE_GAP_NS 10000u

enum { RW_LATCH, RW_LSB, RW_MSB, RW_BOTH };

struct counter {
    u64 start;  /* tick at which n was loaded; may be one ahead of now */
    u64 held;   /* elapsed ticks while stopped */
    u32 n;      /* counting element's initial count, 1..65536; 0: never loaded */
    u32 reload; /* count register, as n; 0: nothing written yet */
    u16 latch;
    u8 mode; /* 0..5 */
    u8 rw;   /* RW_LSB.. */
    u8 status_latch;
    u8 write_lsb;     /* first byte of a two-byte write */
    u8 latched_bytes; /* of latch still to be read: 0, 1, 2 */
    bool bcd;
    bool gate;
    bool stopped;   /* not counting: e is held */
    bool null;      /* reload is not yet in the counting element */
    bool triggered; /* modes 1 and 5: a trigger has come */
    bool status_latched;
    bool read_msb;  /* next unlatched read gives the high byte */
    bool write_msb; /* next write is the high byte */
};

struct i8254 {
    struct device dev;
    struct irq out0;
    struct clock *clk;
    void (*watch)(void *ctx, u64 tick); /* counter 2's, for the speaker */
    void *watch_ctx;
    struct timer timer;
    struct counter ch[3];
    u64 synced;  /* tick up to which counter 0's edges are in owed */
    u64 owed;    /* rising edges of OUT 0 not yet delivered */
    u64 last_ns; /* when the last one was */
    bool line;   /* what out0 was last told */
};

static u64 tick_of(u64 ns)
{
    return muldiv64(ns, I8254_HZ, NS_PER_SEC);
}

/* The first ns at which tick_of() is at least t. */
static u64 ns_of(u64 t)
{
    return (u64)(((u128)t * NS_PER_SEC + I8254_HZ - 1) / I8254_HZ);
}

static bool periodic(const struct counter *c)
{
    return c->mode == 2 || c->mode == 3;
}

static u64 elapsed(const struct counter *c, u64 t)
{
    if (c->stopped)
        return c->held;
    return t > c->start ? t - c->start : 0;
}

static void tell(struct i8254 *s, const struct counter *c, u64 tick)
{
    if (s->watch && c == &s->ch[2])
        s->watch(s->watch_ctx, tick);
}

static void load(struct counter *c, u64 at)
{
    c->n = c->reload;
    c->start = at;
    c->null = false;
}

/* Rising edges of OUT at ticks in (start, start + e], for the count being counted. */
static u64 rises(const struct counter *c, u64 e)
{
    switch (c->mode) {
    case 0:
        return e >= c->n; /* terminal count */
    case 1:
        return c->triggered && e >= c->n; /* end of the one-shot pulse */
    case 2:
    case 3:
        return c->n > 1 ? e / c->n : 0; /* a count of 1 is illegal and gives no wave */
    default:
        return (c->mode == 4 || c->triggered) && e > c->n; /* end of the strobe */
    }
}

/* Edges in (t0, t1] with the counter's present count. */
static u64 rises_between(const struct counter *c, u64 t0, u64 t1)
{
    if (c->stopped || !c->n || t1 <= c->start)
        return 0;
    return rises(c, t1 - c->start) - (t0 > c->start ? rises(c, t0 - c->start) : 0);
}

/* The tick of the first edge after t, or CLOCK_NEVER. */
static u64 next_rise(const struct counter *c, u64 t)
{
    if (c->stopped || !c->n)
        return CLOCK_NEVER;
    u64 e = t > c->start ? t - c->start : 0;
    switch (c->mode) {
    case 0:
    case 1:
        if (c->mode == 1 && !c->triggered)
            return CLOCK_NEVER;
        return e < c->n ? c->start + c->n : CLOCK_NEVER;
    case 2:
    case 3:
        return c->n > 1 ? c->start + (e / c->n + 1) * c->n : CLOCK_NEVER;
    default:
        if (c->mode == 5 && !c->triggered)
            return CLOCK_NEVER;
        return e <= c->n ? c->start + c->n + 1 : CLOCK_NEVER;
    }
}

/* Brings a counter to tick t; counts counter 0's edges on the way. */
static void sync_counter(struct i8254 *s, int i, u64 t)
{
    struct counter *c = &s->ch[i];
    u64 from = s->synced;
    if (c->null && periodic(c) && c->n && !c->stopped && t >= c->start) {
        /* "The new count is loaded at the end of the current counting cycle." (Mode 3 may load it
         * at the end of the half cycle; chips differ, and nobody can rely on it.) */
        u64 base = c->start + ((MAX(from, c->start) - c->start) / c->n + 1) * c->n;
        if (t >= base) {
            if (i == 0)
                s->owed += rises_between(c, from, base);
            from = base;
            tell(s, c, base);
            load(c, base);
        }
    }
    if (i == 0)
        s->owed += rises_between(c, from, t);
}

static u64 sync(struct i8254 *s)
{
    u64 t = tick_of(clock_now(s->clk));
    for (int i = 0; i < 3; i++)
        sync_counter(s, i, t);
    s->synced = t;
    return t;
}

static bool out_at(const struct counter *c, u64 t)
{
    u64 e = elapsed(c, t);
    switch (c->mode) {
    case 0:
        return c->n && !c->null && t >= c->start && e >= c->n;
    case 1:
        return !c->triggered || t < c->start || e >= c->n;
    case 2: /* "if GATE goes low during an output pulse, OUT is set high immediately" */
        return !c->n || c->stopped || c->n == 1 || e % c->n != c->n - 1;
    case 3:
        return !c->n || c->stopped || e % c->n < (c->n + 1) / 2;
    default:
        return !c->n || (c->mode == 5 && !c->triggered) || t < c->start || e != c->n;
    }
}

/* The counting element as a number, before BCD conversion. */
static u32 count_at(const struct counter *c, u64 t)
{
    u32 wrap = c->bcd ? 10000 : 65536;
    if (!c->n)
        return 0;
    u64 e = elapsed(c, t);
    switch (c->mode) {
    case 2:
        return c->n - (u32)(e % c->n);
    case 3: {
        u32 p = (u32)(e % c->n), high = (c->n + 1) / 2;
        /* Odd counts: "the initial count minus one is loaded and then decremented by two". */
        return (c->n & ~1u) - 2 * (p < high ? p : p - high);
    }
    case 1:
    case 5:
        if (!c->triggered)
            return c->n;
        fallthrough;
    default:
        /* "The Counter does not stop when it reaches zero": it wraps to the highest count. */
        return (u32)(((u64)c->n + wrap - e % wrap) % wrap);
    }
}

static u16 encode_count(const struct counter *c, u32 v)
{
    if (!c->bcd)
        return (u16)v;
    v %= 10000;
    return (u16)(v % 10 | v / 10 % 10 << 4 | v / 100 % 10 << 8 | v / 1000 << 12);
}

static u32 decode_count(const struct counter *c, u16 v)
{
    if (!c->bcd)
        return v ? v : 65536;
    u32 n = (v & 15u) + 10 * (v >> 4 & 15u) + 100 * (v >> 8 & 15u) + 1000 * (v >> 12 & 15u);
    return n ? n : 10000;
}

static void drive(struct i8254 *s, bool level)
{
    if (s->line != level) {
        s->line = level;
        irq_set(&s->out0, level);
    }
}

/* Delivers what is owed if it is time, drives the line and sets the timer for the next edge. */
static void rearm(struct i8254 *s)
{
    struct counter *c = &s->ch[0];
    u64 now = clock_now(s->clk), gap = MIN_EDGE_GAP_NS;
    if (periodic(c) && c->n) {
        gap = MAX(gap, muldiv64(c->n, NS_PER_SEC, 4ull * I8254_HZ));
        s->owed = MIN(s->owed, I8254_HZ / c->n + 1);
    } else {
        s->owed = MIN(s->owed, 1u);
    }
    if (s->owed && now >= s->last_ns + gap) {
        s->owed--;
        s->last_ns = now;
        drive(s, false);
        drive(s, true);
    }
    /* Falling edges concern nobody in time, except those the guest makes by writing: the rest is
     * put in just before the rise. */
    bool out = out_at(c, s->synced);
    if (!out || !s->owed)
        drive(s, out);
    u64 next = next_rise(c, s->synced);
    if (s->owed)
        timer_arm(&s->timer, MAX(s->last_ns + gap, now + 1));
    else if (next != CLOCK_NEVER)
        timer_arm(&s->timer, MAX(ns_of(next), now + 1));
    else
        timer_disarm(&s->timer);
}

static void on_timer(void *ctx)
{
    struct i8254 *s = ctx;
    sync(s);
    rearm(s);
}

/* ---- programming ---------------------------------------------------------------------------- */
static void write_count(struct i8254 *s, int i, u16 val, u64 t)
{
    struct counter *c = &s->ch[i];
    c->reload = decode_count(c, val);
    c->null = true;
    switch (c->mode) {
    case 0:
    case 4: /* loaded on the next CLK pulse; GATE low only stops the counting */
        load(c, t + 1);
        c->stopped = !c->gate;
        c->held = 0;
        break;
    case 2:
    case 3:
        if (c->n <= 1) { /* first count, or a cycle too short to have an end */
            load(c, t + 1);
            c->stopped = !c->gate;
            c->held = 0;
        }
        break; /* else at the end of the cycle: sync_counter() */
    default:   /* 1, 5: at the next trigger */
        break;
    }
}

static void set_mode(struct i8254 *s, int i, u8 ctl)
{
    struct counter *c = &s->ch[i];
    c->rw = ctl >> 4 & 3;
    c->mode = ctl >> 1 & 7;
    if (c->mode > 5)
        c->mode &= 3; /* bit 2 is a don't-care for modes 2 and 3 */
    c->bcd = ctl & 1;
    c->n = 0;
    c->reload = 0;
    c->null = true;
    c->stopped = false;
    c->triggered = false;
    c->held = 0;
    c->read_msb = c->write_msb = false;
    c->latched_bytes = 0;
    c->status_latched = false;
    if (i == 0)
        s->owed = 0;
}

static void latch_count(struct counter *c, u64 t)
{
    if (c->latched_bytes)
        return; /* "ignored until the latched count is read" */
    c->latch = encode_count(c, count_at(c, t));
    c->latched_bytes = c->rw == RW_BOTH ? 2 : 1;
    c->read_msb = false;
}

static u8 status_of(const struct counter *c, u64 t)
{
    bool null = c->null || (c->n && !c->stopped && t < c->start);
    return (u8)((out_at(c, t) ? 0x80 : 0) | (null ? 0x40 : 0) | c->rw << 4 | c->mode << 1 | c->bcd);
}

static void read_back(struct i8254 *s, u8 ctl, u64 t)
{
    for (int i = 0; i < 3; i++) {
        struct counter *c = &s->ch[i];
        if (!(ctl & BIT(i + 1)))
            continue;
        if (!(ctl & 0x20))
            latch_count(c, t);
        if (!(ctl & 0x10) && !c->status_latched) {
            c->status_latch = status_of(c, t);
            c->status_latched = true;
        }
    }
}

static void write_counter(struct i8254 *s, int i, u8 val, u64 t)
{
    struct counter *c = &s->ch[i];
    switch (c->rw) {
    case RW_LSB:
        write_count(s, i, val, t);
        break;
    case RW_MSB:
        write_count(s, i, (u16)(val << 8), t);
        break;
    default:
        if (!c->write_msb) {
            c->write_lsb = val;
            if (c->mode == 0) { /* "Writing the first byte disables counting. OUT is set low" */
                c->held = elapsed(c, t);
                c->stopped = true;
                c->null = true;
            }
        } else {
            write_count(s, i, (u16)(val << 8 | c->write_lsb), t);
        }
        c->write_msb = !c->write_msb;
        break;
    }
}

static void i8254_write(struct device *d, int region, u64 off, u64 val64, int size)
{
    struct i8254 *s = (struct i8254 *)d;
    u8 val = (u8)val64;
    u64 t = sync(s);
    tell(s, &s->ch[2], t);
    if (off < 3)
        write_counter(s, (int)off, val, t);
    else if (val >> 6 == 3)
        read_back(s, val, t);
    else if ((val >> 4 & 3) == RW_LATCH)
        latch_count(&s->ch[val >> 6], t);
    else
        set_mode(s, val >> 6, val);
    rearm(s);
}

static u8 live_byte(const struct counter *c, u64 t)
{
    u16 v = encode_count(c, count_at(c, t));
    bool high = c->rw == RW_MSB || (c->rw == RW_BOTH && c->read_msb);
    return (u8)(high ? v >> 8 : v);
}

static u8 latched_byte(const struct counter *c)
{
    bool high = c->rw == RW_MSB || (c->rw == RW_BOTH && c->latched_bytes == 1);
    return (u8)(high ? c->latch >> 8 : c->latch);
}

static u64 i8254_peek(struct device *d, int region, u64 off, int size)
{
    struct i8254 *s = (struct i8254 *)d;
    if (off >= 3)
        return 0; /* "no operation, 3-state": the bus would float */
    const struct counter *c = &s->ch[off];
    if (c->status_latched)
        return c->status_latch;
    return c->latched_bytes ? latched_byte(c) : live_byte(c, tick_of(clock_now(s->clk)));
}

static u64 i8254_read(struct device *d, int region, u64 off, int size)
{
    struct i8254 *s = (struct i8254 *)d;
    if (off >= 3)
        return 0;
    sync(s);
    rearm(s);
    u64 val = i8254_peek(d, region, off, size);
    struct counter *c = &s->ch[off];
    if (c->status_latched)
        c->status_latched = false;
    else if (c->latched_bytes)
        c->latched_bytes--;
    else if (c->rw == RW_BOTH)
        c->read_msb = !c->read_msb;
    return val;
}

/* ---- wires ---------------------------------------------------------------------------------- */
bool i8254_out(struct device *d, int counter)
{
    struct i8254 *s = (struct i8254 *)d;
    CHECK(counter >= 0 && counter < 3);
    u64 t = sync(s);
    rearm(s);
    return out_at(&s->ch[counter], t);
}

void i8254_set_gate(struct device *d, int counter, bool level)
{
    struct i8254 *s = (struct i8254 *)d;
    CHECK(counter >= 0 && counter < 3);
    u64 t = sync(s);
    struct counter *c = &s->ch[counter];
    if (c->gate == level)
        return;
    c->gate = level;
    switch (c->mode) {
    case 1:
    case 5:
        if (level && (c->reload || c->n)) {
            load(c, t + 1);
            c->triggered = true;
        }
        break;
    case 2:
    case 3:
        if (!level) {
            c->held = elapsed(c, t);
            c->stopped = true;
        } else if (c->n) { /* "a trigger reloads the Counter with the initial count" */
            load(c, t + 1);
            c->stopped = false;
        }
        break;
    default:
        if (!c->n || (c->mode == 0 && c->write_msb))
            break; /* a half-written count keeps mode 0 stopped */
        if (!level) {
            c->held = elapsed(c, t);
            c->stopped = true;
        } else {
            c->start = t - MIN(c->held, t);
            c->stopped = false;
        }
        break;
    }
    rearm(s);
}

u32 i8254_period(struct device *d, int counter)
{
    struct i8254 *s = (struct i8254 *)d;
    CHECK(counter >= 0 && counter < 3);
    sync(s);
    rearm(s);
    const struct counter *c = &s->ch[counter];
    return periodic(c) && !c->stopped ? c->n : 0;
}

void i8254_watch(struct device *d, void (*fn)(void *ctx, u64 tick), void *ctx)
{
    struct i8254 *s = (struct i8254 *)d;
    s->watch = fn;
    s->watch_ctx = ctx;
}

void i8254_sync(struct device *d)
{
    struct i8254 *s = (struct i8254 *)d;
    sync(s);
    rearm(s);
}

u32 i8254_high(const struct device *d, u64 tick, u32 n)
{
    const struct counter *c = &((const struct i8254 *)d)->ch[2];
    u32 high = 0;
    for (u32 k = 0; k < n; k++)
        high += out_at(c, tick + k);
    return high;
}

static void i8254_reset(struct device *d)
{
    struct i8254 *s = (struct i8254 *)d;
    /* "After power-up, the state of the 8254 is undefined." Quiet is a good choice: mode 3 with no
     * count, OUT high. Gates are wires and stay. */
    for (int i = 0; i < 3; i++) {
        bool gate = s->ch[i].gate;
        s->ch[i] = (struct counter){.mode = 3, .rw = RW_BOTH, .null = true, .gate = gate};
    }
    s->owed = 0;
    s->last_ns = 0;
    sync(s);
    rearm(s);
}

static bool i8254_loaded(struct device *d)
{
    struct i8254 *s = (struct i8254 *)d;
    u64 now = clock_now(s->clk), t = tick_of(now);
    for (int i = 0; i < 3; i++) {
        struct counter *c = &s->ch[i];
        if (c->mode > 5 || c->rw == RW_LATCH || c->rw > RW_BOTH || c->n > 65536 ||
            c->reload > 65536 || c->latched_bytes > 2 || c->start > t + 1)
            return false;
        if (c->n && !c->reload)
            c->reload = c->n;
        if (!c->reload && c->null && periodic(c))
            c->n = 0;
    }
    if (s->synced > t || s->last_ns > now)
        return false;
    irq_set(&s->out0, s->line);
    return true; /* the timer is armed; what it has not yet brought up to date stays so */
}

static void i8254_destroy(struct device *d)
{
    struct i8254 *s = (struct i8254 *)d;
    timer_disarm(&s->timer);
    free(s);
}

#define C_U(i, m) FIELD_U(struct i8254, ch[i].m)
#define C_B(i, m) FIELD_B(struct i8254, ch[i].m)
#define COUNTER_FIELDS(i)                                                                          \
    C_U(i, start), C_U(i, held), C_U(i, n), C_U(i, reload), C_U(i, latch), C_U(i, mode),           \
        C_U(i, rw), C_U(i, status_latch), C_U(i, write_lsb), C_U(i, latched_bytes), C_B(i, bcd),   \
        C_B(i, gate), C_B(i, stopped), C_B(i, null), C_B(i, triggered), C_B(i, status_latched),    \
        C_B(i, read_msb), C_B(i, write_msb)

static const struct field i8254_state[] = {
    COUNTER_FIELDS(0),
    COUNTER_FIELDS(1),
    COUNTER_FIELDS(2),
    FIELD_U(struct i8254, synced),
    FIELD_U(struct i8254, owed),
    FIELD_U(struct i8254, last_ns),
    FIELD_B(struct i8254, line),
    FIELD_T(struct i8254, timer),
    FIELD_END,
};

static const struct device_ops i8254_ops = {
    .name = "i8254",
    .reset = i8254_reset,
    .read = i8254_read,
    .write = i8254_write,
    .peek = i8254_peek,
    .state = i8254_state,
    .loaded = i8254_loaded,
    .destroy = i8254_destroy,
};

struct device *i8254_new(struct space *ports, u16 base, struct irq out0, struct clock *clk)
{
    struct i8254 *s = calloc(1, sizeof(*s));
    CHECK(s);
    s->dev.ops = &i8254_ops;
    s->out0 = out0;
    s->clk = clk;
    timer_init(&s->timer, clk, on_timer, s);
    s->ch[0].gate = s->ch[1].gate = true;
    i8254_reset(&s->dev);
    space_map_io(ports, base, 4, &s->dev, 0, 1, 0);
    return &s->dev;
}
