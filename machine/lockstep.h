/*
 * machine/lockstep.h - two VMs side by side: exact steps, a look at all of RAM, copies by fork().
 *
 * You are here: frontends/lockstep compares engines with it. Meant for VMs with config.icount,
 * which do the same in every run.
 */
#ifndef MACHINE_LOCKSTEP_H
#define MACHINE_LOCKSTEP_H

#include "machine/vm.h"

/* Runs n more instructions, exactly. VM_STOP_REQUEST: they were executed, or (vm_icount() tells)
 * vm_stop() was called or the guest sleeps and nothing of the machine's own will wake it. Other
 * reasons as vm_run(). Where a run is cut into pieces changes nothing in what the guest sees. */
enum vm_stop vm_run_insns(struct vm *vm, u64 n, struct error *err);

/* RAM as it is, to look at. Not while the VM runs on another thread. */
const u8 *vm_ram(const struct vm *vm, u64 *size);

/* From here on fork() makes a copy of the VM (in a process of one thread, whose backends stand a
 * copy too). The child calls vm_forked() before anything else; false: no memory, it must not go
 * on. */
enum status vm_forkable(struct vm *vm, struct error *err);
bool vm_forked(struct vm *vm);

#endif
