/*
 * bt/bt_priv.h - what the translator's files share: the cache, the registers' places, the thunks.
 *
 * You are here: private to bt/. cache.c owns the memory and the thunks that all blocks call;
 * block.c translates a block; memop.c, flags.c and rewrite.c emit parts of it; runtime.c has the C
 * functions that host code calls.
 *
 * Host code runs with
 *   gs base   struct cpu
 *   rsp       the C stack, 16-byte aligned; never the guest's
 *   r13       the guest's RSP; RAX RCX RDX RBX RBP RSI RDI R8-R12 hold the guest's own
 *   r14, r15  scratch (S1, S2)
 *   [rsp]     the frame: cpu->left, and the guest's R13-R15
 *   flags     the guest's arithmetic flags, or anything (flags.c knows which)
 *   XMM, YMM  the guest's when vec_state says so, otherwise in cpu->xs
 * Between blocks the guest's flags are in cpu->fl.
 */
#ifndef BT_PRIV_H
#define BT_PRIV_H

#include "bt/bt.h"
#include "bt/emit.h"
#include "cpu/interp_priv.h"
#include "cpu/native_priv.h"
#include "cpu/zydis_priv.h"

enum { S1 = H_R14, S2 = H_R15, H_GUEST_RSP = H_R13 };
/* The guest register's host register, or H_NONE: in the frame. */
static always_inline int host_of(int guest)
{
    return guest == RSP ? H_GUEST_RSP : guest <= 12 ? guest : H_NONE;
}

/* What changes all the time is in host code's frame: processors forward a store to a load at once
 * when both go by RSP, and take four or five cycles by GS. C functions find it in struct cpu. */
enum {
    FRAME_LEFT = 0,
    FRAME_R13 = 8,
    FRAME_SCRATCH = 32,
    FRAME_COUNT = 40, /* of a repetition: elements at once, and after them */
    FRAME_REST = 48,
    FRAME_OPERAND = 56, /* what the last comparison, ADD or SUB read from memory, for its flags */
    FRAME_SAVED = 64,   /* registers that a strip uses: the counter, those of its groups */
    FRAME_SIZE = 120
};

#define CPU_GPR(n) (offsetof(struct cpu, gpr) + 8 * (size_t)(n))

/* op reg, the guest's register that has no host register */
static always_inline void e_guest(struct asm_buf *a, bool w, u8 op, int reg, int guest)
{
    e_frame(a, w, op, reg, FRAME_R13 + 8 * (guest - 13));
}

/* vec_state bits: what may be executed without a look. */
enum { VEC_SSE = 1, VEC_AVX = 2 /* upper halves too */, VEC_X87 = 4, VEC_LIVE = VEC_SSE | VEC_AVX };

/* An instruction's place in its block has these bits free (runtime.c: enum bt_exit). */
enum { BT_EXIT_BITS = 7 };
_Static_assert(sizeof(struct insn) % (BT_EXIT_BITS + 1) == 0 &&
                   offsetof(struct block, insn) % (BT_EXIT_BITS + 1) == 0,
               "places of instructions");

struct edge {
    u8 *jmp;    /* distance of the jump to patch */
    u8 *unlink; /* where that jump goes when it is not linked */
    u8 *cross;  /* stub that checks the generation, for targets on other pages; NULL: none yet */
    u64 target; /* RIP */
    struct block *to; /* linked to its translation; NULL: not linked */
    u32 next, prev;   /* in the list of those (block.hot_in), numbered from 1 */
};

struct cost_site { /* the cost of a block in host code: of its translation, or where one goes on
                      with it */
    u8 *at;
    u32 next; /* of the same block (block.hot_costs), numbered from 1 */
};

/* Blocks of one page that follow each other, in one translation; the first one's. */
enum { SUPER_PARTS = 8, SUPER_INSNS = 96 };
struct superblock {
    u32 n;
    struct block *part[SUPER_PARTS];
};

struct fault_site { /* a copied instruction that may raise a host exception; in order */
    const u8 *pc;   /* of the writable mapping */
    const u8 *way;
};

enum { MAX_EDGES = 1 << 19, MAX_FAULTS = 1 << 18, MAX_COSTS = 1 << 19, MAX_SUPERS = 1 << 14 };

enum fill {
    FILL_USER,
    FILL_COUNTED, /* a miss costs patience */
    FILL_KERNEL,  /* from the TLB that does not depend on EFLAGS.AC, and so stays true when that
                     changes */
};

struct bt {
    struct cpu *cpu;
    struct bt_config cfg;
    struct cpu_engine engine;
    u8 *rw;
    i64 to_rx; /* add to a writable address: the executable one */
    u64 size;
    struct asm_buf a; /* where the next code goes */
    u8 *after_thunks;
    bool full;

    /* thunks */
    u8 *site_fill[2][3]; /* [write][enum fill] */
    u8 *refill[2];       /* [write] */
    u8 *tlb_miss[2][6];  /* [write][log2 size] */
    u8 *find_target;
    u8 *apart[2];     /* [write]: accesses that the TLB cannot serve alone */
    u32 next_site[2]; /* [write] */
    u32 next_strip;
    u8 *load_regs, *slow, *edge_exit, *event, *tail, *refuse, *vec_enter;
    u8 *seg_load[SEG_COUNT]; /* data segments; segload.c */
    u8 *seg_writable;
    u8 *cpuid; /* cpuid.c */

    struct edge *edges;
    struct fault_site *faults;
    struct cost_site *costs;
    struct superblock *supers;
    u32 n_edges, n_faults, n_costs, n_supers, n_probes;

    /* which undefined flags this host computes from the operands alone */
    bool flags_imul, flags_mul, flags_div, flags_shift;
    bool wide; /* the guest has AVX: upper halves matter */
    bool gs_insn;
    u64 secret;
    struct bt_stats stats;
    struct helper_count *rows; /* by row of the table */
    struct view *view;         /* who looks at translations; NULL: nobody (view.c) */
};

/* Of a hash: the offset in cpu->bt_targets. */
enum { TARGET_MASK = (JUMP_TARGETS - 1) * sizeof(struct jump_target) };

/* What tags of jump targets for code of this key are mixed with. */
static always_inline u64 key_salt(const struct bt *t, u32 key)
{
    u64 z = (t->secret ^ key) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27 ^ t->secret) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

/* The same for code that runs with this CS: outside flat modes a target is a RIP in it. */
static always_inline u64 code_salt(const struct bt *t, u32 key, const struct seg *cs)
{
    u64 z = key_salt(t, key);
    if (likely(key & (KEY_64 | KEY_FLAT)))
        return z;
    z = (z ^ cs->base ^ (u64)cs->limit << 32) * 0xd6e8feb86659fd93ull;
    return z ^ z >> 32 ^ t->secret;
}

/* 16-bit code, or segments or a stack that are not flat. */
static always_inline bool bt_segmented(u32 key)
{
    return (key & KEY_DMODE) != KEY_64 &&
           (key & (KEY_DMODE | KEY_FLAT | KEY_SS32)) != (KEY_32 | KEY_FLAT | KEY_SS32);
}

struct helper_count {
    u64 translated, called;
};

/* Where a probe counts: 0 the branch was not taken, 1 taken. */
static always_inline size_t bt_probe_at(u16 probe, int direction)
{
    return offsetof(struct cpu, bt_probes) + 8 * (size_t)probe + 4 * (size_t)direction;
}

static always_inline struct bt *bt_of(struct cpu *cpu)
{
    return cpu->engine_ctx;
}

/* ---- cache.c ---- */
enum status cache_init(struct bt *t, struct error *err);
void cache_fini(struct bt *t);
void cache_reset(struct bt *t);

/* ---- one block being translated ---- */
enum flag_use { FLAGS_NONE, FLAGS_READ, FLAGS_WRITE, FLAGS_READ_WRITE };

struct recipe {
    u8 kind; /* enum recipe_kind */
    u8 len;
    bool wide;    /* 64-bit (RECIPE_TEST, _ADD, _SUB) */
    u8 bytes[16]; /* RECIPE_COPY: the instruction; RECIPE_TEST etc.: to emit */
    u8 reg;       /* host register of the result */
    u8 other;     /* host register of the other operand, H_NONE: imm, IN_FRAME */
    i32 imm;
    u16 regs; /* host registers it needs unchanged */
};
enum recipe_kind { RECIPE_NONE, RECIPE_COPY, RECIPE_ADD, RECIPE_SUB };
enum { IN_FRAME = 0xfe }; /* FRAME_OPERAND */

struct flag_state {
    bool host;           /* in the host's flags */
    bool mem;            /* in cpu->fl */
    struct recipe again; /* how to compute them once more; valid for the last writer */
};

/* x87 pointers that are not stored yet: FIP and FOP of instruction k; mem: FDP, too, of this or an
 * earlier one, whose address is in cpu->bt_x87_address[slot]. */
struct x87_note {
    bool wanted, mem;
    u8 slot;
    u16 k;
};

struct way_out {
    u8 *at;   /* the jump to here; NULL: entered by a fault */
    u8 *back; /* where the hot code goes on */
    u16 k;    /* instruction */
    u8 what;  /* enum way_kind */
    u8 part;  /* of the superblock */
    u8 need;  /* COLD_VEC: bits of vec_state */
    u8 size;  /* of the access, when it goes by a site's entry: */
    u8 align; /* 0, or size - 1 */
    u8 run;   /* COLD_RUN: how many pushes or pops */
    bool write;
    bool strip;    /* strip_out makes it */
    bool operand;  /* COLD_SLOW: the hot code goes on with the operand's value in S1 */
    u16 site;      /* or NO_SITE: it looks into the TLB */
    u32 key;       /* COLD_MISS: of the block that is looked for */
    u64 target;    /* COLD_EDGE */
    u8 *retry;     /* once the entry is filled; NULL: it does not */
    u8 *found;     /* where S1 is the host's address; NULL: nowhere */
    bool relative; /* ... less the guest's: base + (index << scale) + disp */
    u8 base, index, scale;
    i32 disp;
    struct flag_state fl;
    struct x87_note x87;
};
enum way_kind {
    COLD_SLOW,
    COLD_TAIL,
    COLD_VEC,
    COLD_FAULT,
    COLD_REFUSE,
    COLD_RUN,  /* one by one, here */
    COLD_MISS, /* as TAIL, as is: */
    COLD_EVENT,
    COLD_EDGE, /* to another block */
};

enum { MAX_COLD = BLOCK_MAX * 18, NO_SITE = 0xffff };
/* A site that misses once more within so many instructions would do better with the TLB. */
enum { SITE_SOON = 60 };

/* A host operand; index H_NONE: none. */
struct host_mem {
    int base, index, scale;
    i32 disp;
};

/* ---- memory operands: memop.c ---- */
struct mem_use {
    u32 size;
    bool write;
    size_t keep_address; /* in the vCPU's state: where the linear address is to be stored; 0:
                            nowhere */
    u32 align;           /* address bits that must be 0 */
    u8 what;             /* way out of a miss */
};

/* A memory operand of a loop, and operands that move alike (strip.c). */
enum { STRIP_GROUPS = 5, STRIP_ALLOWED = 16 };
struct access {
    u8 part, k;
    i8 group; /* -1: looked at every time */
    u16 site; /* or NO_SITE */
    struct mem_use u;
};
struct strip_group {
    int base, index, scale; /* as in struct insn */
    int reg;                /* host register of what is added */
    bool by_base;           /* to the base; else it has the base in it */
    bool write;
    u16 site;
    i64 low, high; /* displacements at the start of a round, from .. to */
    i64 step;
};
struct strip {
    bool on; /* being emitted */
    bool failed;
    int n, n_access, counter;
    u32 id;
    u8 *top;
    struct strip_group group[STRIP_GROUPS];
};

struct xl {
    struct bt *t;
    struct asm_buf *a;
    struct cpu *cpu;
    struct block *b;
    u64 lin;      /* RIP of the block */
    u64 head_lin; /* of the first part */
    u8 *hot;      /* where others enter, on the writable side */
    bool bits64;
    bool segmented; /* bt_segmented() */
    struct seg cs;  /* base and limit of the code segment it is for */
    u64 salt;       /* code_salt() of the block */
    const u8 *bytes;
    u8 across[15]; /* of an instruction on two pages */
    ZydisDecodedInstruction d;
    ZydisDecodedOperand ops[ZYDIS_MAX_OPERAND_COUNT];
    struct flag_state fl;
    u8 vec;              /* vec_state bits known here */
    struct host_mem ref; /* the checked memory operand */
    struct x87_note x87;
    bool stack_op;
    u8 use[BLOCK_MAX]; /* enum flag_use */
    u8 how[BLOCK_MAX]; /* enum bt_how */
    int n_cold;
    int done; /* instructions before this one are emitted */
    /* Blocks that follow each other: b is part[at], lin its address. */
    struct block *part[SUPER_PARTS];
    int n_parts, at;
    bool flows; /* the part's end leads to the next part, without a jump */
    bool probe; /* counts where its branch goes */
    struct {
        u8 *jmp;
        u64 target;
        int part;
    } out[SUPER_PARTS * 4]; /* edges */
    int n_out;
    struct {
        u8 *at;
        int part;
    } cost[SUPER_PARTS * 2];
    int n_cost;
    /* What branches to its own start has its instructions twice: the second time with the
     * flags as the branch leaves them, so that going round saves nothing. */
    bool looping, again; /* the second copy is wanted; it is being emitted */
    struct flag_state loop_fl;
    u8 loop_vec;
    u8 *loop_entry, *loop_jmp;
    struct strip strip;
    struct named_thunks { /* each block's own, in front of the thunk of that name */
        u8 *slow, *tail, *event, *edge_exit, *refuse;
    } named[SUPER_PARTS];
    struct way_out outs[MAX_COLD]; /* large, and not emptied: last */
    struct access access[SUPER_INSNS];
    u8 *label[SUPER_PARTS][BLOCK_MAX]; /* of instructions in the loop's second copy */
};

/* ---- block.c ---- */
run_fn *bt_translate(struct cpu *cpu, struct block *b);
/* The block's code; put together in `across` (15 bytes) if its instruction is on two pages. */
const u8 *bytes_of_block(const struct cpu *cpu, const struct block *b, u8 *across);
/* The same once more, after something was learned about it, with b->super and b->probe as they are
 * now: who comes to the old code is led to the new. Nothing of b's translation may be running.
 * False: it is as it was. */
bool bt_translate_again(struct cpu *cpu, struct block *b);
/* Adds a way out of the hot code; *at is patched to it. */
void cold_add(struct xl *x, u8 *at, u8 what, int k, u8 need);
void cold_back(struct xl *x, int first); /* all since `first` come back here */

/* What strip.c needs of it. */
void xl_set_part(struct xl *x, int n);
bool xl_decode(struct xl *x, int k);
void xl_parts(struct xl *x);

/* ---- branch.c ---- */
/* A jump to the block at RIP target; the flags are in cpu->fl. */
void xl_edge(struct xl *x, u64 target);
/* The last of a part's ways to others: an edge, or what comes next anyway. */
void xl_leave(struct xl *x, u64 target);
/* The block's last instruction, when it changes RIP. False: not here; what was emitted is void. */
bool emit_branch(struct xl *x, int k);
/* RIP behind an instruction. */
static inline u64 next_rip(const struct xl *x, const struct insn *i)
{
    u64 r = x->lin + i->off + i->len;
    return x->bits64 ? r : (u32)r;
}

/* S1: a target, for code of this key. S1: where its code is remembered, for jump_found or
 * keep_found and jump_kept; everything else is a way out to the C function of instruction k, with
 * nothing changed. Destroys S2. */
void find_block(struct xl *x, int k, u32 key);
void jump_found(struct xl *x);
/* S1 is wanted for something else meanwhile. Destroys S2. */
void keep_found(struct xl *x);
void jump_kept(struct xl *x);

/* ---- stack.c ---- */
/* S1 = x->ref, `size` bytes of it; 2: zero-extended. */
void load_s1(struct xl *x, int size);
/* x->ref = reg, `size` bytes of it. */
void store_reg(struct xl *x, int reg, int size);
/* The stack pointer moves by d; flags stay. */
void move_sp(struct xl *x, i32 d);
/* x->ref: `size` bytes that are d bytes from the stack pointer, checked as by mem_base. */
void stack_slot(struct xl *x, int k, i32 d, int size, bool write, u8 what);
void push_imm(struct xl *x, int k, u64 v, int size, u8 what);
/* The operand has a size that the stack takes here. */
bool stack_size(const struct xl *x, const struct insn *i);
bool emit_stack(struct xl *x, int k); /* false: not here, nothing was emitted */
/* Several pushes or pops from k on, with one check for all when they stay in one page. */
bool emit_run(struct xl *x, int k);
/* Code of its way out: one by one. */
void run_apart(struct xl *x, const struct way_out *c);

/* ---- strip.c ---- */
/* After a loop's second copy: a third one for strips; returns where it is entered, with the flags
 * as at the loop's start. NULL: nothing was emitted. */
u8 *strip_make(struct xl *x);
/* The end of a round. */
void strip_round(struct xl *x);
/* Code of a way out of the copy. */
void strip_out(struct xl *x, const struct way_out *c);
/* The second copy's memory operands are noted; the third one's asks: its site; whether it needs no
 * look (then x->ref is set). */
void strip_note(struct xl *x, int k, const struct mem_use *u, u32 site);
u32 strip_site(const struct xl *x, int k);
bool strip_ref(struct xl *x, int k, const struct insn *i);

/* ---- flags.c ---- */
enum flag_use flags_use(const struct bt *t, const ZydisDecodedInstruction *d,
                        const ZydisDecodedOperand *ops, const struct insn *i);
/* Host flags are about to be destroyed. */
void flags_destroy(struct xl *x);
/* Host flags must be the guest's now. Uses S2. */
void flags_to_host(struct xl *x);
/* cpu->fl must be the guest's now. Uses S2; host flags stay. */
void flags_to_mem(struct xl *x);
/* As to_mem for a state other than the current one. */
void flags_emit_save(struct asm_buf *a, const struct flag_state *s);
/* The host's flags become those of cpu->fl. Destroys S2. */
void flags_emit_load(struct asm_buf *a);
/* Instruction k is about to change these host registers. */
void flags_before_write(struct xl *x, int k, u16 host_regs, bool pure);
void flags_probe(struct bt *t);

/* ---- memop.c ---- */
/* Checks instruction k's memory operand; x->ref is where the host has it. Destroys flags, S1, S2;
 * S1 may be part of x->ref. */
void mem_operand(struct xl *x, int k, const struct insn *i, const struct mem_use *u);
/* The same for what is disp bytes from a host register that holds a guest's. */
void mem_base(struct xl *x, int k, int base, i32 disp, u32 size, bool write, u8 what);
/* The same by SS, in segmented code: d bytes from the stack pointer, or RBP, in 16 or 32 bits. */
void mem_stack(struct xl *x, int k, int base, i32 d, u32 size, bool write, u8 what);
/* REP MOVS and STOS, page by page. False: nothing was emitted. */
bool mem_rep(struct xl *x, int k);
enum { REP_MOST = 65536 }; /* elements at once in host code: nobody waits long */
/* Ways out of a repetition that is not for host code: downwards, or something is pending, for which
 * it pauses at the end of a page. Flags go. */
void mem_rep_allowed(struct xl *x, int k);
/* For a repetition upwards by RDI and (source) RSI. How many elements lie in the pages where the
 * pointers are, RCX at the most: FRAME_COUNT, at least one, and what is left then, FRAME_REST. */
void mem_rep_count(struct xl *x, int k, bool source, int scale);
/* S1 (source) and S2: what to add to RSI and RDI for the host's addresses. */
void mem_rep_pointers(struct xl *x, int k, bool source, bool write, u8 *retry);
/* A field of 8 bytes of a site's entry, in struct cpu. */
static inline size_t site_field(size_t field, u32 site)
{
    return offsetof(struct cpu, mmu.sites) + field + 8 * (size_t)site;
}
/* `to`: the place of an address's page in a view's TLB (a struct tlb_entry *; `tlb`: where struct
 * cpu has that). Flags go. */
void e_tlb_slot(struct asm_buf *a, int to, int address, size_t tlb);
/* Code of a way out whose access went by a site's entry: fills it and tries again, or falls
 * through. */
void mem_miss(struct xl *x, const struct way_out *w);
/* Encoding of x->ref: a REX prefix, and ModRM with what follows. */
void mem_rex(struct xl *x, bool w, int reg);
void mem_modrm(struct xl *x, int reg);
bool mem_simple(const struct xl *x, const struct insn *i);
/* LEA. Flags stay. */
void mem_lea(struct xl *x, int k, const struct insn *i);

/* ---- segload.c ---- */
void make_segment_thunks(struct bt *t);
/* MOV, POP: the block's last instruction. */
bool emit_seg_move(struct xl *x, int k);
bool emit_seg_pop(struct xl *x, int k);
bool emit_far_pointer(struct xl *x, int k, int s); /* LDS and the like, where that is all */
bool emit_verw(struct xl *x, int k);

/* ---- constant.c ---- */
/* Instruction k with its constant from where the block keeps it. False: not one whose constant is
 * rewritten, or nothing was emitted. */
bool emit_constant(struct xl *x, int k);

/* ---- strings.c ---- */
/* REP CMPS and SCAS, page by page. */
bool emit_rep_compare(struct xl *x, int k); /* false: not here, nothing was emitted */
/* Strings without REP. */
bool emit_string(struct xl *x, int k); /* the same */

/* ---- cpuid.c ---- */
void make_cpuid_thunk(struct bt *t);
void emit_cpuid(struct xl *x, int k);

/* ---- syscall.c ---- */
/* The block's last instruction that goes to another privilege level, and to the block there.
 * False: not here, nothing was emitted. */
bool emit_syscall(struct xl *x, int k);

/* ---- system.c ---- */
/* cpu->view and tlb become this view. Destroys S1; flags stay. */
void e_view(struct asm_buf *a, int view);
bool emit_system(struct xl *x, int k); /* false: not here, nothing was emitted */
/* The same for what may change what the run loop watches, but rarely does; the block's edge
 * follows. */
bool emit_system_end(struct xl *x, int k);

/* ---- rewrite.c ---- */
/* The guest's number of a general register of any size; -1: it is something else. */
int xl_gpr(ZydisRegister r);
/* Stores them; flags stay, S2 is destroyed. Once for a run of such instructions: whoever lets
 * somebody look calls x87_flush first. */
void x87_store(struct xl *x, const struct x87_note *n);
static inline void x87_flush(struct xl *x)
{
    x87_store(x, &x->x87);
    x->x87 = (struct x87_note){0};
}
/* Copies instruction k, decoded in x->d and ops. False: not possible, nothing was emitted. */
bool copy_insn(struct xl *x, int k);

/* ---- view.c, for those who look on ---- */
enum status view_init(struct bt *t, struct error *err);
void view_fini(struct bt *t);
void view_forked(struct bt *t);
void view_note(struct xl *x, enum bt_part part, int k);
void view_block(struct xl *x, const u8 *start);
/* What comes next in the host code. */
static always_inline void view_mark(struct xl *x, enum bt_part part, int k)
{
    if (unlikely(x->t->view))
        view_note(x, part, k);
}
/* Into the statistics: the instructions of b, when x->how has them; the translation, when it is
 * complete. */
void count_rows(struct xl *x);
void count_block(struct xl *x);

/* ---- perfmap.c, jitdump.c ---- */
struct perf_file;
/* NULL: that file cannot be written; err says why. */
struct perf_file *perfmap_open(struct error *err);
struct perf_file *jitdump_open(struct error *err);
void perf_add(struct perf_file *p, const u8 *rx, const u8 *code, u64 size, const char *name);
void perf_close(struct perf_file *p); /* NULL is fine */

/* ---- superblock.c ---- */
/* A slice ended at this block's start; its translation is not running. */
void super_sample(struct cpu *c, struct block *b);
/* Stress: the block has just been linked to another one. */
void super_eager(struct cpu *c, struct block *b);
/* Head's translation goes on with a block that is dead. */
void super_undo(struct cpu *c, struct block *head);

/* ---- runtime.c: called by host code ---- */
void unlink_edges_to(struct bt *t, struct block *b);
struct next {
    const u8 *code;          /* to jump to with the guest's registers loaded, or NULL */
    const struct insn *insn; /* else what the interpreter dispatches; NULL: the run loop */
};
u64 bt_exec(struct cpu *c, const struct insn *place);
struct next bt_edge(struct cpu *c, struct block *b, u32 edge);
struct next bt_event(struct cpu *c, const struct insn *place);
struct next bt_refused(struct cpu *c, struct block *b, struct block *head);
const struct insn *bt_strange(struct cpu *c, const struct insn *i);
u64 bt_vec_enter(struct cpu *c, u32 need);

#endif
