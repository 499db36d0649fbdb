/*
 * tests/virtio/test_hostile.c - every kind of device and hostile rings in each of its queues: it
 * asks for a reset, and lives again after one.
 */
#include "tests/virtio/rig.h"
#include "devices/virtio/balloon.h"
#include "devices/virtio/blk.h"
#include "devices/virtio/console.h"
#include "devices/virtio/input.h"
#include "devices/virtio/net.h"
#include "devices/virtio/p9.h"
#include "devices/virtio/rng.h"
#include "devices/virtio/vsock.h"

static void bad_loop(struct rig *r, struct rig_queue *q)
{
    rig_desc(r, q->desc, 0, 0x100, 16, D_NEXT, 0);
}
static void bad_address(struct rig *r, struct rig_queue *q)
{
    rig_desc(r, q->desc, 0, RIG_HOLE, 16, 0, 0);
}
static void bad_end(struct rig *r, struct rig_queue *q)
{
    rig_desc(r, q->desc, 0, RIG_RAM - 8, 16, D_WRITE, 0);
}
static void bad_zero(struct rig *r, struct rig_queue *q)
{
    rig_desc(r, q->desc, 0, 0x100, 0, 0, 0);
}
static void bad_huge(struct rig *r, struct rig_queue *q)
{
    rig_desc(r, q->desc, 0, 0x100, UINT32_MAX, D_WRITE, 0);
}
static void bad_next(struct rig *r, struct rig_queue *q)
{
    rig_desc(r, q->desc, 0, 0x100, 16, D_NEXT, RIG_SIZE);
}

static const struct {
    const char *name;
    void (*make)(struct rig *r, struct rig_queue *q);
} bads[] = {
    {"a loop", bad_loop},           {"an address of nothing", bad_address},
    {"the end of RAM", bad_end},    {"length 0", bad_zero},
    {"length 4 GiB - 1", bad_huge}, {"next beyond the table", bad_next},
};

/* ---- the devices, with hosts that do nothing ----------------------------------------------------
 */
static int vs_connect(struct vsock_host *h, u32 port)
{
    return -1;
}
static void vs_nothing(struct vsock_host *h, int conn)
{
}
static void vs_send(struct vsock_host *h, int conn, const u8 *buf, size_t len)
{
}
static const struct vsock_host_ops vs_ops = {.connect = vs_connect,
                                             .opened = vs_nothing,
                                             .send = vs_send,
                                             .resume = vs_nothing,
                                             .shutdown = vs_nothing,
                                             .close = vs_nothing};
static const struct chardev_ops chr_ops = {0};
static const struct netdev_ops net_ops = {0};
static const u8 mac[6] = {0x52, 0x54, 0, 1, 2, 3};

struct hosts {
    struct chardev chr[2];
    struct netdev net;
    struct vsock_host vsock;
};

static struct virtio_dev *make_blk(struct hosts *h)
{
    return virtio_blk_new(&(struct virtio_blk_config){.block = block_new_mem(65536), .queues = 2});
}
static struct virtio_dev *make_rng(struct hosts *h)
{
    return virtio_rng_new(true);
}
static struct virtio_dev *make_console(struct hosts *h)
{
    h->chr[0].ops = h->chr[1].ops = &chr_ops;
    struct virtio_console_port port[] = {{&h->chr[0], NULL, true}, {&h->chr[1], "name", false}};
    return virtio_console_new(port, 2);
}
static struct virtio_dev *make_9p(struct hosts *h)
{
    struct virtio_dev *v;
    cr_assert_eq(virtio_9p_new("/tmp", "x", true, &v, NULL), ST_OK);
    return v;
}
static struct virtio_dev *make_keyboard(struct hosts *h)
{
    return virtio_input_new(VIRTIO_KEYBOARD);
}
static struct virtio_dev *make_tablet(struct hosts *h)
{
    return virtio_input_new(VIRTIO_TABLET);
}
static struct virtio_dev *make_balloon(struct hosts *h)
{
    return virtio_balloon_new();
}
static struct virtio_dev *make_net(struct hosts *h)
{
    h->net.ops = &net_ops;
    return virtio_net_new(mac, &h->net);
}
static struct virtio_dev *make_vsock(struct hosts *h)
{
    h->vsock.ops = &vs_ops;
    return virtio_vsock_new(3, &h->vsock);
}

static const struct {
    const char *name;
    struct virtio_dev *(*make)(struct hosts *h);
} kinds[] = {
    {"blk", make_blk},         {"rng", make_rng},           {"console", make_console},
    {"9p", make_9p},           {"keyboard", make_keyboard}, {"tablet", make_tablet},
    {"balloon", make_balloon}, {"net", make_net},           {"vsock", make_vsock},
};

/* Queues that wait for something from outside look at a request when that comes; the others must
 * see at once what is wrong with it, and there is one of them at least. */
Test(virtio_hostile, every_device, .timeout = 100)
{
    for (size_t d = 0; d < ARRAY_LEN(kinds); d++) {
        for (size_t b = 0; b < ARRAY_LEN(bads); b++) {
            int broken = 0, queues = 1;
            for (int q = 0; q < queues; q++) {
                struct hosts h = {0};
                struct rig r;
                rig_init(&r, kinds[d].make(&h));
                rig_start(&r, RIG_FEATURES);
                queues = r.v->queues;
                bads[b].make(&r, &r.q[q]);
                rig_avail(&r, q, 0);
                rig_kick(&r, q);
                broken += rig_broken(&r);
                for (int k = 0; k < queues; k++) /* whatever its state: no harm */
                    rig_kick(&r, k);
                r.heap = 4096;
                rig_start(&r, RIG_FEATURES);
                cr_expect(!rig_broken(&r), "%s, queue %d, %s: not after a reset", kinds[d].name, q,
                          bads[b].name);
                rig_free(&r);
            }
            cr_expect_gt(broken, 0, "%s, %s: no queue noticed", kinds[d].name, bads[b].name);
        }
    }
}
