/*
 * mmu/tlb.c - filling and flushing the software TLB.
 *
 * Invariants: a fast entry exists only for plain memory that needs no per-access look (no device,
 * no watchpoint; for writes also no cached code, no pending dirty log and D set). Entries of large
 * pages are split into 4 KiB ones and marked, so that INVLPG of any address in the page finds them
 * (SDM vol. 3, 4.10.4.1).
 */
#include "mmu/mmu_priv.h"

static u32 large_hash(gla a)
{
    u64 v = a >> 21;
    return (u32)(v ^ (v >> 12) ^ (v >> 24)) & 4095;
}

/* n: of the slot, in any view. */
static void clear_slot(struct tlb_entry *e, size_t n)
{
    e->rtag = e->wtag = tlb_none((u32)n & (TLB_SIZE - 1));
    e->phys = 0;
}

void mmu_init(struct mmu *m, struct space *mem)
{
    memset(m, 0, sizeof(*m));
    m->mem = mem;
    m->a20_mask = ~0ull;
    m->phys_bits = 40;
    m->gens[0] = m->gens[1] = 1;
    mmu_flush_all(m);
}

void mmu_flush_all(struct mmu *m)
{
    for (int v = 0; v < VIEW_COUNT; v++)
        for (int k = 0; k < TLB_SIZE; k++)
            clear_slot(&m->tlb[v][k], (size_t)k);
    m->fill_count = 0;
    m->gens[0]++;
    m->gens[1]++;
    memset(m->large_map, 0, sizeof(m->large_map));
    m->giga_seen = false;
}

void mmu_flush_nonglobal(struct mmu *m)
{
    if (m->fill_count <= FILL_LOG) {
        for (u32 k = 0; k < m->fill_count; k++) {
            struct tlb_entry *e = &m->tlb[0][0] + m->fill_log[k];
            if (!(e->phys & TLB_GLOBAL))
                clear_slot(e, m->fill_log[k]);
        }
    } else {
        struct tlb_entry *e = &m->tlb[0][0];
        for (int k = 0; k < VIEW_COUNT * TLB_SIZE; k++)
            if (!(e[k].phys & TLB_GLOBAL))
                clear_slot(&e[k], (size_t)k);
    }
    m->fill_count = 0;
    m->gens[0]++;
}

void mmu_flush_page(struct mmu *m, gla a)
{
    gla page = a & PAGE_MASK;
    u32 h = large_hash(a);
    bool large = m->giga_seen || (m->large_map[h >> 3] >> (h & 7) & 1);

    for (int v = 0; v < VIEW_COUNT; v++) {
        struct tlb_entry *e = mmu_slot(m, v, a);
        if (e->rtag == page || e->wtag == page)
            clear_slot(e, tlb_index(a));
    }
    if (large) {
        /* 1 GiB pages widen the region; clearing more than needed is always allowed */
        int shift = m->giga_seen ? 30 : 22;
        struct tlb_entry *e = &m->tlb[0][0];
        for (int k = 0; k < VIEW_COUNT * TLB_SIZE; k++)
            if ((e[k].phys & TLB_LARGE) && (e[k].rtag >> shift) == (a >> shift))
                clear_slot(&e[k], (size_t)k);
    }
    m->gens[0]++;
    m->gens[1]++;
}

void mmu_drop_writable(struct mmu *m, const struct ram *ram, u64 ram_off)
{
    u64 host = (u64)(uintptr_t)(ram->base + (ram_off & PAGE_MASK));
    struct tlb_entry *e = &m->tlb[0][0];
    for (int k = 0; k < VIEW_COUNT * TLB_SIZE; k++)
        if (!tlb_is_none(e[k].wtag) && e[k].wtag + e[k].add == host)
            e[k].wtag = tlb_none((u32)k & (TLB_SIZE - 1));
}

void mmu_set_regs(struct mmu *m, u64 cr0, u64 cr3, u64 cr4, u64 efer)
{
    bool keep = cr3 >> 63; /* CR4.PCIDE: no flush asked for */
    u64 base = cr3 & ~BIT64(63);
    /* PG WP; PSE PAE PGE PCIDE SMEP SMAP; LMA NXE */
    bool all = ((m->cr0 ^ cr0) & 0x80010000ull) || ((m->cr4 ^ cr4) & 0x3200b0ull) ||
               ((m->efer ^ efer) & 0xc00ull);
    bool same = keep && base == m->cr3;

    m->cr0 = cr0;
    m->cr3 = base;
    m->cr4 = cr4;
    m->efer = efer;
    if (all)
        mmu_flush_all(m);
    else if (!same)
        mmu_flush_nonglobal(m);
}

void mmu_set_a20(struct mmu *m, bool on)
{
    gpa mask = on ? ~0ull : ~BIT64(20);
    if (mask != m->a20_mask) {
        m->a20_mask = mask;
        mmu_flush_all(m);
    }
}

/* Makes fast entries for the page of a, as far as w and the memory behind it allow. */
static void fill(struct mmu *m, int view, gla a, const struct walk *w, struct stlb_entry *s)
{
    s->write = NULL;
    if (view == VIEW_USER_AC || w->phys == (m->local_page & PAGE_MASK))
        return;
    gla page = a & PAGE_MASK;
    if (m->watch_page && m->watch_page(m->ctx, page))
        return;
    struct page_info pi = space_find(m->mem, w->phys);
    if (!pi.read)
        return;
    struct tlb_entry *e = mmu_slot(m, view, a);
    bool write = w->write_ok && pi.write == pi.read &&
                 !(pi.ram && pi.ram->page_flags[pi.ram_off >> PAGE_SHIFT]);
    if (!write && w->write_ok && pi.ram && pi.write == pi.read) {
        s->write = pi.write;
        s->ram = pi.ram;
        s->ram_off = pi.ram_off;
    }
    e->rtag = page;
    e->wtag = write ? page : tlb_none(tlb_index(page));
    e->add = (u64)(uintptr_t)pi.read - page;
    e->phys = w->phys | (w->global ? TLB_GLOBAL : 0) | (w->large ? TLB_LARGE : 0);
    if (w->large) {
        u32 h = large_hash(a);
        m->large_map[h >> 3] |= (u8)(1 << (h & 7));
        if (!(m->cr4 & BIT64(5))) {
            /* 4 MiB pages cover two 2 MiB regions */
            h = large_hash(a ^ BIT64(21));
            m->large_map[h >> 3] |= (u8)(1 << (h & 7));
        }
        m->giga_seen |= w->giga;
    }
    if (!w->global) {
        if (m->fill_count < FILL_LOG)
            m->fill_log[m->fill_count] = (u16)(e - &m->tlb[0][0]);
        if (m->fill_count <= FILL_LOG)
            m->fill_count++;
    }
}

gpa mmu_translate(struct mmu *m, int view, gla a, enum mmu_access acc, struct walk *w)
{
    gla page = a & PAGE_MASK;
    struct stlb_entry *s = &m->stlb[view][tlb_index(a) & (STLB_SIZE - 1)];

    if (s->tag == page && s->gen == m->gens[s->global] && (acc == ACC_READ || s->write_ok)) {
        w->phys = s->phys;
        w->write_ok = s->write_ok;
        w->global = s->global;
        w->large = s->large;
        w->giga = s->giga;
        fill(m, view, a, w, s);
        return s->phys | (a & ~PAGE_MASK);
    }
    u32 error = 0;
    m->misses++;
    if (!mmu_walk(m, view, a, acc, false, w, &error))
        m->page_fault(m->ctx, a, error);
    s->tag = page;
    s->phys = w->phys;
    s->global = w->global;
    s->gen = m->gens[w->global];
    s->write_ok = w->write_ok;
    s->large = w->large;
    s->giga = w->giga;
    fill(m, view, a, w, s);
    return w->phys | (a & ~PAGE_MASK);
}

const struct itlb_entry *mmu_fetch_page(struct mmu *m, int view, gla a)
{
    gla page = a & PAGE_MASK;
    bool user = view_is_user(view);
    struct itlb_entry *e = &m->itlb[!user][(a >> PAGE_SHIFT) & (ITLB_SIZE - 1)];

    if (likely(e->tag == page && e->gen == m->gens[e->global]))
        return e;
    struct walk w;
    u32 error = 0;
    if (!mmu_walk(m, user ? VIEW_USER : VIEW_SUP, a, ACC_FETCH, false, &w, &error))
        m->page_fault(m->ctx, a, error);
    struct page_info pi = space_find(m->mem, w.phys);
    e->tag = page;
    e->phys = w.phys;
    e->host = pi.read;
    e->ram = pi.ram && pi.read == pi.ram->base + pi.ram_off ? pi.ram : NULL;
    e->ram_off = pi.ram_off;
    e->global = w.global;
    e->gen = m->gens[w.global];
    return e;
}

bool mmu_peek(struct mmu *m, gla a, gpa *out)
{
    struct walk w;
    u32 error;
    if (!mmu_walk(m, VIEW_SUP_AC, a, ACC_READ, true, &w, &error))
        return false;
    *out = w.phys | (a & ~PAGE_MASK);
    return true;
}
