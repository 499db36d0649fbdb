/*
 * frontends/display/shot.h - -screenshot: the screen into files, with or without a display.
 *
 * You are here: options_display.c parses, run.c starts and ends it.
 */
#ifndef FRONTENDS_DISPLAY_SHOT_H
#define FRONTENDS_DISPLAY_SHOT_H

#include "base/status.h"
#include "base/types.h"

struct vm;
struct shots;

enum { SHOT_MAX = 16 };
struct shot_spec {
    char path[512];
    bool timed;   /* else when the machine ends */
    u64 after_ns; /* timed: of the guest's time */
};

/* "FILE[,after=SECONDS|,at=exit]". ST_INVAL, and what picture_check() says. */
enum status shot_parse(const char *text, struct shot_spec *out, struct error *err);

/* SIGUSR2 is kept from killing: before any thread is started. */
void shots_signal(void);
/* The machine is made. With SIGUSR2 the screen goes to the first file, or a new one in the current
 * folder. VM's thread. ST_UNSUP: files are asked for, and it has no display. */
enum status shots_start(const struct shot_spec *spec, int n, struct vm *vm, struct shots **out,
                        struct error *err);
/* The machine has ended: those at its end are made. False: one could not be written (a message
 * said so), now or before. NULL is fine. */
bool shots_end(struct shots *s);
/* Before the machine is freed. NULL is fine. */
void shots_free(struct shots *s);

/* The same as pixels, 0x00RRGGBB, malloc'd; NULL on failure. */
enum status shot_pixels(struct vm *vm, u32 **pixels, int *width, int *height, struct error *err);
/* The screen as it is now. VM's thread. ST_UNSUP: no display, or nothing on it. */
enum status shot_take(struct vm *vm, const char *path, struct error *err);

#endif
