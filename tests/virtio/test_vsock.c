/* tests/virtio/test_vsock.c - the socket device: connections either way, credit, nonsense. */
#include "tests/virtio/rig.h"
#include "bus/backend.h"
#include "devices/virtio/vsock.h"

enum { REQUEST = 1, RESPONSE, RST, SHUTDOWN, RW, CREDIT, ASK_CREDIT };
enum { CID = 3, RX = 0, TX = 1 };

/* The host's end: one service at port 80. */
struct end {
    struct vsock_host h;
    int connects, closes, opened, resumed, shut;
    u8 got[VSOCK_WINDOW];
    size_t n;
};

static int e_connect(struct vsock_host *h, u32 port)
{
    struct end *e = (struct end *)h;
    return port == 80 ? e->connects++ : -1;
}
static void e_opened(struct vsock_host *h, int conn)
{
    ((struct end *)h)->opened++;
}
static void e_send(struct vsock_host *h, int conn, const u8 *buf, size_t len)
{
    struct end *e = (struct end *)h;
    cr_assert(e->n + len <= VSOCK_WINDOW, "more than was granted");
    memcpy(e->got + e->n, buf, len);
    e->n += len;
}
static void e_resume(struct vsock_host *h, int conn)
{
    ((struct end *)h)->resumed++;
}
static void e_shutdown(struct vsock_host *h, int conn)
{
    ((struct end *)h)->shut++;
}
static void e_close(struct vsock_host *h, int conn)
{
    ((struct end *)h)->closes++;
}
static const struct vsock_host_ops end_ops = {.connect = e_connect,
                                              .opened = e_opened,
                                              .send = e_send,
                                              .resume = e_resume,
                                              .shutdown = e_shutdown,
                                              .close = e_close};

struct sock {
    struct rig r;
    struct end e;
    u64 tx, rx;
    u32 credit; /* buf_alloc we give */
};

static void setup(struct sock *s)
{
    memset(s, 0, sizeof(*s));
    s->e.h.ops = &end_ops;
    rig_init(&s->r, virtio_vsock_new(CID, &s->e.h));
    rig_start(&s->r, ~0ull);
    s->tx = rig_alloc(&s->r, 44 + VSOCK_WINDOW + 8);
    s->rx = rig_alloc(&s->r, 4096);
    s->credit = 100000;
}

static void say(struct sock *s, u16 op, u32 from, u32 to, u32 flags, u32 len)
{
    u8 *p = rig_ptr(&s->r, s->tx);
    st_u64(p, CID);
    st_u64(p + 8, 2);
    st_u32(p + 16, from);
    st_u32(p + 20, to);
    st_u32(p + 24, len);
    st_u16(p + 28, 1);
    st_u16(p + 30, op);
    st_u32(p + 32, flags);
    st_u32(p + 36, s->credit);
    st_u32(p + 40, 0);
    rig_do(&s->r, TX, (struct seg[]){{s->tx, 44, false}, {s->tx + 44, len ? len : 1, false}}, 2);
}

/* The device's next packet: its op, 0 for none. */
static u16 hear(struct sock *s, u32 room)
{
    rig_add(&s->r, RX, &(struct seg){s->rx, room, true}, 1);
    rig_kick(&s->r, RX);
    if (!rig_used(&s->r, RX, NULL, NULL)) {
        /* takes the buffer back: the next turn will use it */
        s->r.q[RX].avail_idx--;
        st_u16(rig_ptr(&s->r, s->r.q[RX].avail) + 2, s->r.q[RX].avail_idx);
        return 0;
    }
    const u8 *p = rig_ptr(&s->r, s->rx);
    cr_assert(ld_u64(p) == 2 && ld_u64(p + 8) == CID);
    return ld_u16(p + 30);
}

static u32 field(struct sock *s, u32 off)
{
    return ld_u32(rig_ptr(&s->r, s->rx) + off);
}

Test(virtio_vsock, the_guest_connects)
{
    static struct sock s;
    setup(&s);
    cr_assert_eq(rig_reg(&s.r, 0x100), CID);
    say(&s, REQUEST, 1000, 81, 0, 0);
    cr_assert_eq(hear(&s, 100), RST, "nobody is at 81");
    say(&s, REQUEST, 1000, 80, 0, 0);
    cr_assert_eq(hear(&s, 100), RESPONSE);
    cr_assert(field(&s, 16) == 80 && field(&s, 20) == 1000 && field(&s, 36) == VSOCK_WINDOW);
    memcpy(rig_ptr(&s.r, s.tx + 44), "hello", 5);
    say(&s, RW, 1000, 80, 0, 5);
    cr_assert(s.e.n == 5 && !memcmp(s.e.got, "hello", 5));
    s.e.h.recv(s.e.h.ctx, 0, (const u8 *)"answer", 6);
    cr_assert_eq(hear(&s, 48), RW);
    cr_assert(field(&s, 24) == 4 && !memcmp(rig_ptr(&s.r, s.rx + 44), "answ", 4));
    cr_assert_eq(hear(&s, 100), RW);
    cr_assert(field(&s, 24) == 2 && s.e.resumed);
    cr_assert_eq(hear(&s, 100), 0);
    say(&s, SHUTDOWN, 1000, 80, 2, 0);
    cr_assert(s.e.shut == 1 && s.e.closes == 0);
    say(&s, SHUTDOWN, 1000, 80, 3, 0);
    cr_assert_eq(s.e.closes, 1);
    cr_assert_eq(hear(&s, 100), RST);
    say(&s, RW, 1000, 80, 0, 5);
    cr_assert_eq(hear(&s, 100), RST, "it is gone");
    rig_free(&s.r);
}

Test(virtio_vsock, the_host_connects_and_ends)
{
    static struct sock s;
    setup(&s);
    cr_assert(s.e.h.accept(s.e.h.ctx, 7, 22));
    cr_assert_eq(s.e.h.space(s.e.h.ctx, 7), 0, "not yet");
    cr_assert_eq(hear(&s, 100), REQUEST);
    cr_assert_eq(field(&s, 20), 22);
    say(&s, RESPONSE, 22, field(&s, 16), 0, 0);
    cr_assert_eq(s.e.opened, 1);
    s.e.h.recv(s.e.h.ctx, 7, (const u8 *)"x", 1);
    s.e.h.eof(s.e.h.ctx, 7);
    cr_assert_eq(hear(&s, 100), RW);
    cr_assert_eq(hear(&s, 100), SHUTDOWN, "after the last byte");
    cr_assert_eq(hear(&s, 100), 0);
    say(&s, RST, 22, field(&s, 16), 0, 0);
    cr_assert_eq(s.e.closes, 1);
    cr_assert_eq(hear(&s, 100), 0, "no reset for a reset");
    rig_free(&s.r);
}

Test(virtio_vsock, credit)
{
    static struct sock s;
    setup(&s);
    s.credit = 10;
    say(&s, REQUEST, 1000, 80, 0, 0);
    hear(&s, 100);
    s.e.h.recv(s.e.h.ctx, 0, (const u8 *)"0123456789abcdef", 16);
    cr_assert_eq(hear(&s, 100), RW);
    cr_assert_eq(field(&s, 24), 10, "what the guest has room for");
    cr_assert_eq(hear(&s, 100), 0);
    s.credit = 13;
    say(&s, CREDIT, 1000, 80, 0, 0);
    cr_assert_eq(hear(&s, 100), RW);
    cr_assert_eq(field(&s, 24), 3);
    say(&s, ASK_CREDIT, 1000, 80, 0, 0);
    cr_assert_eq(hear(&s, 100), CREDIT);
    /* the other way: a full window, then its credit back */
    say(&s, RW, 1000, 80, 0, VSOCK_WINDOW);
    cr_assert_eq(s.e.n, VSOCK_WINDOW);
    cr_assert_eq(hear(&s, 100), 0);
    s.e.h.sent(s.e.h.ctx, 0, 20000);
    s.e.n -= 20000;
    cr_assert_eq(hear(&s, 100), CREDIT);
    cr_assert_eq(field(&s, 40), 20000);
    say(&s, RW, 1000, 80, 0, 20001); /* one too many */
    cr_assert_eq(s.e.closes, 1);
    cr_assert_eq(hear(&s, 100), RST);
    rig_free(&s.r);
}

Test(virtio_vsock, nonsense)
{
    static struct sock s;
    setup(&s);
    for (u32 op = 0; op < 300; op++)
        say(&s, (u16)op, 1, 80, op, op & 7);
    say(&s, REQUEST, 5, 80, 0, 0);
    for (u32 op = 0; op < 20; op++)
        say(&s, (u16)op, 5, 80, 1, 3);
    int n = 0;
    while (hear(&s, 100))
        cr_assert(++n < 100);
    cr_assert(n >= 16 && !rig_broken(&s.r));
    /* longer than the request that carries it */
    st_u32(rig_ptr(&s.r, s.tx + 24), 1000);
    rig_add(&s.r, TX, &(struct seg){s.tx, 44, false}, 1);
    rig_kick(&s.r, TX);
    cr_assert(rig_broken(&s.r));
    rig_start(&s.r, ~0ull);
    rig_add(&s.r, TX, &(struct seg){s.tx, 43, false}, 1);
    rig_kick(&s.r, TX);
    cr_assert(rig_broken(&s.r));
    rig_free(&s.r);
}
