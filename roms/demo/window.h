/*
 * roms/demo/window.h - paging at work: a window of addresses whose pages are mapped on demand.
 *
 * You are here: freestanding guest code in long mode; the tables of start.asm are extended.
 */
#ifndef ROMS_DEMO_WINDOW_H
#define ROMS_DEMO_WINDOW_H

#include "roms/console.h"

/* 512 GiB up: far from the identity map, an entry of its own in the top table. */
#define WINDOW       0x8000000000ul
#define WINDOW_PAGES 64

/* Lays the empty tables. */
void window_init(void);
/* Answers a page fault; nonzero when the address was in the window and a page is now there. */
int window_fault(u64 address, u64 error);
/* Makes a mapped page read-only. */
void window_protect(u64 address);
/* Lets ring 3 use the 2 MiB page at `address` of the identity map. */
void user_page(u64 address);

#endif
