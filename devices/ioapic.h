/*
 * devices/ioapic.h - the I/O APIC (82093AA): 24 interrupt inputs, redirected as messages.
 *
 * You are here: the board drives its pins beside the PIC's and turns messages into the local
 * APIC's. Version 20h, with the EOI register of later parts.
 */
#ifndef DEVICES_IOAPIC_H
#define DEVICES_IOAPIC_H

#include "bus/device.h"
#include "bus/irq.h"

struct space;

enum { IOAPIC_PINS = 24 };

/* mode as in the redirection entry: 0 fixed, 1 lowest priority, 2 SMI, 4 NMI, 5 INIT, 7 ExtINT. */
typedef void ioapic_deliver_fn(void *ctx, u32 dest, bool logical, int mode, int vector, bool level);

/* Maps 4 KiB at base (0xfec00000 on a PC). */
struct device *ioapic_new(struct space *mem, u64 base, ioapic_deliver_fn *fn, void *ctx);

/* Input pin, 0..23; active high whatever the entry's polarity says. */
struct irq ioapic_line(struct device *d, int pin);

/* A local APIC's end of interrupt for a level-triggered vector. */
void ioapic_eoi(struct device *d, int vector);

#endif
