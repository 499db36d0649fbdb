/*
 * cpu/access.c - the slow half of segmented memory access: limit and type faults, canonical form,
 * alignment checks, and accesses by the processor itself.
 *
 * Intel SDM vol. 3: 5.3 (limits), 5.5 (types), 6.15 (#GP, #SS, #AC); vol. 1: 3.3.7.1 (canonical).
 */
#include "cpu/exec_priv.h"

static noreturn void seg_fault(struct cpu *cpu, int s)
{
    if (unlikely(!cpu_has(cpu, FEAT_I386)) && cpu->mode == MODE_REAL) {
        overrun_286(cpu);
        s = SEG_DS; /* interrupt 13 whatever the segment */
    }
    cpu_raise_err(cpu, s == SEG_SS ? EX_SS : EX_GP, 0);
}

gla seg_linear_slow(struct cpu *cpu, int s, gva off, u32 size, bool write)
{
    const struct seg *sg = &cpu->seg[s];
    u32 last = (u32)off + (size - 1);

    if (cpu->mode == MODE_REAL || cpu->mode == MODE_V86) {
        /* The 8086 wraps an operand at the end of a segment; later ones fault (SDM vol. 3, 20.1.1)
         */
        if (off + size - 1 > sg->limit) {
            if (cpu_has(cpu, FEAT_I286) || off > 0xffff)
                seg_fault(cpu, s);
            /* so that the access comes to the slow functions, which go on at the start */
            mmu_flush_page(&cpu->mmu, (u32)(sg->base + off));
        }
        return (u32)(sg->base + off);
    }
    if (!(sg->attr & ATTR_P) || !(sg->attr & ATTR_S))
        seg_fault(cpu, s); /* null or otherwise unusable */
    if (write ? (sg->attr & (ATTR_X | ATTR_RW)) != ATTR_RW
              : (sg->attr & (ATTR_X | ATTR_RW)) == ATTR_X)
        seg_fault(cpu, s);
    if ((sg->attr & (ATTR_X | ATTR_DC)) == ATTR_DC) { /* expand-down: above the limit */
        u32 top = sg->attr & ATTR_DB ? 0xffffffff : 0xffff;
        if (off <= sg->limit || off > top || last > top || last < (u32)off)
            seg_fault(cpu, s);
    } else if (off + (u64)size - 1 > sg->limit) {
        seg_fault(cpu, s);
    }
    return (u32)(sg->base + off);
}

/* SEG_FLAT in 64-bit mode may stand for SS: the base register decides, as in the encoding. */
static bool is_stack(const struct cpu *cpu, int s)
{
    if (s == SEG_SS)
        return true;
    const struct insn *i = cpu->cur;
    return s == SEG_FLAT && i && (i->base == RSP || i->base == RBP);
}

void check_canonical(struct cpu *cpu, int s, gla a, u32 size)
{
    if (cpu->mode == MODE_LONG64 && unlikely(!is_canonical(a) || !is_canonical(a + size - 1)))
        cpu_raise_err(cpu, is_stack(cpu, s) ? EX_SS : EX_GP, 0);
}

/* SDM vol. 3, table 6-7: to their size, an 80-bit real to 8; silicon asks no more than 16 of
 * 32-byte vectors. What has another rule asks for it by check_alignment(). */
static u32 alignment_of(u32 size)
{
    return size == 10 ? 8 : is_pow2(size) && size <= 32 ? MIN(size, 16u) : 1;
}

void check_alignment(struct cpu *cpu, int s, gva off, u32 align)
{
    if (likely(cpu->view != VIEW_USER_AC))
        return;
    gla a = seg_linear(cpu, s, off, align, false);
    check_canonical(cpu, s, a, align);
    if (a & (align - 1))
        cpu_raise_err(cpu, EX_AC, 0);
}

/* Alignment checking is on exactly while the view is VIEW_USER_AC (update_mode). A flat segment's
 * one possible violation, an operand that runs over the 4 GiB, always comes this way. */
static void check_access(struct cpu *cpu, int s, gla a, u32 size)
{
    check_canonical(cpu, s, a, size);
    if (unlikely(s == SEG_FLAT && cpu->mode != MODE_LONG64 && (a + size - 1) >> 32))
        seg_fault(cpu, is_stack(cpu, s) ? SEG_SS : SEG_DS);
    if (unlikely(cpu->view == VIEW_USER_AC) && (a & (alignment_of(size) - 1)))
        cpu_raise_err(cpu, EX_AC, 0);
}

/* An operand that runs off the end of the 8086's segment goes on at its start. */
static bool wraps(const struct cpu *cpu, int s, gla a, int size)
{
    return unlikely(!cpu_has(cpu, FEAT_I286)) && s < SEG_COUNT &&
           a - cpu->seg[s].base + (u64)size - 1 > 0xffff;
}

static gla wrapped(const struct cpu *cpu, int s, gla a, int k)
{
    u64 base = cpu->seg[s].base;
    return base + ((a - base + (u64)k) & 0xffff);
}

u64 mem_read_slow(struct cpu *cpu, int s, gla a, int size)
{
    check_access(cpu, s, a, (u32)size);
    if (wraps(cpu, s, a, size)) {
        u64 v = 0;
        for (int k = 0; k < size; k++)
            v |= mmu_read(&cpu->mmu, cpu->view, wrapped(cpu, s, a, k), 1) << (8 * k);
        return v;
    }
    return mmu_read_slow(&cpu->mmu, cpu->view, a, size);
}

void mem_write_slow(struct cpu *cpu, int s, gla a, u64 v, int size)
{
    check_access(cpu, s, a, (u32)size);
    if (wraps(cpu, s, a, size)) {
        for (int k = 0; k < size; k++)
            mmu_write(&cpu->mmu, cpu->view, wrapped(cpu, s, a, k), v >> (8 * k), 1);
        return;
    }
    mmu_write_slow(&cpu->mmu, cpu->view, a, v, size);
}

hva mem_rmw_slow(struct cpu *cpu, int s, gla a, int size)
{
    check_access(cpu, s, a, (u32)size);
    if (wraps(cpu, s, a, size))
        return NULL;
    return mmu_rmw_slow(&cpu->mmu, cpu->view, a, size);
}

const u8 *mem_read_ptr_slow(struct cpu *cpu, int s, gla a, int size)
{
    check_access(cpu, s, a, (u32)size);
    if (wraps(cpu, s, a, size))
        return NULL;
    return mmu_read_ptr_slow(&cpu->mmu, cpu->view, a, size);
}

void mem_probe_read(struct cpu *cpu, int s, gva off, u32 len)
{
    gla a = seg_linear(cpu, s, off, len, false);
    check_access(cpu, s, a, len);
    mmu_probe_read(&cpu->mmu, cpu->view, a, len);
}

void mem_probe_write(struct cpu *cpu, int s, gva off, u32 len)
{
    gla a = seg_linear(cpu, s, off, len, true);
    check_access(cpu, s, a, len);
    mmu_probe_write(&cpu->mmu, cpu->view, a, len);
}

void mem_probe_write_bytes(struct cpu *cpu, int s, gva off, u32 len)
{
    gla a = seg_linear(cpu, s, off, len, true);
    check_canonical(cpu, s, a, len);
    mmu_probe_write(&cpu->mmu, cpu->view, a, len);
}

void mem_read_bytes(struct cpu *cpu, int s, gva off, void *buf, u32 len)
{
    gla a = seg_linear(cpu, s, off, len, false);
    check_canonical(cpu, s, a, len);
    mmu_read_bytes(&cpu->mmu, cpu->view, a, buf, len);
}

void mem_write_bytes(struct cpu *cpu, int s, gva off, const void *buf, u32 len)
{
    gla a = seg_linear(cpu, s, off, len, true);
    check_canonical(cpu, s, a, len);
    mmu_write_bytes(&cpu->mmu, cpu->view, a, buf, len);
}

u64 sys_read_slow(struct cpu *cpu, gla a, int size)
{
    check_canonical(cpu, SEG_DS, a, (u32)size);
    return mmu_read_slow(&cpu->mmu, sys_view(cpu), a, size);
}

void sys_write(struct cpu *cpu, gla a, u64 v, int size)
{
    check_canonical(cpu, SEG_DS, a, (u32)size);
    mmu_write(&cpu->mmu, sys_view(cpu), a, v, size);
}
