/*
 * devices/virtio/blk.c - the virtio block device.
 *
 * What it is: read, write, flush, discard, write-zeroes, get-id on one image, any number of
 * queues. What it is not: secure erase, zones, life time; SCSI commands of before 1.0.
 *
 * Threads: queues and registers are the VM's thread's. A request that may have to wait is run by
 * the disk's worker, which touches the image and the request's own segments and nothing else; its
 * end comes back to the VM's thread. Reads of what the host has cached, and everything on an image
 * in memory, are served inside the kick, because handing one over costs more than it takes.
 *
 * Invariants: sectors and lengths are checked before block_*() sees them, and it checks again. A
 * request that was taken is given back, or was of a queue that has been stopped since. With
 * VIRTIO_BLK_F_FLUSH what the driver was told is written is durable once a later flush succeeded
 * (one worker, in order); a driver without it gets every write durable before it is reported done.
 * Nothing is under way after a reset, quiesce() or destroy().
 *
 * Manual: VIRTIO 1.2, section 5.2.
 */
#include "devices/virtio/blk.h"
#include "base/bits.h"
#include "base/log.h"
#include "bus/backend.h"
#include "bus/worker.h"
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
enum { IN_FLIGHT = 64 };

/* One request, from its queue to its end. */
struct request {
    struct job job; /* first */
    struct virtio_blk *s;
    struct request *next_free;
    int queue;
    u32 epoch; /* of the queue when it was taken */
    u32 type;
    u64 sector;
    bool durable; /* a write is, when it is reported done */
    bool may_discard, may_zero;
    u8 status;
    struct virtq_elem e;
    struct iovec data[VIRTQ_SEGS];
};

struct virtio_blk {
    struct virtio_dev v;
    struct block *block;
    char serial[ID_SIZE + 1];
    struct worker *worker; /* NULL: none is needed */
    struct request *free;  /* made so far and not under way */
    int made, under_way;
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

/* wait: false, and it cannot be done at once: false is returned. */
static bool transfer(struct request *r, bool write, bool wait)
{
    struct virtio_blk *s = r->s;
    struct virtq_elem *e = &r->e;
    u64 len = write ? e->out_len - HEADER : e->in_len - 1, off;
    enum status st;

    r->status = S_IOERR;
    if (!place(s, r->sector, len, &off))
        return true;
    if (write) {
        if (!wait)
            return false;
        int n = virtq_slice(e->iov, e->n_out, HEADER, len, r->data);
        st = block_writev(s->block, off, r->data, n);
        if (st == ST_OK && r->durable)
            st = block_flush(s->block);
    } else {
        int n = virtq_slice(e->in, e->n_in, 0, len, r->data);
        st = wait ? block_readv(s->block, off, r->data, n)
                  : block_try_readv(s->block, off, r->data, n);
        if (st == ST_BUSY && !wait)
            return false;
    }
    r->status = result(st);
    return true;
}

/* Discard and write-zeroes: a list of ranges. All are looked at before the first is acted on. */
static u8 ranges(struct request *r, bool zero)
{
    struct virtio_blk *s = r->s;
    struct virtq_elem *e = &r->e;
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
        if (st == ST_OK && zero && r->durable)
            st = block_flush(s->block);
        if (st != ST_OK)
            return S_IOERR;
    }
    return S_OK;
}

static u8 get_id(struct request *r)
{
    char id[ID_SIZE];
    if (r->e.in_len < ID_SIZE + 1)
        return S_IOERR;
    memcpy(id, r->s->serial, ID_SIZE);
    virtq_write(&r->e, 0, id, ID_SIZE);
    return S_OK;
}

/* False: it must wait, and was not done (wait is false). */
static bool serve(struct request *r, bool wait)
{
    switch (r->type) {
    case T_IN:
    case T_OUT:
        return transfer(r, r->type == T_OUT, wait);
    case T_GET_ID:
        r->status = get_id(r);
        return true;
    case T_FLUSH:
        if (wait)
            r->status = result(block_flush(r->s->block));
        return wait;
    case T_DISCARD:
    case T_ZERO:
        r->status = S_UNSUPP;
        if (!(r->type == T_ZERO ? r->may_zero : r->may_discard))
            return true;
        if (wait)
            r->status = ranges(r, r->type == T_ZERO);
        return wait;
    default:
        r->status = S_UNSUPP;
        return true;
    }
}

/* ---- a request's life --------------------------------------------------------------------------
 */
static void on_done(struct job *j);

static void on_worker(struct job *j)
{
    serve((struct request *)j, true);
}

/* NULL: as many as may be are under way. */
static struct request *new_request(struct virtio_blk *s)
{
    struct request *r = s->free;
    if (r) {
        s->free = r->next_free;
        return r;
    }
    if (s->made == IN_FLIGHT)
        return NULL;
    r = malloc(sizeof(*r));
    CHECK(r || s->made); /* the first is made with the device */
    if (!r)
        return NULL;
    s->made++;
    r->s = s;
    r->job = (struct job){.run = on_worker, .done = on_done};
    return r;
}

static void free_request(struct request *r)
{
    r->next_free = r->s->free;
    r->s->free = r;
}

static void finish(struct request *r)
{
    struct virtqueue *vq = &r->s->v.vq[r->queue];
    virtq_write(&r->e, r->e.in_len - 1, &r->status, 1);
    if (r->epoch == vq->epoch)
        virtq_push(vq, &r->e, r->e.in_len);
    else
        virtq_drop(&r->e, r->e.in_len);
    free_request(r);
}

static void blk_notify(struct virtio_dev *v, int q)
{
    struct virtio_blk *s = (struct virtio_blk *)v;
    struct virtqueue *vq = &v->vq[q];
    struct request *r;
    while ((r = new_request(s))) {
        u8 header[HEADER];
        if (!virtq_pop(vq, &r->e)) {
            free_request(r);
            break;
        }
        if (r->e.out_len < HEADER || !r->e.in_len) {
            free_request(r);
            virtio_broken(v, "a request without its header or its status");
            return;
        }
        virtq_read(&r->e, 0, header, HEADER);
        r->type = ld_u32(header);
        r->sector = ld_u64(header + 8);
        r->queue = q;
        r->epoch = vq->epoch;
        r->durable = !virtio_has(v, F_FLUSH);
        r->may_discard = virtio_has(v, F_DISCARD);
        r->may_zero = virtio_has(v, F_ZERO);
        if (serve(r, !s->worker)) {
            finish(r);
        } else {
            s->under_way++;
            worker_submit(s->worker, &r->job);
        }
    }
    virtq_notify(vq);
}

static void on_done(struct job *j)
{
    struct request *r = (struct request *)j;
    struct virtio_blk *s = r->s;
    int q = r->queue;
    bool all_busy = !s->free;
    s->under_way--;
    finish(r);
    virtq_notify(&s->v.vq[q]);
    for (int k = 0; all_busy && k < s->v.queues; k++) /* some may have been left in the queues */
        if (virtq_pending(&s->v.vq[k]))
            blk_notify(&s->v, k);
}

static void blk_quiesce(struct device *d)
{
    struct virtio_blk *s = (struct virtio_blk *)d;
    if (s->worker)
        worker_finish(s->worker);
}

/* The queues have been stopped: what is under way comes to nothing, but is waited for. */
static void blk_reset(struct virtio_dev *v)
{
    for (int q = 0; q < v->queues; q++)
        v->vq[q].epoch++;
    blk_quiesce(&v->dev);
}

static bool blk_loaded(struct device *d)
{
    blk_reset((struct virtio_dev *)d);
    return virtio_dev_loaded(d);
}

static void blk_destroy(struct device *d)
{
    struct virtio_blk *s = (struct virtio_blk *)d;
    for (int q = 0; q < s->v.queues; q++) {
        s->v.regs[q].ready = false; /* no more are taken */
        s->v.vq[q].epoch++;
    }
    worker_free(s->worker);
    while (s->free) {
        struct request *r = s->free;
        s->free = r->next_free;
        free(r);
    }
    block_close(s->block);
    free(s);
}

static const struct field blk_state[] = {VIRTIO_FIELDS(struct virtio_blk, v), FIELD_END};

static const struct device_ops blk_dev_ops = {
    .name = "virtio-blk",
    .reset = virtio_dev_reset,
    .state = blk_state,
    .quiesce = blk_quiesce,
    .loaded = blk_loaded,
    .destroy = blk_destroy,
};

static const struct virtio_dev_ops blk_ops = {
    .id = VIRTIO_ID_BLOCK,
    .config_size = CONFIG_SIZE,
    .pci_class = 0x010000,
    .config = blk_config,
    .reset = blk_reset,
    .notify = blk_notify,
};

struct virtio_dev *virtio_blk_new(const struct virtio_blk_config *c)
{
    struct virtio_blk *s = calloc(1, sizeof(*s));
    CHECK(s && c->queues >= 1 && c->queues <= VIRTIO_BLK_QUEUES);
    virtio_init(&s->v, &blk_dev_ops, &blk_ops, c->queues, RING);
    s->block = c->block;
    free_request(new_request(s));
    if (c->inbox && c->block->waits)
        s->worker = worker_new(c->inbox); /* none: as without an inbox */
    if (c->serial)
        strncpy(s->serial, c->serial, ID_SIZE);
    s->v.offered |= BIT64(F_SEG_MAX) | BIT64(F_BLK_SIZE) | BIT64(F_FLUSH);
    if (c->queues > 1)
        s->v.offered |= BIT64(F_MQ);
    s->v.offered |= s->block->readonly ? BIT64(F_RO) : BIT64(F_DISCARD) | BIT64(F_ZERO);
    return &s->v;
}
