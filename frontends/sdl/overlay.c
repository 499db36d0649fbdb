/*
 * frontends/sdl/overlay.c - what lies over the guest's picture: the menu, the live view.
 *
 * Each is a canvas, drawn when it changes, and a texture of it.
 */
#include "frontends/sdl/window_priv.h"
#include "base/log.h"

static bool upload(struct window *w, const struct canvas *c, SDL_Texture **tex)
{
    int tw = 0, th = 0;
    if (!c->px)
        return false;
    if (*tex)
        SDL_QueryTexture(*tex, NULL, NULL, &tw, &th);
    if (tw != c->w || th != c->h) {
        SDL_DestroyTexture(*tex);
        *tex = SDL_CreateTexture(w->renderer, SDL_PIXELFORMAT_ARGB8888, SDL_TEXTUREACCESS_STREAMING,
                                 c->w, c->h);
        if (!*tex) {
            log_error("window: %s", SDL_GetError());
            return false;
        }
        SDL_SetTextureBlendMode(*tex, SDL_BLENDMODE_BLEND);
    }
    SDL_UpdateTexture(*tex, NULL, c->px, c->w * (int)sizeof(u32));
    return true;
}

/* Twice as large where there is room for that, smaller where there is none for all of it. */
static struct shape size_in(const struct canvas *c, int win_w, int win_h)
{
    struct shape s = {0, 0, c->w, c->h};
    if (c->w * 3 < win_w && c->h * 3 < win_h) {
        s.w *= 2;
        s.h *= 2;
    } else if (c->w > win_w || c->h > win_h) {
        if ((i64)c->w * win_h >= (i64)c->h * win_w) {
            s.w = win_w;
            s.h = MAX((int)((i64)c->h * win_w / c->w), 1);
        } else {
            s.h = win_h;
            s.w = MAX((int)((i64)c->w * win_h / c->h), 1);
        }
    }
    return s;
}

void overlay_step(struct window *w)
{
    if (w->menu_open && w->menu_dirty) {
        const struct slot *s = NULL;
        if ((w->page == PAGE_SAVE || w->page == PAGE_LOAD) && w->menu.at < SLOTS)
            s = &w->slot[w->menu.at];
        menu_draw(&w->menu, &w->menu_canvas, s ? s->picture : NULL, s ? s->width : 0,
                  s ? s->height : 0);
        upload(w, &w->menu_canvas, &w->menu_tex);
        w->menu_dirty = false;
        w->dirty = true;
    }
    if (w->live_open && w->live_dirty) {
        panel_draw(&w->panel, &w->live_canvas);
        upload(w, &w->live_canvas, &w->live_tex);
        w->live_dirty = false;
        w->dirty = true;
    }
}

void overlay_present(struct window *w)
{
    int win_w, win_h;
    SDL_GetWindowSize(w->win, &win_w, &win_h);
    if (w->live_open && w->live_tex) {
        struct shape s = size_in(&w->live_canvas, win_w, win_h);
        s.x = win_w - s.w;
        w->live_shape = s;
        SDL_RenderCopy(w->renderer, w->live_tex, NULL, &(SDL_Rect){s.x, s.y, s.w, s.h});
    }
    if (w->menu_open && w->menu_tex) {
        struct shape s = size_in(&w->menu_canvas, win_w, win_h);
        s.x = (win_w - s.w) / 2;
        s.y = (win_h - s.h) / 2;
        w->menu_shape = s;
        SDL_RenderCopy(w->renderer, w->menu_tex, NULL, &(SDL_Rect){s.x, s.y, s.w, s.h});
    }
}

void overlay_lost(struct window *w)
{
    SDL_DestroyTexture(w->menu_tex);
    SDL_DestroyTexture(w->live_tex);
    w->menu_tex = w->live_tex = NULL;
    w->menu_dirty = w->live_dirty = true;
}

void overlay_end(struct window *w)
{
    overlay_lost(w);
    canvas_free(&w->menu_canvas);
    canvas_free(&w->live_canvas);
}

void live_step(struct window *w)
{
    if (!w->live_open)
        return;
    if (panel_take(&w->panel, &w->feed.seen, w->feed.heat, w->feed.heat_cell, w->engine))
        w->live_dirty = true;
}
