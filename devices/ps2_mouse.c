/*
 * devices/ps2_mouse.c - PS/2 mouse with the IntelliMouse extensions.
 *
 * What it is: stream, remote and wrap mode, all commands, the knocks 200-100-80 (wheel, ID 3) and
 * 200-200-80 (wheel and five buttons, ID 4). What it is not: a sampler; motion is reported when it
 * happens and gathered while the host has not taken what was sent. The sample rate is only kept.
 *
 * Invariants: a packet enters the queue whole; accumulated motion stays within +-MAX_MOTION.
 *
 * Manuals: IBM PS/2 Hardware Interface Technical Reference (1988), "Mouse"; Microsoft,
 * "IntelliMouse protocol" in the Windows hardware notes.
 */
#include "devices/ps2_mouse.h"
#include "base/bits.h"
#include "base/log.h"
#include "devices/ps2.h"
#include <stdlib.h>

enum { ACK = 0xfa, NAK = 0xfe };
enum { ID_PLAIN = 0, ID_WHEEL = 3, ID_EXPLORER = 4 };
enum { RESERVE = 8, MAX_MOTION = 8192 };

struct ps2_mouse {
    struct device dev;
    struct ps2_port port;
    i32 dx, dy, dz; /* not yet reported; +y up */
    u8 buttons;     /* as in packets: bit 0 left, 1 right, 2 middle, 3 and 4 */
    u8 reported;    /* the buttons the host knows */
    u8 id;
    u8 rate, resolution;
    u8 knock[2]; /* the last two sample rates */
    u8 expect;   /* command that waits for its argument, or 0 */
    bool enabled, remote, wrap, scale2;
};

static int packet_len(const struct ps2_mouse *s)
{
    return s->id == ID_PLAIN ? 3 : 4;
}

static i32 clamp(i32 v, i32 lo, i32 hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}

/* 2:1 scaling of stream mode: 0 1 1 3 6 9, then twice. */
static i32 scaled(i32 v)
{
    static const u8 small[6] = {0, 1, 1, 3, 6, 9};
    i32 a = v < 0 ? -v : v;
    a = a < 6 ? small[a] : 2 * a;
    return v < 0 ? -a : a;
}

/* Queues one packet of what has gathered; what does not fit stays. */
static void send_packet(struct ps2_mouse *s, bool stream)
{
    bool twice = stream && s->scale2;
    i32 lim = twice ? 127 : 255;
    i32 x = clamp(s->dx, -lim, lim), y = clamp(s->dy, -lim, lim);
    s->dx -= x;
    s->dy -= y;
    if (twice) {
        x = scaled(x);
        y = scaled(y);
    }
    ps2_put(&s->port, (u8)((s->buttons & 7) | 8 | (x < 0 ? 0x10 : 0) | (y < 0 ? 0x20 : 0)));
    ps2_put(&s->port, (u8)x);
    ps2_put(&s->port, (u8)y);
    if (s->id == ID_PLAIN) {
        s->dz = 0;
    } else {
        i32 z = clamp(s->dz, -8, 7);
        s->dz -= z;
        ps2_put(&s->port, s->id == ID_WHEEL ? (u8)z : (u8)((z & 15) | (s->buttons & 0x18) << 1));
    }
    s->reported = s->buttons;
}

static bool changed(const struct ps2_mouse *s)
{
    u8 known = s->id == ID_EXPLORER ? 0x1f : 0x07;
    return s->dx || s->dy || (s->dz && s->id != ID_PLAIN) || ((s->buttons ^ s->reported) & known);
}

static bool streaming(const struct ps2_mouse *s)
{
    return s->enabled && !s->remote && !s->wrap;
}

static void on_drained(struct ps2_port *p)
{
    struct ps2_mouse *s = container_of(p, struct ps2_mouse, port);
    if (streaming(s) && changed(s))
        send_packet(s, true);
}

void ps2_mouse_move(struct device *d, int dx, int dy, int wheel, u32 buttons)
{
    struct ps2_mouse *s = (struct ps2_mouse *)d;
    s->dx = clamp(s->dx + clamp(dx, -MAX_MOTION, MAX_MOTION), -MAX_MOTION, MAX_MOTION);
    s->dy = clamp(s->dy - clamp(dy, -MAX_MOTION, MAX_MOTION), -MAX_MOTION, MAX_MOTION);
    /* A wheel turned towards the user counts positive in packets. */
    s->dz = clamp(s->dz - clamp(wheel, -127, 127), -127, 127);
    s->buttons = buttons & 0x1f;
    if (!streaming(s)) {
        if (!s->remote) /* nobody listens */
            s->dx = s->dy = s->dz = 0;
        return;
    }
    /* Motion waits for the host; clicks are told one by one as long as they fit. */
    bool click = s->buttons != s->reported;
    if (changed(s) &&
        (!s->port.len || (click && ps2_room(&s->port) >= (size_t)packet_len(s) + RESERVE))) {
        send_packet(s, true);
        ps2_flush(&s->port);
    }
}

/* ---- commands ------------------------------------------------------------------------------- */
static void set_defaults(struct ps2_mouse *s)
{
    s->rate = 100;
    s->resolution = 2;
    s->scale2 = s->enabled = s->remote = s->wrap = false;
    s->expect = 0;
    s->dx = s->dy = s->dz = 0;
}

static void set_rate(struct ps2_mouse *s, u8 rate)
{
    if (rate == 80 && s->knock[0] == 200 && s->knock[1] == 100)
        s->id = ID_WHEEL;
    else if (rate == 80 && s->knock[0] == 200 && s->knock[1] == 200)
        s->id = ID_EXPLORER;
    s->knock[0] = s->knock[1];
    s->knock[1] = rate;
    s->rate = rate;
}

static bool valid_rate(u8 rate)
{
    static const u8 rates[] = {10, 20, 40, 60, 80, 100, 200};
    for (size_t i = 0; i < sizeof(rates); i++)
        if (rate == rates[i])
            return true;
    return false;
}

static void argument(struct ps2_mouse *s, u8 byte)
{
    bool ok = s->expect == 0xe8 ? byte <= 3 : valid_rate(byte);
    if (ok && s->expect == 0xe8)
        s->resolution = byte;
    else if (ok)
        set_rate(s, byte);
    s->expect = 0;
    ps2_put(&s->port, ok ? ACK : NAK);
}

static void status(struct ps2_mouse *s)
{
    u8 b = s->buttons;
    ps2_put(&s->port,
            (u8)((s->remote ? 0x40 : 0) | (s->enabled ? 0x20 : 0) | (s->scale2 ? 0x10 : 0) |
                 (b & 1 ? 4 : 0) | (b & 4 ? 2 : 0) | (b & 2 ? 1 : 0)));
    ps2_put(&s->port, s->resolution);
    ps2_put(&s->port, s->rate);
}

static void command(struct ps2_port *p, u8 byte)
{
    struct ps2_mouse *s = container_of(p, struct ps2_mouse, port);
    if (s->wrap && byte != 0xec && byte != 0xff) {
        ps2_put(p, byte);
        return;
    }
    if (byte == 0xfe) {
        ps2_put(p, p->last);
        return;
    }
    /* "Any command clears the output buffer": packets that were on their way are gone. */
    p->len = 0;
    if (s->expect && byte < 0xe6) {
        argument(s, byte);
        return;
    }
    s->expect = 0;
    switch (byte) {
    case 0xe6:
    case 0xe7:
        s->scale2 = byte == 0xe7;
        ps2_put(p, ACK);
        break;
    case 0xe8:
    case 0xf3:
        s->expect = byte;
        ps2_put(p, ACK);
        break;
    case 0xe9:
        ps2_put(p, ACK);
        status(s);
        break;
    case 0xea:
        s->remote = false;
        ps2_put(p, ACK);
        break;
    case 0xeb:
        ps2_put(p, ACK);
        send_packet(s, false);
        break;
    case 0xec:
    case 0xee:
        s->wrap = byte == 0xee;
        ps2_put(p, ACK);
        break;
    case 0xf0:
        s->remote = true;
        ps2_put(p, ACK);
        break;
    case 0xf2:
        ps2_put(p, ACK);
        ps2_put(p, s->id);
        break;
    case 0xf4:
    case 0xf5:
        s->enabled = byte == 0xf4;
        s->dx = s->dy = s->dz = 0;
        ps2_put(p, ACK);
        break;
    case 0xf6:
        set_defaults(s);
        ps2_put(p, ACK);
        break;
    case 0xff: /* reset: ACK, self-test passed, and the ID of a plain mouse */
        set_defaults(s);
        s->id = ID_PLAIN;
        s->knock[0] = s->knock[1] = 0;
        ps2_put(p, ACK);
        ps2_put(p, 0xaa);
        ps2_put(p, ID_PLAIN);
        break;
    default:
        ps2_put(p, NAK);
        break;
    }
}

static void mouse_write(struct ps2_port *p, u8 byte)
{
    command(p, byte);
    ps2_flush(p);
}

struct ps2_port *ps2_mouse_port(struct device *d)
{
    return &((struct ps2_mouse *)d)->port;
}

static void mouse_reset(struct device *d)
{
    struct ps2_mouse *s = (struct ps2_mouse *)d;
    set_defaults(s);
    s->id = ID_PLAIN;
    s->knock[0] = s->knock[1] = 0;
    s->port.len = s->port.last = 0;
    s->reported = s->buttons;
}

static bool mouse_loaded(struct device *d)
{
    struct ps2_mouse *s = (struct ps2_mouse *)d;
    if (s->port.len > PS2_QUEUE || (s->id != ID_PLAIN && s->id != ID_WHEEL && s->id != ID_EXPLORER))
        return false;
    s->dx = clamp(s->dx, -MAX_MOTION, MAX_MOTION);
    s->dy = clamp(s->dy, -MAX_MOTION, MAX_MOTION);
    s->dz = clamp(s->dz, -127, 127);
    s->buttons &= 0x1f;
    return true;
}

static void mouse_destroy(struct device *d)
{
    free(d);
}

static const struct field mouse_state[] = {
    FIELD_BUF(struct ps2_mouse, port.queue), FIELD_U(struct ps2_mouse, port.len),
    FIELD_U(struct ps2_mouse, port.last),    FIELD_U(struct ps2_mouse, dx),
    FIELD_U(struct ps2_mouse, dy),           FIELD_U(struct ps2_mouse, dz),
    FIELD_U(struct ps2_mouse, buttons),      FIELD_U(struct ps2_mouse, reported),
    FIELD_U(struct ps2_mouse, id),           FIELD_U(struct ps2_mouse, rate),
    FIELD_U(struct ps2_mouse, resolution),   FIELD_A(struct ps2_mouse, knock),
    FIELD_U(struct ps2_mouse, expect),       FIELD_B(struct ps2_mouse, enabled),
    FIELD_B(struct ps2_mouse, remote),       FIELD_B(struct ps2_mouse, wrap),
    FIELD_B(struct ps2_mouse, scale2),       FIELD_END,
};

static const struct device_ops mouse_ops = {
    .name = "ps2_mouse",
    .reset = mouse_reset,
    .state = mouse_state,
    .loaded = mouse_loaded,
    .destroy = mouse_destroy,
};

struct device *ps2_mouse_new(void)
{
    struct ps2_mouse *s = calloc(1, sizeof(*s));
    CHECK(s);
    s->dev.ops = &mouse_ops;
    s->port.write = mouse_write;
    s->port.drained = on_drained;
    mouse_reset(&s->dev);
    return &s->dev;
}
