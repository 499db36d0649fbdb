/*
 * frontends/sdl/menu_priv.h - the menu over the guest's screen: what is on a page, which line is
 * chosen, and how it looks.
 *
 * You are here: control.c fills pages and does what a line says; this only knows lines. No SDL, no
 * machine.
 */
#ifndef FRONTENDS_SDL_MENU_PRIV_H
#define FRONTENDS_SDL_MENU_PRIV_H

#include "frontends/sdl/canvas_priv.h"

enum { MENU_TEXT = 280, MENU_MAX = 4096, MENU_COLUMNS = 60, MENU_ROWS = 16 };

struct menu_line {
    char *text, *right; /* owned; right: key or state, may be NULL */
    int what, arg;      /* for whoever filled the page */
    bool dim;           /* cannot be chosen now */
    bool below;         /* leads to another page */
};

struct menu {
    char title[MENU_TEXT], foot[MENU_TEXT];
    struct menu_line *line;
    int n, room;
    int at;  /* chosen line */
    int top; /* first line that is seen */
    char typed[64];
};

enum menu_key {
    MENU_UP,
    MENU_DOWN,
    MENU_PAGE_UP,
    MENU_PAGE_DOWN,
    MENU_FIRST,
    MENU_LAST,
};

void menu_clear(struct menu *m, const char *title);
void menu_free(struct menu *m);
/* Adds a line; more than MENU_MAX are left out, and said in the foot. right may be NULL. */
struct menu_line *menu_add(struct menu *m, int what, int arg, const char *right, const char *format,
                           ...) __attribute__((__format__(printf, 5, 6)));
/* Moves to a line that can be chosen; -1: there is none. */
void menu_key(struct menu *m, enum menu_key k);
void menu_go(struct menu *m, int line);
/* A typed letter: the next line whose text begins with what was typed so far. */
void menu_type(struct menu *m, char ch);
/* The line that can be chosen at a place of the canvas that menu_draw() made; -1: none. */
int menu_hit(const struct menu *m, int x, int y);
/* Sizes the canvas and draws. Thumbnail (0x00RRGGBB) of the chosen line, or NULL. */
void menu_draw(const struct menu *m, struct canvas *c, const u32 *thumb, int tw, int th);

#endif
