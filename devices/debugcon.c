/*
 * devices/debugcon.c - debug console on ports 0xe9 (Bochs) and 0x402 (SeaBIOS, OVMF).
 *
 * What it is: an output port that always takes a byte. What it is not: input, or anything with
 * state. Wide and string accesses come as single bytes.
 *
 * Manual: Bochs user manual, "port_e9_hack".
 */
#include "devices/debugcon.h"
#include "base/log.h"
#include "bus/space.h"
#include <stdlib.h>

struct debugcon {
    struct device dev;
    struct chardev *chr;
};

static u64 debugcon_peek(struct device *d, int region, u64 off, int size)
{
    return 0xe9;
}

static void debugcon_write(struct device *d, int region, u64 off, u64 val, int size)
{
    u8 byte = (u8)val;
    chardev_write(((struct debugcon *)d)->chr, &byte, 1);
}

static void debugcon_destroy(struct device *d)
{
    free(d);
}

static const struct field debugcon_state[] = {FIELD_END};

static const struct device_ops debugcon_ops = {
    .name = "debugcon",
    .read = debugcon_peek,
    .write = debugcon_write,
    .peek = debugcon_peek,
    .state = debugcon_state,
    .destroy = debugcon_destroy,
};

struct device *debugcon_new(struct space *ports, struct chardev *chr)
{
    struct debugcon *s = calloc(1, sizeof(*s));
    CHECK(s);
    s->dev.ops = &debugcon_ops;
    s->chr = chr;
    space_map_io(ports, 0xe9, 1, &s->dev, 0, 1, 0);
    space_map_io(ports, 0x402, 1, &s->dev, 0, 1, 0);
    return &s->dev;
}
