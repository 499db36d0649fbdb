/*
 * machine/aml.c - the AML writer.
 *
 * Package lengths are always written in their four-byte form (20.2.4): one form, no second pass.
 */
#include "machine/aml.h"
#include "base/bits.h"
#include "base/log.h"

void aml_bytes(struct aml *a, const void *p, u32 n)
{
    CHECK(n <= AML_MAX - a->len);
    memcpy(a->buf + a->len, p, n);
    a->len += n;
}

void aml_byte(struct aml *a, u8 b)
{
    aml_bytes(a, &b, 1);
}

static void open_block(struct aml *a)
{
    CHECK(a->depth < AML_DEPTH);
    a->open[a->depth++] = a->len;
    aml_bytes(a, "\0\0\0\0", 4);
}

void aml_end(struct aml *a)
{
    CHECK(a->depth > 0);
    u32 at = a->open[--a->depth];
    u32 n = a->len - at;
    a->buf[at] = (u8)(0xc0 | (n & 15));
    a->buf[at + 1] = (u8)(n >> 4);
    a->buf[at + 2] = (u8)(n >> 12);
    a->buf[at + 3] = (u8)(n >> 20);
}

static void name_string(struct aml *a, const char *name)
{
    if (name[0] == '\\') {
        aml_byte(a, '\\');
        name++;
        if (!*name)
            aml_byte(a, 0);
    }
    aml_bytes(a, name, (u32)strlen(name));
}

void aml_scope(struct aml *a, const char *name)
{
    aml_byte(a, 0x10);
    open_block(a);
    name_string(a, name);
}

void aml_device(struct aml *a, const char *name)
{
    aml_bytes(a, "\x5b\x82", 2);
    open_block(a);
    name_string(a, name);
}

void aml_package(struct aml *a, u8 elements)
{
    aml_byte(a, 0x12);
    open_block(a);
    aml_byte(a, elements);
}

void aml_name(struct aml *a, const char *name)
{
    aml_byte(a, 0x08);
    name_string(a, name);
}

void aml_int(struct aml *a, u64 v)
{
    if (v <= 1) {
        aml_byte(a, (u8)v);
    } else if (v <= 0xff) {
        aml_byte(a, 0x0a);
        aml_byte(a, (u8)v);
    } else if (v <= 0xffff) {
        aml_byte(a, 0x0b);
        aml_bytes(a, &v, 2);
    } else if (v <= 0xffffffff) {
        aml_byte(a, 0x0c);
        aml_bytes(a, &v, 4);
    } else {
        aml_byte(a, 0x0e);
        aml_bytes(a, &v, 8);
    }
}

static u32 hex_digit(char c)
{
    return (u32)(c <= '9' ? c - '0' : c - 'A' + 10);
}

void aml_eisaid(struct aml *a, const char *id)
{
    u32 hi = (u32)(id[0] - '@') << 10 | (u32)(id[1] - '@') << 5 | (u32)(id[2] - '@');
    u32 lo =
        hex_digit(id[3]) << 12 | hex_digit(id[4]) << 8 | hex_digit(id[5]) << 4 | hex_digit(id[6]);
    u32 v = hi << 16 | lo;
    aml_byte(a, 0x0c);
    aml_byte(a, (u8)(v >> 24));
    aml_byte(a, (u8)(v >> 16));
    aml_byte(a, (u8)(v >> 8));
    aml_byte(a, (u8)v);
}

void aml_resources(struct aml *a, const u8 *res, u32 n)
{
    aml_byte(a, 0x11);
    open_block(a);
    aml_int(a, n + 2);
    aml_bytes(a, res, n);
    aml_bytes(a, "\x79\x00", 2); /* end tag, no checksum */
    aml_end(a);
}

void aml_string(struct aml *a, const char *s)
{
    aml_byte(a, 0x0d);
    aml_bytes(a, s, (u32)strlen(s) + 1);
}
