/*
 * devices/sb16.h - Sound Blaster 16: DSP 4.05, mixer CT1745, MPU-401, OPL3.
 *
 * You are here: an ISA card. Its sound goes to two voices; its data comes from the i8237.
 */
#ifndef DEVICES_SB16_H
#define DEVICES_SB16_H

#include "bus/clock.h"
#include "bus/device.h"
#include "bus/irq.h"

struct space;
struct voice;

/* What the card's jumpers and its configuration memory say. */
struct sb16_jumpers {
    u16 base;      /* 0x220, 0x240, 0x260 or 0x280 */
    u16 mpu;       /* 0x300 or 0x330 */
    u8 irq;        /* 2, 5, 7 or 10: the mixer's register 80h after power-on */
    u8 dma, dma16; /* 0, 1 or 3; 5, 6 or 7: the mixer's register 81h after power-on */
};
/* Whether there is such a card. */
bool sb16_jumpers_ok(const struct sb16_jumpers *j);

/* irq: interrupts 2 (an AT's 9), 5, 7 and 10, one of which the guest selects. dma: an i8237 that
 * outlives the card; its hooks of channels 0, 1, 3, 5, 6 and 7 are the card's. opl: the FM chip
 * (opl3.h), a device of its own that outlives the card, with the voice fm. voice: digital sound.
 * NULL voices: nobody listens. */
struct device *sb16_new(struct space *ports, const struct sb16_jumpers *j, const struct irq irq[4],
                        struct device *dma, struct device *opl, struct voice *voice,
                        struct voice *fm, struct clock *clk);

#endif
