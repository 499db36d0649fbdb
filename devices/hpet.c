/*
 * devices/hpet.c - high precision event timer.
 *
 * What it is not: FSB (message) delivery. A one-shot comparator that is written with a count that
 * has just gone by (less than half the range) fires at once, where the chip would wait for the
 * counter to wrap: a slow machine then never loses a tick. A periodic timer that is late catches
 * up one interrupt at a time, at most MIN_GAP_NS apart, and forgets what is owed beyond a second.
 *
 * Invariants: while the counter runs and due[n] is not NEVER, host timer n is armed for the time
 * the counter reaches due[n]; out_level is what the lines were told.
 *
 * Manual: IA-PC HPET Specification 1.0a, 2.3 registers, 2.3.9.2 modes, 2.4.
 */
#include "devices/hpet.h"
#include "base/bits.h"
#include "base/log.h"
#include "bus/space.h"
#include <stdlib.h>

enum { R_CAP = 0x00, R_CONFIG = 0x10, R_STATUS = 0x20, R_COUNTER = 0xf0, R_TIMER0 = 0x100 };
enum { CFG_ENABLE = 1, CFG_LEGACY = 2 };
enum {
    T_LEVEL = 0x0002,
    T_ENABLE = 0x0004,
    T_PERIODIC = 0x0008,
    T_CAPS = 0x0030, /* periodic capable, 64 bits */
    T_SETVAL = 0x0040,
    T_32 = 0x0100,
    T_ROUTE = 0x3e00,
    T_WRITABLE = T_LEVEL | T_ENABLE | T_PERIODIC | T_SETVAL | T_32 | T_ROUTE,
};
enum { FIRST_PIN = 20, PINS = 4 };
enum { OUT_IRQ0 = PINS, OUT_IRQ8, OUTS };
enum { MIN_GAP_NS = 10000, MAX_OWED_TICKS = 100000000 };
#define NEVER UINT64_MAX

struct hpet;

struct comparator {
    struct hpet *s;
    int n;
    u32 config;
    u64 cmp, period;
    u64 due; /* full counter value of the next match */
    struct timer timer;
};

struct hpet {
    struct device dev;
    struct clock *clk;
    struct hpet_wires w;
    u32 config, status;
    u64 count;    /* the counter at start_ns, or while halted */
    u64 start_ns; /* when it was last started or set */
    u8 out_level;
    struct comparator t[HPET_TIMERS];
};

static bool running(const struct hpet *s)
{
    return s->config & CFG_ENABLE;
}

static u64 counter(struct hpet *s)
{
    if (!running(s))
        return s->count;
    return s->count + (clock_now(s->clk) - s->start_ns) / HPET_TICK_NS;
}

static u64 width(const struct comparator *t)
{
    return t->config & T_32 ? 0xffffffff : ~0ull;
}

/* ---- interrupts ---------------------------------------------------------------------------------
 */
/* The output a timer drives, or -1. */
static int out_of(const struct hpet *s, const struct comparator *t)
{
    u32 route = (t->config & T_ROUTE) >> 9;
    if ((s->config & CFG_LEGACY) && t->n < 2)
        return t->n ? OUT_IRQ8 : OUT_IRQ0;
    return route >= FIRST_PIN && route < FIRST_PIN + PINS ? (int)route - FIRST_PIN : -1;
}

static const struct irq *line_of(const struct hpet *s, int out)
{
    return out == OUT_IRQ0 ? &s->w.irq0 : out == OUT_IRQ8 ? &s->w.irq8 : &s->w.pin[out];
}

static void update_lines(struct hpet *s)
{
    u8 level = 0;
    for (int i = 0; i < HPET_TIMERS; i++) {
        const struct comparator *t = &s->t[i];
        int out = out_of(s, t);
        if ((s->status & BIT(i)) && (t->config & T_LEVEL) && (t->config & T_ENABLE) && out >= 0)
            level |= (u8)BIT(out);
    }
    u8 changed = level ^ s->out_level;
    s->out_level = level;
    for (int out = 0; out < OUTS; out++)
        if (changed & BIT(out))
            irq_set(line_of(s, out), level & BIT(out));
}

static void interrupt(struct hpet *s, struct comparator *t)
{
    int out = out_of(s, t);
    if (t->config & T_LEVEL) {
        s->status |= BIT(t->n);
        update_lines(s);
    } else if ((t->config & T_ENABLE) && out >= 0) {
        irq_pulse(line_of(s, out));
    }
}

/* ---- comparators
 * ---------------------------------------------------------------------------------- */
static void arm(struct hpet *s, struct comparator *t, u64 not_before)
{
    if (!running(s) || t->due == NEVER) {
        timer_disarm(&t->timer);
        return;
    }
    u64 ticks = t->due > s->count ? t->due - s->count : 0;
    if (ticks > (CLOCK_NEVER - 1 - s->start_ns) / HPET_TICK_NS) {
        timer_disarm(&t->timer); /* centuries ahead */
        return;
    }
    timer_arm(&t->timer, MAX(s->start_ns + ticks * HPET_TICK_NS, not_before));
}

/* Finds the next match. late_ok: a match that was missed narrowly is due now. */
static void set_due(struct hpet *s, struct comparator *t, bool late_ok)
{
    u64 now = counter(s), mask = width(t);
    u64 ahead = (t->cmp - now) & mask;
    if (late_ok && ahead > mask / 2)
        t->due = now;
    else
        t->due = ahead <= NEVER - 1 - now ? now + ahead : NEVER;
    arm(s, t, 0);
}

static void matched(void *ctx)
{
    struct comparator *t = ctx;
    struct hpet *s = t->s;
    u64 now = counter(s), mask = width(t), not_before = 0;

    if (!running(s) || t->due == NEVER)
        return;
    if (now < t->due) { /* the counter was near its end and has wrapped */
        arm(s, t, clock_now(s->clk) + MIN_GAP_NS);
        return;
    }
    if ((t->config & T_PERIODIC) && t->period) {
        u64 late = now - t->due;
        u64 skip = late > MAX_OWED_TICKS ? late / t->period : 0;
        u64 step = (skip + 1) * t->period;
        t->cmp = (t->cmp + step) & mask;
        t->due = step <= NEVER - 1 - t->due ? t->due + step : NEVER;
        not_before = clock_now(s->clk) + MIN_GAP_NS;
        if (t->due > now + MIN_GAP_NS / HPET_TICK_NS)
            not_before = 0;
    } else {
        /* One-shot: again when the counter has wrapped to the same value. */
        u64 ahead = (t->cmp - now - 1) & mask;
        t->due = ahead < NEVER - 1 - now ? now + 1 + ahead : NEVER;
    }
    arm(s, t, not_before);
    interrupt(s, t);
}

/* ---- registers
 * -------------------------------------------------------------------------------------- */
static u64 reg_get(struct hpet *s, u64 reg)
{
    if (reg >= R_TIMER0 && reg < R_TIMER0 + 0x20 * HPET_TIMERS) {
        const struct comparator *t = &s->t[(reg - R_TIMER0) / 0x20];
        switch (reg & 0x18) {
        case 0x00:
            return t->config | T_CAPS | (u64)(0xfu << FIRST_PIN) << 32;
        case 0x08:
            return t->cmp;
        default:
            return 0;
        }
    }
    switch (reg) {
    case R_CAP:
        return HPET_BLOCK_ID | (u64)(HPET_TICK_NS * 1000000) << 32;
    case R_CONFIG:
        return s->config;
    case R_STATUS:
        return s->status;
    case R_COUNTER:
        return counter(s);
    default:
        return 0;
    }
}

static void rearm_all(struct hpet *s)
{
    for (int i = 0; i < HPET_TIMERS; i++)
        set_due(s, &s->t[i], false);
}

static void write_config(struct hpet *s, u32 val)
{
    u32 changed = (s->config ^ val) & (CFG_ENABLE | CFG_LEGACY);
    s->count = counter(s);
    s->start_ns = clock_now(s->clk);
    s->config ^= changed;
    if ((changed & CFG_LEGACY) && s->w.legacy)
        s->w.legacy(s->w.ctx, s->config & CFG_LEGACY);
    update_lines(s);
    if (changed & CFG_ENABLE)
        rearm_all(s);
}

static void write_timer_config(struct hpet *s, struct comparator *t, u32 val)
{
    u32 was = t->config;
    t->config = val & T_WRITABLE;
    if (!(t->config & T_LEVEL))
        s->status &= ~BIT(t->n);
    t->cmp &= width(t);
    t->period &= width(t);
    update_lines(s);
    if ((was ^ val) & (T_32 | T_PERIODIC))
        set_due(s, t, false);
}

static void write_comparator(struct hpet *s, struct comparator *t, u64 val)
{
    /* Periodic: the first value after SETVAL is where to begin, the others are the period
     * (2.3.9.2.2). */
    bool begin = !(t->config & T_PERIODIC) || (t->config & T_SETVAL);
    val &= width(t);
    if (t->config & T_PERIODIC)
        t->period = val;
    t->config &= ~(u32)T_SETVAL;
    if (begin) {
        t->cmp = val;
        set_due(s, t, true);
    }
}

static void reg_put(struct hpet *s, u64 reg, u64 val)
{
    if (reg >= R_TIMER0 && reg < R_TIMER0 + 0x20 * HPET_TIMERS) {
        struct comparator *t = &s->t[(reg - R_TIMER0) / 0x20];
        if ((reg & 0x18) == 0x00)
            write_timer_config(s, t, (u32)val);
        else if ((reg & 0x18) == 0x08)
            write_comparator(s, t, val);
        return;
    }
    switch (reg) {
    case R_CONFIG:
        write_config(s, (u32)val);
        break;
    case R_STATUS:
        s->status &= ~(u32)val;
        update_lines(s);
        break;
    case R_COUNTER:
        s->count = val;
        s->start_ns = clock_now(s->clk);
        rearm_all(s);
        break;
    default:
        break;
    }
}

static u64 hpet_read(struct device *d, int region, u64 off, int size)
{
    struct hpet *s = (struct hpet *)d;
    return reg_get(s, off & ~7ull) >> (8 * (off & 7));
}

static void hpet_write(struct device *d, int region, u64 off, u64 val, int size)
{
    struct hpet *s = (struct hpet *)d;
    u64 reg = off & ~7ull;
    int sh = 8 * (int)(off & 7);
    u64 mask = size_mask(MIN(size, 8 - (int)(off & 7))) << sh;
    u64 old = reg == R_STATUS ? 0 : reg_get(s, reg);
    /* The high half of a timer's configuration holds nothing writable, and SETVAL is one write's.
     */
    if (reg >= R_TIMER0 && (reg & 0x18) == 0 && sh >= 32)
        return;
    /* Periodic writes go to a register that does not read back: the period. */
    if (reg >= R_TIMER0 && reg < R_TIMER0 + 0x20 * HPET_TIMERS && (reg & 0x18) == 8) {
        const struct comparator *t = &s->t[(reg - R_TIMER0) / 0x20];
        if ((t->config & (T_PERIODIC | T_SETVAL)) == T_PERIODIC)
            old = size == 4 && sh == 0 ? 0 : t->period;
    }
    reg_put(s, reg, (old & ~mask) | (val << sh & mask));
}

/* ---- device
 * -------------------------------------------------------------------------------------------- */
static void hpet_reset(struct device *d)
{
    struct hpet *s = (struct hpet *)d;
    bool legacy = s->config & CFG_LEGACY;
    s->config = 0;
    s->status = 0;
    s->count = 0;
    s->start_ns = clock_now(s->clk);
    for (int i = 0; i < HPET_TIMERS; i++) {
        struct comparator *t = &s->t[i];
        timer_disarm(&t->timer);
        t->config = 0;
        t->cmp = ~0ull;
        t->period = 0;
        t->due = NEVER;
    }
    if (legacy && s->w.legacy)
        s->w.legacy(s->w.ctx, false);
    update_lines(s);
}

static bool hpet_loaded(struct device *d)
{
    struct hpet *s = (struct hpet *)d;
    s->config &= CFG_ENABLE | CFG_LEGACY;
    s->status &= BIT(HPET_TIMERS) - 1;
    if (s->start_ns > clock_now(s->clk))
        s->start_ns = clock_now(s->clk);
    if (s->w.legacy)
        s->w.legacy(s->w.ctx, s->config & CFG_LEGACY);
    for (int i = 0; i < HPET_TIMERS; i++) {
        struct comparator *t = &s->t[i];
        t->config &= T_WRITABLE;
        t->cmp &= width(t);
        t->period &= width(t);
        arm(s, t, 0);
    }
    s->out_level = (u8)~0;
    update_lines(s);
    return true;
}

static void hpet_destroy(struct device *d)
{
    struct hpet *s = (struct hpet *)d;
    for (int i = 0; i < HPET_TIMERS; i++)
        timer_disarm(&s->t[i].timer);
    free(s);
}

#define TIMER_FIELDS(i)                                                                            \
    FIELD_U(struct hpet, t[i].config), FIELD_U(struct hpet, t[i].cmp),                             \
        FIELD_U(struct hpet, t[i].period), FIELD_U(struct hpet, t[i].due),                         \
        FIELD_T(struct hpet, t[i].timer)

static const struct field hpet_state[] = {FIELD_U(struct hpet, config),
                                          FIELD_U(struct hpet, status),
                                          FIELD_U(struct hpet, count),
                                          FIELD_U(struct hpet, start_ns),
                                          TIMER_FIELDS(0),
                                          TIMER_FIELDS(1),
                                          TIMER_FIELDS(2),
                                          FIELD_END};

static const struct device_ops hpet_ops = {
    .name = "hpet",
    .reset = hpet_reset,
    .read = hpet_read,
    .write = hpet_write,
    .peek = hpet_read,
    .state = hpet_state,
    .loaded = hpet_loaded,
    .destroy = hpet_destroy,
};

struct device *hpet_new(struct space *mem, u64 base, const struct hpet_wires *w, struct clock *clk)
{
    struct hpet *s = calloc(1, sizeof(*s));
    CHECK(s);
    s->dev.ops = &hpet_ops;
    s->clk = clk;
    s->w = *w;
    for (int i = 0; i < HPET_TIMERS; i++) {
        s->t[i].s = s;
        s->t[i].n = i;
        timer_init(&s->t[i].timer, clk, matched, &s->t[i]);
    }
    hpet_reset(&s->dev);
    space_map_io(mem, base, 0x400, &s->dev, 0, 8, 0);
    return &s->dev;
}
