/*
 * devices/virtio/virtio.h - virtio 1.x: what a device model is, its queues, and what a transport
 * does with it.
 *
 * You are here: one file a model (blk.c, rng.c, ...), which knows no transport; virtio_pci.c and
 * virtio_mmio.c, which know no model; virtio.c and virtq.c between them. Like all devices they
 * include base/, bus/ and devices/pci.h only. A model embeds `struct virtio_dev` first, so a
 * pointer to it is a `struct device *` too:
 *
 *     struct virtio_foo { struct virtio_dev v; ... };
 *     static const struct device_ops foo_dev = {.name = "virtio-foo", .reset = virtio_dev_reset,
 *         .state = foo_state, .loaded = virtio_dev_loaded, .destroy = foo_destroy};
 *     virtio_init(&s->v, &foo_dev, &foo_ops, 2, 256);
 *     s->v.offered |= BIT64(FOO_F_BAR);
 *
 * and is then given to one transport, which is a device of its own:
 *
 *     virtio_pci_new(bus, devfn, mem, &s->v) or virtio_mmio_new(mem, base, irq, &s->v)
 *
 * The board adds both to the machine (both have state) and frees the transport first.
 *
 * Queues are split rings with indirect descriptors and event indexes. A model takes a request with
 * virtq_pop(), moves bytes by its iovecs, gives it back with virtq_push() and, after one or many of
 * them, calls virtq_notify(). It does so in notify() or whenever it has news (all on the VM's
 * thread), and keeps no request beyond its return: what it cannot serve it gives back with
 * virtq_unpop(). So no request is under way when state is saved.
 *
 * Everything in the rings is the guest's and hostile: loops, addresses that are not plain RAM,
 * lengths of 0 or beyond 4 GiB, chains of more than VIRTQ_SEGS segments, device-writable segments
 * before readable ones make the device "broken": status bit DEVICE_NEEDS_RESET, a configuration
 * interrupt, and nothing more until the driver resets it. A model calls virtio_broken() for
 * requests that make no sense to it where its part of the specification has no error for them.
 *
 * Manual: Virtual I/O Device (VIRTIO) Version 1.2, sections 2 (facilities), 3 (initialisation).
 */
#ifndef DEVICES_VIRTIO_VIRTIO_H
#define DEVICES_VIRTIO_VIRTIO_H

#include "base/types.h"
#include "bus/device.h"
#include "bus/irq.h"

#include <sys/uio.h>

struct space;
struct ram;
struct virtio_dev;

enum {
    VIRTIO_QUEUES = 34, /* of one device, at most */
    VIRTQ_MAX = 1024,   /* entries of one ring, at most */
    VIRTQ_SEGS = 256,   /* segments of one request, at most */
    VIRTIO_CONFIG = 256 /* bytes of device configuration, at most */
};

/* Device ids (section 5). */
enum {
    VIRTIO_ID_NET = 1,
    VIRTIO_ID_BLOCK = 2,
    VIRTIO_ID_CONSOLE = 3,
    VIRTIO_ID_RNG = 4,
    VIRTIO_ID_BALLOON = 5,
    VIRTIO_ID_9P = 9,
    VIRTIO_ID_INPUT = 18,
    VIRTIO_ID_VSOCK = 19,
};

/* Status bits (2.1). */
enum {
    VIRTIO_S_ACKNOWLEDGE = 1,
    VIRTIO_S_DRIVER = 2,
    VIRTIO_S_DRIVER_OK = 4,
    VIRTIO_S_FEATURES_OK = 8,
    VIRTIO_S_NEEDS_RESET = 0x40,
    VIRTIO_S_FAILED = 0x80,
};

/* Feature bits that are not one device's (6). ACCESS_PLATFORM is never offered: addresses are
 * physical. */
enum {
    VIRTIO_F_NOTIFY_ON_EMPTY = 24, /* legacy */
    VIRTIO_F_ANY_LAYOUT = 27,      /* legacy */
    VIRTIO_F_INDIRECT_DESC = 28,
    VIRTIO_F_EVENT_IDX = 29,
    VIRTIO_F_VERSION_1 = 32,
};

/* ---- a device model ------------------------------------------------------------------------- */
struct virtio_dev_ops {
    u16 id;          /* VIRTIO_ID_* */
    u32 config_size; /* bytes of device configuration, <= VIRTIO_CONFIG */
    u32 pci_class;   /* 24 bits, for the PCI transport */

    /* Fills config_size zeroed bytes with the configuration as it is now. NULL: zeros. */
    void (*config)(struct virtio_dev *v, u8 *cfg);
    /* The guest wrote `size` bytes (1, 2, 4) at off, which lie inside. NULL: read-only. */
    void (*config_write)(struct virtio_dev *v, u32 off, u32 val, int size);
    /* The guest kicked queue q, which is ready and may be served. It may be empty. */
    void (*notify)(struct virtio_dev *v, int q);
    /* Reset by the driver or the machine; the rings are gone already. May be NULL. */
    void (*reset)(struct virtio_dev *v);
    /* The status register changed, by the driver; v->status is the new value. May be NULL. */
    void (*status)(struct virtio_dev *v, u8 old);
};

/* One ring, as the guest set it up and as far as it is served. Saved as bytes. */
struct virtq_regs {
    u64 desc, avail, used; /* guest-physical addresses of its three parts */
    u16 size;              /* entries, a power of 2 */
    u16 last_avail;        /* next entry of the available ring to take */
    u16 used_idx;          /* next entry of the used ring to fill */
    u16 signalled;         /* used_idx at the last decision on an interrupt ... */
    u8 signalled_valid;    /* ... if there was one */
    u8 ready;
    u8 zero[6];
};

struct virtqueue {
    struct virtio_dev *dev;
    struct virtq_regs *r;
    int index;
    u32 epoch; /* counts up when the queue starts or stops: requests taken before are void */
};

struct virtio_dev {
    struct device dev; /* the model's: reset, state, loaded, destroy */
    const struct virtio_dev_ops *ops;
    struct space *mem; /* where addresses point; the transport's wire */
    int queues;
    u16 queue_max;  /* entries of every ring before the driver chooses */
    u64 offered;    /* feature bits; set-up time */
    u64 features;   /* of them, what the driver accepted */
    u8 status;      /* VIRTIO_S_* */
    u32 generation; /* of the configuration */
    bool dma;       /* the transport lets the device reach memory */
    /* The transport's wire: tell the driver of used buffers in queue q, or (q = -1) that the
     * configuration or the status changed. */
    void (*irq)(void *ctx, int q);
    void *irq_ctx;
    struct virtq_regs regs[VIRTIO_QUEUES];
    struct virtqueue vq[VIRTIO_QUEUES];
};

/* First in a model's state table. */
#define VIRTIO_FIELDS(type, m)                                                                     \
    FIELD_U(type, m.features), FIELD_U(type, m.status), FIELD_U(type, m.generation),               \
        FIELD_BUF(type, m.regs)

/* Zeroes *v; offers VERSION_1, INDIRECT_DESC and EVENT_IDX. queues 1..VIRTIO_QUEUES; queue_max a
 * power of 2, at most VIRTQ_MAX. */
void virtio_init(struct virtio_dev *v, const struct device_ops *dev_ops,
                 const struct virtio_dev_ops *ops, int queues, u16 queue_max);

/* For the model's device_ops. */
void virtio_dev_reset(struct device *d);
bool virtio_dev_loaded(struct device *d); /* repairs what a restore left; never refuses */

/* Whether the driver accepted a feature. */
static inline bool virtio_has(const struct virtio_dev *v, int feature)
{
    return v->features >> feature & 1;
}

/* The driver is a legacy one (0.9.5): it did not accept VERSION_1. */
static inline bool virtio_is_legacy(const struct virtio_dev *v)
{
    return !virtio_has(v, VIRTIO_F_VERSION_1);
}

/* The device's configuration changed: next generation, and an interrupt once the driver runs. */
void virtio_config_changed(struct virtio_dev *v);

/* The guest broke the protocol: `why` goes to the guest log, see above. */
void virtio_broken(struct virtio_dev *v, const char *why);

/* ---- queues, for models -----------------------------------------------------------------------
 */
/* A request: segments the device reads (out), then segments it writes (in). Each is plain guest
 * RAM. The guest may change the bytes at any time: copy what is checked before it is used. */
struct virtq_elem {
    u16 head;
    int n_out, n_in;              /* n_out + n_in <= VIRTQ_SEGS */
    u64 out_len, in_len;          /* bytes; each at most 4 GiB */
    struct iovec *in;             /* iov + n_out */
    struct iovec iov[VIRTQ_SEGS]; /* n_out readable, then n_in writable */
    struct {
        struct ram *ram;
        u64 off;
    } at[VIRTQ_SEGS]; /* of the same segments, for dirty pages and code */
};

/* The driver has set the queue up and it may be served now. */
bool virtq_ready(const struct virtqueue *vq);
/* Takes the next request. False: none, or the queue may not be served, or it is broken. */
bool virtq_pop(struct virtqueue *vq, struct virtq_elem *e);
/* Puts the request taken last back: the next virtq_pop() finds it again. */
void virtq_unpop(struct virtqueue *vq);
/* Gives a request back. written: bytes from the start of the `in` segments that the device may have
 * written; they are marked dirty, so do this for all writes. Any order of requests. */
void virtq_push(struct virtqueue *vq, const struct virtq_elem *e, u64 written);
/* The same for a request of an epoch that is over: only what was written is noted. */
void virtq_drop(const struct virtq_elem *e, u64 written);
/* Interrupts the driver if there is something pushed that it wants to hear of. */
void virtq_notify(struct virtqueue *vq);
/* Whether a request is waiting (without taking it). */
bool virtq_pending(struct virtqueue *vq);

/* Copies from the out segments starting at byte off. Returns bytes copied (fewer at the end). */
size_t virtq_read(const struct virtq_elem *e, u64 off, void *buf, size_t len);
/* Copies into the in segments starting at byte off; say so in virtq_push(). */
size_t virtq_write(const struct virtq_elem *e, u64 off, const void *buf, size_t len);
/* Cuts [off, off+len) of n segments into out (room for n); returns how many. Clipped at the end. */
int virtq_slice(const struct iovec *iov, int n, u64 off, u64 len, struct iovec *out);

/* ---- for transports -----------------------------------------------------------------------------
 */
/* Wires: mem is where addresses point, irq as above. DMA is off until v->dma is set. */
void virtio_attach(struct virtio_dev *v, struct space *mem, void (*irq)(void *ctx, int q),
                   void *ctx);
/* The status register: 0 resets; FEATURES_OK sticks only if the features make sense. */
void virtio_set_status(struct virtio_dev *v, u8 status);
/* Bits that are not offered are dropped; nothing once FEATURES_OK is set. word 0 or 1. */
void virtio_set_features(struct virtio_dev *v, u32 word, u32 bits);
/* size 1, 2, 4 (reads beyond the end give zeros, writes there are dropped). */
u32 virtio_config_read(struct virtio_dev *v, u32 off, int size);
void virtio_config_write(struct virtio_dev *v, u32 off, u32 val, int size);
/* Ring set-up; q may be any number. A size that is 0, no power of 2 or too large is dropped. */
void virtq_set_size(struct virtio_dev *v, u32 q, u32 size);
void virtq_enable(struct virtio_dev *v, u32 q, bool on);
/* Legacy: the three parts lie one after the other from addr, the used ring aligned to align (a
 * power of 2); addr 0 disables. */
void virtq_set_legacy(struct virtio_dev *v, u32 q, u64 addr, u32 align);
/* A kick; q may be any number. */
void virtio_kick(struct virtio_dev *v, u32 q);

/* The transports. They own nothing but themselves; v outlives them. */
struct device *virtio_pci_new(struct device *bus, int devfn, struct space *mem,
                              struct virtio_dev *v);
/* Registers at [base, base + VIRTIO_MMIO_SIZE), version 2. irq: level-triggered. */
enum { VIRTIO_MMIO_SIZE = 0x200 };
struct device *virtio_mmio_new(struct space *mem, u64 base, struct irq irq, struct virtio_dev *v);

#endif
