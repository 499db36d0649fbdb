/*
 * frontends/nbd.c - a disk behind the network block device protocol, by libnbd.
 *
 * What it is: block operations as commands that wait for their answers; the buffers of one request
 * are one command each, all under way at once. What it is not: reconnecting (a server that went
 * away is an I/O error, for good).
 *
 * Manual: libnbd(3); the protocol's doc/proto.md and doc/uri.md.
 */
#include "frontends/nbd.h"
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool nbd_is_address(const char *name)
{
    static const char *const starts[] = {"nbd:", "nbds:", "nbd+unix:", "nbds+unix:"};
    for (size_t k = 0; k < ARRAY_LEN(starts); k++)
        if (!strncmp(name, starts[k], strlen(starts[k])))
            return true;
    return false;
}

#ifndef TRV_HAVE_NBD

enum status block_open_nbd(const char *address, bool readonly, struct block **out,
                           struct error *err)
{
    return fail(err, ST_UNSUP, "%s: this build has no NBD (libnbd-dev was not there)", address);
}

#else

#include <libnbd.h>

/* What every server takes in one command. */
#define MAX_COMMAND (16 * MIB)
enum { MAX_UNDER_WAY = 64 };

struct nbd {
    struct block b;
    struct nbd_handle *h;
};

static enum status sick(struct nbd *n, const char *what)
{
    log_error("%s: %s: %s", n->b.name, what, nbd_get_error());
    return ST_IO;
}

/* Waits for a command's answer. */
static enum status finish(struct nbd *n, i64 cookie, const char *what)
{
    int done = cookie < 0 ? -1 : 0;
    while (done == 0) {
        done = nbd_aio_command_completed(n->h, (u64)cookie);
        if (done == 0 && nbd_poll(n->h, -1) < 0)
            done = -1;
    }
    return done < 0 ? sick(n, what) : ST_OK;
}

static enum status transfer(struct block *b, u64 off, const struct iovec *iov, int count,
                            bool write)
{
    struct nbd *n = (struct nbd *)b;
    const char *what = write ? "cannot write" : "cannot read";
    i64 cookie[MAX_UNDER_WAY];
    u32 first = 0, next = 0; /* commands: answered and begun */
    enum status st = ST_OK;

    for (int k = 0; k < count; k++) {
        u8 *p = iov[k].iov_base;
        size_t len = iov[k].iov_len;
        while (len) {
            size_t part = MIN(len, MAX_COMMAND);
            if (next - first == MAX_UNDER_WAY) {
                enum status one = finish(n, cookie[first++ % MAX_UNDER_WAY], what);
                st = st ? st : one;
            }
            cookie[next++ % MAX_UNDER_WAY] =
                write ? nbd_aio_pwrite(n->h, p, part, off, NBD_NULL_COMPLETION, 0)
                      : nbd_aio_pread(n->h, p, part, off, NBD_NULL_COMPLETION, 0);
            p += part;
            off += part;
            len -= part;
        }
    }
    /* all of them, also after an error: they name buffers */
    while (first != next) {
        enum status one = finish(n, cookie[first++ % MAX_UNDER_WAY], what);
        st = st ? st : one;
    }
    return st;
}

static enum status nbd_block_read(struct block *b, u64 off, void *buf, size_t len)
{
    return transfer(b, off, &(struct iovec){buf, len}, 1, false);
}

static enum status nbd_block_write(struct block *b, u64 off, const void *buf, size_t len)
{
    return transfer(b, off, &(struct iovec){(void *)(uintptr_t)buf, len}, 1, true);
}

static enum status nbd_block_readv(struct block *b, u64 off, const struct iovec *iov, int n,
                                   u64 len)
{
    return transfer(b, off, iov, n, false);
}

static enum status nbd_block_writev(struct block *b, u64 off, const struct iovec *iov, int n,
                                    u64 len)
{
    return transfer(b, off, iov, n, true);
}

static enum status nbd_block_flush(struct block *b)
{
    struct nbd *n = (struct nbd *)b;
    if (nbd_can_flush(n->h) == 1 && nbd_flush(n->h, 0) < 0)
        return sick(n, "cannot flush");
    return ST_OK;
}

static enum status nbd_block_discard(struct block *b, u64 off, u64 len)
{
    struct nbd *n = (struct nbd *)b;
    for (u64 part; len && nbd_can_trim(n->h) == 1; off += part, len -= part) {
        part = MIN(len, GIB);
        if (nbd_trim(n->h, part, off, 0) < 0)
            return sick(n, "cannot discard");
    }
    return ST_OK;
}

static enum status nbd_block_zero(struct block *b, u64 off, u64 len, bool unmap)
{
    struct nbd *n = (struct nbd *)b;
    if (nbd_can_zero(n->h) != 1)
        return ST_UNSUP;
    for (u64 part; len; off += part, len -= part) {
        part = MIN(len, GIB);
        if (nbd_zero(n->h, part, off, unmap ? 0 : LIBNBD_CMD_FLAG_NO_HOLE) < 0)
            return sick(n, "cannot write zeros");
    }
    return ST_OK;
}

static void nbd_block_close(struct block *b)
{
    struct nbd *n = (struct nbd *)b;
    nbd_shutdown(n->h, 0);
    nbd_close(n->h);
    free(n);
}

static const struct block_ops nbd_ops = {
    .read = nbd_block_read,
    .write = nbd_block_write,
    .flush = nbd_block_flush,
    .close = nbd_block_close,
    .readv = nbd_block_readv,
    .writev = nbd_block_writev,
    .discard = nbd_block_discard,
    .zero = nbd_block_zero,
};

/* QEMU's older spellings besides URIs: nbd:unix:PATH and nbd:HOST:PORT, [:exportname=NAME]. */
static int connect_to(struct nbd_handle *h, const char *address)
{
    char text[512], *name;
    if (strstr(address, "://"))
        return nbd_connect_uri(h, address);
    snprintf(text, sizeof(text), "%s", address + strlen("nbd:"));
    name = strstr(text, ":exportname=");
    if (name) {
        *name = 0;
        if (nbd_set_export_name(h, name + strlen(":exportname=")) < 0)
            return -1;
    }
    if (!strncmp(text, "unix:", 5))
        return nbd_connect_unix(h, text + 5);
    char *port = strrchr(text, ':');
    if (port)
        *port++ = 0;
    return nbd_connect_tcp(h, text, port ? port : "10809");
}

enum status block_open_nbd(const char *address, bool readonly, struct block **out,
                           struct error *err)
{
    struct nbd *n = calloc(1, sizeof(*n));
    enum status st = ST_OK;
    i64 size = -1;

    if (!n)
        return fail(err, ST_NOMEM, "%s: out of memory", address);
    n->h = nbd_create();
    if (!n->h || connect_to(n->h, address) < 0 || (size = nbd_get_size(n->h)) < 0)
        st = fail(err, ST_IO, "%s: %.300s", address, nbd_get_error());
    else if (size < 512)
        st = fail(err, ST_FORMAT, "%s: is empty", address);
    else if (!readonly && nbd_is_read_only(n->h) == 1)
        st = fail(err, ST_ACCESS, "%s: cannot be written (readonly=on would do without)", address);
    if (st) {
        if (n->h)
            nbd_close(n->h);
        free(n);
        return st;
    }
    n->b = (struct block){
        .ops = &nbd_ops, .size = (u64)size & ~511ull, .readonly = readonly, .waits = true};
    snprintf(n->b.name, sizeof(n->b.name), "%s", address);
    *out = &n->b;
    return ST_OK;
}

#endif
