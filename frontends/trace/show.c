/*
 * frontends/trace/show.c - `trivisor trace show`: a binary trace as text.
 */
#include "frontends/trace/trace_priv.h"
#include "base/log.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum status trace_file_options(int argc, char **argv, const struct trace_file_option *opts, int n,
                               const char **files, int n_files, struct symbols **syms,
                               struct error *err)
{
    int have = 0;
    u64 slide = 0;
    const char *sym_files[4];
    int n_syms = 0;
    *syms = NULL;
    for (int at = 0; at < argc; at++) {
        const char *a = argv[at];
        if (a[0] != '-') {
            if (have == n_files)
                return fail(err, ST_INVAL, "'%s': one file too many", a);
            files[have++] = a;
            continue;
        }
        a += 1 + (a[1] == '-');
        size_t len = strcspn(a, "=");
        const char *value = a[len] ? a + len + 1 : at + 1 < argc ? argv[++at] : NULL;
        if (!value)
            return fail(err, ST_INVAL, "--%s wants a value", a);
        if (len == 4 && !memcmp(a, "syms", 4)) {
            if (n_syms == (int)ARRAY_LEN(sym_files))
                return fail(err, ST_INVAL, "--syms: at most %d files", (int)ARRAY_LEN(sym_files));
            sym_files[n_syms++] = value;
            continue;
        }
        u64 *to = len == 5 && !memcmp(a, "slide", 5) ? &slide : NULL;
        for (int k = 0; k < n; k++)
            if (strlen(opts[k].name) == len && !memcmp(opts[k].name, a, len))
                to = opts[k].to;
        if (!to)
            return fail(err, ST_INVAL, "unknown option '--%.*s'", (int)len, a);
        if (!parse_number(value, ~0ull, to))
            return fail(err, ST_INVAL, "--%.*s: '%s' is no number", (int)len, a, value);
    }
    if (have < n_files)
        return fail(err, ST_INVAL, "wants %s", n_files == 1 ? "a trace file" : "two trace files");
    if (n_syms && !(*syms = symbols_new()))
        return fail(err, ST_NOMEM, "out of memory");
    enum status st = ST_OK;
    for (int k = 0; !st && k < n_syms; k++)
        st = symbols_load(*syms, sym_files[k], slide, err);
    return st;
}

int trace_complain(enum status st, const struct error *err)
{
    log_error("%s", err->msg);
    return st == ST_INVAL ? STATUS_USAGE : STATUS_HOST;
}

static void print_event(FILE *f, const char *mark, const struct vm_trace_event *e)
{
    char text[128];
    trace_event_text(e, text, sizeof(text));
    fprintf(f, "%s           # %s\n", mark, text);
}

void trace_print_item(FILE *f, const char *mark, const struct trace_item *it, u64 from, u64 *left,
                      const struct trace_disasm *dis, const struct symbols *syms)
{
    char text[DISASM_TEXT], name[300];
    if (!it->block) {
        if (it->gap)
            fprintf(f, "%s           # %" PRIu64 " instructions left out\n", mark, it->gap);
        for (u32 k = 0; k < it->n_events; k++)
            print_event(f, mark, &it->events[k]);
        return;
    }
    const struct vm_trace_block *b = it->block;
    if (*symbols_text(syms, b->lin, name, sizeof(name)) && it->at >= from)
        fprintf(f, "%s%s:\n", mark, name);
    u32 off = 0, ev = 0;
    for (u32 k = 0; k < b->n && off < b->len; k++) {
        int len = disasm_one(trace_disasm(dis, b->bits), b->bytes + off, b->len - off, b->rip + off,
                             text, sizeof(text));
        /* what the disassembler does not know is shown as the rest of the block */
        u32 show = len ? (u32)len : b->n - k == 1 ? b->len - off : 1;
        if (k < it->done && it->at + k >= from && *left) {
            fprintf(f, "%s%10" PRIu64 " %04x:%0*" PRIx64 " ", mark, it->at + k, b->cs,
                    b->bits == 64   ? 16
                    : b->bits == 32 ? 8
                                    : 4,
                    b->rip + off);
            for (u32 j = 0; j < show; j++)
                fprintf(f, "%02x", b->bytes[off + j]);
            fprintf(f, "%*s %s\n", MAX(0, 20 - 2 * (int)show), "", text);
            --*left;
        }
        for (; ev < it->n_events && it->events[ev].at <= k; ev++)
            if (it->at + k >= from && *left)
                print_event(f, mark, &it->events[ev]);
        off += show;
    }
}

int trace_show(int argc, char **argv)
{
    u64 from = 0, count = ~0ull;
    const struct trace_file_option opts[] = {{"from", &from}, {"count", &count}};
    const char *file;
    struct symbols *syms;
    struct trace_reader *r = NULL;
    struct trace_disasm dis = {{0}};
    struct trace_item it;
    struct error err = {{0}};
    enum status st = trace_file_options(argc, argv, opts, 2, &file, 1, &syms, &err);
    if (!st)
        st = trace_open(file, &r, &err);
    if (!st && !trace_disasm_open(&dis, false))
        st = fail(&err, ST_NOMEM, "out of memory");
    if (!st)
        st = trace_seek(r, from, &err);
    while (!st && count && trace_next(r, &it, &st, &err)) {
        if (it.at + (it.block ? it.done : 1) > from)
            trace_print_item(stdout, "", &it, from, &count, &dis, syms);
    }
    if (!st && r && trace_info(r)->cut_short)
        log_warn("%s has no index: the run did not end properly, or the file was cut", file);
    int status = st ? trace_complain(st, &err) : 0;
    trace_disasm_close(&dis);
    trace_close(r);
    symbols_free(syms);
    return status;
}
