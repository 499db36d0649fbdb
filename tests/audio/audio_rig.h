/*
 * tests/audio/audio_rig.h - what tests of sound need: a sink that remembers, and how loud a
 * frequency is in it.
 */
#ifndef TESTS_AUDIO_AUDIO_RIG_H
#define TESTS_AUDIO_AUDIO_RIG_H

#include <criterion/criterion.h> /* first: it uses the name noreturn its own way */

#include "bus/backend.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- a sink ---------------------------------------------------------------------------------- */
struct tape {
    struct audio_sink sink;
    i16 *frames;
    size_t n, room;
};

static inline void tape_play(struct audio_sink *s, const i16 *frames, size_t n)
{
    struct tape *t = container_of(s, struct tape, sink);
    if (t->n + n > t->room) {
        t->room = (t->n + n) * 2;
        t->frames = realloc(t->frames, t->room * 4);
        cr_assert(t->frames);
    }
    memcpy(t->frames + t->n * 2, frames, n * 4);
    t->n += n;
}

static inline void tape_init(struct tape *t)
{
    static const struct audio_sink_ops ops = {.play = tape_play};
    *t = (struct tape){.sink.ops = &ops};
}

/* ---- what is heard ----------------------------------------------------------------------------
 */
/* The first and the frame after the last that is louder than `least`. */
static inline bool heard(const struct tape *t, int least, size_t *from, size_t *to)
{
    *from = t->n;
    *to = 0;
    for (size_t k = 0; k < t->n; k++)
        if (abs(t->frames[2 * k]) > least || abs(t->frames[2 * k + 1]) > least) {
            *from = MIN(*from, k);
            *to = k + 1;
        }
    return *from < *to;
}

/* Amplitude of the sine of hz in frames [from, from + n) of a channel, under a Hann window
 * (Goertzel's sum written out; 1.0 is one step of the sample). */
static inline double level(const struct tape *t, int channel, size_t from, size_t n, double hz)
{
    double w = 2 * M_PI * hz / AUDIO_RATE, c = 0, s = 0;
    for (size_t k = 0; k < n; k++) {
        double x = t->frames[2 * (from + k) + (size_t)channel] *
                   (1 - cos(2 * M_PI * (double)k / (double)n));
        c += x * cos(w * (double)k);
        s += x * sin(w * (double)k);
    }
    return 2 * sqrt(c * c + s * s) / (double)n;
}

/* The loudest frequency of lo, lo + step, ... up to hi. */
static inline double loudest_of(const struct tape *t, int channel, size_t from, size_t n, double lo,
                                double hi, double step)
{
    double best = lo, most = -1;
    for (double hz = lo; hz <= hi; hz += step) {
        double l = level(t, channel, from, n, hz);
        if (l > most) {
            most = l;
            best = hz;
        }
    }
    return best;
}

/* The loudest frequency between lo and hi, closer than a thousandth. */
static inline double loudest(const struct tape *t, int channel, size_t from, size_t n, double lo,
                             double hi)
{
    double step = AUDIO_RATE / (double)n, hz = loudest_of(t, channel, from, n, lo, hi, step);
    for (; step > 5e-4 * hz; step /= 8)
        hz = loudest_of(t, channel, from, n, hz - step, hz + step, step / 8);
    return hz;
}

/* That frames [from, from + n) have hz as their loudest frequency from 50 Hz to 8 kHz, within 1 %,
 * at an amplitude of at least `least`. */
static inline void expect_tone(const struct tape *t, int channel, size_t from, size_t n, double hz,
                               double least)
{
    double got;
    cr_assert(from + n <= t->n, "%zu frames, not %zu", t->n, from + n);
    n = MIN(n, (size_t)8192);
    got = loudest(t, channel, from, n, 50, 8000);
    cr_expect(fabs(got - hz) < hz * 0.01, "%.2f Hz, not %.2f", got, hz);
    cr_expect(level(t, channel, from, n, got) > least, "amplitude %.0f, not %.0f",
              level(t, channel, from, n, got), least);
}

#endif
