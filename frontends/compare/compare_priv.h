/*
 * frontends/compare/compare_priv.h - what the parts of `trivisor compare` share.
 *
 * You are here: compare.c (options, the list of work), measure.c (one machine, one kind of work,
 * one way), table.c (text and JSON), plot.c (a picture).
 */
#ifndef FRONTENDS_COMPARE_PRIV_H
#define FRONTENDS_COMPARE_PRIV_H

#include "base/status.h"
#include "machine/ledger.h"
#include "machine/vm.h"

#include <stdio.h>

enum way { WAY_EMULATED, WAY_TRANSLATED, WAY_PARAVIRT, N_WAYS };

struct workload {
    const char *name, *unit; /* of the count */
    u32 count;               /* by default */
    const char *pv;       /* the personality that has a way for it, or "virtio"; NULL: none has */
    const char *hardware; /* what it uses without, and with it; for the table's heads */
    const char *paravirt;
};

struct measured {
    bool done;
    const char *engine, *pv;    /* as the machine was made */
    bool own_way;               /* the personality's, not the hardware's */
    u64 cpu_ns, wall_ns, insns; /* of the fastest timed run */
    u64 tlb_misses;
    struct vm_ledger ledger;  /* of runs of the same that were not timed: the least of each row */
    u64 ledger_ns;            /* CPU time of the fastest of those */
    u64 sum;                  /* what the guest computed */
    u64 text_bytes, text_sum; /* what came out of its console, one run */
};

struct result {
    const struct workload *w;
    u32 count;
    struct measured way[N_WAYS];
};

struct measure_config {
    const struct workload *w;
    u32 count;
    const char *engine;
    const char *pv;  /* personality, or "virtio": none, and the devices */
    const char *how; /* to the guest: hardware, trv, kvm, virtio */
};
/* Runs it. ST_*: could not, or the guest did not finish; err says for which. VM and guest are gone
 * afterwards. */
enum status measure(const struct measure_config *c, struct measured *out, struct error *err);

/* Gain of way w over the one before it, times 100; 0: not measured. */
u64 gain_percent(const struct result *r, enum way w);
u64 device_accesses(const struct measured *m);
extern const char *const way_names[N_WAYS];

void table_print(FILE *f, const struct result *r, int n);
void table_json(FILE *f, const struct result *r, int n);
bool plot_write(FILE *f, const struct result *r, int n);

#endif
