/*
 * tests/record/test_record.c - the host runner, and our engines against it.
 */
#include <criterion/criterion.h>

#include "frontends/check/vector.h"
#include "frontends/cli_priv.h"
#include "frontends/record/layout.h"
#include "frontends/record/ours.h"
#include "frontends/record/record_priv.h"
#include "tests/record/record_test.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* NULL: this host cannot; the test is skipped. */
static struct host *open_host(void)
{
    struct host *h = NULL;
    struct error err;
    if (host_open(&h, &err) != ST_OK)
        cr_skip_test("%s", err.msg);
    return h;
}

static struct host_case *start(struct host *h, int k, int bits, const char *code)
{
    struct host_case *c = host_case(h, k);
    unsigned b;
    int n;
    memset(c, 0, sizeof(*c));
    c->bits = bits;
    c->max_steps = 32;
    c->in.rip = AREA_CODE;
    c->in.rflags = 0x202;
    c->in.gpr[3] = AREA_DATA;
    c->in.gpr[4] = AREA_STACK + 64;
    c->in.xsave[0] = 0x7f;
    c->in.xsave[1] = 0x03;
    c->in.xsave[24] = 0x80;
    c->in.xsave[25] = 0x1f;
    for (; sscanf(code, "%2x%n", &b, &n) == 1; code += n)
        c->mem_in[c->n_in++] = (struct host_cell){AREA_CODE + c->len++, (u8)b};
    return c;
}

Test(host, registers_memory_and_faults)
{
    struct host *h = open_host();
    struct error err;
    for (int bits = 32; bits <= 64; bits += 32) {
        struct host_case *add = start(h, 0, bits, "01d8"), *div = start(h, 1, bits, "f7f1");
        struct host_case *store = start(h, 2, bits, "8903"), *guard = start(h, 3, bits, "8903");
        struct host_case *readonly = start(h, 4, bits, "8903"), *trap = start(h, 5, bits, "cc");
        struct host_case *gs = start(h, 6, bits, "658b02"), *push = start(h, 7, bits, "9c");
        add->in.gpr[0] = 0xf0000000;
        store->in.gpr[0] = 0x11223344;
        guard->in.gpr[3] = AREA_DATA + AREA_BYTES - 2;
        readonly->in.gpr[3] = AREA_CONST + 8;
        gs->in.gpr[2] = GS_LIMIT - 2;
        cr_assert_eq(host_run(h, 8, &err), ST_OK, "%s", err.msg);
        cr_expect_eq(add->vector, -1);
        cr_expect_eq(add->out.gpr[0], (u32)(0xf0000000u + AREA_DATA));
        cr_expect_eq(add->out.rip, AREA_CODE + 2);
        cr_expect_eq(add->out.rflags & 1, 1);
        cr_expect_eq(div->vector, 0);
        cr_expect_eq(div->out.rip, AREA_CODE);
        cr_assert_eq(store->n_out, 4);
        cr_expect_eq(store->mem_out[3].addr, AREA_DATA + 3);
        cr_expect_eq(store->mem_out[3].value, 0x11);
        cr_expect(guard->vector == 14 && guard->error == 6 && guard->has_error);
        cr_expect_eq(guard->cr2, AREA_DATA + AREA_BYTES);
        cr_expect(readonly->vector == 14 && readonly->error == 7 && !readonly->n_out);
        cr_expect(trap->vector == 3 && trap->out.rip == AREA_CODE + 1);
        cr_expect_eq(gs->vector, bits == 32 ? 13 : -1);
        for (u32 k = 0; k < push->n_out; k++)
            cr_expect(push->mem_out[k].value != 3, "the pushed flags show the runner's TF");
    }
    host_close(h);
}

/* Offsets of 16-bit code: three segments with limits, and addresses that wrap. */
Test(host, code_of_16_bits)
{
    struct host *h = open_host();
    struct error err;
    struct host_case *store = start(h, 0, 16, "8907"), *wrap = start(h, 1, 16, "8a00");
    struct host_case *data = start(h, 2, 16, "8907"), *push = start(h, 3, 16, "6650");
    struct host_case *jump = start(h, 4, 16, "ffe0"), *over = start(h, 5, 16, "ffe0");
    struct host_case *wide = start(h, 6, 16, "67668907"), *flags = start(h, 7, 16, "9c");
    for (int k = 0; k < 8; k++) {
        struct host_case *c = host_case(h, k);
        c->in.rip = 0;
        c->in.gpr[3] = 0x12340010;
        c->in.gpr[4] = 0x43210100;
        c->in.gpr[0] = 0x11223344;
    }
    wrap->in.gpr[6] = 0xfff3; /* BX + SI */
    wrap->mem_in[wrap->n_in++] = (struct host_cell){DATA16_BASE + 3, 0x77};
    data->in.gpr[3] = DATA16_LIMIT;
    push->in.gpr[4] = 2;
    jump->in.gpr[0] = 0x55551000;
    over->in.gpr[0] = CODE16_LIMIT + 1;
    wide->in.gpr[7] = 0x100;
    cr_assert_eq(host_run(h, 8, &err), ST_OK, "%s", err.msg);
    cr_expect(store->vector == -1 && store->n_out == 2 && store->out.rip == 2);
    cr_expect_eq(store->mem_out[0].addr, DATA16_BASE + 0x10);
    cr_expect_eq(store->out.gpr[4], 0x43210100, "the upper half of ESP");
    cr_expect(wrap->vector == -1 && (u8)wrap->out.gpr[0] == 0x77);
    cr_expect(data->vector == 13 && data->error == 0);
    cr_expect_eq(push->vector, 12);
    cr_expect(jump->vector == -1 && jump->out.rip == 0x1000);
    cr_expect(over->vector == 13 && over->out.rip == 0);
    cr_expect(wide->vector == -1 && wide->n_out == 4);
    cr_expect(flags->n_out > 0 && flags->mem_out[0].addr == STACK16_BASE + 0xfe);
    for (u32 k = 0; k < flags->n_out; k++)
        cr_expect(flags->mem_out[k].value != 3, "the pushed flags show the runner's TF");
    host_close(h);
}

/* Loads of segment registers stay in their case: the next one has the usual ones again. */
Test(host, segment_registers)
{
    struct host *h = open_host();
    struct error err;
    struct host_case *gs = start(h, 0, 64, "8ee8"), *ss = start(h, 1, 32, "8ed0");
    struct host_case *bad = start(h, 2, 32, "8ed8"), *absent = start(h, 3, 32, "8ec0");
    struct host_case *fs = start(h, 4, 64, "f3480faed0"), *plain = start(h, 5, 64, "01d8");
    gs->in.gpr[0] = ss->in.gpr[0] = SEL_DATA16;
    bad->in.gpr[0] = 0x10; /* the kernel's code */
    absent->in.gpr[0] = 0x27;
    fs->in.gpr[0] = 0x123456789000;
    cr_assert_eq(host_run(h, 6, &err), ST_OK, "%s", err.msg);
    cr_expect(gs->vector == -1 && gs->out.sel[5] == SEL_DATA16 && gs->out.gs_base == DATA16_BASE);
    cr_expect(ss->vector == -1 && ss->out.sel[2] == SEL_DATA16);
    cr_expect_eq(ss->out.rip, AREA_CODE + 2, "the trap that came late");
    cr_expect(bad->vector == 13 && bad->error == 0x10 && bad->out.sel[3] == SEL_DATA);
    cr_expect(absent->vector == 11 && absent->error == 0x24);
    cr_expect(fs->vector == -1 && fs->out.fs_base == 0x123456789000);
    cr_expect(plain->out.fs_base == FS_BASE && plain->out.gs_base == GS_BASE);
    cr_expect(plain->out.sel[2] == SEL_DATA && !plain->out.sel[5]);
    host_close(h);
}

/* A child that asks the kernel for something dies, and the next case does not notice. */
Test(host, a_child_that_dies_is_replaced)
{
    struct host *h = open_host();
    struct error err;
    start(h, 0, 64, "01d8");
    struct host_case *call = start(h, 1, 64, "0f05");
    struct host_case *after = start(h, 2, 64, "01d8");
    call->in.gpr[0] = 57; /* fork */
    cr_assert_eq(host_run(h, 3, &err), ST_OK, "%s", err.msg);
    cr_expect_eq(call->end, HOST_DIED);
    cr_expect_eq(after->end, HOST_OK);
    cr_expect_eq(after->out.gpr[0], AREA_DATA);
    host_close(h);
}

Test(host, an_instruction_that_goes_on_is_odd)
{
    struct host *h = open_host();
    struct error err;
    struct host_case *c = start(h, 0, 64, "90");
    c->len = 3; /* says more than there is: an INT3 would be taken for its own */
    cr_assert_eq(host_run(h, 1, &err), ST_OK, "%s", err.msg);
    cr_expect(c->end == HOST_OK && c->vector == -1 && c->out.rip == AREA_CODE + 1);
    host_close(h);
}

/* ---- every row ------------------------------------------------------------------------------- */
Test(session, engines_agree_with_the_processor)
{
    struct session_config cfg = {.per_form = 3, .seed = 42, .verify = true};
    struct session *s;
    struct error err;
    host_close(open_host());
    cr_assert_eq(session_open(&cfg, &s, &err), ST_OK, "%s", err.msg);
    cr_assert_eq(session_run(s, NULL, NULL, NULL, &err), ST_OK, "%s", err.msg);
    struct session_totals t = session_totals(s);
    for (int k = 0; k < session_messages(s); k++)
        cr_expect(false, "%s", session_message(s, k));
    for (int e = 0; e < SESSION_ENGINES; e++)
        cr_expect_eq(t.failures[e], 0);
    /* more are left out where a sanitizer's memory is where some of their addresses lead */
    int percent = host_shadow(1ull << 32) ? 3 : 1;
    cr_expect(t.vectors > 50000 && t.dropped < t.vectors * percent / 100, "%d vectors, %d left out",
              t.vectors, t.dropped);
    for (int row = 1; row < insns_count(); row++) {
        struct insns_row r;
        insns_row(row, &r);
        const struct session_row *sr = session_row(s, row);
        if (!session_excluded(row) && !sr->forms[0] && !sr->forms[1] && !sr->forms[2])
            printf("skipped: %s: this processor does not have it\n", r.name);
        cr_expect(!sr->forms[1] || sr->forms[0] || r.system, "%s: not in 16-bit code", r.name);
        cr_expect(!(sr->forms[0] + sr->forms[1] + sr->forms[2]) || sr->vectors,
                  "%s: no vector is left", r.name);
    }
    session_close(s);
}

struct sum {
    u64 hash;
    int n;
};

static enum status add_up(void *ctx, const struct session_case *x, struct error *err)
{
    struct sum *s = ctx;
    for (int k = 0; k < 16; k++)
        s->hash = hash_add(s->hash, x->c->in.gpr[k] ^ x->c->out.gpr[k] << 1);
    for (u32 k = 0; k < x->c->n_in; k++)
        s->hash = hash_add(s->hash, x->c->mem_in[k].addr + x->c->mem_in[k].value);
    s->n++;
    return ST_OK;
}

static struct sum sum_of(u64 seed)
{
    struct session_config cfg = {.rows = "[CDM]*", .per_form = 2, .seed = seed};
    struct sum sum = {0};
    struct session *s;
    struct error err;
    cr_assert_eq(session_open(&cfg, &s, &err), ST_OK, "%s", err.msg);
    cr_assert_eq(session_run(s, add_up, NULL, &sum, &err), ST_OK, "%s", err.msg);
    session_close(s);
    return sum;
}

Test(session, a_seed_gives_the_same_cases)
{
    host_close(open_host());
    struct sum a = sum_of(5), b = sum_of(5), c = sum_of(6);
    cr_expect(a.n > 1000 && a.n == b.n && a.hash == b.hash);
    cr_expect(a.hash != c.hash);
}

/* What verification would not notice, no vector would. */
static enum status spoil(void *ctx, const struct session_case *x, struct error *err)
{
    struct host_case *c = (struct host_case *)x->c, *r = ctx;
    char text[256];
    memcpy(r, c, sizeof(*r));
    cr_expect(!ours_differs(c, r, x->flags, text, sizeof(text)));
#define SPOILT(what)                                                                               \
    memcpy(r, c, sizeof(*r));                                                                      \
    what;                                                                                          \
    cr_expect(ours_differs(c, r, x->flags, text, sizeof(text)), #what)
    SPOILT(r->out.gpr[1] ^= 1);
    SPOILT(r->out.rip++);
    SPOILT(r->out.rflags ^= 0x400);
    SPOILT(r->out.xsave[24] ^= 1);
    SPOILT(r->out.xsave[576] ^= 1);
    SPOILT(r->vector = 7);
    SPOILT(r->mem_out[0].value ^= 1; r->mem_out[0].addr = AREA_DATA; r->n_out = c->n_out + 1);
#undef SPOILT
    return ST_OK;
}

Test(session, differences_are_seen)
{
    struct session_config cfg = {.rows = "ADC", .per_form = 1, .seed = 1};
    struct session *s;
    struct error err;
    struct host_case *r = malloc(sizeof(*r));
    host_close(open_host());
    cr_assert_eq(session_open(&cfg, &s, &err), ST_OK, "%s", err.msg);
    cr_assert_eq(session_run(s, spoil, NULL, r, &err), ST_OK, "%s", err.msg);
    session_close(s);
    free(r);
}

/* ---- the command ----------------------------------------------------------------------------- */
Test(command, what_is_recorded_passes_check)
{
    char dir[] = "/tmp/record-XXXXXX", cmd[128], report[128];
    host_close(open_host());
    cr_assert(mkdtemp(dir));
    snprintf(report, sizeof(report), "%s/report.md", dir);
    char *args[] = {"--rows", "[AR]*", "--per-form", "2", "--out", dir, "--report", report};
    cr_expect_eq(cmd_record(8, args), 0);
    for (int k = 0; k < 2; k++) {
        char *check[] = {"--quiet", "--cpu", "host", "--engine", k ? "generic" : "interp", dir};
        cr_expect_eq(cmd_check(6, check), 0);
    }
    cr_expect_eq(access(report, R_OK), 0);
    snprintf(cmd, sizeof(cmd), "rm -r %s", dir);
    cr_expect_eq(system(cmd), 0);
}

/* The tests of one file, with what check compares. */
static void same_vectors(const char *dir, const char *row)
{
    struct vector_file *f[2];
    struct vector v[2];
    struct error err;
    char path[128];
    for (int k = 0; k < 2; k++) {
        snprintf(path, sizeof(path), "%s/64/%s.%s.gz", dir, row, k ? "json" : "moo");
        cr_assert_eq(vector_open(path, &f[k], &err), ST_OK, "%s", err.msg);
        vector_init(&v[k]);
    }
    cr_assert(vector_count(f[0]) > 10 && vector_count(f[0]) == vector_count(f[1]));
    cr_expect_str_eq(vector_meta(f[0])->cpu_name, vector_meta(f[1])->cpu_name);
    cr_expect_str_eq(vector_meta(f[0])->cpu, vector_meta(f[1])->cpu);
    for (u32 t = 0; t < vector_count(f[0]); t++) {
        for (int k = 0; k < 2; k++)
            cr_assert_eq(vector_read(f[k], t, &v[k], &err), ST_OK, "%s", err.msg);
        const struct vector_state *a = &v[0].init, *b = &v[1].init;
        for (int end = 0; end < 2; end++, a = &v[0].final, b = &v[1].final) {
            cr_expect(a->have == b->have && a->n_cells == b->n_cells);
            for (int r = 0; r < VREG_COUNT; r++)
                cr_expect(!(a->have >> r & 1) || a->reg[r] == b->reg[r]);
            for (u32 k = 0; k < a->n_cells; k++)
                cr_expect(a->cells[k].addr == b->cells[k].addr &&
                          a->cells[k].value == b->cells[k].value);
            cr_expect(!memcmp(a->xsave, b->xsave, sizeof(a->xsave)));
        }
        cr_expect(v[0].ex.number == v[1].ex.number && v[0].ex.error == v[1].ex.error &&
                  v[0].ex.fault_addr == v[1].ex.fault_addr);
        cr_expect_str_eq(v[0].name, v[1].name);
        cr_expect_eq(v[0].mask.reg[VREG_RFLAGS], v[1].mask.reg[VREG_RFLAGS]);
    }
    for (int k = 0; k < 2; k++) {
        vector_free(&v[k]);
        vector_close(f[k]);
    }
}

/* The processor passes what it gave, also where our models have less than it (MXCSR_MASK). */
Test(command, the_host_passes_its_own)
{
    char dir[] = "/tmp/record-XXXXXX", cmd[128];
    static const char *const rows[] = {"*XSAVE*", "ENTER"};
    host_close(open_host());
    cr_assert(mkdtemp(dir));
    for (size_t k = 0; k < ARRAY_LEN(rows); k++) {
        char *args[] = {"--rows", (char *)rows[k], "--per-form", k ? "4000" : "8", "--out", dir};
        cr_expect_eq(cmd_record(6, args), 0);
    }
    char *check[] = {"--quiet", "--cpu", "host", "--engine", "host", dir};
    cr_expect_eq(cmd_check(6, check), 0);
    snprintf(cmd, sizeof(cmd), "rm -r %s", dir);
    cr_expect_eq(system(cmd), 0);
}

Test(command, json_says_the_same)
{
    char dir[] = "/tmp/record-XXXXXX", cmd[128];
    host_close(open_host());
    cr_assert(mkdtemp(dir));
    for (int k = 0; k < 2; k++) {
        char *args[] = {"--rows", "DIV*",     "--per-form",       "4",          "--out",
                        dir,      "--format", k ? "json" : "moo", "--no-verify"};
        cr_expect_eq(cmd_record(9, args), 0);
    }
    same_vectors(dir, "DIV");
    same_vectors(dir, "DIVPS");
    snprintf(cmd, sizeof(cmd), "rm %s/*/*.moo.gz", dir);
    cr_expect_eq(system(cmd), 0);
    char *check[] = {"--quiet", "--cpu", "host", dir};
    cr_expect_eq(cmd_check(4, check), 0);
    snprintf(cmd, sizeof(cmd), "rm -r %s", dir);
    cr_expect_eq(system(cmd), 0);
}

Test(command, mistakes)
{
    cr_expect_eq(cmd_record(2, (char *[]){"--format", "xml"}), STATUS_USAGE);
    cr_expect_eq(cmd_record(2, (char *[]){"--format", "json"}), STATUS_USAGE);
    cr_expect_eq(cmd_record(1, (char *[]){"--rwos"}), STATUS_USAGE);
    cr_expect_eq(cmd_record(1, (char *[]){"--rows"}), STATUS_USAGE);
    cr_expect_eq(cmd_record(2, (char *[]){"--bits", "8"}), STATUS_USAGE);
    cr_expect_eq(cmd_record(2, (char *[]){"--per-form", "0"}), STATUS_USAGE);
}
