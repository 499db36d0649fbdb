/*
 * cpu/exec/template_priv.h - one operation said once, expanded for every operand size.
 *
 * You are here: the exec files of integer instructions use these macros; alu_priv.h's ALU_SIZES
 * makes the per-size functions they dispatch to.
 */
#ifndef CPU_EXEC_TEMPLATE_PRIV_H
#define CPU_EXEC_TEMPLATE_PRIV_H

#include "cpu/alu_priv.h"
#include "cpu/exec_priv.h"

/* #DE. The 8086 saves the address of the next instruction (SDM vol. 3, 22.17), later ones that of
 * the division: without a current instruction the fault is reported at RIP. */
static inline noreturn void raise_de(struct cpu *cpu)
{
    if (!cpu_has(cpu, FEAT_I286))
        cpu->cur = NULL;
    cpu_raise(cpu, EX_DE);
}

/* exec_<op> calls <op>8, <op>16, <op>32 or <op>64 by the size of operand 0. */
#define BY_SIZE(op)                                                                                \
    void exec_##op(struct cpu *cpu, const struct insn *i)                                          \
    {                                                                                              \
        switch (i->size[0]) {                                                                      \
        case 1:                                                                                    \
            op##8(cpu, i);                                                                         \
            break;                                                                                 \
        case 2:                                                                                    \
            op##16(cpu, i);                                                                        \
            break;                                                                                 \
        case 4:                                                                                    \
            op##32(cpu, i);                                                                        \
            break;                                                                                 \
        default:                                                                                   \
            op##64(cpu, i);                                                                        \
            break;                                                                                 \
        }                                                                                          \
    }
#define BY_SIZE_NOT8(op)                                                                           \
    void exec_##op(struct cpu *cpu, const struct insn *i)                                          \
    {                                                                                              \
        switch (i->size[0]) {                                                                      \
        case 2:                                                                                    \
            op##16(cpu, i);                                                                        \
            break;                                                                                 \
        case 4:                                                                                    \
            op##32(cpu, i);                                                                        \
            break;                                                                                 \
        default:                                                                                   \
            op##64(cpu, i);                                                                        \
            break;                                                                                 \
        }                                                                                          \
    }

/* Read-modify-write of operand 0. COMPUTE is an expression of a (the old value) and &fl; LOCKED a
 * statement that does it atomically at p, setting fl. In place when the operand is plain RAM, else
 * by probe, read, write: the probe makes the write the last thing that can fault. */
#define RMW(N, EA, COMPUTE, LOCKED)                                                                \
    u16 fl = cpu->fl;                                                                              \
    if (i->kind[0] == OP_MEM) {                                                                    \
        gva ea = EA;                                                                               \
        hva p = mem_rmw(cpu, i->seg, ea, N / 8);                                                   \
        if (likely(p)) {                                                                           \
            if (i->flags & INF_LOCK) {                                                             \
                LOCKED;                                                                            \
            } else {                                                                               \
                u##N a = ld_u##N(p);                                                               \
                st_u##N(p, COMPUTE);                                                               \
            }                                                                                      \
        } else {                                                                                   \
            mem_probe_write(cpu, i->seg, ea, N / 8);                                               \
            u##N a = (u##N)mem_read(cpu, i->seg, ea, N / 8);                                       \
            mem_write(cpu, i->seg, ea, COMPUTE, N / 8);                                            \
        }                                                                                          \
    } else {                                                                                       \
        u##N a = (u##N)op_read(cpu, i, 0);                                                         \
        op_write(cpu, i, 0, COMPUTE);                                                              \
    }                                                                                              \
    cpu->fl = fl;

#endif
