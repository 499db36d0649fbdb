/*
 * devices/mc146818.h - the PC's real-time clock with 128 bytes of CMOS RAM.
 *
 * You are here: the board makes it, presets the CMOS bytes that firmware reads, and wires IRQ8.
 */
#ifndef DEVICES_MC146818_H
#define DEVICES_MC146818_H

#include "bus/clock.h"
#include "bus/device.h"
#include "bus/irq.h"

struct space;

/* Maps ports 0x70-0x71. The time of day is clock_wall() (UTC) until the guest sets it. irq: IRQ8,
 * a level that stays until register C is read. */
struct device *mc146818_new(struct space *ports, struct irq irq, struct clock *clk);

/* CMOS bytes behind the clock registers: idx 0x0e..0x7f. Others are ignored (get: 0). They survive
 * reset, as a battery would have it; the century byte 0x32 belongs to the clock. */
void mc146818_set(struct device *d, int idx, u8 val);
u8 mc146818_get(const struct device *d, int idx);

/* Bit 7 of port 0x70: the guest wants no NMIs. */
bool mc146818_nmi_masked(const struct device *d);

#endif
