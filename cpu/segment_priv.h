/*
 * cpu/segment_priv.h - descriptors as segment.c, far.c, intr.c and task.c read them.
 *
 * You are here: private to the system side of cpu/.
 */
#ifndef CPU_SEGMENT_PRIV_H
#define CPU_SEGMENT_PRIV_H

#include "cpu/exec_priv.h"

/* System descriptor types (SDM vol. 3, table 3-2). */
enum {
    SYS_TSS16 = 1,
    SYS_LDT = 2,
    SYS_TSS16_BUSY = 3,
    SYS_CALL16 = 4,
    SYS_TASK = 5,
    SYS_INT16 = 6,
    SYS_TRAP16 = 7,
    SYS_TSS32 = 9,
    SYS_TSS32_BUSY = 11,
    SYS_CALL32 = 12,
    SYS_INT32 = 14,
    SYS_TRAP32 = 15,
};

struct desc {
    gla addr; /* of its first byte */
    u32 lo, hi;
};

static inline u16 desc_attr(const struct desc *d)
{
    return (u16)((d->hi >> 8) & 0xf0ff);
}
static inline int desc_dpl(const struct desc *d)
{
    return (int)(d->hi >> 13) & 3;
}
static inline int desc_type(const struct desc *d)
{
    return (int)(d->hi >> 8) & 15;
}
static inline bool desc_s(const struct desc *d)
{
    return d->hi & 0x1000;
}
static inline bool desc_p(const struct desc *d)
{
    return d->hi & 0x8000;
}
static inline bool desc_code(const struct desc *d)
{
    return (d->hi & 0x1800) == 0x1800;
}
static inline bool desc_conforming(const struct desc *d)
{
    return d->hi & 0x400;
}
static inline bool desc_writable_data(const struct desc *d)
{
    return (d->hi & 0x1a00) == 0x1200;
}
static inline u32 desc_base(const struct desc *d)
{
    return d->lo >> 16 | (d->hi & 0xff) << 16 | (d->hi & 0xff000000);
}
static inline u32 desc_limit(const struct desc *d)
{
    u32 l = (d->lo & 0xffff) | (d->hi & 0xf0000);
    return d->hi & 0x800000 ? l << 12 | 0xfff : l;
}

static inline bool sel_null(u16 sel)
{
    return !(sel & 0xfffc);
}

/* Reads the descriptor of sel from GDT or LDT; false when it is beyond the table's limit. */
bool desc_read(struct cpu *cpu, u16 sel, struct desc *d);
/* The same, raising vec(sel) when it is not there. */
void desc_need(struct cpu *cpu, u16 sel, struct desc *d, int vec);
/* Upper base dword of a 16-byte system descriptor (long mode); raises vec(sel) if out of table. */
u32 desc_upper(struct cpu *cpu, u16 sel, const struct desc *d, int vec);
/* Sets the accessed bit in memory and in *d. */
void desc_mark_accessed(struct cpu *cpu, struct desc *d);
/* What loading this descriptor gives a data segment register goes into cpu->known, if it can be
 * loaded at CPL 0 without a fault and without being marked. */
void desc_remember(struct cpu *cpu, u16 sel, const struct desc *d);
/* Sets or clears the busy bit of a TSS descriptor in memory. */
void desc_mark_busy(struct cpu *cpu, const struct desc *d, bool busy);

/* Fills a segment register from a checked descriptor. */
void seg_fill(struct cpu *cpu, int s, u16 sel, const struct desc *d);
/* A null selector in a data segment register: unusable. */
void seg_null(struct cpu *cpu, int s, u16 sel);
/* The same two without update_mode(), which must follow. */
void seg_put(struct cpu *cpu, int s, u16 sel, const struct desc *d);
void seg_put_null(struct cpu *cpu, int s, u16 sel);
/* As real and virtual-8086 mode load a segment register. V86 also sets limit and rights. */
void seg_real(struct cpu *cpu, int s, u16 sel);
void seg_v86(struct cpu *cpu, int s, u16 sel);

/* CS:RIP and CPL; d is a checked code descriptor. put_cs: update_mode() must follow. */
void put_cs(struct cpu *cpu, u16 sel, int cpl, struct desc *d, u64 rip);
void load_cs(struct cpu *cpu, u16 sel, int cpl, struct desc *d, u64 rip);

/* Checks a stack segment for privilege `cpl`, raising vec(sel) as the rules for `vec` (#TS for
 * stacks out of a TSS, #GP/#SS otherwise) say. */
void check_ss(struct cpu *cpu, u16 sel, int cpl, struct desc *d, int vec);

/* A stack that is being built or read before it becomes SS:RSP. */
struct stack {
    u64 base, sp, mask;
    u32 limit;
    u16 attr;
    bool flat64;
    int cpl; /* privilege of the accesses */
    u16 sel; /* for the #SS error code */
};
struct stack stack_current(const struct cpu *cpu);
struct stack stack_new(u16 sel, const struct desc *d, u64 sp, int cpl);
void stack_push(struct cpu *cpu, struct stack *st, u64 v, int size);
/* n values, v[0] first, faults as if one by one; n * size is at most 64 bytes. */
void stack_push_all(struct cpu *cpu, struct stack *st, const u64 *v, int n, int size);
void stack_pop_all(struct cpu *cpu, struct stack *st, u64 *v, int n, int size);
u64 stack_pop(struct cpu *cpu, struct stack *st, int size);
/* RSP becomes its sp: only the bits that a stack of this size has. */
void stack_commit(struct cpu *cpu, const struct stack *st);

/* Inner stack pointer from the running TSS. 32/16-bit: SS and ESP; long mode: RSP (or IST). */
void tss_stack(struct cpu *cpu, int cpl, u16 *ss, u32 *esp);
u64 tss_rsp64(struct cpu *cpu, int index /* 0-2 RSPn, 4-10 IST1-7 */);

/* Nulls data segment registers that a return to an outer level must not keep. */
void drop_inner_segments(struct cpu *cpu, int cpl);

#endif
