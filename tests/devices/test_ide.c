/* tests/devices/test_ide.c - IDE controller, disks and CD-ROM drives, as drivers use them. */
#include "tests/devices/pci_rig.h"
#include "devices/ide.h"

enum { IDE_FN = 9, BM = 0xc000, PRD = 0x1000, DATA = 0x10000 };

struct ide_rig {
    struct pci_rig p;
    struct device *d;
    struct bad_block *disk, *cd;
};

/* A 40 MiB disk as primary master, a 1000-sector CD as secondary master. */
static void start(struct ide_rig *t)
{
    memset(t, 0, sizeof(*t));
    pci_rig_init(&t->p, true);
    struct rig *r = &t->p.r;
    t->d = ide_new(t->p.bus, 1, 1, r->ports, probe_irq(&r->irq), probe_irq(&r->irq2), r->clk);
    t->disk = bad_block_new(40 * MIB);
    t->cd = bad_block_new(1000 * 2048);
    cr_assert_eq(ide_attach(t->d, 0, &t->disk->b, false, NULL), ST_OK);
    cr_assert_eq(ide_attach(t->d, 2, &t->cd->b, true, NULL), ST_OK);
    cfg_write(&t->p, IDE_FN, 0x40, 0x80008000, 4);
    cfg_write(&t->p, IDE_FN, 0x20, BM, 4);
    cfg_write(&t->p, IDE_FN, 4, 5, 2);
}

static void stop(struct ide_rig *t)
{
    device_destroy(t->d);
    pci_rig_fini(&t->p);
    block_close(&t->disk->b);
    block_close(&t->cd->b);
}

static u8 status(struct ide_rig *t)
{
    return in8(&t->p.r, 0x1f7);
}

static void lba28(struct ide_rig *t, u32 lba, u8 count, u8 cmd)
{
    struct rig *r = &t->p.r;
    out8(r, 0x1f6, (u8)(0xe0 | lba >> 24));
    out8(r, 0x1f2, count);
    out8(r, 0x1f3, (u8)lba);
    out8(r, 0x1f4, (u8)(lba >> 8));
    out8(r, 0x1f5, (u8)(lba >> 16));
    out8(r, 0x1f7, cmd);
}

static void lba48(struct ide_rig *t, u64 lba, u16 count, u8 cmd)
{
    struct rig *r = &t->p.r;
    out8(r, 0x1f6, 0x40);
    out8(r, 0x1f2, (u8)(count >> 8));
    out8(r, 0x1f2, (u8)count);
    for (int i = 0; i < 3; i++) {
        out8(r, (u16)(0x1f3 + i), (u8)(lba >> (24 + 8 * i)));
        out8(r, (u16)(0x1f3 + i), (u8)(lba >> (8 * i)));
    }
    out8(r, 0x1f7, cmd);
}

static void read_pio(struct ide_rig *t, u16 port, void *buf, u32 len)
{
    for (u32 i = 0; i < len; i += 2) {
        u16 v = (u16)space_read(t->p.r.ports, port, 2);
        memcpy((u8 *)buf + i, &v, 2);
    }
}

static void write_pio(struct ide_rig *t, u16 port, const void *buf, u32 len)
{
    for (u32 i = 0; i < len; i += 4)
        space_write(t->p.r.ports, port, ld_u32((const u8 *)buf + i), 4);
}

static void prd(struct ide_rig *t, int i, u32 addr, u32 bytes, bool last)
{
    st_u32(t->p.ram->base + PRD + i * 8, addr);
    st_u32(t->p.ram->base + PRD + i * 8 + 4, (bytes & 0xffff) | (last ? 0x80000000u : 0));
}

static void bm_go(struct ide_rig *t, int channel, bool in)
{
    u16 base = (u16)(BM + 8 * channel);
    space_write(t->p.r.ports, base + 4, PRD, 4);
    out8(&t->p.r, base + 2, 6);
    out8(&t->p.r, base, in ? 9 : 1);
}

Test(ide, identify)
{
    struct ide_rig t;
    u8 id[512];
    start(&t);
    out8(&t.p.r, 0x1f6, 0xa0);
    out8(&t.p.r, 0x1f7, 0xec);
    cr_expect(t.p.r.irq.level);
    cr_expect_eq(status(&t), 0x58);
    cr_expect_not(t.p.r.irq.level, "reading the status takes the interrupt back");
    read_pio(&t, 0x1f0, id, 512);
    cr_expect_eq(status(&t), 0x50);
    cr_expect_eq(ld_u32(id + 120), 81920);
    cr_expect_eq(ld_u64(id + 200), 81920);
    cr_expect_eq(ld_u16(id + 2) * 16 * 63, 81 * 16 * 63);
    cr_expect_eq(memcmp(id + 54, "RTVISIROD SI", 12), 0);
    cr_expect_eq(id[511], 0);
    stop(&t);
}

Test(ide, signatures_and_absent_drives)
{
    struct ide_rig t;
    start(&t);
    struct rig *r = &t.p.r;
    static const struct step s[] = {
        {'w', 0x3f6, 0x04},
        {'r', 0x3f6, 0x80},
        {'w', 0x3f6, 0x00},
        {'r', 0x1f7, 0x50},
        {'r', 0x1f1, 0x01},
        {'r', 0x1f2, 0x01},
        {'r', 0x1f3, 0x01},
        {'r', 0x1f4, 0x00},
        {'r', 0x1f5, 0x00},
        {'w', 0x376, 0x04},
        {'w', 0x376, 0x00},
        {'r', 0x177, 0x00},
        {'r', 0x174, 0x14},
        {'r', 0x175, 0xeb},
        /* the absent slave: registers answer, the status does not */
        {'w', 0x1f6, 0xb0},
        {'r', 0x1f7, 0x00},
        {'w', 0x1f2, 0x55},
        {'r', 0x1f2, 0x55},
        {'w', 0x1f7, 0xec},
        {'r', 0x1f7, 0x00},
        {'r', 0x1f6, 0xb0},
        /* IDENTIFY DEVICE to a CD-ROM drive */
        {'w', 0x174, 0x00},
        {'w', 0x177, 0xec},
        {'r', 0x177, 0x51},
        {'r', 0x171, 0x04},
        {'r', 0x174, 0x14},
        {'r', 0x175, 0xeb},
        /* EXECUTE DEVICE DIAGNOSTIC */
        {'w', 0x1f4, 0x77},
        {'w', 0x1f7, 0x90},
        {'r', 0x1f6, 0xa0},
        {'r', 0x1f1, 0x01},
        {'r', 0x1f4, 0x00},
        {'r', 0x1f7, 0x50},
        {0},
    };
    run_steps(r, s);
    cfg_write(&t.p, IDE_FN, 0x40, 0x80000000, 4);
    cr_expect_eq(in8(r, 0x1f7), 0xff, "decoding off");
    stop(&t);
}

Test(ide, pio_read_write)
{
    struct ide_rig t;
    u8 buf[4096];
    start(&t);
    lba28(&t, 100, 2, 0x20);
    cr_expect_eq(t.p.r.irq.rises, 1);
    cr_expect_eq(status(&t), 0x58);
    read_pio(&t, 0x1f0, buf, 512);
    cr_expect_eq(t.p.r.irq.rises, 2, "an interrupt a sector");
    cr_expect_eq(status(&t), 0x58);
    read_pio(&t, 0x1f0, buf + 512, 512);
    cr_expect_eq(t.p.r.irq.rises, 2, "none after the last");
    cr_expect_eq(status(&t), 0x50);
    cr_expect_eq(ld_u32(buf), 100);
    cr_expect_eq(ld_u32(buf + 512), 101);
    cr_expect_eq(in8(&t.p.r, 0x1f3), 101, "the last sector");

    lba28(&t, 0, 4, 0xc6); /* multiple of 4 */
    lba28(&t, 200, 6, 0xc4);
    read_pio(&t, 0x1f0, buf, 2048);
    cr_expect_eq(status(&t), 0x58);
    read_pio(&t, 0x1f0, buf + 2048, 1024);
    cr_expect_eq(status(&t), 0x50);
    for (u32 i = 0; i < 6; i++)
        cr_expect_eq(ld_u32(buf + i * 512), 200 + i);

    memset(buf, 0xa5, sizeof(buf));
    t.p.r.irq.rises = 0;
    lba48(&t, 300, 6, 0x39); /* WRITE MULTIPLE EXT */
    cr_expect_eq(t.p.r.irq.rises, 0, "none before the first block");
    cr_expect_eq(status(&t), 0x58);
    write_pio(&t, 0x1f0, buf, 2048);
    cr_expect_eq(t.p.r.irq.rises, 1);
    cr_expect_eq(status(&t), 0x58);
    write_pio(&t, 0x1f0, buf, 1024);
    cr_expect_eq(t.p.r.irq.rises, 2);
    cr_expect_eq(status(&t), 0x50);
    cr_expect_eq(t.disk->data[300 * 512 - 1], 0);
    cr_expect_eq(t.disk->data[300 * 512], 0xa5);
    cr_expect_eq(t.disk->data[306 * 512 - 1], 0xa5);
    cr_expect_eq(ld_u32(t.disk->data + 306 * 512), 306);
    cr_expect_eq(t.disk->flushes, 0);
    lba28(&t, 0, 0, 0xe7);
    cr_expect_eq(t.disk->flushes, 1);
    stop(&t);
}

Test(ide, chs)
{
    struct ide_rig t;
    u8 buf[512];
    start(&t);
    struct rig *r = &t.p.r;
    static const struct {
        u8 heads, spt, head, sector;
        u16 cyl;
        u32 lba; /* 0: refused */
    } c[] = {{16, 63, 0, 2, 0, 1},           {16, 63, 3, 5, 2, (2 * 16 + 3) * 63 + 4},
             {4, 17, 3, 17, 9, 9 * 68 + 67}, {16, 63, 0, 0, 1, 0},
             {16, 63, 0, 64, 1, 0},          {4, 17, 4, 1, 1, 0},
             {16, 63, 15, 63, 16382, 0}};
    for (size_t i = 0; i < ARRAY_LEN(c); i++) {
        out8(r, 0x1f6, (u8)(0xa0 | (c[i].heads - 1)));
        out8(r, 0x1f2, c[i].spt);
        out8(r, 0x1f7, 0x91);
        cr_expect_eq(status(&t), 0x50);
        out8(r, 0x1f6, 0xa0 | c[i].head);
        out8(r, 0x1f2, 1);
        out8(r, 0x1f3, c[i].sector);
        out8(r, 0x1f4, (u8)c[i].cyl);
        out8(r, 0x1f5, (u8)(c[i].cyl >> 8));
        out8(r, 0x1f7, 0x20);
        if (!c[i].lba) {
            cr_expect_eq(status(&t), 0x51, "row %zu", i);
            cr_expect_eq(in8(r, 0x1f1), 0x10);
            continue;
        }
        read_pio(&t, 0x1f0, buf, 512);
        cr_expect_eq(ld_u32(buf), c[i].lba, "row %zu", i);
        cr_expect_eq(in8(r, 0x1f3), c[i].sector);
        cr_expect_eq(in8(r, 0x1f4), c[i].cyl & 0xff);
    }
    stop(&t);
}

Test(ide, simple_commands)
{
    struct ide_rig t;
    start(&t);
    static const struct {
        u8 cmd, features, count;
        u32 lba;
        u8 status, error, count_after;
    } c[] = {
        {0x00, 0, 0, 0, 0x51, 0x04, 0},       {0x08, 0, 0, 0, 0x51, 0x04, 0},
        {0x10, 0, 0, 9, 0x50, 0, 0},          {0x70, 0, 0, 81919, 0x50, 0, 0},
        {0x70, 0, 0, 81920, 0x51, 0x10, 0},   {0x40, 0, 16, 0, 0x50, 0, 0},
        {0x20, 0, 2, 81919, 0x51, 0x10, 2},   {0xef, 0x03, 0x45, 0, 0x50, 0, 0x45},
        {0xef, 0x03, 0x47, 0, 0x51, 4, 0x47}, {0xef, 0x99, 0, 0, 0x51, 4, 0},
        {0xc6, 0, 3, 0, 0x51, 4, 3},          {0xc4, 0, 1, 0, 0x51, 4, 1},
        {0xe5, 0, 0, 0, 0x50, 0, 0xff},       {0xe0, 0, 0, 0, 0x50, 0, 0},
        {0xb0, 0xd8, 0, 0, 0x51, 4, 0},       {0xf8, 0, 0, 0, 0x50, 0, 0},
        {0xff, 0, 0, 0, 0x51, 4, 0},          {0xef, 0x82, 0, 0, 0x50, 0, 0},
        {0xa1, 0, 0, 0, 0x51, 4, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(c); i++) {
        out8(&t.p.r, 0x1f1, c[i].features);
        t.p.r.irq.rises = 0;
        lba28(&t, c[i].lba, c[i].count, c[i].cmd);
        cr_expect_eq(t.p.r.irq.rises, 1, "row %zu", i);
        cr_expect_eq(status(&t), c[i].status, "row %zu: %02x", i, in8(&t.p.r, 0x3f6));
        cr_expect_eq(in8(&t.p.r, 0x1f1), c[i].error, "row %zu", i);
        cr_expect_eq(in8(&t.p.r, 0x1f2), c[i].count_after, "row %zu", i);
    }
    lba48(&t, 0, 0, 0x27); /* READ NATIVE MAX ADDRESS EXT: 81919 = 0x13fff */
    cr_expect_eq(in8(&t.p.r, 0x1f3), 0xff);
    cr_expect_eq(in8(&t.p.r, 0x1f5), 0x01);
    out8(&t.p.r, 0x3f6, 0x80);
    cr_expect_eq(in8(&t.p.r, 0x1f3), 0x00, "the high byte");
    out8(&t.p.r, 0x1f2, 0);
    cr_expect_eq(in8(&t.p.r, 0x1f3), 0xff, "a write cleared HOB");
    stop(&t);
}

Test(ide, dma)
{
    struct ide_rig t;
    start(&t);
    struct rig *r = &t.p.r;
    prd(&t, 0, DATA, 1024, false);
    prd(&t, 1, DATA + 0x8000, 0x0c00, true);
    lba28(&t, 1000, 8, 0xc8);
    cr_expect_eq(in8(r, 0x3f6), 0x58);
    bm_go(&t, 0, true);
    cr_expect_not(r->irq.level, "not inside the access");
    cr_expect_eq(in8(r, BM + 2), 0x61);
    clock_advance(r->clk, 0);
    cr_expect(r->irq.level);
    cr_expect_eq(in8(r, BM + 2), 0x64, "interrupt, no longer active");
    cr_expect_eq(status(&t), 0x50);
    cr_expect_eq(t.disk->reads, 1, "one host access");
    for (u32 i = 0; i < 8; i++)
        cr_expect_eq(
            ld_u32(t.p.ram->base + (i < 2 ? DATA + i * 512 : DATA + 0x8000 + (i - 2) * 512)),
            1000 + i);
    out8(r, BM + 2, 4);
    cr_expect_eq(in8(r, BM + 2), 0x60);

    /* a table longer than the transfer, started before the command; count 0 is 64 KiB */
    out8(r, BM, 0);
    prd(&t, 0, DATA, 0, true);
    bm_go(&t, 0, false);
    memset(t.p.ram->base + DATA, 0x77, 0x2000);
    lba48(&t, 2000, 4, 0x3d); /* WRITE DMA FUA EXT */
    clock_advance(r->clk, 0);
    cr_expect_eq(in8(r, BM + 2), 0x65, "interrupt, table not used up");
    cr_expect_eq(t.disk->data[2000 * 512], 0x77);
    cr_expect_eq(t.disk->data[2004 * 512 - 1], 0x77);
    cr_expect_eq(ld_u32(t.disk->data + 2004 * 512), 2004);
    cr_expect_eq(t.disk->flushes, 1, "FUA");
    status(&t);

    /* a table that is too short: no interrupt, drive waits, reset helps */
    out8(r, BM, 0);
    prd(&t, 0, DATA, 512, true);
    lba28(&t, 0, 2, 0xc8);
    bm_go(&t, 0, true);
    clock_advance(r->clk, 0);
    cr_expect_eq(in8(r, BM + 2), 0x60);
    cr_expect_eq(status(&t), 0x58);
    out8(r, 0x3f6, 4);
    out8(r, 0x3f6, 0);
    cr_expect_eq(status(&t), 0x50);

    /* not a bus master */
    out8(r, BM, 0);
    cfg_write(&t.p, IDE_FN, 4, 1, 2);
    lba28(&t, 0, 2, 0xc8);
    bm_go(&t, 0, true);
    clock_advance(r->clk, 0);
    cr_expect_eq(in8(r, BM + 2), 0x62, "error");
    stop(&t);
}

Test(ide, host_errors)
{
    struct ide_rig t;
    u8 buf[1024] = {0};
    start(&t);
    struct rig *r = &t.p.r;
    t.disk->fail_from = 503 * 512;
    t.disk->fail_to = 504 * 512;
    prd(&t, 0, DATA, 0x1000, true);
    lba28(&t, 500, 8, 0xc8);
    bm_go(&t, 0, true);
    clock_advance(r->clk, 0);
    cr_expect(r->irq.level);
    cr_expect_eq(status(&t), 0x51);
    cr_expect_eq(in8(r, 0x1f1), 0x40, "UNC");
    cr_expect_eq(in8(r, 0x1f3) | in8(r, 0x1f4) << 8, 503);
    cr_expect_eq(ld_u32(t.p.ram->base + DATA + 2 * 512), 502, "what was good has arrived");
    out8(r, BM, 0);

    lba28(&t, 502, 2, 0x30);
    write_pio(&t, 0x1f0, buf, 512);
    write_pio(&t, 0x1f0, buf, 512);
    cr_expect_eq(status(&t), 0x51);
    cr_expect_eq(in8(r, 0x1f1), 0x04, "ABRT");
    cr_expect_eq(in8(r, 0x1f3) | in8(r, 0x1f4) << 8, 503);
    lba28(&t, 503, 1, 0x20);
    cr_expect_eq(status(&t), 0x51);
    cr_expect_eq(in8(r, 0x1f1), 0x40);
    lba28(&t, 500, 8, 0x40);
    cr_expect_eq(in8(r, 0x1f1), 0x40, "VERIFY");
    t.disk->fail_flush = true;
    lba28(&t, 0, 0, 0xe7);
    cr_expect_eq(status(&t), 0x51, "a failed flush is told");
    t.disk->b.readonly = true;
    lba28(&t, 0, 1, 0x30);
    cr_expect_eq(status(&t), 0x51);
    stop(&t);
}

/* ---- CD-ROM -------------------------------------------------------------------------------------
 */
/* Sends a packet by PIO and reads up to max bytes; returns bytes, or -(key<<16|asc<<8|ascq). */
static int packet(struct ide_rig *t, const u8 *p, u16 limit, void *buf, int max)
{
    struct rig *r = &t->p.r;
    int got = 0;
    out8(r, 0x176, 0xa0);
    out8(r, 0x171, 0);
    out8(r, 0x174, (u8)limit);
    out8(r, 0x175, (u8)(limit >> 8));
    out8(r, 0x177, 0xa0);
    cr_expect_eq(in8(r, 0x177), 0x58);
    cr_expect_eq(in8(r, 0x172), 1);
    write_pio(t, 0x170, p, 12);
    while (in8(r, 0x177) & 8) {
        int n = in8(r, 0x174) | in8(r, 0x175) << 8;
        cr_expect_eq(in8(r, 0x172), 2);
        cr_assert(n > 0 && n <= limit && got + n <= max, "%d bytes after %d", n, got);
        read_pio(t, 0x170, (u8 *)buf + got, (u32)n);
        got += n;
    }
    cr_expect_eq(in8(r, 0x172), 3);
    if (!(in8(r, 0x177) & 1))
        return got;
    u8 sense[18], rs[12] = {3, 0, 0, 0, 18};
    int key = in8(r, 0x171) >> 4;
    cr_expect_eq(packet(t, rs, 64, sense, 18), 18);
    cr_expect_eq(sense[2], key);
    return -(sense[2] << 16 | sense[12] << 8 | sense[13]);
}

Test(ide, cd_commands)
{
    struct ide_rig t;
    static u8 buf[65536];
    start(&t);
    static const struct {
        const char *what;
        u8 p[12];
        int result;
        int at;
        u32 be; /* expected big-endian word at `at` */
    } c[] = {
        {"ready", {0}, 0, 0, 0},
        {"inquiry", {0x12, 0, 0, 0, 36}, 36, 0, 0x05800021},
        {"inquiry, cut", {0x12, 0, 0, 0, 5}, 5, 0, 0x05800021},
        {"capacity", {0x25}, 8, 0, 999},
        {"read 10", {0x28, 0, 0, 0, 0, 7, 0, 0, 40}, 40 * 2048, 0, 0x1c000000},
        {"read 12", {0xa8, 0, 0, 0, 3, 0xe7, 0, 0, 0, 1}, 2048, 0, 0x9c0f0000},
        {"read 0", {0x28}, 0, 0, 0},
        {"read past end", {0x28, 0, 0, 0, 3, 0xe7, 0, 0, 2}, -0x52100, 0, 0},
        {"read far", {0xa8, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, -0x52100, 0, 0},
        {"read cd", {0xbe, 0, 0, 0, 0, 7, 0, 0, 2, 0x10}, 4096, 0, 0x1c000000},
        {"read cd raw", {0xbe, 0, 0, 0, 0, 7, 0, 0, 2, 0xf8}, 4704, 12, 0x00020701},
        {"toc", {0x43, 0, 0, 0, 0, 0, 0, 0, 20}, 20, 16, 1000},
        {"toc msf", {0x43, 2, 0, 0, 0, 0, 0, 0, 20}, 20, 16, 0x00000f19},
        {"sessions", {0x43, 0, 1, 0, 0, 0, 0, 0, 12}, 12, 0, 0x000a0101},
        {"full toc", {0x43, 2, 2, 0, 0, 0, 0, 4, 0}, 48, 0, 0x002e0101},
        {"toc, track 2", {0x43, 0, 0, 0, 0, 0, 2, 0, 20}, -0x52400, 0, 0},
        {"mode page 2a", {0x5a, 0, 0x2a, 0, 0, 0, 0, 0, 255}, 30, 8, 0x2a143b00},
        {"mode page 1", {0x1a, 0, 1, 0, 255}, 12, 4, 0x01060005},
        {"mode page 8", {0x5a, 0, 8, 0, 0, 0, 0, 0, 255}, -0x52400, 0, 0},
        {"configuration", {0x46, 0, 0, 0, 0, 0, 0, 0, 8}, 8, 4, 8},
        {"mechanism", {0xbd, 0, 0, 0, 0, 0, 0, 0, 0, 8}, 8, 4, 0x00010000},
        {"disc info", {0x51, 0, 0, 0, 0, 0, 0, 0, 34}, 34, 0, 0x00200e01},
        {"event", {0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8}, 8, 4, 0x00020000},
        {"seek", {0x2b, 0, 0, 0, 3, 0xe7}, 0, 0, 0},
        {"unknown", {0xee}, -0x52000, 0, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(c); i++) {
        memset(buf, 0, sizeof(buf));
        static u8 big[100000];
        int n = packet(&t, c[i].p, 0x800, big, sizeof(big));
        cr_expect_eq(n, c[i].result, "%s: %d (%x)", c[i].what, n, -n);
        if (n > 4 || (n == 5)) {
            u32 v = (u32)big[c[i].at] << 24 | (u32)big[c[i].at + 1] << 16 |
                    (u32)big[c[i].at + 2] << 8 | big[c[i].at + 3];
            cr_expect_eq(v, c[i].be, "%s: %08x", c[i].what, v);
        }
    }
    cr_expect_eq(packet(&t, (u8[12]){0x28, 0, 0, 0, 0, 0, 0, 0, 8}, 0x7001, buf, 65536), 16384,
                 "an odd limit");
    stop(&t);
}

Test(ide, cd_dma)
{
    struct ide_rig t;
    start(&t);
    struct rig *r = &t.p.r;
    u8 p[12] = {0x28, 0, 0, 0, 0, 10, 0, 0, 32};
    prd(&t, 0, DATA, 0, true); /* 64 KiB: 32 sectors */
    bm_go(&t, 1, true);
    out8(r, 0x176, 0xa0);
    out8(r, 0x171, 1);
    out8(r, 0x177, 0xa0);
    write_pio(&t, 0x170, p, 12);
    cr_expect_not(r->irq2.level);
    clock_advance(r->clk, 0);
    cr_expect(r->irq2.level);
    cr_expect_eq(in8(r, BM + 10), 0x64);
    cr_expect_eq(in8(r, 0x177), 0x50);
    cr_expect_eq(t.cd->reads, 1);
    for (u32 i = 0; i < 32; i++)
        cr_expect_eq(ld_u32(t.p.ram->base + DATA + i * 2048), (10 + i) * 4);
    t.cd->fail_from = 12 * 2048;
    t.cd->fail_to = t.cd->fail_from + 1;
    out8(r, BM + 8, 0);
    bm_go(&t, 1, true);
    out8(r, 0x177, 0xa0);
    write_pio(&t, 0x170, p, 12);
    clock_advance(r->clk, 0);
    cr_expect_eq(in8(r, 0x177), 0x51);
    cr_expect_eq(in8(r, 0x171), 0x34, "MEDIUM ERROR");
    stop(&t);
}

Test(ide, cd_media)
{
    struct ide_rig t;
    u8 buf[64];
    start(&t);
    const u8 ready[12] = {0}, event[12] = {0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8};
    const u8 eject[12] = {0x1b, 0, 0, 0, 2}, load[12] = {0x1b, 0, 0, 0, 3};
    const u8 lock[12] = {0x1e, 0, 0, 0, 1}, unlock[12] = {0x1e};
    struct block *old;
    cr_expect_eq(ide_change_disc(t.d, 2, NULL, &old, NULL), ST_OK);
    cr_expect_eq(old, &t.cd->b);
    cr_expect_eq(packet(&t, event, 64, buf, 64), 8);
    cr_expect_eq(buf[4], 3, "removed");
    cr_expect_eq(buf[5], 0);
    cr_expect_eq(packet(&t, ready, 64, buf, 64), -0x62800, "changed");
    cr_expect_eq(packet(&t, ready, 64, buf, 64), -0x23a01, "no medium");
    cr_expect_eq(ide_change_disc(t.d, 2, &t.cd->b, &old, NULL), ST_OK);
    cr_expect_null(old);
    cr_expect_eq(packet(&t, event, 64, buf, 64), 8);
    cr_expect_eq(buf[4] << 8 | buf[5], 0x202, "new");
    cr_expect_eq(packet(&t, ready, 64, buf, 64), -0x62800);
    cr_expect_eq(packet(&t, ready, 64, buf, 64), 0);
    cr_expect_eq(packet(&t, lock, 64, buf, 64), 0);
    cr_expect(ide_disc_locked(t.d, 2));
    cr_expect_eq(packet(&t, eject, 64, buf, 64), -0x55302);
    ide_eject_button(t.d, 2);
    ide_eject_button(t.d, 0); /* a disk has none */
    cr_expect_eq(packet(&t, event, 64, buf, 64), 8);
    cr_expect_eq(buf[4] << 8 | buf[5], 0x102, "eject asked for");
    cr_expect_eq(packet(&t, event, 64, buf, 64), 8);
    cr_expect_eq(buf[4], 0, "once");
    cr_expect_eq(packet(&t, unlock, 64, buf, 64), 0);
    cr_expect_eq(packet(&t, eject, 64, buf, 64), 0);
    cr_expect(ide_tray_open(t.d, 2));
    cr_expect_eq(packet(&t, ready, 64, buf, 64), -0x23a02);
    cr_expect_eq(packet(&t, load, 64, buf, 64), 0);
    cr_expect_eq(packet(&t, ready, 64, buf, 64), -0x62800);
    cr_expect_eq(packet(&t, ready, 64, buf, 64), 0);
    cr_expect_neq(ide_change_disc(t.d, 0, NULL, NULL, NULL), ST_OK, "a disk");
    cr_expect_neq(ide_attach(t.d, 1, NULL, false, NULL), ST_OK);
    cr_expect_neq(ide_attach(t.d, 4, NULL, true, NULL), ST_OK);
    stop(&t);
}

Test(ide, save_in_the_middle)
{
    struct ide_rig a, b;
    u8 buf[1024];
    start(&a);
    start(&b);
    lba28(&a, 50, 2, 0x20);
    read_pio(&a, 0x1f0, buf, 256);
    cr_expect(clone_state(a.d, b.d));
    cr_expect(b.p.r.irq.level);
    read_pio(&b, 0x1f0, buf + 256, 768);
    cr_expect_eq(ld_u32(buf), 50);
    cr_expect_eq(ld_u32(buf + 512), 51);
    cr_expect_eq(status(&b), 0x50);
    stop(&a);
    stop(&b);
}

Test(ide, hostile)
{
    struct ide_rig t;
    start(&t);
    struct rig *r = &t.p.r;
    memset(t.p.ram->base + PRD, 0, 0x1000);
    for (u32 seed = 1; seed <= 60; seed++) {
        poison_state(t.d, seed);
        cfg_write(&t.p, IDE_FN, 0x40, 0x80008000, 4);
        cfg_write(&t.p, IDE_FN, 0x20, BM, 4);
        cfg_write(&t.p, IDE_FN, 4, 5, 2);
        clock_advance(r->clk, 1000);
        hammer(r, 0x1f0, 8, seed, 3000);
        hammer(r, 0x170, 8, seed, 3000);
        hammer(r, BM, 16, seed, 50);
    }
    stop(&t);
}
