/*
 * machine/pc_resources.c - what firmware does with PCI bus and interrupt controllers, for kernels
 * that are booted without one and take over what they find: addresses for every BAR, its decoder
 * on, the interrupt line register; the 8259s at vectors 8 and 70h, all masked but what a BIOS
 * serves.
 *
 * Linux would do this by itself; unikernels and teaching kernels do not. The built-in chips of slot
 * 1 have ports of their own. Expansion ROMs get no address. The same functions get the same
 * addresses every time.
 */
#include "bus/space.h"
#include "devices/pci.h"
#include "machine/vm_priv.h"

enum { IO_FIRST = 0xc400, IO_END = 0xff00, MEM_TOP = 0xfebf0000u, BUILT_IN = 1 };

/* Takes size bytes, aligned to size, from the window; 0: it is used up. */
static u64 take_io(u64 *next, u64 size)
{
    u64 at = align_up(*next, size);
    if (at + size > IO_END)
        return 0;
    *next = at + size;
    return at;
}

static u64 take_mem(const struct vm *vm, u64 *top, u64 size)
{
    u64 low = MAX(vm->low_ram, 0x80000000ull);
    if (size > *top - low)
        return 0;
    u64 at = align_down(*top - size, size);
    if (at < low)
        return 0;
    *top = at;
    return at;
}

static void assign(struct vm *vm, struct pci_device *p, u64 *io, u64 *mem)
{
    u16 on = 0;
    for (int k = 0; k < PCI_BARS; k++) {
        const struct pci_bar *b = &p->bar[k];
        u32 reg = PCI_BAR0 + 4u * (u32)k;
        bool is_io = b->kind == PCI_BAR_IO;
        if (b->kind == PCI_BAR_NONE)
            continue;
        u64 at = is_io ? take_io(io, MAX(b->size, 16)) : take_mem(vm, mem, MAX(b->size, PAGE_SIZE));
        if (!at)
            continue;
        pci_config_write(p, reg, (u32)at, 4);
        on |= is_io ? PCI_CMD_IO : PCI_CMD_MEM;
    }
    if (on)
        pci_config_write(p, PCI_COMMAND, pci_command(p) | on, 2);
    u32 pin = pci_config_read(p, PCI_INT_PIN, 1);
    u32 slot = (u32)p->devfn >> 3;
    if (pin)
        pci_config_write(p, PCI_INT_LINE, PC_PIRQ_LINE((slot + pin - 2) & 3), 1);
}

/* Intel 8259A, "Programming the 8259A": ICW1 to ICW4 of the master and the slave, then the masks:
 * timer, keyboard, cascade and floppy; clock, mouse, FPU, first IDE channel. */
void pc_setup_pics(struct vm *vm)
{
    static const struct {
        u16 port;
        u8 val;
    } writes[] = {{0x20, 0x11}, {0xa0, 0x11}, {0x21, 0x08}, {0xa1, 0x70}, {0x21, 0x04},
                  {0xa1, 0x02}, {0x21, 0x01}, {0xa1, 0x01}, {0x21, 0xb8}, {0xa1, 0x8e}};
    for (size_t k = 0; k < ARRAY_LEN(writes); k++)
        space_write(vm->ports, writes[k].port, writes[k].val, 1);
}

void pc_assign_resources(struct vm *vm)
{
    u64 io = IO_FIRST, mem = MEM_TOP;
    for (int devfn = 0; devfn < 256; devfn++) {
        struct pci_device *p = pci_find(vm->pci, devfn);
        if (p && devfn >> 3 != BUILT_IN)
            assign(vm, p, &io, &mem);
    }
}
