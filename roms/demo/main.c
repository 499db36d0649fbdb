/*
 * roms/demo/main.c - the demo in long mode: one function a step, each printing what it found.
 *
 * It needs nothing but a PC's PIC, PIT, UART and VGA; every fault it provokes it also answers.
 * Numbers that are measured are printed with a tilde in front, so that the rest is the same on
 * every run and every machine (tests/system/cases_demo.py compares it).
 * It ends by ACPI power-off where the board has a PIIX4, else through the debug-exit port 0x501:
 * value 0x31, or 1 when a step failed.
 */
#include "pv/guest/trv.h"
#include "roms/console.h"
#include "roms/demo/traps.h"
#include "roms/demo/window.h"

struct regs {
    u32 a, b, c, d;
};

static struct regs cpuid(u32 leaf)
{
    struct regs r;
    asm volatile("cpuid" : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d) : "0"(leaf), "2"(0));
    return r;
}

static u64 rdtsc(void)
{
    u32 lo, hi;
    asm volatile("rdtsc" : "=a"(lo), "=d"(hi));
    return (u64)hi << 32 | lo;
}

static void put_four(u32 v)
{
    for (int i = 0; i < 4; i++, v >>= 8) {
        char c = (char)(v & 0x7f);
        put_char(c < ' ' ? '.' : c, PLAIN);
    }
}

static void end_line(void)
{
    put_char('\n', PLAIN);
}

static void step_long_mode(void)
{
    u64 cr0, cr3, cr4;
    u32 lo, hi;
    asm volatile("mov %%cr0, %0; mov %%cr3, %1; mov %%cr4, %2" : "=r"(cr0), "=r"(cr3), "=r"(cr4));
    asm volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(0xc0000080));
    step(lo & 1 << 10 ? 1 : 0, "long mode");
    put_text("CR3 ");
    put_hex(cr3);
    put_text(", 4 GiB mapped; EFER.LMA ");
    put_dec(lo >> 10 & 1);
    put_text(", CR0.PG ");
    put_dec(cr0 >> 31 & 1);
    put_text(", CR4.PAE ");
    put_dec(cr4 >> 5 & 1);
    end_line();
}

static void step_cpu(void)
{
    struct regs r = cpuid(0);
    step(1, "processor");
    put_char('~', DIM);
    put_four(r.b);
    put_four(r.d);
    put_four(r.c);
    put_text(" ");
    if (cpuid(0x80000000).a >= 0x80000004) {
        for (u32 leaf = 0x80000002; leaf <= 0x80000004; leaf++) {
            r = cpuid(leaf);
            u32 part[4] = {r.a, r.b, r.c, r.d};
            for (int i = 0; i < 16; i++) {
                char c = (char)(part[i / 4] >> i % 4 * 8 & 0x7f);
                if (c >= ' ')
                    put_char(c, PLAIN);
            }
        }
    }
    end_line();
}

static void step_exceptions(void)
{
    int ud = GUARDED("ud2", , );
    u32 q;
    int de = GUARDED("xorl %%edx, %%edx; movl $1, %%eax; divl %%edx", AND "=&a"(q), , "rdx", "cc");
    int gp = GUARDED("movq (%[p]), %%rax", , [p] "r"(0x8000000000000000ul), "rax");
    asm volatile("int3");
    int ok = ud == 7 && de == 1 && gp == 14 && traps.count[3] == 1;
    step(ok, "exceptions");
    put_text("#UD, #DE, #GP (non-canonical), #BP: ");
    put_dec(traps.count[6] + traps.count[0] + traps.count[13] + traps.count[3]);
    put_text(" raised and handled");
    end_line();
}

static void step_timer(void)
{
    timer_start(1000);
    u64 limit = rdtsc() + 20000000000ul;
    while (!traps.ticks && rdtsc() < limit)
        asm volatile("pause");
    if (traps.ticks) {
        u64 from = traps.ticks, t0 = rdtsc();
        while (traps.ticks < from + 20)
            asm volatile("hlt");
        u64 cycles = rdtsc() - t0;
        timer_stop();
        step(1, "timer");
        put_text("20 PIT interrupts at 1000 Hz, HLT in between; TSC ");
        put_measured(cycles / 20000);
        put_text(" MHz");
    } else {
        timer_stop();
        step(0, "timer");
        put_text("no interrupt came from the PIT");
    }
    end_line();
}

static void step_paging(void)
{
    window_init();
    volatile u64 *w = (volatile u64 *)WINDOW;
    u64 sum = 0;
    for (u64 i = 0; i < 16; i++)
        w[i * 512] = i * i;
    u64 faults = traps.count[14];
    for (u64 i = 0; i < 16; i++)
        sum += w[i * 512];
    /* One store across two pages that are not there: two faults, then it happens once. */
    *(volatile u64 *)(WINDOW + 21 * 4096 - 3) = 0x1122334455667788;
    u64 split = traps.count[14] - faults;
    int ok = faults == 16 && sum == 1240 && split == 2 &&
             *(volatile u64 *)(WINDOW + 21 * 4096 - 3) == 0x1122334455667788;
    step(ok, "page faults");
    put_text("16 mapped on demand, sum ");
    put_dec(sum);
    put_text("; one store over two: ");
    put_dec(split);
    put_text(" faults");
    end_line();

    window_protect(WINDOW);
    u64 before = w[0];
    int pf = GUARDED("movq $99, (%[p])", , [p] "r"(w));
    ok = pf == 15 && traps.last_error == 3 && traps.last_address == WINDOW && w[0] == before;
    step(ok, "write protect");
    put_text("store refused at ");
    put_hex(traps.last_address);
    put_text(", error code ");
    put_dec(traps.last_error);
    put_text(": present, write");
    end_line();
}

extern const u8 user_program[], user_program_end[];
asm(".section .rodata\n"
    "user_program:\n\t"
    "movl $1, %eax; syscall\n\t"
    "movl $1, %eax; syscall\n\t"
    "hlt\n\t" /* privileged: #GP, which the kernel steps over */
    "movl $1, %eax; syscall\n\t"
    "xorl %eax, %eax; syscall\n"
    "user_program_end:\n"
    ".text\n");

static void step_user(void)
{
    u8 *at = (u8 *)0x200000;
    for (u64 i = 0; i < (u64)(user_program_end - user_program); i++)
        at[i] = user_program[i];
    user_page(0x200000);
    syscalls_init();
    enter_user(0x200000, 0x2ff000);
    step(syscalls == 3 && traps.user_faults == 1, "ring 3");
    put_text("entered by IRETQ, ");
    put_dec(syscalls);
    put_text(" SYSCALLs, HLT refused by #GP ");
    put_dec(traps.user_faults);
    put_text(" time");
    end_line();
}

static void step_fpu(void)
{
    u64 cr0, cr4;
    asm volatile("mov %%cr0, %0" : "=r"(cr0));
    asm volatile("mov %0, %%cr0" ::"r"((cr0 & ~0xcul) | 2)); /* MP on; EM, TS off */
    asm volatile("mov %%cr4, %0" : "=r"(cr4));
    asm volatile("mov %0, %%cr4" ::"r"(cr4 | 0x600)); /* OSFXSR, OSXMMEXCPT */
    u64 two = 2, scale = 1000000000, root;
    u64 pi;
    asm volatile("fninit\n\t"
                 "fldpi\n\t"
                 "fildq %1\n\t"
                 "fmulp\n\t"
                 "fistpq %0"
                 : "=m"(pi)
                 : "m"(scale));
    asm volatile("cvtsi2sdq %1, %%xmm0\n\t"
                 "sqrtsd %%xmm0, %%xmm0\n\t"
                 "cvtsi2sdq %2, %%xmm1\n\t"
                 "mulsd %%xmm1, %%xmm0\n\t"
                 "cvttsd2siq %%xmm0, %0"
                 : "=r"(root)
                 : "m"(two), "m"(scale));
    step(pi == 3141592654 && root == 1414213562, "x87 and SSE2");
    put_text("pi * 10^9 = ");
    put_dec(pi);
    put_text(", sqrt 2 * 10^9 = ");
    put_dec(root);
    end_line();
}

static void step_smc(void)
{
    /* mov eax, imm32; ret: the immediate is rewritten between calls. */
    static u8 code[] __attribute__((section(".data"))) = {0xb8, 0, 0, 0, 0, 0xc3};
    u64 sum = 0;
    for (u32 i = 1; i <= 100; i++) {
        u64 r;
        *(volatile u32 *)(code + 1) = i;
        asm volatile("call *%1" : "=a"(r) : "r"(code) : "memory");
        sum += r;
    }
    step(sum == 5050, "changing code");
    put_text("a function rewritten and called 100 times, sum ");
    put_dec(sum);
    end_line();
}

static void step_hypercall(void)
{
    struct regs r = {0, 0, 0, 0};
    int bit = cpuid(1).c >> 31 & 1;
    int ours = 0;
    if (bit) {
        r = cpuid(TRV_CPUID_LEAF);
        ours = r.b == TRV_SIGNATURE_EBX && r.c == TRV_SIGNATURE_ECX && r.d == TRV_SIGNATURE_EDX;
    }
    step(1, "who runs us");
    put_char('~', DIM);
    if (bit) {
        put_four(r.b);
        put_four(r.c);
        put_four(r.d);
        put_text(": ");
    }
    u32 a = TRV_IDENTIFY, b = 0, c = 0, d = 0;
    int vmmcall = GUARDED(".byte 0x0f, 0x01, 0xd9", AND "+a"(a)AND "+b"(b)AND "+c"(c)AND "+d"(d), );
    if (vmmcall) {
        a = TRV_IDENTIFY;
        vmmcall = GUARDED(".byte 0x0f, 0x01, 0xc1", AND "+a"(a)AND "+b"(b)AND "+c"(c)AND "+d"(d), );
    }
    /* Some other hypervisor's answer to call 0 would be misread: believe only our own. */
    if (vmmcall == 0 && (ours || a == TRV_ABI_VERSION)) {
        const char *engine[] = {"unknown engine", "interpreter", "translator", "host KVM"};
        put_text("Trivisor answers, emulator, ");
        put_text(engine[b < 4 ? b : 0]);
    } else if (vmmcall == 0) {
        put_text("a hypervisor answered, not ours");
    } else {
        put_text("no hypervisor answered: emulator or metal");
    }
    end_line();
}

static void step_speed(void)
{
    u64 n = 1000000, t0 = rdtsc();
    asm volatile("1:\tleaq 3(%%rax), %%rax\n\t"
                 "xorq %%rcx, %%rax\n\t"
                 "decq %%rcx\n\t"
                 "jnz 1b"
                 : "+c"(n)::"rax", "cc");
    u64 cycles = rdtsc() - t0;
    step(1, "speed");
    put_text("4,000,000 instructions in ");
    put_measured(cycles / 1000);
    put_text(" thousand TSC cycles");
    end_line();
}

/* PIIX4 power management, PCI function 8086:7113: PMBA at 40h, enable bit at 80h. */
static void power_off(void)
{
    for (u32 devfn = 0; devfn < 256; devfn++) {
        u32 at = 0x80000000 | devfn << 8;
        outl(0xcf8, at);
        if (inl(0xcfc) != 0x71138086)
            continue;
        outl(0xcf8, at | 0x40);
        outl(0xcfc, 0x601);
        outl(0xcf8, at | 0x80);
        outl(0xcfc, inl(0xcfc) | 1);
        outw(0x604, 0x2000); /* PM1 control: SLP_EN, type 0 = soft off */
        /* The machine may take a moment to go. */
        for (u64 until = rdtsc() + 5000000000ul; rdtsc() < until;)
            asm volatile("pause");
    }
}

/* Until 'q': asleep, woken 100 times a second and by nothing else. For the idle test. */
static void idle(void)
{
    put_text("idle until q");
    end_line();
    timer_start(100);
    do
        asm volatile("hlt");
    while (serial_take() != 'q');
    timer_stop();
}

extern u8 bss_begin[], bss_end[];

__attribute__((section(".text.entry"), noreturn)) void guest_main(void);
void guest_main(void)
{
    for (u8 *p = bss_begin; p < bss_end; p++)
        *(volatile u8 *)p = 0;
    traps_init();
    step_long_mode();
    step_cpu();
    step_exceptions();
    step_timer();
    step_paging();
    step_user();
    step_fpu();
    step_smc();
    step_hypercall();
    step_speed();
    if (serial_take() == 'i')
        idle();
    if (steps_failed) {
        put_text("FAILED: ");
        put_dec(steps_failed);
        put_text(" steps");
    } else {
        put_text("Done: power off.");
    }
    end_line();
    if (!steps_failed)
        power_off();
    for (;;) {
        outb(0x501, steps_failed ? 1 : 0x31);
        asm volatile("cli; hlt");
    }
}

/* The compiler may call these even here. */
void *memset(void *p, int c, u64 n)
{
    u8 *q = p;
    asm volatile("rep stosb" : "+D"(q), "+c"(n) : "a"(c) : "memory");
    return p;
}
void *memcpy(void *to, const void *from, u64 n)
{
    void *q = to;
    asm volatile("rep movsb" : "+D"(q), "+S"(from), "+c"(n)::"memory");
    return to;
}
