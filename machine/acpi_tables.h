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
