/*
 * frontends/check/check.c - `trivisor check`: recorded vectors against an engine.
 */
#include "frontends/check/check_priv.h"
#include "frontends/cli_priv.h"
#include "base/log.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_DEPTH = 16, STATUS_FAILED = 1 };

void check_help(FILE *f)
{
    fprintf(
        f,
        "usage: trivisor check [options] FILE|DIR|FILE#N...\n"
        "Runs recorded single-step vectors (MOO, JSON; docs/check.md) on an engine and compares\n"
        "registers, flags and memory. FILE#N is test N of a file alone. The status is 0 if at\n"
        "least one test ran and all passed, 1 if not.\n\n"
        "  --cpu MODEL        the model; else the one that the file was recorded on\n"
        "  --engine NAME      interp (default), generic (no fast handlers), bt where it is built\n"
        "                     in, host (the processor itself: vectors of user processes)\n"
        "  --filter GLOB      only files (F7.*) or tests (idiv*) of that name\n"
        "  --only FILE#N      the same as FILE#N\n"
        "  --jobs N           processes; default: as many as processors\n"
        "  --stop-on-fail     end after the first failure\n"
        "  --show N           failures described per file (default 3)\n"
        "  --exceptions FILE  known failures, one a line: FILE NUMBER-OR-HASH REASON;\n"
        "                     one that passes is a failure\n"
        "  --junit FILE       write a JUnit report, a test case a file\n"
        "  --tap              write TAP to the standard output, a test a file\n"
        "  --quiet            no progress, only files that failed\n");
}

static bool add_file(struct check_options *o, const char *path, bool one, u32 only)
{
    if (o->n_files == o->cap_files) {
        u32 cap = o->cap_files ? o->cap_files * 2 : 256;
        struct check_file *p = realloc(o->files, cap * sizeof(*p));
        if (!p)
            return false;
        o->files = p;
        o->cap_files = cap;
    }
    char *copy = strdup(path);
    if (!copy)
        return false;
    o->files[o->n_files++] = (struct check_file){copy, one, only};
    return true;
}

static bool ends(const char *name, const char *with)
{
    size_t n = strlen(name), m = strlen(with);
    return n >= m && !strcasecmp(name + n - m, with);
}

static bool is_vector(const char *name)
{
    return ends(name, ".moo") || ends(name, ".moo.gz") ||
           ((ends(name, ".json") || ends(name, ".json.gz")) && strcmp(name, "metadata.json"));
}

static enum status add_dir(struct check_options *o, const char *dir, int depth, struct error *err)
{
    struct dirent **list;
    enum status st = ST_OK;
    int n = scandir(dir, &list, NULL, alphasort);
    if (n < 0)
        return fail(err, ST_IO, "%s: cannot read the folder", dir);
    for (int k = 0; k < n; k++) {
        char path[4096];
        struct stat sb;
        const char *name = list[k]->d_name;
        int len = snprintf(path, sizeof(path), "%s%s%s", dir, ends(dir, "/") ? "" : "/", name);
        if (st != ST_OK || name[0] == '.' || len >= (int)sizeof(path) || stat(path, &sb))
            ;
        else if (S_ISDIR(sb.st_mode) && depth < MAX_DEPTH)
            st = add_dir(o, path, depth + 1, err);
        else if (S_ISREG(sb.st_mode) && is_vector(name) && !add_file(o, path, false, 0))
            st = fail(err, ST_NOMEM, "out of memory");
        free(list[k]);
    }
    free(list);
    return st;
}

static enum status add_path(struct check_options *o, const char *path, struct error *err)
{
    struct stat sb;
    if (!stat(path, &sb)) {
        if (S_ISDIR(sb.st_mode))
            return add_dir(o, path, 0, err);
        return add_file(o, path, false, 0) ? ST_OK : fail(err, ST_NOMEM, "out of memory");
    }
    const char *hash = strrchr(path, '#');
    u64 n;
    if (hash && parse_number(hash + 1, 0xffffffff, &n)) {
        char file[4096];
        snprintf(file, sizeof(file), "%.*s", (int)(hash - path), path);
        if (!stat(file, &sb) && S_ISREG(sb.st_mode))
            return add_file(o, file, true, (u32)n) ? ST_OK : fail(err, ST_NOMEM, "out of memory");
    }
    return fail(err, ST_NOENT, "%s: no such file", path);
}

static enum status word_of(const char *what, const char *word, const char *const *list,
                           struct error *err)
{
    for (const char *const *p = list; *p; p++)
        if (!strcmp(*p, word))
            return ST_OK;
    const char *near = nearest(word, list);
    if (near)
        return fail(err, ST_INVAL, "no %s '%s' (did you mean '%s'?)", what, word, near);
    return fail(err, ST_INVAL, "no %s '%s'", what, word);
}

static enum status take_option(struct check_options *o, const char *name, const char *arg,
                               struct error *err)
{
    if (!strcmp(name, "cpu")) {
        o->cpu = arg;
        return word_of("CPU model", arg, vm_cpu_models(), err);
    }
    if (!strcmp(name, "engine")) {
        const char *engines[MAX_ENGINES];
        runner_engines(engines);
        o->engine = arg;
        return word_of("engine", arg, engines, err);
    }
    if (!strcmp(name, "filter"))
        o->filter = arg;
    else if (!strcmp(name, "only"))
        return add_path(o, arg, err);
    else if (!strcmp(name, "junit"))
        o->junit = arg;
    else if (!strcmp(name, "exceptions"))
        o->exceptions = arg;
    else if (!strcmp(name, "jobs") && (!parse_number(arg, 256, &o->jobs) || !o->jobs))
        return fail(err, ST_INVAL, "--jobs: '%s' is no number from 1 to 256", arg);
    else if (!strcmp(name, "show") && !parse_number(arg, 1000000, &o->show))
        return fail(err, ST_INVAL, "--show: '%s' is no number", arg);
    return ST_OK;
}

static enum status parse(int argc, char **argv, struct check_options *o, struct error *err)
{
    static const char *const with[] = {"cpu",        "engine", "filter", "only", "junit",
                                       "exceptions", "jobs",   "show",   NULL};
    static const char *const all[] = {"cpu",   "engine",     "filter",       "only",
                                      "junit", "exceptions", "jobs",         "show",
                                      "tap",   "quiet",      "stop-on-fail", NULL};
    enum status st = ST_OK;
    for (int k = 0; st == ST_OK && k < argc; k++) {
        char name[32];
        const char *a = argv[k], *eq = strchr(a, '='), *arg = eq ? eq + 1 : NULL;
        if (a[0] != '-' || !a[1]) {
            st = add_path(o, a, err);
            continue;
        }
        a += 1 + (a[1] == '-');
        snprintf(name, sizeof(name), "%.*s", eq ? (int)(eq - a) : 31, a);
        if (!strcmp(name, "tap")) {
            o->tap = true;
        } else if (!strcmp(name, "quiet")) {
            o->quiet = true;
        } else if (!strcmp(name, "stop-on-fail")) {
            o->stop = true;
        } else if ((st = word_of("option", name, with, err)) != ST_OK) {
            st = word_of("option", name, all, err);
        } else {
            if (!arg && k + 1 < argc)
                arg = argv[++k];
            st = arg ? take_option(o, name, arg, err)
                     : fail(err, ST_INVAL, "--%s wants an argument", name);
        }
    }
    if (st == ST_OK && !o->n_files)
        st = fail(err, ST_INVAL, "no vector files ('trivisor help check')");
    return st;
}

static int summary(const struct check_options *o, struct file_result *r)
{
    u64 passed = 0, failed = 0, skipped = 0, known = 0;
    u32 bad = 0;
    for (u32 k = 0; k < o->n_files; k++) {
        passed += r[k].passed;
        failed += r[k].failed;
        skipped += r[k].skipped;
        known += r[k].known;
        bad += r[k].failed != 0;
    }
    FILE *f = o->tap ? stderr : stdout;
    fprintf(f, "%u files: %llu passed, %llu failed", o->n_files, (unsigned long long)passed,
            (unsigned long long)failed);
    if (known)
        fprintf(f, ", %llu known", (unsigned long long)known);
    if (skipped)
        fprintf(f, ", %llu skipped", (unsigned long long)skipped);
    if (bad)
        fprintf(f, " (in %u files)", bad);
    fprintf(f, "\n");
    if (!passed && !failed)
        log_error("no test was run");
    return passed && !failed ? 0 : STATUS_FAILED;
}

int cmd_check(int argc, char **argv)
{
    struct check_options o = {.engine = "interp", .show = 3};
    struct file_result *r = NULL;
    struct error err;
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    int status;

    o.jobs = cpus > 0 ? (u64)cpus : 1;
    if (parse(argc, argv, &o, &err) != ST_OK) {
        log_error("%s", err.msg);
        status = STATUS_USAGE;
    } else if (!(r = calloc(o.n_files, sizeof(*r)))) {
        log_error("out of memory");
        status = STATUS_HOST;
    } else {
        struct exceptions *e = NULL;
        if (o.exceptions && exceptions_open(o.exceptions, &e, &err) != ST_OK) {
            log_error("%s", err.msg);
            status = STATUS_USAGE;
        } else {
            exceptions_close(e);
            pool_run(&o, r);
            status = summary(&o, r);
            if (o.tap)
                report_tap(&o, r);
            if (o.junit && !report_junit(&o, r)) {
                log_error("%s: cannot write it", o.junit);
                status = STATUS_HOST;
            }
        }
    }
    for (u32 k = 0; k < o.n_files; k++) {
        free(o.files[k].path);
        if (r)
            free(r[k].text);
    }
    free(o.files);
    free(r);
    return status;
}
