/*
 * devices/e1000.h - Intel 82540EM Gigabit Ethernet controller, as on a PRO/1000 MT Desktop card.
 *
 * You are here: the board makes one for each card and gives it the host's end of the cable.
 */
#ifndef DEVICES_E1000_H
#define DEVICES_E1000_H

#include "base/types.h"

struct device;
struct clock;
struct netdev;

/* mac: 6 bytes, kept in the card's EEPROM. net: borrowed, NULL: no cable in it; its device side is
 * the card's until the card is destroyed. */
struct device *e1000_new(struct device *pci, int devfn, const u8 *mac, struct netdev *net,
                         struct clock *clk);

#endif
