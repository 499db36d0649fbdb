/* tests/devices/test_pci.c - PCI bus, host bridge, PCI-to-ISA bridge. */
#include "tests/devices/pci_rig.h"
#include "devices/i440fx.h"
#include "devices/piix3.h"

/* A chip with one BAR of each kind. */
struct toy {
    struct pci_device pci;
    struct pci_msix msix;
    u64 last_off;
    int last_region, accesses;
};

static u64 toy_read(struct device *d, int region, u64 off, int size)
{
    struct toy *t = (struct toy *)d;
    t->last_off = off;
    t->last_region = region;
    t->accesses++;
    return 0x11 * (u64)(region + 1);
}

static void toy_reset(struct device *d)
{
    pci_reset(&((struct toy *)d)->pci);
    pci_msix_reset(&((struct toy *)d)->msix);
}

static bool toy_loaded(struct device *d)
{
    return pci_loaded(&((struct toy *)d)->pci) && pci_msix_loaded(&((struct toy *)d)->msix);
}

static void toy_destroy(struct device *d)
{
    pci_remove(&((struct toy *)d)->pci);
    free(d);
}

static const struct field toy_state[] = {PCI_FIELDS(struct toy, pci),
                                         PCI_MSIX_FIELDS(struct toy, msix), FIELD_END};

static const struct device_ops toy_ops = {.name = "toy",
                                          .reset = toy_reset,
                                          .read = toy_read,
                                          .state = toy_state,
                                          .loaded = toy_loaded,
                                          .destroy = toy_destroy};

static u8 toy_rom[4096];

static struct toy *toy_new(struct pci_rig *p, int devfn, u8 pin)
{
    struct toy *t = calloc(1, sizeof(*t));
    pci_init(&t->pci, &toy_ops, &(struct pci_id){0x1234, 0x5678, 3, 0x020000, 0xabcd, 0xef01, pin});
    pci_bar_io(&t->pci, 0, PCI_BAR_IO, 0x20, &t->pci.dev, 0, 4);
    pci_bar_io(&t->pci, 1, PCI_BAR_MEM, 0x1000, &t->pci.dev, 1, 4);
    pci_bar_io(&t->pci, 2, PCI_BAR_MEM64, 0x10000, &t->pci.dev, 2, 8);
    pci_bar_rom(&t->pci, toy_rom, sizeof(toy_rom));
    pci_msi_init(&t->pci, 4);
    pci_msix_init(&t->pci, &t->msix, 4, 3);
    pci_add(p->bus, devfn, &t->pci);
    return t;
}

Test(pci, mechanism_1)
{
    struct pci_rig p;
    pci_rig_init(&p, true);
    struct toy *t = toy_new(&p, PCI_DEVFN(3, 0), 1);
    struct space *io = p.r.ports;

    cr_expect_eq(cfg_read(&p, 0x18, 0, 4), 0x56781234);
    cr_expect_eq(cfg_read(&p, 0x18, 0, 2), 0x1234);
    cr_expect_eq(cfg_read(&p, 0x18, 3, 1), 0x56);
    cr_expect_eq(cfg_read(&p, 0x18, 8, 4), 0x02000003);
    cr_expect_eq(cfg_read(&p, 0x18, 0x2c, 4), 0xef01abcd);
    cr_expect_eq(cfg_read(&p, 0x20, 0, 4), 0xffffffff, "an empty slot");
    space_write(io, 0xcf8, 0x80011800, 4);
    cr_expect_eq(space_read(io, 0xcfc, 4), 0xffffffff, "bus 1 does not exist");
    space_write(io, 0xcf8, 0x00001800, 4);
    cr_expect_eq(space_read(io, 0xcfc, 4), 0xffffffff, "not enabled");
    space_write(io, 0xcf8, 0xffffffff, 4);
    cr_expect_eq(space_read(io, 0xcf8, 4), 0x80fffffc, "reserved bits");
    space_write(io, 0xcf8, 0x80000000, 4);
    space_write(io, 0xcfb, 1, 1);
    cr_expect_eq(space_read(io, 0xcf8, 4), 0x80000000, "bytes do not reach CONFADD");
    cfg_write(&p, 0x18, 0, 0, 4);
    cr_expect_eq(cfg_read(&p, 0x18, 0, 4), 0x56781234, "ids are read-only");
    cfg_write(&p, 0x18, 4, 0xffff, 2);
    cr_expect_eq(cfg_read(&p, 0x18, 4, 2), 0x0547);
    cfg_write(&p, 0x18, 0x3c, 0x0b, 1);
    cr_expect_eq(cfg_read(&p, 0x18, 0x3c, 2), 0x010b, "line written, pin read-only");
    device_reset(&t->pci.dev);
    cr_expect_eq(cfg_read(&p, 0x18, 4, 2), 0);
    device_destroy(&t->pci.dev);
    cr_expect_eq(cfg_read(&p, 0x18, 0, 4), 0xffffffff, "unplugged");
    pci_rig_fini(&p);
}

Test(pci, multi_function)
{
    struct pci_rig p;
    pci_rig_init(&p, true);
    struct toy *f1 = toy_new(&p, PCI_DEVFN(1, 1), 1);
    struct toy *f0 = toy_new(&p, PCI_DEVFN(1, 0), 1);
    struct toy *lone = toy_new(&p, PCI_DEVFN(2, 0), 1);
    cr_expect_eq(cfg_read(&p, 0x08, 0x0e, 1), 0x80);
    cr_expect_eq(cfg_read(&p, 0x09, 0x0e, 1), 0x00);
    cr_expect_eq(cfg_read(&p, 0x10, 0x0e, 1), 0x00);
    device_reset(&f0->pci.dev);
    cr_expect_eq(cfg_read(&p, 0x08, 0x0e, 1), 0x80, "also after reset");
    device_destroy(&f0->pci.dev);
    device_destroy(&f1->pci.dev);
    device_destroy(&lone->pci.dev);
    pci_rig_fini(&p);
}

Test(pci, bars)
{
    struct pci_rig p;
    pci_rig_init(&p, true);
    struct toy *t = toy_new(&p, 0x18, 1);
    static const struct {
        u32 off, sizing;
    } size[] = {{0x10, 0xffffffe1}, {0x14, 0xfffff000}, {0x18, 0xffff000c}, {0x1c, 0xffffffff},
                {0x20, 0xfffff000}, {0x24, 0x00000000}, {0x30, 0xfffff001}};
    for (size_t i = 0; i < ARRAY_LEN(size); i++) {
        cfg_write(&p, 0x18, size[i].off, 0xffffffff, 4);
        cr_expect_eq(cfg_read(&p, 0x18, size[i].off, 4), size[i].sizing, "BAR at %x", size[i].off);
    }
    cfg_write(&p, 0x18, 4, 7, 2); /* decoding on with sizing values: nothing may be mapped */
    cr_expect_eq(space_read(p.mem, 0xfffff000, 4), 0xffffffff);
    cfg_write(&p, 0x18, 0x10, 0xc000, 4);
    cfg_write(&p, 0x18, 0x14, 0xe0000000, 4);
    cfg_write(&p, 0x18, 0x18, 0x00000000, 4);
    cfg_write(&p, 0x18, 0x1c, 0x00000012, 4);
    cr_expect_eq(space_read(p.r.ports, 0xc004, 1), 0x11);
    cr_expect_eq(t->last_off, 4);
    cr_expect_eq(space_read(p.mem, 0xe0000ffc, 4), 0x22);
    cr_expect_eq(t->last_off, 0xffc);
    cr_expect_eq(space_read(p.mem, 0x1200000008, 4), 0x33, "above 4 GiB");
    cfg_write(&p, 0x18, 0x14, 0xe0010000, 4);
    cr_expect_eq(space_read(p.mem, 0xe0000ffc, 4), 0xffffffff, "moved away");
    cr_expect_eq(space_read(p.mem, 0xe0010ffc, 4), 0x22);
    cfg_write(&p, 0x18, 0x14, 0x00001000, 4);
    st_u32(p.ram->base + 0x1000, 0xcafe);
    cr_expect_eq(space_read(p.mem, 0x1000, 4), 0xcafe, "RAM wins over a BAR put on it");
    cfg_write(&p, 0x18, 4, 0, 2);
    cr_expect_eq(space_read(p.r.ports, 0xc004, 1), 0xff, "decoding off");
    cr_expect_eq(space_read(p.mem, 0x1200000008, 4), 0xffffffff);

    toy_rom[0] = 0x55;
    cfg_write(&p, 0x18, 4, 2, 2);
    cfg_write(&p, 0x18, 0x30, 0xe8000000, 4);
    cr_expect_eq(space_read(p.mem, 0xe8000000, 1), 0xff, "ROM decoder off");
    cfg_write(&p, 0x18, 0x30, 0xe8000001, 4);
    cr_expect_eq(space_read(p.mem, 0xe8000000, 1), 0x55);
    device_destroy(&t->pci.dev);
    cr_expect_eq(space_read(p.mem, 0xe8000000, 1), 0xff, "unplugged");
    pci_rig_fini(&p);
}

Test(pci, interrupt_pins)
{
    struct pci_rig p;
    pci_rig_init(&p, true);
    struct toy *a = toy_new(&p, PCI_DEVFN(3, 0), 1); /* input 2 */
    struct toy *b = toy_new(&p, PCI_DEVFN(7, 0), 1); /* input 2 too */
    struct toy *c = toy_new(&p, PCI_DEVFN(1, 2), 4); /* input 3 */
    pci_set_intx(&a->pci, true);
    pci_set_intx(&b->pci, true);
    cr_expect(p.pirq[2].level);
    cr_expect_eq(cfg_read(&p, 0x18, 6, 2) & 8, 8, "interrupt status");
    pci_set_intx(&a->pci, false);
    cr_expect(p.pirq[2].level, "b still drives it");
    cfg_write(&p, 0x38, 4, 0x400, 2);
    cr_expect_not(p.pirq[2].level, "INTx disabled");
    cr_expect_eq(cfg_read(&p, 0x38, 6, 2) & 8, 8, "status shows it still");
    cfg_write(&p, 0x38, 4, 0, 2);
    cr_expect(p.pirq[2].level);
    device_reset(&b->pci.dev);
    cr_expect_not(p.pirq[2].level);
    pci_set_intx(&c->pci, true);
    cr_expect(p.pirq[3].level);
    device_destroy(&c->pci.dev);
    cr_expect_not(p.pirq[3].level, "unplugged with its pin high");
    device_destroy(&a->pci.dev);
    device_destroy(&b->pci.dev);
    pci_rig_fini(&p);
}

struct msi_log {
    u64 addr;
    u32 data;
    int n;
};

static void log_msi(void *ctx, u64 addr, u32 data)
{
    struct msi_log *l = ctx;
    *l = (struct msi_log){addr, data, l->n + 1};
}

Test(pci, msi_and_msix)
{
    struct pci_rig p;
    struct msi_log l = {0};
    pci_rig_init(&p, true);
    pci_bus_set_msi(p.bus, log_msi, &l);
    struct toy *t = toy_new(&p, 0x18, 1);
    cr_expect_eq(cfg_read(&p, 0x18, 6, 2) & 0x10, 0x10);
    u32 msi = cfg_read(&p, 0x18, 0x34, 1);
    cr_expect_eq(cfg_read(&p, 0x18, msi, 4) & 0xffff00ff, 0x00840005, "64 bits, 4 vectors");
    u32 msix = cfg_read(&p, 0x18, msi + 1, 1);
    cr_expect_eq(cfg_read(&p, 0x18, msix, 4), 0x00020011, "last, 3 vectors");

    cfg_write(&p, 0x18, msi + 4, 0xfee01003, 4);
    cfg_write(&p, 0x18, msi + 12, 0x4041, 2);
    cfg_write(&p, 0x18, 4, 6, 2);
    pci_msi_notify(&t->pci, 0);
    cr_expect_eq(l.n, 0, "not enabled");
    cfg_write(&p, 0x18, msi + 2, 0x0071, 2); /* enabled, a grant of 128: at most the 4 asked for */
    pci_msi_notify(&t->pci, 2);
    cr_expect_eq(l.n, 1);
    cr_expect_eq(l.addr, 0xfee01000);
    cr_expect_eq(l.data, 0x4042);
    cfg_write(&p, 0x18, 4, 2, 2);
    pci_msi_notify(&t->pci, 0);
    cr_expect_eq(l.n, 1, "not a master");
    cfg_write(&p, 0x18, 4, 6, 2);

    cfg_write(&p, 0x18, 0x20, 0xe1000000, 4);
    cr_expect_eq(space_read(p.mem, 0xe1000000 + 2 * 16 + 12, 4), 1, "masked at reset");
    space_write(p.mem, 0xe1000000 + 2 * 16, 0xfee02000, 8);
    space_write(p.mem, 0xe1000000 + 2 * 16 + 8, 0x77, 4);
    cfg_write(&p, 0x18, msix + 2, 0x8000, 2);
    pci_msix_notify(&t->msix, 2);
    cr_expect_eq(l.n, 1);
    cr_expect_eq(space_read(p.mem, 0xe1000800, 8), 4, "pending");
    space_write(p.mem, 0xe1000000 + 2 * 16 + 12, 0, 4);
    cr_expect_eq(l.n, 2);
    cr_expect_eq(l.addr, 0xfee02000);
    cr_expect_eq(l.data, 0x77);
    cr_expect_eq(space_read(p.mem, 0xe1000800, 8), 0);
    cfg_write(&p, 0x18, msix + 2, 0xc000, 2);
    pci_msix_notify(&t->msix, 2);
    cr_expect_eq(l.n, 2, "function masked");
    cfg_write(&p, 0x18, msix + 2, 0x8000, 2);
    cr_expect_eq(l.n, 3);
    pci_msix_notify(&t->msix, 99);
    space_write(p.mem, 0xe1000fff, 0xff, 8);
    device_destroy(&t->pci.dev);
    pci_rig_fini(&p);
}

Test(pci, dma_needs_mastery)
{
    struct pci_rig p;
    u32 v = 5;
    pci_rig_init(&p, true);
    struct toy *t = toy_new(&p, 0x18, 1);
    st_u32(p.ram->base + 0x100, 0x1234);
    cr_expect_not(pci_dma_read(&t->pci, 0x100, &v, 4));
    cr_expect_eq(v, 0xffffffff);
    cr_expect_null(pci_dma_ptr(&t->pci, 0x100, 4, NULL, NULL));
    cfg_write(&p, 0x18, 4, 4, 2);
    cr_expect(pci_dma_read(&t->pci, 0x100, &v, 4));
    cr_expect_eq(v, 0x1234);
    cr_expect(pci_dma_read(&t->pci, ~0ull - 1, &v, 4), "wraps; nothing there");
    device_destroy(&t->pci.dev);
    pci_rig_fini(&p);
}

Test(pci, save_and_hostile_state)
{
    struct pci_rig p;
    pci_rig_init(&p, true);
    struct toy *a = toy_new(&p, 0x18, 1), *b = toy_new(&p, 0x20, 1);
    cfg_write(&p, 0x18, 0x14, 0xe0000000, 4);
    cfg_write(&p, 0x18, 4, 6, 2);
    pci_set_intx(&a->pci, true);
    cr_expect(clone_state(&a->pci.dev, &b->pci.dev));
    cr_expect_eq(cfg_read(&p, 0x20, 0x14, 4), 0xe0000000);
    cr_expect(p.pirq[3].level, "b's pin is driven");
    for (u32 seed = 0; seed < 200; seed++) {
        poison_state(&b->pci.dev, seed);
        cr_expect_eq(cfg_read(&p, 0x20, 0, 4), 0x56781234, "read-only bits are not restored");
    }
    device_destroy(&a->pci.dev);
    device_destroy(&b->pci.dev);
    pci_rig_fini(&p);
}

/* ---- i440FX -------------------------------------------------------------------------------------
 */
static u8 bios[0x20000];

Test(i440fx, shadow_ram)
{
    struct pci_rig p;
    pci_rig_init(&p, false);
    struct device *d = i440fx_new(p.bus, p.mem, p.ram);
    memset(bios, 0xb1, sizeof(bios));
    space_map_rom(p.mem, 0xe0000, sizeof(bios), bios, 0);
    cr_expect_eq(cfg_read(&p, 0, 0, 4), 0x12378086);
    static const struct {
        u32 reg;
        int shift;
        u32 addr, last;
    } seg[] = {
        {0x59, 4, 0xf0000, 0xfffff}, {0x5a, 0, 0xc0000, 0xc3fff}, {0x5a, 4, 0xc4000, 0xc7fff},
        {0x5b, 0, 0xc8000, 0xcbfff}, {0x5b, 4, 0xcc000, 0xcffff}, {0x5c, 0, 0xd0000, 0xd3fff},
        {0x5c, 4, 0xd4000, 0xd7fff}, {0x5d, 0, 0xd8000, 0xdbfff}, {0x5d, 4, 0xdc000, 0xdffff},
        {0x5e, 0, 0xe0000, 0xe3fff}, {0x5e, 4, 0xe4000, 0xe7fff}, {0x5f, 0, 0xe8000, 0xebfff},
        {0x5f, 4, 0xec000, 0xeffff},
    };
    for (size_t i = 0; i < ARRAY_LEN(seg); i++) {
        u64 rom = seg[i].addr >= 0xe0000 ? 0xb1 : 0xff;
        gpa ends[] = {seg[i].addr, seg[i].last};
        for (int k = 0; k < 2; k++) {
            p.ram->base[ends[k]] = 0;
            cfg_write(&p, 0, seg[i].reg, 0, 1);
            space_write(p.mem, ends[k], 0x11, 1);
            cr_expect_eq(p.ram->base[ends[k]], 0, "neither");
            cr_expect_eq(space_read(p.mem, ends[k], 1), rom);
            cfg_write(&p, 0, seg[i].reg, 2u << seg[i].shift, 1);
            space_write(p.mem, ends[k], 0x22, 1);
            cr_expect_eq(p.ram->base[ends[k]], 0x22, "write-only");
            cr_expect_eq(space_read(p.mem, ends[k], 1), rom);
            cfg_write(&p, 0, seg[i].reg, 1u << seg[i].shift, 1);
            space_write(p.mem, ends[k], 0x33, 1);
            cr_expect_eq(space_read(p.mem, ends[k], 1), 0x22, "read-only");
            cfg_write(&p, 0, seg[i].reg, 3u << seg[i].shift, 1);
            space_write(p.mem, ends[k], 0x44, 1);
            cr_expect_eq(space_read(p.mem, ends[k], 1), 0x44, "RAM");
        }
    }
    cfg_write(&p, 0, 0x5a, 0x33, 1);
    cr_expect_eq(space_read(p.mem, 0xc0000, 1), 0x44, "both halves of a register");
    device_reset(d);
    cr_expect_eq(space_read(p.mem, 0xf0000, 1), 0xb1, "reset shows the ROM");
    cr_expect_eq(space_read(p.mem, 0x9fffe, 4), 0xffff0000, "RAM ends at 640 KiB");
    cr_expect_eq(space_read(p.mem, 0x100000, 4), 0);
    cr_expect_eq(space_read(p.mem, 0x200000, 4), 0xffffffff);
    for (u32 seed = 0; seed < 50; seed++)
        poison_state(d, seed);
    device_destroy(d);
    pci_rig_fini(&p);
}

Test(i440fx, smram)
{
    struct pci_rig p;
    pci_rig_init(&p, false);
    struct device *d = i440fx_new(p.bus, p.mem, p.ram);
    p.ram->base[0xa0000] = 0x5a;
    cr_expect_eq(space_read(p.mem, 0xa0000, 1), 0xff, "display memory, of which there is none");
    cfg_write(&p, 0, 0x72, 0x4a, 1);
    cr_expect_eq(space_read(p.mem, 0xa0000, 1), 0x5a, "open");
    cfg_write(&p, 0, 0x72, 0x1a, 1);
    cfg_write(&p, 0, 0x72, 0x4a, 1);
    cr_expect_eq(cfg_read(&p, 0, 0x72, 1), 0x1a, "locked");
    cr_expect_eq(space_read(p.mem, 0xa0000, 1), 0xff);
    device_reset(d);
    cr_expect_eq(cfg_read(&p, 0, 0x72, 1), 0x02);
    device_destroy(d);
    pci_rig_fini(&p);
}

Test(i440fx, ram_below_4g)
{
    cr_expect_eq(i440fx_low_ram(128 * MIB), 128 * MIB);
    cr_expect_eq(i440fx_low_ram(0xe0000000 - 4096), 0xe0000000 - 4096);
    cr_expect_eq(i440fx_low_ram(0xe0000000), 3 * GIB);
    cr_expect_eq(i440fx_low_ram(64 * GIB), 3 * GIB);
}

/* ---- PIIX3 --------------------------------------------------------------------------------------
 */
Test(piix3, routing)
{
    struct pci_rig p;
    struct probe isa[16] = {0}, reset = {0};
    struct irq lines[16];
    pci_rig_init(&p, true);
    for (int i = 0; i < 16; i++)
        lines[i] = probe_irq(&isa[i]);
    struct device *d = piix3_new(p.bus, 1, lines, probe_irq(&reset));
    struct toy *a = toy_new(&p, PCI_DEVFN(3, 0), 1); /* PIRQC */
    struct toy *b = toy_new(&p, PCI_DEVFN(4, 0), 1); /* PIRQD */
    cr_expect_eq(cfg_read(&p, 8, 0, 4), 0x70008086);
    cr_expect_eq(cfg_read(&p, 8, 8, 4), 0x06010000);
    cr_expect_eq(cfg_read(&p, 8, 0x60, 4), 0x80808080);
    pci_set_intx(&a->pci, true);
    for (int i = 0; i < 16; i++)
        cr_expect_not(isa[i].level, "routing is off after reset");
    cfg_write(&p, 8, 0x60, 0x0b0b0a0a, 4);
    cr_expect(isa[11].level);
    pci_set_intx(&b->pci, true);
    pci_set_intx(&a->pci, false);
    cr_expect(isa[11].level, "shared with PIRQD");
    cfg_write(&p, 8, 0x63, 0x05, 1);
    cr_expect_not(isa[11].level);
    cr_expect(isa[5].level, "moved while active");
    static const u8 reserved[] = {0, 1, 2, 8, 13, 0x85};
    for (size_t i = 0; i < ARRAY_LEN(reserved); i++) {
        cfg_write(&p, 8, 0x63, reserved[i], 1);
        for (int k = 0; k < 16; k++)
            cr_expect_not(isa[k].level, "route %02x", reserved[i]);
    }
    for (u32 seed = 0; seed < 50; seed++)
        poison_state(d, seed);
    device_reset(d);
    device_destroy(&a->pci.dev);
    device_destroy(&b->pci.dev);
    device_destroy(d);
    pci_rig_fini(&p);
}

Test(piix3, reset_control)
{
    struct pci_rig p;
    struct probe reset = {0};
    struct irq lines[16] = {0};
    pci_rig_init(&p, true);
    struct device *d = piix3_new(p.bus, 1, lines, probe_irq(&reset));
    out8(&p.r, 0xcf9, 0x02);
    cr_expect_eq(reset.rises, 0);
    cr_expect_eq(in8(&p.r, 0xcf9), 2);
    out8(&p.r, 0xcf9, 0x06);
    cr_expect_eq(reset.rises, 1);
    space_write(p.r.ports, 0xcf8, 0x80000600, 4);
    cr_expect_eq(reset.rises, 1, "CONFADD is not the reset register");
    device_destroy(d);
    pci_rig_fini(&p);
}
