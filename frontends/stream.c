/*
 * frontends/stream.c - opening the host's end of a serial port, and what the guest writes to it.
 *
 * Writes come from the VM's thread, one byte at a time. A reader that is merely slow is waited
 * for; one that takes nothing for PATIENCE_MS is not waited for again until it takes something,
 * and what is written meanwhile is dropped: a stopped terminal must not stop the guest's clock.
 */
#include "frontends/cli_priv.h"
#include "frontends/stream_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

enum { PATIENCE_MS = 2000 };

/* ---- output --------------------------------------------------------------------------------- */
static bool room(struct stream *s)
{
    struct pollfd p = {.fd = s->fd_out, .events = POLLOUT};
    int n;
    do
        n = poll(&p, 1, s->stuck ? 0 : PATIENCE_MS);
    while (n < 0 && errno == EINTR);
    s->stuck = n <= 0;
    return n > 0;
}

static void stream_write(struct chardev *c, const u8 *buf, size_t len)
{
    struct stream *s = (struct stream *)c;
    pthread_mutex_lock(&s->lock);
    while (len && s->fd_out >= 0 && room(s)) {
        /* PIPE_BUF: what a pipe that polls writable takes without blocking */
        size_t part = MIN(len, 4096);
        ssize_t n = s->socket ? send(s->fd_out, buf, part, MSG_NOSIGNAL | MSG_DONTWAIT)
                              : write(s->fd_out, buf, part);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n <= 0)
            break; /* the reader is gone: the io thread notices, or nobody minds */
        buf += n;
        len -= (size_t)n;
    }
    pthread_mutex_unlock(&s->lock);
}

/* ---- input, on the VM's thread -------------------------------------------------------------- */
void stream_deliver(struct stream *s)
{
    u32 taken = 0;
    if (s->delivering)
        return;
    s->delivering = true;
    while (taken < s->n_held && s->c.space && s->c.recv) {
        size_t n = s->c.space(s->c.ctx);
        n = MIN(n, s->n_held - taken);
        if (!n)
            break;
        s->c.recv(s->c.ctx, s->held + taken, n);
        taken += (u32)n;
    }
    s->delivering = false;
    if (!taken)
        return;
    s->n_held -= taken;
    memmove(s->held, s->held + taken, s->n_held);
    /* The reader sleeps only when the window was full: wake it when half of it is free again. */
    u32 before = atomic_fetch_sub(&s->under_way, taken);
    if (s->io && before > STREAM_HELD / 2 && before - taken <= STREAM_HELD / 2)
        io_wake(s->io);
}

static void stream_resume(struct chardev *c)
{
    stream_deliver((struct stream *)c);
}

/* ---- opening -------------------------------------------------------------------------------- */
static void shut(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void stream_close(struct stream *s)
{
    if (!s)
        return;
    if (s->stdio) {
        s->fd_in = s->fd_out = -1; /* not ours */
    } else if (s->fd_in == s->fd_out) {
        s->fd_in = -1;
    }
    shut(&s->fd_in);
    shut(&s->fd_out);
    shut(&s->fd_listen);
    shut(&s->fd_keep);
    if (s->path[0])
        unlink(s->path);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

static void chardev_close(struct chardev *c)
{
    stream_close((struct stream *)c);
}

static const struct chardev_ops stream_ops = {
    .write = stream_write, .resume = stream_resume, .close = chardev_close};

static void monitor_write(struct chardev *c, const u8 *buf, size_t len)
{
    stream_write(&container_of(c, struct stream, monitor)->c, buf, len);
}

static const struct chardev_ops monitor_ops = {.write = monitor_write};

bool stream_is_stdio(const char *spec)
{
    return spec && (!strcmp(spec, "stdio") || !strcmp(spec, "mon:stdio"));
}

static enum status open_file(struct stream *s, const char *path, struct error *err)
{
    if (!*path)
        return fail(err, ST_INVAL, "file: wants a path, as in file:serial.log");
    s->fd_out = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0666);
    if (s->fd_out < 0)
        return fail(err, status_from_errno(errno), "%s: %s", path, strerror(errno));
    return ST_OK;
}

static enum status open_pty(struct stream *s, struct error *err)
{
    char name[64];
    struct termios t;
    s->fd_out = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    s->fd_in = s->fd_out;
    if (s->fd_out < 0 || grantpt(s->fd_out) < 0 || unlockpt(s->fd_out) < 0 ||
        ptsname_r(s->fd_out, name, sizeof(name)) != 0)
        return fail(err, ST_IO, "cannot make a pseudo-terminal: %s", strerror(errno));
    s->fd_keep = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (s->fd_keep < 0 || tcgetattr(s->fd_keep, &t) < 0)
        return fail(err, ST_IO, "%s: %s", name, strerror(errno));
    cfmakeraw(&t);
    tcsetattr(s->fd_keep, TCSANOW, &t);
    s->stuck = true; /* nobody reads it yet: wait for no one */
    fprintf(stderr, "trivisor: %s is %s\n", s->what, name);
    return ST_OK;
}

/* Whether somebody answers on the socket file at sa. */
static bool answered(const struct sockaddr_un *sa)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool yes = fd >= 0 && connect(fd, (const struct sockaddr *)sa, sizeof(*sa)) == 0;
    shut(&fd);
    return yes;
}

/* Listens under a name of its own before the file is at `path`: whoever finds the file finds
 * somebody who answers, so another machine that starts meanwhile does not take it for a left-over.
 * EEXIST: the place is taken. */
static int listen_at(const char *path)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    int n = snprintf(sa.sun_path, sizeof(sa.sun_path), "%s.%ld", path, (long)getpid());
    bool apart = n < (int)sizeof(sa.sun_path);
    if (!apart)
        strcpy(sa.sun_path, path); /* no room for another name */
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    int why = 0;
    if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
        why = errno == EADDRINUSE && !apart ? EEXIST : errno;
    } else {
        if (listen(fd, 1) < 0 || (apart && link(sa.sun_path, path) < 0))
            why = errno;
        if (why || apart)
            unlink(sa.sun_path);
    }
    if (why)
        shut(&fd);
    errno = why;
    return fd;
}

/* A socket file that nobody answers on is left over from a run that was killed. */
enum status listen_unix(const char *path, int *fd, struct error *err)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    struct stat st;
    if (strlen(path) >= sizeof(sa.sun_path))
        return fail(err, ST_INVAL, "%s: socket paths have at most %zu characters", path,
                    sizeof(sa.sun_path) - 1);
    strcpy(sa.sun_path, path);
    for (int attempt = 0; (*fd = listen_at(path)) < 0; attempt++) {
        if (errno != EEXIST || attempt == 3)
            return fail(err, status_from_errno(errno), "%s: %s", path, strerror(errno));
        if (lstat(path, &st) < 0)
            continue; /* it was there a moment ago */
        if (!S_ISSOCK(st.st_mode))
            return fail(err, ST_BUSY, "%s: exists and is not a socket", path);
        if (answered(&sa))
            return fail(err, ST_BUSY, "%s: another program listens there", path);
        unlink(path);
    }
    return ST_OK;
}

static enum status open_unix(struct stream *s, char *spec, struct error *err)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    char *key, *value, *path = NULL;
    bool server = false, wait = true, ok = true;

    while (next_pair(&spec, &key, &value)) {
        if (!path && !value)
            path = key;
        else if (!strcmp(key, "server"))
            ok = !value ? (server = true) : parse_on_off(value, &server);
        else if (!strcmp(key, "nowait") && !value)
            wait = false;
        else if (!strcmp(key, "wait"))
            ok = !value || parse_on_off(value, &wait);
        else
            ok = false;
        if (!ok)
            return fail(err, ST_INVAL,
                        "unix: knows server[=on|off], wait[=on|off], nowait; not '%s'", key);
    }
    if (!path || !*path)
        return fail(err, ST_INVAL, "unix: wants a path, as in unix:serial.sock,server,nowait");
    if (strlen(path) >= sizeof(sa.sun_path))
        return fail(err, ST_INVAL, "%s: socket paths have at most %zu characters", path,
                    sizeof(sa.sun_path) - 1);
    strcpy(sa.sun_path, path);
    s->socket = true;
    if (!server) {
        s->fd_in = s->fd_out = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (s->fd_out < 0 || connect(s->fd_out, (struct sockaddr *)&sa, sizeof(sa)) < 0)
            return fail(err, status_from_errno(errno), "%s: %s", path, strerror(errno));
        return ST_OK;
    }
    enum status st = listen_unix(path, &s->fd_listen, err);
    if (!st)
        strcpy(s->path, path); /* it is ours to remove */
    if (st || !wait)
        return st;
    fprintf(stderr, "trivisor: %s waits for a connection to %s\n", s->what, path);
    struct pollfd p = {.fd = s->fd_listen, .events = POLLIN};
    if (poll(&p, 1, -1) < 0)
        return fail(err, ST_IO, "%s: %s", path, strerror(errno));
    s->fd_in = s->fd_out = accept4(s->fd_listen, NULL, NULL, SOCK_CLOEXEC);
    return ST_OK;
}

enum status stream_open(const char *spec, const char *what, bool output_only, struct stream **out,
                        struct error *err)
{
    static const char *const kinds[] = {"stdio", "mon:stdio", "null", "none",
                                        "pty",   "file",      "unix", NULL};
    char text[512];
    enum status st = ST_OK;

    *out = NULL;
    if (!strcmp(spec, "none"))
        return ST_OK;
    if (strlen(spec) >= sizeof(text))
        return fail(err, ST_INVAL, "%s: too long", what);
    strcpy(text, spec);

    struct stream *s = calloc(1, sizeof(*s));
    if (!s)
        return fail(err, ST_NOMEM, "%s: out of memory", what);
    s->c.ops = &stream_ops;
    s->monitor.ops = &monitor_ops;
    s->what = what;
    s->fd_in = s->fd_out = s->fd_listen = s->fd_keep = -1;
    pthread_mutex_init(&s->lock, NULL);

    if (stream_is_stdio(spec)) {
        s->stdio = true;
        s->fd_in = output_only ? -1 : STDIN_FILENO;
        s->fd_out = STDOUT_FILENO;
    } else if (!strcmp(spec, "null")) {
        /* a port whose cable ends in the air */
    } else if (!strcmp(spec, "pty")) {
        st = open_pty(s, err);
    } else if (!strncmp(spec, "file:", 5)) {
        st = open_file(s, text + 5, err);
    } else if (!strncmp(spec, "unix:", 5)) {
        st = open_unix(s, text + 5, err);
    } else {
        text[strcspn(text, ":")] = 0;
        const char *near = nearest(text, kinds);
        st = fail(err, ST_INVAL,
                  "'%s' is none of stdio, null, none, pty, file:PATH, unix:PATH%s%s%s", spec,
                  near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "");
    }
    if (st) {
        stream_close(s);
        return st;
    }
    *out = s;
    return ST_OK;
}
