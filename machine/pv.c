/*
 * machine/pv.c - the personality: what the guest is told it runs on, wired to CPU, memory and time.
 *
 * The default is kvm, because a kernel that knows where it is runs faster and keeps time better,
 * and one that does not look loses nothing; a ROM image run alone (roms/) is ours and gets our own
 * interface; a program alone in memory gets none, so that it may be compared with silicon.
 */
#include "machine/engine_priv.h"
#include "machine/vm_priv.h"
#include "pv/kvm.h"
#include "pv/trv.h"

#include <stdio.h>
#include <string.h>

static const char *const names[] = {"none", "kvm", "trv", NULL};

const char *const *vm_personalities(void)
{
    return names;
}

/* The kernel's schedstat of this thread: ns on the CPU, ns waiting for one, times run. */
static u64 waited_for_cpu(void *ctx)
{
    unsigned long long ran, waited = 0;
    FILE *f = fopen("/proc/thread-self/schedstat", "re");
    (void)ctx;
    if (!f)
        return 0;
    if (fscanf(f, "%llu %llu", &ran, &waited) != 2)
        waited = 0;
    fclose(f);
    return waited;
}

static void attach_kvm(struct vm *vm)
{
    struct kvm_wires w = {.cpu = vm->cpu, .mem = vm->mem, .clk = vm->clk, .ctx = vm};
    if (!vm->cfg.icount)
        w.stolen_ns = waited_for_cpu;
    /* As KVM does by default: a guest that may be moved to another host is not promised the TSC,
     * and takes kvmclock; the timer with TSC deadlines needs no calibration. */
    cpu_offer(vm->cpu, FEAT_INVTSC, false);
    if (vm->cpu->lapic && cpu_has(vm->cpu, FEAT_TSC))
        cpu_offer(vm->cpu, FEAT_TSCDL, true);
    vm->kvm_pv = vm_add(vm, kvm_new(&w));
}

static const char *personality(const struct vm_config *c)
{
    return c->pv ? c->pv : c->bare ? "none" : c->flat_path ? "trv" : "kvm";
}

enum status pv_check(const struct vm_config *c, struct error *err)
{
    bool known = false, disks = false;
    for (int k = 0; names[k]; k++)
        known |= !c->pv || !strcmp(names[k], c->pv);
    for (int k = 0; k < VM_MAX_PV_DISKS; k++)
        disks |= c->pv_disk[k] != NULL;
    if (!known)
        return fail(err, ST_INVAL, "unknown personality '%.40s' (there are: none, kvm, trv)",
                    c->pv);
    if (disks && strcmp(personality(c), "trv"))
        return fail(err, ST_INVAL, "disks with if=pv are for -pv trv");
    return ST_OK;
}

void pv_attach(struct vm *vm)
{
    const struct vm_config *c = &vm->cfg;
    const char *name = personality(c);
    if (!strcmp(name, "kvm")) {
        attach_kvm(vm);
    } else if (!strcmp(name, "trv")) {
        struct trv_wires w = {.cpu = vm->cpu,
                              .mem = vm->mem,
                              .clk = vm->clk,
                              .console = c->serial[0],
                              .engine = engine_trv_id(c->any_engine ? "interp" : c->engine)};
        for (int k = 0; k < VM_MAX_PV_DISKS; k++)
            w.disk[k] = c->pv_disk[k];
        vm->trv_pv = vm_add(vm, trv_new(&w));
    }
}

void pv_enter(struct vm *vm)
{
    if (vm->kvm_pv)
        kvm_enter(vm->kvm_pv);
}

void pv_sleep(struct vm *vm)
{
    if (vm->kvm_pv)
        kvm_sleep(vm->kvm_pv);
}
