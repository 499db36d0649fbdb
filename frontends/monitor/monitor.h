/*
 * frontends/monitor/monitor.h - a line at a time: what a person or a program may ask of a running
 * machine (-monitor, Ctrl-A c). docs/snapshots.md and docs/monitor.md have the commands.
 *
 * You are here: run.c opens it on a stream (stream_priv.h) as if it were a device; bytes come and
 * commands run on the VM's thread, between slices. Whoever can write to the stream can do with the
 * machine what the user who started it can, and no more: lines are bounded, what is no command is
 * answered and forgotten, a reader who does not read is dropped by the stream.
 */
#ifndef FRONTENDS_MONITOR_MONITOR_H
#define FRONTENDS_MONITOR_MONITOR_H

#include "base/status.h"
#include "bus/backend.h"

#include <signal.h>

struct vm;
struct monitor;

/* On a stream, which stays the caller's. tty: a person types: echo, editing, a prompt.
 * can_pause: somebody calls monitor_hold(). NULL: no memory. */
struct monitor *monitor_new(struct chardev *stream, bool tty, bool can_pause);
/* The machine is made; before the stream's input flows. greet: a person sees a prompt at once. */
void monitor_start(struct monitor *m, struct vm *vm, bool greet);
/* A person turns to it (Ctrl-A c). VM's thread. */
void monitor_greet(struct monitor *m);
void monitor_free(struct monitor *m); /* NULL is allowed */

/* vm_run() returned VM_STOP_REQUEST: stays while the monitor has the machine paused, serving what
 * is posted. True: that was why, and the machine shall run on. NULL: false. */
bool monitor_hold(struct monitor *m, const volatile sig_atomic_t *signalled);

/* One command, for tests and other front ends: its answer goes to out. VM's thread. */
void monitor_run(struct monitor *m, const char *line);

#endif
