/*
 * devices/virtio/rng.c - the virtio entropy device.
 *
 * What it is: one queue of buffers filled with the host's random bytes. What it is not: a limit on
 * how many (the host's generator has none that matters); it fills at most 64 KiB of a buffer, which
 * the specification allows.
 *
 * Invariant: with `fixed` the bytes are a function of how many were asked for since the machine was
 * made, which is saved, so that runs repeat exactly.
 *
 * Manual: VIRTIO 1.2, section 5.4.
 */
#include "devices/virtio/rng.h"
#include "base/bits.h"
#include "base/log.h"
#include "devices/virtio/virtio.h"

#include <stdlib.h>
#include <sys/random.h>

enum { RING = 64, MAX_FILL = 64 * 1024, STEP = 256 /* getrandom gives so much at once */ };

struct virtio_rng {
    struct virtio_dev v;
    bool fixed;
    u64 sequence;
    struct virtq_elem req;
};

static bool fill(struct virtio_rng *s, u8 *buf, size_t len)
{
    if (!s->fixed)
        return getrandom(buf, len, 0) == (ssize_t)len;
    for (size_t k = 0; k < len; k++) {
        /* splitmix64 */
        u64 z = s->sequence += 0x9e3779b97f4a7c15;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
        z = (z ^ z >> 27) * 0x94d049bb133111eb;
        buf[k] = (u8)(z ^ z >> 31);
    }
    return true;
}

static void rng_notify(struct virtio_dev *v, int q)
{
    struct virtio_rng *s = (struct virtio_rng *)v;
    struct virtqueue *vq = &v->vq[q];
    while (virtq_pop(vq, &s->req)) {
        u64 len = MIN(s->req.in_len, MAX_FILL), done = 0;
        while (done < len) {
            u8 buf[STEP];
            size_t n = MIN(len - done, STEP);
            if (!fill(s, buf, n))
                break;
            virtq_write(&s->req, done, buf, n);
            done += n;
        }
        virtq_push(vq, &s->req, done);
    }
    virtq_notify(vq);
}

static void rng_destroy(struct device *d)
{
    free(d);
}

static const struct field rng_state[] = {VIRTIO_FIELDS(struct virtio_rng, v),
                                         FIELD_U(struct virtio_rng, sequence), FIELD_END};

static const struct device_ops rng_dev_ops = {
    .name = "virtio-rng",
    .reset = virtio_dev_reset,
    .state = rng_state,
    .loaded = virtio_dev_loaded,
    .destroy = rng_destroy,
};

static const struct virtio_dev_ops rng_ops = {
    .id = VIRTIO_ID_RNG,
    .pci_class = 0x00ff00,
    .notify = rng_notify,
};

struct virtio_dev *virtio_rng_new(bool fixed)
{
    struct virtio_rng *s = calloc(1, sizeof(*s));
    CHECK(s);
    virtio_init(&s->v, &rng_dev_ops, &rng_ops, 1, RING);
    s->fixed = fixed;
    return &s->v;
}
