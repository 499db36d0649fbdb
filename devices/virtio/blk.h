/*
 * devices/virtio/blk.h - a virtio disk.
 *
 * You are here: the board makes one for each disk and gives it a transport (virtio.h). Requests go
 * straight between guest RAM and the image: inside the kick where nothing has to be waited for (an
 * image in memory, bytes that the host has cached), and by a thread of the disk's own
 * (bus/worker.h) where the host's storage or another process has to answer.
 */
#ifndef DEVICES_VIRTIO_BLK_H
#define DEVICES_VIRTIO_BLK_H

#include "base/types.h"

struct block;
struct inbox;
struct virtio_dev;

enum { VIRTIO_BLK_QUEUES = 16 };

struct virtio_blk_config {
    struct block *block; /* owned by the device from now on */
    const char *serial;  /* up to 20 characters, what the driver reads as the disk's id; copied */
    int queues;          /* 1..VIRTIO_BLK_QUEUES */
    struct inbox *inbox; /* of the VM's thread; NULL: no thread, every request inside its kick */
};
struct virtio_dev *virtio_blk_new(const struct virtio_blk_config *c);

#endif
