/*
 * devices/i8042.c - 8042 keyboard controller, as the PS/2 programs it.
 *
 * What it is: ports 0x60 and 0x64, the command byte, the output port with reset and A20, the
 * translation of scan code set 2 to set 1. What it is not: the 8042's own processor; the
 * controller's RAM beyond the command byte is plain storage, passwords do not exist.
 *
 * A byte comes from a PS/2 device at the earliest BYTE_GAP_NS after the last one was read: handlers
 * that read port 0x60 twice (a program's, then the firmware's) must find the same byte. Answers of
 * the controller itself come at once.
 *
 * Invariants: the output buffer `out` is full iff STAT_OBF is set; irq levels follow from status
 * and command byte in update().
 *
 * Manual: IBM PS/2 Hardware Interface Technical Reference (1988), "Keyboard and Auxiliary Device
 * Controller"; Intel UPI-41A/41AH/42/42AH user's manual.
 */
#include "devices/i8042.h"
#include "base/bits.h"
#include "base/log.h"
#include "bus/space.h"
#include "devices/ps2.h"
#include "devices/ps2_keyboard.h"
#include "devices/ps2_mouse.h"
#include <stdlib.h>

enum { REGION_DATA, REGION_CMD };
enum { STAT_OBF = 0x01, STAT_SYS = 0x04, STAT_CMD = 0x08, STAT_UNLOCKED = 0x10, STAT_AUX = 0x20 };
enum {
    CTR_KBD_INT = 0x01,
    CTR_AUX_INT = 0x02,
    CTR_SYS = 0x04,
    CTR_KBD_OFF = 0x10,
    CTR_AUX_OFF = 0x20,
    CTR_XLATE = 0x40
};
enum {
    OUT_RESET_N = 0x01,
    OUT_A20 = 0x02,
    OUT_KBD_OBF = 0x10,
    OUT_AUX_OBF = 0x20,
    OUT_LINES = 0xcc
};
enum { CTL_NONE, CTL_KBD, CTL_AUX };

#define BYTE_GAP_NS 300000u

struct i8042 {
    struct device dev;
    struct i8042_wires wires;
    struct clock *clk;
    struct timer timer;
    struct ps2_port *kbd, *aux;
    struct device *kbd_dev, *aux_dev;
    struct input_sink sink;
    u8 ram[32]; /* ram[0] is the command byte */
    u8 status;
    u8 out;
    u8 outport; /* OUT_A20 only; the rest is made up */
    u8 expect;  /* the command that waits for a byte at port 0x60, or 0 */
    u8 ctl_answer;
    u8 ctl_from;  /* CTL_*: ctl_answer waits for the output buffer */
    bool release; /* translation has seen F0 */
    bool irq_kbd, irq_aux;
    u64 next_ns; /* a device's byte may come from then on */
};

static u8 ctr(const struct i8042 *s)
{
    return s->ram[0];
}

static void update(struct i8042 *s)
{
    bool obf = s->status & STAT_OBF, aux = s->status & STAT_AUX;
    bool k = obf && !aux && (ctr(s) & CTR_KBD_INT), m = obf && aux && (ctr(s) & CTR_AUX_INT);
    if (k != s->irq_kbd) {
        s->irq_kbd = k;
        irq_set(&s->wires.irq_kbd, k);
    }
    if (m != s->irq_aux) {
        s->irq_aux = m;
        irq_set(&s->wires.irq_mouse, m);
    }
}

static void load(struct i8042 *s, u8 byte, bool aux)
{
    s->out = byte;
    s->status = (u8)((s->status & ~STAT_AUX) | STAT_OBF | (aux ? STAT_AUX : 0));
    update(s);
}

/* Takes keyboard bytes until one makes it through translation. */
static bool load_kbd(struct i8042 *s)
{
    while (s->kbd->len && !(ctr(s) & CTR_KBD_OFF)) {
        u8 byte = ps2_take(s->kbd);
        if (ctr(s) & CTR_XLATE) {
            if (byte == 0xf0) {
                s->release = true;
                continue;
            }
            byte = ps2_set1_of(byte) | (s->release ? 0x80 : 0);
        }
        s->release = false;
        load(s, byte, false);
        return true;
    }
    return false;
}

/* Puts the next waiting byte into an empty output buffer. */
static void fill(struct i8042 *s)
{
    if (s->status & STAT_OBF)
        return;
    if (s->ctl_from != CTL_NONE) {
        bool aux = s->ctl_from == CTL_AUX;
        s->ctl_from = CTL_NONE;
        load(s, s->ctl_answer, aux);
        return;
    }
    bool waiting = (s->kbd->len && !(ctr(s) & CTR_KBD_OFF)) ||
                   (s->aux && s->aux->len && !(ctr(s) & CTR_AUX_OFF));
    if (!waiting)
        return;
    if (clock_now(s->clk) < s->next_ns) {
        timer_arm(&s->timer, s->next_ns);
        return;
    }
    if (load_kbd(s))
        return;
    if (s->aux && s->aux->len && !(ctr(s) & CTR_AUX_OFF))
        load(s, ps2_take(s->aux), true);
}

static void on_ready(void *ctx)
{
    fill(ctx);
}

static void answer(struct i8042 *s, u8 byte, u8 from)
{
    s->ctl_answer = byte;
    s->ctl_from = from;
    fill(s);
}

static void set_a20(struct i8042 *s, bool on)
{
    s->outport = on ? OUT_A20 : 0;
    irq_set(&s->wires.a20, on);
}

void i8042_note_a20(struct device *d, bool on)
{
    ((struct i8042 *)d)->outport = on ? OUT_A20 : 0;
}

static u8 read_outport(const struct i8042 *s)
{
    bool obf = s->status & STAT_OBF, aux = s->status & STAT_AUX;
    return (u8)(OUT_LINES | OUT_RESET_N | s->outport | (obf && !aux ? OUT_KBD_OBF : 0) |
                (obf && aux ? OUT_AUX_OBF : 0));
}

static void set_ctr(struct i8042 *s, u8 val)
{
    s->ram[0] = val & 0x7f;
    s->status = (u8)((s->status & ~STAT_SYS) | (val & CTR_SYS ? STAT_SYS : 0));
    update(s);
    fill(s);
}

static void command(struct i8042 *s, u8 cmd)
{
    s->status |= STAT_CMD;
    s->expect = 0;
    if (cmd >= 0x20 && cmd < 0x40) { /* read controller RAM */
        answer(s, s->ram[cmd & 0x1f], CTL_KBD);
        return;
    }
    if (cmd >= 0x60 && cmd < 0x80) { /* write it */
        s->expect = cmd;
        return;
    }
    if (cmd >= 0xf0) { /* pulse the output port's low bits that are 0; bit 0 is the CPU's reset */
        if (!(cmd & 1))
            irq_pulse(&s->wires.reset);
        return;
    }
    switch (cmd) {
    case 0xa4: /* test password: none installed */
        answer(s, 0xf1, CTL_KBD);
        break;
    case 0xa7:
        set_ctr(s, ctr(s) | CTR_AUX_OFF);
        break;
    case 0xa8:
        set_ctr(s, ctr(s) & (u8)~CTR_AUX_OFF);
        break;
    case 0xa9: /* test the mouse port: 0 good, 2 clock line stuck high */
        answer(s, s->aux ? 0x00 : 0x02, CTL_KBD);
        break;
    case 0xaa: /* self-test */
        set_ctr(s, ctr(s) | CTR_SYS);
        answer(s, 0x55, CTL_KBD);
        break;
    case 0xab: /* test the keyboard port */
        answer(s, 0x00, CTL_KBD);
        break;
    case 0xad:
        set_ctr(s, ctr(s) | CTR_KBD_OFF);
        break;
    case 0xae:
        set_ctr(s, ctr(s) & (u8)~CTR_KBD_OFF);
        break;
    case 0xc0: /* input port: keyboard not locked, no manufacturing jumper */
        answer(s, 0xa0, CTL_KBD);
        break;
    case 0xd0:
        answer(s, read_outport(s), CTL_KBD);
        break;
    case 0xd1:
    case 0xd2:
    case 0xd3:
    case 0xd4:
        s->expect = cmd;
        break;
    case 0xdd: /* A20 off and on without a data byte, as some clones have it */
    case 0xdf:
        set_a20(s, cmd == 0xdf);
        break;
    case 0xe0: /* test inputs: clock and data of the keyboard idle */
        answer(s, 0x00, CTL_KBD);
        break;
    default:
        log_guest("i8042: unknown command %02x", cmd);
        break;
    }
}

static void write_data(struct i8042 *s, u8 val)
{
    u8 cmd = s->expect;
    s->status &= (u8)~STAT_CMD;
    s->expect = 0;
    switch (cmd) {
    case 0:
        /* Sending to a device releases its clock line. */
        set_ctr(s, ctr(s) & (u8)~CTR_KBD_OFF);
        s->kbd->write(s->kbd, val);
        break;
    case 0x60:
        set_ctr(s, val);
        break;
    case 0xd1:
        set_a20(s, val & OUT_A20);
        if (!(val & OUT_RESET_N))
            irq_pulse(&s->wires.reset);
        break;
    case 0xd2:
        answer(s, val, CTL_KBD);
        break;
    case 0xd3:
        answer(s, val, CTL_AUX);
        break;
    case 0xd4:
        set_ctr(s, ctr(s) & (u8)~CTR_AUX_OFF);
        if (s->aux)
            s->aux->write(s->aux, val);
        else
            answer(s, 0xfe, CTL_AUX); /* nobody there: "resend" */
        break;
    default: /* 0x61..0x7f */
        s->ram[cmd & 0x1f] = val;
        break;
    }
}

static void i8042_write(struct device *d, int region, u64 off, u64 val, int size)
{
    struct i8042 *s = (struct i8042 *)d;
    if (region == REGION_CMD)
        command(s, (u8)val);
    else
        write_data(s, (u8)val);
}

static u64 i8042_peek(struct device *d, int region, u64 off, int size)
{
    struct i8042 *s = (struct i8042 *)d;
    return region == REGION_CMD ? s->status : s->out;
}

static u64 i8042_read(struct device *d, int region, u64 off, int size)
{
    struct i8042 *s = (struct i8042 *)d;
    u64 val = i8042_peek(d, region, off, size);
    if (region == REGION_DATA && (s->status & STAT_OBF)) {
        s->status &= (u8) ~(STAT_OBF | STAT_AUX);
        s->next_ns = clock_now(s->clk) + BYTE_GAP_NS;
        update(s);
        fill(s);
    }
    return val;
}

static void sink_key(void *ctx, u16 hid_usage, bool down)
{
    struct i8042 *s = ctx;
    ps2_keyboard_key(s->kbd_dev, hid_usage, down);
}

static void sink_mouse(void *ctx, int dx, int dy, int wheel, u32 buttons)
{
    struct i8042 *s = ctx;
    if (s->aux_dev)
        ps2_mouse_move(s->aux_dev, dx, dy, wheel, buttons);
}

struct input_sink *i8042_input(struct device *d)
{
    return &((struct i8042 *)d)->sink;
}

static void i8042_reset(struct device *d)
{
    struct i8042 *s = (struct i8042 *)d;
    memset(s->ram, 0, sizeof(s->ram));
    s->ram[0] = CTR_KBD_INT | CTR_AUX_INT | CTR_XLATE;
    s->status = STAT_CMD | STAT_UNLOCKED;
    s->out = s->expect = 0;
    s->ctl_from = CTL_NONE;
    s->release = false;
    s->next_ns = 0;
    timer_disarm(&s->timer);
    set_a20(s, true);
    update(s);
}

static bool i8042_loaded(struct device *d)
{
    struct i8042 *s = (struct i8042 *)d;
    if (s->ctl_from > CTL_AUX ||
        (s->expect && s->expect != 0xd1 && s->expect != 0xd2 && s->expect != 0xd3 &&
         s->expect != 0xd4 && (s->expect < 0x60 || s->expect >= 0x80)))
        return false;
    s->ram[0] &= 0x7f;
    s->outport &= OUT_A20;
    s->next_ns = MIN(s->next_ns, clock_now(s->clk) + BYTE_GAP_NS);
    irq_set(&s->wires.irq_kbd, s->irq_kbd);
    irq_set(&s->wires.irq_mouse, s->irq_aux);
    update(s);
    return true;
}

static void i8042_destroy(struct device *d)
{
    struct i8042 *s = (struct i8042 *)d;
    timer_disarm(&s->timer);
    s->kbd->ready = NULL;
    if (s->aux)
        s->aux->ready = NULL;
    free(s);
}

static const struct field i8042_state[] = {
    FIELD_BUF(struct i8042, ram),
    FIELD_U(struct i8042, status),
    FIELD_U(struct i8042, out),
    FIELD_U(struct i8042, outport),
    FIELD_U(struct i8042, expect),
    FIELD_U(struct i8042, ctl_answer),
    FIELD_U(struct i8042, ctl_from),
    FIELD_B(struct i8042, release),
    FIELD_B(struct i8042, irq_kbd),
    FIELD_B(struct i8042, irq_aux),
    FIELD_U(struct i8042, next_ns),
    FIELD_T(struct i8042, timer),
    FIELD_END,
};

static const struct device_ops i8042_ops = {
    .name = "i8042",
    .reset = i8042_reset,
    .read = i8042_read,
    .write = i8042_write,
    .peek = i8042_peek,
    .state = i8042_state,
    .loaded = i8042_loaded,
    .destroy = i8042_destroy,
};

struct device *i8042_new(struct space *ports, struct i8042_wires wires, struct device *kbd,
                         struct device *mouse, struct clock *clk)
{
    struct i8042 *s = calloc(1, sizeof(*s));
    CHECK(s && kbd);
    s->dev.ops = &i8042_ops;
    s->clk = clk;
    s->kbd_dev = kbd;
    s->aux_dev = mouse;
    s->kbd = ps2_keyboard_port(kbd);
    s->aux = mouse ? ps2_mouse_port(mouse) : NULL;
    s->kbd->ready = on_ready;
    s->kbd->ctx = s;
    if (s->aux) {
        s->aux->ready = on_ready;
        s->aux->ctx = s;
    }
    s->sink = (struct input_sink){s, sink_key, sink_mouse};
    timer_init(&s->timer, clk, on_ready, s);
    i8042_reset(&s->dev);
    s->wires = wires; /* only now: the other ends may not be ready for a call from here */
    space_map_io(ports, 0x60, 1, &s->dev, REGION_DATA, 1, 0);
    space_map_io(ports, 0x64, 1, &s->dev, REGION_CMD, 1, 0);
    return &s->dev;
}
