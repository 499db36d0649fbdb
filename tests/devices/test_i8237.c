/* tests/devices/test_i8237.c - DMA controllers. Memory is a device that keeps bytes. */
#include "tests/devices/rig.h"
#include "devices/i8237.h"

#define MEM_SIZE 0x40000

struct memdev {
    struct device dev;
    u8 bytes[MEM_SIZE];
};

static u64 mem_read(struct device *d, int region, u64 off, int size)
{
    u64 v = 0;
    memcpy(&v, ((struct memdev *)d)->bytes + off, (size_t)size);
    return v;
}

static void mem_write(struct device *d, int region, u64 off, u64 val, int size)
{
    memcpy(((struct memdev *)d)->bytes + off, &val, (size_t)size);
}

static const struct device_ops mem_ops = {.name = "memdev", .read = mem_read, .write = mem_write};

struct dma {
    struct rig r;
    struct space *mem;
    struct memdev *m;
    struct device *d;
};

static void start(struct dma *p)
{
    rig_init(&p->r);
    p->mem = space_new("mem", 1 << 24);
    p->m = calloc(1, sizeof(*p->m));
    p->m->dev.ops = &mem_ops;
    space_map_io(p->mem, 0, MEM_SIZE, &p->m->dev, 0, 1, 0);
    p->d = i8237_new(p->r.ports, p->mem);
    out8(&p->r, 0xd6, 0xc0); /* cascade */
    out8(&p->r, 0xd4, 0x00);
}

static void stop(struct dma *p)
{
    rig_fini(&p->r);
    space_free(p->mem);
    device_destroy(p->d);
    free(p->m);
}

/* Programs a channel the usual way: addr and count in bytes (even for 5-7). */
static void program(struct dma *p, int ch, u8 mode, u32 addr, u32 bytes)
{
    static const u16 page[8] = {0x87, 0x83, 0x81, 0x82, 0x8f, 0x8b, 0x89, 0x8a};
    bool w = ch >= 4;
    u16 base = w ? 0xc0 : 0, mul = w ? 2 : 1;
    u16 a = (u16)(w ? addr >> 1 : addr), n = (u16)((w ? bytes >> 1 : bytes) - 1);
    out8(&p->r, (u16)(base + 10 * mul), (u8)(4 | (ch & 3)));
    out8(&p->r, (u16)(base + 12 * mul), 0);
    out8(&p->r, (u16)(base + 11 * mul), (u8)(mode | (ch & 3)));
    out8(&p->r, (u16)(base + (ch & 3) * 2 * mul), (u8)a);
    out8(&p->r, (u16)(base + (ch & 3) * 2 * mul), (u8)(a >> 8));
    out8(&p->r, (u16)(base + ((ch & 3) * 2 + 1) * mul), (u8)n);
    out8(&p->r, (u16)(base + ((ch & 3) * 2 + 1) * mul), (u8)(n >> 8));
    out8(&p->r, page[ch], (u8)(addr >> 16));
    out8(&p->r, (u16)(base + 10 * mul), (u8)(ch & 3));
}

static u16 reg16(struct dma *p, u16 port)
{
    u8 lo = in8(&p->r, port);
    return (u16)(lo | in8(&p->r, port) << 8);
}

Test(i8237, write_to_memory)
{
    struct dma p;
    start(&p);
    u8 buf[512];
    for (int i = 0; i < 512; i++)
        buf[i] = (u8)(i * 7);
    bool tc = false;
    program(&p, 2, 0x46, 0x12345, 512);
    cr_expect_eq(i8237_transfer(p.d, 2, buf, 200, I8237_FROM_MEMORY, &tc), 0, "wrong direction");
    cr_expect_eq(i8237_transfer(p.d, 2, buf, 200, I8237_TO_MEMORY, &tc), 200);
    cr_expect_not(tc);
    cr_expect_eq(reg16(&p, 0x04), 0x2345 + 200);
    cr_expect_eq(reg16(&p, 0x05), 311);
    cr_expect_eq(i8237_transfer(p.d, 2, buf + 200, 1000, I8237_TO_MEMORY, &tc), 312);
    cr_expect(tc);
    cr_expect_eq(memcmp(p.m->bytes + 0x12345, buf, 512), 0);
    cr_expect_eq(reg16(&p, 0x05), 0xffff);
    cr_expect_eq(in8(&p.r, 0x08), 0x04, "terminal count");
    cr_expect_eq(in8(&p.r, 0x08), 0x00, "cleared by reading");
    cr_expect_eq(in8(&p.r, 0x0f), 0xff, "masked again");
    cr_expect_eq(i8237_transfer(p.d, 2, buf, 1, I8237_TO_MEMORY, &tc), 0);
    stop(&p);
}

Test(i8237, read_words_with_wrap)
{
    struct dma p;
    start(&p);
    u8 buf[8] = {0};
    for (int i = 0; i < 8; i++)
        p.m->bytes[i < 4 ? 0x3fffc + i : 0x20000 + i - 4] = (u8)(i + 1);
    bool tc = false;
    program(&p, 5, 0x48, 0x3fffc, 8); /* page bit 0 is the address's: 128 KiB pages */
    cr_expect_eq(i8237_transfer(p.d, 5, buf, 7, I8237_FROM_MEMORY, &tc), 6);
    cr_expect_eq(i8237_transfer(p.d, 5, buf + 6, 9, I8237_FROM_MEMORY, &tc), 2);
    cr_expect(tc);
    for (int i = 0; i < 8; i++)
        cr_expect_eq(buf[i], i + 1, "byte %d is %d", i, buf[i]);
    cr_expect_eq(in8(&p.r, 0xd0), 0x02);
    stop(&p);
}

Test(i8237, bytes_wrap_in_64k)
{
    struct dma p;
    start(&p);
    program(&p, 1, 0x44, 0x1fffe, 4);
    cr_expect_eq(i8237_transfer(p.d, 1, "abcd", 4, I8237_TO_MEMORY, NULL), 4);
    cr_expect_eq(memcmp(p.m->bytes + 0x1fffe, "ab", 2), 0);
    cr_expect_eq(memcmp(p.m->bytes + 0x10000, "cd", 2), 0);
    stop(&p);
}

Test(i8237, autoinit_down_verify)
{
    struct dma p;
    start(&p);
    bool tc = false;
    program(&p, 3, 0x54, 0x1000, 3);
    cr_expect_eq(i8237_transfer(p.d, 3, "abcde", 5, I8237_TO_MEMORY, &tc), 3);
    cr_expect(tc);
    cr_expect_eq(reg16(&p, 0x06), 0x1000);
    cr_expect_eq(reg16(&p, 0x07), 2);
    cr_expect_eq(i8237_transfer(p.d, 3, "xy", 2, I8237_TO_MEMORY, &tc), 2);
    cr_expect_eq(memcmp(p.m->bytes + 0x1000, "xyc", 3), 0);
    program(&p, 3, 0x64, 0x1010, 3);
    cr_expect_eq(i8237_transfer(p.d, 3, "abc", 3, I8237_TO_MEMORY, &tc), 3);
    cr_expect_eq(memcmp(p.m->bytes + 0x100e, "cba", 3), 0);
    program(&p, 3, 0x40, 0x1000, 2); /* verify */
    tc = false;
    cr_expect_eq(i8237_transfer(p.d, 3, "--", 2, I8237_TO_MEMORY, &tc), 2);
    cr_expect(tc);
    cr_expect_eq(memcmp(p.m->bytes + 0x1000, "xyc", 3), 0);
    stop(&p);
}

static void on_ready(void *ctx)
{
    (*(int *)ctx)++;
}

Test(i8237, masks_and_hooks)
{
    struct dma p;
    start(&p);
    int calls = 0;
    program(&p, 2, 0x46, 0, 16);
    cr_expect(i8237_ready(p.d, 2, I8237_TO_MEMORY));
    out8(&p.r, 0xd4, 0x04);
    cr_expect_not(i8237_ready(p.d, 2, I8237_TO_MEMORY), "cascade masked");
    i8237_set_hook(p.d, 2, on_ready, &calls);
    out8(&p.r, 0x0e, 0);
    cr_expect_eq(calls, 0);
    i8237_set_drq(p.d, 2, true);
    cr_expect_eq(in8(&p.r, 0x08), 0x40);
    out8(&p.r, 0xd4, 0x00);
    cr_expect_eq(calls, 1);
    out8(&p.r, 0x08, 0x04);
    cr_expect_not(i8237_ready(p.d, 2, I8237_TO_MEMORY), "controller disabled");
    out8(&p.r, 0x0d, 0);
    cr_expect_eq(in8(&p.r, 0x0f) & 15, 15);
    out8(&p.r, 0x09, 0x05);
    cr_expect_eq(in8(&p.r, 0x08), 0x60);
    out8(&p.r, 0x84, 0x77); /* a page latch of no channel */
    cr_expect_eq(in8(&p.r, 0x84), 0x77);
    stop(&p);
}

Test(i8237, state_moves_and_hostile)
{
    struct dma p, q;
    start(&p);
    start(&q);
    program(&p, 2, 0x46, 0x12345, 512);
    cr_expect(clone_state(p.d, q.d));
    cr_expect_eq(i8237_transfer(q.d, 2, "hello", 5, I8237_TO_MEMORY, NULL), 5);
    cr_expect_eq(memcmp(q.m->bytes + 0x12345, "hello", 5), 0);
    u8 buf[300];
    for (u32 i = 0; i < 200; i++) {
        memset(buf, 0, sizeof(buf));
        cr_assert(poison_state(p.d, i));
        hammer(&p.r, 0x00, 16, i, 20);
        hammer(&p.r, 0xc0, 32, i, 20);
        for (int ch = 0; ch < 8; ch++)
            for (int dir = 0; dir < 2; dir++)
                cr_assert(i8237_transfer(p.d, ch, buf, sizeof(buf), dir, NULL) <= sizeof(buf));
    }
    stop(&p);
    stop(&q);
}
