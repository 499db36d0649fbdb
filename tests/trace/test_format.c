/*
 * tests/trace/test_format.c - the binary trace: what is written comes back, runs repeat to the
 * byte, damaged files end in an error.
 */
#include "tests/machine/machine_rig.h"
#include "frontends/trace/control.h"
#include "frontends/trace/format_priv.h"
#include "frontends/trace/reader.h"
#include "frontends/trace/writer.h"

#include <sys/stat.h>

#define DEMO TRV_BUILD "/roms/demo/demo.bin"

static void s_define(void *ctx, u32 id, const struct vm_trace_block *b)
{
    (void)id;
    trace_writer_define(ctx, b);
}
static void s_enter(void *ctx, u32 id, u32 n)
{
    trace_writer_enter(ctx, id, n);
}
static void s_event(void *ctx, const struct vm_trace_event *e)
{
    trace_writer_event(ctx, e);
}
static void s_forget(void *ctx)
{
    trace_writer_forget(ctx);
}
static void s_gap(void *ctx, u64 n)
{
    trace_writer_gap(ctx, n);
}

static void temp(struct file *f)
{
    file_write(f, "", 0);
}

/* Traces a ROM to its end; the count of instructions. */
static u64 trace_rom(const char *rom, const char *path, const struct trace_what *what)
{
    static struct machine m;
    struct trace_writer *w;
    struct trace_sink sink = {
        .define = s_define, .enter = s_enter, .event = s_event, .forget = s_forget, .gap = s_gap};
    machine_init(&m);
    m.cfg.ram_size = 64 * MIB;
    m.cfg.flat_path = rom;
    cr_assert_eq(machine_start(&m), ST_OK, "%s", m.err.msg);
    cr_assert_eq(trace_writer_new(path, "a=b\n", 0, &w, &m.err), ST_OK);
    sink.ctx = w;
    struct trace_control *c = trace_control_start(m.vm, what, &sink, false);
    vm_run(m.vm, &m.err);
    u64 n = vm_icount(m.vm);
    trace_control_end(c);
    cr_assert_eq(trace_writer_close(w, &m.err), ST_OK, "%s", m.err.msg);
    vm_free(m.vm);
    return n;
}

struct summary {
    u64 insns, events, gaps, last;
    enum status st;
    struct error err;
};

/* Reads all of it, touching every byte that is given. */
static struct summary read_all(const char *path)
{
    struct summary s = {0};
    struct trace_reader *r;
    struct trace_item it;
    s.st = trace_open(path, &r, &s.err);
    if (s.st)
        return s;
    u64 sum = 0;
    while (trace_next(r, &it, &s.st, &s.err)) {
        cr_assert_geq(it.at, s.last);
        if (it.block) {
            cr_assert_leq(it.done, it.block->n);
            for (u32 k = 0; k < it.block->len; k++)
                sum += it.block->bytes[k];
            s.insns += it.done;
            s.last = it.at + it.done;
        } else {
            s.gaps += it.gap;
            s.insns += it.n_events && vm_trace_ticks(it.events[0].kind);
        }
        for (u32 k = 0; k < it.n_events; k++)
            sum += it.events[k].b;
        s.events += it.n_events;
    }
    cr_assert(sum || !s.insns);
    trace_close(r);
    return s;
}

Test(format, every_instruction_comes_back)
{
    struct file f;
    struct trace_what all = {0};
    temp(&f);
    u64 n = trace_rom(DEMO, f.path, &all);
    struct summary s = read_all(f.path);
    cr_expect_eq(s.st, ST_OK, "%s", s.err.msg);
    cr_expect_eq(s.insns, n);
    cr_expect_gt(s.events, 1000);
    struct trace_reader *r;
    cr_assert_eq(trace_open(f.path, &r, NULL), ST_OK);
    cr_expect_eq(trace_info(r)->insns, n);
    cr_expect_eq(trace_info(r)->last, n);
    cr_expect_not(trace_info(r)->cut_short);
    cr_expect_str_eq(trace_info(r)->meta, "a=b\n");
    cr_expect_lt(trace_info(r)->bytes * 50, n);
    trace_close(r);
    file_remove(&f);
}

static u8 *contents(const char *path, size_t *n)
{
    struct stat st;
    FILE *f = fopen(path, "rb");
    cr_assert(f && !fstat(fileno(f), &st));
    u8 *p = malloc((size_t)st.st_size + 1);
    *n = fread(p, 1, (size_t)st.st_size, f);
    fclose(f);
    return p;
}

Test(format, two_counted_runs_are_the_same_file)
{
    struct file a, b;
    struct trace_what all = {0};
    size_t n, m;
    temp(&a);
    temp(&b);
    trace_rom(DEMO, a.path, &all);
    trace_rom(DEMO, b.path, &all);
    u8 *p = contents(a.path, &n), *q = contents(b.path, &m);
    cr_expect_eq(n, m);
    cr_expect(n == m && !memcmp(p, q, n));
    free(p);
    free(q);
    file_remove(&a);
    file_remove(&b);
}

Test(format, what_is_left_out_is_a_gap)
{
    struct file f;
    struct error err;
    struct trace_what what = {0};
    cr_assert_eq(trace_filter_parse("user", NULL, &what.filter[0], &err), ST_OK);
    what.n_filters = 1;
    temp(&f);
    u64 n = trace_rom(DEMO, f.path, &what);
    struct summary s = read_all(f.path);
    cr_expect_eq(s.st, ST_OK, "%s", s.err.msg);
    cr_expect_gt(s.insns, 0);
    cr_expect_gt(s.gaps, s.insns);
    cr_expect_leq(s.insns + s.gaps, n); /* the last gap has no end */

    memset(&what, 0, sizeof(what));
    cr_assert_eq(trace_cond_parse("first-exception", NULL, &what.stop, &err), ST_OK);
    trace_rom(DEMO, f.path, &what);
    s = read_all(f.path);
    cr_expect_eq(s.st, ST_OK, "%s", s.err.msg);
    cr_expect_gt(s.insns, 100);
    cr_expect_lt(s.insns, n / 2);
    file_remove(&f);
}

/* Blocks as a program might give them, more than one chunk of them. */
Test(format, seeking_finds_the_same_as_reading)
{
    enum { BLOCKS = 3000, STEPS = 2000000 };
    struct trace_writer *w;
    struct trace_reader *r;
    struct trace_item it;
    struct error err;
    enum status st;
    struct file f;
    u8 code[16] = {0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0xc3};
    static u32 order[STEPS];
    static u64 at[STEPS];
    u64 x = 1, pos = 1000;
    u32 known = 0;
    temp(&f);
    cr_assert_eq(trace_writer_new(f.path, "", pos, &w, &err), ST_OK);
    for (u32 k = 0; k < STEPS; k++) {
        x = x * 6364136223846793005ull + 1442695040888963407ull;
        u32 id = MIN((u32)(x >> 33) % BLOCKS, known);
        if (id == known) {
            struct vm_trace_block b = {.rip = 0x1000 + id * 16ull,
                                       .lin = 0x1000 + id * 16ull,
                                       .n = (u16)(1 + id % 8),
                                       .len = 8,
                                       .cs = 8,
                                       .bits = 64,
                                       .bytes = code};
            trace_writer_define(w, &b);
            known++;
        }
        order[k] = id;
        at[k] = pos;
        trace_writer_enter(w, id, 1 + id % 8);
        pos += 1 + id % 8;
    }
    cr_assert_eq(trace_writer_close(w, &err), ST_OK, "%s", err.msg);
    cr_assert_eq(trace_open(f.path, &r, &err), ST_OK, "%s", err.msg);
    cr_expect_gt(trace_info(r)->chunks, 3);
    cr_expect_eq(trace_info(r)->last, pos);
    for (u32 k = 0; trace_next(r, &it, &st, &err); k++) {
        cr_assert_eq(it.id, order[k]);
        cr_assert_eq(it.at, at[k]);
        cr_assert_eq(it.block->lin, 0x1000 + order[k] * 16ull);
    }
    cr_expect_eq(st, ST_OK);
    static const u32 places[] = {STEPS - 1, 7, STEPS / 2, STEPS / 3, 0, STEPS - 2};
    for (size_t k = 0; k < ARRAY_LEN(places); k++) {
        u32 p = places[k];
        cr_assert_eq(trace_seek(r, at[p], &err), ST_OK);
        do
            cr_assert(trace_next(r, &it, &st, &err));
        while (it.at + it.done <= at[p]);
        cr_expect_eq(it.at, at[p]);
        cr_expect_eq(it.id, order[p]);
    }
    trace_close(r);
    file_remove(&f);
}

Test(format, truncated_files_are_read_as_far_as_they_go)
{
    struct file f, g;
    struct trace_what all = {0};
    size_t n;
    temp(&f);
    u64 insns = trace_rom(DEMO, f.path, &all);
    u8 *p = contents(f.path, &n);
    for (size_t cut = 0; cut < n; cut += 1 + n / 200) {
        file_write(&g, p, cut);
        struct summary s = read_all(g.path);
        cr_expect_leq(s.insns, insns);
        if (cut < 24)
            cr_expect_eq(s.st, ST_FORMAT);
        file_remove(&g);
    }
    /* without its index alone, everything is there */
    file_write(&g, p, n - sizeof(struct trvt_end));
    struct summary s = read_all(g.path);
    cr_expect_eq(s.st, ST_OK, "%s", s.err.msg);
    cr_expect_eq(s.insns, insns);
    file_remove(&g);
    free(p);
    file_remove(&f);
}

Test(format, damaged_files_end)
{
    struct file f, g;
    struct trace_what all = {0};
    size_t n;
    u64 x = 88172645463325252ull;
    int errors = 0;
    temp(&f);
    trace_rom(DEMO, f.path, &all);
    u8 *p = contents(f.path, &n);
    for (int k = 0; k < 400; k++) {
        size_t at;
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        at = k < 90 ? (size_t)k : (size_t)(x % n);
        u8 was = p[at];
        p[at] ^= (u8)(1 + (x >> 40) % 255);
        file_write(&g, p, n);
        errors += read_all(g.path).st != ST_OK;
        file_remove(&g);
        p[at] = was;
    }
    cr_expect_gt(errors, 100);
    free(p);
    file_remove(&f);
}

Test(format, conditions_are_checked)
{
    struct trace_cond c;
    struct trace_filter f;
    struct error err;
    cr_expect_eq(trace_cond_parse("addr:0x1000", NULL, &c, &err), ST_OK);
    cr_expect(c.kind == COND_ADDR && c.value == 0x1000);
    cr_expect_eq(trace_cond_parse("count:7", NULL, &c, &err), ST_OK);
    cr_expect_eq(trace_cond_parse("cpl:4", NULL, &c, &err), ST_INVAL);
    cr_expect_eq(trace_cond_parse("sym:main", NULL, &c, &err), ST_INVAL);
    cr_expect_eq(trace_cond_parse("addr", NULL, &c, &err), ST_INVAL);
    cr_expect_eq(trace_cond_parse("first-exception:1", NULL, &c, &err), ST_INVAL);
    cr_expect_eq(trace_filter_parse("addr:0x10-0x20", NULL, &f, &err), ST_OK);
    cr_expect(f.from == 0x10 && f.to == 0x20);
    cr_expect_eq(trace_filter_parse("addr:0x20-0x10", NULL, &f, &err), ST_INVAL);
    cr_expect_eq(trace_filter_parse("addr:", NULL, &f, &err), ST_INVAL);
}
