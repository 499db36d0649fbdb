/*
 * tests/bt/test_strings.c - string instructions: alone, and comparisons repeated: where they stop,
 * what they leave in flags, over the ends of pages, with faults in the middle.
 */
#include "tests/bt/guest.h"

/* ---- comparisons -------------------------------------------------------------------------------
 */
/* A table of runs (64 bytes each: RCX, RSI, RDI, RAX, flags before): each one is done by an
 * instruction and then, with the same start, element by element without REP by a loop of LODS,
 * SUB and so on; registers and flags must be the same. Memory at DATA is all 'a', with other
 * letters at a few places. Errors: OUT; runs: OUT + 8. */
#define DATA "0x300000"
#define LOADRUN                                                                                    \
    "mov 32(%r12), %rdx\n push %rdx\n mov (%r12), %rcx\n mov 8(%r12), %rsi\n"                      \
    "mov 16(%r12), %rdi\n mov 24(%r12), %rax\n popf\n"
#define KEEP(at)                                                                                   \
    "pushf\n pop %rdx\n and $0x8d5, %edx\n mov %rcx, " #at "\n mov %rsi, 8 + " #at                 \
    "\n mov %rdi, 16 + " #at "\n mov %rdx, 24 + " #at "\n"
/* ref: the comparison alone; it reads RCX itself. go: the condition for going on */
#define COMPARE(u, insn, one, go)                                                                  \
    LOADRUN insn "\n" KEEP(OUT + 256) LOADRUN                                                      \
        "jrcxz " u "2f\n" u "1: " one "\n lea -1(%rcx), %rcx\n " go " " u "3f\n jmp " u "2f\n" u   \
        "3f: jrcxz " u "2f\n jmp " u "1\n" u "2f:" KEEP(                                           \
            OUT + 320) "mov $4, %ecx\n" u                                                          \
                       "4: mov OUT + 248(, %rcx, 8), %rdx\n cmp OUT + 312(, %rcx, 8), %rdx\n"      \
                       "je " u "5\n inc %r8d\n" u "5: dec %ecx\n jnz " u "4\n inc %r9d\n"

GUEST(compares, 64)
"cld\n mov $" DATA
    ", %edi\n mov $0x4000, %ecx\n mov $'a', %al\n rep stosb\n"
    "xor %r8d, %r8d\n xor %r9d, %r9d\n mov $8, %ebp\n"
    "movb $'b', " DATA " + 0x1000\n movb $'b', " DATA " + 0x1ffe\n movb $'c', " DATA " + 0x2803\n"
    "coagain: lea corows(%rip), %r12\n"
    "corow: " COMPARE("cs", "repne scasb", "scasb", "jnz") COMPARE(
        "ct", "repe scasb", "scasb",
        "jz") COMPARE("cu", "repne scasw", "scasw",
                      "jnz") COMPARE("cv", "repe scasw", "scasw",
                                     "jz") COMPARE("cw", "repe scasl", "scasl",
                                                   "jz") COMPARE("cx", "repe scasq", "scasq", "jz")
        COMPARE("cy", "repe cmpsb", "cmpsb",
                "jz") COMPARE("cz", "repne cmpsb", "cmpsb",
                              "jnz") COMPARE("da", "repe cmpsw", "cmpsw",
                                             "jz") COMPARE("db", "repe cmpsl", "cmpsl", "jz")
            COMPARE("dc", "repe cmpsq", "cmpsq", "jz") COMPARE(
                "dd", "repne cmpsq", "cmpsq",
                "jnz") "add $64, %r12\n lea corowsend(%rip), %rbx\n cmp %rbx, %r12\n jne corow\n"
                       "dec %ebp\n jnz coagain\n mov %r8, OUT\n mov %r9, OUT + 8\n jmp coend\n"
                       ".macro run count, si, di, ax, flags\n .quad \\count, \\si, \\di, \\ax, "
                       "\\flags | 2, 0, 0, 0\n .endm\n"
                       ".balign 64\n corows:\n"
                       "run 100, " DATA ", " DATA
                       " + 0x800, 0x6161616161616161, 0\n"                  /* all equal */
                       "run 100, " DATA ", " DATA " + 0x800, 0x62, 0x8d5\n" /* none */
                       "run 0, " DATA ", " DATA ", 0x61, 0x8d5\n run 0, " DATA ", " DATA
                       ", 0x61, 0\n" /* no element */
                       "run 1, " DATA ", " DATA ", 0x61, 0\n run 1, " DATA ", " DATA
                       " + 0x1000, 0x61, 0x40\n"
                       "run 64, " DATA " + 0x1000, " DATA " + 0x1000, 0x62, 0\n" /* the first */
                       "run 64, " DATA ", " DATA " + 0x1000, 0x6162, 0\n"
                       "run 0x1f, " DATA ", " DATA " + 0x1fe0, 0x62, 0\n"  /* the last */
                       "run 0x1e, " DATA ", " DATA " + 0x1fe0, 0x62, 0\n"  /* behind the last */
                       "run 0x900, " DATA ", " DATA " + 0x1f00, 0x63, 0\n" /* over pages */
                       "run 0x900, " DATA " + 0xf83, " DATA " + 0x1f01, 0x63, 0\n"
                       "run 0x180, " DATA " + 0x8fd, " DATA
                       " + 0x1003, 0x6161616161616161, 0\n" /* elements across */
                       "run 0x500, " DATA " + 0x2003, " DATA
                       " + 0x2803, 0x6161616161616161, 0x891\n"
                       "corowsend:\n .purgem run\n coend:" GUEST_END(compares);

Test(strings, compares)
{
    struct guest g = RUN_ALL(compares, 64);
    cr_expect_eq(guest_out(&g, 0), 0);
    cr_expect_eq(guest_out(&g, 1), 8 * 12 * 14);
    vm_free(g.vm);
}

/* ---- faults in the middle ----------------------------------------------------------------------
 */
/* There is no page at 400000h. After each: RCX, RSI, RDI. */
GUEST(faults, 64)
TRAPS("fa")
"cld\n mov %cr3, %rdi\n mov (%rdi), %rdi\n and $-4096, %rdi\n mov (%rdi), %r12\n"
    "and $-4096, %r12\n mov 16(%r12), %rax\n and $~1, %rax\n mov %rax, 16(%r12)\n invlpg 0x400000\n"
    "mov $0x3f0000, %edi\n mov $0x10000, %ecx\n mov $'a', %al\n rep stosb\n"
    ".macro try reg, off, op:vararg\n"
    "movq $(fa\\@ - faults + ORG), RESUME\n mov $0x200, %ecx\n mov $0x3ff000, %esi\n"
    "mov $0x3ff000, %edi\n add $\\off, %\\reg\n cmp $1, %edx\n \\op\n"
    "fa\\@: mov %rcx, (%rbx)\n mov %rsi, 8(%rbx)\n mov %rdi, 16(%rbx)\n add $24, %rbx\n"
    ".endm\n mov $12, %ebp\n"
    "faround: mov $OUT, %ebx\n mov $0x6161616161616161, %rax\n xor %edx, %edx\n"
    "try rdi, 0xf00, repe scasb\n mov $0x62, %al\n try rdi, 0xf00, repne scasb\n"
    "mov $0x61, %al\n try rdi, 0xf01, repe scasl\n"
    "try rsi, 0xf00, repe cmpsb\n try rdi, 0xf00, repe cmpsb\n"
    "try rdi, 0xfff, scasw\n try rsi, 0xffe, lodsl\n"
    "try rdi, 0xffd, stosq\n try rdi, 0xffd, movsl\n try rsi, 0x1000, movsb\n"
    "try rdi, 0xffd, cmpsl\n"
    ".purgem try\n dec %ebp\n jnz faround" GUEST_END(faults);

Test(strings, faults)
{
    struct guest g = RUN_ALL(faults, 64);
    enum { N = 11 };
    static const struct {
        u64 rcx, rsi, rdi, flags;
    } want[N] = {
        {0x100, 0x3ff000, 0x400000, 0x44}, /* scasb: ZF PF of the last one that was equal */
        {0x100, 0x3ff000, 0x400000, 0},    /* 62h - 61h */
        {0x200 - 0x3f, 0x3ff000, 0x3ffffd, 0x44},
        {0x100, 0x400000, 0x3ff100, 0x44},
        {0x100, 0x3ff100, 0x400000, 0x44},
        {0x200, 0x3ff000, 0x3fffff, 0x95}, /* of the CMP, 0 - 1 */
        {0x200, 0x3ffffe, 0x3ff000, 0x95},
        {0x200, 0x3ff000, 0x3ffffd, 0x95},
        {0x200, 0x3ff000, 0x3ffffd, 0x95},
        {0x200, 0x400000, 0x3ff000, 0x95},
        {0x200, 0x3ff000, 0x3ffffd, 0x95},
    };
    cr_assert_eq(guest_traps(&g), 12 * N);
    for (int k = 0; k < N; k++) {
        struct trap t = guest_trap(&g, (u64)(11 * N + k));
        cr_expect_eq(t.vector, 14);
        cr_expect_eq(t.cr2, 0x400000, "%d: %llx", k, (unsigned long long)t.cr2);
        cr_expect_eq(guest_out(&g, 3 * k), want[k].rcx, "%d: %llx", k,
                     (unsigned long long)guest_out(&g, 3 * k));
        cr_expect_eq(guest_out(&g, 3 * k + 1), want[k].rsi, "%d", k);
        cr_expect_eq(guest_out(&g, 3 * k + 2), want[k].rdi, "%d", k);
        cr_expect_eq(t.flags & 0x8d5, want[k].flags, "%d: %llx", k, (unsigned long long)t.flags);
    }
    vm_free(g.vm);
}

/* ---- an interrupt that waits -------------------------------------------------------------------
 */
/* With an interrupt pending, and interrupts off, repetitions pause at the ends of pages: engines
 * must agree about what that counts. */
GUEST(pending, 64)
"cld\n mov $0xfee00000, %ebx\n movl $0x1ff, 0xf0(%rbx)\n mov $300, %ebp\n"
    "peagain: cmp $150, %ebp\n jne 1f\n movl $0x40040, 0x300(%rbx)\n" /* to itself */
    "1: mov $0x300800, %esi\n mov $0x308400, %edi\n mov $0x2800, %ecx\n rep movsb\n"
    "mov $0x300800, %edi\n mov $0x2800, %ecx\n xor %eax, %eax\n repe scasb\n"
    "mov $0x300800, %esi\n mov $0x308400, %edi\n mov $0x900, %ecx\n repe cmpsl\n"
    "mov $0x300800, %edi\n mov $0x300, %ecx\n rep stosq\n"
    "dec %ebp\n jnz peagain\n mov 0x220(%rbx), %eax\n mov %rax, OUT\n" GUEST_END(pending);

Test(strings, while_an_interrupt_waits)
{
    struct guest g = RUN_ALL(pending, 64);
    cr_expect_eq(guest_out(&g, 0), 1, "vector 40h waits");
    vm_free(g.vm);
}

/* ---- without REP -------------------------------------------------------------------------------
 */
/* Every operation and size, up and down, over the end of a page, with flags alive around. */
#define ONES(r, steps)                                                                             \
    "mov $800, %ebp\n xor %ebx, %ebx\n 1: cld\n test $1, %ebp\n jz 2f\n std\n"                     \
    "2: lea 0x300fe0(, %" r "bp), %esi\n lea 0x304fd0(, %" r "bp), %edi\n"                         \
    "mov %ebp, %eax\n cmp $400, %ebp\n"                                                            \
    "movsb\n adc %eax, %ebx\n movsw\n movsl\n adc %eax, %ebx\n lodsb\n adc %eax, %ebx\n lodsw\n"   \
    "adc %eax, %ebx\n lodsl\n adc %eax, %ebx\n stosb\n stosw\n stosl\n adc %edi, %ebx\n"           \
    "scasb\n adc $0, %ebx\n scasw\n adc $0, %ebx\n sets %al\n scasl\n adc $0, %ebx\n"              \
    "cmpsb\n adc $0, %ebx\n cmpsw\n setl %al\n cmpsl\n adc %esi, %ebx\n" steps                     \
    "rol $5, %ebx\n mov %ebx, 0x304ff0(, %" r "bp)\n dec %ebp\n jnz 1b\n"                          \
    "cld\n mov %ebx, OUT\n mov %esi, OUT + 8\n mov %edi, OUT + 16"
GUEST(ones, 64)
ONES("r", "movsq\n lodsq\n adc %rax, %rbx\n stosq\n scasq\n adc $0, %ebx\n cmpsq\n adc $0, %ebx\n "
          "add $0x12345678, %rsi\n lods (%esi), %al\n adc %rsi, %rbx\n mov $0x300000, %edi\n "
          "stosl %eax, (%edi)\n adc %rdi, %rbx\n")
GUEST_END(ones);
GUEST(ones32, 32) ONES("e", "") GUEST_END(ones32);

Test(strings, ones)
{
    struct guest g = RUN_ALL(ones, 64);
    cr_expect_neq(guest_out(&g, 0), 0);
    vm_free(g.vm);
    g = RUN_ALL(ones32, 32);
    cr_expect_neq(guest_out(&g, 0), 0);
    cr_expect_eq(guest_count(&g, "insns as C calls"), 0);
    vm_free(g.vm);
}
