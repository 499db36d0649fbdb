/*
 * tests/record/test_rows.c - each row has recorded vectors, or a case elsewhere, or is on a list
 * that may only shrink.
 */
#include <criterion/criterion.h>

#include "machine/insns.h"
#include "tests/record/record_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MAX_UNTESTED = 12 }; /* never raise it */

/* Calls fn for each line "ROW REST" of a list. */
static int each_line(const char *name, void (*fn)(u8 *listed, int row, const char *rest),
                     u8 *listed)
{
    char path[4096], line[512], row[64];
    int n = 0, at;
    snprintf(path, sizeof(path), "%s/tests/vectors/%s", source_root(), name);
    FILE *f = fopen(path, "r");
    cr_assert(f, "%s", path);
    while (fgets(line, sizeof(line), f)) {
        line[strcspn(line, "\n")] = 0;
        if (line[0] == '#' || !line[0])
            continue;
        cr_assert(sscanf(line, "%63s %n", row, &at) == 1 && line[at], "%s: '%s'", name, line);
        int id = insns_find(row);
        cr_expect(id, "%s: no row %s", name, row);
        cr_expect(!listed[id], "%s is listed twice", row);
        listed[id] = 1;
        fn(listed, id, line + at);
        n++;
    }
    fclose(f);
    return n;
}

static void nothing(u8 *listed, int row, const char *rest)
{
}

/* The file that is said to test the row names its instruction. */
static void names_it(u8 *listed, int row, const char *rest)
{
    static char text[1 << 20];
    char path[4096], word[32];
    struct insns_row r;
    if (!strncmp(rest, "suite:", 6)) /* all of a public suite's vectors run (docs/check.md) */
        return;
    insns_row(row, &r);
    snprintf(word, sizeof(word), "%s", r.name);
    if (strchr(word, '_'))
        *strchr(word, '_') = 0;
    snprintf(path, sizeof(path), "%s/%s", source_root(), rest);
    FILE *f = fopen(path, "r");
    cr_assert(f, "%s", path);
    text[fread(text, 1, sizeof(text) - 1, f)] = 0;
    fclose(f);
    cr_expect(strcasestr(text, word), "%s says nothing of %s", rest, word);
}

Test(rows, each_has_vectors_or_a_reason)
{
    u8 *listed = calloc((size_t)insns_count(), 1);
    each_line("ELSEWHERE", names_it, listed);
    int n = each_line("UNTESTED", nothing, listed);
    cr_expect(n == MAX_UNTESTED, "UNTESTED has %d lines, not %d: %s", n, MAX_UNTESTED,
              n < MAX_UNTESTED ? "lower MAX_UNTESTED" : "it may only shrink");
    for (int row = 1; row < insns_count(); row++) {
        struct insns_row r;
        insns_row(row, &r);
        const char *why = session_excluded(row);
        const char *suffix = strrchr(r.name, '_');
        if (suffix && (!strcmp(suffix, "_286") || !strcmp(suffix, "_8086")))
            continue; /* the public suites' by their name */
        cr_expect(!why || listed[row], "%s has no vectors (%s), and neither list has it", r.name,
                  why);
        cr_expect(why || !listed[row], "%s is recorded: take it off the list", r.name);
    }
    free(listed);
}
