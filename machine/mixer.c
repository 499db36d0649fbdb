/*
 * machine/mixer.c - resamples each chip's frames to AUDIO_RATE, adds them up, plays the sum.
 *
 * What it is: a ring of output frames that voices add to, each input frame spread over the
 * neighbourhood of its moment by a windowed sinc (band-limited to the lower of the two rates), and
 * a timer that takes from the ring what no voice can add to any more. Everything follows the
 * machine's clock, so two runs with -icount give the same stream.
 *
 * Invariants: frames below `out` are played; [out, out + RING) is in the ring, the rest of it is
 * zero. A voice's frames are at base + count * step: no rounding adds up.
 * No floating point: the guest's MXCSR is loaded when chips push.
 *
 * Late hosts: a chip that waits for its guest (upto() said less than now) is waited for, LAG_NS at
 * most; the stream is then that much behind and catches up by itself.
 */
#include "machine/mixer.h"
#include "base/log.h"

#include <stdlib.h>
#include <string.h>

#include "machine/sinc.h"

enum {
    RING = 16384,          /* frames; a third of a second */
    SPREAD = 160,          /* frames before its moment that the slowest voice's frame reaches */
    CHUNK = 512,           /* frames played at once */
    SHIFT = 6,             /* bits of the sum below a sample's */
    DOWN = 15 + 8 - SHIFT, /* and of a product below the sum's */
    ROUND = 1 << (DOWN - 1),
    POS = 24,     /* bits of a position below a frame */
    RESYNC_S = 4, /* a jump of the clock larger than this is not filled with silence */
};
#define TICK_NS   (10 * 1000000ull)
#define LAG_NS    (120 * 1000000ull)
#define SEAM_NS   (2 * 1000000ull) /* a voice that is off by less goes on where it was */
#define RATE_UNIT 1000u

struct slot {
    struct voice v;
    struct mixer *m;
    u64 base;  /* output position, in 2^-POS frames */
    u64 count; /* frames since */
    u32 rate;  /* 0: nothing pushed yet */
};

struct mixer {
    struct device dev;
    struct clock *clk;
    struct audio_sink *sink;
    struct timer tick;
    u64 out; /* the next frame to play */
    int n;
    struct slot voice[MIXER_VOICES];
    i32 ring[RING * 2];
};

/* ---- in ------------------------------------------------------------------------------------- */
static u64 position(u64 ns)
{
    return (u64)((((u128)ns * AUDIO_RATE) << POS) / NS_PER_SEC);
}

static u64 slot_position(const struct slot *s, u64 count)
{
    return s->base + (u64)((((u128)count * AUDIO_RATE * RATE_UNIT) << POS) / s->rate);
}

/* The filter at distance d (2^-POS units), in 2^-15. */
static i32 filter(u64 d)
{
    const u32 shift = POS - 7;
    u64 k = d >> shift;
    if (k >= SINC_HALF * SINC_PHASES)
        return 0;
    i32 part = (i32)(d & ((1u << shift) - 1)) >> (shift - 15);
    return sinc[k] + (((sinc[k + 1] - sinc[k]) * part) >> 15);
}

/* Adds one frame at pos. squeeze: of the filter, 2^16 = none, less for rates below the output's;
 * samples in 2^-8. */
static void spread(struct mixer *m, u64 pos, u32 squeeze, i64 left, i64 right)
{
    u64 half = ((u64)SINC_HALF << (POS + 16)) / squeeze;
    u64 from = pos > half ? ((pos - half) >> POS) + 1 : 0, to = (pos + half) >> POS;
    from = MAX(from, m->out);
    to = MIN(to, m->out + RING - 1);
    for (u64 n = from; n <= to; n++) {
        u64 at = n << POS, d = at > pos ? at - pos : pos - at;
        i32 f = filter(d * squeeze >> 16);
        i32 *sum = &m->ring[n % RING * 2];
        sum[0] = (i32)((u32)sum[0] + (u32)((left * f + ROUND) >> DOWN));
        sum[1] = (i32)((u32)sum[1] + (u32)((right * f + ROUND) >> DOWN));
    }
}

static void push(struct voice *v, u64 at, u32 rate, const i16 *frames, size_t n)
{
    struct slot *s = container_of(v, struct slot, v);
    u64 pos = position(at), seam = position(SEAM_NS);
    if (rate < VOICE_RATE_MIN)
        return;
    u64 expected = s->rate ? slot_position(s, s->count) : 0;
    bool far = pos > expected + seam || expected > pos + seam;
    if (rate != s->rate || far) {
        s->base = far ? pos : expected;
        s->count = 0;
        s->rate = rate;
    }
    u64 out_rate = (u64)AUDIO_RATE * RATE_UNIT;
    u32 squeeze = rate < out_rate ? (u32)(((u64)rate << 16) / out_rate) : 65536;
    u64 gain = rate > out_rate ? (out_rate << 16) / rate : 65536;
    i64 left = (i64)(gain * MIN(v->left, (u32)VOICE_FULL) >> 16);
    i64 right = (i64)(gain * MIN(v->right, (u32)VOICE_FULL) >> 16);
    for (size_t k = 0; k < n; k++)
        spread(s->m, slot_position(s, s->count++), squeeze, frames[2 * k] * left >> 8,
               frames[2 * k + 1] * right >> 8);
}

/* ---- out ------------------------------------------------------------------------------------ */
static i16 clip(i32 sum)
{
    sum = (sum + (1 << (SHIFT - 1))) >> SHIFT;
    return (i16)MAX(MIN(sum, INT16_MAX), INT16_MIN);
}

static void play(struct mixer *m, u64 to)
{
    i16 buf[CHUNK * 2];
    while (m->out < to) {
        size_t n = (size_t)MIN(to - m->out, (u64)CHUNK);
        for (size_t k = 0; k < n; k++) {
            i32 *sum = &m->ring[(m->out + k) % RING * 2];
            buf[2 * k] = clip(sum[0]);
            buf[2 * k + 1] = clip(sum[1]);
            sum[0] = sum[1] = 0;
        }
        m->out += n;
        m->sink->ops->play(m->sink, buf, n);
    }
}

/* Frames that nothing pushed at `ns` or later reaches. */
static u64 settled(u64 ns)
{
    u64 frame = position(ns) >> POS;
    return frame > SPREAD ? frame - SPREAD : 0;
}

static void restart(struct mixer *m, u64 now)
{
    memset(m->ring, 0, sizeof(m->ring));
    m->out = settled(now);
    for (int k = 0; k < m->n; k++)
        m->voice[k].rate = 0;
}

static void arm(struct mixer *m, u64 now)
{
    if (m->sink)
        timer_arm(&m->tick, (now / TICK_NS + 1) * TICK_NS);
}

static void on_tick(void *ctx)
{
    struct mixer *m = ctx;
    u64 now = clock_now(m->clk), ready = now, late = now > LAG_NS ? now - LAG_NS : 0;
    if (settled(now) > m->out + RESYNC_S * AUDIO_RATE)
        restart(m, now);
    for (int k = 0; k < m->n; k++) {
        struct voice *v = &m->voice[k].v;
        if (v->upto)
            ready = MIN(ready, v->upto(v->ctx, now));
    }
    play(m, settled(MAX(ready, late)));
    arm(m, now);
}

/* ---- the device -------------------------------------------------------------------------------
 */
static bool mixer_loaded(struct device *d)
{
    struct mixer *m = (struct mixer *)d;
    u64 now = clock_now(m->clk);
    restart(m, now); /* the clock may stand anywhere */
    arm(m, now);
    return true;
}

static void mixer_destroy(struct device *d)
{
    struct mixer *m = (struct mixer *)d;
    timer_disarm(&m->tick);
    free(m);
}

/* What sounds is the chips' state; what was heard is gone. */
static const struct field mixer_state[] = {FIELD_END};

static const struct device_ops mixer_ops = {
    .name = "mixer",
    .state = mixer_state,
    .loaded = mixer_loaded,
    .destroy = mixer_destroy,
};

struct device *mixer_new(struct clock *clk, struct audio_sink *sink)
{
    struct mixer *m = calloc(1, sizeof(*m));
    CHECK(m);
    m->dev.ops = &mixer_ops;
    m->clk = clk;
    m->sink = sink;
    timer_init(&m->tick, clk, on_tick, m);
    restart(m, clock_now(clk));
    arm(m, clock_now(clk));
    return &m->dev;
}

struct voice *mixer_voice(struct device *mixer)
{
    static const struct voice_ops ops = {push};
    struct mixer *m = (struct mixer *)mixer;
    if (!m || !m->sink)
        return NULL;
    CHECK(m->n < MIXER_VOICES);
    struct slot *s = &m->voice[m->n++];
    s->m = m;
    s->v = (struct voice){.ops = &ops, .left = VOICE_FULL, .right = VOICE_FULL};
    return &s->v;
}
