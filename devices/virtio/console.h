/*
 * devices/virtio/console.h - a virtio console: up to 8 ports, each a byte stream to the host.
 *
 * You are here: the board makes one and gives it a transport (virtio.h). Port 0 is where drivers
 * that know one port only (and early consoles) write.
 */
#ifndef DEVICES_VIRTIO_CONSOLE_H
#define DEVICES_VIRTIO_CONSOLE_H

#include "base/types.h"

struct chardev;
struct virtio_dev;

enum { VIRTIO_CONSOLE_PORTS = 8 };

struct virtio_console_port {
    struct chardev *chr; /* borrowed; NULL: connected to nothing */
    const char *name;    /* what /dev/virtio-ports/ calls it; NULL or "": no name; copied */
    bool console;        /* a terminal (hvcN in Linux), not a plain stream */
};
/* n: 1..VIRTIO_CONSOLE_PORTS. */
struct virtio_dev *virtio_console_new(const struct virtio_console_port *port, int n);

/* The terminal behind port 0 has this size; 0, 0: unknown. */
void virtio_console_resize(struct virtio_dev *v, u16 cols, u16 rows);

#endif
