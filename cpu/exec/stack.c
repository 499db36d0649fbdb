/*
 * cpu/exec/stack.c - PUSH, POP, PUSHA, POPA, ENTER, LEAVE.
 *
 * Segment registers and flags on the stack are system.def's. RSP moves only after everything that
 * can fault has happened. The stack pointer's size is the SS descriptor's B bit (stack_mask()); the
 * value's is the operand size.
 * Manuals: AMD APM vol. 3, ch. 3; ENTER also Intel SDM vol. 2 (final stack-pointer probe).
 */
#include "cpu/exec/rows_priv.h"
#include "cpu/exec_priv.h"

/* The 8086 and 80186 store the decremented SP for PUSH SP, later ones the old. */
void exec_push(struct cpu *cpu, const struct insn *i)
{
    u64 v = op_read(cpu, i, 0);
    if (i->kind[0] == OP_GPR && i->reg[0] == RSP && unlikely(!cpu_has(cpu, FEAT_I286)))
        v -= 2;
    push(cpu, v, i->osize);
}

/* A memory destination based on RSP is addressed with RSP already incremented. */
void exec_pop(struct cpu *cpu, const struct insn *i)
{
    u64 v = stack_peek(cpu, 0, i->osize);
    if (i->kind[0] == OP_MEM) {
        u64 rsp = cpu->gpr[RSP];
        pop_commit(cpu, i->osize);
        gva ea = op_ea(cpu, i);
        cpu->gpr[RSP] = rsp;
        mem_write(cpu, i->seg, ea, v, i->osize);
        pop_commit(cpu, i->osize);
    } else {
        pop_commit(cpu, i->osize);
        op_write(cpu, i, 0, v);
    }
}

/* What was pushed before a fault stays, below the stack pointer, which has not moved. */
void exec_pusha(struct cpu *cpu, const struct insn *i)
{
    int size = i->osize;
    u64 sp = cpu->gpr[RSP], m = stack_mask(cpu);
    for (int r = 0; r < 8; r++)
        mem_write(cpu, SEG_SS, (sp - (u64)((r + 1) * size)) & m, cpu->gpr[r], size);
    set_sp(cpu, sp - (u64)(8 * size));
}

/* The stored SP is skipped. */
void exec_popa(struct cpu *cpu, const struct insn *i)
{
    u64 v[8];
    for (int k = 0; k < 8; k++)
        v[k] = stack_peek(cpu, k * i->osize, i->osize);
    for (int k = 0; k < 8; k++)
        if (7 - k != RSP)
            gpr_write(cpu, 7 - k, i->osize, v[k]);
    pop_commit(cpu, 8 * i->osize);
}

/* Pushes one by one, as silicon: a pushed frame pointer may be read again as a nested one, and a
 * fault leaves what was pushed below the stack pointer, which has not moved. */
void exec_enter(struct cpu *cpu, const struct insn *i)
{
    int size = i->osize, level = i->imm2 & 31;
    u64 m = stack_mask(cpu), sp = cpu->gpr[RSP], bp = cpu->gpr[RBP];
    /* With a 16-bit stack the frame pointer carries ESP's upper half. */
    u64 frame = (m == 0xffff ? sp & ~m : 0) | ((sp - (u64)size) & m),
        final = frame - (u64)(level * size) - (u16)i->imm;

    mem_write(cpu, SEG_SS, (sp -= (u64)size) & m, bp, size);
    for (int k = 1; k < level; k++) {
        u64 v = mem_read(cpu, SEG_SS, (bp - (u64)(k * size)) & m, size);
        mem_write(cpu, SEG_SS, (sp -= (u64)size) & m, v, size);
    }
    if (level > 0)
        mem_write(cpu, SEG_SS, (sp - (u64)size) & m, frame, size);
    mem_probe_write(cpu, SEG_SS, final & m, (u32)size);
    gpr_write(cpu, RBP, size, frame);
    set_sp(cpu, final);
}

void exec_leave(struct cpu *cpu, const struct insn *i)
{
    u64 bp = cpu->gpr[RBP];
    u64 v = mem_read(cpu, SEG_SS, bp & stack_mask(cpu), i->osize);
    set_sp(cpu, bp + i->osize);
    gpr_write(cpu, RBP, i->osize, v);
}
