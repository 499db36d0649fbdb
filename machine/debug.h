/*
 * machine/debug.h - a machine under a debugger: breakpoints, watches, steps, memory as a debugger
 * sees it.
 *
 * You are here: the gdb stub uses it, a monitor will. Registers are machine/state.h's. vm_run
 * returns VM_STOP_DEBUG whenever the debugger is to be asked; virtual time stands still until the
 * next vm_run. The guest can tell nothing of it, but by the time its own clock does not show.
 *
 * Thread: the VM's, outside vm_run, except vm_debug_interrupt.
 */
#ifndef MACHINE_DEBUG_H
#define MACHINE_DEBUG_H

#include "base/status.h"
#include "base/types.h"
#include "machine/vm.h"

enum { VM_MAX_BREAKS = 256, VM_MAX_WATCH_LEN = 8 };

enum vm_break_kind {
    VM_BREAK_SOFT, /* execution at a linear address. Neither kind changes guest memory or debug */
    VM_BREAK_HARD, /* registers: they are two so that a debugger may have both at one place */
    VM_BREAK_PHYS, /* execution at a physical address, whatever maps it */
    VM_WATCH_WRITE,
    VM_WATCH_READ,
    VM_WATCH_ACCESS, /* data at linear addresses, also by the processor itself (stack, tables) */
};

struct vm_break {
    enum vm_break_kind kind;
    u64 addr;
    u32 len; /* watches: bytes, 1..VM_MAX_WATCH_LEN; else ignored */
};

enum vm_debug_why {
    VM_DEBUG_NONE,
    VM_DEBUG_BREAK,     /* met is before the instruction at RIP */
    VM_DEBUG_WATCH,     /* the instruction before RIP touched met.addr */
    VM_DEBUG_STEP,      /* one instruction was executed (or a halted CPU was woken) */
    VM_DEBUG_INTERRUPT, /* vm_debug_interrupt() */
};

struct vm_debug_stop {
    enum vm_debug_why why;
    int vcpu;
    struct vm_break met; /* BREAK and WATCH */
};

/* Why vm_run last returned VM_STOP_DEBUG. */
struct vm_debug_stop vm_debug_stop(const struct vm *vm);

/* What exists already is no error. ST_RANGE: a bad length; ST_NOMEM: too many. */
enum status vm_debug_insert(struct vm *vm, const struct vm_break *b);
bool vm_debug_remove(struct vm *vm, const struct vm_break *b); /* false: not there */
void vm_debug_remove_all(struct vm *vm);

/* The next vm_run executes one instruction of this vCPU, interrupts held back, and stops. A halted
 * CPU sleeps until something wakes it. false takes it back. */
void vm_debug_step(struct vm *vm, int vcpu, bool on);

/* The running, or else the next, vm_run stops soon. Any thread. */
void vm_debug_interrupt(struct vm *vm);
/* Whether vm_stop() was called: a debugger that waits for its user must not wait any longer. */
bool vm_debug_stop_wanted(const struct vm *vm);

/* ---- memory: no faults, no accessed or dirty flags, no device side effects on reading ----------
 */
/* Linear memory through the vCPU's page tables as they are now, whatever the rights. Returns the
 * bytes done before the first that is not mapped (or, writing, not RAM). */
u64 vm_debug_read(struct vm *vm, int vcpu, u64 addr, void *buf, u64 len);
u64 vm_debug_write(struct vm *vm, int vcpu, u64 addr, const void *buf, u64 len);
u64 vm_debug_read_phys(struct vm *vm, u64 addr, void *buf, u64 len);
u64 vm_debug_write_phys(struct vm *vm, u64 addr, const void *buf, u64 len);
bool vm_debug_translate(struct vm *vm, int vcpu, u64 addr, u64 *phys);

/* ---- the CPUs ----------------------------------------------------------------------------------
 */
struct vm_debug_cpu {
    bool long_mode, sse, avx; /* what the model has, whatever is switched on */
    bool halted;
    u64 cr8;
};
int vm_debug_vcpus(const struct vm *vm);
struct vm_debug_cpu vm_debug_cpu(const struct vm *vm, int vcpu);
/* As RDMSR at CPL 0 would; false: #GP. */
bool vm_debug_read_msr(struct vm *vm, int vcpu, u32 msr, u64 *v);
void vm_debug_write_cr8(struct vm *vm, int vcpu, u64 v); /* its low four bits */
/* Hardware reset, at once. ST_*: a kernel to load is gone. */
enum status vm_debug_reset(struct vm *vm, struct error *err);

#endif
