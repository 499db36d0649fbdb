/*
 * cpu/interp.c - engine one: runs cached blocks, delivers what interrupts them.
 *
 * The run loop is entered again (by longjmp) whenever an instruction or a delivery faults. Inside
 * a block handlers chain to each other; they come back here (NULL) when the slice is used up, when
 * the next block is not known, and after instructions that change what the loop watches.
 *
 * Counting: cpu->left is charged for a whole block at its entry; whoever leaves a block early gives
 * the rest back (block_refund). A delivery costs one, so that a guest that faults for ever still
 * uses up its slice. Intel SDM vol. 3, 6.9 (priorities), 6.8.3 (shadows), 17.3.1.4 (single step).
 */
#include "cpu/breaks_priv.h"
#include "cpu/decode_priv.h"
#include "cpu/interp_priv.h"

/* Instructions of the running block from `i` on have not been executed. */
static void block_refund(struct cpu *c, const struct insn *i)
{
    if (c->block) {
        i64 done = i - c->block->insn;
        c->left += c->block->n - done;
        if (unlikely(c->tracer && done < c->block->n))
            TRACE(c, TRACE_CUT, (u32)done, 0, 0);
    }
    c->block = NULL;
}

/* ---- leaving by a fault ------------------------------------------------------------------------
 */
static noreturn void leave(struct cpu *c)
{
    if (c->cur) {
        if (unlikely(c->tracer && !c->block))
            TRACE(c, TRACE_CUT, 0, 0, 0); /* a single step */
        block_refund(c, c->cur);
        c->rip = c->gpr[GPR_BLOCK] + c->cur->off;
        if (!(c->key & KEY_64))
            c->rip = (u32)c->rip;
        c->cur = NULL;
    }
    __builtin_longjmp(c->jmp, 1);
}

void cpu_raise_err(struct cpu *cpu, int vector, u32 error)
{
    cpu->ex_vector = vector;
    cpu->ex_error = error;
    cpu->ex_has_error = true;
    if (cpu->ex_ext && vector >= EX_TS && vector <= EX_GP)
        cpu->ex_error |= 1;
    cpu->ex_ext = false;
    leave(cpu);
}

void cpu_raise(struct cpu *cpu, int vector)
{
    cpu->ex_vector = vector;
    cpu->ex_error = 0;
    cpu->ex_has_error = false;
    leave(cpu);
}

void cpu_restart(struct cpu *cpu)
{
    cpu->ex_vector = -1;
    leave(cpu);
}

void cpu_page_fault(struct cpu *cpu, gla addr, u32 error)
{
    cpu->cr2 = addr;
    cpu_raise_err(cpu, EX_PF, error);
}

/* ---- generic handlers
 * ---------------------------------------------------------------------------- */
static always_inline void begin(struct cpu *c, const struct insn *i)
{
    c->cur = i;
    c->rip = c->gpr[GPR_BLOCK] + i->off + i->len;
    if (unlikely(!(c->key & KEY_64)))
        c->rip = (u32)c->rip;
}

const struct insn *run_generic(struct cpu *c, const struct insn *i)
{
    begin(c, i);
    insn_rows[i->row].exec(c, i);
    DISPATCH(c, i + 1);
}

/* Changes state that the loop or the block key watches. */
const struct insn *run_exit(struct cpu *c, const struct insn *i)
{
    begin(c, i);
    insn_rows[i->row].exec(c, i);
    block_refund(c, i + 1);
    c->cur = NULL;
    return NULL;
}

const struct insn *run_branch(struct cpu *c, const struct insn *i)
{
    begin(c, i);
    insn_rows[i->row].exec(c, i);
    return jump_any(c);
}

/* The sentinel: the block ended without a branch. */
const struct insn *run_fall(struct cpu *c, const struct insn *i)
{
    const struct sentinel *s = (const struct sentinel *)i;
    c->rip = c->gpr[GPR_BLOCK] + s->off;
    if (unlikely(!(c->key & KEY_64)))
        c->rip = (u32)c->rip;
    return jump_any(c);
}

/* The first instruction of a block that may become worth translating. */
const struct insn *run_counted(struct cpu *c, const struct insn *i)
{
    struct block *b = c->block;
    run_fn *f = b->first;
    if (unlikely(++b->heat >= (i32)c->engine->heat)) {
        run_fn *hot = c->engine->translate(c, b);
        f = hot ? hot : f;
        b->insn[0].run = f;
    }
    DISPATCH_CALL(f(c, i));
}

/* The first instruction of a block while a tracer is set. */
const struct insn *run_traced(struct cpu *c, const struct insn *i)
{
    struct block *b = c->block;
    c->cur = i; /* cpu_icount() is right during the call */
    if (likely(c->tracer))
        c->tracer->block(c->tracer->ctx, c, &b->mark);
    DISPATCH_TO(b->first, c, i);
}

/* Any instruction of a dead block. */
const struct insn *run_dead(struct cpu *c, const struct insn *i)
{
    struct block *b = c->block;
    if (i == (const struct insn *)block_sentinel(b)) {
        c->rip = c->gpr[GPR_BLOCK] + ((const struct sentinel *)i)->off;
    } else {
        c->rip = c->gpr[GPR_BLOCK] + i->off;
        block_refund(c, i);
    }
    if (!(c->key & KEY_64))
        c->rip = (u32)c->rip;
    c->cur = NULL;
    c->block = NULL;
    return NULL;
}

const struct insn *enter_refused(struct cpu *c, struct block *b)
{
    c->left += b->cost;
    c->cur = NULL;
    c->block = NULL;
    return NULL;
}

/* ---- one instruction at a time
 * -------------------------------------------------------------------- */
/* Whether a single-step trap follows an instruction that began with TF = tf. Delivery of INT n,
 * INT3 and INTO cleared TF, and their handlers are not stepped into; SYSCALL and SYSRET go by the
 * TF that they leave (SFMASK may clear it), all others by the one they found. */
static bool single_step_due(const struct cpu *c, const struct insn *i, bool tf)
{
    switch (i->row) {
    case INSN_INT:
    case INSN_INT1:
    case INSN_INT3:
    case INSN_INTO:
        return tf && (c->flsys & FL_TF);
    case INSN_SYSCALL:
    case INSN_SYSRET:
        return c->flsys & FL_TF;
    default:
        return tf;
    }
}

/* Executes one instruction outside any block chain; traps after it are raised here. */
static void step(struct cpu *c, bool single)
{
    bool tf = c->flsys & FL_TF;
    u32 shadow = c->pending & (PEND_SHADOW | PEND_SHADOW_SS);
    u64 start = c->rip;

    c->cur = NULL;
    c->block = NULL;
    if (unlikely(c->dr6_pending != 0) && !(shadow & PEND_SHADOW_SS))
        debug_trap(c); /* the T bit of a TSS: before the new task's first instruction */
    if (unlikely(c->dr[7] & 0xff) && !(shadow & PEND_SHADOW_SS))
        debug_fetch(c, linear_pc(c));
    struct block *b = block_lookup(c);
    struct insn i = b->insn[0]; /* a copy: the block may die while it runs */
    if (unlikely(c->breaks != NULL) && !single &&
        breaks_meet(c, linear_pc(c), b->phys, cpu_icount(c)))
        return;
    c->gpr[GPR_BLOCK] = c->rip;
    if (!(c->key & KEY_64) && c->rip + i.len - 1u > c->seg[SEG_CS].limit) {
        if (cpu_has(c, FEAT_I286))
            raise_gp0(c);
        decode_wrapped(c, &i);
    }
    c->pending &= ~shadow;
    c->flsys &= ~(u32)FL_RF; /* faults push it set; IRET may set it for the next instruction */
    if (unlikely(c->tracer))
        c->tracer->step(c->tracer->ctx, c, &b->mark);
    begin(c, &i);
    insn_rows[i.row].exec(c, &i);
    if (unlikely(!cpu_has(c, FEAT_I286)))
        c->rip &= 0xffff;
    if (unlikely(c->rip == start) && (i.flags & (INF_REP | INF_REPNE)) && (c->dr[7] & 0xff))
        c->flsys |= FL_RF; /* a repetition that goes on does not meet its breakpoint again */
    c->left--;
    c->cur = NULL;
    tf = single_step_due(c, &i, tf);
    if (unlikely(tf || c->dr6_pending) && !(c->pending & PEND_SHADOW_SS)) {
        if (tf)
            c->dr6_pending |= 1u << 14; /* DR6.BS */
        debug_trap(c);
    }
    if (!(c->flsys & FL_TF) && !(c->dr[7] & 0xff) && !c->dr6_pending)
        c->pending &= ~(u32)PEND_STEP;
}

/* ---- between instructions
 * ------------------------------------------------------------------------- */
void cpu_update_intr(struct cpu *c)
{
    bool want = c->lapic ? lapic_pending(c->lapic) >= 0 || (c->intr_pin && lapic_extint(c->lapic))
                         : c->intr_pin;
    if (!want) {
        c->pending &= ~(u32)PEND_INTR;
    } else if (!(c->pending & PEND_INTR)) {
        c->pending |= PEND_INTR;
        cpu_cut_slice(c);
    }
}

bool cpu_wakeable(struct cpu *c)
{
    return (c->pending & (PEND_INIT | PEND_SHUTDOWN)) ||
           ((c->pending & PEND_NMI) && !c->nmi_blocked) ||
           ((c->pending & PEND_INTR) && (c->flsys & FL_IF));
}

static void take_interrupt(struct cpu *c)
{
    int vector = -1;
    u64 began = ledger_begin(c->mmu.ledger);
    if (c->lapic && lapic_pending(c->lapic) >= 0)
        vector = lapic_accept(c->lapic);
    else if (c->intr_pin && c->pic_ack)
        vector = c->pic_ack(c->pic_ctx);
    cpu_update_intr(c);
    if (vector < 0)
        return;
    c->halted = false;
    c->pending &= ~(u32)PEND_HALT;
    c->n_interrupts++;
    c->left--;
    TRACE(c, TRACE_INTERRUPT, (u32)vector & 0xff, 0, 0);
    deliver(c, vector & 0xff, INTR_EXTERNAL, false, 0);
    ledger_end(c->mmu.ledger, LEDGER_INTERRUPT, began);
}

/* An STI was the last instruction that ran, and somebody is to know. */
static void settle_shadow(struct cpu *c)
{
    if (c->left + c->stolen == c->shadow)
        c->pending |= PEND_SHADOW;
    c->shadow = -1;
}

/* Looks at everything pending. True: an event was taken or the loop must return. */
static bool service(struct cpu *c, enum cpu_exit *why)
{
    if (c->shadow >= 0)
        settle_shadow(c);
    u32 p = c->pending;

    if (p & PEND_DEBUG) {
        *why = CPU_BREAK;
        return true;
    }
    if (p & PEND_SHUTDOWN) {
        *why = CPU_SHUTDOWN;
        return true;
    }
    if (p & PEND_INIT) {
        c->pending &= ~(u32)PEND_INIT;
        cpu_reset(c, true);
        return true;
    }
    if (!(p & (PEND_SHADOW | PEND_SHADOW_SS)) && !c->hold_intr) {
        if ((p & PEND_NMI) && !c->nmi_blocked) {
            c->pending &= ~(u32)(PEND_NMI | PEND_HALT);
            c->halted = false;
            c->nmi_blocked = true;
            c->left--;
            TRACE(c, TRACE_NMI, EX_NMI, 0, 0);
            deliver(c, EX_NMI, INTR_EXTERNAL, false, 0);
            return true;
        }
        if ((p & PEND_INTR) && (c->flsys & FL_IF)) {
            take_interrupt(c);
            return true;
        }
    }
    if (p & PEND_HALT) {
        c->pending &= ~(u32)(PEND_SHADOW | PEND_SHADOW_SS);
        if (cpu_wakeable(c))
            return true;
        *why = CPU_HALT;
        return true;
    }
    return false;
}

static void run_blocks(struct cpu *c, struct block *b)
{
    c->left -= b->cost;
    c->gpr[GPR_BLOCK] = c->rip;
    c->block = b;
    const struct insn *i = b->insn;
    do {
        i = i->run(c, i);
    } while (i);
    c->cur = NULL;
    c->block = NULL;
}

/* The loop; a fault comes back to the setjmp. noinline: its frame is the jump's target. */
static noinline enum cpu_exit run_loop(struct cpu *c, bool single)
{
    enum cpu_exit why = CPU_SLICE;

    if (__builtin_setjmp(c->jmp)) {
        c->cur = NULL;
        c->block = NULL;
        c->left--;
        if (c->ex_vector < 0) { /* cpu_restart */
            TRACE(c, TRACE_RESTART, 0, 0, 0);
        } else {
            c->n_exceptions++;
            TRACE(c, TRACE_EXCEPTION, (u32)c->ex_vector, c->ex_error, c->cr2);
            if (c->catch_faults)
                return CPU_CAUGHT;
            int vector = c->ex_vector;
            u64 began = ledger_begin(c->mmu.ledger);
            cpu_deliver_fault(c, vector, c->ex_has_error, c->ex_error);
            ledger_end(c->mmu.ledger, vector == EX_PF ? LEDGER_FAULT : LEDGER_EXCEPTION, began);
        }
        if (single)
            return CPU_SLICE;
    }
    while (c->left > 0) {
        u32 p = c->pending;
        if (unlikely(p)) {
            why = CPU_SLICE;
            i64 before = c->left;
            if (service(c, &why)) {
                if (why != CPU_SLICE)
                    return why;
                if (single && c->left != before)
                    return CPU_SLICE;
                continue;
            }
            p = c->pending;
        }
        if (unlikely(single || (p & (PEND_STEP | PEND_SHADOW | PEND_SHADOW_SS)))) {
            step(c, single);
            if (single)
                return CPU_SLICE;
            continue;
        }
        struct block *b = block_lookup(c);
        if (unlikely(b->n > c->left || !within_cs(c, b))) {
            step(c, false);
            continue;
        }
        run_blocks(c, b);
    }
    return CPU_SLICE;
}

static enum cpu_exit run_slice(struct cpu *c, i64 n, bool single)
{
    n = MIN(n, (i64)BLOCK_DEAD - 1); /* what a dead block costs must be too much */
    c->left = c->slice = n;
    c->stolen = 0;
    c->cut = false;
    c->shadow = -1;
    c->kicked = 0;
    native_enter(c);
    if (c->engine)
        c->engine->enter(c);
    enum cpu_exit why = run_loop(c, single);
    native_leave(c);
    settle_shadow(c);
    if (unlikely(c->pending & PEND_DEBUG)) {
        c->pending &= ~(u32)PEND_DEBUG;
        if (why != CPU_CAUGHT)
            why = CPU_BREAK; /* what else happened is found again */
    }
    c->insns += (u64)(c->slice - c->left - c->stolen);
    c->slice = c->left = c->stolen = 0;
    return why;
}

enum cpu_exit cpu_run(struct cpu *c, i64 max_insns)
{
    return run_slice(c, max_insns, false);
}

enum cpu_exit cpu_step(struct cpu *c)
{
    return run_slice(c, 1, true);
}

enum cpu_exit cpu_step_held(struct cpu *c)
{
    c->hold_intr = true;
    enum cpu_exit why = run_slice(c, 1, true);
    c->hold_intr = false;
    return why;
}

void cpu_cut_slice(struct cpu *c)
{
    c->cut = true;
    if (c->left > 0) {
        c->stolen += c->left;
        c->left = 0;
    }
}

void cpu_kick(struct cpu *c)
{
    c->kicked = 1;
}

u64 cpu_icount(const struct cpu *c)
{
    i64 ahead = c->block && c->cur ? c->block->n - (c->cur - c->block->insn) - 1 : 0;
    return c->insns + (u64)(c->slice - c->left - c->stolen - ahead);
}
