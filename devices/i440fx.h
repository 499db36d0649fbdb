/*
 * devices/i440fx.h - the PC's host bridge and memory controller (82441FX): which addresses are RAM.
 *
 * You are here: the board makes the PCI bus and guest RAM, then this, which maps all of RAM. The
 * board maps the firmware at priority 0 below 1 MiB: RAM there appears over it segment by segment
 * as the firmware programs the PAM registers. Display memory (0xa0000) is mapped by the display
 * adapter at priority 0 or 1.
 */
#ifndef DEVICES_I440FX_H
#define DEVICES_I440FX_H

#include "base/types.h"
#include "bus/device.h"

struct space;
struct ram;

/* How much of ram_size bytes lies below 4 GiB; the rest begins at 4 GiB. */
u64 i440fx_low_ram(u64 ram_size);

/* Adds function 0 of slot 0 to the bus and maps ram (at least 1 MiB) into mem, priority 0:
 * 0-0x9ffff, 1 MiB up to i440fx_low_ram(), and from 4 GiB; 0xc0000-0xfffff at priority 1 as PAM
 * says (after reset: not at all); 0xa0000-0xbffff at priority 2 while SMRAM is open. */
struct device *i440fx_new(struct device *pci_bus, struct space *mem, struct ram *ram);

#endif
