/*
 * bt/memop.c - guest memory operands in host code: address, software TLB, way out.
 *
 * The one place that knows the scheme (tier 1: inline TLB). What the rest may rely on: after
 * mem_check S1 is a host address that is good for `size` bytes now.
 */
#include "bt/bt_priv.h"

bool mem_simple(const struct xl *x, const struct insn *i)
{
    if (i->seg != SEG_FLAT && !(x->bits64 && i->seg >= SEG_FS && i->seg < SEG_COUNT))
        return false;
    return i->asize == 4 || (x->bits64 && i->asize == 8);
}

/* The address without a segment base, into host register `to` (S1, or LEA's destination). */
static void effective(struct xl *x, const struct insn *i, int to, bool wide)
{
    struct asm_buf *a = x->a;
    int base = i->base, index = i->index, hb = H_NONE, hx = H_NONE;
    u64 disp = (u64)i->disp;

    if (base == GPR_BLOCK) {
        disp += x->lin;
        base = GPR_ZERO;
    }
    if (base != GPR_ZERO) {
        hb = host_of(base);
        if (hb == H_NONE) {
            e_gs(a, true, OP_LOAD, S1, GS_GPR(base));
            hb = S1;
        }
    }
    if (index != GPR_ZERO) {
        hx = host_of(index);
        if (hx == H_NONE) {
            e_gs(a, true, OP_LOAD, S2, GS_GPR(index));
            hx = S2;
        }
    }
    if (hb == H_NONE && hx == H_NONE) {
        e_imm(a, to, wide ? disp : (u32)disp);
    } else if (disp == (u64)(i64)(i32)disp || !wide) {
        if (disp == 0 && hx == H_NONE) {
            if (to != hb || !wide)
                e_mov_rr(a, wide, to, hb);
        } else {
            e_lea(a, wide, to, hb, hx, i->scale, (i32)disp);
        }
    } else { /* RIP-relative never has registers, moffs neither */
        e_imm(a, S2, disp);
        e_lea(a, wide, to, hb, S2, 0, 0);
    }
}

void mem_address(struct xl *x, const struct insn *i)
{
    effective(x, i, S1, i->asize == 8);
    if (i->seg != SEG_FLAT) {
        flags_destroy(x);
        e_gs(x->a, true, OP_LOAD_ADD, S1,
             offsetof(struct cpu, seg) + i->seg * sizeof(struct seg) + offsetof(struct seg, base));
    }
}

void mem_lea(struct xl *x, int k, const struct insn *i)
{
    int to = host_of(i->reg[0]);
    int size = i->size[0];
    if (to == H_NONE || size == 2) {
        effective(x, i, S1, i->asize == 8 && size != 4);
        if (size == 2) {
            e1(x->a, 0x66);
            if (to == H_NONE)
                e_gs(x->a, false, OP_STORE, S1, GS_GPR(i->reg[0]));
            else
                e_mov_rr(x->a, false, to, S1);
        } else {
            if (size == 4 && i->asize == 8) /* the low half of a 64-bit address */
                e_mov_rr(x->a, false, S1, S1);
            e_gs(x->a, true, OP_STORE, S1, GS_GPR(i->reg[0]));
        }
        return;
    }
    effective(x, i, to, i->asize == 8 && size == 8);
}

void mem_check(struct xl *x, int k, u32 size, bool write, u32 align, u8 what)
{
    struct asm_buf *a = x->a;
    size_t tag = write ? offsetof(struct tlb_entry, wtag) : offsetof(struct tlb_entry, rtag);
    _Static_assert(sizeof(struct tlb_entry) == 32 && TLB_SIZE == 1024, "the shifts below");

    flags_destroy(x);
    e_mov_rr(a, false, S2, S1);
    E(a, 0x41, 0xc1, 0xef, TLB_BITS); /* shr r15d, 10: as tlb_index */
    e_rr(a, false, 0x31, S1, S2);     /* xor r15d, r14d */
    E(a, 0x41, 0xc1, 0xef, 7);        /* shr r15d, 7 */
    E(a, 0x41, 0x81, 0xe7);           /* and r15d, 7fe0h */
    e4(a, 0x7fe0);
    e_gs(a, true, OP_LOAD_ADD, S2, offsetof(struct cpu, tlb));
    e_rm(a, true, OP_LOAD_XOR, S1, S2, (i32)tag);
    E(a, 0x49, 0x81, 0xfe); /* cmp r14, 4096 - size */
    e4(a, 4096 - size);
    cold_add(x, e_jcc(a, CC_A), what, k, 0);
    if (align) {
        E(a, 0x41, 0xf6, 0xc6, (u8)align); /* test r14b, align */
        cold_add(x, e_jcc(a, CC_NE), what, k, 0);
    }
    e_rm(a, true, OP_LOAD_ADD, S1, S2, (i32)offsetof(struct tlb_entry, host)); /* to the offset */
}
