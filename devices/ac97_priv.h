/*
 * devices/ac97_priv.h - the 82801AA's audio function: what ac97*.c share.
 *
 * ac97.c is the controller's registers and state, ac97_dma.c moves samples, ac97_codec.c is what is
 * at the other end of the link.
 */
#ifndef DEVICES_AC97_PRIV_H
#define DEVICES_AC97_PRIV_H

#include "devices/ac97.h"
#include "devices/pci.h"

/* The bus masters, in the order of their registers. */
enum { AC97_PCM_IN, AC97_PCM_OUT, AC97_MIC_IN, AC97_CHANNELS };
/* Status and control of one. */
enum { SR_DCH = 0x01, SR_CELV = 0x02, SR_LVBCI = 0x04, SR_BCIS = 0x08, SR_FIFOE = 0x10 };
enum { CR_RUN = 0x01, CR_RESET = 0x02, CR_LVBIE = 0x04, CR_FEIE = 0x08, CR_IOCE = 0x10 };
enum { BD_IOC = 0x80000000u };
enum { AC97_BUFFERS = 32, CODEC_REGS = 64 };

struct ac97_channel {
    u32 bdbar;
    u8 civ, lvi, piv, cr;
    u16 sr, picb;
    u32 addr;  /* of the next sample */
    u32 flags; /* of the buffer's descriptor */
    u64 start; /* ns at which frame 0 was due */
    u64 done;  /* frames since */
    u64 gate;  /* ns before which an interrupt that is not taken holds the next frame up */
};

struct ac97 {
    struct pci_device pci;
    struct clock *clk;
    struct voice *voice;
    struct timer timer;
    struct ac97_channel ch[AC97_CHANNELS];
    u32 glob_cnt;
    bool semaphore; /* somebody talks to the codec */
    u16 codec[CODEC_REGS];
};

/* ---- ac97.c ---- */
void ac97_update_irq(struct ac97 *s);

/* ---- ac97_dma.c ---- */
void ac97_run(struct ac97 *s); /* everything that is due now */
void ac97_on_timer(void *ctx);
u64 ac97_upto(void *ctx, u64 now);
void ac97_start(struct ac97 *s, struct ac97_channel *c); /* CR_RUN was set, or LVI moved on */
void ac97_stop(struct ac97 *s, struct ac97_channel *c);
void ac97_channel_reset(struct ac97_channel *c);
/* Repairs a channel that may say anything. */
void ac97_channel_loaded(struct ac97 *s, struct ac97_channel *c);
void ac97_rebase(struct ac97 *s); /* before rates change; all that is due is done */
void ac97_arm(struct ac97 *s);

/* ---- ac97_codec.c ---- */
void codec_reset(struct ac97 *s);
u16 codec_read(const struct ac97 *s, u32 reg); /* reg: even, below 128 */
void codec_write(struct ac97 *s, u32 reg, u16 val);
void codec_loaded(struct ac97 *s);
u32 codec_rate(const struct ac97 *s, int channel); /* frames a second */

#endif
