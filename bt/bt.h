/*
 * bt/bt.h - engine two: blocks that run often become host code.
 *
 * You are here: the same decoded blocks that the interpreter runs (cpu/interp_priv.h), counted the
 * same way and left at the same places, so both engines agree instruction for instruction.
 * cpu/ is the specification; whatever is not worth translating is a call of its functions.
 *
 * Thread: the vCPU's.
 */
#ifndef BT_BT_H
#define BT_BT_H

#include "base/status.h"
#include "cpu/cpu.h"

#define BT_CACHE_MIN (256 * KIB)
#define BT_CACHE_MAX (1 * GIB) /* host jumps reach 2 GiB */

struct bt_config {
    u32 heat;       /* entries before a block is translated; 0: the default */
    u64 cache_size; /* bytes of host code, BT_CACHE_MIN .. BT_CACHE_MAX; 0: the default */
    bool perfmap;   /* names of blocks for `perf`: perfmap.c */
    bool jitdump;   /* the same with the code: jitdump.c */
    bool helpers;   /* stress: every instruction is a call of its C function */
    bool unlinked;  /* stress: no block jumps to another */
};
/* c NULL: defaults. The CPU's cached blocks are forgotten. ST_NOMEM, ST_UNSUP (the host forbids
 * executable memory) with a message. */
enum status bt_attach(struct cpu *cpu, const struct bt_config *c, struct error *err);
/* Back to the interpreter; also before cpu_free(). Not while the CPU runs. */
void bt_detach(struct cpu *cpu);

/* In the child of a fork(): translated code of its own at the same place, with the same contents.
 * False: no memory; the CPU must not run. */
bool bt_forked(struct cpu *cpu);

/* What became of a guest instruction when its block was translated. */
enum bt_how {
    BT_COPIED,  /* the same operation on host registers */
    BT_EMITTED, /* host code of the translator's own */
    BT_HELPED,  /* a call of its C function */
    BT_EVENT,   /* the same, and it ends the block: the function says where to go on */
    BT_HOWS
};

/* Why host code left for a C function. The first eight travel in host code (runtime.c). */
enum bt_exit {
    BT_EXIT_HELPER,     /* the instruction is a call of its function */
    BT_EXIT_MEMORY,     /* memory that the inline check does not serve */
    BT_EXIT_FAULT,      /* the host raised an exception */
    BT_EXIT_EVENT,      /* the same, and it ends its block */
    BT_EXIT_INDIRECT,   /* an indirect target that is not known, or is not translated */
    BT_EXIT_VECTOR,     /* vector instructions are not allowed now */
    BT_EXIT_OPERAND,    /* as MEMORY, and counted there: only the operand is wanted */
    BT_EXIT_LINKED = 8, /* a direct edge, taken the first time: linked, or unlinked by config */
    BT_EXIT_COLD,       /* a direct edge to a block that is not translated */
    BT_EXIT_UNKNOWN,    /* ... whose target had to be looked for; one of the two above may follow */
    BT_EXIT_BUDGET,     /* the slice is used up */
    BT_EXIT_DEAD,       /* the block to enter was overwritten */
    BT_EXIT_DIED,       /* the running block was overwritten, or a repetition goes on later */
    BT_EXIT_VEC_ENTER,  /* vector registers were loaded */
    BT_EXITS
};

struct bt_stats {
    u64 blocks, insns; /* translated */
    u64 how[BT_HOWS];  /* of the instructions; the sum is insns */
    u64 code_bytes;    /* of host code in the cache now, without the thunks */
    u64 insns_now;     /* the guest instructions it is for */
    u64 cache_size;    /* bytes */
    u64 resets;        /* how often the cache was emptied */
    u64 again;         /* blocks translated once more: their accesses go to many pages */
    u64 supers;        /* superblocks */
    u64 strips;        /* loops with a copy for strips */
    u64 links;         /* jumps patched to go from block to block */
    u64 exits[BT_EXITS];
};
/* Since bt_attach; all 0 without it. */
void bt_stats(const struct cpu *cpu, struct bt_stats *out);
/* Of instructions of this row (enum insn_id): translated into calls of their function, and such
 * calls made. */
void bt_helper_row(const struct cpu *cpu, u32 row, u64 *translated, u64 *called);

/* ---- one block, kept when it is translated: view.c --------------------------------------------
 */
enum bt_part { /* of its host code; each runs to where the next begins */
               BT_PART_ENTRY,
               BT_PART_INSN, /* of instruction `insn`, as are these: */
               BT_PART_COLD, /* the way out, in the middle of it */
               BT_PART_EDGE, /* to the next block as long as that is not linked; insn is 0 or 1 */
};
struct bt_mark {
    u32 at; /* byte of the host code */
    u16 insn;
    u16 part; /* enum bt_part */
    u64 lin;  /* linear address of the instruction; ENTRY, EDGE: of the block */
};
struct bt_view {
    u64 lin;       /* linear address; of a superblock, of the first */
    u64 guest_lin; /* of guest[0]: blocks of a superblock may lie below the first */
    u32 key;       /* block key: KEY_DMODE, KEY_USER */
    u32 n;         /* guest instructions, of all blocks of a superblock */
    u64 times;     /* how often a block with the watched address was translated */
    u64 host;      /* where the host code runs */
    const u8 *guest, *code;
    u32 guest_bytes, code_bytes, n_marks; /* a superblock's guest bytes are all from its lowest to
                                             its highest, also those between */
    const struct bt_mark *marks;
};
/* Keeps what a block with the byte at linear address lin becomes: one that begins there wins over
 * others, then the last. ST_NOMEM. Blocks translated before are not found. */
enum status bt_watch(struct cpu *cpu, u64 lin, struct error *err);
/* False: none so far. What out points to is good until the CPU runs again or bt_detach(). */
bool bt_watched(const struct cpu *cpu, struct bt_view *out);

#endif
