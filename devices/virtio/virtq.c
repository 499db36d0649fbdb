/*
 * devices/virtio/virtq.c - split virtqueues from the device's side.
 *
 * What it is: taking requests off the available ring (descriptor chains, indirect tables), giving
 * them back on the used ring, and deciding on interrupts. What it is not: packed rings; queue
 * set-up (virtio.c).
 *
 * Invariants: no address is used before space_ram_ptr() said that the whole range is plain RAM, and
 * the pointer is not kept beyond the call that asked (but in a request's iovecs, for as long as the
 * guest does not run). At most VIRTQ_SEGS descriptors are followed for a request, so loops end. The
 * guest's bytes are read once each and the copy is what is checked.
 *
 * Manual: VIRTIO 1.2, section 2.7; for interrupts 2.7.7, for kicks 2.7.10.
 */
#include "base/bits.h"
#include "bus/space.h"
#include "devices/virtio/virtio.h"

#include <string.h>

enum { DESC_NEXT = 1, DESC_WRITE = 2, DESC_INDIRECT = 4 };
enum { AVAIL_NO_INTERRUPT = 1 };
enum { DESC_SIZE = 16 };
#define MAX_BYTES (4 * GIB)

struct desc {
    u64 addr;
    u32 len;
    u16 flags, next;
};

/* ---- the three parts --------------------------------------------------------------------------
 */
/* Available: flags, idx, ring[size], used_event. */
static u8 *avail_ring(struct virtqueue *vq)
{
    return space_ram_ptr(vq->dev->mem, vq->r->avail, 6 + 2 * (u64)vq->r->size, NULL, NULL);
}

/* Used: flags, idx, {id, len}[size], avail_event. */
static u8 *used_ring(struct virtqueue *vq, struct ram **ram, u64 *off)
{
    return space_ram_ptr(vq->dev->mem, vq->r->used, 6 + 8 * (u64)vq->r->size, ram, off);
}

static u16 load(const u8 *p)
{
    return __atomic_load_n((const u16 *)p, __ATOMIC_ACQUIRE);
}

static void store(u8 *p, u16 v)
{
    __atomic_store_n((u16 *)p, v, __ATOMIC_RELEASE);
}

bool virtq_ready(const struct virtqueue *vq)
{
    const struct virtio_dev *v = vq->dev;
    if (!vq->r->ready || !v->dma || (v->status & (VIRTIO_S_NEEDS_RESET | VIRTIO_S_FAILED)))
        return false;
    /* drivers before 1.0 use their queues before they say DRIVER_OK */
    return (v->status & VIRTIO_S_DRIVER_OK) || virtio_is_legacy(v);
}

/* How many requests wait; 0 also when the ring is broken. *ring: where they are. */
static u16 waiting(struct virtqueue *vq, u8 **ring)
{
    if (!virtq_ready(vq))
        return 0;
    u8 *a = *ring = avail_ring(vq);
    if (!a) {
        virtio_broken(vq->dev, "the available ring is not in RAM");
        return 0;
    }
    u16 n = (u16)(load(a + 2) - vq->r->last_avail);
    if (n > vq->r->size) {
        virtio_broken(vq->dev, "the available index jumped by more than the ring's size");
        return 0;
    }
    return n;
}

/* With event indexes: kick when you pass what was taken. */
static bool ask_for_kick(struct virtqueue *vq)
{
    struct ram *ram;
    u64 off;
    if (!virtio_has(vq->dev, VIRTIO_F_EVENT_IDX))
        return true;
    u8 *u = used_ring(vq, &ram, &off);
    if (!u) {
        virtio_broken(vq->dev, "the used ring is not in RAM");
        return false;
    }
    u64 at = 4 + 8 * (u64)vq->r->size;
    if (load(u + at) != vq->r->last_avail) {
        store(u + at, vq->r->last_avail);
        ram_note_write(ram, off + at, 2);
    }
    return true;
}

bool virtq_pending(struct virtqueue *vq)
{
    u8 *a;
    return waiting(vq, &a) != 0;
}

/* ---- taking a request --------------------------------------------------------------------------
 */
static struct desc get_desc(const u8 *table, u32 i)
{
    const u8 *p = table + (u64)i * DESC_SIZE;
    return (struct desc){ld_u64(p), ld_u32(p + 8), ld_u16(p + 12), ld_u16(p + 14)};
}

/* Adds a descriptor's memory; the reason when it is refused. */
static const char *add_segment(struct virtio_dev *v, struct virtq_elem *e, const struct desc *d)
{
    int k = e->n_out + e->n_in;
    u64 *sum = d->flags & DESC_WRITE ? &e->in_len : &e->out_len;

    if (k == VIRTQ_SEGS)
        return "a descriptor chain is too long or a loop";
    if (!d->len)
        return "a descriptor of length 0";
    if (!(d->flags & DESC_WRITE) && e->n_in)
        return "a readable descriptor after a writable one";
    hva p = space_ram_ptr(v->mem, d->addr, d->len, &e->at[k].ram, &e->at[k].off);
    if (!p)
        return "a descriptor's memory is not plain RAM";
    e->iov[k] = (struct iovec){p, d->len};
    *sum += d->len;
    if (*sum > MAX_BYTES)
        return "a request of more than 4 GiB";
    if (d->flags & DESC_WRITE)
        e->n_in++;
    else
        e->n_out++;
    return NULL;
}

static const char *walk(struct virtqueue *vq, struct virtq_elem *e)
{
    struct virtio_dev *v = vq->dev;
    u32 n = vq->r->size, i = e->head;
    bool indirect = false;
    const u8 *table = space_ram_ptr(v->mem, vq->r->desc, (u64)n * DESC_SIZE, NULL, NULL);

    if (!table)
        return "the descriptor table is not in RAM";
    for (;;) {
        if (i >= n)
            return "a descriptor index beyond the table";
        struct desc d = get_desc(table, i);
        if (d.flags & DESC_INDIRECT) {
            if (indirect || (d.flags & DESC_NEXT) || !virtio_has(v, VIRTIO_F_INDIRECT_DESC))
                return "an indirect descriptor where none may be";
            if (!d.len || d.len % DESC_SIZE || d.len / DESC_SIZE > 0x10000)
                return "an indirect table of a bad length";
            table = space_ram_ptr(v->mem, d.addr, d.len, NULL, NULL);
            if (!table)
                return "an indirect table is not in RAM";
            indirect = true;
            n = d.len / DESC_SIZE;
            i = 0;
            continue;
        }
        const char *why = add_segment(v, e, &d);
        if (why || !(d.flags & DESC_NEXT))
            return why;
        i = d.next;
    }
}

bool virtq_pop(struct virtqueue *vq, struct virtq_elem *e)
{
    u8 *ring;
    u16 n = waiting(vq, &ring);

    if (!n) {
        /* and look again: it may have come before the driver could see the wish for a kick */
        if (!virtq_ready(vq) || !ask_for_kick(vq) || !waiting(vq, &ring))
            return false;
    }
    e->head = load(ring + 4 + 2 * (vq->r->last_avail & (vq->r->size - 1)));
    e->n_out = e->n_in = 0;
    e->out_len = e->in_len = 0;
    const char *why = walk(vq, e);
    if (why) {
        virtio_broken(vq->dev, why);
        return false;
    }
    e->in = e->iov + e->n_out;
    vq->r->last_avail++;
    return true;
}

void virtq_unpop(struct virtqueue *vq)
{
    vq->r->last_avail--;
}

/* ---- giving it back
 * ------------------------------------------------------------------------------ */
static void note_written(const struct virtq_elem *e, u64 written)
{
    for (int k = e->n_out; k < e->n_out + e->n_in && written; k++) {
        u64 n = MIN(written, e->iov[k].iov_len);
        ram_note_write(e->at[k].ram, e->at[k].off, n);
        written -= n;
    }
}

void virtq_push(struct virtqueue *vq, const struct virtq_elem *e, u64 written)
{
    struct ram *ram;
    u64 off;

    note_written(e, written);
    if (!virtq_ready(vq))
        return;
    u8 *u = used_ring(vq, &ram, &off);
    if (!u) {
        virtio_broken(vq->dev, "the used ring is not in RAM");
        return;
    }
    u64 at = 4 + 8 * (u64)(vq->r->used_idx & (vq->r->size - 1));
    st_u32(u + at, e->head);
    st_u32(u + at + 4, (u32)MIN(written, UINT32_MAX));
    ram_note_write(ram, off + at, 8);
    store(u + 2, ++vq->r->used_idx);
    ram_note_write(ram, off + 2, 2);
}

void virtq_drop(const struct virtq_elem *e, u64 written)
{
    note_written(e, written);
}

void virtq_notify(struct virtqueue *vq)
{
    struct virtq_regs *r = vq->r;
    struct virtio_dev *v = vq->dev;
    u16 old = r->signalled, new = r->used_idx;

    if (!virtq_ready(vq) || (r->signalled_valid && old == new))
        return;
    if (!r->signalled_valid && !new && !old)
        return; /* nothing was ever pushed */
    u8 *a = avail_ring(vq);
    if (!a) {
        virtio_broken(v, "the available ring is not in RAM");
        return;
    }
    bool want;
    if (virtio_has(v, VIRTIO_F_EVENT_IDX)) {
        /* the driver's index lies in what was pushed since the last decision (2.7.7.2) */
        u16 event = load(a + 4 + 2 * (u64)r->size);
        want = !r->signalled_valid || (u16)(new - event - 1) < (u16)(new - old);
    } else {
        want = !(load(a) & AVAIL_NO_INTERRUPT);
    }
    r->signalled = new;
    r->signalled_valid = true;
    if (want && v->irq)
        v->irq(v->irq_ctx, vq->index);
}

/* ---- bytes -------------------------------------------------------------------------------------
 */
static size_t copy(const struct iovec *iov, int n, u64 off, u8 *buf, size_t len, bool to_guest)
{
    size_t done = 0;
    for (int k = 0; k < n && done < len; k++) {
        if (off >= iov[k].iov_len) {
            off -= iov[k].iov_len;
            continue;
        }
        size_t part = MIN(len - done, iov[k].iov_len - off);
        if (to_guest)
            memcpy((u8 *)iov[k].iov_base + off, buf + done, part);
        else
            memcpy(buf + done, (u8 *)iov[k].iov_base + off, part);
        done += part;
        off = 0;
    }
    return done;
}

size_t virtq_read(const struct virtq_elem *e, u64 off, void *buf, size_t len)
{
    return copy(e->iov, e->n_out, off, buf, len, false);
}

size_t virtq_write(const struct virtq_elem *e, u64 off, const void *buf, size_t len)
{
    return copy(e->iov + e->n_out, e->n_in, off, (u8 *)buf, len, true);
}

int virtq_slice(const struct iovec *iov, int n, u64 off, u64 len, struct iovec *out)
{
    int m = 0;
    for (int k = 0; k < n && len; k++) {
        if (off >= iov[k].iov_len) {
            off -= iov[k].iov_len;
            continue;
        }
        size_t part = MIN(len, iov[k].iov_len - off);
        out[m++] = (struct iovec){(u8 *)iov[k].iov_base + off, part};
        len -= part;
        off = 0;
    }
    return m;
}
