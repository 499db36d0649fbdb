/*
 * machine/state.c - struct cpu to struct cpu_regs and back.
 */
#include "machine/state_priv.h"
#include "machine/vm_priv.h"
#include "base/log.h"

#include <string.h>

static struct cpu_seg_state seg_out(const struct seg *s)
{
    return (struct cpu_seg_state){
        .base = s->base, .limit = s->limit, .sel = s->sel, .attr = s->attr};
}

static void seg_in(struct seg *to, const struct cpu_seg_state *s)
{
    to->sel = s->sel;
    to->attr = s->attr;
    to->limit = s->limit;
    to->base = s->base;
}

void state_get(struct cpu *cpu, struct cpu_regs *r)
{
    memset(r, 0, sizeof(*r));
    cpu_sync_fpu(cpu);
    memcpy(r->gpr, cpu->gpr, sizeof(r->gpr));
    r->rip = cpu->rip;
    r->rflags = cpu_rflags(cpu);
    for (int s = 0; s < SEG_COUNT; s++)
        r->seg[s] = seg_out(&cpu->seg[s]);
    r->ldtr = seg_out(&cpu->ldtr);
    r->tr = seg_out(&cpu->tr);
    r->gdtr = (struct cpu_dtable_state){cpu->gdtr.base, cpu->gdtr.limit};
    r->idtr = (struct cpu_dtable_state){cpu->idtr.base, cpu->idtr.limit};
    r->cr0 = cpu->cr0;
    r->cr2 = cpu->cr2;
    r->cr3 = cpu->cr3;
    r->cr4 = cpu->cr4;
    r->efer = cpu->efer;
    r->xcr0 = cpu->xcr0;
    memcpy(r->dr, cpu->dr, sizeof(r->dr));
    r->cpl = cpu->cpl;
    r->mode_bits = (cpu->key & KEY_DMODE) == KEY_64   ? 64
                   : (cpu->key & KEY_DMODE) == KEY_32 ? 32
                                                      : 16;
    memcpy(r->xsave, cpu->xs.legacy, sizeof(cpu->xs.legacy));
    memcpy(r->xsave + offsetof(struct xstate, ymm_hi), cpu->xs.ymm_hi, sizeof(cpu->xs.ymm_hi));
}

void state_set(struct cpu *cpu, const struct cpu_regs *r)
{
    bool paging =
        cpu->cr0 != r->cr0 || cpu->cr3 != r->cr3 || cpu->cr4 != r->cr4 || cpu->efer != r->efer;

    memcpy(cpu->gpr, r->gpr, sizeof(r->gpr));
    cpu->rip = r->rip;
    cpu->cr0 = r->cr0;
    cpu->cr2 = r->cr2;
    cpu->cr3 = r->cr3;
    cpu->cr4 = r->cr4;
    cpu->efer = r->efer;
    cpu->xcr0 = r->xcr0;
    memcpy(cpu->dr, r->dr, sizeof(r->dr));
    cpu->cpl = r->cpl & 3;
    for (int s = 0; s < SEG_COUNT; s++)
        seg_in(&cpu->seg[s], &r->seg[s]);
    seg_in(&cpu->ldtr, &r->ldtr);
    seg_in(&cpu->tr, &r->tr);
    cpu->gdtr = (struct dtable){r->gdtr.base, r->gdtr.limit};
    cpu->idtr = (struct dtable){r->idtr.base, r->idtr.limit};
    memcpy(cpu->xs.legacy, r->xsave, sizeof(cpu->xs.legacy));
    memcpy(cpu->xs.ymm_hi, r->xsave + offsetof(struct xstate, ymm_hi), sizeof(cpu->xs.ymm_hi));
    memcpy(&cpu->fop, r->xsave + 6, sizeof(cpu->fop));
    memcpy(&cpu->fip, r->xsave + 8, sizeof(cpu->fip));
    memcpy(&cpu->fdp, r->xsave + 16, sizeof(cpu->fdp));
    cpu->fcs = cpu->fds = 0;
    cpu_set_rflags(cpu, r->rflags | FL_1);
    cpu_state_written(cpu, paging);
}

void vm_get_regs(const struct vm *vm, int vcpu, struct cpu_regs *r)
{
    CHECK(vcpu == 0);
    state_get(vm->cpu, r);
}

void vm_set_regs(struct vm *vm, int vcpu, const struct cpu_regs *r)
{
    CHECK(vcpu == 0);
    state_set(vm->cpu, r);
}
