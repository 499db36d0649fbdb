/*
 * frontends/sdl/canvas_priv.h - drawing by ourselves: rectangles and 8x16 text in a piece of
 * memory.
 *
 * You are here: the menu and the live view draw into a canvas; picture.c lays it over the guest's
 * screen. No SDL. Colours are 0xAARRGGBB; nothing is drawn outside the canvas.
 */
#ifndef FRONTENDS_SDL_CANVAS_PRIV_H
#define FRONTENDS_SDL_CANVAS_PRIV_H

#include "base/types.h"

enum { GLYPH_W = 8, GLYPH_H = 16 };

struct canvas {
    u32 *px; /* w * h, row after row */
    int w, h;
};

/* Makes it w x h and clears it to transparent; keeps its memory where that suffices. False: no
 * memory, or a size that is not 1..4096. px NULL and sizes 0 at first. */
bool canvas_size(struct canvas *c, int w, int h);
void canvas_free(struct canvas *c);

void canvas_fill(struct canvas *c, int x, int y, int w, int h, u32 argb);
void canvas_frame(struct canvas *c, int x, int y, int w, int h, u32 argb);
/* One line of Latin-1 (bytes of UTF-8 that are no ASCII show as '?'); returns where it ends. */
int canvas_text(struct canvas *c, int x, int y, const char *text, u32 argb);
/* The same in at most `max` letters; what is longer loses its middle. */
int canvas_text_cut(struct canvas *c, int x, int y, const char *text, int max, u32 argb);
/* A picture (0x00RRGGBB) shrunk or stretched to w x h. */
void canvas_picture(struct canvas *c, int x, int y, int w, int h, const u32 *px, int pw, int ph);

#endif
