/*
 * devices/virtio/virtio_mmio.c - the memory-mapped transport, version 2.
 *
 * What it is: 0x100 bytes of registers, then the device's configuration, and one level-triggered
 * interrupt. What it is not: the legacy version 1; shared memory regions (there are none).
 *
 * Invariant: the line is high exactly while isr is not zero.
 *
 * Manual: VIRTIO 1.2, section 4.2.2.
 */
#include "base/bits.h"
#include "base/log.h"
#include "bus/space.h"
#include "devices/virtio/virtio.h"

#include <stdlib.h>

enum {
    R_MAGIC = 0x00,
    R_VERSION = 0x04,
    R_DEVICE_ID = 0x08,
    R_VENDOR_ID = 0x0c,
    R_DEVICE_FEATURES = 0x10,
    R_DEVICE_FEATURES_SEL = 0x14,
    R_DRIVER_FEATURES = 0x20,
    R_DRIVER_FEATURES_SEL = 0x24,
    R_QUEUE_SEL = 0x30,
    R_QUEUE_NUM_MAX = 0x34,
    R_QUEUE_NUM = 0x38,
    R_QUEUE_READY = 0x44,
    R_QUEUE_NOTIFY = 0x50,
    R_INTERRUPT_STATUS = 0x60,
    R_INTERRUPT_ACK = 0x64,
    R_STATUS = 0x70,
    R_QUEUE_DESC = 0x80,
    R_QUEUE_DRIVER = 0x90,
    R_QUEUE_DEVICE = 0xa0,
    R_SHM_LEN = 0xb0, /* and base, 0xb8: all ones for a region that is not there */
    R_SHM_END = 0xc0,
    R_CONFIG_GENERATION = 0xfc,
    R_CONFIG = 0x100,
};
enum { ISR_QUEUE = 1, ISR_CONFIG = 2 };
enum { MAGIC = 0x74726976, VERSION = 2, VENDOR = 0x1af4 };

struct virtio_mmio {
    struct device dev;
    struct virtio_dev *v;
    struct irq irq;
    u8 isr;
    u32 queue_sel, device_word, driver_word;
};

static void set_isr(struct virtio_mmio *t, u8 isr)
{
    t->isr = isr;
    irq_set(&t->irq, isr != 0);
}

static void interrupt(void *ctx, int q)
{
    struct virtio_mmio *t = ctx;
    set_isr(t, t->isr | (q < 0 ? ISR_CONFIG : ISR_QUEUE));
}

static struct virtq_regs *selected(const struct virtio_mmio *t)
{
    return t->queue_sel < (u32)t->v->queues ? &t->v->regs[t->queue_sel] : NULL;
}

static u64 virtio_mmio_peek(struct device *d, int region, u64 off, int size)
{
    struct virtio_mmio *t = (struct virtio_mmio *)d;
    struct virtio_dev *v = t->v;
    const struct virtq_regs *r = selected(t);

    if (off >= R_CONFIG)
        return virtio_config_read(v, (u32)off - R_CONFIG, size);
    if (size != 4 || (off & 3)) /* registers are read whole (4.2.2.2) */
        return 0;
    if (off >= R_SHM_LEN && off < R_SHM_END)
        return UINT32_MAX;
    switch (off) {
    case R_MAGIC:
        return MAGIC;
    case R_VERSION:
        return VERSION;
    case R_DEVICE_ID:
        return v->ops->id;
    case R_VENDOR_ID:
        return VENDOR;
    case R_DEVICE_FEATURES:
        return t->device_word < 2 ? (u32)(v->offered >> (32 * t->device_word)) : 0;
    case R_QUEUE_NUM_MAX:
        return r ? v->queue_max : 0;
    case R_QUEUE_READY:
        return r ? r->ready : 0;
    case R_INTERRUPT_STATUS:
        return t->isr;
    case R_STATUS:
        return v->status;
    case R_CONFIG_GENERATION:
        return v->generation;
    default:
        return 0;
    }
}

/* Half of a 64-bit address. */
static void set_half(struct virtq_regs *r, u64 *addr, bool high, u32 val)
{
    if (!r->ready)
        *addr = high ? (*addr & UINT32_MAX) | (u64)val << 32 : (*addr & ~(u64)UINT32_MAX) | val;
}

static void forget(struct virtio_mmio *t)
{
    set_isr(t, 0);
    t->queue_sel = t->device_word = t->driver_word = 0;
}

static void queue_write(struct virtio_mmio *t, u64 off, u32 val)
{
    struct virtq_regs *r = selected(t);
    if (!r)
        return;
    switch (off) {
    case R_QUEUE_NUM:
        virtq_set_size(t->v, t->queue_sel, val);
        break;
    case R_QUEUE_READY:
        virtq_enable(t->v, t->queue_sel, val & 1);
        break;
    case R_QUEUE_DESC:
    case R_QUEUE_DESC + 4:
        set_half(r, &r->desc, off & 4, val);
        break;
    case R_QUEUE_DRIVER:
    case R_QUEUE_DRIVER + 4:
        set_half(r, &r->avail, off & 4, val);
        break;
    case R_QUEUE_DEVICE:
    case R_QUEUE_DEVICE + 4:
        set_half(r, &r->used, off & 4, val);
        break;
    }
}

static void virtio_mmio_write(struct device *d, int region, u64 off, u64 val64, int size)
{
    struct virtio_mmio *t = (struct virtio_mmio *)d;
    struct virtio_dev *v = t->v;
    u32 val = (u32)val64;

    if (off >= R_CONFIG) {
        virtio_config_write(v, (u32)off - R_CONFIG, val, size);
        return;
    }
    if (size != 4 || (off & 3))
        return;
    switch (off) {
    case R_DEVICE_FEATURES_SEL:
        t->device_word = val;
        break;
    case R_DRIVER_FEATURES_SEL:
        t->driver_word = val;
        break;
    case R_DRIVER_FEATURES:
        virtio_set_features(v, t->driver_word, val);
        break;
    case R_QUEUE_SEL:
        t->queue_sel = val;
        break;
    case R_QUEUE_NOTIFY:
        virtio_kick(v, val);
        break;
    case R_INTERRUPT_ACK:
        set_isr(t, t->isr & (u8)~val);
        break;
    case R_STATUS:
        if (!(u8)val)
            forget(t);
        virtio_set_status(v, (u8)val);
        break;
    default:
        queue_write(t, off, val);
    }
}

static void virtio_mmio_reset(struct device *d)
{
    forget((struct virtio_mmio *)d);
}

static bool virtio_mmio_loaded(struct device *d)
{
    struct virtio_mmio *t = (struct virtio_mmio *)d;
    set_isr(t, t->isr & (ISR_QUEUE | ISR_CONFIG));
    return true;
}

static void virtio_mmio_destroy(struct device *d)
{
    struct virtio_mmio *t = (struct virtio_mmio *)d;
    virtio_attach(t->v, t->v->mem, NULL, NULL);
    t->v->dma = false;
    free(t);
}

static const struct field virtio_mmio_state[] = {
    FIELD_U(struct virtio_mmio, isr), FIELD_U(struct virtio_mmio, queue_sel),
    FIELD_U(struct virtio_mmio, device_word), FIELD_U(struct virtio_mmio, driver_word), FIELD_END};

static const struct device_ops virtio_mmio_ops = {
    .name = "virtio-mmio",
    .reset = virtio_mmio_reset,
    .read = virtio_mmio_peek, /* reads have no effects here */
    .write = virtio_mmio_write,
    .peek = virtio_mmio_peek,
    .state = virtio_mmio_state,
    .loaded = virtio_mmio_loaded,
    .destroy = virtio_mmio_destroy,
};

struct device *virtio_mmio_new(struct space *mem, u64 base, struct irq irq, struct virtio_dev *v)
{
    struct virtio_mmio *t = calloc(1, sizeof(*t));
    CHECK(t);
    t->dev.ops = &virtio_mmio_ops;
    t->v = v;
    t->irq = irq;
    space_map_io(mem, base, VIRTIO_MMIO_SIZE, &t->dev, 0, 4, 0);
    virtio_attach(v, mem, interrupt, t);
    v->dma = true;
    return &t->dev;
}
