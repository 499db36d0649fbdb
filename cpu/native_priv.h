/*
 * cpu/native_priv.h - host stubs: small pieces of host code that execute one guest vector or x87
 * instruction on the host's own units.
 *
 * You are here: private to cpu/native*.c and cpu/exec/{simd,x87,xsave}.c.
 *
 * Where the guest's state is while cpu_run is active (between native_enter and native_leave):
 *   XMM, upper YMM   cpu->xs; a stub loads what it reads and stores what it writes
 *   x87, MMX         live in the host's x87 registers (xs.legacy[0..160) is stale)
 *   MXCSR            live in the host's MXCSR (xs.legacy[24..28) is stale)
 *   FIP FDP FOP      cpu->fip ...: the host's own point at stubs and never reach the guest
 * Outside, cpu->xs has everything. No C code between the two may use x87 or MMX, or change MXCSR.
 *
 * Unmasked exceptions: the host raises SIGFPE inside the stub, before the stub has stored anything;
 * the handler makes the interrupted stub continue in native_fault().
 */
#ifndef CPU_NATIVE_PRIV_H
#define CPU_NATIVE_PRIV_H

#include "cpu/exec_priv.h"

enum {
    ARENA_SIZE = 8 * MIB,
    ARENA_RESERVE = 1 * MIB, /* usable after the arena was declared full, until the next slice */
    STUB_BUCKETS = 1 << 14,
    STUB_MAX = 512, /* bytes of one stub */
};

/* Which of cpu->fpu_trap, sse_trap, avx_trap must be clear (the low two bits index them).
 * GATE_MMX: fpu_trap, with #UD for EM; GATE_NONE: any processor state. */
enum stub_gate {
    GATE_X87,
    GATE_SSE,
    GATE_AVX,
    GATE_MMX = 4,
    GATE_NONE = 8,
    GATE_MASK = 15,
    GATE_MF = 16, /* flag: a pending x87 error comes before the memory operand's faults */
};
_Static_assert(offsetof(struct cpu, sse_trap) == offsetof(struct cpu, fpu_trap) + 1 &&
                   offsetof(struct cpu, avx_trap) == offsetof(struct cpu, fpu_trap) + 2,
               "the gate indexes the three flags");

enum stub_access { STUB_NOMEM, STUB_LOAD, STUB_STORE };

/* Lives in the arena; the code follows. */
struct stub {
    u8 gate;   /* enum stub_gate and flags */
    u8 access; /* enum stub_access */
    u8 size;   /* bytes of the memory operand, 1..32 */
    u8 align;  /* address bits that must be 0 (else #GP(0)) */
    u32 len;   /* of the code */
    u32 next;  /* arena offset of the next stub in the bucket, 0: none */
    u32 hash;
    u8 code[];
};
_Static_assert(sizeof(struct stub) == 16, "stub code starts 16-byte aligned");

struct native {
    u8 *rw; /* one memfd mapped twice */
    const u8 *rx;
    u32 used;
    bool want_flush; /* the arena is full: start afresh before the next slice */
    bool live;       /* between enter and leave */
    bool ignne;      /* IGNNE# asserted: pending x87 errors are ignored (CR0.NE = 0) */
    u16 host_fcw;
    u32 host_mxcsr;
    u32 buckets[STUB_BUCKETS];
    u8 fx[512] __attribute__((__aligned__(64)));
};

/* The stub with this header and code, shared when it already exists; NULL: no room. The pointer is
 * good until the start of the next slice that finds want_flush. */
const struct stub *native_intern(struct cpu *cpu, const struct stub *head, const u8 *code);

/* Raises #UD or #NM when the gate is closed; returns when only the quick flag was. */
void native_gate(struct cpu *cpu, enum stub_gate gate);

static always_inline void check_gate(struct cpu *cpu, enum stub_gate gate)
{
    const u8 *closed = (const u8 *)cpu + offsetof(struct cpu, fpu_trap);
    if (unlikely(closed[gate & 3]))
        native_gate(cpu, gate);
}

/* By hand, because a stub leaves alone what a C function might change: rdi, rsi, r9-r11. The
 * caller's red zone is stepped over. */
static always_inline void stub_call(struct cpu *cpu, const struct stub *s, void *mem)
{
    __asm__ volatile("lea -128(%%rsp), %%rsp\n\t"
                     "call *%[code]\n\t"
                     "lea 128(%%rsp), %%rsp"
                     :
                     : "D"(cpu), "S"(mem), [code] "r"(s->code)
                     : "rax", "rcx", "rdx", "r8", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5",
                       "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14",
                       "xmm15", "cc", "memory");
}

/* The #MF of a waiting instruction, here and now if one is pending. */
void native_check_mf(struct cpu *cpu);
/* x87 error with the guest's CR0.NE respected; returns when the instruction is to go on (IGNNE#).
 */
void native_raise_mf(struct cpu *cpu);

/* MXCSR: host register <-> memory image. Bits outside MXCSR_VALID are reserved: #GP(0). */
enum { MXCSR_VALID = 0xffff, MXCSR_RESET = 0x1f80 };
static always_inline u32 mxcsr_get(void)
{
    u32 v;
    __asm__ volatile("stmxcsr %0" : "=m"(v));
    return v;
}
static always_inline void mxcsr_set(u32 v)
{
    __asm__ volatile("ldmxcsr %0" : : "m"(v));
}

/* Calls the instruction's stub with its memory operand, whose offset is off: in place when it is
 * one plain page, through a buffer otherwise. */
void native_mem_slow(struct cpu *cpu, const struct insn *i, const struct stub *s, gva off, gla a);
static always_inline void native_mem(struct cpu *cpu, const struct insn *i, const struct stub *s,
                                     gva off)
{
    bool store = s->access == STUB_STORE;
    if (unlikely((s->gate & GATE_MF) && !seg_fits(cpu, i->seg, off, s->size, store)))
        native_check_mf(cpu); /* an error that waits comes before the operand's faults */
    gla a = seg_linear(cpu, i->seg, off, s->size, store);
    if (unlikely(a & s->align)) {
        if (s->gate & GATE_MF)
            native_check_mf(cpu);
        raise_gp0(cpu);
    }
    struct tlb_entry *e = tlb_slot(cpu, a);
    if (likely(tlb_fits(store ? e->wtag : e->rtag, a, s->size)))
        stub_call(cpu, s, (void *)(a + e->add));
    else
        native_mem_slow(cpu, i, s, off, a);
}

static always_inline u8 *xs_xmm(struct cpu *cpu, int n)
{
    return cpu->xs.legacy + 160 + 16 * n;
}
static always_inline u8 *xs_ymm_hi(struct cpu *cpu, int n)
{
    return cpu->xs.ymm_hi + 16 * n;
}

#endif
