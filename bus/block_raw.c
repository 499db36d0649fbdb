/*
 * bus/block_raw.c - raw image files and host block devices, with an optional overlay in memory.
 *
 * It knows no image format: byte n of the file is byte n of the disk. A file whose length is no
 * multiple of 512 is a disk of the next multiple; the missing bytes read as zeros, and a write
 * there makes the file longer.
 *
 * Locks are open-file-description locks on the whole file: one writer, or any number of readers
 * (a snapshot is a reader). A file system without locks is used without them.
 *
 * The overlay is address space of the image's size, of which only the written 4 KiB chunks cost
 * memory, and one bit a chunk that says which those are. So it is bounded by the image, and no
 * guest access allocates.
 */
#include "bus/backend.h"
#include "base/bits.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SECTOR = 512, CHUNK = BLOCK_CHUNK };

/* IDE's 48-bit sector numbers reach this far. */
#define MAX_BYTES (1ull << 57)

struct raw {
    struct block b;
    int fd;
    u64 bytes; /* of the file when it was opened: b.size is this rounded up */
    bool over; /* writes are kept in memory */
    struct block_kept kept;
};

/* ---- the file ------------------------------------------------------------------------------- */
static enum status host_error(struct raw *r, const char *what, u64 off)
{
    log_error("%s: %s at byte %llu: %s", r->b.name, what, (unsigned long long)off, strerror(errno));
    return ST_IO;
}

static enum status file_read(struct raw *r, u64 off, u8 *buf, size_t len)
{
    while (len) {
        ssize_t n = pread(r->fd, buf, len, (off_t)off);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return host_error(r, "cannot read", off);
        if (n == 0) {
            if (off < r->bytes) {
                errno = ENODATA; /* someone made the file shorter */
                return host_error(r, "cannot read", off);
            }
            memset(buf, 0, len);
            return ST_OK;
        }
        buf += n;
        off += (u64)n;
        len -= (size_t)n;
    }
    return ST_OK;
}

static enum status file_write(struct raw *r, u64 off, const u8 *buf, size_t len)
{
    while (len) {
        ssize_t n = pwrite(r->fd, buf, len, (off_t)off);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return host_error(r, "cannot write", off);
        buf += n;
        off += (u64)n;
        len -= (size_t)n;
    }
    return ST_OK;
}

/* ---- the overlay ---------------------------------------------------------------------------- */
static bool chunk_written(const struct raw *r, u64 off)
{
    return block_kept_has(&r->kept, off / CHUNK);
}

static enum status raw_read(struct block *b, u64 off, void *buf, size_t len)
{
    struct raw *r = (struct raw *)b;
    u8 *out = buf;
    if (!r->over)
        return file_read(r, off, out, len);
    while (len) {
        /* a run of chunks of one kind */
        bool mine = chunk_written(r, off);
        u64 end = align_down(off, CHUNK) + CHUNK;
        while (end - off < len && chunk_written(r, end) == mine)
            end += CHUNK;
        size_t n = MIN(len, end - off);
        if (mine) {
            memcpy(out, r->kept.bytes + off, n);
        } else {
            enum status st = file_read(r, off, out, n);
            if (st)
                return st;
        }
        out += n;
        off += n;
        len -= n;
    }
    return ST_OK;
}

static enum status raw_write(struct block *b, u64 off, const void *buf, size_t len)
{
    struct raw *r = (struct raw *)b;
    const u8 *in = buf;
    if (!r->over)
        return file_write(r, off, in, len);
    while (len) {
        u64 start = align_down(off, CHUNK);
        size_t n = MIN(len, start + CHUNK - off);
        if (!chunk_written(r, off)) {
            size_t whole = MIN((u64)CHUNK, r->b.size - start);
            if (n < whole) {
                enum status st = file_read(r, start, r->kept.bytes + start, whole);
                if (st)
                    return st;
            }
            block_kept_mark(&r->kept, start / CHUNK);
        }
        memcpy(r->kept.bytes + off, in, n);
        in += n;
        off += n;
        len -= n;
    }
    return ST_OK;
}

/* All segments in one call to the host; what a short transfer left, piece by piece. */
static enum status raw_vector(struct block *b, u64 off, const struct iovec *iov, int n, u64 len,
                              bool write)
{
    struct raw *r = (struct raw *)b;
    enum status st = ST_OK;
    u64 done = 0;

    if (!r->over) {
        ssize_t got =
            write ? pwritev(r->fd, iov, n, (off_t)off) : preadv(r->fd, iov, n, (off_t)off);
        if (got > 0)
            done = (u64)got;
    }
    for (int k = 0; k < n && !st; k++) {
        size_t skip = MIN(done, iov[k].iov_len), left = iov[k].iov_len - skip;
        u8 *p = (u8 *)iov[k].iov_base + skip;
        done -= skip;
        if (left)
            st = write ? raw_write(b, off + skip, p, left) : raw_read(b, off + skip, p, left);
        off += iov[k].iov_len;
    }
    return st;
}

/* What the host has in memory. */
static enum status raw_try_readv(struct block *b, u64 off, const struct iovec *iov, int n, u64 len)
{
    struct raw *r = (struct raw *)b;
    return preadv2(r->fd, iov, n, (off_t)off, RWF_NOWAIT) == (ssize_t)len ? ST_OK : ST_BUSY;
}

static enum status raw_readv(struct block *b, u64 off, const struct iovec *iov, int n, u64 len)
{
    return raw_vector(b, off, iov, n, len, false);
}

static enum status raw_writev(struct block *b, u64 off, const struct iovec *iov, int n, u64 len)
{
    return raw_vector(b, off, iov, n, len, true);
}

/* A hole, of a file or of a device that can have one. */
static enum status raw_zero(struct block *b, u64 off, u64 len, bool unmap)
{
    struct raw *r = (struct raw *)b;
    int mode = FALLOC_FL_KEEP_SIZE | (unmap ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE);
    if (r->over || fallocate(r->fd, mode, (off_t)off, (off_t)len) < 0)
        return ST_UNSUP;
    return ST_OK;
}

static enum status raw_discard(struct block *b, u64 off, u64 len)
{
    raw_zero(b, off, len, true); /* where the host cannot, the bytes just stay */
    return ST_OK;
}

static enum status raw_flush(struct block *b)
{
    struct raw *r = (struct raw *)b;
    if (!r->over && fdatasync(r->fd) < 0)
        return host_error(r, "cannot flush", 0);
    return ST_OK;
}

static void raw_close(struct block *b)
{
    struct raw *r = (struct raw *)b;
    block_kept_fini(&r->kept);
    if (r->fd >= 0)
        close(r->fd); /* and with it the lock */
    free(r);
}

static u64 raw_changed(struct block *b)
{
    struct raw *r = (struct raw *)b;
    struct stat st;
    if (fstat(r->fd, &st) < 0 || !S_ISREG(st.st_mode))
        return 0; /* what writes to a device does not show there */
    return (u64)st.st_mtim.tv_sec * 1000000000u + (u64)st.st_mtim.tv_nsec;
}

static struct block_kept *raw_kept(struct block *b)
{
    struct raw *r = (struct raw *)b;
    return r->over ? &r->kept : NULL;
}

static const struct block_ops raw_ops = {
    .changed = raw_changed,
    .kept = raw_kept,
    .read = raw_read,
    .write = raw_write,
    .flush = raw_flush,
    .close = raw_close,
    .readv = raw_readv,
    .try_readv = raw_try_readv,
    .writev = raw_writev,
    .discard = raw_discard,
    .zero = raw_zero,
};

/* ---- opening -------------------------------------------------------------------------------- */
static enum status open_file(struct raw *r, const char *path, bool write, struct error *err)
{
    struct stat st;
    /* O_NONBLOCK: a named pipe must not hang us before we can refuse it. */
    int flags = (write ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;

    /* Asked before the open, which may have effects on devices that are no disks. O_EXCL on a
     * block device refuses one that the host has mounted. */
    if (stat(path, &st) < 0)
        return fail(err, status_from_errno(errno), "%s: %s", path, strerror(errno));
    if (S_ISDIR(st.st_mode))
        return fail(err, ST_FORMAT, "%s: is a directory, not an image", path);
    if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
        return fail(err, ST_FORMAT, "%s: neither a regular file nor a block device", path);
    if (S_ISBLK(st.st_mode) && write)
        flags |= O_EXCL;

    r->fd = open(path, flags);
    if (r->fd < 0) {
        int e = errno;
        if (write && (e == EACCES || e == EPERM || e == EROFS) && access(path, R_OK) == 0)
            return fail(err, ST_ACCESS,
                        "%s: cannot be written (readonly=on or snapshot=on would do without)",
                        path);
        if (e == EBUSY)
            return fail(err, ST_BUSY, "%s: in use by the host (mounted?)", path);
        return fail(err, status_from_errno(e), "%s: %s", path, strerror(e));
    }
    if (fstat(r->fd, &st) < 0)
        return fail(err, ST_IO, "%s: %s", path, strerror(errno));
    if (S_ISBLK(st.st_mode)) {
        if (ioctl(r->fd, BLKGETSIZE64, &r->bytes) < 0)
            return fail(err, ST_IO, "%s: cannot ask for its size: %s", path, strerror(errno));
    } else if (S_ISREG(st.st_mode)) {
        r->bytes = (u64)st.st_size;
    } else {
        return fail(err, ST_FORMAT, "%s: neither a regular file nor a block device", path);
    }
    if (!r->bytes)
        return fail(err, ST_FORMAT, "%s: is empty", path);
    if (r->bytes > MAX_BYTES)
        return fail(err, ST_RANGE, "%s: larger than any disk can be (128 PiB)", path);
    return ST_OK;
}

static enum status lock_file(struct raw *r, const char *path, bool write, struct error *err)
{
    struct flock lk = {.l_type = write ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET};
    if (fcntl(r->fd, F_OFD_SETLK, &lk) == 0)
        return ST_OK;
    if (errno == EAGAIN || errno == EACCES)
        return fail(err, ST_BUSY, "%s: %s", path,
                    write ? "in use by another virtual machine"
                          : "being written by another virtual machine");
    log_info("%s: the file system has no locks: %s", path, strerror(errno));
    return ST_OK;
}

enum status block_open_raw(const char *path, bool readonly, bool snapshot, struct block **out,
                           struct error *err)
{
    bool write = !readonly && !snapshot;
    struct raw *r = calloc(1, sizeof(*r));
    if (!r)
        return fail(err, ST_NOMEM, "%s: out of memory", path);
    r->fd = -1;
    r->b = (struct block){.ops = &raw_ops, .readonly = readonly};
    snprintf(r->b.name, sizeof(r->b.name), "%s", path);

    enum status st = open_file(r, path, write, err);
    if (!st)
        st = lock_file(r, path, write, err);
    if (!st) {
        r->b.size = align_up(r->bytes, SECTOR);
        if (snapshot && !readonly) {
            r->over = block_kept_init(&r->kept, r->b.size);
            if (!r->over)
                st = fail(err, ST_NOMEM, "%s: no room for a snapshot of %llu MiB", path,
                          (unsigned long long)(r->b.size / MIB));
        }
        r->b.waits = !r->over; /* two threads cannot share the overlay */
    }
    if (st) {
        raw_close(&r->b);
        return st;
    }
    *out = &r->b;
    return ST_OK;
}
