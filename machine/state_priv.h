/*
 * machine/state_priv.h - machine/state.h for those who hold a CPU instead of a VM.
 *
 * You are here: private to machine/: testbed.c uses it.
 */
#ifndef MACHINE_STATE_PRIV_H
#define MACHINE_STATE_PRIV_H

#include "cpu/cpu.h"
#include "machine/state.h"

void state_get(struct cpu *cpu, struct cpu_regs *r);
void state_set(struct cpu *cpu, const struct cpu_regs *r);

#endif
