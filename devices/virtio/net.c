/*
 * devices/virtio/net.c - the virtio network device.
 *
 * What it is: one receive and one transmit queue, mergeable receive buffers, checksums left to the
 * device and TCP segmentation by it, checksums of received frames checked for the driver, a control
 * queue with filters by address and VLAN, the cable's MTU. What it is not: several queue pairs,
 * packets larger than the cable's towards the guest, UDP segmentation.
 *
 * Invariants: a frame is stored whole or not at all; tx_buf holds a copy, so the guest cannot
 * change what was checked. Requests that make no sense are lost frames (5.1.6 has no error for
 * them), broken only without room for a header. Between calls no request is under way.
 *
 * Manual: VIRTIO 1.2, section 5.1.
 */
#include "devices/virtio/net.h"
#include "base/bits.h"
#include "base/log.h"
#include "bus/backend.h"
#include "devices/net.h"
#include "devices/virtio/virtio.h"

#include <stdlib.h>

enum {
    F_CSUM = 0,
    F_GUEST_CSUM = 1,
    F_MTU = 3,
    F_MAC = 5,
    F_HOST_TSO4 = 11,
    F_HOST_TSO6 = 12,
    F_HOST_ECN = 13,
    F_MRG_RXBUF = 15,
    F_STATUS = 16,
    F_CTRL_VQ = 17,
    F_CTRL_RX = 18,
    F_CTRL_VLAN = 19,
    F_CTRL_RX_EXTRA = 20,
    F_CTRL_MAC_ADDR = 23,
};
enum { RX, TX, CTRL, QUEUES };
enum { HDR_NEEDS_CSUM = 1, HDR_DATA_VALID = 2 };
enum { GSO_NONE = 0, GSO_TCPV4 = 1, GSO_TCPV6 = 4, GSO_ECN = 0x80 };
enum { HEADER = 12, HEADER_LEGACY = 10, NUM_BUFFERS = 10 };
enum { RING = 256, TX_BUF = 66 * 1024, MAC_TABLE = 64, CONFIG_SIZE = 12 };
/* Buffers of a frame at most: those of drivers are not smaller, but for the first few. */
enum { MERGE_MORE = 8, MERGE_BYTES = 1024 };
enum { STATUS_LINK_UP = 1 };
enum { CLASS_RX = 0, CLASS_MAC = 1, CLASS_VLAN = 2 };
enum { MAC_TABLE_SET = 0, MAC_ADDR_SET = 1, VLAN_ADD = 0, VLAN_DEL = 1 };
enum { ACK_OK = 0, ACK_ERR = 1 };
/* Of CLASS_RX, by command. */
enum { MODE_PROMISC, MODE_ALLMULTI, MODE_ALLUNI, MODE_NOMULTI, MODE_NOUNI, MODE_NOBCAST, MODES };

struct filters {
    u8 mode[MODES];
    u8 n_uni, n_multi; /* entries of the tables; more than they hold: all pass */
    u8 uni[MAC_TABLE * ETH_ALEN], multi[MAC_TABLE * ETH_ALEN];
    u8 vlan[4096 / 8];
};

struct virtio_net {
    struct virtio_dev v; /* first */
    struct netdev *net;
    u8 first_mac[ETH_ALEN];
    u8 mac[ETH_ALEN];
    u16 mtu; /* the cable's; 0: nothing to tell */
    int merge;
    struct filters f;
    struct virtq_elem req;
    u8 tx_buf[TX_BUF];
    struct virtq_elem rx[]; /* merge of them */
};

static u32 header_size(const struct virtio_net *s)
{
    return virtio_is_legacy(&s->v) && !virtio_has(&s->v, F_MRG_RXBUF) ? HEADER_LEGACY : HEADER;
}

/* A driver that was told an MTU keeps to it, both ways (5.1.4.1, 5.1.4.2). */
static u32 frame_max(const struct virtio_net *s)
{
    return virtio_has(&s->v, F_MTU) ? (u32)s->mtu + NET_FRAME_EXTRA : netdev_frame_max(s->net);
}

/* ---- transmit ------------------------------------------------------------------------------- */
static void send_frame(void *ctx, u8 *frame, u32 len)
{
    struct virtio_net *s = ctx;
    netdev_send(s->net, frame, len);
}

/* Where the TCP header begins is csum_start; all else is found in the packet. */
static bool segment(struct virtio_net *s, u32 len, const u8 *hdr)
{
    struct net_tso t = {
        .l3 = ETH_HLEN, .l4 = ld_u16(hdr + 6), .mss = ld_u16(hdr + 4), .most = frame_max(s)};
    int type = hdr[1] & ~GSO_ECN;
    if (len < ETH_HLEN + 4 || !(hdr[0] & HDR_NEEDS_CSUM) ||
        (type != GSO_TCPV4 && type != GSO_TCPV6))
        return false;
    if (ld_be16(s->tx_buf + 12) == 0x8100)
        t.l3 += 4;
    t.ipv6 = type == GSO_TCPV6;
    if (t.l4 + 20 > len)
        return false;
    t.header = t.l4 + (u32)(s->tx_buf[t.l4 + 12] >> 4) * 4;
    return net_segment(s->tx_buf, len, &t, send_frame, s);
}

static bool transmit(struct virtio_net *s)
{
    u8 hdr[HEADER] = {0};
    u32 hs = header_size(s);
    virtq_read(&s->req, 0, hdr, hs);
    if (s->req.out_len - hs > TX_BUF)
        return false;
    u32 len = (u32)virtq_read(&s->req, hs, s->tx_buf, TX_BUF);
    if (hdr[1] != GSO_NONE)
        return segment(s, len, hdr);
    if (hdr[0] & HDR_NEEDS_CSUM) {
        u32 start = ld_u16(hdr + 6), off = ld_u16(hdr + 8);
        if (!net_checksum(s->tx_buf, len, start, len, start + off, off == 6)) /* UDP's place */
            return false;
    }
    if (len < NET_FRAME_MIN || len > frame_max(s))
        return false;
    send_frame(s, s->tx_buf, len);
    return true;
}

static void serve_tx(struct virtio_net *s)
{
    struct virtqueue *vq = &s->v.vq[TX];
    while (virtq_pop(vq, &s->req)) {
        if (s->req.out_len < header_size(s)) {
            virtio_broken(&s->v, "a packet without its header");
            return;
        }
        if (!transmit(s))
            log_guest("virtio-net: a packet of %llu bytes cannot be sent",
                      (unsigned long long)s->req.out_len);
        virtq_push(vq, &s->req, 0);
    }
    virtq_notify(vq);
}

/* ---- receive -------------------------------------------------------------------------------- */
static bool in_table(const u8 *table, u32 n, const u8 *mac)
{
    if (n > MAC_TABLE)
        return true;
    for (u32 k = 0; k < n; k++)
        if (!memcmp(table + k * ETH_ALEN, mac, ETH_ALEN))
            return true;
    return false;
}

static bool wanted(const struct virtio_net *s, const u8 *frame, u32 len)
{
    static const u8 broadcast[ETH_ALEN] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    const struct filters *f = &s->f;
    if (ld_be16(frame + 12) == 0x8100 && len >= ETH_HLEN + 2 && virtio_has(&s->v, F_CTRL_VLAN)) {
        u32 id = ld_be16(frame + 14) & 0xfff;
        if (!(f->vlan[id / 8] >> (id & 7) & 1))
            return false;
    }
    if (f->mode[MODE_PROMISC])
        return true;
    if (!memcmp(frame, broadcast, ETH_ALEN))
        return !f->mode[MODE_NOBCAST];
    if (frame[0] & 1)
        return !f->mode[MODE_NOMULTI] &&
               (f->mode[MODE_ALLMULTI] || in_table(f->multi, f->n_multi, frame));
    return !f->mode[MODE_NOUNI] && (f->mode[MODE_ALLUNI] || !memcmp(frame, s->mac, ETH_ALEN) ||
                                    in_table(f->uni, f->n_uni, frame));
}

/* Who does not listen loses frames; who has no buffer may get one. */
static bool can_receive(void *ctx)
{
    struct virtio_net *s = ctx;
    struct virtqueue *vq = &s->v.vq[RX];
    if (!virtq_ready(vq) || virtq_pending(vq))
        return true;
    /* empty: this also asks the driver for a kick */
    if (virtq_pop(vq, &s->req)) {
        virtq_unpop(vq);
        return true;
    }
    return !virtq_ready(vq);
}

static void recv(void *ctx, const u8 *frame, size_t len)
{
    struct virtio_net *s = ctx;
    struct virtqueue *vq = &s->v.vq[RX];
    bool merge = virtio_has(&s->v, F_MRG_RXBUF);
    u8 out[HEADER + NET_JUMBO_MAX];
    u32 hs = header_size(s), need = hs + (u32)len, have = 0, at = 0;
    int n = 0;

    if (len < NET_FRAME_MIN || len > frame_max(s) || !wanted(s, frame, (u32)len))
        return;
    while (have < need && n < (merge ? s->merge : 1) && virtq_pop(vq, &s->rx[n])) {
        have += (u32)MIN(s->rx[n].in_len, need - have);
        n++;
    }
    if (have < need) {
        if (n)
            log_guest("virtio-net: receive buffers are too small");
        for (; n; n--)
            virtq_unpop(vq);
        return;
    }
    memset(out, 0, HEADER);
    if (virtio_has(&s->v, F_GUEST_CSUM)) {
        struct net_l4 c = net_check(frame, (u32)len);
        if ((c.tcp || c.udp) && !c.bad_l4)
            out[0] = HDR_DATA_VALID;
    }
    if (hs == HEADER)
        st_u16(out + NUM_BUFFERS, (u16)n);
    memcpy(out + hs, frame, len);
    for (int k = 0; k < n; k++) {
        u32 part = (u32)virtq_write(&s->rx[k], 0, out + at, need - at);
        at += part;
        virtq_push(vq, &s->rx[k], part);
    }
    virtq_notify(vq);
}

/* ---- control -------------------------------------------------------------------------------- */
/* Two tables: a count of 32 bits and addresses. Set together or not at all. */
static u8 set_tables(struct virtio_net *s)
{
    const struct virtq_elem *e = &s->req;
    struct filters f = s->f;
    u64 at = 2;
    for (int k = 0; k < 2; k++) {
        u8 count[4];
        if (virtq_read(e, at, count, 4) != 4)
            return ACK_ERR;
        u64 n = ld_u32(count);
        if (n > (e->out_len - at - 4) / ETH_ALEN)
            return ACK_ERR;
        *(k ? &f.n_multi : &f.n_uni) = (u8)MIN(n, MAC_TABLE + 1);
        virtq_read(e, at + 4, k ? f.multi : f.uni, MIN(n, MAC_TABLE) * ETH_ALEN);
        at += 4 + n * ETH_ALEN;
    }
    s->f = f;
    return ACK_OK;
}

static u8 command(struct virtio_net *s)
{
    const struct virtq_elem *e = &s->req;
    u8 c[2 + ETH_ALEN] = {0};
    size_t n = virtq_read(e, 0, c, sizeof(c));
    switch (c[0]) {
    case CLASS_RX:
        if (n < 3 || c[1] >= MODES)
            return ACK_ERR;
        s->f.mode[c[1]] = c[2] != 0;
        return ACK_OK;
    case CLASS_MAC:
        if (c[1] == MAC_TABLE_SET)
            return set_tables(s);
        if (c[1] != MAC_ADDR_SET || n < sizeof(c))
            return ACK_ERR;
        memcpy(s->mac, c + 2, ETH_ALEN);
        return ACK_OK;
    case CLASS_VLAN:
        if (n < 4 || ld_u16(c + 2) > 4095 || c[1] > VLAN_DEL)
            return ACK_ERR;
        if (c[1] == VLAN_ADD)
            s->f.vlan[ld_u16(c + 2) / 8] |= (u8)BIT(c[2] & 7);
        else
            s->f.vlan[ld_u16(c + 2) / 8] &= (u8)~BIT(c[2] & 7);
        return ACK_OK;
    default:
        return ACK_ERR;
    }
}

static void serve_ctrl(struct virtio_net *s)
{
    struct virtqueue *vq = &s->v.vq[CTRL];
    while (virtq_pop(vq, &s->req)) {
        if (s->req.out_len < 2 || !s->req.in_len) {
            virtio_broken(&s->v, "a command without its class or its place for an answer");
            return;
        }
        u8 ack = command(s);
        virtq_write(&s->req, 0, &ack, 1);
        virtq_push(vq, &s->req, 1);
    }
    virtq_notify(vq);
}

/* ---- the device ------------------------------------------------------------------------------ */
static void net_notify(struct virtio_dev *v, int q)
{
    struct virtio_net *s = (struct virtio_net *)v;
    if (q == RX)
        netdev_resume(s->net);
    else if (q == TX)
        serve_tx(s);
    else
        serve_ctrl(s);
}

static void net_config(struct virtio_dev *v, u8 *cfg)
{
    const struct virtio_net *s = (const struct virtio_net *)v;
    memcpy(cfg, s->mac, ETH_ALEN);
    st_u16(cfg + 6, s->net && !s->net->link_down ? STATUS_LINK_UP : 0);
    st_u16(cfg + 10, s->mtu);
}

/* The address is a legacy driver's to write; others have a command. */
static void net_config_write(struct virtio_dev *v, u32 off, u32 val, int size)
{
    struct virtio_net *s = (struct virtio_net *)v;
    for (int k = 0; virtio_is_legacy(v) && k < size && off + (u32)k < ETH_ALEN; k++)
        s->mac[off + (u32)k] = (u8)(val >> 8 * k);
}

/* Everything passes until the driver says otherwise (5.1.6.5.1: drivers without CTRL_RX never
 * do). */
static void net_reset(struct virtio_dev *v)
{
    struct virtio_net *s = (struct virtio_net *)v;
    memset(&s->f, 0, sizeof(s->f));
    s->f.mode[MODE_PROMISC] = 1;
    memcpy(s->mac, s->first_mac, ETH_ALEN);
}

static void link_changed(void *ctx)
{
    virtio_config_changed(ctx);
}

static bool net_loaded(struct device *d)
{
    struct virtio_net *s = (struct virtio_net *)d;
    s->f.n_uni = MIN(s->f.n_uni, MAC_TABLE + 1);
    s->f.n_multi = MIN(s->f.n_multi, MAC_TABLE + 1);
    return virtio_dev_loaded(d);
}

static void net_destroy(struct device *d)
{
    struct virtio_net *s = (struct virtio_net *)d;
    if (s->net) {
        s->net->can_receive = NULL;
        s->net->recv = NULL;
        s->net->link = NULL;
    }
    free(s);
}

static const struct field net_state[] = {VIRTIO_FIELDS(struct virtio_net, v),
                                         FIELD_BUF(struct virtio_net, mac),
                                         FIELD_BUF(struct virtio_net, f), FIELD_END};

static const struct device_ops net_dev_ops = {
    .name = "virtio-net",
    .reset = virtio_dev_reset,
    .state = net_state,
    .loaded = net_loaded,
    .destroy = net_destroy,
};

static const struct virtio_dev_ops net_ops = {
    .id = VIRTIO_ID_NET,
    .config_size = CONFIG_SIZE,
    .pci_class = 0x020000,
    .config = net_config,
    .config_write = net_config_write,
    .notify = net_notify,
    .reset = net_reset,
};

struct virtio_dev *virtio_net_new(const u8 *mac, struct netdev *net)
{
    static const u8 features[] = {F_CSUM,         F_GUEST_CSUM, F_MAC,       F_HOST_TSO4,
                                  F_HOST_TSO6,    F_HOST_ECN,   F_MRG_RXBUF, F_STATUS,
                                  F_CTRL_VQ,      F_CTRL_RX,    F_CTRL_VLAN, F_CTRL_RX_EXTRA,
                                  F_CTRL_MAC_ADDR};
    u16 mtu = net ? net->mtu : 0;
    int merge = MERGE_MORE + mtu / MERGE_BYTES;
    struct virtio_net *s = calloc(1, sizeof(*s) + (size_t)merge * sizeof(s->rx[0]));
    CHECK(s);
    virtio_init(&s->v, &net_dev_ops, &net_ops, QUEUES, RING);
    for (size_t k = 0; k < ARRAY_LEN(features); k++)
        s->v.offered |= BIT64(features[k]);
    if (mtu)
        s->v.offered |= BIT64(F_MTU);
    s->mtu = mtu;
    s->merge = merge;
    s->net = net;
    memcpy(s->first_mac, mac, ETH_ALEN);
    net_reset(&s->v);
    if (net) {
        net->ctx = s;
        net->can_receive = can_receive;
        net->recv = recv;
        net->link = link_changed;
    }
    return &s->v;
}
