/*
 * frontends/trace/control.c - see control.h.
 */
#include "frontends/trace/control.h"
#include "frontends/cli_priv.h"
#include "base/log.h"

#include <stdlib.h>
#include <string.h>

#define CR3_BASE 0x000ffffffffff000ull

struct def {
    struct vm_trace_block b;
    u32 out; /* the sink's number + 1; 0: it does not know it */
};

struct trace_control {
    struct vm *vm;
    struct trace_what what;
    struct trace_sink sink;
    bool started, stopped;
    bool recording; /* the block entered last */
    u64 gap;
    u32 last_n, outs;
    struct def *defs;
    u32 room;
};

/* ---- words ---------------------------------------------------------------------------------- */
static enum status no_symbols(const char *text, const struct symbols *syms, struct error *err)
{
    if (!syms || !symbols_count(syms))
        return fail(err, ST_INVAL, "'%s': needs symbols (--syms FILE)", text);
    return fail(err, ST_INVAL, "'%s': no such symbol", text);
}

static enum status number(const char *text, const char *digits, u64 max, u64 *v, struct error *err)
{
    if (!parse_number(digits, max, v))
        return fail(err, ST_INVAL, "'%s': '%s' is no number (or too large)", text, digits);
    return ST_OK;
}

enum status trace_cond_parse(const char *text, const struct symbols *syms, struct trace_cond *c,
                             struct error *err)
{
    const char *arg = strchr(text, ':');
    size_t n = arg ? (size_t)(arg++ - text) : strlen(text);
    if (n == 15 && !memcmp(text, "first-exception", n) && !arg) {
        c->kind = COND_EXCEPTION;
        return ST_OK;
    }
    if (n == 3 && !memcmp(text, "sym", n) && arg) {
        c->kind = COND_ADDR;
        return syms && symbols_find(syms, arg, &c->value) ? ST_OK : no_symbols(text, syms, err);
    }
    static const struct {
        const char *name;
        enum trace_cond_kind kind;
        u64 max;
    } kinds[] = {{"addr", COND_ADDR, ~0ull},
                 {"count", COND_COUNT, ~0ull >> 1},
                 {"cpl", COND_CPL, 3},
                 {"cr3", COND_CR3, ~0ull}};
    for (size_t k = 0; arg && k < ARRAY_LEN(kinds); k++) {
        if (strlen(kinds[k].name) == n && !memcmp(text, kinds[k].name, n)) {
            c->kind = kinds[k].kind;
            return number(text, arg, kinds[k].max, &c->value, err);
        }
    }
    return fail(err, ST_INVAL,
                "'%s': conditions are addr:X, count:N, sym:NAME, cpl:N, cr3:X, first-exception",
                text);
}

enum status trace_filter_parse(const char *text, const struct symbols *syms, struct trace_filter *f,
                               struct error *err)
{
    char low[32];
    const char *dash;
    if (!strcmp(text, "user") || !strcmp(text, "kernel")) {
        f->kind = *text == 'u' ? FILTER_USER : FILTER_KERNEL;
        return ST_OK;
    }
    if (!strncmp(text, "sym:", 4)) {
        f->kind = FILTER_ADDR;
        return syms && symbols_range(syms, text + 4, &f->from, &f->to)
                   ? ST_OK
                   : no_symbols(text, syms, err);
    }
    if (!strncmp(text, "cr3:", 4)) {
        f->kind = FILTER_CR3;
        return number(text, text + 4, ~0ull, &f->from, err);
    }
    dash = strchr(text, '-');
    if (!strncmp(text, "addr:", 5) && dash && (size_t)(dash - text - 5) < sizeof(low)) {
        f->kind = FILTER_ADDR;
        snprintf(low, sizeof(low), "%.*s", (int)(dash - text - 5), text + 5);
        enum status st = number(text, low, ~0ull, &f->from, err);
        if (!st)
            st = number(text, dash + 1, ~0ull, &f->to, err);
        if (!st && f->to <= f->from)
            st = fail(err, ST_INVAL, "'%s': nothing is between", text);
        return st;
    }
    return fail(err, ST_INVAL, "'%s': filters are user, kernel, addr:LO-HI, sym:NAME, cr3:X", text);
}

/* ---- following ------------------------------------------------------------------------------ */
static bool holds(const struct trace_control *c, const struct trace_cond *k, u32 id)
{
    struct vm_trace_regs r;
    switch (k->kind) {
    case COND_ADDR:
        return c->defs[id].b.lin == k->value || c->defs[id].b.rip == k->value;
    case COND_CPL:
        vm_trace_get(c->vm, &r);
        return r.cpl == k->value;
    case COND_CR3:
        vm_trace_get(c->vm, &r);
        return (r.cr3 & CR3_BASE) == (k->value & CR3_BASE);
    default:
        return false;
    }
}

static bool passes(const struct trace_control *c, u32 id)
{
    const struct vm_trace_block *b = &c->defs[id].b;
    struct vm_trace_regs r;
    for (int k = 0; k < c->what.n_filters; k++) {
        const struct trace_filter *f = &c->what.filter[k];
        bool ok;
        switch (f->kind) {
        case FILTER_USER:
            ok = b->user;
            break;
        case FILTER_KERNEL:
            ok = !b->user;
            break;
        case FILTER_ADDR:
            ok = b->lin >= f->from && b->lin < f->to;
            break;
        default:
            vm_trace_get(c->vm, &r);
            ok = (r.cr3 & CR3_BASE) == (f->from & CR3_BASE);
            break;
        }
        if (!ok)
            return false;
    }
    return true;
}

static void on_define(void *ctx, u32 id, const struct vm_trace_block *b)
{
    struct trace_control *c = ctx;
    if (id >= c->room) {
        u32 room = MAX(c->room * 2, id + 1024);
        struct def *p = realloc(c->defs, room * sizeof(*p));
        CHECK(p);
        c->defs = p;
        c->room = room;
    }
    c->defs[id] = (struct def){.b = *b};
}

static void on_enter(void *ctx, u32 id, u32 n)
{
    struct trace_control *c = ctx;
    if (!c->started && holds(c, &c->what.start, id))
        c->started = true;
    else if (c->started && holds(c, &c->what.stop, id)) {
        c->stopped = true;
        vm_trace_stop(c->vm);
        return;
    }
    c->last_n = n;
    c->recording = c->started && passes(c, id);
    if (!c->recording) {
        c->gap += n;
        return;
    }
    if (c->gap) {
        c->sink.gap(c->sink.ctx, c->gap);
        c->gap = 0;
    }
    struct def *d = &c->defs[id];
    if (!d->out) {
        d->out = ++c->outs;
        c->sink.define(c->sink.ctx, d->out - 1, &d->b);
    }
    c->sink.enter(c->sink.ctx, d->out - 1, n);
}

static void on_event(void *ctx, const struct vm_trace_event *e)
{
    struct trace_control *c = ctx;
    if (e->kind == VM_TRACE_EXCEPTION && c->started && c->what.stop.kind == COND_EXCEPTION) {
        c->stopped = true;
        if (c->recording)
            c->sink.event(c->sink.ctx, e);
        vm_trace_stop(c->vm);
        return;
    }
    if (e->kind == VM_TRACE_EXCEPTION && !c->started && c->what.start.kind == COND_EXCEPTION) {
        c->started = c->recording = true;
        if (c->gap)
            c->sink.gap(c->sink.ctx, c->gap);
        c->gap = 0;
    }
    if (c->recording) {
        c->sink.event(c->sink.ctx, e);
        return;
    }
    if (e->kind == VM_TRACE_CUT)
        c->gap -= c->last_n - MIN(e->a, c->last_n);
    c->gap += vm_trace_ticks(e->kind);
}

static void on_forget(void *ctx)
{
    struct trace_control *c = ctx;
    c->outs = 0;
    c->sink.forget(c->sink.ctx);
}

static void add_split(struct vm_tracer *t, const struct trace_cond *c)
{
    if (c->kind == COND_ADDR)
        t->split[t->n_splits++] = c->value;
}

struct trace_control *trace_control_start(struct vm *vm, const struct trace_what *what,
                                          const struct trace_sink *sink, bool single)
{
    struct trace_control *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    c->vm = vm;
    c->what = *what;
    c->sink = *sink;
    c->started = what->start.kind == COND_NONE || what->start.kind == COND_COUNT;
    bool simple = c->started && !what->n_filters &&
                  (what->stop.kind == COND_NONE || what->stop.kind == COND_COUNT);
    struct vm_tracer t = {.single = single};
    add_split(&t, &what->start);
    add_split(&t, &what->stop);
    for (int k = 0; k < what->n_filters && t.n_splits + 2 <= VM_TRACE_SPLITS; k++) {
        if (what->filter[k].kind == FILTER_ADDR) {
            t.split[t.n_splits++] = what->filter[k].from;
            t.split[t.n_splits++] = what->filter[k].to;
        }
    }
    if (simple) { /* nothing to decide: straight through */
        t.ctx = sink->ctx;
        t.define = sink->define;
        t.enter = sink->enter;
        t.event = sink->event;
        t.forget = sink->forget;
    } else {
        t.ctx = c;
        t.define = on_define;
        t.enter = on_enter;
        t.event = on_event;
        t.forget = on_forget;
    }
    vm_trace_start(vm, &t);
    return c;
}

void trace_control_end(struct trace_control *c)
{
    if (!c)
        return;
    vm_trace_end(c->vm);
    free(c->defs);
    free(c);
}

bool trace_control_started(const struct trace_control *c)
{
    return c->started;
}

bool trace_control_stopped(const struct trace_control *c)
{
    return c->stopped;
}
