/*
 * frontends/record/ours.c - see ours.h.
 */
#include "frontends/record/ours.h"
#include "frontends/record/layout.h"
#include "frontends/record/segments.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ours {
    struct testbed *tb;
    u8 now[ARENA_BYTES]; /* what is in its RAM */
    u8 before[ARENA_BYTES];
};

#define TABLES_LINEAR 0xffff800000000000ull
enum { GDT_AT = 0x6000, LDT_AT = 0x7000 };
enum { PAGE_P = 1, PAGE_W = 2, PAGE_U = 4, PAGE_A = 0x20, PAGE_D = 0x40 };
enum { CR0_BITS = 0x80050033u, CR4_BITS = 0x50e20, EFER_BITS = 0xd01 };

void arena_prepare(struct testbed *tb)
{
    enum { PML4 = 0x1000, PDPT = 0x2000, PD = 0x3000, PT = 0x4000, PDPT2 = 0x5000 };
    u64 table = PAGE_P | PAGE_W | PAGE_U | PAGE_A;
    u64 e = PDPT | table;

    testbed_write(tb, PML4, &e, 8);
    e = PD | table;
    testbed_write(tb, PDPT, &e, 8);
    e = PT | table;
    testbed_write(tb, PD + AREA_CODE / (2 * MIB) * 8, &e, 8);
    /* the descriptor tables, for the processor alone, where a Linux kernel is */
    e = PDPT2 | table;
    testbed_write(tb, PML4 + TABLES_LINEAR / (512ull * GIB) % 512 * 8, &e, 8);
    e = PAGE_P | PAGE_A | PAGE_D | 0x80; /* 1 GiB */
    testbed_write(tb, PDPT2, &e, 8);
    testbed_write(tb, GDT_AT, segments_global, sizeof(segments_global));
    for (int k = 0; k < SEGMENTS_LDT; k++) {
        e = segments_local_descriptor(k);
        testbed_write(tb, LDT_AT + (u64)k * 8, &e, 8);
    }
    for (int a = 0; a < AREAS; a++)
        for (int p = 0; p < AREA_PAGES; p++) {
            u64 lin = AREA_CODE + (u64)a * AREA_STEP + (u64)p * PAGE_SIZE;
            e = (ARENA_PHYS + (u64)(a * AREA_PAGES + p) * PAGE_SIZE) | PAGE_P | PAGE_U | PAGE_A |
                PAGE_D;
            if (a)
                e |= 1ull << 63;
            if (lin >= AREA_DATA && lin != AREA_CONST && lin != AREA_CONST + PAGE_SIZE)
                e |= PAGE_W;
            testbed_write(tb, PT + (lin >> PAGE_SHIFT & 511) * 8, &e, 8);
        }
}

void arena_regs(int bits, const struct host_state *s, struct cpu_regs *r)
{
    struct cpu_seg_state data = {.limit = 0xffffffff, .sel = SEL_DATA, .attr = 0xc0f3};

    memset(r, 0, sizeof(*r));
    memcpy(r->gpr, s->gpr, sizeof(r->gpr));
    r->rip = s->rip;
    r->rflags = s->rflags;
    memcpy(r->xsave, s->xsave, sizeof(r->xsave));
    r->seg[CPU_SEG_ES] = r->seg[CPU_SEG_SS] = r->seg[CPU_SEG_DS] = data;
    r->seg[CPU_SEG_CS] = data;
    r->seg[CPU_SEG_CS].sel = bits == 64 ? SEL_CODE64 : SEL_CODE32;
    r->seg[CPU_SEG_CS].attr = bits == 64 ? 0xa0fb : 0xc0fb;
    if (bits == 16) {
        r->seg[CPU_SEG_ES] = r->seg[CPU_SEG_DS] = (struct cpu_seg_state){
            .base = DATA16_BASE, .limit = DATA16_LIMIT, .sel = SEL_DATA16, .attr = 0xf3};
        r->seg[CPU_SEG_SS] = (struct cpu_seg_state){
            .base = STACK16_BASE, .limit = STACK16_LIMIT, .sel = SEL_STACK16, .attr = 0xf3};
        r->seg[CPU_SEG_CS] = (struct cpu_seg_state){
            .base = CODE16_BASE, .limit = CODE16_LIMIT, .sel = SEL_CODE16, .attr = 0xfb};
    }
    if (bits == 64) {
        r->seg[CPU_SEG_FS] = (struct cpu_seg_state){.base = FS_BASE};
        r->seg[CPU_SEG_GS] = (struct cpu_seg_state){.base = GS_BASE};
    } else {
        r->seg[CPU_SEG_GS] = (struct cpu_seg_state){
            .base = GS_BASE, .limit = GS_LIMIT, .sel = SEL_GS32, .attr = 0x40f3};
    }
    r->gdtr.base = TABLES_LINEAR + GDT_AT;
    r->gdtr.limit = sizeof(segments_global) - 1;
    r->ldtr = (struct cpu_seg_state){
        .base = TABLES_LINEAR + LDT_AT, .limit = SEGMENTS_LDT * 8 - 1, .sel = 0x50, .attr = 0x82};
    r->tr = (struct cpu_seg_state){.limit = 0x65, .sel = 0x40, .attr = 0x8b};
    r->cr0 = CR0_BITS;
    r->cr3 = 0x1000;
    r->cr4 = CR4_BITS;
    r->efer = EFER_BITS;
    r->xcr0 = 7;
    r->dr[6] = 0xffff0ff0;
    r->dr[7] = 0x400;
    r->cpl = 3;
}

enum status ours_open(const char *cpu, const char *engine, struct ours **out, struct error *err)
{
    struct ours *o = calloc(1, sizeof(*o));
    if (!o)
        return fail(err, ST_NOMEM, "out of memory");
    struct testbed_config c = {.cpu = cpu, .engine = engine, .ram_size = ARENA_RAM, .catch = true};
    enum status st = testbed_new(&c, &o->tb, err);
    if (st != ST_OK) {
        free(o);
        return st;
    }
    arena_prepare(o->tb);
    *out = o;
    return ST_OK;
}

void ours_free(struct ours *o)
{
    if (!o)
        return;
    testbed_free(o->tb);
    free(o);
}

struct testbed *ours_testbed(const struct ours *o)
{
    return o->tb;
}

/* RAM becomes the image, where it is not already. */
static void load_image(struct ours *o, const u8 *image)
{
    for (int k = 0; k < ARENA_BYTES; k += 64)
        if (memcmp(o->now + k, image + k, 64))
            testbed_write(o->tb, ARENA_PHYS + (u64)k, image + k, 64);
}

static void store_image(struct ours *o, struct host_case *r)
{
    testbed_read(o->tb, ARENA_PHYS, o->now, ARENA_BYTES);
    r->n_out = 0;
    for (int k = 0; k < ARENA_BYTES; k++) {
        if (!(k & 63) && !memcmp(o->now + k, o->before + k, 64)) {
            k += 63;
            continue;
        }
        if (o->now[k] == o->before[k])
            continue;
        if (r->n_out < HOST_CELLS)
            r->mem_out[r->n_out] = (struct host_cell){(u32)arena_address(k), o->now[k]};
        if (r->n_out <= HOST_CELLS)
            r->n_out++;
    }
}

void ours_run(struct ours *o, const struct host_case *c, struct host_case *r)
{
    struct cpu_regs regs;
    struct testbed_exception ex = {.vector = -1};
    enum testbed_stop stop;

    host_arena(c, o->before);
    load_image(o, o->before);
    arena_regs(c->bits, &c->in, &regs);
    testbed_set(o->tb, &regs);
    int steps = 0;
    do {
        stop = testbed_step(o->tb, &ex);
        testbed_get(o->tb, &regs);
    } while (stop == TESTBED_STEPPED && c->rep && regs.rip == c->in.rip && ++steps < c->max_steps);
    r->end = stop == TESTBED_STEPPED || stop == TESTBED_CAUGHT ? HOST_OK : HOST_ODD;
    memcpy(r->out.gpr, regs.gpr, sizeof(r->out.gpr));
    r->out.rip = regs.rip;
    r->out.rflags = regs.rflags;
    memcpy(r->out.xsave, regs.xsave, sizeof(r->out.xsave));
    for (int k = 0; k < 6; k++)
        r->out.sel[k] = regs.seg[k].sel > 3 ? regs.seg[k].sel : 0; /* as IRET leaves null ones */
    r->out.fs_base = regs.seg[CPU_SEG_FS].base;
    r->out.gs_base = regs.seg[CPU_SEG_GS].base;
    r->vector = stop == TESTBED_CAUGHT ? ex.vector : -1;
    r->has_error = r->vector >= 0 && ex.has_error;
    r->error = r->has_error ? ex.error : 0;
    r->cr2 = r->vector == 14 ? ex.cr2 : 0;
    store_image(o, r);
}

/* ---- comparison ------------------------------------------------------------------------------ */
static const char *const gpr_names[16] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                          "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};

static u64 word(const u8 *p, int n)
{
    u64 v = 0;
    memcpy(&v, p, (size_t)n);
    return v;
}

static bool say(char *text, size_t size, const char *what, u64 a, u64 b)
{
    snprintf(text, size, "%s: recorded %llx, got %llx", what, (unsigned long long)a,
             (unsigned long long)b);
    return true;
}

static bool xsave_differs(const u8 *a, const u8 *b, int n_vec, char *text, size_t size)
{
    static const struct {
        const char *name;
        int at, n;
    } fields[] = {{"fcw", 0, 2}, {"fsw", 2, 2}, {"ftw", 4, 1}, {"mxcsr", 24, 4}};
    char name[16];

    for (size_t k = 0; k < ARRAY_LEN(fields); k++)
        if (memcmp(a + fields[k].at, b + fields[k].at, (size_t)fields[k].n))
            return say(text, size, fields[k].name, word(a + fields[k].at, fields[k].n),
                       word(b + fields[k].at, fields[k].n));
    if (word(a + 6, 2) | word(a + 8, 8) | word(a + 16, 8)) {
        if (word(a + 6, 2) != word(b + 6, 2))
            return say(text, size, "fop", word(a + 6, 2), word(b + 6, 2));
        if (word(a + 8, 8) != word(b + 8, 8))
            return say(text, size, "fip", word(a + 8, 8), word(b + 8, 8));
        if (word(a + 16, 8) != word(b + 16, 8))
            return say(text, size, "fdp", word(a + 16, 8), word(b + 16, 8));
    }
    for (int k = 0; k < 8; k++)
        if (memcmp(a + 32 + 16 * k, b + 32 + 16 * k, 10)) {
            snprintf(text, size, "st%d: recorded %04llx %016llx, got %04llx %016llx", k,
                     (unsigned long long)word(a + 40 + 16 * k, 2),
                     (unsigned long long)word(a + 32 + 16 * k, 8),
                     (unsigned long long)word(b + 40 + 16 * k, 2),
                     (unsigned long long)word(b + 32 + 16 * k, 8));
            return true;
        }
    for (int k = 0; k < n_vec; k++)
        for (int q = 0; q < 4; q++) {
            int at = (q < 2 ? 160 : 576) + 16 * k + 8 * (q & 1);
            snprintf(name, sizeof(name), "ymm%d.q%d", k, q);
            if (memcmp(a + at, b + at, 8))
                return say(text, size, name, word(a + at, 8), word(b + at, 8));
        }
    return false;
}

bool ours_differs(const struct host_case *recorded, const struct host_case *r, u32 flags,
                  char *text, size_t size)
{
    const struct host_state *a = &recorded->out, *b = &r->out;

    if (r->vector == 14 && host_shadow(r->cr2))
        return false;
    if (r->end != HOST_OK)
        return say(text, size, "end", 0, (u64)r->end);
    if (recorded->vector != r->vector) {
        snprintf(text, size, "exception: recorded %d, got %d", recorded->vector, r->vector);
        return true;
    }
    if (recorded->error != r->error)
        return say(text, size, "error code", recorded->error, r->error);
    if (recorded->cr2 != r->cr2)
        return say(text, size, "cr2", recorded->cr2, r->cr2);
    if (a->rip != b->rip)
        return say(text, size, "rip", a->rip, b->rip);
    for (int k = 0; k < (recorded->bits == 64 ? 16 : 8); k++)
        if (a->gpr[k] != b->gpr[k])
            return say(text, size, gpr_names[k], a->gpr[k], b->gpr[k]);
    if ((a->rflags ^ b->rflags) & flags)
        return say(text, size, "rflags", a->rflags & flags, b->rflags & flags);
    static const char *const segment_names[6] = {"es", "cs", "ss", "ds", "fs", "gs"};
    for (int k = 0; k < 6; k++)
        if (a->sel[k] != b->sel[k])
            return say(text, size, segment_names[k], a->sel[k], b->sel[k]);
    if (a->fs_base != b->fs_base)
        return say(text, size, "fs.base", a->fs_base, b->fs_base);
    if (a->gs_base != b->gs_base)
        return say(text, size, "gs.base", a->gs_base, b->gs_base);
    if (xsave_differs(a->xsave, b->xsave, recorded->bits == 64 ? 16 : 8, text, size))
        return true;
    for (u32 k = 0; k < MAX(recorded->n_out, r->n_out) && k < HOST_CELLS; k++) {
        const struct host_cell *x = k < recorded->n_out ? &recorded->mem_out[k] : NULL;
        const struct host_cell *y = k < r->n_out ? &r->mem_out[k] : NULL;
        if (x && y && x->addr == y->addr && x->value == y->value)
            continue;
        snprintf(text, size, "memory: recorded %d bytes changed, got %d; first at %x %02x, %x %02x",
                 (int)recorded->n_out, (int)r->n_out, x ? x->addr : 0, x ? x->value : 0,
                 y ? y->addr : 0, y ? y->value : 0);
        return true;
    }
    return false;
}
