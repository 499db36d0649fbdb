/*
 * tests/machine/test_microvm.c - the board without legacy: what it refuses, its ends, its tables.
 */
#include "tests/machine/machine_rig.h"

enum { SETUP = 1024, KERNEL = 512, IMAGE = SETUP + KERNEL };

/* A bzImage whose kernel is this 32-bit code. */
static void kernel(struct machine *m, struct file *f, const u8 *code, size_t n)
{
    u8 d[IMAGE] = {0};
    d[0x1f1] = 1;
    st_u32(d + 0x1f4, KERNEL / 16);
    st_u16(d + 0x1fe, 0xaa55);
    memcpy(d + 0x202, "HdrS", 4);
    st_u16(d + 0x206, 0x202);
    d[0x211] = 1;
    memcpy(d + SETUP, code, n);
    file_write(f, d, sizeof(d));
    m->cfg.machine = "microvm";
    m->cfg.cpu = "x86-64-v2";
    m->cfg.kernel_path = f->path;
}
#define KERNEL_OF(m, f, ...)                                                                       \
    kernel(m, f, (const u8[]){__VA_ARGS__}, sizeof((const u8[]){__VA_ARGS__}))

Test(microvm, refuses_what_it_has_not)
{
    struct machine m;
    struct file f;
    machine_init(&m);
    m.cfg.machine = "microvm";
    expect_error(&m, ST_INVAL, "-kernel");
    KERNEL_OF(&m, &f, 0xf4);
    m.cfg.ide[2].cdrom = true;
    expect_error(&m, ST_UNSUP, "if=virtio");
    m.cfg.ide[2].cdrom = false;
    m.cfg.cpu = "486";
    expect_error(&m, ST_UNSUP, "APIC");
    file_remove(&f);
}

/* mov dx, 604h; mov ax, 2000h; out dx, ax: SLP_EN */
Test(microvm, power_off)
{
    struct machine m;
    struct file f;
    machine_init(&m);
    KERNEL_OF(&m, &f, 0x66, 0xba, 0x04, 0x06, 0x66, 0xb8, 0x00, 0x20, 0x66, 0xef, 0xf4);
    cr_assert_eq(machine_start(&m), ST_OK, "%s", m.err.msg);
    cr_expect_eq(vm_run(m.vm, &m.err), VM_STOP_POWEROFF);
    vm_free(m.vm);
    file_remove(&f);
}

/* mov al, 3; out 92h, al */
Test(microvm, reset)
{
    struct machine m;
    struct file f;
    machine_init(&m);
    KERNEL_OF(&m, &f, 0xb0, 0x03, 0xe6, 0x92, 0xf4);
    cr_assert_eq(machine_start(&m), ST_OK, "%s", m.err.msg);
    cr_expect_eq(vm_run(m.vm, &m.err), VM_STOP_RESET);
    vm_free(m.vm);
    file_remove(&f);
}

/* Finds bytes in the tables' segment; 0: not there. */
static u32 find(struct machine *m, const char *what, u32 from)
{
    static u8 t[0x10000];
    size_t n = strlen(what);
    vm_read_phys(m->vm, 0xf0000, t, sizeof(t));
    for (u32 k = from; k + n < sizeof(t); k++)
        if (!memcmp(t + k, what, n))
            return k;
    return 0;
}

Test(microvm, tables_name_what_is_there)
{
    struct machine m;
    struct file f;
    u8 fadt[244], magic[8];
    machine_init(&m);
    KERNEL_OF(&m, &f, 0xf4);
    m.cfg.virtio.rng = true;
    cr_assert_eq(machine_start(&m), ST_OK, "%s", m.err.msg);
    u32 slot = find(&m, "LNRO0005", 1);
    cr_expect(slot, "the entropy source's slot");
    cr_expect_eq(find(&m, "LNRO0005", slot + 1), 0, "one");
    cr_expect_eq(find(&m, "PCI0", 1), 0);
    vm_read_phys(m.vm, 0xf0000 + find(&m, "FACP", 1), fadt, sizeof(fadt));
    cr_expect_eq(ld_u32(fadt + 48), 0, "always in ACPI mode");
    cr_expect_eq(fadt[109], 0x24, "no VGA, no RTC");
    cr_expect_eq(fadt[128], 3, "what port 92h resets by");
    vm_read_phys(m.vm, 0xfeb00000, magic, 8);
    cr_expect_eq(ld_u32(magic), 0x74726976);
    vm_read_phys(m.vm, 0xfeb00200, magic, 8);
    cr_expect_eq(ld_u32(magic), 0xffffffff, "nothing in the second");
    vm_free(m.vm);
    file_remove(&f);
}
