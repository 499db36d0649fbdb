/*
 * bus/backend.h - what a device sees of the host: disks, byte streams, a screen, keys.
 *
 * You are here: frontends/ (or machine/) implements these, devices use them. All calls are made
 * on the VM's thread; host threads hand input over through bus/inbox.h.
 */
#ifndef BUS_BACKEND_H
#define BUS_BACKEND_H

#include "base/status.h"
#include "base/types.h"

/* ---- block: a disk, CD or floppy image ---------------------------------------------------- */
struct block;
struct block_ops {
    /* [off, off+len) is inside the image; the wrappers below check. */
    enum status (*read)(struct block *b, u64 off, void *buf, size_t len);
    enum status (*write)(struct block *b, u64 off, const void *buf, size_t len);
    enum status (*flush)(struct block *b); /* durable on return */
    void (*close)(struct block *b);        /* frees b */
};
struct block {
    const struct block_ops *ops;
    u64 size; /* bytes; fixed while open */
    bool readonly;
    char name[256]; /* for messages: the file's name */
};

/* ST_RANGE outside the image, ST_ACCESS for writes to a read-only one, ST_IO from the host. */
enum status block_read(struct block *b, u64 off, void *buf, size_t len);
enum status block_write(struct block *b, u64 off, const void *buf, size_t len);
enum status block_flush(struct block *b);
void block_close(struct block *b); /* NULL is allowed */

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

/* ---- keyboard and mouse -------------------------------------------------------------------- */
/* Keys are USB HID usage codes of page 7 (as SDL scancodes are): 4 = A ... 0xe7 = right GUI. */
struct input_sink {
    void *ctx;
    void (*key)(void *ctx, u16 hid_usage, bool down);
    /* Relative motion in counts (+x right, +y down), wheel (+1 up), buttons bit 0 left, 1 right,
     * 2 middle: the whole state. */
    void (*mouse)(void *ctx, int dx, int dy, int wheel, u32 buttons);
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
};

#endif
