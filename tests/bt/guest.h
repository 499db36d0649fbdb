/*
 * tests/bt/guest.h - a guest program, run alone in memory by two engines that must agree.
 *
 * You are here: programs are assembly in the test's own file between GUEST and GUEST_END, put at
 * ORG, those of 16 bits at ORG16. They end with HLT. In 64-bit ones `traps` sets up an IDT whose
 * handlers write a record to LOG (struct trap) and go on at the address in RESUME. The whole of RAM
 * is compared afterwards.
 */
#ifndef TESTS_BT_GUEST_H
#define TESTS_BT_GUEST_H

#include <criterion/criterion.h> /* first: it uses the name noreturn its own way */

#include "base/bits.h"
#include "machine/lockstep.h"
#include "machine/views.h"

#include <stdlib.h>
#include <string.h>

enum {
    ORG = 0x200000,
    ORG16 = 0x20000,  /* CS = DS = ES = SS = 2000h */
    OUT = 0x10000,    /* results: u64 each */
    RESUME = 0x11000, /* u64 */
    LOG = 0x12000,    /* u64 number of records, then records */
    RAM = 16 << 20,
};

struct trap {
    u64 vector, error, rip, flags, cr2;
};

#define STR_(x) #x
#define STR(x)  STR_(x)
/* A program `name` of `bits`; AT() makes an absolute address of one of its labels. */
#define GUEST(name, bits)                                                                          \
    extern const u8 name[], name##_end[];                                                          \
    __asm__(".pushsection .rodata\n.code" #bits "\n.balign 4096\n" #name ":\n"          \
            ".set ORG, 0x200000\n.set OUT, 0x10000\n.set RESUME, 0x11000\n"  \
            ".set LOG, 0x12000\n"
#define GUEST_END(name)                                                                            \
    "\nhlt\n" #name "_end:\n.code64\n.popsection\n")

/* Put once into a 64-bit program before it traps; destroys RAX-RDI. `u`: a word that makes labels
 * the program's own. */
#define TRAPS(u)                                                                                   \
    "mov $0x8000, %edi\n lea " u "stubs(%rip), %rbx\n mov $32, %ecx\n" u                           \
    "gate: mov %rbx, %rax\n mov %ax, (%rdi)\n mov %cs, %dx\n mov %dx, 2(%rdi)\n"                   \
    "movw $0x8e00, 4(%rdi)\n shr $16, %rax\n mov %ax, 6(%rdi)\n shr $16, %rax\n"                   \
    "mov %rax, 8(%rdi)\n add $16, %rdi\n add $16, %rbx\n dec %ecx\n jnz " u "gate\n"               \
    "movw $511, 0x9000\n movq $0x8000, 0x9002\n lidt 0x9000\n jmp " u "ready\n"                    \
    ".balign 16\n" u "stubs:\n"                                                                    \
    ".set vector, 0\n .rept 32\n .balign 16\n"                                                     \
    ".if (vector != 8) && ((vector < 10) || (vector > 14)) && (vector != 17)\n push $0\n .endif\n" \
    "push $vector\n jmp " u "trap\n .set vector, vector + 1\n .endr\n" u                           \
    "trap: push %rax\n push %rbx\n mov LOG, %rbx\n incq LOG\n imul $40, %rbx\n"                    \
    "mov 16(%rsp), %rax\n mov %rax, LOG+8(%rbx)\n mov 24(%rsp), %rax\n mov %rax, LOG+16(%rbx)\n"   \
    "mov 32(%rsp), %rax\n mov %rax, LOG+24(%rbx)\n mov 48(%rsp), %rax\n mov %rax, LOG+32(%rbx)\n"  \
    "mov %cr2, %rax\n mov %rax, LOG+40(%rbx)\n mov RESUME, %rax\n mov %rax, 32(%rsp)\n"            \
    "pop %rbx\n pop %rax\n add $16, %rsp\n iretq\n" u "ready:\n"

struct guest {
    struct vm *vm;
    const u8 *ram;
    u64 size;
};

struct guest_setup {
    int bits;
    const char *cpu;
};

static inline struct guest guest_new_on(const u8 *image, const u8 *end, const struct guest_setup *s,
                                        const char *engine)
{
    struct guest g = {0};
    struct error err = {{0}};
    u64 org = s->bits == 16 ? ORG16 : ORG;
    struct vm_bare bare = {
        .image = image, .size = (u64)(end - image), .org = org, .entry = org, .bits = s->bits};
    struct vm_config c;
    vm_config_init(&c);
    c.ram_size = RAM;
    c.cpu = s->cpu;
    c.engine = engine;
    c.icount = true;
    c.no_reboot = true;
    c.any_engine = true;
    c.bare = &bare;
    enum status st = vm_new(&c, &g.vm, &err);
    cr_assert_eq(st, ST_OK, "%s: %s", engine, err.msg);
    g.ram = vm_ram(g.vm, &g.size);
    return g;
}

static inline struct guest guest_new(const u8 *image, const u8 *end, int bits, const char *engine)
{
    struct guest_setup s = {.bits = bits, .cpu = "x86-64-v2"};
    return guest_new_on(image, end, &s, engine);
}

static inline void guest_run(struct guest *g)
{
    struct error err = {{0}};
    enum vm_stop why = vm_run_insns(g->vm, 20000000, &err);
    char text[8192];
    vm_dump_cpu(g->vm, text, sizeof(text));
    cr_assert_eq(why, VM_STOP_POWEROFF, "%s: stopped by %d %s\n%s", vm_engine(g->vm), why, err.msg,
                 text);
}

static inline u64 guest_out(const struct guest *g, int n)
{
    return ld_u64(g->ram + OUT + 8 * n);
}
static inline u64 guest_traps(const struct guest *g)
{
    return ld_u64(g->ram + LOG);
}
static inline struct trap guest_trap(const struct guest *g, u64 n)
{
    struct trap t;
    memcpy(&t, g->ram + LOG + 8 + n * sizeof(t), sizeof(t));
    return t;
}

struct find_count {
    const char *name;
    u64 n;
    bool found;
};
static inline void find_count(void *ctx, const struct vm_count *c)
{
    struct find_count *f = ctx;
    if (!strcmp(c->name, f->name)) {
        cr_expect_not(f->found, "two counters '%s'", f->name);
        f->n = c->n;
        f->found = true;
    }
}
/* A counter of the engine; its name must exist. */
static inline u64 guest_count(const struct guest *g, const char *name)
{
    struct find_count f = {.name = name};
    vm_engine_counts(g->vm, find_count, &f);
    cr_assert(f.found, "no counter '%s'", name);
    return f.n;
}

/* All of RAM and the registers are alike. */
static inline void guest_same(const struct guest *a, const struct guest *b)
{
    static char ta[16384], tb[16384];
    for (u64 k = 0; k < a->size; k += 8)
        cr_assert_eq(ld_u64(a->ram + k), ld_u64(b->ram + k), "at %llx: %s has %llx, %s %llx",
                     (unsigned long long)k, vm_engine(a->vm),
                     (unsigned long long)ld_u64(a->ram + k), vm_engine(b->vm),
                     (unsigned long long)ld_u64(b->ram + k));
    vm_dump_cpu(a->vm, ta, sizeof(ta));
    vm_dump_cpu(b->vm, tb, sizeof(tb));
    cr_assert_str_eq(ta, tb);
}

/* Runs the program on each engine; returns the one that ran on bt-hot, compared with the others. */
static inline struct guest guest_all(const u8 *image, const u8 *end, int bits)
{
    static const char *const others[] = {"interp", "bt", "bt-helpers", "bt-stress"};
    struct guest hot = guest_new(image, end, bits, "bt-hot");
    guest_run(&hot);
    for (size_t k = 0; k < ARRAY_LEN(others); k++) {
        struct guest g = guest_new(image, end, bits, others[k]);
        guest_run(&g);
        guest_same(&g, &hot);
        vm_free(g.vm);
    }
    return hot;
}
#define RUN_ALL(name, bits) guest_all(name, name##_end, bits)

#endif
