/*
 * bt/segload.c - loads of segment registers at CPL 0, and VERW, in host code.
 *
 * A thunk looks at the descriptor in memory: if it is, bit for bit, one that the C function has
 * loaded before (cpu->known), what follows from it is copied from there. Everything else, faults
 * first of all, is the C function's: cpu/segment.c, load_seg. DS and ES only become flat here, as
 * they are already in translated 32-bit code, so that the block key stays.
 */
#include "bt/bt_priv.h"

static size_t seg_at(int s)
{
    return offsetof(struct cpu, seg) + (size_t)s * sizeof(struct seg);
}

enum { MAX_NO = 8 };

/* r15d: a selector, not null. Then r14: the offset of its place in cpu->known, if the descriptor
 * is as it was; otherwise to one of no[]. Destroys RAX, RCX, r15; to be patched: n jumps, taken
 * with ZF clear. */
static int known(struct asm_buf *a, u8 *no[MAX_NO])
{
    size_t at = offsetof(struct cpu, known);
    int n = 0;
    _Static_assert(sizeof(struct seg_known) == 32 && SEG_KNOWN == 16, "the shift below");
    e_mov_rr(a, false, H_RAX, S2);
    E(a, 0x83, 0xc8, 0x07);       /* or eax, 7 */
    E(a, 0x65, 0x0f, 0xb7, 0x0c); /* movzx ecx, word gs:[limit] */
    E(a, 0x25);
    e4(a, offsetof(struct cpu, gdtr.limit));
    e_rr(a, false, 0x39, H_RCX, H_RAX); /* cmp eax, ecx */
    no[n++] = e_jcc(a, CC_A);
    e_mov_rr(a, false, S1, S2);
    E(a, 0x41, 0x83, 0xe6, 8 * (SEG_KNOWN - 1)); /* and r14d, 78h */
    E(a, 0x41, 0xc1, 0xe6, 2);                   /* shl r14d, 2 */
    e1(a, 0x66);                                 /* cmp r15w, gs:[r14 + sel]: never of the LDT */
    e_gs_at(a, false, OP_LOAD_CMP, S2, S1, at + offsetof(struct seg_known, seg.sel));
    no[n++] = e_jcc(a, CC_NE);
    E(a, 0x41, 0x83, 0xe7, 0xf8); /* and r15d, -8 */
    e_gs(a, true, OP_LOAD_ADD, S2, offsetof(struct cpu, gdtr.base));
    /* outside long mode, one over 4 GiB is in no slot */
    e_tlb_slot(a, H_RAX, S2, offsetof(struct cpu, sys_tlb));
    e_mov_rr(a, true, H_RCX, S2);
    e_rm(a, true, OP_LOAD_XOR, H_RCX, H_RAX, (i32)offsetof(struct tlb_entry, rtag));
    E(a, 0x48, 0x81, 0xf9); /* cmp rcx, 4096 - 8 */
    e4(a, PAGE_SIZE - 8);
    no[n++] = e_jcc(a, CC_A);
    e_rm(a, true, OP_LOAD_ADD, S2, H_RAX, (i32)offsetof(struct tlb_entry, add));
    e_rm(a, true, OP_LOAD, S2, S2, 0);
    e_gs_at(a, true, OP_LOAD_CMP, S2, S1, at + offsetof(struct seg_known, raw));
    no[n++] = e_jcc(a, CC_NE);
    return n;
}

/* call; r15d: a selector. ZF: it is loaded into s. Destroys r14, r15. */
static u8 *make_load(struct asm_buf *a, int s)
{
    size_t at = offsetof(struct cpu, known) + offsetof(struct seg_known, seg);
    bool nullable = s == SEG_FS || s == SEG_GS;
    u8 *start = a->p, *no[MAX_NO], *null = NULL;
    int n;
    E(a, 0x50, 0x51);       /* push rax; push rcx */
    E(a, 0x41, 0xf7, 0xc7); /* test r15d, fffch */
    e4(a, 0xfffc);
    null = e_jcc(a, CC_E);
    n = known(a, no);
    if (!nullable) {
        e_gs_at(a, false, 0x80, 7, S1, at + offsetof(struct seg, full)); /* cmp byte, 1 */
        e1(a, 1);
        no[n++] = e_jcc(a, CC_NE);
        e_gs_at(a, true, 0x83, 7, S1, at + offsetof(struct seg, base)); /* cmp qword, 0 */
        e1(a, 0);
        no[n++] = e_jcc(a, CC_NE);
    }
    _Static_assert(sizeof(struct seg) == 24, "three words");
    for (size_t k = 0; k < sizeof(struct seg); k += 8) {
        e_gs_at(a, true, OP_LOAD, S2, S1, at + k);
        e_gs(a, true, OP_STORE, S2, seg_at(s) + k);
    }
    u8 *yes = a->p;
    E(a, 0x31, 0xc0); /* xor eax, eax */
    u8 *out = a->p;
    E(a, 0x59, 0x58, 0xc3); /* pop rcx; pop rax; ret */
    for (int k = 0; k < n; k++)
        e_patch(a, no[k], out);
    e_land(a, null);
    if (nullable) { /* the selector, and nothing else: seg_put_null */
        e_gs(a, true, OP_STORE, S2, seg_at(s));
        E(a, 0x45, 0x31, 0xff); /* xor r15d, r15d */
        e_gs(a, true, OP_STORE, S2, seg_at(s) + 8);
        e_gs(a, true, OP_STORE, S2, seg_at(s) + 16);
        e_patch(a, e_jmp(a), yes);
    } else {
        E(a, 0x83, 0xc8, 0x01); /* or eax, 1 */
        e_patch(a, e_jmp(a), out);
    }
    return start;
}

/* call; r15d: a selector. ZF: its segment is writable at CPL 0. Destroys r14, r15. */
static u8 *make_writable(struct asm_buf *a)
{
    size_t attr = offsetof(struct cpu, known) + offsetof(struct seg_known, seg.attr);
    u8 *start = a->p, *no[MAX_NO];
    E(a, 0x50, 0x51);
    int n = known(a, no); /* a null selector has no place there */
    e1(a, 0x66);
    e_gs_at(a, false, OP_LOAD, H_RAX, S1, attr); /* mov ax */
    E(a, 0x24, ATTR_S | ATTR_X | ATTR_RW);       /* and al */
    E(a, 0x3c, ATTR_S | ATTR_RW);                /* cmp al */
    for (int k = 0; k < n; k++)
        e_land(a, no[k]);
    E(a, 0x59, 0x58, 0xc3);
    return start;
}

void make_segment_thunks(struct bt *t)
{
    for (int s = 0; s < SEG_COUNT; s++)
        if (s != SEG_CS && s != SEG_SS)
            t->seg_load[s] = make_load(&t->a, s);
    t->seg_writable = make_writable(&t->a);
}

/* ---- instructions -----------------------------------------------------------------------------
 */
/* CS in flat code is readable and all of memory (the block's key). */
static struct insn flat_read(const struct xl *x, const struct insn *i)
{
    struct insn flat = *i;
    if (flat.seg == SEG_CS && !x->segmented)
        flat.seg = SEG_FLAT;
    return flat;
}

static bool can_select(const struct xl *x, const struct insn *i, int operand)
{
    struct insn flat = flat_read(x, i);
    return i->kind[operand] == OP_GPR || (i->kind[operand] == OP_MEM && mem_simple(x, &flat));
}

/* r15d = the 16 bits of a register or of memory. */
static void selector(struct xl *x, int k, int operand, u8 what)
{
    const struct insn *i = &x->b->insn[k];
    struct asm_buf *a = x->a;
    if (i->kind[operand] == OP_GPR) {
        int h = host_of(i->reg[operand]);
        if (h == H_NONE)
            e_guest(a, false, OP_LOAD, h = S2, i->reg[operand]);
        e_rex(a, false, S2, 0, h);
        E(a, 0x0f, 0xb7, (u8)(0xc0 | (S2 & 7) << 3 | (h & 7))); /* movzx r15d, r16 */
        return;
    }
    struct insn flat = flat_read(x, i);
    mem_operand(x, k, &flat, &(struct mem_use){.size = 2, .what = what});
    mem_rex(x, false, S2);
    E(a, 0x0f, 0xb7); /* movzx r15d, word [x->ref] */
    mem_modrm(x, S2);
}

static void load(struct xl *x, int k, int s)
{
    e_patch(x->a, e_call(x->a), x->t->seg_load[s]);
    cold_add(x, e_jcc(x->a, CC_NE), COLD_EVENT, k, 0);
}

/* reg32 = a segment register's selector */
static void selector_of(struct asm_buf *a, int reg, int s)
{
    e1(a, 0x65);
    e_rex(a, false, reg, 0, 0);
    E(a, 0x0f, 0xb7, (u8)((reg & 7) << 3 | 4), 0x25); /* movzx, word gs:[sel] */
    e4(a, (u32)(seg_at(s) + offsetof(struct seg, sel)));
}

static bool store_memory(struct xl *x, int k)
{
    const struct insn *i = &x->b->insn[k];
    if (!mem_simple(x, i))
        return false;
    mem_operand(x, k, i, &(struct mem_use){.size = 2, .write = true, .what = COLD_TAIL});
    selector_of(x->a, S2, i->reg[1]);
    store_reg(x, S2, 2);
    return true;
}

/* A selector to a general register, or memory. */
static bool store(struct xl *x, int k)
{
    const struct insn *i = &x->b->insn[k];
    struct asm_buf *a = x->a;
    if (i->kind[1] != OP_SEG)
        return false;
    if (i->kind[0] == OP_MEM)
        return store_memory(x, k);
    if (i->kind[0] != OP_GPR)
        return false;
    int h = host_of(i->reg[0]), to = h == H_NONE || i->size[0] == 2 ? S2 : h;
    if (h == H_NONE && i->size[0] == 2)
        return false;
    flags_before_write(x, k, h == H_NONE ? 0 : (u16)(1u << h), true);
    selector_of(a, to, i->reg[1]);
    if (i->size[0] == 2) {
        e1(a, 0x66);
        e_mov_rr(a, false, h, S2);
    }
    if (h == H_NONE)
        e_guest(a, true, OP_STORE, S2, i->reg[0]);
    return true;
}

/* ---- real and virtual-8086 mode: nothing is looked up ------------------------------------------
 */
/* seg_real and seg_v86 would change the selector and the base only; else the C function does it. */
static void real_or_event(struct xl *x, int k, int s)
{
    struct asm_buf *a = x->a;
    _Static_assert(offsetof(struct seg, sel) == 0 && offsetof(struct seg, attr) == 2, "one word");
    if (!(x->b->key & KEY_USER)) {
        e_gs_test(a, seg_at(s), (u32)ATTR_P << 16);
        cold_add(x, e_jcc(a, CC_E), COLD_EVENT, k, 0);
        return;
    }
    E(a, 0x65, 0x66, 0x81, 0x3c, 0x25); /* cmp word gs:[attr] */
    e4(a, (u32)(seg_at(s) + offsetof(struct seg, attr)));
    u16 attr = ATTR_P | ATTR_S | ATTR_RW | ATTR_A | ATTR_DPL;
    en(a, &attr, 2);
    cold_add(x, e_jcc(a, CC_NE), COLD_EVENT, k, 0);
    e_gs(a, false, 0x81, DIGIT_CMP, seg_at(s) + offsetof(struct seg, limit));
    e4(a, 0xffff);
    cold_add(x, e_jcc(a, CC_NE), COLD_EVENT, k, 0);
}

/* r15d: the selector. */
static void load_real(struct asm_buf *a, int s)
{
    e1(a, 0x66);
    e_gs(a, false, OP_STORE, S2, seg_at(s) + offsetof(struct seg, sel));
    E(a, 0x41, 0xc1, 0xe7, 4); /* shl r15d, 4 */
    e_gs(a, true, OP_STORE, S2, seg_at(s) + offsetof(struct seg, base));
}

static bool loads_real(const struct xl *x, int s)
{
    return x->b->key & KEY_REAL && x->t->seg_load[s];
}

bool emit_far_pointer(struct xl *x, int k, int s)
{
    const struct insn *i = &x->b->insn[k];
    struct asm_buf *a = x->a;
    int h = host_of(i->reg[0]);
    if (!loads_real(x, s) || i->osize != 2 || i->kind[1] != OP_MEM || !mem_simple(x, i))
        return false;
    flags_to_mem(x);
    flags_destroy(x);
    real_or_event(x, k, s);
    mem_operand(x, k, i, &(struct mem_use){.size = 4, .what = COLD_TAIL});
    mem_rex(x, false, S2);
    e1(a, OP_LOAD);
    mem_modrm(x, S2);
    e1(a, 0x66);
    e_mov_rr(a, false, h, S2);
    E(a, 0x41, 0xc1, 0xef, 16); /* shr r15d, 16 */
    load_real(a, s);
    x->fl = (struct flag_state){.mem = true};
    return true;
}

/* ---- MOV and POP ------------------------------------------------------------------------------
 */
static bool loads(const struct xl *x, int s)
{
    if (x->segmented)
        return loads_real(x, s);
    return x->t->seg_load[s] && !(x->b->key & (KEY_USER | KEY_RING12));
}

bool emit_seg_move(struct xl *x, int k)
{
    const struct insn *i = &x->b->insn[k];
    int s = i->reg[0];
    if (i->kind[0] != OP_SEG)
        return store(x, k);
    if (!loads(x, s) || !can_select(x, i, 1))
        return false;
    flags_to_mem(x);
    flags_destroy(x);
    if (x->segmented)
        real_or_event(x, k, s);
    selector(x, k, 1, COLD_TAIL);
    if (x->segmented)
        load_real(x->a, s);
    else
        load(x, k, s);
    x->fl = (struct flag_state){.mem = true};
    return true;
}

bool emit_seg_pop(struct xl *x, int k)
{
    const struct insn *i = &x->b->insn[k];
    int s = i->reg[0];
    if (!loads(x, s) || !stack_size(x, i))
        return false;
    flags_to_mem(x);
    flags_destroy(x);
    if (x->segmented)
        real_or_event(x, k, s);
    stack_slot(x, k, 0, x->bits64 ? 8 : 2, false, COLD_TAIL);
    mem_rex(x, false, S2);
    E(x->a, 0x0f, 0xb7);
    mem_modrm(x, S2);
    if (x->segmented)
        load_real(x->a, s);
    else
        load(x, k, s);
    move_sp(x, i->osize);
    x->fl = (struct flag_state){.mem = true};
    return true;
}

bool emit_verw(struct xl *x, int k)
{
    struct asm_buf *a = x->a;
    int first = x->n_cold;
    if (x->b->key & (KEY_USER | KEY_RING12) || !can_select(x, &x->b->insn[k], 0))
        return false;
    flags_to_mem(x);
    flags_destroy(x);
    selector(x, k, 0, COLD_SLOW);
    e_patch(a, e_call(a), x->t->seg_writable);
    cold_add(x, e_jcc(a, CC_NE), COLD_SLOW, k, 0);
    E(a, 0x65, 0x80, 0x0c, 0x25); /* or byte gs:[fl + 1], ZF */
    e4(a, offsetof(struct cpu, fl) + 1);
    e1(a, AF_ZF >> 8);
    cold_back(x, first);
    x->fl = (struct flag_state){.mem = true};
    return true;
}
