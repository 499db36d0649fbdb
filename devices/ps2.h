/*
 * devices/ps2.h - the cable between a keyboard controller port and a PS/2 keyboard or mouse.
 *
 * You are here: ps2_keyboard.c and ps2_mouse.c embed a struct ps2_port; i8042.c takes bytes out of
 * it when it likes (holding the clock line is not taking them) and writes bytes to the device.
 */
#ifndef DEVICES_PS2_H
#define DEVICES_PS2_H

#include "base/types.h"

#define PS2_QUEUE 64

struct ps2_port {
    /* The device's: a byte from the host; the queue went empty (may be NULL; it may
     * queue more, which the controller finds when it looks next). */
    void (*write)(struct ps2_port *p, u8 byte);
    void (*drained)(struct ps2_port *p);
    /* The controller's: the queue is not empty. NULL when not plugged in. */
    void (*ready)(void *ctx);
    void *ctx;
    u8 queue[PS2_QUEUE]; /* from the device to the host, oldest first */
    u8 len;
    u8 last; /* what was taken last, for the resend command */
};

static inline size_t ps2_room(const struct ps2_port *p)
{
    return PS2_QUEUE - p->len;
}

/* Queues a byte if there is room. The controller hears of it at ps2_flush(): it may take bytes, and
 * so call drained(), only when the device's state is whole. */
static inline void ps2_put(struct ps2_port *p, u8 byte)
{
    if (p->len < PS2_QUEUE)
        p->queue[p->len++] = byte;
}

static inline void ps2_flush(struct ps2_port *p)
{
    if (p->len && p->ready)
        p->ready(p->ctx);
}

/* Takes the oldest byte; the queue must not be empty. */
static inline u8 ps2_take(struct ps2_port *p)
{
    p->last = p->queue[0];
    p->len--;
    for (u8 i = 0; i < p->len; i++)
        p->queue[i] = p->queue[i + 1];
    if (!p->len && p->drained)
        p->drained(p);
    return p->last;
}

#endif
