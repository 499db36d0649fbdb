/*
 * cpu/insn/shape.c - see shape.h.
 */
#include "cpu/insn/shape.h"
#include "cpu/insn/facts.h"
#include "cpu/interp_priv.h"
#include "cpu/zydis_priv.h"

static u8 reg_of(ZydisRegister r)
{
    int id = ZydisRegisterGetId(r);
    return r == ZYDIS_REGISTER_NONE || id < 0 ? SHAPE_NONE : (u8)id;
}

static void put_register(struct shape_op *o, ZydisRegister r)
{
    int id = ZydisRegisterGetId(r);
    o->reg = (u8)id;
    switch (ZydisRegisterGetClass(r)) {
    case ZYDIS_REGCLASS_GPR8: /* AL CL DL BL AH CH DH BH SPL BPL SIL DIL R8B.. */
        o->kind = id >= 4 && id < 8 ? SHAPE_GPRH : SHAPE_GPR;
        o->reg = (u8)(id < 4 ? id : id - 4);
        break;
    case ZYDIS_REGCLASS_GPR16:
    case ZYDIS_REGCLASS_GPR32:
    case ZYDIS_REGCLASS_GPR64:
        o->kind = SHAPE_GPR;
        break;
    case ZYDIS_REGCLASS_X87:
        o->kind = SHAPE_ST;
        break;
    case ZYDIS_REGCLASS_MMX:
        o->kind = SHAPE_MMX;
        break;
    case ZYDIS_REGCLASS_XMM:
    case ZYDIS_REGCLASS_YMM:
        o->kind = SHAPE_VEC;
        break;
    case ZYDIS_REGCLASS_SEGMENT:
        o->kind = SHAPE_SEG;
        break;
    default:
        o->kind = SHAPE_OTHER;
    }
}

static void put_operand(struct shape_op *o, const ZydisDecodedOperand *op)
{
    o->size = op->size / 8;
    o->read = op->actions & (ZYDIS_OPERAND_ACTION_READ | ZYDIS_OPERAND_ACTION_CONDREAD);
    o->write = op->actions & (ZYDIS_OPERAND_ACTION_WRITE | ZYDIS_OPERAND_ACTION_CONDWRITE);
    o->hidden = op->visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN;
    o->base = o->index = SHAPE_NONE;
    switch (op->type) {
    case ZYDIS_OPERAND_TYPE_REGISTER:
        put_register(o, op->reg.value);
        break;
    case ZYDIS_OPERAND_TYPE_MEMORY:
        o->kind = SHAPE_MEM;
        o->ip = ZydisRegisterGetClass(op->mem.base) == ZYDIS_REGCLASS_IP;
        o->base = o->ip ? SHAPE_NONE : reg_of(op->mem.base);
        o->index = reg_of(op->mem.index);
        o->vsib = op->mem.type == ZYDIS_MEMOP_TYPE_VSIB;
        o->agen = op->mem.type == ZYDIS_MEMOP_TYPE_AGEN;
        o->scale = op->mem.scale ? op->mem.scale : 1;
        o->disp = op->mem.disp.has_displacement ? op->mem.disp.value : 0;
        o->seg = reg_of(op->mem.segment);
        break;
    case ZYDIS_OPERAND_TYPE_IMMEDIATE:
        o->kind = SHAPE_IMM;
        break;
    default:
        o->kind = SHAPE_OTHER;
    }
}

bool insn_shape(const struct cpu *cpu, const u8 *bytes, int avail, u32 key, struct insn_shape *out)
{
    const ZydisDecoder *dec = (const ZydisDecoder *)cpu->blocks->decoders + (key & KEY_DMODE);
    ZydisDecodedInstruction d;
    ZydisDecodedOperand ops[ZYDIS_MAX_OPERAND_COUNT];
    struct insn_facts facts;

    memset(out, 0, sizeof(*out));
    if (!ZYAN_SUCCESS(decode_full(dec, bytes, avail, &d, ops)))
        return false;
    if (!insn_facts(cpu, bytes, avail, key, &facts))
        return false;
    out->row = facts.row;
    out->flags_undefined = facts.flags_undefined;
    out->len = d.length;
    out->osize = (u8)(d.operand_width / 8);
    out->asize = (u8)(d.address_width / 8);
    out->map = (u8)d.opcode_map;
    out->opcode = d.opcode;
    out->prefixes = d.raw.prefix_count;
    out->vex = d.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX;
    out->veclen = d.avx.vector_length ? (u8)(d.avx.vector_length / 8) : 0;
    out->w = out->vex ? d.raw.vex.W : (d.attributes & ZYDIS_ATTRIB_HAS_REX) && d.raw.rex.W;
    out->lock = d.attributes & ZYDIS_ATTRIB_HAS_LOCK;
    out->accepts_lock = d.attributes & ZYDIS_ATTRIB_ACCEPTS_LOCK;
    out->rep =
        d.attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE | ZYDIS_ATTRIB_HAS_REPNE);
    out->relative = d.attributes & ZYDIS_ATTRIB_IS_RELATIVE;
    out->modrm_at = d.attributes & ZYDIS_ATTRIB_HAS_MODRM ? d.raw.modrm.offset : 0;
    out->disp_at = d.raw.disp.size ? d.raw.disp.offset : 0;
    out->disp_size = d.raw.disp.size / 8;
    out->imm_at = d.raw.imm[0].size ? d.raw.imm[0].offset : 0;
    out->imm_size = d.raw.imm[0].size / 8;
    for (int k = 0; k < d.operand_count && out->n < SHAPE_OPS; k++)
        put_operand(&out->op[out->n++], &ops[k]);
    return true;
}
