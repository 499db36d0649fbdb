/*
 * tests/devices/test_vga.c - text cells, planes and write modes, DAC, VBE modes, retrace, the PCI
 * function, and pictures.
 */
#include "tests/devices/pci_rig.h"
#include "devices/vga.h"

enum { SLOT = 2, LFB = 0xe0000000, MMIO = 0xfebf0000u };

struct card {
    struct pci_rig p;
    struct device *d;
    struct screen *scr;
    u8 rom[4096];
};

static void init(struct card *c)
{
    pci_rig_init(&c->p, true);
    memset(c->rom, 0, sizeof(c->rom));
    c->rom[0] = 0x55;
    c->rom[1] = 0xaa;
    cr_assert_eq(vga_new(c->p.bus, SLOT, c->p.mem, c->p.r.ports, c->rom, sizeof(c->rom), c->p.r.clk,
                         &c->d, NULL),
                 ST_OK);
    c->scr = vga_screen(c->d);
    device_reset(c->d);
    cfg_write(&c->p, SLOT << 3, PCI_BAR0, LFB, 4);
    cfg_write(&c->p, SLOT << 3, PCI_BAR0 + 8, MMIO, 4);
    cfg_write(&c->p, SLOT << 3, PCI_COMMAND, 3, 2);
}

static void fini(struct card *c)
{
    device_destroy(c->d);
    pci_rig_fini(&c->p);
}

static void idx(struct card *c, u16 port, u8 i, u8 v)
{
    space_write(c->p.r.ports, port, (u64)(i | v << 8), 2);
}

static void vbe(struct card *c, u16 i, u16 v)
{
    space_write(c->p.r.ports, 0x1ce, i, 2);
    space_write(c->p.r.ports, 0x1cf, v, 2);
}

static u16 vbe_get(struct card *c, u16 i)
{
    space_write(c->p.r.ports, 0x1ce, i, 2);
    return (u16)space_read(c->p.r.ports, 0x1cf, 2);
}

static u8 mem8(struct card *c, u32 at)
{
    return (u8)space_read(c->p.mem, at, 1);
}

static void put8(struct card *c, u32 at, u8 v)
{
    space_write(c->p.mem, at, v, 1);
}

Test(vga, text_cells_and_cursor)
{
    struct card c;
    int cols, rows, cx, cy;
    init(&c);
    vga_set_text_mode(c.d, NULL);
    const char *hi = "Hello";
    for (u32 k = 0; k < 5; k++) {
        put8(&c, 0xb8000 + 160 * 3 + k * 2, (u8)hi[k]);
        put8(&c, 0xb8000 + 160 * 3 + k * 2 + 1, 0x1e);
    }
    idx(&c, 0x3d4, 0x0e, (80 * 3 + 5) >> 8);
    idx(&c, 0x3d4, 0x0f, (80 * 3 + 5) & 0xff);
    const u16 *t = c.scr->text(c.scr->ctx, &cols, &rows, &cx, &cy);
    cr_assert(t);
    cr_expect_eq(cols, 80);
    cr_expect_eq(rows, 25);
    cr_expect_eq(cx, 5);
    cr_expect_eq(cy, 3);
    for (int k = 0; k < 5; k++)
        cr_expect_eq(t[80 * 3 + k], 0x1e00 | hi[k]);
    cr_expect_eq(t[0], 0x0720);
    cr_expect_eq(mem8(&c, 0xb8000 + 160 * 3), 'H');
    cr_expect_eq(mem8(&c, 0xa0000), 0xff, "nothing answers outside the window");
    /* scrolling by start address */
    idx(&c, 0x3d4, 0x0d, 240);
    t = c.scr->text(c.scr->ctx, &cols, &rows, &cx, &cy);
    cr_expect_eq(t[0] & 0xff, 'H');
    fini(&c);
}

Test(vga, picture_of_text)
{
    struct card c;
    static u32 px[720 * 400];
    static u8 font[VGA_FONT_SIZE];
    int w = 0, h = 0;
    init(&c);
    memset(font, 0, sizeof(font));
    font['A' * 16 + 2] = 0x81;
    font[0xc4 * 16 + 2] = 0xff;
    vga_set_text_mode(c.d, font);
    idx(&c, 0x3d4, 0x0a, 0x20); /* no cursor */
    put8(&c, 0xb8000, 'A');
    put8(&c, 0xb8001, 0x1f);
    put8(&c, 0xb8002, 0xc4);
    put8(&c, 0xb8003, 0x04);
    cr_expect(c.scr->render(c.scr->ctx, px, ARRAY_LEN(px), &w, &h));
    cr_assert_eq(w, 720);
    cr_assert_eq(h, 400);
    u32 *l = px + 720 * 2;
    cr_expect_eq(l[0], 0xffffff);
    cr_expect_eq(l[1], 0x0000aa);
    cr_expect_eq(l[7], 0xffffff);
    cr_expect_eq(l[8], 0x0000aa, "an ordinary glyph's ninth column is background");
    for (int k = 9; k < 18; k++)
        cr_expect_eq(l[k], 0xaa0000, "a rule reaches into the ninth column");
    cr_expect(!c.scr->render(c.scr->ctx, px, ARRAY_LEN(px), &w, &h), "nothing changed");
    put8(&c, 0xb8000, ' ');
    cr_expect(c.scr->render(c.scr->ctx, px, ARRAY_LEN(px), &w, &h));
    cr_expect(!c.scr->render(c.scr->ctx, px, 100, &w, &h), "too small a buffer");
    cr_expect_eq(w, 720);
    fini(&c);
}

/* Mode 12h's memory path: 64 KiB window, planes by mask. */
static void planar(struct card *c)
{
    vga_set_text_mode(c->d, NULL);
    idx(c, 0x3c4, 4, 6);
    idx(c, 0x3c4, 2, 15);
    idx(c, 0x3ce, 5, 0);
    idx(c, 0x3ce, 6, 5);
}

static u32 all_planes(struct card *c, u32 at)
{
    u32 v = 0;
    for (u32 p = 0; p < 4; p++) {
        idx(c, 0x3ce, 4, (u8)p);
        v |= (u32)mem8(c, at) << (8 * p);
    }
    return v;
}

Test(vga, write_modes)
{
    struct card c;
    init(&c);
    planar(&c);
    idx(&c, 0x3c4, 2, 5);
    put8(&c, 0xa0010, 0x00);
    idx(&c, 0x3c4, 2, 15);
    put8(&c, 0xa0010, 0x5a);
    cr_expect_eq(all_planes(&c, 0xa0010), 0x5a5a5a5a);

    idx(&c, 0x3c4, 2, 6); /* map mask */
    put8(&c, 0xa0010, 0xff);
    cr_expect_eq(all_planes(&c, 0xa0010), 0x5affff5a);

    idx(&c, 0x3c4, 2, 15);
    idx(&c, 0x3ce, 3, 4); /* rotate by 4 */
    put8(&c, 0xa0010, 0x5a);
    cr_expect_eq(all_planes(&c, 0xa0010), 0xa5a5a5a5);
    idx(&c, 0x3ce, 3, 0x18); /* XOR with the latches, which hold A5 */
    mem8(&c, 0xa0010);
    put8(&c, 0xa0010, 0xff);
    cr_expect_eq(all_planes(&c, 0xa0010), 0x5a5a5a5a);
    idx(&c, 0x3ce, 3, 0);

    idx(&c, 0x3ce, 0, 0x2); /* set/reset: plane 1 set, plane 0 reset, others from the CPU */
    idx(&c, 0x3ce, 1, 0x3);
    put8(&c, 0xa0010, 0x0f);
    cr_expect_eq(all_planes(&c, 0xa0010), 0x0f0fff00);
    idx(&c, 0x3ce, 1, 0);

    idx(&c, 0x3ce, 8, 0xf0); /* bit mask keeps the latches' low nibble */
    mem8(&c, 0xa0010);
    put8(&c, 0xa0010, 0x33);
    cr_expect_eq(all_planes(&c, 0xa0010), 0x3f3f3f30);
    idx(&c, 0x3ce, 8, 0xff);

    idx(&c, 0x3ce, 5, 1); /* write mode 1 copies latches */
    mem8(&c, 0xa0010);
    put8(&c, 0xa0020, 0);
    cr_expect_eq(all_planes(&c, 0xa0020), 0x3f3f3f30);

    idx(&c, 0x3ce, 5, 2); /* write mode 2: a colour */
    put8(&c, 0xa0030, 0x9);
    cr_expect_eq(all_planes(&c, 0xa0030), 0xff0000ff);

    idx(&c, 0x3ce, 5, 3); /* write mode 3: set/reset through the CPU's mask */
    idx(&c, 0x3ce, 0, 0x6);
    mem8(&c, 0xa0030);
    put8(&c, 0xa0030, 0x0f);
    cr_expect_eq(all_planes(&c, 0xa0030), 0xf00f0ff0);

    idx(&c, 0x3ce, 5, 8); /* read mode 1: where is colour 9? */
    idx(&c, 0x3ce, 2, 9);
    idx(&c, 0x3ce, 7, 15);
    cr_expect_eq(mem8(&c, 0xa0030), 0xf0);
    fini(&c);
}

Test(vga, chain4_picture)
{
    struct card c;
    static u32 px[640 * 400];
    int w, h;
    init(&c);
    planar(&c);
    idx(&c, 0x3c4, 4, 0x0e);
    idx(&c, 0x3c4, 1, 1);
    idx(&c, 0x3ce, 5, 0x40);
    idx(&c, 0x3d4, 0x11, 0x0e); /* unlock */
    idx(&c, 0x3d4, 0x09, 0x41);
    idx(&c, 0x3d4, 0x14, 0x40);
    idx(&c, 0x3d4, 0x17, 0xa3);
    for (u32 k = 0; k < 320 * 200; k++)
        put8(&c, 0xa0000 + k, (u8)(k % 320 == 319 ? 2 : k / 320));
    cr_expect_eq(mem8(&c, 0xa0000 + 320 * 77 + 3), 77);
    c.scr->render(c.scr->ctx, px, ARRAY_LEN(px), &w, &h);
    cr_assert_eq(w, 640);
    cr_assert_eq(h, 400);
    cr_expect_eq(px[640 * 8], 0xaa0000, "line 4 is colour 4 of the DAC");
    cr_expect_eq(px[640 * 9 + 637], 0xaa0000);
    cr_expect_eq(px[640 * 9 + 638], 0x00aa00);
    cr_expect_eq(px[640 * 9 + 639], 0x00aa00);
    fini(&c);
}

Test(vga, dac_and_attributes)
{
    struct card c;
    init(&c);
    struct rig *r = &c.p.r;
    const struct step st[] = {
        {'w', 0x3c8, 7},
        {'w', 0x3c9, 0xff},
        {'w', 0x3c9, 2},
        {'w', 0x3c9, 3},
        {'w', 0x3c9, 4},
        {'w', 0x3c7, 7},
        {'r', 0x3c7, 3},
        {'r', 0x3c9, 0x3f},
        {'r', 0x3c9, 2},
        {'r', 0x3c9, 3},
        {'r', 0x3c9, 0},
        {'w', 0x3c6, 0x55},
        {'r', 0x3c6, 0x55},
        {'r', 0x3da, 0, 1},
        {'w', 0x3c0, 3},
        {'w', 0x3c0, 0x2a},
        {'w', 0x3c0, 4},
        {'r', 0x3da, 0, 1},
        {'w', 0x3c0, 3},
        {'r', 0x3c1, 0x2a},
        {'r', 0x3d4, 0, 0xff},
        {'r', 0x3b4, 0xff, 0},
        {0},
    };
    vga_set_text_mode(c.d, NULL);
    run_steps(r, st);
    out8(r, 0x3c2, 0x66); /* monochrome addresses */
    cr_expect_eq(in8(r, 0x3d4), 0xff);
    cr_expect_eq(in8(r, 0x3b4), 0);
    /* the lock on CRTC 0-7 spares line compare bit 8 */
    out8(r, 0x3c2, 0x67);
    idx(&c, 0x3d4, 0x00, 0x12);
    out8(r, 0x3d4, 0);
    cr_expect_eq(in8(r, 0x3d5), 0x5f);
    idx(&c, 0x3d4, 0x07, 0x00);
    out8(r, 0x3d4, 7);
    cr_expect_eq(in8(r, 0x3d5), 0x0f);
    fini(&c);
}

Test(vga, retrace_follows_the_clock)
{
    struct card c;
    init(&c);
    vga_set_text_mode(c.d, NULL);
    u32 rises = 0, frames_ns = 100 * 1000 * 1000;
    u8 was = 0;
    for (u32 t = 0; t < frames_ns; t += 10000) {
        u8 now = in8(&c.p.r, 0x3da) & 8;
        rises += now && !was;
        was = now;
        clock_advance(c.p.r.clk, 10000);
    }
    cr_expect_eq(rises, 7, "70 Hz: 7 in 100 ms, not %u", rises);
    fini(&c);
}

Test(vga, vbe_modes)
{
    struct card c;
    static u32 px[1024 * 768];
    int w, h;
    init(&c);
    cr_expect_eq(vbe_get(&c, 0), 0xb0c5);
    cr_expect_eq(vbe_get(&c, 10), 256);
    vbe(&c, 4, 2);
    cr_expect_eq(vbe_get(&c, 1), 2560);
    cr_expect_eq(vbe_get(&c, 3), 32);
    vbe(&c, 4, 0);
    vbe(&c, 1, 800);
    vbe(&c, 2, 600);
    vbe(&c, 3, 32);
    space_write(c.p.mem, LFB, 0xffffffff, 4);
    vbe(&c, 4, 0x41);
    cr_expect_eq(space_read(c.p.mem, LFB, 4), 0, "enabling clears");
    cr_expect_eq(vbe_get(&c, 6), 800);
    cr_expect_eq(vbe_get(&c, 7), VGA_VRAM_SIZE / 3200);
    space_write(c.p.mem, LFB + 800 * 4 + 8, 0x00123456, 4);
    c.scr->render(c.scr->ctx, px, ARRAY_LEN(px), &w, &h);
    cr_assert_eq(w, 800);
    cr_assert_eq(h, 600);
    cr_expect_eq(px[802], 0x123456);
    cr_expect_null(c.scr->text(c.scr->ctx, &w, &h, &w, &h));
    vbe(&c, 9, 1); /* panned by one line */
    c.scr->render(c.scr->ctx, px, ARRAY_LEN(px), &w, &h);
    cr_expect_eq(px[2], 0x123456);

    /* the same memory through the 64 KiB window, bank 1 */
    idx(&c, 0x3ce, 6, 5);
    out8(&c.p.r, 0x3c2, 3);
    vbe(&c, 5, 1);
    put8(&c, 0xa0004, 0x77);
    cr_expect_eq(space_read(c.p.mem, LFB + 0x10004, 1), 0x77);
    vbe(&c, 5, 256);
    cr_expect_eq(vbe_get(&c, 5), 1, "no such bank");

    /* 5:6:5 */
    vbe(&c, 4, 0);
    vbe(&c, 3, 16);
    vbe(&c, 4, 0x41);
    space_write(c.p.mem, LFB, 0xf81f, 2);
    c.scr->render(c.scr->ctx, px, ARRAY_LEN(px), &w, &h);
    cr_expect_eq(px[0], 0xff00ff);

    /* BAR 2 is the same registers */
    cr_expect_eq(space_read(c.p.mem, MMIO + 0x500, 2), 0xb0c5);
    space_write(c.p.mem, MMIO + 0x502, 640, 2);
    cr_expect_eq(vbe_get(&c, 1), 640);
    space_write(c.p.mem, MMIO + 0x40e, 0x0304, 2);
    out8(&c.p.r, 0x3ce, 4);
    cr_expect_eq(in8(&c.p.r, 0x3cf), 3);
    fini(&c);
}

Test(vga, impossible_modes_become_possible)
{
    struct card c;
    static u32 px[VGA_VRAM_SIZE / 4];
    int w, h;
    init(&c);
    static const u16 odd[] = {0, 1, 7, 8, 9, 4095, 0x8000, 0xffff};
    static const u16 depth[] = {0, 1, 4, 8, 15, 16, 24, 32, 33, 0xffff};
    for (size_t a = 0; a < ARRAY_LEN(odd); a++) {
        for (size_t b = 0; b < ARRAY_LEN(odd); b++) {
            for (size_t k = 0; k < ARRAY_LEN(depth); k++) {
                vbe(&c, 4, 0);
                vbe(&c, 1, odd[a]);
                vbe(&c, 2, odd[b]);
                vbe(&c, 3, depth[k]);
                vbe(&c, 4, 1);
                vbe(&c, 6, odd[b]);
                vbe(&c, 8, odd[a]);
                vbe(&c, 9, odd[(a + b) % 8]);
                vbe(&c, 5, odd[b]);
                c.scr->render(c.scr->ctx, px, (a + b + k) % 16 ? 10 : ARRAY_LEN(px), &w, &h);
                cr_assert(w >= 8 && w <= 2560 && h >= 1 && h <= 1600);
            }
        }
    }
    fini(&c);
}

Test(vga, rom_and_reset)
{
    struct card c;
    init(&c);
    cfg_write(&c.p, SLOT << 3, PCI_ROM_BAR, 0xfe000001, 4);
    cr_expect_eq(space_read(c.p.mem, 0xfe000000, 2), 0xaa55);
    vbe(&c, 4, 1);
    device_reset(c.d);
    cr_expect_eq(vbe_get(&c, 4), 0);
    cr_expect_eq(space_read(c.p.mem, LFB, 4), 0xffffffff, "BARs are gone");
    fini(&c);
}

Test(vga, noise)
{
    struct card c, e;
    static u32 px[640 * 480];
    int w, h, x, y;
    init(&c);
    init(&e);
    for (u32 seed = 1; seed < 60; seed++) {
        poison_state(c.d, seed);
        cfg_write(&c.p, SLOT << 3, PCI_COMMAND, 3, 2);
        hammer(&c.p.r, 0x3b0, 0x30, seed, 2000);
        hammer(&c.p.r, 0x1ce, 3, seed, 50);
        for (u32 k = 0; k < 500; k++) {
            u32 at = 0xa0000 + (k * 2654435761u >> 15) % 0x1fff8;
            space_write(c.p.mem, at, k * seed, 1 << (k & 3));
            space_read(c.p.mem, at ^ 5, 1 << (k >> 2 & 3));
        }
        c.scr->text(c.scr->ctx, &w, &h, &x, &y);
        c.scr->render(c.scr->ctx, px, ARRAY_LEN(px), &w, &h);
    }
    cr_expect(clone_state(c.d, e.d));
    fini(&c);
    fini(&e);
}

/* ---- whole modes, set by their registers ------------------------------------------------------
 */
struct mode {
    u8 misc, seq[5], crtc[25], gr[9], ac10, ac13;
};
static const struct mode mode13 = {0x63,
                                   {3, 0x01, 15, 0, 0x0e},
                                   {0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0x00,
                                    0x41, 0,    0,    0,    0,    0,    0,    0x9c, 0x8e,
                                    0x8f, 0x28, 0x40, 0x96, 0xb9, 0xa3, 0xff},
                                   {0, 0, 0, 0, 0, 0x40, 0x05, 0x0f, 0xff},
                                   0x41,
                                   0};
static const struct mode mode12 = {0xe3,
                                   {3, 0x01, 15, 0, 0x06},
                                   {0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0x0b, 0x3e, 0x00,
                                    0x40, 0,    0,    0,    0,    0,    0,    0xea, 0x8c,
                                    0xdf, 0x28, 0x00, 0xe7, 0x04, 0xe3, 0xff},
                                   {0, 0, 0, 0, 0, 0x00, 0x05, 0x0f, 0xff},
                                   0x01,
                                   0};
/* The CGA's: odd scan lines 8 KiB further. */
static const struct mode mode4 = {0x63,
                                  {3, 0x09, 3, 0, 0x02},
                                  {0x2d, 0x27, 0x28, 0x90, 0x2b, 0x80, 0xbf, 0x1f, 0x00,
                                   0xc1, 0,    0,    0,    0,    0,    0,    0x9c, 0x8e,
                                   0x8f, 0x14, 0x00, 0x96, 0xb9, 0xa2, 0xff},
                                  {0, 0, 0, 0, 0, 0x30, 0x0f, 0x00, 0xff},
                                  0x01,
                                  0};

/* The palette is the identity, DAC entry n a grey of n. */
static void set_mode(struct card *c, const struct mode *m)
{
    struct rig *r = &c->p.r;
    out8(r, 0x3c2, m->misc);
    for (u8 i = 0; i < 5; i++)
        idx(c, 0x3c4, i, m->seq[i]);
    idx(c, 0x3d4, 0x11, 0);
    for (u8 i = 0; i < 25; i++)
        idx(c, 0x3d4, i, m->crtc[i]);
    for (u8 i = 0; i < 9; i++)
        idx(c, 0x3ce, i, m->gr[i]);
    in8(r, 0x3da);
    for (u8 i = 0; i < 21; i++) {
        u8 rest[5] = {m->ac10, 0, 15, m->ac13, 0};
        out8(r, 0x3c0, i);
        out8(r, 0x3c0, i < 16 ? i : rest[i - 16]);
    }
    out8(r, 0x3c0, 0x20);
    out8(r, 0x3c8, 0);
    for (int i = 0; i < 256 * 3; i++)
        out8(r, 0x3c9, (u8)(i / 3 & 63));
}

static u32 grey(u32 n)
{
    n = (n & 63) << 2 | (n & 63) >> 4;
    return n << 16 | n << 8 | n;
}

struct shot {
    u32 px[640 * 480];
    int w, h;
};

static u32 at(struct card *c, struct shot *s, int x, int y)
{
    c->scr->render(c->scr->ctx, s->px, ARRAY_LEN(s->px), &s->w, &s->h);
    cr_assert(x < s->w && y < s->h, "%d,%d of %dx%d", x, y, s->w, s->h);
    return s->px[y * s->w + x];
}

Test(vga, split_screen_and_panning)
{
    static struct shot s;
    struct card c;
    struct rig *r = &c.p.r;
    init(&c);
    set_mode(&c, &mode12);
    put8(&c, 0xa0000, 0x80);            /* first pixel of the lower part */
    put8(&c, 0xa0000 + 80 * 100, 0x40); /* second pixel of the upper */
    idx(&c, 0x3d4, 0x0c, 80 * 100 >> 8);
    idx(&c, 0x3d4, 0x0d, 80 * 100 & 0xff);
    idx(&c, 0x3d4, 0x18, 199);
    idx(&c, 0x3d4, 0x07, 0x2e);
    idx(&c, 0x3d4, 0x09, 0x00);
    cr_expect_eq(at(&c, &s, 0, 0), grey(0));
    cr_expect_eq(at(&c, &s, 1, 0), grey(15));
    cr_expect_eq(at(&c, &s, 0, 199), grey(0));
    cr_expect_eq(at(&c, &s, 0, 200), grey(15));
    in8(r, 0x3da);
    out8(r, 0x3c0, 0x33); /* pan by one */
    out8(r, 0x3c0, 1);
    cr_expect_eq(at(&c, &s, 0, 0), grey(15));
    cr_expect_eq(at(&c, &s, 0, 200), grey(0), "both parts move");
    out8(r, 0x3c0, 0x30);
    out8(r, 0x3c0, 0x21); /* only the upper moves */
    cr_expect_eq(at(&c, &s, 0, 0), grey(15));
    cr_expect_eq(at(&c, &s, 0, 200), grey(15));
    /* What panning brings in at the right comes from the next address. */
    put8(&c, 0xa0000 + 80 * 101, 0x80);
    cr_expect_eq(at(&c, &s, 639, 0), grey(15));
    fini(&c);
}

Test(vga, unchained)
{
    static struct shot s;
    struct card c;
    init(&c);
    set_mode(&c, &mode13);
    for (u32 i = 0; i < 320; i++)
        put8(&c, 0xa0000 + 199 * 320 + i, (u8)i & 63);
    cr_expect_eq(at(&c, &s, 639, 399), grey(63));
    cr_expect_eq(at(&c, &s, 10, 398), grey(5));
    cr_expect_eq(at(&c, &s, 10, 397), grey(0));
    /* Byte addressing: four pixels an address, planes by the map mask. */
    idx(&c, 0x3c4, 4, 6);
    idx(&c, 0x3d4, 0x14, 0);
    idx(&c, 0x3d4, 0x17, 0xe3);
    idx(&c, 0x3c4, 2, 4);
    put8(&c, 0xa0000 + 80 + 1, 33);
    cr_expect_eq(at(&c, &s, 2 * 6, 2), grey(33));
    cr_expect_eq(at(&c, &s, 2 * 5, 2), grey(0));
    fini(&c);
}

Test(vga, cga_interleave)
{
    static struct shot s;
    struct card c;
    init(&c);
    set_mode(&c, &mode4);
    put8(&c, 0xb8000, 0xc0);          /* line 0, pixel 0: colour 3 */
    put8(&c, 0xb8001, 0x80);          /* line 0, pixel 4: colour 2 */
    put8(&c, 0xb8000 + 0x2000, 0x10); /* line 1, pixel 1: colour 1 */
    put8(&c, 0xb8000 + 80, 0x40);     /* line 2, pixel 0: colour 1 */
    cr_expect_eq(at(&c, &s, 0, 0), grey(3));
    cr_expect(s.w == 640 && s.h == 400, "%dx%d", s.w, s.h);
    cr_expect_eq(at(&c, &s, 8, 1), grey(2));
    cr_expect_eq(at(&c, &s, 2, 2), grey(1));
    cr_expect_eq(at(&c, &s, 0, 2), grey(0));
    cr_expect_eq(at(&c, &s, 1, 5), grey(1));
    cr_expect_eq(mem8(&c, 0xb8001), 0x80);
    fini(&c);
}

/* A driver that uses nothing but PCI: BAR 2 and the frame buffer. */
Test(vga, by_memory_alone)
{
    static struct shot s;
    struct card c;
    init(&c);
    space_write(c.p.mem, MMIO + 0x400, 0x20, 1);
    space_write(c.p.mem, MMIO + 0x502, 64, 2);
    space_write(c.p.mem, MMIO + 0x504, 48, 2);
    space_write(c.p.mem, MMIO + 0x506, 32, 2);
    space_write(c.p.mem, MMIO + 0x508, 0x41, 2);
    space_write(c.p.mem, LFB + 64 * 4 + 4, 0x00112233, 4);
    cr_expect_eq(at(&c, &s, 1, 1), 0x112233);
    cr_expect(s.w == 64 && s.h == 48);
    fini(&c);
}

static void count_write(void *ctx, u64 off, u32 len)
{
    u64 *sum = ctx;
    *sum += off + len;
}

/* Writes by the window are writes to RAM: who cached code of it must hear of them. */
Test(vga, window_writes_are_noted)
{
    struct card c;
    struct ram *ram;
    u64 off, sum = 0;
    init(&c);
    set_mode(&c, &mode13);
    cr_assert(space_ram_ptr(c.p.mem, LFB, 4, &ram, &off));
    cr_expect_eq(off, 0);
    ram->code_write = count_write;
    ram->code_ctx = &sum;
    put8(&c, 0xa0000 + 0x1004, 1);
    cr_expect_eq(sum, 0, "no code there");
    ram->page_flags[0x4010 >> 12] |= RAM_CODE;
    put8(&c, 0xa0000 + 0x1004, 2);
    cr_expect_eq(sum, 0x4010 + 4);
    fini(&c);
}
