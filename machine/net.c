/*
 * machine/net.c - from struct vm_nic to network cards in their slots.
 */
#include "bus/backend.h"
#include "devices/e1000.h"
#include "devices/virtio/net.h"
#include "machine/vm_priv.h"

enum status net_add_cards(struct vm *vm, struct error *err)
{
    for (int k = 0; k < VM_MAX_NIC; k++) {
        const struct vm_nic *n = &vm->cfg.nic[k];
        if ((n->model == VM_NIC_E1000 && !vm->pci) ||
            (n->model == VM_NIC_VIRTIO && !vm->place_virtio))
            return fail(err, ST_UNSUP, "this machine has no place for %s",
                        n->model == VM_NIC_E1000 ? "an e1000 card; model=virtio may do"
                                                 : "a virtio network card");
    }
    for (int k = 0; k < VM_MAX_NIC; k++) {
        const struct vm_nic *n = &vm->cfg.nic[k];
        if (n->model == VM_NIC_E1000)
            vm_add(vm, e1000_new(vm->pci, pc_free_slot(vm), n->mac, n->net, vm->clk));
        else if (n->model == VM_NIC_VIRTIO)
            vm_place_virtio(vm, virtio_net_new(n->mac, n->net));
    }
    return ST_OK;
}
