/*
 * machine/mixer.h - all the machine's sounds in one stream.
 *
 * You are here: the board makes one mixer and gives each sound chip a voice of it (bus/backend.h).
 */
#ifndef MACHINE_MIXER_H
#define MACHINE_MIXER_H

#include "bus/backend.h"
#include "bus/clock.h"
#include "bus/device.h"

enum { MIXER_VOICES = 8 };

/* sink: borrowed, it outlives the mixer; NULL: nobody listens. */
struct device *mixer_new(struct clock *clk, struct audio_sink *sink);

/* The mixer's, at full volume. At most MIXER_VOICES. NULL when nobody listens. */
struct voice *mixer_voice(struct device *mixer);

#endif
