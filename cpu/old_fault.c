/*
 * cpu/old_fault.c - a segment overrun in real mode as the 80286 leaves it.
 *
 * Its string instructions and POP have moved their registers by the time the operand's limit is
 * checked, and an exception does not move them back: later processors restart, the 80286 cannot.
 * Which ones have moved by then is as recorded on an 80C286 (the suite's README); the manual only
 * says that interrupt 13 of a string instruction is not restartable (iAPX 286 Programmer's
 * Reference Manual, 9.6).
 */
#include "cpu/exec_priv.h"

static void move(struct cpu *cpu, int reg, int by)
{
    gpr_write(cpu, reg, 2, cpu->gpr[reg] + (u64)by);
}

void overrun_286(struct cpu *cpu)
{
    const struct insn *i = cpu->cur;
    if (!i)
        return;
    int step = cpu->flsys & FL_DF ? -2 : 2;
    bool si = (u16)cpu->gpr[RSI] == 0xffff, di = (u16)cpu->gpr[RDI] == 0xffff;
    int count = 1; /* taken off CX under REP */
    switch (i->row) {
    case INSN_MOVSW:
        move(cpu, RSI, step);
        if (!si) {
            move(cpu, RDI, step);
            count = 2;
        }
        break;
    case INSN_CMPSW: /* the destination is read first */
        move(cpu, RDI, step);
        if (!di)
            move(cpu, RSI, step);
        else
            count = 0;
        break;
    case INSN_LODSW:
    case INSN_OUTSW:
        move(cpu, RSI, step);
        break;
    case INSN_SCASW:
        move(cpu, RDI, step);
        break;
    case INSN_STOSW:
    case INSN_INSW:
        move(cpu, RDI, step);
        count = 2;
        break;
    case INSN_POP:
        if (i->kind[0] == OP_MEM && (u16)cpu->gpr[RSP] != 0xffff)
            move(cpu, RSP, 2);
        return;
    default:
        return;
    }
    if (i->flags & (INF_REP | INF_REPNE))
        move(cpu, RCX, -count);
}
