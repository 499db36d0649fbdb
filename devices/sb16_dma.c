/*
 * devices/sb16_dma.c - a Sound Blaster 16's samples: from memory at the DSP's rate, decoded, into
 * its voice; and direct mode.
 *
 * What it is: a timer that moves about a millisecond's worth at a time, so that the DMA
 * controller's count is where a program expects it, and interrupts at the end of each block. What
 * it is not: recording (what is recorded is silence) and two transfers at once.
 *
 * Late hosts: when the host was elsewhere and several blocks are due, one is moved and the next
 * waits until the guest has taken the interrupt or a quarter of a block has passed. What is owed
 * beyond OWED_NS is forgotten. The mixer waits that long for us, so the guest's late answers are
 * not heard.
 *
 * Manual: Creative, Sound Blaster Series Hardware Programming Guide, ch. 3 and 6. ADPCM: the steps
 * are differences of the magnitude times 1, 2, 4 or 8, larger after large ones, smaller after
 * zeros.
 */
#include "base/bits.h"
#include "base/log.h"
#include "bus/backend.h"
#include "devices/i8237.h"
#include "devices/sb16_priv.h"
#include <string.h>

enum {
    STEPS = 256, /* moved at once */
    DAC_RATE = 192000000,
    RATE_UNIT = 1000,
};
#define CHUNK_NS   1000000ull
#define OWED_NS    (100 * 1000000ull)
#define GATE_NS    200000ull
#define DAC_OFF_NS (30 * 1000000ull)

/* ---- time ----------------------------------------------------------------------------------- */
/* Frames in a step: a byte of ADPCM has several. */
static u32 frames_a_step(const struct sb_transfer *t)
{
    static const u8 n[SB_KINDS] = {1, 2, 3, 4, 1};
    return n[t->kind];
}

static u32 samples_a_step(const struct sb_transfer *t)
{
    return t->stereo ? 2 : 1;
}

static u64 ns_of(const struct sb_transfer *t, u64 steps)
{
    return muldiv64(steps * frames_a_step(t), RATE_UNIT * NS_PER_SEC, t->rate);
}

static u64 steps_of(const struct sb_transfer *t, u64 ns)
{
    return muldiv64(ns, t->rate, RATE_UNIT * NS_PER_SEC * frames_a_step(t));
}

static u64 steps_left(const struct sb_transfer *t)
{
    return (t->left + samples_a_step(t) - 1) / samples_a_step(t);
}

/* From now on steps are counted anew. */
static void rebase(struct sb_transfer *t, u64 at)
{
    t->start = at;
    t->done = 0;
}

static u64 position(const struct sb_transfer *t)
{
    return t->start + ns_of(t, t->done);
}

static bool running(const struct sb_transfer *t)
{
    return t->active && !t->paused && !t->held;
}

static bool gated(const struct sb16 *s, u64 now)
{
    return s->pending & (s->t.wide ? SB_IRQ_16 : SB_IRQ_8) && now < s->t.gate;
}

static void arm(struct sb16 *s, u64 now)
{
    struct sb_transfer *t = &s->t;
    if (!running(t)) {
        timer_disarm(&s->timer);
        return;
    }
    u64 chunk = MAX(steps_of(t, CHUNK_NS), 1u);
    u64 when = t->start + ns_of(t, t->done + MIN(chunk, steps_left(t))) + 1;
    if (gated(s, now))
        when = MAX(when, t->gate);
    timer_arm(&s->timer, MAX(when, now + 1));
}

static void request(struct sb16 *s)
{
    int ch = sb_dma_channel(s, s->t.wide);
    static const u8 all[] = {0, 1, 3, 5, 6, 7};
    for (size_t k = 0; k < ARRAY_LEN(all); k++)
        i8237_set_drq(s->dma, all[k],
                      all[k] == ch && s->t.active && !s->t.paused && s->t.kind != SB_SILENCE);
}

/* ---- samples --------------------------------------------------------------------------------- */
static i16 sample(const struct sb_transfer *t, const u8 *p)
{
    if (t->wide)
        return (i16)(ld_u16(p) ^ (t->is_signed ? 0 : 0x8000));
    return (i16)((u16)(*p ^ (t->is_signed ? 0 : 0x80)) << 8);
}

/* One ADPCM code of `bits` bits, the highest the sign. */
static i16 adpcm(struct sb_transfer *t, u32 code, int bits, int shift)
{
    i32 size = (i32)(code & (BIT(bits - 1) - 1)), most = 2 * bits - 3;
    i32 diff = size << (t->step + shift);
    t->sample += code & BIT(bits - 1) ? -diff : diff;
    t->sample = MAX(MIN(t->sample, 255), 0);
    if (size >= most && t->step < 3)
        t->step++;
    else if (size == 0 && t->step > 0)
        t->step--;
    return (i16)((t->sample - 128) * 256);
}

/* A byte's frames; returns how many. */
static size_t adpcm_byte(struct sb_transfer *t, u8 b, i16 *to)
{
    i16 v[4] = {0};
    size_t n = frames_a_step(t);
    if (t->reference) {
        t->reference = false;
        t->sample = b;
        t->step = 0;
        for (size_t k = 0; k < n; k++)
            v[k] = (i16)((b - 128) * 256);
    } else if (t->kind == SB_ADPCM4) {
        v[0] = adpcm(t, b >> 4, 4, 0);
        v[1] = adpcm(t, b & 15, 4, 0);
    } else if (t->kind == SB_ADPCM3) {
        v[0] = adpcm(t, b >> 5, 3, 0);
        v[1] = adpcm(t, b >> 2 & 7, 3, 0);
        v[2] = adpcm(t, b & 3, 2, 0);
    } else {
        for (int k = 0; k < 4; k++)
            v[k] = adpcm(t, b >> (6 - 2 * k) & 3, 2, 2);
    }
    for (size_t k = 0; k < n; k++)
        to[2 * k] = to[2 * k + 1] = v[k];
    return n;
}

static void hear(struct sb16 *s, const u8 *data, size_t steps)
{
    struct sb_transfer *t = &s->t;
    i16 out[STEPS * 4 * 2];
    size_t n = 0, width = t->wide ? 2 : 1;
    for (size_t k = 0; k < steps; k++) {
        if (t->kind != SB_PCM) {
            n += adpcm_byte(t, data[k], out + 2 * n);
            continue;
        }
        const u8 *p = data + k * width * samples_a_step(t);
        out[2 * n] = sample(t, p);
        out[2 * n + 1] = t->stereo ? sample(t, p + width) : out[2 * n];
        n++;
    }
    voice_push(s->voice, position(t), t->rate, out, n);
}

/* Moves up to n bytes; an auto-initialized channel begins again as often as it takes. */
static size_t move(struct sb16 *s, u8 *buf, size_t n)
{
    enum i8237_dir dir = s->t.input ? I8237_TO_MEMORY : I8237_FROM_MEMORY;
    int ch = sb_dma_channel(s, s->t.wide);
    size_t got = 0, part = 1;
    while (ch >= 0 && got < n && part) {
        part = i8237_transfer(s->dma, ch, buf + got, n - got, dir, NULL);
        got += part;
    }
    return got;
}

/* Moves up to n steps that are in the block; returns how many. */
static size_t transfer(struct sb16 *s, size_t n)
{
    struct sb_transfer *t = &s->t;
    u8 buf[STEPS * 4];
    size_t width = t->wide ? 2 : 1, samples;
    n = MIN(n, (size_t)STEPS);
    samples = MIN(n * samples_a_step(t), t->left);
    memset(buf, t->wide || t->is_signed ? 0 : 0x80, sizeof(buf));
    if (t->kind != SB_SILENCE)
        samples = move(s, buf, samples * width) / width;
    if (!samples)
        return 0;
    n = (samples + samples_a_step(t) - 1) / samples_a_step(t);
    if (s->voice && !t->input && t->kind != SB_SILENCE)
        hear(s, buf, n);
    t->left -= (u32)samples;
    t->done += n;
    return n;
}

/* ---- running --------------------------------------------------------------------------------- */
static void block_end(struct sb16 *s, u64 now)
{
    struct sb_transfer *t = &s->t;
    t->left = t->block;
    t->gate = now + MAX(ns_of(t, steps_left(t)) / 4, GATE_NS);
    if (!t->again) {
        t->active = false;
        request(s);
    }
    sb_raise(s, t->wide ? SB_IRQ_16 : SB_IRQ_8);
}

static void dac_run(struct sb16 *s, u64 now);

void sb_run(struct sb16 *s)
{
    struct sb_transfer *t = &s->t;
    u64 now = clock_now(s->clk);
    dac_run(s, now);
    if (!running(t))
        return;
    if (now > t->start && !gated(s, now)) {
        u64 due = steps_of(t, now - t->start), owed = steps_of(t, OWED_NS);
        if (due > t->done + owed) {
            rebase(t, now - OWED_NS);
            due = owed;
        }
        while (t->done < due) {
            if (!transfer(s, (size_t)MIN(due - t->done, (u64)STEPS))) {
                t->held = true;
                break;
            }
            if (!t->left) {
                block_end(s, now);
                break;
            }
        }
    }
    arm(s, now);
}

void sb_on_timer(void *ctx)
{
    sb_run(ctx);
}

void sb_on_dma(void *ctx)
{
    struct sb16 *s = ctx;
    u64 now = clock_now(s->clk);
    enum i8237_dir dir = s->t.input ? I8237_TO_MEMORY : I8237_FROM_MEMORY;
    int ch = sb_dma_channel(s, s->t.wide);
    if (!s->t.active || !s->t.held || ch < 0 || !i8237_ready(s->dma, ch, dir))
        return;
    s->t.held = false;
    rebase(&s->t, now);
    arm(s, now);
}

u64 sb_upto(void *ctx, u64 now)
{
    struct sb16 *s = ctx;
    sb_run(s);
    return running(&s->t) ? MIN(now, s->t.start + ns_of(&s->t, s->t.done + 1)) : now;
}

static u32 rate_for(const struct sb16 *s, const struct sb_transfer *t)
{
    return s->by_constant && t->stereo ? MAX(s->rate / 2, (u32)VOICE_RATE_MIN) : s->rate;
}

void sb_transfer_start(struct sb16 *s, const struct sb_transfer *t)
{
    u64 now = clock_now(s->clk);
    sb_run(s);
    i32 keep_sample = s->t.sample;
    u8 keep_step = s->t.step;
    s->t = *t;
    s->t.sample = keep_sample; /* without a reference byte ADPCM goes on from the last sample */
    s->t.step = keep_step;
    s->t.active = true;
    s->t.left = t->block;
    s->t.rate = rate_for(s, t);
    rebase(&s->t, now);
    request(s);
    arm(s, now);
}

void sb_transfer_stop(struct sb16 *s)
{
    s->t.active = s->t.paused = s->t.held = false;
    request(s);
    timer_disarm(&s->timer);
}

void sb_transfer_pause(struct sb16 *s, bool on)
{
    u64 now = clock_now(s->clk);
    if (s->t.paused == on)
        return;
    sb_run(s);
    s->t.paused = on;
    if (!on)
        rebase(&s->t, now);
    request(s);
    arm(s, now);
}

void sb_transfer_rate(struct sb16 *s)
{
    u32 rate = rate_for(s, &s->t);
    if (!s->t.active || s->t.rate == rate)
        return;
    rebase(&s->t, position(&s->t));
    s->t.rate = rate;
    arm(s, clock_now(s->clk));
}

void sb_transfer_loaded(struct sb16 *s)
{
    struct sb_transfer *t = &s->t;
    u64 now = clock_now(s->clk);
    t->kind = t->kind < SB_KINDS ? t->kind : SB_PCM;
    t->stereo &= t->kind == SB_PCM;
    t->wide &= t->kind == SB_PCM;
    t->rate = MAX(t->rate, (u32)VOICE_RATE_MIN);
    t->block = MAX(MIN(t->block, 65536u), 1u);
    t->left = MAX(MIN(t->left, t->block), t->active ? 1u : 0u);
    t->sample = MAX(MIN(t->sample, 255), 0);
    t->step &= 3;
    if (t->start > now || t->done > steps_of(t, now - t->start))
        rebase(t, now);
    t->gate = MIN(t->gate, now + OWED_NS);
    s->dac_on = false;
    request(s);
    arm(s, now);
}

/* ---- direct mode ------------------------------------------------------------------------------
 */
/* The level stands until the next: frames at a rate far above what programs manage. */
static void dac_run(struct sb16 *s, u64 now)
{
    i16 out[STEPS * 2];
    u64 until = muldiv64(now, DAC_RATE, RATE_UNIT * NS_PER_SEC);
    if (!s->dac_on)
        return;
    if (now < s->dac_ns || now - s->dac_ns > DAC_OFF_NS) {
        s->dac_on = false;
        return;
    }
    for (size_t k = 0; k < STEPS; k++)
        out[2 * k] = out[2 * k + 1] = s->dac;
    while (s->dac_done < until) {
        size_t n = (size_t)MIN(until - s->dac_done, (u64)STEPS);
        voice_push(s->voice, muldiv64(s->dac_done, RATE_UNIT * NS_PER_SEC, DAC_RATE), DAC_RATE, out,
                   n);
        s->dac_done += n;
    }
}

void sb_dac(struct sb16 *s, u8 val)
{
    u64 now = clock_now(s->clk);
    if (!s->voice)
        return;
    dac_run(s, now);
    if (!s->dac_on)
        s->dac_done = muldiv64(now, DAC_RATE, RATE_UNIT * NS_PER_SEC);
    s->dac_on = true;
    s->dac_ns = now;
    s->dac = (i16)((val - 128) * 256);
}
