/*
 * tests/machine/test_loaders.c - direct boot of bzImage and PVH kernels made here, and of files
 * that only look like them.
 */
#include "tests/machine/machine_rig.h"

enum { SETUP = 1024, KERNEL = 512, IMAGE = SETUP + KERNEL };

static u32 seed_next(u32 *s)
{
    return *s = *s * 1664525u + 1013904223u;
}

/* A bzImage of protocol 2.12 whose kernel writes one byte of what ESI (EBX for PVH) leads to. */
static void make_bzimage(u8 *d, const u8 *code, size_t n)
{
    memset(d, 0, IMAGE);
    d[0x1f1] = 1;
    st_u32(d + 0x1f4, KERNEL / 16);
    st_u16(d + 0x1fe, 0xaa55);
    d[0x200] = 0xeb;
    d[0x201] = 0x66;
    memcpy(d + 0x202, "HdrS", 4);
    st_u16(d + 0x206, 0x20c);
    d[0x211] = 1;
    st_u32(d + 0x214, 0x100000);
    st_u32(d + 0x22c, 0x7fffffff);
    st_u32(d + 0x230, 0x1000);
    d[0x234] = 1;
    st_u32(d + 0x238, 255);
    st_u64(d + 0x258, 0x100000);
    st_u32(d + 0x260, 0x4000);
    memcpy(d + SETUP, code, n);
}

/* mov ebx,[esi+disp]; mov al,[ebx]; mov dx,501h; out dx,al; hlt */
#define FOLLOW(disp)                                                                               \
    {                                                                                              \
        0x8b, 0x9e, (u8)(disp), (u8)((disp) >> 8), 0, 0, 0x8a, 0x03, 0x66, 0xba, 0x01, 0x05, 0xee, \
            0xf4                                                                                   \
    }

static void boot(struct machine *m, const void *image, size_t n, struct file *f)
{
    file_write(f, image, n);
    m->cfg.kernel_path = f->path;
}

Test(linux_boot, command_line_and_initrd_arrive)
{
    static const u8 follow[2][14] = {FOLLOW(0x228), FOLLOW(0x218)};
    for (int k = 0; k < 2; k++) {
        struct machine m;
        struct file f, rd;
        u8 d[IMAGE];
        machine_init(&m);
        make_bzimage(d, follow[k], sizeof(follow[k]));
        boot(&m, d, sizeof(d), &f);
        file_write(&rd, "\x15 ramdisk", 9);
        m.cfg.initrd_path = rd.path;
        m.cfg.append = "\x22 console=none";
        cr_assert_eq(machine_start(&m), ST_OK, "%s", m.err.msg);
        cr_expect_eq(vm_run(m.vm, &m.err), VM_STOP_EXIT);
        cr_expect_eq(vm_exit_code(m.vm), (k ? 0x15 : 0x22) * 2 + 1);
        vm_free(m.vm);
        file_remove(&f);
        file_remove(&rd);
    }
}

Test(linux_boot, text_screen_is_there)
{
    /* mov dword [b8000h], 1f421f41h; out 501h */
    static const u8 code[] = {0xc7, 0x05, 0x00, 0x80, 0x0b, 0x00, 0x41, 0x1f,
                              0x42, 0x1f, 0x66, 0xba, 0x01, 0x05, 0xee, 0xf4};
    struct machine m;
    struct file f;
    u8 d[IMAGE];
    int cols, rows, x, y;
    machine_init(&m);
    make_bzimage(d, code, sizeof(code));
    boot(&m, d, sizeof(d), &f);
    cr_assert_eq(machine_start(&m), ST_OK, "%s", m.err.msg);
    cr_expect_eq(vm_run(m.vm, &m.err), VM_STOP_EXIT);
    struct screen *s = vm_screen(m.vm);
    const u16 *t = s->text(s->ctx, &cols, &rows, &x, &y);
    cr_assert(t);
    cr_expect_eq(cols * rows, 2000);
    cr_expect_eq(t[0], 0x1f41);
    cr_expect_eq(t[1], 0x1f42);
    cr_expect_eq(t[2], 0x0720);
    vm_free(m.vm);
    file_remove(&f);
}

Test(linux_boot, files_that_are_wrong)
{
    static const struct {
        int off, size; /* what is patched; size 0: the file's length is `val` */
        u64 val;
        enum status st;
        const char *part;
    } bad[] = {
        {0x1fe, 2, 0, ST_FORMAT, "neither a Linux bzImage nor an ELF"},
        {0x202, 4, 0x12345678, ST_FORMAT, "neither a Linux bzImage"},
        {0x206, 2, 0x201, ST_FORMAT, "too old"},
        {0x211, 1, 0, ST_FORMAT, "zImage"},
        {0x1f1, 1, 200, ST_FORMAT, "truncated"},
        {0x1f1, 1, 0, ST_FORMAT, "truncated"}, /* 0 means 4 sectors */
        {0x1f4, 4, 0xffffffff, ST_FORMAT, "truncated"},
        {0x1f4, 4, 1000, ST_FORMAT, "truncated"},
        {0x260, 4, 0xffffffff, ST_RANGE, "memory"},
        {0x260, 4, 8 * MIB, ST_RANGE, "needs"},
        {0x238, 4, 2, ST_RANGE, "command line"},
        {0, 0, 1, ST_FORMAT, "neither"},
        {0, 0, 512, ST_FORMAT, "neither"},
        {0, 0, 0x268, ST_FORMAT, "neither"},
        {0, 0, SETUP, ST_FORMAT, "truncated"},
        {0, 0, SETUP + KERNEL / 2, ST_FORMAT, "truncated"},
    };
    for (size_t k = 0; k < ARRAY_LEN(bad); k++) {
        static const u8 code[14] = FOLLOW(0x228);
        struct machine m;
        struct file f;
        u8 d[IMAGE];
        machine_init(&m);
        m.cfg.append = "quiet";
        make_bzimage(d, code, sizeof(code));
        if (bad[k].size)
            st_le(d + bad[k].off, bad[k].val, bad[k].size);
        boot(&m, d, bad[k].size ? sizeof(d) : (size_t)bad[k].val, &f);
        expect_error(&m, bad[k].st, bad[k].part);
        file_remove(&f);
    }
}

Test(linux_boot, initrd_must_fit)
{
    static const u8 code[14] = FOLLOW(0x228);
    static u8 big[5 * MIB];
    struct machine m;
    struct file f, rd;
    u8 d[IMAGE];
    machine_init(&m);
    make_bzimage(d, code, sizeof(code));
    boot(&m, d, sizeof(d), &f);
    file_write(&rd, big, sizeof(big));
    m.cfg.initrd_path = rd.path;
    expect_error(&m, ST_RANGE, "does not fit");
    m.cfg.initrd_path = "/nonexistent/initrd";
    expect_error(&m, ST_NOENT, "/nonexistent/initrd");
    /* an address limit below the kernel */
    st_u32(d + 0x22c, 0x1000);
    file_remove(&f);
    boot(&m, d, sizeof(d), &f);
    m.cfg.initrd_path = f.path;
    expect_error(&m, ST_RANGE, "does not fit");
    file_remove(&f);
    file_remove(&rd);
}

/* ---- PVH ----------------------------------------------------------------------------------- */
enum { ELF_SIZE = 0x200, ELF_CODE = 0x180, ELF_NOTE = 0x140, ENTRY = 0x200000 };

static void make_elf(u8 *d, bool is64)
{
    /* mov ebx,[ebx+24]; mov al,[ebx]; mov dx,501h; out dx,al; hlt: the command line */
    static const u8 code[] = {0x8b, 0x5b, 0x18, 0x8a, 0x03, 0x66, 0xba, 0x01, 0x05, 0xee, 0xf4};
    memset(d, 0, ELF_SIZE);
    memcpy(d, "\177ELF", 4);
    d[4] = is64 ? 2 : 1;
    d[5] = d[6] = 1;
    st_u16(d + 16, 2);
    st_u16(d + 18, is64 ? 62 : 3);
    st_u32(d + 20, 1);
    const struct {
        u32 type, off, addr, size, mem;
    } ph[2] = {{1, ELF_CODE, ENTRY, sizeof(code), 0x1000}, {4, ELF_NOTE, 0, 20, 20}};
    for (int k = 0; k < 2; k++) {
        u8 *p = d + 64 + k * (is64 ? 56 : 32);
        st_u32(p, ph[k].type);
        if (is64) {
            st_u64(p + 8, ph[k].off);
            st_u64(p + 24, ph[k].addr);
            st_u64(p + 32, ph[k].size);
            st_u64(p + 40, ph[k].mem);
        } else {
            st_u32(p + 4, ph[k].off);
            st_u32(p + 12, ph[k].addr);
            st_u32(p + 16, ph[k].size);
            st_u32(p + 20, ph[k].mem);
        }
    }
    if (is64) {
        st_u64(d + 32, 64);
        st_u16(d + 54, 56);
        st_u16(d + 56, 2);
    } else {
        st_u32(d + 28, 64);
        st_u16(d + 42, 32);
        st_u16(d + 44, 2);
    }
    st_u32(d + ELF_NOTE, 4);
    st_u32(d + ELF_NOTE + 4, 4);
    st_u32(d + ELF_NOTE + 8, 18);
    memcpy(d + ELF_NOTE + 12, "Xen", 4);
    st_u32(d + ELF_NOTE + 16, ENTRY);
    memcpy(d + ELF_CODE, code, sizeof(code));
}

Test(pvh, boots)
{
    for (int is64 = 0; is64 < 2; is64++) {
        struct machine m;
        struct file f;
        u8 d[ELF_SIZE];
        machine_init(&m);
        make_elf(d, is64);
        boot(&m, d, sizeof(d), &f);
        m.cfg.append = "\x33";
        cr_assert_eq(machine_start(&m), ST_OK, "%s", m.err.msg);
        cr_expect_eq(vm_run(m.vm, &m.err), VM_STOP_EXIT);
        cr_expect_eq(vm_exit_code(m.vm), 0x67);
        vm_free(m.vm);
        file_remove(&f);
    }
}

Test(pvh, files_that_are_wrong)
{
    static const struct {
        int off, size;
        u64 val;
        enum status st;
        const char *part;
    } bad[] = {
        {4, 1, 3, ST_FORMAT, "ELF"},
        {5, 1, 2, ST_FORMAT, "little-endian"},
        {32, 8, ~0ull, ST_FORMAT, "program header"},
        {32, 8, ELF_SIZE - 8, ST_FORMAT, "program header"},
        {56, 2, 0xffff, ST_FORMAT, ""},
        {56, 2, 1, ST_FORMAT, "PVH"},
        {64 + 8, 8, ~0ull - 4, ST_FORMAT, "program header"},
        {64 + 32, 8, ~0ull, ST_FORMAT, "program header"},
        {64 + 40, 8, 1, ST_FORMAT, "damaged"},
        {64 + 40, 8, ~0ull, ST_RANGE, "does not fit"},
        {64 + 24, 8, 0xffffffffffff0000, ST_RANGE, "does not fit"},
        {64 + 24, 8, 0, ST_RANGE, "does not fit"},
        {64 + 24, 8, 4 * MIB, ST_RANGE, "does not fit"},
        {ELF_NOTE, 4, 0xffffffff, ST_FORMAT, "PVH"},
        {ELF_NOTE + 4, 4, 0xfffffffe, ST_FORMAT, "PVH"},
        {ELF_NOTE + 8, 4, 17, ST_FORMAT, "PVH"},
        {ELF_NOTE + 12, 4, 0, ST_FORMAT, "PVH"},
    };
    for (size_t k = 0; k < ARRAY_LEN(bad); k++) {
        struct machine m;
        struct file f;
        u8 d[ELF_SIZE];
        machine_init(&m);
        make_elf(d, true);
        st_le(d + bad[k].off, bad[k].val, bad[k].size);
        boot(&m, d, sizeof(d), &f);
        expect_error(&m, bad[k].st, bad[k].part);
        file_remove(&f);
    }
}

/* Noise in the headers: whatever comes, it is an error or a machine. */
Test(loaders, noise, .timeout = 60)
{
    u32 seed = 1;
    for (int k = 0; k < 400; k++) {
        static const u8 code[14] = FOLLOW(0x228);
        struct machine m;
        struct file f;
        u8 d[IMAGE];
        size_t n = k & 1 ? (size_t)ELF_SIZE : (size_t)IMAGE;
        machine_init(&m);
        if (k & 1)
            make_elf(d, k & 2);
        else
            make_bzimage(d, code, sizeof(code));
        for (int j = 0; j < 6; j++) {
            u32 r = seed_next(&seed);
            u32 at = k & 1 ? 16 + (r >> 8) % (ELF_CODE - 16) : 0x1f1 + (r >> 8) % 0x77;
            d[at] = (u8)(r & 0x80 ? r >> 24 : r & 0x40 ? 0xff : 0);
        }
        if (seed_next(&seed) >> 28 == 0)
            n = seed_next(&seed) % n + 1;
        boot(&m, d, n, &f);
        m.cfg.initrd_path = k % 5 ? NULL : f.path;
        m.cfg.append = "quiet";
        if (machine_start(&m) == ST_OK)
            vm_free(m.vm);
        else
            cr_expect(m.err.msg[0] && !strchr(m.err.msg, '\n'));
        file_remove(&f);
    }
}
