/*
 * devices/virtio/blk.c - the virtio block device.
 *
 * What it is: read, write, flush, discard, write-zeroes, get-id on one image, any number of
 * queues. What it is not: secure erase, zones, life time; SCSI commands of before 1.0.
 *
 * Invariants: sectors and lengths are checked before block_*() sees them, and it checks again. A
 * request that was taken is given back before notify() returns. With VIRTIO_BLK_F_FLUSH what the
 * driver wrote is durable once a later flush succeeded; a driver without it gets every write
 * durable before the write is reported done.
 *
 * Manual: VIRTIO 1.2, section 5.2.
 */
#include "devices/virtio/blk.h"
#include "base/bits.h"
#include "base/log.h"
#include "bus/backend.h"
#include "devices/virtio/virtio.h"

#include <stdlib.h>
#include <string.h>

enum {
    F_SEG_MAX = 2,
    F_RO = 5,
    F_BLK_SIZE = 6,
    F_FLUSH = 9,
    F_MQ = 12,
    F_DISCARD = 13,
    F_ZERO = 14
};
enum { T_IN = 0, T_OUT = 1, T_FLUSH = 4, T_GET_ID = 8, T_DISCARD = 11, T_ZERO = 13 };
enum { S_OK = 0, S_IOERR = 1, S_UNSUPP = 2 };
enum { SECTOR = 512, HEADER = 16, ID_SIZE = 20, RANGE_SIZE = 16, MAX_RANGES = 16 };
enum { CONFIG_SIZE = 60, RING = 256 };
/* One discard costs the host little; one write of zeros may cost as many bytes written. */
enum { MAX_DISCARD = 1 << 22, MAX_ZERO = 1 << 16 };
enum { RANGE_UNMAP = 1 };

struct virtio_blk {
    struct virtio_dev v;
    struct block *block;
    char serial[ID_SIZE + 1];
    struct virtq_elem req;
    struct iovec data[VIRTQ_SEGS];
};

static void blk_config(struct virtio_dev *v, u8 *cfg)
{
    struct virtio_blk *s = (struct virtio_blk *)v;
    st_u64(cfg, s->block->size / SECTOR);
    st_u32(cfg + 12, VIRTQ_SEGS - 2); /* seg_max: but for the header and the status */
    st_u32(cfg + 20, SECTOR);
    st_u16(cfg + 34, (u16)v->queues);
    st_u32(cfg + 36, MAX_DISCARD);
    st_u32(cfg + 40, MAX_RANGES);
    st_u32(cfg + 44, 4096 / SECTOR); /* discard alignment */
    st_u32(cfg + 48, MAX_ZERO);
    st_u32(cfg + 52, MAX_RANGES);
    cfg[56] = 1; /* write-zeroes may unmap */
}

static u8 result(enum status st)
{
    return st == ST_OK ? S_OK : S_IOERR;
}

/* Whether [sector, sector + bytes) lies on the disk; its byte offset. */
static bool place(const struct virtio_blk *s, u64 sector, u64 bytes, u64 *off)
{
    u64 sectors = s->block->size / SECTOR;
    if (bytes % SECTOR || sector > sectors || bytes / SECTOR > sectors - sector)
        return false;
    *off = sector * SECTOR;
    return true;
}

static u8 transfer(struct virtio_blk *s, u64 sector, bool write)
{
    struct virtq_elem *e = &s->req;
    u64 len = write ? e->out_len - HEADER : e->in_len - 1, off;
    int n;

    if (!place(s, sector, len, &off))
        return S_IOERR;
    if (!write) {
        n = virtq_slice(e->in, e->n_in, 0, len, s->data);
        return result(block_readv(s->block, off, s->data, n));
    }
    n = virtq_slice(e->iov, e->n_out, HEADER, len, s->data);
    enum status st = block_writev(s->block, off, s->data, n);
    if (st == ST_OK && !virtio_has(&s->v, F_FLUSH))
        st = block_flush(s->block);
    return result(st);
}

/* Discard and write-zeroes: a list of ranges. All are looked at before the first is acted on. */
static u8 ranges(struct virtio_blk *s, bool zero)
{
    struct virtq_elem *e = &s->req;
    u64 len = e->out_len - HEADER, off;
    u8 list[MAX_RANGES * RANGE_SIZE];

    if (!len || len % RANGE_SIZE || len > sizeof(list))
        return S_IOERR;
    virtq_read(e, HEADER, list, len);
    for (const u8 *p = list; p < list + len; p += RANGE_SIZE) {
        u32 sectors = ld_u32(p + 8), flags = ld_u32(p + 12);
        if ((flags & ~(u32)(zero ? RANGE_UNMAP : 0)))
            return S_UNSUPP;
        if (sectors > (u32)(zero ? MAX_ZERO : MAX_DISCARD) ||
            !place(s, ld_u64(p), (u64)sectors * SECTOR, &off))
            return S_IOERR;
    }
    for (const u8 *p = list; p < list + len; p += RANGE_SIZE) {
        u64 bytes = (u64)ld_u32(p + 8) * SECTOR;
        off = ld_u64(p) * SECTOR;
        enum status st = zero ? block_zero(s->block, off, bytes, ld_u32(p + 12) & RANGE_UNMAP)
                              : block_discard(s->block, off, bytes);
        if (st == ST_OK && zero && !virtio_has(&s->v, F_FLUSH))
            st = block_flush(s->block);
        if (st != ST_OK)
            return S_IOERR;
    }
    return S_OK;
}

static u8 get_id(struct virtio_blk *s)
{
    char id[ID_SIZE];
    if (s->req.in_len < ID_SIZE + 1)
        return S_IOERR;
    memcpy(id, s->serial, ID_SIZE);
    virtq_write(&s->req, 0, id, ID_SIZE);
    return S_OK;
}

static u8 serve(struct virtio_blk *s)
{
    u8 header[HEADER];
    virtq_read(&s->req, 0, header, HEADER);
    u64 sector = ld_u64(header + 8);
    switch (ld_u32(header)) {
    case T_IN:
        return transfer(s, sector, false);
    case T_OUT:
        return transfer(s, sector, true);
    case T_FLUSH:
        return result(block_flush(s->block));
    case T_GET_ID:
        return get_id(s);
    case T_DISCARD:
        return virtio_has(&s->v, F_DISCARD) ? ranges(s, false) : S_UNSUPP;
    case T_ZERO:
        return virtio_has(&s->v, F_ZERO) ? ranges(s, true) : S_UNSUPP;
    default:
        return S_UNSUPP;
    }
}

static void blk_notify(struct virtio_dev *v, int q)
{
    struct virtio_blk *s = (struct virtio_blk *)v;
    struct virtqueue *vq = &v->vq[q];
    while (virtq_pop(vq, &s->req)) {
        if (s->req.out_len < HEADER || !s->req.in_len) {
            virtio_broken(v, "a request without its header or its status");
            return;
        }
        u8 status = serve(s);
        virtq_write(&s->req, s->req.in_len - 1, &status, 1);
        virtq_push(vq, &s->req, s->req.in_len);
    }
    virtq_notify(vq);
}

static void blk_destroy(struct device *d)
{
    struct virtio_blk *s = (struct virtio_blk *)d;
    block_close(s->block);
    free(s);
}

static const struct field blk_state[] = {VIRTIO_FIELDS(struct virtio_blk, v), FIELD_END};

static const struct device_ops blk_dev_ops = {
    .name = "virtio-blk",
    .reset = virtio_dev_reset,
    .state = blk_state,
    .loaded = virtio_dev_loaded,
    .destroy = blk_destroy,
};

static const struct virtio_dev_ops blk_ops = {
    .id = VIRTIO_ID_BLOCK,
    .config_size = CONFIG_SIZE,
    .pci_class = 0x010000,
    .config = blk_config,
    .notify = blk_notify,
};

struct virtio_dev *virtio_blk_new(const struct virtio_blk_config *c)
{
    struct virtio_blk *s = calloc(1, sizeof(*s));
    CHECK(s && c->queues >= 1 && c->queues <= VIRTIO_BLK_QUEUES);
    virtio_init(&s->v, &blk_dev_ops, &blk_ops, c->queues, RING);
    s->block = c->block;
    if (c->serial)
        strncpy(s->serial, c->serial, ID_SIZE);
    s->v.offered |= BIT64(F_SEG_MAX) | BIT64(F_BLK_SIZE) | BIT64(F_FLUSH);
    if (c->queues > 1)
        s->v.offered |= BIT64(F_MQ);
    s->v.offered |= s->block->readonly ? BIT64(F_RO) : BIT64(F_DISCARD) | BIT64(F_ZERO);
    return &s->v;
}
