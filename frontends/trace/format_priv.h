/*
 * frontends/trace/format_priv.h - the binary trace: layout, numbers, and the predictor that writer
 * and reader run alike.
 *
 * You are here: docs/trace-format.md is the same for people. All integers are little-endian.
 */
#ifndef FRONTENDS_TRACE_FORMAT_PRIV_H
#define FRONTENDS_TRACE_FORMAT_PRIV_H

#include "base/bits.h"
#include "base/types.h"

#include <string.h>

#define TRVT_MAGIC     "TRVTRACE"
#define TRVT_END_MAGIC "TRVTEND\n"
enum { TRVT_VERSION = 1 };

/* At the file's start; `meta` bytes of text follow (key=value lines). */
struct trvt_header {
    u8 magic[8];
    u32 version;
    u32 meta;  /* bytes, at most TRVT_MAX_META */
    u64 first; /* instructions that had been executed before */
};

/* Before each chunk's two compressed parts, dictionary first. */
struct trvt_chunk {
    u32 magic;          /* TRVT_CHUNK */
    u32 flags;          /* TRVT_FORGET */
    u32 dict, dict_zip; /* bytes expanded and in the file */
    u32 stream, stream_zip;
    u32 blocks; /* numbered before this chunk (0 with TRVT_FORGET) */
    u32 defs;   /* described in it */
    u64 first;  /* count of executed instructions where it begins */
    u64 insns;  /* executed in it: blocks and ticks, without gaps */
};

/* After the last chunk: a trvt_place for each, then this. */
struct trvt_place {
    u64 offset, first;
};
struct trvt_end {
    u64 index; /* offset of the places */
    u32 chunks;
    u32 blocks; /* described in all */
    u64 insns;  /* recorded */
    u64 last;   /* count of executed instructions at the end */
    u8 magic[8];
};
_Static_assert(sizeof(struct trvt_header) == 24 && sizeof(struct trvt_chunk) == 48 &&
                   sizeof(struct trvt_place) == 16 && sizeof(struct trvt_end) == 40,
               "as documented");

enum {
    TRVT_CHUNK = 0x4b4e4843, /* "CHNK" */
    TRVT_FORGET = 1,         /* all numbers are void */

    TRVT_MAX_META = 65536,
    TRVT_MAX_BLOCKS = 1 << 20,
    TRVT_MAX_N = 64,    /* instructions in a block */
    TRVT_MAX_LEN = 960, /* bytes in it */

    /* When the writer closes a chunk; what a reader must be able to hold is a little more. */
    TRVT_STREAM = 256 << 10,
    TRVT_DICT = 1 << 20,
    TRVT_INSNS = 16 << 20,
    TRVT_MAX_STREAM = 4 << 20,
    TRVT_MAX_DICT = 2 << 20,
    TRVT_MAX_INSNS = 32 << 20,
};

/* ---- tokens of the stream: varint(hits << 2 | what), hits first ------------------------------ */
enum trvt_token {
    TOK_NEW,   /* the block that is described next */
    TOK_ALT,   /* what followed the block before when the prediction failed last */
    TOK_JUMP,  /* varint(zigzag(number - number before)) */
    TOK_EVENT, /* a byte: enum vm_trace_kind, or one of these; its arguments */
};
enum { TRVT_GAP = 0x40, TRVT_END = 0x41 };

/* ---- flags byte of a description ---- */
enum {
    DEF_BITS = 3, /* 0, 1, 2: 16, 32, 64 */
    DEF_USER = 4,
    DEF_CS = 8,   /* another selector than before: varint follows */
    DEF_RIP = 16, /* lin - rip is another than before: varint zigzag follows */
};

/* ---- numbers ---- */
static inline u64 zigzag(i64 v)
{
    return (u64)v << 1 ^ (u64)(v >> 63);
}
static inline i64 unzigzag(u64 v)
{
    return (i64)(v >> 1) ^ -(i64)(v & 1);
}
static inline u8 *put_varint(u8 *p, u64 v)
{
    for (; v >= 0x80; v >>= 7)
        *p++ = (u8)v | 0x80;
    *p++ = (u8)v;
    return p;
}
/* NULL: it does not end before `end`, or is too long. */
static inline const u8 *get_varint(const u8 *p, const u8 *end, u64 *out)
{
    u64 v = 0;
    for (int sh = 0; p < end && sh < 64; sh += 7) {
        u8 b = *p++;
        v |= (u64)(b & 0x7f) << sh;
        if (!(b & 0x80)) {
            *out = v;
            return p;
        }
    }
    return NULL;
}

/* ---- the predictor ---------------------------------------------------------------------------
 * What followed the last three blocks the last time is what is expected now. `alt` is asked when
 * that was wrong. Numbers are kept plus one; 0: none. Starts anew with every chunk. */
enum { PRED_BITS = 16, PRED_SIZE = 1 << PRED_BITS };
struct predictor {
    u32 hash, prev; /* of the history; number + 1 */
    u32 after[PRED_SIZE];
    u32 alt[TRVT_MAX_BLOCKS + 1]; /* by number + 1 */
};

static inline void pred_reset(struct predictor *p, u32 blocks)
{
    p->hash = p->prev = 0;
    memset(p->after, 0, sizeof(p->after));
    memset(p->alt, 0, (blocks + 1u) * sizeof(p->alt[0]));
}
static inline void pred_step(struct predictor *p, u32 id)
{
    /* three fifths of 16 bits a step: the fourth block back has been shifted out */
    p->hash = (p->hash << 6 ^ (id + 1) * 0x9e3779b1u >> 14) & (PRED_SIZE - 1);
    p->prev = id + 1;
}

#endif
