/*
 * frontends/display/parts.h - what displays share that is plain functions: characters and keysyms
 * as keys, pictures as files.
 *
 * You are here: the window, VNC, the terminal and -screenshot use them, tests/desktop tests them.
 * No machine.
 */
#ifndef FRONTENDS_DISPLAY_PARTS_H
#define FRONTENDS_DISPLAY_PARTS_H

#include "base/status.h"
#include "base/types.h"

/* ---- typing (typing.c) ---- */
/* The key of a US keyboard for a character: HID usage, and whether with shift. 0: there is none. */
u16 typing_key(u32 ch, bool *shift);
/* Takes one character off UTF-8 text; 0 at its end, 0xfffd for what is not UTF-8. */
u32 typing_next(const char **text);

/* ---- files (png.c) ---- */
/* Makes a new file in folder ("": the current one) that is named after the time and ends in kind;
 * never over another. path: its name. <0: errno says why. */
int new_file(const char *folder, const char *kind, char path[512]);

/* ---- keysyms (keysym.c) ---- */
/* The key of a US keyboard for an X keysym: HID usage, and whether a character needs shift. 0:
 * there is none. */
u16 keysym_key(u32 sym, bool *shift);

/* ---- a PC's characters (cp437.c) ---- */
u32 cp437_unicode(u8 c);
char cp437_ascii(u8 c); /* what comes near, '?' for what nothing does */

/* ---- pictures (png.c): pixels are 0x00RRGGBB ---- */
/* Writes a new file in folder ("": the current one) that is named after the time; never over
 * another. path: its name. ST_IO, ST_ACCESS, ...: nothing is left behind. ST_UNSUP: built without
 * libpng. */
enum status png_save(const char *folder, const u32 *pixels, int width, int height, char path[512],
                     struct error *err);
/* Writes to path, in the place of what was there before; it is complete or as it was. A name that
 * ends in .ppm gives a portable pixmap, every other PNG. */
enum status picture_write(const char *path, const u32 *pixels, int width, int height,
                          struct error *err);
/* Whether picture_write() could: the folder is there, the build knows the format. */
enum status picture_check(const char *path, struct error *err);

#endif
