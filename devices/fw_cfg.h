/*
 * devices/fw_cfg.h - how firmware learns what machine it is in: numbered items and named files,
 * read byte by byte or by DMA.
 *
 * You are here: the board makes one and fills it before the guest runs; SeaBIOS (and Linux's
 * qemu_fw_cfg driver) read it. The guest can change nothing in it.
 */
#ifndef DEVICES_FW_CFG_H
#define DEVICES_FW_CFG_H

#include "bus/device.h"

struct space;

/* Item numbers that firmware knows; files get numbers from FW_CFG_FILES up. All are little-endian
 * integers. */
enum {
    FW_CFG_RAM_SIZE = 0x03,        /* u64 */
    FW_CFG_NOGRAPHIC = 0x04,       /* u16; not 0: firmware talks to the serial port */
    FW_CFG_NB_CPUS = 0x05,         /* u16 */
    FW_CFG_BOOT_MENU = 0x0e,       /* u16; not 0: offer a choice of boot devices */
    FW_CFG_MAX_CPUS = 0x0f,        /* u16 */
    FW_CFG_IRQ0_OVERRIDE = 0x8002, /* u8; 1: the timer is on I/O APIC pin 2 */
    FW_CFG_FILES = 0x20,
    FW_CFG_MAX_FILES = 64,
    FW_CFG_NAME_MAX = 55, /* characters of a file's name */
};

/* Maps ports 0x510-0x511 (selector, data) and 0x514-0x51b (DMA address); DMA goes to mem. */
struct device *fw_cfg_new(struct space *ports, struct space *mem);

/* Sets item `key` (below FW_CFG_FILES, or 0x8000-0x8007), replacing what was there. The data are
 * copied. */
void fw_cfg_set(struct device *d, u16 key, const void *data, u32 len);
/* Sets an item to an integer of `size` bytes, 1..8. */
void fw_cfg_set_int(struct device *d, u16 key, u64 val, int size);

/* Adds or replaces the file `name` (at most FW_CFG_NAME_MAX characters, FW_CFG_MAX_FILES files).
 * The data are copied. */
void fw_cfg_add_file(struct device *d, const char *name, const void *data, u32 len);

#endif
