/*
 * cpu/exec/alu.c - two-operand arithmetic, one-operand arithmetic, shifts, multiply and divide.
 *
 * The arithmetic itself is cpu/alu_priv.h; here are operands, memory and order of effects. Each
 * operation is said once and expanded for 8, 16, 32 and 64 bits.
 * Manuals: AMD APM vol. 3, ch. 3 (general-purpose instructions).
 */
#include "cpu/alu_priv.h"
#include "cpu/exec/rows_priv.h"
#include "cpu/exec/template_priv.h"
#include "cpu/exec_priv.h"

/* ---- ADD OR ADC SBB AND SUB XOR ------------------------------------------------------------- */
#define BINARY(N, S, M, op)                                                                        \
    static void op##N(struct cpu *cpu, const struct insn *i)                                       \
    {                                                                                              \
        u##N b = (u##N)op_read(cpu, i, 1);                                                         \
        RMW(N, op_ea(cpu, i), alu_##op##N(a, b, &fl), lock_##op##N(p, b, &fl))                     \
    }
#define BINARY_ALL(op) ALU_SIZES(BINARY, op) BY_SIZE(op)
BINARY_ALL(add)
BINARY_ALL(or)
BINARY_ALL(adc)
BINARY_ALL(sbb)
BINARY_ALL(and)
BINARY_ALL(sub)
BINARY_ALL(xor)

/* ---- CMP TEST ------------------------------------------------------------------------------- */
#define COMPARE(N, S, M, op)                                                                       \
    static void op##N(struct cpu *cpu, const struct insn *i)                                       \
    {                                                                                              \
        u##N a = (u##N)op_read(cpu, i, 0), b = (u##N)op_read(cpu, i, 1);                           \
        alu_##op##N(a, b, &cpu->fl);                                                               \
    }
#define COMPARE_ALL(op) ALU_SIZES(COMPARE, op) BY_SIZE(op)
COMPARE_ALL(cmp)
COMPARE_ALL(test)

/* ---- INC DEC NEG NOT ------------------------------------------------------------------------ */
#define UNARY(N, S, M, op)                                                                         \
    static void op##N(struct cpu *cpu, const struct insn *i)                                       \
    {                                                                                              \
        RMW(N, op_ea(cpu, i), alu_##op##N(a, &fl), lock_##op##N(p, &fl))                           \
    }
#define UNARY_ALL(op) ALU_SIZES(UNARY, op) BY_SIZE(op)
UNARY_ALL(inc)
UNARY_ALL(dec)
UNARY_ALL(neg)
UNARY_ALL(not )

/* ---- shifts and rotates --------------------------------------------------------------------- */
/* The 8086 takes the count as it is; the 80186 and later its low five bits (six for 64-bit
 * operands). Counts of 32 and more are composed of smaller steps, as the 8086 does them. */
#define SHIFT(N, S, M, op)                                                                         \
    static noinline u##N op##_unmasked##N(u##N a, u8 n, u16 *fl)                                   \
    {                                                                                              \
        for (; n > 31; n -= 31)                                                                    \
            a = alu_##op##N(a, 31, fl);                                                            \
        return alu_##op##N(a, n, fl);                                                              \
    }                                                                                              \
    static void op##N(struct cpu *cpu, const struct insn *i)                                       \
    {                                                                                              \
        u8 n = (u8)op_read(cpu, i, 1);                                                             \
        bool big = n > 31 && !cpu_has(cpu, FEAT_I186);                                             \
        RMW(N, op_ea(cpu, i),                                                                      \
            unlikely(big) ? op##_unmasked##N(a, n, &fl) : alu_##op##N(a, n, &fl), (void)0)         \
    }
#define SHIFT_ALL(op) ALU_SIZES(SHIFT, op) BY_SIZE(op)
SHIFT_ALL(shl)
SHIFT_ALL(shr)
SHIFT_ALL(sar)
SHIFT_ALL(rol)
SHIFT_ALL(ror)
SHIFT_ALL(rcl)
SHIFT_ALL(rcr)

#define SHIFT_DOUBLE(N, S, M, op)                                                                  \
    static void op##N(struct cpu *cpu, const struct insn *i)                                       \
    {                                                                                              \
        u##N b = (u##N)op_read(cpu, i, 1);                                                         \
        u8 n = (u8)op_read(cpu, i, 2);                                                             \
        RMW(N, op_ea(cpu, i), alu_##op##N(a, b, n, &fl), (void)0)                                  \
    }
#define SHIFT_DOUBLE_ALL(op) ALU_SIZES_NOT8(SHIFT_DOUBLE, op) BY_SIZE_NOT8(op)
SHIFT_DOUBLE_ALL(shld)
SHIFT_DOUBLE_ALL(shrd)

/* ---- MUL IMUL DIV IDIV ---------------------------------------------------------------------- */
/* The wide operand: AX for bytes, else rDX:rAX. */
static always_inline void wide_write(struct cpu *cpu, int size, u64 lo, u64 hi)
{
    if (size == 1) {
        gpr_write(cpu, RAX, 2, lo | hi << 8);
    } else {
        gpr_write(cpu, RAX, size, lo);
        gpr_write(cpu, RDX, size, hi);
    }
}

#define MULTIPLY(N, S, M, op)                                                                      \
    static void op##N(struct cpu *cpu, const struct insn *i)                                       \
    {                                                                                              \
        u##N b = (u##N)op_read(cpu, i, 0), hi;                                                     \
        u##N lo = alu_##op##N((u##N)cpu->gpr[RAX], b, &hi, &cpu->fl);                              \
        wide_write(cpu, N / 8, lo, hi);                                                            \
    }
ALU_SIZES(MULTIPLY, mul)
BY_SIZE(mul)
ALU_SIZES(MULTIPLY, imul)

#define MULTIPLY2(N, S, M)                                                                         \
    static void imul2_##N(struct cpu *cpu, const struct insn *i)                                   \
    {                                                                                              \
        int k = i->kind[2] == OP_NONE ? 0 : 2;                                                     \
        u##N a = (u##N)op_read(cpu, i, 1), b = (u##N)op_read(cpu, i, k);                           \
        op_write(cpu, i, 0, alu_imul2_##N(a, b, &cpu->fl));                                        \
    }
ALU_SIZES_NOT8(MULTIPLY2)

/* One operand: rDX:rAX; two: dst *= src; three: dst = src * imm. */
void exec_imul(struct cpu *cpu, const struct insn *i)
{
    bool one = i->kind[1] == OP_NONE;
    switch (i->size[0]) {
    case 1:
        imul8(cpu, i);
        break;
    case 2:
        one ? imul16(cpu, i) : imul2_16(cpu, i);
        break;
    case 4:
        one ? imul32(cpu, i) : imul2_32(cpu, i);
        break;
    default:
        one ? imul64(cpu, i) : imul2_64(cpu, i);
        break;
    }
}

#define DIVIDE(N, S, M, op)                                                                        \
    static void op##N(struct cpu *cpu, const struct insn *i)                                       \
    {                                                                                              \
        u##N b = (u##N)op_read(cpu, i, 0), rem;                                                    \
        u##N lo = (u##N)cpu->gpr[RAX], hi = (u##N)cpu->gpr[RDX];                                   \
        if (N == 8)                                                                                \
            hi = (u##N)(cpu->gpr[RAX] >> 8);                                                       \
        if (unlikely(!alu_##op##_fits##N(hi, lo, b)))                                              \
            raise_de(cpu);                                                                         \
        u##N q = alu_##op##N(hi, lo, b, &rem, &cpu->fl);                                           \
        wide_write(cpu, N / 8, q, rem);                                                            \
    }
#define DIVIDE_ALL(op) ALU_SIZES(DIVIDE, op) BY_SIZE(op)
DIVIDE_ALL(div)
DIVIDE_ALL(idiv)
