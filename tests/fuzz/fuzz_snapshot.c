/*
 * tests/fuzz/fuzz_snapshot.c - files that say they are snapshots.
 *
 * Input: a byte that chooses, then either the whole file, or edits of a good one: u8 which section,
 * u16 where in it, u8 how many bytes, those bytes. Unless the choice says otherwise sums are made
 * right, so that what is behind them is reached. A file is refused and the machine is as it was, or
 * it is loaded and the guest runs a while; then a good file must be loadable again.
 */
#include "machine/snapshot.h"
#include "machine/lockstep.h"
#include "machine/vm.h"
#include "tests/fuzz/fuzz.h"
#include "base/bits.h"
#include "tests/snapshot/reseal.h"

#include <sys/mman.h>
#include <unistd.h>

enum { KEEP_SUMS = 1, WHOLE_FILE = 2, FILE_MAX = 1 << 20, INSNS = 2000 };

static struct fuzz {
    struct vm *vm;
    u8 *good;
    size_t size;
    char good_path[64], path[64];
    int fd;
} fz;

/* A program that does something with memory for ever. */
static const u8 program[] = {0x31, 0xc0, 0x8e, 0xd8, 0x40, 0x89, 0xc3, 0x81, 0xe3,
                             0xfe, 0x7f, 0x31, 0x87, 0x00, 0x10, 0xeb, 0xf3};

static void write_all(int fd, const u8 *p, size_t n)
{
    MUST(ftruncate(fd, 0) == 0);
    MUST(pwrite(fd, p, n, 0) == (ssize_t)n);
}

static void start(void)
{
    struct vm_config c;
    struct error err;
    static u8 rom[65536];
    char rom_path[64], state[] = "/tmp/trivisor-fuzz-XXXXXX";
    memcpy(rom, program, sizeof(program));
    memcpy(rom + 0xfff0, "\xea\x00\x00\x00\xf0", 5);
    int fd = memfd_create("rom", 0), tmp = mkstemp(state);
    MUST(fd >= 0 && tmp >= 0);
    write_all(fd, rom, sizeof(rom));
    snprintf(rom_path, sizeof(rom_path), "/proc/self/fd/%d", fd);
    vm_config_init(&c);
    c.flat_path = rom_path;
    c.vgabios_path = "";
    c.ram_size = MIB;
    c.cpu = "x86-64";
    c.pv = "kvm";
    c.icount = c.any_engine = true;
    c.ide[0].block = block_new_mem(MIB);
    c.ide[2].cdrom = true;
    c.floppy[0] = block_new_mem(1440 * KIB);
    c.virtio.disk[0].block = block_new_mem(MIB);
    c.virtio.rng = c.virtio.balloon = c.virtio.input = true;
    c.virtio.n_ports = 1;
    c.virtio.port[0].console = true;
    c.sound.sb16 = true;
    c.nic[0] = (struct vm_nic){VM_NIC_E1000, {2, 0, 0, 0, 0, 1}, NULL};
    c.nic[1] = (struct vm_nic){VM_NIC_VIRTIO, {2, 0, 0, 0, 0, 2}, NULL};
    MUST(vm_new(&c, &fz.vm, &err) == ST_OK);
    close(fd);
    vm_run_insns(fz.vm, 5000, &err);
    MUST(vm_save(fz.vm, state, NULL, &err) == ST_OK);
    close(tmp);
    FILE *f = fopen(state, "rb");
    MUST(f != NULL);
    fz.good = malloc(FILE_MAX);
    fz.size = fread(fz.good, 1, FILE_MAX, f);
    fclose(f);
    unlink(state);
    fd = memfd_create("good", 0);
    write_all(fd, fz.good, fz.size);
    snprintf(fz.good_path, sizeof(fz.good_path), "/proc/self/fd/%d", fd);
    fz.fd = memfd_create("file", 0);
    snprintf(fz.path, sizeof(fz.path), "/proc/self/fd/%d", fz.fd);
}

static size_t section(const u8 *p, size_t size, u32 n)
{
    size_t at = sizeof(struct snap_header);
    for (n %= ld_u32(p + offsetof(struct snap_header, sections)); n; n--)
        at += sizeof(struct snap_section) + ld_u64(p + at + offsetof(struct snap_section, length));
    return MIN(at, size);
}

static void edit(u8 *p, size_t size, const u8 *data, size_t n)
{
    while (n >= 4) {
        size_t at =
            section(fz.good, fz.size, data[0]) + sizeof(struct snap_section) + ld_u16(data + 1);
        size_t len = MIN((size_t)data[3], n - 4);
        if (at < size)
            memcpy(p + at, data + 4, MIN(len, size - at));
        data += 4 + len;
        n -= 4 + len;
    }
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    struct error err = {{0}};
    struct snapshot_info i;
    if (!fz.vm)
        start();
    if (!size || size > FILE_MAX)
        return 0;
    bool whole = data[0] & WHOLE_FILE;
    size_t n = whole ? size - 1 : fz.size;
    u8 *p = malloc(n + 1);
    MUST(p != NULL);
    memcpy(p, whole ? data + 1 : fz.good, n);
    if (!whole)
        edit(p, n, data + 1, size - 1);
    if (!(data[0] & KEEP_SUMS))
        reseal(p, n);
    write_all(fz.fd, p, n);
    free(p);

    if (snapshot_info(fz.path, &i, &err) == ST_OK) {
        MUST(strlen(i.title) < sizeof(i.title) && i.n_disks <= SNAPSHOT_DISKS_MAX);
        snapshot_info_free(&i);
    } else {
        MUST(err.msg[0] && !strchr(err.msg, '\n'));
    }
    u64 before = 0, after = 0;
    vm_read_phys(fz.vm, 0x1000, &before, 8);
    if (vm_load(fz.vm, fz.path, SNAPSHOT_ANY_DISKS, &err) == ST_OK) {
        vm_run_insns(fz.vm, INSNS, &err);
    } else {
        vm_read_phys(fz.vm, 0x1000, &after, 8);
        MUST(before == after);
    }
    MUST(vm_load(fz.vm, fz.good_path, SNAPSHOT_ANY_DISKS, &err) == ST_OK);
    return 0;
}
