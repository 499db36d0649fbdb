/*
 * devices/virtio/balloon.c - the virtio balloon device.
 *
 * What it is: inflate and deflate, statistics, free page reporting. What it is not: free page
 * hinting (for migration), page poisoning.
 *
 * Invariants: only pages that are plain guest RAM are discarded, whole ones; the guest loses what
 * was in them and nothing else. The statistics buffer stays the guest's (it is looked at and put
 * back) until new statistics are asked for.
 *
 * Manual: VIRTIO 1.2, section 5.5.
 */
#include "devices/virtio/balloon.h"
#include "base/bits.h"
#include "base/log.h"
#include "bus/space.h"
#include "devices/virtio/virtio.h"

#include <stdlib.h>
#include <string.h>

enum { F_STATS = 1, F_DEFLATE_ON_OOM = 2, F_REPORTING = 5 };
enum { Q_INFLATE = 0, Q_DEFLATE = 1, Q_STATS = 2, QUEUES = 4, RING = 128 };
enum {
    CONFIG_SIZE = 8,
    C_TARGET = 0,
    C_ACTUAL = 4,
    STAT_SIZE = 10,
    MAX_STATS = 32,
    MAX_LIST = 1 << 18
};

struct virtio_balloon {
    struct virtio_dev v;
    u32 target, actual; /* pages */
    u64 stats[BALLOON_STATS];
    struct virtq_elem req;
};

/* ---- pages
 * ------------------------------------------------------------------------------------------ */
static void discard(struct virtio_balloon *s, u64 pfn, u64 pages)
{
    struct ram *ram;
    u64 off;
    if (!pages)
        return;
    if (space_ram_ptr(s->v.mem, pfn << PAGE_SHIFT, pages << PAGE_SHIFT, &ram, &off))
        ram_discard(ram, off, pages << PAGE_SHIFT);
    else
        for (u64 k = 0; pages > 1 && k < pages; k++) /* a hole somewhere */
            discard(s, pfn + k, 1);
}

/* A request is a list of page numbers; runs of neighbours, either way, are discarded at once. What
 * is beyond a length that no driver uses is left as it is. */
static void inflate(struct virtio_balloon *s)
{
    u32 list[256];
    u64 first = 0, n = 0, at = 0;
    for (size_t got; at < MAX_LIST && (got = virtq_read(&s->req, at, list, sizeof(list))) >= 4;
         at += got) {
        for (size_t k = 0; k < got / 4; k++) {
            u64 pfn = list[k];
            if (n && pfn == first + n) {
                n++;
            } else if (n && pfn + 1 == first) {
                first--;
                n++;
            } else {
                discard(s, first, n);
                first = pfn;
                n = 1;
            }
        }
    }
    discard(s, first, n);
}

/* Reported pages: the segments themselves are free memory. */
static void reported(struct virtio_balloon *s)
{
    for (int k = s->req.n_out; k < s->req.n_out + s->req.n_in; k++)
        ram_discard(s->req.at[k].ram, s->req.at[k].off, s->req.iov[k].iov_len);
}

/* ---- statistics
 * --------------------------------------------------------------------------------------- */
static void take_stats(struct virtio_balloon *s, struct virtqueue *vq)
{
    if (!virtq_pop(vq, &s->req))
        return;
    u8 e[STAT_SIZE];
    for (int k = 0; k < MAX_STATS; k++) {
        if (virtq_read(&s->req, (u64)k * STAT_SIZE, e, STAT_SIZE) < STAT_SIZE)
            break;
        if (ld_u16(e) < BALLOON_STATS)
            s->stats[ld_u16(e)] = ld_u64(e + 2);
    }
    virtq_unpop(vq);
}

void virtio_balloon_refresh(struct virtio_dev *v)
{
    struct virtio_balloon *s = (struct virtio_balloon *)v;
    struct virtqueue *vq = &v->vq[Q_STATS];
    if (!virtio_has(v, F_STATS) || !virtq_pop(vq, &s->req))
        return;
    virtq_push(vq, &s->req, 0); /* that asks for it again, filled anew */
    virtq_notify(vq);
}

u64 virtio_balloon_stat(const struct virtio_dev *v, int stat)
{
    const struct virtio_balloon *s = (const struct virtio_balloon *)v;
    return stat >= 0 && stat < BALLOON_STATS ? s->stats[stat] : ~0ull;
}

/* ---- the device
 * --------------------------------------------------------------------------------------- */
static void balloon_notify(struct virtio_dev *v, int q)
{
    struct virtio_balloon *s = (struct virtio_balloon *)v;
    struct virtqueue *vq = &v->vq[q];
    /* queues of features that were not accepted do not count */
    bool stats = q == Q_STATS && virtio_has(v, F_STATS);
    bool reports = q == Q_STATS + virtio_has(v, F_STATS) && virtio_has(v, F_REPORTING);

    if (stats) {
        take_stats(s, vq);
        return;
    }
    while (virtq_pop(vq, &s->req)) {
        if (q == Q_INFLATE)
            inflate(s);
        else if (reports)
            reported(s);
        virtq_push(vq, &s->req, 0);
    }
    virtq_notify(vq);
}

static void balloon_config(struct virtio_dev *v, u8 *cfg)
{
    struct virtio_balloon *s = (struct virtio_balloon *)v;
    st_u32(cfg + C_TARGET, s->target);
    st_u32(cfg + C_ACTUAL, s->actual);
}

static void balloon_config_write(struct virtio_dev *v, u32 off, u32 val, int size)
{
    struct virtio_balloon *s = (struct virtio_balloon *)v;
    if (off >= C_ACTUAL) {
        u8 b[8];
        st_u32(b, s->actual);
        st_le(b + off - C_ACTUAL, val, size);
        s->actual = ld_u32(b);
    }
}

void virtio_balloon_set(struct virtio_dev *v, u64 bytes)
{
    struct virtio_balloon *s = (struct virtio_balloon *)v;
    s->target = (u32)MIN(bytes >> PAGE_SHIFT, UINT32_MAX);
    virtio_config_changed(v);
}

u64 virtio_balloon_actual(const struct virtio_dev *v)
{
    return (u64)((const struct virtio_balloon *)v)->actual << PAGE_SHIFT;
}

static void balloon_reset(struct virtio_dev *v)
{
    struct virtio_balloon *s = (struct virtio_balloon *)v;
    s->actual = 0;
    memset(s->stats, 0xff, sizeof(s->stats));
}

static void balloon_destroy(struct device *d)
{
    free(d);
}

static const struct field balloon_state[] = {
    VIRTIO_FIELDS(struct virtio_balloon, v), FIELD_U(struct virtio_balloon, target),
    FIELD_U(struct virtio_balloon, actual), FIELD_A(struct virtio_balloon, stats), FIELD_END};

static const struct device_ops balloon_dev_ops = {
    .name = "virtio-balloon",
    .reset = virtio_dev_reset,
    .state = balloon_state,
    .loaded = virtio_dev_loaded,
    .destroy = balloon_destroy,
};

static const struct virtio_dev_ops balloon_ops = {
    .id = VIRTIO_ID_BALLOON,
    .config_size = CONFIG_SIZE,
    .pci_class = 0x00ff00,
    .config = balloon_config,
    .config_write = balloon_config_write,
    .notify = balloon_notify,
    .reset = balloon_reset,
};

struct virtio_dev *virtio_balloon_new(void)
{
    struct virtio_balloon *s = calloc(1, sizeof(*s));
    CHECK(s);
    virtio_init(&s->v, &balloon_dev_ops, &balloon_ops, QUEUES, RING);
    s->v.offered |= BIT64(F_STATS) | BIT64(F_DEFLATE_ON_OOM) | BIT64(F_REPORTING);
    memset(s->stats, 0xff, sizeof(s->stats));
    return &s->v;
}
