/*
 * devices/i8237.h - the PC's two DMA controllers and their page registers.
 *
 * You are here: the floppy controller and sound cards move their bytes with i8237_transfer().
 */
#ifndef DEVICES_I8237_H
#define DEVICES_I8237_H

#include "bus/device.h"

struct space;

/* Channels 0-3 move bytes, 5-7 words; 4 is the cascade of 0-3. */
enum { I8237_CHANNELS = 8 };
enum i8237_dir { I8237_TO_MEMORY, I8237_FROM_MEMORY };

/* Maps ports 0x00-0x0f, 0xc0-0xdf and 0x81-0x8f (0x80 is a latch of its own, post.h). mem: the
 * memory space. */
struct device *i8237_new(struct space *ports, struct space *mem);

/* One burst: moves up to len bytes (even for channels 5-7; an odd last byte stays) between buf and
 * guest memory and returns how many. Stops at terminal count, which sets *tc (never cleared here;
 * may be NULL); with auto-initialize call again for more. A verify transfer counts but moves
 * nothing: buf keeps what it had. Returns 0 when the channel is masked, disabled, in cascade mode
 * or programmed for the other direction. */
size_t i8237_transfer(struct device *d, int channel, void *buf, size_t len, enum i8237_dir dir,
                      bool *tc);

/* Whether i8237_transfer() would move something now. */
bool i8237_ready(const struct device *d, int channel, enum i8237_dir dir);

/* The channel's DREQ pin, as the status register shows it. */
void i8237_set_drq(struct device *d, int channel, bool level);

/* fn runs after the guest changed masks, modes or commands while the channel's DREQ is high, so
 * that a waiting device can try again. One per channel. */
void i8237_set_hook(struct device *d, int channel, void (*fn)(void *ctx), void *ctx);

#endif
