/* tests/devices/test_acpi_pm.c - ACPI power management as firmware and kernels use it. */
#include "tests/devices/pci_rig.h"
#include "devices/acpi_pm.h"

enum { PM_FN = PCI_DEVFN(1, 3), PM = 0x600, SMB = 0x700 };

struct pm {
    struct pci_rig p;
    struct device *d;
    int off;
};

static void power_off(void *ctx)
{
    ((struct pm *)ctx)->off++;
}

static u32 in(struct pm *t, u16 port, int size)
{
    return (u32)space_read(t->p.r.ports, port, size);
}

static void out(struct pm *t, u16 port, u32 val, int size)
{
    space_write(t->p.r.ports, port, val, size);
}

/* As SeaBIOS sets it up. */
static void start(struct pm *t)
{
    memset(t, 0, sizeof(*t));
    pci_rig_init(&t->p, true);
    struct rig *r = &t->p.r;
    t->d = acpi_pm_new(t->p.bus, PM_FN, r->ports, probe_irq(&r->irq), power_off, t, r->clk);
    cfg_write(&t->p, PM_FN, 0x40, PM | 1, 4);
    cfg_write(&t->p, PM_FN, 0x80, 1, 1);
    cfg_write(&t->p, PM_FN, 0x90, SMB | 1, 4);
    cfg_write(&t->p, PM_FN, 0xd2, 9, 1);
}

static void stop(struct pm *t)
{
    device_destroy(t->d);
    pci_rig_fini(&t->p);
}

Test(acpi_pm, configuration)
{
    struct pm t;
    start(&t);
    cr_expect_eq(cfg_read(&t.p, PM_FN, 0, 4), 0x71138086);
    cr_expect_eq(cfg_read(&t.p, PM_FN, 0x40, 4), PM | 1);
    cr_expect_eq(cfg_read(&t.p, PM_FN, 0x5b, 1) & 2, 2, "SMM counts as set up");
    cfg_write(&t.p, PM_FN, 0x40, 0xb000, 4);
    out(&t, 0xb004, 0x1c00, 2);
    cr_expect_eq(in(&t, 0xb004, 2), 0x1c00, "moved");
    cr_expect_eq(in(&t, PM + 4, 2), 0xffff);
    cfg_write(&t.p, PM_FN, 0x80, 0, 1);
    cr_expect_eq(in(&t, 0xb004, 2), 0xffff, "off");
    stop(&t);
}

Test(acpi_pm, timer)
{
    struct pm t;
    start(&t);
    cr_expect_eq(in(&t, PM + 8, 4), 0);
    clock_advance(t.p.r.clk, NS_PER_SEC);
    cr_expect_eq(in(&t, PM + 8, 4), 3579545);
    cr_expect_eq(in(&t, PM + 9, 1), 3579545 >> 8 & 0xff);
    cr_expect_eq(in(&t, PM, 2), 0);
    clock_advance(t.p.r.clk, 2 * NS_PER_SEC);
    cr_expect_eq(in(&t, PM, 2), 1, "bit 23 has changed");
    cr_expect_not(t.p.r.irq.level);
    clock_advance(t.p.r.clk, 2 * NS_PER_SEC);
    cr_expect_eq(in(&t, PM + 8, 4), 5 * 3579545 % (1 << 24), "24 bits");
    out(&t, PM, 1, 2);
    cr_expect_eq(in(&t, PM, 2), 0);
    out(&t, 0xb2, 0xf1, 1);
    out(&t, PM + 2, 1, 2);
    clock_advance(t.p.r.clk, 2 * NS_PER_SEC);
    cr_expect_not(t.p.r.irq.level);
    clock_advance(t.p.r.clk, NS_PER_SEC);
    cr_expect(t.p.r.irq.level, "overflow interrupts");
    out(&t, PM, 1, 2);
    cr_expect_not(t.p.r.irq.level);
    stop(&t);
}

Test(acpi_pm, enable_button_power_off)
{
    struct pm t;
    start(&t);
    out(&t, 0xb2, 0xf1, 1);
    cr_expect_eq(in(&t, PM + 4, 2) & 1, 1, "SCI_EN");
    out(&t, PM + 2, 0x100, 2);
    acpi_pm_power_button(t.d);
    cr_expect(t.p.r.irq.level);
    cr_expect_eq(in(&t, PM, 2), 0x100);
    out(&t, PM, 0x100, 2);
    cr_expect_not(t.p.r.irq.level);
    out(&t, PM + 4, 0x0000, 2);
    cr_expect_eq(in(&t, PM + 4, 2) & 1, 1, "not by a write to PM1_CNT");
    out(&t, PM + 4, 0x2401, 2);
    cr_expect_eq(t.off, 0, "type 1 is not offered");
    out(&t, PM + 4, 0x2001, 2);
    cr_expect_eq(t.off, 1, "S5");
    cr_expect_eq(in(&t, PM + 4, 2) & 0x2000, 0, "SLP_EN reads 0");
    out(&t, 0xb2, 0xf0, 1);
    cr_expect_eq(in(&t, PM + 4, 2) & 1, 0);
    out(&t, 0xb3, 0x5a, 1);
    cr_expect_eq(in(&t, 0xb3, 1), 0x5a);
    stop(&t);
}

Test(acpi_pm, smbus_is_empty)
{
    struct pm t;
    start(&t);
    cr_expect_eq(in(&t, SMB, 1), 0);
    out(&t, SMB + 4, 0xa1, 1);
    out(&t, SMB + 2, 0x48, 1);
    cr_expect_eq(in(&t, SMB, 1), 4, "no device, not busy");
    out(&t, SMB, 0x04, 1);
    cr_expect_eq(in(&t, SMB, 1), 0);
    stop(&t);
}

Test(acpi_pm, state)
{
    struct pm a, b;
    start(&a);
    start(&b);
    out(&a, 0xb2, 0xf1, 1);
    out(&a, PM + 2, 0x100, 2);
    acpi_pm_power_button(a.d);
    cr_expect(clone_state(a.d, b.d));
    cr_expect(b.p.r.irq.level);
    cr_expect_eq(in(&b, PM + 2, 2), 0x100);
    for (u32 seed = 0; seed < 100; seed++) {
        poison_state(b.d, seed);
        cfg_write(&b.p, PM_FN, 0x40, PM | 1, 4);
        hammer(&b.p.r, PM, 64, seed, 100);
        hammer(&b.p.r, SMB, 16, seed, 100);
        hammer(&b.p.r, 0xafe0, 4, seed, 20);
    }
    stop(&a);
    stop(&b);
}
