/*
 * devices/ac97_dma.c - the 82801AA's bus masters: from lists of buffers to the codec, at its rate.
 *
 * What it is: a position that is computed when somebody looks, and a timer at the ends of buffers.
 * What is recorded is silence.
 *
 * Late hosts: as the Sound Blaster's (sb16_dma.c): after a buffer that interrupts, the next waits
 * until the guest has taken the interrupt or a quarter of a buffer has passed; what is owed beyond
 * OWED_NS is forgotten. A buffer of no length takes no time, and a list of them ends at the last
 * valid one.
 *
 * Manual: Intel 82801AA (ICH) data sheet (290655), ch. 13 "AC'97 Audio Controller".
 */
#include "base/bits.h"
#include "base/log.h"
#include "bus/backend.h"
#include "devices/ac97_priv.h"
#include <string.h>

enum { FRAMES = 256, RATE_UNIT = 1000 };
#define OWED_NS (100 * 1000000ull)
#define GATE_NS 200000ull

static int index_of(const struct ac97 *s, const struct ac97_channel *c)
{
    return (int)(c - s->ch);
}

/* Samples of 16 bits in a frame. */
static u32 width(const struct ac97 *s, const struct ac97_channel *c)
{
    return index_of(s, c) == AC97_MIC_IN ? 1 : 2;
}

static bool running(const struct ac97_channel *c)
{
    return (c->cr & CR_RUN) && !(c->sr & SR_DCH);
}

static u64 position(const struct ac97 *s, const struct ac97_channel *c, u64 frames)
{
    return c->start + muldiv64(frames, NS_PER_SEC, codec_rate(s, index_of(s, c)));
}

static u64 frames_left(const struct ac97 *s, const struct ac97_channel *c)
{
    return (c->picb + width(s, c) - 1) / width(s, c);
}

static bool gated(const struct ac97_channel *c, u64 now)
{
    return (c->sr & SR_BCIS) && (c->cr & CR_IOCE) && now < c->gate;
}

void ac97_arm(struct ac97 *s)
{
    u64 now = clock_now(s->clk), when = CLOCK_NEVER;
    for (int k = 0; k < AC97_CHANNELS; k++) {
        const struct ac97_channel *c = &s->ch[k];
        if (!running(c))
            continue;
        u64 end = position(s, c, c->done + frames_left(s, c)) + 1;
        if (gated(c, now))
            end = MAX(end, c->gate);
        when = MIN(when, MAX(end, now + 1));
    }
    if (when == CLOCK_NEVER)
        timer_disarm(&s->timer);
    else
        timer_arm(&s->timer, when);
}

/* ---- buffers -----------------------------------------------------------------------------------
 */
/* The buffer after the present one becomes it; false: the list cannot be read. */
static bool next_buffer(struct ac97 *s, struct ac97_channel *c)
{
    u8 d[8];
    c->civ = c->piv;
    c->piv = (c->piv + 1) % AC97_BUFFERS;
    if (!pci_dma_read(&s->pci, (gpa)c->bdbar + c->civ * 8u, d, sizeof(d))) {
        c->sr |= SR_DCH | SR_FIFOE;
        c->picb = 0;
        return false;
    }
    c->addr = ld_u32(d) & ~1u;
    c->flags = ld_u32(d + 4) & 0xffff0000u;
    c->picb = ld_u16(d + 4);
    return true;
}

/* The present buffer is used up. True: the guest shall hear of it before anything else happens. */
static bool buffer_end(struct ac97 *s, struct ac97_channel *c, u64 now)
{
    bool tell = c->flags & BD_IOC;
    if (tell)
        c->sr |= SR_BCIS;
    if (c->civ == c->lvi)
        c->sr |= SR_LVBCI | SR_CELV | SR_DCH;
    else
        next_buffer(s, c);
    if (tell)
        c->gate = now + MAX(position(s, c, frames_left(s, c)) - c->start, 4 * GATE_NS) / 4;
    ac97_update_irq(s);
    return tell;
}

static void move(struct ac97 *s, struct ac97_channel *c, size_t samples)
{
    i16 buf[FRAMES * 2] = {0};
    if (index_of(s, c) != AC97_PCM_OUT) {
        pci_dma_write(&s->pci, c->addr, buf, samples * 2);
    } else if (s->voice) {
        pci_dma_read(&s->pci, c->addr, buf, samples * 2);
        voice_push(s->voice, position(s, c, c->done), codec_rate(s, AC97_PCM_OUT) * RATE_UNIT, buf,
                   (samples + 1) / 2);
    }
    c->addr += (u32)samples * 2;
    c->picb = (u16)(c->picb - samples);
}

static void run(struct ac97 *s, struct ac97_channel *c, u64 now)
{
    u32 rate = codec_rate(s, index_of(s, c)), w = width(s, c);
    if (!running(c) || now <= c->start || gated(c, now))
        return;
    u64 due = muldiv64(now - c->start, rate, NS_PER_SEC),
        owed = muldiv64(OWED_NS, rate, NS_PER_SEC);
    if (due > c->done + owed) {
        c->start = now - OWED_NS;
        c->done = 0;
        due = owed;
    }
    for (int ends = 0; running(c) && ends < AC97_BUFFERS;) {
        if (!c->picb) {
            ends++;
            if (buffer_end(s, c, now))
                break;
            continue;
        }
        if (c->done >= due)
            break;
        size_t frames = (size_t)MIN(MIN(due - c->done, frames_left(s, c)), (u64)FRAMES);
        move(s, c, MIN(frames * w, (size_t)c->picb));
        c->done += frames;
    }
}

/* ---- from outside
 * -------------------------------------------------------------------------------- */
void ac97_run(struct ac97 *s)
{
    u64 now = clock_now(s->clk);
    for (int k = 0; k < AC97_CHANNELS; k++)
        run(s, &s->ch[k], now);
    ac97_arm(s);
}

void ac97_on_timer(void *ctx)
{
    ac97_run(ctx);
}

u64 ac97_upto(void *ctx, u64 now)
{
    struct ac97 *s = ctx;
    const struct ac97_channel *c = &s->ch[AC97_PCM_OUT];
    ac97_run(s);
    return running(c) ? MIN(now, position(s, c, c->done + 1)) : now;
}

void ac97_rebase(struct ac97 *s)
{
    for (int k = 0; k < AC97_CHANNELS; k++) {
        struct ac97_channel *c = &s->ch[k];
        c->start = position(s, c, c->done);
        c->done = 0;
    }
}

void ac97_start(struct ac97 *s, struct ac97_channel *c)
{
    c->sr &= (u16) ~(SR_DCH | SR_CELV);
    c->start = clock_now(s->clk);
    c->done = 0;
    c->gate = 0;
    if (!c->picb)
        next_buffer(s, c);
    ac97_update_irq(s);
    ac97_arm(s);
}

void ac97_stop(struct ac97 *s, struct ac97_channel *c)
{
    c->sr |= SR_DCH;
    ac97_arm(s);
}

void ac97_channel_reset(struct ac97_channel *c)
{
    *c = (struct ac97_channel){.sr = SR_DCH};
}

void ac97_channel_loaded(struct ac97 *s, struct ac97_channel *c)
{
    u64 now = clock_now(s->clk);
    c->bdbar &= ~7u;
    c->civ %= AC97_BUFFERS;
    c->lvi %= AC97_BUFFERS;
    c->piv %= AC97_BUFFERS;
    c->cr &= CR_RUN | CR_LVBIE | CR_FEIE | CR_IOCE;
    c->sr &= SR_DCH | SR_CELV | SR_LVBCI | SR_BCIS | SR_FIFOE;
    c->addr &= ~1u;
    if (c->start > now ||
        c->done > muldiv64(now - c->start, codec_rate(s, index_of(s, c)), NS_PER_SEC)) {
        c->start = now;
        c->done = 0;
    }
    c->gate = MIN(c->gate, now + OWED_NS);
}
