/*
 * frontends/lockstep/host.c - an engine against the host's processor, one instruction at a time.
 *
 * The recorder's runner (frontends/record) gives each instruction a state on the host; here
 * instructions and states are drawn as for random programs instead of from its lists. Vector,
 * rounding and flag bits that the manuals leave open are not compared.
 */
#include "frontends/disasm.h"
#include "frontends/lockstep/lockstep_priv.h"
#include "frontends/lockstep/program.h"
#include "frontends/record/layout.h"
#include "frontends/record/ours.h"
#include "machine/insns.h"
#include "base/bits.h"
#include "base/log.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct meeting {
    const struct lockstep_options *o;
    struct host *host;
    struct ours *ours;
    struct program p;
    struct host_case result;
    u8 data[DATA_BYTES];
    u32 flags[HOST_BATCH]; /* EFLAGS bits that count */
    u64 seed_of[HOST_BATCH];
    int n;
    u64 done, died, bad;
};

/* Left out: what enters the kernel, takes time or leaves the pages; images with old pointers in
 * them; where in its operand an instruction faults first (ENTER, MASKMOVQ); FS, the runner's own.
 */
static bool fit(const struct insn_shape *s)
{
    static const char *const names[] = {"RDRAND", "RDSEED",  "RDPID",    "XBEGIN",     "XABORT",
                                        "ENTER",  "FNSTENV", "FNSAVE",   "XSAVE",      "XSAVEOPT",
                                        "XSAVEC", "FXSAVE",  "MASKMOVQ", "MASKMOVDQU", NULL};
    struct insns_row row;
    if (!insns_row(s->row, &row) || !row.user || row.system || row.exits || s->relative)
        return false;
    for (int k = 0; k < s->n; k++)
        if (s->op[k].kind == SHAPE_MEM && s->op[k].seg == CPU_SEG_FS)
            return false;
    for (int k = 0; names[k]; k++)
        if (!strncmp(row.name, names[k], strlen(names[k])))
            return false;
    return true;
}

static void place_operands(const struct insn_shape *s, struct host_case *c, u8 *code, u64 *r)
{
    for (int k = 0; k < s->n; k++) {
        const struct shape_op *o = &s->op[k];
        if (o->kind != SHAPE_MEM || o->agen)
            continue;
        u64 at = AREA_DATA + 0x800 + (random_next(r) & 0xfff);
        if (!(random_next(r) & 3))
            at = align_down(at, 64);
        if (o->base != SHAPE_NONE && o->base < 16)
            c->in.gpr[o->base] = at;
        if (o->index != SHAPE_NONE && !o->vsib && o->index < 16 && o->index != o->base)
            c->in.gpr[o->index] = random_next(r) & 15;
        if (s->disp_at && !o->hidden) {
            u64 d = o->base != SHAPE_NONE ? (u64)(i64)(i8)random_next(r) : at;
            for (int j = 0; j < s->disp_size; j++)
                code[s->disp_at + j] = (u8)(d >> 8 * j);
        }
    }
    if (s->rep)
        c->in.gpr[1] = random_next(r) % 12;
}

static void add_case(struct meeting *m, const struct item *i, u64 seed)
{
    struct insn_shape s;
    struct host_case *c = host_case(m->host, m->n);
    int bits = setup_bits(m->p.setup);
    u64 r = seed ^ (u64)i->off << 32;
    u8 code[16] = {0};
    struct cpu_regs regs;

    if (!insns_shape(ours_testbed(m->ours), bits, i->bytes, i->len, &s) || !fit(&s))
        return;
    memset(c, 0, sizeof(*c));
    memcpy(code, i->bytes, i->len);
    m->p.state = random_next(&r);
    program_state(&m->p, &regs, m->data);
    memcpy(c->in.gpr, regs.gpr, sizeof(c->in.gpr));
    memcpy(c->in.xsave, regs.xsave, sizeof(c->in.xsave));
    c->in.gpr[4] = AREA_STACK + 0x1000;
    place_operands(&s, c, code, &r);
    c->bits = bits;
    c->len = s.len;
    c->rep = s.rep;
    c->max_steps = 64;
    c->in.rip = AREA_CODE + 0x100;
    c->in.rflags = 0x202 | (regs.rflags & 0x8d5);
    /* XSTATE_BV is the runner's, and MXCSR has no bits that fault */
    st_u32(c->in.xsave + 24, ld_u32(c->in.xsave + 24) & 0xffff);
    for (int k = 0; k < s.len; k++)
        c->mem_in[c->n_in++] = (struct host_cell){(u32)(AREA_CODE + 0x100 + k), code[k]};
    for (u32 k = 0; k < 1024; k++)
        c->mem_in[c->n_in++] = (struct host_cell){(u32)(AREA_DATA + 0x900 + k), m->data[k]};
    m->flags[m->n] = 0x8d5 & ~s.flags_undefined;
    m->seed_of[m->n] = seed;
    m->n++;
}

static void show(const struct meeting *m, const struct host_case *c, u64 seed, const char *what)
{
    struct disasm *d = disasm_open(c->bits);
    char text[DISASM_TEXT] = "";
    u8 code[15];
    for (int k = 0; k < c->len; k++)
        code[k] = c->mem_in[k].value;
    if (d)
        disasm_one(d, code, c->len, c->in.rip, text, sizeof(text));
    disasm_close(d);
    printf("lockstep: seed %" PRIu64 ": host and %s are different, %d bits\n  ", seed,
           m->o->engine[0], c->bits);
    for (int k = 0; k < c->len; k++)
        printf("%02x", code[k]);
    printf("  %s\n  %s\n", text, what);
    printf("  rsp %" PRIx64 ", after on the host: rip %" PRIx64 " rsp %" PRIx64 "\n", c->in.gpr[4],
           c->out.rip, c->out.gpr[4]);
    printf("Again: trivisor lockstep --random --against host --engines %s --seed %" PRIu64
           " --programs 1 --length %" PRIu64 " --mode %d\n",
           m->o->engine[0], seed, m->o->length, c->bits);
}

static enum status flush(struct meeting *m, struct error *err)
{
    enum status st = m->n ? host_run(m->host, m->n, err) : ST_OK;
    for (int k = 0; !st && k < m->n; k++) {
        const struct host_case *c = host_case(m->host, k);
        char what[256];
        if (c->end != HOST_OK) {
            m->died++;
            continue;
        }
        memset(&m->result, 0, sizeof(m->result));
        ours_run(m->ours, c, &m->result);
        m->done++;
        if (!ours_differs(c, &m->result, m->flags[k], what, sizeof(what)))
            continue;
        if (m->bad++ < 10)
            show(m, c, m->seed_of[k], what);
    }
    m->n = 0;
    return st;
}

int lockstep_host(const struct lockstep_options *o)
{
    struct meeting *m = calloc(1, sizeof(*m));
    struct error err = {{0}};
    enum status st = m ? ST_OK : fail(&err, ST_NOMEM, "out of memory");
    if (!st && o->mode == 16)
        st = fail(&err, ST_INVAL, "-against host: 32 and 64-bit code only");
    if (!st)
        st = host_open(&m->host, &err);
    if (!st) {
        m->o = o;
        st = ours_open(o->cpu, o->engine[0], &m->ours, &err);
    }
    for (u64 k = 0; !st && k < o->programs && m->bad < 10; k++) {
        u64 seed = o->seed + k;
        enum setup setup = o->mode == 32 || (!o->mode && (seed & 1)) ? SETUP_COMPAT : SETUP_LONG;
        program_make(&m->p, ours_testbed(m->ours), setup, seed,
                     (int)MIN(o->length, (u64)PROGRAM_MAX));
        for (int j = 0; !st && j < m->p.n; j++) {
            m->p.item[j].off = (u16)j;
            add_case(m, &m->p.item[j], seed);
            if (m->n == HOST_BATCH)
                st = flush(m, &err);
        }
        if (!st && o->programs == 1)
            st = flush(m, &err);
    }
    if (!st)
        st = flush(m, &err);
    bool bad = m && m->bad;
    if (st)
        log_error("%s", err.msg);
    else
        printf("lockstep: host and %s: %" PRIu64 " instructions, %" PRIu64 " different, %" PRIu64
               " not run\n",
               o->engine[0], m->done, m->bad, m->died);
    if (m) {
        ours_free(m->ours);
        if (m->host)
            host_close(m->host);
    }
    free(m);
    return st ? (st == ST_INVAL ? STATUS_USAGE : STATUS_HOST) : bad ? STATUS_DIFFERENT : 0;
}
