/*
 * roms/compare/virtio.c - a small driver for virtio 1.x over PCI: disk and network card, with MSI-X
 * to the local APIC.
 *
 * What it is: one queue of the disk and two of the card, as VIRTIO 1.2 describes them (2.7 split
 * virtqueues, 4.1 PCI, 5.1 network, 5.2 block). What it is not: careful about errors; a device that
 * is not there, or does not accept 1.0, ends the work with a wrong checksum.
 */
#include "roms/compare/guest.h"

enum { VECTOR = 0x51, SIZE = 64, NEXT = 1, DEVICE_WRITES = 2, IN_FLIGHT = 16 };

struct queue {
    struct {
        u64 addr;
        u32 len;
        u16 flags, next;
    } desc[SIZE];
    volatile struct {
        u16 flags, idx, ring[SIZE], used_event;
    } avail;
    u8 pad[4096 - SIZE * 16 - SIZE * 2 - 6];
    volatile struct {
        u16 flags, idx;
        struct {
            u32 id, len;
        } ring[SIZE];
        u16 avail_event;
    } used;
    volatile u16 *notify;
    u16 number, seen;
} __attribute__((aligned(4096)));

static volatile u8 *common;
static u64 notify_base;
static u32 notify_step;
static struct queue disk_queue, rx_queue, tx_queue;
static volatile u32 interrupts;

static __attribute__((interrupt)) void on_used(struct frame *f)
{
    (void)f;
    interrupts++;
    local_apic(0xb0, 0);
}

static u64 bar(u32 slot, u32 n)
{
    return pci_read(slot, 0x10 + n * 4) & ~0xful;
}

/* Its registers mapped, features agreed on, all interrupts to one vector. */
static void start_device(u32 slot)
{
    pci_write(slot, 4, pci_read(slot, 4) | 6); /* memory, bus master */
    for (u32 c = pci_read(slot, 0x34) & 0xff; c; c = pci_read(slot, c) >> 8 & 0xff) {
        u32 head = pci_read(slot, c);
        u64 at = bar(slot, pci_read(slot, c + 4) & 0xff) + pci_read(slot, c + 8);
        if ((head & 0xff) == 9 && head >> 24 == 1) {
            common = (u8 *)at;
        } else if ((head & 0xff) == 9 && head >> 24 == 2) {
            notify_base = at;
            notify_step = pci_read(slot, c + 16);
        } else if ((head & 0xff) == 0x11) {
            u32 table = pci_read(slot, c + 4);
            volatile u32 *entry = (u32 *)(bar(slot, table & 7) + (table & ~7u));
            entry[0] = 0xfee00000;
            entry[1] = 0;
            entry[2] = VECTOR;
            entry[3] = 0;
            pci_write(slot, c, head | 1u << 31);
        }
    }
    common[20] = 0;
    common[20] = 3; /* acknowledged, a driver */
    *(volatile u32 *)(common + 8) = 1;
    *(volatile u32 *)(common + 12) = 1; /* VERSION_1 and nothing else */
    common[20] = 11;
}

static void start_queue(struct queue *q, u16 number)
{
    *(volatile u16 *)(common + 22) = number;
    *(volatile u16 *)(common + 24) = SIZE;
    *(volatile u16 *)(common + 26) = 0; /* the MSI-X entry */
    *(volatile u64 *)(common + 32) = (u64)q->desc;
    *(volatile u64 *)(common + 40) = (u64)&q->avail;
    *(volatile u64 *)(common + 48) = (u64)&q->used;
    q->notify = (u16 *)(notify_base + *(volatile u16 *)(common + 30) * notify_step);
    q->number = number;
    *(volatile u16 *)(common + 28) = 1;
}

static void offer(struct queue *q, u16 head)
{
    q->avail.ring[q->avail.idx % SIZE] = head;
    __asm__ volatile("" ::: "memory");
    q->avail.idx++;
}

static void kick(struct queue *q)
{
    __asm__ volatile("" ::: "memory");
    *q->notify = q->number;
}

/* Sleeps until the device has given something back. */
static void wait_used(struct queue *q)
{
    while (q->used.idx == q->seen)
        __asm__ volatile("sti; hlt; cli" ::: "memory");
}

/* ---- network, receiving ------------------------------------------------------------------------
 */
enum { HEADER = 12 };
static u8 rx_frame[NET_RING][2048] __attribute__((aligned(4096)));
static u8 tx_header[HEADER];

static void start_receiving(void)
{
    for (u16 k = 0; k < NET_RING; k++) {
        rx_queue.desc[k].addr = (u64)rx_frame[k];
        rx_queue.desc[k].len = sizeof rx_frame[k];
        rx_queue.desc[k].flags = DEVICE_WRITES;
        offer(&rx_queue, k);
    }
    kick(&rx_queue);
}

void virtio_init(void)
{
    gate(VECTOR, (void *)on_used);
    local_apic(0xf0, 0x1ff);
    u32 disk = pci_find(0x1af4, 0x1001), card = pci_find(0x1af4, 0x1000);
    if (disk) {
        start_device(disk);
        start_queue(&disk_queue, 0);
        common[20] = 15;
    }
    if (card) {
        start_device(card);
        start_queue(&rx_queue, 0);
        start_queue(&tx_queue, 1);
        common[20] = 15;
        tx_queue.avail.flags = 1; /* what was sent is seen when the answer is there */
        start_receiving();
    }
}

/* ---- disk: three descriptors a request, IN_FLIGHT requests at most -----------------------------
 */
static struct {
    u32 type, reserved;
    u64 sector;
    u8 status;
} request[IN_FLIGHT];
static u8 queued[IN_FLIGHT][CHUNK] __attribute__((aligned(4096)));

static void put_request(u32 slot, u32 chunk, int write, void *data)
{
    struct queue *q = &disk_queue;
    u16 d = (u16)(slot * 3);
    request[slot].type = (u32)write;
    request[slot].sector = (u64)chunk * (CHUNK / 512);
    q->desc[d].addr = (u64)&request[slot];
    q->desc[d].len = 16;
    q->desc[d].flags = NEXT;
    q->desc[d].next = (u16)(d + 1);
    q->desc[d + 1].addr = (u64)data;
    q->desc[d + 1].len = CHUNK;
    q->desc[d + 1].flags = (u16)(NEXT | (write ? 0 : DEVICE_WRITES));
    q->desc[d + 1].next = (u16)(d + 2);
    q->desc[d + 2].addr = (u64)&request[slot].status;
    q->desc[d + 2].len = 1;
    q->desc[d + 2].flags = DEVICE_WRITES;
    offer(q, d);
}

static int transfer(u32 chunk, int write)
{
    put_request(0, chunk, write, buffer);
    kick(&disk_queue);
    wait_used(&disk_queue);
    disk_queue.seen++;
    return 1;
}

u64 virtio_read(u32 count)
{
    disk_fill(transfer);
    return disk_read(count, transfer);
}

u64 virtio_write(u32 count)
{
    return disk_write(count, transfer);
}

/* IN_FLIGHT requests a notification. */
u64 virtio_queued(u32 count)
{
    u64 sum = 0;
    disk_fill(transfer);
    for (u32 k = 0; k < count;) {
        u32 n = count - k < IN_FLIGHT ? count - k : IN_FLIGHT;
        for (u32 j = 0; j < n; j++)
            put_request(j, nth_chunk(k + j), 0, queued[j]);
        kick(&disk_queue);
        for (u32 done = 0; done < n; done++) {
            wait_used(&disk_queue);
            disk_queue.seen++;
        }
        for (u32 j = 0; j < n; j++)
            sum = mix(sum, sum_of(queued[j]));
        k += n;
    }
    return sum;
}

/* ---- network, sending --------------------------------------------------------------------------
 */
static void send(u32 slot, void *frame)
{
    u16 d = (u16)(slot * 2);
    tx_queue.desc[d].addr = (u64)tx_header;
    tx_queue.desc[d].len = HEADER;
    tx_queue.desc[d].flags = NEXT;
    tx_queue.desc[d].next = (u16)(d + 1);
    tx_queue.desc[d + 1].addr = (u64)frame;
    tx_queue.desc[d + 1].len = FRAME;
    tx_queue.desc[d + 1].flags = 0;
    offer(&tx_queue, d);
}

/* A unit is a frame out and its echo back, NET_BATCH of them under way. */
u64 virtio_network(u32 count)
{
    u64 sum = 0;
    for (u32 k = 0; k < count;) {
        u32 n = count - k < NET_BATCH ? count - k : NET_BATCH;
        for (u32 j = 0; j < n; j++)
            send(j, net_frame(j, k + j));
        kick(&tx_queue);
        for (u32 j = 0; j < n; j++) {
            wait_used(&rx_queue);
            u32 id = rx_queue.used.ring[rx_queue.seen++ % SIZE].id;
            sum = mix(sum, frame_sum(rx_frame[id] + HEADER));
            offer(&rx_queue, (u16)id);
        }
        kick(&rx_queue);
        tx_queue.seen = tx_queue.used.idx;
        k += n;
    }
    return sum;
}
