/*
 * frontends/check/pool.c - files given to worker processes, results put in order.
 *
 * Workers are forked, so an engine that crashes takes one file with it and is named. A worker takes
 * the next file by a shared counter and sends what came of it through its pipe.
 */
#include "frontends/check/check_priv.h"
#include "machine/testbed.h"

#include <errno.h>
#include <fnmatch.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_JOBS = 256, MAX_TEXT = 1 << 22 };

struct shared {
    u32 next; /* file to take */
    u32 stop;
    struct {
        u32 file, test; /* being run; file ~0: none */
    } at[MAX_JOBS];
};

struct message {
    u32 file, passed, failed, skipped, known, text;
    double seconds;
};

struct worker {
    pid_t pid;
    int fd;
};

/* One per process: engines for the models that files asked for. */
struct bench {
    const struct check_options *o;
    struct exceptions *known;
    struct runner *runner;
    const char *cpu; /* of runner */
    struct suite *suite;
    char dir[4096]; /* of suite */
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static const char *model_of(const struct vector_meta *m)
{
    static const struct {
        const char *id, *cpu;
    } known[] = {{"8086", "8086"}, {"8088", "8086"}, {"C286", "286"},      {"286 ", "286"},
                 {"386E", "386"},  {"386 ", "386"},  {"X64 ", "x86-64-v3"}};
    for (size_t k = 0; k < ARRAY_LEN(known); k++)
        if (!strncmp(m->cpu, known[k].id, 4))
            return known[k].cpu;
    return NULL;
}

static bool selected(const char *filter, const char *path, const char *name)
{
    const char *base = strrchr(path, '/');
    char stem[256];
    if (!filter)
        return true;
    snprintf(stem, sizeof(stem), "%s", base ? base + 1 : path);
    if (!fnmatch(filter, stem, 0) || !fnmatch(filter, name, FNM_CASEFOLD))
        return true;
    for (char *dot; (dot = strrchr(stem, '.')) &&
                    (!strcmp(dot, ".gz") || !strcasecmp(dot, ".moo") || !strcmp(dot, ".json"));)
        *dot = 0;
    return !fnmatch(filter, stem, 0);
}

static bool prepare(struct bench *b, const struct check_file *cf, const struct vector_meta *m,
                    struct error *err)
{
    const char *cpu = b->o->cpu ? b->o->cpu : model_of(m), *slash = strrchr(cf->path, '/');
    char dir[sizeof(b->dir)];
    if (!cpu) {
        fail(err, ST_UNSUP, "recorded on '%s': name a model with --cpu", m->cpu);
        return false;
    }
    snprintf(dir, sizeof(dir), "%.*s", slash ? (int)(slash - cf->path) : 1, slash ? cf->path : ".");
    if (!b->suite || strcmp(dir, b->dir)) {
        suite_close(b->suite);
        b->suite = suite_open(dir);
        memcpy(b->dir, dir, sizeof(dir));
    }
    if (!b->suite) {
        fail(err, ST_NOMEM, "out of memory");
        return false;
    }
    if (b->runner && !strcmp(b->cpu, cpu))
        return true;
    runner_close(b->runner);
    b->runner = NULL;
    b->cpu = cpu;
    return runner_open(cpu, b->o->engine, &b->runner, err) == ST_OK;
}

/* at: where the parent sees which test is being run. */
static void run_file(struct bench *b, const struct check_file *cf, struct message *m,
                     struct buf *text, u32 *at, u32 *stop)
{
    struct vector_file *f = NULL;
    struct vector v;
    struct outcome out;
    struct error err;
    enum status st;

    vector_init(&v);
    if (vector_open(cf->path, &f, &err) != ST_OK) {
        buf_text(text, "FAIL %s\n", err.msg);
        m->failed++;
        return;
    }
    bool ok = prepare(b, cf, vector_meta(f), &err);
    if (!ok) {
        buf_text(text, "FAIL %s: %s\n", cf->path, err.msg);
        m->failed++;
    }
    for (u32 k = 0; ok && k < vector_count(f) && !__atomic_load_n(stop, __ATOMIC_RELAXED); k++) {
        if (vector_read(f, k, &v, &err) != ST_OK) {
            buf_text(text, "FAIL %s\n", err.msg);
            m->failed++;
            break;
        }
        if ((cf->one && k != cf->only) || !selected(b->o->filter, cf->path, v.name))
            continue;
        if (suite_revoked(b->suite, &v)) {
            m->skipped++;
            continue;
        }
        __atomic_store_n(at, k, __ATOMIC_RELAXED);
        u16 mask = flags_mask(b->suite, b->cpu, &v);
        bool good = runner_run(b->runner, &v, mask, &out, &st, &err);
        bool known = exceptions_has(b->known, cf->path, k, &v);
        if (st == ST_UNSUP) {
            if (!m->skipped++)
                buf_text(text, "skip %s #%u: %s\n", cf->path, k, err.msg);
        } else if (st != ST_OK) {
            buf_text(text, "FAIL %s: %s\n", cf->path, err.msg);
            m->failed++;
            break;
        } else if (good && known) {
            buf_text(text, "FAIL %s #%u passes: take it out of %s\n", cf->path, k,
                     b->o->exceptions);
            m->failed++;
        } else if (good) {
            m->passed++;
        } else if (known) {
            m->known++;
        } else {
            if (m->failed++ < b->o->show && text->len < MAX_TEXT)
                report_failure(text, cf->path, k, b->cpu, b->o->engine, &v, mask, &out);
            if (b->o->stop)
                __atomic_store_n(stop, 1, __ATOMIC_RELAXED);
        }
    }
    if (m->failed > b->o->show)
        buf_text(text, "    and %u more in %s\n", m->failed - (u32)b->o->show, cf->path);
    vector_free(&v);
    vector_close(f);
}

static bool send_all(int fd, const void *p, size_t n)
{
    const u8 *q = p;
    while (n) {
        ssize_t w = write(fd, q, n);
        if (w < 0 && errno == EINTR)
            continue;
        if (w <= 0)
            return false;
        q += w;
        n -= (size_t)w;
    }
    return true;
}

static bool receive_all(int fd, void *p, size_t n)
{
    u8 *q = p;
    while (n) {
        ssize_t r = read(fd, q, n);
        if (r < 0 && errno == EINTR)
            continue;
        if (r <= 0)
            return false;
        q += r;
        n -= (size_t)r;
    }
    return true;
}

static void work(const struct check_options *o, struct shared *s, int id, int fd)
{
    struct bench b = {.o = o};
    struct error err;
    u32 k;
    bool fine = true;
    if (o->exceptions && exceptions_open(o->exceptions, &b.known, &err) != ST_OK)
        return;
    while (fine && !__atomic_load_n(&s->stop, __ATOMIC_RELAXED) &&
           (k = __atomic_fetch_add(&s->next, 1, __ATOMIC_RELAXED)) < o->n_files) {
        struct message m = {.file = k};
        struct buf text = {0};
        double start = now();
        s->at[id].test = 0;
        __atomic_store_n(&s->at[id].file, k, __ATOMIC_RELAXED);
        run_file(&b, &o->files[k], &m, &text, &s->at[id].test, &s->stop);
        m.text = (u32)text.len;
        m.seconds = now() - start;
        fine = send_all(fd, &m, sizeof(m)) && send_all(fd, text.data, text.len);
        __atomic_store_n(&s->at[id].file, ~0u, __ATOMIC_RELAXED);
        free(text.data);
    }
    runner_close(b.runner);
    suite_close(b.suite);
    exceptions_close(b.known);
}

static bool start(const struct check_options *o, struct shared *s, struct worker *w, int id)
{
    int fd[2];
    if (pipe2(fd, 02000000 /* O_CLOEXEC */) < 0)
        return false;
    s->at[id].file = ~0u;
    fflush(stdout);
    w->pid = fork();
    if (w->pid < 0) {
        close(fd[0]);
        close(fd[1]);
        return false;
    }
    if (!w->pid) {
        close(fd[0]);
        work(o, s, id, fd[1]);
        _exit(0);
    }
    close(fd[1]);
    w->fd = fd[0];
    return true;
}

static void take(struct file_result *r, const struct message *m, char *text)
{
    r->passed = m->passed;
    r->failed = m->failed;
    r->skipped = m->skipped;
    r->known = m->known;
    r->seconds = m->seconds;
    r->text = text;
    r->done = true;
}

/* The worker's pipe ended: was it in the middle of something? */
static void bury(const struct check_options *o, struct shared *s, struct worker *w, int id,
                 struct file_result *results)
{
    u32 k = s->at[id].file;
    int status = 0;
    close(w->fd);
    w->fd = -1;
    waitpid(w->pid, &status, 0);
    if (k < o->n_files && !results[k].done) {
        struct message m = {.file = k, .failed = 1};
        struct buf b = {0};
        buf_text(&b, "FAIL %s #%u: the engine crashed (signal %d)\n", o->files[k].path,
                 s->at[id].test, WIFSIGNALED(status) ? WTERMSIG(status) : 0);
        buf_text(&b, "    again: trivisor check %s%s--engine %s '%s#%u'\n", o->cpu ? "--cpu " : "",
                 o->cpu ? o->cpu : "", o->engine, o->files[k].path, s->at[id].test);
        buf_u8(&b, 0);
        take(&results[k], &m, (char *)b.data);
        if (o->stop)
            s->stop = 1;
    }
    if (!s->stop && s->next < o->n_files)
        start(o, s, w, id);
}

static void show(const struct check_options *o, struct file_result *results, u32 *shown)
{
    bool tty = isatty(2) && !o->quiet;
    if (tty)
        fprintf(stderr, "\r\033[K");
    u32 passed = 0, failed = 0, done = 0;
    for (; !o->tap && *shown < o->n_files && results[*shown].done; ++*shown) {
        const struct file_result *r = &results[*shown];
        if (r->text)
            fputs(r->text, stdout);
        if (!o->quiet || r->failed) {
            printf("%s: %u passed, %u failed", o->files[*shown].path, r->passed, r->failed);
            if (r->known)
                printf(", %u known", r->known);
            if (r->skipped)
                printf(", %u skipped", r->skipped);
            printf("\n");
        }
        fflush(stdout);
    }
    if (!tty)
        return;
    for (u32 k = 0; k < o->n_files; k++) {
        done += results[k].done;
        passed += results[k].passed;
        failed += results[k].failed;
    }
    if (done == o->n_files)
        return;
    int width = 30, full = (int)(done * (u32)width / o->n_files);
    fprintf(stderr, "[%.*s%.*s] %u/%u files, %u passed, %u failed", full,
            "##############################", width - full, "                              ", done,
            o->n_files, passed, failed);
    fflush(stderr);
}

bool pool_run(const struct check_options *o, struct file_result *results)
{
    struct worker w[MAX_JOBS];
    struct pollfd p[MAX_JOBS];
    int n = (int)MIN(MIN(o->jobs, (u64)MAX_JOBS), (u64)o->n_files);
    u32 shown = 0;
    struct shared *s =
        mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (s == MAP_FAILED)
        return false;
    for (int k = 0; k < n; k++)
        if (!start(o, s, &w[k], k))
            w[k].fd = -1;
    for (;;) {
        int live = 0;
        for (int k = 0; k < n; k++) {
            p[k] = (struct pollfd){.fd = w[k].fd, .events = POLLIN};
            live += w[k].fd >= 0;
        }
        if (!live)
            break;
        if (poll(p, (nfds_t)n, -1) < 0)
            continue;
        for (int k = 0; k < n; k++) {
            struct message m;
            char *text;
            if (p[k].fd < 0 || !p[k].revents)
                continue;
            if (!receive_all(w[k].fd, &m, sizeof(m)) || m.file >= o->n_files ||
                !(text = malloc((size_t)m.text + 1)) || !receive_all(w[k].fd, text, m.text)) {
                bury(o, s, &w[k], k, results);
                continue;
            }
            text[m.text] = 0;
            take(&results[m.file], &m, text);
        }
        show(o, results, &shown);
    }
    bool whole = !s->stop;
    if (s->stop) /* what was not reached stays out of the list */
        for (u32 k = 0; k < o->n_files; k++)
            results[k].done = true;
    show(o, results, &shown);
    munmap(s, sizeof(*s));
    return whole;
}
