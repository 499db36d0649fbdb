/*
 * pv/kvm.h - the KVM personality: what a guest kernel finds that looks for Linux's KVM.
 *
 * You are here: a device without registers in memory. Making it wires it into the CPU: the CPUID
 * leaves 40000000h and 40000001h, the MSRs 11h, 12h and 4B564Dxxh, and the hypercalls; the leaves
 * offer exactly what is implemented. docs/pv-kvm.md says what that is.
 *
 * The interface: the kernel's Documentation/virt/kvm/x86/{cpuid,msr,hypercalls}.rst.
 */
#ifndef PV_KVM_H
#define PV_KVM_H

#include "bus/device.h"
#include "cpu/cpu.h"

struct kvm_wires {
    struct cpu *cpu;
    struct space *mem;
    struct clock *clk;
    /* Host time, in ns since anything, in which the VM's thread wanted a host CPU and had none.
     * NULL: never any (a machine whose time follows instructions). */
    u64 (*stolen_ns)(void *ctx);
    void *ctx;
};

struct device *kvm_new(const struct kvm_wires *w);

/* The VM's thread is about to run guest code, and about to sleep because the guest halted. */
void kvm_enter(struct device *d);
void kvm_sleep(struct device *d);

#endif
