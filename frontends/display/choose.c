/*
 * frontends/display/choose.c - what a display of any kind can be asked, the words of -display vnc,
 * and what builds without their libraries say.
 */
#include "frontends/cli_priv.h"
#include "frontends/display/display.h"

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
static enum status take_address(void *to, const char *text, struct error *err)
{
    struct vnc_options *o = to;
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

enum key { PASSWORD_FILE, SHARE };

static enum status take_key(void *to, int k, const char *value, struct error *err)
{
    static const char *const shares[] = {"allow-exclusive", "force-shared", "ignore", NULL};
    struct vnc_options *o = to;
    if (k == PASSWORD_FILE) {
        if (!value || !*value || strlen(value) >= sizeof(o->password))
            return fail(err, ST_INVAL, "password-file wants a file");
        snprintf(o->password, sizeof(o->password), "%s", value);
        return ST_OK;
    }
    int share = which_of(value, shares);
    if (share < 0)
        return fail(err, ST_INVAL, "share is allow-exclusive, force-shared or ignore");
    o->share = (enum vnc_share)share;
    return ST_OK;
}

enum status vnc_parse(const char *text, struct vnc_options *o, struct error *err)
{
    static const char *const known[] = {"password-file", "share", NULL};
    static const struct option_words words = {known, take_address, take_key};
    *o = (struct vnc_options){.number = -1};
    enum status st = parse_words(text, &words, o, err);
    return st || o->number >= 0 ? st : take_address(o, "", err);
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
