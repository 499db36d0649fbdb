/* tests/virtio/test_9p.c - the shared folder: messages, good and bad, and no way out. */
#include "tests/virtio/rig.h"
#include "devices/virtio/p9.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    T_STATFS = 8,
    T_LOPEN = 12,
    T_LCREATE = 14,
    T_SYMLINK = 16,
    T_MKNOD = 18,
    T_READLINK = 22,
    T_GETATTR = 24,
    T_SETATTR = 26,
    T_READDIR = 40,
    T_LINK = 70,
    T_MKDIR = 72,
    T_RENAMEAT = 74,
    T_UNLINKAT = 76,
    T_VERSION = 100,
    T_ATTACH = 104,
    T_WALK = 110,
    T_READ = 116,
    T_WRITE = 118,
    T_CLUNK = 120,
};

struct p9 {
    struct rig r;
    char dir[64];
    u64 out, in;   /* buffers of 16 KiB */
    const u8 *ans; /* the reply's body */
    u32 len;       /* its length */
};

static void put_file(const char *dir, const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    cr_assert(f);
    fputs(text, f);
    fclose(f);
}

/* Sends a message built by letters: b w d q of 1 2 4 8 bytes, s text. 0 or the errno. */
static int send_message(struct p9 *p, u8 type, const char *form, ...)
{
    u8 *m = rig_ptr(&p->r, p->out);
    u32 n = 7;
    va_list ap;
    va_start(ap, form);
    for (; *form; form++) {
        const char *s;
        switch (*form) {
        case 'b':
            m[n++] = (u8)va_arg(ap, int);
            break;
        case 'w':
            st_u16(m + n, (u16)va_arg(ap, int));
            n += 2;
            break;
        case 'd':
            st_u32(m + n, (u32)va_arg(ap, int));
            n += 4;
            break;
        case 'q':
            st_u64(m + n, (u64)va_arg(ap, int));
            n += 8;
            break;
        case 's':
            s = va_arg(ap, const char *);
            st_u16(m + n, (u16)strlen(s));
            memcpy(m + n + 2, s, strlen(s));
            n += 2 + (u32)strlen(s);
            break;
        }
    }
    va_end(ap);
    st_u32(m, n);
    m[4] = type;
    st_u16(m + 5, 0x1234);
    u32 got = rig_do(&p->r, 0, (struct seg[]){{p->out, n, false}, {p->in, 16384, true}}, 2);
    const u8 *a = rig_ptr(&p->r, p->in);
    cr_assert_eq(ld_u32(a), got);
    cr_assert_eq(ld_u16(a + 5), 0x1234);
    p->ans = a + 7;
    p->len = got - 7;
    if (a[4] == 7)
        return (int)ld_u32(a + 7);
    cr_assert_eq(a[4], type + 1);
    return 0;
}

static void setup(struct p9 *p, bool readonly)
{
    struct virtio_dev *v;
    struct error err;
    strcpy(p->dir, "/tmp/trivisor-9p-XXXXXX");
    cr_assert(mkdtemp(p->dir));
    char path[128];
    snprintf(path, sizeof(path), "%s/share", p->dir);
    cr_assert_eq(mkdir(path, 0755), 0);
    put_file(p->dir, "secret", "secret");
    put_file(path, "file", "0123456789");
    snprintf(path, sizeof(path), "%s/share/sub", p->dir);
    mkdir(path, 0755);
    put_file(path, "deep", "deep");
    snprintf(path, sizeof(path), "%s/share/link", p->dir);
    cr_assert_eq(symlink("../secret", path), 0);
    snprintf(path, sizeof(path), "%s/share/up", p->dir);
    cr_assert_eq(symlink("..", path), 0);
    snprintf(path, sizeof(path), "%s/share", p->dir);
    cr_assert_eq(virtio_9p_new(path, "tag", readonly, &v, &err), ST_OK);
    rig_init(&p->r, v);
    rig_start(&p->r, ~0ull);
    p->out = rig_alloc(&p->r, 16384);
    p->in = rig_alloc(&p->r, 16384);
    cr_assert_eq(send_message(p, T_VERSION, "ds", 65536, "9P2000.L"), 0);
    cr_assert_eq(ld_u32(p->ans), 65536);
    cr_assert_eq(send_message(p, T_ATTACH, "ddssd", 1, -1, "", "", 0), 0);
}

static void teardown(struct p9 *p)
{
    char cmd[128];
    rig_free(&p->r);
    snprintf(cmd, sizeof(cmd), "rm -rf %s", p->dir);
    cr_assert_eq(system(cmd), 0);
}

static int open_fds(void)
{
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

Test(virtio_9p, configuration)
{
    struct p9 p;
    setup(&p, false);
    cr_assert_eq(space_read(p.r.mem, RIG_MMIO + 0x100, 2), 3);
    cr_assert_eq(space_read(p.r.mem, RIG_MMIO + 0x102, 2), 't' | 'a' << 8);
    teardown(&p);
    struct virtio_dev *v;
    struct error err;
    cr_assert_eq(virtio_9p_new("/nowhere/at/all", "t", false, &v, &err), ST_NOENT);
    cr_assert_eq(virtio_9p_new("/", "", false, &v, &err), ST_INVAL);
}

Test(virtio_9p, reads_a_file)
{
    struct p9 p;
    setup(&p, true);
    cr_assert_eq(send_message(&p, T_WALK, "ddws", 1, 2, 1, "file"), 0);
    cr_assert_eq(send_message(&p, T_READ, "dqd", 2, 0, 10), EBADF, "not open");
    cr_assert_eq(send_message(&p, T_LOPEN, "dd", 2, 0), 0);
    cr_assert_eq(send_message(&p, T_READ, "dqd", 2, 3, 100), 0);
    cr_assert(ld_u32(p.ans) == 7 && p.len == 11 && !memcmp(p.ans + 4, "3456789", 7));
    cr_assert_eq(send_message(&p, T_READ, "dqd", 2, 100, 100), 0);
    cr_assert_eq(ld_u32(p.ans), 0);
    cr_assert_eq(send_message(&p, T_READ, "dqd", 2, -1, -1), 0, "far beyond the end");
    cr_assert_eq(send_message(&p, T_GETATTR, "dq", 2, 0x7ff), 0);
    cr_assert_eq(ld_u64(p.ans + 8 + 13 + 12 + 16), 10, "its size");
    cr_assert_eq(send_message(&p, T_CLUNK, "d", 2), 0);
    cr_assert_eq(send_message(&p, T_CLUNK, "d", 2), EBADF);
    teardown(&p);
}

Test(virtio_9p, walks)
{
    struct p9 p;
    setup(&p, false);
    cr_assert_eq(send_message(&p, T_WALK, "ddwss", 1, 2, 2, "sub", "deep"), 0);
    cr_assert(ld_u16(p.ans) == 2 && p.ans[2] == 0x80 && p.ans[2 + 13] == 0);
    cr_assert_eq(send_message(&p, T_WALK, "ddws", 1, 2, 1, "sub"), EBADF, "fid 2 is taken");
    cr_assert_eq(send_message(&p, T_WALK, "ddws", 1, 3, 1, "none"), ENOENT);
    cr_assert_eq(send_message(&p, T_WALK, "ddwss", 1, 3, 2, "sub", "none"), 0, "half the way");
    cr_assert_eq(ld_u16(p.ans), 1);
    cr_assert_eq(send_message(&p, T_CLUNK, "d", 3), EBADF, "so there is no fid");
    cr_assert_eq(send_message(&p, T_WALK, "ddw", 1, 3, 17), EINVAL);
    cr_assert_eq(send_message(&p, T_WALK, "ddw", 9, 3, 0), EBADF);
    teardown(&p);
}

Test(virtio_9p, no_way_out)
{
    static const char *const names[] = {"..",   ".",         "",         "sub/deep",
                                        "/etc", "../secret", "up/secret"};
    struct p9 p;
    setup(&p, false);
    for (size_t k = 0; k < ARRAY_LEN(names); k++) {
        cr_assert_eq(send_message(&p, T_WALK, "ddws", 1, 2, 1, names[k]), EINVAL, "%s", names[k]);
        cr_assert_eq(send_message(&p, T_MKDIR, "dsdd", 1, names[k], 0755, 0), EINVAL);
        cr_assert_eq(send_message(&p, T_UNLINKAT, "dsd", 1, names[k], 0), EINVAL);
        cr_assert_eq(send_message(&p, T_RENAMEAT, "dsds", 1, "file", 1, names[k]), EINVAL);
        cr_assert_eq(send_message(&p, T_RENAMEAT, "dsds", 1, names[k], 1, "x"), EINVAL);
        cr_assert_eq(send_message(&p, T_SYMLINK, "dssd", 1, names[k], "x", 0), EINVAL);
    }
    /* links are things, not ways: they are neither walked through nor opened */
    cr_assert_eq(send_message(&p, T_WALK, "ddws", 1, 2, 1, "link"), 0);
    cr_assert_eq(p.ans[2], 2);
    cr_assert_eq(send_message(&p, T_LOPEN, "dd", 2, 0), ELOOP);
    cr_assert_eq(send_message(&p, T_READLINK, "d", 2), 0);
    cr_assert(!memcmp(p.ans + 2, "../secret", 9));
    cr_assert_eq(send_message(&p, T_SETATTR,
                              "ddddd"
                              "qqqqq",
                              2, 1, 0777, 0, 0, 0, 0, 0, 0, 0),
                 EOPNOTSUPP);
    cr_assert_eq(send_message(&p, T_WALK, "ddwss", 1, 3, 2, "up", "secret"), 0);
    cr_assert_eq(ld_u16(p.ans), 1, "as far as the link");
    cr_assert_eq(send_message(&p, T_WALK, "ddws", 1, 3, 1, "up"), 0);
    cr_assert_eq(send_message(&p, T_WALK, "ddws", 3, 4, 1, "secret"), ENOTDIR);
    cr_assert_eq(send_message(&p, T_LCREATE, "dsddd", 3, "x", 0102, 0644, 0), ENOTDIR);
    cr_assert_eq(send_message(&p, T_WALK, "ddw", 1, 5, 0), 0);
    cr_assert_neq(send_message(&p, T_LCREATE, "dsddd", 5, "link", 01101, 0644, 0), 0);
    struct stat st;
    char path[128];
    snprintf(path, sizeof(path), "%s/secret", p.dir);
    cr_assert(stat(path, &st) == 0 && st.st_size == 6);
    teardown(&p);
}

Test(virtio_9p, makes_and_changes)
{
    struct p9 p;
    struct stat st;
    char path[128];
    setup(&p, false);
    cr_assert_eq(send_message(&p, T_WALK, "ddw", 1, 2, 0), 0);
    cr_assert_eq(send_message(&p, T_LCREATE, "dsddd", 2, "new", 0102, 06755, 0), 0);
    cr_assert_eq(send_message(&p, T_WRITE, "dqdbbb", 2, 5, 3, 'a', 'b', 'c'), 0);
    cr_assert_eq(ld_u32(p.ans), 3);
    cr_assert_eq(send_message(&p, T_WRITE, "dqdb", 2, 5, 100, 'a'), EINVAL, "not in the message");
    cr_assert_eq(send_message(&p, T_WRITE, "dqdb", 2, -1, 1, 'a'), EINVAL);
    snprintf(path, sizeof(path), "%s/share/new", p.dir);
    cr_assert(stat(path, &st) == 0 && st.st_size == 8 && (st.st_mode & 07777) == 0755, "no s bits");
    cr_assert_eq(send_message(&p, T_SETATTR, "dddddqqqqq", 2, 1 | 8, 06700, 0, 0, 2, 0, 0, 0, 0),
                 0);
    cr_assert(stat(path, &st) == 0 && st.st_size == 2 && (st.st_mode & 07777) == 0700);
    cr_assert_eq(send_message(&p, T_LINK, "dds", 1, 2, "hard"), 0);
    cr_assert(stat(path, &st) == 0 && st.st_nlink == 2);
    cr_assert_eq(send_message(&p, T_MKDIR, "dsdd", 1, "d", 0750, 0), 0);
    cr_assert_eq(send_message(&p, T_UNLINKAT, "dsd", 1, "d", 0), EISDIR);
    cr_assert_eq(send_message(&p, T_UNLINKAT, "dsd", 1, "d", 0x200), 0);
    cr_assert_eq(send_message(&p, T_RENAMEAT, "dsds", 1, "new", 1, "renamed"), 0);
    cr_assert(stat(path, &st) < 0);
    cr_assert_eq(send_message(&p, T_MKNOD, "dsdddd", 1, "disk", 060644, 8, 0, 0), EPERM);
    cr_assert_eq(send_message(&p, T_MKNOD, "dsdddd", 1, "fifo", 010644, 0, 0, 0), 0);
    cr_assert_eq(send_message(&p, T_WALK, "ddws", 1, 3, 1, "fifo"), 0);
    cr_assert_eq(send_message(&p, T_LOPEN, "dd", 3, 0), EACCES, "would wait for ever");
    teardown(&p);
}

Test(virtio_9p, readonly)
{
    struct p9 p;
    setup(&p, true);
    cr_assert_eq(send_message(&p, T_WALK, "ddws", 1, 2, 1, "file"), 0);
    for (int flags = 1; flags <= 2; flags++)
        cr_assert_eq(send_message(&p, T_LOPEN, "dd", 2, flags), EROFS);
    cr_assert_eq(send_message(&p, T_LOPEN, "dd", 2, O_TRUNC), EROFS);
    cr_assert_eq(send_message(&p, T_LCREATE, "dsddd", 1, "new", 0102, 0755, 0), EROFS);
    cr_assert_eq(send_message(&p, T_MKDIR, "dsdd", 1, "d", 0750, 0), EROFS);
    cr_assert_eq(send_message(&p, T_UNLINKAT, "dsd", 1, "file", 0), EROFS);
    cr_assert_eq(send_message(&p, T_RENAMEAT, "dsds", 1, "file", 1, "x"), EROFS);
    cr_assert_eq(send_message(&p, T_SETATTR, "dddddqqqqq", 2, 8, 0, 0, 0, 0, 0, 0, 0, 0), EROFS);
    cr_assert_eq(send_message(&p, T_LINK, "dds", 1, 2, "hard"), EROFS);
    cr_assert_eq(send_message(&p, T_SYMLINK, "dssd", 1, "x", "y", 0), EROFS);
    cr_assert_eq(send_message(&p, T_WRITE, "dqdb", 2, 0, 1, 'a'), EROFS);
    teardown(&p);
}

Test(virtio_9p, folders_in_pieces)
{
    struct p9 p;
    setup(&p, false);
    char path[128], name[16];
    snprintf(path, sizeof(path), "%s/share/sub", p.dir);
    for (int k = 0; k < 300; k++) {
        snprintf(name, sizeof(name), "f%d", k);
        put_file(path, name, "");
    }
    cr_assert_eq(send_message(&p, T_WALK, "ddws", 1, 2, 1, "sub"), 0);
    cr_assert_eq(send_message(&p, T_LOPEN, "dd", 2, O_RDONLY), 0);
    int seen = 0;
    u64 at = 0;
    for (;;) {
        /* the offset is 64 bits wide: by hand */
        u8 *m = rig_ptr(&p.r, p.out);
        st_u32(m, 23);
        m[4] = T_READDIR;
        st_u32(m + 7, 2);
        st_u64(m + 11, at);
        st_u32(m + 19, 500);
        rig_do(&p.r, 0, (struct seg[]){{p.out, 23, false}, {p.in, 16384, true}}, 2);
        const u8 *a = rig_ptr(&p.r, p.in);
        cr_assert_eq(a[4], T_READDIR + 1);
        u32 n = ld_u32(a + 7);
        cr_assert(n <= 500);
        if (!n)
            break;
        for (const u8 *e = a + 11; e < a + 11 + n; e += 24 + ld_u16(e + 22)) {
            seen++;
            at = ld_u64(e + 13);
        }
    }
    cr_assert_eq(seen, 303, "with deep, . and ..");
    cr_assert_eq(send_message(&p, T_READDIR, "dqd", 2, 0, 10), 0, "room for none");
    cr_assert_eq(ld_u32(p.ans), 0);
    cr_assert_eq(send_message(&p, T_READ, "dqd", 2, 0, 10), EBADF);
    teardown(&p);
}

Test(virtio_9p, fids_are_counted_and_closed)
{
    struct p9 p;
    setup(&p, false);
    int before = open_fds(), n = 0;
    while (send_message(&p, T_WALK, "ddws", 1, 10 + n, 1, "file") == 0)
        cr_assert(++n < 5000);
    cr_assert(n > 10 && open_fds() == before + n);
    for (int k = 0; k < n / 2; k++)
        cr_assert_eq(send_message(&p, T_CLUNK, "d", 10 + k), 0);
    cr_assert_eq(open_fds(), before + n - n / 2);
    cr_assert_eq(send_message(&p, T_VERSION, "ds", 8192, "9P2000"), 0, "a new session");
    cr_assert(!memcmp(p.ans + 6, "unknown", 7));
    cr_assert_eq(open_fds(), before - 1);
    teardown(&p);
}

Test(virtio_9p, nonsense)
{
    struct p9 p;
    setup(&p, false);
    for (int type = 0; type < 256; type++) {
        send_message(&p, (u8)type, "");
        send_message(&p, (u8)type, "d", 1);
        send_message(&p, (u8)type, "dd", 1, 1);
        send_message(&p, (u8)type, "dw", 1, 65535);
        send_message(&p, (u8)type, "ddw", 1, 2, 16);
    }
    cr_assert(!rig_broken(&p.r));
    /* a size that is none */
    static const u32 sizes[] = {0, 6, 24, 0xffffffff};
    for (size_t k = 0; k < ARRAY_LEN(sizes); k++) {
        rig_start(&p.r, ~0ull);
        st_u32(rig_ptr(&p.r, p.out), sizes[k]);
        rig_add(&p.r, 0, (struct seg[]){{p.out, 23, false}, {p.in, 16384, true}}, 2);
        rig_kick(&p.r, 0);
        cr_assert(rig_broken(&p.r));
    }
    teardown(&p);
}
