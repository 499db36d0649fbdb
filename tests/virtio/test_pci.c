/* tests/virtio/test_pci.c - the PCI transport: capabilities, MSI-X, INTA, legacy registers. */
#include "tests/virtio/rig.h"
#include "devices/pci.h"
#include "devices/virtio/blk.h"
#include "devices/virtio/rng.h"

enum { IO = 0xc000, MSIX = 0xe0000000, BAR = 0xe0010000 };
enum { COMMON = BAR, ISR = BAR + 0x1000, DEVICE = BAR + 0x2000, NOTIFY = BAR + 0x3000 };

struct pci {
    struct rig r; /* its t is the PCI transport */
    struct space *ports;
    struct device *bus;
    struct pci_device *f;
    bool pin;
    int messages;
    u32 last; /* data of the last message */
};

static void pin(void *ctx, int n, bool level)
{
    ((struct pci *)ctx)->pin = level;
}

static void message(void *ctx, u64 addr, u32 data)
{
    struct pci *p = ctx;
    p->messages++;
    p->last = data;
}

static void pci_setup(struct pci *p, struct virtio_dev *v)
{
    struct error err;
    *p = (struct pci){.r.v = v};
    p->r.mem = space_new("memory", BIT64(40));
    p->ports = space_new("ports", 65536);
    cr_assert_eq(ram_new(RIG_RAM, &p->r.ram, &err), ST_OK);
    space_map_ram(p->r.mem, 0, RIG_RAM, p->r.ram, 0, MAP_RW, 0);
    p->bus = pci_bus_new(p->r.mem, p->ports);
    for (int n = 0; n < 4; n++)
        pci_bus_set_pirq(p->bus, n, (struct irq){pin, p, n});
    pci_bus_set_msi(p->bus, message, p);
    p->r.t = virtio_pci_new(p->bus, PCI_DEVFN(3, 0), p->r.mem, v);
    p->f = pci_find(p->bus, PCI_DEVFN(3, 0));
    pci_config_write(p->f, 0x10, IO, 4);
    pci_config_write(p->f, 0x14, MSIX, 4);
    pci_config_write(p->f, 0x20, BAR, 4);
    pci_config_write(p->f, PCI_COMMAND, PCI_CMD_IO | PCI_CMD_MEM, 2);
}

static void pci_teardown(struct pci *p)
{
    device_destroy(p->r.t);
    device_destroy(&p->r.v->dev);
    device_destroy(p->bus);
    space_free(p->r.mem);
    space_free(p->ports);
    ram_free(p->r.ram);
}

static void wr(struct pci *p, u64 addr, u64 val, int size)
{
    space_write(p->r.mem, addr, val, size);
}

static u64 rd(struct pci *p, u64 addr, int size)
{
    return space_read(p->r.mem, addr, size);
}

static void master(struct pci *p)
{
    pci_config_write(p->f, PCI_COMMAND, PCI_CMD_IO | PCI_CMD_MEM | PCI_CMD_MASTER, 2);
}

/* A modern driver with queue 0. */
static void start(struct pci *p)
{
    struct rig_queue *q = &p->r.q[0];
    *q = (struct rig_queue){.desc = rig_alloc(&p->r, 16 * RIG_SIZE),
                            .avail = rig_alloc(&p->r, 6 + 2 * RIG_SIZE),
                            .used = rig_alloc(&p->r, 6 + 8 * RIG_SIZE)};
    wr(p, COMMON + 20, 3, 1);
    wr(p, COMMON + 8, 1, 4);
    wr(p, COMMON + 12, 1, 4);
    wr(p, COMMON + 20, 11, 1);
    wr(p, COMMON + 22, 0, 2);
    wr(p, COMMON + 24, RIG_SIZE, 2);
    wr(p, COMMON + 32, q->desc, 8);
    wr(p, COMMON + 40, q->avail, 4);
    wr(p, COMMON + 48, q->used, 8);
    wr(p, COMMON + 28, 1, 2);
    wr(p, COMMON + 20, 15, 1);
    cr_assert_eq(rd(p, COMMON + 20, 1), 15);
}

/* Where the guest finds a part: by the capabilities. */
static u32 find_cap(struct pci *p, u8 type)
{
    for (u32 c = pci_config_read(p->f, 0x34, 1); c; c = pci_config_read(p->f, c + 1, 1))
        if (pci_config_read(p->f, c, 1) == 9 && pci_config_read(p->f, c + 3, 1) == type)
            return c;
    return 0;
}

Test(virtio_pci, what_a_driver_finds)
{
    struct pci p;
    pci_setup(
        &p, virtio_blk_new(&(struct virtio_blk_config){.block = block_new_mem(MIB), .queues = 3}));
    cr_assert_eq(pci_config_read(p.f, 0, 4), 0x10011af4);
    cr_assert_eq(pci_config_read(p.f, 0x2c, 4), 0x00021af4);
    static const u32 at[] = {0, 0, 0x3000, 0x1000, 0x2000};
    for (u8 type = 1; type <= 4; type++) {
        u32 c = find_cap(&p, type);
        cr_assert(c, "type %d", type);
        cr_assert_eq(pci_config_read(p.f, c + 4, 1), 4);
        cr_assert_eq(pci_config_read(p.f, c + 8, 4), at[type]);
    }
    cr_assert_eq(pci_config_read(p.f, find_cap(&p, 2) + 16, 4), 4, "the step of kicks");
    cr_assert_eq(rd(&p, COMMON + 18, 2), 3);
    cr_assert_eq(rd(&p, DEVICE, 8), MIB / 512);
    for (u16 q = 0; q < 4; q++) {
        wr(&p, COMMON + 22, q, 2);
        cr_assert_eq(rd(&p, COMMON + 24, 2), q < 3 ? 256 : 0);
        cr_assert_eq(rd(&p, COMMON + 30, 2), q < 3 ? q : 0);
    }
    wr(&p, COMMON, 1, 4);
    cr_assert_eq(rd(&p, COMMON + 4, 4), 1);
    wr(&p, COMMON, 2, 4);
    cr_assert_eq(rd(&p, COMMON + 4, 4), 0);
    pci_teardown(&p);
}

Test(virtio_pci, requests_and_inta)
{
    struct pci p;
    pci_setup(&p, virtio_rng_new(true));
    start(&p);
    u64 a = rig_alloc(&p.r, 64);
    rig_add(&p.r, 0, &(struct seg){a, 64, true}, 1);
    wr(&p, NOTIFY, 0, 2);
    cr_assert(!rig_used(&p.r, 0, NULL, NULL), "no bus master: no memory");
    master(&p);
    wr(&p, NOTIFY + 4, 0, 2); /* no such queue */
    cr_assert(!rig_used(&p.r, 0, NULL, NULL));
    wr(&p, NOTIFY, 0, 2);
    cr_assert(rig_used(&p.r, 0, NULL, NULL));
    cr_assert(p.pin);
    cr_assert_eq(rd(&p, ISR, 1), 1);
    cr_assert(!p.pin);
    cr_assert_eq(rd(&p, ISR, 1), 0);
    /* what is set up cannot be moved under the device */
    wr(&p, COMMON + 32, 0x1000, 4);
    cr_assert_eq(p.r.v->regs[0].desc, p.r.q[0].desc);
    wr(&p, COMMON + 28, 0, 2);
    cr_assert_eq(rd(&p, COMMON + 28, 2), 1);
    wr(&p, COMMON + 20, 0, 1);
    cr_assert_eq(rd(&p, COMMON + 20, 1), 0);
    cr_assert_eq(rd(&p, COMMON + 28, 2), 0);
    pci_teardown(&p);
}

Test(virtio_pci, msix)
{
    struct pci p;
    pci_setup(&p, virtio_rng_new(true));
    master(&p);
    u32 cap = (u32)p.f->msix_cap;
    cr_assert_eq(pci_config_read(p.f, cap + 2, 2), 1, "two vectors");
    pci_config_write(p.f, cap + 2, 0x8000, 2);
    for (int v = 0; v < 2; v++) {
        wr(&p, MSIX + 16 * (u64)v, 0xfee00000, 4);
        wr(&p, MSIX + 16 * (u64)v + 8, 0x40 + (u64)v, 4);
        wr(&p, MSIX + 16 * (u64)v + 12, 0, 4);
    }
    wr(&p, COMMON + 16, 0, 2);
    wr(&p, COMMON + 22, 0, 2);
    wr(&p, COMMON + 26, 2, 2);
    cr_assert_eq(rd(&p, COMMON + 26, 2), 0xffff, "no such vector");
    wr(&p, COMMON + 26, 1, 2);
    start(&p);
    u64 a = rig_alloc(&p.r, 64);
    rig_add(&p.r, 0, &(struct seg){a, 64, true}, 1);
    wr(&p, NOTIFY, 0, 2);
    cr_assert(p.messages == 1 && p.last == 0x41 && !p.pin);
    virtio_config_changed(p.r.v);
    cr_assert(p.messages == 2 && p.last == 0x40);
    cr_assert_eq(rd(&p, ISR, 1), 0);
    pci_teardown(&p);
}

/* The window: configuration cycles in the place of BAR 4. */
static u32 window(struct pci *p, u32 at, int len, bool write, u32 val)
{
    u32 c = find_cap(p, 5), addr = 0x80000000 | 3 << 11;
    space_write(p->ports, 0xcf8, addr | (c + 4), 4);
    space_write(p->ports, 0xcfc, 4, 1);
    space_write(p->ports, 0xcf8, addr | (c + 8), 4);
    space_write(p->ports, 0xcfc, at, 4);
    space_write(p->ports, 0xcf8, addr | (c + 12), 4);
    space_write(p->ports, 0xcfc, (u32)len, 4);
    space_write(p->ports, 0xcf8, addr | (c + 16), 4);
    if (write)
        space_write(p->ports, 0xcfc, val, len);
    return (u32)space_read(p->ports, 0xcfc, len);
}

Test(virtio_pci, window_in_configuration_space)
{
    struct pci p;
    pci_setup(
        &p, virtio_blk_new(&(struct virtio_blk_config){.block = block_new_mem(MIB), .queues = 3}));
    cr_assert_eq(window(&p, 0x2000, 4, false, 0), MIB / 512);
    cr_assert_eq(window(&p, 18, 2, false, 0), 3);
    window(&p, 20, 1, true, 3);
    cr_assert_eq(rd(&p, COMMON + 20, 1), 3);
    /* no such place: nothing */
    window(&p, 0x4000, 4, true, 1);
    window(&p, 0xfffffffc, 4, true, 1);
    window(&p, 19, 2, true, 1);
    window(&p, 20, 3, true, 0);
    cr_assert_eq(rd(&p, COMMON + 20, 1), 3);
    pci_teardown(&p);
}

static u32 in(struct pci *p, u32 off, int size)
{
    return (u32)space_read(p->ports, IO + off, size);
}

static void out(struct pci *p, u32 off, u32 val, int size)
{
    space_write(p->ports, IO + off, val, size);
}

Test(virtio_pci, legacy)
{
    struct pci p;
    pci_setup(
        &p, virtio_blk_new(&(struct virtio_blk_config){.block = block_new_mem(MIB), .queues = 1}));
    out(&p, 18, 0, 1);
    out(&p, 18, 3, 1);
    cr_assert(in(&p, 0, 4) & 1 << 2, "SEG_MAX");
    out(&p, 4, 0, 4);
    cr_assert_eq(in(&p, 20, 4), MIB / 512);
    out(&p, 14, 5, 2);
    cr_assert_eq(in(&p, 12, 2), 0, "no such queue");
    out(&p, 14, 0, 2);
    cr_assert_eq(in(&p, 12, 2), 256);
    cr_assert_eq(in(&p, 8, 4), 0);
    /* desc at 64 KiB, then available, then used on the next page */
    out(&p, 8, 0x10, 4);
    cr_assert_eq(in(&p, 8, 4), 0x10);
    cr_assert(p.r.v->regs[0].desc == 0x10000 && p.r.v->regs[0].avail == 0x11000 &&
              p.r.v->regs[0].used == 0x12000);
    out(&p, 18, 7, 1);
    cr_assert(pci_command(p.f) & PCI_CMD_MASTER, "old drivers forget it");
    /* read sector 0 */
    rig_desc(&p.r, 0x10000, 0, 0x2000, 16, D_NEXT, 1);
    rig_desc(&p.r, 0x10000, 1, 0x3000, 512, D_NEXT | D_WRITE, 2);
    rig_desc(&p.r, 0x10000, 2, 0x4000, 1, D_WRITE, 0);
    *rig_ptr(&p.r, 0x4000) = 0xee;
    st_u16(rig_ptr(&p.r, 0x11002), 1);
    out(&p, 16, 0, 2);
    cr_assert_eq(ld_u16(rig_ptr(&p.r, 0x12002)), 1);
    cr_assert_eq(*rig_ptr(&p.r, 0x4000), 0);
    cr_assert(p.pin);
    cr_assert_eq(in(&p, 19, 1), 1);
    cr_assert(!p.pin);
    /* with MSI-X on, two vectors stand before the configuration */
    pci_config_write(p.f, (u32)p.f->msix_cap + 2, 0x8000, 2);
    out(&p, 22, 1, 2);
    cr_assert_eq(in(&p, 22, 2), 1);
    cr_assert_eq(in(&p, 24, 4), MIB / 512);
    out(&p, 8, 0, 4);
    cr_assert(!p.r.v->regs[0].ready);
    pci_teardown(&p);
}

Test(virtio_pci, hostile_saved_state)
{
    struct pci p;
    pci_setup(&p, virtio_rng_new(true));
    const struct field *f = p.r.t->ops->state;
    for (; f->name; f++)
        memset((u8 *)p.r.t + f->offset, f->type == FIELD_BOOL ? 1 : 0xff,
               (size_t)f->size * f->count);
    cr_assert(p.r.t->ops->loaded(p.r.t));
    p.r.v->status = 4;
    virtio_config_changed(p.r.v);
    wr(&p, COMMON + 22, 0xffff, 2);
    rd(&p, COMMON + 24, 2);
    pci_config_write(p.f, PCI_COMMAND, 7, 2);
    device_reset(p.r.t);
    cr_assert(!p.pin);
    pci_teardown(&p);
}
