/*
 * devices/virtio/balloon.h - memory that the guest gives back to the host.
 *
 * You are here: the board makes one and gives it a transport (virtio.h). Pages in the balloon, and
 * free pages that the guest reports, are taken out of the host's memory (ram_discard); they read as
 * zeros when the guest uses them again.
 */
#ifndef DEVICES_VIRTIO_BALLOON_H
#define DEVICES_VIRTIO_BALLOON_H

#include "base/types.h"

struct virtio_dev;

struct virtio_dev *virtio_balloon_new(void);

/* How much the guest shall give back, in bytes; rounded down to pages. */
void virtio_balloon_set(struct virtio_dev *v, u64 bytes);
/* How much it says it has given, in bytes. */
u64 virtio_balloon_actual(const struct virtio_dev *v);

/* What the guest says of its memory (5.5.6.3); bytes or counts, ~0 for what it has not said. */
enum {
    BALLOON_SWAP_IN,
    BALLOON_SWAP_OUT,
    BALLOON_MAJOR_FAULTS,
    BALLOON_MINOR_FAULTS,
    BALLOON_FREE,
    BALLOON_TOTAL,
    BALLOON_AVAILABLE,
    BALLOON_CACHES,
    BALLOON_HUGE_ALLOC,
    BALLOON_HUGE_FAIL,
    BALLOON_STATS
};
u64 virtio_balloon_stat(const struct virtio_dev *v, int stat);
/* Asks for new ones; they come later. */
void virtio_balloon_refresh(struct virtio_dev *v);

#endif
