/*
 * frontends/sdl/parts_priv.h - the window's parts that are plain functions: geometry, typing, PNG.
 *
 * You are here: window.c uses them, tests/frontends tests them. No SDL, no machine.
 */
#ifndef FRONTENDS_SDL_PARTS_PRIV_H
#define FRONTENDS_SDL_PARTS_PRIV_H

#include "base/status.h"
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

/* ---- typing (typing.c) ---- */
/* The key of a US keyboard for a character: HID usage, and whether with shift. 0: there is none. */
u16 typing_key(u32 ch, bool *shift);
/* Takes one character off UTF-8 text; 0 at its end, 0xfffd for what is not UTF-8. */
u32 typing_next(const char **text);

/* ---- PNG (png.c) ---- */
/* Writes pixels (0x00RRGGBB) to a new file in folder ("": the current one) that is named after the
 * time; never over another. path: its name. ST_IO, ST_ACCESS, ...: nothing is left behind. */
enum status png_save(const char *folder, const u32 *pixels, int width, int height, char path[512],
                     struct error *err);

#endif
