/*
 * roms/bench/main.c - the benchmark guest: runs the loop it is told to over the serial port.
 *
 * Protocol: it prints "READY"; a line "name count" makes it print "@B", run, and print "@E"; the
 * host times the two with its own clock. "list" names the loops, "quit" ends. It never looks at
 * a clock itself. Privileged loops are here, the others in loops.h.
 */
#include "roms/bench/loops.h"
#include "roms/console.h"

struct gate {
    u16 low, selector;
    u8 ist, type;
    u16 mid;
    u32 high, zero;
} __attribute__((packed));

static struct gate idt[256];
static u8 heap[HEAP_BYTES] __attribute__((aligned(4096)));
static u8 code[8 * 4096] __attribute__((aligned(4096)));
static u64 window_tables[3][512] __attribute__((aligned(4096)));

/* Software interrupt: nothing but the way there and back. Page fault: makes the page present. */
void on_int(void);
void on_page_fault(void);
u64 *window_entry;
asm(".globl on_int\n"
    "on_int:\tiretq\n"
    ".globl on_page_fault\n"
    "on_page_fault:\n\t"
    "pushq %rax\n\t"
    "movq window_entry, %rax\n\t"
    "orq $1, (%rax)\n\t"
    "popq %rax\n\t"
    "addq $8, %rsp\n\t"
    "iretq\n");

#define WINDOW 0x8000000000ul

static void gate(int vector, void (*handler)(void))
{
    u64 p = (u64)handler;
    idt[vector] = (struct gate){.low = (u16)p,
                                .selector = 0x18,
                                .type = 0x8e,
                                .mid = (u16)(p >> 16),
                                .high = (u32)(p >> 32)};
}

static void setup(void)
{
    struct {
        u16 limit;
        u64 base;
    } __attribute__((packed)) table = {sizeof idt - 1, (u64)idt};
    gate(0x40, on_int);
    gate(14, on_page_fault);
    asm volatile("lidt %0" ::"m"(table));
    ((u64 *)0x10000)[1] = (u64)window_tables[0] | 3;
    window_tables[0][0] = (u64)window_tables[1] | 3;
    window_tables[1][0] = (u64)window_tables[2] | 3;
    window_entry = &window_tables[2][0];
    *window_entry = 0x700000 | 3;
    u64 cr;
    asm volatile("mov %%cr0, %0" : "=r"(cr));
    asm volatile("mov %0, %%cr0" ::"r"((cr & ~0xcul) | 2));
    asm volatile("mov %%cr4, %0" : "=r"(cr));
    asm volatile("mov %0, %%cr4" ::"r"(cr | 0x600));
}

/* ---- loops that need ring 0 ------------------------------------------------------------------ */

static void loop_interrupt(u64 n, u8 *h)
{
    (void)h;
    asm volatile("1:\tint $0x40\n\tdecq %%rcx\n\tjnz 1b" : "+c"(n)::"cc", "memory");
}

static void loop_pagefault(u64 n, u8 *h)
{
    (void)h;
    asm volatile("1:\tandq $-2, (%[pte])\n\t"
                 "invlpg (%[at])\n\t"
                 "movl (%[at]), %%eax\n\t"
                 "decq %%rcx\n\t"
                 "jnz 1b"
                 : "+c"(n)
                 : [pte] "r"(window_entry), [at] "r"(WINDOW)
                 : "rax", "cc", "memory");
}

static void loop_cr3(u64 n, u8 *h)
{
    asm volatile("mov %%cr3, %%rdx\n"
                 "1:\tmov %%rdx, %%cr3\n\t"
                 "movl (%[h]), %%eax\n\t"
                 "movl 8192(%[h]), %%eax\n\t"
                 "decq %%rcx\n\t"
                 "jnz 1b"
                 : "+c"(n)
                 : [h] "r"(h)
                 : "rax", "rdx", "cc", "memory");
}

static void loop_port(u64 n, u8 *h)
{
    (void)h;
    asm volatile("1:\tinb $0x61, %%al\n\tdecq %%rcx\n\tjnz 1b" : "+c"(n)::"rax", "cc");
}

static void loop_mmio(u64 n, u8 *h)
{
    (void)h;
    asm volatile("movl $0xfee00030, %%edx\n" /* the local APIC's version register */
                 "1:\tmovl (%%rdx), %%eax\n\tdecq %%rcx\n\tjnz 1b"
                 : "+c"(n)::"rax", "rdx", "cc");
}

static void loop_cpuid(u64 n, u8 *h)
{
    (void)h;
    asm volatile("movq %%rcx, %%rsi\n"
                 "1:\txorl %%eax, %%eax\n\tcpuid\n\tdecq %%rsi\n\tjnz 1b"
                 : "+c"(n)::"rax", "rbx", "rdx", "rsi", "cc");
}

/* A constant inside a function is rewritten before each call. */
static void loop_smc(u64 n, u8 *h)
{
    (void)h;
    code[0] = 0xb8; /* mov eax, imm32; ret */
    code[5] = 0xc3;
    asm volatile("1:\tmovl %%ecx, 1(%[f])\n\t"
                 "call *%[f]\n\t"
                 "decq %%rcx\n\t"
                 "jnz 1b"
                 : "+c"(n)
                 : [f] "r"(code)
                 : "rax", "cc", "memory");
}

/* A new function of 101 instructions is written (8 pages in turn) and called once. */
static void loop_newcode(u64 n, u8 *h)
{
    (void)h;
    for (u64 i = 0; i < n; i++) {
        u8 *p = code + i % 64 * 512;
        for (u32 k = 0; k < 100; k++, p += 5) {
            p[0] = 0x05; /* add eax, imm32 */
            *(u32 *)(p + 1) = (u32)(i + k);
        }
        *p = 0xc3;
        asm volatile("call *%0" ::"r"(code + i % 64 * 512) : "rax", "cc", "memory");
    }
}

static void loop_nop(u64 n, u8 *h)
{
    (void)n, (void)h;
}

/* Instructions an iteration: 0 where only events are counted. */
#define PRIVILEGED(X)                                                                              \
    X(interrupt, 4, "INT, IRETQ")                                                                  \
    X(pagefault, 11, "INVLPG, #PF, page mapped, IRETQ")                                            \
    X(cr3, 5, "MOV CR3 and two loads")                                                             \
    X(port, 3, "IN from port 61h")                                                                 \
    X(mmio, 3, "load from the local APIC")                                                         \
    X(cpuid, 4, "CPUID leaf 0")                                                                    \
    X(smc, 6, "a constant rewritten, its function called")                                         \
    X(newcode, 0, "a new function of 101 instructions written and called")                         \
    X(nop, 0, "nothing: what the markers cost")

static const struct {
    const char *name;
    void (*run)(u64 n, u8 *heap);
    u32 insns;
    const char *what;
} loops[] = {
#define ROW(name, insns, what) {#name, loop_##name, insns, what},
    LOOPS(ROW) PRIVILEGED(ROW)};

/* ---- the conversation ------------------------------------------------------------------------ */

static int read_line(char *line, int size)
{
    int n = 0;
    for (;;) {
        int c = serial_take();
        if (c < 0)
            continue;
        if (c == '\n' || c == '\r') {
            line[n] = 0;
            return n;
        }
        if (n < size - 1)
            line[n++] = (char)c;
    }
}

static const char *match(const char *line, const char *word)
{
    while (*word && *line == *word)
        line++, word++;
    return *word || (*line && *line != ' ') ? 0 : line;
}

extern u8 bss_begin[], bss_end[];

__attribute__((section(".text.entry"), noreturn)) void guest_main(void);
void guest_main(void)
{
    for (u64 *p = (u64 *)bss_begin; p < (u64 *)bss_end; p++)
        *(volatile u64 *)p = 0;
    setup();
    put_text("READY\n");
    for (;;) {
        char line[80];
        if (!read_line(line, sizeof line))
            continue;
        if (match(line, "quit"))
            break;
        for (u32 i = 0; i < sizeof loops / sizeof loops[0]; i++) {
            if (match(line, "list")) {
                put_text("@L ");
                put_text(loops[i].name);
                put_text(" ");
                put_dec(loops[i].insns);
                put_text(" ");
                put_text(loops[i].what);
                put_text("\n");
                continue;
            }
            const char *p = match(line, loops[i].name);
            if (!p)
                continue;
            u64 n = 0;
            while (*p == ' ')
                p++;
            for (; *p >= '0' && *p <= '9'; p++)
                n = n * 10 + (u64)(*p - '0');
            put_text("@B\n");
            if (n)
                loops[i].run(n, heap);
            put_text("@E\n");
        }
        put_text("READY\n");
    }
    for (;;) {
        outb(0x501, 0x31);
        asm volatile("cli; hlt");
    }
}

void *memset(void *p, int c, u64 n)
{
    u8 *q = p;
    asm volatile("rep stosb" : "+D"(q), "+c"(n) : "a"(c) : "memory");
    return p;
}
