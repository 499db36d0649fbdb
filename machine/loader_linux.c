/*
 * machine/loader_linux.c - direct boot of a Linux bzImage, without firmware.
 *
 * Documentation/arch/x86/boot.rst of the kernel: protocol 2.02 and later, 32-bit entry point. The
 * file is hostile: every size in its header is checked against the file and against RAM.
 *
 *   0x08000  GDT              0x90000  boot_params (zero page)
 *   0x20000  command line     0x100000 or its preferred address: the kernel
 */
#include "machine/vm_priv.h"

#include <stdlib.h>
#include <string.h>

enum {
    GDT_AT = 0x8000,
    CMDLINE_AT = 0x20000,
    CMDLINE_MAX = 0x10000,
    ZERO_PAGE = 0x90000,
    KERNEL_AT = 0x100000,
    STACK_AT = 0x8f000,
    KERNEL_MAX = 1 << 30,
};

/* Offsets in the setup header, which are also those in boot_params. */
enum {
    H_SETUP_SECTS = 0x1f1,
    H_SYSSIZE = 0x1f4,
    H_BOOT_FLAG = 0x1fe,
    H_JUMP = 0x200,
    H_MAGIC = 0x202,
    H_VERSION = 0x206,
    H_TYPE_OF_LOADER = 0x210,
    H_LOADFLAGS = 0x211,
    H_CODE32_START = 0x214,
    H_RAMDISK = 0x218,
    H_RAMDISK_SIZE = 0x21c,
    H_HEAP_END = 0x224,
    H_CMDLINE = 0x228,
    H_INITRD_MAX = 0x22c,
    H_ALIGNMENT = 0x230,
    H_RELOCATABLE = 0x234,
    H_CMDLINE_SIZE = 0x238,
    H_PREF_ADDRESS = 0x258,
    H_INIT_SIZE = 0x260,
    H_END = 0x268,
    BP_SCREEN_INFO = 0,
    BP_RSDP = 0x70,
    BP_EXT_RAMDISK = 0xc0,
    BP_E820_COUNT = 0x1e8,
    BP_E820 = 0x2d0,
};

bool is_bzimage(const u8 *d, u64 size)
{
    return size > H_END && ld_u16(d + H_BOOT_FLAG) == 0xaa55 && !memcmp(d + H_MAGIC, "HdrS", 4);
}

bool is_elf(const u8 *d, u64 size)
{
    return size >= 4 && !memcmp(d, "\177ELF", 4);
}

static void put(struct vm *vm, gpa addr, const void *p, u64 n)
{
    space_write_bulk(vm->mem, addr, p, n);
}

static void screen_info(u8 *zp)
{
    u8 *s = zp + BP_SCREEN_INFO;
    s[0] = 0; /* cursor x, y */
    s[1] = 0;
    s[6] = 3; /* mode: 80x25 colour text */
    s[7] = 80;
    s[10] = 1; /* EGA: memory and so on in BX */
    s[14] = 25;
    s[15] = 1;          /* VGA */
    st_u16(s + 16, 16); /* font height */
}

static enum status place_initrd(struct vm *vm, u8 *zp, u64 kernel_end, struct error *err)
{
    u8 *data;
    u64 size, top = vm->low_ram;
    u64 max = ld_u16(zp + H_VERSION) >= 0x203 ? (u64)ld_u32(zp + H_INITRD_MAX) + 1 : 0x38000000;

    enum status st = load_file(vm->cfg.initrd_path, KERNEL_MAX, &data, &size, err);
    if (st != ST_OK)
        return st;
    top = MIN(top, max);
    if (size > top || align_down(top - size, PAGE_SIZE) < kernel_end) {
        st = fail(err, ST_RANGE,
                  "%s (%llu KiB) does not fit beside the kernel in %llu MiB of memory",
                  vm->cfg.initrd_path, (unsigned long long)(size / KIB),
                  (unsigned long long)(vm->ram->size / MIB));
    } else {
        u64 at = align_down(top - size, PAGE_SIZE);
        put(vm, at, data, size);
        st_u32(zp + H_RAMDISK, (u32)at);
        st_u32(zp + H_RAMDISK_SIZE, (u32)size);
    }
    free(data);
    return st;
}

static enum status place_cmdline(struct vm *vm, u8 *zp, struct error *err)
{
    const char *text = vm->cfg.append ? vm->cfg.append : "";
    u64 len = strlen(text);
    u64 max = ld_u16(zp + H_VERSION) >= 0x206 ? ld_u32(zp + H_CMDLINE_SIZE) : 255;
    max = MIN(max, CMDLINE_MAX - 1);
    if (len > max)
        return fail(err, ST_RANGE, "the kernel's command line holds %llu characters, not %llu",
                    (unsigned long long)max, (unsigned long long)len);
    put(vm, CMDLINE_AT, text, len + 1);
    st_u32(zp + H_CMDLINE, CMDLINE_AT);
    return ST_OK;
}

static void e820(struct vm *vm, u8 *zp)
{
    struct mem_range r[16];
    int n = vm_memory_map(vm, r, 16);
    for (int k = 0; k < n; k++) {
        u8 *e = zp + BP_E820 + k * 20;
        st_u64(e, r[k].addr);
        st_u64(e + 8, r[k].size);
        st_u32(e + 16, r[k].type);
    }
    zp[BP_E820_COUNT] = (u8)n;
}

void enter_flat32(struct vm *vm, u32 entry, u32 gdt_at)
{
    static const u64 gdt[4] = {0, 0, 0x00cf9b000000ffff, 0x00cf93000000ffff};
    struct cpu *c = vm->cpu;
    put(vm, gdt_at, gdt, sizeof(gdt));
    c->gdtr = (struct dtable){gdt_at, sizeof(gdt) - 1};
    c->idtr = (struct dtable){0, 0};
    c->cr0 |= CR0_PE;
    cpu_set_seg(c, SEG_CS, 0x10, 0, 0xffffffff, 0xc09b);
    for (int s = 0; s < SEG_COUNT; s++)
        if (s != SEG_CS)
            cpu_set_seg(c, s, 0x18, 0, 0xffffffff, 0xc093);
    memset(c->gpr, 0, sizeof(c->gpr));
    c->gpr[RSP] = STACK_AT;
    c->rip = entry;
    cpu_sync(c);
}

static enum status load_bzimage(struct vm *vm, const u8 *d, u64 size, struct error *err)
{
    const char *path = vm->cfg.kernel_path;
    u8 zp[4096] = {0};
    u64 setup = ((u64)(d[H_SETUP_SECTS] ? d[H_SETUP_SECTS] : 4) + 1) * 512;
    u16 version = ld_u16(d + H_VERSION);
    u64 code = (u64)ld_u32(d + H_SYSSIZE) * 16;

    if (version < 0x202)
        return fail(err, ST_FORMAT, "%s: boot protocol %d.%02d is too old (2.02 is needed)", path,
                    version >> 8, version & 0xff);
    if (!(d[H_LOADFLAGS] & 1))
        return fail(err, ST_FORMAT, "%s: a zImage, which loads low; only bzImage is supported",
                    path);
    if (setup >= size)
        return fail(err, ST_FORMAT, "%s is truncated: its setup code ends beyond the file", path);
    if (code > size - setup + 16)
        return fail(err, ST_FORMAT,
                    "%s is truncated: %llu KiB of kernel expected, %llu KiB present", path,
                    (unsigned long long)(code / KIB), (unsigned long long)((size - setup) / KIB));
    u64 at = KERNEL_AT, need = size - setup;
    if (version >= 0x20a) {
        if (d[H_RELOCATABLE] && is_pow2(ld_u32(d + H_ALIGNMENT)))
            at = align_up(at, ld_u32(d + H_ALIGNMENT));
        u64 pref = ld_u64(d + H_PREF_ADDRESS);
        u64 init = ld_u32(d + H_INIT_SIZE);
        if (pref >= KERNEL_AT && pref < vm->low_ram && init <= vm->low_ram - pref)
            at = pref;
        need = MAX(need, init);
    }
    if (at > vm->low_ram || need > vm->low_ram - at)
        return fail(err, ST_RANGE,
                    "%s needs %llu MiB of memory at %llu MiB, the guest has %llu MiB", path,
                    (unsigned long long)((need + MIB - 1) / MIB), (unsigned long long)(at / MIB),
                    (unsigned long long)(vm->ram->size / MIB));

    u64 header_end = MIN((u64)0x202 + d[0x201], (u64)H_END + 0x18);
    memcpy(zp + H_SETUP_SECTS, d + H_SETUP_SECTS, MIN(header_end, size) - H_SETUP_SECTS);
    if (vm->vga)
        screen_info(zp);
    e820(vm, zp);
    zp[H_TYPE_OF_LOADER] = 0xff;
    zp[H_LOADFLAGS] |= 0x80; /* heap */
    st_u16(zp + H_HEAP_END, 0xfe00);
    st_u32(zp + H_CODE32_START, (u32)at);
    if (vm->acpi_rsdp)
        st_u64(zp + BP_RSDP, vm->acpi_rsdp);
    enum status st = place_cmdline(vm, zp, err);
    if (st == ST_OK && vm->cfg.initrd_path)
        st = place_initrd(vm, zp, at + need, err);
    if (st != ST_OK)
        return st;
    put(vm, at, d + setup, size - setup);
    put(vm, ZERO_PAGE, zp, sizeof(zp));
    enter_flat32(vm, (u32)at, GDT_AT);
    vm->cpu->gpr[RSI] = ZERO_PAGE;
    return ST_OK;
}

enum status load_linux(struct vm *vm, struct error *err)
{
    u8 *data;
    u64 size;
    enum status st = load_file(vm->cfg.kernel_path, KERNEL_MAX, &data, &size, err);
    if (st != ST_OK)
        return st;
    if (is_bzimage(data, size))
        st = load_bzimage(vm, data, size, err);
    else if (is_multiboot(data, size))
        st = load_multiboot(vm, data, size, err);
    else if (is_elf(data, size))
        st = load_pvh(vm, data, size, err);
    else
        st = fail(err, ST_FORMAT, "%s is neither a Linux bzImage nor an ELF or Multiboot kernel",
                  vm->cfg.kernel_path);
    free(data);
    return st;
}
