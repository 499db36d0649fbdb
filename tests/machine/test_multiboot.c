/*
 * tests/machine/test_multiboot.c - Multiboot kernels made here: what they are handed, what their
 * headers may ask for, files that only look like them, and the PCI bus they find.
 */
#include "tests/machine/machine_rig.h"

enum { HEADER = 64, CODE_AT = 0x100, SIZE = 0x200, LOAD = 0x200000, MAGIC = 0x1badb002 };

/* cmp eax,2badb002h; jne to hlt; mov ebx,[ebx+disp]; mov al,[ebx+from]; mov dx,501h; out dx,al */
#define FOLLOW(disp, from)                                                                         \
    {                                                                                              \
        0x3d, 0x02, 0xb0, 0xad, 0x2b, 0x75, 14, 0x8b, 0x9b, (u8)(disp), 0, 0, 0, 0x8a, 0x43,       \
            (u8)(from), 0x66, 0xba, 0x01, 0x05, 0xee, 0xf4                                         \
    }
enum { FOLLOW_SIZE = 22 };

static void make(u8 *d, u32 flags, const u8 *code, size_t n)
{
    memset(d, 0, SIZE);
    st_u32(d + HEADER, MAGIC);
    st_u32(d + HEADER + 4, flags);
    st_u32(d + HEADER + 8, 0u - (u32)MAGIC - flags);
    st_u32(d + HEADER + 12, LOAD + HEADER);
    st_u32(d + HEADER + 16, LOAD);
    st_u32(d + HEADER + 20, LOAD + SIZE);
    st_u32(d + HEADER + 24, LOAD + 0x3000);
    st_u32(d + HEADER + 28, LOAD + CODE_AT);
    memcpy(d + CODE_AT, code, n);
}

/* The same as an ELF file whose linear addresses lie 256 MiB above the physical ones. */
static void make_elf(u8 *d, bool is64, const u8 *code, size_t n)
{
    u32 up = 0x10000000;
    u8 *p = d + 0x80;
    make(d, 3, code, n);
    memset(d + HEADER + 12, 0, 20);
    memcpy(d, "\177ELF", 4);
    d[4] = is64 ? 2 : 1;
    d[5] = d[6] = 1;
    st_u32(d + 24, up + LOAD + CODE_AT);
    st_u32(p, 1);
    if (is64) {
        st_u64(d + 32, 0x80);
        st_u16(d + 56, 1);
        st_u64(p + 16, up + LOAD);
        st_u64(p + 24, LOAD);
        st_u64(p + 32, SIZE);
        st_u64(p + 40, 0x3000);
    } else {
        st_u32(d + 28, 0x80);
        st_u16(d + 44, 1);
        st_u32(p + 8, up + LOAD);
        st_u32(p + 12, LOAD);
        st_u32(p + 16, SIZE);
        st_u32(p + 20, 0x3000);
    }
}

static void boot(struct machine *m, const void *image, size_t n, struct file *f)
{
    file_write(f, image, n);
    m->cfg.kernel_path = f->path;
}

static void expect_code(struct machine *m, int code)
{
    cr_assert_eq(machine_start(m), ST_OK, "%s", m->err.msg);
    cr_expect_eq(vm_run(m->vm, &m->err), VM_STOP_EXIT);
    cr_expect_eq(vm_exit_code(m->vm), code * 2 + 1);
    vm_free(m->vm);
}

Test(multiboot, information_arrives)
{
    static const struct {
        u8 code[FOLLOW_SIZE];
        int says;
    } part[] = {
        {FOLLOW(16, 0), '/'},        /* command line: the file's name first */
        {FOLLOW(64, 0), 't'},        /* the loader's name */
        {FOLLOW(48, 0), 20},         /* memory map: size of the first entry */
        {FOLLOW(48, 24 + 4 + 2), 9}, /* address of the second: 9fc00h */
    };
    for (size_t k = 0; k < ARRAY_LEN(part); k++) {
        struct machine m;
        struct file f;
        u8 d[SIZE];
        machine_init(&m);
        make(d, 1 << 16 | 3, part[k].code, FOLLOW_SIZE);
        boot(&m, d, sizeof(d), &f);
        expect_code(&m, part[k].says);
        file_remove(&f);
    }
}

Test(multiboot, elf_files)
{
    static const u8 code[] = FOLLOW(64, 1);
    for (int is64 = 0; is64 < 2; is64++) {
        struct machine m;
        struct file f;
        u8 d[SIZE];
        machine_init(&m);
        make_elf(d, is64, code, sizeof(code));
        boot(&m, d, sizeof(d), &f);
        expect_code(&m, 'r');
        file_remove(&f);
    }
}

/* mov ebx,[ebx+24]; mov ebx,[ebx+16*n+off]; mov al,[ebx+from]; mov dx,501h; out dx,al */
Test(multiboot, modules)
{
    static const struct {
        u8 entry, from;
        int says;
    } part[] = {{0, 1, 'n'}, {16, 1, 'w'}, {16 + 8, 0, '/'}};
    for (size_t k = 0; k < ARRAY_LEN(part); k++) {
        const u8 code[] = {0x8b,         0x5b, 0x18, 0x8b, 0x5b, part[k].entry, 0x8a, 0x43,
                           part[k].from, 0x66, 0xba, 0x01, 0x05, 0xee,          0xf4};
        struct machine m;
        struct file f, one, two;
        char list[600];
        u8 d[SIZE];
        machine_init(&m);
        make(d, 1 << 16 | 3, code, sizeof(code));
        boot(&m, d, sizeof(d), &f);
        file_write(&one, "one", 3);
        file_write(&two, "two", 3);
        snprintf(list, sizeof(list), "%s,%s a=b c", one.path, two.path);
        m.cfg.initrd_path = list;
        expect_code(&m, part[k].says);
        file_remove(&f);
        file_remove(&one);
        file_remove(&two);
    }
}

Test(multiboot, modules_that_are_wrong)
{
    static const u8 code[] = FOLLOW(16, 0);
    static u8 big[5 * MIB];
    char many[1300] = "";
    struct machine m;
    struct file f, rd;
    u8 d[SIZE];
    machine_init(&m);
    make(d, 1 << 16, code, sizeof(code));
    boot(&m, d, sizeof(d), &f);
    m.cfg.initrd_path = "/nonexistent/a b,c";
    expect_error(&m, ST_NOENT, "/nonexistent/a");
    file_write(&rd, big, sizeof(big));
    m.cfg.initrd_path = rd.path;
    expect_error(&m, ST_RANGE, "does not fit");
    for (int k = 0; k < 65; k++)
        strcat(many, k ? ",/dev/../etc/passwd" : "/etc/passwd");
    m.cfg.initrd_path = many;
    expect_error(&m, ST_RANGE, "too many modules");
    char line[70000];
    memset(line, 'x', sizeof(line));
    line[sizeof(line) - 1] = 0;
    m.cfg.initrd_path = NULL;
    m.cfg.append = line;
    expect_error(&m, ST_RANGE, "too long");
    file_remove(&f);
    file_remove(&rd);
}

Test(multiboot, files_that_are_wrong)
{
    static const struct {
        int off; /* in the header; 0: flags, with the checksum put right */
        u32 val;
        enum status st;
        const char *part;
    } bad[] = {
        {0, 1 << 16 | 4, ST_UNSUP, "video mode"},
        {0, 1 << 16 | 0x100, ST_UNSUP, "unknown"},
        {0, 3, ST_FORMAT, "no little-endian ELF"},
        {8, 0, ST_FORMAT, "neither"},
        {12, LOAD - 1, ST_FORMAT, "before its text"},
        {12, LOAD + HEADER + 1, ST_FORMAT, "before the file"},
        {12, 0xffffffff, ST_FORMAT, "before the file"},
        {16, 0, ST_FORMAT, "before the file"},
        {20, LOAD + SIZE + 1, ST_FORMAT, "truncated"},
        {20, LOAD - 1, ST_FORMAT, "truncated"},
        {20, 0xffffffff, ST_FORMAT, "truncated"},
        {24, LOAD + 1, ST_FORMAT, "bss"},
        {24, 0xffffffff, ST_RANGE, "does not fit"},
    };
    static const u8 code[] = FOLLOW(16, 0);
    for (size_t k = 0; k < ARRAY_LEN(bad); k++) {
        struct machine m;
        struct file f;
        u8 d[SIZE];
        machine_init(&m);
        make(d, bad[k].off ? 1 << 16 | 3 : bad[k].val, code, sizeof(code));
        if (bad[k].off)
            st_u32(d + HEADER + bad[k].off, bad[k].val);
        boot(&m, d, sizeof(d), &f);
        expect_error(&m, bad[k].st, bad[k].part);
        file_remove(&f);
    }
    /* below 1 MiB; beyond memory; cut off in the header */
    static const u32 at[] = {0xfff00, 0x7ffff00, 0xffffff00};
    for (size_t k = 0; k < ARRAY_LEN(at) + 1; k++) {
        struct machine m;
        struct file f;
        u8 d[SIZE];
        machine_init(&m);
        make(d, 1 << 16, code, sizeof(code));
        for (int w = 12; w <= 28 && k < ARRAY_LEN(at); w += 4)
            st_u32(d + HEADER + w, ld_u32(d + HEADER + w) - LOAD + at[k]);
        boot(&m, d, k < ARRAY_LEN(at) ? sizeof(d) : (size_t)HEADER + 16, &f);
        expect_error(&m, k < 2 ? ST_RANGE : ST_FORMAT, "");
        file_remove(&f);
    }
}

/* Noise in header and program headers: an error or a machine, whatever comes. */
Test(multiboot, noise, .timeout = 60)
{
    static const u8 code[] = FOLLOW(16, 0);
    u32 seed = 1;
    for (int k = 0; k < 400; k++) {
        struct machine m;
        struct file f;
        u8 d[SIZE];
        machine_init(&m);
        if (k & 1)
            make(d, 1 << 16 | 3, code, sizeof(code));
        else
            make_elf(d, k & 2, code, sizeof(code));
        for (int j = 0; j < 4; j++) {
            seed = seed * 1664525u + 1013904223u;
            u32 place = (seed >> 8) % 60;
            place = k & 1 ? HEADER + 12 + place % 20 : place < 44 ? 16 + place : 0x80 + place;
            d[place] = (u8)(seed & 0x80 ? seed >> 24 : seed & 0x40 ? 0xff : 0);
        }
        boot(&m, d, sizeof(d) - (k % 16 ? 0 : seed >> 24), &f);
        m.cfg.initrd_path = k % 5 ? NULL : f.path;
        if (machine_start(&m) == ST_OK)
            vm_free(m.vm);
        else
            cr_expect(m.err.msg[0] && !strchr(m.err.msg, '\n'));
        file_remove(&f);
    }
}

/* A virtio disk, found as unikernels find it: its legacy registers answer at the BAR that somebody
 * put there, and the interrupt line is said. mov eax,80001810h; mov dx,cf8h; out dx,eax; mov
 * dl,fch; in eax,dx; and al,fch; lea edx,[eax+20]; in al,dx (capacity, low byte); ... */
Test(multiboot, devices_have_addresses)
{
    static const u8 code[] = {
        0xb8, 0x10, 0x18, 0x00, 0x80, 0x66, 0xba, 0xf8, 0x0c, 0xef, 0xb2, 0xfc,
        0xed, 0x24, 0xfc, 0x8d, 0x50, 0x14, 0xec, 0x88, 0xc3,                   /* mov bl,al */
        0xb8, 0x3c, 0x18, 0x00, 0x80, 0x66, 0xba, 0xf8, 0x0c, 0xef, 0xb2, 0xfc, /* int line */
        0xec, 0x00, 0xd8, 0x66, 0xba, 0x01, 0x05, 0xee, 0xf4};
    struct machine m;
    struct file f;
    u8 d[SIZE];
    machine_init(&m);
    make(d, 1 << 16, code, sizeof(code));
    boot(&m, d, sizeof(d), &f);
    m.cfg.virtio.disk[0].block = block_new_mem(42 * 512);
    expect_code(&m, 42 + 11);
    file_remove(&f);
}
