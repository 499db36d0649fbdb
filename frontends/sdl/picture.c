/*
 * frontends/sdl/picture.c - the guest's screen in the window: asked for, taken, scaled, shown.
 *
 * What it is not: drawing it (the device does, on the VM's thread: feed.c).
 */
#include "frontends/sdl/window_priv.h"
#include "base/log.h"

#include <stdlib.h>
#include <string.h>

/* ---- the picture ----------------------------------------------------------------------------- */
void place(struct window *w)
{
    int win_w, win_h;
    SDL_GetWindowSize(w->win, &win_w, &win_h);
    if (w->width)
        w->shape = shape_fit(w->width, w->height, w->o.scale, MAX(win_w, 1), MAX(win_h, 1));
    w->dirty = true;
}

/* The window takes the size of the guest's new mode, unless the user has given it one. A display
 * that was not set up yet is some dots wide: not a size for a window. */
void resize(struct window *w)
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

void make_texture(struct window *w)
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
    w->part_from = w->part_from < w->part_to ? MIN(w->part_from, from) : from;
    w->part_to = MAX(w->part_to, to);
    w->part = true;
}

/* Only lines of the picture have changed, and what the window shows is still in memory: that of a
 * renderer without a graphics card is. Whole multiples only: else a line's neighbours count. */
static bool present_part(struct window *w)
{
    const struct shape *s = &w->shape;
    int times = w->width ? s->w / w->width : 0;
    if (w->dirty || !w->software || w->menu_open || w->live_open || !w->texture || times < 1 ||
        s->w != w->width * times || s->h != w->height * times)
        return false;
    SDL_Rect from = {0, w->part_from, w->width, w->part_to - w->part_from};
    SDL_Rect to = {s->x, s->y + from.y * times, s->w, from.h * times};
    SDL_RenderCopy(w->renderer, w->texture, &from, &to);
    return true;
}

void present(struct window *w)
{
    SDL_Rect to = {w->shape.x, w->shape.y, w->shape.w, w->shape.h};
    int win_w, win_h;
    if (!present_part(w)) {
        SDL_GetWindowSize(w->win, &win_w, &win_h);
        bool covered = w->texture && w->width && to.w >= win_w && to.h >= win_h;
        SDL_SetRenderDrawColor(w->renderer, 0, 0, 0, 255);
        if (!covered)
            SDL_RenderClear(w->renderer);
        if (w->texture && w->width)
            SDL_RenderCopy(w->renderer, w->texture, NULL, &to);
        overlay_present(w);
    }
    SDL_RenderPresent(w->renderer);
    w->dirty = w->part = false;
    w->part_from = w->part_to = 0;
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
void take_picture(struct window *w)
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
        SDL_ShowCursor(w->absolute && !w->menu_open ? SDL_DISABLE : SDL_ENABLE);
    }
    snprintf(w->engine, sizeof(w->engine), "%s", f->engine);
    u64 now = now_ms();
    if (now >= w->rate_ms + 1000) {
        w->mips = (f->insns - w->rate_insns) / ((now - w->rate_ms) * 1000);
        w->rate_ms = now;
        w->rate_insns = f->insns;
    }
    if (f->seen_new)
        live_step(w);
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
        w->gif_new = true;
        if (!same)
            resize(w);
        if (same && w->texture && w->tex_w == w->width && w->tex_h == w->height)
            update_texture(w, old);
        else
            make_texture(w);
    }
}

void request_picture(struct window *w)
{
    u64 now = now_ms();
    if (now < w->next_ms || !w->started || atomic_load(&w->feed.out) || w->feed.paused)
        return;
    bool lazy = now > w->moved_ms + LAZY_AFTER_MS || !w->visible;
    w->next_ms = now + (lazy ? LAZY_MS : FRAME_MS);
    w->fresh = w->shot_wanted;
    feed_request(&w->feed);
}

void save_picture(struct window *w)
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
