/*
 * frontends/net/net.h - network cards on the command line, and what is at the host's end of their
 * cables.
 *
 * You are here: options.c parses each -nic, run.c opens, starts, stops and frees them around the
 * machine. All calls on the main thread.
 */
#ifndef FRONTENDS_NET_NET_H
#define FRONTENDS_NET_NET_H

#include "base/status.h"
#include "machine/vm.h"

struct nic;

/* -nic's argument: user|tap|socket[,key=value...]. *out is NULL for "none". */
enum status nic_parse(const char *text, struct nic **out, struct error *err);
/* Describes the index-th card to a machine in which no cable is in it. */
void nic_card(const struct nic *n, int index, struct vm_nic *card);
/* The same, and opens the host's side of its cable; ports that are taken, or
 * an interface that is not there, are found here. */
enum status nic_open(struct nic *n, int index, struct vm_nic *card, struct error *err);
/* Frames flow. False: no thread to be had. */
bool nic_start(struct nic *n, struct vm *vm);
void nic_stop(struct nic *n); /* returns when the thread has ended; before vm_free */
void nic_free(struct nic *n); /* NULL is allowed; after vm_free */

#endif
