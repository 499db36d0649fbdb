/*
 * pv/trv.h - the host side of our own hypercall interface (docs/pv-abi.md).
 *
 * You are here: a device without registers in memory, as pv/kvm.h is. Making it wires it into the
 * CPU: the CPUID leaf 40000000h and the hypercalls. Numbers and layouts are in pv/guest/trv.h.
 */
#ifndef PV_TRV_H
#define PV_TRV_H

#include "bus/backend.h"
#include "bus/device.h"
#include "cpu/cpu.h"
#include "pv/guest/trv.h"

enum { TRV_MAX_DISKS = 2 };

struct trv_wires {
    struct cpu *cpu;
    struct space *mem;
    struct clock *clk;
    struct chardev *console;           /* written only; NULL: none */
    struct block *disk[TRV_MAX_DISKS]; /* borrowed; NULL: none */
    u32 engine;                        /* TRV_ENGINE_* */
};

struct device *trv_new(const struct trv_wires *w);

/* Another engine runs the instructions from now on. */
void trv_set_engine(struct device *d, u32 engine);

#endif
