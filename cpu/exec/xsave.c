/*
 * cpu/exec/xsave.c - FXSAVE, FXRSTOR and the XSAVE family: the whole FPU and vector state as
 * memory images.
 *
 * State components: 0 x87, 1 XMM, 2 upper YMM (cpu->xcr0 says which are on). Whether a component
 * is in its initial configuration (XINUSE) is found by looking at it. XSAVEOPT's modified
 * optimization is not used: it saves like XSAVE but for components in their initial state.
 *
 * Intel SDM vol. 1, 10.5 (FXSAVE image), 13.4-13.11 (XSAVE area, operation of each).
 */
#include "cpu/exec/rows_priv.h"
#include "cpu/native_priv.h"

enum { XC_X87 = 1, XC_SSE = 2, XC_AVX = 4 };
#define XCOMP_COMPACTED (1ull << 63)

static u32 vec_bytes(const struct cpu *cpu)
{
    return cpu->mode == MODE_LONG64 ? 256 : 128;
}

static bool all_zero(const u8 *p, size_t n)
{
    u64 any = 0;
    for (size_t k = 0; k < n; k += 8)
        any |= ld_u64(p + k);
    return any == 0;
}

/* The operand's offset, checked for alignment. */
static gva area(struct cpu *cpu, const struct insn *i, u64 align)
{
    gva off = op_ea(cpu, i);
    u64 base = i->seg == SEG_FLAT || (cpu->mode == MODE_LONG64 && i->seg < SEG_FS)
                   ? 0
                   : cpu->seg[i->seg].base;
    if ((base + off) & (align - 1))
        raise_gp0(cpu);
    return off;
}

/* x87 part (bytes 0..23 and 32..159), MXCSR and its mask of the image, from the live state. */
static void get_image(struct cpu *cpu, u8 *im, bool wide)
{
    __asm__ volatile("fxsave64 %0" : "=m"(cpu->native->fx));
    memcpy(im, cpu->native->fx, 160);
    st_u16(im + 6, cpu->fop);
    if (wide) {
        st_u64(im + 8, cpu->fip);
        st_u64(im + 16, cpu->fdp);
    } else {
        st_u32(im + 8, (u32)cpu->fip);
        st_u32(im + 12, cpu->fcs);
        st_u32(im + 16, (u32)cpu->fdp);
        st_u32(im + 20, cpu->fds);
    }
    st_u32(im + 28, MXCSR_VALID);
    memcpy(im + 160, xs_xmm(cpu, 0), 256);
}

/* Makes an image's x87 part (bytes 0..23, 32..159) the live state. MXCSR stays. */
static void put_x87(struct cpu *cpu, const u8 *im, bool wide)
{
    u8 *fx = cpu->native->fx;
    memcpy(fx, im, 160);
    memset(fx + 6, 0, 18); /* pointers are ours */
    st_u32(fx + 24, mxcsr_get());
    __asm__ volatile("fxrstor64 %0" : : "m"(cpu->native->fx));
    cpu->fop = ld_u16(im + 6) & 0x7ff;
    if (wide) {
        cpu->fip = ld_u64(im + 8);
        cpu->fdp = ld_u64(im + 16);
        cpu->fcs = cpu->fds = 0;
    } else {
        cpu->fip = ld_u32(im + 8);
        cpu->fcs = ld_u16(im + 12);
        cpu->fdp = ld_u32(im + 16);
        cpu->fds = ld_u16(im + 20);
    }
    cpu->native->ignne = false;
}

static void check_mxcsr(struct cpu *cpu, u32 v)
{
    if (v & ~(u32)MXCSR_VALID)
        raise_gp0(cpu);
}

/* ---- FXSAVE ---------------------------------------------------------------------------------- */
/* Silicon's order: an address that is not canonical (#SS or #GP), #AC, then #GP for less than 16.
 */
static void fx_address(struct cpu *cpu, const struct insn *i)
{
    gva off = op_ea(cpu, i);
    check_canonical(cpu, i->seg, seg_linear(cpu, i->seg, off, 1, false), 1);
    check_alignment(cpu, i->seg, off, 4);
}

static void fxsave(struct cpu *cpu, const struct insn *i, bool wide)
{
    u8 im[416];
    check_gate(cpu, GATE_X87);
    fx_address(cpu, i);
    gva off = area(cpu, i, 16);
    u32 n = 160 + vec_bytes(cpu);
    mem_probe_write(cpu, i->seg, off, 512);
    get_image(cpu, im, wide);
    mem_write_bytes(cpu, i->seg, off, im, n);
}

static void fxrstor(struct cpu *cpu, const struct insn *i, bool wide)
{
    u8 im[512];
    check_gate(cpu, GATE_X87);
    fx_address(cpu, i);
    gva off = area(cpu, i, 16);
    mem_read_bytes(cpu, i->seg, off, im, 512);
    check_mxcsr(cpu, ld_u32(im + 24));
    mxcsr_set(ld_u32(im + 24));
    put_x87(cpu, im, wide);
    memcpy(xs_xmm(cpu, 0), im + 160, vec_bytes(cpu));
}

void exec_fxsave(struct cpu *cpu, const struct insn *i)
{
    fxsave(cpu, i, false);
}
void exec_fxsave64(struct cpu *cpu, const struct insn *i)
{
    fxsave(cpu, i, true);
}
void exec_fxrstor(struct cpu *cpu, const struct insn *i)
{
    fxrstor(cpu, i, false);
}
void exec_fxrstor64(struct cpu *cpu, const struct insn *i)
{
    fxrstor(cpu, i, true);
}

/* ---- XSAVE ----------------------------------------------------------------------------------- */
static u64 in_use(const struct cpu *cpu, const u8 *im)
{
    u64 v = 0;
    if (ld_u16(im) != 0x37f || ld_u16(im + 2) || im[4] || ld_u16(im + 6) || !all_zero(im + 8, 16) ||
        !all_zero(im + 32, 128))
        v |= XC_X87;
    if (!all_zero(im + 160, 256))
        v |= XC_SSE;
    if (!all_zero(cpu->xs.ymm_hi, 256))
        v |= XC_AVX;
    return v;
}

u64 native_xinuse(struct cpu *cpu)
{
    u8 im[416];
    get_image(cpu, im, true);
    return in_use(cpu, im) & cpu->xcr0;
}

static void xsave_gate(struct cpu *cpu)
{
    if (!(cpu->cr4 & CR4_OSXSAVE))
        raise_ud(cpu);
    if (cpu->cr0 & CR0_TS)
        cpu_raise(cpu, EX_NM);
}

static u64 requested(const struct cpu *cpu)
{
    return ((u64)(u32)cpu->gpr[RDX] << 32 | (u32)cpu->gpr[RAX]) & cpu->xcr0;
}

/* Writes the components of `which`; MXCSR when mxcsr. */
static void write_components(struct cpu *cpu, int seg, gva off, const u8 *im, u64 which, bool mxcsr)
{
    if (which & XC_X87) {
        mem_write_bytes(cpu, seg, off, im, 24);
        mem_write_bytes(cpu, seg, off + 32, im + 32, 128);
    }
    if (mxcsr)
        mem_write_bytes(cpu, seg, off + 24, im + 24, 8);
    if (which & XC_SSE)
        mem_write_bytes(cpu, seg, off + 160, im + 160, vec_bytes(cpu));
    if (which & XC_AVX)
        mem_write_bytes(cpu, seg, off + 576, cpu->xs.ymm_hi, vec_bytes(cpu));
}

enum xsave_kind { XSAVE, XSAVEOPT, XSAVEC };

static void xsave(struct cpu *cpu, const struct insn *i, enum xsave_kind kind, bool wide)
{
    u8 im[416];
    xsave_gate(cpu);
    gva off = area(cpu, i, 64);
    int seg = i->seg;
    u64 rfbm = requested(cpu);

    mem_probe_write(cpu, seg, off, rfbm & XC_AVX ? 832 : 576);
    get_image(cpu, im, wide);
    u64 used = in_use(cpu, im) & rfbm;
    u64 which = kind == XSAVE ? rfbm : used;
    bool mxcsr = rfbm & (XC_SSE | XC_AVX);
    if (kind == XSAVEC) {
        /* MXCSR belongs to the SSE component here */
        if ((rfbm & XC_SSE) && ld_u32(im + 24) != MXCSR_RESET)
            used |= XC_SSE;
        which = used;
        mxcsr = used & XC_SSE;
        write_components(cpu, seg, off, im, which, mxcsr);
        mem_write(cpu, seg, off + 512, used, 8);
        mem_write(cpu, seg, off + 520, rfbm | XCOMP_COMPACTED, 8);
        return;
    }
    u64 old = mem_read(cpu, seg, off + 512, 8);
    write_components(cpu, seg, off, im, which, mxcsr);
    mem_write(cpu, seg, off + 512, (old & ~rfbm) | used, 8);
}

void exec_xsave(struct cpu *cpu, const struct insn *i)
{
    xsave(cpu, i, XSAVE, false);
}
void exec_xsave64(struct cpu *cpu, const struct insn *i)
{
    xsave(cpu, i, XSAVE, true);
}
void exec_xsaveopt(struct cpu *cpu, const struct insn *i)
{
    xsave(cpu, i, XSAVEOPT, false);
}
void exec_xsaveopt64(struct cpu *cpu, const struct insn *i)
{
    xsave(cpu, i, XSAVEOPT, true);
}
void exec_xsavec(struct cpu *cpu, const struct insn *i)
{
    xsave(cpu, i, XSAVEC, false);
}
void exec_xsavec64(struct cpu *cpu, const struct insn *i)
{
    xsave(cpu, i, XSAVEC, true);
}

/* ---- XRSTOR ---------------------------------------------------------------------------------- */
static void xrstor(struct cpu *cpu, const struct insn *i, bool wide)
{
    u8 im[832];
    xsave_gate(cpu);
    gva off = area(cpu, i, 64);
    u64 rfbm = requested(cpu);

    mem_read_bytes(cpu, i->seg, off, im, 576);
    u64 bv = ld_u64(im + 512), comp = ld_u64(im + 520);
    bool compacted = comp & XCOMP_COMPACTED;
    if (compacted) {
        u64 has = comp & ~XCOMP_COMPACTED;
        if (!cpu_has(cpu, FEAT_XSAVEC) || (has & ~cpu->xcr0) || (bv & ~has) ||
            !all_zero(im + 528, 48))
            raise_gp0(cpu);
    } else if ((bv & ~cpu->xcr0) || !all_zero(im + 520, 16)) {
        raise_gp0(cpu);
    }
    u64 load = rfbm & bv, init = rfbm & ~bv;
    if (load & XC_AVX)
        mem_read_bytes(cpu, i->seg, off + 576, im + 576, vec_bytes(cpu));
    u32 mxcsr = mxcsr_get();
    if (compacted) {
        if (load & XC_SSE)
            mxcsr = ld_u32(im + 24);
        else if (init & XC_SSE)
            mxcsr = MXCSR_RESET;
    } else if (rfbm & (XC_SSE | XC_AVX)) {
        mxcsr = ld_u32(im + 24);
    }
    check_mxcsr(cpu, mxcsr);

    mxcsr_set(mxcsr);
    if (init & XC_X87) {
        memset(im, 0, 24);
        memset(im + 32, 0, 128);
        st_u16(im, 0x37f);
    }
    if (rfbm & XC_X87)
        put_x87(cpu, im, wide);
    if (init & XC_SSE)
        memset(im + 160, 0, 256);
    if (rfbm & XC_SSE)
        memcpy(xs_xmm(cpu, 0), im + 160, vec_bytes(cpu));
    if (init & XC_AVX)
        memset(im + 576, 0, 256);
    if (rfbm & XC_AVX)
        memcpy(cpu->xs.ymm_hi, im + 576, vec_bytes(cpu));
}

void exec_xrstor(struct cpu *cpu, const struct insn *i)
{
    xrstor(cpu, i, false);
}
void exec_xrstor64(struct cpu *cpu, const struct insn *i)
{
    xrstor(cpu, i, true);
}
