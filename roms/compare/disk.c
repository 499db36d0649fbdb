/*
 * roms/compare/disk.c - the disk's work, the same whatever carries a request (hardware.c,
 * paravirt.c, virtio.c): which chunks, what is in them, the sum.
 */
#include "roms/compare/guest.h"

/* What is read was written by ourselves; the warm-up does it first. */
void disk_fill(transfer_fn *transfer)
{
    static transfer_fn *filled;
    for (u32 k = 0; filled != transfer && k < CHUNKS; k++) {
        pattern(k);
        transfer(k, 1);
    }
    filled = transfer;
}

u64 disk_read(u32 count, transfer_fn *transfer)
{
    u64 sum = 0;
    for (u32 k = 0; k < count; k++)
        sum = transfer(nth_chunk(k), 0) ? mix(sum, buffer_sum()) : 0;
    return sum;
}

/* Each request has other bytes; the last is read back. */
u64 disk_write(u32 count, transfer_fn *transfer)
{
    pattern(1);
    for (u32 k = 0; k < count; k++) {
        *(u64 *)buffer = k;
        transfer(nth_chunk(k), 1);
    }
    pattern(2);
    transfer(nth_chunk(count - 1), 0);
    return buffer_sum();
}
