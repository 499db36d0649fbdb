/*
 * frontends/audio/audio_priv.h - what the kinds of sound output share.
 */
#ifndef FRONTENDS_AUDIO_AUDIO_PRIV_H
#define FRONTENDS_AUDIO_AUDIO_PRIV_H

#include "frontends/audio/audio.h"

struct audio {
    struct audio_sink sink;
    bool (*close)(struct audio *a); /* frees it */
    void (*counts)(const struct audio *a, struct audio_counts *out);
};

enum status wav_open(const char *path, struct audio **out, struct error *err);
enum status sdl_audio_open(u32 latency_ms, struct audio **out, struct error *err);

#endif
