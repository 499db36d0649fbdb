/*
 * pv/trv.c - the host side of our own hypercall interface (docs/pv-abi.md): dispatch, console,
 * time, events, page tables, counters.
 *
 * Every call ends with 32 bits in EAX, and a 32-bit result clears the upper half of its register,
 * as any 32-bit write does. Interrupts go out through the local APIC, edge-triggered.
 */
#include "base/log.h"
#include "pv/guest_ram.h"
#include "pv/trv_priv.h"

#include <stdlib.h>

_Static_assert(sizeof(struct trv_clock) == 32 && sizeof(struct trv_mmu_entry) == 16 &&
                   sizeof(struct trv_stats) == 48,
               "layouts are the interface");

static void interrupt(struct trv *t, u32 vector)
{
    if (vector && t->w.cpu->lapic)
        cpu_apic_message(t->w.cpu, t->w.cpu->id, false, 0, (int)vector, false);
}

static bool vector_valid(u32 vector)
{
    return vector >= 16 && vector <= 255;
}

/* ---- the calls: each returns EAX ------------------------------------------------------------ */
static u32 identify(struct trv *t)
{
    struct cpu *cpu = t->w.cpu;
    cpu->gpr[RBX] = t->w.engine;
    cpu->gpr[RCX] = TRV_PERSONALITY_TRV;
    cpu->gpr[RDX] = BIT(TRV_CALLS) - 1;
    return TRV_ABI_VERSION;
}

static u32 console_write(struct trv *t, u32 at, u32 n)
{
    u8 text[256];
    if (!t->w.console)
        return TRV_E_NONE;
    if (n > TRV_CONSOLE_MAX)
        return TRV_E_ARGUMENT;
    if (!guest_ram_ok(t->w.mem, at, n))
        return TRV_E_ADDRESS;
    for (u32 k = 0, piece; k < n; k += piece) {
        piece = MIN(n - k, (u32)sizeof(text));
        if (!guest_ram_read(t->w.mem, (gpa)at + k, text, piece))
            break;
        chardev_write(t->w.console, text, piece);
    }
    return n;
}

static u32 clock_read(struct trv *t, u32 at)
{
    u64 now = clock_now(t->w.clk);
    struct trv_clock c = {now, clock_wall_epoch(t->w.clk) + now, now + (u64)t->w.cpu->tsc_offset,
                          NS_PER_SEC};
    return guest_ram_write(t->w.mem, at, &c, sizeof(c)) ? 0 : TRV_E_ADDRESS;
}

static u32 timer_arm_call(struct trv *t, u64 deadline, u32 vector)
{
    if (!t->w.cpu->lapic)
        return TRV_E_NONE;
    if (!deadline) {
        timer_disarm(&t->timer);
        return 0;
    }
    if (!vector_valid(vector))
        return TRV_E_ARGUMENT;
    t->timer_vector = vector;
    timer_arm(&t->timer, MIN(deadline, CLOCK_NEVER - 1));
    return 0;
}

static void timer_fired(void *ctx)
{
    struct trv *t = ctx;
    interrupt(t, t->timer_vector);
}

static u32 halt(struct trv *t)
{
    if (!t->pending) {
        t->w.cpu->halted = true;
        t->w.cpu->pending |= PEND_HALT;
    }
    return 0;
}

/* The page of RAM that page table entries are in: a batch seldom has more than a few. */
struct table_page {
    gpa page;
    hva p; /* NULL: none yet */
    struct ram *ram;
    u64 off;
};

static bool table_page(struct space *mem, gpa addr, struct table_page *t)
{
    gpa page = addr & PAGE_MASK;
    if (!t->p || t->page != page) {
        t->p = space_ram_ptr(mem, page, PAGE_SIZE, &t->ram, &t->off);
        t->page = page;
    }
    return t->p != NULL;
}

/* All entries are looked at before the first is written. An entry that was not present, or stays as
 * it is, has not been cached (SDM vol. 3, 4.10.2.3), so nothing need be flushed for it. For others
 * the linear address is not known: all are flushed, but for global ones if there are none. */
static u32 mmu_update(struct trv *t, u32 at, u32 n)
{
    const u64 present = 1 | 1ull << 32; /* also of the second of two 32-bit entries */
    struct trv_mmu_entry e[TRV_MMU_MAX];
    struct table_page t1 = {0}, t2 = {0};
    bool stale = false;
    if (n > TRV_MMU_MAX)
        return TRV_E_ARGUMENT;
    if (!guest_ram_read(t->w.mem, at, e, n * sizeof(e[0])))
        return TRV_E_ADDRESS;
    for (u32 k = 0; k < n; k++)
        if ((e[k].address & 7) || !table_page(t->w.mem, e[k].address, &t1))
            return TRV_E_ADDRESS;
    for (u32 k = 0; k < n && table_page(t->w.mem, e[k].address, &t2); k++) {
        u64 in_page = e[k].address & ~PAGE_MASK, was = ld_u64(t2.p + in_page);
        stale |= (was & present) && was != e[k].value;
        st_u64(t2.p + in_page, e[k].value);
        ram_note_write(t2.ram, t2.off + in_page, sizeof(u64));
    }
    if (stale && (t->w.cpu->cr4 & CR4_PGE))
        mmu_flush_all(&t->w.cpu->mmu);
    else if (stale)
        mmu_flush_nonglobal(&t->w.cpu->mmu);
    return n;
}

static u32 event_bind(struct trv *t, u32 channel, u32 vector)
{
    if (channel >= TRV_CHANNELS || (vector && !vector_valid(vector)))
        return TRV_E_ARGUMENT;
    t->vector[channel] = (u8)vector;
    return 0;
}

/* One that is pending already does not interrupt again. */
static u32 event_notify(struct trv *t, u32 channel)
{
    if (channel >= TRV_CHANNELS)
        return TRV_E_ARGUMENT;
    bool news = !(t->pending & BIT(channel));
    t->pending |= BIT(channel);
    if (news)
        interrupt(t, t->vector[channel]);
    return 0;
}

static u32 event_take(struct trv *t)
{
    t->w.cpu->gpr[RBX] = t->pending;
    t->pending = 0;
    return 0;
}

static u32 stats(struct trv *t, u32 at, u32 n)
{
    const struct cpu *c = t->w.cpu;
    struct trv_stats s = {cpu_icount(c),   clock_now(t->w.clk), c->n_interrupts,
                          c->n_exceptions, c->n_hypercalls,     c->mmu.io_accesses};
    n = MIN(n, (u32)sizeof(s));
    return guest_ram_write(t->w.mem, at, &s, n) ? n : TRV_E_ADDRESS;
}

static u32 call(struct trv *t, u32 nr, u32 b, u32 c, u32 d)
{
    switch (nr) {
    case TRV_IDENTIFY:
        return identify(t);
    case TRV_CONSOLE_WRITE:
        return console_write(t, b, c);
    case TRV_CLOCK_READ:
        return clock_read(t, b);
    case TRV_TIMER_ARM:
        return timer_arm_call(t, b | (u64)c << 32, d);
    case TRV_YIELD:
        cpu_cut_slice(t->w.cpu);
        return 0;
    case TRV_HALT:
        return halt(t);
    case TRV_BLOCK_INFO:
        return trv_block_info_call(t, b, c);
    case TRV_BLOCK_READ:
    case TRV_BLOCK_WRITE:
        return trv_block_io_call(t, b, c, nr == TRV_BLOCK_WRITE);
    case TRV_BLOCK_FLUSH:
        return trv_block_flush_call(t, b);
    case TRV_MMU_UPDATE:
        return mmu_update(t, b, c);
    case TRV_EVENT_BIND:
        return event_bind(t, b, c);
    case TRV_EVENT_NOTIFY:
        return event_notify(t, b);
    case TRV_EVENT_TAKE:
        return event_take(t);
    case TRV_STATS:
        return stats(t, b, c);
    default:
        log_guest("trv: call %u is not known", nr);
        return TRV_UNKNOWN;
    }
}

static bool trv_hypercall(void *ctx, struct cpu *cpu)
{
    struct trv *t = ctx;
    const u64 *g = cpu->gpr;
    cpu->gpr[RAX] =
        cpu->cpl ? TRV_E_RIGHT : call(t, (u32)g[RAX], (u32)g[RBX], (u32)g[RCX], (u32)g[RDX]);
    return true;
}

static bool trv_cpuid(void *ctx, struct cpu *cpu, u32 leaf, u32 sub, u32 out[4])
{
    if (leaf != TRV_CPUID_LEAF)
        return false;
    out[0] = TRV_CPUID_LEAF;
    out[1] = TRV_SIGNATURE_EBX;
    out[2] = TRV_SIGNATURE_ECX;
    out[3] = TRV_SIGNATURE_EDX;
    return true;
}

/* ---- life ----------------------------------------------------------------------------------- */
static void reset(struct device *d)
{
    struct trv *t = container_of(d, struct trv, dev);
    timer_disarm(&t->timer);
    t->timer_vector = t->pending = 0;
    memset(t->vector, 0, sizeof(t->vector));
}

static bool state_loaded(struct device *d)
{
    struct trv *t = container_of(d, struct trv, dev);
    for (u32 k = 0; k < TRV_CHANNELS; k++)
        if (t->vector[k] && !vector_valid(t->vector[k]))
            return false;
    return !t->timer_vector || vector_valid(t->timer_vector);
}

static void destroy(struct device *d)
{
    struct trv *t = container_of(d, struct trv, dev);
    timer_disarm(&t->timer);
    free(t);
}

static const struct field state[] = {
    FIELD_T(struct trv, timer),
    FIELD_U(struct trv, timer_vector),
    FIELD_U(struct trv, pending),
    FIELD_A(struct trv, vector),
    FIELD_END,
};

static const struct device_ops ops = {
    .name = "trv-pv",
    .reset = reset,
    .state = state,
    .loaded = state_loaded,
    .destroy = destroy,
};

void trv_set_engine(struct device *d, u32 engine)
{
    container_of(d, struct trv, dev)->w.engine = engine;
}

struct device *trv_new(const struct trv_wires *w)
{
    struct trv *t = calloc(1, sizeof(*t));
    CHECK(t);
    t->dev.ops = &ops;
    t->w = *w;
    timer_init(&t->timer, w->clk, timer_fired, t);
    w->cpu->hypercall = trv_hypercall;
    w->cpu->hypercall_ctx = t;
    w->cpu->pv_cpuid = trv_cpuid;
    w->cpu->pv_ctx = t;
    return &t->dev;
}
