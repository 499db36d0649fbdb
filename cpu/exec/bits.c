/*
 * cpu/exec/bits.c - single bits, bit scans, bit fields (BMI1, BMI2), CRC32, random numbers.
 *
 * Manuals: AMD APM vol. 3, ch. 3 (BT: bit strings in memory reach beyond the operand; BSF, BSR of
 * zero keep the destination).
 */
#include "cpu/alu_priv.h"
#include "cpu/exec/rows_priv.h"
#include "cpu/exec/template_priv.h"
#include "cpu/exec_priv.h"

/* Address of the memory operand that holds bit n: a register index is signed and counts from the
 * operand over all of memory, an immediate stays inside it. */
static always_inline gva bit_ea(const struct cpu *cpu, const struct insn *i, u64 n, int bits_log)
{
    gva ea = op_ea(cpu, i);
    if (i->kind[1] != OP_GPR)
        return ea;
    i64 bit = (i64)sign_extend(n, 1 << (bits_log - 3));
    return addr_mask(ea + ((u64)(bit >> bits_log) << (bits_log - 3)), i->asize);
}
enum { BITS_LOG_16 = 4, BITS_LOG_32 = 5, BITS_LOG_64 = 6 };

#define BIT_TEST(N, S, M)                                                                          \
    static void bt##N(struct cpu *cpu, const struct insn *i)                                       \
    {                                                                                              \
        u##N n = (u##N)op_read(cpu, i, 1), a;                                                      \
        if (i->kind[0] == OP_MEM)                                                                  \
            a = (u##N)mem_read(cpu, i->seg, bit_ea(cpu, i, n, BITS_LOG_##N), N / 8);               \
        else                                                                                       \
            a = (u##N)op_read(cpu, i, 0);                                                          \
        alu_bt##N(a, n &(N - 1), &cpu->fl);                                                        \
    }
ALU_SIZES_NOT8(BIT_TEST)
BY_SIZE_NOT8(bt)

#define BIT_CHANGE(N, S, M, op)                                                                    \
    static void op##N(struct cpu *cpu, const struct insn *i)                                       \
    {                                                                                              \
        u##N index = (u##N)op_read(cpu, i, 1), n = index & (N - 1);                                \
        RMW(N, bit_ea(cpu, i, index, BITS_LOG_##N), alu_##op##N(a, n, &fl),                        \
            lock_##op##N(p, n, &fl))                                                               \
    }
#define BIT_CHANGE_ALL(op) ALU_SIZES_NOT8(BIT_CHANGE, op) BY_SIZE_NOT8(op)
BIT_CHANGE_ALL(bts)
BIT_CHANGE_ALL(btr)
BIT_CHANGE_ALL(btc)

/* ---- scans: the destination register goes in whole, and comes out whole --------------------- */
#define SCAN(N, S, M, op)                                                                          \
    static void op##N(struct cpu *cpu, const struct insn *i)                                       \
    {                                                                                              \
        u##N src = (u##N)op_read(cpu, i, 1);                                                       \
        u64 *d = &cpu->gpr[i->reg[0]];                                                             \
        *d = alu_##op##N(*d, src, &cpu->fl);                                                       \
    }
#define SCAN_ALL(op) ALU_SIZES_NOT8(SCAN, op) BY_SIZE_NOT8(op)
SCAN_ALL(bsf)
SCAN_ALL(bsr)
SCAN_ALL(lzcnt)
SCAN_ALL(tzcnt)
SCAN_ALL(popcnt)

#define BY_SIZE_VEX(op)                                                                            \
    void exec_##op(struct cpu *cpu, const struct insn *i)                                          \
    {                                                                                              \
        if (i->size[0] == 4)                                                                       \
            op##32(cpu, i);                                                                        \
        else                                                                                       \
            op##64(cpu, i);                                                                        \
    }
#define SCAN_VEX(op) ALU_SIZES_VEX(SCAN, op) BY_SIZE_VEX(op)
SCAN_VEX(adcx)
SCAN_VEX(adox)
SCAN_VEX(blsi)
SCAN_VEX(blsmsk)
SCAN_VEX(blsr)

/* ---- three operands ------------------------------------------------------------------------- */
#define VEX3(N, S, M, op)                                                                          \
    static void op##N(struct cpu *cpu, const struct insn *i)                                       \
    {                                                                                              \
        u##N a = (u##N)op_read(cpu, i, 1), b = (u##N)op_read(cpu, i, 2);                           \
        op_write(cpu, i, 0, alu_##op##N(a, b, &cpu->fl));                                          \
    }
#define VEX3_ALL(op) ALU_SIZES_VEX(VEX3, op) BY_SIZE_VEX(op)
VEX3_ALL(andn)
VEX3_ALL(bextr)
VEX3_ALL(bzhi)
VEX3_ALL(pdep)
VEX3_ALL(pext)

/* Without flags. */
#define SHIFT_VEX(op, EXPR32, EXPR64)                                                              \
    void exec_##op(struct cpu *cpu, const struct insn *i)                                          \
    {                                                                                              \
        u64 a = op_read(cpu, i, 1), n = op_read(cpu, i, 2);                                        \
        op_write(cpu, i, 0, i->size[0] == 4 ? (u32)(EXPR32) : (u64)(EXPR64));                      \
    }
SHIFT_VEX(sarx, (i32)a >> (n & 31), (i64)a >> (n & 63))
SHIFT_VEX(shlx, (u32)a << (n & 31), a << (n & 63))
SHIFT_VEX(shrx, (u32)a >> (n & 31), a >> (n & 63))
SHIFT_VEX(rorx, (u32)a >> (n & 31) | (u32)a << (-n & 31), a >> (n & 63) | a << (-n & 63))

/* Low half first: with one register for both, the high half stays. */
void exec_mulx(struct cpu *cpu, const struct insn *i)
{
    u64 b = op_read(cpu, i, 2);
    u128 p = i->size[0] == 4 ? (u128)((u32)cpu->gpr[RDX] * b) : (u128)cpu->gpr[RDX] * b;
    int width = i->size[0] * 8;
    op_write(cpu, i, 1, (u64)p);
    op_write(cpu, i, 0, (u64)(p >> width));
}

void exec_crc32(struct cpu *cpu, const struct insn *i)
{
    u64 crc = (u32)cpu->gpr[i->reg[0]], v = op_read(cpu, i, 1);
    switch (i->size[1]) {
    case 1:
        __asm__("crc32b %b1, %k0" : "+r"(crc) : "r"(v));
        break;
    case 2:
        __asm__("crc32w %w1, %k0" : "+r"(crc) : "r"(v));
        break;
    case 4:
        __asm__("crc32l %k1, %k0" : "+r"(crc) : "r"(v));
        break;
    default:
        __asm__("crc32q %q1, %q0" : "+r"(crc) : "r"(v));
        break;
    }
    cpu->gpr[i->reg[0]] = (u32)crc;
}

/* Runs that must be identical draw from the CPU's own sequence (splitmix64), which always has a
 * value ready. */
static u64 next_of_sequence(struct cpu *cpu)
{
    u64 z = cpu->random_sequence += 0x9e3779b97f4a7c15ull;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    cpu->fl = fl_from_eflags(FL_CF);
    return z ^ (z >> 31);
}

#define RANDOM(N, S, M, op)                                                                        \
    static void op##N(struct cpu *cpu, const struct insn *i)                                       \
    {                                                                                              \
        u64 v = cpu->sequenced ? next_of_sequence(cpu) : alu_##op##N(&cpu->fl);                    \
        op_write(cpu, i, 0, v);                                                                    \
    }
#define RANDOM_ALL(op) ALU_SIZES_NOT8(RANDOM, op) BY_SIZE_NOT8(op)
RANDOM_ALL(rdrand)
RANDOM_ALL(rdseed)
