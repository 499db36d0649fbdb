/*
 * frontends/record/segments.c - see segments.h.
 */
#include "frontends/record/segments.h"
#include "frontends/record/layout.h"

#include <string.h>

const struct segment segments_local[SEGMENTS_LDT] = {
    [SEL_GS32 >> 3] = {true, SEGMENT_DATA, .wide = true, .base = GS_BASE, .limit = GS_LIMIT},
    [SEL_CODE16 >> 3] = {true, SEGMENT_CODE, .base = CODE16_BASE, .limit = CODE16_LIMIT},
    [SEL_DATA16 >> 3] = {true, SEGMENT_DATA, .base = DATA16_BASE, .limit = DATA16_LIMIT},
    [SEL_STACK16 >> 3] = {true, SEGMENT_DATA, .base = STACK16_BASE, .limit = STACK16_LIMIT},
    [4] = {true, SEGMENT_DATA, .absent = true, .wide = true, .limit = 0xfffff},
    [5] = {true, SEGMENT_DATA, .locked = true, .wide = true, .base = AREA_CONST, .limit = 0xfff},
    [7] = {true, SEGMENT_CODE, .locked = true, .wide = true, .base = AREA_CODE, .limit = 0x1fff},
    [8] = {true, SEGMENT_DOWN, .wide = true, .base = AREA_STACK, .limit = 0xff},
    [9] = {true, SEGMENT_CONFORMING, .absent = true, .wide = true, .limit = 0xffff},
};

u64 segments_local_descriptor(int k)
{
    const struct segment *s = &segments_local[k];
    if (!s->there)
        return 0;
    u64 type = (u64)s->contents << 2 | (s->locked ? 0 : 2) | 1;
    u64 access = type | 0x10 | 3 << 5 | (s->absent ? 0 : 0x80);
    u64 flags = 1 | (s->wide ? 4 : 0); /* AVL, D */
    return (s->limit & 0xffff) | (u64)(s->base & 0xffffff) << 16 | access << 40 |
           (u64)(s->limit >> 16 & 15) << 48 | flags << 52 | (u64)(s->base >> 24) << 56;
}

const u64 segments_global[SEGMENTS_GDT] = {
    [1] = 0x00cf9b000000ffff, /* the kernel's code of 32 and 64 bits, and data */
    [2] = 0x00af9b000000ffff,
    [3] = 0x00cf93000000ffff,
    [SEL_CODE32 >> 3] = 0x00cffb000000ffff,
    [SEL_DATA >> 3] = 0x00cff3000000ffff,
    [SEL_CODE64 >> 3] = 0x00affb000000ffff,
    [8] = 0x00008b0000000067, /* a busy TSS and an LDT, of 16 bytes each */
    [10] = 0x000082000000004f,
};

void segments_standard(int bits, u16 sel[6])
{
    static const u16 by_width[WIDTHS][6] = {
        {SEL_DATA16, SEL_CODE16, SEL_STACK16, SEL_DATA16, 0, SEL_GS32},
        {SEL_DATA, SEL_CODE32, SEL_DATA, SEL_DATA, 0, SEL_GS32},
        {SEL_DATA, SEL_CODE64, SEL_DATA, SEL_DATA, 0, 0},
    };
    memcpy(sel, by_width[width_index(bits)], sizeof(by_width[0]));
}

static u16 pick_any(struct rnd *r)
{
    /* not 78h: what is in there is the number of the processor */
    static const u16 any[] = {0,    1,    3,    0x08, 0x10, 0x13, 0x18, 0x1b, 0x20,   0x22,
                              0x28, 0x2a, 0x30, 0x38, 0x3b, 0x40, 0x43, 0x50, 0x53,   0x63,
                              0x83, 0x27, 0x2f, 0x37, 0x3f, 0x47, 0x4f, 0x57, 0x04,   0x16,
                              0x0d, 0x14, 0x23, 0x2b, 0x33, 0x07, 0x0f, 0x17, 0xffff, 0xfff8};
    return any[rnd_below(r, ARRAY_LEN(any))];
}

u16 segments_pick_data(struct rnd *r)
{
    static const u16 good[] = {SEL_DATA, SEL_DATA16, SEL_STACK16, SEL_GS32, 0x2f, 0x47, 0};
    return rnd_one_in(r, 2) ? good[rnd_below(r, ARRAY_LEN(good))] : pick_any(r);
}

u16 segments_pick_code(struct rnd *r)
{
    static const u16 good[] = {SEL_CODE64, SEL_CODE32, SEL_CODE16};
    return rnd_one_in(r, 4) ? pick_any(r) : good[rnd_below(r, ARRAY_LEN(good))];
}
