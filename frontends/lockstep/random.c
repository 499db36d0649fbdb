/*
 * frontends/lockstep/random.c - two engines over made-up programs.
 *
 * Both sides run the same number of instructions, then everything is compared; a fault is compared
 * too and the program goes on behind it. A program that differs is made smaller while it still
 * does, and printed with what differs.
 */
#include "frontends/disasm.h"
#include "frontends/lockstep/lockstep_priv.h"
#include "frontends/lockstep/program.h"
#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct bench {
    const struct lockstep_options *o;
    struct testbed *tb[2];
    struct program p, best;
    u8 code[CODE_BYTES], data[DATA_BYTES], ram[2][PROGRAM_RAM];
    /* of the last run */
    struct cpu_regs before, after[2];
    enum testbed_stop stop[2];
    struct testbed_exception ex[2];
    u64 ran[2], executed, stops, faults;
    bool memory; /* it is memory that differs */
    char again[256];
};

/* ---- one program ----------------------------------------------------------------------------- */
static void prepare(struct bench *b)
{
    u8 *image = b->ram[0];
    program_layout(&b->p, b->code);
    program_state(&b->p, &b->before, b->data);
    /* nothing is left of the program before */
    memset(image, 0, PROGRAM_RAM);
    memcpy(image + AT_CODE, b->code, CODE_BYTES);
    memcpy(image + AT_DATA, b->data, DATA_BYTES);
    for (int k = 0; k < 2; k++) {
        testbed_write(b->tb[k], 0, image, PROGRAM_RAM);
        if (b->p.setup != SETUP_REAL)
            program_tables(b->tb[k], b->p.setup);
        testbed_set(b->tb[k], &b->before);
    }
}

static bool same_ex(const struct testbed_exception *a, const struct testbed_exception *b)
{
    return a->vector == b->vector && a->error == b->error && a->has_error == b->has_error &&
           a->cr2 == b->cr2;
}

static bool same_memory(struct bench *b)
{
    for (int k = 0; k < 2; k++)
        testbed_read(b->tb[k], 0, b->ram[k], PROGRAM_RAM);
    return !memcmp(b->ram[0], b->ram[1], PROGRAM_RAM);
}

static u64 pace(u64 *state)
{
    static const u8 most[] = {1, 3, 7, 15, 31, 63, 127, 7};
    u64 r = random_next(state);
    return 1 + (r >> 8) % most[r & 7];
}

/* Where to go on after a fault: behind the instruction, or, from outside the program, anywhere. */
static bool resume(struct bench *b)
{
    u64 off = b->after[0].rip - (setup_code_base(b->p.setup) ? 0 : AT_CODE);
    int k;
    b->faults++;
    if (off < (u64)b->p.bytes)
        k = program_after(&b->p, off);
    else
        k = (int)(b->faults * 7 % (u64)b->p.n);
    if (k >= b->p.n)
        return false;
    b->after[0].rip = (setup_code_base(b->p.setup) ? 0 : AT_CODE) + b->p.item[k].off;
    b->after[0].rflags &= ~0x100ull; /* else every one traps */
    for (int s = 0; s < 2; s++)
        testbed_set(b->tb[s], &b->after[0]);
    return true;
}

/* Runs b->p. True: the sides differ; the fields say how. */
static bool differs(struct bench *b, bool memory_too)
{
    u64 limit = 8 * (u64)b->p.n + 100, paces = b->p.pace;
    bool over = false;
    prepare(b);
    b->executed = b->stops = b->faults = 0;
    b->memory = false;
    while (!over && b->executed < limit && b->stops < limit) {
        u64 n = b->p.pace ? pace(&paces) : 1;
        for (int k = 0; k < 2; k++) {
            b->ran[k] = 1;
            b->ex[k] = (struct testbed_exception){.vector = -1};
            if (!b->p.pace || n == 1)
                b->stop[k] = testbed_step(b->tb[k], &b->ex[k]);
            else
                b->stop[k] = testbed_run(b->tb[k], n, &b->ran[k]);
            if (b->stop[k] == TESTBED_CAUGHT)
                testbed_caught(b->tb[k], &b->ex[k]);
            testbed_get(b->tb[k], &b->after[k]);
        }
        b->stops++;
        b->executed += b->ran[0];
        if (b->stop[0] != b->stop[1] || b->ran[0] != b->ran[1] || !same_ex(&b->ex[0], &b->ex[1]) ||
            !regs_equal(&b->after[0], &b->after[1]))
            return true;
        if (memory_too && !same_memory(b))
            return b->memory = true;
        over = b->stop[0] == TESTBED_HALTED || b->stop[0] == TESTBED_SHUTDOWN;
        if (b->stop[0] == TESTBED_CAUGHT)
            over = !resume(b);
        b->before = b->after[0];
    }
    return !memory_too && !same_memory(b) && (b->memory = true);
}

/* ---- a program that differs ------------------------------------------------------------------ */
/* Leaves instructions out as long as it still differs. */
static void make_small(struct bench *b)
{
    struct program *p = &b->p;
    u64 paces[] = {0, 1, 2, 3};
    for (int chunk = MAX(p->n / 2, 1); chunk; chunk /= 2) {
        for (int from = 0; from < p->n; from += chunk) {
            b->best = *p;
            bool any = false;
            for (int k = from; k < p->n && k < from + chunk; k++) {
                any |= !p->item[k].gone;
                p->item[k].gone = true;
            }
            if (any && !differs(b, false))
                *p = b->best;
        }
    }
    for (size_t k = 0; k < ARRAY_LEN(paces) && p->pace > 3; k++) {
        u64 was = p->pace;
        p->pace = paces[k];
        if (!differs(b, false))
            p->pace = was;
        else
            break;
    }
}

static void print_program(const struct bench *b)
{
    const struct program *p = &b->p;
    struct disasm *d = disasm_open(setup_bits(p->setup));
    u64 base = setup_code_base(p->setup) ? 0 : AT_CODE;
    int left = b->o->last, total = 0;
    for (int k = 0; k < p->n; k++)
        total += !p->item[k].gone;
    if (total > left)
        printf("  ... (%d instructions; -last shows more)\n", total);
    for (int k = 0; k < p->n && d; k++) {
        const struct item *i = &p->item[k];
        char text[DISASM_TEXT], bytes[40] = "";
        if (i->gone || --total >= left)
            continue;
        for (int j = 0; j < i->len; j++)
            sprintf(bytes + 2 * j, "%02x", i->bytes[j]);
        disasm_one(d, i->bytes, i->len, base + i->off, text, sizeof(text));
        printf("%c %05" PRIx64 "  %-24s %s\n", base + i->off == b->before.rip ? '>' : ' ',
               base + i->off, bytes, text);
    }
    disasm_close(d);
}

/* The instruction at which it happened, when it is not (or no longer) one of the program's. */
static void print_current(struct bench *b)
{
    const struct cpu_regs *r = &b->before;
    struct disasm *d = disasm_open(r->mode_bits ? r->mode_bits : setup_bits(b->p.setup));
    u64 lin = (r->mode_bits == 64 ? 0 : r->seg[CPU_SEG_CS].base) + r->rip;
    char text[DISASM_TEXT] = "";
    u8 code[15];
    if (d && testbed_read(b->tb[0], lin, code, sizeof(code))) {
        disasm_one(d, code, sizeof(code), r->rip, text, sizeof(text));
        printf("  at %04x:%" PRIx64 " (", r->seg[CPU_SEG_CS].sel, r->rip);
        for (size_t k = 0; k < sizeof(code); k++)
            printf("%02x", code[k]);
        printf(") %s\n", text);
    }
    disasm_close(d);
}

static void save(const struct bench *b, const char *name)
{
    char path[512];
    struct error err;
    if (mkdir(b->o->save, 0777) < 0 && errno != EEXIST) {
        log_error("cannot make %s: %s", b->o->save, strerror(errno));
        return;
    }
    snprintf(path, sizeof(path), "%s/%s.prog", b->o->save, name);
    if (program_save(&b->p, path, &err) != ST_OK)
        log_error("%s", err.msg);
    else
        printf("Stored as %s\n", path);
}

static void report(struct bench *b, const char *name)
{
    static const char *const stops[] = {"executed", "halted", "shutdown", "exception"};
    const char *const *e = b->o->engine;
    make_small(b);
    if (!differs(b, true) && !differs(b, false)) {
        printf("lockstep: %s: different once and not again\n", name);
        return;
    }
    printf("lockstep: %s: %s and %s are different after %" PRIu64 " instructions (%s, state "
           "%#" PRIx64 ", %s)\n",
           name, e[0], e[1], b->executed, setup_name(b->p.setup), b->p.state,
           b->p.pace ? "in runs" : "in steps");
    print_program(b);
    print_current(b);
    for (int k = 0; k < 2; k++)
        if (b->stop[0] != b->stop[1] || b->ran[0] != b->ran[1] || !same_ex(&b->ex[0], &b->ex[1]))
            printf("  %s: %s %d, error %#x, cr2 %" PRIx64 ", %" PRIu64 " instructions\n", e[k],
                   stops[b->stop[k]], b->ex[k].vector, b->ex[k].error, b->ex[k].cr2, b->ran[k]);
    regs_print(stdout, e[0], &b->after[0], e[1], &b->after[1]);
    same_memory(b);
    bytes_print(stdout, 0, b->ram[0], b->ram[1], PROGRAM_RAM, 8);
    printf("Again: %s\n", b->again);
    if (b->o->save)
        save(b, name);
}

/* ---- all of them ----------------------------------------------------------------------------- */
/* A crash of ours leaves the command that brings it back. */
static char *volatile last_words;

static void on_crash(int sig)
{
    const char *w = last_words;
    if (w)
        write_all(2, w, strlen(w));
    signal(sig, SIG_DFL);
    raise(sig);
}

static enum setup choose_setup(const struct lockstep_options *o, u64 seed)
{
    enum setup fit[SETUPS];
    u64 n = 0;
    if (o->setup)
        return (enum setup)setup_find(o->setup);
    for (int k = 0; k < SETUPS; k++)
        if (!o->mode || setup_bits((enum setup)k) == o->mode)
            fit[n++] = (enum setup)k;
    return fit[seed % n];
}

static enum status open_beds(struct bench *b, const char *cpu, struct error *err)
{
    for (int k = 0; k < 2; k++) {
        testbed_free(b->tb[k]);
        b->tb[k] = NULL;
        struct testbed_config c = {
            .cpu = cpu, .engine = b->o->engine[k], .ram_size = PROGRAM_RAM, .catch = true};
        enum status st = testbed_new(&c, &b->tb[k], err);
        if (st)
            return st;
    }
    return ST_OK;
}

static enum status run_files(struct bench *b, u64 *bad, struct error *err)
{
    enum status st = ST_OK;
    for (int k = 0; !st && k < b->o->n_files; k++) {
        const char *path = b->o->files[k], *slash = strrchr(path, '/');
        char cpu[64] = "host";
        st = program_load(&b->p, path, cpu, err);
        if (!st)
            st = open_beds(b, cpu, err);
        if (st)
            break;
        snprintf(b->again, sizeof(b->again), "trivisor lockstep --random --engines %s,%s %.160s",
                 b->o->engine[0], b->o->engine[1], path);
        last_words = b->again;
        if (differs(b, false)) {
            ++*bad;
            report(b, slash ? slash + 1 : path);
        }
    }
    return st;
}

static enum status run_seeds(struct bench *b, u64 *bad, u64 *executed, u64 *faults,
                             struct error *err)
{
    const struct lockstep_options *o = b->o;
    enum status st = open_beds(b, o->cpu, err);
    for (u64 k = 0; !st && k < o->programs && !*bad; k++) {
        u64 seed = o->seed + k;
        enum setup setup = choose_setup(o, seed);
        snprintf(b->again, sizeof(b->again),
                 "trivisor lockstep --random --engines %s,%s --seed %" PRIu64
                 " --programs 1 --length %" PRIu64 " --setup %s%s%s\n",
                 o->engine[0], o->engine[1], seed, o->length, setup_name(setup),
                 o->cpu ? " --cpu " : "", o->cpu ? o->cpu : "");
        last_words = b->again;
        b->p.cpu = o->cpu;
        program_make(&b->p, b->tb[0], setup, seed, (int)MIN(o->length, (u64)PROGRAM_MAX));
        if (differs(b, false)) {
            char name[64];
            snprintf(name, sizeof(name), "%s-%" PRIu64, setup_name(setup), seed);
            ++*bad;
            report(b, name);
        }
        *executed += b->executed;
        *faults += b->faults;
    }
    return st;
}

int lockstep_random(const struct lockstep_options *o)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGABRT};
    struct bench *b;
    struct error err = {{0}};
    u64 bad = 0, executed = 0, faults = 0;
    if (o->host)
        return lockstep_host(o);
    b = calloc(1, sizeof(*b));
    if (!b) {
        log_error("out of memory");
        return STATUS_HOST;
    }
    b->o = o;
    for (size_t k = 0; k < ARRAY_LEN(signals); k++)
        signal(signals[k], on_crash);
    enum status st =
        o->n_files ? run_files(b, &bad, &err) : run_seeds(b, &bad, &executed, &faults, &err);
    last_words = NULL;
    for (size_t k = 0; k < ARRAY_LEN(signals); k++)
        signal(signals[k], SIG_DFL);
    if (st)
        log_error("%s", err.msg);
    else if (!bad && o->n_files)
        printf("lockstep: %s and %s are equal over %d stored programs\n", o->engine[0],
               o->engine[1], o->n_files);
    else if (!bad)
        printf("lockstep: %s and %s are equal over %" PRIu64 " programs, %" PRIu64
               " instructions, %" PRIu64 " faults\n",
               o->engine[0], o->engine[1], o->programs, executed, faults);
    for (int k = 0; k < 2; k++)
        testbed_free(b->tb[k]);
    free(b);
    fflush(stdout);
    return st ? (st == ST_INVAL ? STATUS_USAGE : STATUS_HOST) : bad ? STATUS_DIFFERENT : 0;
}
