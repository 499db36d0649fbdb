/*
 * roms/compare/guest.h - what the parts of the comparison guest share.
 *
 * You are here: main.c (command line, marks, dispatch), cpu.c (work without devices), disk.c (the
 * disk's work by anybody's transfers), hardware.c (the PC's chips), paravirt.c (the same work by
 * hypercalls and kvmclock), e1000.c and virtio.c (disk and network by their devices), fork.c.
 */
#ifndef ROMS_COMPARE_GUEST_H
#define ROMS_COMPARE_GUEST_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;

enum {
    TIMER_VECTOR = 0x50,
    PIC_VECTOR = 0x20, /* IRQ 0 of the first 8259, IRQ 8 is 8 above */
    CHUNK = 4096,      /* bytes of a disk request */
    CHUNKS = 256,      /* the part of the disk that is used: 1 MiB */
    LINE = 64,         /* bytes of a line of console output */
    TICK_NS = 100000,
    FRAME = 1000,   /* bytes of an Ethernet frame */
    NET_BATCH = 16, /* frames under way */
    NET_RING = 32,
};

/* Each does `count` units and returns a checksum that does not depend on the way. */
typedef u64 work_fn(u32 count);

static inline void outb(u16 port, u8 v)
{
    __asm__ volatile("outb %0, %1" ::"a"(v), "d"(port));
}
static inline u8 inb(u16 port)
{
    u8 v;
    __asm__ volatile("inb %1, %0" : "=a"(v) : "d"(port));
    return v;
}
static inline u32 inl(u16 port)
{
    u32 v;
    __asm__ volatile("inl %1, %0" : "=a"(v) : "d"(port));
    return v;
}
static inline void outl(u16 port, u32 v)
{
    __asm__ volatile("outl %0, %1" ::"a"(v), "d"(port));
}
static inline void wrmsr(u32 msr, u64 v)
{
    __asm__ volatile("wrmsr" ::"c"(msr), "a"((u32)v), "d"((u32)(v >> 32)));
}
static inline u64 mix(u64 sum, u64 v)
{
    return (sum ^ v) * 0x9e3779b97f4a7c15ul;
}

/* main.c */
struct frame;
void gate(int vector, void *handler);
void local_apic(u32 reg, u32 v);
extern u8 buffer[CHUNK];           /* of disk requests */
void pattern(u32 chunk);           /* what chunk has on the disk, into the buffer */
u64 sum_of(const void *chunk);     /* of CHUNK bytes' words */
u64 buffer_sum(void);              /* of the buffer's */
u32 nth_chunk(u32 k);              /* the k-th request goes here: not in order */
void fill_line(char *line, u32 k); /* LINE bytes */
extern volatile u32 ticks;

/* cpu.c: the same on every way, but for remap_by_call */
void cpu_init(void);
work_fn work_compute, work_syscalls, work_faults, work_switch, work_remap, work_remap_by_call;

/* disk.c. A transfer is of one chunk between disk and buffer; 0: it failed. */
typedef int transfer_fn(u32 chunk, int write);
void disk_fill(transfer_fn *transfer); /* once */
u64 disk_read(u32 count, transfer_fn *transfer);
u64 disk_write(u32 count, transfer_fn *transfer);

/* hardware.c */
void hardware_init(void);
work_fn hw_disk_read, hw_disk_write, hw_disk_pio, hw_clock, hw_console, hw_timer;

/* paravirt.c */
void paravirt_init(void);
void kvmclock_init(void);
work_fn pv_disk_read, pv_disk_write, pv_clock, pv_kvmclock, pv_console, pv_timer;

/* e1000.c. pci_find: the slot, function 0; 0: there is none. */
u32 pci_read(u32 slot, u32 reg);
void pci_write(u32 slot, u32 reg, u32 v);
u32 pci_find(u32 vendor, u32 device);
u8 *net_frame(u32 slot, u32 k); /* the k-th frame, in one of NET_BATCH buffers */
u64 frame_sum(const u8 *f);
void e1000_init(void);
work_fn e1000_network;

/* virtio.c */
void virtio_init(void);
work_fn virtio_read, virtio_write, virtio_queued, virtio_network;

/* fork.c */
int fork_fault(u64 at);
work_fn work_fork, work_fork_by_call;

#endif
