/*
 * bt/flags.c - where the guest's arithmetic flags are, and getting them to where they are needed.
 *
 * They live in the host's flags; checks of memory accesses destroy those. A writer whose operands
 * are still in registers can be done again for its flags alone (a recipe); that costs nothing
 * until something really looks. Otherwise LAHF and SETO save them to cpu->fl before the first
 * destroyer. They are exact wherever the guest can look: faults, the ends of blocks, helpers.
 *
 * Undefined flags are the host silicon's in both engines. Where they depend on the flags before
 * (flags_probe asks the host), the instruction counts as a reader.
 */
#include "bt/bt_priv.h"

/* ---- what instructions do -------------------------------------------------------------------- */
static bool imm_count(const ZydisDecodedInstruction *d, const ZydisDecodedOperand *ops)
{
    for (int k = 0; k < d->operand_count_visible; k++)
        if (ops[k].type == ZYDIS_OPERAND_TYPE_IMMEDIATE)
            return (ops[k].imm.value.u & (d->operand_width == 64 ? 63 : 31)) != 0;
    return false;
}

enum flag_use flags_use(const struct bt *t, const ZydisDecodedInstruction *d,
                        const ZydisDecodedOperand *ops, const struct insn *i)
{
    switch (i->row) {
    case INSN_ADD:
    case INSN_SUB:
    case INSN_CMP:
    case INSN_NEG:
    case INSN_AND:
    case INSN_OR:
    case INSN_XOR:
    case INSN_TEST:
    case INSN_POPCNT:
        return FLAGS_WRITE;
    case INSN_SHL:
    case INSN_SHR:
    case INSN_SAR:
        return t->flags_shift && imm_count(d, ops) ? FLAGS_WRITE : FLAGS_READ_WRITE;
    case INSN_IMUL:
        return (d->operand_count_visible > 1 ? t->flags_imul : t->flags_mul) ? FLAGS_WRITE
                                                                             : FLAGS_READ_WRITE;
    case INSN_MUL:
        return t->flags_mul ? FLAGS_WRITE : FLAGS_READ_WRITE;
    case INSN_DIV:
    case INSN_IDIV:
        return t->flags_div ? FLAGS_WRITE : FLAGS_READ_WRITE;
    default:
        break;
    }
    const ZydisAccessedFlags *f = d->cpu_flags;
    if (!f)
        return FLAGS_NONE;
    if ((f->modified | f->set_0 | f->set_1 | f->undefined) & FL_ARITH)
        return FLAGS_READ_WRITE;
    return f->tested & FL_ARITH ? FLAGS_READ : FLAGS_NONE;
}

/* Whether the flags after `op` are the same with all flags set and all clear before. */
#define PROBE(op, ...)                                                                             \
    ({                                                                                             \
        bool same_ = true;                                                                         \
        static const u64 v_[] = {0,    1, 3, 0x80, 0x7fffffff, 0x80000001, 0x123456789abcdef1ull,  \
                                 ~0ull};                                                           \
        for (size_t j_ = 0; j_ < ARRAY_LEN(v_) * ARRAY_LEN(v_); j_++) {                            \
            u64 f_[2];                                                                             \
            for (int s_ = 0; s_ < 2; s_++) {                                                       \
                u64 x_ = v_[j_ % ARRAY_LEN(v_)], y_ = v_[j_ / ARRAY_LEN(v_)] | 1, d_ = 0;          \
                u64 in_ = s_ ? 0x8d7 : 2;                                                          \
                __asm__ volatile("lea -128(%%rsp), %%rsp\n\tpush %[in]\n\tpopf\n\t" op             \
                                 "\n\tpushf\n\tpop %[out]\n\tlea 128(%%rsp), %%rsp"                \
                                 : [out] "=&r"(f_[s_]), "+a"(x_), [y] "+r"(y_), "+d"(d_)           \
                                 : [in] "r"(in_)                                                   \
                                 : "cc", "rcx");                                                   \
            }                                                                                      \
            same_ &= !((f_[0] ^ f_[1]) & FL_ARITH);                                                \
        }                                                                                          \
        same_;                                                                                     \
    })

void flags_probe(struct bt *t)
{
    t->flags_imul = PROBE("imul %[y], %%rax") && PROBE("imul %k[y], %%eax") &&
                    PROBE("imul $77, %[y], %%rax") && PROBE("imul $77, %k[y], %%eax");
    t->flags_mul = PROBE("mul %[y]") && PROBE("mul %k[y]") && PROBE("mul %w[y]") &&
                   PROBE("mul %b[y]") && PROBE("imul %[y]") && PROBE("imul %k[y]") &&
                   PROBE("imul %w[y]") && PROBE("imul %b[y]");
    t->flags_div = PROBE("xor %%edx, %%edx\n\tpush %[in]\n\tpopf\n\tdiv %[y]") &&
                   PROBE("xor %%edx, %%edx\n\tpush %[in]\n\tpopf\n\tdiv %k[y]") &&
                   PROBE("and $0x7f, %%eax\n\tcqo\n\tpush %[in]\n\tpopf\n\tidiv %[y]") &&
                   PROBE("and $0x7f, %%eax\n\tcdq\n\tpush %[in]\n\tpopf\n\tidiv %k[y]");
    t->flags_shift = PROBE("shl $1, %%rax") && PROBE("shl $5, %%eax") && PROBE("shr $1, %%rax") &&
                     PROBE("shr $5, %%eax") && PROBE("sar $1, %%rax") && PROBE("sar $5, %%eax") &&
                     PROBE("shl $31, %%eax") && PROBE("shl $3, %%ax") && PROBE("shr $9, %%al") &&
                     PROBE("sar $7, %%al") && PROBE("shl $9, %%al") && PROBE("shr $1, %%ax");
}

/* ---- moving them ------------------------------------------------------------------------------
 */
static void gs16(struct asm_buf *a, size_t off)
{
    E(a, 0x04, 0x25);
    e4(a, (u32)off);
}

/* Host flags to cpu->fl; they and RAX stay. */
static void save(struct asm_buf *a)
{
    e_mov_rr(a, true, S2, H_RAX);
    E(a, 0x9f, 0x0f, 0x90, 0xc0); /* lahf; seto al */
    E(a, 0x65, 0x66, 0x89);
    gs16(a, offsetof(struct cpu, fl));
    e_mov_rr(a, true, H_RAX, S2);
}

void flags_emit_load(struct asm_buf *a)
{
    e_mov_rr(a, true, S2, H_RAX);
    E(a, 0x65, 0x0f, 0xb7);
    gs16(a, offsetof(struct cpu, fl));
    E(a, 0x04, 0x7f, 0x9e); /* add al, 7fh; sahf */
    e_mov_rr(a, true, H_RAX, S2);
}

static void replay(struct asm_buf *a, const struct recipe *r)
{
    if (r->kind == RECIPE_COPY) {
        en(a, r->bytes, r->len);
        return;
    }
    /* S2 = what the result's register held before; then the operation on S2 */
    bool add = r->kind == RECIPE_ADD;
    e_mov_rr(a, r->wide, S2, r->reg);
    for (int pass = 0; pass < 2; pass++) {
        bool plus = (pass == 0) != add;
        if (r->other == IN_FRAME) {
            e_frame(a, r->wide, plus ? 0x03 : 0x2b, S2, FRAME_OPERAND);
        } else if (r->other != H_NONE) {
            e_rr(a, r->wide, plus ? 0x01 : 0x29, r->other, S2);
        } else {
            e_rex(a, r->wide, 0, 0, S2);
            E(a, 0x81, (u8)(0xc0 | (plus ? 0 : 5) << 3 | (S2 & 7)));
            e4(a, (u32)r->imm);
        }
    }
}

void flags_emit_save(struct asm_buf *a, const struct flag_state *s)
{
    if (s->mem)
        return;
    if (!s->host)
        replay(a, &s->again);
    save(a);
}

void flags_destroy(struct xl *x)
{
    if (!x->fl.mem && !x->fl.again.kind)
        flags_to_mem(x);
    x->fl.host = false;
}

void flags_to_host(struct xl *x)
{
    if (x->fl.host)
        return;
    if (!x->fl.mem)
        replay(x->a, &x->fl.again);
    else
        flags_emit_load(x->a);
    x->fl.host = true;
}

void flags_to_mem(struct xl *x)
{
    if (x->fl.mem)
        return;
    flags_emit_save(x->a, &x->fl);
    x->fl.mem = x->fl.host = true;
}

/* pure: cannot leave the block, so flags that it replaces are never looked at. */
void flags_before_write(struct xl *x, int k, u16 host_regs, bool pure)
{
    struct flag_state *s = &x->fl;
    if (!s->again.kind || !(s->again.regs & host_regs))
        return;
    if (!s->mem && !s->host && !(pure && x->use[k] == FLAGS_WRITE))
        flags_to_mem(x);
    s->again.kind = RECIPE_NONE;
}
