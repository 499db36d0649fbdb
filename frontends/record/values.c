/*
 * frontends/record/values.c - see values.h.
 *
 * SDM vol. 1, 4.2 and 4.8 (formats), 8.1 (x87 control and status), 10.2.3 (MXCSR).
 */
#include "frontends/record/values.h"
#include "base/bits.h"

#include <string.h>

u64 value_int(struct rnd *r)
{
    static const u64 edge[] = {0,
                               1,
                               2,
                               3,
                               0x7f,
                               0x80,
                               0xff,
                               0x100,
                               0x7fff,
                               0x8000,
                               0xffff,
                               0x10000,
                               0x7fffffff,
                               0x80000000,
                               0xffffffff,
                               0x100000000,
                               0x7fffffffffffffff,
                               0x8000000000000000,
                               0xfffffffffffffffe,
                               0xffffffffffffffff,
                               0xffffffff80000000,
                               0x5555555555555555,
                               0x9999999999999999,
                               0x0123456789abcdef};
    switch (rnd_below(r, 8)) {
    case 0:
    case 1:
    case 2:
        return edge[rnd_below(r, ARRAY_LEN(edge))];
    case 3:
        return rnd_next(r) & 0xff;
    case 4:
        return 1ull << rnd_below(r, 64);
    case 5:
        return rnd_next(r) >> rnd_below(r, 64);
    case 6:
        return (u64)((i64)rnd_next(r) >> rnd_below(r, 64));
    default:
        return rnd_next(r);
    }
}

void value_vec(struct rnd *r, u8 *p)
{
    static const u32 f32[] = {0,          0x80000000, 0x3f800000, 0xbf800000, 0x7f800000,
                              0xff800000, 0x7fc00000, 0x7f800001, 0xffc12345, 1,
                              0x007fffff, 0x80000001, 0x7f7fffff, 0x00800000, 0x4f000000,
                              0xcf000000, 0x4effffff, 0x5f000000, 0x3f000000, 0x40490fdb};
    static const u64 f64[] = {0,
                              0x8000000000000000,
                              0x3ff0000000000000,
                              0xbff0000000000000,
                              0x7ff0000000000000,
                              0xfff0000000000000,
                              0xfff8000000000000,
                              0x7ff0000000000001,
                              1,
                              0x000fffffffffffff,
                              0x0010000000000000,
                              0x7fefffffffffffff,
                              0x41dfffffffc00000,
                              0x41e0000000000000,
                              0xc1e0000000000000,
                              0x43e0000000000000,
                              0x3fe0000000000000,
                              0x36a0000000000000,
                              0x400921fb54442d18};
    for (int k = 0; k < 16; k += 8)
        switch (rnd_below(r, 7)) {
        case 0:
            st_u32(p + k, f32[rnd_below(r, ARRAY_LEN(f32))]);
            st_u32(p + k + 4, f32[rnd_below(r, ARRAY_LEN(f32))]);
            break;
        case 1:
            st_u64(p + k, f64[rnd_below(r, ARRAY_LEN(f64))]);
            break;
        case 2: /* singles of moderate size */
            st_u32(p + k, (u32)(rnd_next(r) & 0x83ffffff) + 0x3e000000);
            st_u32(p + k + 4, (u32)(rnd_next(r) & 0x83ffffff) + 0x3e000000);
            break;
        case 3: /* doubles of moderate size */
            st_u64(p + k, (rnd_next(r) & 0x803fffffffffffff) + 0x3fe0000000000000);
            break;
        case 4:
            st_u64(p + k, value_int(r));
            break;
        default:
            st_u64(p + k, rnd_next(r));
        }
}

void value_st(struct rnd *r, u8 *p)
{
    memset(p, 0, 16);
    st_u64(p, rnd_next(r) | 1ull << 63);
    st_u16(p + 8, (u16)((rnd_next(r) & 0x803f) + 0x3fe0));
    u16 sign = (u16)(rnd_next(r) & 0x8000);
    switch (rnd_below(r, 14)) {
    case 0:
        st_u16(p + 8, (u16)rnd_next(r));
        break;
    case 1: /* zero */
        st_u64(p, 0);
        st_u16(p + 8, sign);
        break;
    case 2: /* denormal, pseudo-denormal */
        st_u64(p, rnd_next(r) >> rnd_below(r, 64));
        st_u16(p + 8, sign);
        break;
    case 3:
        st_u64(p, 1ull << 63);
        st_u16(p + 8, sign | 0x7fff);
        break;
    case 4: /* quiet and signalling NaN */
        st_u16(p + 8, sign | 0x7fff);
        break;
    case 5: /* unsupported */
        st_u64(p, rnd_next(r) >> 1);
        break;
    case 6: /* an integer */
        st_u64(p, (rnd_next(r) << rnd_below(r, 64)) | 1ull << 63);
        st_u16(p + 8, (u16)(sign + 0x3fff + rnd_below(r, 70)));
        break;
    case 7: /* near the ends of the formats */
        st_u16(p + 8, (u16)(sign + (rnd_one_in(r, 2) ? 0x3fff - 1022 : 0x3fff + 1023) +
                            rnd_below(r, 5) - 2));
        break;
    case 8: /* a power of two */
        st_u64(p, 1ull << 63);
        break;
    default:
        break;
    }
}

void value_fill(struct rnd *r, u8 *p, int n)
{
    u8 one[16];
    int kind = (int)rnd_below(r, 4);
    for (int k = 0; k < n; k += 16) {
        if (kind == 0) {
            st_u64(one, value_int(r));
            st_u64(one + 8, value_int(r));
        } else if (kind == 1) {
            value_st(r, one);
        } else {
            value_vec(r, one);
        }
        memcpy(p + k, one, (size_t)MIN(16, n - k));
    }
}

u32 value_mxcsr(struct rnd *r)
{
    u32 v = 0x1f80 | (u32)(rnd_next(r) & 0x603f);
    if (rnd_one_in(r, 2))
        v &= ~0x3fu;
    if (rnd_one_in(r, 5))
        v |= 0x8000;
    if (rnd_one_in(r, 5))
        v |= 0x40;
    if (rnd_one_in(r, 5))
        v &= ~(u32)(rnd_next(r) & 0x1f80);
    return v;
}

void value_xsave(struct rnd *r, u8 *x)
{
    memset(x, 0, 832);
    u16 fcw = (u16)((rnd_next(r) & 0x1f00) | 0x7f);
    u16 fsw = (u16)(rnd_next(r) & 0x7f7f);
    if (rnd_one_in(r, 3))
        fcw = 0x37f;
    if (!rnd_one_in(r, 4))
        fsw &= 0x7f00;
    if (rnd_one_in(r, 5))
        fcw &= (u16) ~(rnd_next(r) & 0x3f);
    if ((fsw & ~fcw & 0x3f) && !rnd_one_in(r, 3))
        fsw &= 0x7f00;
    if (fsw & ~fcw & 0x3f)
        fsw |= 0x8080;
    st_u16(x, fcw);
    st_u16(x + 2, fsw);
    x[4] = (u8)(rnd_one_in(r, 3) ? rnd_next(r) : 0xff);
    if (rnd_one_in(r, 8))
        x[4] = 0;
    st_u32(x + 24, value_mxcsr(r));
    for (int k = 0; k < 8; k++)
        value_st(r, x + 32 + 16 * k);
    bool alike = rnd_one_in(r, 8); /* comparisons that are equal */
    for (int k = 0; k < 16; k++) {
        value_vec(r, x + 160 + 16 * k);
        value_vec(r, x + 576 + 16 * k);
        if (alike && k) {
            memcpy(x + 160 + 16 * k, x + 160, 16);
            memcpy(x + 576 + 16 * k, x + 576, 16);
        }
    }
}
