/*
 * machine/pc.c - the pc board: which chips there are, at which addresses, and their wires.
 *
 * An i440FX/PIIX3 PC as stock firmware and kernels expect it. Nothing here interprets a register;
 * that is the chips' business.
 */
#include "base/bits.h"
#include "base/log.h"
#include "devices/acpi_pm.h"
#include "devices/debugcon.h"
#include "devices/debugexit.h"
#include "devices/fdc82077.h"
#include "devices/fw_cfg.h"
#include "devices/hpet.h"
#include "devices/i440fx.h"
#include "devices/i8042.h"
#include "devices/i8237.h"
#include "devices/i8254.h"
#include "devices/i8259.h"
#include "devices/ide.h"
#include "devices/ioapic.h"
#include "devices/mc146818.h"
#include "devices/pci.h"
#include "devices/piix3.h"
#include "devices/port61.h"
#include "devices/port92.h"
#include "devices/portf0.h"
#include "devices/post.h"
#include "devices/ps2_keyboard.h"
#include "devices/ps2_mouse.h"
#include "devices/uart16550.h"
#include "devices/vga.h"
#include "devices/virtio/virtio.h"
#include "machine/acpi_tables.h"
#include "machine/mixer.h"
#include "machine/vga_font.h"
#include "machine/vm_priv.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_FREE_SLOT 3
#define HOLE_START      0xc0000000ull /* PCI memory below 4 GiB */
#define FLOPPY_MAX      (2880 * KIB)
#define IDE_BM_BASE     0xc000
#define PM_BASE         0x600
#define HPET_BASE       0xfed00000ull
#define ACPI_RSDP_AT    0xf0000ull
#define ACPI_TABLES_AT  0xf0040ull
#define BIOS_MAX        (4 * MIB)
#define DEFAULT_BIOS    "/usr/share/seabios/bios-256k.bin"

/* ---- wires
 * ------------------------------------------------------------------------------------------- */
/* Several chips may share an ISA interrupt: it is high while one of them wants it. A wire's number
 * is the interrupt, and from bit 4 up who drives it. */
enum irq_source { SRC_CHIP, SRC_PIRQ, SRC_HPET, SRC_SOUND };

/* ISA interrupt n goes to the PIC and to the IOAPIC's pin of the same number; the timer's to pin 2,
 * as the MADT says. */
static void isa_irq(void *ctx, int wire, bool level)
{
    struct vm *vm = ctx;
    int n = wire & 15;
    u8 bit = (u8)BIT(wire >> 4);

    if (vm->restoring)
        return;
    vm->irq_levels[n] = (u8)(level ? vm->irq_levels[n] | bit : vm->irq_levels[n] & ~bit);
    level = vm->irq_levels[n];
    /* the HPET in legacy mode takes the places of the timer and the clock */
    if (vm->hpet_legacy && (n == 0 || n == 8))
        level = vm->irq_levels[n] & BIT(SRC_HPET);
    struct irq line = i8259_line(vm->pic, n);
    irq_set(&line, level);
    if (vm->ioapic) {
        line = ioapic_line(vm->ioapic, n == 0 ? 2 : n);
        irq_set(&line, level);
    }
}

static void hpet_legacy(void *ctx, bool on)
{
    struct vm *vm = ctx;
    vm->hpet_legacy = on;
    isa_irq(vm, SRC_HPET << 4, false);
    isa_irq(vm, 8 | SRC_HPET << 4, false);
}

static void ioapic_pin(void *ctx, int n, bool level)
{
    struct vm *vm = ctx;
    struct irq line = ioapic_line(vm->ioapic, n);
    if (!vm->restoring)
        irq_set(&line, level);
}

static struct irq isa(struct vm *vm, int n)
{
    return (struct irq){isa_irq, vm, n};
}

struct irq pc_sound_irq(struct vm *vm, int n)
{
    return (struct irq){isa_irq, vm, n | SRC_SOUND << 4};
}

static void intr_pin(void *ctx, int n, bool level)
{
    struct vm *vm = ctx;
    (void)n;
    if (!vm->restoring)
        cpu_set_intr(vm->cpu, level);
}

static int inta(void *ctx)
{
    struct vm *vm = ctx;
    return i8259_ack(vm->pic);
}

static void a20_wire(void *ctx, int n, bool level)
{
    struct vm *vm = ctx;
    (void)n;
    cpu_set_a20(vm->cpu, level);
    if (vm->i8042)
        i8042_note_a20(vm->i8042, level);
    if (vm->port92)
        port92_note_a20(vm->port92, level);
}

static void clear_ferr(void *ctx)
{
    struct vm *vm = ctx;
    cpu_ferr_ack(vm->cpu);
}

/* ---- memory
 * ------------------------------------------------------------------------------------------- */
/* A firmware image ends at 4 GiB; its last 128 KiB (or all of it) also end at 1 MiB. */
static enum status map_firmware(struct vm *vm, const char *path, struct error *err)
{
    u8 *data;
    u64 size;
    enum status st = load_file(path, BIOS_MAX, &data, &size, err);
    if (st != ST_OK)
        return st;
    if (size & ~PAGE_MASK) {
        free(data);
        return fail(err, ST_FORMAT,
                    "%s: a firmware image is a multiple of 4 KiB, this has %llu bytes", path,
                    (unsigned long long)size);
    }
    vm->bios = data;
    vm->bios_size = size;
    u64 alias = MIN(size, 128 * KIB);
    space_map_rom(vm->mem, 4 * GIB - size, size, data, 1);
    space_map_rom(vm->mem, MIB - alias, alias, data + size - alias, 0);
    return ST_OK;
}

/* SeaBIOS takes the boot order from CMOS 0x3d (first, second) and 0x38 (third; bit 0: no floppy
 * signature check): 1 floppy, 2 disk, 3 CD-ROM. */
static void boot_order(struct vm *vm)
{
    const char *order = vm->cfg.boot_order[0] ? vm->cfg.boot_order : "cda";
    u8 code[3] = {0};
    for (int k = 0, n = 0; order[k] && n < 3; k++) {
        u8 c = order[k] == VM_BOOT_FLOPPY  ? 1
               : order[k] == VM_BOOT_DISK  ? 2
               : order[k] == VM_BOOT_CDROM ? 3
               : order[k] == VM_BOOT_NET   ? 4
                                           : 0;
        if (c)
            code[n++] = c;
    }
    mc146818_set(vm->rtc, 0x3d, (u8)(code[0] | code[1] << 4));
    mc146818_set(vm->rtc, 0x38, (u8)(code[2] << 4 | 1));
}

static void fill_cmos(struct vm *vm)
{
    u8 fd0 = (u8)fdc82077_cmos_type(vm->fdc, 0), fd1 = (u8)fdc82077_cmos_type(vm->fdc, 1);
    u64 ext = vm->low_ram > MIB ? (vm->low_ram - MIB) / KIB : 0;
    u64 above16 = vm->low_ram > 16 * MIB ? (vm->low_ram - 16 * MIB) / (64 * KIB) : 0;
    u64 above4g = vm->high_ram / (64 * KIB);
    ext = MIN(ext, 0xffff);
    struct {
        int idx;
        u64 v;
    } set[] = {
        {0x15, 640 & 0xff},
        {0x16, 640 >> 8},
        {0x17, ext & 0xff},
        {0x18, ext >> 8},
        {0x30, ext & 0xff},
        {0x31, ext >> 8},
        {0x34, above16 & 0xff},
        {0x35, above16 >> 8},
        {0x5b, above4g & 0xff},
        {0x5c, above4g >> 8 & 0xff},
        {0x5d, above4g >> 16},
        {0x10, (u64)(fd0 << 4 | fd1)},
        /* equipment: coprocessor, PS/2 mouse, floppies */
        {0x14, 0x06u | (fd0 ? 1u : 0) | (fd1 ? 0x40u : 0)},
        {0x0f, 0},
    };
    for (size_t k = 0; k < ARRAY_LEN(set); k++)
        mc146818_set(vm->rtc, set[k].idx, (u8)set[k].v);
    boot_order(vm);
}

/* ---- the board
 * ------------------------------------------------------------------------------------------- */
/* The built-in chips have 0 to 2. */
int pc_free_slot(const struct vm *vm)
{
    int slot = FIRST_FREE_SLOT;
    while (pci_find(vm->pci, PCI_DEVFN(slot, 0)))
        slot++;
    return PCI_DEVFN(slot, 0);
}

static struct device *place_virtio(struct vm *vm, struct virtio_dev *v)
{
    return virtio_pci_new(vm->pci, pc_free_slot(vm), vm->mem, v);
}

static void add_pci(struct vm *vm)
{
    struct irq lines[16];

    vm->low_ram = i440fx_low_ram(vm->ram->size);
    vm->high_ram = vm->ram->size - vm->low_ram;
    vm->pci = vm_add(vm, pci_bus_new(vm->mem, vm->ports));
    vm_add(vm, i440fx_new(vm->pci, vm->mem, vm->ram));
    for (int n = 0; n < 16; n++)
        lines[n] = (struct irq){isa_irq, vm, n | SRC_PIRQ << 4};
    vm_add(vm, piix3_new(vm->pci, 1, lines, (struct irq){board_reset_wire, vm, 0}));
    vm->pm = vm_add(vm, acpi_pm_new(vm->pci, PCI_DEVFN(1, 3), vm->ports, isa(vm, 9),
                                    board_power_off, vm, vm->clk));
    vm->ide = vm_add(vm, ide_new(vm->pci, 1, 1, vm->ports, isa(vm, 14), isa(vm, 15), vm->clk));
    pci_bus_set_msi(vm->pci, board_msi, vm);
    vm->place_virtio = place_virtio;
}

static void build_acpi(const struct vm *vm, struct acpi_blob *blob)
{
    struct acpi_board b = {.low_ram = vm->low_ram,
                           .high_ram = vm->high_ram,
                           .pm_base = PM_BASE,
                           .gpe_base = ACPI_PM_GPE,
                           .ioapic = vm->ioapic != NULL,
                           .hpet = vm->hpet != NULL,
                           .cpus = 1};
    acpi_build(&b, blob);
}

/* What firmware would have done before it starts a kernel: RAM at C0000-FFFFF, PCI interrupts on
 * level-triggered IRQ 10 and 11, addresses for the functions. */
static void setup_without_firmware(struct vm *vm)
{
    struct pci_device *host = pci_find(vm->pci, 0);
    struct pci_device *isa_bridge = pci_find(vm->pci, PCI_DEVFN(1, 0));

    pci_config_write(host, 0x59, 0x30, 1);
    for (u32 reg = 0x5a; reg <= 0x5f; reg++)
        pci_config_write(host, reg, 0x33, 1);
    for (u32 k = 0; k < 4; k++)
        pci_config_write(isa_bridge, 0x60 + k, PC_PIRQ_LINE(k), 1);
    space_write(vm->ports, 0x4d1, 0x0c, 1);
    struct pci_device *pm = pci_find(vm->pci, PCI_DEVFN(1, 3));
    pci_config_write(pm, 0x40, PM_BASE | 1, 4);
    pci_config_write(pm, 0x80, 1, 1);
    vga_set_text_mode(vm->vga, vga_font);
    struct pci_device *ide = pci_find(vm->pci, PCI_DEVFN(1, 1));
    pci_config_write(ide, 0x40, 0x80008000, 4); /* both channels decode */
    pci_config_write(ide, 0x20, IDE_BM_BASE | 1, 4);
    pci_config_write(ide, PCI_COMMAND, PCI_CMD_IO | PCI_CMD_MASTER, 2);
    pc_assign_resources(vm);
    pc_setup_pics(vm);
    board_place_acpi(vm);
}

static void add_legacy_chips(struct vm *vm)
{
    static const u16 com[] = {0x3f8, 0x2f8, 0x3e8, 0x2e8};
    static const int com_irq[] = {4, 3, 4, 3};

    vm->pic = vm_add(vm, i8259_new(vm->ports, (struct irq){intr_pin, vm, 0}));
    vm->cpu->pic_ack = inta;
    vm->cpu->pic_ctx = vm;
    vm->cpu->ferr_irq = isa(vm, 13);
    if (vm->cpu->lapic) {
        board_add_ioapic(vm);
        struct hpet_wires h = {.irq0 = {isa_irq, vm, 0 | SRC_HPET << 4},
                               .irq8 = {isa_irq, vm, 8 | SRC_HPET << 4},
                               .legacy = hpet_legacy,
                               .ctx = vm};
        for (int k = 0; k < 4; k++)
            h.pin[k] = (struct irq){ioapic_pin, vm, 20 + k};
        vm->hpet = vm_add(vm, hpet_new(vm->mem, HPET_BASE, &h, vm->clk));
    }
    vm->pit = vm_add(vm, i8254_new(vm->ports, 0x40, isa(vm, 0), vm->clk));
    vm->mixer = vm_add(vm, mixer_new(vm->clk, vm->cfg.audio));
    vm_add(vm, port61_new(vm->ports, vm->pit, vm->clk, mixer_voice(vm->mixer)));
    vm->rtc = vm_add(vm, mc146818_new(vm->ports, isa(vm, 8), vm->clk));
    struct device *kbd = vm_add(vm, ps2_keyboard_new());
    struct device *mouse = vm_add(vm, ps2_mouse_new());
    struct i8042_wires w = {.irq_kbd = isa(vm, 1),
                            .irq_mouse = isa(vm, 12),
                            .reset = {board_reset_wire, vm, 0},
                            .a20 = {a20_wire, vm, 0}};
    vm->i8042 = vm_add(vm, i8042_new(vm->ports, w, kbd, mouse, vm->clk));
    vm->input = i8042_input(vm->i8042);
    vm->port92 = vm_add(vm, port92_new(vm->ports, (struct irq){board_reset_wire, vm, 0},
                                       (struct irq){a20_wire, vm, 0}));
    vm_add(vm, portf0_new(vm->ports, clear_ferr, vm));
    vm_add(vm, post_new(vm->ports));
    /* Firmware that finds it turns its numbers around with BSWAP, which a 386 has not. */
    if (cpu_has(vm->cpu, FEAT_I486))
        vm->fw_cfg = vm_add(vm, fw_cfg_new(vm->ports, vm->mem));
    vm->dma = vm_add(vm, i8237_new(vm->ports, vm->mem));
    vm->fdc = vm_add(vm, fdc82077_new(vm->ports, isa(vm, 6), vm->dma, 2, vm->clk));
    fdc82077_set_drive(vm->fdc, 0, FDC_1440K);
    for (int k = 0; k < VM_MAX_SERIAL; k++)
        if (vm->cfg.serial[k])
            vm_add(vm, uart16550_new(vm->ports, com[k], isa(vm, com_irq[k]), vm->cfg.serial[k],
                                     vm->clk));
    if (vm->cfg.debugcon)
        vm_add(vm, debugcon_new(vm->ports, vm->cfg.debugcon));
    vm_add(vm, debugexit_new(vm->ports, board_guest_exit, vm));
}

enum status pc_new(struct vm *vm, struct error *err)
{
    enum status st;

    space_begin(vm->mem);
    space_begin(vm->ports);
    vm->build_acpi = build_acpi;
    vm->before_kernel = setup_without_firmware;
    add_legacy_chips(vm);
    add_pci(vm);
    st = pc_add_vga(vm, err);
    if (st == ST_OK && vm->cfg.flat_path)
        st = map_firmware(vm, vm->cfg.flat_path, err);
    else if (st == ST_OK && !vm->cfg.kernel_path)
        st = map_firmware(vm, vm->cfg.bios_path ? vm->cfg.bios_path : DEFAULT_BIOS, err);
    space_commit(vm->ports);
    space_commit(vm->mem);
    return st;
}

enum status pc_attach_drives(struct vm *vm, struct error *err)
{
    /* everything that can fail first: a drive that is attached belongs to the machine */
    for (int k = 0; k < VM_MAX_FLOPPY; k++) {
        struct block *b = vm->cfg.floppy[k];
        if (b && b->size > FLOPPY_MAX)
            return fail(err, ST_FORMAT, "%s is too large for a floppy: %llu KiB, at most %llu",
                        b->name, (unsigned long long)(b->size / KIB),
                        (unsigned long long)(FLOPPY_MAX / KIB));
    }
    for (int k = 0; k < VM_MAX_IDE; k++) {
        const struct vm_drive *d = &vm->cfg.ide[k];
        if (!d->block && !d->cdrom)
            continue;
        enum status st = ide_attach(vm->ide, k, d->block, d->cdrom, err);
        if (st != ST_OK)
            return st;
    }
    for (int k = 0; k < VM_MAX_FLOPPY; k++)
        if (vm->cfg.floppy[k])
            CHECK(fdc82077_insert(vm->fdc, k, vm->cfg.floppy[k], err) == ST_OK);
    fill_cmos(vm);
    if (vm->fw_cfg)
        pc_fill_fw_cfg(vm);
    return ST_OK;
}
