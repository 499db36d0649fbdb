/*
 * devices/piix3.c - PCI-to-ISA bridge 8086:7000: PIRQ routing and the reset control register.
 *
 * What it is not: the ISA timing, DMA and SMI registers mean nothing here and read as written.
 *
 * Invariant: isa_level is what the lines were last told: the OR of the PIRQs routed to each.
 *
 * Manual: Intel 82371FB/82371SB (PIIX/PIIX3) data sheet (290550-002), 2.2.6 PIRQRC, 2.5.9 RC.
 */
#include "devices/piix3.h"
#include "base/bits.h"
#include "base/log.h"
#include "devices/pci.h"
#include <stdlib.h>

enum { REGION_RC = 0 };
enum { PIRQRCA = 0x60, PIRQ_OFF = 0x80 };
enum { RC_SRST = 0x02, RC_RCPU = 0x04 };
enum { ROUTABLE = 0xdef8 }; /* not 0, 1, 2, 8, 13 (PIIX3 2.2.6) */

struct piix3 {
    struct pci_device pci;
    struct irq isa[16];
    struct irq reset;
    u16 isa_level;
    bool pirq[4];
    u8 rc;
};

static void update(struct piix3 *s)
{
    u16 level = 0;
    for (int i = 0; i < 4; i++) {
        u8 route = s->pci.config[PIRQRCA + i];
        if (s->pirq[i] && !(route & PIRQ_OFF))
            level |= (u16)BIT(route & 15) & ROUTABLE;
    }
    u16 changed = level ^ s->isa_level;
    s->isa_level = level;
    for (int n = 0; n < 16; n++)
        if (changed & BIT(n))
            irq_set(&s->isa[n], level & BIT(n));
}

static void pirq_set(void *ctx, int n, bool level)
{
    struct piix3 *s = ctx;
    s->pirq[n] = level;
    update(s);
}

static void config_written(struct pci_device *p, u32 off, int size)
{
    update((struct piix3 *)p);
}

static u64 rc_read(struct device *d, int region, u64 off, int size)
{
    return ((struct piix3 *)d)->rc;
}

static void rc_write(struct device *d, int region, u64 off, u64 val, int size)
{
    struct piix3 *s = (struct piix3 *)d;
    /* Bit 2 starts a reset, hard or soft by bit 1: to a machine whose memory survives and whose CPU
     * restarts either way they are one. It reads back as 0 after the reset. */
    s->rc = val & RC_SRST;
    if (val & RC_RCPU)
        irq_pulse(&s->reset);
}

static void piix3_reset(struct device *d)
{
    struct piix3 *s = (struct piix3 *)d;
    s->rc = 0;
    pci_reset(&s->pci);
    update(s);
}

static bool piix3_loaded(struct device *d)
{
    struct piix3 *s = (struct piix3 *)d;
    s->rc &= RC_SRST;
    if (!pci_loaded(&s->pci))
        return false;
    update(s);
    return true;
}

static void piix3_destroy(struct device *d)
{
    struct piix3 *s = (struct piix3 *)d;
    pci_remove(&s->pci);
    free(s);
}

static const struct field piix3_state[] = {PCI_FIELDS(struct piix3, pci), FIELD_U(struct piix3, rc),
                                           FIELD_END};

static const struct device_ops piix3_ops = {
    .name = "piix3",
    .reset = piix3_reset,
    .read = rc_read,
    .write = rc_write,
    .peek = rc_read,
    .state = piix3_state,
    .loaded = piix3_loaded,
    .destroy = piix3_destroy,
};

struct device *piix3_new(struct device *pci_bus, int slot, const struct irq isa[16],
                         struct irq reset)
{
    struct piix3 *s = calloc(1, sizeof(*s));
    CHECK(s);
    pci_init(&s->pci, &piix3_ops,
             &(struct pci_id){.vendor = 0x8086, .device = 0x7000, .class_code = 0x060100});
    struct pci_device *p = &s->pci;
    p->config_written = config_written;
    memcpy(s->isa, isa, sizeof(s->isa));
    s->reset = reset;
    pci_set(p, PCI_COMMAND, 0x0007, 2);
    pci_writable(p, PCI_COMMAND, 0x0108, 2);
    pci_set(p, PCI_STATUS, 0x0200, 2);
    /* Registers of 2.2 that only tune the chip: reset values, all bits writable. */
    static const struct {
        u8 off, reset;
    } tune[] = {{0x4c, 0x4d}, {0x4e, 0x03}, {0x4f, 0x00}, {0x69, 0x02}, {0x6a, 0x00}, {0x6b, 0x00},
                {0x70, 0x80}, {0x76, 0x0c}, {0x77, 0x0c}, {0x78, 0x02}, {0x79, 0x00}, {0x80, 0x00},
                {0x82, 0x00}, {0xa0, 0x08}, {0xa2, 0x00}, {0xa3, 0x00}, {0xa5, 0x00}, {0xa6, 0x00},
                {0xa7, 0x00}, {0xa8, 0x0f}, {0xaa, 0x00}, {0xab, 0x00}, {0xac, 0x00}, {0xae, 0x00}};
    for (size_t i = 0; i < ARRAY_LEN(tune); i++) {
        pci_set(p, tune[i].off, tune[i].reset, 1);
        pci_writable(p, tune[i].off, 0xff, 1);
    }
    for (u32 i = 0; i < 4; i++) {
        pci_set(p, PIRQRCA + i, PIRQ_OFF, 1);
        pci_writable(p, PIRQRCA + i, 0x8f, 1);
        pci_bus_set_pirq(pci_bus, (int)i, (struct irq){pirq_set, s, (int)i});
    }
    pci_bus_set_cf9(pci_bus, &p->dev, REGION_RC);
    pci_add(pci_bus, PCI_DEVFN(slot, 0), p);
    return &p->dev;
}
