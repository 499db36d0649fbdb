/*
 * frontends/trace/control.h - what part of a run is recorded: conditions and filters between the
 * machine's callbacks and whoever writes.
 *
 * You are here: trace and profile. Blocks that are left out are told of as a gap, and are not
 * described to the sink; the sink's numbers are its own, in order of first entry.
 */
#ifndef FRONTENDS_TRACE_CONTROL_H
#define FRONTENDS_TRACE_CONTROL_H

#include "frontends/symbols.h"
#include "machine/trace.h"
#include "machine/vm.h"

/* Who is told what is recorded. define comes right before the first enter. */
struct trace_sink {
    void *ctx;
    void (*define)(void *ctx, u32 id, const struct vm_trace_block *b);
    void (*enter)(void *ctx, u32 id, u32 n);
    void (*event)(void *ctx, const struct vm_trace_event *e);
    void (*forget)(void *ctx);
    void (*gap)(void *ctx, u64 n);
};

enum trace_cond_kind { COND_NONE, COND_ADDR, COND_COUNT, COND_CPL, COND_CR3, COND_EXCEPTION };
struct trace_cond {
    enum trace_cond_kind kind;
    u64 value;
};
enum trace_filter_kind { FILTER_USER, FILTER_KERNEL, FILTER_ADDR, FILTER_CR3 };
struct trace_filter {
    enum trace_filter_kind kind;
    u64 from, to; /* to: the first that is outside */
};
enum { TRACE_MAX_FILTERS = 8 };

struct trace_what {
    struct trace_cond start, stop; /* COND_COUNT: the caller's, by vm_stop_at */
    struct trace_filter filter[TRACE_MAX_FILTERS];
    int n_filters; /* all must hold */
};

/* "addr:X", "count:N", "sym:NAME", "cpl:N", "cr3:X", "first-exception". syms may be NULL. */
enum status trace_cond_parse(const char *text, const struct symbols *syms, struct trace_cond *c,
                             struct error *err);
/* "user", "kernel", "addr:LO-HI", "sym:NAME" (that function), "cr3:X". */
enum status trace_filter_parse(const char *text, const struct symbols *syms, struct trace_filter *f,
                               struct error *err);

struct trace_control;

/* Starts following; sink is copied. vm's thread, not inside vm_run. NULL: no memory. */
struct trace_control *trace_control_start(struct vm *vm, const struct trace_what *what,
                                          const struct trace_sink *sink, bool single);
/* Before the vm is freed. */
void trace_control_end(struct trace_control *c);
/* The start condition came true; the stop condition did. */
bool trace_control_started(const struct trace_control *c);
bool trace_control_stopped(const struct trace_control *c);

#endif
