/* tests/devices/test_small_ports.c - port 0x92, debug console, debug exit and POST latch. */
#include "tests/devices/rig.h"
#include "devices/debugcon.h"
#include "devices/debugexit.h"
#include "devices/port92.h"
#include "devices/post.h"

Test(small_ports, port92)
{
    struct rig r;
    rig_init(&r); /* irq: reset, irq2: A20 */
    struct device *d = port92_new(r.ports, probe_irq(&r.irq), probe_irq(&r.irq2));
    cr_expect_eq(in8(&r, 0x92), 0x02);
    out8(&r, 0x92, 0x02);
    cr_expect(r.irq2.level);
    out8(&r, 0x92, 0xfc);
    cr_expect_not(r.irq2.level);
    cr_expect_eq(in8(&r, 0x92), 0x00);
    port92_note_a20(d, true);
    cr_expect_eq(in8(&r, 0x92), 0x02);
    out8(&r, 0x92, 0x03);
    cr_expect_eq(r.irq.rises, 1);
    out8(&r, 0x92, 0x03);
    cr_expect_eq(r.irq.rises, 1, "only the change resets");
    out8(&r, 0x92, 0x02);
    out8(&r, 0x92, 0x03);
    cr_expect_eq(r.irq.rises, 2);
    device_reset(d);
    cr_expect_eq(in8(&r, 0x92), 0x02);
    rig_fini(&r);
    device_destroy(d);
}

struct sink {
    struct chardev chr;
    char text[16];
    size_t len;
};

static void sink_write(struct chardev *c, const u8 *buf, size_t len)
{
    struct sink *s = (struct sink *)c;
    for (size_t i = 0; i < len && s->len < sizeof(s->text) - 1; i++)
        s->text[s->len++] = (char)buf[i];
}

Test(small_ports, debugcon)
{
    static const struct chardev_ops ops = {.write = sink_write};
    struct rig r;
    struct sink s = {.chr.ops = &ops};
    rig_init(&r);
    struct device *d = debugcon_new(r.ports, &s.chr);
    cr_expect_eq(in8(&r, 0xe9), 0xe9);
    cr_expect_eq(in8(&r, 0x402), 0xe9);
    out8(&r, 0xe9, 'h');
    out8(&r, 0x402, 'i');
    cr_expect_str_eq(s.text, "hi");
    rig_fini(&r);
    device_destroy(d);
    rig_init(&r);
    d = debugcon_new(r.ports, NULL);
    out8(&r, 0xe9, 'h');
    rig_fini(&r);
    device_destroy(d);
}

static void on_exit_code(void *ctx, int code)
{
    *(int *)ctx = code;
}

Test(small_ports, debugexit)
{
    struct rig r;
    int code = -1;
    rig_init(&r);
    struct device *d = debugexit_new(r.ports, on_exit_code, &code);
    cr_expect_eq(in8(&r, 0x501), 0);
    out8(&r, 0x502, 5);
    cr_expect_eq(code, -1);
    out8(&r, 0x501, 0x10);
    cr_expect_eq(code, 0x21);
    space_write(r.ports, 0x501, 0x31, 4);
    cr_expect_eq(code, 0x63);
    space_write(r.ports, 0x501, 0, 2);
    cr_expect_eq(code, 1);
    rig_fini(&r);
    device_destroy(d);
}

Test(small_ports, post)
{
    struct rig r;
    rig_init(&r);
    struct device *d = post_new(r.ports);
    out8(&r, 0x80, 0xa5);
    cr_expect_eq(in8(&r, 0x80), 0xa5);
    cr_expect_eq(post_code(d), 0xa5);
    device_reset(d);
    cr_expect_eq(post_code(d), 0);
    rig_fini(&r);
    device_destroy(d);
}
