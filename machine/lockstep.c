/*
 * machine/lockstep.c - see lockstep.h.
 */
#include "machine/lockstep.h"
#include "machine/trace.h"
#include "machine/engine_priv.h"
#include "machine/vm_priv.h"
#include "bus/ram.h"

enum vm_stop vm_run_insns(struct vm *vm, u64 n, struct error *err)
{
    if (!n)
        return VM_STOP_REQUEST;
    vm_stop_at(vm, vm_icount(vm) + n);
    vm->never_wait = true;
    enum vm_stop why = vm_run(vm, err);
    vm->never_wait = false;
    vm_stop_at(vm, 0);
    return why;
}

const u8 *vm_ram(const struct vm *vm, u64 *size)
{
    *size = vm->ram->size;
    return vm->ram->base;
}

enum status vm_forkable(struct vm *vm, struct error *err)
{
    return ram_make_private(vm->ram, err);
}

bool vm_forked(struct vm *vm)
{
    return engine_forked(vm->cpu);
}
