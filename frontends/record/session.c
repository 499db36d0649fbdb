/*
 * frontends/record/session.c - see session.h.
 */
#include "frontends/record/inputs.h"
#include "frontends/record/ours.h"
#include "frontends/record/session.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MESSAGES = 200, PER_ROW = 4 };
enum { FLAGS_COUNTED = 0x244cd5 };
#define LINUX_USER_END 0x7ffffffff000ull /* with tables of four levels, and in them */

struct pending {
    const struct form *form;
    struct insn_shape shape;
};

struct session {
    struct session_config cfg;
    struct host *host;
    struct ours *ours[SESSION_ENGINES]; /* of testbed_engines() */
    int n_engines;
    struct forms forms[WIDTHS];
    struct session_row *rows;
    struct host_case *result;
    struct pending pending[HOST_BATCH];
    char *messages[MESSAGES];
    int n_messages;
};

const char *session_excluded(int row)
{
    static const struct {
        const char *name, *why;
    } other[] = {
        {"INT1", "its trap cannot be told from a single step"},
        {"SYSEXIT", "a host's hypervisor may answer instead of the processor"},
        {"SYSRET", "a host's hypervisor may answer instead of the processor"},
        {"SETMO", "only the 8086 has it"},
        {"ESC", "only processors without a coprocessor have it"},
        {"RDRAND", "random"},
        {"RDSEED", "random"},
    };
    struct insns_row r;

    if (!insns_row(row, &r))
        return "no such row";
    for (size_t k = 0; k < ARRAY_LEN(other); k++)
        if (!strcmp(r.name, other[k].name))
            return other[k].why;
    const char *suffix = strrchr(r.name, '_');
    if (suffix && (!strcmp(suffix, "_286") || !strcmp(suffix, "_8086")))
        return "of a processor that is gone: the public suites have it";
    if (!strcmp(r.privilege, "CPL0") || !strcmp(r.privilege, "IOPERM") ||
        !strcmp(r.privilege, "IOPL"))
        return NULL; /* at CPL 3: what the user sees of it */
    if (!strcmp(r.privilege, "UMIP") || !strcmp(r.privilege, "TSD") || !strcmp(r.privilege, "PCE"))
        return "the host's kernel decides what it does";
    static const char *const harmless[] = {
        "INT3", "INTO", "MOV_SEG",  "PUSH_SEG", "POP_SEG",  "LDS",      "LES", "LFS",  "LGS",
        "LSS",  "LAR",  "RDFSBASE", "WRFSBASE", "RDGSBASE", "WRGSBASE", "LSL", "VERR", "VERW"};
    for (size_t k = 0; k < ARRAY_LEN(harmless); k++)
        if (!strcmp(r.name, harmless[k]))
            return NULL;
    return r.system ? "system state that a process cannot set" : NULL;
}

bool session_runs(const struct insn_shape *shape)
{
    struct insns_row row;
    if (session_excluded(shape->row) || !insns_row(shape->row, &row))
        return false;
    /* m16:64 pointers: AMD has none and ignores REX.W */
    return !(shape->w && row.name[0] == 'L' && row.name[2] == 'S' && !row.name[3]);
}

static bool wanted(void *ctx, const struct form *f)
{
    const struct session *s = ctx;
    struct insns_row r;
    return session_runs(&f->shape) && insns_row(f->shape.row, &r) &&
           (!s->cfg.rows || fnmatch(s->cfg.rows, r.name, 0) == 0);
}

enum status session_open(const struct session_config *cfg, struct session **out, struct error *err)
{
    struct session *s = calloc(1, sizeof(*s));
    if (!s)
        return fail(err, ST_NOMEM, "out of memory");
    s->cfg = *cfg;
    s->rows = calloc((size_t)insns_count(), sizeof(*s->rows));
    s->result = malloc(sizeof(*s->result));
    enum status st = s->rows && s->result ? ST_OK : fail(err, ST_NOMEM, "out of memory");
    if (st == ST_OK)
        st = host_open(&s->host, err);
    for (; st == ST_OK && s->n_engines < SESSION_ENGINES && testbed_engines()[s->n_engines];
         s->n_engines++)
        st = ours_open("host", testbed_engines()[s->n_engines], &s->ours[s->n_engines], err);
    for (int bits = 16; bits <= 64 && st == ST_OK; bits *= 2)
        if (!cfg->bits || cfg->bits == bits)
            if (!forms_list(ours_testbed(s->ours[0]), bits, wanted, s,
                            &s->forms[width_index(bits)]))
                st = fail(err, ST_NOMEM, "out of memory");
    if (st != ST_OK) {
        session_close(s);
        return st;
    }
    for (int b = 0; b < WIDTHS; b++)
        for (int k = 0; k < s->forms[b].n; k++)
            s->rows[s->forms[b].v[k].shape.row].forms[b]++;
    *out = s;
    return ST_OK;
}

void session_close(struct session *s)
{
    if (!s)
        return;
    host_close(s->host);
    for (int k = 0; k < SESSION_ENGINES; k++)
        ours_free(s->ours[k]);
    for (int b = 0; b < WIDTHS; b++)
        forms_free(&s->forms[b]);
    for (int k = 0; k < s->n_messages; k++)
        free(s->messages[k]);
    free(s->rows);
    free(s->result);
    free(s);
}

/* MXCSR_MASK in a saved image: misaligned SSE is no feature of our models. inputs.c saw to it that
 * the byte was 0 before. */
static void normalise(struct host_case *c, const char *row)
{
    u32 n = 0;
    if (c->vector >= 0 || (strncmp(row, "FXSAVE", 6) && strncmp(row, "XSAVE", 5)))
        return;
    for (u32 k = 0; k < c->n_out && k < HOST_CELLS; k++)
        if (c->mem_out[k].addr != (u32)c->operand + 30)
            c->mem_out[n++] = c->mem_out[k];
    c->n_out = n;
}

static void describe(struct session *s, const struct host_case *c, const char *row, int number,
                     const char *engine, const char *what)
{
    char bytes[48] = "", text[400];
    if (s->n_messages == MESSAGES)
        return;
    for (int k = 0; k < c->len; k++)
        for (u32 j = 0; j < c->n_in; j++)
            if (c->mem_in[j].addr == (u32)code_linear(c->bits, c->in.rip) + (u32)k)
                snprintf(bytes + 2 * k, 3, "%02x", c->mem_in[j].value);
    snprintf(text, sizeof(text), "%s/%d #%d %s (%s): %s", row, c->bits, number, bytes, engine,
             what);
    s->messages[s->n_messages] = strdup(text);
    s->n_messages += s->messages[s->n_messages] != NULL;
}

static void verify(struct session *s, const struct session_case *x)
{
    struct session_row *sr = &s->rows[x->row];
    struct insns_row row;
    char text[256];

    insns_row(x->row, &row);
    for (int k = 0; k < s->n_engines; k++) {
        ours_run(s->ours[k], x->c, s->result);
        if (!ours_differs(x->c, s->result, x->flags, text, sizeof(text)))
            continue;
        if (sr->failures[k]++ < PER_ROW && (k == 0 || !sr->failures[0]))
            describe(s, x->c, row.name, x->number, testbed_engines()[k], text);
    }
}

/* Faults of code in small segments whose order is the vendor's choice. */
static bool usable16(const struct host_case *c, const char *row)
{
    u64 end = STACK16_BASE + STACK16_LIMIT + 1;
    /* no room to push, or a target beyond the limit */
    if (!strcmp(row, "CALL"))
        return c->vector == 13;
    /* SSE: not aligned, or beyond the stack segment's end */
    return c->vector != 13 || c->operand_size < 16 || !(c->operand % c->operand_size) ||
           c->operand < STACK16_BASE || c->operand + c->operand_size <= end;
}

/* Offsets that wrap, or an end of a segment within the operand. */
static bool across_end(const struct host_case *c)
{
    static const u64 ends[] = {GS_BASE + GS_LIMIT + 1, DATA16_BASE + DATA16_LIMIT + 1,
                               STACK16_BASE + STACK16_LIMIT + 1};
    for (size_t k = 0; k < ARRAY_LEN(ends); k++)
        if (c->operand < ends[k] && c->operand + c->operand_size > ends[k])
            return true;
    return false;
}

static bool usable(const struct host_case *c, const char *row)
{
    if (c->end != HOST_OK || c->n_out > HOST_CELLS)
        return false;
    if (c->operand_size && host_shadow(c->operand))
        return false;
    /* From a process's last page up Linux sets the P bit of every error code that it reports, so
     * that nobody finds out what is there. That page is canonical and never mapped. */
    if (c->cr2 >= LINUX_USER_END)
        return false;
    if (c->bits == 16 && c->vector >= 0 && !usable16(c, row))
        return false;
    bool wide = c->operand_size > 32 || !strcmp(row, "FLDENV") || !strcmp(row, "FNSTENV");
    /* some wrap within the operand; some check parts of an XSAVE area that they do not use */
    if (wide && (c->bits == 16 || (c->bits == 32 && row[0] == 'X')) && across_end(c))
        return false;
    if (wide &&
        c->vector >= 0) /* which part of the operand is reached first is nobody's business */
        return !c->n_out && (c->vector != 14 || c->cr2 == c->operand || !(c->cr2 & 0xfff));
    /* 8 bytes and 2: the first may fault otherwise before the second is beyond the segment's end */
    if (c->operand_size == 10 && c->vector >= 0 && c->vector != (c->bits == 64 ? 17 : 13) &&
        across_end(c))
        return false;
    /* of two faults the second operand's comes first, but on some with REPE and bytes alone */
    if (!strcmp(row, "CMPSB") && c->rep && c->vector >= 0)
        return false;
    /* whether POP of a segment register reads more than two bytes is the vendor's choice */
    if (!strcmp(row, "POP_SEG") && (c->vector == 12 || c->vector == 14 || c->vector == 17))
        return false;
    /* what POPA has popped before a fault may stay or not */
    if (!strncmp(row, "POPA", 4) && c->vector >= 0)
        return !memcmp(c->in.gpr, c->out.gpr, sizeof(c->in.gpr));
    /* bytes that the mask leaves out may fault or not */
    if (strstr(row, "MASKMOVDQU") || !strcmp(row, "MASKMOVQ"))
        return c->vector < 0;
    /* whether UD0 and UD1 have a ModRM byte that must be there is the vendor's choice */
    if (!strcmp(row, "UD0") || !strcmp(row, "UD1"))
        return code_reaches(c->bits, c->in.rip + c->len - 1);
    return true;
}

bool session_result(struct host_case *c, const struct insn_shape *shape, u32 *flags)
{
    struct insns_row row;
    insns_row(shape->row, &row);
    if (!usable(c, row.name))
        return false;
    normalise(c, row.name);
    *flags = c->vector < 0 ? FLAGS_COUNTED & ~shape->flags_undefined : FLAGS_COUNTED;
    return true;
}

static enum status flush(struct session *s, int n, int *number,
                         enum status (*each)(void *, const struct session_case *, struct error *),
                         void *ctx, struct error *err)
{
    enum status st = n ? host_run(s->host, n, err) : ST_OK;
    for (int k = 0; k < n && st == ST_OK; k++) {
        struct host_case *c = host_case(s->host, k);
        struct pending *p = &s->pending[k];
        struct session_row *sr = &s->rows[p->form->shape.row];
        u32 flags;
        if (!session_result(c, &p->shape, &flags)) {
            sr->dropped++;
            continue;
        }
        struct session_case x = {p->form, &p->shape, c, flags, p->form->shape.row, (*number)++};
        sr->vectors++;
        if (s->cfg.verify)
            verify(s, &x);
        if (each)
            st = each(ctx, &x, err);
    }
    return st;
}

static u64 seed_of(const struct session *s, const struct form *f, int k)
{
    return hash_add(hash_add(s->cfg.seed, f->id), (u64)k);
}

enum status session_run(struct session *s,
                        enum status (*each)(void *ctx, const struct session_case *c,
                                            struct error *err),
                        enum status (*done)(void *ctx, int row, struct error *err), void *ctx,
                        struct error *err)
{
    int at[WIDTHS] = {0};
    enum status st = ST_OK;

    for (int row = 1; row < insns_count() && st == ST_OK; row++) {
        int n = 0, number = 0;
        for (int b = 0; b < WIDTHS; b++) {
            const struct forms *fs = &s->forms[b];
            for (; at[b] < fs->n && fs->v[at[b]].shape.row == row && st == ST_OK; at[b]++) {
                const struct form *f = &fs->v[at[b]];
                for (int k = 0; k < s->cfg.per_form && st == ST_OK; k++) {
                    struct rnd r = {seed_of(s, f, k)};
                    s->pending[n].form = f;
                    if (!inputs_make(ours_testbed(s->ours[0]), f, &r, host_case(s->host, n),
                                     &s->pending[n].shape))
                        continue;
                    if (++n == HOST_BATCH) {
                        st = flush(s, n, &number, each, ctx, err);
                        n = 0;
                    }
                }
            }
        }
        if (st == ST_OK)
            st = flush(s, n, &number, each, ctx, err);
        if (st == ST_OK && done)
            st = done(ctx, row, err);
    }
    return st;
}

struct session_totals session_totals(const struct session *s)
{
    struct session_totals t = {0};
    for (int k = 1; k < insns_count(); k++) {
        const struct session_row *r = &s->rows[k];
        t.rows += r->vectors > 0;
        t.forms += r->forms[0] + r->forms[1] + r->forms[2];
        t.vectors += r->vectors;
        t.dropped += r->dropped;
        for (int e = 0; e < s->n_engines; e++)
            t.failures[e] += r->failures[e];
    }
    return t;
}

const struct session_row *session_row(const struct session *s, int row)
{
    return &s->rows[row];
}

int session_messages(const struct session *s)
{
    return s->n_messages;
}

const char *session_message(const struct session *s, int k)
{
    return s->messages[k];
}
