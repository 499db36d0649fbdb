/*
 * devices/pci_priv.h - what pci.c and pci_msi.c share.
 */
#ifndef DEVICES_PCI_PRIV_H
#define DEVICES_PCI_PRIV_H

#include "devices/pci.h"

/* One message to the bus, if the function is a master. */
void pci_send_msi(struct pci_device *p, u64 addr, u32 data);

/* The guest may have unmasked the whole function through its configuration space. */
void pci_msix_config_written(struct pci_msix *x);

#endif
