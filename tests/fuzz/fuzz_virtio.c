/*
 * tests/fuzz/fuzz_virtio.c - every virtio device, driven by a guest that does anything.
 *
 * Input: a byte for the device, one for the transport and whether a good start is made for it; then
 * commands: registers, bytes of RAM, descriptors, kicks, input from the host, hostile saved state.
 * Whatever they are: no access outside RAM, no end that never comes, and what the common half
 * promises of the queues holds.
 */
#include "tests/fuzz/fuzz.h"
#include "base/bits.h"
#include "bus/backend.h"
#include "bus/space.h"
#include "devices/pci.h"
#include "devices/virtio/balloon.h"
#include "devices/virtio/blk.h"
#include "devices/virtio/console.h"
#include "devices/virtio/input.h"
#include "devices/virtio/net.h"
#include "devices/virtio/p9.h"
#include "devices/virtio/rng.h"
#include "devices/virtio/virtio.h"
#include "devices/virtio/vsock.h"

#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLK, RNG, CONSOLE, P9, KEYBOARD, TABLET, BALLOON, NET, VSOCK, DEVICES };
enum { RAM = 64 * 1024, QUEUE_AT = 0x8000, QUEUE_STEP = 0x400, RINGS = 16 };
enum { MMIO = 0x10000000, MSIX = 0x20000000, BAR = 0x20010000, IO = 0xc000 };
enum { START_NOT = 1, PCI = 2, READONLY = 4, NO_EVENT = 8 };

struct run {
    const u8 *p, *end;
    struct space *mem, *ports;
    struct ram *ram;
    struct device *bus, *t;
    struct virtio_dev *v;
    struct chardev chr[2];
    struct netdev net;
    struct vsock_host vsock;
    bool taken[VSOCK_CONNS];
    u32 under_way[VSOCK_CONNS];
    u16 avail[VIRTIO_QUEUES];
};

static u64 take(struct run *r, int size)
{
    u8 b[8] = {0};
    for (int k = 0; k < size && r->p < r->end; k++)
        b[k] = *r->p++;
    return ld_u64(b);
}

/* ---- the host's side ----------------------------------------------------------------------------
 */
static void chr_write(struct chardev *c, const u8 *buf, size_t len)
{
    for (size_t k = 0; k < len; k += 64)
        __asm__ volatile("" : : "r"(buf[k])); /* readable */
}
static const struct chardev_ops chr_ops = {.write = chr_write};
static void net_send(struct netdev *n, const u8 *frame, size_t len)
{
    chr_write(NULL, frame, len);
}
static const struct netdev_ops net_ops = {.send = net_send};

/* Sockets: what the device is promised and what it promises. */
static int vs_take(struct run *r)
{
    for (int k = 0; k < VSOCK_CONNS; k++) {
        if (!r->taken[k]) {
            r->taken[k] = true;
            r->under_way[k] = 0;
            return k;
        }
    }
    return -1;
}
static int vs_connect(struct vsock_host *h, u32 port)
{
    return port & 1 ? -1 : vs_take(container_of(h, struct run, vsock));
}
static void vs_send(struct vsock_host *h, int k, const u8 *buf, size_t len)
{
    struct run *r = container_of(h, struct run, vsock);
    MUST(r->taken[k] && len <= VSOCK_WINDOW - r->under_way[k]);
    r->under_way[k] += (u32)len;
    chr_write(NULL, buf, len);
}
static void vs_mine(struct vsock_host *h, int k)
{
    MUST(container_of(h, struct run, vsock)->taken[k]);
}
static void vs_resume(struct vsock_host *h, int k)
{
    vs_mine(h, k);
    h->recv(h->ctx, k, (const u8 *)"more", MIN(4u, h->space(h->ctx, k)));
}
static void vs_close(struct vsock_host *h, int k)
{
    vs_mine(h, k);
    container_of(h, struct run, vsock)->taken[k] = false;
}
static const struct vsock_host_ops vs_ops = {.connect = vs_connect,
                                             .opened = vs_mine,
                                             .send = vs_send,
                                             .resume = vs_resume,
                                             .shutdown = vs_mine,
                                             .close = vs_close};

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *f)
{
    return f->level ? remove(path) : 0;
}

/* A folder for the shared files: made once, as at the start before every run. */
static const char *share(void)
{
    static char dir[] = "/tmp/trivisor-fuzz-XXXXXX";
    static bool made;
    char path[64];
    if (!made) {
        MUST(mkdtemp(dir));
        made = true;
    }
    nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    snprintf(path, sizeof(path), "%s/sub", dir);
    mkdir(path, 0755);
    snprintf(path, sizeof(path), "%s/link", dir);
    MUST(symlink("..", path) == 0);
    snprintf(path, sizeof(path), "%s/file", dir);
    FILE *f = fopen(path, "w");
    MUST(f);
    fputs("0123456789", f);
    fclose(f);
    return dir;
}

static void remove_share(void)
{
    nftw(share(), remove_one, 8, FTW_DEPTH | FTW_PHYS);
    rmdir(share());
}

static struct virtio_dev *make(struct run *r, int device, int how)
{
    static const u8 mac[6] = {0x52, 0x54, 0, 1, 2, 3};
    struct virtio_console_port port[] = {{&r->chr[0], NULL, true}, {&r->chr[1], "name", false}};
    struct virtio_dev *v;
    struct block *b;
    switch (device) {
    case BLK:
        b = block_new_mem(128 * 1024);
        b->readonly = how & READONLY;
        return virtio_blk_new(&(struct virtio_blk_config){.block = b, .serial = "x", .queues = 2});
    case RNG:
        return virtio_rng_new(true);
    case CONSOLE:
        r->chr[0].ops = r->chr[1].ops = &chr_ops;
        return virtio_console_new(port, 2);
    case P9:
        MUST(virtio_9p_new(share(), "x", how & READONLY, &v, NULL) == ST_OK);
        return v;
    case KEYBOARD:
        return virtio_input_new(VIRTIO_KEYBOARD);
    case TABLET:
        return virtio_input_new(VIRTIO_TABLET);
    case BALLOON:
        return virtio_balloon_new();
    case VSOCK:
        r->vsock.ops = &vs_ops;
        return virtio_vsock_new(3, &r->vsock);
    default:
        r->net.ops = &net_ops;
        return virtio_net_new(mac, &r->net);
    }
}

static void host_input(struct run *r, int device)
{
    u8 buf[256];
    size_t n = take(r, 1);
    struct chardev *c = &r->chr[n & 1];
    for (size_t k = 0; k < n; k++)
        buf[k] = (u8)take(r, 1);
    if (device == CONSOLE) {
        c->recv(c->ctx, buf, MIN(n, c->space(c->ctx)));
    } else if (device == KEYBOARD) {
        struct input_sink *s = virtio_input_sink(r->v);
        s->key(s->ctx, (u16)take(r, 2), n & 1);
    } else if (device == TABLET) {
        struct input_sink *s = virtio_input_sink(r->v);
        s->tablet(s->ctx, (u32)take(r, 2), (u32)take(r, 2), (int)take(r, 1), (u32)take(r, 1));
    } else if (device == BALLOON) {
        virtio_balloon_set(r->v, take(r, 4));
        virtio_balloon_refresh(r->v);
    } else if (device == VSOCK) {
        struct vsock_host *h = &r->vsock;
        int k = (int)take(r, 1) % VSOCK_CONNS;
        u32 part = r->under_way[k] / 2 + (r->under_way[k] & 1);
        if (n & 64) {
            k = vs_take(r);
            if (k >= 0 && !h->accept(h->ctx, k, (u32)take(r, 1)))
                r->taken[k] = false;
        } else if (r->taken[k] && (n & 32)) {
            h->eof(h->ctx, k);
        } else if (r->taken[k] && (n & 16)) {
            r->under_way[k] -= part;
            h->sent(h->ctx, k, part);
        } else if (r->taken[k]) {
            h->recv(h->ctx, k, buf, MIN(n, h->space(h->ctx, k)));
        }
    } else if (device == NET && n >= NET_FRAME_MIN && r->net.can_receive(r->net.ctx)) {
        r->net.recv(r->net.ctx, buf, n);
    }
}

/* ---- the guest's side
 * ----------------------------------------------------------------------------- */
static u64 ring(int q, int part)
{
    return QUEUE_AT + (u64)q * QUEUE_STEP + (u64)part * 0x100;
}

/* What a well-behaved driver does before the first request. */
static void good_start(struct run *r, int how)
{
    struct virtio_dev *v = r->v;
    virtio_set_status(v, 3);
    u64 f = how & NO_EVENT ? v->offered & ~BIT64(VIRTIO_F_EVENT_IDX) : v->offered;
    virtio_set_features(v, 0, (u32)f);
    virtio_set_features(v, 1, (u32)(f >> 32));
    virtio_set_status(v, 11);
    for (int q = 0; q < v->queues && q < RINGS; q++) {
        virtq_set_size(v, (u32)q, 16);
        v->regs[q].desc = ring(q, 0);
        v->regs[q].avail = ring(q, 1);
        v->regs[q].used = ring(q, 2);
        virtq_enable(v, (u32)q, true);
    }
    virtio_set_status(v, 15);
    v->dma = true;
}

static void attach(struct run *r, int how)
{
    r->mem = space_new("memory", BIT64(40));
    r->ports = space_new("ports", 65536);
    MUST(ram_new(RAM, &r->ram, NULL) == ST_OK);
    space_map_ram(r->mem, 0, RAM, r->ram, 0, MAP_RW, 0);
    if (!(how & PCI)) {
        r->t = virtio_mmio_new(r->mem, MMIO, (struct irq){0}, r->v);
        return;
    }
    r->bus = pci_bus_new(r->mem, r->ports);
    r->t = virtio_pci_new(r->bus, PCI_DEVFN(3, 0), r->mem, r->v);
    struct pci_device *f = pci_find(r->bus, PCI_DEVFN(3, 0));
    pci_config_write(f, 0x10, IO, 4);
    pci_config_write(f, 0x14, MSIX, 4);
    pci_config_write(f, 0x20, BAR, 4);
    pci_config_write(f, PCI_COMMAND, 7, 2);
}

static void guest_access(struct run *r, int how)
{
    u32 kind = (u32)take(r, 1);
    u64 off = take(r, 2), val = take(r, 4);
    int size = 1 << (kind & 3);
    struct space *sp = r->mem;
    gpa at = how & PCI ? (kind & 16 ? MSIX + (off & 0xfff) : BAR + (off & 0x3fff))
                       : MMIO + (off & (VIRTIO_MMIO_SIZE - 1));
    if ((how & PCI) && (kind & 8)) {
        sp = r->ports;
        at = IO + (off & 0xff);
    }
    if ((how & PCI) && (kind & 32)) { /* configuration space */
        space_write(r->ports, 0xcf8, 0x80000000 | 3 << 11 | (off & 0xfc), 4);
        sp = r->ports;
        at = 0xcfc;
        size = MIN(size, 4);
    }
    if (kind & 4)
        space_write(sp, at, val, size);
    else
        space_read(sp, at, size);
}

static void request(struct run *r)
{
    u32 q = (u32)take(r, 1) % RINGS, n = (u32)take(r, 1) % 4 + 1;
    u8 *ram = r->ram->base;
    for (u32 k = 0; k < n; k++) {
        u8 *d = ram + ring((int)q, 0) + 16 * k;
        u32 flags = (u32)take(r, 1);
        st_u64(d, take(r, 2) & 0x7fff);
        st_u32(d + 8, (u32)take(r, 2));
        st_u16(d + 12, (u16)((flags & 6) | (k + 1 < n)));
        st_u16(d + 14, (u16)(k + 1));
    }
    u8 *a = ram + ring((int)q, 1);
    st_u16(a + 4 + 2 * (r->avail[q] % 16), 0);
    st_u16(a + 2, ++r->avail[q]);
    virtio_kick(r->v, q);
}

static void memory(struct run *r)
{
    u32 at = (u32)take(r, 2), n = (u32)take(r, 1);
    for (u32 k = 0; k < n; k++)
        r->ram->base[(at + k) % RAM] = (u8)take(r, 1);
}

static void hostile_state(struct run *r, struct device *d)
{
    u32 skip = (u32)take(r, 1) % 16;
    const struct field *f = d->ops->state;
    while (f->name && skip--)
        f++;
    if (!f->name)
        return;
    u8 *to = (u8 *)d + f->offset;
    u32 n = MIN(f->size * f->count, 64u);
    for (u32 k = 0; k < n; k++)
        to[k] = f->type == FIELD_BOOL ? take(r, 1) & 1 : (u8)take(r, 1);
    r->v->dev.ops->loaded(&r->v->dev);
    r->t->ops->loaded(r->t);
}

static void check_promises(const struct virtio_dev *v)
{
    MUST(!(v->features & ~v->offered));
    for (int q = 0; q < v->queues; q++) {
        const struct virtq_regs *g = &v->regs[q];
        MUST(is_pow2(g->size) && g->size <= v->queue_max);
        MUST(!g->ready || !((g->desc & 15) || (g->avail & 1) || (g->used & 3)));
    }
}

/* TRIVISOR_FUZZ_DEVICE=N: that one only, whatever the input says. */
static int which_device(struct run *r)
{
    static int only = -2;
    int device = (int)take(r, 1) % DEVICES;
    if (only == -2) {
        const char *s = getenv("TRIVISOR_FUZZ_DEVICE");
        only = s ? atoi(s) % DEVICES : -1;
    }
    return only >= 0 ? only : device;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    static bool registered;
    struct run r = {.p = data, .end = data + size};
    if (!registered)
        atexit(remove_share);
    registered = true;
    int device = which_device(&r), how = (int)take(&r, 1);
    r.v = make(&r, device, how);
    attach(&r, how);
    if (!(how & START_NOT))
        good_start(&r, how);
    for (int steps = 0; r.p < r.end && steps < 400; steps++) {
        switch (take(&r, 1) % 8) {
        case 0:
            guest_access(&r, how);
            break;
        case 1:
            memory(&r);
            break;
        case 2:
        case 3:
            request(&r);
            break;
        case 4:
            virtio_kick(r.v, (u32)take(&r, 1) % 40);
            break;
        case 5:
            host_input(&r, device);
            break;
        case 6:
            hostile_state(&r, take(&r, 1) & 1 ? r.t : &r.v->dev);
            break;
        case 7:
            if (take(&r, 1) == 7) {
                device_reset(&r.v->dev);
                device_reset(r.t);
                good_start(&r, how);
                memset(r.avail, 0, sizeof(r.avail));
                memset(r.ram->base + QUEUE_AT, 0, RAM - QUEUE_AT);
            }
            break;
        }
        check_promises(r.v);
    }
    device_destroy(r.t);
    device_destroy(&r.v->dev);
    device_destroy(r.bus);
    space_free(r.mem);
    space_free(r.ports);
    ram_free(r.ram);
    return 0;
}
