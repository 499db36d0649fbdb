/*
 * devices/virtio/p9_fs.c - the host's files on behalf of a 9p guest.
 *
 * What it is: every system call of virtio-9p that takes a name or changes a file. What it is not:
 * the protocol (p9.c).
 *
 * Invariants: a name is one component that is neither "." nor "..", looked up with openat2()
 * beneath a folder's descriptor, without following symbolic links; where a descriptor is opened
 * again it is by /proc/self/fd, after fstat() said that it is a regular file. So nothing the guest
 * says, and no link it makes, leads out of the share.
 *
 * Manual: openat2(2), proc(5).
 */
#include "devices/virtio/p9_priv.h"
#include "base/bits.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { QT_DIR = 0x80, QT_SYMLINK = 0x02, QT_FILE = 0 };
enum { A_MODE = 1, A_UID = 2, A_GID = 4, A_SIZE = 8, A_ATIME = 16, A_MTIME = 32 };
enum { A_ATIME_SET = 128, A_MTIME_SET = 256 };

/* Set-user-id and set-group-id stay off: the files are the host's user's. */
#define MODE_BITS 01777u

struct proc_path {
    char s[32];
};

static const char *proc_fd(int fd, struct proc_path *p)
{
    snprintf(p->s, sizeof(p->s), "/proc/self/fd/%d", fd);
    return p->s;
}

bool p9_name_ok(const char *name)
{
    return *name && strlen(name) <= P9_NAME && !strchr(name, '/') && strcmp(name, ".") &&
           strcmp(name, "..");
}

static int open_beneath(int dir, const char *name, u64 flags, u32 mode)
{
    struct open_how how = {.flags = flags | O_NOFOLLOW | O_CLOEXEC,
                           .mode = flags & O_CREAT ? mode : 0,
                           .resolve =
                               RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
    int fd = (int)syscall(SYS_openat2, dir, name, &how, sizeof(how));
    /* hosts before 5.6: with one component these flags are as good */
    if (fd < 0 && errno == ENOSYS)
        fd = openat(dir, name, (int)flags | O_NOFOLLOW | O_CLOEXEC, mode);
    return fd;
}

int p9_fs_lookup(int dir, const char *name, int *out)
{
    *out = open_beneath(dir, name, O_PATH, 0);
    return *out < 0 ? errno : 0;
}

int p9_fs_stat(int path, struct stat *st)
{
    return fstatat(path, "", st, AT_EMPTY_PATH) < 0 ? errno : 0;
}

static u64 file_id(u64 dev, u64 ino, u64 root_dev)
{
    return dev == root_dev ? ino : ino ^ (dev * 0x9e3779b97f4a7c15);
}

void p9_fs_qid(const struct stat *st, u64 root_dev, u8 qid[P9_QID])
{
    qid[0] = S_ISDIR(st->st_mode) ? QT_DIR : S_ISLNK(st->st_mode) ? QT_SYMLINK : QT_FILE;
    st_u32(qid + 1, (u32)(st->st_mtim.tv_sec ^ st->st_mtim.tv_nsec ^ st->st_size << 8));
    st_u64(qid + 5, file_id(st->st_dev, st->st_ino, root_dev));
}

int p9_fs_open(int path, u32 flags, int *fd, bool *dir)
{
    /* not O_APPEND: the guest says where; not O_DIRECT: its buffers need not be aligned */
    u32 keep = flags & (O_ACCMODE | O_TRUNC | O_DSYNC | O_SYNC);
    struct proc_path p;
    struct stat st;
    int e = p9_fs_stat(path, &st);
    if (e)
        return e;
    *dir = S_ISDIR(st.st_mode);
    if (*dir)
        *fd = openat(path, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    else if (S_ISREG(st.st_mode))
        *fd = open(proc_fd(path, &p), (int)keep | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    else
        return S_ISLNK(st.st_mode) ? ELOOP : EACCES;
    return *fd < 0 ? errno : 0;
}

int p9_fs_create(int dir, const char *name, u32 flags, u32 mode, int *path, int *fd)
{
    u32 keep = flags & (O_ACCMODE | O_TRUNC | O_DSYNC | O_SYNC);
    bool is_dir;
    int e;

    *path = -1;
    *fd = open_beneath(dir, name, keep | O_CREAT | O_EXCL | O_NOCTTY | O_NONBLOCK, mode & 0777);
    if (*fd >= 0) {
        /* the guest has taken its umask off already; ours is not its business */
        fchmod(*fd, mode & MODE_BITS);
        e = p9_fs_lookup(dir, name, path);
    } else if (errno == EEXIST && !(flags & O_EXCL)) {
        e = p9_fs_lookup(dir, name, path);
        if (!e)
            e = p9_fs_open(*path, keep, fd, &is_dir);
        if (!e && is_dir)
            e = EISDIR;
    } else {
        return errno;
    }
    if (e) {
        if (*fd >= 0)
            close(*fd);
        if (*path >= 0)
            close(*path);
        *path = *fd = -1;
    }
    return e;
}

static int set_mode(int path, u32 mode)
{
    struct proc_path p;
    return chmod(proc_fd(path, &p), mode & MODE_BITS) < 0 ? errno : 0;
}

int p9_fs_mkdir(int dir, const char *name, u32 mode)
{
    int path;
    if (mkdirat(dir, name, mode & 0777) < 0)
        return errno;
    if (p9_fs_lookup(dir, name, &path) == 0) {
        struct stat st;
        if (p9_fs_stat(path, &st) == 0 && S_ISDIR(st.st_mode))
            set_mode(path, mode);
        close(path);
    }
    return 0;
}

int p9_fs_mknod(int dir, const char *name, u32 mode)
{
    if (!S_ISREG(mode) && !S_ISFIFO(mode) && !S_ISSOCK(mode))
        return EPERM;
    return mknodat(dir, name, (mode & S_IFMT) | (mode & 0777), 0) < 0 ? errno : 0;
}

int p9_fs_link(int path, int dir, const char *name)
{
    struct proc_path p;
    return linkat(AT_FDCWD, proc_fd(path, &p), dir, name, AT_SYMLINK_FOLLOW) < 0 ? errno : 0;
}

int p9_fs_readlink(int path, char *buf, size_t size, size_t *len)
{
    ssize_t n = readlinkat(path, "", buf, size);
    if (n < 0)
        return errno;
    *len = (size_t)n;
    return (size_t)n == size ? ENAMETOOLONG : 0;
}

static int set_size(int path, u64 size)
{
    struct proc_path p;
    if (size > INT64_MAX)
        return EFBIG;
    return truncate(proc_fd(path, &p), (off_t)size) < 0 ? errno : 0;
}

static struct timespec time_of(u32 valid, u32 bit, u32 bit_set, u64 s, u64 ns)
{
    if (!(valid & bit))
        return (struct timespec){0, UTIME_OMIT};
    if (!(valid & bit_set))
        return (struct timespec){0, UTIME_NOW};
    return (struct timespec){(time_t)s, (long)(ns % 1000000000)};
}

int p9_fs_setattr(int path, const struct p9_setattr *a)
{
    struct proc_path p;
    struct stat st;
    int e = p9_fs_stat(path, &st);
    bool link = !e && S_ISLNK(st.st_mode);

    if (!e && link && (a->valid & ~(u32)(A_UID | A_GID)))
        return EOPNOTSUPP;
    if (!e && (a->valid & A_SIZE))
        e = S_ISREG(st.st_mode) ? set_size(path, a->size) : EINVAL;
    if (!e && (a->valid & (A_UID | A_GID)) &&
        fchownat(path, "", a->valid & A_UID ? a->uid : (uid_t)-1,
                 a->valid & A_GID ? a->gid : (gid_t)-1, AT_EMPTY_PATH) < 0 &&
        errno != EPERM)
        e = errno;
    if (!e && (a->valid & A_MODE))
        e = set_mode(path, a->mode);
    if (!e && (a->valid & (A_ATIME | A_MTIME))) {
        struct timespec t[2] = {time_of(a->valid, A_ATIME, A_ATIME_SET, a->atime_s, a->atime_ns),
                                time_of(a->valid, A_MTIME, A_MTIME_SET, a->mtime_s, a->mtime_ns)};
        if (utimensat(AT_FDCWD, proc_fd(path, &p), t, 0) < 0)
            e = errno;
    }
    return e;
}

/* One entry: qid, offset of the next, type, name. False: no room. */
static bool put_entry(struct p9_buf *out, const struct dirent64 *d, u64 dev)
{
    size_t len = strlen(d->d_name);
    if (out->size - out->at < P9_QID + 8 + 1 + 2 + len)
        return false;
    p9_put(out, d->d_type == DT_DIR ? QT_DIR : d->d_type == DT_LNK ? QT_SYMLINK : QT_FILE, 1);
    p9_put(out, 0, 4);
    p9_put(out, d->d_ino ^ dev, 8);
    p9_put(out, (u64)d->d_off, 8);
    p9_put(out, d->d_type, 1);
    p9_put(out, len, 2);
    memcpy(out->p + out->at, d->d_name, len);
    out->at += (u32)len;
    return true;
}

int p9_fs_readdir(int fd, u64 *at, u64 off, u64 root_dev, struct p9_buf *out)
{
    _Alignas(struct dirent64) char buf[4096];
    struct stat st;

    if (fstat(fd, &st) < 0)
        return errno;
    u64 dev = file_id(st.st_dev, 0, root_dev);
    if (off != *at && (off > INT64_MAX || lseek(fd, (off_t)off, SEEK_SET) < 0))
        return off > INT64_MAX ? EINVAL : errno;
    *at = off;
    for (;;) {
        long n = syscall(SYS_getdents64, fd, buf, sizeof(buf));
        if (n <= 0)
            return n < 0 ? errno : 0;
        for (long k = 0; k < n;) {
            const struct dirent64 *d = (const void *)(buf + k);
            if (!put_entry(out, d, dev)) {
                lseek(fd, (off_t)*at, SEEK_SET); /* the rest comes next time */
                return 0;
            }
            *at = (u64)d->d_off;
            k += d->d_reclen;
        }
    }
}
