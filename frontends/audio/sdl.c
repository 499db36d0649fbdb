/*
 * frontends/audio/sdl.c - sound on the host's sound card, by SDL2.
 *
 * The one file that includes SDL's audio header. SDL calls fill() on a thread of its own; queue.h
 * is between the two. SDL's audio is started apart from its video, which the window has.
 */
#include <SDL2/SDL_audio.h> /* first: it has a meaning of its own for our always_inline */
#include <SDL2/SDL_error.h>

#include "frontends/audio/audio_priv.h"
#include "frontends/audio/queue.h"
#include "base/log.h"

#include <stdlib.h>

struct sdl_audio {
    struct audio a;
    SDL_AudioDeviceID id;
    u64 frames;
    struct audio_queue q;
};

static void fill(void *ctx, Uint8 *out, int bytes)
{
    struct sdl_audio *s = ctx;
    queue_take(&s->q, (i16 *)(void *)out, (size_t)bytes / 4);
}

static void play(struct audio_sink *sink, const i16 *frames, size_t n)
{
    struct sdl_audio *s = container_of(sink, struct sdl_audio, a.sink);
    s->frames += n;
    queue_put(&s->q, frames, n);
}

static void counts(const struct audio *a, struct audio_counts *out)
{
    const struct sdl_audio *s = (const struct sdl_audio *)a;
    *out = (struct audio_counts){s->frames, s->q.underruns, s->q.dropped};
}

static bool sdl_close(struct audio *a)
{
    struct sdl_audio *s = (struct sdl_audio *)a;
    SDL_CloseAudioDevice(s->id);
    SDL_AudioQuit();
    free(s);
    return true;
}

enum status sdl_audio_open(u32 latency_ms, struct audio **out, struct error *err)
{
    static const struct audio_sink_ops ops = {.play = play};
    struct sdl_audio *s = calloc(1, sizeof(*s));
    SDL_AudioSpec want = {
        .freq = AUDIO_RATE, .format = AUDIO_S16LSB, .channels = 2, .callback = fill, .userdata = s};
    if (!s)
        return fail(err, ST_NOMEM, "out of memory");
    u32 target = latency_ms * (AUDIO_RATE / 1000);
    queue_init(&s->q, target);
    for (want.samples = 256; want.samples * 4u <= target; want.samples *= 2)
        ;
    s->a.sink.ops = &ops;
    s->a.close = sdl_close;
    s->a.counts = counts;
    /* the format is fixed: SDL converts for a card that wants another */
    if (SDL_AudioInit(getenv("SDL_AUDIODRIVER")) < 0 ||
        !(s->id = SDL_OpenAudioDevice(NULL, 0, &want, NULL, 0))) {
        enum status st = fail(err, ST_IO, "the host has no sound: %s", SDL_GetError());
        SDL_AudioQuit();
        free(s);
        return st;
    }
    SDL_PauseAudioDevice(s->id, 0);
    *out = &s->a;
    return ST_OK;
}
