/*
 * devices/hpet.h - the high precision event timer: a 100 MHz counter and three comparators.
 *
 * You are here: the board makes one at 0xfed00000, tells the guest by an ACPI table (event timer
 * block id HPET_BLOCK_ID), and gives it wires. With legacy replacement on, timer 0 takes IRQ 0's
 * place (I/O APIC pin 2) and timer 1 IRQ 8's: the board then disconnects the PIT and the clock
 * chip.
 */
#ifndef DEVICES_HPET_H
#define DEVICES_HPET_H

#include "bus/clock.h"
#include "bus/device.h"
#include "bus/irq.h"

struct space;

enum { HPET_TICK_NS = 10, HPET_TIMERS = 3 };
#define HPET_BLOCK_ID 0x8086a201u /* vendor, legacy capable, 64 bits, 3 timers, revision 1 */

struct hpet_wires {
    struct irq irq0, irq8; /* used while legacy replacement is on */
    struct irq pin[4];     /* I/O APIC pins 20 to 23, the guest's choice otherwise */
    void (*legacy)(void *ctx, bool on);
    void *ctx;
};

/* Maps 1 KiB at base. w is copied. */
struct device *hpet_new(struct space *mem, u64 base, const struct hpet_wires *w, struct clock *clk);

#endif
