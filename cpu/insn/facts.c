/*
 * cpu/insn/facts.c - see facts.h. A decoder's operand list summed up, then fixups.def.
 */
#include "cpu/insn/facts.h"
#include "cpu/interp_priv.h"
#include "cpu/zydis_priv.h"

_Static_assert(ZYDIS_CPUFLAG_CF == FL_CF && ZYDIS_CPUFLAG_PF == FL_PF &&
                   ZYDIS_CPUFLAG_AF == FL_AF && ZYDIS_CPUFLAG_ZF == FL_ZF &&
                   ZYDIS_CPUFLAG_SF == FL_SF && ZYDIS_CPUFLAG_OF == FL_OF &&
                   ZYDIS_CPUFLAG_DF == FL_DF && ZYDIS_CPUFLAG_ID == FL_ID,
               "the library's masks are EFLAGS");

enum fixup_field { FLAGS_MAY, FLAGS_COUNT, FLAGS_READ, DEST_MAY, GPR_READ, GPR_MAY, MEM_IS };
enum fixup_mem { MEM_NONE = 0, MEM_READ = 1, MEM_WRITE = 2 };
#define R(reg) (1u << (reg))
enum { FL_ALL = FL_ARITH | FL_TF | FL_IF | FL_DF | FL_IOPL | FL_NT | FL_RF | FL_AC | FL_ID };

struct fixup {
    u16 id; /* enum insn_id */
    u8 field;
    u32 value;
};
static const struct fixup fixups[] = {
#define FIXUP(id, field, value, where) {INSN_##id, field, value},
#include "cpu/insn/fixups.def"
#undef FIXUP
};

/* Its number, or -1: not a general-purpose register. */
static int gpr_of(ZydisRegister r)
{
    int id = ZydisRegisterGetId(r);
    switch (ZydisRegisterGetClass(r)) {
    case ZYDIS_REGCLASS_GPR8: /* AL CL DL BL AH CH DH BH SPL BPL SIL DIL R8B.. */
        return id < 4 ? id : id - 4;
    case ZYDIS_REGCLASS_GPR16:
    case ZYDIS_REGCLASS_GPR32:
    case ZYDIS_REGCLASS_GPR64:
        return id;
    default:
        return -1;
    }
}

static u16 gpr_bit(ZydisRegister r)
{
    int n = gpr_of(r);
    return n >= 0 ? (u16)(1u << n) : 0;
}

static bool whole(ZydisRegister r)
{
    ZydisRegisterClass c = ZydisRegisterGetClass(r);
    return c == ZYDIS_REGCLASS_GPR32 || c == ZYDIS_REGCLASS_GPR64;
}

static void add_operand(struct insn_facts *f, const ZydisDecodedOperand *op)
{
    bool read = op->actions & (ZYDIS_OPERAND_ACTION_READ | ZYDIS_OPERAND_ACTION_CONDREAD);
    bool write = op->actions & (ZYDIS_OPERAND_ACTION_WRITE | ZYDIS_OPERAND_ACTION_CONDWRITE);

    if (op->type == ZYDIS_OPERAND_TYPE_REGISTER) {
        u16 bit = gpr_bit(op->reg.value);
        if (read)
            f->gpr_read |= bit;
        if (write)
            f->gpr_may |= bit;
        if ((op->actions & ZYDIS_OPERAND_ACTION_WRITE) && whole(op->reg.value))
            f->gpr_must |= bit;
    } else if (op->type == ZYDIS_OPERAND_TYPE_MEMORY) {
        f->gpr_read |= gpr_bit(op->mem.base) | gpr_bit(op->mem.index);
        if (op->mem.type != ZYDIS_MEMOP_TYPE_AGEN) { /* LEA: no access */
            f->mem_read |= read;
            f->mem_write |= write;
        }
    }
}

static void add_flags(struct insn_facts *f, const ZydisDecodedInstruction *d,
                      const ZydisDecodedOperand *ops)
{
    const ZydisAccessedFlags *a = d->cpu_flags;
    if (!a)
        return;
    f->flags_read = a->tested;
    f->flags_must = a->modified | a->set_0 | a->set_1;
    f->flags_undefined = a->undefined;
    f->flags_may = f->flags_must | a->undefined;
    f->flags_must &= ~a->undefined;
    for (int k = 0; k < d->operand_count; k++) /* REP CMPS with a count of 0 */
        if (ops[k].type == ZYDIS_OPERAND_TYPE_REGISTER &&
            ZydisRegisterGetClass(ops[k].reg.value) == ZYDIS_REGCLASS_FLAGS &&
            (ops[k].actions & ZYDIS_OPERAND_ACTION_CONDWRITE))
            f->flags_must = 0;
    if (f->flags_read & ZYDIS_CPUFLAG_IOPL)
        f->flags_read |= FL_IOPL;
    if (f->flags_may & ZYDIS_CPUFLAG_IOPL)
        f->flags_may |= FL_IOPL;
    f->flags_must &= ~(u32)FL_IOPL; /* written at CPL 0 only */
}

/* Rotates and shifts: the count is an immediate (or implicit 1) and not 0 after masking. */
static bool counted(const ZydisDecodedInstruction *d, const ZydisDecodedOperand *ops)
{
    for (int k = 0; k < d->operand_count_visible; k++)
        if (ops[k].type == ZYDIS_OPERAND_TYPE_IMMEDIATE)
            return ops[k].imm.value.u & (d->operand_width == 64 ? 63 : 31);
    return false;
}

static void apply(struct insn_facts *f, const struct fixup *x, const ZydisDecodedInstruction *d,
                  const ZydisDecodedOperand *ops)
{
    switch ((enum fixup_field)x->field) {
    case FLAGS_COUNT:
        if (counted(d, ops))
            break;
        fallthrough;
    case FLAGS_MAY:
        f->flags_must &= ~x->value;
        break;
    case FLAGS_READ:
        f->flags_read |= x->value;
        break;
    case DEST_MAY:
        if (ops[0].type == ZYDIS_OPERAND_TYPE_REGISTER)
            f->gpr_must &= (u16)~gpr_bit(ops[0].reg.value);
        break;
    case GPR_READ:
        f->gpr_read |= (u16)x->value;
        break;
    case GPR_MAY:
        f->gpr_may |= (u16)x->value;
        break;
    case MEM_IS:
        f->mem_read = x->value & MEM_READ;
        f->mem_write = x->value & MEM_WRITE;
        break;
    }
}

bool insn_facts(const struct cpu *cpu, const u8 *bytes, int avail, u32 key, struct insn_facts *out)
{
    const ZydisDecoder *dec = (const ZydisDecoder *)cpu->blocks->decoders + (key & KEY_DMODE);
    ZydisDecodedInstruction d;
    ZydisDecodedOperand ops[ZYDIS_MAX_OPERAND_COUNT];

    memset(out, 0, sizeof(*out));
    if (!ZYAN_SUCCESS(decode_full(dec, bytes, avail, &d, ops)))
        return false;
    u16 id = decode_row(cpu, &d, ops, key);
    if (id == INSN_INVALID)
        return false;
    out->row = id;
    out->len = d.length;
    out->barrier = insn_rows[id].bt == EXIT;
    for (int k = 0; k < d.operand_count; k++)
        add_operand(out, &ops[k]);
    add_flags(out, &d, ops);
    for (size_t k = 0; k < ARRAY_LEN(fixups); k++)
        if (fixups[k].id == id)
            apply(out, &fixups[k], &d, ops);
    out->gpr_must &= (u16)~R(RSP);
    return true;
}
