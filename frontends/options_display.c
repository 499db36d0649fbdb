/*
 * frontends/options_display.c - the words of -display and -screenshot.
 */
#include "frontends/cli_priv.h"

#include <string.h>

enum status display_take(struct run_options *o, const char *arg, struct error *err)
{
    static const char *const kinds[] = {"sdl", "none", NULL};
    enum status st = one_of(o, arg, "display", kinds, err);
    if (st || o->done)
        return st;
    const char *keys = strchr(arg, ',');
    o->window = !strncmp(arg, "sdl", 3);
    o->display_none = !o->window;
    if (keys && !o->window)
        return fail(err, ST_INVAL, "'%s': none takes no keys", arg);
    return keys ? window_parse(keys + 1, &o->window_options, err) : ST_OK;
}

enum status screenshot_take(struct run_options *o, const char *arg, struct error *err)
{
    if (o->n_shots == SHOT_MAX)
        return fail(err, ST_INVAL, "at most %d screenshots", SHOT_MAX);
    return shot_parse(arg, &o->shots[o->n_shots++], err);
}
