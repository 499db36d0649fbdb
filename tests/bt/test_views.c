/*
 * tests/bt/test_views.c - counters, the block that is kept, files for `perf`, properties of the
 * engine, and another engine on a running machine.
 */
#include "tests/bt/guest.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* A little of everything, long enough to switch engines in the middle. */
GUEST(work, 64)
"mov $40000, %ebp\n xor %eax, %eax\n mov $OUT + 64, %ebx\n mov $OUT + 1024, %esi\n"
    "woagain: add %rbp, %rax\n imul $0x10003, %rax, %rax\n push %rax\n call wof\n pop %rdx\n"
    "xor %rdx, (%rbx)\n bt $3, %edx\n adc $0, %rax\n lods (%rsi), %al\n lahf\n sub $1, %rsi\n"
    "test $0xff, %ebp\n jnz wo1\n mov %ebp, wof + 1(%rip)\n str %ecx\n add %ecx, 8(%rbx)\n"
    "wo1: movq %rax, %xmm0\n paddq %xmm0, %xmm1\n dec %ebp\n jnz woagain\n mov %rax, OUT\n"
    "movq %xmm1, OUT + 8\n jmp woend\n"
    "wof: mov $1, %ecx\n add %rcx, %rax\n lea wowhere(%rip), %rdx\n jmp *%rdx\n"
    "nop\n wowhere: ret\n woend:\n" GUEST_END(work);

static struct guest start(const char *engine)
{
    struct guest g = guest_new(work, work_end, 64, engine);
    return g;
}

/* ---- counters ---------------------------------------------------------------------------------
 */
static void add_up(const char *engine)
{
    struct guest g = start(engine);
    guest_run(&g);
    u64 insns = guest_count(&g, "insns translated"), copied = guest_count(&g, "insns copied"),
        emitted = guest_count(&g, "insns emitted"), helped = guest_count(&g, "insns as C calls"),
        events = guest_count(&g, "insns as events");
    cr_expect_gt(insns, 20, "%s", engine);
    cr_expect_eq(copied + emitted + helped + events, insns, "%s: %llu", engine,
                 (unsigned long long)insns);
    cr_expect_leq(guest_count(&g, "blocks translated"), insns);
    cr_expect_leq(guest_count(&g, "cache bytes used"), guest_count(&g, "cache bytes"));

    struct vm_helper rows[64];
    int n = vm_engine_helpers(g.vm, rows, 64);
    u64 places = 0, calls = 0;
    for (int k = 0; k < n; k++) {
        places += rows[k].translated;
        calls += rows[k].called;
        if (k)
            cr_expect_geq(rows[k - 1].called, rows[k].called, "most first");
    }
    cr_expect_eq(places, helped + events, "%s", engine);
    cr_expect_eq(calls, guest_count(&g, "exits C call") + guest_count(&g, "exits event"), "%s",
                 engine);
    cr_expect_gt(calls, 100, "%s", engine);
    /* room for fewer: the first of them */
    struct vm_helper two[2];
    cr_expect_eq(vm_engine_helpers(g.vm, two, 2), 2);
    cr_expect_str_eq(two[1].name, rows[1].name);
    vm_free(g.vm);
}

Test(views, counters_add_up)
{
    add_up("bt");
    add_up("bt-hot");
    add_up("bt-helpers");
}

Test(views, counters_of_exits)
{
    struct guest g = start("bt");
    guest_run(&g);
    cr_expect_gt(guest_count(&g, "links"), 3);
    cr_expect_gt(guest_count(&g, "exits edge linked"), 3);
    cr_expect_gt(guest_count(&g, "exits vector load"), 0);
    cr_expect_gt(guest_count(&g, "exits slice end"), 0);
    vm_free(g.vm);
    g = start("interp");
    guest_run(&g);
    struct find_count f = {.name = "links"};
    vm_engine_counts(g.vm, find_count, &f);
    cr_expect_not(f.found, "the interpreter has none");
    struct vm_helper one;
    cr_expect_eq(vm_engine_helpers(g.vm, &one, 1), 0);
    vm_free(g.vm);
}

/* ---- a block -----------------------------------------------------------------------------------
 */
Test(views, block_is_kept)
{
    struct guest g = start("bt-hot");
    struct vm_block_view v;
    struct error err;
    enum { AGAIN = ORG + 5 + 2 + 5 + 5 };
    cr_expect_not(vm_watched_block(g.vm, &v), "nothing asked for");
    cr_assert_eq(vm_watch_block(g.vm, AGAIN, &err), ST_OK);
    cr_expect_not(vm_watched_block(g.vm, &v), "nothing translated");
    guest_run(&g);
    cr_assert(vm_watched_block(g.vm, &v));
    cr_expect_eq(v.lin, AGAIN, "%llx", (unsigned long long)v.lin);
    cr_expect_eq(v.bits, 64);
    cr_expect_not(v.user);
    cr_expect_eq(v.insns, 4, "%u", v.insns); /* to the call */
    cr_expect_eq(v.guest_bytes, 3 + 7 + 1 + 5);
    cr_expect_eq(memcmp(v.guest, g.ram + AGAIN, v.guest_bytes), 0);
    cr_expect_geq(v.times, 1);
    u32 next = 0, seen = 0;
    cr_assert_gt(v.n_marks, 4);
    cr_expect_eq(v.marks[0].part, VM_PART_ENTRY);
    for (u32 k = 0; k < v.n_marks; k++) {
        cr_expect_geq(v.marks[k].at, next);
        cr_expect_leq(v.marks[k].at, v.code_bytes);
        next = v.marks[k].at;
        if (v.marks[k].part == VM_PART_INSN)
            cr_expect_eq(v.marks[k].insn, seen++);
    }
    cr_expect_eq(seen, v.insns);
    /* the first instruction, add rax, rbp, is itself */
    cr_expect_eq(memcmp(v.code + v.marks[1].at, v.guest, 3), 0);
    vm_free(g.vm);
}

Test(views, block_around_an_address)
{
    struct guest g = start("bt");
    struct vm_block_view v;
    struct error err;
    enum { INSIDE = ORG + 17 + 3 };
    cr_assert_eq(vm_watch_block(g.vm, INSIDE, &err), ST_OK);
    guest_run(&g);
    cr_assert(vm_watched_block(g.vm, &v));
    cr_expect(v.lin <= INSIDE && INSIDE < v.lin + v.guest_bytes, "%llx", (unsigned long long)v.lin);
    vm_free(g.vm);
}

/* ---- perf --------------------------------------------------------------------------------------
 */
Test(views, perf_map_names_blocks)
{
    char path[64], line[256];
    snprintf(path, sizeof(path), "/tmp/perf-%d.map", (int)getpid());
    struct guest g = start("bt,perfmap=on");
    guest_run(&g);
    u64 blocks = guest_count(&g, "blocks translated"), lines = 0;
    bool again = false;
    FILE *f = fopen(path, "r");
    cr_assert(f, "%s", path);
    while (fgets(line, sizeof(line), f)) {
        unsigned long long at, size, lin;
        int end = 0;
        cr_expect_eq(sscanf(line, "%llx %llx guest:64:kernel:%llx%n", &at, &size, &lin, &end), 3,
                     "%s", line);
        cr_expect_eq(line[end], '\n');
        cr_expect(lin >= ORG && lin < ORG + 4096 && size > 0 && at > 0, "%s", line);
        again |= lin == ORG + 17;
        lines++;
    }
    fclose(f);
    cr_expect_eq(lines, blocks);
    cr_expect(again);
    vm_free(g.vm);
    unlink(path);
}

Test(views, jitdump_has_code)
{
    char path[64];
    snprintf(path, sizeof(path), "/tmp/jit-%d.dump", (int)getpid());
    struct guest g = start("bt,jitdump=on");
    guest_run(&g);
    u64 blocks = guest_count(&g, "blocks translated"), records = 0;
    vm_free(g.vm);
    static u8 d[1 << 20];
    FILE *f = fopen(path, "r");
    cr_assert(f, "%s", path);
    size_t n = fread(d, 1, sizeof(d), f);
    fclose(f);
    unlink(path);
    cr_assert(n > 40 && n < sizeof(d));
    cr_expect_eq(ld_u32(d), 0x4a695444);
    cr_expect_eq(ld_u32(d + 8), 40);
    cr_expect_eq(ld_u32(d + 20), (u32)getpid());
    for (size_t at = 40; at < n; records++) {
        u32 size = ld_u32(d + at + 4);
        cr_assert(size > 56 && at + size <= n);
        cr_expect_eq(ld_u32(d + at), 0);
        cr_expect_eq(ld_u64(d + at + 48), records);
        const char *name = (const char *)d + at + 56;
        cr_expect_eq(56 + strlen(name) + 1 + ld_u64(d + at + 40), size);
        cr_expect_eq(strncmp(name, "guest:64:kernel:", 16), 0);
        at += size;
    }
    cr_expect_eq(records, blocks);
}

/* ---- properties --------------------------------------------------------------------------------
 */
Test(views, properties)
{
    static const struct {
        const char *spec;
        enum status want;
        const char *part;
    } cases[] = {
        {"bt", ST_OK, ""},
        {"bt,cache=256K", ST_OK, ""},
        {"bt,cache=1G,perfmap=off", ST_OK, ""},
        {"bt-stress,cache=1m", ST_OK, ""},
        {"bt,cache=1048576", ST_OK, ""},
        {"interp", ST_OK, ""},
        {"bt,cache=255K", ST_RANGE, "256K to 1G"},
        {"bt,cache=2G", ST_RANGE, "256K to 1G"},
        {"bt,cache=99999999999999999999G", ST_INVAL, "no size"},
        {"bt,cache=300001", ST_INVAL, "multiple of 4K"},
        {"bt,cache=", ST_INVAL, "no size"},
        {"bt,cache", ST_INVAL, "no size"},
        {"bt,cache=12X", ST_INVAL, "no size"},
        {"bt,cache=1MB", ST_INVAL, "no size"},
        {"bt,perfmap=maybe", ST_INVAL, "on or off"},
        {"bt,", ST_INVAL, "no property ''"},
        {"bt,colour=red", ST_INVAL, "no property 'colour'"},
        {"interp,cache=1M", ST_INVAL, "it has none"},
        {"b", ST_INVAL, "unknown engine 'b'"},
        {"bt2", ST_INVAL, "unknown engine 'bt2'"},
    };
    for (size_t k = 0; k < ARRAY_LEN(cases); k++) {
        struct error err = {{0}};
        enum status st = vm_engine_check(cases[k].spec, &err);
        cr_expect_eq(st, cases[k].want, "%s: %d %s", cases[k].spec, st, err.msg);
        cr_expect(strstr(err.msg, cases[k].part), "%s: %s", cases[k].spec, err.msg);
    }
}

/* More code than fits: 3000 functions of some 40 instructions, called one after the other. */
GUEST(much, 64)
"mov $200, %ebp\n xor %eax, %eax\n"
    "muagain: mov $(mufirst - much + ORG), %esi\n mov $3000, %edi\n"
    "mu1: call *%rsi\n add $128, %rsi\n dec %edi\n jnz mu1\n sub $40, %ebp\n jnz muagain\n"
    "mov %rax, OUT\n jmp muend\n .balign 128\n mufirst:\n"
    ".set n, 0\n .rept 3000\n .balign 128\n .rept 10\n add $n + 1, %eax\n rol $3, %rax\n"
    "xor %rdi, %rax\n .endr\n ret\n .set n, n + 1\n .endr\n muend:\n" GUEST_END(much);

Test(views, small_cache)
{
    struct guest a = guest_new(much, much_end, 64, "interp");
    struct guest b = guest_new(much, much_end, 64, "bt-hot,cache=256K");
    guest_run(&a);
    guest_run(&b);
    guest_same(&a, &b);
    cr_expect_gt(guest_count(&b, "cache resets"), 2);
    cr_expect_eq(guest_count(&b, "cache bytes"), 256 * KIB);
    vm_free(a.vm);
    vm_free(b.vm);
}

/* ---- another engine ----------------------------------------------------------------------------
 */
Test(views, switches)
{
    static const char *const engines[] = {
        "bt",        "interp",        "bt-hot",    "generic", "bt,cache=256K",
        "bt-stress", "interp-stress", "bt-helpers"};
    struct guest a = start("interp"), b = start("bt");
    struct error err = {{0}};
    guest_run(&a);
    int n = 0;
    for (;; n++) {
        enum vm_stop why = vm_run_insns(b.vm, 2000 + 37 * (u64)n, &err);
        if (why == VM_STOP_POWEROFF)
            break;
        cr_assert_eq(why, VM_STOP_REQUEST);
        const char *to = engines[n % (int)ARRAY_LEN(engines)];
        cr_assert_eq(vm_set_engine(b.vm, to, &err), ST_OK, "%s", err.msg);
        cr_assert_str_eq(vm_engine(b.vm), to);
    }
    cr_expect_gt(n, 50);
    guest_same(&a, &b);
    vm_free(a.vm);
    vm_free(b.vm);
}

Test(views, toggles)
{
    struct guest a = start("interp"), b = start("bt-hot");
    struct error err = {{0}};
    guest_run(&a);
    for (int n = 0;; n++) {
        enum vm_stop why = vm_run_insns(b.vm, 5000, &err);
        cr_expect_str_eq(vm_engine(b.vm), n & 1 ? "interp" : "bt-hot");
        if (why == VM_STOP_POWEROFF)
            break;
        vm_engine_toggle(b.vm);
    }
    guest_same(&a, &b);
    vm_free(a.vm);
    vm_free(b.vm);
}

Test(views, a_failed_switch_changes_nothing)
{
    struct guest a = start("interp"), b = start("bt");
    struct error err = {{0}};
    guest_run(&a);
    cr_assert_eq(vm_run_insns(b.vm, 5000, &err), VM_STOP_REQUEST);
    cr_expect_eq(vm_set_engine(b.vm, "warp", &err), ST_INVAL);
    cr_expect_str_eq(vm_engine(b.vm), "bt");
    cr_expect_eq(vm_set_engine(b.vm, "bt,cache=1K", &err), ST_RANGE);
    guest_run(&b);
    guest_same(&a, &b);
    vm_free(a.vm);
    vm_free(b.vm);
}

/* Writes to code after the translator went, before the next block is looked for. */
Test(views, writes_after_a_switch)
{
    struct guest b = start("bt-hot");
    struct error err = {{0}};
    cr_assert_eq(vm_run_insns(b.vm, 5000, &err), VM_STOP_REQUEST);
    cr_assert_eq(vm_set_engine(b.vm, "interp", &err), ST_OK);
    vm_write_phys(b.vm, ORG, b.ram + ORG, (u64)(work_end - work));
    guest_run(&b);
    vm_free(b.vm);
}

/* The watched block is remembered. */
Test(views, watch_after_a_switch)
{
    struct guest b = start("interp");
    struct error err = {{0}};
    struct vm_block_view v;
    cr_assert_eq(vm_watch_block(b.vm, ORG + 17, &err), ST_OK);
    cr_assert_eq(vm_run_insns(b.vm, 5000, &err), VM_STOP_REQUEST);
    cr_expect_not(vm_watched_block(b.vm, &v));
    cr_assert_eq(vm_set_engine(b.vm, "bt", &err), ST_OK);
    guest_run(&b);
    cr_expect(vm_watched_block(b.vm, &v));
    vm_free(b.vm);
}
