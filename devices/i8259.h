/*
 * devices/i8259.h - the PC's pair of 8259A interrupt controllers, slave cascaded on IRQ2.
 *
 * You are here: the board makes one, gives its chips the lines of i8259_line(), and wires INTR to
 * the local APIC's LINT0 or the CPU. The CPU calls i8259_ack() when it takes the interrupt.
 */
#ifndef DEVICES_I8259_H
#define DEVICES_I8259_H

#include "bus/device.h"
#include "bus/irq.h"

struct space;

/* Maps ports 0x20-21, 0xa0-a1 and 0x4d0-4d1 (ELCR). intr_out: the level of the INTR pin. */
struct device *i8259_new(struct space *ports, struct irq intr_out);

/* Input n, 0..15. 2 is the cascade and is not connected. */
struct irq i8259_line(struct device *d, int n);

/* The CPU's INTA cycle: returns the vector, 0..255, and puts the request in service. With nothing
 * pending it returns the spurious vector (IRQ7's, or IRQ15's when the slave lost its request). */
int i8259_ack(struct device *d);

/* The level of the INTR pin now. */
bool i8259_intr(const struct device *d);

#endif
