/*
 * devices/opl3.h - Yamaha YMF262 (OPL3): FM synthesis; an OPL2 to programs that know no better.
 *
 * You are here: the Sound Blaster 16 has one.
 */
#ifndef DEVICES_OPL3_H
#define DEVICES_OPL3_H

#include "bus/clock.h"
#include "bus/device.h"

struct space;
struct voice;

/* Maps the AdLib's ports 0x388-0x38b, and base..base+3, base+8 and base+9. voice: NULL: nobody
 * listens; the timers run all the same. */
struct device *opl3_new(struct space *ports, u16 base, struct voice *voice, struct clock *clk);

/* Makes the sound there is until now, and says so; before the voice's volume changes. */
u64 opl3_run(struct device *d);

#endif
