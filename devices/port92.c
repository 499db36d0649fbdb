/*
 * devices/port92.c - PS/2 system control port A.
 *
 * What it is: bit 0 resets the CPU when it goes from 0 to 1, bit 1 is A20. What it is not: the
 * password latch and the disk lamps of a PS/2; those bits read 0.
 *
 * Manual: Intel 82371SB (PIIX3) 2.5.8, "Port 92".
 */
#include "devices/port92.h"
#include "base/log.h"
#include "bus/space.h"
#include <stdlib.h>

enum { FAST_INIT = 0x01, FAST_A20 = 0x02 };

struct port92 {
    struct device dev;
    struct irq reset, a20;
    u8 val;
};

static u64 port92_peek(struct device *d, int region, u64 off, int size)
{
    return ((struct port92 *)d)->val;
}

static void port92_write(struct device *d, int region, u64 off, u64 val, int size)
{
    struct port92 *s = (struct port92 *)d;
    bool reset = (val & FAST_INIT) && !(s->val & FAST_INIT);
    s->val = val & (FAST_INIT | FAST_A20);
    irq_set(&s->a20, s->val & FAST_A20);
    if (reset)
        irq_pulse(&s->reset);
}

void port92_note_a20(struct device *d, bool on)
{
    struct port92 *s = (struct port92 *)d;
    s->val = (u8)((s->val & FAST_INIT) | (on ? FAST_A20 : 0));
}

static void port92_reset(struct device *d)
{
    struct port92 *s = (struct port92 *)d;
    s->val = FAST_A20; /* the keyboard controller has the gate open at reset */
}

static bool port92_loaded(struct device *d)
{
    ((struct port92 *)d)->val &= FAST_INIT | FAST_A20;
    return true;
}

static void port92_destroy(struct device *d)
{
    free(d);
}

static const struct field port92_state[] = {FIELD_U(struct port92, val), FIELD_END};

static const struct device_ops port92_ops = {
    .name = "port92",
    .reset = port92_reset,
    .read = port92_peek,
    .write = port92_write,
    .peek = port92_peek,
    .state = port92_state,
    .loaded = port92_loaded,
    .destroy = port92_destroy,
};

struct device *port92_new(struct space *ports, struct irq reset, struct irq a20)
{
    struct port92 *s = calloc(1, sizeof(*s));
    CHECK(s);
    s->dev.ops = &port92_ops;
    s->reset = reset;
    s->a20 = a20;
    port92_reset(&s->dev);
    space_map_io(ports, 0x92, 1, &s->dev, 0, 1, 0);
    return &s->dev;
}
