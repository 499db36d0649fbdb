/*
 * frontends/sdl/record.c - recording the screen: which pictures go into the file, and when.
 *
 * Compressing takes this thread's time: after a picture that took long the next one waits, so that
 * the window stays alive and the guest's pictures come in between.
 */
#include "frontends/sdl/window_priv.h"
#include "base/log.h"

static void stop(struct window *w)
{
    struct error err;
    enum status st = ST_OK;
    /* the last one waits still */
    if (w->gif_new && gif_fits(w->gif, w->width, w->height))
        st = gif_add(w->gif, w->front, now_ms(), &err);
    w->gif_new = false;
    if (st)
        gif_free(w->gif);
    else
        st = gif_end(w->gif, now_ms(), &err);
    if (st) {
        log_error("recording: %s", err.msg);
        note(w, err.msg);
    } else {
        log_info("recording: %s", w->gif_path);
        notef(w, "saved %s", w->gif_path);
    }
    w->gif = NULL;
}

static void begin(struct window *w)
{
    struct error err;
    if (!w->width)
        return note(w, "there is no picture yet");
    if (gif_begin(w->o.shots, w->width, w->height, &w->gif, w->gif_path, &err)) {
        log_error("recording: %s", err.msg);
        w->gif = NULL;
        return note(w, err.msg);
    }
    w->gif_ms = 0;
    w->gif_new = true;
    notef(w, "recording to %s: Ctrl-Alt-C ends it", w->gif_path);
}

void do_record(struct window *w)
{
    if (w->gif)
        stop(w);
    else
        begin(w);
}

void record_step(struct window *w)
{
    struct error err;
    u64 now = now_ms();
    if (!w->gif || !w->gif_new || now < w->gif_ms)
        return;
    if (!gif_fits(w->gif, w->width, w->height)) { /* another mode: another file */
        stop(w);
        begin(w);
        if (!w->gif)
            return;
    }
    w->gif_new = false;
    if (gif_add(w->gif, w->front, now, &err)) {
        log_error("recording: %s", err.msg);
        gif_free(w->gif);
        w->gif = NULL;
        return note(w, err.msg);
    }
    u64 took = now_ms() - now;
    w->gif_ms = now + took + MAX((u64)RECORD_MS, took);
}

void record_end(struct window *w)
{
    if (w->gif)
        stop(w);
}
