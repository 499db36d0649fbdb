/*
 * devices/e1000.c - Intel 82540EM Gigabit Ethernet controller: registers, interrupts, state.
 *
 * What it is: PCI 8086:100E with memory and I/O registers, EEPROM and PHY (e1000_phy.c), transmit
 * ring with checksum, TCP segmentation and VLAN offload (e1000_tx.c), receive ring with filters
 * (e1000_rx.c), statistics, interrupt throttling. What it is not: wake-up, flow control, flash,
 * manageability, boot ROM; the delay timers (RDTR, RADV, TIDV, TADV) read as written and delay
 * nothing; the link is 1000 Mb/s full duplex as soon as there is a cable; narrow writes to
 * registers are dropped (the manual asks for 32-bit accesses).
 *
 * Invariants: the pin is high only while ICR & IMS; ring indices are checked against the ring's
 * length at each use, never trusted. DMA may be aimed at the card's own registers: work on a ring
 * does not start inside itself (tx_busy, rx_busy).
 *
 * Manual: Intel PCI/PCI-X Family of Gigabit Ethernet Controllers Software Developer's Manual
 * (317453), the "SDM" below: 13 registers, 3 rings, 5 EEPROM, 8 PHY.
 */
#include "devices/e1000.h"
#include "base/log.h"
#include "devices/e1000_priv.h"
#include "devices/net.h"
#include <stdlib.h>

enum { REGION_MEM, REGION_IO };
enum { MEM_SIZE = 128 * 1024, IO_SIZE = 64, BAR_MEM = 0, BAR_IO = 2 };
enum { ITR_UNIT_NS = 256 };

bool e1000_link_up(const struct e1000 *s)
{
    return s->net && !s->net->link_down && (s->ctrl & CTRL_SLU);
}

int e1000_size_class(u32 len)
{
    static const u16 top[] = {64, 127, 255, 511, 1023};
    int k = 0;
    while (k < 5 && len + 4 > top[k])
        k++;
    return k;
}

/* ---- interrupts ----------------------------------------------------------------------------- */
void e1000_update_irq(struct e1000 *s)
{
    bool want = s->icr & s->ims;
    if (want && !s->pci.intx) {
        u64 now = clock_now(s->clk), at = s->last_irq + (u64)s->itr * ITR_UNIT_NS;
        if (now < at) {
            if (!timer_armed(&s->throttle))
                timer_arm(&s->throttle, at);
            return;
        }
        s->last_irq = now;
    }
    if (!want)
        timer_disarm(&s->throttle);
    pci_set_intx(&s->pci, want);
}

void e1000_cause(struct e1000 *s, u32 causes)
{
    s->icr |= causes & ICR_ALL;
    e1000_update_irq(s);
}

static void throttle_over(void *ctx)
{
    e1000_update_irq(ctx);
}

/* ---- registers that are nothing but memory ----------------------------------------------------
 */
struct plain {
    u16 off, member;
    u32 writable;
};
#define PLAIN(off, m, mask)                                                                        \
    {                                                                                              \
        off, offsetof(struct e1000, m), mask                                                       \
    }
static const struct plain plain[] = {
    PLAIN(R_CTRL_EXT, ctrl_ext, 0x00ffffff),
    PLAIN(R_FCAL, fcal, ~0u),
    PLAIN(R_FCAH, fcah, 0xffff),
    PLAIN(R_FCT, fct, 0xffff),
    PLAIN(R_VET, vet, 0xffff),
    PLAIN(R_FCTTV, fcttv, 0xffff),
    PLAIN(R_TXCW, txcw, ~0u),
    PLAIN(R_LEDCTL, ledctl, ~0u),
    PLAIN(R_PBA, pba, 0xffff),
    PLAIN(R_FCRTL, fcrtl, 0x8000fff8),
    PLAIN(R_FCRTH, fcrth, 0xfff8),
    PLAIN(R_WUC, wuc, 0xf),
    PLAIN(R_WUFC, wufc, 0xf00ff),
    PLAIN(R_WUS, wus, 0),
    PLAIN(R_MANC, manc, ~0u),
    PLAIN(R_TIPG, tipg, 0x3fffffff),
    PLAIN(R_AIT, ait, 0xffff),
    PLAIN(R_TXDMAC, txdmac, 1),
    PLAIN(R_TSPMT, tspmt, ~0u),
    PLAIN(R_RSRPD, rsrpd, 0xfff),
    PLAIN(R_ITR, itr, 0xffff),
    PLAIN(R_RDBAL, rdbal, ~0xfu),
    PLAIN(R_RDBAH, rdbah, ~0u),
    PLAIN(R_RDLEN, rdlen, 0xfff80),
    PLAIN(R_RDH, rdh, 0xffff),
    PLAIN(R_RDT, rdt, 0xffff),
    PLAIN(R_RDTR, rdtr, 0xffff),
    PLAIN(R_RADV, radv, 0xffff),
    PLAIN(R_RXDCTL, rxdctl, 0x013f3f3f),
    PLAIN(R_RXCSUM, rxcsum, 0x3ff),
    PLAIN(R_TDBAL, tdbal, ~0xfu),
    PLAIN(R_TDBAH, tdbah, ~0u),
    PLAIN(R_TDLEN, tdlen, 0xfff80),
    PLAIN(R_TDH, tdh, 0xffff),
    PLAIN(R_TDT, tdt, 0xffff),
    PLAIN(R_TIDV, tidv, 0xffff),
    PLAIN(R_TADV, tadv, 0xffff),
    PLAIN(R_TXDCTL, txdctl, 0xff3f3f3f),
    PLAIN(R_RCTL, rctl, 0x07fffffe),
    PLAIN(R_TCTL, tctl, 0x05fffffa),
    PLAIN(R_IMS, ims, 0),
    PLAIN(R_CTRL, ctrl, 0),
    PLAIN(R_MDIC, mdic, 0),
    PLAIN(R_EERD, eerd, 0),
};

static u32 *plain_find(struct e1000 *s, u32 off, u32 *mask)
{
    for (size_t k = 0; k < ARRAY_LEN(plain); k++) {
        if (plain[k].off == off) {
            *mask = plain[k].writable;
            return (u32 *)(void *)((char *)s + plain[k].member);
        }
    }
    return NULL;
}

/* The tables: off is inside [base, base + 4 * n). */
static u32 *table_find(struct e1000 *s, u32 off)
{
    const struct {
        u32 base, n;
        u32 *table;
    } t[] = {
        {R_MTA, E1000_MTA, s->mta}, {R_RA, 2 * E1000_RA, s->ra}, {R_VFTA, E1000_VFTA, s->vfta}};
    for (size_t k = 0; k < ARRAY_LEN(t); k++)
        if (off >= t[k].base && off < t[k].base + 4 * t[k].n)
            return t[k].table + (off - t[k].base) / 4;
    return NULL;
}

/* ---- reset ---------------------------------------------------------------------------------- */
/* What CTRL.RST resets: all but PCI configuration and the EEPROM's contents. */
static void reset_mac(struct e1000 *s)
{
    for (size_t k = 0; k < ARRAY_LEN(plain); k++)
        *(u32 *)(void *)((char *)s + plain[k].member) = 0;
    s->ctrl = CTRL_FD | CTRL_SPEED_1000;
    s->vet = 0x8100;
    s->pba = 0x00100030;
    s->ledctl = 0x07061302;
    s->tipg = 0x00602006;
    s->icr = 0;
    memset(s->mta, 0, sizeof(s->mta));
    memset(s->vfta, 0, sizeof(s->vfta));
    memset(s->ra, 0, sizeof(s->ra));
    memset(s->stat, 0, sizeof(s->stat));
    s->ra[0] = s->eeprom[0] | (u32)s->eeprom[1] << 16;
    s->ra[1] = s->eeprom[2] | BIT(31);
    s->eecd = 0;
    s->ee_bits = s->ee_out = 0;
    s->ee_in = 0;
    s->ee_do = true;
    s->ee_writable = false;
    e1000_tx_reset(s);
    e1000_update_irq(s);
}

static void reset(struct device *d)
{
    struct e1000 *s = (struct e1000 *)d;
    pci_reset(&s->pci);
    s->ioaddr = 0;
    s->last_irq = 0;
    e1000_phy_reset(s);
    reset_mac(s);
}

/* ---- access --------------------------------------------------------------------------------- */
static u32 status(const struct e1000 *s)
{
    return STATUS_FD | STATUS_SPEED_1000 | (e1000_link_up(s) ? STATUS_LU : 0);
}

static u32 stat_read(struct e1000 *s, u32 off, bool peek)
{
    u32 k = (off - R_STATS) / 4, v = s->stat[k];
    /* the low half of a pair waits for its high half to be read */
    bool low = k == STAT_GORC || k == STAT_GOTC || k == STAT_TOR || k == STAT_TOT;
    if (!peek && !low) {
        s->stat[k] = 0;
        if (k == STAT_GORC + 1 || k == STAT_GOTC + 1 || k == STAT_TOR + 1 || k == STAT_TOT + 1)
            s->stat[k - 1] = 0;
    }
    return v;
}

static u32 reg_read(struct e1000 *s, u32 off, bool peek)
{
    u32 mask, v, *p;
    switch (off) {
    case R_STATUS:
        return status(s);
    case R_EECD:
        return e1000_eecd_read(s);
    case R_ICR:
        v = s->icr;
        if (!peek) {
            s->icr = 0;
            e1000_update_irq(s);
        }
        return v;
    default:
        if (off >= R_STATS && off < R_STATS_END)
            return stat_read(s, off, peek);
        p = plain_find(s, off, &mask);
        p = p ? p : table_find(s, off);
        return p ? *p : 0;
    }
}

static void ctrl_write(struct e1000 *s, u32 val)
{
    bool up = e1000_link_up(s);
    if (val & CTRL_PHY_RST)
        e1000_phy_reset(s);
    if (val & CTRL_RST) {
        reset_mac(s);
        return;
    }
    s->ctrl = val & 0x7bffffff & ~(u32)CTRL_RST;
    if (e1000_link_up(s) != up)
        e1000_cause(s, ICR_LSC);
}

static void reg_write(struct e1000 *s, u32 off, u32 val)
{
    u32 mask = 0, *p;
    switch (off) {
    case R_CTRL:
        ctrl_write(s, val);
        return;
    case R_EECD:
        e1000_eecd_write(s, val);
        return;
    case R_EERD:
        e1000_eerd_write(s, val);
        return;
    case R_MDIC:
        e1000_mdic_write(s, val);
        return;
    case R_ICR:
        s->icr &= ~val;
        e1000_update_irq(s);
        return;
    case R_ICS:
        e1000_cause(s, val);
        return;
    case R_IMS:
        s->ims |= val & ICR_ALL;
        e1000_update_irq(s);
        return;
    case R_IMC:
        s->ims &= ~val;
        e1000_update_irq(s);
        return;
    case R_WUS:
        s->wus &= ~val;
        return;
    }
    p = plain_find(s, off, &mask);
    if (p) {
        *p = val & mask;
    } else if ((p = table_find(s, off))) {
        *p = val;
    } else {
        log_guest("e1000: write of %x to unknown register %x", val, off);
        return;
    }
    if (off == R_TDT || off == R_TCTL)
        e1000_tx(s);
    else if (off == R_RDT || off == R_RCTL || (off >= R_RA && off < R_RA + 8 * E1000_RA))
        e1000_rx_resume(s);
    else if (off == R_ITR)
        timer_disarm(&s->throttle), e1000_update_irq(s);
}

static u64 access_read(struct e1000 *s, int region, u64 off, bool peek)
{
    u32 v, reg = (u32)off & ~3u;
    if (region == REGION_MEM)
        v = reg_read(s, reg, peek);
    else if (reg == 0)
        v = s->ioaddr;
    else
        v = reg == 4 ? reg_read(s, s->ioaddr, peek) : 0;
    return v >> (off & 3) * 8;
}

static u64 e1000_read(struct device *d, int region, u64 off, int size)
{
    return access_read((struct e1000 *)d, region, off, false);
}

static u64 e1000_peek(struct device *d, int region, u64 off, int size)
{
    return access_read((struct e1000 *)d, region, off, true);
}

static void e1000_write(struct device *d, int region, u64 off, u64 val, int size)
{
    struct e1000 *s = (struct e1000 *)d;
    if (size != 4 || off & 3)
        log_guest("e1000: write of %d bytes at %x", size, (u32)off);
    else if (region == REGION_MEM)
        reg_write(s, (u32)off, (u32)val);
    else if (off == 0)
        s->ioaddr = (u32)val & (MEM_SIZE - 4);
    else if (off == 4)
        reg_write(s, s->ioaddr, (u32)val);
}

/* ---- state ---------------------------------------------------------------------------------- */
static bool loaded(struct device *d)
{
    struct e1000 *s = (struct e1000 *)d;
    if (!pci_loaded(&s->pci))
        return false;
    s->icr &= ICR_ALL;
    s->ims &= ICR_ALL;
    s->itr &= 0xffff;
    s->ioaddr &= MEM_SIZE - 4;
    s->last_irq = MIN(s->last_irq, clock_now(s->clk));
    s->ee_bits = MIN(s->ee_bits, 25);
    s->ee_out &= 15;
    e1000_tx_loaded(s);
    e1000_update_irq(s);
    return true;
}

static void destroy(struct device *d)
{
    struct e1000 *s = (struct e1000 *)d;
    timer_disarm(&s->throttle);
    timer_disarm(&s->tx_more);
    pci_remove(&s->pci);
    if (s->net) {
        s->net->can_receive = NULL;
        s->net->recv = NULL;
        s->net->link = NULL;
    }
    free(s);
}

#define U(m) FIELD_U(struct e1000, m)
#define A(m) FIELD_A(struct e1000, m)
static const struct field state[] = {PCI_FIELDS(struct e1000, pci),
                                     U(ctrl),
                                     U(ctrl_ext),
                                     U(eecd),
                                     U(eerd),
                                     U(mdic),
                                     U(fcal),
                                     U(fcah),
                                     U(fct),
                                     U(vet),
                                     U(fcttv),
                                     U(txcw),
                                     U(ledctl),
                                     U(pba),
                                     U(fcrtl),
                                     U(fcrth),
                                     U(wuc),
                                     U(wufc),
                                     U(wus),
                                     U(manc),
                                     U(tipg),
                                     U(ait),
                                     U(txdmac),
                                     U(tspmt),
                                     U(rsrpd),
                                     U(icr),
                                     U(ims),
                                     U(itr),
                                     U(rctl),
                                     U(rdbal),
                                     U(rdbah),
                                     U(rdlen),
                                     U(rdh),
                                     U(rdt),
                                     U(rdtr),
                                     U(radv),
                                     U(rxdctl),
                                     U(rxcsum),
                                     U(tctl),
                                     U(tdbal),
                                     U(tdbah),
                                     U(tdlen),
                                     U(tdh),
                                     U(tdt),
                                     U(tidv),
                                     U(tadv),
                                     U(txdctl),
                                     A(mta),
                                     A(vfta),
                                     A(ra),
                                     A(stat),
                                     U(ioaddr),
                                     U(last_irq),
                                     FIELD_T(struct e1000, throttle),
                                     A(eeprom),
                                     U(ee_bits),
                                     U(ee_out),
                                     FIELD_B(struct e1000, ee_do),
                                     FIELD_B(struct e1000, ee_writable),
                                     U(ee_in),
                                     A(phy),
                                     FIELD_BUF(struct e1000, ctx_tso),
                                     FIELD_BUF(struct e1000, ctx_sum),
                                     FIELD_BUF(struct e1000, pkt),
                                     FIELD_BUF(struct e1000, tx_buf),
                                     FIELD_T(struct e1000, tx_more),
                                     FIELD_END};

static const struct device_ops e1000_ops = {
    .name = "e1000",
    .reset = reset,
    .read = e1000_read,
    .write = e1000_write,
    .peek = e1000_peek,
    .state = state,
    .loaded = loaded,
    .destroy = destroy,
};

static void tx_more(void *ctx)
{
    e1000_tx(ctx);
}

struct device *e1000_new(struct device *pci, int devfn, const u8 *mac, struct netdev *net,
                         struct clock *clk)
{
    struct e1000 *s = calloc(1, sizeof(*s));
    CHECK(s);
    pci_init(&s->pci, &e1000_ops,
             &(struct pci_id){.vendor = 0x8086,
                              .device = 0x100e,
                              .revision = 2,
                              .class_code = 0x020000,
                              .subsys_vendor = 0x8086,
                              .subsys = 0x001e,
                              .int_pin = 1});
    pci_bar_io(&s->pci, BAR_MEM, PCI_BAR_MEM, MEM_SIZE, &s->pci.dev, REGION_MEM, 4);
    pci_bar_io(&s->pci, BAR_IO, PCI_BAR_IO, IO_SIZE, &s->pci.dev, REGION_IO, 4);
    s->net = net;
    s->clk = clk;
    memcpy(s->mac, mac, sizeof(s->mac));
    timer_init(&s->throttle, clk, throttle_over, s);
    timer_init(&s->tx_more, clk, tx_more, s);
    e1000_eeprom_init(s);
    pci_add(pci, devfn, &s->pci);
    e1000_rx_attach(s);
    reset(&s->pci.dev);
    return &s->pci.dev;
}
