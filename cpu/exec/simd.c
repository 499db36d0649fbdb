/*
 * cpu/exec/simd.c - MMX, SSE and AVX instructions: the call of the host stub, and in C those whose
 * memory accesses are conditional (masked moves, gathers) because only enabled elements may fault.
 *
 * Intel SDM vol. 1, 9-14; vol. 2 (MASKMOVDQU, VMASKMOV, VPGATHER); APM vol. 4.
 */
#include "cpu/exec/rows_priv.h"
#include "cpu/native_priv.h"

void exec_native(struct cpu *cpu, const struct insn *i)
{
    const struct stub *s = i->stub;
    check_gate(cpu, s->gate);
    if (s->access == STUB_NOMEM)
        stub_call(cpu, s, NULL);
    else
        native_mem(cpu, i, s, op_ea(cpu, i));
}

/* An x87 store does not happen when it raised an unmasked exception other than precision. Only
 * new exceptions count: with an old one pending the instruction would not have run. */
static bool x87_store_cancelled(void)
{
    u16 fsw, fcw;
    __asm__ volatile("fnstsw %0; fnstcw %1" : "=m"(fsw), "=m"(fcw));
    return fsw & ~fcw & 0x1f;
}

noinline void native_mem_slow(struct cpu *cpu, const struct insn *i, const struct stub *s, gva off,
                              gla a)
{
    u8 scratch[64] __attribute__((__aligned__(64)));
    bool x87 = s->gate == (GATE_X87 | GATE_MF); /* FNSTCW stores whatever is pending */
    int seg = i->seg;

    if (s->gate & GATE_MF)
        native_check_mf(cpu); /* before the operand can fault or a device be read */
    if (s->access == STUB_LOAD) {
        const u8 *p = mem_read_ptr_slow(cpu, seg, a, s->size);
        if (!p) {
            mem_read_bytes(cpu, seg, off, scratch, s->size);
            p = scratch;
        }
        stub_call(cpu, s, (void *)(uintptr_t)p);
        return;
    }
    hva p = mem_rmw_slow(cpu, seg, a, s->size);
    if (p) {
        stub_call(cpu, s, p);
        return;
    }
    mem_probe_write(cpu, seg, off, s->size);
    stub_call(cpu, s, scratch);
    if (!x87 || !x87_store_cancelled())
        mem_write_bytes(cpu, seg, off, scratch, s->size);
}

/* ---- registers as bytes ---------------------------------------------------------------------- */
static u8 *vec_at(struct cpu *cpu, int n, int byte)
{
    return byte < 16 ? xs_xmm(cpu, n) + byte : xs_ymm_hi(cpu, n) + (byte - 16);
}

static void vec_get(struct cpu *cpu, int n, u8 out[32])
{
    memcpy(out, xs_xmm(cpu, n), 16);
    memcpy(out + 16, xs_ymm_hi(cpu, n), 16);
}

static void vec_set(struct cpu *cpu, int n, const u8 v[32])
{
    memcpy(xs_xmm(cpu, n), v, 16);
    memcpy(xs_ymm_hi(cpu, n), v + 16, 16);
}

/* ---- masked byte stores ---------------------------------------------------------------------- */
static void maskmov_bytes(struct cpu *cpu, const struct insn *i, const u8 *data, const u8 *mask,
                          int n)
{
    gva di = cpu->gpr[RDI];
    for (int k = 0; k < n; k++)
        if (mask[k] & 0x80)
            mem_probe_write(cpu, i->seg, addr_mask(di + (u64)k, i->asize), 1);
    u8 d[16], m[16];
    memcpy(d, data, (size_t)n);
    memcpy(m, mask, (size_t)n);
    int seg = i->seg, asize = i->asize; /* the first write may drop the block that holds i */
    for (int k = 0; k < n; k++)
        if (m[k] & 0x80)
            mem_write(cpu, seg, addr_mask(di + (u64)k, asize), d[k], 1);
}

void exec_maskmovdqu(struct cpu *cpu, const struct insn *i)
{
    check_gate(cpu, GATE_SSE);
    maskmov_bytes(cpu, i, xs_xmm(cpu, i->reg[0]), xs_xmm(cpu, i->reg[1]), 16);
}

void exec_vmaskmovdqu(struct cpu *cpu, const struct insn *i)
{
    check_gate(cpu, GATE_AVX);
    maskmov_bytes(cpu, i, xs_xmm(cpu, i->reg[0]), xs_xmm(cpu, i->reg[1]), 16);
}

void exec_maskmovq(struct cpu *cpu, const struct insn *i)
{
    struct native *n = cpu->native;
    u32 dummy;

    check_gate(cpu, GATE_MMX);
    native_check_mf(cpu);
    __asm__ volatile("fxsave64 %0" : "=m"(n->fx));
    int top = n->fx[3] >> 3 & 7;
    /* MMn is physical register n; the image starts at the top of the stack */
    const u8 *d = n->fx + 32 + 16 * ((i->reg[0] - top) & 7);
    const u8 *m = n->fx + 32 + 16 * ((i->reg[1] - top) & 7);
    u8 data[8], mask[8];
    memcpy(data, d, 8);
    memcpy(mask, m, 8);
    /* any MMX instruction, and before the operand can fault: TOP = 0, all registers valid */
    __asm__ volatile("pmovmskb %%mm0, %0" : "=r"(dummy));
    maskmov_bytes(cpu, i, data, mask, 8);
}

/* ---- VMASKMOV: never #AC
 * -------------------------------------------------------------------------------- */
static void maskmov(struct cpu *cpu, const struct insn *i, int es)
{
    u8 mask[32], v[32] = {0};
    gva off = op_ea(cpu, i);

    check_gate(cpu, GATE_AVX);
    vec_get(cpu, i->reg[1], mask);
    int seg = i->seg, asize = i->asize, n = i->size[1];
#define ON(k) (mask[(k) + es - 1] & 0x80)
    if (i->kind[0] != OP_MEM) {
        for (int k = 0; k < n; k += es)
            if (ON(k))
                mem_read_bytes(cpu, seg, addr_mask(off + (u64)k, asize), v + k, (u32)es);
        vec_set(cpu, i->reg[0], v);
        return;
    }
    vec_get(cpu, i->reg[2], v);
    for (int k = 0; k < n; k += es)
        if (ON(k))
            mem_probe_write_bytes(cpu, seg, addr_mask(off + (u64)k, asize), (u32)es);
    for (int k = 0; k < n; k += es)
        if (ON(k))
            mem_write_bytes(cpu, seg, addr_mask(off + (u64)k, asize), v + k, (u32)es);
#undef ON
}

void exec_maskmov4(struct cpu *cpu, const struct insn *i)
{
    maskmov(cpu, i, 4);
}

void exec_maskmov8(struct cpu *cpu, const struct insn *i)
{
    maskmov(cpu, i, 8);
}

/* ---- gathers --------------------------------------------------------------------------------- */
/* A fault leaves the elements done so far in the destination and their mask bits clear, so that
 * the instruction goes on where it stopped. */
static void gather(struct cpu *cpu, const struct insn *i, int is, int es)
{
    int n = (int)i->imm, dst = i->reg[0], msk = i->reg[2];
    u8 index[32];

    check_gate(cpu, GATE_AVX);
    vec_get(cpu, i->reg[1], index);
    for (int k = 0; k < n; k++) {
        u8 *m = vec_at(cpu, msk, k * es);
        if (!(m[es - 1] & 0x80)) {
            st_le(m, 0, es);
            continue;
        }
        u64 x = is == 4 ? (u64)(i64)(i32)ld_u32(index + 4 * k) : ld_u64(index + 8 * k);
        gva ea = addr_mask(cpu->gpr[i->base] + (x << i->scale) + (u64)i->disp, i->asize);
        u8 v[8];
        mem_read_bytes(cpu, i->seg, ea, v, (u32)es); /* never #AC */
        memcpy(vec_at(cpu, dst, k * es), v, (size_t)es);
        st_le(m, 0, es);
    }
    u8 v[32];
    vec_get(cpu, dst, v);
    memset(v + n * es, 0, (size_t)(32 - n * es));
    vec_set(cpu, dst, v);
    memset(v, 0, sizeof(v));
    vec_set(cpu, msk, v);
}

void exec_gather_dd(struct cpu *cpu, const struct insn *i)
{
    gather(cpu, i, 4, 4);
}
void exec_gather_dq(struct cpu *cpu, const struct insn *i)
{
    gather(cpu, i, 4, 8);
}
void exec_gather_qd(struct cpu *cpu, const struct insn *i)
{
    gather(cpu, i, 8, 4);
}
void exec_gather_qq(struct cpu *cpu, const struct insn *i)
{
    gather(cpu, i, 8, 8);
}

/* ---- whole register file --------------------------------------------------------------------- */
static size_t vec_count(const struct cpu *cpu)
{
    return cpu->mode == MODE_LONG64 ? 16 : 8;
}

void exec_vzeroupper(struct cpu *cpu, const struct insn *i)
{
    check_gate(cpu, GATE_AVX);
    memset(cpu->xs.ymm_hi, 0, 16 * vec_count(cpu));
}

void exec_vzeroall(struct cpu *cpu, const struct insn *i)
{
    check_gate(cpu, GATE_AVX);
    memset(cpu->xs.ymm_hi, 0, 16 * vec_count(cpu));
    memset(xs_xmm(cpu, 0), 0, 16 * vec_count(cpu));
}

/* ---- MXCSR ----------------------------------------------------------------------------------- */
static void ldmxcsr(struct cpu *cpu, const struct insn *i)
{
    u32 v = (u32)op_read(cpu, i, 0);
    if (v & ~(u32)MXCSR_VALID)
        raise_gp0(cpu);
    mxcsr_set(v);
}

void exec_ldmxcsr(struct cpu *cpu, const struct insn *i)
{
    check_gate(cpu, GATE_SSE);
    ldmxcsr(cpu, i);
}
void exec_vldmxcsr(struct cpu *cpu, const struct insn *i)
{
    check_gate(cpu, GATE_AVX);
    ldmxcsr(cpu, i);
}
void exec_stmxcsr(struct cpu *cpu, const struct insn *i)
{
    check_gate(cpu, GATE_SSE);
    op_write(cpu, i, 0, mxcsr_get());
}
void exec_vstmxcsr(struct cpu *cpu, const struct insn *i)
{
    check_gate(cpu, GATE_AVX);
    op_write(cpu, i, 0, mxcsr_get());
}
