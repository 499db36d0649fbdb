/*
 * machine/snapshot_parts.c - what a machine consists of to a snapshot: its chips, the CPU, what is
 * the board's own, and its memories.
 *
 * Nothing is listed by hand but what is no device: a chip that is added to a board is in its
 * snapshots by its field table. Names are the chips' with a number for each further one.
 */
#include "machine/snapshot_priv.h"
#include "base/log.h"
#include "cpu/saved.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BOARD_VERSION = 1 };

#define U(m) FIELD_U(struct snap_board, m)
#define B(m) FIELD_B(struct snap_board, m)
static const struct field board_fields[] = {
    U(now),
    U(wall_epoch),
    U(halted_ns),
    U(acpi_rsdp),
    U(events),
    U(exit_code),
    FIELD_BUF(struct snap_board, irq_levels),
    B(hpet_legacy),
    B(ignne),
    FIELD_END,
};
#undef U
#undef B

void snap_board_get(struct snap_board *b, struct vm *vm)
{
    *b = (struct snap_board){.now = clock_now(vm->clk),
                             .wall_epoch = clock_wall_epoch(vm->clk),
                             .halted_ns = vm->halted_ns,
                             .acpi_rsdp = vm->acpi_rsdp,
                             .events = vm->events,
                             .exit_code = (u32)vm->exit_code,
                             .hpet_legacy = vm->hpet_legacy,
                             .ignne = cpu_ignne(vm->cpu)};
    memcpy(b->irq_levels, vm->irq_levels, sizeof(b->irq_levels));
}

void snap_board_set(const struct snap_board *b, struct vm *vm)
{
    clock_set(vm->clk, b->now, b->wall_epoch);
    vm->halted_ns = b->halted_ns;
    vm->acpi_rsdp = b->acpi_rsdp;
    vm->events = b->events & (EV_RESET | EV_POWEROFF | EV_EXIT | EV_TRIPLE | EV_POWER_BUTTON);
    vm->exit_code = (int)b->exit_code;
    vm->hpet_legacy = b->hpet_legacy;
    memcpy(vm->irq_levels, b->irq_levels, sizeof(vm->irq_levels));
    cpu_set_ignne(vm->cpu, b->ignne);
}

static struct snap_part *add_part(struct snap_parts *p, void *base, const struct field *f,
                                  u32 version)
{
    struct snap_part *part = &p->part[p->n++];
    part->base = base;
    part->fields = f;
    part->version = version;
    return part;
}

static void add_device(struct snap_parts *p, struct device *d)
{
    int same = 0;
    if (!d->ops->state && !d->ops->loaded)
        return;
    for (int k = 0; k < p->n; k++)
        same += p->part[k].dev && p->part[k].dev->ops == d->ops;
    struct snap_part *part = add_part(p, d, d->ops->state, d->ops->state_version);
    part->dev = d;
    snprintf(part->name, sizeof(part->name), "chip %s.%d", d->ops->name, same);
    if (d->ops->memory) {
        struct snap_area *a = &p->area[p->n_areas++];
        a->ram = d->ops->memory(d);
        a->size = a->ram->size;
        snprintf(a->name, sizeof(a->name), "memory %s.%d", d->ops->name, same);
    }
}

static void add_bytes(struct snap_parts *p, const char *name, u8 *bytes, u64 size)
{
    if (!bytes)
        return;
    struct snap_area *a = &p->area[p->n_areas++];
    a->bytes = bytes;
    a->size = size;
    snprintf(a->name, sizeof(a->name), "memory %s", name);
}

void snap_parts_init(struct snap_parts *p, struct vm *vm, const struct snap_head *h,
                     struct block *const blocks[SNAPSHOT_DISKS_MAX])
{
    memset(p, 0, sizeof(*p));
    snap_board_get(&p->board, vm);
    snprintf(add_part(p, &p->board, board_fields, BOARD_VERSION)->name, SNAP_NAME, "board");
    snprintf(add_part(p, vm->cpu, cpu_saved, CPU_SAVED_VERSION)->name, SNAP_NAME, "cpu");
    if (cpu_apic(vm->cpu))
        add_device(p, cpu_apic(vm->cpu));
    for (int k = 0; k < vm->n_devices; k++)
        add_device(p, vm->devices[k]);

    struct snap_area *ram = &p->area[p->n_areas++];
    ram->ram = vm->ram;
    ram->size = vm->ram->size;
    snprintf(ram->name, sizeof(ram->name), "memory ram");
    add_bytes(p, "bios", vm->bios, vm->bios_size);
    add_bytes(p, "vgabios", vm->vgabios, vm->vgabios_size);
    for (u32 k = 0; k < h->n_disks; k++) {
        struct block_kept *kept = blocks[k] ? block_kept(blocks[k]) : NULL;
        if (!kept)
            continue;
        struct snap_area *a = &p->area[p->n_areas++];
        a->kept = kept;
        a->size = (blocks[k]->size + PAGE_SIZE - 1) & PAGE_MASK;
        snprintf(a->name, sizeof(a->name), "disk %s", h->disk[k].where);
    }
    for (int k = 0; k < p->n_areas; k++)
        p->area[k].fd = -1;
    for (int k = 0; k < p->n; k++)
        snap_timers_add(&p->timers, p->part[k].base, p->part[k].fields);
}

void snap_parts_fini(struct snap_parts *p)
{
    for (int k = 0; k < p->n; k++) {
        free(p->part[k].data);
        free(p->part[k].back);
    }
    for (int k = 0; k < p->n_areas; k++) {
        struct snap_area *a = &p->area[k];
        if (a->fd >= 0)
            close(a->fd);
        if (a->kept)
            block_kept_fini(&a->new_kept);
        free(a->new_bytes);
    }
    snap_timers_free(&p->timers);
}
