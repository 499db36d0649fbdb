/*
 * frontends/record/random.h - numbers from a seed: the same everywhere.
 */
#ifndef FRONTENDS_RECORD_RANDOM_H
#define FRONTENDS_RECORD_RANDOM_H

#include "base/types.h"

struct rnd {
    u64 s;
};

static inline u64 rnd_next(struct rnd *r)
{
    u64 z = r->s += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}
/* 0 .. n - 1 */
static inline u32 rnd_below(struct rnd *r, u32 n)
{
    return (u32)((rnd_next(r) >> 32) * n >> 32);
}
static inline bool rnd_one_in(struct rnd *r, u32 n)
{
    return rnd_below(r, n) == 0;
}

/* Folds v into a hash. */
static inline u64 hash_add(u64 h, u64 v)
{
    struct rnd r = {h ^ v * 0xd6e8feb86659fd93ull};
    return rnd_next(&r);
}

#endif
