/*
 * frontends/trace/stacks.c - see stacks.h.
 */
#include "frontends/trace/stacks.h"
#include "frontends/trace/flame.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { REGIONS = 1024, DEPTH = 96, MAX_LINE = 8192, MAX_STACKS = 1 << 20 };

struct frame {
    u64 sp, lin;
};
struct region {
    u64 key;
    int n;
    struct frame f[DEPTH];
};

struct stacks {
    const struct symbols *syms;
    struct region regions[REGIONS];
    struct flame_line *lines; /* open addressing while collecting */
    u32 room, n;
    u64 total;
    char text[MAX_LINE];
};

struct stacks *stacks_new(const struct symbols *syms)
{
    struct stacks *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->syms = syms;
    s->room = 1 << 14;
    s->lines = calloc(s->room, sizeof(*s->lines));
    if (!s->lines) {
        free(s);
        return NULL;
    }
    return s;
}

void stacks_free(struct stacks *s)
{
    if (!s)
        return;
    for (u32 k = 0; k < s->room; k++)
        free(s->lines[k].text);
    free(s->lines);
    free(s);
}

static struct region *region_of(struct stacks *s, const struct vm_trace_regs *r)
{
    u64 key = r->cpl == 3 ? (r->gpr[4] >> 20) ^ (r->cr3 << 8) : r->gpr[4] >> 14;
    key |= 1ull << 63;
    struct region *g = &s->regions[(key * 0x9e3779b97f4a7c15ull) >> 54];
    if (g->key != key) {
        g->key = key;
        g->n = 0;
    }
    return g;
}

void stacks_call(struct stacks *s, const struct vm_trace_regs *r, u64 lin)
{
    struct region *g = region_of(s, r);
    while (g->n && g->f[g->n - 1].sp <= r->gpr[4])
        g->n--;
    if (g->n == DEPTH) { /* recursion: the outer half is kept */
        g->n = DEPTH / 2;
    }
    g->f[g->n++] = (struct frame){r->gpr[4], lin};
}

/* ---- names ---------------------------------------------------------------------------------- */
static const char *name_of(const struct stacks *s, const struct vm_trace_regs *r, u64 lin)
{
    const char *name = s->syms ? symbols_at(s->syms, lin, NULL) : NULL;
    if (name)
        return name;
    return r->cpl == 3     ? "[user]"
           : r->bits == 16 ? "[16-bit code]"
           : r->bits == 32 ? "[32-bit code]"
           : lin >> 47     ? "[kernel]"
                           : "[early code]";
}

/* Frames with the same name in a row are one. */
static size_t append(struct stacks *s, size_t len, const char *name, const char **last)
{
    if (*last && !strcmp(*last, name))
        return len;
    *last = name;
    int n = snprintf(s->text + len, MAX_LINE - len, "%s%s", len ? ";" : "", name);
    return MIN(len + (size_t)n, (size_t)MAX_LINE - 1);
}

static u32 hash_text(const char *p)
{
    u32 h = 2166136261u;
    for (; *p; p++)
        h = (h ^ (u8)*p) * 16777619u;
    return h;
}

static struct flame_line *slot(struct flame_line *lines, u32 room, const char *text)
{
    u32 k = hash_text(text) & (room - 1);
    while (lines[k].text && strcmp(lines[k].text, text))
        k = (k + 1) & (room - 1);
    return &lines[k];
}

static bool grow(struct stacks *s)
{
    struct flame_line *p = calloc(s->room * 2, sizeof(*p));
    if (!p)
        return false;
    for (u32 k = 0; k < s->room; k++)
        if (s->lines[k].text)
            *slot(p, s->room * 2, s->lines[k].text) = s->lines[k];
    free(s->lines);
    s->lines = p;
    s->room *= 2;
    return true;
}

void stacks_sample(struct stacks *s, const struct vm_trace_regs *r, u64 lin, u64 weight)
{
    struct region *g = region_of(s, r);
    const char *last = NULL;
    size_t len = append(s, 0, r->cpl == 3 ? "user" : "system", &last);
    while (g->n && g->f[g->n - 1].sp < r->gpr[4])
        g->n--;
    for (int k = 0; k < g->n; k++)
        len = append(s, len, name_of(s, r, g->f[k].lin), &last);
    append(s, len, name_of(s, r, lin), &last);
    s->total += weight;
    struct flame_line *l = slot(s->lines, s->room, s->text);
    if (!l->text) {
        if (s->n >= MAX_STACKS || (s->n * 2 >= s->room && !grow(s)))
            return;
        l = slot(s->lines, s->room, s->text);
        l->text = strdup(s->text);
        if (!l->text)
            return;
        s->n++;
    }
    l->weight += weight;
}

u64 stacks_total(const struct stacks *s)
{
    return s->total;
}

/* ---- writing -------------------------------------------------------------------------------- */
static int by_text(const void *a, const void *b)
{
    const struct flame_line *x = a, *y = b;
    if (!x->text || !y->text)
        return !x->text - !y->text;
    return strcmp(x->text, y->text);
}

/* Packed to the front and sorted: no sample after that. */
static void sort(struct stacks *s)
{
    qsort(s->lines, s->room, sizeof(*s->lines), by_text);
}

void stacks_write_folded(struct stacks *s, FILE *f)
{
    sort(s);
    for (u32 k = 0; k < s->n; k++)
        fprintf(f, "%s %" PRIu64 "\n", s->lines[k].text, s->lines[k].weight);
}

bool stacks_write_svg(struct stacks *s, FILE *f, const char *title)
{
    sort(s);
    return flame_write(f, title, s->lines, s->n);
}

static int by_weight(const void *a, const void *b)
{
    const struct flame_line *x = a, *y = b;
    if (x->weight != y->weight)
        return x->weight < y->weight ? 1 : -1;
    return strcmp(x->text, y->text);
}

void stacks_print_top(struct stacks *s, FILE *f, int n)
{
    u32 room = s->room, used = 0;
    struct flame_line *leaf = calloc(room, sizeof(*leaf));
    if (!leaf)
        return;
    for (u32 k = 0; k < s->room; k++) {
        if (!s->lines[k].text)
            continue;
        const char *name = strrchr(s->lines[k].text, ';');
        struct flame_line *l = slot(leaf, room, name ? name + 1 : s->lines[k].text);
        if (!l->text)
            l->text = (char *)(uintptr_t)(name ? name + 1 : s->lines[k].text);
        l->weight += s->lines[k].weight;
    }
    for (u32 k = 0; k < room; k++)
        if (leaf[k].text)
            leaf[used++] = leaf[k];
    qsort(leaf, used, sizeof(*leaf), by_weight);
    for (u32 k = 0; k < MIN(used, (u32)n); k++)
        fprintf(f, "  %-40s %5.1f %%\n", leaf[k].text,
                100.0 * (double)leaf[k].weight / (double)MAX(s->total, (u64)1));
    free(leaf);
}
