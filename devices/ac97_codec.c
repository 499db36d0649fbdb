/*
 * devices/ac97_codec.c - the codec at the AC-link: a SigmaTel STAC9700 that can do variable rates.
 *
 * What it is: all registers with the bits there are; the volumes of master and PCM, and the rates,
 * act. What it is not: inputs, 3D, power management (it is always ready).
 *
 * Manual: Intel, Audio Codec '97, revision 2.1, 5.7.
 */
#include "base/bits.h"
#include "bus/backend.h"
#include "devices/ac97_priv.h"
#include <string.h>

enum {
    RESET = 0x00,
    MASTER = 0x02,
    PCM = 0x18,
    POWER = 0x26,
    EXT_ID = 0x28,
    EXT_CONTROL = 0x2a,
    DAC_RATE = 0x2c,
    ADC_RATE = 0x32,
    MIC_RATE = 0x34,
    VENDOR1 = 0x7c,
    VENDOR2 = 0x7e
};
enum { MUTE = 0x8000, VRA = 0x01, VRM = 0x08, READY = 0x0f };
enum { USUAL_RATE = 48000, LEAST_RATE = 8000 };

/* Bits that can be written; registers that are not here are not there. */
static const struct {
    u8 reg;
    u16 mask, reset;
} regs[] = {
    {MASTER, 0x9f1f, 0x8000},       {0x04, 0x9f1f, 0x8000}, /* headphones */
    {0x06, 0x801f, 0x8000},                                 /* mono */
    {0x0a, 0x801e, 0x0000},                                 /* beep */
    {0x0c, 0x801f, 0x8008},                                 /* phone */
    {0x0e, 0x805f, 0x8008},                                 /* microphone */
    {0x10, 0x9f1f, 0x8808},                                 /* line */
    {0x12, 0x9f1f, 0x8808},                                 /* CD */
    {0x14, 0x9f1f, 0x8808},                                 /* video */
    {0x16, 0x9f1f, 0x8808},                                 /* auxiliary */
    {PCM, 0x9f1f, 0x8808},          {0x1a, 0x0707, 0x0000}, /* recorded: which */
    {0x1c, 0x8f0f, 0x8000},                                 /* and how loud */
    {0x1e, 0x800f, 0x8000},         {0x20, 0xa380, 0x0000}, /* general purpose */
    {POWER, 0xff00, READY},         {EXT_ID, 0, VRA | VRM},         {EXT_CONTROL, VRA | VRM, 0},
    {DAC_RATE, 0xffff, USUAL_RATE}, {ADC_RATE, 0xffff, USUAL_RATE}, {MIC_RATE, 0xffff, USUAL_RATE},
    {VENDOR1, 0, 0x8384},           {VENDOR2, 0, 0x7600},
};

/* 65536 * 10 ^ (-k * 1.5 / 20): steps of 1.5 dB. */
static u32 gain(u32 k)
{
    static const u32 table[55] = {
        65536, 55142, 46396, 39037, 32846, 27636, 23253, 19565, 16462, 13851, 11654,
        9806,  8250,  6942,  5841,  4915,  4135,  3479,  2927,  2463,  2072,  1744,
        1467,  1234,  1039,  874,   735,   619,   521,   438,   369,   310,   261,
        220,   185,   155,   131,   110,   93,    78,    66,    55,    46,    39,
        33,    28,    23,    20,    16,    14,    12,    10,    8,     7,     6};
    return table[MIN(k, ARRAY_LEN(table) - 1)];
}

static void apply(struct ac97 *s)
{
    u16 master = s->codec[MASTER / 2], pcm = s->codec[PCM / 2];
    if (!s->voice)
        return;
    for (int right = 0; right < 2; right++) {
        i32 m = right ? master & 0x1f : master >> 8 & 0x1f,
            p = right ? pcm & 0x1f : pcm >> 8 & 0x1f;
        i32 k = MAX(m + p - 8, 0); /* PCM's 8 is 0 dB; what is above that in sum is cut off */
        u32 v = (master | pcm) & MUTE ? 0 : gain((u32)k);
        *(right ? &s->voice->right : &s->voice->left) = v;
    }
}

void codec_reset(struct ac97 *s)
{
    memset(s->codec, 0, sizeof(s->codec));
    for (size_t k = 0; k < ARRAY_LEN(regs); k++)
        s->codec[regs[k].reg / 2] = regs[k].reset;
    apply(s);
}

u16 codec_read(const struct ac97 *s, u32 reg)
{
    return s->codec[reg / 2 % CODEC_REGS];
}

static bool variable(const struct ac97 *s, u32 reg)
{
    return s->codec[EXT_CONTROL / 2] & (reg == MIC_RATE ? VRM : VRA);
}

static u16 rate_in_range(const struct ac97 *s, u32 reg, u16 val)
{
    return (u16)(variable(s, reg) ? MAX(MIN(val, USUAL_RATE), LEAST_RATE) : USUAL_RATE);
}

static void fix_rates(struct ac97 *s)
{
    static const u8 rate[] = {DAC_RATE, ADC_RATE, MIC_RATE};
    for (size_t k = 0; k < ARRAY_LEN(rate); k++)
        s->codec[rate[k] / 2] = rate_in_range(s, rate[k], s->codec[rate[k] / 2]);
}

void codec_write(struct ac97 *s, u32 reg, u16 val)
{
    ac97_run(s); /* as it was */
    if (reg == RESET || (reg >= EXT_CONTROL && reg <= MIC_RATE))
        ac97_rebase(s);
    if (reg == RESET) {
        codec_reset(s);
        ac97_arm(s);
        return;
    }
    for (size_t k = 0; k < ARRAY_LEN(regs); k++) {
        if (regs[k].reg != reg)
            continue;
        /* of six bits there are five: the sixth makes it the least */
        if (reg <= 0x06 && (val & 0x2000))
            val |= 0x1f00;
        if (reg <= 0x06 && (val & 0x20))
            val |= 0x1f;
        u16 *r = &s->codec[reg / 2];
        *r = (u16)((val & regs[k].mask) | (regs[k].reset & ~regs[k].mask));
        if (reg >= EXT_CONTROL && reg <= MIC_RATE) {
            fix_rates(s);
            ac97_arm(s);
        }
    }
    apply(s);
}

void codec_loaded(struct ac97 *s)
{
    u16 was[CODEC_REGS];
    memcpy(was, s->codec, sizeof(was));
    codec_reset(s);
    for (size_t k = 0; k < ARRAY_LEN(regs); k++)
        s->codec[regs[k].reg / 2] =
            (u16)((was[regs[k].reg / 2] & regs[k].mask) | (regs[k].reset & ~regs[k].mask));
    fix_rates(s);
    apply(s);
}

u32 codec_rate(const struct ac97 *s, int channel)
{
    static const u8 reg[AC97_CHANNELS] = {ADC_RATE, DAC_RATE, MIC_RATE};
    return s->codec[reg[channel] / 2];
}
