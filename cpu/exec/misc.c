/*
 * cpu/exec/misc.c - what computes nothing: NOP and hints, fences, cache lines, UD, BOUND.
 */
#include "cpu/exec/rows_priv.h"
#include "cpu/exec_priv.h"

/* NOP, PAUSE, prefetches: a memory operand is not accessed and cannot fault. */
void exec_nop(struct cpu *cpu, const struct insn *i)
{
}

/* Host order is guest order (same ISA): the fence is the host's. */
void exec_fence(struct cpu *cpu, const struct insn *i)
{
    __sync_synchronize();
}

/* There is no cache; the address is checked as for a read of one byte (APM vol. 3, CLFLUSH). */
void exec_clflush(struct cpu *cpu, const struct insn *i)
{
    mem_probe_read(cpu, i->seg, op_ea(cpu, i), 1);
}

void exec_ud(struct cpu *cpu, const struct insn *i)
{
    raise_ud(cpu);
}

void exec_bound(struct cpu *cpu, const struct insn *i)
{
    int size = i->size[0];
    gva ea = op_ea(cpu, i);
    i64 index = (i64)sign_extend(op_read(cpu, i, 0), size);
    i64 low = (i64)sign_extend(mem_read(cpu, i->seg, ea, size), size);
    gva second = addr_mask(ea + (u64)size, i->asize);
    i64 high = (i64)sign_extend(mem_read(cpu, i->seg, second, size), size);
    if (index < low || index > high)
        cpu_raise(cpu, EX_BR);
}
