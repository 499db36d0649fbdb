/*
 * machine/loader_pvh.c - direct boot of an ELF kernel through its PVH entry point.
 *
 * Xen's docs/misc/pvh: the note XEN_ELFNOTE_PHYS32_ENTRY (18) gives a 32-bit entry; EBX points to
 * hvm_start_info. The file is hostile: nothing is read or copied unchecked.
 */
#include "machine/vm_priv.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

enum {
    START_INFO = 0x6000,
    MODULES = 0x6100,
    MEMMAP = 0x6200,
    PVH_CMDLINE = 0x7000,
    PVH_GDT = 0x5000,
    NOTE_PHYS32_ENTRY = 18
};

bool elf_segment(const u8 *d, u64 size, int k, struct elf_segment *p)
{
    bool is64 = d[EI_CLASS] == ELFCLASS64;
    u64 off = is64 ? ld_u64(d + 32) : ld_u32(d + 28);
    u64 ent = is64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);
    if (off > size || (u64)(k + 1) * ent > size - off)
        return false;
    const u8 *h = d + off + (u64)k * ent;
    if (is64)
        *p = (struct elf_segment){ld_u32(h),      ld_u64(h + 8),  ld_u64(h + 16),
                                  ld_u64(h + 24), ld_u64(h + 32), ld_u64(h + 40)};
    else
        *p = (struct elf_segment){ld_u32(h),      ld_u32(h + 4),  ld_u32(h + 8),
                                  ld_u32(h + 12), ld_u32(h + 16), ld_u32(h + 20)};
    return p->off <= size && p->filesz <= size - p->off;
}

/* Looks through one PT_NOTE for Xen's entry note. */
static bool find_entry(const u8 *p, u64 n, u32 *entry)
{
    while (n >= 12) {
        u64 name = align_up(ld_u32(p), 4), desc = align_up(ld_u32(p + 4), 4);
        if (name > n - 12 || desc > n - 12 - name)
            return false;
        if (ld_u32(p + 8) == NOTE_PHYS32_ENTRY && ld_u32(p) == 4 && !memcmp(p + 12, "Xen", 4) &&
            desc >= 4) {
            *entry = ld_u32(p + 12 + name);
            return true;
        }
        p += 12 + name + desc;
        n -= 12 + name + desc;
    }
    return false;
}

static enum status load_segments(struct vm *vm, const u8 *d, u64 size, int count, u32 *entry,
                                 u64 *end, struct error *err)
{
    const char *path = vm->cfg.kernel_path;
    bool have_entry = false;
    *end = 0;
    for (int k = 0; k < count; k++) {
        struct elf_segment p;
        if (!elf_segment(d, size, k, &p))
            return fail(err, ST_FORMAT, "%s is truncated or damaged: program header %d", path, k);
        if (p.type == PT_NOTE && find_entry(d + p.off, p.filesz, entry))
            have_entry = true;
        if (p.type != PT_LOAD || !p.memsz)
            continue;
        if (p.filesz > p.memsz)
            return fail(err, ST_FORMAT, "%s is damaged: segment %d", path, k);
        if (p.paddr < MIB || p.paddr > vm->low_ram || p.memsz > vm->low_ram - p.paddr)
            return fail(err, ST_RANGE, "%s: segment %d does not fit into %llu MiB of memory", path,
                        k, (unsigned long long)(vm->ram->size / MIB));
        space_write_bulk(vm->mem, p.paddr, d + p.off, p.filesz);
        *end = MAX(*end, p.paddr + p.memsz);
    }
    if (!have_entry)
        return fail(err, ST_FORMAT, "%s is an ELF file without a PVH entry note", path);
    return ST_OK;
}

static enum status start_info(struct vm *vm, u64 kernel_end, struct error *err)
{
    u8 si[56] = {0};
    const char *text = vm->cfg.append ? vm->cfg.append : "";
    u64 len = strlen(text);
    if (len >= 0x1000)
        return fail(err, ST_RANGE, "the command line is too long: %llu characters",
                    (unsigned long long)len);
    space_write_bulk(vm->mem, PVH_CMDLINE, text, len + 1);
    st_u32(si, 0x336ec578); /* magic */
    st_u32(si + 4, 1);
    st_u64(si + 24, PVH_CMDLINE);
    st_u64(si + 32, vm->acpi_rsdp);
    if (vm->cfg.initrd_path) {
        u8 *data, mod[32] = {0};
        u64 size;
        enum status st = load_file(vm->cfg.initrd_path, 1 << 30, &data, &size, err);
        if (st != ST_OK)
            return st;
        u64 at = size < vm->low_ram ? align_down(vm->low_ram - size, PAGE_SIZE) : 0;
        if (at < kernel_end)
            st = fail(err, ST_RANGE, "%s does not fit beside the kernel", vm->cfg.initrd_path);
        else
            space_write_bulk(vm->mem, at, data, size);
        free(data);
        if (st != ST_OK)
            return st;
        st_u64(mod, at);
        st_u64(mod + 8, size);
        space_write_bulk(vm->mem, MODULES, mod, sizeof(mod));
        st_u32(si + 12, 1);
        st_u64(si + 16, MODULES);
    }
    struct mem_range r[16];
    int n = vm_memory_map(vm, r, 16);
    for (int k = 0; k < n; k++) {
        u8 e[24] = {0};
        st_u64(e, r[k].addr);
        st_u64(e + 8, r[k].size);
        st_u32(e + 16, r[k].type);
        space_write_bulk(vm->mem, MEMMAP + (u64)k * 24, e, sizeof(e));
    }
    st_u64(si + 40, MEMMAP);
    st_u32(si + 48, (u32)n);
    space_write_bulk(vm->mem, START_INFO, si, sizeof(si));
    return ST_OK;
}

enum status load_pvh(struct vm *vm, const u8 *d, u64 size, struct error *err)
{
    const char *path = vm->cfg.kernel_path;
    u32 entry = 0;
    u64 end;
    if (size < sizeof(Elf64_Ehdr) || d[EI_DATA] != ELFDATA2LSB ||
        (d[EI_CLASS] != ELFCLASS64 && d[EI_CLASS] != ELFCLASS32))
        return fail(err, ST_FORMAT, "%s is not a little-endian ELF file", path);
    int count = ld_u16(d + (d[EI_CLASS] == ELFCLASS64 ? 56 : 44));
    enum status st = load_segments(vm, d, size, count, &entry, &end, err);
    if (st == ST_OK)
        st = start_info(vm, end, err);
    if (st != ST_OK)
        return st;
    enter_flat32(vm, entry, PVH_GDT);
    vm->cpu->gpr[RBX] = START_INFO;
    return ST_OK;
}
