/* tests/devices/test_ioapic.c - the I/O APIC against its data sheet. */
#include "tests/devices/rig.h"
#include "devices/ioapic.h"

struct io {
    struct rig r;
    struct space *mem;
    struct device *d;
    int n, mode, vector;
    u32 dest;
    bool logical, level;
};

static void deliver(void *ctx, u32 dest, bool logical, int mode, int vector, bool level)
{
    struct io *t = ctx;
    t->n++;
    t->dest = dest;
    t->logical = logical;
    t->mode = mode;
    t->vector = vector;
    t->level = level;
}

static void start(struct io *t)
{
    memset(t, 0, sizeof(*t));
    rig_init(&t->r);
    t->mem = space_new("mem", 1ull << 32);
    t->d = ioapic_new(t->mem, 0xfec00000, deliver, t);
}

static void stop(struct io *t)
{
    device_destroy(t->d);
    space_free(t->mem);
    rig_fini(&t->r);
}

static u32 rd(struct io *t, u32 reg)
{
    space_write(t->mem, 0xfec00000, reg, 4);
    return (u32)space_read(t->mem, 0xfec00010, 4);
}

static void wr(struct io *t, u32 reg, u32 val)
{
    space_write(t->mem, 0xfec00000, reg, 4);
    space_write(t->mem, 0xfec00010, val, 4);
}

static void pin(struct io *t, int n, bool level)
{
    struct irq line = ioapic_line(t->d, n);
    irq_set(&line, level);
}

Test(ioapic, registers)
{
    struct io t;
    start(&t);
    cr_expect_eq(rd(&t, 1), 0x00170020);
    for (u32 i = 0; i < 24; i++)
        cr_expect_eq(rd(&t, 0x10 + 2 * i), 0x10000, "masked at reset");
    wr(&t, 0, 0xff000000);
    cr_expect_eq(rd(&t, 0), 0x0f000000);
    wr(&t, 0x3e, 0xffffffff);
    cr_expect_eq(rd(&t, 0x3e), 0x0001afff, "status bits are read-only");
    wr(&t, 0x3f, 0xffffffff);
    cr_expect_eq(rd(&t, 0x3f), 0xff000000);
    cr_expect_eq(rd(&t, 0x40), 0);
    cr_expect_null(ioapic_line(t.d, 24).set);
    stop(&t);
}

Test(ioapic, edge)
{
    struct io t;
    start(&t);
    wr(&t, 0x12, 0x10030); /* pin 1, masked */
    pin(&t, 1, true);
    pin(&t, 1, false);
    wr(&t, 0x12, 0x00830); /* logical */
    wr(&t, 0x13, 0x03000000);
    cr_expect_eq(t.n, 0, "an edge while masked is lost");
    pin(&t, 1, true);
    pin(&t, 1, true);
    cr_expect_eq(t.n, 1);
    cr_expect_eq(t.vector, 0x30);
    cr_expect_eq(t.dest, 3);
    cr_expect(t.logical);
    cr_expect_not(t.level);
    pin(&t, 1, false);
    pin(&t, 1, true);
    cr_expect_eq(t.n, 2, "no end of interrupt is needed");
    static const int modes[] = {0, 1, 4, 5, 7};
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        pin(&t, 1, false);
        wr(&t, 0x12, 0x40 | (u32)modes[i] << 8);
        pin(&t, 1, true);
        cr_expect_eq(t.mode, modes[i]);
    }
    stop(&t);
}

Test(ioapic, level)
{
    struct io t;
    start(&t);
    wr(&t, 0x24, 0x18050); /* pin 10, level, masked */
    pin(&t, 10, true);
    cr_expect_eq(t.n, 0);
    wr(&t, 0x24, 0x08050);
    cr_expect_eq(t.n, 1, "the level is seen when unmasked");
    cr_expect(t.level);
    cr_expect_eq(rd(&t, 0x24), 0x0c050, "remote IRR");
    pin(&t, 10, true);
    cr_expect_eq(t.n, 1);
    ioapic_eoi(t.d, 0x51);
    cr_expect_eq(t.n, 1, "another vector's");
    ioapic_eoi(t.d, 0x50);
    cr_expect_eq(t.n, 2, "still high");
    pin(&t, 10, false);
    ioapic_eoi(t.d, 0x50);
    cr_expect_eq(t.n, 2);
    cr_expect_eq(rd(&t, 0x24), 0x08050);
    pin(&t, 10, true);
    pin(&t, 10, false);
    cr_expect_eq(t.n, 3);
    space_write(t.mem, 0xfec00040, 0x50, 4); /* the EOI register */
    cr_expect_eq(rd(&t, 0x24), 0x08050);
    pin(&t, 10, true);
    wr(&t, 0x24, 0x10050); /* kernels clear remote IRR through edge mode */
    wr(&t, 0x24, 0x18050);
    cr_expect_eq(rd(&t, 0x24), 0x18050);
    stop(&t);
}

Test(ioapic, state)
{
    struct io a, b;
    start(&a);
    start(&b);
    wr(&a, 0x24, 0x08050);
    pin(&a, 10, true);
    cr_expect(clone_state(a.d, b.d));
    ioapic_eoi(b.d, 0x50);
    cr_expect_eq(b.n, 1);
    for (u32 seed = 0; seed < 200; seed++) {
        poison_state(b.d, seed);
        for (u32 i = 0; i < 0x50; i++) {
            space_read(b.mem, 0xfec00000 + i, 4);
            space_write(b.mem, 0xfec00000 + i, seed * 77 + i, 4);
            pin(&b, (int)(i % 24), i & 1);
        }
    }
    stop(&a);
    stop(&b);
}
