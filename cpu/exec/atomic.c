/*
 * cpu/exec/atomic.c - CMPXCHG, XADD, CMPXCHG8B, CMPXCHG16B.
 *
 * The destination is always written, also when the comparison fails (AMD APM vol. 3, CMPXCHG), so
 * it must be writable. In plain RAM these are host atomics whether or not LOCK is there.
 */
#include "cpu/alu_priv.h"
#include "cpu/exec/rows_priv.h"
#include "cpu/exec/template_priv.h"
#include "cpu/exec_priv.h"

#define CMPXCHG(N, S, M)                                                                           \
    static void cmpxchg##N(struct cpu *cpu, const struct insn *i)                                  \
    {                                                                                              \
        u##N src = (u##N)op_read(cpu, i, 1);                                                       \
        u64 acc = cpu->gpr[RAX];                                                                   \
        u16 fl;                                                                                    \
        if (i->kind[0] == OP_MEM) {                                                                \
            gva ea = op_ea(cpu, i);                                                                \
            hva p = mem_rmw(cpu, i->seg, ea, N / 8);                                               \
            if (likely(p)) {                                                                       \
                lock_cmpxchg##N(p, src, &acc, &fl);                                                \
            } else {                                                                               \
                mem_probe_write(cpu, i->seg, ea, N / 8);                                           \
                u64 old = mem_read(cpu, i->seg, ea, N / 8);                                        \
                mem_write(cpu, i->seg, ea, alu_cmpxchg##N(old, src, &acc, &fl), N / 8);            \
            }                                                                                      \
            cpu->gpr[RAX] = acc;                                                                   \
        } else if (i->kind[0] == OP_GPRH) {                                                        \
            u64 d = alu_cmpxchg##N(op_read(cpu, i, 0), src, &acc, &fl);                            \
            cpu->gpr[RAX] = acc;                                                                   \
            op_write(cpu, i, 0, d);                                                                \
        } else {                                                                                   \
            u64 d = alu_cmpxchg##N(cpu->gpr[i->reg[0]], src, &acc, &fl);                           \
            cpu->gpr[RAX] = acc;                                                                   \
            if (fl & AF_ZF || i->reg[0] != RAX)                                                    \
                cpu->gpr[i->reg[0]] = d;                                                           \
        }                                                                                          \
        cpu->fl = fl;                                                                              \
    }
ALU_SIZES(CMPXCHG)
BY_SIZE(cmpxchg)

/* The source is written first: XADD r, r of one register ends with the sum. */
#define XADD(N, S, M)                                                                              \
    static void xadd##N(struct cpu *cpu, const struct insn *i)                                     \
    {                                                                                              \
        u##N b = (u##N)op_read(cpu, i, 1), a;                                                      \
        u16 fl;                                                                                    \
        if (i->kind[0] == OP_MEM) {                                                                \
            gva ea = op_ea(cpu, i);                                                                \
            hva p = mem_rmw(cpu, i->seg, ea, N / 8);                                               \
            if (likely(p)) {                                                                       \
                a = lock_xadd##N(p, b, &fl);                                                       \
            } else {                                                                               \
                mem_probe_write(cpu, i->seg, ea, N / 8);                                           \
                a = (u##N)mem_read(cpu, i->seg, ea, N / 8);                                        \
                mem_write(cpu, i->seg, ea, alu_add##N(a, b, &fl), N / 8);                          \
            }                                                                                      \
            op_write(cpu, i, 1, a);                                                                \
        } else {                                                                                   \
            a = (u##N)op_read(cpu, i, 0);                                                          \
            u##N sum = alu_add##N(a, b, &fl);                                                      \
            op_write(cpu, i, 1, a);                                                                \
            op_write(cpu, i, 0, sum);                                                              \
        }                                                                                          \
        cpu->fl = fl;                                                                              \
    }
ALU_SIZES(XADD)
BY_SIZE(xadd)

static void set_zf(struct cpu *cpu, bool zf)
{
    cpu->fl = (u16)((cpu->fl & ~AF_ZF) | (zf ? AF_ZF : 0));
}

void exec_cmpxchg8b(struct cpu *cpu, const struct insn *i)
{
    if (!cpu_has(cpu, FEAT_CX8))
        raise_ud(cpu);
    u64 want = (cpu->gpr[RDX] << 32) | (u32)cpu->gpr[RAX];
    u64 with = (cpu->gpr[RCX] << 32) | (u32)cpu->gpr[RBX], old = want;
    gva ea = op_ea(cpu, i);
    hva p = mem_rmw(cpu, i->seg, ea, 8);
    if (likely(p)) {
        u16 fl;
        lock_cmpxchg64(p, with, &old, &fl);
    } else {
        mem_probe_write(cpu, i->seg, ea, 8);
        old = mem_read(cpu, i->seg, ea, 8);
        mem_write(cpu, i->seg, ea, old == want ? with : old, 8);
    }
    set_zf(cpu, old == want);
    if (old != want) {
        cpu->gpr[RAX] = (u32)old;
        cpu->gpr[RDX] = old >> 32;
    }
}

/* #GP(0) unless aligned to 16 (AMD APM vol. 3, CMPXCHG8B/16B). */
void exec_cmpxchg16b(struct cpu *cpu, const struct insn *i)
{
    gva ea = op_ea(cpu, i);
    if (seg_linear(cpu, i->seg, ea, 16, true) & 15)
        raise_gp0(cpu);
    u64 lo = cpu->gpr[RAX], hi = cpu->gpr[RDX];
    bool equal;
    hva p = mem_rmw(cpu, i->seg, ea, 16);
    if (likely(p)) {
        __asm__ volatile("lock cmpxchg16b %[m]"
                         : [m] "+m"(*(u128 *)p), "+a"(lo), "+d"(hi), "=@ccz"(equal)
                         : "b"(cpu->gpr[RBX]), "c"(cpu->gpr[RCX])
                         : "memory");
    } else {
        mem_probe_write(cpu, i->seg, ea, 16);
        u64 old_lo = mem_read(cpu, i->seg, ea, 8), old_hi = mem_read(cpu, i->seg, ea + 8, 8);
        equal = old_lo == lo && old_hi == hi;
        mem_write(cpu, i->seg, ea, equal ? cpu->gpr[RBX] : old_lo, 8);
        mem_write(cpu, i->seg, ea + 8, equal ? cpu->gpr[RCX] : old_hi, 8);
        lo = old_lo;
        hi = old_hi;
    }
    set_zf(cpu, equal);
    cpu->gpr[RAX] = lo;
    cpu->gpr[RDX] = hi;
}
