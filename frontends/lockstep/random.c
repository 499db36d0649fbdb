/*
 * frontends/lockstep/random.c - two engines over made-up programs.
 */
#include "frontends/lockstep/lockstep_priv.h"
#include "base/log.h"

int lockstep_random(const struct lockstep_options *o)
{
    (void)o;
    log_error("random programs are not there yet");
    return STATUS_HOST;
}
