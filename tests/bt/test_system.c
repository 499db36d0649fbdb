/*
 * tests/bt/test_system.c - system instructions that have host code of their own: segment loads,
 * VERW, STAC, CLAC, SYSENTER, SYSEXIT. What they remember must not outlive a change in memory, and
 * every fault is the C function's.
 */
#include "tests/bt/guest.h"

/* ---- 32-bit guests ----------------------------------------------------------------------------
 */
/* Copies the GDT at label `u`gdt (0x100 bytes) to 1c000h, loads it and all segments; an IDT as
 * TRAPS has it. TSS at 1b000h, stack for ring 0 at 28000h. `prog`: the program's label. */
#define BEGIN32(prog, u)                                                                           \
    ".set GDT, 0x1c000\n cld\n mov $0x28000, %esp\n mov $(" u "gdt - " prog                        \
    " + ORG), %esi\n mov $GDT, %edi\n mov $64, %ecx\n rep movsl\n"                                 \
    "movw $0xff, 0x9100\n movl $GDT, 0x9102\n lgdt 0x9100\n"                                       \
    "ljmp $8, $(" u "flat - " prog " + ORG)\n" u                                                   \
    "flat: mov $0x10, %eax\n mov %eax, %ds\n mov %eax, %es\n mov %eax, %ss\n"                      \
    "movl $0x28000, 0x1b004\n movl $0x10, 0x1b008\n mov $0x28, %eax\n ltr %ax\n"                   \
    "mov $0x8000, %edi\n mov $(" u "stubs - " prog " + ORG), %ebx\n mov $32, %ecx\n" u             \
    "gate: mov %bx, (%edi)\n movw $8, 2(%edi)\n movw $0x8e00, 4(%edi)\n mov %ebx, %eax\n"          \
    "shr $16, %eax\n mov %ax, 6(%edi)\n add $8, %edi\n add $16, %ebx\n dec %ecx\n jnz " u "gate\n" \
    "movw $255, 0x9000\n movl $0x8000, 0x9002\n lidt 0x9000\n jmp " u "ready\n"                    \
    ".balign 16\n" u "stubs:\n"                                                                    \
    ".set vector, 0\n .rept 32\n .balign 16\n"                                                     \
    ".if (vector != 8) && ((vector < 10) || (vector > 14)) && (vector != 17)\n push $0\n .endif\n" \
    "push $vector\n jmp " u "trap\n .set vector, vector + 1\n .endr\n" u                           \
    "trap: push %eax\n push %ebx\n mov LOG, %ebx\n incl LOG\n imul $40, %ebx\n"                    \
    "mov 8(%esp), %eax\n mov %eax, LOG+8(%ebx)\n mov 12(%esp), %eax\n mov %eax, LOG+16(%ebx)\n"    \
    "mov 16(%esp), %eax\n mov %eax, LOG+24(%ebx)\n mov 24(%esp), %eax\n mov %eax, LOG+32(%ebx)\n"  \
    "mov %cr2, %eax\n mov %eax, LOG+40(%ebx)\n mov RESUME, %eax\n mov %eax, 16(%esp)\n"            \
    "pop %ebx\n pop %eax\n add $8, %esp\n iret\n"                                                  \
    ".macro try op:vararg\n movl $(try\\@ - " prog " + ORG), RESUME\n \\op\n try\\@:\n.endm\n"     \
    ".balign 8\n" u "gdt: .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00cffb000000ffff\n"   \
    ".quad 0x00cff3000000ffff, 0x00008901b0000067, 0x00cf93030000ffff, 0\n"                        \
    ".quad 0x00cf93030000ffff, 0x00cf93000000ffff, 0x00cff3000000ffff\n"                           \
    ".quad 0x00cef3000000ffff, 0x00cf93000000ffff\n .fill 19, 8, 0\n" u "ready:\n"

enum { GP = 13, NP = 11, PF = 14, AC = 17 };

static u64 count_traps(const struct guest *g, u64 vector, u64 error)
{
    u64 n = 0;
    for (u64 k = 0; k < guest_traps(g); k++) {
        struct trap t = guest_trap(g, k);
        n += t.vector == vector && t.error == error;
    }
    return n;
}

/* ---- segment loads ----------------------------------------------------------------------------
 */
/* 220 rounds of the same loads; before some of them the descriptors change in memory. `at n`: what
 * follows happens before the round in which EBP is n. FS and GS are 30h, base 30000h first. */
GUEST(segs, 32)
BEGIN32("segs", "sg")
".macro at n\n cmp $\\n, %ebp\n jne at\\n\n.endm\n"
    "movl $1, 0x30004\n movl $100, 0x31004\n movl $10000, 0x32004\n"
    "movl $3, 0x30008\n movl $300, 0x31008\n movl $30000, 0x32008\n"
    "movw $0x30, 0x9200\n movw $0x48, 0x9202\n"
    "xor %esi, %esi\n xor %edi, %edi\n mov $220, %ebp\n"
    "sgagain:\n"
    "at 180\n movw $0x1000, GDT + 0x32\n at180:\n"                       /* the base */
    "at 150\n andb $0x7f, GDT + 0x35\n at150:\n"                         /* not present */
    "at 140\n orb $0x80, GDT + 0x35\n andb $0xfe, GDT + 0x35\n at140:\n" /* not accessed */
    "at 130\n movw $0x2f, 0x9100\n lgdt 0x9100\n at130:\n"               /* beyond the limit */
    "at 120\n movw $0xff, 0x9100\n lgdt 0x9100\n at120:\n"
    "at 110\n movb $0x99, GDT + 0x35\n at110:\n" /* code that cannot be read */
    "at 100\n movb $0x93, GDT + 0x35\n at100:\n"
    "at 90\n mov %esi, 0x9300\n mov %edi, 0x9304\n mov $GDT, %esi\n mov $0x1d000, %edi\n"
    "mov $64, %ecx\n rep movsl\n mov 0x9300, %esi\n mov 0x9304, %edi\n"
    "movw $0x2000, 0x1d032\n movl $0x1d000, 0x9102\n lgdt 0x9100\n at90:\n" /* another table */
    "at 80\n movb $0xce, 0x1d056\n at80:\n" /* DS and ES: limit below 4 GiB */
    "at 70\n movb $0xcf, 0x1d056\n at70:\n"
    "at 60\n movb $0x91, 0x1d04d\n at60:\n" /* VERW: read-only */
    "at 50\n movb $0x93, 0x1d04d\n at50:\n"
    "at 40\n movw $0x33, 0x9200\n at40:\n" /* RPL above DPL */
    "at 30\n movw $0x30, 0x9200\n at30:\n"
    "at 20\n movw $0x38, 0x9200\n at20:\n" /* no descriptor */
    "at 10\n movw $0x30, 0x9200\n at10:\n"
    "mov $0x53, %eax\n try mov %eax, %ds\n try mov %eax, %es\n"
    "mov $0x58, %ecx\n try mov %ecx, %es\n try mov %es:0xf0000004, %ecx\n try mov %eax, %es\n"
    "andb $0xfe, GDT + 0x65\n andb $0xfe, 0x1d065\n mov $0x60, %ecx\n verw %cx\n"
    "try mov %ecx, %gs\n"
    "stc\n try mov 0x9200, %fs\n adc $0, %edi\n try add %fs:4, %esi\n"
    "mov %esp, %ebx\n pushl 0x9200\n try pop %gs\n mov %ebx, %esp\n try add %gs:8, %esi\n"
    "cmp %eax, %eax\n stc\n verw 0x9202\n adc $0, %edi\n verw 0x9202\n jnz 1f\n add $0x10000, "
    "%edi\n1:\n"
    "mov %fs, %edx\n add %edx, %ebx\n xor %edx, %edx\n mov %edx, %fs\n mov %fs, %ecx\n"
    "add %ecx, %edi\n try mov %fs:4, %ecx\n"
    "mov $0x48, %edx\n verw %dx\n setz %cl\n try mov %edx, %gs\n add %gs:0x30004, %edi\n"
    "try mov 0xf0000004, %ecx\n"
    "dec %ebp\n jnz sgagain\n"
    "mov %esi, OUT\n mov %edi, OUT + 8\n mov $0x10, %eax\n mov %eax, %ds\n"
    ".purgem at\n .purgem try\n" GUEST_END(segs);

Test(system, segment_loads)
{
    struct guest g = RUN_ALL(segs, 32);
    enum {
        ROUNDS = 220,
        BASE0 = 40,                /* 220..181 */
        BASE1 = 30 + 10 + 10 + 10, /* 180..151, 140..131, 120..111, 100..91 */
        BASE2 = 90 - 20,           /* 90..41, 30..21, 10..1 */
    };
    cr_expect_eq(guest_out(&g, 0), BASE0 * 4 + BASE1 * 400 + BASE2 * 40000, "%llu",
                 (unsigned long long)guest_out(&g, 0));
    /* CF of each load and VERW, ZF of each VERW, 1 through 48h */
    cr_expect_eq(guest_out(&g, 1), ROUNDS * 2 + (ROUNDS - 20) * 0x10000 + ROUNDS, "%llx",
                 (unsigned long long)guest_out(&g, 1));
    /* each missing segment is loaded twice; then FS is null and GS is 48h, a segment; DS:f0000004h
     */
    cr_expect_eq(count_traps(&g, NP, 0x30), 2 * 10);
    cr_expect_eq(count_traps(&g, GP, 0x30), 2 * (10 + 10 + 10));
    cr_expect_eq(count_traps(&g, GP, 0x38), 2 * 10);
    cr_expect_eq(count_traps(&g, GP, 0), ROUNDS + 50 + 10 + ROUNDS - 10, "null FS: %llu",
                 (unsigned long long)count_traps(&g, GP, 0));
    cr_expect_eq(count_traps(&g, GP, 0x50), 3 * 10);
    cr_expect_eq(count_traps(&g, GP, 0x48), 10);
    cr_expect_eq(count_traps(&g, GP, 0x58), 10);
    cr_expect_eq(count_traps(&g, GP, 0x60), 10);
    cr_expect_eq(g.ram[0x1c000 + 0x35] & 1, 1);
    vm_free(g.vm);
}

/* Loads that find what they remember do not leave translated code. */
GUEST(segfast, 32)
BEGIN32("segfast", "sf")
"mov $50000, %ebp\n mov $0x48, %ecx\n mov $0x53, %eax\n movw $0x48, 0x9200\n"
    "sfagain: mov %eax, %ds\n mov %eax, %es\n mov %ecx, %fs\n push %ecx\n pop %gs\n"
    "verw %cs:0x9200\n xor %edx, %edx\n mov %edx, %fs\n mov %fs, %ebx\n"
    "dec %ebp\n jnz sfagain\n .purgem try\n" GUEST_END(segfast);

Test(system, segment_loads_are_host_code)
{
    struct guest g = guest_new(segfast, segfast_end, 32, "bt");
    guest_run(&g);
    cr_expect_lt(guest_count(&g, "exits event"), 5000);
    cr_expect_lt(guest_count(&g, "exits C call"), 5000);
    vm_free(g.vm);
}

/* The GDT lies on two pages; the second one, with selectors from 80h, is taken away and comes back.
 */
GUEST(unmapped, 32)
BEGIN32("unmapped", "un")
"mov $0x100000, %edi\n mov $1024, %ecx\n mov $3, %eax\n"
    "unpage: stosl\n add $4096, %eax\n dec %ecx\n jnz unpage\n"
    "mov $0x101000, %edi\n movl $0x100003, (%edi)\n mov %edi, %cr3\n"
    "mov %cr0, %eax\n or $0x80000000, %eax\n mov %eax, %cr0\n"
    "mov $GDT, %esi\n mov $0x1ef80, %edi\n mov $32, %ecx\n rep movsl\n"
    "movl $0x0000ffff, 0x1f008\n movl $0x00cf9303, 0x1f00c\n"
    "movl $0x1ef80, 0x9102\n lgdt 0x9100\n movl $5, 0x30004\n xor %esi, %esi\n xor %edi, %edi\n"
    "mov $200, %ebp\n mov $0x88, %ecx\n"
    "unagain: xor %eax, %eax\n mov %eax, %fs\n try mov %ecx, %fs\n mov %fs, %eax\n add %eax, %esi\n"
    "cmp %eax, %eax\n try verw %cx\n setz %al\n movzx %al, %eax\n add %eax, %edi\n"
    "cmp $100, %ebp\n jne 1f\n movl $0, 0x10007c\n invlpg 0x1f000\n1:\n"
    "cmp $50, %ebp\n jne 1f\n movl $0x1f003, 0x10007c\n invlpg 0x1f000\n1:\n"
    "dec %ebp\n jnz unagain\n mov %esi, OUT\n mov %edi, OUT + 8\n"
    ".purgem try\n" GUEST_END(unmapped);

Test(system, descriptor_that_is_not_mapped)
{
    struct guest g = RUN_ALL(unmapped, 32);
    cr_expect_eq(guest_out(&g, 0), 150 * 0x88);
    cr_expect_eq(guest_out(&g, 1), 200, "ZF stays when VERW faults");
    cr_assert_eq(guest_traps(&g), 100);
    for (u64 k = 0; k < 100; k++) {
        cr_expect_eq(guest_trap(&g, k).vector, PF);
        cr_expect_eq(guest_trap(&g, k).error, 0);
        cr_expect_eq(guest_trap(&g, k).cr2, 0x1f008);
    }
    vm_free(g.vm);
}

/* ---- SYSENTER, SYSEXIT ------------------------------------------------------------------------
 */
/* Ring 3 counts EBP down and enters; ring 0 looks and leaves. In between: EFLAGS.AC from ring 3,
 * a load in ring 3 that only ring 0 may do, and at the end IA32_SYSENTER_CS is null. */
GUEST(enter, 32)
BEGIN32("enter", "en")
"mov %cr0, %eax\n or $0x40000, %eax\n mov %eax, %cr0\n"
    "mov $0x174, %ecx\n mov $8, %eax\n xor %edx, %edx\n wrmsr\n"
    "inc %ecx\n mov $0x27000, %eax\n wrmsr\n inc %ecx\n mov $(enin - enter + ORG), %eax\n wrmsr\n"
    "xor %esi, %esi\n xor %edi, %edi\n mov $300, %ebp\n"
    "mov $0x53, %eax\n mov %eax, %ds\n mov %eax, %es\n"
    "mov $(enuser - enter + ORG), %edx\n mov $0x26000, %ecx\n sti\n sysexit\n"
    "enin: pushf\n pop %eax\n and $0x240200, %eax\n add %eax, %esi\n add %esp, %esi\n"
    "mov %cs, %eax\n add %eax, %edi\n mov %ss, %eax\n add %eax, %edi\n"
    "test %ebp, %ebp\n jz endone\n"
    "cmp $1, %ebp\n jne 1f\n mov $0x174, %ecx\n xor %eax, %eax\n push %edx\n xor %edx, %edx\n "
    "wrmsr\n"
    "pop %edx\n try sysexit\n mov $8, %eax\n push %edx\n xor %edx, %edx\n wrmsr\n pop %edx\n1:\n"
    "mov $0x26000, %ecx\n stc\n sti\n sysexit\n"
    "enuser: adc $0, %ebx\n try mov 0x9301, %eax\n mov %cs, %eax\n add %eax, %edi\n mov %ss, "
    "%eax\n add %eax, %edi\n"
    "add %esp, %edi\n pushf\n pop %eax\n and $0x200, %eax\n add %eax, %ebx\n"
    "cmp $200, %ebp\n ja 1f\n cmp $180, %ebp\n jb 1f\n pushf\n orl $0x40000, (%esp)\n popf\n1:\n"
    "cmp $179, %ebp\n jne 1f\n pushf\n andl $~0x40000, (%esp)\n popf\n1:\n"
    "cmp $100, %ebp\n ja 1f\n cmp $80, %ebp\n jb 1f\n mov $0x30, %eax\n try mov %eax, %fs\n1:\n"
    "cmp $60, %ebp\n ja 1f\n cmp $41, %ebp\n jb 1f\n try sysexit\n1:\n"
    "dec %ebp\n mov $(enuser - enter + ORG), %edx\n sysenter\n"
    "endone: mov %esi, OUT\n mov %edi, OUT + 8\n mov %ebx, OUT + 16\n"
    ".purgem try\n" GUEST_END(enter);

Test(system, sysenter_and_sysexit)
{
    struct guest g = RUN_ALL(enter, 32);
    cr_expect_gt(guest_out(&g, 0), 0);
    cr_expect_eq((u32)guest_out(&g, 1), (u32)(300 * (8 + 0x10 + 0x1b + 0x23 + 0x26000)), "%llx",
                 (unsigned long long)guest_out(&g, 1));
    cr_expect_eq(count_traps(&g, GP, 0x30), 21);
    cr_expect_eq(count_traps(&g, GP, 0), 20 + 1);
    cr_expect_eq(count_traps(&g, AC, 0), 21);
    vm_free(g.vm);

    g = guest_new(enter, enter_end, 32, "bt-hot");
    guest_run(&g);
    cr_expect_lt(guest_count(&g, "exits event"), 500, "%llu",
                 (unsigned long long)guest_count(&g, "exits event"));
    vm_free(g.vm);
}

/* ---- SMAP -------------------------------------------------------------------------------------
 */
/* A page of user memory at 400000h, read with and without AC; SMAP off in some rounds. */
GUEST(smap, 32)
BEGIN32("smap", "sm")
"mov $0x101000, %edi\n movl $0x83, (%edi)\n movl $0x400087, 4(%edi)\n mov %edi, %cr3\n"
    "mov %cr4, %eax\n or $0x200010, %eax\n mov %eax, %cr4\n"
    "mov %cr0, %eax\n or $0x80000000, %eax\n mov %eax, %cr0\n"
    "xor %esi, %esi\n mov $300, %ebp\n"
    "smagain: stac\n movl $1, 0x400000\n try add 0x400000, %esi\n stc\n clac\n adc $0, %esi\n"
    "try add 0x400000, %esi\n"
    "cmp $100, %ebp\n jne 1f\n mov %cr4, %eax\n xor $0x200000, %eax\n mov %eax, %cr4\n1:\n"
    "cmp $50, %ebp\n jne 1f\n mov %cr4, %eax\n xor $0x200000, %eax\n mov %eax, %cr4\n1:\n"
    "pushf\n pop %eax\n shr $18, %eax\n and $1, %eax\n add %eax, %esi\n"
    "mov %ebp, %edi\n mov $0x400000, %ebp\n stac\n mov (%ebp), %ecx\n movl $1, 4(%ebp)\n clac\n"
    "try mov (%ebp), %ecx\n try movl $1, 4(%ebp)\n mov %edi, %ebp\n" /* by the stack's entry */
    "dec %ebp\n jnz smagain\n mov %esi, OUT\n .purgem try\n" GUEST_END(smap);

Test(system, smap)
{
    struct guest_setup s = {.bits = 32, .cpu = "x86-64-v3"};
    struct guest a = guest_new_on(smap, smap_end, &s, "interp");
    struct guest b = guest_new_on(smap, smap_end, &s, "bt-hot");
    guest_run(&a);
    guest_run(&b);
    guest_same(&a, &b);
    cr_expect_eq(guest_out(&b, 0), 300 * 2 + 50);
    cr_assert_eq(guest_traps(&b), 3 * 250);
    for (u64 k = 0; k < 3 * 250; k++) {
        cr_expect_eq(guest_trap(&b, k).vector, PF);
        cr_expect_eq(guest_trap(&b, k).error, k % 3 == 2 ? 3 : 1);
    }
    cr_expect_lt(guest_count(&b, "exits C call"), 300);
    vm_free(a.vm);
    vm_free(b.vm);
}

/* ---- CPUID ------------------------------------------------------------------------------------
 */
/* Leaves 0, 1, 7 and Dh, with CR4.OSXSAVE and XCR0 as they come. */
GUEST(identity, 32)
BEGIN32("identity", "id")
".macro say leaf, sub\n mov $\\leaf, %eax\n mov $\\sub, %ecx\n cpuid\n mov $\\leaf, %eax\n mov "
    "$\\sub, %ecx\n cmp %eax, %ecx\n cpuid\n"
    "adc $0, %edi\n add %eax, %esi\n rol $3, %esi\n xor %ebx, %esi\n rol $5, %esi\n add %ecx, "
    "%esi\n"
    "rol $7, %esi\n xor %edx, %esi\n.endm\n"
    "xor %esi, %esi\n xor %edi, %edi\n mov $200, %ebp\n"
    "idagain: say 13, 0\n add %ebx, OUT + 16\n say 0, 0\n say 1, 0\n bt $27, %ecx\n adcl $0, OUT + "
    "8\n say 7, 0\n say 7, 1\n"
    "say 13, 1\n say 13, 0\n say 0x40000000, 0\n say 0x80000001, 0\n say 1, "
    "0\n"
    "cmp $100, %ebp\n jne 1f\n mov %cr4, %eax\n xor $0x40000, %eax\n mov %eax, %cr4\n1:\n"
    "cmp $150, %ebp\n jne 1f\n xor %ecx, %ecx\n xor %edx, %edx\n mov $3, %eax\n xsetbv\n1:\n"
    "cmp $50, %ebp\n jne 1f\n mov $0x1b, %ecx\n rdmsr\n and $~0x800, %eax\n wrmsr\n1:\n"
    "dec %ebp\n jnz idagain\n mov %esi, OUT\n mov %edi, OUT + 24\n"
    ".purgem try\n .purgem say\n" GUEST_END(identity);

Test(system, cpuid)
{
    struct guest_setup s = {.bits = 32, .cpu = "x86-64-v3"};
    struct guest a = guest_new_on(identity, identity_end, &s, "interp");
    struct guest b = guest_new_on(identity, identity_end, &s, "bt-hot");
    guest_run(&a);
    guest_run(&b);
    guest_same(&a, &b);
    cr_expect_eq(guest_out(&b, 1), 101, "OSXSAVE");
    cr_expect_eq(guest_out(&b, 2), 51 * 832 + 149 * 576, "%llu",
                 (unsigned long long)guest_out(&b, 2));
    cr_expect_eq(guest_out(&b, 3), 200 * 9, "CF stays");
    vm_free(a.vm);
    vm_free(b.vm);
}
