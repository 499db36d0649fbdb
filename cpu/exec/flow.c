/*
 * cpu/exec/flow.c - near control flow; far transfers and interrupts are handed to cpu/far.c,
 * intr.c.
 *
 * In 64-bit mode near branches have 64-bit operands; with a 66h prefix the operand is 16 bits, as
 * AMD processors do it (APM vol. 3, 1.2.2), for models whose vendor is AMD: the decoder says so in
 * osize. A target is checked before anything is written.
 */
#include "cpu/exec/rows_priv.h"
#include "cpu/exec_priv.h"

static always_inline void jump_rel(struct cpu *cpu, const struct insn *i)
{
    cpu->rip = branch_target(cpu, cpu->rip + i->imm, i->osize);
}

void exec_jmp(struct cpu *cpu, const struct insn *i)
{
    if (i->kind[0] == OP_REL)
        jump_rel(cpu, i);
    else
        cpu->rip = branch_target(cpu, op_read(cpu, i, 0), i->osize);
}

void exec_call(struct cpu *cpu, const struct insn *i)
{
    u64 target = i->kind[0] == OP_REL ? cpu->rip + i->imm : op_read(cpu, i, 0);
    /* AMD finds out about the stack before it looks at a target that is not canonical */
    if (unlikely(cpu->mode == MODE_LONG64 && !is_canonical(target) && i->osize == 8) &&
        cpu_is_amd(cpu))
        mem_probe_write(cpu, SEG_SS, cpu->gpr[RSP] - 8, 8);
    target = branch_target(cpu, target, i->osize);
    push(cpu, cpu->rip, i->osize);
    cpu->rip = target;
}

void exec_ret(struct cpu *cpu, const struct insn *i)
{
    u64 target = branch_target(cpu, stack_peek(cpu, 0, i->osize), i->osize);
    pop_commit(cpu, i->osize + (i->kind[0] == OP_IMM ? (u16)i->imm : 0));
    cpu->rip = target;
}

#define CONDITIONAL(name, cc)                                                                      \
    void exec_j##name(struct cpu *cpu, const struct insn *i)                                       \
    {                                                                                              \
        if (fl_cond(cpu->fl, cc))                                                                  \
            jump_rel(cpu, i);                                                                      \
    }
CONDITIONAL(o, 0)
CONDITIONAL(no, 1)
CONDITIONAL(b, 2)
CONDITIONAL(nb, 3)
CONDITIONAL(z, 4)
CONDITIONAL(nz, 5)
CONDITIONAL(be, 6)
CONDITIONAL(nbe, 7)
CONDITIONAL(s, 8)
CONDITIONAL(ns, 9)
CONDITIONAL(p, 10)
CONDITIONAL(np, 11)
CONDITIONAL(l, 12)
CONDITIONAL(nl, 13)
CONDITIONAL(le, 14)
CONDITIONAL(nle, 15)

/* The address size picks CX, ECX or RCX. */
static always_inline void loop_if(struct cpu *cpu, const struct insn *i, bool cond)
{
    u64 n = addr_mask(cpu->gpr[RCX] - 1, i->asize);
    if (n != 0 && cond)
        jump_rel(cpu, i);
    gpr_write(cpu, RCX, i->asize, n);
}

void exec_loop(struct cpu *cpu, const struct insn *i)
{
    loop_if(cpu, i, true);
}

void exec_loope(struct cpu *cpu, const struct insn *i)
{
    loop_if(cpu, i, fl_zf(cpu));
}

void exec_loopne(struct cpu *cpu, const struct insn *i)
{
    loop_if(cpu, i, !fl_zf(cpu));
}

void exec_jcxz(struct cpu *cpu, const struct insn *i)
{
    if (addr_mask(cpu->gpr[RCX], i->asize) == 0)
        jump_rel(cpu, i);
}

/* ---- far ------------------------------------------------------------------------------------ */
struct far_pointer {
    u16 sel;
    u64 off;
};

static struct far_pointer far_operand(struct cpu *cpu, const struct insn *i)
{
    struct far_pointer p;
    if (i->kind[0] == OP_FAR) {
        p.off = i->osize == 2 ? (u16)i->imm : (u32)i->imm;
        p.sel = (u16)(i->imm >> 32);
    } else {
        gva ea = op_ea(cpu, i);
        p.off = mem_read(cpu, i->seg, ea, i->osize);
        p.sel = (u16)mem_read(cpu, i->seg, addr_mask(ea + i->osize, i->asize), 2);
    }
    return p;
}

void exec_jmp_far(struct cpu *cpu, const struct insn *i)
{
    struct far_pointer p = far_operand(cpu, i);
    far_jump(cpu, p.sel, p.off, i->osize);
}

void exec_call_far(struct cpu *cpu, const struct insn *i)
{
    struct far_pointer p = far_operand(cpu, i);
    far_call(cpu, p.sel, p.off, i->osize);
}

void exec_ret_far(struct cpu *cpu, const struct insn *i)
{
    far_return(cpu, i->osize, i->kind[0] == OP_IMM ? (u16)i->imm : 0);
}

void exec_iret(struct cpu *cpu, const struct insn *i)
{
    iret(cpu, i->osize);
}

/* ---- software interrupts -------------------------------------------------------------------- */
void exec_int(struct cpu *cpu, const struct insn *i)
{
    deliver(cpu, (u8)i->imm, INTR_SOFT, false, 0);
}

/* INT3 and INTO are exceptions too: who catches those need not have gates for them. */
static void caught_trap(struct cpu *cpu, int vector)
{
    if (likely(!cpu->catch_faults))
        return;
    cpu->gpr[GPR_BLOCK] += cpu->cur->len; /* a trap: reported behind the instruction */
    cpu_raise(cpu, vector);
}

void exec_int3(struct cpu *cpu, const struct insn *i)
{
    caught_trap(cpu, EX_BP);
    deliver(cpu, EX_BP, INTR_TRAP, false, 0);
}

void exec_into(struct cpu *cpu, const struct insn *i)
{
    if (!(cpu->fl & AF_OF))
        return;
    caught_trap(cpu, EX_OF);
    deliver(cpu, EX_OF, INTR_TRAP, false, 0);
}

void exec_int1(struct cpu *cpu, const struct insn *i)
{
    deliver(cpu, EX_DB, INTR_ICEBP, false, 0);
}
