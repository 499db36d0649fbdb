/*
 * frontends/nbd.h - disks that another program serves over the network block device protocol.
 *
 * You are here: drive.c opens one where a file's name is an NBD address. With qemu-nbd or nbdkit at
 * the other end a disk can be of any format they know (qcow2, vmdk, ...).
 */
#ifndef FRONTENDS_NBD_H
#define FRONTENDS_NBD_H

#include "base/status.h"
#include "bus/backend.h"

/* Whether a name is an address: nbd:unix:PATH, nbd:HOST:PORT, nbd://..., nbds://..., nbd+unix://...
 */
bool nbd_is_address(const char *name);

/* Connects. ST_UNSUP when this build cannot; ST_ACCESS when the server gives it read-only and
 * readonly was not said. Writes that were not flushed may be lost with the server. */
enum status block_open_nbd(const char *address, bool readonly, struct block **out,
                           struct error *err);

#endif
