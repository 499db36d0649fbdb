/*
 * roms/demo/window.c - paging at work: a window of addresses whose pages are mapped on demand.
 *
 * Physical pages come from 3 MiB upwards, one after the other; nothing is ever given back.
 * Manual: Intel SDM vol. 3, 4.5 (4-level paging), 4.7 (page-fault error code).
 */
#include "roms/demo/window.h"

enum { PRESENT = 1, WRITABLE = 2, USER = 4 };

#define PML4  ((volatile u64 *)0x10000)
#define PAGES 0x300000ul

static u64 directory_pointers[512] __attribute__((aligned(4096)));
static u64 directory[512] __attribute__((aligned(4096)));
static u64 table[512] __attribute__((aligned(4096)));
static u64 used;

void window_init(void)
{
    directory_pointers[0] = (u64)directory | PRESENT | WRITABLE;
    directory[0] = (u64)table | PRESENT | WRITABLE;
    PML4[WINDOW >> 39 & 511] = (u64)directory_pointers | PRESENT | WRITABLE;
}

int window_fault(u64 address, u64 error)
{
    if (address < WINDOW || address >= WINDOW + WINDOW_PAGES * 4096 || error & PRESENT)
        return 0;
    table[address >> 12 & 511] = (PAGES + 4096 * used++) | PRESENT | WRITABLE;
    return 1;
}

void window_protect(u64 address)
{
    table[address >> 12 & 511] &= ~(u64)WRITABLE;
    asm volatile("invlpg (%0)" ::"r"(address) : "memory");
}

void user_page(u64 address)
{
    volatile u64 *pd = (volatile u64 *)(0x12000 + (address >> 30 & 3) * 4096);
    pd[address >> 21 & 511] |= USER;
    asm volatile("invlpg (%0)" ::"r"(address) : "memory");
}
