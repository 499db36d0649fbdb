/*
 * tests/devices/test_vga_text.c - the VGA's text: cursor, attributes, fonts; retrace; and the VBE
 * registers, against IBM's manual and the Bochs VBE interface.
 */
#include "tests/devices/vga_rig.h"

/* ---- text ------------------------------------------------------------------------------------ */
static void set_text(struct card *c)
{
    static u8 font[VGA_FONT_SIZE];
    for (u32 k = 0; k < VGA_FONT_SIZE; k++)
        font[k] = k / 16 == 0xdb || k / 16 == 0xc4 ? 0xff : k / 16 == 'L' ? 0x80 : 0;
    vga_set_text_mode(c->d, font);
}

static bool line_lit(struct card *c, int column, int line)
{
    return c->px[line * 720 + column * 9 + 3] != 0;
}

Test(vga_regs, cursor)
{
    static const struct {
        u8 start, end;
        int first, last, skew; /* last < first: none */
    } rows[] = {{13, 14, 13, 14, 0},
                {0, 15, 0, 15, 0},
                {5, 5, 5, 5, 0},
                {6, 5, 1, 0, 0},
                {0x20 | 1, 14, 1, 0, 0},
                {15, 31, 15, 15, 0},
                {13, 0x20 | 14, 13, 14, 1},
                {13, 0x60 | 14, 13, 14, 3}};
    struct card *c = init();
    int cols, nrows, x, y;
    set_text(c);
    set(c, CRTC, 0x0e, 0);
    set(c, CRTC, 0x0f, 85);
    for (size_t r = 0; r < ARRAY_LEN(rows); r++) {
        set(c, CRTC, 0x0a, rows[r].start);
        set(c, CRTC, 0x0b, rows[r].end);
        draw(c);
        for (int line = 0; line < 48; line++) {
            for (int column = 0; column < 12; column++) {
                bool want = line / 16 == 1 && column == 5 + rows[r].skew &&
                            line % 16 >= rows[r].first && line % 16 <= rows[r].last;
                cr_expect_eq(line_lit(c, column, line), want, "cursor %x-%x: column %d, line %d",
                             rows[r].start, rows[r].end, column, line);
            }
        }
        c->scr->text(c->scr->ctx, &cols, &nrows, &x, &y);
        if (!(rows[r].start & 0x20))
            cr_expect(x == 5 + rows[r].skew && y == 1, "%d, %d", x, y);
    }
    /* sixteen fields on, sixteen off; a character's attribute half as often */
    set(c, CRTC, 0x0a, 0);
    set(c, CRTC, 0x0b, 15);
    put(c, 0xb8000, 0xdb);
    put(c, 0xb8001, 0x87);
    u32 cursor = 0, text = 0;
    bool was_cursor = line_lit(c, 5, 20), was_text = line_lit(c, 0, 4);
    for (int k = 0; k < 600; k++) { /* ten seconds, in fields of 70 Hz */
        clock_advance(c->p.r.clk, NS_PER_SEC / 60);
        draw(c);
        cursor += line_lit(c, 5, 20) != was_cursor;
        text += line_lit(c, 0, 4) != was_text;
        was_cursor = line_lit(c, 5, 20);
        was_text = line_lit(c, 0, 4);
    }
    cr_expect(cursor >= 40 && cursor <= 47, "%u changes of the cursor in ten seconds", cursor);
    cr_expect(text >= 20 && text <= 24, "%u changes of a blinking character", text);
    fini(c);
}

Test(vga_regs, text_attributes)
{
    struct card *c = init();
    set_text(c);
    set(c, CRTC, 0x0a, 0x20);
    /* bit 7: blinking, or a bright background */
    put(c, 0xb8000, ' ');
    put(c, 0xb8001, 0xf0);
    set(c, AC, 0x10, 0x0c);
    draw(c);
    cr_expect_eq(c->px[0], 0xaaaaaa);
    set(c, AC, 0x10, 0x04);
    draw(c);
    cr_expect_eq(c->px[0], 0xffffff);
    /* the ninth dot: background, but for lines when asked */
    put(c, 0xb8002, 0xc4);
    put(c, 0xb8004, 0xdb);
    draw(c);
    cr_expect(c->px[9 + 8] != 0 && c->px[18 + 8] != 0, "C0-DF touch their neighbours");
    put(c, 0xb8002, 'L');
    put(c, 0xb8003, 0x07);
    draw(c);
    cr_expect(c->px[9] != 0 && c->px[9 + 8] == 0);
    put(c, 0xb8002, 0xc4);
    set(c, AC, 0x10, 0x00);
    draw(c);
    cr_expect(c->px[9 + 7] != 0 && c->px[9 + 8] == 0, "not asked for");
    /* eight dots a character */
    set(c, SEQ, 1, 1);
    draw(c);
    cr_expect_eq(c->w, 640);
    cr_expect(c->px[8] != 0 && c->px[16] != 0);
    set(c, SEQ, 1, 0);
    /* monochrome's underline: attribute 1, at the line that register 14h says */
    put(c, 0xb8006, ' ');
    put(c, 0xb8007, 0x01);
    set(c, AC, 0x10, 0x02);
    set(c, CRTC, 0x14, 12);
    draw(c);
    for (int line = 0; line < 16; line++)
        cr_expect_eq(line_lit(c, 3, line), line == 12, "line %d", line);
    set(c, AC, 0x10, 0x00);
    draw(c);
    cr_expect_not(line_lit(c, 3, 12));
    fini(c);
}

/* Two fonts of eight, by bit 3 of the attribute. */
Test(vga_regs, fonts)
{
    static const u16 at[8] = {0, 0x4000, 0x8000, 0xc000, 0x2000, 0x6000, 0xa000, 0xe000};
    struct card *c = init();
    set_text(c);
    set(c, CRTC, 0x0a, 0x20);
    set(c, SEQ, 2, 4); /* plane 2, as a program loads fonts */
    set(c, SEQ, 4, 7);
    set(c, GC, 5, 0);
    set(c, GC, 6, 4);
    for (u32 f = 0; f < 8; f++)
        put(c, 0xa0000 + at[f] + 'x' * 32u + 3, (u8)(1 << f));
    set(c, SEQ, 2, 3);
    set(c, SEQ, 4, 3);
    set(c, GC, 5, 0x10);
    set(c, GC, 6, 0x0e);
    for (u32 k = 0; k < 2; k++) {
        put(c, 0xb8000 + k * 2, 'x');
        put(c, 0xb8001 + k * 2, (u8)(7 | k << 3));
    }
    for (u32 a = 0; a < 8; a++) {
        for (u32 b = 0; b < 8; b++) {
            set(c, SEQ, 3, (u8)((b & 3) | (b >> 2) << 4 | (a & 3) << 2 | (a >> 2) << 5));
            draw(c);
            for (u32 x = 0; x < 8; x++) {
                cr_expect_eq(c->px[3 * 720 + x] != 0, x == 7 - b, "font B %u, dot %u", b, x);
                cr_expect_eq(c->px[3 * 720 + 9 + x] != 0, x == 7 - a, "font A %u, dot %u", a, x);
            }
        }
    }
    fini(c);
}

/* ---- time ------------------------------------------------------------------------------------ */
/* What programs wait for: retrace once a field, blanking once a line, in their proportions. */
Test(vga_regs, retrace)
{
    struct card *c = init();
    u32 fields = 0, lines = 0, shown = 0;
    set_text(c); /* 449 lines, 400 shown */
    u8 was = in(c, 0x3da);
    for (int k = 0; k < 500000; k++) { /* half a second in steps of a microsecond */
        clock_advance(c->p.r.clk, 1000);
        u8 now = in(c, 0x3da);
        fields += (now & 8) && !(was & 8);
        lines += (now & 1) && !(was & 1);
        shown += !(now & 1);
        cr_assert(!(now & 8) || (now & 1), "retrace is not display");
        was = now;
    }
    cr_expect(fields >= 34 && fields <= 36, "%u fields in half a second", fields);
    cr_expect(lines >= 35 * 398 && lines <= 35 * 404, "%u lines", lines);
    u32 want = 500000ull * 400 * 640 / (449 * 800);
    cr_expect(shown > want - want / 50 && shown < want + want / 50, "%u of %u us", shown, want);
    fini(c);
}

/* ---- VBE ------------------------------------------------------------------------------------- */
enum { ID, XRES, YRES, BPP, ENABLE, BANK, VIRT_WIDTH, VIRT_HEIGHT, X_OFFSET, Y_OFFSET, MEMORY };

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

Test(vga_vbe, registers)
{
    static const struct {
        u16 bpp, virt, want_virt, want_height;
    } rows[] = {{4, 0, 640, 52428},  {8, 800, 800, 20971},   {8, 1027, 1024, 16384},
                {15, 0, 640, 13107}, {16, 2048, 2048, 4096}, {24, 100, 640, 8738},
                {32, 0, 640, 6553},  {32, 65535, 65528, 64}};
    struct card *c = init();
    cr_expect_eq(vbe_get(c, ID), 0xb0c5);
    for (u16 v = 0xb0be; v < 0xb0c8; v++) {
        u16 was = vbe_get(c, ID);
        vbe(c, ID, v);
        cr_expect_eq(vbe_get(c, ID), v >= 0xb0c0 && v <= 0xb0c5 ? v : was, "%x", v);
    }
    cr_expect_eq(vbe_get(c, MEMORY), VGA_VRAM_SIZE / 65536);
    for (size_t k = 0; k < ARRAY_LEN(rows); k++) {
        vbe(c, ENABLE, 0);
        vbe(c, XRES, 640);
        vbe(c, YRES, 60);
        vbe(c, BPP, rows[k].bpp);
        vbe(c, ENABLE, 0x41);
        cr_expect(vbe_get(c, X_OFFSET) == 0 && vbe_get(c, Y_OFFSET) == 0 && vbe_get(c, BANK) == 0 &&
                  vbe_get(c, VIRT_WIDTH) == 640);
        if (rows[k].virt)
            vbe(c, VIRT_WIDTH, rows[k].virt);
        cr_expect_eq(vbe_get(c, VIRT_WIDTH), rows[k].want_virt, "%u bits: width %u", rows[k].bpp,
                     vbe_get(c, VIRT_WIDTH));
        cr_expect_eq(vbe_get(c, VIRT_HEIGHT), MIN(rows[k].want_height, 65535), "%u bits: height %u",
                     rows[k].bpp, vbe_get(c, VIRT_HEIGHT));
        vbe(c, VIRT_HEIGHT, 1); /* follows from the rest */
        cr_expect_eq(vbe_get(c, VIRT_HEIGHT), rows[k].want_height);
        draw(c);
        cr_expect(c->w == 640 && c->h == 60);
    }
    vbe(c, ENABLE, 3); /* what is possible */
    cr_expect(vbe_get(c, XRES) >= 1920 && vbe_get(c, YRES) >= 1200 && vbe_get(c, BPP) == 32);
    vbe(c, ENABLE, 1);
    cr_expect_eq(vbe_get(c, XRES), 640);
    fini(c);
}

/* Every byte of video memory has a bank, and an offset moves the picture to it. */
Test(vga_vbe, banks_and_offsets)
{
    struct card *c = init();
    set_graphics(c);
    vbe(c, XRES, 320);
    vbe(c, YRES, 200);
    vbe(c, BPP, 8);
    vbe(c, ENABLE, 1);
    vbe(c, VIRT_WIDTH, 512);
    for (u32 bank = 0; bank < VGA_VRAM_SIZE / 65536; bank++) {
        vbe(c, BANK, (u16)bank);
        cr_expect_eq(vbe_get(c, BANK), bank);
        put(c, 0xa0000 + bank, (u8)(bank | 1));
    }
    vbe(c, BANK, VGA_VRAM_SIZE / 65536); /* there is none: as before */
    cr_expect_eq(vbe_get(c, BANK), VGA_VRAM_SIZE / 65536 - 1);
    for (u32 bank = 0; bank < VGA_VRAM_SIZE / 65536; bank++) {
        u32 x = bank < 64 ? bank : bank - 64; /* so that it is on the screen */
        vbe(c, X_OFFSET, (u16)x);
        vbe(c, Y_OFFSET, (u16)(bank * 128));
        draw(c);
        cr_expect_eq(c->px[bank - x], colour_of(bank | 1), "bank %u", bank);
    }
    vbe(c, ENABLE, 0);
    vbe(c, ENABLE, 0x81); /* keeps what is there */
    draw(c);
    cr_expect_eq(c->px[0], colour_of(1));
    vbe(c, ENABLE, 0);
    vbe(c, ENABLE, 1);
    draw(c);
    cr_expect_eq(c->px[0], colour_of(0));
    fini(c);
}
