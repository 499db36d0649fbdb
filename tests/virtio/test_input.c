/* tests/virtio/test_input.c - the virtio keyboard and tablet. */
#include "tests/virtio/rig.h"
#include "devices/virtio/input.h"

enum { EV_SYN = 0, EV_KEY = 1, EV_REL = 2, EV_ABS = 3 };

static struct input_sink *setup(struct rig *r, enum virtio_input_kind kind)
{
    rig_init(r, virtio_input_new(kind));
    return virtio_input_sink(r->v);
}

static u64 buffers(struct rig *r, int n)
{
    u64 at = rig_alloc(r, 8 * (u64)n);
    for (int k = 0; k < n; k++)
        rig_add(r, 0, &(struct seg){at + 8 * (u64)k, 8, true}, 1);
    return at;
}

static void expect(struct rig *r, u64 at, u16 type, u16 code, u32 value)
{
    u32 len;
    cr_assert(rig_used(r, 0, NULL, &len) && len == 8);
    const u8 *e = rig_ptr(r, at);
    cr_assert(ld_u16(e) == type && ld_u16(e + 2) == code && ld_u32(e + 4) == value,
              "%u %u %u in the place of %u %u %u", ld_u16(e), ld_u16(e + 2), ld_u32(e + 4), type,
              code, value);
}

Test(virtio_input, keys)
{
    struct rig r;
    struct input_sink *in = setup(&r, VIRTIO_KEYBOARD);
    in->key(in->ctx, 4, true); /* nobody listens: lost */
    cr_assert(!virtio_input_active(r.v));
    rig_start(&r, ~0ull);
    cr_assert(virtio_input_active(r.v));
    u64 at = buffers(&r, 8);
    in->key(in->ctx, 4, false); /* its press was never sent */
    in->key(in->ctx, 0x28, true);
    in->key(in->ctx, 0x28, true); /* the guest repeats by itself */
    in->key(in->ctx, 0x28, false);
    in->key(in->ctx, 0xe7, true);
    in->key(in->ctx, 0x3ff, true);
    in->key(in->ctx, 0, true);
    expect(&r, at, EV_KEY, 28, 1);
    expect(&r, at + 8, EV_SYN, 0, 0);
    expect(&r, at + 16, EV_KEY, 28, 0);
    expect(&r, at + 24, EV_SYN, 0, 0);
    expect(&r, at + 32, EV_KEY, 126, 1);
    expect(&r, at + 40, EV_SYN, 0, 0);
    cr_assert(!rig_used(&r, 0, NULL, NULL) && r.irqs == 1);
    rig_free(&r);
}

Test(virtio_input, a_guest_that_does_not_listen)
{
    struct rig r;
    struct input_sink *in = setup(&r, VIRTIO_KEYBOARD);
    rig_start(&r, RIG_FEATURES);
    for (int k = 0; k < 10000; k++)
        in->key(in->ctx, (u16)(4 + k % 20), k / 20 % 2 == 0);
    /* what comes is whole reports in order, however late */
    int n = 0;
    for (;;) {
        u64 keep = r.heap, at = buffers(&r, 2);
        rig_kick(&r, 0);
        if (!rig_used(&r, 0, NULL, NULL))
            break;
        cr_assert_eq(ld_u16(rig_ptr(&r, at)), EV_KEY);
        cr_assert(rig_used(&r, 0, NULL, NULL));
        cr_assert_eq(ld_u16(rig_ptr(&r, at + 8)), EV_SYN);
        r.heap = keep;
        cr_assert(++n < 1000);
    }
    cr_assert(n > 10);
    rig_free(&r);
}

Test(virtio_input, tablet)
{
    struct rig r;
    struct input_sink *in = setup(&r, VIRTIO_TABLET);
    cr_assert(!in->absolute(in->ctx));
    rig_start(&r, ~0ull);
    cr_assert(in->absolute(in->ctx) && !in->key && !in->mouse);
    u64 at = buffers(&r, 12);
    in->tablet(in->ctx, 100, 99999, 0, 1);
    in->tablet(in->ctx, 100, 200, -1, 4);
    static const struct {
        u16 type, code;
        u32 value;
    } want[] = {{EV_ABS, 0, 100}, {EV_ABS, 1, 32767}, {EV_KEY, 0x110, 1}, {EV_SYN, 0, 0},
                {EV_ABS, 0, 100}, {EV_ABS, 1, 200},   {EV_KEY, 0x110, 0}, {EV_KEY, 0x112, 1},
                {EV_REL, 8, ~0u}, {EV_SYN, 0, 0}};
    for (size_t k = 0; k < ARRAY_LEN(want); k++)
        expect(&r, at + 8 * k, want[k].type, want[k].code, want[k].value);
    rig_free(&r);
}

static u8 config(struct rig *r, u8 select, u8 subsel, u8 *data)
{
    space_write(r->mem, RIG_MMIO + 0x100, select, 1);
    space_write(r->mem, RIG_MMIO + 0x101, subsel, 1);
    for (u32 k = 0; k < 128; k++)
        data[k] = (u8)space_read(r->mem, RIG_MMIO + 0x108 + k, 1);
    return (u8)space_read(r->mem, RIG_MMIO + 0x102, 1);
}

Test(virtio_input, what_they_are)
{
    struct rig r;
    u8 d[128];
    setup(&r, VIRTIO_KEYBOARD);
    cr_assert_eq(config(&r, 1, 0, d), 17);
    cr_assert(!memcmp(d, "Trivisor keyboard", 17));
    cr_assert(config(&r, 0x11, EV_KEY, d) >= 24);
    cr_assert((d[30 / 8] >> 30 % 8 & 1) && !(d[0] & 1));
    cr_assert_eq(config(&r, 0x11, EV_ABS, d), 0);
    cr_assert_eq(config(&r, 0x12, 0, d), 0);
    rig_free(&r);
    setup(&r, VIRTIO_TABLET);
    cr_assert_eq(config(&r, 0x11, EV_KEY, d), 0x112 / 8 + 1);
    cr_assert_eq(d[0x110 / 8], 7);
    cr_assert_eq(config(&r, 0x11, EV_ABS, d), 1);
    cr_assert_eq(config(&r, 0x12, 1, d), 20);
    cr_assert_eq(ld_u32(d + 4), 32767);
    cr_assert_eq(config(&r, 0x12, 2, d), 0);
    cr_assert_eq(config(&r, 0xff, 0xff, d), 0);
    rig_free(&r);
}
