/*
 * devices/ide.c - PIIX3 IDE controller 8086:7010: two channels of two drives, with bus master.
 *
 * What it is: command and control block registers, device selection, software reset, PRD walking,
 * interrupts. What it is not: timing registers (they read as written), native PCI mode (the chip
 * has none). Commands are in ata.c and atapi.c.
 *
 * Invariants: only the selected drive's INTRQ reaches the line, and only while nIEN is clear. A DMA
 * transfer runs whole from the channel's timer, never inside a guest access, so its interrupt comes
 * after the access that started it. Descriptors are read at most 8192 a run (a table is 64 KiB).
 *
 * Manuals: ATA/ATAPI-6 (T13 1410D) 7 registers, 9 protocols; Intel 82371SB (290550-002) 2.3 and
 * 2.7; Programming Interface for Bus Master IDE Controller 1.0.
 */
#include "devices/ide.h"
#include "base/bits.h"
#include "base/log.h"
#include "bus/space.h"
#include "devices/ide_priv.h"
#include <stdlib.h>

/* Regions: command block, control block of each channel, then the bus master. */
enum { REGION_CMD0, REGION_CMD1, REGION_CTL0, REGION_CTL1, REGION_BM };
enum { CTL_NIEN = 0x02, CTL_SRST = 0x04, CTL_HOB = 0x80 };
enum { BM_START = 0x01, BM_TO_MEMORY = 0x08 };
enum { BMS_ACTIVE = 0x01, BMS_ERROR = 0x02, BMS_INT = 0x04, BMS_CAPABLE = 0x60 };
enum { IDETIM = 0x40, IDETIM_DECODE = 0x80 };
enum { MAX_PRDS = 8192 };
enum { CMD_DEVICE_RESET = 0x08, CMD_DIAGNOSTIC = 0x90 };

static struct ide_drive *selected(struct ide_channel *ch)
{
    return &ch->drive[ch->selected];
}

static bool has_drive(const struct ide_channel *ch)
{
    return ch->drive[0].present || ch->drive[1].present;
}

static void update_irq(struct ide_channel *ch)
{
    bool level = selected(ch)->intrq && !(ch->control & CTL_NIEN);
    if (level == ch->irq_level)
        return;
    ch->irq_level = level;
    if (level)
        ch->bm_status |= BMS_INT; /* "set by the rising edge of the IDE interrupt line" */
    irq_set(&ch->irq, level);
}

/* ---- what drives call ---------------------------------------------------------------------------
 */
void ide_done(struct ide_drive *d, u8 status, u8 error, bool irq)
{
    d->phase = PH_IDLE;
    d->rw = 0;
    d->left = 0;
    d->status = status;
    d->error = error;
    d->intrq = irq;
    update_irq(d->ch);
}

void ide_fail(struct ide_drive *d, u8 error)
{
    ide_done(d, ST_DRDY | ST_DSC | ST_ERR, error, true);
}

void ide_drq(struct ide_drive *d, enum ide_phase phase, u32 pos, u32 end, bool irq)
{
    CHECK(pos < end && end <= DRIVE_BUF);
    d->phase = (u8)phase;
    d->pos = pos;
    d->end = end;
    d->len = MAX(d->len, end);
    d->status = ST_DRDY | ST_DSC | ST_DRQ;
    d->error = 0;
    d->intrq = irq;
    update_irq(d->ch);
}

static void dma_kick(struct ide_channel *ch)
{
    u8 phase = selected(ch)->phase;
    if ((ch->bm_status & BMS_ACTIVE) && (phase == PH_DMA_IN || phase == PH_DMA_OUT))
        timer_arm(&ch->dma, clock_now(ch->ide->clk));
}

void ide_dma_request(struct ide_drive *d, enum ide_phase phase)
{
    d->phase = (u8)phase;
    d->status = ST_DRDY | ST_DSC | ST_DRQ;
    d->error = 0;
    dma_kick(d->ch);
}

void ide_signature(struct ide_drive *d)
{
    d->count = 1;
    d->lba[0] = 1;
    d->lba[1] = d->cd ? 0x14 : 0;
    d->lba[2] = d->cd ? 0xeb : 0;
    d->dev &= DEV_SELECT;
}

/* ---- bus master
 * ---------------------------------------------------------------------------------- */
/* Makes w->bytes nonzero; false at the end of the table. */
static bool prd_next(struct prd_walk *w)
{
    u8 prd[8];
    while (!w->bytes) {
        if (w->last || w->failed)
            return false;
        if (w->entries++ == MAX_PRDS || !pci_dma_read(&w->ch->ide->pci, w->entry, prd, 8)) {
            w->failed = true;
            return false;
        }
        u32 count = ld_u32(prd + 4);
        w->entry += 8;
        w->addr = ld_u32(prd) & ~1u;
        w->bytes = count & 0xfffe ? count & 0xfffe : 0x10000;
        w->last = count >> 31;
    }
    return true;
}

static u32 prd_move(struct prd_walk *w, u8 *buf, u32 len, bool to_memory)
{
    u32 done = 0;
    while (done < len && prd_next(w)) {
        u32 n = MIN(len - done, w->bytes);
        bool ok = to_memory ? pci_dma_write(&w->ch->ide->pci, w->addr, buf + done, n)
                            : pci_dma_read(&w->ch->ide->pci, w->addr, buf + done, n);
        if (!ok) {
            w->failed = true;
            break;
        }
        done += n;
        w->addr += n;
        w->bytes -= n;
    }
    return done;
}

u32 prd_write(struct prd_walk *w, const u8 *buf, u32 len)
{
    return prd_move(w, (u8 *)(uintptr_t)buf, len, true);
}

u32 prd_read(struct prd_walk *w, u8 *buf, u32 len)
{
    return prd_move(w, buf, len, false);
}

static void dma_run(void *ctx)
{
    struct ide_channel *ch = ctx;
    struct ide_drive *d = selected(ch);
    if (!(ch->bm_status & BMS_ACTIVE) || (d->phase != PH_DMA_IN && d->phase != PH_DMA_OUT))
        return;
    struct prd_walk w = {.ch = ch, .entry = ch->bm_table};
    bool over = d->cd ? atapi_dma(d, &w) : ata_dma(d, &w);
    /* Bus master specification 3.1: active falls when the table is used up; a table that is longer
     * than the transfer leaves it set; one that is shorter leaves the drive waiting, without
     * interrupt. */
    if (w.failed)
        ch->bm_status |= BMS_ERROR;
    if (w.failed || !over || (w.last && !w.bytes))
        ch->bm_status &= (u8)~BMS_ACTIVE;
}

static u64 bm_peek(struct ide *s, u64 off)
{
    struct ide_channel *ch = &s->ch[off >> 3 & 1];
    switch (off & 7) {
    case 0:
        return ch->bm_command;
    case 2:
        return ch->bm_status | BMS_CAPABLE;
    case 4:
    case 5:
    case 6:
    case 7:
        return (u8)(ch->bm_table >> (8 * (off & 3)));
    default:
        return 0;
    }
}

static void bm_write(struct ide *s, u64 off, u8 val)
{
    struct ide_channel *ch = &s->ch[off >> 3 & 1];
    u32 shift = 8 * (u32)(off & 3);
    switch (off & 7) {
    case 0: {
        bool was = ch->bm_command & BM_START;
        ch->bm_command = val & (BM_START | BM_TO_MEMORY);
        if (!(val & BM_START)) {
            ch->bm_status &= (u8)~BMS_ACTIVE;
            timer_disarm(&ch->dma);
        } else if (!was) {
            ch->bm_status |= BMS_ACTIVE;
            dma_kick(ch);
        }
        break;
    }
    case 2:
        ch->bm_status = (u8)((ch->bm_status & ~BMS_CAPABLE) | (val & BMS_CAPABLE));
        ch->bm_status &= (u8) ~(val & (BMS_ERROR | BMS_INT));
        break;
    case 4:
    case 5:
    case 6:
    case 7:
        ch->bm_table = (ch->bm_table & ~(0xffu << shift)) | (u32)val << shift;
        ch->bm_table &= ~3u;
        break;
    default:
        break;
    }
}

/* ---- command and control blocks
 * -------------------------------------------------------------------- */
static void reset_drive(struct ide_drive *d)
{
    if (!d->present) {
        d->status = 0;
        return;
    }
    d->phase = PH_IDLE;
    d->rw = 0;
    d->left = 0;
    d->pos = d->end = d->len = 0;
    d->intrq = false;
    d->error = 0x01; /* diagnostic code: passed */
    d->status = d->cd ? 0 : ST_DRDY | ST_DSC;
    d->hob_features = d->hob_count = 0;
    memset(d->hob_lba, 0, sizeof(d->hob_lba));
    ide_signature(d);
}

static void software_reset(struct ide_channel *ch)
{
    timer_disarm(&ch->dma);
    for (int i = 0; i < 2; i++) {
        reset_drive(&ch->drive[i]);
        ch->drive[i].dev = 0;
    }
    ch->selected = 0;
}

static bool data_read(struct ide_drive *d, int size, u32 *out)
{
    u32 n = MIN((u32)size, d->end - d->pos);
    *out = (u32)ld_le(d->buf + d->pos, (int)n);
    d->pos += n;
    return d->pos == d->end;
}

static u32 read_data(struct ide_channel *ch, int size)
{
    struct ide_drive *d = selected(ch);
    u32 v = 0xffffffff;
    if (d->phase != PH_IN)
        return v;
    if (data_read(d, size, &v)) {
        if (d->cd && (d->rw & RW_PACKET))
            atapi_drained(d);
        else
            ata_drained(d);
    }
    return v;
}

static void write_data(struct ide_channel *ch, u32 val, int size)
{
    struct ide_drive *d = selected(ch);
    if (d->phase != PH_OUT)
        return;
    u32 n = MIN((u32)size, d->end - d->pos);
    st_le(d->buf + d->pos, val, (int)n);
    d->pos += n;
    if (d->pos == d->end) {
        if (d->cd)
            atapi_filled(d);
        else
            ata_filled(d);
    }
}

static u8 reg_peek(struct ide_channel *ch, u64 off)
{
    const struct ide_drive *d = selected(ch);
    bool hob = ch->control & CTL_HOB;
    /* Nothing there: no status. Device 0 answers for an absent device 1 (9.16.1). */
    if (!has_drive(ch))
        return 0;
    switch (off) {
    case 1:
        return !d->present ? 0 : hob ? d->hob_features : d->error;
    case 2:
        return hob ? d->hob_count : d->count;
    case 3:
    case 4:
    case 5:
        return hob ? d->hob_lba[off - 3] : d->lba[off - 3];
    case 6:
        return d->dev | 0xa0;
    default:
        if (!d->present)
            return 0;
        return ch->control & CTL_SRST ? ST_BSY : d->status;
    }
}

static u8 reg_read(struct ide_channel *ch, u64 off)
{
    u8 v = reg_peek(ch, off);
    if (off == 7 && selected(ch)->intrq) {
        selected(ch)->intrq = false;
        update_irq(ch);
    }
    return v;
}

static void diagnostic(struct ide_channel *ch)
{
    software_reset(ch);
    if (ch->drive[0].present)
        ch->drive[0].intrq = true;
    update_irq(ch);
}

static void command(struct ide_channel *ch, u8 cmd)
{
    struct ide_drive *d = selected(ch);
    if (cmd == CMD_DIAGNOSTIC && has_drive(ch)) {
        diagnostic(ch); /* both devices execute it */
        return;
    }
    if (!d->present || (ch->control & CTL_SRST))
        return;
    if ((d->status & (ST_BSY | ST_DRQ)) && !(d->cd && cmd == CMD_DEVICE_RESET)) {
        log_guest("ide: command %02x to unit %d while it has data", cmd, d->unit);
        return;
    }
    d->intrq = false;
    update_irq(ch);
    if (d->cd && cmd == CMD_DEVICE_RESET) {
        timer_disarm(&ch->dma);
        reset_drive(d);
        return;
    }
    d->pos = d->end = d->len = 0;
    if (d->cd)
        atapi_command(d, cmd);
    else
        ata_command(d, cmd);
}

static void reg_write(struct ide_channel *ch, u64 off, u8 val)
{
    if (off == 7) {
        command(ch, val);
        return;
    }
    ch->control &= (u8)~CTL_HOB; /* 7.8: a write to the command block clears it */
    for (int i = 0; i < 2; i++) {
        struct ide_drive *d = &ch->drive[i]; /* both devices take every write */
        switch (off) {
        case 1:
            d->hob_features = d->features;
            d->features = val;
            break;
        case 2:
            d->hob_count = d->count;
            d->count = val;
            break;
        case 6:
            d->dev = val & 0x5f;
            break;
        default:
            d->hob_lba[off - 3] = d->lba[off - 3];
            d->lba[off - 3] = val;
            break;
        }
    }
    if (off == 6) {
        ch->selected = (val & DEV_SELECT) != 0;
        update_irq(ch);
        dma_kick(ch);
    }
}

static void control_write(struct ide_channel *ch, u8 val)
{
    u8 was = ch->control;
    ch->control = val & (CTL_HOB | CTL_SRST | CTL_NIEN);
    if ((was ^ val) & CTL_SRST)
        software_reset(ch); /* at both edges: nothing is left, then the signature appears */
    update_irq(ch);
}

/* ---- device
 * ------------------------------------------------------------------------------------------ */
static u64 ide_access_read(struct ide *s, int region, u64 off, int size, bool peek)
{
    u64 v = 0;
    if (region == REGION_CMD0 || region == REGION_CMD1) {
        struct ide_channel *ch = &s->ch[region - REGION_CMD0];
        if (off == 0)
            return peek ? 0 : read_data(ch, size);
        for (int i = 0; i < size && off + (u64)i < 8; i++)
            v |= (u64)(peek ? reg_peek(ch, off + (u64)i) : reg_read(ch, off + (u64)i)) << (8 * i);
        return v;
    }
    if (region == REGION_BM) {
        for (int i = 0; i < size; i++)
            v |= bm_peek(s, off + (u64)i) << (8 * i);
        return v;
    }
    return reg_peek(&s->ch[region - REGION_CTL0], 7); /* alternate status: INTRQ stays */
}

static u64 ide_read(struct device *d, int region, u64 off, int size)
{
    return ide_access_read((struct ide *)d, region, off, size, false);
}

static u64 ide_peek(struct device *d, int region, u64 off, int size)
{
    return ide_access_read((struct ide *)d, region, off, size, true);
}

static void ide_write(struct device *d, int region, u64 off, u64 val, int size)
{
    struct ide *s = (struct ide *)d;
    if (region == REGION_CTL0 || region == REGION_CTL1) {
        control_write(&s->ch[region - REGION_CTL0], (u8)val);
        return;
    }
    if (region != REGION_BM && off == 0) {
        write_data(&s->ch[region - REGION_CMD0], (u32)val, size);
        return;
    }
    for (int i = 0; i < size; i++) {
        u8 v = (u8)(val >> (8 * i));
        if (region == REGION_BM)
            bm_write(s, off + (u64)i, v);
        else if (off + (u64)i < 8)
            reg_write(&s->ch[region - REGION_CMD0], off + (u64)i, v);
    }
}

static void update_decode(struct ide *s)
{
    bool io = pci_command(&s->pci) & PCI_CMD_IO;
    space_begin(s->ports);
    for (int i = 0; i < 2; i++) {
        bool on = io && (s->pci.config[IDETIM + 2 * i + 1] & IDETIM_DECODE);
        space_enable(s->ch[i].cmd_map, on);
        space_enable(s->ch[i].ctl_map, on);
    }
    space_commit(s->ports);
}

static void config_written(struct pci_device *p, u32 off, int size)
{
    update_decode((struct ide *)p);
}

static void ide_reset(struct device *dev)
{
    struct ide *s = (struct ide *)dev;
    pci_reset(&s->pci);
    update_decode(s);
    for (int c = 0; c < 2; c++) {
        struct ide_channel *ch = &s->ch[c];
        ch->control = 0;
        ch->bm_command = 0;
        ch->bm_status = 0;
        ch->bm_table = 0;
        for (int i = 0; i < 2; i++) {
            struct ide_drive *d = &ch->drive[i];
            d->features = 0;
            if (d->present && d->cd)
                atapi_reset(d);
            else if (d->present)
                ata_reset(d);
        }
        software_reset(ch);
        update_irq(ch);
    }
}

static bool drive_loaded(struct ide_drive *d)
{
    if (!d->present) {
        d->phase = PH_IDLE;
        d->status = 0;
        d->intrq = false;
    }
    if (d->phase >= PH_COUNT || d->pos > d->end || d->end > d->len || d->len > DRIVE_BUF)
        return false;
    if ((d->phase == PH_IN || d->phase == PH_OUT) && d->pos == d->end)
        return false;
    d->dev &= 0x5f;
    d->multiple = is_pow2(d->multiple) && d->multiple <= MAX_MULTIPLE ? d->multiple : 0;
    d->heads = d->heads >= 1 && d->heads <= 16 ? d->heads : 16;
    d->spt = d->spt ? d->spt : 63;
    d->byte_limit = (u16)(d->byte_limit & ~1u) ? (u16)(d->byte_limit & ~1u) : 0xfffe;
    d->left = MIN(d->left, 0x1000000);
    return true;
}

static bool ide_loaded(struct device *dev)
{
    struct ide *s = (struct ide *)dev;
    bool ok = pci_loaded(&s->pci);
    update_decode(s);
    for (int c = 0; c < 2; c++) {
        struct ide_channel *ch = &s->ch[c];
        ch->selected &= 1;
        ch->bm_table &= ~3u;
        ch->bm_command &= BM_START | BM_TO_MEMORY;
        for (int i = 0; i < 2; i++) {
            if (!drive_loaded(&ch->drive[i])) {
                reset_drive(&ch->drive[i]);
                ok = false;
            }
        }
        u8 bms = ch->bm_status;
        ch->irq_level = !(selected(ch)->intrq && !(ch->control & CTL_NIEN));
        update_irq(ch);      /* drives the line */
        ch->bm_status = bms; /* which is no edge; a transfer goes on when its timer says so */
    }
    return ok;
}

static void ide_destroy(struct device *dev)
{
    struct ide *s = (struct ide *)dev;
    for (int c = 0; c < 2; c++) {
        timer_disarm(&s->ch[c].dma);
        free(s->ch[c].chunk);
    }
    pci_remove(&s->pci);
    free(s);
}

#define U(m) FIELD_U(struct ide, m)
#define B(m) FIELD_B(struct ide, m)
#define A(m) FIELD_A(struct ide, m)
#define DRIVE_FIELDS(d)                                                                            \
    U(d.features), U(d.count), A(d.lba), U(d.dev), U(d.hob_features), U(d.hob_count),              \
        A(d.hob_lba), U(d.error), U(d.status), B(d.intrq), U(d.phase), U(d.rw), U(d.pos),          \
        U(d.end), U(d.len), U(d.next), U(d.left), U(d.multiple), U(d.heads), U(d.spt),             \
        U(d.mode_pio), U(d.mode_dma), B(d.cache_off), A(d.packet), U(d.sense_key), U(d.asc),       \
        U(d.ascq), U(d.sense_info), U(d.byte_limit), B(d.raw), B(d.tray_open), B(d.locked),        \
        B(d.attention), U(d.media_event), FIELD_BUF(struct ide, d.buf)
#define CHANNEL_FIELDS(c)                                                                          \
    U(ch[c].selected), U(ch[c].control), U(ch[c].bm_command), U(ch[c].bm_status),                  \
        U(ch[c].bm_table), FIELD_T(struct ide, ch[c].dma), DRIVE_FIELDS(ch[c].drive[0]),           \
        DRIVE_FIELDS(ch[c].drive[1])

static const struct field ide_state[] = {PCI_FIELDS(struct ide, pci), CHANNEL_FIELDS(0),
                                         CHANNEL_FIELDS(1), FIELD_END};

static const struct device_ops ide_ops = {
    .name = "ide",
    .reset = ide_reset,
    .read = ide_read,
    .write = ide_write,
    .peek = ide_peek,
    .state = ide_state,
    .loaded = ide_loaded,
    .destroy = ide_destroy,
};

struct device *ide_new(struct device *pci_bus, int slot, int fn, struct space *ports,
                       struct irq irq14, struct irq irq15, struct clock *clk)
{
    static const u16 cmd_port[2] = {0x1f0, 0x170}, ctl_port[2] = {0x3f6, 0x376};
    struct ide *s = calloc(1, sizeof(*s));
    CHECK(s);
    struct pci_device *p = &s->pci;
    pci_init(p, &ide_ops,
             &(struct pci_id){.vendor = 0x8086, .device = 0x7010, .class_code = 0x010180});
    p->config_written = config_written;
    pci_writable(p, PCI_COMMAND, 0x0005, 2);
    pci_set(p, PCI_STATUS, 0x0280, 2);
    pci_writable(p, IDETIM, 0xffffffff, 4);
    pci_writable(p, 0x44, 0xff, 1); /* SIDETIM */
    pci_bar_io(p, 4, PCI_BAR_IO, 16, &p->dev, REGION_BM, 4);
    s->ports = ports;
    s->clk = clk;
    for (int c = 0; c < 2; c++) {
        struct ide_channel *ch = &s->ch[c];
        ch->ide = s;
        ch->irq = c ? irq15 : irq14;
        ch->chunk = malloc(CHUNK);
        CHECK(ch->chunk);
        timer_init(&ch->dma, clk, dma_run, ch);
        for (int i = 0; i < 2; i++) {
            struct ide_drive *d = &ch->drive[i];
            d->ch = ch;
            d->unit = c * 2 + i;
            d->heads = 16;
            d->spt = 63;
            d->byte_limit = 0xfffe;
        }
        ch->cmd_map = space_map_io(ports, cmd_port[c], 8, &p->dev, REGION_CMD0 + c, 4, 0);
        ch->ctl_map = space_map_io(ports, ctl_port[c], 1, &p->dev, REGION_CTL0 + c, 1, 0);
    }
    update_decode(s);
    pci_add(pci_bus, PCI_DEVFN(slot, fn), p);
    return &p->dev;
}

/* ---- the host's side
 * ------------------------------------------------------------------------------------ */
static struct ide_drive *unit_of(const struct device *d, int unit)
{
    const struct ide *s = (const struct ide *)d;
    return unit >= 0 && unit < 4 ? (struct ide_drive *)&s->ch[unit / 2].drive[unit % 2] : NULL;
}

enum status ide_attach(struct device *dev, int unit, struct block *blk, bool cdrom,
                       struct error *err)
{
    struct ide_drive *d = unit_of(dev, unit);
    if (!d || d->present)
        return fail(err, ST_INVAL, "IDE unit %d does not exist or is taken", unit);
    if (!cdrom && (!blk || blk->size < SECTOR))
        return fail(err, ST_INVAL, "IDE unit %d: a disk needs at least one sector", unit);
    d->present = true;
    d->cd = cdrom;
    d->blk = blk;
    if (cdrom)
        atapi_reset(d);
    else
        ata_reset(d);
    reset_drive(d);
    return ST_OK;
}

enum status ide_change_disc(struct device *dev, int unit, struct block *blk, struct block **old,
                            struct error *err)
{
    struct ide_drive *d = unit_of(dev, unit);
    if (!d || !d->present || !d->cd)
        return fail(err, ST_INVAL, "IDE unit %d is not a CD-ROM drive", unit);
    if (old)
        *old = d->blk;
    d->blk = blk;
    atapi_disc_changed(d);
    return ST_OK;
}

void ide_eject_button(struct device *dev, int unit)
{
    struct ide_drive *d = unit_of(dev, unit);
    if (d && d->present && d->cd)
        atapi_eject_wanted(d);
}

bool ide_disc_locked(const struct device *dev, int unit)
{
    const struct ide_drive *d = unit_of(dev, unit);
    return d && d->cd && d->locked;
}

bool ide_tray_open(const struct device *dev, int unit)
{
    const struct ide_drive *d = unit_of(dev, unit);
    return d && d->cd && d->tray_open;
}

struct block *ide_medium(const struct device *dev, int unit)
{
    const struct ide_drive *d = unit_of(dev, unit);
    return d ? d->blk : NULL;
}
