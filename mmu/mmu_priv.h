/*
 * mmu/mmu_priv.h - between walk.c, tlb.c and access.c.
 *
 * You are here: private to mmu/.
 */
#ifndef MMU_MMU_PRIV_H
#define MMU_MMU_PRIV_H

#include "mmu/mmu.h"

struct walk {
    gpa phys;      /* of the 4 KiB page that holds the address, A20 applied */
    bool write_ok; /* this view may write and D is set: a fast write entry is allowed */
    bool global;
    bool large, giga;
};

/* Walks the paging structures for view and acc, setting A and D unless peek. On a fault fills
 * *error with the #PF error code and returns false. */
bool mmu_walk(struct mmu *m, int view, gla a, enum mmu_access acc, bool peek, struct walk *w,
              u32 *error);

static inline bool view_is_user(int view)
{
    return view == VIEW_USER || view == VIEW_USER_AC;
}

/* space_find, remembering the RAM that it found. */
struct page_info mmu_page_slow(struct mmu *m, gpa page);
static always_inline struct page_info mmu_page(struct mmu *m, gpa page)
{
    const struct space_span *s = &m->span[0];
    for (int k = 0; k < 2; k++, s++) {
        u64 off = page - s->first;
        if (likely(off < s->size)) /* whole pages only */
            return (struct page_info){s->host + off, s->host + off, s->ram, s->ram_off + off};
    }
    return mmu_page_slow(m, page);
}

/* Physical address of a, faulting if acc is not allowed. *write_ok as in struct walk. */
gpa mmu_translate(struct mmu *m, int view, gla a, enum mmu_access acc, struct walk *w);

#endif
