/*
 * frontends/net/slirp.c - user networking: a small network inside the process, by libslirp.
 *
 * What it is: DHCP, a DNS forwarder, and address translation of the guest's TCP, UDP and ping to
 * sockets of this process; forwards of host ports to the guest. It needs no rights.
 *
 * Invariant: libslirp is not thread-safe: after slirp_open() has returned only the link's thread
 * calls it, and slirp_cleanup() comes after that thread has ended. The one file that includes its
 * header.
 */
#include "base/log.h"
#include "frontends/net/net_priv.h"

#include <errno.h>
#include <slirp/libslirp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MAX_TIMERS = 8, LONGEST_MS = 60000 };

struct timer_slot {
    bool used;
    SlirpTimerCb cb;
    void *opaque;
    i64 when_ms; /* -1: not armed */
};

struct user {
    Slirp *slirp;
    struct link *link;
    struct pollfd *fds; /* [0] is the link's wake_fd */
    int n_fds, max_fds;
    struct timer_slot timers[MAX_TIMERS];
};

/* ---- what libslirp asks for ------------------------------------------------------------------ */
static ssize_t give(const void *buf, size_t len, void *opaque)
{
    struct user *u = opaque;
    link_give(u->link, buf, len);
    return (ssize_t)len;
}

static void guest_error(const char *msg, void *opaque)
{
    log_guest("network: %s", msg);
}

static i64 now_ns(void *opaque)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (i64)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void *timer_new(SlirpTimerCb cb, void *cb_opaque, void *opaque)
{
    struct user *u = opaque;
    for (int k = 0; k < MAX_TIMERS; k++) {
        if (!u->timers[k].used) {
            u->timers[k] = (struct timer_slot){true, cb, cb_opaque, -1};
            return &u->timers[k];
        }
    }
    return NULL; /* libslirp has one */
}

static void timer_free(void *timer, void *opaque)
{
    if (timer)
        ((struct timer_slot *)timer)->used = false;
}

static void timer_mod(void *timer, int64_t expire_ms, void *opaque)
{
    if (timer)
        ((struct timer_slot *)timer)->when_ms = expire_ms;
}

static void no_fd(int fd, void *opaque)
{
}

static void notify(void *opaque)
{
    link_wake(((struct user *)opaque)->link);
}

static const SlirpCb callbacks = {
    .send_packet = give,
    .guest_error = guest_error,
    .clock_get_ns = now_ns,
    .timer_new = timer_new,
    .timer_free = timer_free,
    .timer_mod = timer_mod,
    .register_poll_fd = no_fd,
    .unregister_poll_fd = no_fd,
    .notify = notify,
};

/* ---- one round --------------------------------------------------------------------------------
 */
static int add_poll(int fd, int events, void *opaque)
{
    struct user *u = opaque;
    if (u->n_fds == u->max_fds) {
        struct pollfd *more = realloc(u->fds, sizeof(*more) * (size_t)u->max_fds * 2);
        if (!more)
            return -1;
        u->fds = more;
        u->max_fds *= 2;
    }
    short e =
        (short)((events & SLIRP_POLL_IN ? POLLIN : 0) | (events & SLIRP_POLL_OUT ? POLLOUT : 0) |
                (events & SLIRP_POLL_PRI ? POLLPRI : 0));
    u->fds[u->n_fds] = (struct pollfd){.fd = fd, .events = e};
    return u->n_fds++;
}

static int get_revents(int idx, void *opaque)
{
    struct user *u = opaque;
    if (idx < 0 || idx >= u->n_fds)
        return 0;
    short e = u->fds[idx].revents;
    return (e & POLLIN ? SLIRP_POLL_IN : 0) | (e & POLLOUT ? SLIRP_POLL_OUT : 0) |
           (e & POLLPRI ? SLIRP_POLL_PRI : 0) | (e & POLLERR ? SLIRP_POLL_ERR : 0) |
           (e & POLLHUP ? SLIRP_POLL_HUP : 0);
}

static u32 next_timer(struct user *u, u32 wait_ms)
{
    i64 now = now_ns(NULL) / 1000000;
    for (int k = 0; k < MAX_TIMERS; k++) {
        const struct timer_slot *t = &u->timers[k];
        if (t->used && t->when_ms >= 0)
            wait_ms = (u32)MIN((i64)wait_ms, MAX(t->when_ms - now, 0));
    }
    return wait_ms;
}

static void run_timers(struct user *u)
{
    i64 now = now_ns(NULL) / 1000000;
    for (int k = 0; k < MAX_TIMERS; k++) {
        struct timer_slot *t = &u->timers[k];
        if (t->used && t->when_ms >= 0 && t->when_ms <= now) {
            t->when_ms = -1;
            t->cb(t->opaque);
        }
    }
}

static void user_round(struct link *l)
{
    struct user *u = l->host;
    const u8 *frame;
    u32 len, wait_ms = LONGEST_MS;
    bool reads = link_room(l);

    u->n_fds = 1;
    u->fds[0] = (struct pollfd){.fd = l->wake_fd, .events = POLLIN};
    if (reads)
        slirp_pollfds_fill(u->slirp, &wait_ms, add_poll, u);
    wait_ms = next_timer(u, MIN(wait_ms, (u32)LONGEST_MS));
    int n = poll(u->fds, (nfds_t)u->n_fds, (int)wait_ms);
    if (u->fds[0].revents)
        link_clear_wake(l);
    if (reads)
        slirp_pollfds_poll(u->slirp, n < 0, get_revents, u);
    run_timers(u);
    while ((frame = link_take(l, &len)))
        slirp_input(u->slirp, frame, (int)len);
}

static void user_close(struct link *l)
{
    struct user *u = l->host;
    if (u->slirp)
        slirp_cleanup(u->slirp);
    free(u->fds);
    free(u);
}

/* ---- opening ----------------------------------------------------------------------------------
 */
static enum status add_forward(struct user *u, const struct nic_forward *f, struct error *err)
{
    char host[INET_ADDRSTRLEN];
    errno = 0;
    if (slirp_add_hostfwd(u->slirp, f->udp, f->host, f->host_port, f->guest, f->guest_port) == 0)
        return ST_OK;
    int e = errno ? errno : EADDRINUSE;
    inet_ntop(AF_INET, &f->host, host, sizeof(host));
    return fail(err, status_from_errno(e), "hostfwd: cannot listen on %s %s:%u: %s",
                f->udp ? "udp" : "tcp", host, f->host_port, strerror(e));
}

static struct in_addr in_network(const struct nic *n, struct in_addr said, u32 last)
{
    if (said.s_addr)
        return said;
    return (struct in_addr){htonl((ntohl(n->network.s_addr) & ntohl(n->mask.s_addr)) | last)};
}

enum status slirp_open(const struct nic *n, struct link **out, struct error *err)
{
    static const struct link_ops ops = {.round = user_round, .close = user_close};
    struct user *u = calloc(1, sizeof(*u));
    if (u) {
        u->max_fds = 64;
        u->fds = calloc((size_t)u->max_fds, sizeof(*u->fds));
    }
    struct link *l = u && u->fds ? link_new(&ops, u, "user") : NULL;
    if (!l) {
        if (u)
            free(u->fds);
        free(u);
        return fail(err, ST_NOMEM, "out of memory");
    }
    u->link = l;
    u16 mtu = n->mtu ? n->mtu : NET_MTU;
    SlirpConfig c = {
        .version = 1,
        .restricted = n->restricted,
        .in_enabled = true,
        .vnetwork = n->network,
        .vnetmask = n->mask,
        .vhost = in_network(n, n->host, 2),
        .vnameserver = in_network(n, n->dns, 3),
        .vdhcp_start = in_network(n, n->dhcp, 15),
        .in6_enabled = n->ipv6,
        .vprefix_len = 64,
        .vhostname = n->hostname,
        .vdomainname = n->domain,
        .tftp_path = n->tftp,
        .bootfile = n->bootfile,
        .if_mtu = mtu,
        .if_mru = mtu,
    };
    inet_pton(AF_INET6, "fec0::", &c.vprefix_addr6);
    inet_pton(AF_INET6, "fec0::2", &c.vhost6);
    inet_pton(AF_INET6, "fec0::3", &c.vnameserver6);
    u->slirp = slirp_new(&c, &callbacks, u);
    enum status st = u->slirp ? ST_OK : fail(err, ST_INVAL, "libslirp refuses these addresses");
    for (int k = 0; st == ST_OK && k < n->n_forwards; k++)
        st = add_forward(u, &n->forward[k], err);
    if (st != ST_OK) {
        link_free(l);
        return st;
    }
    *out = l;
    return ST_OK;
}
