/*
 * tests/insn/sys_rig.c - the machine of sys_rig.h.
 */
#include <criterion/criterion.h>

#include "tests/insn/sys_rig.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    RAM_BYTES = 4 << 20,
    CODE = ATTR_P | ATTR_S | ATTR_X | ATTR_RW,
    DATA = ATTR_P | ATTR_S | ATTR_RW,
    BIG = ATTR_G | ATTR_DB,
    DPL1 = 1 << 5,
    DPL3 = 3 << 5,
};

u8 *sys_mem(struct sys *s, u64 at)
{
    return s->ram->base + at;
}
u16 sys_u16(struct sys *s, u64 at)
{
    return ld_u16(sys_mem(s, at));
}
u32 sys_u32(struct sys *s, u64 at)
{
    return ld_u32(sys_mem(s, at));
}
u64 sys_u64(struct sys *s, u64 at)
{
    return ld_u64(sys_mem(s, at));
}

void sys_put(struct sys *s, u64 at, const void *bytes, size_t n)
{
    memcpy(sys_mem(s, at), bytes, n);
    ram_note_write(s->ram, at, n);
}

u64 sys_desc(u32 base, u32 limit, u16 attr)
{
    u32 lo = (limit & 0xffff) | base << 16;
    u32 hi = (base >> 16 & 0xff) | (u32)(attr & 0xff) << 8 | (limit & 0xf0000) |
             (u32)(attr & 0xf000) << 8 | (base & 0xff000000);
    return lo | (u64)hi << 32;
}

void sys_gdt(struct sys *s, u16 sel, u64 desc)
{
    st_u64(sys_mem(s, GDT_AT + (sel & 0xfff8u)), desc);
}

static u64 gate(u16 sel, u32 off, u8 attr, u8 count)
{
    return (off & 0xffff) | (u64)sel << 16 | (u64)count << 32 | (u64)attr << 40 |
           (u64)(off >> 16) << 48;
}

void sys_gate(struct sys *s, int vector, u16 sel, u32 off, u8 attr)
{
    bool lm = s->cpu->efer & EFER_LMA;
    u64 at = IDT_AT + (u64)vector * (lm ? 16 : 8);
    st_u64(sys_mem(s, at), gate(sel, off, attr, 0));
    if (lm)
        st_u64(sys_mem(s, at + 8), 0);
}

static void fill_gdt(struct sys *s)
{
    sys_gdt(s, S_CODE0, sys_desc(0, 0xfffff, CODE | BIG));
    sys_gdt(s, S_DATA0, sys_desc(0, 0xfffff, DATA | BIG));
    sys_gdt(s, S_CODE3, sys_desc(0, 0xfffff, CODE | BIG | DPL3));
    sys_gdt(s, S_DATA3, sys_desc(0, 0xfffff, DATA | BIG | DPL3));
    sys_gdt(s, S_TSS, sys_desc(TSS_AT, 0xff, ATTR_P | 9));
    sys_gdt(s, S_TSS2, sys_desc(TSS2_AT, 0x67, ATTR_P | 9));
    sys_gdt(s, S_CONF, sys_desc(0, 0xfffff, CODE | ATTR_DC | BIG));
    sys_gdt(s, S_CODE16, sys_desc(CODE_AT, 0xffff, CODE));
    sys_gdt(s, S_DATA16, sys_desc(0, 0xffff, DATA));
    sys_gdt(s, S_GATE32, gate(S_CODE0, HANDLER(200), ATTR_P | DPL3 | 12, 2));
    sys_gdt(s, S_GATE16, gate(S_CODE16, 0x100, ATTR_P | DPL3 | 4, 1));
    sys_gdt(s, S_CODE64, sys_desc(0, 0xfffff, CODE | ATTR_L | ATTR_G));
    sys_gdt(s, S_CODE64_3, sys_desc(0, 0xfffff, CODE | ATTR_L | ATTR_G | DPL3));
    sys_gdt(s, S_ABSENT, sys_desc(0, 0xfffff, (DATA | BIG) & ~ATTR_P));
    sys_gdt(s, S_RODATA, sys_desc(0, 0xfffff, ATTR_P | ATTR_S | BIG));
    sys_gdt(s, S_LDT, sys_desc(LDT_AT, 0x1f, ATTR_P | 2));
    sys_gdt(s, S_XONLY, sys_desc(0, 0xfffff, ATTR_P | ATTR_S | ATTR_X | BIG));
    sys_gdt(s, S_TASKGATE, gate(S_TSS2, 0, ATTR_P | DPL3 | 5, 0));
    sys_gdt(s, S_DATA1, sys_desc(0, 0xfffff, DATA | BIG | DPL1));
    sys_gdt(s, S_DOWN, sys_desc(0, 0xffff, DATA | ATTR_DC | ATTR_DB));
    sys_gdt(s, S_GATE64, gate(S_CODE64, HANDLER(201), ATTR_P | DPL3 | 12, 0));
    sys_gdt(s, S_CODE1, sys_desc(0, 0xfffff, CODE | BIG | DPL1));
    sys_gdt(s, S_ABSENT_CODE, sys_desc(0, 0xfffff, (CODE | BIG) & ~ATTR_P));
}

struct sys *sys_new(const char *model)
{
    struct error err;
    struct sys *s = calloc(1, sizeof(*s));
    s->clk = clock_new(CLOCK_FAKE, 0);
    s->mem = space_new("memory", 1ull << 40);
    s->ports = space_new("ports", 65536);
    if (ram_new(RAM_BYTES, &s->ram, &err) != ST_OK)
        abort();
    space_map_ram(s->mem, 0, RAM_BYTES, s->ram, 0, MAP_RW, 0);
    struct cpu_config cfg = {
        .model = model, .clk = s->clk, .mem = s->mem, .ports = s->ports, .ram = s->ram};
    if (cpu_new(&cfg, &s->cpu, &err) != ST_OK) {
        fprintf(stderr, "%s\n", err.msg);
        abort();
    }
    fill_gdt(s);
    for (int v = 0; v < 256; v++)
        *sys_mem(s, HANDLER(v)) = 0x90;
    for (u32 k = 0; k < 64; k++) /* real mode: F000:xxxx would not be RAM, CS = 3000h is */
        st_u32(sys_mem(s, k * 4), 0x30000000u | k * 16);
    struct cpu *c = s->cpu;
    cpu_set_seg(c, SEG_CS, 0x2000, 0x20000, 0xffff, CODE | ATTR_A);
    cpu_set_seg(c, SEG_SS, 0x6000, 0x60000, 0xffff, DATA | ATTR_A);
    c->rip = 0;
    c->gpr[RSP] = 0xfff0;
    return s;
}

void sys_free(struct sys *s)
{
    cpu_free(s->cpu);
    space_free(s->mem);
    space_free(s->ports);
    ram_free(s->ram);
    clock_free(s->clk);
    free(s);
}

static void set_seg(struct cpu *c, int seg, u16 sel, u16 attr)
{
    cpu_set_seg(c, seg, sel, 0, 0xffffffff, attr | ATTR_A);
}

static void set_tables(struct sys *s, bool lm)
{
    struct cpu *c = s->cpu;
    c->gdtr = (struct dtable){GDT_AT, GDT_END - 1};
    c->idtr = (struct dtable){IDT_AT, (u16)(256 * (lm ? 16 : 8) - 1)};
    for (int v = 0; v < 256; v++)
        sys_gate(s, v, lm ? S_CODE64 : S_CODE0, (u32)HANDLER(v), ATTR_P | 14);
    c->tr = (struct seg){.sel = S_TSS, .base = TSS_AT, .limit = 0xff, .attr = ATTR_P | 11};
    sys_gdt(s, S_TSS, sys_desc(TSS_AT, 0xff, ATTR_P | 11));
    memset(sys_mem(s, TSS_AT), 0, 0x100);
    if (lm) {
        st_u64(sys_mem(s, TSS_AT + 4), KSTACK0);
        st_u64(sys_mem(s, TSS_AT + 36), IST1);
    } else {
        st_u32(sys_mem(s, TSS_AT + 4), KSTACK0);
        st_u16(sys_mem(s, TSS_AT + 8), S_DATA0);
        st_u32(sys_mem(s, TSS_AT + 12), KSTACK1);
        st_u16(sys_mem(s, TSS_AT + 16), S_DATA1 | 1);
        st_u16(sys_mem(s, TSS_AT + 102), 0xff); /* I/O map: none */
    }
}

static void set_cpl(struct sys *s, int cpl, u16 code, u16 code_attr)
{
    struct cpu *c = s->cpu;
    u16 dpl = (u16)(cpl << 5);
    c->cpl = (u8)cpl;
    set_seg(c, SEG_CS, code, CODE | ATTR_G | dpl | code_attr);
    set_seg(c, SEG_SS, cpl ? S_DATA3 : S_DATA0, DATA | BIG | dpl);
    for (int k = 0; k < 4; k++) {
        static const u8 data[] = {SEG_ES, SEG_DS, SEG_FS, SEG_GS};
        set_seg(c, data[k], cpl ? S_DATA3 : S_DATA0, DATA | BIG | dpl);
    }
    c->rip = CODE_AT;
    c->gpr[RSP] = cpl ? USTACK : KSTACK;
}

void sys_prot(struct sys *s, int cpl)
{
    struct cpu *c = s->cpu;
    c->cr0 = CR0_PE | CR0_ET;
    c->cr4 = c->efer = 0;
    cpu_set_rflags(c, FL_1);
    set_tables(s, false);
    set_cpl(s, cpl, cpl ? S_CODE3 : S_CODE0, ATTR_DB);
    cpu_sync(c);
}

void sys_long(struct sys *s, int cpl)
{
    struct cpu *c = s->cpu;
    st_u64(sys_mem(s, PML4_AT), (PML4_AT + 0x1000) | 7);
    st_u64(sys_mem(s, PML4_AT + 0x1000), (PML4_AT + 0x2000) | 7);
    for (u64 k = 0; k < RAM_BYTES >> 21; k++)
        st_u64(sys_mem(s, PML4_AT + 0x2000 + 8 * k), k << 21 | 0x87);
    c->cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
    c->cr3 = PML4_AT;
    c->cr4 = CR4_PAE;
    c->efer = EFER_LME | EFER_LMA | EFER_SCE;
    cpu_set_rflags(c, FL_1);
    set_tables(s, true);
    set_cpl(s, cpl, cpl ? S_CODE64_3 : S_CODE64, ATTR_L);
    cpu_sync(c);
}

void sys_v86(struct sys *s, int iopl)
{
    static const u16 sels[SEG_COUNT] = {0x7001, 0x2000, 0x6000, 0x7000, 0x7002, 0x7003};
    struct cpu *c = s->cpu;
    sys_prot(s, 3);
    cpu_set_rflags(c, (u32)(FL_1 | FL_VM | iopl << 12));
    for (int k = 0; k < SEG_COUNT; k++)
        cpu_set_seg(c, k, sels[k], (u32)sels[k] << 4, 0xffff, DATA | ATTR_A | DPL3);
    c->rip = 0;
    c->gpr[RSP] = 0xfff0;
    cpu_sync(c);
}

enum cpu_exit sys_step(struct sys *s, const u8 *code, size_t n)
{
    struct cpu *c = s->cpu;
    u64 at = c->mode == MODE_LONG64 ? c->rip : (u32)(c->seg[SEG_CS].base + c->rip);
    cr_assert(at + n <= RAM_BYTES, "code at %#lx", at);
    sys_put(s, at, code, n);
    return cpu_step(c);
}

void sys_expect_at(struct sys *s, u64 at, int line)
{
    char dump[4096];
    if (s->cpu->rip != at)
        cpu_dump(s->cpu, dump, sizeof(dump));
    cr_assert(s->cpu->rip == at, "line %d: RIP %#lx, not %#lx (last exception %d, error %#x)\n%s",
              line, s->cpu->rip, at, s->cpu->ex_vector, s->cpu->ex_error, dump);
}

void sys_expect_fault(struct sys *s, int vector, u32 error, int line)
{
    struct cpu *c = s->cpu;
    sys_expect_at(s, HANDLER(vector), line);
    if (error == NO_ERROR)
        return;
    u32 got = sys_u32(s, (c->seg[SEG_SS].base + c->gpr[RSP]) & 0xffffffff);
    cr_assert(got == error, "line %d: vector %d, error %#x, not %#x", line, vector, got, error);
}
