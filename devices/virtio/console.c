/*
 * devices/virtio/console.c - the virtio console device.
 *
 * What it is: ports with a receive and a transmit queue each, and the control queues that announce
 * them to drivers which know more than one port.
 *
 * Invariants: host input waits in a port's `held` until the guest gives buffers, and chardev
 * space() never promises more than its room. Control messages that the guest gave no buffer for are
 * bits in `todo`, so a guest that never reads them costs nothing.
 *
 * Manual: VIRTIO 1.2, section 5.3.
 */
#include "devices/virtio/console.h"
#include "base/bits.h"
#include "base/log.h"
#include "bus/backend.h"
#include "devices/virtio/virtio.h"

#include <stdlib.h>
#include <string.h>

enum { F_SIZE = 0, F_MULTIPORT = 1, F_EMERGENCY = 2 };
enum { Q_CTL_RX = 2, Q_CTL_TX = 3 };
enum { CONFIG_SIZE = 12, EMERGENCY = 8, RING = 128, HELD = 4096, NAME_MAX_ = 32 };
enum { MSG_SIZE = 8, RESIZE_SIZE = 4 };
/* Control events. Those from device to driver are also bits of `todo`, sent lowest first. */
enum {
    EV_READY = 0,
    EV_ADD = 1,
    EV_REMOVE = 2,
    EV_PORT_READY = 3,
    EV_CONSOLE = 4,
    EV_RESIZE = 5,
    EV_OPEN = 6,
    EV_NAME = 7,
};

struct port {
    struct virtio_console *s;
    struct chardev *chr;
    char name[NAME_MAX_];
    bool console;
};

struct virtio_console {
    struct virtio_dev v;
    int n;
    struct port port[VIRTIO_CONSOLE_PORTS];
    u16 cols, rows;
    u8 todo[VIRTIO_CONSOLE_PORTS];
    u8 open[VIRTIO_CONSOLE_PORTS]; /* the guest has it open */
    u32 n_held[VIRTIO_CONSOLE_PORTS];
    u8 held[VIRTIO_CONSOLE_PORTS * HELD];
    struct virtq_elem req;
};

static int rx_queue(int port)
{
    return port ? 2 * port + 2 : 0;
}

/* The port of a data queue. */
static int port_of(int q)
{
    return q < 2 ? 0 : q / 2 - 1;
}

static bool multiport(const struct virtio_console *s)
{
    return virtio_has(&s->v, F_MULTIPORT);
}

/* ---- host to guest
 * -------------------------------------------------------------------------------- */
static void deliver(struct virtio_console *s, int k)
{
    struct virtqueue *vq = &s->v.vq[rx_queue(k)];
    u8 *held = s->held + k * HELD;
    bool some = false;

    /* what a port that nobody has open is sent would be dropped by the driver */
    if (multiport(s) && !s->open[k])
        return;
    while (s->n_held[k] && virtq_pop(vq, &s->req)) {
        size_t n = virtq_write(&s->req, 0, held, s->n_held[k]);
        virtq_push(vq, &s->req, n);
        s->n_held[k] -= (u32)n;
        memmove(held, held + n, s->n_held[k]);
        some = true;
    }
    if (some)
        virtq_notify(vq);
}

static size_t console_space(void *ctx)
{
    struct port *p = ctx;
    return HELD - p->s->n_held[p - p->s->port];
}

static void console_recv(void *ctx, const u8 *buf, size_t len)
{
    struct port *p = ctx;
    struct virtio_console *s = p->s;
    int k = (int)(p - s->port);
    len = MIN(len, HELD - s->n_held[k]);
    memcpy(s->held + k * HELD + s->n_held[k], buf, len);
    s->n_held[k] += (u32)len;
    deliver(s, k);
}

/* ---- guest to host
 * --------------------------------------------------------------------------------- */
static void transmit(struct virtio_console *s, int q)
{
    struct virtqueue *vq = &s->v.vq[q];
    struct port *p = &s->port[port_of(q)];
    while (virtq_pop(vq, &s->req)) {
        for (int k = 0; k < s->req.n_out; k++)
            chardev_write(p->chr, s->req.iov[k].iov_base, s->req.iov[k].iov_len);
        virtq_push(vq, &s->req, 0);
    }
    virtq_notify(vq);
}

/* ---- control
 * --------------------------------------------------------------------------------------- */
/* One event of todo[] as a message; its length. */
static size_t message(struct virtio_console *s, int k, int event, u8 *msg)
{
    const struct port *p = &s->port[k];
    st_u32(msg, (u32)k);
    st_u16(msg + 4, (u16)event);
    st_u16(msg + 6, 1);
    if (event == EV_NAME) {
        memcpy(msg + MSG_SIZE, p->name, strlen(p->name));
        return MSG_SIZE + strlen(p->name);
    }
    if (event == EV_RESIZE) { /* the driver of Linux reads rows first, as the text had it once */
        st_u16(msg + MSG_SIZE, s->rows);
        st_u16(msg + MSG_SIZE + 2, s->cols);
        return MSG_SIZE + RESIZE_SIZE;
    }
    return MSG_SIZE;
}

static void send_control(struct virtio_console *s)
{
    struct virtqueue *vq = &s->v.vq[Q_CTL_RX];
    bool some = false;
    if (!multiport(s))
        return;
    for (int k = 0; k < s->n; k++) {
        while (s->todo[k] && virtq_pop(vq, &s->req)) {
            u8 msg[MSG_SIZE + NAME_MAX_];
            int event = __builtin_ctz(s->todo[k]);
            size_t len = message(s, k, event, msg);
            s->todo[k] &= (u8) ~(1u << event);
            virtq_push(vq, &s->req, virtq_write(&s->req, 0, msg, len));
            some = true;
        }
    }
    if (some)
        virtq_notify(vq);
}

static void control(struct virtio_console *s, u32 id, u16 event, u16 value)
{
    if (event == EV_READY) {
        for (int k = 0; value && k < s->n; k++)
            s->todo[k] |= BIT(EV_ADD);
        return;
    }
    if (id >= (u32)s->n) {
        log_guest("virtio-console: control event %u of port %u, of %d", event, id, s->n);
        return;
    }
    if (event == EV_PORT_READY && value) {
        const struct port *p = &s->port[id];
        if (p->console)
            s->todo[id] |= BIT(EV_CONSOLE);
        if (p->console && s->cols)
            s->todo[id] |= BIT(EV_RESIZE);
        if (p->name[0])
            s->todo[id] |= BIT(EV_NAME);
        if (p->chr)
            s->todo[id] |= BIT(EV_OPEN);
    } else if (event == EV_OPEN) {
        s->open[id] = value != 0;
        deliver(s, (int)id);
    }
}

static void take_control(struct virtio_console *s)
{
    struct virtqueue *vq = &s->v.vq[Q_CTL_TX];
    while (virtq_pop(vq, &s->req)) {
        u8 msg[MSG_SIZE];
        size_t n = virtq_read(&s->req, 0, msg, sizeof(msg));
        virtq_push(vq, &s->req, 0);
        if (n == sizeof(msg))
            control(s, ld_u32(msg), ld_u16(msg + 4), ld_u16(msg + 6));
    }
    virtq_notify(vq);
    send_control(s);
}

static void console_notify(struct virtio_dev *v, int q)
{
    struct virtio_console *s = (struct virtio_console *)v;
    if (q == Q_CTL_RX) {
        send_control(s);
    } else if (q == Q_CTL_TX) {
        take_control(s);
    } else if (q & 1) {
        transmit(s, q);
    } else {
        deliver(s, port_of(q));
        chardev_resume(s->port[port_of(q)].chr);
    }
}

/* ---- the device
 * ------------------------------------------------------------------------------------ */
static void console_config(struct virtio_dev *v, u8 *cfg)
{
    struct virtio_console *s = (struct virtio_console *)v;
    st_u16(cfg, s->cols);
    st_u16(cfg + 2, s->rows);
    st_u32(cfg + 4, (u32)s->n);
}

static void console_config_write(struct virtio_dev *v, u32 off, u32 val, int size)
{
    struct virtio_console *s = (struct virtio_console *)v;
    u8 byte = (u8)val;
    if (off == EMERGENCY)
        chardev_write(s->port[0].chr, &byte, 1);
}

static void console_reset(struct virtio_dev *v)
{
    struct virtio_console *s = (struct virtio_console *)v;
    memset(s->todo, 0, sizeof(s->todo));
    memset(s->open, 0, sizeof(s->open));
}

void virtio_console_resize(struct virtio_dev *v, u16 cols, u16 rows)
{
    struct virtio_console *s = (struct virtio_console *)v;
    s->cols = cols;
    s->rows = rows;
    virtio_config_changed(v);
    if (s->open[0] && s->port[0].console) {
        s->todo[0] |= BIT(EV_RESIZE);
        send_control(s);
    }
}

static bool console_loaded(struct device *d)
{
    struct virtio_console *s = (struct virtio_console *)d;
    for (int k = 0; k < VIRTIO_CONSOLE_PORTS; k++) {
        s->n_held[k] = MIN(s->n_held[k], HELD);
        s->todo[k] &= BIT(EV_ADD) | BIT(EV_CONSOLE) | BIT(EV_RESIZE) | BIT(EV_OPEN) | BIT(EV_NAME);
    }
    return virtio_dev_loaded(d);
}

static void console_destroy(struct device *d)
{
    free(d);
}

static const struct field console_state[] = {
    VIRTIO_FIELDS(struct virtio_console, v), FIELD_U(struct virtio_console, cols),
    FIELD_U(struct virtio_console, rows),    FIELD_A(struct virtio_console, todo),
    FIELD_A(struct virtio_console, open),    FIELD_A(struct virtio_console, n_held),
    FIELD_BUF(struct virtio_console, held),  FIELD_END};

static const struct device_ops console_dev_ops = {
    .name = "virtio-console",
    .reset = virtio_dev_reset,
    .state = console_state,
    .loaded = console_loaded,
    .destroy = console_destroy,
};

static const struct virtio_dev_ops console_ops = {
    .id = VIRTIO_ID_CONSOLE,
    .config_size = CONFIG_SIZE,
    .pci_class = 0x078000,
    .config = console_config,
    .config_write = console_config_write,
    .notify = console_notify,
    .reset = console_reset,
};

struct virtio_dev *virtio_console_new(const struct virtio_console_port *port, int n)
{
    struct virtio_console *s = calloc(1, sizeof(*s));
    CHECK(s && n >= 1 && n <= VIRTIO_CONSOLE_PORTS);
    virtio_init(&s->v, &console_dev_ops, &console_ops, 2 * n + 2, RING);
    s->v.offered |= BIT64(F_SIZE) | BIT64(F_MULTIPORT) | BIT64(F_EMERGENCY);
    s->n = n;
    for (int k = 0; k < n; k++) {
        struct port *p = &s->port[k];
        p->s = s;
        p->chr = port[k].chr;
        p->console = port[k].console;
        if (port[k].name)
            strncpy(p->name, port[k].name, sizeof(p->name) - 1);
        if (p->chr) {
            p->chr->space = console_space;
            p->chr->recv = console_recv;
            p->chr->ctx = p;
        }
    }
    return &s->v;
}
