/*
 * bt/perf_priv.h - a file for `perf`, of either kind.
 *
 * You are here: private to perfmap.c and jitdump.c.
 */
#ifndef BT_PERF_PRIV_H
#define BT_PERF_PRIV_H

#include "bt/bt_priv.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

struct perf_file {
    int fd;
    void (*add)(struct perf_file *p, const u8 *rx, const u8 *code, u64 size, const char *name);
    void *marker; /* the mapping by which `perf record` learns of a jitdump */
    size_t marker_size;
    u64 index; /* blocks so far */
};

#endif
