/*
 * tests/devices/net_rig.h - a cable that remembers what was sent, and packets to send and receive.
 */
#ifndef TESTS_DEVICES_NET_RIG_H
#define TESTS_DEVICES_NET_RIG_H

#include "tests/devices/pci_rig.h"
#include "devices/net.h"

enum { CABLE_KEPT = 128 };

struct cable {
    struct netdev net; /* first */
    u32 sent, bad;     /* frames; of them of a size no cable carries */
    u32 resumed;
    u32 waiting; /* frames to deliver in resume() */
    struct {
        u32 len;
        u8 data[NET_FRAME_MAX];
    } kept[CABLE_KEPT];     /* of longer ones the beginning */
    u8 last[NET_JUMBO_MAX]; /* the last one whole */
};

static inline void cable_send(struct netdev *n, const u8 *frame, size_t len)
{
    struct cable *c = (struct cable *)n;
    if (len < NET_FRAME_MIN || len > netdev_frame_max(n)) {
        c->bad++;
        return;
    }
    if (c->sent < CABLE_KEPT) {
        memcpy(c->kept[c->sent].data, frame, MIN(len, NET_FRAME_MAX));
        c->kept[c->sent].len = (u32)len;
    }
    memcpy(c->last, frame, len);
    c->sent++;
}

static inline void cable_resume(struct netdev *n)
{
    struct cable *c = (struct cable *)n;
    u8 frame[NET_FRAME_MAX] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    c->resumed++;
    while (c->waiting && n->recv && n->can_receive(n->ctx)) {
        c->waiting--;
        n->recv(n->ctx, frame, 64 + c->waiting % 1400);
    }
}

static inline void cable_close(struct netdev *n)
{
}

static inline void cable_init(struct cable *c)
{
    static const struct netdev_ops ops = {cable_send, cable_resume, cable_close};
    memset(c, 0, sizeof(*c));
    c->net.ops = &ops;
}

static const u8 test_mac[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};
static const u8 other_mac[6] = {0x52, 0x54, 0x00, 0x65, 0x43, 0x21};

/* A packet of payload bytes (each its place's low byte) with valid checksums, and what a driver
 * would say of it. flags: TCP's. Returns its length. */
static inline u32 make_tcp(u8 *p, bool ipv6, u32 payload, u8 flags, struct net_tso *t)
{
    u32 l4 = ETH_HLEN + (ipv6 ? 40 : 20), header = l4 + 20, len = header + payload;
    u8 *ip = p + ETH_HLEN, *tcp = p + l4;
    memset(p, 0, header);
    memcpy(p, test_mac, 6);
    memcpy(p + 6, other_mac, 6);
    st_be16(p + 12, ipv6 ? ETH_TYPE_IPV6 : ETH_TYPE_IPV4);
    if (ipv6) {
        ip[0] = 0x60;
        st_be16(ip + 4, (u16)(len - l4));
        ip[6] = IP_PROTO_TCP;
        ip[8] = 0xfe;
        ip[39] = 7;
    } else {
        ip[0] = 0x45;
        st_be16(ip + 2, (u16)(len - ETH_HLEN));
        st_be16(ip + 4, 0xfffe);
        ip[8] = 64;
        ip[9] = IP_PROTO_TCP;
        st_be32(ip + 12, 0x0a00020f);
        st_be32(ip + 16, 0x0a000202);
        st_be16(ip + 10, (u16)~net_sum(ip, 20));
    }
    st_be16(tcp, 1000);
    st_be16(tcp + 2, 80);
    st_be32(tcp + 4, 0xfffffff0);
    tcp[12] = 0x50;
    tcp[13] = flags;
    for (u32 k = 0; k < payload; k++)
        p[header + k] = (u8)k;
    st_be16(tcp + 16, net_pseudo_sum(ip, ipv6, IP_PROTO_TCP, len - l4));
    net_checksum(p, len, l4, len, l4 + 16, false);
    *t = (struct net_tso){.ipv6 = ipv6, .l3 = ETH_HLEN, .l4 = l4, .header = header, .mss = 1000};
    return len;
}

#endif
