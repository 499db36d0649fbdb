/*
 * devices/acpi_pm.h - function 3 of the south bridge (82371AB, PIIX4): ACPI power management.
 *
 * You are here: PM1 event and control blocks, the PM timer, an empty GPE block, the SMI command
 * port that switches ACPI on and off (there is no SMM: the chip does it itself), power-off by
 * SLP_EN, the power button. The SMBus host is there with no device on it.
 */
#ifndef DEVICES_ACPI_PM_H
#define DEVICES_ACPI_PM_H

#include "bus/clock.h"
#include "bus/device.h"
#include "bus/irq.h"

struct space;

enum { ACPI_PM_TIMER_HZ = 3579545, ACPI_PM_GPE = 0xafe0, ACPI_PM_ON = 0xf1, ACPI_PM_OFF = 0xf0 };

/* power_off: called in the middle of the guest's OUT when it asks for S5 (SLP_TYP 0). */
struct device *acpi_pm_new(struct device *pci_bus, int devfn, struct space *ports, struct irq sci,
                           void (*power_off)(void *ctx), void *ctx, struct clock *clk);

/* The same PM1 blocks and timer alone, without PCI function: 64 ports at base, always in ACPI mode.
 */
struct device *acpi_pm_fixed_new(struct space *ports, u16 base, struct irq sci,
                                 void (*power_off)(void *ctx), void *ctx, struct clock *clk);

/* The board's button. */
void acpi_pm_power_button(struct device *d);

#endif
