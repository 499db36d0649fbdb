/*
 * tests/devices/test_e1000.c - the 82540EM: EEPROM and PHY as drivers ask for them, both rings,
 * offloads, filters, interrupts and their throttle, state, and rings that make no sense.
 */
#include "tests/devices/net_rig.h"
#include "devices/e1000.h"
#include "devices/e1000_priv.h"

enum { DEVFN = PCI_DEVFN(3, 0), BAR = 0xf0000000, IO = 0xc100 };
enum { TXR = 0x1000, RXR = 0x4000, TXB = 0x10000, RXB = 0x40000, RING = 64 };
enum { EOP = 1, IFCS = 2, IC = 4, TSE = 4, RS = 8, DEXT = 0x20, VLE = 0x40 };

struct t {
    struct pci_rig p;
    struct cable cable;
    struct device *d;
};

static struct t *setup(void)
{
    struct t *t = calloc(1, sizeof(*t));
    pci_rig_init(&t->p, true);
    cable_init(&t->cable);
    t->d = e1000_new(t->p.bus, DEVFN, test_mac, &t->cable.net, t->p.r.clk);
    cfg_write(&t->p, DEVFN, 0x10, BAR, 4);
    cfg_write(&t->p, DEVFN, 0x18, IO, 4);
    cfg_write(&t->p, DEVFN, 4, 7, 2);
    return t;
}

static void teardown(struct t *t)
{
    device_destroy(t->d);
    cr_expect(!t->cable.net.recv && !t->cable.net.can_receive);
    cr_expect_eq(t->cable.bad, 0);
    pci_rig_fini(&t->p);
    free(t);
}

static u32 rd(struct t *t, u32 reg)
{
    return (u32)space_read(t->p.mem, BAR + reg, 4);
}
static void wr(struct t *t, u32 reg, u32 val)
{
    space_write(t->p.mem, BAR + reg, val, 4);
}
static u8 *ram(struct t *t, u32 at)
{
    return t->p.ram->base + at;
}
static bool pin(struct t *t)
{
    return t->p.pirq[2].level; /* slot 3, INTA */
}

/* As a driver: link up, both rings. */
static void start(struct t *t)
{
    wr(t, R_CTRL, rd(t, R_CTRL) | CTRL_SLU);
    wr(t, R_TDBAL, TXR);
    wr(t, R_TDLEN, RING * 16);
    wr(t, R_TCTL, TCTL_EN | TCTL_PSP);
    wr(t, R_RDBAL, RXR);
    wr(t, R_RDLEN, RING * 16);
    for (u32 k = 0; k < RING; k++)
        st_u64(ram(t, RXR + k * 16), RXB + k * 2048);
    wr(t, R_RDT, RING - 1);
    wr(t, R_RCTL, RCTL_EN | RCTL_BAM | RCTL_SECRC);
    rd(t, R_ICR);
}

static void desc(struct t *t, u32 k, u64 addr, u32 low, u32 high)
{
    u8 *d = ram(t, TXR + k * 16);
    st_u64(d, addr);
    st_u32(d + 8, low);
    st_u32(d + 12, high);
}

Test(e1000, eeprom_by_four_wires)
{
    struct t *t = setup();
    u16 sum = 0, words[64];
    wr(t, R_EECD, 0x40);
    cr_expect_eq(rd(t, R_EECD) & 0x1c0, 0x1c0); /* asked, granted, there */
    for (u32 w = 0; w < 64; w++) {
        u32 cmd = 6u << 6 | w;
        wr(t, R_EECD, 0x42);
        for (int b = 8; b >= 0; b--) {
            u32 di = cmd >> b & 1 ? 4 : 0;
            wr(t, R_EECD, 0x42 | di);
            wr(t, R_EECD, 0x43 | di);
            wr(t, R_EECD, 0x42 | di);
        }
        cr_expect_eq(rd(t, R_EECD) & 8, 0); /* the dummy bit */
        words[w] = 0;
        for (int b = 0; b < 16; b++) {
            wr(t, R_EECD, 0x43);
            words[w] = (u16)(words[w] << 1 | (rd(t, R_EECD) >> 3 & 1));
            wr(t, R_EECD, 0x42);
        }
        wr(t, R_EECD, 0x40);
        sum = (u16)(sum + words[w]);
        wr(t, R_EERD, w << 8 | 1);
        cr_expect_eq(rd(t, R_EERD), (u32)words[w] << 16 | w << 8 | 0x10);
    }
    cr_expect_eq(sum, 0xbaba);
    cr_expect_arr_eq(words, test_mac, 6);
    cr_expect_eq(words[0xd], 0x100e);
    cr_expect_eq(rd(t, R_RA), ld_u32(test_mac));
    cr_expect_eq(rd(t, R_RA + 4), 0x80000000u | ld_u16(test_mac + 4));
    teardown(t);
}

static void microwire(struct t *t, u32 bits, int n)
{
    wr(t, R_EECD, 0x42);
    for (int b = n - 1; b >= 0; b--) {
        u32 di = bits >> b & 1 ? 4 : 0;
        wr(t, R_EECD, 0x42 | di);
        wr(t, R_EECD, 0x43 | di);
        wr(t, R_EECD, 0x42 | di);
    }
    wr(t, R_EECD, 0x40);
}

Test(e1000, eeprom_is_written_when_enabled)
{
    struct t *t = setup();
    microwire(t, 5u << 22 | 5 << 16 | 0x1234, 25);
    wr(t, R_EERD, 5 << 8 | 1);
    cr_expect_eq(rd(t, R_EERD) >> 16, 0xffff);
    microwire(t, 4u << 6 | 0x30, 9); /* EWEN */
    microwire(t, 5u << 22 | 5 << 16 | 0x1234, 25);
    wr(t, R_EERD, 5 << 8 | 1);
    cr_expect_eq(rd(t, R_EERD) >> 16, 0x1234);
    device_reset(t->d);
    cfg_write(&t->p, DEVFN, 0x10, BAR, 4);
    cfg_write(&t->p, DEVFN, 4, 7, 2);
    wr(t, R_EERD, 5 << 8 | 1);
    cr_expect_eq(rd(t, R_EERD) >> 16, 0x1234);
    teardown(t);
}

static u32 phy(struct t *t, u32 reg)
{
    wr(t, R_MDIC, 2u << 26 | 1 << 21 | reg << 16);
    u32 v = rd(t, R_MDIC);
    cr_expect(v >> 28 & 1);
    return v & 0x4000ffff;
}

Test(e1000, phy_and_link)
{
    struct t *t = setup();
    cr_expect_eq(phy(t, 2), 0x0141);
    cr_expect_eq(phy(t, 3) & 0xfff0, 0x0c20);
    cr_expect_eq(phy(t, 1) & 0x24, 0x24);
    cr_expect_eq(phy(t, 17) & 0xac00, 0xac00);
    wr(t, R_MDIC, 2u << 26 | 2 << 21);
    cr_expect(rd(t, R_MDIC) >> 30 & 1); /* no PHY at 2 */
    cr_expect_eq(rd(t, R_STATUS) & 0xc3, 0x81);
    wr(t, R_IMS, ICR_LSC);
    wr(t, R_CTRL, rd(t, R_CTRL) | CTRL_SLU);
    cr_expect_eq(rd(t, R_STATUS) & 2, 2);
    cr_expect(pin(t));
    cr_expect_eq(rd(t, R_ICR), ICR_LSC);
    cr_expect(!pin(t));
    t->cable.net.link_down = true;
    t->cable.net.link(t->cable.net.ctx);
    cr_expect(pin(t) && !(rd(t, R_STATUS) & 2) && !(phy(t, 1) & 0x24));
    teardown(t);
}

Test(e1000, io_window_and_odd_accesses)
{
    struct t *t = setup();
    space_write(t->p.r.ports, IO, R_VET, 4);
    cr_expect_eq(space_read(t->p.r.ports, IO + 4, 4), 0x8100);
    space_write(t->p.r.ports, IO + 4, 0x9100, 4);
    cr_expect_eq(rd(t, R_VET), 0x9100);
    cr_expect_eq(space_read(t->p.mem, BAR + R_VET + 1, 1), 0x91);
    space_write(t->p.mem, BAR + R_VET, 0, 2); /* dropped */
    cr_expect_eq(rd(t, R_VET), 0x9100);
    space_write(t->p.r.ports, IO, 0xffffffff, 4);
    cr_expect_eq(space_read(t->p.r.ports, IO, 4), 0x1fffc);
    space_read(t->p.r.ports, IO + 4, 4);
    teardown(t);
}

Test(e1000, sends_legacy_frames)
{
    struct t *t = setup();
    start(t);
    wr(t, R_IMS, ICR_TXDW);
    for (u32 k = 0; k < 100; k++)
        *ram(t, TXB + k) = (u8)k;
    desc(t, 0, TXB, 60 | EOP << 24, 0);
    desc(t, 1, TXB, 30, 0); /* in two parts, the checksum from 10 put at 40 */
    desc(t, 2, TXB + 30, 70 | 40 << 16 | (u32)(EOP | IC | RS) << 24, 10 << 8);
    wr(t, R_TDT, 3);
    cr_assert_eq(t->cable.sent, 2);
    cr_expect_eq(t->cable.kept[0].len, 60);
    cr_expect_arr_eq(t->cable.kept[0].data, ram(t, TXB), 60);
    cr_expect_eq(t->cable.kept[1].len, 100);
    u8 want[100];
    memcpy(want, ram(t, TXB), 100);
    net_checksum(want, 100, 10, 100, 40, false);
    cr_expect_arr_eq(t->cable.kept[1].data, want, 100);
    cr_expect_eq(*ram(t, TXR + 12) & 1, 0);
    cr_expect_eq(*ram(t, TXR + 44) & 1, 1); /* RS: done */
    cr_expect_eq(rd(t, R_TDH), 3);
    cr_expect(pin(t));
    cr_expect_eq(rd(t, R_ICR) & (ICR_TXDW | ICR_TXQE), ICR_TXDW | ICR_TXQE);
    cr_expect_eq(rd(t, 0x4080), 2); /* GPTC, and reading clears */
    cr_expect_eq(rd(t, 0x4080), 0);
    cr_expect_eq(rd(t, 0x4090), 168); /* GOTC, with check sequences */
    cr_expect_eq(rd(t, 0x4090), 168); /* the low half stays ... */
    cr_expect_eq(rd(t, 0x4094), 0);   /* ... until the high one is read */
    cr_expect_eq(rd(t, 0x4090), 0);
    teardown(t);
}

/* A context at k. */
static void context(struct t *t, u32 k, const struct net_tso *n, u32 len, bool tse)
{
    u8 *d = ram(t, TXR + k * 16);
    d[0] = (u8)n->l3;
    d[1] = (u8)(n->l3 + 10);
    st_u16(d + 2, (u16)(n->l4 - 1));
    d[4] = (u8)n->l4;
    d[5] = (u8)(n->l4 + 16);
    st_u16(d + 6, 0);
    st_u32(d + 8, (len - n->header) | (u32)(DEXT | 1 | (n->ipv6 ? 0 : 2) | (tse ? 4 : 0)) << 24);
    d[12] = 0;
    d[13] = (u8)n->header;
    st_u16(d + 14, (u16)n->mss);
}

Test(e1000, inserts_checksums)
{
    struct t *t = setup();
    struct net_tso n;
    u8 want[1600];
    start(t);
    u32 len = make_tcp(want, false, 500, 0x10, &n);
    memcpy(ram(t, TXB), want, len);
    st_be16(ram(t, TXB + 24), 0);
    st_be16(ram(t, TXB + n.l4 + 16), net_pseudo_sum(want + 14, false, 6, len - n.l4));
    context(t, 0, &n, len, false);
    desc(t, 1, TXB, 20 | 1 << 20 | (u32)DEXT << 24, 3 << 8);
    desc(t, 2, TXB + 20, (len - 20) | 1 << 20 | (u32)(EOP | DEXT | RS) << 24, 0);
    wr(t, R_TDT, 3);
    cr_assert_eq(t->cable.sent, 1);
    cr_expect_eq(t->cable.kept[0].len, len);
    cr_expect_arr_eq(t->cable.kept[0].data, want, len);
    teardown(t);
}

Test(e1000, segments)
{
    struct t *t = setup();
    for (int v6 = 0; v6 < 2; v6++) {
        struct net_tso n;
        start(t);
        t->cable.sent = 0;
        u32 len = make_tcp(ram(t, TXB), v6, 30500, 0x18, &n), at = rd(t, R_TDH);
        context(t, at, &n, len, true);
        desc(t, at + 1, TXB, n.header | 1 << 20 | (u32)(DEXT | TSE) << 24, 3 << 8);
        desc(t, at + 2, TXB + n.header, 16384 | 1 << 20 | (u32)(DEXT | TSE) << 24, 0);
        desc(t, at + 3, TXB + n.header + 16384,
             (len - n.header - 16384) | 1 << 20 | (u32)(EOP | DEXT | TSE | RS) << 24, 0);
        wr(t, R_TDT, at + 4);
        cr_assert_eq(t->cable.sent, 31);
        for (u32 k = 0; k < 31; k++) {
            struct net_l4 r = net_check(t->cable.kept[k].data, t->cable.kept[k].len);
            cr_expect(r.tcp && !r.bad_l4 && !r.bad_ip);
            cr_expect_eq(t->cable.kept[k].len, k == 30 ? n.header + 500 : n.header + 1000);
            cr_expect_eq(t->cable.kept[k].data[n.l4 + 13], k == 30 ? 0x18 : 0x10);
        }
        cr_expect_eq(rd(t, 0x40f8), 1); /* TSCTC */
    }
    teardown(t);
}

Test(e1000, tags_and_strips)
{
    struct t *t = setup();
    start(t);
    wr(t, R_CTRL, rd(t, R_CTRL) | CTRL_VME);
    for (u32 k = 0; k < 60; k++)
        *ram(t, TXB + k) = (u8)k;
    desc(t, 0, TXB, 60 | (u32)(EOP | VLE) << 24, 0x2123u << 16);
    wr(t, R_TDT, 1);
    const u8 *f = t->cable.kept[0].data;
    cr_expect_eq(t->cable.kept[0].len, 64);
    cr_expect(ld_be16(f + 12) == 0x8100 && ld_be16(f + 14) == 0x2123 && f[16] == 12);
    u8 back[64];
    memcpy(back, f, 64);
    memcpy(back, test_mac, 6);
    t->cable.net.recv(t->cable.net.ctx, back, 64);
    const u8 *d = ram(t, RXR);
    cr_expect_eq(d[12] & 0x0b, 0x0b); /* DD, EOP, VP */
    cr_expect_eq(ld_u16(d + 14), 0x2123);
    cr_expect_eq(ld_u16(d + 8), 60);
    cr_expect_eq(*ram(t, RXB + 12), 12);
    wr(t, R_RCTL, rd(t, R_RCTL) | RCTL_VFE); /* no VLAN is let through */
    t->cable.net.recv(t->cable.net.ctx, back, 64);
    cr_expect_eq(rd(t, R_RDH), 1);
    wr(t, R_VFTA + 4 * (0x123 / 32), 1u << (0x123 % 32));
    t->cable.net.recv(t->cable.net.ctx, back, 64);
    cr_expect_eq(rd(t, R_RDH), 2);
    teardown(t);
}

static bool gets(struct t *t, const u8 *dest, u32 len)
{
    u8 f[NET_FRAME_MAX] = {0};
    u32 before = rd(t, R_RDH);
    memcpy(f, dest, 6);
    cr_expect(t->cable.net.can_receive(t->cable.net.ctx));
    t->cable.net.recv(t->cable.net.ctx, f, len);
    return rd(t, R_RDH) != before;
}

Test(e1000, filters)
{
    static const u8 all[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    static const u8 many[6] = {0x01, 0x00, 0x5e, 0x12, 0x34, 0x56};
    struct t *t = setup();
    cr_expect(!gets(t, test_mac, 60)); /* off */
    start(t);
    cr_expect(gets(t, test_mac, 60) && gets(t, all, 60));
    cr_expect(!gets(t, other_mac, 60) && !gets(t, many, 60));
    wr(t, R_RCTL, RCTL_EN);
    cr_expect(!gets(t, all, 60));
    wr(t, R_RCTL, RCTL_EN | RCTL_UPE);
    cr_expect(gets(t, other_mac, 60) && !gets(t, many, 60));
    wr(t, R_RCTL, RCTL_EN | RCTL_MPE);
    cr_expect(gets(t, many, 60) && !gets(t, other_mac, 60));
    static const u32 shift[] = {4, 3, 2, 0};
    for (u32 mo = 0; mo < 4; mo++) {
        u32 hash = 0x5634u >> shift[mo] & 0xfff;
        wr(t, R_RCTL, RCTL_EN | mo << 12);
        cr_expect(!gets(t, many, 60));
        wr(t, R_MTA + 4 * (hash >> 5), 1u << (hash & 31));
        cr_expect(gets(t, many, 60), "%u", mo);
        wr(t, R_MTA + 4 * (hash >> 5), 0);
    }
    wr(t, R_RA + 8, ld_u32(other_mac));
    wr(t, R_RA + 12, 0x80000000u | ld_u16(other_mac + 4));
    cr_expect(gets(t, other_mac, 60));
    t->cable.net.link_down = true;
    cr_expect(!gets(t, test_mac, 60));
    teardown(t);
}

Test(e1000, receives)
{
    struct t *t = setup();
    struct net_tso n;
    u8 f[1600];
    start(t);
    wr(t, R_IMS, ICR_RXT0);
    wr(t, R_RXCSUM, 14 | RXCSUM_IPOFL | RXCSUM_TUOFL);
    u32 len = make_tcp(f, false, 1400, 0x10, &n);
    t->cable.net.recv(t->cable.net.ctx, f, len);
    const u8 *d = ram(t, RXR);
    cr_expect(pin(t));
    cr_expect_eq(rd(t, R_ICR), ICR_RXT0);
    cr_expect_eq(ld_u16(d + 8), len);
    cr_expect_eq(ld_u16(d + 10), net_sum(f + 14, len - 14));
    cr_expect_eq(d[12], 0x63); /* DD EOP TCPCS IPCS */
    cr_expect_eq(d[13], 0);
    cr_expect_arr_eq(ram(t, RXB), f, len);
    f[len - 1]++;
    t->cable.net.recv(t->cable.net.ctx, f, len);
    cr_expect_eq(d[16 + 13], 0x20); /* TCPE */
    /* buffers of 256 bytes: one frame in six */
    wr(t, R_RCTL, RCTL_EN | 3 << 16);
    t->cable.net.recv(t->cable.net.ctx, f, len);
    cr_expect_eq(rd(t, R_RDH), 8);
    for (u32 k = 0; k < 6; k++) {
        cr_expect_eq(d[(2 + k) * 16 + 12] & 3, k == 5 ? 3 : 1);
        cr_expect_arr_eq(ram(t, RXB + (2 + k) * 2048), f + k * 256, MIN(256, len - k * 256));
    }
    cr_expect_eq(ld_u16(d + 7 * 16 + 8), len + 4 - 5 * 256); /* with its check sequence */
    /* short ones are padded */
    wr(t, R_RCTL, RCTL_EN | RCTL_SECRC);
    memset(ram(t, RXB + 8 * 2048), 0xee, 64);
    t->cable.net.recv(t->cable.net.ctx, f, 20);
    cr_expect_eq(ld_u16(d + 8 * 16 + 8), 60);
    cr_expect(*ram(t, RXB + 8 * 2048 + 59) == 0 && *ram(t, RXB + 8 * 2048 + 60) == 0xee);
    teardown(t);
}

Test(e1000, says_when_it_is_full)
{
    struct t *t = setup();
    u32 n = 0;
    start(t);
    wr(t, R_RCTL, RCTL_EN | RCTL_BAM | RCTL_SECRC | 1 << 8); /* a quarter left */
    while (t->cable.net.can_receive(t->cable.net.ctx) && n < 1000) {
        gets(t, test_mac, 60);
        n++;
        cr_expect_eq((rd(t, R_ICR) & ICR_RXDMT0) != 0, RING - 1 - n <= RING / 4, "%u", n);
    }
    cr_expect_eq(n, RING - 1);
    u8 f[60];
    memcpy(f, test_mac, 6);
    t->cable.net.recv(t->cable.net.ctx, f, 60); /* a back end that does not ask */
    cr_expect_eq(rd(t, R_ICR) & ICR_RXO, ICR_RXO);
    cr_expect_eq(rd(t, 0x4010), 1); /* MPC */
    t->cable.resumed = 0;
    t->cable.waiting = 10;
    wr(t, R_RDT, 3); /* room for four */
    cr_expect_eq(t->cable.resumed, 1);
    cr_expect_eq(t->cable.waiting, 6);
    teardown(t);
}

Test(e1000, throttle)
{
    struct t *t = setup();
    start(t);
    clock_advance(t->p.r.clk, NS_PER_SEC);
    wr(t, R_IMS, ICR_RXT0);
    wr(t, R_ITR, 1000); /* 256 us */
    gets(t, test_mac, 60);
    cr_expect(pin(t));
    rd(t, R_ICR);
    cr_expect(!pin(t));
    clock_advance(t->p.r.clk, 100000);
    gets(t, test_mac, 60);
    cr_expect(!pin(t));
    clock_advance(t->p.r.clk, 155999);
    cr_expect(!pin(t));
    clock_advance(t->p.r.clk, 1);
    cr_expect(pin(t));
    rd(t, R_ICR);
    gets(t, test_mac, 60);
    cr_expect(!pin(t));
    wr(t, R_ITR, 0);
    cr_expect(pin(t));
    wr(t, R_IMC, ICR_RXT0);
    cr_expect(!pin(t));
    teardown(t);
}

Test(e1000, loops_back)
{
    struct t *t = setup();
    start(t);
    wr(t, R_MDIC, 1u << 26 | 1 << 21 | 0x4140);
    memcpy(ram(t, TXB), test_mac, 6);
    desc(t, 0, TXB, 100 | EOP << 24, 0);
    wr(t, R_TDT, 1);
    cr_expect_eq(t->cable.sent, 0);
    cr_expect_eq(rd(t, R_RDH), 1);
    teardown(t);
}

/* More than one call may do: the rest comes from a timer. */
Test(e1000, long_rings_in_parts)
{
    struct t *t = setup();
    enum { N = 4096 };
    start(t);
    wr(t, R_TDBAL, 0x100000);
    wr(t, R_TDLEN, N * 16);
    for (u32 k = 0; k < N; k++) {
        st_u64(ram(t, 0x100000 + k * 16), TXB);
        st_u32(ram(t, 0x100000 + k * 16 + 8), 60 | EOP << 24);
    }
    wr(t, R_TDT, N - 1);
    cr_expect_lt(t->cable.sent, N / 2);
    for (int k = 0; k < 100; k++)
        clock_advance(t->p.r.clk, 20000);
    cr_expect_eq(t->cable.sent, N - 1);
    teardown(t);
}

Test(e1000, rings_that_make_no_sense)
{
    static const u32 wild[] = {0, 1, 63, 64, 65, 127, 128, 0x7fff, 0x8000, 0xffff};
    static const u64 base[] = {TXR,           0x1fff80,         0x1ffff0,   BAR,
                               BAR + R_TDBAL, BAR + R_TDT - 12, 0xfffffff0, 0xfffffffffffffff0ull};
    struct t *t = setup();
    struct net_tso n;
    start(t);
    for (size_t b = 0; b < ARRAY_LEN(base); b++) {
        for (size_t h = 0; h < ARRAY_LEN(wild); h++) {
            for (size_t k = 0; k < ARRAY_LEN(wild); k++) {
                wr(t, R_TDBAL, (u32)base[b]);
                wr(t, R_TDBAH, (u32)(base[b] >> 32));
                wr(t, R_TDH, wild[h]);
                wr(t, R_TDT, wild[k]);
                wr(t, R_RDBAL, (u32)base[b]);
                wr(t, R_RDBAH, (u32)(base[b] >> 32));
                wr(t, R_RDH, wild[k]);
                wr(t, R_RDT, wild[h]);
                wr(t, R_RCTL, RCTL_EN | RCTL_BAM);
                t->cable.waiting = 3;
                wr(t, R_RDT, wild[h]);
                u8 f[1518] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
                t->cable.net.recv(t->cable.net.ctx, f, sizeof(f));
                clock_advance(t->p.r.clk, 1000);
            }
        }
    }
    /* it still works */
    wr(t, R_CTRL, CTRL_RST);
    wr(t, R_RDBAH, 0);
    wr(t, R_TDBAH, 0);
    start(t);
    t->cable.sent = 0;
    u32 len = make_tcp(ram(t, TXB), false, 100, 0x10, &n);
    desc(t, 0, TXB, len | EOP << 24, 0);
    wr(t, R_TDT, 1);
    cr_expect_eq(t->cable.sent, 1);
    teardown(t);
}

Test(e1000, packets_that_make_no_sense)
{
    struct t *t = setup();
    struct net_tso n;
    start(t);
    u32 len = make_tcp(ram(t, TXB), false, 60000, 0x10, &n);
    n.mss = 0;
    context(t, 0, &n, len, true); /* no size of segments */
    desc(t, 1, TXB, len | 1 << 20 | (u32)(EOP | DEXT | TSE) << 24, 0);
    desc(t, 2, TXB, 0 | EOP << 24, 0); /* nothing */
    desc(t, 3, TXB, 13 | EOP << 24, 0);
    desc(t, 4, TXB, 1519 | EOP << 24, 0);
    desc(t, 5, TXB, 65535, 0); /* too much: dropped to its end */
    desc(t, 6, TXB, 65535, 0);
    desc(t, 7, TXB, 100 | EOP << 24, 0);
    desc(t, 8, TXB, 0xfffff | 1 << 20 | (u32)(EOP | DEXT) << 24, 0);
    desc(t, 9, TXB, 5 << 20 | (u32)(EOP | DEXT) << 24, 0);                /* a type there is not */
    desc(t, 10, TXB, 100 | 200u << 16 | (u32)(EOP | IC) << 24, 250 << 8); /* sums outside */
    wr(t, R_TDT, 11);
    cr_expect_eq(t->cable.sent, 1);
    cr_expect_arr_eq(t->cable.kept[0].data, ram(t, TXB), 100);
    cr_expect_eq(rd(t, R_TDH), 11);
    /* not a master: nothing moves */
    cfg_write(&t->p, DEVFN, 4, 3, 2);
    wr(t, R_TDT, 20);
    cr_expect_eq(rd(t, R_TDH), 11);
    cr_expect(!gets(t, test_mac, 60));
    teardown(t);
}

Test(e1000, state)
{
    struct t *t = setup();
    start(t);
    wr(t, R_IMS, ICR_RXT0 | ICR_LSC);
    gets(t, test_mac, 60);
    memcpy(ram(t, TXB), test_mac, 6);
    desc(t, 0, TXB, 30, 0); /* half a packet */
    wr(t, R_TDT, 1);
    struct cable other;
    cable_init(&other);
    struct device *twin = e1000_new(t->p.bus, PCI_DEVFN(4, 0), test_mac, &other.net, t->p.r.clk);
    cr_expect(clone_state(t->d, twin));
    device_destroy(t->d);
    t->d = twin;
    cr_expect(t->p.pirq[3].level); /* slot 4 */
    cr_expect_eq(rd(t, R_RDH), 1);
    desc(t, 1, TXB + 30, 40 | EOP << 24, 0);
    wr(t, R_TDT, 2);
    cr_expect_eq(other.sent, 1);
    cr_expect_eq(other.kept[0].len, 70);
    for (u32 k = 0; k < 200; k++) {
        poison_state(t->d, k);
        wr(t, R_TCTL, TCTL_EN);
        wr(t, R_RCTL, RCTL_EN);
        if (other.net.recv)
            other.net.recv(other.net.ctx, ram(t, TXB), 1000);
        clock_advance(t->p.r.clk, 100000);
    }
    device_destroy(t->d);
    t->d = e1000_new(t->p.bus, DEVFN, test_mac, &t->cable.net, t->p.r.clk);
    teardown(t);
}
