/*
 * pv/kvm.c - the KVM personality: CPUID leaves, MSRs, hypercalls.
 *
 * Not offered: asynchronous page faults (guest memory is never paged out behind the guest's back,
 * so there is nothing to tell), MMU operations, page-range mapping, migration control. The machine
 * has one vCPU, so calls that name others find nobody; they are checked all the same.
 */
#include "pv/kvm_priv.h"
#include "pv/guest_ram.h"
#include "base/log.h"

#include <stdlib.h>

enum { EAX, EBX, ECX, EDX };

/* ---- CPUID ---------------------------------------------------------------------------------- */
static u32 features(const struct cpu *cpu)
{
    u32 f = KVM_NOP_IO_DELAY | KVM_PV_UNHALT | KVM_POLL_CONTROL | KVM_PV_SCHED_YIELD |
            KVM_STEAL_TIME | KVM_PV_TLB_FLUSH;
    if (cpu_has(cpu, FEAT_TSC))
        f |= KVM_CLOCKSOURCE | KVM_CLOCKSOURCE2 | KVM_CLOCKSOURCE_STABLE;
    if (cpu->lapic)
        f |= KVM_PV_EOI | KVM_PV_SEND_IPI;
    return f;
}

static bool has(const struct kvm *k, u32 feature)
{
    return features(k->w.cpu) & feature;
}

static bool kvm_cpuid(void *ctx, struct cpu *cpu, u32 leaf, u32 sub, u32 out[4])
{
    (void)ctx;
    (void)sub;
    switch (leaf) {
    case 0x40000000:
        out[EAX] = 0x40000001;
        out[EBX] = 0x4b4d564b; /* KVMKVMKVM */
        out[ECX] = 0x564b4d56;
        out[EDX] = 0x4d;
        return true;
    case 0x40000001:
        out[EAX] = features(cpu);
        return true;
    default:
        return false;
    }
}

/* ---- MSRs ----------------------------------------------------------------------------------- */
static bool kvm_rdmsr(void *ctx, u32 msr, u64 *v)
{
    const struct kvm *k = ctx;
    switch (msr) {
    case MSR_WALL_CLOCK_OLD:
    case MSR_WALL_CLOCK:
        *v = k->wall_clock;
        return has(k, KVM_CLOCKSOURCE);
    case MSR_SYSTEM_TIME_OLD:
    case MSR_SYSTEM_TIME:
        *v = k->system_time;
        return has(k, KVM_CLOCKSOURCE);
    case MSR_STEAL_TIME:
        *v = k->steal_time;
        return true;
    case MSR_EOI:
        *v = k->eoi;
        return has(k, KVM_PV_EOI);
    case MSR_POLL_CONTROL:
        *v = k->poll_control;
        return true;
    default:
        return false;
    }
}

/* Values an MSR may hold; others are #GP. An enabled address must be RAM where the guest's use of
 * it could not be served otherwise. */
static bool eoi_valid(const struct kvm *k, u64 v)
{
    return !(v & 2) && (!(v & KVM_ENABLED) || guest_ram_ok(k->w.mem, v & ~(u64)KVM_ENABLED, 4));
}

static bool steal_valid(const struct kvm *k, u64 v)
{
    return !(v & 0x3e) && (!(v & KVM_ENABLED) || guest_ram_ok(k->w.mem, v & ~(u64)63, 64));
}

static bool kvm_wrmsr(void *ctx, u32 msr, u64 v)
{
    struct kvm *k = ctx;
    switch (msr) {
    case MSR_WALL_CLOCK_OLD:
    case MSR_WALL_CLOCK:
        if (!has(k, KVM_CLOCKSOURCE))
            return false;
        k->wall_clock = v;
        kvm_write_wall_clock(k);
        return true;
    case MSR_SYSTEM_TIME_OLD:
    case MSR_SYSTEM_TIME:
        if (!has(k, KVM_CLOCKSOURCE))
            return false;
        log_guest("kvm: kvmclock %s", v & KVM_ENABLED ? "on" : "off");
        k->system_time = v;
        kvm_write_system_time(k);
        return true;
    case MSR_STEAL_TIME:
        if (!steal_valid(k, v))
            return false;
        log_guest("kvm: steal time %s", v & KVM_ENABLED ? "on" : "off");
        k->steal_time = v;
        kvm_steal_begin(k);
        return true;
    case MSR_EOI:
        if (!has(k, KVM_PV_EOI) || !eoi_valid(k, v))
            return false;
        log_guest("kvm: PV EOI %s", v & KVM_ENABLED ? "on" : "off");
        kvm_eoi_settle(k);
        k->eoi = v;
        return true;
    case MSR_POLL_CONTROL: /* we never poll for a halted guest: both values are served */
        if (v > 1)
            return false;
        k->poll_control = v;
        return true;
    default:
        return false;
    }
}

static void kvm_tsc_moved(void *ctx)
{
    kvm_write_system_time(ctx);
}

/* ---- hypercalls ----------------------------------------------------------------------------- */
/* ICR without shorthand or destination; bit n of the map is the CPU with APIC id `first` + n. */
static i64 send_ipi(struct kvm *k, const u64 map[2], u64 first, u64 icr, bool wide)
{
    struct cpu *cpu = k->w.cpu;
    u64 per_word = wide ? 64 : 32, id = cpu->id;
    if (icr & (BIT(11) | 3u << 18))
        return -KVM_EINVAL;
    if (first > id || id - first >= 2 * per_word)
        return 0;
    u64 bit = id - first;
    if (!(map[bit / per_word] >> bit % per_word & 1))
        return 0;
    cpu_apic_message(cpu, cpu->id, false, (int)(icr >> 8) & 7, (int)(icr & 0xff), icr & BIT(15));
    return 1;
}

static i64 call(struct kvm *k, u64 nr, const u64 a[4], bool wide)
{
    switch (nr) {
    case HC_VAPIC_POLL_IRQ: /* an exit that lets interrupts in: that is done at every block */
        return 0;
    case HC_KICK_CPU: /* flags, APIC id */
        if (a[1] == k->w.cpu->id)
            k->w.cpu->unhalted = true;
        return 0;
    case HC_CLOCK_PAIRING:
        return has(k, KVM_CLOCKSOURCE) ? kvm_clock_pairing(k, a[0], a[1]) : -KVM_EOPNOTSUPP;
    case HC_SEND_IPI:
        return has(k, KVM_PV_SEND_IPI) ? send_ipi(k, a, a[2], a[3], wide) : -KVM_ENOSYS;
    case HC_SCHED_YIELD: /* to a CPU that does not run: nobody else is there */
        return 0;
    default:
        log_guest("kvm: hypercall %llu is not known", (unsigned long long)nr);
        return -KVM_ENOSYS;
    }
}

static bool kvm_hypercall(void *ctx, struct cpu *cpu)
{
    struct kvm *k = ctx;
    bool wide = cpu->mode == MODE_LONG64;
    u64 mask = wide ? ~0ull : 0xffffffff, nr = cpu->gpr[RAX] & mask;
    const u64 a[4] = {cpu->gpr[RBX] & mask, cpu->gpr[RCX] & mask, cpu->gpr[RDX] & mask,
                      cpu->gpr[RSI] & mask};
    i64 result = cpu->cpl ? -KVM_EPERM : call(k, nr, a, wide);
    cpu->gpr[RAX] = (u64)result & mask;
    return true;
}

/* ---- life ----------------------------------------------------------------------------------- */
/* The processor's own part, which INIT takes back too: the machine's wall clock and the choice of
 * polling outlive it, as under Linux. */
static void init(void *ctx)
{
    struct kvm *k = ctx;
    k->system_time = k->steal_time = k->eoi = 0;
    k->lent = k->settled = k->ended = false;
    k->stolen_seen = k->steal_at = 0;
    k->w.cpu->unhalted = false;
}

static void reset(struct device *d)
{
    struct kvm *k = container_of(d, struct kvm, dev);
    init(k);
    k->wall_clock = 0;
    k->poll_control = 1;
}

/* What the guest's WRMSR would have refused is refused here. */
static bool state_loaded(struct device *d)
{
    struct kvm *k = container_of(d, struct kvm, dev);
    if (!eoi_valid(k, k->eoi) || !steal_valid(k, k->steal_time) || k->poll_control > 1)
        return false;
    k->lent = k->lent && (k->eoi & KVM_ENABLED);
    /* What was promised in guest memory still holds: time and TSC go on together. What the host
     * steals is counted from now on. */
    kvm_steal_loaded(k);
    return true;
}

static const struct field state[] = {
    FIELD_U(struct kvm, wall_clock),   FIELD_U(struct kvm, system_time),
    FIELD_U(struct kvm, steal_time),   FIELD_U(struct kvm, eoi),
    FIELD_U(struct kvm, poll_control), FIELD_U(struct kvm, steal_at),
    FIELD_B(struct kvm, lent),         FIELD_B(struct kvm, settled),
    FIELD_B(struct kvm, ended),        FIELD_END,
};

static void destroy(struct device *d)
{
    free(container_of(d, struct kvm, dev));
}

static const struct device_ops ops = {
    .name = "kvm-pv",
    .reset = reset,
    .state = state,
    .loaded = state_loaded,
    .destroy = destroy,
};

struct device *kvm_new(const struct kvm_wires *w)
{
    struct kvm *k = calloc(1, sizeof(*k));
    struct cpu *cpu = w->cpu;
    CHECK(k);
    k->dev.ops = &ops;
    k->w = *w;
    cpu->hypercall = kvm_hypercall;
    cpu->hypercall_ctx = k;
    cpu->pv_cpuid = kvm_cpuid;
    cpu->pv_rdmsr = kvm_rdmsr;
    cpu->pv_wrmsr = kvm_wrmsr;
    cpu->pv_tsc_moved = kvm_tsc_moved;
    cpu->pv_init = init;
    cpu->pv_lend_eoi = kvm_eoi_lend;
    cpu->pv_reclaim_eoi = kvm_eoi_reclaim;
    cpu->pv_ctx = k;
    reset(&k->dev);
    return &k->dev;
}
