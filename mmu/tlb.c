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

/* Bitmaps of regions, hashed. */
static void map_set(u8 *map, u64 bits, u64 n)
{
    n &= bits - 1;
    map[n >> 3] |= (u8)(1 << (n & 7));
}
static bool map_has(const u8 *map, u64 bits, u64 n)
{
    n &= bits - 1;
    return map[n >> 3] >> (n & 7) & 1;
}
/* Addresses that software uses together often differ in few, high bits. */
static u64 page_hash(gla a)
{
    return (a >> PAGE_SHIFT) ^ (a >> 25) ^ (a >> 38);
}
static u64 region_hash(gla a)
{
    return (a >> 22) ^ (a >> 31) ^ (a >> 40);
}
static u64 giga_hash(gla a)
{
    return (a >> 30) ^ (a >> 39);
}

/* n: in all views, one after the other. */
static void clear_slot(struct mmu *m, size_t n)
{
    struct tlb_entry *e = &m->tlb[0][0] + n;
    e->rtag = e->wtag = tlb_none((u32)n & (TLB_SIZE - 1));
    m->tlb_bits[n] = 0;
}

void mmu_clear_sites(struct mmu *m)
{
    if (!m->sites.used)
        return;
    for (int k = 0; k < SITES; k++)
        m->sites.tag[k] = m->sites.none;
    m->sites.used = 0;
}

/* The next of a sequence that only its start tells (splitmix64). */
static void new_salt(struct mmu *m, int k)
{
    u64 z = m->salt_state += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    m->salt[k] = z ^ z >> 31;
}

static void end_generation(struct mmu *m, bool global)
{
    m->gens[0]++;
    m->gens[1] += global;
    new_salt(m, 0);
    if (global || m->local_kernel)
        new_salt(m, 1);
    if (global) /* what was remembered of such code cannot be found any more */
        m->local_kernel = false;
}

void mmu_set_local_kernel(struct mmu *m)
{
    m->local_kernel = true;
    new_salt(m, 1);
}

void mmu_seed_salts(struct mmu *m, u64 secret)
{
    m->salt_state = secret;
    new_salt(m, 0);
    new_salt(m, 1);
}

/* Nothing that was derived from any translation is good any more. */
static void new_generation(struct mmu *m)
{
    end_generation(m, true);
    memset(m->code_pages, 0, sizeof(m->code_pages));
    memset(m->code_large, 0, sizeof(m->code_large));
    m->code_giga = false;
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
    for (size_t k = 0; k < VIEW_COUNT * TLB_SIZE; k++)
        clear_slot(m, k);
    mmu_clear_sites(m);
    m->fill_count = 0;
    new_generation(m);
    memset(m->large_map, 0, sizeof(m->large_map));
    memset(m->giga_map, 0, sizeof(m->giga_map));
    memset(m->span, 0, sizeof(m->span));
}

struct page_info mmu_page_slow(struct mmu *m, gpa page)
{
    struct space_span s;
    if (space_find_span(m->mem, page, &s)) {
        u64 odd = -s.first & ~PAGE_MASK; /* whole pages only */
        s.first += odd;
        s.host += odd;
        s.ram_off += odd;
        s.size = s.size > odd ? (s.size - odd) & PAGE_MASK : 0;
        u64 off = page - s.first;
        if (off < s.size) {
            m->span[m->span_turn ^= 1] = s;
            return (struct page_info){s.host + off, s.host + off, s.ram, s.ram_off + off};
        }
    }
    return space_find(m->mem, page);
}

void mmu_flush_nonglobal(struct mmu *m)
{
    mmu_clear_sites(m);
    const u8 *bits = m->tlb_bits;
    if (m->fill_count <= FILL_LOG) {
        for (u32 k = 0; k < m->fill_count; k++)
            if (!(bits[m->fill_log[k]] & TLB_GLOBAL))
                clear_slot(m, m->fill_log[k]);
    } else {
        for (size_t k = 0; k < VIEW_COUNT * TLB_SIZE; k++)
            if (!(bits[k] & TLB_GLOBAL))
                clear_slot(m, k);
    }
    m->fill_count = 0;
    end_generation(m, false);
}

/* Generations end only when the page may hold code or be part of a large one: what else is derived
 * from translations is the second cache's entry of this page. */
void mmu_flush_page(struct mmu *m, gla a)
{
    gla page = a & PAGE_MASK;
    u32 h = large_hash(a);
    bool giga = map_has(m->giga_map, 512, giga_hash(a));
    bool large = giga || (m->large_map[h >> 3] >> (h & 7) & 1);

    for (int k = 0; k < SITES; k++)
        m->sites.tag[k] = m->sites.tag[k] == page ? m->sites.none : m->sites.tag[k];
    for (size_t v = 0; v < VIEW_COUNT; v++) {
        struct tlb_entry *e = mmu_slot(m, (int)v, a);
        struct stlb_entry *s = &m->stlb[v][tlb_index(a) & (STLB_SIZE - 1)];
        if (e->rtag == page || e->wtag == page)
            clear_slot(m, v * TLB_SIZE + tlb_index(a));
        if (s->tag == page)
            s->gen = 0;
        struct l2_entry *l = mmu_l2_slot(m, (int)v, a);
        if (l->tag == (page | v))
            l->gen = 0;
    }
    if (large) {
        /* clearing more than needed is always allowed */
        mmu_clear_sites(m);
        int shift = giga ? 30 : 22;
        for (size_t k = 0; k < VIEW_COUNT * TLB_SIZE; k++) {
            struct tlb_entry *e = &m->tlb[0][0] + k;
            if ((m->tlb_bits[k] & TLB_LARGE) && (e->rtag >> shift) == (a >> shift))
                clear_slot(m, k);
        }
    }
    if (large || m->code_giga || map_has(m->code_pages, 8192, page_hash(a)) ||
        map_has(m->code_large, 512, region_hash(a)))
        new_generation(m);
}

void mmu_drop_writable(struct mmu *m, const struct ram *ram, u64 ram_off)
{
    u64 host = (u64)(uintptr_t)(ram->base + (ram_off & PAGE_MASK));
    struct tlb_entry *e = &m->tlb[0][0];
    mmu_clear_sites(m);
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
    if (w->giga) {
        map_set(m->giga_map, 512, giga_hash(a));
    } else if (w->large) {
        u32 h = large_hash(a);
        m->large_map[h >> 3] |= (u8)(1 << (h & 7));
        if (!(m->cr4 & BIT64(5))) {
            /* 4 MiB pages cover two 2 MiB regions */
            h = large_hash(a ^ BIT64(21));
            m->large_map[h >> 3] |= (u8)(1 << (h & 7));
        }
    }
    if (view == VIEW_USER_AC || w->phys == (m->local_page & PAGE_MASK))
        return;
    gla page = a & PAGE_MASK;
    if (m->watch_page && m->watch_page(m->ctx, page))
        return;
    struct page_info pi = mmu_page(m, w->phys);
    if (!pi.read)
        return;
    bool plain = pi.ram && pi.write == pi.read;
    bool write = w->write_ok && pi.write == pi.read &&
                 !(pi.ram && pi.ram->page_flags[pi.ram_off >> PAGE_SHIFT]);
    if (!write && w->write_ok && plain) {
        s->write = pi.write;
        s->ram = pi.ram;
        s->ram_off = pi.ram_off;
    }
    mmu_enter(m, view, page, (hva)(uintptr_t)pi.read, write, w->global, w->large);
    if (plain) {
        *mmu_l2_slot(m, view, a) =
            (struct l2_entry){.tag = page | (u64)view,
                              .gen = m->gens[w->global] | (w->global ? L2_GLOBAL : 0) |
                                     (w->write_ok ? L2_WRITE_OK : 0) | (w->large ? L2_LARGE : 0),
                              .host = pi.write,
                              .flags = &pi.ram->page_flags[pi.ram_off >> PAGE_SHIFT]};
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
    if (w.giga)
        m->code_giga = true;
    else if (w.large)
        map_set(m->code_large, 512, region_hash(a));
    else
        map_set(m->code_pages, 8192, page_hash(a));
    struct page_info pi = mmu_page(m, w.phys);
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
