/*
 * bt/bt.c - the translator's life, and what cpu/ calls it for.
 */
#include "bt/bt_priv.h"
#include "base/log.h"

#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { DEFAULT_HEAT = 40, ARCH_SET_GS_BASE = 0x1001, FSGSBASE = 2 };

/* Misses of one site's entry, each soon after the other, in a slice of at most 200 us: more are
 * dearer than looking into the TLB each time. */
enum { SITE_PATIENCE = 300, SITE_PATIENCE_STRESS = 3 };

static void enter(struct cpu *cpu)
{
    struct site_cache *s = &cpu->mmu.sites;
    u16 n = bt_of(cpu)->cfg.unlinked ? SITE_PATIENCE_STRESS : SITE_PATIENCE;
    for (int k = 0; k < SITES; k++)
        s->patience[k] = n;
    s->wild = 0;
    for (int k = 0; k < BT_STRIPS; k++)
        cpu->bt_strips[k] = STRIP_ALLOWED;
    if (bt_of(cpu)->gs_insn)
        __asm__ volatile("wrgsbase %0" : : "r"(cpu));
    else
        syscall(SYS_arch_prctl, ARCH_SET_GS_BASE, cpu);
}

static void killed(struct cpu *cpu, struct block *b)
{
    struct bt *t = bt_of(cpu);
    for (u32 n = b->hot_costs; n; n = t->costs[n - 1].next)
        st_u32(t->costs[n - 1].at, BLOCK_DEAD);
    unlink_edges_to(t, b);
}

static void reset(struct cpu *cpu)
{
    cache_reset(bt_of(cpu));
    memset(cpu->bt_targets, 0, sizeof(cpu->bt_targets));
}

static u64 fault_at(struct cpu *cpu, u64 pc)
{
    struct bt *t = bt_of(cpu);
    const u8 *p = (const u8 *)(uintptr_t)pc - t->to_rx;
    if (p < t->rw || p >= t->a.p)
        return 0;
    u32 lo = 0, hi = t->n_faults;
    while (lo < hi) {
        u32 mid = (lo + hi) / 2;
        if (t->faults[mid].pc < p)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo == t->n_faults || t->faults[lo].pc != p)
        return 0;
    return (u64)(uintptr_t)(t->faults[lo].way + t->to_rx);
}

enum status bt_attach(struct cpu *cpu, const struct bt_config *c, struct error *err)
{
    u64 secret[3]; /* what the guest must not guess: bt_priv.h, mmu.h */
    if (!__builtin_cpu_supports("sse4.2"))
        return fail(err, ST_UNSUP, "the translator wants a processor with SSE4.2 (-engine interp)");
    if (getrandom(secret, sizeof(secret), 0) != sizeof(secret))
        return fail(err, ST_UNSUP, "the host has no random numbers for the translator");
    struct bt *t = calloc(1, sizeof(*t));
    if (!t)
        return fail(err, ST_NOMEM, "out of memory for the translator");
    t->cpu = cpu;
    if (c)
        t->cfg = *c;
    t->wide = cpu_has(cpu, FEAT_AVX);
    t->gs_insn = getauxval(AT_HWCAP2) & FSGSBASE;
    flags_probe(t);
    t->rows = calloc(INSN_COUNT, sizeof(*t->rows));
    enum status st = t->rows ? view_init(t, err) : fail(err, ST_NOMEM, "out of memory");
    if (st == ST_OK)
        st = cache_init(t, err);
    if (st != ST_OK) {
        view_fini(t);
        free(t->rows);
        free(t);
        return st;
    }
    t->engine = (struct cpu_engine){.enter = enter,
                                    .translate = bt_translate,
                                    .killed = killed,
                                    .reset = reset,
                                    .fault_at = fault_at,
                                    .heat = t->cfg.heat ? t->cfg.heat : DEFAULT_HEAT};
    t->stats.resets = 0;
    /* No address has bit 63 set and bits 62 to 56 clear; which one it is, is not for the guest to
     * know: an access there would pass the comparison (and fault on the host). */
    cpu->mmu.sites.none = BIT64(63) | (secret[0] & 0x00fffffffffff000ull);
    cpu->mmu.sites.used = 1;
    t->secret = secret[1];
    mmu_seed_salts(&cpu->mmu, secret[2]);
    mmu_clear_sites(&cpu->mmu);
    blocks_flush(cpu);
    cpu->engine_ctx = t;
    cpu->engine = &t->engine;
    return ST_OK;
}

void bt_detach(struct cpu *cpu)
{
    struct bt *t = bt_of(cpu);
    if (!cpu->engine)
        return;
    blocks_flush(cpu);
    cpu->engine = NULL;
    cpu->engine_ctx = NULL;
    cache_fini(t);
    view_fini(t);
    free(t->rows);
    free(t);
}
