/*
 * machine/trace.c - from the CPU's block entries to numbered blocks.
 *
 * The dictionary: a block is known by where it stands (linear and physical address, CS, mode) and
 * by its bytes. Decoded blocks remember their number (struct trace_mark), so that only the first
 * entry after decoding, or at another address, searches. It is bounded: when full, everything is
 * forgotten and numbering starts again (the epoch makes old marks void).
 */
#include "machine/trace.h"
#include "machine/vm_priv.h"
#include "base/bits.h"
#include "base/log.h"

#include <stdlib.h>
#include <string.h>

enum {
    MAX_BLOCKS = 1 << 20,
    MAX_BYTES = 64 << 20,
    HASH_SIZE = 1 << 21,
    FIRST_ROOM = 4096,
};

struct entry {
    struct vm_trace_block b; /* bytes: NULL, see `at` */
    gpa phys2;
    u32 key;
    u32 hash;
    u32 at; /* of its bytes */
};

struct trace {
    struct vm_tracer user;
    struct cpu_tracer tracer;
    struct vm *vm;
    bool off;                /* ended inside a callback */
    const struct insn *step; /* being stepped over; NULL: cpu->cur */
    u32 epoch;
    u32 n, room;
    struct entry *entries;
    u8 *bytes;
    u32 n_bytes;
    u32 *slots; /* number + 1, 0 free; HASH_SIZE */
};

static u32 hash_bytes(const u8 *p, u32 n, u64 h)
{
    for (; n >= 8; n -= 8, p += 8)
        h = (h ^ ld_u64(p)) * 0x9e3779b97f4a7c15ull, h ^= h >> 29;
    for (; n; n--, p++)
        h = (h ^ *p) * 0x100000001b3ull;
    return (u32)(h >> 32) ^ (u32)h;
}

static void forget(struct trace *t)
{
    t->epoch++;
    t->n = t->n_bytes = 0;
    memset(t->slots, 0, HASH_SIZE * sizeof(*t->slots));
    if (t->user.forget)
        t->user.forget(t->user.ctx);
}

/* Its bytes, or zeros. At most two pages. */
static void fetch(struct vm *vm, const struct trace_block *tb, u32 len, u8 *to)
{
    u32 head = MIN(len, (u32)(PAGE_SIZE - (tb->phys & ~PAGE_MASK)));
    memset(to, 0, len);
    if (!tb->plain)
        return;
    space_read_bulk(vm->mem, tb->phys, to, head);
    if (len > head)
        space_read_bulk(vm->mem, tb->phys2 & PAGE_MASK, to + head, len - head);
}

static bool same(const struct trace *t, const struct entry *a, const struct entry *e,
                 const u8 *bytes)
{
    return a->hash == e->hash && a->b.rip == e->b.rip && a->b.lin == e->b.lin &&
           a->b.phys == e->b.phys && a->phys2 == e->phys2 && a->key == e->key &&
           a->b.cs == e->b.cs && a->b.n == e->b.n && a->b.len == e->b.len &&
           !memcmp(t->bytes + a->at, bytes, e->b.len);
}

static u32 add(struct trace *t, struct entry *e, const u8 *bytes)
{
    if (t->n == t->room) {
        u32 room = t->room ? t->room * 2 : FIRST_ROOM;
        struct entry *p = realloc(t->entries, room * sizeof(*p));
        CHECK(p); /* the host's memory: as everywhere while the VM runs */
        t->entries = p;
        t->room = room;
    }
    u32 id = t->n++;
    e->at = t->n_bytes;
    memcpy(t->bytes + e->at, bytes, e->b.len);
    t->n_bytes += e->b.len;
    t->entries[id] = *e;
    struct vm_trace_block b = e->b;
    b.bytes = t->bytes + e->at;
    t->user.define(t->user.ctx, id, &b);
    return id;
}

/* The number of the block (or of its first instruction alone) at cpu->rip. */
static noinline u32 resolve(struct trace *t, struct cpu *cpu, const struct trace_mark *m, bool one)
{
    struct trace_block tb;
    u8 bytes[1024];
    trace_block_of(m, &tb);
    u32 mode = tb.key & KEY_DMODE, len = one ? tb.first_len : tb.bytes;
    struct entry e = {
        .b = {.rip = cpu->rip,
              .lin = mode == KEY_64 ? cpu->rip : (u32)(cpu->seg[SEG_CS].base + cpu->rip),
              .phys = tb.phys,
              .n = (u16)(one ? 1 : tb.n),
              .len = (u16)MIN(len, (u32)sizeof(bytes)),
              .cs = cpu->seg[SEG_CS].sel,
              .bits = mode == KEY_64   ? 64
                      : mode == KEY_32 ? 32
                                       : 16,
              .user = tb.key & KEY_USER},
        .phys2 = tb.phys2,
        .key = tb.key,
    };
    fetch(t->vm, &tb, e.b.len, bytes);
    e.hash = hash_bytes(bytes, e.b.len, e.b.lin * 31 + tb.phys * 7 + tb.key + e.b.n);
    u32 s = e.hash & (HASH_SIZE - 1);
    for (; t->slots[s]; s = (s + 1) & (HASH_SIZE - 1))
        if (same(t, &t->entries[t->slots[s] - 1], &e, bytes))
            return t->slots[s] - 1;
    if (t->n == MAX_BLOCKS || t->n_bytes + e.b.len > MAX_BYTES) {
        forget(t);
        s = e.hash & (HASH_SIZE - 1);
    }
    u32 id = add(t, &e, bytes);
    t->slots[s] = id + 1;
    return id;
}

static void on_block(void *ctx, struct cpu *cpu, struct trace_mark *m)
{
    struct trace *t = ctx;
    if (unlikely(t->off))
        return;
    if (unlikely(m->rip != cpu->rip || m->epoch != t->epoch)) {
        m->tag = resolve(t, cpu, m, false);
        m->rip = cpu->rip;
        m->epoch = t->epoch;
    }
    t->user.enter(t->user.ctx, m->tag, t->entries[m->tag].b.n);
}

static void on_step(void *ctx, struct cpu *cpu, struct trace_mark *m)
{
    struct trace *t = ctx;
    struct trace_block tb;
    if (t->off)
        return;
    trace_block_of(m, &tb);
    t->step = tb.insn;
    t->user.enter(t->user.ctx, resolve(t, cpu, m, true), 1);
    t->step = NULL;
}

const struct insn *trace_insn(const struct vm *vm)
{
    const struct trace *t = vm->trace;
    return !t || t->off ? NULL : t->step ? t->step : vm->cpu->cur;
}

static void on_event(void *ctx, struct cpu *cpu, enum cpu_trace_event ev, u32 a, u64 b, u64 c)
{
    static const u8 kinds[TRACE_EVENTS] = {
        [TRACE_EXCEPTION] = VM_TRACE_EXCEPTION,
        [TRACE_INTERRUPT] = VM_TRACE_INTERRUPT,
        [TRACE_NMI] = VM_TRACE_NMI,
        [TRACE_RESTART] = VM_TRACE_RESTART,
        [TRACE_CUT] = VM_TRACE_CUT,
        [TRACE_RESET] = VM_TRACE_RESET,
        [TRACE_SOFT] = VM_TRACE_SOFT,
        [TRACE_IN] = VM_TRACE_IN,
        [TRACE_OUT] = VM_TRACE_OUT,
        [TRACE_RDMSR] = VM_TRACE_RDMSR,
        [TRACE_WRMSR] = VM_TRACE_WRMSR,
        [TRACE_CR] = VM_TRACE_CR,
        [TRACE_HYPERCALL] = VM_TRACE_HYPERCALL,
    };
    struct trace *t = ctx;
    struct vm_trace_event e = {.kind = kinds[ev], .a = a, .b = b, .c = c};
    if (t->off)
        return;
    if (ev > TRACE_RESET)
        e.at = (u8)trace_position(cpu);
    t->user.event(t->user.ctx, &e);
}

void vm_trace_start(struct vm *vm, const struct vm_tracer *user)
{
    struct trace *t = vm->trace;
    if (!t) {
        t = calloc(1, sizeof(*t));
        CHECK(t);
        t->bytes = malloc(MAX_BYTES);
        t->slots = calloc(HASH_SIZE, sizeof(*t->slots));
        CHECK(t->bytes && t->slots);
        t->epoch = 1; /* marks start with 0 */
        t->vm = vm;
        vm->trace = t;
    } else {
        CHECK(t->off);
        t->epoch++;
        t->n = t->n_bytes = 0;
        memset(t->slots, 0, HASH_SIZE * sizeof(*t->slots));
    }
    t->off = false;
    t->user = *user;
    t->tracer = (struct cpu_tracer){.ctx = t,
                                    .block = on_block,
                                    .step = on_step,
                                    .event = on_event,
                                    .n_splits = user->n_splits};
    memcpy(t->tracer.split, user->split, sizeof(t->tracer.split));
    vm->cpu->block_max = user->single ? 1 : vm->block_max;
    cpu_set_tracer(vm->cpu, &t->tracer);
}

void vm_trace_end(struct vm *vm)
{
    if (!vm->trace || vm->trace->off)
        return;
    vm->trace->off = true;
    vm->cpu->block_max = vm->block_max;
    cpu_set_tracer(vm->cpu, NULL);
}

void trace_engine_changed(struct vm *vm)
{
    if (!vm->trace->off && vm->trace->user.single)
        vm->cpu->block_max = 1;
}

void vm_trace_stop(struct vm *vm)
{
    vm_trace_end(vm);
    vm->stop_wanted = 1;
    cpu_cut_slice(vm->cpu);
}

void trace_free(struct vm *vm)
{
    struct trace *t = vm->trace;
    if (!t)
        return;
    free(t->entries);
    free(t->bytes);
    free(t->slots);
    free(t);
    vm->trace = NULL;
}
