/*
 * frontends/trace/trace.c - `trivisor trace`: a machine runs and every instruction is written down.
 */
#include "frontends/trace/trace_priv.h"
#include "frontends/trace/writer.h"
#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

enum format { FORMAT_TEXT, FORMAT_JSONL, FORMAT_TENET, FORMAT_BIN };

struct tracing {
    struct trace_options o;
    enum format format;
    struct symbols *syms;
    struct trace_what what;
    struct trace_bare *bare;
    struct trace_control *control;
    struct trace_writer *writer;
    struct trace_text *text;
    FILE *f;
    u64 began_ns, began_at;
    bool failed;
};

static void usage(FILE *f)
{
    fprintf(
        f, "usage: trivisor trace [options of run] [options]\n"
           "       trivisor trace show FILE [--from N] [--count N] [--syms F]\n"
           "       trivisor trace stat FILE [--syms F]\n"
           "       trivisor trace diff A B [--context N] [--syms F]\n"
           "Runs a machine and writes down every instruction.\n\n"
           "  -o FILE                where to; a name that ends in .trvt is binary (default: text\n"
           "                         on standard output)\n"
           "  --format WHAT          text, jsonl, tenet or bin\n"
           "  --start COND           from when on: addr:X, sym:NAME, count:N, cpl:N, cr3:X,\n"
           "                         first-exception\n"
           "  --stop COND            until when; the machine ends then\n"
           "  --filter WHAT          only user, kernel, addr:LO-HI, sym:NAME, cr3:X; several: all\n"
           "                         must hold\n"
           "  --syms FILE            names: ELF, System.map or kallsyms (up to 4 files)\n"
           "  --slide N              added to their addresses\n"
           "  --att                  AT&T syntax\n"
           "  --vectors              text, jsonl: changed XMM and YMM registers, too\n"
           "  --flat FILE            a program alone in memory, without firmware or devices\n"
           "  --org ADDR             where it is put and entered (default 0x1000)\n"
           "  --mode 16|32|64        the processor's mode for it (default 64)\n"
           "  --regs rax=1,rip=..    registers at its start\n"
           "  --elf FILE             the same for a static ELF program\n");
}

static u64 now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (u64)ts.tv_sec * 1000000000u + (u64)ts.tv_nsec;
}

/* ---- the binary writer as a sink ------------------------------------------------------------- */
static void bin_define(void *ctx, u32 id, const struct vm_trace_block *b)
{
    (void)id;
    trace_writer_define(ctx, b);
}
static void bin_enter(void *ctx, u32 id, u32 n)
{
    trace_writer_enter(ctx, id, n);
}
static void bin_event(void *ctx, const struct vm_trace_event *e)
{
    trace_writer_event(ctx, e);
}
static void bin_forget(void *ctx)
{
    trace_writer_forget(ctx);
}
static void bin_gap(void *ctx, u64 n)
{
    trace_writer_gap(ctx, n);
}

/* ---- options -------------------------------------------------------------------------------- */
static bool ends_in(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && !strcmp(s + n - m, end);
}

static enum status choose_format(struct tracing *t, struct error *err)
{
    static const char *const names[] = {"text", "jsonl", "tenet", "bin", NULL};
    const char *name = t->o.format;
    if (!name)
        name = t->o.out && ends_in(t->o.out, ".trvt") ? "bin" : "text";
    for (int k = 0; names[k]; k++) {
        if (!strcmp(name, names[k])) {
            t->format = (enum format)k;
            if (t->format == FORMAT_BIN && !t->o.out)
                return fail(err, ST_INVAL, "--format bin: wants -o FILE");
            return ST_OK;
        }
    }
    const char *near = nearest(name, names);
    return fail(err, ST_INVAL, "--format: no '%s' (%s%s%s)", name, near ? "did you mean '" : "",
                near ? near : "text, jsonl, tenet, bin", near ? "'?" : "");
}

static enum status prepare(struct tracing *t, struct error *err)
{
    enum status st = choose_format(t, err);
    if (!st)
        st = trace_load_syms(&t->o, &t->syms, err);
    if (!st)
        st = trace_parse_what(&t->o, t->syms, &t->what, err);
    if (!st)
        st = trace_bare_parse(&t->o, &t->bare, err);
    return st;
}

/* ---- the run -------------------------------------------------------------------------------- */
static void on_configure(void *ctx, struct vm_config *cfg)
{
    struct tracing *t = ctx;
    if (t->bare)
        trace_bare_configure(t->bare, cfg);
}

static enum status on_start(void *ctx, struct vm *vm, struct error *err)
{
    struct tracing *t = ctx;
    enum trace_style style = t->format == FORMAT_JSONL   ? STYLE_JSONL
                             : t->format == FORMAT_TENET ? STYLE_TENET
                                                         : STYLE_TEXT;
    u64 first = vm_icount(vm);
    if (t->what.start.kind == COND_COUNT)
        first = MAX(first, t->what.start.value);
    if (t->format == FORMAT_BIN)
        return trace_writer_new(t->o.out, "format=trivisor\n", first, &t->writer, err);
    t->f = t->o.out ? fopen(t->o.out, "we") : stdout;
    if (!t->f)
        return fail(err, status_from_errno(errno), "%s: %s", t->o.out, strerror(errno));
    t->text = trace_text_new(t->f, style, t->syms, t->o.att, t->o.vectors);
    if (!t->text)
        return fail(err, ST_NOMEM, "out of memory");
    trace_text_vm(t->text, vm);
    return ST_OK;
}

static bool attach(void *ctx, struct vm *vm)
{
    struct tracing *t = ctx;
    struct trace_sink sink;
    if (t->writer)
        sink = (struct trace_sink){.ctx = t->writer,
                                   .define = bin_define,
                                   .enter = bin_enter,
                                   .event = bin_event,
                                   .forget = bin_forget,
                                   .gap = bin_gap};
    else
        trace_text_sink(t->text, &sink);
    t->began_ns = now_ns();
    t->began_at = vm_icount(vm);
    t->control = trace_control_start(vm, &t->what, &sink, !t->writer);
    return t->control != NULL;
}

static enum vm_stop on_run(void *ctx, struct vm *vm, struct error *err)
{
    struct tracing *t = ctx;
    return trace_run_counted(vm, &t->what, attach, t, err);
}

static void on_end(void *ctx, struct vm *vm)
{
    struct tracing *t = ctx;
    struct error err;
    bool began = t->control;
    if (began && !trace_control_started(t->control))
        log_warn("the start condition never came true: nothing was recorded");
    if (t->text)
        trace_text_free(t->text);
    t->text = NULL;
    trace_control_end(t->control);
    t->control = NULL;
    if (t->f && t->f != stdout ? fclose(t->f) : fflush(stdout)) {
        log_error("writing the trace: %s", strerror(errno));
        t->failed = true;
    }
    if (!t->writer)
        return;
    u64 insns = trace_writer_insns(t->writer), ns = MAX(now_ns() - t->began_ns, (u64)1);
    u32 blocks = trace_writer_blocks(t->writer);
    if (trace_writer_close(t->writer, &err)) {
        log_error("%s", err.msg);
        t->failed = true;
    }
    t->writer = NULL;
    if (began)
        fprintf(stderr, "trivisor: %s: %" PRIu64 " instructions, %u blocks, %.1f s, %.1f MIPS\n",
                t->o.out, insns, blocks, (double)ns / 1e9,
                (double)(vm_icount(vm) - t->began_at) * 1e3 / (double)ns);
}

int cmd_trace(int argc, char **argv)
{
    struct tracing t = {0};
    struct error err = {{0}};
    int status;

    if (argc > 0 && !strcmp(argv[0], "show"))
        return trace_show(argc - 1, argv + 1);
    if (argc > 0 && !strcmp(argv[0], "stat"))
        return trace_stat(argc - 1, argv + 1);
    if (argc > 0 && !strcmp(argv[0], "diff"))
        return trace_diff(argc - 1, argv + 1);

    enum status st = trace_options_parse(argc, argv, false, &t.o, &err);
    if (!st && t.o.help) {
        usage(stdout);
        trace_options_free(&t.o);
        return 0;
    }
    if (!st)
        st = prepare(&t, &err);
    if (st) {
        log_error("%s", err.msg);
        status = st == ST_INVAL ? STATUS_USAGE : STATUS_HOST;
    } else {
        struct run_hook hook = {
            .ctx = &t, .configure = on_configure, .start = on_start, .run = on_run, .end = on_end};
        status = run_with(t.o.n_rest, t.o.rest, &hook);
        if (t.failed)
            status = STATUS_HOST;
    }
    symbols_free(t.syms);
    trace_bare_free(t.bare);
    trace_options_free(&t.o);
    return status;
}
