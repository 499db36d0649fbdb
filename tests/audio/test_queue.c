/* tests/audio/test_queue.c - the queue to a sound card whose crystal is not the guest's. */
#include "tests/audio/audio_rig.h"
#include "frontends/audio/queue.h"

enum { TARGET = 2880 };

static double phase;

static void put(struct audio_queue *q, size_t n)
{
    i16 buf[2 * 4800];
    for (size_t k = 0; k < n; k++) {
        buf[2 * k] = buf[2 * k + 1] = (i16)lrint(10000 * sin(phase));
        phase += 2 * M_PI * 1000 / AUDIO_RATE;
    }
    queue_put(q, buf, n);
}

static void take(struct audio_queue *q, struct tape *t, size_t n)
{
    i16 buf[2 * 4800];
    queue_take(q, buf, n);
    tape_play(&t->sink, buf, n);
}

static u32 used(struct audio_queue *q)
{
    return q->head - q->tail;
}

/* A card that runs 0.2 % slow or fast: an hour without a gap, the queue stays about as full. */
Test(queue, drift)
{
    static struct audio_queue q;
    for (int card = -1; card <= 1; card++) {
        struct tape t;
        tape_init(&t);
        queue_init(&q, TARGET);
        phase = 0;
        put(&q, 480 * 7);
        for (int k = 0; k < 360000; k++) { /* portions of 10 ms */
            put(&q, 480);
            take(&q, &t, 480 + (size_t)card);
            if (k % 1000 == 999)
                cr_assert(used(&q) > TARGET / 4 && used(&q) < 3 * TARGET, "card %d: %u at %d", card,
                          used(&q), k);
            if (k < 359000)
                t.n = 0;
        }
        cr_expect_eq(q.underruns, 0);
        cr_expect_eq(q.dropped, 0);
        expect_tone(&t, 0, 8192, 8192, 1000 * (480.0 + card) / 480, 9900);
        free(t.frames);
    }
}

/* A late machine is one gap, counted once; then it is as before. */
Test(queue, underrun)
{
    static struct audio_queue q;
    struct tape t;
    int step = 0;
    tape_init(&t);
    queue_init(&q, TARGET);
    phase = 0;
    for (int k = 0; k < 300; k++) {
        if (k < 100 || k >= 120)
            put(&q, 480);
        take(&q, &t, 480);
    }
    cr_expect_eq(q.underruns, 1, "%d", (int)q.underruns);
    for (size_t k = 9600; k < t.n; k++)
        step = MAX(step, abs(t.frames[2 * k] - t.frames[2 * k - 2]));
    cr_expect_lt(step, 12000, "%d: no worse than the sine that begins again", step);
    free(t.frames);
}

/* A machine that was stopped was not late. */
Test(queue, stopped)
{
    static struct audio_queue q;
    struct tape t;
    tape_init(&t);
    queue_init(&q, TARGET);
    for (int k = 0; k < 400; k++) {
        if (k < 100 || k >= 250)
            put(&q, 480);
        take(&q, &t, 480);
    }
    cr_expect_eq(q.underruns, 0);
    free(t.frames);
}

/* Nobody takes: bounded, and counted. */
Test(queue, full)
{
    static struct audio_queue q;
    queue_init(&q, TARGET);
    for (int k = 0; k < 200; k++)
        put(&q, 4800);
    cr_expect_leq(used(&q), 4 * TARGET + 4096);
    cr_expect_gt(q.dropped, 900000);
    queue_init(&q, 24000);
    for (int k = 0; k < 200; k++)
        put(&q, 4800);
    cr_expect_leq(used(&q), QUEUE_FRAMES);
}
