/*
 * frontends/trace/diff.c - `trivisor trace diff`: where two runs part.
 *
 * Compared item by item: address, mode and bytes of each block, how much of it ran, and each event
 * with its values. The blocks' numbers and the chunks do not matter.
 */
#include "frontends/trace/trace_priv.h"
#include "base/log.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_CONTEXT = 1000, AFTER = 8 };

/* Positions of the last items that were the same in both. */
struct history {
    u64 at[MAX_CONTEXT];
    u64 n;
};

static bool same_events(const struct trace_item *a, const struct trace_item *b)
{
    if (a->n_events != b->n_events)
        return false;
    for (u32 k = 0; k < a->n_events; k++) {
        const struct vm_trace_event *x = &a->events[k], *y = &b->events[k];
        if (x->kind != y->kind || x->at != y->at || x->a != y->a || x->b != y->b || x->c != y->c)
            return false;
    }
    return true;
}

static bool same_block(const struct vm_trace_block *a, const struct vm_trace_block *b)
{
    return a->lin == b->lin && a->rip == b->rip && a->cs == b->cs && a->bits == b->bits &&
           a->user == b->user && a->n == b->n && a->len == b->len &&
           !memcmp(a->bytes, b->bytes, a->len);
}

static bool same(const struct trace_item *a, const struct trace_item *b)
{
    if (a->at != b->at || a->gap != b->gap || a->done != b->done || !a->block != !b->block)
        return false;
    return (!a->block || same_block(a->block, b->block)) && same_events(a, b);
}

static const char *difference(const struct trace_item *a, const struct trace_item *b)
{
    if (a->at != b->at)
        return "the traces begin at different counts";
    if (!a->block != !b->block)
        return "an event in one of them";
    if (a->block && (a->block->lin != b->block->lin || a->block->rip != b->block->rip))
        return "different addresses";
    if (a->block && !same_block(a->block, b->block))
        return "different code at the same address";
    if (!same_events(a, b))
        return "different events";
    return "one of them was interrupted";
}

/* How many of an item's first instructions both executed alike. Only bytes tell where one ends. */
static u32 agreed(const struct trace_item *a, const struct trace_item *b,
                  const struct trace_disasm *dis)
{
    if (a->at != b->at || !a->block || !b->block)
        return 0;
    const struct vm_trace_block *x = a->block, *y = b->block;
    if (x->lin != y->lin || x->rip != y->rip || x->cs != y->cs || x->bits != y->bits ||
        x->user != y->user)
        return 0;
    u32 most = MIN(a->done, b->done), n = 0;
    for (u32 k = 0; k < a->n_events || k < b->n_events; k++) {
        const struct vm_trace_event *e = k < a->n_events ? &a->events[k] : NULL;
        const struct vm_trace_event *f = k < b->n_events ? &b->events[k] : NULL;
        if (!e || !f || e->kind != f->kind || e->at != f->at || e->a != f->a || e->b != f->b ||
            e->c != f->c) {
            most = MIN(most, MIN(e ? e->at : most, f ? f->at : most));
            break;
        }
    }
    for (u32 off = 0, len; n < most; n++, off += len) {
        char name[DISASM_TEXT];
        u32 left = MIN(x->len, y->len) - off;
        len = (u32)disasm_name(trace_disasm(dis, x->bits), x->bytes + off, left, x->rip + off, name,
                               sizeof(name));
        if (!len || len > left || memcmp(x->bytes + off, y->bytes + off, len))
            break;
    }
    return n;
}

/* Where instruction n of an item's block begins, after its start. */
static u32 offset_of(const struct trace_item *it, u32 n, const struct trace_disasm *dis)
{
    const struct vm_trace_block *b = it->block;
    char name[DISASM_TEXT];
    u32 off = 0;
    for (int len = 1; n && len && off < b->len; n--, off += (u32)len)
        len = disasm_name(trace_disasm(dis, b->bits), b->bytes + off, b->len - off, b->rip + off,
                          name, sizeof(name));
    return off;
}

static enum status print_from(const char *file, const char *mark, u64 at, u64 lines,
                              const struct trace_disasm *dis, const struct symbols *syms,
                              struct error *err)
{
    struct trace_reader *r;
    struct trace_item it;
    enum status st = trace_open(file, &r, err);
    if (st)
        return st;
    st = trace_seek(r, at, err);
    while (!st && lines && trace_next(r, &it, &st, err))
        if (it.at + (it.block ? it.done : 1) > at) {
            u64 before = lines;
            trace_print_item(stdout, mark, &it, at, &lines, dis, syms);
            lines -= before == lines; /* an event is a line too */
        }
    trace_close(r);
    return st;
}

static enum status report(const char *const files[2], struct trace_reader *const r[2],
                          const struct trace_item it[2], bool have[2], const struct history *h,
                          u64 context, const struct symbols *syms, struct error *err)
{
    struct trace_disasm dis = {{0}};
    char name[300];
    u64 begin = have[0] ? it[0].at : it[1].at;
    if (!trace_disasm_open(&dis, false)) {
        trace_disasm_close(&dis);
        return fail(err, ST_NOMEM, "out of memory");
    }
    enum status st = ST_OK;
    u32 n = have[0] && have[1] ? agreed(&it[0], &it[1], &dis) : 0;
    u64 at = begin + n;
    const char *what = "one of them ends";
    if (have[0] && have[1])
        what = difference(&it[0], &it[1]);
    /* the end of a run need not be the end of a block */
    for (int k = 0; !st && n && k < 2; k++) {
        struct trace_item more;
        if (n == it[k].done && it[!k].done > n && !trace_next(r[k], &more, &st, err)) {
            have[k] = false;
            what = "one of them ends";
        }
    }
    if (st) {
        trace_disasm_close(&dis);
        return st;
    }
    printf("the traces part after %" PRIu64 " instructions: %s\n", at, what);
    for (int k = 0; k < 2; k++) {
        if (!have[k])
            printf("  %s: ends\n", files[k]);
        else if (it[k].block) {
            u64 lin = it[k].block->lin + offset_of(&it[k], (u32)(at - begin), &dis);
            printf("  %s: at %016" PRIx64 " %s\n", files[k], lin,
                   symbols_text(syms, lin, name, sizeof(name)));
        } else if (it[k].n_events) {
            trace_event_text(&it[k].events[0], name, sizeof(name));
            printf("  %s: %s\n", files[k], name);
        }
    }
    u64 from = begin;
    for (u64 k = 1; k <= MIN(h->n, (u64)MAX_CONTEXT) && at - from < context; k++)
        from = h->at[(h->n - k) % MAX_CONTEXT];
    from = MAX(from, at - MIN(context, at));
    if (at > from) {
        printf("\nthe last %" PRIu64 " instructions of both\n", at - from);
        st = print_from(files[0], "  ", from, at - from, &dis, syms, err);
    }
    for (int k = 0; !st && k < 2; k++) {
        printf("\nthen %s\n", files[k]);
        if (have[k])
            st = print_from(files[k], k ? "+ " : "- ", MAX(at, it[k].at), AFTER, &dis, syms, err);
    }
    trace_disasm_close(&dis);
    return st;
}

int trace_diff(int argc, char **argv)
{
    u64 context = 10;
    const struct trace_file_option opts[] = {{"context", &context}};
    const char *files[2];
    struct symbols *syms;
    struct trace_reader *r[2] = {NULL, NULL};
    struct trace_item it[2];
    bool have[2] = {true, true};
    struct history *h = calloc(1, sizeof(*h));
    struct error err = {{0}};
    bool differ = false;
    enum status st = trace_file_options(argc, argv, opts, 1, files, 2, &syms, &err);
    if (!st && !h)
        st = fail(&err, ST_NOMEM, "out of memory");
    for (int k = 0; !st && k < 2; k++)
        st = trace_open(files[k], &r[k], &err);
    while (!st && !differ && have[0]) {
        for (int k = 0; !st && k < 2; k++)
            have[k] = trace_next(r[k], &it[k], &st, &err);
        if (st || (!have[0] && !have[1]))
            break;
        differ = have[0] != have[1] || !same(&it[0], &it[1]);
        if (!differ)
            h->at[h->n++ % MAX_CONTEXT] = it[0].at;
    }
    if (!st && differ)
        st = report(files, r, it, have, h, MIN(context, (u64)MAX_CONTEXT), syms, &err);
    else if (!st)
        printf("the traces are the same: %" PRIu64 " instructions\n", trace_info(r[0])->insns);
    int status = st ? trace_complain(st, &err) : differ ? 1 : 0;
    for (int k = 0; k < 2; k++)
        trace_close(r[k]);
    symbols_free(syms);
    free(h);
    return status;
}
