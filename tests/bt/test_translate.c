/*
 * tests/bt/test_translate.c - translated blocks against the interpreter: what instructions become,
 * faults in the middle of blocks, code that changes, code that is found elsewhere.
 */
#include "tests/bt/guest.h"

/* ---- what an instruction becomes ------------------------------------------------------------- */
GUEST(kinds64, 64)
"mov $100, %ebp\n xor %eax, %eax\n mov $OUT + 64, %ebx\n mov $3, %r8d\n xor %r13d, %r13d\n"
    "xor %r14d, %r14d\n xor %r15d, %r15d\n"
    "again: add %rbp, %rax\n imul $0x10003, %rax, %rax\n rol $7, %rax\n adc %rax, %r13\n"
    "mov %r13, (%rbx)\n add (%rbx), %r14\n mov %bl, %ah\n sbb %r15, %r14\n bswap %r15\n"
    "lea 5(%r14, %r15, 2), %r15\n xchg %rax, %r15\n"
    "push %rax\n push $77\n pop %rdx\n pop %rcx\n call f\n cmp %rdx, %rcx\n cmovb %rcx, %r9\n"
    "setb %r10b\n lods (%rsi), %al\n sidt OUT + 96\n xor %rsi, %rsi\n"
    "dec %ebp\n jnz again\n"
    "mov %rax, OUT\n mov %r9, OUT + 8\n mov %r10, OUT + 16\n mov %r13, OUT + 24\n jmp done\n"
    "f: enter $16, $0\n mov %rdx, -8(%rbp)\n add %rcx, -8(%rbp)\n xadd %r8, -8(%rbp)\n leave\n "
    "ret\n"
    "done: pushf\n pop %rax\n mov %rax, OUT + 32\n" GUEST_END(kinds64);

Test(translate, kinds_64)
{
    struct guest g = RUN_ALL(kinds64, 64);
    cr_expect_neq(guest_out(&g, 0), 0);
    cr_expect_gt(guest_count(&g, "insns copied"), 10);
    cr_expect_gt(guest_count(&g, "insns emitted"), 5);
    cr_expect_gt(guest_count(&g, "insns as C calls"), 0);
    cr_expect_gt(guest_count(&g, "insns as events"), 0);
    vm_free(g.vm);
}

GUEST(kinds32, 32)
"mov $100, %ebp\n mov $0x12345678, %eax\n mov $OUT + 64, %ebx\n xor %esi, %esi\n"
    "xor %edi, %edi\n"
    "again32: push %ebp\n pusha\n add %ebp, %eax\n inc %ecx\n dec %edx\n adc %eax, %edi\n"
    "mov %edi, (%ebx)\n popa\n imul %eax, %eax\n add $77, %eax\n daa\n aam\n bound %eax, OUT + "
    "128\n"
    "mov %eax, OUT + 8(, %ebp, 4)\n arpl %ax, %cx\n push %cs\n pop %edx\n call g32\n pop %ebp\n"
    "loop2: dec %ebp\n jnz again32\n mov %eax, OUT\n jmp done32\n"
    "g32: mov %esp, %edx\n ret $0\n"
    "done32: pushf\n pop %eax\n mov %eax, OUT + 4\n" GUEST_END(kinds32);

Test(translate, kinds_32)
{
    /* BOUND's limits must let it through */
    struct guest a = guest_new(kinds32, kinds32_end, 32, "interp");
    struct guest b = guest_new(kinds32, kinds32_end, 32, "bt-hot");
    static const u32 limits[] = {0x80000000, 0x7fffffff};
    vm_write_phys(a.vm, OUT + 128, limits, sizeof(limits));
    vm_write_phys(b.vm, OUT + 128, limits, sizeof(limits));
    guest_run(&a);
    guest_run(&b);
    guest_same(&a, &b);
    cr_expect_gt(guest_count(&b, "insns copied"), 5);
    cr_expect_gt(guest_count(&b, "insns as C calls"), 0);
    vm_free(a.vm);
    vm_free(b.vm);
}

/* ---- flags at faults --------------------------------------------------------------------------
 */
/* The flags of the first operation are dead (the last writes all of them, none reads) unless the
 * load in between faults. */
GUEST(faults, 64)
TRAPS("fa")
"mov $0x140000000, %rcx\n mov $3, %ebp\n"
    ".macro after op:vararg\n"
    "movq $(fa\\@ - faults + ORG), RESUME\n mov $0x7fffffffffffffff, %rax\n mov $1, %ebx\n"
    "mov $0x80, %edx\n \\op\n mov (%rcx), %rsi\n fa\\@: add %rbx, %rdi\n.endm\n"
    "fagain:\n"
    "after add %rbx, %rax\n after sub %rax, %rbx\n after cmp %rax, %rbx\n after test %rax, %rax\n"
    "after xor %eax, %eax\n after neg %rax\n after shl $1, %rax\n after shr $1, %rax\n"
    "after imul %rax, %rbx\n after inc %rax\n after dec %rbx\n after and %rbx, %rax\n"
    "after add %rax, %r14\n after add OUT, %rax\n after add %dl, %dl\n after rol $1, %rax\n"
    "after bt $3, %eax\n after mul %rbx\n after add $0x7f, %dl\n after stc\n after cmc\n"
    "dec %ebp\n jnz fagain\n"
    ".purgem after\n" GUEST_END(faults);

Test(translate, flags_at_faults)
{
    struct guest g = RUN_ALL(faults, 64);
    enum { N = 21, ADD_FLAGS = 0x894 /* OF SF AF PF */, ARITH = 0x8d5 };
    cr_assert_eq(guest_traps(&g), 3 * N);
    for (u64 k = 0; k < 3 * N; k++) {
        struct trap t = guest_trap(&g, k);
        cr_expect_eq(t.vector, 14);
        cr_expect_eq(t.cr2, 0x140000000);
        if (k % N == 0)
            cr_expect_eq(t.flags & ARITH, ADD_FLAGS, "%llx", (unsigned long long)t.flags);
    }
    cr_expect_gt(guest_count(&g, "exits slow memory"), 2 * N);
    vm_free(g.vm);
}

/* ---- host exceptions in translated code -------------------------------------------------------
 */
GUEST(signals, 64)
TRAPS("si")
"mov %cr4, %rax\n or $0x600, %eax\n mov %rax, %cr4\n mov %cr0, %rax\n and $-15, %eax\n"
    "or $2, %eax\n mov %rax, %cr0\n"
    "movl $0x1d80, OUT + 256\n ldmxcsr OUT + 256\n" /* divide by zero is not masked */
    "mov $5, %ebp\n"
    "siagain: movq $(si1 - signals + ORG), RESUME\n xor %edx, %edx\n mov $7, %eax\n xor %ebx, "
    "%ebx\n"
    "mov $0x7fffffff, %edi\n add $1, %edi\n mov %ebp, %ecx\n div %ebx\n si1: add %eax, %ecx\n"
    "mov %rcx, OUT(, %rbp, 8)\n"
    "movq $(si2 - signals + ORG), RESUME\n mov $1, %eax\n cvtsi2sd %eax, %xmm0\n xorps %xmm1, "
    "%xmm1\n"
    "or $-1, %esi\n divsd %xmm1, %xmm0\n si2: movsd %xmm0, OUT + 64(, %rbp, 8)\n"
    "dec %ebp\n jnz siagain\n" GUEST_END(signals);

Test(translate, host_exceptions)
{
    struct guest g = RUN_ALL(signals, 64);
    cr_assert_eq(guest_traps(&g), 10);
    for (u64 k = 0; k < 10; k++)
        cr_expect_eq(guest_trap(&g, k).vector, k & 1 ? 19 : 0);
    cr_expect_eq(guest_trap(&g, 0).flags & 0x8d5, 0x894);
    cr_expect_eq(guest_trap(&g, 1).flags & 0x8d5, 0x84);
    cr_expect_eq(guest_out(&g, 1), 7 + 1, "EAX as before the division");
    cr_expect_eq(guest_out(&g, 9), 0x3ff0000000000000, "XMM0 as before the division");
    cr_expect_geq(guest_count(&g, "exits host fault"), 8);
    vm_free(g.vm);
}

/* ---- code that changes ------------------------------------------------------------------------
 */
/* The running block changes an instruction of its own that comes later in it. */
GUEST(changes, 64)
"mov $200, %ebp\n xor %ebx, %ebx\n"
    "chagain: mov %ebp, ch1 + 1(%rip)\n ch1: mov $0, %eax\n add %eax, %ebx\n"
    "dec %ebp\n jnz chagain\n mov %rbx, OUT\n" GUEST_END(changes);

Test(translate, code_changes_itself)
{
    struct guest g = RUN_ALL(changes, 64);
    cr_expect_eq(guest_out(&g, 0), 200 * 201 / 2);
    vm_free(g.vm);
}

/* A block that others jump to, linked, is written from another page. */
GUEST(killed, 64)
"mov $300, %ebp\n xor %ebx, %ebx\n jmp kiagain\n"
    "kitarget: mov $1, %eax\n add %eax, %ebx\n jmp kiback\n"
    "kiagain: jmp kitarget\n"
    "kiback: cmp $150, %ebp\n je kiwrite\n kion: dec %ebp\n jnz kiagain\n jmp kiend\n"
    ".balign 4096\n kiwrite: movl $1000, kitarget + 1(%rip)\n jmp kion\n"
    "kiend: mov %rbx, OUT\n" GUEST_END(killed);

Test(translate, killed_while_linked)
{
    struct guest g = RUN_ALL(killed, 64);
    cr_expect_eq(guest_out(&g, 0), 151 * 1 + 149 * 1000);
    cr_expect_gt(guest_count(&g, "links"), 2);
    vm_free(g.vm);
}

/* ---- one code, two addresses ------------------------------------------------------------------
 */
/* The first entry of the PML4 again as the second: 512 GiB up is the same memory. */
GUEST(aliases, 64)
"mov %cr3, %rax\n mov (%rax), %rbx\n mov %rbx, 8(%rax)\n mov %rax, %cr3\n"
    "mov $200, %ebp\n xor %r8d, %r8d\n xor %r9d, %r9d\n"
    "mov $(alf - aliases + ORG), %esi\n mov $0x8000000000, %rdi\n add %rsi, %rdi\n"
    "alagain: call *%rsi\n add %rax, %r8\n call *%rdi\n add %rax, %r9\n dec %ebp\n jnz alagain\n"
    "mov %r8, OUT\n mov %r9, OUT + 8\n"
    "mov $(aly - aliases + ORG), %esi\n mov $50, %ebp\n alheat: call *%rsi\n dec %ebp\n jnz "
    "alheat\n"
    "mov $(alx - aliases + ORG), %eax\n mov $0x8000000000, %rdi\n add %rax, %rdi\n mov $50, %ebp\n"
    "alhigh: call *%rdi\n mov %rax, OUT + 16\n dec %ebp\n jnz alhigh\n"
    "sub $(aly - aliases + ORG), %rax\n mov %rax, OUT + 24\n jmp alend\n"
    ".balign 64\n alx: inc %ecx\n jmp aly\n aly: lea aly(%rip), %rax\n ret\n"
    ".balign 64\n alf: lea alf(%rip), %rax\n jmp al2\n nop\n al2: ret\n"
    "alend:\n" GUEST_END(aliases);

Test(translate, two_addresses)
{
    struct guest g = RUN_ALL(aliases, 64);
    cr_expect_eq(guest_out(&g, 1) - guest_out(&g, 0), 200 * 0x8000000000);
    /* up there from a translated block to one that was translated below */
    cr_expect_eq(guest_out(&g, 3), 0x8000000000);
    /* what runs often at both addresses is translated for both */
    cr_expect_geq(guest_count(&g, "blocks translated"), 20, "%llu",
                  (unsigned long long)guest_count(&g, "blocks translated"));
    vm_free(g.vm);
}

/* ---- links between pages, and page tables ------------------------------------------------------
 */
/* f is at 400000h linear: of two address spaces two different pages. Then the page is exchanged in
 * place, with INVLPG. */
GUEST(tables, 64)
"cld\n"
    "mov %cr3, %rsi\n mov $0x700000, %edi\n mov $512, %ecx\n rep movsq\n"
    "mov %cr3, %rsi\n mov (%rsi), %rsi\n and $-4096, %rsi\n mov %rsi, %r12\n mov $0x701000, %edi\n"
    "mov $512, %ecx\n rep movsq\n"
    "mov (%r12), %rsi\n and $-4096, %rsi\n mov %rsi, %r12\n mov $0x702000, %edi\n mov $512, %ecx\n"
    "rep movsq\n"
    "movl $0x701007, 0x700000\n movl $0x702007, 0x701000\n"
    "mov 0x702010, %rax\n add $0x400000, %rax\n mov %rax, 0x702010\n"  /* 400000h: at 800000h */
    "movl $0xc3c0ff48, 0x400000\n"                                     /* inc rax; ret */
    "movl $0x00c08348 + 0x05000000, 0x800000\n movb $0xc3, 0x800004\n" /* add rax, 5; ret */
    "mov %cr3, %r10\n mov $0x700000, %r11d\n mov $4, %r9d\n xor %eax, %eax\n"
    "taround: mov $100, %ebp\n ta1: call tables + 0x200000\n dec %ebp\n jnz ta1\n"
    "xchg %r10, %r11\n mov %r10, %cr3\n dec %r9d\n jnz taround\n"
    "mov %rax, OUT\n"
    "xor %eax, %eax\n mov $100, %ebp\n ta2: call tables + 0x200000\n dec %ebp\n jnz ta2\n"
    "mov %rax, OUT + 8\n"
    "mov 16(%r12), %rdx\n add $0x400000, %rdx\n mov %rdx, 16(%r12)\n invlpg 0x400000\n"
    "xor %eax, %eax\n mov $100, %ebp\n ta3: call tables + 0x200000\n dec %ebp\n jnz ta3\n"
    "mov %rax, OUT + 16\n" GUEST_END(tables);

Test(translate, links_and_page_tables)
{
    struct guest g = RUN_ALL(tables, 64);
    cr_expect_eq(guest_out(&g, 0), 200 * 1 + 200 * 5);
    cr_expect_eq(guest_out(&g, 1), 100 * 1);
    cr_expect_eq(guest_out(&g, 2), 100 * 5);
    cr_expect_gt(guest_count(&g, "links"), 3);
    vm_free(g.vm);
}

/* ---- entries that belong to places in the code -------------------------------------------------
 */
/* In ring 3: the page at 400000h changes under a loop that reads and writes it, by INVLPG and by
 * CR3; then accesses across a page's end, and a walk over more pages than an entry is good for. */
GUEST(sites, 64)
"mov %cr3, %rdi\n orb $4, (%rdi)\n mov (%rdi), %rdi\n and $-4096, %rdi\n orb $4, (%rdi)\n"
    "mov (%rdi), %r12\n and $-4096, %r12\n"
    "xor %ecx, %ecx\n suser: orb $4, (%r12, %rcx, 8)\n inc %ecx\n cmp $7, %ecx\n jne suser\n"
    "mov %cr3, %rax\n mov %rax, %cr3\n"
    "mov 16(%r12), %r13\n lea 0x400000(%r13), %r14\n mov $0x30000, %esp\n"
    "mov $0xc0000080, %ecx\n rdmsr\n or $1, %eax\n wrmsr\n"
    "inc %ecx\n xor %eax, %eax\n mov $0x130008, %edx\n wrmsr\n"
    "inc %ecx\n lea scall(%rip), %eax\n xor %edx, %edx\n wrmsr\n"
    "movq $1, 0x400000\n movq $5, 0x800000\n mov $0x400000, %ebx\n mov $6, %r15d\n"
    "lea sround(%rip), %rcx\n mov $2, %r11d\n sysretq\n"
    "scall: test %r15d, %r15d\n jz send\n"
    "xchg %r13, %r14\n mov %r13, 16(%r12)\n test $1, %r15b\n jz sflush\n invlpg (%rbx)\n sysretq\n"
    "sflush: mov %cr3, %rax\n mov %rax, %cr3\n sysretq\n"
    "sround: mov $50, %ebp\n"
    "sloop: add (%rbx), %r8\n incl 8(%rbx)\n push (%rbx)\n pop 16(%rbx, %rbp, 8)\n dec %ebp\n "
    "jnz sloop\n syscall\n dec %r15d\n jnz sround\n"
    "mov %r8, OUT\n mov 0x400008, %eax\n mov %rax, OUT + 8\n mov 0x800008, %eax\n"
    "mov %rax, OUT + 16\n"
    "mov $0x400ffc, %ebx\n mov $100, %ebp\n"
    "scross: addq $3, (%rbx)\n mov (%rbx), %rdx\n dec %ebp\n jnz scross\n mov %rdx, OUT + 24\n"
    "mov $3, %ecx\n swalk: mov $0x400000, %ebx\n mov $1900, %ebp\n"
    "spage: addq $1, 0x800(%rbx)\n add 0x800(%rbx), %r9\n add $4096, %rbx\n dec %ebp\n jnz spage\n"
    "dec %ecx\n jnz swalk\n mov %r9, OUT + 32\n "
    "mov $60, %ebp\n srep: mov $0x400100, %esi\n mov $0x500f00, %edi\n lea (, %rbp, 8), %ecx\n"
    "rep movsb\n mov $0x600000, %edi\n mov %ebp, %ecx\n mov %ebp, %eax\n rep stosl\n push 8(%rbx)\n"
    "pop %rdx\n dec %ebp\n jnz srep\n mov 0x600028, %eax\n mov %rax, OUT + 40\n mov %rdi, OUT + "
    "48\n"
    "syscall\n send:" GUEST_END(sites);

Test(translate, sites)
{
    struct guest g = RUN_ALL(sites, 64);
    cr_expect_eq(guest_out(&g, 0), 150 * 1 + 150 * 5);
    cr_expect_eq(guest_out(&g, 1), 150);
    cr_expect_eq(guest_out(&g, 2), 150);
    cr_expect_eq(guest_out(&g, 3), 300);
    cr_expect_eq(guest_out(&g, 4), 1900 * (1 + 2 + 3));
    cr_expect_eq(guest_out(&g, 5), 11);
    cr_expect_eq(guest_out(&g, 6), 0x600004);
    cr_expect_gt(guest_count(&g, "blocks translated again"), 0);
    vm_free(g.vm);
}

/* ---- exchanges, and repeated moves of the kernel -----------------------------------------------
 */
/* LOCK or not, in one page and over its end, CMPXCHG16B that is not aligned (#GP), a page that must
 * not be written. */
GUEST(exchanges, 64)
TRAPS("ex")
"mov %cr3, %rdi\n mov (%rdi), %rdi\n and $-4096, %rdi\n mov (%rdi), %r12\n and $-4096, %r12\n"
    "mov 16(%r12), %rax\n and $~2, %rax\n mov %rax, 16(%r12)\n" /* 400000h: read-only */
    "mov %cr0, %rax\n or $0x10000, %eax\n mov %rax, %cr0\n invlpg 0x400000\n"
    ".macro each a:vararg\n movq $(ex\\@ - exchanges + ORG), RESUME\n \\a\n"
    "ex\\@: pushf\n pop %r10\n and $0x8d5, %r10d\n add %r10, %r13\n rol $3, %r13\n xor %rax, %r13\n"
    " xor %rcx, %r13\n xor %rdx, %r13\n.endm\n"
    ".macro at p:vararg\n mov \\p, %esi\n mov %ebp, %eax\n shr $1, %eax\n mov %ebp, %ecx\n"
    "each cmpxchg %cl, (%rsi)\n each lock cmpxchg %cx, (%rsi)\n each cmpxchg %ecx, (%rsi)\n"
    "each lock cmpxchg %rcx, 8(%rsi)\n mov 8(%rsi), %rax\n each cmpxchg %r15, 8(%rsi)\n"
    "each xadd %cl, (%rsi)\n each lock xadd %ecx, 4(%rsi)\n each xadd %r14, 8(%rsi)\n"
    "mov (%rsi), %eax\n mov 4(%rsi), %edx\n mov %ebp, %ebx\n"
    "each lock cmpxchg8b (%rsi)\n each cmpxchg8b (%rsi)\n"
    "mov (%rsi), %rax\n mov 8(%rsi), %rdx\n each lock cmpxchg16b (%rsi)\n"
    "each cmpxchg16b (%rsi)\n.endm\n"
    "xor %r13d, %r13d\n mov $100, %ebp\n"
    "exagain: at $0x300000\n at $0x300ff8\n at $0x300108\n at $0x300ffe\n at $0x400000\n dec "
    "%ebp\n jnz exagain\n"
    "mov %r13, OUT\n .purgem at\n .purgem each\n" GUEST_END(exchanges);

Test(translate, exchanges)
{
    struct guest g = RUN_ALL(exchanges, 64);
    u64 n[32] = {0};
    for (u64 k = 0; k < guest_traps(&g); k++)
        n[guest_trap(&g, k).vector & 31]++;
    cr_expect_eq(n[13], 100 * (2 + 2 + 2), "%llu", (unsigned long long)n[13]);
    cr_expect_eq(n[14], 100 * 12, "%llu", (unsigned long long)n[14]);
    cr_expect_lt(guest_count(&g, "exits C call"), 200);
    vm_free(g.vm);
}

/* At CPL 0: in one page, to its end and over it, backwards, to a page that must not be written. */
GUEST(moves, 64)
TRAPS("mo")
"mov %cr3, %rdi\n mov (%rdi), %rdi\n and $-4096, %rdi\n mov (%rdi), %r12\n and $-4096, %r12\n"
    "mov 16(%r12), %rax\n and $~2, %rax\n mov %rax, 16(%r12)\n"
    "mov %cr0, %rax\n or $0x10000, %eax\n mov %rax, %cr0\n invlpg 0x400000\n"
    "mov $0x300000, %edi\n mov $0x10001, %eax\n mov $2048, %ecx\n mofill: stosl\n add $77, %eax\n"
    "dec %ecx\n jnz mofill\n"
    ".macro move from, to, n, op\n movq $(mo\\@ - moves + ORG), RESUME\n mov $\\from, %esi\n"
    "mov $\\to, %edi\n mov $\\n, %ecx\n rep \\op\n mo\\@: add %rsi, %r8\n add %rdi, %r8\n"
    "add %rcx, %r8\n.endm\n"
    "mov $60, %ebp\n"
    "moagain: mov %ebp, %eax\n move 0x300010, 0x310020, 100, movsb\n"
    "move 0x300000, 0x312000, 1024, movsl\n move 0x300000, 0x313000, 512, movsq\n"
    "move 0x300100, 0x314fc0, 64, movsb\n move 0x300100, 0x315fc1, 64, movsb\n"
    "move 0x300fc1, 0x316000, 64, movsb\n move 0x300fc0, 0x317000, 32, movsw\n"
    "move 0, 0x318000, 1024, stosl\n move 0, 0x319ffc, 2, stosl\n move 0, 0x31b000, 0, stosb\n"
    "move 0x300000, 0x400000, 16, movsb\n move 0, 0x400000, 4, stosq\n"
    "move 0x300008, 0x300009, 40, movsb\n"
    "mov 0x400000, %bl\n move 0, 0x400000, 4, stosl\n move 0, 0x3ffff0, 32, stosb\n"
    "std\n move 0x300400, 0x31c400, 30, movsl\n cld\n"
    "dec %ebp\n jnz moagain\n mov %r8, OUT\n .purgem move\n" GUEST_END(moves);

Test(translate, kernel_moves)
{
    struct guest g = RUN_ALL(moves, 64);
    cr_expect_eq(guest_traps(&g), 4 * 60);
    vm_free(g.vm);

    g = guest_new(moves, moves_end, 64, "bt-hot");
    guest_run(&g);
    cr_expect_lt(guest_count(&g, "exits slow memory"), 60 * (3 + 4 + 2) + 100);
    vm_free(g.vm);
}

/* Runs of pushes and pops: in one page, over its end, and pops that run into a page that is not
 * there, with flags to be kept. */
GUEST(runs, 64)
TRAPS("ru")
"mov %cr3, %rdi\n mov (%rdi), %rdi\n and $-4096, %rdi\n mov (%rdi), %r12\n and $-4096, %r12\n"
    "mov 16(%r12), %rax\n and $~1, %rax\n mov %rax, 16(%r12)\n invlpg 0x400000\n"
    "movq $(ruback - runs + ORG), RESUME\n mov $60, %r15d\n xor %r8d, %r8d\n"
    "ruagain: mov $3, %ebx\n mov $5, %ecx\n mov $7, %esi\n mov $11, %r13d\n mov $13, %r14d\n"
    ".irp sp, 0x310800, 0x310018, 0x310010, 0x31000c\n"
    "mov $\\sp, %esp\n jmp 1f\n"
    "1: cmp %ecx, %ebx\n push %rbx\n push %r13\n push %rcx\n push %rsi\n push %r14\n setb %dl\n"
    "jmp 1f\n"
    "1: cmp %ebx, %ecx\n pop %rcx\n pop %r14\n pop %rsi\n pop %rbx\n pop %r13\n sbb $0, %r8\n"
    "movzbl %dl, %edx\n add %rdx, %r8\n lea (%r8, %rcx), %r8\n lea (%r8, %r14, 2), %r8\n"
    "lea (%r8, %rsi, 4), %r8\n lea (%r8, %rbx, 8), %r8\n add %r13, %r8\n add %rsp, %r8\n"
    ".endr\n"
    "movl $21, 0x3fffe8\n movl $22, 0x3ffff0\n movl $23, 0x3ffff8\n"
    "mov $0x3fffe8, %esp\n mov $1, %eax\n jmp 1f\n"
    "1: cmp $2, %eax\n pop %rbx\n pop %r13\n pop %rcx\n pop %rsi\n pop %rdi\n nop\n"
    "ruback: adc $0, %r8\n add %rbx, %r8\n add %r13, %r8\n add %rcx, %r8\n add %rsi, %r8\n"
    "dec %r15d\n jnz ruagain\n mov $0x310000, %esp\n mov %r8, OUT\n" GUEST_END(runs);

Test(translate, runs_of_pushes)
{
    struct guest g = RUN_ALL(runs, 64);
    cr_expect_eq(guest_traps(&g), 60);
    cr_expect_eq(guest_trap(&g, 0).vector, 14);
    vm_free(g.vm);

    g = guest_new(runs, runs_end, 64, "bt-hot");
    guest_run(&g);
    cr_expect_lt(guest_count(&g, "exits slow memory"), 60 * (2 + 4) + 100);
    vm_free(g.vm);
}
