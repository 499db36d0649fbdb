/*
 * tests/pv/test_kvm.c - the KVM personality as a guest meets it: CPUID, MSRs, pages, hypercalls.
 */
#include "tests/pv/rig.h"

#include "pv/kvm.h"

#include <string.h>

enum {
    WALL = 0x4b564d00,
    TIME = 0x4b564d01,
    ASYNC_PF = 0x4b564d02,
    STEAL = 0x4b564d03,
    EOI = 0x4b564d04,
    POLL = 0x4b564d05,
};

struct kvm_rig {
    struct rig r;
    struct device *kvm;
    u64 stolen;
};

static u64 stolen(void *ctx)
{
    struct kvm_rig *k = ctx;
    return k->stolen;
}

static void kvm_rig_model(struct kvm_rig *k, const char *model)
{
    *k = (struct kvm_rig){.r = rig_new(model)};
    struct kvm_wires w = {
        .cpu = k->r.cpu, .mem = k->r.mem, .clk = k->r.clk, .stolen_ns = stolen, .ctx = k};
    k->kvm = kvm_new(&w);
}

static void kvm_rig(struct kvm_rig *k)
{
    kvm_rig_model(k, "x86-64-v2");
}

static void kvm_rig_free(struct kvm_rig *k)
{
    device_destroy(k->kvm);
    rig_free(&k->r);
}

static u8 *at(struct kvm_rig *k, u64 a)
{
    return k->r.ram->base + a;
}

static i32 hypercall(struct kvm_rig *k, u32 op, u64 nr, u64 b, u64 c, u64 d, u64 s)
{
    u64 *g = k->r.cpu->gpr;
    g[RAX] = nr;
    g[RBX] = b;
    g[RCX] = c;
    g[RDX] = d;
    g[RSI] = s;
    rig_step(&k->r, op);
    cr_assert_not(rig_faulted(&k->r, EX_UD));
    return (i32)g[RAX];
}

static void leaf(struct kvm_rig *k, u32 n)
{
    k->r.cpu->gpr[RAX] = n;
    k->r.cpu->gpr[RCX] = 0;
    rig_step(&k->r, OP_CPUID);
}

/* What kvmclock's readers compute (pvclock.h of the interface's documentation). */
static u64 page_time(const u8 *p, u64 tsc)
{
    u64 delta = tsc - ld_u64(p + 8);
    i8 shift = (i8)p[28];
    delta = shift < 0 ? delta >> -shift : delta << shift;
    return ld_u64(p + 16) + (u64)((u128)delta * ld_u32(p + 24) >> 32);
}

Test(kvm, cpuid)
{
    struct kvm_rig k;
    kvm_rig(&k);
    u64 *g = k.r.cpu->gpr;
    leaf(&k, 1);
    cr_expect(g[RCX] >> 31 & 1, "a hypervisor");
    leaf(&k, 0x40000000);
    char text[13] = "";
    st_u32(text, (u32)g[RBX]);
    st_u32(text + 4, (u32)g[RCX]);
    st_u32(text + 8, (u32)g[RDX]);
    cr_expect_str_eq(text, "KVMKVMKVM");
    cr_expect_eq((u32)g[RAX], 0x40000001);
    leaf(&k, 0x40000001);
    cr_expect_eq((u32)g[RAX], 0x01003aeb, "exactly what is implemented: %#x", (u32)g[RAX]);
    cr_expect_eq((u32)g[RDX], 0, "no hints");
    kvm_rig_free(&k);
}

/* A processor without APIC and TSC is not offered what rests on them. */
Test(kvm, old_processors)
{
    struct kvm_rig k;
    kvm_rig_model(&k, "486");
    leaf(&k, 0x40000001);
    cr_expect_eq((u32)k.r.cpu->gpr[RAX], 0x000032a2);
    kvm_rig_free(&k);
}

Test(kvm, clock_page)
{
    struct kvm_rig k;
    u64 v;
    kvm_rig(&k);
    u8 *p = at(&k, RIG_PAGE);
    clock_advance(k.r.clk, 12345);
    cr_assert(rig_wrmsr(&k.r, TIME, RIG_PAGE | 1));
    cr_assert(rig_rdmsr(&k.r, TIME, &v));
    cr_expect_eq(v, RIG_PAGE | 1);
    cr_assert(rig_rdmsr(&k.r, 0x12, &v), "the old number");
    cr_expect_eq(v, RIG_PAGE | 1);
    u32 version = ld_u32(p);
    cr_expect_eq(version & 1, 0);
    cr_expect_neq(version, 0);
    cr_expect_eq(p[29], 1, "stable");
    cr_expect_eq(page_time(p, ld_u64(p + 8)), clock_now(k.r.clk));
    /* for ever after, to the nanosecond */
    u64 tsc = ld_u64(p + 8);
    cr_expect_eq(page_time(p, tsc + 1), 12346);
    cr_expect_eq(page_time(p, tsc + 3600 * NS_PER_SEC), 12345 + 3600 * NS_PER_SEC);
    /* the guest moves its TSC, and the time does not jump */
    clock_advance(k.r.clk, 1000);
    cr_assert(rig_wrmsr(&k.r, 0x10, 5));
    cr_expect_eq(ld_u32(p), version + 2);
    cr_expect_eq(page_time(p, 5), 13345);
    /* off: nothing is written any more */
    cr_assert(rig_wrmsr(&k.r, TIME, 0));
    cr_assert(rig_wrmsr(&k.r, 0x10, 0));
    cr_expect_eq(ld_u32(p), version + 2);
    kvm_rig_free(&k);
}

Test(kvm, clock_page_nowhere)
{
    struct kvm_rig k;
    kvm_rig(&k);
    /* beyond RAM, across its end, at the end of all addresses: taken and not served, as KVM does */
    cr_expect(rig_wrmsr(&k.r, TIME, 0x8000000000 | 1));
    cr_expect(rig_wrmsr(&k.r, TIME, (RIG_RAM - 8) | 1));
    cr_expect_eq(ld_u64(at(&k, RIG_RAM - 8)) >> 32, 0, "all or nothing but the version");
    cr_expect(rig_wrmsr(&k.r, TIME, ~0ull));
    cr_expect(rig_wrmsr(&k.r, WALL, ~0ull));
    cr_expect(rig_wrmsr(&k.r, WALL, RIG_RAM - 4));
    cr_expect_not(rig_wrmsr(&k.r, ASYNC_PF, 0), "not offered: #GP");
    cr_expect_not(rig_wrmsr(&k.r, 0x4b564d06, 0));
    kvm_rig_free(&k);
}

Test(kvm, wall_clock)
{
    struct kvm_rig k;
    kvm_rig(&k);
    u8 *p = at(&k, RIG_PAGE);
    clock_advance(k.r.clk, 5 * NS_PER_SEC);
    cr_assert(rig_wrmsr(&k.r, 0x11, RIG_PAGE));
    cr_expect_eq(ld_u32(p) & 1, 0);
    cr_expect_eq(ld_u32(p + 4), 1000000000, "when time 0 was, not now");
    cr_expect_eq(ld_u32(p + 8), 77);
    kvm_rig_free(&k);
}

Test(kvm, steal_time)
{
    struct kvm_rig k;
    kvm_rig(&k);
    u8 *p = at(&k, RIG_PAGE);
    k.stolen = 1000;
    cr_expect_not(rig_wrmsr(&k.r, STEAL, RIG_PAGE | 0x21), "64-byte aligned");
    cr_expect_not(rig_wrmsr(&k.r, STEAL, RIG_RAM | 1), "no RAM");
    cr_assert(rig_wrmsr(&k.r, STEAL, RIG_PAGE | 1));
    cr_expect_eq(ld_u64(p), 0, "counts from now");
    cr_expect_eq(ld_u32(p + 8) & 1, 0);
    k.stolen = 1500;
    kvm_enter(k.kvm);
    cr_expect_eq(ld_u64(p), 0, "not so soon again");
    clock_advance(k.r.clk, 10000000);
    kvm_enter(k.kvm);
    cr_expect_eq(ld_u64(p), 500);
    /* asleep it may be asked to flush its TLB instead of being woken for it */
    kvm_sleep(k.kvm);
    cr_expect_eq(p[16], 1);
    p[16] |= 2;
    kvm_enter(k.kvm);
    cr_expect_eq(p[16], 0);
    kvm_rig_free(&k);
}

/* ---- the end of interrupts ------------------------------------------------------------------ */
enum { X2_ISR = 0x810, X2_IRR = 0x820, X2_EOI = 0x80b };

static u64 msr(struct kvm_rig *k, u32 n)
{
    u64 v = 0;
    cr_assert(rig_rdmsr(&k->r, n, &v));
    return v;
}

static void apic_on(struct kvm_rig *k)
{
    cr_assert(rig_wrmsr(&k->r, 0x1b, msr(k, 0x1b) | 0xc00));
    cr_assert(rig_wrmsr(&k->r, 0x80f, 0x1ff));
}

/* Lets a pending interrupt in, over a NOP. */
static void let_in(struct kvm_rig *k)
{
    k->r.cpu->rip = RIG_CODE;
    *at(k, RIG_CODE) = OP_NOP;
    ram_note_write(k->r.ram, RIG_CODE, 1);
    cpu_set_rflags(k->r.cpu, FL_1 | FL_IF);
    cpu_step(k->r.cpu);
    cr_assert_eq(cpu_rflags(k->r.cpu) & FL_IF, 0, "no interrupt came");
}

static bool in_service(struct kvm_rig *k, int v)
{
    return msr(k, X2_ISR + (u32)v / 32) >> v % 32 & 1;
}

Test(kvm, eoi_by_memory)
{
    struct kvm_rig k;
    kvm_rig(&k);
    u8 *p = at(&k, RIG_PAGE);
    apic_on(&k);
    cr_expect_not(rig_wrmsr(&k.r, EOI, RIG_PAGE | 3), "4-byte aligned");
    cr_expect_not(rig_wrmsr(&k.r, EOI, 0x4000000000 | 1), "no RAM");
    cr_assert(rig_wrmsr(&k.r, EOI, RIG_PAGE | 1));
    cpu_apic_message(k.r.cpu, 0, false, 0, 0x50, false);
    let_in(&k);
    cr_assert_eq(*p, 1, "may be ended by memory");
    *p = 0; /* and is */
    cr_expect_not(in_service(&k, 0x50));
    /* ended in memory, and the next, lower one comes at once */
    cpu_apic_message(k.r.cpu, 0, false, 0, 0x60, false);
    let_in(&k);
    *p = 0;
    cpu_apic_message(k.r.cpu, 0, false, 0, 0x41, false);
    let_in(&k);
    cr_expect_not(in_service(&k, 0x60));
    *p = 0;
    kvm_rig_free(&k);
}

Test(kvm, eoi_taken_back)
{
    struct kvm_rig k;
    kvm_rig(&k);
    u8 *p = at(&k, RIG_PAGE);
    apic_on(&k);
    cr_assert(rig_wrmsr(&k.r, EOI, RIG_PAGE | 1));
    cpu_apic_message(k.r.cpu, 0, false, 0, 0x60, false);
    let_in(&k);
    cr_assert_eq(*p, 1);
    /* one of the same class waits for its end: that must be told */
    cpu_apic_message(k.r.cpu, 0, false, 0, 0x61, false);
    cr_expect_eq(*p, 0);
    cr_expect(in_service(&k, 0x60));
    cr_assert(rig_wrmsr(&k.r, X2_EOI, 0));
    let_in(&k);
    cr_expect(*p == 1);
    cr_expect(in_service(&k, 0x61), "a look takes it back");
    cr_expect_eq(*p, 0);
    cr_assert(rig_wrmsr(&k.r, X2_EOI, 0));
    /* two wait: the first's end must be told */
    cpu_apic_message(k.r.cpu, 0, false, 0, 0x70, false);
    cpu_apic_message(k.r.cpu, 0, false, 0, 0x80, false);
    let_in(&k);
    cr_expect_eq(*p, 0);
    cr_assert(rig_wrmsr(&k.r, X2_EOI, 0));
    let_in(&k);
    cr_expect_eq(*p, 1);
    /* switched off after it was ended, before anybody looked */
    *p = 0;
    cr_assert(rig_wrmsr(&k.r, EOI, 0));
    cr_expect_not(in_service(&k, 0x70));
    /* level-triggered ones are told: an IOAPIC waits */
    cr_assert(rig_wrmsr(&k.r, EOI, RIG_PAGE | 1));
    cpu_apic_message(k.r.cpu, 0, false, 0, 0x90, true);
    let_in(&k);
    cr_expect_eq(*p, 0);
    kvm_rig_free(&k);
}

/* ---- hypercalls ----------------------------------------------------------------------------- */
Test(kvm, unknown_and_unprivileged)
{
    struct kvm_rig k;
    kvm_rig(&k);
    cr_expect_eq(hypercall(&k, OP_VMCALL, 0, 0, 0, 0, 0), -1000);
    cr_expect_eq(hypercall(&k, OP_VMMCALL, 12345, 0, 0, 0, 0), -1000);
    cr_expect_eq(hypercall(&k, OP_VMMCALL, 12, 0, 0, 0, 0), -1000, "MAP_GPA_RANGE is not offered");
    cr_expect_eq(hypercall(&k, OP_VMMCALL, 1, 0, 0, 0, 0), 0);
    k.r.cpu->cpl = 3;
    cr_expect_eq(hypercall(&k, OP_VMMCALL, 1, 0, 0, 0, 0), -1);
    kvm_rig_free(&k);
}

Test(kvm, send_ipi)
{
    struct kvm_rig k;
    kvm_rig(&k);
    apic_on(&k);
    cr_expect_eq(hypercall(&k, OP_VMCALL, 10, 1, 0, 0, 0x51), 1);
    cr_expect_eq(msr(&k, X2_IRR + 2), 1u << 17);
    cr_expect_eq(hypercall(&k, OP_VMCALL, 10, 2, 0, 0, 0x51), 0, "to a CPU that is not there");
    cr_expect_eq(hypercall(&k, OP_VMCALL, 10, ~0ull, ~0ull, 1, 0x51), 0);
    cr_expect_eq(hypercall(&k, OP_VMCALL, 10, ~0ull, ~0ull, 0xffffffff, 0x51), 0);
    cr_expect_eq(hypercall(&k, OP_VMCALL, 10, 1, 0, 0, 0x40051), -22, "a shorthand");
    kvm_rig_free(&k);
}

Test(kvm, kick)
{
    struct kvm_rig k;
    kvm_rig(&k);
    cr_expect_eq(hypercall(&k, OP_VMCALL, 5, 0, 9, 0, 0), 0, "nobody");
    rig_step(&k.r, OP_HLT);
    cr_expect(k.r.cpu->halted);
    k.r.cpu->halted = false;
    k.r.cpu->pending &= ~(u32)PEND_HALT;
    cr_expect_eq(hypercall(&k, OP_VMCALL, 5, 0, 0, 0, 0), 0);
    rig_step(&k.r, OP_HLT);
    cr_expect_not(k.r.cpu->halted, "kicked before it slept");
    rig_step(&k.r, OP_HLT);
    cr_expect(k.r.cpu->halted, "once");
    kvm_rig_free(&k);
}

Test(kvm, clock_pairing)
{
    struct kvm_rig k;
    kvm_rig(&k);
    u8 *p = at(&k, RIG_PAGE);
    clock_advance(k.r.clk, 3 * NS_PER_SEC);
    cr_expect_eq(hypercall(&k, OP_VMCALL, 9, RIG_PAGE, 0, 0, 0), 0);
    cr_expect_eq(ld_u64(p), 1000000003);
    cr_expect_eq(ld_u64(p + 8), 77);
    cr_expect_eq(ld_u64(p + 16), clock_now(k.r.clk) + (u64)k.r.cpu->tsc_offset);
    cr_expect_eq(hypercall(&k, OP_VMCALL, 9, RIG_PAGE, 1, 0, 0), -95);
    cr_expect_eq(hypercall(&k, OP_VMCALL, 9, RIG_RAM - 60, 0, 0, 0), -14);
    kvm_rig_free(&k);
}

Test(kvm, reset_takes_all_back)
{
    struct kvm_rig k;
    u64 v;
    kvm_rig(&k);
    cr_assert(rig_wrmsr(&k.r, TIME, RIG_PAGE | 1));
    cr_assert(rig_wrmsr(&k.r, POLL, 0));
    cr_expect_not(rig_wrmsr(&k.r, POLL, 2));
    device_reset(k.kvm);
    memset(at(&k, RIG_PAGE), 0, 64);
    cr_assert(rig_wrmsr(&k.r, 0x10, 5));
    cr_expect_eq(ld_u64(at(&k, RIG_PAGE)), 0, "another kernel's memory now");
    cr_assert(rig_rdmsr(&k.r, POLL, &v));
    cr_expect_eq(v, 1);
    kvm_rig_free(&k);
}

/* INIT takes back what is the processor's own, and leaves what is the machine's. */
Test(kvm, init_takes_the_processors_part_back)
{
    struct kvm_rig k;
    u64 v;
    kvm_rig(&k);
    cr_assert(rig_wrmsr(&k.r, TIME, RIG_PAGE | 1));
    cr_assert(rig_wrmsr(&k.r, POLL, 0));
    cpu_reset(k.r.cpu, true);
    cpu_set_seg(k.r.cpu, SEG_CS, 0, 0, 0xffff, 0x9b);
    k.r.cpu->gpr[RSP] = 0x7000;
    cpu_sync(k.r.cpu);
    memset(at(&k, RIG_PAGE), 0, 64);
    cr_assert(rig_wrmsr(&k.r, 0x10, 5));
    cr_expect_eq(ld_u64(at(&k, RIG_PAGE)), 0, "nobody asked for the time any more");
    cr_assert(rig_rdmsr(&k.r, TIME, &v));
    cr_expect_eq(v, 0);
    cr_assert(rig_rdmsr(&k.r, POLL, &v));
    cr_expect_eq(v, 0, "the choice stays");
    kvm_rig_free(&k);
}
