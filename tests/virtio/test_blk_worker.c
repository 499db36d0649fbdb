/*
 * tests/virtio/test_blk_worker.c - the virtio disk with a thread: nothing is waited for in a kick,
 * order, flushes, resets and ends with requests under way.
 */
#include "tests/virtio/rig.h"
#include "bus/inbox.h"
#include "devices/virtio/blk.h"

#include <pthread.h>

enum { T_IN = 0, T_OUT = 1, T_FLUSH = 4, DISK = 64 * 1024, LOG = 64 };

/* An image whose calls wait at a gate, and which remembers their order. */
struct gated {
    struct block b;
    struct block *mem;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int tickets; /* calls that may pass */
    char log[LOG];
    int n, flushes_under_way;
    bool cached; /* reads need no waiting */
};

static void pass(struct gated *g, char what)
{
    pthread_mutex_lock(&g->lock);
    while (!g->tickets)
        pthread_cond_wait(&g->changed, &g->lock);
    g->tickets--;
    cr_assert(g->n + 1 < LOG);
    g->log[g->n++] = what;
    pthread_mutex_unlock(&g->lock);
}

static void open_gate(struct gated *g, int n)
{
    pthread_mutex_lock(&g->lock);
    g->tickets += n;
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->lock);
}

static enum status g_read(struct block *b, u64 off, void *buf, size_t len)
{
    struct gated *g = (struct gated *)b;
    pass(g, 'r');
    return block_read(g->mem, off, buf, len);
}
static enum status g_write(struct block *b, u64 off, const void *buf, size_t len)
{
    struct gated *g = (struct gated *)b;
    pass(g, 'w');
    return block_write(g->mem, off, buf, len);
}
static enum status g_flush(struct block *b)
{
    pass((struct gated *)b, 'f');
    return ST_OK;
}
static enum status g_try(struct block *b, u64 off, const struct iovec *iov, int n, u64 len)
{
    struct gated *g = (struct gated *)b;
    return g->cached ? block_readv(g->mem, off, iov, n) : ST_BUSY;
}
static void g_close(struct block *b)
{
    struct gated *g = (struct gated *)b;
    block_close(g->mem);
    free(g);
}
static const struct block_ops gated_ops = {
    .read = g_read, .write = g_write, .flush = g_flush, .close = g_close, .try_readv = g_try};

struct disk {
    struct rig r;
    struct gated *g;
    struct inbox *inbox;
};

static void disk_init(struct disk *d, u64 features, int queues)
{
    struct gated *g = calloc(1, sizeof(*g));
    pthread_mutex_init(&g->lock, NULL);
    pthread_cond_init(&g->changed, NULL);
    g->mem = block_new_mem(DISK);
    g->b = (struct block){.ops = &gated_ops, .size = DISK, .waits = true};
    d->g = g;
    d->inbox = inbox_new();
    rig_init(&d->r, virtio_blk_new(&(struct virtio_blk_config){
                        .block = &g->b, .queues = queues, .inbox = d->inbox}));
    rig_start(&d->r, features);
}

static void disk_free(struct disk *d)
{
    rig_free(&d->r);
    inbox_free(d->inbox);
}

struct req {
    u64 header, data, status;
    u16 head;
};

static struct req submit(struct disk *d, int q, u32 type, u64 sector, u8 fill)
{
    struct rig *r = &d->r;
    struct req x = {rig_alloc(r, 16), rig_alloc(r, 512), rig_alloc(r, 1), 0};
    st_u32(rig_ptr(r, x.header), type);
    st_u64(rig_ptr(r, x.header) + 8, sector);
    memset(rig_ptr(r, x.data), fill, 512);
    *rig_ptr(r, x.status) = 0xee;
    struct seg s[3] = {{x.header, 16, false}, {x.data, 512, type == T_IN}, {x.status, 1, true}};
    if (type == T_FLUSH)
        s[1] = s[2];
    x.head = rig_add(r, q, s, type == T_FLUSH ? 2 : 3);
    rig_kick(r, q);
    return x;
}

static u8 status(struct disk *d, struct req x)
{
    return *rig_ptr(&d->r, x.status);
}

/* The VM's thread between slices, until queue q has given one back. */
static u32 wait_used(struct disk *d, int q)
{
    u32 id;
    while (!rig_used(&d->r, q, &id, NULL)) {
        inbox_wait(d->inbox, 10000000000ull);
        inbox_drain(d->inbox);
    }
    return id;
}

Test(blk_worker, kick_does_not_wait, .timeout = 60)
{
    struct disk d;
    disk_init(&d, ~0ull, 1);
    struct req w = submit(&d, 0, T_OUT, 3, 0x55);
    struct req f = submit(&d, 0, T_FLUSH, 0, 0);
    struct req r = submit(&d, 0, T_IN, 3, 0);
    cr_expect(!rig_used(&d.r, 0, NULL, NULL) && d.r.irqs == 0);
    cr_expect_eq(status(&d, w), 0xee);
    open_gate(d.g, 1);
    cr_expect_eq(wait_used(&d, 0), w.head);
    cr_expect_eq(status(&d, w), 0);
    cr_expect_eq(status(&d, f), 0xee, "the flush waits for the storage");
    cr_expect(d.r.irqs > 0);
    open_gate(d.g, 2);
    cr_expect_eq(wait_used(&d, 0), f.head);
    cr_expect_eq(wait_used(&d, 0), r.head);
    cr_expect_eq(*rig_ptr(&d.r, r.data + 511), 0x55);
    cr_expect_str_eq(d.g->log, "wfr", "in order: the flush covers the write");
    disk_free(&d);
}

Test(blk_worker, cached_reads_are_done_in_the_kick)
{
    struct disk d;
    disk_init(&d, ~0ull, 1);
    d.g->cached = true;
    struct req r = submit(&d, 0, T_IN, 3, 0x77);
    cr_expect(rig_used(&d.r, 0, NULL, NULL));
    cr_expect(status(&d, r) == 0 && *rig_ptr(&d.r, r.data) == 0);
    /* errors need no waiting either */
    r = submit(&d, 0, T_OUT, DISK / 512, 0);
    cr_expect(rig_used(&d.r, 0, NULL, NULL) && status(&d, r) == 1);
    cr_expect_eq(d.g->n, 0);
    disk_free(&d);
}

/* Without the flush feature a write is durable when it is reported done. */
Test(blk_worker, driver_without_flush, .timeout = 60)
{
    struct disk d;
    disk_init(&d, ~BIT64(9), 1);
    struct req w = submit(&d, 0, T_OUT, 0, 1);
    open_gate(d.g, 1);
    inbox_drain(d.inbox);
    cr_expect_eq(status(&d, w), 0xee);
    open_gate(d.g, 1);
    wait_used(&d, 0);
    cr_expect_str_eq(d.g->log, "wf");
    disk_free(&d);
}

/* More than may be under way: what is left in the queue is taken when there is room. */
Test(blk_worker, more_than_fit, .timeout = 60)
{
    struct disk d;
    struct req w[80];
    int seen = 0;
    disk_init(&d, ~0ull, 16); /* 5 requests a ring of 16 */
    for (int k = 0; k < 80; k++)
        w[k] = submit(&d, k / 5, T_OUT, (u64)k, (u8)(k + 1));
    d.g->log[0] = 0;
    for (; seen < 80; seen++) {
        d.g->n = 0;
        open_gate(d.g, 1);
        for (bool found = false; !found;) {
            inbox_wait(d.inbox, 10000000000ull);
            inbox_drain(d.inbox);
            for (int q = 0; q < 16 && !found; q++)
                found = rig_used(&d.r, q, NULL, NULL);
        }
    }
    for (int k = 0; k < 80; k++) {
        u8 b;
        cr_expect_eq(status(&d, w[k]), 0);
        block_read(d.g->mem, (u64)k * 512, &b, 1);
        cr_expect_eq(b, k + 1);
    }
    disk_free(&d);
}

static void *open_soon(void *g)
{
    open_gate(g, 1000);
    return NULL;
}

/* A reset, a queue that starts anew, and the device's end wait for what is under way; the driver
 * does not hear of it any more. */
Test(blk_worker, ends_with_requests_under_way, .timeout = 60)
{
    for (int how = 0; how < 3; how++) {
        struct disk d;
        pthread_t t;
        disk_init(&d, ~0ull, 1);
        struct req w = submit(&d, 0, T_OUT, 0, 9);
        submit(&d, 0, T_OUT, 1, 9);
        struct gated *g = d.g;
        struct block *mem = g->mem;
        g->mem = block_new_mem(DISK); /* the device's end closes its own */
        u8 b;
        if (how == 1) { /* the ring is stopped and started */
            virtq_enable(d.r.v, 0, false);
            virtq_enable(d.r.v, 0, true);
        }
        pthread_create(&t, NULL, open_soon, g);
        if (how == 0) {
            rig_set(&d.r, MMIO_STATUS, 0);
            cr_expect_eq(g->n, 2, "both have run");
        } else if (how == 1) {
            d.r.v->dev.ops->quiesce(&d.r.v->dev);
            cr_expect_eq(g->n, 2);
            cr_expect_eq(status(&d, w), 0, "its memory was written to");
        }
        cr_expect(!rig_used(&d.r, 0, NULL, NULL));
        pthread_join(t, NULL);
        if (how < 2) {
            block_read(g->mem, 0, &b, 1);
            cr_expect_eq(b, 9);
        }
        inbox_drain(d.inbox); /* a letter of before */
        disk_free(&d);
        block_close(mem);
    }
}
