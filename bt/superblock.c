/*
 * bt/superblock.c - blocks that follow each other, in one translation.
 *
 * Where slices end is a sample of what runs. A block that is met so several times is translated
 * once more, with its neighbours, so that conditional branches count where they go; met again, its
 * translation goes on with the block that it mostly leads to, and so on. What that saves are the
 * jump, the flags that nobody looks at (flags.c knows them across parts) and the look whether
 * vector registers are there. Each part is charged for itself, so interrupts come where they would
 * come otherwise, and a part that dies is noticed at its charge.
 *
 * Only within a page: no translation of addresses has to be asked again on the way.
 */
#include "bt/bt_priv.h"

enum {
    SAMPLES = 2,       /* until a block is looked at */
    GIVE_UP = 30,      /* ... and no more */
    PROBED = 16,       /* times a branch was counted, until it is believed */
    NEIGHBOURS = 8,    /* that are looked at together */
    REWRITTEN = 4,     /* code of a page that was overwritten more often is left alone */
    DONE = 0xffff,     /* of block.samples: never again */
    ROOM = 512 * 1024, /* bytes of host code that must be left; superblocks are a luxury */
};

static bool branches(const struct block *b)
{
    const struct insn *i = &b->insn[b->n - 1];
    return i->row >= INSN_JO && i->row <= INSN_JNLE;
}

/* Such a block has a loop of its own in its translation already. */
static bool loops(const struct block *b)
{
    u64 target = b->hot_lin + (u64)b->insn[b->n - 1].disp;
    return branches(b) && (b->key & KEY_64 ? target : (u32)target) == b->hot_lin;
}

static bool may(const struct bt *t, const struct block *b)
{
    return !loops(b) && !t->cfg.unlinked && !t->cfg.helpers && !t->full && b->samples != DONE &&
           !b->super && !bt_segmented(b->key) && b->page[0] && b->page[0]->kills <= REWRITTEN &&
           b->hot && b->cost != BLOCK_DEAD && !b->cross;
}

static bool room(const struct bt *t)
{
    return (u64)(t->a.end - t->a.p) > MIN((u64)ROOM, t->size / 2) && t->n_supers < MAX_SUPERS &&
           t->n_faults < MAX_FAULTS / 8 * 7 && t->n_edges < MAX_EDGES / 8 * 7 &&
           t->n_costs < MAX_COSTS / 8 * 7;
}

/* Where b leads to: [0] when its branch is not taken, or there is none; [1] when it is. */
static void ways(struct cpu *c, const struct block *b, struct block *to[2])
{
    const struct insn *i = &b->insn[b->n - 1];
    u64 mask = b->key & KEY_64 ? ~0ull : 0xffffffff;
    u64 on = (b->hot_lin + i->off + i->len) & mask, rel = (b->hot_lin + (u64)i->disp) & mask;
    bool direct = (i->row == INSN_JMP || i->row == INSN_CALL) && i->kind[0] == OP_REL;
    to[0] = to[1] = NULL;
    if (branches(b)) {
        to[0] = block_hot_near(c, b, on);
        to[1] = block_hot_near(c, b, rel);
    } else if (direct) {
        to[0] = block_hot_near(c, b, rel);
    } else if (!(i->flags & (INF_EXIT | INF_BRANCH))) {
        to[0] = block_hot_near(c, b, on);
    }
}

/* b counts from now on. There are counters for so many branches at a time; one that is long in use
 * goes to the next branch, and whoever else still counts there makes its counts a little less
 * true. */
static void probe(struct cpu *c, struct block *b)
{
    struct bt *t = bt_of(c);
    if (b->probe || b->super || loops(b) || !branches(b) || !room(t))
        return;
    b->probe = (u16)(1 + t->n_probes++ % (BT_PROBES - 1));
    c->bt_probes[b->probe][0] = c->bt_probes[b->probe][1] = 0;
    if (!bt_translate_again(c, b))
        b->probe = 0;
}

static void probe_around(struct cpu *c, struct block *b)
{
    struct block *list[NEIGHBOURS] = {b};
    int n = 1;
    for (int k = 0; k < n; k++) {
        struct block *to[2];
        ways(c, list[k], to);
        probe(c, list[k]);
        for (int j = 0; j < 2; j++) {
            bool known = !to[j];
            for (int m = 0; m < n && !known; m++)
                known = list[m] == to[j];
            if (!known && n < NEIGHBOURS)
                list[n++] = to[j];
        }
    }
}

enum guess { GUESS_COUNTED, GUESS_ANY };

/* Where b leads to mostly; NULL: nowhere here. *wait: it is not known yet. */
static struct block *mostly(struct cpu *c, struct block *b, enum guess how, bool *wait)
{
    struct block *to[2];
    if (b->super)
        return b->super->part[1]->cost == BLOCK_DEAD ? NULL : b->super->part[1];
    ways(c, b, to);
    if (!branches(b))
        return to[0];
    if (how == GUESS_ANY)
        return to[0] && to[1] ? to[b->hot_lin >> 2 & 1] : to[0] ? to[0] : to[1];
    u32 on = c->bt_probes[b->probe][0], taken = c->bt_probes[b->probe][1];
    if (!b->probe || (u64)on + taken < PROBED) {
        probe(c, b);
        *wait = true;
        return NULL;
    }
    return to[taken > on];
}

/* False: it is not known yet. */
static bool choose(struct cpu *c, struct block *b, enum guess how, struct superblock *s)
{
    u32 insns = 0;
    for (s->n = 0;;) {
        bool wait = false;
        s->part[s->n++] = b;
        insns += b->n;
        if (s->n == SUPER_PARTS)
            return true;
        b = mostly(c, b, how, &wait);
        if (wait)
            return false;
        if (!b || loops(b) || insns + b->n > SUPER_INSNS)
            return true;
        for (u32 k = 0; k < s->n; k++)
            if (s->part[k] == b)
                return true;
    }
}

static void build(struct cpu *c, struct block *head, const struct superblock *s)
{
    struct bt *t = bt_of(c);
    u16 probed = head->probe;
    head->samples = DONE;
    head->probe = 0;
    if (s->n > 1) {
        head->super = &t->supers[t->n_supers++];
        *head->super = *s;
    } else if (!probed) {
        return;
    }
    if (!bt_translate_again(c, head)) {
        head->super = NULL;
        head->probe = probed;
        return;
    }
    for (u32 k = 1; k < s->n; k++)
        s->part[k]->inlined_by = head;
    unlink_edges_to(t, head); /* they are linked anew, past the old code */
}

void super_sample(struct cpu *c, struct block *b)
{
    struct superblock s;
    if (!may(bt_of(c), b) || ++b->samples < SAMPLES || !room(bt_of(c)))
        return;
    if (b->samples == SAMPLES)
        probe_around(c, b);
    else if (choose(c, b, GUESS_COUNTED, &s))
        build(c, b, &s);
    else if (b->samples == GIVE_UP)
        build(c, b, &(struct superblock){.n = 1});
}

void super_eager(struct cpu *c, struct block *b)
{
    struct superblock s;
    if (!may(bt_of(c), b) || !room(bt_of(c)))
        return;
    choose(c, b, GUESS_ANY, &s);
    if (s.n > 1)
        build(c, b, &s);
}

void super_undo(struct cpu *c, struct block *head)
{
    if (head->cost == BLOCK_DEAD || !head->super)
        return;
    head->super = NULL;
    bt_translate_again(c, head);
}
