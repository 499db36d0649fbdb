/*
 * tests/audio/test_guests.c - ROMs that make a sound (roms/sound): what is heard has the frequency
 * that the program asked for, on both engines, and twice the same.
 */
#include "tests/audio/audio_rig.h"
#include "machine/snapshot.h"
#include "machine/vm.h"

#include <unistd.h>

/* A machine with a ROM in it, time by instructions; what it plays goes to the sink. */
static struct vm *make(const char *name, const char *engine, bool sb16, struct audio_sink *sink)
{
    struct vm_config c;
    struct vm *vm;
    struct error err;
    char path[512];
    snprintf(path, sizeof(path), "%s/sound_%s.rom", SOUND_ROMS, name);
    cr_assert_eq(access(path, R_OK), 0, "%s", path);
    vm_config_init(&c);
    c.ram_size = 4 * MIB;
    c.icount = true;
    c.icount_shift = 5;
    c.engine = engine;
    c.no_reboot = true;
    c.audio = sink;
    c.sound.sb16 = sb16;
    c.flat_path = path;
    cr_assert_eq(vm_new(&c, &vm, &err), ST_OK, "%s", err.msg);
    return vm;
}

/* To its end, which must be a good one; the machine is freed. */
static void finish(struct vm *vm, const char *name)
{
    struct error err;
    enum vm_stop why = vm_run(vm, &err);
    cr_assert_eq(why, VM_STOP_EXIT, "%s: stop %d", name, why);
    cr_assert_eq(vm_exit_code(vm), 1, "%s: exit %d", name, vm_exit_code(vm));
    vm_free(vm);
}

static const char *const engine[] = {"interp", "bt"};

static bool have(const char *name)
{
    for (const char *const *p = vm_engines(); *p; p++)
        if (!strcmp(*p, name))
            return true;
    return false;
}

/* The same on each engine there is; the tape of the last is kept. from, to: the first and the frame
 * after the last that is louder than `least`. */
static void run_all(const char *name, bool sb16, int least, struct tape *t, size_t *from,
                    size_t *to)
{
    struct tape first = {.frames = NULL};
    for (size_t k = 0; k < ARRAY_LEN(engine); k++) {
        if (!have(engine[k]))
            continue;
        tape_init(t);
        finish(make(name, engine[k], sb16, &t->sink), name);
        if (first.frames) {
            cr_expect_eq(first.n, t->n, "%s: %zu and %zu frames", name, first.n, t->n);
            cr_expect(!memcmp(first.frames, t->frames, MIN(first.n, t->n) * 4),
                      "%s: engines differ", name);
            free(first.frames);
        }
        first = *t;
    }
    cr_assert(heard(t, least, from, to));
}

/* Both sides play these tones from 2000 frames behind its begin. */
static void tones(struct tape *t, size_t from, double left, double right, double amplitude)
{
    expect_tone(t, 0, from + 2000, 8192, left, amplitude);
    expect_tone(t, 1, from + 2000, 8192, right, amplitude);
}

Test(guests, speaker)
{
    struct tape t;
    size_t from, to;
    run_all("speaker", false, 5500, &t, &from, &to);
    cr_expect(to - from > 14000 && to - from < 15000, "%zu frames: 0.3 s", to - from);
    tones(&t, from, 1000.15, 1000.15, 6000); /* 1193182 / 1193 */
    /* a square wave: a third of it at three times the frequency, nothing at twice, and nothing in
     * between, where folded harmonics would be */
    double one = level(&t, 0, from + 2000, 8192, 1000.15);
    cr_expect(fabs(level(&t, 0, from + 2000, 8192, 3000.45) / one - 1.0 / 3) < 0.02);
    cr_expect_lt(level(&t, 0, from + 2000, 8192, 2000.3) / one, 0.01);
    for (int hz = 1500; hz < 9000; hz += 1000)
        cr_expect_lt(level(&t, 0, from + 2000, 8192, hz) / one, 0.002, "%d Hz: %f", hz,
                     level(&t, 0, from + 2000, 8192, hz) / one);
    free(t.frames);
}

Test(guests, speaker_by_program)
{
    struct tape t;
    size_t from, to;
    run_all("pwm", false, 1000, &t, &from, &to);
    expect_tone(&t, 0, from + 2000, 8192, 440.3, 5000);
    free(t.frames);
}

Test(guests, speaker_retuned)
{
    struct tape t;
    size_t from, to;
    run_all("retune", false, 1000, &t, &from, &to);
    expect_tone(&t, 0, from + 2000, 8192, 700.2, 6000);
    expect_tone(&t, 0, from + 16000, 8192, 1400.4, 6000);
    free(t.frames);
}

Test(guests, sb16_8_bits, .timeout = 120)
{
    struct tape t;
    size_t from, to;
    run_all("sb8", true, 1000, &t, &from, &to);
    cr_expect(to - from > 14300 && to - from < 16800, "%zu frames", to - from);
    tones(&t, from, 11025.0 / 22, 11025.0 / 22, 12000);
    free(t.frames);
}

Test(guests, sb16_16_bits, .timeout = 120)
{
    struct tape t;
    size_t from, to;
    run_all("sb16", true, 1000, &t, &from, &to);
    tones(&t, from, 44100.0 / 64, 44100.0 / 32, 6000);
    free(t.frames);
}

Test(guests, opl3, .timeout = 120)
{
    struct tape t;
    size_t from, to;
    run_all("opl", true, 1000, &t, &from, &to);
    cr_expect(to - from > 14000 && to - from < 15500, "%zu frames", to - from);
    tones(&t, from, 440, 440, 3500);
    /* a pure sine */
    double one = level(&t, 0, from + 2000, 8192, 440);
    for (int k = 2; k < 8; k++)
        cr_expect_lt(level(&t, 0, from + 2000, 8192, 440 * k), one * 0.005, "harmonic %d", k);
    free(t.frames);
}

Test(guests, sb16_adpcm, .timeout = 120)
{
    struct tape t;
    size_t from, to;
    run_all("adpcm", true, 1000, &t, &from, &to);
    cr_expect(to - from > 30500 && to - from < 31500, "%zu frames: 5120 samples", to - from);
    expect_tone(&t, 0, from + 2000, 8192, 500, 1000);
    free(t.frames);
}

/* ---- save and restore --------------------------------------------------------------------------
 */
struct stopping {
    struct tape tape; /* first */
    struct vm *vm;
    size_t at; /* frames after which the machine stops */
};

static void play_and_stop(struct audio_sink *sink, const i16 *frames, size_t n)
{
    struct stopping *s = (struct stopping *)container_of(sink, struct tape, sink);
    tape_play(sink, frames, n);
    if (s->at && s->tape.n >= s->at) {
        s->at = 0;
        vm_stop(s->vm);
    }
}

static void build(const char *name, const char *with, struct stopping *s)
{
    static const struct audio_sink_ops ops = {.play = play_and_stop};
    tape_init(&s->tape);
    s->tape.sink.ops = &ops;
    s->vm = make(name, with, true, &s->tape.sink);
}

/* Saved while it plays, restored on the other engine: the tone goes on, and the program (which
 * counts its interrupts) ends well. */
Test(guests, saved_while_playing, .timeout = 200)
{
    static const struct {
        const char *name;
        double hz;
    } row[] = {{"speaker", 1000.15}, {"sb8", 11025.0 / 22}, {"sb16", 44100.0 / 64}, {"opl", 440}};
    for (size_t k = 0; k < ARRAY_LEN(row); k++) {
        static struct stopping a, b;
        char file[64];
        struct error err;
        snprintf(file, sizeof(file), "/tmp/trivisor-audio-%d.snap", (int)getpid());
        a = b = (struct stopping){.at = 0};
        build(row[k].name, "interp", &a);
        a.at = 4800;
        cr_assert_eq(vm_run(a.vm, &err), VM_STOP_REQUEST);
        cr_assert_eq(vm_save(a.vm, file, NULL, &err), ST_OK, "%s", err.msg);
        build(row[k].name, have("bt") ? "bt" : "interp", &b);
        cr_assert_eq(vm_load(b.vm, file, 0, &err), ST_OK, "%s", err.msg);
        unlink(file);
        finish(b.vm, row[k].name);
        expect_tone(&b.tape, 0, 1000, 8192, row[k].hz, 3000);
        vm_free(a.vm);
        free(a.tape.frames);
        free(b.tape.frames);
    }
}
