/*
 * frontends/audio/queue.h - a bounded queue of sound between the guest's clock and a sound card's.
 *
 * You are here: the VM's thread puts frames in as its clock says; the host's sound thread takes as
 * its own crystal says. The two never agree: the frames are stretched or squeezed by up to half a
 * percent (nobody hears it) so that `target` of them stay in the queue. When it runs empty, silence
 * is played until it is full enough again, so one late moment is one gap and not a crackle of many.
 *
 * One thread puts, one takes; no locks.
 */
#ifndef FRONTENDS_AUDIO_QUEUE_H
#define FRONTENDS_AUDIO_QUEUE_H

#include "base/types.h"

#include <stdatomic.h>

enum { QUEUE_FRAMES = 65536 }; /* a power of two; 1.4 s */

struct audio_queue {
    i16 ring[QUEUE_FRAMES * 2];
    _Atomic u32 head, tail; /* frames put and taken, modulo 2^32 */
    u32 target;             /* frames that should be in it */
    /* the putting side */
    u32 phase;   /* of the next output frame between the last input frame and this one, 2^-16 */
    i16 last[2]; /* the input frame before */
    i64 filled;  /* slow average of how full it is, 2^-8 frames */
    u64 dropped;
    /* the taking side */
    bool filling;  /* silence until there are `target` again */
    i16 fading[2]; /* what silence is reached from */
    _Atomic u64 underruns;
    u32 dry; /* frames of silence since it ran empty */
};

void queue_init(struct audio_queue *q, u32 target);
void queue_put(struct audio_queue *q, const i16 *frames, size_t n);
/* Fills all of out, n frames. */
void queue_take(struct audio_queue *q, i16 *out, size_t n);

#endif
