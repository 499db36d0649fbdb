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
