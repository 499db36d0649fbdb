/* tests/virtio/test_console.c - consoles: bytes both ways, control messages, one-port drivers. */
#include "tests/virtio/rig.h"
#include "devices/virtio/console.h"

enum {
    CTL_RX = 2,
    CTL_TX = 3,
    READY = 0,
    ADD = 1,
    PORT_READY = 3,
    CONSOLE = 4,
    OPEN = 6,
    NAME = 7
};
#define MULTIPORT BIT64(1)

/* The host's end. */
struct host {
    struct chardev c;
    u8 got[256];
    size_t n;
    int resumed;
};

static void host_write(struct chardev *c, const u8 *buf, size_t len)
{
    struct host *h = (struct host *)c;
    len = MIN(len, sizeof(h->got) - h->n);
    memcpy(h->got + h->n, buf, len);
    h->n += len;
}
static void host_resume(struct chardev *c)
{
    ((struct host *)c)->resumed++;
}
static const struct chardev_ops host_ops = {.write = host_write, .resume = host_resume};

static void setup(struct rig *r, struct host *h, u64 features)
{
    h[0] = (struct host){.c.ops = &host_ops};
    h[1] = (struct host){.c.ops = &host_ops};
    struct virtio_console_port p[] = {{&h[0].c, NULL, true}, {&h[1].c, "stream", false}};
    rig_init(r, virtio_console_new(p, 2));
    rig_start(r, features);
}

static void say(struct rig *r, u32 id, u16 event, u16 value)
{
    u64 keep = r->heap, at = rig_alloc(r, 8);
    st_u32(rig_ptr(r, at), id);
    st_u16(rig_ptr(r, at) + 4, event);
    st_u16(rig_ptr(r, at) + 6, value);
    rig_do(r, CTL_TX, &(struct seg){at, 8, false}, 1);
    r->heap = keep;
}

/* The device's next control message; its text behind the header in text[]. */
static bool hear(struct rig *r, u64 buf, u32 *id, u16 *event, char *text)
{
    u32 len;
    rig_add(r, CTL_RX, &(struct seg){buf, 64, true}, 1);
    rig_kick(r, CTL_RX);
    if (!rig_used(r, CTL_RX, NULL, &len))
        return false;
    *id = ld_u32(rig_ptr(r, buf));
    *event = ld_u16(rig_ptr(r, buf) + 4);
    memcpy(text, rig_ptr(r, buf) + 8, len - 8);
    text[len - 8] = 0;
    return true;
}

Test(virtio_console, ports_are_announced)
{
    struct rig r;
    struct host h[2];
    setup(&r, h, ~0ull);
    u64 buf = rig_alloc(&r, 64);
    cr_assert_eq(rig_reg(&r, 0x104), 2, "ports");
    static const struct {
        u32 id;
        u16 event;
        const char *text;
    } want[] = {{0, ADD, ""},  {1, ADD, ""},  {0, CONSOLE, ""},
                {0, OPEN, ""}, {1, OPEN, ""}, {1, NAME, "stream"}};
    say(&r, 0, READY, 1);
    for (size_t k = 0; k < ARRAY_LEN(want); k++) {
        u32 id;
        u16 event;
        char text[64];
        if (k == 2) {
            say(&r, 0, PORT_READY, 1);
            say(&r, 1, PORT_READY, 1);
        }
        cr_assert(hear(&r, buf, &id, &event, text), "message %zu", k);
        cr_assert(id == want[k].id && event == want[k].event && !strcmp(text, want[k].text),
                  "message %zu: %u %u '%s'", k, id, event, text);
    }
    say(&r, 99, OPEN, 1);
    say(&r, 0xffffffff, PORT_READY, 1);
    say(&r, 1, 77, 1);
    cr_assert(!rig_broken(&r));
    rig_free(&r);
}

Test(virtio_console, bytes_of_a_port)
{
    struct rig r;
    struct host h[2];
    setup(&r, h, ~0ull);
    u64 a = rig_alloc(&r, 64);
    memcpy(rig_ptr(&r, a), "hello there", 11);
    rig_do(&r, 5, (struct seg[]){{a, 5, false}, {a + 5, 6, false}}, 2);
    cr_assert(h[1].n == 11 && !memcmp(h[1].got, "hello there", 11));
    cr_assert_eq(h[0].n, 0);
    /* input waits for the guest to open the port and to give buffers */
    struct chardev *c = &h[1].c;
    size_t room = c->space(c->ctx);
    c->recv(c->ctx, (const u8 *)"abcdef", 6);
    cr_assert_eq(c->space(c->ctx), room - 6);
    rig_add(&r, 4, &(struct seg){a, 4, true}, 1);
    rig_kick(&r, 4);
    cr_assert(!rig_used(&r, 4, NULL, NULL));
    u32 len;
    say(&r, 1, OPEN, 1);
    cr_assert(rig_used(&r, 4, NULL, &len) && len == 4 && !memcmp(rig_ptr(&r, a), "abcd", 4));
    rig_add(&r, 4, &(struct seg){a, 4, true}, 1);
    rig_kick(&r, 4);
    cr_assert(rig_used(&r, 4, NULL, &len) && len == 2 && !memcmp(rig_ptr(&r, a), "ef", 2));
    cr_assert(h[1].resumed && c->space(c->ctx) == room);
    rig_free(&r);
}

Test(virtio_console, too_much_input)
{
    struct rig r;
    struct host h[2];
    static u8 flood[100000];
    setup(&r, h, ~0ull);
    struct chardev *c = &h[0].c;
    c->recv(c->ctx, flood, sizeof(flood)); /* against the contract */
    cr_assert_eq(c->space(c->ctx), 0);
    rig_free(&r);
}

Test(virtio_console, a_driver_that_knows_one_port)
{
    struct rig r;
    struct host h[2];
    setup(&r, h, ~MULTIPORT);
    u64 a = rig_alloc(&r, 64);
    struct chardev *c = &h[0].c;
    rig_add(&r, 0, &(struct seg){a, 64, true}, 1);
    rig_kick(&r, 0);
    c->recv(c->ctx, (const u8 *)"x", 1);
    u32 len;
    cr_assert(rig_used(&r, 0, NULL, &len) && len == 1 && *rig_ptr(&r, a) == 'x');
    rig_do(&r, 1, &(struct seg){a, 1, false}, 1);
    cr_assert(h[0].n == 1 && h[0].got[0] == 'x');
    rig_set(&r, 0x108, '!'); /* the emergency write */
    cr_assert(h[0].n == 2 && h[0].got[1] == '!');
    rig_free(&r);
}

Test(virtio_console, sizes)
{
    struct rig r;
    struct host h[2];
    setup(&r, h, ~0ull);
    virtio_console_resize(r.v, 132, 50);
    cr_assert_eq(rig_reg(&r, 0x100), 50u << 16 | 132);
    cr_assert_eq(rig_reg(&r, MMIO_ISR), 2);
    rig_free(&r);
}

/* A size after the console is known to the driver: Linux up to 6.14 reads rows, then columns. */
Test(virtio_console, a_size_as_a_message)
{
    enum { RESIZE = 5 };
    struct rig r;
    struct host h[2];
    u32 len = 0;
    bool found = false;
    setup(&r, h, ~0ull);
    say(&r, 0, READY, 1);
    say(&r, 0, PORT_READY, 1);
    say(&r, 1, PORT_READY, 1);
    say(&r, 0, OPEN, 1);
    virtio_console_resize(r.v, 132, 50);
    u64 at = rig_alloc(&r, 64);
    for (int k = 0; k < 12 && !found; k++) {
        rig_add(&r, CTL_RX, &(struct seg){at, 64, true}, 1);
        rig_kick(&r, CTL_RX);
        cr_assert(rig_used(&r, CTL_RX, NULL, &len), "the message does not come");
        found = ld_u16(rig_ptr(&r, at) + 4) == RESIZE;
    }
    cr_assert_eq(len, 12);
    cr_expect_eq(ld_u32(rig_ptr(&r, at)), 0, "the console's port");
    cr_expect_eq(ld_u16(rig_ptr(&r, at) + 8), 50, "rows");
    cr_expect_eq(ld_u16(rig_ptr(&r, at) + 10), 132, "columns");
    rig_free(&r);
}

Test(virtio_console, hostile_saved_state)
{
    struct rig r;
    struct host h[2];
    setup(&r, h, ~0ull);
    for (const struct field *f = r.v->dev.ops->state; f->name; f++)
        memset((u8 *)r.v + f->offset, 0xff, (size_t)f->size * f->count);
    cr_assert(r.v->dev.ops->loaded(&r.v->dev));
    cr_assert_eq(h[0].c.space(h[0].c.ctx), 0);
    rig_start(&r, ~0ull);
    u64 a = rig_alloc(&r, 64);
    rig_add(&r, CTL_RX, &(struct seg){a, 3, true}, 1); /* shorter than a message */
    say(&r, 0, READY, 1);
    cr_assert(!rig_broken(&r));
    rig_free(&r);
}
