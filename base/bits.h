/*
 * base/bits.h - bit fields, sign extension, little-endian loads and stores.
 *
 * You are here: pure functions, no state. Every load/store is unaligned-safe.
 */
#ifndef BASE_BITS_H
#define BASE_BITS_H

#include "base/types.h"
#include <string.h>

#define BIT(n)   (1u << (n))
#define BIT64(n) (1ull << (n))

/* Bits hi..lo of v, right-aligned. 0 <= lo <= hi <= 63. */
static inline u64 bits(u64 v, int hi, int lo)
{
    return (v >> lo) & (~0ull >> (63 - (hi - lo)));
}

/* v's low `bytes` bytes (1, 2, 4 or 8), sign-extended to 64 bits. */
static inline u64 sign_extend(u64 v, int bytes)
{
    int sh = 64 - bytes * 8;
    return (u64)((i64)(v << sh) >> sh);
}

/* All-ones in the low `bytes` bytes (1..8). */
static inline u64 size_mask(int bytes)
{
    return ~0ull >> (64 - bytes * 8);
}

static inline bool is_pow2(u64 v)
{
    return v && !(v & (v - 1));
}

static inline u64 align_down(u64 v, u64 to)
{
    return v & ~(to - 1);
}

static inline u64 align_up(u64 v, u64 to)
{
    return (v + to - 1) & ~(to - 1);
}

#define DEFINE_LE(type)                                                                            \
    static inline type ld_##type(const void *p)                                                    \
    {                                                                                              \
        type v;                                                                                    \
        memcpy(&v, p, sizeof(v));                                                                  \
        return v;                                                                                  \
    }                                                                                              \
    static inline void st_##type(void *p, type v)                                                  \
    {                                                                                              \
        memcpy(p, &v, sizeof(v));                                                                  \
    }
DEFINE_LE(u16)
DEFINE_LE(u32)
DEFINE_LE(u64)
#undef DEFINE_LE

/* Little-endian load of `size` bytes, 1..8; powers of two are fast. */
static inline u64 ld_le(const void *p, int size)
{
    u64 v = 0;
    switch (size) {
    case 1:
        return *(const u8 *)p;
    case 2:
        return ld_u16(p);
    case 4:
        return ld_u32(p);
    case 8:
        return ld_u64(p);
    default:
        memcpy(&v, p, (size_t)size);
        return v;
    }
}

/* Little-endian store of the low `size` bytes (1..8) of v. */
static inline void st_le(void *p, u64 v, int size)
{
    switch (size) {
    case 1:
        *(u8 *)p = (u8)v;
        break;
    case 2:
        st_u16(p, (u16)v);
        break;
    case 4:
        st_u32(p, (u32)v);
        break;
    case 8:
        st_u64(p, v);
        break;
    default:
        memcpy(p, &v, (size_t)size);
    }
}

#endif
