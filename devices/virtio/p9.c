/*
 * devices/virtio/p9.c - the virtio 9p device: a 9P2000.L server for one folder.
 *
 * What it is: the messages, the table of fids. What it is not: the host's system calls on names
 * (p9_fs.c); authentication; extended attributes; byte-range locks between guests (a lock is always
 * granted: the guest's kernel keeps its own).
 *
 * Invariants: nothing of a message is used before p9_get() found it inside the message; every
 * request gets exactly one reply, at most msize bytes; a fid's descriptors are closed with it; at
 * most `limit` fids. File contents go straight between the file and guest RAM.
 *
 * Manual: VIRTIO 1.2, 5.17 (or its 9P proposal: configuration is the mount tag); the 9P2000.L
 * description of the diod project; 9P2000, Plan 9 manual section 5.
 */
#include "devices/virtio/p9.h"
#include "base/bits.h"
#include "base/log.h"
#include "devices/virtio/p9_priv.h"
#include "devices/virtio/virtio.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { F_MOUNT_TAG = 0, RING = 128 };
enum { MSIZE_MIN = 4096, MSIZE_MAX = 512 * 1024, HEADER = 7, READ_HEADER = 11, WRITE_HEADER = 23 };
/* All but file contents passes through buffers of ours. */
enum { IN_MAX = 16 * 1024, OUT_MAX = 32 * 1024 };
enum { FIDS = 4096, BUCKETS = 256, WALK_MAX = 16 };
#define NO_FID  0xffffu
#define MAGIC   0x01021997
#define VERSION "9P2000.L"

enum {
    R_ERROR = 7,
    T_STATFS = 8,
    T_LOPEN = 12,
    T_LCREATE = 14,
    T_SYMLINK = 16,
    T_MKNOD = 18,
    T_READLINK = 22,
    T_GETATTR = 24,
    T_SETATTR = 26,
    T_READDIR = 40,
    T_FSYNC = 50,
    T_LOCK = 52,
    T_GETLOCK = 54,
    T_LINK = 70,
    T_MKDIR = 72,
    T_RENAMEAT = 74,
    T_UNLINKAT = 76,
    T_VERSION = 100,
    T_ATTACH = 104,
    T_FLUSH = 108,
    T_WALK = 110,
    T_READ = 116,
    T_WRITE = 118,
    T_CLUNK = 120,
    T_REMOVE = 122,
};

struct virtio_9p {
    struct virtio_dev v;
    bool readonly;
    char tag[VIRTIO_9P_TAG + 1];
    int root; /* O_PATH */
    u64 root_dev;
    u32 msize;
    u32 limit; /* fids */
    u32 n_fids;
    struct p9_fid fid[FIDS];
    u16 bucket[BUCKETS], free;
    struct virtq_elem req;
    struct iovec iov[VIRTQ_SEGS];
    u8 in[IN_MAX], out[OUT_MAX];
    u64 direct; /* bytes of file contents behind the reply's header */
};

/* ---- message text
 * ---------------------------------------------------------------------------------- */
u64 p9_get(struct p9_buf *b, int size)
{
    if (b->size - b->at < (u32)size) {
        b->bad = true;
        return 0;
    }
    u64 v = ld_le(b->p + b->at, size);
    b->at += (u32)size;
    return v;
}

void p9_put(struct p9_buf *b, u64 v, int size)
{
    if (b->size - b->at < (u32)size) {
        b->bad = true;
        return;
    }
    st_le(b->p + b->at, v, size);
    b->at += (u32)size;
}

/* A string of at most max - 1 bytes without a zero in it. */
static bool get_text(struct p9_buf *b, char *to, u32 max)
{
    u32 n = (u32)p9_get(b, 2);
    if (b->bad || b->size - b->at < n || n >= max || memchr(b->p + b->at, 0, n)) {
        b->bad = true;
        return false;
    }
    memcpy(to, b->p + b->at, n);
    to[n] = 0;
    b->at += n;
    return true;
}

struct name {
    char s[P9_NAME + 1];
};

/* A name that can be looked up. 0 or an errno. */
static int get_name(struct p9_buf *b, struct name *n)
{
    if (!get_text(b, n->s, sizeof(n->s)))
        return ENAMETOOLONG;
    return p9_name_ok(n->s) ? 0 : EINVAL;
}

static void put_bytes(struct p9_buf *b, const void *p, u32 n)
{
    if (b->size - b->at < n) {
        b->bad = true;
        return;
    }
    memcpy(b->p + b->at, p, n);
    b->at += n;
}

static void put_text(struct p9_buf *b, const char *s, u32 n)
{
    p9_put(b, n, 2);
    put_bytes(b, s, n);
}

/* ---- fids
 * ------------------------------------------------------------------------------------------- */
static void fids_init(struct virtio_9p *s)
{
    memset(s->bucket, 0xff, sizeof(s->bucket));
    for (u32 k = 0; k < FIDS; k++)
        s->fid[k] = (struct p9_fid){.path = -1, .fd = -1, .next = (u16)(k + 1)};
    s->fid[FIDS - 1].next = NO_FID;
    s->free = 0;
    s->n_fids = 0;
}

static struct p9_fid *fid_find(struct virtio_9p *s, u32 id)
{
    for (u16 k = s->bucket[id % BUCKETS]; k != NO_FID; k = s->fid[k].next)
        if (s->fid[k].id == id)
            return &s->fid[k];
    return NULL;
}

/* Takes `path` over if it returns 0. */
static int fid_new(struct virtio_9p *s, u32 id, int path, struct p9_fid **out)
{
    if (fid_find(s, id))
        return EBADF;
    if (s->free == NO_FID || s->n_fids >= s->limit)
        return EMFILE;
    u16 k = s->free;
    struct p9_fid *f = &s->fid[k];
    s->free = f->next;
    *f = (struct p9_fid){.id = id, .path = path, .fd = -1, .next = s->bucket[id % BUCKETS]};
    s->bucket[id % BUCKETS] = k;
    s->n_fids++;
    if (out)
        *out = f;
    return 0;
}

static void fid_free(struct virtio_9p *s, struct p9_fid *f)
{
    u16 k = (u16)(f - s->fid), *link = &s->bucket[f->id % BUCKETS];
    while (*link != k)
        link = &s->fid[*link].next;
    *link = f->next;
    close(f->path);
    if (f->fd >= 0)
        close(f->fd);
    *f = (struct p9_fid){.path = -1, .fd = -1, .next = s->free};
    s->free = k;
    s->n_fids--;
}

static void fids_drop(struct virtio_9p *s)
{
    for (u32 k = 0; k < FIDS; k++)
        if (s->fid[k].path >= 0)
            fid_free(s, &s->fid[k]);
}

static struct p9_fid *get_fid(struct virtio_9p *s, struct p9_buf *in)
{
    return fid_find(s, (u32)p9_get(in, 4));
}

/* ---- messages: each returns 0 or an errno
 * ---------------------------------------------------------- */
static int put_qid(struct virtio_9p *s, struct p9_buf *out, int path)
{
    struct stat st;
    u8 qid[P9_QID];
    int e = p9_fs_stat(path, &st);
    if (e)
        return e;
    p9_fs_qid(&st, s->root_dev, qid);
    put_bytes(out, qid, P9_QID);
    return 0;
}

/* The qid of an entry that was just made. */
static int put_new_qid(struct virtio_9p *s, struct p9_buf *out, int dir, const struct name *n)
{
    int path, e = p9_fs_lookup(dir, n->s, &path);
    if (e)
        return e;
    e = put_qid(s, out, path);
    close(path);
    return e;
}

static int t_version(struct virtio_9p *s, struct p9_buf *in, struct p9_buf *out)
{
    char version[64];
    u32 msize = (u32)p9_get(in, 4);
    if (!get_text(in, version, sizeof(version)) || msize < MSIZE_MIN)
        return EINVAL;
    fids_drop(s);
    s->msize = MIN(msize, MSIZE_MAX);
    p9_put(out, s->msize, 4);
    if (strcmp(version, VERSION))
        put_text(out, "unknown", 7);
    else
        put_text(out, VERSION, sizeof(VERSION) - 1);
    return 0;
}

static int t_attach(struct virtio_9p *s, struct p9_buf *in, struct p9_buf *out)
{
    u32 id = (u32)p9_get(in, 4);
    int path = fcntl(s->root, F_DUPFD_CLOEXEC, 0);
    if (path < 0)
        return errno;
    int e = fid_new(s, id, path, NULL);
    if (e)
        close(path);
    return e ? e : put_qid(s, out, path);
}

static int t_walk(struct virtio_9p *s, struct p9_buf *in, struct p9_buf *out)
{
    struct p9_fid *f = get_fid(s, in);
    u32 new_id = (u32)p9_get(in, 4), n = (u32)p9_get(in, 2), done;
    if (in->bad || !f)
        return EBADF;
    if (n > WALK_MAX)
        return EINVAL;
    if (new_id != f->id && fid_find(s, new_id))
        return EBADF;
    int at = fcntl(f->path, F_DUPFD_CLOEXEC, 0), e = at < 0 ? errno : 0;
    u32 count_at = out->at;
    p9_put(out, 0, 2);
    for (done = 0; !e && done < n; done++) {
        struct name name;
        int next = -1;
        e = get_name(in, &name);
        if (!e)
            e = p9_fs_lookup(at, name.s, &next);
        if (e)
            break;
        close(at);
        at = next;
        e = put_qid(s, out, at);
    }
    st_u16(out->p + count_at, (u16)done);
    if (!e && new_id == f->id) {
        close(f->path);
        f->path = at;
        return 0;
    }
    if (!e)
        e = fid_new(s, new_id, at, NULL);
    else if (done) { /* as far as it went: no fid is made, and that is no error */
        close(at);
        return 0;
    }
    if (e && at >= 0)
        close(at);
    return e;
}

static bool changes(u32 flags)
{
    return (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC);
}

static int t_lopen(struct virtio_9p *s, struct p9_buf *in, struct p9_buf *out)
{
    struct p9_fid *f = get_fid(s, in);
    u32 flags = (u32)p9_get(in, 4);
    if (in->bad || !f || f->fd >= 0)
        return EBADF;
    if (s->readonly && changes(flags))
        return EROFS;
    int fd, e = p9_fs_open(f->path, flags, &fd, &f->dir);
    if (e)
        return e;
    f->fd = fd;
    f->at = 0;
    e = put_qid(s, out, f->path);
    p9_put(out, 0, 4); /* iounit: no wish */
    return e;
}

static int t_lcreate(struct virtio_9p *s, struct p9_buf *in, struct p9_buf *out)
{
    struct p9_fid *f = get_fid(s, in);
    struct name name;
    int e = get_name(in, &name), path, fd;
    u32 flags = (u32)p9_get(in, 4), mode = (u32)p9_get(in, 4);
    if (in->bad || !f || f->fd >= 0)
        return EBADF;
    if (!e)
        e = p9_fs_create(f->path, name.s, flags, mode, &path, &fd);
    if (e)
        return e;
    /* from now on the fid is the file */
    close(f->path);
    f->path = path;
    f->fd = fd;
    f->dir = false;
    e = put_qid(s, out, path);
    p9_put(out, 0, 4);
    return e;
}

/* Symlink, mknod, mkdir: an entry of a folder is made. */
static int t_make(struct virtio_9p *s, u8 type, struct p9_buf *in, struct p9_buf *out)
{
    struct p9_fid *f = get_fid(s, in);
    struct name name;
    char target[4096];
    int e = get_name(in, &name);
    u32 mode = 0;
    if (type == T_SYMLINK)
        get_text(in, target, sizeof(target));
    else
        mode = (u32)p9_get(in, 4);
    if (in->bad || !f)
        return EBADF;
    if (!e && type == T_SYMLINK)
        e = symlinkat(target, f->path, name.s) < 0 ? errno : 0;
    else if (!e)
        e = type == T_MKDIR ? p9_fs_mkdir(f->path, name.s, mode)
                            : p9_fs_mknod(f->path, name.s, mode);
    return e ? e : put_new_qid(s, out, f->path, &name);
}

static int t_link(struct virtio_9p *s, struct p9_buf *in)
{
    struct p9_fid *dir = get_fid(s, in), *f = get_fid(s, in);
    struct name name;
    int e = get_name(in, &name);
    if (!dir || !f)
        return EBADF;
    return e ? e : p9_fs_link(f->path, dir->path, name.s);
}

static int t_renameat(struct virtio_9p *s, struct p9_buf *in)
{
    struct name old, new;
    struct p9_fid *from = get_fid(s, in);
    int e = get_name(in, &old);
    struct p9_fid *to = get_fid(s, in);
    int e2 = get_name(in, &new);
    if (!from || !to)
        return EBADF;
    if (e || e2)
        return e ? e : e2;
    return renameat(from->path, old.s, to->path, new.s) < 0 ? errno : 0;
}

static int t_unlinkat(struct virtio_9p *s, struct p9_buf *in)
{
    struct p9_fid *f = get_fid(s, in);
    struct name name;
    int e = get_name(in, &name);
    u32 flags = (u32)p9_get(in, 4);
    if (in->bad || !f)
        return EBADF;
    if (e)
        return e;
    return unlinkat(f->path, name.s, flags & AT_REMOVEDIR) < 0 ? errno : 0;
}

static int t_readlink(struct virtio_9p *s, struct p9_buf *in, struct p9_buf *out)
{
    struct p9_fid *f = get_fid(s, in);
    char target[4096];
    size_t len;
    if (!f)
        return EBADF;
    int e = p9_fs_readlink(f->path, target, sizeof(target), &len);
    if (!e)
        put_text(out, target, (u32)len);
    return e;
}

static int t_getattr(struct virtio_9p *s, struct p9_buf *in, struct p9_buf *out)
{
    struct p9_fid *f = get_fid(s, in);
    struct stat st;
    if (!f)
        return EBADF;
    int e = p9_fs_stat(f->path, &st);
    if (e)
        return e;
    p9_put(out, 0x7ff, 8); /* all but btime, gen, data_version */
    put_qid(s, out, f->path);
    p9_put(out, st.st_mode, 4);
    p9_put(out, st.st_uid, 4);
    p9_put(out, st.st_gid, 4);
    const u64 rest[] = {st.st_nlink,
                        st.st_rdev,
                        (u64)st.st_size,
                        (u64)st.st_blksize,
                        (u64)st.st_blocks,
                        (u64)st.st_atim.tv_sec,
                        (u64)st.st_atim.tv_nsec,
                        (u64)st.st_mtim.tv_sec,
                        (u64)st.st_mtim.tv_nsec,
                        (u64)st.st_ctim.tv_sec,
                        (u64)st.st_ctim.tv_nsec,
                        0,
                        0,
                        0,
                        0};
    for (size_t k = 0; k < ARRAY_LEN(rest); k++)
        p9_put(out, rest[k], 8);
    return 0;
}

static int t_setattr(struct virtio_9p *s, struct p9_buf *in)
{
    struct p9_fid *f = get_fid(s, in);
    struct p9_setattr a;
    a.valid = (u32)p9_get(in, 4);
    a.mode = (u32)p9_get(in, 4);
    a.uid = (u32)p9_get(in, 4);
    a.gid = (u32)p9_get(in, 4);
    a.size = p9_get(in, 8);
    a.atime_s = p9_get(in, 8);
    a.atime_ns = p9_get(in, 8);
    a.mtime_s = p9_get(in, 8);
    a.mtime_ns = p9_get(in, 8);
    if (in->bad || !f)
        return EBADF;
    return p9_fs_setattr(f->path, &a);
}

static int t_statfs(struct virtio_9p *s, struct p9_buf *in, struct p9_buf *out)
{
    struct p9_fid *f = get_fid(s, in);
    struct statfs st;
    if (!f)
        return EBADF;
    if (fstatfs(f->path, &st) < 0)
        return errno;
    p9_put(out, MAGIC, 4);
    p9_put(out, (u64)st.f_bsize, 4);
    p9_put(out, st.f_blocks, 8);
    p9_put(out, st.f_bfree, 8);
    p9_put(out, st.f_bavail, 8);
    p9_put(out, st.f_files, 8);
    p9_put(out, st.f_ffree, 8);
    p9_put(out, 0, 8);
    p9_put(out, P9_NAME, 4);
    return 0;
}

static int t_readdir(struct virtio_9p *s, struct p9_buf *in, struct p9_buf *out)
{
    struct p9_fid *f = get_fid(s, in);
    u64 off = p9_get(in, 8);
    u32 count = (u32)p9_get(in, 4), start = out->at;
    if (in->bad || !f || f->fd < 0 || !f->dir)
        return EBADF;
    p9_put(out, 0, 4);
    struct p9_buf part = *out;
    part.size = MIN(part.size, part.at + MIN(count, (u32)OUT_MAX));
    int e = p9_fs_readdir(f->fd, &f->at, off, s->root_dev, &part);
    if (e)
        return e;
    st_u32(out->p + start, part.at - start - 4);
    out->at = part.at;
    return 0;
}

static int t_fsync(struct virtio_9p *s, struct p9_buf *in)
{
    struct p9_fid *f = get_fid(s, in);
    u32 data_only = in->size - in->at >= 4 ? (u32)p9_get(in, 4) : 0;
    if (!f || f->fd < 0)
        return EBADF;
    return (data_only ? fdatasync(f->fd) : fsync(f->fd)) < 0 ? errno : 0;
}

static int t_getlock(struct virtio_9p *s, struct p9_buf *in, struct p9_buf *out)
{
    struct p9_fid *f = get_fid(s, in);
    char client[256];
    p9_get(in, 1);
    u64 start = p9_get(in, 8), len = p9_get(in, 8);
    u32 proc = (u32)p9_get(in, 4);
    if (!get_text(in, client, sizeof(client)) || !f)
        return EBADF;
    p9_put(out, 2, 1); /* nobody holds it */
    p9_put(out, start, 8);
    p9_put(out, len, 8);
    p9_put(out, proc, 4);
    put_text(out, client, (u32)strlen(client));
    return 0;
}

/* File contents: straight to and from guest RAM. */
static int t_read(struct virtio_9p *s, struct p9_buf *in, struct p9_buf *out)
{
    struct p9_fid *f = get_fid(s, in);
    u64 off = p9_get(in, 8), len = p9_get(in, 4);
    if (in->bad || !f || f->fd < 0 || f->dir)
        return EBADF;
    len = MIN(len, MIN((u64)s->msize, s->req.in_len) - READ_HEADER);
    int n = virtq_slice(s->req.in, s->req.n_in, READ_HEADER, len, s->iov);
    ssize_t got = off > INT64_MAX ? 0 : preadv(f->fd, s->iov, n, (off_t)off);
    if (got < 0)
        return errno;
    p9_put(out, (u64)got, 4);
    s->direct = (u64)got;
    return 0;
}

static int t_write(struct virtio_9p *s, struct p9_buf *in, struct p9_buf *out, u32 size)
{
    struct p9_fid *f = get_fid(s, in);
    u64 off = p9_get(in, 8), len = p9_get(in, 4);
    if (in->bad || !f || f->fd < 0 || f->dir)
        return EBADF;
    if (len > size - WRITE_HEADER || off > INT64_MAX - len)
        return EINVAL;
    int n = virtq_slice(s->req.iov, s->req.n_out, WRITE_HEADER, len, s->iov);
    ssize_t got = pwritev(f->fd, s->iov, n, (off_t)off);
    if (got < 0)
        return errno;
    p9_put(out, (u64)got, 4);
    return 0;
}

static int t_clunk(struct virtio_9p *s, struct p9_buf *in, int result)
{
    struct p9_fid *f = get_fid(s, in);
    if (!f)
        return EBADF;
    fid_free(s, f);
    return result;
}

/* ---- a request
 * ----------------------------------------------------------------------------------------- */
static bool modifies(u8 type)
{
    switch (type) {
    case T_LCREATE:
    case T_SYMLINK:
    case T_MKNOD:
    case T_SETATTR:
    case T_LINK:
    case T_MKDIR:
    case T_RENAMEAT:
    case T_UNLINKAT:
    case T_WRITE:
        return true;
    default:
        return false;
    }
}

static int serve(struct virtio_9p *s, u8 type, struct p9_buf *in, struct p9_buf *out, u32 size)
{
    if (s->readonly && modifies(type))
        return EROFS;
    switch (type) {
    case T_VERSION:
        return t_version(s, in, out);
    case T_ATTACH:
        return t_attach(s, in, out);
    case T_WALK:
        return t_walk(s, in, out);
    case T_LOPEN:
        return t_lopen(s, in, out);
    case T_LCREATE:
        return t_lcreate(s, in, out);
    case T_SYMLINK:
    case T_MKNOD:
    case T_MKDIR:
        return t_make(s, type, in, out);
    case T_LINK:
        return t_link(s, in);
    case T_RENAMEAT:
        return t_renameat(s, in);
    case T_UNLINKAT:
        return t_unlinkat(s, in);
    case T_READLINK:
        return t_readlink(s, in, out);
    case T_GETATTR:
        return t_getattr(s, in, out);
    case T_SETATTR:
        return t_setattr(s, in);
    case T_STATFS:
        return t_statfs(s, in, out);
    case T_READDIR:
        return t_readdir(s, in, out);
    case T_FSYNC:
        return t_fsync(s, in);
    case T_LOCK:
        p9_put(out, 0, 1); /* granted */
        return get_fid(s, in) ? 0 : EBADF;
    case T_GETLOCK:
        return t_getlock(s, in, out);
    case T_READ:
        return t_read(s, in, out);
    case T_WRITE:
        return t_write(s, in, out, size);
    case T_CLUNK:
        return t_clunk(s, in, 0);
    case T_REMOVE: /* the fid is gone in any case; Linux uses unlinkat */
        return t_clunk(s, in, EOPNOTSUPP);
    case T_FLUSH:
        return 0; /* what it names was answered already */
    default:
        return EOPNOTSUPP;
    }
}

/* The message in s->req; the reply goes into it. Returns the reply's length, 0: it made no sense.
 */
static u64 message(struct virtio_9p *s)
{
    struct virtq_elem *e = &s->req;
    size_t n = virtq_read(e, 0, s->in, IN_MAX);
    if (n < HEADER || e->in_len < READ_HEADER)
        return 0;
    u32 size = ld_u32(s->in);
    u8 type = s->in[4];
    if (size < HEADER || size > e->out_len || size > MSIZE_MAX)
        return 0;
    struct p9_buf in = {.p = s->in, .at = HEADER, .size = MIN(size, (u32)n)};
    struct p9_buf out = {
        .p = s->out, .at = HEADER, .size = (u32)MIN(MIN((u64)OUT_MAX, (u64)s->msize), e->in_len)};
    s->direct = 0;
    int err = size > IN_MAX && type != T_WRITE ? EMSGSIZE : serve(s, type, &in, &out, size);
    if (!err && in.bad)
        err = EINVAL;
    if (!err && out.bad)
        err = EMSGSIZE;
    if (err) {
        s->direct = 0;
        out.at = HEADER;
        p9_put(&out, (u64)err, 4);
    }
    u64 len = out.at + s->direct;
    st_u32(s->out, (u32)len);
    s->out[4] = err ? R_ERROR : type + 1;
    memcpy(s->out + 5, s->in + 5, 2); /* the tag */
    virtq_write(e, 0, s->out, out.at);
    return len;
}

static void p9_notify(struct virtio_dev *v, int q)
{
    struct virtio_9p *s = (struct virtio_9p *)v;
    struct virtqueue *vq = &v->vq[q];
    while (virtq_pop(vq, &s->req)) {
        u64 len = message(s);
        if (!len) {
            virtio_broken(v, "a 9P message without a sensible size");
            return;
        }
        virtq_push(vq, &s->req, len);
    }
    virtq_notify(vq);
}

/* ---- the device
 * ----------------------------------------------------------------------------------------- */
static void p9_config(struct virtio_dev *v, u8 *cfg)
{
    struct virtio_9p *s = (struct virtio_9p *)v;
    u16 len = (u16)strlen(s->tag);
    st_u16(cfg, len);
    memcpy(cfg + 2, s->tag, len);
}

static void p9_reset(struct virtio_dev *v)
{
    struct virtio_9p *s = (struct virtio_9p *)v;
    fids_drop(s);
    s->msize = MSIZE_MIN;
}

static bool p9_loaded(struct device *d)
{
    struct virtio_9p *s = (struct virtio_9p *)d;
    fids_drop(s);
    s->msize = MAX(MIN(s->msize, MSIZE_MAX), MSIZE_MIN);
    return virtio_dev_loaded(d);
}

static void p9_destroy(struct device *d)
{
    struct virtio_9p *s = (struct virtio_9p *)d;
    fids_drop(s);
    close(s->root);
    free(s);
}

static const struct field p9_state[] = {VIRTIO_FIELDS(struct virtio_9p, v),
                                        FIELD_U(struct virtio_9p, msize), FIELD_END};

static const struct device_ops p9_dev_ops = {
    .name = "virtio-9p",
    .reset = virtio_dev_reset,
    .state = p9_state,
    .loaded = p9_loaded,
    .destroy = p9_destroy,
};

static const struct virtio_dev_ops p9_ops = {
    .id = VIRTIO_ID_9P,
    .config_size = 2 + VIRTIO_9P_TAG,
    .pci_class = 0x000200,
    .config = p9_config,
    .notify = p9_notify,
    .reset = p9_reset,
};

enum status virtio_9p_new(const char *path, const char *tag, bool readonly, struct virtio_dev **out,
                          struct error *err)
{
    struct rlimit lim = {1024, 1024};
    struct stat st;
    if (!*tag || strlen(tag) > VIRTIO_9P_TAG)
        return fail(err, ST_INVAL, "'%s': a mount tag has 1 to %d characters", tag, VIRTIO_9P_TAG);
    int root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0 || fstat(root, &st) < 0) {
        int e = errno;
        if (root >= 0)
            close(root);
        return fail(err, status_from_errno(e), "%s: %s", path, strerror(e));
    }
    struct virtio_9p *s = calloc(1, sizeof(*s));
    if (!s) {
        close(root);
        return fail(err, ST_NOMEM, "%s: out of memory", path);
    }
    virtio_init(&s->v, &p9_dev_ops, &p9_ops, 1, RING);
    s->v.offered |= BIT64(F_MOUNT_TAG);
    strcpy(s->tag, tag);
    s->readonly = readonly;
    s->root = root;
    s->root_dev = st.st_dev;
    s->msize = MSIZE_MIN;
    getrlimit(RLIMIT_NOFILE, &lim);
    s->limit = (u32)MIN(lim.rlim_cur / 4, (rlim_t)FIDS);
    fids_init(s);
    *out = &s->v;
    return ST_OK;
}
