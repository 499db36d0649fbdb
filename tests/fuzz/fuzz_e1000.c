/*
 * tests/fuzz/fuzz_e1000.c - any accesses to the 82540EM's registers, any rings, any frames.
 *
 * Input: operations of one byte and what each takes. Memory is 2 MiB; rings and packets are put in
 * its first 64 KiB. After each operation: no frame that a cable does not carry, the pin as the
 * registers say.
 */
#include "tests/devices/net_rig.h"
#include "tests/fuzz/fuzz_in.h"
#include "devices/e1000.h"
#include "devices/e1000_priv.h"

enum { BAR = 0x10000000, DEVFN = PCI_DEVFN(3, 0), PLAYGROUND = 65536, OPS = 256 };

/* The registers that matter, so that they are hit often. */
static const u16 regs[] = {R_CTRL,  R_EECD,   R_EERD,  R_MDIC,  R_ICR,    R_ITR,   R_ICS,
                           R_IMS,   R_IMC,    R_RCTL,  R_TCTL,  R_RDBAL,  R_RDBAH, R_RDLEN,
                           R_RDH,   R_RDT,    R_TDBAL, R_TDBAH, R_TDLEN,  R_TDH,   R_TDT,
                           R_VET,   R_RXCSUM, R_MTA,   R_RA,    R_RA + 4, R_VFTA,  R_STATUS,
                           R_STATS, 0x4088,   0x408c,  R_TXDCTL};

static void usual(struct e1000 *s, struct space *mem)
{
    static const u32 set[][2] = {{R_CTRL, CTRL_SLU}, {R_TDBAL, 0x1000},
                                 {R_TDLEN, 1024},    {R_TCTL, TCTL_EN},
                                 {R_RDBAL, 0x2000},  {R_RDLEN, 1024},
                                 {R_RDT, 63},        {R_RCTL, RCTL_EN | RCTL_UPE | RCTL_BAM},
                                 {R_IMS, ~0u}};
    for (size_t k = 0; k < ARRAY_LEN(set); k++)
        space_write(mem, BAR + set[k][0], set[k][1], 4);
}

static void operate(struct in *in, struct pci_rig *p, struct cable *c, struct e1000 *s)
{
    u8 op = (u8)take(in, 1), frame[NET_FRAME_MAX] = {0};
    u32 a, n;
    switch (op & 15) {
    case 0:
    case 1:
    case 2:
        a = regs[op >> 4 | (op & 1) << 4];
        space_write(p->mem, BAR + a, take(in, op & 2 ? 1 : 4), 4);
        break;
    case 3:
        space_write(p->mem, BAR + (take(in, 2) << 2 & 0x1ffff), take(in, 4), 4);
        break;
    case 4:
        space_read(p->mem, BAR + (take(in, 2) & 0x1ffff), 1 << (op >> 4 & 3));
        break;
    case 5: /* a descriptor of the usual rings */
    case 6:
        a = (op & 1 ? 0x1000u : 0x2000u) + (op >> 4) * 16;
        for (n = 0; n < 16; n++)
            p->ram->base[a + n] = (u8)take(in, 1);
        break;
    case 7: /* a data or legacy descriptor with a usual address */
        a = 0x1000 + (op >> 4) * 16;
        st_u64(p->ram->base + a, 0x4000 + take(in, 1) * 64);
        st_u64(p->ram->base + a + 8, take(in, 4) | (u64)take(in, 4) << 32);
        break;
    case 8: /* bytes */
        a = take(in, 2);
        for (n = take(in, 1); n; n--)
            p->ram->base[a++ % PLAYGROUND] = (u8)take(in, 1);
        break;
    case 9: /* a TCP packet */
    case 10:
        make_tcp(p->ram->base + 0x4000, op & 16, take(in, 2) & 0x7fff, (u8)take(in, 1),
                 &(struct net_tso){0});
        break;
    case 11: /* from the cable, if it asks or not */
        n = take(in, 2) % (NET_FRAME_MAX + 1);
        for (a = 0; a < 24; a++)
            frame[a] = (u8)take(in, 1);
        if (op & 16)
            memcpy(frame, test_mac, 6);
        if ((op & 32) || c->net.can_receive(c->net.ctx))
            c->net.recv(c->net.ctx, frame, n);
        break;
    case 12:
        c->waiting = take(in, 1);
        break;
    case 13:
        clock_advance(p->r.clk, take(in, 2));
        break;
    case 14:
        if (op & 128)
            usual(s, p->mem);
        else
            cfg_write(p, DEVFN, PCI_COMMAND, op >> 4, 2);
        break;
    default:
        c->net.link_down = op & 16;
        c->net.link(c->net.ctx);
        break;
    }
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    static struct pci_rig p;
    static struct cable c;
    static struct e1000 *s;
    struct in in = {data, size};
    if (!s) {
        pci_rig_init(&p, true);
        cable_init(&c);
        s = (struct e1000 *)e1000_new(p.bus, DEVFN, test_mac, &c.net, p.r.clk);
    }
    device_reset(&s->pci.dev);
    memset(p.ram->base, 0, PLAYGROUND);
    c.sent = c.waiting = 0;
    c.net.link_down = false;
    cfg_write(&p, DEVFN, PCI_BAR0, BAR, 4);
    cfg_write(&p, DEVFN, PCI_COMMAND, 6, 2);
    if (take(&in, 1) & 1)
        usual(s, p.mem);
    for (int k = 0; k < OPS && in.left; k++) {
        operate(&in, &p, &c, s);
        MUST(!c.bad && !s->tx_busy && !s->rx_busy && s->pkt.len <= E1000_TX_BUF);
        MUST(s->pci.intx ? (s->icr & s->ims) : !(s->icr & s->ims) || timer_armed(&s->throttle));
    }
    return 0;
}
