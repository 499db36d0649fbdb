/*
 * frontends/compare/table.c - the comparison as a table and as JSON.
 */
#include "frontends/compare/compare_priv.h"

#include <inttypes.h>
#include <string.h>

/* A gain within these says nothing: two runs of the same differ as much. */
enum { LOSES_BELOW = 87, GAINS_FROM = 115 };

u64 gain_percent(const struct result *r, enum way w)
{
    if (w == WAY_EMULATED || !r->way[w].done || !r->way[w - 1].done)
        return 0;
    return r->way[w - 1].cpu_ns * 100 / MAX(r->way[w].cpu_ns, (u64)1);
}

u64 device_accesses(const struct measured *m)
{
    return m->ledger.row[VM_EXIT_PORT].n + m->ledger.row[VM_EXIT_MMIO].n;
}

static struct vm_exit_row together(const struct measured *m, enum vm_exit_cause a,
                                   enum vm_exit_cause b)
{
    const struct vm_exit_row *r = m->ledger.row;
    return (struct vm_exit_row){r[a].n + r[b].n, r[a].ns + r[b].ns};
}

static void cell(FILE *f, struct vm_exit_row r)
{
    if (r.n)
        fprintf(f, " %9" PRIu64 " @%-6" PRIu64, r.n, r.ns / r.n);
    else
        fprintf(f, " %9s  %-6s", "-", "");
}

static void row(FILE *f, const struct result *r, enum way w)
{
    const struct measured *m = &r->way[w];
    u64 gain = gain_percent(r, w);
    fprintf(f, "%-12s %-10s %8" PRIu64 ".%02u", w ? "" : r->w->name, way_names[w],
            m->cpu_ns / 1000000, (unsigned)(m->cpu_ns / 10000 % 100));
    if (w)
        fprintf(f, " %5" PRIu64 ".%02ux", gain / 100, (unsigned)(gain % 100));
    else
        fprintf(f, " %9s", "");
    fprintf(f, " %11" PRIu64, m->insns);
    cell(f, together(m, VM_EXIT_PORT, VM_EXIT_MMIO));
    cell(f, together(m, VM_EXIT_FAULT, VM_EXIT_EXCEPTION));
    cell(f, m->ledger.row[VM_EXIT_INTERRUPT]);
    cell(f, m->ledger.row[VM_EXIT_HYPERCALL]);
    fputc('\n', f);
}

/* "12.0 device accesses": exits of a cause for each unit of work. */
static int per_unit(char *s, size_t size, const char *before, u64 n, u32 count, const char *what)
{
    u64 tenths = (n * 10 + count / 2) / count;
    if (!n)
        return 0;
    return snprintf(s, size, "%s%s%" PRIu64 ".%u %s", before, tenths ? "" : "<", tenths / 10,
                    (unsigned)(tenths ? tenths % 10 : 1), what);
}

static void causes(char *s, size_t size, const struct result *r, const struct measured *m)
{
    struct vm_exit_row faults = together(m, VM_EXIT_FAULT, VM_EXIT_EXCEPTION);
    size_t n = 0;
    s[0] = 0;
    n += (size_t)per_unit(s + n, size - n, "", device_accesses(m), r->count, "device accesses");
    n += (size_t)per_unit(s + n, size - n, n ? ", " : "", faults.n, r->count, "faults");
    n += (size_t)per_unit(s + n, size - n, n ? ", " : "", m->ledger.row[VM_EXIT_INTERRUPT].n,
                          r->count, "interrupts");
    n += (size_t)per_unit(s + n, size - n, n ? ", " : "", m->ledger.row[VM_EXIT_HYPERCALL].n,
                          r->count, "hypercalls");
    if (!n)
        snprintf(s, size, "no exits");
}

static void verdict(FILE *f, const struct result *r)
{
    char with[256], without[256];
    u64 gain = gain_percent(r, WAY_PARAVIRT);
    const struct measured *hw = &r->way[WAY_TRANSLATED], *pv = &r->way[WAY_PARAVIRT];
    if (!pv->done)
        return;
    causes(without, sizeof(without), r, hw);
    causes(with, sizeof(with), r, pv);
    fprintf(f, "             ");
    if (!pv->own_way)
        fprintf(f, "PV has no way of its own, gains nothing");
    else if (gain >= LOSES_BELOW && gain < GAINS_FROM)
        fprintf(f, "PV gains nothing");
    else
        fprintf(f, "PV %s %" PRIu64 ".%02ux", gain < LOSES_BELOW ? "loses: gain" : "gains",
                gain / 100, (unsigned)(gain % 100));
    if (strcmp(with, without))
        fprintf(f, ": %s became %s, a unit\n", without, with);
    else
        fprintf(f, ": %s a unit either way\n", with);
}

void table_print(FILE *f, const struct result *r, int n)
{
    fprintf(f,
            "ms: CPU time of the machine's thread. gain: over the line above. N @C: N exits, each "
            "of C ns.\n\n");
    fprintf(f, "%-12s %-10s %11s %9s %11s %17s %17s %17s %17s\n", "work", "way", "ms", "gain",
            "instrs", "device accesses", "faults", "interrupts", "hypercalls");
    for (int k = 0; k < n; k++) {
        fprintf(f, "-- %u %s: %s%s%s\n", r[k].count, r[k].w->unit, r[k].w->hardware,
                r[k].w->pv ? "; PV: " : "", r[k].w->pv ? r[k].w->paravirt : "");
        for (int w = 0; w < N_WAYS; w++)
            if (r[k].way[w].done)
                row(f, &r[k], (enum way)w);
        verdict(f, &r[k]);
    }
}

/* ---- JSON: names are ours, engines are the user's -------------------------------------------- */
static void quoted(FILE *f, const char *s)
{
    fputc('"', f);
    for (; *s; s++) {
        if (*s == '"' || *s == '\\')
            fputc('\\', f);
        if ((u8)*s >= 32)
            fputc(*s, f);
    }
    fputc('"', f);
}

static void json_way(FILE *f, const struct result *r, enum way w)
{
    const struct measured *m = &r->way[w];
    u64 gain = gain_percent(r, w);
    fprintf(f, "      \"%s\": {\"engine\": ", way_names[w]);
    quoted(f, m->engine);
    fprintf(f, ", \"pv\": \"%s\", \"cpu_ns\": %" PRIu64 ", \"wall_ns\": %" PRIu64, m->pv, m->cpu_ns,
            m->wall_ns);
    if (w)
        fprintf(f, ", \"gain\": %" PRIu64 ".%02u", gain / 100, (unsigned)(gain % 100));
    fprintf(f,
            ", \"own_way\": %s,\n       \"instructions\": %" PRIu64 ", \"tlb_misses\": %" PRIu64
            ", \"checksum\": \"%016" PRIx64 "\", \"console_bytes\": %" PRIu64
            ",\n       \"exits\": "
            "{",
            m->own_way ? "true" : "false", m->insns, m->tlb_misses, m->sum, m->text_bytes);
    for (int k = 0; k < VM_EXIT_CAUSES; k++)
        fprintf(f, "%s\"%s\": {\"n\": %" PRIu64 ", \"ns\": %" PRIu64 "}", k ? ", " : "",
                vm_exit_name((enum vm_exit_cause)k), m->ledger.row[k].n, m->ledger.row[k].ns);
    fprintf(f, "}, \"exits_cpu_ns\": %" PRIu64 "}", m->ledger_ns);
}

void table_json(FILE *f, const struct result *r, int n)
{
    fprintf(f, "{\"comparison\": [\n");
    for (int k = 0; k < n; k++) {
        fprintf(f, "  {\"work\": \"%s\", \"count\": %u, \"unit\": \"%s\", \"ways\": {\n",
                r[k].w->name, r[k].count, r[k].w->unit);
        for (int w = 0; w < N_WAYS; w++) {
            if (!r[k].way[w].done)
                continue;
            fprintf(f, "%s", w ? ",\n" : "");
            json_way(f, &r[k], (enum way)w);
        }
        fprintf(f, "}}%s\n", k + 1 < n ? "," : "");
    }
    fprintf(f, "]}\n");
}
