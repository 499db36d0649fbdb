/*
 * devices/i440fx.c - host bridge 8086:1237: RAM decoding, shadow RAM (PAM), SMRAM.
 *
 * What it is: the registers that decide what memory answers where. What it is not: DRAM timing,
 * PCI arbitration and error reporting (registers read as written or as reset); system management
 * mode: SMRAM opens for anybody by D_OPEN and is otherwise hidden.
 *
 * Manual: Intel 82441FX (PMC) data sheet (290549-001), 3.2.17 DRAMC to 3.2.25 SMRAM, 4.1 memory
 * map.
 */
#include "devices/i440fx.h"
#include "base/bits.h"
#include "base/log.h"
#include "bus/space.h"
#include "devices/pci.h"
#include <stdlib.h>

enum { PAM0 = 0x59, PAM6 = 0x5f, DRB0 = 0x60, SMRAM = 0x72 };
enum { PAM_RE = 1, PAM_WE = 2 };
enum { SMRAM_G_SMRAME = 0x08, SMRAM_D_LCK = 0x10, SMRAM_D_CLS = 0x20, SMRAM_D_OPEN = 0x40 };
enum { SEGMENTS = 13 }; /* 0xf0000 (64 KiB), then 0xc0000..0xec000 by 16 KiB */

struct i440fx {
    struct pci_device pci;
    struct mapping *segment[SEGMENTS];
    struct mapping *smram_map;
    struct space *mem;
    u8 smram; /* SMRAM register before the write that is being looked at */
};

u64 i440fx_low_ram(u64 ram_size)
{
    /* Leave 512 MiB for PCI; when RAM must be split, split it on a GiB so large pages stay. */
    return ram_size < 0xe0000000 ? ram_size : 3 * GIB;
}

static void update_maps(struct i440fx *s)
{
    const u8 *c = s->pci.config;
    space_begin(s->mem);
    for (int i = 0; i < SEGMENTS; i++) {
        /* PAM0's high nibble is segment 0; each later register holds two, low nibble first. */
        int nibble = i + 1;
        int attr = c[PAM0 + nibble / 2] >> (nibble & 1 ? 4 : 0);
        space_set_flags(s->segment[i],
                        (attr & PAM_RE ? MAP_READ : 0) | (attr & PAM_WE ? MAP_WRITE : 0));
    }
    u8 sm = c[SMRAM];
    space_enable(s->smram_map, (sm & SMRAM_D_OPEN) && !(sm & SMRAM_D_CLS));
    space_commit(s->mem);
}

static void config_written(struct pci_device *p, u32 off, int size)
{
    struct i440fx *s = (struct i440fx *)p;
    u8 *sm = &p->config[SMRAM];
    if (s->smram & SMRAM_D_LCK) {
        /* Locked: D_LCK itself, D_OPEN and G_SMRAME are read-only until reset. */
        u8 fixed = SMRAM_D_LCK | SMRAM_D_OPEN | SMRAM_G_SMRAME;
        *sm = (u8)((*sm & ~fixed) | (s->smram & fixed));
    }
    if (*sm & SMRAM_D_LCK)
        *sm &= (u8)~SMRAM_D_OPEN;
    s->smram = *sm;
    update_maps(s);
}

static void i440fx_reset(struct device *d)
{
    struct i440fx *s = (struct i440fx *)d;
    pci_reset(&s->pci);
    s->smram = s->pci.config[SMRAM];
    update_maps(s);
}

static bool i440fx_loaded(struct device *d)
{
    struct i440fx *s = (struct i440fx *)d;
    if (!pci_loaded(&s->pci))
        return false;
    s->smram = s->pci.config[SMRAM];
    update_maps(s);
    return true;
}

static void i440fx_destroy(struct device *d)
{
    struct i440fx *s = (struct i440fx *)d;
    pci_remove(&s->pci);
    free(s);
}

static const struct field i440fx_state[] = {PCI_FIELDS(struct i440fx, pci), FIELD_END};

static const struct device_ops i440fx_ops = {
    .name = "i440fx",
    .reset = i440fx_reset,
    .state = i440fx_state,
    .loaded = i440fx_loaded,
    .destroy = i440fx_destroy,
};

static void map_ram(struct i440fx *s, struct ram *ram)
{
    u64 low = i440fx_low_ram(ram->size);
    space_begin(s->mem);
    space_map_ram(s->mem, 0, 0xa0000, ram, 0, MAP_RW, 0);
    s->smram_map = space_map_ram(s->mem, 0xa0000, 0x20000, ram, 0xa0000, MAP_RW, 2);
    space_enable(s->smram_map, false);
    for (int i = 0; i < SEGMENTS; i++) {
        u64 at = i ? 0xc0000 + (u64)(i - 1) * 0x4000 : 0xf0000;
        s->segment[i] = space_map_ram(s->mem, at, i ? 0x4000 : 0x10000, ram, at, 0, 1);
    }
    if (low > MIB)
        space_map_ram(s->mem, MIB, low - MIB, ram, MIB, MAP_RW, 0);
    if (ram->size > low)
        space_map_ram(s->mem, 4 * GIB, ram->size - low, ram, low, MAP_RW, 0);
    space_commit(s->mem);
}

struct device *i440fx_new(struct device *pci_bus, struct space *mem, struct ram *ram)
{
    struct i440fx *s = calloc(1, sizeof(*s));
    CHECK(s && ram->size >= MIB);
    pci_init(
        &s->pci, &i440fx_ops,
        &(struct pci_id){.vendor = 0x8086,
                         .device = 0x1237,
                         .revision = 2,
                         .class_code = 0x060000,
                         /* what SeaBIOS takes for the sign of fw_cfg and an emulated chipset */
                         .subsys_vendor = 0x1af4,
                         .subsys = 0x1100});
    struct pci_device *p = &s->pci;
    p->config_written = config_written;
    s->mem = mem;
    pci_set(p, PCI_COMMAND, 0x0006, 2); /* memory and master: hard-wired in the chip */
    pci_writable(p, PCI_COMMAND, 0x0100, 2);
    pci_set(p, PCI_STATUS, 0x0280, 2);
    pci_writable(p, 0x50, 0xffff, 2); /* PMCCFG */
    pci_set(p, 0x52, 0x00, 1);        /* DETURBO */
    pci_writable(p, 0x52, 0xff, 1);
    pci_set(p, 0x57, 0x01, 1); /* DRAMC */
    pci_writable(p, 0x57, 0x37, 1);
    pci_writable(p, 0x58, 0xff, 1); /* DRAMT */
    pci_writable(p, PAM0, 0x30, 1);
    for (u32 off = PAM0 + 1; off <= PAM6; off++)
        pci_writable(p, off, 0x33, 1);
    /* Row boundaries in units of 8 MiB, rows of at most 128 MiB; what 8 bits cannot say is cut. */
    for (u32 i = 0; i < 8; i++) {
        pci_set(p, DRB0 + i, (u32)MIN(MIN(ram->size / (8 * MIB), (i + 1) * 16), 255), 1);
        pci_writable(p, DRB0 + i, 0xff, 1);
    }
    pci_writable(p, 0x68, 0xff, 1); /* FDHC */
    pci_writable(p, 0x70, 0xff, 1); /* MTT */
    pci_set(p, SMRAM, 0x02, 1);     /* C_BASE_SEG is hard-wired */
    pci_writable(p, SMRAM, SMRAM_D_OPEN | SMRAM_D_CLS | SMRAM_D_LCK | SMRAM_G_SMRAME, 1);
    s->smram = p->config[SMRAM];
    map_ram(s, ram);
    pci_add(pci_bus, PCI_DEVFN(0, 0), p);
    return &p->dev;
}
