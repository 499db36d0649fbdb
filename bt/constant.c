/*
 * bt/constant.c - instructions whose constant the guest rewrites: host code that reads it where the
 * block keeps it (struct insn), so that the translation stays right when it changes.
 *
 * Which they are the page remembers (code_page.loose, cpu/recode.c). Others are copied with their
 * constant, and their translation ends with its first change.
 */
#include "bt/bt_priv.h"

/* The opcode "r/m, r" of operands of more than a byte; 0: not one of them. */
static u8 opcode_of(const struct insn *i)
{
    switch (i->row) {
    case INSN_ADD:
        return 0x01;
    case INSN_OR:
        return 0x09;
    case INSN_ADC:
        return 0x11;
    case INSN_SBB:
        return 0x19;
    case INSN_AND:
        return 0x21;
    case INSN_SUB:
        return 0x29;
    case INSN_XOR:
        return 0x31;
    case INSN_CMP:
        return 0x39;
    case INSN_TEST:
        return 0x85;
    case INSN_MOV:
        return 0x89;
    default:
        return 0;
    }
}

/* S2 = where the block has the constant. Flags stay. */
static void point_to_constant(struct xl *x, const struct insn *i)
{
    e_imm(x->a, S2, (u64)(uintptr_t)&i->imm);
}

/* IMUL reg, reg, imm by way of S2. */
static bool emit_imul(struct xl *x, int k)
{
    const struct insn *i = &x->b->insn[k];
    int to = host_of(i->reg[0]), from = host_of(i->reg[1]);
    bool wide = i->size[0] == 8;
    if (i->row != INSN_IMUL || i->kind[1] != OP_GPR || i->kind[2] != OP_IMM || i->size[0] < 4 ||
        to == H_NONE || from == H_NONE)
        return false;
    flags_before_write(x, k, (u16)(1u << to), true);
    if (x->use[k] == FLAGS_READ_WRITE)
        flags_to_host(x);
    point_to_constant(x, i);
    e_rm(x->a, wide, OP_LOAD, S2, S2, 0);
    e_rex(x->a, wide, S2, 0, from);
    E(x->a, 0x0f, 0xaf, (u8)(0xc0 | (S2 & 7) << 3 | (from & 7)));
    e_mov_rr(x->a, wide, to, S2);
    return true;
}

/* op reg, imm: from where the constant is */
static bool emit_reg(struct xl *x, int k, u8 op)
{
    const struct insn *i = &x->b->insn[k];
    int reg = host_of(i->reg[0]), size = i->size[0];
    bool only_reads = i->row == INSN_CMP || i->row == INSN_TEST;
    if (reg == H_NONE)
        return false;
    flags_before_write(x, k, only_reads ? 0 : (u16)(1u << reg), true);
    if (x->use[k] == FLAGS_READ_WRITE)
        flags_to_host(x);
    point_to_constant(x, i);
    if (size == 2)
        e1(x->a, 0x66);
    op = i->row == INSN_TEST ? op : op | 2; /* "r, r/m" */
    e_rm(x->a, size == 8, size == 1 ? op - 1 : op, reg, S2, 0);
    return true;
}

/* op [memory], imm by way of S2 */
static bool emit_mem(struct xl *x, int k, u8 op)
{
    const struct insn *i = &x->b->insn[k];
    int size = i->size[0], first = x->n_cold;
    bool only_reads = i->row == INSN_CMP || i->row == INSN_TEST;
    if (!mem_simple(x, i) || (i->flags & INF_LOCK))
        return false;
    mem_operand(x, k, i,
                &(struct mem_use){.size = (u32)size, .write = !only_reads, .what = COLD_SLOW});
    if (x->use[k] == FLAGS_READ_WRITE)
        flags_to_host(x);
    point_to_constant(x, i);
    e_rm(x->a, size == 8, OP_LOAD, S2, S2, 0);
    if (size == 2)
        e1(x->a, 0x66);
    mem_rex(x, size == 8, S2);
    e1(x->a, size == 1 ? op - 1 : op);
    mem_modrm(x, S2);
    cold_back(x, first);
    return true;
}

bool emit_constant(struct xl *x, int k)
{
    const struct insn *i = &x->b->insn[k];
    const struct code_page *pg = x->b->page[0];
    u32 at = (u32)(x->b->phys & ~PAGE_MASK) + i->off;
    if (likely(!(pg->loose[at / 64] >> at % 64 & 1)) || (i->flags & INF_STUB))
        return false;
    if (x->strip.on) /* made for the steps that the constants are now */
        return false;
    u8 op = i->kind[1] == OP_IMM ? opcode_of(i) : 0;
    bool done = op == 0                ? i->kind[0] == OP_GPR && emit_imul(x, k)
                : i->kind[0] == OP_GPR ? emit_reg(x, k, op)
                : i->kind[0] == OP_MEM ? emit_mem(x, k, op)
                                       : false;
    if (!done)
        return false;
    if (x->use[k] == FLAGS_WRITE || x->use[k] == FLAGS_READ_WRITE)
        x->fl = (struct flag_state){.host = true};
    x->how[k] = BT_EMITTED;
    return true;
}
