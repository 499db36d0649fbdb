/*
 * machine/virtio.h - the virtio devices a machine shall have: part of struct vm_config.
 *
 * You are here: front ends fill it, machine/virtio.c makes the devices, the board gives each its
 * place (PCI slots on a pc, memory-mapped ones on a microvm).
 */
#ifndef MACHINE_VIRTIO_H
#define MACHINE_VIRTIO_H

#include "base/status.h"
#include "base/types.h"
#include "bus/backend.h"

enum { VM_MAX_VIRTIO_DISKS = 8, VM_MAX_VIRTIO_PORTS = 8, VM_MAX_SHARES = 8 };

struct vm_virtio_disk {
    struct block *block; /* owned by the VM once vm_new succeeded; NULL: none */
    const char
        *serial; /* what the guest reads as the disk's id, up to 20 characters; may be NULL */
    int queues;  /* 1..16; 0 stands for 1 */
};

/* A port of the virtio console. */
struct vm_virtio_port {
    struct chardev *chr; /* borrowed until vm_free; NULL: connected to nothing */
    const char *name;    /* of a plain stream; NULL: none */
    bool console;        /* a terminal: hvc0, hvc1 ... */
};

/* A folder of the host that the guest can mount. */
struct vm_share {
    const char *path, *tag; /* path NULL: none */
    bool readonly;
};

/* Strings are used during vm_new only. */
struct vm_virtio {
    struct vm_virtio_disk disk[VM_MAX_VIRTIO_DISKS];
    struct vm_virtio_port port[VM_MAX_VIRTIO_PORTS];
    int n_ports; /* 0: no console device */
    struct vm_share share[VM_MAX_SHARES];
    struct vsock_host *vsock; /* borrowed until vm_free; NULL: no socket device */
    u32 vsock_cid;            /* the guest's address, 3 or more */
    bool balloon;
    u64 balloon_keep; /* bytes of RAM that the guest shall do with from the start; 0: all */
    bool input; /* a keyboard and a tablet; guests that do not use them have those of the board */
    bool rng;   /* icount: the same bytes in every run */
};

struct vm;

/* The balloon; VM's thread only (vm_post). ST_UNSUP without one. keep: bytes of RAM that the guest
 * shall do with. */
enum status vm_balloon(struct vm *vm, u64 keep);

#endif
