/*
 * devices/port61.h - PC system control port B: speaker, gate of timer 2, refresh toggle.
 *
 * You are here: between the 8254 and the guest; the speaker is a voice of the mixer's.
 */
#ifndef DEVICES_PORT61_H
#define DEVICES_PORT61_H

#include "bus/clock.h"
#include "bus/device.h"

struct space;
struct voice;

/* Maps port 0x61. pit: an i8254 that outlives this device. voice: the speaker's, NULL: nobody
 * listens. */
struct device *port61_new(struct space *ports, struct device *pit, struct clock *clk,
                          struct voice *voice);

/* The speaker's period in ticks of I8254_HZ, 0: silent. */
u32 port61_tone(struct device *d);

#endif
