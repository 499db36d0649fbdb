/*
 * tests/bt/test_across.c - instructions that begin on one page and end on the next: translated, and
 * right whatever happens to either page.
 */
#include "tests/bt/guest.h"

/* A loop with such an instruction in it, two bytes before 300000h. */
GUEST(hot, 64)
"cld\n lea hocode(%rip), %rsi\n mov $0x300000 - 12, %edi\n mov $(hoend - hocode), %ecx\n"
    "rep movsb\n mov $200000, %ebp\n xor %eax, %eax\n mov $0x300000 - 12, %ebx\n call *%rbx\n"
    "mov %rax, OUT\n jmp hoend\n"
    "hocode: add $1, %rax\n .skip 6, 0x90\n add $0x1000000, %rax\n dec %ebp\n jnz hocode\n ret\n"
    "hoend:" GUEST_END(hot);

Test(across, hot)
{
    struct guest g = RUN_ALL(hot, 64);
    cr_expect_eq(guest_out(&g, 0), 200000ull * 0x1000001);
    vm_free(g.vm);
    g = guest_new(hot, hot_end, 64, "bt");
    guest_run(&g);
    cr_expect_lt(guest_count(&g, "exits edge lookup"), 500, "%llu",
                 (unsigned long long)guest_count(&g, "exits edge lookup"));
    cr_expect_lt(guest_count(&g, "exits edge cold"), 500);
    vm_free(g.vm);
}

/* MOV EAX, imm32 two bytes before 600000h, with a jump to it on the same page: the constant's first
 * byte is before the end, the others behind it. Either page is exchanged for another (physical
 * 800000h, A00000h), by INVLPG and by CR3, and either is written, as it is mapped now and as it is
 * not. */
GUEST(exchanged, 64)
"cld\n mov %cr3, %rdi\n mov (%rdi), %rdi\n and $-4096, %rdi\n mov (%rdi), %r12\n"
    "and $-4096, %r12\n"
    "mov $0x5ffff0, %edi\n lea excode(%rip), %rsi\n mov $16, %ecx\n rep movsb\n"
    "mov $0x9ffff0, %edi\n lea excode(%rip), %rsi\n mov $16, %ecx\n rep movsb\n"
    "movb $2, 0x9fffff\n"
    "movl $0xc3000000, 0x600000\n mov $0xa00000, %edi\n movl $0xc3000001, (%rdi)\n" /* RET */
    "mov $0x5ffff0, %ebx\n mov $40, %r15d\n"
    "exround: mov $100, %ebp\n xor %r8d, %r8d\n"
    "excall: call *%rbx\n add %rax, %r8\n dec %ebp\n jnz excall\n mov %r8, OUT(, %r15, 8)\n"
    "mov %r15d, %eax\n and $7, %eax\n"
    "cmp $1, %eax\n jne 1f\n xorq $0xc00000, 24(%r12)\n invlpg 0x600000\n"
    "1: cmp $2, %eax\n jne 1f\n xorq $0xc00000, 24(%r12)\n mov %cr3, %rdx\n mov %rdx, %cr3\n"
    "1: cmp $3, %eax\n jne 1f\n xorq $0xc00000, 16(%r12)\n invlpg 0x400000\n"
    "1: cmp $4, %eax\n jne 1f\n incb 0x600000\n"
    "1: cmp $5, %eax\n jne 1f\n incb 0x5fffff\n"
    "1: cmp $6, %eax\n jne 1f\n incb (%rdi)\n incb 0x9fffff\n"
    "1: dec %r15d\n jnz exround\n jmp exend\n"
    "excode: xor %eax, %eax\n .byte 0xeb, 10\n .skip 10, 0x90\n .byte 0xb8, 1\n"
    "exend:" GUEST_END(exchanged);

Test(across, exchanged)
{
    struct guest g = RUN_ALL(exchanged, 64);
    u64 before[2] = {1, 2}, behind[2] = {0, 1}; /* of what is there first, and of the other page */
    int b = 0, e = 0;
    for (int k = 40; k; k--) {
        u64 want = 100 * (before[b] + (behind[e] << 8));
        cr_expect_eq(guest_out(&g, k), want, "%d: %llu and not %llu", k,
                     (unsigned long long)guest_out(&g, k), (unsigned long long)want);
        switch (k & 7) {
        case 1:
        case 2:
            e ^= 1;
            break;
        case 3:
            b ^= 1;
            break;
        case 4:
            behind[e]++;
            break;
        case 5:
            before[b]++;
            break;
        case 6:
            behind[1]++;
            before[1]++;
            break;
        default:
            break;
        }
    }
    vm_free(g.vm);
}

/* ---- data --------------------------------------------------------------------------------------
 */
/* Reads of every size at every place across the ends of two pages, by forms of all kinds, in the
 * kernel and in ring 3; the page behind is exchanged, written by another address, and at last gone,
 * so that the read faults. */
#define READS                                                                                      \
    "mov (%rsi), %rax\n xor %rax, %r8\n rol $3, %r8\n mov (%rsi), %eax\n add %rax, %r8\n"          \
    "movzwl (%rsi), %eax\n add %rax, %r8\n add 1(%rsi), %r8\n cmp (%rsi, %rcx, 2), %r8\n"          \
    "adc -1(%rsi), %r8d\n imul $77, (%rsi), %rdx\n xor %rdx, %r8\n movsbq 1(%rsi), %rdx\n"         \
    "sub %rdx, %r8\n movdqu -8(%rsi), %xmm0\n paddb %xmm0, %xmm1\n movups (%rsi), %xmm2\n"         \
    "pxor %xmm2, %xmm1\n fldl (%rsi)\n fstpl 0x308000\n xor 0x308000, %r8\n fildll (%rsi)\n"       \
    "fistpll 0x308000\n rol $5, %r8\n add 0x308000, %r8\n test %rdx, (%rsi)\n setp %al\n"          \
    "movzbl %al, %eax\n add %rax, %r8\n lodsw\n dec %rsi\n"

#define ROUNDS(u, after)                                                                           \
    "mov $400, %r15d\n mov $1, %ecx\n" u "round: mov $0x5fffd0, %esi\n mov $64, %ebp\n" u          \
    "again: " READS "dec %ebp\n jnz " u "again\n mov %r8, 0x600002\n mov %r8, 0x5ffffb\n" after    \
    "dec %r15d\n jnz " u "round\n"

/* Both pages are ring 3's, and full of numbers; physical A00000h is like 600000h. */
#define SETUP                                                                                      \
    "cld\n mov %cr4, %rax\n or $0x600, %eax\n mov %rax, %cr4\n mov %cr0, %rax\n and $-15, %eax\n"  \
    "or $2, %eax\n mov %rax, %cr0\n fninit\n mov $0x308000, %esp\n"                                \
    "mov %cr3, %rdi\n orb $4, (%rdi)\n mov (%rdi), %rdi\n and $-4096, %rdi\n orb $4, (%rdi)\n"     \
    "mov (%rdi), %r12\n and $-4096, %r12\n"                                                        \
    "xor %ecx, %ecx\n 1: orb $4, (%r12, %rcx, 8)\n inc %ecx\n cmp $8, %ecx\n jne 1b\n"             \
    "mov %cr3, %rax\n mov %rax, %cr3\n"                                                            \
    "mov $0x5ff000, %edi\n call refill\n mov $0xa00000, %edi\n call refill\n"                      \
    "xor %r8d, %r8d\n pxor %xmm1, %xmm1\n jmp 1f\n"                                                \
    "refill: mov $0x2000, %ecx\n mov %edi, %eax\n 2: imul $1103515245, %eax, %eax\n"               \
    "add $12345, %eax\n mov %eax, %edx\n shr $16, %edx\n mov %dl, (%rdi)\n inc %edi\n"             \
    "dec %ecx\n jnz 2b\n ret\n 1:"
#define EXCHANGE "xorq $0xc00000, 24(%r12)\n invlpg 0x600000\n"
#define KERNEL   ROUNDS("re", "test $3, %r15b\n jnz 1f\n" EXCHANGE "1: ")
#define GONE                                                                                       \
    "mov %r8, OUT\n movdqu %xmm1, OUT + 16\n"                                                      \
    "movq $(rethere - reads + ORG), RESUME\n andq $-2, 24(%r12)\n invlpg 0x600000\n"               \
    "mov $0x5ffffd, %esi\n mov $3, %ebp\n regone: " READS "\n rethere: dec %ebp\n jnz regone\n"    \
    "orq $1, 24(%r12)\n invlpg 0x600000\n mov $3, %ebp\n mov 0x600000, %eax\n"                     \
    "movq $(reodd - reads + ORG), RESUME\n 1: movaps 0x5ffff8, %xmm3\n paddb %xmm3, %xmm1\n"       \
    "reodd: dec %ebp\n jnz 1b\n"
#define RING3                                                                                      \
    "mov $0xc0000080, %ecx\n rdmsr\n or $1, %eax\n wrmsr\n"                                        \
    "inc %ecx\n xor %eax, %eax\n mov $0x130008, %edx\n wrmsr\n"                                    \
    "inc %ecx\n lea rekernel(%rip), %eax\n xor %edx, %edx\n wrmsr\n"                               \
    "mov $3, %ebx\n rering3: lea reuser(%rip), %rcx\n mov $2, %r11d\n sysretq\n"                   \
    "reuser: " ROUNDS("ru", "") "syscall\n"                                                        \
                                "rekernel: " EXCHANGE "dec %ebx\n jnz rering3\n"                   \
                                "mov %r8, OUT + 8\n movdqu %xmm1, OUT + 32\n"

GUEST(reads, 64) TRAPS("re") SETUP KERNEL GONE RING3 GUEST_END(reads);

Test(across, reads)
{
    struct guest g = RUN_ALL(reads, 64);
    cr_expect_neq(guest_out(&g, 0), 0);
    cr_assert_eq(guest_traps(&g), 6);
    cr_expect_eq(guest_trap(&g, 2).cr2, 0x600000);
    cr_expect_eq(guest_trap(&g, 5).vector, 13, "not aligned");
    vm_free(g.vm);
    g = guest_new(reads, reads_end, 64, "bt-hot");
    guest_run(&g);
    /* the two stores of each round, and what else comes now and then */
    cr_expect_lt(guest_count(&g, "exits slow memory"), 5000, "%llu",
                 (unsigned long long)guest_count(&g, "exits slow memory"));
    vm_free(g.vm);
}
