/*
 * cpu/exec/old.c - instructions that only the 8086 and 80286 have, or that they do otherwise.
 *
 * Rows whose condition is WHEN_8086 or WHEN_286; no later model comes here. What the manuals leave
 * out is as recorded on an 80C86 (the 8086 suite's README).
 */
#include "cpu/alu_priv.h"
#include "cpu/exec/rows_priv.h"
#include "cpu/exec/template_priv.h"
#include "cpu/exec_priv.h"

/* D0..D3 /6, SETMO and SETMOC: all ones, unless the count is 0. */
void exec_setmo(struct cpu *cpu, const struct insn *i)
{
    if (!op_read(cpu, i, 1))
        return;
    op_write(cpu, i, 0, size_mask(i->size[0]));
    alu_test16(0xffff, 0xffff, &cpu->fl);
}

/* ESC without a coprocessor: the operand's first word is read, and nobody answers. */
void exec_esc(struct cpu *cpu, const struct insn *i)
{
    if (cpu->cr0 & (CR0_EM | CR0_TS))
        cpu_raise(cpu, EX_NM);
    if (i->kind[0] == OP_MEM)
        mem_read(cpu, i->seg, op_ea(cpu, i), 2);
}

/* A quotient of -80h or -8000h is too large as well; a REP before it negates the quotient. */
void exec_idiv_8086(struct cpu *cpu, const struct insn *i)
{
    bool byte = i->size[0] == 1;
    i64 d = byte ? (i8)op_read(cpu, i, 0) : (i16)op_read(cpu, i, 0);
    i64 n = byte ? (i16)cpu->gpr[RAX] : (i32)((u32)(u16)cpu->gpr[RDX] << 16 | (u16)cpu->gpr[RAX]);
    i64 most = byte ? 0x7f : 0x7fff;
    if (!d || n / d > most || n / d < -most)
        raise_de(cpu);
    i64 q = i->flags & INF_REP ? -(n / d) : n / d;
    if (byte) {
        gpr_write(cpu, RAX, 2, (u64)(u8)q | (u64)(u8)(n % d) << 8);
    } else {
        gpr_write(cpu, RAX, 2, (u64)q);
        gpr_write(cpu, RDX, 2, (u64)(n % d));
    }
}
