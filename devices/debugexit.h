/*
 * devices/debugexit.h - a port that ends the VM, for tests.
 *
 * You are here: the board makes it only when asked for; it gives every guest the power to stop.
 */
#ifndef DEVICES_DEBUGEXIT_H
#define DEVICES_DEBUGEXIT_H

#include "bus/device.h"

struct space;

/* Called on the VM's thread, in the middle of the guest's OUT: note it and stop soon. */
typedef void debugexit_fn(void *ctx, int code);

/* Maps ports 0x501-0x504; writing v calls fn with (v << 1 | 1) & 0xff, so that no guest can exit
 * with 0. Reads give 0. */
struct device *debugexit_new(struct space *ports, debugexit_fn *fn, void *ctx);

#endif
