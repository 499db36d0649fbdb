/*
 * bus/block.c - the checks before every access to an image, and images in memory.
 *
 * It is not the raw file backend (bus/block_raw.c). Offsets and lengths come from guests: nothing
 * reaches an implementation before it is known to lie inside the image.
 */
#include "bus/backend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static bool inside(const struct block *b, u64 off, size_t len)
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

void block_close(struct block *b)
{
    if (b)
        b->ops->close(b);
}

/* ---- in memory: address space for the whole image, memory for what is written ---------------- */
struct mem {
    struct block b;
    u8 *data;
};

static enum status mem_read(struct block *b, u64 off, void *buf, size_t len)
{
    memcpy(buf, ((struct mem *)b)->data + off, len);
    return ST_OK;
}

static enum status mem_write(struct block *b, u64 off, const void *buf, size_t len)
{
    memcpy(((struct mem *)b)->data + off, buf, len);
    return ST_OK;
}

static void mem_close(struct block *b)
{
    struct mem *m = (struct mem *)b;
    munmap(m->data, m->b.size ? m->b.size : 1);
    free(m);
}

static const struct block_ops mem_ops = {.read = mem_read, .write = mem_write, .close = mem_close};

struct block *block_new_mem(u64 size)
{
    struct mem *m = calloc(1, sizeof(*m));
    if (!m)
        return NULL;
    m->data = mmap(NULL, size ? size : 1, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (m->data == MAP_FAILED) {
        free(m);
        return NULL;
    }
    m->b = (struct block){.ops = &mem_ops, .size = size};
    snprintf(m->b.name, sizeof(m->b.name), "memory");
    return &m->b;
}
