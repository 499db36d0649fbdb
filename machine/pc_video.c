/*
 * machine/pc_video.c - the pc board's display adapter and the file its BIOS comes from.
 */
#include "base/bits.h"
#include "base/log.h"
#include "devices/vga.h"
#include "machine/vm_priv.h"

#include <stdlib.h>
#include <string.h>

#define DEFAULT_VGABIOS "/usr/share/seabios/vgabios-stdvga.bin"

enum { VGA_SLOT = 2, ROM_MAX = 256 << 10, ROM_MIN = 4096 };

/* An option ROM is decoded by powers of two: the rest of the last one reads as zeros. */
static enum status load_rom(struct vm *vm, const char *path, struct error *err)
{
    u8 *data;
    u64 size, room = ROM_MIN;
    enum status st = load_file(path, ROM_MAX, &data, &size, err);
    if (st != ST_OK)
        return st;
    if (size < 4 || ld_u16(data) != 0xaa55) {
        free(data);
        return fail(err, ST_FORMAT, "%s is not an option ROM (it does not start with 55 AA)", path);
    }
    while (room < size)
        room *= 2;
    u8 *rom = realloc(data, room);
    if (!rom) {
        free(data);
        return fail(err, ST_NOMEM, "out of memory for %s", path);
    }
    memset(rom + size, 0, room - size);
    vm->vgabios = rom;
    vm->vgabios_size = room;
    return ST_OK;
}

enum status pc_add_vga(struct vm *vm, struct error *err)
{
    const char *path = vm->cfg.vgabios_path;
    bool firmware = !vm->cfg.kernel_path && !vm->cfg.flat_path;
    enum status st = ST_OK;

    /* Only firmware runs it: what starts without need not have the file. */
    if (!path && firmware)
        path = DEFAULT_VGABIOS;
    if (path && *path)
        st = load_rom(vm, path, err);
    if (st == ST_OK)
        st = vga_new(vm->pci, VGA_SLOT, vm->mem, vm->ports, vm->vgabios, vm->vgabios_size, vm->clk,
                     &vm->vga, err);
    if (st == ST_OK) {
        vm_add(vm, vm->vga);
        vm->screen = vga_screen(vm->vga);
    }
    return st;
}
