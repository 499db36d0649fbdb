/*
 * machine/snapshot_priv.h - the file of a snapshot: its layout, and the parts that read and write
 * it.
 *
 * You are here: private to machine/. snapshot_file.c knows sections and sums, snapshot_fields.c
 * what is in a section of fields, snapshot_pages.c in one of memory, snapshot_head.c what a file
 * says of itself, snapshot_parts.c which sections a machine has; snapshot.c saves and loads.
 *
 * All numbers are little-endian. The file is a header, then sections one after the other, each a
 * section header and its contents, and nothing else. Every byte is under a sum (XXH3, 64 bits): of
 * the header, of each section header, of each contents, and of all section headers together.
 */
#ifndef MACHINE_SNAPSHOT_PRIV_H
#define MACHINE_SNAPSHOT_PRIV_H

#include "base/status.h"
#include "bus/backend.h"
#include "bus/device.h"
#include "machine/snapshot.h"
#include "machine/vm_priv.h"

/* ---- layout --------------------------------------------------------------------------------- */
/* As PNG's: not text, survives no conversion of line ends, stops `type`. */
#define SNAP_MAGIC "\x89trivisor-vm\r\n\x1a\n"
enum {
    SNAP_VERSION = 1,
    SNAP_NAME = 40,
    SNAP_SECTIONS_MAX = 512,
    SNAP_SMALL_MAX = 4 << 20, /* contents that are read as a whole */
    SNAP_BLOCK_PAGES = 256,   /* of a section of pages: what is compressed together */
};
enum snap_kind { SNAP_FIELDS = 1, SNAP_PAGES = 2, SNAP_PICTURE = 3 };

struct snap_header {
    char magic[16];
    u32 version;
    u32 sections;
    u64 file_size;
    u64 sections_sum; /* of all section headers, one after the other */
    u8 zero[16];
    u64 sum; /* of the bytes before it */
};
struct snap_section {
    char name[SNAP_NAME]; /* filled up with zeros, at least one */
    u32 version;          /* of what the fields mean (struct device_ops) */
    u32 kind;
    u64 length; /* bytes of contents */
    u64 plain;  /* pages: bytes of the memory; else 0 */
    u64 contents_sum;
    u64 sum; /* of the bytes before it */
};
_Static_assert(sizeof(struct snap_header) == 64 && sizeof(struct snap_section) == 80,
               "written as they are: no padding");

/* ---- snapshot_file.c: writing ---------------------------------------------------------------- */
struct snap_buf {
    u8 *data;
    size_t len, cap;
    bool failed; /* no memory; stays so */
};
void snap_buf_add(struct snap_buf *b, const void *data, size_t len);
void snap_buf_free(struct snap_buf *b);

struct snap_writer {
    int fd;
    char *path, *temp;
    u64 at;
    u64 section_at;
    struct snap_section section;
    struct snap_section *sections; /* those that are finished */
    int n;
    void *sum; /* of the contents so far */
    enum status st;
    struct error *err;
};
/* A temporary file beside path. Errors stay in the writer; everything after one does nothing. */
enum status snap_create(struct snap_writer *w, const char *path, struct error *err);
void snap_begin(struct snap_writer *w, const char *name, u32 version, enum snap_kind kind,
                u64 plain);
void snap_write(struct snap_writer *w, const void *data, size_t len);
void snap_end(struct snap_writer *w);
/* Header, fsync, rename; or, after any error, nothing is left. */
enum status snap_finish(struct snap_writer *w);

/* ---- snapshot_file.c: reading ---------------------------------------------------------------- */
struct snap_entry {
    struct snap_section s;
    u64 at; /* of the contents */
    bool used;
};
struct snap_reader {
    const char *path;
    int fd;
    u64 size;
    int n;
    struct snap_entry *entry;
    struct error *err;
};
/* Header and section headers are read and right, and the sections fill the file. */
enum status snap_open(struct snap_reader *r, const char *path, struct error *err);
void snap_close(struct snap_reader *r);
enum status snap_check_sums(struct snap_reader *r); /* all contents */
/* Exactly len bytes of a section's contents from off. */
enum status snap_read(struct snap_reader *r, const struct snap_entry *e, u64 off, void *buf,
                      size_t len);
struct snap_entry *snap_find(struct snap_reader *r, const char *name);
/* A small section as a whole, its sum checked: malloc'd. ST_FORMAT: it is not there, of another
 * kind, too large. */
enum status snap_read_small(struct snap_reader *r, const char *name, enum snap_kind kind, u8 **data,
                            size_t *len, struct snap_entry **entry);
/* ST_FORMAT "PATH: the file is damaged (WHAT)". */
enum status snap_damaged(struct snap_reader *r, const char *what);

/* ---- snapshot_fields.c ----------------------------------------------------------------------- */
/* Which timers are armed in which order: of all parts, as only together they have one. */
struct snap_timer {
    struct timer *t;
    u64 when;
    u32 rank; /* 1.., 0: not armed */
};
struct snap_timers {
    struct snap_timer *e;
    u32 n, cap;
    bool failed;
};
void snap_timers_add(struct snap_timers *ts, const void *base, const struct field *f);
void snap_timers_rank(struct snap_timers *ts); /* by what the clock says now */
/* Disarms all. */
void snap_timers_disarm(struct snap_timers *ts);
/* Arms as `when` and `rank` say. */
void snap_timers_arm(struct snap_timers *ts);
/* Puts those that have kept their deadline back into the order of their ranks. */
void snap_timers_order(struct snap_timers *ts);
void snap_timers_free(struct snap_timers *ts);

void snap_fields_put(struct snap_buf *b, const void *base, const struct field *f,
                     const struct snap_timers *ts);
/* base NULL: only looks whether data has exactly these fields. Else it must have been looked at:
 * the fields are written, timers go to ts. why: names what is wrong, for a message. */
bool snap_fields_get(const u8 *data, size_t len, void *base, const struct field *f,
                     struct snap_timers *ts, char *why, size_t why_size);

/* ---- snapshot_pages.c ------------------------------------------------------------------------ */
/* Memory that is a section: zero pages are left out, or those that `have` has not. */
struct snap_memory {
    const u8 *base;
    u64 size;       /* a multiple of 4 KiB */
    int fd;         /* the file behind base, whose holes are zeros; -1: none */
    const u8 *have; /* as struct block_kept's, NULL: all */
};
void snap_pages_put(struct snap_writer *w, const char *name, const struct snap_memory *m);
/* Into zeroed memory of e->s.plain bytes. have: a bitmap to mark, NULL: none. */
enum status snap_pages_get(struct snap_reader *r, const struct snap_entry *e, u8 *base, u8 *have);

/* ---- snapshot_head.c ------------------------------------------------------------------------- */
struct snap_disk {
    char where[24], name[256];
    u64 size, changed;
    u8 readonly, inside, zero[6];
};
struct snap_head {
    char product[32], title[SNAPSHOT_TITLE_MAX];
    u64 date;
    char machine[32], cpu[64], pv[16], engine[32], vendor[16];
    u64 ram_size, features[2];
    u32 signature;
    bool icount;
    u64 insns, run_ns;
    u32 width, height; /* of the picture */
    u32 n_disks;
    struct snap_disk disk[SNAPSHOT_DISKS_MAX];
};
extern const struct field snap_head_fields[];
/* The blocks behind head->disk, NULL: an empty drive. */
void snap_head_fill(struct vm *vm, struct snap_head *h, struct block *blocks[SNAPSHOT_DISKS_MAX]);
void snap_head_put(struct snap_writer *w, struct snap_head *h, const struct snapshot_note *note);
enum status snap_head_get(struct snap_reader *r, struct snap_head *h);
/* Whether a file with head h fits a machine whose own head is own. */
enum status snap_head_fits(struct snap_reader *r, const struct snap_head *h,
                           const struct snap_head *own, u32 flags);

/* ---- snapshot_parts.c ------------------------------------------------------------------------ */
/* What is the machine's and no chip's. */
struct snap_board {
    u64 now, wall_epoch, halted_ns, acpi_rsdp;
    u32 events, exit_code;
    u8 irq_levels[24];
    bool hpet_legacy, ignne;
};
struct snap_part {
    char name[SNAP_NAME];
    void *base;
    const struct field *fields;
    u32 version;
    struct device *dev; /* whose loaded() is called; NULL: none */
    /* the contents to load, and those to go back to */
    u8 *data, *back;
    size_t len, back_len;
};
/* Memory to exchange. Exactly one of ram, kept and bytes is there. */
struct snap_area {
    char name[SNAP_NAME];
    struct ram *ram;
    struct block_kept *kept;
    u8 *bytes;
    u64 size;
    /* what is to come in its place (ram: staged.fd), and after the exchange what was there */
    bool staged, exchanged;
    int fd;
    struct block_kept new_kept;
    u8 *new_bytes;
};
enum { SNAP_PARTS_MAX = VM_MAX_DEVICES + 4, SNAP_AREAS_MAX = VM_MAX_DEVICES + 24 };
struct snap_parts {
    struct snap_board board;
    int n, n_areas;
    struct snap_part part[SNAP_PARTS_MAX];
    struct snap_area area[SNAP_AREAS_MAX];
    struct snap_timers timers;
};
/* The parts of vm, which must not change while the list is in use. */
void snap_parts_init(struct snap_parts *p, struct vm *vm, const struct snap_head *h,
                     struct block *const blocks[SNAPSHOT_DISKS_MAX]);
void snap_parts_fini(struct snap_parts *p);
void snap_board_get(struct snap_board *b, struct vm *vm);
void snap_board_set(const struct snap_board *b, struct vm *vm);

#endif
