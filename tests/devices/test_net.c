/*
 * tests/devices/test_net.c - Internet checksums and TCP segmentation.
 */
#include "tests/devices/net_rig.h"

/* The definition, without tricks: RFC 1071, 1. */
static u16 plain_sum(const u8 *p, size_t len)
{
    u32 s = 0;
    for (size_t k = 0; k < len; k++)
        s += k & 1 ? p[k] : (u32)p[k] << 8;
    while (s >> 16)
        s = (s & 0xffff) + (s >> 16);
    return (u16)s;
}

Test(net, sum_is_the_definition)
{
    u8 buf[300];
    u32 seed = 1;
    for (int fill = 0; fill < 3; fill++) {
        for (size_t k = 0; k < sizeof(buf); k++) {
            seed = seed * 1664525u + 1013904223u;
            buf[k] = fill == 0 ? (u8)(seed >> 24) : fill == 1 ? 0xff : 0;
        }
        for (size_t at = 0; at < 4; at++)
            for (size_t len = 0; len < 290; len++)
                cr_assert_eq(net_sum(buf + at, len), plain_sum(buf + at, len), "%zu %zu", at, len);
    }
    const u8 rfc[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7}; /* RFC 1071, 3 */
    cr_expect_eq(net_sum(rfc, sizeof(rfc)), 0xddf2);
}

Test(net, checksum_stays_in_the_frame)
{
    u8 f[64] = {1, 2, 3}, was[64];
    static const u32 bad[][3] = {{0, 65, 10}, {10, 10, 0},         {20, 10, 0},     {0, 64, 63},
                                 {0, 64, 64}, {0, 64, 0xffffffff}, {65, 66, 0},     {0, 0, 0},
                                 {0, ~0u, 0}, {~0u, ~0u, 2},       {0, 64, 0x10000}};
    memcpy(was, f, sizeof(f));
    for (size_t k = 0; k < ARRAY_LEN(bad); k++)
        cr_expect(!net_checksum(f, 64, bad[k][0], bad[k][1], bad[k][2], false), "%zu", k);
    cr_expect_arr_eq(f, was, 64);
    cr_expect(net_checksum(f, 64, 0, 64, 62, false));
    cr_expect_eq(net_sum(f, 64), 0xffff);
    /* UDP's zero */
    u8 z[8] = {0xff, 0xff};
    cr_expect(net_checksum(z, 8, 0, 2, 6, false) && ld_be16(z + 6) == 0);
    cr_expect(net_checksum(z, 8, 0, 2, 6, true) && ld_be16(z + 6) == 0xffff);
}

Test(net, frames_are_judged)
{
    u8 f[1600];
    struct net_tso t;
    for (int v6 = 0; v6 < 2; v6++) {
        u32 len = make_tcp(f, v6, 777, 0x18, &t);
        struct net_l4 r = net_check(f, len);
        cr_expect(r.tcp && !r.udp && !r.bad_l4 && !r.bad_ip && r.ipv4 == !v6 && r.ipv6 == v6);
        r = net_check(f, len + 6); /* padding is not part of it */
        cr_expect(r.tcp && !r.bad_l4);
        f[len - 1] ^= 1;
        r = net_check(f, len);
        cr_expect(r.tcp && r.bad_l4 && !r.bad_ip);
        for (u32 n = 0; n < len; n++) { /* cut: never more than there is, never good */
            r = net_check(f, n);
            cr_assert(!r.tcp && !r.bad_l4);
        }
    }
    u32 len = make_tcp(f, false, 100, 0x18, &t);
    f[22] ^= 1;
    struct net_l4 r = net_check(f, len);
    cr_expect(r.ipv4 && r.bad_ip);
    f[22] ^= 1;
    f[20] = 0x20; /* a fragment: its sum is another's */
    r = net_check(f, len);
    cr_expect(r.ipv4 && !r.tcp);
    f[20] = 0;
    f[14] = 0x44; /* a header of 16 bytes */
    r = net_check(f, len);
    cr_expect(!r.ipv4 && !r.tcp);
}

struct got {
    u32 n, bytes, next_seq;
    u8 last_flags;
    bool ipv6;
    u32 cwr;
};

static void take(void *ctx, u8 *frame, u32 len)
{
    struct got *g = ctx;
    struct net_l4 r = net_check(frame, len);
    u32 l4 = ETH_HLEN + (g->ipv6 ? 40 : 20);
    cr_expect(r.tcp && !r.bad_l4 && !r.bad_ip && len <= NET_FRAME_MAX);
    cr_expect_eq(ld_be32(frame + l4 + 4), g->next_seq);
    if (!g->ipv6)
        cr_expect_eq(ld_be16(frame + 18), (u16)(0xfffe + g->n));
    for (u32 k = l4 + 20; k < len; k++)
        cr_assert_eq(frame[k], (u8)(g->bytes + k - l4 - 20));
    g->last_flags = frame[l4 + 13];
    g->cwr += g->last_flags >> 7;
    g->next_seq += len - l4 - 20;
    g->bytes += len - l4 - 20;
    g->n++;
}

Test(net, segments_are_packets)
{
    static u8 p[70000];
    struct net_tso t;
    static const u32 payloads[] = {0, 1, 999, 1000, 1001, 2000, 2001, 65000};
    for (int v6 = 0; v6 < 2; v6++) {
        for (size_t k = 0; k < ARRAY_LEN(payloads); k++) {
            u32 len = make_tcp(p, v6, payloads[k], 0x99, &t); /* CWR ACK PSH FIN */
            struct got g = {.next_seq = 0xfffffff0, .ipv6 = v6};
            cr_assert(net_segment(p, len, &t, take, &g));
            cr_expect_eq(g.bytes, payloads[k]);
            cr_expect_eq(g.n, MAX(1, (payloads[k] + 999) / 1000));
            cr_expect_eq(g.last_flags & 0x1f, 0x19); /* FIN and PSH are the last one's */
            cr_expect_eq(g.cwr, 1);                  /* CWR the first one's */
        }
    }
}

static void count(void *ctx, u8 *frame, u32 len)
{
    ++*(u32 *)ctx;
}

Test(net, segmentation_refuses_nonsense)
{
    static u8 p[70000];
    struct net_tso good, t;
    u32 len = make_tcp(p, false, 60000, 0x10, &good), n = 0;
    const struct net_tso bad[] = {
        {.l3 = 14, .l4 = 34, .header = 54, .mss = 0},
        {.l3 = 14, .l4 = 34, .header = 54, .mss = 15},
        {.l3 = 14, .l4 = 34, .header = 54, .mss = 1465},
        {.l3 = 14, .l4 = 34, .header = 54, .mss = ~0u},
        {.l3 = 0, .l4 = 34, .header = 54, .mss = 1000},
        {.l3 = 14, .l4 = 33, .header = 54, .mss = 1000},
        {.l3 = 14, .l4 = 35, .header = 54, .mss = 1000},
        {.l3 = 14, .l4 = 34, .header = 53, .mss = 1000},
        {.l3 = 14, .l4 = 34, .header = 1518, .mss = 1000},
        {.l3 = 14, .l4 = ~0u, .header = 54, .mss = 1000},
        {.l3 = ~0u, .l4 = 34, .header = 54, .mss = 1000},
        {.l3 = 14, .l4 = 34, .header = ~0u, .mss = 1000},
        {.ipv6 = true, .l3 = 14, .l4 = 34, .header = 54, .mss = 1000},
    };
    for (size_t k = 0; k < ARRAY_LEN(bad); k++)
        cr_expect(!net_segment(p, len, &bad[k], count, &n), "%zu", k);
    cr_expect(!net_segment(p, 53, &good, count, &n)); /* shorter than its headers */
    cr_expect_eq(n, 0);
    t = good;
    t.mss = 16;
    cr_expect(net_segment(p, len, &t, count, &n));
    cr_expect_eq(n, 3750);
}
