/*
 * tests/mmu/test_tlb.c - what the TLB may remember, level by level.
 *
 * Page tables are built in guest RAM; translations are pushed out of the first level by another
 * page of the same slot, so that the second level answers.
 */
#include <criterion/criterion.h>
#include <setjmp.h>
#include <stdlib.h>

#include "mmu/mmu.h"

enum { P = 1, W = 2, U = 4, D = 0x40, PS = 0x80, G = 0x100, CR4_PAE = 0x20, CR4_PGE = 0x80 };
enum { ROOT = 0x1000, TABLES = 0x2000, DATA = 0x100000 };

struct guest {
    struct mmu mmu;
    struct ram *ram;
    struct space *mem;
    u64 next_table;
    jmp_buf out;
    gla fault;
    u32 error;
};

static noreturn void page_fault(void *ctx, gla addr, u32 error)
{
    struct guest *g = ctx;
    g->fault = addr;
    g->error = error;
    longjmp(g->out, 1);
}

static u64 *at(struct guest *g, gpa a)
{
    return (u64 *)(void *)(g->ram->base + a);
}

/* Maps the page (or the 2 MiB) of `lin`. */
static void map(struct guest *g, gla lin, u64 entry)
{
    gpa t = ROOT;
    for (int shift = 39;; shift -= 9) {
        u64 *e = at(g, t + (lin >> shift & 511) * 8);
        if (shift == 12 || (shift == 21 && (entry & PS))) {
            *e = entry;
            return;
        }
        if (!*e) {
            *e = g->next_table | P | W | U;
            g->next_table += PAGE_SIZE;
        }
        t = *e & PAGE_MASK;
    }
}

static struct guest *guest_new(void)
{
    struct guest *g = calloc(1, sizeof(*g));
    struct error err;
    cr_assert(g && ram_new(16 * MIB, &g->ram, &err) == ST_OK);
    g->mem = space_new("memory", BIT64(40));
    space_map_ram(g->mem, 0, 16 * MIB, g->ram, 0, MAP_RW, 0);
    mmu_init(&g->mmu, g->mem);
    g->mmu.ctx = g;
    g->mmu.page_fault = page_fault;
    g->next_table = TABLES;
    for (u64 k = 0; k < 16; k++)
        *at(g, DATA + k * PAGE_SIZE) = 100 + k;
    mmu_set_regs(&g->mmu, BIT64(31) | BIT64(16) | 1, ROOT, CR4_PAE | CR4_PGE, BIT64(10));
    return g;
}

static void guest_free(struct guest *g)
{
    space_free(g->mem);
    ram_free(g->ram);
    free(g);
}

/* Another page of a's slot in the first level. */
static void push_out(struct guest *g, gla a)
{
    gla other = 0x40000000 + (a & PAGE_MASK);
    while (tlb_index(other) != tlb_index(a))
        other += PAGE_SIZE;
    map(g, other, (DATA + 15 * PAGE_SIZE) | P | W | U);
    cr_assert_eq(mmu_read(&g->mmu, VIEW_USER, other, 8), 115);
    cr_assert_neq(mmu_slot(&g->mmu, VIEW_USER, a)->rtag, a & PAGE_MASK);
}

#define A 0x7000000ull

Test(second_level, answers_without_a_walk)
{
    struct guest *g = guest_new();
    map(g, A, DATA | P | U);
    cr_expect_eq(mmu_read(&g->mmu, VIEW_USER, A, 8), 100);
    push_out(g, A);
    u64 walks = g->mmu.walks;
    cr_expect_eq(mmu_read(&g->mmu, VIEW_USER, A, 8), 100);
    cr_expect_eq(g->mmu.walks, walks);
    guest_free(g);
}

Test(second_level, a_page_is_flushed_in_it)
{
    struct guest *g = guest_new();
    map(g, A, DATA | P | U);
    mmu_read(&g->mmu, VIEW_USER, A, 8);
    push_out(g, A);
    map(g, A, (DATA + PAGE_SIZE) | P | U);
    mmu_flush_page(&g->mmu, A + 5);
    cr_expect_eq(mmu_read(&g->mmu, VIEW_USER, A, 8), 101);
    guest_free(g);
}

Test(second_level, a_large_page_is_flushed_in_it)
{
    struct guest *g = guest_new();
    *at(g, 0x400000 + 3 * PAGE_SIZE) = 7;
    *at(g, 0x600000 + 3 * PAGE_SIZE) = 8;
    map(g, A, 0x400000 | P | U | PS);
    cr_expect_eq(mmu_read(&g->mmu, VIEW_USER, A + 3 * PAGE_SIZE, 8), 7);
    push_out(g, A + 3 * PAGE_SIZE);
    map(g, A, 0x600000 | P | U | PS);
    mmu_flush_page(&g->mmu, A + 0x1ff000); /* any address of it */
    cr_expect_eq(mmu_read(&g->mmu, VIEW_USER, A + 3 * PAGE_SIZE, 8), 8);
    guest_free(g);
}

Test(second_level, cr3_ends_all_but_global_pages)
{
    struct guest *g = guest_new();
    map(g, A, DATA | P | U);
    map(g, A + PAGE_SIZE, (DATA + PAGE_SIZE) | P | U | G);
    mmu_read(&g->mmu, VIEW_USER, A, 8);
    mmu_read(&g->mmu, VIEW_USER, A + PAGE_SIZE, 8);
    push_out(g, A);
    push_out(g, A + PAGE_SIZE);
    map(g, A, (DATA + 2 * PAGE_SIZE) | P | U);
    map(g, A + PAGE_SIZE, (DATA + 3 * PAGE_SIZE) | P | U | G);
    mmu_set_regs(&g->mmu, g->mmu.cr0, ROOT, g->mmu.cr4, g->mmu.efer);
    cr_expect_eq(mmu_read(&g->mmu, VIEW_USER, A, 8), 102);
    cr_expect_eq(mmu_read(&g->mmu, VIEW_USER, A + PAGE_SIZE, 8), 101, "global: kept");
    mmu_flush_all(&g->mmu);
    cr_expect_eq(mmu_read(&g->mmu, VIEW_USER, A + PAGE_SIZE, 8), 103);
    guest_free(g);
}

Test(second_level, writes_ask_the_page)
{
    struct guest *g = guest_new();
    map(g, A, DATA | P | W | U);
    mmu_write(&g->mmu, VIEW_USER, A, 1, 8);
    cr_assert_eq(mmu_slot(&g->mmu, VIEW_USER, A)->wtag, A);
    push_out(g, A);
    g->ram->page_flags[DATA >> PAGE_SHIFT] |= RAM_CODE;
    cr_expect(mmu_refill(&g->mmu, VIEW_USER, A, false));
    cr_expect_neq(mmu_slot(&g->mmu, VIEW_USER, A)->wtag, A, "code: no fast writes");
    cr_expect_not(mmu_refill(&g->mmu, VIEW_USER, A, true));
    g->ram->page_flags[DATA >> PAGE_SHIFT] = 0;
    cr_expect(mmu_refill(&g->mmu, VIEW_USER, A, true));
    guest_free(g);
}

Test(second_level, a_clean_page_is_written_through_the_tables)
{
    struct guest *g = guest_new();
    map(g, A, DATA | P | W | U);
    mmu_read(&g->mmu, VIEW_USER, A, 8);
    push_out(g, A);
    cr_expect_not(mmu_refill(&g->mmu, VIEW_USER, A, true), "D is not set yet");
    mmu_write(&g->mmu, VIEW_USER, A, 1, 8);
    gpa t = ROOT;
    for (int shift = 39; shift > 12; shift -= 9)
        t = *at(g, t + (A >> shift & 511) * 8) & PAGE_MASK;
    cr_expect(*at(g, t + (A >> 12 & 511) * 8) & D);
    guest_free(g);
}

Test(second_level, views_are_apart)
{
    struct guest *g = guest_new();
    map(g, A, DATA | P | W); /* supervisor */
    cr_expect_eq(mmu_read(&g->mmu, VIEW_SUP, A, 8), 100);
    cr_expect_not(mmu_refill(&g->mmu, VIEW_USER, A, false));
    if (!setjmp(g->out)) {
        mmu_read(&g->mmu, VIEW_USER, A, 8);
        cr_assert_fail("no page fault");
    }
    cr_expect_eq(g->fault, A);
    cr_expect_eq(g->error, PF_P | PF_U);
    guest_free(g);
}

Test(salts, end_with_their_generation)
{
    struct guest *g = guest_new();
    mmu_seed_salts(&g->mmu, 77);
    u64 user = g->mmu.salt[0], kernel = g->mmu.salt[1];
    mmu_set_regs(&g->mmu, g->mmu.cr0, ROOT, g->mmu.cr4, g->mmu.efer);
    cr_expect_neq(g->mmu.salt[0], user);
    cr_expect_eq(g->mmu.salt[1], kernel, "global pages outlive CR3");
    user = g->mmu.salt[0];
    mmu_flush_all(&g->mmu);
    cr_expect_neq(g->mmu.salt[0], user);
    cr_expect_neq(g->mmu.salt[1], kernel);
    kernel = g->mmu.salt[1];
    mmu_set_local_kernel(&g->mmu);
    cr_expect_neq(g->mmu.salt[1], kernel);
    kernel = g->mmu.salt[1];
    mmu_set_regs(&g->mmu, g->mmu.cr0, ROOT, g->mmu.cr4, g->mmu.efer);
    cr_expect_neq(g->mmu.salt[1], kernel, "its code may not be global");
    mmu_flush_all(&g->mmu);
    kernel = g->mmu.salt[1];
    mmu_set_regs(&g->mmu, g->mmu.cr0, ROOT, g->mmu.cr4, g->mmu.efer);
    cr_expect_eq(g->mmu.salt[1], kernel, "nothing of that is left to be found");
    guest_free(g);
}
