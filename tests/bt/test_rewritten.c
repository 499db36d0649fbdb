/*
 * tests/bt/test_rewritten.c - code whose constants are rewritten, and code that is not the same
 * afterwards though it looks so: on every engine, against the same operations with the constants in
 * registers, or against code that nobody writes.
 */
#include "tests/bt/guest.h"

static void expect_few_blocks(const struct guest *g, u64 most)
{
    struct vm_stats s;
    vm_stats(g->vm, &s);
    cr_expect_leq(s.block_invalidations, most, "%llu blocks died on %s",
                  (unsigned long long)s.block_invalidations, vm_engine(g->vm));
}

/* ---- constants --------------------------------------------------------------------------------
 */
/* f's constants are rewritten (ESI and EDI; R15D says which of three sets this time), then it is
 * called; then everything is done once more without constants and compared. Errors: OUT. */
#define CONSTANTS(u, place)                                                                        \
    "mov $3000, %ebp\n xor %r8d, %r8d\n mov $0x1234567, %esi\n mov %esi, %edi\n"                   \
    "movl %esi, " u "f1-4(%rip)\n movl %edi, " u "f2-4(%rip)\n movb %sil, " u "f3-1(%rip)\n"       \
    "movl %edi, " u "f4-4(%rip)\n movw %si, " u "f5-2(%rip)\n movl %esi, " u "f6-4(%rip)\n"        \
    "movl %edi, " u "f7-4(%rip)\n movl %esi, " u "f8-4(%rip)\n movl %edi, " u "f9-4(%rip)\n"       \
    "movb %sil, " u "fa-1(%rip)\n movl %esi, " u "fb-4(%rip)\n"                                    \
    "mov %esi, %r11d\n mov %esi, %r10d\n jmp " u "round\n" u                                       \
    "results: mov %rax, (%rbx)\n mov %rcx, 8(%rbx)\n mov %rdx, 16(%rbx)\n mov %r9, 24(%rbx)\n"     \
    "mov %r12, 32(%rbx)\n mov %r14, 40(%rbx)\n mov OUT + 512, %rax\n mov %rax, 48(%rbx)\n"         \
    "mov OUT + 520, %rax\n mov %rax, 56(%rbx)\n ret\n" u                                           \
    "round: mov %ebp, %eax\n imul $0x9e3779b1, %eax, %eax\n"                                       \
    "test $1, %ebp\n jz " u "second\n"                                                             \
    "mov %eax, %esi\n movb %sil, " u "fa-1(%rip)\n movl %esi, " u "fb-4(%rip)\n"                   \
    "movl %esi, " u "f8-4(%rip)\n movl %esi, " u "f6-4(%rip)\n movw %si, " u "f5-2(%rip)\n"        \
    "movb %sil, " u "f3-1(%rip)\n movl %esi, " u "f1-4(%rip)\n jmp " u "go\n" u                    \
    "second: mov %eax, %edi\n movl %edi, " u "f9-4(%rip)\n movl %edi, " u "f7-4(%rip)\n"           \
    "movl %edi, " u "f4-4(%rip)\n movl %edi, " u "f2-4(%rip)\n" u                                  \
    "go: movq $0, OUT + 512\n movq $0, OUT + 520\n"                                                \
    "call " u "f\n mov $OUT + 64, %ebx\n call " u "results\n"                                      \
    "movq $0, OUT + 512\n movq $0, OUT + 520\n"                                                    \
    "movslq %esi, %r10\n movslq %edi, %r11\n mov $0, %r9d\n mov $5, %r12d\n mov $0, %edx\n"        \
    "mov %esi, %eax\n add %edi, %eax\n sub %sil, %al\n mov %eax, %ecx\n imul %r11d, %ecx\n"        \
    "add %si, %cx\n cmp %r10, %rax\n setl %r9b\n mov %r11d, OUT + 512\n add %esi, OUT + 512\n"     \
    "adc %r11, %rdx\n xor %sil, OUT + 520\n test %r10, %rdx\n setnz %r12b\n"                       \
    "pushf\n pop %r14\n mov $OUT + 128, %ebx\n call " u "results\n"                                \
    "mov $8, %ecx\n mov $OUT + 64, %ebx\n" u "check: mov -8(%rbx, %rcx, 8), %rax\n"                \
    "cmp 56(%rbx, %rcx, 8), %rax\n je " u "same\n inc %r8d\n" u "same: dec %ecx\n jnz " u          \
    "check\n"                                                                                      \
    "dec %ebp\n jnz " u "round\n mov %r8, OUT\n mov %rsi, OUT + 8\n jmp " u "end\n" place u        \
    "f: mov $0, %r9d\n mov $5, %r12d\n mov $0, %edx\n"                                             \
    "mov $0x11223344, %eax\n" u "f1: .byte 0x05, 1, 2, 3, 4\n" u "f2: sub $1, %al\n" u "f3:"       \
    "imul $0x11223344, %eax, %ecx\n" u "f4: add $0x1234, %cx\n" u "f5: cmp $0x11223344, %rax\n" u  \
    "f6: setl %r9b\n .byte 0xc7, 4, 0x25\n .long OUT + 512, 0\n" u "f7:"                           \
    ".byte 0x81, 4, 0x25\n .long OUT + 512, 0\n" u "f8: adc $0x11223344, %rdx\n" u "f9:"           \
    "xorb $1, OUT + 520\n" u "fa: test $0x11223344, %rdx\n" u "fb: setnz %r12b\n"                  \
    "pushf\n pop %r14\n ret\n" u "end:\n"

GUEST(constants, 64) CONSTANTS("cn", ".balign 4096\n") GUEST_END(constants);
/* f4's constant is on two lines */
GUEST(on_lines, 64) CONSTANTS("cl", ".balign 4096\n .skip 64 - 34\n") GUEST_END(on_lines);
/* f6's on two pages, and the one before it is too near the end to be sure of its bytes */
GUEST(on_pages, 64) CONSTANTS("cp", ".balign 4096\n .skip 4096 - 43\n") GUEST_END(on_pages);

Test(rewritten, constants)
{
    struct guest g = RUN_ALL(constants, 64);
    cr_expect_eq(guest_out(&g, 0), 0);
    cr_expect_eq(guest_out(&g, 1), 0x9e3779b1);
    /* nothing dies but what was translated with its constants, each once */
    expect_few_blocks(&g, 40);
    cr_expect_lt(guest_count(&g, "blocks translated"), 60);
    vm_free(g.vm);
    g = guest_new(constants, constants_end, 64, "interp");
    guest_run(&g);
    expect_few_blocks(&g, 8);
    vm_free(g.vm);
}

Test(rewritten, constants_on_two_lines)
{
    struct guest g = RUN_ALL(on_lines, 64);
    cr_expect_eq(guest_out(&g, 0), 0);
    expect_few_blocks(&g, 40);
    vm_free(g.vm);
}

Test(rewritten, constants_on_two_pages)
{
    struct guest g = RUN_ALL(on_pages, 64);
    cr_expect_eq(guest_out(&g, 0), 0);
    cr_expect_eq(guest_out(&g, 1), 0x9e3779b1);
    vm_free(g.vm);
}

/* ---- other code in the same place -------------------------------------------------------------
 */
/* Variants of 16 bytes each, copied to `place` in one of four ways and called there twice; the
 * original, which nobody writes, must say the same. */
GUEST(variants, 64)
"cld\n mov $0x2545f491, %r15d\n mov $6000, %ebp\n xor %r8d, %r8d\n"
    "varound: imul $1103515245, %r15d, %r15d\n add $12345, %r15d\n"
    "mov %r15d, %eax\n shr $16, %eax\n xor %edx, %edx\n mov $13, %ecx\n div %ecx\n"
    "shl $4, %edx\n lea vatable(%rip), %rbx\n add %rdx, %rbx\n lea vaplace(%rip), %r12\n"
    "mov %rbx, %rsi\n mov %r12, %rdi\n mov %r15d, %eax\n shr $26, %eax\n and $3, %eax\n"
    "je vabytes\n dec %eax\n je valongs\n dec %eax\n je vaquads\n"
    "mov $16, %ecx\n rep movsb\n jmp vacall\n"
    "vabytes: mov $16, %ecx\n va1: movsb\n dec %ecx\n jnz va1\n jmp vacall\n"
    "valongs: movsl\n movsl\n movsl\n movsl\n jmp vacall\n"
    "vaquads: add $8, %rsi\n add $8, %rdi\n movsq\n sub $16, %rsi\n sub $16, %rdi\n movsq\n"
    "vacall: mov $3, %ecx\n va2: mov $1000, %eax\n mov $77, %esi\n stc\n call *%r12\n"
    "mov %rax, %r13\n mov $1000, %eax\n mov $77, %esi\n stc\n call *%rbx\n"
    "cmp %rax, %r13\n je va3\n inc %r8d\n va3: dec %ecx\n jnz va2\n"
    "dec %ebp\n jnz varound\n mov %r8, OUT\n jmp vaend\n"
    ".balign 64\n vatable:\n"
    "mov $1, %eax\n add $5, %eax\n ret\n .balign 16\n"
    "mov $1, %eax\n sub $5, %eax\n ret\n .balign 16\n"  /* another operation */
    "mov $2, %eax\n add $5, %eax\n ret\n .balign 16\n"  /* another constant */
    "mov $2, %eax\n add $-9, %eax\n ret\n .balign 16\n" /* two */
    "mov $1, %ecx\n add $5, %eax\n ret\n .balign 16\n"  /* another register */
    "mov $1, %al\n add $7, %al\n shl $1, %eax\n ret\n .balign 16\n"
    "add $1, %eax\n add $5, %eax\n ret\n .balign 16\n"
    "jmp vb1\n inc %eax\n vb1: inc %eax\n inc %eax\n ret\n .balign 16\n"
    "jmp vb2\n inc %eax\n inc %eax\n vb2: inc %eax\n ret\n .balign 16\n" /* another target */
    "jnc vb3\n inc %eax\n vb3: inc %eax\n jc vb4\n inc %eax\n vb4: ret\n .balign 16\n"
    "jc vb5\n inc %eax\n vb5: inc %eax\n jc vb6\n inc %eax\n vb6: ret\n .balign 16\n"
    "lea 5(%rsi), %eax\n lea 0x200(%rax, %rsi), %eax\n ret\n .balign 16\n"
    "lea 9(%rsi), %eax\n lea 0x400(%rax, %rsi), %eax\n ret\n .balign 16\n" /* displacements */
    ".balign 64\n .skip 56, 0x90\n vaplace: .skip 16, 0xc3\n vaend:\n" GUEST_END(variants);

Test(rewritten, variants)
{
    struct guest g = RUN_ALL(variants, 64);
    cr_expect_eq(guest_out(&g, 0), 0);
    vm_free(g.vm);
}

/* Two versions of a function in turn, by one store of eight bytes: the end of one instruction and
 * two whole ones. */
GUEST(in_turn, 64)
"mov $2000, %ebp\n xor %ebx, %ebx\n xor %r8d, %r8d\n mov itf+4(%rip), %r12\n"
    "mov $0x0f0000000f000000, %r13\n xor %r12, %r13\n"
    "itround: call itf\n add %rax, %rbx\n xchg %r12, %r13\n mov %r12, itf+4(%rip)\n dec %ebp\n"
    "jnz itround\n mov %rbx, OUT\n jmp itend\n"
    ".balign 64\n itf: mov $5, %eax\n and $0x3ff, %ax\n add $0x10, %eax\n .byte 0x05\n .long 1\n"
    "ret\n itend:\n" GUEST_END(in_turn);

Test(rewritten, in_turn)
{
    struct guest g = RUN_ALL(in_turn, 64);
    cr_expect_eq(guest_out(&g, 0), 1000 * (0x16 + 0x20));
    struct guest i = guest_new(in_turn, in_turn_end, 64, "interp");
    guest_run(&i);
    expect_few_blocks(&i, 4);
    vm_free(i.vm);
    vm_free(g.vm);
}

/* A loop through memory, whose step is rewritten each time before it runs. */
GUEST(steps, 64)
"mov $0x300000, %edi\n mov $0x4000, %ecx\n 1: mov %rcx, %rax\n imul %rcx, %rax\n mov %rax, (%rdi)\n"
    "add $8, %rdi\n dec %ecx\n jnz 1b\n"
    "mov $300, %ebp\n xor %r8d, %r8d\n xor %r9d, %r9d\n"
    "stround: mov %ebp, %eax\n and $7, %eax\n inc %eax\n shl $3, %eax\n mov %rax, %rdx\n"
    "mov %eax, stf2 - 4(%rip)\n call stf\n"
    "mov $0x300000, %esi\n mov $200, %ecx\n 1: add (%rsi), %r9\n add %rdx, %rsi\n dec %ecx\n"
    "jnz 1b\n dec %ebp\n jnz stround\n mov %r8, OUT\n mov %r9, OUT + 8\n jmp stend\n"
    ".balign 4096\n stf: mov $0x300000, %esi\n mov $200, %ecx\n"
    "1: add (%rsi), %r8\n .byte 0x48, 0x81, 0xc6, 8, 0, 0, 0\n stf2: sub $1, %ecx\n jnz 1b\n ret\n"
    "stend:" GUEST_END(steps);

Test(rewritten, steps)
{
    struct guest g = RUN_ALL(steps, 64);
    cr_expect_neq(guest_out(&g, 0), 0);
    cr_expect_eq(guest_out(&g, 0), guest_out(&g, 1));
    vm_free(g.vm);
    g = guest_new(steps, steps_end, 64, "bt-hot");
    guest_run(&g);
    cr_expect_gt(guest_count(&g, "loops in strips"), 1);
    vm_free(g.vm);
}

/* ---- who writes, and where ---------------------------------------------------------------------
 */
/* By another linear address of the page; then the page at 400000h is exchanged for another with the
 * same code, whose constant was written while the first one was there. */
GUEST(elsewhere, 64)
"mov %cr3, %rax\n mov (%rax), %rbx\n mov %rbx, 8(%rax)\n mov (%rax), %r12\n and $-4096, %r12\n"
    "mov (%r12), %r12\n and $-4096, %r12\n mov %cr3, %rax\n mov %rax, %cr3\n"
    "mov $0x8000400001, %rdi\n" /* the same as 400001h */
    "mov $0xb8, %al\n mov %al, 0x400000\n mov %al, 0x800000\n"
    "movb $0xc3, 0x400005\n movb $0xc3, 0x800005\n"
    "mov $400, %ebp\n xor %r8d, %r8d\n"
    "elone: mov %ebp, (%rdi)\n call elsewhere + 0x200000\n cmp %ebp, %eax\n je elok\n inc %r8d\n"
    "elok: dec %ebp\n jnz elone\n mov %r8, OUT\n"
    "mov $400, %ebp\n xor %r8d, %r8d\n"
    "eltwo: movl %ebp, 0x800001\n call elsewhere + 0x200000\n mov %eax, %ebx\n"
    "mov 16(%r12), %rcx\n add $0x400000, %rcx\n mov %rcx, 16(%r12)\n invlpg 0x400000\n"
    "call elsewhere + 0x200000\n cmp %ebp, %eax\n je elgood\n inc %r8d\n"
    "elgood: sub $0x400000, %rcx\n mov %rcx, 16(%r12)\n invlpg 0x400000\n"
    "call elsewhere + 0x200000\n cmp %ebx, %eax\n je elfine\n inc %r8d\n"
    "elfine: dec %ebp\n jnz eltwo\n mov %r8, OUT + 8\n mov %rbx, OUT + 16\n" GUEST_END(elsewhere);

Test(rewritten, by_another_address)
{
    struct guest g = RUN_ALL(elsewhere, 64);
    cr_expect_eq(guest_out(&g, 0), 0);
    cr_expect_eq(guest_out(&g, 1), 0);
    cr_expect_eq(guest_out(&g, 2), 1, "the last constant of the first page");
    vm_free(g.vm);
}

/* Somebody else changes a constant between two calls. */
GUEST(dma, 64)
"mov $20000, %ebp\n mov $OUT, %ebx\n"
    "dmagain: call dmf\n incq (%rbx, %rax, 8)\n dec %ebp\n jnz dmagain\n jmp dmend\n"
    ".balign 4096\n dmf: mov $1, %eax\n ret\n dmend:\n" GUEST_END(dma);

Test(rewritten, by_a_device)
{
    static const char *const engines[] = {"interp", "bt", "bt-hot", "bt-helpers", "bt-stress"};
    u64 ones[ARRAY_LEN(engines)];
    for (size_t k = 0; k < ARRAY_LEN(engines); k++) {
        struct guest g = guest_new(dma, dma_end, 64, engines[k]);
        struct error err = {{0}};
        for (u32 n = 2; n <= 4; n++) {
            vm_run_insns(g.vm, 9000, &err);
            vm_write_phys(g.vm, ORG + 4097, &n, 4);
        }
        guest_run(&g);
        ones[k] = guest_out(&g, 1);
        for (int n = 1; n <= 4; n++)
            cr_expect_gt(guest_out(&g, n), 1000, "%s: %d", engines[k], n);
        cr_expect_eq(guest_out(&g, 1) + guest_out(&g, 2) + guest_out(&g, 3) + guest_out(&g, 4),
                     20000);
        cr_expect_eq(ones[k], ones[0]);
        vm_free(g.vm);
    }
}

/* A loop that changes a constant of its own, before and after the place where it is read; and an
 * instruction that writes its own constant. */
GUEST(own, 64)
"mov $2000, %ebp\n xor %ebx, %ebx\n xor %edx, %edx\n"
    "ownagain: add $0x12345678, %ebx\n own1: mov %ebp, own1-4(%rip)\n mov %ebp, own2-4(%rip)\n"
    "mov $0, %eax\n own2: add %eax, %edx\n dec %ebp\n jnz ownagain\n"
    "mov %rbx, OUT\n mov %rdx, OUT + 8\n"
    "mov $500, %ebp\n xor %edx, %edx\n"
    "ownself: movl $7, own3-4(%rip)\n own3: add own3-4(%rip), %edx\n incl own3-4(%rip)\n"
    "dec %ebp\n jnz ownself\n mov %rdx, OUT + 16\n" GUEST_END(own);

Test(rewritten, by_itself)
{
    struct guest g = RUN_ALL(own, 64);
    cr_expect_eq(guest_out(&g, 0), 0x12345678 + 2000 * 2001 / 2 - 1);
    cr_expect_eq(guest_out(&g, 1), 2000 * 2001 / 2);
    /* each time the constant is what the store itself left, one more was stored by INC after */
    cr_expect_eq(guest_out(&g, 2), 500 * 7 + 499 * 500 / 2);
    vm_free(g.vm);
}
