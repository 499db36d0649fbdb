/*
 * frontends/sdl/window.h - the desktop window of `trivisor run -display sdl`.
 *
 * You are here: run.c opens a window before the machine is built (so that a host without a session
 * is told at once), starts it with the machine, and closes it before the machine is freed.
 * docs/desktop.md has the keys.
 *
 * Threads: the machine stays on the thread that made it, the process's first. The window has a
 * thread of its own, the only one that calls SDL. They share struct feed
 * (frontends/display/feed.h): a picture is drawn on the VM's thread into a buffer that is lent to
 * it, and input goes by vm_post().
 */
#ifndef FRONTENDS_SDL_WINDOW_H
#define FRONTENDS_SDL_WINDOW_H

#include "base/status.h"
#include "base/types.h"

#include <signal.h>

struct vm;
struct window;

enum window_scale {
    SCALE_SMOOTH,  /* as large as the window allows, in the monitor's proportions, filtered */
    SCALE_SHARP,   /* the same, each pixel a rectangle */
    SCALE_INTEGER, /* pixels are squares of a whole number of the host's */
    N_SCALES,
};

struct window_options {
    enum window_scale scale;
    bool fullscreen;
    char shots[256];  /* folder of screenshots; "": the current one */
    char slots[256];  /* folder of saved machines; "": the user's */
    const char *name; /* in the title; NULL: the program's */
    bool snapshot;    /* what is written to media inserted later is lost at the end */
};

/* What follows "sdl" in -display: ",scale=smooth|sharp|integer,fullscreen=on|off,
 * screenshots=FOLDER,slots=FOLDER". ST_INVAL. */
enum status window_parse(const char *keys, struct window_options *o, struct error *err);

/* Whether a graphical session is there and this build has a window: it is the default then. */
bool window_likely(void);

/* Shows an empty window. ST_UNSUP: built without SDL, or no session; ST_IO: the session refuses. */
enum status window_open(const struct window_options *o, struct window **out, struct error *err);

/* The machine is about to run. can_pause: somebody calls window_hold(). VM's thread. ST_UNSUP: it
 * has no display. */
enum status window_start(struct window *w, struct vm *vm, bool can_pause, struct error *err);

/* After vm_run() returned VM_STOP_REQUEST: was it the pause key, and the machine shall go on now?
 * Waits as long as it is paused, with the guest's time standing still. False: it ends, by the
 * window, a signal (*signalled) or whoever else asked. VM's thread; w may be NULL. */
bool window_hold(struct window *w, const volatile sig_atomic_t *signalled);

/* The window goes. NULL is fine. */
void window_close(struct window *w);

#endif
