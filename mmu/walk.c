/*
 * mmu/walk.c - the page walk of every paging mode, and nothing about caching.
 *
 * Intel SDM vol. 3 chapter 4 (4.3 32-bit, 4.4 PAE, 4.5 4-level, 4.6 access rights, 4.7 error
 * codes, 4.8 accessed and dirty). Accessed flags are set only when the whole walk succeeds, as on
 * AMD (APM vol. 2, 5.4.2) and allowed by Intel.
 */
#include "mmu/mmu_priv.h"

enum { PTE_P = 1, PTE_W = 2, PTE_U = 4, PTE_A = 0x20, PTE_D = 0x40, PTE_PS = 0x80, PTE_G = 0x100 };
#define PTE_NX BIT64(63)

#define CR0_WP_BIT   BIT64(16)
#define CR0_PG_BIT   BIT64(31)
#define CR4_PSE_BIT  BIT64(4)
#define CR4_PAE_BIT  BIT64(5)
#define CR4_PGE_BIT  BIT64(7)
#define CR4_SMEP_BIT BIT64(20)
#define CR4_SMAP_BIT BIT64(21)
#define EFER_LMA_BIT BIT64(10)
#define EFER_NXE_BIT BIT64(11)

struct pte_ref {
    gpa addr;
    u64 val;
};

static u64 pte_read(struct mmu *m, gpa addr, int size)
{
    struct page_info pi = mmu_page(m, addr & m->a20_mask & PAGE_MASK);
    if (likely(pi.read != NULL)) {
        const u8 *p = pi.read + (addr & ~PAGE_MASK);
        return size == 8 ? __atomic_load_n((const u64 *)p, __ATOMIC_RELAXED)
                         : __atomic_load_n((const u32 *)p, __ATOMIC_RELAXED);
    }
    return space_read(m->mem, addr & m->a20_mask, size);
}

/* Sets A/D bits atomically, as another processor may be changing the entry. */
static void pte_or(struct mmu *m, gpa addr, int size, u32 mask)
{
    struct page_info pi = mmu_page(m, addr & m->a20_mask & PAGE_MASK);
    if (!pi.write)
        return; /* page tables in ROM: the flags stay as they are */
    u8 *p = pi.write + (addr & ~PAGE_MASK);
    if (size == 8)
        __atomic_fetch_or((u64 *)p, mask, __ATOMIC_SEQ_CST);
    else
        __atomic_fetch_or((u32 *)p, mask, __ATOMIC_SEQ_CST);
    if (pi.ram && pi.ram->page_flags[pi.ram_off >> PAGE_SHIFT])
        ram_note_write(pi.ram, pi.ram_off + (addr & ~PAGE_MASK), (u64)size);
}

/* One finished walk: the entries used (for A bits), what the leaf allows. */
struct leaf {
    struct pte_ref used[4];
    int n, size;
    u64 page;      /* physical base of the mapping */
    u64 page_size; /* bytes */
    bool w, u, nx, g;
    bool accessed; /* A is set in all of them */
};

/* Returns 0, or the part of the error code that the walk itself found. -1: not present. */
enum walk_result { WALK_OK, WALK_ABSENT, WALK_RESERVED };

static enum walk_result walk_32(struct mmu *m, gla a, struct leaf *l)
{
    l->size = 4;
    l->nx = false;
    gpa t = (m->cr3 & 0xfffff000) + bits(a, 31, 22) * 4;
    u64 e = pte_read(m, t, 4);
    l->used[l->n++] = (struct pte_ref){t, e};
    if (!(e & PTE_P))
        return WALK_ABSENT;
    l->w = e & PTE_W;
    l->u = e & PTE_U;
    if ((e & PTE_PS) && (m->cr4 & CR4_PSE_BIT)) {
        /* PSE-36: bits 20..13 are physical address bits 39..32 (SDM table 4-4) */
        u64 high = m->has_pse36 ? bits(e, 20, 13) << 32 : 0;
        if ((e & BIT64(21)) || (!m->has_pse36 && (e & 0x1fe000)) || (high >> m->phys_bits))
            return WALK_RESERVED;
        l->page = high | (e & 0xffc00000);
        l->page_size = 4 * MIB;
        l->accessed = e & PTE_A;
        l->g = e & PTE_G;
        return WALK_OK;
    }
    u64 all = e;
    t = (e & 0xfffff000) + bits(a, 21, 12) * 4;
    e = pte_read(m, t, 4);
    l->used[l->n++] = (struct pte_ref){t, e};
    if (!(e & PTE_P))
        return WALK_ABSENT;
    all &= e;
    l->w = all & PTE_W;
    l->u = all & PTE_U;
    l->accessed = all & PTE_A;
    l->g = e & PTE_G;
    l->page = e & 0xfffff000;
    l->page_size = PAGE_SIZE;
    return WALK_OK;
}

static enum walk_result walk_64(struct mmu *m, gla a, struct leaf *l)
{
    bool lma = m->efer & EFER_LMA_BIT;
    bool nxe = m->efer & EFER_NXE_BIT;
    u64 addr_bits = bits(~0ull, m->phys_bits - 1, 12) << 12;
    u64 reserved = (~addr_bits & (BIT64(52) - 1) & PAGE_MASK) | (nxe ? 0 : PTE_NX);
    if (!lma)
        reserved |= bits(~0ull, 62, 52) << 52; /* PAE: bits 62..52 are reserved */
    gpa table;
    int shift;

    l->size = 8;
    if (lma) {
        table = m->cr3 & addr_bits;
        shift = 39;
    } else {
        u64 e = m->pdpte[bits(a, 31, 30)];
        if (!(e & PTE_P))
            return WALK_ABSENT;
        table = e & addr_bits;
        shift = 21;
    }
    u64 all = ~0ull, any = 0, e;
    for (;; shift -= 9) {
        gpa t = table + (a >> shift & 511) * 8;
        e = pte_read(m, t, 8);
        l->used[l->n++] = (struct pte_ref){t, e};
        if (!(e & PTE_P))
            return WALK_ABSENT;
        u64 bad = e & reserved;
        bool leaf = shift == 12;
        if ((e & PTE_PS) && !leaf) {
            leaf = true;
            if (shift == 39 || (shift == 30 && !m->has_gbpages))
                bad |= PTE_PS;
            bad |= e & ((BIT64(shift) - 1) & ~0x1fffull); /* bit 12 is PAT */
        }
        if (unlikely(bad))
            return WALK_RESERVED;
        all &= e;
        any |= e;
        table = e & addr_bits;
        if (leaf)
            break;
    }
    l->w = all & PTE_W;
    l->u = all & PTE_U;
    l->nx = any & PTE_NX;
    l->accessed = all & PTE_A;
    l->g = e & PTE_G;
    l->page_size = BIT64(shift);
    l->page = table & ~(l->page_size - 1);
    return WALK_OK;
}

bool mmu_walk(struct mmu *m, int view, gla a, enum mmu_access acc, bool peek, struct walk *w,
              u32 *error)
{
    if (!(m->cr0 & CR0_PG_BIT)) {
        w->phys = a & PAGE_MASK & m->a20_mask;
        w->write_ok = w->global = true;
        w->large = w->giga = false;
        return true;
    }
    struct leaf l;
    bool user = view_is_user(view);
    bool pae = m->cr4 & CR4_PAE_BIT;
    bool write = acc == ACC_WRITE;
    bool fetch = acc == ACC_FETCH;
    u32 code = (write ? PF_W : 0) | (user ? PF_U : 0);

    if (fetch && ((m->cr4 & CR4_SMEP_BIT) || (pae && (m->efer & EFER_NXE_BIT))))
        code |= PF_I;
    l.n = 0;
    l.accessed = false;
    if (!peek)
        m->walks++;
    enum walk_result r = pae ? walk_64(m, a, &l) : walk_32(m, a, &l);
    if (r != WALK_OK) {
        *error = code | (r == WALK_RESERVED ? PF_P | PF_RSVD : 0);
        return false;
    }
    bool wp = m->cr0 & CR0_WP_BIT;
    bool can_write = user ? l.w && l.u : l.w || !wp;
    bool ok = !(user && !l.u) && !(write && !can_write) && !(fetch && l.nx);

    if (!user && l.u) {
        if (fetch && (m->cr4 & CR4_SMEP_BIT))
            ok = false;
        if (!fetch && (m->cr4 & CR4_SMAP_BIT) && view == VIEW_SUP)
            ok = false;
    }
    if (!ok && !peek) {
        *error = code | PF_P;
        return false;
    }
    bool dirty = l.used[l.n - 1].val & PTE_D;
    if (!peek && !(l.accessed && (dirty || !write))) {
        for (int k = 0; k < l.n; k++) {
            u32 want = PTE_A | (write && k == l.n - 1 ? PTE_D : 0);
            if ((l.used[k].val & want) != want)
                pte_or(m, l.used[k].addr, l.size, want);
        }
        dirty = dirty || write;
    }
    w->phys = (l.page | (a & (l.page_size - 1) & PAGE_MASK)) & m->a20_mask;
    w->write_ok = can_write && dirty;
    w->global = l.g && (m->cr4 & CR4_PGE_BIT);
    w->large = l.page_size > PAGE_SIZE;
    w->giga = l.page_size > 4 * MIB;
    return true;
}

bool mmu_load_pdptes(struct mmu *m, u64 cr3)
{
    u64 addr_bits = bits(~0ull, m->phys_bits - 1, 12) << 12;
    u64 v[4];
    for (int k = 0; k < 4; k++) {
        v[k] = pte_read(m, (cr3 & 0xffffffe0) + (u64)k * 8, 8);
        /* SDM vol. 3, 4.4.1: bits 2..1, 8..5 and above MAXPHYADDR are reserved */
        if ((v[k] & PTE_P) && (v[k] & ~(addr_bits | 0xe19)))
            return false;
    }
    memcpy(m->pdpte, v, sizeof(v));
    return true;
}
