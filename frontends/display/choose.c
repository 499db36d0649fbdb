/*
 * frontends/display/choose.c - what a display of any kind can be asked, the words of -display vnc,
 * and what builds without their libraries say.
 */
#include "frontends/cli_priv.h"
#include "frontends/display/display.h"

#include <stdlib.h>
#include <string.h>

enum { LAST_DISPLAY = 65535 - 5900 };

enum status display_start(struct display *d, struct vm *vm, struct error *err)
{
    if (!vm_screen(vm))
        return fail(err, ST_UNSUP, "this machine has no display");
    return d->ops->start(d, vm, err);
}

void display_close(struct display *d)
{
    if (d)
        d->ops->close(d);
}

/* "[HOST]:N", the host in brackets when it has colons. */
static enum status take_address(const char *text, struct vnc_options *o, struct error *err)
{
    const char *colon = strrchr(text, ':');
    u64 n;
    if (!colon || !parse_number(colon + 1, LAST_DISPLAY, &n))
        return fail(err, ST_INVAL, "'%s': wants [HOST]:N, N from 0 to %d (port 5900+N)", text,
                    LAST_DISPLAY);
    size_t len = (size_t)(colon - text);
    if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
        text++;
        len -= 2;
    }
    if (len >= sizeof(o->host))
        return fail(err, ST_INVAL, "%.40s...: too long a name", text);
    snprintf(o->host, sizeof(o->host), "%.*s", (int)len, text);
    o->number = (int)n;
    return ST_OK;
}

enum status vnc_parse(const char *text, struct vnc_options *o, struct error *err)
{
    static const char *const shares[] = {"allow-exclusive", "force-shared", "ignore", NULL};
    static const char *const known[] = {"password-file", "share", NULL};
    char *copy = strdup(text), *list = copy, *key, *value;
    bool first = true;
    enum status st = ST_OK;
    if (!copy)
        return fail(err, ST_NOMEM, "out of memory");
    *o = (struct vnc_options){.number = -1};
    for (; !st && next_pair(&list, &key, &value); first = false) {
        if (first) {
            st = take_address(key, o, err);
        } else if (!strcmp(key, "password-file")) {
            if (!value || !*value || strlen(value) >= sizeof(o->password))
                st = fail(err, ST_INVAL, "password-file wants a file");
            else
                snprintf(o->password, sizeof(o->password), "%s", value);
        } else if (!strcmp(key, "share")) {
            int k = 0;
            while (shares[k] && (!value || strcmp(shares[k], value)))
                k++;
            o->share = (enum vnc_share)k;
            if (!shares[k])
                st = fail(err, ST_INVAL, "share is allow-exclusive, force-shared or ignore");
        } else {
            const char *near = nearest(key, known);
            st = near ? fail(err, ST_INVAL, "no key '%s' (did you mean '%s'?)", key, near)
                      : fail(err, ST_INVAL, "no key '%s' (password-file, share)", key);
        }
    }
    free(copy);
    if (!st && o->number < 0)
        st = take_address("", o, err);
    return st;
}

#ifndef TRV_HAVE_VNC
enum status vnc_open(const struct vnc_options *o, struct display **out, struct error *err)
{
    return fail(err, ST_UNSUP, "this build has no VNC: libvncserver-dev was not there");
}
#endif

#ifndef TRV_HAVE_CURSES
enum status term_open(struct display **out, struct error *err)
{
    return fail(err, ST_UNSUP,
                "this build draws on no terminal: libncurses-dev was not there (-nographic does)");
}
#endif
