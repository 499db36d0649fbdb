/*
 * tests/insn/box.c - the smallest machine an exec function can run in.
 *
 * Page tables and code live low in guest RAM; 2 MiB pages map it to itself.
 */
#include "tests/insn/insn_test.h"
#include "cpu/decode_priv.h"
#ifdef TRV_HAVE_BT
#include "bt/bt.h"
#endif

#include <stdio.h>
#include <stdlib.h>

enum { PML4 = 0x1000, PDPT = 0x2000, PD = 0x3000 };

static void flat(struct cpu *cpu, u16 code_attr)
{
    for (int s = 0; s < SEG_COUNT; s++)
        cpu->seg[s] = (struct seg){.sel = 0x10,
                                   .limit = 0xffffffff,
                                   .attr = ATTR_P | ATTR_S | ATTR_RW | ATTR_A | ATTR_G | ATTR_DB};
    cpu->seg[SEG_CS].sel = 8;
    cpu->seg[SEG_CS].attr = (u16)(ATTR_P | ATTR_S | ATTR_X | ATTR_RW | ATTR_A | code_attr);
}

u8 *box_mem(struct box *b, u64 addr)
{
    return b->ram->base + addr;
}

struct box *box_new(const char *model)
{
    struct error err;
    struct box *b = calloc(1, sizeof(*b));
    b->clk = clock_new(CLOCK_FAKE, 0);
    b->mem = space_new("memory", 1ull << 40);
    b->ports = space_new("ports", 65536);
    if (ram_new(RAM_SIZE, &b->ram, &err) != ST_OK)
        abort();
    space_map_ram(b->mem, 0, RAM_SIZE, b->ram, 0, MAP_RW, 0);
    struct cpu_config cfg = {
        .model = model, .clk = b->clk, .mem = b->mem, .ports = b->ports, .ram = b->ram};
    if (cpu_new(&cfg, &b->cpu, &err) != ST_OK) {
        fprintf(stderr, "%s\n", err.msg);
        abort();
    }
#ifdef TRV_HAVE_BT
    struct bt_config bt = {.heat = 1};
    if (getenv("TRIVISOR_TEST_BT") && bt_attach(b->cpu, &bt, &err) != ST_OK)
        abort();
#endif
    if (!cpu_has(b->cpu, FEAT_LM))
        return b;
    st_u64(box_mem(b, PML4), PDPT | 7);
    st_u64(box_mem(b, PDPT), PD | 7);
    for (u64 k = 0; k < RAM_SIZE >> 21; k++)
        st_u64(box_mem(b, PD + 8 * k), k << 21 | 0x87);
    struct cpu *cpu = b->cpu;
    cpu->cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
    cpu->cr3 = PML4;
    cpu->cr4 = CR4_PAE;
    cpu->efer = EFER_LME | EFER_LMA;
    flat(cpu, ATTR_L);
    cpu_sync(cpu);
    return b;
}

void box_mode32(struct box *b)
{
    b->cpu->cr0 = CR0_PE | CR0_ET;
    b->cpu->cr4 = b->cpu->efer = 0;
    flat(b->cpu, ATTR_DB | ATTR_G);
    cpu_sync(b->cpu);
}

void box_mode16(struct box *b)
{
    b->cpu->cr0 = CR0_ET;
    b->cpu->cr4 = b->cpu->efer = 0;
    for (int s = 0; s < SEG_COUNT; s++)
        b->cpu->seg[s] = (struct seg){.limit = 0xffff, .attr = ATTR_P | ATTR_S | ATTR_RW | ATTR_A};
    cpu_sync(b->cpu);
}

void box_free(struct box *b)
{
#ifdef TRV_HAVE_BT
    bt_detach(b->cpu);
#endif
    cpu_free(b->cpu);
    space_free(b->mem);
    space_free(b->ports);
    ram_free(b->ram);
    clock_free(b->clk);
    free(b);
}

void box_decode(struct box *b, const u8 *bytes, int len, struct insn *out)
{
    u8 buf[32] = {0};
    memcpy(buf, bytes, (size_t)len);
    int n = decode_insn(b->cpu, buf, 15, b->cpu->key, out);
    if (n != len) {
        fprintf(stderr, "decoded %d of %d bytes:", n, len);
        for (int k = 0; k < len; k++)
            fprintf(stderr, " %02x", bytes[k]);
        fprintf(stderr, "\n");
        abort();
    }
    insn_place(out, 0);
}

/* Its own frame: the jump buffer's target must still be on the stack. */
static noinline int exec_once(struct cpu *cpu, const struct insn *i)
{
    if (__builtin_setjmp(cpu->jmp))
        return cpu->ex_vector;
    cpu->left = 1000;
    cpu->block = NULL;
    cpu->cur = i;
    insn_rows[i->row].exec(cpu, i);
    cpu->cur = NULL;
    return -1;
}

int box_exec(struct box *b, const struct insn *i, struct regs *r)
{
    struct cpu *cpu = b->cpu;
    u64 at = cpu->mode == MODE_REAL ? 0 : CODE_AT;
    int vector;
    memcpy(cpu->gpr, r->gpr, sizeof(r->gpr));
    cpu->gpr[GPR_ZERO] = 0;
    cpu->gpr[GPR_BLOCK] = at;
    cpu->fl = fl_from_eflags((u32)r->flags);
    cpu->flsys = FL_1 | ((u32)r->flags & FL_DF);
    do {
        cpu->rip = at + i->len;
        vector = exec_once(cpu, i);
    } while (vector < 0 && cpu->rip == at && (i->flags & (INF_REP | INF_REPNE)));
    memcpy(r->gpr, cpu->gpr, sizeof(r->gpr));
    r->flags = fl_to_eflags(cpu->fl) | (cpu->flsys & FL_DF);
    return vector;
}

int box_run(struct box *b, const u8 *bytes, int len, struct regs *r)
{
    struct insn i;
    box_decode(b, bytes, len, &i);
    return box_exec(b, &i, r);
}

void box_load(struct box *b, const u8 *bytes, int len)
{
    memcpy(box_mem(b, CODE_AT), bytes, (size_t)len);
    *box_mem(b, CODE_AT + (u64)len) = 0xf4;
    ram_note_write(b->ram, CODE_AT, (u64)len + 1);
}

bool box_engine(struct box *b, struct regs *r)
{
    struct cpu *cpu = b->cpu;
    memcpy(cpu->gpr, r->gpr, sizeof(r->gpr));
    cpu->fl = fl_from_eflags((u32)r->flags);
    cpu->flsys = FL_1 | ((u32)r->flags & FL_DF);
    cpu->rip = CODE_AT;
    enum cpu_exit why = cpu_run(cpu, 100);
    memcpy(r->gpr, cpu->gpr, sizeof(r->gpr));
    r->flags = fl_to_eflags(cpu->fl) | (cpu->flsys & FL_DF);
    cpu->pending = 0;
    cpu->halted = false;
    return why == CPU_HALT;
}

u64 next_random(u64 *s)
{
    u64 z = *s += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

u64 next_operand(u64 *s)
{
    static const u64 edge[] = {0,          1,          2,          0x7f,
                               0x80,       0xff,       0x100,      0x7fff,
                               0x8000,     0xffff,     0x10000,    0x7fffffff,
                               0x80000000, 0xffffffff, 1ull << 32, 0x7fffffffffffffff,
                               1ull << 63, ~0ull,      ~1ull,      0x0102030405060708};
    u64 k = next_random(s);
    switch (k & 3) {
    case 0:
        return edge[(k >> 8) % ARRAY_LEN(edge)];
    case 1:
        return edge[(k >> 8) % ARRAY_LEN(edge)] + ((k >> 40) & 7) - 3;
    default:
        return next_random(s);
    }
}
