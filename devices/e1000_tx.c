/*
 * devices/e1000_tx.c - the 82540EM's transmit ring: from descriptors to frames on the cable.
 *
 * What it is: legacy, context and data descriptors; checksum insertion, TCP segmentation, VLAN
 * tags; loopback. What it is not: UDP segmentation, padding of short frames, transmit thresholds.
 *
 * Invariants: pkt.len <= E1000_TX_BUF. One call serves at most BUDGET descriptors and
 * FRAME_BUDGET frames (and the packet in which the latter ran out), the rest comes from a timer, so
 * that input and other timers get their turn. Head and tail are compared with the ring's length
 * before each descriptor.
 *
 * Manual: SDM 3.3 (descriptors), 3.4 (ring), 3.5 (segmentation), 3.6 (checksums), 9 (VLAN).
 */
#include "base/log.h"
#include "devices/e1000_priv.h"
#include "devices/net.h"

enum { BUDGET = 512, FRAME_BUDGET = 512, PAUSE_NS = 20000 };
/* What is not RAM is read a word at a time: so many bytes are as dear as a frame. */
enum { SLOW_BYTES = 64 };
enum {
    CMD_EOP = 0x01,
    CMD_IC = 0x04,  /* legacy: insert checksum */
    CMD_TSE = 0x04, /* data: segment */
    CMD_RS = 0x08,
    CMD_RPS = 0x10,
    CMD_DEXT = 0x20,
    CMD_VLE = 0x40,
    STA_DD = 0x01,
    DTYP_CONTEXT = 0,
    DTYP_DATA = 1,
    POPTS_IXSM = 0x01,
    POPTS_TXSM = 0x02,
    TUCMD_TCP = 0x01,
    TUCMD_IP = 0x02,
    TUCMD_TSE = 0x04,
};
enum { PHY_CTRL_LOOPBACK = 0x4000 };

struct tx_run {
    struct e1000 *s;
    u32 frames; /* and what is as dear */
};

void e1000_tx_reset(struct e1000 *s)
{
    memset(&s->ctx_tso, 0, sizeof(s->ctx_tso));
    memset(&s->ctx_sum, 0, sizeof(s->ctx_sum));
    memset(&s->pkt, 0, sizeof(s->pkt));
    timer_disarm(&s->tx_more);
}

void e1000_tx_loaded(struct e1000 *s)
{
    s->pkt.len = MIN(s->pkt.len, (u32)E1000_TX_BUF);
}

/* ---- frames --------------------------------------------------------------------------------- */
static void send_frame(void *ctx, u8 *frame, u32 len)
{
    struct tx_run *run = ctx;
    struct e1000 *s = run->s;
    u8 tagged[NET_FRAME_MAX];

    run->frames++;
    if (s->pkt.vle && (s->ctrl & CTRL_VME) && len >= ETH_HLEN && len + 4 <= NET_FRAME_MAX) {
        memcpy(tagged, frame, 12);
        st_be16(tagged + 12, (u16)s->vet);
        st_be16(tagged + 14, s->pkt.vlan);
        memcpy(tagged + 16, frame + 12, len - 12);
        frame = tagged;
        len += 4;
    }
    if (len < NET_FRAME_MIN || len > NET_FRAME_MAX) {
        log_guest("e1000: frame of %u bytes to send", len);
        return;
    }
    static const u8 broadcast[ETH_ALEN] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    if (!memcmp(frame, broadcast, ETH_ALEN))
        e1000_count(s, STAT_BPTC, 1);
    else if (frame[0] & 1)
        e1000_count(s, STAT_MPTC, 1);
    e1000_count(s, STAT_GPTC, 1);
    e1000_count(s, STAT_TPT, 1);
    e1000_count(s, STAT_PTC64 + e1000_size_class(len), 1);
    e1000_count64(s, STAT_GOTC, len + 4);
    e1000_count64(s, STAT_TOT, len + 4);
    if ((s->phy[0] & PHY_CTRL_LOOPBACK) || (s->rctl >> 6 & 3) == 3)
        e1000_rx_frame(s, frame, len);
    else if (e1000_link_up(s))
        netdev_send(s->net, frame, len);
}

static void sum(struct e1000 *s, u32 start, u32 last, u32 at, bool udp)
{
    u32 end = last ? MIN(last + 1, s->pkt.len) : s->pkt.len;
    if (!net_checksum(s->tx_buf, s->pkt.len, start, end, at, udp))
        log_guest("e1000: checksum of [%u, %u) at %u in %u bytes", start, end, at, s->pkt.len);
}

static void finish_packet(struct tx_run *run)
{
    struct e1000 *s = run->s;
    const struct e1000_ctx *c;
    if (s->pkt.bad) {
        log_guest("e1000: packet of more than %u bytes to send", E1000_TX_BUF);
    } else if (s->pkt.tse) {
        c = &s->ctx_tso;
        struct net_tso t = {.ipv6 = !(c->tucmd & TUCMD_IP),
                            .l3 = c->ipcss,
                            .l4 = c->tucss,
                            .header = c->hdrlen,
                            .mss = c->mss};
        e1000_count(s, STAT_TSCTC, 1);
        if (!(c->tucmd & TUCMD_TCP) || !net_segment(s->tx_buf, s->pkt.len, &t, send_frame, run))
            log_guest("e1000: packet of %u bytes that cannot be segmented", s->pkt.len);
    } else {
        c = &s->ctx_sum;
        if (s->pkt.popts & POPTS_IXSM)
            sum(s, c->ipcss, c->ipcse, c->ipcso, false);
        if (s->pkt.popts & POPTS_TXSM)
            sum(s, c->tucss, c->tucse, c->tucso, !(c->tucmd & TUCMD_TCP));
        if (s->pkt.ic)
            sum(s, s->pkt.css, 0, s->pkt.cso, false);
        send_frame(run, s->tx_buf, s->pkt.len);
    }
    memset(&s->pkt, 0, sizeof(s->pkt));
}

/* ---- descriptors ---------------------------------------------------------------------------- */
static void gather(struct tx_run *run, u64 addr, u32 len)
{
    struct e1000 *s = run->s;
    struct ram *ram;
    u64 off;
    u32 at = s->pkt.len;
    if (s->pkt.bad || len > E1000_TX_BUF - at) {
        s->pkt.bad = 1;
        return;
    }
    if (!len)
        return;
    hva p = pci_dma_ptr(&s->pci, addr, len, &ram, &off);
    if (p) {
        memcpy(s->tx_buf + at, p, len);
    } else {
        run->frames += len / SLOW_BYTES;
        if (!pci_dma_read(&s->pci, addr, s->tx_buf + at, len))
            s->pkt.bad = 1;
    }
    /* the read may have reached our own registers and reset us */
    s->pkt.len = at + len;
}

static void context(struct e1000 *s, const u8 *d)
{
    struct e1000_ctx *c = d[11] & TUCMD_TSE ? &s->ctx_tso : &s->ctx_sum;
    *c = (struct e1000_ctx){.ipcss = d[0],
                            .ipcso = d[1],
                            .ipcse = ld_u16(d + 2),
                            .tucss = d[4],
                            .tucso = d[5],
                            .tucse = ld_u16(d + 6),
                            .paylen = ld_u32(d + 8) & 0xfffff,
                            .tucmd = d[11],
                            .hdrlen = d[13],
                            .mss = ld_u16(d + 14)};
}

static void descriptor(struct tx_run *run, const u8 *d)
{
    struct e1000 *s = run->s;
    u64 addr = ld_u64(d);
    u32 word = ld_u32(d + 8);
    u8 cmd = d[11];

    if (!(cmd & CMD_DEXT)) {
        gather(run, addr, word & 0xffff);
        s->pkt.ic = (cmd & CMD_IC) != 0;
        s->pkt.cso = d[10];
        s->pkt.css = d[13];
    } else if ((word >> 20 & 15) == DTYP_CONTEXT) {
        context(s, d);
        return;
    } else if ((word >> 20 & 15) == DTYP_DATA) {
        if (!s->pkt.open) {
            s->pkt.popts = d[13];
            s->pkt.tse = (cmd & CMD_TSE) != 0;
        }
        gather(run, addr, word & 0xfffff);
    } else {
        log_guest("e1000: transmit descriptor of type %u", word >> 20 & 15);
        return;
    }
    s->pkt.open = 1;
    if (!(cmd & CMD_EOP))
        return;
    s->pkt.vle = (cmd & CMD_VLE) != 0;
    s->pkt.vlan = ld_u16(d + 14);
    finish_packet(run);
}

/* There is a descriptor to serve, and where. */
static bool waiting(const struct e1000 *s, u64 *at)
{
    u32 n = s->tdlen / 16;
    if (!(s->tctl & TCTL_EN) || s->tdh >= n || s->tdt >= n || s->tdh == s->tdt)
        return false;
    *at = ((u64)s->tdbah << 32 | s->tdbal) + (u64)s->tdh * 16;
    return true;
}

void e1000_tx(struct e1000 *s)
{
    struct tx_run run = {.s = s};
    u32 served = 0, causes = 0;
    u64 at;
    u8 d[16];

    if (s->tx_busy)
        return;
    s->tx_busy = true;
    while (served < BUDGET && run.frames < FRAME_BUDGET && waiting(s, &at)) {
        if (!pci_dma_read(&s->pci, at, d, sizeof(d)))
            break;
        served++;
        descriptor(&run, d);
        if (d[11] & (CMD_RS | CMD_RPS)) {
            u8 sta = (u8)(d[12] | STA_DD);
            pci_dma_write(&s->pci, at + 12, &sta, 1);
            causes |= ICR_TXDW;
        }
        /* what was moved may have changed the ring: to the next place of what it is now */
        s->tdh = s->tdh + 1 < s->tdlen / 16 ? s->tdh + 1 : 0;
    }
    s->tx_busy = false;
    if (waiting(s, &at) && served && (pci_command(&s->pci) & PCI_CMD_MASTER))
        timer_arm(&s->tx_more, clock_now(s->clk) + PAUSE_NS);
    else if (served)
        causes |= ICR_TXQE;
    if (causes)
        e1000_cause(s, causes);
}
