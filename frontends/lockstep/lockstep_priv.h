/*
 * frontends/lockstep/lockstep_priv.h - what the files of `trivisor lockstep` share.
 *
 * You are here: command.c reads the command line; boot.c compares two whole machines, each in a
 * process of its own (serve.c there, side.c here); random.c compares two testbeds over made-up
 * programs (program.c), stored ones included (file.c); differ.c says in words what differs.
 */
#ifndef FRONTENDS_LOCKSTEP_LOCKSTEP_PRIV_H
#define FRONTENDS_LOCKSTEP_LOCKSTEP_PRIV_H

#include "frontends/cli_priv.h"
#include "machine/state.h"

#include <sys/types.h>

enum { STATUS_DIFFERENT = 1 };

struct lockstep_options {
    const char *engine[2]; /* [1] of the other build with `other` */
    const char *other;     /* another trivisor as the second side; NULL: this one */
    /* whole machines */
    u64 slice;         /* instructions between comparisons of registers */
    u64 every;         /* slices between comparisons of memory */
    u64 insns;         /* end after so many; 0: never */
    const char *until; /* end when the guest says this on its serial port; NULL: never */
    bool progress, console;
    int last; /* instructions shown before a difference */
    const char *plant;
    int run_argc; /* options of run */
    char **run_argv;
    /* random programs */
    bool random, host;
    u64 seed, programs, length;
    bool have_seed;
    int mode; /* 0: all */
    const char *save, *setup;
    const char *cpu;
    const char *files[64];
    int n_files;
};

int lockstep_boot(const struct lockstep_options *o);
int lockstep_random(const struct lockstep_options *o);
int lockstep_host(const struct lockstep_options *o);
int lockstep_serve(int argc, char **argv);

/* ---- differ.c -------------------------------------------------------------------------------- */
/* mode_bits and what is not architectural left out. */
bool regs_equal(const struct cpu_regs *a, const struct cpu_regs *b);
/* One line for each register that differs. */
void regs_print(FILE *f, const char *name_a, const struct cpu_regs *a, const char *name_b,
                const struct cpu_regs *b);
/* One line for each 16 bytes that differ, at most `lines`; where: address of the first byte. */
void bytes_print(FILE *f, u64 where, const u8 *a, const u8 *b, size_t len, int lines);
/* A fast digest, for equality only. */
u64 digest(u64 start, const u8 *p, size_t len);

/* ---- serve.c and side.c: what goes over the socket ------------------------------------------- */
enum { PROTOCOL = 1, SERIAL_KEPT = 65536, PEEK_MAX = 16 };

enum request_kind {
    REQ_HELLO,  /* -> struct hello */
    REQ_RUN,    /* a: instructions -> struct progress */
    REQ_DIGEST, /* -> u64 of all RAM */
    REQ_PAGES,  /* a: first 4 KiB page, b: how many, at most 4096 -> u64 each */
    REQ_PAGE,   /* a: page -> its bytes */
    REQ_PEEK,   /* a: linear address, PEEK_MAX bytes of it -> those that are mapped */
    REQ_SERIAL, /* a: from this byte on -> the bytes, at most SERIAL_KEPT */
    REQ_MARK,   /* -> empty: this is the state that REQ_BACK returns to */
    REQ_BACK,   /* -> empty; the mark stays */
};
struct request {
    u32 kind, pad;
    u64 a, b;
};
enum reply_kind {
    REPLY_OK,
    REPLY_ERROR, /* text */
    REPLY_DIED,  /* text; the side is back at its mark, or gone when it had none */
};
struct reply {
    u32 kind, len; /* of what follows */
};
struct hello {
    u32 protocol, regs_size;
    u64 ram_size;
};
struct progress {
    u64 icount, serial_len, serial_digest, virtual_ns;
    i32 why; /* enum vm_stop; REQUEST with fewer instructions than asked for: sleeps for ever */
    i32 exit_code;
    struct cpu_regs regs;
};

struct side {
    const char *name; /* for messages: the other build's, or the engine's */
    pid_t pid;
    int fd;
    u64 ram_size;
};
/* exe NULL: this program. plant NULL: none. */
enum status side_open(struct side *s, const char *exe, const char *engine, const char *plant,
                      int argc, char **argv, struct error *err);
void side_close(struct side *s);
enum status side_ask(struct side *s, enum request_kind kind, u64 a, u64 b, struct error *err);
/* The answer to one question asked; *len: room in, bytes out. ST_IO: the side died; it is back at
 * its mark. */
enum status side_answer(struct side *s, void *buf, size_t *len, struct error *err);
enum status side_call(struct side *s, enum request_kind kind, u64 a, u64 b, void *buf, size_t len,
                      struct error *err);

bool read_all(int fd, void *buf, size_t len);
bool write_all(int fd, const void *buf, size_t len);

#endif
