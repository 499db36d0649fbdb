/* tests/virtio/test_blk.c - the virtio disk: every request, good and bad. */
#include "tests/virtio/rig.h"
#include "devices/virtio/blk.h"

enum { T_IN = 0, T_OUT = 1, T_FLUSH = 4, T_GET_ID = 8, T_DISCARD = 11, T_ZERO = 13 };
enum { S_OK = 0, S_IOERR = 1, S_UNSUPP = 2, S_NONE = 0xee };
enum { DISK = 64 * 1024 };
#define FLUSH_F BIT64(9)

/* An image that counts, over one in memory. */
struct counted {
    struct block b;
    struct block *mem;
    int flushes, discards, zeros;
    bool sick;
};

static enum status c_read(struct block *b, u64 off, void *buf, size_t len)
{
    struct counted *c = (struct counted *)b;
    return c->sick ? ST_IO : block_read(c->mem, off, buf, len);
}
static enum status c_write(struct block *b, u64 off, const void *buf, size_t len)
{
    struct counted *c = (struct counted *)b;
    return c->sick ? ST_IO : block_write(c->mem, off, buf, len);
}
static enum status c_flush(struct block *b)
{
    struct counted *c = (struct counted *)b;
    c->flushes++;
    return c->sick ? ST_IO : ST_OK;
}
static enum status c_discard(struct block *b, u64 off, u64 len)
{
    ((struct counted *)b)->discards++;
    return ST_OK;
}
static enum status c_zero(struct block *b, u64 off, u64 len, bool unmap)
{
    ((struct counted *)b)->zeros++;
    return ST_UNSUP;
}
static void c_close(struct block *b)
{
    struct counted *c = (struct counted *)b;
    block_close(c->mem);
    free(c);
}
static const struct block_ops counted_ops = {.read = c_read,
                                             .write = c_write,
                                             .flush = c_flush,
                                             .close = c_close,
                                             .discard = c_discard,
                                             .zero = c_zero};

static struct counted *setup_as(struct rig *r, u64 features, bool readonly, int queues)
{
    struct counted *c = calloc(1, sizeof(*c));
    c->mem = block_new_mem(DISK);
    c->b = (struct block){.ops = &counted_ops, .size = DISK};
    u8 sector[512];
    for (int k = 0; k < DISK / 512; k++) {
        memset(sector, k + 1, 512);
        block_write(c->mem, (u64)k * 512, sector, 512);
    }
    c->b.readonly = readonly;
    rig_init(r, virtio_blk_new(&(struct virtio_blk_config){
                    .block = &c->b, .serial = "serial", .queues = queues}));
    rig_start(r, features);
    return c;
}

static struct counted *setup(struct rig *r)
{
    return setup_as(r, ~0ull, false, 1);
}

/* One request with one data segment (len 0: none); its status. */
static u8 request(struct rig *r, u32 type, u64 sector, u64 data, u32 len, bool in)
{
    u64 keep = r->heap, h = rig_alloc(r, 16), s = rig_alloc(r, 1);
    st_u32(rig_ptr(r, h), type);
    st_u64(rig_ptr(r, h) + 8, sector);
    *rig_ptr(r, s) = S_NONE;
    struct seg segs[3] = {{h, 16, false}};
    int n = 1;
    if (len)
        segs[n++] = (struct seg){data, len, in};
    segs[n++] = (struct seg){s, 1, true};
    rig_do(r, 0, segs, n);
    r->heap = keep;
    return *rig_ptr(r, s);
}

Test(virtio_blk, configuration)
{
    struct rig r;
    setup_as(&r, ~0ull, false, 4);
    cr_assert_eq(rig_reg(&r, 0x100), DISK / 512);
    cr_assert_eq(rig_reg(&r, 0x10c), VIRTQ_SEGS - 2);
    cr_assert_eq(rig_reg(&r, 0x114), 512);
    cr_assert_eq(rig_reg(&r, 0x120) >> 16, 4, "queues");
    cr_assert(virtio_has(r.v, 12) && !virtio_has(r.v, 5));
    rig_free(&r);
    setup_as(&r, ~0ull, true, 1);
    cr_assert(!virtio_has(r.v, 12) && virtio_has(r.v, 5) && !virtio_has(r.v, 13));
    rig_free(&r);
}

Test(virtio_blk, reads_and_writes)
{
    struct rig r;
    struct counted *c = setup(&r);
    u64 d = rig_alloc(&r, 4096);
    cr_assert_eq(request(&r, T_IN, 3, d, 1024, true), S_OK);
    cr_assert(*rig_ptr(&r, d) == 4 && *rig_ptr(&r, d + 1023) == 5);
    memset(rig_ptr(&r, d), 0x77, 512);
    cr_assert_eq(request(&r, T_OUT, DISK / 512 - 1, d, 512, false), S_OK);
    u8 b;
    block_read(c->mem, DISK - 1, &b, 1);
    cr_assert_eq(b, 0x77);
    cr_assert_eq(c->flushes, 0);
    cr_assert_eq(request(&r, T_FLUSH, 0, 0, 0, false), S_OK);
    cr_assert_eq(c->flushes, 1);
    rig_free(&r);
}

Test(virtio_blk, any_layout)
{
    struct rig r;
    setup(&r);
    /* the header in two pieces, the second with data of ours behind it is not: 16 = 10 + 6 */
    u64 h = rig_alloc(&r, 16), d = rig_alloc(&r, 1024);
    st_u64(rig_ptr(&r, h) + 8, 9);
    struct seg segs[] = {{h, 10, false}, {h + 10, 6, false}, {d, 100, true}, {d + 100, 413, true}};
    cr_assert_eq(rig_do(&r, 0, segs, 4), 513);
    cr_assert(*rig_ptr(&r, d) == 10 && *rig_ptr(&r, d + 511) == 10);
    cr_assert_eq(*rig_ptr(&r, d + 512), S_OK);
    /* header and data in one piece */
    u64 w = rig_alloc(&r, 1024);
    st_u32(rig_ptr(&r, w), T_OUT);
    st_u64(rig_ptr(&r, w) + 8, 9);
    memset(rig_ptr(&r, w + 16), 0x33, 512);
    rig_do(&r, 0, (struct seg[]){{w, 528, false}, {d, 1, true}}, 2);
    cr_assert_eq(*rig_ptr(&r, d), S_OK);
    cr_assert_eq(request(&r, T_IN, 9, d, 512, true), S_OK);
    cr_assert_eq(*rig_ptr(&r, d), 0x33);
    rig_free(&r);
}

Test(virtio_blk, places_outside)
{
    struct rig r;
    setup(&r);
    u64 d = rig_alloc(&r, 4096), end = DISK / 512;
    static const u64 far[] = {1ull << 55, ~0ull, ~0ull / 512, 1ull << 63};
    cr_assert_eq(request(&r, T_IN, end, d, 512, true), S_IOERR);
    cr_assert_eq(request(&r, T_IN, end - 1, d, 1024, true), S_IOERR);
    cr_assert_eq(request(&r, T_OUT, end, d, 512, false), S_IOERR);
    for (size_t k = 0; k < ARRAY_LEN(far); k++) {
        cr_assert_eq(request(&r, T_IN, far[k], d, 512, true), S_IOERR);
        cr_assert_eq(request(&r, T_OUT, far[k], d, 512, false), S_IOERR);
    }
    cr_assert_eq(request(&r, T_IN, 0, d, 511, true), S_IOERR, "no whole sector");
    cr_assert_eq(request(&r, 99, 0, d, 512, true), S_UNSUPP);
    cr_assert(!rig_broken(&r));
    rig_free(&r);
}

Test(virtio_blk, no_header_or_no_status)
{
    struct rig r;
    for (int k = 0; k < 2; k++) {
        setup(&r);
        u64 d = rig_alloc(&r, 4096);
        if (k)
            rig_add(&r, 0, (struct seg[]){{d, 15, false}, {d + 512, 513, true}}, 2);
        else
            rig_add(&r, 0, (struct seg[]){{d, 528, false}}, 1);
        rig_kick(&r, 0);
        cr_assert(rig_broken(&r));
        rig_free(&r);
    }
}

Test(virtio_blk, a_sick_host)
{
    struct rig r;
    struct counted *c = setup(&r);
    u64 d = rig_alloc(&r, 512);
    c->sick = true;
    cr_assert_eq(request(&r, T_IN, 0, d, 512, true), S_IOERR);
    cr_assert_eq(request(&r, T_OUT, 0, d, 512, false), S_IOERR);
    cr_assert_eq(request(&r, T_FLUSH, 0, 0, 0, false), S_IOERR);
    rig_free(&r);
}

Test(virtio_blk, readonly)
{
    struct rig r;
    setup_as(&r, ~0ull, true, 1);
    u64 d = rig_alloc(&r, 512);
    cr_assert_eq(request(&r, T_IN, 0, d, 512, true), S_OK);
    cr_assert_eq(request(&r, T_OUT, 0, d, 512, false), S_IOERR);
    cr_assert_eq(request(&r, T_DISCARD, 0, d, 16, false), S_UNSUPP);
    rig_free(&r);
}

Test(virtio_blk, without_flush_writes_are_durable)
{
    struct rig r;
    struct counted *c = setup_as(&r, ~FLUSH_F, false, 1);
    u64 d = rig_alloc(&r, 512);
    cr_assert_eq(request(&r, T_OUT, 0, d, 512, false), S_OK);
    cr_assert_eq(c->flushes, 1);
    rig_free(&r);
}

Test(virtio_blk, id)
{
    struct rig r;
    setup(&r);
    u64 d = rig_alloc(&r, 32);
    memset(rig_ptr(&r, d), 0xff, 32);
    cr_assert_eq(request(&r, T_GET_ID, 0, d, 20, true), S_OK);
    cr_assert(!memcmp(rig_ptr(&r, d), "serial\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xff", 21));
    cr_assert_eq(request(&r, T_GET_ID, 0, d, 19, true), S_IOERR);
    rig_free(&r);
}

static u64 range(struct rig *r, u64 at, u64 sector, u32 n, u32 flags)
{
    st_u64(rig_ptr(r, at), sector);
    st_u32(rig_ptr(r, at) + 8, n);
    st_u32(rig_ptr(r, at) + 12, flags);
    return at;
}

Test(virtio_blk, discard_and_zeros)
{
    struct rig r;
    struct counted *c = setup(&r);
    u64 d = rig_alloc(&r, 17 * 16), b = rig_alloc(&r, 512);
    cr_assert_eq(request(&r, T_DISCARD, 0, range(&r, d, 8, 8, 0), 16, false), S_OK);
    cr_assert_eq(c->discards, 1);
    range(&r, d + 16, 20, 2, 1);
    cr_assert_eq(request(&r, T_ZERO, 0, range(&r, d, 4, 1, 0), 32, false), S_OK);
    cr_assert_eq(c->zeros, 2);
    static const u8 want[] = {4, 0, 6};
    for (int k = 0; k < 3; k++) { /* the host cannot: zeros were written */
        request(&r, T_IN, 3 + (u64)k, b, 512, true);
        cr_assert_eq(*rig_ptr(&r, b + 511), k == 0 ? 4 : want[k]);
    }
    request(&r, T_IN, 21, b, 512, true);
    cr_assert_eq(*rig_ptr(&r, b), 0);
    /* one bad range: nothing is done */
    range(&r, d + 16, DISK / 512, 1, 0);
    cr_assert_eq(request(&r, T_ZERO, 0, range(&r, d, 0, 1, 0), 32, false), S_IOERR);
    cr_assert_eq(c->zeros, 2);
    cr_assert_eq(request(&r, T_DISCARD, 0, range(&r, d, 0, 0xffffffff, 0), 16, false), S_IOERR);
    cr_assert_eq(request(&r, T_DISCARD, 0, range(&r, d, ~0ull, 2, 0), 16, false), S_IOERR);
    cr_assert_eq(request(&r, T_DISCARD, 0, range(&r, d, 0, 1, 1), 16, false), S_UNSUPP);
    cr_assert_eq(request(&r, T_ZERO, 0, range(&r, d, 0, 1, 2), 16, false), S_UNSUPP);
    cr_assert_eq(request(&r, T_DISCARD, 0, d, 15, false), S_IOERR);
    cr_assert_eq(request(&r, T_DISCARD, 0, d, 17 * 16, false), S_IOERR);
    cr_assert_eq(request(&r, T_DISCARD, 0, 0, 0, false), S_IOERR);
    rig_free(&r);
}
