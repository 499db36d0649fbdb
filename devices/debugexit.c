/*
 * devices/debugexit.c - debug exit port, as isa-debug-exit at its usual place has it.
 *
 * What it is: one hook. What it is not: a power-off; that is ACPI's. An OUT of any width at 0x501
 * counts once, by its low byte: only the first byte's offset acts.
 *
 * Manual: none; the convention of kernel test suites (exit status v << 1 | 1).
 */
#include "devices/debugexit.h"
#include "base/log.h"
#include "bus/space.h"
#include <stdlib.h>

struct debugexit {
    struct device dev;
    debugexit_fn *fn;
    void *ctx;
};

static u64 debugexit_peek(struct device *d, int region, u64 off, int size)
{
    return 0;
}

static void debugexit_write(struct device *d, int region, u64 off, u64 val, int size)
{
    struct debugexit *s = (struct debugexit *)d;
    if (off == 0 && s->fn)
        s->fn(s->ctx, (int)((val << 1 | 1) & 0xff));
}

static void debugexit_destroy(struct device *d)
{
    free(d);
}

static const struct field debugexit_state[] = {FIELD_END};

static const struct device_ops debugexit_ops = {
    .name = "debugexit",
    .read = debugexit_peek,
    .write = debugexit_write,
    .peek = debugexit_peek,
    .state = debugexit_state,
    .destroy = debugexit_destroy,
};

struct device *debugexit_new(struct space *ports, debugexit_fn *fn, void *ctx)
{
    struct debugexit *s = calloc(1, sizeof(*s));
    CHECK(s);
    s->dev.ops = &debugexit_ops;
    s->fn = fn;
    s->ctx = ctx;
    space_map_io(ports, 0x501, 4, &s->dev, 0, 4, 0);
    return &s->dev;
}
