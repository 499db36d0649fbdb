/*
 * mmu/access.c - the slow half of guest memory access: TLB misses, devices, code pages, watched
 * pages and accesses that cross a page.
 */
#include "mmu/mmu_priv.h"

static bool crosses(gla a, u32 size)
{
    return ((a ^ (a + size - 1)) & PAGE_MASK) != 0;
}

static void watch(struct mmu *m, gla a, int size, bool write)
{
    if (unlikely(m->watch != NULL))
        m->watch(m->ctx, a, size, write);
}

/* A device's register: counted, and what it cost booked. */
static u64 io_read(struct mmu *m, gpa p, int size)
{
    u64 began = ledger_begin(m->ledger);
    struct device *local = m->local_dev && (p & PAGE_MASK) == m->local_page ? m->local_dev : NULL;
    u64 v = local ? local->ops->read(local, 0, p & ~PAGE_MASK, size) & size_mask(size)
                  : space_read(m->mem, p, size);
    m->io_accesses++;
    ledger_end(m->ledger, LEDGER_MMIO, began);
    return v;
}

static void io_write(struct mmu *m, gpa p, u64 val, int size)
{
    u64 began = ledger_begin(m->ledger);
    struct device *local = m->local_dev && (p & PAGE_MASK) == m->local_page ? m->local_dev : NULL;
    m->io_accesses++;
    if (local)
        local->ops->write(local, 0, p & ~PAGE_MASK, val & size_mask(size), size);
    else
        space_write(m->mem, p, val & size_mask(size), size);
    ledger_end(m->ledger, LEDGER_MMIO, began);
}

static u64 phys_read(struct mmu *m, gpa p, int size)
{
    if (m->local_dev && (p & PAGE_MASK) == m->local_page)
        return io_read(m, p, size);
    struct page_info pi = mmu_page(m, p & PAGE_MASK);
    if (likely(pi.read != NULL))
        return ld_le(pi.read + (p & ~PAGE_MASK), size);
    return io_read(m, p, size);
}

static void phys_write(struct mmu *m, gpa p, u64 val, int size)
{
    if (m->local_dev && (p & PAGE_MASK) == m->local_page) {
        io_write(m, p, val, size);
        return;
    }
    struct page_info pi = mmu_page(m, p & PAGE_MASK);
    if (likely(pi.write != NULL)) {
        st_le(pi.write + (p & ~PAGE_MASK), val, size);
        if (pi.ram && pi.ram->page_flags[pi.ram_off >> PAGE_SHIFT])
            ram_note_write(pi.ram, pi.ram_off + (p & ~PAGE_MASK), (u64)size);
        return;
    }
    io_write(m, p, val, size);
}

/* Where byte a is, when the TLB knows; NULL: ask the tables. Pages that are not plain RAM, or
 * watched, it never knows. */
static const u8 *known_read(struct mmu *m, int view, gla a)
{
    const struct tlb_entry *e = mmu_slot(m, view, a);
    return tlb_fits(e->rtag, a, 1) || mmu_refill(m, view, a, false) ? (const u8 *)(a + e->add)
                                                                    : NULL;
}

static u8 *known_write(struct mmu *m, int view, gla a)
{
    const struct tlb_entry *e = mmu_slot(m, view, a);
    return tlb_fits(e->wtag, a, 1) || mmu_refill(m, view, a, true) ? (u8 *)(a + e->add) : NULL;
}

/* Both parts of what lies across a page's end; false: nothing happened. */
static bool read_across(struct mmu *m, int view, gla a, void *buf, u32 len)
{
    u32 first = (u32)(PAGE_SIZE - (a & ~PAGE_MASK));
    const u8 *p = known_read(m, view, a), *q = p ? known_read(m, view, a + first) : NULL;
    if (!q)
        return false;
    memcpy(buf, p, first);
    memcpy((u8 *)buf + first, q, len - first);
    return true;
}

static bool write_across(struct mmu *m, int view, gla a, const void *buf, u32 len)
{
    u32 first = (u32)(PAGE_SIZE - (a & ~PAGE_MASK));
    u8 *p = known_write(m, view, a), *q = p ? known_write(m, view, a + first) : NULL;
    if (!q)
        return false;
    memcpy(p, buf, first);
    memcpy(q, (const u8 *)buf + first, len - first);
    return true;
}

u64 mmu_read_slow(struct mmu *m, int view, gla a, int size)
{
    struct walk w;
    if (unlikely(crosses(a, (u32)size))) {
        u64 v = 0;
        if (likely(read_across(m, view, a, &v, (u32)size)))
            return v;
        int first = (int)(PAGE_SIZE - (a & ~PAGE_MASK));
        gpa p0 = mmu_translate(m, view, a, ACC_READ, &w);
        gpa p1 = mmu_translate(m, view, a + (u64)first, ACC_READ, &w);
        watch(m, a, size, false);
        for (int k = 0; k < size; k++)
            v |= phys_read(m, k < first ? p0 + (u64)k : p1 + (u64)(k - first), 1) << (8 * k);
        return v;
    }
    if (mmu_refill(m, view, a, false))
        return ld_le((const u8 *)(a + mmu_slot(m, view, a)->add), size);
    gpa p = mmu_translate(m, view, a, ACC_READ, &w);
    watch(m, a, size, false);
    return phys_read(m, p, size);
}

void mmu_write_slow(struct mmu *m, int view, gla a, u64 val, int size)
{
    struct walk w;
    if (unlikely(crosses(a, (u32)size))) {
        if (likely(write_across(m, view, a, &val, (u32)size)))
            return;
        int first = (int)(PAGE_SIZE - (a & ~PAGE_MASK));
        gpa p0 = mmu_translate(m, view, a, ACC_WRITE, &w);
        gpa p1 = mmu_translate(m, view, a + (u64)first, ACC_WRITE, &w);
        watch(m, a, size, true);
        for (int k = 0; k < size; k++)
            phys_write(m, k < first ? p0 + (u64)k : p1 + (u64)(k - first), val >> (8 * k), 1);
        return;
    }
    if (mmu_refill(m, view, a, true)) {
        st_le((u8 *)(a + mmu_slot(m, view, a)->add), val, size);
        return;
    }
    const struct stlb_entry *s = &m->stlb[view][tlb_index(a) & (STLB_SIZE - 1)];
    if (s->write && s->tag == (a & PAGE_MASK) && s->gen == m->gens[s->global] &&
        s->ram->page_flags[s->ram_off >> PAGE_SHIFT]) {
        st_le(s->write + (a & ~PAGE_MASK), val, size);
        ram_note_write(s->ram, s->ram_off + (a & ~PAGE_MASK), (u64)size);
        return;
    }
    gpa p = mmu_translate(m, view, a, ACC_WRITE, &w);
    watch(m, a, size, true);
    phys_write(m, p, val, size);
}

hva mmu_rmw_slow(struct mmu *m, int view, gla a, int size)
{
    struct walk w;
    if (unlikely(crosses(a, (u32)size)))
        return NULL;
    if (mmu_refill(m, view, a, true))
        return (hva)(a + mmu_slot(m, view, a)->add);
    gpa p = mmu_translate(m, view, a, ACC_WRITE, &w);
    if (m->watch_page && m->watch_page(m->ctx, a & PAGE_MASK))
        return NULL;
    if (m->local_dev && (p & PAGE_MASK) == m->local_page)
        return NULL;
    struct page_info pi = mmu_page(m, p & PAGE_MASK);
    if (!pi.write || pi.write != pi.read)
        return NULL;
    if (pi.ram) {
        u8 *flags = &pi.ram->page_flags[pi.ram_off >> PAGE_SHIFT];
        if (*flags & RAM_CODE)
            return NULL;
        if (*flags)
            ram_note_write(pi.ram, pi.ram_off + (p & ~PAGE_MASK), (u64)size);
    }
    return pi.write + (p & ~PAGE_MASK);
}

const u8 *mmu_read_ptr_slow(struct mmu *m, int view, gla a, int size)
{
    struct walk w;
    if (unlikely(crosses(a, (u32)size)))
        return NULL;
    if (mmu_refill(m, view, a, false))
        return (const u8 *)(a + mmu_slot(m, view, a)->add);
    gpa p = mmu_translate(m, view, a, ACC_READ, &w);
    if (m->watch_page && m->watch_page(m->ctx, a & PAGE_MASK))
        return NULL;
    if (m->local_dev && (p & PAGE_MASK) == m->local_page)
        return NULL;
    struct page_info pi = mmu_page(m, p & PAGE_MASK);
    return pi.read ? pi.read + (p & ~PAGE_MASK) : NULL;
}

static void probe(struct mmu *m, int view, gla a, u32 len, enum mmu_access acc)
{
    struct walk w;
    if (!len)
        return;
    mmu_translate(m, view, a, acc, &w);
    if (crosses(a, len))
        mmu_translate(m, view, (a + len - 1) & PAGE_MASK, acc, &w);
}

void mmu_probe_read(struct mmu *m, int view, gla a, u32 len)
{
    probe(m, view, a, len, ACC_READ);
}

void mmu_probe_write(struct mmu *m, int view, gla a, u32 len)
{
    probe(m, view, a, len, ACC_WRITE);
}

void mmu_read_bytes(struct mmu *m, int view, gla a, void *buf, u32 len)
{
    u8 *out = buf;
    const struct tlb_entry *e = mmu_slot(m, view, a);
    if (len && crosses(a, len) && read_across(m, view, a, buf, len))
        return;
    if (!len || !tlb_fits(e->rtag, a, len))
        mmu_probe_read(m, view, a, len);
    if (len && tlb_fits(e->rtag, a, len)) {
        memcpy(out, (const u8 *)(a + e->add), len);
        return;
    }
    while (len) {
        int n = len >= 8 ? 8 : len >= 4 ? 4 : len >= 2 ? 2 : 1;
        st_le(out, mmu_read(m, view, a, n), n);
        out += n;
        a += (u32)n;
        len -= (u32)n;
    }
}

void mmu_write_bytes(struct mmu *m, int view, gla a, const void *buf, u32 len)
{
    const u8 *in = buf;
    const struct tlb_entry *e = mmu_slot(m, view, a);
    if (len && crosses(a, len) && write_across(m, view, a, buf, len))
        return;
    if (!len || !tlb_fits(e->wtag, a, len))
        mmu_probe_write(m, view, a, len);
    if (len && tlb_fits(e->wtag, a, len)) {
        memcpy((u8 *)(a + e->add), in, len);
        return;
    }
    while (len) {
        int n = len >= 8 ? 8 : len >= 4 ? 4 : len >= 2 ? 2 : 1;
        mmu_write(m, view, a, ld_le(in, n), n);
        in += n;
        a += (u32)n;
        len -= (u32)n;
    }
}
