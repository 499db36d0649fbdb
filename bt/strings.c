/*
 * bt/strings.c - string instructions in host code: those without REP, and repeated comparisons (the
 * repeated moves are memop.c's: mem_rep).
 *
 * A repeated comparison is the host's own, a page at a time, so its flags and registers are the
 * silicon's. What it does at an interruption is the C function's business: host code is not entered
 * while anything is pending, with DF set, with a count of 0 (the flags stay), or with one so large
 * that the C function would pause.
 */
#include "bt/bt_priv.h"

enum string_op { STR_MOVS, STR_CMPS, STR_SCAS, STR_LODS, STR_STOS, STR_NONE };

static enum string_op op_of(const struct insn *i)
{
    _Static_assert(INSN_CMPSB - INSN_MOVSB == 4 && INSN_SCASB - INSN_MOVSB == 8 &&
                       INSN_LODSB - INSN_MOVSB == 12 && INSN_STOSB - INSN_MOVSB == 16 &&
                       INSN_SCASW - INSN_SCASB == 1 && INSN_CMPSQ - INSN_CMPSB == 3,
                   "rows in the order of operations, and in that of sizes");
    if (i->row < INSN_MOVSB || i->row > INSN_STOSQ)
        return STR_NONE;
    return (enum string_op)((i->row - INSN_MOVSB) / 4);
}

static int log_of(const struct insn *i)
{
    return (i->row - INSN_MOVSB) % 4;
}

/* ---- one element ------------------------------------------------------------------------------
 */
/* The element at a pointer as a memory operand; nobody overrides ES. */
static struct insn pointed(const struct xl *x, const struct insn *i, int reg)
{
    bool flat = x->b->key & (KEY_64 | KEY_FLAT);
    return (struct insn){.base = (u8)reg,
                         .index = GPR_ZERO,
                         .asize = i->asize,
                         .seg = reg == RSI ? i->seg
                                : flat     ? SEG_FLAT
                                           : SEG_ES};
}

/* x->ref: that element. */
static void element(struct xl *x, int k, int reg, bool write)
{
    const struct insn *i = &x->b->insn[k], at = pointed(x, i, reg);
    mem_operand(x, k, &at,
                &(struct mem_use){.size = 1u << log_of(i), .write = write, .what = COLD_SLOW});
}

/* op reg, x->ref, of the element's size; op as for bytes */
static void with_element(struct xl *x, int k, u8 op, int reg)
{
    int log = log_of(&x->b->insn[k]);
    if (log == 1)
        e1(x->a, 0x66);
    mem_rex(x, log == 3, reg);
    e1(x->a, log ? op | 1 : op);
    mem_modrm(x, reg);
}

/* A pointer by `size` bytes upwards; flags stay. */
static void advance(struct xl *x, const struct insn *i, int reg)
{
    if (i->asize == 2)
        e1(x->a, 0x66);
    e_lea(x->a, i->asize == 8, reg, reg, H_NONE, 0, 1 << log_of(i));
}

enum { LOAD8 = 0x8a, STORE8 = 0x88, CMP8 = 0x3a };

bool emit_string(struct xl *x, int k)
{
    const struct insn *i = &x->b->insn[k];
    enum string_op op = op_of(i);
    struct asm_buf *a = x->a;
    int first = x->n_cold;
    size_t scratch = offsetof(struct cpu, bt_scratch);
    bool source = op == STR_MOVS || op == STR_CMPS || op == STR_LODS;
    bool dest = op != STR_LODS;
    struct insn from = pointed(x, i, RSI), to = pointed(x, i, RDI);

    if (op == STR_NONE || (i->flags & (INF_REP | INF_REPNE)) || (source && !mem_simple(x, &from)) ||
        (dest && !mem_simple(x, &to)))
        return false;
    flags_before_write(x, k,
                       (u16)((source ? 1u << H_RSI : 0) | (dest ? 1u << H_RDI : 0) |
                             (op == STR_LODS ? 1u << H_RAX : 0)),
                       false);
    flags_destroy(x);
    e_gs_test(a, offsetof(struct cpu, flsys), FL_DF);
    cold_add(x, e_jcc(a, CC_NE), COLD_SLOW, k, 0);
    switch (op) {
    case STR_LODS:
        element(x, k, RSI, false);
        with_element(x, k, LOAD8, H_RAX);
        break;
    case STR_STOS:
        element(x, k, RDI, true);
        with_element(x, k, STORE8, H_RAX);
        break;
    case STR_SCAS:
        element(x, k, RDI, false);
        with_element(x, k, CMP8, H_RAX);
        break;
    case STR_MOVS:
        element(x, k, RSI, false);
        with_element(x, k, LOAD8, S1);
        e_gs(a, true, OP_STORE, S1, scratch);
        element(x, k, RDI, true);
        e_gs(a, true, OP_LOAD, S2, scratch);
        with_element(x, k, STORE8, S2);
        break;
    case STR_CMPS:
        element(x, k, RDI, false);
        with_element(x, k, LOAD8, S1);
        e_gs(a, true, OP_STORE, S1, scratch);
        element(x, k, RSI, false);
        with_element(x, k, LOAD8, S2);
        if (log_of(i) == 1)
            E(a, 0x66);
        e_gs(a, log_of(i) == 3, log_of(i) ? CMP8 | 1 : CMP8, S2, scratch);
        break;
    case STR_NONE:
        break;
    }
    if (source)
        advance(x, i, H_RSI);
    if (dest)
        advance(x, i, H_RDI);
    if (op == STR_CMPS || op == STR_SCAS)
        x->fl = (struct flag_state){.host = true};
    cold_back(x, first);
    x->how[k] = BT_EMITTED;
    return true;
}

/* ---- repeated comparisons ---------------------------------------------------------------------
 */
bool emit_rep_compare(struct xl *x, int k)
{
    const struct insn *i = &x->b->insn[k];
    enum string_op op = op_of(i);
    struct asm_buf *a = x->a;
    int scale = log_of(i), first = x->n_cold;
    bool cmps = op == STR_CMPS, equal = i->flags & INF_REP;

    if ((!cmps && op != STR_SCAS) || x->t->cfg.helpers || i->asize != (x->bits64 ? 8 : 4) ||
        !(x->b->key & (KEY_64 | KEY_FLAT)) || (cmps && i->seg != SEG_FLAT))
        return false;
    flags_to_mem(x); /* faults and what is not done here find them */
    u8 *retry = a->p;
    for (int r = H_RCX; !x->bits64 && r <= H_RDI; r = r == H_RCX ? H_RSI : r + 1)
        e_mov_rr(a, false, r, r); /* nobody can see upper halves */
    flags_destroy(x);
    mem_rep_allowed(x, k);
    e_lea(a, true, S2, H_RCX, H_NONE, 0, -1);
    E(a, 0x49, 0x81, 0xff); /* cmp r15, REP_MOST - 1 */
    e4(a, REP_MOST - 1);
    cold_add(x, e_jcc(a, CC_A), COLD_SLOW, k, 0);
    mem_rep_count(x, k, cmps, scale);
    mem_rep_pointers(x, k, cmps, false, retry);
    e_frame(a, true, OP_LOAD, H_RCX, FRAME_COUNT);
    for (int s = 0; s < 2; s++) {
        int reg = s ? H_RDI : H_RSI, add = s ? S2 : S1;
        if (!s && !cmps)
            continue;
        e_rr(a, true, 0x01, add, reg);
        e_rex(a, true, 0, 0, add);
        E(a, 0xf7, (u8)(0xd8 | (add & 7))); /* neg */
    }
    if (scale == 1)
        e1(a, 0x66);
    e1(a, equal ? 0xf3 : 0xf2);
    e_rex(a, scale == 3, 0, 0, 0);
    e1(a, (u8)((cmps ? 0xa6 : 0xae) | (scale > 0)));
    /* without a word about flags */
    if (cmps)
        e_lea(a, true, H_RSI, H_RSI, S1, 0, 0);
    e_lea(a, true, H_RDI, H_RDI, S2, 0, 0);
    e_frame(a, true, OP_LOAD, S2, FRAME_REST);
    e_lea(a, true, H_RCX, H_RCX, S2, 0, 0);
    u8 *found = e_jcc(a, equal ? CC_NE : CC_E);
    E(a, 0xe3, 0); /* jrcxz */
    u8 *all = a->p;
    flags_emit_save(a, &(struct flag_state){.host = true});
    e_patch(a, e_jmp(a), retry);
    if (!a->full)
        all[-1] = (u8)(a->p - all);
    e_land(a, found);
    x->fl = (struct flag_state){.host = true};
    cold_back(x, first);
    x->how[k] = BT_EMITTED;
    return true;
}
