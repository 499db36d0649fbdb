/*
 * tests/bt/test_super.c - several blocks in one translation: flags and faults across them, code
 * that is rewritten in the middle, how they come about.
 */
#include "tests/bt/guest.h"

/* ---- what they compute ------------------------------------------------------------------------
 */
/* Branches that go this way and that, flags of one block read in another (past a block that has
 * none of its own, past a memory access), a function on the page, jumps back and forth, vectors. */
GUEST(mixed, 64)
"mov $0x310000, %esp\n mov $3000, %ebp\n mov $1, %ebx\n mov %cr4, %rax\n or $0x600, %eax\n"
    "mov %rax, %cr4\n pxor %xmm1, %xmm1\n"
    "mixagain: imul $1103515245, %ebx\n add $12345, %ebx\n test $0x10000, %ebx\n jz 1f\n"
    "add %rbx, %r8\n jmp 2f\n"
    "1: sub %rbx, %r9\n js 2f\n inc %r10\n"
    "2: call mixfunc\n jc 3f\n xor %rbx, %r11\n"
    "3: cmp $0x40000000, %ebx\n jmp 4f\n"
    "5: adc $0, %r12\n movd %ebx, %xmm0\n jmp 6f\n"
    "4: mov %ebx, 0x300000\n jb 5b\n sbb $0, %r13\n"
    "6: paddd %xmm0, %xmm1\n dec %ebp\n jnz mixagain\n jmp mixend\n"
    "mixfunc: shl $1, %ebx\n jnz 1f\n stc\n 1: mov 0x300000, %edx\n ret\n"
    "mixend: mov %r8, OUT\n mov %r9, OUT + 8\n mov %r10, OUT + 16\n mov %r11, OUT + 24\n"
    "mov %r12, OUT + 32\n mov %r13, OUT + 40\n movdqu %xmm1, OUT + 48" GUEST_END(mixed);

Test(super, mixed)
{
    struct guest g = RUN_ALL(mixed, 64);
    vm_free(g.vm);
    g = guest_new(mixed, mixed_end, 64, "bt-hot");
    guest_run(&g);
    cr_expect_gt(guest_count(&g, "superblocks"), 3);
    vm_free(g.vm);
}

GUEST(mixed32, 32)
"mov $0x310000, %esp\n mov $3000, %ebp\n mov $1, %ebx\n xor %esi, %esi\n xor %edi, %edi\n"
    "again32: imul $1103515245, %ebx\n add $12345, %ebx\n test $0x10000, %ebx\n jz 1f\n"
    "add %ebx, %esi\n jmp 2f\n"
    "1: sub %ebx, %edi\n js 2f\n inc %esi\n"
    "2: call func32\n jc 3f\n xor %ebx, %edi\n"
    "3: cmp $0x40000000, %ebx\n jmp 4f\n"
    "5: adc $0, %esi\n jmp 6f\n"
    "4: mov %ebx, 0x300000\n jb 5b\n sbb $0, %edi\n"
    "6: dec %ebp\n jnz again32\n jmp end32\n"
    "func32: shl $1, %ebx\n jnz 1f\n stc\n 1: mov 0x300000, %edx\n ret\n"
    "end32: mov %esi, OUT\n mov %edi, OUT + 8" GUEST_END(mixed32);

Test(super, mixed32)
{
    struct guest g = RUN_ALL(mixed32, 32);
    vm_free(g.vm);
}

/* ---- faults -----------------------------------------------------------------------------------
 */
/* The second block faults every eighth time round: registers and flags are what the first one left.
 */
GUEST(faults, 64)
TRAPS("fa")
"mov %cr3, %rdi\n mov (%rdi), %rdi\n and $-4096, %rdi\n mov (%rdi), %r12\n and $-4096, %r12\n"
    "mov 16(%r12), %rax\n and $~1, %rax\n mov %rax, 16(%r12)\n invlpg 0x400000\n"
    "movq $(faback - faults + ORG), RESUME\n mov $1600, %ebp\n xor %r8d, %r8d\n"
    "faagain: mov $0x3ffff8, %esi\n mov %ebp, %ecx\n and $7, %ecx\n cmp $7, %ecx\n jmp 1f\n"
    "1: mov (%rsi, %rcx, 4), %eax\n jmp 2f\n"
    "2: adc %rbp, %r8\n cmp %ecx, %ebp\n jmp 3f\n"
    "3: lea (%r8, %rcx, 8), %r8\n jmp faback\n"
    "faback: setb %al\n movzbl %al, %eax\n add %rax, %r8\n dec %ebp\n jnz faagain\n"
    "mov %r8, OUT" GUEST_END(faults);

Test(super, faults)
{
    struct guest g = RUN_ALL(faults, 64);
    u64 n = guest_traps(&g), below = 0;
    cr_expect_eq(n, 1600 / 8 * 6, "%llu", (unsigned long long)n);
    for (u64 k = 0; k < 150; k++) {
        struct trap t = guest_trap(&g, k);
        cr_expect_eq(t.vector, 14);
        below += t.flags & 1; /* CF of the comparison with 7 */
    }
    cr_expect_eq(below, 125, "%llu", (unsigned long long)below);
    vm_free(g.vm);
}

/* ---- flags of operands in memory ---------------------------------------------------------------
 */
/* Compared, tested, added and subtracted, within a page and over its end (the slow way), with a
 * memory access between that and who looks at the flags. */
GUEST(operands, 64)
"mov $0x310000, %esp\n mov $0x12345679, %ebx\n mov $300, %ebp\n xor %r8d, %r8d\n"
    ".macro look op:vararg\n \\op\n mov %r8, 0x308000\n pushf\n pop %rax\n and $0x8d5, %eax\n"
    "add %rax, %r8\n rol $5, %r8\n"
    " \\op\n mov %r8, 0x308000\n jmp 1f\n 1: setbe %al\n setg %cl\n movzbl %al, %eax\n"
    "movzbl %cl, %ecx\n add %rax, %r8\n lea (%r8, %rcx, 2), %r8\n rol $3, %r8\n.endm\n"
    "opagain: imul $1103515245, %ebx\n add $12345, %ebx\n"
    ".irp at, 0x300100, 0x300ffd, 0x2000000\n mov $\\at, %esi\n mov %rbx, (%rsi)\n mov %rbx, %rdx\n"
    "rol $7, %rdx\n mov %rdx, %rdi\n"
    "look cmp (%rsi), %dl\n look cmp (%rsi), %dx\n look cmp (%rsi), %edx\n look cmp (%rsi), %rdx\n"
    "look cmp %dl, (%rsi)\n look cmp %dx, (%rsi)\n look cmp %edx, (%rsi)\n look cmp %rdx, (%rsi)\n"
    "look cmpb $-3, (%rsi)\n look cmpw $0x1234, (%rsi)\n look cmpl $0x7fffffff, (%rsi)\n"
    "look cmpq $-5, (%rsi)\n look cmpw $-5, (%rsi)\n look cmpb $0, 1(%rsi)\n"
    "look test %dl, (%rsi)\n look test %dx, (%rsi)\n look test %edx, (%rsi)\n look test %rdx, "
    "(%rsi)\n"
    "look testb $0x80, (%rsi)\n look testw $0x8001, (%rsi)\n look testl $0x80000000, (%rsi)\n"
    "look testq $-0x80000000, (%rsi)\n"
    "look add (%rsi), %edi\n look add (%rsi), %rdi\n look sub (%rsi), %edi\n look sub (%rsi), "
    "%rdi\n"
    "look and (%rsi), %edi\n look or (%rsi), %di\n look xor (%rsi), %dl\n"
    "look cmp (%rsi), %r12\n look cmp %r14d, (%rsi)\n look add (%rsi), %r9\n look cmp (%rsi), "
    "%esi\n"
    ".endr\n dec %ebp\n jnz opagain\n mov %r8, OUT\n .purgem look" GUEST_END(operands);

Test(super, operands)
{
    struct guest g = RUN_ALL(operands, 64);
    vm_free(g.vm);
    g = guest_new(operands, operands_end, 64, "bt-hot");
    guest_run(&g);
    cr_expect_gt(guest_count(&g, "exits slow memory"), 300 * 20, "where no memory is");
    vm_free(g.vm);
}

/* ---- code that changes ------------------------------------------------------------------------
 */
/* A loop of four blocks; after a while the third one's constant is changed from within the first,
 * now and then, and the fourth changes the constant behind itself. */
GUEST(rewritten, 64)
"mov $4000, %ebp\n xor %r8d, %r8d\n"
    "reagain: cmp $2000, %ebp\n ja 1f\n mov %ebp, %eax\n and $255, %eax\n jnz 1f\n"
    "mov %ebp, rethird + 2(%rip)\n"
    "1: add $1, %r8\n jmp rethird\n"
    ".balign 64\n rethird: mov $77, %r9d\n add %r9, %r8\n jmp 2f\n"
    "2: cmp $1000, %ebp\n jne 3f\n movl $9, refourth + 2(%rip)\n"
    "3: jmp refourth\n .balign 64\n"
    "refourth: mov $5, %r10d\n add %r10, %r8\n dec %ebp\n jnz reagain\n mov %r8, OUT" GUEST_END(
        rewritten);

Test(super, rewritten)
{
    struct guest g = RUN_ALL(rewritten, 64);
    u64 want = 0;
    for (u64 n = 4000, third = 77; n; n--) {
        if (n <= 2000 && !(n & 255))
            third = n;
        want += 1 + third + (n <= 1000 ? 9 : 5);
    }
    cr_expect_eq(guest_out(&g, 0), want);
    vm_free(g.vm);
    g = guest_new(rewritten, rewritten_end, 64, "bt-hot");
    guest_run(&g);
    cr_expect_gt(guest_count(&g, "superblocks"), 0);
    /* each dead part is met once, not at every round from then on */
    cr_expect_lt(guest_count(&g, "exits dead block"), 100);
    vm_free(g.vm);
}

/* ---- sampling ---------------------------------------------------------------------------------
 */
/* Two thirds of the rounds go one way, and the loop is long enough for slices to end in it. */
GUEST(sampled, 64)
"mov $1500000, %ebp\n xor %edx, %edx\n"
    "saagain: inc %edx\n cmp $3, %edx\n jne 1f\n xor %edx, %edx\n add $2, %r8\n jmp 2f\n"
    "1: add $1, %r9\n jmp 2f\n"
    "2: dec %ebp\n jnz saagain\n mov %r8, OUT\n mov %r9, OUT + 8" GUEST_END(sampled);

Test(super, sampled)
{
    struct guest g = guest_new(sampled, sampled_end, 64, "bt");
    guest_run(&g);
    cr_expect_eq(guest_out(&g, 0), 1000000);
    cr_expect_eq(guest_out(&g, 1), 1000000);
    cr_expect_gt(guest_count(&g, "superblocks"), 0);
    vm_free(g.vm);
    g = guest_new(sampled, sampled_end, 64, "bt-stress");
    guest_run(&g);
    cr_expect_eq(guest_count(&g, "superblocks"), 0, "stress: one block at a time");
    vm_free(g.vm);
}
