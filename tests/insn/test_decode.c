/*
 * tests/insn/test_decode.c - an encoding whose like was seen before decodes as it does alone.
 */
#include <criterion/criterion.h>

#include "tests/insn/insn_test.h"

#include <stdio.h>
#include <string.h>

static const char *hex(const u8 *b)
{
    static char text[64];
    for (int k = 0; k < 15; k++)
        sprintf(text + 3 * k, "%02x ", b[k]);
    return text;
}

/* Random bytes whose beginnings repeat, as code's do. */
static void bytes_like_code(u8 *b, u64 *seed)
{
    static const u8 starts[][4] = {{0x48, 0x8b}, {0x0f, 0xb6}, {0x66, 0xb8}, {0x48, 0x81},
                                   {0xe8},       {0x0f, 0x84}, {0xc7, 0x84}, {0x83, 0xc0},
                                   {0x48, 0xa1}, {0xc8},       {0x9a},       {0x66, 0x0f, 0x70},
                                   {0xd9},       {0x67, 0x8b}, {0x69},       {0xc4, 0xe2, 0x79}};
    for (int k = 0; k < 16; k++)
        b[k] = (u8)(next_random(seed) >> 21);
    u64 r = next_random(seed);
    if (r & 1)
        memcpy(b, starts[r >> 8 & 15], 3);
    else
        b[0] = (u8)(r >> 16);
    if (r & 2)
        b[1] = (u8)(r >> 24 & 0xc7);
}

static void compare(u32 key, u64 seed)
{
    struct box *fresh = box_new("x86-64-v2"), *warm = box_new("x86-64-v2");
    u32 same = 0;
    for (int n = 0; n < 300000; n++) {
        u8 b[16];
        struct insn x, y;
        bytes_like_code(b, &seed);
        decode_forget(fresh->cpu);
        int len = decode_insn(fresh->cpu, b, 15, key, &x);
        int again = decode_insn(warm->cpu, b, 15, key, &y);
        if (x.flags & INF_STUB)
            x.stub = y.stub; /* host addresses */
        cr_assert(len == again && !memcmp(&x, &y, sizeof(x)), "%s key %x: %d %d", hex(b), key, len,
                  again);
        /* one byte less than there is must not be decoded from memory of a longer read */
        if (len > 1) {
            int cut = decode_insn(warm->cpu, b, len - 1, key, &y);
            cr_assert(cut <= 0 || cut < len, "%s cut", hex(b));
        }
        same += len > 0;
    }
    cr_expect(same > 100000);
    box_free(fresh);
    box_free(warm);
}

/* An encoding that was refused at its first byte says nothing of others that begin with it. */
Test(decode, refused_encodings_are_not_remembered)
{
    static const u8 bad[16] = {0xf0, 0x90}, good[16] = {0xf0, 0xff, 0x08};
    struct box *b = box_new("x86-64-v2");
    struct insn i;
    for (int n = 0; n < 2; n++) {
        decode_insn(b->cpu, bad, 15, KEY_64, &i);
        cr_expect_eq(i.row, INSN_INVALID);
        cr_expect_eq(decode_insn(b->cpu, good, 15, KEY_64, &i), 3);
        cr_expect_eq(i.row, INSN_DEC);
    }
    box_free(b);
}

Test(decode, remembered_64, .timeout = 120)
{
    compare(KEY_64, 1);
}
Test(decode, remembered_32, .timeout = 120)
{
    compare(KEY_32 | KEY_FLAT, 2);
}
Test(decode, remembered_16, .timeout = 120)
{
    compare(KEY_16 | KEY_REAL, 3);
}
