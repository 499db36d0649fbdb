/* tests/audio/test_opl3.c - OPL3: pitch, envelopes, algorithms, stereo, percussion; by ear. */
#include "tests/audio/audio_rig.h"
#include "tests/devices/rig.h"
#include "devices/opl3.h"
#include "machine/mixer.h"

struct card {
    struct rig r;
    struct tape tape;
    struct device *mixer, *d;
};

static void start(struct card *c)
{
    memset(c, 0, sizeof(*c));
    rig_init(&c->r);
    tape_init(&c->tape);
    c->mixer = mixer_new(c->r.clk, &c->tape.sink);
    c->d = opl3_new(c->r.ports, 0x220, mixer_voice(c->mixer), c->r.clk);
}

static void stop(struct card *c)
{
    device_destroy(c->d);
    device_destroy(c->mixer);
    rig_fini(&c->r);
    free(c->tape.frames);
}

/* reg: from 0x100 on in the second bank. */
static void set(struct card *c, u16 reg, u8 val)
{
    out8(&c->r, reg & 0x100 ? 0x38a : 0x388, (u8)reg);
    out8(&c->r, reg & 0x100 ? 0x38b : 0x389, val);
}

static void ms(struct card *c, u64 n)
{
    clock_advance(c->r.clk, n * 1000000);
}

/* An operator: a sine at full level, attack at once, held. */
static void op(struct card *c, u16 at, u8 flags, u8 level, u8 ad, u8 sr, u8 shape)
{
    set(c, 0x20 + at, flags);
    set(c, 0x40 + at, level);
    set(c, 0x60 + at, ad);
    set(c, 0x80 + at, sr);
    set(c, 0xe0 + at, shape);
}

static void note(struct card *c, u16 ch, u32 f, u32 block, bool on)
{
    set(c, 0xa0 + ch, (u8)f);
    set(c, 0xb0 + ch, (u8)((on ? 0x20 : 0) | block << 2 | f >> 8));
}

static double hz(u32 f, u32 block)
{
    return f * 49715.902 * (1 << block) / (1 << 20);
}

/* The carrier of channel 0 alone. */
static void carrier(struct card *c, u8 flags, u8 level, u8 ad, u8 sr, u8 shape)
{
    op(c, 0x00, 0x20, 0x3f, 0xf0, 0x0f, 0);
    op(c, 0x03, flags, level, ad, sr, shape);
    set(c, 0xc0, 0x30);
}

Test(opl3, pitch)
{
    static const struct {
        u32 f, block;
        u8 mult;
        double times;
    } row[] = {{580, 4, 1, 1}, {1023, 2, 1, 1}, {345, 5, 2, 2}, {345, 5, 0, 0.5}, {200, 4, 15, 15}};
    for (size_t k = 0; k < ARRAY_LEN(row); k++) {
        struct card c;
        start(&c);
        carrier(&c, 0x20 | row[k].mult, 0, 0xf0, 0x0f, 0);
        note(&c, 0, row[k].f, row[k].block, true);
        ms(&c, 300);
        expect_tone(&c.tape, 0, 4000, 8192, hz(row[k].f, row[k].block) * row[k].times, 3900);
        stop(&c);
    }
}

/* 0.75 dB a step of the level; 6 dB an octave of key scaling. */
Test(opl3, levels)
{
    double a[3];
    static const u8 level_reg[3] = {0x00, 0x10, 0xc0};
    for (int k = 0; k < 3; k++) {
        struct card c;
        start(&c);
        carrier(&c, 0x21, level_reg[k], 0xf0, 0x0f, 0);
        note(&c, 0, 512, 5, true);
        ms(&c, 300);
        a[k] = level(&c.tape, 0, 4000, 8192, hz(512, 5));
        stop(&c);
    }
    cr_expect(fabs(20 * log10(a[0] / a[1]) - 12) < 0.2, "%f dB", 20 * log10(a[0] / a[1]));
    /* f 512, block 5: ROM 56 * 4 - 3 * 32 = 128 of 0.1875 dB */
    cr_expect(fabs(20 * log10(a[0] / a[2]) - 24) < 0.3, "%f dB", 20 * log10(a[0] / a[2]));
}

/* Loudness in a window of 5 ms. */
static int peak(struct card *c, u64 at_ms)
{
    int most = 0;
    for (size_t k = at_ms * 48; k < (at_ms + 5) * 48 && k < c->tape.n; k++)
        most = MAX(most, abs(c->tape.frames[2 * k]));
    return most;
}

/* Data sheet: a decay over 96 dB takes 39.28 s at rate 4 and half of it for each 4 more. */
Test(opl3, envelope_times)
{
    for (u8 rate = 5; rate <= 11; rate += 2) {
        struct card c;
        double full = 39280.0 / (1 << (rate - 1));
        start(&c);
        carrier(&c, 0x2f, 0, (u8)(0xf0 | rate), 0xf0, 0); /* to silence */
        note(&c, 0, 511, 1, true);                        /* too low to make envelopes faster */
        ms(&c, (u64)(full / 4) + 100);
        /* 24 dB in a quarter of it: a sixteenth */
        double db = 20 * log10(4084.0 / peak(&c, (u64)(full / 4)));
        cr_expect(fabs(db - 24) < 3, "rate %u: %.1f dB after %.0f ms", rate, db, full / 4);
        stop(&c);
    }
}

Test(opl3, held_and_released)
{
    struct card c;
    start(&c);
    carrier(&c, 0x21, 0, 0xfa, 0x3a, 0); /* to -9 dB, held, then away */
    note(&c, 0, 580, 4, true);
    ms(&c, 500);
    note(&c, 0, 580, 4, false);
    ms(&c, 500);
    cr_expect(abs(peak(&c, 400) - 1449) < 60, "%d", peak(&c, 400));
    cr_expect_lt(peak(&c, 900), 3);
    stop(&c);
    start(&c);
    carrier(&c, 0x01, 0, 0xfa, 0x3a, 0); /* percussive: it does not hold */
    note(&c, 0, 580, 4, true);
    ms(&c, 1000);
    cr_expect_lt(peak(&c, 900), 3);
    stop(&c);
}

/* Waveforms: by their harmonics. */
Test(opl3, waveforms)
{
    static const struct {
        u8 shape;
        double first, second, third; /* amplitudes in that of the full sine */
    } row[] = {{0, 1, 0, 0},
               {1, 0.5, 0.2122, 0},
               {2, 0, 0.4244, 0},
               {6, 1.2732, 0, 0.4244},
               {4, 0.4244, 0.5, 0.2546}};
    for (size_t k = 0; k < ARRAY_LEN(row); k++) {
        struct card c;
        start(&c);
        set(&c, 0x105, 1);
        carrier(&c, 0x21, 0, 0xf0, 0x0f, row[k].shape);
        note(&c, 0, 580, 4, true);
        ms(&c, 300);
        const double want[3] = {row[k].first, row[k].second, row[k].third};
        for (int h = 0; h < 3; h++) {
            double got = level(&c.tape, 0, 4000, 8192, 440 * (h + 1)) / 4084;
            cr_expect(fabs(got - want[h]) < 0.02, "shape %u, harmonic %d: %.4f, not %.4f",
                      row[k].shape, h + 1, got, want[h]);
        }
        stop(&c);
    }
}

/* A modulator makes sidebands; added up instead of modulating it is a second tone. */
Test(opl3, two_operators)
{
    for (int add = 0; add < 2; add++) {
        struct card c;
        start(&c);
        carrier(&c, 0x21, 0, 0xf0, 0x0f, 0);
        op(&c, 0x00, 0x24, 0x10, 0xf0, 0x0f, 0); /* four times the frequency, 12 dB less */
        set(&c, 0xc0, (u8)(0x30 | add));
        note(&c, 0, 580, 4, true);
        ms(&c, 300);
        double side = level(&c.tape, 0, 4000, 8192, 440 * 5);
        double four = level(&c.tape, 0, 4000, 8192, 440 * 4);
        cr_expect(add ? side < 20 : side > 500, "%f", side);
        cr_expect(add ? four > 900 : four < 20, "%f", four);
        stop(&c);
    }
}

Test(opl3, feedback)
{
    struct card c;
    start(&c);
    carrier(&c, 0x21, 0x3f, 0xf0, 0x0f, 0);
    op(&c, 0x00, 0x21, 0, 0xf0, 0x0f, 0);
    set(&c, 0xc0, 0x30 | 5 << 1 | 1); /* a sawtooth nearly */
    note(&c, 0, 580, 4, true);
    ms(&c, 300);
    double one = level(&c.tape, 0, 4000, 8192, 440), two = level(&c.tape, 0, 4000, 8192, 880);
    cr_expect(one > 1500 && two > one / 4, "%f %f", one, two);
    stop(&c);
}

/* Four operators in a row: the last is heard, modulated by the others; with both bits set the
 * first is heard too. */
Test(opl3, four_operators)
{
    for (int add = 0; add < 2; add++) {
        struct card c;
        start(&c);
        set(&c, 0x105, 1);
        set(&c, 0x104, 1);
        for (u16 k = 0; k < 2; k++) {
            op(&c, (u16)(0x00 + 8 * k), 0x23, k ? 0x3f : 0, 0xf0, 0x0f, 0);
            op(&c, (u16)(0x03 + 8 * k), 0x21, k ? 0 : 0x3f, 0xf0, 0x0f, 0);
        }
        set(&c, 0xc0, (u8)(0x30 | add));
        set(&c, 0xc3, (u8)(0x30 | add));
        note(&c, 0, 580, 4, true);
        ms(&c, 300);
        cr_expect_gt(level(&c.tape, 0, 4000, 8192, 440), 3900);
        double third = level(&c.tape, 0, 4000, 8192, 440 * 3);
        cr_expect(add ? third > 3900 : third < 20, "%f", third);
        stop(&c);
    }
}

Test(opl3, stereo_and_second_bank)
{
    struct card c;
    start(&c);
    set(&c, 0x105, 1);
    for (u16 bank = 0; bank < 0x200; bank += 0x100) {
        op(&c, bank + 0x00, 0x20, 0x3f, 0xf0, 0x0f, 0);
        op(&c, bank + 0x03, 0x21, 0, 0xf0, 0x0f, 0);
        set(&c, bank + 0xc0, bank ? 0x20 : 0x10);
        note(&c, bank, bank ? 580 : 400, 4, true);
    }
    ms(&c, 300);
    expect_tone(&c.tape, 0, 4000, 8192, hz(400, 4), 3900);
    expect_tone(&c.tape, 1, 4000, 8192, 440, 3900);
    cr_expect_lt(level(&c.tape, 0, 4000, 8192, 440), 5);
    stop(&c);
}

/* Each instrument is heard when its bit is set, and ends. */
Test(opl3, percussion)
{
    for (u8 bit = 1; bit < 0x20; bit <<= 1) {
        struct card c;
        start(&c);
        for (u16 at = 0x10; at <= 0x15; at++)
            op(&c, at, 0x01, 0, 0xf8, 0x08, 0);
        for (u16 ch = 6; ch <= 8; ch++)
            note(&c, ch, 400, 3, false);
        set(&c, 0xbd, 0x20);
        ms(&c, 20);
        cr_expect_eq(peak(&c, 10), 0);
        set(&c, 0xbd, (u8)(0x20 | bit));
        ms(&c, 1500);
        cr_expect_gt(peak(&c, 30), 2000, "instrument %02x: %d", bit, peak(&c, 30));
        cr_expect_lt(peak(&c, 1400), 20, "instrument %02x: %d", bit, peak(&c, 1400));
        stop(&c);
    }
}

/* Tremolo 4.8 dB deep at 3.7 Hz. */
Test(opl3, tremolo)
{
    struct card c;
    int least = 1 << 20, most = 0;
    start(&c);
    carrier(&c, 0xa1, 0, 0xf0, 0x0f, 0);
    set(&c, 0xbd, 0x80);
    note(&c, 0, 580, 4, true);
    ms(&c, 700);
    for (u64 t = 50; t < 600; t += 5) {
        least = MIN(least, peak(&c, t));
        most = MAX(most, peak(&c, t));
    }
    double db = 20 * log10((double)most / least);
    cr_expect(fabs(db - 4.8) < 0.4, "%f dB", db);
    stop(&c);
}

Test(opl3, hostile)
{
    struct card c;
    start(&c);
    for (u32 seed = 1; seed < 30; seed++) {
        poison_state(c.d, seed);
        hammer(&c.r, 0x388, 4, seed, 300);
        ms(&c, 20);
    }
    stop(&c);
}
