/*
 * machine/trace_access.c - what a tracer asks about the CPU: registers, memory, operands.
 */
#include "machine/trace.h"
#include "machine/vm_priv.h"
#include "cpu/insn/facts.h"

#include <string.h>

_Static_assert((int)TRACE_SPLITS == (int)VM_TRACE_SPLITS, "copied from one to the other");

u64 vm_icount(const struct vm *vm)
{
    const struct cpu *c = vm->cpu;
    /* cpu_icount counts the instruction that is being executed */
    return cpu_icount(c) - (c->block && c->cur ? 1 : 0);
}

void vm_stop_at(struct vm *vm, u64 icount)
{
    vm->stop_at = icount;
}

static u8 code_bits(const struct cpu *c)
{
    u32 mode = c->key & KEY_DMODE;
    return mode == KEY_64 ? 64 : mode == KEY_32 ? 32 : 16;
}

void vm_trace_get(const struct vm *vm, struct vm_trace_regs *r)
{
    const struct cpu *c = vm->cpu;
    memcpy(r->gpr, c->gpr, sizeof(r->gpr));
    r->rip = c->rip;
    r->rflags = cpu_rflags(c);
    r->cr3 = c->cr3;
    for (int s = 0; s < SEG_COUNT; s++)
        r->seg[s] = c->seg[s].sel;
    r->cpl = c->cpl;
    r->bits = code_bits(c);
}

void vm_trace_get_vectors(const struct vm *vm, struct vm_trace_vectors *v)
{
    cpu_sync_fpu(vm->cpu);
    memcpy(v->low, vm->cpu->xs.legacy + 160, sizeof(v->low));
    memcpy(v->high, vm->cpu->xs.ymm_hi, sizeof(v->high));
}

u64 vm_trace_gpr(const struct vm *vm, int n)
{
    return vm->cpu->gpr[n & 15];
}

bool vm_peek(const struct vm *vm, gla addr, void *buf, u32 len)
{
    u8 *to = buf;
    if (len > PAGE_SIZE)
        return false;
    while (len) {
        gpa phys;
        u32 room = (u32)(PAGE_SIZE - (addr & ~PAGE_MASK)), n = MIN(len, room);
        if (!mmu_peek(&vm->cpu->mmu, addr, &phys))
            return false;
        struct page_info page = space_find(vm->mem, phys);
        if (!page.read)
            return false;
        memcpy(to, page.read + (phys & ~PAGE_MASK), n);
        to += n;
        addr += n;
        len -= n;
    }
    return true;
}

/* ---- operands ------------------------------------------------------------------------------- */
struct finder {
    const struct cpu *c;
    const struct insn *i;
    struct vm_trace_access *out;
    int n;
};

static void add(struct finder *f, int seg, u64 off, u32 size, bool read, bool write)
{
    const struct cpu *c = f->c;
    if (f->n == VM_TRACE_ACCESSES || !size || size > 64 || !(read || write))
        return;
    u64 lin = off;
    if (c->mode == MODE_LONG64)
        lin += seg == SEG_FS || seg == SEG_GS ? c->seg[seg].base : 0;
    else
        lin = (u32)(off + (seg < SEG_COUNT ? c->seg[seg].base : 0));
    f->out[f->n++] = (struct vm_trace_access){lin, (u8)size, read, write};
}

static u64 masked(u64 v, int size)
{
    return size == 8 ? v : size == 4 ? (u32)v : (u16)v;
}

static int stack_size(const struct cpu *c)
{
    return c->mode == MODE_LONG64 ? 8 : c->key & KEY_SS32 ? 4 : 2;
}

static void push(struct finder *f)
{
    u64 sp = masked(f->c->gpr[RSP] - f->i->osize, stack_size(f->c));
    add(f, SEG_SS, sp, f->i->osize, false, true);
}

static void pop(struct finder *f)
{
    add(f, SEG_SS, masked(f->c->gpr[RSP], stack_size(f->c)), f->i->osize, true, false);
}

static void source(struct finder *f, u32 size)
{
    add(f, f->i->seg, masked(f->c->gpr[RSI], f->i->asize), size, true, false);
}

static void target(struct finder *f, u32 size, bool read)
{
    add(f, SEG_ES, masked(f->c->gpr[RDI], f->i->asize), size, read, !read);
}

/* Implicit accesses. What happens to an explicit memory operand: 1 it is read, 2 written, 3 there
 * is none, 0 ask the facts. */
static int implicit(struct finder *f)
{
    const struct insn *i = f->i;
    bool rep = i->flags & (INF_REP | INF_REPNE);
    u32 size = i->osize;
    bool idle = rep && !masked(f->c->gpr[RCX], i->asize);

    switch (i->row) {
    case INSN_PUSH:
        push(f);
        return 1;
    case INSN_POP:
        pop(f);
        return 2;
    case INSN_CALL:
        push(f);
        return 1;
    case INSN_PUSHF:
    case INSN_PUSHFD:
    case INSN_PUSHFQ:
        push(f);
        return 1;
    case INSN_RET:
    case INSN_POPF:
    case INSN_POPFD:
    case INSN_POPFQ:
        pop(f);
        return 1;
    case INSN_LEAVE:
        add(f, SEG_SS, masked(f->c->gpr[RBP], stack_size(f->c)), i->osize, true, false);
        return 1;
    case INSN_MOVSB:
    case INSN_MOVSW:
    case INSN_MOVSD:
    case INSN_MOVSQ:
        if (!idle) {
            source(f, size);
            target(f, size, false);
        }
        return 3;
    case INSN_CMPSB:
    case INSN_CMPSW:
    case INSN_CMPSD:
    case INSN_CMPSQ:
        if (!idle) {
            source(f, size);
            target(f, size, true);
        }
        return 3;
    case INSN_STOSB:
    case INSN_STOSW:
    case INSN_STOSD:
    case INSN_STOSQ:
    case INSN_INSB:
    case INSN_INSW:
    case INSN_INSD:
        if (!idle)
            target(f, MIN(size, i->row >= INSN_INSB && i->row <= INSN_INSD ? 4u : 8u), false);
        return 3;
    case INSN_LODSB:
    case INSN_LODSW:
    case INSN_LODSD:
    case INSN_LODSQ:
    case INSN_OUTSB:
    case INSN_OUTSW:
    case INSN_OUTSD:
        if (!idle)
            source(f, size);
        return 3;
    case INSN_SCASB:
    case INSN_SCASW:
    case INSN_SCASD:
    case INSN_SCASQ:
        if (!idle)
            target(f, size, true);
        return 3;
    default:
        return 0;
    }
}

int vm_trace_accesses(const struct vm *vm, struct vm_trace_access out[VM_TRACE_ACCESSES])
{
    const struct cpu *c = vm->cpu;
    const struct insn *i = trace_insn(vm);
    struct finder f = {.c = c, .i = i, .out = out};
    u8 bytes[15];
    struct insn_facts facts;

    if (!i || i->row == INSN_INVALID)
        return 0;
    int only = implicit(&f);
    if (only == 3)
        return f.n;
    for (int k = 0; k < 3; k++) {
        if (i->kind[k] != OP_MEM)
            continue;
        u64 off = masked(c->gpr[i->base] + (c->gpr[i->index] << i->scale) + (u64)i->disp, i->asize);
        if (only) {
            add(&f, i->seg, off, i->size[k], only == 1, only == 2);
        } else {
            gla lin = c->mode == MODE_LONG64 ? c->rip : (u32)(c->seg[SEG_CS].base + c->rip);
            if (vm_peek(vm, lin, bytes, i->len) && insn_facts(c, bytes, i->len, c->key, &facts))
                add(&f, i->seg, off, i->size[k], facts.mem_read, facts.mem_write);
        }
    }
    return f.n;
}
