/*
 * machine/snapshot_head.c - what a snapshot says of itself: whose it is, its title and picture, its
 * disks.
 *
 * The head decides whether a file fits a machine before anything else is looked at: board, memory,
 * CPU (its features, not only its name: "host" is another on another host), personality, drives.
 * Disk images are not in a file. What is known of one is its size and when it was written last;
 * both must be as they were, or the guest, which has parts of it in memory, would mix two
 * states of a file system. Of a drive with snapshot=on the image must be as it was and the
 * writes, which are in the file, replace those of the machine.
 */
#include "machine/snapshot_priv.h"
#include "base/bits.h"
#include "base/zip.h"
#include "devices/fdc82077.h"
#include "devices/ide.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

_Static_assert(sizeof(struct snap_disk) == 304, "written as bytes: no padding");

#define U(m)   FIELD_U(struct snap_head, m)
#define BUF(m) FIELD_BUF(struct snap_head, m)
// clang-format off
const struct field snap_head_fields[] = {
    BUF(product), BUF(title), U(date), BUF(machine), BUF(cpu), BUF(pv), BUF(engine), BUF(vendor),
    U(ram_size), FIELD_A(struct snap_head, features), U(signature), FIELD_B(struct snap_head, icount),
    U(insns), U(run_ns), U(width), U(height), U(n_disks), BUF(disk), FIELD_END,
};
// clang-format on
#undef U
#undef BUF

/* ---- filling --------------------------------------------------------------------------------- */
static void put_text(char *out, size_t size, const char *s)
{
    memset(out, 0, size);
    memccpy(out, s ? s : "", 0, size - 1);
}

static void add_disk(struct snap_head *h, struct block *blocks[], const char *kind, int n,
                     struct block *b)
{
    struct snap_disk *d = &h->disk[h->n_disks];
    blocks[h->n_disks++] = b;
    snprintf(d->where, sizeof(d->where), "%s%d", kind, n);
    if (!b)
        return;
    put_text(d->name, sizeof(d->name), b->name);
    d->size = b->size;
    d->changed = block_changed(b);
    d->readonly = b->readonly;
    d->inside = block_kept(b) != NULL;
}

static void fill_disks(struct vm *vm, struct snap_head *h, struct block *blocks[SNAPSHOT_DISKS_MAX])
{
    _Static_assert(VM_MAX_IDE + VM_MAX_FLOPPY + VM_MAX_PV_DISKS + VM_MAX_VIRTIO_DISKS <=
                       SNAPSHOT_DISKS_MAX,
                   "a place for each");
    for (int k = 0; k < VM_MAX_IDE; k++)
        if (vm->ide && (vm->cfg.ide[k].block || vm->cfg.ide[k].cdrom))
            add_disk(h, blocks, "ide", k, ide_medium(vm->ide, k));
    for (int k = 0; k < VM_MAX_FLOPPY; k++)
        if (vm->fdc && fdc82077_medium(vm->fdc, k))
            add_disk(h, blocks, "fd", k, fdc82077_medium(vm->fdc, k));
    for (int k = 0; k < VM_MAX_PV_DISKS; k++)
        if (vm->cfg.pv_disk[k])
            add_disk(h, blocks, "pv", k, vm->cfg.pv_disk[k]);
    for (int k = 0; k < VM_MAX_VIRTIO_DISKS; k++)
        if (vm->cfg.virtio.disk[k].block)
            add_disk(h, blocks, "virtio", k, vm->cfg.virtio.disk[k].block);
}

void snap_head_fill(struct vm *vm, struct snap_head *h, struct block *blocks[SNAPSHOT_DISKS_MAX])
{
    struct timespec now;
    const char *engine = vm->view.engine ? vm->view.engine : vm->cfg.engine;
    memset(h, 0, sizeof(*h));
    clock_gettime(CLOCK_REALTIME, &now);
    h->date = (u64)now.tv_sec;
    put_text(h->product, sizeof(h->product), "trivisor");
    put_text(h->machine, sizeof(h->machine), vm->cfg.bare ? "bare" : vm->cfg.machine);
    put_text(h->cpu, sizeof(h->cpu), vm->cfg.cpu ? vm->cfg.cpu : "host");
    put_text(h->pv, sizeof(h->pv), vm->kvm_pv ? "kvm" : vm->trv_pv ? "trv" : "none");
    put_text(h->engine, sizeof(h->engine), engine ? engine : vm_engines()[0]);
    put_text(h->vendor, sizeof(h->vendor), vm->cpu->ident.vendor);
    h->ram_size = vm->ram->size;
    memcpy(h->features, vm->cpu->features, sizeof(h->features));
    h->signature = vm->cpu->ident.signature;
    h->icount = vm->cfg.icount;
    h->insns = cpu_icount(vm->cpu);
    h->run_ns = clock_now(vm->clk);
    fill_disks(vm, h, blocks);
}

/* ---- the picture ----------------------------------------------------------------------------- */
/* Scaled down by the mean of what falls into a pixel: text stays readable enough. */
static u32 mean(const struct snapshot_note *n, u64 x0, u64 x1, u64 y0, u64 y1)
{
    u64 r = 0, g = 0, b = 0, count = (x1 - x0) * (y1 - y0);
    for (u64 y = y0; y < y1; y++) {
        for (u64 x = x0; x < x1; x++) {
            u32 p = n->picture[y * n->width + x];
            r += p >> 16 & 0xff;
            g += p >> 8 & 0xff;
            b += p & 0xff;
        }
    }
    return (u32)(r / count << 16 | g / count << 8 | b / count);
}

static u32 *scaled(struct snap_head *h, const struct snapshot_note *n)
{
    u64 w = n->width, ht = n->height, big = MAX(w, ht);
    if (big > SNAPSHOT_PICTURE_MAX) {
        w = MAX(w * SNAPSHOT_PICTURE_MAX / big, 1u);
        ht = MAX(ht * SNAPSHOT_PICTURE_MAX / big, 1u);
    }
    u32 *out = malloc(w * ht * sizeof(*out));
    for (u64 y = 0; out && y < ht; y++)
        for (u64 x = 0; x < w; x++)
            out[y * w + x] = mean(n, x * n->width / w, (x + 1) * n->width / w, y * n->height / ht,
                                  (y + 1) * n->height / ht);
    h->width = (u32)w;
    h->height = (u32)ht;
    return out;
}

static void put_picture(struct snap_writer *w, const struct snap_head *h, const u32 *pixels)
{
    size_t size = (size_t)h->width * h->height * sizeof(*pixels), room = zip_bound(size);
    struct zip *z = zip_new(3, false);
    u8 *packed = malloc(room);
    size_t n = packed && z ? zip_pack(z, packed, room, pixels, size) : 0;
    if (!n) {
        w->st = fail(w->err, ST_NOMEM, "out of memory for %s", w->path);
    } else {
        snap_begin(w, "picture", 1, SNAP_PICTURE, 0);
        snap_write(w, packed, n);
        snap_end(w);
    }
    zip_free(z);
    free(packed);
}

void snap_head_put(struct snap_writer *w, struct snap_head *h, const struct snapshot_note *note)
{
    struct snap_buf b = {0};
    u32 *pixels = NULL;
    if (note)
        put_text(h->title, sizeof(h->title), note->title);
    if (note && note->picture && note->width && note->height && note->width <= 16384 &&
        note->height <= 16384)
        pixels = scaled(h, note);
    if (!pixels)
        h->width = h->height = 0;
    snap_fields_put(&b, h, snap_head_fields, NULL);
    if (b.failed)
        w->st = fail(w->err, ST_NOMEM, "out of memory for %s", w->path);
    snap_begin(w, "head", 1, SNAP_FIELDS, 0);
    snap_write(w, b.data, b.len);
    snap_end(w);
    if (pixels)
        put_picture(w, h, pixels);
    snap_buf_free(&b);
    free(pixels);
}

/* ---- reading --------------------------------------------------------------------------------- */
static bool text_ends(const char *s, size_t size)
{
    return memchr(s, 0, size) != NULL;
}

static bool head_possible(const struct snap_head *h)
{
    bool ok = text_ends(h->product, sizeof(h->product)) && text_ends(h->title, sizeof(h->title)) &&
              text_ends(h->machine, sizeof(h->machine)) && text_ends(h->cpu, sizeof(h->cpu)) &&
              text_ends(h->pv, sizeof(h->pv)) && text_ends(h->engine, sizeof(h->engine)) &&
              text_ends(h->vendor, sizeof(h->vendor)) && h->n_disks <= SNAPSHOT_DISKS_MAX &&
              h->width <= SNAPSHOT_PICTURE_MAX && h->height <= SNAPSHOT_PICTURE_MAX &&
              !h->width == !h->height;
    for (u32 k = 0; ok && k < h->n_disks; k++)
        ok = text_ends(h->disk[k].where, sizeof(h->disk[k].where)) &&
             text_ends(h->disk[k].name, sizeof(h->disk[k].name)) && h->disk[k].inside <= 1;
    return ok;
}

enum status snap_head_get(struct snap_reader *r, struct snap_head *h)
{
    u8 *data;
    size_t len;
    char why[64];
    struct snap_entry *e;
    if (!snap_find(r, "head"))
        return snap_damaged(r, "no head");
    enum status st = snap_read_small(r, "head", SNAP_FIELDS, &data, &len, &e);
    if (st != ST_OK)
        return st;
    if (e->s.version != 1 ||
        !snap_fields_get(data, len, NULL, snap_head_fields, NULL, why, sizeof(why)))
        st = fail(r->err, ST_FORMAT, "%s was written by another version of this program", r->path);
    if (st == ST_OK) {
        snap_fields_get(data, len, h, snap_head_fields, NULL, why, sizeof(why));
        if (!head_possible(h))
            st = snap_damaged(r, "head");
    }
    free(data);
    return st;
}

static enum status get_picture(struct snap_reader *r, const struct snap_head *h, u32 **out)
{
    u8 *data;
    size_t len, size = (size_t)h->width * h->height * sizeof(**out);
    enum status st = snap_read_small(r, "picture", SNAP_PICTURE, &data, &len, NULL);
    if (st != ST_OK)
        return st;
    struct zip *z = zip_new(3, false);
    *out = malloc(size);
    bool good = z && *out && zip_unpack(z, *out, size, data, len);
    zip_free(z);
    free(data);
    if (good)
        return ST_OK;
    free(*out);
    *out = NULL;
    return snap_damaged(r, "picture");
}

/* ---- comparing ------------------------------------------------------------------------------- */
static enum status other(struct snap_reader *r, const char *what, const char *theirs,
                         const char *ours)
{
    return fail(r->err, ST_INVAL, "%s is of another machine: %s %s, not %s", r->path, what, theirs,
                ours);
}

static const struct snap_disk *disk_at(const struct snap_head *h, const char *where)
{
    for (u32 k = 0; k < h->n_disks; k++)
        if (!strcmp(h->disk[k].where, where))
            return &h->disk[k];
    return NULL;
}

static enum status disk_fits(struct snap_reader *r, const struct snap_disk *d,
                             const struct snap_disk *own, u32 flags)
{
    if (!own)
        return fail(r->err, ST_INVAL, "%s is of another machine: it has a drive %s with '%s'",
                    r->path, d->where, d->name);
    if (d->size != own->size)
        return fail(r->err, ST_INVAL, "%s: drive %s has '%s' of %llu bytes, not '%s' of %llu",
                    r->path, d->where, own->name, (unsigned long long)own->size, d->name,
                    (unsigned long long)d->size);
    if (d->inside && !own->inside)
        return fail(r->err, ST_INVAL,
                    "%s: the writes to drive %s are in the file, so it must be opened with "
                    "snapshot=on again",
                    r->path, d->where);
    if (d->changed != own->changed && !(flags & SNAPSHOT_ANY_DISKS))
        return fail(r->err, ST_BUSY,
                    "%s: '%s' (drive %s) has been written to since the snapshot was taken", r->path,
                    own->name, d->where);
    return ST_OK;
}

enum status snap_head_fits(struct snap_reader *r, const struct snap_head *h,
                           const struct snap_head *own, u32 flags)
{
    if (strcmp(h->machine, own->machine))
        return other(r, "board", h->machine, own->machine);
    if (h->ram_size != own->ram_size)
        return fail(r->err, ST_INVAL, "%s is of another machine: memory %llu KiB, not %llu KiB",
                    r->path, (unsigned long long)(h->ram_size / KIB),
                    (unsigned long long)(own->ram_size / KIB));
    if (strcmp(h->cpu, own->cpu))
        return other(r, "CPU", h->cpu, own->cpu);
    if (strcmp(h->pv, own->pv))
        return other(r, "personality", h->pv, own->pv);
    if (memcmp(h->features, own->features, sizeof(h->features)) || strcmp(h->vendor, own->vendor) ||
        h->signature != own->signature)
        return fail(r->err, ST_INVAL,
                    "%s was made where CPU '%s' has other features (name a model with -cpu)",
                    r->path, h->cpu);
    enum status st = ST_OK;
    for (u32 k = 0; k < h->n_disks && st == ST_OK; k++)
        st = disk_fits(r, &h->disk[k], disk_at(own, h->disk[k].where), flags);
    for (u32 k = 0; k < own->n_disks && st == ST_OK; k++)
        if (!disk_at(h, own->disk[k].where))
            st = fail(r->err, ST_INVAL, "%s is of another machine: it has no drive %s ('%s')",
                      r->path, own->disk[k].where, own->disk[k].name);
    return st;
}

/* ---- for front ends -------------------------------------------------------------------------- */
static void tell(struct snapshot_info *out, const struct snap_head *h, const struct snap_reader *r)
{
    out->version = SNAP_VERSION;
    put_text(out->product, sizeof(out->product), h->product);
    put_text(out->title, sizeof(out->title), h->title);
    out->date = (i64)h->date;
    put_text(out->machine, sizeof(out->machine), h->machine);
    put_text(out->cpu, sizeof(out->cpu), h->cpu);
    put_text(out->pv, sizeof(out->pv), h->pv);
    put_text(out->engine, sizeof(out->engine), h->engine);
    out->ram_size = h->ram_size;
    out->file_size = r->size;
    out->insns = h->insns;
    out->run_ns = h->run_ns;
    out->n_disks = (int)h->n_disks;
    for (u32 k = 0; k < h->n_disks; k++) {
        struct snapshot_disk *d = &out->disk[k];
        put_text(d->where, sizeof(d->where), h->disk[k].where);
        put_text(d->name, sizeof(d->name), h->disk[k].name);
        d->size = h->disk[k].size;
        d->inside = h->disk[k].inside;
    }
}

enum status snapshot_info(const char *path, struct snapshot_info *out, struct error *err)
{
    struct snap_reader r;
    struct snap_head h;
    memset(out, 0, sizeof(*out));
    enum status st = snap_open(&r, path, err);
    if (st != ST_OK)
        return st;
    st = snap_head_get(&r, &h);
    if (st == ST_OK && h.width)
        st = get_picture(&r, &h, &out->picture);
    if (st == ST_OK) {
        out->width = h.width;
        out->height = h.height;
        tell(out, &h, &r);
    }
    snap_close(&r);
    return st;
}

void snapshot_info_free(struct snapshot_info *i)
{
    free(i->picture);
    i->picture = NULL;
}

enum status snapshot_verify(const char *path, struct error *err)
{
    struct snap_reader r;
    struct snap_head h;
    enum status st = snap_open(&r, path, err);
    if (st != ST_OK)
        return st;
    st = snap_head_get(&r, &h);
    if (st == ST_OK)
        st = snap_check_sums(&r);
    snap_close(&r);
    return st;
}
