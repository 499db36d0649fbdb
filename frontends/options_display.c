/*
 * frontends/options_display.c - the words of -display and -screenshot.
 */
#include "frontends/cli_priv.h"

#include <stdio.h>
#include <string.h>

enum status display_take(struct run_options *o, const char *arg, struct error *err)
{
    static const char *const kinds[] = {"sdl", "term", "curses", "vnc", "none", NULL};
    char word[16];
    snprintf(word, sizeof(word), "%.*s", (int)strcspn(arg, ",="), arg);
    bool vnc = !strcmp(word, "vnc") && arg[3] != ',';
    enum status st = one_of(o, vnc ? word : arg, "display", kinds, err);
    if (st || o->done)
        return st;
    const char *keys = strchr(arg, ',');
    o->window = !strcmp(word, "sdl");
    o->vnc = !strcmp(word, "vnc");
    o->term = !strcmp(word, "term") || !strcmp(word, "curses");
    o->display_none = !o->window;
    if (o->vnc)
        return vnc_parse(arg[3] == '=' ? arg + 4 : "", &o->vnc_options, err);
    if (keys && !o->window)
        return fail(err, ST_INVAL, "'%s': %s takes no keys", arg, word);
    return keys ? window_parse(keys + 1, &o->window_options, err) : ST_OK;
}

/* QEMU's short form. */
enum status vnc_take(struct run_options *o, const char *arg, struct error *err)
{
    o->window = o->term = false;
    o->vnc = o->display_none = true;
    return vnc_parse(arg, &o->vnc_options, err);
}

enum status screenshot_take(struct run_options *o, const char *arg, struct error *err)
{
    if (o->n_shots == SHOT_MAX)
        return fail(err, ST_INVAL, "at most %d screenshots", SHOT_MAX);
    return shot_parse(arg, &o->shots[o->n_shots++], err);
}
