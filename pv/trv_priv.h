/*
 * pv/trv_priv.h - our own hypercall interface inside.
 *
 * You are here: private to pv/: trv.c (dispatch, time, events, page tables), trv_block.c (disks).
 */
#ifndef PV_TRV_PRIV_H
#define PV_TRV_PRIV_H

#include "pv/trv.h"

struct trv {
    struct device dev;
    struct trv_wires w;
    struct timer timer;
    u32 timer_vector;
    u32 pending;             /* event channels, a bit each */
    u8 vector[TRV_CHANNELS]; /* of each channel; 0: none */
};

/* trv_block.c: EAX of the calls. at: of the guest's structure. */
u32 trv_block_info_call(struct trv *t, u32 disk, u32 at);
u32 trv_block_io_call(struct trv *t, u32 disk, u32 at, bool write);
u32 trv_block_flush_call(struct trv *t, u32 disk);

#endif
