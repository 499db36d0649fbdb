/*
 * frontends/sdl/parts_priv.h - the window's parts that are plain functions: geometry, moving
 * pictures, folders; with them what displays share (frontends/display/parts.h).
 *
 * You are here: the window's files use them, tests/desktop tests them. No SDL, no machine.
 */
#ifndef FRONTENDS_SDL_PARTS_PRIV_H
#define FRONTENDS_SDL_PARTS_PRIV_H

#include "base/status.h"
#include "frontends/display/parts.h"
#include "frontends/sdl/window.h"

/* ---- geometry (shape.c) ---- */
struct shape {
    int x, y, w, h;
};
/* The size at which a monitor with square pixels shows a width x height screen in its proportions:
 * those of a VGA were 4:3 whatever the mode. */
void shape_natural(int width, int height, enum window_scale scale, int *w, int *h);
/* Where the picture is in a window of win_w x win_h. All sizes are at least 1. */
struct shape shape_fit(int width, int height, enum window_scale scale, int win_w, int win_h);
/* A place in the window -> 0..32767 in the picture; outside: its nearest edge. */
void shape_point(const struct shape *s, int x, int y, u32 *px, u32 *py);

/* ---- moving pictures (gif.c) ---- */
struct gif;
bool gif_built(void); /* this build can record */
/* As png_save(), for pictures of one size. */
enum status gif_begin(const char *folder, int width, int height, struct gif **out, char path[512],
                      struct error *err);
bool gif_fits(const struct gif *g, int width, int height);
/* A picture (0x00RRGGBB) that is seen from now_ms on, until the next. */
enum status gif_add(struct gif *g, const u32 *pixels, u64 now_ms, struct error *err);
/* Writes the end and frees it, also on failure. */
enum status gif_end(struct gif *g, u64 now_ms, struct error *err);
void gif_free(struct gif *g); /* NULL is fine */

/* ---- choosing a file (files.c) ---- */
struct menu;
enum { FILES_PATH = 4096, FILES_FLOPPY_MAX = 2880 * 1024 };
/* Whether a name ends as disk images do. */
bool file_is_image(const char *name, bool floppy);
/* Adds the folders and images of a folder, folders first; all: whatever their names. floppy: files
 * that a floppy has room for. Lines of folders end in '/'. */
enum status files_list(struct menu *m, const char *folder, bool floppy, bool all, int what_folder,
                       int what_file, struct error *err);
/* folder/name, ".." resolved. False: too long. */
bool file_join(const char *folder, const char *name, char out[FILES_PATH]);
void file_size_text(u64 size, char out[24]); /* "1440 KB" */

#endif
