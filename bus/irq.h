/*
 * bus/irq.h - an interrupt line: a wire from one chip's output to another chip's input.
 *
 * You are here: a chip that raises interrupts is given a `struct irq` by value and calls
 * irq_set(); a chip that takes them hands out lines with its own set function. Levels, not edges:
 * the receiver finds the edges.
 */
#ifndef BUS_IRQ_H
#define BUS_IRQ_H

#include "base/types.h"

typedef void irq_set_fn(void *ctx, int n, bool level);

struct irq {
    irq_set_fn *set; /* NULL: not connected */
    void *ctx;
    int n;
};

static inline void irq_set(const struct irq *line, bool level)
{
    if (line->set)
        line->set(line->ctx, line->n, level);
}

static inline void irq_pulse(const struct irq *line)
{
    irq_set(line, true);
    irq_set(line, false);
}

#endif
