/*
 * bt/refill_priv.h - C functions that host code calls without giving up its registers.
 *
 * You are here: private to bt/; refill.c has them.
 */
#ifndef BT_REFILL_PRIV_H
#define BT_REFILL_PRIV_H

#include "bt/bt_priv.h"

#define KEEPS_REGISTERS __attribute__((no_caller_saved_registers))

/* The TLB's entry for a, for reading or writing, from its second level. 0: it is not there. */
KEEPS_REGISTERS u64 bt_refill_read(struct cpu *c, gla a);
KEEPS_REGISTERS u64 bt_refill_write(struct cpu *c, gla a);

/* The host's address of what is to be written at a: on a page with code, but on lines without. Only
 * for this time; 0: it is not that. */
KEEPS_REGISTERS u64 bt_code_page(struct cpu *c, gla a, u32 size);

/* Of a read across a page's end: the host address of its bytes, put together (cpu->bt_across). 0:
 * it is none, or what the TLB does not have: for the C function. size: 2 to 32. */
KEEPS_REGISTERS u64 bt_read_across(struct cpu *c, gla a, u32 size);

/* Who looks for a block of this key found no target with this tag. Remembers it, when there is host
 * code: its place in the vCPU's memory of them, as an offset, plus 1. 0: it is for a longer way. */
KEEPS_REGISTERS u64 bt_find_target(struct cpu *c, u64 tag, u32 key);

/* Who jumps to rip finds the code by itself from now on (block.c: find_block), if the translation
 * of that page is known. The offset in cpu->bt_targets plus 1; 0: not done. */
static always_inline u64 remember_target(struct cpu *c, u64 rip, u32 key)
{
    const struct seg *cs = &c->seg[SEG_CS];
    bool flat = key & (KEY_64 | KEY_FLAT);
    gla lin = flat ? rip : (u32)(rip + cs->base);
    const struct jc_entry *j = &c->blocks->jc[jc_index(lin)];
    bool user = key & KEY_USER;
    if (j->lin != lin || j->key != key || j->gen != c->mmu.gens[j->global] ||
        j->block->hot_lin != lin || !j->block->hot ||
        (!flat && (j->block->hot_rip != rip || j->block->hot_limit != cs->limit)) ||
        (!user && !j->global && !c->mmu.local_kernel))
        return 0;
    u64 tag = rip ^ code_salt(bt_of(c), key, cs) ^ c->mmu.salt[!user], n = 0;
    __asm__("crc32q %1, %0" : "+r"(n) : "r"(tag));
    n &= TARGET_MASK;
    struct jump_target *to = &c->bt_targets[n / sizeof(*to)];
    to->tag = tag;
    to->code = j->block->hot_rx;
    return n + 1;
}

#endif
