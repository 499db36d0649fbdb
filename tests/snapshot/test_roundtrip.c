/*
 * tests/snapshot/test_roundtrip.c - what is saved is all there is: a machine that was saved, loaded
 * (on the same or the other engine) and saved again gives the same bytes, and goes on as if nothing
 * had happened.
 */
#include "tests/snapshot/snapshot_rig.h"

#ifndef DEMO_ROM
#error "tests/snapshot/meson.build names the demo ROM"
#endif

static const char *const engines[] = {"interp", NULL};

/* Boards and what is on them: every chip is on one of them. */
struct kind {
    const char *name;
    void (*setup)(struct machine *m);
};
static void plain(struct machine *m)
{
    m->cfg.flat_path = DEMO_ROM;
}
static void firmware(struct machine *m)
{
    m->cfg.ram_size = 16 * MIB;
}
static struct chardev nobody[4];
static void full(struct machine *m)
{
    static const struct chardev_ops ops = {0};
    m->cfg.ram_size = 32 * MIB;
    for (int k = 0; k < 4; k++) {
        nobody[k] = (struct chardev){.ops = &ops};
        m->cfg.serial[k] = &nobody[k];
    }
    m->cfg.ide[0].block = block_new_mem(4 * MIB);
    m->cfg.ide[2].cdrom = true;
    m->cfg.ide[3].block = block_new_mem(2 * MIB);
    m->cfg.ide[3].cdrom = true;
    m->cfg.floppy[0] = block_new_mem(1440 * KIB);
    m->cfg.virtio.disk[0].block = block_new_mem(4 * MIB);
    m->cfg.virtio.disk[1] = (struct vm_virtio_disk){block_new_mem(MIB), "second", 4};
    m->cfg.virtio.balloon = m->cfg.virtio.input = m->cfg.virtio.rng = true;
    m->cfg.virtio.n_ports = 2;
    m->cfg.virtio.port[0].console = true;
    m->cfg.virtio.port[1].name = "stream";
    m->cfg.sound.sb16 = m->cfg.sound.ac97 = true;
    m->cfg.nic[0] = (struct vm_nic){VM_NIC_E1000, {2, 0, 0, 0, 0, 1}, NULL};
    m->cfg.nic[1] = (struct vm_nic){VM_NIC_VIRTIO, {2, 0, 0, 0, 0, 2}, NULL};
}
static void ours(struct machine *m)
{
    plain(m);
    m->cfg.pv = "trv";
    m->cfg.pv_disk[0] = block_new_mem(MIB);
}
static void bare_metal(struct machine *m)
{
    firmware(m);
    m->cfg.pv = "none";
    m->cfg.cpu = "486";
}
static const struct kind kinds[] = {
    {"plain", plain}, {"firmware", firmware},     {"full", full},
    {"ours", ours},   {"bare metal", bare_metal},
};

static void start(struct machine *m, const struct kind *k, const char *engine)
{
    machine_init(m);
    m->cfg.no_reboot = false;
    m->cfg.any_engine = true; /* the demo asks which one runs it */
    k->setup(m);
    m->cfg.engine = engine;
    cr_assert_eq(machine_start(m), ST_OK, "%s: %s", k->name, m->err.msg);
}

static void run(struct machine *m, u64 n)
{
    enum vm_stop why = vm_run_insns(m->vm, n, &m->err);
    cr_assert(why == VM_STOP_REQUEST || why == VM_STOP_EXIT || why == VM_STOP_POWEROFF,
              "stopped by %d", why);
}

static void save(struct machine *m, const char *path)
{
    cr_assert_eq(vm_save(m->vm, path, NULL, &m->err), ST_OK, "%s", m->err.msg);
}

static void load(struct machine *m, const char *path)
{
    cr_assert_eq(vm_load(m->vm, path, 0, &m->err), ST_OK, "%s", m->err.msg);
}

/* Instructions at which machines are caught: in firmware, in loops, in the middle of devices. */
static const u64 moments[] = {0, 1, 1000, 54321, 700001, 3000017, 9000001};

/* Saved, loaded into a new machine, saved: the same bytes. This is what finds a field that a chip
 * has and its table has not, if loading leaves a trace of it. */
Test(roundtrip, save_load_save, .timeout = 600)
{
    struct folder f;
    folder_new(&f);
    for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
        struct machine m;
        u64 at = 0;
        start(&m, &kinds[k], NULL);
        for (size_t t = 0; t < ARRAY_LEN(moments); t++) {
            struct machine other;
            char what[256];
            run(&m, moments[t] - at);
            at = moments[t];
            save(&m, in(&f, "a"));
            start(&other, &kinds[k], engines[t & 1]);
            if (t & 2) /* over a machine that has run already */
                run(&other, 12345);
            load(&other, in(&f, "a"));
            save(&other, in(&f, "b"));
            cr_expect_eq(files_differ(in(&f, "a"), in(&f, "b"), what, sizeof(what)), 0,
                         "%s at %llu: %s", kinds[k].name, (unsigned long long)at, what);
            vm_free(other.vm);
        }
        vm_free(m.vm);
    }
    folder_free(&f);
}

/* The same final state, all of it, whether a run was saved and loaded on its way or not. */
Test(roundtrip, goes_on_as_if_nothing_had_happened, .timeout = 600)
{
    enum { LEG = 2500003 };
    struct folder f;
    folder_new(&f);
    for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
        struct machine straight, first, then;
        char what[256];
        start(&straight, &kinds[k], NULL);
        start(&first, &kinds[k], NULL);
        for (int leg = 0; leg < 4; leg++) {
            start(&then, &kinds[k], engines[leg & 1]);
            save(&first, in(&f, "leg"));
            vm_free(first.vm);
            load(&then, in(&f, "leg"));
            run(&then, LEG);
            run(&straight, LEG);
            first = then;
            first.cfg.debugcon = NULL;
            save(&straight, in(&f, "straight"));
            save(&first, in(&f, "pieces"));
            cr_expect_eq(files_differ(in(&f, "straight"), in(&f, "pieces"), what, sizeof(what)), 0,
                         "%s, leg %d: %s", kinds[k].name, leg, what);
        }
        vm_free(first.vm);
        vm_free(straight.vm);
    }
    folder_free(&f);
}

/* Timer interrupts, and a sum over memory that every one of them and every instruction is in. */
static void sum_rom(struct code *c)
{
    CODE(c, 0x31, 0xc0, 0x8e, 0xd8, 0x8e, 0xd0, 0xbc, 0x00, 0x70); /* ds = ss = 0, sp */
    CODE(c, 0xc7, 0x06, 0x20, 0x00, 0x00, 0x02);                   /* vector 8: F000:0200 */
    CODE(c, 0xc7, 0x06, 0x22, 0x00, 0x00, 0xf0);
    CODE(c, 0xb0, 0x11, 0xe6, 0x20, 0xb0, 0x08, 0xe6, 0x21); /* PIC: vectors from 8 */
    CODE(c, 0xb0, 0x04, 0xe6, 0x21, 0xb0, 0x01, 0xe6, 0x21, 0xb0, 0xfe, 0xe6, 0x21);
    CODE(c, 0xb0, 0x34, 0xe6, 0x43, 0xb0, 0x57, 0xe6, 0x40, 0xb0, 0x01, 0xe6, 0x40, 0xfb);
    CODE(c, 0x66, 0x69, 0xc0, 0x0d, 0x66, 0x19, 0x00); /* imul eax, 1664525 */
    CODE(c, 0x66, 0x05, 0x5f, 0xf3, 0x6e, 0x3c);       /* add eax, 1013904223 */
    CODE(c, 0x66, 0xa3, 0x00, 0x06, 0x66, 0x89, 0xc3, 0x66, 0xc1, 0xeb, 0x10);
    CODE(c, 0x89, 0xde, 0x81, 0xe6, 0xfe, 0x3f, 0x31, 0x84, 0x00, 0x10); /* xor [si+1000h], ax */
    CODE(c, 0xeb, 0xdc);
    static const u8 isr[] = {0x50, 0xff, 0x06, 0x00, 0x05, 0x66, 0x01, 0x06,
                             0x04, 0x05, 0xb0, 0x20, 0xe6, 0x20, 0x58, 0xcf};
    memcpy(c->b + 0x200, isr, sizeof(isr));
    make_rom(c);
}

/* A hundred times, at moments that nobody chose, on engines in turn. */
Test(roundtrip, a_hundred_cycles_lose_nothing, .timeout = 600)
{
    static const char *const turn[] = {NULL, "interp", "generic"};
    struct folder f;
    struct code c = {0};
    struct machine straight, m;
    char what[256];
    u64 x = 88172645463325252ull;
    u16 ticks;
    u32 sum;
    folder_new(&f);
    sum_rom(&c);
    bytes_file(in(&f, "rom"), c.b, ROM_SIZE);
    char rom[128];
    strcpy(rom, in(&f, "rom"));
    for (int k = -1; k < 100; k++) {
        struct machine *to = k < 0 ? &straight : &m;
        struct machine was = m;
        machine_init(to);
        to->cfg.flat_path = rom;
        to->cfg.any_engine = true;
        to->cfg.engine = k < 0 ? NULL : turn[k % 3];
        cr_assert_eq(machine_start(to), ST_OK, "%s", to->err.msg);
        if (k < 0)
            continue;
        if (k) {
            save(&was, in(&f, "state"));
            vm_free(was.vm);
            load(&m, in(&f, "state"));
        }
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        u64 n = 1 + x % 40000;
        run(&m, n);
        run(&straight, n);
    }
    save(&m, in(&f, "pieces"));
    save(&straight, in(&f, "straight"));
    cr_expect_eq(files_differ(in(&f, "straight"), in(&f, "pieces"), what, sizeof(what)), 0, "%s",
                 what);
    vm_read_phys(m.vm, 0x500, &ticks, 2);
    vm_read_phys(m.vm, 0x504, &sum, 4);
    cr_expect(ticks > 50 && sum, "%u interrupts came", ticks);
    vm_free(m.vm);
    vm_free(straight.vm);
    folder_free(&f);
}
