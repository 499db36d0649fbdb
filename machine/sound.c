/*
 * machine/sound.c - from struct vm_sound to cards in their slots.
 */
#include "devices/ac97.h"
#include "devices/opl3.h"
#include "devices/sb16.h"
#include "machine/mixer.h"
#include "machine/vm_priv.h"

void sound_config_init(struct vm_sound *s)
{
    *s = (struct vm_sound){.base = 0x220, .mpu = 0x330, .irq = 5, .dma = 1, .dma16 = 5};
}

static enum status add_sb16(struct vm *vm, struct error *err)
{
    const struct vm_sound *c = &vm->cfg.sound;
    struct sb16_jumpers j = {c->base, c->mpu, c->irq, c->dma, c->dma16};
    static const int number[4] = {9, 5, 7, 10}; /* an AT has 9 where the card says 2 */
    struct irq irq[4];

    if (!vm->dma)
        return fail(err, ST_UNSUP, "this machine has no place for a Sound Blaster 16");
    if (!sb16_jumpers_ok(&j))
        return fail(
            err, ST_INVAL,
            "a Sound Blaster 16 has iobase 0x220, 0x240, 0x260 or 0x280, mpu 0x300 or 0x330, "
            "irq 2, 5, 7 or 10, dma 0, 1 or 3, hdma 5, 6 or 7");
    for (int k = 0; k < 4; k++)
        irq[k] = pc_sound_irq(vm, number[k]);
    struct voice *fm = mixer_voice(vm->mixer), *voice = mixer_voice(vm->mixer);
    struct device *opl = vm_add(vm, opl3_new(vm->ports, j.base, fm, vm->clk));
    vm_add(vm, sb16_new(vm->ports, &j, irq, vm->dma, opl, voice, fm, vm->clk));
    return ST_OK;
}

enum status sound_add_cards(struct vm *vm, struct error *err)
{
    enum status st = vm->cfg.sound.sb16 ? add_sb16(vm, err) : ST_OK;
    if (st != ST_OK || !vm->cfg.sound.ac97)
        return st;
    if (!vm->pci)
        return fail(err, ST_UNSUP, "this machine has no place for an AC'97 sound card");
    vm_add(vm, ac97_new(vm->pci, pc_free_slot(vm), mixer_voice(vm->mixer), vm->clk));
    return ST_OK;
}
