/*
 * frontends/sdl/parts_priv.h - the window's geometry; with it what displays share
 * (frontends/display/parts.h).
 *
 * You are here: window.c uses them, tests/frontends tests them. No SDL, no machine.
 */
#ifndef FRONTENDS_SDL_PARTS_PRIV_H
#define FRONTENDS_SDL_PARTS_PRIV_H

#include "base/status.h"
#include "frontends/display/parts.h"
#include "frontends/sdl/window.h"

/* ---- geometry (shape.c) ---- */
struct shape {
    int x, y, w, h;
};
/* The size at which a monitor with square pixels shows a width x height screen in its proportions:
 * those of a VGA were 4:3 whatever the mode. */
void shape_natural(int width, int height, enum window_scale scale, int *w, int *h);
/* Where the picture is in a window of win_w x win_h. All sizes are at least 1. */
struct shape shape_fit(int width, int height, enum window_scale scale, int win_w, int win_h);
/* A place in the window -> 0..32767 in the picture; outside: its nearest edge. */
void shape_point(const struct shape *s, int x, int y, u32 *px, u32 *py);

#endif
