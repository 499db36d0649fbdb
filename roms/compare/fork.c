/*
 * roms/compare/fork.c - what a system does for fork(): page tables copied, both sides made
 * read-only, pages copied when they are written to, everything given back when the child ends.
 *
 * What it is: one process of PAGES pages and a child that writes to some. What it is not: the rest
 * of fork (descriptors, files, scheduling), which is ordinary code. The paravirtual way puts all
 * entries of one side into one mmu_update; single ones, of a fault, are plain writes either way.
 */
#include "roms/compare/guest.h"
#include "pv/guest/trv_calls.h"

enum { PRESENT = 1, WRITE = 2, PAGE = 4096, ENTRIES = 512, PAGES = 64, WRITTEN = 16 };
enum { TABLES = 0x10000, DIRECTORY = TABLES + 0x3000 };
#define WINDOW 0x40000000ul

static u64 parent_table[ENTRIES] __attribute__((aligned(PAGE)));
static u64 child_table[ENTRIES] __attribute__((aligned(PAGE)));
static u64 child_pml4[ENTRIES] __attribute__((aligned(PAGE)));
static u64 child_pdpt[ENTRIES] __attribute__((aligned(PAGE)));
static u64 child_directory[ENTRIES] __attribute__((aligned(PAGE)));
static u8 page[PAGES][PAGE] __attribute__((aligned(PAGE)));
static u8 copy[PAGES][PAGE] __attribute__((aligned(PAGE)));
static struct trv_mmu_entry batch[2 * PAGES];
static u32 batched, by_call, in_child, forking, faults;

static void load_cr3(const void *table)
{
    __asm__ volatile("mov %0, %%cr3" ::"r"((u64)table) : "memory");
}

/* An entry, now or with the batch. */
static void set(u64 *entry, u64 v)
{
    if (by_call)
        batch[batched++] = (struct trv_mmu_entry){(u64)entry, v};
    else
        *entry = v;
}

static void flush(const void *table)
{
    if (!by_call)
        load_cr3(table);
    for (u32 done = 0; done < batched; done += TRV_MMU_MAX)
        trv_mmu_update(batch + done, batched - done < TRV_MMU_MAX ? batched - done : TRV_MMU_MAX);
    batched = 0;
}

/* A write to a page that both have: the child gets its own; the parent, alone again, writes. 0: it
 * is none. */
int fork_fault(u64 at)
{
    u64 n = (at - WINDOW) / PAGE;
    u64 *entry = in_child ? &child_table[n] : &parent_table[n];
    if (!forking || n >= PAGES)
        return 0;
    if (in_child) {
        const void *from = page[n];
        void *to = copy[n];
        u64 words = PAGE / 8;
        __asm__ volatile("rep movsq" : "+S"(from), "+D"(to), "+c"(words)::"memory");
    }
    *entry = (u64)(in_child ? copy[n] : page[n]) | PRESENT | WRITE;
    __asm__ volatile("invlpg (%0)" ::"r"(at) : "memory");
    faults++;
    return 1;
}

static void setup(void)
{
    u64 *directory = (u64 *)DIRECTORY;
    u64 cr0;
    for (u32 k = 0; k < ENTRIES; k++) {
        child_pml4[k] = ((u64 *)TABLES)[k];
        child_pdpt[k] = ((u64 *)(TABLES + 0x1000))[k];
        child_directory[k] = directory[k];
    }
    child_pml4[0] = (u64)child_pdpt | PRESENT | WRITE;
    child_pdpt[1] = (u64)child_directory | PRESENT | WRITE;
    child_directory[0] = (u64)child_table | PRESENT | WRITE;
    directory[0] = (u64)parent_table | PRESENT | WRITE;
    for (u32 k = 0; k < PAGES; k++)
        parent_table[k] = (u64)page[k] | PRESENT | WRITE;
    __asm__ volatile("mov %%cr0, %0" : "=r"(cr0));
    __asm__ volatile("mov %0, %%cr0" ::"r"(cr0 | 1 << 16)); /* the kernel's writes count too */
    load_cr3((void *)TABLES);
}

static u64 touch(u32 r, u64 sum)
{
    for (u32 k = 0; k < PAGES; k++) {
        volatile u64 *p = (u64 *)(WINDOW + k * PAGE + 64);
        if (k < WRITTEN)
            *p = r + k + in_child;
        sum = mix(sum, *p);
    }
    return sum;
}

static u64 forks(u32 count)
{
    u64 sum = 0;
    setup();
    forking = 1;
    faults = 0;
    for (u32 r = 0; r < count; r++) {
        for (u32 k = 0; k < PAGES; k++) {
            set(&parent_table[k], (u64)page[k] | PRESENT);
            set(&child_table[k], (u64)page[k] | PRESENT);
        }
        flush((void *)TABLES);
        in_child = 1;
        load_cr3(child_pml4);
        sum = touch(r, sum);
        in_child = 0;
        load_cr3((void *)TABLES);
        for (u32 k = 0; k < PAGES; k++)
            set(&child_table[k], 0);
        flush((void *)TABLES);
        sum = touch(r, sum);
    }
    return mix(sum, faults);
}

u64 work_fork(u32 count)
{
    by_call = 0;
    return forks(count);
}

u64 work_fork_by_call(u32 count)
{
    by_call = 1;
    return forks(count);
}
