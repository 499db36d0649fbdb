/*
 * devices/piix3.h - the south bridge's function 0 (82371SB): PCI interrupt router, reset control.
 *
 * You are here: the board makes it after the PCI bus and before other PCI chips raise interrupts.
 * The other functions of the south bridge are chips of their own (ide.h, acpi_pm.h), as are the
 * PIC, timer, DMA controllers and ELCR inside it.
 *
 * Routing: PIRQA..D go to the ISA interrupt that registers 0x60-0x63 name, as levels. The board
 * gives the same lines to PIC and I/O APIC (pin = ISA interrupt), so that one ACPI table, links
 * LNKA..D with a choice of ISA interrupts, is right in both modes.
 */
#ifndef DEVICES_PIIX3_H
#define DEVICES_PIIX3_H

#include "bus/device.h"
#include "bus/irq.h"

/* Function 0 of `slot` (1 on a PC). isa: sixteen lines, copied; 0, 1, 2, 8 and 13 are never driven.
 * Where a line is shared with an ISA chip the board ORs them. reset: pulsed when the guest writes
 * port 0xcf9. Takes the bus's PIRQ lines and its port 0xcf9. */
struct device *piix3_new(struct device *pci_bus, int slot, const struct irq isa[16],
                         struct irq reset);

#endif
