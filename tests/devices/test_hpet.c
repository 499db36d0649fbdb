/* tests/devices/test_hpet.c - the high precision event timer against its specification. */
#include "tests/devices/rig.h"
#include "devices/hpet.h"

struct hp {
    struct rig r;
    struct space *mem;
    struct device *d;
    struct probe irq0, irq8, pin[4];
    int legacy;
};

static void set_legacy(void *ctx, bool on)
{
    ((struct hp *)ctx)->legacy = on;
}

static void start(struct hp *h)
{
    memset(h, 0, sizeof(*h));
    rig_init(&h->r);
    h->mem = space_new("mem", 1ull << 32);
    struct hpet_wires w = {.irq0 = probe_irq(&h->irq0), .irq8 = probe_irq(&h->irq8)};
    for (int i = 0; i < 4; i++)
        w.pin[i] = probe_irq(&h->pin[i]);
    w.legacy = set_legacy;
    w.ctx = h;
    h->d = hpet_new(h->mem, 0xfed00000, &w, h->r.clk);
}

static void stop(struct hp *h)
{
    device_destroy(h->d);
    space_free(h->mem);
    rig_fini(&h->r);
}

static u64 rd(struct hp *h, u32 off, int size)
{
    return space_read(h->mem, 0xfed00000 + off, size);
}

static void wr(struct hp *h, u32 off, u64 val, int size)
{
    space_write(h->mem, 0xfed00000 + off, val, size);
}

Test(hpet, counter)
{
    struct hp h;
    start(&h);
    cr_expect_eq(rd(&h, 0, 8), 0x009896808086a201);
    cr_expect_eq(rd(&h, 4, 4), 10000000, "femtoseconds a tick");
    clock_advance(h.r.clk, 1000);
    cr_expect_eq(rd(&h, 0xf0, 8), 0, "halted");
    wr(&h, 0x10, 1, 4);
    clock_advance(h.r.clk, 1000);
    cr_expect_eq(rd(&h, 0xf0, 8), 100);
    wr(&h, 0x10, 0, 4);
    clock_advance(h.r.clk, 1000);
    cr_expect_eq(rd(&h, 0xf0, 4), 100);
    wr(&h, 0xf0, 0xfffffff0, 4);
    wr(&h, 0xf4, 1, 4);
    wr(&h, 0x10, 1, 4);
    clock_advance(h.r.clk, 320);
    cr_expect_eq(rd(&h, 0xf0, 8), 0x200000010);
    stop(&h);
}

Test(hpet, one_shot)
{
    struct hp h;
    start(&h);
    wr(&h, 0x100, 0x104 | 21 << 9, 4); /* 32 bits, edge, pin 21 */
    wr(&h, 0x10, 1, 4);
    wr(&h, 0x108, 500, 4);
    clock_advance(h.r.clk, 4990);
    cr_expect_eq(h.pin[1].rises, 0);
    clock_advance(h.r.clk, 10);
    cr_expect_eq(h.pin[1].rises, 1);
    cr_expect_not(h.pin[1].level, "a pulse");
    cr_expect_eq(rd(&h, 0x20, 4), 0, "no status for edges");
    clock_advance(h.r.clk, 1000000000);
    cr_expect_eq(h.pin[1].rises, 1, "once");
    wr(&h, 0x108, rd(&h, 0xf0, 4) - 3, 4);
    clock_advance(h.r.clk, 0);
    cr_expect_eq(h.pin[1].rises, 2, "just missed");
    clock_advance(h.r.clk, 43000000000);
    cr_expect_eq(h.pin[1].rises, 3, "the 32-bit counter has wrapped");
    stop(&h);
}

Test(hpet, level)
{
    struct hp h;
    start(&h);
    wr(&h, 0x140, 0x006 | 20 << 9, 4); /* timer 2: level, 64 bits */
    wr(&h, 0x148, 100, 8);
    wr(&h, 0x10, 1, 4);
    clock_advance(h.r.clk, 2000);
    cr_expect(h.pin[0].level);
    cr_expect_eq(rd(&h, 0x20, 4), 4);
    wr(&h, 0x20, 3, 4);
    cr_expect(h.pin[0].level);
    wr(&h, 0x140, 0x006 | 23 << 9, 4);
    cr_expect_not(h.pin[0].level);
    cr_expect(h.pin[3].level, "moved");
    wr(&h, 0x20, 4, 4);
    cr_expect_not(h.pin[3].level);
    cr_expect_eq(rd(&h, 0x140, 8) >> 32, 0x00f00000, "pins to choose from");
    stop(&h);
}

Test(hpet, periodic)
{
    struct hp h;
    start(&h);
    wr(&h, 0x10, 3, 4);
    wr(&h, 0x100, 0x14c, 4);
    wr(&h, 0x108, 100000, 4);
    cr_expect_eq(h.legacy, 1);
    cr_expect_eq(rd(&h, 0x100, 4), 0x13c, "SETVAL is one write's");
    wr(&h, 0x108, 200000, 4);
    for (int i = 0; i < 500; i++)
        clock_advance(h.r.clk, 100000);
    cr_expect_eq(h.irq0.rises, 25, "%u: at 1 ms and then every 2 ms", h.irq0.rises);
    cr_expect_eq(rd(&h, 0x108, 4), 100000 + 25 * 200000);
    wr(&h, 0x108, 1, 4); /* a hostile period makes no storm */
    clock_advance(h.r.clk, 3000000);
    cr_expect_lt(h.irq0.rises, 400);
    wr(&h, 0x120, 0x04, 4);
    wr(&h, 0x128, rd(&h, 0xf0, 8) + 10, 8);
    clock_advance(h.r.clk, 100);
    cr_expect_eq(h.irq8.rises, 1);
    device_reset(h.d);
    cr_expect_eq(h.legacy, 0);
    u32 n = h.irq0.rises;
    clock_advance(h.r.clk, 10000000);
    cr_expect_eq(h.irq0.rises, n);
    stop(&h);
}

Test(hpet, save_and_hostile)
{
    struct hp a, b;
    start(&a);
    start(&b);
    wr(&a, 0x10, 1, 4);
    wr(&a, 0x100, 0x04 | 20 << 9, 4);
    wr(&a, 0x108, 1000, 8);
    cr_expect(clone_state(a.d, b.d));
    clock_advance(b.r.clk, 10000);
    cr_expect_eq(b.pin[0].rises, 1);
    u32 x = 1;
    for (u32 seed = 0; seed < 100; seed++) {
        poison_state(b.d, seed);
        for (int i = 0; i < 100; i++) {
            x = x * 1664525u + 1013904223u;
            u32 off = (x >> 8) % 0x3f8;
            if (x >> 31)
                wr(&b, off, (u64)x << 16 | x, 1 << (x >> 4 & 3));
            else
                rd(&b, off, 1 << (x >> 4 & 3));
            clock_advance(b.r.clk, x >> 16);
        }
    }
    stop(&a);
    stop(&b);
}
