/*
 * frontends/vsock.c - unix sockets behind a virtio socket device.
 *
 * What it is: all reading and writing on the VM's thread, without waiting; a thread of ours that
 * only waits (epoll) and posts which socket is ready. A socket that was posted is not waited for
 * again until the VM's thread has served it (EPOLLONESHOT), so nothing piles up.
 *
 * Invariants: `out` holds the guest's bytes that have not left, at most VSOCK_WINDOW. A post that
 * is late finds another generation in its slot and is dropped.
 */
#include "frontends/vsock.h"
#include "frontends/stream_priv.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { LINE = 32 };
#define KEY_LISTEN (~0ull)
#define KEY_STOP   (~0ull - 1)

struct sock {
    int fd; /* -1: free */
    u32 generation;
    bool greeting;          /* the host's program has not yet said which port */
    bool opened;            /* the guest is connected */
    bool no_input, closing; /* it sends no more; it goes when `out` is empty */
    bool no_output;         /* the guest sends no more */
    u32 n_line, n_out;
    char line[LINE];
    u8 out[VSOCK_WINDOW];
};

struct vsock {
    struct vsock_host h; /* first */
    struct vm *vm;
    int epoll, stop, listener;
    char path[100];
    pthread_t thread;
    bool started;
    struct sock sock[VSOCK_CONNS];
};

struct ready {
    u64 key;
    u32 events;
};

/* ---- what to wait for
 * ------------------------------------------------------------------------------ */
static void arm(struct vsock *s, int k)
{
    struct sock *c = &s->sock[k];
    struct epoll_event e = {.events = EPOLLONESHOT, .data.u64 = (u64)c->generation << 32 | (u32)k};
    bool room = c->greeting || (c->opened && s->h.space && s->h.space(s->h.ctx, k));
    if (!c->no_input && room)
        e.events |= EPOLLIN;
    if (c->n_out)
        e.events |= EPOLLOUT;
    if (c->fd >= 0 && (e.events & (EPOLLIN | EPOLLOUT)))
        epoll_ctl(s->epoll, EPOLL_CTL_MOD, c->fd, &e);
}

/* A slot for a descriptor, which is closed when there is none. */
static int take_slot(struct vsock *s, int fd)
{
    for (int k = 0; fd >= 0 && k < VSOCK_CONNS; k++) {
        struct sock *c = &s->sock[k];
        if (c->fd >= 0)
            continue;
        u32 generation = c->generation + 1;
        memset(c, 0, offsetof(struct sock, out));
        c->generation = generation;
        struct epoll_event e = {.events = EPOLLONESHOT, .data.u64 = (u64)generation << 32 | (u32)k};
        if (epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &e) == 0) {
            c->fd = fd;
            return k;
        }
        c->fd = -1;
        break;
    }
    if (fd >= 0)
        close(fd);
    return -1;
}

static void free_slot(struct vsock *s, int k)
{
    close(s->sock[k].fd);
    s->sock[k].fd = -1;
    s->sock[k].generation++;
}

/* ---- bytes
 * -------------------------------------------------------------------------------------------- */
static void flush(struct vsock *s, int k)
{
    struct sock *c = &s->sock[k];
    ssize_t n = c->n_out ? send(c->fd, c->out, c->n_out, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        n = c->n_out; /* nobody reads it any more */
        if (!c->no_input && s->h.eof)
            s->h.eof(s->h.ctx, k);
        c->no_input = true;
    }
    if (n > 0) {
        c->n_out -= (u32)n;
        memmove(c->out, c->out + n, c->n_out);
        if (!c->closing && s->h.sent)
            s->h.sent(s->h.ctx, k, (size_t)n);
    }
    if (c->fd >= 0 && !c->n_out && c->closing)
        free_slot(s, k);
    else if (c->fd >= 0 && !c->n_out && c->no_output)
        shutdown(c->fd, SHUT_WR);
}

static void read_some(struct vsock *s, int k)
{
    struct sock *c = &s->sock[k];
    u8 buf[16384];
    size_t room = s->h.space ? s->h.space(s->h.ctx, k) : 0;
    if (!room)
        return;
    ssize_t n = recv(c->fd, buf, MIN(room, sizeof(buf)), MSG_DONTWAIT);
    if (n > 0) {
        s->h.recv(s->h.ctx, k, buf, (size_t)n);
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        c->no_input = true;
        s->h.eof(s->h.ctx, k);
    }
}

/* "CONNECT port\n", a byte at a time: what follows is for the guest. */
static void greet(struct vsock *s, int k)
{
    struct sock *c = &s->sock[k];
    unsigned port;
    char end;
    ssize_t n;
    while ((n = recv(c->fd, c->line + c->n_line, 1, MSG_DONTWAIT)) == 1) {
        if (c->line[c->n_line++] == '\n') {
            c->line[c->n_line - 1] = 0;
            c->greeting = false;
            if (sscanf(c->line, "CONNECT %u%c", &port, &end) != 1 || !s->h.accept ||
                !s->h.accept(s->h.ctx, k, port))
                free_slot(s, k);
            return;
        }
        if (c->n_line == LINE)
            break;
    }
    if (n == 1 || n == 0 || (errno != EAGAIN && errno != EINTR))
        free_slot(s, k);
}

/* ---- on the VM's thread
 * ------------------------------------------------------------------------------------ */
static void host_ready(void *ctx, const void *data, u32 len)
{
    struct vsock *s = ctx;
    struct ready r;
    memcpy(&r, data, sizeof(r));
    if (r.key == KEY_LISTEN) {
        int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);
        int k = take_slot(s, fd);
        if (k >= 0) {
            s->sock[k].greeting = true;
            arm(s, k);
        }
        struct epoll_event e = {.events = EPOLLIN | EPOLLONESHOT, .data.u64 = KEY_LISTEN};
        epoll_ctl(s->epoll, EPOLL_CTL_MOD, s->listener, &e);
        return;
    }
    int k = (int)(u32)r.key;
    struct sock *c = &s->sock[k];
    if (c->fd < 0 || c->generation != (u32)(r.key >> 32))
        return;
    if (c->greeting)
        greet(s, k);
    else if (r.events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        read_some(s, k);
    if (c->fd >= 0 && c->generation == (u32)(r.key >> 32)) {
        flush(s, k);
        arm(s, k);
    }
}

static int host_connect(struct vsock_host *h, u32 port)
{
    struct vsock *s = (struct vsock *)h;
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    if (snprintf(a.sun_path, sizeof(a.sun_path), "%s_%u", s->path, port) >= (int)sizeof(a.sun_path))
        return -1;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
        close(fd);
        return -1;
    }
    int k = take_slot(s, fd);
    if (k >= 0) {
        struct epoll_event e = {.events = EPOLLIN | EPOLLONESHOT,
                                .data.u64 = (u64)s->sock[k].generation << 32 | (u32)k};
        s->sock[k].opened = true;
        epoll_ctl(s->epoll, EPOLL_CTL_MOD, fd, &e);
    }
    return k;
}

static void host_opened(struct vsock_host *h, int k)
{
    struct vsock *s = (struct vsock *)h;
    char text[32];
    int n = snprintf(text, sizeof(text), "OK %u\n", 0x40000000u + (u32)k);
    s->sock[k].opened = true;
    if (send(s->sock[k].fd, text, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
        /* it is gone: reading will say so */
    }
    arm(s, k);
}

static void host_send(struct vsock_host *h, int k, const u8 *buf, size_t len)
{
    struct vsock *s = (struct vsock *)h;
    struct sock *c = &s->sock[k];
    len = MIN(len, VSOCK_WINDOW - c->n_out);
    memcpy(c->out + c->n_out, buf, len);
    c->n_out += (u32)len;
    flush(s, k);
    arm(s, k);
}

static void host_resume(struct vsock_host *h, int k)
{
    arm((struct vsock *)h, k);
}

static void host_shutdown(struct vsock_host *h, int k)
{
    struct vsock *s = (struct vsock *)h;
    s->sock[k].no_output = true;
    flush(s, k);
}

static void host_close(struct vsock_host *h, int k)
{
    struct vsock *s = (struct vsock *)h;
    struct sock *c = &s->sock[k];
    c->closing = c->no_input = true;
    flush(s, k);
    if (c->fd >= 0)
        arm(s, k); /* what has not left goes first; the number is taken until then */
}

static const struct vsock_host_ops host_ops = {.connect = host_connect,
                                               .opened = host_opened,
                                               .send = host_send,
                                               .resume = host_resume,
                                               .shutdown = host_shutdown,
                                               .close = host_close};

/* ---- on ours
 * -------------------------------------------------------------------------------------------------
 */
static void *loop(void *arg)
{
    struct vsock *s = arg;
    for (;;) {
        struct epoll_event e[16];
        int n = epoll_wait(s->epoll, e, ARRAY_LEN(e), -1);
        for (int k = 0; k < n; k++) {
            struct ready r = {e[k].data.u64, e[k].events};
            if (r.key == KEY_STOP)
                return NULL;
            vm_post(s->vm, host_ready, s, &r, sizeof(r));
        }
    }
}

bool vsock_start(struct vsock_host *h, struct vm *vm)
{
    struct vsock *s = (struct vsock *)h;
    sigset_t all, before;
    s->vm = vm;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    s->started = pthread_create(&s->thread, NULL, loop, s) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return s->started;
}

void vsock_stop(struct vsock_host *h)
{
    struct vsock *s = (struct vsock *)h;
    u64 one = 1;
    if (!s || !s->started)
        return;
    if (write(s->stop, &one, sizeof(one)) < 0)
        return;
    pthread_join(s->thread, NULL);
    s->started = false;
}

void vsock_close(struct vsock_host *h)
{
    struct vsock *s = (struct vsock *)h;
    if (!s)
        return;
    vsock_stop(h);
    for (int k = 0; k < VSOCK_CONNS; k++)
        if (s->sock[k].fd >= 0)
            close(s->sock[k].fd);
    if (s->listener >= 0) {
        close(s->listener);
        unlink(s->path);
    }
    if (s->epoll >= 0)
        close(s->epoll);
    if (s->stop >= 0)
        close(s->stop);
    free(s);
}

enum status vsock_open(const char *path, struct vsock_host **out, struct error *err)
{
    struct vsock *s = calloc(1, sizeof(*s));
    if (!s)
        return fail(err, ST_NOMEM, "out of memory");
    s->h.ops = &host_ops;
    s->listener = -1;
    for (int k = 0; k < VSOCK_CONNS; k++)
        s->sock[k].fd = -1;
    s->epoll = epoll_create1(EPOLL_CLOEXEC);
    s->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    enum status st = s->epoll < 0 || s->stop < 0
                         ? fail(err, ST_NOMEM, "no descriptors: %s", strerror(errno))
                     : strlen(path) >= sizeof(s->path)
                         ? fail(err, ST_RANGE, "%s: a socket's name has at most %zu characters",
                                path, sizeof(s->path) - 1)
                         : listen_unix(path, &s->listener, err);
    if (!st) {
        struct epoll_event l = {.events = EPOLLIN | EPOLLONESHOT, .data.u64 = KEY_LISTEN};
        struct epoll_event e = {.events = EPOLLIN, .data.u64 = KEY_STOP};
        snprintf(s->path, sizeof(s->path), "%s", path);
        if (epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->listener, &l) < 0 ||
            epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->stop, &e) < 0)
            st = fail(err, ST_IO, "%s: %s", path, strerror(errno));
    } else {
        s->listener = -1;
    }
    if (st) {
        vsock_close(&s->h);
        return st;
    }
    *out = &s->h;
    return ST_OK;
}
