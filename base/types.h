/*
 * base/types.h - the scalar types and the four kinds of address.
 *
 * You are here: base/ knows nothing of x86 machines; everything includes this.
 *
 * The address kinds are plain integers to the compiler but never mixed by us:
 *   gva  what an instruction computes (an offset in a segment)
 *   gla  linear address: segment base added (Intel SDM vol. 3, 3.4)
 *   gpa  guest-physical address: after paging
 *   hva  host pointer to guest RAM
 */
#ifndef BASE_TYPES_H
#define BASE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t i8;
typedef int16_t i16;
typedef int32_t i32;
typedef int64_t i64;
typedef unsigned __int128 u128;
typedef __int128 i128;

typedef u64 gva;
typedef u64 gla;
typedef u64 gpa;
typedef u8 *hva;

#define likely(x)              __builtin_expect(!!(x), 1)
#define unlikely(x)            __builtin_expect(!!(x), 0)
#define noreturn               __attribute__((__noreturn__))
#define always_inline          inline __attribute__((__always_inline__))
#define noinline               __attribute__((__noinline__))
#define cold                   __attribute__((__cold__, __noinline__))
#define printf_like(fmt, args) __attribute__((format(printf, fmt, args)))
#define unused_arg             __attribute__((__unused__))
#define fallthrough            __attribute__((__fallthrough__))

#define ARRAY_LEN(a)                    (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)                       ((a) < (b) ? (a) : (b))
#define MAX(a, b)                       ((a) > (b) ? (a) : (b))
#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

#define KIB 1024ull
#define MIB (1024ull * KIB)
#define GIB (1024ull * MIB)

#define PAGE_SHIFT 12
#define PAGE_SIZE  4096ull
#define PAGE_MASK  (~(PAGE_SIZE - 1))

#endif
