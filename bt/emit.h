/*
 * bt/emit.h - host code, byte by byte: what the translator itself adds around guest instructions.
 *
 * You are here: private to bt/. Copies of guest instructions are rewrite.c's. Nothing here knows a
 * guest. Code is written through one mapping and runs in another (cache.c); addresses in `asm` are
 * of the writable one, and distances are the same in both.
 *
 * Running out of room sets `full` and drops bytes: the caller looks once, at the end.
 * Encodings: Intel SDM vol. 2, 2.1-2.2.
 */
#ifndef BT_EMIT_H
#define BT_EMIT_H

#include "base/bits.h"
#include "base/types.h"

#include <string.h>

enum host_reg {
    H_RAX,
    H_RCX,
    H_RDX,
    H_RBX,
    H_RSP,
    H_RBP,
    H_RSI,
    H_RDI,
    H_R8,
    H_R9,
    H_R10,
    H_R11,
    H_R12,
    H_R13,
    H_R14,
    H_R15,
    H_NONE = 16,
};

struct asm_buf {
    u8 *p, *end;
    bool full;
};

static inline void e1(struct asm_buf *a, u8 b)
{
    if (unlikely(a->p >= a->end)) {
        a->full = true;
        return;
    }
    *a->p++ = b;
}
static inline void en(struct asm_buf *a, const void *b, u32 n)
{
    if (unlikely((u64)(a->end - a->p) < n)) {
        a->full = true;
        return;
    }
    memcpy(a->p, b, n);
    a->p += n;
}
#define E(a, ...) en(a, (const u8[]){__VA_ARGS__}, sizeof((const u8[]){__VA_ARGS__}))
static inline void e4(struct asm_buf *a, u32 v)
{
    en(a, &v, 4);
}
static inline void e8(struct asm_buf *a, u64 v)
{
    en(a, &v, 8);
}

/* REX with W, R, X, B; left out when it says nothing. */
static inline void e_rex(struct asm_buf *a, bool w, int r, int x, int b)
{
    u8 v = (u8)(0x40 | w << 3 | (r >> 3 & 1) << 2 | (x >> 3 & 1) << 1 | (b >> 3 & 1));
    if (v != 0x40)
        e1(a, v);
}

/* op reg, rm (both registers). */
static inline void e_rr(struct asm_buf *a, bool w, u8 op, int reg, int rm)
{
    e_rex(a, w, reg, 0, rm);
    E(a, op, (u8)(0xc0 | (reg & 7) << 3 | (rm & 7)));
}
static inline void e_mov_rr(struct asm_buf *a, bool w, int dst, int src)
{
    e_rr(a, w, 0x89, src, dst);
}

/* dst = src's low 16 bits */
static inline void e_movzx16(struct asm_buf *a, int dst, int src)
{
    e_rex(a, false, dst, 0, src);
    E(a, 0x0f, 0xb7, (u8)(0xc0 | (dst & 7) << 3 | (src & 7)));
}

/* op reg, [base + disp32]; base may be any register but RSP and R12. */
static inline void e_rm(struct asm_buf *a, bool w, u8 op, int reg, int base, i32 disp)
{
    e_rex(a, w, reg, 0, base);
    E(a, op, (u8)(0x80 | (reg & 7) << 3 | (base & 7)));
    e4(a, (u32)disp);
}

/* op reg, gs:[off]: vCPU state. */
static inline void e_gs(struct asm_buf *a, bool w, u8 op, int reg, size_t off)
{
    e1(a, 0x65);
    e_rex(a, w, reg, 0, 0);
    E(a, op, (u8)((reg & 7) << 3 | 4), 0x25);
    e4(a, (u32)off);
}
/* op reg, gs:[base + off]; base is R8 or above, but R12. */
static inline void e_gs_at(struct asm_buf *a, bool w, u8 op, int reg, int base, size_t off)
{
    E(a, 0x65, (u8)(0x41 | w << 3 | (reg >> 3) << 2), op, (u8)(0x80 | (reg & 7) << 3 | (base & 7)));
    e4(a, (u32)off);
}
/* test dword gs:[off], bits */
static inline void e_gs_test(struct asm_buf *a, size_t off, u32 bits)
{
    E(a, 0x65, 0xf7, 0x04, 0x25);
    e4(a, (u32)off);
    e4(a, bits);
}
enum { DIGIT_OR = 1, DIGIT_AND = 4, DIGIT_SUB = 5, DIGIT_CMP = 7 }; /* ModRM.reg of 80h, 81h, 83h */
enum {
    OP_LOAD = 0x8b,
    OP_STORE = 0x89,
    OP_LOAD_ADD = 0x03,
    OP_LOAD_XOR = 0x33,
    OP_LOAD_CMP = 0x3b
};

/* op reg, [rsp + off]: what the block's frame holds. */
static inline void e_frame(struct asm_buf *a, bool w, u8 op, int reg, int off)
{
    e_rex(a, w, reg, 0, 0);
    E(a, op, (u8)(0x40 | (reg & 7) << 3 | 4), 0x24, (u8)off);
}

static inline void e_imm(struct asm_buf *a, int reg, u64 v)
{
    if (v == (u32)v) {
        e_rex(a, false, 0, 0, reg);
        e1(a, (u8)(0xb8 | (reg & 7)));
        e4(a, (u32)v);
    } else if (v == (u64)(i64)(i32)v) {
        e_rex(a, true, 0, 0, reg);
        E(a, 0xc7, (u8)(0xc0 | (reg & 7)));
        e4(a, (u32)v);
    } else {
        e_rex(a, true, 0, 0, reg);
        e1(a, (u8)(0xb8 | (reg & 7)));
        e8(a, v);
    }
}

/* lea reg, [base + index << scale + disp]; base or index may be H_NONE; index is not RSP. */
static inline void e_lea(struct asm_buf *a, bool w, int reg, int base, int index, int scale,
                         i32 disp)
{
    int x = index == H_NONE ? 0 : index, b = base == H_NONE ? 0 : base;
    e_rex(a, w, reg, x, b);
    e1(a, 0x8d);
    u8 sib =
        (u8)(scale << 6 | (index == H_NONE ? 4 : index & 7) << 3 | (base == H_NONE ? 5 : base & 7));
    if (base == H_NONE) {
        E(a, (u8)((reg & 7) << 3 | 4), sib);
        e4(a, (u32)disp);
        return;
    }
    bool need_sib = index != H_NONE || (base & 7) == 4;
    int mod = disp == 0 && (base & 7) != 5 ? 0 : disp == (i8)disp ? 1 : 2;
    e1(a, (u8)(mod << 6 | (reg & 7) << 3 | (need_sib ? 4 : base & 7)));
    if (need_sib)
        e1(a, sib);
    if (mod == 1)
        e1(a, (u8)disp);
    else if (mod == 2)
        e4(a, (u32)disp);
}

/* Jumps with 32-bit distances: the place of the distance comes back, for e_land or e_patch. */
static inline u8 *e_jmp(struct asm_buf *a)
{
    e1(a, 0xe9);
    e4(a, 0);
    return a->p - 4;
}
static inline u8 *e_jcc(struct asm_buf *a, int cc)
{
    E(a, 0x0f, (u8)(0x80 | cc));
    e4(a, 0);
    return a->p - 4;
}
static inline u8 *e_call(struct asm_buf *a)
{
    e1(a, 0xe8);
    e4(a, 0);
    return a->p - 4;
}
static inline void e_patch(struct asm_buf *a, u8 *at, const u8 *target)
{
    if (!a->full)
        st_u32(at, (u32)(target - (at + 4)));
}
static inline void e_land(struct asm_buf *a, u8 *at)
{
    e_patch(a, at, a->p);
}
enum {
    CC_O,
    CC_NO,
    CC_B,
    CC_AE,
    CC_E,
    CC_NE,
    CC_BE,
    CC_A,
    CC_S,
    CC_NS,
    CC_L = 12,
    CC_LE = 14,
    CC_G
};

#endif
