/*
 * machine/loader_multiboot.c - direct boot of a kernel with a Multiboot (version 1) header.
 *
 * What it is: the header's two kinds of kernel (its own load addresses, or an ELF file for 32 or 64
 * bits), command line, memory map and modules: -initrd takes "FILE ARGUMENTS,FILE ...". What it is
 * not: version 2 (a header of its own), video modes, drives, symbol tables. The file is hostile:
 * every address and size in it is checked against the file and against RAM.
 *
 *   0x05000  GDT    0x09000  information, memory map    0x0a000  modules    0x10000  strings
 *   1 MiB..  the kernel, then its modules
 *
 * Manual: Multiboot Specification 0.6.96, 3.1 (header), 3.2 (machine state), 3.3 (information).
 */
#include "machine/vm_priv.h"

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    HEADER_MAGIC = 0x1badb002,
    LOADER_MAGIC = 0x2badb002,
    SEARCH = 8192,
    F_VIDEO = 1u << 2,
    F_ADDRESSES = 1u << 16,
    F_MUST_KNOW = 0xffff, /* flags that a loader may not pass over */
    F_KNOWN = 3 | F_ADDRESSES,
};
enum {
    MB_GDT = 0x5000,
    INFO_AT = 0x9000,
    MAP_AT = 0x9100,
    MODS_AT = 0xa000,
    STRINGS_AT = 0x10000,
    STRINGS_MAX = 0x10000,
    MODULES_MAX = 64,
    FILE_MAX = 1 << 30,
};
/* Flags of the information: memory sizes, command line, modules, memory map, loader's name. */
enum { I_MEM = 1, I_CMDLINE = 4, I_MODS = 8, I_MMAP = 0x40, I_NAME = 0x200 };

struct strings {
    u32 used;
};

/* Offset of the header, or -1. */
static i64 find_header(const u8 *d, u64 size)
{
    for (u64 k = 0; k + 12 <= MIN(size, (u64)SEARCH); k += 4)
        if (ld_u32(d + k) == HEADER_MAGIC &&
            (u32)(HEADER_MAGIC + ld_u32(d + k + 4) + ld_u32(d + k + 8)) == 0)
            return (i64)k;
    return -1;
}

bool is_multiboot(const u8 *d, u64 size)
{
    return find_header(d, size) >= 0;
}

/* Copies len bytes to addr; the rest up to mem is zero as all memory is at power-on, but not after
 * a reset. */
static bool place(struct vm *vm, u64 addr, const u8 *from, u64 len, u64 mem)
{
    if (addr < MIB || addr > vm->low_ram || mem > vm->low_ram - addr || len > mem)
        return false;
    static const u8 zero[4096];
    space_write_bulk(vm->mem, addr, from, len);
    for (u64 at = len; at < mem; at += MIN(mem - at, sizeof(zero)))
        space_write_bulk(vm->mem, addr + at, zero, MIN(mem - at, sizeof(zero)));
    return true;
}

static enum status no_room(const struct vm *vm, const char *what, struct error *err)
{
    return fail(err, ST_RANGE,
                "%s: %s does not fit between 1 MiB and the end of %llu MiB of memory",
                vm->cfg.kernel_path, what, (unsigned long long)(vm->ram->size / MIB));
}

/* A kernel whose header says where it goes: 3.1.3. */
static enum status load_plain(struct vm *vm, const u8 *d, u64 size, u64 header, u32 *entry,
                              u64 *end, struct error *err)
{
    const char *path = vm->cfg.kernel_path;
    if (header + 32 > size)
        return fail(err, ST_FORMAT, "%s is truncated: Multiboot header", path);
    u32 header_addr = ld_u32(d + header + 12), load = ld_u32(d + header + 16);
    u32 load_end = ld_u32(d + header + 20), bss_end = ld_u32(d + header + 24);
    *entry = ld_u32(d + header + 28);
    if (load > header_addr || header_addr - load > header)
        return fail(err, ST_FORMAT, "%s is damaged: its Multiboot header says it starts before %s",
                    path, load > header_addr ? "its text" : "the file");
    u64 from = header - (header_addr - load), len = size - from;
    if (load_end) {
        if (load_end < load || load_end - load > len)
            return fail(err, ST_FORMAT, "%s is truncated: Multiboot load addresses", path);
        len = load_end - load;
    }
    if (bss_end && bss_end < load + len)
        return fail(err, ST_FORMAT, "%s is damaged: its Multiboot bss ends before its data", path);
    *end = MAX(load + len, (u64)bss_end);
    return place(vm, load, d + from, len, *end - load) ? ST_OK : no_room(vm, "it", err);
}

/* The entry of an ELF file is a linear address; we start with physical ones. */
static enum status load_elf(struct vm *vm, const u8 *d, u64 size, u32 *entry, u64 *end,
                            struct error *err)
{
    const char *path = vm->cfg.kernel_path;
    if (!is_elf(d, size) || size < sizeof(Elf64_Ehdr) || d[EI_DATA] != ELFDATA2LSB ||
        (d[EI_CLASS] != ELFCLASS64 && d[EI_CLASS] != ELFCLASS32))
        return fail(err, ST_FORMAT,
                    "%s has a Multiboot header without addresses and is no little-endian ELF file",
                    path);
    bool is64 = d[EI_CLASS] == ELFCLASS64;
    u64 start = is64 ? ld_u64(d + 24) : ld_u32(d + 24), at = start;
    int count = ld_u16(d + (is64 ? 56 : 44));
    *end = 0;
    for (int k = 0; k < count; k++) {
        struct elf_segment p;
        char what[32];
        if (!elf_segment(d, size, k, &p))
            return fail(err, ST_FORMAT, "%s is truncated or damaged: program header %d", path, k);
        if (p.type != PT_LOAD || !p.memsz)
            continue;
        if (p.filesz > p.memsz)
            return fail(err, ST_FORMAT, "%s is damaged: segment %d", path, k);
        snprintf(what, sizeof(what), "segment %d", k);
        if (!place(vm, p.paddr, d + p.off, p.filesz, p.memsz))
            return no_room(vm, what, err);
        if (start >= p.vaddr && start - p.vaddr < p.memsz)
            at = p.paddr + (start - p.vaddr);
        *end = MAX(*end, p.paddr + p.memsz);
    }
    if (!*end || at > UINT32_MAX)
        return fail(err, ST_FORMAT, "%s: %s", path,
                    *end ? "its entry is beyond 4 GiB" : "an ELF file without anything to load");
    *entry = (u32)at;
    return ST_OK;
}

/* Puts a then b with a space between into guest memory. Returns the address, 0: no room. */
static u32 put_string(struct vm *vm, struct strings *s, const char *a, const char *b)
{
    u64 n = strlen(a), m = b ? strlen(b) + 1 : 0;
    if (n + m + 1 > STRINGS_MAX - s->used)
        return 0;
    u32 at = STRINGS_AT + s->used;
    space_write_bulk(vm->mem, at, a, n + 1);
    if (b) {
        space_write_bulk(vm->mem, at + n, " ", 1);
        space_write_bulk(vm->mem, at + n + 1, b, m);
    }
    s->used += (u32)(n + m + 1);
    return at;
}

/* One module, "FILE ARGUMENTS", page-aligned at *at and beyond. */
static enum status load_module(struct vm *vm, char *text, int n, u64 *at, struct strings *s,
                               struct error *err)
{
    u8 *data, entry[16] = {0};
    u64 size;
    char *space = strchr(text, ' ');
    if (n == MODULES_MAX)
        return fail(err, ST_RANGE, "too many modules: %d at most", MODULES_MAX);
    u32 words = put_string(vm, s, text, NULL);
    if (space)
        *space = 0;
    enum status st = load_file(text, FILE_MAX, &data, &size, err);
    if (st != ST_OK)
        return st;
    u64 start = align_up(*at, PAGE_SIZE);
    if (!words || !place(vm, start, data, size, size))
        st = fail(err, ST_RANGE, "%s does not fit beside the kernel", text);
    free(data);
    st_u32(entry, (u32)start);
    st_u32(entry + 4, (u32)(start + size));
    st_u32(entry + 8, words);
    space_write_bulk(vm->mem, MODS_AT + (u64)n * sizeof(entry), entry, sizeof(entry));
    *at = start + size;
    return st;
}

/* Modules are separated by commas; a file's name cannot have one. */
static enum status load_modules(struct vm *vm, u64 at, int *count, struct strings *s,
                                struct error *err)
{
    enum status st = ST_OK;
    char *list = vm->cfg.initrd_path ? strdup(vm->cfg.initrd_path) : NULL;
    if (vm->cfg.initrd_path && !list)
        return fail(err, ST_NOMEM, "out of memory");
    char *rest = list;
    for (char *word; st == ST_OK && (word = strsep(&rest, ","));)
        st = load_module(vm, word, (*count)++, &at, s, err);
    free(list);
    return st;
}

static u32 memory_map(struct vm *vm)
{
    struct mem_range r[16];
    int n = vm_memory_map(vm, r, ARRAY_LEN(r));
    for (int k = 0; k < n; k++) {
        u8 e[24];
        st_u32(e, sizeof(e) - 4);
        st_u64(e + 4, r[k].addr);
        st_u64(e + 12, r[k].size);
        st_u32(e + 20, r[k].type);
        space_write_bulk(vm->mem, MAP_AT + (u64)k * sizeof(e), e, sizeof(e));
    }
    return (u32)n * 24;
}

/* What EBX points to: 3.3. */
static enum status information(struct vm *vm, u64 kernel_end, struct error *err)
{
    u8 info[88] = {0};
    struct strings s = {0};
    int modules = 0;
    u32 cmdline = put_string(vm, &s, vm->cfg.kernel_path, vm->cfg.append);
    u32 name = put_string(vm, &s, "trivisor", NULL);
    if (!cmdline || !name)
        return fail(err, ST_RANGE, "the command line is too long");
    enum status st = load_modules(vm, kernel_end, &modules, &s, err);
    if (st != ST_OK)
        return st;
    st_u32(info, I_MEM | I_CMDLINE | I_MMAP | I_NAME | (modules ? I_MODS : 0));
    st_u32(info + 4, 639);
    st_u32(info + 8, (u32)((vm->low_ram - MIN(vm->low_ram, (u64)MIB)) / KIB));
    st_u32(info + 16, cmdline);
    st_u32(info + 20, (u32)modules);
    st_u32(info + 24, modules ? MODS_AT : 0);
    st_u32(info + 44, memory_map(vm));
    st_u32(info + 48, MAP_AT);
    st_u32(info + 64, name);
    space_write_bulk(vm->mem, INFO_AT, info, sizeof(info));
    return ST_OK;
}

enum status load_multiboot(struct vm *vm, const u8 *d, u64 size, struct error *err)
{
    u64 header = (u64)find_header(d, size), end = 0;
    u32 flags = ld_u32(d + header + 4), entry = 0;
    if (flags & F_VIDEO)
        return fail(err, ST_UNSUP, "%s: a Multiboot kernel that asks for a video mode",
                    vm->cfg.kernel_path);
    if (flags & F_MUST_KNOW & ~F_KNOWN)
        return fail(err, ST_UNSUP,
                    "%s: a Multiboot kernel that asks for what is unknown: flags %#x",
                    vm->cfg.kernel_path, flags);
    enum status st = flags & F_ADDRESSES ? load_plain(vm, d, size, header, &entry, &end, err)
                                         : load_elf(vm, d, size, &entry, &end, err);
    if (st == ST_OK)
        st = information(vm, end, err);
    if (st != ST_OK)
        return st;
    enter_flat32(vm, entry, MB_GDT);
    vm->cpu->gpr[RAX] = LOADER_MAGIC;
    vm->cpu->gpr[RBX] = INFO_AT;
    return ST_OK;
}
