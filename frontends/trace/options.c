/*
 * frontends/trace/options.c - what `trace` and `profile` understand beyond the options of `run`.
 */
#include "frontends/trace/trace_priv.h"

#include <stdlib.h>
#include <string.h>

struct known {
    const char *name;
    bool value;
    char which; /* 't': trace, 'p': profile, 'b': both */
};

static const struct known known[] = {
    {"o", true, 'b'},        {"format", true, 't'}, {"start", true, 'b'}, {"stop", true, 'b'},
    {"filter", true, 'b'},   {"syms", true, 'b'},   {"slide", true, 'b'}, {"att", false, 't'},
    {"exact", false, 'p'},   {"hz", true, 'p'},     {"every", true, 'p'}, {"flat", true, 'b'},
    {"org", true, 'b'},      {"mode", true, 'b'},   {"regs", true, 'b'},  {"elf", true, 'b'},
    {"vectors", false, 't'}, {"help", false, 'b'},  {"h", false, 'b'},
};

static const struct known *find(const char *arg, bool profile, const char **value)
{
    if (arg[0] != '-')
        return NULL;
    bool two = arg[1] == '-';
    arg += 1 + two;
    size_t n = two ? strcspn(arg, "=") : strlen(arg);
    *value = two && arg[n] ? arg + n + 1 : NULL;
    for (size_t k = 0; k < ARRAY_LEN(known); k++)
        if (strlen(known[k].name) == n && !memcmp(known[k].name, arg, n) &&
            (known[k].which == 'b' || known[k].which == (profile ? 'p' : 't')))
            return &known[k];
    return NULL;
}

static enum status take(struct trace_options *o, const char *name, const char *v, struct error *err)
{
    const struct {
        const char *name;
        const char **to;
    } plain[] = {{"o", &o->out},     {"format", &o->format}, {"start", &o->start},
                 {"stop", &o->stop}, {"flat", &o->flat},     {"org", &o->org},
                 {"mode", &o->mode}, {"regs", &o->regs},     {"elf", &o->elf}};
    for (size_t k = 0; k < ARRAY_LEN(plain); k++) {
        if (!strcmp(name, plain[k].name)) {
            *plain[k].to = v;
            return ST_OK;
        }
    }
    if (!strcmp(name, "att")) {
        o->att = true;
    } else if (!strcmp(name, "vectors")) {
        o->vectors = true;
    } else if (!strcmp(name, "exact")) {
        o->exact = true;
    } else if (!strcmp(name, "help") || !strcmp(name, "h")) {
        o->help = true;
    } else if (!strcmp(name, "filter")) {
        if (o->n_filters == TRACE_MAX_FILTERS)
            return fail(err, ST_INVAL, "--filter: at most %d", TRACE_MAX_FILTERS);
        o->filter[o->n_filters++] = v;
    } else if (!strcmp(name, "syms")) {
        if (o->n_syms == (int)ARRAY_LEN(o->syms))
            return fail(err, ST_INVAL, "--syms: at most %d files", (int)ARRAY_LEN(o->syms));
        o->syms[o->n_syms++] = v;
    } else if (!strcmp(name, "slide")) {
        if (!parse_number(v, ~0ull, &o->slide))
            return fail(err, ST_INVAL, "--slide: '%s' is no number", v);
    } else { /* hz, every */
        u64 n;
        if (!parse_number(v, 1000000000, &n) || !n)
            return fail(err, ST_INVAL, "--%s: '%s' is no number from 1 to 1000000000", name, v);
        /* the guest's second is taken as a thousand million instructions */
        o->every = !strcmp(name, "hz") ? MAX(1000000000 / n, (u64)1) : n;
    }
    return ST_OK;
}

enum status trace_options_parse(int argc, char **argv, bool profile, struct trace_options *o,
                                struct error *err)
{
    bool shown = false;
    memset(o, 0, sizeof(*o));
    o->rest = calloc((size_t)argc + 4, sizeof(*o->rest));
    if (!o->rest)
        return fail(err, ST_NOMEM, "out of memory");
    for (int at = 0; at < argc; at++) {
        const char *value = NULL, *arg = argv[at] + (argv[at][0] == '-');
        const struct known *k = find(argv[at], profile, &value);
        if (!k) {
            arg += *arg == '-';
            shown |= !strcmp(arg, "nographic") || !strncmp(arg, "serial", 6) ||
                     !strncmp(arg, "display", 7);
            o->rest[o->n_rest++] = argv[at];
            continue;
        }
        if (k->value && !value) {
            if (at + 1 == argc)
                return fail(err, ST_INVAL, "--%s wants a value", k->name);
            value = argv[++at];
        } else if (!k->value && value) {
            return fail(err, ST_INVAL, "--%s takes no value", k->name);
        }
        enum status st = take(o, k->name, value, err);
        if (st)
            return st;
    }
    if (!shown) { /* standard output may be the trace's */
        o->rest[o->n_rest++] = (char *)"-display";
        o->rest[o->n_rest++] = (char *)"none";
    }
    if (o->flat && o->elf)
        return fail(err, ST_INVAL, "--flat and --elf exclude each other");
    if (!o->flat && (o->org || o->mode))
        return fail(err, ST_INVAL, "--%s wants --flat", o->org ? "org" : "mode");
    if (!o->flat && !o->elf && o->regs)
        return fail(err, ST_INVAL, "--regs wants --flat or --elf");
    return ST_OK;
}

void trace_options_free(struct trace_options *o)
{
    free(o->rest);
}

enum status trace_load_syms(const struct trace_options *o, struct symbols **out, struct error *err)
{
    enum status st = ST_OK;
    *out = NULL;
    if (!o->n_syms)
        return ST_OK;
    *out = symbols_new();
    if (!*out)
        return fail(err, ST_NOMEM, "out of memory");
    for (int k = 0; !st && k < o->n_syms; k++)
        st = symbols_load(*out, o->syms[k], o->slide, err);
    return st;
}

enum status trace_parse_what(const struct trace_options *o, const struct symbols *syms,
                             struct trace_what *what, struct error *err)
{
    enum status st = ST_OK;
    memset(what, 0, sizeof(*what));
    if (o->start)
        st = trace_cond_parse(o->start, syms, &what->start, err);
    if (!st && o->stop)
        st = trace_cond_parse(o->stop, syms, &what->stop, err);
    for (int k = 0; !st && k < o->n_filters; k++)
        st = trace_filter_parse(o->filter[k], syms, &what->filter[what->n_filters++], err);
    return st;
}

enum vm_stop trace_run_counted(struct vm *vm, const struct trace_what *what,
                               bool (*attach)(void *ctx, struct vm *vm), void *ctx,
                               struct error *err)
{
    if (what->start.kind == COND_COUNT && what->start.value > vm_icount(vm)) {
        vm_stop_at(vm, what->start.value);
        enum vm_stop why = vm_run(vm, err);
        if (why != VM_STOP_REQUEST || vm_icount(vm) < what->start.value)
            return why;
    }
    if (!attach(ctx, vm)) {
        fail(err, ST_IO, "%s", err->msg[0] ? err->msg : "cannot start recording");
        return VM_STOP_ERROR;
    }
    if (what->stop.kind == COND_COUNT)
        vm_stop_at(vm, MAX(what->stop.value, (u64)1));
    return vm_run(vm, err);
}
