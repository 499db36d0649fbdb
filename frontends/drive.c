/*
 * frontends/drive.c - disks, CDs and floppies: from the command line to open images.
 */
#include "frontends/cli_priv.h"
#include "frontends/nbd.h"

#include <stdlib.h>
#include <string.h>

static enum status bad_value(struct error *err, const char *key, const char *value,
                             const char *wants)
{
    return fail(err, ST_INVAL, "%s=%s: wants %s", key, value ? value : "", wants);
}

enum status drive_parse(const char *text, struct drive_spec *d, struct error *err)
{
    static const char *const keys[] = {"file",     "if",     "media",  "index",  "readonly",
                                       "snapshot", "format", "serial", "queues", NULL};
    char *copy = strdup(text), *list = copy, *key, *value;
    bool media_said = false;
    u64 n;
    enum status st = copy ? ST_OK : fail(err, ST_NOMEM, "out of memory");

    *d = (struct drive_spec){.index = -1, .said = "-drive"};
    while (!st && next_pair(&list, &key, &value)) {
        if (!strcmp(key, "file")) {
            free(d->file);
            d->file = value && *value ? strdup(value) : NULL;
            if (!d->file)
                st = bad_value(err, key, value, "a path");
        } else if (!strcmp(key, "if")) {
            if (value && !strcmp(value, "ide"))
                d->bus = DRIVE_IDE;
            else if (value && !strcmp(value, "floppy"))
                d->bus = DRIVE_FLOPPY;
            else if (value && !strcmp(value, "virtio"))
                d->bus = DRIVE_VIRTIO;
            else if (value && !strcmp(value, "pv"))
                d->bus = DRIVE_PV;
            else
                st = bad_value(err, key, value, "ide, floppy, virtio or pv");
        } else if (!strcmp(key, "media")) {
            media_said = true;
            if (value && (!strcmp(value, "disk") || !strcmp(value, "cdrom")))
                d->cdrom = !strcmp(value, "cdrom");
            else
                st = bad_value(err, key, value, "disk or cdrom");
        } else if (!strcmp(key, "index")) {
            if (value && parse_number(value, VM_MAX_VIRTIO_DISKS - 1, &n))
                d->index = (int)n;
            else
                st = bad_value(err, key, value, "0 to 3 (floppies and pv 0 or 1, virtio 0 to 7)");
        } else if (!strcmp(key, "serial")) {
            free(d->serial);
            d->serial = value && *value && strlen(value) <= 20 ? strdup(value) : NULL;
            if (!d->serial)
                st = bad_value(err, key, value, "1 to 20 characters");
        } else if (!strcmp(key, "queues")) {
            if (value && parse_number(value, 16, &n) && n)
                d->queues = (int)n;
            else
                st = bad_value(err, key, value, "1 to 16");
        } else if (!strcmp(key, "readonly")) {
            if (!value || !parse_on_off(value, &d->readonly))
                st = bad_value(err, key, value, "on or off");
        } else if (!strcmp(key, "snapshot")) {
            if (!value || !parse_on_off(value, &d->snapshot))
                st = bad_value(err, key, value, "on or off");
        } else if (!strcmp(key, "format")) {
            if (!value || strcmp(value, "raw"))
                st = bad_value(err, key, value, "raw (convert others with qemu-img)");
            d->raw = true;
        } else if (!value && strchr(key, '/')) {
            st = fail(err, ST_INVAL, "'%s': a file is named by file=%s", key, key);
        } else {
            const char *near = nearest(key, keys);
            st = fail(err, ST_INVAL, "no such key '%s'%s%s%s", key, near ? " (did you mean '" : "",
                      near ? near : "", near ? "'?)" : "");
        }
    }
    if (!st && d->bus == DRIVE_FLOPPY && d->index >= VM_MAX_FLOPPY)
        st = fail(err, ST_INVAL, "index=%d: floppies have 0 or 1", d->index);
    if (!st && d->bus == DRIVE_IDE && d->index >= VM_MAX_IDE)
        st = fail(err, ST_INVAL, "index=%d: IDE drives have 0 to 3", d->index);
    if (!st && d->bus == DRIVE_PV && (d->index >= VM_MAX_PV_DISKS || d->cdrom))
        st = fail(err, ST_INVAL, "if=pv: disks with index=0 or 1");
    if (!st && d->bus != DRIVE_VIRTIO && (d->serial || d->queues))
        st = fail(err, ST_INVAL, "%s= is for if=virtio", d->serial ? "serial" : "queues");
    if (!st && d->bus == DRIVE_VIRTIO && d->cdrom)
        st = fail(err, ST_INVAL, "if=virtio and media=cdrom do not go together");
    if (!st && d->bus == DRIVE_FLOPPY && media_said && d->cdrom)
        st = fail(err, ST_INVAL, "if=floppy and media=cdrom do not go together");
    if (!st && !d->file && !d->cdrom && d->bus != DRIVE_FLOPPY)
        st = fail(err, ST_INVAL, "a disk wants file=PATH");
    free(copy);
    return st;
}

void drive_free(struct drive_spec *d)
{
    free(d->file);
    free(d->serial);
    d->file = d->serial = NULL;
}

/* ---- places --------------------------------------------------------------------------------- */
static const char *place_name(enum drive_bus bus, int index)
{
    static const char *const ide[] = {"primary master", "primary slave", "secondary master",
                                      "secondary slave"};
    static const char *const floppy[] = {"floppy drive A", "floppy drive B"};
    static const char *const virtio[] = {"1st virtio disk", "2nd virtio disk", "3rd virtio disk",
                                         "4th virtio disk", "5th virtio disk", "6th virtio disk",
                                         "7th virtio disk", "8th virtio disk"};
    static const char *const pv[] = {"1st paravirtual disk", "2nd paravirtual disk"};
    if (bus == DRIVE_PV)
        return pv[index];
    return bus == DRIVE_IDE ? ide[index] : bus == DRIVE_VIRTIO ? virtio[index] : floppy[index];
}

enum status drives_place(struct run_options *o, struct error *err)
{
    static const struct {
        int n;
        const char *what;
    } buses[N_DRIVE_BUSES] = {[DRIVE_IDE] = {VM_MAX_IDE, "IDE drives"},
                              [DRIVE_FLOPPY] = {VM_MAX_FLOPPY, "floppy drives"},
                              [DRIVE_VIRTIO] = {VM_MAX_VIRTIO_DISKS, "virtio disks"},
                              [DRIVE_PV] = {VM_MAX_PV_DISKS, "paravirtual disks"}};
    struct drive_spec *at[N_DRIVE_BUSES][VM_MAX_VIRTIO_DISKS] = {{NULL}};

    for (int k = 0; k < o->n_drives; k++) {
        struct drive_spec *d = &o->drives[k];
        if (d->index < 0)
            continue;
        struct drive_spec **slot = &at[d->bus][d->index];
        if (*slot)
            return fail(err, ST_INVAL, "%s and %s are both the %s", (*slot)->said, d->said,
                        place_name(d->bus, d->index));
        *slot = d;
    }
    for (int k = 0; k < o->n_drives; k++) {
        struct drive_spec *d = &o->drives[k];
        int n = buses[d->bus].n;
        if (d->index >= 0)
            continue;
        if (d->cdrom && !at[DRIVE_IDE][2])
            d->index = 2; /* where CDs are by habit */
        for (int i = 0; d->index < 0 && i < n; i++)
            if (!at[d->bus][i])
                d->index = i;
        if (d->index < 0)
            return fail(err, ST_INVAL, "%s: no more than %d %s", d->said, n, buses[d->bus].what);
        at[d->bus][d->index] = d;
    }
    return ST_OK;
}

/* ---- images --------------------------------------------------------------------------------- */
/* Formats that hold a disk but are not one: run as raw they would be a blank disk at best. */
static enum status check_raw(struct block *b, struct error *err)
{
    static const struct {
        u32 at, n;
        const char *magic, *name;
    } other[] = {
        {0, 4, "QFI\xfb", "a QCOW image"},
        {0, 4, "KDMV", "a VMDK image"},
        {0, 8, "vhdxfile", "a VHDX image"},
        {0, 8, "conectix", "a VHD image"},
        {64, 4, "\x7f\x10\xda\xbe", "a VDI image"},
        {0, 2, "\x1f\x8b", "compressed (gzip)"},
        {0, 6,
         "\xfd"
         "7zXZ",
         "compressed (xz)"},
        {0, 4, "\x28\xb5\x2f\xfd", "compressed (zstd)"},
    };
    u8 head[512];
    if (block_read(b, 0, head, sizeof(head)) != ST_OK)
        return fail(err, ST_IO, "%s: cannot be read", b->name);
    for (size_t k = 0; k < ARRAY_LEN(other); k++)
        if (!memcmp(head + other[k].at, other[k].magic, other[k].n))
            return fail(err, ST_FORMAT,
                        "%s: is %s, and only raw images are supported "
                        "(format=raw insists)",
                        b->name, other[k].name);
    return ST_OK;
}

static enum status open_one(struct run_options *o, const struct drive_spec *d, struct block **out,
                            struct error *err)
{
    *out = NULL;
    if (!d->file)
        return ST_OK;
    bool readonly = d->readonly || d->cdrom;
    bool snapshot = d->snapshot || o->snapshot;
    if (nbd_is_address(d->file)) {
        /* the server knows formats: what it shows is the disk */
        if (snapshot && !readonly)
            return fail(err, ST_UNSUP, "%s: an NBD disk has no snapshot here (qemu-nbd -s has)",
                        d->file);
        return block_open_nbd(d->file, readonly, out, err);
    }
    enum status st = block_open_raw(d->file, readonly, snapshot, out, err);
    if (!st && !d->raw && !d->cdrom)
        st = check_raw(*out, err);
    if (st) {
        block_close(*out);
        *out = NULL;
    }
    return st;
}

enum status drives_open(struct run_options *o, struct error *err)
{
    for (int k = 0; k < o->n_drives; k++) {
        const struct drive_spec *d = &o->drives[k];
        struct block *b;
        enum status st = open_one(o, d, &b, err);
        if (st) {
            drives_close(&o->cfg);
            return st;
        }
        if (d->bus == DRIVE_FLOPPY)
            o->cfg.floppy[d->index] = b;
        else if (d->bus == DRIVE_PV)
            o->cfg.pv_disk[d->index] = b;
        else if (d->bus == DRIVE_VIRTIO)
            o->cfg.virtio.disk[d->index] = (struct vm_virtio_disk){b, d->serial, d->queues};
        else
            o->cfg.ide[d->index] = (struct vm_drive){b, d->cdrom};
    }
    return ST_OK;
}

void drives_close(struct vm_config *cfg)
{
    for (int k = 0; k < VM_MAX_IDE; k++) {
        block_close(cfg->ide[k].block);
        cfg->ide[k].block = NULL;
    }
    for (int k = 0; k < VM_MAX_FLOPPY; k++) {
        block_close(cfg->floppy[k]);
        cfg->floppy[k] = NULL;
    }
    for (int k = 0; k < VM_MAX_PV_DISKS; k++) {
        block_close(cfg->pv_disk[k]);
        cfg->pv_disk[k] = NULL;
    }
    for (int k = 0; k < VM_MAX_VIRTIO_DISKS; k++) {
        block_close(cfg->virtio.disk[k].block);
        cfg->virtio.disk[k].block = NULL;
    }
}
