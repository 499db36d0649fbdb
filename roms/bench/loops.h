/*
 * roms/bench/loops.h - the timed loops that need no privilege: the guest and bench/native.c use
 * them.
 *
 * You are here: each loop is assembly, so that its instructions an iteration are known and the same
 * for every compiler; LOOPS names it with that number. `n` is the count of iterations.
 */
#ifndef ROMS_BENCH_LOOPS_H
#define ROMS_BENCH_LOOPS_H

enum { HEAP_BYTES = 1 << 20 };

/* name, instructions an iteration, what it stands for */
#define LOOPS(X)                                                                                   \
    X(integer, 10, "adds, shifts, multiply, compare")                                              \
    X(branches, 9, "data-dependent jumps")                                                         \
    X(calls, 7, "two calls and returns")                                                           \
    X(loads, 8, "loads and stores, 1 MiB at random")                                               \
    X(chase, 1, "dependent loads within 4 KiB")                                                    \
    X(strings, 3, "REP MOVSB and STOSQ of 4 KiB (an iteration is 3 instructions)")                 \
    X(sse, 8, "scalar double arithmetic")                                                          \
    X(x87, 7, "x87 arithmetic")

static inline void loop_integer(unsigned long n, unsigned char *heap)
{
    (void)heap;
    asm volatile("movl $12345, %%eax\n"
                 "1:\tleaq 7(%%rax,%%rcx), %%rdx\n\t"
                 "xorq %%rdx, %%rax\n\t"
                 "shlq $3, %%rdx\n\t"
                 "addq %%rdx, %%rax\n\t"
                 "imulq $31, %%rax, %%rsi\n\t"
                 "subq %%rsi, %%rdx\n\t"
                 "rorq $5, %%rdx\n\t"
                 "adcq %%rdx, %%rax\n\t"
                 "decq %%rcx\n\t"
                 "jnz 1b"
                 : "+c"(n)::"rax", "rdx", "rsi", "cc");
}

static inline void loop_branches(unsigned long n, unsigned char *heap)
{
    (void)heap;
    /* A linear congruence decides; both ways have the same length. */
    asm volatile("movl $1, %%eax\n"
                 "1:\timull $1664525, %%eax, %%eax\n\t"
                 "addl $1013904223, %%eax\n\t"
                 "testl $0x40000000, %%eax\n\t"
                 "jz 2f\n\t"
                 "incl %%edx\n\t"
                 "xorl %%edx, %%esi\n\t"
                 "jmp 3f\n"
                 "2:\tdecl %%edx\n\t"
                 "addl %%edx, %%esi\n\t"
                 "nop\n"
                 "3:\tdecq %%rcx\n\t"
                 "jnz 1b"
                 : "+c"(n)::"rax", "rdx", "rsi", "cc");
}

static inline void loop_calls(unsigned long n, unsigned char *heap)
{
    (void)heap;
    /* Below a red zone that the caller may be using. */
    asm volatile("subq $128, %%rsp\n\t"
                 "jmp 3f\n"
                 "2:\taddq %%rcx, %%rax\n\t"
                 "ret\n"
                 "1:\tcall 2b\n\t"
                 "ret\n"
                 "3:\tcall 1b\n\t"
                 "decq %%rcx\n\t"
                 "jnz 3b\n\t"
                 "addq $128, %%rsp"
                 : "+c"(n)::"rax", "cc", "memory");
}

static inline void loop_loads(unsigned long n, unsigned char *heap)
{
    asm volatile("movl $1, %%eax\n"
                 "1:\timull $1664525, %%eax, %%eax\n\t"
                 "addl $1013904223, %%eax\n\t"
                 "movl %%eax, %%edx\n\t"
                 "shrl $12, %%edx\n\t"
                 "andl $0xffff8, %%edx\n\t"
                 "addq %%rcx, (%[heap],%%rdx)\n\t"
                 "decq %%rcx\n\t"
                 "jnz 1b"
                 : "+c"(n)
                 : [heap] "r"(heap)
                 : "rax", "rdx", "cc", "memory");
}

static inline void loop_chase(unsigned long n, unsigned char *heap)
{
    unsigned long *p = (unsigned long *)heap;
    for (int i = 0; i < 512; i++)
        p[i] = (unsigned long)&p[(i * 5 + 3) % 512];
    n = (n + 15) / 16 * 8; /* sixteen loads to one sub and jnz: an iteration is a load */
    asm volatile("1:\t"
                 ".rept 4\n\t"
                 "movq (%%rax), %%rax\n\t"
                 "movq (%%rax), %%rax\n\t"
                 "movq (%%rax), %%rax\n\t"
                 "movq (%%rax), %%rax\n\t"
                 ".endr\n\t"
                 "subq $8, %%rcx\n\t"
                 "jnz 1b"
                 : "+c"(n), "+a"(p)::"cc", "memory");
}

static inline void loop_strings(unsigned long n, unsigned char *heap)
{
    for (; n; n--) {
        unsigned long c = 4096, a = 0;
        void *from = heap, *to = heap + 65536;
        asm volatile("rep movsb" : "+S"(from), "+D"(to), "+c"(c)::"memory");
        c = 512;
        asm volatile("rep stosq" : "+D"(to), "+c"(c) : "a"(a) : "memory");
    }
}

static inline void loop_sse(unsigned long n, unsigned char *heap)
{
    double *d = (double *)heap;
    asm volatile("movl $3, %%eax; cvtsi2sdl %%eax, %%xmm1\n\t"
                 "movl $7, %%eax; cvtsi2sdl %%eax, %%xmm2\n\t"
                 "movapd %%xmm2, %%xmm0\n"
                 "1:\tmovapd %%xmm1, %%xmm3\n\t"
                 "divsd %%xmm2, %%xmm3\n\t"
                 "mulsd %%xmm3, %%xmm0\n\t"
                 "addsd %%xmm1, %%xmm0\n\t"
                 "subsd %%xmm3, %%xmm0\n\t"
                 "movsd %%xmm0, (%[d])\n\t"
                 "decq %%rcx\n\t"
                 "jnz 1b"
                 : "+c"(n)
                 : [d] "r"(d)
                 : "rax", "cc", "memory");
}

static inline void loop_x87(unsigned long n, unsigned char *heap)
{
    double *d = (double *)heap;
    asm volatile("fninit\n\t"
                 "fld1\n\t"
                 "fldpi\n"
                 "1:\tfld %%st(0)\n\t"
                 "fmul %%st(2), %%st\n\t"
                 "fadd %%st(1), %%st\n\t"
                 "fsqrt\n\t"
                 "fstpl (%[d])\n\t"
                 "decq %%rcx\n\t"
                 "jnz 1b\n\t"
                 "fninit"
                 : "+c"(n)
                 : [d] "r"(d)
                 : "cc", "memory");
}

#endif
