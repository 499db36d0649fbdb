/*
 * frontends/gdb/server.c - where gdb connects: the listening socket, the one client, and the
 * thread that interrupts a running machine when the client says something.
 *
 * The thread is armed while the machine runs and only then touches the descriptor it was given; it
 * reads nothing. All reading and writing is the VM's thread's, in gdb_serve.
 */
#include "frontends/cli_priv.h"
#include "frontends/gdb/gdb_priv.h"
#include "frontends/stream_priv.h"
#include "base/log.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum {
    POLL_MS = 100,   /* how soon a standing machine notices that it shall end */
    PATIENCE_S = 10, /* for a client that does not read */
};

/* ---- the specification --------------------------------------------------------------------- */
struct spec {
    bool tcp;
    char host[256], port[16], path[108];
    enum gdb_arch arch;
};

static enum status parse_tcp(struct spec *s, const char *at, struct error *err)
{
    const char *colon = strrchr(at, ':');
    u64 port;
    if (!colon || !parse_number(colon + 1, 65535, &port))
        return fail(err, ST_INVAL, "'%s': wants HOST:PORT, or :PORT for this host alone", at);
    size_t n = (size_t)(colon - at);
    if (n >= 2 && at[0] == '[' && at[n - 1] == ']') {
        at++;
        n -= 2;
    }
    if (n >= sizeof(s->host))
        return fail(err, ST_INVAL, "no host has so long a name");
    memcpy(s->host, n ? at : "127.0.0.1", n ? n : sizeof("127.0.0.1"));
    if (n)
        s->host[n] = 0;
    snprintf(s->port, sizeof(s->port), "%u", (unsigned)port);
    s->tcp = true;
    return ST_OK;
}

static enum status parse_option(struct spec *s, const char *key, const char *value,
                                struct error *err)
{
    static const char *const archs[] = {"auto", "i8086", "i386", "x86-64"};
    if (!strcmp(key, "server") || !strcmp(key, "nowait"))
        return ST_OK; /* as everybody writes it; it is one, and waits for nobody */
    if (strcmp(key, "arch") || !value)
        return fail(err, ST_INVAL, "knows arch=auto|i8086|i386|x86-64, not '%s'", key);
    for (size_t k = 0; k < ARRAY_LEN(archs); k++) {
        if (!strcmp(value, archs[k])) {
            s->arch = (enum gdb_arch)k;
            return ST_OK;
        }
    }
    return fail(err, ST_INVAL, "arch is auto, i8086, i386 or x86-64, not '%s'", value);
}

static enum status parse_spec(const char *text, struct spec *s, struct error *err)
{
    char copy[512], *list = copy, *key, *value;
    enum status st = ST_OK;
    memset(s, 0, sizeof(*s));
    if (strlen(text) >= sizeof(copy))
        return fail(err, ST_INVAL, "too long");
    strcpy(copy, text);
    for (int n = 0; !st && next_pair(&list, &key, &value); n++) {
        if (n)
            st = parse_option(s, key, value, err);
        else if (!value && !strncmp(key, "tcp:", 4))
            st = parse_tcp(s, key + 4, err);
        else if (!value && !strncmp(key, "unix:", 5) && key[5] && strlen(key + 5) < sizeof(s->path))
            strcpy(s->path, key + 5);
        else
            st = fail(err, ST_INVAL, "'%s': wants tcp:[HOST]:PORT or unix:PATH", text);
    }
    if (!st && !s->tcp && !s->path[0])
        st = fail(err, ST_INVAL, "'%s': wants tcp:[HOST]:PORT or unix:PATH", text);
    return st;
}

enum status gdb_check_spec(const char *text, struct error *err)
{
    struct spec s;
    return parse_spec(text, &s, err);
}

/* ---- listening ----------------------------------------------------------------------------- */
static enum status listen_tcp(struct gdb *g, const struct spec *s, struct error *err)
{
    struct addrinfo want = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found;
    int e = getaddrinfo(s->host, s->port, &want, &found), one = 1;
    if (e)
        return fail(err, ST_NOENT, "%s: %s", s->host, gai_strerror(e));
    g->fd_listen = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    enum status st = ST_OK;
    if (g->fd_listen < 0 ||
        setsockopt(g->fd_listen, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
        bind(g->fd_listen, found->ai_addr, found->ai_addrlen) < 0 || listen(g->fd_listen, 1) < 0)
        st = fail(err, status_from_errno(errno), "%s port %s: %s", s->host, s->port,
                  strerror(errno));
    freeaddrinfo(found);
    if (st)
        return st;
    struct sockaddr_storage at;
    socklen_t len = sizeof(at);
    char port[16] = "?";
    if (getsockname(g->fd_listen, (struct sockaddr *)&at, &len) == 0)
        getnameinfo((struct sockaddr *)&at, len, NULL, 0, port, sizeof(port), NI_NUMERICSERV);
    fprintf(stderr, "trivisor: gdb: target remote %s%s%s:%s\n", strchr(s->host, ':') ? "[" : "",
            s->host, strchr(s->host, ':') ? "]" : "", port);
    return ST_OK;
}

static enum status listen_at_path(struct gdb *g, const struct spec *s, struct error *err)
{
    enum status st = listen_unix(s->path, &g->fd_listen, err);
    if (st)
        return st;
    memcpy(g->path, s->path, sizeof(g->path));
    fprintf(stderr, "trivisor: gdb: target remote %s\n", s->path);
    return ST_OK;
}

static void accept_client(struct gdb *g)
{
    int one = 1;
    struct timeval patience = {.tv_sec = PATIENCE_S};
    g->fd = accept4(g->fd_listen, NULL, NULL, SOCK_CLOEXEC);
    if (g->fd < 0)
        return;
    setsockopt(g->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)); /* not on unix sockets */
    setsockopt(g->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    g->in_at = g->in_n = 0;
    gdb_greet(g);
}

void gdb_hang_up(struct gdb *g)
{
    if (g->fd >= 0)
        close(g->fd);
    g->fd = -1;
    vm_debug_remove_all(g->vm);
    g->running = true;
    g->stepping = false;
}

/* ---- the watching thread ------------------------------------------------------------------- */
static void drain(int fd)
{
    u64 count;
    if (read(fd, &count, sizeof(count)) < 0) {
        /* nothing was there */
    }
}

static void *watch(void *arg)
{
    struct gdb *g = arg;
    pthread_mutex_lock(&g->lock);
    for (;;) {
        while (!g->armed && !g->quit)
            pthread_cond_wait(&g->cond, &g->lock);
        if (g->quit)
            break;
        struct pollfd p[2] = {{.fd = g->wake_fd, .events = POLLIN},
                              {.fd = g->armed_fd, .events = POLLIN}};
        pthread_mutex_unlock(&g->lock);
        int n = poll(p, 2, -1);
        pthread_mutex_lock(&g->lock);
        if (n > 0 && p[0].revents)
            drain(g->wake_fd);
        else if (n > 0 && p[1].revents && g->armed) {
            g->armed = false;
            vm_debug_interrupt(g->vm);
        }
    }
    pthread_mutex_unlock(&g->lock);
    return NULL;
}

static void arm(struct gdb *g)
{
    pthread_mutex_lock(&g->lock);
    g->armed_fd = g->fd >= 0 ? g->fd : g->fd_listen;
    g->armed = true;
    pthread_cond_signal(&g->cond);
    pthread_mutex_unlock(&g->lock);
}

static void tell(struct gdb *g)
{
    u64 one = 1;
    if (write(g->wake_fd, &one, sizeof(one)) < 0) {
        /* the counter is full: it is awake */
    }
}

static void disarm(struct gdb *g)
{
    pthread_mutex_lock(&g->lock);
    g->armed = false;
    pthread_mutex_unlock(&g->lock);
    tell(g);
}

static bool start_thread(struct gdb *g)
{
    sigset_t all, before; /* signals are the main thread's */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    g->started = pthread_create(&g->thread, NULL, watch, g) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return g->started;
}

/* ---- life ---------------------------------------------------------------------------------- */
enum status gdb_open(const char *text, struct vm *vm, bool hold, struct gdb **out,
                     struct error *err)
{
    struct spec s;
    enum status st = parse_spec(text, &s, err);
    if (st)
        return st;
    struct gdb *g = calloc(1, sizeof(*g));
    if (!g)
        return fail(err, ST_NOMEM, "out of memory");
    g->vm = vm;
    g->fd = g->fd_listen = -1;
    g->running = !hold;
    pthread_mutex_init(&g->lock, NULL);
    pthread_cond_init(&g->cond, NULL);
    g->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    gdb_target_init(&g->target, s.arch, vm);
    if (g->wake_fd < 0)
        st = fail(err, ST_NOMEM, "cannot make an eventfd: %s", strerror(errno));
    if (!st)
        st = s.tcp ? listen_tcp(g, &s, err) : listen_at_path(g, &s, err);
    if (!st && !start_thread(g))
        st = fail(err, ST_NOMEM, "cannot start a thread");
    if (st) {
        gdb_close(g);
        return st;
    }
    if (hold)
        vm_debug_interrupt(vm);
    else
        arm(g);
    *out = g;
    return ST_OK;
}

void gdb_close(struct gdb *g)
{
    if (!g)
        return;
    if (g->started) {
        pthread_mutex_lock(&g->lock);
        g->quit = true;
        pthread_cond_signal(&g->cond);
        pthread_mutex_unlock(&g->lock);
        tell(g);
        pthread_join(g->thread, NULL);
    }
    if (g->fd >= 0)
        close(g->fd);
    if (g->fd_listen >= 0)
        close(g->fd_listen);
    if (g->path[0])
        unlink(g->path);
    if (g->wake_fd >= 0)
        close(g->wake_fd);
    pthread_cond_destroy(&g->cond);
    pthread_mutex_destroy(&g->lock);
    free(g);
}

/* ---- bytes --------------------------------------------------------------------------------- */
static void send_all(struct gdb *g, const char *data, size_t n)
{
    while (n && g->fd >= 0) {
        ssize_t done = send(g->fd, data, n, MSG_NOSIGNAL);
        if (done < 0 && errno == EINTR && !vm_debug_stop_wanted(g->vm))
            continue;
        if (done <= 0) {
            gdb_hang_up(g); /* gone, or it does not read */
            return;
        }
        data += done;
        n -= (size_t)done;
    }
}

void gdb_send(struct gdb *g)
{
    g->frame_len = gdb_frame(&g->reply, g->frame);
    send_all(g, g->frame, g->frame_len);
}

/* What there is, or at most wait_ms for something. False: nothing now. */
static bool receive(struct gdb *g, int wait_ms)
{
    struct pollfd p = {.fd = g->fd, .events = POLLIN};
    if (g->fd < 0 || poll(&p, 1, wait_ms) <= 0)
        return false;
    ssize_t n = recv(g->fd, g->in, sizeof(g->in), MSG_DONTWAIT);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return false;
    if (n <= 0) {
        gdb_hang_up(g);
        return false;
    }
    g->in_at = 0;
    g->in_n = (u32)n;
    return true;
}

static void take_byte(struct gdb *g, u8 c)
{
    switch (gdb_feed(&g->parser, c)) {
    case GDB_MORE:
    case GDB_ACK:
        break;
    case GDB_NAK:
        if (!g->no_ack)
            send_all(g, g->frame, g->frame_len);
        break;
    case GDB_BAD:
        if (!g->no_ack)
            send_all(g, "-", 1);
        break;
    case GDB_INTERRUPT:
        if (g->running)
            gdb_report(g, (struct vm_debug_stop){.why = VM_DEBUG_INTERRUPT}, 2);
        break;
    case GDB_PACKET:
        if (!g->no_ack)
            send_all(g, "+", 1);
        if (g->fd >= 0)
            gdb_packet(g);
        break;
    }
}

static void take_bytes(struct gdb *g)
{
    while (g->in_at < g->in_n && g->fd >= 0 && !g->killed)
        take_byte(g, g->in[g->in_at++]);
}

bool gdb_serve(struct gdb *g)
{
    struct vm_debug_stop why = vm_debug_stop(g->vm);
    disarm(g);
    if (g->fd < 0) {
        accept_client(g);
    } else if (g->running && why.why != VM_DEBUG_INTERRUPT) {
        gdb_report(g, why, 5);
    } else if (receive(g, 0)) {
        take_bytes(g);
    }
    while (!g->killed && !g->running && !vm_debug_stop_wanted(g->vm)) {
        if (g->fd >= 0) {
            if (receive(g, POLL_MS))
                take_bytes(g);
        } else {
            struct pollfd p = {.fd = g->fd_listen, .events = POLLIN};
            if (poll(&p, 1, POLL_MS) > 0)
                accept_client(g);
        }
    }
    if (g->killed)
        return false;
    vm_debug_step(g->vm, 0, g->running && g->stepping);
    arm(g);
    return true;
}

void gdb_ended(struct gdb *g, int status)
{
    if (!g || g->fd < 0 || g->killed)
        return;
    disarm(g);
    g->reply.n = 0;
    g->reply.full = false;
    gdb_putf(&g->reply, "W%02x", (unsigned)status & 0xff);
    gdb_send(g);
}
