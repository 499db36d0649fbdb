/*
 * tests/insn/insn_test.h - one instruction, run by our exec function and by the host itself.
 *
 * You are here: native.c runs bytes on the host's silicon with chosen registers; box.c runs the
 * same bytes on a struct cpu whose memory is identity-mapped at the same addresses. The tests
 * compare every register, the arithmetic flags and the data page.
 */
#ifndef TESTS_INSN_INSN_TEST_H
#define TESTS_INSN_INSN_TEST_H

#include "cpu/exec_priv.h"

enum { FLAGS_SEEN = FL_ARITH | FL_DF };

/* Low addresses, the same in the guest and in this process. */
enum {
    RAM_SIZE = 16 << 20,
    CODE_AT = 0x900000, /* the instruction: one page */
    DATA_AT = 0xa00000, /* operands: DATA_SIZE bytes */
    DATA_SIZE = 8192,
};

struct regs {
    u64 gpr[16];
    u64 flags;
};

/* ---- native.c: process-wide, one thread ----------------------------------------------------- */
/* Maps the code and data pages at their addresses. False: they are taken (the test is skipped). */
bool native_open(void);
u8 *native_data(void); /* DATA_SIZE bytes at DATA_AT */
/* Runs len bytes at CODE_AT in 64-bit (or, bits32, 32-bit) mode. Returns 0, or the signal that
 * stopped it (r is then undefined). */
int native_run(const u8 *bytes, int len, bool bits32, struct regs *r);

/* ---- box.c ---------------------------------------------------------------------------------- */
struct box {
    struct clock *clk;
    struct space *mem, *ports;
    struct ram *ram;
    struct cpu *cpu;
};
/* A 64-bit CPU at CPL 0 with RAM_SIZE bytes identity-mapped. */
struct box *box_new(const char *model);
void box_free(struct box *b);
/* Puts the CPU into flat 32-bit protected mode, or 16-bit real mode, paging off. */
void box_mode32(struct box *b);
void box_mode16(struct box *b);
u8 *box_mem(struct box *b, u64 addr);
/* Decodes at CODE_AT for the CPU's current mode and runs the row's exec function until RIP leaves
 * the instruction (a REP may pause). Returns -1, or the exception it raised. */
int box_run(struct box *b, const u8 *bytes, int len, struct regs *r);

/* Decodes only, for the caller that runs the same bytes often. CHECKs that it is valid. */
void box_decode(struct box *b, const u8 *bytes, int len, struct insn *out);
int box_exec(struct box *b, const struct insn *i, struct regs *r);

/* Puts the bytes and a HLT at CODE_AT, for box_engine. */
void box_load(struct box *b, const u8 *bytes, int len);
/* Runs what box_load put there on the interpreter itself: cached blocks and their fast handlers.
 * False: it did not come to the HLT. The instruction must not fault. */
bool box_engine(struct box *b, struct regs *r);

/* ---- values --------------------------------------------------------------------------------- */
u64 next_random(u64 *state);
/* Half of the time a boundary (0, 1, -1, sign bits of each size and their neighbours). */
u64 next_operand(u64 *state);

#endif
