/*
 * machine/snapshot.h - a whole machine in one file, and back.
 *
 * You are here: front ends save and load a VM through this; docs/snapshots.md has the format and
 * what is not in it (disk images, live connections). A file is complete or absent: it is written
 * beside its place and renamed. A file is loaded whole or not at all: everything in it is checked
 * before the machine changes, and a machine that refuses it runs on as if nothing had been asked.
 *
 * Thread: the VM's, outside vm_run() or in a vm_post() callback. Files are hostile: no file can do
 * more than be refused, or put the guest into a state of its own making.
 */
#ifndef MACHINE_SNAPSHOT_H
#define MACHINE_SNAPSHOT_H

#include "base/status.h"
#include "base/types.h"

struct vm;

enum {
    SNAPSHOT_TITLE_MAX = 80,    /* bytes, with the 0 at the end */
    SNAPSHOT_PICTURE_MAX = 320, /* pixels each way */
    SNAPSHOT_DISKS_MAX = 16,
};

/* What a list of files shows; all of it may be left out. */
struct snapshot_note {
    const char *title; /* UTF-8, cut at SNAPSHOT_TITLE_MAX; NULL: none */
    /* 0x00RRGGBB, width * height, row after row, no padding; NULL: none. Larger than
     * SNAPSHOT_PICTURE_MAX each way: scaled down, its shape kept. */
    const u32 *picture;
    u32 width, height;
};

/* Writes the machine to path, replacing what was there when (and only when) all is written.
 * note: NULL for none. The machine runs on unchanged. Disk images are flushed.
 * ST_IO and the like from the host; ST_UNSUP for a machine that cannot be saved (-lockstep). */
enum status vm_save(struct vm *vm, const char *path, const struct snapshot_note *note,
                    struct error *err);

enum snapshot_load_flags {
    /* Load although a disk image is not as it was when the file was written. The guest has parts of
     * the old contents in memory: it may destroy its file systems. */
    SNAPSHOT_ANY_DISKS = 1,
};

/* Makes vm the machine in the file; it must have been configured as that one was: board, memory
 * size, CPU model, devices. The engine may be another. ST_FORMAT: not a snapshot, of another
 * version, or damaged; ST_INVAL: of another machine; ST_BUSY: a disk image has changed;
 * in each case vm is as before and err says what is wrong in one line. */
enum status vm_load(struct vm *vm, const char *path, u32 flags, struct error *err);

/* ---- what is in a file, without a machine ---------------------------------------------------- */
struct snapshot_disk {
    char where[24]; /* the drive: "ide0", "fd1", "virtio-blk0" */
    char name[256]; /* the image's file name, "" an empty drive */
    u64 size;       /* bytes */
    bool inside;    /* its writes were kept in memory and are in the file */
};
struct snapshot_info {
    u32 version;                    /* of the format */
    char product[32];               /* who wrote it: "trivisor 0.1" */
    char title[SNAPSHOT_TITLE_MAX]; /* "": none */
    i64 date;                       /* of the save: seconds since 1970 UTC */
    char machine[32], cpu[64], pv[16], engine[32];
    u64 ram_size;      /* bytes */
    u64 file_size;     /* bytes */
    u64 insns, run_ns; /* executed instructions, virtual time at the save */
    u32 width, height; /* of the picture; 0: none */
    u32 *picture;      /* as in snapshot_note; freed by snapshot_info_free */
    int n_disks;
    struct snapshot_disk disk[SNAPSHOT_DISKS_MAX];
};

/* Reads the head of the file only (at most some hundred KB) and checks its sum; the rest may still
 * be damaged (snapshot_verify). Any thread. On failure *out is empty. */
enum status snapshot_info(const char *path, struct snapshot_info *out, struct error *err);
void snapshot_info_free(struct snapshot_info *i); /* what it points to, not i; twice is harmless */
/* Reads all of the file and checks every sum. Any thread. */
enum status snapshot_verify(const char *path, struct error *err);

#endif
