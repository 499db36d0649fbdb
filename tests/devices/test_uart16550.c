/* tests/devices/test_uart16550.c - the serial port, by data sheet and by the probes of drivers. */
#include "tests/devices/rig.h"
#include "devices/uart16550.h"

/* The other end: keeps what was sent, and offers what it has when there is space. */
struct wire {
    struct chardev chr;
    u8 sent[256];
    size_t sent_len;
    const char *todo;
};

static void wire_push(struct wire *w)
{
    while (w->todo && *w->todo && w->chr.space(w->chr.ctx))
        w->chr.recv(w->chr.ctx, (const u8 *)w->todo++, 1);
}

static void wire_write(struct chardev *c, const u8 *buf, size_t len)
{
    struct wire *w = (struct wire *)c;
    for (size_t i = 0; i < len && w->sent_len < sizeof(w->sent); i++)
        w->sent[w->sent_len++] = buf[i];
}

static void wire_resume(struct chardev *c)
{
    wire_push((struct wire *)c);
}

static const struct chardev_ops wire_ops = {wire_write, wire_resume, NULL};

struct uart_rig {
    struct rig r;
    struct wire w;
    struct device *d;
};

static void start(struct uart_rig *p)
{
    memset(p, 0, sizeof(*p));
    rig_init(&p->r);
    p->w.chr.ops = &wire_ops;
    p->d = uart16550_new(p->r.ports, 0x3f8, probe_irq(&p->r.irq), &p->w.chr, p->r.clk);
    const struct step s[] = {
        {'w', 0x3fb, 0x83}, {'w', 0x3f8, 1}, {'w', 0x3f9, 0}, {'w', 0x3fb, 0x03}, {0}};
    run_steps(&p->r, s); /* 115200 8n1 */
}

static void stop(struct uart_rig *p)
{
    rig_fini(&p->r);
    device_destroy(p->d);
}

static void send(struct uart_rig *p, const char *s)
{
    p->w.todo = s;
    wire_push(&p->w);
}

/* What drivers do to find out which chip it is. */
static const struct step probe_steps[] = {
    {'r', 0x3fd, 0x60}, /* empty */
    {'w', 0x3f9, 0x00},
    {'r', 0x3f9, 0x00}, /* IER is there */
    {'w', 0x3f9, 0xff},
    {'r', 0x3f9, 0x0f},
    {'w', 0x3f9, 0x00}, /* and has four bits */
    {'w', 0x3fc, 0x1a},
    {'r', 0x3fe, 0x90, 0xf0}, /* loopback: RTS, OUT2 */
    {'w', 0x3fc, 0x15},
    {'r', 0x3fe, 0x60, 0xf0}, /* DTR, OUT1 */
    {'w', 0x3fc, 0x00},
    {'r', 0x3fe, 0xb0, 0xf0},
    {'w', 0x3ff, 0xa5},
    {'r', 0x3ff, 0xa5}, /* scratch */
    {'r', 0x3fa, 0x01}, /* no FIFO: 16450 */
    {'w', 0x3fa, 0x01},
    {'r', 0x3fa, 0xc1}, /* 16550A */
    {'w', 0x3fb, 0x80},
    {'w', 0x3fa, 0x21},
    {'r', 0x3fa, 0xc1}, /* no 64-byte FIFO */
    {'r', 0x3f8, 0x01},
    {'r', 0x3f9, 0x00}, /* divisor */
    {'w', 0x3f9, 0x12},
    {'r', 0x3f9, 0x12},
    {'r', 0x3f8, 0x01},
    {'w', 0x3fb, 0x03},
    {'w', 0x3fc, 0xff},
    {'r', 0x3fc, 0x1f},
    {0},
};

Test(uart16550, probes)
{
    struct uart_rig p;
    start(&p);
    run_steps(&p.r, probe_steps);
    stop(&p);
}

Test(uart16550, transmit)
{
    struct uart_rig p;
    start(&p);
    out8(&p.r, 0x3f8, 'o');
    out8(&p.r, 0x3f8, 'k');
    cr_expect_eq(in8(&p.r, 0x3fd), 0x60);
    cr_expect_eq(p.w.sent_len, 2);
    cr_expect_eq(memcmp(p.w.sent, "ok", 2), 0);
    out8(&p.r, 0x3fb, 0x02); /* 7 bits */
    out8(&p.r, 0x3f8, 0xff);
    cr_expect_eq(p.w.sent[2], 0x7f);
    out8(&p.r, 0x3fb, 0x43); /* while a break is sent nothing else is */
    out8(&p.r, 0x3f8, 'x');
    cr_expect_eq(p.w.sent_len, 3);
    stop(&p);
}

Test(uart16550, thre_interrupt)
{
    struct uart_rig p;
    start(&p);
    out8(&p.r, 0x3f9, 0x02);
    cr_expect(p.r.irq.level, "enabling with an empty register interrupts");
    cr_expect_eq(in8(&p.r, 0x3fa), 0x02);
    cr_expect_not(p.r.irq.level, "reading IIR clears it");
    cr_expect_eq(in8(&p.r, 0x3fa), 0x01);
    out8(&p.r, 0x3f9, 0x00);
    out8(&p.r, 0x3f9, 0x02);
    cr_expect_eq(in8(&p.r, 0x3fa), 0x02, "and again");
    u32 n = p.r.irq.rises;
    out8(&p.r, 0x3f8, 'a');
    out8(&p.r, 0x3f8, 'b');
    cr_expect_eq(p.r.irq.rises, n + 2, "an edge for each byte that left");
    out8(&p.r, 0x3f9, 0x00);
    cr_expect_not(p.r.irq.level);
    stop(&p);
}

Test(uart16550, receive_16450)
{
    struct uart_rig p;
    start(&p);
    out8(&p.r, 0x3f9, 0x01);
    send(&p, "xyz");
    cr_expect_eq(*p.w.todo, 'y', "one at a time");
    cr_expect(p.r.irq.level);
    cr_expect_eq(in8(&p.r, 0x3fa), 0x04);
    cr_expect_eq(in8(&p.r, 0x3fd), 0x61);
    cr_expect_eq(in8(&p.r, 0x3f8), 'x');
    cr_expect_eq(in8(&p.r, 0x3f8), 'y', "reading made room");
    cr_expect_eq(in8(&p.r, 0x3f8), 'z');
    cr_expect_not(p.r.irq.level);
    cr_expect_eq(in8(&p.r, 0x3fd), 0x60);
    stop(&p);
}

Test(uart16550, input_before_the_guest_sets_the_line)
{
    struct uart_rig p;
    start(&p);
    device_reset(p.d); /* five data bits */
    send(&p, "Q");
    const struct step s[] = {{'w', 0x3fb, 0x03}, {'r', 0x3f8, 'Q'}, {0}};
    run_steps(&p.r, s);
    stop(&p);
}

Test(uart16550, fifo_triggers)
{
    static const u8 level[4] = {1, 4, 8, 14};
    for (u8 t = 0; t < 4; t++) {
        struct uart_rig p;
        start(&p);
        out8(&p.r, 0x3fa, (u8)(t << 6 | 1));
        out8(&p.r, 0x3f9, 0x01);
        for (u8 i = 1; i <= 16; i++) {
            send(&p, "c");
            cr_expect_eq(p.r.irq.level, i >= level[t], "trigger %d at %d", level[t], i);
        }
        send(&p, "d");
        cr_expect_eq(*p.w.todo, 'd', "the 17th waits");
        cr_expect_eq(in8(&p.r, 0x3fa), 0xc4);
        for (u8 i = 16; i >= level[t]; i--) {
            cr_expect(p.r.irq.level);
            in8(&p.r, 0x3f8);
            p.w.todo = NULL;
            if (i == 16)
                in8(&p.r, 0x3f8); /* the one that waited */
        }
        cr_expect_not(p.r.irq.level, "below the trigger again");
        stop(&p);
    }
}

Test(uart16550, receive_timeout)
{
    struct uart_rig p;
    start(&p);
    out8(&p.r, 0x3fa, 0xc1);
    out8(&p.r, 0x3f9, 0x01);
    send(&p, "ab");
    clock_advance(p.r.clk, 300000);
    cr_expect_not(p.r.irq.level, "4 characters of 10 bits are 347 us");
    clock_advance(p.r.clk, 50000);
    cr_expect(p.r.irq.level);
    cr_expect_eq(in8(&p.r, 0x3fa), 0xcc);
    cr_expect_eq(in8(&p.r, 0x3f8), 'a');
    cr_expect_not(p.r.irq.level, "reading restarts it");
    clock_advance(p.r.clk, 350000);
    cr_expect(p.r.irq.level);
    cr_expect_eq(in8(&p.r, 0x3f8), 'b');
    clock_advance(p.r.clk, NS_PER_SEC);
    cr_expect_not(p.r.irq.level);
    stop(&p);
}

Test(uart16550, loopback_and_overrun)
{
    struct uart_rig p;
    start(&p);
    out8(&p.r, 0x3fc, 0x10);
    out8(&p.r, 0x3f9, 0x04);
    out8(&p.r, 0x3f8, 0xae);
    cr_expect_eq(p.w.sent_len, 0);
    send(&p, "q");
    cr_expect_eq(*p.w.todo, 'q', "the pin is disconnected");
    out8(&p.r, 0x3f8, 0x55);
    cr_expect_eq(in8(&p.r, 0x3fa), 0x06, "overrun");
    cr_expect_eq(in8(&p.r, 0x3fd), 0x63);
    cr_expect_eq(in8(&p.r, 0x3fd), 0x61);
    cr_expect_eq(in8(&p.r, 0x3f8), 0x55, "the holding register is overwritten");
    out8(&p.r, 0x3fa, 0x07);
    for (int i = 0; i < 17; i++)
        out8(&p.r, 0x3f8, (u8)i);
    cr_expect_eq(in8(&p.r, 0x3fd), 0x63);
    for (int i = 0; i < 16; i++)
        cr_expect_eq(in8(&p.r, 0x3f8), i);
    cr_expect_eq(in8(&p.r, 0x3fd), 0x60);
    out8(&p.r, 0x3fb, 0x43); /* break to oneself */
    cr_expect_eq(in8(&p.r, 0x3fd), 0x71);
    out8(&p.r, 0x3fb, 0x03);
    in8(&p.r, 0x3f8);
    out8(&p.r, 0x3fc, 0x00);
    cr_expect_eq(in8(&p.r, 0x3f8), 'q', "input that waited");
    stop(&p);
}

Test(uart16550, break_in_fifo)
{
    struct uart_rig p;
    start(&p);
    out8(&p.r, 0x3fa, 0x01);
    out8(&p.r, 0x3f9, 0x04);
    send(&p, "a");
    uart16550_break(p.d);
    cr_expect_eq(in8(&p.r, 0x3fd), 0xe1, "an error in the FIFO, not yet at its top");
    cr_expect_not(p.r.irq.level);
    in8(&p.r, 0x3f8);
    cr_expect(p.r.irq.level);
    cr_expect_eq(in8(&p.r, 0x3fa), 0xc6);
    cr_expect_eq(in8(&p.r, 0x3fd), 0x71);
    cr_expect_eq(in8(&p.r, 0x3f8), 0);
    stop(&p);
}

Test(uart16550, modem_deltas)
{
    struct uart_rig p;
    start(&p);
    out8(&p.r, 0x3fc, 0x1f);
    cr_expect_eq(in8(&p.r, 0x3fe), 0xf0);
    out8(&p.r, 0x3f9, 0x08);
    out8(&p.r, 0x3fc, 0x1b); /* OUT1 falls: trailing edge of RI */
    cr_expect(p.r.irq.level);
    cr_expect_eq(in8(&p.r, 0x3fa), 0x00);
    cr_expect_eq(in8(&p.r, 0x3fe), 0xb4);
    cr_expect_not(p.r.irq.level);
    out8(&p.r, 0x3fc, 0x1f); /* and its leading edge does not count */
    cr_expect_eq(in8(&p.r, 0x3fe), 0xf0);
    out8(&p.r, 0x3fc, 0x10);
    cr_expect_eq(in8(&p.r, 0x3fe), 0x0f);
    stop(&p);
}

Test(uart16550, state_moves)
{
    struct uart_rig p, q;
    start(&p);
    start(&q);
    out8(&p.r, 0x3fa, 0xc1);
    out8(&p.r, 0x3f9, 0x01);
    send(&p, "ab");
    cr_expect(clone_state(p.d, q.d));
    clock_advance(q.r.clk, 400000);
    cr_expect(q.r.irq.level);
    cr_expect_eq(in8(&q.r, 0x3f8), 'a');
    cr_expect_eq(in8(&q.r, 0x3f8), 'b');
    stop(&p);
    stop(&q);
}

Test(uart16550, hostile)
{
    struct uart_rig p;
    start(&p);
    for (u32 i = 0; i < 200; i++) {
        if (poison_state(p.d, i))
            hammer(&p.r, 0x3f8, 8, i, 100);
        device_reset(p.d);
        hammer(&p.r, 0x3f8, 8, i, 200);
        send(&p, "some input for the port, longer than a FIFO");
        p.w.sent_len = 0;
    }
    stop(&p);
}
