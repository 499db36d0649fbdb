/*
 * cpu/alu_priv.h - integer arithmetic on values, done by the host's own instructions.
 *
 * You are here: pure functions, no CPU state but the flags word they are given. They are the one
 * meaning of each integer operation: exec functions and the interpreter's fast handlers both call
 * them.
 *
 * Flags (cpu->fl format, cpu/exec_priv.h) go in and out through LAHF/SETO and SAHF: an operation
 * that may keep a flag or that reads one gets the guest's flags loaded first, so what the manuals
 * leave undefined is the host silicon's. DF and the system flags are never touched.
 *
 * Naming: alu_<op><bits>(operands, flags). lock_<op><bits>(pointer, operand, flags) does the same
 * in memory as one host atomic.
 */
#ifndef CPU_ALU_PRIV_H
#define CPU_ALU_PRIV_H

#include "base/bits.h"
#include "base/types.h"

/* The guest's flags into the host's: OF by an addition that overflows iff AL is 1, then SAHF. */
#define ALU_LOAD_FLAGS "addb $0x7f, %%al\n\tsahf\n\t"
/* CF alone; the other host flags are unspecified. Bit 8 of the flags word is CF. */
#define ALU_LOAD_CF    "btl $8, %%eax\n\t"
#define ALU_SAVE_FLAGS "\n\tlahf\n\tseto %%al"

/* Plain accesses of guest memory in place; any alignment. */
static always_inline u8 ld_u8(const void *p)
{
    return *(const u8 *)p;
}
static always_inline void st_u8(void *p, u8 v)
{
    *(u8 *)p = v;
}

/* X(bits, suffix, register modifier) for each operand size. */
#define ALU_SIZES(X, ...)                                                                          \
    X(8, "b", "b", ##__VA_ARGS__)                                                                  \
    X(16, "w", "w", ##__VA_ARGS__) X(32, "l", "k", ##__VA_ARGS__) X(64, "q", "q", ##__VA_ARGS__)
#define ALU_SIZES_NOT8(X, ...)                                                                     \
    X(16, "w", "w", ##__VA_ARGS__) X(32, "l", "k", ##__VA_ARGS__) X(64, "q", "q", ##__VA_ARGS__)

/* ---- two operands, all flags written, none read --------------------------------------------- */
#define ALU_BINARY(N, S, M, op)                                                                    \
    static always_inline u##N alu_##op##N(u##N a, u##N b, u16 *fl)                                 \
    {                                                                                              \
        u32 f;                                                                                     \
        __asm__(#op S " %[b], %[a]" ALU_SAVE_FLAGS : [a] "+r"(a), "=a"(f) : [b] "re"(b) : "cc");   \
        *fl = (u16)f;                                                                              \
        return a;                                                                                  \
    }                                                                                              \
    static always_inline void lock_##op##N(void *p, u##N b, u16 *fl)                               \
    {                                                                                              \
        u32 f;                                                                                     \
        __asm__ volatile("lock " #op S " %[b], %[m]" ALU_SAVE_FLAGS                                \
                         : [m] "+m"(*(u##N *)p), "=a"(f)                                           \
                         : [b] "re"(b)                                                             \
                         : "cc", "memory");                                                        \
        *fl = (u16)f;                                                                              \
    }
ALU_SIZES(ALU_BINARY, add)
ALU_SIZES(ALU_BINARY, sub)
ALU_SIZES(ALU_BINARY, and)
ALU_SIZES(ALU_BINARY, or)
ALU_SIZES(ALU_BINARY, xor)
#undef ALU_BINARY

/* ADC, SBB: CF is read. */
#define ALU_BINARY_CF(N, S, M, op)                                                                 \
    static always_inline u##N alu_##op##N(u##N a, u##N b, u16 *fl)                                 \
    {                                                                                              \
        u32 f = *fl;                                                                               \
        __asm__(ALU_LOAD_CF #op S " %[b], %[a]" ALU_SAVE_FLAGS                                     \
                : [a] "+r"(a), "+a"(f)                                                             \
                : [b] "re"(b)                                                                      \
                : "cc");                                                                           \
        *fl = (u16)f;                                                                              \
        return a;                                                                                  \
    }                                                                                              \
    static always_inline void lock_##op##N(void *p, u##N b, u16 *fl)                               \
    {                                                                                              \
        u32 f = *fl;                                                                               \
        __asm__ volatile(ALU_LOAD_CF "lock " #op S " %[b], %[m]" ALU_SAVE_FLAGS                    \
                         : [m] "+m"(*(u##N *)p), "+a"(f)                                           \
                         : [b] "re"(b)                                                             \
                         : "cc", "memory");                                                        \
        *fl = (u16)f;                                                                              \
    }
ALU_SIZES(ALU_BINARY_CF, adc)
ALU_SIZES(ALU_BINARY_CF, sbb)
#undef ALU_BINARY_CF

/* CMP, TEST: flags only. */
#define ALU_COMPARE(N, S, M, op)                                                                   \
    static always_inline void alu_##op##N(u##N a, u##N b, u16 *fl)                                 \
    {                                                                                              \
        u32 f;                                                                                     \
        __asm__(#op S " %[b], %[a]" ALU_SAVE_FLAGS : "=a"(f) : [a] "r"(a), [b] "re"(b) : "cc");    \
        *fl = (u16)f;                                                                              \
    }
ALU_SIZES(ALU_COMPARE, cmp)
ALU_SIZES(ALU_COMPARE, test)
#undef ALU_COMPARE

/* ---- one operand ---------------------------------------------------------------------------- */
/* INC, DEC keep CF; NEG writes all. */
#define ALU_UNARY(N, S, M, op)                                                                     \
    static always_inline u##N alu_##op##N(u##N a, u16 *fl)                                         \
    {                                                                                              \
        u32 f = *fl;                                                                               \
        __asm__(ALU_LOAD_CF #op S " %[a]" ALU_SAVE_FLAGS : [a] "+r"(a), "+a"(f) : : "cc");         \
        *fl = (u16)f;                                                                              \
        return a;                                                                                  \
    }                                                                                              \
    static always_inline void lock_##op##N(void *p, u16 *fl)                                       \
    {                                                                                              \
        u32 f = *fl;                                                                               \
        __asm__ volatile(ALU_LOAD_CF "lock " #op S " %[m]" ALU_SAVE_FLAGS                          \
                         : [m] "+m"(*(u##N *)p), "+a"(f)                                           \
                         :                                                                         \
                         : "cc", "memory");                                                        \
        *fl = (u16)f;                                                                              \
    }
ALU_SIZES(ALU_UNARY, inc)
ALU_SIZES(ALU_UNARY, dec)
ALU_SIZES(ALU_UNARY, neg)
#undef ALU_UNARY

/* NOT writes no flags; fl is there so that templates can treat it like the others. */
#define ALU_NOT(N, S, M)                                                                           \
    static always_inline u##N alu_not##N(u##N a, u16 *fl unused_arg)                               \
    {                                                                                              \
        return (u##N) ~a;                                                                          \
    }                                                                                              \
    static always_inline void lock_not##N(void *p, u16 *fl unused_arg)                             \
    {                                                                                              \
        __asm__ volatile("lock not" S " %[m]" : [m] "+m"(*(u##N *)p) : : "memory");                \
    }
ALU_SIZES(ALU_NOT)
#undef ALU_NOT

/* ---- shifts and rotates --------------------------------------------------------------------- */
/* The host masks the count to 5 or 6 bits as the guest's processor does. */
#define ALU_SHIFT(N, S, M, op)                                                                     \
    static always_inline u##N alu_##op##N(u##N a, u8 n, u16 *fl)                                   \
    {                                                                                              \
        u32 f = *fl;                                                                               \
        __asm__(ALU_LOAD_FLAGS #op S " %%cl, %[a]" ALU_SAVE_FLAGS                                  \
                : [a] "+&r"(a), "+&a"(f)                                                           \
                : "c"(n)                                                                           \
                : "cc");                                                                           \
        *fl = (u16)f;                                                                              \
        return a;                                                                                  \
    }
ALU_SIZES(ALU_SHIFT, shl)
ALU_SIZES(ALU_SHIFT, shr)
ALU_SIZES(ALU_SHIFT, sar)
ALU_SIZES(ALU_SHIFT, rol)
ALU_SIZES(ALU_SHIFT, ror)
ALU_SIZES(ALU_SHIFT, rcl)
ALU_SIZES(ALU_SHIFT, rcr)
#undef ALU_SHIFT

#define ALU_SHIFT_DOUBLE(N, S, M, op)                                                              \
    static always_inline u##N alu_##op##N(u##N a, u##N b, u8 n, u16 *fl)                           \
    {                                                                                              \
        u32 f = *fl;                                                                               \
        __asm__(ALU_LOAD_FLAGS #op S " %%cl, %[b], %[a]" ALU_SAVE_FLAGS                            \
                : [a] "+&r"(a), "+&a"(f)                                                           \
                : [b] "r"(b), "c"(n)                                                               \
                : "cc");                                                                           \
        *fl = (u16)f;                                                                              \
        return a;                                                                                  \
    }
ALU_SIZES_NOT8(ALU_SHIFT_DOUBLE, shld)
ALU_SIZES_NOT8(ALU_SHIFT_DOUBLE, shrd)
#undef ALU_SHIFT_DOUBLE

/* ---- multiplication and division ------------------------------------------------------------ */
/* Returns the low half, the high half in *hi. */
#define ALU_MUL(N, S, M, op)                                                                       \
    static always_inline u##N alu_##op##N(u##N a, u##N b, u##N *hi, u16 *fl)                       \
    {                                                                                              \
        u32 f = *fl;                                                                               \
        u64 lo, d;                                                                                 \
        __asm__(ALU_LOAD_FLAGS "mov %[a], %%" ALU_AX##N "\n\t" #op S " %[b]\n\t"                   \
                                                        "mov %%rax, %[lo]" ALU_SAVE_FLAGS          \
                : "+&a"(f), [lo] "=&r"(lo), "=&d"(d)                                               \
                : [a] "r"(a), [b] "r"(b)                                                           \
                : "cc");                                                                           \
        *fl = (u16)f;                                                                              \
        *hi = (u##N)(N == 8 ? lo >> 8 : d);                                                        \
        return (u##N)lo;                                                                           \
    }
#define ALU_AX8  "al"
#define ALU_AX16 "ax"
#define ALU_AX32 "eax"
#define ALU_AX64 "rax"
ALU_SIZES(ALU_MUL, mul)
ALU_SIZES(ALU_MUL, imul)
#undef ALU_MUL

/* IMUL with two or three operands. */
#define ALU_IMUL2(N, S, M)                                                                         \
    static always_inline u##N alu_imul2_##N(u##N a, u##N b, u16 *fl)                               \
    {                                                                                              \
        u32 f = *fl;                                                                               \
        __asm__(ALU_LOAD_FLAGS "imul" S " %[b], %[a]" ALU_SAVE_FLAGS                               \
                : [a] "+&r"(a), "+&a"(f)                                                           \
                : [b] "r"(b)                                                                       \
                : "cc");                                                                           \
        *fl = (u16)f;                                                                              \
        return a;                                                                                  \
    }
ALU_SIZES_NOT8(ALU_IMUL2)
#undef ALU_IMUL2

/* Whether DIV / IDIV of hi:lo by b raises #DE: division by zero or a quotient that does not fit. */
#define ALU_DIV_FITS(N, S, M)                                                                      \
    static always_inline bool alu_div_fits##N(u##N hi, u##N lo unused_arg, u##N b)                 \
    {                                                                                              \
        return hi < b;                                                                             \
    }                                                                                              \
    static always_inline bool alu_idiv_fits##N(u##N hi, u##N lo, u##N b)                           \
    {                                                                                              \
        const u##N sign = (u##N)((u##N)1 << (N - 1));                                              \
        bool neg_a = hi & sign, neg_b = b & sign;                                                  \
        if (neg_a) { /* to magnitudes; the most negative dividend is its own */                    \
            lo = (u##N)(0 - lo);                                                                   \
            hi = (u##N)(~hi + (lo == 0));                                                          \
        }                                                                                          \
        if (neg_b)                                                                                 \
            b = (u##N)(0 - b);                                                                     \
        if (hi >= b)                                                                               \
            return false;                                                                          \
        u64 q = alu_quotient##N(hi, lo, b);                                                        \
        return neg_a != neg_b ? q <= sign : q < sign;                                              \
    }                                                                                              \
    /* Quotient returned, remainder in *rem. Must fit. */                                          \
    static always_inline u##N alu_div##N(u##N hi, u##N lo, u##N b, u##N *rem, u16 *fl)             \
    {                                                                                              \
        ALU_DIV_ASM(N, S, "div")                                                                   \
    }                                                                                              \
    static always_inline u##N alu_idiv##N(u##N hi, u##N lo, u##N b, u##N *rem, u16 *fl)            \
    {                                                                                              \
        ALU_DIV_ASM(N, S, "idiv")                                                                  \
    }
#define ALU_DIV_ASM(N, S, op)                                                                      \
    u32 f = *fl;                                                                                   \
    u64 q, d = N == 8 ? 0 : hi, a = N == 8 ? (u16)(hi << (N & 8) | lo) : lo;                       \
    __asm__(ALU_LOAD_FLAGS "mov %[a], %%rax\n\t" op S " %[b]\n\t"                                  \
                           "mov %%rax, %[q]" ALU_SAVE_FLAGS                                        \
            : "+&a"(f), [q] "=&r"(q), "+&d"(d)                                                     \
            : [a] "r"(a), [b] "r"(b)                                                               \
            : "cc");                                                                               \
    *fl = (u16)f;                                                                                  \
    *rem = (u##N)(N == 8 ? q >> 8 : d);                                                            \
    return (u##N)q;
static always_inline u64 alu_quotient8(u8 hi, u8 lo, u8 b)
{
    return (u64)(hi << 8 | lo) / b;
}
static always_inline u64 alu_quotient16(u16 hi, u16 lo, u16 b)
{
    return ((u64)hi << 16 | lo) / b;
}
static always_inline u64 alu_quotient32(u32 hi, u32 lo, u32 b)
{
    return ((u64)hi << 32 | lo) / b;
}
static always_inline u64 alu_quotient64(u64 hi, u64 lo, u64 b)
{
    u64 q, r;
    __asm__("divq %[b]" : "=a"(q), "=d"(r) : "0"(lo), "1"(hi), [b] "r"(b) : "cc");
    return q;
}
ALU_SIZES(ALU_DIV_FITS)
#undef ALU_DIV_FITS
#undef ALU_DIV_ASM
#undef ALU_AX8
#undef ALU_AX16
#undef ALU_AX32
#undef ALU_AX64

/* ---- bits ----------------------------------------------------------------------------------- */
/* BT, BTS, BTR, BTC on a register value; n is taken modulo the size. */
#define ALU_BIT(N, S, M, op)                                                                       \
    static always_inline u##N alu_##op##N(u##N a, u##N n, u16 *fl)                                 \
    {                                                                                              \
        u32 f = *fl;                                                                               \
        __asm__(ALU_LOAD_FLAGS #op S " %[n], %[a]" ALU_SAVE_FLAGS                                  \
                : [a] "+&r"(a), "+&a"(f)                                                           \
                : [n] "r"(n)                                                                       \
                : "cc");                                                                           \
        *fl = (u16)f;                                                                              \
        return a;                                                                                  \
    }
ALU_SIZES_NOT8(ALU_BIT, bt)
ALU_SIZES_NOT8(ALU_BIT, bts)
ALU_SIZES_NOT8(ALU_BIT, btr)
ALU_SIZES_NOT8(ALU_BIT, btc)
#undef ALU_BIT
/* In memory; n < N, so that the host touches nothing beyond the operand. */
#define LOCK_BIT(N, S, M, op)                                                                      \
    static always_inline void lock_##op##N(void *p, u##N n, u16 *fl)                               \
    {                                                                                              \
        u32 f = *fl;                                                                               \
        __asm__ volatile(ALU_LOAD_FLAGS "lock " #op S " %[n], %[m]" ALU_SAVE_FLAGS                 \
                         : [m] "+m"(*(u##N *)p), "+&a"(f)                                          \
                         : [n] "r"(n)                                                              \
                         : "cc", "memory");                                                        \
        *fl = (u16)f;                                                                              \
    }
ALU_SIZES_NOT8(LOCK_BIT, bts)
ALU_SIZES_NOT8(LOCK_BIT, btr)
ALU_SIZES_NOT8(LOCK_BIT, btc)
#undef LOCK_BIT

/* Source to destination with the whole 64-bit destination register in and out: BSF and BSR of 0
 * keep it, and how much of it a 16- or 32-bit form keeps is the silicon's matter. */
#define ALU_SCAN(N, S, M, op)                                                                      \
    static always_inline u64 alu_##op##N(u64 dst, u##N src, u16 *fl)                               \
    {                                                                                              \
        u32 f = *fl;                                                                               \
        __asm__(ALU_LOAD_FLAGS #op S " %" M "[s], %" M "[d]" ALU_SAVE_FLAGS                        \
                : [d] "+&r"(dst), "+&a"(f)                                                         \
                : [s] "r"((u64)src)                                                                \
                : "cc");                                                                           \
        *fl = (u16)f;                                                                              \
        return dst;                                                                                \
    }
ALU_SIZES_NOT8(ALU_SCAN, bsf)
ALU_SIZES_NOT8(ALU_SCAN, bsr)
ALU_SIZES_NOT8(ALU_SCAN, lzcnt)
ALU_SIZES_NOT8(ALU_SCAN, tzcnt)
ALU_SIZES_NOT8(ALU_SCAN, popcnt)
#define ALU_SIZES_VEX(X, ...) X(32, "l", "k", ##__VA_ARGS__) X(64, "q", "q", ##__VA_ARGS__)
ALU_SIZES_VEX(ALU_SCAN, adcx)
ALU_SIZES_VEX(ALU_SCAN, adox)
ALU_SIZES_VEX(ALU_SCAN, blsi)
ALU_SIZES_VEX(ALU_SCAN, blsmsk)
ALU_SIZES_VEX(ALU_SCAN, blsr)
#undef ALU_SCAN

/* VEX three-operand forms, Intel operand order: dst = op(a, b). */
#define ALU_VEX3(N, S, M, op)                                                                      \
    static always_inline u##N alu_##op##N(u##N a, u##N b, u16 *fl)                                 \
    {                                                                                              \
        u32 f = *fl;                                                                               \
        u##N d;                                                                                    \
        __asm__(ALU_LOAD_FLAGS #op " %[b], %[a], %[d]" ALU_SAVE_FLAGS                              \
                : [d] "=&r"(d), "+&a"(f)                                                           \
                : [a] "r"(a), [b] "r"(b)                                                           \
                : "cc");                                                                           \
        *fl = (u16)f;                                                                              \
        return d;                                                                                  \
    }
ALU_SIZES_VEX(ALU_VEX3, andn)
ALU_SIZES_VEX(ALU_VEX3, bextr)
ALU_SIZES_VEX(ALU_VEX3, bzhi)
ALU_SIZES_VEX(ALU_VEX3, pdep)
ALU_SIZES_VEX(ALU_VEX3, pext)
#undef ALU_VEX3

/* ---- compare and exchange ------------------------------------------------------------------- */
/* Whole 64-bit accumulator and destination in and out, as for the scans. */
#define ALU_CMPXCHG(N, S, M)                                                                       \
    static always_inline u64 alu_cmpxchg##N(u64 dst, u##N src, u64 *acc, u16 *fl)                  \
    {                                                                                              \
        u64 a = *acc, o;                                                                           \
        __asm__("cmpxchg" S " %" M "[s], %" M "[d]\n\tmov %%rax, %[o]" ALU_SAVE_FLAGS              \
                : [d] "+&r"(dst), "+&a"(a), [o] "=&r"(o)                                           \
                : [s] "r"((u64)src)                                                                \
                : "cc");                                                                           \
        *fl = (u16)a;                                                                              \
        *acc = o;                                                                                  \
        return dst;                                                                                \
    }                                                                                              \
    static always_inline void lock_cmpxchg##N(void *p, u##N src, u64 *acc, u16 *fl)                \
    {                                                                                              \
        u64 a = *acc, o;                                                                           \
        __asm__ volatile("lock cmpxchg" S " %" M "[s], %[m]\n\tmov %%rax, %[o]" ALU_SAVE_FLAGS     \
                         : [m] "+m"(*(u##N *)p), "+&a"(a), [o] "=&r"(o)                            \
                         : [s] "r"((u64)src)                                                       \
                         : "cc", "memory");                                                        \
        *fl = (u16)a;                                                                              \
        *acc = o;                                                                                  \
    }                                                                                              \
    static always_inline u##N lock_xadd##N(void *p, u##N src, u16 *fl)                             \
    {                                                                                              \
        u32 f;                                                                                     \
        __asm__ volatile("lock xadd" S " %" M "[s], %[m]" ALU_SAVE_FLAGS                           \
                         : [m] "+m"(*(u##N *)p), [s] "+&r"(src), "=a"(f)                           \
                         :                                                                         \
                         : "cc", "memory");                                                        \
        *fl = (u16)f;                                                                              \
        return src;                                                                                \
    }                                                                                              \
    static always_inline u##N lock_xchg##N(void *p, u##N src)                                      \
    {                                                                                              \
        __asm__ volatile("xchg" S " %" M "[s], %[m]"                                               \
                         : [m] "+m"(*(u##N *)p), [s] "+r"(src)                                     \
                         :                                                                         \
                         : "memory");                                                              \
        return src;                                                                                \
    }
ALU_SIZES(ALU_CMPXCHG)
#undef ALU_CMPXCHG

/* ---- random numbers ------------------------------------------------------------------------- */
#define ALU_RANDOM(N, S, M, op)                                                                    \
    static always_inline u##N alu_##op##N(u16 *fl)                                                 \
    {                                                                                              \
        u32 f;                                                                                     \
        u##N d;                                                                                    \
        __asm__ volatile(#op " %[d]" ALU_SAVE_FLAGS : [d] "=&r"(d), "=a"(f) : : "cc");             \
        *fl = (u16)f;                                                                              \
        return d;                                                                                  \
    }
ALU_SIZES_NOT8(ALU_RANDOM, rdrand)
ALU_SIZES_NOT8(ALU_RANDOM, rdseed)
#undef ALU_RANDOM

#endif
