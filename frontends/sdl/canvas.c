/*
 * frontends/sdl/canvas.c - see canvas_priv.h.
 */
#include "frontends/sdl/canvas_priv.h"
#include "frontends/sdl/letters.h" /* made by roms/font.py */

#include <stdlib.h>
#include <string.h>

enum { MAX_SIZE = 4096 };

bool canvas_size(struct canvas *c, int w, int h)
{
    if (w < 1 || h < 1 || w > MAX_SIZE || h > MAX_SIZE)
        return false;
    if (w != c->w || h != c->h) {
        u32 *px = realloc(c->px, (size_t)w * (size_t)h * sizeof(*px));
        if (!px)
            return false;
        c->px = px;
        c->w = w;
        c->h = h;
    }
    memset(c->px, 0, (size_t)w * (size_t)h * sizeof(*c->px));
    return true;
}

void canvas_free(struct canvas *c)
{
    free(c->px);
    *c = (struct canvas){0};
}

void canvas_fill(struct canvas *c, int x, int y, int w, int h, u32 argb)
{
    int x1 = MIN(x + w, c->w), y1 = MIN(y + h, c->h);
    for (int b = MAX(y, 0); b < y1; b++)
        for (int a = MAX(x, 0); a < x1; a++)
            c->px[b * c->w + a] = argb;
}

void canvas_frame(struct canvas *c, int x, int y, int w, int h, u32 argb)
{
    canvas_fill(c, x, y, w, 1, argb);
    canvas_fill(c, x, y + h - 1, w, 1, argb);
    canvas_fill(c, x, y, 1, h, argb);
    canvas_fill(c, x + w - 1, y, 1, h, argb);
}

static void letter(struct canvas *c, int x, int y, u8 ch, u32 argb)
{
    const u8 *g = letters + (size_t)(ch >= 0x80 ? '?' : ch) * GLYPH_H;
    for (int b = 0; b < GLYPH_H; b++)
        for (int a = 0; a < GLYPH_W; a++)
            if (g[b] >> (7 - a) & 1 && x + a >= 0 && x + a < c->w && y + b >= 0 && y + b < c->h)
                c->px[(y + b) * c->w + x + a] = argb;
}

int canvas_text(struct canvas *c, int x, int y, const char *text, u32 argb)
{
    for (; *text; text++) {
        if ((*text & 0xc0) == 0x80) /* the rest of a character */
            continue;
        letter(c, x, y, (u8)*text, argb);
        x += GLYPH_W;
    }
    return x;
}

int canvas_text_cut(struct canvas *c, int x, int y, const char *text, int max, u32 argb)
{
    size_t len = strlen(text), room = (size_t)MAX(max, 0);
    char part[256];
    if (len <= room)
        return canvas_text(c, x, y, text, argb);
    if (room < 4 || room >= sizeof(part))
        return x;
    size_t head = (room - 2) / 2, tail = room - 2 - head;
    memcpy(part, text, head);
    memcpy(part + head, "..", 2);
    memcpy(part + head + 2, text + len - tail, tail + 1);
    return canvas_text(c, x, y, part, argb);
}

void canvas_picture(struct canvas *c, int x, int y, int w, int h, const u32 *px, int pw, int ph)
{
    if (pw < 1 || ph < 1)
        return;
    for (int b = 0; b < h; b++) {
        for (int a = 0; a < w; a++) {
            if (x + a < 0 || x + a >= c->w || y + b < 0 || y + b >= c->h)
                continue;
            size_t from = (size_t)((i64)b * ph / h) * (size_t)pw + (size_t)((i64)a * pw / w);
            c->px[(y + b) * c->w + x + a] = px[from] | 0xff000000;
        }
    }
}
