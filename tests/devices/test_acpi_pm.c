/* tests/devices/test_acpi_pm.c - power management: timer, SCI, power button, power off. */
#include "tests/devices/pci_rig.h"
#include "devices/acpi_pm.h"

enum { FN = 1 << 3 | 3 };

struct pm_rig {
    struct pci_rig p;
    struct device *d;
    int offs;
};

static void power_off(void *ctx)
{
    ((struct pm_rig *)ctx)->offs++;
}

/* As firmware leaves it: PMBA 0x600, enabled. */
static void start(struct pm_rig *r)
{
    pci_rig_init(&r->p, true);
    r->offs = 0;
    r->d =
        acpi_pm_new(r->p.bus, FN, r->p.r.ports, probe_irq(&r->p.r.irq), power_off, r, r->p.r.clk);
    cfg_write(&r->p, FN, 0x40, 0x601, 4);
    cfg_write(&r->p, FN, 0x80, 1, 1);
}

static void stop(struct pm_rig *r)
{
    device_destroy(r->d);
    pci_rig_fini(&r->p);
}

static void out16(struct pm_rig *r, u16 port, u16 val)
{
    space_write(r->p.r.ports, port, val, 2);
}

static u32 in(struct pm_rig *r, u16 port, int size)
{
    return (u32)space_read(r->p.r.ports, port, size);
}

Test(acpi_pm, config)
{
    struct pm_rig r;
    start(&r);
    cr_expect_eq(cfg_read(&r.p, FN, 0, 4), 0x71138086);
    cr_expect_eq(in(&r, 0x604, 2), 0);
    cfg_write(&r.p, FN, 0x40, 0xb001, 4);
    cr_expect_eq(in(&r, 0x604, 2), 0xffff, "moved away");
    cr_expect_eq(in(&r, 0xb004, 2), 0);
    cfg_write(&r.p, FN, 0x80, 0, 1);
    cr_expect_eq(in(&r, 0xb004, 2), 0xffff, "disabled");
    stop(&r);
}

Test(acpi_pm, timer)
{
    struct pm_rig r;
    start(&r);
    u32 a = in(&r, 0x608, 4);
    clock_advance(r.p.r.clk, NS_PER_SEC);
    cr_expect_eq(in(&r, 0x608, 4) - a, ACPI_PM_TIMER_HZ);
    out8(&r.p.r, 0xb2, ACPI_PM_ON);
    out16(&r, 0x602, 1);
    clock_advance(r.p.r.clk, NS_PER_SEC);
    cr_expect_not(r.p.r.irq.level);
    clock_advance(r.p.r.clk, NS_PER_SEC / 2); /* bit 23 turns over at 2.34 s */
    cr_expect(r.p.r.irq.level);
    cr_expect_eq(in(&r, 0x600, 2) & 1, 1);
    out16(&r, 0x600, 1);
    cr_expect_not(r.p.r.irq.level);
    clock_advance(r.p.r.clk, 3 * NS_PER_SEC);
    cr_expect(r.p.r.irq.level, "and again");
    cr_expect_lt(in(&r, 0x608, 4), 1u << 24);
    stop(&r);
}

Test(acpi_pm, button_and_sci)
{
    struct pm_rig r;
    start(&r);
    out16(&r, 0x602, 0x100);
    acpi_pm_power_button(r.d);
    cr_expect_eq(in(&r, 0x600, 2), 0x100);
    cr_expect_not(r.p.r.irq.level, "no SCI before ACPI is switched on");
    out8(&r.p.r, 0xb2, ACPI_PM_ON);
    cr_expect_eq(in(&r, 0x604, 2) & 1, 1);
    cr_expect(r.p.r.irq.level);
    out8(&r.p.r, 0xb2, ACPI_PM_OFF);
    cr_expect_not(r.p.r.irq.level);
    out8(&r.p.r, 0xb2, ACPI_PM_ON);
    out8(&r.p.r, 0x601, 1); /* by a byte */
    cr_expect_not(r.p.r.irq.level);
    cr_expect_eq(in(&r, 0x600, 2), 0);
    stop(&r);
}

Test(acpi_pm, power_off)
{
    struct pm_rig r;
    start(&r);
    out16(&r, 0x604, 0x0001 | 5 << 10 | 1 << 13);
    cr_expect_eq(r.offs, 0, "another sleep type");
    out16(&r, 0x604, 0x0001);
    cr_expect_eq(r.offs, 0, "no SLP_EN");
    out16(&r, 0x604, 0x2001);
    cr_expect_eq(r.offs, 1);
    cr_expect_eq(in(&r, 0x604, 2) & 0x2000, 0, "SLP_EN reads as zero");
    stop(&r);
}

Test(acpi_pm, state_and_hostile)
{
    struct pm_rig r, q;
    start(&r);
    start(&q);
    out16(&r, 0x602, 0x100);
    out8(&r.p.r, 0xb2, ACPI_PM_ON);
    acpi_pm_power_button(r.d);
    cr_expect(clone_state(r.d, q.d));
    cr_expect(q.p.r.irq.level);
    device_reset(q.d);
    cr_expect_not(q.p.r.irq.level);
    for (u32 i = 0; i < 100; i++) {
        poison_state(r.d, i);
        cfg_write(&r.p, FN, 0x40, 0x601, 4);
        cfg_write(&r.p, FN, 0x80, 1, 1);
        hammer(&r.p.r, 0x600, 64, i, 100);
        hammer(&r.p.r, 0xafe0, 4, i, 50);
        hammer(&r.p.r, 0xb2, 2, i, 50);
    }
    stop(&r);
    stop(&q);
}

Test(acpi_pm, timer_status_without_interrupt)
{
    struct pm_rig r;
    start(&r);
    clock_advance(r.p.r.clk, NS_PER_SEC);
    cr_expect_eq(in(&r, 0x609, 1), ACPI_PM_TIMER_HZ >> 8 & 0xff, "a byte of it");
    cr_expect_eq(in(&r, 0x600, 2), 0);
    clock_advance(r.p.r.clk, 2 * NS_PER_SEC);
    cr_expect_eq(in(&r, 0x600, 2), 1, "bit 23 has changed");
    cr_expect_not(r.p.r.irq.level);
    out16(&r, 0x600, 1);
    cr_expect_eq(in(&r, 0x600, 2), 0);
    clock_advance(r.p.r.clk, 2 * NS_PER_SEC);
    cr_expect_eq(in(&r, 0x608, 4), 5 * ACPI_PM_TIMER_HZ % (1 << 24), "24 bits");
    stop(&r);
}

Test(acpi_pm, firmware_and_smbus)
{
    struct pm_rig r;
    start(&r);
    cr_expect_eq(cfg_read(&r.p, FN, 0x5b, 1) & 2, 2, "SMM counts as set up");
    out8(&r.p.r, 0xb3, 0x5a);
    cr_expect_eq(in8(&r.p.r, 0xb3), 0x5a);
    out8(&r.p.r, 0xb2, ACPI_PM_ON);
    out16(&r, 0x604, 0);
    cr_expect_eq(in(&r, 0x604, 2) & 1, 1, "SCI_EN is not PM1_CNT's to clear");

    cfg_write(&r.p, FN, 0x90, 0x701, 4);
    cfg_write(&r.p, FN, 0xd2, 9, 1);
    static const struct step s[] = {
        {'r', 0x700, 0x00}, {'w', 0x704, 0xa1}, {'w', 0x702, 0x48}, {'r', 0x700, 0x04},
        {'r', 0x702, 0x08}, {'w', 0x700, 0x04}, {'r', 0x700, 0x00}, {0},
    };
    run_steps(&r.p.r, s); /* a transaction ends at once: no device, not busy */
    hammer(&r.p.r, 0x700, 16, 1, 500);
    stop(&r);
}
