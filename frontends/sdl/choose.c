/*
 * frontends/sdl/choose.c - the words of -display sdl, and what a build without SDL says.
 */
#include "frontends/cli_priv.h"
#include "frontends/sdl/window.h"

#include <stdlib.h>
#include <string.h>

enum status window_parse(const char *keys, struct window_options *o, struct error *err)
{
    static const char *const scales[] = {"smooth", "sharp", "integer", NULL};
    static const char *const known[] = {"scale", "fullscreen", "screenshots", "slots", NULL};
    char *copy = strdup(keys), *list = copy, *key, *value;
    enum status st = ST_OK;
    if (!copy)
        return fail(err, ST_NOMEM, "out of memory");
    while (!st && next_pair(&list, &key, &value)) {
        if (!strcmp(key, "scale")) {
            int k = 0;
            while (scales[k] && (!value || strcmp(scales[k], value)))
                k++;
            o->scale = (enum window_scale)k;
            if (!scales[k])
                st = fail(err, ST_INVAL, "scale is smooth, sharp or integer, not '%s'",
                          value ? value : "");
        } else if (!strcmp(key, "fullscreen")) {
            if (!value || !parse_on_off(value, &o->fullscreen))
                st = fail(err, ST_INVAL, "fullscreen is on or off");
        } else if (!strcmp(key, "screenshots")) {
            if (!value || !*value || strlen(value) >= sizeof(o->shots))
                st = fail(err, ST_INVAL, "screenshots wants a folder");
            else
                snprintf(o->shots, sizeof(o->shots), "%s", value);
        } else if (!strcmp(key, "slots")) {
            if (!value || !*value || strlen(value) >= sizeof(o->slots))
                st = fail(err, ST_INVAL, "slots wants a folder");
            else
                snprintf(o->slots, sizeof(o->slots), "%s", value);
        } else {
            const char *near = nearest(key, known);
            st = near ? fail(err, ST_INVAL, "no key '%s' (did you mean '%s'?)", key, near)
                      : fail(err, ST_INVAL, "no key '%s' (scale, fullscreen, screenshots, slots)",
                             key);
        }
    }
    free(copy);
    return st;
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
