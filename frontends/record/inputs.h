/*
 * frontends/record/inputs.h - registers, memory and an instruction for a case of a form.
 *
 * You are here: everything comes from the random numbers given, so a case is its form, its number
 * and the seed. docs/recording.md says what is varied and how often.
 */
#ifndef FRONTENDS_RECORD_INPUTS_H
#define FRONTENDS_RECORD_INPUTS_H

#include "frontends/record/forms.h"
#include "frontends/record/host.h"

/* Fills in c's upper part. False: such an instruction is not to be run (INT 80h). */
bool inputs_make(const struct testbed *tb, const struct form *f, struct rnd *r, struct host_case *c,
                 struct insn_shape *shape);
/* The same for an instruction that is there already, code of bits in up to 15 bytes;
 * its displacement may be changed. False also if it is none. */
bool inputs_for(const struct testbed *tb, int bits, const u8 *bytes, int n, struct rnd *r,
                struct host_case *c, struct insn_shape *shape);

#endif
