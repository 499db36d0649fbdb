/*
 * bt/runtime.c - the C functions that host code calls. The guest's registers are in cpu->gpr,
 * vector registers in cpu->xs, cpu->block and the block's RIP are set.
 */
#include "bt/bt_priv.h"
#include "cpu/exec_priv.h"
#include "bt/refill_priv.h"

static void count(struct cpu *c, enum bt_exit why)
{
    bt_of(c)->stats.exits[why]++;
}

/* One instruction by its function, as run_generic, or only its operand is read (to bt_scratch); the
 * address's low bits say why. True: its block died, leave. */
u64 bt_exec(struct cpu *c, const struct insn *place)
{
    struct block *b = c->block;
    u32 why = (u32)(uintptr_t)place & BT_EXIT_BITS;
    const struct insn *i = (const struct insn *)((uintptr_t)place & ~(uintptr_t)BT_EXIT_BITS);
    struct bt *t = bt_of(c);
    bool operand = why == BT_EXIT_OPERAND;
    if (operand)
        why = BT_EXIT_MEMORY;
    t->stats.exits[why]++;
    if (why == BT_EXIT_HELPER)
        t->rows[i->row].called++;
    c->cur = i;
    c->rip = c->gpr[GPR_BLOCK] + i->off + i->len;
    if (!(c->key & KEY_64))
        c->rip = (u32)c->rip;
    bool wild = why == BT_EXIT_MEMORY && c->mmu.sites.wild;
    if (unlikely(wild)) {
        c->mmu.sites.wild = 0;
        b->wild |= BIT64(i - b->insn);
    }
    if (operand && !wild) {
        c->bt_scratch = op_read(c, i, i->kind[0] == OP_MEM ? 0 : 1);
        c->cur = NULL;
        return 0;
    }
    insn_rows[i->row].exec(c, i);
    c->cur = NULL;
    if (unlikely(wild) && b->cost != BLOCK_DEAD) {
        t->stats.again += bt_translate_again(c, b);
        if (b->inlined_by && b->inlined_by->cost != BLOCK_DEAD)
            bt_translate_again(c, b->inlined_by);
        c->left += b->n - (i + 1 - b->insn);
        c->block = NULL;
        return 1;
    }
    if (likely(b->cost != BLOCK_DEAD)) {
        if (likely(!(i->flags & INF_BRANCH)))
            return 0;
        /* a repetition that goes on later */
        u64 next = c->gpr[GPR_BLOCK] + i->off + i->len;
        if (c->rip == (c->key & KEY_64 ? next : (u32)next))
            return 0;
        c->block = NULL;
        return 1;
    }
    c->left += b->n - (i + 1 - b->insn);
    c->block = NULL;
    count(c, BT_EXIT_DIED);
    return 1;
}

/* ---- links ------------------------------------------------------------------------------------
 */
static void forget_link(struct bt *t, struct edge *e)
{
    struct edge *all = t->edges;
    if (e->prev)
        all[e->prev - 1].next = e->next;
    else
        e->to->hot_in = e->next;
    if (e->next)
        all[e->next - 1].prev = e->prev;
    e->to = NULL;
}

static void note_link(struct bt *t, struct edge *e, struct block *to)
{
    u32 n = (u32)(e - t->edges) + 1;
    if (e->to == to)
        return;
    if (e->to)
        forget_link(t, e);
    e->to = to;
    e->prev = 0;
    e->next = to->hot_in;
    if (e->next)
        t->edges[e->next - 1].prev = n;
    to->hot_in = n;
}

/* The block died: who jumps to it looks for another one. */
void unlink_edges_to(struct bt *t, struct block *b)
{
    for (u32 n = b->hot_in, next; n; n = next) {
        struct edge *e = &t->edges[n - 1];
        next = e->next;
        e->to = NULL;
        st_u32(e->jmp, (u32)(e->unlink - (e->jmp + 4)));
    }
    b->hot_in = 0;
}

/* A run_fn: the block begins at an address that its translation is not for, and often. The run loop
 * looks it up anew and gets one for that address (block.strange). */
const struct insn *bt_strange(struct cpu *c, const struct insn *i)
{
    struct block *b = c->block;
    c->rip = c->gpr[GPR_BLOCK];
    c->blocks->jc[jc_index(linear_pc(c))].gen = 0;
    c->left += b->cost;
    c->block = NULL;
    c->cur = NULL;
    return NULL;
}

static void patch(struct bt *t, struct edge *e, struct block *to, const u8 *target)
{
    st_u32(e->jmp, (u32)(target - (e->jmp + 4)));
    note_link(t, e, to);
    t->stats.links++;
}

/* A small stub: on to `code` while the generation is what it was. */
static void link_across(struct bt *t, struct edge *e, struct block *to, u64 gen, u32 global)
{
    const u8 *code = to->hot;
    if (!e->cross) {
        u8 *start = t->a.p;
        if (t->a.end - t->a.p < 64)
            return;
        e_rex(&t->a, true, 0, 0, S2);
        e1(&t->a, 0xb8 | (S2 & 7));
        e8(&t->a, gen);
        e_gs(&t->a, true, 0x3b, S2, offsetof(struct cpu, mmu.gens) + 8 * (size_t)global);
        u8 *miss = e_jcc(&t->a, CC_NE);
        e_patch(&t->a, miss, e->unlink);
        u8 *go = e_jmp(&t->a);
        e_patch(&t->a, go, code);
        e->cross = start;
    } else {
        st_u64(e->cross + 2, gen);
        u8 *after_cmp = e->cross + 10;
        /* gs cmp r15, [disp32]: 65 4c 3b 3c 25 disp32 */
        st_u32(after_cmp + 5, (u32)(offsetof(struct cpu, mmu.gens) + 8 * (size_t)global));
        u8 *go = after_cmp + 9 + 6 + 1;
        st_u32(go, (u32)(code - (go + 4)));
    }
    patch(t, e, to, e->cross);
}

/* A block that is to be entered by the interpreter, at c->rip. */
static struct next interpret(struct cpu *c, struct block *b)
{
    c->left -= b->cost;
    if (unlikely(c->left < 0)) {
        enter_refused(c, b);
        return (struct next){NULL, NULL};
    }
    c->gpr[GPR_BLOCK] = c->rip;
    c->block = b;
    return (struct next){NULL, b->insn};
}

/* To the block at c->rip, unless the run loop has something else to do first. May fault. */
static always_inline struct next go_on(struct cpu *c, bool remember)
{
    struct next none = {NULL, NULL};
    u32 wait = c->flsys & FL_IF ? 0 : PEND_INTR; /* pending, but not for now */
    if (unlikely(c->pending & ~wait) || unlikely(c->left <= 0))
        return none;
    gla lin = linear_pc(c);
    struct jc_entry *j = &c->blocks->jc[jc_index(lin)];
    struct block *b = j->block;
    if (unlikely(j->lin != lin || j->key != c->key || j->gen != c->mmu.gens[j->global] ||
                 b->cost == BLOCK_DEAD)) {
        b = block_lookup(c);
        lin = linear_pc(c);
    }
    if (likely(hot_here(c, b, lin) && b->hot)) {
        if (remember && !bt_of(c)->cfg.unlinked) {
            if (!(c->key & KEY_USER) && j->lin == lin && !j->global && !c->mmu.local_kernel)
                mmu_set_local_kernel(&c->mmu);
            remember_target(c, c->rip, c->key);
        }
        return (struct next){b->hot_rx, NULL};
    }
    if (b->n > c->left || !within_cs(c, b))
        return none; /* the run loop steps */
    return interpret(c, b);
}

/* A block that may not be entered: out of budget, or dead. head: the translation of that block goes
 * on with it; NULL: it is its own. */
struct next bt_refused(struct cpu *c, struct block *b, struct block *head)
{
    c->rip = b->hot_rip;
    enter_refused(c, b);
    if (b->cost == BLOCK_DEAD) {
        count(c, BT_EXIT_DEAD);
        if (head)
            super_undo(c, head);
        return go_on(c, true); /* a remembered target may have led here */
    }
    count(c, BT_EXIT_BUDGET);
    if (!head)
        super_sample(c, b);
    return (struct next){NULL, NULL};
}

/* The last instruction of a block by its function, as run_exit and run_branch; to the next block.
 */
struct next bt_event(struct cpu *c, const struct insn *place)
{
    struct bt *t = bt_of(c);
    const struct insn *i = (const struct insn *)((uintptr_t)place & ~(uintptr_t)BT_EXIT_BITS);
    u32 why = (u32)(uintptr_t)place & BT_EXIT_BITS;
    t->stats.exits[why]++;
    if (why == BT_EXIT_EVENT)
        t->rows[i->row].called++;
    c->cur = i;
    c->rip = c->gpr[GPR_BLOCK] + i->off + i->len;
    if (!(c->key & KEY_64))
        c->rip = (u32)c->rip;
    insn_rows[i->row].exec(c, i);
    c->cur = NULL;
    c->block = NULL;
    return go_on(c, why == BT_EXIT_INDIRECT);
}

struct next bt_edge(struct cpu *c, struct block *b, u32 n)
{
    struct bt *t = bt_of(c);
    struct edge *e = &t->edges[n];
    struct next none = {NULL, NULL};

    c->cur = NULL;
    c->block = NULL;
    c->rip = e->target;
    gla lin = linear_pc(c);
    struct jc_entry *j = &c->blocks->jc[jc_index(lin)];
    struct block *to = j->block;
    if (j->lin != lin || j->key != c->key || j->gen != c->mmu.gens[j->global]) {
        /* as the run loop would, if there is nothing else to look at; may fault */
        count(c, BT_EXIT_UNKNOWN);
        if (c->pending || c->left <= 0)
            return none;
        to = block_lookup(c);
        if (j->block != to || j->lin != lin)
            return none; /* not one to remember: the loop finds it again */
    }
    if (to->hot && hot_here(c, to, lin) && to->cost != BLOCK_DEAD) {
        if (!t->cfg.unlinked) {
            if (((lin ^ b->hot_lin) & PAGE_MASK) == 0 && !to->cross)
                patch(t, e, to, to->hot);
            else
                link_across(t, e, to, j->gen, j->global);
        }
        count(c, BT_EXIT_LINKED);
        if (unlikely(t->engine.heat == 1))
            super_eager(c, b);
        return (struct next){to->hot + t->to_rx, NULL};
    }
    count(c, BT_EXIT_COLD);
    if (!within_cs(c, to))
        return none;
    return interpret(c, to);
}

/* Whether instructions that need these bits may run: vec_state to set, or 0 and the caller takes
 * the slow way, which raises what is to be raised. */
u64 bt_vec_enter(struct cpu *c, u32 need)
{
    u32 live = need | c->vec_state, can = (c->sse_trap ? 0 : VEC_SSE) |
                                          (c->avx_trap ? 0 : VEC_AVX) | (c->fpu_trap ? 0 : VEC_X87);
    count(c, BT_EXIT_VEC_ENTER);
    /* upper halves are loaded for those who use them */
    return (need & can) == need ? can & (live | VEC_SSE | VEC_X87) : 0;
}
