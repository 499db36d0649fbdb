/*
 * devices/fdc82077_priv.h - what the two halves of the floppy controller share.
 *
 * You are here: fdc82077.c has the registers, seeks and short commands; fdc82077_data.c the
 * commands that read IDs and sectors. Nobody else includes this.
 */
#ifndef DEVICES_FDC82077_PRIV_H
#define DEVICES_FDC82077_PRIV_H

#include "base/bits.h"
#include "devices/fdc82077.h"

// clang-format off
enum { DOR_SELECT = 0x03, DOR_NRESET = 0x04, DOR_DMAEN = 0x08, DOR_MOTOR0 = 0x10 };
enum { MSR_CB = 0x10, MSR_NDM = 0x20, MSR_DIO = 0x40, MSR_RQM = 0x80 };
enum { DSR_RATE = 0x03, DSR_RESET = 0x80, DIR_DSKCHG = 0x80 };
enum { ST0_HEAD = 0x04, ST0_EC = 0x10, ST0_SE = 0x20, ST0_ABNORMAL = 0x40, ST0_INVALID = 0x80,
       ST0_POLL = 0xc0 };
enum { ST1_MA = 0x01, ST1_NW = 0x02, ST1_ND = 0x04, ST1_DE = 0x20, ST1_EN = 0x80 };
enum { ST2_BC = 0x02, ST2_WC = 0x10, ST2_DD = 0x20, ST2_CM = 0x40 };
enum { ST3_TS = 0x08, ST3_T0 = 0x10, ST3_RDY = 0x20, ST3_WP = 0x40 };
enum { CMD_MT = 0x80, CMD_MF = 0x40, CMD_SK = 0x20, CMD_OP = 0x1f };
enum { CFG_DEFAULT = 0x20, CFG_EIS = 0x40, SPEC_ND = 0x01, VERIFY_EC = 0x80 };
enum { OP_READ_TRACK = 0x02, OP_SPECIFY, OP_SENSE_DRIVE, OP_WRITE, OP_READ, OP_RECALIBRATE,
       OP_SENSE_INT, OP_WRITE_DELETED, OP_READ_ID, OP_READ_DELETED = 0x0c, OP_FORMAT, OP_DUMPREG,
       OP_SEEK, OP_VERSION, OP_PERPENDICULAR = 0x12, OP_CONFIGURE, OP_LOCK, OP_VERIFY = 0x16 };
enum { PHASE_COMMAND, PHASE_EXEC, PHASE_RESULT };
// clang-format on

#define SECTOR     512
#define MAX_TRACK  84 /* where the head meets the end of its rail */
#define SEEK_NS    1000000u
#define EXEC_NS    200000u
#define VERSION_ID 0x90

struct drive {
    struct block *blk;
    const struct format *fmt; /* of the disk; valid while blk */
    u8 type;                  /* enum fdc_drive */
    u8 track;                 /* where the head is */
    u8 id_sector;             /* the last sector READ ID saw pass */
    bool changed;             /* disk change line */
};

struct fdc {
    struct device dev;
    struct irq irq;
    struct device *dma;
    struct clock *clk;
    struct timer seek_timer, exec_timer;
    int channel;
    struct drive drv[FDC_DRIVES];
    u8 dor, tdr, rate;
    u8 specify[2], config, pretrk, perp;
    bool lock, irq_level;
    u8 pcn[4];
    u8 seeking, seek_done; /* a bit a drive */
    u8 seek_st0[4];
    u8 reset_sense; /* SENSE INTERRUPTs still to be answered after a reset */
    u8 phase;
    u8 cmd[9], cmd_pos;
    u8 result[10], res_pos, res_len;
    /* The command being executed. */
    u8 op, unit, head;
    u8 c, h, r, n, eot;
    u8 st1, st2;
    u8 left; /* FORMAT, VERIFY with EC: sectors to go */
    bool tc, loaded, waiting;
    u16 pos, len; /* in buf */
    u8 buf[SECTOR];
};

struct format {
    u16 kib;
    u8 tracks, heads, sectors;
    u8 rates; /* a bit a data rate at which it can be read: 0 500, 1 300, 2 250 kb/s, 3 1 Mb/s */
    u8 type;
};

/* The drive of a unit number, or NULL where there is none. */
static inline struct drive *fdc_drive(struct fdc *s, int unit)
{
    return unit < FDC_DRIVES && s->drv[unit].type != FDC_NONE ? &s->drv[unit] : NULL;
}

/* Moves the head; steps with a disk inside clear the change line. */
static inline void fdc_step_to(struct drive *d, u8 track)
{
    track = MIN(track, MAX_TRACK);
    if (track != d->track && d->blk)
        d->changed = false;
    d->track = track;
}

/* Whether the command being executed takes data from the guest. */
static inline bool fdc_is_write(const struct fdc *s)
{
    return s->op == OP_WRITE || s->op == OP_WRITE_DELETED || s->op == OP_FORMAT;
}

/* fdc82077.c */
void fdc_set_irq(struct fdc *s, bool level);
void fdc_set_drq(struct fdc *s, bool level);
void fdc_to_result(struct fdc *s, const u8 *bytes, u8 n, bool irq);

/* fdc82077_data.c */
const struct format *fdc_format_of(u64 size); /* NULL: more than a disk holds */
void fdc_start_exec(struct fdc *s);           /* a data command or READ ID is in cmd */
bool fdc_sector_done(struct fdc *s);          /* all of buf was moved; whether to go on */
void fdc_step(struct fdc *s);
void fdc_on_exec(void *ctx); /* the execution timer */
void fdc_on_dma_ready(void *ctx);

#endif
