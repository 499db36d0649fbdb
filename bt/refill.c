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

KEEPS_REGISTERS u64 bt_refill_read(struct cpu *c, gla a)
{
    return refill(c, a, false);
}

KEEPS_REGISTERS u64 bt_refill_write(struct cpu *c, gla a)
{
    return refill(c, a, true);
}
