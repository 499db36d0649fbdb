/*
 * machine/virtio.c - from struct vm_virtio to devices.
 *
 * What it is not: where they are put; that is the board's place_virtio.
 */
#include "machine/virtio.h"
#include "devices/virtio/blk.h"
#include "devices/virtio/console.h"
#include "devices/virtio/p9.h"
#include "devices/virtio/rng.h"
#include "devices/virtio/virtio.h"
#include "machine/vm_priv.h"

#include <stdio.h>

void vm_place_virtio(struct vm *vm, struct virtio_dev *v)
{
    vm_add(vm, &v->dev);
    vm_add(vm, vm->place_virtio(vm, v));
}

enum status virtio_add_devices(struct vm *vm, struct error *err)
{
    const struct vm_virtio *c = &vm->cfg.virtio;
    bool wanted = c->rng || c->n_ports;

    for (int k = 0; k < VM_MAX_VIRTIO_DISKS; k++)
        wanted |= c->disk[k].block != NULL;
    for (int k = 0; k < VM_MAX_SHARES; k++)
        wanted |= c->share[k].path != NULL;
    if (wanted && !vm->place_virtio)
        return fail(err, ST_UNSUP, "this machine has no place for virtio devices");
    if (c->rng)
        vm_place_virtio(vm, virtio_rng_new(vm->cfg.icount));
    if (c->n_ports) {
        struct virtio_console_port port[VM_MAX_VIRTIO_PORTS];
        for (int k = 0; k < c->n_ports; k++)
            port[k] =
                (struct virtio_console_port){c->port[k].chr, c->port[k].name, c->port[k].console};
        vm_place_virtio(vm, virtio_console_new(port, c->n_ports));
    }
    for (int k = 0; k < VM_MAX_SHARES; k++) {
        const struct vm_share *s = &c->share[k];
        struct virtio_dev *v;
        if (!s->path)
            continue;
        enum status st = virtio_9p_new(s->path, s->tag, s->readonly, &v, err);
        if (st != ST_OK)
            return st;
        vm_place_virtio(vm, v);
    }
    return ST_OK;
}

void virtio_add_disks(struct vm *vm)
{
    for (int k = 0; k < VM_MAX_VIRTIO_DISKS; k++) {
        const struct vm_virtio_disk *d = &vm->cfg.virtio.disk[k];
        char serial[16];
        snprintf(serial, sizeof(serial), "trivisor-%d", k);
        if (d->block)
            vm_place_virtio(vm, virtio_blk_new(&(struct virtio_blk_config){
                                    d->block, d->serial ? d->serial : serial, MAX(d->queues, 1)}));
    }
}
