/*
 * frontends/gdb/gdb_priv.h - one connection's state, between server, protocol and monitor.
 *
 * You are here: private to frontends/gdb. server.c has the sockets, stub.c the packets, regs.c the
 * registers as gdb numbers them, monitor.c the commands behind gdb's `monitor`.
 */
#ifndef FRONTENDS_GDB_GDB_PRIV_H
#define FRONTENDS_GDB_GDB_PRIV_H

#include "frontends/gdb/gdb.h"
#include "frontends/gdb/packet.h"
#include "machine/debug.h"
#include "machine/state.h"

#include <pthread.h>

enum gdb_arch { ARCH_AUTO, ARCH_I8086, ARCH_I386, ARCH_AMD64 };
enum { GDB_MAX_REGS = 128, GDB_XML_MAX = 24576 };

struct gdb_reg {
    const char *name;
    u8 kind, index, size; /* enum in regs.c; size in bytes */
};

struct gdb_target {
    enum gdb_arch arch;
    struct gdb_reg regs[GDB_MAX_REGS];
    int n_regs;
    char xml[GDB_XML_MAX];
    u32 xml_len;
};

struct gdb {
    struct vm *vm;
    struct gdb_target target;

    /* ---- sockets, VM's thread ---- */
    int fd_listen, fd; /* fd -1: no client */
    char path[108];    /* a socket file to remove */
    u8 in[4096];
    u32 in_at, in_n;

    /* ---- the watching thread ---- */
    pthread_t thread;
    bool started;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool armed, quit; /* under lock */
    int armed_fd;
    int wake_fd;

    /* ---- the protocol ---- */
    struct gdb_parser parser;
    struct gdb_text reply;
    char frame[2 * GDB_PACKET_MAX + 8]; /* what was sent last, to be sent again */
    size_t frame_len;
    bool no_ack, swbreak, hwbreak;
    bool running;  /* the machine runs, or will as soon as gdb_serve returns */
    bool stepping; /* ... for one instruction */
    bool killed;
    bool physical; /* memory and new execution breakpoints are physical */
    struct vm_debug_stop stop;
    int stop_signal;
};

/* ---- regs.c ---- */
void gdb_target_init(struct gdb_target *t, enum gdb_arch arch, struct vm *vm);
/* Register n's bytes, little-endian; returns its size, 0: no such register. */
u32 gdb_reg_get(struct gdb *g, const struct cpu_regs *r, u32 n, u8 out[16]);
/* Into r, or at once where it has no place there. */
u32 gdb_reg_set(struct gdb *g, struct cpu_regs *r, u32 n, const u8 in[16]);

/* ---- stub.c ---- */
/* A complete packet is in g->parser.buf: carries it out and sends the reply. */
void gdb_packet(struct gdb *g);
/* The machine stands, and the client waits to hear it. */
void gdb_report(struct gdb *g, struct vm_debug_stop why, int signal);
/* A new client. */
void gdb_greet(struct gdb *g);

/* ---- monitor.c ---- */
void gdb_monitor(struct gdb *g, const char *command);

/* ---- server.c ---- */
void gdb_send(struct gdb *g); /* g->reply */
void gdb_hang_up(struct gdb *g);

#endif
