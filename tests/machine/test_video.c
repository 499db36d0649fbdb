/*
 * tests/machine/test_video.c - display modes set by the display BIOS: a boot sector asks INT 10h
 * for a mode and one pixel, and the picture must show that pixel and nothing else.
 *
 * Skipped where SeaBIOS is not installed.
 */
#include "tests/machine/machine_rig.h"

#define BIOS "/usr/share/seabios/bios-256k.bin"

enum { MAX_PIXELS = 1280 * 1024 };

static void word(struct code *c, u8 op, u16 v)
{
    CODE(c, op, (u8)v, (u8)(v >> 8));
}

enum { MOV_AX = 0xb8, MOV_CX = 0xb9, MOV_DX = 0xba, MOV_BX = 0xbb };

/* Boots the sector from a floppy until it leaves. False: there is no firmware here. */
static bool run_sector(struct machine *m, struct code *c)
{
    if (access(BIOS, R_OK))
        cr_skip_test("%s is not there (Debian package seabios)", BIOS);
    machine_init(m);
    quit16(c, 0);
    cr_assert(c->n <= 510);
    c->b[510] = 0x55;
    c->b[511] = 0xaa;
    struct block *b = block_new_mem(1440 * KIB);
    cr_assert(b && block_write(b, 0, c->b, 512) == ST_OK);
    m->cfg.floppy[0] = b;
    strcpy(m->cfg.boot_order, "a");
    cr_assert_eq(machine_start(m), ST_OK, "%s", m->err.msg);
    return vm_run(m->vm, &m->err) == VM_STOP_EXIT;
}

Test(video, modes, .timeout = 100)
{
    static u32 px[MAX_PIXELS];
    static const struct {
        u16 mode;             /* from 100h on: VBE */
        int w, h, x, y, dots; /* picture; the pixel, and its size in the picture */
        u8 colour;
        u32 rgb;
    } mode[] = {
        /* in VBE modes INT 10h AH=0Ch reaches the first 64 KiB only */
        {0x04, 640, 400, 319, 199, 2, 2, 0xff55ff},   {0x05, 640, 400, 5, 6, 2, 1, 0x55ffff},
        {0x06, 640, 400, 639, 101, 1, 1, 0xffffff},   {0x0d, 640, 400, 319, 199, 2, 12, 0xff5555},
        {0x0e, 640, 400, 100, 77, 1, 10, 0x55ff55},   {0x10, 640, 350, 639, 349, 1, 9, 0x5555ff},
        {0x11, 640, 480, 8, 479, 1, 1, 0xffffff},     {0x12, 640, 480, 639, 479, 1, 14, 0xffff55},
        {0x13, 640, 400, 319, 199, 2, 4, 0xaa0000},   {0x101, 640, 480, 639, 101, 1, 4, 0xaa0000},
        {0x102, 800, 600, 799, 599, 1, 4, 0xaa0000},  {0x105, 1024, 768, 1023, 62, 1, 2, 0x00aa00},
        {0x104, 1024, 768, 33, 500, 1, 15, 0xffffff},
    };
    for (size_t k = 0; k < ARRAY_LEN(mode); k++) {
        struct machine m;
        struct code c = {0};
        int w = 0, h = 0;
        if (mode[k].mode < 0x100) {
            word(&c, MOV_AX, mode[k].mode);
        } else {
            word(&c, MOV_BX, mode[k].mode);
            word(&c, MOV_AX, 0x4f02);
        }
        CODE(&c, 0xcd, 0x10);
        word(&c, MOV_AX, (u16)(0x0c00 | mode[k].colour));
        word(&c, MOV_BX, 0);
        word(&c, MOV_CX, (u16)mode[k].x);
        word(&c, MOV_DX, (u16)mode[k].y);
        CODE(&c, 0xcd, 0x10);
        cr_assert(run_sector(&m, &c));
        struct screen *s = vm_screen(m.vm);
        s->render(s->ctx, px, MAX_PIXELS, &w, &h);
        cr_expect(w == mode[k].w && h == mode[k].h, "mode %x: %d by %d", mode[k].mode, w, h);
        int found = 0, right = 0;
        int sx = mode[k].dots, sy = mode[k].h == 400 ? 2 : 1; /* 200 lines are shown twice */
        for (int y = 0; y < h; y++) {
            for (int x = 0; x < w; x++) {
                if (!px[y * w + x])
                    continue;
                found++;
                right += px[y * w + x] == mode[k].rgb && x / sx == mode[k].x && y / sy == mode[k].y;
            }
        }
        cr_expect(found == sx * sy && right == found,
                  "mode %x: %d pixels lit, %d of them right, not %d", mode[k].mode, found, right,
                  sx * sy);
        vm_free(m.vm);
    }
}

Test(video, firmware_text_screen)
{
    static const char text[] = "Trivisor";
    struct machine m;
    struct code c = {0};
    int cols, rows, x, y;
    word(&c, MOV_AX, 0x0003);
    CODE(&c, 0xcd, 0x10);
    for (const char *p = text; *p; p++) {
        word(&c, MOV_AX, (u16)(0x0e00 | *p)); /* teletype */
        word(&c, MOV_BX, 7);
        CODE(&c, 0xcd, 0x10);
    }
    cr_assert(run_sector(&m, &c));
    struct screen *s = vm_screen(m.vm);
    const u16 *t = s->text(s->ctx, &cols, &rows, &x, &y);
    cr_assert(t);
    cr_expect(cols == 80 && rows == 25 && x == 8 && y == 0, "%d by %d, cursor %d,%d", cols, rows, x,
              y);
    for (int k = 0; text[k]; k++)
        cr_expect_eq(t[k], 0x0700 | text[k]);
    vm_free(m.vm);
}
