/*
 * devices/portf0.c - coprocessor error ports F0h, F1h.
 *
 * Manual: Intel 82371SB (PIIX3), 2.5.5 (coprocessor error register). F1h, the 286's coprocessor
 * reset, does the same here.
 */
#include "devices/portf0.h"
#include "base/log.h"
#include "bus/space.h"
#include <stdlib.h>

struct portf0 {
    struct device dev;
    void (*clear)(void *);
    void *ctx;
};

static u64 portf0_read(struct device *d, int region, u64 off, int size)
{
    return 0xff;
}

static void portf0_write(struct device *d, int region, u64 off, u64 val, int size)
{
    struct portf0 *s = (struct portf0 *)d;
    s->clear(s->ctx);
}

static void portf0_destroy(struct device *d)
{
    free(d);
}

static const struct device_ops portf0_ops = {
    .name = "portf0",
    .read = portf0_read,
    .write = portf0_write,
    .peek = portf0_read,
    .destroy = portf0_destroy,
};

struct device *portf0_new(struct space *ports, void (*clear)(void *ctx), void *ctx)
{
    struct portf0 *s = calloc(1, sizeof(*s));
    CHECK(s);
    s->dev.ops = &portf0_ops;
    s->clear = clear;
    s->ctx = ctx;
    space_map_io(ports, 0xf0, 2, &s->dev, 0, 1, 0);
    return &s->dev;
}
