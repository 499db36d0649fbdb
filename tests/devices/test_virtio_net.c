/*
 * tests/devices/test_virtio_net.c - the virtio network device on rings in fake memory: offloads,
 * mergeable buffers, filters, legacy headers, and requests that make no sense.
 */
#include "tests/devices/net_rig.h"
#include "devices/virtio/net.h"
#include "devices/virtio/virtio.h"

enum { RX, TX, CTRL };
enum { F_CSUM = 0, F_GUEST_CSUM = 1, F_MTU = 3, F_MRG = 15, F_CTRL_VQ = 17, F_CTRL_VLAN = 19 };
enum { SIZE = 64, BUF = 0x100000, SLOT = 0x8000 };
enum { NEXT = 1, WRITE = 2 };

struct t {
    struct pci_rig p;
    struct cable cable;
    struct virtio_dev *v;
    u32 irqs;
    u16 avail[3];
    u32 next_buf;
};

static void on_irq(void *ctx, int q)
{
    ((struct t *)ctx)->irqs++;
}

static u64 ring(int q)
{
    return 0x10000 + (u64)q * 0x4000;
}
static u8 *ram(struct t *t, u64 at)
{
    return t->p.ram->base + at;
}

static struct t *setup_mtu(u64 features, u16 mtu)
{
    struct t *t = calloc(1, sizeof(*t));
    pci_rig_init(&t->p, true);
    cable_init(&t->cable);
    t->cable.net.mtu = mtu;
    t->v = virtio_net_new(test_mac, &t->cable.net);
    virtio_attach(t->v, t->p.mem, on_irq, t);
    t->v->dma = true;
    virtio_set_status(t->v, VIRTIO_S_ACKNOWLEDGE | VIRTIO_S_DRIVER);
    virtio_set_features(t->v, 0, (u32)features);
    virtio_set_features(t->v, 1, (u32)(features >> 32));
    virtio_set_status(t->v, t->v->status | VIRTIO_S_FEATURES_OK);
    for (int q = 0; q < 3; q++) {
        virtq_set_size(t->v, (u32)q, SIZE);
        t->v->regs[q].desc = ring(q);
        t->v->regs[q].avail = ring(q) + 0x1000;
        t->v->regs[q].used = ring(q) + 0x2000;
        virtq_enable(t->v, (u32)q, true);
    }
    virtio_set_status(t->v, t->v->status | VIRTIO_S_DRIVER_OK);
    return t;
}

static struct t *setup(u64 features)
{
    return setup_mtu(features, 0);
}

static void teardown(struct t *t)
{
    device_destroy(&t->v->dev);
    cr_expect(!t->cable.net.recv);
    cr_expect_eq(t->cable.bad, 0);
    pci_rig_fini(&t->p);
    free(t);
}

static void set_desc(struct t *t, int q, u32 k, u64 addr, u32 len, u32 flags)
{
    u8 *d = ram(t, ring(q) + k * 16);
    st_u64(d, addr);
    st_u32(d + 8, len);
    st_u16(d + 12, (u16)flags);
    st_u16(d + 14, (u16)(k + 1));
}

static void offer(struct t *t, int q, u32 head)
{
    u8 *a = ram(t, ring(q) + 0x1000);
    st_u16(a + 4 + 2 * (t->avail[q] % SIZE), (u16)head);
    st_u16(a + 2, ++t->avail[q]);
    virtio_kick(t->v, (u32)q);
}

static u16 used(struct t *t, int q)
{
    return ld_u16(ram(t, ring(q) + 0x2000 + 2));
}
static u32 used_len(struct t *t, int q, u32 k)
{
    return ld_u32(ram(t, ring(q) + 0x2000 + 4 + 8 * (k % SIZE) + 4));
}

/* A header and a packet in two descriptors. */
static void send(struct t *t, const u8 *hdr, u32 hs, const u8 *packet, u32 len)
{
    memcpy(ram(t, BUF), hdr, hs);
    memcpy(ram(t, BUF + 64), packet, len);
    set_desc(t, TX, 0, BUF, hs, NEXT);
    set_desc(t, TX, 1, BUF + 64, len, 0);
    offer(t, TX, 0);
}

static void give_buffers(struct t *t, u32 n, u32 len)
{
    for (u32 k = 0; k < n; k++) {
        u32 at = t->next_buf++ % SIZE;
        set_desc(t, RX, at, BUF + (u64)at * SLOT / 4, len, WRITE);
        offer(t, RX, at);
    }
}

#define MODERN BIT64(VIRTIO_F_VERSION_1)

Test(virtio_net, configuration)
{
    struct t *t = setup(MODERN);
    for (u32 k = 0; k < 6; k++)
        cr_expect_eq(virtio_config_read(t->v, k, 1), test_mac[k]);
    cr_expect_eq(virtio_config_read(t->v, 6, 2), 1);
    u32 before = t->irqs;
    t->cable.net.link_down = true;
    t->cable.net.link(t->cable.net.ctx);
    cr_expect_eq(virtio_config_read(t->v, 6, 2), 0);
    cr_expect_eq(t->irqs, before + 1);
    virtio_config_write(t->v, 0, 0x11, 1); /* not a modern driver's */
    cr_expect_eq(virtio_config_read(t->v, 0, 1), test_mac[0]);
    teardown(t);
}

Test(virtio_net, sends)
{
    struct t *t = setup(MODERN | BIT64(F_CSUM));
    u8 hdr[12] = {0}, want[1600], p[1600];
    struct net_tso n;
    u32 len = make_tcp(want, false, 500, 0x10, &n);
    send(t, hdr, 12, want, len);
    cr_assert_eq(t->cable.sent, 1);
    cr_expect_arr_eq(t->cable.kept[0].data, want, len);
    cr_expect_eq(used(t, TX), 1);
    cr_expect(t->irqs);
    memcpy(p, want, len);
    st_be16(p + n.l4 + 16, net_pseudo_sum(p + 14, false, 6, len - n.l4));
    hdr[0] = 1;
    st_u16(hdr + 6, (u16)n.l4);
    st_u16(hdr + 8, 16);
    send(t, hdr, 12, p, len);
    cr_assert_eq(t->cable.sent, 2);
    cr_expect_arr_eq(t->cable.kept[1].data, want, len);
    teardown(t);
}

Test(virtio_net, segments)
{
    struct t *t = setup(MODERN | BIT64(F_CSUM) | BIT64(11) | BIT64(12));
    static u8 p[70000];
    for (int v6 = 0; v6 < 2; v6++) {
        u8 hdr[12] = {1, v6 ? 4 : 1};
        struct net_tso n;
        u32 len = make_tcp(p, v6, 20100, 0x18, &n);
        st_u16(hdr + 2, 0xffff); /* the length of headers is a hint only */
        st_u16(hdr + 4, 1000);
        st_u16(hdr + 6, (u16)n.l4);
        st_u16(hdr + 8, 16);
        t->cable.sent = 0;
        send(t, hdr, 12, p, len);
        cr_assert_eq(t->cable.sent, 21);
        for (u32 k = 0; k < 21; k++) {
            struct net_l4 r = net_check(t->cable.kept[k].data, t->cable.kept[k].len);
            cr_expect(r.tcp && !r.bad_l4 && !r.bad_ip);
        }
    }
    teardown(t);
}

Test(virtio_net, receives)
{
    struct t *t = setup(MODERN | BIT64(F_GUEST_CSUM));
    u8 f[1600];
    struct net_tso n;
    u32 len = make_tcp(f, false, 1400, 0x10, &n);
    cr_expect(!t->cable.net.can_receive(t->cable.net.ctx));
    give_buffers(t, 1, 2000);
    cr_expect_eq(t->cable.resumed, 1);
    cr_expect(t->cable.net.can_receive(t->cable.net.ctx));
    t->cable.net.recv(t->cable.net.ctx, f, len);
    cr_expect_eq(used(t, RX), 1);
    cr_expect_eq(used_len(t, RX, 0), len + 12);
    cr_expect_eq(*ram(t, BUF), 2); /* checked */
    cr_expect_eq(ld_u16(ram(t, BUF + 10)), 1);
    cr_expect_arr_eq(ram(t, BUF + 12), f, len);
    f[len - 1]++;
    give_buffers(t, 1, 2000);
    t->cable.net.recv(t->cable.net.ctx, f, len);
    cr_expect_eq(*ram(t, BUF + SLOT / 4), 0); /* not good: the guest finds out */
    /* too small without merging: the frame is lost, the buffer is not */
    give_buffers(t, 1, 100);
    t->cable.net.recv(t->cable.net.ctx, f, len);
    cr_expect_eq(used(t, RX), 2);
    t->cable.net.recv(t->cable.net.ctx, f, 80);
    cr_expect_eq(used(t, RX), 3);
    teardown(t);
}

Test(virtio_net, merges_buffers)
{
    struct t *t = setup(MODERN | BIT64(F_MRG));
    u8 f[1600];
    struct net_tso n;
    u32 len = make_tcp(f, false, 1000, 0x10, &n);
    give_buffers(t, 10, 256);
    t->cable.net.recv(t->cable.net.ctx, f, len);
    cr_expect_eq(used(t, RX), 5);
    cr_expect_eq(ld_u16(ram(t, BUF + 10)), 5);
    cr_expect_eq(used_len(t, RX, 0), 256);
    cr_expect_eq(used_len(t, RX, 4), len + 12 - 4 * 256);
    cr_expect_arr_eq(ram(t, BUF + 12), f, 244);
    cr_expect_arr_eq(ram(t, BUF + SLOT / 4), f + 244, 256);
    /* one that would take more than there are */
    t->cable.net.recv(t->cable.net.ctx, f, 1400);
    cr_expect_eq(used(t, RX), 5);
    t->cable.net.recv(t->cable.net.ctx, f, 300); /* the others are still there */
    cr_expect_eq(used(t, RX), 7);
    teardown(t);
}

Test(virtio_net, mtu_is_told)
{
    static const u16 mtus[] = {0, 68, 1500, 9000, 65535};
    for (size_t k = 0; k < ARRAY_LEN(mtus); k++) {
        struct t *t = setup_mtu(MODERN, mtus[k]);
        cr_expect_eq(t->v->offered >> F_MTU & 1, mtus[k] != 0);
        cr_expect_eq(virtio_config_read(t->v, 10, 2), mtus[k]);
        virtio_config_write(t->v, 10, 1000, 2);
        cr_expect_eq(virtio_config_read(t->v, 10, 2), mtus[k]);
        teardown(t);
    }
}

/* A frame of mtu + 14 bytes, and a tagged one, go both ways; one byte more goes neither. Buffers as
 * small as a driver's first ones. */
Test(virtio_net, frames_up_to_the_mtu)
{
    static const struct {
        u16 mtu;
        u32 most;
        bool told;
    } all[] = {{0, 1518, false},    {68, 86, true},     {68, 1518, false},   {1500, 1518, true},
               {9000, 9018, false}, {9000, 9018, true}, {65535, 65553, true}};
    static u8 f[66000];
    u8 hdr[12] = {0};
    for (u32 k = 0; k < sizeof(f); k++)
        f[k] = (u8)(k / 251 + k);
    memcpy(f, test_mac, 6);
    for (size_t k = 0; k < ARRAY_LEN(all); k++) {
        u64 told = all[k].told ? BIT64(F_MTU) : 0;
        struct t *t = setup_mtu(MODERN | BIT64(F_MRG) | told, all[k].mtu);
        u32 most = all[k].most, got = 0, n = (most + 12 + 1525) / 1526;
        send(t, hdr, 12, f, most + 1);
        cr_expect_eq(t->cable.sent, 0, "%zu", k);
        send(t, hdr, 12, f, most);
        cr_assert_eq(t->cable.sent, 1, "%zu", k);
        cr_expect_arr_eq(t->cable.last, f, most);
        give_buffers(t, SIZE - 1, 1526);
        t->cable.net.recv(t->cable.net.ctx, f, most + 1);
        cr_expect_eq(used(t, RX), 0, "%zu", k);
        t->cable.net.recv(t->cable.net.ctx, f, most);
        cr_assert_eq(used(t, RX), n, "%zu", k);
        cr_expect_eq(ld_u16(ram(t, BUF + 10)), n);
        for (u32 b = 0; b < n; b++) {
            u32 skip = b ? 0 : 12, part = used_len(t, RX, b) - skip;
            cr_assert(got + part <= most);
            cr_expect_arr_eq(ram(t, BUF + (u64)b * SLOT / 4 + skip), f + got, part, "%zu", k);
            got += part;
        }
        cr_expect_eq(got, most);
        teardown(t);
    }
}

Test(virtio_net, segments_up_to_the_mtu)
{
    struct t *t = setup_mtu(MODERN | BIT64(F_CSUM) | BIT64(F_MTU) | BIT64(11), 9000);
    static u8 p[70000];
    u8 hdr[12] = {1, 1};
    struct net_tso n;
    u32 len = make_tcp(p, false, 60000, 0x10, &n);
    st_u16(hdr + 6, (u16)n.l4);
    st_u16(hdr + 8, 16);
    st_u16(hdr + 4, 8965); /* one more than a tagged frame has room for */
    send(t, hdr, 12, p, len);
    cr_expect_eq(t->cable.sent, 0);
    st_u16(hdr + 4, 8960);
    send(t, hdr, 12, p, len);
    cr_expect_eq(t->cable.sent, 7);
    cr_expect_eq(t->cable.kept[0].len, 9014);
    u32 last = t->cable.kept[6].len;
    cr_expect_eq(last, 54 + 60000 - 6 * 8960);
    struct net_l4 r = net_check(t->cable.last, last);
    cr_expect(r.tcp && !r.bad_l4 && !r.bad_ip);
    teardown(t);
}

Test(virtio_net, legacy_header)
{
    struct t *t = setup(0);
    u8 hdr[12] = {0}, f[100] = {0};
    send(t, hdr, 10, f, 100);
    cr_expect_eq(t->cable.sent, 1);
    cr_expect_eq(t->cable.kept[0].len, 100);
    memcpy(f, test_mac, 6);
    give_buffers(t, 1, 2000);
    t->cable.net.recv(t->cable.net.ctx, f, 100);
    cr_expect_eq(used_len(t, RX, 0), 110);
    virtio_config_write(t->v, 0, 0x02, 1);
    cr_expect_eq(virtio_config_read(t->v, 0, 1), 0x02);
    teardown(t);
}

static int command(struct t *t, const u8 *bytes, u32 len)
{
    u16 before = used(t, CTRL);
    memcpy(ram(t, BUF + 0x80000), bytes, len);
    *ram(t, BUF + 0x90000) = 0xee;
    set_desc(t, CTRL, 0, BUF + 0x80000, len, NEXT);
    set_desc(t, CTRL, 1, BUF + 0x90000, 1, WRITE);
    offer(t, CTRL, 0);
    return used(t, CTRL) == before + 1 ? *ram(t, BUF + 0x90000) : -1;
}

static bool gets(struct t *t, const u8 *dest, u16 tag)
{
    u8 f[100] = {0};
    u16 before = used(t, RX);
    memcpy(f, dest, 6);
    if (tag) {
        st_be16(f + 12, 0x8100);
        st_be16(f + 14, tag);
    }
    give_buffers(t, 1, 2000);
    t->cable.net.recv(t->cable.net.ctx, f, 100);
    return used(t, RX) != before;
}

Test(virtio_net, filters)
{
    static const u8 all[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    static const u8 many[6] = {0x01, 0x00, 0x5e, 1, 2, 3};
    struct t *t = setup(MODERN | BIT64(F_CTRL_VQ) | BIT64(F_CTRL_VLAN));
    cr_expect(gets(t, other_mac, 0)); /* all, until it is told otherwise */
    cr_expect_eq(command(t, (u8[]){0, 0, 0}, 3), 0);
    cr_expect(!gets(t, other_mac, 0) && !gets(t, many, 0));
    cr_expect(gets(t, test_mac, 0) && gets(t, all, 0));
    u8 table[2 + 4 + 6 + 4 + 6] = {1, 0, 1};
    memcpy(table + 6, other_mac, 6);
    table[12] = 1;
    memcpy(table + 16, many, 6);
    cr_expect_eq(command(t, table, sizeof(table)), 0);
    cr_expect(gets(t, other_mac, 0) && gets(t, many, 0));
    table[12] = 2; /* more than there is: refused whole */
    table[2] = 0;
    cr_expect_eq(command(t, table, sizeof(table)), 1);
    cr_expect(gets(t, other_mac, 0));
    memset(table, 0xff, sizeof(table));
    table[0] = 1, table[1] = 0;
    cr_expect_eq(command(t, table, sizeof(table)), 1);
    cr_expect_eq(command(t, table, 3), 1);
    u8 set[8] = {1, 1};
    memcpy(set + 2, all, 5);
    cr_expect_eq(command(t, set, 8), 0);
    cr_expect_eq(virtio_config_read(t->v, 4, 1), 0xff);
    cr_expect_eq(command(t, set, 7), 1);
    cr_expect_eq(command(t, (u8[]){0, 5, 1}, 3), 0); /* no broadcasts */
    cr_expect(!gets(t, all, 0));
    cr_expect_eq(command(t, (u8[]){0, 6, 1}, 3), 1);
    cr_expect_eq(command(t, (u8[]){9, 0, 1}, 3), 1);
    cr_expect(!gets(t, many, 0x123));
    cr_expect_eq(command(t, (u8[]){2, 0, 0x23, 0x01}, 4), 0);
    cr_expect(gets(t, many, 0x123));
    cr_expect_eq(command(t, (u8[]){2, 1, 0x23, 0x01}, 4), 0);
    cr_expect(!gets(t, many, 0x123));
    cr_expect_eq(command(t, (u8[]){2, 0, 0, 0x10}, 4), 1); /* 4096 */
    teardown(t);
}

Test(virtio_net, packets_that_make_no_sense)
{
    struct t *t = setup(MODERN | BIT64(F_CSUM) | BIT64(11) | BIT64(12));
    static u8 p[80000];
    struct net_tso n;
    u32 len = make_tcp(p, false, 60000, 0x10, &n);
    /* flags, kind, size of segments, start of the sum, its place */
    static const u16 bad[][5] = {{0, 0, 0, 0, 0},      {1, 0, 0, 34, 16},   {0, 1, 1000, 34, 16},
                                 {1, 1, 0, 34, 16},    {1, 1, 1, 34, 16},   {1, 1, 1000, 65535, 16},
                                 {1, 1, 1000, 5, 16},  {1, 1, 1500, 34, 0}, {1, 3, 1000, 34, 16},
                                 {1, 5, 1000, 34, 16}, {1, 2, 9, 0, 0},     {1, 4, 1000, 34, 16},
                                 {1, 0x81, 8, 34, 16}};
    for (size_t k = 0; k < ARRAY_LEN(bad); k++) {
        u8 hdr[12] = {(u8)bad[k][0], (u8)bad[k][1]};
        st_u16(hdr + 4, bad[k][2]);
        st_u16(hdr + 6, bad[k][3]);
        st_u16(hdr + 8, bad[k][4]);
        send(t, hdr, 12, p, len);
        cr_expect_eq(t->cable.sent, 0, "%zu", k);
        cr_expect_eq(used(t, TX), k + 1, "%zu", k);
    }
    u8 sum[12] = {1}; /* a sum outside a small packet */
    st_u16(sum + 6, 90);
    st_u16(sum + 8, 0xffff);
    send(t, sum, 12, p, 100);
    send(t, (u8[12]){0}, 12, p, 5);
    send(t, (u8[12]){1, 1}, 12, p, 1);
    send(t, (u8[12]){0}, 12, p, 70000);
    cr_expect_eq(t->cable.sent, 0);
    cr_expect(!(t->v->status & VIRTIO_S_NEEDS_RESET));
    send(t, (u8[12]){0}, 12, p, 100); /* and it lives */
    cr_expect_eq(t->cable.sent, 1);
    set_desc(t, TX, 0, BUF, 11, 0); /* no room for a header */
    offer(t, TX, 0);
    cr_expect(t->v->status & VIRTIO_S_NEEDS_RESET);
    cr_expect(t->cable.net.can_receive(t->cable.net.ctx)); /* and loses what comes */
    t->cable.net.recv(t->cable.net.ctx, p, 100);
    teardown(t);
}

Test(virtio_net, state)
{
    struct t *t = setup(MODERN | BIT64(F_MRG) | BIT64(F_CTRL_VQ));
    command(t, (u8[]){0, 0, 0}, 3);
    struct cable other;
    cable_init(&other);
    struct virtio_dev *twin = virtio_net_new(test_mac, &other.net);
    virtio_attach(twin, t->p.mem, on_irq, t);
    twin->dma = true;
    cr_expect(clone_state(&t->v->dev, &twin->dev));
    give_buffers(t, 2, 2000);
    u8 f[100] = {0};
    memcpy(f, test_mac, 6);
    other.net.recv(other.net.ctx, f, 100);
    cr_expect_eq(used(t, RX), 1);
    f[5]++;
    other.net.recv(other.net.ctx, f, 100);
    cr_expect_eq(used(t, RX), 1);
    for (u32 k = 0; k < 200; k++) {
        poison_state(&twin->dev, k);
        for (u32 q = 0; q < 3; q++)
            virtio_kick(twin, q);
        if (other.net.can_receive(other.net.ctx))
            other.net.recv(other.net.ctx, f, 100);
    }
    device_destroy(&twin->dev);
    teardown(t);
}
