/*
 * cpu/exec/bcd.c - decimal adjust: DAA DAS AAA AAS AAM AAD.
 *
 * They do not exist in 64-bit mode, so the host cannot do them for us: these follow the manuals'
 * pseudo code (Intel SDM vol. 2, AMD APM vol. 3). The flags that those leave undefined are those of
 * the addition inside, as current AMD processors give them; tests/insn compares with the host's
 * 32-bit mode.
 */
#include "cpu/alu_priv.h"
#include "cpu/exec/rows_priv.h"
#include "cpu/exec/template_priv.h"
#include "cpu/exec_priv.h"

/* The flags of the addition inside, but CF and AF as the instruction sets them. */
static void set_flags(struct cpu *cpu, u16 fl, u32 carries)
{
    cpu->fl = (u16)((fl & ~(AF_CF | AF_AF)) | carries);
}

static void decimal(struct cpu *cpu, int sign)
{
    u8 al = (u8)cpu->gpr[RAX], by = 0;
    u32 carries = 0;
    u16 fl;
    if ((al & 15) > 9 || cpu->fl & AF_AF) {
        by = 6;
        carries |= AF_AF;
        /* DAS: a borrow out of the low step sets CF by itself, but on the 8086 */
        if (sign < 0 && al < 6 && cpu_has(cpu, FEAT_I186))
            carries |= AF_CF;
    }
    /* the 8086 compares with 9Fh after a half carry */
    u8 top = cpu->fl & AF_AF && !cpu_has(cpu, FEAT_I186) ? 0x9f : 0x99;
    if (al > top || fl_cf(cpu)) {
        by += 0x60;
        carries |= AF_CF;
    }
    gpr_write(cpu, RAX, 1, sign > 0 ? alu_add8(al, by, &fl) : alu_sub8(al, by, &fl));
    set_flags(cpu, fl, carries);
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
    u16 ax = (u16)cpu->gpr[RAX], by = 0, fl;
    u32 carries = 0;
    if ((ax & 15) > 9 || cpu->fl & AF_AF) {
        by = 0x106;
        carries = AF_AF | AF_CF;
    }
    u16 r = sign > 0 ? alu_add16(ax, by, &fl) : alu_sub16(ax, by, &fl);
    if (by && !cpu_has(cpu, FEAT_I286))
        r = (u16)(((ax >> 8) + sign) << 8 | (r & 0xff));
    gpr_write(cpu, RAX, 2, r & 0xff0f);
    set_flags(cpu, fl, carries);
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
    if (base == 0) {
        if (!cpu_has(cpu, FEAT_I186)) /* the flags of the quotient that was not computed */
            alu_test8(0, 0, &cpu->fl);
        raise_de(cpu);
    }
    gpr_write(cpu, RAX, 2, (u64)(al / base) << 8 | al % base);
    alu_test8(al % base, 0xff, &cpu->fl);
}

void exec_aad(struct cpu *cpu, const struct insn *i)
{
    u16 ax = (u16)cpu->gpr[RAX];
    gpr_write(cpu, RAX, 2, alu_add8((u8)ax, (u8)((ax >> 8) * (u8)i->imm), &cpu->fl));
}
