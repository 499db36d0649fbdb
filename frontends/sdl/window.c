/*
 * frontends/sdl/window.c - the desktop window: its thread, its title, and what run.c calls.
 *
 * What it is: one thread that shows the guest's screen, hands keys and pointer over, and obeys the
 * Ctrl-Alt keys (window_priv.h says which file does what).
 * What it is not: drawing the guest's screen (the device does, on the VM's thread: feed.c).
 */
#include "frontends/sdl/window_priv.h"
#include "base/log.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void note(struct window *w, const char *text)
{
    snprintf(w->note, sizeof(w->note), "%s", text);
    w->note_ms = now_ms() + NOTE_MS;
}

void notef(struct window *w, const char *format, ...)
{
    char text[sizeof(w->note)];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    note(w, text);
}

/* ---- the title ------------------------------------------------------------------------------- */
static void set_title(struct window *w)
{
    char text[sizeof(w->title)], state[160];
    const char *name = w->o.name && *w->o.name ? w->o.name : "Trivisor";
    if (!w->started)
        snprintf(state, sizeof(state), "starting");
    else if (w->pressed_pause)
        snprintf(state, sizeof(state), "paused, Ctrl-Alt-P goes on");
    else if (w->engine[0])
        snprintf(state, sizeof(state), "running, %s, %llu MIPS, %s%s", w->engine,
                 (unsigned long long)w->mips, w->gif ? "recording, " : "",
                 w->captured ? "Ctrl-Alt-G releases the mouse" : "Ctrl-Alt-M: menu");
    else
        snprintf(state, sizeof(state), "running");
    if (now_ms() < w->note_ms)
        snprintf(text, sizeof(text), "%.100s - %s", name, w->note);
    else
        snprintf(text, sizeof(text), "%.100s - %s", name, state);
    if (strcmp(text, w->title)) {
        memcpy(w->title, text, sizeof(text));
        SDL_SetWindowTitle(w->win, text);
    }
}

/* ---- the thread ------------------------------------------------------------------------------ */
static void wake(void *ctx)
{
    struct window *w = ctx;
    sem_post(&w->look);
}

/* Until something is back from the VM's thread, or `next`. SDL could wait for its own events too,
 * but then another thread would have to call it (window_priv.h); so they are looked for often
 * enough that nobody notices. */
static void rest(struct window *w, u64 next)
{
    u64 now = now_ms();
    u32 flags = SDL_GetWindowFlags(w->win);
    bool busy = (flags & SDL_WINDOW_INPUT_FOCUS) && now < w->input_ms + INPUT_BUSY_MS;
    u64 most = !w->visible || !(flags & (SDL_WINDOW_INPUT_FOCUS | SDL_WINDOW_MOUSE_FOCUS)) ? LAZY_MS
               : busy                                                                      ? POLL_MS
                      : FRAME_MS;
    struct timespec ts;
    u64 ms = next > now ? MIN(next - now, most) : 0;
    clock_gettime(CLOCK_REALTIME, &ts);
    ts.tv_nsec += (long)ms * 1000000;
    ts.tv_sec += ts.tv_nsec / 1000000000;
    ts.tv_nsec %= 1000000000;
    if (ms)
        sem_timedwait(&w->look, &ts);
    while (sem_trywait(&w->look) == 0) {
    }
}

static enum status show(struct window *w)
{
    if (!window_likely())
        return fail(&w->err, ST_UNSUP, "no X or Wayland session: DISPLAY is not set");
    /* Signals are run.c's. */
    SDL_SetHint(SDL_HINT_NO_SIGNAL_HANDLERS, "1");
    SDL_SetHint(SDL_HINT_VIDEO_X11_NET_WM_BYPASS_COMPOSITOR, "0");
    SDL_SetHint(SDL_HINT_MOUSE_FOCUS_CLICKTHROUGH, "0");
    SDL_SetHint(SDL_HINT_VIDEO_MINIMIZE_ON_FOCUS_LOSS, "0");
    /* Else what the processor has drawn would go to the screen by OpenGL, which without a graphics
     * card is the processor's work once more. */
    SDL_SetHint(SDL_HINT_FRAMEBUFFER_ACCELERATION, "0");
    if (SDL_Init(SDL_INIT_VIDEO) < 0)
        return fail(&w->err, ST_IO, "no window: %s", SDL_GetError());
    SDL_EnableScreenSaver();
    SDL_StopTextInput();
    w->wanted_w = 720;
    w->wanted_h = 540;
    w->fullscreen = w->o.fullscreen;
    w->win = SDL_CreateWindow(
        "Trivisor", SDL_WINDOWPOS_UNDEFINED, SDL_WINDOWPOS_UNDEFINED, w->wanted_w, w->wanted_h,
        SDL_WINDOW_RESIZABLE | (w->fullscreen ? SDL_WINDOW_FULLSCREEN_DESKTOP : 0));
    if (!w->win)
        return fail(&w->err, ST_IO, "no window: %s", SDL_GetError());
    w->renderer = SDL_CreateRenderer(w->win, -1, 0);
    if (!w->renderer)
        w->renderer = SDL_CreateRenderer(w->win, -1, SDL_RENDERER_SOFTWARE);
    if (!w->renderer)
        return fail(&w->err, ST_IO, "no window: %s", SDL_GetError());
    SDL_RendererInfo info;
    w->software =
        SDL_GetRendererInfo(w->renderer, &info) == 0 && (info.flags & SDL_RENDERER_SOFTWARE);
    w->visible = w->dirty = true;
    return ST_OK;
}

static void *window_thread(void *ctx)
{
    struct window *w = ctx;
    w->status = show(w);
    bool open = !w->status;
    sem_post(&w->opened);
    while (open && !atomic_load(&w->end)) {
        SDL_Event e;
        u64 now = now_ms(), next = MAX(w->next_ms, now + 1);
        if (!w->started || atomic_load(&w->feed.out) || w->pressed_pause)
            next = now + 100; /* wake() tells */
        if (w->paste)
            next = MIN(next, MAX(w->paste_ms, now + 1));
        rest(w, next);
        while (SDL_PollEvent(&e))
            on_event(w, &e);
        if (atomic_load(&w->started) && !atomic_load(&w->feed.out)) {
            take_picture(w);
            if (w->shot_wanted && w->fresh && w->feed.drawn)
                save_picture(w);
        }
        control_step(w);
        tell_pointer(w);
        if (w->paste && now_ms() >= w->paste_ms && !w->pressed_pause)
            paste_step(w);
        request_picture(w);
        if (w->shot_wanted && now_ms() >= w->shot_ms)
            save_picture(w); /* the machine does not answer: as it was */
        record_step(w);
        overlay_step(w);
        if ((w->dirty || w->part) && w->visible)
            present(w);
        set_title(w);
    }
    record_end(w);
    control_end(w);
    SDL_free(w->paste);
    SDL_DestroyTexture(w->texture);
    overlay_end(w);
    if (w->renderer)
        SDL_DestroyRenderer(w->renderer);
    if (w->win)
        SDL_DestroyWindow(w->win);
    SDL_Quit();
    return NULL;
}

/* ---- for run.c ------------------------------------------------------------------------------- */
enum status window_open(const struct window_options *o, struct window **out, struct error *err)
{
    struct window *w = calloc(1, sizeof(*w));
    sigset_t all, before;
    if (!w || !feed_init(&w->feed, wake, w)) {
        free(w);
        return fail(err, ST_NOMEM, "out of memory");
    }
    w->o = *o;
    sem_init(&w->opened, 0, 0);
    sem_init(&w->look, 0, 0);
    sigfillset(&all); /* signals find the VM's thread */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&w->thread, NULL, window_thread, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed) {
        feed_free(&w->feed);
        free(w);
        return fail(err, ST_NOMEM, "cannot start a thread");
    }
    while (sem_wait(&w->opened) < 0) {
    }
    if (w->status) {
        enum status st = w->status;
        *err = w->err;
        window_close(w);
        return st;
    }
    *out = w;
    return ST_OK;
}

enum status window_start(struct window *w, struct vm *vm, bool can_pause, struct error *err)
{
    if (!vm_screen(vm))
        return fail(err, ST_UNSUP, "this machine has no display");
    w->feed.vm = vm;
    w->can_pause = can_pause;
    atomic_store(&w->started, true);
    wake(w);
    return ST_OK;
}

bool window_hold(struct window *w, const volatile sig_atomic_t *signalled)
{
    return w && feed_hold(&w->feed, signalled);
}

void window_close(struct window *w)
{
    if (!w)
        return;
    atomic_store(&w->end, true);
    wake(w);
    pthread_join(w->thread, NULL);
    free(w->front);
    free(w->feed.pixels);
    feed_free(&w->feed);
    sem_destroy(&w->opened);
    sem_destroy(&w->look);
    free(w);
}
