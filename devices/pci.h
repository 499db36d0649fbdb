/*
 * devices/pci.h - a PCI bus, and what every chip on it shares: configuration space, base address
 * registers, interrupt pin, capabilities, message-signalled interrupts, DMA.
 *
 * You are here: the board makes one bus and adds functions to it. A PCI chip embeds `struct
 * pci_device` as its first member, so a pointer to the chip is a `struct device *` too:
 *
 *     struct chip { struct pci_device pci; ... };
 *     pci_init(&s->pci, &chip_ops, &(struct pci_id){...});  defaults of the whole header
 *     pci_bar_io(&s->pci, 0, PCI_BAR_MEM, 0x1000, &s->pci.dev, REGION_REGS, 4);
 *     pci_add(bus, PCI_DEVFN(3, 0), &s->pci);               maps the BARs; no more BARs after this
 *
 * and in its callbacks: reset() calls pci_reset(), loaded() returns pci_loaded(), destroy() calls
 * pci_remove(), state starts with PCI_FIELDS(struct chip, pci).
 */
#ifndef DEVICES_PCI_H
#define DEVICES_PCI_H

#include "base/types.h"
#include "bus/device.h"
#include "bus/irq.h"

struct space;
struct mapping;
struct ram;
struct pci_bus;
struct pci_device;
struct pci_msix;

#define PCI_DEVFN(slot, fn) ((slot) << 3 | (fn))

enum {
    PCI_CONFIG_SIZE = 256,
    PCI_BARS = 6,
    PCI_ROM = 6, /* the expansion ROM's place in bar[] */
    PCI_MSIX_MAX = 64,
};

/* Offsets and bits of the header that chips need. PCI Local Bus Specification 2.2, 6.1. */
enum {
    PCI_COMMAND = 0x04,
    PCI_STATUS = 0x06,
    PCI_BAR0 = 0x10,
    PCI_ROM_BAR = 0x30,
    PCI_CAP_PTR = 0x34,
    PCI_INT_LINE = 0x3c,
    PCI_INT_PIN = 0x3d,

    PCI_CMD_IO = 0x0001,
    PCI_CMD_MEM = 0x0002,
    PCI_CMD_MASTER = 0x0004,
    PCI_CMD_INTX_OFF = 0x0400,
    PCI_STATUS_INTX = 0x0008,
    PCI_STATUS_CAPS = 0x0010,
};

enum pci_bar_kind {
    PCI_BAR_NONE,
    PCI_BAR_IO,
    PCI_BAR_MEM,          /* 32-bit */
    PCI_BAR_MEM_PREFETCH, /* 32-bit, prefetchable */
    PCI_BAR_MEM64,        /* prefetchable; takes the next BAR too */
};

struct pci_bar {
    enum pci_bar_kind kind;
    u64 size;
    struct device *dev; /* who answers, in `region`; or */
    int region, max_size;
    struct ram *ram; /* memory that is RAM (a frame buffer); or */
    u64 ram_off;
    const u8 *rom; /* a ROM image */
    struct mapping *map;
};

struct pci_device {
    struct device dev;
    struct pci_bus *bus;
    int devfn;
    u8 config[PCI_CONFIG_SIZE];
    u8 init[PCI_CONFIG_SIZE];    /* values after reset */
    u8 wmask[PCI_CONFIG_SIZE];   /* bits the guest may write */
    u8 w1cmask[PCI_CONFIG_SIZE]; /* bits that a written 1 clears */
    u8 volmask[PCI_CONFIG_SIZE]; /* read-only bits the chip changes as it runs */
    struct pci_bar bar[PCI_BARS + 1];
    int cap_last, cap_end; /* last capability; first free byte after it */
    int msi_cap, msix_cap; /* 0: none */
    struct pci_msix *msix;
    bool intx;     /* what the chip wants of its pin */
    bool intx_out; /* what the bus was told */
    /* After a guest write that touched [off, off+size) and the common effects; may be NULL. */
    void (*config_written)(struct pci_device *p, u32 off, int size);
    /* Before a guest read of [off, off+size): the chip may bring `config` up to date; may be NULL.
     */
    void (*config_reading)(struct pci_device *p, u32 off, int size);
};

#define PCI_FIELDS(type, m) FIELD_BUF(type, m.config), FIELD_B(type, m.intx)

struct pci_id {
    u16 vendor, device;
    u8 revision;
    u32 class_code; /* 24 bits: class, subclass, interface */
    u16 subsys_vendor, subsys;
    u8 int_pin; /* 0 none, 1 INTA ... 4 INTD */
};

/* ---- the bus ------------------------------------------------------------------------------- */
/* Maps ports 0xcf8-0xcff (configuration mechanism 1). Memory BARs go to mem, I/O BARs to ports, in
 * both below whatever else is mapped (priority -1); DMA reads and writes mem. */
struct device *pci_bus_new(struct space *mem, struct space *ports);

/* Interrupt router input n, 0..3 (PIRQA..D). A function in slot s with pin p (1 INTA) drives input
 * (s + p - 2) & 3, as the PC boards of the time wired their slots. */
void pci_bus_set_pirq(struct device *bus, int n, struct irq line);

/* Where message-signalled interrupts go: a memory write of data to addr. */
void pci_bus_set_msi(struct device *bus, void (*fn)(void *ctx, u64 addr, u32 data), void *ctx);

/* Byte accesses to port 0xcf9, which lies inside CONFADD, are the reset control register's: they go
 * to d, region, offset 0. */
void pci_bus_set_cf9(struct device *bus, struct device *d, int region);

/* devfn 0..255, not taken. Function 0 of a slot says whether there are others. */
void pci_add(struct device *bus, int devfn, struct pci_device *p);
/* Takes the function off its bus, BARs unmapped. For the chip's destroy(); the bus may be gone
 * already, then (and after a first call) it does nothing. */
void pci_remove(struct pci_device *p);
struct pci_device *pci_find(struct device *bus, int devfn); /* NULL when empty */

/* ---- a function's set-up: between pci_init and pci_add -------------------------------------- */
/* Zeroes *p and fills the type 0 header: ids, class, the writable command bits, int line. */
void pci_init(struct pci_device *p, const struct device_ops *ops, const struct pci_id *id);

/* Registers answered by dev. size: a power of 2, at least 4 (I/O) or 16 (memory). */
void pci_bar_io(struct pci_device *p, int bar, enum pci_bar_kind kind, u64 size, struct device *dev,
                int region, int max_size);
/* Memory BAR over RAM that the chip owns; size a power of 2, at least 4 KiB. */
void pci_bar_ram(struct pci_device *p, int bar, enum pci_bar_kind kind, u64 size, struct ram *ram,
                 u64 ram_off);
/* The expansion ROM; size a power of 2, at least 4 KiB; host stays the caller's and must be that
 * long. */
void pci_bar_rom(struct pci_device *p, const u8 *host, u64 size);

/* Reset value of 1, 2 or 4 bytes, and which of their bits the guest may write. */
void pci_set(struct pci_device *p, u32 off, u32 val, int size);
void pci_writable(struct pci_device *p, u32 off, u32 mask, int size);

/* A zeroed capability of `size` bytes, header included. Returns its offset. */
int pci_add_cap(struct pci_device *p, u8 id, int size);

/* ---- at run time ---------------------------------------------------------------------------- */
void pci_reset(struct pci_device *p);  /* configuration to reset values, pin low */
bool pci_loaded(struct pci_device *p); /* repairs what a restore left, maps BARs, drives the pin */

/* Configuration access as the guest's: any off and size 1, 2, 4; beyond the end reads ones. */
u32 pci_config_read(struct pci_device *p, u32 off, int size);
void pci_config_write(struct pci_device *p, u32 off, u32 val, int size);

static inline u16 pci_command(const struct pci_device *p)
{
    return (u16)(p->config[PCI_COMMAND] | p->config[PCI_COMMAND + 1] << 8);
}

/* Where a BAR is decoded now; false when it is not. */
bool pci_bar_addr(const struct pci_device *p, int bar, u64 *addr);

/* The level of the function's interrupt pin. */
void pci_set_intx(struct pci_device *p, bool level);

/* DMA. False, and reads give ones, when the guest has not made the function a bus master. */
bool pci_dma_read(struct pci_device *p, gpa addr, void *buf, u64 len);
bool pci_dma_write(struct pci_device *p, gpa addr, const void *buf, u64 len);
/* The range as host memory when it is plain RAM and the function is a master, else NULL; tell the
 * RAM of writes by ram_note_write(). */
hva pci_dma_ptr(struct pci_device *p, gpa addr, u64 len, struct ram **ram, u64 *ram_off);

/* ---- message-signalled interrupts ------------------------------------------------------------ */
/* MSI with 64-bit address, vectors 1, 2, 4, 8, 16 or 32. Set-up time. */
void pci_msi_init(struct pci_device *p, int vectors);
bool pci_msi_enabled(const struct pci_device *p);
/* Vectors beyond what the guest granted share the granted ones. Nothing when not enabled. */
void pci_msi_notify(struct pci_device *p, int vector);

/* MSI-X: embed one in the chip; it answers a 4 KiB memory BAR of its own. Add
 * PCI_MSIX_FIELDS(struct chip, msix) to the state and pci_msix_loaded() after pci_loaded(). */
struct pci_msix {
    struct device dev;
    struct pci_device *owner;
    int vectors;
    u8 table[PCI_MSIX_MAX * 16];
    u64 pending;
};
#define PCI_MSIX_FIELDS(type, m) FIELD_BUF(type, m.table), FIELD_U(type, m.pending)

/* vectors: 1..PCI_MSIX_MAX. Set-up time. */
void pci_msix_init(struct pci_device *p, struct pci_msix *x, int bar, int vectors);
void pci_msix_reset(struct pci_msix *x);
bool pci_msix_loaded(struct pci_msix *x);
bool pci_msix_enabled(const struct pci_msix *x);
/* A masked vector stays pending until unmasked. Out-of-range vectors are ignored. */
void pci_msix_notify(struct pci_msix *x, int vector);

#endif
