/* tests/audio/test_mixer.c - voices of any rate, in time and in tune, and nothing else. */
#include "tests/audio/audio_rig.h"
#include "machine/mixer.h"

struct rig {
    struct clock *clk;
    struct tape tape;
    struct device *mixer;
    struct voice *v;
};

static void start(struct rig *r)
{
    r->clk = clock_new(CLOCK_FAKE, 0);
    tape_init(&r->tape);
    r->mixer = mixer_new(r->clk, &r->tape.sink);
    r->v = mixer_voice(r->mixer);
    cr_assert(r->v);
}

static void stop(struct rig *r)
{
    device_destroy(r->mixer);
    clock_free(r->clk);
    free(r->tape.frames);
}

/* n frames of a sine on the left, in portions of `chunk`, while time goes by. rate: in 1000 s. */
static void sing(struct rig *r, u64 at, u32 rate, double hz, size_t n, size_t chunk)
{
    i16 buf[2 * 512];
    for (size_t k = 0; k < n; k += chunk) {
        size_t m = MIN(chunk, n - k);
        for (size_t j = 0; j < m; j++) {
            buf[2 * j] = (i16)lrint(10000 * sin(2 * M_PI * hz * (double)(k + j) * 1000 / rate));
            buf[2 * j + 1] = 0;
        }
        u64 t = at + muldiv64(k, 1000 * NS_PER_SEC, rate);
        if (t > clock_now(r->clk))
            clock_advance(r->clk, t - clock_now(r->clk));
        voice_push(r->v, t, rate, buf, m);
    }
}

/* Everything but the tone, as part of it. */
static double rest(struct rig *r, size_t from, size_t n, double hz)
{
    double a = level(&r->tape, 0, from, n, hz), total = 0, windowed = 0;
    for (size_t k = 0; k < n; k++) {
        double w = 1 - cos(2 * M_PI * (double)k / (double)n), x = r->tape.frames[2 * (from + k)];
        total += w * w * x * x;
        windowed += w * w;
    }
    return sqrt(MAX(total / windowed - a * a / 2, 0)) / (a / sqrt(2));
}

Test(mixer, rates)
{
    static const u32 rates[] = {3906250,  8000000,  11025000, 22050000, 44100000,
                                48000000, 49715902, 96000000, 198863666};
    for (size_t k = 0; k < ARRAY_LEN(rates); k++) {
        struct rig r;
        start(&r);
        sing(&r, 0, rates[k], 1000, rates[k] / 2000, 100);
        clock_advance(r.clk, NS_PER_SEC / 10);
        cr_expect(r.tape.n > AUDIO_RATE / 2, "%zu frames", r.tape.n);
        expect_tone(&r.tape, 0, 4800, 8192, 1000, 9800);
        cr_expect(level(&r.tape, 0, 4800, 8192, 1000) < 10200);
        cr_expect_lt(rest(&r, 4800, 8192, 1000), 0.003, "rate %u: %f of something else", rates[k],
                     rest(&r, 4800, 8192, 1000));
        cr_expect_lt(level(&r.tape, 1, 4800, 8192, 1000), 1, "on the other channel");
        stop(&r);
    }
}

/* What the output cannot have is not folded back into it. */
Test(mixer, no_folding)
{
    struct rig r;
    size_t from, to;
    start(&r);
    sing(&r, 0, 198863666, 30000, 60000, 256);
    clock_advance(r.clk, NS_PER_SEC / 10);
    r.tape.n = 13000; /* the end clicks, and so did the beginning */
    memset(r.tape.frames, 0, 400 * 4);
    cr_expect(!heard(&r.tape, 3, &from, &to), "frame %zu", from);
    cr_expect_lt(level(&r.tape, 0, 2000, 8192, 18000), 10);
    stop(&r);
}

/* A frame is heard when it was due, and portions have no seams. */
Test(mixer, in_time)
{
    struct rig r;
    size_t from, to;
    i16 one[2] = {20000, -20000};
    start(&r);
    clock_advance(r.clk, NS_PER_SEC / 4);
    voice_push(r.v, NS_PER_SEC / 4, 48000000, one, 1);
    clock_advance(r.clk, NS_PER_SEC / 4);
    cr_assert(heard(&r.tape, 10000, &from, &to));
    cr_expect_eq(from, AUDIO_RATE / 4);
    cr_expect_eq(to, AUDIO_RATE / 4 + 1);
    cr_expect_lt(r.tape.frames[from * 2 + 1], -15000);
    stop(&r);
}

Test(mixer, volume_and_clipping)
{
    struct rig r;
    i16 loud[2 * 4800];
    start(&r);
    struct voice *second = mixer_voice(r.mixer);
    for (size_t k = 0; k < ARRAY_LEN(loud); k++)
        loud[k] = 30000;
    r.v->right = VOICE_FULL / 4;
    clock_advance(r.clk, NS_PER_SEC / 10);
    voice_push(r.v, 0, 48000000, loud, 4800); /* too late: played already */
    voice_push(r.v, NS_PER_SEC / 10, 48000000, loud, 4800);
    voice_push(second, NS_PER_SEC / 10, 48000000, loud, 4800);
    clock_advance(r.clk, NS_PER_SEC / 5);
    cr_expect_eq(r.tape.frames[4000 * 2], 0);
    cr_expect_eq(r.tape.frames[7200 * 2], INT16_MAX);
    cr_expect(abs(r.tape.frames[7200 * 2 + 1] - INT16_MAX) < 2, "30000 and a quarter of it");
    stop(&r);
}

struct late {
    u64 said;
};

static u64 say_late(void *ctx, u64 now)
{
    return ((struct late *)ctx)->said;
}

/* A chip that waits for its guest is waited for, but not for ever. */
Test(mixer, waits)
{
    struct rig r;
    struct late late = {NS_PER_SEC / 10};
    start(&r);
    r.v->upto = say_late;
    r.v->ctx = &late;
    clock_advance(r.clk, NS_PER_SEC / 5);
    cr_expect(r.tape.n < AUDIO_RATE / 10, "%zu", r.tape.n);
    clock_advance(r.clk, NS_PER_SEC);
    cr_expect(r.tape.n > AUDIO_RATE, "%zu", r.tape.n);
    stop(&r);
}

/* Wild rates, times and numbers: bounded work, no overflow, and the stream goes on. */
Test(mixer, hostile)
{
    struct rig r;
    i16 buf[2 * 64];
    u32 seed = 1;
    start(&r);
    memset(buf, 0x7f, sizeof(buf));
    for (int k = 0; k < 3000; k++) {
        seed = seed * 1664525u + 1013904223u;
        u64 at = seed & 1 ? clock_now(r.clk) + (seed >> 3) : (u64)seed << (seed >> 27);
        voice_push(r.v, at, seed * 77, buf, seed >> 8 & 63);
        clock_advance(r.clk, seed >> 9);
    }
    cr_expect(r.tape.n > clock_now(r.clk) / 1000000 * 48 - 1000);
    stop(&r);
}

Test(mixer, nobody_listens)
{
    struct clock *clk = clock_new(CLOCK_FAKE, 0);
    struct device *m = mixer_new(clk, NULL);
    cr_expect_null(mixer_voice(m));
    cr_expect_eq(clock_next(clk), CLOCK_NEVER);
    voice_push(NULL, 0, 48000000, NULL, 0);
    device_destroy(m);
    clock_free(clk);
}

/* After a restore the clock may stand anywhere: the stream goes on from there. */
Test(mixer, restored)
{
    struct rig r;
    start(&r);
    clock_advance(r.clk, NS_PER_SEC);
    size_t before = r.tape.n;
    cr_assert(r.mixer->ops->loaded(r.mixer));
    sing(&r, NS_PER_SEC, 44100000, 500, 22050, 147);
    clock_advance(r.clk, NS_PER_SEC / 10);
    cr_expect(r.tape.n - before > AUDIO_RATE / 2);
    expect_tone(&r.tape, 0, before + 4000, 8192, 500, 9800);
    stop(&r);
}
