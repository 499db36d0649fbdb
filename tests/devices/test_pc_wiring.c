/* tests/devices/test_pc_wiring.c - the basic chips wired as on a PC, driven as an operating system
 * drives them: tick, clock, serial port and keyboard interrupts through the interrupt controllers.
 */
#include "tests/devices/rig.h"
#include "devices/i8042.h"
#include "devices/i8254.h"
#include "devices/i8259.h"
#include "devices/mc146818.h"
#include "devices/port61.h"
#include "devices/ps2_keyboard.h"
#include "devices/ps2_mouse.h"
#include "devices/uart16550.h"

struct pc {
    struct rig r; /* r.irq: INTR */
    struct device *pic, *pit, *p61, *rtc, *uart, *kbc, *kbd, *mouse;
    u32 taken[256];
};

static void start(struct pc *p)
{
    memset(p, 0, sizeof(*p));
    rig_init(&p->r);
    p->pic = i8259_new(p->r.ports, probe_irq(&p->r.irq));
    p->pit = i8254_new(p->r.ports, 0x40, i8259_line(p->pic, 0), p->r.clk);
    p->p61 = port61_new(p->r.ports, p->pit, p->r.clk, NULL);
    p->rtc = mc146818_new(p->r.ports, i8259_line(p->pic, 8), p->r.clk);
    p->uart = uart16550_new(p->r.ports, 0x3f8, i8259_line(p->pic, 4), NULL, p->r.clk);
    p->kbd = ps2_keyboard_new();
    p->mouse = ps2_mouse_new();
    struct i8042_wires w = {i8259_line(p->pic, 1), i8259_line(p->pic, 12), {0}, {0}};
    p->kbc = i8042_new(p->r.ports, w, p->kbd, p->mouse, p->r.clk);
    const struct step s[] = {
        {'w', 0x20, 0x11},
        {'w', 0x21, 0x20},
        {'w', 0x21, 0x04},
        {'w', 0x21, 0x01},
        {'w', 0xa0, 0x11},
        {'w', 0xa1, 0x28},
        {'w', 0xa1, 0x02},
        {'w', 0xa1, 0x01},
        {'w', 0x21, 0x00},
        {'w', 0xa1, 0x00},
        {0},
    };
    run_steps(&p->r, s);
}

static void stop(struct pc *p)
{
    rig_fini(&p->r);
    device_destroy(p->kbc);
    device_destroy(p->kbd);
    device_destroy(p->mouse);
    device_destroy(p->uart);
    device_destroy(p->rtc);
    device_destroy(p->p61);
    device_destroy(p->pit);
    device_destroy(p->pic);
}

/* Takes interrupts until none is pending, doing what each one's handler would. */
static void serve(struct pc *p)
{
    for (int guard = 0; p->r.irq.level && guard < 100; guard++) {
        int v = i8259_ack(p->pic);
        p->taken[v]++;
        if (v == 0x28) {
            out8(&p->r, 0x70, 0x0c);
            in8(&p->r, 0x71);
        } else if (v == 0x21 || v == 0x2c) {
            in8(&p->r, 0x60);
        } else if (v == 0x24) {
            in8(&p->r, 0x3fa);
        }
        if (v >= 0x28)
            out8(&p->r, 0xa0, 0x20);
        out8(&p->r, 0x20, 0x20);
    }
    cr_expect_not(p->r.irq.level, "an interrupt that does not end");
}

/* Time with interrupts enabled: each is taken when it comes. */
static void run(struct pc *p, u64 ns)
{
    u64 end = clock_now(p->r.clk) + ns;
    serve(p);
    while (clock_now(p->r.clk) < end) {
        u64 next = MIN(clock_next(p->r.clk), end);
        clock_advance(p->r.clk, next - clock_now(p->r.clk));
        serve(p);
    }
}

Test(pc_wiring, a_minute_of_ticks)
{
    static const struct {
        u8 ctl;
        u16 count;
        u32 lo, hi; /* ticks in ten seconds */
    } t[] = {{0x34, 1193, 10001, 10002}, {0x36, 0, 181, 183}, {0x34, 4773, 2499, 2500}};
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        struct pc p;
        start(&p);
        out8(&p.r, 0x43, t[i].ctl);
        out8(&p.r, 0x40, (u8)t[i].count);
        out8(&p.r, 0x40, (u8)(t[i].count >> 8));
        serve(&p);
        p.taken[0x20] = 0;
        run(&p, 10 * NS_PER_SEC);
        cr_expect(p.taken[0x20] >= t[i].lo && p.taken[0x20] <= t[i].hi, "%zu: %u", i,
                  p.taken[0x20]);
        stop(&p);
    }
}

Test(pc_wiring, everything_at_once)
{
    struct pc p;
    start(&p);
    struct input_sink *in = i8042_input(p.kbc);
    const struct step s[] = {
        {'w', 0x43, 0x34},
        {'w', 0x40, 0xa9},
        {'w', 0x40, 0x04}, /* 1000 Hz */
        {'w', 0x70, 0x0b},
        {'w', 0x71, 0x52},  /* 1024 Hz and each second */
        {'w', 0x3f9, 0x02}, /* transmitter empty: once */
        {'w', 0x64, 0xd4},
        {'w', 0x60, 0xf4}, /* mouse on: one byte of ACK */
        {0},
    };
    run_steps(&p.r, s);
    in->key(in->ctx, 0x04, true);
    run(&p, NS_PER_SEC / 2);
    in->mouse(in->ctx, 3, 4, 0, 1);
    in->key(in->ctx, 0x04, false);
    run(&p, NS_PER_SEC / 2);
    cr_expect(p.taken[0x20] >= 1000 && p.taken[0x20] <= 1002, "%u", p.taken[0x20]);
    cr_expect(p.taken[0x28] >= 1024 && p.taken[0x28] <= 1025, "%u", p.taken[0x28]);
    cr_expect_eq(p.taken[0x21], 2, "%u", p.taken[0x21]);
    cr_expect_eq(p.taken[0x2c], 4, "%u", p.taken[0x2c]);
    cr_expect_eq(p.taken[0x24], 1, "%u", p.taken[0x24]);
    cr_expect_eq(p.taken[0x27] + p.taken[0x2f], 0, "spurious");
    stop(&p);
}

/* The delay loop kernels calibrate with: counter 2, mode 0, gate on, poll OUT2. */
Test(pc_wiring, calibration)
{
    struct pc p;
    start(&p);
    out8(&p.r, 0x61, (in8(&p.r, 0x61) & 0xfc) | 1);
    out8(&p.r, 0x43, 0xb0);
    out8(&p.r, 0x42, 11932 & 0xff);
    out8(&p.r, 0x42, 11932 >> 8);
    u64 t0 = clock_now(p.r.clk);
    while (!(in8(&p.r, 0x61) & 0x20) && clock_now(p.r.clk) < t0 + NS_PER_SEC)
        clock_advance(p.r.clk, 500);
    u64 took = clock_now(p.r.clk) - t0;
    cr_expect(took > 10000000 && took < 10003000, "%lu ns", (unsigned long)took);
    stop(&p);
}
