/*
 * devices/ata.c - an ATA disk: commands and their data.
 *
 * What it is: the general feature set with LBA, CHS and 48-bit addresses, by PIO, multiple and DMA.
 * What it is not: SMART, security, power timers (the power commands succeed and change nothing),
 * queuing. Those commands are aborted and IDENTIFY does not list them.
 *
 * Invariants: left counts the sectors that are still to move between medium and buffer; with the
 * write cache on, FLUSH CACHE alone makes data durable, and its failure is reported.
 *
 * Manual: ATA/ATAPI-6 (T13 1410D) 8 command descriptions, 6.2 addresses.
 */
#include "base/bits.h"
#include "base/log.h"
#include "devices/ide_priv.h"

enum { RW_NONE = 0xff };
enum { CHUNK_SECTORS = CHUNK / SECTOR };

void ata_reset(struct ide_drive *d)
{
    d->multiple = 0;
    d->heads = 16;
    d->spt = 63;
    d->mode_pio = 0x0c; /* PIO 4 */
    d->mode_dma = 0x22; /* multiword DMA 2 */
    d->cache_off = false;
}

/* ---- addresses ----------------------------------------------------------------------------------
 */
/* The first sector the registers name; false when they name none. */
static bool get_address(const struct ide_drive *d, bool ext, u64 *lba)
{
    u32 low = d->lba[0] | (u32)d->lba[1] << 8 | (u32)d->lba[2] << 16;
    u32 head = d->dev & 15, cyl = low >> 8, sec = low & 0xff;
    if (ext) {
        *lba = low | (u64)d->hob_lba[0] << 24 | (u64)d->hob_lba[1] << 32 | (u64)d->hob_lba[2] << 40;
        return true;
    }
    if (d->dev & DEV_LBA) {
        *lba = low | head << 24;
        return true;
    }
    *lba = ((u64)cyl * d->heads + head) * d->spt + sec - 1;
    return sec >= 1 && sec <= d->spt && head < d->heads;
}

/* Puts a sector's address into the registers, in the form the command used. */
static void put_address(struct ide_drive *d, bool ext, u64 lba)
{
    u32 head = (u32)(lba >> 24) & 15;
    if (ext) {
        for (int i = 0; i < 3; i++)
            d->hob_lba[i] = (u8)(lba >> (24 + 8 * i));
    } else if (!(d->dev & DEV_LBA)) {
        u64 track = lba / d->spt;
        head = (u32)(track % d->heads);
        lba = (lba % d->spt + 1) | (track / d->heads) << 8;
    }
    for (int i = 0; i < 3; i++)
        d->lba[i] = (u8)(lba >> (8 * i));
    if (!ext)
        d->dev = (u8)((d->dev & 0xf0) | head);
}

static u32 get_count(const struct ide_drive *d, bool ext)
{
    u32 n = d->count | (ext ? (u32)d->hob_count << 8 : 0);
    return n ? n : ext ? 65536 : 256;
}

/* ---- the medium
 * ----------------------------------------------------------------------------------- */
/* Reads sectors; returns how many are good from the first on. */
static u32 read_sectors(struct ide_drive *d, u8 *buf, u32 n)
{
    if (block_read(d->blk, d->next * SECTOR, buf, (size_t)n * SECTOR) == ST_OK)
        return n;
    for (u32 i = 0; i < n; i++)
        if (block_read(d->blk, (d->next + i) * SECTOR, buf + i * SECTOR, SECTOR) != ST_OK)
            return i;
    return n;
}

static u32 write_sectors(struct ide_drive *d, const u8 *buf, u32 n)
{
    if (block_write(d->blk, d->next * SECTOR, buf, (size_t)n * SECTOR) == ST_OK)
        return n;
    for (u32 i = 0; i < n; i++)
        if (block_write(d->blk, (d->next + i) * SECTOR, buf + i * SECTOR, SECTOR) != ST_OK)
            return i;
    return n;
}

/* The command ends at sector d->next, which could not be moved. */
static void medium_error(struct ide_drive *d, u8 error)
{
    log_warn("%s: sector %llu cannot be %s", d->blk->name, (unsigned long long)d->next,
             d->rw & RW_WRITE ? "written" : "read");
    put_address(d, d->rw & RW_EXT, d->next);
    ide_fail(d, error);
}

static void good(struct ide_drive *d)
{
    ide_done(d, ST_DRDY | ST_DSC, 0, true);
}

/* All sectors have moved. irq: not after the last block of a PIO read. */
static void finish(struct ide_drive *d, bool irq)
{
    if ((d->rw & RW_WRITE) && (d->cache_off || (d->rw & RW_FUA)) && block_flush(d->blk) != ST_OK) {
        d->next = d->next ? d->next - 1 : 0;
        medium_error(d, ERR_ABRT);
        return;
    }
    if (d->next)
        put_address(d, d->rw & RW_EXT, d->next - 1); /* the last sector */
    d->count = 0;
    ide_done(d, ST_DRDY | ST_DSC, 0, irq);
}

/* ---- data commands
 * ---------------------------------------------------------------------------------- */
static u8 rw_of(u8 cmd)
{
    switch (cmd) {
    case 0x20:
    case 0x21:
        return 0;
    case 0x24:
        return RW_EXT;
    case 0x25:
        return RW_EXT | RW_DMA;
    case 0x29:
        return RW_EXT | RW_MULTI;
    case 0x30:
    case 0x31:
        return RW_WRITE;
    case 0x34:
        return RW_WRITE | RW_EXT;
    case 0x35:
        return RW_WRITE | RW_EXT | RW_DMA;
    case 0x39:
        return RW_WRITE | RW_EXT | RW_MULTI;
    case 0x3d:
        return RW_WRITE | RW_EXT | RW_DMA | RW_FUA;
    case 0x40:
    case 0x41:
        return RW_VERIFY;
    case 0x42:
        return RW_VERIFY | RW_EXT;
    case 0xc4:
        return RW_MULTI;
    case 0xc5:
        return RW_WRITE | RW_MULTI;
    case 0xc8:
    case 0xc9:
        return RW_DMA;
    case 0xca:
    case 0xcb:
        return RW_WRITE | RW_DMA;
    case 0xce:
        return RW_WRITE | RW_EXT | RW_MULTI | RW_FUA;
    default:
        return RW_NONE;
    }
}

static u32 drq_sectors(const struct ide_drive *d)
{
    return MIN(d->left, d->rw & RW_MULTI ? d->multiple : 1u);
}

static void next_in(struct ide_drive *d)
{
    u32 n = drq_sectors(d), ok = read_sectors(d, d->buf, n);
    if (!ok) {
        d->next += ok;
        medium_error(d, ERR_UNC);
        return;
    }
    /* What was good before a bad sector is handed over; the error comes with the next block. */
    d->next += ok;
    d->left -= ok;
    ide_drq(d, PH_IN, 0, ok * SECTOR, true);
}

static void verify(struct ide_drive *d)
{
    while (d->left) {
        u32 n = MIN(d->left, CHUNK_SECTORS), ok = read_sectors(d, d->ch->chunk, n);
        d->next += ok;
        d->left -= ok;
        if (ok < n) {
            medium_error(d, ERR_UNC);
            return;
        }
    }
    finish(d, true);
}

static void start(struct ide_drive *d, u8 rw)
{
    u32 n = get_count(d, rw & RW_EXT);
    u64 total = ata_sectors(d);

    if (((rw & RW_MULTI) && !d->multiple) || ((rw & RW_WRITE) && d->blk->readonly)) {
        ide_fail(d, ERR_ABRT);
        return;
    }
    if (!get_address(d, rw & RW_EXT, &d->next) || d->next >= total || n > total - d->next) {
        log_guest("ide: unit %d has no sectors %llu+%u", d->unit, (unsigned long long)d->next, n);
        ide_fail(d, ERR_IDNF);
        return;
    }
    d->rw = rw;
    d->left = n;
    if (rw & RW_VERIFY)
        verify(d);
    else if (rw & RW_DMA)
        ide_dma_request(d, rw & RW_WRITE ? PH_DMA_OUT : PH_DMA_IN);
    else if (rw & RW_WRITE)
        ide_drq(d, PH_OUT, 0, drq_sectors(d) * SECTOR, false);
    else
        next_in(d);
}

/* After a restore the fields may say anything. */
static bool transfer_ok(const struct ide_drive *d)
{
    u64 total = ata_sectors(d);
    return d->next <= total && d->left <= total - d->next;
}

void ata_drained(struct ide_drive *d)
{
    if (!transfer_ok(d) || ((d->rw & RW_MULTI) && !d->multiple))
        ide_fail(d, ERR_ABRT);
    else if (d->left)
        next_in(d);
    else if (d->cd || !d->next)
        ide_done(d, ST_DRDY | ST_DSC, 0, false); /* IDENTIFY data */
    else
        finish(d, false);
}

void ata_filled(struct ide_drive *d)
{
    u32 n = d->end / SECTOR;
    if (!transfer_ok(d) || n > d->left || !n || ((d->rw & RW_MULTI) && !d->multiple)) {
        ide_fail(d, ERR_ABRT);
        return;
    }
    u32 ok = write_sectors(d, d->buf, n);
    d->next += ok;
    d->left -= ok;
    if (ok < n)
        medium_error(d, ERR_ABRT);
    else if (d->left)
        ide_drq(d, PH_OUT, 0, drq_sectors(d) * SECTOR, true);
    else
        finish(d, true);
}

bool ata_dma(struct ide_drive *d, struct prd_walk *w)
{
    u8 *buf = d->ch->chunk;
    if (!transfer_ok(d)) {
        ide_fail(d, ERR_ABRT);
        return true;
    }
    while (d->left) {
        u32 n = MIN(d->left, CHUNK_SECTORS), moved, ok;
        bool in = d->phase == PH_DMA_IN;
        if (in) {
            ok = read_sectors(d, buf, n);
            moved = prd_write(w, buf, ok * SECTOR) / SECTOR;
        } else {
            ok = prd_read(w, buf, n * SECTOR) / SECTOR;
            moved = ok ? write_sectors(d, buf, ok) : 0;
        }
        d->next += moved;
        d->left -= moved;
        if (in ? moved == ok && ok < n : moved < ok) {
            medium_error(d, in ? ERR_UNC : ERR_ABRT);
            return true;
        }
        if (moved < n)
            return false; /* the table is too short: the drive waits */
    }
    finish(d, true);
    return true;
}

/* ---- the other commands
 * ------------------------------------------------------------------------------ */
static void set_features(struct ide_drive *d)
{
    u8 mode = d->count;
    switch (d->features) {
    case 0x02:
        d->cache_off = false;
        break;
    case 0x82: /* what the cache holds goes to the medium first */
        if (block_flush(d->blk) != ST_OK) {
            ide_fail(d, ERR_ABRT);
            return;
        }
        d->cache_off = true;
        break;
    case 0x03:
        if (mode <= 1 || (mode >= 0x08 && mode <= 0x0c)) {
            d->mode_pio = mode;
        } else if ((mode >= 0x20 && mode <= 0x22) || (mode >= 0x40 && mode <= 0x45)) {
            d->mode_dma = mode;
        } else {
            ide_fail(d, ERR_ABRT);
            return;
        }
        break;
    case 0x55: /* look-ahead, defaults at reset: nothing to change */
    case 0xaa:
    case 0x66:
    case 0xcc:
        break;
    default:
        ide_fail(d, ERR_ABRT);
        return;
    }
    good(d);
}

static void set_multiple(struct ide_drive *d)
{
    if (d->count && (d->count > MAX_MULTIPLE || !is_pow2(d->count))) {
        ide_fail(d, ERR_ABRT);
        return;
    }
    d->multiple = d->count;
    good(d);
}

static void initialize_parameters(struct ide_drive *d)
{
    if (!d->count) {
        ide_fail(d, ERR_ABRT);
        return;
    }
    d->heads = (u8)((d->dev & 15) + 1);
    d->spt = d->count;
    good(d);
}

static void seek(struct ide_drive *d)
{
    u64 lba;
    if (get_address(d, false, &lba) && lba < ata_sectors(d))
        good(d);
    else
        ide_fail(d, ERR_IDNF);
}

static void read_native_max(struct ide_drive *d, bool ext)
{
    u64 last = ata_sectors(d) - 1;
    if (!ext && !(d->dev & DEV_LBA)) {
        ide_fail(d, ERR_ABRT);
        return;
    }
    put_address(d, ext, ext ? last : MIN(last, 0x0ffffffe));
    good(d);
}

static void flush(struct ide_drive *d)
{
    if (block_flush(d->blk) == ST_OK) {
        good(d);
    } else {
        log_error("%s: flush failed", d->blk->name);
        ide_fail(d, ERR_ABRT);
    }
}

void ata_command(struct ide_drive *d, u8 cmd)
{
    u8 rw = rw_of(cmd);
    if (rw != RW_NONE) {
        start(d, rw);
        return;
    }
    switch (cmd) {
    case 0x10 ... 0x1f: /* RECALIBRATE */
        put_address(d, false, 0);
        good(d);
        break;
    case 0x70 ... 0x7f:
        seek(d);
        break;
    case 0x91:
        initialize_parameters(d);
        break;
    case 0x27:
        read_native_max(d, true);
        break;
    case 0xf8:
        read_native_max(d, false);
        break;
    case 0xc6:
        set_multiple(d);
        break;
    case 0xe7:
    case 0xea:
        flush(d);
        break;
    case 0xec:
        d->next = 0;
        d->left = 0;
        d->rw = 0;
        ata_identify(d, d->buf);
        ide_drq(d, PH_IN, 0, SECTOR, true);
        break;
    case 0xef:
        set_features(d);
        break;
    case 0x98:
    case 0xe5: /* CHECK POWER MODE: active or idle */
        d->count = 0xff;
        good(d);
        break;
    case 0x94 ... 0x97: /* STANDBY (IMMEDIATE), IDLE (IMMEDIATE), SLEEP */
    case 0x99:
    case 0xe0 ... 0xe3:
    case 0xe6:
        good(d);
        break;
    default: /* NOP and DEVICE RESET too, by definition */
        if (cmd != 0x00 && cmd != 0x08 && cmd != 0xb0 && cmd != 0xa1)
            log_guest("ide: unit %d: command %02x not offered", d->unit, cmd);
        ide_fail(d, ERR_ABRT);
        break;
    }
}
