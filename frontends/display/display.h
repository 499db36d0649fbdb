/*
 * frontends/display/display.h - displays that need no window: VNC and the terminal.
 *
 * You are here: run.c opens one before the machine is built, so that a port that is taken or a
 * terminal that is none is told at once, starts it with the machine, and closes it before the
 * machine is freed. docs/displays.md has the keys.
 *
 * Threads: each display has one of its own, the only one that calls its library. It meets the VM's
 * in struct feed (feed.h).
 */
#ifndef FRONTENDS_DISPLAY_DISPLAY_H
#define FRONTENDS_DISPLAY_DISPLAY_H

#include "base/status.h"
#include "base/types.h"

struct vm;
struct display;
struct display_ops {
    /* See display_start() and display_close(). */
    enum status (*start)(struct display *d, struct vm *vm, struct error *err);
    void (*close)(struct display *d);
};
struct display {
    const struct display_ops *ops;
};

enum vnc_share {
    VNC_ALLOW_EXCLUSIVE, /* a client that asks to be alone sends the others away */
    VNC_FORCE_SHARED,    /* such a client is refused while there are others */
    VNC_IGNORE,          /* such a client shares all the same */
};
struct vnc_options {
    char host[64]; /* "": the loopback address */
    int number;    /* of the display: port 5900 and so many */
    enum vnc_share share;
    char password[256]; /* the file; "": nobody is asked */
};

/* What follows "vnc=" in -display: "[HOST]:N[,password-file=FILE][,share=...]". ST_INVAL. */
enum status vnc_parse(const char *text, struct vnc_options *o, struct error *err);
/* Listens. ST_UNSUP: built without libvncserver; ST_BUSY: somebody has the port; ST_NOENT, ...: the
 * password's file. */
enum status vnc_open(const struct vnc_options *o, struct display **out, struct error *err);

/* Takes the terminal. ST_UNSUP: built without ncurses; ST_INVAL: standard input or output is none,
 * or one that cannot place its cursor. */
enum status term_open(struct display **out, struct error *err);

/* The machine is about to run. VM's thread. ST_UNSUP: it has no display. */
enum status display_start(struct display *d, struct vm *vm, struct error *err);
/* The display goes, and the terminal is as it was. VM's thread. NULL is fine. */
void display_close(struct display *d);

#endif
