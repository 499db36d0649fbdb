/*
 * bt/branch.c - where a block leads to: edges to other blocks, near jumps, calls and returns.
 *
 * Direct ones are edges, which runtime.c links; in a superblock the one to the next part is
 * nothing at all, and the one to its own start keeps the flags as they are (block.c, strip.c).
 * Others look for their target's code in a table.
 */
#include "bt/bt_priv.h"

void xl_edge(struct xl *x, u64 target)
{
    x->strip.failed |= x->strip.on;
    if (x->n_out == (int)ARRAY_LEN(x->out)) {
        x->a->full = true;
        return;
    }
    x->out[x->n_out].jmp = e_jmp(x->a);
    x->out[x->n_out].part = x->at;
    x->out[x->n_out++].target = x->bits64 ? target : (u32)target;
}

/* Whether the next part begins there. */
static bool next_is(const struct xl *x, u64 target)
{
    return x->at + 1 < x->n_parts && x->part[x->at + 1]->hot_rip == target;
}

/* The last of the part's ways to other blocks. */
void xl_leave(struct xl *x, u64 target)
{
    if (next_is(x, target)) {
        x->flows = true;
        return;
    }
    if (target == x->head_lin && !x->fl.mem && x->fl.again.kind && !x->t->cfg.unlinked &&
        !x->probe) {
        if (x->strip.on) {
            strip_round(x);
            return;
        }
        if (x->again && !memcmp(&x->loop_fl.again, &x->fl.again, sizeof(x->fl.again))) {
            e_patch(x->a, x->loop_jmp = e_jmp(x->a), x->loop_entry);
            return;
        }
        if (!x->again && !x->looping) {
            x->looping = true; /* the second copy follows */
            x->loop_fl = (struct flag_state){.again = x->fl.again};
            x->loop_vec = x->vec;
            return;
        }
    }
    flags_emit_save(x->a, &x->fl);
    xl_edge(x, target);
}

enum { TARGET_CODE = offsetof(struct cpu, bt_targets) + offsetof(struct jump_target, code) };

void find_block(struct xl *x, int k, u32 key)
{
    struct asm_buf *a = x->a;
    e_imm(a, S2, key == x->b->key ? x->salt : key_salt(x->t, key));
    e_rr(a, true, 0x31, S1, S2);
    e_gs(a, true, OP_LOAD_XOR, S2,
         offsetof(struct cpu, mmu.salt) + (key & KEY_USER ? 0 : sizeof(u64)));
    e_rr(a, false, 0x31, S1, S1);
    E(a, 0xf2, 0x4d, 0x0f, 0x38, 0xf1, 0xf7); /* crc32 r14, r15 */
    E(a, 0x41, 0x81, 0xe6);                   /* and r14d, TARGET_MASK */
    e4(a, TARGET_MASK);
    e_gs_at(a, true, OP_LOAD_CMP, S2, S1,
            offsetof(struct cpu, bt_targets) + offsetof(struct jump_target, tag));
    cold_add(x, e_jcc(a, CC_NE), COLD_MISS, k, 0);
    if (!a->full) {
        x->outs[x->n_cold - 1].back = a->p;
        x->outs[x->n_cold - 1].key = key;
    }
}

void jump_found(struct xl *x)
{
    e_gs_at(x->a, false, 0xff, 4, S1, TARGET_CODE); /* jmp */
}

void keep_found(struct xl *x)
{
    e_gs_at(x->a, true, OP_LOAD, S2, S1, TARGET_CODE);
    e_frame(x->a, true, OP_STORE, S2, FRAME_SCRATCH);
}

void jump_kept(struct xl *x)
{
    e_frame(x->a, false, 0xff, 4, FRAME_SCRATCH); /* jmp [rsp + scratch] */
}

/* Where a relative branch leads. */
static u64 rel_target(const struct xl *x, const struct insn *i)
{
    u64 target = x->lin + (u64)i->disp;
    return i->osize == 2 ? (u16)target : x->bits64 ? target : (u32)target;
}

/* CS's limit lets it go there, or it is not for here. */
static bool may_go(const struct xl *x, u64 target)
{
    return x->bits64 || target <= x->cs.limit;
}

/* ---- near control flow ------------------------------------------------------------------------
 */
/* The operand of an indirect jump or call into S1. */
static bool target_operand(struct xl *x, int k)
{
    const struct insn *i = &x->b->insn[k];
    if (i->kind[0] == OP_GPR) {
        int h = host_of(i->reg[0]);
        if (h == H_NONE)
            e_guest(x->a, x->bits64, OP_LOAD, S1, i->reg[0]);
        else if (i->osize == 2)
            e_movzx16(x->a, S1, h);
        else
            e_mov_rr(x->a, x->bits64, S1, h);
        return true;
    }
    if (i->kind[0] != OP_MEM || !mem_simple(x, i))
        return false;
    mem_operand(x, k, i, &(struct mem_use){.size = i->osize, .what = COLD_TAIL});
    load_s1(x, i->osize);
    return true;
}

static void edge_if(struct xl *x, u8 cc, u64 target)
{
    cold_add(x, e_jcc(x->a, cc), COLD_EDGE, x->b->n - 1, 0);
    if (!x->a->full)
        x->outs[x->n_cold - 1].target = target;
}

static void edge_here(struct xl *x, u64 target, int direction)
{
    flags_emit_save(x->a, &x->fl);
    if (x->probe)
        e_gs(x->a, false, 0xff, 0, bt_probe_at(x->b->probe, direction)); /* inc dword */
    xl_edge(x, target);
}

/* To the target if cc, which is not necessarily of the guest's flags. */
static void branch_if(struct xl *x, const struct insn *i, u8 cc)
{
    u64 on = next_rip(x, i), target = rel_target(x, i);
    if (next_is(x, on)) {
        edge_if(x, cc, target);
        xl_leave(x, on);
    } else if (next_is(x, target)) {
        edge_if(x, cc ^ 1, on);
        xl_leave(x, target);
    } else if (on == x->head_lin) {
        edge_if(x, cc, target);
        xl_leave(x, on);
    } else if (x->strip.on && target == x->head_lin) {
        edge_if(x, cc ^ 1, on);
        xl_leave(x, target);
    } else {
        u8 *taken = e_jcc(x->a, cc);
        edge_here(x, on, 0);
        e_land(x->a, taken);
        if (x->probe)
            edge_here(x, target, 1);
        else
            xl_leave(x, target);
    }
}

/* LOOP and JCXZ: (E)CX, RCX by the address size. */
static void count_branch(struct xl *x, int k)
{
    struct asm_buf *a = x->a;
    const struct insn *i = &x->b->insn[k];
    bool small = i->asize == 2, wide = i->asize == 8;
    bool counts = i->row == INSN_LOOP || i->row == INSN_LOOPE || i->row == INSN_LOOPNE;
    if (counts && i->row != INSN_LOOP)
        flags_to_mem(x);
    if (counts)
        flags_before_write(x, k, 1u << H_RCX, false);
    flags_destroy(x);
    if (counts && small)
        e1(a, 0x66);
    if (counts)
        e_lea(a, wide, H_RCX, H_RCX, H_NONE, 0, -1);
    if (small)
        e1(a, 0x66);
    e_rr(a, wide, 0x85, H_RCX, H_RCX); /* test */
    if (!counts || i->row == INSN_LOOP) {
        branch_if(x, i, counts ? CC_NE : CC_E);
        return;
    }
    u8 *over = e_jcc(a, CC_E);
    E(a, 0x65, 0xf6, 0x04, 0x25); /* test byte gs:[fl + 1], ZF */
    e4(a, offsetof(struct cpu, fl) + 1);
    e1(a, AF_ZF >> 8);
    u8 *other = e_jcc(a, i->row == INSN_LOOPE ? CC_E : CC_NE);
    xl_edge(x, rel_target(x, i));
    e_land(a, over);
    e_land(a, other);
    xl_edge(x, next_rip(x, i));
}

/* The block's last instruction, when it changes RIP. False: not here. */
bool emit_branch(struct xl *x, int k)
{
    const struct insn *i = &x->b->insn[k];
    if (!stack_size(x, i))
        return false;
    if (i->row >= INSN_JO && i->row <= INSN_JNLE) {
        _Static_assert(INSN_JNLE - INSN_JO == 15 && INSN_JZ - INSN_JO == 4 &&
                           INSN_JNS - INSN_JO == 9 && INSN_JL - INSN_JO == 12,
                       "rows in the order of condition codes");
        if (!may_go(x, rel_target(x, i)))
            return false;
        flags_to_host(x);
        branch_if(x, i, (u8)(i->row - INSN_JO));
        return true;
    }
    switch (i->row) {
    case INSN_LOOP:
    case INSN_LOOPE:
    case INSN_LOOPNE:
    case INSN_JCXZ:
    case INSN_JECXZ:
    case INSN_JRCXZ:
        if (!may_go(x, rel_target(x, i)))
            return false;
        count_branch(x, k);
        return true;
    case INSN_JMP:
        if (i->kind[0] == OP_REL) {
            if (!may_go(x, rel_target(x, i)))
                return false;
            xl_leave(x, rel_target(x, i));
            return true;
        }
        flags_to_mem(x);
        if (!target_operand(x, k))
            return false;
        find_block(x, k, x->b->key);
        jump_found(x);
        return true;
    case INSN_CALL:
        if (i->kind[0] == OP_REL) {
            if (!may_go(x, rel_target(x, i)))
                return false;
            flags_before_write(x, k, 1u << H_GUEST_RSP, false);
            push_imm(x, k, next_rip(x, i), i->osize, COLD_TAIL);
            xl_leave(x, rel_target(x, i));
            return true;
        }
        flags_to_mem(x);
        if (!target_operand(x, k))
            return false;
        find_block(x, k, x->b->key);
        keep_found(x);
        push_imm(x, k, next_rip(x, i), i->osize, COLD_TAIL);
        jump_kept(x);
        return true;
    case INSN_RET:
        flags_to_mem(x);
        stack_slot(x, k, 0, i->osize, false, COLD_TAIL);
        load_s1(x, i->osize);
        find_block(x, k, x->b->key);
        move_sp(x, i->osize + (i->kind[0] == OP_IMM ? (u16)i->imm : 0));
        jump_found(x);
        return true;
    default:
        return false;
    }
}
