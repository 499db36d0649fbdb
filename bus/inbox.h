/*
 * bus/inbox.h - the one door for outside input: keys, serial bytes, packets, control requests.
 *
 * You are here: any host thread posts; the VM's thread drains between slices, in order, so input
 * can be logged and replayed. Posting wakes a VM that sleeps in inbox_wait().
 */
#ifndef BUS_INBOX_H
#define BUS_INBOX_H

#include "base/types.h"

struct inbox;

/* Runs on the VM's thread. data is valid during the call only. */
typedef void inbox_fn(void *ctx, const void *data, u32 len);

struct inbox *inbox_new(void);
void inbox_free(struct inbox *in);

/* What fits one post: a frame of any network, for one. */
enum { INBOX_MAX = 68 * 1024 };
/* Copies data (len <= INBOX_MAX; more is refused with false). Any thread. */
bool inbox_post(struct inbox *in, inbox_fn *fn, void *ctx, const void *data, u32 len);

/* Called by inbox_post after queuing, on the posting thread: ends a running slice soon. */
void inbox_set_kick(struct inbox *in, void (*fn)(void *ctx), void *ctx);

bool inbox_pending(const struct inbox *in); /* cheap: one relaxed load */
void inbox_drain(struct inbox *in);         /* runs what was posted before the call */
/* Ends a sleep in inbox_wait() (the next one, if none is under way) without posting anything. Any
 * thread; also signal handlers. Does not call the kick function. */
void inbox_wake(struct inbox *in);

/* Sleeps until something is posted, inbox_wake() or timeout_ns passed (CLOCK_NEVER: for ever). */
void inbox_wait(struct inbox *in, u64 timeout_ns);

#endif
