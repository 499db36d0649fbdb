/*
 * frontends/audio/queue.c - see queue.h.
 *
 * The stretch is proportional to how far the queue's average filling is from the target; linear
 * interpolation is enough for steps this close to one.
 */
#include "frontends/audio/queue.h"

#include <string.h>

enum {
    ONE = 65536,       /* a step of one input frame for one output frame */
    STRETCH = 328,     /* at most: half a percent */
    PAUSE = 48000 / 2, /* frames of silence after which the machine was stopped, not late */
    FADE = 64,         /* part of a level that each frame of silence loses */
};

void queue_init(struct audio_queue *q, u32 target)
{
    memset(q, 0, sizeof(*q));
    q->target = target;
    q->filled = (i64)target << 8;
    q->filling = true;
    q->dry = PAUSE;
}

/* How much of the input one output frame takes. */
static u32 step(struct audio_queue *q, u32 used)
{
    i64 off;
    q->filled += (((i64)used << 8) - q->filled) / 64;
    off = (q->filled >> 8) - q->target;
    off = off * STRETCH / (q->target ? (i64)q->target : 1);
    return (u32)(ONE + MAX(MIN(off, STRETCH), -STRETCH));
}

void queue_put(struct audio_queue *q, const i16 *frames, size_t n)
{
    u32 head = atomic_load_explicit(&q->head, memory_order_relaxed);
    u32 used = head - atomic_load_explicit(&q->tail, memory_order_acquire);
    u32 by = step(q, used), most = MIN(4 * q->target + 4096, (u32)QUEUE_FRAMES);
    for (size_t k = 0; k < n; k++) {
        for (; q->phase < ONE; q->phase += by) {
            if (used >= most) {
                q->dropped++;
                continue;
            }
            i16 *to = &q->ring[head % QUEUE_FRAMES * 2];
            for (int c = 0; c < 2; c++)
                to[c] = (i16)(q->last[c] +
                              (((i64)frames[2 * k + c] - q->last[c]) * (i64)q->phase >> 16));
            head++;
            used++;
        }
        q->phase -= ONE;
        memcpy(q->last, frames + 2 * k, sizeof(q->last));
    }
    atomic_store_explicit(&q->head, head, memory_order_release);
}

static void silence(struct audio_queue *q, i16 *out, size_t n)
{
    for (size_t k = 0; k < n; k++)
        for (int c = 0; c < 2; c++) {
            q->fading[c] = (i16)(q->fading[c] - q->fading[c] / FADE);
            if (q->fading[c] > -FADE && q->fading[c] < FADE)
                q->fading[c] = 0;
            out[2 * k + c] = q->fading[c];
        }
    q->dry = (u32)MIN(q->dry + n, (size_t)PAUSE);
}

void queue_take(struct audio_queue *q, i16 *out, size_t n)
{
    u32 tail = atomic_load_explicit(&q->tail, memory_order_relaxed);
    u32 used = atomic_load_explicit(&q->head, memory_order_acquire) - tail;
    if (q->filling && used >= q->target) {
        q->filling = false;
        if (q->dry < PAUSE)
            atomic_fetch_add_explicit(&q->underruns, 1, memory_order_relaxed);
    }
    size_t have = q->filling ? 0 : MIN(n, (size_t)used);
    for (size_t k = 0; k < have; k++, tail++)
        memcpy(out + 2 * k, &q->ring[tail % QUEUE_FRAMES * 2], 4);
    if (have)
        memcpy(q->fading, out + 2 * (have - 1), sizeof(q->fading));
    atomic_store_explicit(&q->tail, tail, memory_order_release);
    if (have < n) {
        if (!q->filling) {
            q->filling = true;
            q->dry = 0;
        }
        silence(q, out + 2 * have, n - have);
    }
}
