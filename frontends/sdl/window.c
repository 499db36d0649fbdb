/*
 * frontends/sdl/window.c - the desktop window: what SDL tells and what it is told.
 *
 * What it is: one thread that shows the guest's screen, hands keys and pointer over, and obeys the
 * Ctrl-Alt keys. The one file that includes SDL's headers; all its calls are made on this thread
 * but SDL_PushEvent(), which any thread may make.
 * What it is not: drawing the guest's screen (the device does, on the VM's thread: feed.c).
 *
 * Invariants: `front` is the window's own copy of what was drawn last; keys and buttons that the
 * guest believes to be down are in `held` and `buttons`, and none stays when the window loses the
 * keyboard.
 */
#include <SDL2/SDL.h> /* first: it has a meaning of its own for our always_inline */

#include "base/log.h"
#include "frontends/display/feed.h"
#include "frontends/sdl/parts_priv.h"
#include "machine/views.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    FRAME_MS = 16,       /* between pictures while something moves, */
    LAZY_MS = 50,        /* and when nothing has moved for */
    LAZY_AFTER_MS = 500, /* so long */
    NOTE_MS = 4000,      /* a note stays in the title, and a second quit means it, for so long */
    SHOT_WAIT_MS = 300,  /* a screenshot waits for a fresh picture, but no longer */
    TYPE_MS = 12,        /* from one event of a pasted key to the next */
    MAX_HELD = 0xe8,
    KEY_DELETE = 0x4c,
    KEY_CTRL = 0xe0,
    KEY_SHIFT = 0xe1,
    KEY_ALT = 0xe2,
    KEY_RIGHT_CTRL = 0xe4,
};

struct window {
    struct window_options o;
    pthread_t thread;
    sem_t opened;
    struct error err; /* why it is not open */
    enum status status;
    _Atomic bool end, started; /* started: there is a machine */
    struct feed feed;
    bool can_pause;
    u32 event; /* ours: look at the atomics */

    SDL_Window *win;
    SDL_Renderer *renderer;
    SDL_Texture *texture;
    int tex_w, tex_h;
    struct shape shape; /* of the picture in the window */
    u32 *front;
    size_t front_max;
    int width, height;          /* of front; 0: nothing was drawn yet */
    int wanted_w, wanted_h;     /* the window's size, as we set it */
    bool sized, fullscreen;     /* sized: the user did */
    bool dirty, visible, fresh; /* fresh: the request under way is younger than the shot's key */
    u64 next_ms, moved_ms;      /* next request; when something moved last */

    bool held[MAX_HELD];
    u32 buttons;
    bool captured, absolute, swallow; /* swallow: the button that captured is still down */
    bool moved;
    int dx, dy, wheel; /* not yet told */
    u32 abs_x, abs_y;

    bool shot_wanted;
    u64 shot_ms;
    char *paste; /* NULL: nothing is being typed */
    const char *paste_at;
    u64 paste_ms;
    u16 typed; /* the key that is down */
    bool typed_shift;
    int left_out;

    int quits;
    u64 quit_ms;
    char note[600], title[800];
    u64 note_ms, rate_ms, rate_insns, mips;
    bool pressed_pause;
    char engine[32];
};

static u64 now_ms(void)
{
    return SDL_GetTicks64();
}

static void note(struct window *w, const char *text)
{
    snprintf(w->note, sizeof(w->note), "%s", text);
    w->note_ms = now_ms() + NOTE_MS;
}

/* ---- to the guest ---------------------------------------------------------------------------- */
static void key(struct window *w, u16 usage, bool down)
{
    if (usage >= MAX_HELD || !w->started || (!down && !w->held[usage]))
        return;
    w->held[usage] = down;
    feed_key(&w->feed, usage, down);
}

static void tell_pointer(struct window *w)
{
    if (!w->moved || !w->started)
        return;
    if (w->absolute)
        feed_tablet(&w->feed, w->abs_x, w->abs_y, w->wheel, w->buttons);
    else
        feed_mouse(&w->feed, w->dx, w->dy, w->wheel, w->buttons);
    w->dx = w->dy = w->wheel = 0;
    w->moved = false;
}

static void button(struct window *w, u32 bit, bool down)
{
    tell_pointer(w); /* where it was before */
    w->buttons = down ? w->buttons | bit : w->buttons & ~bit;
    w->moved = true;
    tell_pointer(w);
}

static void release_keys(struct window *w)
{
    for (u16 k = 0; k < MAX_HELD; k++)
        key(w, k, false);
}

static void capture(struct window *w, bool on)
{
    if (w->captured == on)
        return;
    if (on && SDL_SetRelativeMouseMode(SDL_TRUE) < 0) {
        note(w, "the mouse cannot be captured here");
        return;
    }
    w->captured = on;
    if (!on) {
        SDL_SetRelativeMouseMode(SDL_FALSE);
        if (w->buttons)
            button(w, w->buttons, false);
    }
    SDL_SetWindowKeyboardGrab(w->win, on ? SDL_TRUE : SDL_FALSE);
}

/* ---- pasting --------------------------------------------------------------------------------- */
static void paste_end(struct window *w, const char *how)
{
    key(w, w->typed, false);
    if (w->typed_shift)
        key(w, KEY_SHIFT, false);
    SDL_free(w->paste);
    w->paste = NULL;
    w->typed = 0;
    w->typed_shift = false;
    char text[100];
    snprintf(text, sizeof(text), "%s", how);
    if (w->left_out)
        snprintf(text, sizeof(text), "%s, %d characters left out: no key has them", how,
                 w->left_out);
    note(w, text);
}

static void paste_begin(struct window *w)
{
    if (w->paste)
        paste_end(w, "pasting stopped");
    release_keys(w); /* Ctrl and Alt are down */
    w->left_out = 0;
    w->paste = SDL_GetClipboardText();
    w->paste_at = w->paste;
    w->paste_ms = now_ms();
    if (!w->paste || !*w->paste) {
        SDL_free(w->paste);
        w->paste = NULL;
        note(w, "the clipboard has no text");
    }
}

/* One key event. A pause makes it wait. */
static void paste_step(struct window *w)
{
    w->paste_ms = now_ms() + TYPE_MS;
    if (w->typed) {
        key(w, w->typed, false);
        if (w->typed_shift)
            key(w, KEY_SHIFT, false);
        w->typed = 0;
        w->typed_shift = false;
        return;
    }
    for (;;) {
        const char *before = w->paste_at;
        u32 ch = typing_next(&w->paste_at);
        if (!ch) {
            paste_end(w, "pasted");
            return;
        }
        if (ch == '\n' && before > w->paste && before[-1] == '\r')
            continue;
        w->typed = typing_key(ch, &w->typed_shift);
        if (w->typed)
            break;
        w->left_out++;
    }
    if (w->typed_shift)
        key(w, KEY_SHIFT, true);
    key(w, w->typed, true);
}

/* ---- the picture ----------------------------------------------------------------------------- */
static void place(struct window *w)
{
    int win_w, win_h;
    SDL_GetWindowSize(w->win, &win_w, &win_h);
    if (w->width)
        w->shape = shape_fit(w->width, w->height, w->o.scale, MAX(win_w, 1), MAX(win_h, 1));
    w->dirty = true;
}

/* The window takes the size of the guest's new mode, unless the user has given it one. A display
 * that was not set up yet is some dots wide: not a size for a window. */
static void resize(struct window *w)
{
    SDL_Rect room;
    int wide, high;
    u32 flags = SDL_GetWindowFlags(w->win);
    shape_natural(w->width, w->height, w->o.scale, &wide, &high);
    bool sane = w->width >= 64 && w->height >= 64;
    if (sane && !w->sized && !w->fullscreen && !(flags & SDL_WINDOW_MAXIMIZED)) {
        int display = SDL_GetWindowDisplayIndex(w->win);
        if (SDL_GetDisplayUsableBounds(MAX(display, 0), &room) == 0 &&
            (wide > room.w || high > room.h)) {
            struct shape s = shape_fit(wide, high, SCALE_SMOOTH, room.w, room.h);
            wide = s.w;
            high = s.h;
        }
        w->wanted_w = wide;
        w->wanted_h = high;
        SDL_SetWindowSize(w->win, wide, high);
    }
    place(w);
}

static void make_texture(struct window *w)
{
    SDL_DestroyTexture(w->texture);
    w->texture = SDL_CreateTexture(w->renderer, SDL_PIXELFORMAT_RGB888, SDL_TEXTUREACCESS_STREAMING,
                                   w->width, w->height);
    w->tex_w = w->width;
    w->tex_h = w->height;
    if (!w->texture) {
        log_error("window: %s", SDL_GetError());
        w->tex_w = w->tex_h = 0;
        return;
    }
    SDL_SetTextureScaleMode(w->texture, w->o.scale == SCALE_SMOOTH ? SDL_ScaleModeLinear
                                                                   : SDL_ScaleModeNearest);
    SDL_UpdateTexture(w->texture, NULL, w->front, w->width * 4);
    w->dirty = true;
}

/* The lines that are not as in `old` go to the texture. */
static void update_texture(struct window *w, const u32 *old)
{
    size_t line = (size_t)w->width;
    int from = 0, to = w->height;
    while (from < to && !memcmp(w->front + from * line, old + from * line, line * 4))
        from++;
    while (to > from && !memcmp(w->front + (to - 1) * line, old + (to - 1) * line, line * 4))
        to--;
    if (from == to)
        return;
    SDL_Rect r = {0, from, w->width, to - from};
    SDL_UpdateTexture(w->texture, &r, w->front + from * line, w->width * 4);
    w->dirty = true;
}

static void present(struct window *w)
{
    SDL_Rect to = {w->shape.x, w->shape.y, w->shape.w, w->shape.h};
    w->dirty = false;
    SDL_SetRenderDrawColor(w->renderer, 0, 0, 0, 255);
    SDL_RenderClear(w->renderer);
    if (w->texture && w->width)
        SDL_RenderCopy(w->renderer, w->texture, NULL, &to);
    SDL_RenderPresent(w->renderer);
}

static void grow(struct feed *f, size_t n)
{
    u32 *p = n <= FEED_MAX_PIXELS ? realloc(f->pixels, n * sizeof(*p)) : NULL;
    if (p) {
        f->pixels = p;
        f->max = n;
    }
}

/* A picture came back, or somebody only wanted the window to look around: a picture is taken once,
 * and not while the next one is being drawn. */
static void take_picture(struct window *w)
{
    struct feed *f = &w->feed;
    bool first = !w->width;
    if (atomic_load(&f->out) || !f->arrived)
        return;
    f->arrived = false;
    if (f->absolute != w->absolute) {
        w->absolute = f->absolute;
        w->dx = w->dy = 0;
        if (w->absolute)
            capture(w, false);
        SDL_ShowCursor(w->absolute ? SDL_DISABLE : SDL_ENABLE);
    }
    snprintf(w->engine, sizeof(w->engine), "%s", f->engine);
    u64 now = now_ms();
    if (now >= w->rate_ms + 1000) {
        w->mips = (f->insns - w->rate_insns) / ((now - w->rate_ms) * 1000);
        w->rate_ms = now;
        w->rate_insns = f->insns;
    }
    if (!f->drawn) {
        if (f->width > 0 && f->height > 0)
            grow(f, (size_t)f->width * (size_t)f->height);
        w->next_ms = f->drawn ? w->next_ms : now;
        if (!f->pixels || f->max < (size_t)f->width * (size_t)f->height)
            w->next_ms = now + LAZY_MS; /* too large, or no memory: look again */
        return;
    }
    if (f->changed || first || f->width != w->width || f->height != w->height) {
        u32 *old = w->front;
        size_t old_max = w->front_max;
        bool same = f->width == w->width && f->height == w->height;
        w->front = f->pixels;
        w->front_max = f->max;
        w->width = f->width;
        w->height = f->height;
        f->pixels = old;
        f->max = old_max;
        w->moved_ms = now;
        if (!same)
            resize(w);
        if (same && w->texture && w->tex_w == w->width && w->tex_h == w->height)
            update_texture(w, old);
        else
            make_texture(w);
    }
}

static void request_picture(struct window *w)
{
    u64 now = now_ms();
    if (now < w->next_ms || !w->started || atomic_load(&w->feed.out) || w->feed.paused)
        return;
    bool lazy = now > w->moved_ms + LAZY_AFTER_MS || !w->visible;
    w->next_ms = now + (lazy ? LAZY_MS : FRAME_MS);
    w->fresh = w->shot_wanted;
    feed_request(&w->feed);
}

static void save_picture(struct window *w)
{
    char path[512], text[600];
    struct error err;
    w->shot_wanted = false;
    if (!w->width)
        return note(w, "there is no picture yet");
    if (png_save(w->o.shots, w->front, w->width, w->height, path, &err) != ST_OK) {
        log_error("screenshot: %s", err.msg);
        return note(w, err.msg);
    }
    log_info("screenshot: %s", path);
    snprintf(text, sizeof(text), "saved %s", path);
    note(w, text);
}

/* ---- the Ctrl-Alt keys ----------------------------------------------------------------------- */
static void do_fullscreen(struct window *w)
{
    bool on = !w->fullscreen;
    if (SDL_SetWindowFullscreen(w->win, on ? SDL_WINDOW_FULLSCREEN_DESKTOP : 0) < 0)
        return note(w, SDL_GetError());
    w->fullscreen = on;
    place(w);
}

static void do_grab(struct window *w)
{
    if (!w->absolute)
        capture(w, !w->captured);
}

static void do_pause(struct window *w)
{
    if (!w->can_pause)
        return note(w, "this command cannot pause the machine");
    w->pressed_pause = !w->pressed_pause;
    if (w->pressed_pause)
        release_keys(w);
    feed_pause(&w->feed, w->pressed_pause);
}

static void do_reset(struct window *w)
{
    vm_reset_button(w->feed.vm);
    note(w, "reset");
}

static void do_power(struct window *w)
{
    vm_power_button(w->feed.vm);
    note(w, "power button");
}

static void do_screenshot(struct window *w)
{
    w->shot_wanted = true;
    w->fresh = false;
    w->shot_ms = now_ms() + SHOT_WAIT_MS;
    w->next_ms = 0;
}

static void do_engine(struct window *w)
{
    vm_engine_toggle(w->feed.vm);
}

static void do_scale(struct window *w)
{
    static const char *const names[N_SCALES] = {"scale: smooth", "scale: sharp", "scale: integer"};
    w->o.scale = (enum window_scale)((w->o.scale + 1) % N_SCALES);
    if (w->width) {
        resize(w);
        make_texture(w);
    }
    note(w, names[w->o.scale]);
}

/* A machine that runs is lost: the second time within a moment means it. One that does not end
 * then (a debugger holds it) is left to the signal handlers. */
static void do_quit(struct window *w)
{
    u64 now = now_ms();
    if (w->quits == 1 && now > w->quit_ms + NOTE_MS)
        w->quits = 0;
    w->quit_ms = now;
    w->quits++;
    if (w->quits == 1)
        note(w, "THE GUEST STILL RUNS: once more to end it");
    else if (w->quits == 2)
        feed_quit(&w->feed);
    else
        kill(getpid(), SIGTERM);
}

static const struct command {
    SDL_Keycode letter;
    SDL_Scancode place; /* for layouts without that letter */
    void (*run)(struct window *w);
} commands[] = {
    {SDLK_f, SDL_SCANCODE_F, do_fullscreen}, {SDLK_g, SDL_SCANCODE_G, do_grab},
    {SDLK_p, SDL_SCANCODE_P, do_pause},      {SDLK_r, SDL_SCANCODE_R, do_reset},
    {SDLK_o, SDL_SCANCODE_O, do_power},      {SDLK_s, SDL_SCANCODE_S, do_screenshot},
    {SDLK_e, SDL_SCANCODE_E, do_engine},     {SDLK_l, SDL_SCANCODE_L, do_scale},
    {SDLK_v, SDL_SCANCODE_V, paste_begin},   {SDLK_q, SDL_SCANCODE_Q, do_quit},
};

static const struct command *command_of(const SDL_Keysym *sym)
{
    bool latin = sym->sym >= SDLK_a && sym->sym <= SDLK_z;
    for (size_t k = 0; k < ARRAY_LEN(commands); k++)
        if (latin ? sym->sym == commands[k].letter : sym->scancode == commands[k].place)
            return &commands[k];
    return NULL;
}

/* ---- events ---------------------------------------------------------------------------------- */
static void on_key(struct window *w, const SDL_KeyboardEvent *e)
{
    bool down = e->state == SDL_PRESSED;
    u16 usage = (u16)e->keysym.scancode;
    bool chord = (w->held[KEY_CTRL] || w->held[KEY_RIGHT_CTRL]) && w->held[KEY_ALT];
    if (down && chord) {
        const struct command *c = command_of(&e->keysym);
        if (c) {
            if (!e->repeat)
                c->run(w);
            return;
        }
        if (e->keysym.scancode == SDL_SCANCODE_END) { /* the host keeps the real one */
            key(w, KEY_DELETE, true);
            key(w, KEY_DELETE, false);
            return;
        }
    }
    if (down && w->paste && !e->repeat)
        paste_end(w, "pasting stopped");
    w->moved_ms = now_ms();
    key(w, usage, down);
}

static void on_button(struct window *w, const SDL_MouseButtonEvent *e)
{
    static const u8 bits[] = {
        [SDL_BUTTON_LEFT] = 1, [SDL_BUTTON_RIGHT] = 2, [SDL_BUTTON_MIDDLE] = 4};
    bool down = e->state == SDL_PRESSED;
    u32 bit = e->button < ARRAY_LEN(bits) ? bits[e->button] : 0;
    if (!down && w->swallow) {
        w->swallow = false;
        return;
    }
    if (!w->absolute && !w->captured) {
        if (down && w->started) {
            capture(w, true);
            w->swallow = w->captured;
        }
        return;
    }
    if (bit)
        button(w, bit, down);
}

static void on_motion(struct window *w, const SDL_MouseMotionEvent *e)
{
    if (w->absolute) {
        shape_point(&w->shape, e->x, e->y, &w->abs_x, &w->abs_y);
    } else if (w->captured) {
        w->dx += e->xrel;
        w->dy += e->yrel;
    } else {
        return;
    }
    w->moved = true;
    w->moved_ms = now_ms();
}

static void on_wheel(struct window *w, const SDL_MouseWheelEvent *e)
{
    if (!w->absolute && !w->captured)
        return;
    w->wheel += e->direction == SDL_MOUSEWHEEL_FLIPPED ? -e->y : e->y;
    w->moved = true;
}

static void on_window(struct window *w, const SDL_WindowEvent *e)
{
    switch (e->event) {
    case SDL_WINDOWEVENT_FOCUS_LOST:
        release_keys(w);
        capture(w, false);
        break;
    case SDL_WINDOWEVENT_RESIZED:
        if (!w->fullscreen && (e->data1 != w->wanted_w || e->data2 != w->wanted_h))
            w->sized = true;
        break;
    case SDL_WINDOWEVENT_SIZE_CHANGED:
        place(w);
        break;
    case SDL_WINDOWEVENT_HIDDEN:
    case SDL_WINDOWEVENT_MINIMIZED:
        w->visible = false;
        break;
    case SDL_WINDOWEVENT_SHOWN:
    case SDL_WINDOWEVENT_RESTORED:
    case SDL_WINDOWEVENT_MAXIMIZED:
        w->visible = true;
        w->dirty = true;
        break;
    case SDL_WINDOWEVENT_EXPOSED:
        w->dirty = true;
        break;
    default:
        break;
    }
}

static void on_event(struct window *w, const SDL_Event *e)
{
    bool live = atomic_load(&w->started);
    switch (e->type) {
    case SDL_QUIT:
        if (live)
            do_quit(w);
        break;
    case SDL_KEYDOWN:
    case SDL_KEYUP:
        if (live)
            on_key(w, &e->key);
        break;
    case SDL_MOUSEBUTTONDOWN:
    case SDL_MOUSEBUTTONUP:
        on_button(w, &e->button);
        break;
    case SDL_MOUSEMOTION:
        on_motion(w, &e->motion);
        break;
    case SDL_MOUSEWHEEL:
        on_wheel(w, &e->wheel);
        break;
    case SDL_WINDOWEVENT:
        on_window(w, &e->window);
        break;
    case SDL_RENDER_TARGETS_RESET:
    case SDL_RENDER_DEVICE_RESET:
        if (w->width)
            make_texture(w);
        break;
    default:
        if (e->type == w->event && live && !atomic_load(&w->feed.out)) {
            take_picture(w);
            if (w->shot_wanted && w->fresh && w->feed.drawn)
                save_picture(w);
        }
        break;
    }
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
        snprintf(state, sizeof(state), "running, %s, %llu MIPS%s", w->engine,
                 (unsigned long long)w->mips, w->captured ? ", Ctrl-Alt-G releases the mouse" : "");
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
    SDL_Event e = {.type = w->event};
    SDL_PushEvent(&e);
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
    if (SDL_Init(SDL_INIT_VIDEO) < 0)
        return fail(&w->err, ST_IO, "no window: %s", SDL_GetError());
    SDL_EnableScreenSaver();
    SDL_StopTextInput();
    w->event = SDL_RegisterEvents(1);
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
            next = now + 100; /* an event tells */
        if (w->paste)
            next = MIN(next, MAX(w->paste_ms, now + 1));
        if (SDL_WaitEventTimeout(&e, (int)(next - now))) {
            do
                on_event(w, &e);
            while (SDL_PollEvent(&e));
        }
        tell_pointer(w);
        if (w->paste && now_ms() >= w->paste_ms && !w->pressed_pause)
            paste_step(w);
        request_picture(w);
        if (w->shot_wanted && now_ms() >= w->shot_ms)
            save_picture(w); /* the machine does not answer: as it was */
        if (w->dirty && w->visible)
            present(w);
        set_title(w);
    }
    SDL_free(w->paste);
    SDL_DestroyTexture(w->texture);
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
    /* It looks ten times a second. An event would wake it at once, but race with the window's end.
     */
    atomic_store(&w->end, true);
    pthread_join(w->thread, NULL);
    free(w->front);
    free(w->feed.pixels);
    feed_free(&w->feed);
    sem_destroy(&w->opened);
    free(w);
}
