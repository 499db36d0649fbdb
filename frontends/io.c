/*
 * frontends/io.c - the thread that reads the host's end of serial ports.
 *
 * It never touches the machine: bytes go through vm_post and arrive on the VM's thread. On the
 * terminal's stream Ctrl-A begins a command, as in QEMU.
 */
#include "frontends/stream_priv.h"
#include "frontends/cli_priv.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CTRL_A = 1 };

struct io {
    struct vm *vm;
    pthread_t thread;
    bool started;
    int wake_fd;
    _Atomic bool stop, quit;
    struct stream *streams[MAX_STREAMS];
    int n;
};

struct io *io_new(void)
{
    struct io *io = calloc(1, sizeof(*io));
    if (!io)
        return NULL;
    io->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (io->wake_fd < 0) {
        free(io);
        return NULL;
    }
    return io;
}

void io_add(struct io *io, struct stream *s)
{
    if (s && io->n < MAX_STREAMS) {
        s->io = io;
        io->streams[io->n++] = s;
    }
}

void io_wake(struct io *io)
{
    u64 one = 1;
    if (write(io->wake_fd, &one, sizeof(one)) < 0) {
        /* the counter is full: it is awake */
    }
}

bool io_quit_typed(const struct io *io)
{
    return atomic_load(&((struct io *)(uintptr_t)io)->quit);
}

/* ---- on the VM's thread --------------------------------------------------------------------- */
static void take_bytes(void *ctx, const void *data, u32 len)
{
    struct stream *s = ctx;
    /* The io thread keeps within STREAM_HELD; what would not fit is our bug, and dropped. */
    len = MIN(len, STREAM_HELD - s->n_held);
    memcpy(s->held + s->n_held, data, len);
    s->n_held += len;
    stream_deliver(s);
}

static void take_break(void *ctx, const void *data, u32 len)
{
    struct stream *s = ctx;
    if (s->c.brk)
        s->c.brk(s->c.ctx);
}

static void take_for_monitor(void *ctx, const void *data, u32 len)
{
    struct stream *s = ctx;
    if (s->monitor.recv)
        s->monitor.recv(s->monitor.ctx, data, len);
}

static void turn_to_monitor(void *ctx, const void *data, u32 len)
{
    struct stream *s = ctx;
    if (s->monitor_turn)
        s->monitor_turn(s->monitor.ctx);
}

/* ---- on ours -------------------------------------------------------------------------------- */
static void post(struct stream *s, const u8 *buf, u32 len)
{
    if (!len)
        return;
    if (s->to_monitor) { /* which takes all at once */
        vm_post(s->io->vm, take_for_monitor, s, buf, len);
        return;
    }
    atomic_fetch_add(&s->under_way, len);
    if (!vm_post(s->io->vm, take_bytes, s, buf, len))
        atomic_fetch_sub(&s->under_way, len);
}

static void say(const char *text)
{
    fputs(text, stdout);
    fflush(stdout);
}

static void command(struct stream *s, u8 key)
{
    struct io *io = s->io;
    u8 literal = CTRL_A;
    switch (key) {
    case 'x':
        atomic_store(&io->quit, true);
        say("\ntrivisor: ended by Ctrl-A x\n");
        vm_stop(io->vm);
        break;
    case 'b':
        vm_post(io->vm, take_break, s, NULL, 0);
        break;
    case 'a':
    case CTRL_A:
        post(s, &literal, 1);
        break;
    case 'c':
        if (!s->monitor.recv) {
            say("\ntrivisor: the monitor is elsewhere (-monitor)\n");
            break;
        }
        s->to_monitor = !s->to_monitor;
        if (s->to_monitor)
            vm_post(io->vm, turn_to_monitor, s, NULL, 0);
        else
            say("\n");
        break;
    case 'h':
    case '?':
        say("\nCtrl-A x       end the machine at once\n"
            "Ctrl-A b       send a break\n"
            "Ctrl-A a       send Ctrl-A itself\n"
            "Ctrl-A c       the monitor, and back\n"
            "Ctrl-A h       this list\n");
        break;
    default: /* a slip: nothing */
        break;
    }
}

static void typed(struct stream *s, const u8 *buf, u32 len)
{
    u8 plain[STREAM_HELD];
    u32 n = 0;
    for (u32 k = 0; k < len; k++) {
        if (s->escape) {
            s->escape = false;
            post(s, plain, n);
            n = 0;
            command(s, buf[k]);
        } else if (buf[k] == CTRL_A) {
            s->escape = true;
        } else {
            plain[n++] = buf[k];
        }
    }
    post(s, plain, n);
}

/* The other side is gone. A listening socket takes the next. */
static void hang_up(struct stream *s)
{
    if (s->socket) {
        pthread_mutex_lock(&s->lock);
        close(s->fd_in);
        s->fd_out = -1;
        pthread_mutex_unlock(&s->lock);
    }
    s->fd_in = -1; /* others: end of input; output goes on */
}

static u32 window(const struct stream *s)
{
    u32 n = atomic_load(&s->under_way);
    return n < STREAM_HELD ? STREAM_HELD - n : 0;
}

/* A terminal that has just become raw may say that there is something and then have nothing; a read
 * would hold this thread, and the end of the process, until the next key. */
static bool nothing_there(const struct stream *s)
{
    int n;
    if (!s->stdio || !isatty(s->fd_in) || ioctl(s->fd_in, FIONREAD, &n) < 0 || n > 0)
        return false;
    poll(NULL, 0, 1);
    return true;
}

static void read_some(struct stream *s, short events)
{
    u8 buf[STREAM_HELD];
    if (!(events & (POLLHUP | POLLERR)) && nothing_there(s))
        return;
    ssize_t n =
        s->socket ? recv(s->fd_in, buf, window(s), MSG_DONTWAIT) : read(s->fd_in, buf, window(s));
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n <= 0)
        hang_up(s);
    else if (s->stdio)
        typed(s, buf, (u32)n);
    else
        post(s, buf, (u32)n);
}

static void answer(struct stream *s)
{
    int fd = accept4(s->fd_listen, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        return;
    pthread_mutex_lock(&s->lock);
    s->fd_in = s->fd_out = fd;
    s->stuck = false;
    pthread_mutex_unlock(&s->lock);
}

static void *loop(void *arg)
{
    struct io *io = arg;
    while (!atomic_load(&io->stop)) {
        struct pollfd p[MAX_STREAMS + 1] = {{.fd = io->wake_fd, .events = POLLIN}};
        for (int k = 0; k < io->n; k++) {
            struct stream *s = io->streams[k];
            /* -1: poll skips it. A listener is heard only while nobody is connected. */
            p[k + 1].fd = s->fd_in < 0 ? s->fd_listen : window(s) ? s->fd_in : -1;
            p[k + 1].events = POLLIN;
        }
        if (poll(p, (nfds_t)io->n + 1, -1) < 0)
            continue;
        u64 count;
        if (p[0].revents && read(io->wake_fd, &count, sizeof(count)) < 0) {
            /* nothing to clear */
        }
        for (int k = 0; k < io->n; k++) {
            if (!p[k + 1].revents)
                continue;
            if (io->streams[k]->fd_in >= 0)
                read_some(io->streams[k], p[k + 1].revents);
            else
                answer(io->streams[k]);
        }
    }
    return NULL;
}

bool io_start(struct io *io, struct vm *vm)
{
    /* Signals are the main thread's. */
    sigset_t all, before;
    io->vm = vm;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    io->started = pthread_create(&io->thread, NULL, loop, io) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return io->started;
}

void io_stop(struct io *io)
{
    if (!io->started)
        return;
    atomic_store(&io->stop, true);
    io_wake(io);
    pthread_join(io->thread, NULL);
    io->started = false;
}

void io_free(struct io *io)
{
    if (!io)
        return;
    io_stop(io);
    close(io->wake_fd);
    free(io);
}
