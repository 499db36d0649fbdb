/*
 * bus/block.c - the checks before every access to an image, and images in memory.
 *
 * It is not the raw file backend (bus/block_raw.c). Offsets and lengths come from guests: nothing
 * reaches an implementation before it is known to lie inside the image.
 */
#include "bus/backend.h"
#include "base/bits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static bool inside(const struct block *b, u64 off, u64 len)
{
    return off <= b->size && len <= b->size - off;
}

enum status block_read(struct block *b, u64 off, void *buf, size_t len)
{
    if (!inside(b, off, len))
        return ST_RANGE;
    return len ? b->ops->read(b, off, buf, len) : ST_OK;
}

enum status block_write(struct block *b, u64 off, const void *buf, size_t len)
{
    if (b->readonly)
        return ST_ACCESS;
    if (!inside(b, off, len))
        return ST_RANGE;
    return len ? b->ops->write(b, off, buf, len) : ST_OK;
}

enum status block_flush(struct block *b)
{
    return b->ops->flush && !b->readonly ? b->ops->flush(b) : ST_OK;
}

/* The sum of the segments; false when they do not lie inside the image. */
static bool inside_v(const struct block *b, u64 off, const struct iovec *iov, int n, u64 *len)
{
    *len = 0;
    for (int k = 0; k < n; k++) {
        if (iov[k].iov_len > b->size - *len)
            return false;
        *len += iov[k].iov_len;
    }
    return inside(b, off, *len);
}

enum status block_readv(struct block *b, u64 off, const struct iovec *iov, int n)
{
    enum status st = ST_OK;
    u64 len;
    if (!inside_v(b, off, iov, n, &len))
        return ST_RANGE;
    if (len && b->ops->readv)
        return b->ops->readv(b, off, iov, n, len);
    for (int k = 0; k < n && !st; off += iov[k++].iov_len)
        st = block_read(b, off, iov[k].iov_base, iov[k].iov_len);
    return st;
}

enum status block_try_readv(struct block *b, u64 off, const struct iovec *iov, int n)
{
    u64 len;
    if (!b->waits)
        return block_readv(b, off, iov, n);
    if (!inside_v(b, off, iov, n, &len))
        return ST_RANGE;
    return b->ops->try_readv ? b->ops->try_readv(b, off, iov, n, len) : ST_BUSY;
}

enum status block_writev(struct block *b, u64 off, const struct iovec *iov, int n)
{
    enum status st = ST_OK;
    u64 len;
    if (b->readonly)
        return ST_ACCESS;
    if (!inside_v(b, off, iov, n, &len))
        return ST_RANGE;
    if (len && b->ops->writev)
        return b->ops->writev(b, off, iov, n, len);
    for (int k = 0; k < n && !st; off += iov[k++].iov_len)
        st = block_write(b, off, iov[k].iov_base, iov[k].iov_len);
    return st;
}

enum status block_discard(struct block *b, u64 off, u64 len)
{
    if (b->readonly)
        return ST_ACCESS;
    if (!inside(b, off, len))
        return ST_RANGE;
    return len && b->ops->discard ? b->ops->discard(b, off, len) : ST_OK;
}

enum status block_zero(struct block *b, u64 off, u64 len, bool unmap)
{
    static const u8 zeros[64 * 1024];
    enum status st = ST_OK;
    if (b->readonly)
        return ST_ACCESS;
    if (!inside(b, off, len))
        return ST_RANGE;
    if (len && b->ops->zero) {
        st = b->ops->zero(b, off, len, unmap);
        if (st != ST_UNSUP)
            return st;
        st = ST_OK;
    }
    while (len && !st) {
        size_t n = MIN(len, sizeof(zeros));
        st = block_write(b, off, zeros, n);
        off += n;
        len -= n;
    }
    return st;
}

void block_close(struct block *b)
{
    if (b)
        b->ops->close(b);
}

u64 block_changed(struct block *b)
{
    return b->ops->changed ? b->ops->changed(b) : 0;
}

struct block_kept *block_kept(struct block *b)
{
    return b->ops->kept ? b->ops->kept(b) : NULL;
}

/* ---- writes kept in memory ------------------------------------------------------------------- */
static u64 kept_bytes(u64 size)
{
    return align_up(MAX(size, 1u), BLOCK_CHUNK);
}

static u64 kept_bitmap(u64 size)
{
    return kept_bytes(size) / BLOCK_CHUNK / 8 + 1;
}

static u8 *reserve(u64 size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                   -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

bool block_kept_init(struct block_kept *k, u64 size)
{
    *k = (struct block_kept){.size = size};
    k->bytes = reserve(kept_bytes(size));
    k->have = reserve(kept_bitmap(size));
    if (k->bytes && k->have)
        return true;
    block_kept_fini(k);
    return false;
}

void block_kept_fini(struct block_kept *k)
{
    if (k->bytes)
        munmap(k->bytes, kept_bytes(k->size));
    if (k->have)
        munmap(k->have, kept_bitmap(k->size));
    k->bytes = k->have = NULL;
}

/* ---- an image that is nothing else ----------------------------------------------------------- */
struct mem {
    struct block b;
    struct block_kept kept;
};

static enum status mem_read(struct block *b, u64 off, void *buf, size_t len)
{
    memcpy(buf, ((struct mem *)b)->kept.bytes + off, len);
    return ST_OK;
}

static enum status mem_write(struct block *b, u64 off, const void *buf, size_t len)
{
    struct block_kept *k = &((struct mem *)b)->kept;
    for (u64 c = off / BLOCK_CHUNK; len && c <= (off + len - 1) / BLOCK_CHUNK; c++)
        block_kept_mark(k, c);
    memcpy(k->bytes + off, buf, len);
    return ST_OK;
}

static void mem_close(struct block *b)
{
    struct mem *m = (struct mem *)b;
    block_kept_fini(&m->kept);
    free(m);
}

static struct block_kept *mem_kept(struct block *b)
{
    return &((struct mem *)b)->kept;
}

static const struct block_ops mem_ops = {
    .read = mem_read, .write = mem_write, .close = mem_close, .kept = mem_kept};

struct block *block_new_mem(u64 size)
{
    struct mem *m = calloc(1, sizeof(*m));
    if (!m)
        return NULL;
    if (!block_kept_init(&m->kept, size)) {
        free(m);
        return NULL;
    }
    m->b = (struct block){.ops = &mem_ops, .size = size};
    snprintf(m->b.name, sizeof(m->b.name), "memory");
    return &m->b;
}
