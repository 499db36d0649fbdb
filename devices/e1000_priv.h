/*
 * devices/e1000_priv.h - what the files of the 82540EM share: registers and the card's state.
 *
 * You are here: e1000.c has registers, interrupts and state; e1000_phy.c the EEPROM and the PHY;
 * e1000_tx.c and e1000_rx.c the two descriptor rings.
 */
#ifndef DEVICES_E1000_PRIV_H
#define DEVICES_E1000_PRIV_H

#include "base/bits.h"
#include "bus/backend.h"
#include "bus/clock.h"
#include "devices/pci.h"

/* Register offsets (SDM 13.4). */
enum {
    R_CTRL = 0x0000,
    R_STATUS = 0x0008,
    R_EECD = 0x0010,
    R_EERD = 0x0014,
    R_CTRL_EXT = 0x0018,
    R_MDIC = 0x0020,
    R_FCAL = 0x0028,
    R_FCAH = 0x002c,
    R_FCT = 0x0030,
    R_VET = 0x0038,
    R_ICR = 0x00c0,
    R_ITR = 0x00c4,
    R_ICS = 0x00c8,
    R_IMS = 0x00d0,
    R_IMC = 0x00d8,
    R_RCTL = 0x0100,
    R_FCTTV = 0x0170,
    R_TXCW = 0x0178,
    R_TCTL = 0x0400,
    R_TIPG = 0x0410,
    R_AIT = 0x0458,
    R_LEDCTL = 0x0e00,
    R_PBA = 0x1000,
    R_FCRTL = 0x2160,
    R_FCRTH = 0x2168,
    R_RDBAL = 0x2800,
    R_RDBAH = 0x2804,
    R_RDLEN = 0x2808,
    R_RDH = 0x2810,
    R_RDT = 0x2818,
    R_RDTR = 0x2820,
    R_RXDCTL = 0x2828,
    R_RADV = 0x282c,
    R_RSRPD = 0x2c00,
    R_TXDMAC = 0x3000,
    R_TDBAL = 0x3800,
    R_TDBAH = 0x3804,
    R_TDLEN = 0x3808,
    R_TDH = 0x3810,
    R_TDT = 0x3818,
    R_TIDV = 0x3820,
    R_TXDCTL = 0x3828,
    R_TADV = 0x382c,
    R_TSPMT = 0x3830,
    R_STATS = 0x4000,
    R_STATS_END = 0x4100,
    R_RXCSUM = 0x5000,
    R_MTA = 0x5200,
    R_RA = 0x5400,
    R_VFTA = 0x5600,
    R_WUC = 0x5800,
    R_WUFC = 0x5808,
    R_WUS = 0x5810,
    R_MANC = 0x5820,
};

enum {
    CTRL_FD = BIT(0),
    CTRL_SLU = BIT(6),
    CTRL_SPEED_1000 = BIT(9),
    CTRL_RST = BIT(26),
    CTRL_VME = BIT(30),
    CTRL_PHY_RST = BIT(31),

    STATUS_FD = BIT(0),
    STATUS_LU = BIT(1),
    STATUS_SPEED_1000 = BIT(7),

    ICR_TXDW = BIT(0),
    ICR_TXQE = BIT(1),
    ICR_LSC = BIT(2),
    ICR_RXDMT0 = BIT(4),
    ICR_RXO = BIT(6),
    ICR_RXT0 = BIT(7),
    ICR_MDAC = BIT(9),
    ICR_TXD_LOW = BIT(15),
    ICR_ALL = 0x1ffff,

    RCTL_EN = BIT(1),
    RCTL_UPE = BIT(3),
    RCTL_MPE = BIT(4),
    RCTL_BAM = BIT(15),
    RCTL_VFE = BIT(18),
    RCTL_CFIEN = BIT(19),
    RCTL_CFI = BIT(20),
    RCTL_BSEX = BIT(25),
    RCTL_SECRC = BIT(26),

    TCTL_EN = BIT(1),
    TCTL_PSP = BIT(3),

    RXCSUM_IPOFL = BIT(8),
    RXCSUM_TUOFL = BIT(9),
};

/* Statistics, by their index from R_STATS. Reading clears; pairs are 64 bits, low part first. */
enum {
    STAT_MPC = 4,    /* missed: no descriptor */
    STAT_PRC64 = 23, /* received, by size: 64, 127, 255, 511, 1023, more */
    STAT_GPRC = 29,  /* good frames received */
    STAT_BPRC = 30,  /* of them broadcast */
    STAT_MPRC = 31,  /* multicast */
    STAT_GPTC = 32,  /* sent */
    STAT_GORC = 34,  /* bytes, 64 bits */
    STAT_GOTC = 36,  /* 64 bits */
    STAT_RNBC = 40,  /* no buffers */
    STAT_TOR = 48,   /* 64 bits */
    STAT_TOT = 50,   /* 64 bits */
    STAT_TPR = 52,   /* frames seen, whatever the filters said */
    STAT_TPT = 53,   /* sent */
    STAT_PTC64 = 54, /* sent, by size */
    STAT_MPTC = 60,  /* multicast */
    STAT_BPTC = 61,  /* broadcast */
    STAT_TSCTC = 62, /* segmentation contexts used */
    STAT_COUNT = 64,
};

enum {
    E1000_EEPROM_WORDS = 64,
    E1000_MTA = 128,
    E1000_VFTA = 128,
    E1000_RA = 16,
    E1000_TX_BUF = 66 * 1024, /* headers and 64 KiB of one packet */
    E1000_PHY_REGS = 32,
};

/* A transmit context: what extended data descriptors refer to (SDM 3.3.6). */
struct e1000_ctx {
    u8 ipcss, ipcso, tucss, tucso;
    u16 ipcse, tucse, mss;
    u8 hdrlen, tucmd;
    u32 paylen;
};

/* The packet under way between its first and last descriptor. */
struct e1000_packet {
    u32 len;
    u8 open;         /* a descriptor of it was seen */
    u8 bad;          /* too long: dropped at its end */
    u8 popts;        /* of the first data descriptor */
    u8 tse;          /* segmentation */
    u8 vle;          /* insert `vlan` */
    u8 cso, css, ic; /* of a legacy descriptor */
    u16 vlan;
};

struct e1000 {
    struct pci_device pci; /* first */
    struct netdev *net;
    struct clock *clk;
    u8 mac[6];

    u32 ctrl, ctrl_ext, eecd, eerd, mdic, fcal, fcah, fct, vet, fcttv, txcw, ledctl, pba, fcrtl,
        fcrth, wuc, wufc, wus, manc, tipg, ait, txdmac, tspmt, rsrpd;
    u32 icr, ims, itr;
    u32 rctl, rdbal, rdbah, rdlen, rdh, rdt, rdtr, radv, rxdctl, rxcsum;
    u32 tctl, tdbal, tdbah, tdlen, tdh, tdt, tidv, tadv, txdctl;
    u32 mta[E1000_MTA], vfta[E1000_VFTA], ra[2 * E1000_RA];
    u32 stat[STAT_COUNT];
    u32 ioaddr; /* the register that the I/O window shows */

    /* interrupts */
    u64 last_irq; /* when the pin rose */
    struct timer throttle;

    /* EEPROM: a microwire device on four wires */
    u16 eeprom[E1000_EEPROM_WORDS];
    u8 ee_bits; /* bits clocked in since chip select */
    u8 ee_out;  /* bits of data given out */
    bool ee_do; /* level of the data wire */
    bool ee_writable;
    u32 ee_in; /* the bits clocked in */
    u16 phy[E1000_PHY_REGS];

    /* transmit */
    struct e1000_ctx ctx_tso, ctx_sum; /* SDM 3.3.7: one context each way of use */
    struct e1000_packet pkt;
    u8 tx_buf[E1000_TX_BUF];
    struct timer tx_more; /* a long ring is served in parts */

    /* not saved: true while the card works on a ring, whose DMA may hit its own registers */
    bool tx_busy, rx_busy;
};

/* Sets causes and drives the pin. */
void e1000_cause(struct e1000 *s, u32 causes);
void e1000_update_irq(struct e1000 *s);
bool e1000_link_up(const struct e1000 *s);
static inline void e1000_count(struct e1000 *s, int stat, u32 n)
{
    u32 v = s->stat[stat] + n;
    s->stat[stat] = v < n ? ~0u : v; /* they stick at the top */
}
static inline void e1000_count64(struct e1000 *s, int stat, u32 n)
{
    u64 v = (s->stat[stat] | (u64)s->stat[stat + 1] << 32) + n;
    s->stat[stat] = (u32)v;
    s->stat[stat + 1] = (u32)(v >> 32);
}
/* Which of six size classes a frame of len bytes (without check sequence) is in. */
int e1000_size_class(u32 len);

/* e1000_phy.c */
void e1000_eeprom_init(struct e1000 *s);
u32 e1000_eecd_read(const struct e1000 *s);
void e1000_eecd_write(struct e1000 *s, u32 val);
void e1000_eerd_write(struct e1000 *s, u32 val);
void e1000_phy_reset(struct e1000 *s);
void e1000_mdic_write(struct e1000 *s, u32 val);

/* e1000_tx.c */
void e1000_tx(struct e1000 *s); /* serves the ring as far as one call may */
void e1000_tx_reset(struct e1000 *s);
void e1000_tx_loaded(struct e1000 *s);

/* e1000_rx.c */
void e1000_rx_attach(struct e1000 *s);
void e1000_rx_frame(struct e1000 *s, const u8 *frame, u32 len); /* from the cable, or a loopback */
void e1000_rx_resume(struct e1000 *s);                          /* there may be descriptors again */

#endif
