/*
 * machine/ledger.h - where a machine's time goes when the guest's own code does not run: exits by
 * cause, and what each cost the host.
 *
 * You are here: `trivisor compare` and `trivisor run -stats-json` use it. Keeping one slows each
 * exit by two readings of the time stamp counter, about 20 ns each, which are part of what it
 * shows. VM's thread; also inside a callback of vm_run, such as a chardev's write.
 */
#ifndef MACHINE_LEDGER_H
#define MACHINE_LEDGER_H

#include "machine/vm.h"

enum vm_exit_cause {
    VM_EXIT_PORT,      /* IN, OUT and their string forms: one each element */
    VM_EXIT_MMIO,      /* memory-mapped registers, the local APIC too */
    VM_EXIT_FAULT,     /* page faults: delivery to the guest's handler */
    VM_EXIT_EXCEPTION, /* other exceptions */
    VM_EXIT_INTERRUPT, /* delivery */
    VM_EXIT_HYPERCALL,
    VM_EXIT_CAUSES
};

struct vm_ledger {
    struct vm_exit_row {
        u64 n;  /* since vm_ledger_start */
        u64 ns; /* of the host, all n together */
    } row[VM_EXIT_CAUSES];
};

/* "port", "mmio", ...: a lower-case word. */
const char *vm_exit_name(enum vm_exit_cause c);

/* Begins a ledger, or begins it anew. */
void vm_ledger_start(struct vm *vm);
/* All zero when none was begun. */
void vm_ledger(const struct vm *vm, struct vm_ledger *out);

#endif
