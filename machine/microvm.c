/*
 * machine/microvm.c - the microvm board: the least a kernel needs, for guests that are booted
 * directly and live on virtio.
 *
 * Local APIC and IOAPIC, serial ports, virtio-mmio slots, and ACPI's fixed hardware (power-off,
 * power button, PM timer, reset). No PCI, no PIC, PIT, RTC, keyboard controller, display or
 * firmware. Time comes from the TSC, kvmclock and the PM timer; timer interrupts from the local
 * APIC, whose TSC-deadline mode is therefore always there. The ACPI tables name all of it, so a
 * kernel needs no command line for its devices.
 *
 * Interrupts: IOAPIC pins 3 and 4 the serial ports, 9 ACPI, 16 to 23 the virtio slots, shared when
 * there are more than eight (pins below 16 are edge-triggered to kernels that think of ISA).
 */
#include "base/bits.h"
#include "base/log.h"
#include "devices/acpi_pm.h"
#include "devices/debugcon.h"
#include "devices/debugexit.h"
#include "devices/ioapic.h"
#include "devices/port92.h"
#include "devices/uart16550.h"
#include "devices/virtio/virtio.h"
#include "machine/acpi_tables.h"
#include "machine/vm_priv.h"

#define HOLE_START 0xc0000000ull
#define SLOTS_AT   0xfeb00000ull

enum { PM_BASE = 0x600, FIRST_PIN = 16, PINS = 8, MAX_SLOTS = 32 };

/* A pin is high while one of its users wants it; a wire's number is the pin, and from bit 8 up who
 * drives it. */
static void pin(void *ctx, int wire, bool level)
{
    struct vm *vm = ctx;
    int n = wire & 0xff;
    u8 bit = (u8)BIT(wire >> 8);
    if (vm->restoring)
        return;
    vm->irq_levels[n] = (u8)(level ? vm->irq_levels[n] | bit : vm->irq_levels[n] & ~bit);
    struct irq line = ioapic_line(vm->ioapic, n);
    irq_set(&line, vm->irq_levels[n]);
}

static struct irq pin_of(struct vm *vm, int n, int user)
{
    return (struct irq){pin, vm, n | user << 8};
}

static void build_acpi(const struct vm *vm, struct acpi_blob *blob)
{
    struct acpi_board b = {.no_legacy = true,
                           .low_ram = vm->low_ram,
                           .high_ram = vm->high_ram,
                           .pm_base = PM_BASE,
                           .ioapic = true,
                           .cpus = 1,
                           .virtio_at = SLOTS_AT,
                           .virtio_slots = vm->virtio_slots,
                           .virtio_gsi = FIRST_PIN,
                           .virtio_gsis = PINS};
    for (int k = 0; k < VM_MAX_SERIAL; k++)
        b.serial[k] = vm->cfg.serial[k] != NULL;
    acpi_build(&b, blob);
}

/* The next slot; the tables in the guest's memory learn of it. */
static struct device *place_virtio(struct vm *vm, struct virtio_dev *v)
{
    int n = (int)vm->virtio_slots++;
    CHECK(n < MAX_SLOTS);
    struct device *d = virtio_mmio_new(vm->mem, SLOTS_AT + (u64)n * VIRTIO_MMIO_SIZE,
                                       pin_of(vm, FIRST_PIN + n % PINS, n / PINS), v);
    board_place_acpi(vm);
    return d;
}

static enum status check(struct vm *vm, struct error *err)
{
    const struct vm_config *c = &vm->cfg;
    if (!c->kernel_path)
        return fail(err, ST_INVAL, "machine microvm has no firmware: it boots a kernel (-kernel)");
    if (!vm->cpu->lapic || !cpu_has(vm->cpu, FEAT_TSC))
        return fail(err, ST_UNSUP, "machine microvm needs a CPU model with an APIC and a TSC");
    for (int k = 0; k < VM_MAX_IDE; k++)
        if (c->ide[k].block || c->ide[k].cdrom)
            return fail(err, ST_UNSUP,
                        "machine microvm has no IDE drives; its disks are -drive if=virtio");
    for (int k = 0; k < VM_MAX_FLOPPY; k++)
        if (c->floppy[k])
            return fail(err, ST_UNSUP, "machine microvm has no floppy drives");
    return ST_OK;
}

enum status microvm_new(struct vm *vm, struct error *err)
{
    static const u16 com[] = {0x3f8, 0x2f8, 0x3e8, 0x2e8};
    static const int com_pin[] = {4, 3, 4, 3};
    enum status st = check(vm, err);
    if (st != ST_OK)
        return st;
    cpu_offer(vm->cpu, FEAT_TSCDL, true);
    vm->low_ram = MIN(vm->ram->size, HOLE_START);
    vm->high_ram = vm->ram->size - vm->low_ram;
    space_begin(vm->mem);
    space_begin(vm->ports);
    space_map_ram(vm->mem, 0, vm->low_ram, vm->ram, 0, MAP_RW, 0);
    if (vm->high_ram)
        space_map_ram(vm->mem, 4 * GIB, vm->high_ram, vm->ram, vm->low_ram, MAP_RW, 0);
    board_add_ioapic(vm);
    vm->pm = vm_add(
        vm, acpi_pm_fixed_new(vm->ports, PM_BASE, pin_of(vm, 9, 0), board_power_off, vm, vm->clk));
    vm_add(vm, port92_new(vm->ports, (struct irq){board_reset_wire, vm, 0}, (struct irq){0}));
    for (int k = 0; k < VM_MAX_SERIAL; k++)
        if (vm->cfg.serial[k])
            vm_add(vm, uart16550_new(vm->ports, com[k], pin_of(vm, com_pin[k], k / 2),
                                     vm->cfg.serial[k], vm->clk));
    if (vm->cfg.debugcon)
        vm_add(vm, debugcon_new(vm->ports, vm->cfg.debugcon));
    vm_add(vm, debugexit_new(vm->ports, board_guest_exit, vm));
    vm->place_virtio = place_virtio;
    vm->build_acpi = build_acpi;
    vm->before_kernel = board_place_acpi;
    space_commit(vm->ports);
    space_commit(vm->mem);
    return ST_OK;
}
