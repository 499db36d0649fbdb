/*
 * cpu/lapic.c - the local APIC: xAPIC registers in memory, x2APIC registers as MSRs, its timer.
 *
 * The timer's input is a 1 GHz bus clock (one tick a virtual nanosecond before the divider); the
 * TSC-deadline mode compares with the guest's TSC (cpu_tsc_hz()). Messages from IOAPICs,
 * MSIs and other processors come in by lapic_message(); with one vCPU, what is not for it is for
 * nobody.
 *
 * LINT0 of the boot processor comes out of reset unmasked as ExtINT (the MP specification's virtual
 * wire mode, 3.6.2.1), so that software which never touches the APIC gets the PIC's interrupts.
 * Not there: suppression of EOI broadcasts, SMI, thermal and performance sources (the registers
 * are), lowest-priority arbitration (one processor).
 * Manuals: Intel SDM vol. 3, ch. 10; AMD APM vol. 2, ch. 16. The guest's register values are
 * hostile; every vector is masked to 8 bits.
 */
#include "base/log.h"
#include "cpu/exec_priv.h"

#include <stdlib.h>

enum { BASE_BSP = BIT(8), BASE_X2APIC = BIT(10), BASE_ENABLE = BIT(11) };
enum { LVT_TIMER, LVT_THERMAL, LVT_PERF, LVT_LINT0, LVT_LINT1, LVT_ERROR, LVT_COUNT };
enum { LVT_MASKED = BIT(16), LVT_MODE = 7 << 8, LVT_TIMER_MODE = 3 << 17 };
enum { TIMER_PERIODIC = 1 << 17, TIMER_DEADLINE = 2 << 17 };
enum { SVR_ENABLE = BIT(8) };
enum { ERR_SEND_VECTOR = BIT(5), ERR_RECV_VECTOR = BIT(6), ERR_REGISTER = BIT(7) };
enum delivery { DM_FIXED, DM_LOWEST, DM_SMI, DM_NMI = 4, DM_INIT, DM_SIPI, DM_EXTINT };
enum { VERSION = 0x14 | (LVT_COUNT - 1) << 16 };
enum { X2_MSR = 0x800 };
/* Registers, as offset / 16. */
enum {
    REG_ID = 0x02,
    REG_VERSION = 0x03,
    REG_TPR = 0x08,
    REG_APR = 0x09,
    REG_PPR = 0x0a,
    REG_EOI = 0x0b,
    REG_LDR = 0x0d,
    REG_DFR = 0x0e,
    REG_SVR = 0x0f,
    REG_ISR = 0x10,
    REG_TMR = 0x18,
    REG_IRR = 0x20,
    REG_ESR = 0x28,
    REG_ICR = 0x30,
    REG_ICR_HIGH = 0x31,
    REG_LVT = 0x32,
    REG_TIMER_INIT = 0x38,
    REG_TIMER_NOW = 0x39,
    REG_TIMER_DIV = 0x3e,
    REG_SELF_IPI = 0x3f,
};
/* A periodic timer faster than this would only starve the machine. */
enum { MIN_PERIOD_NS = 10000 };

struct lapic {
    struct device dev;
    struct cpu *cpu;
    struct clock *clk;
    struct timer timer;
    u32 id, tpr, ldr, dfr, svr, esr, esr_latch, icr, icr_high;
    u32 lvt[LVT_COUNT];
    u32 isr[8], tmr[8], irr[8];
    u32 timer_init, timer_div;
    u64 timer_start; /* ns at which the running count was loaded */
    u64 deadline;    /* IA32_TSC_DEADLINE; 0: not armed */
    bool lint0, extint;
    bool lent; /* the guest may end the highest in service without telling (cpu->pv_lend_eoi) */
};

/* ---- vectors -------------------------------------------------------------------------------- */
static int highest(const u32 set[8])
{
    for (int k = 7; k >= 0; k--)
        if (set[k])
            return k * 32 + 31 - __builtin_clz(set[k]);
    return -1;
}

static void set_bit(u32 set[8], int v, bool on)
{
    if (on)
        set[v >> 5] |= BIT(v & 31);
    else
        set[v >> 5] &= ~BIT(v & 31);
}

static bool hw_enabled(const struct lapic *l)
{
    return l->cpu->apic_base & BASE_ENABLE;
}

static bool x2apic(const struct lapic *l)
{
    return (l->cpu->apic_base & (BASE_ENABLE | BASE_X2APIC)) == (BASE_ENABLE | BASE_X2APIC);
}

static bool sw_enabled(const struct lapic *l)
{
    return hw_enabled(l) && (l->svr & SVR_ENABLE);
}

static u32 ppr(const struct lapic *l)
{
    int isrv = highest(l->isr);
    u32 in_service = isrv < 0 ? 0 : (u32)isrv & 0xf0;
    return (l->tpr & 0xf0) >= in_service ? l->tpr : in_service;
}

static void lvt_deliver(struct lapic *l, int n);

static void error(struct lapic *l, u32 bit)
{
    bool first = !(l->esr_latch & bit);
    l->esr_latch |= bit;
    if (first)
        lvt_deliver(l, LVT_ERROR);
}

/* Whether the guest has ended the interrupt whose end it need not tell, as far as it has. */
static void settle(struct lapic *l)
{
    if (likely(!l->lent))
        return;
    l->lent = false;
    if (l->cpu->pv_reclaim_eoi && l->cpu->pv_reclaim_eoi(l->cpu->pv_ctx)) {
        int v = highest(l->isr);
        if (v >= 0)
            set_bit(l->isr, v, false);
    }
}

static void accept_fixed(struct lapic *l, int vector, bool level)
{
    if (vector < 16) {
        error(l, ERR_RECV_VECTOR);
        return;
    }
    settle(l);
    set_bit(l->irr, vector, true);
    set_bit(l->tmr, vector, level);
    cpu_update_intr(l->cpu);
}

/* A local source fires. */
static void lvt_deliver(struct lapic *l, int n)
{
    u32 v = l->lvt[n];
    if (!sw_enabled(l) || (v & LVT_MASKED))
        return;
    switch (n == LVT_TIMER || n == LVT_ERROR ? DM_FIXED : (enum delivery)((v & LVT_MODE) >> 8)) {
    case DM_FIXED:
        if (n == LVT_ERROR && (v & 0xff) < 16)
            return; /* would report itself for ever */
        accept_fixed(l, v & 0xff, false);
        break;
    case DM_NMI:
        cpu_raise_nmi(l->cpu);
        break;
    default: /* ExtINT is asked for by lapic_extint() */
        break;
    }
}

int lapic_pending(struct lapic *l)
{
    if (!sw_enabled(l))
        return -1;
    int v = highest(l->irr);
    return v >= 0 && ((u32)v & 0xf0) > (ppr(l) & 0xf0) ? v : -1;
}

int lapic_accept(struct lapic *l)
{
    settle(l);
    int v = lapic_pending(l);
    if (v < 0)
        return l->svr & 0xff;
    set_bit(l->irr, v, false);
    set_bit(l->isr, v, true);
    /* While nothing waits for its end, and no IOAPIC does, that may go unnoticed. */
    struct cpu *cpu = l->cpu;
    if (cpu->pv_lend_eoi && highest(l->irr) < 0 && !(l->tmr[v >> 5] & BIT(v & 31)))
        l->lent = cpu->pv_lend_eoi(cpu->pv_ctx);
    return v;
}

static void eoi(struct lapic *l)
{
    settle(l);
    int v = highest(l->isr);
    if (v < 0)
        return;
    set_bit(l->isr, v, false);
    if (l->tmr[v >> 5] & BIT(v & 31) && l->cpu->eoi_hook)
        l->cpu->eoi_hook(l->cpu->eoi_ctx, v);
    cpu_update_intr(l->cpu);
}

bool lapic_extint(const struct lapic *l)
{
    if (!hw_enabled(l) || l->extint)
        return true;
    u32 v = l->lvt[LVT_LINT0];
    return !(v & LVT_MASKED) && (v & LVT_MODE) >> 8 == DM_EXTINT;
}

void lapic_set_lint0(struct lapic *l, bool level)
{
    bool rise = level && !l->lint0;
    l->lint0 = level;
    if (rise)
        lvt_deliver(l, LVT_LINT0);
}

/* ---- the interrupt bus ---------------------------------------------------------------------- */
static bool for_us(const struct lapic *l, u32 dest, bool logical)
{
    if (x2apic(l)) {
        if (dest == ~0u || (!logical && dest == 0xff))
            return true;
        u32 ldr = (l->id >> 4) << 16 | BIT(l->id & 15);
        return logical ? dest >> 16 == ldr >> 16 && (dest & ldr & 0xffff) : dest == l->id;
    }
    dest &= 0xff;
    if (!logical)
        return dest == 0xff || dest == (l->id & 0xff);
    u32 ldr = l->ldr >> 24;
    if (l->dfr >> 28 == 0xf)
        return dest & ldr;
    return (dest >> 4 == 0xf || dest >> 4 == ldr >> 4) && (dest & ldr & 0xf);
}

static void receive(struct lapic *l, int mode, int vector, bool level)
{
    struct cpu *cpu = l->cpu;
    switch (mode) {
    case DM_FIXED:
    case DM_LOWEST:
        if (sw_enabled(l))
            accept_fixed(l, vector & 0xff, level);
        break;
    case DM_NMI:
        cpu_raise_nmi(cpu);
        break;
    case DM_INIT:
        cpu->pending |= PEND_INIT;
        cpu_cut_slice(cpu);
        break;
    case DM_SIPI:
        if (cpu->pending & PEND_SIPI_WAIT) {
            cpu_set_seg(cpu, SEG_CS, (u16)((vector & 0xff) << 8), (u64)(vector & 0xff) << 12,
                        0xffff, cpu->seg[SEG_CS].attr);
            cpu->rip = 0;
            cpu->pending &= ~(u32)(PEND_SIPI_WAIT | PEND_HALT);
            cpu->halted = false;
        }
        break;
    case DM_EXTINT:
        l->extint = true;
        cpu_update_intr(cpu);
        break;
    default:
        break;
    }
}

void lapic_message(struct lapic *l, u32 dest, bool logical, int mode, int vector, bool level)
{
    if (hw_enabled(l) && for_us(l, dest, logical))
        receive(l, mode, vector, level);
}

/* ICR written: dest is 8 bits, or 32 in x2APIC mode. */
static void send_ipi(struct lapic *l, u32 icr, u32 dest)
{
    int mode = (icr >> 8) & 7, vector = icr & 0xff;
    bool trigger_level = icr & BIT(15), asserted = icr & BIT(14);
    if (mode == DM_INIT && trigger_level && !asserted)
        return; /* INIT level de-assert: synchronises arbitration IDs of old parts */
    if ((mode == DM_FIXED || mode == DM_LOWEST) && vector < 16) {
        error(l, ERR_SEND_VECTOR);
        return;
    }
    switch (icr >> 18 & 3) {
    case 0:
        lapic_message(l, dest, icr & BIT(11), mode, vector, trigger_level);
        break;
    case 1:
    case 2:
        receive(l, mode, vector, trigger_level);
        break;
    default: /* all but self: there is nobody else */
        break;
    }
}

/* ---- the timer ------------------------------------------------------------------------------ */
static int div_shift(const struct lapic *l)
{
    u32 d = (l->timer_div & 3) | (l->timer_div >> 1 & 4);
    return (int)((d + 1) & 7);
}

static u64 period_ns(const struct lapic *l)
{
    return (u64)l->timer_init << div_shift(l);
}

static u32 timer_mode(const struct lapic *l)
{
    return l->lvt[LVT_TIMER] & LVT_TIMER_MODE;
}

static u32 timer_now(const struct lapic *l)
{
    if (!l->timer_init || timer_mode(l) & TIMER_DEADLINE)
        return 0;
    u64 ticks = (clock_now(l->clk) - l->timer_start) >> div_shift(l);
    if (timer_mode(l) == TIMER_PERIODIC)
        return l->timer_init - (u32)(ticks % l->timer_init);
    return ticks >= l->timer_init ? 0 : l->timer_init - (u32)ticks;
}

/* Arms the timer for what the registers say. */
static void timer_update(struct lapic *l)
{
    u64 now = clock_now(l->clk);
    if (timer_mode(l) & TIMER_DEADLINE) {
        if (!l->deadline) {
            timer_disarm(&l->timer);
            return;
        }
        u64 tsc = read_tsc(l->cpu), ahead = l->deadline > tsc ? l->deadline - tsc : 0;
        u64 ns = muldiv64(MIN(ahead, 1ull << 62), NS_PER_SEC, cpu_tsc_hz(l->cpu));
        /* up, so that the TSC has reached the deadline when it fires */
        timer_arm(&l->timer, now + ns + (ahead != 0));
        return;
    }
    if (!l->timer_init) {
        timer_disarm(&l->timer);
        return;
    }
    u64 period = period_ns(l), since = now - l->timer_start;
    if (timer_mode(l) == TIMER_PERIODIC)
        timer_arm(&l->timer, now + MAX(period - since % period, (u64)MIN_PERIOD_NS));
    else if (since < period)
        timer_arm(&l->timer, l->timer_start + period);
    else
        timer_disarm(&l->timer);
}

static void timer_fired(void *ctx)
{
    struct lapic *l = ctx;
    if (timer_mode(l) & TIMER_DEADLINE)
        l->deadline = 0;
    lvt_deliver(l, LVT_TIMER);
    if (timer_mode(l) == TIMER_PERIODIC)
        timer_update(l); /* periods missed while the host was away are not made up for */
}

void lapic_set_deadline(struct lapic *l, u64 tsc)
{
    if (!(timer_mode(l) & TIMER_DEADLINE))
        return; /* ignored in the other modes (SDM vol. 3, 10.5.4.1) */
    l->deadline = tsc;
    timer_update(l);
}

u64 lapic_deadline(const struct lapic *l)
{
    return l->deadline;
}

/* ---- registers ------------------------------------------------------------------------------ */
u64 lapic_tpr(const struct lapic *l)
{
    return l->tpr;
}

void lapic_set_tpr(struct lapic *l, u64 tpr)
{
    l->tpr = (u32)tpr & 0xff;
    cpu_update_intr(l->cpu);
}

static void mask_all(struct lapic *l)
{
    for (int n = 0; n < LVT_COUNT; n++)
        l->lvt[n] |= LVT_MASKED;
}

static void write_lvt(struct lapic *l, int n, u32 v)
{
    static const u32 writable[LVT_COUNT] = {
        [LVT_TIMER] = 0xff | LVT_MASKED | LVT_TIMER_MODE,
        [LVT_THERMAL] = 0xff | LVT_MODE | LVT_MASKED,
        [LVT_PERF] = 0xff | LVT_MODE | LVT_MASKED,
        [LVT_LINT0] = 0xff | LVT_MODE | BIT(13) | BIT(15) | LVT_MASKED,
        [LVT_LINT1] = 0xff | LVT_MODE | BIT(13) | BIT(15) | LVT_MASKED,
        [LVT_ERROR] = 0xff | LVT_MASKED,
    };
    u32 old = l->lvt[n];
    v &= writable[n];
    if (n == LVT_TIMER && !cpu_has(l->cpu, FEAT_TSCDL))
        v &= ~(u32)TIMER_DEADLINE;
    if (!(l->svr & SVR_ENABLE))
        v |= LVT_MASKED;
    l->lvt[n] = v;
    if (n == LVT_TIMER && (old ^ v) & LVT_TIMER_MODE) {
        if ((old ^ v) & TIMER_DEADLINE) { /* into or out of deadline mode disarms */
            l->deadline = 0;
            l->timer_init = 0;
        }
        timer_update(l);
    }
    if (n == LVT_LINT0)
        cpu_update_intr(l->cpu);
}

static u32 read_reg(struct lapic *l, u32 reg)
{
    if (reg >= REG_ISR && reg < REG_ISR + 8)
        return l->isr[reg - REG_ISR];
    if (reg >= REG_TMR && reg < REG_TMR + 8)
        return l->tmr[reg - REG_TMR];
    if (reg >= REG_IRR && reg < REG_IRR + 8)
        return l->irr[reg - REG_IRR];
    if (reg >= REG_LVT && reg < REG_LVT + LVT_COUNT)
        return l->lvt[reg - REG_LVT];
    switch (reg) {
    case REG_ID:
        return x2apic(l) ? l->id : l->id << 24;
    case REG_VERSION:
        return VERSION;
    case REG_TPR:
        return l->tpr;
    case REG_APR:
    case REG_PPR:
        return ppr(l);
    case REG_LDR:
        return x2apic(l) ? (l->id >> 4) << 16 | BIT(l->id & 15) : l->ldr;
    case REG_DFR:
        return l->dfr;
    case REG_SVR:
        return l->svr;
    case REG_ESR:
        return l->esr;
    case REG_ICR:
        return l->icr;
    case REG_ICR_HIGH:
        return l->icr_high;
    case REG_TIMER_INIT:
        return l->timer_init;
    case REG_TIMER_NOW:
        return timer_now(l);
    case REG_TIMER_DIV:
        return l->timer_div;
    default:
        return 0;
    }
}

static void write_reg(struct lapic *l, u32 reg, u32 v)
{
    if (reg >= REG_LVT && reg < REG_LVT + LVT_COUNT) {
        write_lvt(l, (int)(reg - REG_LVT), v);
        return;
    }
    switch (reg) {
    case REG_TPR:
        lapic_set_tpr(l, v);
        break;
    case REG_EOI:
        eoi(l);
        break;
    case REG_LDR:
        l->ldr = v & 0xff000000;
        break;
    case REG_DFR:
        l->dfr = v | 0x0fffffff;
        break;
    case REG_SVR:
        l->svr = v & 0x1ff;
        if (!(v & SVR_ENABLE))
            mask_all(l);
        cpu_update_intr(l->cpu);
        break;
    case REG_ESR:
        l->esr = l->esr_latch;
        l->esr_latch = 0;
        break;
    case REG_ICR:
        l->icr = v & 0xccfff; /* delivery status reads as idle */
        send_ipi(l, v, x2apic(l) ? l->icr_high : l->icr_high >> 24);
        break;
    case REG_ICR_HIGH:
        l->icr_high = v & 0xff000000;
        break;
    case REG_TIMER_INIT:
        if (timer_mode(l) & TIMER_DEADLINE)
            break;
        l->timer_init = v;
        l->timer_start = clock_now(l->clk);
        timer_update(l);
        break;
    case REG_TIMER_DIV:
        l->timer_div = v & 0xb;
        l->timer_start = clock_now(l->clk);
        timer_update(l);
        break;
    case REG_ID: /* read-only, as on current parts */
    case REG_VERSION:
    case REG_APR:
    case REG_PPR:
    case REG_TIMER_NOW:
        break;
    default:
        error(l, ERR_REGISTER);
        break;
    }
}

/* ---- in memory (xAPIC) ---------------------------------------------------------------------- */
static u64 mmio_read(struct device *d, int region, u64 off, int size)
{
    struct lapic *l = container_of(d, struct lapic, dev);
    if (off >= 0x400)
        return 0;
    if (!(off & 15) && (off >> 4 < 2 || off >> 4 > REG_SELF_IPI - 1)) {
        error(l, ERR_REGISTER);
        return 0;
    }
    settle(l);
    return (off & 15) < 4 ? read_reg(l, (u32)off >> 4) >> (off & 3) * 8 : 0;
}

/* Registers are 32 bits wide on 16-byte boundaries; other accesses are undefined and dropped. */
static void mmio_write(struct device *d, int region, u64 off, u64 val, int size)
{
    struct lapic *l = container_of(d, struct lapic, dev);
    if (off >= 0x400 || (off & 15) || size < 4) {
        log_guest("lapic: %d-byte write at %#llx ignored", size, (unsigned long long)off);
        return;
    }
    write_reg(l, (u32)off >> 4, (u32)val);
}

static u64 mmio_peek(struct device *d, int region, u64 off, int size)
{
    struct lapic *l = container_of(d, struct lapic, dev);
    return off < 0x400 && (off & 15) < 4 ? read_reg(l, (u32)off >> 4) >> (off & 3) * 8 : 0;
}

/* ---- as MSRs (x2APIC; SDM vol. 3, 10.12.1.2) ------------------------------------------------ */
static bool x2_readable(u32 reg)
{
    switch (reg) {
    case REG_ID:
    case REG_VERSION:
    case REG_TPR:
    case REG_PPR:
    case REG_LDR:
    case REG_SVR:
    case REG_ESR:
    case REG_ICR:
    case REG_TIMER_INIT:
    case REG_TIMER_NOW:
    case REG_TIMER_DIV:
        return true;
    default:
        return (reg >= REG_ISR && reg < REG_IRR + 8) ||
               (reg >= REG_LVT && reg < REG_LVT + LVT_COUNT);
    }
}

bool lapic_read_msr(struct lapic *l, u32 msr, u64 *v)
{
    u32 reg = msr - X2_MSR;
    if (!x2apic(l) || !x2_readable(reg))
        return false;
    settle(l);
    *v = read_reg(l, reg);
    if (reg == REG_ICR)
        *v |= (u64)l->icr_high << 32;
    return true;
}

/* Bits that may be set in each writable register; 0 in bit 63: read-only or not there. */
static bool x2_writable(u32 reg, u64 v)
{
    u64 may;
    switch (reg) {
    case REG_TPR:
    case REG_SELF_IPI:
        may = 0xff;
        break;
    case REG_EOI:
    case REG_ESR:
        may = 0;
        break;
    case REG_SVR:
        may = 0x1fff;
        break;
    case REG_ICR:
        may = 0xffffffff000cdfff;
        break;
    case REG_TIMER_INIT:
        may = 0xffffffff;
        break;
    case REG_TIMER_DIV:
        may = 0xb;
        break;
    case REG_LVT + LVT_TIMER:
        may = 0x710ff;
        break;
    case REG_LVT + LVT_THERMAL:
    case REG_LVT + LVT_PERF:
        may = 0x117ff;
        break;
    case REG_LVT + LVT_LINT0:
    case REG_LVT + LVT_LINT1:
        may = 0x1f7ff;
        break;
    case REG_LVT + LVT_ERROR:
        may = 0x110ff;
        break;
    default:
        return false;
    }
    return !(v & ~may);
}

bool lapic_write_msr(struct lapic *l, u32 msr, u64 v)
{
    u32 reg = msr - X2_MSR;
    if (!x2apic(l) || !x2_writable(reg, v))
        return false;
    if (reg == REG_SELF_IPI) {
        send_ipi(l, (u32)v | 1u << 18, 0);
        return true;
    }
    if (reg == REG_ICR)
        l->icr_high = (u32)(v >> 32);
    write_reg(l, reg, (u32)v);
    return true;
}

/* ---- life ----------------------------------------------------------------------------------- */
void lapic_place(struct lapic *l)
{
    struct cpu *cpu = l->cpu;
    bool mapped = hw_enabled(l) && !x2apic(l);
    cpu->mmu.local_page = mapped ? cpu->apic_base & 0x000ffffffffff000 : ~0ull;
    cpu->mmu.local_dev = mapped ? &l->dev : NULL;
    mmu_flush_all(&cpu->mmu);
}

void lapic_set_base(struct lapic *l, u64 base)
{
    struct cpu *cpu = l->cpu;
    bool was_x2 = x2apic(l);
    cpu->apic_base = base;
    lapic_place(l);
    if (x2apic(l) != was_x2)
        l->icr_high = 0;
    if (!hw_enabled(l)) { /* loses its state; enabled again it is as after reset */
        timer_disarm(&l->timer);
        l->svr = 0xff;
        mask_all(l);
        l->timer_init = 0;
        l->deadline = 0;
        memset(l->irr, 0, sizeof(l->irr));
        memset(l->isr, 0, sizeof(l->isr));
        l->lent = false;
    }
    cpu_update_intr(cpu);
}

void lapic_reset(struct lapic *l)
{
    timer_disarm(&l->timer);
    l->id = l->cpu->id;
    l->tpr = l->ldr = l->esr = l->esr_latch = l->icr = l->icr_high = 0;
    l->dfr = ~0u;
    l->svr = 0xff;
    memset(l->isr, 0, sizeof(l->isr));
    memset(l->tmr, 0, sizeof(l->tmr));
    memset(l->irr, 0, sizeof(l->irr));
    for (int n = 0; n < LVT_COUNT; n++)
        l->lvt[n] = LVT_MASKED;
    if (l->id == 0)
        l->lvt[LVT_LINT0] = DM_EXTINT << 8;
    l->timer_init = l->timer_div = 0;
    l->timer_start = l->deadline = 0;
    l->extint = l->lent = false;
    lapic_set_base(l, 0xfee00000 | BASE_ENABLE | (l->id == 0 ? BASE_BSP : 0));
}

static void device_reset_op(struct device *d)
{
    lapic_reset(container_of(d, struct lapic, dev));
}

/* The restored registers are hostile: keep only what the guest could have written. */
static bool state_loaded(struct device *d)
{
    struct lapic *l = container_of(d, struct lapic, dev);
    l->tpr &= 0xff;
    l->svr &= 0x1ff;
    l->timer_div &= 0xb;
    l->timer_start = MIN(l->timer_start, clock_now(l->clk));
    l->irr[0] &= 0xffff0000;
    l->isr[0] &= 0xffff0000;
    cpu_update_intr(l->cpu);
    return true; /* the timer is armed as it was: at another moment than timer_update() would say */
}

static const struct field state[] = {
    FIELD_U(struct lapic, id),        FIELD_U(struct lapic, tpr),
    FIELD_U(struct lapic, ldr),       FIELD_U(struct lapic, dfr),
    FIELD_U(struct lapic, svr),       FIELD_U(struct lapic, esr),
    FIELD_U(struct lapic, esr_latch), FIELD_U(struct lapic, icr),
    FIELD_U(struct lapic, icr_high),  FIELD_A(struct lapic, lvt),
    FIELD_A(struct lapic, isr),       FIELD_A(struct lapic, tmr),
    FIELD_A(struct lapic, irr),       FIELD_U(struct lapic, timer_init),
    FIELD_U(struct lapic, timer_div), FIELD_U(struct lapic, timer_start),
    FIELD_U(struct lapic, deadline),  FIELD_B(struct lapic, lint0),
    FIELD_B(struct lapic, extint),    FIELD_B(struct lapic, lent),
    FIELD_T(struct lapic, timer),     FIELD_END,
};

static void destroy(struct device *d)
{
    struct lapic *l = container_of(d, struct lapic, dev);
    timer_disarm(&l->timer);
    free(l);
}

static const struct device_ops ops = {
    .name = "lapic",
    .reset = device_reset_op,
    .read = mmio_read,
    .write = mmio_write,
    .peek = mmio_peek,
    .state = state,
    .loaded = state_loaded,
    .destroy = destroy,
};

struct lapic *lapic_new(struct cpu *cpu, struct clock *clk)
{
    struct lapic *l = calloc(1, sizeof(*l));
    CHECK(l);
    l->dev.ops = &ops;
    l->cpu = cpu;
    l->clk = clk;
    timer_init(&l->timer, clk, timer_fired, l);
    return l;
}

void lapic_free(struct lapic *l)
{
    if (l)
        destroy(&l->dev);
}

struct device *lapic_device(struct lapic *l)
{
    return &l->dev;
}
