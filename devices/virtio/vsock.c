/*
 * devices/virtio/vsock.c - the virtio socket device: streams between the guest and the host.
 *
 * What it is: the packets of stream sockets and their credit. What it is not: datagrams, seqpacket,
 * guests that talk to each other.
 *
 * Invariants: a connection is known by the number the host's side gave it, and by the two ports.
 * The guest never has more than VSOCK_WINDOW bytes with us that have not left (more is a reset); we
 * never send more than the credit it gave. What the guest gives no buffers for waits as bits in
 * `todo` and bytes in `held`; resets of unknown connections in a short list, else they are dropped.
 *
 * Manual: VIRTIO 1.2, section 5.10.
 */
#include "devices/virtio/vsock.h"
#include "base/bits.h"
#include "base/log.h"
#include "bus/backend.h"
#include "devices/virtio/virtio.h"

#include <stdlib.h>
#include <string.h>

enum { Q_RX = 0, Q_TX = 1, RING = 128, HEADER = 44, HOST_CID = 2, TYPE_STREAM = 1 };
enum { OP_REQUEST = 1, OP_RESPONSE, OP_RST, OP_SHUTDOWN, OP_RW, OP_CREDIT, OP_ASK_CREDIT };
enum { NO_RECEIVE = 1, NO_SEND = 2 };
enum { HELD = 16384, RESETS = 16 };

/* A packet's header but for its lengths. */
struct header {
    u64 src_cid, dst_cid;
    u32 src_port, dst_port, len;
    u16 type, op;
    u32 flags, buf_alloc, fwd_cnt;
};

struct conn {
    bool used, open, eof, told; /* told: the guest knows of eof */
    bool no_receive;            /* the guest takes no more */
    u8 todo;                    /* packets to send: bits by OP_* */
    u32 guest_port, host_port;
    u32 got, left;                  /* bytes from the guest, and of them those that have left */
    u32 credit_said;                /* `left` as the guest knows it */
    u32 sent, peer_alloc, peer_fwd; /* bytes to the guest, and its credit */
    u32 n_held;
    u8 held[HELD];
};

struct virtio_vsock {
    struct virtio_dev v;
    u32 cid;
    struct vsock_host *host;
    bool pumping;
    struct conn conn[VSOCK_CONNS];
    struct header resets[RESETS];
    int n_resets;
    struct virtq_elem req;
};

/* ---- to the guest
 * ------------------------------------------------------------------------------------ */
/* One packet into s->req; returns its length. */
static u64 put_packet(struct virtio_vsock *s, const struct header *h, const u8 *data)
{
    u8 b[HEADER];
    st_u64(b, h->src_cid);
    st_u64(b + 8, h->dst_cid);
    st_u32(b + 16, h->src_port);
    st_u32(b + 20, h->dst_port);
    st_u32(b + 24, h->len);
    st_u16(b + 28, h->type);
    st_u16(b + 30, h->op);
    st_u32(b + 32, h->flags);
    st_u32(b + 36, h->buf_alloc);
    st_u32(b + 40, h->fwd_cnt);
    u64 n = virtq_write(&s->req, 0, b, HEADER);
    return n + virtq_write(&s->req, HEADER, data, h->len);
}

/* How many held bytes the guest's credit allows now. */
static u32 allowed(const struct conn *c)
{
    u32 under_way = c->sent - c->peer_fwd;
    if (!c->open || c->no_receive || under_way >= c->peer_alloc)
        return 0;
    return MIN(c->n_held, c->peer_alloc - under_way);
}

/* What to say next of a connection: an OP_*, 0: nothing. */
static u16 next_op(const struct conn *c)
{
    if (!c->used)
        return 0;
    if (c->todo)
        return (u16)__builtin_ctz(c->todo);
    if (allowed(c))
        return OP_RW;
    return c->open && c->eof && !c->told && (!c->n_held || c->no_receive) ? OP_SHUTDOWN : 0;
}

static void forget(struct virtio_vsock *s, int k)
{
    s->conn[k].used = false;
    s->conn[k].todo = 0;
}

/* False: the guest has no buffer. */
static bool send_one(struct virtio_vsock *s, int k, u16 op)
{
    struct conn *c = &s->conn[k];
    struct virtqueue *vq = &s->v.vq[Q_RX];
    struct header h = {.src_cid = HOST_CID,
                       .dst_cid = s->cid,
                       .src_port = c->host_port,
                       .dst_port = c->guest_port,
                       .type = TYPE_STREAM,
                       .op = op,
                       .flags = op == OP_SHUTDOWN ? NO_RECEIVE | NO_SEND : 0,
                       .buf_alloc = VSOCK_WINDOW,
                       .fwd_cnt = c->left};
    if (!virtq_pop(vq, &s->req))
        return false;
    if (s->req.in_len <= HEADER) {
        virtio_broken(&s->v, "a receive buffer without room for a packet");
        return false;
    }
    if (op == OP_RW)
        h.len = (u32)MIN(allowed(c), s->req.in_len - HEADER);
    virtq_push(vq, &s->req, put_packet(s, &h, c->held));
    c->credit_said = c->left;
    c->todo &= (u8) ~(1u << op);
    c->sent += h.len;
    c->n_held -= h.len;
    memmove(c->held, c->held + h.len, c->n_held);
    if (op == OP_SHUTDOWN)
        c->told = true;
    if (op == OP_RST)
        forget(s, k);
    else if (h.len)
        s->host->ops->resume(s->host, k);
    return true;
}

static void pump(struct virtio_vsock *s)
{
    struct virtqueue *vq = &s->v.vq[Q_RX];
    bool room = true;

    if (s->pumping || !virtq_ready(vq))
        return;
    s->pumping = true; /* resume() may call recv() */
    for (; s->n_resets && (room = virtq_pop(vq, &s->req)); s->n_resets--)
        virtq_push(vq, &s->req, put_packet(s, &s->resets[s->n_resets - 1], NULL));
    for (int k = 0; k < VSOCK_CONNS && room; k++) {
        u16 op;
        while (room && (op = next_op(&s->conn[k])))
            room = send_one(s, k, op);
    }
    s->pumping = false;
    virtq_notify(vq);
}

/* ---- from the guest
 * ------------------------------------------------------------------------------------ */
/* The answer to a packet that no connection knows; never to a reset. */
static void reset_unknown(struct virtio_vsock *s, const struct header *h)
{
    if (h->op == OP_RST || s->n_resets == RESETS)
        return;
    s->resets[s->n_resets++] = (struct header){.src_cid = h->dst_cid,
                                               .dst_cid = s->cid,
                                               .src_port = h->dst_port,
                                               .dst_port = h->src_port,
                                               .type = h->type,
                                               .op = OP_RST};
}

/* Ends a connection; rst: the guest is told. */
static void end(struct virtio_vsock *s, int k, bool rst)
{
    struct conn *c = &s->conn[k];
    s->host->ops->close(s->host, k);
    if (rst)
        reset_unknown(s, &(struct header){.dst_cid = HOST_CID,
                                          .src_port = c->guest_port,
                                          .dst_port = c->host_port,
                                          .type = TYPE_STREAM});
    forget(s, k);
}

static int find(const struct virtio_vsock *s, const struct header *h)
{
    for (int k = 0; k < VSOCK_CONNS; k++)
        if (s->conn[k].used && s->conn[k].guest_port == h->src_port &&
            s->conn[k].host_port == h->dst_port)
            return k;
    return -1;
}

static void make(struct virtio_vsock *s, int k, u32 guest_port, u32 host_port, bool open)
{
    struct conn *c = &s->conn[k];
    memset(c, 0, offsetof(struct conn, held));
    c->used = true;
    c->open = open;
    c->guest_port = guest_port;
    c->host_port = host_port;
}

/* The bytes of a RW packet, which are in the request behind the header. */
static void data(struct virtio_vsock *s, int k, u32 len)
{
    struct conn *c = &s->conn[k];
    if (!c->open || len > VSOCK_WINDOW - (c->got - c->left)) {
        end(s, k, true);
        return;
    }
    c->got += len;
    u8 buf[4096];
    for (u64 at = HEADER; len && c->used;) {
        size_t n = virtq_read(&s->req, at, buf, MIN(len, sizeof(buf)));
        s->host->ops->send(s->host, k, buf, n);
        at += n;
        len -= (u32)n;
    }
}

static void packet(struct virtio_vsock *s, const struct header *h)
{
    int k =
        h->type == TYPE_STREAM && h->src_cid == s->cid && h->dst_cid == HOST_CID ? find(s, h) : -1;
    if (h->op == OP_REQUEST) {
        int conn = -1;
        if (k >= 0)
            end(s, k, false);
        else if (h->type == TYPE_STREAM && h->src_cid == s->cid && h->dst_cid == HOST_CID)
            conn = s->host->ops->connect(s->host, h->dst_port);
        if (conn < 0) {
            reset_unknown(s, h);
            return;
        }
        make(s, conn, h->src_port, h->dst_port, true);
        s->conn[conn].peer_alloc = h->buf_alloc;
        s->conn[conn].peer_fwd = h->fwd_cnt;
        s->conn[conn].todo = BIT(OP_RESPONSE);
        return;
    }
    if (k < 0) {
        reset_unknown(s, h);
        return;
    }
    struct conn *c = &s->conn[k];
    c->peer_alloc = h->buf_alloc;
    c->peer_fwd = h->fwd_cnt;
    switch (h->op) {
    case OP_RESPONSE:
        if (c->open)
            break;
        c->open = true;
        s->host->ops->opened(s->host, k);
        break;
    case OP_RST:
        end(s, k, false);
        break;
    case OP_SHUTDOWN:
        if ((h->flags & (NO_RECEIVE | NO_SEND)) == (NO_RECEIVE | NO_SEND)) {
            end(s, k, true);
            break;
        }
        c->no_receive |= h->flags & NO_RECEIVE;
        if (h->flags & NO_SEND)
            s->host->ops->shutdown(s->host, k);
        break;
    case OP_RW:
        data(s, k, h->len);
        break;
    case OP_ASK_CREDIT:
        c->todo |= BIT(OP_CREDIT);
        break;
    case OP_CREDIT:
        break;
    default:
        end(s, k, true);
    }
}

static void vsock_notify(struct virtio_dev *v, int q)
{
    struct virtio_vsock *s = (struct virtio_vsock *)v;
    struct virtqueue *vq = &v->vq[q];
    s->pumping = true; /* s->req is taken: what the host's side does meanwhile is sent below */
    while (q == Q_TX && virtq_pop(vq, &s->req)) {
        u8 b[HEADER];
        struct header h;
        size_t n = virtq_read(&s->req, 0, b, HEADER);
        h = (struct header){ld_u64(b),      ld_u64(b + 8),  ld_u32(b + 16), ld_u32(b + 20),
                            ld_u32(b + 24), ld_u16(b + 28), ld_u16(b + 30), ld_u32(b + 32),
                            ld_u32(b + 36), ld_u32(b + 40)};
        if (n < HEADER || h.len > s->req.out_len - HEADER) {
            virtio_broken(v, "a packet shorter than it says");
            break;
        }
        packet(s, &h);
        virtq_push(vq, &s->req, 0);
    }
    s->pumping = false;
    if (q == Q_TX)
        virtq_notify(vq);
    pump(s);
}

/* ---- what the host's side calls
 * ------------------------------------------------------------------------- */
static bool vsock_accept(void *ctx, int k, u32 port)
{
    struct virtio_vsock *s = ctx;
    if (!(s->v.status & VIRTIO_S_DRIVER_OK) || s->conn[k].used)
        return false;
    make(s, k, port, 0x40000000u + (u32)k, false);
    s->conn[k].todo = BIT(OP_REQUEST);
    pump(s);
    return true;
}

static size_t vsock_space(void *ctx, int k)
{
    struct conn *c = &((struct virtio_vsock *)ctx)->conn[k];
    return c->used && c->open ? HELD - c->n_held : 0;
}

static void vsock_recv(void *ctx, int k, const u8 *buf, size_t len)
{
    struct virtio_vsock *s = ctx;
    struct conn *c = &s->conn[k];
    len = MIN(len, vsock_space(s, k));
    memcpy(c->held + c->n_held, buf, len);
    c->n_held += (u32)len;
    pump(s);
}

static void vsock_sent(void *ctx, int k, size_t len)
{
    struct virtio_vsock *s = ctx;
    struct conn *c = &s->conn[k];
    if (!c->used)
        return;
    c->left += (u32)MIN(len, c->got - c->left);
    if (c->left - c->credit_said >= VSOCK_WINDOW / 4) {
        c->todo |= BIT(OP_CREDIT);
        pump(s);
    }
}

static void vsock_eof(void *ctx, int k)
{
    struct virtio_vsock *s = ctx;
    s->conn[k].eof = true;
    pump(s);
}

/* ---- the device
 * ------------------------------------------------------------------------------------------ */
static void vsock_config(struct virtio_dev *v, u8 *cfg)
{
    st_u64(cfg, ((struct virtio_vsock *)v)->cid);
}

static void close_all(struct virtio_vsock *s)
{
    for (int k = 0; k < VSOCK_CONNS; k++)
        if (s->conn[k].used)
            end(s, k, false);
    s->n_resets = 0;
}

static void vsock_reset(struct virtio_dev *v)
{
    close_all((struct virtio_vsock *)v);
}

/* Connections are not saved: packets of the guest's are answered with resets. */
static bool vsock_loaded(struct device *d)
{
    close_all((struct virtio_vsock *)d);
    return virtio_dev_loaded(d);
}

static void vsock_destroy(struct device *d)
{
    struct virtio_vsock *s = (struct virtio_vsock *)d;
    close_all(s);
    s->host->accept = NULL;
    s->host->space = NULL;
    s->host->recv = NULL;
    s->host->sent = NULL;
    s->host->eof = NULL;
    free(s);
}

static const struct field vsock_state[] = {VIRTIO_FIELDS(struct virtio_vsock, v), FIELD_END};

static const struct device_ops vsock_dev_ops = {
    .name = "virtio-vsock",
    .reset = virtio_dev_reset,
    .state = vsock_state,
    .loaded = vsock_loaded,
    .destroy = vsock_destroy,
};

static const struct virtio_dev_ops vsock_ops = {
    .id = VIRTIO_ID_VSOCK,
    .config_size = 8,
    .pci_class = 0x028000,
    .config = vsock_config,
    .notify = vsock_notify,
    .reset = vsock_reset,
};

struct virtio_dev *virtio_vsock_new(u32 cid, struct vsock_host *host)
{
    struct virtio_vsock *s = calloc(1, sizeof(*s));
    CHECK(s && cid > HOST_CID);
    virtio_init(&s->v, &vsock_dev_ops, &vsock_ops, 3, RING);
    s->cid = cid;
    s->host = host;
    host->accept = vsock_accept;
    host->space = vsock_space;
    host->recv = vsock_recv;
    host->sent = vsock_sent;
    host->eof = vsock_eof;
    host->ctx = s;
    return &s->v;
}
