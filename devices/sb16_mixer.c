/*
 * devices/sb16_mixer.c - the CT1745: volumes, and which interrupt and DMA channels the card has.
 *
 * What it is: all registers as they read back, the Sound Blaster Pro's in their places among the
 * SB16's; volumes of master, voice and MIDI (FM) act. What it is not: inputs, tone controls, gain.
 * After a reset the volumes are full, not 14 dB down: nobody runs the vendor's set-up program here.
 *
 * Manual: Creative, Sound Blaster Series Hardware Programming Guide, ch. 4 "Mixer Chip CT1745".
 */
#include "devices/sb16_priv.h"
#include "base/bits.h"
#include "bus/backend.h"
#include <string.h>

enum {
    MASTER = 0x30,
    VOICE = 0x32,
    MIDI = 0x34,
    SETUP_IRQ = 0x80,
    SETUP_DMA = 0x81,
    STATUS_IRQ = 0x82,
    VOLUME_MAX = 0xf8
};

static const u8 irq_number[4] = {2, 5, 7, 10};

bool sb16_jumpers_ok(const struct sb16_jumpers *j)
{
    bool irq = j->irq == 2 || j->irq == 5 || j->irq == 7 || j->irq == 10;
    return irq && j->base >= 0x220 && j->base <= 0x280 && !(j->base & 0x1f) &&
           (j->mpu == 0x300 || j->mpu == 0x330) && (j->dma <= 3 && j->dma != 2) &&
           (j->dma16 >= 5 && j->dma16 <= 7);
}

/* 5 bits of 2 dB each, 31: full. 65536 * 10 ^ (-(31 - k) / 10). */
static u32 volume(u8 reg)
{
    static const u32 gain[32] = {52,    66,    83,    104,   131,   165,   207,   261,
                                 328,   414,   521,   655,   825,   1039,  1308,  1646,
                                 2072,  2609,  3285,  4135,  5206,  6554,  8250,  10387,
                                 13076, 16462, 20724, 26090, 32846, 41350, 52057, 65536};
    return reg >> 3 ? gain[reg >> 3] : 0;
}

int sb_irq_index(const struct sb16 *s)
{
    for (int k = 0; k < 4; k++)
        if (s->mix[SETUP_IRQ] & BIT(k))
            return k;
    return -1;
}

int sb_dma_channel(const struct sb16 *s, bool wide)
{
    static const u8 narrow[] = {0, 1, 3};
    u8 set = s->mix[SETUP_DMA];
    for (int ch = 5; wide && ch <= 7; ch++)
        if (set & BIT(ch))
            return ch;
    for (size_t k = 0; k < ARRAY_LEN(narrow); k++)
        if (set & BIT(narrow[k]))
            return narrow[k];
    return -1;
}

static void set_volume(struct voice *v, const u8 *master, const u8 *own)
{
    if (!v)
        return;
    v->left = (u32)((u64)volume(master[0]) * volume(own[0]) >> 16);
    v->right = (u32)((u64)volume(master[1]) * volume(own[1]) >> 16);
}

void sb_mixer_apply(struct sb16 *s)
{
    set_volume(s->voice, s->mix + MASTER, s->mix + VOICE);
    set_volume(s->fm, s->mix + MASTER, s->mix + MIDI);
    sb_update_irq(s);
}

static void reset_volumes(struct sb16 *s)
{
    memset(s->mix, 0, SETUP_IRQ);
    memset(s->mix + MASTER, VOLUME_MAX, 6);
    s->mix[0x3c] = 0x1f; /* outputs */
    s->mix[0x3d] = 0x15; /* inputs, left and right */
    s->mix[0x3e] = 0x0b;
    memset(s->mix + 0x44, 0x80, 4); /* tone: flat */
    sb_mixer_apply(s);
}

void sb_mixer_reset(struct sb16 *s)
{
    s->mix[SETUP_DMA] = (u8)(BIT(s->j.dma) | BIT(s->j.dma16));
    for (int k = 0; k < 4; k++)
        if (irq_number[k] == s->j.irq)
            s->mix[SETUP_IRQ] = (u8)BIT(k);
    s->mix_index = 0;
    reset_volumes(s);
}

/* The SB Pro's register of two nibbles, as the first of two SB16 registers; 0: it is none. */
static u8 pro_register(u8 index)
{
    switch (index) {
    case 0x04:
        return VOICE;
    case 0x22:
        return MASTER;
    case 0x26:
        return MIDI;
    case 0x28:
        return 0x36; /* CD */
    case 0x2e:
        return 0x38; /* line */
    default:
        return 0;
    }
}

void sb_mixer_write(struct sb16 *s, u8 val)
{
    u8 pro = pro_register(s->mix_index);
    sb_run(s); /* with the volume it had */
    if (s->mix_index == 0) {
        reset_volumes(s);
        return;
    }
    if (pro) {
        s->mix[pro] = (u8)((val & 0xf0) | 8);
        s->mix[pro + 1] = (u8)(val << 4 | 8);
    } else if (s->mix_index == 0x0a) {
        s->mix[0x3a] = (u8)((val & 7) << 5);
    } else if (s->mix_index == SETUP_IRQ) {
        s->mix[SETUP_IRQ] = val & 0x0f;
    } else if (s->mix_index == SETUP_DMA) {
        s->mix[SETUP_DMA] = val & 0xeb;
    } else if (s->mix_index < SETUP_IRQ) {
        s->mix[s->mix_index] = val;
    }
    sb_mixer_apply(s);
}

u8 sb_mixer_read(const struct sb16 *s)
{
    u8 pro = pro_register(s->mix_index);
    if (pro)
        return (u8)((s->mix[pro] & 0xf0) | s->mix[pro + 1] >> 4);
    switch (s->mix_index) {
    case 0x0a:
        return s->mix[0x3a] >> 5;
    case SETUP_IRQ:
        return s->mix[SETUP_IRQ] | 0xf0;
    case STATUS_IRQ:
        return s->pending | 0x20; /* bits 4-7: the mixer's revision */
    default:
        return s->mix_index < STATUS_IRQ ? s->mix[s->mix_index] : 0xff;
    }
}
