/*
 * pv/trv_block.c - disks by hypercall: whole sectors between an image and guest RAM.
 *
 * The guest's buffer is checked as a whole before the first byte moves, and the request is read
 * once; the guest runs again when the transfer is over.
 */
#include "pv/guest_ram.h"
#include "pv/trv_priv.h"

_Static_assert(sizeof(struct trv_block_info) == 16 && sizeof(struct trv_block_request) == 24,
               "layouts are the interface");

static struct block *disk_of(const struct trv *t, u32 disk)
{
    return disk < TRV_MAX_DISKS ? t->w.disk[disk] : NULL;
}

u32 trv_block_info_call(struct trv *t, u32 disk, u32 at)
{
    const struct block *b = disk_of(t, disk);
    if (!b)
        return TRV_E_NONE;
    struct trv_block_info i = {b->size / TRV_SECTOR, b->readonly, TRV_BLOCK_MAX};
    return guest_ram_write(t->w.mem, at, &i, sizeof(i)) ? 0 : TRV_E_ADDRESS;
}

/* From page to page of the buffer, which is RAM throughout. */
static enum status transfer(struct trv *t, struct block *b, u64 off, gpa at, u64 n, bool write)
{
    enum status st = ST_OK;
    for (u64 k; n && st == ST_OK; n -= k, at += k, off += k) {
        struct ram *ram;
        u64 ram_off;
        k = MIN(n, PAGE_SIZE - (at & (PAGE_SIZE - 1)));
        hva p = space_ram_ptr(t->w.mem, at, k, &ram, &ram_off);
        if (write) {
            st = block_write(b, off, p, k);
        } else {
            st = block_read(b, off, p, k);
            ram_note_write(ram, ram_off, k);
        }
    }
    return st;
}

u32 trv_block_io_call(struct trv *t, u32 disk, u32 at, bool write)
{
    struct block *b = disk_of(t, disk);
    struct trv_block_request r;
    if (!b)
        return TRV_E_NONE;
    if (!guest_ram_read(t->w.mem, at, &r, sizeof(r)))
        return TRV_E_ADDRESS;
    if (r.zero || !r.count || r.count > TRV_BLOCK_MAX)
        return TRV_E_ARGUMENT;
    u64 sectors = b->size / TRV_SECTOR;
    if (r.sector > sectors || r.count > sectors - r.sector)
        return TRV_E_RANGE;
    if (write && b->readonly)
        return TRV_E_READONLY;
    u64 bytes = (u64)r.count * TRV_SECTOR;
    if (!guest_ram_ok(t->w.mem, r.address, bytes))
        return TRV_E_ADDRESS;
    enum status st = transfer(t, b, r.sector * TRV_SECTOR, r.address, bytes, write);
    return st == ST_OK ? r.count : TRV_E_IO;
}

u32 trv_block_flush_call(struct trv *t, u32 disk)
{
    struct block *b = disk_of(t, disk);
    if (!b)
        return TRV_E_NONE;
    return block_flush(b) == ST_OK ? 0 : TRV_E_IO;
}
