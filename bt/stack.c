/*
 * bt/stack.c - PUSH, POP and LEAVE in host code, and what else goes by the stack pointer.
 *
 * RSP is a number in R13; a stack slot is checked as any memory operand. In segmented code the slot
 * is in SS, the stack pointer has 16 or 32 bits, and values have the size of the operand.
 */
#include "bt/bt_priv.h"

/* S1 = x->ref. */
void load_s1(struct xl *x, int size)
{
    mem_rex(x, size == 8, S1);
    if (size == 2)
        E(x->a, 0x0f, 0xb7); /* movzx */
    else
        e1(x->a, OP_LOAD);
    mem_modrm(x, S1);
}

void store_reg(struct xl *x, int reg, int size)
{
    if (size == 2)
        e1(x->a, 0x66);
    mem_rex(x, size == 8, reg);
    e1(x->a, OP_STORE);
    mem_modrm(x, reg);
}

/* lea r13, [r13 + d] */
void move_sp(struct xl *x, i32 d)
{
    if (x->segmented && !(x->b->key & KEY_SS32))
        e1(x->a, 0x66); /* SP alone */
    e_lea(x->a, x->bits64, H_GUEST_RSP, H_GUEST_RSP, H_NONE, 0, d);
}

/* `size` bytes that are d bytes from the stack pointer, checked. */
void stack_slot(struct xl *x, int k, i32 d, int size, bool write, u8 what)
{
    if (x->segmented)
        mem_stack(x, k, H_GUEST_RSP, d, (u32)size, write, what);
    else
        mem_base(x, k, H_GUEST_RSP, d, (u32)size, write, what);
}

void push_imm(struct xl *x, int k, u64 v, int size, u8 what)
{
    stack_slot(x, k, -size, size, true, what);
    e_imm(x->a, S2, size == 8 ? v : (u32)v);
    store_reg(x, S2, size);
    move_sp(x, -size);
}

bool stack_size(const struct xl *x, const struct insn *i)
{
    return x->segmented ? i->osize == 2 || i->osize == 4 : i->osize == (x->bits64 ? 8 : 4);
}

/* A register's `size` low bytes become S1's. */
static void set_reg(struct xl *x, int reg, int size)
{
    if (size == 2)
        e1(x->a, 0x66);
    e_mov_rr(x->a, size != 2, reg, S1);
}

/* ---- runs of PUSH and POP ---------------------------------------------------------------------
 */
enum { RUN_MAX = 8 };

/* How many pushes, or pops, of registers follow each other from k on. */
static int run_length(const struct xl *x, int k)
{
    const struct block *b = x->b;
    int n = 0, row = b->insn[k].row;
    u32 regs = 0;
    if (row != INSN_PUSH && row != INSN_POP)
        return 0;
    for (; n < RUN_MAX && k + n < b->n - 1; n++) {
        const struct insn *i = &b->insn[k + n];
        if (i->row != row || i->kind[0] != OP_GPR || i->reg[0] == RSP || !stack_size(x, i) ||
            (i->flags & (INF_EXIT | INF_BRANCH)) || (regs >> i->reg[0] & 1))
            break;
        regs |= 1u << i->reg[0];
    }
    return n;
}

/* One check for all of them, when they stay in one page; out of line each has its own. */
bool emit_run(struct xl *x, int k)
{
    struct block *b = x->b;
    struct asm_buf *a = x->a;
    int n = run_length(x, k), first = x->n_cold;
    bool push = b->insn[k].row == INSN_PUSH;
    i32 size = x->bits64 ? 8 : 4;

    if (n < 2 || x->t->cfg.unlinked || x->segmented || (b->key & KEY_RING12))
        return false;
    for (int j = 0; j < n; j++) {
        int h = host_of(b->insn[k + j].reg[0]);
        u16 writes = (u16)(1u << H_GUEST_RSP | (push || h == H_NONE ? 0 : 1u << h));
        flags_before_write(x, k + j, writes, false);
        x->how[k + j] = BT_EMITTED;
    }
    mem_base(x, k, H_GUEST_RSP, push ? -size * n : 0, (u32)(size * n), push, COLD_RUN);
    if (!a->full)
        x->outs[x->n_cold - 1].run = (u8)n;
    for (int j = 0; j < n; j++) {
        int guest = b->insn[k + j].reg[0], h = host_of(guest), with = h == H_NONE ? S2 : h;
        x->ref.disp = push ? -size * (j + 1) : size * j;
        if (push && h == H_NONE)
            e_guest(a, true, OP_LOAD, S2, guest);
        mem_rex(x, x->bits64, with);
        e1(a, push ? OP_STORE : OP_LOAD);
        mem_modrm(x, with);
        if (!push && h == H_NONE)
            e_guest(a, true, OP_STORE, S2, guest);
    }
    move_sp(x, push ? -size * n : size * n);
    cold_back(x, first);
    x->done = k + n;
    return true;
}

/* Out of line: one by one. */
void run_apart(struct xl *x, const struct way_out *c)
{
    struct way_out way = *c; /* its place may move */
    x->fl = way.fl;
    x->x87 = way.x87;
    for (int j = 0; j < way.run; j++)
        emit_stack(x, way.k + j);
    e_patch(x->a, e_jmp(x->a), way.back);
}

/* Where it goes is found with the stack pointer moved; who asks for that goes the long way. */
static bool pop_memory(struct xl *x, int k)
{
    const struct insn *i = &x->b->insn[k];
    int size = i->osize;
    if (!mem_simple(x, i) || i->base == RSP || i->index == RSP)
        return false;
    flags_before_write(x, k, 1u << H_GUEST_RSP, false);
    stack_slot(x, k, 0, size, false, COLD_SLOW);
    load_s1(x, size);
    e_gs(x->a, true, OP_STORE, S1, offsetof(struct cpu, bt_scratch));
    mem_operand(x, k, i, &(struct mem_use){.size = (u32)size, .write = true, .what = COLD_SLOW});
    e_gs(x->a, true, OP_LOAD, S2, offsetof(struct cpu, bt_scratch));
    store_reg(x, S2, size);
    move_sp(x, size);
    return true;
}

/* ---- PUSH, POP, LEAVE -------------------------------------------------------------------------
 */
bool emit_stack(struct xl *x, int k)
{
    const struct insn *i = &x->b->insn[k];
    int size = i->osize, first = x->n_cold;

    if (!stack_size(x, i))
        return false;
    switch (i->row) {
    case INSN_PUSH:
        if (i->kind[0] == OP_MEM ? !mem_simple(x, i) : i->kind[0] != OP_GPR && i->kind[0] != OP_IMM)
            return false;
        flags_before_write(x, k, 1u << H_GUEST_RSP, false);
        if (i->kind[0] == OP_IMM) {
            push_imm(x, k, i->imm, size, COLD_SLOW);
        } else if (i->kind[0] == OP_MEM) {
            mem_operand(x, k, i, &(struct mem_use){.size = (u32)size, .what = COLD_SLOW});
            load_s1(x, size);
            e_gs(x->a, true, OP_STORE, S1, offsetof(struct cpu, bt_scratch));
            stack_slot(x, k, -size, size, true, COLD_SLOW);
            e_gs(x->a, true, OP_LOAD, S2, offsetof(struct cpu, bt_scratch));
            store_reg(x, S2, size);
            move_sp(x, -size);
        } else {
            int h = host_of(i->reg[0]);
            stack_slot(x, k, -size, size, true, COLD_SLOW);
            if (h == H_NONE)
                e_guest(x->a, true, OP_LOAD, h = S2, i->reg[0]);
            store_reg(x, h, size);
            move_sp(x, -size);
        }
        break;
    case INSN_POP: {
        if (i->kind[0] == OP_MEM) {
            if (!pop_memory(x, k))
                return false;
            break;
        }
        if (i->kind[0] != OP_GPR)
            return false;
        int h = host_of(i->reg[0]);
        flags_before_write(x, k, (u16)(1u << H_GUEST_RSP | (h == H_NONE ? 0 : 1u << h)), false);
        stack_slot(x, k, 0, size, false, COLD_SLOW);
        load_s1(x, size);
        move_sp(x, size);
        if (h == H_NONE)
            e_guest(x->a, true, OP_STORE, S1, i->reg[0]);
        else
            set_reg(x, h, size);
        break;
    }
    case INSN_LEAVE:
        flags_before_write(x, k, 1u << H_GUEST_RSP | 1u << H_RBP, false);
        if (x->segmented)
            mem_stack(x, k, H_RBP, 0, (u32)size, false, COLD_SLOW);
        else
            mem_base(x, k, H_RBP, 0, (u32)size, false, COLD_SLOW);
        load_s1(x, size);
        if (x->segmented && !(x->b->key & KEY_SS32))
            e1(x->a, 0x66); /* SP alone */
        e_lea(x->a, x->bits64, H_GUEST_RSP, H_RBP, H_NONE, 0, size);
        set_reg(x, H_RBP, size);
        break;
    default:
        return false;
    }
    cold_back(x, first);
    x->how[k] = BT_EMITTED;
    return true;
}
