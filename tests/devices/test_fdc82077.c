/* tests/devices/test_fdc82077.c - floppy controller: what drivers do, and what must fail how. */
#include "tests/devices/rig.h"
#include "devices/fdc82077.h"
#include "devices/i8237.h"

#define MEM_SIZE 0x20000

struct memdev {
    struct device dev;
    u8 bytes[MEM_SIZE];
};

static u64 mem_read(struct device *d, int region, u64 off, int size)
{
    return ((struct memdev *)d)->bytes[off];
}

static void mem_write(struct device *d, int region, u64 off, u64 val, int size)
{
    ((struct memdev *)d)->bytes[off] = (u8)val;
}

static const struct device_ops mem_ops = {.name = "memdev", .read = mem_read, .write = mem_write};

struct fd {
    struct rig r;
    struct space *mem;
    struct memdev *m;
    struct device *dma, *d;
    struct block *blk;
};

/* Every sector of an image begins with its number. */
static struct block *image(u32 kib)
{
    struct block *b = block_new_mem(kib * 1024);
    for (u32 i = 0; i < kib * 2; i++)
        block_write(b, i * 512, &i, 4);
    return b;
}

static void start(struct fd *f, u32 kib)
{
    memset(f, 0, sizeof(*f));
    rig_init(&f->r);
    f->mem = space_new("mem", 1 << 24);
    f->m = calloc(1, sizeof(*f->m));
    f->m->dev.ops = &mem_ops;
    space_map_io(f->mem, 0, MEM_SIZE, &f->m->dev, 0, 1, 0);
    f->dma = i8237_new(f->r.ports, f->mem);
    out8(&f->r, 0xd6, 0xc0);
    out8(&f->r, 0xd4, 0x00);
    f->d = fdc82077_new(f->r.ports, probe_irq(&f->r.irq), f->dma, 2, f->r.clk);
    if (kib) {
        f->blk = image(kib);
        cr_assert_eq(fdc82077_insert(f->d, 0, f->blk, NULL), ST_OK);
    }
    out8(&f->r, 0x3f2, 0x1c); /* out of reset, DMA on, motor 0 on */
    out8(&f->r, 0x3f7, 0x00); /* 500 kb/s */
}

static void stop(struct fd *f)
{
    rig_fini(&f->r);
    device_destroy(f->d);
    device_destroy(f->dma);
    space_free(f->mem);
    free(f->m);
}

static void cmd(struct fd *f, const u8 *b, int n)
{
    for (int i = 0; i < n; i++) {
        cr_expect_eq(in8(&f->r, 0x3f4) & 0xc0, 0x80, "ready for byte %d", i);
        out8(&f->r, 0x3f5, b[i]);
    }
    clock_advance(f->r.clk, 3000000);
}
#define CMD(f, ...) cmd(f, (const u8[]){__VA_ARGS__}, (int)sizeof((const u8[]){__VA_ARGS__}))

/* The result phase as hex text. */
static const char *result(struct fd *f, char *buf)
{
    int n = 0;
    buf[0] = 0;
    while ((in8(&f->r, 0x3f4) & 0xd0) == 0xd0 && n < 16)
        sprintf(buf + 3 * n++, "%02x ", in8(&f->r, 0x3f5));
    if (n)
        buf[3 * n - 1] = 0;
    return buf;
}

static void expect(struct fd *f, const char *hex)
{
    char buf[64];
    result(f, buf);
    cr_expect_str_eq(buf, hex, "%s, not %s", buf, hex);
}

/* Channel 2: mode 0x46 to memory, 0x4a from it. */
static void dma(struct fd *f, u8 mode, u16 addr, u16 bytes)
{
    const struct step s[] = {
        {'w', 0x0a, 0x06},
        {'w', 0x0c, 0},
        {'w', 0x0b, mode},
        {'w', 0x04, (u8)addr},
        {'w', 0x04, (u8)(addr >> 8)},
        {'w', 0x05, (u8)(bytes - 1)},
        {'w', 0x05, (u8)((bytes - 1) >> 8)},
        {'w', 0x81, 0},
        {'w', 0x0a, 0x02},
        {0},
    };
    run_steps(&f->r, s);
}

static u32 sector_at(struct fd *f, u32 addr)
{
    u32 v;
    memcpy(&v, f->m->bytes + addr, 4);
    return v;
}

static void ready(struct fd *f)
{
    for (int i = 0; i < 4; i++) {
        CMD(f, 0x08);
        char buf[64];
        result(f, buf);
    }
    CMD(f, 0x03, 0xaf, 0x02);
    CMD(f, 0x07, 0);
    CMD(f, 0x08);
    expect(f, "20 00");
}

Test(fdc82077, reset_and_sense)
{
    struct fd f;
    start(&f, 1440);
    cr_expect(f.r.irq.level);
    CMD(&f, 0x08);
    expect(&f, "c0 00");
    cr_expect_not(f.r.irq.level);
    for (int i = 1; i < 4; i++) {
        char want[8];
        CMD(&f, 0x08);
        sprintf(want, "c%d 00", i);
        expect(&f, want);
    }
    CMD(&f, 0x08);
    expect(&f, "80");
    out8(&f.r, 0x3f2, 0x18);
    cr_expect_eq(in8(&f.r, 0x3f4), 0, "in reset");
    out8(&f.r, 0x3f2, 0x14);
    cr_expect_not(f.r.irq.level, "DMA gate off: no interrupt");
    out8(&f.r, 0x3f2, 0x1c);
    cr_expect(f.r.irq.level);
    out8(&f.r, 0x3f4, 0x80); /* by DSR */
    cr_expect_eq(in8(&f.r, 0x3f4), 0x80);
    cr_expect(f.r.irq.level);
    stop(&f);
}

Test(fdc82077, identification)
{
    struct fd f;
    start(&f, 1440);
    CMD(&f, 0x10);
    expect(&f, "90");
    CMD(&f, 0x18);
    expect(&f, "80");
    CMD(&f, 0x1f);
    expect(&f, "80");
    CMD(&f, 0x94);
    expect(&f, "10");
    CMD(&f, 0x13, 0x00, 0x57, 0x11);
    CMD(&f, 0x12, 0x84);
    CMD(&f, 0x0e);
    expect(&f, "00 00 00 00 00 00 00 84 57 11");
    out8(&f.r, 0x3f4, 0x80);
    CMD(&f, 0x0e);
    expect(&f, "00 00 00 00 00 00 00 84 07 11");
    CMD(&f, 0x14);
    expect(&f, "00");
    out8(&f.r, 0x3f4, 0x80);
    CMD(&f, 0x0e);
    expect(&f, "00 00 00 00 00 00 00 04 20 00");
    stop(&f);
}

Test(fdc82077, seeks_and_drives)
{
    struct fd f;
    start(&f, 1440);
    ready(&f);
    CMD(&f, 0x0f, 0x04, 10);
    cr_expect(f.r.irq.level);
    CMD(&f, 0x08);
    expect(&f, "24 0a");
    CMD(&f, 0x04, 0x00);
    expect(&f, "28");
    CMD(&f, 0x8f, 0x00, 3);
    CMD(&f, 0x08);
    expect(&f, "20 07");
    CMD(&f, 0xcf, 0x00, 5);
    CMD(&f, 0x08);
    expect(&f, "20 0c");
    CMD(&f, 0x07, 0x00);
    CMD(&f, 0x08);
    expect(&f, "20 00");
    CMD(&f, 0x04, 0x00);
    expect(&f, "38");
    CMD(&f, 0x07, 0x01); /* no such drive */
    CMD(&f, 0x08);
    expect(&f, "71 00");
    CMD(&f, 0x04, 0x01);
    expect(&f, "29");
    f.blk->readonly = true;
    CMD(&f, 0x04, 0x00);
    expect(&f, "78");
    stop(&f);
}

Test(fdc82077, read_and_write_by_dma)
{
    struct fd f;
    start(&f, 1440);
    ready(&f);
    CMD(&f, 0x0f, 0, 2);
    CMD(&f, 0x08);
    expect(&f, "20 02");
    dma(&f, 0x46, 0x1000, 1024);
    CMD(&f, 0xe6, 0x00, 2, 0, 5, 2, 18, 0x1b, 0xff);
    cr_expect(f.r.irq.level);
    expect(&f, "00 00 00 02 00 07 02");
    cr_expect_not(f.r.irq.level);
    cr_expect_eq(sector_at(&f, 0x1000), 76);
    cr_expect_eq(sector_at(&f, 0x1200), 77);
    /* Over the end of the track to the other head, and to its last sector. */
    dma(&f, 0x46, 0x1000, 19 * 512);
    CMD(&f, 0xe6, 0x00, 2, 0, 18, 2, 18, 0x1b, 0xff);
    expect(&f, "04 00 00 03 00 01 02");
    cr_expect_eq(sector_at(&f, 0x1000), 89);
    cr_expect_eq(sector_at(&f, 0x1000 + 18 * 512), 107);
    /* Write one sector and a half: the rest of the second becomes zeros. */
    memset(f.m->bytes + 0x8000, 0xaa, 1024);
    dma(&f, 0x4a, 0x8000, 768);
    CMD(&f, 0xc5, 0x04, 2, 1, 3, 2, 18, 0x1b, 0xff);
    expect(&f, "04 00 00 02 01 05 02");
    u8 buf[1024];
    block_read(f.blk, 92 * 512, buf, 1024);
    cr_expect_eq(memcmp(buf, f.m->bytes + 0x8000, 768), 0);
    cr_expect_eq(buf[768], 0);
    cr_expect_eq(buf[1023], 0);
    stop(&f);
}

Test(fdc82077, waits_for_dma)
{
    struct fd f;
    start(&f, 1440);
    ready(&f);
    out8(&f.r, 0x0a, 0x06);
    f.r.irq.rises = 0;
    CMD(&f, 0xe6, 0x00, 0, 0, 1, 2, 18, 0x1b, 0xff);
    cr_expect_eq(f.r.irq.rises, 0);
    cr_expect_eq(in8(&f.r, 0x3f4), 0x10, "busy");
    cr_expect_eq(in8(&f.r, 0x08) & 0x40, 0x40, "asking");
    dma(&f, 0x46, 0x1000, 512);
    cr_expect_eq(f.r.irq.rises, 1);
    expect(&f, "00 00 00 00 00 02 02");
    cr_expect_eq(in8(&f.r, 0x08) & 0x40, 0);
    stop(&f);
}

/* C, H, R, N and rate that are not there. The head is at track 1 of 1.44 MB. */
static const struct {
    u8 cmd[9];
    u8 rate;
    const char *res;
} failures[] = {
    {{0xe6, 0, 2, 0, 1, 2, 18, 27, 255}, 0, "40 04 10 02 00 01 02"},   /* wrong cylinder */
    {{0xe6, 0, 255, 0, 1, 2, 18, 27, 255}, 0, "40 04 02 ff 00 01 02"}, /* bad cylinder */
    {{0xe6, 0, 1, 1, 1, 2, 18, 27, 255}, 0, "40 04 00 01 01 01 02"},   /* wrong head */
    {{0xe6, 0, 1, 0, 19, 2, 20, 27, 255}, 0, "40 04 00 01 00 13 02"},  /* sector 19 */
    {{0xe6, 0, 1, 0, 0, 2, 18, 27, 255}, 0, "40 04 00 01 00 00 02"},   /* sector 0 */
    {{0xe6, 0, 1, 0, 1, 3, 18, 27, 255}, 0, "40 04 00 01 00 01 03"},   /* 1024 bytes */
    {{0xe6, 0, 1, 0, 1, 2, 18, 27, 255}, 2, "40 01 00 01 00 01 02"},   /* 250 kb/s */
    {{0xa6, 0, 1, 0, 1, 2, 18, 27, 255}, 0, "40 01 00 01 00 01 02"},   /* FM */
    {{0xe6, 1, 1, 0, 1, 2, 18, 27, 255}, 0, "41 01 00 01 00 01 02"},   /* no drive */
    {{0x46, 0, 1, 0, 17, 2, 18, 27, 255}, 0, "40 80 00 02 00 01 02"},  /* EOT before TC */
    {{0x4c, 0, 1, 0, 4, 2, 18, 27, 255}, 0, "00 00 40 01 00 05 02"},   /* read deleted */
    {{0x6c, 0, 1, 0, 4, 2, 18, 27, 255}, 0, "40 80 40 02 00 01 02"},   /* and skip */
    {{0x56, 0, 1, 0, 1, 2, 18, 27, 255}, 0, "00 00 00 02 00 01 02"},   /* verify */
    {{0x56, 0x80, 1, 0, 5, 2, 18, 27, 3}, 0, "00 00 00 01 00 08 02"},  /* verify three */
    {{0x56, 0, 1, 0, 5, 2, 19, 27, 255}, 0, "40 04 00 01 00 13 02"},   /* verify too many */
    {{0x42, 0, 1, 0, 1, 2, 3, 27, 255}, 0, "00 00 00 02 00 01 02"},    /* read track */
    {{0x42, 0, 7, 0, 1, 2, 3, 27, 255}, 0, "00 04 00 08 00 01 02"},    /* of another */
};

Test(fdc82077, failures)
{
    for (size_t i = 0; i < ARRAY_LEN(failures); i++) {
        struct fd f;
        start(&f, 1440);
        ready(&f);
        CMD(&f, 0x0f, 0, 1);
        CMD(&f, 0x08);
        expect(&f, "20 01");
        out8(&f.r, 0x3f7, failures[i].rate);
        dma(&f, 0x46, 0x1000, 0x4000);
        cmd(&f, failures[i].cmd, 9);
        char buf[64];
        result(&f, buf);
        cr_expect_str_eq(buf, failures[i].res, "case %zu: %s, not %s", i, buf, failures[i].res);
        stop(&f);
    }
}

Test(fdc82077, read_only_and_empty)
{
    struct fd f;
    start(&f, 1440);
    ready(&f);
    f.blk->readonly = true;
    dma(&f, 0x4a, 0x1000, 512);
    CMD(&f, 0x45, 0, 0, 0, 1, 2, 18, 27, 255);
    expect(&f, "40 02 00 00 00 01 02");
    CMD(&f, 0x4d, 0, 2, 18, 84, 0xf6);
    expect(&f, "40 02 00 00 00 01 02");
    fdc82077_eject(f.d, 0);
    CMD(&f, 0x4a, 0);
    expect(&f, "40 01 00 00 00 00 00");
    CMD(&f, 0x46, 0, 0, 0, 1, 2, 18, 27, 255);
    expect(&f, "40 01 00 00 00 01 02");
    stop(&f);
}

Test(fdc82077, format)
{
    struct fd f;
    start(&f, 1440);
    ready(&f);
    for (u8 i = 0; i < 18; i++)
        memcpy(f.m->bytes + 0x1000 + i * 4, (u8[]){0, 1, (u8)(i + 1), 2}, 4);
    dma(&f, 0x4a, 0x1000, 72);
    CMD(&f, 0x4d, 0x04, 2, 18, 84, 0xf6);
    char buf[64];
    result(&f, buf);
    cr_expect_eq(strncmp(buf, "04 00 00", 8), 0, "%s", buf);
    u8 sec[512];
    for (u64 i = 17; i <= 36; i++) {
        block_read(f.blk, i * 512, sec, 512);
        bool filled = sec[0] == 0xf6 && sec[511] == 0xf6;
        cr_expect_eq(filled, i >= 18 && i < 36, "sector %d", (int)i);
    }
    stop(&f);
}

Test(fdc82077, programmed_io)
{
    struct fd f;
    start(&f, 1440);
    ready(&f);
    CMD(&f, 0x03, 0xaf, 0x03);
    CMD(&f, 0x46, 0, 0, 0, 17, 2, 18, 27, 255);
    u8 got[1024];
    for (int i = 0; i < 1024; i++) {
        cr_assert_eq(in8(&f.r, 0x3f4), 0xf0, "byte %d: %x", i, in8(&f.r, 0x3f4));
        got[i] = in8(&f.r, 0x3f5);
    }
    cr_expect_eq(got[0], 16);
    cr_expect_eq(got[512], 17);
    expect(&f, "40 80 00 01 00 01 02"); /* no terminal count in this mode */
    CMD(&f, 0x45, 0, 0, 0, 18, 2, 18, 27, 255);
    for (int i = 0; i < 512; i++) {
        cr_assert_eq(in8(&f.r, 0x3f4), 0xb0);
        out8(&f.r, 0x3f5, (u8)(i ^ 0x5a));
    }
    expect(&f, "40 80 00 01 00 01 02");
    block_read(f.blk, 17 * 512, got, 512);
    cr_expect_eq(got[7], 7 ^ 0x5a);
    stop(&f);
}

Test(fdc82077, disk_change)
{
    struct fd f;
    start(&f, 1440);
    ready(&f);
    cr_expect_eq(in8(&f.r, 0x3f7), 0x80, "no steps yet: the head was at track 0");
    CMD(&f, 0x0f, 0, 1);
    CMD(&f, 0x08);
    expect(&f, "20 01");
    cr_expect_eq(in8(&f.r, 0x3f7), 0x00);
    fdc82077_eject(f.d, 0);
    cr_expect_eq(in8(&f.r, 0x3f7), 0x80);
    CMD(&f, 0x07, 0);
    cr_expect_eq(in8(&f.r, 0x3f7), 0x80, "empty");
    struct block *b = image(720);
    cr_expect_eq(fdc82077_insert(f.d, 0, b, NULL), ST_OK);
    cr_expect_eq(in8(&f.r, 0x3f7), 0x80);
    CMD(&f, 0x0f, 0, 1);
    cr_expect_eq(in8(&f.r, 0x3f7), 0x00);
    out8(&f.r, 0x3f2, 0x0c);
    fdc82077_eject(f.d, 0);
    cr_expect_eq(in8(&f.r, 0x3f7), 0x00, "motor off: nobody drives the line");
    stop(&f);
}

/* The disk goes, or another comes, between two sectors of a transfer. */
Test(fdc82077, changed_in_the_middle)
{
    struct fd f;
    start(&f, 1440);
    ready(&f);
    out8(&f.r, 0x0a, 0x06); /* DMA masked: the controller waits with sector 1 in its buffer */
    CMD(&f, 0xe6, 0x00, 0, 0, 1, 2, 18, 0x1b, 0xff);
    cr_expect_eq(fdc82077_medium(f.d, 0), f.blk);
    fdc82077_eject(f.d, 0);
    cr_expect_null(fdc82077_medium(f.d, 0));
    dma(&f, 0x46, 0x1000, 1024);
    expect(&f, "40 01 00 00 00 02 02");
    struct block *small = block_new_mem(160 * KIB);
    small->readonly = true;
    cr_expect_eq(fdc82077_insert(f.d, 0, image(1440), NULL), ST_OK);
    out8(&f.r, 0x0a, 0x06);
    CMD(&f, 0xc5, 0x00, 0, 0, 1, 2, 18, 0x1b, 0xff);
    cr_expect_eq(fdc82077_insert(f.d, 0, small, NULL), ST_OK);
    dma(&f, 0x4a, 0x1000, 512);
    char buf[64];
    result(&f, buf);
    cr_expect(buf[0] == '4' && strlen(buf) == 20, "%s", buf);
    cr_expect_eq(in8(&f.r, 0x3f7), 0x80);
    stop(&f);
}

static const struct {
    u32 kib;
    u8 type, rate, tracks, heads, sectors;
} geometries[] = {
    {160, FDC_1200K, 1, 40, 1, 8},   {180, FDC_1200K, 1, 40, 1, 9},
    {320, FDC_1200K, 1, 40, 2, 8},   {360, FDC_1200K, 1, 40, 2, 9},
    {720, FDC_1440K, 2, 80, 2, 9},   {1200, FDC_1200K, 0, 80, 2, 15},
    {1440, FDC_1440K, 0, 80, 2, 18}, {1680, FDC_1440K, 0, 80, 2, 21},
    {1722, FDC_1440K, 0, 82, 2, 21}, {2880, FDC_2880K, 3, 80, 2, 36},
};

Test(fdc82077, geometries)
{
    for (size_t i = 0; i < ARRAY_LEN(geometries); i++) {
        struct fd f;
        start(&f, geometries[i].kib);
        ready(&f);
        u8 t = geometries[i].tracks - 1, h = geometries[i].heads - 1, s = geometries[i].sectors;
        cr_expect_eq(fdc82077_cmos_type(f.d, 0), geometries[i].type);
        out8(&f.r, 0x3f7, geometries[i].rate);
        CMD(&f, 0x13, 0, 0x40, 0); /* implied seeks */
        dma(&f, 0x46, 0x1000, 512);
        CMD(&f, 0x46, (u8)(h << 2), t, h, s, 2, s, 27, 255);
        char buf[64];
        result(&f, buf);
        cr_expect_eq(strncmp(buf, h ? "04 00 00" : "00 00 00", 8), 0, "%d KiB: %s",
                     geometries[i].kib, buf);
        cr_expect_eq(sector_at(&f, 0x1000), geometries[i].kib * 2 - 1, "last sector");
        CMD(&f, 0x46, (u8)(h << 2), (u8)(t + 1), h, 1, 2, s, 27, 255);
        result(&f, buf);
        cr_expect_eq(strncmp(buf, h ? "44 01" : "40 01", 5), 0, "%s", buf);
        if (!h) {
            CMD(&f, 0x46, 4, 0, 1, 1, 2, s, 27, 255);
            result(&f, buf);
            cr_expect_eq(strncmp(buf, "44 01", 5), 0, "no second side: %s", buf);
        }
        stop(&f);
    }
}

Test(fdc82077, odd_sizes)
{
    struct fd f;
    start(&f, 0);
    struct error err = {""};
    struct block *big = block_new_mem(2881 * 1024);
    cr_expect_eq(fdc82077_insert(f.d, 0, big, &err), ST_FORMAT);
    cr_expect_neq(err.msg[0], 0);
    block_close(big);
    cr_expect_eq(fdc82077_cmos_type(f.d, 0), FDC_NONE);
    struct block *tiny = block_new_mem(700); /* a boot sector and a bit */
    block_write(tiny, 512, "\x11\x22\x33\x44", 4);
    cr_expect_eq(fdc82077_insert(f.d, 0, tiny, NULL), ST_OK);
    cr_expect_eq(fdc82077_cmos_type(f.d, 0), FDC_1440K);
    ready(&f);
    memset(f.m->bytes + 0x1000, 0xee, 1024);
    dma(&f, 0x46, 0x1000, 1024);
    CMD(&f, 0x46, 0, 0, 0, 2, 2, 18, 27, 255);
    expect(&f, "00 00 00 00 00 04 02");
    cr_expect_eq(sector_at(&f, 0x1000), 0x44332211);
    cr_expect_eq(sector_at(&f, 0x10c0), 0);
    cr_expect_eq(sector_at(&f, 0x1200), 0);
    dma(&f, 0x4a, 0x1000, 512);
    CMD(&f, 0x45, 0, 0, 0, 2, 2, 18, 27, 255);
    expect(&f, "40 20 20 00 00 02 02");
    stop(&f);
}

Test(fdc82077, state_moves)
{
    struct fd a, b;
    start(&a, 1440);
    start(&b, 1440);
    ready(&a);
    CMD(&a, 0x03, 0xaf, 0x03);
    CMD(&a, 0x46, 0, 0, 0, 3, 2, 3, 27, 255);
    for (int i = 0; i < 100; i++)
        in8(&a.r, 0x3f5);
    clock_advance(b.r.clk, clock_now(a.r.clk));
    cr_expect(clone_state(a.d, b.d));
    for (int i = 100; i < 512; i++)
        in8(&b.r, 0x3f5);
    expect(&b, "40 80 00 01 00 01 02");
    stop(&a);
    stop(&b);
}

Test(fdc82077, hostile)
{
    struct fd f;
    start(&f, 360);
    for (u32 i = 0; i < 300; i++) {
        if (poison_state(f.d, i)) {
            clock_advance(f.r.clk, 5000000);
            hammer(&f.r, 0x3f0, 6, i, 200);
            dma(&f, i & 1 ? 0x56 : 0x5a, 0, 0xffff);
            clock_advance(f.r.clk, 5000000);
        }
        device_reset(f.d);
        out8(&f.r, 0x3f2, 0x1c);
        for (int j = 0; j < 40; j++) /* commands more often than registers */
            hammer(&f.r, 0x3f5, 1, i * 41 + (u32)j, 30);
        if (i % 50 == 49) {
            fdc82077_eject(f.d, 0);
            hammer(&f.r, 0x3f0, 6, i, 300);
            fdc82077_insert(f.d, 0, image(360), NULL);
        }
    }
    stop(&f);
}
