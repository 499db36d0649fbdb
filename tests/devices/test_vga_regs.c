/*
 * tests/devices/test_vga_regs.c - the VGA's registers one by one, against IBM's manual: what can be
 * read back, the DAC, the data paths of the planes, and what the CRTC and the attribute controller
 * make of memory.
 *
 * The oracle of the data paths is a model of its own, a bit at a time (model_write); that of the
 * picture are addresses worked out from the manual (rows of crtc_rows).
 * Manual: IBM PS/2 Hardware Interface Technical Reference, Video Subsystem (VGA function).
 */
#include "tests/devices/vga_rig.h"

/* ---- what can be read back ------------------------------------------------------------------ */
Test(vga_regs, bits_that_exist)
{
    static const u8 seq[5] = {0x03, 0x3d, 0x0f, 0x3f, 0x0e};
    static const u8 gr[9] = {15, 15, 15, 0x1f, 3, 0x7b, 15, 15, 0xff};
    static const u8 crtc[25] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,
                                0xff, 0x3f, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                0xff, 0xff, 0x7f, 0xff, 0xff, 0xef, 0xff};
    struct card *c = init();
    set(c, MISC, 0, 0xff);
    cr_expect_eq(in(c, 0x3cc), 0xef);
    for (u8 k = 0; k < 5; k++) {
        set(c, SEQ, k, 0xff);
        cr_expect_eq(reg(c, SEQ, k), seq[k], "sequencer %d: %02x", k, reg(c, SEQ, k));
    }
    for (u8 k = 0; k < 9; k++) {
        set(c, GC, k, 0xff);
        cr_expect_eq(reg(c, GC, k), gr[k], "graphics %d: %02x", k, reg(c, GC, k));
    }
    set(c, CRTC, 0x11, 0);
    for (u8 k = 0; k < 25; k++) {
        u8 v = k == 0x11 ? 0x7f : 0xff;
        set(c, CRTC, k, v);
        cr_expect_eq(reg(c, CRTC, k), v & crtc[k], "crtc %02x: %02x", k, reg(c, CRTC, k));
    }
    for (u8 k = 0; k < 21; k++) {
        u8 want = k < 16 ? 0x3f : k == 16 ? 0xef : k == 17 ? 0xff : k == 18 ? 0x3f : 0x0f;
        set(c, AC, k, 0xff);
        cr_expect_eq(reg(c, AC, k), want, "attribute %02x: %02x", k, reg(c, AC, k));
    }
    /* indexes too, and the registers behind the last */
    out(c, 0x3c4, 0xff);
    cr_expect_eq(in(c, 0x3c4), 7);
    out(c, 0x3ce, 0xff);
    cr_expect_eq(in(c, 0x3ce), 15);
    set(c, GC, 9, 0xff);
    cr_expect_eq(reg(c, GC, 9), 0);
    set(c, AC, 0x15, 0xff);
    cr_expect_eq(reg(c, AC, 0x15), 0);
    set(c, CRTC, 0x19, 0xff);
    cr_expect_eq(reg(c, CRTC, 0x19), 0);
    out(c, 0x3da, 0x5a);
    cr_expect_eq(in(c, 0x3ca), 0x5a, "feature control");
    fini(c);
}

Test(vga_regs, mono_addresses)
{
    struct card *c = init();
    set(c, MISC, 0, 0x03);
    set(c, CRTC, 0x0f, 0x12);
    cr_expect_eq(in(c, 0x3b5), 0xff, "colour: nothing at 3Bx");
    cr_expect_eq(in(c, 0x3ba), 0xff);
    out(c, 0x3c2, 0x02);
    cr_expect_eq(in(c, 0x3d5), 0xff, "mono: nothing at 3Dx");
    out(c, 0x3d4, 0x0f);
    out(c, 0x3d5, 0x99);
    out(c, 0x3b4, 0x0f);
    cr_expect_eq(in(c, 0x3b5), 0x12, "the same registers");
    in(c, 0x3ba);
    out(c, 0x3c0, 0x31);
    out(c, 0x3c0, 0x07);
    in(c, 0x3da); /* not there: the flip-flop is as it was */
    out(c, 0x3c0, 0x31);
    cr_expect_eq(in(c, 0x3c1), 0x07);
    fini(c);
}

Test(vga_regs, protected_crtc)
{
    struct card *c = init();
    set(c, CRTC, 0x11, 0);
    for (u8 k = 0; k < 25; k++)
        set(c, CRTC, k, k == 0x11 ? 0x80 : 0x55);
    for (u8 k = 0; k < 25; k++)
        if (k != 0x11)
            set(c, CRTC, k, 0x2a);
    for (u8 k = 0; k < 7; k++)
        cr_expect_eq(reg(c, CRTC, k), 0x55, "%d", k);
    cr_expect_eq(reg(c, CRTC, 7), 0x45, "only line compare's bit 8 of the overflow register");
    for (u8 k = 8; k < 25; k++)
        if (k != 0x11)
            cr_expect_eq(reg(c, CRTC, k), 0x2a, "%d", k);
    fini(c);
}

/* ---- DAC ------------------------------------------------------------------------------------- */
Test(vga_regs, dac)
{
    struct card *c = init();
    out(c, 0x3c8, 250);
    cr_expect_eq(in(c, 0x3c7), 0, "it takes writes");
    for (u32 k = 0; k < 10 * 3; k++) /* runs on over entry 255 */
        out(c, 0x3c9, (u8)(k + 0xc0));
    cr_expect_eq(in(c, 0x3c8), 4);
    out(c, 0x3c7, 250);
    cr_expect_eq(in(c, 0x3c7), 3, "it gives reads");
    for (u32 k = 0; k < 10 * 3; k++)
        cr_expect_eq(in(c, 0x3c9), k, "byte %u: six bits", k);
    /* A new index begins at red again; an entry that is not complete stays as it was. */
    out(c, 0x3c8, 100);
    for (u32 k = 0; k < 3; k++)
        out(c, 0x3c9, (u8)(10 + k));
    out(c, 0x3c8, 100);
    out(c, 0x3c9, 1);
    out(c, 0x3c9, 2);
    out(c, 0x3c7, 100);
    cr_expect_eq(in(c, 0x3c9), 10);
    out(c, 0x3c7, 100);
    for (u32 k = 0; k < 3; k++)
        cr_expect_eq(in(c, 0x3c9), 10 + k);
    /* The mask is between pixel and entry, not between port and entry. */
    out(c, 0x3c6, 0);
    cr_expect_eq(in(c, 0x3c6), 0);
    out(c, 0x3c7, 100);
    cr_expect_eq(in(c, 0x3c9), 10);
    /* eight bits, and back */
    space_write(c->p.r.ports, 0x1ce, 4, 2);
    space_write(c->p.r.ports, 0x1cf, 0x20, 2);
    out(c, 0x3c8, 1);
    out(c, 0x3c9, 0xfe);
    out(c, 0x3c9, 0x81);
    out(c, 0x3c9, 0x40);
    out(c, 0x3c7, 1);
    cr_expect_eq(in(c, 0x3c9), 0xfe);
    cr_expect_eq(in(c, 0x3c9), 0x81);
    space_write(c->p.r.ports, 0x1ce, 4, 2);
    space_write(c->p.r.ports, 0x1cf, 0, 2);
    out(c, 0x3c7, 1);
    cr_expect_eq(in(c, 0x3c9), 0x3e, "six bits again");
    fini(c);
}

/* ---- the data paths -------------------------------------------------------------------------- */
struct model {
    u8 plane[4], latch[4];
    u8 gr[9], map_mask;
};

/* One bit of one plane, from the manual's description of the four write modes. */
static u8 model_bit(const struct model *m, int p, int bit, u8 cpu)
{
    int turn = m->gr[3] & 7, mode = m->gr[5] & 3;
    bool turned = cpu >> ((bit + turn) & 7) & 1, latch = m->latch[p] >> bit & 1;
    bool sr = m->gr[0] >> p & 1, mask = m->gr[8] >> bit & 1, data = turned;
    if (mode == 1)
        return latch;
    if (mode == 0 && (m->gr[1] >> p & 1))
        data = sr;
    if (mode == 2)
        data = cpu >> p & 1;
    if (mode == 3) {
        data = sr;
        mask = mask && turned;
    }
    switch (m->gr[3] >> 3 & 3) {
    case 1:
        data = data && latch;
        break;
    case 2:
        data = data || latch;
        break;
    case 3:
        data = data != latch;
        break;
    default:
        break;
    }
    return mask ? data : latch;
}

static void model_write(struct model *m, u8 cpu)
{
    for (int p = 0; p < 4; p++) {
        u8 v = 0;
        for (int bit = 0; bit < 8; bit++)
            v |= (u8)(model_bit(m, p, bit, cpu) << bit);
        if (m->map_mask >> p & 1)
            m->plane[p] = v;
    }
}

static u8 model_read(const struct model *m)
{
    u8 v = 0;
    if (!(m->gr[5] & 8))
        return m->latch[m->gr[4] & 3];
    for (int bit = 0; bit < 8; bit++) {
        bool same = true;
        for (int p = 0; p < 4; p++)
            if (m->gr[7] >> p & 1)
                same = same && (m->latch[p] >> bit & 1) == (m->gr[2] >> p & 1);
        v |= (u8)(same << bit);
    }
    return v;
}

static void store(struct card *c, u32 at, const u8 plane[4])
{
    set(c, GC, 5, 0);
    set(c, GC, 1, 0);
    set(c, GC, 3, 0);
    set(c, GC, 8, 0xff);
    for (u8 p = 0; p < 4; p++) {
        set(c, SEQ, 2, (u8)(1 << p));
        put(c, at, plane[p]);
    }
}

static void load(struct card *c, u32 at, u8 plane[4])
{
    set(c, GC, 5, 0);
    for (u8 p = 0; p < 4; p++) {
        set(c, GC, 4, p);
        plane[p] = get(c, at);
    }
}

/* Every combination of write mode, read mode and logical function, 64 times with other numbers. */
Test(vga_regs, write_and_read_modes)
{
    struct card *c = init();
    u32 seed = 1;
    set_graphics(c);
    for (u32 n = 0; n < 4 * 2 * 4 * 64; n++) {
        struct model m;
        u8 other[4], got[4];
        u32 at = 0xa0000 + (n * 37 & 0xffff), from = 0xa0000 + ((n * 37 + 1) & 0xffff);
        for (int p = 0; p < 4; p++) {
            seed = seed * 1664525 + 1013904223;
            other[p] = (u8)(seed >> 24);
            m.latch[p] = (u8)(seed >> 16);
            m.plane[p] = (u8)(seed >> 8);
        }
        for (int k = 0; k < 9; k++) {
            seed = seed * 1664525 + 1013904223;
            m.gr[k] = (u8)(seed >> 24);
        }
        m.gr[5] = (u8)((n & 3) | (n >> 2 & 1) << 3);
        m.gr[3] = (u8)((m.gr[3] & 7) | (n >> 3 & 3) << 3);
        m.map_mask = seed >> 16 & 15;
        u8 cpu = (u8)(seed >> 8);
        store(c, at, m.plane);
        store(c, from, m.latch);
        for (u8 k = 0; k < 9; k++)
            if (k != 6)
                set(c, GC, k, m.gr[k]);
        set(c, SEQ, 2, m.map_mask);
        /* a read fills the latches and gives one answer in each read mode */
        cr_expect_eq(get(c, from), model_read(&m), "read, case %u", n);
        put(c, at, cpu);
        model_write(&m, cpu);
        load(c, at, got);
        cr_assert(!memcmp(got, m.plane, 4), "case %u: write mode %u, function %u", n, n & 3,
                  n >> 3 & 3);
        load(c, from, other);
        cr_expect(!memcmp(other, m.latch, 4), "a write elsewhere");
    }
    fini(c);
}

/* Which planes and offset a CPU address is, by chaining. */
Test(vga_regs, chaining)
{
    static const struct {
        const char *name;
        u8 seq4, gr5, map_mask;
        u32 cpu, offset;
        u8 written; /* planes */
        u8 read;    /* plane that a read gives, with read map 2 */
    } rows[] = {
        {"planar", 6, 0, 15, 0x1235, 0x1235, 15, 2},
        {"planar, masked", 6, 0, 9, 0x1235, 0x1235, 9, 2},
        {"odd/even, even", 2, 0x10, 15, 0x1234, 0x1234, 5, 2},
        {"odd/even, odd", 2, 0x10, 15, 0x1235, 0x1234, 10, 3},
        {"odd/even, text's planes", 2, 0x10, 3, 0x1235, 0x1234, 2, 3},
        {"odd/even writes only", 2, 0, 15, 0x1234, 0x1234, 5, 2},
        {"chain 4, 0", 0x0e, 0, 15, 0x1234, 0x1234, 1, 0},
        {"chain 4, 1", 0x0e, 0, 15, 0x1235, 0x1234, 2, 1},
        {"chain 4, 2", 0x0e, 0, 15, 0x1236, 0x1234, 4, 2},
        {"chain 4, 3", 0x0e, 0, 15, 0x1237, 0x1234, 8, 3},
        {"chain 4, masked", 0x0e, 0, 7, 0x1237, 0x1234, 0, 3},
    };
    struct card *c = init();
    for (size_t k = 0; k < ARRAY_LEN(rows); k++) {
        u8 got[4], before[4] = {0x11, 0x22, 0x33, 0x44};
        set_graphics(c);
        store(c, 0xa0000 + rows[k].offset, before);
        set(c, SEQ, 4, rows[k].seq4);
        set(c, GC, 5, rows[k].gr5);
        set(c, GC, 4, 2);
        set(c, SEQ, 2, rows[k].map_mask);
        cr_expect_eq(get(c, 0xa0000 + rows[k].cpu), before[rows[k].read], "%s: read", rows[k].name);
        put(c, 0xa0000 + rows[k].cpu, 0x99);
        set(c, SEQ, 4, 6);
        load(c, 0xa0000 + rows[k].offset, got);
        for (int p = 0; p < 4; p++)
            cr_expect_eq(got[p], rows[k].written >> p & 1 ? 0x99 : before[p], "%s: plane %d",
                         rows[k].name, p);
    }
    fini(c);
}

Test(vga_regs, memory_map)
{
    static const struct {
        u8 select;
        u32 first, last;
    } rows[] = {
        {0, 0xa0000, 0xbffff}, {1, 0xa0000, 0xaffff}, {2, 0xb0000, 0xb7fff}, {3, 0xb8000, 0xbffff}};
    struct card *c = init();
    set_graphics(c);
    for (size_t k = 0; k < ARRAY_LEN(rows); k++) {
        set(c, GC, 6, (u8)(1 | rows[k].select << 2));
        for (u32 at = 0xa0000; at < 0xc0000; at += 0x1000) {
            bool inside = at >= rows[k].first && at <= rows[k].last;
            put(c, at, 0x5a);
            cr_expect_eq(get(c, at), inside ? 0x5a : 0xff, "select %u: %x", rows[k].select, at);
            put(c, at, 0);
        }
        set(c, MISC, 0, 0xe1); /* memory off */
        put(c, rows[k].first, 0x77);
        cr_expect_eq(get(c, rows[k].first), 0xff);
        set(c, MISC, 0, 0xe3);
        cr_expect_eq(get(c, rows[k].first), 0);
    }
    fini(c);
}

/* ---- the picture ----------------------------------------------------------------------------- */
struct change {
    char chip;
    u8 index, value;
};
struct want {
    int column, line; /* eight pixels, from here */
    u32 offset;
};

static u32 planar_index(u32 offset, int bit)
{
    u32 v = 0;
    for (u32 p = 0; p < 4; p++)
        v |= (u32)(pattern(p, offset & 0xffff) >> bit & 1) << p;
    return v;
}

/* Eighty columns; 64 lines; byte addresses; a line is 80 bytes. */
static const struct crtc_row {
    const char *name;
    struct change change[6];
    struct want want[6];
} crtc_rows[] = {
    {"as it is", {{0}}, {{0, 0, 0}, {79, 0, 79}, {0, 1, 80}, {5, 10, 805}, {79, 63, 5119}}},
    {"start address", {{CRTC, 12, 0x12}, {CRTC, 13, 0x34}}, {{0, 0, 0x1234}, {1, 1, 0x1285}}},
    {"start at the end", {{CRTC, 12, 0xff}, {CRTC, 13, 0xff}}, {{0, 0, 0xffff}, {1, 0, 0}}},
    {"offset", {{CRTC, 0x13, 0x32}}, {{0, 1, 100}, {3, 2, 203}}},
    {"offset 0", {{CRTC, 0x13, 0}}, {{7, 0, 7}, {7, 1, 7}, {7, 63, 7}}},
    {"words", {{CRTC, 0x17, 0xa3}}, {{1, 0, 2}, {0, 1, 160}, {2, 2, 324}}},
    {"words, bit 15 comes round",
     {{CRTC, 0x17, 0xa3}, {CRTC, 12, 0x80}, {CRTC, 13, 0x01}},
     {{0, 0, 0x0003}, {1, 0, 0x0005}}},
    {"words, bit 13 comes round",
     {{CRTC, 0x17, 0x83}, {CRTC, 12, 0x20}, {CRTC, 13, 0x01}},
     {{0, 0, 0x4003}, {1, 0, 0x4005}}},
    {"double words", {{CRTC, 0x14, 0x40}}, {{1, 0, 4}, {0, 1, 320}}},
    {"two lines a row", {{CRTC, 9, 0x41}}, {{0, 0, 0}, {0, 1, 0}, {0, 2, 80}, {0, 63, 2480}}},
    {"each line twice", {{CRTC, 9, 0xc0}}, {{0, 0, 0}, {0, 1, 0}, {0, 2, 80}, {0, 63, 2480}}},
    {"two lines, each twice", {{CRTC, 9, 0xc1}}, {{0, 3, 0}, {0, 4, 80}, {0, 7, 80}, {0, 8, 160}}},
    {"preset row scan",
     {{CRTC, 9, 0x43}, {CRTC, 8, 0x01}},
     {{0, 0, 0}, {0, 2, 0}, {0, 3, 80}, {0, 6, 80}, {0, 7, 160}}},
    {"byte panning", {{CRTC, 8, 0x40}}, {{0, 0, 2}, {0, 1, 82}}},
    {"line compare",
     {{CRTC, 0x18, 10}, {CRTC, 7, 0}, {CRTC, 9, 0}, {CRTC, 12, 0x40}},
     {{0, 10, 0x4000 + 800}, {0, 11, 0}, {0, 12, 80}, {3, 63, 52 * 80 + 3}}},
    {"line compare at 0",
     {{CRTC, 0x18, 0}, {CRTC, 7, 0}, {CRTC, 9, 0}, {CRTC, 12, 0x40}},
     {{0, 0, 0x4000}, {0, 1, 0}}},
    {"CGA's two banks",
     {{CRTC, 0x17, 0xe2}, {CRTC, 9, 0x41}},
     {{0, 0, 0}, {0, 1, 0x2000}, {0, 2, 80}, {0, 3, 0x2050}}},
    {"Hercules' banks",
     {{CRTC, 0x17, 0xe0}, {CRTC, 9, 0x43}},
     {{0, 0, 0}, {0, 1, 0x2000}, {0, 2, 0x4000}, {0, 3, 0x6000}, {1, 4, 81}}},
};

Test(vga_regs, addresses_on_the_screen)
{
    struct card *c = init();
    set_graphics(c);
    fill(c);
    for (size_t r = 0; r < ARRAY_LEN(crtc_rows); r++) {
        const struct crtc_row *row = &crtc_rows[r];
        set_graphics(c);
        for (size_t k = 0; k < ARRAY_LEN(row->change) && row->change[k].chip; k++)
            set(c, (enum chip)row->change[k].chip, row->change[k].index, row->change[k].value);
        draw(c);
        cr_assert(c->w == 640 && c->h == 64, "%s: %dx%d", row->name, c->w, c->h);
        for (size_t k = 0; k < ARRAY_LEN(row->want); k++) {
            const struct want *w = &row->want[k];
            if (k && !w->column && !w->line)
                break;
            for (int x = 0; x < 8; x++) {
                u32 px = c->px[w->line * 640 + w->column * 8 + x];
                cr_expect_eq(px, colour_of(planar_index(w->offset, 7 - x)),
                             "%s: column %d, line %d, dot %d is not of %x", row->name, w->column,
                             w->line, x, w->offset);
            }
        }
    }
    fini(c);
}

/* Line compare's bits 8 and 9, and the shown lines', are in other registers. */
Test(vga_regs, tenth_bits)
{
    struct card *c = init();
    set_graphics(c);
    fill(c);
    for (u32 line = 255; line < 800; line += 136) {
        set(c, CRTC, 0x12, 831 & 0xff);
        set(c, CRTC, 0x06, 0xff);
        set(c, CRTC, 0x07,
            (u8)(0x61 | (831 >> 8 & 1) << 1 | (831 >> 9 & 1) << 6 | (line >> 8 & 1) << 4));
        set(c, CRTC, 0x09, (u8)((line >> 9 & 1) << 6));
        set(c, CRTC, 0x18, (u8)line);
        set(c, CRTC, 0x0c, 0x80);
        draw(c);
        cr_assert_eq(c->h, 832);
        for (int x = 0; x < 16; x++) {
            u32 above = planar_index(0x8000 + line * 80 + (u32)x / 8, 7 - x % 8);
            cr_expect_eq(c->px[line * 640 + (u32)x], colour_of(above), "line %u", line);
            cr_expect_eq(c->px[(line + 1) * 640 + (u32)x],
                         colour_of(planar_index((u32)x / 8, 7 - x % 8)), "after line %u", line);
        }
    }
    fini(c);
}

Test(vga_regs, panning)
{
    struct card *c = init();
    set_graphics(c);
    fill(c);
    for (u8 pan = 0; pan < 16; pan++) {
        for (u8 still = 0; still < 2; still++) {
            set(c, AC, 0x13, pan);
            set(c, AC, 0x10, (u8)(1 | still << 5));
            set(c, CRTC, 7, 0);
            set(c, CRTC, 9, 0);
            set(c, CRTC, 0x18, 20);
            draw(c);
            for (u32 x = 0; x < 640; x++) {
                u32 up = x + (pan & 7), low = still ? x : up;
                cr_assert_eq(c->px[x], colour_of(planar_index(up / 8, 7 - (int)(up & 7))),
                             "panning %u, dot %u", pan, x);
                cr_assert_eq(c->px[21 * 640 + x],
                             colour_of(planar_index(low / 8, 7 - (int)(low & 7))),
                             "panning %u, dot %u of the lower part", pan, x);
            }
        }
    }
    fini(c);
}

/* The three ways in which the planes become dots, and dots of double width. */
Test(vga_regs, shift_modes)
{
    struct card *c = init();
    set_graphics(c);
    fill(c);
    set(c, GC, 5, 0x20); /* two bits of a byte together */
    draw(c);
    for (u32 x = 0; x < 640; x++) {
        u32 a = x / 8, half = x % 8 / 4;
        int sh = 6 - 2 * (int)(x % 4);
        u32 v = (pattern(half, a) >> sh & 3u) | (pattern(half + 2, a) >> sh & 3u) << 2;
        cr_assert_eq(c->px[x], colour_of(v), "four colours, dot %u", x);
    }
    set(c, GC, 5, 0x40); /* 256 colours */
    set(c, AC, 0x10, 0x41);
    draw(c);
    for (u32 x = 0; x < 640; x++)
        cr_assert_eq(c->px[x], colour_of(pattern(x / 2 % 4, x / 8)), "256 colours, dot %u", x);
    set(c, GC, 5, 0);
    set(c, AC, 0x10, 1);
    set(c, SEQ, 1, 0x09); /* half the dot clock */
    draw(c);
    cr_assert_eq(c->w, 1280);
    for (u32 x = 0; x < 1280; x++)
        cr_assert_eq(c->px[x], colour_of(planar_index(x / 16, 7 - (int)(x / 2 % 8))), "dot %u", x);
    set(c, SEQ, 1, 0x21); /* screen off */
    draw(c);
    for (u32 x = 0; x < 640; x++)
        cr_assert_eq(c->px[x], 0);
    fini(c);
}

/* From four bits to an entry of the DAC. */
Test(vga_regs, attribute_colours)
{
    static const struct {
        const char *name;
        u8 mode, planes, select, mask;
    } rows[] = {{"as it is", 1, 15, 0, 0xff},       {"planes off", 1, 5, 0, 0xff},
                {"select 6, 7", 1, 15, 0x0c, 0xff}, {"select 4, 5 not asked for", 1, 15, 3, 0xff},
                {"select 4, 5", 0x81, 15, 6, 0xff}, {"all", 0x81, 11, 9, 0x5d}};
    struct card *c = init();
    set_graphics(c);
    fill(c);
    for (u8 k = 0; k < 16; k++)
        set(c, AC, k, (u8)(63 - 3 * k));
    for (size_t r = 0; r < ARRAY_LEN(rows); r++) {
        set(c, AC, 0x10, rows[r].mode);
        set(c, AC, 0x12, rows[r].planes);
        set(c, AC, 0x14, rows[r].select);
        out(c, 0x3c6, rows[r].mask);
        draw(c);
        for (int x = 0; x < 640; x++) {
            u32 i = planar_index((u32)x / 8, 7 - x % 8) & rows[r].planes;
            u32 v = 63 - 3 * i;
            if (rows[r].mode & 0x80)
                v = (v & 15) | (rows[r].select & 3u) << 4;
            v = (v | (rows[r].select & 12u) << 4) & rows[r].mask;
            cr_assert_eq(c->px[x], colour_of(v), "%s, dot %d", rows[r].name, x);
        }
    }
    /* While the CPU has the palette the screen is dark. */
    in(c, 0x3da);
    out(c, 0x3c0, 0x00);
    cr_expect_eq(in(c, 0x3c0), 0);
    draw(c);
    cr_expect_eq(c->px[0], 0);
    out(c, 0x3c0, 0x11); /* data now: the flip-flop */
    cr_expect_eq(in(c, 0x3c1), 0x11);
    out(c, 0x3c0, 0x20);
    cr_expect_eq(in(c, 0x3c0), 0x20);
    draw(c);
    u32 lit = 0;
    for (int x = 0; x < 640; x++)
        lit |= c->px[x];
    cr_expect(lit);
    fini(c);
}
