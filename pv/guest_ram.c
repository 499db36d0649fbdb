/*
 * pv/guest_ram.c - the one way personalities touch guest memory: checked copies to and from RAM.
 *
 * A range is looked at page by page, because RAM has holes (the PCI hole, shadowed ROM) at any
 * page.
 */
#include "pv/guest_ram.h"

#include <string.h>

static u64 piece(gpa at, u64 n)
{
    return MIN(n, PAGE_SIZE - (at & (PAGE_SIZE - 1)));
}

bool guest_ram_ok(struct space *mem, gpa at, u64 n)
{
    if (n && at + (n - 1) < at)
        return false;
    for (u64 k; n; at += k, n -= k) {
        k = piece(at, n);
        if (!space_ram_ptr(mem, at, k, NULL, NULL))
            return false;
    }
    return true;
}

bool guest_ram_read(struct space *mem, gpa at, void *to, u64 n)
{
    if (!guest_ram_ok(mem, at, n))
        return false;
    for (u64 k; n; at += k, n -= k, to = (u8 *)to + k) {
        k = piece(at, n);
        memcpy(to, space_ram_ptr(mem, at, k, NULL, NULL), k);
    }
    return true;
}

bool guest_ram_write(struct space *mem, gpa at, const void *from, u64 n)
{
    if (!guest_ram_ok(mem, at, n))
        return false;
    for (u64 k; n; at += k, n -= k, from = (const u8 *)from + k) {
        struct ram *ram;
        u64 off;
        k = piece(at, n);
        hva p = space_ram_ptr(mem, at, k, &ram, &off);
        memcpy(p, from, k);
        ram_note_write(ram, off, k);
    }
    return true;
}
