/*
 * devices/uart16550.h - a 16550A serial port.
 *
 * You are here: the board maps up to four; a front end gives each a chardev.
 */
#ifndef DEVICES_UART16550_H
#define DEVICES_UART16550_H

#include "bus/backend.h"
#include "bus/clock.h"
#include "bus/device.h"
#include "bus/irq.h"

struct space;

/* Maps 8 registers at base of `space` (ports or memory). chr: the other end, NULL for none; not
 * owned; its space, recv and ctx become this device's until it is destroyed. irq: a level. */
struct device *uart16550_new(struct space *space, gpa base, struct irq irq, struct chardev *chr,
                             struct clock *clk);

/* The other end sends a break. */
void uart16550_break(struct device *d);

#endif
