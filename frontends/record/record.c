/*
 * frontends/record/record.c - `trivisor record`: vectors from the host's processor.
 */
#include "frontends/check/vector.h"
#include "frontends/cli_priv.h"
#include "frontends/disasm.h"
#include "frontends/record/record_priv.h"
#include "frontends/record/host.h"
#include "frontends/record/segments.h"
#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { STATUS_FAILED = 1 };

void record_help(FILE *f)
{
    fprintf(
        f,
        "usage: trivisor record [options]\n"
        "Runs instructions with made-up registers and memory on this host's processor, compares\n"
        "our engines with it, and writes what it did as vectors for 'trivisor check'\n"
        "(docs/recording.md). The status is 0 if the engines agree everywhere, 1 if not.\n\n"
        "  --out DIR        write DIR/16/ROW.moo.gz, DIR/32/..., DIR/64/...; else compare only\n"
        "  --format moo|json  of those files: MOO chunks (default), or ROW.json.gz\n"
        "  --rows GLOB      only rows of the instruction table of that name (CMP*)\n"
        "  --per-form N     cases for each encoding form (default 16)\n"
        "  --seed S         other cases (default 1)\n"
        "  --bits 16|32|64  code of one width only\n"
        "  --no-verify      do not run our engines\n"
        "  --report FILE    write the scoreboard: rows, forms, vectors, engines\n"
        "  --list           print each row, its forms, and why it is left out; run nothing\n"
        "  --show N         disagreements to print (default 20)\n");
}

struct options {
    struct session_config cfg;
    const char *out, *report;
    enum vector_format format;
    u64 show;
    bool list, help;
};

static enum status parse(int argc, char **argv, struct options *o, struct error *err)
{
    u64 n;
    for (int k = 0; k < argc; k++) {
        const char *a = argv[k];
        while (a[0] == '-' && a[1] == '-')
            a++;
        if (!strcmp(a, "-no-verify")) {
            o->cfg.verify = false;
            continue;
        }
        if (!strcmp(a, "-list") || !strcmp(a, "-help") || !strcmp(a, "-h")) {
            *(a[1] == 'l' ? &o->list : &o->help) = true;
            continue;
        }
        static const char *const known[] = {"-out",  "-rows",   "-per-form", "-seed", "-bits",
                                            "-show", "-report", "-format",   NULL};
        const char *const *p = known;
        while (*p && strcmp(*p, a))
            p++;
        if (!*p) {
            const char *near = nearest(a, known);
            return near ? fail(err, ST_INVAL, "no option '%s' (did you mean '-%s'?)", argv[k], near)
                        : fail(err, ST_INVAL, "no option '%s' ('trivisor help record')", argv[k]);
        }
        const char *v = ++k < argc ? argv[k] : NULL;
        if (!v)
            return fail(err, ST_INVAL, "-%s needs a value", a);
        if (!strcmp(a, "-out"))
            o->out = v;
        else if (!strcmp(a, "-rows"))
            o->cfg.rows = v;
        else if (!strcmp(a, "-report"))
            o->report = v;
        else if (!strcmp(a, "-format") && strcmp(v, "moo") && strcmp(v, "json"))
            return fail(err, ST_INVAL, "--format is moo or json, not '%s'", v);
        else if (!strcmp(a, "-format"))
            o->format = *v == 'j' ? VECTOR_JSON : VECTOR_MOO;
        else if (!parse_number(v, !strcmp(a, "-seed") ? ~0ull : 100000, &n))
            return fail(err, ST_INVAL, "-%s: '%s' is no number that fits", a, v);
        else if (!strcmp(a, "-seed"))
            o->cfg.seed = n;
        else if (!strcmp(a, "-show"))
            o->show = n;
        else if (!strcmp(a, "-bits") && n != 16 && n != 32 && n != 64)
            return fail(err, ST_INVAL, "--bits is 16, 32 or 64, not %s", v);
        else if (!strcmp(a, "-bits"))
            o->cfg.bits = (int)n;
        else if (!n)
            return fail(err, ST_INVAL, "--per-form must be at least 1");
        else
            o->cfg.per_form = (int)n;
    }
    return ST_OK;
}

/* ---- files ----------------------------------------------------------------------------------- */
struct writer {
    const struct options *o;
    struct vector_out *out[WIDTHS]; /* of the row */
    struct disasm *dis[WIDTHS];
    struct vector v;
    char cpu[64];
};

static enum status make_dir(const char *path, struct error *err)
{
    if (mkdir(path, 0777) == 0 || errno == EEXIST)
        return ST_OK;
    return fail(err, status_from_errno(errno), "%s: %s", path, strerror(errno));
}

static enum status open_file(struct writer *w, int b, const char *row, struct error *err)
{
    char path[4096];
    struct vector_meta meta = {
        .cpu = "X64 ", .bits = 16 << b, .env = VENV_USER, .opcode = ~0u, .seed = w->o->cfg.seed};
    snprintf(meta.mnemonic, sizeof(meta.mnemonic), "%.8s", row);
    memcpy(meta.cpu_name, w->cpu, sizeof(meta.cpu_name));
    meta.cpu_name[sizeof(meta.cpu_name) - 1] = 0;
    if (snprintf(path, sizeof(path), "%s/%d/%s.%s.gz", w->o->out, meta.bits, row,
                 w->o->format == VECTOR_JSON ? "json" : "moo") >= (int)sizeof(path))
        return fail(err, ST_INVAL, "%s: too long", w->o->out);
    return vector_create(path, w->o->format, &meta, &w->out[b], err);
}

bool record_vector(const struct session_case *x, struct disasm *dis, struct vector *v)
{
    const struct host_case *c = x->c;
    bool ok = true;

    vector_clear(v);
    v->index = (u32)x->number;
    v->bits = c->bits;
    v->env = VENV_USER;
    v->len = c->len;
    for (int r = 0; r < 16; r++) {
        vector_set(&v->init, r, c->in.gpr[r]);
        if (c->out.gpr[r] != c->in.gpr[r])
            vector_set(&v->final, r, c->out.gpr[r]);
    }
    vector_set(&v->init, VREG_RIP, c->in.rip);
    vector_set(&v->init, VREG_RFLAGS, c->in.rflags);
    vector_set(&v->final, VREG_RIP, c->out.rip);
    vector_set(&v->final, VREG_RFLAGS, c->out.rflags);
    u16 sel[6];
    segments_standard(c->bits, sel);
    for (int r = 0; r < 6; r++) {
        vector_set(&v->init, VREG_ES + r, sel[r]);
        if (c->out.sel[r] != sel[r])
            vector_set(&v->final, VREG_ES + r, c->out.sel[r]);
    }
    vector_set(&v->init, VREG_FS_BASE, c->bits == 64 ? FS_BASE : 0);
    vector_set(&v->init, VREG_GS_BASE, GS_BASE);
    vector_set(&v->final, VREG_FS_BASE, c->out.fs_base);
    vector_set(&v->final, VREG_GS_BASE, c->out.gs_base);
    v->init.has_xsave = v->final.has_xsave = true;
    memcpy(v->init.xsave, c->in.xsave, CPU_XSAVE_SIZE);
    memcpy(v->final.xsave, c->out.xsave, CPU_XSAVE_SIZE);
    for (u32 k = 0; k < c->n_in; k++) {
        u32 at = c->mem_in[k].addr - (u32)code_linear(c->bits, c->in.rip);
        if (at < c->len)
            v->bytes[at] = c->mem_in[k].value;
        ok &= vector_add_cell(&v->init, c->mem_in[k].addr, c->mem_in[k].value);
    }
    for (u32 k = 0; k < c->n_out; k++)
        ok &= vector_add_cell(&v->final, c->mem_out[k].addr, c->mem_out[k].value);
    v->mask.have = 1u << VREG_RFLAGS;
    v->mask.reg[VREG_RFLAGS] = x->flags;
    v->ex.number = c->vector;
    v->ex.has_error = c->has_error;
    v->ex.error = c->error;
    v->ex.has_fault_addr = c->vector == 14;
    v->ex.fault_addr = c->cr2;
    char text[DISASM_TEXT];
    disasm_one(dis, v->bytes, c->len, c->in.rip, text, sizeof(text));
    snprintf(v->name, sizeof(v->name), "%.*s", (int)sizeof(v->name) - 1, text);
    return ok;
}

static enum status each(void *ctx, const struct session_case *x, struct error *err)
{
    struct writer *w = ctx;
    int b = width_index(x->c->bits);
    struct insns_row row;
    enum status st = ST_OK;

    insns_row(x->row, &row);
    if (!w->out[b])
        st = open_file(w, b, row.name, err);
    if (st != ST_OK)
        return st;
    if (!record_vector(x, w->dis[b], &w->v))
        return fail(err, ST_NOMEM, "out of memory");
    return vector_write(w->out[b], &w->v, err);
}

static enum status done(void *ctx, int row, struct error *err)
{
    struct writer *w = ctx;
    enum status st = ST_OK;
    for (int b = 0; b < WIDTHS; b++) {
        if (w->out[b]) {
            enum status one = vector_out_close(w->out[b], err);
            st = st == ST_OK ? one : st;
        }
        w->out[b] = NULL;
    }
    return st;
}

static enum status run(struct session *s, const struct options *o, struct error *err)
{
    char path[4096];
    struct writer w = {.o = o};
    if (!o->out)
        return session_run(s, NULL, NULL, NULL, err);
    enum status st = make_dir(o->out, err);
    for (int b = 16; b <= 64 && st == ST_OK; b *= 2) {
        snprintf(path, sizeof(path), "%s/%d", o->out, b);
        if (!o->cfg.bits || o->cfg.bits == b)
            st = make_dir(path, err);
    }
    if (st != ST_OK)
        return st;
    vector_init(&w.v);
    record_processor(w.cpu);
    for (int b = 0; b < WIDTHS; b++)
        w.dis[b] = disasm_open(16 << b);
    if (w.dis[0] && w.dis[1] && w.dis[2])
        st = session_run(s, each, done, &w, err);
    else
        st = fail(err, ST_NOMEM, "out of memory");
    for (int b = 0; b < WIDTHS; b++) {
        if (w.out[b])
            vector_out_abandon(w.out[b]);
        disasm_close(w.dis[b]);
    }
    vector_free(&w.v);
    return st;
}

/* ---- words ----------------------------------------------------------------------------------- */
static void print_failures(int all, const struct session_totals *t)
{
    printf("%d failures (", all);
    for (int k = 0; k < SESSION_ENGINES && testbed_engines()[k]; k++)
        printf("%s%s %d", k ? ", " : "", testbed_engines()[k], t->failures[k]);
    printf(")\n");
}

static int summary(const struct session *s, const struct options *o)
{
    struct session_totals t = session_totals(s);
    int failed = 0;
    for (int k = 0; k < SESSION_ENGINES; k++)
        failed += t.failures[k];
    for (int k = 0; k < session_messages(s) && k < (int)o->show; k++)
        printf("%s\n", session_message(s, k));
    if (failed && o->show)
        printf("\n");
    printf("%d rows, %d forms, %d vectors, %d left out, ", t.rows, t.forms, t.vectors, t.dropped);
    if (o->cfg.verify)
        print_failures(failed, &t);
    else
        printf("not compared\n");
    if (!t.rows) {
        log_error("no row to record%s", o->cfg.rows ? " of that name" : "");
        return STATUS_FAILED;
    }
    return failed ? STATUS_FAILED : 0;
}

static void list(const struct session *s)
{
    for (int k = 1; k < insns_count(); k++) {
        struct insns_row r;
        const struct session_row *sr = session_row(s, k);
        const char *why = session_excluded(k);
        insns_row(k, &r);
        if (why || (!sr->forms[0] && !sr->forms[1] && !sr->forms[2]))
            printf("%-18s -  %s\n", r.name, why ? why : "not on this host, or not asked for");
        else
            printf("%-18s %d forms of 16 bits, %d of 32, %d of 64\n", r.name, sr->forms[0],
                   sr->forms[1], sr->forms[2]);
    }
}

int cmd_record(int argc, char **argv)
{
    struct options o = {.cfg = {.per_form = 16, .seed = 1, .verify = true}, .show = 20};
    struct session *s;
    struct error err;
    int status;

    if (parse(argc, argv, &o, &err) != ST_OK) {
        log_error("%s", err.msg);
        return STATUS_USAGE;
    }
    if (o.format == VECTOR_JSON && !o.out) {
        log_error("--format json needs --out");
        return STATUS_USAGE;
    }
    if (o.help) {
        record_help(stdout);
        return 0;
    }
    if (session_open(&o.cfg, &s, &err) != ST_OK) {
        log_error("%s", err.msg);
        return STATUS_HOST;
    }
    if (o.list) {
        list(s);
        status = 0;
    } else if (run(s, &o, &err) != ST_OK ||
               (o.report && report_write(s, &o.cfg, o.report, &err) != ST_OK)) {
        log_error("%s", err.msg);
        status = STATUS_HOST;
    } else {
        status = summary(s, &o);
    }
    session_close(s);
    return status;
}
