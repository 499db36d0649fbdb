/*
 * machine/board.c - what the boards have in common: wires to the run loop, the interrupt bus, the
 * guest's memory map, where ACPI tables stand when no firmware places them.
 */
#include "base/log.h"
#include "devices/ioapic.h"
#include "machine/acpi_tables.h"
#include "machine/vm_priv.h"

#include <stdlib.h>

#define ACPI_RSDP_AT   0xf0000ull
#define ACPI_TABLES_AT 0xf0040ull

/* ---- wires ---------------------------------------------------------------------------------- */
void board_reset_wire(void *ctx, int n, bool level)
{
    (void)n;
    if (level)
        vm_event(ctx, EV_RESET);
}

void board_power_off(void *ctx)
{
    vm_event(ctx, EV_POWEROFF);
}

void board_guest_exit(void *ctx, int code)
{
    struct vm *vm = ctx;
    vm->exit_code = code;
    vm_event(vm, EV_EXIT);
}

/* ---- the interrupt bus ---------------------------------------------------------------------- */
static void to_lapic(void *ctx, u32 dest, bool logical, int mode, int vector, bool level)
{
    struct vm *vm = ctx;
    if (vm->cpu->lapic)
        cpu_apic_message(vm->cpu, dest, logical, mode, vector, level);
}

static void from_lapic_eoi(void *ctx, int vector)
{
    struct vm *vm = ctx;
    ioapic_eoi(vm->ioapic, vector);
}

void board_add_ioapic(struct vm *vm)
{
    vm->ioapic = vm_add(vm, ioapic_new(vm->mem, 0xfec00000, to_lapic, vm));
    vm->cpu->eoi_hook = from_lapic_eoi;
    vm->cpu->eoi_ctx = vm;
}

/* A write to 0xfeexxxxx: Intel SDM vol. 3, 10.11. */
void board_msi(void *ctx, u64 addr, u32 data)
{
    if ((addr & ~0xfffffull) == 0xfee00000)
        to_lapic(ctx, (u32)(addr >> 12) & 0xff, addr & 4, (int)(data >> 8) & 7, (int)(data & 0xff),
                 data & 0x8000);
}

/* ---- memory --------------------------------------------------------------------------------- */
int vm_memory_map(const struct vm *vm, struct mem_range *out, int max)
{
    const struct mem_range all[] = {
        {0, 0x9fc00, 1},
        {0x9fc00, 0x400, 2},   /* EBDA */
        {0xf0000, 0x10000, 2}, /* firmware, ACPI tables */
        {0x100000, vm->low_ram - MIN(vm->low_ram, MIB), 1},
        {0xfffc0000, 0x40000, 2},
        {4 * GIB, vm->high_ram, 1},
    };
    int n = 0;
    for (size_t k = 0; k < ARRAY_LEN(all) && n < max; k++)
        if (all[k].size)
            out[n++] = all[k];
    return n;
}

void board_place_acpi(struct vm *vm)
{
    struct acpi_blob *blob = malloc(sizeof(*blob));
    CHECK(blob);
    vm->build_acpi(vm, blob);
    acpi_place(blob, ACPI_TABLES_AT);
    space_write_bulk(vm->mem, ACPI_RSDP_AT, blob->rsdp, sizeof(blob->rsdp));
    space_write_bulk(vm->mem, ACPI_TABLES_AT, blob->tables, blob->len);
    vm->acpi_rsdp = ACPI_RSDP_AT;
    free(blob);
}
