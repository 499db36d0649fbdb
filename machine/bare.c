/*
 * machine/bare.c - the board that is none: RAM from address 0, one program, the debug-exit port.
 *
 * No firmware, no devices, no interrupts: HLT ends the run, and so does what cannot be handled (a
 * triple fault). The program runs at CPL 0 in the mode asked for: real mode, flat 32-bit protected
 * mode without paging, or 64-bit mode with the first 4 GiB mapped one to one. Tables stand at the
 * top of RAM (below 4 GiB), the stack below them. The program's file is hostile.
 */
#include "machine/vm_priv.h"
#include "devices/debugexit.h"

#include <elf.h>
#include <string.h>

enum { TABLES = 0x8000, GDT = 0, PML4 = 0x1000, PDPT = 0x2000, PD = 0x3000 };

static void on_exit_port(void *ctx, int code)
{
    struct vm *vm = ctx;
    vm->exit_code = code;
    vm_event(vm, EV_EXIT);
}

enum status bare_new(struct vm *vm, struct error *err)
{
    for (int k = 0; k < VM_MAX_IDE; k++)
        if (vm->cfg.ide[k].block)
            return fail(err, ST_INVAL, "a program alone in memory has no drives");
    for (int k = 0; k < VM_MAX_FLOPPY; k++)
        if (vm->cfg.floppy[k])
            return fail(err, ST_INVAL, "a program alone in memory has no drives");
    space_map_ram(vm->mem, 0, vm->cfg.ram_size, vm->ram, 0, MAP_RW, 0);
    vm_add(vm, debugexit_new(vm->ports, on_exit_port, vm));
    return ST_OK;
}

static gpa tables_at(const struct vm *vm)
{
    return MIN(vm->cfg.ram_size, 4 * GIB) - TABLES;
}

static void put(struct vm *vm, gpa at, const void *p, u64 n)
{
    space_write_bulk(vm->mem, at, p, n);
}

/* ---- the program ---------------------------------------------------------------------------- */
static enum status put_part(struct vm *vm, u64 at, const u8 *p, u64 n, u64 mem, struct error *err)
{
    u64 top = tables_at(vm);
    if (at > top || mem > top - at || n > mem)
        return fail(err, ST_RANGE,
                    "the program wants %llu bytes at 0x%llx, memory ends at 0x%llx (-m)",
                    (unsigned long long)mem, (unsigned long long)at, (unsigned long long)top);
    put(vm, at, p, n);
    return ST_OK;
}

static enum status load_elf(struct vm *vm, int *bits, u64 *entry, struct error *err)
{
    const struct vm_bare *b = vm->cfg.bare;
    const u8 *d = b->image;
    if (b->size < sizeof(Elf64_Ehdr) || !is_elf(d, b->size) || d[EI_DATA] != ELFDATA2LSB)
        return fail(err, ST_FORMAT, "not a little-endian ELF program");
    bool wide = d[EI_CLASS] == ELFCLASS64;
    u16 machine = ld_u16(d + 18);
    if (machine != (wide ? EM_X86_64 : EM_386))
        return fail(err, ST_FORMAT, "not an ELF program for x86");
    *bits = wide ? 64 : 32;
    *entry = wide ? ld_u64(d + 24) : ld_u32(d + 24);
    u64 table = wide ? ld_u64(d + 32) : ld_u32(d + 28);
    u64 step = wide ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);
    u16 n = ld_u16(d + (wide ? 56 : 44));
    bool any = false;
    if (table > b->size || n * step > b->size - table)
        return fail(err, ST_FORMAT, "damaged ELF program: segments");
    for (u16 k = 0; k < n; k++) {
        const u8 *h = d + table + k * step;
        u32 type = ld_u32(h);
        if (type == PT_INTERP)
            return fail(err, ST_UNSUP, "the program wants a dynamic linker; link it with -static");
        if (type != PT_LOAD)
            continue;
        u64 off = wide ? ld_u64(h + 8) : ld_u32(h + 4);
        u64 at = wide ? ld_u64(h + 16) : ld_u32(h + 8);
        u64 in_file = wide ? ld_u64(h + 32) : ld_u32(h + 16);
        u64 mem = wide ? ld_u64(h + 40) : ld_u32(h + 20);
        if (off > b->size || in_file > b->size - off)
            return fail(err, ST_FORMAT, "damaged ELF program: segment %u", k);
        enum status st = put_part(vm, at, d + off, in_file, mem, err);
        if (st)
            return st;
        any = true;
    }
    return any ? ST_OK : fail(err, ST_FORMAT, "nothing to load in the ELF program");
}

/* ---- the processor -------------------------------------------------------------------------- */
static void enter_real(struct vm *vm, u64 entry)
{
    struct cpu *c = vm->cpu;
    u64 org = vm->cfg.bare->org;
    u16 seg = org < 0x10000 ? 0 : (u16)(org >> 4);
    for (int s = 0; s < SEG_COUNT; s++)
        cpu_set_seg(c, s, seg, (u32)seg << 4, 0xffff, s == SEG_CS ? 0x9b : 0x93);
    c->rip = entry == org ? org - ((u64)seg << 4) : entry;
    c->gpr[RSP] = 0xfffe;
}

static void enter_long(struct vm *vm, gpa at)
{
    struct cpu *c = vm->cpu;
    u64 e = at + PDPT + 3;
    put(vm, at + PML4, &e, 8);
    for (u64 k = 0; k < 4; k++) {
        e = at + PD + k * PAGE_SIZE + 3;
        put(vm, at + PDPT + k * 8, &e, 8);
    }
    for (u64 k = 0; k < 2048; k++) {
        e = k * 2 * MIB + 0x83; /* present, writable, large */
        put(vm, at + PD + k * 8, &e, 8);
    }
    c->cr3 = at + PML4;
    c->cr4 |= CR4_PAE;
    c->efer |= EFER_LME | EFER_LMA;
    c->cr0 |= CR0_PG;
    cpu_set_seg(c, SEG_CS, 0x20, 0, 0xffffffff, 0xa09b);
}

enum status bare_power_on(struct vm *vm, struct error *err)
{
    static const u64 gdt[5] = {0, 0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00af9b000000ffff};
    const struct vm_bare *b = vm->cfg.bare;
    struct cpu *c = vm->cpu;
    gpa at = tables_at(vm);
    int bits = b->bits;
    u64 entry = b->entry, stated = 0;
    enum status st = b->elf ? load_elf(vm, &bits, &stated, err)
                            : put_part(vm, b->org, b->image, b->size, b->size, err);
    if (st)
        return st;
    if (b->elf && !entry)
        entry = stated;
    if (bits == 16 && (b->org >= MIB || entry >= MIB))
        return fail(err, ST_RANGE, "real mode reaches the first MiB only");
    if (bits == 32 && !cpu_has(c, FEAT_I386))
        return fail(err, ST_UNSUP, "this CPU model has no 32-bit mode");
    if (bits == 64 && !cpu_has(c, FEAT_LM))
        return fail(err, ST_UNSUP, "this CPU model has no 64-bit mode");
    if (bits == 16) {
        enter_real(vm, entry);
    } else {
        put(vm, at + GDT, gdt, sizeof(gdt));
        enter_flat32(vm, (u32)entry, (u32)(at + GDT));
        c->gdtr = (struct dtable){at + GDT, sizeof(gdt) - 1}; /* with the 64-bit code segment */
        if (bits == 64)
            enter_long(vm, at);
        c->rip = entry;
        c->gpr[RSP] = at - 16;
        if (cpu_has(c, FEAT_SSE)) {
            c->cr0 |= CR0_MP | CR0_NE;
            c->cr4 |= CR4_OSFXSR | CR4_OSXMMEXCPT;
        }
        if (cpu_has(c, FEAT_XSAVE) && cpu_has(c, FEAT_AVX)) {
            c->cr4 |= CR4_OSXSAVE;
            c->xcr0 = 7;
        }
    }
    for (int k = 0; k < 16; k++)
        if (b->gpr_set >> k & 1)
            c->gpr[k] = b->gpr[k];
    cpu_sync(c);
    return ST_OK;
}
