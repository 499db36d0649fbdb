/*
 * devices/post.h - port 0x80: where firmware shows how far it got.
 *
 * You are here: part of the DMA page registers on a PC, but a latch that no channel uses.
 */
#ifndef DEVICES_POST_H
#define DEVICES_POST_H

#include "bus/device.h"

struct space;

/* Maps port 0x80. */
struct device *post_new(struct space *ports);

/* The last code written. */
u8 post_code(const struct device *d);

#endif
