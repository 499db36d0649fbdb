/*
 * tests/machine/test_vm.c - the facade: configuration errors, running, resets, power-off, stopping,
 * time, memory.
 */
#include "tests/machine/machine_rig.h"
#include <pthread.h>
#include <time.h>

Test(vm, configuration_errors)
{
    struct machine m;
    static const struct {
        const char *machine, *engine, *cpu, *kernel, *initrd, *append, *flat, *bios;
        u64 ram;
        enum status st;
        const char *part;
    } bad[] = {
        {.machine = "q35", .st = ST_INVAL, .part = "unknown machine 'q35'"},
        {.engine = "warp", .st = ST_INVAL, .part = "unknown engine 'warp'"},
        {.cpu = "z80", .st = ST_INVAL, .part = "z80"},
        {.ram = 4096, .st = ST_INVAL, .part = "memory size"},
        {.ram = 16 * MIB + 1, .st = ST_INVAL, .part = "memory size"},
        {.ram = 65 * GIB, .st = ST_INVAL, .part = "memory size"},
        {.ram = ~0ull & PAGE_MASK, .st = ST_INVAL, .part = "memory size"},
        {.initrd = "/dev/null", .st = ST_INVAL, .part = "needs a kernel"},
        {.append = "quiet", .st = ST_INVAL, .part = "needs a kernel"},
        {.kernel = "/dev/null", .flat = "/dev/null", .st = ST_INVAL, .part = "both"},
        {.flat = "/nonexistent/rom", .st = ST_NOENT, .part = "/nonexistent/rom"},
        {.bios = "/nonexistent/bios", .st = ST_NOENT, .part = "/nonexistent/bios"},
        {.kernel = "/nonexistent/k", .st = ST_NOENT, .part = "/nonexistent/k"},
        {.kernel = "/dev/null", .st = ST_FORMAT, .part = "not a regular file"},
        {.kernel = "/tmp", .st = ST_FORMAT, .part = "not a regular file"},
    };
    for (size_t k = 0; k < ARRAY_LEN(bad); k++) {
        machine_init(&m);
        m.cfg.machine = bad[k].machine;
        m.cfg.engine = bad[k].engine;
        m.cfg.cpu = bad[k].cpu;
        m.cfg.kernel_path = bad[k].kernel;
        m.cfg.initrd_path = bad[k].initrd;
        m.cfg.append = bad[k].append;
        m.cfg.flat_path = bad[k].flat;
        m.cfg.bios_path = bad[k].bios;
        if (bad[k].ram)
            m.cfg.ram_size = bad[k].ram;
        expect_error(&m, bad[k].st, bad[k].part);
    }
}

Test(vm, firmware_files)
{
    static u8 image[8 * MIB];
    struct machine m;
    struct file f;
    static const struct {
        size_t size;
        enum status st;
        const char *part;
    } bad[] = {{0, ST_FORMAT, "is empty"},
               {1, ST_FORMAT, "multiple of 4 KiB"},
               {65535, ST_FORMAT, "multiple of 4 KiB"},
               {8 * MIB, ST_RANGE, "too large"}};
    for (size_t k = 0; k < ARRAY_LEN(bad); k++) {
        file_write(&f, image, bad[k].size);
        machine_init(&m);
        m.cfg.flat_path = f.path;
        expect_error(&m, bad[k].st, bad[k].part);
        machine_init(&m);
        m.cfg.bios_path = f.path;
        m.cfg.vgabios_path = "";
        expect_error(&m, bad[k].st, bad[k].part);
        file_remove(&f);
    }
    /* a display BIOS without its signature */
    file_write(&f, image, 4096);
    machine_init(&m);
    m.cfg.vgabios_path = f.path;
    expect_error(&m, ST_FORMAT, "not an option ROM");
    file_remove(&f);
}

Test(vm, runs_and_exits)
{
    struct machine m;
    struct code c = {0};
    struct vm_stats st;
    machine_init(&m);
    say(&c, 'h');
    say(&c, 'i');
    quit16(&c, 21);
    cr_expect_eq(run_rom(&m, &c), VM_STOP_EXIT);
    cr_expect_eq(vm_exit_code(m.vm), 43);
    cr_expect_str_eq(m.text, "hi");
    vm_stats(m.vm, &st);
    /* jmp, 2 mov, 2 out, mov, mov, out; the exit is noticed at the end of a block */
    cr_expect(st.insns >= 8 && st.insns <= 10, "%llu", (unsigned long long)st.insns);
    vm_free(m.vm);
}

/* Every way to reset, with no_reboot and then three times over. */
Test(vm, resets)
{
    enum { PORT92, KEYBOARD, CF9, TRIPLE, WAYS };
    for (int way = 0; way < WAYS; way++) {
        for (int again = 0; again < 2; again++) {
            struct machine m;
            struct code c = {0};
            machine_init(&m);
            m.cfg.no_reboot = !again;
            /* count in CMOS byte 40h, which a reset leaves alone; quit at 3 */
            CODE(&c, 0xb0, 0x40, 0xe6, 0x70, 0xe4, 0x71, 0xfe, 0xc0, 0xe6, 0x71);
            CODE(&c, 0x3c, 3, 0x72, 10); /* cmp al, 3; jb over what follows */
            quit16(&c, 1);
            say(&c, 'r');
            if (way == PORT92)
                CODE(&c, 0xb0, 1, 0xe6, 0x92);
            else if (way == KEYBOARD)
                CODE(&c, 0xb0, 0xfe, 0xe6, 0x64);
            else if (way == CF9)
                out16(&c, 0xcf9, 6);
            else
                CODE(&c, 0x2e, 0x0f, 0x01, 0x1e, 0x00, 0x80, 0xcc); /* empty IDT; int3 */
            CODE(&c, 0xfa, 0xf4, 0xeb, 0xfd);
            enum vm_stop why = run_rom(&m, &c);
            if (again) {
                cr_expect_eq(why, VM_STOP_EXIT, "way %d", way);
                cr_expect_str_eq(m.text, "rr", "way %d: %s", way, m.text);
            } else {
                cr_expect_eq(why, way == TRIPLE ? VM_STOP_TRIPLE_FAULT : VM_STOP_RESET, "way %d",
                             way);
                cr_expect_str_eq(m.text, "r");
            }
            vm_free(m.vm);
        }
    }
}

Test(vm, acpi_power_off)
{
    struct machine m;
    struct code c = {0};
    machine_init(&m);
    out16l(&c, 0xcf8, 0x80000b40); /* PMBA of the power management function */
    out16l(&c, 0xcfc, 0x601);
    out16l(&c, 0xcf8, 0x80000b80);
    out16(&c, 0xcfc, 1);
    say(&c, 'x');
    CODE(&c, 0xba, 0x04, 0x06, 0xb8, 0x00, 0x20, 0xef); /* PM1_CNT = SLP_EN, type 0 */
    say(&c, 'y');
    CODE(&c, 0xfa, 0xf4, 0xeb, 0xfd);
    cr_expect_eq(run_rom(&m, &c), VM_STOP_POWEROFF);
    cr_expect_eq(m.text[0], 'x');
    vm_free(m.vm);
}

/* 100 timer ticks, sleeping in between. */
static void tick_rom(struct code *c)
{
    CODE(c, 0x31, 0xc0, 0x8e, 0xd8, 0x8e, 0xd0, 0xbc, 0x00, 0x70); /* ds = ss = 0, sp */
    CODE(c, 0xc7, 0x06, 0x20, 0x00, 0x00, 0x02);                   /* vector 8: F000:0200 */
    CODE(c, 0xc7, 0x06, 0x22, 0x00, 0x00, 0xf0);
    CODE(c, 0xc7, 0x06, 0x00, 0x05, 0x00, 0x00);             /* the count */
    CODE(c, 0xb0, 0x11, 0xe6, 0x20, 0xb0, 0x08, 0xe6, 0x21); /* PIC: vectors from 8 */
    CODE(c, 0xb0, 0x04, 0xe6, 0x21, 0xb0, 0x01, 0xe6, 0x21, 0xb0, 0xfe, 0xe6, 0x21);
    CODE(c, 0xb0, 0x34, 0xe6, 0x43, 0xb0, 0x00, 0xe6, 0x40, 0xe6, 0x40); /* PIT: 18.2 Hz */
    CODE(c, 0xfb, 0xf4, 0x83, 0x3e, 0x00, 0x05, 100, 0x72, 0xf7);        /* sti; hlt; until 100 */
    quit16(c, 0);
    static const u8 isr[] = {0xff, 0x06, 0x00, 0x05, 0xb0, 0x20, 0xe6, 0x20, 0xcf};
    memcpy(c->b + 0x200, isr, sizeof(isr));
}

Test(vm, counted_time_is_the_same_every_time)
{
    struct vm_stats st[2];
    for (int k = 0; k < 2; k++) {
        struct machine m;
        struct code c = {0};
        machine_init(&m);
        tick_rom(&c);
        cr_expect_eq(run_rom(&m, &c), VM_STOP_EXIT);
        vm_stats(m.vm, &st[k]);
        vm_free(m.vm);
    }
    cr_expect_eq(st[0].insns, st[1].insns);
    cr_expect_eq(st[0].run_ns, st[1].run_ns);
    cr_expect_eq(st[0].interrupts, 100);
    cr_expect(st[0].run_ns > 5480000000ull && st[0].run_ns < 5510000000ull, "%llu ns",
              (unsigned long long)st[0].run_ns);
    cr_expect(st[0].halted_ns > st[0].run_ns / 100 * 99, "asleep %llu of %llu ns",
              (unsigned long long)st[0].halted_ns, (unsigned long long)st[0].run_ns);
}

Test(vm, counted_runs_draw_the_same_random_numbers)
{
    u64 got[2][2];
    for (int k = 0; k < 2; k++) {
        struct machine m;
        struct code c = {0};
        machine_init(&m);
        m.cfg.cpu = "x86-64-v3";
        for (u8 n = 0; n < 2; n++) { /* rdrand, rdseed eax; mov [5000 + 4n], eax */
            CODE(&c, 0x31, 0xc0, 0x8e, 0xd8, 0x66, 0x0f, 0xc7, n ? 0xf8 : 0xf0);
            CODE(&c, 0x66, 0xa3, (u8)(n * 4), 0x50);
        }
        quit16(&c, 0);
        cr_expect_eq(run_rom(&m, &c), VM_STOP_EXIT);
        vm_read_phys(m.vm, 0x5000, got[k], sizeof(got[k]));
        vm_free(m.vm);
    }
    cr_expect_eq(got[0][0], got[1][0]);
    cr_expect((u32)got[0][0] && got[0][0] >> 32 && (u32)got[0][0] != got[0][0] >> 32);
}

static void *stopper(void *vm)
{
    vm_stop(vm);
    return NULL;
}

static void ping(void *ctx, const void *data, u32 len)
{
    *(u32 *)ctx += len + *(const u8 *)data;
}

Test(vm, stops_from_another_thread)
{
    static const u8 loops[2][4] = {{0xeb, 0xfe, 0, 0}, {0xfa, 0xf4, 0xeb, 0xfd}}; /* spin, sleep */
    for (int k = 0; k < 2; k++) {
        struct machine m;
        struct code c = {0};
        struct file f;
        u32 got = 0;
        machine_init(&m);
        m.cfg.icount = false;
        emit(&c, loops[k], 4);
        make_rom(&c);
        file_write(&f, c.b, ROM_SIZE);
        m.cfg.flat_path = f.path;
        cr_assert_eq(machine_start(&m), ST_OK);
        file_remove(&f);
        for (int again = 0; again < 3; again++) {
            pthread_t t;
            cr_expect(vm_post(m.vm, ping, &got, "\5", 1));
            pthread_create(&t, NULL, stopper, m.vm);
            cr_expect_eq(vm_run(m.vm, &m.err), VM_STOP_REQUEST);
            pthread_join(t, NULL);
        }
        vm_reset_button(m.vm);
        cr_expect_eq(vm_run(m.vm, &m.err), VM_STOP_RESET);
        cr_expect_eq(got, 18, "posted work ran three times, not %u / 6", got);
        vm_free(m.vm);
    }
}

Test(vm, memory_layout)
{
    struct machine m;
    struct code c = {0};
    u8 b[16];
    machine_init(&m);
    m.cfg.ram_size = 5 * GIB;
    quit16(&c, 0);
    run_rom(&m, &c);
    static const struct {
        u64 at;
        bool ram;
    } probe[] = {{0, true},           {0x9ffff, true},  {0xf0000, false},     {MIB, true},
                 {3 * GIB - 1, true}, {3 * GIB, false}, {4 * GIB - 1, false}, {4 * GIB, true},
                 {6 * GIB - 1, true}, {6 * GIB, false}};
    for (size_t k = 0; k < ARRAY_LEN(probe); k++) {
        u8 v = (u8)(0x40 + k), back = 0;
        vm_write_phys(m.vm, probe[k].at, &v, 1);
        vm_read_phys(m.vm, probe[k].at, &back, 1);
        cr_expect_eq(back == v, probe[k].ram, "%llx", (unsigned long long)probe[k].at);
    }
    /* the ROM below 4 GiB is the ROM below 1 MiB */
    vm_read_phys(m.vm, 0xfffffff0, b, 16);
    cr_expect_eq(b[0], 0xea);
    vm_read_phys(m.vm, 0xffff0, b, 16);
    cr_expect_eq(b[0], 0xea);
    vm_free(m.vm);
}

Test(vm, two_machines_in_one_process)
{
    struct machine m[2];
    struct code c[2] = {{.n = 0}, {.n = 0}};
    for (int k = 0; k < 2; k++) {
        machine_init(&m[k]);
        say(&c[k], (char)('a' + k));
        quit16(&c[k], (u8)k);
        run_rom(&m[k], &c[k]);
    }
    for (int k = 0; k < 2; k++) {
        cr_expect_eq(m[k].text[0], 'a' + k);
        cr_expect_eq(vm_exit_code(m[k].vm), k * 2 + 1);
        vm_free(m[k].vm);
    }
}

/* With icount a second of virtual time is as many instructions as were asked for, exactly. */
Test(vm, speed_of_icount)
{
    static const u64 rates[] = {VM_SPEED_MIN, 333333, 4770000, 3000000000ull};
    for (size_t k = 0; k < ARRAY_LEN(rates); k++) {
        struct machine m;
        struct code c = {0};
        struct vm_stats st;
        machine_init(&m);
        m.cfg.icount_shift = 0;
        m.cfg.speed.insns_per_sec = rates[k];
        CODE(&c, 0xb9, 0xe8, 0x03, 0xe2, 0xfe); /* mov cx, 1000; loop $ */
        quit16(&c, 0);
        cr_expect_eq(run_rom(&m, &c), VM_STOP_EXIT);
        vm_stats(m.vm, &st);
        cr_expect(st.insns > 1000);
        cr_expect_eq(st.run_ns, (u64)((u128)st.insns * 1000000000 / rates[k]), "rate %llu",
                     (unsigned long long)rates[k]);
        cr_expect_not(vm_set_speed(m.vm, (struct vm_speed){.insns_per_sec = 1000000}));
        vm_free(m.vm);
    }
}

static void *late_stopper(void *vm)
{
    struct timespec ts = {.tv_nsec = 40000000};
    nanosleep(&ts, NULL);
    return stopper(vm);
}

/* A limited CPU never runs ahead of its speed, however the host's time is. */
Test(vm, speed_is_a_limit)
{
    static const struct vm_speed speeds[] = {{.insns_per_sec = 100000},
                                             {.insns_per_sec = 2000000},
                                             {.insns_per_sec = 500000, .percent = 100}};
    struct machine m;
    struct code c = {0};
    struct file f;
    machine_init(&m);
    m.cfg.icount = false;
    CODE(&c, 0xeb, 0xfe);
    make_rom(&c);
    file_write(&f, c.b, ROM_SIZE);
    m.cfg.flat_path = f.path;
    cr_assert_eq(machine_start(&m), ST_OK);
    file_remove(&f);
    for (size_t k = 0; k < ARRAY_LEN(speeds); k++) {
        struct vm_stats a, b;
        pthread_t t;
        cr_expect(vm_set_speed(m.vm, speeds[k]));
        cr_expect_eq(vm_speed(m.vm).insns_per_sec, speeds[k].insns_per_sec);
        cr_expect_eq(vm_speed(m.vm).percent, speeds[k].percent);
        vm_stats(m.vm, &a);
        pthread_create(&t, NULL, late_stopper, m.vm);
        cr_expect_eq(vm_run(m.vm, &m.err), VM_STOP_REQUEST);
        pthread_join(t, NULL);
        vm_stats(m.vm, &b);
        /* what may be caught up on, a slice, and the end of a block */
        u64 most = (b.run_ns - a.run_ns + 12000000) * speeds[k].insns_per_sec / 1000000000 + 100;
        cr_expect(b.insns - a.insns <= most, "%llu of %llu",
                  (unsigned long long)(b.insns - a.insns), (unsigned long long)most);
    }
    struct vm_stats all;
    vm_stats(m.vm, &all);
    cr_expect(all.insns > 0);
    cr_expect_not(vm_set_speed(m.vm, (struct vm_speed){.percent = 101}));
    cr_expect_not(vm_set_speed(m.vm, (struct vm_speed){.insns_per_sec = VM_SPEED_MIN - 1}));
    cr_expect(vm_set_speed(m.vm, (struct vm_speed){0}));
    vm_free(m.vm);
}

Test(vm, speed_errors)
{
    struct machine m;
    machine_init(&m);
    m.cfg.speed.percent = 50;
    expect_error(&m, ST_INVAL, "with icount");
    m.cfg.speed = (struct vm_speed){.insns_per_sec = 1000000};
    expect_error(&m, ST_INVAL, "shift");
    m.cfg.speed = (struct vm_speed){.insns_per_sec = 1};
    expect_error(&m, ST_RANGE, "speed");
    m.cfg.speed = (struct vm_speed){.percent = 101};
    expect_error(&m, ST_RANGE, "speed");
}
