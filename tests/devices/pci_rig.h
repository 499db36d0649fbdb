/*
 * tests/devices/pci_rig.h - a PCI bus with memory behind it, configuration access by ports, and a
 * disk that can be told to fail; for the tests of chips on PCI.
 */
#ifndef TESTS_DEVICES_PCI_RIG_H
#define TESTS_DEVICES_PCI_RIG_H

#include "tests/devices/rig.h"
#include "base/bits.h"
#include "bus/backend.h"
#include "bus/ram.h"
#include "devices/pci.h"

struct pci_rig {
    struct rig r;
    struct space *mem;
    struct ram *ram; /* 2 MiB at 0, unless a test maps it itself */
    struct device *bus;
    struct probe pirq[4];
};

static inline void pci_rig_init(struct pci_rig *p, bool map_ram)
{
    rig_init(&p->r);
    p->mem = space_new("mem", 1ull << 52);
    cr_assert_eq(ram_new(2 * MIB, &p->ram, NULL), ST_OK);
    if (map_ram)
        space_map_ram(p->mem, 0, 2 * MIB, p->ram, 0, MAP_RW, 0);
    p->bus = pci_bus_new(p->mem, p->r.ports);
    for (int i = 0; i < 4; i++) {
        p->pirq[i] = (struct probe){0};
        pci_bus_set_pirq(p->bus, i, probe_irq(&p->pirq[i]));
    }
}

/* After the chips on the bus are destroyed. */
static inline void pci_rig_fini(struct pci_rig *p)
{
    device_destroy(p->bus);
    space_free(p->mem);
    rig_fini(&p->r);
    ram_free(p->ram);
}

static inline u32 cfg_read(struct pci_rig *p, int devfn, u32 off, int size)
{
    space_write(p->r.ports, 0xcf8, 0x80000000u | (u32)devfn << 8 | (off & 0xfc), 4);
    return (u32)space_read(p->r.ports, 0xcfc + (off & 3), size);
}

static inline void cfg_write(struct pci_rig *p, int devfn, u32 off, u32 val, int size)
{
    space_write(p->r.ports, 0xcf8, 0x80000000u | (u32)devfn << 8 | (off & 0xfc), 4);
    space_write(p->r.ports, 0xcfc + (off & 3), val, size);
}

/* ---- a disk in memory that fails on request ----------------------------------------------------
 */
struct bad_block {
    struct block b;
    u8 *data;
    u64 fail_from, fail_to; /* bytes that cannot be read or written */
    bool fail_flush;
    u32 reads, writes, flushes;
};

static inline bool bb_fails(struct bad_block *b, u64 off, size_t len)
{
    return off < b->fail_to && off + len > b->fail_from;
}

static inline enum status bb_read(struct block *blk, u64 off, void *buf, size_t len)
{
    struct bad_block *b = (struct bad_block *)blk;
    b->reads++;
    if (bb_fails(b, off, len))
        return ST_IO;
    memcpy(buf, b->data + off, len);
    return ST_OK;
}

static inline enum status bb_write(struct block *blk, u64 off, const void *buf, size_t len)
{
    struct bad_block *b = (struct bad_block *)blk;
    b->writes++;
    if (bb_fails(b, off, len))
        return ST_IO;
    memcpy(b->data + off, buf, len);
    return ST_OK;
}

static inline enum status bb_flush(struct block *blk)
{
    struct bad_block *b = (struct bad_block *)blk;
    b->flushes++;
    return b->fail_flush ? ST_IO : ST_OK;
}

static inline void bb_close(struct block *blk)
{
    free(((struct bad_block *)blk)->data);
    free(blk);
}

/* Every 512-byte sector begins with its number. */
static inline struct bad_block *bad_block_new(u64 size)
{
    static const struct block_ops ops = {bb_read, bb_write, bb_flush, bb_close};
    struct bad_block *b = calloc(1, sizeof(*b));
    b->b.ops = &ops;
    b->b.size = size;
    b->data = calloc(1, size);
    for (u64 i = 0; i < size / 512; i++)
        memcpy(b->data + i * 512, &i, 4);
    snprintf(b->b.name, sizeof(b->b.name), "test image");
    return b;
}

#endif
