/*
 * frontends/stream_priv.h - the host's end of serial ports and debug consoles.
 *
 * You are here: a stream is a chardev on file descriptors. The VM's thread writes; one thread of
 * ours (io.c) reads for all streams and posts to the VM's thread.
 *
 * Flow: bytes travel host -> io thread -> vm_post -> `held` -> the device. At most STREAM_HELD
 * bytes of a stream are under way, then its descriptor is not read until the guest takes some.
 */
#ifndef FRONTENDS_STREAM_PRIV_H
#define FRONTENDS_STREAM_PRIV_H

#include "base/status.h"
#include "bus/backend.h"
#include "machine/vm.h"

#include <pthread.h>
#include <stdatomic.h>

enum { STREAM_HELD = 4096 };

struct io;

struct stream {
    struct chardev c; /* first */
    struct io *io;
    const char *what; /* "serial0", for messages */
    bool stdio;       /* Ctrl-A commands on input */

    /* lock guards fd_out against the io thread's connecting and hanging up */
    pthread_mutex_t lock;
    int fd_out; /* -1: nobody listens */
    bool socket;
    bool stuck; /* the last write found no room for a long time: do not wait again */

    /* the io thread's */
    int fd_in;       /* -1: no input (any more) */
    int fd_listen;   /* -1: none */
    int fd_keep;     /* a pty's other end, so that it never hangs up */
    bool escape;     /* Ctrl-A was typed */
    char path[108];  /* a socket we made and remove */
    bool to_monitor; /* Ctrl-A c: what is typed goes to `monitor` */

    /* of a terminal: the monitor's end of it (Ctrl-A c). recv NULL: there is none */
    struct chardev monitor;
    void (*monitor_turn)(void *ctx); /* somebody turned to it; VM's thread, ctx is monitor's */

    _Atomic u32 under_way; /* bytes posted and not yet taken by the device */
    /* the VM thread's */
    u8 held[STREAM_HELD];
    u32 n_held;
    bool delivering;
};

/* spec: stdio, mon:stdio, null, none, pty, file:PATH, unix:PATH[,server[,nowait]]. *out is NULL for
 * "none". An output-only stream never reads. */
enum status stream_open(const char *spec, const char *what, bool output_only, struct stream **out,
                        struct error *err);
void stream_close(struct stream *s); /* NULL is allowed; not while the io thread runs */

/* A listening socket at path, close-on-exec and non-blocking; the caller unlinks it. A file that is
 * in use, or no socket, is ST_BUSY. */
enum status listen_unix(const char *path, int *fd, struct error *err);

/* Whether spec would read the terminal: only one may. */
bool stream_is_stdio(const char *spec);

/* ---- the io thread (io.c) ---- */
struct io *io_new(void);
void io_add(struct io *io, struct stream *s); /* before io_start */
bool io_start(struct io *io, struct vm *vm);  /* from now on the streams' input flows */
void io_stop(struct io *io);                  /* returns when the thread has ended */
void io_free(struct io *io);
void io_wake(struct io *io);
bool io_quit_typed(const struct io *io); /* Ctrl-A x */

/* VM's thread: hands the device what it has room for. */
void stream_deliver(struct stream *s);

#endif
