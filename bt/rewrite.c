/*
 * bt/rewrite.c - copies of guest instructions: the same operation, with registers and the memory
 * operand where the host has them.
 *
 * Rebuilt from fields (prefixes, map, opcode, ModRM, immediate), always as 64-bit code: registers
 * are renumbered, a memory operand becomes [S1], a guest register without a host register is loaded
 * into a scratch register and stored back. Vector and x87 registers keep their numbers.
 */
#include "bt/bt_priv.h"
#include "cpu/decode_priv.h"
#include "cpu/exec/rows_priv.h"

struct plan {
    int reg, rm, vvvv, low; /* numbers for ModRM.reg, ModRM.rm, VEX.vvvv, the opcode's low bits */
    struct {
        int host, guest;
        bool out;
    } temp[2];
    int n_temps, n_gprs;
    bool mem;
    u32 mem_size;
    bool mem_write, high_byte, low_byte_needs_rex;
    int swap;   /* AH CH DH BH beside a memory operand, which needs a REX prefix: the register whose
                   two   low bytes change places around it; -1: none */
    u16 writes; /* host registers */
    bool vec;   /* x87, MMX, SSE, AVX */
};

static bool is_gpr_class(ZydisRegisterClass c)
{
    return c == ZYDIS_REGCLASS_GPR8 || c == ZYDIS_REGCLASS_GPR16 || c == ZYDIS_REGCLASS_GPR32 ||
           c == ZYDIS_REGCLASS_GPR64;
}

static int gpr_number(ZydisRegister r)
{
    int id = ZydisRegisterGetId(r);
    if (ZydisRegisterGetClass(r) != ZYDIS_REGCLASS_GPR8)
        return id;
    return id < 4 ? id : id < 8 ? id - 4 : id - 4; /* AH.. are -4 too: the caller knows */
}

int xl_gpr(ZydisRegister r)
{
    return is_gpr_class(ZydisRegisterGetClass(r)) ? gpr_number(r) : -1;
}

/* Where guest register g is for this instruction; -1: no scratch register left. */
static int place(struct plan *p, int g, const ZydisDecodedOperand *op)
{
    bool out = op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
    int h = host_of(g);
    if (h != H_NONE) {
        if (out)
            p->writes |= (u16)(1u << h);
        return h;
    }
    for (int k = 0; k < p->n_temps; k++)
        if (p->temp[k].guest == g) {
            p->temp[k].out |= out;
            return p->temp[k].host;
        }
    if (p->n_temps == (p->mem ? 1 : 2))
        return -1;
    int t = p->n_temps++;
    p->temp[t].host = t == 0 ? S2 : S1;
    p->temp[t].guest = g;
    p->temp[t].out = out;
    return p->temp[t].host;
}

static bool plan_operands(struct xl *x, const struct insn *i, struct plan *p)
{
    const ZydisDecodedInstruction *d = &x->d;
    *p = (struct plan){.reg = d->raw.modrm.reg, .rm = d->raw.modrm.rm, .swap = -1};
    for (int k = 0; k < d->operand_count; k++) {
        const ZydisDecodedOperand *op = &x->ops[k];
        if (op->type != ZYDIS_OPERAND_TYPE_MEMORY)
            continue;
        if (k >= d->operand_count_visible || p->mem)
            return false;
        p->mem = op->mem.type == ZYDIS_MEMOP_TYPE_MEM;
        if (!p->mem || !mem_simple(x, i))
            return false;
        p->mem_size = op->size / 8;
        p->mem_write = op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
        if (p->mem_size < 1 || p->mem_size > 32)
            return false;
    }
    for (int k = 0; k < d->operand_count; k++) {
        const ZydisDecodedOperand *op = &x->ops[k];
        bool visible = k < d->operand_count_visible;
        if (op->type != ZYDIS_OPERAND_TYPE_REGISTER)
            continue;
        ZydisRegisterClass c = ZydisRegisterGetClass(op->reg.value);
        int n = ZydisRegisterGetId(op->reg.value);
        if (is_gpr_class(c)) {
            int id = n;
            p->n_gprs++;
            n = gpr_number(op->reg.value);
            if (c == ZYDIS_REGCLASS_GPR8) {
                p->high_byte |= id >= 4 && id < 8;
                p->low_byte_needs_rex |= id >= 8 && id < 12; /* SPL BPL SIL DIL */
                if (id >= 4 && id < 8) {                     /* AH: bits of a host register */
                    if (op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE)
                        p->writes |= (u16)(1u << n);
                    p->swap = n;
                    n += 4; /* its number in an encoding without REX */
                    goto encode;
                }
            }
            if (!visible || op->encoding == ZYDIS_OPERAND_ENCODING_NONE) {
                if (host_of(n) != n) /* implicit ones must be where the host has them */
                    return false;
                if (op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE)
                    p->writes |= (u16)(1u << n);
                continue;
            }
            n = place(p, n, op);
            if (n < 0)
                return false;
        } else if (c == ZYDIS_REGCLASS_XMM || c == ZYDIS_REGCLASS_YMM || c == ZYDIS_REGCLASS_MMX ||
                   c == ZYDIS_REGCLASS_X87) {
            p->vec = true;
        } else {
            continue; /* flags, MXCSR, x87 control: live */
        }
    encode:
        switch (op->encoding) {
        case ZYDIS_OPERAND_ENCODING_MODRM_REG:
            p->reg = n;
            break;
        case ZYDIS_OPERAND_ENCODING_MODRM_RM:
            p->rm = n;
            break;
        case ZYDIS_OPERAND_ENCODING_NDSNDD:
            p->vvvv = n;
            break;
        case ZYDIS_OPERAND_ENCODING_OPCODE:
            p->low = n;
            break;
        default:
            break;
        }
    }
    if (!p->mem || p->n_gprs != 1 || i->base == p->swap || i->index == p->swap)
        p->swap = -1;
    if (p->swap >= 0)
        p->reg = p->swap;
    return true;
}

static void swap_bytes_of(struct asm_buf *a, int reg)
{
    E(a, 0x86, (u8)(0xc0 | reg << 3 | (reg + 4))); /* xchg al, ah and the like; flags stay */
}

/* VEX.W that tells a general register's size is ignored outside 64-bit mode. */
static bool vex_w(const struct xl *x)
{
    const ZydisDecodedInstruction *d = &x->d;
    if (x->bits64 || !d->raw.vex.W)
        return d->raw.vex.W;
    for (int k = 0; k < d->operand_count; k++)
        if (x->ops[k].type == ZYDIS_OPERAND_TYPE_REGISTER &&
            is_gpr_class(ZydisRegisterGetClass(x->ops[k].reg.value)))
            return false;
    /* VMOVD, VPINSRD, VPEXTRD with a memory operand; VCVTSI2SS and SD */
    bool gpr_memory =
        (d->opcode_map == ZYDIS_OPCODE_MAP_0F &&
         (d->opcode == 0x2a || d->opcode == 0x6e || (d->opcode == 0x7e && d->raw.vex.pp == 1))) ||
        (d->opcode_map == ZYDIS_OPCODE_MAP_0F3A && (d->opcode == 0x16 || d->opcode == 0x22));
    return !gpr_memory;
}

/* Whether the host's encoding has an operand-size prefix: guest code of 16 bits has it for the
 * other size. What is not for general registers does not know that. */
static bool size_prefix(const struct xl *x, const struct insn *i)
{
    bool there = x->d.attributes & ZYDIS_ATTRIB_HAS_OPERANDSIZE;
    if ((x->b->key & KEY_DMODE) != KEY_16 || (i->flags & INF_STUB) || i->row == INSN_CMPXCHG8B)
        return there;
    return x->d.operand_width == 16;
}

/* Opcodes whose low bits name the register. */
static bool has_low(const struct xl *x)
{
    for (int k = 0; k < x->d.operand_count_visible; k++)
        if (x->ops[k].encoding == ZYDIS_OPERAND_ENCODING_OPCODE)
            return true;
    return false;
}

/* A register in the immediate byte. */
static bool has_is4(const struct xl *x)
{
    for (int k = 0; k < x->d.operand_count_visible; k++)
        if (x->ops[k].encoding == ZYDIS_OPERAND_ENCODING_IS4)
            return true;
    return false;
}

static bool needs_rex(const struct xl *x, const struct plan *p)
{
    return x->d.raw.rex.W || p->reg > 7 || p->low > 7 || p->mem ||
           (x->d.raw.modrm.mod == 3 && p->rm > 7) || p->low_byte_needs_rex;
}

static void emit_encoding(struct xl *x, const struct insn *i, const struct plan *p)
{
    const ZydisDecodedInstruction *d = &x->d;
    struct asm_buf *a = x->a;
    bool modrm = d->attributes & ZYDIS_ATTRIB_HAS_MODRM;
    u8 mod = d->raw.modrm.mod;
    int rm = p->mem ? x->ref.base : p->rm;
    int index = p->mem && x->ref.index != H_NONE ? x->ref.index : 0;
    if (d->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX) {
        E(a, 0xc4,
          (u8)((p->reg < 8) << 7 | (index < 8) << 6 | (!modrm || rm < 8) << 5 | d->opcode_map),
          (u8)(vex_w(x) << 7 | (~p->vvvv & 15) << 3 | d->raw.vex.L << 2 | d->raw.vex.pp),
          d->opcode);
    } else {
        bool mandatory = false;
        if (d->attributes & ZYDIS_ATTRIB_HAS_LOCK)
            e1(a, 0xf0);
        for (int k = 0; k < d->raw.prefix_count; k++)
            if (d->raw.prefixes[k].type == ZYDIS_PREFIX_TYPE_MANDATORY) {
                e1(a, d->raw.prefixes[k].value);
                mandatory |= d->raw.prefixes[k].value == 0x66;
            }
        if (size_prefix(x, i) && !mandatory)
            e1(a, 0x66);
        if (needs_rex(x, p))
            e1(a, (u8)(0x40 | (d->raw.rex.W ? 8 : 0) | (p->reg >> 3 & 1) << 2 | index >> 3 << 1 |
                       (((modrm ? rm : p->low) >> 3) & 1)));
        if (d->opcode_map != ZYDIS_OPCODE_MAP_DEFAULT)
            e1(a, 0x0f);
        if (d->opcode_map == ZYDIS_OPCODE_MAP_0F38)
            e1(a, 0x38);
        else if (d->opcode_map == ZYDIS_OPCODE_MAP_0F3A)
            e1(a, 0x3a);
        u8 op = d->opcode;
        if (d->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && op == 0x82)
            op = 0x80; /* the same, but 64-bit code does not have it */
        e1(a, has_low(x) ? (u8)((op & 0xf8) | (p->low & 7)) : op);
    }
    if (modrm && p->mem)
        mem_modrm(x, p->reg);
    else if (modrm)
        e1(a, (u8)(mod << 6 | (p->reg & 7) << 3 | (rm & 7)));
    if (!x->bits64 && has_is4(x)) { /* bit 7 of the register means nothing there */
        e1(a, x->bytes[d->raw.imm[0].offset] & 0x7f);
        return;
    }
    for (int k = 0; k < 2; k++)
        if (d->raw.imm[k].size)
            en(a, x->bytes + d->raw.imm[k].offset, d->raw.imm[k].size / 8u);
}

/* Forms whose encoding means something else in 64-bit mode. */
static bool emit_other(struct xl *x, const struct insn *i, const struct plan *p)
{
    const ZydisDecodedInstruction *d = &x->d;
    struct asm_buf *a = x->a;
    if (d->encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY ||
        d->opcode_map != ZYDIS_OPCODE_MAP_DEFAULT)
        return false;
    if (!x->bits64 && d->opcode >= 0x40 && d->opcode <= 0x4f) { /* INC, DEC */
        if (size_prefix(x, i))
            e1(a, 0x66);
        e_rex(a, false, 0, 0, p->low);
        E(a, 0xff, (u8)(0xc0 | (d->opcode >= 0x48) << 3 | (p->low & 7)));
        return true;
    }
    if (d->opcode >= 0xa0 && d->opcode <= 0xa3) { /* MOV with an offset: [S1] and RAX */
        if (size_prefix(x, i))
            e1(a, 0x66);
        mem_rex(x, d->raw.rex.W, H_RAX);
        e1(a, (u8)(0x88 | ((d->opcode & 2) ? 0 : 2) | (d->opcode & 1)));
        mem_modrm(x, H_RAX);
        return true;
    }
    return false;
}

/* Whether the host raises an exception of its own for some operands. */
static bool may_trap(const struct insn *i, const struct plan *p)
{
    return i->row == INSN_DIV || i->row == INSN_IDIV || p->vec || (i->flags & INF_STUB);
}

/* ---- recipes for flags ------------------------------------------------------------------------
 */
/* The encoding of an operation of two operands: the one that is written or compared is a register,
 * or (rm < 0) FRAME_OPERAND; reg: the other one, H_NONE: imm. */
static int encode_alu(u8 *out, const struct insn *i, int rm, int reg)
{
    bool test = i->row == INSN_TEST;
    u8 op = test ? 0x84 : i->row == INSN_ADD ? 0x00 : i->row == INSN_SUB ? 0x28 : 0x38;
    int n = 0, size = i->size[0];
    if (size == 2)
        out[n++] = 0x66;
    out[n++] = (u8)(0x40 | (size == 8) << 3 | (reg != H_NONE && reg > 7) << 2 | (rm > 7));
    if (reg == H_NONE) {
        out[n++] = (u8)((test ? 0xf6 : 0x80) + (size > 1));
        reg = test ? 0 : op >> 3;
    } else {
        out[n++] = (u8)(op + (size > 1));
        size = 0;
    }
    if (rm < 0) {
        out[n++] = (u8)(0x44 | (reg & 7) << 3);
        out[n++] = 0x24;
        out[n++] = FRAME_OPERAND;
    } else {
        out[n++] = (u8)(0xc0 | (reg & 7) << 3 | (rm & 7));
    }
    for (int k = 0; k < MIN(size, 4); k++)
        out[n++] = (u8)(i->imm >> 8 * k);
    return n;
}

/* The flags of AND, OR and XOR once more: test a, a. */
static void test_again(struct recipe *r, const struct insn *i, int a)
{
    int n = 0;
    if (i->size[0] == 2)
        r->bytes[n++] = 0x66;
    r->bytes[n++] = (u8)(0x40 | (i->size[0] == 8) << 3 | (a > 7) << 2 | (a > 7));
    r->bytes[n++] = i->size[0] == 1 ? 0x84 : 0x85;
    r->bytes[n++] = (u8)(0xc0 | (a & 7) << 3 | (a & 7));
    r->len = (u8)n;
    r->kind = RECIPE_COPY;
    r->regs = (u16)(1u << a);
}

/* Whether flags that k leaves are to be saved before they are replaced. */
static bool flags_stay(const struct xl *x, int k)
{
    for (int j = k + 1; j < x->b->n; j++) {
        const struct insn *i = &x->b->insn[j];
        if (i->kind[0] == OP_MEM || i->kind[1] == OP_MEM || i->kind[2] == OP_MEM ||
            (i->flags & (INF_EXIT | INF_BRANCH)))
            return true;
        if (x->use[j] == FLAGS_WRITE)
            return false;
    }
    return true;
}

/* CMP and TEST with memory, ADD and SUB of memory to a register may keep the operand, so that the
 * flags can be computed once more. */
static bool may_keep_operand(const struct xl *x, int k, const struct plan *p)
{
    const struct insn *i = &x->b->insn[k];
    bool compares = i->row == INSN_CMP || i->row == INSN_TEST;
    bool adds = i->row == INSN_ADD || i->row == INSN_SUB;
    int m = i->kind[0] == OP_MEM ? 0 : 1;
    if ((!compares && !adds) || !p->mem || p->n_temps || p->high_byte || p->mem_write ||
        (adds && (m == 0 || i->size[0] < 4)) || (i->flags & INF_STUB) || x->use[k] != FLAGS_WRITE)
        return false;
    if (i->kind[!m] == OP_IMM)
        return m == 0 && flags_stay(x, k);
    return i->kind[!m] == OP_GPR && i->size[1] == i->size[0] && flags_stay(x, k);
}

/* x->ref is where it is; `first`: the ways out of that check. */
static void keep_operand(struct xl *x, const struct insn *i, int first)
{
    struct asm_buf *a = x->a;
    int m = i->kind[0] == OP_MEM ? 0 : 1, size = i->size[0];
    int reg = i->kind[!m] == OP_GPR ? host_of(i->reg[!m]) : H_NONE;
    u8 code[16];
    mem_rex(x, size == 8, S1);
    if (size < 4)
        E(a, 0x0f, size == 1 ? 0xb6 : 0xb7); /* movzx */
    else
        e1(a, OP_LOAD);
    mem_modrm(x, S1);
    for (int n = first; n < x->n_cold; n++)
        x->outs[n].operand = true;
    cold_back(x, first);
    e_frame(a, true, OP_STORE, S1, FRAME_OPERAND);
    en(a, code, (u32)(m == 0 ? encode_alu(code, i, S1, reg) : encode_alu(code, i, reg, S1)));
    x->fl = (struct flag_state){.host = true};

    struct recipe *r = &x->fl.again;
    r->regs = (u16)(reg == H_NONE ? 0 : 1u << reg);
    if (i->row == INSN_ADD || i->row == INSN_SUB) {
        r->kind = i->row == INSN_ADD ? RECIPE_ADD : RECIPE_SUB;
        r->wide = size == 8;
        r->reg = (u8)reg;
        r->other = IN_FRAME;
        return;
    }
    r->kind = RECIPE_COPY;
    r->len = (u8)encode_alu(r->bytes, i, -1, reg);
    if (m == 1 && i->row == INSN_CMP) /* the register first: cmp reg, [frame] */
        r->bytes[r->len - 4] += 2;
}

/* A recipe for the flags of what was just emitted, if its inputs are still there. */
static void make_recipe(struct xl *x, const struct insn *i, const struct plan *p, const u8 *start)
{
    struct recipe *r = &x->fl.again;
    r->kind = RECIPE_NONE;
    if (p->n_temps || p->high_byte || x->a->full || x->a->p - start > 15)
        return;
    int a = i->kind[0] == OP_GPR ? host_of(i->reg[0]) : H_NONE;
    int b = i->kind[1] == OP_GPR ? host_of(i->reg[1]) : H_NONE;
    if (a == H_NONE)
        return;
    switch (i->row) {
    case INSN_AND:
    case INSN_OR:
    case INSN_XOR:
        test_again(r, i, a);
        return;
    default:
        if (p->mem)
            return;
        break;
    }
    switch (i->row) {
    case INSN_CMP:
    case INSN_TEST:
        r->kind = RECIPE_COPY;
        r->len = (u8)(x->a->p - start);
        memcpy(r->bytes, start, r->len);
        r->regs = (u16)(1u << a | (b != H_NONE ? 1u << b : 0));
        break;
    case INSN_ADD:
    case INSN_SUB:
        if (i->size[0] < 4 || a == b || (b == H_NONE && i->kind[1] != OP_IMM))
            return;
        r->kind = i->row == INSN_ADD ? RECIPE_ADD : RECIPE_SUB;
        r->wide = i->size[0] == 8;
        r->reg = (u8)a;
        r->other = (u8)b;
        r->imm = (i32)i->imm;
        r->regs = (u16)(1u << a | (b != H_NONE ? 1u << b : 0));
        break;
    default:
        break;
    }
}

void x87_store(struct xl *x, const struct x87_note *n)
{
    struct asm_buf *a = x->a;
    const struct insn *i = &x->b->insn[n->k];
    u64 fip = x->lin + i->off;
    if (!n->wanted)
        return;
    e_imm(a, S2, x->bits64 ? fip : (u32)fip);
    e_gs(a, true, OP_STORE, S2, offsetof(struct cpu, fip));
    E(a, 0x65, 0x66, 0xc7, 0x04, 0x25); /* mov word gs:[fop] */
    e4(a, (u32)offsetof(struct cpu, fop));
    E(a, i->imm2, i->reg[2]);
    e_gs(a, false, OP_LOAD, S2,
         offsetof(struct cpu, seg) + SEG_CS * sizeof(struct seg) + offsetof(struct seg, sel));
    e1(a, 0x66);
    e_gs(a, false, OP_STORE, S2, offsetof(struct cpu, fcs));
    if (!n->mem)
        return;
    e_gs(a, true, OP_LOAD, S2, offsetof(struct cpu, bt_x87_address) + 8 * (size_t)n->slot);
    e_gs(a, true, OP_STORE, S2, offsetof(struct cpu, fdp));
    e_gs(a, false, OP_LOAD, S2,
         offsetof(struct cpu, seg) + SEG_DS * sizeof(struct seg) + offsetof(struct seg, sel));
    e1(a, 0x66);
    e_gs(a, false, OP_STORE, S2, offsetof(struct cpu, fds));
}

/* The vector state is on the host, and the guest may use it, from here on. */
static void need_vectors(struct xl *x, int k, u8 need)
{
    if (!(need & ~x->vec))
        return;
    flags_destroy(x);
    e_gs(x->a, false, OP_LOAD, S2, offsetof(struct cpu, vec_state));
    E(x->a, 0x41, 0xf7, 0xd7);       /* not r15d */
    E(x->a, 0x41, 0xf6, 0xc7, need); /* test r15b, need */
    int first = x->n_cold;
    cold_add(x, e_jcc(x->a, CC_NE), COLD_VEC, k, need);
    cold_back(x, first);
    x->vec |= need;
}

static size_t address_slot(u8 slot)
{
    return offsetof(struct cpu, bt_x87_address) + 8 * (size_t)slot;
}

bool copy_insn(struct xl *x, int k)
{
    const struct insn *i = &x->b->insn[k];
    const struct insn_row *row = &insn_rows[i->row];
    bool stubbed = i->flags & INF_STUB, x87 = row->exec == exec_x87;
    u8 slot = x->x87.mem ? !x->x87.slot : 0; /* the last address may be wanted yet */
    struct plan p;

    if (i->row == INSN_VZEROUPPER && x->bits64) {
        need_vectors(x, k, VEC_AVX);
        E(x->a, 0xc5, 0xf8, 0x77);
        return true;
    }
    bool exchange = i->row == INSN_CMPXCHG || i->row == INSN_XADD || i->row == INSN_CMPXCHG8B ||
                    i->row == INSN_CMPXCHG16B;
    if (stubbed ? row->exec != exec_native && !x87
                : row->bt != NATIVE && i->row != INSN_DIV && i->row != INSN_IDIV && !exchange)
        return false;
    if (native_row(row) && !stubbed)
        return false;
    if (i->flags & (INF_REP | INF_REPNE) && !stubbed)
        return false;
    if (x->d.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY &&
        x->d.encoding != ZYDIS_INSTRUCTION_ENCODING_VEX)
        return false;
    if (i->row == INSN_LEA) {
        int h = host_of(i->reg[0]);
        if (!mem_simple(x, &(struct insn){.seg = SEG_FLAT, .asize = i->asize}))
            return false;
        flags_before_write(x, k, h == H_NONE ? 0 : (u16)(1u << h), true);
        mem_lea(x, k, i);
        return true;
    }
    if (i->row == INSN_NOP)
        return true;
    if (!plan_operands(x, i, &p))
        return false;
    if (p.high_byte && p.swap < 0 && (needs_rex(x, &p) || p.n_temps))
        return false;
    if (x87 && p.mem && i->seg != SEG_FLAT)
        return false;
    if (x->d.meta.isa_set == ZYDIS_ISA_SET_SHA && p.mem)
        return false; /* alignment faults differ between vendors */
    bool bit_string =
        i->row == INSN_BT || i->row == INSN_BTS || i->row == INSN_BTR || i->row == INSN_BTC;
    if (bit_string && p.mem && i->kind[1] != OP_IMM)
        return false; /* reaches beyond the operand */
    if (exchange && (!p.mem || (i->row == INSN_CMPXCHG8B && !cpu_has(x->cpu, FEAT_CX8))))
        return false;
    if (x->d.attributes & ZYDIS_ATTRIB_HAS_LOCK && !p.mem)
        return false;
    enum flag_use use = x->use[k];

    const struct stub *s = i->stub;
    flags_before_write(x, k, p.writes, !p.mem && !may_trap(i, &p));
    if (stubbed) {
        u8 gate = s->gate & GATE_MASK;
        u8 need = gate == GATE_SSE   ? VEC_SSE
                  : gate == GATE_AVX ? VEC_AVX
                  : gate == GATE_MMX ? VEC_X87
                  : gate == GATE_X87 ? VEC_X87
                                     : 0;
        need_vectors(x, k, need);
    }
    int first = x->n_cold;
    if (p.mem) {
        mem_operand(x, k, i,
                    &(struct mem_use){.size = stubbed ? s->size : p.mem_size,
                                      .write = stubbed ? s->access == STUB_STORE : p.mem_write,
                                      .align = stubbed                     ? s->align
                                               : i->row == INSN_CMPXCHG16B ? 15
                                                                           : 0,
                                      .keep_address = x87 ? address_slot(slot) : 0,
                                      .what = COLD_SLOW});
    }
    if (use == FLAGS_READ || use == FLAGS_READ_WRITE)
        flags_to_host(x);
    for (int n = 0; n < p.n_temps; n++) /* also what is only written: perhaps in part */
        e_guest(x->a, true, OP_LOAD, p.temp[n].host, p.temp[n].guest);
    if (may_keep_operand(x, k, &p)) {
        keep_operand(x, i, first);
        return true;
    }
    u8 *start = x->a->p;
    if (may_trap(i, &p))
        cold_add(x, NULL, COLD_FAULT, k, 0);
    if (p.swap >= 0)
        swap_bytes_of(x->a, p.swap);
    if (!emit_other(x, i, &p))
        emit_encoding(x, i, &p);
    if (p.swap >= 0)
        swap_bytes_of(x->a, p.swap);
    for (int n = 0; n < p.n_temps; n++)
        if (p.temp[n].out)
            e_guest(x->a, true, OP_STORE, p.temp[n].host, p.temp[n].guest);
    if (use == FLAGS_WRITE || use == FLAGS_READ_WRITE) {
        x->fl = (struct flag_state){.host = true};
        make_recipe(x, i, &p, start);
    }
    if (x87) {
        x->x87.wanted = true;
        x->x87.k = (u16)k;
        if (p.mem) {
            x->x87.mem = true;
            x->x87.slot = slot;
        }
    }
    cold_back(x, first);
    return true;
}
