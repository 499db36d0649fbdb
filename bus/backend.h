/*
 * bus/backend.h - what a device sees of the host: disks, byte streams, networks, screen, keys,
 * sound.
 *
 * You are here: frontends/ (or machine/) implements these, devices use them. All calls are made
 * on the VM's thread; host threads hand input over through bus/inbox.h.
 */
#ifndef BUS_BACKEND_H
#define BUS_BACKEND_H

#include "base/status.h"
#include "base/types.h"

#include <sys/uio.h>

/* ---- block: a disk, CD or floppy image ---------------------------------------------------- */
struct block;

/* Writes to an image that are kept in memory instead: address space of the image's size, of which
 * only written 4 KiB chunks cost memory. Chunk c is bytes[c * 4096...], and bit c % 8 of
 * have[c / 8] says that it was written. */
enum { BLOCK_CHUNK = 4096 };
struct block_kept {
    u64 size; /* bytes of the image */
    u8 *bytes, *have;
};
/* Nothing is written yet. False: no memory. */
bool block_kept_init(struct block_kept *k, u64 size);
void block_kept_fini(struct block_kept *k); /* twice is harmless */
static inline bool block_kept_has(const struct block_kept *k, u64 chunk)
{
    return k->have[chunk / 8] >> (chunk % 8) & 1;
}
static inline void block_kept_mark(struct block_kept *k, u64 chunk)
{
    k->have[chunk / 8] |= (u8)(1 << (chunk % 8));
}

struct block_ops {
    /* [off, off+len) is inside the image; the wrappers below check. */
    enum status (*read)(struct block *b, u64 off, void *buf, size_t len);
    enum status (*write)(struct block *b, u64 off, const void *buf, size_t len);
    enum status (*flush)(struct block *b); /* durable on return */
    void (*close)(struct block *b);        /* frees b */
    /* These may be NULL, and are done without then. iov: n segments of len bytes together. */
    enum status (*readv)(struct block *b, u64 off, const struct iovec *iov, int n, u64 len);
    enum status (*writev)(struct block *b, u64 off, const struct iovec *iov, int n, u64 len);
    enum status (*discard)(struct block *b, u64 off, u64 len);
    /* readv if that needs no waiting for the storage; ST_BUSY: it would, or cannot be known. */
    enum status (*try_readv)(struct block *b, u64 off, const struct iovec *iov, int n, u64 len);
    /* ST_UNSUP: not that way here; zeros are written then. */
    enum status (*zero)(struct block *b, u64 off, u64 len, bool unmap);
    /* What changes whenever the image's contents do (but by writes that are kept), however they are
     * reached: the time of the last write in ns, as the host tells it. NULL: nobody knows. */
    u64 (*changed)(struct block *b);
    /* The writes kept in memory, all of them; whoever exchanges them changes the image. NULL, or
     * returns NULL: writes go to the image. */
    struct block_kept *(*kept)(struct block *b);
};
struct block {
    const struct block_ops *ops;
    u64 size; /* bytes; fixed while open */
    bool readonly;
    bool waits; /* its calls may wait for storage or for another process; any one thread at a time
                 * may make them, and try_readv a second */
    char name[256]; /* for messages: the file's name */
};

/* ST_RANGE outside the image, ST_ACCESS for writes to a read-only one, ST_IO from the host. */
enum status block_read(struct block *b, u64 off, void *buf, size_t len);
enum status block_write(struct block *b, u64 off, const void *buf, size_t len);
enum status block_flush(struct block *b);
/* The same for n segments (1..1024) one after the other; nothing is done when any lies outside. */
enum status block_readv(struct block *b, u64 off, const struct iovec *iov, int n);
enum status block_writev(struct block *b, u64 off, const struct iovec *iov, int n);
/* block_readv() without waiting; ST_BUSY: that cannot be done. The segments may be changed then. */
enum status block_try_readv(struct block *b, u64 off, const struct iovec *iov, int n);
/* The bytes are no longer needed: a hint, what they read as afterwards is anything. */
enum status block_discard(struct block *b, u64 off, u64 len);
/* The bytes become zeros; unmap: may become a hole in the file. */
enum status block_zero(struct block *b, u64 off, u64 len, bool unmap);
void block_close(struct block *b);  /* NULL is allowed */
u64 block_changed(struct block *b); /* 0: nobody knows */
struct block_kept *block_kept(struct block *b);

/* A raw image file or host block device. snapshot: writes stay in memory and are lost at close.
 * Locked (ST_BUSY): one writer, or any number of readers; a snapshot is a reader. Size 0 or not a
 * regular file/block device: ST_FORMAT. A length that is no multiple of 512 is rounded up; the
 * missing bytes read as zeros. */
enum status block_open_raw(const char *path, bool readonly, bool snapshot, struct block **out,
                           struct error *err);
/* An image in memory: `size` bytes, zero-filled; for tests and scratch disks. NULL: no memory. */
struct block *block_new_mem(u64 size);

/* ---- chardev: a byte stream (serial port, debug console, monitor) -------------------------- */
struct chardev;
struct chardev_ops {
    /* From the guest to the host. Never blocks for long; what cannot be delivered is dropped. */
    void (*write)(struct chardev *c, const u8 *buf, size_t len);
    /* The device can take input again (it was full). May be NULL. */
    void (*resume)(struct chardev *c);
    void (*close)(struct chardev *c);
};
struct chardev {
    const struct chardev_ops *ops;
    /* The device's side. space: how many bytes recv will take now. */
    size_t (*space)(void *ctx);
    void (*recv)(void *ctx, const u8 *buf, size_t len);
    void (*brk)(void *ctx); /* a break condition arrives; NULL: the device knows none */
    void *ctx;
};
static inline void chardev_write(struct chardev *c, const u8 *buf, size_t len)
{
    if (c && c->ops->write)
        c->ops->write(c, buf, len);
}
static inline void chardev_resume(struct chardev *c)
{
    if (c && c->ops->resume)
        c->ops->resume(c);
}

/* ---- network: one cable -------------------------------------------------------------------- */
/* Frames are whole Ethernet frames from the destination address on, without the check sequence:
 * NET_FRAME_MIN to NET_FRAME_MAX bytes, at most 1500 of payload and room for one VLAN tag; more on
 * a cable whose mtu says so (netdev_frame_max(), never above NET_JUMBO_MAX). A card need not take,
 * nor send, frames above NET_FRAME_MAX. A device that can segment or sum (TSO, checksum offload)
 * does so before it sends: the cable carries what a real one would. Padding to 60 bytes is nobody's
 * duty.
 *
 * All calls in both directions come on the VM's thread, and none blocks. A back end that has
 * threads hands frames over by vm_post(), and keeps those the device has no room for (a bounded
 * number, then it drops: Ethernet loses frames) until resume(). recv() is not called from inside
 * send(); the back end may call recv() from inside resume(), and the device may call send() from
 * inside recv(). */
enum { NET_FRAME_MIN = 14, NET_FRAME_MAX = 1518 };
enum { NET_MTU_MIN = 68, NET_MTU = 1500, NET_MTU_MAX = 65535 };
enum { NET_FRAME_EXTRA = 14 + 4, NET_JUMBO_MAX = NET_MTU_MAX + NET_FRAME_EXTRA };

struct netdev;
struct netdev_ops {
    /* A frame of the guest's goes out; one of the wrong size is dropped. Valid during the call. */
    void (*send)(struct netdev *n, const u8 *frame, size_t len);
    /* The device can receive again after can_receive() was false. May be NULL. */
    void (*resume)(struct netdev *n);
    void (*close)(struct netdev *n); /* frees n; the machine is gone or has never been */
};
struct netdev {
    const struct netdev_ops *ops;
    bool link_down; /* the cable is out: the back end sets it before it calls link() */
    u16 mtu; /* most payload of a frame, for cards that can say so; 0: nobody said, it is NET_MTU.
                The back end sets it before the card is made; not below NET_MTU_MIN */
    char name[64]; /* for messages: "user", "tap tap0" */
    /* The device's side, set when it is made; NULL after it is gone. */
    bool (*can_receive)(void *ctx); /* has room for one frame of any size */
    /* A frame for the guest, when can_receive(). The device filters by address. */
    void (*recv)(void *ctx, const u8 *frame, size_t len);
    void (*link)(void *ctx); /* link_down changed. NULL: the device does not mind */
    void *ctx;
};
/* The longest frame of this cable. An mtu below NET_MTU binds who was told of it, not the cable. */
static inline u32 netdev_frame_max(const struct netdev *n)
{
    return n && n->mtu > NET_MTU ? (u32)n->mtu + NET_FRAME_EXTRA : NET_FRAME_MAX;
}
static inline void netdev_send(struct netdev *n, const u8 *frame, size_t len)
{
    if (n && n->ops->send && len >= NET_FRAME_MIN && len <= netdev_frame_max(n))
        n->ops->send(n, frame, len);
}
static inline void netdev_resume(struct netdev *n)
{
    if (n && n->ops->resume)
        n->ops->resume(n);
}
static inline void netdev_close(struct netdev *n) /* NULL is allowed */
{
    if (n)
        n->ops->close(n);
}

/* ---- vsock: connections between guest and host, by port -------------------------------------- */
/* A connection is a number below VSOCK_CONNS that the host's side gives out; it is free again after
 * close(), or after accept() returned false. Bytes are neither lost nor doubled. */
enum { VSOCK_CONNS = 64, VSOCK_WINDOW = 65536 };

struct vsock_host;
struct vsock_host_ops {
    int (*connect)(struct vsock_host *h, u32 port); /* the guest calls; -1: refused */
    void (*opened)(struct vsock_host *h, int conn); /* the guest has answered accept() */
    /* From the guest. The host's side has room for VSOCK_WINDOW bytes that have not left. */
    void (*send)(struct vsock_host *h, int conn, const u8 *buf, size_t len);
    void (*resume)(struct vsock_host *h, int conn);   /* there is space() again */
    void (*shutdown)(struct vsock_host *h, int conn); /* the guest sends no more */
    void (*close)(struct vsock_host *h, int conn);
};
struct vsock_host {
    const struct vsock_host_ops *ops;
    /* The device's side; NULL before it is made and after it is gone. */
    bool (*accept)(void *ctx, int conn, u32 port); /* the host calls the guest; false: refused */
    size_t (*space)(void *ctx, int conn);          /* bytes that recv takes */
    void (*recv)(void *ctx, int conn, const u8 *buf, size_t len);
    void (*sent)(void *ctx, int conn, size_t len); /* so many of the guest's bytes have left */
    void (*eof)(void *ctx, int conn); /* the host's side sends no more and takes no more */
    void *ctx;
};

/* ---- sound ------------------------------------------------------------------------------------
 */
/* One chip's way to the machine's mixer (machine/mixer.h), which makes it and calls upto(). The
 * sound's time is the machine's clock: what is pushed says when it begins, and what begins where
 * the frames before it ended goes on without a seam. */
struct voice;
struct voice_ops {
    void (*push)(struct voice *v, u64 at, u32 rate, const i16 *frames, size_t n);
};
enum { VOICE_RATE_MIN = 3900000, VOICE_FULL = 65536 };
struct voice {
    const struct voice_ops *ops;
    u32 left, right; /* volume, 0..VOICE_FULL; the chip's, at any time */
    /* The chip's side, set when it is made; NULL: nothing yet, or gone. upto: push what there is
     * until now (ns of the clock) and say until when all has been: less than now when the chip
     * waits for its guest and will catch up. */
    u64 (*upto)(void *ctx, u64 now);
    void *ctx;
};
/* n frames of a left and a right sample each, the first at `at` (ns), `rate` of them in 1000 s
 * (from VOICE_RATE_MIN up). v may be NULL: nobody listens. */
static inline void voice_push(struct voice *v, u64 at, u32 rate, const i16 *frames, size_t n)
{
    if (v)
        v->ops->push(v, at, rate, frames, n);
}

/* Where the mixer's sum goes: AUDIO_RATE frames (left, right) a second of the machine's clock, all
 * of them, silence too, in portions of a few ms. Never blocks. VM's thread. */
enum { AUDIO_RATE = 48000 };
struct audio_sink;
struct audio_sink_ops {
    void (*play)(struct audio_sink *s, const i16 *frames, size_t n);
};
struct audio_sink {
    const struct audio_sink_ops *ops;
};

/* ---- keyboard and mouse -------------------------------------------------------------------- */
/* Keys are USB HID usage codes of page 7 (as SDL scancodes are): 4 = A ... 0xe7 = right GUI. */
struct input_sink {
    void *ctx;
    void (*key)(void *ctx, u16 hid_usage, bool down);
    /* Relative motion in counts (+x right, +y down), wheel (+1 up), buttons bit 0 left, 1 right,
     * 2 middle: the whole state. */
    void (*mouse)(void *ctx, int dx, int dy, int wheel, u32 buttons);
    /* The pointer's place on the screen, 0..32767 each way, for guests that have a tablet: while
     * absolute() says that they listen to it, else mouse() is what moves their pointer. Both are
     * NULL where there is none. */
    void (*tablet)(void *ctx, u32 x, u32 y, int wheel, u32 buttons);
    bool (*absolute)(void *ctx);
};

/* ---- screen -------------------------------------------------------------------------------- */
/* What a display adapter can be asked for. Pixels are 0x00RRGGBB. */
struct screen {
    void *ctx;
    /* Text mode: fills cols, rows and returns cells of (char | attribute << 8), row-major, valid
     * until the next call; NULL in graphics modes. */
    const u16 *(*text)(void *ctx, int *cols, int *rows, int *cursor_x, int *cursor_y);
    /* Renders into pixels when it is at least the current size; always fills width and height.
     * Returns whether anything changed since the last call. */
    bool (*render)(void *ctx, u32 *pixels, size_t max_pixels, int *width, int *height);
    /* For one who looks out of turn: the next render() says that something changed. */
    bool stale;
};

#endif
