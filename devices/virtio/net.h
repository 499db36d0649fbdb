/*
 * devices/virtio/net.h - a virtio network card.
 *
 * You are here: the board makes one for each card and gives it a transport (virtio.h).
 */
#ifndef DEVICES_VIRTIO_NET_H
#define DEVICES_VIRTIO_NET_H

#include "base/types.h"

struct netdev;
struct virtio_dev;

/* mac: 6 bytes. net: borrowed, NULL: no cable; its device side is the card's until the card is
 * destroyed. Its mtu, if it has one, is told to the driver (VIRTIO_NET_F_MTU). */
struct virtio_dev *virtio_net_new(const u8 *mac, struct netdev *net);

#endif
