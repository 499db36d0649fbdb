/*
 * frontends/record/report.c - the conformance scoreboard: rows, forms, vectors, engines.
 */
#include "frontends/record/record_priv.h"
#include "frontends/record/host.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void head(FILE *f, const struct session *s, const struct session_config *cfg)
{
    struct session_totals t = session_totals(s);
    char cpu[64];
    record_processor(cpu);
    fprintf(f, "# Conformance\n\n"
               "Made by `trivisor record --report`; [recording.md](recording.md) says what is run "
               "and how\nresults are compared. Each number of failures is of that engine against "
               "the processor.\n\n");
    fprintf(f, "- processor: %s\n- seed %llu, %d cases a form\n", cpu[0] ? cpu : "unknown",
            (unsigned long long)cfg->seed, cfg->per_form);
    fprintf(f, "- %d rows, %d forms, %d vectors; %d cases left out\n", t.rows, t.forms, t.vectors,
            t.dropped);
    fprintf(f, "- failures:");
    for (int k = 0; k < SESSION_ENGINES && testbed_engines()[k]; k++)
        fprintf(f, "%s %s %d", k ? "," : "", testbed_engines()[k], t.failures[k]);
    fprintf(f, "\n\n");
}

enum status report_write(const struct session *s, const struct session_config *cfg,
                         const char *path, struct error *err)
{
    FILE *f = fopen(path, "w");
    if (!f)
        return fail(err, status_from_errno(errno), "%s: %s", path, strerror(errno));
    head(f, s, cfg);
    fprintf(f, "## Recorded rows\n\n| row | forms 16 | forms 32 | forms 64 | vectors | left out |");
    for (int e = 0; e < SESSION_ENGINES && testbed_engines()[e]; e++)
        fprintf(f, " %s |", testbed_engines()[e]);
    fprintf(f, "\n|---|---|---|---|---|---|");
    for (int e = 0; e < SESSION_ENGINES && testbed_engines()[e]; e++)
        fprintf(f, "---|");
    fprintf(f, "\n");
    for (int k = 1; k < insns_count(); k++) {
        const struct session_row *r = session_row(s, k);
        struct insns_row row;
        insns_row(k, &row);
        if (!r->vectors)
            continue;
        fprintf(f, "| %s | %d | %d | %d | %d | %d |", row.name, r->forms[0], r->forms[1],
                r->forms[2], r->vectors, r->dropped);
        for (int e = 0; e < SESSION_ENGINES && testbed_engines()[e]; e++)
            fprintf(f, " %d |", r->failures[e]);
        fprintf(f, "\n");
    }
    fprintf(f, "\n## Rows without recorded vectors\n\n| row | privilege | why |\n|---|---|---|\n");
    for (int k = 1; k < insns_count(); k++) {
        const char *why = session_excluded(k);
        struct insns_row row;
        insns_row(k, &row);
        if (!session_row(s, k)->vectors)
            fprintf(f, "| %s | %s | %s |\n", row.name, row.privilege,
                    why ? why : "not on this processor");
    }
    fprintf(f, "\nWhere those are tested instead: `tests/vectors/UNTESTED`.\n");
    if (fclose(f) != 0)
        return fail(err, ST_IO, "%s: cannot write it", path);
    return ST_OK;
}
