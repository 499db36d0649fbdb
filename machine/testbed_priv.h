/*
 * machine/testbed_priv.h - the CPU of a testbed.
 *
 * You are here: private to machine/: insns.c decodes for it.
 */
#ifndef MACHINE_TESTBED_PRIV_H
#define MACHINE_TESTBED_PRIV_H

#include "machine/testbed.h"

struct cpu;
struct cpu *testbed_cpu(const struct testbed *tb);

#endif
