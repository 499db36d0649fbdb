/*
 * tests/virtio/rig.h - a driver in a test: 1 MiB of RAM, a device behind the MMIO transport, rings
 * that the test fills by hand.
 */
#ifndef TESTS_VIRTIO_RIG_H
#define TESTS_VIRTIO_RIG_H

#include <criterion/criterion.h> /* first: it wants the word noreturn */
#include <stdlib.h>

#include "base/bits.h"
#include "bus/backend.h"
#include "bus/space.h"
#include "devices/virtio/virtio.h"

#define RIG_RAM  MIB
#define RIG_MMIO 0x10000000ull
#define RIG_HOLE 0x20000000ull /* nothing is there */

enum { RIG_SIZE = 16, D_NEXT = 1, D_WRITE = 2, D_INDIRECT = 4 };
enum { MMIO_NOTIFY = 0x50, MMIO_ISR = 0x60, MMIO_ACK = 0x64, MMIO_STATUS = 0x70 };

struct rig_queue {
    u64 desc, avail, used;
    u16 next_desc, avail_idx, used_seen;
};

struct rig {
    struct space *mem;
    struct ram *ram;
    struct virtio_dev *v;
    struct device *t;
    bool level;
    int irqs; /* rising edges */
    u64 heap; /* RAM handed out so far */
    struct rig_queue q[VIRTIO_QUEUES];
};

/* One segment of a request. */
struct seg {
    u64 addr;
    u32 len;
    bool in;
};

static inline void rig_irq(void *ctx, int n, bool level)
{
    struct rig *r = ctx;
    r->irqs += level && !r->level;
    r->level = level;
}

static inline u32 rig_reg(struct rig *r, u32 off)
{
    return (u32)space_read(r->mem, RIG_MMIO + off, 4);
}

static inline void rig_set(struct rig *r, u32 off, u32 val)
{
    space_write(r->mem, RIG_MMIO + off, val, 4);
}

static inline u64 rig_alloc(struct rig *r, u64 len)
{
    u64 at = r->heap;
    r->heap = align_up(r->heap + len, 64);
    cr_assert(r->heap <= RIG_RAM);
    return at;
}

static inline u8 *rig_ptr(struct rig *r, u64 addr)
{
    return r->ram->base + addr;
}

static inline void rig_set64(struct rig *r, u32 off, u64 val)
{
    rig_set(r, off, (u32)val);
    rig_set(r, off + 4, (u32)(val >> 32));
}

/* Status, features, queues: as far as DRIVER_OK. features: what to accept of what is offered. */
static inline void rig_start(struct rig *r, u64 features)
{
    rig_set(r, MMIO_STATUS, 0);
    rig_set(r, MMIO_STATUS, VIRTIO_S_ACKNOWLEDGE | VIRTIO_S_DRIVER);
    for (u32 w = 0; w < 2; w++) {
        rig_set(r, 0x14, w);
        u32 offered = rig_reg(r, 0x10);
        rig_set(r, 0x24, w);
        rig_set(r, 0x20, offered & (u32)(features >> (32 * w)));
    }
    rig_set(r, MMIO_STATUS, VIRTIO_S_ACKNOWLEDGE | VIRTIO_S_DRIVER | VIRTIO_S_FEATURES_OK);
    cr_assert(rig_reg(r, MMIO_STATUS) & VIRTIO_S_FEATURES_OK);
    for (int k = 0; k < r->v->queues; k++) {
        struct rig_queue *q = &r->q[k];
        *q = (struct rig_queue){.desc = rig_alloc(r, 16 * RIG_SIZE),
                                .avail = rig_alloc(r, 6 + 2 * RIG_SIZE),
                                .used = rig_alloc(r, 6 + 8 * RIG_SIZE)};
        rig_set(r, 0x30, (u32)k);
        cr_assert(rig_reg(r, 0x34) >= RIG_SIZE);
        rig_set(r, 0x38, RIG_SIZE);
        rig_set64(r, 0x80, q->desc);
        rig_set64(r, 0x90, q->avail);
        rig_set64(r, 0xa0, q->used);
        rig_set(r, 0x44, 1);
        cr_assert_eq(rig_reg(r, 0x44), 1);
    }
    rig_set(r, MMIO_STATUS, 0xf);
}

static inline void rig_init(struct rig *r, struct virtio_dev *v)
{
    struct error err;
    *r = (struct rig){.v = v};
    r->mem = space_new("memory", BIT64(40));
    cr_assert_eq(ram_new(RIG_RAM, &r->ram, &err), ST_OK);
    space_map_ram(r->mem, 0, RIG_RAM, r->ram, 0, MAP_RW, 0);
    r->t = virtio_mmio_new(r->mem, RIG_MMIO, (struct irq){rig_irq, r, 0}, v);
}

#define RIG_FEATURES (~BIT64(VIRTIO_F_EVENT_IDX))

static inline void rig_free(struct rig *r)
{
    device_destroy(r->t);
    device_destroy(&r->v->dev);
    space_free(r->mem);
    ram_free(r->ram);
}

static inline void rig_desc(struct rig *r, u64 table, u16 i, u64 addr, u32 len, u16 flags, u16 next)
{
    u8 *p = rig_ptr(r, table) + 16 * i;
    st_u64(p, addr);
    st_u32(p + 8, len);
    st_u16(p + 12, flags);
    st_u16(p + 14, next);
}

/* Makes the chain that starts at descriptor head available. */
static inline void rig_avail(struct rig *r, int k, u16 head)
{
    struct rig_queue *q = &r->q[k];
    st_u16(rig_ptr(r, q->avail) + 4 + 2 * (q->avail_idx % RIG_SIZE), head);
    st_u16(rig_ptr(r, q->avail) + 2, ++q->avail_idx);
}

/* A chain of n segments, made available; returns its head. */
static inline u16 rig_add(struct rig *r, int k, const struct seg *s, int n)
{
    struct rig_queue *q = &r->q[k];
    u16 head = q->next_desc % RIG_SIZE;
    for (int i = 0; i < n; i++) {
        u16 at = q->next_desc++ % RIG_SIZE;
        u16 flags = (u16)((s[i].in ? D_WRITE : 0) | (i < n - 1 ? D_NEXT : 0));
        rig_desc(r, q->desc, at, s[i].addr, s[i].len, flags, q->next_desc % RIG_SIZE);
    }
    rig_avail(r, k, head);
    return head;
}

static inline void rig_kick(struct rig *r, int k)
{
    rig_set(r, MMIO_NOTIFY, (u32)k);
}

/* The next used entry. False: none. */
static inline bool rig_used(struct rig *r, int k, u32 *id, u32 *len)
{
    struct rig_queue *q = &r->q[k];
    const u8 *u = rig_ptr(r, q->used);
    if (ld_u16(u + 2) == q->used_seen)
        return false;
    const u8 *e = u + 4 + 8 * (q->used_seen++ % RIG_SIZE);
    if (id)
        *id = ld_u32(e);
    if (len)
        *len = ld_u32(e + 4);
    return true;
}

/* A request that is served at once: how many bytes the device says it wrote. */
static inline u32 rig_do(struct rig *r, int k, const struct seg *s, int n)
{
    u32 id, len;
    u16 head = rig_add(r, k, s, n);
    rig_kick(r, k);
    cr_assert(rig_used(r, k, &id, &len), "not served");
    cr_assert_eq(id, head);
    return len;
}

static inline bool rig_broken(struct rig *r)
{
    return rig_reg(r, MMIO_STATUS) & VIRTIO_S_NEEDS_RESET;
}

#endif
