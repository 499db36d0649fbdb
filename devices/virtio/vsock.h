/*
 * devices/virtio/vsock.h - sockets between the guest and the host, without a network.
 *
 * You are here: the board makes one and gives it a transport (virtio.h); connections go to a struct
 * vsock_host (bus/backend.h).
 */
#ifndef DEVICES_VIRTIO_VSOCK_H
#define DEVICES_VIRTIO_VSOCK_H

#include "base/types.h"

struct virtio_dev;
struct vsock_host;

/* cid: the guest's address, 3 or more. host: borrowed; its device side is ours until destroyed. */
struct virtio_dev *virtio_vsock_new(u32 cid, struct vsock_host *host);

#endif
