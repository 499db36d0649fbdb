/*
 * machine/acpi_tables.h - the board's ACPI tables, for direct boots and for firmware.
 *
 * You are here: pc.c builds them once. Tables are one blob; pointers inside are offsets until
 * acpi_place() adds the address, or firmware does through the loader script.
 */
#ifndef MACHINE_ACPI_TABLES_H
#define MACHINE_ACPI_TABLES_H

#include "base/types.h"

enum { ACPI_BLOB_MAX = 20480, ACPI_RSDP_SIZE = 36, ACPI_LOADER_MAX = 64 * 128 };

struct acpi_board {
    u64 low_ram, high_ram;
    u16 pm_base;  /* PM1 event, control, timer blocks */
    u16 gpe_base; /* 4 bytes */
    bool ioapic, hpet;
    u32 cpus;
    /* A board without PCI, PIC, RTC, keyboard controller and display: what it has instead. The PM
     * block is always in ACPI mode, port 92h resets, there is no GPE block. */
    bool no_legacy;
    bool serial[4]; /* COM1.. are there */
    u64 virtio_at;  /* virtio-mmio: slot n at + n * 200h, interrupt virtio_gsi + n % virtio_gsis */
    u32 virtio_slots, virtio_gsi, virtio_gsis;
};

struct acpi_blob {
    u8 tables[ACPI_BLOB_MAX];
    u32 len;
    u8 rsdp[ACPI_RSDP_SIZE];
    u8 loader[ACPI_LOADER_MAX]; /* "etc/table-loader" script */
    u32 loader_len;
    u32 rsdt, xsdt, fadt; /* offsets */
};

void acpi_build(const struct acpi_board *b, struct acpi_blob *out);
/* Makes the blob absolute at guest address `at` (tables) and fixes all checksums. */
void acpi_place(struct acpi_blob *blob, u64 at);

#endif
