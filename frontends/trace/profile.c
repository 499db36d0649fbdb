/*
 * frontends/trace/profile.c - `trivisor profile`: where a guest's instructions are spent.
 *
 * Blocks, mix and exits are counted exactly. Stacks are sampled every so many instructions, at
 * the entry of the block that has it, at intervals that vary by half; with --exact every block adds
 * what it executes.
 */
#include "frontends/trace/stacks.h"
#include "frontends/trace/trace_priv.h"
#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { EVERY = 10000, TOP = 12 };

struct counted {
    struct vm_trace_block b;
    u64 times;
    bool calls; /* ends in CALL */
};

struct profile {
    struct trace_options o;
    struct symbols *syms;
    struct trace_what what;
    struct trace_bare *bare;
    struct trace_control *control;
    struct stacks *stacks;
    struct trace_disasm dis;
    struct trace_mix mix;
    struct vm *vm;
    FILE *f;

    struct counted *blocks;
    u32 n, room;
    u64 insns, next, since, every, random;
    bool called; /* the block before ended in a call, or an event entered a handler */
    u32 last;
    u64 kinds[VM_TRACE_KINDS];
    bool failed;
};

static void usage(FILE *f)
{
    fprintf(f,
            "usage: trivisor profile [options of run] -o OUT.folded|OUT.svg [options]\n"
            "Runs a machine and shows where its instructions are spent.\n\n"
            "  -o FILE                folded stacks, or a flame graph if it ends in .svg\n"
            "  --syms FILE            names: ELF, System.map or kallsyms (up to 4 files)\n"
            "  --slide N              added to their addresses\n"
            "  --every N              a sample each N instructions (default %d)\n"
            "  --hz N                 N samples in a thousand million instructions\n"
            "  --exact                no sampling: every block counts\n"
            "  --start, --stop, --filter, --flat, --elf ...  as for trace\n",
            EVERY);
}

/* ---- the machine runs ------------------------------------------------------------------------ */
static bool ends_in_call(struct profile *p, const struct vm_trace_block *b)
{
    char name[DISASM_TEXT] = "";
    u32 off = 0;
    for (u32 k = 0; k < b->n && off < b->len; k++) {
        int len = disasm_name(trace_disasm(&p->dis, b->bits), b->bytes + off, b->len - off,
                              b->rip + off, name, sizeof(name));
        if (!len)
            return false;
        off += (u32)len;
    }
    return !strcmp(name, "call") || !strcmp(name, "lcall");
}

static void on_define(void *ctx, u32 id, const struct vm_trace_block *b)
{
    struct profile *p = ctx;
    if (id >= p->room) {
        u32 room = MAX(p->room * 2, id + 4096);
        struct counted *q = realloc(p->blocks, room * sizeof(*q));
        CHECK(q);
        p->blocks = q;
        p->room = room;
    }
    p->blocks[id] = (struct counted){.b = *b, .calls = ends_in_call(p, b)};
    p->n = id + 1;
}

static noinline void look(struct profile *p, const struct counted *c, u32 n)
{
    struct vm_trace_regs r;
    vm_trace_get(p->vm, &r);
    if (p->called)
        stacks_call(p->stacks, &r, c->b.lin);
    p->called = false;
    if (p->insns + n > p->next) { /* the block that has that instruction in it, not the one after */
        u64 end = p->insns + n;
        stacks_sample(p->stacks, &r, c->b.lin, p->o.exact ? n : end - p->since);
        p->since = end;
        /* Not every so many exactly: a loop of that length would always be met at one place. The
         * same run gives the same samples. */
        p->random = p->random * 6364136223846793005ull + 1442695040888963407ull;
        p->next += p->every / 2 + (p->every ? (p->random >> 33) % p->every : 0);
        p->next = p->every ? MAX(p->next, end) : 0;
    }
}

static void on_enter(void *ctx, u32 id, u32 n)
{
    struct profile *p = ctx;
    struct counted *c = &p->blocks[id];
    c->times++;
    if (unlikely(p->called || p->insns + n > p->next))
        look(p, c, n);
    p->insns += n;
    p->called = c->calls;
    p->last = id;
}

static void on_event(void *ctx, const struct vm_trace_event *e)
{
    struct profile *p = ctx;
    p->kinds[e->kind]++;
    p->insns += vm_trace_ticks(e->kind);
    if (e->kind == VM_TRACE_CUT) {
        struct counted *c = &p->blocks[p->last];
        p->called = false;
        p->insns -= c->b.n - MIN(e->a, c->b.n);
        c->times--;
        trace_mix_add(&p->mix, trace_disasm(&p->dis, c->b.bits), &c->b, e->a, 1);
    } else if (e->kind == VM_TRACE_EXCEPTION || e->kind == VM_TRACE_INTERRUPT ||
               e->kind == VM_TRACE_NMI || e->kind == VM_TRACE_SOFT) {
        p->called = true;
    }
}

static void mix_blocks(struct profile *p)
{
    for (u32 k = 0; k < p->n; k++) {
        struct counted *c = &p->blocks[k];
        if (c->times)
            trace_mix_add(&p->mix, trace_disasm(&p->dis, c->b.bits), &c->b, c->b.n, c->times);
    }
}

static void on_forget(void *ctx)
{
    struct profile *p = ctx;
    mix_blocks(p);
    p->n = 0;
}

static void on_gap(void *ctx, u64 n)
{
    struct profile *p = ctx;
    (void)n;
    p->called = false;
}

/* ---- the end --------------------------------------------------------------------------------- */
static int by_insns(const void *a, const void *b)
{
    const struct counted *x = a, *y = b;
    u64 m = x->times * x->b.n, n = y->times * y->b.n;
    if (m != n)
        return m < n ? 1 : -1;
    return x->b.lin < y->b.lin ? -1 : x->b.lin > y->b.lin;
}

static void report(struct profile *p)
{
    char name[300];
    double all = (double)MAX(p->insns, (u64)1);
    printf("%" PRIu64 " instructions\n\ntop functions (%s)\n", p->insns,
           p->o.exact ? "exact" : "sampled");
    stacks_print_top(p->stacks, stdout, TOP);
    mix_blocks(p);
    if (p->n)
        qsort(p->blocks, p->n, sizeof(*p->blocks), by_insns);
    printf("\ntop blocks\n");
    for (u32 k = 0; k < MIN(p->n, (u32)TOP); k++) {
        const struct counted *c = &p->blocks[k];
        u64 n = c->times * c->b.n;
        if (n)
            printf("  %016" PRIx64 " %14" PRIu64 " %5.1f %%  %s\n", c->b.lin, n,
                   100.0 * (double)n / all, symbols_text(p->syms, c->b.lin, name, sizeof(name)));
    }
    printf("\ninstruction mix\n");
    trace_mix_print(stdout, &p->mix, TOP);
    printf("\nexits\n");
    for (int k = 0; k < VM_TRACE_KINDS; k++)
        if (p->kinds[k] && k != VM_TRACE_CUT)
            printf("  %-12s %14" PRIu64 "\n", trace_kind_name(k), p->kinds[k]);
}

/* ---- the run --------------------------------------------------------------------------------- */
static void on_configure(void *ctx, struct vm_config *cfg)
{
    struct profile *p = ctx;
    if (p->bare)
        trace_bare_configure(p->bare, cfg);
}

static enum status on_start(void *ctx, struct vm *vm, struct error *err)
{
    struct profile *p = ctx;
    p->vm = vm;
    p->f = fopen(p->o.out, "we");
    if (!p->f)
        return fail(err, status_from_errno(errno), "%s: %s", p->o.out, strerror(errno));
    return ST_OK;
}

static bool attach(void *ctx, struct vm *vm)
{
    struct profile *p = ctx;
    struct trace_sink sink = {.ctx = p,
                              .define = on_define,
                              .enter = on_enter,
                              .event = on_event,
                              .forget = on_forget,
                              .gap = on_gap};
    p->every = p->o.exact ? 0 : p->o.every ? p->o.every : EVERY;
    p->next = p->every;
    p->control = trace_control_start(vm, &p->what, &sink, false);
    return p->control != NULL;
}

static enum vm_stop on_run(void *ctx, struct vm *vm, struct error *err)
{
    struct profile *p = ctx;
    return trace_run_counted(vm, &p->what, attach, p, err);
}

static void on_end(void *ctx, struct vm *vm)
{
    struct profile *p = ctx;
    char title[128];
    (void)vm;
    if (!p->f)
        return;
    if (p->control)
        report(p);
    size_t n = strlen(p->o.out);
    snprintf(title, sizeof(title), "%" PRIu64 " guest instructions", p->insns);
    bool ok = true;
    if (n >= 4 && !strcmp(p->o.out + n - 4, ".svg"))
        ok = stacks_write_svg(p->stacks, p->f, title);
    else
        stacks_write_folded(p->stacks, p->f);
    ok &= !ferror(p->f);
    if (fclose(p->f) || !ok) {
        log_error("%s: cannot be written", p->o.out);
        p->failed = true;
    }
    trace_control_end(p->control);
}

int cmd_profile(int argc, char **argv)
{
    struct profile *p = calloc(1, sizeof(*p));
    struct error err = {{0}};
    int status;
    if (!p) {
        log_error("out of memory");
        return STATUS_HOST;
    }
    enum status st = trace_options_parse(argc, argv, true, &p->o, &err);
    if (!st && p->o.help) {
        usage(stdout);
        trace_options_free(&p->o);
        free(p);
        return 0;
    }
    if (!st && !p->o.out)
        st = fail(&err, ST_INVAL, "profile wants -o OUT.folded or -o OUT.svg");
    if (!st)
        st = trace_load_syms(&p->o, &p->syms, &err);
    if (!st)
        st = trace_parse_what(&p->o, p->syms, &p->what, &err);
    if (!st)
        st = trace_bare_parse(&p->o, &p->bare, &err);
    if (!st && (!(p->stacks = stacks_new(p->syms)) || !trace_disasm_open(&p->dis, false)))
        st = fail(&err, ST_NOMEM, "out of memory");
    if (st) {
        log_error("%s", err.msg);
        status = st == ST_INVAL ? STATUS_USAGE : STATUS_HOST;
    } else {
        struct run_hook hook = {
            .ctx = p, .configure = on_configure, .start = on_start, .run = on_run, .end = on_end};
        status = run_with(p->o.n_rest, p->o.rest, &hook);
        if (p->failed)
            status = STATUS_HOST;
    }
    trace_disasm_close(&p->dis);
    stacks_free(p->stacks);
    symbols_free(p->syms);
    trace_bare_free(p->bare);
    trace_options_free(&p->o);
    free(p->blocks);
    free(p);
    return status;
}
