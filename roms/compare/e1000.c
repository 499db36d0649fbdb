/*
 * roms/compare/e1000.c - PCI configuration space, and a small driver for the Intel 82540EM.
 *
 * What it is: one descriptor ring each way, an interrupt for what arrives, the ring's tail moved
 * once for a batch, as Linux's driver does. Manual: Intel PCI/PCI-X Family of Gigabit Ethernet
 * Controllers Software Developer's Manual, chapters 3, 13 and 14.
 */
#include "roms/compare/guest.h"

enum {
    CTRL = 0x0000,
    ICR = 0x00c0,
    IMS = 0x00d0,
    RCTL = 0x0100,
    TCTL = 0x0400,
    RDBAL = 0x2800,
    RDLEN = 0x2808,
    RDH = 0x2810,
    RDT = 0x2818,
    TDBAL = 0x3800,
    TDLEN = 0x3808,
    TDH = 0x3810,
    TDT = 0x3818,
    SLU = 1 << 6,
    RXT0 = 1 << 7,
    RX_ON = 1 << 1 | 1 << 3 | 1 << 15, /* enabled, promiscuous, broadcast */
    TX_ON = 1 << 1 | 1 << 3,
    SEND = 1 | 2 | 8, /* end of packet, check sequence, report status */
    DONE = 1,
};

struct descriptor {
    u64 addr;
    u16 length;
    u8 cso, command; /* of a received frame: checksum */
    volatile u8 status;
    u8 errors;
    u16 special;
};

static struct descriptor rx[NET_RING] __attribute__((aligned(4096)));
static struct descriptor tx[NET_RING] __attribute__((aligned(4096)));
static u8 rx_frame[NET_RING][2048] __attribute__((aligned(4096)));
static u64 base;
static u32 rx_next, tx_next, irq;

/* ---- configuration space -----------------------------------------------------------------------
 */
u32 pci_read(u32 slot, u32 reg)
{
    outl(0xcf8, 1u << 31 | slot << 11 | reg);
    return inl(0xcfc);
}

void pci_write(u32 slot, u32 reg, u32 v)
{
    outl(0xcf8, 1u << 31 | slot << 11 | reg);
    outl(0xcfc, v);
}

u32 pci_find(u32 vendor, u32 device)
{
    for (u32 slot = 0; slot < 32; slot++)
        if (pci_read(slot, 0) == (device << 16 | vendor))
            return slot;
    return 0;
}

/* ---- frames: to ourselves, so that any filter lets them in --------------------------------------
 */
u8 *net_frame(u32 slot, u32 k)
{
    static u8 frame[NET_BATCH][2048] __attribute__((aligned(4096)));
    u8 *f = frame[slot];
    if (!f[12])
        for (u32 n = 0; n < FRAME; n++)
            f[n] = n < 6 ? 0xff : (u8)(n + slot);
    f[12] = 0x88; /* an experimental protocol */
    f[13] = 0xb5;
    *(u32 *)(f + 16) = k;
    return f;
}

u64 frame_sum(const u8 *f)
{
    u64 sum = *(const u32 *)(f + 16);
    for (u32 k = 24; k + 8 <= FRAME; k += 64)
        sum = mix(sum, *(const u64 *)(f + k));
    return sum;
}

/* ---- the card
 * ------------------------------------------------------------------------------------ */
static u32 get(u32 reg)
{
    return *(volatile u32 *)(base + reg);
}

static void set(u32 reg, u32 v)
{
    *(volatile u32 *)(base + reg) = v;
}

static __attribute__((interrupt)) void on_card(struct frame *f)
{
    (void)f;
    get(ICR); /* lowers the pin */
    outb(0xa0, 0x20);
    outb(0x20, 0x20);
}

void e1000_init(void)
{
    u32 slot = pci_find(0x8086, 0x100e);
    if (!slot)
        return;
    pci_write(slot, 4, pci_read(slot, 4) | 6);
    base = pci_read(slot, 0x10) & ~0xful;
    irq = pci_read(slot, 0x3c) & 15;
    gate((int)(PIC_VECTOR + irq), (void *)on_card);
    outb(0xa1, inb(0xa1) & (u8) ~(1u << (irq - 8)));
    set(CTRL, get(CTRL) | SLU);
    for (u32 k = 0; k < NET_RING; k++)
        rx[k].addr = (u64)rx_frame[k];
    set(RDBAL, (u32)(u64)rx);
    set(RDLEN, sizeof rx);
    set(RDH, 0);
    set(RDT, NET_RING - 1);
    set(TDBAL, (u32)(u64)tx);
    set(TDLEN, sizeof tx);
    set(TDH, 0);
    set(TDT, 0);
    set(RCTL, RX_ON);
    set(TCTL, TX_ON);
    set(IMS, RXT0);
}

u64 e1000_network(u32 count)
{
    u64 sum = 0;
    for (u32 k = 0; k < count;) {
        u32 n = count - k < NET_BATCH ? count - k : NET_BATCH;
        for (u32 j = 0; j < n; j++) {
            struct descriptor *d = &tx[tx_next];
            d->addr = (u64)net_frame(j, k + j);
            d->length = FRAME;
            d->command = SEND;
            d->status = 0;
            tx_next = (tx_next + 1) % NET_RING;
        }
        set(TDT, tx_next);
        for (u32 j = 0; j < n; j++) {
            while (!(rx[rx_next].status & DONE))
                __asm__ volatile("sti; hlt; cli" ::: "memory");
            sum = mix(sum, frame_sum(rx_frame[rx_next]));
            rx[rx_next].status = 0;
            rx_next = (rx_next + 1) % NET_RING;
        }
        set(RDT, (rx_next + NET_RING - 1) % NET_RING);
        k += n;
    }
    return sum;
}
