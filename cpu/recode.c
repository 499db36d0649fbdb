/*
 * cpu/recode.c - blocks that live on when their code is written: the instructions are still the
 * same ones, only their constants (immediates, displacements, distances of branches) are others.
 *
 * Guests write constants into code all the time: JITs' inline caches and calls, kernels' patched
 * jumps, and old programs' inner loops. Decoding such a block anew costs more than all the rest.
 *
 * Not for anything else: whatever cannot be told at once (other bytes before the constant, an
 * encoding that the memo does not have, the running block, a tracer that looks on) is refused, and
 * the block dies. Old bytes are not needed: an instruction is the same if what is decoded from
 * the new ones is, but for the constants. Its length is then, too, so nothing else in the block
 * moves; and since handlers are chosen by everything but constants, they stay as they are, fused or
 * not.
 */
#include "cpu/decode_priv.h"
#include "cpu/interp_priv.h"

enum {
    MOST_INSNS = 4,  /* touched by one write; more are rather new code */
    MOST_STREAK = 6, /* one after the other, upwards: somebody writes new code over old */
    WINDOW = 15,     /* bytes that the memo wants to read */
};

/* Whether only constants differ. */
static bool same_but_constants(const struct insn *a, const struct insn *b)
{
    _Static_assert(offsetof(struct insn, row) + 2 == offsetof(struct insn, off) &&
                       offsetof(struct insn, off) + 2 == offsetof(struct insn, len) &&
                       sizeof(struct insn) - offsetof(struct insn, len) == 20,
                   "what is compared");
    return a->row == b->row && !memcmp(&a->len, &b->len, 20) &&
           (a->imm == b->imm || !(a->flags & INF_STUB));
}

/* Host code has the constant of instruction k: the next translation is not to. */
static bool is_copied(struct block *b, struct code_page *pg, int k, const struct insn *now)
{
    const struct insn *was = &b->insn[k];
    u32 at = (u32)(b->phys & ~PAGE_MASK) + was->off;
    bool same_disp = now->disp == was->disp;
    if (!b->hot || (same_disp && (now->imm == was->imm || !(b->copied >> k & 1))))
        return false;
    pg->loose[at / 64] |= BIT64(at % 64);
    return true;
}

bool block_recode(struct cpu *cpu, struct block *b, struct code_page *pg, u32 first, u32 last)
{
    u32 start = (u32)(b->phys & ~PAGE_MASK);
    struct insn now[MOST_INSNS];
    int k = 0, n = 0;

    if (b == cpu->block || cpu->tracer || b->cross || b->page[0] != pg)
        return false;
    /* bytes of the block; `to` may be behind its end */
    u32 from = first > start ? first - start : 0, to = last - start;
    while (k < b->n && b->insn[k].off + b->insn[k].len <= from)
        k++;
    for (; k + n < b->n && b->insn[k + n].off <= to; n++) {
        const struct insn *was = &b->insn[k + n];
        u32 at = start + was->off;
        if (n == MOST_INSNS || at + WINDOW > PAGE_SIZE)
            return false;
        if (was->off == from && from == to)
            return false; /* the first byte alone: somebody writes new code, byte by byte */
        const u8 *bytes = cpu->ram->base + pg->off + at;
        if (!memo_find(cpu->blocks->memo, bytes, b->key, &now[n]) ||
            !same_but_constants(&now[n], was))
            return false;
        insn_place(&now[n], was->off);
        if (is_copied(b, pg, k + n, &now[n]))
            return false;
    }
    if (n == 0) /* bytes behind the last instruction, which had a say in its refusal */
        return false;
    b->streak = k > b->recoded ? b->streak + 1 : k < b->recoded ? 0 : b->streak;
    b->recoded = (u8)k;
    if (b->streak > MOST_STREAK)
        return false;
    for (int j = 0; j < n; j++) {
        struct insn *i = &b->insn[k + j];
        i->imm = now[j].imm;
        i->disp = now[j].disp;
        if (i->flags & INF_BRANCH) {
            struct sentinel *s = block_sentinel(b);
            s->link[0] = s->link[1] = NULL;
        }
    }
    return true;
}
