/*
 * cpu/debug.c - debug registers: breakpoints on execution, data and I/O, single step.
 *
 * While any breakpoint is enabled (or TF is set) the run loop executes one instruction at a time
 * (PEND_STEP), which is what makes traps exact. A debugger's watches (breaks.c) share the mmu's
 * hooks. Intel SDM vol. 3, chapter 17.2-17.3.
 */
#include "cpu/breaks_priv.h"
#include "cpu/exec_priv.h"

enum { DR7_EXEC = 0, DR7_WRITE = 1, DR7_IO = 2, DR7_RW = 3 };
#define DR6_FIXED 0xffff0ff0ull

static bool enabled(const struct cpu *cpu, int n)
{
    return cpu->dr[7] >> (2 * n) & 3;
}
static int kind(const struct cpu *cpu, int n)
{
    return (int)(cpu->dr[7] >> (16 + 4 * n)) & 3;
}
static u64 length(const struct cpu *cpu, int n)
{
    static const u8 len[4] = {1, 2, 8, 4};
    return len[cpu->dr[7] >> (18 + 4 * n) & 3];
}

/* Which enabled breakpoints of the given kinds (bit mask) overlap [a, a+size). */
static u64 hits(const struct cpu *cpu, u64 a, u64 size, u32 kinds)
{
    u64 h = 0;
    for (int n = 0; n < 4; n++) {
        u64 len = kind(cpu, n) == DR7_EXEC ? 1 : length(cpu, n);
        u64 at = cpu->dr[n] & ~(len - 1);
        if (enabled(cpu, n) && (kinds >> kind(cpu, n) & 1) && a < at + len && at < a + size)
            h |= BIT(n);
    }
    return h;
}

static bool watch_page(void *ctx, gla page)
{
    return hits(ctx, page, PAGE_SIZE, BIT(DR7_WRITE) | BIT(DR7_RW)) != 0 ||
           breaks_watch_page(ctx, page);
}

static void watch(void *ctx, gla a, int size, bool write)
{
    struct cpu *cpu = ctx;
    cpu->dr6_pending |= hits(cpu, a, (u64)size, write ? BIT(DR7_WRITE) | BIT(DR7_RW) : BIT(DR7_RW));
    breaks_watch(cpu, a, (u64)size, write);
}

void write_dr(struct cpu *cpu, int n, u64 v)
{
    if (n >= 6 && (v >> 32))
        raise_gp0(cpu);
    switch (n) {
    case 6:
        cpu->dr[6] = (v & 0xe00f) | DR6_FIXED;
        break;
    case 7:
        cpu->dr[7] = (v & 0xffff27ff) | 0x400;
        break;
    default:
        cpu->dr[n] = v;
        break;
    }
    debug_sync(cpu);
}

void debug_sync(struct cpu *cpu)
{
    bool was = cpu->mmu.watch != NULL, data = false;
    for (int k = 0; k < 4; k++)
        data = data || (enabled(cpu, k) && kind(cpu, k) != DR7_EXEC);
    cpu->watch_on = data;
    data = data || (cpu->breaks && cpu->breaks->n_watch);
    cpu->mmu.watch_page = data ? watch_page : NULL;
    cpu->mmu.watch = data ? watch : NULL;
    if (was || data)
        mmu_flush_all(&cpu->mmu);
    if (cpu->dr[7] & 0xff)
        cpu->pending |= PEND_STEP;
}

void debug_io(struct cpu *cpu, u16 port, int size)
{
    if (cpu->cr4 & CR4_DE)
        cpu->dr6_pending |= hits(cpu, port, (u64)size, BIT(DR7_IO));
}

void debug_fetch(struct cpu *cpu, gla rip)
{
    u64 h = hits(cpu, rip, 1, BIT(DR7_EXEC));
    if (!h || (cpu->flsys & FL_RF))
        return;
    cpu->dr[6] = (cpu->dr[6] & ~0xfull) | h;
    cpu_raise(cpu, EX_DB);
}

void debug_trap(struct cpu *cpu)
{
    u64 p = cpu->dr6_pending;
    cpu->dr6_pending = 0;
    cpu->dr[6] = (cpu->dr[6] & ~0xfull) | p;
    cpu_raise(cpu, EX_DB);
}
