/*
 * roms/demo/traps.c - descriptor tables, exception and timer handlers, ring 3 and back.
 *
 * Handlers are compiler-made (the `interrupt` attribute), so this file needs no assembly stubs
 * save for SYSCALL, which leaves the stack to us. Faults are of two kinds: page faults in the
 * demand-paged window, answered by mapping a page; and expected ones, that go on at traps.resume.
 * Manual: Intel SDM vol. 3, 6.14 (64-bit interrupt handling), 5.8.8 (SYSCALL).
 */
#include "roms/demo/traps.h"
#include "roms/demo/window.h"

struct frame {
    u64 rip, cs, rflags, rsp, ss;
};

struct gate {
    u16 low, selector;
    u8 ist, type;
    u16 mid;
    u32 high, zero;
} __attribute__((packed));

struct table {
    u16 limit;
    u64 base;
} __attribute__((packed));

struct tss {
    u32 zero;
    u64 rsp[3];
    u64 pad, ist[7];
    u64 pad2;
    u16 pad3, iomap;
} __attribute__((packed));

enum { CODE = 0x08, DATA = 0x10, USER_DATA = 0x18, USER_CODE = 0x20, TSS = 0x28 };
enum { PIC1 = 0x20, PIC2 = 0xa0, PIT = 0x40, IRQ_BASE = 32 };

struct traps traps;
volatile u64 syscalls;

static struct gate idt[48];
static struct tss tss;
static u64 gdt[7];
static u8 fault_stack[4096] __attribute__((aligned(16)));

static void unexpected(int vector, struct frame *f, u64 error)
{
    step(0, "exception");
    put_text("vector ");
    put_dec((u64)vector);
    put_text(" at ");
    put_hex(f->rip);
    put_text(", error code ");
    put_hex(error);
    put_char('\n', PLAIN);
    for (;;) {
        outb(0x501, 2);
        asm volatile("cli; hlt");
    }
}

static void fault(int vector, struct frame *f, u64 error)
{
    traps.count[vector]++;
    traps.last_error = error;
    if ((f->cs & 3) == 3) { /* the user program's only fault is its one-byte HLT */
        traps.user_faults++;
        f->rip++;
        return;
    }
    if (!traps.resume)
        unexpected(vector, f, error);
    f->rip = traps.resume;
}

#define HANDLER(n)                                                                                 \
    static __attribute__((interrupt)) void on_##n(struct frame *f)                                 \
    {                                                                                              \
        fault(n, f, 0);                                                                            \
    }
#define HANDLER_E(n)                                                                               \
    static __attribute__((interrupt)) void on_##n(struct frame *f, u64 error)                      \
    {                                                                                              \
        fault(n, f, error);                                                                        \
    }
HANDLER(0)
HANDLER(6)
HANDLER_E(8)
HANDLER_E(11)
HANDLER_E(12)
HANDLER_E(13)

static __attribute__((interrupt)) void on_breakpoint(struct frame *f)
{
    (void)f; /* a trap: RIP is already past INT3 */
    traps.count[3]++;
}

static __attribute__((interrupt)) void on_page_fault(struct frame *f, u64 error)
{
    u64 address;
    asm volatile("mov %%cr2, %0" : "=r"(address));
    traps.last_address = address;
    if (window_fault(address, error)) {
        traps.count[14]++;
        traps.last_error = error;
        return; /* mapped: the instruction runs again */
    }
    fault(14, f, error);
}

static __attribute__((interrupt)) void on_timer(struct frame *f)
{
    (void)f;
    traps.ticks++;
    outb(PIC1, 0x20);
}

static void gate(int vector, void *handler)
{
    u64 p = (u64)handler;
    idt[vector] = (struct gate){.low = (u16)p,
                                .selector = CODE,
                                .type = 0x8e,
                                .mid = (u16)(p >> 16),
                                .high = (u32)(p >> 32)};
}

static void pic_init(void)
{
    outb(PIC1, 0x11);
    outb(PIC1 + 1, IRQ_BASE);
    outb(PIC1 + 1, 4);
    outb(PIC1 + 1, 1);
    outb(PIC2, 0x11);
    outb(PIC2 + 1, IRQ_BASE + 8);
    outb(PIC2 + 1, 2);
    outb(PIC2 + 1, 1);
    outb(PIC1 + 1, 0xff);
    outb(PIC2 + 1, 0xff);
}

void traps_init(void)
{
    u64 base = (u64)&tss;
    tss.rsp[0] = (u64)(fault_stack + sizeof fault_stack);
    tss.iomap = sizeof tss;
    gdt[CODE / 8] = 0x00af9b000000ffff;
    gdt[DATA / 8] = 0x00cf93000000ffff;
    gdt[USER_DATA / 8] = 0x00cff3000000ffff;
    gdt[USER_CODE / 8] = 0x00affb000000ffff;
    gdt[TSS / 8] =
        (sizeof tss - 1) | (base & 0xffffff) << 16 | 0x89ul << 40 | (base >> 24 & 0xff) << 56;
    gdt[TSS / 8 + 1] = base >> 32;
    struct table g = {sizeof gdt - 1, (u64)gdt};
    asm volatile("lgdt %0\n\t"
                 "pushq %1\n\t"
                 "leaq 1f(%%rip), %%rax\n\t"
                 "pushq %%rax\n\t"
                 "lretq\n"
                 "1:\tmovl %2, %%eax\n\t"
                 "movw %%ax, %%ds; movw %%ax, %%es; movw %%ax, %%ss\n\t"
                 "movl %3, %%eax\n\t"
                 "ltr %%ax" ::"m"(g),
                 "i"(CODE), "i"(DATA), "i"(TSS)
                 : "rax", "memory");

    gate(0, on_0);
    gate(3, on_breakpoint);
    gate(6, on_6);
    gate(8, on_8);
    gate(11, on_11);
    gate(12, on_12);
    gate(13, on_13);
    gate(14, on_page_fault);
    gate(IRQ_BASE, on_timer);
    struct table i = {sizeof idt - 1, (u64)idt};
    asm volatile("lidt %0" ::"m"(i));
    pic_init();
}

/* A local APIC comes out of reset with its inputs masked: let the PIC through LINT0 (SDM vol. 3,
 * 11.5.1, "virtual wire"). Without a local APIC the PIC has the CPU's pin to itself. */
static void local_apic_pass_pic(void)
{
    u32 a = 1, b, c, d;
    asm volatile("cpuid" : "+a"(a), "=b"(b), "=c"(c), "=d"(d));
    if (!(d & 1 << 9))
        return;
    *(volatile u32 *)0xfee000f0ul = 0x1ff; /* software enable, spurious vector 255 */
    *(volatile u32 *)0xfee00350ul = 0x700; /* LINT0: ExtINT */
}

void timer_start(u32 hz)
{
    local_apic_pass_pic();
    u32 divisor = 1193182 / hz;
    outb(PIT + 3, 0x34); /* channel 0, both bytes, rate generator */
    outb(PIT, (u8)divisor);
    outb(PIT, (u8)(divisor >> 8));
    outb(PIC1 + 1, 0xfe);
    asm volatile("sti");
}

void timer_stop(void)
{
    asm volatile("cli");
    outb(PIC1 + 1, 0xff);
}

/* ---- ring 3 ---------------------------------------------------------------------------------- */

static void wrmsr(u32 msr, u64 v)
{
    asm volatile("wrmsr" ::"c"(msr), "a"((u32)v), "d"((u32)(v >> 32)));
}

/* The kernel stack while ring 3 runs, and the user's while a system call runs. */
u64 kernel_rsp, user_rsp;
void syscall_entry(void);

asm(".text\n"
    ".globl enter_user\n"
    "enter_user:\n\t"
    "pushq %rbx; pushq %rbp; pushq %r12; pushq %r13; pushq %r14; pushq %r15\n\t"
    "movq %rsp, kernel_rsp\n\t"
    "pushq $0x1b\n\t" /* USER_DATA | 3 */
    "pushq %rsi\n\t"
    "pushq $0x202\n\t"
    "pushq $0x23\n\t" /* USER_CODE | 3 */
    "pushq %rdi\n\t"
    "iretq\n"
    ".globl syscall_entry\n"
    "syscall_entry:\n\t"
    "movq %rsp, user_rsp\n\t"
    "movq kernel_rsp, %rsp\n\t"
    "testl %eax, %eax\n\t"
    "jz 1f\n\t"
    "incq syscalls\n\t"
    "movq user_rsp, %rsp\n\t"
    "sysretq\n"
    "1:\tpopq %r15; popq %r14; popq %r13; popq %r12; popq %rbp; popq %rbx\n\t"
    "ret\n");

void syscalls_init(void)
{
    /* SYSCALL: CS = 08, SS = 10. SYSRET: SS = base + 8 = 18|3, CS = base + 16 = 20|3. */
    wrmsr(0xc0000081, (u64)(0x10 | 3) << 48 | (u64)CODE << 32);
    wrmsr(0xc0000082, (u64)syscall_entry);
    wrmsr(0xc0000084, 0x47700); /* TF IF DF IOPL NT AC off in the kernel */
}
