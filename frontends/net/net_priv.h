/*
 * frontends/net/net_priv.h - what the host's ends of network cables share.
 *
 * You are here: nic.c parses options; link.c is a cable's end with two bounded queues and a thread;
 * slirp.c (user networking) and port.c (tap, UDP) are what the thread serves.
 *
 * Flow, host to guest: the thread collects frames in a batch and posts it to the VM's thread, which
 * holds what the card has no room for. At most LINK_WINDOW bytes are under way: then the thread
 * stops reading the host (link_room), and frames that come all the same are lost.
 * Guest to host: the VM's thread appends to a queue of LINK_WINDOW bytes, the thread empties it.
 * So a VM that stands still, or a host that does, holds up nobody and no memory grows.
 */
#ifndef FRONTENDS_NET_NET_PRIV_H
#define FRONTENDS_NET_NET_PRIV_H

#include "bus/backend.h"
#include "frontends/net/net.h"

#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

/* A batch has room for one frame of any size, LINK_PREFIX its length before it. */
enum { LINK_PREFIX = 4, LINK_WINDOW = 1 << 20, LINK_BATCH = LINK_PREFIX + NET_JUMBO_MAX };

struct link;

/* What is behind a link; all on the link's thread but open and close. */
struct link_ops {
    /* One round: waits for the host and for link->wake_fd, at most until it has timers to serve,
     * takes frames by link_take() and gives some by link_give(). */
    void (*round)(struct link *l);
    void (*close)(struct link *l); /* frees what ops has opened, not l; the thread has ended */
};

struct link_queue {
    u8 *data; /* frames, each after its length in LINK_PREFIX bytes */
    u32 len;
};

struct link {
    struct netdev net; /* first */
    const struct link_ops *ops;
    void *host; /* ops' own */
    struct vm *vm;
    pthread_t thread;
    bool started;
    _Atomic bool stop;
    int wake_fd;

    /* guest to host: lock guards `out` */
    pthread_mutex_t lock;
    struct link_queue out;
    struct link_queue taken; /* the thread's: what it took and has not served */
    u32 taken_at;

    /* host to guest */
    u8 batch[LINK_BATCH]; /* the thread's */
    u32 batch_len;
    _Atomic u32 under_way; /* bytes posted and not taken by the card */
    u8 *held;              /* the VM thread's: LINK_WINDOW bytes */
    u32 held_at, held_len;
    bool delivering;
};

/* NULL: no memory or descriptor. */
struct link *link_new(const struct link_ops *ops, void *host, const char *name);
bool link_start(struct link *l, struct vm *vm);
void link_stop(struct link *l);
void link_free(struct link *l); /* NULL is allowed */
void link_wake(struct link *l); /* any thread */

/* ---- on the link's thread ---- */
/* Whether the guest takes more: then the host may be read. */
bool link_room(const struct link *l);
void link_give(struct link *l, const u8 *frame, size_t len); /* to the guest */
void link_flush(struct link *l);                             /* posts what was given */
/* The guest's next frame, valid until the next call; NULL: none. */
const u8 *link_take(struct link *l, u32 *len);
void link_clear_wake(struct link *l);

/* ---- what -nic says ---- */
enum { NIC_FORWARDS = 64 };
enum nic_kind { NIC_USER, NIC_TAP, NIC_SOCKET };
struct nic_forward {
    bool udp;
    struct in_addr host, guest; /* guest 0.0.0.0: the first address DHCP gives */
    u16 host_port, guest_port;
};
struct nic {
    enum nic_kind kind;
    char *text; /* the argument, cut into words that the fields below point to */
    enum vm_nic_model model;
    bool has_mac;
    u8 mac[6];
    u16 mtu; /* 0: not said */
    /* user */
    bool restricted, ipv6;
    struct in_addr network, mask, host, dns, dhcp;
    const char *hostname, *domain, *tftp, *bootfile;
    struct nic_forward forward[NIC_FORWARDS];
    int n_forwards;
    /* tap */
    const char *ifname;
    /* socket */
    struct sockaddr_in remote, local;
    bool has_remote, has_local;

    struct link *link;
};
enum status slirp_open(const struct nic *n, struct link **out, struct error *err);
enum status tap_open(const struct nic *n, struct link **out, struct error *err);
enum status udp_open(const struct nic *n, struct link **out, struct error *err);

#endif
