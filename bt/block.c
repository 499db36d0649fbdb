/*
 * bt/block.c - one decoded block to host code: ways in, the instructions, ways out.
 *
 * Layout: [cold entry: a run_fn][hot entry: charge][instructions][edges][ways out of the middle].
 * A translation runs at one linear address (hot_lin), and outside flat modes in code segments of
 * one base and limit (hot_rip, hot_limit); the cold entry sends others to the interpreter. Links
 * are between blocks of the same code segment: what changes CS is an event. The block is charged at
 * its entry and refunded by whoever leaves early, as there. Instructions are copied (rewrite.c),
 * emitted (stack.c, branch.c and others), or calls of their C function; what ends a block in any
 * other way is one, too, and says where to go on (bt_event).
 */
#include "bt/bt_priv.h"

void cold_add(struct xl *x, u8 *at, u8 what, int k, u8 need)
{
    if (x->n_cold == MAX_COLD) {
        x->a->full = true;
        return;
    }
    x->outs[x->n_cold++] = (struct way_out){.at = at ? at : x->a->p,
                                            .k = (u16)k,
                                            .what = what,
                                            .part = (u8)x->at,
                                            .strip = x->strip.on,
                                            .need = need,
                                            .fl = x->fl,
                                            .x87 = x->x87};
}

void cold_back(struct xl *x, int first)
{
    for (int n = first; n < x->n_cold; n++)
        if (!x->outs[n].back)
            x->outs[n].back = x->a->p;
}

/* ---- pieces ---------------------------------------------------------------------------------- */
static u32 insn_off(int k)
{
    return (u32)k * (u32)sizeof(struct insn);
}

static void helper(struct xl *x, int k)
{
    x87_flush(x);
    flags_to_mem(x);
    e_imm(x->a, S2, insn_off(k));
    e_patch(x->a, e_call(x->a), x->named[x->at].slow);
    x->fl = (struct flag_state){.mem = true, .host = true};
    x->how[k] = BT_HELPED;
}

/* The block's last instruction is a call of its function, which says where to go on. */
static void event(struct xl *x, int k)
{
    flags_to_mem(x);
    x->how[k] = BT_EVENT;
    e_imm(x->a, S2, insn_off(k) | BT_EXIT_EVENT);
    e_patch(x->a, e_jmp(x->a), x->named[x->at].event);
}

/* ---- the block --------------------------------------------------------------------------------
 */
const u8 *bytes_of_block(const struct cpu *cpu, const struct block *b, u8 *across)
{
    const u8 *p = cpu->ram->base + b->page[0]->off + (b->phys & ~PAGE_MASK);
    if (!b->cross)
        return p;
    u32 first = (u32)(PAGE_SIZE - (b->phys & ~PAGE_MASK));
    memcpy(across, p, first);
    memcpy(across + first, cpu->ram->base + b->page[1]->off, 15 - first);
    return across;
}

bool xl_decode(struct xl *x, int k)
{
    const struct insn *i = &x->b->insn[k];
    const ZydisDecoder *dec =
        (const ZydisDecoder *)x->cpu->blocks->decoders + (x->b->key & KEY_DMODE);
    x->bytes = bytes_of_block(x->cpu, x->b, x->across) + i->off;
    return ZYAN_SUCCESS(decode_full(dec, x->bytes, i->len, &x->d, x->ops)) && x->d.length == i->len;
}

static void one(struct xl *x, int k)
{
    struct block *b = x->b;
    const struct insn *i = &b->insn[k];
    bool last = k == b->n - 1;
    u64 copied = b->copied;

    b->copied |= BIT64(k);
    if (k < x->done)
        return;
    if (i->flags & (INF_EXIT | INF_BRANCH)) {
        x87_flush(x);
        struct asm_buf before = *x->a;
        int n_cold = x->n_cold, n_out = x->n_out;
        struct flag_state fl = x->fl;
        x->how[k] = BT_EMITTED;
        if (!(i->flags & INF_EXIT) && !x->t->cfg.helpers && emit_branch(x, k))
            return;
        if (!x->t->cfg.helpers && emit_syscall(x, k))
            return;
        if (!x->t->cfg.helpers && emit_system_end(x, k)) {
            xl_leave(x, next_rip(x, i));
            return;
        }
        *x->a = before;
        x->n_cold = n_cold;
        x->n_out = n_out;
        x->fl = fl;
        if ((i->flags & (INF_REP | INF_REPNE)) && i->row >= INSN_MOVSB && i->row <= INSN_STOSQ) {
            if (x->segmented || (!mem_rep(x, k) && !emit_rep_compare(x, k)))
                helper(x, k);
            xl_leave(x, next_rip(x, i));
            return;
        }
        event(x, k);
        return;
    }
    bool done = false;
    if (xl_decode(x, k) && !x->t->cfg.helpers) {
        done = emit_constant(x, k);
        if (done)
            b->copied = copied;
        done = done || emit_run(x, k) || emit_stack(x, k) || emit_string(x, k) ||
               emit_system(x, k) || copy_insn(x, k);
    }
    if (!done)
        helper(x, k);
    if (last) {
        x87_flush(x);
        xl_leave(x, next_rip(x, i));
    }
}

/* sub qword [rsp + left], cost */
enum { COST_AT = 4 }; /* in that instruction */
static void charge(struct xl *x)
{
    e_frame(x->a, true, 0x81, 5, FRAME_LEFT);
    e4(x->a, x->b->n);
    x->cost[x->n_cost].at = x->a->p - 4;
    x->cost[x->n_cost++].part = x->at;
}

/* In front of a thunk: which block it is; of a part, when it may not be entered, whose. */
static u8 *name_thunk(struct xl *x, u8 *thunk)
{
    struct asm_buf *a = x->a;
    u8 *start = a->p;
    e_imm(a, S1, (u64)(uintptr_t)x->part[x->at]);
    if (thunk == x->t->refuse)
        e_imm(a, S2, x->at ? (u64)(uintptr_t)x->part[0] : 0);
    e_patch(a, e_jmp(a), thunk);
    return start;
}

void xl_set_part(struct xl *x, int n)
{
    x->at = n;
    x->b = x->part[n];
    x->lin = n ? x->b->hot_rip : x->head_lin;
}

/* RDI: the vCPU. The jump for when that field of CS is something else. */
static u8 *cs_differs(struct asm_buf *a, size_t field, u32 v)
{
    E(a, 0x81, 0xbf); /* cmp dword [rdi + field], v */
    e4(a, (u32)(offsetof(struct cpu, seg) + SEG_CS * sizeof(struct seg) + field));
    e4(a, v);
    return e_jcc(a, CC_NE);
}

static u8 *way_in(struct xl *x)
{
    struct asm_buf *a = x->a;
    u8 *entry = a->p;
    E(a, 0x48, 0x8b, 0x87); /* mov rax, [rdi + RIP of the block] */
    e4(a, (u32)CPU_GPR(GPR_BLOCK));
    e_imm(a, H_R10, x->lin);
    e_rr(a, true, 0x39, H_R10, H_RAX);
    u8 *other[3] = {e_jcc(a, CC_NE)};
    if (!(x->b->key & (KEY_64 | KEY_FLAT))) {
        other[1] = cs_differs(a, offsetof(struct seg, base), (u32)x->cs.base);
        other[2] = cs_differs(a, offsetof(struct seg, limit), x->cs.limit);
    }
    E(a, 0x53, 0x55, 0x41, 0x54, 0x41, 0x55, 0x41, 0x56, 0x41, 0x57, 0x48, 0x83, 0xec, FRAME_SIZE);
    E(a, 0xc7, 0x87);
    e4(a, (u32)offsetof(struct cpu, vec_state));
    e4(a, 0);
    e_patch(a, e_call(a), x->t->load_regs);
    u8 *body = e_jmp(a);
    for (int k = 0; k < 3 && other[k]; k++)
        e_land(a, other[k]);
    e_imm(a, H_R11, (u64)(uintptr_t)x->b);
    E(a, 0x41, 0xff, 0x83); /* inc dword [r11 + strange] */
    e4(a, offsetof(struct block, strange));
    E(a, 0x41, 0x83, 0xbb); /* cmp dword [r11 + strange], BLOCK_STRANGE */
    e4(a, offsetof(struct block, strange));
    e1(a, BLOCK_STRANGE);
    u8 *often = e_jcc(a, CC_AE);
    E(a, 0x41, 0xff, 0xa3); /* jmp [r11 + first] */
    e4(a, offsetof(struct block, first));
    e_land(a, often);
    e_imm(a, H_RAX, (u64)(uintptr_t)bt_strange);
    E(a, 0xff, 0xe0); /* jmp rax */
    for (x->at = 0; x->at < x->n_parts; x->at++)
        x->named[x->at] = (struct named_thunks){.slow = name_thunk(x, x->t->slow),
                                                .tail = name_thunk(x, x->t->tail),
                                                .event = name_thunk(x, x->t->event),
                                                .edge_exit = name_thunk(x, x->t->edge_exit),
                                                .refuse = name_thunk(x, x->t->refuse)};
    x->at = 0;

    x->hot = a->p;
    charge(x);
    e_patch(a, e_jcc(a, CC_S), x->named[0].refuse);
    e_land(a, body);
    return entry;
}

static void ways_out(struct xl *x)
{
    struct asm_buf *a = x->a;
    struct bt *t = x->t;
    for (int n = 0; n < x->n_cold; n++) {
        const struct way_out *c = &x->outs[n];
        xl_set_part(x, c->part);
        view_mark(x, BT_PART_COLD, c->k);
        if (c->what == COLD_FAULT) {
            if (t->n_faults == MAX_FAULTS) {
                a->full = true;
                return;
            }
            t->faults[t->n_faults++] = (struct fault_site){c->at, a->p};
        } else {
            e_land(a, c->at);
        }
        if (c->strip) {
            strip_out(x, c);
            continue;
        }
        if (c->retry)
            mem_miss(x, c);
        if (c->what == COLD_RUN) {
            run_apart(x, c);
            continue;
        }
        if (c->what != COLD_VEC)
            x87_store(x, &c->x87);
        switch ((enum way_kind)c->what) {
        case COLD_RUN:
            break;
        case COLD_EDGE:
            flags_emit_save(a, &c->fl);
            xl_edge(x, c->target);
            break;
        case COLD_REFUSE:
            flags_emit_save(a, &c->fl);
            e_patch(a, e_jmp(a), x->named[x->at].refuse);
            break;
        case COLD_VEC:
            e_imm(a, S2, c->need);
            e_patch(a, e_call(a), t->vec_enter);
            e_patch(a, e_jcc(a, CC_NE), c->back);
            /* not allowed now: the interpreter raises what it is */
            x87_store(x, &c->x87);
            flags_emit_save(a, &c->fl);
            e_imm(a, S2, insn_off(c->k) | BT_EXIT_VECTOR);
            e_patch(a, e_jmp(a), x->named[x->at].tail);
            break;
        case COLD_MISS:
            e_imm(a, S1, c->key);
            e_patch(a, e_call(a), t->find_target);
            e_patch(a, e_jcc(a, CC_NE), c->back);
            /* fall through */
        case COLD_TAIL:
        case COLD_EVENT:
            flags_emit_save(a, &c->fl);
            e_imm(a, S2,
                  insn_off(c->k) | (c->what == COLD_MISS    ? BT_EXIT_INDIRECT
                                    : c->what == COLD_EVENT ? BT_EXIT_EVENT
                                                            : BT_EXIT_MEMORY));
            e_patch(a, e_jmp(a), x->named[x->at].event);
            break;
        case COLD_FAULT:
        case COLD_SLOW:
            flags_emit_save(a, &c->fl);
            e_imm(a, S2,
                  insn_off(c->k) | (c->what == COLD_FAULT ? BT_EXIT_FAULT
                                    : c->operand          ? BT_EXIT_OPERAND
                                                          : BT_EXIT_MEMORY));
            e_patch(a, e_call(a), x->named[x->at].slow);
            if (c->operand)
                e_gs(a, true, OP_LOAD, S1, offsetof(struct cpu, bt_scratch));
            e_patch(a, e_jmp(a), c->back);
            break;
        }
    }
    for (int n = 0; n < x->n_out; n++) {
        if (t->n_edges == MAX_EDGES) {
            a->full = true;
            return;
        }
        u32 id = t->n_edges++;
        xl_set_part(x, x->out[n].part);
        view_mark(x, BT_PART_EDGE, n);
        t->edges[id] =
            (struct edge){.jmp = x->out[n].jmp, .unlink = a->p, .target = x->out[n].target};
        e_land(a, x->out[n].jmp);
        e_imm(a, S2, id);
        e_patch(a, e_jmp(a), x->named[x->at].edge_exit);
    }
}

static bool fits(const struct cpu *cpu, const struct block *b)
{
    if (bt_segmented(b->key) && !cpu_has(cpu, FEAT_I386))
        return false; /* whose instructions are not the host's in every way */
    if (!b->page[0] || b->cost == BLOCK_DEAD)
        return false;
    if (b->cross && (!b->page[1] || bt_segmented(b->key)))
        return false;
    return true;
}

/* Instruction k became no more than itself, or a direct jump. */
static bool simple(const struct xl *x, int k)
{
    const struct insn *i = &x->b->insn[k];
    if (!(i->flags & (INF_EXIT | INF_BRANCH)))
        return x->how[k] == BT_COPIED;
    return (i->row >= INSN_JO && i->row <= INSN_JNLE) ||
           (i->row == INSN_JMP && i->kind[0] == OP_REL);
}

/* One after the other, as long as each leads to the next. */
void xl_parts(struct xl *x)
{
    for (int n = 0; n < x->n_parts && !x->a->full; n++) {
        xl_set_part(x, n);
        if ((n || x->again) && !x->strip.on) {
            flags_destroy(x);
            charge(x);
            cold_add(x, e_jcc(x->a, CC_S), COLD_REFUSE, 0, 0);
        }
        x->done = 0;
        x->flows = false;
        for (int k = 0; k < x->b->n && !x->a->full; k++)
            x->use[k] =
                xl_decode(x, k) ? flags_use(x->t, &x->d, x->ops, &x->b->insn[k]) : FLAGS_READ_WRITE;
        memset(x->how, 0, sizeof(x->how));
        for (int k = 0; k < x->b->n && !x->a->full; k++) {
            view_mark(x, BT_PART_INSN, k);
            if (!x->strip.on)
                x->label[n][k] = x->a->p;
            one(x, k);
            x->strip.failed |= x->strip.on && !simple(x, k);
        }
        if (!n && !x->again)
            count_rows(x);
        if (!x->flows)
            break;
    }
}

static void keep_costs(struct xl *x)
{
    struct bt *t = x->t;
    for (int n = 0; n < x->n_cost; n++) {
        struct block *b = x->part[x->cost[n].part];
        t->costs[t->n_costs] = (struct cost_site){x->cost[n].at, b->hot_costs};
        b->hot_costs = ++t->n_costs;
    }
}

/* NULL: there was no room. */
static run_fn *translate(struct cpu *cpu, struct block *b)
{
    struct bt *t = bt_of(cpu);
    static _Thread_local struct xl space;
    struct xl *x = &space;
    u8 *start = t->a.p;
    u32 n_edges = t->n_edges, n_faults = t->n_faults;

    memset(x, 0, offsetof(struct xl, outs));
    x->t = t;
    x->a = &t->a;
    x->cpu = cpu;
    x->part[0] = b;
    x->n_parts = 1;
    if (b->super) {
        const struct superblock *s = b->super;
        for (; x->n_parts < (int)s->n && s->part[x->n_parts]->cost != BLOCK_DEAD; x->n_parts++)
            x->part[x->n_parts] = s->part[x->n_parts];
    }
    x->probe = b->probe && !b->super;
    x->head_lin = cpu->gpr[GPR_BLOCK];
    x->cs = cpu->seg[SEG_CS];
    if (b->hot) { /* perhaps another one runs */
        x->head_lin = b->hot_rip;
        x->cs.base = (u32)(b->hot_lin - b->hot_rip);
        x->cs.limit = b->hot_limit;
    }
    x->bits64 = (b->key & KEY_DMODE) == KEY_64;
    x->segmented = bt_segmented(b->key);
    x->salt = code_salt(t, b->key, &x->cs);
    x->fl.mem = true;
    xl_set_part(x, 0);

    view_mark(x, BT_PART_ENTRY, 0);
    u8 *entry = way_in(x);
    xl_parts(x);
    if (x->looping && !t->a.full) {
        x->again = true;
        x->fl = x->loop_fl;
        x->vec = x->loop_vec;
        x->loop_entry = t->a.p;
        xl_parts(x);
        u8 *strip = x->loop_jmp ? strip_make(x) : NULL;
        if (strip)
            e_patch(&t->a, x->loop_jmp, strip);
    }
    ways_out(x);
    xl_set_part(x, 0);
    if (t->n_costs + (u32)x->n_cost > MAX_COSTS)
        t->a.full = true;
    if (t->a.full) {
        t->a.p = start;
        t->a.full = false;
        t->n_edges = n_edges;
        t->n_faults = n_faults;
        return NULL;
    }
    keep_costs(x);
    b->hot = x->hot;
    b->hot_rip = x->lin;
    b->hot_lin = b->key & (KEY_64 | KEY_FLAT) ? x->lin : (u32)(x->lin + x->cs.base);
    b->hot_limit = x->cs.limit;
    b->hot_rx = b->hot + t->to_rx;
    count_block(x);
    if (unlikely(t->view))
        view_block(x, start);
    return (run_fn *)(uintptr_t)(entry + t->to_rx);
}

run_fn *bt_translate(struct cpu *cpu, struct block *b)
{
    struct bt *t = bt_of(cpu);
    if (t->full || !fits(cpu, b))
        return NULL;
    run_fn *f = translate(cpu, b);
    if (!f) {
        t->full = true;
        cpu->blocks->flush_wanted = true; /* all at once, before the next block is built */
    }
    return f;
}

bool bt_translate_again(struct cpu *cpu, struct block *b)
{
    struct bt *t = bt_of(cpu);
    u8 *old = t->rw + (b->hot - t->rw), *code = (u8 *)(uintptr_t)b->insn[0].run - t->to_rx;
    bool ours = code >= t->rw && code < t->rw + t->size;
    u32 *from = &b->hot_costs;
    if (t->full)
        return false;
    run_fn *f = translate(cpu, b);
    if (!f)
        return false;
    if (ours)
        b->insn[0].run = f;
    /* the jump takes the old cost's place */
    while (*from && t->costs[*from - 1].at != old + COST_AT)
        from = &t->costs[*from - 1].next;
    if (*from)
        *from = t->costs[*from - 1].next;
    *old = 0xe9; /* jmp */
    st_u32(old + 1, (u32)(b->hot - (old + 5)));
    return true;
}
