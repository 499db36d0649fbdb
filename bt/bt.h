/*
 * bt/bt.h - engine two: blocks that run often become host code.
 *
 * You are here: the same decoded blocks that the interpreter runs (cpu/interp_priv.h), counted the
 * same way and left at the same places, so both engines agree instruction for instruction.
 * cpu/ is the specification; whatever is not worth translating is a call of its functions.
 *
 * Thread: the vCPU's.
 */
#ifndef BT_BT_H
#define BT_BT_H

#include "base/status.h"
#include "cpu/cpu.h"

struct bt_config {
    u32 heat;       /* entries before a block is translated; 0: the default */
    u64 cache_size; /* bytes of host code; 0: the default */
    bool helpers;   /* stress: every instruction is a call of its C function */
    bool unlinked;  /* stress: no block jumps to another */
};
/* c NULL: defaults. The CPU's cached blocks are forgotten. ST_NOMEM, ST_UNSUP (the host forbids
 * executable memory) with a message. */
enum status bt_attach(struct cpu *cpu, const struct bt_config *c, struct error *err);
/* Back to the interpreter; also before cpu_free(). Not while the CPU runs. */
void bt_detach(struct cpu *cpu);

/* In the child of a fork(): translated code of its own at the same place, with the same contents.
 * False: no memory; the CPU must not run. */
bool bt_forked(struct cpu *cpu);

struct bt_stats {
    u64 blocks, insns;      /* translated */
    u64 copied, helped;     /* of the instructions: host code, calls of C functions */
    u64 code_bytes, resets; /* of the cache now; how often it was emptied */
    u64 links;
};
void bt_stats(const struct cpu *cpu, struct bt_stats *out);

#endif
