/*
 * devices/mc146818.c - MC146818 real-time clock and CMOS RAM, as the PC/AT maps it.
 *
 * What it is: clock, calendar with century, alarm, update and periodic interrupts, 128 bytes of
 * RAM. What it is not: the square-wave pin, daylight saving, the second RAM bank at ports 0x72-73.
 *
 * Nothing runs per second: rtc time is clock_wall() + offset, and the registers are made from it on
 * each access. While the guest holds the clock (SET, or the divider in reset) `regs` are plain
 * bytes and the offset is found when it lets go.
 *
 * Invariants: flags (register C) are right after sync(); the timer is armed only for an interrupt
 * that is enabled and whose flag is clear, so a guest that does not read register C costs nothing.
 * Periodic interrupts that came due while one was unserved are merged, as on the chip.
 *
 * Manuals: Motorola MC146818A data sheet; Intel 82371SB (PIIX3) 2.5.6 for the ports.
 */
#include "devices/mc146818.h"
#include "base/bits.h"
#include "base/log.h"
#include "bus/space.h"
#include <stdlib.h>

enum {
    R_SEC,
    R_SEC_ALARM,
    R_MIN,
    R_MIN_ALARM,
    R_HOUR,
    R_HOUR_ALARM,
    R_WDAY,
    R_MDAY,
    R_MONTH,
    R_YEAR,
    R_A,
    R_B,
    R_C,
    R_D,
    R_CENTURY = 0x32
};

enum { A_UIP = 0x80, A_DV = 0x70, A_DV_RUN = 0x20, A_DV_RESET = 0x60, A_RS = 0x0f };
enum { B_SET = 0x80, B_PIE = 0x40, B_AIE = 0x20, B_UIE = 0x10, B_DM = 0x04, B_24 = 0x02 };
enum { C_IRQF = 0x80, C_PF = 0x40, C_AF = 0x20, C_UF = 0x10 };
enum { D_VRT = 0x80, HOUR_PM = 0x80, ALARM_ANY = 0xc0 };
_Static_assert((int)B_PIE == C_PF && (int)B_AIE == C_AF && (int)B_UIE == C_UF, "IRQF is B & C");

/* UIP rises t_BUC = 244 us before the update cycle, which takes t_UC = 1984 us (data sheet, table
 * 6); our registers change at the end of the cycle. */
#define UIP_NS  (2228 * 1000ll)
#define SEC_NS  1000000000ll
#define DAY_SEC 86400ll
#define XTAL_HZ 32768ull
/* The first update comes half a second after the divider leaves reset. */
#define DV_RESET_NS (SEC_NS / 2)

struct mc146818 {
    struct device dev;
    struct irq irq;
    struct clock *clk;
    struct timer timer;
    u8 index;     /* port 0x70, bit 7 included */
    u8 regs[128]; /* R_C is kept here without IRQF; clock registers only while held */
    i64 offset;   /* ns to add to clock_wall() */
    i64 held_ns;  /* rtc time at which the guest took hold */
    i64 synced;   /* rtc time up to which flags are right */
    u64 psynced;  /* virtual time likewise, for the periodic flag */
    u8 wday_add;  /* the day-of-week counter is the guest's to set: 0..6 */
    bool line;
};

struct civil {
    i64 year;
    int month, day; /* from 1 */
    int hour, min, sec;
};

/* Days since 1970-01-01 of a date in the proleptic Gregorian calendar, and back: years counted from
 * March so that the leap day comes last, in eras of 400 years (146097 days). */
static i64 days_from_civil(i64 year, int month, int day)
{
    i64 y = month <= 2 ? year - 1 : year;
    i64 era = (y >= 0 ? y : y - 399) / 400, yoe = y - era * 400;
    i64 doy = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static i64 floor_div(i64 a, i64 b)
{
    return a / b - (a % b < 0);
}

static struct civil civil_from_sec(i64 sec)
{
    i64 days = floor_div(sec, DAY_SEC), sod = sec - days * DAY_SEC;
    i64 z = days + 719468, era = floor_div(z, 146097), doe = z - era * 146097;
    i64 yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    i64 doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    int month = (int)(mp < 10 ? mp + 3 : mp - 9);
    return (struct civil){.year = era * 400 + yoe + (month <= 2),
                          .month = month,
                          .day = (int)(doy - (153 * mp + 2) / 5 + 1),
                          .hour = (int)(sod / 3600),
                          .min = (int)(sod / 60 % 60),
                          .sec = (int)(sod % 60)};
}

static bool held(const struct mc146818 *s)
{
    return (s->regs[R_B] & B_SET) || (s->regs[R_A] & A_DV_RESET) == A_DV_RESET;
}

static i64 rtc_now(const struct mc146818 *s)
{
    return held(s) ? s->held_ns : (i64)clock_wall(s->clk) + s->offset;
}

/* ---- register formats ----------------------------------------------------------------------- */
static u8 enc(const struct mc146818 *s, int v)
{
    return (u8)(s->regs[R_B] & B_DM ? v : v / 10 << 4 | v % 10);
}

static int dec(const struct mc146818 *s, u8 v)
{
    return s->regs[R_B] & B_DM ? v : (v >> 4) * 10 + (v & 15);
}

static u8 enc_hour(const struct mc146818 *s, int h)
{
    if (s->regs[R_B] & B_24)
        return enc(s, h);
    return enc(s, h % 12 ? h % 12 : 12) | (h >= 12 ? HOUR_PM : 0);
}

static int dec_hour(const struct mc146818 *s, u8 v)
{
    if (s->regs[R_B] & B_24)
        return dec(s, v);
    return dec(s, v & 0x7f) % 12 + (v & HOUR_PM ? 12 : 0);
}

static bool is_clock_reg(int idx)
{
    return idx == R_SEC || idx == R_MIN || idx == R_HOUR || (idx >= R_WDAY && idx <= R_YEAR) ||
           idx == R_CENTURY;
}

static u8 clock_reg(const struct mc146818 *s, int idx, i64 ns)
{
    i64 sec = floor_div(ns, SEC_NS);
    struct civil c = civil_from_sec(sec);
    switch (idx) {
    case R_SEC:
        return enc(s, c.sec);
    case R_MIN:
        return enc(s, c.min);
    case R_HOUR:
        return enc_hour(s, c.hour);
    case R_WDAY: /* 1 is Sunday; 1970-01-01 was a Thursday */ {
        i64 n = floor_div(sec, DAY_SEC) + 4 + s->wday_add;
        return enc(s, (int)(n - floor_div(n, 7) * 7) + 1);
    }
    case R_MDAY:
        return enc(s, c.day);
    case R_MONTH:
        return enc(s, c.month);
    case R_YEAR:
        return enc(s, (int)(c.year % 100));
    default: /* century, in the format of the year */
        return enc(s, (int)(c.year / 100 % 100));
    }
}

static const u8 clock_regs[] = {R_SEC, R_MIN, R_HOUR, R_WDAY, R_MDAY, R_MONTH, R_YEAR, R_CENTURY};

static int clampi(int v, int lo, int hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}

/* The rtc time the registers say, at the start of its second; sets wday_add. Values outside their
 * range are clamped: what the chip does with them is undefined. */
static i64 regs_to_ns(struct mc146818 *s)
{
    const u8 *r = s->regs;
    int month = clampi(dec(s, r[R_MONTH]), 1, 12), day = clampi(dec(s, r[R_MDAY]), 1, 31);
    int century = dec(s, r[R_CENTURY]);
    if (century != 19) /* or a guest that knows no century byte; ns in an i64 bound us anyway */
        century = 20;
    i64 year = century * 100 + clampi(dec(s, r[R_YEAR]), 0, 99);
    i64 days = days_from_civil(year, month, day);
    i64 sec = days * DAY_SEC + clampi(dec_hour(s, r[R_HOUR]), 0, 23) * 3600 +
              clampi(dec(s, r[R_MIN]), 0, 59) * 60 + clampi(dec(s, r[R_SEC]), 0, 59);
    i64 wday = clampi(dec(s, r[R_WDAY]), 1, 7) - 1, n = days + 4;
    s->wday_add = (u8)((wday - (n - floor_div(n, 7) * 7) + 7) % 7);
    return sec * SEC_NS;
}

static void fill_clock_regs(struct mc146818 *s, i64 ns)
{
    for (size_t i = 0; i < ARRAY_LEN(clock_regs); i++)
        s->regs[clock_regs[i]] = clock_reg(s, clock_regs[i], ns);
}

/* ---- events --------------------------------------------------------------------------------- */
static bool alarm_field(u8 alarm, u8 now)
{
    return (alarm & ALARM_ANY) == ALARM_ANY || alarm == now;
}

/* The first second >= from at which the alarm matches, INT64_MAX if never. */
static i64 next_alarm(const struct mc146818 *s, i64 from)
{
    const u8 *r = s->regs;
    bool some_h = false, some_m = false, some_s = false;
    for (int i = 0; i < 60; i++) {
        some_h |= i < 24 && alarm_field(r[R_HOUR_ALARM], enc_hour(s, i));
        some_m |= alarm_field(r[R_MIN_ALARM], enc(s, i));
        some_s |= alarm_field(r[R_SEC_ALARM], enc(s, i));
    }
    if (!some_h || !some_m || !some_s)
        return INT64_MAX; /* a value no clock register takes */
    i64 day = floor_div(from, DAY_SEC) * DAY_SEC;
    int sod = (int)(from - day);
    /* Fields at their lower bound while the higher ones are; one day more covers the wrap. */
    for (int h = sod / 3600; h < 48; h++) {
        if (!alarm_field(r[R_HOUR_ALARM], enc_hour(s, h % 24)))
            continue;
        bool h0 = h == sod / 3600;
        for (int m = h0 ? sod / 60 % 60 : 0; m < 60; m++) {
            if (!alarm_field(r[R_MIN_ALARM], enc(s, m)))
                continue;
            bool m0 = h0 && m == sod / 60 % 60;
            for (int sec = m0 ? sod % 60 : 0; sec < 60; sec++)
                if (alarm_field(r[R_SEC_ALARM], enc(s, sec)))
                    return day + h * 3600 + m * 60 + sec;
        }
    }
    return INT64_MAX;
}

/* Ticks of the periodic rate's crystal divider in virtual time; 0: off. */
static u64 period_ticks(const struct mc146818 *s)
{
    int rs = s->regs[R_A] & A_RS;
    if (!rs || (s->regs[R_A] & A_DV) != A_DV_RUN)
        return 0;
    return 1ull << (rs <= 2 ? rs + 6 : rs - 1);
}

static u64 xtal(u64 ns)
{
    return muldiv64(ns, XTAL_HZ, NS_PER_SEC);
}

static void sync(struct mc146818 *s)
{
    u64 v = clock_now(s->clk), p = period_ticks(s);
    if (p && xtal(v) / p != xtal(s->psynced) / p)
        s->regs[R_C] |= C_PF;
    s->psynced = v;
    if (held(s))
        return;
    i64 now = rtc_now(s), sec = floor_div(now, SEC_NS), was = floor_div(s->synced, SEC_NS);
    if (sec != was)
        s->regs[R_C] |= C_UF;
    if (sec > was && next_alarm(s, was + 1) <= sec)
        s->regs[R_C] |= C_AF;
    s->synced = now;
}

static void update(struct mc146818 *s)
{
    u8 want = s->regs[R_B] & (B_PIE | B_AIE | B_UIE), flags = s->regs[R_C];
    bool level = want & flags;
    if (level != s->line) {
        s->line = level;
        irq_set(&s->irq, level);
    }
    /* With the line high nothing new can be seen before register C is read. */
    u64 when = CLOCK_NEVER, now = clock_now(s->clk), p = period_ticks(s);
    if (!level && (want & B_PIE) && p) {
        u64 t = (xtal(now) / p + 1) * p;
        when = (u64)(((u128)t * NS_PER_SEC + XTAL_HZ - 1) / XTAL_HZ);
    }
    if (!level && !held(s) && (want & (B_AIE | B_UIE))) {
        i64 rtc = rtc_now(s), sec = floor_div(rtc, SEC_NS) + 1;
        if (!(want & B_UIE))
            sec = next_alarm(s, sec);
        if (sec != INT64_MAX)
            when = MIN(when, now + (u64)(sec * SEC_NS - rtc));
    }
    if (when == CLOCK_NEVER)
        timer_disarm(&s->timer);
    else
        timer_arm(&s->timer, when);
}

static void on_timer(void *ctx)
{
    struct mc146818 *s = ctx;
    sync(s);
    update(s);
}

/* ---- guest access --------------------------------------------------------------------------- */
/* Lets the clock run from what the registers say; phase: ns into the second. */
static void release(struct mc146818 *s, i64 phase)
{
    i64 ns = regs_to_ns(s) + phase;
    s->offset = ns - (i64)clock_wall(s->clk);
    s->synced = ns;
}

static void write_control(struct mc146818 *s, int idx, u8 val)
{
    bool was = held(s), was_reset = (s->regs[R_A] & A_DV_RESET) == A_DV_RESET;
    i64 now = rtc_now(s);
    if (idx == R_A) {
        s->regs[R_A] = val & (u8)~A_UIP;
    } else {
        if (val & B_SET) /* "UIE is cleared when SET goes high" */
            val &= (u8)~B_UIE;
        s->regs[R_B] = val;
    }
    bool is = held(s), is_reset = (s->regs[R_A] & A_DV_RESET) == A_DV_RESET;
    if (!was && is) {
        s->held_ns = now;
        fill_clock_regs(s, now);
    } else if (was && !is) {
        /* SET stops the transfer to the registers, not the divider: the fraction of the second runs
         * on. A divider reset starts a new one. */
        i64 wall = (i64)clock_wall(s->clk) + s->offset;
        release(s, was_reset ? SEC_NS - DV_RESET_NS : wall - floor_div(wall, SEC_NS) * SEC_NS);
    } else if (was && was_reset && !is_reset) {
        i64 wall = (i64)clock_wall(s->clk);
        s->offset = SEC_NS - DV_RESET_NS - (wall - floor_div(wall, SEC_NS) * SEC_NS);
    }
}

static void write_reg(struct mc146818 *s, int idx, u8 val)
{
    switch (idx) {
    case R_A:
    case R_B:
        write_control(s, idx, val);
        break;
    case R_C:
    case R_D: /* read-only */
        break;
    default:
        if (is_clock_reg(idx) && !held(s)) {
            /* Not allowed by the data sheet, but done: takes effect at once. */
            i64 now = rtc_now(s);
            fill_clock_regs(s, now);
            s->regs[idx] = val;
            release(s, now - floor_div(now, SEC_NS) * SEC_NS);
        } else {
            s->regs[idx] = val;
        }
        break;
    }
}

static void mc146818_write(struct device *d, int region, u64 off, u64 val64, int size)
{
    struct mc146818 *s = (struct mc146818 *)d;
    u8 val = (u8)val64;
    if (!(off & 1)) {
        s->index = val;
        return;
    }
    sync(s);
    write_reg(s, s->index & 0x7f, val);
    update(s);
}

static bool uip(const struct mc146818 *s)
{
    if (held(s)) /* "UIP is cleared by SET" */
        return false;
    i64 now = rtc_now(s);
    return now - floor_div(now, SEC_NS) * SEC_NS >= SEC_NS - UIP_NS;
}

static u8 read_reg(const struct mc146818 *s, int idx)
{
    u8 c = s->regs[R_C];
    switch (idx) {
    case R_A:
        return s->regs[R_A] | (uip(s) ? A_UIP : 0);
    case R_C:
        return c | (c & s->regs[R_B] & (C_PF | C_AF | C_UF) ? C_IRQF : 0);
    case R_D:
        return D_VRT;
    default:
        return is_clock_reg(idx) && !held(s) ? clock_reg(s, idx, rtc_now(s)) : s->regs[idx];
    }
}

static u64 mc146818_peek(struct device *d, int region, u64 off, int size)
{
    struct mc146818 *s = (struct mc146818 *)d;
    return off & 1 ? read_reg(s, s->index & 0x7f) : s->index;
}

static u64 mc146818_read(struct device *d, int region, u64 off, int size)
{
    struct mc146818 *s = (struct mc146818 *)d;
    sync(s);
    u64 val = mc146818_peek(d, region, off, size);
    if ((off & 1) && (s->index & 0x7f) == R_C)
        s->regs[R_C] = 0;
    update(s);
    return val;
}

void mc146818_set(struct device *d, int idx, u8 val)
{
    struct mc146818 *s = (struct mc146818 *)d;
    if (idx > R_D && idx < 128 && idx != R_CENTURY)
        s->regs[idx] = val;
}

u8 mc146818_get(const struct device *d, int idx)
{
    const struct mc146818 *s = (const struct mc146818 *)d;
    return idx > R_D && idx < 128 ? read_reg(s, idx) : 0;
}

bool mc146818_nmi_masked(const struct device *d)
{
    return ((const struct mc146818 *)d)->index & 0x80;
}

static void mc146818_reset(struct device *d)
{
    struct mc146818 *s = (struct mc146818 *)d;
    /* The RESET pin clears PIE, AIE, UIE, SQWE and the flags; clock and RAM have a battery. */
    sync(s);
    s->regs[R_B] &= B_SET | B_DM | B_24 | 1;
    s->regs[R_C] = 0;
    s->index = 0;
    update(s);
}

static bool mc146818_loaded(struct device *d)
{
    struct mc146818 *s = (struct mc146818 *)d;
    s->wday_add %= 7;
    s->regs[R_A] &= (u8)~A_UIP;
    s->regs[R_C] &= C_PF | C_AF | C_UF;
    /* Keep sums of times far from overflow; the registers reach from 1900 to 2099. */
    const i64 far = 140 * 366 * DAY_SEC * SEC_NS;
    if (s->offset > far || s->offset < -far || s->held_ns > far || s->held_ns < -far ||
        s->synced > far || s->synced < -far)
        return false;
    irq_set(&s->irq, s->line);
    return true; /* the timer is armed; what it has not yet brought up to date stays so */
}

static void mc146818_destroy(struct device *d)
{
    struct mc146818 *s = (struct mc146818 *)d;
    timer_disarm(&s->timer);
    free(s);
}

static const struct field mc146818_state[] = {
    FIELD_U(struct mc146818, index),    FIELD_BUF(struct mc146818, regs),
    FIELD_U(struct mc146818, offset),   FIELD_U(struct mc146818, held_ns),
    FIELD_U(struct mc146818, synced),   FIELD_U(struct mc146818, psynced),
    FIELD_U(struct mc146818, wday_add), FIELD_B(struct mc146818, line),
    FIELD_T(struct mc146818, timer),    FIELD_END,
};

static const struct device_ops mc146818_ops = {
    .name = "mc146818",
    .reset = mc146818_reset,
    .read = mc146818_read,
    .write = mc146818_write,
    .peek = mc146818_peek,
    .state = mc146818_state,
    .loaded = mc146818_loaded,
    .destroy = mc146818_destroy,
};

struct device *mc146818_new(struct space *ports, struct irq irq, struct clock *clk)
{
    struct mc146818 *s = calloc(1, sizeof(*s));
    CHECK(s);
    s->dev.ops = &mc146818_ops;
    s->irq = irq;
    s->clk = clk;
    timer_init(&s->timer, clk, on_timer, s);
    s->regs[R_A] = A_DV_RUN | 6; /* 1024 Hz, as PC firmware leaves it */
    s->regs[R_B] = B_24;
    s->synced = rtc_now(s);
    s->psynced = clock_now(clk);
    space_map_io(ports, 0x70, 2, &s->dev, 0, 1, 0);
    return &s->dev;
}
