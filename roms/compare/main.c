/*
 * roms/compare/main.c - the guest of `trivisor compare`: one kind of work, done one way.
 *
 * What it is: the command line says "WORK COUNT WAY", way being hardware, trv, kvm or virtio. The
 * work is done many times: a part of it to warm up, then in turns for the clock and for the ledger
 * of causes. Between them it writes marks to port E9h, and at the end its checksum and the word
 * "done". What it is not: an operating system; nothing is shared between kinds of work but the
 * pattern. Invariant: a checksum depends on WORK and COUNT only, never on the way.
 */
#include "roms/compare/guest.h"

enum { MARK = 0xe9, ROUNDS = 7 };

void guest_main(u32 start_info);

u8 buffer[CHUNK] __attribute__((aligned(4096)));
volatile u32 ticks;

static const struct work {
    const char *name;
    work_fn *hardware, *trv, *kvm, *virtio; /* NULL: no way of its own, the hardware's is taken */
} works[] = {
    {"compute", work_compute, 0, 0, 0},
    {"syscalls", work_syscalls, 0, 0, 0},
    {"faults", work_faults, 0, 0, 0},
    {"switch", work_switch, 0, 0, 0},
    {"remap", work_remap, work_remap_by_call, 0, 0},
    {"disk-read", hw_disk_read, pv_disk_read, 0, 0},
    {"disk-write", hw_disk_write, pv_disk_write, 0, 0},
    {"fork", work_fork, work_fork_by_call, 0, 0},
    {"virtio-read", hw_disk_read, 0, 0, virtio_read},
    {"virtio-write", hw_disk_write, 0, 0, virtio_write},
    {"virtio-queue", hw_disk_read, 0, 0, virtio_queued},
    {"network", e1000_network, 0, 0, virtio_network},
    {"disk-pio", hw_disk_pio, pv_disk_read, 0, 0},
    {"clock", hw_clock, pv_clock, 0, 0},
    {"kvmclock", hw_clock, 0, pv_kvmclock, 0},
    {"console", hw_console, pv_console, 0, 0},
    {"timer", hw_timer, pv_timer, 0, 0},
};

/* ---- what the ways share --------------------------------------------------------------------- */
void pattern(u32 chunk)
{
    u64 v = chunk * 0x1000193ul + 1;
    for (u32 k = 0; k < CHUNK / 8; k++)
        ((u64 *)buffer)[k] = v = v * 6364136223846793005ul + 1442695040888963407ul;
}

u64 sum_of(const void *chunk)
{
    u64 sum = 0;
    for (u32 k = 0; k < CHUNK / 8; k += 8)
        sum = mix(sum, ((const u64 *)chunk)[k]);
    return sum;
}

u64 buffer_sum(void)
{
    return sum_of(buffer);
}

u32 nth_chunk(u32 k)
{
    return k * 101 % CHUNKS;
}

void fill_line(char *line, u32 k)
{
    for (u32 n = 0; n < LINE - 1; n++)
        line[n] = (char)(' ' + (k + n) % 94);
    line[LINE - 1] = '\n';
}

/* ---- interrupts ------------------------------------------------------------------------------ */
struct gate_words {
    u16 low, selector, type, mid;
    u32 high, zero;
};
static struct gate_words idt[256];

void gate(int vector, void *handler)
{
    u64 p = (u64)handler;
    idt[vector] = (struct gate_words){(u16)p, 0x18, 0x8e00, (u16)(p >> 16), (u32)(p >> 32), 0};
}

void local_apic(u32 reg, u32 v)
{
    *(volatile u32 *)(0xfee00000ul + reg) = v;
}

/* ---- the host's end ---------------------------------------------------------------------------*/
static void say(const char *s)
{
    while (*s)
        outb(MARK, (u8)*s++);
}

static void say_hex(u64 v)
{
    for (int k = 60; k >= 0; k -= 4)
        outb(MARK, (u8) "0123456789abcdef"[v >> k & 15]);
}

static _Noreturn void end(void)
{
    say("\n");
    __asm__ volatile("outw %0, %1" ::"a"((u16)0x2000), "d"((u16)0x604)); /* soft off */
    for (;;)
        __asm__ volatile("cli; hlt");
}

static __attribute__((interrupt)) void unexpected(struct frame *f)
{
    (void)f;
    say("an exception that is not part of the work");
    end();
}

/* ---- the command line ------------------------------------------------------------------------ */
static int word_is(const char **p, const char *word)
{
    const char *s = *p;
    while (*word && *s == *word)
        s++, word++;
    if (*word || (*s && *s != ' '))
        return 0;
    *p = *s ? s + 1 : s;
    return 1;
}

void guest_main(u32 start_info)
{
    const char *p = *(const char **)(u64)(start_info + 24);
    const struct work *w = 0;
    struct {
        u16 limit;
        u64 base;
    } __attribute__((packed)) table = {sizeof idt - 1, (u64)idt};
    for (int k = 0; k < 32; k++)
        gate(k, (void *)unexpected);
    __asm__ volatile("lidt %0" ::"m"(table));

    for (u32 k = 0; !w && k < sizeof works / sizeof works[0]; k++)
        if (word_is(&p, works[k].name))
            w = &works[k];
    u32 count = 0;
    while (*p >= '0' && *p <= '9')
        count = count * 10 + (u32)(*p++ - '0');
    p += *p == ' ';
    int trv = word_is(&p, "trv"), kvm = !trv && word_is(&p, "kvm");
    int virtio = !trv && !kvm && word_is(&p, "virtio");
    if (!w || !count) {
        say("no such work");
        end();
    }
    cpu_init();
    hardware_init();
    e1000_init();
    if (trv)
        paravirt_init();
    if (kvm)
        kvmclock_init();
    if (virtio)
        virtio_init();
    work_fn *own = trv ? w->trv : kvm ? w->kvm : virtio ? w->virtio : 0;
    work_fn *run = own ? own : w->hardware;

    run(count / 4 + 1);
    u64 sum = 0;
    for (u32 round = 0; round < ROUNDS; round++) {
        for (u32 k = 0; k < 2; k++) {
            say(k ? "L" : "B");
            u64 now = run(count);
            say(k ? "M" : "E");
            if (now != sum && round + k) {
                say("two runs differ");
                end();
            }
            sum = now;
        }
    }
    say_hex(sum);
    say("done");
    end();
}
