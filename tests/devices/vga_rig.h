/*
 * tests/devices/vga_rig.h - a display adapter on a PCI bus, its registers by chip, and memory that
 * says where it is: what the VGA's register tests share.
 */
#ifndef TESTS_DEVICES_VGA_RIG_H
#define TESTS_DEVICES_VGA_RIG_H

#include "tests/devices/pci_rig.h"
#include "devices/vga.h"

enum { SLOT = 2, MAX_W = 1440, MAX_H = 1024 };

struct card {
    struct pci_rig p;
    struct device *d;
    struct screen *scr;
    int w, h;
    u32 px[MAX_W * MAX_H];
};

static inline struct card *init(void)
{
    struct card *c = calloc(1, sizeof(*c));
    pci_rig_init(&c->p, true);
    cr_assert_eq(vga_new(c->p.bus, SLOT, c->p.mem, c->p.r.ports, NULL, 0, c->p.r.clk, &c->d, NULL),
                 ST_OK);
    c->scr = vga_screen(c->d);
    device_reset(c->d);
    cfg_write(&c->p, SLOT << 3, PCI_COMMAND, 3, 2);
    return c;
}

static inline void fini(struct card *c)
{
    device_destroy(c->d);
    pci_rig_fini(&c->p);
    free(c);
}

static inline void out(struct card *c, u16 port, u8 v)
{
    space_write(c->p.r.ports, port, v, 1);
}

static inline u8 in(struct card *c, u16 port)
{
    return (u8)space_read(c->p.r.ports, port, 1);
}

static inline void put(struct card *c, u32 at, u8 v)
{
    space_write(c->p.mem, at, v, 1);
}

static inline u8 get(struct card *c, u32 at)
{
    return (u8)space_read(c->p.mem, at, 1);
}

/* Registers of the four indexed chips, by a letter each. */
enum chip { SEQ = 's', GC = 'g', CRTC = 'c', AC = 'a', MISC = 'm' };

static inline void set(struct card *c, enum chip chip, u8 i, u8 v)
{
    u16 port = chip == SEQ ? 0x3c4 : chip == GC ? 0x3ce : 0x3d4;
    if (chip == MISC) {
        out(c, 0x3c2, v);
    } else if (chip == AC) {
        in(c, 0x3da);
        out(c, 0x3c0, i | 0x20);
        out(c, 0x3c0, v);
    } else {
        out(c, port, i);
        out(c, (u16)(port + 1), v);
    }
}

static inline u8 reg(struct card *c, enum chip chip, u8 i)
{
    u16 port = chip == SEQ ? 0x3c4 : chip == GC ? 0x3ce : chip == AC ? 0x3c0 : 0x3d4;
    if (chip == MISC)
        return in(c, 0x3cc);
    if (chip == AC)
        in(c, 0x3da);
    out(c, port, chip == AC ? i | 0x20 : i);
    u8 v = in(c, (u16)(port + 1));
    if (chip == AC)
        in(c, 0x3da);
    return v;
}

/* Mode 12h with 64 lines, planes that say where a byte is, colours that say their number. */
static inline u8 pattern(u32 plane, u32 at)
{
    u32 v = (at * 4 + plane) * 0x9e3779b1u;
    return (u8)(v >> 19);
}

static inline u32 colour_of(u32 n)
{
    u32 r = n & 63, g = n >> 6;
    return (r << 2 | r >> 4) << 16 | (g << 2) << 8;
}

static inline void set_graphics(struct card *c)
{
    static const u8 seq[5] = {3, 1, 15, 0, 6};
    static const u8 crtc[25] = {0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0x60, 0x10, 0x00,
                                0x40, 0x20, 0x00, 0x00, 0x00, 0x00, 0x00, 0x50, 0x02,
                                0x3f, 0x28, 0x00, 0x50, 0x60, 0xe3, 0xff};
    static const u8 gr[9] = {0, 0, 0, 0, 0, 0, 5, 15, 0xff};
    set(c, MISC, 0, 0xe3);
    for (u8 k = 0; k < 5; k++)
        set(c, SEQ, k, seq[k]);
    set(c, CRTC, 0x11, 0);
    for (u8 k = 0; k < 25; k++)
        set(c, CRTC, k, crtc[k]);
    for (u8 k = 0; k < 9; k++)
        set(c, GC, k, gr[k]);
    for (u8 k = 0; k < 21; k++)
        set(c, AC, k, k < 16 ? k : k == 16 ? 1 : k == 18 ? 15 : 0);
    out(c, 0x3c6, 0xff);
    out(c, 0x3c8, 0);
    for (u32 k = 0; k < 256; k++) {
        out(c, 0x3c9, k & 63);
        out(c, 0x3c9, (u8)(k >> 6));
        out(c, 0x3c9, 0);
    }
}

static inline void fill(struct card *c)
{
    for (u32 p = 0; p < 4; p++) {
        set(c, SEQ, 2, (u8)(1 << p));
        for (u32 a = 0; a < 0x10000; a++)
            put(c, 0xa0000 + a, pattern(p, a));
    }
    set(c, SEQ, 2, 15);
}

static inline void draw(struct card *c)
{
    c->scr->render(c->scr->ctx, c->px, ARRAY_LEN(c->px), &c->w, &c->h);
    cr_assert(c->w <= MAX_W && c->h <= MAX_H);
}

#endif
