/*
 * frontends/sdl/panel_priv.h - the live view: counters become rates, and those become a picture.
 *
 * You are here: overlay.c shows it; docs/desktop.md says what each figure means. No SDL.
 */
#ifndef FRONTENDS_SDL_PANEL_PRIV_H
#define FRONTENDS_SDL_PANEL_PRIV_H

#include "frontends/sdl/canvas_priv.h"
#include "machine/live.h"

enum { PANEL_HISTORY = 80 };

struct panel {
    char engine[32];
    bool any, ready; /* any: before is set; ready: there are rates */
    struct vm_live before, now;
    u64 mips_top;            /* the scale of the curve */
    u32 mips[PANEL_HISTORY]; /* a ring, one a period */
    int at;                  /* its oldest */
    u8 read[VM_HEAT_CELLS];  /* how lately: 255 now, fading */
    u8 write[VM_HEAT_CELLS], exec[VM_HEAT_CELLS], code[VM_HEAT_CELLS];
    u64 cell;
};

void panel_clear(struct panel *p);
/* Counters were taken; true: the panel is to be drawn anew. */
bool panel_take(struct panel *p, const struct vm_live *now, const u8 heat[VM_HEAT_CELLS], u64 cell,
                const char *engine);
void panel_draw(const struct panel *p, struct canvas *c);
/* "0", "12", "3.4k", "12M": at most five letters. */
void panel_number(u64 n, char out[8]);
/* n per second over ns. */
u64 panel_rate(u64 before, u64 now, u64 ns);

#endif
