/*
 * devices/sb16.c - Sound Blaster 16: ports, the DSP's commands, the MPU-401.
 *
 * What it is: DSP 4.05 with the commands of all its ancestors: direct mode, DMA of 8 and 16 bits,
 * single and auto-initialized, high speed (which this DSP does like any other), ADPCM, silence,
 * pauses, identification. MPU-401 in UART mode, which answers and swallows what it is sent. What it
 * is not: recording (silence is recorded), MIDI in or out, the advanced signal processor, the
 * CD-ROM's connectors.
 *
 * The DSP is never busy: a command is done when its last byte is written.
 *
 * Manual: Creative, Sound Blaster Series Hardware Programming Guide.
 */
#include "base/bits.h"
#include "base/log.h"
#include "bus/backend.h"
#include "bus/space.h"
#include "devices/i8237.h"
#include "devices/opl3.h"
#include "devices/sb16_priv.h"
#include <stdlib.h>
#include <string.h>

enum { REGION_MIXER, REGION_RESET, REGION_DSP, REGION_MPU };
enum { VERSION = 0x0405, RATE_LEAST = 4000000, RATE_MOST = 50000000 };
enum { MPU_ACK = 0xfe };

static const char copyright[] = "COPYRIGHT (C) CREATIVE TECHNOLOGY LTD, 1992.";

/* ---- interrupts ------------------------------------------------------------------------------ */
void sb_update_irq(struct sb16 *s)
{
    u8 out = s->pending ? (u8)(sb_irq_index(s) + 1) : 0;
    if (out == s->line_out)
        return;
    if (s->line_out)
        irq_set(&s->irq[s->line_out - 1], false);
    s->line_out = out;
    if (out)
        irq_set(&s->irq[out - 1], true);
}

void sb_raise(struct sb16 *s, u8 which)
{
    s->pending |= which;
    sb_update_irq(s);
}

static void ack(struct sb16 *s, u8 which)
{
    bool was = s->pending & which;
    s->pending &= (u8)~which;
    sb_update_irq(s);
    if (was && s->t.active)
        sb_run(s); /* it may have waited for this */
}

/* ---- the DSP: what it says --------------------------------------------------------------------
 */
static void answer(struct sb16 *s, u8 val)
{
    if (s->fifo_n < SB_FIFO)
        s->fifo[(s->fifo_at + s->fifo_n++) % SB_FIFO] = val;
}

static u8 take_answer(struct sb16 *s)
{
    if (s->fifo_n) {
        s->last_read = s->fifo[s->fifo_at];
        s->fifo_at = (s->fifo_at + 1) % SB_FIFO;
        s->fifo_n--;
    }
    return s->last_read; /* an empty one repeats itself */
}

/* ---- the DSP: what it is told ------------------------------------------------------------------
 */
/* How many bytes follow a command. */
static u8 bytes_after(u8 cmd)
{
    if (cmd >= 0xb0 && cmd <= 0xcf)
        return 3;
    switch (cmd) {
    case 0x04: /* ASP mode */
    case 0x0f: /* ASP register */
    case 0x10:
    case 0x38: /* MIDI out */
    case 0x40:
    case 0xe0:
    case 0xe2:
    case 0xe4:
    case 0xf9:
        return 1;
    case 0x05:
    case 0x0e:
    case 0x14:
    case 0x15:
    case 0x16:
    case 0x17:
    case 0x24:
    case 0x41:
    case 0x42:
    case 0x48:
    case 0x74:
    case 0x75:
    case 0x76:
    case 0x77:
    case 0x80:
        return 2;
    default:
        return 0;
    }
}

static u32 arg16(const struct sb16 *s, int at)
{
    return s->args[at] | (u32)s->args[at + 1] << 8;
}

static void set_rate(struct sb16 *s, u64 rate, bool by_constant)
{
    sb_run(s);
    s->rate = (u32)MAX(MIN(rate, (u64)RATE_MOST), (u64)RATE_LEAST);
    s->by_constant = by_constant;
    sb_transfer_rate(s);
}

static void start8(struct sb16 *s, u8 kind, u32 length, bool again, bool reference, bool input)
{
    struct sb_transfer t = {
        .kind = kind, .block = length + 1, .again = again, .reference = reference, .input = input};
    sb_transfer_start(s, &t);
}

/* Commands Bxh (16 bits) and Cxh (8 bits). */
static void start_generic(struct sb16 *s)
{
    struct sb_transfer t = {.kind = SB_PCM,
                            .wide = s->cmd < 0xc0,
                            .input = s->cmd & 8,
                            .again = s->cmd & 4,
                            .is_signed = s->args[0] & 0x10,
                            .stereo = s->args[0] & 0x20,
                            .block = arg16(s, 1) + 1};
    sb_transfer_start(s, &t);
}

static void pause(struct sb16 *s, bool wide, bool on)
{
    if (s->t.active && s->t.wide == wide)
        sb_transfer_pause(s, on);
}

static void again(struct sb16 *s, bool wide, bool on)
{
    if (s->t.active && s->t.wide == wide)
        s->t.again = on;
}

static void execute(struct sb16 *s)
{
    if (s->cmd >= 0xb0 && s->cmd <= 0xcf) {
        start_generic(s);
        return;
    }
    switch (s->cmd) {
    case 0x10:
        sb_dac(s, s->args[0]);
        break;
    case 0x14:
    case 0x15:
        start8(s, SB_PCM, arg16(s, 0), false, false, false);
        break;
    case 0x16:
    case 0x17:
        start8(s, SB_ADPCM2, arg16(s, 0), false, s->cmd & 1, false);
        break;
    case 0x1c:
    case 0x90:
        start8(s, SB_PCM, s->block, true, false, false);
        break;
    case 0x91:
        start8(s, SB_PCM, s->block, false, false, false);
        break;
    case 0x1f:
        start8(s, SB_ADPCM2, s->block, true, true, false);
        break;
    case 0x20:
        answer(s, 0x80); /* silence */
        break;
    case 0x24:
        start8(s, SB_PCM, arg16(s, 0), false, false, true);
        break;
    case 0x2c:
    case 0x98:
        start8(s, SB_PCM, s->block, true, false, true);
        break;
    case 0x99:
        start8(s, SB_PCM, s->block, false, false, true);
        break;
    case 0x40:
        set_rate(s, 1000000000ull / (256u - s->args[0]), true);
        break;
    case 0x41:
    case 0x42:
        set_rate(s, 1000ull * (s->args[0] << 8 | s->args[1]), false);
        break;
    case 0x45:
        again(s, false, true);
        break;
    case 0x47:
        again(s, true, true);
        break;
    case 0x48:
        s->block = arg16(s, 0);
        break;
    case 0x74:
    case 0x75:
        start8(s, SB_ADPCM4, arg16(s, 0), false, s->cmd & 1, false);
        break;
    case 0x76:
    case 0x77:
        start8(s, SB_ADPCM3, arg16(s, 0), false, s->cmd & 1, false);
        break;
    case 0x7d:
        start8(s, SB_ADPCM4, s->block, true, true, false);
        break;
    case 0x7f:
        start8(s, SB_ADPCM3, s->block, true, true, false);
        break;
    case 0x80:
        start8(s, SB_SILENCE, arg16(s, 0), false, false, false);
        break;
    case 0xd0:
    case 0xd4:
        pause(s, false, s->cmd == 0xd0);
        break;
    case 0xd5:
    case 0xd6:
        pause(s, true, s->cmd == 0xd5);
        break;
    case 0xd1:
    case 0xd3:
        s->speaker = s->cmd == 0xd1; /* this DSP only remembers */
        break;
    case 0xd8:
        answer(s, s->speaker ? 0xff : 0);
        break;
    case 0xd9:
    case 0xda:
        again(s, s->cmd == 0xd9, false);
        break;
    case 0xe0:
        answer(s, (u8)~s->args[0]);
        break;
    case 0xe1:
        answer(s, VERSION >> 8);
        answer(s, VERSION & 0xff);
        break;
    case 0xe3:
        for (size_t k = 0; k < sizeof(copyright); k++)
            answer(s, (u8)copyright[k]);
        break;
    case 0xe4:
        s->test = s->args[0];
        break;
    case 0xe8:
        answer(s, s->test);
        break;
    case 0xf2:
        sb_raise(s, SB_IRQ_8);
        break;
    case 0xf3:
        sb_raise(s, SB_IRQ_16);
        break;
    case 0xf8:
    case 0xf9: /* a byte of the DSP's own memory */
    case 0xfb: /* status of transfers */
    case 0xfc:
    case 0xfd:
        answer(s, 0);
        break;
    case 0x04:
    case 0x05:
    case 0x0e:
    case 0x0f:
    case 0x38:
    case 0xa0: /* mono, stereo recording */
    case 0xa8:
        break;
    default:
        log_guest("sb16: no DSP command %02x", s->cmd);
        break;
    }
}

static void dsp_write(struct sb16 *s, u8 val)
{
    if (!s->need) {
        s->cmd = val;
        s->n_args = 0;
        s->need = bytes_after(val);
        if (!s->need)
            execute(s);
        return;
    }
    s->args[s->n_args++] = val;
    if (s->n_args == s->need) {
        s->need = 0;
        execute(s);
    }
}

/* By the reset port: rates and registers, not the mixer. */
static void dsp_reset(struct sb16 *s)
{
    sb_run(s);
    sb_transfer_stop(s);
    s->dac_on = false;
    s->fifo_n = s->fifo_at = 0;
    s->need = 0;
    s->speaker = false;
    s->block = 0x7ff;
    s->rate = 11025000;
    s->by_constant = false;
    s->test = 0;
    s->pending &= (u8) ~(SB_IRQ_8 | SB_IRQ_16);
    sb_update_irq(s);
}

static void reset_port(struct sb16 *s, u8 val)
{
    if (val & 1) {
        dsp_reset(s);
    } else if (s->reset_pin) {
        s->fifo_n = 0;
        answer(s, 0xaa);
    }
    s->reset_pin = val & 1;
}

/* ---- the MPU-401 -------------------------------------------------------------------------------
 */
static u8 mpu_status(const struct sb16 *s)
{
    return (u8)(0x3f | (s->mpu_n ? 0 : 0x80)); /* bit 6: may be written to */
}

static void mpu_answer(struct sb16 *s, u8 val)
{
    if (s->mpu_n < sizeof(s->mpu_fifo))
        s->mpu_fifo[s->mpu_n++] = val;
    sb_raise(s, SB_IRQ_MPU);
}

static u8 mpu_data(struct sb16 *s)
{
    u8 val = s->mpu_n ? s->mpu_fifo[0] : 0xff;
    if (s->mpu_n)
        memmove(s->mpu_fifo, s->mpu_fifo + 1, --s->mpu_n);
    if (!s->mpu_n)
        ack(s, SB_IRQ_MPU);
    return val;
}

static void mpu_command(struct sb16 *s, u8 val)
{
    if (val == 0xff)
        s->mpu_n = 0;
    s->mpu_uart = val == 0x3f || (val != 0xff && s->mpu_uart);
    mpu_answer(s, MPU_ACK);
}

/* ---- ports ------------------------------------------------------------------------------------
 */
static u64 sb_peek(struct device *d, int region, u64 off, int size)
{
    struct sb16 *s = (struct sb16 *)d;
    switch (region) {
    case REGION_MIXER:
        return off ? sb_mixer_read(s) : s->mix_index;
    case REGION_MPU:
        return off ? mpu_status(s) : s->mpu_n ? s->mpu_fifo[0] : 0xff;
    case REGION_DSP:
        switch (off) {
        case 0:
            return s->fifo_n ? s->fifo[s->fifo_at] : s->last_read;
        case 2:
            return 0x7f; /* ready for a command */
        case 4:
        case 5:
            return s->fifo_n ? 0xff : 0x7f;
        default:
            return 0xff;
        }
    default:
        return 0xff;
    }
}

static u64 sb_read(struct device *d, int region, u64 off, int size)
{
    struct sb16 *s = (struct sb16 *)d;
    u64 val = sb_peek(d, region, off, size);
    if (region == REGION_MPU && !off)
        mpu_data(s);
    if (region != REGION_DSP)
        return val;
    if (off == 0)
        take_answer(s);
    else if (off == 4)
        ack(s, SB_IRQ_8);
    else if (off == 5)
        ack(s, SB_IRQ_16);
    return val;
}

static void sb_write(struct device *d, int region, u64 off, u64 val, int size)
{
    struct sb16 *s = (struct sb16 *)d;
    switch (region) {
    case REGION_MIXER:
        if (off) {
            opl3_run(s->opl); /* with the volume it had */
            sb_mixer_write(s, (u8)val);
        } else {
            s->mix_index = (u8)val;
        }
        break;
    case REGION_RESET:
        reset_port(s, (u8)val);
        break;
    case REGION_MPU:
        if (off)
            mpu_command(s, (u8)val);
        break;
    default:
        if (off == 2)
            dsp_write(s, (u8)val);
        break;
    }
}

/* ---- the card ---------------------------------------------------------------------------------
 */
static void sb_reset(struct device *d)
{
    struct sb16 *s = (struct sb16 *)d;
    dsp_reset(s);
    s->reset_pin = false;
    s->last_read = 0;
    s->mpu_n = 0;
    s->mpu_uart = false;
    s->pending = 0;
    s->t = (struct sb_transfer){.rate = s->rate, .block = 1};
    sb_mixer_reset(s);
}

static bool sb_loaded(struct device *d)
{
    struct sb16 *s = (struct sb16 *)d;
    s->fifo_at %= SB_FIFO;
    s->fifo_n = MIN(s->fifo_n, (u32)SB_FIFO);
    s->need = s->need == bytes_after(s->cmd) ? s->need : 0;
    s->n_args = s->n_args < s->need ? s->n_args : 0;
    s->rate = MAX(MIN(s->rate, (u32)RATE_MOST), (u32)RATE_LEAST);
    s->block &= 0xffff;
    s->mpu_n = MIN(s->mpu_n, (u32)sizeof(s->mpu_fifo));
    s->pending &= SB_IRQ_8 | SB_IRQ_16 | SB_IRQ_MPU;
    s->mix[0x80] &= 0x0f;
    s->mix[0x81] &= 0xeb;
    /* a line that is high stays so: the interrupt controller would see an edge */
    s->line_out = s->pending ? (u8)(sb_irq_index(s) + 1) : 0;
    for (int k = 0; k < 4; k++)
        irq_set(&s->irq[k], s->line_out == k + 1);
    sb_transfer_loaded(s);
    sb_mixer_apply(s);
    return true;
}

static void sb_destroy(struct device *d)
{
    struct sb16 *s = (struct sb16 *)d;
    timer_disarm(&s->timer);
    if (s->voice)
        s->voice->upto = NULL;
    free(s);
}

#define U(m) FIELD_U(struct sb16, m)
#define B(m) FIELD_B(struct sb16, m)
static const struct field sb_state[] = {
    FIELD_BUF(struct sb16, fifo),
    U(fifo_at),
    U(fifo_n),
    U(last_read),
    B(reset_pin),
    U(cmd),
    FIELD_BUF(struct sb16, args),
    U(n_args),
    U(need),
    U(test),
    B(speaker),
    B(by_constant),
    U(rate),
    U(block),
    B(t.active),
    B(t.paused),
    B(t.held),
    B(t.again),
    B(t.wide),
    B(t.is_signed),
    B(t.stereo),
    B(t.input),
    B(t.reference),
    U(t.kind),
    U(t.rate),
    U(t.block),
    U(t.left),
    U(t.start),
    U(t.done),
    U(t.gate),
    U(t.sample),
    U(t.step),
    U(mix_index),
    FIELD_BUF(struct sb16, mix),
    U(pending),
    FIELD_BUF(struct sb16, mpu_fifo),
    U(mpu_n),
    B(mpu_uart),
    FIELD_END,
};

static const struct device_ops sb_ops = {
    .name = "sb16",
    .reset = sb_reset,
    .read = sb_read,
    .write = sb_write,
    .peek = sb_peek,
    .state = sb_state,
    .loaded = sb_loaded,
    .destroy = sb_destroy,
};

struct device *sb16_new(struct space *ports, const struct sb16_jumpers *j, const struct irq irq[4],
                        struct device *dma, struct device *opl, struct voice *voice,
                        struct voice *fm, struct clock *clk)
{
    static const u8 channels[] = {0, 1, 3, 5, 6, 7};
    struct sb16 *s = calloc(1, sizeof(*s));
    CHECK(s && sb16_jumpers_ok(j));
    s->dev.ops = &sb_ops;
    s->clk = clk;
    s->dma = dma;
    s->opl = opl;
    s->j = *j;
    s->voice = voice;
    s->fm = fm;
    memcpy(s->irq, irq, sizeof(s->irq));
    timer_init(&s->timer, clk, sb_on_timer, s);
    if (voice) {
        voice->upto = sb_upto;
        voice->ctx = s;
    }
    for (size_t k = 0; k < ARRAY_LEN(channels); k++)
        i8237_set_hook(dma, channels[k], sb_on_dma, s);
    sb_reset(&s->dev);
    space_map_io(ports, j->base + 4u, 2, &s->dev, REGION_MIXER, 1, 0);
    space_map_io(ports, j->base + 6u, 1, &s->dev, REGION_RESET, 1, 0);
    space_map_io(ports, j->base + 10u, 6, &s->dev, REGION_DSP, 1, 0);
    space_map_io(ports, j->mpu, 2, &s->dev, REGION_MPU, 1, 0);
    return &s->dev;
}
