/*
 * devices/virtio/input.h - a virtio keyboard or tablet.
 *
 * You are here: the board makes them and gives each a transport (virtio.h); what a person does
 * arrives through the input_sink (bus/backend.h).
 */
#ifndef DEVICES_VIRTIO_INPUT_H
#define DEVICES_VIRTIO_INPUT_H

#include "base/types.h"

struct input_sink;
struct virtio_dev;

enum virtio_input_kind {
    VIRTIO_KEYBOARD,
    VIRTIO_TABLET /* an absolute pointer with three buttons and a wheel */
};
struct virtio_dev *virtio_input_new(enum virtio_input_kind kind);

/* The device's end: `key` of a keyboard, `tablet` of a tablet; the rest is NULL. */
struct input_sink *virtio_input_sink(struct virtio_dev *v);
/* The guest has a driver for it that listens. */
bool virtio_input_active(const struct virtio_dev *v);

#endif
