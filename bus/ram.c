/*
 * bus/ram.c - guest RAM as one memfd, and the flags of its pages.
 */
#include "bus/ram.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int ram_new_file(const struct ram *ram)
{
    int fd = memfd_create("trivisor-ram", MFD_CLOEXEC);
    if (fd >= 0 && ftruncate(fd, (off_t)ram->size) < 0) {
        int e = errno;
        close(fd);
        errno = e;
        return -1;
    }
    return fd;
}

enum status ram_new(u64 size, struct ram **out, struct error *err)
{
    if (!size || (size & ~PAGE_MASK))
        return fail(err, ST_INVAL, "RAM size must be a multiple of 4 KiB and not zero");
    struct ram *ram = calloc(1, sizeof(*ram));
    if (!ram)
        return fail(err, ST_NOMEM, "out of memory for guest RAM");
    ram->size = size;
    ram->fd = ram_new_file(ram);
    if (ram->fd < 0)
        goto bad;
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, ram->fd, 0);
    if (p == MAP_FAILED)
        goto bad;
    ram->base = p;
    /* ignored where transparent huge pages are off: a matter of speed alone */
    madvise(p, size, MADV_HUGEPAGE);
    p = mmap(NULL, size >> PAGE_SHIFT, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        goto bad;
    ram->page_flags = p;
    *out = ram;
    return ST_OK;
bad:;
    int e = errno;
    ram_free(ram);
    return fail(err, ST_NOMEM, "cannot allocate %llu MiB of guest RAM: %s",
                (unsigned long long)(size / MIB), strerror(e));
}

void ram_free(struct ram *ram)
{
    if (!ram)
        return;
    if (ram->base)
        munmap(ram->base, ram->size);
    if (ram->page_flags)
        munmap(ram->page_flags, ram->size >> PAGE_SHIFT);
    if (ram->fd >= 0)
        close(ram->fd);
    free(ram);
}

enum status ram_exchange(struct ram *ram, int *fd, struct error *err)
{
    if (ram->fd < 0)
        return fail(err, ST_UNSUP, "memory that is shared with nobody cannot be exchanged");
    if (mmap(ram->base, ram->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE | MAP_FIXED,
             *fd, 0) == MAP_FAILED)
        return fail(err, ST_NOMEM, "cannot map guest RAM: %s", strerror(errno));
    madvise(ram->base, ram->size, MADV_HUGEPAGE);
    int old = ram->fd;
    ram->fd = *fd;
    *fd = old;
    return ST_OK;
}

void ram_note_write(struct ram *ram, u64 off, u64 len)
{
    while (len) {
        u64 page = off >> PAGE_SHIFT;
        u64 n = MIN(len, PAGE_SIZE - (off & ~PAGE_MASK));
        if (page >= ram->size >> PAGE_SHIFT)
            return;
        u8 flags = ram->page_flags[page];
        if (unlikely(flags)) {
            ram->page_flags[page] = flags & (u8)~RAM_CLEAN;
            if ((flags & RAM_CODE) && ram->code_write)
                ram->code_write(ram->code_ctx, off, (u32)n);
        }
        off += n;
        len -= n;
    }
}

void ram_discard(struct ram *ram, u64 off, u64 len)
{
    u64 start = (off + PAGE_SIZE - 1) & PAGE_MASK, end = (off + len) & PAGE_MASK;
    if (off >= ram->size || len > ram->size - off || start >= end)
        return;
    /* a private copy of RAM has no file behind it, and what is dropped there reads as zeros too */
    int how = ram->fd >= 0 ? MADV_REMOVE : MADV_DONTNEED;
    if (madvise(ram->base + start, end - start, how) < 0)
        memset(ram->base + start, 0, end - start);
    ram_note_write(ram, start, end - start);
}

enum status ram_make_private(struct ram *ram, struct error *err)
{
    u8 *p = mmap(NULL, ram->size, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    off_t at = 0, end;
    if (p == MAP_FAILED)
        return fail(err, ST_NOMEM, "no memory for a copy of guest RAM: %s", strerror(errno));
    /* only what was written: the rest stays without pages */
    while ((at = lseek(ram->fd, at, SEEK_DATA)) >= 0 && (u64)at < ram->size) {
        end = lseek(ram->fd, at, SEEK_HOLE);
        memcpy(p + at, ram->base + at, (size_t)((end < 0 ? (off_t)ram->size : end) - at));
        at = end < 0 ? (off_t)ram->size : end;
    }
    if (mremap(p, ram->size, ram->size, MREMAP_MAYMOVE | MREMAP_FIXED, ram->base) != ram->base) {
        int e = errno;
        munmap(p, ram->size);
        return fail(err, ST_NOMEM, "cannot move guest RAM: %s", strerror(e));
    }
    close(ram->fd);
    ram->fd = -1;
    return ST_OK;
}
