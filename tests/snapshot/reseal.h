/*
 * tests/snapshot/reseal.h - makes the sums of a changed snapshot right, so that what is behind them
 * is reached. It follows the file as far as it makes sense and never beyond its end.
 */
#ifndef TESTS_SNAPSHOT_RESEAL_H
#define TESTS_SNAPSHOT_RESEAL_H

#include "machine/snapshot_priv.h"
#include <string.h>
#include <xxhash.h>

static inline void reseal(u8 *p, size_t size)
{
    struct snap_header h;
    size_t at = sizeof(h);
    XXH3_state_t *all = XXH3_createState();
    XXH3_64bits_reset(all);
    u32 n = 0;
    while (size >= at && size - at >= sizeof(struct snap_section) && n < SNAP_SECTIONS_MAX) {
        struct snap_section s;
        memcpy(&s, p + at, sizeof(s));
        if (s.length > size - at - sizeof(s))
            s.length = size - at - sizeof(s);
        s.name[SNAP_NAME - 1] = 0;
        s.contents_sum = XXH3_64bits(p + at + sizeof(s), s.length);
        s.sum = XXH3_64bits(&s, offsetof(struct snap_section, sum));
        memcpy(p + at, &s, sizeof(s));
        XXH3_64bits_update(all, &s, sizeof(s));
        at += sizeof(s) + s.length;
        n++;
    }
    if (size >= sizeof(h)) {
        memcpy(&h, p, sizeof(h));
        memcpy(h.magic, SNAP_MAGIC, sizeof(h.magic));
        h.version = SNAP_VERSION;
        h.sections = n;
        h.file_size = size;
        h.sections_sum = XXH3_64bits_digest(all);
        h.sum = XXH3_64bits(&h, offsetof(struct snap_header, sum));
        memcpy(p, &h, sizeof(h));
    }
    XXH3_freeState(all);
}

#endif
