/*
 * bt/cache.c - the memory of host code, and the thunks at its start that every block uses.
 *
 * One memfd mapped twice, writable and executable, never both. Code is laid down in order; when the
 * room is used up all of it is forgotten at once, together with the decoded blocks, at the start of
 * a build, when no block runs.
 */
#include "bt/bt_priv.h"
#include "base/log.h"
#include "bt/refill_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- state ---------------------------------------------------------------------------------- */
static void regs(struct asm_buf *a, u8 op)
{
    for (int g = 15; g >= 0; g--) /* RAX last, so that flags can be loaded with it */
        if (host_of(g) != H_NONE)
            e_gs(a, true, op, host_of(g), CPU_GPR(g));
}

/* The frame to struct cpu, or from there; rsp is `below` bytes under it. Destroys RAX. */
static void frame(struct asm_buf *a, bool store, int below)
{
    for (int k = 0; k < 4; k++) {
        int at = (k < 3 ? FRAME_R13 + 8 * k : FRAME_LEFT) + below;
        size_t gs = k < 3 ? CPU_GPR(13 + k) : offsetof(struct cpu, left);
        if (store) {
            e_frame(a, true, OP_LOAD, H_RAX, at);
            e_gs(a, true, OP_STORE, H_RAX, gs);
        } else {
            e_gs(a, true, OP_LOAD, H_RAX, gs);
            e_frame(a, true, OP_STORE, H_RAX, at);
        }
    }
}

static void store_regs(struct asm_buf *a, int below)
{
    regs(a, OP_STORE);
    frame(a, true, below);
}
static void load_regs(struct asm_buf *a, int below)
{
    frame(a, false, below);
    regs(a, OP_LOAD);
}

static void gs_modrm(struct asm_buf *a, int reg, size_t off)
{
    E(a, (u8)((reg & 7) << 3 | 4), 0x25);
    e4(a, (u32)off);
}

static size_t xmm_at(int n)
{
    return offsetof(struct cpu, xs.legacy) + 160 + 16 * (size_t)n;
}
static size_t ymm_at(int n)
{
    return offsetof(struct cpu, xs.ymm_hi) + 16 * (size_t)n;
}

/* test byte gs:[vec_state], bits; jz: where to land when none of them is set */
static u8 *unless(struct asm_buf *a, u8 bits)
{
    E(a, 0x65, 0xf6);
    gs_modrm(a, 0, offsetof(struct cpu, vec_state));
    e1(a, bits);
    return e_jcc(a, CC_E);
}

/* The upper halves only when they are live. Loading the lower ones zeroes them: legacy SSE code
 * whose registers have upper halves in use would wait for those at every instruction. */
static void vectors(struct bt *t, struct asm_buf *a, bool store)
{
    for (int n = 0; n < 16; n++) {
        e1(a, 0x65);
        if (t->wide) /* vmovups */
            E(a, 0xc5, (u8)(n < 8 ? 0xf8 : 0x78), store ? 0x11 : 0x10);
        else {
            e_rex(a, false, n, 0, 0);
            E(a, 0x0f, store ? 0x11 : 0x10);
        }
        gs_modrm(a, n, xmm_at(n));
    }
    if (!t->wide)
        return;
    u8 *over = unless(a, VEC_AVX);
    for (int n = 0; n < 16; n++) {
        u8 vvvv = store ? 15 : (u8)(~n & 15);
        E(a, 0x65, 0xc4, (u8)(0x63 | (n < 8 ? 0x80 : 0)), (u8)(vvvv << 3 | 5), store ? 0x19 : 0x18);
        gs_modrm(a, n, ymm_at(n));
        e1(a, 1);
    }
    e_land(a, over);
}

static u8 *unless_live(struct asm_buf *a)
{
    return unless(a, VEC_LIVE);
}

static void save_vectors(struct bt *t, struct asm_buf *a, bool forget)
{
    u8 *over = unless_live(a);
    vectors(t, a, true);
    e_land(a, over);
    if (forget) {
        E(a, 0x65, 0xc7);
        gs_modrm(a, 0, offsetof(struct cpu, vec_state));
        e4(a, 0);
    }
}

/* r14: the block. cpu->block and the block's RIP. Destroys RAX. */
static void set_block(struct asm_buf *a)
{
    e_gs(a, true, OP_STORE, S1, offsetof(struct cpu, block));
    e_rm(a, true, OP_LOAD, H_RAX, S1, offsetof(struct block, hot_rip));
    e_gs(a, true, OP_STORE, H_RAX, CPU_GPR(GPR_BLOCK));
}

static void call_c(struct asm_buf *a, const void *fn)
{
    e_imm(a, H_RAX, (u64)(uintptr_t)fn);
    E(a, 0xff, 0xd0);
}

static void load_flags(struct asm_buf *a)
{
    E(a, 0x65, 0x0f, 0xb7); /* movzx eax, word gs:[fl] */
    gs_modrm(a, H_RAX, offsetof(struct cpu, fl));
    E(a, 0x04, 0x7f, 0x9e); /* add al, 7fh; sahf */
}

/* lea rsi, [r14 + r15 + insn]: the instruction r15 bytes into the block's */
static void point_to_insn(struct asm_buf *a)
{
    e_lea(a, true, H_RSI, S1, S2, 0, (i32)offsetof(struct block, insn));
}

static void add_rsp_8(struct asm_buf *a)
{
    E(a, 0x48, 0x83, 0xc4, 0x08);
}

static void pop_saved(struct asm_buf *a)
{
    E(a, 0x48, 0x83, 0xc4, FRAME_SIZE);
    E(a, 0x41, 0x5f, 0x41, 0x5e, 0x41, 0x5d, 0x41, 0x5c, 0x5d, 0x5b);
}

/* op reg, gs:[r14 * (1 << scale) + off] */
static void gs_s1(struct asm_buf *a, bool w, u8 op, int reg, int scale, size_t off)
{
    E(a, 0x65, (u8)(0x42 | w << 3 | (reg >> 3) << 2), op, (u8)((reg & 7) << 3 | 4),
      (u8)(scale << 6 | (S1 & 7) << 3 | 5));
    e4(a, (u32)off);
}

/* call; r14 an address: the TLB's first level gets its entry. ZF: it could not. */
static u8 *make_refill(struct asm_buf *a, bool write)
{
    u8 *start = a->p;
    E(a, 0x50, 0x57, 0x56); /* push rax, rdi, rsi */
    e_gs(a, true, OP_LOAD, H_RDI, offsetof(struct cpu, self));
    e_mov_rr(a, true, H_RSI, S1);
    call_c(a, write ? (const void *)bt_refill_write : (const void *)bt_refill_read);
    E(a, 0x85, 0xc0, 0x5e, 0x5f, 0x58, 0xc3); /* test eax, eax; pop ... */
    return start;
}

/* call; r14d a key, r15 a tag: r14 as find_block leaves it. ZF: not found. */
static u8 *make_find(struct asm_buf *a)
{
    u8 *start = a->p;
    E(a, 0x50, 0x57, 0x56, 0x52); /* push rax, rdi, rsi, rdx */
    e_gs(a, true, OP_LOAD, H_RDI, offsetof(struct cpu, self));
    e_mov_rr(a, true, H_RSI, S2);
    e_mov_rr(a, false, H_RDX, S1);
    call_c(a, (const void *)bt_find_target);
    e_lea(a, true, S1, H_RAX, H_NONE, 0, -1);
    E(a, 0x85, 0xc0, 0x5a, 0x5e, 0x5f, 0x58, 0xc3); /* test eax, eax; pop ... */
    return start;
}

/* call; r14 an address, r15d a size: r14 becomes where the host may write, or read, this once. ZF:
 * nowhere. */
static u8 *make_apart(struct asm_buf *a, bool write)
{
    u8 *start = a->p;
    E(a, 0x50, 0x57, 0x56, 0x52); /* push rax, rdi, rsi, rdx */
    e_gs(a, true, OP_LOAD, H_RDI, offsetof(struct cpu, self));
    e_mov_rr(a, true, H_RSI, S1);
    e_mov_rr(a, false, H_RDX, S2);
    call_c(a, write ? (const void *)bt_code_page : (const void *)bt_read_across);
    e_mov_rr(a, true, S1, H_RAX);
    E(a, 0x48, 0x85, 0xc0, 0x5a, 0x5e, 0x5f, 0x58, 0xc3); /* test rax, rax; pop ... */
    return start;
}

/* call; r14, r15 as the comparison of an access left them: r14 becomes the address. ZF: the access
 * crosses a page, or the entry is not to be had. */
static u8 *make_tlb_miss(struct bt *t, bool write, int log)
{
    struct asm_buf *a = &t->a;
    u8 *start = a->p;
    e_rm(a, true, OP_LOAD_XOR, S1, S2,
         (i32)(write ? offsetof(struct tlb_entry, wtag) : offsetof(struct tlb_entry, rtag)));
    e_lea(a, true, S2, S1, H_NONE, 0, (1 << log) - 1);
    e_rr(a, true, 0x31, S1, S2);
    E(a, 0x49, 0xf7, 0xc7); /* test r15, -4096 */
    e4(a, (u32)-4096);
    e_patch(a, e_jcc(a, CC_E), t->refill[write]);
    e_rr(a, false, 0x31, S2, S2);
    e1(a, 0xc3);
    return start;
}

/* call; r14 the site, r15 an address: copies the TLB's entry. ZF: done. Destroys r15. A miss soon
 * after the last one costs the place some of its patience. */
static u8 *make_fill(struct bt *t, bool write, enum fill how)
{
    struct asm_buf *a = &t->a;
    size_t s = offsetof(struct cpu, mmu.sites);
    size_t tag = write ? offsetof(struct tlb_entry, wtag) : offsetof(struct tlb_entry, rtag);
    u8 *start = a->p, *wild = NULL;
    E(a, 0x50, 0x51); /* push rax, rcx */
    if (how == FILL_COUNTED) {
        e_frame(a, false, OP_LOAD, H_RAX, FRAME_LEFT + 24); /* two pushes, one call */
        gs_s1(a, false, OP_LOAD, H_RCX, 2, s + offsetof(struct site_cache, last));
        gs_s1(a, false, OP_STORE, H_RAX, 2, s + offsetof(struct site_cache, last));
        e_rr(a, false, 0x29, H_RAX, H_RCX);
        E(a, 0x81, 0xf9); /* cmp ecx, SITE_SOON */
        e4(a, SITE_SOON);
        u8 *rare = e_jcc(a, CC_A);
        e1(a, 0x66); /* dec word */
        gs_s1(a, false, 0xff, 1, 1, s + offsetof(struct site_cache, patience));
        wild = e_jcc(a, CC_E);
        e_land(a, rare);
    }
    u8 *again = a->p;
    e_tlb_slot(a, H_RAX, S2,
               how == FILL_KERNEL ? offsetof(struct cpu, sys_tlb) : offsetof(struct cpu, tlb));
    e_mov_rr(a, true, H_RCX, S2);
    e_rm(a, true, OP_LOAD_XOR, H_RCX, H_RAX, (i32)tag);
    E(a, 0x48, 0x81, 0xf9); /* cmp rcx, 4095 */
    e4(a, 4095);
    u8 *miss = e_jcc(a, CC_A);
    E(a, 0x49, 0x81, 0xe7); /* and r15, -4096 */
    e4(a, (u32)-4096);
    gs_s1(a, true, OP_STORE, S2, 3, s + offsetof(struct site_cache, tag));
    e_rm(a, true, OP_LOAD, H_RCX, H_RAX, (i32)offsetof(struct tlb_entry, add));
    gs_s1(a, true, OP_STORE, H_RCX, 3, s + offsetof(struct site_cache, add));
    E(a, 0x65, 0xc6); /* mov byte gs:[used], 1 */
    gs_modrm(a, 0, s + offsetof(struct site_cache, used));
    E(a, 1, 0x31, 0xc0); /* xor eax, eax */
    u8 *out = a->p;
    E(a, 0x59, 0x58, 0xc3);
    e_land(a, miss);
    if (how != FILL_KERNEL) {   /* refill is for the current view */
        E(a, 0x4d, 0x87, 0xfe); /* xchg r14, r15 */
        e_patch(a, e_call(a), t->refill[write]);
        E(a, 0x4d, 0x87, 0xfe);
        e_patch(a, e_jcc(a, CC_NE), again);
    }
    if (how == FILL_COUNTED) {
        u8 *no = e_jmp(a);
        e_land(a, wild);
        E(a, 0x65, 0xc6);
        gs_modrm(a, 0, s + offsetof(struct site_cache, wild));
        e1(a, 1);
        e_land(a, no);
    }
    E(a, 0x83, 0xc8, 0x01); /* or eax, 1 */
    e_patch(a, e_jmp(a), out);
    return start;
}

static void make_thunks(struct bt *t)
{
    struct asm_buf *a = &t->a;

    u8 *exit_null = a->p;
    E(a, 0x31, 0xc0);
    u8 *exit = a->p;
    pop_saved(a);
    e1(a, 0xc3);

    for (int k = 0; k < 2; k++)
        t->refill[k] = make_refill(a, k);
    t->find_target = make_find(a);
    for (int k = 0; k < 2; k++)
        t->apart[k] = make_apart(a, k);
    for (int k = 0; k < 12; k++)
        t->tlb_miss[k & 1][k >> 1] = make_tlb_miss(t, k & 1, k >> 1);
    for (int k = 0; k < 6; k++)
        t->site_fill[k & 1][k >> 1] = make_fill(t, k & 1, (enum fill)(k >> 1));

    t->load_regs = a->p;
    load_regs(a, 8);
    e1(a, 0xc3);

    /* call; r14 block, r15 offset of the instruction: executes it. Flags from and to cpu->fl, and
     * into the host's. */
    t->slow = a->p;
    store_regs(a, 8);
    set_block(a);
    save_vectors(t, a, false);
    e_gs(a, true, OP_LOAD, H_RDI, offsetof(struct cpu, self));
    point_to_insn(a);
    E(a, 0x48, 0x83, 0xec, 0x08);
    call_c(a, (const void *)bt_exec);
    add_rsp_8(a);
    E(a, 0x85, 0xc0);
    u8 *dead = e_jcc(a, CC_NE);
    u8 *over = unless_live(a);
    vectors(t, a, false);
    e_land(a, over);
    frame(a, false, 8);
    load_flags(a);
    regs(a, OP_LOAD);
    e1(a, 0xc3);
    e_land(a, dead);
    add_rsp_8(a); /* the return address */
    e_patch(a, e_jmp(a), exit_null);

    /* jmp; r14 block, r15 offset: to the interpreter's handler of that instruction */
    t->tail = a->p;
    store_regs(a, 0);
    set_block(a);
    save_vectors(t, a, true);
    e_gs(a, true, OP_LOAD, H_RDI, offsetof(struct cpu, self));
    e_mov_rr(a, false, H_RAX, S2);
    E(a, 0x83, 0xe0, BT_EXIT_BITS, 0x41, 0x83, 0xe7, (u8)~BT_EXIT_BITS); /* and eax; and r15d */
    e_rm(a, true, OP_LOAD, H_RCX, H_RDI, offsetof(struct cpu, engine_ctx));
    E(a, 0x48, 0xff, 0x84, 0xc1); /* inc qword [rcx + rax * 8 + exits] */
    e4(a, offsetof(struct bt, stats.exits));
    point_to_insn(a);
    e_rm(a, true, OP_LOAD, H_RAX, H_RSI, offsetof(struct insn, run));
    e_rr(a, false, 0x85, S2, S2);
    E(a, 0x49, 0x0f, 0x44, 0x86); /* cmovz rax, [r14 + first]: insn[0].run is the way in here */
    e4(a, offsetof(struct block, first));
    pop_saved(a);
    E(a, 0xff, 0xe0);

    /* jmp; r14 block, r15 offset: executes its last instruction and goes on where that leads to */
    t->event = a->p;
    store_regs(a, 0);
    set_block(a);
    save_vectors(t, a, true);
    e_gs(a, true, OP_LOAD, H_RDI, offsetof(struct cpu, self));
    point_to_insn(a);
    call_c(a, (const void *)bt_event);
    u8 *go_on = e_jmp(a);

    /* jmp; r14 block: it may not be entered */
    t->refuse = a->p;
    store_regs(a, 0);
    save_vectors(t, a, true);
    e_gs(a, true, OP_LOAD, H_RDI, offsetof(struct cpu, self));
    e_mov_rr(a, true, H_RSI, S1);
    e_mov_rr(a, true, H_RDX, S2);
    call_c(a, (const void *)bt_refused);
    u8 *go_on_too = e_jmp(a);

    /* jmp; r14 block, r15 edge: to the next block */
    t->edge_exit = a->p;
    store_regs(a, 0);
    save_vectors(t, a, true);
    e_gs(a, true, OP_LOAD, H_RDI, offsetof(struct cpu, self));
    e_mov_rr(a, true, H_RSI, S1);
    e_mov_rr(a, false, H_RDX, S2);
    call_c(a, (const void *)bt_edge);
    e_land(a, go_on);
    e_land(a, go_on_too);
    e_rr(a, true, 0x85, H_RAX, H_RAX);
    u8 *out = e_jcc(a, CC_E);
    e_mov_rr(a, true, S1, H_RAX);
    load_regs(a, 0);
    E(a, 0x41, 0xff, 0xe6); /* jmp r14 */
    e_land(a, out);
    e_mov_rr(a, true, H_RAX, H_RDX);
    e_patch(a, e_jmp(a), exit);

    /* call; r15 needed bits: vector state live if allowed; ZF: it is not */
    t->vec_enter = a->p;
    regs(a, OP_STORE);
    save_vectors(t, a, false);
    e_gs(a, true, OP_LOAD, H_RDI, offsetof(struct cpu, self));
    e_mov_rr(a, false, H_RSI, S2);
    E(a, 0x48, 0x83, 0xec, 0x08);
    call_c(a, (const void *)bt_vec_enter);
    add_rsp_8(a);
    e_gs(a, false, OP_STORE, H_RAX, offsetof(struct cpu, vec_state));
    u8 *none = unless_live(a);
    vectors(t, a, false);
    e_land(a, none);
    E(a, 0x85, 0xc0);
    regs(a, OP_LOAD);
    e1(a, 0xc3);
    make_segment_thunks(t);
    make_cpuid_thunk(t);
    CHECK(!a->full);
}

enum status cache_init(struct bt *t, struct error *err)
{
    t->size = t->cfg.cache_size ? t->cfg.cache_size : 32 * MIB;
    int fd = memfd_create("trivisor-bt", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, (off_t)t->size) < 0) {
        int e = errno;
        if (fd >= 0)
            close(fd);
        return fail(err, status_from_errno(e), "no memory for translated code: %s", strerror(e));
    }
    t->rw = mmap(NULL, t->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    u8 *rx = mmap(NULL, t->size, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
    int e = errno;
    close(fd);
    t->edges = calloc(MAX_EDGES, sizeof(*t->edges));
    t->faults = calloc(MAX_FAULTS, sizeof(*t->faults));
    t->costs = calloc(MAX_COSTS, sizeof(*t->costs));
    t->supers = calloc(MAX_SUPERS, sizeof(*t->supers));
    if (rx == MAP_FAILED || t->rw == MAP_FAILED || !t->edges || !t->faults || !t->costs ||
        !t->supers) {
        if (t->rw == MAP_FAILED)
            t->rw = NULL;
        if (rx != MAP_FAILED)
            munmap(rx, t->size);
        cache_fini(t);
        return fail(err, ST_UNSUP, "the host refuses memory for translated code: %s", strerror(e));
    }
    t->to_rx = rx - t->rw;
    t->a = (struct asm_buf){.p = t->rw, .end = t->rw + t->size};
    make_thunks(t);
    t->after_thunks = t->a.p;
    cache_reset(t);
    return ST_OK;
}

bool bt_forked(struct cpu *cpu)
{
    struct bt *t = bt_of(cpu);
    if (!t || !t->rw)
        return true;
    int fd = memfd_create("trivisor-bt", MFD_CLOEXEC);
    ssize_t used = t->a.p - t->rw;
    bool ok =
        fd >= 0 && ftruncate(fd, (off_t)t->size) == 0 && pwrite(fd, t->rw, (size_t)used, 0) == used;
    u8 *rx = t->rw + t->to_rx;
    ok = ok && mmap(t->rw, t->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == t->rw;
    ok = ok && mmap(rx, t->size, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED, fd, 0) == rx;
    if (fd >= 0)
        close(fd);
    view_forked(t);
    return ok;
}

void cache_fini(struct bt *t)
{
    if (t->rw) {
        munmap(t->rw + t->to_rx, t->size);
        munmap(t->rw, t->size);
    }
    t->rw = NULL;
    free(t->edges);
    free(t->faults);
    free(t->costs);
    free(t->supers);
    t->edges = NULL;
    t->faults = NULL;
    t->costs = NULL;
    t->supers = NULL;
}

void cache_reset(struct bt *t)
{
    t->a = (struct asm_buf){.p = t->after_thunks, .end = t->rw + t->size};
    t->n_edges = t->n_faults = t->n_costs = t->n_supers = t->n_probes = 0;
    t->full = false;
    t->stats.resets += t->stats.insns_now > 0;
    t->stats.code_bytes = t->stats.insns_now = 0;
}
