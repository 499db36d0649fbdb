/*
 * devices/post.c - POST code latch at port 0x80.
 *
 * What it is: one byte that reads back; kernels also write it to pass a microsecond. What it is
 * not: a delay.
 *
 * Manual: Intel 82371SB (PIIX3) 2.5.1.12, "reserved page registers".
 */
#include "devices/post.h"
#include "base/log.h"
#include "bus/space.h"
#include <stdlib.h>

struct post {
    struct device dev;
    u8 code;
};

static u64 post_peek(struct device *d, int region, u64 off, int size)
{
    return ((struct post *)d)->code;
}

static void post_write(struct device *d, int region, u64 off, u64 val, int size)
{
    ((struct post *)d)->code = (u8)val;
}

u8 post_code(const struct device *d)
{
    return ((const struct post *)d)->code;
}

static void post_reset(struct device *d)
{
    ((struct post *)d)->code = 0;
}

static void post_destroy(struct device *d)
{
    free(d);
}

static const struct field post_state[] = {FIELD_U(struct post, code), FIELD_END};

static const struct device_ops post_ops = {
    .name = "post",
    .reset = post_reset,
    .read = post_peek,
    .write = post_write,
    .peek = post_peek,
    .state = post_state,
    .destroy = post_destroy,
};

struct device *post_new(struct space *ports)
{
    struct post *s = calloc(1, sizeof(*s));
    CHECK(s);
    s->dev.ops = &post_ops;
    space_map_io(ports, 0x80, 1, &s->dev, 0, 1, 0);
    return &s->dev;
}
