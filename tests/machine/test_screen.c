/*
 * tests/machine/test_screen.c - what the monitor shows of a machine whose firmware is SeaBIOS: a
 * boot sector sets modes by INT 10h and draws; the screen is looked at as a front end does.
 */
#include "tests/machine/machine_rig.h"

#define BIOS "/usr/share/seabios/bios-256k.bin"

enum { FLOPPY = 1440 * 1024, PIXELS = 1024 * 768 };

struct shot {
    struct machine m;
    u32 *px;
    int w, h;
};

/* Boots `c` (at most 510 bytes, at 0:7c00) from a floppy and runs it to its exit. */
static void run_sector(struct shot *s, struct code *c)
{
    if (access(BIOS, R_OK))
        cr_skip_test("no " BIOS);
    u8 sector[512] = {0};
    quit16(c, 0);
    cr_assert(c->n <= 510);
    memcpy(sector, c->b, c->n);
    st_u16(sector + 510, 0xaa55);
    machine_init(&s->m);
    s->m.cfg.ram_size = 32 * MIB;
    strcpy(s->m.cfg.boot_order, "a");
    struct block *b = block_new_mem(FLOPPY);
    cr_assert(b);
    cr_assert_eq(block_write(b, 0, sector, 512), ST_OK);
    s->m.cfg.floppy[0] = b;
    cr_assert_eq(machine_start(&s->m), ST_OK, "%s", s->m.err.msg);
    cr_assert_eq(vm_run(s->m.vm, &s->m.err), VM_STOP_EXIT, "%s", s->m.err.msg);
    s->px = calloc(PIXELS, 4);
    struct screen *scr = vm_screen(s->m.vm);
    cr_assert(scr);
    scr->render(scr->ctx, s->px, PIXELS, &s->w, &s->h);
}

static void done(struct shot *s)
{
    vm_free(s->m.vm);
    free(s->px);
}

static u32 at(const struct shot *s, int x, int y)
{
    cr_assert(x < s->w && y < s->h);
    return s->px[y * s->w + x];
}

/* mov ax, v; int 10h */
static void bios_mode(struct code *c, u16 v)
{
    CODE(c, 0xb8, (u8)v, (u8)(v >> 8), 0xcd, 0x10);
}

/* es = a000h */
static void es_window(struct code *c)
{
    CODE(c, 0x68, 0x00, 0xa0, 0x07);
}

/* mov byte [es:off], v */
static void poke(struct code *c, u16 off, u8 v)
{
    CODE(c, 0x26, 0xc6, 0x06, (u8)off, (u8)(off >> 8), v);
}

/* The line's characters, without those at the end that are blank. */
static void row_text(const u16 *cells, int cols, int row, char *out)
{
    int n = 0;
    for (int x = 0; x < cols; x++) {
        out[x] = (char)cells[row * cols + x];
        if (out[x] && out[x] != ' ')
            n = x + 1;
    }
    out[n] = 0;
}

Test(screen, firmware_text)
{
    struct shot s;
    static struct code c;
    char line[256];
    int cols, rows, cx, cy, found = 0;
    c.n = 0;
    CODE(&c, 0xb8, 0x41, 0x0e, 0xbb, 0x07, 0x00, 0xcd, 0x10); /* teletype 'A' */
    CODE(&c, 0xb8, 0x5a, 0x0e, 0xcd, 0x10);
    run_sector(&s, &c);
    struct screen *scr = vm_screen(s.m.vm);
    const u16 *cells = scr->text(scr->ctx, &cols, &rows, &cx, &cy);
    cr_assert(cells);
    cr_expect(cols == 80 && rows == 25, "%dx%d", cols, rows);
    row_text(cells, cols, 0, line);
    cr_expect(!strncmp(line, "SeaBIOS (version", 16), "%s", line);
    for (int y = 0; y < rows; y++) {
        row_text(cells, cols, y, line);
        if (strcmp(line, "AZ"))
            continue;
        found++;
        cr_expect(cx == 2 && cy == y, "cursor at %d,%d", cx, cy);
    }
    cr_expect_eq(found, 1);
    cr_expect(s.w == 720 && s.h == 400, "%dx%d", s.w, s.h);
    u32 lit = 0;
    for (int k = 0; k < 720 * 16; k++)
        lit += s.px[k] == 0xaaaaaa;
    cr_expect(lit > 200, "%u dots of the first row are lit: no font?", lit);
    done(&s);
}

Test(screen, mode_13h)
{
    struct shot s;
    static struct code c;
    c.n = 0;
    bios_mode(&c, 0x0013);
    es_window(&c);
    poke(&c, 320 * 100 + 7, 4);
    run_sector(&s, &c);
    cr_expect(s.w == 640 && s.h == 400, "%dx%d", s.w, s.h);
    cr_expect_eq(at(&s, 14, 200), 0xaa0000);
    cr_expect_eq(at(&s, 15, 201), 0xaa0000);
    cr_expect_eq(at(&s, 16, 200), 0);
    done(&s);
}

Test(screen, mode_12h)
{
    struct shot s;
    static struct code c;
    c.n = 0;
    bios_mode(&c, 0x0012);
    /* write pixel: colour 5, page 0, x 100, y 50 */
    CODE(&c, 0xb8, 0x05, 0x0c, 0x31, 0xdb, 0xb9, 100, 0, 0xba, 50, 0, 0xcd, 0x10);
    run_sector(&s, &c);
    cr_expect(s.w == 640 && s.h == 480, "%dx%d", s.w, s.h);
    cr_expect_eq(at(&s, 100, 50), 0xaa00aa);
    cr_expect_eq(at(&s, 101, 50), 0);
    done(&s);
}

Test(screen, vbe_mode)
{
    struct shot s;
    static struct code c;
    c.n = 0;
    CODE(&c, 0xbb, 0x18, 0x01); /* 118h: 1024x768, 24 bits; banked */
    bios_mode(&c, 0x4f02);
    CODE(&c, 0x3d, 0x4f, 0x00, 0x74, 0x06); /* cmp ax, 4fh; je over the next line */
    CODE(&c, 0xb0, '!', 0xe6, 0xe9, 0x90, 0x90);
    es_window(&c);
    poke(&c, 3, 0x33);
    poke(&c, 4, 0x22);
    poke(&c, 5, 0x11);
    run_sector(&s, &c);
    cr_expect(!strchr(s.m.text, '!'), "the BIOS refused the mode");
    cr_expect(s.w == 1024 && s.h == 768, "%dx%d", s.w, s.h);
    cr_expect_eq(at(&s, 1, 0), 0x112233);
    cr_expect_eq(at(&s, 2, 0), 0);
    done(&s);
}

Test(screen, vbe_planar_mode)
{
    struct shot s;
    static struct code c;
    c.n = 0;
    CODE(&c, 0xbb, 0x02, 0x01); /* 102h: 800x600, 4 bits */
    bios_mode(&c, 0x4f02);
    CODE(&c, 0xb8, 0x0b, 0x0c, 0x31, 0xdb, 0xb9, 100, 0, 0xba, 590 & 0xff, 590 >> 8, 0xcd, 0x10);
    run_sector(&s, &c);
    cr_expect(s.w == 800 && s.h == 600, "%dx%d", s.w, s.h);
    cr_expect_eq(at(&s, 100, 590), 0x55ffff);
    cr_expect_eq(at(&s, 101, 590), 0);
    done(&s);
}

/* Code in the frame buffer, changed after it ran: the change counts. */
Test(screen, code_in_the_frame_buffer)
{
    static struct code c;
    struct machine m;
    static const u8 gdt[24] = {0,    0,    0, 0, 0, 0,    0,    0, /* flat code, flat data */
                               0xff, 0xff, 0, 0, 0, 0x9b, 0xcf, 0,
                               0xff, 0xff, 0, 0, 0, 0x93, 0xcf, 0};
    static const u8 gdtr[6] = {23, 0, 0x00, 0x02, 0x0f, 0}; /* at f0200 */
    static const u8 code32[] = {
        0x66, 0xb8, 0x10, 0x00,                         /* mov ax, 10h */
        0x8e, 0xd8, 0x8e, 0xd0,                         /* mov ds, ax; mov ss, ax */
        0xbc, 0x00, 0x80, 0x00, 0x00,                   /* mov esp, 8000h */
        0xbb, 0x00, 0x00, 0x00, 0x01,                   /* mov ebx, 1000000h */
        0xc7, 0x03, 0xb0, 'A',  0xc3, 0x00,             /* [ebx]: mov al, 'A'; ret */
        0xff, 0xd3, 0xe6, 0xe9,                         /* call ebx; out 0e9h, al */
        0xc6, 0x43, 0x01, 'B',  0xff, 0xd3, 0xe6, 0xe9, /* the same with 'B' */
        0x66, 0xba, 0x01, 0x05, 0xb0, 0x00, 0xee, 0xf4, /* exit */
    };
    c.n = 0;
    out16l(&c, 0xcf8, 0x80001010); /* the frame buffer to 16 MiB */
    out16l(&c, 0xcfc, 0x01000000);
    out16l(&c, 0xcf8, 0x80001004);
    out16l(&c, 0xcfc, 3);
    CODE(&c, 0x2e, 0x66, 0x0f, 0x01, 0x16, 0x20, 0x02); /* lgdt [cs:220h] */
    CODE(&c, 0x0f, 0x20, 0xc0, 0x0c, 0x01, 0x0f, 0x22, 0xc0);
    CODE(&c, 0x66, 0xea, 0x00, 0x01, 0x0f, 0x00, 0x08, 0x00); /* jmp 8:f0100h */
    memcpy(c.b + 0x100, code32, sizeof(code32));
    memcpy(c.b + 0x200, gdt, sizeof(gdt));
    memcpy(c.b + 0x220, gdtr, sizeof(gdtr));
    machine_init(&m);
    cr_assert_eq(run_rom(&m, &c), VM_STOP_EXIT, "%s", m.err.msg);
    cr_expect_str_eq(m.text, "AB");
    vm_free(m.vm);
}
