/*
 * frontends/record/values.h - contents that find mistakes: boundaries, special floating-point
 * values, control words.
 */
#ifndef FRONTENDS_RECORD_VALUES_H
#define FRONTENDS_RECORD_VALUES_H

#include "frontends/record/random.h"

/* An integer: boundary, small, single bit, random. */
u64 value_int(struct rnd *r);
/* 16 bytes of integers or of single or double precision. */
void value_vec(struct rnd *r, u8 *p);
/* An 80-bit register in the first 10 of 16 bytes; the others are 0. */
void value_st(struct rnd *r, u8 *p);
/* n bytes of any of these. */
void value_fill(struct rnd *r, u8 *p, int n);
/* The 832 bytes of struct host_state's xsave. */
void value_xsave(struct rnd *r, u8 *x);
u32 value_mxcsr(struct rnd *r);

#endif
