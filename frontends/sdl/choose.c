/*
 * frontends/sdl/choose.c - the words of -display sdl, and what a build without SDL says.
 */
#include "frontends/cli_priv.h"
#include "frontends/sdl/window.h"

#include <stdlib.h>
#include <string.h>

enum key { SCALE, FULLSCREEN, SCREENSHOTS, SLOTS };

static enum status take_folder(char *to, size_t size, const char *key, const char *value,
                               struct error *err)
{
    if (!value || !*value || strlen(value) >= size)
        return fail(err, ST_INVAL, "%s wants a folder", key);
    snprintf(to, size, "%s", value);
    return ST_OK;
}

static enum status take_key(void *to, int k, const char *value, struct error *err)
{
    static const char *const scales[] = {"smooth", "sharp", "integer", NULL};
    struct window_options *o = to;
    int scale;
    switch ((enum key)k) {
    case SCALE:
        scale = which_of(value, scales);
        if (scale < 0)
            return fail(err, ST_INVAL, "scale is smooth, sharp or integer, not '%s'",
                        value ? value : "");
        o->scale = (enum window_scale)scale;
        break;
    case FULLSCREEN:
        if (!value || !parse_on_off(value, &o->fullscreen))
            return fail(err, ST_INVAL, "fullscreen is on or off");
        break;
    case SCREENSHOTS:
        return take_folder(o->shots, sizeof(o->shots), "screenshots", value, err);
    case SLOTS:
        return take_folder(o->slots, sizeof(o->slots), "slots", value, err);
    }
    return ST_OK;
}

enum status window_parse(const char *keys, struct window_options *o, struct error *err)
{
    static const char *const known[] = {"scale", "fullscreen", "screenshots", "slots", NULL};
    static const struct option_words words = {known, NULL, take_key};
    return parse_words(keys, &words, o, err);
}

#ifndef TRV_HAVE_SDL
bool window_likely(void)
{
    return false;
}

enum status window_open(const struct window_options *o, struct window **out, struct error *err)
{
    return fail(err, ST_UNSUP,
                "this build has no window: libsdl2-dev and libpng-dev were not there");
}

enum status window_start(struct window *w, struct vm *vm, bool can_pause, struct error *err)
{
    return ST_UNSUP;
}

bool window_hold(struct window *w, const volatile sig_atomic_t *signalled)
{
    return false;
}

void window_close(struct window *w)
{
}
#else
/* Without a session SDL would look for a bare graphics card, and take it. */
bool window_likely(void)
{
    static const char *const names[] = {"DISPLAY", "WAYLAND_DISPLAY"};
    for (size_t k = 0; k < ARRAY_LEN(names); k++) {
        const char *v = getenv(names[k]);
        if (v && *v)
            return true;
    }
    return false;
}
#endif
