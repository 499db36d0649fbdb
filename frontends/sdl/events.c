/*
 * frontends/sdl/events.c - what SDL tells: keys and pointer for the guest, the window's own
 * affairs.
 */
#include "frontends/sdl/window_priv.h"

/* ---- to the guest ---------------------------------------------------------------------------- */
void key(struct window *w, u16 usage, bool down)
{
    if (usage >= MAX_HELD || !w->started || (!down && !w->held[usage]))
        return;
    w->held[usage] = down;
    feed_key(&w->feed, usage, down);
}

void tell_pointer(struct window *w)
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

void release_keys(struct window *w)
{
    for (u16 k = 0; k < MAX_HELD; k++)
        key(w, k, false);
}

void capture(struct window *w, bool on)
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

void paste_begin(struct window *w)
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
void paste_step(struct window *w)
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

/* ---- events ---------------------------------------------------------------------------------- */
static void on_key(struct window *w, const SDL_KeyboardEvent *e)
{
    bool down = e->state == SDL_PRESSED;
    u16 usage = (u16)e->keysym.scancode;
    bool chord = (e->keysym.mod & KMOD_CTRL) && (e->keysym.mod & KMOD_LALT);
    w->input_ms = now_ms();
    if (down && chord) {
        if (command_key(w, e))
            return;
        if (e->keysym.scancode == SDL_SCANCODE_END) { /* the host keeps the real one */
            if (!w->menu_open)
                do_ctrl_alt_del(w);
            return;
        }
    }
    if (w->menu_open) {
        if (down)
            control_key(w, &e->keysym);
        return;
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
    w->input_ms = now_ms();
    if (w->menu_open) {
        if (down)
            control_click(w, e->x, e->y, e->button == SDL_BUTTON_LEFT);
        return;
    }
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
    w->input_ms = now_ms();
    if (w->menu_open) {
        control_point(w, e->x, e->y);
        return;
    }
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
    if (w->menu_open) {
        control_wheel(w, e->y);
        return;
    }
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

void on_event(struct window *w, const SDL_Event *e)
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
        overlay_lost(w);
        break;
    case SDL_DROPFILE:
        if (live)
            control_drop(w, e->drop.file);
        SDL_free(e->drop.file);
        break;
    default:
        break;
    }
}
