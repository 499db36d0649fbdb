/*
 * frontends/sdl/menu.c - see menu_priv.h.
 *
 * Invariant: at is a line that can be chosen, or 0 where none can; top <= at < top + MENU_ROWS.
 */
#include "frontends/sdl/menu_priv.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { EDGE = 12, HEAD = GLYPH_H + 10, LINE = GLYPH_H + 4, THUMB_W = 160, THUMB_H = 120 };

#define PAPER    0xe8141c28u
#define INK      0xffe6e9efu
#define INK_DIM  0xff6b7484u
#define INK_KEY  0xff8fb8ffu
#define CHOSEN   0xff2f5fa8u
#define EDGE_INK 0xff4a5a78u

void menu_clear(struct menu *m, const char *title)
{
    for (int k = 0; k < m->n; k++) {
        free(m->line[k].text);
        free(m->line[k].right);
    }
    m->n = m->at = m->top = 0;
    m->typed[0] = m->foot[0] = 0;
    snprintf(m->title, sizeof(m->title), "%s", title);
}

void menu_free(struct menu *m)
{
    menu_clear(m, "");
    free(m->line);
    *m = (struct menu){0};
}

struct menu_line *menu_add(struct menu *m, int what, int arg, const char *right, const char *format,
                           ...)
{
    static struct menu_line *const none = NULL;
    char text[MENU_TEXT];
    va_list ap;
    if (m->n >= MENU_MAX) {
        snprintf(m->foot, sizeof(m->foot), "only the first %d are shown", MENU_MAX);
        return none;
    }
    if (m->n == m->room) {
        int room = MAX(m->room * 2, 32);
        struct menu_line *l = realloc(m->line, (size_t)room * sizeof(*l));
        if (!l)
            return none;
        m->line = l;
        m->room = room;
    }
    va_start(ap, format);
    vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    struct menu_line *l = &m->line[m->n];
    *l = (struct menu_line){.what = what, .arg = arg};
    l->text = strdup(text);
    l->right = right ? strdup(right) : NULL;
    if (!l->text) {
        free(l->right);
        return none;
    }
    m->n++;
    return l;
}

static void see(struct menu *m)
{
    if (m->at < m->top)
        m->top = m->at;
    if (m->at >= m->top + MENU_ROWS)
        m->top = m->at - MENU_ROWS + 1;
}

void menu_go(struct menu *m, int line)
{
    if (line >= 0 && line < m->n && !m->line[line].dim)
        m->at = line;
    see(m);
}

/* By `by` lines, then on in the same direction to one that can be chosen. */
static void step(struct menu *m, int by)
{
    int dir = by < 0 ? -1 : 1, at = MAX(MIN(m->at + by, m->n - 1), 0);
    while (at >= 0 && at < m->n && m->line[at].dim)
        at += dir;
    if (at < 0 || at >= m->n) { /* the last one on the way */
        at -= dir;
        while (at >= 0 && at < m->n && m->line[at].dim)
            at -= dir;
    }
    menu_go(m, at);
}

void menu_key(struct menu *m, enum menu_key k)
{
    m->typed[0] = 0;
    switch (k) {
    case MENU_UP:
        step(m, -1);
        break;
    case MENU_DOWN:
        step(m, 1);
        break;
    case MENU_PAGE_UP:
        step(m, -MENU_ROWS);
        break;
    case MENU_PAGE_DOWN:
        step(m, MENU_ROWS);
        break;
    case MENU_FIRST:
        m->at = 0;
        step(m, 0);
        break;
    case MENU_LAST:
        m->at = MAX(m->n - 1, 0);
        if (m->n && m->line[m->at].dim)
            step(m, -1);
        see(m);
        break;
    }
}

void menu_type(struct menu *m, char ch)
{
    size_t len = strlen(m->typed);
    if (len + 1 >= sizeof(m->typed))
        return;
    m->typed[len] = ch;
    m->typed[len + 1] = 0;
    for (int again = 0; again < 2; again++) {
        len = strlen(m->typed);
        for (int k = 0; k < m->n; k++) {
            int line = (m->at + k + (len == 1)) % m->n;
            if (!m->line[line].dim && !strncasecmp(m->line[line].text, m->typed, len)) {
                menu_go(m, line);
                return;
            }
        }
        m->typed[0] = ch; /* none: it begins a new word */
        m->typed[1] = 0;
    }
    m->typed[0] = 0;
}

int menu_hit(const struct menu *m, int x, int y)
{
    int row = (y - EDGE - HEAD) / LINE;
    if (x < 0 || x >= MENU_COLUMNS * GLYPH_W + 2 * EDGE || y < EDGE + HEAD || row >= MENU_ROWS)
        return -1;
    int line = m->top + row;
    return line < m->n && !m->line[line].dim ? line : -1;
}

void menu_draw(const struct menu *m, struct canvas *c, const u32 *thumb, int tw, int th)
{
    int rows = MIN(MAX(m->n, 1), MENU_ROWS), w = MENU_COLUMNS * GLYPH_W + 2 * EDGE;
    int h = EDGE * 2 + HEAD + rows * LINE + LINE, full = w + (thumb ? THUMB_W + EDGE : 0);
    if (!canvas_size(c, full, thumb ? MAX(h, EDGE * 2 + HEAD + THUMB_H) : h))
        return;
    canvas_fill(c, 0, 0, c->w, c->h, PAPER);
    canvas_frame(c, 0, 0, c->w, c->h, EDGE_INK);
    canvas_text_cut(c, EDGE, EDGE, m->title, MENU_COLUMNS, INK_KEY);
    canvas_fill(c, EDGE, EDGE + GLYPH_H + 3, w - 2 * EDGE, 1, EDGE_INK);
    for (int k = 0; k < rows && m->top + k < m->n; k++) {
        const struct menu_line *l = &m->line[m->top + k];
        int y = EDGE + HEAD + k * LINE, right = l->right ? (int)strlen(l->right) : 0;
        if (m->top + k == m->at && !l->dim)
            canvas_fill(c, EDGE - 4, y, w - 2 * EDGE + 8, LINE, CHOSEN);
        canvas_text_cut(c, EDGE, y + 2, l->text, MENU_COLUMNS - right - 3, l->dim ? INK_DIM : INK);
        int end = w - EDGE - 2 * GLYPH_W;
        if (l->right)
            canvas_text(c, end - right * GLYPH_W, y + 2, l->right, l->dim ? INK_DIM : INK_KEY);
        if (l->below)
            canvas_text(c, end + GLYPH_W, y + 2, ">", l->dim ? INK_DIM : INK_KEY);
    }
    if (m->n > MENU_ROWS) { /* where in the list */
        int bar = rows * LINE, size = MAX(bar * MENU_ROWS / m->n, 8);
        canvas_fill(c, w - EDGE + 4, EDGE + HEAD + (bar - size) * m->top / (m->n - MENU_ROWS), 3,
                    size, EDGE_INK);
    }
    const char *foot = m->foot[0] ? m->foot : "Enter or click: choose   Esc or right click: back";
    canvas_text_cut(c, EDGE, EDGE + HEAD + rows * LINE + 4, foot, MENU_COLUMNS, INK_DIM);
    if (thumb)
        canvas_picture(c, w, EDGE + HEAD, THUMB_W, THUMB_H, thumb, tw, th);
}
