/*
 * frontends/display/feed.c - the window's requests, served on the VM's thread.
 *
 * What it is: functions that the VM's inbox calls between two slices of the guest, and those that
 * post them. What it is not: SDL's, or anybody's but one window's.
 */
#include "frontends/display/feed.h"
#include "machine/views.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

struct pointer {
    int x, y, wheel;
    u32 buttons;
};

struct key {
    u16 usage;
    bool down;
};

enum { LOOK_NS = 100000000 };

/* ---- on the VM's thread ---------------------------------------------------------------------- */
static bool take_text(struct feed *f, struct screen *s)
{
    int cols = 0, rows = 0;
    const u16 *cells = f->cells ? s->text(s->ctx, &cols, &rows, &f->cursor_x, &f->cursor_y) : NULL;
    f->text = cells && cols > 0 && rows > 0 && cols * rows <= FEED_MAX_CELLS;
    if (!f->text)
        return false;
    f->cols = cols;
    f->rows = rows;
    memcpy(f->cells, cells, (size_t)cols * (size_t)rows * sizeof(*cells));
    return true;
}

/* The live view's counters, ten times a second. */
static void look(struct feed *f, u64 now_ns)
{
    bool live = atomic_load(&f->live);
    f->seen_new = false;
    if (live != f->live_on) {
        f->live_on = live;
        f->look_ns = 0;
        if (live)
            vm_live_start(f->vm);
        else
            vm_live_stop(f->vm);
    }
    if (!live || now_ns < f->look_ns)
        return;
    f->look_ns = now_ns + LOOK_NS;
    vm_live(f->vm, &f->seen);
    f->heat_cell = vm_live_heat(f->vm, f->heat);
    f->seen_new = true;
}

static void draw(void *ctx, const void *data, u32 len)
{
    struct feed *f = ctx;
    struct screen *s = vm_screen(f->vm);
    struct input_sink *in = vm_input(f->vm);
    struct vm_stats stats;

    if (!atomic_load(&f->out)) /* feed_hold() has served it */
        return;
    if (take_text(f, s))
        f->changed = true;
    else
        f->changed = s->render(s->ctx, f->pixels, f->max, &f->width, &f->height);
    f->drawn = !f->text && f->pixels && f->width > 0 && f->height > 0 &&
               (size_t)f->width * (size_t)f->height <= f->max;
    f->absolute = in && in->absolute && in->absolute(in->ctx);
    snprintf(f->engine, sizeof(f->engine), "%.*s", (int)strcspn(vm_engine(f->vm), ","),
             vm_engine(f->vm));
    vm_stats(f->vm, &stats);
    f->insns = stats.insns;
    look(f, stats.run_ns);
    f->arrived = true;
    atomic_store(&f->out, false);
    f->ready(f->ctx);
}

static void press(void *ctx, const void *data, u32 len)
{
    struct feed *f = ctx;
    const struct key *k = data;
    struct input_sink *in = vm_input(f->vm);
    if (in && in->key)
        in->key(in->ctx, k->usage, k->down);
}

static void move(void *ctx, const void *data, u32 len)
{
    struct feed *f = ctx;
    const struct pointer *p = data;
    struct input_sink *in = vm_input(f->vm);
    if (in && in->mouse)
        in->mouse(in->ctx, p->x, p->y, p->wheel, p->buttons);
}

static void point(void *ctx, const void *data, u32 len)
{
    struct feed *f = ctx;
    const struct pointer *p = data;
    struct input_sink *in = vm_input(f->vm);
    if (in && in->tablet)
        in->tablet(in->ctx, (u32)p->x, (u32)p->y, p->wheel, p->buttons);
}

/* vm_stop() from here: each of these is one return of vm_run(), however fast the keys are. */
static void stop(void *ctx, const void *data, u32 len)
{
    struct feed *f = ctx;
    f->stopped = true;
    vm_stop(f->vm);
}

bool feed_hold(struct feed *f, const volatile sig_atomic_t *signalled)
{
    if (!f->stopped)
        return false;
    f->stopped = false;
    vm_pause_time(f->vm);
    for (;;) {
        if (atomic_load(&f->job_out) && !atomic_load(&f->job_done)) {
            f->job.run(f->job.arg, f->vm);
            if (atomic_load(&f->out)) /* a machine that was loaded and stands still is seen too */
                draw(f, NULL, 0);
            atomic_store(&f->job_done, true);
            f->ready(f->ctx);
        }
        if (!atomic_load(&f->paused) || atomic_load(&f->quit) || *signalled)
            break;
        /* A signal handler of run.c posts nothing, so look now and then. */
        struct timespec ts;
        clock_gettime(CLOCK_REALTIME, &ts);
        ts.tv_nsec += 100000000;
        ts.tv_sec += ts.tv_nsec / 1000000000;
        ts.tv_nsec %= 1000000000;
        sem_timedwait(&f->wake, &ts);
    }
    return !atomic_load(&f->quit) && !*signalled;
}

/* ---- on the window's ------------------------------------------------------------------------- */
bool feed_init(struct feed *f, void (*ready)(void *ctx), void *ctx)
{
    memset(f, 0, sizeof(*f));
    f->ready = ready;
    f->ctx = ctx;
    return sem_init(&f->wake, 0, 0) == 0;
}

void feed_free(struct feed *f)
{
    sem_destroy(&f->wake);
}

void feed_request(struct feed *f)
{
    atomic_store(&f->out, true);
    if (!vm_post(f->vm, draw, f, NULL, 0))
        atomic_store(&f->out, false);
}

/* A machine that stands still takes no input: it would get all of it at once afterwards. Keys that
 * come up are told all the same, else they would stay down. */
void feed_key(struct feed *f, u16 usage, bool down)
{
    struct key k = {usage, down};
    if (!down || !atomic_load(&f->paused))
        vm_post(f->vm, press, f, &k, sizeof(k));
}

void feed_mouse(struct feed *f, int dx, int dy, int wheel, u32 buttons)
{
    struct pointer p = {dx, dy, wheel, buttons};
    if (!atomic_load(&f->paused))
        vm_post(f->vm, move, f, &p, sizeof(p));
}

void feed_tablet(struct feed *f, u32 x, u32 y, int wheel, u32 buttons)
{
    struct pointer p = {(int)x, (int)y, wheel, buttons};
    if (!atomic_load(&f->paused))
        vm_post(f->vm, point, f, &p, sizeof(p));
}

void feed_pause(struct feed *f, bool pause)
{
    atomic_store(&f->paused, pause);
    if (pause)
        vm_post(f->vm, stop, f, NULL, 0);
    sem_post(&f->wake);
}

bool feed_do(struct feed *f, struct feed_job job)
{
    if (atomic_load(&f->job_out))
        return false;
    f->job = job;
    atomic_store(&f->job_done, false);
    atomic_store(&f->job_out, true);
    vm_post(f->vm, stop, f, NULL, 0);
    sem_post(&f->wake);
    return true;
}

void feed_quit(struct feed *f)
{
    atomic_store(&f->quit, true);
    vm_stop(f->vm);
    sem_post(&f->wake);
}
