/*
 * roms/modes/main.c - the picture guest: a screen in each kind of mode a VGA program uses, drawn by
 * writing the adapter's registers and memory, without firmware.
 *
 * Keys 1 to 5 draw; 6 animates a frame buffer of 1024x768x32 at 60 pictures a second, every pixel
 * anew each time, 7 the same with one moving square, and any key ends that. A digit at serial port
 * 0 is a key too; the port gets "READY", "MODE n" when a picture is complete, and "FRAMES n" when
 * an animation ends. What is where in the pictures is the contract with
 * tests/system/desktop/modes.py.
 *
 * Manuals: IBM VGA technical reference; Bochs VBE extensions (dispi).
 */
#include "roms/console.h"

extern char bss_begin[], bss_end[];

#define FRAMEBUFFER 0xe0000000ul
enum { PIT_60HZ = 19886, WIDE = 1024, HIGH = 768 };

static void indexed(u16 port, u8 index, u8 v)
{
    outw(port, (u16)(index | v << 8));
}

/* ---- serial port ----------------------------------------------------------------------------- */
static void say(const char *text)
{
    for (; *text; text++) {
        while (!(inb(0x3fd) & 0x20)) {
        }
        outb(0x3f8, (u8)*text);
    }
}

static void say_number(const char *what, u32 n)
{
    char text[12], *p = text + 11;
    *p = 0;
    do
        *--p = (char)('0' + n % 10);
    while (n /= 10);
    say(what);
    say(p);
    say("\n");
}

/* ---- modes ----------------------------------------------------------------------------------- */
struct mode {
    u8 misc, memory, graphics_mode, ac_mode;
    u8 crtc[25];
};

static const struct mode planar = {
    0xe3, 0x06, 0x00, 0x01, {0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0x0b, 0x3e, 0x00,
                             0x40, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xea, 0x8c,
                             0xdf, 0x28, 0x00, 0xe7, 0x04, 0xe3, 0xff}};
static const struct mode mode_13h = {
    0x63, 0x0e, 0x40, 0x41, {0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0x00,
                             0x41, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x9c, 0x8e,
                             0x8f, 0x28, 0x40, 0x96, 0xb9, 0xa3, 0xff}};
static const struct mode mode_x = {
    0xe3, 0x06, 0x40, 0x41, {0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0x0d, 0x3e, 0x00,
                             0x41, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xea, 0xac,
                             0xdf, 0x28, 0x00, 0xe7, 0x06, 0xe3, 0xff}};

static void vbe(u16 index, u16 v)
{
    outw(0x1ce, index);
    outw(0x1cf, v);
}

/* Colour k: red rises, green falls, blue goes round three times. */
static void palette(void)
{
    outb(0x3c6, 0xff);
    outb(0x3c8, 0);
    for (u32 k = 0; k < 256; k++) {
        outb(0x3c9, (u8)(k >> 2));
        outb(0x3c9, (u8)((255 - k) >> 2));
        outb(0x3c9, (u8)((k * 3 & 255) >> 2));
    }
}

static void set_mode(const struct mode *m)
{
    vbe(4, 0);
    outb(0x3c2, m->misc);
    indexed(0x3c4, 0, 1);
    indexed(0x3c4, 1, 0x01);
    indexed(0x3c4, 2, 0x0f);
    indexed(0x3c4, 3, 0);
    indexed(0x3c4, 4, m->memory);
    indexed(0x3c4, 0, 3);
    for (u8 k = 0; k < 9; k++)
        indexed(0x3ce, k,
                k == 5   ? m->graphics_mode
                : k == 6 ? 0x05
                : k == 7 ? 0x0f
                : k == 8 ? 0xff
                         : 0);
    indexed(0x3d4, 0x11, 0);
    for (u8 k = 0; k < 25; k++)
        indexed(0x3d4, k, m->crtc[k]);
    inb(0x3da);
    for (u8 k = 0; k < 16; k++) {
        outb(0x3c0, k);
        outb(0x3c0, m->graphics_mode & 0x40 ? k : (u8)(k << 2)); /* of 16 every fourth of 64 */
    }
    static const u8 more[] = {0, 0x0f, 0, 0};
    outb(0x3c0, 0x10);
    outb(0x3c0, m->ac_mode);
    for (u8 k = 0; k < 4; k++) {
        outb(0x3c0, (u8)(0x11 + k));
        outb(0x3c0, more[k]);
    }
    outb(0x3c0, 0x20);
    palette();
}

static volatile u8 *const window = (volatile u8 *)0xa0000;

/* ---- pictures -------------------------------------------------------------------------------- */
/* Sixteen bars of 40 dots over 400 lines, a plane at a time; below, by set/reset and the bit mask,
 * two colours in stripes of one dot; a diagonal by write mode 2; and lines 440 on are a copy of the
 * first 40 by the latches. */
static void draw_planar(void)
{
    set_mode(&planar);
    for (u32 p = 0; p < 4; p++) {
        indexed(0x3c4, 2, (u8)(1 << p));
        for (u32 a = 0; a < 400 * 80; a++)
            window[a] = a % 80 / 5 >> p & 1 ? 0xff : 0;
    }
    indexed(0x3c4, 2, 0x0f);
    indexed(0x3ce, 1, 0x0f); /* all planes from set/reset */
    for (u32 k = 0; k < 2; k++) {
        indexed(0x3ce, 0, k ? 12 : 3);
        indexed(0x3ce, 8, k ? 0xaa : 0x55);
        for (u32 a = 400 * 80; a < 440 * 80; a++) {
            (void)window[a]; /* the latches */
            window[a] = 0xff;
        }
    }
    indexed(0x3ce, 1, 0);
    indexed(0x3ce, 5, 2);
    for (u32 k = 0; k < 400; k++) {
        indexed(0x3ce, 8, (u8)(0x80 >> (k & 7)));
        (void)window[k * 80 + k / 8];
        window[k * 80 + k / 8] = 15;
    }
    indexed(0x3ce, 5, 1); /* copies of four planes at once */
    indexed(0x3ce, 8, 0xff);
    for (u32 a = 0; a < 40 * 80; a++)
        window[440 * 80 + a] = window[a];
    indexed(0x3ce, 5, 0);
}

static void draw_13h(void)
{
    set_mode(&mode_13h);
    for (u32 y = 0; y < 200; y++)
        for (u32 x = 0; x < 320; x++)
            window[y * 320 + x] = (u8)(x + y);
}

static void draw_x(void)
{
    set_mode(&mode_x);
    for (u32 p = 0; p < 4; p++) {
        indexed(0x3c4, 2, (u8)(1 << p));
        for (u32 y = 0; y < 240; y++)
            for (u32 x = p; x < 320; x += 4)
                window[y * 80 + x / 4] = (u8)(x ^ y);
    }
}

static u32 config(u32 slot, u32 reg)
{
    outl(0xcf8, 0x80000000u | slot << 11 | reg);
    return inl(0xcfc);
}

static void set_config(u32 slot, u32 reg, u32 v)
{
    outl(0xcf8, 0x80000000u | slot << 11 | reg);
    outl(0xcfc, v);
}

/* The display adapter's memory to where we look for it. */
static void place_framebuffer(void)
{
    for (u32 slot = 0; slot < 32; slot++) {
        if (config(slot, 8) >> 16 != 0x0300)
            continue;
        set_config(slot, 0x10, (u32)FRAMEBUFFER);
        set_config(slot, 4, 3);
    }
}

static void set_vbe(u16 w, u16 h, u16 bits)
{
    vbe(4, 0);
    vbe(1, w);
    vbe(2, h);
    vbe(3, bits);
    vbe(4, 0x41);
    outb(0x3c0, 0x20);
}

static void draw_24(void)
{
    volatile u8 *p = (volatile u8 *)FRAMEBUFFER;
    set_vbe(800, 600, 24);
    for (u32 y = 0; y < 600; y++) {
        for (u32 x = 0; x < 800; x++) {
            *p++ = (u8)(x + y);
            *p++ = (u8)y;
            *p++ = (u8)x;
        }
    }
}

static void draw_32(void)
{
    volatile u32 *p = (volatile u32 *)FRAMEBUFFER;
    set_vbe(WIDE, HIGH, 32);
    for (u32 y = 0; y < HIGH; y++)
        for (u32 x = 0; x < WIDE; x++)
            *p++ = (x & 255) << 16 | (y & 255) << 8 | ((x + y) & 255);
}

/* ---- animation ------------------------------------------------------------------------------- */
struct gate {
    u16 low, selector;
    u8 ist, type;
    u16 mid;
    u32 high, zero;
} __attribute__((packed));

static struct gate idt[256];
volatile u32 ticks;

/* The timer's interrupt. */
void on_tick(void);
asm(".globl on_tick\n"
    "on_tick:\n\t"
    "incl ticks\n\t"
    "pushq %rax\n\t"
    "movb $0x20, %al\n\t"
    "outb %al, $0x20\n\t"
    "popq %rax\n\t"
    "iretq\n");

static void start_timer(void)
{
    u64 p = (u64)on_tick;
    idt[32] = (struct gate){.low = (u16)p,
                            .selector = 0x18,
                            .type = 0x8e,
                            .mid = (u16)(p >> 16),
                            .high = (u32)(p >> 32)};
    struct {
        u16 limit;
        u64 base;
    } __attribute__((packed)) table = {sizeof idt - 1, (u64)idt};
    asm volatile("lidt %0" ::"m"(table));
    static const u8 pic[][2] = {{0x20, 0x11}, {0x21, 0x20}, {0x21, 4}, {0x21, 1},    {0xa0, 0x11},
                                {0xa1, 0x28}, {0xa1, 2},    {0xa1, 1}, {0x21, 0xfe}, {0xa1, 0xff}};
    for (u32 k = 0; k < sizeof pic / sizeof pic[0]; k++)
        outb(pic[k][0], pic[k][1]);
    outb(0x43, 0x34);
    outb(0x40, (u8)PIT_60HZ);
    outb(0x40, PIT_60HZ >> 8);
}

static void fill(u32 x0, u32 y0, u32 w, u32 h, u32 colour)
{
    for (u32 y = y0; y < y0 + h; y++) {
        u32 *p = (u32 *)FRAMEBUFFER + y * WIDE + x0;
        u64 n = w;
        asm volatile("rep stosl" : "+D"(p), "+c"(n) : "a"(colour) : "memory");
    }
}

/* ---- keys ------------------------------------------------------------------------------------ */
/* A key that goes down (scan code set 1), or a digit at the serial port: its number. 0: none. */
static int pressed(void)
{
    if (inb(0x3fd) & 1)
        return inb(0x3f8) - '0';
    if (!(inb(0x64) & 1))
        return 0;
    int code = inb(0x60);
    return code < 0x80 ? code - 1 : 0;
}

static void animate(int all)
{
    u32 frames = 0;
    draw_32();
    ticks = 0;
    while (!pressed()) {
        u32 now = ticks;
        if (all) { /* bands that move up a line at a time */
            for (u32 y = 0; y < HIGH; y++)
                fill(0, y, WIDE, 1, ((y + frames) & 255) * 0x010101u ^ 0x2040);
        } else {
            u32 before = (frames - 1) % 800, x = frames % 800;
            fill(before, 300, 128, 128, 0);
            fill(x, 300, 128, 128, 0xff8020);
        }
        frames++;
        while (ticks == now)
            asm volatile("sti; hlt; cli");
    }
    say_number("FRAMES ", frames);
}

__attribute__((section(".text.entry"), noreturn)) void guest_main(void);
void guest_main(void)
{
    for (u64 *p = (u64 *)bss_begin; p < (u64 *)bss_end; p++)
        *(volatile u64 *)p = 0;
    place_framebuffer();
    start_timer();
    say("READY\n");
    for (;;) {
        int n = pressed();
        switch (n) {
        case 6:
        case 7:
            say_number("MODE ", (u32)n);
            animate(n == 6);
            continue;
        case 1:
            draw_planar();
            break;
        case 2:
            draw_13h();
            break;
        case 3:
            draw_x();
            break;
        case 4:
            draw_24();
            break;
        case 5:
            draw_32();
            break;
        default:
            continue;
        }
        say_number("MODE ", (u32)n);
    }
}
