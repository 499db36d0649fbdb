/*
 * machine/engine_priv.h - the engines there are, by name.
 *
 * You are here: private to machine/: vm.c and testbed.c choose.
 */
#ifndef MACHINE_ENGINE_PRIV_H
#define MACHINE_ENGINE_PRIV_H

#include "cpu/cpu.h"

/* "interp", "bt" (when built with it), and for tests "generic" (the C function of each row),
 * "interp-stress" (blocks of one instruction), "bt-hot" (blocks are translated at once),
 * "bt-helpers" (each instruction is a call of its C function), "bt-stress" (blocks of one
 * instruction, translated at once, not linked, in a small cache). NULL: the default. ST_INVAL:
 * unknown, ST_UNSUP: not in this build. After a comma may stand properties, key=value: of those
 * that translate cache (bytes of host code, K M G may follow), perfmap and jitdump (on, off: files
 * for `perf`). After cpu_new, while the CPU does not run and no other engine is attached. */
enum status engine_attach(struct cpu *cpu, const char *spec, struct error *err);
/* Before cpu_free; a CPU without one is left alone. */
void engine_detach(struct cpu *cpu);
/* As cpu_forked(). */
bool engine_forked(struct cpu *cpu);
/* Whether such an engine can be attached, as engine_attach() would say. */
enum status engine_check(const char *spec, struct error *err);
const char *const *engine_names(void); /* NULL-terminated */
const char *engine_list(void);         /* the same for messages */
/* enum trv_engine of pv/trv.h. */
u32 engine_trv_id(const char *spec);

#endif
