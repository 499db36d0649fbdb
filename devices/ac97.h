/*
 * devices/ac97.h - the audio controller of Intel's 82801AA (ICH), with an AC'97 codec.
 *
 * You are here: a PCI function.
 */
#ifndef DEVICES_AC97_H
#define DEVICES_AC97_H

#include "bus/clock.h"
#include "bus/device.h"

struct voice;

/* Adds the function to the bus. voice: NULL: nobody listens. */
struct device *ac97_new(struct device *pci, int devfn, struct voice *voice, struct clock *clk);

#endif
