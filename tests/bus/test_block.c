/* tests/bus/test_block.c - images: bounds, odd sizes, snapshots, locks, and what is refused. */
#include <criterion/criterion.h>

#include "base/bits.h"
#include "bus/backend.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64];

static void make_dir(void)
{
    strcpy(dir, "/tmp/trivisor-block-XXXXXX");
    cr_assert(mkdtemp(dir) != NULL);
}

static void drop_dir(void)
{
    char cmd[96];
    snprintf(cmd, sizeof(cmd), "rm -rf '%s'", dir);
    cr_expect_eq(system(cmd), 0);
}

TestSuite(block, .init = make_dir, .fini = drop_dir);

static const char *path(const char *name)
{
    static char p[128];
    snprintf(p, sizeof(p), "%s/%s", dir, name);
    return p;
}

/* A file in which byte k is k / 512 + k. */
static u8 byte_at(u64 k)
{
    return (u8)(k / 512 + k);
}

static const char *image(const char *name, size_t size)
{
    const char *p = path(name);
    FILE *f = fopen(p, "wb");
    for (size_t k = 0; k < size; k++)
        fputc(byte_at(k), f);
    fclose(f);
    return p;
}

static struct block *open_it(const char *p, bool readonly, bool snapshot)
{
    struct block *b = NULL;
    struct error err;
    cr_assert(block_open_raw(p, readonly, snapshot, &b, &err) == ST_OK, "%s", err.msg);
    return b;
}

static enum status refused(const char *p, bool readonly, bool snapshot)
{
    struct block *b = NULL;
    struct error err = {{0}};
    enum status st = block_open_raw(p, readonly, snapshot, &b, &err);
    cr_expect(st != ST_OK && !b && err.msg[0] && !strchr(err.msg, '\n'));
    cr_expect(strstr(err.msg, p) != NULL, "the message names the file: %s", err.msg);
    return st;
}

static void check_bounds(struct block *b)
{
    u8 buf[1024];
    cr_expect_eq(block_read(b, b->size - 512, buf, 512), ST_OK);
    cr_expect_eq(block_read(b, b->size, buf, 0), ST_OK);
    cr_expect_eq(block_read(b, b->size - 512, buf, 513), ST_RANGE);
    cr_expect_eq(block_read(b, b->size, buf, 1), ST_RANGE);
    cr_expect_eq(block_read(b, UINT64_MAX, buf, 1), ST_RANGE);
    cr_expect_eq(block_read(b, UINT64_MAX - 511, buf, 1024), ST_RANGE);
    cr_expect_eq(block_read(b, 1, buf, SIZE_MAX), ST_RANGE);
    enum status w = b->readonly ? ST_ACCESS : ST_RANGE;
    cr_expect_eq(block_write(b, b->size - 512, buf, 513), w);
    cr_expect_eq(block_write(b, UINT64_MAX, buf, 2), w);
}

Test(block, memory)
{
    u8 buf[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    struct block *b = block_new_mem(100000);
    cr_assert(b && b->size == 100000 && !b->readonly);
    check_bounds(b);
    cr_expect_eq(block_write(b, 99992, buf, 8), ST_OK);
    memset(buf, 0xff, 8);
    cr_expect_eq(block_read(b, 99990, buf, 8), ST_OK);
    cr_expect(buf[0] == 0 && buf[2] == 1 && buf[7] == 6);
    cr_expect_eq(block_flush(b), ST_OK);
    block_close(b);
    block_close(NULL);
    b = block_new_mem(BIT64(40)); /* a terabyte nobody touches costs nothing */
    cr_assert(b != NULL);
    cr_expect_eq(block_read(b, BIT64(40) - 8, buf, 8), ST_OK);
    block_close(b);
}

Test(block, file_reads_and_writes)
{
    u8 buf[4000];
    const char *p = image("disk", 10240);
    struct block *b = open_it(p, false, false);
    cr_expect_eq(b->size, 10240);
    cr_expect_str_eq(b->name, p);
    check_bounds(b);
    cr_expect_eq(block_read(b, 3001, buf, 4000), ST_OK);
    for (u64 k = 0; k < 4000; k++)
        cr_assert_eq(buf[k], byte_at(3001 + k));
    memset(buf, 0x5a, 100);
    cr_expect_eq(block_write(b, 600, buf, 100), ST_OK);
    cr_expect_eq(block_flush(b), ST_OK);
    block_close(b);
    b = open_it(p, true, false); /* it is in the file */
    cr_expect_eq(block_read(b, 599, buf, 102), ST_OK);
    cr_expect(buf[0] == byte_at(599) && buf[1] == 0x5a && buf[100] == 0x5a &&
              buf[101] == byte_at(700));
    cr_expect_eq(block_write(b, 0, buf, 1), ST_ACCESS);
    check_bounds(b);
    block_close(b);
}

Test(block, odd_sizes_round_up)
{
    u8 buf[1024];
    struct stat st;
    const char *p = image("odd", 700);
    struct block *b = open_it(p, false, false);
    cr_expect_eq(b->size, 1024);
    memset(buf, 0xee, sizeof(buf));
    cr_expect_eq(block_read(b, 512, buf, 512), ST_OK);
    cr_expect(buf[187] == byte_at(699) && buf[188] == 0 && buf[511] == 0);
    buf[511] = 9;
    cr_expect_eq(block_write(b, 512, buf, 512), ST_OK);
    memset(buf, 0, sizeof(buf));
    cr_expect_eq(block_read(b, 0, buf, 1024), ST_OK);
    cr_expect(buf[1023] == 9 && buf[0] == byte_at(0));
    block_close(b);
    cr_expect(stat(p, &st) == 0 && st.st_size == 1024);

    b = open_it(image("tiny", 1), false, true);
    cr_expect_eq(b->size, 512);
    cr_expect_eq(block_write(b, 510, "ab", 2), ST_OK);
    cr_expect_eq(block_read(b, 0, buf, 512), ST_OK);
    cr_expect(buf[0] == byte_at(0) && buf[1] == 0 && buf[510] == 'a' && buf[511] == 'b');
    block_close(b);
}

Test(block, truncated_underneath)
{
    u8 buf[512];
    const char *p = image("short", 8192);
    struct block *b = open_it(p, true, false);
    cr_assert_eq(truncate(p, 4096), 0);
    cr_expect_eq(block_read(b, 0, buf, 512), ST_OK);
    cr_expect_eq(block_read(b, 4096, buf, 512), ST_IO);
    block_close(b);
}

/* A snapshot against an array that has the same done to it. */
Test(block, snapshot_random)
{
    enum { SIZE = 70000 };
    static u8 model[SIZE + 512], buf[SIZE + 512];
    u32 seed = 7;
    const char *p = image("snap", SIZE);
    struct block *b = open_it(p, false, true);
    u64 size = b->size;
    cr_expect_eq(size, 70144);
    check_bounds(b);
    for (u64 k = 0; k < SIZE; k++)
        model[k] = byte_at(k);
    for (int k = 0; k < 400; k++) {
        u64 off = (seed = seed * 1664525 + 1013904223) % size;
        u64 len = ((seed = seed * 1664525 + 1013904223) >> 8) % ((k & 7) ? 600 : 20000);
        len = MIN(len, size - off);
        if (k & 1) {
            memset(buf, k, len);
            memset(model + off, k, len);
            cr_expect_eq(block_write(b, off, buf, len), ST_OK);
        } else {
            cr_expect_eq(block_read(b, off, buf, len), ST_OK);
            cr_assert(!memcmp(buf, model + off, len), "step %d", k);
        }
    }
    cr_expect_eq(block_read(b, 0, buf, size), ST_OK);
    cr_expect(!memcmp(buf, model, size));
    cr_expect_eq(block_flush(b), ST_OK);
    block_close(b);
    b = open_it(p, true, false); /* and the file is as it was */
    cr_expect_eq(block_read(b, 0, buf, SIZE), ST_OK);
    for (u64 k = 0; k < SIZE; k++)
        cr_assert_eq(buf[k], byte_at(k));
    block_close(b);
}

Test(block, locks)
{
    const char *p = image("locked", 512);
    struct block *w = open_it(p, false, false);
    cr_expect_eq(refused(p, false, false), ST_BUSY);
    cr_expect_eq(refused(p, false, true), ST_BUSY);
    cr_expect_eq(refused(p, true, false), ST_BUSY);
    block_close(w);
    struct block *r1 = open_it(p, true, false), *r2 = open_it(p, false, true);
    cr_expect_eq(refused(p, false, false), ST_BUSY);
    block_close(r1);
    block_close(r2);
    block_close(open_it(p, false, false));
}

Test(block, refusals)
{
    char p[160];
    image("empty", 0);
    cr_expect_eq(refused(path("empty"), false, false), ST_FORMAT);
    cr_expect_eq(refused(path("missing"), true, false), ST_NOENT);
    cr_expect_eq(refused(dir, true, false), ST_FORMAT);
    cr_expect_eq(refused(dir, false, false), ST_FORMAT);
    cr_expect_eq(refused("/dev/null", true, false), ST_FORMAT);
    cr_assert_eq(mkfifo(path("pipe"), 0600), 0);
    cr_expect_eq(refused(path("pipe"), true, false), ST_FORMAT); /* and does not hang */
    cr_expect_eq(refused("", true, false), ST_NOENT);
    snprintf(p, sizeof(p), "%s/under/a/file", image("plain", 512));
    cr_expect_eq(refused(p, true, false), ST_NOENT);
    image("readonly", 512);
    chmod(path("readonly"), 0444);
    if (geteuid() != 0) { /* root may write anything */
        cr_expect_eq(refused(path("readonly"), false, false), ST_ACCESS);
        block_close(open_it(path("readonly"), false, true));
    }
    block_close(open_it(path("readonly"), true, false));
}

Test(block, huge_and_sparse)
{
    u8 buf[512] = {1}, back[512];
    const char *p = image("huge", 1);
    if (truncate(p, (off_t)1 << 40) < 0)
        cr_skip_test("no file system for a sparse terabyte");
    struct block *b = open_it(p, false, true);
    cr_expect_eq(b->size, 1ull << 40);
    cr_expect_eq(block_write(b, b->size - 512, buf, 512), ST_OK);
    cr_expect_eq(block_read(b, b->size - 512, back, 512), ST_OK);
    cr_expect(!memcmp(buf, back, 512));
    block_close(b);
}

/* ---- lists of buffers, discards, zeros ------------------------------------------------------- */
static void check_vectors(struct block *b)
{
    u8 buf[3000], whole[3000];
    struct iovec v[] = {{buf, 100}, {buf + 100, 0}, {buf + 100, 1900}, {buf + 2000, 1000}};
    cr_assert_eq(block_readv(b, 1000, v, 4), ST_OK);
    cr_assert_eq(block_read(b, 1000, whole, 3000), ST_OK);
    cr_expect(!memcmp(buf, whole, 3000));
    for (int k = 0; k < 3000; k++)
        buf[k] = (u8)(k * 7);
    cr_assert_eq(block_writev(b, 4000, v, 4), ST_OK);
    cr_assert_eq(block_read(b, 4000, whole, 3000), ST_OK);
    cr_expect(!memcmp(buf, whole, 3000));
    cr_expect_eq(block_readv(b, b->size - 2999, v, 4), ST_RANGE);
    cr_expect_eq(block_writev(b, b->size - 2999, v, 4), ST_RANGE);
    cr_expect_eq(block_readv(b, UINT64_MAX, v, 4), ST_RANGE);
    struct iovec huge[] = {{buf, SIZE_MAX}, {buf, 2}};
    cr_expect_eq(block_readv(b, 0, huge, 2), ST_RANGE, "sums that wrap");
    /* zeros, and what is around them stays */
    for (int unmap = 0; unmap < 2; unmap++) {
        cr_assert_eq(block_writev(b, 4000, v, 4), ST_OK);
        cr_assert_eq(block_zero(b, 4010, 2000, unmap), ST_OK);
        cr_assert_eq(block_read(b, 4000, whole, 3000), ST_OK);
        cr_expect(whole[9] == buf[9] && whole[10] == 0 && whole[2009] == 0 &&
                  whole[2010] == buf[2010]);
    }
    cr_expect_eq(block_zero(b, b->size, 1, false), ST_RANGE);
    cr_expect_eq(block_zero(b, UINT64_MAX, 2, true), ST_RANGE);
    cr_expect_eq(block_discard(b, b->size - 512, 513), ST_RANGE);
    cr_assert_eq(block_discard(b, 4096, 1024), ST_OK);
    cr_assert_eq(block_read(b, 4000, whole, 3000), ST_OK);
    cr_expect(whole[9] == buf[9] && whole[2999] == buf[2999]);
}

Test(block, vectors_and_zeros)
{
    struct block *b = block_new_mem(10240);
    check_vectors(b);
    block_close(b);
    const char *p = image("disk", 10240);
    for (int snapshot = 1; snapshot >= 0; snapshot--) {
        b = open_it(p, false, snapshot);
        check_vectors(b);
        block_close(b);
    }
    b = open_it(image("odd", 10000), false, false); /* 240 bytes are behind the end of the file */
    check_vectors(b);
    struct iovec tail = {(u8[1024]){1}, 1024};
    cr_expect_eq(block_readv(b, 9216, &tail, 1), ST_OK);
    cr_expect_eq(((u8 *)tail.iov_base)[1023], 0);
    block_close(b);
    b = open_it(p, true, false);
    cr_expect_eq(block_writev(b, 0, &tail, 1), ST_ACCESS);
    cr_expect_eq(block_zero(b, 0, 512, true), ST_ACCESS);
    cr_expect_eq(block_discard(b, 0, 512), ST_ACCESS);
    block_close(b);
}

Test(block, discards_make_holes)
{
    struct stat before, after;
    const char *p = image("disk", 1 << 20);
    struct block *b = open_it(p, false, false);
    block_flush(b);
    stat(p, &before);
    cr_assert_eq(block_discard(b, 4096, 512 * 1024), ST_OK);
    stat(p, &after);
    cr_expect_eq(after.st_size, before.st_size);
    cr_expect_leq(after.st_blocks, before.st_blocks - 1000);
    block_close(b);
}
