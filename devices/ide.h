/*
 * devices/ide.h - the south bridge's IDE function (82371SB function 1) and the drives on it.
 *
 * You are here: the board makes the controller, attaches up to four drives, and wires IRQ 14 and
 * 15. Units: 0 primary master, 1 primary slave, 2 secondary master, 3 secondary slave.
 *
 * Blocks stay the caller's: close them after the controller is destroyed or the drive emptied.
 */
#ifndef DEVICES_IDE_H
#define DEVICES_IDE_H

#include "bus/backend.h"
#include "bus/clock.h"
#include "bus/device.h"
#include "bus/irq.h"

struct space;

/* Adds function fn of slot to the bus (1, 1 on a PC). Ports 0x1f0-0x1f7, 0x3f6 and 0x170-0x177,
 * 0x376 decode once firmware has set I/O enable and IDETIM bit 15; BAR 4 is the bus master. */
struct device *ide_new(struct device *pci_bus, int slot, int fn, struct space *ports,
                       struct irq irq14, struct irq irq15, struct clock *clk);

/* A disk (blk not NULL, at least one 512-byte sector) or a CD-ROM drive (blk NULL: empty), before
 * the machine runs. unit 0..3, not yet taken. ST_INVAL otherwise. */
enum status ide_attach(struct device *d, int unit, struct block *blk, bool cdrom,
                       struct error *err);

/* Changes the disc of a CD-ROM drive, now, whether or not the guest locked the tray (the hand with
 * the paper clip); NULL leaves it empty. The old block, which may be NULL, goes back to the caller
 * through *old. ST_INVAL when the unit is no CD-ROM drive. */
enum status ide_change_disc(struct device *d, int unit, struct block *blk, struct block **old,
                            struct error *err);
/* The drive's button, with the tray locked: the guest is told by a media event (MMC-3 6.7.2), and
 * may unlock and open it. No-op for a unit that is no CD-ROM drive. */
void ide_eject_button(struct device *d, int unit);
/* Whether the guest holds the tray locked, and whether it has opened it. */
bool ide_disc_locked(const struct device *d, int unit);
bool ide_tray_open(const struct device *d, int unit);
/* The disk, or the disc in the drive; NULL: none. Still the drive's. */
struct block *ide_medium(const struct device *d, int unit);

#endif
