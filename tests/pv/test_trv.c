/*
 * tests/pv/test_trv.c - our own hypercall interface, called by the instruction.
 */
#include "tests/pv/rig.h"

#include "pv/trv.h"

#include <string.h>

struct trv_rig {
    struct rig r;
    struct device *trv;
    struct chardev con;
    char text[64];
    size_t n;
    struct block *disk;
};

static void con_write(struct chardev *c, const u8 *buf, size_t len)
{
    struct trv_rig *t = container_of(c, struct trv_rig, con);
    for (size_t k = 0; k < len && t->n + 1 < sizeof(t->text); k++)
        t->text[t->n++] = (char)buf[k];
}

static void trv_rig_model(struct trv_rig *t, const char *model)
{
    static const struct chardev_ops ops = {.write = con_write};
    *t = (struct trv_rig){.r = rig_new(model), .con.ops = &ops, .disk = block_new_mem(64 * 512)};
    struct trv_wires w = {.cpu = t->r.cpu,
                          .mem = t->r.mem,
                          .clk = t->r.clk,
                          .console = &t->con,
                          .disk = {t->disk},
                          .engine = TRV_ENGINE_BT};
    t->trv = trv_new(&w);
}

static void trv_rig(struct trv_rig *t)
{
    trv_rig_model(t, "x86-64-v2");
}

static void trv_rig_free(struct trv_rig *t)
{
    device_destroy(t->trv);
    block_close(t->disk);
    rig_free(&t->r);
}

static u8 *at(struct trv_rig *t, u64 a)
{
    return t->r.ram->base + a;
}

static u32 hypercall(struct trv_rig *t, u32 nr, u32 b, u32 c, u32 d)
{
    u64 *g = t->r.cpu->gpr;
    for (int k = 0; k < 16; k++)
        g[k] |= 0xaaaaaaaa00000000; /* the upper halves are no arguments */
    g[RAX] = 0xdddddddd00000000 | nr;
    g[RBX] = 0xdddddddd00000000 | b;
    g[RCX] = 0xdddddddd00000000 | c;
    g[RDX] = 0xdddddddd00000000 | d;
    rig_step(&t->r, nr & 1 ? OP_VMCALL : OP_VMMCALL);
    cr_assert_not(rig_faulted(&t->r, EX_UD));
    cr_expect_eq(g[RAX] >> 32, 0, "32 bits of result");
    return (u32)g[RAX];
}

Test(trv, identify)
{
    struct trv_rig t;
    trv_rig(&t);
    u64 *g = t.r.cpu->gpr;
    g[RDI] = 0xaaaaaaaa55555555;
    cr_expect_eq(hypercall(&t, TRV_IDENTIFY, 0, 0, 0), TRV_ABI_VERSION);
    cr_expect_eq(g[RBX], TRV_ENGINE_BT);
    cr_expect_eq(g[RCX], TRV_PERSONALITY_TRV);
    cr_expect_eq(g[RDX], (1u << TRV_CALLS) - 1);
    cr_expect_eq(g[RDI], 0xaaaaaaaa55555555, "all else is kept");
    trv_set_engine(t.trv, TRV_ENGINE_INTERP);
    hypercall(&t, TRV_IDENTIFY, 0, 0, 0);
    cr_expect_eq(g[RBX], TRV_ENGINE_INTERP);
    trv_rig_free(&t);
}

Test(trv, signature)
{
    struct trv_rig t;
    char text[13] = "";
    trv_rig(&t);
    t.r.cpu->gpr[RAX] = TRV_CPUID_LEAF;
    rig_step(&t.r, OP_CPUID);
    st_u32(text, (u32)t.r.cpu->gpr[RBX]);
    st_u32(text + 4, (u32)t.r.cpu->gpr[RCX]);
    st_u32(text + 8, (u32)t.r.cpu->gpr[RDX]);
    cr_expect_str_eq(text, "TRIVISOR TRV");
    trv_rig_free(&t);
}

Test(trv, unknown_calls_and_programs)
{
    struct trv_rig t;
    trv_rig(&t);
    cr_expect_eq(hypercall(&t, TRV_CALLS, 0, 0, 0), TRV_UNKNOWN);
    cr_expect_eq(hypercall(&t, 0x12345678, 0, 0, 0), TRV_UNKNOWN);
    t.r.cpu->cpl = 3;
    cr_expect_eq(hypercall(&t, TRV_IDENTIFY, 0, 0, 0), TRV_E_RIGHT);
    cr_expect_eq(hypercall(&t, 0x12345678, 0, 0, 0), TRV_E_RIGHT);
    trv_rig_free(&t);
}

Test(trv, console)
{
    struct trv_rig t;
    trv_rig(&t);
    memcpy(at(&t, RIG_PAGE), "hello", 5);
    cr_expect_eq(hypercall(&t, TRV_CONSOLE_WRITE, RIG_PAGE, 5, 0), 5);
    cr_expect_str_eq(t.text, "hello");
    cr_expect_eq(hypercall(&t, TRV_CONSOLE_WRITE, RIG_PAGE, 0, 0), 0);
    cr_expect_eq(hypercall(&t, TRV_CONSOLE_WRITE, RIG_PAGE, 4097, 0), TRV_E_ARGUMENT);
    cr_expect_eq(hypercall(&t, TRV_CONSOLE_WRITE, RIG_RAM - 4, 5, 0), TRV_E_ADDRESS);
    cr_expect_eq(hypercall(&t, TRV_CONSOLE_WRITE, 0xfffffffe, 5, 0), TRV_E_ADDRESS);
    cr_expect_str_eq(t.text, "hello", "all or nothing");
    trv_rig_free(&t);
}

Test(trv, clock_and_stats)
{
    struct trv_rig t;
    struct trv_clock c;
    struct trv_stats s;
    trv_rig(&t);
    clock_advance(t.r.clk, 5 * NS_PER_SEC);
    cr_expect_eq(hypercall(&t, TRV_CLOCK_READ, RIG_PAGE, 0, 0), 0);
    memcpy(&c, at(&t, RIG_PAGE), sizeof(c));
    cr_expect_eq(c.ns, 5 * NS_PER_SEC);
    cr_expect_eq(c.wall_ns, 1000000005 * NS_PER_SEC + 77);
    cr_expect_eq(c.tsc, c.ns + (u64)t.r.cpu->tsc_offset);
    cr_expect_eq(c.tsc_hz, NS_PER_SEC);
    cr_expect_eq(hypercall(&t, TRV_CLOCK_READ, RIG_RAM - 31, 0, 0), TRV_E_ADDRESS);
    memset(at(&t, RIG_PAGE), 0xee, 64);
    cr_expect_eq(hypercall(&t, TRV_STATS, RIG_PAGE, 1000, 0), sizeof(s));
    memcpy(&s, at(&t, RIG_PAGE), sizeof(s));
    cr_expect_eq(s.hypercalls, 2);
    cr_expect_eq(hypercall(&t, TRV_STATS, RIG_PAGE + 0x100, 8, 0), 8, "its beginning");
    cr_expect_eq(*at(&t, RIG_PAGE + 0x108), 0);
    trv_rig_free(&t);
}

static bool requested(struct trv_rig *t, int v)
{
    u64 irr;
    cr_assert(rig_rdmsr(&t->r, 0x820 + (u32)v / 32, &irr));
    return irr >> v % 32 & 1;
}

static void apic_on(struct trv_rig *t)
{
    u64 base;
    cr_assert(rig_rdmsr(&t->r, 0x1b, &base));
    cr_assert(rig_wrmsr(&t->r, 0x1b, base | 0xc00));
    cr_assert(rig_wrmsr(&t->r, 0x80f, 0x1ff));
}

Test(trv, timer)
{
    struct trv_rig t;
    trv_rig(&t);
    apic_on(&t);
    cr_expect_eq(hypercall(&t, TRV_TIMER_ARM, 1000, 0, 15), TRV_E_ARGUMENT);
    cr_expect_eq(hypercall(&t, TRV_TIMER_ARM, 1000, 0, 256), TRV_E_ARGUMENT);
    cr_expect_eq(hypercall(&t, TRV_TIMER_ARM, 0, 1, 0x55), 0); /* 2^32 ns */
    clock_advance(t.r.clk, (1ull << 32) - 1);
    cr_expect_not(requested(&t, 0x55));
    clock_advance(t.r.clk, 1);
    cr_expect(requested(&t, 0x55));
    cr_expect_eq(hypercall(&t, TRV_TIMER_ARM, ~0u, ~0u, 0x56), 0, "far off");
    cr_expect_eq(hypercall(&t, TRV_TIMER_ARM, 0, 2, 0x56), 0);
    cr_expect_eq(hypercall(&t, TRV_TIMER_ARM, 0, 0, 0), 0, "disarmed");
    clock_advance(t.r.clk, 1ull << 34);
    cr_expect_not(requested(&t, 0x56));
    trv_rig_free(&t);
}

Test(trv, events_and_halt)
{
    struct trv_rig t;
    trv_rig(&t);
    apic_on(&t);
    cr_expect_eq(hypercall(&t, TRV_EVENT_BIND, 32, 0x60, 0), TRV_E_ARGUMENT);
    cr_expect_eq(hypercall(&t, TRV_EVENT_BIND, 5, 3, 0), TRV_E_ARGUMENT);
    cr_expect_eq(hypercall(&t, TRV_EVENT_BIND, 5, 0x60, 0), 0);
    cr_expect_eq(hypercall(&t, TRV_EVENT_NOTIFY, 32, 0, 0), TRV_E_ARGUMENT);
    cr_expect_eq(hypercall(&t, TRV_EVENT_NOTIFY, 4, 0, 0), 0, "bound to nothing");
    cr_expect_not(requested(&t, 0x60));
    cr_expect_eq(hypercall(&t, TRV_EVENT_NOTIFY, 5, 0, 0), 0);
    cr_expect(requested(&t, 0x60));
    cr_expect_eq(hypercall(&t, TRV_HALT, 0, 0, 0), 0);
    cr_expect_not(t.r.cpu->halted, "something is pending");
    cr_expect_eq(hypercall(&t, TRV_EVENT_TAKE, 0, 0, 0), 0);
    cr_expect_eq(t.r.cpu->gpr[RBX], 0x30);
    hypercall(&t, TRV_EVENT_TAKE, 0, 0, 0);
    cr_expect_eq(t.r.cpu->gpr[RBX], 0, "taken");
    cr_expect_eq(hypercall(&t, TRV_YIELD, 0, 0, 0), 0);
    cr_expect_eq(hypercall(&t, TRV_HALT, 0, 0, 0), 0);
    cr_expect(t.r.cpu->halted);
    trv_rig_free(&t);
}

Test(trv, no_apic)
{
    struct trv_rig t;
    trv_rig_model(&t, "486");
    cr_expect_eq(hypercall(&t, TRV_TIMER_ARM, 1000, 0, 0x50), TRV_E_NONE);
    cr_expect_eq(hypercall(&t, TRV_EVENT_BIND, 1, 0x50, 0), 0);
    cr_expect_eq(hypercall(&t, TRV_EVENT_NOTIFY, 1, 0, 0), 0, "pending all the same");
    hypercall(&t, TRV_EVENT_TAKE, 0, 0, 0);
    cr_expect_eq(t.r.cpu->gpr[RBX], 2);
    trv_rig_free(&t);
}

/* ---- disks ---------------------------------------------------------------------------------- */
static u32 disk_io(struct trv_rig *t, u32 nr, u32 disk, struct trv_block_request r)
{
    memcpy(at(t, RIG_PAGE), &r, sizeof(r));
    return hypercall(t, nr, disk, RIG_PAGE, 0);
}

Test(trv, disk)
{
    struct trv_rig t;
    struct trv_block_info i;
    u8 back[1024];
    trv_rig(&t);
    cr_expect_eq(hypercall(&t, TRV_BLOCK_INFO, 0, RIG_PAGE, 0), 0);
    memcpy(&i, at(&t, RIG_PAGE), sizeof(i));
    cr_expect_eq(i.sectors, 64);
    cr_expect_eq(i.max_sectors, TRV_BLOCK_MAX);
    for (u32 k = 0; k < 1024; k++)
        *at(&t, 0x10f00 + k) = (u8)(k * 7);
    cr_expect_eq(disk_io(&t, TRV_BLOCK_WRITE, 0, (struct trv_block_request){62, 0x10f00, 2, 0}), 2);
    cr_expect_eq(hypercall(&t, TRV_BLOCK_FLUSH, 0, 0, 0), 0);
    cr_expect_eq(block_read(t.disk, 62 * 512, back, 1024), ST_OK);
    cr_expect_arr_eq(back, at(&t, 0x10f00), 1024);
    cr_expect_eq(disk_io(&t, TRV_BLOCK_READ, 0, (struct trv_block_request){62, 0x20e10, 2, 0}), 2);
    cr_expect_arr_eq(back, at(&t, 0x20e10), 1024, "any address");
    trv_rig_free(&t);
}

Test(trv, disk_errors)
{
    struct trv_rig t;
    trv_rig(&t);
    struct trv_block_request ok = {0, 0x10000, 1, 0}, r;
    cr_expect_eq(disk_io(&t, TRV_BLOCK_READ, 1, ok), TRV_E_NONE);
    cr_expect_eq(disk_io(&t, TRV_BLOCK_READ, 0xffffffff, ok), TRV_E_NONE);
    cr_expect_eq(hypercall(&t, TRV_BLOCK_READ, 0, RIG_RAM - 8, 0), TRV_E_ADDRESS);
    cr_expect_eq(hypercall(&t, TRV_BLOCK_FLUSH, 1, 0, 0), TRV_E_NONE);
    r = ok, r.count = 0;
    cr_expect_eq(disk_io(&t, TRV_BLOCK_READ, 0, r), TRV_E_ARGUMENT);
    r = ok, r.count = TRV_BLOCK_MAX + 1;
    cr_expect_eq(disk_io(&t, TRV_BLOCK_READ, 0, r), TRV_E_ARGUMENT);
    r = ok, r.zero = 1;
    cr_expect_eq(disk_io(&t, TRV_BLOCK_READ, 0, r), TRV_E_ARGUMENT);
    r = ok, r.sector = 64;
    cr_expect_eq(disk_io(&t, TRV_BLOCK_READ, 0, r), TRV_E_RANGE);
    r = ok, r.sector = ~0ull, r.count = 2;
    cr_expect_eq(disk_io(&t, TRV_BLOCK_READ, 0, r), TRV_E_RANGE);
    r = ok, r.address = RIG_RAM - 511;
    cr_expect_eq(disk_io(&t, TRV_BLOCK_READ, 0, r), TRV_E_ADDRESS);
    r = ok, r.address = ~0ull - 100;
    cr_expect_eq(disk_io(&t, TRV_BLOCK_WRITE, 0, r), TRV_E_ADDRESS);
    t.disk->readonly = true;
    cr_expect_eq(disk_io(&t, TRV_BLOCK_WRITE, 0, ok), TRV_E_READONLY);
    cr_expect_eq(disk_io(&t, TRV_BLOCK_READ, 0, ok), 1);
    trv_rig_free(&t);
}

Test(trv, mmu_update)
{
    struct trv_rig t;
    trv_rig(&t);
    struct trv_mmu_entry e[2] = {{0x10000, 0x1234}, {0x10ff8, ~0ull}};
    memcpy(at(&t, RIG_PAGE), e, sizeof(e));
    cr_expect_eq(hypercall(&t, TRV_MMU_UPDATE, RIG_PAGE, 2, 0), 2);
    cr_expect_eq(ld_u64(at(&t, 0x10000)), 0x1234);
    cr_expect_eq(ld_u64(at(&t, 0x10ff8)), ~0ull);
    e[0].value = 5;
    e[1].address = 0x10ff9;
    memcpy(at(&t, RIG_PAGE), e, sizeof(e));
    cr_expect_eq(hypercall(&t, TRV_MMU_UPDATE, RIG_PAGE, 2, 0), TRV_E_ADDRESS);
    e[1].address = 1ull << 39;
    memcpy(at(&t, RIG_PAGE), e, sizeof(e));
    cr_expect_eq(hypercall(&t, TRV_MMU_UPDATE, RIG_PAGE, 2, 0), TRV_E_ADDRESS);
    cr_expect_eq(ld_u64(at(&t, 0x10000)), 0x1234, "all or nothing");
    cr_expect_eq(hypercall(&t, TRV_MMU_UPDATE, RIG_PAGE, TRV_MMU_MAX + 1, 0), TRV_E_ARGUMENT);
    cr_expect_eq(hypercall(&t, TRV_MMU_UPDATE, 0xfffffff0, 2, 0), TRV_E_ADDRESS);
    trv_rig_free(&t);
}

/* Whether a read through the linear address sees the page that the table has now: 32-bit paging,
 * two entries a call. */
Test(trv, mmu_update_flushes_what_was_there)
{
    enum { DIRECTORY = 0x20000, TABLE = 0x21000, A = 0x30000, B = 0x31000, LOAD = 0x6000a0 };
    static const struct {
        u32 page;
        char sees;
        bool global;
    } step[] = {{A, 'a', true}, {B, 'b', true}, {A, 'a', false}, {B, 'b', false}, {A, 'a', true}};
    for (int round = 0; round < 4; round++) {
        bool pge = round & 1, upper = round & 2; /* half of the eight bytes; the other is 0 */
        struct trv_rig t;
        trv_rig(&t);
        struct cpu *c = t.r.cpu;
        st_u32(at(&t, DIRECTORY), TABLE | 3);
        for (u32 k = 0; k < 256; k++)
            st_u32(at(&t, TABLE + k * 4), k == 6 || k == 7 ? 0 : k << 12 | 3);
        *at(&t, A) = 'a';
        *at(&t, B) = 'b';
        c->cr3 = DIRECTORY;
        c->cr4 |= pge ? CR4_PGE : 0;
        c->cr0 |= CR0_PG | CR0_PE;
        cpu_state_written(c, true);
        for (size_t k = 0; k < ARRAY_LEN(step); k++) {
            u32 entry = step[k].page | 3 | (step[k].global ? 0x100 : 0);
            struct trv_mmu_entry e = {TABLE + 6 * 4, (u64)entry << (upper ? 32 : 0)};
            memcpy(at(&t, RIG_PAGE), &e, sizeof(e));
            cr_assert_eq(hypercall(&t, TRV_MMU_UPDATE, RIG_PAGE, 1, 0), 1);
            rig_step(&t.r, upper ? LOAD + 0x100000 : LOAD); /* mov al, [6000h] or [7000h] */
            cr_expect_eq((char)c->gpr[RAX], step[k].sees, "round %d, step %zu", round, k);
        }
        trv_rig_free(&t);
    }
}
