/*
 * cpu/blocks.c - the cache of decoded blocks: building, finding, and forgetting them when their
 * bytes are written.
 *
 * Invariants: every live block of RAM bytes is on a list of its page, that page carries RAM_CODE,
 * and its lines count the block; so a store to those lines finds it. Blocks of ROM and of pages
 * that are not plain memory are on no list (the latter are not cached at all).
 * Memory is one arena, emptied as a whole when full, and only between blocks.
 */
#include "cpu/breaks_priv.h"
#include "cpu/decode_priv.h"
#include "cpu/interp_priv.h"

#include <stdlib.h>
#include <sys/mman.h>

enum { ARENA_SIZE = 64 << 20, IDLE_WRITES = 64, MANY_KILLS = 8, PATIENCE = 400 };

static u32 hash_of(gpa phys, u32 key)
{
    u64 h = (phys ^ ((u64)key << 50)) * 0x9e3779b97f4a7c15ull;
    return (u32)(h >> (64 - HASH_BITS));
}

void blocks_new(struct cpu *cpu)
{
    struct blocks *b = calloc(1, sizeof(*b));
    CHECK(b);
    b->n_pages = cpu->ram ? cpu->ram->size >> PAGE_SHIFT : 0;
    b->pages = calloc(b->n_pages + 1, sizeof(*b->pages));
    b->arena_size = ARENA_SIZE;
    b->arena = mmap(NULL, b->arena_size, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    decode_index_rows(&b->first_row, &b->next_row);
    b->decoders = decode_new(cpu);
    b->memo = memo_new();
    CHECK(b->decoders && b->memo);
    CHECK(b->pages && b->arena != MAP_FAILED && b->first_row && b->next_row);
    cpu->blocks = b;
}

void blocks_free(struct cpu *cpu)
{
    struct blocks *b = cpu->blocks;
    if (!b)
        return;
    for (u64 k = 0; k < b->n_pages; k++)
        free(b->pages[k]);
    munmap(b->arena, b->arena_size);
    free(b->pages);
    free(b->decoders);
    free(b->memo);
    free(b->first_row);
    free(b->next_row);
    free(b);
    cpu->blocks = NULL;
}

static void kill_block(struct cpu *cpu, struct block *b)
{
    struct block **p = &cpu->blocks->hash[hash_of(b->phys, b->key)];
    while (*p && *p != b)
        p = &(*p)->hash_next;
    if (*p)
        *p = b->hash_next;
    if (b->hot)
        cpu->engine->killed(cpu, b);
    b->hot = NULL;        /* an engine may be gone, with its code, before dead blocks are */
    b->cost = BLOCK_DEAD; /* nobody enters it any more: links and the jump cache ask for the cost */
    if (b == cpu->block) {
        for (int k = 0; k < b->n; k++)
            b->insn[k].run = run_dead;
        block_sentinel(b)->run = run_dead;
    }
    cpu->n_invalidations++;
}

static int list_of(const struct block *b, const struct code_page *pg)
{
    return b->page[0] == pg ? 0 : 1;
}

/* Which bytes of pg the block has. */
struct extent {
    u32 first, last;
};
static struct extent extent_on(const struct block *b, const struct code_page *pg)
{
    u32 start = (u32)(b->phys & ~PAGE_MASK);
    u32 end = start + b->bytes - 1u;
    if (list_of(b, pg) == 1)
        return (struct extent){0, end - (u32)PAGE_SIZE};
    return (struct extent){start, MIN(end, (u32)PAGE_SIZE - 1)};
}

static void count_lines(const struct block *b, struct code_page *pg, u32 by)
{
    struct extent e = extent_on(b, pg);
    for (u32 line = e.first >> LINE_SHIFT; line <= e.last >> LINE_SHIFT; line++)
        pg->cover[line] += by;
    pg->n += by;
}

static void unlist(struct block *b, struct code_page *pg)
{
    struct block **p = &pg->start[extent_on(b, pg).first >> LINE_SHIFT];
    while (*p && *p != b)
        p = &(*p)->page_next[list_of(*p, pg)];
    if (!*p)
        return;
    *p = b->page_next[list_of(b, pg)];
    count_lines(b, pg, -1u);
    if (!pg->n)
        pg->longest = 0;
}

static void forget_block(struct cpu *cpu, struct block *b)
{
    for (int k = 0; k < 2; k++)
        if (b->page[k])
            unlist(b, b->page[k]);
    kill_block(cpu, b);
}

/* RAM bytes under cached code change: forget the blocks that overlap them. */
static void code_write(void *ctx, u64 off, u32 len)
{
    struct cpu *cpu = ctx;
    struct blocks *bs = cpu->blocks;
    u64 page = off >> PAGE_SHIFT;
    if (page >= bs->n_pages || !len)
        return;
    struct code_page *pg = bs->pages[page];
    if (!pg)
        return;
    u32 first = (u32)(off & ~PAGE_MASK);
    u32 last = MIN(first + len - 1, (u32)PAGE_SIZE - 1);
    u32 line = first >> LINE_SHIFT, last_line = last >> LINE_SHIFT;
    while (line < last_line && !pg->cover[line])
        line++;
    if (!pg->cover[line]) {
        /* Fast again only after a run of plain writes: a page that a JIT rewrites stays marked. */
        if (!pg->n && ++pg->idle_writes >= IDLE_WRITES) {
            cpu->ram->page_flags[page] &= (u8)~RAM_CODE;
            pg->idle_writes = 0;
        }
        return;
    }
    pg->idle_writes = 0;

    line = first > pg->longest ? (first - pg->longest) >> LINE_SHIFT : 0;
    for (; line <= last_line; line++) {
        for (struct block *b = pg->start[line], *next; b; b = next) {
            struct extent e = extent_on(b, pg);
            next = b->page_next[list_of(b, pg)];
            if (e.first > last || first > e.last || block_recode(cpu, b, pg, first, last))
                continue;
            forget_block(cpu, b);
            pg->kills++;
        }
    }
}

static void forget_all(struct cpu *cpu)
{
    struct blocks *bs = cpu->blocks;
    memset(bs->jc, 0, sizeof(bs->jc));
    memset(bs->hash, 0, sizeof(bs->hash));
    for (u64 k = 0; k < bs->n_pages; k++) {
        if (bs->pages[k]) {
            cpu->ram->page_flags[k] &= (u8)~RAM_CODE;
            free(bs->pages[k]);
            bs->pages[k] = NULL;
        }
    }
    bs->arena_used = 0;
    bs->flush_wanted = false;
    if (cpu->engine)
        cpu->engine->reset(cpu);
}

static u64 arena_size_of(const struct block *b)
{
    return align_up(sizeof(*b) + (b->n + 1u) * sizeof(struct insn), 64);
}

void blocks_flush(struct cpu *cpu)
{
    struct blocks *bs = cpu->blocks;
    if (!bs)
        return;
    /* The running block must not be entered again by its own links, nor anything linked. */
    for (u64 used = 0; used < bs->arena_used;) {
        struct block *b = (struct block *)(bs->arena + used);
        if (b->cost != BLOCK_DEAD)
            kill_block(cpu, b);
        used += arena_size_of(b);
    }
    bs->flush_wanted = true;
}

void blocks_forget_offset(struct cpu *cpu, u32 off)
{
    struct blocks *bs = cpu->blocks;
    for (u64 used = 0; used < bs->arena_used;) {
        struct block *b = (struct block *)(bs->arena + used);
        u32 at = off - (u32)(b->phys & ~PAGE_MASK); /* from the block's start; huge: before it */
        used += arena_size_of(b);
        if (b->cost == BLOCK_DEAD || at >= b->bytes)
            continue;
        for (int k = 0; k < b->n; k++) {
            if (b->insn[k].off == at) {
                forget_block(cpu, b);
                break;
            }
        }
    }
}

void blocks_leave_running(struct cpu *cpu)
{
    if (cpu->block && cpu->cur && cpu->block->cost != BLOCK_DEAD)
        forget_block(cpu, cpu->block);
}

static void list_block(struct cpu *cpu, struct block *b, int which, struct ram *ram, u64 ram_off)
{
    struct blocks *bs = cpu->blocks;
    u64 page = ram_off >> PAGE_SHIFT;
    if (ram != cpu->ram || page >= bs->n_pages)
        return;
    struct code_page *pg = bs->pages[page];
    if (!pg) {
        pg = calloc(1, sizeof(*pg));
        CHECK(pg);
        pg->off = ram_off & PAGE_MASK;
        bs->pages[page] = pg;
    }
    if (!(ram->page_flags[page] & RAM_CODE)) {
        ram->page_flags[page] |= RAM_CODE;
        ram->code_write = code_write;
        ram->code_ctx = cpu;
        mmu_drop_writable(&cpu->mmu, ram, ram_off);
    }
    b->page[which] = pg;
    struct block **head = &pg->start[extent_on(b, pg).first >> LINE_SHIFT];
    b->page_next[which] = *head;
    *head = b;
    count_lines(b, pg, 1);
    pg->longest = MAX(pg->longest, b->bytes);
}

/* An instruction that starts on this page and ends on the next (or cannot be told yet). */
static int decode_cross(struct cpu *cpu, const u8 *head, int head_len, gla lin, struct insn *i,
                        const struct itlb_entry **second)
{
    u8 bytes[32];
    memcpy(bytes, head, (size_t)head_len);
    /* faults with the address of the second page */
    const struct itlb_entry *e = mmu_fetch_page(&cpu->mmu, cpu->cpl == 3 ? VIEW_USER : VIEW_SUP,
                                                (lin & PAGE_MASK) + PAGE_SIZE);
    *second = e;
    for (int k = 0; k < 15; k++)
        bytes[head_len + k] = e->host ? e->host[k] : (u8)space_read(cpu->mem, e->phys + (u64)k, 1);
    return decode_insn(cpu, bytes, MIN(head_len + 15, 15), cpu->key, i);
}

/* Nobody tells of changes in devices, nor in RAM of theirs (a frame buffer): blocks from there run
 * once. */
static bool cacheable(const struct cpu *cpu, const struct itlb_entry *e)
{
    return e->host && (!e->ram || e->ram == cpu->ram);
}

static bool splits_at(const struct cpu_tracer *t, gla lin)
{
    for (int k = 0; k < t->n_splits; k++)
        if (t->split[k] == lin)
            return true;
    return false;
}

/* Decodes a block at lin, whose page is given, and enters it in the cache. */
static struct block *build(struct cpu *cpu, gla lin, const struct itlb_entry *page)
{
    struct blocks *bs = cpu->blocks;
    u64 max = sizeof(struct block) + (BLOCK_MAX + 1) * sizeof(struct insn);
    u32 start = (u32)(lin & ~PAGE_MASK);
    struct itlb_entry first = *page; /* fetching the second page may evict it */
    u8 scratch[16];
    bool once = !cacheable(cpu, &first);

    /* no block is running here, so nothing needs to be told */
    if (bs->flush_wanted || bs->arena_used + max + 64 > bs->arena_size)
        forget_all(cpu);
    struct block *b = (struct block *)(bs->arena + bs->arena_used);
    memset(b, 0, sizeof(*b));
    b->phys = first.phys | start;
    b->key = cpu->key;

    u32 off = 0, looked_at = 0,
        most = cpu->block_max ? MIN(cpu->block_max, (u32)BLOCK_MAX) : BLOCK_MAX;
    const struct itlb_entry *second = NULL;
    /* the fast handlers do what later models than the 8086 do */
    bool plain = cpu->plain || !cpu_has(cpu, FEAT_I186);
    while (b->n < most) {
        u32 here = start + off;
        if (here >= PAGE_SIZE || (b->n && cpu->tracer && splits_at(cpu->tracer, lin + off)))
            break;
        if (b->n && breaks_at_offset(cpu, here))
            break; /* it is checked at the start of a block */
        int avail = (int)MIN(15u, (u32)PAGE_SIZE - here);
        const u8 *bytes = first.host ? first.host + here : scratch;
        if (!first.host) {
            for (int k = 0; k < avail; k++)
                scratch[k] = (u8)space_read(cpu->mem, first.phys + here + (u64)k, 1);
        }
        struct insn *i = &b->insn[b->n];
        int len = decode_insn(cpu, bytes, avail, cpu->key, i);
        if (len == 0) {
            if (b->n)
                break; /* the next block starts with it */
            len = decode_cross(cpu, bytes, avail, lin, i, &second);
            if (len > 0 && len <= avail)
                second = NULL;
            if (len < 0) { /* refused for bytes of a page that nobody watches for this block */
                second = NULL;
                once = true;
            }
        }
        insn_place(i, (u16)off);
        i->run = i->flags & INF_EXIT     ? run_exit
                 : !plain                ? run_for(i, cpu->key)
                 : i->flags & INF_BRANCH ? run_branch
                                         : run_generic;
        off += i->len;
        b->n++;
        looked_at = off;
        if (len < 0) /* bytes behind the first may be why it is refused */
            looked_at = MIN(off - i->len + 15u, (u32)PAGE_SIZE - start);
        if (second || len < 0 || (i->flags & (INF_BRANCH | INF_EXIT)) || once)
            break;
    }
    fuse_last(b);
    bool stop = breaks_at_offset(cpu, start);
    if (cpu->tracer || stop) {
        b->first = b->insn[0].run;
        b->insn[0].run = stop ? run_break : run_traced;
    } else if (cpu->engine && !once && first.ram && (!second || second->ram == cpu->ram) && off) {
        b->first = b->insn[0].run;
        b->insn[0].run = run_counted;
    }
    b->hot_lin = NOT_HOT;
    b->bytes = (u16)looked_at;
    b->cost = b->n;
    struct sentinel *s = block_sentinel(b);
    memset(s, 0, sizeof(*s));
    s->run = run_fall;
    s->self = b;
    s->off = (u16)off;
    cpu->n_blocks++;
    b->cross = second != NULL || (once && first.host); /* the latter never in the jump cache */
    b->phys2 = second ? second->phys : 0;
    b->device = !first.host || (second && !second->host);
    if (once || (second && !cacheable(cpu, second)))
        return b; /* the arena space is reused by the next build */

    bs->arena_used += arena_size_of(b);
    if (first.ram)
        list_block(cpu, b, 0, first.ram, first.ram_off);
    if (b->page[0] && b->page[0]->kills > MANY_KILLS)
        b->heat = -PATIENCE;
    if (second && second->ram)
        list_block(cpu, b, 1, second->ram, second->ram_off);
    u32 h = hash_of(b->phys, b->key);
    b->hash_next = bs->hash[h];
    bs->hash[h] = b;
    return b;
}

/* The block at phys for use at lin. A translation is for one linear address (a library is at
 * another in each process), and one CS: a block that is translated for a different one runs
 * interpreted, until that happens so often that lin gets a block of its own. NULL: build it. */
static struct block *find(struct cpu *cpu, gpa phys, gla lin)
{
    struct block *other = NULL;
    for (struct block *b = cpu->blocks->hash[hash_of(phys, cpu->key)]; b; b = b->hash_next) {
        if (b->phys != phys || b->key != cpu->key)
            continue;
        if (!b->hot || hot_here(cpu, b, lin))
            return b;
        other = b;
    }
    if (!other || other->strange < BLOCK_STRANGE)
        return other;
    other->strange = 0;
    return NULL;
}

struct block *block_hot_near(struct cpu *cpu, const struct block *near, gla lin)
{
    gpa phys = (near->phys & PAGE_MASK) | (lin & ~PAGE_MASK);
    if ((lin ^ near->hot_lin) & PAGE_MASK)
        return NULL;
    for (struct block *b = cpu->blocks->hash[hash_of(phys, near->key)]; b; b = b->hash_next)
        if (b->phys == phys && b->key == near->key && b->hot && b->hot_lin == lin && !b->cross &&
            b->page[0] == near->page[0] && b->cost != BLOCK_DEAD)
            return b;
    return NULL;
}

enum cpu_code cpu_code_here(struct cpu *cpu)
{
    gla lin = linear_pc(cpu);
    gpa phys;
    if (!mmu_peek(&cpu->mmu, lin, &phys))
        return CPU_CODE_NEW;
    enum cpu_code best = CPU_CODE_NEW;
    for (const struct block *b = cpu->blocks->hash[hash_of(phys, cpu->key)]; b; b = b->hash_next) {
        if (b->phys != phys || b->key != cpu->key)
            continue;
        if (b->hot && hot_here(cpu, b, lin))
            return CPU_CODE_TRANSLATED;
        best = CPU_CODE_DECODED;
    }
    return best;
}

struct block *block_lookup(struct cpu *cpu)
{
    gla lin = linear_pc(cpu);
    struct blocks *bs = cpu->blocks;
    struct jc_entry *j = &bs->jc[jc_index(lin)];

    if (j->lin == lin && j->key == cpu->key && j->gen == cpu->mmu.gens[j->global] &&
        j->block->cost != BLOCK_DEAD)
        return j->block;
    if (cpu->mode != MODE_LONG64 && cpu->rip > cpu->seg[SEG_CS].limit) {
        if (cpu_has(cpu, FEAT_I286))
            raise_gp0(cpu);
        cpu->rip &= 0xffff;
        return block_lookup(cpu);
    }
    if (cpu->mode == MODE_LONG64 && !is_canonical(lin))
        raise_gp0(cpu);
    int view = cpu->cpl == 3 ? VIEW_USER : VIEW_SUP;
    const struct itlb_entry *page = mmu_fetched_page(&cpu->mmu, view, lin);
    if (unlikely(!page))
        page = mmu_fetch_page(&cpu->mmu, view, lin);
    gpa phys = page->phys | (lin & ~PAGE_MASK);
    struct block *b = j->block;
    if (b && j->lin == lin && j->key == cpu->key && b->phys == phys && hot_here(cpu, b, lin) &&
        !b->cross && b->cost != BLOCK_DEAD) { /* only the translation had to be asked again */
        j->gen = page->gen;
        j->global = page->global;
        return b;
    }
    b = find(cpu, phys, lin);
    if (b && b->cross) {
        struct itlb_entry first = *page;
        const struct itlb_entry *second =
            mmu_fetch_page(&cpu->mmu, view, (lin & PAGE_MASK) + PAGE_SIZE);
        if (second->phys != b->phys2) {
            forget_block(cpu, b);
            b = NULL;
        }
        if (!b)
            return build(cpu, lin, &first);
        /* good while both translations are */
        u32 global = first.global && second->global;
        *j = (struct jc_entry){.lin = lin,
                               .key = cpu->key,
                               .gen = cpu->mmu.gens[global],
                               .block = b,
                               .global = global};
        return b;
    }
    if (!b) {
        b = build(cpu, lin, page);
        page = mmu_fetch_page(&cpu->mmu, view, lin);
    }
    if (!b->cross && cacheable(cpu, page)) {
        *j = (struct jc_entry){
            .lin = lin, .key = cpu->key, .gen = page->gen, .block = b, .global = page->global};
    }
    return b;
}

void cpu_set_tracer(struct cpu *cpu, struct cpu_tracer *t)
{
    cpu->tracer = t;
    blocks_flush(cpu);
}

void trace_block_of(const struct trace_mark *m, struct trace_block *out)
{
    const struct block *b = container_of(m, struct block, mark);
    *out = (struct trace_block){.n = b->n,
                                .bytes = b->bytes,
                                .key = b->key,
                                .first_len = b->insn[0].len,
                                .plain = !b->device,
                                .phys = b->phys,
                                .phys2 = b->phys2,
                                .insn = b->insn};
}

u32 trace_position(const struct cpu *cpu)
{
    return cpu->block && cpu->cur ? (u32)(cpu->cur - cpu->block->insn) : 0;
}
