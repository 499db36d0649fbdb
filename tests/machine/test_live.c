/*
 * tests/machine/test_live.c - what the live view is told: counters, the map of memory, and that
 * nothing stays behind when nobody looks any more.
 */
#include "tests/machine/machine_rig.h"

#include "machine/live.h"
#include "machine/lockstep.h"

/* Writes a byte at 2000:0000, for ever, and reads a port. */
static void start(struct machine *m, struct code *c, struct file *f)
{
    CODE(c, 0xb8, 0x00, 0x20, 0x8e, 0xd8);       /* ds = 2000 */
    CODE(c, 0xe4, 0x80, 0xfe, 0x06, 0x00, 0x00); /* in al, 80h; inc byte [0] */
    CODE(c, 0xeb, 0xf8);
    machine_init(m);
    make_rom(c);
    file_write(f, c->b, ROM_SIZE);
    m->cfg.flat_path = f->path;
    cr_assert_eq(machine_start(m), ST_OK, "%s", m->err.msg);
    file_remove(f);
}

Test(live, counts_and_map)
{
    struct machine m;
    struct code c = {0};
    struct file f;
    static struct vm_live a, b;
    static u8 heat[VM_HEAT_CELLS];
    start(&m, &c, &f);
    vm_run_insns(m.vm, 1000, &m.err);
    vm_live(m.vm, &a);
    cr_expect_eq(a.ledger.row[VM_EXIT_PORT].n, 0, "nobody keeps one");
    vm_live_start(m.vm);
    vm_live_start(m.vm); /* twice is once */
    for (int k = 0; k < 20; k++)
        vm_run_insns(m.vm, 30000, &m.err);
    vm_live(m.vm, &b);
    cr_expect_eq(b.stats.insns - a.stats.insns, 600000);
    u64 ports = b.ledger.row[VM_EXIT_PORT].n;
    cr_expect(ports >= 199990 && ports <= 200010, "%llu", (unsigned long long)ports);
    cr_expect(b.host_ns > a.host_ns && b.ram_size == 4 * MIB);
    cr_expect(b.tlb_used > 0 && b.tlb_used <= b.tlb_room);
    u64 cell = vm_live_heat(m.vm, heat);
    cr_expect_eq(cell, 4096, "4 MiB have fewer pages than cells");
    for (int k = 0; k < VM_HEAT_CELLS; k++)
        cr_expect_eq(!!(heat[k] & VM_HEAT_WRITE), k == 0x20, "page %#x", k);
    vm_live_stop(m.vm);
    vm_run_insns(m.vm, 3000, &m.err);
    vm_live(m.vm, &a);
    cr_expect_eq(a.ledger.row[VM_EXIT_PORT].n, 0, "it ended");
    vm_ledger_start(m.vm);
    vm_live_start(m.vm);
    vm_live_stop(m.vm);
    vm_run_insns(m.vm, 3000, &m.err);
    vm_live(m.vm, &a);
    cr_expect(a.ledger.row[VM_EXIT_PORT].n >= 990, "another's goes on");
    vm_free(m.vm);
}
