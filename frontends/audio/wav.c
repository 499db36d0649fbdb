/*
 * frontends/audio/wav.c - sound into a WAV file: 48 kHz, two channels, 16 bits.
 *
 * All of the machine's time is in it, silence too: frame n is heard at second n / 48000 of the
 * guest's clock. The sizes in the header are brought up to date every ten seconds and at the end,
 * so that a file cut short can be read. At 4 GiB (six hours) the format ends; the rest is not kept.
 *
 * Format: Microsoft/IBM, "Multimedia Programming Interface and Data Specifications 1.0", RIFF WAVE.
 */
#include "frontends/audio/audio_priv.h"
#include "base/bits.h"
#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEADER = 44, FRAME = 4, UPDATE = 10 * AUDIO_RATE };
#define MOST_BYTES (0xfffffff0u - HEADER)

struct wav {
    struct audio a;
    FILE *f;
    u64 frames;  /* played */
    u64 written; /* of them, in the file */
    u64 next_update;
    bool failed;
    char path[];
};

static void fill_header(u8 *h, u32 data_bytes)
{
    memcpy(h, "RIFF\0\0\0\0WAVEfmt ", 16);
    st_u32(h + 4, data_bytes + HEADER - 8);
    st_u32(h + 16, 16);
    st_u16(h + 20, 1); /* PCM */
    st_u16(h + 22, 2);
    st_u32(h + 24, AUDIO_RATE);
    st_u32(h + 28, AUDIO_RATE * FRAME);
    st_u16(h + 32, FRAME);
    st_u16(h + 34, 16);
    memcpy(h + 36, "data", 4);
    st_u32(h + 40, data_bytes);
}

static bool put_header(struct wav *w)
{
    u8 h[HEADER];
    fill_header(h, (u32)(w->written * FRAME));
    return !fseek(w->f, 0, SEEK_SET) && fwrite(h, sizeof(h), 1, w->f) == 1 &&
           !fseek(w->f, 0, SEEK_END);
}

static void give_up(struct wav *w)
{
    log_error("-audio: %s: cannot write: %s", w->path, strerror(errno));
    w->failed = true;
}

static void play(struct audio_sink *s, const i16 *frames, size_t n)
{
    struct wav *w = container_of(s, struct wav, a.sink);
    w->frames += n;
    if (w->failed || w->written * FRAME + n * FRAME > MOST_BYTES)
        return;
    /* the host is little-endian, as the file is */
    if (fwrite(frames, FRAME, n, w->f) != n)
        return give_up(w);
    w->written += n;
    if (w->written >= w->next_update) {
        w->next_update = w->written + UPDATE;
        if (!put_header(w))
            give_up(w);
    }
}

static void counts(const struct audio *a, struct audio_counts *out)
{
    const struct wav *w = (const struct wav *)a;
    *out = (struct audio_counts){.frames = w->frames, .dropped = w->frames - w->written};
}

static bool wav_close(struct audio *a)
{
    struct wav *w = (struct wav *)a;
    bool ok = !w->failed && put_header(w);
    if (!ok && !w->failed)
        give_up(w);
    if (fclose(w->f) && ok) {
        give_up(w);
        ok = false;
    }
    free(w);
    return ok;
}

enum status wav_open(const char *path, struct audio **out, struct error *err)
{
    static const struct audio_sink_ops ops = {.play = play};
    struct wav *w = calloc(1, sizeof(*w) + strlen(path) + 1);
    if (!w)
        return fail(err, ST_NOMEM, "out of memory");
    strcpy(w->path, path);
    w->a.sink.ops = &ops;
    w->a.close = wav_close;
    w->a.counts = counts;
    w->next_update = UPDATE;
    w->f = fopen(path, "wbe");
    if (!w->f || !put_header(w)) {
        enum status st = fail(err, status_from_errno(errno), "%s: %s", path, strerror(errno));
        if (w->f)
            fclose(w->f);
        free(w);
        return st;
    }
    *out = &w->a;
    return ST_OK;
}
