/*
 * machine/live.h - what a running machine is doing, cheap enough to look at many times a second.
 *
 * You are here: the window's live view. All on the VM's thread, outside vm_run or in a posted
 * function. Counters only grow (but with another engine, which begins anew): rates are the
 * caller's business.
 */
#ifndef MACHINE_LIVE_H
#define MACHINE_LIVE_H

#include "machine/ledger.h"
#include "machine/vm.h"

enum vm_doing {
    VM_DOING_SLEEP,      /* HLT */
    VM_DOING_INTERPRET,  /* blocks whose code is not translated */
    VM_DOING_TRANSLATED, /* the translator's host code, the C functions it calls included */
    VM_DOINGS
};

struct vm_live {
    u64 host_ns; /* the host's clock when this was taken */
    struct vm_stats stats;
    struct vm_ledger ledger; /* exits by cause, since vm_live_start() or an earlier beginning */
    u64 doing[VM_DOINGS];    /* ns of the host's time, known by looking at each slice's end */
    /* the translator; all 0 without one */
    u64 cache_size, cache_used; /* bytes of host code: room, in use */
    u64 cache_resets;           /* how often it was emptied */
    u64 blocks_translated;
    u64 helper_calls; /* instructions that translated code ran by calling their C function */
    u64 slow_memory;  /* accesses that left translated code: TLB misses, devices, cached code */
    u64 lookups;      /* ways out to find an indirect target */
    /* paging */
    u64 walks;              /* of the guest's page tables */
    u64 flushes;            /* of the TLB, whole or for one address space */
    u32 tlb_used, tlb_room; /* entries */
    u64 ram_size;
};

/* Begins, or ends, what is counted only while somebody looks: the time slices take and, unless
 * somebody else keeps it already, the ledger. */
void vm_live_start(struct vm *vm);
void vm_live_stop(struct vm *vm);
void vm_live(struct vm *vm, struct vm_live *out);

/* Guest RAM in cells of equal size, the last one may be smaller. */
enum { VM_HEAT_CELLS = 2048 };
enum vm_heat {
    VM_HEAT_READ = 1,  /* a page of it is in the TLB for reads, */
    VM_HEAT_WRITE = 2, /* for writes, */
    VM_HEAT_EXEC = 4,  /* for code */
    VM_HEAT_CODE = 8,  /* code of it is decoded or translated */
};
/* What is seen of each now. Returns bytes in a cell, a multiple of 4 KiB. */
u64 vm_live_heat(const struct vm *vm, u8 out[VM_HEAT_CELLS]);

#endif
