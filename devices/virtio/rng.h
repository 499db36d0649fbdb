/*
 * devices/virtio/rng.h - random bytes for the guest.
 *
 * You are here: the board makes one and gives it a transport (virtio.h).
 */
#ifndef DEVICES_VIRTIO_RNG_H
#define DEVICES_VIRTIO_RNG_H

#include "base/types.h"

struct virtio_dev;

/* fixed: the same bytes in every run, for machines that must repeat exactly; else the host's. */
struct virtio_dev *virtio_rng_new(bool fixed);

#endif
