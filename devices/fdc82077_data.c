/*
 * devices/fdc82077_data.c - the floppy controller's commands that meet the disk's surface: read,
 * write, verify, format, read ID.
 *
 * What it is: the execution phase. What it is not: registers and seeks (fdc82077.c).
 *
 * Invariants: `pos` <= `len` <= sizeof(buf). A transfer goes on only from fdc_step(): by the timer,
 * by the DMA's hook, or by a byte at the FIFO; disks may be taken out in between, so every use of
 * one looks first.
 *
 * Manual: Intel 82077AA data sheet (290166-007), section 5.1.
 */
#include "devices/fdc82077_priv.h"
#include "devices/i8237.h"

/* The standard formats, and the two of larger size that distributions used. */
static const struct format formats[] = {
    {160, 40, 1, 8, 0x6, FDC_1200K},   {180, 40, 1, 9, 0x6, FDC_1200K},
    {320, 40, 2, 8, 0x6, FDC_1200K},   {360, 40, 2, 9, 0x6, FDC_1200K},
    {720, 80, 2, 9, 0x4, FDC_1440K},   {1200, 80, 2, 15, 0x1, FDC_1200K},
    {1440, 80, 2, 18, 0x1, FDC_1440K}, {1680, 80, 2, 21, 0x1, FDC_1440K},
    {1722, 82, 2, 21, 0x1, FDC_1440K}, {2880, 80, 2, 36, 0x8, FDC_2880K},
};

const struct format *fdc_format_of(u64 size)
{
    const struct format *fallback = NULL;
    for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
        if (size == formats[i].kib * KIB)
            return &formats[i];
        bool common = formats[i].kib == 1440 || formats[i].kib == 2880;
        if (!fallback && common && size < formats[i].kib * KIB)
            fallback = &formats[i];
    }
    return fallback;
}

static void finish(struct fdc *s, u8 st0)
{
    u8 head = s->head;
    u8 res[7] = {(u8)(st0 | head << 2 | s->unit), s->st1, s->st2, s->c, s->h, s->r, s->n};
    fdc_to_result(s, res, 7, true);
}

static void fail_at(struct fdc *s, u8 st1, u8 st2)
{
    s->st1 |= st1;
    s->st2 |= st2;
    finish(s, ST0_ABNORMAL);
}

/* The ID after the sector just done (data sheet, table 5-7). False when it was the last one. */
static bool next_sector(struct fdc *s)
{
    if (s->r != s->eot) {
        s->r++;
        return true;
    }
    bool mt = s->cmd[0] & CMD_MT;
    s->r = 1;
    if (mt && !(s->h & 1)) {
        s->h ^= 1;
        s->head = 1;
        return true;
    }
    if (mt)
        s->h ^= 1;
    s->c++;
    return false;
}

/* Whether the drive can read IDs at all: a disk, in MFM, at its rate. */
static bool readable(struct fdc *s, const struct drive *d)
{
    return d && d->blk && (s->cmd[0] & CMD_MF) && (d->fmt->rates & BIT(s->rate));
}

/* Finds the sector the ID registers name on the track under the head; its place in the image. On
 * failure the command is over. */
static bool locate(struct fdc *s, u64 *off)
{
    struct drive *d = fdc_drive(s, s->unit);
    if (!readable(s, d) || d->track >= d->fmt->tracks || s->head >= d->fmt->heads) {
        fail_at(s, ST1_MA, 0);
        return false;
    }
    const struct format *f = d->fmt;
    if (s->op != OP_READ_TRACK) {
        if (s->c != d->track) {
            fail_at(s, ST1_ND, s->c == 0xff ? ST2_BC : ST2_WC);
            return false;
        }
        if (s->h != s->head || s->n != 2 || s->r < 1 || s->r > f->sectors) {
            fail_at(s, ST1_ND, 0);
            return false;
        }
    } else if (s->r > f->sectors) {
        fail_at(s, ST1_ND, 0);
        return false;
    } else if (s->c != d->track || s->h != s->head) {
        s->st1 |= ST1_ND; /* noted, and read all the same */
    }
    *off = (((u64)d->track * f->heads + s->head) * f->sectors + s->r - 1u) * SECTOR;
    return true;
}

static bool read_sector(struct fdc *s)
{
    u64 off;
    if (!locate(s, &off))
        return false;
    struct block *b = s->drv[s->unit].blk;
    memset(s->buf, 0, SECTOR);
    u64 have = off < b->size ? MIN(b->size - off, SECTOR) : 0;
    if (have && block_read(b, off, s->buf, have) != ST_OK) {
        fail_at(s, ST1_DE, ST2_DD);
        return false;
    }
    return true;
}

static bool write_image(struct fdc *s, u64 off)
{
    struct block *b = s->drv[s->unit].blk;
    if (off + SECTOR > b->size || block_write(b, off, s->buf, SECTOR) != ST_OK) {
        fail_at(s, ST1_DE, ST2_DD);
        return false;
    }
    return true;
}

/* One ID of FORMAT is in buf: fills that sector. */
static bool format_sector(struct fdc *s)
{
    struct drive *d = fdc_drive(s, s->unit);
    u8 r = s->buf[2];
    if (!readable(s, d)) { /* taken out meanwhile */
        fail_at(s, ST1_MA, 0);
        return false;
    }
    const struct format *f = d->fmt;
    if (d->track < f->tracks && s->head < f->heads && r >= 1 && r <= f->sectors && s->n == 2) {
        u64 off = (((u64)d->track * f->heads + s->head) * f->sectors + r - 1u) * SECTOR;
        memset(s->buf, s->cmd[5], SECTOR);
        if (!write_image(s, off))
            return false;
    }
    /* else a sector that the image has no place for: gone */
    return true;
}

/* The sector or ID in buf was moved completely, or cut short by terminal count. Returns whether the
 * command goes on. */
bool fdc_sector_done(struct fdc *s)
{
    s->loaded = false;
    if (s->op == OP_FORMAT) {
        if (s->pos == 4 && !format_sector(s))
            return false;
        if (s->tc || !--s->left) {
            finish(s, 0);
            return false;
        }
        return true;
    }
    if (fdc_is_write(s)) {
        u64 off;
        memset(s->buf + s->pos, 0, SECTOR - s->pos);
        if (!locate(s, &off) || !write_image(s, off))
            return false;
    }
    bool more = next_sector(s);
    bool stop_after = s->op == OP_READ_DELETED; /* met a normal mark, SK clear */
    bool counted = s->op == OP_VERIFY && (s->cmd[1] & VERIFY_EC) && !--s->left;
    if (s->tc || stop_after || counted) {
        finish(s, 0);
        return false;
    }
    if (!more) { /* end of cylinder without terminal count; these two need none */
        bool fine = (s->op == OP_VERIFY && !(s->cmd[1] & VERIFY_EC)) || s->op == OP_READ_TRACK;
        s->st1 |= fine ? 0 : ST1_EN;
        finish(s, fine ? 0 : ST0_ABNORMAL);
        return false;
    }
    return true;
}

/* Prepares buf for the next sector. */
static bool sector_begin(struct fdc *s)
{
    u64 off;
    s->pos = 0;
    s->len = s->op == OP_FORMAT ? 4 : SECTOR;
    if (s->op == OP_READ_DELETED) {
        s->st2 |= ST2_CM;
        while (s->cmd[0] & CMD_SK) { /* every sector has a normal mark: skipped */
            if (!locate(s, &off))
                return false;
            if (!next_sector(s)) {
                fail_at(s, ST1_EN, 0);
                return false;
            }
        }
    }
    if (s->op == OP_FORMAT || (fdc_is_write(s) ? locate(s, &off) : read_sector(s)))
        s->loaded = true;
    return s->loaded;
}

/* Goes on with the transfer as far as it can. Every turn moves bytes or ends a sector, and no
 * command has more than 2 * 256 sectors. */
void fdc_step(struct fdc *s)
{
    bool pio = s->specify[1] & SPEC_ND;
    while (s->phase == PHASE_EXEC) {
        if (!s->loaded) {
            if (!sector_begin(s))
                return;
            if (pio && s->op != OP_VERIFY) {
                fdc_set_irq(s, true);
                return; /* bytes come through the FIFO */
            }
        }
        if (s->op == OP_VERIFY) {
            s->pos = s->len;
        } else if (pio) {
            return;
        } else {
            enum i8237_dir dir = fdc_is_write(s) ? I8237_FROM_MEMORY : I8237_TO_MEMORY;
            fdc_set_drq(s, true);
            size_t n = 0;
            if (s->dor & DOR_DMAEN)
                n = i8237_transfer(s->dma, s->channel, s->buf + s->pos, (size_t)(s->len - s->pos),
                                   dir, &s->tc);
            if (!n) {
                s->waiting = true;
                return;
            }
            s->waiting = false;
            s->pos = (u16)(s->pos + n);
        }
        if ((s->pos == s->len || s->tc) && !fdc_sector_done(s))
            return;
    }
}

void fdc_on_dma_ready(void *ctx)
{
    struct fdc *s = ctx;
    if (s->waiting && s->phase == PHASE_EXEC)
        fdc_step(s);
}

static void exec_read_id(struct fdc *s)
{
    struct drive *d = fdc_drive(s, s->unit);
    s->c = s->h = s->r = s->n = 0;
    if (!readable(s, d) || d->track >= d->fmt->tracks || s->head >= d->fmt->heads) {
        fail_at(s, ST1_MA, 0);
        return;
    }
    d->id_sector = (u8)(d->id_sector % d->fmt->sectors + 1);
    s->c = d->track;
    s->h = s->head;
    s->r = d->id_sector;
    s->n = 2;
    finish(s, 0);
}

/* Data commands and READ ID: takes the parameters and lets the disk turn a little. */
void fdc_start_exec(struct fdc *s)
{
    const u8 *p = s->cmd;
    s->op = p[0] & CMD_OP;
    s->unit = p[1] & 3;
    s->head = p[1] >> 2 & 1;
    s->c = p[2];
    s->h = p[3];
    s->r = s->op == OP_READ_TRACK ? 1 : p[4];
    s->n = p[5];
    s->eot = p[6];
    s->left = p[8];
    s->st1 = s->st2 = 0;
    s->tc = s->loaded = false;
    s->phase = PHASE_EXEC;
    struct drive *d = fdc_drive(s, s->unit);
    if (s->op == OP_FORMAT) {
        s->c = d ? d->track : 0;
        s->h = s->head;
        s->r = 1;
        s->n = p[2];
        s->left = p[3];
        if (!readable(s, d)) {
            fail_at(s, ST1_MA, 0);
            return;
        }
    } else if (s->op != OP_READ_ID && (s->config & CFG_EIS) && d) {
        fdc_step_to(d, s->c);
        s->pcn[s->unit] = s->c;
    }
    if (fdc_is_write(s) && d && d->blk && d->blk->readonly) {
        fail_at(s, ST1_NW, 0);
        return;
    }
    if (s->op == OP_FORMAT && !s->left) {
        finish(s, 0);
        return;
    }
    timer_arm(&s->exec_timer, clock_now(s->clk) + EXEC_NS);
}

void fdc_on_exec(void *ctx)
{
    struct fdc *s = ctx;
    if (s->phase != PHASE_EXEC)
        return;
    if (s->op == OP_READ_ID)
        exec_read_id(s);
    else
        fdc_step(s);
}
