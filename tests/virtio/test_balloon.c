/* tests/virtio/test_balloon.c - the balloon: pages really go back to the host. */
#include "tests/virtio/rig.h"
#include "devices/virtio/balloon.h"

#include <unistd.h>

enum { INFLATE = 0, DEFLATE = 1, STATS = 2, REPORT = 3 };

/* Whether the host has memory for a page of guest RAM. */
static bool held(struct rig *r, u64 addr)
{
    return lseek(r->ram->fd, (off_t)addr, SEEK_DATA) == (off_t)addr;
}

static void setup(struct rig *r, u64 features)
{
    rig_init(r, virtio_balloon_new());
    rig_start(r, features);
    memset(r->ram->base + RIG_RAM / 2, 0x55, RIG_RAM / 2);
}

Test(virtio_balloon, pages_go_and_read_as_zeros)
{
    struct rig r;
    setup(&r, ~0ull);
    u64 list = rig_alloc(&r, 64);
    u32 base = RIG_RAM / 2 >> 12;
    const u32 pfn[] = {base + 9,  base + 8,       base + 7,   base + 1,     base + 2,
                       base + 20, RIG_HOLE >> 12, 0xffffffff, RIG_RAM >> 12};
    memcpy(rig_ptr(&r, list), pfn, sizeof(pfn));
    r.ram->page_flags[base + 8] = RAM_CLEAN;
    rig_do(&r, INFLATE, &(struct seg){list, sizeof(pfn), false}, 1);
    for (u32 k = 0; k < 30; k++) {
        bool gone = (k >= 7 && k <= 9) || k == 1 || k == 2 || k == 20;
        cr_assert_eq(held(&r, RIG_RAM / 2 + k * 4096ull), !gone, "page %u", k);
        cr_assert_eq(*rig_ptr(&r, RIG_RAM / 2 + k * 4096ull), gone ? 0 : 0x55);
    }
    cr_assert_eq(r.ram->page_flags[base + 8], 0, "a change like any other");
    rig_do(&r, DEFLATE, &(struct seg){list, 4, false}, 1);
    rig_ptr(&r, RIG_RAM / 2 + 9 * 4096)[5] = 1;
    cr_assert(held(&r, RIG_RAM / 2 + 9 * 4096));
    cr_assert(!rig_broken(&r));
    rig_free(&r);
}

Test(virtio_balloon, private_memory_goes_too)
{
    struct rig r;
    struct error err;
    setup(&r, ~0ull);
    cr_assert_eq(ram_make_private(r.ram, &err), ST_OK);
    u64 list = rig_alloc(&r, 4);
    st_u32(rig_ptr(&r, list), RIG_RAM / 2 >> 12);
    rig_do(&r, INFLATE, &(struct seg){list, 4, false}, 1);
    cr_assert_eq(*rig_ptr(&r, RIG_RAM / 2), 0);
    cr_assert_eq(*rig_ptr(&r, RIG_RAM / 2 + 4096), 0x55);
    rig_free(&r);
}

Test(virtio_balloon, target)
{
    struct rig r;
    setup(&r, ~0ull);
    virtio_balloon_set(r.v, 5 * 4096 + 100);
    cr_assert_eq(rig_reg(&r, 0x100), 5);
    cr_assert_eq(rig_reg(&r, MMIO_ISR), 2);
    rig_set(&r, 0x104, 3);
    cr_assert_eq(virtio_balloon_actual(r.v), 3 * 4096);
    rig_free(&r);
}

Test(virtio_balloon, statistics)
{
    struct rig r;
    setup(&r, ~0ull);
    u64 at = rig_alloc(&r, 64);
    cr_assert_eq(virtio_balloon_stat(r.v, BALLOON_FREE), ~0ull);
    st_u16(rig_ptr(&r, at), BALLOON_FREE);
    st_u64(rig_ptr(&r, at) + 2, 12345);
    st_u16(rig_ptr(&r, at) + 10, 999);
    rig_add(&r, STATS, &(struct seg){at, 20, false}, 1);
    rig_kick(&r, STATS);
    cr_assert_eq(virtio_balloon_stat(r.v, BALLOON_FREE), 12345);
    cr_assert_eq(virtio_balloon_stat(r.v, 999), ~0ull);
    cr_assert(!rig_used(&r, STATS, NULL, NULL), "it keeps the buffer");
    virtio_balloon_refresh(r.v);
    cr_assert(rig_used(&r, STATS, NULL, NULL));
    virtio_balloon_refresh(r.v); /* none to give back */
    cr_assert(!rig_used(&r, STATS, NULL, NULL));
    rig_free(&r);
}

Test(virtio_balloon, reported_pages)
{
    struct rig r;
    for (int stats = 0; stats < 2; stats++) { /* without statistics the queue's number is lower */
        setup(&r, stats ? ~0ull : ~BIT64(1));
        u64 half = RIG_RAM / 2;
        rig_do(&r, stats ? REPORT : STATS,
               (struct seg[]){{half, 8192, true}, {half + 0x10100, 8192, true}}, 2);
        cr_assert(!held(&r, half) && !held(&r, half + 4096) && held(&r, half + 8192));
        /* whole pages only */
        cr_assert(held(&r, half + 0x10000) && !held(&r, half + 0x11000) &&
                  held(&r, half + 0x12000));
        rig_free(&r);
    }
}
