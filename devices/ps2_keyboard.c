/*
 * devices/ps2_keyboard.c - PS/2 keyboard: keys to scan codes in sets 1, 2 and 3, and its commands.
 *
 * What it is: the keyboard's end of the cable. What it is not: a typematic clock; the host repeats
 * keys and every "down" gives a make code. Translation of set 2 for PC software is the
 * controller's.
 *
 * Invariants: the events of one key enter the queue whole or not at all, so no prefix is ever left
 * alone; answers to commands always find room because events leave RESERVE bytes free.
 *
 * Manuals: IBM PS/2 Hardware Interface Technical Reference (1988), "Keyboards"; Microsoft, "USB HID
 * to PS/2 Scan Code Translation Table" (rev. 1.3).
 */
#include "devices/ps2_keyboard.h"
#include "base/bits.h"
#include "base/log.h"
#include "devices/ps2.h"
#include <stdlib.h>

enum { ACK = 0xfa, RESEND = 0xfe, BAT_OK = 0xaa, ECHO = 0xee };
enum { RESERVE = 8 };
enum { REPEAT = 1, BREAK = 2 }; /* what a key does besides make, in set 3 */

struct key {
    u8 set2;
    bool e0; /* prefixed in sets 1 and 2 */
    u8 set3;
    u8 type3; /* REPEAT, BREAK: after reset */
};

struct ps2_keyboard {
    struct device dev;
    struct ps2_port port;
    u8 set; /* 1..3 */
    u8 leds;
    u8 rate;
    u8 expect; /* command that waits for its argument, or 0 */
    bool enabled;
    bool overrun;  /* the overrun code is in the queue */
    u8 down[32];   /* a bit a HID usage */
    u8 type3[256]; /* by set 3 code */
};

enum {
    K_PRTSC = 0x46,
    K_PAUSE = 0x48,
    K_LCTRL = 0xe0,
    K_LSHIFT,
    K_LALT,
    K_LGUI,
    K_RCTRL,
    K_RSHIFT,
    K_RALT
};

/* By HID usage. Unlisted set 3 codes: the key does not exist there. */
// clang-format off
static const struct key keys[256] = {
    [0x04] = {0x1c, false, 0x1c, REPEAT},
    [0x05] = {0x32, false, 0x32, REPEAT},
    [0x06] = {0x21, false, 0x21, REPEAT},
    [0x07] = {0x23, false, 0x23, REPEAT},
    [0x08] = {0x24, false, 0x24, REPEAT},
    [0x09] = {0x2b, false, 0x2b, REPEAT},
    [0x0a] = {0x34, false, 0x34, REPEAT},
    [0x0b] = {0x33, false, 0x33, REPEAT},
    [0x0c] = {0x43, false, 0x43, REPEAT},
    [0x0d] = {0x3b, false, 0x3b, REPEAT},
    [0x0e] = {0x42, false, 0x42, REPEAT},
    [0x0f] = {0x4b, false, 0x4b, REPEAT},
    [0x10] = {0x3a, false, 0x3a, REPEAT},
    [0x11] = {0x31, false, 0x31, REPEAT},
    [0x12] = {0x44, false, 0x44, REPEAT},
    [0x13] = {0x4d, false, 0x4d, REPEAT},
    [0x14] = {0x15, false, 0x15, REPEAT},
    [0x15] = {0x2d, false, 0x2d, REPEAT},
    [0x16] = {0x1b, false, 0x1b, REPEAT},
    [0x17] = {0x2c, false, 0x2c, REPEAT},
    [0x18] = {0x3c, false, 0x3c, REPEAT},
    [0x19] = {0x2a, false, 0x2a, REPEAT},
    [0x1a] = {0x1d, false, 0x1d, REPEAT},
    [0x1b] = {0x22, false, 0x22, REPEAT},
    [0x1c] = {0x35, false, 0x35, REPEAT},
    [0x1d] = {0x1a, false, 0x1a, REPEAT},
    [0x1e] = {0x16, false, 0x16, REPEAT},
    [0x1f] = {0x1e, false, 0x1e, REPEAT},
    [0x20] = {0x26, false, 0x26, REPEAT},
    [0x21] = {0x25, false, 0x25, REPEAT},
    [0x22] = {0x2e, false, 0x2e, REPEAT},
    [0x23] = {0x36, false, 0x36, REPEAT},
    [0x24] = {0x3d, false, 0x3d, REPEAT},
    [0x25] = {0x3e, false, 0x3e, REPEAT},
    [0x26] = {0x46, false, 0x46, REPEAT},
    [0x27] = {0x45, false, 0x45, REPEAT},
    [0x28] = {0x5a, false, 0x5a, REPEAT},
    [0x29] = {0x76, false, 0x08, 0},
    [0x2a] = {0x66, false, 0x66, REPEAT},
    [0x2b] = {0x0d, false, 0x0d, REPEAT},
    [0x2c] = {0x29, false, 0x29, REPEAT},
    [0x2d] = {0x4e, false, 0x4e, REPEAT},
    [0x2e] = {0x55, false, 0x55, REPEAT},
    [0x2f] = {0x54, false, 0x54, REPEAT},
    [0x30] = {0x5b, false, 0x5b, REPEAT},
    [0x31] = {0x5d, false, 0x5c, REPEAT},
    [0x32] = {0x5d, false, 0x53, REPEAT},
    [0x33] = {0x4c, false, 0x4c, REPEAT},
    [0x34] = {0x52, false, 0x52, REPEAT},
    [0x35] = {0x0e, false, 0x0e, REPEAT},
    [0x36] = {0x41, false, 0x41, REPEAT},
    [0x37] = {0x49, false, 0x49, REPEAT},
    [0x38] = {0x4a, false, 0x4a, REPEAT},
    [0x39] = {0x58, false, 0x14, BREAK},
    [0x3a] = {0x05, false, 0x07, 0},
    [0x3b] = {0x06, false, 0x0f, 0},
    [0x3c] = {0x04, false, 0x17, 0},
    [0x3d] = {0x0c, false, 0x1f, 0},
    [0x3e] = {0x03, false, 0x27, 0},
    [0x3f] = {0x0b, false, 0x2f, 0},
    [0x40] = {0x83, false, 0x37, 0},
    [0x41] = {0x0a, false, 0x3f, 0},
    [0x42] = {0x01, false, 0x47, 0},
    [0x43] = {0x09, false, 0x4f, 0},
    [0x44] = {0x78, false, 0x56, 0},
    [0x45] = {0x07, false, 0x5e, 0},
    [0x46] = {0x7c, true, 0x57, 0},
    [0x47] = {0x7e, false, 0x5f, 0},
    [0x48] = {0, false, 0x62, 0}, /* Pause: see pause() */
    [0x49] = {0x70, true, 0x67, 0},
    [0x4a] = {0x6c, true, 0x6e, 0},
    [0x4b] = {0x7d, true, 0x6f, REPEAT},
    [0x4c] = {0x71, true, 0x64, REPEAT},
    [0x4d] = {0x69, true, 0x65, 0},
    [0x4e] = {0x7a, true, 0x6d, 0},
    [0x4f] = {0x74, true, 0x6a, REPEAT},
    [0x50] = {0x6b, true, 0x61, REPEAT},
    [0x51] = {0x72, true, 0x60, REPEAT},
    [0x52] = {0x75, true, 0x63, REPEAT},
    [0x53] = {0x77, false, 0x76, 0},
    [0x54] = {0x4a, true, 0x77, 0},
    [0x55] = {0x7c, false, 0x7e, 0},
    [0x56] = {0x7b, false, 0x84, 0},
    [0x57] = {0x79, false, 0x7c, REPEAT},
    [0x58] = {0x5a, true, 0x79, 0},
    [0x59] = {0x69, false, 0x69, 0},
    [0x5a] = {0x72, false, 0x72, 0},
    [0x5b] = {0x7a, false, 0x7a, 0},
    [0x5c] = {0x6b, false, 0x6b, 0},
    [0x5d] = {0x73, false, 0x73, 0},
    [0x5e] = {0x74, false, 0x74, 0},
    [0x5f] = {0x6c, false, 0x6c, 0},
    [0x60] = {0x75, false, 0x75, 0},
    [0x61] = {0x7d, false, 0x7d, 0},
    [0x62] = {0x70, false, 0x70, 0},
    [0x63] = {0x71, false, 0x71, 0},
    [0x64] = {0x61, false, 0x13, REPEAT},
    [0x65] = {0x2f, true, 0x8d, 0},
    [0x66] = {0x37, true, 0x00, REPEAT},
    [0x67] = {0x0f, false, 0x00, REPEAT},
    [0x68] = {0x08, false, 0x00, REPEAT},
    [0x69] = {0x10, false, 0x00, REPEAT},
    [0x6a] = {0x18, false, 0x00, REPEAT},
    [0x6b] = {0x20, false, 0x00, REPEAT},
    [0x6c] = {0x28, false, 0x00, REPEAT},
    [0x6d] = {0x30, false, 0x00, REPEAT},
    [0x6e] = {0x38, false, 0x00, REPEAT},
    [0x6f] = {0x40, false, 0x00, REPEAT},
    [0x70] = {0x48, false, 0x00, REPEAT},
    [0x71] = {0x50, false, 0x00, REPEAT},
    [0x72] = {0x57, false, 0x00, REPEAT},
    [0x73] = {0x5f, false, 0x00, REPEAT},
    [0x85] = {0x6d, false, 0x00, REPEAT},
    [0x87] = {0x51, false, 0x00, REPEAT},
    [0x88] = {0x13, false, 0x00, REPEAT},
    [0x89] = {0x6a, false, 0x00, REPEAT},
    [0x8a] = {0x64, false, 0x00, REPEAT},
    [0x8b] = {0x67, false, 0x00, REPEAT},
    [0x90] = {0xf2, false, 0x00, REPEAT},
    [0x91] = {0xf1, false, 0x00, REPEAT},
    [0x92] = {0x63, false, 0x00, REPEAT},
    [0x93] = {0x62, false, 0x00, REPEAT},
    [0x94] = {0x5f, false, 0x00, REPEAT},
    [0xe0] = {0x14, false, 0x11, BREAK},
    [0xe1] = {0x12, false, 0x12, BREAK},
    [0xe2] = {0x11, false, 0x19, BREAK},
    [0xe3] = {0x1f, true, 0x8b, 0},
    [0xe4] = {0x14, true, 0x58, 0},
    [0xe5] = {0x59, false, 0x59, BREAK},
    [0xe6] = {0x11, true, 0x39, 0},
    [0xe7] = {0x27, true, 0x8c, 0},
};
// clang-format on

/* Scan code set 2 to set 1; codes not listed (0x85 and up) are passed. IBM, "Scan code tables". */
static const u8 translate[0x85] = {
    0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29,
    0x59, 0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a, 0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11,
    0x03, 0x5b, 0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, 0x68, 0x39, 0x2f, 0x21, 0x14,
    0x13, 0x06, 0x5d, 0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, 0x6a, 0x72, 0x32, 0x24,
    0x16, 0x08, 0x09, 0x5f, 0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60, 0x6c, 0x34, 0x35,
    0x26, 0x27, 0x19, 0x0c, 0x61, 0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e, 0x3a, 0x36,
    0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76, 0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, 0x7c,
    0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f, 0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45,
    0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54, 0x80, 0x81, 0x82, 0x41, 0x54,
};

u8 ps2_set1_of(u8 code)
{
    return code < sizeof(translate) ? translate[code] : code;
}

/* ---- keys ----------------------------------------------------------------------------------- */
static bool is_down(const struct ps2_keyboard *s, int usage)
{
    return s->down[usage >> 3] & BIT(usage & 7);
}

/* The bytes of one event, gathered before they are queued. */
struct burst {
    u8 len;
    u8 bytes[24];
};

static void emit(struct burst *b, u8 byte)
{
    if (b->len < sizeof(b->bytes))
        b->bytes[b->len++] = byte;
}

/* Make or break of a set 2 code, in set 1 or 2. */
static void emit_code(const struct ps2_keyboard *s, struct burst *b, bool e0, u8 set2, bool down)
{
    if (e0)
        emit(b, 0xe0);
    if (s->set == 1) {
        emit(b, ps2_set1_of(set2) | (down ? 0 : 0x80));
    } else {
        if (!down)
            emit(b, 0xf0);
        emit(b, set2);
    }
}

/* Pause makes and breaks at once and is silent when released; with Ctrl it is Break. */
static void emit_pause(const struct ps2_keyboard *s, struct burst *b)
{
    if (is_down(s, K_LCTRL) || is_down(s, K_RCTRL)) {
        emit_code(s, b, true, 0x7e, true);
        emit_code(s, b, true, 0x7e, false);
        return;
    }
    emit(b, 0xe1);
    emit_code(s, b, false, 0x14, true);
    emit_code(s, b, false, 0x77, true);
    emit(b, 0xe1);
    emit_code(s, b, false, 0x14, false);
    emit_code(s, b, false, 0x77, false);
}

/* PrtSc is SysRq with Alt, and comes without its shift with Ctrl or Shift. */
static void emit_prtsc(const struct ps2_keyboard *s, struct burst *b, bool down)
{
    bool alt = is_down(s, K_LALT) || is_down(s, K_RALT);
    bool bare =
        is_down(s, K_LCTRL) || is_down(s, K_RCTRL) || is_down(s, K_LSHIFT) || is_down(s, K_RSHIFT);
    if (alt) {
        emit_code(s, b, false, 0x84, down);
        return;
    }
    if (down && !bare)
        emit_code(s, b, true, 0x12, true);
    emit_code(s, b, true, 0x7c, down);
    if (!down && !bare)
        emit_code(s, b, true, 0x12, false);
}

static void emit_key(const struct ps2_keyboard *s, struct burst *b, u16 usage, bool down,
                     bool repeated)
{
    const struct key *k = &keys[usage];
    if (s->set == 3) {
        u8 type = s->type3[k->set3];
        if (!k->set3 || (down && repeated && !(type & REPEAT)) || (!down && !(type & BREAK)))
            return;
        if (!down)
            emit(b, 0xf0);
        emit(b, k->set3);
    } else if (usage == K_PAUSE) {
        if (down && !repeated)
            emit_pause(s, b);
    } else if (usage == K_PRTSC) {
        emit_prtsc(s, b, down);
    } else if (k->set2) {
        emit_code(s, b, k->e0, k->set2, down);
    }
}

void ps2_keyboard_key(struct device *d, u16 hid_usage, bool down)
{
    struct ps2_keyboard *s = (struct ps2_keyboard *)d;
    if (hid_usage >= ARRAY_LEN(keys) || (!keys[hid_usage].set2 && hid_usage != K_PAUSE))
        return;
    bool was = is_down(s, hid_usage);
    if (!down && !was)
        return; /* released after the guest's reset or the window's focus change */
    struct burst b = {0};
    emit_key(s, &b, hid_usage, down, was);
    if (down)
        s->down[hid_usage >> 3] |= (u8)BIT(hid_usage & 7);
    else
        s->down[hid_usage >> 3] &= (u8)~BIT(hid_usage & 7);
    if (!s->enabled || !b.len)
        return;
    if (ps2_room(&s->port) < (size_t)b.len + RESERVE) {
        if (!s->overrun) { /* once, until the host takes something */
            s->overrun = true;
            ps2_put(&s->port, s->set == 1 ? 0xff : 0x00);
            ps2_flush(&s->port);
        }
        return;
    }
    for (u8 i = 0; i < b.len; i++)
        ps2_put(&s->port, b.bytes[i]);
    ps2_flush(&s->port);
}

static void on_drained(struct ps2_port *p)
{
    container_of(p, struct ps2_keyboard, port)->overrun = false;
}

/* ---- commands ------------------------------------------------------------------------------- */
static void set_defaults(struct ps2_keyboard *s)
{
    s->rate = 0x2b; /* 10.9 characters a second after 500 ms */
    s->set = 2;
    s->expect = 0;
    memset(s->type3, REPEAT, sizeof(s->type3));
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (keys[i].set3)
            s->type3[keys[i].set3] = keys[i].type3;
}

static void clear_queue(struct ps2_keyboard *s)
{
    s->port.len = 0;
    s->overrun = false;
}

/* The byte after ED, F0, F3, or FB-FD. Returns false if it is a new command instead. */
static bool argument(struct ps2_keyboard *s, u8 byte)
{
    if (byte >= 0xed)
        return false;
    switch (s->expect) {
    case 0xed:
        s->leds = byte & 7;
        s->expect = 0;
        break;
    case 0xf0:
        if (byte > 3)
            return false;
        s->expect = 0;
        ps2_put(&s->port, ACK);
        if (byte == 0)
            ps2_put(&s->port, s->set);
        else
            s->set = byte;
        return true;
    case 0xf3:
        s->rate = byte & 0x7f;
        s->expect = 0;
        break;
    case 0xfb: /* more codes may follow, up to the next command */
        s->type3[byte] = REPEAT;
        break;
    case 0xfc:
        s->type3[byte] = BREAK;
        break;
    default:
        s->type3[byte] = 0;
        break;
    }
    ps2_put(&s->port, ACK);
    return true;
}

static void command(struct ps2_port *p, u8 byte)
{
    struct ps2_keyboard *s = container_of(p, struct ps2_keyboard, port);
    static const u8 all_types[4] = {REPEAT, BREAK, 0, REPEAT | BREAK};
    if (s->expect && argument(s, byte))
        return;
    s->expect = 0;
    if (byte != RESEND && byte != ECHO && ps2_room(p) < RESERVE)
        clear_queue(s); /* a host that writes and never reads */
    switch (byte) {
    case 0xed:
    case 0xf0:
    case 0xf3:
    case 0xfb:
    case 0xfc:
    case 0xfd:
        s->expect = byte;
        ps2_put(p, ACK);
        break;
    case ECHO:
        ps2_put(p, ECHO);
        break;
    case 0xf2: /* identify: MF2 keyboard */
        ps2_put(p, ACK);
        ps2_put(p, 0xab);
        ps2_put(p, 0x83);
        break;
    case 0xf4: /* "clears its output buffer" and scans */
        clear_queue(s);
        s->enabled = true;
        ps2_put(p, ACK);
        break;
    case 0xf5:
    case 0xf6: /* defaults; F5 stops scanning too. The scan code set is kept by both. */ {
        u8 set = s->set;
        clear_queue(s);
        set_defaults(s);
        s->set = set;
        s->enabled = byte == 0xf6;
        ps2_put(p, ACK);
        break;
    }
    case 0xf7:
    case 0xf8:
    case 0xf9:
    case 0xfa:
        memset(s->type3, all_types[byte - 0xf7], sizeof(s->type3));
        ps2_put(p, ACK);
        break;
    case RESEND:
        ps2_put(p, p->last);
        break;
    case 0xff: /* reset: ACK, then the basic assurance test's result */
        clear_queue(s);
        set_defaults(s);
        s->leds = 0;
        s->enabled = true;
        ps2_put(p, ACK);
        ps2_put(p, BAT_OK);
        break;
    default:
        ps2_put(p, RESEND);
        break;
    }
}

static void kbd_write(struct ps2_port *p, u8 byte)
{
    command(p, byte);
    ps2_flush(p);
}

struct ps2_port *ps2_keyboard_port(struct device *d)
{
    return &((struct ps2_keyboard *)d)->port;
}

u8 ps2_keyboard_leds(const struct device *d)
{
    return ((const struct ps2_keyboard *)d)->leds;
}

static void kbd_reset(struct device *d)
{
    struct ps2_keyboard *s = (struct ps2_keyboard *)d;
    /* Power-on. The BAT code a real keyboard sends now is left out: firmware resets it anyway. */
    clear_queue(s);
    set_defaults(s);
    s->leds = 0;
    s->enabled = true;
    s->port.last = 0;
    memset(s->down, 0, sizeof(s->down));
}

static bool kbd_loaded(struct device *d)
{
    struct ps2_keyboard *s = (struct ps2_keyboard *)d;
    if (s->port.len > PS2_QUEUE || s->set < 1 || s->set > 3)
        return false;
    return true;
}

static void kbd_destroy(struct device *d)
{
    free(d);
}

static const struct field kbd_state[] = {
    FIELD_BUF(struct ps2_keyboard, port.queue), FIELD_U(struct ps2_keyboard, port.len),
    FIELD_U(struct ps2_keyboard, port.last),    FIELD_U(struct ps2_keyboard, set),
    FIELD_U(struct ps2_keyboard, leds),         FIELD_U(struct ps2_keyboard, rate),
    FIELD_U(struct ps2_keyboard, expect),       FIELD_B(struct ps2_keyboard, enabled),
    FIELD_B(struct ps2_keyboard, overrun),      FIELD_BUF(struct ps2_keyboard, down),
    FIELD_BUF(struct ps2_keyboard, type3),      FIELD_END,
};

static const struct device_ops kbd_ops = {
    .name = "ps2_keyboard",
    .reset = kbd_reset,
    .state = kbd_state,
    .loaded = kbd_loaded,
    .destroy = kbd_destroy,
};

struct device *ps2_keyboard_new(void)
{
    struct ps2_keyboard *s = calloc(1, sizeof(*s));
    CHECK(s);
    s->dev.ops = &kbd_ops;
    s->port.write = kbd_write;
    s->port.drained = on_drained;
    kbd_reset(&s->dev);
    return &s->dev;
}
