/*
 * pv/kvm_clock.c - kvmclock: pages in guest memory from which the guest computes the time.
 *
 * Nanoseconds = system_time + scaled(RDTSC - tsc_timestamp). Our TSC is one tick a nanosecond of
 * the same clock, so the relation never drifts: a page is written when the guest names it and when
 * the guest moves its TSC, and never else. A reader, in user mode too (the vDSO), gets the exact
 * time. Versions are odd while a page is being written, as the protocol wants; nobody can see that
 * here, because the only vCPU is stopped meanwhile.
 *
 * Layout: Documentation/virt/kvm/x86/msr.rst, pvclock_vcpu_time_info and pvclock_wall_clock.
 */
#include "pv/kvm_priv.h"
#include "pv/guest_ram.h"

enum { PAGE_BYTES = 32, WALL_BYTES = 12, PAIRING_BYTES = 64 };
enum { TSC_STABLE = 1 };

static u64 tsc_at(const struct kvm *k, u64 now)
{
    return now + (u64)k->w.cpu->tsc_offset;
}

/* The version before a change: odd. */
static u32 changing(u32 v)
{
    return v & 1 ? v + 2 : v + 1;
}

void kvm_write_system_time(struct kvm *k)
{
    u8 p[PAGE_BYTES] = {0};
    gpa at = k->system_time & ~(u64)KVM_ENABLED;
    if (!(k->system_time & KVM_ENABLED) || !guest_ram_read(k->w.mem, at, p, 4))
        return;
    u32 version = changing(ld_u32(p));
    st_u32(p, version);
    guest_ram_write(k->w.mem, at, p, 4);
    u64 now = clock_now(k->w.clk); /* once: both are of one moment */
    st_u64(p + 8, tsc_at(k, now));
    st_u64(p + 16, now);
    /* ns = (ticks << shift) * mul >> 32: times 2, times a half */
    st_u32(p + 24, 1u << 31);
    p[28] = 1;
    p[29] = TSC_STABLE;
    if (guest_ram_write(k->w.mem, at, p, sizeof(p))) {
        st_u32(p, version + 1);
        guest_ram_write(k->w.mem, at, p, 4);
    }
}

/* The wall time at which system_time was 0. */
void kvm_write_wall_clock(struct kvm *k)
{
    u8 p[WALL_BYTES];
    gpa at = k->wall_clock;
    if (!at || !guest_ram_read(k->w.mem, at, p, sizeof(p)))
        return;
    u64 zero = clock_wall_epoch(k->w.clk);
    u32 version = changing(ld_u32(p));
    st_u32(p, version);
    guest_ram_write(k->w.mem, at, p, 4);
    st_u32(p + 4, (u32)(zero / NS_PER_SEC));
    st_u32(p + 8, (u32)(zero % NS_PER_SEC));
    guest_ram_write(k->w.mem, at, p, sizeof(p));
    st_u32(p, version + 1);
    guest_ram_write(k->w.mem, at, p, 4);
}

/* Wall time and TSC of one moment: i64 seconds, i64 nanoseconds, u64 TSC, u32 flags, 36 zeros. */
i64 kvm_clock_pairing(struct kvm *k, u64 at, u64 type)
{
    u8 p[PAIRING_BYTES] = {0};
    u64 now = clock_now(k->w.clk), wall = clock_wall_epoch(k->w.clk) + now;
    if (type != 0)
        return -KVM_EOPNOTSUPP;
    st_u64(p, wall / NS_PER_SEC);
    st_u64(p + 8, wall % NS_PER_SEC);
    st_u64(p + 16, tsc_at(k, now));
    return guest_ram_write(k->w.mem, at, p, sizeof(p)) ? 0 : -KVM_EFAULT;
}
