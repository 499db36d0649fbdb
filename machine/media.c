/*
 * machine/media.c - see media.h. The controllers do what the guest can see.
 *
 * Ownership: a floppy's block is the controller's; a CD's is the machine's, in cfg.ide.
 */
#include "machine/media.h"
#include "devices/fdc82077.h"
#include "devices/ide.h"
#include "machine/vm_priv.h"

#include <stdio.h>
#include <string.h>

static void fill(struct vm_medium *m, const struct block *b)
{
    m->loaded = b != NULL;
    if (!b)
        return;
    m->readonly = b->readonly;
    m->size = b->size;
    snprintf(m->file, sizeof(m->file), "%s", b->name);
}

int vm_media(const struct vm *vm, struct vm_medium out[VM_MAX_MEDIA])
{
    int n = 0;
    for (int k = 0; vm->fdc && k < VM_MAX_FLOPPY; k++) {
        if (fdc82077_cmos_type(vm->fdc, k) == FDC_NONE)
            continue;
        struct vm_medium *m = &out[n++];
        *m = (struct vm_medium){.kind = VM_MEDIUM_FLOPPY, .unit = k};
        snprintf(m->name, sizeof(m->name), "fd%d", k);
        fill(m, fdc82077_medium(vm->fdc, k));
    }
    for (int k = 0; vm->ide && k < VM_MAX_IDE; k++) {
        if (!vm->cfg.ide[k].cdrom)
            continue;
        struct vm_medium *m = &out[n++];
        *m = (struct vm_medium){.kind = VM_MEDIUM_CD, .unit = k};
        snprintf(m->name, sizeof(m->name), "cd%d", k);
        m->locked = ide_disc_locked(vm->ide, k);
        m->open = ide_tray_open(vm->ide, k);
        fill(m, vm->cfg.ide[k].block);
    }
    return n;
}

bool vm_media_find(const struct vm *vm, const char *name, struct vm_medium *out)
{
    struct vm_medium all[VM_MAX_MEDIA];
    int n = vm_media(vm, all);
    for (int k = 0; k < n; k++) {
        if (!strcmp(all[k].name, name)) {
            *out = all[k];
            return true;
        }
    }
    return false;
}

static enum status change_floppy(struct vm *vm, int unit, struct block *blk, struct error *err)
{
    if (!vm->fdc || unit < 0 || unit >= VM_MAX_FLOPPY ||
        fdc82077_cmos_type(vm->fdc, unit) == FDC_NONE)
        return fail(err, ST_INVAL, "there is no floppy drive %d", unit);
    if (blk)
        return fdc82077_insert(vm->fdc, unit, blk, err);
    fdc82077_eject(vm->fdc, unit);
    return ST_OK;
}

static enum status change_cd(struct vm *vm, int unit, struct block *blk, bool force,
                             struct error *err)
{
    struct block *old;
    if (!vm->ide || unit < 0 || unit >= VM_MAX_IDE || !vm->cfg.ide[unit].cdrom)
        return fail(err, ST_INVAL, "there is no CD drive %d", unit);
    if (vm->cfg.ide[unit].block && ide_disc_locked(vm->ide, unit) && !force) {
        ide_eject_button(vm->ide, unit);
        return fail(err, ST_BUSY, "the guest has locked the tray; it was asked to let go");
    }
    enum status st = ide_change_disc(vm->ide, unit, blk, &old, err);
    if (st)
        return st;
    block_close(old);
    vm->cfg.ide[unit].block = blk;
    return ST_OK;
}

enum status vm_media_change(struct vm *vm, enum vm_medium_kind kind, int unit, struct block *blk,
                            bool force, struct error *err)
{
    return kind == VM_MEDIUM_FLOPPY ? change_floppy(vm, unit, blk, err)
                                    : change_cd(vm, unit, blk, force, err);
}
