/*
 * frontends/display/feed.h - what goes between a display's thread and the VM's.
 *
 * You are here: the window, VNC and the terminal ask and post; feed.c answers on the VM's thread.
 * "The window" below is any of them. Nothing here knows SDL.
 *
 * Invariant: `out` says whose the picture is. While it is true the fields between the two lines
 * belong to the VM's thread, else to the window's.
 */
#ifndef FRONTENDS_DISPLAY_FEED_H
#define FRONTENDS_DISPLAY_FEED_H

#include "machine/live.h"
#include "machine/vm.h"

#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>

/* A guest chooses its resolution; more than this is not shown. */
enum { FEED_MAX_PIXELS = 16 << 20, FEED_MAX_CELLS = 256 * 128 };

/* Something to do to the machine between two of its runs, while its time stands still; also when it
 * is paused. */
struct feed_job {
    void (*run)(void *arg, struct vm *vm); /* VM's thread */
    void *arg;
};

struct feed {
    struct vm *vm;
    void (*ready)(void *ctx); /* a picture is back; VM's thread */
    void *ctx;

    _Atomic bool out;
    /* ---- lent ---- */
    u32 *pixels; /* 0x00RRGGBB, room for max */
    size_t max;
    int width, height; /* of the screen, also when it has no room */
    bool arrived;      /* a picture (or its size) that the window has not taken */
    bool drawn;        /* pixels are the screen as it is now */
    bool changed;      /* ... and differ from those drawn before */
    bool absolute;     /* the guest listens to the tablet */
    /* Where cells is not NULL, text modes come as characters and are not drawn. */
    u16 *cells; /* room for FEED_MAX_CELLS of (char | attribute << 8), row after row */
    bool text;
    int cols, rows, cursor_x, cursor_y; /* no cursor: it is outside */
    char engine[32];
    u64 insns;           /* executed so far */
    struct vm_live seen; /* while live, */
    u8 heat[VM_HEAT_CELLS];
    u64 heat_cell;
    bool seen_new; /* and taken with this picture */
    /* ---- end ---- */

    bool stopped; /* VM's thread: vm_run() returns for feed_hold() */
    _Atomic bool paused, quit;
    struct feed_job job;   /* lent while */
    _Atomic bool job_out;  /* it is asked for, */
    _Atomic bool job_done; /* and it was done: the window has not looked yet */
    _Atomic bool live;     /* the window wants live and heat, */
    bool live_on;          /* and the VM's thread knows: they are begun, */
    u64 look_ns;           /* and looked at next then, in virtual time */
    sem_t wake;            /* paused, quit or job_out changed */
};

/* False: no memory. */
bool feed_init(struct feed *f, void (*ready)(void *ctx), void *ctx);
void feed_free(struct feed *f);

/* The window's thread. */
void feed_request(struct feed *f); /* not while out */
void feed_key(struct feed *f, u16 usage, bool down);
void feed_mouse(struct feed *f, int dx, int dy, int wheel, u32 buttons);
void feed_tablet(struct feed *f, u32 x, u32 y, int wheel, u32 buttons);
void feed_pause(struct feed *f, bool pause);
void feed_quit(struct feed *f);
/* False: one is under way. ready() is called when it is done. */
bool feed_do(struct feed *f, struct feed_job job);

/* The VM's thread: see window_hold(). */
bool feed_hold(struct feed *f, const volatile sig_atomic_t *signalled);

#endif
