/*
 * cpu/native_run.c - dispatch handlers for instructions that have a host stub.
 *
 * Not a second meaning: the same stub that exec_native and exec_x87 call, without the way through
 * the row. A closed gate, a TLB miss or a misaligned operand go to run_generic and so to exec.
 */
#include "cpu/exec/rows_priv.h"
#include "cpu/interp_priv.h"
#include "cpu/native_priv.h"

#define HANDLER(name) static const struct insn *name(struct cpu *c, const struct insn *i)

#define EA_A8                (c->gpr[i->base] + (c->gpr[i->index] << i->scale) + (u64)i->disp)
#define EA_AX                op_ea(c, i)
#define LIN_A8(off, size, w) (off)
#define LIN_AX(off, size, w) seg_linear(c, i->seg, off, size, w)
#define OK_A8(off, size, w)  true
#define OK_AX(off, size, w)  seg_fits(c, i->seg, off, size, w)

#define GATE(flag)                                                                                 \
    if (unlikely(c->flag))                                                                         \
    DISPATCH_TO(run_generic, c, i)

/* What an x87 instruction leaves besides its result. */
static always_inline void note_x87(struct cpu *c, const struct insn *i)
{
    u64 fip = c->gpr[GPR_BLOCK] + i->off;
    c->fop = (u16)(i->reg[2] << 8 | i->imm2);
    c->fip = c->key & KEY_64 ? fip : (u32)fip;
    c->fcs = c->seg[SEG_CS].sel;
}
static always_inline void note_x87_mem(struct cpu *c, const struct insn *i, gva off)
{
    note_x87(c, i);
    c->fdp = off;
    c->fds = c->seg[i->seg == SEG_FLAT ? SEG_DS : i->seg].sel;
}
static always_inline void note_none(struct cpu *c, const struct insn *i)
{
}
static always_inline void note_none_mem(struct cpu *c, const struct insn *i, gva off)
{
}

#define RUN_REG(name, flag, note)                                                                  \
    HANDLER(name##_reg)                                                                            \
    {                                                                                              \
        GATE(flag);                                                                                \
        c->cur = i;                                                                                \
        stub_call(c, i->stub, NULL);                                                               \
        note(c, i);                                                                                \
        DISPATCH(c, i + 1);                                                                        \
    }
#define RUN_MEM(name, flag, note, A, way, tag, w)                                                  \
    HANDLER(name##_##way##A)                                                                       \
    {                                                                                              \
        const struct stub *s = i->stub;                                                            \
        GATE(flag);                                                                                \
        c->cur = i;                                                                                \
        gva off = EA_##A;                                                                          \
        if (unlikely(!OK_##A(off, s->size, w)))                                                    \
            DISPATCH_TO(run_generic, c, i);                                                        \
        gla a = LIN_##A(off, s->size, w);                                                          \
        struct tlb_entry *e = tlb_slot(c, a);                                                      \
        if (unlikely(!tlb_fits(e->tag, a, s->size) || (a & s->align)))                             \
            DISPATCH_TO(run_generic, c, i);                                                        \
        stub_call(c, s, (void *)(a + e->add));                                                     \
        note##_mem(c, i, off);                                                                     \
        DISPATCH(c, i + 1);                                                                        \
    }
#define RUN_ALL(name, flag, note)                                                                  \
    RUN_REG(name, flag, note)                                                                      \
    RUN_MEM(name, flag, note, A8, load, rtag, false)                                               \
    RUN_MEM(name, flag, note, AX, load, rtag, false)                                               \
    RUN_MEM(name, flag, note, A8, store, wtag, true)                                               \
    RUN_MEM(name, flag, note, AX, store, wtag, true)
RUN_ALL(sse, sse_trap, note_none)
RUN_ALL(avx, avx_trap, note_none)
RUN_ALL(mmx, fpu_trap, note_none)
RUN_ALL(x87, fpu_trap, note_x87)

#define PICK(name)                                                                                 \
    (s->access == STUB_NOMEM  ? name##_reg                                                         \
     : s->access == STUB_LOAD ? (flat ? name##_loadA8 : name##_loadAX)                             \
                              : (flat ? name##_storeA8 : name##_storeAX))

run_fn *native_run_for(const struct insn *i)
{
    const struct stub *s = i->stub;
    bool flat = i->seg == SEG_FLAT && i->asize == 8;
    exec_fn *x = insn_rows[i->row].exec;

    if (!(i->flags & INF_STUB) || (x != exec_native && x != exec_x87))
        return NULL;
    switch (s->gate & GATE_MASK) {
    case GATE_SSE:
        return PICK(sse);
    case GATE_AVX:
        return PICK(avx);
    case GATE_MMX:
        return PICK(mmx);
    case GATE_X87:
        return PICK(x87);
    default:
        return NULL;
    }
}
