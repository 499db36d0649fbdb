/*
 * frontends/vsock.h - the host's end of the guest's sockets: unix sockets.
 *
 * You are here: run.c makes one for -vsock. The guest's connection to port P of the host (CID 2)
 * goes to the socket PATH_P, which some program of the host listens at. A program of the host that
 * connects to PATH and says "CONNECT P\n" is connected to the guest's port P, and told "OK N\n".
 */
#ifndef FRONTENDS_VSOCK_H
#define FRONTENDS_VSOCK_H

#include "base/status.h"
#include "bus/backend.h"

struct vm;

/* Makes the listening socket at path. */
enum status vsock_open(const char *path, struct vsock_host **out, struct error *err);
bool vsock_start(struct vsock_host *h, struct vm *vm); /* false: no thread */
void vsock_stop(struct vsock_host *h);                 /* before the VM is freed */
void vsock_close(struct vsock_host *h); /* after; NULL is allowed; removes the socket */

#endif
