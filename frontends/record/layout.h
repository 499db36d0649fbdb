/*
 * frontends/record/layout.h - the address space in which recorded instructions run.
 *
 * You are here: the host runner maps these pages in its child, ours.c in the page tables of a
 * testbed; so addresses, faults and error codes are the same on both (docs/recording.md).
 * All linear addresses are below 2 GiB, so that 32-bit code reaches them; between the regions
 * nothing is mapped. Bytes that a vector does not list are 0, in the code pages 0CCh.
 */
#ifndef FRONTENDS_RECORD_LAYOUT_H
#define FRONTENDS_RECORD_LAYOUT_H

#include "base/types.h"

enum {
    AREA_CODE = 0x10000000,  /* readable, executable */
    AREA_DATA = 0x10010000,  /* readable, writable */
    AREA_CONST = 0x10020000, /* readable */
    AREA_STACK = 0x10030000, /* readable, writable */
    AREA_PAGES = 2,          /* of each */
    AREA_BYTES = 2 * 4096,
    AREAS = 4,
    AREA_STEP = 0x10000,
    ARENA_BYTES = AREAS * AREA_BYTES,

    /* GS: in 64-bit code base AREA_DATA; in 32-bit code a segment of its own. */
    GS_BASE = AREA_DATA,
    GS_LIMIT = 0x1abc,

    FS_BASE = AREA_CONST + 0x100, /* in 64-bit code; else FS is null */

    /* Selectors as Linux gives them, and the first descriptor of the local table. */
    SEL_CODE64 = 0x33,
    SEL_CODE32 = 0x23,
    SEL_DATA = 0x2b,
    SEL_GS32 = 0x07,

    /* The segments of 16-bit code, of the local table too. 16-bit offsets of DS reach most of the
     * data pages and, below 64 KiB, the first half page of the constants. */
    SEL_CODE16 = 0x0f,
    SEL_DATA16 = 0x17,
    SEL_STACK16 = 0x1f,
    CODE16_BASE = AREA_CODE,
    CODE16_LIMIT = AREA_BYTES - 0x101,
    DATA16_BASE = AREA_DATA + 0x800,
    DATA16_LIMIT = 0xffff,
    STACK16_BASE = AREA_STACK,
    STACK16_LIMIT = AREA_BYTES - 0x41,
};

/* Code widths 16, 32, 64 as 0, 1, 2. */
enum { WIDTHS = 3 };
static inline int width_index(int bits)
{
    return bits / 32;
}

/* Where addr is in an image of all areas, or -1. */
static inline int arena_offset(u64 addr)
{
    u64 d = addr - AREA_CODE, area = d / AREA_STEP, off = d % AREA_STEP;
    return area < AREAS && off < AREA_BYTES ? (int)(area * AREA_BYTES + off) : -1;
}

/* The linear address of RIP. */
static inline u64 code_linear(int bits, u64 rip)
{
    return bits == 16 ? CODE16_BASE + rip : rip;
}

/* A byte of code could be there. */
static inline bool code_reaches(int bits, u64 rip)
{
    return arena_offset(code_linear(bits, rip)) >= 0 && (bits != 16 || rip <= CODE16_LIMIT);
}

static inline u64 arena_address(int offset)
{
    return AREA_CODE + (u64)(offset / AREA_BYTES) * AREA_STEP + (u64)(offset % AREA_BYTES);
}

#endif
