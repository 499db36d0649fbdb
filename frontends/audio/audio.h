/*
 * frontends/audio/audio.h - where the machine's sound goes: `trivisor run -audio`.
 *
 * You are here: run.c opens one before the machine is made and closes it after the machine is gone;
 * the machine's mixer plays into its sink (bus/backend.h). docs/sound.md is for users.
 */
#ifndef FRONTENDS_AUDIO_AUDIO_H
#define FRONTENDS_AUDIO_AUDIO_H

#include "base/status.h"
#include "bus/backend.h"
#include "machine/vm.h"

struct audio_spec {
    enum { AUDIO_USUAL, AUDIO_NONE, AUDIO_SDL, AUDIO_WAV } kind; /* usual: sdl beside a window */
    const char *path;                                            /* of the WAV file */
    u32 latency_ms; /* SDL: how much is kept ready; 0: AUDIO_LATENCY_MS */
};
enum { AUDIO_LATENCY_MS = 60 };

struct audio_counts {
    u64 frames;    /* that the machine played, AUDIO_RATE in a second */
    u64 underruns; /* times that the host's sound card found nothing ready */
    u64 dropped;   /* frames there was no room for */
};

/* "sb16[,iobase=N][,mpu=N][,irq=N][,dma=N][,hdma=N]" or "ac97". The machine checks the numbers.
 * ST_INVAL. */
enum status sound_parse(const char *text, struct vm_sound *s, struct error *err);

struct audio; /* an open one */

/* "none", "sdl[,latency=MS]" or "wav:FILE". The spec points into text. ST_INVAL. */
enum status audio_parse(const char *text, struct audio_spec *out, struct error *err);

/* Whether the host seems to have sound: where it has none its libraries complain at length. */
bool audio_likely(void);

/* *out is NULL for AUDIO_NONE. A file that cannot be written, a host without sound: ST_IO. */
enum status audio_open(const struct audio_spec *spec, struct audio **out, struct error *err);
struct audio_sink *audio_sink(struct audio *a); /* NULL for NULL */
void audio_counts(const struct audio *a, struct audio_counts *out);
/* After the machine is gone. Completes a file; false: it could not be written. NULL is fine. */
bool audio_close(struct audio *a);

#endif
