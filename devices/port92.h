/*
 * devices/port92.h - PS/2 system control port A: fast A20 and fast CPU reset.
 *
 * You are here: the board wires reset and the A20 line that i8042 drives too.
 */
#ifndef DEVICES_PORT92_H
#define DEVICES_PORT92_H

#include "bus/device.h"
#include "bus/irq.h"

struct space;

/* Maps port 0x92. reset: pulsed; a20: set at every write, the last writer wins. */
struct device *port92_new(struct space *ports, struct irq reset, struct irq a20);

/* The board tells that A20 is now `on`, whoever switched it. */
void port92_note_a20(struct device *d, bool on);

#endif
