/*
 * frontends/net/port.c - cables that end at a file descriptor, a frame each read and write: a tap
 * interface of the host's kernel, or UDP datagrams to another machine's cable.
 *
 * What it is not: a switch; bridging is the host's business.
 */
#include "frontends/net/net_priv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READS = 64 }; /* frames a round, so that the other direction gets its turn */

struct port {
    int fd;
};

static void port_round(struct link *l)
{
    struct port *p = l->host;
    u8 frame[NET_JUMBO_MAX + 1]; /* one that is cut off is too long */
    u32 len;
    const u8 *out;
    struct pollfd fds[2] = {{.fd = l->wake_fd, .events = POLLIN},
                            {.fd = link_room(l) ? p->fd : -1, .events = POLLIN}};

    if (poll(fds, 2, -1) < 0)
        return;
    if (fds[0].revents)
        link_clear_wake(l);
    for (int k = 0; fds[1].revents && k < READS && link_room(l); k++) {
        ssize_t n = read(p->fd, frame, sizeof(frame));
        if (n < 0) {
            /* a datagram that nobody took is reported here: Ethernet loses frames */
            if (errno != EAGAIN && errno != EINTR && errno != ECONNREFUSED)
                poll(NULL, 0, 100); /* an interface that was taken down */
            break;
        }
        link_give(l, frame, (size_t)n);
    }
    while ((out = link_take(l, &len))) {
        if (write(p->fd, out, len) < 0) {
            /* full, or nobody there: the frame is lost */
        }
    }
}

static void port_close(struct link *l)
{
    struct port *p = l->host;
    close(p->fd);
    free(p);
}

static enum status port_new(int fd, const char *name, struct link **out, struct error *err)
{
    static const struct link_ops ops = {.round = port_round, .close = port_close};
    struct port *p = malloc(sizeof(*p));
    *out = p ? link_new(&ops, p, name) : NULL;
    if (!*out) {
        free(p);
        close(fd);
        return fail(err, ST_NOMEM, "out of memory");
    }
    p->fd = fd;
    return ST_OK;
}

enum status tap_open(const struct nic *n, struct link **out, struct error *err)
{
    struct ifreq req = {.ifr_flags = IFF_TAP | IFF_NO_PI};
    char name[64];
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return fail(err, status_from_errno(errno), "/dev/net/tun: %s", strerror(errno));
    snprintf(req.ifr_name, sizeof(req.ifr_name), "%s", n->ifname);
    if (ioctl(fd, TUNSETIFF, &req) < 0) {
        enum status st =
            fail(err, status_from_errno(errno), "interface %s: %s", n->ifname, strerror(errno));
        close(fd);
        return st;
    }
    snprintf(name, sizeof(name), "tap %s", req.ifr_name);
    return port_new(fd, name, out, err);
}

enum status udp_open(const struct nic *n, struct link **out, struct error *err)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const struct sockaddr *local = (const struct sockaddr *)&n->local,
                          *remote = (const struct sockaddr *)&n->remote;
    if (fd < 0)
        return fail(err, ST_IO, "cannot make a socket: %s", strerror(errno));
    if (bind(fd, local, sizeof(n->local)) < 0 || connect(fd, remote, sizeof(n->remote)) < 0) {
        enum status st = fail(err, status_from_errno(errno), "udp port %u: %s",
                              ntohs(n->local.sin_port), strerror(errno));
        close(fd);
        return st;
    }
    return port_new(fd, "socket", out, err);
}
