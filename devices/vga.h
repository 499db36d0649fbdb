/*
 * devices/vga.h - the display adapter: a VGA with Bochs VBE extensions on PCI (1234:1111).
 *
 * You are here: the board adds it to the PCI bus with its BIOS (SeaBIOS's stdvga); front ends look
 * at vga_screen().
 */
#ifndef DEVICES_VGA_H
#define DEVICES_VGA_H

#include "bus/backend.h"
#include "bus/clock.h"
#include "bus/device.h"

struct space;

enum { VGA_VRAM_SIZE = 16 << 20, VGA_FONT_SIZE = 256 * 16 };

/* Adds function 0 of `slot`: BAR 0 is video memory, BAR 2 the registers, both for the guest to
 * place; ports 0x3b4-0x3da and 0x1ce-0x1d0 and memory 0xa0000-0xbffff are always there. rom: the
 * option ROM, rom_size a power of 2 of at least 4 KiB, not copied; NULL: none. ST_NOMEM. */
enum status vga_new(struct device *pci_bus, int slot, struct space *mem, struct space *ports,
                    const u8 *rom, u64 rom_size, struct clock *clk, struct device **out,
                    struct error *err);

/* What its monitor shows. Valid as long as the device. */
struct screen *vga_screen(struct device *d);

/* 80x25 colour text, cleared, as firmware would leave it (mode 3): for guests that start without
 * firmware. font: 256 glyphs of 16 rows, bit 7 left, or NULL: glyphs stay as they are. */
void vga_set_text_mode(struct device *d, const u8 *font);

#endif
