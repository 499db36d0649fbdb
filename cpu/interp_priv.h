/*
 * cpu/interp_priv.h - decoded blocks: what the cache keeps and the interpreter runs.
 *
 * You are here: private to cpu/decode.c, blocks.c, interp.c and interp_fast.c (and bt/).
 *
 * A block is straight-line code found at a guest-physical address under a block key. It never
 * crosses a page, except that a block of one instruction may: nothing links to it without asking
 * whether the translations of both pages still are what they were. After the last instruction
 * stands a sentinel: it is dispatched when the block falls through, and keeps the links to the
 * blocks that follow within the same page. Blocks are position-independent: RIP is base + offset.
 *
 * A dead block (its bytes were written, or the cache was flushed) costs too much to be entered; if
 * it is the running one, its instructions' run pointers become run_dead too. It is never freed
 * while it may be running.
 */
#ifndef CPU_INTERP_PRIV_H
#define CPU_INTERP_PRIV_H

#include "cpu/engine.h"
#include "cpu/exec_priv.h"

enum {
    BLOCK_STRANGE = 32, /* so many entries at another address are worth a block of their own */
    BLOCK_MAX = 64,     /* instructions in a block */
    JC_BITS = 14,
    JC_SIZE = 1 << JC_BITS,
    HASH_BITS = 16,
    HASH_SIZE = 1 << HASH_BITS,
    BLOCK_DEAD = 0x40000000, /* cost of a dead block */
};
#define NOT_HOT 0x8000000000000001ull /* no canonical address */

struct sentinel {
    run_fn *run;           /* fall through */
    struct block *link[2]; /* [0] branch taken, [1] fell through; same page only, NULL: not known */
    struct block *self;
    u32 unused;
    u16 off; /* bytes of the block */
    u16 pad[5];
};
_Static_assert(sizeof(struct sentinel) == sizeof(struct insn),
               "the sentinel stands in for an insn");

struct superblock;
struct block {
    gpa phys; /* of the first byte */
    i32 cost; /* n, or BLOCK_DEAD */
    u32 key;
    u16 n, bytes;
    u8 cross;  /* its one instruction goes on in another page */
    u8 device; /* its bytes are not plain memory */
    gpa phys2; /* that page */
    struct block *hash_next;
    struct code_page *page[2];
    struct block *page_next[2];
    u64 hot_lin; /* where the translation runs: the linear address, or NOT_HOT; */
    u64 hot_rip; /* its RIP, and the limit of CS there: hot_here() */
    u32 hot_limit;
    const u8 *hot;    /* host code, entered with the guest's registers in the host's */
    const u8 *hot_rx; /* the same where it is executable */
    u32 hot_costs;    /* the translator's, as are these: where its code has the block's cost */
    u16 samples;      /* slices that ended here */
    u16 probe;        /* counters of where its branch goes; 0: none */
    struct superblock *super; /* what its translation goes on with; NULL: nothing */
    struct block *inlined_by; /* the last one whose translation has this block's, too; or NULL */
    u64 wild;                 /* instructions whose accesses go to many pages; bit n: insn[n] */
    u64 copied;               /* instructions whose constant is in host code somewhere; bit n */
    u32 hot_in;               /* links that lead here */
    u32 strange;              /* entries at another linear address than the translation's */
    i32 heat;                 /* entries; starts below 0 where code changes often */
    u8 recoded;               /* recode.c: the last instruction that got a new constant, */
    u8 streak;                /* and how many in a row each came behind the one before */
    run_fn *first;            /* the handler of insn[0] whose place run_traced or run_break took */
    struct trace_mark mark;
    struct insn insn[]; /* n, then the sentinel */
};

static always_inline struct sentinel *block_sentinel(struct block *b)
{
    return (struct sentinel *)&b->insn[b->n];
}

/* What is cached of one RAM page. */
enum { LINE_SHIFT = 6, PAGE_LINES = 64 };
struct code_page {
    u64 off;                         /* in RAM */
    struct block *start[PAGE_LINES]; /* blocks by the 64-byte line they start on; what comes from
                                        the page before is on line 0 */
    u32 cover[PAGE_LINES];           /* how many blocks have bytes on the line */
    u32 n;                           /* blocks */
    u32 longest;                     /* bytes of the longest block since the page was last empty */
    u32 kills;                       /* blocks whose bytes were written */
    u32 idle_writes;                 /* to no code, since the last that hit some */
    u64 loose[PAGE_SIZE / 64];       /* recode.c: where instructions start whose constants were
                                        rewritten after they had been translated; a bit a byte */
};

struct jc_entry {
    gla lin;
    u64 gen;
    struct block *block;
    u32 key, global;
};

struct blocks {
    struct jc_entry jc[JC_SIZE];
    struct block *hash[HASH_SIZE];
    struct code_page **pages; /* by RAM page; NULL: no code */
    u64 n_pages;
    u8 *arena;
    u64 arena_size, arena_used;
    bool flush_wanted; /* done when no block is running */
    struct memo *memo; /* cpu/decode_memo.c */
    void *decoders;    /* decode.c's, one for each decode mode */
    u16 *first_row;    /* by decoder mnemonic: first candidate row, 0 none */
    u16 *next_row;     /* by row: next candidate */
};

void blocks_new(struct cpu *cpu);
void blocks_free(struct cpu *cpu);

/* The block at the current RIP, decoded if need be. Faults (fetch #PF, #GP limit) leave. May be a
 * block whose end lies beyond the CS limit: the caller checks outside flat modes. */
struct block *block_lookup(struct cpu *cpu);

/* The translated block of the same mode on the same page as `near`, at linear address lin; or NULL.
 */
struct block *block_hot_near(struct cpu *cpu, const struct block *near, gla lin);
/* recode.c: bytes [first, last] of page pg were written, some of them b's. True: b is right again,
 * only constants have changed. False: nothing happened, b must go. */
bool block_recode(struct cpu *cpu, struct block *b, struct code_page *pg, u32 first, u32 last);

/* Best dispatch target for a decoded instruction (interp_fast.c); base gives RIP-relative facts. */
run_fn *run_for(const struct insn *i, u32 key);

/* The same for instructions with INF_STUB (native_run.c); NULL: run_generic. */
run_fn *native_run_for(const struct insn *i);

/* Replaces the handlers of a compare and a conditional branch at the block's end by one. */
void fuse_last(struct block *b);

run_fn run_generic, run_exit, run_branch, run_fall, run_dead, run_traced, run_counted;
run_fn run_break; /* breaks.c */

static always_inline u32 jc_index(gla lin)
{
    return (u32)(lin ^ (lin >> JC_BITS)) & (JC_SIZE - 1);
}

static always_inline gla linear_pc(const struct cpu *c)
{
    if (likely(c->key & (KEY_64 | KEY_FLAT)))
        return c->rip;
    return (u32)(c->seg[SEG_CS].base + c->rip);
}

/* Whether the block's translation is for the code at RIP, which is at lin, with CS as it is. */
static always_inline bool hot_here(const struct cpu *c, const struct block *b, gla lin)
{
    if (b->hot_lin != lin)
        return false;
    return likely(c->key & (KEY_64 | KEY_FLAT)) ||
           (b->hot_rip == c->rip && b->hot_limit == c->seg[SEG_CS].limit);
}

/* Whether CS's limit lets the block at RIP run; a step finds out what it does. */
static always_inline bool within_cs(const struct cpu *c, const struct block *b)
{
    return likely(c->key & (KEY_64 | KEY_FLAT)) || c->rip + b->bytes - 1 <= c->seg[SEG_CS].limit;
}

/* ---- threaded dispatch ------------------------------------------------------------------------
 */
/* Optimised builds chain handlers by tail calls; sanitized and debug builds return to a loop. */
#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__) && !defined(TRV_TRAMPOLINE)
#define DISPATCH_INLINED(c, i) return (i)->run((c), (i))
#if defined(__clang__)
#define DISPATCH(c, i) __attribute__((musttail)) return (i)->run((c), (i))
#else
#define DISPATCH(c, i) return (i)->run((c), (i))
#endif
#else
#define DISPATCH(c, i)         return (i)
#define DISPATCH_INLINED(c, i) return (i)
#endif
/* DISPATCH_INLINED: in functions that are not handlers themselves but inlined into the end of one
 * (a guaranteed tail call needs a handler's own parameters). */

/* A tail call to another handler, or (trampoline builds) a plain call that returns what is next. */
#if defined(__clang__) && defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__)
#define DISPATCH_TO(fn, c, i) __attribute__((musttail)) return fn((c), (i))
#else
#define DISPATCH_TO(fn, c, i) return fn((c), (i))
#endif
#define DISPATCH_CALL(call) return call

/* Undoes the entry of a block that may not be entered: slice used up, or dead. */
const struct insn *enter_refused(struct cpu *c, struct block *b);

static always_inline const struct insn *block_enter(struct cpu *c, struct block *b)
{
    c->left -= b->cost;
    if (unlikely(c->left < 0))
        return enter_refused(c, b);
    c->gpr[GPR_BLOCK] = c->rip;
    c->block = b;
    DISPATCH_INLINED(c, b->insn);
}

/* To wherever cpu->rip points now, through the jump cache; NULL (the run loop) when it misses. */
static always_inline const struct insn *jump_any(struct cpu *c)
{
    gla lin = linear_pc(c);
    struct jc_entry *e = &c->blocks->jc[jc_index(lin)];
    if (likely(e->lin == lin && e->key == c->key && e->gen == c->mmu.gens[e->global])) {
        if (within_cs(c, e->block))
            return block_enter(c, e->block);
    }
    return NULL;
}

#endif
