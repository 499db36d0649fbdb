/*
 * frontends/compare/compare.c - `trivisor compare`: the same guest work emulated, translated and
 * paravirtualized.
 *
 * What it is: options and the list of work. Each kind of work is done by a fresh machine for each
 * way, one after the other; their checksums must agree.
 */
#include "frontends/cli_priv.h"
#include "frontends/compare/compare_priv.h"
#include "machine/views.h"
#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The guest has the same names (roms/compare/main.c). Counts: ten or twenty milliseconds for
 * the interpreter. */
static const struct workload workloads[] = {
    {"compute", "passes over 4 KiB", 1500, NULL, "nothing but registers and memory", NULL},
    {"syscalls", "SYSCALLs from ring 3", 200000, NULL, "SYSCALL and SYSRET", NULL},
    {"faults", "pages touched", 50000, NULL, "#PF, one page table entry, IRET", NULL},
    {"switch", "address spaces", 25000, NULL, "MOV to CR3, 8 pages read", NULL},
    {"remap", "times 64 pages", 1500, "trv", "entry and INVLPG for each page",
     "one mmu_update for 64 entries"},
    {"fork", "forks", 1000, "trv", "64 entries copied twice, CR3, 32 faults, 16 pages copied",
     "mmu_update for 128 entries and for 64"},
    {"disk-read", "x 4 KiB", 8000, "trv", "IDE, bus-master DMA, interrupt", "block_read"},
    {"disk-write", "x 4 KiB", 8000, "trv", "IDE, bus-master DMA, interrupt", "block_write"},
    {"disk-pio", "x 4 KiB", 400, "trv", "IDE, programmed I/O", "block_read"},
    {"virtio-read", "x 4 KiB", 8000, "virtio", "IDE, bus-master DMA, interrupt",
     "virtio-blk, MSI-X, one at a time"},
    {"virtio-write", "x 4 KiB", 8000, "virtio", "IDE, bus-master DMA, interrupt",
     "virtio-blk, MSI-X, one at a time"},
    {"virtio-queue", "x 4 KiB", 8000, "virtio", "IDE, bus-master DMA, interrupt",
     "virtio-blk, MSI-X, 16 in flight"},
    {"network", "frames of 1000 bytes", 16000, "virtio", "e1000, there and back, 16 in flight",
     "virtio-net, MSI-X"},
    {"clock", "readings", 200000, "trv", "the ACPI PM timer's port", "clock_read"},
    {"kvmclock", "readings", 200000, "kvm", "the ACPI PM timer's port",
     "kvmclock's page and RDTSC"},
    {"console", "lines of 64 bytes", 5000, "trv", "a 16550, polled", "console_write"},
    {"timer", "ticks of 100 us", 200, "trv", "8254 one shot, 8259, HLT", "timer_arm, halt"},
};
enum { N_WORK = ARRAY_LEN(workloads), QUICK = 50, MAX_COUNT = 100000000 };

const char *const way_names[N_WAYS] = {"emulated", "translated", "paravirt"};

struct compare {
    u32 count[N_WORK]; /* 0: not asked for */
    bool any, quick, json;
    const char *engine, *base, *plot;
    const char *pv; /* the only personality allowed; NULL: each its own */
    bool no_pv;
};

void compare_help(FILE *f)
{
    fprintf(
        f,
        "usage: trivisor compare [WORK[:COUNT]...] [options]\n"
        "Does the same guest work three ways - the interpreter and emulated hardware; the\n"
        "translator and the same hardware; the translator and hypercalls or virtio - and shows "
        "what\n"
        "each took and why.\n\n"
        "  --engine SPEC       in the translator's place (default bt, see run -engine)\n"
        "  --base SPEC         in the interpreter's place (default interp)\n"
        "  --pv WHAT           trv, kvm or virtio: only this interface's ways; none: no third way\n"
        "  --quick             a fiftieth of the work: does it work at all?\n"
        "  --plot FILE.svg     a picture\n"
        "  --json              all numbers, on standard output in the table's place\n\n"
        "Work (default: all; :COUNT is how much)\n");
    for (size_t k = 0; k < N_WORK; k++)
        fprintf(f, "  %-12s %7u %s: %s%s%s\n", workloads[k].name, workloads[k].count,
                workloads[k].unit, workloads[k].hardware, workloads[k].pv ? "; or " : "",
                workloads[k].pv ? workloads[k].paravirt : "");
}

/* ---- options -------------------------------------------------------------------------------- */
static enum status add_work(struct compare *c, const char *word, struct error *err)
{
    const char *colon = strchr(word, ':');
    size_t len = colon ? (size_t)(colon - word) : strlen(word);
    const char *names[N_WORK + 1] = {NULL};
    char name[32];
    u64 count = 0;
    for (size_t k = 0; k < N_WORK; k++) {
        names[k] = workloads[k].name;
        if (strlen(names[k]) != len || memcmp(names[k], word, len))
            continue;
        if (colon && (!parse_number(colon + 1, MAX_COUNT, &count) || !count))
            return fail(err, ST_INVAL, "%.40s: the count is a number from 1 to %d", word,
                        MAX_COUNT);
        c->count[k] = count ? (u32)count : workloads[k].count;
        c->any = true;
        return ST_OK;
    }
    snprintf(name, sizeof(name), "%.*s", (int)MIN(len, sizeof(name) - 1), word);
    const char *near = nearest(name, names);
    return fail(err, ST_INVAL, "no work '%s' (%s%s%s)", name, near ? "did you mean '" : "",
                near ? near : "'trivisor help compare' lists them", near ? "'?" : "");
}

static enum status set_pv(struct compare *c, const char *word, struct error *err)
{
    c->no_pv = !strcmp(word, "none");
    c->pv = c->no_pv ? NULL : word;
    if (!c->no_pv && strcmp(word, "trv") && strcmp(word, "kvm") && strcmp(word, "virtio"))
        return fail(err, ST_INVAL, "--pv: no '%.40s' (none, trv, kvm, virtio)", word);
    return ST_OK;
}

static enum status parse(struct compare *c, int argc, char **argv, struct error *err)
{
    enum status st = ST_OK;
    for (int k = 0; !st && k < argc; k++) {
        const char *a = argv[k];
        const char **text = !strcmp(a, "--engine") ? &c->engine
                            : !strcmp(a, "--base") ? &c->base
                            : !strcmp(a, "--plot") ? &c->plot
                                                   : NULL;
        bool pv = !strcmp(a, "--pv");
        if ((text || pv) && k + 1 == argc)
            return fail(err, ST_INVAL, "%s: wants an argument", a);
        if (pv)
            st = set_pv(c, argv[++k], err);
        else if (text)
            *text = argv[++k];
        else if (!strcmp(a, "--quick"))
            c->quick = true;
        else if (!strcmp(a, "--json"))
            c->json = true;
        else if (a[0] == '-')
            st = fail(err, ST_INVAL, "no option '%.40s' ('trivisor help compare' lists them)", a);
        else
            st = add_work(c, a, err);
    }
    for (size_t k = 0; k < N_WORK; k++) {
        if (!c->any)
            c->count[k] = workloads[k].count;
        if (c->quick && c->count[k])
            c->count[k] = MAX(c->count[k] / QUICK, 1u);
    }
    return st;
}

/* A build without the translator compares with what it has. */
static enum status choose_engines(struct compare *c, struct error *err)
{
    struct error none;
    if (!c->base)
        c->base = "interp";
    if (!c->engine) {
        c->engine = "bt";
        if (vm_engine_check(c->engine, &none) != ST_OK) {
            c->engine = "interp";
            log_warn("this build has no translator: the interpreter is in its place");
        }
    }
    enum status st = vm_engine_check(c->base, err);
    return st ? st : vm_engine_check(c->engine, err);
}

/* ---- running -------------------------------------------------------------------------------- */
static enum status compare_one(const struct compare *c, struct result *r, struct error *err)
{
    const char *own = r->w->pv && (!c->pv || !strcmp(c->pv, r->w->pv)) ? r->w->pv : NULL;
    for (int k = 0; k < N_WAYS - c->no_pv; k++) {
        const char *pv = k < WAY_PARAVIRT ? "none" : own ? own : c->pv ? c->pv : "trv";
        struct measure_config m = {.w = r->w,
                                   .count = r->count,
                                   .engine = k == WAY_EMULATED ? c->base : c->engine,
                                   .pv = pv,
                                   .how = k == WAY_PARAVIRT && own ? own : "hardware"};
        enum status st = measure(&m, &r->way[k], err);
        if (st)
            return st;
        const struct measured *a = &r->way[0], *b = &r->way[k];
        if (a->sum != b->sum)
            return fail(err, ST_FORMAT, "%s: %s and %s have different results", r->w->name,
                        way_names[0], way_names[k]);
        if (a->text_sum != b->text_sum || a->text_bytes != b->text_bytes)
            return fail(err, ST_FORMAT, "%s: %s and %s have different output", r->w->name,
                        way_names[0], way_names[k]);
    }
    return ST_OK;
}

static enum status write_plot(const char *path, const struct result *r, int n, struct error *err)
{
    FILE *f = fopen(path, "we");
    if (!f)
        return fail(err, status_from_errno(errno), "%s: %s", path, strerror(errno));
    bool ok = plot_write(f, r, n);
    ok = !fclose(f) && ok;
    return ok ? ST_OK : fail(err, ST_IO, "%s: cannot write", path);
}

int cmd_compare(int argc, char **argv)
{
    struct compare c = {0};
    struct result results[N_WORK] = {{0}};
    struct error err = {{0}};
    int n = 0;
    if (argc &&
        (!strcmp(argv[0], "-h") || !strcmp(argv[0], "--help") || !strcmp(argv[0], "-help"))) {
        compare_help(stdout);
        return 0;
    }
    enum status st = parse(&c, argc, argv, &err);
    if (!st)
        st = choose_engines(&c, &err);
    if (st) {
        log_error("compare: %s", err.msg);
        return STATUS_USAGE;
    }
    for (size_t k = 0; !st && k < N_WORK; k++) {
        if (!c.count[k])
            continue;
        results[n].w = &workloads[k];
        results[n].count = c.count[k];
        st = compare_one(&c, &results[n++], &err);
    }
    if (!st && c.plot)
        st = write_plot(c.plot, results, n, &err);
    if (st) {
        log_error("compare: %s", err.msg);
        return STATUS_HOST;
    }
    if (c.json)
        table_json(stdout, results, n);
    else
        table_print(stdout, results, n);
    return 0;
}
