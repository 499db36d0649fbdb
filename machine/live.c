/*
 * machine/live.c - see live.h.
 *
 * Nothing here is counted where the guest runs fast: the share of an engine is known from where
 * slices end, the map of memory from the caches of translations.
 */
#include "machine/live.h"
#include "machine/vm_priv.h"

#include <time.h>

#ifdef TRV_HAVE_BT
#include "bt/bt.h"
#endif

static u64 host_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (u64)ts.tv_sec * NS_PER_SEC + (u64)ts.tv_nsec;
}

void vm_live_start(struct vm *vm)
{
    if (vm->live.on)
        return;
    vm->live.on = true;
    vm->live.last_ns = 0;
    vm->live.own_ledger = !vm->cpu->mmu.ledger;
    if (vm->live.own_ledger)
        vm_ledger_start(vm);
}

void vm_live_stop(struct vm *vm)
{
    if (vm->live.on && vm->live.own_ledger)
        vm->cpu->mmu.ledger = NULL;
    vm->live.on = false;
}

void live_slice(struct vm *vm, bool slept)
{
    u64 now = host_ns(), ns = now - vm->live.last_ns;
    enum vm_doing what = slept                                           ? VM_DOING_SLEEP
                         : cpu_code_here(vm->cpu) == CPU_CODE_TRANSLATED ? VM_DOING_TRANSLATED
                                                                         : VM_DOING_INTERPRET;
    if (vm->live.last_ns) /* else the first since vm_run began */
        vm->live.doing[what] += ns;
    vm->live.last_ns = now;
}

static u32 tlb_used(const struct mmu *m)
{
    u32 n = 0;
    for (int v = 0; v < VIEW_COUNT; v++)
        for (int k = 0; k < TLB_SIZE; k++)
            n += !tlb_is_none(m->tlb[v][k].rtag) || !tlb_is_none(m->tlb[v][k].wtag);
    return n;
}

void vm_live(struct vm *vm, struct vm_live *out)
{
    const struct mmu *m = &vm->cpu->mmu;
    *out = (struct vm_live){.host_ns = host_ns()};
    vm_stats(vm, &out->stats);
    vm_ledger(vm, &out->ledger);
    memcpy(out->doing, vm->live.doing, sizeof(out->doing));
    out->walks = m->walks;
    out->flushes = m->gens[0];
    out->tlb_used = tlb_used(m);
    out->tlb_room = VIEW_COUNT * TLB_SIZE;
    out->ram_size = vm->ram->size;
#ifdef TRV_HAVE_BT
    struct bt_stats s;
    if (!vm->cpu->engine)
        return;
    bt_stats(vm->cpu, &s);
    out->cache_size = s.cache_size;
    out->cache_used = s.code_bytes;
    out->cache_resets = s.resets;
    out->blocks_translated = s.blocks;
    out->helper_calls = s.exits[BT_EXIT_HELPER] + s.exits[BT_EXIT_EVENT];
    out->slow_memory = s.exits[BT_EXIT_MEMORY];
    out->lookups = s.exits[BT_EXIT_INDIRECT];
#endif
}

/* ---- the map --------------------------------------------------------------------------------- */
struct heat {
    const struct ram *ram;
    u8 *out;
    u64 cell; /* pages of one */
};

static void mark(const struct heat *h, u64 off, enum vm_heat what)
{
    if (off < h->ram->size)
        h->out[(off >> PAGE_SHIFT) / h->cell] |= (u8)what;
}

u64 vm_live_heat(const struct vm *vm, u8 out[VM_HEAT_CELLS])
{
    const struct mmu *m = &vm->cpu->mmu;
    const struct ram *ram = vm->ram;
    u64 pages = ram->size >> PAGE_SHIFT;
    struct heat h = {ram, out, (pages + VM_HEAT_CELLS - 1) / VM_HEAT_CELLS};
    u64 base = (u64)(uintptr_t)ram->base;
    memset(out, 0, VM_HEAT_CELLS);
    for (int v = 0; v < VIEW_COUNT; v++) {
        for (int k = 0; k < TLB_SIZE; k++) {
            const struct tlb_entry *e = &m->tlb[v][k];
            if (!tlb_is_none(e->rtag))
                mark(&h, e->host - base, VM_HEAT_READ);
            if (!tlb_is_none(e->wtag))
                mark(&h, e->host - base, VM_HEAT_WRITE);
        }
    }
    for (int v = 0; v < 2; v++)
        for (int k = 0; k < ITLB_SIZE; k++)
            if (m->itlb[v][k].ram == ram && m->itlb[v][k].gen == m->gens[m->itlb[v][k].global])
                mark(&h, m->itlb[v][k].ram_off, VM_HEAT_EXEC);
    for (u64 p = 0; p < pages; p++)
        if (ram->page_flags[p] & RAM_CODE)
            out[p / h.cell] |= VM_HEAT_CODE;
    return h.cell << PAGE_SHIFT;
}
