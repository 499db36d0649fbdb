/*
 * bt/refill.c - what host code calls when the TLB's first level does not have a page, or a jump's
 * target is not remembered.
 *
 * Compiled without vector registers: the guest's are live on the host. The functions keep every
 * register but RAX.
 */
#include "bt/refill_priv.h"

static always_inline u64 refill(struct cpu *c, gla a, bool write)
{
    return mmu_refill(&c->mmu, c->view, a, write);
}

KEEPS_REGISTERS u64 bt_find_target(struct cpu *c, u64 tag, u32 key)
{
    u64 rip = tag ^ code_salt(bt_of(c), key, &c->seg[SEG_CS]) ^ c->mmu.salt[!(key & KEY_USER)];
    return bt_of(c)->cfg.unlinked ? 0 : remember_target(c, rip, key);
}

static always_inline const u8 *known(struct cpu *c, gla a)
{
    const struct tlb_entry *e = mmu_slot(&c->mmu, c->view, a);
    return tlb_fits(e->rtag, a, 1) || refill(c, a, false) ? (const u8 *)(a + e->add) : NULL;
}

KEEPS_REGISTERS u64 bt_read_across(struct cpu *c, gla a, u32 size)
{
    u32 first = (u32)(PAGE_SIZE - (a & ~PAGE_MASK));
    if (first >= size || (c->mode != MODE_LONG64 && (a + size - 1) >> 32))
        return 0;
    const u8 *p = known(c, a), *q = p ? known(c, a + first) : NULL;
    if (!q)
        return 0;
    for (u32 k = 0; k < size; k++) {
        c->bt_across[k] = k < first ? p[k] : q[k - first];
        __asm__(""); /* no call of memcpy, which has its own idea of vector registers */
    }
    return (u64)(uintptr_t)c->bt_across;
}

KEEPS_REGISTERS u64 bt_refill_read(struct cpu *c, gla a)
{
    return refill(c, a, false);
}

KEEPS_REGISTERS u64 bt_refill_write(struct cpu *c, gla a)
{
    return refill(c, a, true);
}

KEEPS_REGISTERS u64 bt_code_page(struct cpu *c, gla a, u32 size)
{
    const struct stlb_entry *s = &c->mmu.stlb[c->view][tlb_index(a) & (STLB_SIZE - 1)];
    u32 from = (u32)(a & ~PAGE_MASK), last = from + size - 1;
    if (!s->write || s->tag != (a & PAGE_MASK) || s->gen != c->mmu.gens[s->global] ||
        last >= PAGE_SIZE || c->view == VIEW_USER_AC || s->ram != c->ram ||
        c->ram->page_flags[s->ram_off >> PAGE_SHIFT] != RAM_CODE)
        return 0;
    const struct code_page *pg = c->blocks->pages[s->ram_off >> PAGE_SHIFT];
    if (!pg || !pg->n) /* who has no more code loses the mark by the longer way */
        return 0;
    for (u32 line = from >> LINE_SHIFT; line <= last >> LINE_SHIFT; line++)
        if (pg->cover[line])
            return 0;
    return (u64)(uintptr_t)s->write + from;
}
