/*
 * cpu/interp_fast.c - dispatch handlers for the operand shapes that programs use most.
 *
 * Not a second meaning: each handler is the row's operation on the primitives that its exec
 * function uses too (cpu/alu_priv.h), with operand kinds and sizes fixed. Whatever is unusual
 * (LOCK, high-byte registers, 16-bit addresses, device memory under a read-modify-write) goes to
 * run_generic and so to exec.
 *
 * Contract of a handler: cpu->cur is set before anything that can fault; RIP need not be.
 */
#include "cpu/alu_priv.h"
#include "cpu/interp_priv.h"

#define HANDLER(name) static const struct insn *name(struct cpu *c, const struct insn *i)
#define NEXT          DISPATCH(c, i + 1)

/* ---- effective address: A8 64-bit flat, A4 32-bit flat, AX anything -----------------------------
 */
#define EA_A8(N, w) (c->gpr[i->base] + (c->gpr[i->index] << i->scale) + (u64)i->disp)
#define EA_A4(N, w) ((u64)(u32)EA_A8(N, w))
#define EA_AX(N, w) seg_linear(c, i->seg, op_ea(c, i), N / 8, w) /* cpu->cur is set */

/* A TLB miss leaves by `slow`, which does the whole instruction: the handler needs no frame. */
#define LOAD_AT(N, ea, slow)                                                                       \
    ({                                                                                             \
        c->cur = i;                                                                                \
        gla a_ = (ea);                                                                             \
        struct tlb_entry *e_ = tlb_slot(c, a_);                                                    \
        if (unlikely(!TLB_HIT(c, e_, rtag, a_, N / 8)))                                            \
            DISPATCH_TO(slow, c, i);                                                               \
        ld_u##N((const void *)(a_ + e_->add));                                                     \
    })
#define STORE_AT(N, ea, v, slow)                                                                   \
    do {                                                                                           \
        c->cur = i;                                                                                \
        gla a_ = (ea);                                                                             \
        struct tlb_entry *e_ = tlb_slot(c, a_);                                                    \
        if (unlikely(!TLB_HIT(c, e_, wtag, a_, N / 8)))                                            \
            DISPATCH_TO(slow, c, i);                                                               \
        st_u##N((void *)(a_ + e_->add), (v));                                                      \
    } while (0)
#define LOAD(N, A)      LOAD_AT(N, EA_##A(N, false), run_generic)
#define STORE(N, A, v)  STORE_AT(N, EA_##A(N, true), (v), run_generic)
#define REG(N, k)       ((u##N)c->gpr[i->reg[k]])
#define SETREG(N, k, v) gpr_write(c, i->reg[k], N / 8, (v))

/* For each size; for each size and addressing. X(N, ...) and X(N, A, ...). */
#define SIZES(X, ...)                                                                              \
    X(8, ##__VA_ARGS__) X(16, ##__VA_ARGS__) X(32, ##__VA_ARGS__) X(64, ##__VA_ARGS__)
#define ADDRS(X, N, ...) X(N, A8, ##__VA_ARGS__) X(N, A4, ##__VA_ARGS__) X(N, AX, ##__VA_ARGS__)
#define SIZES_ADDRS(X, ...)                                                                        \
    ADDRS(X, 8, ##__VA_ARGS__)                                                                     \
    ADDRS(X, 16, ##__VA_ARGS__) ADDRS(X, 32, ##__VA_ARGS__) ADDRS(X, 64, ##__VA_ARGS__)

/* Tables by size (0..3) and addressing (0..2). */
#define BY_SIZE(name)                                                                              \
    {                                                                                              \
        name##8, name##16, name##32, name##64                                                      \
    }
#define BY_ADDR(name, N)                                                                           \
    {                                                                                              \
        name##N##A8, name##N##A4, name##N##AX                                                      \
    }
#define BY_SIZE_ADDR(name)                                                                         \
    {                                                                                              \
        BY_ADDR(name, 8), BY_ADDR(name, 16), BY_ADDR(name, 32), BY_ADDR(name, 64)                  \
    }

/* ---- two-operand arithmetic
 * ---------------------------------------------------------------------- */
#define ALU_REG(N, op)                                                                             \
    HANDLER(op##_rr##N)                                                                            \
    {                                                                                              \
        SETREG(N, 0, alu_##op##N(REG(N, 0), REG(N, 1), &c->fl));                                   \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(op##_ri##N)                                                                            \
    {                                                                                              \
        SETREG(N, 0, alu_##op##N(REG(N, 0), (u##N)i->imm, &c->fl));                                \
        NEXT;                                                                                      \
    }
#define ALU_MEM(N, A, op)                                                                          \
    HANDLER(op##_rm##N##A)                                                                         \
    {                                                                                              \
        u##N v = LOAD(N, A);                                                                       \
        SETREG(N, 0, alu_##op##N(REG(N, 0), v, &c->fl));                                           \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(op##_mr##N##A)                                                                         \
    {                                                                                              \
        c->cur = i;                                                                                \
        gla a = EA_##A(N, true);                                                                   \
        struct tlb_entry *e = tlb_slot(c, a);                                                      \
        if (unlikely(!TLB_HIT(c, e, wtag, a, N / 8)))                                              \
            DISPATCH_TO(run_generic, c, i);                                                        \
        void *p = (void *)(a + e->add);                                                            \
        st_u##N(p, alu_##op##N(ld_u##N(p), REG(N, 1), &c->fl));                                    \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(op##_mi##N##A)                                                                         \
    {                                                                                              \
        c->cur = i;                                                                                \
        gla a = EA_##A(N, true);                                                                   \
        struct tlb_entry *e = tlb_slot(c, a);                                                      \
        if (unlikely(!TLB_HIT(c, e, wtag, a, N / 8)))                                              \
            DISPATCH_TO(run_generic, c, i);                                                        \
        void *p = (void *)(a + e->add);                                                            \
        st_u##N(p, alu_##op##N(ld_u##N(p), (u##N)i->imm, &c->fl));                                 \
        NEXT;                                                                                      \
    }
#define CMP_REG(N, op)                                                                             \
    HANDLER(op##_rr##N)                                                                            \
    {                                                                                              \
        alu_##op##N(REG(N, 0), REG(N, 1), &c->fl);                                                 \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(op##_ri##N)                                                                            \
    {                                                                                              \
        alu_##op##N(REG(N, 0), (u##N)i->imm, &c->fl);                                              \
        NEXT;                                                                                      \
    }
#define CMP_MEM(N, A, op)                                                                          \
    HANDLER(op##_rm##N##A)                                                                         \
    {                                                                                              \
        u##N v = LOAD(N, A);                                                                       \
        alu_##op##N(REG(N, 0), v, &c->fl);                                                         \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(op##_mr##N##A)                                                                         \
    {                                                                                              \
        u##N v = LOAD(N, A);                                                                       \
        alu_##op##N(v, REG(N, 1), &c->fl);                                                         \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(op##_mi##N##A)                                                                         \
    {                                                                                              \
        u##N v = LOAD(N, A);                                                                       \
        alu_##op##N(v, (u##N)i->imm, &c->fl);                                                      \
        NEXT;                                                                                      \
    }

struct alu_handlers {
    run_fn *rr[4], *ri[4];
    run_fn *rm[4][3], *mr[4][3], *mi[4][3];
};
#define ALU_TABLE(op)                                                                              \
    static const struct alu_handlers op##_handlers = {                                             \
        BY_SIZE(op##_rr), BY_SIZE(op##_ri), BY_SIZE_ADDR(op##_rm), BY_SIZE_ADDR(op##_mr),          \
        BY_SIZE_ADDR(op##_mi)};
#define ALU_ALL(op) SIZES(ALU_REG, op) SIZES_ADDRS(ALU_MEM, op) ALU_TABLE(op)
#define CMP_ALL(op) SIZES(CMP_REG, op) SIZES_ADDRS(CMP_MEM, op) ALU_TABLE(op)
ALU_ALL(add)
ALU_ALL(or)
ALU_ALL(adc)
ALU_ALL(sbb)
ALU_ALL(and)
ALU_ALL(sub)
ALU_ALL(xor)
CMP_ALL(cmp)
CMP_ALL(test)

/* MOV has the same shapes; its memory destinations are plain stores. */
#define MOV_REG(N)                                                                                 \
    HANDLER(mov_rr##N)                                                                             \
    {                                                                                              \
        SETREG(N, 0, REG(N, 1));                                                                   \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(mov_ri##N)                                                                             \
    {                                                                                              \
        SETREG(N, 0, (u##N)i->imm);                                                                \
        NEXT;                                                                                      \
    }
#define MOV_MEM(N, A)                                                                              \
    HANDLER(mov_rm##N##A)                                                                          \
    {                                                                                              \
        u##N v = LOAD(N, A);                                                                       \
        SETREG(N, 0, v);                                                                           \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(mov_mr##N##A)                                                                          \
    {                                                                                              \
        STORE(N, A, REG(N, 1));                                                                    \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(mov_mi##N##A)                                                                          \
    {                                                                                              \
        STORE(N, A, (u##N)i->imm);                                                                 \
        NEXT;                                                                                      \
    }
SIZES(MOV_REG)
SIZES_ADDRS(MOV_MEM)
ALU_TABLE(mov)

/* ---- widening moves: <op>_<destination>_<source>
 * --------------------------------------------------- */
#define WIDEN(D, S, name, type)                                                                    \
    HANDLER(name##_##D##_##S##_r)                                                                  \
    {                                                                                              \
        SETREG(D, 0, (u##D)(type)REG(S, 1));                                                       \
        NEXT;                                                                                      \
    }                                                                                              \
    WIDEN_MEM(S, A8, D, name, type)                                                                \
    WIDEN_MEM(S, A4, D, name, type)                                                                \
    WIDEN_MEM(S, AX, D, name, type)
#define WIDEN_MEM(S, A, D, name, type)                                                             \
    HANDLER(name##_##D##_##S##_##A)                                                                \
    {                                                                                              \
        u##S v = LOAD(S, A);                                                                       \
        SETREG(D, 0, (u##D)(type)v);                                                               \
        NEXT;                                                                                      \
    }
#define WIDEN_ROW(name, D, S)                                                                      \
    {                                                                                              \
        name##_##D##_##S##_r, name##_##D##_##S##_A8, name##_##D##_##S##_A4, name##_##D##_##S##_AX  \
    }
WIDEN(32, 8, movzx, u8)
WIDEN(32, 16, movzx, u16)
WIDEN(32, 8, movsx, i8)
WIDEN(32, 16, movsx, i16)
WIDEN(64, 8, movsx, i8)
WIDEN(64, 16, movsx, i16)
WIDEN(64, 32, movsx, i32)
/* [destination is 64-bit][source 8, 16, 32][reg, A8, A4, AX]; zero-extension is the same for both
 */
static run_fn *const movzx_handlers[2][4] = {WIDEN_ROW(movzx, 32, 8), WIDEN_ROW(movzx, 32, 16)};
static run_fn *const movsx32_handlers[2][4] = {WIDEN_ROW(movsx, 32, 8), WIDEN_ROW(movsx, 32, 16)};
static run_fn *const movsx64_handlers[3][4] = {WIDEN_ROW(movsx, 64, 8), WIDEN_ROW(movsx, 64, 16),
                                               WIDEN_ROW(movsx, 64, 32)};

/* ---- LEA, one-operand, shifts, multiplication
 * -------------------------------------------------------- */
HANDLER(lea_64_8)
{
    c->gpr[i->reg[0]] = EA_A8(64, false);
    NEXT;
}
HANDLER(lea_32)
{
    c->gpr[i->reg[0]] = EA_A4(32, false);
    NEXT;
}

#define UNARY(N, op)                                                                               \
    HANDLER(op##_r##N)                                                                             \
    {                                                                                              \
        SETREG(N, 0, alu_##op##N(REG(N, 0), &c->fl));                                              \
        NEXT;                                                                                      \
    }
#define UNARY_ALL(op)                                                                              \
    SIZES(UNARY, op)                                                                               \
    static run_fn *const op##_handlers[4] = BY_SIZE(op##_r);
UNARY_ALL(inc)
UNARY_ALL(dec)
UNARY_ALL(neg)
UNARY_ALL(not )

#define SHIFT(N, op)                                                                               \
    HANDLER(op##_i##N)                                                                             \
    {                                                                                              \
        SETREG(N, 0, alu_##op##N(REG(N, 0), (u8)i->imm, &c->fl));                                  \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(op##_c##N)                                                                             \
    {                                                                                              \
        SETREG(N, 0, alu_##op##N(REG(N, 0), (u8)c->gpr[RCX], &c->fl));                             \
        NEXT;                                                                                      \
    }
#define SHIFT_ALL(op)                                                                              \
    SIZES(SHIFT, op)                                                                               \
    static run_fn *const op##_handlers[2][4] = {BY_SIZE(op##_i), BY_SIZE(op##_c)};
SHIFT_ALL(shl)
SHIFT_ALL(shr)
SHIFT_ALL(sar)
SHIFT_ALL(rol)
SHIFT_ALL(ror)

#define IMUL_REG(N)                                                                                \
    HANDLER(imul_rr##N)                                                                            \
    {                                                                                              \
        SETREG(N, 0, alu_imul2_##N(REG(N, 0), REG(N, 1), &c->fl));                                 \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(imul_rri##N)                                                                           \
    {                                                                                              \
        SETREG(N, 0, alu_imul2_##N(REG(N, 1), (u##N)i->imm, &c->fl));                              \
        NEXT;                                                                                      \
    }
#define IMUL_MEM(N, A)                                                                             \
    HANDLER(imul_rm##N##A)                                                                         \
    {                                                                                              \
        u##N v = LOAD(N, A);                                                                       \
        SETREG(N, 0, alu_imul2_##N(REG(N, 0), v, &c->fl));                                         \
        NEXT;                                                                                      \
    }
IMUL_REG(32)
IMUL_REG(64)
ADDRS(IMUL_MEM, 32)
ADDRS(IMUL_MEM, 64)

/* ---- stack: 64-bit, and 32-bit flat
 * -------------------------------------------------------------------- */
static always_inline u64 sp_add(struct cpu *c, int bits, i64 d)
{
    u64 sp = c->gpr[RSP] + (u64)d;
    return bits == 64 ? sp : (u32)sp;
}
#define PUSH_OR(N, v, slow)                                                                        \
    u64 sp = sp_add(c, N, -(N / 8));                                                               \
    STORE_AT(N, sp, (u##N)(v), slow);                                                              \
    c->gpr[RSP] = sp
#define POP_OR(N, var, slow) u##N var = LOAD_AT(N, sp_add(c, N, 0), slow)
#define PUSH(N, v)           PUSH_OR(N, v, run_generic)
#define POP(N, var)          POP_OR(N, var, run_generic)
#define STACK(N)                                                                                   \
    HANDLER(push_r##N)                                                                             \
    {                                                                                              \
        PUSH(N, REG(N, 0));                                                                        \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(push_i##N)                                                                             \
    {                                                                                              \
        PUSH(N, (u##N)i->imm);                                                                     \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(pop_r##N)                                                                              \
    {                                                                                              \
        POP(N, v);                                                                                 \
        c->gpr[RSP] = sp_add(c, N, N / 8);                                                         \
        c->gpr[i->reg[0]] = v;                                                                     \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(leave_##N)                                                                             \
    {                                                                                              \
        u64 bp = (u##N)c->gpr[RBP];                                                                \
        c->gpr[RBP] = LOAD_AT(N, bp, run_generic);                                                 \
        c->gpr[RSP] = (u##N)(bp + N / 8);                                                          \
        NEXT;                                                                                      \
    }
STACK(32)
STACK(64)

/* ---- control flow: flat modes
 * ----------------------------------------------------------------------------- */
static noinline const struct insn *link_slow(struct cpu *c, struct sentinel *s, int which)
{
    gla lin = c->rip;
    struct jc_entry *e = &c->blocks->jc[jc_index(lin)];

    if (e->lin != lin || e->key != c->key || e->gen != c->mmu.gens[e->global])
        return NULL;
    /* Within the page that is running the mapping cannot have changed under the link. */
    if (!((lin ^ c->gpr[GPR_BLOCK]) & PAGE_MASK) && e->block->cost != BLOCK_DEAD &&
        !s->self->cross && !e->block->cross)
        s->link[which] = e->block;
    return block_enter(c, e->block);
}

static noinline const struct insn *link_refused(struct cpu *c, struct sentinel *s, int which)
{
    struct block *b = s->link[which];
    if (b->cost == BLOCK_DEAD)
        s->link[which] = NULL;
    return enter_refused(c, b);
}

/* On to `rip` (32-bit: already truncated). */
#define FOLLOW(which, target)                                                                      \
    do {                                                                                           \
        struct sentinel *s_ = (struct sentinel *)(uintptr_t)(i + 1);                               \
        struct block *b_ = s_->link[which];                                                        \
        c->rip = (target);                                                                         \
        if (unlikely(!b_))                                                                         \
            DISPATCH_CALL(link_slow(c, s_, which));                                                \
        c->left -= b_->cost;                                                                       \
        if (unlikely(c->left < 0))                                                                 \
            return link_refused(c, s_, which);                                                     \
        c->gpr[GPR_BLOCK] = c->rip;                                                                \
        c->block = b_;                                                                             \
        DISPATCH(c, b_->insn);                                                                     \
    } while (0)

#define RIP_32(v) ((u64)(u32)(v))
#define RIP_64(v) ((u64)(v))
#define TAKEN(M)  RIP_##M(c->gpr[GPR_BLOCK] + (u64)i->disp)
#define NOT(M)    RIP_##M(c->gpr[GPR_BLOCK] + i->off + i->len)

#define JCC(cc, M)                                                                                 \
    HANDLER(jcc_##cc##_##M)                                                                        \
    {                                                                                              \
        if (fl_cond(c->fl, cc))                                                                    \
            FOLLOW(0, TAKEN(M));                                                                   \
        FOLLOW(1, NOT(M));                                                                         \
    }
#define ALL_CC(X, ...)                                                                             \
    X(0, ##__VA_ARGS__)                                                                            \
    X(1, ##__VA_ARGS__)                                                                            \
    X(2, ##__VA_ARGS__)                                                                            \
    X(3, ##__VA_ARGS__)                                                                            \
    X(4, ##__VA_ARGS__)                                                                            \
    X(5, ##__VA_ARGS__)                                                                            \
    X(6, ##__VA_ARGS__)                                                                            \
    X(7, ##__VA_ARGS__)                                                                            \
    X(8, ##__VA_ARGS__)                                                                            \
    X(9, ##__VA_ARGS__)                                                                            \
    X(10, ##__VA_ARGS__)                                                                           \
    X(11, ##__VA_ARGS__)                                                                           \
    X(12, ##__VA_ARGS__)                                                                           \
    X(13, ##__VA_ARGS__)                                                                           \
    X(14, ##__VA_ARGS__)                                                                           \
    X(15, ##__VA_ARGS__)
#define CC_TABLE(p, s)                                                                             \
    {                                                                                              \
        p##0##s, p##1##s, p##2##s, p##3##s, p##4##s, p##5##s, p##6##s, p##7##s, p##8##s, p##9##s,  \
            p##10##s, p##11##s, p##12##s, p##13##s, p##14##s, p##15##s                             \
    }
ALL_CC(JCC, 32)
ALL_CC(JCC, 64)
static run_fn *const jcc_handlers[2][16] = {CC_TABLE(jcc_, _32), CC_TABLE(jcc_, _64)};

/* ---- a compare and the branch on it: one dispatch ---------------------------------------------
 */
/* The first of the pair must be unable to fault or to write memory: the second then always follows.
 */
#define FUSED(cc, M, name, op)                                                                     \
    HANDLER(fused_##name##_##cc##_##M)                                                             \
    {                                                                                              \
        op;                                                                                        \
        i++;                                                                                       \
        if (fl_cond(c->fl, cc))                                                                    \
            FOLLOW(0, TAKEN(M));                                                                   \
        FOLLOW(1, NOT(M));                                                                         \
    }
#define FUSED_ALL(name, op)                                                                        \
    ALL_CC(FUSED, 32, name, op)                                                                    \
    ALL_CC(FUSED, 64, name, op)                                                                    \
    static run_fn *const fused_##name[2][16] = {CC_TABLE(fused_##name##_, _32),                    \
                                                CC_TABLE(fused_##name##_, _64)};
FUSED_ALL(cmp_rr32, alu_cmp32(REG(32, 0), REG(32, 1), &c->fl))
FUSED_ALL(cmp_rr64, alu_cmp64(REG(64, 0), REG(64, 1), &c->fl))
FUSED_ALL(cmp_ri8, alu_cmp8(REG(8, 0), (u8)i->imm, &c->fl))
FUSED_ALL(cmp_ri32, alu_cmp32(REG(32, 0), (u32)i->imm, &c->fl))
FUSED_ALL(cmp_ri64, alu_cmp64(REG(64, 0), i->imm, &c->fl))
FUSED_ALL(test_rr8, alu_test8(REG(8, 0), REG(8, 1), &c->fl))
FUSED_ALL(test_rr32, alu_test32(REG(32, 0), REG(32, 1), &c->fl))
FUSED_ALL(test_rr64, alu_test64(REG(64, 0), REG(64, 1), &c->fl))
FUSED_ALL(test_ri8, alu_test8(REG(8, 0), (u8)i->imm, &c->fl))
FUSED_ALL(dec_r32, SETREG(32, 0, alu_dec32(REG(32, 0), &c->fl)))
FUSED_ALL(dec_r64, SETREG(64, 0, alu_dec64(REG(64, 0), &c->fl)))

#define SETCC(cc)                                                                                  \
    HANDLER(setcc_##cc##_r)                                                                        \
    {                                                                                              \
        SETREG(8, 0, fl_cond(c->fl, cc));                                                          \
        NEXT;                                                                                      \
    }
ALL_CC(SETCC)
static run_fn *const setcc_handlers[16] = CC_TABLE(setcc_, _r);

/* A 32-bit CMOV clears the upper half even when it does not move (APM vol. 3). */
#define CMOV(cc, N)                                                                                \
    HANDLER(cmov_##cc##_##N)                                                                       \
    {                                                                                              \
        SETREG(N, 0, fl_cond(c->fl, cc) ? REG(N, 1) : REG(N, 0));                                  \
        NEXT;                                                                                      \
    }
ALL_CC(CMOV, 32)
ALL_CC(CMOV, 64)
static run_fn *const cmov_handlers[2][16] = {CC_TABLE(cmov_, _32), CC_TABLE(cmov_, _64)};

#define FLOW(M)                                                                                    \
    HANDLER(jmp_rel_##M)                                                                           \
    {                                                                                              \
        FOLLOW(0, TAKEN(M));                                                                       \
    }                                                                                              \
    HANDLER(call_rel_##M)                                                                          \
    {                                                                                              \
        PUSH_OR(M, NOT(M), run_branch);                                                            \
        FOLLOW(0, TAKEN(M));                                                                       \
    }                                                                                              \
    HANDLER(ret_##M)                                                                               \
    {                                                                                              \
        POP_OR(M, target, run_branch);                                                             \
        if (M == 64 && unlikely(!is_canonical(target)))                                            \
            DISPATCH_TO(run_branch, c, i);                                                         \
        c->gpr[RSP] = sp_add(c, M, M / 8);                                                         \
        c->rip = target;                                                                           \
        DISPATCH_CALL(jump_any(c));                                                                \
    }                                                                                              \
    HANDLER(jmp_r##M)                                                                              \
    {                                                                                              \
        u64 target = REG(M, 0);                                                                    \
        if (M == 64 && unlikely(!is_canonical(target)))                                            \
            DISPATCH_TO(run_branch, c, i);                                                         \
        c->rip = target;                                                                           \
        DISPATCH_CALL(jump_any(c));                                                                \
    }                                                                                              \
    HANDLER(call_r##M)                                                                             \
    {                                                                                              \
        u64 target = REG(M, 0);                                                                    \
        if (M == 64 && unlikely(!is_canonical(target)))                                            \
            DISPATCH_TO(run_branch, c, i);                                                         \
        PUSH_OR(M, NOT(M), run_branch);                                                            \
        c->rip = target;                                                                           \
        DISPATCH_CALL(jump_any(c));                                                                \
    }
FLOW(32)
FLOW(64)

HANDLER(nop)
{
    NEXT;
}

/* ---- choosing
 * ------------------------------------------------------------------------------------------------
 */
static int size_index(int bytes)
{
    return bytes == 1 ? 0 : bytes == 2 ? 1 : bytes == 4 ? 2 : 3;
}

/* 0: A8, 1: A4, 2: AX. */
static int addr_index(const struct insn *i)
{
    if (i->seg == SEG_FLAT && i->asize == 8)
        return 0;
    if (i->seg == SEG_FLAT && i->asize == 4)
        return 1;
    return 2;
}

static run_fn *pick_alu(const struct alu_handlers *h, const struct insn *i)
{
    int s = size_index(i->size[0]);
    int d = i->kind[0], r = i->kind[1];
    if (i->flags & INF_LOCK)
        return NULL;
    if (d == OP_GPR && r == OP_GPR)
        return h->rr[s];
    if (d == OP_GPR && r == OP_IMM)
        return h->ri[s];
    if (d == OP_GPR && r == OP_MEM)
        return h->rm[s][addr_index(i)];
    if (d == OP_MEM && r == OP_GPR)
        return h->mr[s][addr_index(i)];
    if (d == OP_MEM && r == OP_IMM)
        return h->mi[s][addr_index(i)];
    return NULL;
}

static run_fn *pick_widen(run_fn *const h[][4], int rows, const struct insn *i)
{
    int s = size_index(i->size[1]);
    if (s >= rows || i->kind[0] != OP_GPR)
        return NULL;
    if (i->kind[1] == OP_GPR)
        return h[s][0];
    return i->kind[1] == OP_MEM ? h[s][1 + addr_index(i)] : NULL;
}

static run_fn *pick_shift(run_fn *const h[2][4], const struct insn *i)
{
    if (i->kind[0] != OP_GPR)
        return NULL;
    if (i->kind[1] == OP_IMM)
        return h[0][size_index(i->size[0])];
    return i->kind[1] == OP_GPR ? h[1][size_index(i->size[0])] : NULL;
}

static run_fn *pick_imul(const struct insn *i)
{
    bool q = i->size[0] == 8;
    if (i->kind[0] != OP_GPR || i->size[0] < 4)
        return NULL;
    if (i->kind[2] == OP_IMM && i->kind[1] == OP_GPR)
        return q ? imul_rri64 : imul_rri32;
    if (i->kind[2] != OP_NONE)
        return NULL;
    if (i->kind[1] == OP_GPR)
        return q ? imul_rr64 : imul_rr32;
    static run_fn *const mem[2][3] = {BY_ADDR(imul_rm, 32), BY_ADDR(imul_rm, 64)};
    return i->kind[1] == OP_MEM ? mem[q][addr_index(i)] : NULL;
}

/* The condition code of a row of the Jcc, SETcc or CMOVcc family, or -1: the rows stand in the
 * encoding's order. */
#define CC_ROWS(p, fn)                                                                             \
    _Static_assert(INSN_##p##NLE - INSN_##p##O == 15 && INSN_##p##Z - INSN_##p##O == 4 &&          \
                       INSN_##p##S - INSN_##p##O == 8 && INSN_##p##L - INSN_##p##O == 12,          \
                   "rows in the order of tttn");                                                   \
    static int fn(int row)                                                                         \
    {                                                                                              \
        return row >= INSN_##p##O && row <= INSN_##p##NLE ? row - INSN_##p##O : -1;                \
    }
CC_ROWS(J, jcc_code)
CC_ROWS(SET, setcc_code)
CC_ROWS(CMOV, cmov_code)

/* In 64-bit mode, or flat 32-bit code with a 32-bit stack: 1 and 0; otherwise -1. */
static int flat_mode(u32 key)
{
    if ((key & KEY_DMODE) == KEY_64)
        return 1;
    if ((key & KEY_DMODE) == KEY_32 && (key & KEY_FLAT) && (key & KEY_SS32))
        return 0;
    return -1;
}

static run_fn *pick_flow(const struct insn *i, u32 key)
{
    int m = flat_mode(key);
    int natural = m == 1 ? 8 : 4;
    if (m < 0 || i->osize != natural)
        return NULL;
    int cc = jcc_code(i->row);
    if (cc >= 0)
        return jcc_handlers[m][cc];
    bool reg = i->kind[0] == OP_GPR, rel = i->kind[0] == OP_REL;
    switch (i->row) {
    case INSN_JMP:
        return rel ? (m ? jmp_rel_64 : jmp_rel_32) : reg ? (m ? jmp_r64 : jmp_r32) : NULL;
    case INSN_CALL:
        return rel ? (m ? call_rel_64 : call_rel_32) : reg ? (m ? call_r64 : call_r32) : NULL;
    case INSN_RET:
        return i->kind[0] == OP_NONE ? (m ? ret_64 : ret_32) : NULL;
    default:
        return NULL;
    }
}

static run_fn *pick_stack(const struct insn *i, u32 key)
{
    int m = flat_mode(key);
    if (m < 0 || i->osize != (m == 1 ? 8 : 4))
        return NULL;
    switch (i->row) {
    case INSN_PUSH:
        return i->kind[0] == OP_GPR   ? (m ? push_r64 : push_r32)
               : i->kind[0] == OP_IMM ? (m ? push_i64 : push_i32)
                                      : NULL;
    case INSN_POP:
        return i->kind[0] == OP_GPR ? (m ? pop_r64 : pop_r32) : NULL;
    case INSN_LEAVE:
        return m ? leave_64 : leave_32;
    default:
        return NULL;
    }
}

static run_fn *pick(const struct insn *i, u32 key)
{
    int cc;
    switch (i->row) {
    case INSN_MOV:
        return pick_alu(&mov_handlers, i);
    case INSN_ADD:
        return pick_alu(&add_handlers, i);
    case INSN_OR:
        return pick_alu(&or_handlers, i);
    case INSN_ADC:
        return pick_alu(&adc_handlers, i);
    case INSN_SBB:
        return pick_alu(&sbb_handlers, i);
    case INSN_AND:
        return pick_alu(&and_handlers, i);
    case INSN_SUB:
        return pick_alu(&sub_handlers, i);
    case INSN_XOR:
        return pick_alu(&xor_handlers, i);
    case INSN_CMP:
        return pick_alu(&cmp_handlers, i);
    case INSN_TEST:
        return pick_alu(&test_handlers, i);
    case INSN_MOVZX:
        return i->size[0] >= 4 ? pick_widen(movzx_handlers, 2, i) : NULL;
    case INSN_MOVSX:
    case INSN_MOVSXD:
        return i->size[0] == 8   ? pick_widen(movsx64_handlers, 3, i)
               : i->size[0] == 4 ? pick_widen(movsx32_handlers, 2, i)
                                 : NULL;
    case INSN_LEA:
        return i->size[0] == 8 && i->asize == 8   ? lea_64_8
               : i->size[0] == 4 && i->asize >= 4 ? lea_32
                                                  : NULL;
    case INSN_INC:
        return i->kind[0] == OP_GPR ? inc_handlers[size_index(i->size[0])] : NULL;
    case INSN_DEC:
        return i->kind[0] == OP_GPR ? dec_handlers[size_index(i->size[0])] : NULL;
    case INSN_NEG:
        return i->kind[0] == OP_GPR ? neg_handlers[size_index(i->size[0])] : NULL;
    case INSN_NOT:
        return i->kind[0] == OP_GPR ? not_handlers[size_index(i->size[0])] : NULL;
    case INSN_SHL:
        return pick_shift(shl_handlers, i);
    case INSN_SHR:
        return pick_shift(shr_handlers, i);
    case INSN_SAR:
        return pick_shift(sar_handlers, i);
    case INSN_ROL:
        return pick_shift(rol_handlers, i);
    case INSN_ROR:
        return pick_shift(ror_handlers, i);
    case INSN_IMUL:
        return pick_imul(i);
    case INSN_PUSH:
    case INSN_POP:
    case INSN_LEAVE:
        return pick_stack(i, key);
    case INSN_NOP:
        return nop;
    default:
        break;
    }
    if ((cc = setcc_code(i->row)) >= 0)
        return i->kind[0] == OP_GPR ? setcc_handlers[cc] : NULL;
    if ((cc = cmov_code(i->row)) >= 0)
        return i->kind[1] == OP_GPR && i->size[0] >= 4 ? cmov_handlers[i->size[0] == 8][cc] : NULL;
    return NULL;
}

run_fn *run_for(const struct insn *i, u32 key)
{
    run_fn *r;
    if (i->flags & INF_BRANCH) {
        r = pick_flow(i, key);
        return r ? r : run_branch;
    }
    r = i->flags & INF_STUB ? native_run_for(i) : pick(i, key);
    return r ? r : run_generic;
}

/* The fused handler for a plain handler `first` before condition cc, or NULL. */
static run_fn *fused_for(run_fn *first, int m, int cc)
{
    const struct {
        run_fn *plain;
        run_fn *const (*fused)[16];
    } map[] = {
        {cmp_rr32, fused_cmp_rr32},   {cmp_rr64, fused_cmp_rr64},   {cmp_ri8, fused_cmp_ri8},
        {cmp_ri32, fused_cmp_ri32},   {cmp_ri64, fused_cmp_ri64},   {test_rr8, fused_test_rr8},
        {test_rr32, fused_test_rr32}, {test_rr64, fused_test_rr64}, {test_ri8, fused_test_ri8},
        {dec_r32, fused_dec_r32},     {dec_r64, fused_dec_r64},
    };
    for (size_t k = 0; k < ARRAY_LEN(map); k++)
        if (map[k].plain == first)
            return map[k].fused[m][cc];
    return NULL;
}

void fuse_last(struct block *b)
{
    if (b->n < 2)
        return;
    struct insn *first = &b->insn[b->n - 2];
    const struct insn *branch = first + 1;
    int m = flat_mode(b->key), cc = jcc_code(branch->row);
    if (m < 0 || cc < 0 || branch->run != jcc_handlers[m][cc])
        return;
    run_fn *r = fused_for(first->run, m, cc);
    if (r)
        first->run = r;
}
