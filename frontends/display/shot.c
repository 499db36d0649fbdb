/*
 * frontends/display/shot.c - pictures of the screen at a time of the guest's, at a signal, at the
 * end.
 *
 * SIGUSR2 is blocked in every thread and taken from a descriptor by one of ours, so that nothing is
 * done in a handler; the picture itself is made on the VM's thread.
 */
#include "frontends/display/shot.h"
#include "base/log.h"
#include "frontends/cli_priv.h"
#include "frontends/display/parts.h"
#include "machine/vm.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

struct shot {
    struct shots *all;
    struct shot_spec spec;
};

struct shots {
    struct vm *vm;
    struct shot shot[SHOT_MAX];
    int n;
    bool failed;
    int signal_fd, end_fd;
    pthread_t thread;
    bool started;
};

/* ---- taking one ------------------------------------------------------------------------------ */
enum status shot_pixels(struct vm *vm, u32 **pixels, int *width, int *height, struct error *err)
{
    struct screen *s = vm_screen(vm);
    size_t n;
    *pixels = NULL;
    if (!s)
        return fail(err, ST_UNSUP, "this machine has no display");
    s->render(s->ctx, NULL, 0, width, height);
    n = (size_t)*width * (size_t)*height;
    if (!n)
        return fail(err, ST_UNSUP, "the screen is off");
    *pixels = malloc(n * sizeof(**pixels));
    if (!*pixels)
        return fail(err, ST_NOMEM, "out of memory");
    s->render(s->ctx, *pixels, n, width, height);
    s->stale = true; /* for the display, which has not seen this */
    return ST_OK;
}

enum status shot_take(struct vm *vm, const char *path, struct error *err)
{
    u32 *pixels;
    int width, height;
    enum status st = shot_pixels(vm, &pixels, &width, &height, err);
    if (st == ST_OK)
        st = picture_write(path, pixels, width, height, err);
    free(pixels);
    return st;
}

static void take(void *ctx)
{
    struct shot *s = ctx;
    struct error err;
    if (shot_take(s->all->vm, s->spec.path, &err) != ST_OK) {
        log_error("-screenshot: %s", err.msg);
        s->all->failed = true;
    }
}

static void take_signalled(void *ctx, const void *data, u32 len)
{
    struct shots *s = ctx;
    struct error err;
    char path[512];
    u32 *pixels;
    int width, height;
    if (s->n) {
        take(&s->shot[0]);
        return;
    }
    enum status st = shot_pixels(s->vm, &pixels, &width, &height, &err);
    if (st == ST_OK)
        st = png_save("", pixels, width, height, path, &err);
    free(pixels);
    if (st == ST_OK)
        fprintf(stderr, "trivisor: %s\n", path);
    else
        log_error("screenshot: %s", err.msg);
}

/* ---- the signal ------------------------------------------------------------------------------ */
static void signal_set(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGUSR2);
}

void shots_signal(void)
{
    sigset_t set;
    signal_set(&set);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static void *listen_signal(void *arg)
{
    struct shots *s = arg;
    struct pollfd p[2] = {{.fd = s->signal_fd, .events = POLLIN},
                          {.fd = s->end_fd, .events = POLLIN}};
    while (!p[1].revents) {
        struct signalfd_siginfo info;
        if (poll(p, 2, -1) < 0 || !p[0].revents)
            continue;
        if (read(s->signal_fd, &info, sizeof(info)) == sizeof(info))
            vm_post(s->vm, take_signalled, s, NULL, 0);
    }
    return NULL;
}

static bool start_thread(struct shots *s)
{
    sigset_t set, all, before;
    signal_set(&set);
    s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    s->end_fd = eventfd(0, EFD_CLOEXEC);
    if (s->signal_fd < 0 || s->end_fd < 0)
        return false;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    s->started = pthread_create(&s->thread, NULL, listen_signal, s) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return s->started;
}

/* ---- from start to end ----------------------------------------------------------------------- */
enum status shots_start(const struct shot_spec *spec, int n, struct vm *vm, struct shots **out,
                        struct error *err)
{
    if (n && !vm_screen(vm))
        return fail(err, ST_UNSUP, "-screenshot: this machine has no display");
    struct shots *s = calloc(1, sizeof(*s));
    if (!s)
        return fail(err, ST_NOMEM, "out of memory");
    *out = s;
    s->vm = vm;
    s->signal_fd = s->end_fd = -1;
    for (s->n = 0; s->n < n; s->n++) {
        s->shot[s->n] = (struct shot){s, spec[s->n]};
        if (spec[s->n].timed && !vm_call_at(vm, spec[s->n].after_ns, take, &s->shot[s->n]))
            return fail(err, ST_NOMEM, "out of memory");
    }
    if (vm_screen(vm) && !start_thread(s))
        return fail(err, ST_NOMEM, "cannot start a thread");
    return ST_OK;
}

bool shots_end(struct shots *s)
{
    if (!s)
        return true;
    for (int k = 0; k < s->n; k++)
        if (!s->shot[k].spec.timed)
            take(&s->shot[k]);
    return !s->failed;
}

void shots_free(struct shots *s)
{
    u64 one = 1;
    if (!s)
        return;
    if (s->started && write(s->end_fd, &one, sizeof(one)) == sizeof(one))
        pthread_join(s->thread, NULL);
    if (s->signal_fd >= 0)
        close(s->signal_fd);
    if (s->end_fd >= 0)
        close(s->end_fd);
    free(s);
}

/* ---- the option ------------------------------------------------------------------------------ */
/* Seconds with up to nine digits after a point. */
static bool parse_seconds(const char *text, u64 *ns)
{
    u64 v = 0, unit = 1000000000;
    bool point = false, digits = false;
    for (; *text; text++) {
        if (*text == '.' && !point) {
            point = true;
            continue;
        }
        if (*text < '0' || *text > '9' || (point && unit == 1) || v > 1000000000000000ull)
            return false;
        digits = true;
        v = v * 10 + (u64)(*text - '0');
        unit /= point ? 10 : 1;
    }
    if (!digits || v > 1000000000000000000ull / unit)
        return false;
    *ns = v * unit;
    return true;
}

static enum status take_path(void *to, const char *text, struct error *err)
{
    struct shot_spec *s = to;
    snprintf(s->path, sizeof(s->path), "%s", text);
    return strlen(text) < sizeof(s->path) ? ST_OK
                                          : fail(err, ST_INVAL, "%.40s...: too long a name", text);
}

enum key { AFTER, AT };

static enum status take_key(void *to, int k, const char *value, struct error *err)
{
    struct shot_spec *s = to;
    s->timed = k == AFTER;
    if (k == AFTER && (!value || !parse_seconds(value, &s->after_ns)))
        return fail(err, ST_INVAL, "after wants seconds of the guest's time (30, 2.5)");
    if (k == AT && (!value || strcmp(value, "exit")))
        return fail(err, ST_INVAL, "at is exit, or say after=SECONDS");
    return ST_OK;
}

enum status shot_parse(const char *text, struct shot_spec *out, struct error *err)
{
    static const char *const known[] = {"after", "at", NULL};
    static const struct option_words words = {known, take_path, take_key};
    *out = (struct shot_spec){{0}};
    enum status st = parse_words(text, &words, out, err);
    return st ? st : picture_check(out->path, err);
}
