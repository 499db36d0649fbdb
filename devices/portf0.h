/*
 * devices/portf0.h - ports F0h and F1h: the answer to a coprocessor error (IRQ 13).
 *
 * You are here: the board's interrupt 13 handler writes F0h before it touches the coprocessor.
 */
#ifndef DEVICES_PORTF0_H
#define DEVICES_PORTF0_H

#include "bus/device.h"

struct space;

/* Any write to F0h or F1h calls clear (the CPU lowers FERR# and ignores it until cleared). */
struct device *portf0_new(struct space *ports, void (*clear)(void *ctx), void *ctx);

#endif
