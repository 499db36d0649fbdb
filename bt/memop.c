/*
 * bt/memop.c - guest memory operands in host code: address, check, way out.
 *
 * The one place that knows the scheme. Two caches: one entry that belongs to the place in the code
 * (struct site_cache), compared without a lookup and off the critical path: the access itself waits
 * for nothing but the guest's registers. Behind it, out of line, the TLB. Places that keep missing
 * (block.wild) look into the TLB inline instead. What the rest may rely on: after mem_operand or
 * mem_base x->ref is a host operand that is good for `size` bytes now.
 */
#include "bt/bt_priv.h"

bool mem_simple(const struct xl *x, const struct insn *i)
{
    if (i->seg != SEG_FLAT && !x->segmented && !(i->seg >= SEG_FS && i->seg < SEG_COUNT))
        return false;
    return i->asize == 4 || i->asize == (x->bits64 ? 8 : 2);
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
            e_guest(a, true, OP_LOAD, S1, base);
            hb = S1;
        }
    }
    if (index != GPR_ZERO) {
        hx = host_of(index);
        if (hx == H_NONE) {
            e_guest(a, true, OP_LOAD, S2, index);
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
    if (i->asize == 2)
        e_movzx16(a, to, to);
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
                e_guest(x->a, false, OP_STORE, S1, i->reg[0]);
            else
                e_mov_rr(x->a, false, to, S1);
        } else {
            if (size == 4 && i->asize == 8) /* the low half of a 64-bit address */
                e_mov_rr(x->a, false, S1, S1);
            e_guest(x->a, true, OP_STORE, S1, i->reg[0]);
        }
        return;
    }
    effective(x, i, to, i->asize == 8 && size == 8);
}

void e_tlb_slot(struct asm_buf *a, int to, int address, size_t tlb)
{
    _Static_assert(sizeof(struct tlb_entry) == 1 << 5, "the shift, as tlb_index");
    e_mov_rr(a, false, to, address);
    e_rex(a, false, 0, 0, to);
    E(a, 0xc1, (u8)(0xe8 | (to & 7)), TLB_BITS); /* shr */
    e_rr(a, false, 0x31, address, to);           /* xor */
    e_rex(a, false, 0, 0, to);
    E(a, 0xc1, (u8)(0xe8 | (to & 7)), PAGE_SHIFT - 5);
    e_rex(a, false, 0, 0, to);
    E(a, 0x81, (u8)(0xe0 | (to & 7))); /* and */
    e4(a, (TLB_SIZE - 1) << 5);
    e_gs(a, true, OP_LOAD_ADD, to, tlb);
}

/* S1: the address; becomes the host's. */
static void look_up(struct xl *x, int k, u32 size, bool write, u8 what)
{
    struct asm_buf *a = x->a;
    size_t tag = write ? offsetof(struct tlb_entry, wtag) : offsetof(struct tlb_entry, rtag);
    u8 *retry = a->p;
    e_tlb_slot(a, S2, S1, offsetof(struct cpu, tlb));
    e_rm(a, true, OP_LOAD_XOR, S1, S2, (i32)tag);
    E(a, 0x49, 0x81, 0xfe); /* cmp r14, 4096 - size */
    e4(a, 4096 - size);
    cold_add(x, e_jcc(a, CC_A), what, k, 0);
    if (!a->full) {
        struct way_out *w = &x->outs[x->n_cold - 1];
        w->retry = retry;
        w->site = NO_SITE;
        w->size = (u8)size;
        w->write = write;
    }
    e_rm(a, true, OP_LOAD_ADD, S1, S2, (i32)offsetof(struct tlb_entry, host)); /* to the offset */
    if (!a->full)
        x->outs[x->n_cold - 1].found = a->p;
}

/* The kernel's stack, a page or two for a long time, has one entry for reads and one for writes. */
static bool kernel_stack(const struct xl *x, int base, int index)
{
    return !(x->b->key & (KEY_USER | KEY_RING12)) && !x->t->cfg.helpers && index == H_NONE &&
           (base == H_GUEST_RSP || (base == H_RBP && !x->bits64));
}

static u32 kernel_site(bool write)
{
    return write ? SITES - 1 : SITE_WRITES - 1;
}

static u32 new_site(struct xl *x, bool write)
{
    u32 *n = &x->t->next_site[write];
    u32 count = (write ? SITES - SITE_WRITES : SITE_WRITES) - 1; /* the last: the kernel's stack */
    *n = (*n + 1) % count;
    return (write ? SITE_WRITES : 0) + *n;
}

/* S2: the address. The comparison. An alignment to the size is part of it: turned right, the offset
 * of an aligned operand is small and that of any other is not. */
static void compare(struct xl *x, int k, u32 site, const struct mem_use *u, u8 *retry)
{
    struct asm_buf *a = x->a;
    u32 limit = u->align ? 4096 / u->size - 1 : 4096 - u->size;
    e_gs(a, true, OP_LOAD_XOR, S2, site_field(offsetof(struct site_cache, tag), site));
    if (u->align)
        E(a, 0x49, 0xc1, 0xcf, (u8)__builtin_ctz(u->size)); /* ror r15, log2 size */
    E(a, 0x49, 0x81, 0xff);                                 /* cmp r15, limit */
    e4(a, limit);
    cold_add(x, e_jcc(a, CC_A), u->what, k, 0);
    if (!a->full) {
        struct way_out *w = &x->outs[x->n_cold - 1];
        w->retry = retry;
        w->site = (u16)site;
        w->size = (u8)u->size;
        w->align = (u8)u->align;
        w->write = u->write;
    }
}

/* S1: an address that the comparison has just let through; becomes the host's. */
static void add_site(struct xl *x, u32 n)
{
    e_gs(x->a, true, OP_LOAD_ADD, S1, site_field(offsetof(struct site_cache, add), n));
    if (!x->a->full)
        x->outs[x->n_cold - 1].found = x->a->p;
}

/* S1: the address. A write beside the code of a page goes on where it is, a read across a page's
 * end where its bytes are put together. */
static void try_apart(struct xl *x, const struct way_out *w)
{
    if (!w->found || (!w->write && (w->what != COLD_SLOW || w->align || w->size < 2)))
        return;
    e_imm(x->a, S2, w->size);
    e_patch(x->a, e_call(x->a), x->t->apart[w->write]);
    if (!w->relative) {
        e_patch(x->a, e_jcc(x->a, CC_NE), w->found);
        return;
    }
    u8 *no = e_jcc(x->a, CC_E);
    e_lea(x->a, true, S2, w->base, w->index, w->scale, w->disp);
    e_rr(x->a, true, 0x29, S2, S1); /* sub */
    e_patch(x->a, e_jmp(x->a), w->found);
    e_land(x->a, no);
}

/* After the load of S1 that follows the comparison: the host's address less the guest's. */
static void found_relative(struct xl *x, int base, int index, int scale, i32 disp)
{
    if (x->a->full)
        return;
    struct way_out *w = &x->outs[x->n_cold - 1];
    w->found = x->a->p;
    w->relative = true;
    w->base = (u8)base;
    w->index = (u8)index;
    w->scale = (u8)scale;
    w->disp = disp;
}

void mem_miss(struct xl *x, const struct way_out *w)
{
    struct asm_buf *a = x->a;
    u8 *crosses = NULL;
    if (w->site == NO_SITE) {
        int log = 0;
        while (1u << log < w->size)
            log++;
        e_patch(a, e_call(a), x->t->tlb_miss[w->write][log]);
        e_patch(a, e_jcc(a, CC_NE), w->retry);
        try_apart(x, w);
        return;
    }
    if (w->align)
        E(a, 0x49, 0xc1, 0xc7, (u8)__builtin_ctz(w->size)); /* rol r15, log2 size */
    e_gs(a, true, OP_LOAD_XOR, S2, site_field(offsetof(struct site_cache, tag), w->site));
    if (w->align) {
        E(a, 0x41, 0xf6, 0xc7, w->align); /* test r15b, align */
        crosses = e_jcc(a, CC_NE);
    } else if (w->size > 1) {
        e_lea(a, true, S1, S2, H_NONE, 0, w->size - 1);
        e_rr(a, true, 0x31, S2, S1);
        E(a, 0x49, 0xf7, 0xc6); /* test r14, -4096 */
        e4(a, (u32)-4096);
        crosses = e_jcc(a, CC_NE);
    }
    e_imm(a, S1, w->site);
    e_patch(a, e_call(a),
            x->t->site_fill[w->write][w->site == kernel_site(w->write) ? FILL_KERNEL
                                      : w->what == COLD_SLOW           ? FILL_COUNTED
                                                                       : FILL_USER]);
    e_patch(a, e_jcc(a, CC_E), w->retry);
    if (w->write && w->found) {
        e_mov_rr(a, true, S1, S2);
        try_apart(x, w);
    } else if (crosses && w->found) {
        u8 *slow = e_jmp(a);
        e_land(a, crosses);
        e_mov_rr(a, true, S1, S2);
        try_apart(x, w);
        e_land(a, slow);
        return;
    }
    if (crosses)
        e_land(a, crosses);
}

/* An address by a site's entry is computed with 64 bits in 32-bit code, too: what is compared is
 * what is accessed, so one that wraps misses and leaves for the C function.
 *
 * Whether instruction k goes by a site's entry. Only those whose misses come to bt_exec can be told
 * that they had too many. */
static bool by_site(const struct xl *x, int k, u8 what)
{
    if (!(x->b->key & KEY_USER) || x->t->cfg.helpers)
        return false;
    return what == COLD_SLOW ? !(x->b->wild >> k & 1) : x->stack_op;
}

void mem_base(struct xl *x, int k, int base, i32 disp, u32 size, bool write, u8 what)
{
    struct asm_buf *a = x->a;
    struct mem_use u = {.size = size, .write = write, .what = what};
    flags_destroy(x);
    x->stack_op = base == H_GUEST_RSP;
    bool kernel = kernel_stack(x, base, H_NONE);
    if (!kernel && !by_site(x, k, what)) {
        if (disp)
            e_lea(a, x->bits64, S1, base, H_NONE, 0, disp);
        else
            e_mov_rr(a, x->bits64, S1, base);
        look_up(x, k, size, write, what);
        x->ref = (struct host_mem){.base = S1, .index = H_NONE};
    } else {
        u32 site = kernel ? kernel_site(write) : new_site(x, write);
        u8 *retry = a->p;
        if (disp)
            e_lea(a, true, S2, base, H_NONE, 0, disp);
        else
            e_mov_rr(a, true, S2, base);
        compare(x, k, site, &u, retry);
        e_gs(a, true, OP_LOAD, S1, site_field(offsetof(struct site_cache, add), site));
        found_relative(x, base, H_NONE, 0, disp);
        x->ref = (struct host_mem){.base = base, .index = S1, .disp = disp};
    }
    x->stack_op = false;
}

/* S1: an offset in s. Segments of any kind may come; served are plain expand-up ones, inside their
 * limit. Destroys S2. */
static void check_segment(struct xl *x, int k, int s, bool small, const struct mem_use *u)
{
    struct asm_buf *a = x->a;
    size_t seg = offsetof(struct cpu, seg) + (size_t)s * sizeof(struct seg);
    size_t limit = seg + offsetof(struct seg, limit);
    if (!(x->b->key & KEY_REAL)) { /* there everything is readable and writable */
        size_t ok = u->write ? offsetof(struct seg, wok) : offsetof(struct seg, rok);
        e_gs(a, false, 0x80, DIGIT_CMP, seg + ok);
        e1(a, 0);
        cold_add(x, e_jcc(a, CC_E), u->what, k, 0);
    }
    if (u->size == 1 || small) { /* the last byte's offset has 32 bits at most */
        int last = S1;
        if (u->size > 1)
            e_lea(a, false, last = S2, S1, H_NONE, 0, (i32)u->size - 1);
        e_gs(a, false, OP_LOAD_CMP, last, limit);
        cold_add(x, e_jcc(a, CC_A), u->what, k, 0);
    } else {
        e_gs(a, false, OP_LOAD, S2, limit);
        e_lea(a, true, S2, S2, H_NONE, 0, 1 - (i32)u->size);
        e_rr(a, true, 0x39, S2, S1);
        cold_add(x, e_jcc(a, CC_G), u->what, k, 0);
    }
}

/* S1: an offset; becomes the linear address. In flat 32-bit code only segments of 4 GiB are served.
 */
static void add_segment(struct xl *x, int k, int s, bool small, const struct mem_use *u)
{
    struct asm_buf *a = x->a;
    size_t seg = offsetof(struct cpu, seg) + (size_t)s * sizeof(struct seg);
    if (x->segmented) {
        check_segment(x, k, s, small, u);
    } else if (!x->bits64) {
        e_gs(a, false, 0x80, 7, seg + offsetof(struct seg, full)); /* cmp byte gs:[full], 0 */
        e1(a, 0);
        cold_add(x, e_jcc(a, CC_E), u->what, k, 0);
        if (u->size > 1) {
            E(a, 0x41, 0x81, 0xfe); /* cmp r14d, -size: not over the end */
            e4(a, -u->size);
            cold_add(x, e_jcc(a, CC_A), u->what, k, 0);
        }
    }
    e_gs(a, x->bits64, OP_LOAD_ADD, S1, seg + offsetof(struct seg, base));
}

void mem_stack(struct xl *x, int k, int base, i32 d, u32 size, bool write, u8 what)
{
    struct asm_buf *a = x->a;
    struct mem_use u = {.size = size, .write = write, .what = what};
    bool small = !(x->b->key & KEY_SS32);
    flags_destroy(x);
    x->stack_op = true;
    bool kernel = kernel_stack(x, H_GUEST_RSP, H_NONE), site = kernel || by_site(x, k, what);
    u8 *retry = a->p;
    e_lea(a, false, S1, base, H_NONE, 0, d);
    if (small)
        e_movzx16(a, S1, S1);
    add_segment(x, k, SEG_SS, small, &u);
    if (site) {
        u32 n = kernel ? kernel_site(write) : new_site(x, write);
        e_mov_rr(a, true, S2, S1);
        compare(x, k, n, &u, retry);
        add_site(x, n);
    } else {
        look_up(x, k, size, write, what);
    }
    x->ref = (struct host_mem){.base = S1, .index = H_NONE};
    x->stack_op = false;
}

void mem_operand(struct xl *x, int k, const struct insn *i, const struct mem_use *u)
{
    struct asm_buf *a = x->a;
    int hb = host_of(i->base), hx = i->index == GPR_ZERO ? H_NONE : host_of(i->index);
    bool kernel = kernel_stack(x, hb, hx) && i->seg == SEG_FLAT && i->asize == (x->bits64 ? 8 : 4);
    bool site = kernel || by_site(x, k, u->what);
    bool direct = site && i->asize == (x->bits64 ? 8 : 4) && i->seg == SEG_FLAT &&
                  !u->keep_address && i->base < 16 && hb != H_NONE &&
                  (i->index == GPR_ZERO || hx != H_NONE) && i->disp == (i32)i->disp;

    if (x->strip.on && strip_ref(x, k, i))
        return;
    flags_destroy(x);
    u32 n = kernel        ? kernel_site(u->write)
            : !site       ? NO_SITE
            : x->strip.on ? strip_site(x, k)
                          : new_site(x, u->write);
    if (x->again && !x->strip.on)
        strip_note(x, k, u, n);
    u8 *retry = a->p;
    if (direct) {
        if (i->disp || hx != H_NONE)
            e_lea(a, true, S2, hb, hx, i->scale, (i32)i->disp);
        else
            e_mov_rr(a, true, S2, hb);
    } else {
        effective(x, i, S1, i->asize == 8);
        if (i->seg != SEG_FLAT)
            add_segment(x, k, i->seg, i->asize == 2, u);
        if (u->keep_address)
            e_gs(a, true, OP_STORE, S1, u->keep_address);
        if (site)
            e_mov_rr(a, true, S2, S1);
    }
    if (site)
        compare(x, k, n, u, retry);
    if (u->align && !site) {
        E(a, 0x41, 0xf6, 0xc6, (u8)u->align); /* test r14b, align */
        cold_add(x, e_jcc(a, CC_NE), u->what, k, 0);
    }
    size_t add = site_field(offsetof(struct site_cache, add), n);
    if (!direct) {
        if (site)
            add_site(x, n);
        else
            look_up(x, k, u->size, u->write, u->what);
        x->ref = (struct host_mem){.base = S1, .index = H_NONE};
        return;
    }
    e_gs(a, true, OP_LOAD, S1, add);
    found_relative(x, hb, hx, i->scale, (i32)i->disp);
    if (hx == H_NONE) {
        x->ref = (struct host_mem){.base = hb, .index = S1, .disp = (i32)i->disp};
    } else {
        e_rr(a, true, 0x01, hb, S1);
        x->ref =
            (struct host_mem){.base = S1, .index = hx, .scale = i->scale, .disp = (i32)i->disp};
    }
}

void mem_rex(struct xl *x, bool w, int reg)
{
    const struct host_mem *m = &x->ref;
    e1(x->a, (u8)(0x40 | w << 3 | (reg >> 3 & 1) << 2 |
                  (m->index == H_NONE ? 0 : m->index >> 3) << 1 | m->base >> 3));
}

void mem_modrm(struct xl *x, int reg)
{
    const struct host_mem *m = &x->ref;
    struct asm_buf *a = x->a;
    bool sib = m->index != H_NONE || (m->base & 7) == 4;
    int mod = m->disp == 0 && (m->base & 7) != 5 ? 0 : m->disp == (i8)m->disp ? 1 : 2;
    e1(a, (u8)(mod << 6 | (reg & 7) << 3 | (sib ? 4 : m->base & 7)));
    if (sib)
        e1(a, (u8)(m->scale << 6 | (m->index == H_NONE ? 4 : m->index & 7) << 3 | (m->base & 7)));
    if (mod == 1)
        e1(a, (u8)m->disp);
    else if (mod == 2)
        e4(a, (u32)m->disp);
}

void mem_rep_allowed(struct xl *x, int k)
{
    e_gs_test(x->a, offsetof(struct cpu, flsys), FL_DF);
    cold_add(x, e_jcc(x->a, CC_NE), COLD_SLOW, k, 0);
    e_gs(x->a, false, 0x83, DIGIT_CMP, offsetof(struct cpu, pending));
    e1(x->a, 0);
    cold_add(x, e_jcc(x->a, CC_NE), COLD_SLOW, k, 0);
}

/* One pointer of a REP MOVS or STOS. */
static u32 rep_pointer(struct xl *x, int k, int reg, bool write, u8 *retry)
{
    u32 site = new_site(x, write);
    e_mov_rr(x->a, true, S2, reg);
    compare(x, k, site, &(struct mem_use){.size = 1, .write = write, .what = COLD_SLOW}, retry);
    return site;
}

/* The same for the kernel, by the TLB: S1 becomes what to add for the host's address. */
static void rep_look_up(struct xl *x, int k, int reg, bool write)
{
    e_mov_rr(x->a, true, S1, reg);
    look_up(x, k, 1, write, COLD_SLOW);
    if (!x->a->full)
        x->outs[x->n_cold - 1].found = NULL; /* more will be written than is looked at */
    e_rr(x->a, true, 0x29, reg, S1);
}

/* reg32 = bytes from where a pointer is to the end of its page */
static void to_page_end(struct asm_buf *a, int reg, int pointer)
{
    e_mov_rr(a, false, reg, pointer);
    e_rex(a, false, 0, 0, reg);
    E(a, 0x81, (u8)(0xc8 | (reg & 7))); /* or */
    e4(a, (u32)-4096);
    e_rex(a, false, 0, 0, reg);
    E(a, 0xf7, (u8)(0xd8 | (reg & 7))); /* neg */
}

/* a = min(a, b) */
static void at_most(struct asm_buf *a, bool w, int reg, int other)
{
    e_rr(a, w, 0x39, other, reg);
    e_rex(a, w, reg, 0, other);
    E(a, 0x0f, 0x47, (u8)(0xc0 | (reg & 7) << 3 | (other & 7))); /* cmova */
}

/* How many elements lie in the pages where the pointers are: FRAME_COUNT, and what is left then. */
void mem_rep_count(struct xl *x, int k, bool source, int scale)
{
    struct asm_buf *a = x->a;
    to_page_end(a, S1, H_RDI);
    if (source) {
        to_page_end(a, S2, H_RSI);
        at_most(a, false, S1, S2);
    }
    if (scale) {
        E(a, 0x41, 0xc1, 0xee, (u8)scale); /* shr r14d, scale */
        cold_add(x, e_jcc(a, CC_E), COLD_SLOW, k, 0);
    }
    at_most(a, true, S1, H_RCX);
    e_frame(a, true, OP_STORE, S1, FRAME_COUNT);
    e_mov_rr(a, true, S2, H_RCX);
    e_rr(a, true, 0x29, S1, S2);
    e_frame(a, true, OP_STORE, S2, FRAME_REST);
}

void mem_rep_pointers(struct xl *x, int k, bool source, bool write, u8 *retry)
{
    struct asm_buf *a = x->a;
    size_t add = offsetof(struct site_cache, add);
    if (by_site(x, k, COLD_SLOW)) {
        u32 from = source ? rep_pointer(x, k, H_RSI, false, retry) : 0;
        u32 to = rep_pointer(x, k, H_RDI, write, retry);
        if (source)
            e_gs(a, true, OP_LOAD, S1, site_field(add, from));
        e_gs(a, true, OP_LOAD, S2, site_field(add, to));
        return;
    }
    if (source) {
        rep_look_up(x, k, H_RSI, false);
        e_frame(a, true, OP_STORE, S1, FRAME_SCRATCH);
    }
    rep_look_up(x, k, H_RDI, write);
    e_mov_rr(a, true, S2, S1);
    if (source)
        e_frame(a, true, OP_LOAD, S1, FRAME_SCRATCH);
}

bool mem_rep(struct xl *x, int k)
{
    struct asm_buf *a = x->a;
    const struct insn *i = &x->b->insn[k];
    bool movs = i->row >= INSN_MOVSB && i->row <= INSN_MOVSQ;
    int scale = i->row - (movs ? INSN_MOVSB : INSN_STOSB), first = x->n_cold;
    _Static_assert(INSN_MOVSQ - INSN_MOVSB == 3 && INSN_STOSQ - INSN_STOSB == 3 &&
                       INSN_MOVSW - INSN_MOVSB == 1 && INSN_STOSW - INSN_STOSB == 1,
                   "rows in the order of sizes");

    if ((!movs && (i->row < INSN_STOSB || i->row > INSN_STOSQ)) || x->t->cfg.helpers ||
        i->asize != (x->bits64 ? 8 : 4) || (movs && i->seg != SEG_FLAT))
        return false;
    flags_before_write(x, k, 1u << H_RCX | 1u << H_RSI | 1u << H_RDI, false);
    flags_destroy(x);
    u8 *retry = a->p;
    for (int r = H_RCX; !x->bits64 && r <= H_RDI; r = r == H_RCX ? H_RSI : r + 1)
        e_mov_rr(a, false, r, r); /* nobody can see upper halves */
    mem_rep_allowed(x, k);
    E(a, 0x48, 0x81, 0xf9); /* cmp rcx, REP_MOST: nobody waits long */
    e4(a, REP_MOST);
    cold_add(x, e_jcc(a, CC_A), COLD_SLOW, k, 0);
    mem_rep_count(x, k, movs, scale);
    mem_rep_pointers(x, k, movs, true, retry);
    e_frame(a, true, OP_LOAD, H_RCX, FRAME_COUNT);
    if (movs)
        e_rr(a, true, 0x01, S1, H_RSI);
    e_rr(a, true, 0x01, S2, H_RDI);
    if (scale == 1)
        e1(a, 0x66);
    e1(a, 0xf3);
    e_rex(a, scale == 3, 0, 0, 0);
    e1(a, (u8)((movs ? 0xa4 : 0xaa) | (scale > 0)));
    if (movs)
        e_rr(a, true, 0x29, S1, H_RSI);
    e_rr(a, true, 0x29, S2, H_RDI);
    e_frame(a, true, OP_LOAD, H_RCX, FRAME_REST);
    e_rr(a, true, 0x85, H_RCX, H_RCX);
    e_patch(a, e_jcc(a, CC_NE), retry);
    cold_back(x, first);
    x->how[k] = BT_EMITTED;
    return true;
}
