/*
 * frontends/audio/audio.c - the -audio option: which kind, with what.
 */
#include "frontends/audio/audio_priv.h"
#include "frontends/cli_priv.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LATENCY_LEAST = 20, LATENCY_MOST = 500 };

static enum status take_latency(const char *text, struct audio_spec *out, struct error *err)
{
    u64 n;
    if (strncmp(text, "latency=", 8) || !parse_number(text + 8, LATENCY_MOST, &n) ||
        n < LATENCY_LEAST)
        return fail(err, ST_INVAL, "'%s': wants latency=%d to %d (ms)", text, LATENCY_LEAST,
                    LATENCY_MOST);
    out->latency_ms = (u32)n;
    return ST_OK;
}

enum status audio_parse(const char *text, struct audio_spec *out, struct error *err)
{
    static const char *const kinds[] = {"none", "sdl", "wav:FILE", NULL};
    *out = (struct audio_spec){AUDIO_NONE, NULL, 0};
    if (!strcmp(text, "none"))
        return ST_OK;
    if (!strcmp(text, "sdl") || !strncmp(text, "sdl,", 4)) {
        out->kind = AUDIO_SDL;
        return text[3] ? take_latency(text + 4, out, err) : ST_OK;
    }
    if (!strncmp(text, "wav:", 4)) {
        out->kind = AUDIO_WAV;
        out->path = text + 4;
        return *out->path ? ST_OK : fail(err, ST_INVAL, "'wav:' wants a path");
    }
    const char *near = nearest(text, kinds);
    if (near)
        return fail(err, ST_INVAL, "no sound output '%s' (did you mean '%s'?)", text, near);
    return fail(err, ST_INVAL, "no sound output '%s': wants none, sdl[,latency=MS] or wav:FILE",
                text);
}

bool audio_likely(void)
{
    const char *run = getenv("XDG_RUNTIME_DIR");
    char path[512];
    if (getenv("SDL_AUDIODRIVER") || getenv("PULSE_SERVER") || !access("/dev/snd/controlC0", R_OK))
        return true;
    snprintf(path, sizeof(path), "%s/pulse/native", run ? run : "");
    if (run && !access(path, R_OK))
        return true;
    snprintf(path, sizeof(path), "%s/pipewire-0", run ? run : "");
    return run && !access(path, R_OK);
}

enum status audio_open(const struct audio_spec *spec, struct audio **out, struct error *err)
{
    *out = NULL;
    switch (spec->kind) {
    case AUDIO_WAV:
        return wav_open(spec->path, out, err);
    case AUDIO_SDL:
        return sdl_audio_open(spec->latency_ms ? spec->latency_ms : AUDIO_LATENCY_MS, out, err);
    case AUDIO_USUAL:
    case AUDIO_NONE:
        break;
    }
    return ST_OK;
}

struct audio_sink *audio_sink(struct audio *a)
{
    return a ? &a->sink : NULL;
}

void audio_counts(const struct audio *a, struct audio_counts *out)
{
    a->counts(a, out);
}

bool audio_close(struct audio *a)
{
    return a ? a->close(a) : true;
}
