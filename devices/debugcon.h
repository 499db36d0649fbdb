/*
 * devices/debugcon.h - debug console: what the guest writes to a port goes to a byte stream.
 *
 * You are here: the board makes one when a front end asks to see what firmware says.
 */
#ifndef DEVICES_DEBUGCON_H
#define DEVICES_DEBUGCON_H

#include "bus/backend.h"
#include "bus/device.h"

struct space;

/* Maps ports 0xe9 and 0x402, which read 0xe9: firmware and test programs look for that before they
 * write. chr: not owned, may be NULL (found, but nobody listens). */
struct device *debugcon_new(struct space *ports, struct chardev *chr);

#endif
