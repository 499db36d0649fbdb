/*
 * roms/compare/paravirt.c - the work of hardware.c by hypercalls of our own interface
 * (docs/pv-abi.md), and clock reads from kvmclock's page (docs/pv-kvm.md).
 */
#include "roms/compare/guest.h"
#include "pv/guest/trv_calls.h"

static __attribute__((interrupt)) void on_tick(struct frame *f)
{
    (void)f;
    ticks++;
    local_apic(0xb0, 0); /* end of interrupt */
}

void paravirt_init(void)
{
    gate(TIMER_VECTOR, (void *)on_tick);
    local_apic(0xf0, 0x1ff); /* on; spurious interrupts are vector 255 */
}

/* ---- disk ------------------------------------------------------------------------------------ */
static int transfer(u32 chunk, int write)
{
    static struct trv_block_request q;
    enum { SECTORS = CHUNK / TRV_SECTOR };
    q = (struct trv_block_request){(u64)chunk * SECTORS, (u64)buffer, SECTORS, 0};
    return (write ? trv_block_write(0, &q) : trv_block_read(0, &q)) == SECTORS;
}

u64 pv_disk_read(u32 count)
{
    disk_fill(transfer);
    return disk_read(count, transfer);
}

u64 pv_disk_write(u32 count)
{
    return disk_write(count, transfer);
}

/* ---- clock ----------------------------------------------------------------------------------- */
u64 pv_clock(u32 count)
{
    static struct trv_clock c;
    u64 sum = 0, before = 0;
    for (u32 k = 0; k < count; k++) {
        trv_clock_read(&c);
        sum += c.ns >= before;
        before = c.ns;
    }
    return sum;
}

static volatile struct {
    u32 version, pad;
    u64 tsc, ns;
    u32 mul;
    signed char shift;
    u8 flags, pad2[2];
} page __attribute__((aligned(64)));

void kvmclock_init(void)
{
    wrmsr(0x4b564d01, (u64)&page | 1); /* MSR_KVM_SYSTEM_TIME_NEW */
}

static u64 kvmclock(void)
{
    u64 ns;
    u32 version, low, high;
    do {
        version = page.version;
        __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
        u64 d = ((u64)high << 32 | low) - page.tsc;
        d = page.shift < 0 ? d >> -page.shift : d << page.shift;
        ns = page.ns + (u64)((unsigned __int128)d * page.mul >> 32);
    } while ((version & 1) || version != page.version);
    return ns;
}

u64 pv_kvmclock(u32 count)
{
    u64 sum = 0, before = 0;
    for (u32 k = 0; k < count; k++) {
        u64 now = kvmclock();
        sum += now >= before;
        before = now;
    }
    return sum;
}

/* ---- console, timer -------------------------------------------------------------------------- */
u64 pv_console(u32 count)
{
    static char line[LINE];
    u64 sum = 0;
    for (u32 k = 0; k < count; k++) {
        fill_line(line, k);
        if (trv_console_write(line, LINE) == LINE)
            sum += (u8)line[0];
    }
    return sum;
}

u64 pv_timer(u32 count)
{
    static struct trv_clock c;
    ticks = 0;
    trv_clock_read(&c);
    for (u32 k = 0; k < count; k++) {
        trv_timer_arm(c.ns + (u64)(k + 1) * TICK_NS, TIMER_VECTOR);
        while (ticks == k)
            trv_halt();
    }
    return ticks;
}
