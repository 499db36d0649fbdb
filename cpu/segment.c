/*
 * cpu/segment.c - descriptors and segment registers: reading, checking, loading.
 *
 * Intel SDM vol. 3: 3.4 (descriptors), 5.6 (data segments), 5.7 (SS), 20.1 (real mode); AMD APM
 * vol. 2, 4.8 (long mode descriptors).
 */
#include "cpu/segment_priv.h"

bool desc_read(struct cpu *cpu, u16 sel, struct desc *d)
{
    u64 base;
    u32 limit;
    if (sel & 4) {
        if (sel_null(cpu->ldtr.sel))
            return false;
        base = cpu->ldtr.base;
        limit = cpu->ldtr.limit;
    } else {
        base = cpu->gdtr.base;
        limit = cpu->gdtr.limit;
    }
    if ((u32)(sel | 7) > limit)
        return false;
    d->addr = base + (sel & 0xfff8u);
    if (!(cpu->efer & EFER_LMA))
        d->addr = (u32)d->addr;
    u64 v = sys_read(cpu, d->addr, 8);
    d->lo = (u32)v;
    d->hi = (u32)(v >> 32);
    if (!cpu_has(cpu, FEAT_I386))
        d->hi &= 0xffff; /* the 286 ignores the last word */
    return true;
}

void desc_need(struct cpu *cpu, u16 sel, struct desc *d, int vec)
{
    if (!desc_read(cpu, sel, d))
        cpu_raise_err(cpu, vec, sel & 0xfffc);
}

u32 desc_upper(struct cpu *cpu, u16 sel, const struct desc *d, int vec)
{
    u32 limit = sel & 4 ? cpu->ldtr.limit : cpu->gdtr.limit;
    if ((u32)(sel & 0xfff8u) + 15 > limit)
        cpu_raise_err(cpu, vec, sel & 0xfffc);
    u64 v = sys_read(cpu, d->addr + 8, 8);
    if (v >> 40 & 0x1f)
        cpu_raise_err(cpu, vec, sel & 0xfffc); /* the type field there must be zero */
    return (u32)v;
}

/* Changes bits of a descriptor's type byte, atomically as the processor's locked cycle does: other
 * processors may be changing the same descriptor (SDM vol. 3, 8.1.2.1). */
static void desc_change(struct cpu *cpu, const struct desc *d, u8 set, u8 clear)
{
    gla a = d->addr + 5;
    u8 *p = mmu_rmw(&cpu->mmu, cpu->cr4 & CR4_SMAP ? VIEW_SUP : VIEW_SUP_AC, a, 1);
    if (!p)
        sys_write(cpu, a, (sys_read(cpu, a, 1) | set) & (u8)~clear, 1);
    else if (set)
        __atomic_fetch_or(p, set, __ATOMIC_SEQ_CST);
    else
        __atomic_fetch_and(p, (u8)~clear, __ATOMIC_SEQ_CST);
}

void desc_mark_accessed(struct cpu *cpu, struct desc *d)
{
    if (d->hi & 0x100)
        return;
    desc_change(cpu, d, ATTR_A, 0);
    d->hi |= 0x100;
}

void desc_remember(struct cpu *cpu, u16 sel, const struct desc *d)
{
    bool readable = desc_s(d) && (!desc_code(d) || (d->hi & 0x200));
    bool any_level = desc_code(d) && desc_conforming(d);
    if (!cpu_has(cpu, FEAT_I386) || cpu->mode == MODE_REAL || cpu->mode == MODE_V86)
        return;
    if (sel_null(sel) || (sel & 4) || !readable || !desc_p(d) || !(d->hi & 0x100) ||
        (!any_level && (sel & 3) > desc_dpl(d)))
        return;
    struct seg_known *k = &cpu->known[sel / 8 % SEG_KNOWN];
    k->raw = d->lo | (u64)d->hi << 32;
    k->seg = (struct seg){
        .sel = sel, .attr = desc_attr(d), .limit = desc_limit(d), .base = desc_base(d)};
    seg_usable(&k->seg);
}

void desc_mark_busy(struct cpu *cpu, const struct desc *d, bool busy)
{
    desc_change(cpu, d, busy ? 2 : 0, busy ? 0 : 2);
}

void seg_put(struct cpu *cpu, int s, u16 sel, const struct desc *d)
{
    struct seg *sg = &cpu->seg[s];
    sg->sel = sel;
    sg->attr = desc_attr(d);
    sg->limit = desc_limit(d);
    sg->base = desc_base(d);
    seg_derive(cpu, s);
}

void seg_fill(struct cpu *cpu, int s, u16 sel, const struct desc *d)
{
    seg_put(cpu, s, sel, d);
    update_mode(cpu);
}

void seg_put_null(struct cpu *cpu, int s, u16 sel)
{
    struct seg *sg = &cpu->seg[s];
    sg->sel = sel;
    sg->attr = 0;
    if (s == SEG_SS) /* 64-bit mode: SS keeps a DPL and is otherwise ignored */
        sg->attr = (u16)(ATTR_P | ATTR_S | ATTR_RW | ATTR_A | ATTR_DB | cpu->cpl << 5);
    sg->limit = s == SEG_SS ? 0xffffffff : 0;
    sg->base = 0; /* as Intel and AMD since Zen 2; older AMD parts kept FS and GS bases */
    seg_derive(cpu, s);
}

void seg_null(struct cpu *cpu, int s, u16 sel)
{
    seg_put_null(cpu, s, sel);
    update_mode(cpu);
}

void seg_real(struct cpu *cpu, int s, u16 sel)
{
    struct seg *sg = &cpu->seg[s];
    sg->sel = sel;
    sg->base = (u32)sel << 4;
    if (!(sg->attr & ATTR_P)) { /* was null in protected mode: usable again */
        sg->attr = ATTR_P | ATTR_S | ATTR_RW | ATTR_A;
        sg->limit = 0xffff;
    }
    if (s == SEG_CS && cpu->mode == MODE_REAL) {
        /* a far transfer in real mode makes CS a writable data-like segment again; limit stays */
        sg->attr = (sg->attr & (ATTR_DB | ATTR_G)) | ATTR_P | ATTR_S | ATTR_X | ATTR_RW | ATTR_A;
    }
    seg_cache(cpu, s);
}

void seg_v86(struct cpu *cpu, int s, u16 sel)
{
    cpu->seg[s] = (struct seg){.sel = sel,
                               .base = (u32)sel << 4,
                               .limit = 0xffff,
                               .attr = ATTR_P | ATTR_S | ATTR_RW | ATTR_A | ATTR_DPL};
    seg_cache(cpu, s);
}

void put_cs(struct cpu *cpu, u16 sel, int cpl, struct desc *d, u64 rip)
{
    desc_mark_accessed(cpu, d);
    cpu->cpl = (u8)cpl;
    seg_put(cpu, SEG_CS, (u16)((sel & 0xfffc) | cpl), d);
    cpu->rip = rip;
}

void load_cs(struct cpu *cpu, u16 sel, int cpl, struct desc *d, u64 rip)
{
    put_cs(cpu, sel, cpl, d, rip);
    update_mode(cpu);
}

void check_ss(struct cpu *cpu, u16 sel, int cpl, struct desc *d, int vec)
{
    if (sel_null(sel))
        cpu_raise_err(cpu, vec, vec == EX_TS ? sel & 0xfffc : 0);
    desc_need(cpu, sel, d, vec);
    if ((sel & 3) != cpl || !desc_s(d) || !desc_writable_data(d) || desc_dpl(d) != cpl)
        cpu_raise_err(cpu, vec, sel & 0xfffc);
    if (!desc_p(d))
        cpu_raise_err(cpu, EX_SS, sel & 0xfffc);
}

static void load_ss(struct cpu *cpu, u16 sel)
{
    struct desc d;
    if (sel_null(sel)) {
        if (cpu->mode != MODE_LONG64 || cpu->cpl == 3 || (sel & 3) != cpu->cpl)
            raise_gp0(cpu);
        seg_null(cpu, SEG_SS, sel);
        return;
    }
    check_ss(cpu, sel, cpu->cpl, &d, EX_GP);
    desc_mark_accessed(cpu, &d);
    seg_fill(cpu, SEG_SS, sel, &d);
}

void load_seg(struct cpu *cpu, int s, u16 sel)
{
    struct desc d;

    if (cpu->mode == MODE_REAL) {
        seg_real(cpu, s, sel);
        return;
    }
    if (cpu->mode == MODE_V86) {
        seg_v86(cpu, s, sel);
        return;
    }
    if (s == SEG_SS) {
        load_ss(cpu, sel);
        return;
    }
    if (sel_null(sel)) {
        seg_null(cpu, s, sel);
        return;
    }
    desc_need(cpu, sel, &d, EX_GP);
    bool readable = desc_s(&d) && (!desc_code(&d) || (d.hi & 0x200));
    if (!readable)
        cpu_raise_err(cpu, EX_GP, sel & 0xfffc);
    if (!(desc_code(&d) && desc_conforming(&d)) &&
        ((sel & 3) > desc_dpl(&d) || cpu->cpl > desc_dpl(&d)))
        cpu_raise_err(cpu, EX_GP, sel & 0xfffc);
    if (!desc_p(&d))
        cpu_raise_err(cpu, EX_NP, sel & 0xfffc);
    desc_mark_accessed(cpu, &d);
    seg_fill(cpu, s, sel, &d);
    desc_remember(cpu, sel, &d);
}

static void fill_system(struct cpu *cpu, struct seg *sg, u16 sel, const struct desc *d, u32 upper)
{
    sg->sel = sel;
    sg->attr = desc_attr(d);
    sg->limit = desc_limit(d);
    sg->base = desc_base(d) | (u64)upper << 32;
}

void load_ldtr(struct cpu *cpu, u16 sel)
{
    struct desc d;
    u32 upper = 0;
    if (sel_null(sel)) {
        cpu->ldtr.sel = sel;
        cpu->ldtr.attr = 0;
        return;
    }
    if (sel & 4)
        cpu_raise_err(cpu, EX_GP, sel & 0xfffc);
    desc_need(cpu, sel, &d, EX_GP);
    if (desc_s(&d) || desc_type(&d) != SYS_LDT)
        cpu_raise_err(cpu, EX_GP, sel & 0xfffc);
    if (!desc_p(&d))
        cpu_raise_err(cpu, EX_NP, sel & 0xfffc);
    if (cpu->efer & EFER_LMA) {
        upper = desc_upper(cpu, sel, &d, EX_GP);
        if (!is_canonical(desc_base(&d) | (u64)upper << 32))
            cpu_raise_err(cpu, EX_GP, sel & 0xfffc);
    }
    fill_system(cpu, &cpu->ldtr, sel, &d, upper);
}

void load_tr(struct cpu *cpu, u16 sel)
{
    struct desc d;
    u32 upper = 0;
    bool lm = cpu->efer & EFER_LMA;
    if (sel_null(sel))
        raise_gp0(cpu);
    if (sel & 4)
        cpu_raise_err(cpu, EX_GP, sel & 0xfffc);
    desc_need(cpu, sel, &d, EX_GP);
    int type = desc_type(&d);
    if (desc_s(&d) || !(type == SYS_TSS32 || (type == SYS_TSS16 && !lm)))
        cpu_raise_err(cpu, EX_GP, sel & 0xfffc);
    if (!desc_p(&d))
        cpu_raise_err(cpu, EX_NP, sel & 0xfffc);
    if (lm) {
        upper = desc_upper(cpu, sel, &d, EX_GP);
        if (!is_canonical(desc_base(&d) | (u64)upper << 32))
            cpu_raise_err(cpu, EX_GP, sel & 0xfffc);
    }
    desc_mark_busy(cpu, &d, true);
    d.hi |= 0x200;
    fill_system(cpu, &cpu->tr, sel, &d, upper);
}

void drop_inner_segments(struct cpu *cpu, int cpl)
{
    static const u8 data[] = {SEG_ES, SEG_DS, SEG_FS, SEG_GS};
    for (size_t k = 0; k < ARRAY_LEN(data); k++) {
        const struct seg *sg = &cpu->seg[data[k]];
        int dpl = (sg->attr >> 5) & 3;
        bool conforming = (sg->attr & (ATTR_X | ATTR_DC)) == (ATTR_X | ATTR_DC);
        if (dpl < cpl && !conforming && (!sel_null(sg->sel) || sg->attr))
            seg_null(cpu, data[k], 0);
    }
}

/* ---- stacks under construction
 * -------------------------------------------------------------------- */
struct stack stack_current(const struct cpu *cpu)
{
    const struct seg *ss = &cpu->seg[SEG_SS];
    struct stack st = {.base = ss->base,
                       .sp = cpu->gpr[RSP],
                       .mask = stack_mask(cpu),
                       .limit = ss->limit,
                       .attr = ss->attr,
                       .flat64 = cpu->mode == MODE_LONG64,
                       .cpl = cpu->cpl,
                       .sel = 0};
    if (cpu->mode == MODE_REAL || cpu->mode == MODE_V86)
        st.attr = (u16)(ss->attr & ~(ATTR_X | ATTR_DC)) | ATTR_P | ATTR_S | ATTR_RW;
    if (st.flat64)
        st.base = 0;
    return st;
}

struct stack stack_new(u16 sel, const struct desc *d, u64 sp, int cpl)
{
    if (!d) /* long mode: flat */
        return (struct stack){.sp = sp, .mask = ~0ull, .flat64 = true, .cpl = cpl};
    return (struct stack){.base = desc_base(d),
                          .sp = sp,
                          .mask = d->hi & 0x400000 ? 0xffffffff : 0xffff,
                          .limit = desc_limit(d),
                          .attr = desc_attr(d),
                          .cpl = cpl,
                          .sel = sel & 0xfffc};
}

static gla stack_linear(struct cpu *cpu, const struct stack *st, u64 off, u32 size)
{
    if (st->flat64) {
        if (!is_canonical(off) || !is_canonical(off + size - 1))
            cpu_raise_err(cpu, EX_SS, st->sel);
        return off;
    }
    u64 last = off + size - 1;
    bool bad;
    if ((st->attr & (ATTR_X | ATTR_DC)) == ATTR_DC)
        bad = off <= st->limit || last > (st->attr & ATTR_DB ? 0xffffffffull : 0xffffull);
    else
        bad = last > st->limit;
    if (bad) /* the 286 has one interrupt for all overruns in real mode */
        cpu_raise_err(cpu, cpu->mode == MODE_REAL && !cpu_has(cpu, FEAT_I386) ? EX_GP : EX_SS,
                      st->sel);
    return (u32)(st->base + off);
}

static int stack_view(const struct cpu *cpu, const struct stack *st)
{
    if (st->cpl == 3)
        return VIEW_USER;
    return cpu->cr4 & CR4_SMAP && !(cpu->flsys & FL_AC && cpu->cpl < 3) ? VIEW_SUP : VIEW_SUP_AC;
}

/* A word at the very end of the 8086's segment goes on at its start. */
static bool stack_wraps(const struct cpu *cpu, u64 sp, int size)
{
    return unlikely(!cpu_has(cpu, FEAT_I286)) && size == 2 && sp == 0xffff;
}

void stack_push(struct cpu *cpu, struct stack *st, u64 v, int size)
{
    u64 sp = (st->sp - (u64)size) & st->mask;
    if (stack_wraps(cpu, sp, size)) {
        mmu_write(&cpu->mmu, stack_view(cpu, st), st->base + 0xffff, v & 0xff, 1);
        mmu_write(&cpu->mmu, stack_view(cpu, st), st->base, v >> 8 & 0xff, 1);
        st->sp = sp;
        return;
    }
    gla a = stack_linear(cpu, st, sp, (u32)size);
    mmu_write(&cpu->mmu, stack_view(cpu, st), a, v, size);
    st->sp = (st->sp & ~st->mask) | sp;
}

u64 stack_pop(struct cpu *cpu, struct stack *st, int size)
{
    u64 sp = st->sp & st->mask;
    if (stack_wraps(cpu, sp, size)) {
        int view = stack_view(cpu, st);
        st->sp = 1;
        return mmu_read(&cpu->mmu, view, st->base + 0xffff, 1) |
               mmu_read(&cpu->mmu, view, st->base, 1) << 8;
    }
    gla a = stack_linear(cpu, st, sp, (u32)size);
    u64 v = mmu_read(&cpu->mmu, stack_view(cpu, st), a, size);
    st->sp = (st->sp & ~st->mask) | ((sp + (u64)size) & st->mask);
    return v;
}

/* Where `total` bytes from offset `off` to `end` lie, if one look at the TLB tells that nothing
 * about them faults; `write`: to be written. NULL: one by one. */
static always_inline u8 *stack_run(struct cpu *cpu, const struct stack *st, u64 off, u64 end,
                                   bool write)
{
    if (unlikely(off >= end))
        return NULL; /* wraps */
    if (!st->flat64 && unlikely(end - 1 > st->limit || (st->attr & (ATTR_X | ATTR_DC)) == ATTR_DC))
        return NULL;
    gla a = st->flat64 ? off : (u32)(st->base + off);
    const struct tlb_entry *e = mmu_slot(&cpu->mmu, stack_view(cpu, st), a);
    if (likely(tlb_fits(write ? e->wtag : e->rtag, a, (u32)(end - off))))
        return (u8 *)(a + e->add);
    return NULL;
}

void stack_push_all(struct cpu *cpu, struct stack *st, const u64 *v, int n, int size)
{
    u64 top = st->sp & st->mask, sp = (top - (u64)(n * size)) & st->mask;
    u8 *p = stack_run(cpu, st, sp, top, true);
    if (unlikely(!p)) {
        for (int k = 0; k < n; k++)
            stack_push(cpu, st, v[k], size);
        return;
    }
    st->sp = (st->sp & ~st->mask) | sp;
    p += n * size;
    switch (size) { /* each a loop of one store */
    case 8:
        for (int k = 0; k < n; k++)
            st_u64(p -= 8, v[k]);
        break;
    case 4:
        for (int k = 0; k < n; k++)
            st_u32(p -= 4, (u32)v[k]);
        break;
    default:
        for (int k = 0; k < n; k++)
            st_u16(p -= 2, (u16)v[k]);
        break;
    }
}

void stack_pop_all(struct cpu *cpu, struct stack *st, u64 *v, int n, int size)
{
    u64 sp = st->sp & st->mask, end = sp + (u64)(n * size);
    const u8 *p = end <= st->mask ? stack_run(cpu, st, sp, end, false) : NULL;
    if (unlikely(!p)) {
        for (int k = 0; k < n; k++)
            v[k] = stack_pop(cpu, st, size);
        return;
    }
    st->sp = (st->sp & ~st->mask) | end;
    switch (size) {
    case 8:
        for (int k = 0; k < n; k++)
            v[k] = ld_u64(p + k * 8);
        break;
    case 4:
        for (int k = 0; k < n; k++)
            v[k] = ld_u32(p + k * 4);
        break;
    default:
        for (int k = 0; k < n; k++)
            v[k] = ld_u16(p + k * 2);
        break;
    }
}

void stack_commit(struct cpu *cpu, const struct stack *st)
{
    if (st->mask == 0xffff)
        *(u16 *)&cpu->gpr[RSP] = (u16)st->sp;
    else
        cpu->gpr[RSP] = st->sp & st->mask;
}

/* ---- the TSS's stacks
 * --------------------------------------------------------------------------------- */
void tss_stack(struct cpu *cpu, int cpl, u16 *ss, u32 *esp)
{
    bool wide = (cpu->tr.attr & 15) >= SYS_TSS32;
    u32 off = wide ? 4 + (u32)cpl * 8 : 2 + (u32)cpl * 4;
    if (off + (wide ? 5 : 3) > cpu->tr.limit)
        cpu_raise_err(cpu, EX_TS, cpu->tr.sel & 0xfffc);
    gla a = (u32)(cpu->tr.base + off);
    *esp = (u32)sys_read(cpu, a, wide ? 4 : 2);
    *ss = (u16)sys_read(cpu, (u32)(a + (wide ? 4 : 2)), 2);
}

u64 tss_rsp64(struct cpu *cpu, int index)
{
    u32 off = 4 + (u32)index * 8;
    if (off + 7 > cpu->tr.limit)
        cpu_raise_err(cpu, EX_TS, cpu->tr.sel & 0xfffc);
    return sys_read(cpu, cpu->tr.base + off, 8);
}
