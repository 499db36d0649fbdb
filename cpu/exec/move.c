/*
 * cpu/exec/move.c - data movement without arithmetic: MOV and its kin, conversions, conditions.
 *
 * Segment, control and debug register forms of MOV are system.def's. No flag is written here but by
 * SAHF and the flag instructions.
 * Manuals: AMD APM vol. 3, ch. 3.
 */
#include "cpu/alu_priv.h"
#include "cpu/exec/rows_priv.h"
#include "cpu/exec_priv.h"

void exec_mov(struct cpu *cpu, const struct insn *i)
{
    op_write(cpu, i, 0, op_read(cpu, i, 1));
}

/* op_read zero-extends. */
void exec_movzx(struct cpu *cpu, const struct insn *i)
{
    op_write(cpu, i, 0, op_read(cpu, i, 1));
}

void exec_movsx(struct cpu *cpu, const struct insn *i)
{
    op_write(cpu, i, 0, sign_extend(op_read(cpu, i, 1), i->size[1]));
}

void exec_lea(struct cpu *cpu, const struct insn *i)
{
    op_write(cpu, i, 0, op_ea(cpu, i));
}

/* With memory always atomic, with or without LOCK. */
void exec_xchg(struct cpu *cpu, const struct insn *i)
{
    int m = i->kind[1] == OP_MEM, r = !m, size = i->size[0];
    u64 b = op_read(cpu, i, r), a;
    if (i->kind[m] != OP_MEM) {
        a = op_read(cpu, i, m);
        op_write(cpu, i, m, b);
        op_write(cpu, i, r, a);
        return;
    }
    gva ea = op_ea(cpu, i);
    hva p = mem_rmw(cpu, i->seg, ea, size);
    if (likely(p)) {
        a = size == 1   ? lock_xchg8(p, (u8)b)
            : size == 2 ? lock_xchg16(p, (u16)b)
            : size == 4 ? lock_xchg32(p, (u32)b)
                        : lock_xchg64(p, b);
    } else {
        mem_probe_write(cpu, i->seg, ea, (u32)size);
        a = mem_read(cpu, i->seg, ea, size);
        mem_write(cpu, i->seg, ea, b, size);
    }
    op_write(cpu, i, r, a);
}

static always_inline u64 swap_bytes(u64 v, int size)
{
    return size == 2   ? __builtin_bswap16((u16)v)
           : size == 4 ? __builtin_bswap32((u32)v)
                       : __builtin_bswap64(v);
}

/* The 16-bit form is undefined in the manuals: the host's answer. */
void exec_bswap(struct cpu *cpu, const struct insn *i)
{
    u64 *r = &cpu->gpr[i->reg[0]];
    if (i->size[0] == 2)
        __asm__(".byte 0x66\n\tbswap %k0" : "+r"(*r));
    else
        *r = swap_bytes(*r, i->size[0]);
}

void exec_movbe(struct cpu *cpu, const struct insn *i)
{
    op_write(cpu, i, 0, swap_bytes(op_read(cpu, i, 1), i->size[0]));
}

/* CBW CWDE CDQE: rAX from its lower half. */
void exec_cbw(struct cpu *cpu, const struct insn *i)
{
    gpr_write(cpu, RAX, i->osize, sign_extend(cpu->gpr[RAX], i->osize / 2));
}

/* CWD CDQ CQO: rDX becomes rAX's sign. */
void exec_cwd(struct cpu *cpu, const struct insn *i)
{
    u64 v = sign_extend(cpu->gpr[RAX], i->osize);
    gpr_write(cpu, RDX, i->osize, (u64)((i64)v >> 63));
}

/* [rBX + AL], the sum wrapped to the address size. */
void exec_xlat(struct cpu *cpu, const struct insn *i)
{
    gva ea = addr_mask(cpu->gpr[RBX] + (u8)cpu->gpr[RAX], i->asize);
    gpr_write(cpu, RAX, 1, mem_read(cpu, i->seg, ea, 1));
}

/* ---- conditions ----------------------------------------------------------------------------- */
/* SETcc, and CMOVcc: the source is read (and may fault) whatever the condition; the 32-bit form
 * clears the upper half even when it does not move. */
#define CONDITION(name, cc)                                                                        \
    void exec_set##name(struct cpu *cpu, const struct insn *i)                                     \
    {                                                                                              \
        op_write(cpu, i, 0, fl_cond(cpu->fl, cc));                                                 \
    }                                                                                              \
    void exec_cmov##name(struct cpu *cpu, const struct insn *i)                                    \
    {                                                                                              \
        u64 v = op_read(cpu, i, 1);                                                                \
        op_write(cpu, i, 0, fl_cond(cpu->fl, cc) ? v : op_read(cpu, i, 0));                        \
    }
CONDITION(o, 0)
CONDITION(no, 1)
CONDITION(b, 2)
CONDITION(nb, 3)
CONDITION(z, 4)
CONDITION(nz, 5)
CONDITION(be, 6)
CONDITION(nbe, 7)
CONDITION(s, 8)
CONDITION(ns, 9)
CONDITION(p, 10)
CONDITION(np, 11)
CONDITION(l, 12)
CONDITION(nl, 13)
CONDITION(le, 14)
CONDITION(nle, 15)

/* ---- flags ---------------------------------------------------------------------------------- */
static void need_lahf64(struct cpu *cpu)
{
    if (cpu->mode == MODE_LONG64 && !cpu_has(cpu, FEAT_LAHF64))
        raise_ud(cpu);
}

void exec_lahf(struct cpu *cpu, const struct insn *i)
{
    need_lahf64(cpu);
    ((u8 *)&cpu->gpr[RAX])[1] = (u8)fl_to_eflags(cpu->fl) | FL_1;
}

void exec_sahf(struct cpu *cpu, const struct insn *i)
{
    need_lahf64(cpu);
    u32 keep = fl_to_eflags(cpu->fl) & FL_OF;
    cpu->fl = fl_from_eflags((u8)(cpu->gpr[RAX] >> 8) | keep);
}

void exec_clc(struct cpu *cpu, const struct insn *i)
{
    cpu->fl &= (u16)~AF_CF;
}

void exec_stc(struct cpu *cpu, const struct insn *i)
{
    cpu->fl |= AF_CF;
}

void exec_cmc(struct cpu *cpu, const struct insn *i)
{
    cpu->fl ^= AF_CF;
}

void exec_cld(struct cpu *cpu, const struct insn *i)
{
    cpu->flsys &= ~(u32)FL_DF;
}

void exec_std(struct cpu *cpu, const struct insn *i)
{
    cpu->flsys |= FL_DF;
}

/* AL = CF ? FF : 00, flags untouched. Undocumented by AMD, listed by Intel since 2017. */
void exec_salc(struct cpu *cpu, const struct insn *i)
{
    gpr_write(cpu, RAX, 1, fl_cf(cpu) ? 0xff : 0);
}
