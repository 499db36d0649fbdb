/*
 * machine/virtio.c - from struct vm_virtio to devices.
 *
 * What it is not: where they are put; that is the board's place_virtio.
 */
#include "machine/virtio.h"
#include "devices/virtio/blk.h"
#include "devices/virtio/balloon.h"
#include "devices/virtio/console.h"
#include "devices/virtio/input.h"
#include "devices/virtio/p9.h"
#include "devices/virtio/rng.h"
#include "devices/virtio/virtio.h"
#include "devices/virtio/vsock.h"
#include "machine/vm_priv.h"

#include <stdio.h>

void vm_place_virtio(struct vm *vm, struct virtio_dev *v)
{
    vm_add(vm, &v->dev);
    vm_add(vm, vm->place_virtio(vm, v));
}

/* ---- input: to the virtio devices while the guest has drivers for them, else to the board's
 * ------- */
static void input_key(void *ctx, u16 usage, bool down)
{
    struct vm *vm = ctx;
    struct input_sink *to = vm->board_input;
    /* what was pressed on one keyboard is released on it */
    if (!down && to && to->key)
        to->key(to->ctx, usage, false);
    if (!down || virtio_input_active(vm->keyboard))
        to = virtio_input_sink(vm->keyboard);
    if (to && to->key)
        to->key(to->ctx, usage, down);
}

static void input_mouse(void *ctx, int dx, int dy, int wheel, u32 buttons)
{
    struct vm *vm = ctx;
    if (vm->board_input && vm->board_input->mouse)
        vm->board_input->mouse(vm->board_input->ctx, dx, dy, wheel, buttons);
}

static void input_tablet(void *ctx, u32 x, u32 y, int wheel, u32 buttons)
{
    struct vm *vm = ctx;
    struct input_sink *to = virtio_input_sink(vm->tablet);
    to->tablet(to->ctx, x, y, wheel, buttons);
}

static bool input_absolute(void *ctx)
{
    struct vm *vm = ctx;
    return virtio_input_active(vm->tablet);
}

static void add_input(struct vm *vm)
{
    vm->keyboard = virtio_input_new(VIRTIO_KEYBOARD);
    vm_place_virtio(vm, vm->keyboard);
    vm->tablet = virtio_input_new(VIRTIO_TABLET);
    vm_place_virtio(vm, vm->tablet);
    vm->board_input = vm->input;
    vm->virtio_input = (struct input_sink){.ctx = vm,
                                           .key = input_key,
                                           .mouse = input_mouse,
                                           .tablet = input_tablet,
                                           .absolute = input_absolute};
    vm->input = &vm->virtio_input;
}

enum status vm_balloon(struct vm *vm, u64 keep)
{
    if (!vm->balloon)
        return ST_UNSUP;
    virtio_balloon_set(vm->balloon, vm->ram->size - MIN(keep, vm->ram->size));
    return ST_OK;
}

enum status virtio_add_devices(struct vm *vm, struct error *err)
{
    const struct vm_virtio *c = &vm->cfg.virtio;
    bool wanted = c->rng || c->n_ports || c->balloon || c->input || c->vsock;

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
    if (c->balloon) {
        vm->balloon = virtio_balloon_new();
        vm_place_virtio(vm, vm->balloon);
        if (c->balloon_keep)
            vm_balloon(vm, c->balloon_keep);
    }
    if (c->input)
        add_input(vm);
    if (c->vsock)
        vm_place_virtio(vm, virtio_vsock_new(c->vsock_cid, c->vsock));
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
                                    .block = d->block,
                                    .serial = d->serial ? d->serial : serial,
                                    .queues = MAX(d->queues, 1),
                                    /* a machine that repeats itself has one thread */
                                    .inbox = vm->cfg.icount ? NULL : vm->inbox}));
    }
}
