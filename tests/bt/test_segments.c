/*
 * tests/bt/test_segments.c - translated 16-bit code and code whose segments are not flat: what
 * wraps, what a segment's limit stops, the same bytes in other code segments.
 *
 * Real mode: ES is at OUT, DS and SS have 64 KiB of their own. Handlers log as TRAPS does; in the
 * place of the error code (there is none) stands SP.
 */
#include "tests/bt/guest.h"

/* ---- real mode ------------------------------------------------------------------------------- */
/* ES:1000h is where handlers return to, ES:2000h the log. `p` is the program's name, `u` makes
 * labels its own. */
#define REAL(p, u)                                                                                 \
    "xor %ax, %ax\n mov %ax, %ds\n movw $(" u "12 - " p "), 48\n mov %cs, 50\n"                    \
    "movw $(" u "13 - " p "), 52\n mov %cs, 54\n mov $0x4000, %ax\n mov %ax, %ds\n"                \
    "mov $0x3000, %ax\n mov %ax, %ss\n mov $0xfff0, %sp\n mov $0x1000, %ax\n mov %ax, %es\n"       \
    "jmp " u "ready\n" u "12: push $12\n jmp " u "log\n" u "13: push $13\n" u                      \
    "log: push %ax\n push %bx\n push %ds\n push %bp\n mov %sp, %bp\n mov $0x1000, %ax\n"           \
    "mov %ax, %ds\n mov 0x2000, %bx\n incw 0x2000\n imul $40, %bx, %bx\n mov 8(%bp), %ax\n"        \
    "mov %ax, 0x2008(%bx)\n lea 16(%bp), %ax\n mov %ax, 0x2010(%bx)\n mov 10(%bp), %ax\n"          \
    "mov %ax, 0x2018(%bx)\n mov 14(%bp), %ax\n mov %ax, 0x2020(%bx)\n mov 0x1000, %ax\n"           \
    "mov %ax, 10(%bp)\n pop %bp\n pop %ds\n pop %bx\n pop %ax\n add $2, %sp\n iret\n" u "ready:\n"

/* Of every kind of instruction and operand, many times. */
GUEST(real_kinds, 16)
REAL("real_kinds", "rk")
"mov $2000, %bp\n xor %eax, %eax\n xor %edx, %edx\n mov $0x1234, %bx\n mov $0x87654321, %edi\n"
    "rkagain: mov %bp, %si\n add %si, %bx\n adc %bx, %dx\n mov %dx, 0x10(%si)\n"
    "xor 0x10(%si), %ax\n mov %ah, %al\n rol $3, %eax\n imul %bx, %dx\n movzbw %al, %cx\n"
    "movswl %bx, %ecx\n cbtw\n cwtl\n cwtd\n inc %si\n dec %edi\n neg %bx\n shld $5, %dx, %bx\n"
    "bt $3, %bx\n sbb %eax, %edx\n setc %cl\n cmovc %edx, %ecx\n lea 2(%bx, %si), %si\n"
    "lea 2(%bx, %si), %esi\n lea 0x8000(%edi, %esi, 4), %si\n mov %eax, %es:0x300\n"
    "mov %es:0x300, %ax\n xchg %ax, %dx\n push %ax\n push %edx\n pushw $77\n pushl $0x12345\n"
    "pushw %es:0x300\n call rkf\n pop %cx\n pop %ecx\n pop %si\n pop %esi\n pop %di\n"
    "calll rkg\n mov $(rkf - real_kinds), %cx\n call *%cx\n movw $(rkf - real_kinds), %es:0x310\n"
    "call *%es:0x310\n cli\n cld\n stc\n cmc\n lahf\n popcnt %bx, %cx\n bswap %ecx\n"
    "enter $8, $0\n mov %cx, -2(%bp)\n leave\n btw $3, %es:0x300\n notw %es:0x304\n"
    "mov $7, %cl\n shr %cl, %dx\n mul %bl\n or $1, %cl\n xor %dx, %dx\n divw %es:0x308\n"
    "dec %bp\n jnz rkagain\n mov %eax, %es:0\n mov %edx, %es:8\n mov %ebx, %es:16\n"
    "mov %esi, %es:24\n mov %edi, %es:32\n mov %esp, %es:40\n jmp rkdone\n"
    "rkf: add %bx, %dx\n ret $0\n rkg: xor %bx, %dx\n retl\n"
    "rkdone: nop\n" GUEST_END(real_kinds);

/* The program, with a divisor where it wants one. */
static struct guest real_guest(const u8 *image, const u8 *end, const char *engine)
{
    struct guest g = guest_new(image, end, 16, engine);
    static const u16 divisor = 0x7001;
    vm_write_phys(g.vm, OUT + 0x308, &divisor, sizeof(divisor));
    guest_run(&g);
    return g;
}

Test(segments, real_kinds)
{
    static const char *const others[] = {"interp", "bt", "bt-helpers", "bt-stress"};
    struct guest g = real_guest(real_kinds, real_kinds_end, "bt-hot");
    cr_expect_neq(guest_out(&g, 0), 0);
    cr_expect_gt(guest_count(&g, "insns copied"), 40);
    cr_expect_gt(guest_count(&g, "insns emitted"), 20);
    for (size_t k = 0; k < ARRAY_LEN(others); k++) {
        struct guest o = real_guest(real_kinds, real_kinds_end, others[k]);
        guest_same(&o, &g);
        vm_free(o.vm);
    }
    vm_free(g.vm);
}

/* Loads of segment registers, but SS, are no events; a far pointer over the segment's end faults.
 */
GUEST(real_loads, 16)
REAL("real_loads", "ro")
"mov $2000, %ebp\n xor %ebx, %ebx\n movw $0x4010, 0x20\n movl $0x40201234, 0x24\n"
    "movl $0x10000001, 0x28\n movw $(ro1 - real_loads), %es:0x1000\n mov $100, %cx\n"
    "roagain: mov $0x4001, %ax\n mov %ax, %ds\n mov %bp, 0x100\n add 0x100, %bx\n"
    "push %ds\n mov $0x4000, %dx\n mov %dx, %ds\n mov 0x20, %fs\n mov %bx, %fs:0x40\n"
    "pop %gs\n add %gs:0x100, %bx\n les 0x24, %si\n add %si, %bx\n mov %bx, %es:0x50\n"
    "lfs 0x24, %di\n add %fs:0x50, %di\n lgs 0x28, %si\n add %di, %bx\n mov %fs, %ax\n"
    "add %ax, %bx\n mov %gs, %eax\n add %eax, %ebx\n mov %es, 0x60\n add 0x60, %bx\n"
    "pushl $0x77770000\n popl %fs\n push %fs\n popw 0x70\n pushl 0x70\n popl 0x70(%bp)\n"
    "mov $0x1000, %ax\n mov %ax, %es\n add %sp, %bx\n pushf\n stc\n popf\n adc $0, %bx\n"
    "lds 0x24, %si\n mov 0x50, %dx\n mov $0x4000, %ax\n mov %ax, %ds\n add %dx, %bx\n"
    "dec %ebp\n jnz roagain\n mov %ebx, %es:0\n"
    "romore: mov $0xfffd, %si\n lds (%si), %di\n hlt\n ro1: inc %bx\n dec %cx\n jnz romore\n"
    "mov %bx, %es:8\n" GUEST_END(real_loads);

Test(segments, real_loads)
{
    struct guest g = RUN_ALL(real_loads, 16);
    cr_expect_eq(guest_traps(&g), 100);
    cr_expect_eq(guest_trap(&g, 99).vector, 13);
    cr_expect_lt(guest_count(&g, "exits event"), 400, "%llu",
                 (unsigned long long)guest_count(&g, "exits event"));
    cr_expect_lt(guest_count(&g, "exits C call"), 100);
    vm_free(g.vm);
}

/* Data and the stack on a page with code, beside it and, at times, over it. */
GUEST(real_beside, 16)
REAL("real_beside", "rd")
"mov %cs, %ax\n mov %ax, %ds\n mov %ax, %ss\n mov $(rdstack - real_beside), %sp\n"
    "mov $20000, %ebp\n xor %ebx, %ebx\n"
    "rdagain: add %bp, rddata - real_beside\n mov %bx, rddata - real_beside + 2\n"
    "push %ebp\n call rdvar\n pop %edx\n add %eax, %ebx\n add %dx, %bx\n"
    "test $0x3ff, %bp\n jnz rdnext\n"
    "mov rdvar - real_beside - 2, %eax\n add $0x3000001, %eax\n"
    "mov %eax, rdvar - real_beside - 2\n" /* a line of data, and the constant behind it */
    "rdnext: dec %ebp\n jnz rdagain\n mov %ebx, %es:0\n mov rddata - real_beside, %eax\n"
    "mov %eax, %es:8\n jmp rddone\n"
    ".balign 64\n rddata: .fill 64\n"
    "rdvar: mov $0x11, %al\n ret\n"
    ".balign 64\n .fill 128\n rdstack: .fill 64\n"
    "rddone: nop\n" GUEST_END(real_beside);

Test(segments, real_beside)
{
    struct guest g = RUN_ALL(real_beside, 16);
    cr_expect_lt(guest_count(&g, "exits slow memory"), 1000, "%llu",
                 (unsigned long long)guest_count(&g, "exits slow memory"));
    vm_free(g.vm);
}

/* The same in flat code; a repetition that begins beside the code and ends in it. */
GUEST(beside, 64)
"mov $4000, %ebp\n xor %ebx, %ebx\n lea bestack(%rip), %rsp\n"
    "beagain: add %ebp, bedata(%rip)\n push %rbp\n push %rbx\n pop %rcx\n pop %rdx\n"
    "add %rdx, %rbx\n call beline\n test $63, %ebp\n jnz benext\n"
    "lea bedata(%rip), %rdi\n mov $84, %ecx\n mov $0x90, %al\n rep stosb\n call beline\n"
    "lea betext(%rip), %rsi\n lea beline(%rip), %rdi\n mov $20, %ecx\n rep movsb\n"
    "benext: dec %ebp\n jnz beagain\n mov %rbx, OUT\n mov bedata(%rip), %rax\n"
    "mov %rax, OUT + 8\n mov $0x180000, %esp\n jmp bedone\n"
    ".balign 64\n bedata: .fill 64\n"
    "beline: .fill 20, 2, 0xc3ff\n ret\n" /* inc %ebx */
    "betext: .fill 20, 2, 0xc3ff\n ret\n"
    ".balign 64\n .fill 128\n bestack: .fill 64\n"
    "bedone: nop\n" GUEST_END(beside);

Test(segments, flat_beside)
{
    struct guest g = RUN_ALL(beside, 64);
    cr_expect_lt(guest_count(&g, "exits slow memory"), 1500, "%llu",
                 (unsigned long long)guest_count(&g, "exits slow memory"));
    vm_free(g.vm);
}

/* LOOP and JCXZ keep the flags; `up` stands in the bits that they do not count. High bytes beside
 * memory. Wants EBX 0 and EDI a number of rounds. */
#define COUNTS(u, up, zero, wide, mem)                                                             \
    u "again: mov $" up " + 5, %ecx\n 1: add %edi, %ebx\n loop 1b\n adc %ecx, %ebx\n"              \
      "mov $" up " + 9, %ecx\n 1: inc %edx\n test $7, %dl\n loopne 1b\n sbb %ecx, %ebx\n"          \
      "mov $" up " + 9, %ecx\n 1: dec %edx\n test $4, %dl\n loope 1b\n adc %ecx, %ebx\n"           \
      "mov $" up " + 1, %ecx\n stc\n loop 2f\n adc %ecx, %ebx\n 2: jz 1f\n rol $1, %ebx\n"         \
      "1: stc\n " zero " 2f\n hlt\n 2: adc $3, %ebx\n mov $7, %ecx\n cmp %edx, %ecx\n"             \
      "1: " wide " 1b\n sbb %ecx, %ebx\n mov $1, %ecx\n " zero " 2f\n inc %ebx\n"                  \
      "2: mov %bh, " mem "\n add " mem ", %dh\n xor %dh, " mem "\n cmp %ch, " mem "\n"             \
      "adc " mem ", %ah\n setc %ch\n sub %ch, " mem "\n xchg %bh, " mem "\n add %ah, %bl\n"        \
      "dec %edi\n jnz " u "again\n"

GUEST(real_counts, 16)
REAL("real_counts", "rc")
"mov $2000, %edi\n xor %ebx, %ebx\n xor %edx, %edx\n xor %eax, %eax\n" COUNTS(
    "rc", "0x12340000", "jcxz", ".byte 0x67\n loop",
    "%es:0x200") "mov %ebx, %es:0\n mov %edx, %es:8\n mov %eax, %es:16\n" GUEST_END(real_counts);

GUEST(counts, 64)
"mov $2000, %edi\n xor %ebx, %ebx\n xor %edx, %edx\n xor %eax, %eax\n" COUNTS(
    "co", "0", "jrcxz", ".byte 0x67\n loop",
    "OUT + 512") "mov %ebx, OUT\n mov %edx, OUT + 8\n mov %eax, OUT + 16\n" GUEST_END(counts);

Test(segments, counts)
{
    struct guest g = RUN_ALL(real_counts, 16), f = RUN_ALL(counts, 64);
    cr_expect_neq(guest_out(&g, 0), 0);
    cr_expect_lt(guest_count(&g, "exits event"), 100);
    cr_expect_lt(guest_count(&g, "exits C call"), 100);
    cr_expect_lt(guest_count(&f, "exits event"), 100);
    cr_expect_lt(guest_count(&f, "exits C call"), 100);
    vm_free(g.vm);
    vm_free(f.vm);
}

/* Nothing in this loop needs the interpreter or a C function. */
GUEST(real_loop, 16)
REAL("real_loop", "rl")
"mov $20000, %ebp\n xor %bx, %bx\n"
    "rlagain: mov %bp, %si\n and $0xffc, %si\n add (%si), %bx\n mov %bx, 2(%si)\n"
    "add %bx, %es:0x100\n mov %ebx, %es:(%si)\n push %bx\n call rlf\n pop %dx\n"
    "cmpw $5, %es:0x100\n jb rlless\n inc %dx\n"
    "rlless: dec %ebp\n jnz rlagain\n mov %bx, %es:0\n mov %dx, %es:8\n jmp rldone\n"
    "rlf: rol $1, %bx\n ret\n"
    "rldone: nop\n" GUEST_END(real_loop);

Test(segments, real_loop)
{
    static const char *const exits[] = {"exits C call",     "exits slow memory", "exits event",
                                        "exits edge cold",  "exits edge lookup", "exits indirect",
                                        "exits edge linked"};
    struct guest g = RUN_ALL(real_loop, 16);
    for (size_t k = 0; k < ARRAY_LEN(exits); k++)
        cr_expect_lt(guest_count(&g, exits[k]), 400, "%s: %llu", exits[k],
                     (unsigned long long)guest_count(&g, exits[k]));
    vm_free(g.vm);
}

/* Offsets and the stack pointer wrap at 64 KiB, a word at its end faults; flags are exact there. */
GUEST(real_wraps, 16)
REAL("real_wraps", "rw")
".macro faults op:vararg\n movw $(rw\\@ - real_wraps), %es:0x1000\n \\op\n rw\\@: nop\n.endm\n"
    "mov $100, %ebp\n xor %ecx, %ecx\n"
    "rwagain: mov $0xffff, %si\n mov $0x7fff, %ax\n add $1, %ax\n faults mov %ax, (%si)\n"
    "mov $0xfffe, %si\n mov %bp, (%si)\n add (%si), %cx\n mov %bp, 2(%si)\n add 0, %cx\n"
    "mov $0xfff0, %bx\n mov $0x1f, %di\n movb $9, 0x10\n mov 1(%bx, %di), %al\n add %al, %cl\n"
    "lea 0x20(%bx, %di), %dx\n add %dx, %cx\n lea 0x20(%bx), %edx\n add %edx, %ecx\n"
    "mov $0xfffd, %si\n cmp $1, %cx\n faults addl $3, (%si)\n"
    "mov $0x10000, %esi\n faults mov (%esi), %al\n mov $0xffff, %esi\n add (%esi), %cl\n"
    "mov $0xabcd0000, %esp\n push %bp\n pushw (0xfffe)\n pop %ax\n pop %dx\n add %ax, %cx\n"
    "add %dx, %cx\n rol $1, %ecx\n add %esp, %ecx\n"
    "mov $2, %sp\n cmp %cx, %bp\n faults push %ebp\n"
    "mov $0xffff, %sp\n xor %ax, %ax\n faults pop %ax\n"
    "mov $0xfffe, %sp\n faults pop %eax\n"
    "mov $0, %sp\n call rwf\n mov $(rwf - real_wraps), %ax\n call *%ax\n mov $2, %bp\n"
    "movw $0xbeef, %ss:0\n movw $(rwto - real_wraps), %ss:2\n mov $0xfffe, %sp\n movw $5, "
    "%ss:0xfffe\n"
    "pop %ax\n add %ax, %cx\n pop %ax\n add %ax, %cx\n ret $0xfffc\n"
    "rwto: add %sp, %cx\n mov $0, %bp\n mov %sp, %di\n movw $3, %ss:(0)\n leave\n add %bp, %cx\n"
    "add %sp, %cx\n mov %es:0x400, %bp\n"
    "movzx %bp, %ebp\n incw %es:0x400\n cmpw $100, %es:0x400\n jne rwagain\n mov %ecx, %es:0\n"
    "jmp rwdone\n"
    "rwf: add %sp, %cx\n ret\n"
    "rwdone: nop\n.purgem faults\n" GUEST_END(real_wraps);

Test(segments, real_wraps)
{
    static const u64 vector[] = {13, 13, 13, 12, 12, 12}, sp[] = {0, 0, 0, 2, 0xffff, 0xfffe};
    struct guest g = RUN_ALL(real_wraps, 16);
    cr_assert_eq(guest_traps(&g), 600);
    for (u64 k = 0; k < 600; k++) {
        struct trap t = guest_trap(&g, k);
        cr_expect_eq(t.vector, vector[k % 6], "%llu", (unsigned long long)k);
        if (k % 6 > 2)
            cr_expect_eq(t.error, sp[k % 6], "%llu", (unsigned long long)k);
        cr_expect_eq(t.rip, guest_trap(&g, k % 6).rip);
    }
    cr_expect_eq(guest_trap(&g, 0).flags & 0x8d5, 0x894, "7FFFh + 1: OF SF AF PF");
    cr_expect_eq(guest_trap(&g, 4).flags & 0x8d5, 0x44, "0: ZF PF");
    vm_free(g.vm);
}

/* The end of the code segment: branches that wrap, and that do not get over it. */
GUEST(real_end, 16)
REAL("real_end", "re")
".macro goto to\n .byte 0xe9\n .word \\to - . - 2\n.endm\n" /* too far for some assemblers */
    "mov $100, %bp\n xor %cx, %cx\n"
    "reagain: movw $(re1 - real_end), %es:0x1000\n mov $3, %dx\n goto re_jump\n"
    "re1: movw $(re2 - real_end), %es:0x1000\n goto re_wide\n"
    "re2: movw $(re3 - real_end), %es:0x1000\n xor %ax, %ax\n cmp $1, %ax\n goto re_cond\n"
    "re3: movw $(re4 - real_end), %es:0x1000\n mov $0x12340, %eax\n jmp *%eax\n"
    "re4: mov $0xfff0, %sp\n mov $0x10000, %eax\n push %eax\n"
    "movw $(re5 - real_end), %es:0x1000\n cmp $2, %dx\n retl\n"
    "re5: mov $0xfff0, %sp\n movw $(re6 - real_end), %es:0x1000\n goto re_fall\n"
    "re6: movw $(re7 - real_end), %es:0x1000\n goto re_loop\n"
    "re7: dec %bp\n jnz reagain\n mov %cx, %es:0\n mov %dx, %es:8\n jmp redone\n"
    "reland: add $5, %cx\n jmp re1\n"
    "redone: hlt\n"
    ".org real_end + 0xff80\n"
    "re_jump: inc %cx\n.byte 0xe9\n.word reland - re_jump - 4\n" /* in 16 bits: wraps */
    "re_wide: inc %cx\n.byte 0x66, 0xe9\n.long 0x100\n"
    "re_cond: inc %cx\n.byte 0x66, 0x0f, 0x82\n.long 0x100\n inc %dx\n hlt\n"
    "re_loop: inc %cx\n.byte 0x66, 0xe2, 0x7f\n hlt\n"
    ".org real_end + 0xfffc\n"
    "re_fall: inc %cx\n inc %dx\n inc %cx\n inc %dx\n"
    "real_end_image_end:\n.purgem goto\n" GUEST_END(real_end);
extern const u8 real_end_image_end[];

Test(segments, real_end)
{
    static const char *const others[] = {"interp", "bt", "bt-helpers", "bt-stress"};
    struct guest g = guest_new(real_end, real_end_image_end, 16, "bt-hot");
    guest_run(&g);
    cr_assert_eq(guest_traps(&g), 600);
    for (u64 k = 0; k < 600; k++)
        cr_expect_eq(guest_trap(&g, k).vector, 13);
    cr_expect_eq(guest_trap(&g, 0).rip, 0xff85, "the jump, not where it leads");
    cr_expect_eq(guest_trap(&g, 1).rip, 0xff8c);
    cr_expect_eq(guest_trap(&g, 4).rip, 0, "10000h, in 16 bits");
    cr_expect_eq(guest_out(&g, 0), 100 * (6 + 5));
    for (size_t k = 0; k < ARRAY_LEN(others); k++) {
        struct guest o = guest_new(real_end, real_end_image_end, 16, others[k]);
        guest_run(&o);
        guest_same(&o, &g);
        vm_free(o.vm);
    }
    vm_free(g.vm);
}

/* The same bytes in code segments of other bases: RIP differs, and so does what is pushed. */
GUEST(real_bases, 16)
REAL("real_bases", "rb")
"mov $3000, %bp\n xor %bx, %bx\n xor %ax, %ax\n"
    "rbagain: lcall $0x2000, $(rbr - real_bases)\n lcall $0x2001, $(rbr - real_bases - 0x10)\n"
    "test $64, %bp\n jz rbagain2\n lcall $0x1ff0, $(rbr - real_bases + 0x100)\n"
    "rbagain2: dec %bp\n jnz rbagain\n mov %ebx, %es:0\n mov %ax, %es:8\n jmp rbdone\n"
    "rbr: mov $3, %cx\n"
    "rb1: add %cx, %ax\n jnc rb2\n inc %ax\n"
    "rb2: call rb3\n rb3: pop %si\n add %esi, %ebx\n mov %cs, %dx\n add %edx, %ebx\n"
    "lea (rb4 - rb3)(%si), %di\n call *%di\n dec %cx\n jnz rb1\n lret\n"
    "rb4: rol $1, %ebx\n ret\n"
    "rbdone: nop\n" GUEST_END(real_bases);

Test(segments, real_bases)
{
    struct guest g = RUN_ALL(real_bases, 16);
    cr_expect_gt(guest_count(&g, "blocks translated"), 2 * 7, "a translation for each base");
    vm_free(g.vm);
}

/* Other code at the same offset of other segments: where jumps led is remembered for each. */
GUEST(real_rips, 16)
REAL("real_rips", "ri")
"mov $300, %bp\n xor %bx, %bx\n mov $1, %ax\n"
    "riagain: lcall $0x2000, $(rir - real_rips)\n lcall $0x2004, $(rir - real_rips)\n"
    "lcall $0x2008, $(rir - real_rips)\n"
    "dec %bp\n jnz riagain\n mov %bx, %es:0\n mov %ax, %es:8\n jmp ridone\n"
    ".balign 64\n"
    "rir: .set rin, 0\n .rept 3\n call 1f\n mov $(rir - real_rips + 32), %si\n call *%si\n lret\n"
    "1: add %ax, %bx\n ret\n .balign 32\n"
    "rol $1, %ax\n add $rin, %bx\n ret\n .set rin, rin + 100\n .balign 64\n .endr\n"
    "ridone: nop\n" GUEST_END(real_rips);

Test(segments, real_rips)
{
    struct guest g = RUN_ALL(real_rips, 16);
    u16 ax = 1, bx = 0;
    for (int k = 0; k < 900; k++) {
        bx = (u16)(bx + ax + 100 * (k % 3));
        ax = (u16)(ax << 1 | ax >> 15);
    }
    cr_expect_eq(guest_out(&g, 0), bx);
    cr_expect_eq(guest_out(&g, 1), ax);
    vm_free(g.vm);
}

/* ---- protected mode -------------------------------------------------------------------------- */
/* Selectors: 8 and 10h flat, 18h and 20h code at ORG to its end and to `cut`, 28h data of F80h
 * bytes at OUT + 5000h, 30h expand-down above 7FFFh, 38h 16-bit code at ORG, 40h a 16-bit stack,
 * 48h code from ORG - 10000h on.
 * The handler logs, goes back to flat segments and on at RESUME. */
#define PROTECTED(p, cut)                                                                          \
    "jmp 2f\n.balign 8\n"                                                                          \
    "1: .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00409b200000ffff\n"                     \
    ".word " cut " - " p " - 1, 0\n.byte 0x20, 0x9b, 0x40, 0\n"                                    \
    ".quad 0x0040930150000f7f, 0x00c0970000000007, 0x00009b200000ffff, 0x000093040000ffff, "       \
    "0x004f9b1f0000ffff\n"                                                                         \
    "2: movw $79, 0x9000\n movl $(1b - " p " + ORG), 0x9002\n lgdt 0x9000\n"                       \
    "mov $0x10, %eax\n mov %eax, %ds\n mov %eax, %es\n mov %eax, %ss\n mov $0x180000, %esp\n"      \
    "mov $(4f - " p " + ORG), %eax\n mov %ax, 0x8068\n mov %ax, 0x8060\n shr $16, %eax\n"          \
    "mov %ax, 0x806e\n mov %ax, 0x8066\n movl $0x8e000000, %eax\n movw $8, 0x806a\n"               \
    "movw $8, 0x8062\n movw $0x8e00, 0x806c\n movw $0x8e00, 0x8064\n movw $0x1ff, 0x9000\n"        \
    "movl $0x8000, 0x9002\n lidt 0x9000\n ljmp $8, $(3f - " p " + ORG)\n"                          \
    "4: cld\n mov $0x10, %ax\n mov %ax, %ds\n pop %eax\n mov LOG, %ebx\n incl LOG\n"               \
    "imul $40, %ebx\n movl $13, LOG+8(%ebx)\n mov %eax, LOG+16(%ebx)\n pop %eax\n"                 \
    "mov %eax, LOG+24(%ebx)\n pop %eax\n pop %eax\n mov %eax, LOG+32(%ebx)\n mov $0x10, %ax\n"     \
    "mov %ax, %es\n mov %ax, %fs\n mov %ax, %ss\n mov $0x180000, %esp\n jmp *RESUME\n3:\n"

/* A code segment with the same base and a smaller limit: blocks behind it are not run, whatever
 * was linked. */
GUEST(limits, 32)
PROTECTED("limits", "licut")
"mov $200, %ebp\n xor %esi, %esi\n"
    "liagain: mov %ebp, %ecx\n lcall $0x18, $(lir - limits)\n mov %ebp, %ecx\n"
    "lcall $0x18, $(lir - limits)\n"
    "movl $(li1 - limits + ORG), RESUME\n mov %ebp, %ecx\n lcall $0x20, $(lir - "
    "limits)\n hlt\n"
    "li1: movl $(li2 - limits + ORG), RESUME\n mov $3, %ecx\n lcall $0x20, $(lis - "
    "limits)\n hlt\n"
    "li2: mov %ebp, %ecx\n lcall $0x18, $(lis - limits)\n movl $(li3 - limits + ORG), "
    "RESUME\n lcall $0x20, $(lit - limits)\n hlt\n"
    "li3: dec %ebp\n jnz liagain\n mov %esi, OUT\n jmp lidone\n"
    ".balign 64\n"
    "lir: add %ecx, %esi\n test $1, %ecx\n jmp lifar\n"
    "lis: add %ecx, %esi\n mov $(lifar - limits), %edx\n jmp *%edx\n"
    "lit: inc %esi\n inc %esi\n mov %esi, %eax\n"
    "licut: inc %esi\n inc %esi\n"
    "lifar: rol $1, %esi\n lret\n"
    "lidone: nop\n" GUEST_END(limits);

Test(segments, limits_of_code)
{
    struct guest g = RUN_ALL(limits, 32);
    cr_assert_eq(guest_traps(&g), 600);
    for (u64 k = 0; k < 600; k++)
        cr_expect_eq(guest_trap(&g, k).rip, guest_trap(&g, k % 3).rip);
    cr_expect_neq(guest_trap(&g, 0).rip, guest_trap(&g, 1).rip);
    vm_free(g.vm);
}

/* Data segments of other kinds, a 16-bit stack under 32-bit code, 16-bit code. */
GUEST(kinds, 32)
PROTECTED("kinds", "kicut")
".macro stops op:vararg\n movl $(ki\\@ - kinds + ORG), RESUME\n \\op\n hlt\n ki\\@: mov $0x28, "
    "%eax\n"
    "mov %eax, %es\n mov $0x30, %eax\n mov %eax, %fs\n.endm\n"
    "movw $0xcb46, kit16 - kinds + 0x1f0000\n" /* inc %esi; lret */
    "mov $200, %ebp\n xor %esi, %esi\n mov $0x28, %eax\n mov %eax, %es\n mov $0x30, %eax\n"
    "mov %eax, %fs\n"
    "kiagain: push $3\n push $4\n popl (%esp)\n pop %eax\n add %eax, %esi\n mov %ebp, %es:0xf7c\n "
    "add %es:0xf7c, %esi\n add %es:0xf7f, %al\n"
    "stops mov %es:0xf7d, %edx\n stops incw %es:0xf7f\n stops movb $1, %es:0xf80\n"
    "mov $-1, %ebx\n stops mov %es:(%ebx), %dx\n"
    "mov %ebp, %fs:0x8000\n add %fs:0x8000, %esi\n stops mov %fs:0x7fff, %edx\n"
    "xor %eax, %eax\n mov %eax, %fs\n stops mov %fs:0x8000, %edx\n"
    "stops movb $1, %cs:0\n add %cs:kiagain - kinds, %esi\n"
    "mov $0x40, %eax\n mov %eax, %ss\n mov $0xabcd0000, %esp\n push %ebp\n pushw $7\n push $9\n"
    "call kif\n pop %eax\n add %eax, %esi\n popw %ax\n add %eax, %esi\n pop %eax\n"
    "add %esp, %esi\n rol $1, %esi\n mov %ebp, %ecx\n mov $0xffff0000, %ebp\n movl $5, %ss:(0)\n"
    "leave\n add %esp, %esi\n add %ebp, %esi\n mov %ecx, %ebp\n mov $0x10, %eax\n mov %eax, %ss\n"
    "mov $0x180000, %esp\n lcall $0x38, $(kiw - kinds)\n"
    "stops lcall $0x38, $(kiv - kinds)\n lcall $0x48, $(kit - kinds + 0x10000)\n"
    "dec %ebp\n jnz kiagain\n mov %esi, OUT\n jmp kidone\n"
    "kif: add %esp, %esi\n ret\n"
    "kit: .byte 0x66, 0xeb, 0\n kit16: hlt\n" /* on to the instruction whose RIP has 16 bits */
    ".code16\n"
    "kiw: push %bp\n push %ebp\n add %ebp, %esi\n call kiwf\n mov 2(%esp), %ax\n"
    "add %ax, %si\n pop %ebp\n pop %bp\n lretl\n"
    "kiwf: inc %si\n mov %sp, %bx\n ret\n"
    "kiv: incw %es:0xf7e\n mov %es:0xf7d, %ecx\n hlt\n"
    ".code32\n"
    "kicut: nop\n kidone: nop\n.purgem stops\n" GUEST_END(kinds);

Test(segments, kinds_of_data)
{
    struct guest g = RUN_ALL(kinds, 32);
    cr_expect_eq(guest_traps(&g), 8 * 200);
    cr_expect_gt(guest_count(&g, "insns copied"), 20);
    vm_free(g.vm);
}
