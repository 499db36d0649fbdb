/*
 * machine/views.h - what the engine of a running machine does: counters, translated code; and
 * another engine in its place.
 *
 * You are here: for front ends, tests and whoever tunes the translator. All on the VM's thread and
 * outside vm_run unless said otherwise. An engine that does not translate has no counters and no
 * blocks to show; that is no error.
 */
#ifndef MACHINE_VIEWS_H
#define MACHINE_VIEWS_H

#include "machine/vm.h"

/* ---- choosing --------------------------------------------------------------------------------
 */
/* Whether spec (a name of vm_engines(), then ",key=value" for each property) can be had. ST_INVAL,
 * ST_RANGE; ST_UNSUP: not in this build. */
enum status vm_engine_check(const char *spec, struct error *err);

/* The engine from here on, with the guest where it stands. On failure the interpreter runs it.
 * Counters begin anew. What vm_engine_toggle() goes back to is not changed. */
enum status vm_set_engine(struct vm *vm, const char *spec, struct error *err);
/* Its spec. */
const char *vm_engine(const struct vm *vm);

/* Any thread, also signal handlers: soon, at a block's boundary, from the engine of vm_config to
 * the interpreter or back (from the interpreter to the default engine if it was configured). */
void vm_engine_toggle(struct vm *vm);

/* ---- counters --------------------------------------------------------------------------------
 */
struct vm_count {
    const char *name; /* good as long as the program runs */
    u64 n;
    bool tenths; /* n is ten times the value */
};
/* Calls row for each counter of the engine, in an order that can be read. */
void vm_engine_counts(const struct vm *vm, void (*row)(void *ctx, const struct vm_count *c),
                      void *ctx);

/* Instructions (rows of the table) that are calls of their C function, most calls first. n: room;
 * returns how many there are in out. */
struct vm_helper {
    const char *name;
    u64 translated, called;
};
int vm_engine_helpers(const struct vm *vm, struct vm_helper *out, int n);

/* ---- one block -------------------------------------------------------------------------------
 */
enum vm_part { VM_PART_ENTRY, VM_PART_INSN, VM_PART_COLD, VM_PART_EDGE };
struct vm_block_mark {
    u32 at;   /* byte of the host code where it begins; it ends where the next one does */
    u32 insn; /* INSN, COLD (the way out in the middle of an instruction): which instruction; EDGE
                 (to the next block, until linked): which */
    enum vm_part part;
    gla lin; /* of the instruction; ENTRY, EDGE: of the block */
};
struct vm_block_view {
    gla lin;       /* of the first instruction */
    gla guest_lin; /* of guest[0]: blocks of a superblock may lie below the first */
    int bits;
    bool user;
    u32 insns;
    u64 times; /* how often a block with this address was translated so far */
    u64 host;  /* where its code runs */
    const u8 *guest, *code;
    u32 guest_bytes, code_bytes, n_marks;
    const struct vm_block_mark *marks;
};
/* Keep the block at linear address lin when it is translated: one that begins there, else the last
 * that goes over it. One address a machine, remembered over vm_set_engine. ST_NOMEM. */
enum status vm_watch_block(struct vm *vm, gla lin, struct error *err);
/* False: none was translated. What out points to is the VM's, good until vm_run, vm_watch_block,
 * vm_watched_block, vm_set_engine or vm_free. */
bool vm_watched_block(struct vm *vm, struct vm_block_view *out);

#endif
