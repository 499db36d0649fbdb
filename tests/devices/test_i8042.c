/* tests/devices/test_i8042.c - keyboard controller, keyboard and mouse, as drivers talk to them. */
#include "tests/devices/rig.h"
#include "devices/i8042.h"
#include "devices/ps2_keyboard.h"
#include "devices/ps2_mouse.h"

struct kbc {
    struct rig r;
    struct probe reset, a20;
    struct device *d, *kbd, *mouse;
    struct input_sink *in;
};

static void start(struct kbc *k)
{
    memset(k, 0, sizeof(*k));
    rig_init(&k->r);
    k->kbd = ps2_keyboard_new();
    k->mouse = ps2_mouse_new();
    struct i8042_wires w = {probe_irq(&k->r.irq), probe_irq(&k->r.irq2), probe_irq(&k->reset),
                            probe_irq(&k->a20)};
    k->d = i8042_new(k->r.ports, w, k->kbd, k->mouse, k->r.clk);
    k->in = i8042_input(k->d);
}

static void stop(struct kbc *k)
{
    rig_fini(&k->r);
    device_destroy(k->d);
    device_destroy(k->kbd);
    device_destroy(k->mouse);
}

/* The next byte, or -1 when none comes. */
static int get(struct kbc *k)
{
    clock_advance(k->r.clk, 400000);
    if (!(in8(&k->r, 0x64) & 1))
        return -1;
    return in8(&k->r, 0x60);
}

static void expect_bytes(struct kbc *k, const char *hex, const char *what)
{
    char got[200] = "";
    int b;
    while ((b = get(k)) >= 0 && strlen(got) < 180)
        sprintf(got + strlen(got), "%s%02x", *got ? " " : "", (unsigned)b);
    cr_expect_str_eq(got, hex, "%s: %s, not %s", what, got, hex);
}

static void ctr(struct kbc *k, u8 val)
{
    out8(&k->r, 0x64, 0x60);
    out8(&k->r, 0x60, val);
}

static void kbd_cmd(struct kbc *k, u8 a)
{
    out8(&k->r, 0x60, a);
}

static void aux_cmd(struct kbc *k, u8 a)
{
    out8(&k->r, 0x64, 0xd4);
    out8(&k->r, 0x60, a);
}

static void key(struct kbc *k, u16 usage, bool down)
{
    k->in->key(k->in->ctx, usage, down);
}

Test(i8042, controller_commands)
{
    struct kbc k;
    start(&k);
    static const struct {
        u8 cmd;
        const char *answer;
    } t[] = {{0xaa, "55"}, {0xab, "00"}, {0xa9, "00"}, {0xa4, "f1"},
             {0xc0, "a0"}, {0xe0, "00"}, {0xd0, "cf"}, {0x20, "47"}};
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        out8(&k.r, 0x64, t[i].cmd);
        expect_bytes(&k, t[i].answer, "command");
    }
    cr_expect_eq(in8(&k.r, 0x64), 0x1c, "SYS after the self-test, last write was a command");
    out8(&k.r, 0x64, 0xa7);
    out8(&k.r, 0x64, 0xad);
    out8(&k.r, 0x64, 0x20);
    expect_bytes(&k, "77", "both ports off");
    out8(&k.r, 0x64, 0xa8);
    out8(&k.r, 0x64, 0xae);
    out8(&k.r, 0x64, 0x20);
    expect_bytes(&k, "47", "both on");
    out8(&k.r, 0x64, 0x7f);
    out8(&k.r, 0x60, 0x99);
    out8(&k.r, 0x64, 0x3f);
    expect_bytes(&k, "99", "controller RAM");
    stop(&k);
}

Test(i8042, loopback_and_irqs)
{
    struct kbc k;
    start(&k);
    out8(&k.r, 0x64, 0xd2);
    out8(&k.r, 0x60, 0x12);
    cr_expect(k.r.irq.level && !k.r.irq2.level);
    cr_expect_eq(in8(&k.r, 0x64) & 0x21, 0x01);
    cr_expect_eq(in8(&k.r, 0x60), 0x12);
    cr_expect_not(k.r.irq.level);
    out8(&k.r, 0x64, 0xd3);
    out8(&k.r, 0x60, 0x34);
    cr_expect(!k.r.irq.level && k.r.irq2.level);
    cr_expect_eq(in8(&k.r, 0x64) & 0x21, 0x21);
    ctr(&k, 0x44); /* no interrupts */
    cr_expect_not(k.r.irq2.level);
    cr_expect_eq(in8(&k.r, 0x60), 0x34);
    cr_expect_eq(in8(&k.r, 0x60), 0x34, "the latch keeps its value");
    stop(&k);
}

Test(i8042, reset_and_a20)
{
    struct kbc k;
    start(&k);
    device_reset(k.d);
    cr_expect(k.a20.level);
    out8(&k.r, 0x64, 0xd1);
    out8(&k.r, 0x60, 0xdd);
    cr_expect_not(k.a20.level);
    out8(&k.r, 0x64, 0xd0);
    expect_bytes(&k, "cd", "output port");
    i8042_note_a20(k.d, true);
    out8(&k.r, 0x64, 0xd0);
    expect_bytes(&k, "cf", "switched elsewhere");
    out8(&k.r, 0x64, 0xdd);
    cr_expect_not(k.a20.level);
    out8(&k.r, 0x64, 0xdf);
    cr_expect(k.a20.level);
    cr_expect_eq(k.reset.rises, 0);
    out8(&k.r, 0x64, 0xff);
    cr_expect_eq(k.reset.rises, 0);
    out8(&k.r, 0x64, 0xfe);
    cr_expect_eq(k.reset.rises, 1);
    out8(&k.r, 0x64, 0xd1);
    out8(&k.r, 0x60, 0xfe);
    cr_expect_eq(k.reset.rises, 2);
    stop(&k);
}

/* The second read of a handler sees the same byte; the next comes later, with its own edge. */
Test(i8042, bytes_are_spaced)
{
    struct kbc k;
    start(&k);
    key(&k, 0x04, true);
    key(&k, 0x04, false);
    cr_expect_eq(in8(&k.r, 0x60), 0x1e);
    cr_expect_eq(in8(&k.r, 0x60), 0x1e);
    cr_expect_not(k.r.irq.level);
    clock_advance(k.r.clk, 300000);
    cr_expect_eq(k.r.irq.rises, 2);
    cr_expect_eq(in8(&k.r, 0x60), 0x9e);
    stop(&k);
}

static const struct {
    u16 usage;
    const char *set1, *set2, *set3; /* make, then break */
} keys[] = {
    {0x04, "1e 9e", "1c f0 1c", "1c"},                                        /* A */
    {0x28, "1c 9c", "5a f0 5a", "5a"},                                        /* Enter */
    {0x29, "01 81", "76 f0 76", "08"},                                        /* Esc */
    {0x40, "41 c1", "83 f0 83", "37"},                                        /* F7 */
    {0x45, "58 d8", "07 f0 07", "5e"},                                        /* F12 */
    {0x39, "3a ba", "58 f0 58", "14 f0 14"},                                  /* Caps Lock */
    {0x46, "e0 2a e0 37 e0 b7 e0 aa", "e0 12 e0 7c e0 f0 7c e0 f0 12", "57"}, /* PrtSc */
    {0x48, "e1 1d 45 e1 9d c5", "e1 14 77 e1 f0 14 f0 77", "62"},             /* Pause */
    {0x52, "e0 48 e0 c8", "e0 75 e0 f0 75", "63"},                            /* Up */
    {0x54, "e0 35 e0 b5", "e0 4a e0 f0 4a", "77"},                            /* keypad / */
    {0x58, "e0 1c e0 9c", "e0 5a e0 f0 5a", "79"},                            /* keypad Enter */
    {0x64, "56 d6", "61 f0 61", "13"},                                        /* 102nd key */
    {0xe1, "2a aa", "12 f0 12", "12 f0 12"},                                  /* left Shift */
    {0xe3, "e0 5b e0 db", "e0 1f e0 f0 1f", "8b"},                            /* left GUI */
    {0xe6, "e0 38 e0 b8", "e0 11 e0 f0 11", "39"},                            /* right Alt */
    {0x03, "", "", ""},
    {0x1ff, "", "", ""},
};

Test(i8042, scan_codes)
{
    struct kbc k;
    start(&k);
    for (int mode = 0; mode < 4; mode++) { /* translated, then sets 1, 2, 3 untranslated */
        ctr(&k, mode ? 0x03 : 0x43);
        kbd_cmd(&k, 0xf0);
        kbd_cmd(&k, mode ? (u8)mode : 2);
        while (get(&k) >= 0)
            ;
        for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
            key(&k, keys[i].usage, true);
            key(&k, keys[i].usage, false);
            expect_bytes(&k,
                         mode < 2    ? keys[i].set1
                         : mode == 2 ? keys[i].set2
                                     : keys[i].set3,
                         "key");
        }
    }
    stop(&k);
}

Test(i8042, special_combinations)
{
    struct kbc k;
    start(&k);
    key(&k, 0xe0, true);
    key(&k, 0x48, true);
    key(&k, 0x48, false);
    expect_bytes(&k, "1d e0 46 e0 c6", "Ctrl-Pause is Break");
    key(&k, 0x46, true);
    key(&k, 0x46, false);
    key(&k, 0xe0, false);
    expect_bytes(&k, "e0 37 e0 b7 9d", "Ctrl-PrtSc");
    key(&k, 0xe2, true);
    key(&k, 0x46, true);
    key(&k, 0x46, false);
    key(&k, 0xe2, false);
    expect_bytes(&k, "38 54 d4 b8", "Alt-PrtSc is SysRq");
    key(&k, 0x04, true);
    key(&k, 0x04, true);
    key(&k, 0x04, false);
    key(&k, 0x04, false);
    expect_bytes(&k, "1e 1e 9e", "repeat; one release");
    stop(&k);
}

Test(i8042, keyboard_commands)
{
    struct kbc k;
    start(&k);
    ctr(&k, 0x03);
    static const struct {
        u8 bytes[4];
        int n;
        const char *answer;
    } t[] = {
        {{0xee}, 1, "ee"},
        {{0xf2}, 1, "fa ab 83"},
        {{0xed, 0x07}, 2, "fa fa"},
        {{0xf3, 0x20}, 2, "fa fa"},
        {{0xf0, 0x00}, 2, "fa fa 02"},
        {{0xf0, 0x03, 0xf0, 0x00}, 4, "fa fa fa fa 03"},
        {{0xf0, 0x02}, 2, "fa fa"},
        {{0xf0, 0x07}, 2, "fa fe"},
        {{0xed, 0xf2}, 2, "fa fa ab 83"}, /* a command where an argument should be */
        {{0xfe}, 1, "83"},                /* resend */
        {{0xfc, 0x1c, 0x32, 0xf4}, 4, "fa"},
        {{0x00}, 1, "fe"},
        {{0xf6}, 1, "fa"},
        {{0xff}, 1, "fa aa"},
    };
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        for (int j = 0; j < t[i].n; j++)
            kbd_cmd(&k, t[i].bytes[j]);
        if (t[i].bytes[0] == 0xfc) { /* F4 clears what was queued, but not what is in the port */
            int n = 0;
            while (get(&k) == 0xfa)
                n++;
            cr_expect_eq(n, 2);
            continue;
        }
        expect_bytes(&k, t[i].answer, "keyboard command");
    }
    kbd_cmd(&k, 0xed);
    kbd_cmd(&k, 0x05);
    cr_expect_eq(ps2_keyboard_leds(k.kbd), 5);
    while (get(&k) >= 0)
        ;
    kbd_cmd(&k, 0xf5);
    cr_expect_eq(get(&k), 0xfa);
    key(&k, 0x04, true);
    cr_expect_eq(get(&k), -1, "not scanning");
    kbd_cmd(&k, 0xf4);
    cr_expect_eq(get(&k), 0xfa);
    key(&k, 0x04, true);
    cr_expect_eq(get(&k), 0x1c);
    ctr(&k, 0x43);
    kbd_cmd(&k, 0xf2);
    expect_bytes(&k, "fa ab 41", "the ID is translated too");
    stop(&k);
}

Test(i8042, set3_key_types)
{
    struct kbc k;
    start(&k);
    ctr(&k, 0x03);
    kbd_cmd(&k, 0xf0);
    kbd_cmd(&k, 3);
    kbd_cmd(&k, 0xf8); /* all make/break */
    while (get(&k) >= 0)
        ;
    key(&k, 0x04, true);
    key(&k, 0x04, true);
    key(&k, 0x04, false);
    expect_bytes(&k, "1c f0 1c", "no repeat");
    kbd_cmd(&k, 0xfb);
    kbd_cmd(&k, 0x1c); /* A: typematic */
    while (get(&k) >= 0)
        ;
    key(&k, 0x04, true);
    key(&k, 0x04, true);
    key(&k, 0x04, false);
    expect_bytes(&k, "1c 1c", "no break");
    stop(&k);
}

Test(i8042, keyboard_held_and_overrun)
{
    struct kbc k;
    start(&k);
    out8(&k.r, 0x64, 0xad);
    for (int i = 0; i < 100; i++) {
        key(&k, 0x04, true);
        key(&k, 0x04, false);
    }
    cr_expect_eq(get(&k), -1);
    out8(&k.r, 0x64, 0xae);
    int n = 0, last = 0, b;
    while ((b = get(&k)) >= 0) {
        n++;
        last = b;
    }
    cr_expect(n > 30 && n < 64, "%d", n);
    cr_expect_eq(last, 0xff, "overrun code 00, translated");
    key(&k, 0x05, true);
    cr_expect_eq(get(&k), 0x30);
    stop(&k);
}

static void move(struct kbc *k, int dx, int dy, int wheel, u32 buttons)
{
    k->in->mouse(k->in->ctx, dx, dy, wheel, buttons);
}

Test(i8042, mouse_commands)
{
    struct kbc k;
    start(&k);
    static const struct {
        u8 bytes[2];
        int n;
        const char *answer;
    } t[] = {
        {{0xff}, 1, "fa aa 00"}, {{0xf2}, 1, "fa 00"},       {{0xe9}, 1, "fa 00 02 64"},
        {{0xe8, 3}, 2, "fa"},    {{0xe7}, 1, "fa"},          {{0xf3, 200}, 2, "fa"},
        {{0xf4}, 1, "fa"},       {{0xe9}, 1, "fa 30 03 c8"}, {{0xe8, 4}, 2, "fe"},
        {{0xf3, 123}, 2, "fe"},  {{0xf0}, 1, "fa"},          {{0xe9}, 1, "fa 70 03 c8"},
        {{0xea}, 1, "fa"},       {{0xee}, 1, "fa"},          {{0xf2}, 1, "f2"},
        {{0xec}, 1, "fa"},       {{0xf6}, 1, "fa"},          {{0xe9}, 1, "fa 00 02 64"},
        {{0x01}, 1, "fe"},
    };
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        aux_cmd(&k, t[i].bytes[0]);
        if (t[i].n == 2) {
            cr_expect_eq(get(&k), 0xfa);
            aux_cmd(&k, t[i].bytes[1]);
        }
        expect_bytes(&k, t[i].answer, "mouse command");
    }
    stop(&k);
}

static void aux_quiet(struct kbc *k, const u8 *bytes, int n)
{
    for (int i = 0; i < n; i++) {
        aux_cmd(k, bytes[i]);
        while (get(k) >= 0)
            ;
    }
}

Test(i8042, mouse_packets)
{
    struct kbc k;
    start(&k);
    move(&k, 5, 5, 0, 0);
    cr_expect_eq(get(&k), -1, "not enabled");
    aux_quiet(&k, (const u8[]){0xf4}, 1);
    move(&k, 5, 3, 0, 1);
    cr_expect(k.r.irq2.level);
    expect_bytes(&k, "29 05 fd", "right and down, left button");
    move(&k, -1, -2, 1, 6);
    expect_bytes(&k, "1e ff 02", "no wheel yet");
    move(&k, 0, 0, 0, 6);
    expect_bytes(&k, "", "nothing new");
    move(&k, 600, 0, 0, 0);
    expect_bytes(&k, "08 ff 00 08 ff 00 08 5a 00", "in three packets");
    move(&k, 1, 0, 0, 0);
    move(&k, 2, 0, 0, 0);
    move(&k, 3, 0, 0, 0);
    move(&k, 0, 0, 0, 1);
    move(&k, 0, 0, 0, 0);
    expect_bytes(&k, "08 01 00 09 05 00 08 00 00", "motion gathers, clicks do not");
    aux_quiet(&k, (const u8[]){0xe7}, 1);
    move(&k, 3, 10, 0, 0);
    expect_bytes(&k, "28 03 ec", "scaled 2:1");
    aux_quiet(&k, (const u8[]){0xe6, 0xf0}, 2);
    move(&k, 7, 0, 0, 0);
    cr_expect_eq(get(&k), -1, "remote");
    aux_cmd(&k, 0xeb);
    expect_bytes(&k, "fa 08 07 00", "read data");
    stop(&k);
}

Test(i8042, intellimouse)
{
    struct kbc k;
    start(&k);
    aux_quiet(&k, (const u8[]){0xf3, 200, 0xf3, 100, 0xf3, 80}, 6);
    aux_cmd(&k, 0xf2);
    expect_bytes(&k, "fa 03", "wheel");
    aux_quiet(&k, (const u8[]){0xf4}, 1);
    move(&k, 0, 0, 1, 0);
    expect_bytes(&k, "08 00 00 ff", "wheel up");
    move(&k, 0, 0, -2, 0);
    expect_bytes(&k, "08 00 00 02", "wheel down");
    aux_quiet(&k, (const u8[]){0xf3, 200, 0xf3, 200, 0xf3, 80}, 6);
    aux_cmd(&k, 0xf2);
    expect_bytes(&k, "fa 04", "five buttons");
    move(&k, 0, 0, 1, 0x18);
    expect_bytes(&k, "08 00 00 3f", "side buttons and wheel");
    aux_cmd(&k, 0xff);
    expect_bytes(&k, "fa aa 00", "plain again");
    stop(&k);
}

Test(i8042, state_moves)
{
    struct kbc a, b;
    start(&a);
    start(&b);
    key(&a, 0x04, true);
    key(&a, 0x05, true);
    aux_cmd(&a, 0xf2);
    cr_expect(clone_state(a.kbd, b.kbd));
    cr_expect(clone_state(a.d, b.d));
    cr_expect(clone_state(a.mouse, b.mouse));
    expect_bytes(&b, "1e 30 fa 00", "queues");
    expect_bytes(&a, "1e 30 fa 00", "queues");
    stop(&a);
    stop(&b);
}

Test(i8042, hostile)
{
    struct kbc k;
    start(&k);
    for (u32 i = 0; i < 200; i++) {
        bool ok = poison_state(k.d, i);
        ok &= poison_state(k.kbd, i + 7);
        ok &= poison_state(k.mouse, i + 9);
        if (!ok) {
            device_reset(k.kbd);
            device_reset(k.mouse);
            device_reset(k.d);
        }
        for (u32 j = 0; j < 20; j++) {
            hammer(&k.r, 0x60, 5, i * 31 + j, 30);
            key(&k, (u16)(i * 37 + j * 11), j & 1);
            move(&k, (int)(i << 24), (int)(j << 27), (int)j - 10, i + j);
        }
    }
    stop(&k);
}
