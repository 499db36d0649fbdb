/*
 * bt/strip.c - loops in strips: rounds that cannot leave their pages, without looks at memory.
 *
 * A loop whose operands move by a constant from round to round knows how many rounds stay in the
 * pages where its operands are now. That many, charged at once, run in a copy of the loop that has
 * no checks for such operands: a register that the loop does not use holds what to add to the
 * guest's address, another one counts the rounds. Everything unusual (an operand of another kind
 * that misses, a host exception) goes on in the ordinary copy, at the same instruction.
 *
 * Layout: [before: save registers, look at each operand, count, charge][the copy]; strip_out makes
 * the ways out of it. Where it does not pay (few rounds at a time) an allowance for each slice runs
 * out (struct cpu: bt_strips).
 */
#include "bt/bt_priv.h"

enum { MOST = 512, FEWEST = 8, STEP_MAX = 512, PAID = 6 };

/* ---- what the loop does to registers -----------------------------------------------------------
 */
struct motion {
    u8 writes;   /* instructions that write it */
    bool narrow; /* 32 bits in 64-bit registers: it may wrap */
    int part, k; /* the one that moves it by */
    i32 step;
};

static bool moves_by(const struct insn *i, int g, struct motion *m)
{
    bool constant = i->kind[0] == OP_GPR && i->reg[0] == g && i->size[0] >= 4;
    i64 step = 0;
    m->narrow = i->size[0] == 4;
    if ((i->row == INSN_ADD || i->row == INSN_SUB) && i->kind[1] == OP_IMM)
        step = i->row == INSN_ADD ? (i64)i->imm : -(i64)i->imm;
    else if (i->row == INSN_INC || i->row == INSN_DEC)
        step = i->row == INSN_INC ? 1 : -1;
    else if (i->row == INSN_LEA && i->base == g && i->index == GPR_ZERO &&
             (i->asize == 8 || m->narrow))
        step = i->disp;
    else
        constant = false;
    if (i->size[0] == 4)
        step = (i32)step;
    m->step = (i32)step;
    return constant && step && step >= -STEP_MAX && step <= STEP_MAX;
}

/* Fills in m, and the host registers that are used. */
static bool survey(struct xl *x, struct motion m[GPR_BLOCK + 1], u32 *used)
{
    *used = 0;
    for (int n = 0; n < x->n_parts; n++) {
        xl_set_part(x, n);
        for (int k = 0; k < x->b->n; k++) {
            const struct insn *i = &x->b->insn[k];
            if (!xl_decode(x, k))
                return false;
            for (int j = 0; j < x->d.operand_count; j++) {
                const ZydisDecodedOperand *op = &x->ops[j];
                int g[2] = {-1, -1};
                if (op->type == ZYDIS_OPERAND_TYPE_REGISTER) {
                    g[0] = xl_gpr(op->reg.value);
                } else if (op->type == ZYDIS_OPERAND_TYPE_MEMORY) {
                    g[0] = xl_gpr(op->mem.base);
                    g[1] = xl_gpr(op->mem.index);
                }
                for (int r = 0; r < 2; r++)
                    if (g[r] >= 0 && host_of(g[r]) != H_NONE)
                        *used |= 1u << host_of(g[r]);
                if (op->type != ZYDIS_OPERAND_TYPE_REGISTER || g[0] < 0 ||
                    !(op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
                    continue;
                struct motion *w = &m[g[0]];
                if (!moves_by(i, g[0], w))
                    w->writes = 2; /* in some other way */
                w->writes = (u8)MIN(w->writes + 1, 2);
                w->part = n;
                w->k = k;
            }
        }
    }
    return true;
}

/* ---- operands ----------------------------------------------------------------------------------
 */
/* How far register g has moved in a round when instruction k comes. */
static i64 moved(const struct motion *m, int part, int k)
{
    return m->writes && (part > m->part || (part == m->part && k > m->k)) ? m->step : 0;
}

static int free_reg(u32 *used)
{
    for (int h = H_RAX; h <= H_R12; h++)
        if (h != H_RSP && !(*used >> h & 1)) {
            *used |= 1u << h;
            return h;
        }
    return H_NONE;
}

/* Puts an access into a group of those that move alike. False: it stays as it is. The round before
 * found an operand that must be aligned to be so; it stays so when the step is a multiple. */
static bool group(struct xl *x, struct access *c, const struct motion m[], u32 *used)
{
    struct strip *s = &x->strip;
    const struct insn *i = &x->part[c->part]->insn[c->k];
    const struct motion *b = &m[i->base], *j = &m[i->index];
    bool block = i->base == GPR_BLOCK;
    i64 low = i->disp, step;

    if (i->seg != SEG_FLAT || i->asize != (x->bits64 ? 8 : 4) || c->u.keep_address ||
        (i->base != GPR_ZERO && !block && host_of(i->base) == H_NONE) ||
        (i->index != GPR_ZERO && (block || host_of(i->index) == H_NONE)))
        return false;
    if (b->writes > 1 || j->writes > 1 || (b->writes && j->writes))
        return false;
    if (block)
        low += (i64)x->part[c->part]->hot_rip;
    low += moved(b, c->part, c->k) + moved(j, c->part, c->k) * (1 << i->scale);
    step = (b->writes ? b->step : 0) + (j->writes ? (i64)j->step * (1 << i->scale) : 0);
    if (step < -STEP_MAX || step > STEP_MAX || (step & c->u.align) || (!block && low != (i32)low))
        return false;
    for (int n = 0; n < s->n; n++) {
        struct strip_group *g = &s->group[n];
        i64 from = MIN(g->low, low), to = MAX(g->high, low + c->u.size);
        if (g->base != i->base || g->index != i->index || g->scale != i->scale || to - from > 512 ||
            g->step != step)
            continue;
        g->low = from;
        g->high = to;
        if (c->u.write && !g->write)
            g->site = c->site;
        g->write |= c->u.write;
        c->group = (i8)n;
        return true;
    }
    if (s->n == STRIP_GROUPS)
        return false;
    int reg = free_reg(used);
    if (reg == H_NONE)
        return false;
    s->group[s->n] = (struct strip_group){.base = i->base,
                                          .index = i->index,
                                          .scale = i->scale,
                                          .write = c->u.write,
                                          .reg = reg,
                                          .site = c->site,
                                          .low = low,
                                          .high = low + c->u.size,
                                          .step = step,
                                          .by_base = !block && i->base != GPR_ZERO &&
                                                     (b->writes || i->index == GPR_ZERO)};
    c->group = (i8)s->n++;
    return true;
}

bool strip_ref(struct xl *x, int k, const struct insn *i)
{
    for (int n = 0; n < x->strip.n_access; n++) {
        const struct access *c = &x->access[n];
        if (c->part != x->at || c->k != k)
            continue;
        if (c->group < 0)
            return false;
        const struct strip_group *g = &x->strip.group[c->group];
        struct host_mem *r = &x->ref;
        *r = (struct host_mem){.base = g->reg, .index = H_NONE, .disp = (i32)i->disp};
        if (g->base == GPR_BLOCK) {
            r->disp = (i32)((i64)x->lin + i->disp - g->low);
        } else if (g->base == GPR_ZERO && g->index == GPR_ZERO) {
            r->disp = (i32)(i->disp - g->low);
        } else if (g->by_base) {
            r->base = host_of(g->base);
            r->index = g->reg;
        } else if (g->index != GPR_ZERO) {
            r->index = host_of(g->index);
            r->scale = g->scale;
        }
        return true;
    }
    return false;
}

void strip_note(struct xl *x, int k, const struct mem_use *u, u32 site)
{
    struct strip *s = &x->strip;
    if (s->n_access < SUPER_INSNS)
        x->access[s->n_access++] =
            (struct access){.part = (u8)x->at, .k = (u8)k, .group = -1, .u = *u, .site = (u16)site};
}

u32 strip_site(const struct xl *x, int k)
{
    for (int n = 0; n < x->strip.n_access; n++)
        if (x->access[n].part == x->at && x->access[n].k == k)
            return x->access[n].site;
    return NO_SITE;
}

/* ---- emission ---------------------------------------------------------------------------------
 */
static void saved(struct xl *x, u8 op)
{
    const struct strip *s = &x->strip;
    e_frame(x->a, true, op, s->counter, FRAME_SAVED);
    for (int n = 0; n < s->n; n++)
        e_frame(x->a, true, op, s->group[n].reg, FRAME_SAVED + 8 + 8 * n);
}

/* imul to, from, v */
static void times(struct asm_buf *a, int to, int from, u32 v)
{
    e_rex(a, true, to, 0, from);
    E(a, 0x69, (u8)(0xc0 | (to & 7) << 3 | (from & 7)));
    e4(a, v);
}

/* S2 = the lowest address of the group in the next round */
static void address(struct xl *x, const struct strip_group *g)
{
    int b = g->base == GPR_ZERO ? H_NONE : host_of(g->base);
    int j = g->index == GPR_ZERO ? H_NONE : host_of(g->index);
    if (g->base == GPR_BLOCK || (b == H_NONE && j == H_NONE))
        e_imm(x->a, S2, x->bits64 ? (u64)g->low : (u32)g->low);
    else
        e_lea(x->a, true, S2, b, j, g->scale, (i32)g->low);
}

/* Looks at a group's operands: S2 becomes the offset in the page, g->reg what is to be added. */
static void look(struct xl *x, const struct strip_group *g, u8 **fail, int *n_fail)
{
    struct asm_buf *a = x->a;
    u32 limit = 4096 - (u32)(g->high - g->low);
    bool fixed = g->base == GPR_BLOCK || (g->base == GPR_ZERO && g->index == GPR_ZERO);
    address(x, g);
    if (g->site != NO_SITE) {
        e_gs(a, true, OP_LOAD, g->reg, site_field(offsetof(struct site_cache, add), g->site));
        e_gs(a, true, OP_LOAD_XOR, S2, site_field(offsetof(struct site_cache, tag), g->site));
    } else {
        e_tlb_slot(a, S1, S2, offsetof(struct cpu, tlb));
        e_rm(a, true, OP_LOAD, g->reg, S1, (i32)offsetof(struct tlb_entry, add));
        e_rm(a, true, OP_LOAD_XOR, S2, S1,
             (i32)(g->write ? offsetof(struct tlb_entry, wtag) : offsetof(struct tlb_entry, rtag)));
    }
    E(a, 0x49, 0x81, 0xff); /* cmp r15, limit */
    e4(a, limit);
    fail[(*n_fail)++] = e_jcc(a, CC_A);
    if (fixed) {
        e_imm(a, S1, x->bits64 ? (u64)g->low : (u32)g->low);
        e_rr(a, true, 0x01, S1, g->reg);
    } else if (g->by_base) {
        if (g->index != GPR_ZERO)
            e_lea(a, true, g->reg, g->reg, host_of(g->index), g->scale, 0);
    } else if (g->base != GPR_ZERO && g->index != GPR_ZERO) {
        e_rr(a, true, 0x01, host_of(g->base), g->reg);
    }
}

/* S2: the offset. The counter becomes at most the rounds that stay in the page. */
static void rounds(struct xl *x, const struct strip_group *g)
{
    struct asm_buf *a = x->a;
    u32 step = (u32)(g->step < 0 ? -g->step : g->step);
    int c = x->strip.counter;
    if (!step)
        return;
    if (g->step > 0) {
        e_imm(a, S1, 4096 - (u32)(g->high - g->low));
        e_rr(a, false, 0x29, S2, S1);
    } else {
        e_mov_rr(a, false, S1, S2);
    }
    if (step & (step - 1)) {
        times(a, S1, S1, (u32)((BIT64(32) + step - 1) / step)); /* exact: S1 * step < 2^32 */
        E(a, 0x49, 0xc1, 0xee, 32);                             /* shr r14, 32 */
    } else if (step > 1) {
        E(a, 0x41, 0xc1, 0xee, (u8)__builtin_ctz(step)); /* shr r14d */
    }
    e_lea(a, false, S1, S1, H_NONE, 0, 1);
    e_rr(a, false, 0x39, S1, c);
    e_rex(a, false, c, 0, S1);
    E(a, 0x0f, 0x47, (u8)(0xc0 | (c & 7) << 3 | (S1 & 7))); /* cmova */
}

/* A register of 32 bits must not wrap meanwhile: addresses would not go on. */
static void no_wrap(struct xl *x, int host, i32 step, u8 **fail, int *n_fail)
{
    struct asm_buf *a = x->a;
    times(a, S1, x->strip.counter, (u32)(step < 0 ? -step : step));
    if (step > 0) {
        e_rr(a, true, 0x01, host, S1);
        E(a, 0x49, 0xc1, 0xee, 32); /* shr r14, 32 */
        fail[(*n_fail)++] = e_jcc(a, CC_NE);
    } else {
        e_rr(a, true, 0x39, S1, host);
        fail[(*n_fail)++] = e_jcc(a, CC_B);
    }
}

static size_t allowance(const struct xl *x)
{
    return offsetof(struct cpu, bt_strips) + sizeof(u16) * (size_t)x->strip.id;
}

/* op word gs:[allowance], v */
static void allow(struct xl *x, u8 digit, u8 v)
{
    e1(x->a, 0x66);
    e_gs(x->a, false, 0x83, digit, allowance(x));
    e1(x->a, v);
}

static u32 insns(const struct xl *x, int from)
{
    u32 n = 0;
    for (; from < x->n_parts; from++)
        n += x->part[from]->n;
    return n;
}

static void before(struct xl *x, const struct motion m[])
{
    struct asm_buf *a = x->a;
    struct strip *s = &x->strip;
    u8 *fail[2 * STRIP_GROUPS + 20];
    int n_fail = 0;
    u32 narrow = 0, fewest = x->t->engine.heat == 1 ? 2 : FEWEST;

    allow(x, DIGIT_CMP, 0);
    e_patch(a, e_jcc(a, CC_LE), x->loop_entry);
    allow(x, DIGIT_SUB, 1);
    saved(x, OP_STORE);
    e_imm(a, s->counter, MOST);
    for (int n = 0; n < s->n; n++) {
        const struct strip_group *g = &s->group[n];
        look(x, g, fail, &n_fail);
        rounds(x, g);
        if (g->base < 16 && m[g->base].writes && m[g->base].narrow)
            narrow |= 1u << g->base;
        if (g->index < 16 && m[g->index].writes && m[g->index].narrow)
            narrow |= 1u << g->index;
    }
    e_rex(a, false, 0, 0, s->counter);
    E(a, 0x83, (u8)(0xc0 | DIGIT_CMP << 3 | (s->counter & 7)), (u8)fewest);
    fail[n_fail++] = e_jcc(a, CC_B);
    for (int r = 0; r < 16; r++)
        if (narrow >> r & 1)
            no_wrap(x, host_of(r), m[r].step, fail, &n_fail);
    times(a, S2, s->counter, insns(x, 0));
    e_frame(a, true, 0x39, S2, FRAME_LEFT); /* cmp [left], r15 */
    fail[n_fail++] = e_jcc(a, CC_L);
    e_frame(a, true, 0x29, S2, FRAME_LEFT);
    e_frame(a, true, OP_STORE, s->counter, FRAME_REST);
    u8 *go = e_jmp(a);
    for (int n = 0; n < n_fail; n++)
        e_land(a, fail[n]);
    saved(x, OP_LOAD);
    e_patch(a, e_jmp(a), x->loop_entry);
    e_land(a, go);
}

void strip_round(struct xl *x)
{
    struct asm_buf *a = x->a;
    struct strip *s = &x->strip;
    if (memcmp(&x->loop_fl.again, &x->fl.again, sizeof(x->fl.again))) {
        s->failed = true;
        return;
    }
    e_rex(a, true, 0, 0, s->counter);
    E(a, 0xff, (u8)(0xc8 | (s->counter & 7))); /* dec */
    e_patch(a, e_jcc(a, CC_NE), s->top);
    e1(a, 0x66); /* mov word gs:[allowance], STRIP_ALLOWED */
    e_gs(a, false, 0xc7, 0, allowance(x));
    E(a, STRIP_ALLOWED, 0);
    saved(x, OP_LOAD);
    e_patch(a, e_jmp(a), x->loop_entry);
}

void strip_out(struct xl *x, const struct way_out *c)
{
    struct asm_buf *a = x->a;
    u32 n = insns(x, 0);
    flags_emit_save(a, &c->fl);
    times(a, S1, x->strip.counter, n); /* the rounds after this one, and what is left of it */
    e_lea(a, true, S1, S1, H_NONE, 0, (i32)insns(x, c->part + 1) - (i32)n);
    e_frame(a, true, 0x01, S1, FRAME_LEFT);
    if (c->what == COLD_EDGE) {
        e_frame(a, true, OP_LOAD, S1, FRAME_REST);
        e_rr(a, true, 0x29, x->strip.counter, S1);
        E(a, 0x41, 0x83, 0xfe, PAID); /* cmp r14d, PAID */
        u8 *paid = e_jcc(a, CC_AE);
        allow(x, DIGIT_SUB, 3);
        e_land(a, paid);
        saved(x, OP_LOAD);
        xl_edge(x, c->target);
        return;
    }
    saved(x, OP_LOAD);
    flags_emit_load(a);
    e_patch(a, e_jmp(a), x->label[c->part][c->k]);
}

u8 *strip_make(struct xl *x)
{
    struct asm_buf *a = x->a;
    struct strip *s = &x->strip;
    struct motion m[GPR_BLOCK + 1] = {0};
    u8 *start = a->p;
    int n_cold = x->n_cold, n_out = x->n_out;
    u32 used;

    if (x->segmented || x->t->cfg.helpers || x->t->cfg.unlinked || s->n_access == SUPER_INSNS ||
        !survey(x, m, &used))
        return NULL;
    s->counter = free_reg(&used);
    if (s->counter == H_NONE)
        return NULL;
    for (int n = 0; n < s->n_access; n++)
        group(x, &x->access[n], m, &used);
    s->id = x->t->next_strip++ % BT_STRIPS;
    before(x, m);
    s->top = a->p;
    s->on = true;
    x->fl = x->loop_fl;
    xl_parts(x);
    s->on = false;
    if (s->failed && !a->full) {
        a->p = start;
        x->n_cold = n_cold;
        x->n_out = n_out;
        s->top = NULL;
        return NULL;
    }
    return start;
}
