/*
 * machine/media.h - the media of a running machine's removable drives: floppies and CDs.
 *
 * You are here: for front ends. All on the VM's thread, outside vm_run or in a posted function. The
 * guest sees what it would see on hardware: the floppy drive's disk change line until the head
 * moves over the new disk, the CD drive's UNIT ATTENTION and media events.
 */
#ifndef MACHINE_MEDIA_H
#define MACHINE_MEDIA_H

#include "bus/backend.h"
#include "machine/vm.h"

enum { VM_MAX_MEDIA = VM_MAX_FLOPPY + VM_MAX_IDE };

enum vm_medium_kind { VM_MEDIUM_FLOPPY, VM_MEDIUM_CD };

struct vm_medium {
    enum vm_medium_kind kind;
    int unit;       /* floppy 0 or 1; IDE 0..3 */
    char name[8];   /* "fd0", "cd2": as vm_media_find() knows it */
    bool loaded;    /* there is a medium */
    bool locked;    /* the guest has locked the tray */
    bool open;      /* the guest has opened it */
    bool readonly;  /* the medium */
    u64 size;       /* bytes of it */
    char file[256]; /* its image; "": none */
};

/* The drives, floppies first; returns how many. */
int vm_media(const struct vm *vm, struct vm_medium out[VM_MAX_MEDIA]);
/* The drive of a name. False: there is none. */
bool vm_media_find(const struct vm *vm, const char *name, struct vm_medium *out);

/* Puts blk, which the machine owns from then on, into a drive in the place of what is there, or
 * takes that out (blk NULL). What was there is closed. On failure blk stays the caller's.
 * ST_INVAL: no such drive; ST_FORMAT: does not fit in it; ST_BUSY: the guest holds the tray of a CD
 * drive locked, and has been asked to let go of the disc as the eject button of a drive does;
 * `force` takes it away all the same. */
enum status vm_media_change(struct vm *vm, enum vm_medium_kind kind, int unit, struct block *blk,
                            bool force, struct error *err);

#endif
