/*
 * frontends/sdl/shape.c - where the guest's picture is in the window.
 */
#include "frontends/sdl/parts_priv.h"

/* Modes of a VGA's monitor; what is larger came with square pixels. */
static bool is_vga(int width, int height)
{
    return width <= 720 && height <= 480;
}

void shape_natural(int width, int height, enum window_scale scale, int *w, int *h)
{
    *w = width;
    *h = height;
    if (scale == SCALE_INTEGER || !is_vga(width, height))
        return;
    if (width * 3 >= height * 4)
        *h = (width * 3 + 2) / 4;
    else
        *w = (height * 4 + 1) / 3;
}

struct shape shape_fit(int width, int height, enum window_scale scale, int win_w, int win_h)
{
    struct shape s;
    int w, h;
    shape_natural(width, height, scale, &w, &h);
    int times = MIN(win_w / w, win_h / h);
    if (scale == SCALE_INTEGER && times >= 1) {
        s.w = w * times;
        s.h = h * times;
    } else if ((i64)win_w * h <= (i64)win_h * w) {
        s.w = win_w;
        s.h = (int)MAX(((i64)win_w * h + w / 2) / w, 1);
    } else {
        s.h = win_h;
        s.w = (int)MAX(((i64)win_h * w + h / 2) / h, 1);
    }
    s.x = (win_w - s.w) / 2;
    s.y = (win_h - s.h) / 2;
    return s;
}

static u32 place(int at, int from, int size)
{
    i64 v = size > 1 ? (i64)(at - from) * 32767 / (size - 1) : 0;
    return (u32)MAX(MIN(v, 32767), 0);
}

void shape_point(const struct shape *s, int x, int y, u32 *px, u32 *py)
{
    *px = place(x, s->x, s->w);
    *py = place(y, s->y, s->h);
}
