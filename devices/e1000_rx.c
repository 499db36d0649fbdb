/*
 * devices/e1000_rx.c - the 82540EM's receive side: filters, then the descriptor ring.
 *
 * What it is: unicast, multicast, broadcast and VLAN filters, buffers of 256 to 16384 bytes,
 * receive checksums, tag stripping. What it is not: header split, long packets (the cable carries
 * none), small-packet interrupts. The frame check sequence that is stored unless RCTL.SECRC says
 * otherwise is zero.
 *
 * Invariant: a frame is stored whole or not at all: can_receive() says no until its worst case
 * fits; a ring in which it never can is a ring that loses frames.
 *
 * Manual: SDM 3.2 (receive), 13.4.22 RCTL, 13.5 filters (MTA 13.5.1, RAL/RAH 13.5.2-3, VFTA).
 */
#include "base/log.h"
#include "devices/e1000_priv.h"
#include "devices/net.h"

enum {
    ST_DD = 0x01,
    ST_EOP = 0x02,
    ST_IXSM = 0x04,
    ST_VP = 0x08,
    ST_TCPCS = 0x20,
    ST_IPCS = 0x40,
    ST_PIF = 0x80,
    ERR_TCPE = 0x20,
    ERR_IPE = 0x40,
};
enum { FRAME_LEAST = 60, FCS = 4, WORST = NET_FRAME_MAX + FCS };

static u32 buffer_size(const struct e1000 *s)
{
    u32 shift = s->rctl >> 16 & 3;
    if (s->rctl & RCTL_BSEX)
        return shift ? 32768u >> shift : 2048; /* 0 is reserved */
    return 2048u >> shift;
}

static bool ring_ok(const struct e1000 *s)
{
    u32 n = s->rdlen / 16;
    return s->rdh < n && s->rdt < n && (u64)(n - 1) * buffer_size(s) >= WORST &&
           (pci_command(&s->pci) & PCI_CMD_MASTER);
}

static u32 free_descriptors(const struct e1000 *s)
{
    u32 n = s->rdlen / 16;
    return s->rdt >= s->rdh ? s->rdt - s->rdh : s->rdt + n - s->rdh;
}

/* What is not running takes everything and loses it. */
static bool can_receive(void *ctx)
{
    struct e1000 *s = ctx;
    if (s->rx_busy)
        return false;
    if (!(s->rctl & RCTL_EN) || !e1000_link_up(s) || !ring_ok(s))
        return true;
    return (u64)free_descriptors(s) * buffer_size(s) >= WORST;
}

/* ---- filters -------------------------------------------------------------------------------- */
enum { DROP, EXACT, INEXACT };

static int filter_address(const struct e1000 *s, const u8 *a)
{
    static const u8 shift[4] = {4, 3, 2, 0};
    bool multicast = a[0] & 1;
    u32 low = ld_u32(a), high = ld_u16(a + 4);
    bool broadcast = low == ~0u && high == 0xffff;

    for (int k = 0; k < E1000_RA; k++)
        if ((s->ra[2 * k + 1] & BIT(31)) && s->ra[2 * k] == low &&
            (s->ra[2 * k + 1] & 0xffff) == high)
            return EXACT;
    if (broadcast && (s->rctl & RCTL_BAM))
        return EXACT;
    if (s->rctl & (multicast ? RCTL_MPE : RCTL_UPE))
        return INEXACT;
    if (multicast) {
        u32 hash = high >> shift[s->rctl >> 12 & 3] & 0xfff;
        if (s->mta[hash >> 5] >> (hash & 31) & 1)
            return INEXACT;
    }
    return DROP;
}

static bool filter_vlan(const struct e1000 *s, u16 tag)
{
    u32 id = tag & 0xfff;
    if (!(s->rctl & RCTL_VFE))
        return true;
    if ((s->rctl & RCTL_CFIEN) && (tag >> 12 & 1) != (s->rctl & RCTL_CFI ? 1 : 0))
        return false;
    return s->vfta[id >> 5] >> (id & 31) & 1;
}

/* ---- the ring ------------------------------------------------------------------------------- */
struct rx_info {
    u8 status, errors;
    u16 sum, vlan;
};

static void checksums(const struct e1000 *s, const u8 *frame, u32 len, struct rx_info *r)
{
    u32 start = s->rxcsum & 0xff;
    if (start < len)
        r->sum = net_sum(frame + start, len - start);
    if (!(s->rxcsum & (RXCSUM_IPOFL | RXCSUM_TUOFL))) {
        r->status |= ST_IXSM;
        return;
    }
    struct net_l4 c = net_check(frame, len);
    if ((s->rxcsum & RXCSUM_IPOFL) && c.ipv4) {
        r->status |= ST_IPCS;
        r->errors |= c.bad_ip ? ERR_IPE : 0;
    }
    if ((s->rxcsum & RXCSUM_TUOFL) && (c.tcp || c.udp)) {
        r->status |= ST_TCPCS;
        r->errors |= c.bad_l4 ? ERR_TCPE : 0;
    }
    if (!(r->status & (ST_IPCS | ST_TCPCS)))
        r->status |= ST_IXSM;
}

/* The ring has room for all of it. Re-reads head and ring each time: what is written may be the
 * card's own registers. */
static void store(struct e1000 *s, const u8 *data, u32 len, const struct rx_info *r)
{
    u32 done = 0;
    for (u32 k = 0; done < len && k <= WORST / 256 && ring_ok(s) && s->rdh != s->rdt; k++) {
        u64 at = ((u64)s->rdbah << 32 | s->rdbal) + (u64)s->rdh * 16;
        u32 n = MIN(len - done, buffer_size(s));
        u8 d[16];
        if (!pci_dma_read(&s->pci, at, d, sizeof(d)))
            return;
        u64 addr = ld_u64(d);
        if (addr)
            pci_dma_write(&s->pci, addr, data + done, n);
        else
            log_guest("e1000: receive descriptor without a buffer");
        done += n;
        bool last = done == len;
        st_u16(d + 8, (u16)n);
        st_u16(d + 10, last ? r->sum : 0);
        d[12] = (u8)(ST_DD | (last ? ST_EOP | r->status : 0));
        d[13] = last ? r->errors : 0;
        st_u16(d + 14, last ? r->vlan : 0);
        pci_dma_write(&s->pci, at + 8, d + 8, 8);
        s->rdh = s->rdh + 1 < s->rdlen / 16 ? s->rdh + 1 : 0;
    }
}

void e1000_rx_frame(struct e1000 *s, const u8 *frame, u32 len)
{
    u8 buf[WORST];
    struct rx_info r = {0};

    if (!(s->rctl & RCTL_EN) || len < NET_FRAME_MIN || len > NET_FRAME_MAX || s->rx_busy)
        return;
    e1000_count(s, STAT_TPR, 1);
    e1000_count64(s, STAT_TOR, MAX(len, FRAME_LEAST) + FCS);
    int match = filter_address(s, frame);
    bool tagged = s->vet && ld_be16(frame + 12) == s->vet && len >= ETH_HLEN + 4;
    if (match == DROP || (tagged && !filter_vlan(s, ld_be16(frame + 14))))
        return;
    if (!ring_ok(s) || (u64)free_descriptors(s) * buffer_size(s) < WORST) {
        e1000_count(s, STAT_MPC, 1);
        e1000_count(s, STAT_RNBC, 1);
        e1000_cause(s, ICR_RXO);
        return;
    }
    if (match == INEXACT)
        r.status |= ST_PIF;
    checksums(s, frame, len, &r);
    if (tagged && (s->ctrl & CTRL_VME)) {
        r.status |= ST_VP;
        r.vlan = ld_be16(frame + 14);
        memcpy(buf, frame, 12);
        memcpy(buf + 12, frame + 16, len - 16);
        len -= 4;
    } else {
        memcpy(buf, frame, len);
    }
    if (!memcmp(frame, "\xff\xff\xff\xff\xff\xff", ETH_ALEN))
        e1000_count(s, STAT_BPRC, 1);
    else if (frame[0] & 1)
        e1000_count(s, STAT_MPRC, 1);
    if (len < FRAME_LEAST) {
        memset(buf + len, 0, FRAME_LEAST - len);
        len = FRAME_LEAST;
    }
    e1000_count(s, STAT_GPRC, 1);
    e1000_count(s, STAT_PRC64 + e1000_size_class(len), 1);
    e1000_count64(s, STAT_GORC, len + FCS);
    if (!(s->rctl & RCTL_SECRC)) {
        memset(buf + len, 0, FCS);
        len += FCS;
    }
    s->rx_busy = true;
    store(s, buf, len, &r);
    s->rx_busy = false;
    bool low = free_descriptors(s) <= s->rdlen / 16 >> ((s->rctl >> 8 & 3) + 1);
    e1000_cause(s, ICR_RXT0 | (low ? ICR_RXDMT0 : 0));
}

/* ---- the cable ------------------------------------------------------------------------------ */
static void recv(void *ctx, const u8 *frame, size_t len)
{
    struct e1000 *s = ctx;
    if (e1000_link_up(s))
        e1000_rx_frame(s, frame, (u32)len);
}

static void link_changed(void *ctx)
{
    e1000_cause(ctx, ICR_LSC);
}

void e1000_rx_attach(struct e1000 *s)
{
    if (!s->net)
        return;
    s->net->ctx = s;
    s->net->can_receive = can_receive;
    s->net->recv = recv;
    s->net->link = link_changed;
}

void e1000_rx_resume(struct e1000 *s)
{
    if (!s->rx_busy && !s->tx_busy && (s->rctl & RCTL_EN))
        netdev_resume(s->net);
}
