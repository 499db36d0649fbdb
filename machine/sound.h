/*
 * machine/sound.h - the sound cards a machine can have.
 *
 * You are here: part of struct vm_config (machine/vm.h). The PC speaker is always there.
 */
#ifndef MACHINE_SOUND_H
#define MACHINE_SOUND_H

#include "base/types.h"

struct vm_sound {
    bool sb16;     /* a Sound Blaster 16; what its jumpers say: */
    u16 base, mpu; /* 0x220, 0x240, 0x260 or 0x280; 0x300 or 0x330 */
    u8 irq;        /* 2, 5, 7 or 10 */
    u8 dma, dma16; /* 0, 1 or 3; 5, 6 or 7 */
    bool ac97;     /* an Intel 82801AA's audio controller, with a codec */
};

#endif
