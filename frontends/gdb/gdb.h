/*
 * frontends/gdb/gdb.h - a machine under gdb: the server of `trivisor run -gdb`.
 *
 * You are here: run.c opens the server, runs the machine, and hands every VM_STOP_DEBUG over. One
 * client at a time; when it detaches or its connection ends, its breakpoints are removed, the
 * machine goes on, and another client may come.
 *
 * The protocol is spoken on the VM's thread, while the machine stands. A thread of ours only
 * watches the socket meanwhile it runs, and interrupts it when there is something to read.
 */
#ifndef FRONTENDS_GDB_GDB_H
#define FRONTENDS_GDB_GDB_H

#include "base/status.h"
#include "machine/vm.h"

struct gdb;

/* spec: tcp:[HOST]:PORT or unix:PATH, then options ",arch=auto|i8086|i386|x86-64". Only looks at
 * the text. */
enum status gdb_check_spec(const char *spec, struct error *err);

/* Listens. The machine must outlive it. hold: the first vm_run stops at once, and gdb_serve waits
 * for a client that says how to go on. */
enum status gdb_open(const char *spec, struct vm *vm, bool hold, struct gdb **out,
                     struct error *err);
void gdb_close(struct gdb *g); /* NULL is fine */

/* After vm_run returned VM_STOP_DEBUG. True: call vm_run again; false: the client killed the
 * machine. */
bool gdb_serve(struct gdb *g);
/* The machine has ended for good: tells the client, as a process's exit status. NULL is fine. */
void gdb_ended(struct gdb *g, int status);

#endif
