/*
 * frontends/trace/stat.c - `trivisor trace stat`: what is in a binary trace, in numbers.
 */
#include "frontends/trace/trace_priv.h"
#include "base/log.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { TOP = 15 };

struct block_count {
    struct vm_trace_block b; /* bytes: our copy */
    u64 full;                /* times it ran to its end */
    u64 insns;
};

struct counts {
    struct block_count *blocks;
    u32 n, room;
    struct trace_mix mix;
    struct trace_disasm dis;
    u64 kinds[VM_TRACE_KINDS], vectors[256], left_out, user, bits[3], insns, entries;
};

void trace_mix_add(struct trace_mix *m, struct disasm *d, const struct vm_trace_block *b, u32 done,
                   u64 times)
{
    u32 off = 0;
    for (u32 k = 0; k < done && off < b->len; k++) {
        char name[DISASM_TEXT];
        int len = disasm_name(d, b->bytes + off, b->len - off, b->rip + off, name, sizeof(name));
        int at = 0;
        name[sizeof(m->list[0].name) - 1] = 0;
        while (at < m->n && strcmp(m->list[at].name, name))
            at++;
        if (at == m->n) {
            if (m->n == TRACE_MIX_MAX)
                return;
            snprintf(m->list[m->n++].name, sizeof(m->list[0].name), "%.23s", name);
        }
        m->list[at].n += times;
        if (!len)
            return;
        off += (u32)len;
    }
}

static int by_count(const void *a, const void *b)
{
    const struct trace_mix_entry *x = a, *y = b;
    if (x->n != y->n)
        return x->n < y->n ? 1 : -1;
    return strcmp(x->name, y->name);
}

void trace_mix_print(FILE *f, struct trace_mix *m, int top)
{
    u64 all = 0;
    qsort(m->list, (size_t)m->n, sizeof(m->list[0]), by_count);
    for (int k = 0; k < m->n; k++)
        all += m->list[k].n;
    for (int k = 0; k < MIN(top, m->n); k++)
        fprintf(f, "  %-12s %14" PRIu64 " %5.1f %%\n", m->list[k].name, m->list[k].n,
                100.0 * (double)m->list[k].n / (double)MAX(all, (u64)1));
}

static bool same(const struct vm_trace_block *a, const struct vm_trace_block *b)
{
    return a->lin == b->lin && a->phys == b->phys && a->n == b->n && a->len == b->len &&
           a->bits == b->bits && !memcmp(a->bytes, b->bytes, a->len);
}

static void flush(struct counts *c, struct block_count *k)
{
    if (k->full)
        trace_mix_add(&c->mix, trace_disasm(&c->dis, k->b.bits), &k->b, k->b.n, k->full);
    k->full = 0;
}

static struct block_count *count_of(struct counts *c, u32 id, const struct vm_trace_block *b)
{
    if (id >= c->room) {
        u32 room = MAX(c->room * 2, id + 1024);
        struct block_count *p = realloc(c->blocks, room * sizeof(*p));
        if (!p)
            return NULL;
        memset(p + c->room, 0, (room - c->room) * sizeof(*p));
        c->blocks = p;
        c->room = room;
    }
    struct block_count *k = &c->blocks[id];
    c->n = MAX(c->n, id + 1);
    if (k->b.bytes && same(&k->b, b))
        return k;
    if (k->b.bytes) { /* numbers were given anew */
        flush(c, k);
        free((void *)(uintptr_t)k->b.bytes);
    }
    *k = (struct block_count){.b = *b};
    u8 *copy = malloc(b->len);
    if (!copy)
        return NULL;
    memcpy(copy, b->bytes, b->len);
    k->b.bytes = copy;
    return k;
}

static bool add_item(struct counts *c, const struct trace_item *it)
{
    for (u32 k = 0; k < it->n_events; k++) {
        c->kinds[it->events[k].kind]++;
        if (it->events[k].kind == VM_TRACE_EXCEPTION)
            c->vectors[it->events[k].a & 255]++;
    }
    c->left_out += it->gap;
    const struct vm_trace_block *b = it->block;
    if (!b) {
        c->insns += it->n_events && vm_trace_ticks(it->events[0].kind);
        return true;
    }
    struct block_count *k = count_of(c, it->id, b);
    if (!k)
        return false;
    k->insns += it->done;
    if (it->done == b->n)
        k->full++;
    else
        trace_mix_add(&c->mix, trace_disasm(&c->dis, b->bits), b, it->done, 1);
    c->entries++;
    c->insns += it->done;
    c->user += b->user ? it->done : 0;
    c->bits[b->bits == 64 ? 2 : b->bits == 32] += it->done;
    return true;
}

static int by_insns(const void *a, const void *b)
{
    const struct block_count *x = a, *y = b;
    if (x->insns != y->insns)
        return x->insns < y->insns ? 1 : -1;
    return x->b.lin < y->b.lin ? -1 : x->b.lin > y->b.lin;
}

static void print(struct counts *c, const struct trace_info *i, const struct symbols *syms)
{
    char name[300];
    double n = (double)MAX(c->insns, (u64)1);
    printf("instructions      %14" PRIu64 "   (%" PRIu64 " to %" PRIu64 ")\n", c->insns, i->first,
           i->last);
    printf("blocks            %14u   %.1f instructions an entry\n", i->blocks,
           n / (double)MAX(c->entries, (u64)1));
    printf("bytes             %14" PRIu64 "   %.4f an instruction\n", i->bytes,
           (double)i->bytes / n);
    printf("user mode         %14" PRIu64 " %5.1f %%\n", c->user, 100.0 * (double)c->user / n);
    for (int k = 0; k < 3; k++)
        if (c->bits[k])
            printf("%d-bit code       %14" PRIu64 " %5.1f %%\n", 16 << k, c->bits[k],
                   100.0 * (double)c->bits[k] / n);
    if (c->left_out)
        printf("left out          %14" PRIu64 "\n", c->left_out);
    printf("\nevents\n");
    for (int k = 0; k < VM_TRACE_KINDS; k++)
        if (c->kinds[k])
            printf("  %-12s %14" PRIu64 "\n", trace_kind_name(k), c->kinds[k]);
    for (int k = 0; k < 256; k++)
        if (c->vectors[k])
            printf("    exception %-3d %13" PRIu64 "\n", k, c->vectors[k]);
    printf("\ninstruction mix\n");
    trace_mix_print(stdout, &c->mix, TOP);
    printf("\ntop blocks\n");
    for (u32 k = 0; k < MIN(c->n, (u32)TOP); k++) {
        const struct block_count *b = &c->blocks[k];
        if (b->insns)
            printf("  %016" PRIx64 " %14" PRIu64 " %5.1f %%  %s\n", b->b.lin, b->insns,
                   100.0 * (double)b->insns / n, symbols_text(syms, b->b.lin, name, sizeof(name)));
    }
}

int trace_stat(int argc, char **argv)
{
    const char *file;
    struct symbols *syms;
    struct trace_reader *r = NULL;
    struct counts *c = calloc(1, sizeof(*c));
    struct trace_item it;
    struct error err = {{0}};
    enum status st = trace_file_options(argc, argv, NULL, 0, &file, 1, &syms, &err);
    if (!st)
        st = trace_open(file, &r, &err);
    if (!st && (!c || !trace_disasm_open(&c->dis, false)))
        st = fail(&err, ST_NOMEM, "out of memory");
    while (!st && trace_next(r, &it, &st, &err))
        if (!add_item(c, &it))
            st = fail(&err, ST_NOMEM, "out of memory");
    int status = 0;
    if (st) {
        status = trace_complain(st, &err);
    } else {
        for (u32 k = 0; k < c->n; k++)
            flush(c, &c->blocks[k]);
        if (c->n)
            qsort(c->blocks, c->n, sizeof(*c->blocks), by_insns);
        print(c, trace_info(r), syms);
        if (trace_info(r)->cut_short)
            log_warn("%s has no index: the run did not end properly, or the file was cut", file);
    }
    for (u32 k = 0; c && k < c->n; k++)
        free((void *)(uintptr_t)c->blocks[k].b.bytes);
    if (c) {
        free(c->blocks);
        trace_disasm_close(&c->dis);
    }
    free(c);
    trace_close(r);
    symbols_free(syms);
    return status;
}
