/*
 * pv/kvm_priv.h - the KVM personality inside: its state, and the numbers of the interface.
 *
 * You are here: private to pv/: kvm.c (CPUID, MSRs, hypercalls), kvm_clock.c (the pages with the
 * time), kvm_shared.c (steal time, end of interrupts).
 */
#ifndef PV_KVM_PRIV_H
#define PV_KVM_PRIV_H

#include "pv/kvm.h"

enum kvm_msr {
    MSR_WALL_CLOCK_OLD = 0x11,
    MSR_SYSTEM_TIME_OLD = 0x12,
    MSR_WALL_CLOCK = 0x4b564d00,
    MSR_SYSTEM_TIME = 0x4b564d01,
    MSR_STEAL_TIME = 0x4b564d03,
    MSR_EOI = 0x4b564d04,
    MSR_POLL_CONTROL = 0x4b564d05,
};

/* Bits of CPUID 40000001h, EAX. */
enum kvm_feature {
    KVM_CLOCKSOURCE = 1 << 0,
    KVM_NOP_IO_DELAY = 1 << 1,
    KVM_CLOCKSOURCE2 = 1 << 3,
    KVM_STEAL_TIME = 1 << 5,
    KVM_PV_EOI = 1 << 6,
    KVM_PV_UNHALT = 1 << 7,
    KVM_PV_TLB_FLUSH = 1 << 9,
    KVM_PV_SEND_IPI = 1 << 11,
    KVM_POLL_CONTROL = 1 << 12,
    KVM_PV_SCHED_YIELD = 1 << 13,
    KVM_CLOCKSOURCE_STABLE = 1 << 24,
};

enum kvm_call {
    HC_VAPIC_POLL_IRQ = 1,
    HC_KICK_CPU = 5,
    HC_CLOCK_PAIRING = 9,
    HC_SEND_IPI = 10,
    HC_SCHED_YIELD = 11,
};

/* Errors are returned negative. */
enum kvm_error {
    KVM_EPERM = 1,
    KVM_EFAULT = 14,
    KVM_EINVAL = 22,
    KVM_EOPNOTSUPP = 95,
    KVM_ENOSYS = 1000,
};

enum { KVM_ENABLED = 1 }; /* bit 0 of the MSRs that hold an address */

struct kvm {
    struct device dev;
    struct kvm_wires w;
    u64 wall_clock, system_time, steal_time, eoi, poll_control; /* the MSRs */
    bool lent;    /* an interrupt may be ended by a write to memory */
    bool settled; /* it was asked early whether it has been: `ended` */
    bool ended;
    u64 stolen_seen; /* what w.stolen_ns said last */
    u64 steal_at;    /* when steal time was last written, ns */
};

/* kvm_clock.c */
void kvm_write_wall_clock(struct kvm *k);
void kvm_write_system_time(struct kvm *k);
/* KVM_HC_CLOCK_PAIRING: 0 or a negative error. */
i64 kvm_clock_pairing(struct kvm *k, u64 at, u64 type);

/* kvm_shared.c */
void kvm_steal_begin(struct kvm *k);
void kvm_steal_loaded(struct kvm *k); /* after a restore: guest memory stays as it is */
void kvm_eoi_settle(struct kvm *k);
bool kvm_eoi_lend(void *ctx);
bool kvm_eoi_reclaim(void *ctx);

#endif
