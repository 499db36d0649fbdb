/*
 * devices/virtio/p9.h - a folder of the host as a file system of the guest (virtio-9p).
 *
 * You are here: the board makes one for each shared folder and gives it a transport (virtio.h). In
 * a Linux guest: mount -t 9p -o trans=virtio,version=9p2000.L TAG /mnt.
 *
 * What the guest can reach: the folder and all below it, mounted file systems too. It never leaves
 * it: names have no "/" and are not "..", each is looked up by itself beneath its folder, symbolic
 * links are never followed by the host. It opens regular files and folders only (no devices, no
 * FIFOs), cannot make devices, and never sets the set-user-id and set-group-id bits.
 */
#ifndef DEVICES_VIRTIO_P9_H
#define DEVICES_VIRTIO_P9_H

#include "base/status.h"
#include "base/types.h"

struct virtio_dev;

enum { VIRTIO_9P_TAG = 32 }; /* characters */

/* Files have their owners of the host; new ones belong to the process, and a guest that sets
 * another owner without the host's permission is told that it worked (as on file systems without
 * owners). Each file the guest holds takes up to two of the process's descriptors, of which it gets
 * at most half. The folder must exist; tag: 1..VIRTIO_9P_TAG characters. Open files are not saved
 * state: after a restore the guest's are stale. */
enum status virtio_9p_new(const char *path, const char *tag, bool readonly, struct virtio_dev **out,
                          struct error *err);

#endif
