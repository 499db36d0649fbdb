/*
 * devices/port61.c - PC system control port B ("NMI status and control").
 *
 * What it is: bits 0-3 as written (timer 2 gate, speaker data, SERR# and IOCHK# NMI disables),
 * bit 4 toggling with every refresh cycle, bit 5 timer 2's output; the speaker, whose voltage is
 * timer 2's output AND the speaker data bit. What it is not: a source of NMIs; bits 6 and 7 read 0.
 *
 * The speaker's voice: a frame is GROUP ticks of the timer, as loud as the number of them at which
 * the voltage is high, so edges (and sounds made by toggling the data bit) keep their place; the
 * mixer filters. A speaker passes no direct current: a slow average is taken off. Frames are made
 * up to the moment before the wave changes, and when the mixer asks; none are while it is silent.
 *
 * Manual: Intel 82371SB (PIIX3) 2.5.7.1, "NMISC". Refresh requests come every 18 timer ticks (15
 * us) whatever timer 1 says, as its programming is a formality since refresh moved into the
 * chipset.
 */
#include "devices/port61.h"
#include "base/bits.h"
#include "base/log.h"
#include "bus/backend.h"
#include "bus/space.h"
#include "devices/i8254.h"
#include <stdlib.h>

enum { GATE2 = 0x01, SPEAKER = 0x02, WRITABLE = 0x0f, REFRESH = 0x10, OUT2 = 0x20 };
#define REFRESH_TICKS 18

enum {
    GROUP = 6, /* ticks a frame: 199 kHz */
    VOICE_RATE = (u32)(I8254_HZ * 1000ull / GROUP),
    LEVEL = 12288,         /* of the voltage, high to low */
    DC_SHIFT = 12,         /* the average is over 2^12 frames, 20 ms */
    FRAMES = 256,          /* pushed at once */
    LONGEST = I8254_HZ / 5 /* ticks; what lies further back is not made any more */
};

struct port61 {
    struct device dev;
    struct device *pit;
    struct clock *clk;
    u8 ctl;
    struct voice *voice;
    u64 tick; /* of the voice: frames up to it are made, a multiple of GROUP */
    u32 part; /* ticks of the next frame that are known */
    u32 high; /* of them, high */
    i32 dc;   /* the average, in 2^-DC_SHIFT of a sample */
};

/* ---- the speaker ---------------------------------------------------------------------------- */
static u64 tick_now(const struct port61 *s)
{
    return muldiv64(clock_now(s->clk), I8254_HZ, NS_PER_SEC);
}

static bool silent(const struct port61 *s)
{
    return !(s->ctl & SPEAKER) && !s->high && s->dc >> DC_SHIFT == 0;
}

/* The frames whose last tick is before `until`. */
static void speak(void *ctx, u64 until)
{
    struct port61 *s = ctx;
    i16 buf[FRAMES * 2];
    size_t n = 0;
    if (until > s->tick + LONGEST || silent(s)) {
        if (until < s->tick + GROUP)
            return;
        s->tick = until - until % GROUP;
        s->part = (u32)(until % GROUP);
        s->high = 0;
        return;
    }
    while (s->tick + s->part < until) {
        u32 ticks = (u32)MIN((u64)(GROUP - s->part), until - s->tick - s->part);
        if (s->ctl & SPEAKER)
            s->high += i8254_high(s->pit, s->tick + s->part, ticks);
        s->part += ticks;
        if (s->part < GROUP)
            break;
        i32 level = (i32)s->high * (LEVEL / GROUP);
        s->dc += level - (s->dc >> DC_SHIFT);
        buf[2 * n] = buf[2 * n + 1] = (i16)(level - (s->dc >> DC_SHIFT));
        n++;
        s->tick += GROUP;
        s->part = s->high = 0;
        if (n == FRAMES) {
            voice_push(s->voice, muldiv64(s->tick - n * GROUP, NS_PER_SEC, I8254_HZ), VOICE_RATE,
                       buf, n);
            n = 0;
        }
    }
    voice_push(s->voice, muldiv64(s->tick - n * GROUP, NS_PER_SEC, I8254_HZ), VOICE_RATE, buf, n);
}

static u64 speak_upto(void *ctx, u64 now)
{
    struct port61 *s = ctx;
    i8254_sync(s->pit);
    speak(s, muldiv64(now, I8254_HZ, NS_PER_SEC));
    return now;
}

static void hush(struct port61 *s)
{
    s->tick = tick_now(s);
    s->tick -= s->tick % GROUP;
    s->part = s->high = 0;
    s->dc = 0;
}

/* ---- the port -------------------------------------------------------------------------------- */

static u64 port61_peek(struct device *d, int region, u64 off, int size)
{
    struct port61 *s = (struct port61 *)d;
    return s->ctl | (tick_now(s) / REFRESH_TICKS & 1 ? REFRESH : 0u) |
           (i8254_out(s->pit, 2) ? OUT2 : 0u);
}

static void port61_write(struct device *d, int region, u64 off, u64 val, int size)
{
    struct port61 *s = (struct port61 *)d;
    if (s->voice) {
        i8254_sync(s->pit);
        speak(s, tick_now(s));
    }
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
    hush(s);
    return true;
}

static void port61_destroy(struct device *d)
{
    struct port61 *s = (struct port61 *)d;
    if (s->voice)
        s->voice->upto = NULL;
    free(s);
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

struct device *port61_new(struct space *ports, struct device *pit, struct clock *clk,
                          struct voice *voice)
{
    struct port61 *s = calloc(1, sizeof(*s));
    CHECK(s);
    s->dev.ops = &port61_ops;
    s->pit = pit;
    s->clk = clk;
    s->voice = voice;
    if (voice) {
        voice->upto = speak_upto;
        voice->ctx = s;
        i8254_watch(pit, speak, s);
    }
    hush(s);
    port61_reset(&s->dev);
    space_map_io(ports, 0x61, 1, &s->dev, 0, 1, 0);
    return &s->dev;
}
