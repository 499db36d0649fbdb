/*
 * cpu/exec/bcd.c - decimal adjust: DAA DAS AAA AAS AAM AAD.
 *
 * They do not exist in 64-bit mode, so the host cannot do them for us: these follow the manuals'
 * pseudo code (Intel SDM vol. 2, AMD APM vol. 3). The flags that those leave undefined are what
 * 64-bit AMD and Intel silicon was seen to give; tests/insn compares with the host's 32-bit mode.
 */
#include "cpu/alu_priv.h"
#include "cpu/exec/rows_priv.h"
#include "cpu/exec_priv.h"

/* SF ZF PF of al; OF and whatever else is 0 but the given bits. */
static void result_flags(struct cpu *cpu, u8 al, u32 extra)
{
    u16 fl;
    alu_test8(al, al, &fl);
    cpu->fl = (u16)(fl | extra);
}

static void decimal(struct cpu *cpu, int sign)
{
    u8 al = (u8)cpu->gpr[RAX], old = al;
    u32 fl = 0;
    if ((al & 15) > 9 || cpu->fl & AF_AF) {
        al = (u8)(al + sign * 6);
        fl |= AF_AF;
        /* DAS: a borrow out of the low step sets CF by itself. */
        if (sign < 0 && old < 6)
            fl |= AF_CF;
    }
    if (old > 0x99 || fl_cf(cpu)) {
        al = (u8)(al + sign * 0x60);
        fl |= AF_CF;
    }
    gpr_write(cpu, RAX, 1, al);
    result_flags(cpu, al, fl);
}

void exec_daa(struct cpu *cpu, const struct insn *i)
{
    decimal(cpu, 1);
}

void exec_das(struct cpu *cpu, const struct insn *i)
{
    decimal(cpu, -1);
}

/* AL and AH are adjusted as one 16-bit number since the 80286; before, AH apart. */
static void ascii(struct cpu *cpu, int sign)
{
    u16 ax = (u16)cpu->gpr[RAX];
    u32 fl = 0;
    if ((ax & 15) > 9 || cpu->fl & AF_AF) {
        if (cpu_has(cpu, FEAT_I286))
            ax = (u16)(ax + sign * 0x106);
        else
            ax = (u16)((((ax >> 8) + sign) & 0xff) << 8 | ((ax + sign * 6) & 0xff));
        fl = AF_AF | AF_CF;
    }
    ax &= 0xff0f;
    gpr_write(cpu, RAX, 2, ax);
    result_flags(cpu, (u8)ax, fl);
}

void exec_aaa(struct cpu *cpu, const struct insn *i)
{
    ascii(cpu, 1);
}

void exec_aas(struct cpu *cpu, const struct insn *i)
{
    ascii(cpu, -1);
}

void exec_aam(struct cpu *cpu, const struct insn *i)
{
    u8 base = (u8)i->imm, al = (u8)cpu->gpr[RAX];
    if (base == 0)
        cpu_raise(cpu, EX_DE);
    gpr_write(cpu, RAX, 2, (u64)(al / base) << 8 | al % base);
    result_flags(cpu, al % base, 0);
}

void exec_aad(struct cpu *cpu, const struct insn *i)
{
    u16 ax = (u16)cpu->gpr[RAX];
    u8 al = (u8)(ax + (ax >> 8) * (u8)i->imm);
    gpr_write(cpu, RAX, 2, al);
    result_flags(cpu, al, 0);
}
