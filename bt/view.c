/*
 * bt/view.c - those who look at translations: one block kept for people, and files for `perf`.
 *
 * block.c notes where each instruction's host code begins only while somebody looks (t->view). A
 * kept block is a copy from when it was translated: killing it or emptying the cache does not
 * change it, nor does linking its edges.
 */
#include "bt/bt_priv.h"
#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { MAX_MARKS = MAX_COLD + 6 * SUPER_INSNS + 8 * SUPER_PARTS };

struct view {
    struct perf_file *map, *dump;
    bool watching;
    u64 watch; /* linear address */
    struct bt_view kept;
    u8 *guest, *code; /* kept's own */
    struct bt_mark *marks;
    u32 n;
    struct bt_mark now[MAX_MARKS]; /* the block being translated; .at counts from rw */
};

static enum status make(struct bt *t, struct error *err)
{
    if (!t->view)
        t->view = calloc(1, sizeof(*t->view));
    return t->view ? ST_OK : fail(err, ST_NOMEM, "out of memory for the view of blocks");
}

enum status view_init(struct bt *t, struct error *err)
{
    enum status st = ST_OK;
    if (t->cfg.perfmap || t->cfg.jitdump)
        st = make(t, err);
    if (st == ST_OK && t->cfg.perfmap && !(t->view->map = perfmap_open(err)))
        st = ST_IO;
    if (st == ST_OK && t->cfg.jitdump && !(t->view->dump = jitdump_open(err)))
        st = ST_IO;
    return st;
}

static void drop(struct view *v)
{
    free(v->guest);
    free(v->code);
    free(v->marks);
    v->guest = v->code = NULL;
    v->marks = NULL;
}

void view_fini(struct bt *t)
{
    struct view *v = t->view;
    if (!v)
        return;
    perf_close(v->map);
    perf_close(v->dump);
    drop(v);
    free(v);
    t->view = NULL;
}

/* The files have the parent's process in their names. */
void view_forked(struct bt *t)
{
    if (!t->view)
        return;
    perf_close(t->view->map);
    perf_close(t->view->dump);
    t->view->map = t->view->dump = NULL;
}

void view_note(struct xl *x, enum bt_part part, int k)
{
    struct view *v = x->t->view;
    bool insn = part == BT_PART_INSN || part == BT_PART_COLD;
    if (part == BT_PART_ENTRY)
        v->n = 0;
    if (v->n < MAX_MARKS)
        v->now[v->n++] = (struct bt_mark){.at = (u32)(x->a->p - x->t->rw),
                                          .insn = (u16)k,
                                          .part = (u16)part,
                                          .lin = x->lin + (insn ? x->b->insn[k].off : 0)};
}

static void *copy(const void *from, size_t n)
{
    void *to = malloc(n);
    if (to)
        memcpy(to, from, n);
    return to;
}

static u32 bytes_of(const struct block *b)
{
    const struct insn *last = &b->insn[b->n - 1];
    return last->off + (u32)last->len;
}

static void keep(struct xl *x, const u8 *start)
{
    struct bt *t = x->t;
    struct view *v = t->view;
    const struct block *b = x->b;
    u64 low = x->lin, high = low + bytes_of(b), times = v->kept.times + 1;
    u32 code_bytes = (u32)(t->a.p - start), insns = 0;
    bool covers = false;

    for (int n = 0; n < x->n_parts; n++) {
        u64 lin = n ? x->part[n]->hot_lin : x->lin;
        covers |= v->watch - lin < bytes_of(x->part[n]);
        low = MIN(low, lin);
        high = MAX(high, lin + bytes_of(x->part[n]));
        insns += x->part[n]->n;
    }
    if (!covers)
        return;
    if (v->kept.lin == v->watch && v->kept.n && x->lin != v->watch) {
        v->kept.times = times;
        return;
    }
    drop(v);
    u8 across[15];
    const u8 *bytes = bytes_of_block(x->cpu, b, across);
    v->guest = copy(bytes + (i64)(low - x->lin), high - low);
    v->code = copy(start, code_bytes);
    v->marks = copy(v->now, v->n * sizeof(*v->now));
    if (!v->guest || !v->code || !v->marks) {
        drop(v);
        v->kept = (struct bt_view){.times = times};
        return;
    }
    for (u32 k = 0; k < v->n; k++)
        v->marks[k].at -= (u32)(start - t->rw);
    v->kept = (struct bt_view){.lin = x->lin,
                               .guest_lin = low,
                               .key = b->key,
                               .n = insns,
                               .times = times,
                               .host = (u64)(uintptr_t)(start + t->to_rx),
                               .guest = v->guest,
                               .code = v->code,
                               .guest_bytes = (u32)(high - low),
                               .code_bytes = code_bytes,
                               .n_marks = v->n,
                               .marks = v->marks};
}

void view_block(struct xl *x, const u8 *start)
{
    struct bt *t = x->t;
    struct view *v = t->view;
    if (v->map || v->dump) {
        char name[64];
        u64 size = (u64)(t->a.p - start);
        int n = snprintf(name, sizeof(name), "guest:%d:%s:%" PRIx64, x->bits64 ? 64 : 32,
                         x->b->key & KEY_USER ? "user" : "kernel", x->lin);
        if (x->n_parts > 1)
            snprintf(name + n, sizeof(name) - (size_t)n, "+%d", x->n_parts - 1);
        if (v->map)
            perf_add(v->map, start + t->to_rx, start, size, name);
        if (v->dump)
            perf_add(v->dump, start + t->to_rx, start, size, name);
    }
    if (v->watching)
        keep(x, start);
}

enum status bt_watch(struct cpu *cpu, u64 lin, struct error *err)
{
    struct bt *t = bt_of(cpu);
    enum status st = make(t, err);
    if (st != ST_OK)
        return st;
    drop(t->view);
    t->view->kept = (struct bt_view){0};
    t->view->watching = true;
    t->view->watch = lin;
    return ST_OK;
}

bool bt_watched(const struct cpu *cpu, struct bt_view *out)
{
    const struct bt *t = cpu->engine_ctx;
    if (!t || !t->view || !t->view->kept.n)
        return false;
    *out = t->view->kept;
    return true;
}
