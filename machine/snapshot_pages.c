/*
 * machine/snapshot_pages.c - memory in a snapshot: what is not zero, compressed in blocks.
 *
 * A block is 256 pages: its number, the size of what is compressed, a bit a page that is there,
 * and those pages one after the other in one zstd frame. Blocks without pages are left out; their
 * numbers only rise. So memory is read and written in pieces of 1 MiB however large it is.
 * Format of a frame: RFC 8878.
 */
#include "machine/snapshot_priv.h"
#include "base/bits.h"
#include "base/zip.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BLOCK = SNAP_BLOCK_PAGES * PAGE_SIZE, BITMAP = SNAP_BLOCK_PAGES / 8, HEAD = 8 + BITMAP };
enum { LEVEL = 1 }; /* fast: the disk is not the slow part at higher ones */

static bool zero_page(const u8 *p)
{
    return !ld_u64(p) && !memcmp(p, p + 8, PAGE_SIZE - 8);
}

/* From `at` on the file has a hole up to here: at itself when it has not. */
static u64 after_hole(const struct snap_memory *m, u64 at)
{
    if (m->fd < 0)
        return at;
    off_t data = lseek(m->fd, (off_t)at, SEEK_DATA);
    if (data < 0)
        return errno == ENXIO ? m->size : at;
    return (u64)data;
}

static void put_block(struct snap_writer *w, struct zip *z, const struct snap_memory *m, u64 block,
                      u8 *pages, u8 *packed, size_t room)
{
    u8 head[HEAD] = {0};
    size_t n = 0;
    for (u64 k = 0; k < SNAP_BLOCK_PAGES; k++) {
        u64 page = block * SNAP_BLOCK_PAGES + k, off = page * PAGE_SIZE;
        if (off >= m->size)
            break;
        if (m->have ? !(m->have[page / 8] >> (page % 8) & 1) : zero_page(m->base + off))
            continue;
        head[8 + k / 8] |= (u8)(1 << (k % 8));
        memcpy(pages + n, m->base + off, PAGE_SIZE);
        n += PAGE_SIZE;
    }
    if (!n)
        return;
    size_t size = zip_pack(z, packed, room, pages, n);
    if (!size) {
        w->st = fail(w->err, ST_NOMEM, "cannot compress %s", w->path);
        return;
    }
    st_u32(head, (u32)block);
    st_u32(head + 4, (u32)size);
    snap_write(w, head, sizeof(head));
    snap_write(w, packed, size);
}

void snap_pages_put(struct snap_writer *w, const char *name, const struct snap_memory *m)
{
    size_t room = zip_bound(BLOCK);
    u8 *pages = malloc(BLOCK), *packed = malloc(room);
    struct zip *z = zip_new(LEVEL, false);

    snap_begin(w, name, 1, SNAP_PAGES, m->size);
    if (!pages || !packed || !z)
        w->st = fail(w->err, ST_NOMEM, "out of memory for %s", w->path);
    for (u64 at = after_hole(m, 0); at < m->size && w->st == ST_OK;) {
        put_block(w, z, m, at / BLOCK, pages, packed, room);
        at = (at / BLOCK + 1) * BLOCK;
        if (at < m->size)
            at = after_hole(m, at);
    }
    snap_end(w);
    zip_free(z);
    free(pages);
    free(packed);
}

/* One block, whose pages are checked before any is put in its place. */
static enum status get_block(struct snap_reader *r, struct zip *z, const struct snap_entry *e,
                             const u8 *head, const u8 *packed, u8 *pages, u8 *base, u8 *have)
{
    u64 first = (u64)ld_u32(head) * SNAP_BLOCK_PAGES, total = e->s.plain / PAGE_SIZE;
    size_t n = 0;
    for (u64 k = 0; k < SNAP_BLOCK_PAGES; k++) {
        if (!(head[8 + k / 8] >> (k % 8) & 1))
            continue;
        if (first + k >= total)
            return snap_damaged(r, e->s.name);
        n++;
    }
    if (!n || !zip_unpack(z, pages, n * PAGE_SIZE, packed, ld_u32(head + 4)))
        return snap_damaged(r, e->s.name);
    const u8 *p = pages;
    for (u64 k = 0; k < SNAP_BLOCK_PAGES; k++) {
        if (!(head[8 + k / 8] >> (k % 8) & 1))
            continue;
        memcpy(base + (first + k) * PAGE_SIZE, p, PAGE_SIZE);
        if (have)
            have[(first + k) / 8] |= (u8)(1 << ((first + k) % 8));
        p += PAGE_SIZE;
    }
    return ST_OK;
}

enum status snap_pages_get(struct snap_reader *r, const struct snap_entry *e, u8 *base, u8 *have)
{
    size_t room = zip_bound(BLOCK);
    u8 *pages = malloc(BLOCK), *packed = malloc(room), head[HEAD];
    struct zip *z = zip_new(LEVEL, false);
    enum status st = ST_OK;
    i64 last = -1;

    if (!pages || !packed || !z)
        st = fail(r->err, ST_NOMEM, "out of memory for %s", r->path);
    for (u64 at = 0; at < e->s.length && st == ST_OK;) {
        st = snap_read(r, e, at, head, sizeof(head));
        if (st != ST_OK)
            break;
        if ((i64)ld_u32(head) <= last || ld_u32(head + 4) > room) {
            st = snap_damaged(r, e->s.name);
            break;
        }
        last = ld_u32(head);
        st = snap_read(r, e, at + HEAD, packed, ld_u32(head + 4));
        at += HEAD + ld_u32(head + 4);
        if (st == ST_OK)
            st = get_block(r, z, e, head, packed, pages, base, have);
    }
    zip_free(z);
    free(pages);
    free(packed);
    return st;
}
