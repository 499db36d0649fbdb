/*
 * machine/ledger.c - see ledger.h. Ticks become time by the host's clock over the ledger's life:
 * the time stamp counter is taken to run at one rate, as on every host of the last fifteen years.
 */
#include "machine/ledger.h"
#include "machine/vm_priv.h"

#include <time.h>

_Static_assert((int)VM_EXIT_CAUSES == (int)LEDGER_CAUSES &&
                   (int)VM_EXIT_HYPERCALL == (int)LEDGER_HYPERCALL,
               "the causes of base/ledger.h, for those who do not see it");

static u64 host_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (u64)ts.tv_sec * NS_PER_SEC + (u64)ts.tv_nsec;
}

const char *vm_exit_name(enum vm_exit_cause c)
{
    static const char *const names[] = {"port",      "mmio",      "page_fault",
                                        "exception", "interrupt", "hypercall"};
    return names[c];
}

void vm_ledger_start(struct vm *vm)
{
    vm->ledger = (struct ledger){0};
    vm->ledger_ns = host_ns();
    vm->ledger_ticks = __builtin_ia32_rdtsc();
    vm->cpu->mmu.ledger = &vm->ledger;
}

void vm_ledger(const struct vm *vm, struct vm_ledger *out)
{
    *out = (struct vm_ledger){0};
    if (!vm->cpu->mmu.ledger)
        return;
    u64 ns = host_ns() - vm->ledger_ns, ticks = __builtin_ia32_rdtsc() - vm->ledger_ticks;
    double rate = ticks ? (double)ns / (double)ticks : 0;
    for (int k = 0; k < VM_EXIT_CAUSES; k++) {
        out->row[k].n = vm->ledger.row[k].n;
        out->row[k].ns = (u64)((double)vm->ledger.row[k].ticks * rate);
    }
}
