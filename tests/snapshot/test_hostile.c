/*
 * tests/snapshot/test_hostile.c - files that were damaged, by accident or on purpose: all are
 * refused with one line, and the machine that was to load them is as it was.
 */
#include "tests/snapshot/snapshot_rig.h"
/* after Criterion */
#include "tests/snapshot/reseal.h"

static u64 next(u64 *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return *x;
}

static void start(struct machine *m)
{
    machine_init(m);
    m->cfg.flat_path = DEMO_ROM;
    m->cfg.any_engine = true;
    m->cfg.pv_disk[0] = block_new_mem(MIB);
    m->cfg.nic[0] = (struct vm_nic){VM_NIC_E1000, {2, 0, 0, 0, 0, 1}, NULL};
    m->cfg.virtio.rng = true;
    m->cfg.virtio.disk[0].block = block_new_mem(MIB);
    cr_assert_eq(machine_start(m), ST_OK, "%s", m->err.msg);
    vm_run_insns(m->vm, 400000, &m->err);
}

/* The n-th section header of a good file. */
static size_t section(const u8 *p, size_t size, u32 n)
{
    size_t at = sizeof(struct snap_header);
    while (n-- && at < size)
        at += sizeof(struct snap_section) + ld_u64(p + at + offsetof(struct snap_section, length));
    return at;
}

enum { DAMAGES = 8 };
/* Changes the file; *size may shrink or grow by up to 64 bytes. */
static const char *damage(u8 *p, size_t *size, u64 *seed, int how)
{
    u32 sections = ld_u32(p + offsetof(struct snap_header, sections));
    size_t a = section(p, *size, (u32)(next(seed) % sections));
    size_t b = section(p, *size, (u32)(next(seed) % sections));
    switch (how) {
    case 0:
        p[next(seed) % *size] ^= (u8)(1 << (next(seed) & 7));
        return "a bit";
    case 1:
        *size = next(seed) % *size;
        return "cut off";
    case 2:
        st_u64(p + a + offsetof(struct snap_section, length), next(seed) >> (next(seed) & 63));
        return "a length";
    case 3: {
        struct snap_section x, y;
        if (a == b)
            b = section(p, *size, a == sizeof(struct snap_header));
        memcpy(&x, p + a, sizeof(x));
        memcpy(&y, p + b, sizeof(y));
        memcpy(p + a, &y, sizeof(y));
        memcpy(p + b, &x, sizeof(x));
        return "section headers exchanged";
    }
    case 4:
        memset(p + *size, 0x5a, 64);
        *size += 1 + next(seed) % 64;
        return "something added";
    case 5: {
        size_t at = next(seed) % *size, n = 1 + next(seed) % 4096;
        n = MIN(n, *size - at);
        p[at] ^= 1;
        for (size_t k = 1; k < n; k++)
            p[at + k] = (u8)next(seed);
        return "a stretch overwritten";
    }
    case 6: {
        size_t at = next(seed) % (*size - 1), n = 1 + next(seed) % 512;
        n = MIN(n, *size - at - 1);
        memmove(p + at, p + at + n, *size - at - n);
        *size -= n;
        return "a stretch missing";
    }
    default:
        p[next(seed) % sizeof(struct snap_header)] ^= (u8)(next(seed) | 1);
        return "the header";
    }
}

Test(hostile, a_thousand_damaged_files_are_refused, .timeout = 600)
{
    struct folder f;
    struct machine m;
    char what[256];
    size_t size;
    u64 seed = 0x1234567;
    folder_new(&f);
    start(&m);
    cr_assert_eq(vm_save(m.vm, in(&f, "good"), NULL, &m.err), ST_OK);
    vm_run_insns(m.vm, 50000, &m.err);
    cr_assert_eq(vm_save(m.vm, in(&f, "before"), NULL, &m.err), ST_OK);
    u8 *good = file_bytes(in(&f, "good"), &size);
    u8 *p = malloc(size + 64);
    for (int k = 0; k < 1000; k++) {
        size_t n = size;
        memcpy(p, good, size);
        const char *how = damage(p, &n, &seed, k % DAMAGES);
        if (n == size && !memcmp(p, good, size))
            continue; /* nothing happened to it */
        bytes_file(in(&f, "bad"), p, n);
        m.err.msg[0] = 0;
        enum status st = vm_load(m.vm, in(&f, "bad"), SNAPSHOT_ANY_DISKS, &m.err);
        cr_expect_eq(st, ST_FORMAT, "%d: %s: %d %s", k, how, st, m.err.msg);
        cr_expect(m.err.msg[0] && !strchr(m.err.msg, '\n'), "%d: %s: no line", k, how);
        if (k % 50 && st == ST_FORMAT)
            continue;
        cr_assert_eq(vm_save(m.vm, in(&f, "after"), NULL, &m.err), ST_OK);
        cr_assert_eq(files_differ(in(&f, "before"), in(&f, "after"), what, sizeof(what)), 0,
                     "%d: %s: %s", k, how, what);
    }
    cr_expect_eq(vm_load(m.vm, in(&f, "good"), 0, &m.err), ST_OK, "%s", m.err.msg);
    free(good);
    free(p);
    vm_free(m.vm);
    folder_free(&f);
}

/* The sums are right and the values are not: refused or taken, and then the guest runs with them as
 * well as it can. When refused, everything is as it was. */
Test(hostile, values_made_up_with_right_sums, .timeout = 600)
{
    struct folder f;
    struct machine m;
    char what[256];
    size_t size;
    u64 seed = 0x7654321;
    int taken = 0, refused = 0;
    folder_new(&f);
    start(&m);
    cr_assert_eq(vm_save(m.vm, in(&f, "good"), NULL, &m.err), ST_OK);
    u8 *good = file_bytes(in(&f, "good"), &size);
    u8 *p = malloc(size + 64);
    for (int k = 0; k < 600; k++) {
        size_t n = size;
        memcpy(p, good, size);
        int flips = 1 + (int)(next(&seed) % 30);
        u32 sections = ld_u32(p + offsetof(struct snap_header, sections));
        size_t at = section(p, size, (u32)(next(&seed) % sections)) + sizeof(struct snap_section);
        for (int j = 0; j < flips; j++) {
            size_t place = at + next(&seed) % 3000;
            p[MIN(place, size - 1)] ^= (u8)next(&seed);
        }
        reseal(p, n);
        bytes_file(in(&f, "bad"), p, n);
        enum status st = vm_load(m.vm, in(&f, "bad"), SNAPSHOT_ANY_DISKS, &m.err);
        if (st == ST_OK) {
            taken++;
            vm_run_insns(m.vm, 3000, &m.err);
            cr_assert_eq(vm_load(m.vm, in(&f, "good"), 0, &m.err), ST_OK, "%s", m.err.msg);
        } else {
            refused++;
        }
        if (k % 20)
            continue;
        cr_assert_eq(vm_save(m.vm, in(&f, "after"), NULL, &m.err), ST_OK);
        cr_assert_eq(files_differ(in(&f, "good"), in(&f, "after"), what, sizeof(what)), 0, "%d: %s",
                     k, what);
    }
    cr_expect(taken > 20 && refused > 20, "%d taken, %d refused", taken, refused);
    free(good);
    free(p);
    vm_free(m.vm);
    folder_free(&f);
}

/* What is refused after the machine was changed: the way back. */
Test(hostile, a_chip_that_refuses_puts_everything_back)
{
    struct folder f;
    struct machine m;
    char what[256];
    size_t size;
    folder_new(&f);
    start(&m);
    cr_assert_eq(vm_save(m.vm, in(&f, "good"), NULL, &m.err), ST_OK);
    u8 *p = file_bytes(in(&f, "good"), &size);
    static const char name[] = "\003set";
    u8 *at = memmem(p, size, name, 4); /* of the keyboard's scan codes: 1 to 3 */
    cr_assert_not_null(at);
    at[4 + 9] = 77;
    reseal(p, size);
    bytes_file(in(&f, "bad"), p, size);
    vm_run_insns(m.vm, 77777, &m.err);
    cr_assert_eq(vm_save(m.vm, in(&f, "before"), NULL, &m.err), ST_OK);
    cr_expect_eq(vm_load(m.vm, in(&f, "bad"), 0, &m.err), ST_FORMAT);
    cr_expect_not_null(strstr(m.err.msg, "ps2_keyboard"), "%s", m.err.msg);
    cr_assert_eq(vm_save(m.vm, in(&f, "after"), NULL, &m.err), ST_OK);
    cr_expect_eq(files_differ(in(&f, "before"), in(&f, "after"), what, sizeof(what)), 0, "%s",
                 what);
    free(p);
    vm_free(m.vm);
    folder_free(&f);
}
