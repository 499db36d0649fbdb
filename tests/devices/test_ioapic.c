/* tests/devices/test_ioapic.c - the I/O APIC's redirection table. */
#include "tests/devices/rig.h"
#include "devices/ioapic.h"

struct io_rig {
    struct space *mem;
    struct device *d;
    int sent, vector, mode;
    u32 dest;
    bool logical, level;
};

static void deliver(void *ctx, u32 dest, bool logical, int mode, int vector, bool level)
{
    struct io_rig *r = ctx;
    r->sent++;
    r->dest = dest;
    r->logical = logical;
    r->mode = mode;
    r->vector = vector;
    r->level = level;
}

static void start(struct io_rig *r)
{
    *r = (struct io_rig){.mem = space_new("mem", 1ull << 36)};
    r->d = ioapic_new(r->mem, 0xfec00000, deliver, r);
}

static void stop(struct io_rig *r)
{
    space_free(r->mem);
    device_destroy(r->d);
}

static void reg(struct io_rig *r, u32 n, u32 val)
{
    space_write(r->mem, 0xfec00000, n, 4);
    space_write(r->mem, 0xfec00010, val, 4);
}

static u32 get(struct io_rig *r, u32 n)
{
    space_write(r->mem, 0xfec00000, n, 4);
    return (u32)space_read(r->mem, 0xfec00010, 4);
}

static void pin(struct io_rig *r, int n, bool level)
{
    struct irq line = ioapic_line(r->d, n);
    irq_set(&line, level);
}

Test(ioapic, identity)
{
    struct io_rig r;
    start(&r);
    cr_expect_eq(get(&r, 1), 0x170020);
    reg(&r, 0, 0x0f000000);
    cr_expect_eq(get(&r, 0), 0x0f000000);
    cr_expect_eq(get(&r, 2), 0x0f000000, "arbitration id");
    cr_expect_eq(get(&r, 0x10), 0x10000, "masked at reset");
    cr_expect_eq(get(&r, 0x10 + 2 * 24), 0);
    stop(&r);
}

Test(ioapic, edge)
{
    struct io_rig r;
    start(&r);
    pin(&r, 4, true);
    reg(&r, 0x10 + 8 + 1, 0x03000000);
    reg(&r, 0x10 + 8, 0x0931);
    cr_expect_eq(r.sent, 0, "an edge under the mask is lost");
    pin(&r, 4, false);
    pin(&r, 4, true);
    cr_expect_eq(r.sent, 1);
    cr_expect(r.vector == 0x31 && r.dest == 3 && r.logical && r.mode == 1 && !r.level);
    pin(&r, 4, true);
    cr_expect_eq(r.sent, 1, "no edge");
    pin(&r, 5, true);
    cr_expect_eq(r.sent, 1, "another pin, masked");
    stop(&r);
}

Test(ioapic, level)
{
    struct io_rig r;
    start(&r);
    reg(&r, 0x10 + 20, 0x18041);
    pin(&r, 10, true);
    cr_expect_eq(r.sent, 0);
    reg(&r, 0x10 + 20, 0x8041);
    cr_expect_eq(r.sent, 1, "a level is seen when unmasked");
    cr_expect(r.level && r.vector == 0x41);
    cr_expect_eq(get(&r, 0x10 + 20), 0xc041, "remote IRR");
    pin(&r, 10, true);
    cr_expect_eq(r.sent, 1);
    ioapic_eoi(r.d, 0x42);
    cr_expect_eq(r.sent, 1, "another vector's");
    ioapic_eoi(r.d, 0x41);
    cr_expect_eq(r.sent, 2, "still high");
    pin(&r, 10, false);
    space_write(r.mem, 0xfec00040, 0x41, 4); /* EOI register */
    cr_expect_eq(r.sent, 2);
    cr_expect_eq(get(&r, 0x10 + 20), 0x8041);
    pin(&r, 10, true);
    cr_expect_eq(r.sent, 3);
    stop(&r);
}

Test(ioapic, hostile)
{
    struct io_rig r;
    start(&r);
    for (u32 i = 0; i < 5000; i++) {
        u32 x = i * 2654435761u;
        if (i % 100 == 0)
            poison_state(r.d, i);
        space_write(r.mem, 0xfec00000 + (x >> 8 & 0x4f), x, 1 << (x >> 20 & 3));
        space_read(r.mem, 0xfec00000 + (x >> 8 & 0xfff), 4);
        pin(&r, (int)(x >> 16) % 40 - 8, x >> 31);
        ioapic_eoi(r.d, (int)(x & 255));
    }
    device_reset(r.d);
    cr_expect_eq(get(&r, 0x3e), 0x10000);
    stop(&r);
}

Test(ioapic, read_only_bits)
{
    struct io_rig r;
    start(&r);
    for (u32 i = 0; i < IOAPIC_PINS; i++)
        cr_expect_eq(get(&r, 0x10 + 2 * i), 0x10000, "pin %u", i);
    reg(&r, 0x3e, 0xffffffff);
    cr_expect_eq(get(&r, 0x3e), 0x1afff, "delivery status and remote IRR");
    reg(&r, 0x3f, 0xffffffff);
    cr_expect_eq(get(&r, 0x3f), 0xff000000);
    cr_expect_null(ioapic_line(r.d, IOAPIC_PINS).set);
    stop(&r);
}

Test(ioapic, modes_and_clearing_by_edge)
{
    struct io_rig r;
    start(&r);
    static const int modes[] = {0, 1, 4, 5, 7};
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        pin(&r, 1, false);
        reg(&r, 0x12, 0x40 | (u32)modes[i] << 8);
        pin(&r, 1, true);
        cr_expect_eq(r.mode, modes[i]);
    }
    reg(&r, 0x24, 0x8050);
    pin(&r, 10, true);
    cr_expect_eq(get(&r, 0x24), 0xc050);
    reg(&r, 0x24, 0x10050); /* kernels clear remote IRR by way of edge mode */
    reg(&r, 0x24, 0x18050);
    cr_expect_eq(get(&r, 0x24), 0x18050);
    stop(&r);
}

Test(ioapic, state)
{
    struct io_rig a, b;
    start(&a);
    start(&b);
    reg(&a, 0x24, 0x8050);
    pin(&a, 10, true);
    cr_expect(clone_state(a.d, b.d));
    ioapic_eoi(b.d, 0x50);
    cr_expect_eq(b.sent, 1, "the pin was high when saved");
    stop(&a);
    stop(&b);
}
