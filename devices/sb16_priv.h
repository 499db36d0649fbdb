/*
 * devices/sb16_priv.h - the parts of a Sound Blaster 16: what sb16*.c share.
 *
 * sb16.c has the ports, the DSP's commands and the card's state; sb16_dma.c moves and decodes
 * samples; sb16_mixer.c is the CT1745.
 */
#ifndef DEVICES_SB16_PRIV_H
#define DEVICES_SB16_PRIV_H

#include "devices/sb16.h"

enum { SB_IRQ_8 = 1, SB_IRQ_16 = 2, SB_IRQ_MPU = 4 }; /* mixer register 82h */
enum { SB_FIFO = 64, SB_ARGS = 3 };
/* What a transfer's data are. */
enum sb_kind { SB_PCM, SB_ADPCM4, SB_ADPCM3, SB_ADPCM2, SB_SILENCE, SB_KINDS };

struct sb_transfer {
    bool active, paused;
    bool held;  /* waits for the DMA controller */
    bool again; /* auto-initialize */
    bool wide, is_signed, stereo, input;
    bool reference; /* the next byte is an ADPCM reference byte */
    u8 kind;        /* enum sb_kind */
    u32 rate;       /* frames in 1000 s */
    u32 block;      /* samples (ADPCM: bytes) from one interrupt to the next; 1..65536 */
    u32 left;       /* of them, 1..block while active */
    u64 start;      /* ns at which step 0 was due */
    u64 done;       /* steps (frames; ADPCM: bytes) since */
    u64 gate;       /* ns before which an interrupt that is not taken holds the next step up */
    i32 sample;     /* ADPCM: the last, 0..255 */
    u8 step;        /* and its step size, 0..3 */
};

struct sb16 {
    struct device dev;
    struct clock *clk;
    struct device *dma, *opl;
    struct irq irq[4];
    struct sb16_jumpers j;
    struct voice *voice, *fm;
    struct timer timer;

    /* the DSP */
    u8 fifo[SB_FIFO];
    u32 fifo_at, fifo_n;
    u8 last_read;
    bool reset_pin;
    u8 cmd, args[SB_ARGS], n_args, need; /* need: of cmd; 0: no command is under way */
    u8 test;
    bool speaker;
    bool by_constant; /* the rate was said as a time constant, for all channels together */
    u32 rate;         /* in 1000 s */
    u32 block;        /* of command 48h, minus one */
    struct sb_transfer t;

    /* direct mode */
    i16 dac;      /* the level */
    bool dac_on;  /* lately written */
    u64 dac_ns;   /* when */
    u64 dac_done; /* frames of SB_DAC_RATE made */

    u8 mix_index;
    u8 mix[256];
    u8 pending;  /* SB_IRQ_* */
    u8 line_out; /* of irq[], 1 + index of the one that is high; 0: none */

    /* the MPU-401 */
    u8 mpu_fifo[8];
    u32 mpu_n;
    bool mpu_uart;
};

/* ---- sb16.c ---- */
void sb_update_irq(struct sb16 *s);
void sb_raise(struct sb16 *s, u8 which);

/* ---- sb16_dma.c ---- */
/* Starts what *t says: kind, wide, is_signed, stereo, input, again, reference, block. */
void sb_transfer_start(struct sb16 *s, const struct sb_transfer *t);
void sb_transfer_stop(struct sb16 *s);
void sb_transfer_pause(struct sb16 *s, bool on);
/* The rate changed. */
void sb_transfer_rate(struct sb16 *s);
/* Everything that is due now. */
void sb_run(struct sb16 *s);
void sb_on_timer(void *ctx);
void sb_on_dma(void *ctx); /* the DMA controller's hook */
u64 sb_upto(void *ctx, u64 now);
/* Repairs s->t, which may say anything. */
void sb_transfer_loaded(struct sb16 *s);
/* Direct mode: a sample. */
void sb_dac(struct sb16 *s, u8 val);

/* ---- sb16_mixer.c ---- */
void sb_mixer_reset(struct sb16 *s);
void sb_mixer_write(struct sb16 *s, u8 val);
u8 sb_mixer_read(const struct sb16 *s);
/* What the registers say to the voices and wires. */
void sb_mixer_apply(struct sb16 *s);
int sb_dma_channel(const struct sb16 *s, bool wide); /* -1: none selected */
int sb_irq_index(const struct sb16 *s);              /* in s->irq; -1 */

#endif
