/*
 * machine/pc_firmware.c - what the pc board tells firmware through fw_cfg: memory, CPUs, ACPI
 * tables.
 *
 * What it is not: the boot order, which stands in CMOS (pc.c) where SeaBIOS looks as well.
 */
#include "base/bits.h"
#include "base/log.h"
#include "devices/fw_cfg.h"
#include "machine/acpi_tables.h"
#include "machine/vm_priv.h"

#include <stdlib.h>

enum { E820_ENTRY = 20, E820_RAM = 1 };

/* The RAM itself; firmware carves its own reservations out of it. */
static void memory_file(struct vm *vm)
{
    u8 e[2 * E820_ENTRY] = {0};
    int n = 0;
    const u64 range[][2] = {{0, vm->low_ram}, {4 * GIB, vm->high_ram}};
    for (size_t k = 0; k < ARRAY_LEN(range); k++) {
        if (!range[k][1])
            continue;
        st_u64(e + n, range[k][0]);
        st_u64(e + n + 8, range[k][1]);
        st_u32(e + n + 16, E820_RAM);
        n += E820_ENTRY;
    }
    fw_cfg_add_file(vm->fw_cfg, "etc/e820", e, (u32)n);
}

static void acpi_files(struct vm *vm)
{
    struct acpi_blob *blob = malloc(sizeof(*blob));
    CHECK(blob);
    vm->build_acpi(vm, blob);
    fw_cfg_add_file(vm->fw_cfg, "etc/acpi/tables", blob->tables, blob->len);
    fw_cfg_add_file(vm->fw_cfg, "etc/acpi/rsdp", blob->rsdp, sizeof(blob->rsdp));
    fw_cfg_add_file(vm->fw_cfg, "etc/table-loader", blob->loader, blob->loader_len);
    free(blob);
}

void pc_fill_fw_cfg(struct vm *vm)
{
    struct device *d = vm->fw_cfg;
    fw_cfg_set_int(d, FW_CFG_RAM_SIZE, vm->low_ram, 8);
    fw_cfg_set_int(d, FW_CFG_NOGRAPHIC, vm->cfg.headless && vm->cfg.serial[0], 2);
    fw_cfg_set_int(d, FW_CFG_NB_CPUS, 1, 2);
    fw_cfg_set_int(d, FW_CFG_MAX_CPUS, 1, 2);
    fw_cfg_set_int(d, FW_CFG_BOOT_MENU, 0, 2);
    fw_cfg_set_int(d, FW_CFG_IRQ0_OVERRIDE, 1, 1);
    memory_file(vm);
    acpi_files(vm);
}
