/*
 * devices/port61.c - PC system control port B ("NMI status and control").
 *
 * What it is: bits 0-3 as written (timer 2 gate, speaker data, SERR# and IOCHK# NMI disables),
 * bit 4 toggling with every refresh cycle, bit 5 timer 2's output. What it is not: a source of
 * NMIs; bits 6 and 7 read 0.
 *
 * Manual: Intel 82371SB (PIIX3) 2.5.7.1, "NMISC". Refresh requests come every 18 timer ticks (15
 * us) whatever timer 1 says, as its programming is a formality since refresh moved into the
 * chipset.
 */
#include "devices/port61.h"
#include "base/bits.h"
#include "base/log.h"
#include "bus/space.h"
#include "devices/i8254.h"
#include <stdlib.h>

enum { GATE2 = 0x01, SPEAKER = 0x02, WRITABLE = 0x0f, REFRESH = 0x10, OUT2 = 0x20 };
#define REFRESH_TICKS 18

struct port61 {
    struct device dev;
    struct device *pit;
    struct clock *clk;
    u8 ctl;
};

static u64 port61_peek(struct device *d, int region, u64 off, int size)
{
    struct port61 *s = (struct port61 *)d;
    u64 tick = muldiv64(clock_now(s->clk), I8254_HZ, NS_PER_SEC);
    return s->ctl | (tick / REFRESH_TICKS & 1 ? REFRESH : 0u) | (i8254_out(s->pit, 2) ? OUT2 : 0u);
}

static void port61_write(struct device *d, int region, u64 off, u64 val, int size)
{
    struct port61 *s = (struct port61 *)d;
    s->ctl = val & WRITABLE;
    i8254_set_gate(s->pit, 2, s->ctl & GATE2);
}

u32 port61_tone(struct device *d)
{
    struct port61 *s = (struct port61 *)d;
    return (s->ctl & SPEAKER) ? i8254_period(s->pit, 2) : 0;
}

static void port61_reset(struct device *d)
{
    port61_write(d, 0, 0, 0, 1);
}

static bool port61_loaded(struct device *d)
{
    struct port61 *s = (struct port61 *)d;
    s->ctl &= WRITABLE; /* the gate is in the timer's own state */
    return true;
}

static void port61_destroy(struct device *d)
{
    free(d);
}

static const struct field port61_state[] = {FIELD_U(struct port61, ctl), FIELD_END};

static const struct device_ops port61_ops = {
    .name = "port61",
    .reset = port61_reset,
    .read = port61_peek,
    .write = port61_write,
    .peek = port61_peek,
    .state = port61_state,
    .loaded = port61_loaded,
    .destroy = port61_destroy,
};

struct device *port61_new(struct space *ports, struct device *pit, struct clock *clk)
{
    struct port61 *s = calloc(1, sizeof(*s));
    CHECK(s);
    s->dev.ops = &port61_ops;
    s->pit = pit;
    s->clk = clk;
    port61_reset(&s->dev);
    space_map_io(ports, 0x61, 1, &s->dev, 0, 1, 0);
    return &s->dev;
}
