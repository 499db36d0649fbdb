/*
 * devices/ps2_mouse.h - a PS/2 mouse that can become an IntelliMouse (wheel, five buttons).
 *
 * You are here: made by the board, plugged into i8042_new().
 */
#ifndef DEVICES_PS2_MOUSE_H
#define DEVICES_PS2_MOUSE_H

#include "bus/device.h"

struct ps2_port;

struct device *ps2_mouse_new(void);
struct ps2_port *ps2_mouse_port(struct device *d);

/* Counts since the last call (+x right, +y down, wheel +1 up), and the state of the buttons: bit 0
 * left, 1 right, 2 middle, 3 and 4 the side ones. */
void ps2_mouse_move(struct device *d, int dx, int dy, int wheel, u32 buttons);

#endif
