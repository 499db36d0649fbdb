/*
 * tests/bt/test_strip.c - loops whose rounds run without looks at memory: what they compute, where
 * they must stop, and what goes wrong in the middle.
 */
#include "tests/bt/guest.h"

/* Pointers and indices, forwards and backwards, steps of all sizes, an operand that stands still,
 * several of one pointer, by RIP, absolute. */
#define KINDS                                                                                      \
    "mov $0x10000, %ecx\n xor %eax, %eax\n"                                                        \
    "1: imul $1103515245, %eax\n add $12345, %eax\n mov %eax, 0x2f0000(, %rcx, 4)\n"               \
    "sub $1, %ecx\n jnz 1b\n"                                                                      \
    ".macro loop from, body\n mov $\\from, %esi\n lea 0x5000(%rsi), %rdi\n"                        \
    "mov $1500, %ecx\n xor %edx, %edx\n 77: \\body\n jnz 77b\n add %rax, %r8\n rol $7, %r8\n"      \
    "add %rdx, %r8\n.endm\n"                                                                       \
    ".irp at, 0x300000, 0x300ff0, 0x300003, 0x3047fd\n"                                            \
    "loop \\at, \"movzbl (%rsi), %edx; add %rdx, %rax; inc %rsi; sub $1, %ecx\"\n"                 \
    "loop \\at, \"movzwl (%rsi), %edx; mov %dx, (%rdi); add $2, %rsi; add $2, %rdi; sub $1, "      \
    "%ecx\"\n"                                                                                     \
    "loop \\at, \"mov (%rsi, %rdx, 8), %rbx; xor %rbx, %rax; add $1, %rdx; cmp $1000, %rdx\"\n"    \
    "loop \\at, \"mov (%rsi, %rdx, 4), %ebx; add %ebx, (%rdi, %rdx, 4); inc %edx; cmp $1000, "     \
    "%edx\"\n"                                                                                     \
    "loop \\at, \"add -8(%rsi), %rax; add 8(%rsi), %rax; xor %rax, (%rsi); lea 24(%rsi), %rsi; "   \
    "sub $1, %ecx\"\n"                                                                             \
    "loop \\at, \"sub $3, %rdi; movzbl (%rdi), %ebx; add %rbx, %rax; sub $1, %ecx\"\n"             \
    "loop \\at, \"sub $56, %rsi; mov 8(%rsi), %rbx; mov %rbx, 48(%rsi); add %rbx, %rax; dec "      \
    "%ecx\"\n"                                                                                     \
    "loop \\at, \"mov 0x308000, %ebx; add %rbx, %rax; add %rcx, 0x308008; sub $1, %ecx\"\n"        \
    "loop \\at, \"mov 88f(%rip), %ebx; add %rbx, %rax; add %rax, (%rdi); sub $1, %ecx\"\n"         \
    "loop \\at, \"movups (%rsi), %xmm0; paddd %xmm0, %xmm1; movups %xmm1, (%rdi); add $16, %rsi; " \
    "add $16, %rdi; sub $1, %ecx\"\n"                                                              \
    "loop \\at, \"movzbl (%rsi), %edx; mov 0x310000(, %rdx, 8), %rbx; add %rbx, %rax; "            \
    "add %rax, 0x330000(, %rdx, 4); inc %rsi; sub $1, %ecx\"\n"                                    \
    "loop \\at, \"cmp %eax, (%rsi); adc $0, %r9; add $4, %rsi; sub $1, %ecx\"\n"                   \
    "loop \\at, \"mov (%rdi), %r14; add %r14, %r15; mov %r15, 8(%rdi); add $8, %rdi; sub $1, "     \
    "%ecx\"\n"                                                                                     \
    ".endr\n .purgem loop\n"                                                                       \
    "mov $0x300000, %esi\n mov $500, %ecx\n"                                                       \
    "1: movdqa (%rsi), %xmm0\n paddq 32(%rsi), %xmm0\n movdqa %xmm0, 16(%rsi)\n add $48, %rsi\n"   \
    "sub $1, %ecx\n jnz 1b\n"                                                                      \
    "movups %xmm1, OUT + 16\n mov %r8, OUT\n mov %r9, OUT + 8\n mov %r15, OUT + 32\n"              \
    "xor %ebx, %ebx\n mov $0x300000, %esi\n"                                                       \
    "1: add (%rsi), %rbx\n rol $3, %rbx\n add $8, %rsi\n cmp $0x330000, %esi\n jb 1b\n"            \
    "mov %rbx, OUT + 40\n"
#define OPERAND ".balign 8\n 88: .quad 0x123456789\n"

GUEST(kinds, 64)
"mov %cr4, %rax\n or $0x600, %eax\n mov %rax, %cr4\n" KINDS "jmp kindsend\n" OPERAND
                                                            "kindsend:" GUEST_END(kinds);

static void strips_counted(const u8 *image, const u8 *end, u64 least)
{
    static const char *const engine[] = {"bt", "bt-hot"};
    for (size_t k = 0; k < ARRAY_LEN(engine); k++) {
        struct guest g = guest_new(image, end, 64, engine[k]);
        guest_run(&g);
        cr_expect_geq(guest_count(&g, "loops in strips"), least, "%s: %llu", engine[k],
                      (unsigned long long)guest_count(&g, "loops in strips"));
        vm_free(g.vm);
    }
}

Test(strip, kinds)
{
    struct guest g = RUN_ALL(kinds, 64);
    vm_free(g.vm);
    strips_counted(kinds, kinds_end, 30);
}

/* ---- what must not go on ----------------------------------------------------------------------
 */
#define FROM_4M                                                                                    \
    "mov %cr3, %rdi\n mov (%rdi), %rdi\n and $-4096, %rdi\n mov (%rdi), %r12\n and $-4096, %r12\n"

/* A page that is not there, one that must not be written; an index of 32 bits that wraps; divisions
 * by zero; exceptions of SSE; an operand that is not aligned. */
GUEST(stops, 64)
TRAPS("st")
"mov %cr4, %rax\n or $0x600, %eax\n mov %rax, %cr4\n" FROM_4M
    "mov 16(%r12), %rax\n and $~1, %rax\n mov %rax, 16(%r12)\n invlpg 0x400000\n"
    "mov $60, %ebp\n"
    "stagain: movq $(st1 - stops + ORG), RESUME\n mov $0x3ff800, %esi\n mov %ebp, %eax\n"
    "1: add %eax, (%rsi)\n adc (%rsi), %rbx\n add $8, %rsi\n sub $1, %ecx\n jmp 1b\n"
    "st1: add %rsi, %r8\n add %rbx, %r8\n rol $3, %r8\n"
    "movq $(st2 - stops + ORG), RESUME\n mov $0xfffffe80, %ecx\n mov $0x300000, %ebx\n"
    "sub %rcx, %rbx\n 1: movzbl (%rbx, %rcx), %eax\n add %rax, %r8\n inc %ecx\n cmp $900, %ecx\n "
    "jne 1b\n"
    "st2: add %rcx, %r8\n rol $3, %r8\n"
    "movq $(st7 - stops + ORG), RESUME\n mov $0xfffffe80, %ecx\n mov $0x300000, %ebx\n"
    "sub %rcx, %rbx\n 1: movzbl (%rbx, %rcx), %eax\n add %rax, %r8\n lea 2(%ecx), %rcx\n"
    "cmp $900, %ecx\n jne 1b\n"
    "st7: add %rcx, %r8\n rol $3, %r8\n"
    "movq $(st3 - stops + ORG), RESUME\n mov $300, %ecx\n mov $0x300000, %ebx\n sub %rcx, %rbx\n"
    "1: movzbl (%rbx, %rcx), %eax\n add %rax, %r8\n sub $4, %ecx\n cmp $1, %ecx\n jne 1b\n"
    "st3: add %rcx, %r8\n rol $3, %r8\n"
    "mov $0x301000, %edi\n mov $400, %ecx\n 1: mov %ecx, (%rdi)\n add $4, %rdi\n sub $1, %ecx\n "
    "jnz "
    "1b\n"
    "movl $0, 0x301400\n movq $(st4 - stops + ORG), RESUME\n mov $0x301000, %esi\n mov $400, %ecx\n"
    "1: mov $1000, %eax\n xor %edx, %edx\n divl (%rsi)\n add %rax, %r8\n add $4, %rsi\n sub $1, "
    "%ecx\n "
    "jnz 1b\n"
    "st4: add %rcx, %r8\n add %rsi, %r8\n rol $3, %r8\n"
    "movl $0x1d80, 0x308000\n ldmxcsr 0x308000\n" /* division by zero, unmasked */
    "movq $(st5 - stops + ORG), RESUME\n mov $0x301000, %esi\n mov $400, %ecx\n pcmpeqd %xmm1, "
    "%xmm1\n psrld $25, %xmm1\n pslld $23, %xmm1\n"
    "1: cvtsi2ss (%rsi), %xmm0\n movaps %xmm1, %xmm2\n divss %xmm0, %xmm2\n addss %xmm2, %xmm3\n"
    "add $4, %rsi\n sub $1, %ecx\n jnz 1b\n"
    "st5: add %rcx, %r8\n movd %xmm3, %eax\n add %rax, %r8\n rol $3, %r8\n pxor %xmm3, %xmm3\n"
    "movq $(st6 - stops + ORG), RESUME\n mov $0x302000, %esi\n mov $400, %ecx\n"
    "1: movdqa (%rsi), %xmm0\n paddd %xmm0, %xmm4\n add $16, %rsi\n cmp $300, %ecx\n"
    "sete %al\n movzbl %al, %eax\n add %rax, %rsi\n sub $1, %ecx\n jnz 1b\n"
    "st6: add %rcx, %r8\n add %rsi, %r8\n rol $3, %r8\n"
    "dec %ebp\n jnz stagain\n movups %xmm4, OUT + 16\n mov %r8, OUT" GUEST_END(stops);

Test(strip, stops)
{
    struct guest g = RUN_ALL(stops, 64);
    u64 n[32] = {0};
    cr_expect_eq(guest_traps(&g), 60 * 7, "%llu", (unsigned long long)guest_traps(&g));
    for (u64 k = 0; k < 60 * 7; k++)
        n[guest_trap(&g, k).vector & 31]++;
    cr_expect_eq(n[14], 60 * 4, "%llu", (unsigned long long)n[14]);
    cr_expect_eq(n[0], 60);
    cr_expect_eq(n[19], 60);
    cr_expect_eq(n[13], 60);
    vm_free(g.vm);
    strips_counted(stops, stops_end, 4);
}

/* A loop that fills the page it is in, and code on the way, up to its own end; and one whose data
 * page gets code while it runs. */
GUEST(codes, 64)
"mov $0x300000, %edi\n lea cofrom(%rip), %rsi\n mov $cocode_bytes, %ecx\n rep movsb\n"
    "mov $40, %ebp\n coagain: mov $0x300000, %eax\n call *%rax\n add %rax, %r8\n"
    "mov $0x2ff800, %edi\n mov $256, %ecx\n mov $0x90, %eax\n"
    "1: mov %al, (%rdi)\n inc %rdi\n cmp $0x300001, %edi\n jne 1b\n"
    "mov $0x300001, %edi\n lea 1f(%rip), %rsi\n mov %ebp, %eax\n mov %eax, (%rdi)\n 1:\n"
    "mov $0xb8, %eax\n mov %al, 0x300000\n dec %ebp\n jnz coagain\n mov %r8, OUT\n jmp coend\n"
    "cofrom: mov $1234, %eax\n ret\n .set cocode_bytes, . - cofrom\n coend:" GUEST_END(codes);

Test(strip, codes)
{
    struct guest g = RUN_ALL(codes, 64);
    u64 want = 1234;
    for (u64 n = 40; n > 1; n--)
        want += n;
    cr_expect_eq(guest_out(&g, 0), want);
    vm_free(g.vm);
}

/* ---- 32 bits ----------------------------------------------------------------------------------
 */
GUEST(kinds32, 32)
"mov $0x10000, %ecx\n xor %eax, %eax\n xor %ebp, %ebp\n"
    "k32fill: imul $1103515245, %eax\n add $12345, %eax\n mov %eax, 0x2f0000(, %ecx, 4)\n"
    "sub $1, %ecx\n jnz k32fill\n"
    ".macro loop from, body\n mov $\\from, %esi\n lea 0x5000(%esi), %edi\n"
    "mov $1500, %ecx\n xor %edx, %edx\n 77: \\body\n jnz 77b\n add %eax, %ebp\n rol $7, %ebp\n"
    "add %edx, %ebp\n.endm\n"
    ".irp at, 0x300000, 0x300ff0, 0x300003\n"
    "loop \\at, \"movzbl (%esi), %edx; add %edx, %eax; inc %esi; sub $1, %ecx\"\n"
    "loop \\at, \"mov (%esi, %edx, 4), %ebx; add %ebx, (%edi, %edx, 4); inc %edx; cmp $1000, "
    "%edx\"\n"
    "loop \\at, \"sub $3, %edi; movzbl (%edi), %ebx; add %ebx, %eax; sub $1, %ecx\"\n"
    "loop \\at, \"movzbl (%esi), %edx; mov 0x310000(, %edx, 8), %ebx; add %ebx, %eax; inc %esi; "
    "sub $1, %ecx\"\n"
    "loop \\at, \"mov -0x2000000(%esi, %edx, 2), %ebx; add %ebx, %eax; add $0x1000000, %esi; "
    "mov (%edi), %ebx; sub $0x1000000, %esi; inc %edx; mov $\\at + 0x2000000, %esi; sub $1, "
    "%ecx\"\n"
    ".endr\n .purgem loop\n mov %ebp, OUT" GUEST_END(kinds32);

Test(strip, kinds32)
{
    struct guest g = RUN_ALL(kinds32, 32);
    vm_free(g.vm);
    g = guest_new(kinds32, kinds32_end, 32, "bt-hot");
    guest_run(&g);
    cr_expect_geq(guest_count(&g, "loops in strips"), 6);
    vm_free(g.vm);
}

/* ---- ring 3 -----------------------------------------------------------------------------------
 */
/* The same kinds, where operands go by sites. */
GUEST(user, 64)
"mov %cr4, %rax\n or $0x600, %eax\n mov %rax, %cr4\n"
    "mov %cr3, %rdi\n orb $4, (%rdi)\n mov (%rdi), %rdi\n and $-4096, %rdi\n orb $4, (%rdi)\n"
    "mov (%rdi), %r12\n and $-4096, %r12\n"
    "xor %ecx, %ecx\n ususer: orb $4, (%r12, %rcx, 8)\n inc %ecx\n cmp $7, %ecx\n jne ususer\n"
    "mov %cr3, %rax\n mov %rax, %cr3\n"
    "mov $0xc0000080, %ecx\n rdmsr\n or $1, %eax\n wrmsr\n"
    "inc %ecx\n xor %eax, %eax\n mov $0x130008, %edx\n wrmsr\n"
    "inc %ecx\n lea usend(%rip), %eax\n xor %edx, %edx\n wrmsr\n"
    "lea usgo(%rip), %rcx\n mov $2, %r11d\n sysretq\n"
    "usgo: " KINDS "syscall\n" OPERAND "usend:" GUEST_END(user);

Test(strip, user)
{
    struct guest g = RUN_ALL(user, 64);
    vm_free(g.vm);
    strips_counted(user, user_end, 30);
}
