/*
 * frontends/audio/nosdl.c - in sdl.c's place where SDL2 is not there at build time.
 */
#include "frontends/audio/audio_priv.h"

enum status sdl_audio_open(u32 latency_ms, struct audio **out, struct error *err)
{
    return fail(err, ST_UNSUP, "this trivisor was built without SDL2");
}
