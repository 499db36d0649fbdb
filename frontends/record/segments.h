/*
 * frontends/record/segments.h - the descriptors that recorded instructions can name.
 *
 * You are here: the local table is the process's own, made alike by host.c and ours.c; of the
 * global one only what every 64-bit Linux has. All descriptors are marked accessed, so that loads
 * write nothing. APM vol. 2, 4.7 and 4.8.
 */
#ifndef FRONTENDS_RECORD_SEGMENTS_H
#define FRONTENDS_RECORD_SEGMENTS_H

#include "frontends/record/random.h"

enum { SEGMENTS_LDT = 10, SEGMENTS_GDT = 16 }; /* descriptors of 8 bytes */
enum segment_contents { SEGMENT_DATA, SEGMENT_DOWN, SEGMENT_CODE, SEGMENT_CONFORMING };

struct segment {
    bool there; /* else the descriptor is 0 */
    u8 contents;
    bool locked, wide, absent; /* not writable or not readable; 32-bit; not present */
    u32 base, limit;
};
extern const struct segment segments_local[SEGMENTS_LDT];

u64 segments_local_descriptor(int k);
/* As Linux has them; the system segments' kinds only. */
extern const u64 segments_global[SEGMENTS_GDT];

/* Selectors that a segment register has in code of that width: order ES CS SS DS FS GS. */
void segments_standard(int bits, u16 sel[6]);

/* A selector for a data or stack segment, one for a code segment: good ones and bad ones. */
u16 segments_pick_data(struct rnd *r);
u16 segments_pick_code(struct rnd *r);

#endif
