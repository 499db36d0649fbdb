/*
 * frontends/trace/writer.h - a binary trace being written.
 */
#ifndef FRONTENDS_TRACE_WRITER_H
#define FRONTENDS_TRACE_WRITER_H

#include "base/status.h"
#include "machine/trace.h"

struct trace_writer;

/* Creates the file. meta: lines of key=value; first: instructions executed so far. */
enum status trace_writer_new(const char *path, const char *meta, u64 first,
                             struct trace_writer **out, struct error *err);
/* Writes the rest and the index. The first error of all writing is returned here. */
enum status trace_writer_close(struct trace_writer *w, struct error *err);

/* In order of happening, as vm_tracer's callbacks; blocks are numbered 0, 1, 2... */
void trace_writer_define(struct trace_writer *w, const struct vm_trace_block *b);
void trace_writer_enter(struct trace_writer *w, u32 id, u32 n);
void trace_writer_event(struct trace_writer *w, const struct vm_trace_event *e);
void trace_writer_forget(struct trace_writer *w);
/* n instructions are left out here. */
void trace_writer_gap(struct trace_writer *w, u64 n);

u64 trace_writer_bytes(const struct trace_writer *w);
u64 trace_writer_insns(const struct trace_writer *w);
u32 trace_writer_blocks(const struct trace_writer *w);

#endif
