/*
 * tests/devices/test_fw_cfg.c - items, the file directory, DMA, and guests that lie.
 */
#include "tests/devices/rig.h"
#include "base/bits.h"
#include "bus/ram.h"
#include "devices/fw_cfg.h"

struct cfg {
    struct rig r;
    struct space *mem;
    struct ram *ram;
    struct device *d;
};

static void init(struct cfg *c)
{
    rig_init(&c->r);
    c->mem = space_new("mem", 1ull << 52);
    cr_assert_eq(ram_new(MIB, &c->ram, NULL), ST_OK);
    space_map_ram(c->mem, 0, MIB, c->ram, 0, MAP_RW, 0);
    c->d = fw_cfg_new(c->r.ports, c->mem);
}

static void fini(struct cfg *c)
{
    device_destroy(c->d);
    space_free(c->mem);
    ram_free(c->ram);
    rig_fini(&c->r);
}

static void pick(struct cfg *c, u16 key)
{
    space_write(c->r.ports, 0x510, key, 2);
}

static u32 in_be32(struct cfg *c)
{
    u32 v = 0;
    for (int k = 0; k < 4; k++)
        v = v << 8 | in8(&c->r, 0x511);
    return v;
}

/* Runs one DMA request placed at 0x100; returns the control word it left. */
static u32 dma(struct cfg *c, u32 control, u32 len, u64 addr)
{
    u8 q[16];
    st_u32(q, __builtin_bswap32(control));
    st_u32(q + 4, __builtin_bswap32(len));
    st_u64(q + 8, __builtin_bswap64(addr));
    memcpy(c->ram->base + 0x100, q, 16);
    space_write(c->r.ports, 0x514, 0, 4);
    space_write(c->r.ports, 0x518, __builtin_bswap32(0x100), 4);
    return __builtin_bswap32(ld_u32(c->ram->base + 0x100));
}

Test(fw_cfg, signature_and_id)
{
    struct cfg c;
    init(&c);
    char sig[5] = {0};
    for (int k = 0; k < 4; k++)
        sig[k] = (char)in8(&c.r, 0x511);
    cr_expect_str_eq(sig, "QEMU");
    cr_expect_eq(in8(&c.r, 0x511), 0, "zeros follow");
    pick(&c, 1);
    cr_expect_eq(in8(&c.r, 0x511), 3);
    cr_expect_eq(space_read(c.r.ports, 0x514, 4), 0x554d4551u);
    cr_expect_eq(space_read(c.r.ports, 0x518, 4), 0x47464320u);
    fini(&c);
}

Test(fw_cfg, items_and_directory)
{
    struct cfg c;
    init(&c);
    fw_cfg_set_int(c.d, FW_CFG_RAM_SIZE, 0x123456789ull, 8);
    fw_cfg_add_file(c.d, "bootorder", "abc", 3);
    fw_cfg_add_file(c.d, "etc/x", "0123456789", 10);
    fw_cfg_add_file(c.d, "bootorder", "abcd", 4); /* replaced, not added */
    pick(&c, FW_CFG_RAM_SIZE);
    cr_expect_eq(in8(&c.r, 0x511), 0x89);
    pick(&c, 0x19);
    cr_expect_eq(in_be32(&c), 2);
    cr_expect_eq(in_be32(&c), 4);
    cr_expect_eq(in_be32(&c), 0x200000, "file 0 is item 20h");
    char name[57] = {0};
    for (int k = 0; k < 56; k++)
        name[k] = (char)in8(&c.r, 0x511);
    cr_expect_str_eq(name, "bootorder");
    cr_expect_eq(in_be32(&c), 10);
    cr_expect_eq(in_be32(&c), 0x210000);
    pick(&c, 0x20);
    cr_expect_eq(in_be32(&c), 0x61626364);
    fini(&c);
}

Test(fw_cfg, dma_reads_skips_and_pads)
{
    struct cfg c;
    init(&c);
    fw_cfg_add_file(c.d, "f", "0123456789", 10);
    memset(c.ram->base + 0x1000, 0xee, 64);
    cr_expect_eq(dma(&c, 0x20 << 16 | 8 | 2, 4, 0x1000), 0);
    cr_expect_eq(dma(&c, 4, 2, 0), 0);
    cr_expect_eq(dma(&c, 2, 8, 0x1004), 0);
    cr_expect_arr_eq(c.ram->base + 0x1000, "01236789\0\0\0\0\xee", 13);
    fini(&c);
}

Test(fw_cfg, hostile_requests)
{
    struct cfg c;
    init(&c);
    fw_cfg_add_file(c.d, "f", "0123456789", 10);
    cr_expect_eq(dma(&c, 0x20 << 16 | 8 | 16, 4, 0x1000), 1, "items are read-only");
    cr_expect_eq(dma(&c, 0x20 << 16 | 8 | 2, 0xffffffff, 0x2000), 1, "too many zeros");
    cr_expect_eq(dma(&c, 0xffffu << 16 | 8 | 4, 0xffffffff, 0), 0, "no such item");
    cr_expect_eq(in8(&c.r, 0x511), 0);
    cr_expect_eq(dma(&c, 0x20 << 16 | 8 | 2, 10, ~0ull - 3), 0, "wraps at the end of the space");
    space_write(c.r.ports, 0x514, 0xffffffff, 4);
    space_write(c.r.ports, 0x518, 0xffffffff, 4);
    for (u32 seed = 1; seed < 20; seed++) {
        poison_state(c.d, seed);
        hammer(&c.r, 0x510, 12, seed, 500);
    }
    fini(&c);
}
