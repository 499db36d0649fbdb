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

/* A descriptor cache in LOADALL's table: base, access byte, limit. */
struct cpu_cache {
    u32 base;
    u16 limit, attr;
};
static struct cpu_cache loadall_cache(struct cpu *cpu, u32 at)
{
    u32 low = (u32)space_read(cpu->mem, at, 4);
    return (struct cpu_cache){.base = low & 0xffffff,
                              .attr = (u16)(low >> 24),
                              .limit = (u16)space_read(cpu->mem, at + 4, 2)};
}

static void loadall_seg(struct cpu *cpu, struct seg *s, u32 sel_at, u32 cache_at)
{
    struct cpu_cache c = loadall_cache(cpu, cache_at);
    s->sel = (u16)space_read(cpu->mem, sel_at, 2);
    s->base = c.base;
    s->limit = c.limit;
    s->attr = c.attr;
}

/* 0F 05: all registers and hidden parts from 102 bytes at 800h. Nothing is checked; PE is not
 * cleared. CPL is the DPL of SS. Intel's undocumented iAPX 286 LOADALL (1983). */
void exec_loadall(struct cpu *cpu, const struct insn *i)
{
    enum { MSW = 0x806, TR = 0x816, FLAGS = 0x818, IP = 0x81a, LDT = 0x81c, DS = 0x81e };
    static const u8 gprs[8] = {RDI, RSI, RBP, RSP, RBX, RDX, RCX, RAX};
    static const struct {
        u8 seg;
        u16 sel_at, cache_at;
    } segs[4] = {{SEG_DS, DS, 0x848},
                 {SEG_SS, 0x820, 0x842},
                 {SEG_CS, 0x822, 0x83c},
                 {SEG_ES, 0x824, 0x836}};

    if (cpu->cpl != 0)
        raise_gp0(cpu);
    for (int k = 0; k < 8; k++)
        gpr_write(cpu, gprs[k], 2, space_read(cpu->mem, 0x826 + 2 * (u32)k, 2));
    cpu->cr0 = (cpu->cr0 & ~0xeull) | (space_read(cpu->mem, MSW, 2) & 0xf);
    for (int k = 0; k < 4; k++) {
        struct cpu_cache c = loadall_cache(cpu, segs[k].cache_at);
        cpu_set_seg(cpu, segs[k].seg, (u16)space_read(cpu->mem, segs[k].sel_at, 2), c.base, c.limit,
                    c.attr);
    }
    loadall_seg(cpu, &cpu->tr, TR, 0x860);
    loadall_seg(cpu, &cpu->ldtr, LDT, 0x854);
    struct cpu_cache g = loadall_cache(cpu, 0x84e), t = loadall_cache(cpu, 0x85a);
    cpu->gdtr = (struct dtable){g.base, g.limit};
    cpu->idtr = (struct dtable){t.base, t.limit};
    cpu->cpl = cpu->cr0 & CR0_PE ? cpu->seg[SEG_SS].attr >> 5 & 3 : 0;
    cpu_set_rflags(cpu, (space_read(cpu->mem, FLAGS, 2) & 0x7fd5) | FL_1);
    cpu->rip = space_read(cpu->mem, IP, 2);
    update_mode(cpu);
}

/* ---- flags that the manuals leave undefined ---------------------------------------------------
 * The recorded 80C286 gives the same ones each time. */

/* OF and CF as they are, AF set, the rest of hi: the half that the algorithm ends with. */
static void flags_of_half(struct cpu *cpu, u16 carries, bool byte, u64 hi)
{
    u16 fl;
    if (byte)
        alu_test8((u8)hi, 0xff, &fl);
    else
        alu_test16((u16)hi, 0xffff, &fl);
    cpu->fl = (u16)((fl & (AF_SF | AF_ZF | AF_PF)) | AF_AF | (carries & (AF_CF | AF_OF)));
}

/* SHL: AF is bit 4 of the result. The 8086 takes the count as it is. */
#define SHL_OLD(N)                                                                                 \
    static u##N shl_old##N(u##N a, u8 n, u16 *fl)                                                  \
    {                                                                                              \
        if (!n)                                                                                    \
            return a;                                                                              \
        for (; n > 31; n -= 31)                                                                    \
            a = alu_shl##N(a, 31, fl);                                                             \
        a = alu_shl##N(a, n, fl);                                                                  \
        *fl = (u16)((*fl & ~AF_AF) | (a & 0x10 ? AF_AF : 0));                                      \
        return a;                                                                                  \
    }                                                                                              \
    static void shl_286_##N(struct cpu *cpu, const struct insn *i, u8 n)                           \
    {                                                                                              \
        RMW(N, op_ea(cpu, i), shl_old##N(a, n, &fl), (void)0)                                      \
    }
SHL_OLD(8)
SHL_OLD(16)

void exec_shl_286(struct cpu *cpu, const struct insn *i)
{
    u8 n = (u8)op_read(cpu, i, 1);
    if (cpu_has(cpu, FEAT_I186))
        n &= 31;
    if (i->size[0] == 1)
        shl_286_8(cpu, i, n);
    else
        shl_286_16(cpu, i, n);
}

void exec_mul_286(struct cpu *cpu, const struct insn *i)
{
    bool byte = i->size[0] == 1;
    exec_mul(cpu, i);
    flags_of_half(cpu, cpu->fl, byte, byte ? cpu->gpr[RAX] >> 8 : cpu->gpr[RDX]);
}

void exec_imul_286(struct cpu *cpu, const struct insn *i)
{
    bool byte = i->size[0] == 1;
    if (i->kind[1] == OP_NONE) {
        exec_imul(cpu, i);
        flags_of_half(cpu, cpu->fl, byte, byte ? cpu->gpr[RAX] >> 8 : cpu->gpr[RDX]);
        return;
    }
    i32 p = (i16)op_read(cpu, i, 1) * (i16)op_read(cpu, i, i->kind[2] == OP_NONE ? 0 : 2);
    op_write(cpu, i, 0, (u16)p);
    flags_of_half(cpu, p == (i16)p ? 0 : AF_CF | AF_OF, false, (u64)p >> 16);
}

/* CF and OF: the last compare borrowed, in as many bits as the divisor has. */
void exec_div_286(struct cpu *cpu, const struct insn *i)
{
    bool byte = i->size[0] == 1;
    u32 mask = byte ? 0xff : 0xffff, d = (u32)op_read(cpu, i, 0);
    u32 n = byte ? (u16)cpu->gpr[RAX] : (u32)(u16)cpu->gpr[RDX] << 16 | (u16)cpu->gpr[RAX];
    if (!d || n / d > mask)
        raise_de(cpu);
    u32 q = n / d, r = n % d, last = (u32)(r + (q & 1 ? (u64)d : 0));
    gpr_write(cpu, RAX, 2, byte ? q | r << 8 : q);
    if (!byte)
        gpr_write(cpu, RDX, 2, r);
    flags_of_half(cpu, (last & mask) < d ? AF_CF | AF_OF : 0, byte, r);
}

/* CF and OF: the divisor is positive. */
void exec_idiv_286(struct cpu *cpu, const struct insn *i)
{
    bool byte = i->size[0] == 1;
    i64 d = (i64)sign_extend(op_read(cpu, i, 0), byte ? 1 : 2);
    exec_idiv(cpu, i);
    flags_of_half(cpu, d > 0 ? AF_CF | AF_OF : 0, byte, byte ? cpu->gpr[RAX] >> 8 : cpu->gpr[RDX]);
}

/* The flags of the byte addition inside, but CF and AF as the instruction sets them. */
static void ascii(struct cpu *cpu, const struct insn *i, bool add)
{
    u8 al = (u8)cpu->gpr[RAX];
    u16 fl, by = (al & 15) > 9 || cpu->fl & AF_AF ? 6 : 0;
    if (add) {
        alu_add8(al, (u8)by, &fl);
        exec_aaa(cpu, i);
    } else {
        alu_sub8(al, (u8)by, &fl);
        exec_aas(cpu, i);
    }
    cpu->fl = (u16)((fl & ~(AF_AF | AF_CF)) | (by ? AF_AF | AF_CF : 0));
}

void exec_aaa_286(struct cpu *cpu, const struct insn *i)
{
    ascii(cpu, i, true);
}

void exec_aas_286(struct cpu *cpu, const struct insn *i)
{
    ascii(cpu, i, false);
}

/* OF is the carry. */
void exec_aad_286(struct cpu *cpu, const struct insn *i)
{
    exec_aad(cpu, i);
    cpu->fl = (u16)((cpu->fl & ~AF_OF) | (cpu->fl & AF_CF ? AF_OF : 0));
}

/* ---- the 8086 ------------------------------------------------------------------------------- */
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
