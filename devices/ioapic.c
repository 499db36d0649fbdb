/*
 * devices/ioapic.c - the 82093AA I/O APIC.
 *
 * Intel 82093AA data sheet, 3.2 (registers); ICH9 data sheet, 13.5 (version 20h, EOI register).
 * An edge that comes while its entry is masked is lost, as the data sheet has it for ISA edges; a
 * level is seen again when it is unmasked. Polarity is ignored: the board's wires are active high.
 */
#include "devices/ioapic.h"

#include "base/log.h"
#include "bus/space.h"

#include <stdlib.h>

enum {
    SEL = 0x00,
    WIN = 0x10,
    EOI = 0x40,
    REG_ID = 0,
    REG_VERSION = 1,
    REG_ARB = 2,
    REG_TABLE = 0x10
};

#define E_LOGICAL (1u << 11)
#define E_RIRR    (1u << 14)
#define E_LEVEL   (1u << 15)
#define E_MASK    (1u << 16)
#define E_STATUS  (1u << 12)

struct ioapic {
    struct device dev;
    u64 entry[IOAPIC_PINS];
    u32 id, sel;
    u32 pins; /* input levels */
    ioapic_deliver_fn *deliver;
    void *ctx;
};

static void send(struct ioapic *s, int pin)
{
    u64 *e = &s->entry[pin];
    if (*e & E_MASK)
        return;
    bool level = *e & E_LEVEL;
    int mode = (int)(*e >> 8) & 7;
    if (level && (mode == 0 || mode == 1)) {
        if (*e & E_RIRR)
            return; /* one at a time until its EOI */
        *e |= E_RIRR;
    }
    s->deliver(s->ctx, (u32)(*e >> 56), *e & E_LOGICAL, mode, (int)(*e & 0xff), level);
}

static void set_pin(void *ctx, int pin, bool level)
{
    struct ioapic *s = ctx;
    u32 bit = 1u << pin;
    bool was = s->pins & bit;
    s->pins = level ? s->pins | bit : s->pins & ~bit;
    if (!level)
        return;
    if ((s->entry[pin] & E_LEVEL) || !was)
        send(s, pin);
}

struct irq ioapic_line(struct device *d, int pin)
{
    if (pin < 0 || pin >= IOAPIC_PINS)
        return (struct irq){0};
    return (struct irq){set_pin, d, pin};
}

/* A level that is still there is sent again. */
static void resend(struct ioapic *s, int pin)
{
    if ((s->entry[pin] & E_LEVEL) && (s->pins >> pin & 1))
        send(s, pin);
}

void ioapic_eoi(struct device *d, int vector)
{
    struct ioapic *s = (struct ioapic *)d;
    for (int pin = 0; pin < IOAPIC_PINS; pin++) {
        u64 *e = &s->entry[pin];
        if ((int)(*e & 0xff) == vector && (*e & E_LEVEL) && (*e & E_RIRR)) {
            *e &= ~(u64)E_RIRR;
            resend(s, pin);
        }
    }
}

static u32 read_reg(struct ioapic *s)
{
    u32 r = s->sel;
    if (r == REG_ID || r == REG_ARB)
        return s->id << 24;
    if (r == REG_VERSION)
        return 0x20 | (IOAPIC_PINS - 1) << 16;
    if (r >= REG_TABLE && r < REG_TABLE + 2 * IOAPIC_PINS) {
        u64 e = s->entry[(r - REG_TABLE) / 2];
        return (u32)(r & 1 ? e >> 32 : e);
    }
    return 0;
}

static void write_reg(struct ioapic *s, u32 v)
{
    u32 r = s->sel;
    if (r == REG_ID) {
        s->id = v >> 24 & 15;
    } else if (r >= REG_TABLE && r < REG_TABLE + 2 * IOAPIC_PINS) {
        int pin = (int)(r - REG_TABLE) / 2;
        u64 *e = &s->entry[pin];
        if (r & 1) {
            *e = (*e & 0xffffffff) | (u64)(v & 0xff000000) << 32;
        } else {
            u64 keep = *e & (E_RIRR | E_STATUS);
            *e = (*e & ~0xffffffffull) | (v & 0x1afff) | keep;
            if (!(v & E_LEVEL))
                *e &= ~(u64)E_RIRR; /* switching to edge clears it, as kernels rely on */
        }
        resend(s, pin);
    }
}

static u64 ioapic_read(struct device *d, int region, u64 off, int size)
{
    struct ioapic *s = (struct ioapic *)d;
    (void)region;
    u32 v = (off & ~3ull) == SEL ? s->sel : (off & ~3ull) == WIN ? read_reg(s) : 0;
    return size == 4 ? v : v >> (8 * (off & 3));
}

static void ioapic_write(struct device *d, int region, u64 off, u64 val, int size)
{
    struct ioapic *s = (struct ioapic *)d;
    (void)region;
    (void)size;
    if (off == SEL)
        s->sel = (u32)val & 0xff;
    else if (off == WIN)
        write_reg(s, (u32)val);
    else if (off == EOI)
        ioapic_eoi(d, (int)(val & 0xff));
}

static void ioapic_reset(struct device *d)
{
    struct ioapic *s = (struct ioapic *)d;
    for (int k = 0; k < IOAPIC_PINS; k++)
        s->entry[k] = E_MASK;
    s->id = s->sel = 0;
}

static bool ioapic_loaded(struct device *d)
{
    struct ioapic *s = (struct ioapic *)d;
    s->pins &= (1u << IOAPIC_PINS) - 1;
    s->sel &= 0xff;
    s->id &= 15;
    return true;
}

static void ioapic_destroy(struct device *d)
{
    free(d);
}

static const struct field ioapic_state[] = {FIELD_A(struct ioapic, entry),
                                            FIELD_U(struct ioapic, id), FIELD_U(struct ioapic, sel),
                                            FIELD_U(struct ioapic, pins), FIELD_END};

static const struct device_ops ioapic_ops = {.name = "ioapic",
                                             .reset = ioapic_reset,
                                             .read = ioapic_read,
                                             .write = ioapic_write,
                                             .peek = ioapic_read,
                                             .state = ioapic_state,
                                             .loaded = ioapic_loaded,
                                             .destroy = ioapic_destroy};

struct device *ioapic_new(struct space *mem, u64 base, ioapic_deliver_fn *fn, void *ctx)
{
    struct ioapic *s = calloc(1, sizeof(*s));
    CHECK(s);
    s->dev.ops = &ioapic_ops;
    s->deliver = fn;
    s->ctx = ctx;
    ioapic_reset(&s->dev);
    space_map_io(mem, base, PAGE_SIZE, &s->dev, 0, 4, 0);
    return &s->dev;
}
