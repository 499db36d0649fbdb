/*
 * devices/virtio/p9_priv.h - what p9.c (messages, fids) and p9_fs.c (the host's files) share.
 */
#ifndef DEVICES_VIRTIO_P9_PRIV_H
#define DEVICES_VIRTIO_P9_PRIV_H

#include "base/types.h"

#include <sys/stat.h>
#include <sys/uio.h>

enum { P9_NAME = 255, P9_QID = 13 };

/* A file or folder the guest holds. */
struct p9_fid {
    u32 id;
    int path; /* an O_PATH descriptor of exactly this file; never a way out of the share */
    int fd;   /* opened for reading or writing, -1: not */
    bool dir; /* fd is a folder's */
    u64 at;   /* where the next entry of the folder is read, for fd */
    u16 next; /* in its hash chain or the free list */
};

/* Message text under construction or under examination; `bad` once it went over the end. */
struct p9_buf {
    u8 *p;
    u32 at, size;
    bool bad;
};
u64 p9_get(struct p9_buf *b, int size);
void p9_put(struct p9_buf *b, u64 v, int size);

/* All below: 0, or an errno. `name` was checked by p9_name_ok(). */
bool p9_name_ok(const char *name);
/* The O_PATH descriptor of an entry of a folder. */
int p9_fs_lookup(int dir, const char *name, int *out);
int p9_fs_stat(int path, struct stat *st);
void p9_fs_qid(const struct stat *st, u64 root_dev, u8 qid[P9_QID]);
/* flags: as Linux's open(2), as far as they are the guest's business. */
int p9_fs_open(int path, u32 flags, int *fd, bool *dir);
int p9_fs_create(int dir, const char *name, u32 flags, u32 mode, int *path, int *fd);
int p9_fs_mkdir(int dir, const char *name, u32 mode);
int p9_fs_mknod(int dir, const char *name, u32 mode);
int p9_fs_link(int path, int dir, const char *name);
int p9_fs_readlink(int path, char *buf, size_t size, size_t *len);
struct p9_setattr {
    u32 valid, mode, uid, gid;
    u64 size, atime_s, atime_ns, mtime_s, mtime_ns;
};
int p9_fs_setattr(int path, const struct p9_setattr *a);
/* Fills out with entries from offset `off` on. *at: what fd's position is, kept between calls. */
int p9_fs_readdir(int fd, u64 *at, u64 off, u64 root_dev, struct p9_buf *out);

#endif
