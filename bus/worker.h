/*
 * bus/worker.h - a thread that does a device's slow work, in order, while the guest runs on.
 *
 * You are here: a device that may have to wait for the host (a disk's file) gives jobs to its
 * worker; each one's end is told on the VM's thread, between slices, through the inbox. Which of
 * the two comes first, a later instruction of the guest or the end of a job, is the host's to
 * decide: a machine that must repeat itself has no workers.
 */
#ifndef BUS_WORKER_H
#define BUS_WORKER_H

#include "base/types.h"

struct inbox;
struct worker;

/* Embedded in what the work is about; the owner's again when done() is called. */
struct job {
    void (*run)(struct job *j);  /* the worker's thread */
    void (*done)(struct job *j); /* the VM's thread, in the order of submission */
    struct job *next;
};

/* NULL: the host has no thread to give. in is borrowed and outlives the worker. */
struct worker *worker_new(struct inbox *in);
/* VM's thread. After all jobs are done() with. NULL is allowed. */
void worker_free(struct worker *w);
/* VM's thread; one job after the other, never two at once. */
void worker_submit(struct worker *w, struct job *j);
/* VM's thread: waits until all jobs have run, and calls their done(). Those may submit others,
 * which are waited for too. */
void worker_finish(struct worker *w);

#endif
