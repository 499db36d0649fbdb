/*
 * devices/virtio/virtio.c - what every virtio device has, whatever its model and its transport:
 * status, features, configuration, queue set-up.
 *
 * What it is not: the rings' contents (virtq.c), registers (virtio_pci.c, virtio_mmio.c).
 *
 * Invariants: regs[q].size is a power of 2 of at most queue_max; a ring that is ready is aligned;
 * features is a subset of offered.
 *
 * Manual: VIRTIO 1.2, sections 2.1 to 2.5, 2.7.2 (legacy layout), 3.
 */
#include "devices/virtio/virtio.h"
#include "base/bits.h"
#include "base/log.h"

#include <string.h>

_Static_assert(sizeof(struct virtq_regs) == 40, "saved as bytes: no padding");

void virtio_init(struct virtio_dev *v, const struct device_ops *dev_ops,
                 const struct virtio_dev_ops *ops, int queues, u16 queue_max)
{
    CHECK(queues >= 1 && queues <= VIRTIO_QUEUES && ops->config_size <= VIRTIO_CONFIG);
    CHECK(is_pow2(queue_max) && queue_max <= VIRTQ_MAX);
    *v = (struct virtio_dev){
        .dev.ops = dev_ops, .ops = ops, .queues = queues, .queue_max = queue_max};
    v->offered =
        BIT64(VIRTIO_F_VERSION_1) | BIT64(VIRTIO_F_INDIRECT_DESC) | BIT64(VIRTIO_F_EVENT_IDX);
    for (int q = 0; q < VIRTIO_QUEUES; q++) {
        v->vq[q] = (struct virtqueue){.dev = v, .r = &v->regs[q], .index = q};
        v->regs[q].size = queue_max;
    }
}

void virtio_attach(struct virtio_dev *v, struct space *mem, void (*irq)(void *ctx, int q),
                   void *ctx)
{
    v->mem = mem;
    v->irq = irq;
    v->irq_ctx = ctx;
}

/* ---- reset, status, features --------------------------------------------------------------------
 */
static void reset(struct virtio_dev *v)
{
    v->status = 0;
    v->features = 0;
    memset(v->regs, 0, sizeof(v->regs));
    for (int q = 0; q < VIRTIO_QUEUES; q++)
        v->regs[q].size = v->queue_max;
    if (v->ops->reset)
        v->ops->reset(v);
}

void virtio_dev_reset(struct device *d)
{
    reset((struct virtio_dev *)d);
}

void virtio_set_status(struct virtio_dev *v, u8 status)
{
    u8 old = v->status;
    if (!status) {
        reset(v);
        return;
    }
    /* the driver cannot take NEEDS_RESET back, nor any bit but by a reset (2.1.1) */
    v->status |= status & (u8)~VIRTIO_S_NEEDS_RESET;
    if (!(old & VIRTIO_S_FEATURES_OK) && (v->status & VIRTIO_S_FEATURES_OK) &&
        virtio_is_legacy(v)) /* that bit is not a legacy driver's: a modern one must accept 1.0 */
        v->status &= (u8)~VIRTIO_S_FEATURES_OK;
    if (v->status != old && v->ops->status)
        v->ops->status(v, old);
}

void virtio_set_features(struct virtio_dev *v, u32 word, u32 bits)
{
    if (word > 1 || (v->status & VIRTIO_S_FEATURES_OK))
        return;
    u64 mask = word ? ~0ull << 32 : UINT32_MAX;
    v->features = (v->features & ~mask) | ((u64)bits << (32 * word) & v->offered & mask);
}

void virtio_config_changed(struct virtio_dev *v)
{
    v->generation++;
    if ((v->status & VIRTIO_S_DRIVER_OK) && v->irq)
        v->irq(v->irq_ctx, -1);
}

void virtio_broken(struct virtio_dev *v, const char *why)
{
    if (v->status & VIRTIO_S_NEEDS_RESET)
        return;
    log_guest("%s: %s: the device needs a reset", v->dev.ops->name, why);
    v->status |= VIRTIO_S_NEEDS_RESET;
    if ((v->status & VIRTIO_S_DRIVER_OK) && v->irq)
        v->irq(v->irq_ctx, -1);
}

static bool misaligned(const struct virtq_regs *r)
{
    return (r->desc & 15) || (r->avail & 1) || (r->used & 3);
}

bool virtio_dev_loaded(struct device *d)
{
    struct virtio_dev *v = (struct virtio_dev *)d;
    v->features &= v->offered;
    for (int q = 0; q < VIRTIO_QUEUES; q++) {
        struct virtq_regs *r = &v->regs[q];
        if (q >= v->queues || !is_pow2(r->size) || r->size > v->queue_max || misaligned(r))
            *r = (struct virtq_regs){.size = v->queue_max};
        r->ready = r->ready != 0;
        r->signalled_valid = r->signalled_valid != 0;
    }
    return true;
}

/* ---- configuration
 * -------------------------------------------------------------------------------- */
u32 virtio_config_read(struct virtio_dev *v, u32 off, int size)
{
    u8 cfg[VIRTIO_CONFIG + 4] = {0};
    if (off >= v->ops->config_size)
        return 0;
    if (v->ops->config)
        v->ops->config(v, cfg);
    return (u32)ld_le(cfg + off, size);
}

void virtio_config_write(struct virtio_dev *v, u32 off, u32 val, int size)
{
    if (off < v->ops->config_size && (u32)size <= v->ops->config_size - off && v->ops->config_write)
        v->ops->config_write(v, off, val, size);
}

/* ---- queues
 * ---------------------------------------------------------------------------------------- */
void virtq_set_size(struct virtio_dev *v, u32 q, u32 size)
{
    if (q < (u32)v->queues && !v->regs[q].ready && is_pow2(size) && size <= v->queue_max)
        v->regs[q].size = (u16)size;
}

void virtq_enable(struct virtio_dev *v, u32 q, bool on)
{
    if (q >= (u32)v->queues || v->regs[q].ready == on)
        return;
    struct virtq_regs *r = &v->regs[q];
    if (on && misaligned(r)) {
        virtio_broken(v, "a ring is not aligned");
        return;
    }
    r->ready = on;
    v->vq[q].epoch++;
    r->last_avail = r->used_idx = r->signalled = 0;
    r->signalled_valid = false;
}

void virtq_set_legacy(struct virtio_dev *v, u32 q, u64 addr, u32 align)
{
    if (q >= (u32)v->queues)
        return;
    struct virtq_regs *r = &v->regs[q];
    virtq_enable(v, q, false);
    if (!is_pow2(align) || align < 4)
        return;
    r->desc = addr;
    r->avail = addr + 16 * (u64)r->size;
    r->used = align_up(r->avail + 6 + 2 * (u64)r->size, align);
    if (addr)
        virtq_enable(v, q, true);
}

void virtio_kick(struct virtio_dev *v, u32 q)
{
    if (q < (u32)v->queues && virtq_ready(&v->vq[q]) && v->ops->notify)
        v->ops->notify(v, (int)q);
}
