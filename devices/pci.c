/*
 * devices/pci.c - PCI configuration space, base address registers, interrupt pins.
 *
 * What it is: bus 0 of a PC, reached by configuration mechanism 1. What it is not: bridges to
 * further buses, mechanism 2, special cycles, parity. MSI and MSI-X are in pci_msi.c.
 *
 * Invariants: read-only bits of `config` equal `init` but for those in volmask; a BAR's mapping is
 * enabled exactly when its decoder is and its range makes sense; pirq_count[n] is the number of
 * functions whose pin drives router input n high.
 *
 * Manuals: PCI Local Bus Specification 2.2 (3.2.2.3.2 mechanism 1, 6.1 header, 6.2.5 base
 * addresses), 2.3 (6.2.2 and 6.2.3 interrupt disable and status); Intel 82441FX 3.1.1.
 */
#include "devices/pci_priv.h"
#include "base/bits.h"
#include "base/log.h"
#include "bus/space.h"
#include <stdlib.h>

enum { REGION_ADDRESS, REGION_DATA };
enum { CONFADD_MASK = 0x80fffffc, CONFADD_ENABLE = 0x80000000 };
enum { PRIO_PCI = -1 };

struct pci_bus {
    struct device dev;
    struct space *mem, *ports;
    struct pci_device *fn[256];
    struct irq pirq[4];
    u32 pirq_count[4];
    void (*msi)(void *ctx, u64 addr, u32 data);
    void *msi_ctx;
    struct device *cf9;
    int cf9_region;
    u32 address; /* CONFADD */
};

/* ---- configuration space -------------------------------------------------------------------- */
void pci_set(struct pci_device *p, u32 off, u32 val, int size)
{
    CHECK(off + (u32)size <= PCI_CONFIG_SIZE);
    st_le(p->config + off, val, size);
    st_le(p->init + off, val, size);
}

void pci_writable(struct pci_device *p, u32 off, u32 mask, int size)
{
    CHECK(off + (u32)size <= PCI_CONFIG_SIZE);
    st_le(p->wmask + off, mask, size);
}

void pci_init(struct pci_device *p, const struct device_ops *ops, const struct pci_id *id)
{
    memset(p, 0, sizeof(*p));
    p->dev.ops = ops;
    p->devfn = -1;
    p->cap_end = 0x40;
    pci_set(p, 0x00, id->vendor, 2);
    pci_set(p, 0x02, id->device, 2);
    pci_set(p, 0x08, id->revision | id->class_code << 8, 4);
    pci_set(p, 0x2c, id->subsys_vendor, 2);
    pci_set(p, 0x2e, id->subsys, 2);
    pci_set(p, PCI_INT_PIN, id->int_pin, 1);
    pci_writable(p, PCI_COMMAND, 0x0547, 2); /* I/O, memory, master, PERR, SERR, INTx disable */
    st_u16(p->w1cmask + PCI_STATUS, 0xf900);
    st_u16(p->volmask + PCI_STATUS, PCI_STATUS_INTX);
    pci_writable(p, 0x0c, 0xffff, 2); /* cache line size, latency timer */
    pci_writable(p, PCI_INT_LINE, 0xff, 1);
}

int pci_add_cap(struct pci_device *p, u8 id, int size)
{
    int off = p->cap_end;
    CHECK(size >= 2 && off + size <= PCI_CONFIG_SIZE);
    pci_set(p, (u32)off, id, 2);
    pci_set(p, p->cap_last ? (u32)p->cap_last + 1 : PCI_CAP_PTR, (u32)off, 1);
    p->init[PCI_STATUS] |= PCI_STATUS_CAPS;
    p->config[PCI_STATUS] |= PCI_STATUS_CAPS;
    p->cap_last = off;
    p->cap_end = (int)align_up((u64)(off + size), 4);
    return off;
}

/* ---- base address registers ------------------------------------------------------------------ */
static u32 bar_off(int bar)
{
    return bar == PCI_ROM ? PCI_ROM_BAR : PCI_BAR0 + 4 * (u32)bar;
}

static void bar_header(struct pci_device *p, int bar, enum pci_bar_kind kind, u64 size)
{
    static const u8 low_bits[] = {
        [PCI_BAR_IO] = 1, [PCI_BAR_MEM] = 0, [PCI_BAR_MEM_PREFETCH] = 8, [PCI_BAR_MEM64] = 0xc};
    CHECK(p->devfn < 0 && bar >= 0 && bar < PCI_BARS && kind != PCI_BAR_NONE);
    CHECK(!p->bar[bar].kind && is_pow2(size) && size >= (kind == PCI_BAR_IO ? 4 : 16));
    CHECK(kind == PCI_BAR_MEM64 ? bar < PCI_BARS - 1 : size <= 2 * GIB);
    p->bar[bar].kind = kind;
    p->bar[bar].size = size;
    pci_set(p, bar_off(bar), low_bits[kind], 4);
    pci_writable(p, bar_off(bar), (u32) ~(size - 1), 4);
    if (kind == PCI_BAR_MEM64)
        pci_writable(p, bar_off(bar) + 4, (u32)(~(size - 1) >> 32), 4);
}

void pci_bar_io(struct pci_device *p, int bar, enum pci_bar_kind kind, u64 size, struct device *dev,
                int region, int max_size)
{
    bar_header(p, bar, kind, size);
    p->bar[bar].dev = dev;
    p->bar[bar].region = region;
    p->bar[bar].max_size = max_size;
}

void pci_bar_ram(struct pci_device *p, int bar, enum pci_bar_kind kind, u64 size, struct ram *ram,
                 u64 ram_off)
{
    CHECK(kind != PCI_BAR_IO && size >= PAGE_SIZE);
    bar_header(p, bar, kind, size);
    p->bar[bar].ram = ram;
    p->bar[bar].ram_off = ram_off;
}

void pci_bar_rom(struct pci_device *p, const u8 *host, u64 size)
{
    CHECK(p->devfn < 0 && is_pow2(size) && size >= PAGE_SIZE && size <= 16 * MIB);
    p->bar[PCI_ROM] = (struct pci_bar){.kind = PCI_BAR_MEM, .size = size, .rom = host};
    pci_writable(p, PCI_ROM_BAR, (u32) ~(size - 1) | 1, 4);
}

bool pci_bar_addr(const struct pci_device *p, int bar, u64 *addr)
{
    const struct pci_bar *b = &p->bar[bar];
    const u8 *reg = p->config + bar_off(bar);
    u64 top = b->kind == PCI_BAR_IO ? 0x10000 : b->kind == PCI_BAR_MEM64 ? BIT64(52) : 4 * GIB;
    u64 a = ld_u32(reg);

    if (b->kind == PCI_BAR_NONE)
        return false;
    if (!(pci_command(p) & (b->kind == PCI_BAR_IO ? PCI_CMD_IO : PCI_CMD_MEM)))
        return false;
    if (bar == PCI_ROM && !(a & 1))
        return false;
    if (b->kind == PCI_BAR_MEM64)
        a |= (u64)ld_u32(reg + 4) << 32;
    a &= ~(b->size - 1);
    /* Address 0 is "not assigned"; all ones is a guest that asks for the size. */
    if (!a || a >= top || b->size > top - a || (b->kind != PCI_BAR_IO && a == top - b->size))
        return false;
    *addr = a;
    return true;
}

static void update_bars(struct pci_device *p)
{
    if (!p->bus)
        return;
    space_begin(p->bus->mem);
    space_begin(p->bus->ports);
    for (int i = 0; i <= PCI_ROM; i++) {
        struct mapping *m = p->bar[i].map;
        u64 addr;
        if (!m)
            continue;
        bool on = pci_bar_addr(p, i, &addr);
        if (on)
            space_move(m, addr);
        space_enable(m, on);
    }
    space_commit(p->bus->ports);
    space_commit(p->bus->mem);
}

static void map_bars(struct pci_device *p)
{
    struct space *mem = p->bus->mem;
    space_begin(mem);
    space_begin(p->bus->ports);
    for (int i = 0; i <= PCI_ROM; i++) {
        struct pci_bar *b = &p->bar[i];
        struct space *sp = b->kind == PCI_BAR_IO ? p->bus->ports : mem;
        if (b->kind == PCI_BAR_NONE)
            continue;
        if (b->ram)
            b->map = space_map_ram(sp, 0, b->size, b->ram, b->ram_off, MAP_RW, PRIO_PCI);
        else if (b->rom)
            b->map = space_map_rom(sp, 0, b->size, b->rom, PRIO_PCI);
        else
            b->map = space_map_io(sp, 0, b->size, b->dev, b->region, b->max_size, PRIO_PCI);
        space_enable(b->map, false);
    }
    update_bars(p);
    space_commit(p->bus->ports);
    space_commit(mem);
}

/* ---- interrupt pins -------------------------------------------------------------------------- */
static void update_intx(struct pci_device *p)
{
    struct pci_bus *bus = p->bus;
    int pin = p->init[PCI_INT_PIN];
    bool out = p->intx && pin && !(pci_command(p) & PCI_CMD_INTX_OFF);

    if (p->intx)
        p->config[PCI_STATUS] |= PCI_STATUS_INTX;
    else
        p->config[PCI_STATUS] &= (u8)~PCI_STATUS_INTX;
    if (!bus || out == p->intx_out)
        return;
    p->intx_out = out;
    int n = ((p->devfn >> 3) + pin - 2) & 3;
    bus->pirq_count[n] += out ? 1u : -1u;
    irq_set(&bus->pirq[n], bus->pirq_count[n] > 0);
}

void pci_set_intx(struct pci_device *p, bool level)
{
    p->intx = level;
    update_intx(p);
}

/* ---- guest access ---------------------------------------------------------------------------- */
u32 pci_config_read(struct pci_device *p, u32 off, int size)
{
    if (off > PCI_CONFIG_SIZE - (u32)size)
        return (u32)size_mask(size);
    return (u32)ld_le(p->config + off, size);
}

static bool touches(u32 off, int size, u32 first, u32 last)
{
    return off <= last && off + (u32)size > first;
}

void pci_config_write(struct pci_device *p, u32 off, u32 val, int size)
{
    if (off > PCI_CONFIG_SIZE - (u32)size)
        return;
    for (int i = 0; i < size; i++) {
        u32 o = off + (u32)i;
        u8 v = (u8)(val >> (8 * i));
        p->config[o] = (u8)((p->config[o] & ~p->wmask[o]) | (v & p->wmask[o]));
        p->config[o] &= (u8) ~(v & p->w1cmask[o]);
    }
    if (touches(off, size, PCI_COMMAND, PCI_COMMAND + 1))
        update_intx(p);
    if (touches(off, size, PCI_COMMAND, PCI_COMMAND + 1) ||
        touches(off, size, PCI_BAR0, PCI_BAR0 + 4 * PCI_BARS - 1) ||
        touches(off, size, PCI_ROM_BAR, PCI_ROM_BAR + 3))
        update_bars(p);
    if (p->msix)
        pci_msix_config_written(p->msix);
    if (p->config_written)
        p->config_written(p, off, size);
}

void pci_reset(struct pci_device *p)
{
    memcpy(p->config, p->init, sizeof(p->config));
    p->intx = false;
    update_intx(p);
    update_bars(p);
}

bool pci_loaded(struct pci_device *p)
{
    for (int i = 0; i < PCI_CONFIG_SIZE; i++) {
        u8 keep = p->wmask[i] | p->w1cmask[i] | p->volmask[i];
        p->config[i] = (u8)((p->config[i] & keep) | (p->init[i] & ~keep));
    }
    update_intx(p);
    update_bars(p);
    return true;
}

/* ---- DMA ------------------------------------------------------------------------------------- */
bool pci_dma_read(struct pci_device *p, gpa addr, void *buf, u64 len)
{
    if (!p->bus || !(pci_command(p) & PCI_CMD_MASTER)) {
        memset(buf, 0xff, len);
        return false;
    }
    space_read_bulk(p->bus->mem, addr, buf, len);
    return true;
}

bool pci_dma_write(struct pci_device *p, gpa addr, const void *buf, u64 len)
{
    if (!p->bus || !(pci_command(p) & PCI_CMD_MASTER))
        return false;
    space_write_bulk(p->bus->mem, addr, buf, len);
    return true;
}

hva pci_dma_ptr(struct pci_device *p, gpa addr, u64 len, struct ram **ram, u64 *ram_off)
{
    if (!p->bus || !(pci_command(p) & PCI_CMD_MASTER))
        return NULL;
    return space_ram_ptr(p->bus->mem, addr, len, ram, ram_off);
}

void pci_send_msi(struct pci_device *p, u64 addr, u32 data)
{
    /* A message is a memory write by the function: it must be a master. */
    if (p->bus && p->bus->msi && (pci_command(p) & PCI_CMD_MASTER))
        p->bus->msi(p->bus->msi_ctx, addr, data);
}

/* ---- the bus -----------------------------------------------------------------------------------
 */
static struct pci_device *selected(struct pci_bus *b)
{
    if (!(b->address & CONFADD_ENABLE) || bits(b->address, 23, 16))
        return NULL;
    return b->fn[bits(b->address, 15, 8)];
}

static bool is_cf9(const struct pci_bus *b, int region, u64 off, int size)
{
    return region == REGION_ADDRESS && off == 1 && size == 1 && b->cf9;
}

static u64 pci_bus_peek(struct device *d, int region, u64 off, int size)
{
    struct pci_bus *b = (struct pci_bus *)d;
    if (region == REGION_ADDRESS) /* CONFADD takes double words only (82441FX 3.1.1) */
        return off == 0 && size == 4 ? b->address : size_mask(size);
    struct pci_device *p = selected(b);
    return p ? pci_config_read(p, (b->address & 0xfc) + (u32)off, size) : size_mask(size);
}

static u64 pci_bus_read(struct device *d, int region, u64 off, int size)
{
    struct pci_bus *b = (struct pci_bus *)d;
    if (is_cf9(b, region, off, size))
        return b->cf9->ops->read(b->cf9, b->cf9_region, 0, 1);
    struct pci_device *p = region == REGION_DATA ? selected(b) : NULL;
    if (p && p->config_reading)
        p->config_reading(p, (b->address & 0xfc) + (u32)off, size);
    return pci_bus_peek(d, region, off, size);
}

static void pci_bus_write(struct device *d, int region, u64 off, u64 val, int size)
{
    struct pci_bus *b = (struct pci_bus *)d;
    if (is_cf9(b, region, off, size)) {
        b->cf9->ops->write(b->cf9, b->cf9_region, 0, val, 1);
    } else if (region == REGION_ADDRESS) {
        if (off == 0 && size == 4)
            b->address = (u32)val & CONFADD_MASK;
    } else {
        struct pci_device *p = selected(b);
        if (p)
            pci_config_write(p, (b->address & 0xfc) + (u32)off, (u32)val, size);
    }
}

static void pci_bus_reset(struct device *d)
{
    ((struct pci_bus *)d)->address = 0;
}

static bool pci_bus_loaded(struct device *d)
{
    ((struct pci_bus *)d)->address &= CONFADD_MASK;
    return true;
}

static void pci_bus_destroy(struct device *d)
{
    struct pci_bus *b = (struct pci_bus *)d;
    for (int i = 0; i < 256; i++)
        if (b->fn[i])
            b->fn[i]->bus = NULL; /* its mappings go with the spaces */
    free(b);
}

static const struct field pci_bus_state[] = {FIELD_U(struct pci_bus, address), FIELD_END};

static const struct device_ops pci_bus_ops = {
    .name = "pci",
    .reset = pci_bus_reset,
    .read = pci_bus_read,
    .write = pci_bus_write,
    .peek = pci_bus_peek,
    .state = pci_bus_state,
    .loaded = pci_bus_loaded,
    .destroy = pci_bus_destroy,
};

struct device *pci_bus_new(struct space *mem, struct space *ports)
{
    struct pci_bus *b = calloc(1, sizeof(*b));
    CHECK(b);
    b->dev.ops = &pci_bus_ops;
    b->mem = mem;
    b->ports = ports;
    space_map_io(ports, 0xcf8, 4, &b->dev, REGION_ADDRESS, 4, 0);
    space_map_io(ports, 0xcfc, 4, &b->dev, REGION_DATA, 4, 0);
    return &b->dev;
}

void pci_bus_set_pirq(struct device *bus, int n, struct irq line)
{
    CHECK(n >= 0 && n < 4);
    ((struct pci_bus *)bus)->pirq[n] = line;
}

void pci_bus_set_msi(struct device *bus, void (*fn)(void *ctx, u64 addr, u32 data), void *ctx)
{
    struct pci_bus *b = (struct pci_bus *)bus;
    b->msi = fn;
    b->msi_ctx = ctx;
}

void pci_bus_set_cf9(struct device *bus, struct device *d, int region)
{
    struct pci_bus *b = (struct pci_bus *)bus;
    b->cf9 = d;
    b->cf9_region = region;
}

void pci_add(struct device *bus, int devfn, struct pci_device *p)
{
    struct pci_bus *b = (struct pci_bus *)bus;
    CHECK(devfn >= 0 && devfn < 256 && !b->fn[devfn] && p->devfn < 0);
    p->bus = b;
    p->devfn = devfn;
    b->fn[devfn] = p;
    /* Header type bit 7 of function 0: look for the others. */
    int fn0 = devfn & ~7;
    bool multi = false;
    for (int i = fn0 + 1; i < fn0 + 8; i++)
        multi |= b->fn[i] != NULL;
    if (multi && b->fn[fn0])
        pci_set(b->fn[fn0], 0x0e, 0x80, 1);
    map_bars(p);
}

void pci_remove(struct pci_device *p)
{
    struct pci_bus *b = p->bus;
    if (!b)
        return;
    p->intx = false;
    update_intx(p);
    for (int i = 0; i <= PCI_ROM; i++) {
        space_unmap(p->bar[i].map);
        p->bar[i].map = NULL;
    }
    b->fn[p->devfn] = NULL;
    p->bus = NULL;
}

struct pci_device *pci_find(struct device *bus, int devfn)
{
    return devfn >= 0 && devfn < 256 ? ((struct pci_bus *)bus)->fn[devfn] : NULL;
}
