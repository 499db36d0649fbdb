/*
 * frontends/trace/reader.h - a binary trace being read, from any point of it.
 *
 * You are here: show, stat, diff and tests. The file is not trusted: whatever is in it, reading
 * ends with items or a message.
 */
#ifndef FRONTENDS_TRACE_READER_H
#define FRONTENDS_TRACE_READER_H

#include "base/status.h"
#include "machine/trace.h"

struct trace_reader;

struct trace_info {
    u64 first, last; /* count of executed instructions at its two ends */
    u64 insns;       /* recorded */
    u64 bytes;       /* of the file */
    u32 chunks, blocks;
    bool cut_short; /* no index: the run did not end properly; what is there can be read */
    const char *meta;
};

/* One block that was entered, or one event between instructions. */
struct trace_item {
    u64 at;                              /* instructions executed before it */
    const struct vm_trace_block *block;  /* NULL: an event between instructions */
    u32 id;                              /* its number */
    u32 done;                            /* instructions executed: at most block->n */
    const struct vm_trace_event *events; /* inside the block, in order; or the one event */
    u32 n_events;
    u64 gap; /* block NULL and no events: so many instructions were left out */
};

enum status trace_open(const char *path, struct trace_reader **out, struct error *err);
void trace_close(struct trace_reader *r);
const struct trace_info *trace_info(const struct trace_reader *r);

/* The next item is the one that holds instruction `at`, or the first after it. */
enum status trace_seek(struct trace_reader *r, u64 at, struct error *err);
/* False at the end, and when something is wrong: then *st and err tell. The item is valid until the
 * next call. */
bool trace_next(struct trace_reader *r, struct trace_item *item, enum status *st,
                struct error *err);

#endif
