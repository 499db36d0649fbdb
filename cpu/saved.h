/*
 * cpu/saved.h - what of a vCPU is state: the fields that a snapshot has, and their way back.
 *
 * You are here: machine/snapshot.c saves and restores through the table, as it does for devices;
 * the local APIC has one of its own (lapic_device). The registers that instruction sets of the
 * same vCPU share with the host (x87) are in struct cpu only outside cpu_run().
 */
#ifndef CPU_SAVED_H
#define CPU_SAVED_H

#include "bus/device.h"
#include "cpu/cpu.h"

/* Offsets are from struct cpu. Ends with FIELD_END. */
extern const struct field cpu_saved[];
enum { CPU_SAVED_VERSION = 1 };

/* After the fields were written, from anywhere: false when no processor of this model can be in
 * that state (what is in struct cpu then is of no use until something else is restored); else
 * everything derived is right and all caches are empty. Outside cpu_run(). The APIC's and the other
 * devices' fields must be there already. */
bool cpu_loaded(struct cpu *cpu);

/* The local APIC as a device whose state is saved; NULL: there is none. */
struct device *cpu_apic(const struct cpu *cpu);

/* IGNNE# is asserted: a latch outside struct cpu. */
bool cpu_ignne(const struct cpu *cpu);
void cpu_set_ignne(struct cpu *cpu, bool on);

#endif
