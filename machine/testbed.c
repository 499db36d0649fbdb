/*
 * machine/testbed.c - see testbed.h.
 */
#include "machine/testbed.h"
#include "machine/state_priv.h"
#include "machine/engine_priv.h"
#include "machine/testbed_priv.h"
#include "base/log.h"
#include "bus/ram.h"

#include <stdlib.h>
#include <string.h>

struct testbed {
    struct cpu *cpu;
    struct ram *ram;
    struct space *mem, *ports;
    struct clock *clk;
    gpa mask;
    bool generic, catch;
};

struct cpu *testbed_cpu(const struct testbed *tb)
{
    return tb->cpu;
}

#ifdef TRV_HAVE_BT
static const char *const engines[] = {"interp", "generic", "bt", NULL};
#else
static const char *const engines[] = {"interp", "generic", NULL};
#endif

const char *const *testbed_engines(void)
{
    return engines;
}

enum status testbed_new(const struct testbed_config *c, struct testbed **out, struct error *err)
{
    bool generic = c->engine && !strcmp(c->engine, "generic");
    /* blocks here run once or twice: translated at once */
    const char *engine = generic ? "interp" : c->engine ? c->engine : "interp";
    if (!strcmp(engine, "bt"))
        engine = "bt-hot";
    enum status st = engine_check(engine, err);
    if (st != ST_OK)
        return st;
    struct testbed *tb = calloc(1, sizeof(*tb));
    if (!tb)
        return fail(err, ST_NOMEM, "out of memory");
    tb->mask = c->address_mask ? c->address_mask : ~0ull;
    tb->generic = generic;
    tb->catch = c->catch;
    tb->mem = space_new("memory", BIT64(52));
    tb->ports = space_new("ports", 65536);
    tb->clk = clock_new(CLOCK_FAKE, 0);
    st = ram_new(c->ram_size, &tb->ram, err);
    if (st == ST_OK) {
        space_map_ram(tb->mem, 0, c->ram_size, tb->ram, 0, MAP_RW, 0);
        struct cpu_config cc = {
            .model = c->cpu, .clk = tb->clk, .mem = tb->mem, .ports = tb->ports, .ram = tb->ram};
        st = cpu_new(&cc, &tb->cpu, err);
    }
    if (st == ST_OK)
        st = engine_attach(tb->cpu, engine, err);
    if (st != ST_OK) {
        testbed_free(tb);
        return st;
    }
    tb->cpu->mmu.a20_mask &= tb->mask;
    tb->cpu->catch_faults = c->catch;
    tb->cpu->plain = generic;
    tb->cpu->sequenced = true;
    *out = tb;
    return ST_OK;
}

void testbed_free(struct testbed *tb)
{
    if (!tb)
        return;
    engine_detach(tb->cpu);
    cpu_free(tb->cpu);
    space_free(tb->mem);
    space_free(tb->ports);
    clock_free(tb->clk);
    ram_free(tb->ram);
    free(tb);
}

void testbed_get(struct testbed *tb, struct cpu_regs *r)
{
    state_get(tb->cpu, r);
}

void testbed_set(struct testbed *tb, const struct cpu_regs *r)
{
    struct cpu *c = tb->cpu;
    c->halted = c->nmi_blocked = false;
    c->pending = 0;
    c->dr6_pending = 0;
    c->random_sequence = 0;
    c->ex_nested = -1;
    c->ex_ext = false;
    state_set(c, r);
}

void testbed_reset(struct testbed *tb)
{
    cpu_reset(tb->cpu, false);
    tb->cpu->mmu.a20_mask &= tb->mask;
}

/* Where addr is in RAM. */
static bool find(const struct testbed *tb, gpa addr, u64 len, u64 *off)
{
    *off = addr & tb->mask;
    return *off < tb->ram->size && len <= tb->ram->size - *off;
}

bool testbed_read(const struct testbed *tb, gpa addr, void *buf, u64 len)
{
    u64 off;
    if (!find(tb, addr, len, &off))
        return false;
    memcpy(buf, tb->ram->base + off, len);
    return true;
}

bool testbed_write(struct testbed *tb, gpa addr, const void *buf, u64 len)
{
    u64 off;
    if (!find(tb, addr, len, &off))
        return false;
    memcpy(tb->ram->base + off, buf, len);
    for (u64 p = off >> PAGE_SHIFT; len && p <= (off + len - 1) >> PAGE_SHIFT; p++) {
        if (tb->ram->page_flags[p]) {
            ram_note_write(tb->ram, off, len);
            break;
        }
    }
    return true;
}

static enum testbed_stop stop_of(const struct cpu *c, enum cpu_exit why)
{
    if (why == CPU_HALT || c->halted)
        return TESTBED_HALTED;
    if (why == CPU_SHUTDOWN || (c->pending & PEND_SHUTDOWN))
        return TESTBED_SHUTDOWN;
    return why == CPU_CAUGHT ? TESTBED_CAUGHT : TESTBED_STEPPED;
}

enum testbed_stop testbed_step(struct testbed *tb, struct testbed_exception *ex)
{
    struct cpu *c = tb->cpu;
    u64 before = c->n_exceptions;
    enum cpu_exit why;

    if (tb->generic) {
        why = cpu_step(c);
    } else {
        c->block_max = 1;
        why = cpu_run(c, 1);
    }
    if (ex) {
        bool raised = c->n_exceptions != before;
        *ex = (struct testbed_exception){.vector = raised ? c->ex_vector : -1,
                                         .error = raised && c->ex_has_error ? c->ex_error : 0,
                                         .has_error = raised && c->ex_has_error,
                                         .cr2 = c->cr2};
    }
    return stop_of(c, why);
}

void testbed_caught(const struct testbed *tb, struct testbed_exception *ex)
{
    const struct cpu *c = tb->cpu;
    *ex = (struct testbed_exception){.vector = c->ex_vector,
                                     .error = c->ex_has_error ? c->ex_error : 0,
                                     .has_error = c->ex_has_error,
                                     .cr2 = c->cr2};
}

enum testbed_stop testbed_run(struct testbed *tb, u64 max, u64 *ran)
{
    struct cpu *c = tb->cpu;
    u64 start = c->insns;
    enum testbed_stop stop = TESTBED_STEPPED;

    c->block_max = 0;
    while (stop == TESTBED_STEPPED && c->insns - start < max)
        stop = stop_of(c, cpu_run(c, (i64)MIN(max - (c->insns - start), (u64)1 << 40)));
    if (ran)
        *ran = c->insns - start;
    return stop;
}
