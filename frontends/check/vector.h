/*
 * frontends/check/vector.h - a recorded single-step test in memory, and the files that hold them.
 *
 * You are here: `check` reads vectors, the recorder writes them. docs/vector-format.md is the
 * contract of the files: MOO of the public suites with our chunks for 64-bit state, and JSON.
 * Readers take hostile files: what does not fit is ST_FORMAT, never more memory than the file's
 * contents justify.
 */
#ifndef FRONTENDS_CHECK_VECTOR_H
#define FRONTENDS_CHECK_VECTOR_H

#include "base/status.h"
#include "machine/state.h"

enum vector_reg {
    /* 0..15: RAX RCX RDX RBX RSP RBP RSI RDI R8..R15, as in struct cpu_regs */
    VREG_RIP = 16,
    VREG_RFLAGS,
    VREG_ES, /* selectors, in the order of CPU_SEG_* */
    VREG_CS,
    VREG_SS,
    VREG_DS,
    VREG_FS,
    VREG_GS,
    VREG_CR0,
    VREG_CR3,
    VREG_DR6,
    VREG_DR7,
    VREG_FS_BASE,
    VREG_GS_BASE,
    VREG_COUNT
};

struct vector_cell {
    u64 addr;
    u8 value;
};

/* In a final state only what differs from the initial one need be present. */
struct vector_state {
    u32 have; /* bit r: reg[r] is given */
    u64 reg[VREG_COUNT];
    bool has_xsave;
    u8 xsave[CPU_XSAVE_SIZE]; /* valid if has_xsave; what a file leaves out is 0 in an initial
                                 state and unchanged in a final one */
    u32 n_cells, cap_cells;
    struct vector_cell *cells; /* physical addresses in real mode, linear ones otherwise */
};

/* Which bits count when a final state is compared. */
struct vector_mask {
    u32 have; /* registers not in it count whole */
    u64 reg[VREG_COUNT];
    bool has_xsave;
    u8 xsave[CPU_XSAVE_SIZE];
};

struct vector_exception {
    int number; /* -1: none */
    bool has_error, has_fault_addr, has_flags_addr;
    u32 error;
    u64 fault_addr; /* CR2 of a page fault */
    u64 flags_addr; /* where FLAGS were pushed */
};

enum vector_env {
    VENV_REAL,  /* a bare CPU in real mode */
    VENV_USER,  /* a user process with the pages of frontends/record/layout.h */
    VENV_OTHER, /* a mode of the public suites that is not run here */
};

enum { VECTOR_BYTES = 64, VECTOR_NAME = 96 };

struct vector {
    u32 index; /* as the file numbers it */
    int bits;  /* 16, 32 or 64: width of the code */
    enum vector_env env;
    char name[VECTOR_NAME];
    u8 bytes[VECTOR_BYTES]; /* of the instruction, and of what follows it if the file says */
    u8 len;
    u8 has_hash;
    u8 hash[20];
    struct vector_state init, final;
    struct vector_mask mask; /* the test's own, or the file's */
    struct vector_exception ex;
};

void vector_init(struct vector *v);  /* all zero, no exception */
void vector_clear(struct vector *v); /* as after init, keeps the memory of the cells */
void vector_free(struct vector *v);
/* False: out of memory, or more cells than any test has (VECTOR_CELLS). */
enum { VECTOR_CELLS = 1 << 18 };
bool vector_add_cell(struct vector_state *s, u64 addr, u8 value);
void vector_set(struct vector_state *s, int reg, u64 value);
/* "rax", "flags"; bits 16: "ax". */
const char *vector_reg_name(int reg, int bits);

/* ---- files ---------------------------------------------------------------------------------- */
struct vector_meta {
    char cpu[5]; /* MOO's CPU id: "8086", "C286", "386E", ours "X64 "; "" if unknown */
    u8 cpu_type; /* META's number; 0 if there is none */
    int bits;    /* of all tests: 16, 32, 64 */
    enum vector_env env;
    u32 opcode; /* as in META; ~0: several, or unknown */
    char mnemonic[9];
    u64 seed;
    struct vector_mask mask;
    char cpu_name[64]; /* ours (CPUN): the processor that was recorded */
};

struct vector_file;
/* By content: MOO or JSON, plain or gzip'd. ST_FORMAT for anything else. */
enum status vector_open(const char *path, struct vector_file **out, struct error *err);
/* The same from memory, which is copied; name: for messages. */
enum status vector_open_memory(const void *data, size_t len, const char *name,
                               struct vector_file **out, struct error *err);
void vector_close(struct vector_file *f);
const struct vector_meta *vector_meta(const struct vector_file *f);
u32 vector_count(const struct vector_file *f);
/* Test k of the file, 0 .. count - 1, into v (cleared first). */
enum status vector_read(const struct vector_file *f, u32 k, struct vector *v, struct error *err);

enum vector_format { VECTOR_MOO, VECTOR_JSON };
struct vector_out;
/* Writes path, gzip'd if it ends in ".gz". Nothing stands at path until vector_out_close
 * succeeds. */
enum status vector_create(const char *path, enum vector_format format,
                          const struct vector_meta *meta, struct vector_out **out,
                          struct error *err);
enum status vector_write(struct vector_out *o, const struct vector *v, struct error *err);
/* Frees o, also on failure. */
enum status vector_out_close(struct vector_out *o, struct error *err);
/* Frees o and leaves nothing behind. */
void vector_out_abandon(struct vector_out *o);

#endif
