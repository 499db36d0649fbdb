/*
 * cpu/native_build.c - writes the host stub of one instruction form.
 *
 * A stub is void stub(struct cpu *cpu [rdi], void *mem [rsi]):
 *   load flags, general and vector registers that the instruction reads
 *   the guest's own instruction, with its memory operand replaced by [rsi] and each general
 *     register by a scratch register; vector registers keep their numbers, x87 and MMX are live
 *   store vector registers, general registers and flags that it wrote
 * Nothing is stored before the instruction is through, so a host exception in it leaves the guest's
 * state alone.
 *
 * The instruction is rebuilt from its fields (prefix, map, opcode, ModRM, immediates), not from a
 * new choice of encoding: the form that runs is the form the guest wrote. It always runs as 64-bit
 * code, so what 16/32-bit modes ignore (VEX.W of general registers, vvvv bit 3) is taken from the
 * decoded operands. Intel SDM vol. 2, 2.1-2.3; APM vol. 3, 1.2.
 */
#include "cpu/native_priv.h"
#include "cpu/decode_priv.h"
#include "cpu/exec/rows_priv.h"
#include "cpu/zydis_priv.h"

enum { H_RAX, H_RCX, H_RDX, H_RSI = 6, H_RDI = 7, H_R8 = 8 };

struct form {
    u16 vec_in, vec_out;   /* vector registers loaded and stored */
    u16 wide_in, wide_out; /* those of them that are YMM */
    u16 gpr_in, gpr_out;   /* scratch registers loaded and stored (bit: host register) */
    u8 gpr_of[16];         /* guest register of each scratch register */
    bool vex, fl_in, fl_out;
};

struct code {
    u8 *p;
    u8 buf[STUB_MAX];
};

static void put(struct code *c, const u8 *bytes, int n)
{
    memcpy(c->p, bytes, (size_t)n);
    c->p += n;
}
#define PUT(c, ...) put(c, (const u8[]){__VA_ARGS__}, (int)sizeof((const u8[]){__VA_ARGS__}))

static void put32(struct code *c, u32 v)
{
    st_u32(c->p, v);
    c->p += 4;
}

/* ModRM [rdi + disp32] with register field reg. */
static void put_state(struct code *c, int reg, size_t off)
{
    PUT(c, (u8)(0x80 | (reg & 7) << 3 | H_RDI));
    put32(c, (u32)off);
}

static size_t xmm_off(int n)
{
    return offsetof(struct cpu, xs.legacy) + 160 + 16 * (size_t)n;
}
static size_t ymm_off(int n)
{
    return offsetof(struct cpu, xs.ymm_hi) + 16 * (size_t)n;
}

static void mov_gpr(struct code *c, bool store, int host, int guest)
{
    PUT(c, (u8)(0x48 | (host >> 3) << 2), store ? 0x89 : 0x8b);
    put_state(c, host, offsetof(struct cpu, gpr) + 8 * (size_t)guest);
}

/* MOVUPS or VMOVUPS, low 128 bits. */
static void mov_xmm(struct code *c, bool vex, bool store, int n, size_t off)
{
    if (vex)
        PUT(c, 0xc5, (u8)(n < 8 ? 0xf8 : 0x78), store ? 0x11 : 0x10);
    else if (n >= 8)
        PUT(c, 0x44, 0x0f, store ? 0x11 : 0x10);
    else
        PUT(c, 0x0f, store ? 0x11 : 0x10);
    put_state(c, n, off);
}

/* VINSERTF128 ymm, ymm, m, 1 or VEXTRACTF128 m, ymm, 1. */
static void mov_high(struct code *c, bool store, int n)
{
    u8 vvvv = store ? 15 : (u8)(~n & 15);
    PUT(c, 0xc4, (u8)(0x63 | (n < 8 ? 0x80 : 0)), (u8)(vvvv << 3 | 5), store ? 0x19 : 0x18);
    put_state(c, n, ymm_off(n));
    PUT(c, 1);
}

/* ---- the instruction ------------------------------------------------------------------------- */
static bool is_gpr(ZydisRegisterClass k)
{
    return k == ZYDIS_REGCLASS_GPR8 || k == ZYDIS_REGCLASS_GPR16 || k == ZYDIS_REGCLASS_GPR32 ||
           k == ZYDIS_REGCLASS_GPR64;
}

/* The host register that stands for a visible general register operand. */
static int scratch_for(struct form *f, int guest, u8 actions)
{
    static const u8 pool[] = {H_RCX, H_RDX, H_R8};
    for (size_t k = 0; k < ARRAY_LEN(pool); k++) {
        int h = pool[k];
        u16 used = (f->gpr_in | f->gpr_out) >> h & 1;
        if (used && f->gpr_of[h] != guest)
            continue;
        f->gpr_of[h] = (u8)guest;
        if (actions & ZYDIS_OPERAND_ACTION_MASK_READ)
            f->gpr_in |= (u16)(1u << h);
        if (actions & ZYDIS_OPERAND_ACTION_MASK_WRITE)
            f->gpr_out |= (u16)(1u << h);
        return h;
    }
    return -1;
}

static void use_vector(struct form *f, const ZydisDecodedOperand *op, int n, bool wide)
{
    u16 bit = (u16)(1u << n);
    bool written = op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
    /* Legacy encodings keep what they do not write, and not every operand size tells what that is:
     * only a plain whole-register write needs no load. */
    bool load = (op->actions & (ZYDIS_OPERAND_ACTION_MASK_READ | ZYDIS_OPERAND_ACTION_CONDWRITE)) ||
                (!f->vex && op->size != 128);
    if (load) {
        f->vec_in |= bit;
        if (wide)
            f->wide_in |= bit;
    }
    if (written) {
        f->vec_out |= bit;
        if (wide)
            f->wide_out |= bit;
    }
}

/* Collects what the form reads and writes; *reg, *rm, *vvvv, *is4: host register numbers for the
 * encoding's fields, or as they are. False: nothing we can run. */
static bool gather_operands(const ZydisDecodedInstruction *d, const ZydisDecodedOperand *ops,
                            struct form *f, int *reg, int *rm, int *vvvv, int *is4)
{
    for (int k = 0; k < d->operand_count; k++) {
        const ZydisDecodedOperand *op = &ops[k];
        bool visible = k < d->operand_count_visible;
        if (op->type != ZYDIS_OPERAND_TYPE_REGISTER)
            continue;
        ZydisRegisterClass cls = ZydisRegisterGetClass(op->reg.value);
        int n = ZydisRegisterGetId(op->reg.value);
        if (cls == ZYDIS_REGCLASS_XMM || cls == ZYDIS_REGCLASS_YMM) {
            if (n < 0 || n > 15)
                return false;
            use_vector(f, op, n, cls == ZYDIS_REGCLASS_YMM);
        } else if (is_gpr(cls)) {
            if (n < 0 || n > 15)
                return false;
            if (visible) {
                n = scratch_for(f, n, op->actions);
                if (n < 0)
                    return false;
            } else { /* PCMPESTRI: itself */
                if (n > H_RDX)
                    return false;
                f->gpr_of[n] = (u8)n;
                if (op->actions & ZYDIS_OPERAND_ACTION_MASK_READ)
                    f->gpr_in |= (u16)(1u << n);
                if (op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE)
                    f->gpr_out |= (u16)(1u << n);
            }
        } else if (cls != ZYDIS_REGCLASS_MMX) {
            continue; /* flags, MXCSR, x87 registers: live */
        }
        switch (op->encoding) {
        case ZYDIS_OPERAND_ENCODING_MODRM_REG:
            *reg = n;
            break;
        case ZYDIS_OPERAND_ENCODING_MODRM_RM:
            *rm = n;
            break;
        case ZYDIS_OPERAND_ENCODING_NDSNDD:
            *vvvv = n;
            break;
        case ZYDIS_OPERAND_ENCODING_IS4:
            *is4 = n;
            break;
        default:
            break;
        }
    }
    return true;
}

/* VEX.W tells the size of a general register, or of memory in its place: outside 64-bit mode it is
 * ignored, always 32 bits (SDM vol. 2, VMOVD, VCVTSI2SD, VPINSRD ..., VPCMPESTRI). */
static bool w_is_gpr_size(const ZydisDecodedInstruction *d, const ZydisDecodedOperand *ops)
{
    if (d->opcode_map == ZYDIS_OPCODE_MAP_0F &&
        (d->opcode == 0x2a || d->opcode == 0x6e || (d->opcode == 0x7e && d->raw.vex.pp == 1)))
        return true;
    if (d->opcode_map == ZYDIS_OPCODE_MAP_0F3A && (d->opcode == 0x16 || d->opcode == 0x22))
        return true;
    for (int k = 0; k < d->operand_count; k++)
        if (ops[k].type == ZYDIS_OPERAND_TYPE_REGISTER &&
            is_gpr(ZydisRegisterGetClass(ops[k].reg.value)))
            return true;
    return false;
}

/* Intel raises #GP for a misaligned memory operand of the SHA instructions, AMD does not. Guests
 * get the lenient rule on any host: the operand is loaded by itself. */
static bool is_sha(const ZydisDecodedInstruction *d)
{
    return d->meta.isa_set == ZYDIS_ISA_SET_SHA;
}

static bool put_insn(struct code *c, const ZydisDecodedInstruction *d,
                     const ZydisDecodedOperand *ops, struct form *f)
{
    bool modrm = d->attributes & ZYDIS_ATTRIB_HAS_MODRM;
    int reg = d->raw.modrm.reg, rm = d->raw.modrm.rm, vvvv = 0, is4 = -1;
    if (!gather_operands(d, ops, f, &reg, &rm, &vvvv, &is4))
        return false;
    u8 mod = d->raw.modrm.mod;
    if (mod != 3 && is_sha(d)) {
        mod = 3;
        rm = reg == 1 ? 2 : 1;                     /* not XMM0, which SHA256RNDS2 reads */
        PUT(c, 0x0f, 0x10, (u8)(rm << 3 | H_RSI)); /* movups */
    } else if (mod != 3) {
        mod = 0;
        rm = H_RSI;
    }
    int map = d->opcode_map;

    if (f->vex) {
        bool w = d->raw.vex.W;
        if (d->machine_mode != ZYDIS_MACHINE_MODE_LONG_64 && w_is_gpr_size(d, ops))
            w = false;
        PUT(c, 0xc4, (u8)((reg < 8) << 7 | 0x40 | (rm < 8) << 5 | map),
            (u8)(w << 7 | (~vvvv & 15) << 3 | d->raw.vex.L << 2 | d->raw.vex.pp), d->opcode);
    } else {
        for (int k = 0; k < d->raw.prefix_count; k++)
            if (d->raw.prefixes[k].type == ZYDIS_PREFIX_TYPE_MANDATORY)
                PUT(c, d->raw.prefixes[k].value);
        u8 rex = (u8)(0x40 | (d->raw.rex.W ? 8 : 0) | (reg >> 3) << 2 | rm >> 3);
        if (rex != 0x40)
            PUT(c, rex);
        if (map != ZYDIS_OPCODE_MAP_DEFAULT)
            PUT(c, 0x0f);
        if (map == ZYDIS_OPCODE_MAP_0F38)
            PUT(c, 0x38);
        else if (map == ZYDIS_OPCODE_MAP_0F3A)
            PUT(c, 0x3a);
        else if (map > ZYDIS_OPCODE_MAP_0F)
            return false;
        PUT(c, d->opcode);
    }
    if (modrm)
        PUT(c, (u8)(mod << 6 | (reg & 7) << 3 | (rm & 7)));
    for (int k = 0; k < 2; k++) {
        if (!d->raw.imm[k].size)
            continue;
        if (d->raw.imm[k].size != 8)
            return false;
        PUT(c, is4 >= 0 && k == 0 ? (u8)(is4 << 4) : (u8)d->raw.imm[k].value.u);
    }
    return true;
}

/* ---- the stub -------------------------------------------------------------------------------- */
static void put_loads(struct code *c, const struct form *f)
{
    if (f->fl_in || f->fl_out) {
        /* movzx eax, word [fl]; add al, 127 sets OF from bit 0; sahf sets the rest */
        PUT(c, 0x0f, 0xb7);
        put_state(c, H_RAX, offsetof(struct cpu, fl));
        PUT(c, 0x04, 0x7f, 0x9e);
    }
    for (int h = 0; h < 16; h++)
        if (f->gpr_in >> h & 1)
            mov_gpr(c, false, h, f->gpr_of[h]);
    for (int n = 0; n < 16; n++) {
        if (f->vec_in >> n & 1)
            mov_xmm(c, f->vex, false, n, xmm_off(n));
        if (f->wide_in >> n & 1)
            mov_high(c, false, n);
    }
}

static void put_stores(struct code *c, const struct form *f)
{
    for (int n = 0; n < 16; n++) {
        if (f->vec_out >> n & 1)
            mov_xmm(c, f->vex, true, n, xmm_off(n));
        if (f->wide_out >> n & 1)
            mov_high(c, true, n);
    }
    u16 zero = f->vex ? f->vec_out & ~f->wide_out : 0;
    if (zero) {                         /* VEX writes zeroes above what it writes */
        PUT(c, 0xc5, 0xf8, 0x57, 0xc0); /* vxorps xmm0, xmm0, xmm0 */
        for (int n = 0; n < 16; n++)
            if (zero >> n & 1)
                mov_xmm(c, true, true, 0, ymm_off(n));
    }
    for (int h = 0; h < 16; h++)
        if (f->gpr_out >> h & 1)
            mov_gpr(c, true, h, f->gpr_of[h]);
    if (f->fl_out) {
        PUT(c, 0x9f, 0x0f, 0x90, 0xc0, 0x66, 0x89); /* lahf; seto al; mov [fl], ax */
        put_state(c, H_RAX, offsetof(struct cpu, fl));
    }
    if (f->wide_in | f->wide_out)
        PUT(c, 0xc5, 0xf8, 0x77); /* vzeroupper */
    PUT(c, 0xc3);
}

/* Legacy SSE memory operands of 16 bytes are aligned but for these; VEX ones are not but for the
 * aligned moves (SDM vol. 2, 2.4). */
static bool needs_alignment(const ZydisDecodedInstruction *d, int size)
{
    switch (d->mnemonic) {
    case ZYDIS_MNEMONIC_MOVUPS:
    case ZYDIS_MNEMONIC_MOVUPD:
    case ZYDIS_MNEMONIC_MOVDQU:
    case ZYDIS_MNEMONIC_LDDQU:
    case ZYDIS_MNEMONIC_PCMPESTRI:
    case ZYDIS_MNEMONIC_PCMPESTRM:
    case ZYDIS_MNEMONIC_PCMPISTRI:
    case ZYDIS_MNEMONIC_PCMPISTRM:
        return false;
    default:
        break;
    }
    if (is_sha(d))
        return false;
    if (d->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX)
        return d->meta.exception_class == ZYDIS_EXCEPTION_CLASS_AVX1;
    return size == 16;
}

static u8 gate_of(const ZydisDecodedInstruction *d, const ZydisDecodedOperand *ops)
{
    bool mmx = d->mnemonic == ZYDIS_MNEMONIC_EMMS, xmm = false;
    if (d->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX)
        return GATE_AVX;
    for (int k = 0; k < d->operand_count; k++) {
        if (ops[k].type != ZYDIS_OPERAND_TYPE_REGISTER)
            continue;
        ZydisRegisterClass cls = ZydisRegisterGetClass(ops[k].reg.value);
        xmm |= cls == ZYDIS_REGCLASS_XMM;
        mmx |= cls == ZYDIS_REGCLASS_MMX;
    }
    return (u8)((xmm ? GATE_SSE : mmx ? GATE_MMX : GATE_NONE) | (mmx ? GATE_MF : 0));
}

/* All but FNSTCW (and FNSTSW etc., which have no stub) wait. */
static u8 x87_gate(const ZydisDecodedInstruction *d)
{
    return d->mnemonic == ZYDIS_MNEMONIC_FNSTCW ? GATE_X87 : GATE_X87 | GATE_MF;
}

static bool build(struct cpu *cpu, const ZydisDecodedInstruction *d, const ZydisDecodedOperand *ops,
                  struct insn *i, bool x87)
{
    struct code c;
    struct form f = {.vex = d->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX};
    struct stub head = {.gate = x87 ? x87_gate(d) : gate_of(d, ops)};

    if (!f.vex && d->encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY)
        return false;
    for (int k = 0; k < d->operand_count_visible; k++) {
        const ZydisDecodedOperand *op = &ops[k];
        if (op->type != ZYDIS_OPERAND_TYPE_MEMORY)
            continue;
        int size = op->size / 8;
        if (size < 1 || size > 32 || op->mem.type != ZYDIS_MEMOP_TYPE_MEM)
            return false;
        head.size = (u8)size;
        head.access = op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE ? STUB_STORE : STUB_LOAD;
        if (!x87 && needs_alignment(d, size)) {
            head.align = (u8)(size - 1);
            i->flags |= INF_ALIGN;
        }
    }
    if (d->cpu_flags) {
        const ZydisAccessedFlags *a = d->cpu_flags;
        f.fl_in = a->tested & FL_ARITH;
        f.fl_out = (a->modified | a->set_0 | a->set_1 | a->undefined) & FL_ARITH;
    }
    /* The loads come first but are known only after the operands were looked at. */
    struct code body = {.p = body.buf};
    if (!put_insn(&body, d, ops, &f))
        return false;
    c.p = c.buf;
    put_loads(&c, &f);
    put(&c, body.buf, (int)(body.p - body.buf));
    put_stores(&c, &f);
    head.len = (u32)(c.p - c.buf);
    i->stub = native_intern(cpu, &head, c.buf);
    if (!i->stub)
        return false;
    i->flags |= INF_STUB;
    return true;
}

/* Gathers have no stub. reg: destination, index, mask (vectors); imm: elements; base, scale and
 * displacement as decoded. */
static bool prepare_gather(const ZydisDecodedInstruction *d, const ZydisDecodedOperand *ops,
                           struct insn *i)
{
    exec_fn *x = insn_rows[i->row].exec;
    bool data8 = x == exec_gather_dq || x == exec_gather_qq;
    bool index8 = x == exec_gather_qd || x == exec_gather_qq;
    int vl = d->raw.vex.L ? 32 : 16;

    i->reg[0] = (u8)ZydisRegisterGetId(ops[0].reg.value);
    i->reg[1] = (u8)ZydisRegisterGetId(ops[1].mem.index);
    i->reg[2] = (u8)ZydisRegisterGetId(ops[2].reg.value);
    i->imm = (u64)(vl / (data8 || index8 ? 8 : 4));
    return i->reg[0] != i->reg[1] && i->reg[0] != i->reg[2] && i->reg[1] != i->reg[2];
}

bool native_prepare(struct cpu *cpu, const ZydisDecodedInstruction *d,
                    const ZydisDecodedOperand *ops, struct insn *i)
{
    exec_fn *x = insn_rows[i->row].exec;

    if (d->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX) {
        if (d->mnemonic == ZYDIS_MNEMONIC_VPCLMULQDQ && !cpu_has(cpu, FEAT_PCLMUL))
            return false;
        if (d->meta.isa_set == ZYDIS_ISA_SET_AVX_GFNI && !cpu_has(cpu, FEAT_AVX))
            return false;
    } else if (d->encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY) {
        return false;
    }
    if (x == exec_native)
        return build(cpu, d, ops, i, false);
    if (x == exec_x87 || x == exec_x87_ctl) {
        /* FOP: the low bits of the first opcode byte and ModRM */
        i->reg[2] = d->opcode & 7;
        i->imm2 = (u8)(d->raw.modrm.mod << 6 | d->raw.modrm.reg << 3 | d->raw.modrm.rm);
        return build(cpu, d, ops, i, true);
    }
    if (x == exec_gather_dd || x == exec_gather_dq || x == exec_gather_qd || x == exec_gather_qq)
        return prepare_gather(d, ops, i);
    return true;
}

bool native_row(const struct insn_row *row)
{
    static const bool ours[INSN_COUNT] = {
#define INSN(id, mnem, when, exec, priv, sees, changes, faults, bt) [INSN_##id] = true,
#include "cpu/insn/simd.def"
#include "cpu/insn/x87.def"
#undef INSN
    };
    return ours[row - insn_rows];
}
