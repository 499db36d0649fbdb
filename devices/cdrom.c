/*
 * devices/cdrom.c - the packet commands of a CD-ROM drive with a one-track data disc.
 *
 * What it is not: audio, sub-channels, writing, several sessions. A raw sector (READ CD) has sync,
 * header and data; its error correction bytes are zero.
 *
 * Invariant: `attention` is told once, as UNIT ATTENTION, before any command that needs the disc.
 *
 * Manuals: MMC-3 (T10 1363-D), SPC-2 (sense keys), SFF-8020i.
 */
#include "base/bits.h"
#include "base/log.h"
#include "devices/ide_priv.h"

enum { CD_SECTOR = 2048, CD_RAW = 2352 };
enum { KEY_NONE = 0, KEY_NOT_READY = 2, KEY_ILLEGAL = 5, KEY_ATTENTION = 6 };
enum { EVENT_NONE = 0, EVENT_EJECT = 1, EVENT_NEW = 2, EVENT_REMOVED = 3 };
enum { LEADOUT = 0xaa };

static u16 be16(const u8 *p)
{
    return (u16)(p[0] << 8 | p[1]);
}

static u32 be32(const u8 *p)
{
    return (u32)be16(p) << 16 | be16(p + 2);
}

static void put16(u8 *p, u32 v)
{
    p[0] = (u8)(v >> 8);
    p[1] = (u8)v;
}

static void put32(u8 *p, u32 v)
{
    put16(p, v >> 16);
    put16(p + 2, v);
}

/* ---- the disc
 * -------------------------------------------------------------------------------------- */
static bool has_disc(const struct ide_drive *d)
{
    return d->blk && !d->tray_open;
}

static u32 sectors(const struct ide_drive *d)
{
    u64 n = has_disc(d) ? (d->blk->size + CD_SECTOR - 1) / CD_SECTOR : 0;
    return (u32)MIN(n, 0x7fffffff);
}

u32 cdrom_sector_size(const struct ide_drive *d)
{
    return d->raw ? CD_RAW : CD_SECTOR;
}

/* Minutes, seconds, frames of an address; 75 frames a second, two seconds before sector 0. */
static void put_msf(u8 *p, u32 lba)
{
    lba += 150;
    p[0] = (u8)(lba / (75 * 60));
    p[1] = (u8)(lba / 75 % 60);
    p[2] = (u8)(lba % 75);
}

static u8 bcd(u8 v)
{
    return (u8)(v / 10 % 10 << 4 | v % 10);
}

static bool read_one(struct ide_drive *d, u64 lba, u8 *buf)
{
    u64 off = lba * CD_SECTOR, n = d->blk->size - off;
    if (n < CD_SECTOR)
        memset(buf, 0, CD_SECTOR); /* an image that ends inside its last sector */
    return block_read(d->blk, off, buf, MIN(n, CD_SECTOR)) == ST_OK;
}

u32 cdrom_read(struct ide_drive *d, u8 *buf, u32 n)
{
    u32 total = sectors(d), i;
    if (d->next >= total)
        return 0;
    n = (u32)MIN(n, total - d->next);
    if (!d->raw && (d->next + n) * CD_SECTOR <= d->blk->size &&
        block_read(d->blk, d->next * CD_SECTOR, buf, (size_t)n * CD_SECTOR) == ST_OK)
        return n;
    for (i = 0; i < n; i++) {
        u8 *s = buf + (size_t)i * cdrom_sector_size(d);
        if (d->raw) {
            u8 msf[3];
            memset(s, 0, CD_RAW);
            memset(s + 1, 0xff, 10);
            put_msf(msf, (u32)d->next + i);
            for (int k = 0; k < 3; k++)
                s[12 + k] = bcd(msf[k]);
            s[15] = 1; /* mode 1 */
            s += 16;
        }
        if (!read_one(d, d->next + i, s))
            break;
    }
    return i;
}

void atapi_disc_changed(struct ide_drive *d)
{
    d->tray_open = false;
    d->attention = true;
    d->media_event = d->blk ? EVENT_NEW : EVENT_REMOVED;
}

void atapi_eject_wanted(struct ide_drive *d)
{
    d->media_event = EVENT_EJECT;
}

/* ---- commands
 * ---------------------------------------------------------------------------------------- */
static void illegal(struct ide_drive *d, u8 asc)
{
    atapi_check(d, KEY_ILLEGAL, asc, 0);
}

static void request_sense(struct ide_drive *d)
{
    u8 *b = d->buf, n = d->packet[4];
    memset(b, 0, 18);
    b[0] = 0x70 | (d->sense_info ? 0x80 : 0);
    b[2] = d->sense_key;
    put32(b + 3, d->sense_info);
    b[7] = 10;
    b[12] = d->asc;
    b[13] = d->ascq;
    d->sense_key = d->asc = d->ascq = 0;
    d->sense_info = 0;
    atapi_reply(d, 18, n);
}

static void inquiry(struct ide_drive *d)
{
    u8 *b = d->buf;
    if (d->packet[1] & 1) { /* vital product data: none */
        illegal(d, 0x24);
        return;
    }
    memset(b, 0, 36);
    b[0] = 5;    /* CD-ROM */
    b[1] = 0x80; /* removable */
    b[3] = 0x21; /* ATAPI, response format 1 */
    b[4] = 31;
    memcpy(b + 8, "TRIVISORCD-ROM          1.0 ", 28);
    atapi_reply(d, 36, be16(d->packet + 3));
}

static void read_capacity(struct ide_drive *d)
{
    put32(d->buf, sectors(d) - 1);
    put32(d->buf + 4, CD_SECTOR);
    atapi_reply(d, 8, 8);
}

static void read_sectors(struct ide_drive *d, u32 lba, u32 n, bool raw)
{
    u32 total = sectors(d);
    if (lba > total || n > total - lba) {
        illegal(d, 0x21); /* LOGICAL BLOCK ADDRESS OUT OF RANGE */
        return;
    }
    d->raw = raw;
    atapi_reply_sectors(d, lba, n);
}

static void read_cd(struct ide_drive *d)
{
    const u8 *p = d->packet;
    u32 n = (u32)p[6] << 16 | be16(p + 7);
    switch (p[9] & 0xf8) {
    case 0x00: /* nothing of each sector */
        atapi_good(d);
        break;
    case 0x10:
        read_sectors(d, be32(p + 2), n, false);
        break;
    case 0xf8:
        read_sectors(d, be32(p + 2), n, true);
        break;
    default:
        illegal(d, 0x24);
        break;
    }
}

static u8 *toc_address(u8 *p, u32 lba, bool msf)
{
    put32(p, msf ? 0 : lba);
    if (msf)
        put_msf(p + 1, lba);
    return p + 4;
}

static u8 *toc_track(u8 *p, u8 track, u32 lba, bool msf)
{
    p[0] = 0;
    p[1] = 0x14; /* data track */
    p[2] = track;
    p[3] = 0;
    return toc_address(p + 4, lba, msf);
}

/* Full TOC (format 2): points A0, A1, A2 and track 1. MMC-3 table 238. */
static u8 *toc_full(struct ide_drive *d, u8 *p)
{
    static const u8 point[4] = {0xa0, 0xa1, 0xa2, 1};
    for (int i = 0; i < 4; i++, p += 11) {
        memset(p, 0, 11);
        p[0] = 1; /* session */
        p[1] = 0x14;
        p[3] = point[i];
        if (i < 2)
            p[8] = 1; /* first, last track */
        else
            put_msf(p + 8, i == 2 ? sectors(d) : 0);
    }
    return p;
}

static void read_toc(struct ide_drive *d)
{
    const u8 *c = d->packet;
    u8 *b = d->buf, *p = b + 4;
    bool msf = c[1] & 2;
    /* SFF-8020i has the format in the last byte's upper bits; MMC in byte 2. */
    u8 format = c[2] & 15 ? c[2] & 15 : c[9] >> 6;
    u8 start = c[6];

    b[2] = b[3] = 1;
    switch (format) {
    case 0:
        if (start > 1 && start != LEADOUT) {
            illegal(d, 0x24);
            return;
        }
        if (start <= 1)
            p = toc_track(p, 1, 0, msf);
        p = toc_track(p, LEADOUT, sectors(d), msf);
        break;
    case 1: /* first track of the last session */
        p = toc_track(p, 1, 0, msf);
        break;
    case 2:
        p = toc_full(d, p);
        break;
    default:
        illegal(d, 0x24);
        return;
    }
    put16(b, (u32)(p - b) - 2);
    atapi_reply(d, (u32)(p - b), be16(c + 7));
}

static u8 *mode_page(struct ide_drive *d, u8 *p, u8 page, bool changeable)
{
    u32 n = page == 0x01 ? 8 : page == 0x2a ? 22 : 10;
    memset(p, 0, n);
    p[0] = page;
    p[1] = (u8)(n - 2);
    if (changeable)
        return p + n;
    if (page == 0x01) {
        p[3] = 5; /* retries */
    } else if (page == 0x2a) {
        p[2] = 0x3b;                             /* reads CD-R, CD-RW, DVD */
        p[4] = 0x70;                             /* mode 2, multi-session */
        p[6] = (u8)(0x29 | (d->locked ? 2 : 0)); /* tray, ejects, locks */
        put16(p + 8, 706);                       /* 4x in kB/s */
        put16(p + 12, 64);                       /* buffer, KiB */
        put16(p + 14, 706);
    }
    return p + n;
}

static void mode_sense(struct ide_drive *d, bool ten)
{
    const u8 *c = d->packet;
    u8 page = c[2] & 0x3f, control = c[2] >> 6;
    u8 *b = d->buf, *p = b + (ten ? 8 : 4);
    u8 medium = !d->blk ? 0x70 : d->tray_open ? 0x71 : 0x01;

    if (control == 3) {
        atapi_check(d, KEY_ILLEGAL, 0x39, 0); /* SAVING PARAMETERS NOT SUPPORTED */
        return;
    }
    if (page != 0x01 && page != 0x2a && page != 0x3f) {
        illegal(d, 0x24);
        return;
    }
    memset(b, 0, 8);
    if (page != 0x2a)
        p = mode_page(d, p, 0x01, control == 1);
    if (page != 0x01)
        p = mode_page(d, p, 0x2a, control == 1);
    if (ten) {
        put16(b, (u32)(p - b) - 2);
        b[2] = medium;
    } else {
        b[0] = (u8)(p - b - 1);
        b[1] = medium;
    }
    atapi_reply(d, (u32)(p - b), ten ? be16(c + 7) : c[4]);
}

static u8 *feature(u8 *p, u32 code, u8 flags, u8 extra)
{
    put16(p, code);
    p[2] = flags;
    p[3] = extra;
    memset(p + 4, 0, extra);
    return p + 4 + extra;
}

static void get_configuration(struct ide_drive *d)
{
    const u8 *c = d->packet;
    u8 *b = d->buf, *p = b + 8;
    u32 from = be16(c + 2), rt = c[1] & 3;
    /* DVD-ROM when the image is larger than a CD can be: 80 minutes. */
    bool dvd = sectors(d) > 80 * 60 * 75;
    static const struct {
        u16 code;
        u8 flags, extra, byte, val; /* one byte of the extra data that is not 0 */
        bool current;               /* only with a disc */
    } f[] = {
        {0x0000, 0x03, 8, 0, 0, false},    /* profile list */
        {0x0001, 0x0b, 8, 3, 0x02, false}, /* core: ATAPI */
        {0x0003, 0x03, 4, 0, 0x29, false}, /* removable medium: tray */
        {0x0010, 0x00, 8, 0, 0, true},     /* random readable */
        {0x001e, 0x00, 4, 0, 0, true},     /* CD read */
        {0x001f, 0x00, 4, 0, 0, true},     /* DVD read */
    };
    if (rt == 3) {
        illegal(d, 0x24);
        return;
    }
    memset(b, 0, 8);
    put16(b + 6, !has_disc(d) ? 0 : dvd ? 0x10 : 0x08);
    for (size_t i = 0; i < ARRAY_LEN(f); i++) {
        bool current =
            !f[i].current || (has_disc(d) && (f[i].code == 0x10 || dvd == (f[i].code == 0x1f)));
        if (rt == 2 ? f[i].code != from : f[i].code < from)
            continue;
        if (rt == 1 && !current)
            continue;
        u8 *e = p;
        p = feature(p, f[i].code, (u8)(f[i].flags | (current ? 1 : 0)), f[i].extra);
        if (f[i].extra)
            e[4 + f[i].byte] = f[i].val;
        if (f[i].code == 0x0000) {
            put16(e + 4, 0x10);
            e[6] = has_disc(d) && dvd;
            put16(e + 8, 0x08);
            e[10] = has_disc(d) && !dvd;
        } else if (f[i].code == 0x0010) {
            put32(e + 4, CD_SECTOR);
            put16(e + 8, 1);
        }
    }
    put32(b, (u32)(p - b) - 4);
    atapi_reply(d, (u32)(p - b), be16(c + 7));
}

static void get_event(struct ide_drive *d)
{
    const u8 *c = d->packet;
    u8 *b = d->buf;
    if (!(c[1] & 1)) { /* asynchronous: not offered */
        illegal(d, 0x24);
        return;
    }
    memset(b, 0, 8);
    b[3] = 0x10; /* only media events are known */
    if (!(c[4] & 0x10)) {
        put16(b, 2);
        b[2] = 0x80; /* no event of the asked classes */
        atapi_reply(d, 4, be16(c + 7));
        return;
    }
    put16(b, 6);
    b[2] = 4;
    b[4] = d->media_event;
    b[5] = (u8)((has_disc(d) ? 2 : 0) | (d->tray_open ? 1 : 0));
    d->media_event = EVENT_NONE;
    atapi_reply(d, 8, be16(c + 7));
}

static void mechanism_status(struct ide_drive *d)
{
    memset(d->buf, 0, 8);
    d->buf[1] = d->tray_open ? 0x10 : 0;
    d->buf[5] = 1; /* slots */
    atapi_reply(d, 8, be16(d->packet + 8));
}

static void read_disc_information(struct ide_drive *d)
{
    u8 *b = d->buf;
    memset(b, 0, 34);
    put16(b, 32);
    b[2] = 0x0e; /* complete session, finalized disc */
    b[3] = b[4] = b[5] = b[6] = 1;
    b[7] = 0x20; /* unrestricted use */
    memset(b + 16, 0xff, 8);
    atapi_reply(d, 34, be16(d->packet + 7));
}

static void start_stop(struct ide_drive *d)
{
    u8 op = d->packet[4];
    if (op & 2) { /* LoEj */
        bool open = !(op & 1);
        if (open && d->locked) {
            atapi_check(d, has_disc(d) ? KEY_ILLEGAL : KEY_NOT_READY, 0x53, 2);
            return;
        }
        if (open != d->tray_open) {
            d->tray_open = open;
            d->attention = !open && d->blk;
            d->media_event = open ? EVENT_REMOVED : d->blk ? EVENT_NEW : EVENT_NONE;
        }
    }
    atapi_good(d);
}

static void seek(struct ide_drive *d)
{
    if (be32(d->packet + 2) < sectors(d))
        atapi_good(d);
    else
        illegal(d, 0x21);
}

enum { NEEDS_DISC = 1, ANY_TIME = 2 }; /* ANY_TIME: goes through before a UNIT ATTENTION */

static u8 needs_of(u8 op)
{
    switch (op) {
    case 0x03: /* REQUEST SENSE */
    case 0x12: /* INQUIRY */
    case 0x46: /* GET CONFIGURATION */
    case 0x4a: /* GET EVENT STATUS NOTIFICATION */
        return ANY_TIME;
    case 0x00: /* TEST UNIT READY */
    case 0x25: /* READ CAPACITY */
    case 0x28: /* READ (10) */
    case 0x2b: /* SEEK */
    case 0x43: /* READ TOC */
    case 0x51: /* READ DISC INFORMATION */
    case 0xa8: /* READ (12) */
    case 0xbe: /* READ CD */
        return NEEDS_DISC;
    default:
        return 0;
    }
}

void cdrom_packet(struct ide_drive *d)
{
    const u8 *p = d->packet;
    u8 op = p[0], needs = needs_of(op);

    if (needs != ANY_TIME && d->attention) {
        d->attention = false;
        atapi_check(d, KEY_ATTENTION, 0x28, 0); /* MEDIUM MAY HAVE CHANGED */
        return;
    }
    if (needs == NEEDS_DISC && !has_disc(d)) {
        atapi_check(d, KEY_NOT_READY, 0x3a, d->tray_open ? 2 : 1); /* MEDIUM NOT PRESENT */
        return;
    }
    if (op != 0x03) {
        d->sense_key = d->asc = d->ascq = 0;
        d->sense_info = 0;
    }
    switch (op) {
    case 0x00:
    case 0x1e: /* PREVENT ALLOW MEDIUM REMOVAL */
        if (op)
            d->locked = p[4] & 1;
        atapi_good(d);
        break;
    case 0x03:
        request_sense(d);
        break;
    case 0x12:
        inquiry(d);
        break;
    case 0x1a:
    case 0x5a:
        mode_sense(d, op == 0x5a);
        break;
    case 0x1b:
        start_stop(d);
        break;
    case 0x25:
        read_capacity(d);
        break;
    case 0x28:
        read_sectors(d, be32(p + 2), be16(p + 7), false);
        break;
    case 0xa8:
        read_sectors(d, be32(p + 2), be32(p + 6), false);
        break;
    case 0x2b:
        seek(d);
        break;
    case 0x43:
        read_toc(d);
        break;
    case 0x46:
        get_configuration(d);
        break;
    case 0x4a:
        get_event(d);
        break;
    case 0x51:
        read_disc_information(d);
        break;
    case 0xbb: /* SET CD SPEED */
        atapi_good(d);
        break;
    case 0xbd:
        mechanism_status(d);
        break;
    case 0xbe:
        read_cd(d);
        break;
    default:
        log_guest("cdrom: command %02x not offered", op);
        illegal(d, 0x20);
        break;
    }
}
