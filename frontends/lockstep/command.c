/*
 * frontends/lockstep/command.c - the command line of `trivisor lockstep`.
 */
#include "frontends/lockstep/lockstep_priv.h"
#include "frontends/lockstep/program.h"
#include "machine/views.h"
#include "base/log.h"

#include <stdlib.h>
#include <string.h>

enum {
    SLICE = 1000000,
    EVERY = 64,
    LAST = 20,
    PROGRAMS = 1000,
    LENGTH = 40,
};

enum kind { FLAG, NUMBER, TEXT };

struct parser {
    struct lockstep_options o;
    char engines[128];
};

void lockstep_help(FILE *f)
{
    fprintf(
        f,
        "usage: trivisor lockstep [options] [options of run]\n"
        "       trivisor lockstep --random [options] [FILE...]\n"
        "Runs two engines side by side and prints the first difference. -option and --option "
        "are\nthe same.\n"
        "\nBoth\n"
        "  -engines A[,B]         the two engines (default: the default one and generic)\n"
        "  -last N                instructions shown before a difference (default %d)\n"
        "\nWhole machines (with -icount; images are not written to)\n"
        "  -other PATH            another build of trivisor is the second side\n"
        "  -slice N               instructions between comparisons of registers (default %d)\n"
        "  -every N               slices between comparisons of all memory (default %d)\n"
        "  -insns N               end after so many instructions\n"
        "  -until TEXT            end when the guest says this on its serial port\n"
        "  -console               show what the guest says\n"
        "  -progress              count on stderr\n"
        "  -plant REG,N           flip a bit of the second side after N instructions, to see it\n"
        "                         found; mem=ADDRESS,N in its memory\n"
        "\nRandom programs\n"
        "  -random                compare over made-up programs, or those of stored FILEs\n"
        "  -seed S                of the first program (default 1); the next has S + 1\n"
        "  -programs N            how many (default %d)\n"
        "  -length L              instructions in each (default %d)\n"
        "  -mode 16|32|64         of the code (default: all)\n"
        "  -setup NAME            of the processor: long, compat, prot, odd (segments not flat),\n"
        "                         segs (of all kinds), real, prot16, segs16, v86\n"
        "  -cpu MODEL             CPU model (default host)\n"
        "  -against host          the second side is the host's processor (ring 3)\n"
        "  -save DIR              keep a program that differs, made small, as a file there\n"
        "\nExit status\n"
        "  0                      no difference\n"
        "  %d                      a difference\n"
        "  %d                      the command line makes no sense\n"
        "  %d                      a file or the host failed\n",
        LAST, SLICE, EVERY, PROGRAMS, LENGTH, STATUS_DIFFERENT, STATUS_USAGE, STATUS_HOST);
}

static bool in_list(const char *word, const char *const *list)
{
    for (; *list; list++)
        if (!strcmp(*list, word))
            return true;
    return false;
}

static enum status take_engines(struct parser *p, const char *arg, struct error *err)
{
    if (strlen(arg) >= sizeof(p->engines))
        return fail(err, ST_INVAL, "-engines: too long");
    strcpy(p->engines, arg);
    char *comma = strchr(p->engines, ',');
    p->o.engine[0] = p->engines;
    p->o.engine[1] = p->engines;
    if (comma) {
        *comma = 0;
        p->o.engine[1] = comma + 1;
    }
    return ST_OK;
}

static enum status check_engines(const struct parser *p, struct error *err)
{
    const char *const *list = p->o.random ? testbed_engines() : vm_engines();
    for (int k = 0; k < 2; k++) {
        const char *name = p->o.engine[k];
        if (in_list(name, list) || (k == 1 && (p->o.other || p->o.host)))
            continue;
        struct error why;
        if (vm_engine_check(name, &why) == ST_UNSUP)
            return fail(err, ST_INVAL, "-engines: %.480s", why.msg);
        const char *near = nearest(name, list);
        if (near)
            return fail(err, ST_INVAL, "-engines: no engine '%s' (did you mean '%s'?)", name, near);
        return fail(err, ST_INVAL, "-engines: no engine '%s' (there are: %s, %s ...)", name,
                    list[0], list[1]);
    }
    return ST_OK;
}

static enum status take_word(struct parser *p, const char *name, const char *arg, struct error *err)
{
    struct lockstep_options *o = &p->o;
    u64 n;
    if (!strcmp(name, "engines"))
        return take_engines(p, arg, err);
    if (!strcmp(name, "other"))
        o->other = arg;
    else if (!strcmp(name, "until"))
        o->until = arg;
    else if (!strcmp(name, "plant"))
        o->plant = arg;
    else if (!strcmp(name, "save"))
        o->save = arg;
    else if (!strcmp(name, "setup")) {
        o->setup = arg;
        if (setup_find(arg) < 0)
            return fail(err, ST_INVAL,
                        "-setup: no setup '%s' (there are: long compat prot odd "
                        "segs real prot16 segs16 v86)",
                        arg);
    } else if (!strcmp(name, "against")) {
        if (strcmp(arg, "host"))
            return fail(err, ST_INVAL, "-against: '%s' is not host", arg);
        o->host = true;
    } else {
        if (!parse_number(arg, ~0ull >> 1, &n))
            return fail(err, ST_INVAL, "-%s: '%s' is no number", name, arg);
        if (!strcmp(name, "seed")) {
            o->seed = n;
            o->have_seed = true;
            return ST_OK;
        }
        if (!n)
            return fail(err, ST_INVAL, "-%s: must not be 0", name);
        if (!strcmp(name, "slice"))
            o->slice = n;
        else if (!strcmp(name, "every"))
            o->every = n;
        else if (!strcmp(name, "insns"))
            o->insns = n;
        else if (!strcmp(name, "programs"))
            o->programs = n;
        else if (!strcmp(name, "length"))
            o->length = n;
        else if (!strcmp(name, "last"))
            o->last = (int)MIN(n, (u64)100000);
        else if (n == 16 || n == 32 || n == 64)
            o->mode = (int)n;
        else
            return fail(err, ST_INVAL, "-mode: '%s' is not 16, 32 or 64", arg);
    }
    return ST_OK;
}

/* Takes one option of ours. False: it is one of run's. */
static bool take(struct parser *p, int argc, char **argv, int *at, enum status *st,
                 struct error *err)
{
    static const char *const words[] = {
        "engines", "other", "until",    "plant",  "save", "seed",    "slice", "every",
        "insns",   "last",  "programs", "length", "mode", "against", "setup", NULL};
    const char *name = argv[*at];
    if (name[0] != '-' || !name[1])
        return false;
    name += 1 + (name[1] == '-');
    bool *flag = !strcmp(name, "random")     ? &p->o.random
                 : !strcmp(name, "progress") ? &p->o.progress
                 : !strcmp(name, "console")  ? &p->o.console
                                             : NULL;
    if (flag) {
        *flag = true;
        return true;
    }
    char word[32];
    const char *value = strchr(name, '=');
    snprintf(word, sizeof(word), "%.*s", (int)strcspn(name, "="), name);
    if (!in_list(word, words))
        return false;
    if (value)
        value++;
    else if (*at + 1 < argc)
        value = argv[++*at];
    *st = value ? take_word(p, word, value, err) : fail(err, ST_INVAL, "-%s wants a value", word);
    return true;
}

static enum status take_random(struct parser *p, const char *arg, const char *next, int *at,
                               struct error *err)
{
    if (!strcmp(arg, "-cpu") || !strcmp(arg, "--cpu")) {
        if (!next || !in_list(next, vm_cpu_models()))
            return fail(err, ST_INVAL, "-cpu: no model '%s'", next ? next : "");
        p->o.cpu = next;
        ++*at;
        return ST_OK;
    }
    if (arg[0] == '-')
        return fail(err, ST_INVAL, "'%s' is no option of random programs", arg);
    if (p->o.n_files == (int)ARRAY_LEN(p->o.files))
        return fail(err, ST_INVAL, "too many files");
    p->o.files[p->o.n_files++] = arg;
    return ST_OK;
}

static enum status parse(struct parser *p, int argc, char **argv, struct error *err)
{
    enum status st = ST_OK;
    p->o = (struct lockstep_options){.slice = SLICE,
                                     .every = EVERY,
                                     .last = LAST,
                                     .seed = 1,
                                     .programs = PROGRAMS,
                                     .length = LENGTH,
                                     .engine = {vm_engines()[0], "generic"},
                                     .run_argv = calloc((size_t)argc + 1, sizeof(char *))};
    if (!p->o.run_argv)
        return fail(err, ST_NOMEM, "out of memory");
    for (int at = 0; !st && at < argc; at++) {
        if (!strcmp(argv[at], "--"))
            continue;
        if (!take(p, argc, argv, &at, &st, err))
            p->o.run_argv[p->o.run_argc++] = argv[at];
    }
    if (!st && p->o.other && !p->engines[0])
        p->o.engine[1] = p->o.engine[0];
    for (int k = 0; !st && p->o.random && k < p->o.run_argc; k++)
        st = take_random(p, p->o.run_argv[k], k + 1 < p->o.run_argc ? p->o.run_argv[k + 1] : NULL,
                         &k, err);
    if (!st && p->o.random && (p->o.other || p->o.plant || p->o.until || p->o.insns))
        st = fail(err, ST_INVAL, "-other, -plant, -until and -insns are for whole machines");
    if (!st && !p->o.random && !p->o.run_argc)
        st = fail(err, ST_INVAL,
                  "nothing to compare: options of run, or -random ('trivisor help "
                  "lockstep')");
    return st ? st : check_engines(p, err);
}

int cmd_lockstep(int argc, char **argv)
{
    struct parser p;
    struct error err = {{0}};
    int status;
    memset(&p, 0, sizeof(p));
    if (argc > 0 && !strcmp(argv[0], "--serve"))
        return lockstep_serve(argc - 1, argv + 1);
    if (argc > 0 && (!strcmp(argv[0], "-help") || !strcmp(argv[0], "--help"))) {
        lockstep_help(stdout);
        return 0;
    }
    if (parse(&p, argc, argv, &err) != ST_OK) {
        log_error("%s", err.msg);
        status = STATUS_USAGE;
    } else {
        status = p.o.random ? lockstep_random(&p.o) : lockstep_boot(&p.o);
    }
    free(p.o.run_argv);
    return status;
}
