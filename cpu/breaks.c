/*
 * cpu/breaks.c - a debugger's breakpoints and watchpoints: the lists, and what happens when one is
 * met. Single steps are the run loop's (interp.c), decoded blocks are blocks.c's.
 *
 * A stop is PEND_DEBUG: it ends the slice, and cpu_run says CPU_BREAK. Execution breakpoints stop
 * before their instruction, watches behind the instruction (or delivery) that touched them.
 */
#include "cpu/breaks_priv.h"
#include "cpu/interp_priv.h"

#include <stdlib.h>

static bool is_watch(enum break_kind k)
{
    return k >= WATCH_WRITE;
}

static void count(struct breaks *br)
{
    br->n_exec = br->n_watch = 0;
    memset(br->offsets, 0, sizeof(br->offsets));
    for (int k = 0; k < br->n; k++) {
        u32 off = (u32)(br->list[k].addr & ~PAGE_MASK);
        if (is_watch(br->list[k].kind)) {
            br->n_watch++;
        } else {
            br->n_exec++;
            br->offsets[off >> 6] |= BIT64(off & 63);
        }
    }
}

/* Makes the list's change true. */
static void changed(struct cpu *cpu, const struct cpu_break *b)
{
    count(cpu->breaks);
    if (is_watch(b->kind))
        debug_sync(cpu);
    else
        blocks_forget_offset(cpu, (u32)(b->addr & ~PAGE_MASK));
}

static int find(const struct breaks *br, const struct cpu_break *b)
{
    for (int k = 0; br && k < br->n; k++)
        if (br->list[k].kind == b->kind && br->list[k].addr == b->addr &&
            (!is_watch(b->kind) || br->list[k].len == b->len))
            return k;
    return -1;
}

enum status cpu_break_add(struct cpu *cpu, const struct cpu_break *b)
{
    if (is_watch(b->kind) && (b->len < 1 || b->len > CPU_MAX_WATCH_LEN))
        return ST_RANGE;
    if (!cpu->breaks) {
        cpu->breaks = calloc(1, sizeof(*cpu->breaks));
        if (!cpu->breaks)
            return ST_NOMEM;
    }
    struct breaks *br = cpu->breaks;
    if (find(br, b) >= 0)
        return ST_OK;
    if (br->n == CPU_MAX_BREAKS)
        return ST_NOMEM;
    br->list[br->n++] = *b;
    changed(cpu, b);
    return ST_OK;
}

bool cpu_break_remove(struct cpu *cpu, const struct cpu_break *b)
{
    struct breaks *br = cpu->breaks;
    int k = find(br, b);
    if (k < 0)
        return false;
    br->list[k] = br->list[--br->n];
    changed(cpu, b);
    return true;
}

void cpu_break_clear(struct cpu *cpu)
{
    while (cpu->breaks && cpu->breaks->n) {
        struct cpu_break last = cpu->breaks->list[cpu->breaks->n - 1];
        cpu_break_remove(cpu, &last);
    }
    free(cpu->breaks);
    cpu->breaks = NULL;
}

struct cpu_break cpu_break_met(const struct cpu *cpu)
{
    return cpu->breaks ? cpu->breaks->met : (struct cpu_break){0};
}

void cpu_break_pass(struct cpu *cpu)
{
    struct breaks *br = cpu->breaks;
    if (!br)
        return;
    br->pass = true;
    br->pass_at = linear_pc(cpu);
    br->pass_icount = cpu_icount(cpu);
}

static void stop(struct cpu *cpu, struct cpu_break met)
{
    if (cpu->pending & PEND_DEBUG)
        return; /* the first one is reported */
    cpu->breaks->met = met;
    cpu->pending |= PEND_DEBUG;
    cpu_cut_slice(cpu);
}

bool breaks_meet(struct cpu *cpu, gla lin, gpa phys, u64 icount)
{
    struct breaks *br = cpu->breaks;
    if (br->pass && br->pass_at == lin && br->pass_icount == icount)
        return false;
    for (int k = 0; k < br->n; k++) {
        const struct cpu_break *b = &br->list[k];
        if (is_watch(b->kind) || b->addr != (b->kind == BREAK_PHYS ? phys : lin))
            continue;
        stop(cpu, *b);
        return true;
    }
    return false;
}

/* The 2^64th address wraps to 0: differences, not sums. */
static bool overlap(u64 a, u64 a_len, u64 b, u64 b_len)
{
    return a - b < b_len || b - a < a_len;
}

bool breaks_watch_page(const struct cpu *cpu, gla page)
{
    const struct breaks *br = cpu->breaks;
    for (int k = 0; br && br->n_watch && k < br->n; k++)
        if (is_watch(br->list[k].kind) &&
            overlap(page, PAGE_SIZE, br->list[k].addr, br->list[k].len))
            return true;
    return false;
}

void breaks_watch(struct cpu *cpu, gla a, u64 size, bool write)
{
    const struct breaks *br = cpu->breaks;
    for (int k = 0; br && br->n_watch && k < br->n; k++) {
        struct cpu_break b = br->list[k];
        if (!is_watch(b.kind) || b.kind == (write ? WATCH_READ : WATCH_WRITE) ||
            !overlap(a, size, b.addr, b.len))
            continue;
        if (a - b.addr < b.len)
            b.addr = a;
        stop(cpu, b);
        blocks_leave_running(cpu);
        return;
    }
}

/* The first instruction of a block whose page offset has a breakpoint. */
const struct insn *run_break(struct cpu *c, const struct insn *i)
{
    struct block *b = c->block;
    if (likely(c->breaks)) {
        c->rip = c->gpr[GPR_BLOCK];
        u64 icount = c->insns + (u64)(c->slice - (c->left + b->n) - c->stolen);
        if (breaks_meet(c, linear_pc(c), b->phys, icount)) {
            c->left += b->n;
            c->cur = NULL;
            c->block = NULL;
            return NULL;
        }
    }
    if (unlikely(c->tracer))
        DISPATCH_TO(run_traced, c, i);
    DISPATCH_TO(b->first, c, i);
}
