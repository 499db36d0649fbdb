/*
 * machine/snapshot.c - saving a machine, and loading one in the place of another.
 *
 * Loading has three steps. Everything is read and checked first: sums, the machine's identity, that
 * each chip's section has the chip's fields, and all memory, which is unpacked beside the machine's
 * own. Then memories are exchanged, fields written, and each chip looks at its own (`loaded`). Only
 * a file that was made to look right can fail there; then memories and fields go back to what they
 * were, and the machine runs on.
 *
 * Between the run loop's slices little is under way: most devices work while the guest waits,
 * network frames are held by chips or by the host's side. What has a thread of its own (virtio
 * disks) is waited for first: quiesce().
 *
 * Order: fields of all parts, the board's (time among them), timers, then `loaded` of every chip,
 * the CPU's last: it asks the APIC what is pending, and forgets all that was cached of memory.
 */
#include "base/bits.h"
#include "base/log.h"
#include "cpu/saved.h"
#include "machine/snapshot_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* ---- both ------------------------------------------------------------------------------------ */
/* The guest's time stands still meanwhile. */
static void hold_time(struct vm *vm, bool hold)
{
    if (vm->debug.paused)
        return;
    if (hold)
        clock_pause(vm->clk);
    else
        clock_resume(vm->clk);
}

static void quiesce(struct vm *vm)
{
    for (int k = 0; k < vm->n_devices; k++)
        if (vm->devices[k]->ops->quiesce)
            vm->devices[k]->ops->quiesce(vm->devices[k]);
}

static void flush_disks(const struct snap_head *h, struct block *const blocks[])
{
    for (u32 k = 0; k < h->n_disks; k++)
        if (blocks[k] && !blocks[k]->readonly)
            block_flush(blocks[k]);
}

static bool encode(struct snap_parts *p, struct snap_part *part, u8 **data, size_t *len)
{
    struct snap_buf b = {0};
    snap_fields_put(&b, part->base, part->fields, &p->timers);
    *data = b.data;
    *len = b.len;
    return !b.failed;
}

/* ---- saving ---------------------------------------------------------------------------------- */
static void put_areas(struct snap_writer *w, const struct snap_parts *p)
{
    for (int k = 0; k < p->n_areas; k++) {
        const struct snap_area *a = &p->area[k];
        struct snap_memory m = {.size = a->size, .fd = -1};
        if (a->ram) {
            m.base = a->ram->base;
            m.fd = a->ram->fd;
        } else if (a->kept) {
            m.base = a->kept->bytes;
            m.have = a->kept->have;
        } else {
            m.base = a->bytes;
        }
        snap_pages_put(w, a->name, &m);
    }
}

static enum status save(struct vm *vm, struct snap_writer *w, const struct snapshot_note *note)
{
    struct block *blocks[SNAPSHOT_DISKS_MAX] = {0};
    struct snap_head *h = calloc(1, sizeof(*h));
    struct snap_parts *p = calloc(1, sizeof(*p));
    if (!h || !p) {
        free(h);
        free(p);
        return w->st = fail(w->err, ST_NOMEM, "out of memory for %s", w->path);
    }
    quiesce(vm);
    snap_head_fill(vm, h, blocks);
    flush_disks(h, blocks);
    snap_head_fill(vm, h, blocks); /* as they are on the disk now */
    snap_parts_init(p, vm, h, blocks);
    snap_timers_rank(&p->timers);
    snap_head_put(w, h, note);
    if (p->timers.failed)
        w->st = fail(w->err, ST_NOMEM, "out of memory for %s", w->path);
    for (int k = 0; k < p->n && w->st == ST_OK; k++) {
        struct snap_part *part = &p->part[k];
        u8 *data = NULL;
        size_t len = 0;
        if (!encode(p, part, &data, &len))
            w->st = fail(w->err, ST_NOMEM, "out of memory for %s", w->path);
        snap_begin(w, part->name, part->version, SNAP_FIELDS, 0);
        snap_write(w, data, len);
        snap_end(w);
        free(data);
    }
    put_areas(w, p);
    snap_parts_fini(p);
    free(p);
    free(h);
    return w->st;
}

enum status vm_save(struct vm *vm, const char *path, const struct snapshot_note *note,
                    struct error *err)
{
    struct snap_writer w;
    hold_time(vm, true);
    if (snap_create(&w, path, err) == ST_OK)
        save(vm, &w, note);
    enum status st = snap_finish(&w);
    hold_time(vm, false);
    return st;
}

/* ---- loading: staging ------------------------------------------------------------------------ */
static enum status read_parts(struct snap_reader *r, struct snap_parts *p)
{
    char why[96];
    for (int k = 0; k < p->n; k++) {
        struct snap_part *part = &p->part[k];
        struct snap_entry *e;
        enum status st = snap_read_small(r, part->name, SNAP_FIELDS, &part->data, &part->len, &e);
        if (st != ST_OK)
            return st;
        if (e->s.version != part->version)
            return fail(r->err, ST_FORMAT, "%s: '%s' is of version %u, this program has %u",
                        r->path, part->name, e->s.version, part->version);
        if (!snap_fields_get(part->data, part->len, NULL, part->fields, NULL, why, sizeof(why)))
            return fail(r->err, ST_FORMAT,
                        "%s: '%s' was written by another version of this program (%s)", r->path,
                        part->name, why);
    }
    return ST_OK;
}

static enum status stage_ram(struct snap_reader *r, const struct snap_entry *e, struct snap_area *a)
{
    a->fd = ram_new_file(a->ram);
    void *at = a->fd < 0 ? MAP_FAILED
                         : mmap(NULL, a->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
                                a->fd, 0);
    if (at == MAP_FAILED)
        return fail(r->err, ST_NOMEM, "no memory for %s: %s", r->path, strerror(errno));
    enum status st = e ? snap_pages_get(r, e, at, NULL) : ST_OK;
    munmap(at, a->size);
    return st;
}

static enum status stage_area(struct snap_reader *r, struct snap_area *a)
{
    struct snap_entry *e = snap_find(r, a->name);
    if (e)
        e->used = true;
    if (!e && !a->kept) /* a drive whose writes went to the image then: none are kept */
        return fail(r->err, ST_INVAL, "%s is of another machine: it has no '%s'", r->path, a->name);
    if (e && (e->s.kind != SNAP_PAGES || e->s.version != 1))
        return snap_damaged(r, a->name);
    if (e && e->s.plain != a->size)
        return fail(r->err, ST_INVAL,
                    "%s is of another machine: '%s' has %llu bytes there, %llu here", r->path,
                    a->name, (unsigned long long)e->s.plain, (unsigned long long)a->size);
    a->staged = true;
    if (a->ram)
        return stage_ram(r, e, a);
    if (a->kept) {
        if (!block_kept_init(&a->new_kept, a->kept->size))
            return fail(r->err, ST_NOMEM, "no memory for %s", r->path);
        return e ? snap_pages_get(r, e, a->new_kept.bytes, a->new_kept.have) : ST_OK;
    }
    a->new_bytes = calloc(1, a->size);
    if (!a->new_bytes)
        return fail(r->err, ST_NOMEM, "no memory for %s", r->path);
    return snap_pages_get(r, e, a->new_bytes, NULL);
}

static enum status stage(struct snap_reader *r, struct snap_parts *p)
{
    enum status st = read_parts(r, p);
    for (int k = 0; k < p->n_areas && st == ST_OK; k++)
        st = stage_area(r, &p->area[k]);
    for (int k = 0; k < r->n && st == ST_OK; k++) {
        const char *name = r->entry[k].s.name;
        if (!r->entry[k].used && strcmp(name, "picture"))
            st = fail(r->err, ST_INVAL, "%s is of another machine: it has '%s'", r->path, name);
    }
    return st;
}

/* ---- loading: the change --------------------------------------------------------------------- */
static enum status exchange(struct snap_area *a, struct error *err)
{
    if (a->ram) {
        enum status st = ram_exchange(a->ram, &a->fd, err);
        if (st != ST_OK)
            return st;
    } else if (a->kept) {
        struct block_kept old = *a->kept;
        *a->kept = a->new_kept;
        a->new_kept = old;
    } else {
        for (u64 k = 0; k < a->size; k++) {
            u8 b = a->bytes[k];
            a->bytes[k] = a->new_bytes[k];
            a->new_bytes[k] = b;
        }
    }
    a->exchanged = !a->exchanged;
    return ST_OK;
}

/* The first part that refuses its state, or NULL. */
static const char *apply(struct vm *vm, struct snap_parts *p, bool back)
{
    const char *bad = NULL;
    char why[96];
    snap_timers_disarm(&p->timers);
    for (int k = 0; k < p->n; k++) {
        struct snap_part *part = &p->part[k];
        snap_fields_get(back ? part->back : part->data, back ? part->back_len : part->len,
                        part->base, part->fields, &p->timers, why, sizeof(why));
    }
    snap_board_set(&p->board, vm);
    snap_timers_arm(&p->timers);
    vm->restoring = true;
    space_begin(vm->mem);
    space_begin(vm->ports);
    for (int k = 0; k < p->n; k++) {
        struct device *d = p->part[k].dev;
        if (d && d->ops->loaded && !d->ops->loaded(d) && !bad)
            bad = p->part[k].name;
    }
    space_commit(vm->ports);
    space_commit(vm->mem);
    vm->restoring = false;
    if (!cpu_loaded(vm->cpu) && !bad)
        bad = "cpu";
    snap_timers_order(&p->timers);
    return bad;
}

static enum status change(struct vm *vm, struct snap_reader *r, struct snap_parts *p)
{
    enum status st = ST_OK;
    snap_timers_rank(&p->timers);
    for (int k = 0; k < p->n; k++)
        if (!encode(p, &p->part[k], &p->part[k].back, &p->part[k].back_len))
            return fail(r->err, ST_NOMEM, "no memory for %s", r->path);
    for (int k = 0; k < p->n_areas && st == ST_OK; k++)
        st = exchange(&p->area[k], r->err);
    if (st == ST_OK) {
        const char *bad = apply(vm, p, false);
        if (!bad)
            return ST_OK;
        st = fail(r->err, ST_FORMAT, "%s: '%s' is in a state that it cannot be in", r->path, bad);
    }
    for (int k = p->n_areas - 1; k >= 0; k--)
        if (p->area[k].exchanged)
            CHECK(exchange(&p->area[k], NULL) == ST_OK);
    apply(vm, p, true);
    return st;
}

/* The other ends: what a device had no room for, it may have now. */
static void resume_backends(struct vm *vm)
{
    for (int k = 0; k < VM_MAX_SERIAL; k++)
        chardev_resume(vm->cfg.serial[k]);
    for (int k = 0; k < vm->cfg.virtio.n_ports; k++)
        chardev_resume(vm->cfg.virtio.port[k].chr);
    for (int k = 0; k < VM_MAX_NIC; k++)
        netdev_resume(vm->cfg.nic[k].net);
}

static enum status load(struct vm *vm, struct snap_reader *r, u32 flags)
{
    struct block *blocks[SNAPSHOT_DISKS_MAX] = {0};
    struct snap_head *h = calloc(2, sizeof(*h)), *own = h + 1;
    struct snap_parts *p = calloc(1, sizeof(*p));
    enum status st = h && p ? ST_OK : fail(r->err, ST_NOMEM, "out of memory for %s", r->path);
    bool listed = false;

    if (st == ST_OK)
        st = snap_head_get(r, h);
    if (st == ST_OK)
        st = snap_check_sums(r);
    if (st == ST_OK) {
        quiesce(vm);
        snap_head_fill(vm, own, blocks);
        st = snap_head_fits(r, h, own, flags);
    }
    if (st == ST_OK) {
        snap_parts_init(p, vm, own, blocks);
        listed = true;
        st = p->timers.failed ? fail(r->err, ST_NOMEM, "out of memory for %s", r->path)
                              : stage(r, p);
    }
    if (st == ST_OK)
        st = change(vm, r, p);
    if (listed)
        snap_parts_fini(p);
    free(p);
    free(h);
    return st;
}

enum status vm_load(struct vm *vm, const char *path, u32 flags, struct error *err)
{
    struct snap_reader r;
    if (vm->trace)
        return fail(err, ST_UNSUP, "a machine that is being traced cannot become another");
    enum status st = snap_open(&r, path, err);
    if (st != ST_OK)
        return st;
    hold_time(vm, true);
    st = load(vm, &r, flags);
    snap_close(&r);
    hold_time(vm, false);
    if (st == ST_OK)
        resume_backends(vm);
    return st;
}
