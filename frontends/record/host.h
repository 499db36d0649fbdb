/*
 * frontends/record/host.h - one instruction with a whole given state on the host's processor.
 *
 * You are here: the recorder asks it what silicon does; `check --engine host` asks it again. The
 * instruction runs in a child process with the pages of layout.h and a system call filter, one
 * trap flag step at a time (every iteration of a REP), and what stopped it is reported.
 *
 * Not for instructions that enter the kernel (SYSCALL, SYSENTER, INT 80h) or whose trap is none
 * (INT1): callers leave them out. After MOV SS the trap waits for the next instruction, the INT3
 * that the pages are filled with. EFLAGS: TF and RF are the runner's; IF is 1; NT and ID cannot be
 * given. FOP, FIP and FDP: AMD's XSAVE keeps them only while an x87 error is pending, so 0 in all
 * three says nothing.
 */
#ifndef FRONTENDS_RECORD_HOST_H
#define FRONTENDS_RECORD_HOST_H

#include "base/status.h"
#include "machine/state.h"

enum { HOST_BATCH = 64, HOST_CELLS = 1500 };

struct host_state {
    u64 gpr[16], rip, rflags; /* RIP: the offset in CS */
    u8 xsave[CPU_XSAVE_SIZE]; /* as in struct cpu_regs; XSTATE_BV and the reserved parts are 0 */
    /* Results; before they are segments_standard() and the bases of layout.h. */
    u16 sel[6]; /* ES CS SS DS FS GS */
    u64 fs_base, gs_base;
};
struct host_cell {
    u32 addr;
    u8 value;
};
enum host_end {
    HOST_OK,
    HOST_DIED, /* the child did not survive it */
    HOST_ODD,  /* something else than a step or a fault of this instruction happened */
};

struct host_case {
    int bits; /* 16, 32 or 64 */
    u8 len;   /* of the instruction: tells its own INT3 from the filling */
    u16 max_steps;
    u16 operand_size; /* notes of whoever made the case: */
    u64 operand;      /* linear address of the visible memory operand; size 0: it has none */
    bool rep;         /* RIP unchanged means there is more to do */
    struct host_state in;
    u32 n_in;
    struct host_cell mem_in[HOST_CELLS]; /* addresses outside the areas are ignored */

    enum host_end end;
    struct host_state out;
    int vector; /* -1: completed */
    u32 error;
    bool has_error;
    u64 cr2;   /* of #PF, else 0 */
    u32 n_out; /* bytes that changed, by address; HOST_CELLS + 1: more than fit */
    struct host_cell mem_out[HOST_CELLS];
};

struct host;
/* Starts the child. ST_UNSUP: this host cannot (no fixed addresses, no local descriptors,
 * no FSGSBASE). */
enum status host_open(struct host **out, struct error *err);
void host_close(struct host *h);
/* Case k of the batch, 0 .. HOST_BATCH - 1: fill in the upper part, run, read the lower. */
struct host_case *host_case(struct host *h, int k);
/* Runs cases 0 .. n - 1. A child that died is replaced, its case marked. */
enum status host_run(struct host *h, int n, struct error *err);

/* Whether the child of a build with AddressSanitizer may have that build's own memory at addr,
 * where nothing shall be: what a case finds there says nothing. */
bool host_shadow(u64 addr);

/* The image a case starts from. */
void host_arena(const struct host_case *c, u8 image[]);

/* CPUID's brand string, "" if there is none. */
void record_processor(char name[64]);

#endif
