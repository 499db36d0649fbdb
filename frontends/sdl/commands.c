/*
 * frontends/sdl/commands.c - what the Ctrl-Alt keys do.
 */
#include "frontends/sdl/window_priv.h"
#include "machine/views.h"

#include <unistd.h>

/* ---- the Ctrl-Alt keys ----------------------------------------------------------------------- */
void do_fullscreen(struct window *w)
{
    bool on = !w->fullscreen;
    if (SDL_SetWindowFullscreen(w->win, on ? SDL_WINDOW_FULLSCREEN_DESKTOP : 0) < 0)
        return note(w, SDL_GetError());
    w->fullscreen = on;
    place(w);
}

/* The keys that the chord holds down stay so. */
void do_ctrl_alt_del(struct window *w)
{
    static const u16 keys[] = {KEY_CTRL, KEY_ALT, KEY_DELETE};
    bool was[ARRAY_LEN(keys)];
    for (size_t k = 0; k < ARRAY_LEN(keys); k++) {
        was[k] = w->held[keys[k]];
        if (!was[k])
            key(w, keys[k], true);
    }
    for (size_t k = ARRAY_LEN(keys); k-- > 0;)
        if (!was[k])
            key(w, keys[k], false);
}

void do_live(struct window *w)
{
    w->live_open = !w->live_open;
    panel_clear(&w->panel);
    w->live_dirty = w->dirty = true;
    atomic_store(&w->feed.live, w->live_open);
}

static void do_grab(struct window *w)
{
    if (!w->absolute)
        capture(w, !w->captured);
}

void do_pause(struct window *w)
{
    if (!w->can_pause)
        return note(w, "this command cannot pause the machine");
    w->pressed_pause = !w->pressed_pause;
    if (w->pressed_pause)
        release_keys(w);
    feed_pause(&w->feed, w->pressed_pause);
}

void do_reset(struct window *w)
{
    vm_reset_button(w->feed.vm);
    note(w, "reset");
}

void do_power(struct window *w)
{
    vm_power_button(w->feed.vm);
    note(w, "power button");
}

void do_screenshot(struct window *w)
{
    w->shot_wanted = true;
    w->fresh = false;
    w->shot_ms = now_ms() + SHOT_WAIT_MS;
    w->next_ms = 0;
}

void do_engine(struct window *w)
{
    vm_engine_toggle(w->feed.vm);
}

void do_scale(struct window *w)
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
void do_quit(struct window *w)
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
    {SDLK_f, SDL_SCANCODE_F, do_fullscreen},  {SDLK_g, SDL_SCANCODE_G, do_grab},
    {SDLK_p, SDL_SCANCODE_P, do_pause},       {SDLK_r, SDL_SCANCODE_R, do_reset},
    {SDLK_o, SDL_SCANCODE_O, do_power},       {SDLK_s, SDL_SCANCODE_S, do_screenshot},
    {SDLK_e, SDL_SCANCODE_E, do_engine},      {SDLK_l, SDL_SCANCODE_L, do_scale},
    {SDLK_v, SDL_SCANCODE_V, paste_begin},    {SDLK_q, SDL_SCANCODE_Q, do_quit},
    {SDLK_m, SDL_SCANCODE_M, control_toggle}, {SDLK_i, SDL_SCANCODE_I, do_live},
    {SDLK_c, SDL_SCANCODE_C, do_record},
};

static const struct command *command_of(const SDL_Keysym *sym)
{
    bool latin = sym->sym >= SDLK_a && sym->sym <= SDLK_z;
    for (size_t k = 0; k < ARRAY_LEN(commands); k++)
        if (latin ? sym->sym == commands[k].letter : sym->scancode == commands[k].place)
            return &commands[k];
    return NULL;
}

bool command_key(struct window *w, const SDL_KeyboardEvent *e)
{
    const struct command *c = command_of(&e->keysym);
    if (c && !e->repeat)
        c->run(w);
    return c != NULL;
}
