/*
 * tests/fuzz/fuzz_in.h - a target's input, eaten from its front; what is missing is zero.
 */
#ifndef TESTS_FUZZ_FUZZ_IN_H
#define TESTS_FUZZ_FUZZ_IN_H

#include "bus/device.h"
#include "tests/fuzz/fuzz.h"

struct in {
    const u8 *p;
    size_t left;
};

/* A number of up to eight bytes, the lowest first. */
static inline u64 take64(struct in *in, int bytes)
{
    u64 v = 0;
    for (int k = 0; k < bytes && in->left; k++, in->left--)
        v |= (u64)*in->p++ << 8 * k;
    return v;
}

static inline u32 take(struct in *in, int bytes)
{
    return (u32)take64(in, bytes);
}

/* Writes over a device's state as a made-up snapshot would. Whether the device takes it. */
static inline bool poison(struct device *d, struct in *in)
{
    for (const struct field *f = d->ops->state; f && f->name; f++) {
        u8 *p = (u8 *)d + f->offset;
        for (size_t k = 0; f->type != FIELD_TIMER && k < (size_t)f->size * f->count && in->left;
             k++)
            p[k] = f->type == FIELD_BOOL ? take(in, 1) & 1 : (u8)take(in, 1);
    }
    return d->ops->loaded(d);
}

#endif
