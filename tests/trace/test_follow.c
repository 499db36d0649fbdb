/*
 * tests/trace/test_follow.c - machine/trace.h: counts are exact, numbers mean what was described.
 */
#include "tests/machine/machine_rig.h"
#include "machine/trace.h"

#include <string.h>

#define DEMO TRV_BUILD "/roms/demo/demo.bin"

struct follow {
    struct vm *vm;
    u64 count, enters, cuts;
    u64 kinds[VM_TRACE_KINDS];
    u32 defined;
    u32 max_n;
    u64 hits; /* of `want` */
    u64 want;
    u64 lin[1 << 16];
    bool wrong, check, stop_at_hit;
};

static void define(void *ctx, u32 id, const struct vm_trace_block *b)
{
    struct follow *f = ctx;
    cr_assert_eq(id, f->defined);
    f->defined++;
    f->max_n = MAX(f->max_n, b->n);
    cr_assert(b->n >= 1 && b->len >= b->n);
    if (id < ARRAY_LEN(f->lin))
        f->lin[id] = b->lin;
}

static void enter(void *ctx, u32 id, u32 n)
{
    struct follow *f = ctx;
    struct vm_trace_regs r;
    cr_assert_lt(id, f->defined);
    if (f->check) {
        vm_trace_get(f->vm, &r);
        if (vm_icount(f->vm) != f->count)
            f->wrong = true;
        if (r.bits == 64 && r.rip != f->lin[id])
            f->wrong = true;
    }
    f->enters++;
    f->count += n;
    if (f->lin[id] == f->want) {
        f->hits++;
        if (f->stop_at_hit) {
            f->count -= n; /* it runs untold */
            vm_trace_end(f->vm);
        }
    }
}

static void event(void *ctx, const struct vm_trace_event *e)
{
    struct follow *f = ctx;
    f->kinds[e->kind]++;
    if (vm_trace_ticks(e->kind))
        f->count++;
}

/* VM_TRACE_CUT needs the length of the block before. */
struct counting {
    struct follow f;
    u32 n;
};
static void enter_n(void *ctx, u32 id, u32 n)
{
    struct counting *c = ctx;
    enter(&c->f, id, n);
    c->n = n;
}
static void event_n(void *ctx, const struct vm_trace_event *e)
{
    struct counting *c = ctx;
    if (e->kind == VM_TRACE_CUT) {
        cr_assert_lt(e->a, c->n);
        c->f.count -= c->n - e->a;
    }
    event(&c->f, e);
}

static void rig(struct machine *m, const char *rom)
{
    machine_init(m);
    m->cfg.ram_size = 64 * MIB;
    m->cfg.flat_path = rom;
    cr_assert_eq(machine_start(m), ST_OK, "%s", m->err.msg);
}

static void run_demo(struct counting *c, bool single)
{
    static struct machine m;
    struct vm_tracer t = {
        .ctx = c, .define = define, .enter = enter_n, .event = event_n, .single = single};
    rig(&m, DEMO);
    c->f.vm = m.vm;
    c->f.check = true;
    vm_trace_start(m.vm, &t);
    vm_run(m.vm, &m.err);
    cr_expect_eq(c->f.count, vm_icount(m.vm), "%llu told, %llu counted",
                 (unsigned long long)c->f.count, (unsigned long long)vm_icount(m.vm));
    cr_expect_not(c->f.wrong);
    cr_expect_gt(c->f.kinds[VM_TRACE_EXCEPTION], 0);
    cr_expect_gt(c->f.kinds[VM_TRACE_INTERRUPT], 0);
    cr_expect_gt(c->f.kinds[VM_TRACE_OUT], 0);
    cr_expect_gt(c->f.kinds[VM_TRACE_CR], 0);
    cr_expect_gt(c->f.kinds[VM_TRACE_CUT], 0);
    vm_free(m.vm);
}

Test(follow, every_instruction_of_the_demo_is_told)
{
    static struct counting c;
    run_demo(&c, false);
    cr_expect_gt(c.f.max_n, 4);
    cr_expect_lt(c.f.enters, c.f.count);
}

Test(follow, one_instruction_at_a_time)
{
    static struct counting c;
    run_demo(&c, true);
    cr_expect_eq(c.f.max_n, 1);
}

/* mov cx, 1000; loop: inc ax; dec cx; jnz loop; quit */
static void make_loop(struct file *f)
{
    static struct code c;
    CODE(&c, 0xb9, 0xe8, 0x03, 0x40, 0x49, 0x75, 0xfc);
    quit16(&c, 0);
    make_rom(&c);
    file_write(f, c.b, c.n);
}

Test(follow, a_block_begins_where_one_is_asked_for)
{
    static struct machine m;
    static struct counting c;
    struct file f;
    make_loop(&f);
    rig(&m, f.path);
    struct vm_tracer t = {.ctx = &c,
                          .define = define,
                          .enter = enter_n,
                          .event = event_n,
                          .split = {0xf0004},
                          .n_splits = 1};
    c.f.vm = m.vm;
    c.f.want = 0xf0004; /* dec cx */
    vm_trace_start(m.vm, &t);
    cr_expect_eq(vm_run(m.vm, &m.err), VM_STOP_EXIT);
    cr_expect_eq(c.f.hits, 1000);
    cr_expect_eq(c.f.count, vm_icount(m.vm));
    /* reset jump, mov, 1000 * 3, mov mov out cli hlt */
    cr_expect_eq(c.f.count, 1 + 1 + 3000 + 5);
    vm_free(m.vm);
    file_remove(&f);
}

Test(follow, ends_inside_a_callback_and_starts_again)
{
    static struct machine m;
    static struct counting c;
    struct file f;
    make_loop(&f);
    rig(&m, f.path);
    struct vm_tracer t = {.ctx = &c, .define = define, .enter = enter_n, .event = event_n};
    c.f.vm = m.vm;
    c.f.want = 0xf0003;
    c.f.stop_at_hit = true;
    vm_trace_start(m.vm, &t);
    vm_stop_at(m.vm, 300);
    cr_expect_eq(vm_run(m.vm, &m.err), VM_STOP_REQUEST);
    cr_expect_eq(vm_icount(m.vm), 300);
    u64 before = c.f.count;
    c.f.stop_at_hit = false;
    c.f.defined = 0;
    vm_trace_start(m.vm, &t);
    cr_expect_eq(vm_run(m.vm, &m.err), VM_STOP_EXIT);
    cr_expect_eq(c.f.count - before, vm_icount(m.vm) - 300);
    vm_free(m.vm);
    file_remove(&f);
}
