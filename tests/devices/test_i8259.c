/* tests/devices/test_i8259.c - the interrupt controllers against their data sheet. */
#include "tests/devices/rig.h"
#include "devices/i8259.h"

struct pic_rig {
    struct rig r;
    struct device *d;
};

static struct pic_rig setup(void)
{
    struct pic_rig p;
    rig_init(&p.r);
    p.d = NULL;
    return p;
}

/* Standard PC programming: vectors 0x20 and 0x28, all unmasked. */
static void start(struct pic_rig *p, u8 icw4)
{
    p->d = i8259_new(p->r.ports, probe_irq(&p->r.irq));
    const struct step s[] = {
        {'w', 0x20, 0x11},
        {'w', 0x21, 0x20},
        {'w', 0x21, 0x04},
        {'w', 0x21, icw4},
        {'w', 0xa0, 0x11},
        {'w', 0xa1, 0x28},
        {'w', 0xa1, 0x02},
        {'w', 0xa1, icw4},
        {'w', 0x21, 0x00},
        {'w', 0xa1, 0x00},
        {0},
    };
    run_steps(&p->r, s);
}

static void stop(struct pic_rig *p)
{
    rig_fini(&p->r);
    device_destroy(p->d);
}

static void set(struct pic_rig *p, int n, bool level)
{
    struct irq line = i8259_line(p->d, n);
    irq_set(&line, level);
}

static void edge(struct pic_rig *p, int n)
{
    set(p, n, false);
    set(p, n, true);
}

Test(i8259, edge_and_eoi)
{
    struct pic_rig p = setup();
    start(&p, 0x01);
    cr_expect_not(p.r.irq.level);
    set(&p, 1, true);
    cr_expect(p.r.irq.level);
    cr_expect_eq(i8259_ack(p.d), 0x21);
    cr_expect_not(p.r.irq.level);
    edge(&p, 1); /* again while in service: latched, not delivered */
    cr_expect_not(p.r.irq.level);
    cr_expect_eq(in8(&p.r, 0x20), 0x02);
    out8(&p.r, 0x20, 0x0b);
    cr_expect_eq(in8(&p.r, 0x20), 0x02, "ISR");
    out8(&p.r, 0x20, 0x20);
    cr_expect(p.r.irq.level);
    cr_expect_eq(i8259_ack(p.d), 0x21);
    out8(&p.r, 0x20, 0x61); /* specific EOI */
    cr_expect_eq(in8(&p.r, 0x20), 0);
    cr_expect_not(p.r.irq.level, "the line is still high, but that is no edge");
    stop(&p);
}

Test(i8259, priorities_nest)
{
    struct pic_rig p = setup();
    start(&p, 0x01);
    edge(&p, 5);
    edge(&p, 3);
    cr_expect_eq(i8259_ack(p.d), 0x23);
    cr_expect_not(p.r.irq.level, "5 waits for 3");
    edge(&p, 0);
    cr_expect_eq(i8259_ack(p.d), 0x20);
    out8(&p.r, 0x20, 0x20); /* ends 0 */
    cr_expect_not(p.r.irq.level);
    out8(&p.r, 0x20, 0x20); /* ends 3 */
    cr_expect_eq(i8259_ack(p.d), 0x25);
    stop(&p);
}

Test(i8259, cascade)
{
    struct pic_rig p = setup();
    start(&p, 0x01);
    edge(&p, 12);
    edge(&p, 8);
    cr_expect_eq(i8259_ack(p.d), 0x28);
    cr_expect_not(p.r.irq.level);
    edge(&p, 1);
    cr_expect_eq(i8259_ack(p.d), 0x21, "1 is above the cascade");
    out8(&p.r, 0x20, 0x20);
    out8(&p.r, 0xa0, 0x20);
    cr_expect_not(p.r.irq.level, "master still has 2 in service");
    out8(&p.r, 0x20, 0x20);
    cr_expect_eq(i8259_ack(p.d), 0x2c);
    stop(&p);
}

Test(i8259, special_fully_nested)
{
    struct pic_rig p = setup();
    start(&p, 0x11);
    edge(&p, 12);
    cr_expect_eq(i8259_ack(p.d), 0x2c);
    edge(&p, 13);
    cr_expect_not(p.r.irq.level, "lower on the slave");
    edge(&p, 9);
    cr_expect(p.r.irq.level, "higher on the slave interrupts");
    cr_expect_eq(i8259_ack(p.d), 0x29);
    stop(&p);
}

Test(i8259, mask_and_spurious)
{
    struct pic_rig p = setup();
    start(&p, 0x01);
    cr_expect_eq(i8259_ack(p.d), 0x27, "nothing pending");
    out8(&p.r, 0x20, 0x0b);
    cr_expect_eq(in8(&p.r, 0x20), 0, "a spurious 7 is not in service");
    edge(&p, 4);
    out8(&p.r, 0x21, 0x10);
    cr_expect_not(p.r.irq.level);
    cr_expect_eq(in8(&p.r, 0x21), 0x10);
    out8(&p.r, 0x21, 0);
    cr_expect(p.r.irq.level, "the latch survives the mask");
    cr_expect_eq(i8259_ack(p.d), 0x24);
    stop(&p);
}

Test(i8259, elcr_level)
{
    struct pic_rig p = setup();
    start(&p, 0x01);
    out8(&p.r, 0x4d0, 0xff);
    out8(&p.r, 0x4d1, 0xff);
    cr_expect_eq(in8(&p.r, 0x4d0), 0xf8);
    cr_expect_eq(in8(&p.r, 0x4d1), 0xde);
    set(&p, 11, true);
    cr_expect_eq(i8259_ack(p.d), 0x2b);
    out8(&p.r, 0xa0, 0x20);
    out8(&p.r, 0x20, 0x20);
    cr_expect(p.r.irq.level, "level: asks again");
    set(&p, 11, false);
    cr_expect_not(p.r.irq.level);
    set(&p, 5, true);
    set(&p, 5, false);
    cr_expect_not(p.r.irq.level);
    cr_expect_eq(i8259_ack(p.d), 0x27, "level gone before INTA");
    stop(&p);
}

Test(i8259, rotation)
{
    struct pic_rig p = setup();
    start(&p, 0x01);
    edge(&p, 3);
    cr_expect_eq(i8259_ack(p.d), 0x23);
    out8(&p.r, 0x20, 0xa0); /* rotate on non-specific EOI: 3 gets the lowest */
    edge(&p, 3);
    edge(&p, 4);
    cr_expect_eq(i8259_ack(p.d), 0x24);
    out8(&p.r, 0x20, 0xe4); /* rotate on specific EOI: 4 lowest */
    edge(&p, 4);
    cr_expect_eq(i8259_ack(p.d), 0x23);
    out8(&p.r, 0x20, 0x63);
    out8(&p.r, 0x20, 0xc7); /* set priority: 7 lowest, the usual order */
    edge(&p, 7);
    cr_expect_eq(i8259_ack(p.d), 0x24);
    stop(&p);
}

Test(i8259, auto_eoi_rotating)
{
    struct pic_rig p = setup();
    start(&p, 0x03);
    out8(&p.r, 0x20, 0x80); /* rotate in AEOI mode */
    edge(&p, 0);
    cr_expect_eq(i8259_ack(p.d), 0x20);
    out8(&p.r, 0x20, 0x0b);
    cr_expect_eq(in8(&p.r, 0x20), 0, "no ISR bit");
    edge(&p, 0);
    edge(&p, 6);
    cr_expect_eq(i8259_ack(p.d), 0x26, "0 went to the bottom");
    cr_expect_eq(i8259_ack(p.d), 0x20);
    stop(&p);
}

Test(i8259, special_mask)
{
    struct pic_rig p = setup();
    start(&p, 0x01);
    edge(&p, 1);
    cr_expect_eq(i8259_ack(p.d), 0x21);
    edge(&p, 6);
    cr_expect_not(p.r.irq.level);
    out8(&p.r, 0x21, 0x02);
    out8(&p.r, 0x20, 0x68); /* special mask on */
    cr_expect(p.r.irq.level, "1 is masked and blocks nobody");
    cr_expect_eq(i8259_ack(p.d), 0x26);
    out8(&p.r, 0x20, 0x20); /* non-specific EOI does not see the masked 1 */
    out8(&p.r, 0x20, 0x0b);
    cr_expect_eq(in8(&p.r, 0x20), 0x02);
    out8(&p.r, 0x20, 0x48); /* off */
    out8(&p.r, 0x20, 0x20);
    cr_expect_eq(in8(&p.r, 0x20), 0);
    stop(&p);
}

Test(i8259, poll)
{
    struct pic_rig p = setup();
    start(&p, 0x01);
    out8(&p.r, 0x20, 0x0c);
    cr_expect_eq(in8(&p.r, 0x20), 0);
    edge(&p, 14);
    out8(&p.r, 0x20, 0x0c);
    cr_expect_eq(in8(&p.r, 0x20), 0x82);
    out8(&p.r, 0xa0, 0x0c);
    cr_expect_eq(in8(&p.r, 0xa0), 0x86);
    out8(&p.r, 0xa0, 0x0b);
    cr_expect_eq(in8(&p.r, 0xa0), 0x40, "polling is acknowledging");
    cr_expect_not(p.r.irq.level);
    stop(&p);
}

Test(i8259, icw1_forgets)
{
    struct pic_rig p = setup();
    start(&p, 0x01);
    out8(&p.r, 0x21, 0xff);
    edge(&p, 3);
    const struct step s[] = {
        {'w', 0x20, 0x12}, {'w', 0x21, 0x40}, {'r', 0x21, 0}, {'r', 0x20, 0}, {0}};
    run_steps(&p.r, s); /* single, no ICW4: the next data access is the mask */
    edge(&p, 3);
    cr_expect_eq(i8259_ack(p.d), 0x43);
    stop(&p);
}

Test(i8259, state_moves)
{
    struct pic_rig p = setup(), q = setup();
    start(&p, 0x01);
    start(&q, 0x01);
    out8(&p.r, 0x21, 0x01);
    edge(&p, 9);
    edge(&p, 3);
    cr_expect_eq(i8259_ack(p.d), 0x29);
    cr_expect(clone_state(p.d, q.d));
    cr_expect_eq(in8(&q.r, 0x21), 0x01);
    out8(&q.r, 0xa0, 0x20);
    out8(&q.r, 0x20, 0x20);
    cr_expect(q.r.irq.level);
    cr_expect_eq(i8259_ack(q.d), 0x23);
    device_reset(q.d);
    cr_expect_not(q.r.irq.level);
    stop(&p);
    stop(&q);
}

Test(i8259, hostile)
{
    struct pic_rig p = setup();
    start(&p, 0x01);
    for (u32 i = 0; i < 200; i++) {
        poison_state(p.d, i);
        set(&p, (int)(i % 16), i & 16);
        int v = i8259_ack(p.d);
        cr_assert(v >= 0 && v < 256);
        hammer(&p.r, 0x20, 2, i, 50);
        hammer(&p.r, 0xa0, 2, i, 50);
    }
    stop(&p);
}
