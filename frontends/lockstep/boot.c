/*
 * frontends/lockstep/boot.c - two whole machines, instruction for instruction.
 *
 * Both run in processes of their own, at the same time, in slices of equal length under -icount, so
 * that they see identical time. After each slice registers and what the guest said are compared,
 * after some slices all of memory; then both mark the place (serve.c). After a difference both go
 * back to the mark and the smallest number of instructions after which they differ is searched
 * for, each try from the mark in one go: engines do not use their fast paths when they are
 * stepped, so stepping alone would not see the difference again.
 */
#include "frontends/lockstep/lockstep_priv.h"
#include "frontends/disasm.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct pair {
    const struct lockstep_options *o;
    struct side side[2];
    struct progress p[2];
    bool died[2];
    struct error death[2];
    u64 at;         /* instructions executed at the mark */
    u64 shown;      /* bytes of the guest's words that were looked at */
    char tail[256]; /* the last of them, for `until` */
    size_t n_tail;
    bool seen;
    u64 compared, digests;
    struct timespec start;
};

/* ---- asking both at once --------------------------------------------------------------------- */
static enum status both(struct pair *x, enum request_kind kind, u64 a, void *out0, void *out1,
                        size_t len, struct error *err)
{
    void *out[2] = {out0, out1};
    enum status st = ST_OK;
    for (int k = 0; !st && k < 2; k++)
        st = side_ask(&x->side[k], kind, a, 0, err);
    for (int k = 0; !st && k < 2; k++) {
        size_t n = len;
        struct error e;
        st = side_answer(&x->side[k], out[k], &n, &e);
        if (st == ST_IO && kind == REQ_RUN) {
            x->died[k] = true; /* a difference, and one to look closer at */
            x->death[k] = e;
            st = ST_OK;
        } else if (st) {
            fail(err, st, "%s: %.480s", x->side[k].name, e.msg);
        } else if (n != len) {
            st = fail(err, ST_FORMAT, "%s: answers something else", x->side[k].name);
        }
    }
    return st;
}

static enum status run_both(struct pair *x, u64 n, struct error *err)
{
    x->died[0] = x->died[1] = false;
    return both(x, REQ_RUN, n, &x->p[0], &x->p[1], sizeof(x->p[0]), err);
}

static bool same_progress(const struct pair *x)
{
    const struct progress *a = &x->p[0], *b = &x->p[1];
    return !x->died[0] && !x->died[1] && a->icount == b->icount && a->why == b->why &&
           a->exit_code == b->exit_code && a->serial_len == b->serial_len &&
           a->serial_digest == b->serial_digest && a->virtual_ns == b->virtual_ns &&
           regs_equal(&a->regs, &b->regs);
}

static enum status same_memory(struct pair *x, bool *same, struct error *err)
{
    u64 a = 0, b = 0;
    enum status st = both(x, REQ_DIGEST, 0, &a, &b, sizeof(a), err);
    x->digests++;
    *same = a == b;
    return st;
}

static enum status mark_both(struct pair *x, struct error *err)
{
    enum status st = both(x, REQ_MARK, 0, NULL, NULL, 0, err);
    while (waitpid(-1, NULL, WNOHANG) > 0) {
    }
    return st;
}

/* ---- finding the first difference ------------------------------------------------------------ */
/* Whether the two differ after n instructions from the mark. */
static enum status try_from_mark(struct pair *x, u64 n, bool *same, struct error *err)
{
    enum status st = both(x, REQ_BACK, 0, NULL, NULL, 0, err);
    if (!st)
        st = run_both(x, n, err);
    *same = !st && same_progress(x);
    if (!st && *same)
        st = same_memory(x, same, err);
    return st;
}

static void say_end(const struct pair *x, int k)
{
    static const char *const why[] = {"power-off", "reset",    "triple fault", "runs",
                                      "exit",      "debugger", "error"};
    const struct progress *p = &x->p[k];
    if (x->died[k])
        printf("  %s: %s\n", x->side[k].name, x->death[k].msg);
    else
        printf("  %s: %s, %" PRIu64 " instructions, %" PRIu64 " ns, said %" PRIu64 " bytes\n",
               x->side[k].name, (size_t)p->why < ARRAY_LEN(why) ? why[p->why] : "?", p->icount,
               p->virtual_ns, p->serial_len);
}

static enum status show_memory(struct pair *x, struct error *err)
{
    enum { N = 4096 };
    u64 *a = calloc(2 * N, sizeof(*a)), *b = a + N;
    u8 page[2][PAGE_SIZE];
    enum status st = a ? ST_OK : fail(err, ST_NOMEM, "out of memory");
    u64 pages = x->side[0].ram_size >> PAGE_SHIFT, bad = 0;
    for (u64 first = 0; !st && first < pages; first += N) {
        u64 n = MIN(pages - first, (u64)N);
        for (int k = 0; !st && k < 2; k++)
            st = side_call(&x->side[k], REQ_PAGES, first, n, k ? b : a, n * sizeof(u64), err);
        for (u64 j = 0; !st && j < n; j++) {
            if (a[j] == b[j] || ++bad > 4)
                continue;
            for (int k = 0; !st && k < 2; k++)
                st = side_call(&x->side[k], REQ_PAGE, first + j, 0, page[k], PAGE_SIZE, err);
            if (!st)
                bytes_print(stdout, (first + j) << PAGE_SHIFT, page[0], page[1], PAGE_SIZE, 8);
        }
    }
    if (bad > 4)
        printf("  ... in %" PRIu64 " pages\n", bad);
    free(a);
    return st;
}

/* The instructions before the difference, as the first side meets them when it is stepped. */
static enum status show_code(struct pair *x, u64 n, struct error *err)
{
    struct side *s = &x->side[0];
    u64 from = n > (u64)x->o->last ? n - (u64)x->o->last : 0;
    struct progress p;
    enum status st = side_call(s, REQ_BACK, 0, 0, NULL, 0, err);
    /* the run of no instructions tells the registers */
    if (!st)
        st = side_call(s, REQ_RUN, from, 0, &p, sizeof(p), err);
    for (u64 k = from; !st && k < n; k++) {
        u8 code[PEEK_MAX];
        char text[DISASM_TEXT];
        size_t len = sizeof(code);
        u64 lin = p.regs.seg[CPU_SEG_CS].base + p.regs.rip;
        if (p.regs.mode_bits == 64)
            lin = p.regs.rip;
        else
            lin = (u32)lin;
        st = side_ask(s, REQ_PEEK, lin, 0, err);
        if (!st)
            st = side_answer(s, code, &len, err);
        struct disasm *d = disasm_open(p.regs.mode_bits);
        int got = d ? disasm_one(d, code, len, p.regs.rip, text, sizeof(text)) : 0;
        disasm_close(d);
        if (!st)
            printf("%13" PRIu64 "  %04x:%08" PRIx64 "  %s\n", p.icount, p.regs.seg[CPU_SEG_CS].sel,
                   p.regs.rip, got ? text : "(not readable)");
        if (!st)
            st = side_call(s, REQ_RUN, 1, 0, &p, sizeof(p), err);
    }
    return st;
}

/* Between the mark and n instructions after it the two begin to differ. */
static enum status locate(struct pair *x, u64 n, struct error *err)
{
    u64 lo = 0, hi = n; /* equal after lo, different after hi */
    bool same;
    fprintf(stderr, "trivisor: a difference; searching %" PRIu64 " instructions for its start\n",
            n);
    enum status st = try_from_mark(x, hi, &same, err);
    if (!st && same) {
        printf("lockstep: different after %" PRIu64 " instructions once, and not again: not "
               "deterministic\n",
               x->at + n);
        return ST_OK;
    }
    while (!st && hi - lo > 1) {
        u64 mid = lo + (hi - lo) / 2;
        st = try_from_mark(x, mid, &same, err);
        if (same)
            lo = mid;
        else
            hi = mid;
    }
    if (st)
        return st;
    printf("lockstep: %s and %s are different after %" PRIu64 " instructions (equal after %" PRIu64
           ")\n",
           x->side[0].name, x->side[1].name, x->at + hi, x->at + lo);
    st = show_code(x, hi, err);
    if (!st)
        st = try_from_mark(x, hi, &same, err);
    if (st)
        return st;
    if (x->died[0] || x->died[1] || x->p[0].why != x->p[1].why ||
        x->p[0].icount != x->p[1].icount || x->p[0].serial_len != x->p[1].serial_len) {
        say_end(x, 0);
        say_end(x, 1);
    }
    if (x->died[0] || x->died[1])
        return ST_OK;
    regs_print(stdout, x->side[0].name, &x->p[0].regs, x->side[1].name, &x->p[1].regs);
    return show_memory(x, err);
}

/* ---- the guest's words ----------------------------------------------------------------------- */
static enum status look_at_words(struct pair *x, struct error *err)
{
    u8 *buf;
    size_t n = SERIAL_KEPT;
    if (x->p[0].serial_len == x->shown || (!x->o->until && !x->o->console))
        return ST_OK;
    buf = malloc(SERIAL_KEPT);
    enum status st = buf ? side_ask(&x->side[0], REQ_SERIAL, x->shown, 0, err)
                         : fail(err, ST_NOMEM, "out of memory");
    if (!st)
        st = side_answer(&x->side[0], buf, &n, err);
    if (!st && x->o->console)
        write_all(1, buf, n);
    for (size_t k = 0; !st && x->o->until && k < n; k++) {
        size_t want = strlen(x->o->until);
        if (x->n_tail == sizeof(x->tail))
            memmove(x->tail, x->tail + 1, --x->n_tail);
        x->tail[x->n_tail++] = (char)buf[k];
        if (x->n_tail >= want && !memcmp(x->tail + x->n_tail - want, x->o->until, want))
            x->seen = true;
    }
    x->shown = x->p[0].serial_len;
    free(buf);
    return st;
}

static double seconds(const struct pair *x)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - x->start.tv_sec) + 1e-9 * (double)(now.tv_nsec - x->start.tv_nsec);
}

static void show_progress(const struct pair *x, const char *end)
{
    double s = seconds(x);
    fprintf(stderr,
            "\r%" PRIu64 " M instructions equal, %.1f s of the guest's time, %.0f s, %.1f "
            "MIPS, %" PRIu64 " bytes said%s",
            x->p[0].icount / 1000000, 1e-9 * (double)x->p[0].virtual_ns, s,
            s > 0 ? 1e-6 * (double)x->p[0].icount / s : 0, x->p[0].serial_len, end);
}

/* ---- the comparison -------------------------------------------------------------------------- */
/* Runs both until something ends them. *different: it was a difference, and it is printed. */
static enum status compare(struct pair *x, bool *different, struct error *err)
{
    const struct lockstep_options *o = x->o;
    bool over = false, same = true;
    enum status st = mark_both(x, err);
    while (!st && !over) {
        u64 n = 0;
        for (u64 k = 0; !st && !over && same && k < o->every; k++) {
            u64 left = o->insns ? o->insns - x->at - n : o->slice;
            u64 step = MIN(o->slice, left);
            if (!step) {
                over = true;
                break;
            }
            st = run_both(x, step, err);
            n += step;
            same = !st && same_progress(x);
            x->compared++;
            if (st || !same)
                break;
            over = x->p[0].why != VM_STOP_REQUEST || x->p[0].icount < x->at + n;
            st = look_at_words(x, err);
            over = over || x->seen;
        }
        if (!st && same)
            st = same_memory(x, &same, err);
        if (!st && !same) {
            if (o->progress)
                fputc('\n', stderr);
            *different = true;
            return locate(x, n, err);
        }
        if (!st)
            st = mark_both(x, err);
        x->at = x->p[0].icount;
        if (!st && o->progress)
            show_progress(x, over ? "\n" : "");
    }
    return st;
}

int lockstep_boot(const struct lockstep_options *o)
{
    struct pair *x = calloc(1, sizeof(*x));
    struct error err = {{0}};
    bool different = false;
    int status = STATUS_HOST;
    if (!x)
        return STATUS_HOST;
    x->o = o;
    x->side[0].fd = x->side[1].fd = -1;
    clock_gettime(CLOCK_MONOTONIC, &x->start);
    prctl(PR_SET_CHILD_SUBREAPER, 1); /* marks outlive their parents */
    enum status st = ST_OK;
    for (int k = 0; !st && k < 2; k++)
        st = side_open(&x->side[k], k ? o->other : NULL, o->engine[k], k ? o->plant : NULL,
                       o->run_argc, o->run_argv, &err);
    if (!st && x->side[0].ram_size != x->side[1].ram_size)
        st = fail(&err, ST_INVAL, "the two sides have different memories");
    if (!st)
        st = compare(x, &different, &err);
    fflush(stdout);
    if (st) {
        fprintf(stderr, "trivisor: %s\n", err.msg);
        status = st == ST_INVAL ? STATUS_USAGE : STATUS_HOST;
    } else if (different) {
        status = STATUS_DIFFERENT;
    } else if (o->until && !x->seen) {
        say_end(x, 0);
        fprintf(stderr, "trivisor: the guest did not say '%s'\n", o->until);
        status = STATUS_HOST;
    } else {
        printf("lockstep: %s and %s are equal over %" PRIu64 " instructions, %" PRIu64
               " comparisons, %" PRIu64 " of all memory, %.1f s\n",
               x->side[0].name, x->side[1].name, x->p[0].icount, x->compared, x->digests,
               seconds(x));
        say_end(x, 0);
        status = 0;
    }
    for (int k = 0; k < 2; k++)
        side_close(&x->side[k]);
    free(x);
    return status;
}
