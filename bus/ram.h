/*
 * bus/ram.h - guest RAM (one memfd) and what is known of its pages.
 *
 * You are here: RAM is mapped once, read-write, for the VM's life. Page flags say which pages hold
 * translated or cached code (a write must tell the CPUs) and which were written (snapshots).
 * Devices never touch RAM except through bus/space.h.
 */
#ifndef BUS_RAM_H
#define BUS_RAM_H

#include "base/status.h"
#include "base/types.h"

enum ram_page_flag {
    RAM_CODE = 1,  /* some CPU caches decoded code of this page */
    RAM_CLEAN = 2, /* dirty logging is on and the page is not yet written */
};

/* A write of len bytes (within one page) at RAM offset off has hit a page with RAM_CODE. */
typedef void ram_code_write_fn(void *ctx, u64 off, u32 len);

struct ram {
    hva base;
    u64 size;       /* bytes, a multiple of 4096 */
    int fd;         /* the memfd */
    u8 *page_flags; /* one byte a page, enum ram_page_flag */
    ram_code_write_fn *code_write;
    void *code_ctx;
};

/* Zero-filled RAM. size > 0, multiple of 4 KiB. ST_NOMEM with a message otherwise. */
enum status ram_new(u64 size, struct ram **out, struct error *err);
/* The contents move from the memfd to private memory at the same address, which fork() duplicates;
 * nobody else may have mapped the memfd. */
enum status ram_make_private(struct ram *ram, struct error *err);
void ram_free(struct ram *ram);
/* A memfd of the same size (sealed by nobody, all zeros) for ram_exchange(); -1: errno says why. */
int ram_new_file(const struct ram *ram);
/* The contents become those of the memfd, all at once and at the same address, and *fd the memfd
 * with those that were there: doing it again undoes it. Nobody is told: the caller has CPUs forget
 * what they cache. ST_UNSUP after ram_make_private(). */
enum status ram_exchange(struct ram *ram, int *fd, struct error *err);

/* Call after changing RAM bytes by anything that is not a CPU's fast path (the code hook looks at
 * the new ones); the range may span pages. Notifies the code hook and dirty log. */
void ram_note_write(struct ram *ram, u64 off, u64 len);

/* Gives the whole pages inside [off, off+len) back to the host: they read as zeros from now on and
 * cost memory again when they are written. Notifies as a write does. */
void ram_discard(struct ram *ram, u64 off, u64 len);

#endif
