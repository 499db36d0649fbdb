/*
 * machine/trace.h - following a VM's every instruction.
 *
 * You are here: what tracers and profilers of frontends/ use. A VM tells of every run of
 * instructions (block) it enters and of what happens to the CPU between and inside them.
 *
 * Each distinct block - address, mode and bytes - is described once (`define`) and from then on
 * known by a small number. Instructions are counted exactly: vm_icount() grows by the n of every
 * enter, less what a VM_TRACE_CUT took back, and by one for each event for which
 * vm_trace_ticks() is true.
 *
 * All callbacks run on the VM's thread, inside vm_run. They must not change the guest.
 */
#ifndef MACHINE_TRACE_H
#define MACHINE_TRACE_H

#include "base/types.h"

struct vm;

struct vm_trace_block {
    u64 rip, lin; /* of the first instruction: offset in CS, linear address */
    gpa phys;
    u16 n, len;      /* instructions 1..64, bytes 1..960 */
    u16 cs;          /* selector */
    u8 bits;         /* 16, 32, 64: width of the code */
    bool user;       /* CPL 3 */
    const u8 *bytes; /* len of them, valid as long as the number is; all 0 when the code is in a
                        device, where reading has side effects */
};

enum vm_trace_kind {
    /* Between instructions; each counts as one. */
    VM_TRACE_EXCEPTION, /* a: vector, b: error code, c: CR2. About to be delivered */
    VM_TRACE_INTERRUPT, /* a: vector */
    VM_TRACE_NMI,       /* a: 2 */
    VM_TRACE_RESTART,   /* the instruction starts again after something pending was looked at */
    /* The block entered last ended after a of its instructions. */
    VM_TRACE_CUT,
    VM_TRACE_RESET, /* a: 1 INIT, 0 RESET */
    /* Inside instruction `at` of the block entered last. */
    VM_TRACE_SOFT,  /* INT n, INT3, INTO, INT1; a: vector */
    VM_TRACE_IN,    /* a: port | size << 16, b: value */
    VM_TRACE_OUT,   /* the same */
    VM_TRACE_RDMSR, /* a: number, b: value */
    VM_TRACE_WRMSR,
    VM_TRACE_CR,        /* written; a: number, b: value */
    VM_TRACE_HYPERCALL, /* b: RAX before */
    VM_TRACE_KINDS
};

struct vm_trace_event {
    u8 kind; /* enum vm_trace_kind */
    u8 at;   /* 0..63 */
    u32 a;
    u64 b, c;
};

static inline bool vm_trace_ticks(int kind)
{
    return kind <= VM_TRACE_RESTART;
}

enum { VM_TRACE_SPLITS = 8 };

struct vm_tracer {
    void *ctx;
    /* Block number id (0, 1, 2...) is this one. */
    void (*define)(void *ctx, u32 id, const struct vm_trace_block *b);
    /* It is entered: n instructions are about to run. */
    void (*enter)(void *ctx, u32 id, u32 n);
    void (*event)(void *ctx, const struct vm_trace_event *e);
    /* Too many: all numbers are void, the next define is 0 again. */
    void (*forget)(void *ctx);
    /* Linear addresses at which a new block begins. */
    u64 split[VM_TRACE_SPLITS];
    int n_splits;
    bool single; /* blocks of one instruction */
};

/* VM's thread, not inside vm_run; *t is copied. One tracer at a time: ST_BUSY is a CHECK. */
void vm_trace_start(struct vm *vm, const struct vm_tracer *t);
/* Also inside a callback, after which no other comes. */
void vm_trace_end(struct vm *vm);
/* Inside a callback: vm_run returns VM_STOP_REQUEST soon; no callback comes before that. */
void vm_trace_stop(struct vm *vm);

/* Instructions executed so far. Inside `enter`: before the block. VM's thread. */
u64 vm_icount(const struct vm *vm);
/* vm_run returns VM_STOP_REQUEST when exactly so many were executed (or were already); 0: never.
 * VM's thread. */
void vm_stop_at(struct vm *vm, u64 icount);

/* ---- the CPU inside `enter`, or outside vm_run; cheaper than vm_get_regs ---- */
struct vm_trace_regs {
    u64 gpr[16]; /* RAX RCX RDX RBX RSP RBP RSI RDI R8.. */
    u64 rip, rflags, cr3;
    u16 seg[6]; /* ES CS SS DS FS GS */
    u8 cpl, bits;
};
void vm_trace_get(const struct vm *vm, struct vm_trace_regs *r);
/* XMM0-15, and the upper halves of YMM0-15. Not for every tracer: it takes as long as a few dozen
 * instructions. */
struct vm_trace_vectors {
    u8 low[16][16], high[16][16];
};
void vm_trace_get_vectors(const struct vm *vm, struct vm_trace_vectors *v);
/* One of them: 0..15. */
u64 vm_trace_gpr(const struct vm *vm, int n);

/* Reads through the guest's current page tables, without side effects on guest or devices. False
 * and nothing: some of it is not mapped. len up to 4096. */
bool vm_peek(const struct vm *vm, gla addr, void *buf, u32 len);

/* What memory the instruction about to run reads and writes, as far as that can be told before: its
 * operand, the stack's top, string operands (of a REP: the first). Not descriptor tables, nor what
 * PUSHA, ENTER, XSAVE and gathers touch. With `single`, inside `enter`. Returns how many. */
enum { VM_TRACE_ACCESSES = 4 };
struct vm_trace_access {
    gla addr;
    u8 size; /* 1..64 */
    bool read, write;
};
int vm_trace_accesses(const struct vm *vm, struct vm_trace_access out[VM_TRACE_ACCESSES]);

#endif
