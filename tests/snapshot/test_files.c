/*
 * tests/snapshot/test_files.c - the file: what it tells, when it is refused and with which words,
 * and that a save is there as a whole or not at all.
 */
#include "tests/snapshot/snapshot_rig.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

static void start(struct machine *m)
{
    machine_init(m);
    m->cfg.flat_path = DEMO_ROM;
    m->cfg.any_engine = true;
}

static void go(struct machine *m, u64 n)
{
    cr_assert_eq(machine_start(m), ST_OK, "%s", m->err.msg);
    if (n)
        vm_run_insns(m->vm, n, &m->err);
}

static int files_in(const struct folder *f)
{
    DIR *d = opendir(f->path);
    int n = -2; /* . and .. */
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

Test(files, a_file_tells_what_it_is)
{
    static u32 picture[640 * 400];
    struct folder f;
    struct machine m;
    struct snapshot_info i;
    struct stat st;
    folder_new(&f);
    start(&m);
    m.cfg.pv_disk[0] = block_new_mem(5 * 512);
    go(&m, 100000);
    for (int k = 0; k < 640 * 400; k++)
        picture[k] = k % 640 < 320 ? 0xff8000 : 0x102030;
    struct snapshot_note note = {
        .title = "before the dragon", .picture = picture, .width = 640, .height = 400};
    cr_assert_eq(vm_save(m.vm, in(&f, "s"), &note, &m.err), ST_OK, "%s", m.err.msg);
    cr_expect_eq(files_in(&f), 1, "nothing is left beside the file");
    cr_assert_eq(stat(in(&f, "s"), &st), 0);
    cr_expect_eq(st.st_mode & 0777, 0600, "it has the guest's memory");

    cr_assert_eq(snapshot_info(in(&f, "s"), &i, &m.err), ST_OK, "%s", m.err.msg);
    cr_expect_str_eq(i.title, "before the dragon");
    cr_expect_str_eq(i.machine, "pc");
    cr_expect_str_eq(i.cpu, "x86-64");
    cr_expect_str_eq(i.pv, "trv");
    cr_expect_eq(i.ram_size, 4 * MIB);
    cr_expect_eq(i.file_size, (u64)st.st_size);
    cr_expect_eq(i.insns, vm_icount(m.vm));
    cr_expect(i.date > 1600000000);
    cr_expect_eq(i.n_disks, 1);
    cr_expect_str_eq(i.disk[0].where, "pv0");
    cr_expect_eq(i.disk[0].size, 5 * 512);
    cr_expect(i.disk[0].inside);
    cr_expect_eq(i.width, 320);
    cr_expect_eq(i.height, 200);
    cr_expect_eq(i.picture[0], 0xff8000);
    cr_expect_eq(i.picture[319], 0x102030);
    cr_expect_eq(i.picture[320 * 200 - 1], 0x102030);
    snapshot_info_free(&i);
    snapshot_info_free(&i);
    cr_expect_eq(snapshot_verify(in(&f, "s"), &m.err), ST_OK);

    /* no note, and a title that is too long */
    cr_assert_eq(vm_save(m.vm, in(&f, "s"), NULL, &m.err), ST_OK);
    cr_assert_eq(snapshot_info(in(&f, "s"), &i, &m.err), ST_OK);
    cr_expect_str_eq(i.title, "");
    cr_expect_eq(i.width, 0);
    cr_expect_null(i.picture);
    char longer[200] = {0};
    memset(longer, 'x', 199);
    note = (struct snapshot_note){.title = longer};
    cr_assert_eq(vm_save(m.vm, in(&f, "s"), &note, &m.err), ST_OK);
    cr_assert_eq(snapshot_info(in(&f, "s"), &i, &m.err), ST_OK);
    cr_expect_eq(strlen(i.title), SNAPSHOT_TITLE_MAX - 1);
    vm_free(m.vm);
    folder_free(&f);
}

Test(files, a_save_that_fails_leaves_the_old_file)
{
    struct folder f;
    struct machine m;
    folder_new(&f);
    start(&m);
    go(&m, 1000);
    cr_expect_eq(vm_save(m.vm, in(&f, "no/such/folder"), NULL, &m.err), ST_NOENT);
    cr_expect_not_null(strstr(m.err.msg, "no/such/folder"), "%s", m.err.msg);
    cr_expect_eq(vm_save(m.vm, f.path, NULL, &m.err), ST_INVAL, "a folder");
    cr_expect_eq(vm_save(m.vm, "/dev/null", NULL, &m.err), ST_INVAL, "a device");

    /* a disk that is full: a limit on file sizes stands for it */
    size_t before, after;
    cr_assert_eq(vm_save(m.vm, in(&f, "s"), NULL, &m.err), ST_OK);
    u8 *old = file_bytes(in(&f, "s"), &before);
    struct snap_writer w;
    cr_assert_eq(snap_create(&w, in(&f, "s"), &m.err), ST_OK);
    snap_begin(&w, "head", 1, SNAP_FIELDS, 0);
    close(w.fd);
    w.fd = open("/dev/full", O_WRONLY);
    snap_write(&w, old, 4096);
    snap_end(&w);
    cr_expect_eq(snap_finish(&w), ST_IO);
    u8 *new = file_bytes(in(&f, "s"), &after);
    cr_expect(before == after && !memcmp(old, new, before));
    cr_expect_eq(files_in(&f), 1);
    free(old);
    free(new);
    vm_free(m.vm);
    folder_free(&f);
}

/* A link is followed and stays. */
Test(files, links_stay)
{
    struct folder f;
    struct machine m;
    struct stat st;
    folder_new(&f);
    start(&m);
    go(&m, 1000);
    bytes_file(in(&f, "real"), "x", 1);
    cr_assert_eq(symlink("real", in(&f, "link")), 0);
    cr_assert_eq(vm_save(m.vm, in(&f, "link"), NULL, &m.err), ST_OK, "%s", m.err.msg);
    cr_assert_eq(lstat(in(&f, "link"), &st), 0);
    cr_expect(S_ISLNK(st.st_mode));
    cr_expect_eq(snapshot_verify(in(&f, "real"), &m.err), ST_OK);
    vm_free(m.vm);
    folder_free(&f);
}

static void two_disks(struct vm_config *c)
{
    c->pv_disk[0] = block_new_mem(MIB);
    c->pv_disk[1] = block_new_mem(MIB);
}
static void larger_disk(struct vm_config *c)
{
    c->pv_disk[0] = block_new_mem(2 * MIB);
}
static void one_disk(struct vm_config *c)
{
    c->pv_disk[0] = block_new_mem(MIB);
}
static void more_memory(struct vm_config *c)
{
    one_disk(c);
    c->ram_size = 8 * MIB;
}
static void other_cpu(struct vm_config *c)
{
    one_disk(c);
    c->cpu = "x86-64-v2";
}
static void linux_personality(struct vm_config *c)
{
    c->pv = "kvm";
}
static void network(struct vm_config *c)
{
    one_disk(c);
    c->nic[0] = (struct vm_nic){VM_NIC_E1000, {2, 0, 0, 0, 0, 1}, NULL};
}
static void firmware(struct vm_config *c)
{
    one_disk(c);
    c->flat_path = NULL;
    c->pv = "trv";
}

Test(files, another_machine_is_refused_with_its_difference)
{
    static const struct {
        void (*change)(struct vm_config *c);
        const char *words;
    } others[] = {
        {more_memory, "memory 4096 KiB, not 8192 KiB"},
        {other_cpu, "CPU x86-64, not x86-64-v2"},
        {linux_personality, "personality trv, not kvm"},
        {network, "it has no 'chip e1000.0'"},
        {two_disks, "it has no drive pv1"},
        {larger_disk, "drive pv0 has 'memory' of 2097152 bytes, not 'memory' of 1048576"},
        {firmware, "'memory bios' has"},
    };
    struct folder f;
    struct machine m;
    folder_new(&f);
    start(&m);
    one_disk(&m.cfg);
    go(&m, 300000);
    cr_assert_eq(vm_save(m.vm, in(&f, "s"), NULL, &m.err), ST_OK);
    vm_free(m.vm);
    for (size_t k = 0; k < ARRAY_LEN(others); k++) {
        char what[256];
        start(&m);
        others[k].change(&m.cfg);
        go(&m, 20000);
        cr_assert_eq(vm_save(m.vm, in(&f, "before"), NULL, &m.err), ST_OK);
        cr_expect_eq(vm_load(m.vm, in(&f, "s"), SNAPSHOT_ANY_DISKS, &m.err), ST_INVAL, "%zu", k);
        cr_expect_not_null(strstr(m.err.msg, others[k].words), "%s", m.err.msg);
        cr_expect_null(strchr(m.err.msg, '\n'));
        cr_assert_eq(vm_save(m.vm, in(&f, "after"), NULL, &m.err), ST_OK);
        cr_expect_eq(files_differ(in(&f, "before"), in(&f, "after"), what, sizeof(what)), 0, "%s",
                     what);
        vm_free(m.vm);
    }
    /* and the other way round: what is in the file and not in the machine */
    start(&m);
    network(&m.cfg);
    go(&m, 1000);
    cr_assert_eq(vm_save(m.vm, in(&f, "s"), NULL, &m.err), ST_OK);
    vm_free(m.vm);
    start(&m);
    one_disk(&m.cfg);
    go(&m, 1000);
    cr_expect_eq(vm_load(m.vm, in(&f, "s"), 0, &m.err), ST_INVAL);
    cr_expect_not_null(strstr(m.err.msg, "e1000"), "%s", m.err.msg);
    vm_free(m.vm);
    folder_free(&f);
}

static struct block *raw(const char *path, bool snapshot)
{
    struct block *b;
    struct error err;
    cr_assert_eq(block_open_raw(path, false, snapshot, &b, &err), ST_OK, "%s", err.msg);
    return b;
}

/* Images are not in the file; one that was written to since is refused unless that is asked for. */
Test(files, a_disk_that_has_changed_is_refused)
{
    struct folder f;
    struct machine m;
    u8 sector[512] = {1};
    folder_new(&f);
    bytes_file(in(&f, "disk"), sector, sizeof(sector));
    start(&m);
    m.cfg.pv_disk[0] = raw(in(&f, "disk"), false);
    go(&m, 1000);
    cr_assert_eq(vm_save(m.vm, in(&f, "s"), NULL, &m.err), ST_OK);
    cr_expect_eq(vm_load(m.vm, in(&f, "s"), 0, &m.err), ST_OK, "%s", m.err.msg);
    struct timespec later[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 2000000000}};
    cr_assert_eq(utimensat(AT_FDCWD, in(&f, "disk"), later, 0), 0);
    cr_expect_eq(vm_load(m.vm, in(&f, "s"), 0, &m.err), ST_BUSY);
    cr_expect_not_null(strstr(m.err.msg, "has been written to since"), "%s", m.err.msg);
    cr_expect_eq(vm_load(m.vm, in(&f, "s"), SNAPSHOT_ANY_DISKS, &m.err), ST_OK);
    vm_free(m.vm);
    folder_free(&f);
}

/* With snapshot=on the writes are in the file, and come back with it. */
Test(files, kept_writes_are_in_the_file)
{
    struct folder f;
    struct machine m;
    static u8 image[64 * 1024], got[512], one[512], two[512];
    folder_new(&f);
    memset(image, 'i', sizeof(image));
    memset(one, '1', 512);
    memset(two, '2', 512);
    bytes_file(in(&f, "disk"), image, sizeof(image));
    start(&m);
    struct block *b = m.cfg.pv_disk[0] = raw(in(&f, "disk"), true);
    go(&m, 1000);
    cr_assert_eq(block_write(b, 512, one, 512), ST_OK);
    cr_assert_eq(vm_save(m.vm, in(&f, "s"), NULL, &m.err), ST_OK);
    cr_assert_eq(block_write(b, 512, two, 512), ST_OK);
    cr_assert_eq(block_write(b, 60000 / 512 * 512, two, 512), ST_OK);
    cr_assert_eq(vm_load(m.vm, in(&f, "s"), 0, &m.err), ST_OK, "%s", m.err.msg);
    block_read(b, 512, got, 512);
    cr_expect(!memcmp(got, one, 512));
    block_read(b, 60000 / 512 * 512, got, 512);
    cr_expect(!memcmp(got, image, 512), "written after the save: gone");
    vm_free(m.vm);
    /* in a new process, as it were */
    start(&m);
    b = m.cfg.pv_disk[0] = raw(in(&f, "disk"), true);
    go(&m, 0);
    cr_assert_eq(vm_load(m.vm, in(&f, "s"), 0, &m.err), ST_OK, "%s", m.err.msg);
    block_read(b, 512, got, 512);
    cr_expect(!memcmp(got, one, 512));
    vm_free(m.vm);
    /* without snapshot=on there is no place for them */
    start(&m);
    m.cfg.pv_disk[0] = raw(in(&f, "disk"), false);
    go(&m, 0);
    cr_expect_eq(vm_load(m.vm, in(&f, "s"), 0, &m.err), ST_INVAL);
    cr_expect_not_null(strstr(m.err.msg, "snapshot=on"), "%s", m.err.msg);
    vm_free(m.vm);
    folder_free(&f);
}
