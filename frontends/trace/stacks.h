/*
 * frontends/trace/stacks.h - call stacks of a guest that keeps no frame pointers, by watching its
 * calls; and how often each was seen.
 *
 * You are here: the profiler. A call is remembered with the stack pointer at its target; it is over
 * as soon as the stack pointer is above that. Stacks are told apart by where they are (kernel:
 * 16 KiB pieces; user: 1 MiB pieces of an address space), so that task switches need no knowledge
 * of the guest. Heuristic: a reused stack may show callers that are gone.
 */
#ifndef FRONTENDS_TRACE_STACKS_H
#define FRONTENDS_TRACE_STACKS_H

#include "frontends/symbols.h"
#include "machine/trace.h"

#include <stdio.h>

struct stacks;

struct stacks *stacks_new(const struct symbols *syms); /* syms may be NULL. NULL: no memory */
void stacks_free(struct stacks *s);

/* Something was called: r is the state at its first instruction, at address lin. */
void stacks_call(struct stacks *s, const struct vm_trace_regs *r, u64 lin);
/* `weight` is spent at lin now. */
void stacks_sample(struct stacks *s, const struct vm_trace_regs *r, u64 lin, u64 weight);

u64 stacks_total(const struct stacks *s);
/* "a;b;c weight" lines, sorted. */
void stacks_write_folded(struct stacks *s, FILE *f);
/* A flame graph. */
bool stacks_write_svg(struct stacks *s, FILE *f, const char *title);
/* The functions in which most was spent themselves. */
void stacks_print_top(struct stacks *s, FILE *f, int n);

#endif
