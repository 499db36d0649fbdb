/*
 * devices/fdc82077.h - the PC's floppy disk controller with up to two drives.
 *
 * You are here: the board wires IRQ6 and DMA channel 2, and reports fdc82077_cmos_type() in CMOS
 * byte 0x10; a front end changes disks with insert and eject.
 */
#ifndef DEVICES_FDC82077_H
#define DEVICES_FDC82077_H

#include "bus/backend.h"
#include "bus/clock.h"
#include "bus/device.h"
#include "bus/irq.h"

struct space;

enum { FDC_DRIVES = 2 };

/* As CMOS byte 0x10 and INT 13h AH=08h name them. */
enum fdc_drive { FDC_NONE, FDC_360K, FDC_1200K, FDC_720K, FDC_1440K, FDC_2880K };

/* Maps ports 0x3f0-0x3f5 and 0x3f7. dma: an i8237 that outlives this. No drives yet. */
struct device *fdc82077_new(struct space *ports, struct irq irq, struct device *dma, int channel,
                            struct clock *clk);

/* Puts a drive there without a disk. drive: 0 or 1. Before the guest runs. */
void fdc82077_set_drive(struct device *d, int drive, enum fdc_drive type);
enum fdc_drive fdc82077_cmos_type(const struct device *d, int drive);

/* Puts a disk in, in place of the one that is there; takes blk over. Where there is no drive one of
 * the fitting type appears. The geometry follows from the size, 160 KiB to 2880 KiB; a smaller or
 * odd size is taken for a 1.44 MB (2.88 MB) disk whose rest reads as zeros. ST_FORMAT when it is
 * larger (blk stays the caller's then). */
enum status fdc82077_insert(struct device *d, int drive, struct block *blk, struct error *err);
struct block *fdc82077_medium(const struct device *d, int drive); /* NULL: none; the drive's */
void fdc82077_eject(struct device *d, int drive); /* closes the block; no-op when empty */

#endif
