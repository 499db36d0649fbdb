/*
 * devices/atapi.c - an ATAPI CD-ROM drive: task file side and data transfer.
 *
 * What it is: the PACKET protocol by PIO and DMA. The packet commands themselves are in cdrom.c.
 *
 * Invariants: buf[pos..len) is data the guest has not had; after it come `left` sectors of the disc
 * from `next` on. byte_limit is even and not 0.
 *
 * Manuals: ATA/ATAPI-6 9.7 and 9.8 (PACKET protocols), SFF-8020i 2.6.
 */
#include "base/bits.h"
#include "base/log.h"
#include "devices/ide_priv.h"

/* Sector count register during a packet command: interrupt reason. */
enum { REASON_COD = 1, REASON_IO = 2 };
enum { PACKET_BYTES = 12, FEATURE_DMA = 1 };

void atapi_reset(struct ide_drive *d)
{
    d->mode_pio = 0x0c;
    d->mode_dma = 0x22;
    d->sense_key = d->asc = d->ascq = 0;
    d->sense_info = 0;
    d->byte_limit = 0xfffe;
    d->tray_open = d->locked = d->attention = false;
    d->media_event = 0;
}

/* ---- data towards the guest ---------------------------------------------------------------------
 */
static void packet_end(struct ide_drive *d)
{
    d->count = REASON_IO | REASON_COD;
    ide_done(d, ST_DRDY | ST_DSC, 0, true);
}

void atapi_check(struct ide_drive *d, u8 key, u8 asc, u8 ascq)
{
    d->sense_key = key;
    d->asc = asc;
    d->ascq = ascq;
    d->count = REASON_IO | REASON_COD;
    ide_done(d, ST_DRDY | ST_DSC | ST_ERR, (u8)(key << 4 | ERR_ABRT), true);
}

static void bad_sector(struct ide_drive *d)
{
    if (!d->blk || d->tray_open) {
        atapi_check(d, 2, 0x3a, 0); /* the disc has gone */
        return;
    }
    log_warn("%s: CD sector %llu cannot be read", d->blk->name, (unsigned long long)d->next);
    d->sense_info = (u32)d->next;
    atapi_check(d, 3, 0x11, 0); /* MEDIUM ERROR, unrecovered read error */
}

/* Refills the buffer from the disc; false after an error was reported. */
static bool refill(struct ide_drive *d)
{
    u32 n = MIN(d->left, (u32)DRIVE_BUF / cdrom_sector_size(d));
    u32 ok = cdrom_read(d, d->buf, n);
    if (!ok) {
        bad_sector(d);
        return false;
    }
    d->next += ok;
    d->left -= ok;
    d->pos = 0;
    d->len = ok * cdrom_sector_size(d);
    return true;
}

static void pio_in(struct ide_drive *d)
{
    if (d->pos >= d->len && d->left && !refill(d))
        return;
    if (d->pos >= d->len) {
        packet_end(d);
        return;
    }
    u32 n = MIN(d->len - d->pos, (u32)d->byte_limit);
    d->count = REASON_IO;
    d->lba[1] = (u8)n;
    d->lba[2] = (u8)(n >> 8);
    ide_drq(d, PH_IN, d->pos, d->pos + n, true);
}

void atapi_drained(struct ide_drive *d)
{
    pio_in(d);
}

static void data_in(struct ide_drive *d)
{
    d->pos = d->end = 0;
    if (!d->len && !d->left)
        packet_end(d);
    else if (d->rw & RW_DMA)
        ide_dma_request(d, PH_DMA_IN);
    else
        pio_in(d);
}

/* len bytes of buf, at most what the guest allows. */
void atapi_reply(struct ide_drive *d, u32 len, u32 allowed)
{
    d->len = MIN(len, allowed);
    d->left = 0;
    data_in(d);
}

void atapi_reply_sectors(struct ide_drive *d, u64 lba, u32 n)
{
    d->len = 0;
    d->next = lba;
    d->left = n;
    data_in(d);
}

void atapi_good(struct ide_drive *d)
{
    packet_end(d);
}

bool atapi_dma(struct ide_drive *d, struct prd_walk *w)
{
    u8 *buf = d->ch->chunk;
    if (d->phase != PH_DMA_IN) {
        atapi_check(d, 5, 0x24, 0);
        return true;
    }
    d->end = d->len; /* a paused transfer goes on here */
    d->pos += prd_write(w, d->buf + d->pos, d->len - d->pos);
    while (d->pos == d->len && d->left) {
        u32 size = cdrom_sector_size(d);
        u32 n = MIN(d->left, (u32)CHUNK / size), ok = cdrom_read(d, buf, n);
        u32 moved = prd_write(w, buf, ok * size) / size;
        d->next += moved;
        d->left -= moved;
        if (moved < ok)
            return false;
        if (ok < n) {
            bad_sector(d);
            return true;
        }
    }
    if (d->pos < d->len)
        return false; /* the table is too short: the drive waits */
    packet_end(d);
    return true;
}

/* ---- task file commands
 * ------------------------------------------------------------------------------ */
void atapi_filled(struct ide_drive *d)
{
    /* The only data a guest sends is the packet: commands that take more are not offered. */
    memcpy(d->packet, d->buf, PACKET_BYTES);
    d->rw |= RW_PACKET;
    d->len = d->pos = d->end = 0;
    cdrom_packet(d);
}

static void start_packet(struct ide_drive *d)
{
    u32 limit = d->lba[1] | (u32)d->lba[2] << 8;
    /* 0 is no limit; an odd one counts as the even one below it (SFF-8020i 2.6.4). */
    limit = limit == 0xffff || limit < 2 ? 0xfffe : limit & 0xfffe;
    d->byte_limit = (u16)limit;
    d->rw = RW_PACKET | (d->features & FEATURE_DMA ? RW_DMA : 0);
    d->left = 0;
    d->count = REASON_COD;
    ide_drq(d, PH_OUT, 0, PACKET_BYTES, false);
}

void atapi_command(struct ide_drive *d, u8 cmd)
{
    switch (cmd) {
    case 0xa0:
        start_packet(d);
        break;
    case 0xa1:
        d->rw = 0;
        d->left = 0;
        d->next = 0;
        atapi_identify(d, d->buf);
        ide_drq(d, PH_IN, 0, SECTOR, true);
        break;
    case 0x20: /* READ SECTORS and IDENTIFY DEVICE: abort and show the signature (9.12) */
    case 0xec: {
        u8 dev = d->dev;
        ide_signature(d);
        d->dev = dev;
        ide_fail(d, ERR_ABRT);
        break;
    }
    case 0xef: /* SET FEATURES: transfer mode, else nothing that a CD has */
        if (d->features == 0x03 &&
            (d->count <= 0x0c || (d->count & 0xf8) == 0x20 || (d->count & 0xf8) == 0x40)) {
            if (d->count & 0x60)
                d->mode_dma = d->count;
            ide_done(d, ST_DRDY | ST_DSC, 0, true);
        } else if (d->features == 0x66 || d->features == 0xcc) {
            ide_done(d, ST_DRDY | ST_DSC, 0, true);
        } else {
            ide_fail(d, ERR_ABRT);
        }
        break;
    case 0xe5: /* CHECK POWER MODE */
        d->count = 0xff;
        ide_done(d, ST_DRDY | ST_DSC, 0, true);
        break;
    case 0xe0:
    case 0xe1:
    case 0xe6:
        ide_done(d, ST_DRDY | ST_DSC, 0, true);
        break;
    default:
        ide_fail(d, ERR_ABRT);
        break;
    }
}
