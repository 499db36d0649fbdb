/*
 * devices/i8042.h - the PC's keyboard controller (8042) with its PS/2 mouse port.
 *
 * You are here: the board makes a keyboard and a mouse, plugs them in here and wires IRQ1, IRQ12,
 * reset and A20. Front ends put keys and motion into i8042_input().
 */
#ifndef DEVICES_I8042_H
#define DEVICES_I8042_H

#include "bus/backend.h"
#include "bus/clock.h"
#include "bus/device.h"
#include "bus/irq.h"

struct space;

struct i8042_wires {
    struct irq irq_kbd;   /* IRQ1: a level, high while a keyboard byte waits */
    struct irq irq_mouse; /* IRQ12 */
    struct irq reset;     /* pulsed when the guest asks for a CPU reset */
    struct irq a20;       /* set at every write of the output port: the last writer wins */
};

/* Maps ports 0x60 and 0x64. kbd: a ps2_keyboard, mouse: a ps2_mouse or NULL; both outlive this. */
struct device *i8042_new(struct space *ports, struct i8042_wires wires, struct device *kbd,
                         struct device *mouse, struct clock *clk);

/* Keys go to the keyboard, motion to the mouse. Valid as long as the device. */
struct input_sink *i8042_input(struct device *d);

/* The board tells that A20 is now `on`, whoever switched it. */
void i8042_note_a20(struct device *d, bool on);

#endif
