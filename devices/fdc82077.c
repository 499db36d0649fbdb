/*
 * devices/fdc82077.c - Intel 82077AA floppy disk controller in PC/AT mode, and its drives.
 *
 * What it is: the registers, all commands but the three scans, DMA and programmed transfers,
 * multi-track, implied seeks, disk change lines. What it is not: a model of the medium: sectors are
 * 512 bytes in an image, so deleted marks, odd formats and gaps do not exist; a command that needs
 * them fails as on a disk without them. Seeks and transfers take a fixed short time. The
 * commands that move data are in fdc82077_data.c.
 *
 * Invariants: phase says which of cmd, buf and result is in use.
 *
 * Manual: Intel 82077AA data sheet (290166-007); its section 5 for commands, 5.1.x for results.
 */
#include "devices/fdc82077_priv.h"
#include "base/log.h"
#include "bus/space.h"
#include "devices/i8237.h"
#include <stdlib.h>

enum { REGION_BASE, REGION_DIR };
enum { R_SRA, R_SRB, R_DOR, R_TDR, R_MSR_DSR, R_FIFO };

/* ---- interrupt and phases ------------------------------------------------------------------- */
static void update_irq(struct fdc *s)
{
    irq_set(&s->irq, s->irq_level && (s->dor & DOR_DMAEN));
}

void fdc_set_irq(struct fdc *s, bool level)
{
    s->irq_level = level;
    update_irq(s);
}

void fdc_set_drq(struct fdc *s, bool level)
{
    i8237_set_drq(s->dma, s->channel, level && (s->dor & DOR_DMAEN));
}

static void to_command(struct fdc *s)
{
    s->phase = PHASE_COMMAND;
    s->cmd_pos = s->res_pos = s->res_len = 0;
}

void fdc_to_result(struct fdc *s, const u8 *bytes, u8 n, bool irq)
{
    for (u8 i = 0; i < n; i++)
        s->result[i] = bytes[i];
    s->phase = PHASE_RESULT;
    s->res_pos = 0;
    s->res_len = n;
    s->waiting = false;
    fdc_set_drq(s, false);
    if (irq) {
        s->reset_sense = 0; /* what the guest did not ask for is forgotten */
        fdc_set_irq(s, true);
    }
}

static void result1(struct fdc *s, u8 byte)
{
    fdc_to_result(s, &byte, 1, false);
}

static void reset_controller(struct fdc *s)
{
    timer_disarm(&s->seek_timer);
    timer_disarm(&s->exec_timer);
    fdc_set_drq(s, false);
    to_command(s);
    s->waiting = s->loaded = s->tc = false;
    s->pos = s->len = 0;
    s->seeking = s->seek_done = 0;
    if (!s->lock) { /* "EFIFO, FIFOTHR and PRETRK" survive a software reset when locked */
        s->config = CFG_DEFAULT;
        s->pretrk = 0;
    } else {
        s->config &= CFG_DEFAULT | 0x0f;
    }
    s->perp &= 0x3c;
    s->reset_sense = 0;
    fdc_set_irq(s, false);
}

/* Out of reset the poll of the four drives finds each one changed to ready. */
static void leave_reset(struct fdc *s)
{
    s->reset_sense = 4;
    fdc_set_irq(s, true);
}

/* ---- seeks ---------------------------------------------------------------------------------- */
static void on_seek_timer(void *ctx)
{
    struct fdc *s = ctx;
    s->seek_done |= s->seeking;
    s->seeking = 0;
    s->reset_sense = 0;
    if (s->seek_done)
        fdc_set_irq(s, true);
}

static void start_seek(struct fdc *s, u8 unit, u8 head, u8 track, bool recalibrate)
{
    struct drive *d = fdc_drive(s, unit);
    s->seek_st0[unit] = (u8)(ST0_SE | head << 2 | unit);
    if (recalibrate && !d) /* no track 0 after all those steps */
        s->seek_st0[unit] |= ST0_EC | ST0_ABNORMAL;
    if (d)
        fdc_step_to(d, track);
    s->pcn[unit] = track;
    s->seek_done &= (u8)~BIT(unit);
    s->seeking |= (u8)BIT(unit);
    timer_arm(&s->seek_timer, clock_now(s->clk) + SEEK_NS);
    to_command(s);
}

static void relative_seek(struct fdc *s)
{
    u8 unit = s->cmd[1] & 3, by = s->cmd[2];
    int to = s->cmd[0] & 0x40 ? s->pcn[unit] + by : s->pcn[unit] - by;
    start_seek(s, unit, s->cmd[1] >> 2 & 1, (u8)(to < 0 ? 0 : to > 255 ? 255 : to), false);
}

static void sense_interrupt(struct fdc *s)
{
    u8 res[2];
    if (s->reset_sense) {
        u8 unit = (u8)(4 - s->reset_sense--);
        res[0] = (u8)(ST0_POLL | unit);
        res[1] = s->pcn[unit];
        fdc_set_irq(s, false);
        fdc_to_result(s, res, 2, false);
        return;
    }
    for (u8 unit = 0; unit < 4; unit++) {
        if (s->seek_done & BIT(unit)) {
            s->seek_done &= (u8)~BIT(unit);
            res[0] = s->seek_st0[unit];
            res[1] = s->pcn[unit];
            fdc_set_irq(s, s->seek_done);
            fdc_to_result(s, res, 2, false);
            return;
        }
    }
    result1(s, ST0_INVALID);
}

/* ---- commands ------------------------------------------------------------------------------- */
static void sense_drive(struct fdc *s)
{
    u8 unit = s->cmd[1] & 3;
    struct drive *d = fdc_drive(s, unit);
    u8 st3 = (u8)((s->cmd[1] & 7) | ST3_RDY | ST3_TS);
    if (d && !d->track)
        st3 |= ST3_T0;
    if (d && d->blk && d->blk->readonly)
        st3 |= ST3_WP;
    result1(s, st3);
}

static void dumpreg(struct fdc *s)
{
    u8 res[10] = {s->pcn[0],     s->pcn[1],     s->pcn[2], s->pcn[3],
                  s->specify[0], s->specify[1], s->eot,    (u8)((s->lock ? 0x80 : 0) | s->perp),
                  s->config,     s->pretrk};
    fdc_to_result(s, res, 10, false);
}

/* Bytes of a command, the opcode included; 1 for what does not exist. */
static u8 command_len(u8 first)
{
    static const u8 len[32] = {
        [OP_READ_TRACK] = 9,   [OP_SPECIFY] = 3,     [OP_SENSE_DRIVE] = 2,   [OP_WRITE] = 9,
        [OP_READ] = 9,         [OP_RECALIBRATE] = 2, [OP_WRITE_DELETED] = 9, [OP_READ_ID] = 2,
        [OP_READ_DELETED] = 9, [OP_FORMAT] = 6,      [OP_SEEK] = 3,          [OP_PERPENDICULAR] = 2,
        [OP_CONFIGURE] = 4,    [OP_VERIFY] = 9,
    };
    u8 n = len[first & CMD_OP];
    return n ? n : 1;
}

/* A whole command is in cmd. */
static void execute(struct fdc *s)
{
    const u8 *p = s->cmd;
    u8 unit = p[1] & 3;
    switch (p[0] & CMD_OP) {
    case OP_READ_TRACK:
    case OP_WRITE:
    case OP_READ:
    case OP_WRITE_DELETED:
    case OP_READ_DELETED:
    case OP_VERIFY:
    case OP_FORMAT:
    case OP_READ_ID:
        fdc_start_exec(s);
        break;
    case OP_SPECIFY:
        s->specify[0] = p[1];
        s->specify[1] = p[2];
        to_command(s);
        break;
    case OP_SENSE_DRIVE:
        sense_drive(s);
        break;
    case OP_RECALIBRATE:
        start_seek(s, unit, 0, 0, true);
        break;
    case OP_SENSE_INT:
        sense_interrupt(s);
        break;
    case OP_DUMPREG:
        dumpreg(s);
        break;
    case OP_SEEK:
        if (p[0] & 0x80)
            relative_seek(s);
        else
            start_seek(s, unit, p[1] >> 2 & 1, p[2], false);
        break;
    case OP_VERSION:
        result1(s, VERSION_ID);
        break;
    case OP_PERPENDICULAR: /* OW (bit 7) lets the drive bits be changed */
        s->perp = p[1] & 0x80 ? p[1] & 0x3f : (s->perp & 0x3c) | (p[1] & 3);
        to_command(s);
        break;
    case OP_CONFIGURE:
        s->config = p[2] & 0x7f;
        s->pretrk = p[3];
        to_command(s);
        break;
    case OP_LOCK:
        s->lock = p[0] & 0x80;
        result1(s, s->lock ? 0x10 : 0x00);
        break;
    default: /* PARTID (0x18) too: an 82077AA does not know it */
        log_guest("fdc82077: invalid command %02x", p[0]);
        result1(s, ST0_INVALID);
        break;
    }
}

/* ---- registers ------------------------------------------------------------------------------ */
static bool in_reset(const struct fdc *s)
{
    return !(s->dor & DOR_NRESET);
}

static u8 msr(const struct fdc *s)
{
    if (in_reset(s))
        return 0;
    u8 v = s->seeking & 15;
    switch (s->phase) {
    case PHASE_COMMAND:
        return v | MSR_RQM | (s->cmd_pos ? MSR_CB : 0);
    case PHASE_RESULT:
        return v | MSR_RQM | MSR_DIO | MSR_CB;
    default:
        v |= MSR_CB;
        if ((s->specify[1] & SPEC_ND) && s->op != OP_READ_ID && s->op != OP_VERIFY)
            v |= MSR_NDM | (s->loaded ? MSR_RQM | (fdc_is_write(s) ? 0 : MSR_DIO) : 0);
        return v;
    }
}

static bool pio_ready(const struct fdc *s)
{
    return s->phase == PHASE_EXEC && (msr(s) & (MSR_NDM | MSR_RQM)) == (MSR_NDM | MSR_RQM) &&
           s->pos < s->len;
}

static void write_fifo(struct fdc *s, u8 val)
{
    if (in_reset(s))
        return;
    if (s->phase == PHASE_COMMAND) {
        if (s->cmd_pos >= sizeof(s->cmd))
            s->cmd_pos = 0;
        if (!s->cmd_pos)
            memset(s->cmd, 0, sizeof(s->cmd));
        s->cmd[s->cmd_pos++] = val;
        if (s->cmd_pos >= command_len(s->cmd[0]))
            execute(s);
    } else if (pio_ready(s) && fdc_is_write(s)) {
        if (!s->pos)
            fdc_set_irq(s, false);
        s->buf[s->pos++] = val;
        if (s->pos == s->len && fdc_sector_done(s))
            fdc_step(s);
    }
}

static u8 read_fifo(struct fdc *s)
{
    u8 val = 0;
    if (in_reset(s))
        return 0;
    if (s->phase == PHASE_RESULT) {
        val = s->result[s->res_pos++];
        if (s->res_len == 7) /* the interrupt of a transfer ends with its first result */
            fdc_set_irq(s, false);
        if (s->res_pos >= s->res_len)
            to_command(s);
    } else if (pio_ready(s) && !fdc_is_write(s)) {
        if (!s->pos)
            fdc_set_irq(s, false);
        val = s->buf[s->pos++];
        if (s->pos == s->len && fdc_sector_done(s))
            fdc_step(s);
    }
    return val;
}

static void write_dor(struct fdc *s, u8 val)
{
    u8 was = s->dor;
    s->dor = val;
    if (!(val & DOR_NRESET))
        reset_controller(s);
    else if (!(was & DOR_NRESET))
        leave_reset(s);
    update_irq(s);
    if ((was ^ val) & DOR_DMAEN)
        fdc_on_dma_ready(s);
}

static void fdc_write(struct device *d, int region, u64 off, u64 val64, int size)
{
    struct fdc *s = (struct fdc *)d;
    u8 val = (u8)val64;
    if (region == REGION_DIR) { /* CCR */
        s->rate = val & DSR_RATE;
        return;
    }
    switch (off) {
    case R_DOR:
        write_dor(s, val);
        break;
    case R_TDR:
        s->tdr = val & 3;
        break;
    case R_MSR_DSR:
        s->rate = val & DSR_RATE;
        if ((val & DSR_RESET) && !in_reset(s)) { /* clears itself */
            reset_controller(s);
            leave_reset(s);
        }
        break;
    case R_FIFO:
        write_fifo(s, val);
        break;
    default: /* SRA and SRB are not there in AT mode */
        break;
    }
}

static u64 fdc_peek(struct device *d, int region, u64 off, int size)
{
    struct fdc *s = (struct fdc *)d;
    if (region == REGION_DIR) {
        /* Only bit 7 is driven, by the selected drive when its motor (and so the drive) is on. */
        u8 unit = s->dor & DOR_SELECT;
        const struct drive *dr = fdc_drive(s, unit);
        bool on = s->dor & (DOR_MOTOR0 << unit);
        return on && dr && (dr->changed || !dr->blk) ? DIR_DSKCHG : 0;
    }
    switch (off) {
    case R_DOR:
        return s->dor;
    case R_TDR:
        return s->tdr;
    case R_MSR_DSR:
        return msr(s);
    case R_FIFO:
        return s->phase == PHASE_RESULT ? s->result[s->res_pos] : 0;
    default:
        return 0xff;
    }
}

static u64 fdc_read(struct device *d, int region, u64 off, int size)
{
    if (region == REGION_BASE && off == R_FIFO)
        return read_fifo((struct fdc *)d);
    return fdc_peek(d, region, off, size);
}

/* ---- the board's side ----------------------------------------------------------------------- */
void fdc82077_set_drive(struct device *d, int drive, enum fdc_drive type)
{
    struct fdc *s = (struct fdc *)d;
    CHECK(drive >= 0 && drive < FDC_DRIVES);
    s->drv[drive].type = (u8)type;
    s->drv[drive].changed = true;
}

enum fdc_drive fdc82077_cmos_type(const struct device *d, int drive)
{
    CHECK(drive >= 0 && drive < FDC_DRIVES);
    return ((const struct fdc *)d)->drv[drive].type;
}

struct block *fdc82077_medium(const struct device *d, int drive)
{
    CHECK(drive >= 0 && drive < FDC_DRIVES);
    return ((const struct fdc *)d)->drv[drive].blk;
}

void fdc82077_eject(struct device *d, int drive)
{
    struct fdc *s = (struct fdc *)d;
    CHECK(drive >= 0 && drive < FDC_DRIVES);
    struct drive *dr = &s->drv[drive];
    block_close(dr->blk);
    dr->blk = NULL;
    dr->fmt = NULL;
    dr->changed = true;
}

enum status fdc82077_insert(struct device *d, int drive, struct block *blk, struct error *err)
{
    struct fdc *s = (struct fdc *)d;
    CHECK(drive >= 0 && drive < FDC_DRIVES && blk);
    const struct format *f = fdc_format_of(blk->size);
    if (!f)
        return fail(err, ST_FORMAT, "%s: %llu bytes are more than a floppy disk holds", blk->name,
                    (unsigned long long)blk->size);
    fdc82077_eject(d, drive);
    struct drive *dr = &s->drv[drive];
    dr->blk = blk;
    dr->fmt = f;
    if (dr->type == FDC_NONE)
        dr->type = f->type;
    return ST_OK;
}

static void fdc_reset(struct device *d)
{
    struct fdc *s = (struct fdc *)d;
    s->dor = s->tdr = 0;
    s->rate = 2; /* 250 kb/s */
    s->lock = false;
    s->perp = 0;
    s->specify[0] = s->specify[1] = 0;
    s->eot = 0;
    memset(s->pcn, 0, sizeof(s->pcn));
    reset_controller(s);
    for (int i = 0; i < FDC_DRIVES; i++) {
        s->drv[i].id_sector = 0;
        s->drv[i].changed = true;
    }
}

static bool fdc_loaded(struct device *d)
{
    struct fdc *s = (struct fdc *)d;
    if (s->phase > PHASE_RESULT || s->cmd_pos > sizeof(s->cmd) || s->res_len > sizeof(s->result) ||
        (s->phase == PHASE_RESULT && s->res_pos >= s->res_len) || s->len > SECTOR ||
        s->pos > s->len || s->reset_sense > 4)
        return false;
    s->rate &= DSR_RATE;
    s->unit &= 3;
    s->head &= 1;
    s->seeking &= 15;
    s->seek_done &= 15;
    for (int i = 0; i < FDC_DRIVES; i++)
        s->drv[i].track = MIN(s->drv[i].track, MAX_TRACK);
    /* A transfer in mid-sector needs its disk; without it the next sector finds out. */
    if (s->phase == PHASE_EXEC && (!fdc_drive(s, s->unit) || !s->drv[s->unit].blk)) {
        s->loaded = false;
        s->op = s->op == OP_FORMAT ? OP_WRITE : s->op;
    }
    if (s->phase == PHASE_EXEC && s->op == OP_FORMAT && !s->left)
        s->left = 1;
    if (s->phase == PHASE_EXEC && s->loaded && s->pos == s->len)
        s->loaded = false;
    update_irq(s);
    return true;
}

static void fdc_destroy(struct device *d)
{
    struct fdc *s = (struct fdc *)d;
    timer_disarm(&s->seek_timer);
    timer_disarm(&s->exec_timer);
    i8237_set_hook(s->dma, s->channel, NULL, NULL);
    for (int i = 0; i < FDC_DRIVES; i++)
        block_close(s->drv[i].blk);
    free(s);
}

#define F_U(m) FIELD_U(struct fdc, m)
#define F_B(m) FIELD_B(struct fdc, m)
// clang-format off
static const struct field fdc_state[] = {
    F_U(dor), F_U(tdr), F_U(rate), FIELD_BUF(struct fdc, specify), F_U(config), F_U(pretrk),
    F_U(perp), F_B(lock), F_B(irq_level), FIELD_BUF(struct fdc, pcn), F_U(seeking), F_U(seek_done),
    FIELD_BUF(struct fdc, seek_st0), F_U(reset_sense), F_U(phase), FIELD_BUF(struct fdc, cmd),
    F_U(cmd_pos), FIELD_BUF(struct fdc, result), F_U(res_pos), F_U(res_len), F_U(op), F_U(unit),
    F_U(head), F_U(c), F_U(h), F_U(r), F_U(n), F_U(eot), F_U(st1), F_U(st2), F_U(left), F_B(tc),
    F_B(loaded), F_B(waiting), F_U(pos), F_U(len), FIELD_BUF(struct fdc, buf), F_U(drv[0].track),
    F_U(drv[0].id_sector), F_B(drv[0].changed), F_U(drv[1].track), F_U(drv[1].id_sector),
    F_B(drv[1].changed), FIELD_T(struct fdc, seek_timer), FIELD_T(struct fdc, exec_timer),
    FIELD_END,
};
// clang-format on

static const struct device_ops fdc_ops = {
    .name = "fdc82077",
    .reset = fdc_reset,
    .read = fdc_read,
    .write = fdc_write,
    .peek = fdc_peek,
    .state = fdc_state,
    .loaded = fdc_loaded,
    .destroy = fdc_destroy,
};

struct device *fdc82077_new(struct space *ports, struct irq irq, struct device *dma, int channel,
                            struct clock *clk)
{
    struct fdc *s = calloc(1, sizeof(*s));
    CHECK(s);
    s->dev.ops = &fdc_ops;
    s->irq = irq;
    s->dma = dma;
    s->channel = channel;
    s->clk = clk;
    timer_init(&s->seek_timer, clk, on_seek_timer, s);
    timer_init(&s->exec_timer, clk, fdc_on_exec, s);
    i8237_set_hook(dma, channel, fdc_on_dma_ready, s);
    fdc_reset(&s->dev);
    space_map_io(ports, 0x3f0, 6, &s->dev, REGION_BASE, 1, 0);
    space_map_io(ports, 0x3f7, 1, &s->dev, REGION_DIR, 1, 0);
    return &s->dev;
}
