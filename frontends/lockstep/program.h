/*
 * frontends/lockstep/program.h - a made-up program and the process it runs in.
 *
 * You are here: random.c runs them. All that a program does follows from what is in this structure:
 * the instructions, the way the processor is set up, and a number from which registers and data are
 * made (program_state), which is therefore part of the file format (file.c).
 */
#ifndef FRONTENDS_LOCKSTEP_PROGRAM_H
#define FRONTENDS_LOCKSTEP_PROGRAM_H

#include "base/status.h"
#include "machine/state.h"
#include "machine/testbed.h"

#include <stdio.h>

enum { PROGRAM_MAX = 1024 };

/* Guest RAM, linear = physical except for the bases of 16-bit segments. */
enum {
    AT_TABLES = 0x1000,
    AT_CODE = 0x10000,  /* read, written, executed */
    AT_DATA = 0x20000,  /* 64 KiB, read and written; the stack is in its middle */
    AT_CONST = 0x30000, /* a page that is read only; behind it nothing is mapped */
    PROGRAM_RAM = 0x40000,
    CODE_BYTES = 0x8000,
    DATA_BYTES = 0x11000, /* the page at AT_CONST included */
};

enum setup {
    SETUP_LONG,     /* 64-bit mode, CPL 3 */
    SETUP_COMPAT,   /* 32-bit code in long mode, CPL 3 */
    SETUP_PROT,     /* 32-bit protected mode, paging, CPL 3 */
    SETUP_PROT_ODD, /* the same with segments that are not flat */
    SETUP_REAL,
    SETUP_PROT16, /* 16-bit protected mode, paging, CPL 3 */
    SETUP_V86,    /* mostly IOPL 3 */
    SETUP_SEGS,   /* 32-bit and 16-bit protected mode, CPL 3: segments of all kinds and limits, */
    SETUP_SEGS16, /* stacks of the other size */
    SETUPS
};

struct item {
    u8 bytes[16], len;
    u8 rel_at, rel_size; /* a branch: where its displacement is; 0: none */
    u16 target;          /* the item it goes to */
    u16 off;             /* filled in by program_layout */
    bool gone;
};

struct program {
    enum setup setup;
    u64 state; /* registers and data are made from it */
    u64 pace;  /* how many instructions run between comparisons; 0: one */
    const char *cpu;
    int n;
    struct item item[PROGRAM_MAX];
    int bytes; /* filled in by program_layout */
};

u64 random_next(u64 *s);

int setup_bits(enum setup s);
bool setup_ring3(enum setup s);
const char *setup_name(enum setup s);
int setup_find(const char *name); /* -1: none */
/* The code segment's base. */
u64 setup_code_base(enum setup s);

/* tb knows which encodings there are. */
void program_make(struct program *p, const struct testbed *tb, enum setup setup, u64 seed,
                  int length);
/* Places the items that are not gone and writes them, followed by HLT, into code (CODE_BYTES). */
void program_layout(struct program *p, u8 *code);
/* The item after the byte at off in the code, for going on behind a fault; p->n: the end. */
int program_after(const struct program *p, u64 off);
/* Registers and data (DATA_BYTES from AT_DATA) at the start. */
void program_state(const struct program *p, struct cpu_regs *r, u8 *data);
/* Page tables, once for each testbed and setup. */
void program_tables(struct testbed *tb, enum setup setup);

/* ---- file.c ---- */
enum status program_save(const struct program *p, const char *path, struct error *err);
/* cpu (64 bytes): where the model's name goes. */
enum status program_load(struct program *p, const char *path, char *cpu, struct error *err);

#endif
