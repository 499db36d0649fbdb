/*
 * roms/pvdemo/main.c - every hypercall of our own interface, used once and shown.
 *
 * What it is: the guest side of docs/pv-abi.md, to be read beside it. It has no driver at all: its
 * text goes out by TRV_CONSOLE_WRITE. What it is not: a measurement. Invariant: one line of report
 * a step; numbers that differ from run to run are written after a tilde. Addresses given to calls
 * are physical; the page tables of start.asm map the first 4 GiB onto themselves, so pointers are.
 */
#include "pv/guest/trv_calls.h"

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;

enum { TIMER_VECTOR = 0x50, EVENT_VECTOR = 0x60, CHANNEL = 3 };

extern u32 raw_call(u32 nr, u32 b, u32 c, u32 d);
void guest_main(void);

static u32 failed;

/* ---- text: one call a line ------------------------------------------------------------------ */
static char line[256];
static u32 at;

static void text(const char *s)
{
    while (*s && at < sizeof line)
        line[at++] = *s++;
}

static void number(u64 v)
{
    char digits[20];
    int n = 0;
    do
        digits[n++] = (char)('0' + v % 10);
    while (v /= 10);
    while (n && at < sizeof line)
        line[at++] = digits[--n];
}

static void step(int ok, const char *name)
{
    failed += !ok;
    text(ok ? "[ok] " : "[--] ");
    u32 column = at + 12;
    text(name);
    while (at < column)
        text(" ");
}

static u32 end_line(void)
{
    text("\n");
    u32 n = trv_console_write(line, at);
    at = 0;
    return n;
}

/* ---- interrupts ----------------------------------------------------------------------------- */
struct frame;
static volatile u32 ticks, events;

static void local_apic(u32 reg, u32 v)
{
    *(volatile u32 *)(0xfee00000ul + reg) = v;
}

static __attribute__((interrupt)) void on_timer(struct frame *f)
{
    (void)f;
    ticks++;
    local_apic(0xb0, 0); /* end of interrupt */
}

static __attribute__((interrupt)) void on_event(struct frame *f)
{
    (void)f;
    events++;
    local_apic(0xb0, 0);
}

struct gate {
    u16 low, selector, type, mid;
    u32 high, zero;
};
static struct gate idt[256];

static void gate(int vector, void *handler)
{
    u64 p = (u64)handler;
    idt[vector] = (struct gate){(u16)p, 0x18, 0x8e00, (u16)(p >> 16), (u32)(p >> 32), 0};
}

static void interrupts_init(void)
{
    struct {
        u16 limit;
        u64 base;
    } __attribute__((packed)) table = {sizeof idt - 1, (u64)idt};
    gate(TIMER_VECTOR, (void *)on_timer);
    gate(EVENT_VECTOR, (void *)on_event);
    __asm__ volatile("lidt %0" ::"m"(table));
    local_apic(0xf0, 0x1ff); /* on; spurious interrupts are vector 255 */
}

/* ---- the calls ------------------------------------------------------------------------------ */
static void identify(void)
{
    static const char *const engine[] = {"unknown", "interpreter", "translator", "host KVM"};
    struct trv_regs r;
    u32 version = trv_identify(&r);
    step(version == TRV_ABI_VERSION && r.c == TRV_PERSONALITY_TRV && r.d == (1u << TRV_CALLS) - 1,
         "identify");
    text("version ");
    number(version);
    text(", ");
    number(TRV_CALLS);
    text(" calls, run by ~");
    text(engine[r.b < 4 ? r.b : 0]);
    end_line();
}

static void console(void)
{
    step(1, "console");
    text("this line went out in one call");
    u32 n = at + 1;
    if (end_line() != n) {
        step(0, "console");
        end_line();
    }
}

static void clock(void)
{
    static struct trv_clock a, b;
    u32 r = trv_clock_read(&a);
    for (volatile int k = 0; k < 1000; k++)
        ;
    r |= trv_clock_read(&b);
    step(!r && b.ns > a.ns && b.tsc - a.tsc == b.ns - a.ns && b.wall_ns - a.wall_ns == b.ns - a.ns,
         "clock");
    text("1000 turns took ~");
    number(b.ns - a.ns);
    text(" ns, by the wall clock and the TSC too");
    end_line();
}

static void timer(void)
{
    static struct trv_clock before, after;
    trv_clock_read(&before);
    u32 r = trv_timer_arm(before.ns + 2000000, TIMER_VECTOR);
    while (!r && !ticks)
        trv_halt();
    trv_clock_read(&after);
    step(!r && ticks == 1 && after.ns - before.ns >= 2000000, "timer, halt");
    text("armed 2 ms ahead, slept ~");
    number((after.ns - before.ns) / 1000);
    text(" us, interrupts: ");
    number(ticks);
    end_line();
}

static void yield(void)
{
    step(trv_yield() == 0, "yield");
    text("others had their turn");
    end_line();
}

static void event(void)
{
    u32 r = trv_event_bind(CHANNEL, EVENT_VECTOR);
    r |= trv_event_notify(CHANNEL);
    r |= trv_event_notify(CHANNEL); /* pending already: no second interrupt */
    r |= trv_halt();                /* returns at once, something is pending */
    __asm__ volatile("sti; nop; nop; cli");
    u32 pending = trv_event_take();
    step(!r && events == 1 && pending == 1u << CHANNEL && !trv_event_take(), "event");
    text("channel ");
    number(CHANNEL);
    text(" notified twice, interrupts: ");
    number(events);
    end_line();
}

static u8 sector[TRV_SECTOR * 2] __attribute__((aligned(16)));

static void block(void)
{
    static struct trv_block_info info;
    static struct trv_block_request q;
    u32 r = trv_block_info(0, &info);
    if (r == TRV_E_NONE) {
        step(1, "block");
        text("no disk (-drive if=pv,file=...)");
        end_line();
        return;
    }
    for (u32 k = 0; k < sizeof sector; k++)
        sector[k] = (u8)(k * 7 + k / 256);
    q = (struct trv_block_request){1, (u64)sector, 2, 0};
    u32 written = trv_block_write(0, &q), flushed = trv_block_flush(0);
    for (u32 k = 0; k < sizeof sector; k++)
        sector[k] = 0;
    u32 got = trv_block_read(0, &q), same = 1;
    for (u32 k = 0; k < sizeof sector; k++)
        same &= sector[k] == (u8)(k * 7 + k / 256);
    q = (struct trv_block_request){info.sectors, (u64)sector, 1, 0};
    u32 beyond = trv_block_read(0, &q);
    q = (struct trv_block_request){0, (u64)sector, 1, 0};
    u32 first = trv_block_read(0, &q);
    step(!r && written == 2 && !flushed && got == 2 && same && beyond == TRV_E_RANGE && first == 1,
         "block");
    number(info.sectors);
    text(" sectors, 2 written, flushed and read back; the first begins \"");
    for (u32 k = 0; k < 16 && sector[k] >= 32 && sector[k] < 127; k++)
        text((char[]){(char)sector[k], 0});
    text("\"");
    end_line();
}

/* Two pages that change places under one window, twice; the TLB is flushed by the call. */
static u64 table[512] __attribute__((aligned(4096)));
static u8 page[2][4096] __attribute__((aligned(4096)));

static void mmu(void)
{
    enum { WINDOW = 0x40000000 }; /* 1 GiB: entry 0 of the second page directory */
    volatile u8 *w = (volatile u8 *)(u64)WINDOW;
    u64 directory_entry = 0x10000 + 0x2000 + 0x1000;
    static struct trv_mmu_entry e[3];
    for (u32 k = 0; k < 2; k++)
        page[k][0] = (u8)(10 + k);
    e[0] = (struct trv_mmu_entry){(u64)&table[0], (u64)page[0] | 3};
    e[1] = (struct trv_mmu_entry){(u64)&table[1], (u64)page[1] | 3};
    e[2] = (struct trv_mmu_entry){directory_entry, (u64)table | 3};
    u32 n = trv_mmu_update(e, 3);
    u32 was = w[0] * 100u + w[4096];
    e[0].value = (u64)page[1] | 3;
    e[1].value = (u64)page[0] | 3;
    u32 m = trv_mmu_update(e, 2);
    u32 is = w[0] * 100u + w[4096];
    step(n == 3 && m == 2 && was == 1011 && is == 1110, "mmu");
    text("two pages mapped, then exchanged: ");
    number(was);
    text(" became ");
    number(is);
    end_line();
}

static void errors(void)
{
    u32 unknown = raw_call(1000, 0, 0, 0);
    u32 address = trv_console_write((void *)0xfffff000ul, 8);
    u32 argument = trv_event_bind(TRV_CHANNELS, 0);
    step(unknown == TRV_UNKNOWN && address == TRV_E_ADDRESS && argument == TRV_E_ARGUMENT,
         "errors");
    text("an unknown call, an address without RAM and a channel too many are refused");
    end_line();
}

static void stats(void)
{
    static struct trv_stats s;
    u32 n = trv_stats(&s, sizeof s);
    step(n == sizeof s && s.interrupts == 2 && s.hypercalls > 20, "stats");
    text("interrupts ");
    number(s.interrupts);
    text(", hypercalls ~");
    number(s.hypercalls);
    text(", instructions ~");
    number(s.instructions);
    end_line();
}

/* The one thing that is not the interface's: a word on the serial port when nobody answers. */
static void nobody(void)
{
    __asm__ volatile("outb %0, %1" ::"a"((u8)3), "d"((u16)0x3fb)); /* eight data bits */
    for (const char *s = "pvdemo: nobody answers here; it wants -pv trv\r\n"; *s; s++)
        __asm__ volatile("outb %0, %1" ::"a"(*s), "d"((u16)0x3f8));
}

void guest_main(void)
{
    if (!trv_present()) {
        nobody();
    } else {
        interrupts_init();
        text("Trivisor pvdemo: a guest without drivers");
        end_line();
        identify();
        console();
        clock();
        timer();
        yield();
        event();
        block();
        mmu();
        errors();
        stats();
        text(failed ? "FAILED" : "Done: power off");
        end_line();
    }
    /* PM1 control of both boards: soft off */
    __asm__ volatile("outw %0, %1" ::"a"((u16)0x2000), "d"((u16)0x604));
}
