/*
 * machine/testbed.h - a CPU with RAM and nothing else, run an instruction at a time.
 *
 * You are here: for vectors, fuzzers and lockstep, which set every register and byte themselves.
 * No firmware, no devices, virtual time stands still, ports read as all ones. Not a board: guests
 * that want one use machine/vm.h.
 */
#ifndef MACHINE_TESTBED_H
#define MACHINE_TESTBED_H

#include "base/status.h"
#include "machine/state.h"

struct testbed;

struct testbed_config {
    const char *cpu;    /* model; NULL: "host" */
    const char *engine; /* of testbed_engines(); NULL: "interp" */
    u64 ram_size;       /* bytes from physical address 0, a multiple of 4 KiB */
    gpa address_mask;   /* address lines there are: 0xfffff on an 8086; 0: all */
    bool catch;         /* exceptions stop the instruction instead of being delivered */
};

enum testbed_stop {
    TESTBED_STEPPED,  /* an instruction (or an iteration of a REP, or a delivery) was executed */
    TESTBED_HALTED,   /* HLT; also when it already was */
    TESTBED_SHUTDOWN, /* triple fault */
    TESTBED_CAUGHT,   /* an exception, with config.catch; registers are as before */
};
struct testbed_exception {
    int vector; /* -1: none */
    u32 error;
    bool has_error;
    u64 cr2; /* for #PF */
};

/* ST_INVAL: unknown model or engine. */
enum status testbed_new(const struct testbed_config *c, struct testbed **out, struct error *err);
void testbed_free(struct testbed *tb);
/* NULL-terminated. "interp": as a VM runs it; "generic": the C function of each row, no fast
 * handlers. */
const char *const *testbed_engines(void);

/* Registers; pending events of the CPU (halt, shadows, debug traps) are forgotten by a set, and
 * RDRAND begins its fixed sequence again. */
void testbed_get(struct testbed *tb, struct cpu_regs *r);
void testbed_set(struct testbed *tb, const struct cpu_regs *r);
/* The state after RESET of this model. */
void testbed_reset(struct testbed *tb);

/* RAM, through the address mask. False: outside. */
bool testbed_read(const struct testbed *tb, gpa addr, void *buf, u64 len);
bool testbed_write(struct testbed *tb, gpa addr, const void *buf, u64 len);

/* One instruction. ex (may be NULL): the exception it raised, also when that was delivered. */
enum testbed_stop testbed_step(struct testbed *tb, struct testbed_exception *ex);

/* After TESTBED_CAUGHT: what it was. */
void testbed_caught(const struct testbed *tb, struct testbed_exception *ex);

/* Up to max instructions at full speed (blocks of any length); stops as above. Returns how many
 * were executed in *ran (may be NULL). */
enum testbed_stop testbed_run(struct testbed *tb, u64 max, u64 *ran);

#endif
