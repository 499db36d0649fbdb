/*
 * cpu/decode.c - bytes to struct insn, through the decoder library and the table.
 *
 * The only caller of the decoder on the execution path. What comes out is position-independent
 * but for rip-relative operands and branch targets, which the block builder completes
 * (insn_place).
 */
#include "cpu/zydis_priv.h"
#include "cpu/decode_priv.h"
#include "cpu/interp_priv.h"

#include <stdlib.h>

static enum feature isa_feature(ZydisISASet set)
{
    switch (set) {
#define FEATURE(name, leaf, sub, reg, bit)
#define ISA(isa, feat)                                                                             \
    case ZYDIS_ISA_SET_##isa:                                                                      \
        return FEAT_##feat;
#include "cpu/insn/features.def"
#undef FEATURE
#undef ISA
    default:
        return FEAT_COUNT;
    }
}

void decode_index_rows(u16 **first, u16 **next)
{
    u16 *f = calloc(ZYDIS_MNEMONIC_MAX_VALUE + 1, sizeof(u16));
    u16 *n = calloc(INSN_COUNT, sizeof(u16));
    /* backwards, so that chains come out in table order */
    for (int id = INSN_COUNT - 1; f && n && id > INSN_INVALID; id--) {
        n[id] = f[insn_rows[id].mnemonic];
        f[insn_rows[id].mnemonic] = (u16)id;
    }
    *first = f;
    *next = n;
}

static bool row_fits(const struct cpu *cpu, const struct insn_row *row,
                     const ZydisDecodedInstruction *d, const ZydisDecodedOperand *ops)
{
    bool seg = false, cr = false, dr = false, vec = false;
    for (int k = 0; k < d->operand_count_visible; k++) {
        if (ops[k].type != ZYDIS_OPERAND_TYPE_REGISTER)
            continue;
        switch (ZydisRegisterGetClass(ops[k].reg.value)) {
        case ZYDIS_REGCLASS_SEGMENT:
            seg = true;
            break;
        case ZYDIS_REGCLASS_CONTROL:
            cr = true;
            break;
        case ZYDIS_REGCLASS_DEBUG:
            dr = true;
            break;
        case ZYDIS_REGCLASS_MMX:
        case ZYDIS_REGCLASS_XMM:
        case ZYDIS_REGCLASS_YMM:
            vec = true;
            break;
        default:
            break;
        }
    }
    switch ((enum insn_when)row->when) {
    case ANY:
        return true;
    case OPS_SEG:
        return seg;
    case OPS_CR:
        return cr;
    case OPS_DR:
        return dr;
    case OPS_VEC:
        return vec;
    case OPS_NOVEC:
        return !vec;
    case OPS_FAR:
        return d->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR;
    case OPS_NEAR:
        return d->meta.branch_type != ZYDIS_BRANCH_TYPE_FAR;
    case WHEN_286:
        return !cpu_has(cpu, FEAT_I386);
    case WHEN_8086:
        return !cpu_has(cpu, FEAT_I186);
    }
    return false;
}

static u8 gpr_slot(ZydisRegister r)
{
    switch (r) {
    case ZYDIS_REGISTER_NONE:
        return GPR_ZERO;
    case ZYDIS_REGISTER_RIP:
    case ZYDIS_REGISTER_EIP:
    case ZYDIS_REGISTER_IP:
        return GPR_BLOCK;
    default: {
        ZyanI8 id = ZydisRegisterGetId(r);
        return id >= 0 && id < 16 ? (u8)id : GPR_ZERO;
    }
    }
}

static u8 mem_segment(ZydisRegister r, u32 key)
{
    static const u8 map[] = {SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS};
    int id = ZydisRegisterGetId(r);
    u8 s = id >= 0 && id < 6 ? map[id] : SEG_DS;
    /* CS is flat to code; data in it cannot be written (SDM vol. 3, 5.4) */
    if (s < SEG_FS && (key & KEY_64 || (key & KEY_FLAT && s != SEG_CS)))
        return SEG_FLAT;
    return s;
}

static void fill_mem(struct insn *i, const ZydisDecodedOperand *op, u32 key)
{
    static const u8 shift[9] = {0, 0, 1, 0, 2, 0, 0, 0, 3};
    i->seg = mem_segment(op->mem.segment, key);
    i->base = gpr_slot(op->mem.base);
    ZydisRegisterClass ic = ZydisRegisterGetClass(op->mem.index);
    bool vsib = ic == ZYDIS_REGCLASS_XMM || ic == ZYDIS_REGCLASS_YMM;
    i->index = vsib ? GPR_ZERO : gpr_slot(op->mem.index);
    i->scale = shift[op->mem.scale <= 8 ? op->mem.scale : 0];
    i->disp = op->mem.disp.has_displacement ? op->mem.disp.value : 0;
}

static void fill_reg(struct insn *i, int k, ZydisRegister r)
{
    ZyanI8 id = ZydisRegisterGetId(r);
    i->reg[k] = (u8)id;
    switch (ZydisRegisterGetClass(r)) {
    case ZYDIS_REGCLASS_GPR8:
        /* AL CL DL BL AH CH DH BH SPL BPL SIL DIL R8B.. */
        if (id >= 4 && id < 8) {
            i->kind[k] = OP_GPRH;
            i->reg[k] = (u8)(id - 4);
        } else {
            i->kind[k] = OP_GPR;
            i->reg[k] = (u8)(id < 4 ? id : id - 4);
        }
        break;
    case ZYDIS_REGCLASS_GPR16:
    case ZYDIS_REGCLASS_GPR32:
    case ZYDIS_REGCLASS_GPR64:
        i->kind[k] = OP_GPR;
        break;
    case ZYDIS_REGCLASS_SEGMENT:
        i->kind[k] = OP_SEG;
        break;
    case ZYDIS_REGCLASS_CONTROL:
        i->kind[k] = OP_CR;
        break;
    case ZYDIS_REGCLASS_DEBUG:
        i->kind[k] = OP_DR;
        break;
    case ZYDIS_REGCLASS_X87:
        i->kind[k] = OP_ST;
        break;
    case ZYDIS_REGCLASS_MMX:
        i->kind[k] = OP_MMX;
        break;
    case ZYDIS_REGCLASS_XMM:
    case ZYDIS_REGCLASS_YMM:
        i->kind[k] = OP_VEC;
        break;
    default:
        i->kind[k] = OP_OTHER;
        break;
    }
}

/* Operands that the table's functions use: the visible ones, at most three; the segment of string
 * instructions and XLAT comes from their hidden or implicit memory operand. */
static bool is_maskmov(ZydisMnemonic m)
{
    return m == ZYDIS_MNEMONIC_MASKMOVQ || m == ZYDIS_MNEMONIC_MASKMOVDQU ||
           m == ZYDIS_MNEMONIC_VMASKMOVDQU;
}

static void fill_operands(struct insn *i, const ZydisDecodedInstruction *d,
                          const ZydisDecodedOperand *ops, u32 key)
{
    bool have_mem = false, have_imm = false;
    int n = 0;

    i->seg = key & (KEY_64 | KEY_FLAT) ? SEG_FLAT : SEG_DS;
    for (int k = 0; k < d->operand_count; k++) {
        const ZydisDecodedOperand *op = &ops[k];
        bool visible = k < d->operand_count_visible;
        if (!visible) {
            u8 base = op->type == ZYDIS_OPERAND_TYPE_MEMORY ? gpr_slot(op->mem.base) : GPR_ZERO;
            /* strings by RSI, XLAT, the masked moves; never ES:RDI */
            bool mask = base == RDI && is_maskmov(d->mnemonic);
            if (!have_mem && (base == RSI || base == RBX || mask))
                i->seg = mem_segment(op->mem.segment, key);
            continue;
        }
        switch (op->type) {
        case ZYDIS_OPERAND_TYPE_MEMORY:
            /* of two (MOVS, CMPS) the one that takes overrides */
            if (!have_mem || op->mem.segment != ZYDIS_REGISTER_ES)
                fill_mem(i, op, key);
            have_mem = true;
            break;
        case ZYDIS_OPERAND_TYPE_IMMEDIATE:
            if (have_imm)
                i->imm2 = (u8)op->imm.value.u;
            else
                i->imm = op->imm.value.u;
            have_imm = true;
            break;
        case ZYDIS_OPERAND_TYPE_POINTER:
            i->imm = op->ptr.offset | (u64)op->ptr.segment << 32;
            break;
        default:
            break;
        }
        if (n == 3)
            continue;
        i->size[n] = (u8)(op->size / 8 > 255 ? 0 : op->size / 8);
        switch (op->type) {
        case ZYDIS_OPERAND_TYPE_REGISTER:
            fill_reg(i, n, op->reg.value);
            break;
        case ZYDIS_OPERAND_TYPE_MEMORY:
            i->kind[n] = OP_MEM;
            break;
        case ZYDIS_OPERAND_TYPE_IMMEDIATE:
            i->kind[n] = op->imm.is_relative ? OP_REL : OP_IMM;
            break;
        case ZYDIS_OPERAND_TYPE_POINTER:
            i->kind[n] = OP_FAR;
            break;
        default:
            break;
        }
        n++;
    }
}

static bool ends_block(const ZydisDecodedInstruction *d)
{
    switch (d->meta.category) {
    case ZYDIS_CATEGORY_CALL:
    case ZYDIS_CATEGORY_RET:
    case ZYDIS_CATEGORY_COND_BR:
    case ZYDIS_CATEGORY_UNCOND_BR:
    case ZYDIS_CATEGORY_INTERRUPT:
    case ZYDIS_CATEGORY_SYSCALL:
    case ZYDIS_CATEGORY_SYSRET:
        return true;
    default:
        return d->meta.branch_type != ZYDIS_BRANCH_TYPE_NONE;
    }
}

void *decode_new(const struct cpu *cpu)
{
    static const struct {
        ZydisMachineMode mode;
        ZydisStackWidth width;
    } modes[3] = {[KEY_16] = {ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16},
                  [KEY_32] = {ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32},
                  [KEY_64] = {ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64}};
    ZydisDecoder *dec = calloc(3, sizeof(*dec));
    for (int k = 0; dec && k < 3; k++) {
        ZydisDecoderInit(&dec[k], modes[k].mode, modes[k].width);
        ZydisDecoderEnableMode(&dec[k], ZYDIS_DECODER_MODE_MPX, 0);
        ZydisDecoderEnableMode(&dec[k], ZYDIS_DECODER_MODE_CET, 0);
        ZydisDecoderEnableMode(&dec[k], ZYDIS_DECODER_MODE_WBNOINVD, 0);
        ZydisDecoderEnableMode(&dec[k], ZYDIS_DECODER_MODE_CLDEMOTE, 0);
        ZydisDecoderEnableMode(&dec[k], ZYDIS_DECODER_MODE_LZCNT, cpu_has(cpu, FEAT_LZCNT));
        ZydisDecoderEnableMode(&dec[k], ZYDIS_DECODER_MODE_TZCNT, cpu_has(cpu, FEAT_BMI1));
        ZydisDecoderEnableMode(&dec[k], ZYDIS_DECODER_MODE_AMD_BRANCHES, cpu_is_amd(cpu));
    }
    return dec;
}

int decode_invalid(struct insn *i, int len, int vector)
{
    i->row = INSN_INVALID;
    i->len = (u8)(len > 0 && len <= 15 ? len : 1);
    i->flags = INF_EXIT;
    i->imm = (u64)vector;
    return -1;
}

/* What the library takes and AMD's processors do not (Intel's do): 0F 0D with a register, which is
 * a NOP elsewhere, and VEX.W of VPEXTRD and VPINSRD outside 64-bit mode. */
static bool amd_invalid(const ZydisDecodedInstruction *d, u32 key)
{
    if (d->opcode_map == ZYDIS_OPCODE_MAP_0F && d->opcode == 0x0d)
        return d->raw.modrm.mod == 3;
    return !(key & KEY_64) && d->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX && d->raw.vex.W &&
           (d->mnemonic == ZYDIS_MNEMONIC_VPEXTRD || d->mnemonic == ZYDIS_MNEMONIC_VPINSRD);
}

/* What SSE added for MMX registers; the library counts it among the first MMX (SDM vol. 1, 10.4.4
 * and table of SSE's 64-bit integer instructions; MOVNTQ and MASKMOVQ in 10.4.6). */
static bool mmx_of_sse(const ZydisDecodedInstruction *d)
{
    static const u8 opcodes[] = {0x70, 0xc4, 0xc5, 0xd7, 0xda, 0xde, 0xe0,
                                 0xe3, 0xe4, 0xe7, 0xea, 0xee, 0xf6, 0xf7};
    return d->meta.isa_set == ZYDIS_ISA_SET_PENTIUMMMX && d->opcode_map == ZYDIS_OPCODE_MAP_0F &&
           memchr(opcodes, d->opcode, sizeof(opcodes));
}

u16 decode_row(const struct cpu *cpu, const ZydisDecodedInstruction *d,
               const ZydisDecodedOperand *ops, u32 key)
{
    enum feature f = isa_feature(d->meta.isa_set);
    if (d->mnemonic == ZYDIS_MNEMONIC_JCXZ || d->mnemonic == ZYDIS_MNEMONIC_FWAIT)
        f = FEAT_ALWAYS; /* as old as the 8086, whatever the library says; WAIT needs no FPU */
    if (f == FEAT_MMX && mmx_of_sse(d))
        f = FEAT_SSE;
    if (d->mnemonic == ZYDIS_MNEMONIC_WBINVD)
        f = FEAT_I386; /* the 486's, but SeaBIOS does it on anything; there is no cache to write */
    if (f == FEAT_COUNT || (f != FEAT_ALWAYS && !cpu_has(cpu, f)))
        return INSN_INVALID;
    if (d->meta.isa_set == ZYDIS_ISA_SET_AVXAES && !cpu_has(cpu, FEAT_AES))
        return INSN_INVALID;
    if (d->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX && (key & KEY_REAL))
        return INSN_INVALID; /* SDM vol. 2, 2.3: no VEX in real and V86 mode */
    if (!cpu_has(cpu, FEAT_I386) &&
        (d->attributes & (ZYDIS_ATTRIB_HAS_OPERANDSIZE | ZYDIS_ATTRIB_HAS_ADDRESSSIZE)))
        return INSN_INVALID;
    if (cpu_is_amd(cpu) && amd_invalid(d, key))
        return INSN_INVALID;
    u16 id = cpu->blocks->first_row[d->mnemonic];
    while (id && !row_fits(cpu, &insn_rows[id], d, ops))
        id = cpu->blocks->next_row[id];
    return id;
}

/* F3 90 is PAUSE, but with REX.B it is XCHG R8, RAX with a prefix that means nothing (APM vol. 3,
 * PAUSE), which the library overlooks: it gets to see another such prefix. */
static ZyanStatus decode_exchange(const ZydisDecoder *dec, const u8 *bytes,
                                  ZydisDecodedInstruction *d, ZydisDecodedOperand *ops)
{
    u8 copy[15];
    memcpy(copy, bytes, d->length);
    for (int k = 0; k < d->length; k++)
        if (copy[k] == 0xf3)
            copy[k] = 0x3e;
    return ZydisDecoderDecodeFull(dec, copy, d->length, d, ops);
}

/* Zydis 4.0 with 32-bit addresses in 64-bit code: MOD 0 and a SIB base of 101b is "no base"
 * whatever REX.B says (SDM vol. 2, table 2-5), not R13. */
ZyanStatus decode_full(const ZydisDecoder *dec, const u8 *bytes, int avail,
                       ZydisDecodedInstruction *d, ZydisDecodedOperand *ops)
{
    ZyanStatus st = ZydisDecoderDecodeFull(dec, bytes, (ZyanUSize)avail, d, ops);
    if (ZYAN_SUCCESS(st) && d->mnemonic == ZYDIS_MNEMONIC_PAUSE && d->raw.rex.B)
        return decode_exchange(dec, bytes, d, ops);
    if (!ZYAN_SUCCESS(st) || !(d->attributes & ZYDIS_ATTRIB_HAS_SIB) || d->raw.modrm.mod != 0 ||
        d->raw.sib.base != 5)
        return st;
    for (int k = 0; k < d->operand_count_visible; k++)
        if (ops[k].type == ZYDIS_OPERAND_TYPE_MEMORY) {
            ops[k].mem.base = ZYDIS_REGISTER_NONE;
            ops[k].mem.disp.has_displacement = true;
            ops[k].mem.disp.value = d->raw.disp.value;
        }
    return st;
}

int decode_known(struct cpu *cpu, const u8 *bytes, int avail, u32 key, struct insn *out,
                 struct decode_shape *shape)
{
    const ZydisDecoder *dec = (const ZydisDecoder *)cpu->blocks->decoders + (key & KEY_DMODE);
    ZydisDecodedInstruction d;
    ZydisDecodedOperand ops[ZYDIS_MAX_OPERAND_COUNT];

    memset(out, 0, sizeof(*out));
    out->base = out->index = GPR_ZERO;
    ZyanStatus st = decode_full(dec, bytes, avail, &d, ops);
    if (!ZYAN_SUCCESS(st)) {
        if (st == ZYDIS_STATUS_NO_MORE_DATA)
            return avail >= 15 ? decode_invalid(out, 15, EX_GP) : 0;
        return decode_invalid(out, 1, st == ZYDIS_STATUS_INSTRUCTION_TOO_LONG ? EX_GP : EX_UD);
    }
    out->len = d.length;
    u16 id = decode_row(cpu, &d, ops, key);
    if (!id)
        return decode_invalid(out, d.length, EX_UD);
    const struct insn_row *row = &insn_rows[id];
    out->row = id;
    out->osize = (u8)(d.operand_width / 8);
    out->asize = (u8)(d.address_width / 8);
    fill_operands(out, &d, ops, key);
    bool near = d.meta.branch_type == ZYDIS_BRANCH_TYPE_NEAR ||
                d.meta.branch_type == ZYDIS_BRANCH_TYPE_SHORT;
    if ((key & KEY_64) && near && cpu_is_amd(cpu) &&
        (d.attributes & ZYDIS_ATTRIB_HAS_OPERANDSIZE) && !d.raw.rex.W) {
        /* the library knows it of branches by 16 or 32 bits only (APM vol. 3, 1.2.2) */
        out->osize = 2;
        if (out->kind[0] == OP_GPR || out->kind[0] == OP_MEM)
            out->size[0] = 2;
    }
    out->flags = 0;
    if (d.attributes & ZYDIS_ATTRIB_HAS_LOCK)
        out->flags |= INF_LOCK;
    if (d.attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE))
        out->flags |= INF_REP;
    if (d.attributes & ZYDIS_ATTRIB_HAS_REPNE)
        out->flags |= INF_REPNE;
    if (d.attributes & ZYDIS_ATTRIB_HAS_OPERANDSIZE)
        out->flags |= INF_OP66;
    if (row->bt == EXIT)
        out->flags |= INF_EXIT;
    if (ends_block(&d) || (out->flags & (INF_REP | INF_REPNE)))
        out->flags |= INF_BRANCH;
    if (native_row(row) && !native_prepare(cpu, &d, ops, out))
        return decode_invalid(out, d.length, EX_UD);
    shape->disp_at = d.raw.disp.offset;
    shape->disp_size = d.raw.disp.size / 8;
    shape->imm_at = d.raw.imm[0].offset;
    shape->imm_size = d.raw.imm[0].size / 8;
    shape->imm_signed = d.raw.imm[0].is_signed;
    shape->imm_size2 = d.raw.imm[1].size / 8;
    return d.length;
}

static int decode_slow(struct cpu *cpu, const u8 *bytes, int avail, u32 key, struct insn *out,
                       struct decode_shape *shape)
{
    if (unlikely(!cpu_has(cpu, FEAT_I386)))
        return decode_old(cpu, bytes, avail, key, out, shape);
    return decode_known(cpu, bytes, avail, key, out, shape);
}

int decode_insn(struct cpu *cpu, const u8 *bytes, int avail, u32 key, struct insn *out)
{
    struct decode_shape shape = {0};
    if (avail < 15)
        return decode_slow(cpu, bytes, avail, key, out, &shape);
    int len = memo_find(cpu->blocks->memo, bytes, key, out);
    if (len)
        return len;
    len = decode_slow(cpu, bytes, avail, key, out, &shape);
    /* What was refused has no known length: not all of its bytes had a say. */
    if (len > 0 && out->row != INSN_INVALID && !shape.changed &&
        !(native_row(&insn_rows[out->row]) && shape.imm_size))
        memo_add(cpu->blocks->memo, bytes, key, &shape, out);
    return len;
}

void decode_forget(struct cpu *cpu)
{
    memo_clear(cpu->blocks->memo);
}

void insn_place(struct insn *i, u16 off)
{
    i->off = off;
    if (i->base == GPR_BLOCK)
        i->disp += off + i->len;
    if (i->kind[0] == OP_REL)
        i->disp = (i64)(i->imm + off + i->len); /* for the fast handlers: from the block's start */
}
