/*
 * pv/kvm_shared.c - steal time and the end of interrupts: words in guest memory that both sides
 * write.
 *
 * The guest may change or unmap them at any moment, and may name the same bytes for all of them:
 * what is read is used once, and what cannot be written is left.
 */
#include "pv/kvm_priv.h"
#include "pv/guest_ram.h"

enum { STEAL_EVERY_NS = 5000000 };
/* struct kvm_steal_time: u64 steal, u32 version, u32 flags, u8 preempted */
enum { STEAL = 0, STEAL_VERSION = 8, STEAL_PREEMPTED = 16, STEAL_BYTES = 17 };
enum { PREEMPTED = 1, FLUSH_TLB = 2 };

static gpa steal_at(const struct kvm *k)
{
    return k->steal_time & ~(u64)63;
}

static u64 stolen(const struct kvm *k)
{
    return k->w.stolen_ns ? k->w.stolen_ns(k->w.ctx) : 0;
}

/* Adds what was stolen since the last time; the vCPU runs. */
static void steal_update(struct kvm *k)
{
    u8 p[STEAL_BYTES];
    gpa at = steal_at(k);
    u64 now = stolen(k);
    if (!guest_ram_read(k->w.mem, at, p, sizeof(p)))
        return;
    /* a flush that others asked for while this one could not run */
    if (p[STEAL_PREEMPTED] & FLUSH_TLB)
        mmu_flush_all(&k->w.cpu->mmu);
    p[STEAL_PREEMPTED] = 0;
    u32 version = ld_u32(p + STEAL_VERSION);
    version += version & 1 ? 2 : 1;
    st_u32(p + STEAL_VERSION, version);
    guest_ram_write(k->w.mem, at, p, sizeof(p));
    st_u64(p + STEAL, ld_u64(p + STEAL) + (now - k->stolen_seen));
    st_u32(p + STEAL_VERSION, version + 1);
    guest_ram_write(k->w.mem, at, p, sizeof(p));
    k->stolen_seen = now;
    k->steal_at = clock_now(k->w.clk);
}

void kvm_steal_begin(struct kvm *k)
{
    k->stolen_seen = stolen(k);
    if (k->steal_time & KVM_ENABLED)
        steal_update(k);
}

void kvm_steal_loaded(struct kvm *k)
{
    k->stolen_seen = stolen(k);
}

void kvm_enter(struct device *d)
{
    struct kvm *k = container_of(d, struct kvm, dev);
    u8 preempted;
    if (!(k->steal_time & KVM_ENABLED))
        return;
    if (clock_now(k->w.clk) - k->steal_at >= STEAL_EVERY_NS ||
        (guest_ram_read(k->w.mem, steal_at(k) + STEAL_PREEMPTED, &preempted, 1) && preempted))
        steal_update(k);
}

void kvm_sleep(struct device *d)
{
    struct kvm *k = container_of(d, struct kvm, dev);
    u8 preempted = PREEMPTED;
    if (k->steal_time & KVM_ENABLED)
        guest_ram_write(k->w.mem, steal_at(k) + STEAL_PREEMPTED, &preempted, 1);
}

/* ---- the end of interrupts ------------------------------------------------------------------ */
/* The guest is told that clearing the word ends the interrupt it is about to take. */
bool kvm_eoi_lend(void *ctx)
{
    struct kvm *k = ctx;
    u8 one = 1;
    if (!(k->eoi & KVM_ENABLED))
        return false;
    k->settled = false;
    k->lent = guest_ram_write(k->w.mem, k->eoi & ~(u64)KVM_ENABLED, &one, 1);
    return k->lent;
}

/* Takes the word back and sees whether the guest has used it. */
void kvm_eoi_settle(struct kvm *k)
{
    u8 word, zero = 0;
    gpa at = k->eoi & ~(u64)KVM_ENABLED;
    if (!k->lent)
        return;
    k->lent = false;
    k->settled = true;
    k->ended = guest_ram_read(k->w.mem, at, &word, 1) && !(word & 1);
    guest_ram_write(k->w.mem, at, &zero, 1);
}

bool kvm_eoi_reclaim(void *ctx)
{
    struct kvm *k = ctx;
    kvm_eoi_settle(k);
    bool ended = k->settled && k->ended;
    k->settled = false;
    return ended;
}
