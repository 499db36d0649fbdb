/*
 * bus/space.h - an address space: what answers at each guest-physical address or port.
 *
 * You are here: the board maps RAM, ROM and device regions into one memory space and one port
 * space. Devices see (region, offset), never addresses. CPUs look pages up once (space_find) and
 * keep them in their TLB until the space's listener says that the map changed.
 *
 * Reads and writes may resolve to different mappings (PC PAM registers: reads from ROM, writes to
 * RAM). Where mappings overlap the higher priority wins; equal priority: the later.
 * Unmapped: reads are all-ones, writes are dropped.
 */
#ifndef BUS_SPACE_H
#define BUS_SPACE_H

#include "base/types.h"
#include "bus/device.h"
#include "bus/ram.h"

enum map_flags {
    MAP_READ = 1,
    MAP_WRITE = 2,
    MAP_RW = 3,
    MAP_ROM = 4, /* with MAP_READ|MAP_WRITE: writes are swallowed */
};

struct space;
struct mapping;

/* size: 2^16 for ports, 2^52 or less for memory. */
struct space *space_new(const char *name, u64 size);
void space_free(struct space *sp); /* frees mappings, not devices or RAM */

/* Maps `size` bytes of ram from ram_off at addr. All three page-aligned. */
struct mapping *space_map_ram(struct space *sp, gpa addr, u64 size, struct ram *ram, u64 ram_off,
                              int flags, int prio);

/* Maps host memory that is not guest RAM, read-only to the guest (firmware). Page-aligned size. */
struct mapping *space_map_rom(struct space *sp, gpa addr, u64 size, const u8 *host, int prio);

/* Maps a device region. Accesses wider than max_size (1, 2, 4, 8) are split, low part first;
 * narrower ones arrive as they are. Any alignment and size. */
struct mapping *space_map_io(struct space *sp, gpa addr, u64 size, struct device *dev, int region,
                             int max_size, int prio);

void space_unmap(struct mapping *m);                /* frees m; NULL is allowed */
void space_enable(struct mapping *m, bool on);      /* mappings start enabled */
void space_move(struct mapping *m, gpa addr);       /* base address change (PCI BARs) */
void space_set_flags(struct mapping *m, int flags); /* RAM mappings: MAP_READ / MAP_WRITE */
/* Several changes, one notification. Nests. */
void space_begin(struct space *sp);
void space_commit(struct space *sp);

/* Called after the map changed; CPUs flush their TLBs. One listener. */
void space_set_listener(struct space *sp, void (*fn)(void *ctx), void *ctx);

/* Guest-visible access of 1, 2, 4 or 8 bytes at any alignment; crosses mappings bytewise. */
u64 space_read(struct space *sp, gpa addr, int size);
void space_write(struct space *sp, gpa addr, u64 val, int size);
/* As space_read without side effects. */
u64 space_peek(struct space *sp, gpa addr, int size);

/* Bulk copies, as DMA does them: RAM at memcpy speed (with code and dirty notification), devices
 * by accesses of up to 4 bytes. Unmapped reads give 0xff. */
void space_read_bulk(struct space *sp, gpa addr, void *buf, u64 len);
void space_write_bulk(struct space *sp, gpa addr, const void *buf, u64 len);

/* What is behind the page that holds addr, for a TLB. */
struct page_info {
    hva read;        /* host address of the page for reads, or NULL: go through space_read */
    hva write;       /* for writes, or NULL: go through space_write */
    struct ram *ram; /* the RAM behind `write` (or else `read`), NULL when none */
    u64 ram_off;     /* page's offset in it */
};
struct page_info space_find(struct space *sp, gpa addr);

/* The stretch of plain read-write RAM around addr, to be kept as a page is; false: addr is in none.
 */
struct space_span {
    gpa first;
    u64 size;
    hva host; /* of its first byte */
    struct ram *ram;
    u64 ram_off;
};
bool space_find_span(struct space *sp, gpa addr, struct space_span *out);

/* Guest RAM of [addr, addr+len) as host memory if it is plain read-write RAM throughout, else
 * NULL. The caller reports writes with ram_note_write(). */
hva space_ram_ptr(struct space *sp, gpa addr, u64 len, struct ram **ram, u64 *ram_off);

#endif
