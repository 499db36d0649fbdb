/*
 * devices/ps2_keyboard.h - a 102-key PS/2 keyboard.
 *
 * You are here: made by the board, plugged into i8042_new().
 */
#ifndef DEVICES_PS2_KEYBOARD_H
#define DEVICES_PS2_KEYBOARD_H

#include "bus/device.h"

struct ps2_port;

struct device *ps2_keyboard_new(void);
struct ps2_port *ps2_keyboard_port(struct device *d);

/* A key went down (again: the host repeats) or up. USB HID usage, page 7; unknown ones are ignored.
 */
void ps2_keyboard_key(struct device *d, u16 hid_usage, bool down);

/* The set 1 code of a set 2 code, as the keyboard controller translates them too. */
u8 ps2_set1_of(u8 code);

/* Lamps: bit 0 scroll, 1 num, 2 caps lock. */
u8 ps2_keyboard_leds(const struct device *d);

#endif
