/*
 * bt/stats.c - what the translator counts.
 *
 * Blocks are counted when they are complete; exits where they reach a C function or a thunk that
 * leads out (runtime.c, cache.c): nothing is counted in code that goes from block to block.
 */
#include "bt/bt_priv.h"

void count_rows(struct xl *x)
{
    struct bt *t = x->t;
    const struct block *b = x->b;
    t->stats.insns += b->n;
    t->stats.insns_now += b->n;
    for (int k = 0; k < b->n; k++) {
        t->stats.how[x->how[k]]++;
        if (x->how[k] == BT_HELPED || x->how[k] == BT_EVENT)
            t->rows[b->insn[k].row].translated++;
    }
}

void count_block(struct xl *x)
{
    struct bt *t = x->t;
    t->stats.blocks++;
    t->stats.supers += x->n_parts > 1;
    t->stats.strips += x->strip.top != NULL;
    t->stats.code_bytes = (u64)(t->a.p - t->after_thunks);
}

void bt_stats(const struct cpu *cpu, struct bt_stats *out)
{
    const struct bt *t = cpu->engine_ctx;
    memset(out, 0, sizeof(*out));
    if (!t)
        return;
    *out = t->stats;
    out->cache_size = t->size;
}

void bt_helper_row(const struct cpu *cpu, u32 row, u64 *translated, u64 *called)
{
    const struct bt *t = cpu->engine_ctx;
    bool known = t && row < INSN_COUNT;
    *translated = known ? t->rows[row].translated : 0;
    *called = known ? t->rows[row].called : 0;
}
