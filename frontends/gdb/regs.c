/*
 * frontends/gdb/regs.c - registers as gdb numbers them, and the XML that tells gdb so.
 *
 * The order of registers within a feature and the features' names are gdb's (GDB manual, appendix
 * G.5.4, "i386 Features"); what it has no feature for is in our own, org.trivisor.system, last.
 * A description of fewer bits than the CPU has shows the low part of each register; writing one
 * clears the rest.
 */
#include "frontends/gdb/gdb_priv.h"
#include "base/bits.h"

#include <stdarg.h>
#include <stdio.h>

enum kind {
    R_GPR,
    R_PC,
    R_FLAGS,
    R_SEG,
    R_ST,
    R_FPU, /* fctrl fstat ftag fiseg fioff foseg fooff fop */
    R_XMM,
    R_MXCSR,
    R_YMMH,
    R_BASE, /* of a segment */
    R_CR,   /* index: the number; 8 is the task priority */
    R_EFER,
    R_KGS,   /* the GS base that SWAPGS brings; read only */
    R_TABLE, /* 0 GDT, 1 IDT: base; read only */
};

enum { MSR_KERNEL_GS = 0xc0000102 };

/* ---- the description ----------------------------------------------------------------------- */
static void xml(struct gdb_target *t, const char *fmt, ...) printf_like(2, 3);
static void xml(struct gdb_target *t, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(t->xml + t->xml_len, sizeof(t->xml) - t->xml_len, fmt, ap);
    va_end(ap);
    if (n > 0)
        t->xml_len = (u32)MIN(t->xml_len + (size_t)n, sizeof(t->xml) - 1);
}

static void reg(struct gdb_target *t, const char *name, enum kind kind, int index, int size,
                const char *type)
{
    if (t->n_regs == GDB_MAX_REGS)
        return;
    t->regs[t->n_regs++] =
        (struct gdb_reg){.name = name, .kind = (u8)kind, .index = (u8)index, .size = (u8)size};
    xml(t, "<reg name=\"%s\" bitsize=\"%d\" type=\"%s\" regnum=\"%d\"/>\n", name, size * 8, type,
        t->n_regs - 1);
}

static void flag_types(struct gdb_target *t)
{
    static const struct {
        const char *name;
        u8 bit;
    } f[] = {{"CF", 0},  {"", 1},    {"PF", 2},   {"AF", 4},   {"ZF", 6},  {"SF", 7},
             {"TF", 8},  {"IF", 9},  {"DF", 10},  {"OF", 11},  {"NT", 14}, {"RF", 16},
             {"VM", 17}, {"AC", 18}, {"VIF", 19}, {"VIP", 20}, {"ID", 21}};
    xml(t, "<flags id=\"i386_eflags\" size=\"4\">\n");
    for (size_t k = 0; k < ARRAY_LEN(f); k++)
        xml(t, "<field name=\"%s\" start=\"%d\" end=\"%d\"/>\n", f[k].name, f[k].bit, f[k].bit);
    xml(t, "</flags>\n");
}

static void core(struct gdb_target *t, bool wide)
{
    /* gdb's order is RAX RBX RCX RDX RSI RDI RBP RSP for 64 bits, the encoding's for 32 */
    static const struct {
        const char *name;
        u8 index;
    } r64[] = {{"rax", 0},  {"rbx", 3},  {"rcx", 1},  {"rdx", 2}, {"rsi", 6},  {"rdi", 7},
               {"rbp", 5},  {"rsp", 4},  {"r8", 8},   {"r9", 9},  {"r10", 10}, {"r11", 11},
               {"r12", 12}, {"r13", 13}, {"r14", 14}, {"r15", 15}},
      r32[] = {{"eax", 0}, {"ecx", 1}, {"edx", 2}, {"ebx", 3},
               {"esp", 4}, {"ebp", 5}, {"esi", 6}, {"edi", 7}};
    static const struct {
        const char *name;
        u8 index;
    } segs[] = {{"cs", CPU_SEG_CS}, {"ss", CPU_SEG_SS}, {"ds", CPU_SEG_DS},
                {"es", CPU_SEG_ES}, {"fs", CPU_SEG_FS}, {"gs", CPU_SEG_GS}};
    static const char *const st[] = {"st0", "st1", "st2", "st3", "st4", "st5", "st6", "st7"};
    static const char *const fpu[] = {"fctrl", "fstat", "ftag",  "fiseg",
                                      "fioff", "foseg", "fooff", "fop"};
    xml(t, "<feature name=\"org.gnu.gdb.i386.core\">\n");
    flag_types(t);
    if (wide) {
        for (size_t k = 0; k < ARRAY_LEN(r64); k++) {
            bool pointer = r64[k].index == 4 || r64[k].index == 5;
            reg(t, r64[k].name, R_GPR, r64[k].index, 8, pointer ? "data_ptr" : "int64");
        }
        reg(t, "rip", R_PC, 0, 8, "code_ptr");
    } else {
        for (size_t k = 0; k < ARRAY_LEN(r32); k++) {
            bool pointer = r32[k].index == 4 || r32[k].index == 5;
            reg(t, r32[k].name, R_GPR, r32[k].index, 4, pointer ? "data_ptr" : "int32");
        }
        reg(t, "eip", R_PC, 0, 4, "code_ptr");
    }
    reg(t, "eflags", R_FLAGS, 0, 4, "i386_eflags");
    for (size_t k = 0; k < ARRAY_LEN(segs); k++)
        reg(t, segs[k].name, R_SEG, segs[k].index, 4, "int32");
    for (int k = 0; k < 8; k++)
        reg(t, st[k], R_ST, k, 10, "i387_ext");
    for (int k = 0; k < 8; k++)
        reg(t, fpu[k], R_FPU, k, 4, "int");
    xml(t, "</feature>\n");
}

static void vectors(struct gdb_target *t, int n, bool avx)
{
    static const char *const xmm[] = {"xmm0",  "xmm1",  "xmm2",  "xmm3", "xmm4",  "xmm5",
                                      "xmm6",  "xmm7",  "xmm8",  "xmm9", "xmm10", "xmm11",
                                      "xmm12", "xmm13", "xmm14", "xmm15"};
    static const char *const ymm[] = {"ymm0h",  "ymm1h",  "ymm2h",  "ymm3h", "ymm4h",  "ymm5h",
                                      "ymm6h",  "ymm7h",  "ymm8h",  "ymm9h", "ymm10h", "ymm11h",
                                      "ymm12h", "ymm13h", "ymm14h", "ymm15h"};
    static const struct {
        const char *id, *type;
        int count;
    } v[] = {{"v4_float", "ieee_single", 4}, {"v2_double", "ieee_double", 2},
             {"v16_int8", "int8", 16},       {"v8_int16", "int16", 8},
             {"v4_int32", "int32", 4},       {"v2_int64", "int64", 2}};
    xml(t, "<feature name=\"org.gnu.gdb.i386.sse\">\n");
    for (size_t k = 0; k < ARRAY_LEN(v); k++)
        xml(t, "<vector id=\"t_%s\" type=\"%s\" count=\"%d\"/>\n", v[k].id, v[k].type, v[k].count);
    xml(t, "<union id=\"vec128\">\n");
    for (size_t k = 0; k < ARRAY_LEN(v); k++)
        xml(t, "<field name=\"%s\" type=\"t_%s\"/>\n", v[k].id, v[k].id);
    xml(t, "<field name=\"uint128\" type=\"uint128\"/>\n</union>\n");
    for (int k = 0; k < n; k++)
        reg(t, xmm[k], R_XMM, k, 16, "vec128");
    reg(t, "mxcsr", R_MXCSR, 0, 4, "int");
    xml(t, "</feature>\n");
    if (!avx)
        return;
    xml(t, "<feature name=\"org.gnu.gdb.i386.avx\">\n");
    for (int k = 0; k < n; k++)
        reg(t, ymm[k], R_YMMH, k, 16, "uint128");
    xml(t, "</feature>\n");
}

static void system_regs(struct gdb_target *t, bool wide)
{
    int size = wide ? 8 : 4;
    const char *type = wide ? "int64" : "int32";
    xml(t, "<feature name=\"org.trivisor.system\">\n");
    reg(t, "cs_base", R_BASE, CPU_SEG_CS, size, type);
    reg(t, "ss_base", R_BASE, CPU_SEG_SS, size, type);
    reg(t, "ds_base", R_BASE, CPU_SEG_DS, size, type);
    reg(t, "es_base", R_BASE, CPU_SEG_ES, size, type);
    if (!wide) {
        reg(t, "fs_base", R_BASE, CPU_SEG_FS, size, type);
        reg(t, "gs_base", R_BASE, CPU_SEG_GS, size, type);
    } else {
        reg(t, "k_gs_base", R_KGS, 0, size, type);
    }
    reg(t, "gdt_base", R_TABLE, 0, size, type);
    reg(t, "idt_base", R_TABLE, 1, size, type);
    reg(t, "cr0", R_CR, 0, size, type);
    reg(t, "cr2", R_CR, 2, size, type);
    reg(t, "cr3", R_CR, 3, size, type);
    reg(t, "cr4", R_CR, 4, size, type);
    if (wide) {
        reg(t, "cr8", R_CR, 8, size, type);
        reg(t, "efer", R_EFER, 0, size, type);
    }
    xml(t, "</feature>\n");
}

void gdb_target_init(struct gdb_target *t, enum gdb_arch arch, struct vm *vm)
{
    struct vm_debug_cpu cpu = vm_debug_cpu(vm, 0);
    if (arch == ARCH_AUTO)
        arch = cpu.long_mode ? ARCH_AMD64 : ARCH_I386;
    bool wide = arch == ARCH_AMD64;
    t->arch = arch;
    t->n_regs = 0;
    t->xml_len = 0;
    xml(t,
        "<?xml version=\"1.0\"?>\n<!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n"
        "<target version=\"1.0\">\n<architecture>%s</architecture>\n",
        wide                 ? "i386:x86-64"
        : arch == ARCH_I8086 ? "i8086"
                             : "i386");
    core(t, wide);
    if (cpu.sse)
        vectors(t, wide ? 16 : 8, cpu.avx);
    if (wide) {
        xml(t, "<feature name=\"org.gnu.gdb.i386.segments\">\n");
        reg(t, "fs_base", R_BASE, CPU_SEG_FS, 8, "int64");
        reg(t, "gs_base", R_BASE, CPU_SEG_GS, 8, "int64");
        xml(t, "</feature>\n");
    }
    system_regs(t, wide);
    xml(t, "</target>\n");
}

/* ---- values -------------------------------------------------------------------------------- */
/* Offsets in the FXSAVE image (SDM vol. 1, 10.5.1). */
enum { FX_FCW = 0, FX_FSW = 2, FX_FTW = 4, FX_FOP = 6, FX_FIP = 8, FX_FDP = 16, FX_MXCSR = 24 };
enum { FX_ST = 32, FX_XMM = 160, X_YMMH = 576 };

/* The x87's own tag word (SDM vol. 1, 8.1.7) from the one bit a register that FXSAVE keeps. */
static u16 full_tags(const u8 *x)
{
    u16 tags = 0;
    u32 top = ld_u16(x + FX_FSW) >> 11 & 7;
    for (u32 phys = 0; phys < 8; phys++) {
        const u8 *st = x + FX_ST + 16 * ((phys - top) & 7);
        u64 mantissa = ld_u64(st);
        u16 exponent = ld_u16(st + 8) & 0x7fff;
        u32 tag;
        if (!(x[FX_FTW] >> phys & 1))
            tag = 3;
        else if (exponent == 0x7fff || (exponent && !(mantissa >> 63)) || (!exponent && mantissa))
            tag = 2;
        else
            tag = exponent ? 0 : 1;
        tags |= (u16)(tag << 2 * phys);
    }
    return tags;
}

static u64 fpu_get(const u8 *x, int index)
{
    switch (index) {
    case 0:
        return ld_u16(x + FX_FCW);
    case 1:
        return ld_u16(x + FX_FSW);
    case 2:
        return full_tags(x);
    case 3:
        return ld_u16(x + FX_FIP + 4);
    case 4:
        return ld_u32(x + FX_FIP);
    case 5:
        return ld_u16(x + FX_FDP + 4);
    case 6:
        return ld_u32(x + FX_FDP);
    default:
        return ld_u16(x + FX_FOP) & 0x7ff;
    }
}

static void fpu_set(u8 *x, int index, u32 v)
{
    switch (index) {
    case 0:
        st_u16(x + FX_FCW, (u16)v);
        break;
    case 1:
        st_u16(x + FX_FSW, (u16)v);
        break;
    case 2:
        x[FX_FTW] = 0;
        for (int k = 0; k < 8; k++)
            x[FX_FTW] |= (u8)((v >> 2 * k & 3) != 3) << k;
        break;
    case 3:
        st_u16(x + FX_FIP + 4, (u16)v);
        break;
    case 4:
        st_u32(x + FX_FIP, v);
        break;
    case 5:
        st_u16(x + FX_FDP + 4, (u16)v);
        break;
    case 6:
        st_u32(x + FX_FDP, v);
        break;
    default:
        st_u16(x + FX_FOP, (u16)(v & 0x7ff));
        break;
    }
}

static u64 *control(struct cpu_regs *r, int n)
{
    return n == 0 ? &r->cr0 : n == 2 ? &r->cr2 : n == 3 ? &r->cr3 : &r->cr4;
}

u32 gdb_reg_get(struct gdb *g, const struct cpu_regs *r, u32 n, u8 out[16])
{
    u64 v = 0;
    if (n >= (u32)g->target.n_regs)
        return 0;
    const struct gdb_reg *d = &g->target.regs[n];
    memset(out, 0, 16);
    switch ((enum kind)d->kind) {
    case R_GPR:
        v = r->gpr[d->index];
        break;
    case R_PC:
        v = r->rip;
        break;
    case R_FLAGS:
        v = r->rflags;
        break;
    case R_SEG:
        v = r->seg[d->index].sel;
        break;
    case R_BASE:
        v = r->seg[d->index].base;
        break;
    case R_ST:
        memcpy(out, r->xsave + FX_ST + 16 * d->index, 10);
        return d->size;
    case R_XMM:
        memcpy(out, r->xsave + FX_XMM + 16 * d->index, 16);
        return d->size;
    case R_YMMH:
        memcpy(out, r->xsave + X_YMMH + 16 * d->index, 16);
        return d->size;
    case R_FPU:
        v = fpu_get(r->xsave, d->index);
        break;
    case R_MXCSR:
        v = ld_u32(r->xsave + FX_MXCSR);
        break;
    case R_CR:
        v = d->index == 8 ? vm_debug_cpu(g->vm, 0).cr8
                          : *control((struct cpu_regs *)(uintptr_t)r, d->index);
        break;
    case R_EFER:
        v = r->efer;
        break;
    case R_KGS:
        vm_debug_read_msr(g->vm, 0, MSR_KERNEL_GS, &v);
        break;
    case R_TABLE:
        v = d->index ? r->idtr.base : r->gdtr.base;
        break;
    }
    st_u64(out, v);
    return d->size;
}

u32 gdb_reg_set(struct gdb *g, struct cpu_regs *r, u32 n, const u8 in[16])
{
    if (n >= (u32)g->target.n_regs)
        return 0;
    const struct gdb_reg *d = &g->target.regs[n];
    u64 v = d->size >= 8 ? ld_u64(in) : ld_u32(in);
    switch ((enum kind)d->kind) {
    case R_GPR:
        r->gpr[d->index] = v;
        break;
    case R_PC:
        r->rip = v;
        break;
    case R_FLAGS:
        r->rflags = v;
        break;
    case R_SEG:
        /* In real mode the base follows the selector; elsewhere it comes from a table that a
         * debugger had better not look into behind the guest's back. */
        if (r->seg[d->index].sel != (u16)v && (!(r->cr0 & 1) || (r->rflags & BIT(17))))
            r->seg[d->index].base = (v & 0xffff) << 4;
        r->seg[d->index].sel = (u16)v;
        break;
    case R_BASE:
        r->seg[d->index].base = v;
        break;
    case R_ST:
        memcpy(r->xsave + FX_ST + 16 * d->index, in, 10);
        break;
    case R_XMM:
        memcpy(r->xsave + FX_XMM + 16 * d->index, in, 16);
        break;
    case R_YMMH:
        memcpy(r->xsave + X_YMMH + 16 * d->index, in, 16);
        break;
    case R_FPU:
        fpu_set(r->xsave, d->index, (u32)v);
        break;
    case R_MXCSR:
        st_u32(r->xsave + FX_MXCSR, (u32)v & 0xffff); /* reserved bits would fault on the host */
        break;
    case R_CR:
        if (d->index == 8)
            vm_debug_write_cr8(g->vm, 0, v);
        else
            *control(r, d->index) = v;
        break;
    case R_EFER:
        r->efer = v;
        break;
    case R_KGS:
    case R_TABLE:
        break;
    }
    return d->size;
}
