/*
 * frontends/check/runner.c - one vector on an engine, and what came out different.
 *
 * Real-mode vectors run on a testbed of their own; user-process ones on the recorder's arrangement
 * (frontends/record/ours.h) or, with engine "host", on the processor itself (host.h). Nothing of
 * one vector is left for the next: cells are cleared, and after a failure all of RAM.
 */
#include "frontends/check/check_priv.h"
#include "frontends/record/host.h"
#include "frontends/record/layout.h"
#include "frontends/record/ours.h"
#include "machine/testbed.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_STEPS = 3000, RAM_BYTES = 16 << 20, WIPES = 500 };

struct runner {
    const char *cpu, *engine;
    bool is_8086;
    u16 fixed_flags; /* read as ones on this model, whatever is kept */
    struct testbed *tb;
    struct cpu_regs fresh; /* real mode */
    u32 wipes;
    struct ours *ours;
    struct host *host;
    struct host_case *in, *out;
    u8 image[3][ARENA_BYTES];
};

void runner_engines(const char *list[MAX_ENGINES])
{
    int n = 0;
    for (const char *const *e = testbed_engines(); *e && n < MAX_ENGINES - 2; e++)
        list[n++] = *e;
    list[n++] = "host";
    list[n] = NULL;
}

static void add_diff(struct outcome *o, struct diff d)
{
    if (o->n_diffs < MAX_DIFFS)
        o->diffs[o->n_diffs] = d;
    o->n_diffs++;
}

static void happened(struct outcome *o, const char *text)
{
    add_diff(o, (struct diff){.kind = DIFF_TEXT, .text = text});
}

/* ---- real mode ------------------------------------------------------------------------------ */
static enum status open_real(struct runner *r, struct error *err)
{
    struct testbed_config c = {.cpu = r->cpu,
                               .engine = r->engine,
                               .ram_size = RAM_BYTES,
                               .address_mask = r->is_8086 ? 0xfffff : 0xffffff};
    enum status st = testbed_new(&c, &r->tb, err);
    if (st != ST_OK)
        return st;
    testbed_reset(r->tb);
    testbed_get(r->tb, &r->fresh);
    for (int k = 0; k < CPU_SEGS; k++)
        r->fresh.seg[k] = (struct cpu_seg_state){.limit = 0xffff, .attr = 0x93};
    r->fresh.seg[CPU_SEG_CS].attr = 0x9b;
    return ST_OK;
}

static void put_cells(struct testbed *tb, const struct vector_state *s, bool zero)
{
    static const u8 none;
    for (u32 k = 0; k < s->n_cells; k++)
        testbed_write(tb, s->cells[k].addr, zero ? &none : &s->cells[k].value, 1);
}

static void wipe(struct runner *r)
{
    static const u8 zero[65536];
    if (r->wipes++ < WIPES)
        for (u64 a = 0; a < RAM_BYTES; a += sizeof(zero))
            testbed_write(r->tb, a, zero, sizeof(zero));
}

static void set_real(struct runner *r, const struct vector *v, struct cpu_regs *c)
{
    const struct vector_state *s = &v->init;
    *c = r->fresh;
    for (int k = 0; k < 16; k++)
        c->gpr[k] = s->have >> k & 1 ? s->reg[k] : 0;
    for (int k = 0; k < CPU_SEGS; k++) {
        c->seg[k].sel = s->have >> (VREG_ES + k) & 1 ? (u16)s->reg[VREG_ES + k] : 0;
        c->seg[k].base = (u64)c->seg[k].sel << 4;
    }
    c->rip = s->reg[VREG_RIP];
    /* IOPL and NT cannot be set in real mode; suites give what LOADALL would load */
    c->rflags = (s->reg[VREG_RFLAGS] & 0xfd5) | 2;
    if (s->have >> VREG_CR0 & 1)
        c->cr0 = s->reg[VREG_CR0];
    if (s->have >> VREG_CR3 & 1)
        c->cr3 = s->reg[VREG_CR3];
    if (s->have >> VREG_DR6 & 1)
        c->dr[6] = s->reg[VREG_DR6];
    if (s->have >> VREG_DR7 & 1)
        c->dr[7] = s->reg[VREG_DR7];
}

static u64 reg_now(const struct cpu_regs *c, int reg)
{
    if (reg < 16)
        return c->gpr[reg];
    switch (reg) {
    case VREG_RIP:
        return c->rip;
    case VREG_RFLAGS:
        return c->rflags;
    case VREG_CR0:
        return c->cr0;
    case VREG_CR3:
        return c->cr3;
    case VREG_DR6:
        return c->dr[6];
    case VREG_DR7:
        return c->dr[7];
    case VREG_FS_BASE:
        return c->seg[CPU_SEG_FS].base;
    case VREG_GS_BASE:
        return c->seg[CPU_SEG_GS].base;
    default:
        return c->seg[reg - VREG_ES].sel;
    }
}

/* Which bits of the byte at addr count: all but undefined ones of a FLAGS word pushed at flags. */
static u8 byte_mask(u64 addr, u64 flags, u16 mask)
{
    return addr == flags ? (u8)mask : addr == flags + 1 ? (u8)(mask >> 8) : 0xff;
}

static bool is_string(const struct vector *v, int op)
{
    bool rep = false;
    for (int k = 0; k < v->len; k++)
        rep |= v->bytes[k] == 0xf2 || v->bytes[k] == 0xf3;
    return rep &&
           ((op >= 0xa4 && op <= 0xa7) || (op >= 0xaa && op <= 0xaf) || (op >= 0x6c && op <= 0x6f));
}

/* A gather, which lets a single step's trap in between its elements. */
static bool is_gather(const struct vector *v)
{
    for (int k = 0; k + 3 < v->len; k++)
        if (v->bytes[k] == 0xc4)
            return (v->bytes[k + 1] & 0x1f) == 2 && v->bytes[k + 3] >> 2 == 0x90 >> 2;
    return false;
}

/* The suites before the 80286 record one instruction, later ones go on to a HLT. */
static enum testbed_stop steps_8086(struct runner *r, const struct vector *v,
                                    struct testbed_exception *ex)
{
    int reg, op = vector_opcode(v, &reg);
    bool rep = is_string(v, op);
    struct cpu_regs now;
    enum testbed_stop stop;
    int n = 0;
    do {
        stop = testbed_step(r->tb, ex);
        if (rep)
            testbed_get(r->tb, &now);
    } while (rep && stop == TESTBED_STEPPED && (u16)now.rip == (u16)v->init.reg[VREG_RIP] &&
             ++n < MAX_STEPS);
    return stop;
}

static void run_real(struct runner *r, const struct vector *v, u16 mask, struct outcome *o)
{
    struct testbed_exception ex = {.vector = -1};
    struct cpu_regs now;
    enum testbed_stop stop;
    const struct vector_state *a = &v->init, *b = &v->final;
    u64 flags_at = ~0ull - 1;

    put_cells(r->tb, a, false);
    set_real(r, v, &now);
    testbed_set(r->tb, &now);
    if (r->is_8086) {
        stop = steps_8086(r, v, &ex);
    } else {
        stop = testbed_run(r->tb, MAX_STEPS, NULL);
        if (stop == TESTBED_STEPPED)
            happened(o, "ran on and met no HLT");
    }
    if (stop == TESTBED_SHUTDOWN)
        happened(o, "shut down");
    testbed_get(r->tb, &now);
    /* Where FLAGS went: the 8086's files do not say, the others mean the even address below. */
    if (r->is_8086 ? ex.vector == 0 : v->ex.has_flags_addr) {
        u64 sp = b->have >> 4 & 1 ? b->reg[4] : a->reg[4];
        u64 ss = b->have >> VREG_SS & 1 ? b->reg[VREG_SS] : a->reg[VREG_SS];
        flags_at = ((ss << 4) + (u16)(sp + 4)) & (r->is_8086 ? 0xfffff : 0xffffff);
    }
    now.rflags |= r->fixed_flags;
    for (int k = 0; k < VREG_COUNT; k++) {
        if (!((a->have | b->have) >> k & 1))
            continue;
        u64 before = a->reg[k], want = b->have >> k & 1 ? b->reg[k] : before;
        u64 m = v->mask.have >> k & 1 ? v->mask.reg[k] : ~0ull;
        if (k == VREG_RFLAGS) {
            m &= mask;
            if (!(b->have >> k & 1))
                want = ((want & 0xfd5) | 2) | r->fixed_flags;
        }
        u64 got = reg_now(&now, k);
        if (k <= VREG_RIP && v->bits == 16 && before <= 0xffff && want <= 0xffff)
            got &= 0xffff; /* REGS: the upper halves are nobody's; IP wraps */
        if ((want ^ got) & m)
            add_diff(o,
                     (struct diff){
                         .kind = DIFF_REG, .reg = k, .before = before, .want = want, .got = got});
    }
    /* what the instruction left alone must be as before */
    for (int pass = 0; pass < 2; pass++) {
        const struct vector_state *s = pass ? a : b;
        for (u32 k = 0; k < s->n_cells; k++) {
            u64 addr = s->cells[k].addr;
            u8 want = s->cells[k].value, got = 0;
            testbed_read(r->tb, addr, &got, 1);
            if (!((want ^ got) & byte_mask(addr, flags_at, mask)))
                continue;
            bool said = false;
            for (u32 j = 0; pass && j < b->n_cells && !said; j++)
                said = b->cells[j].addr == addr;
            u64 before = want;
            for (u32 j = 0; !pass && j < a->n_cells; j++)
                if (a->cells[j].addr == addr)
                    before = a->cells[j].value;
            if (!said)
                add_diff(o, (struct diff){.kind = DIFF_MEM,
                                          .addr = addr,
                                          .before = before,
                                          .want = want,
                                          .got = got});
        }
    }
    if (o->n_diffs) {
        wipe(r);
    } else {
        put_cells(r->tb, a, true);
        put_cells(r->tb, b, true);
    }
}

/* ---- the user process ----------------------------------------------------------------------- */
static enum status open_user(struct runner *r, struct error *err)
{
    r->in = calloc(1, sizeof(*r->in));
    r->out = calloc(1, sizeof(*r->out));
    if (!r->in || !r->out)
        return fail(err, ST_NOMEM, "out of memory");
    if (!strcmp(r->engine, "host"))
        return host_open(&r->host, err);
    return ours_open(r->cpu, r->engine, &r->ours, err);
}

/* MXCSR_MASK in an image that the host saved may announce misaligned SSE; our models, whose vectors
 * these are, do not have it (docs/recording.md). The image is aligned, the bit in its byte 30. */
static bool misaligned_sse(const struct vector *v, u64 addr, u8 want, u8 now)
{
    enum { MM = 2, AT = 30 };
    if ((want ^ now) != MM || !(now & MM) || (addr & 15) != (AT & 15))
        return false;
    for (int k = 0; k + 2 < v->len; k++) {
        int reg = v->bytes[k + 2] >> 3 & 7;
        if (v->bytes[k] == 0x0f && v->bytes[k + 1] == 0xae)
            return reg == 0 || reg == 4 || reg == 6;
        if (v->bytes[k] == 0x0f && v->bytes[k + 1] == 0xc7)
            return reg == 4;
    }
    return false;
}

static void compare_memory(struct runner *r, const struct vector *v, const struct host_case *in,
                           const struct host_case *got, struct outcome *o)
{
    u8 *want = r->image[0], *now = r->image[1], *before = r->image[2];
    host_arena(in, before);
    memcpy(want, before, ARENA_BYTES);
    memcpy(now, want, ARENA_BYTES);
    for (u32 k = 0; k < v->final.n_cells; k++) {
        int at = arena_offset(v->final.cells[k].addr);
        if (at >= 0)
            want[at] = v->final.cells[k].value;
    }
    if (got->n_out > HOST_CELLS)
        happened(o, "changed more memory than any instruction does");
    for (u32 k = 0; k < MIN(got->n_out, (u32)HOST_CELLS); k++) {
        int at = arena_offset(got->mem_out[k].addr);
        if (at >= 0)
            now[at] = got->mem_out[k].value;
    }
    if (!memcmp(want, now, ARENA_BYTES))
        return;
    u64 n = 0;
    for (int k = 0; k < ARENA_BYTES && r->host; k++)
        if (want[k] != now[k] && misaligned_sse(v, arena_address(k), want[k], now[k]))
            now[k] = want[k];
    for (int k = 0; k < ARENA_BYTES && n < MAX_DIFFS; k++)
        if (want[k] != now[k]) {
            n++;
            add_diff(o, (struct diff){.kind = DIFF_MEM,
                                      .addr = arena_address(k),
                                      .before = before[k],
                                      .want = want[k],
                                      .got = now[k]});
        }
}

static u64 user_register(const struct host_state *s, int k)
{
    if (k < 16)
        return s->gpr[k];
    if (k >= VREG_ES && k <= VREG_GS)
        return s->sel[k - VREG_ES];
    return k == VREG_RIP       ? s->rip
           : k == VREG_RFLAGS  ? s->rflags
           : k == VREG_FS_BASE ? s->fs_base
                               : s->gs_base;
}

static void compare_user(struct runner *r, const struct vector *v, u16 mask,
                         const struct host_case *in, const struct host_case *got, struct outcome *o)
{
    const struct vector_state *a = &v->init, *b = &v->final;
    if (got->end != HOST_OK)
        happened(o, got->end == HOST_DIED ? "the process died" : "something else happened");
    int want_ex = v->ex.number, got_ex = got->vector;
    if (want_ex != got_ex)
        add_diff(o,
                 (struct diff){.kind = DIFF_EXCEPTION, .want = (u64)want_ex, .got = (u64)got_ex});
    else if (want_ex >= 0 && v->ex.has_error && (!got->has_error || got->error != v->ex.error))
        add_diff(o, (struct diff){.kind = DIFF_TEXT, .text = "another error code"});
    else if (want_ex >= 0 && v->ex.has_fault_addr && got->cr2 != v->ex.fault_addr)
        add_diff(o, (struct diff){.kind = DIFF_TEXT, .text = "another fault address"});
    for (int k = 0; k < VREG_COUNT; k++) {
        if ((k >= VREG_CR0 && k <= VREG_DR7) || !((a->have | b->have) >> k & 1))
            continue;
        u64 want = b->have >> k & 1 ? b->reg[k] : a->reg[k];
        u64 have = user_register(&got->out, k);
        u64 m = v->mask.have >> k & 1 ? v->mask.reg[k] : ~0ull;
        if (k == VREG_RFLAGS)
            m &= 0xcd5 & mask; /* TF and RF are the runner's, the rest cannot be given */
        if ((want ^ have) & m)
            add_diff(
                o, (struct diff){
                       .kind = DIFF_REG, .reg = k, .before = a->reg[k], .want = want, .got = have});
    }
    if (a->has_xsave || b->has_xsave) {
        const u8 *want = b->has_xsave ? b->xsave : a->xsave;
        static const u8 none[18];
        /* AMD keeps FOP, FIP and FDP only while an x87 error is pending: 0 says nothing */
        bool pointers = memcmp(want + 6, none, sizeof(none)) != 0;
        for (u32 k = 0; k < CPU_XSAVE_SIZE; k++) {
            u8 m = v->mask.has_xsave ? v->mask.xsave[k] : 0xff;
            if ((k >= 6 && k < 24 && !pointers) || (k >= 28 && k < 32) ||
                (k >= 32 && k < 160 && (k & 15) >= 10) || (k >= 416 && k < 576))
                continue;
            if ((want[k] ^ got->out.xsave[k]) & m)
                add_diff(o, (struct diff){.kind = DIFF_XSAVE,
                                          .addr = k,
                                          .before = a->xsave[k],
                                          .want = want[k],
                                          .got = got->out.xsave[k]});
        }
    }
    compare_memory(r, v, in, got, o);
}

static enum status run_user(struct runner *r, const struct vector *v, u16 mask, struct outcome *o,
                            struct error *err)
{
    struct host_case *c = r->host ? host_case(r->host, 0) : r->in, *got = r->host ? c : r->out;
    int reg, op = vector_opcode(v, &reg);
    if (v->init.n_cells > HOST_CELLS || (v->bits != 16 && v->bits != 32 && v->bits != 64))
        return fail(err, ST_UNSUP, "does not fit the user process");
    memset(&c->in, 0, sizeof(c->in));
    c->bits = v->bits;
    c->len = MIN(v->len, 15);
    c->max_steps = MAX_STEPS;
    c->rep = is_string(v, op) || is_gather(v);
    memcpy(c->in.gpr, v->init.reg, sizeof(c->in.gpr));
    c->in.rip = v->init.reg[VREG_RIP];
    c->in.rflags = v->init.reg[VREG_RFLAGS];
    if (v->init.has_xsave)
        memcpy(c->in.xsave, v->init.xsave, CPU_XSAVE_SIZE);
    c->n_in = v->init.n_cells;
    for (u32 k = 0; k < c->n_in; k++)
        c->mem_in[k] = (struct host_cell){(u32)v->init.cells[k].addr, v->init.cells[k].value};
    if (r->host) {
        enum status st = host_run(r->host, 1, err);
        if (st != ST_OK)
            return st;
    } else {
        ours_run(r->ours, c, got);
    }
    compare_user(r, v, mask, c, got, o);
    return ST_OK;
}

/* --------------------------------------------------------------------------------------------- */
enum status runner_open(const char *cpu, const char *engine, struct runner **out, struct error *err)
{
    struct runner *r = calloc(1, sizeof(*r));
    if (!r)
        return fail(err, ST_NOMEM, "out of memory");
    r->cpu = cpu;
    r->engine = engine;
    r->is_8086 = !strcmp(cpu, "8086");
    r->fixed_flags = r->is_8086 ? 0xf002 : 2;
    *out = r;
    return ST_OK;
}

void runner_close(struct runner *r)
{
    if (!r)
        return;
    testbed_free(r->tb);
    ours_free(r->ours);
    if (r->host)
        host_close(r->host);
    free(r->in);
    free(r->out);
    free(r);
}

bool runner_run(struct runner *r, const struct vector *v, u16 mask, struct outcome *o,
                enum status *st, struct error *err)
{
    o->n_diffs = 0;
    *st = ST_OK;
    if (v->env == VENV_USER) {
        if (!r->ours && !r->host)
            *st = open_user(r, err);
        if (*st == ST_OK)
            *st = run_user(r, v, mask, o, err);
    } else if (v->env == VENV_REAL && !strcmp(r->engine, "host")) {
        *st = fail(err, ST_UNSUP, "the host runs no real-mode vectors");
    } else if (v->env == VENV_REAL) {
        if (!r->tb)
            *st = open_real(r, err);
        if (*st == ST_OK)
            run_real(r, v, mask, o);
    } else {
        *st = fail(err, ST_UNSUP, "recorded in a mode that is not run here");
    }
    return *st == ST_OK && !o->n_diffs;
}
