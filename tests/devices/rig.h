/*
 * tests/devices/rig.h - what a device test needs: a port space, a clock that stands still, wires
 * that remember, and save and restore through a device's field table.
 */
#ifndef TESTS_DEVICES_RIG_H
#define TESTS_DEVICES_RIG_H

#include <criterion/criterion.h> /* first: it uses the name noreturn its own way */

#include "bus/clock.h"
#include "bus/device.h"
#include "bus/irq.h"
#include "bus/space.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A wire's far end: its level, and how often it rose. */
struct probe {
    bool level;
    u32 rises;
};

static inline void probe_set(void *ctx, int n, bool level)
{
    struct probe *p = ctx;
    if (level && !p->level)
        p->rises++;
    p->level = level;
}

static inline struct irq probe_irq(struct probe *p)
{
    return (struct irq){probe_set, p, 0};
}

struct rig {
    struct space *ports;
    struct clock *clk;
    struct probe irq, irq2;
};

static inline void rig_init(struct rig *r)
{
    *r = (struct rig){0};
    r->ports = space_new("ports", 65536);
    r->clk = clock_new(CLOCK_FAKE, 0);
}

static inline void rig_fini(struct rig *r)
{
    space_free(r->ports);
    clock_free(r->clk);
}

static inline u8 in8(struct rig *r, u16 port)
{
    return (u8)space_read(r->ports, port, 1);
}

static inline void out8(struct rig *r, u16 port, u8 val)
{
    space_write(r->ports, port, val, 1);
}

/* One step of a port script; ends with op 0. */
struct step {
    char op; /* 'w' write, 'r' read and compare under mask */
    u16 port;
    u8 val;
    u8 mask; /* 'r': 0 means 0xff */
};

static inline void run_steps(struct rig *r, const struct step *st)
{
    for (int i = 0; st[i].op; i++) {
        if (st[i].op == 'w') {
            out8(r, st[i].port, st[i].val);
            continue;
        }
        u8 mask = st[i].mask ? st[i].mask : 0xff, got = in8(r, st[i].port) & mask;
        cr_expect_eq(got, st[i].val, "step %d: port %x gave %02x, not %02x", i, st[i].port, got,
                     st[i].val);
    }
}

/* Copies every field of `from` to `to` (same chip) and calls loaded(). */
static inline bool clone_state(struct device *from, struct device *to)
{
    for (const struct field *f = from->ops->state; f && f->name; f++) {
        if (f->type == FIELD_TIMER) {
            struct timer *a = (struct timer *)((char *)from + f->offset);
            struct timer *b = (struct timer *)((char *)to + f->offset);
            if (timer_armed(a))
                timer_arm(b, a->when);
            else
                timer_disarm(b);
        } else {
            memcpy((char *)to + f->offset, (char *)from + f->offset, (size_t)f->size * f->count);
        }
    }
    return !to->ops->loaded || to->ops->loaded(to);
}

/* Overwrites every field but timers with noise; whatever loaded() says, nothing may break. */
static inline bool poison_state(struct device *d, u32 seed)
{
    for (const struct field *f = d->ops->state; f && f->name; f++) {
        u8 *p = (u8 *)d + f->offset;
        for (size_t i = 0; f->type != FIELD_TIMER && i < (size_t)f->size * f->count; i++) {
            seed = seed * 1664525u + 1013904223u;
            p[i] = f->type == FIELD_BOOL ? seed >> 31 : (u8)(seed >> 24);
        }
    }
    return !d->ops->loaded || d->ops->loaded(d);
}

/* n random accesses to [port, port+len) with time passing: nothing may crash or hang. */
static inline void hammer(struct rig *r, u16 port, int len, u32 seed, int n)
{
    for (int i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        u16 p = (u16)(port + (seed >> 8) % (u32)len);
        if (seed & 0x80000000u)
            out8(r, p, (u8)(seed >> 20));
        else
            in8(r, p);
        if ((seed >> 28 & 7) == 7)
            clock_advance(r->clk, (seed >> 4) % 2000000);
    }
}

#endif
