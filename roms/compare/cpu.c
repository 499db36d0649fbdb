/*
 * roms/compare/cpu.c - the work that concerns processor and memory only.
 *
 * There is nothing for a paravirtual interface to do in most of it; that is what the comparison is
 * to show. Page tables can be changed by a hypercall: work_remap and work_remap_by_call.
 */
#include "roms/compare/guest.h"
#include "pv/guest/trv_calls.h"

enum {
    PRESENT = 1,
    WRITE = 2,
    USER = 4,
    PAGE = 4096,
    ENTRIES = 512,
    FRAMES = 64,
    SPACES = 4,
    TABLES = 0x10000, /* of start.asm: PML4, PDPT, four directories */
    SECOND_DIRECTORY = TABLES + 0x3000,
};
#define WINDOW    0x40000000ul /* 2 MiB of small pages */
#define USER_CODE 0x40200000ul /* the user program */

extern u64 run_user(u64 rip, u64 calls);
extern u8 syscall_entry[], user_code[];
u64 syscall_work(u64 n);

static u64 window[ENTRIES] __attribute__((aligned(PAGE)));
static u64 user_table[ENTRIES] __attribute__((aligned(PAGE)));
static u8 frame[FRAMES][PAGE] __attribute__((aligned(PAGE)));
static u64 root[SPACES][ENTRIES] __attribute__((aligned(PAGE)));
static volatile u32 faulted;

static void load_cr3(u64 v)
{
    __asm__ volatile("mov %0, %%cr3" ::"r"(v) : "memory");
}

static __attribute__((interrupt)) void on_page_fault(struct frame *f, u64 error)
{
    u64 at;
    (void)f;
    (void)error;
    __asm__ volatile("mov %%cr2, %0" : "=r"(at));
    if (fork_fault(at))
        return;
    u64 n = (at - WINDOW) / PAGE;
    if (n >= ENTRIES) { /* not the window's: give up */
        for (;;)
            __asm__ volatile("cli; hlt");
    }
    window[n] = (u64)frame[n % FRAMES] | PRESENT | WRITE;
    faulted++;
}

void cpu_init(void)
{
    u64 *directory = (u64 *)SECOND_DIRECTORY, *pml4 = (u64 *)TABLES;
    directory[0] = (u64)window | PRESENT | WRITE;
    directory[1] = (u64)user_table | PRESENT | WRITE | USER;
    user_table[0] = (u64)user_code | PRESENT | USER;
    for (u32 k = 0; k < SPACES; k++)
        for (u32 n = 0; n < ENTRIES; n++)
            root[k][n] = pml4[n];
    for (u32 k = 0; k < FRAMES; k++)
        for (u32 n = 0; n < PAGE; n++)
            frame[k][n] = (u8)(k + n);
    load_cr3(TABLES);
    gate(14, (void *)on_page_fault);
    wrmsr(0xc0000081, 0x23ul << 48 | 0x18ul << 32); /* STAR */
    wrmsr(0xc0000082, (u64)syscall_entry);          /* LSTAR */
    wrmsr(0xc0000084, 0x700);                       /* FMASK: TF, IF, DF */
}

/* A unit is a pass over 4 KiB. */
u64 work_compute(u32 count)
{
    static u32 table[1024];
    u32 x = 1;
    u64 sum = 0;
    for (u32 k = 0; k < 1024; k++)
        table[k] = k;
    for (u32 r = 0; r < count; r++) {
        for (u32 k = 0; k < 1024; k++) {
            x = x * 1664525 + 1013904223 + table[k];
            table[k] = x ^ x >> 15;
        }
        sum = mix(sum, x);
    }
    return sum;
}

u64 syscall_work(u64 n)
{
    return mix(7, n);
}

u64 work_syscalls(u32 count)
{
    return run_user(USER_CODE, count);
}

/* A unit is a page touched for the first time. */
u64 work_faults(u32 count)
{
    u64 sum = 0;
    faulted = 0;
    for (u32 done = 0; done < count;) {
        for (u32 k = 0; k < ENTRIES; k++)
            window[k] = 0;
        load_cr3(TABLES);
        for (u32 k = 0; k < ENTRIES && done < count; k++, done++)
            sum = mix(sum, *(volatile u8 *)(WINDOW + k * PAGE + 5));
    }
    return mix(sum, faulted);
}

/* A unit is another address space and eight of its pages read. */
u64 work_switch(u32 count)
{
    u64 sum = 0;
    for (u32 k = 0; k < 8; k++)
        window[k] = (u64)frame[k] | PRESENT | WRITE;
    for (u32 r = 0; r < count; r++) {
        load_cr3((u64)root[r % SPACES]);
        for (u32 k = 0; k < 8; k++)
            sum = mix(sum, *(volatile u8 *)(WINDOW + k * PAGE + r % PAGE));
    }
    load_cr3(TABLES);
    return sum;
}

static u64 read_window(u64 sum)
{
    for (u32 k = 0; k < FRAMES; k++)
        sum = mix(sum, *(volatile u8 *)(WINDOW + k * PAGE));
    return sum;
}

/* A unit is 64 pages that get other frames, and are read. */
u64 work_remap(u32 count)
{
    u64 sum = 0;
    for (u32 r = 0; r < count; r++) {
        for (u32 k = 0; k < FRAMES; k++) {
            window[k] = (u64)frame[(k + r) % FRAMES] | PRESENT | WRITE;
            __asm__ volatile("invlpg (%0)" ::"r"(WINDOW + k * PAGE) : "memory");
        }
        sum = read_window(sum);
    }
    return sum;
}

u64 work_remap_by_call(u32 count)
{
    static struct trv_mmu_entry e[FRAMES];
    u64 sum = 0;
    for (u32 r = 0; r < count; r++) {
        for (u32 k = 0; k < FRAMES; k++)
            e[k] = (struct trv_mmu_entry){(u64)&window[k],
                                          (u64)frame[(k + r) % FRAMES] | PRESENT | WRITE};
        if (trv_mmu_update(e, FRAMES) != FRAMES)
            return 0;
        sum = read_window(sum);
    }
    return sum;
}
