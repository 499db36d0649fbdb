/*
 * devices/ata_identify.c - what drives say of themselves: IDENTIFY (PACKET) DEVICE, and geometry.
 *
 * Manual: ATA/ATAPI-6 (T13 1410D) 8.15 and 8.16.
 */
#include "base/bits.h"
#include "devices/ide_priv.h"

u64 ata_sectors(const struct ide_drive *d)
{
    u64 n = d->blk ? d->blk->size / SECTOR : 0;
    return MIN(n, BIT64(48));
}

u32 ata_cylinders(const struct ide_drive *d, u32 heads, u32 spt)
{
    u64 n = ata_sectors(d) / (heads * spt);
    return (u32)MIN(MAX(n, 1), 16383);
}

static void word(u8 *out, int n, u32 v)
{
    st_u16(out + n * 2, (u16)v);
}

static void dword(u8 *out, int n, u32 v)
{
    st_u32(out + n * 2, v);
}

/* ASCII, space-padded, the two characters of a word swapped. */
static void text(u8 *out, int first, int words, const char *s)
{
    for (int i = 0; i < words * 2; i++)
        out[(first * 2 + i) ^ 1] = *s ? (u8)*s++ : ' ';
}

static void serial(const struct ide_drive *d, u8 *out)
{
    char s[] = "TRV00000001";
    s[sizeof(s) - 2] = (char)('1' + d->unit);
    text(out, 10, 10, s);
    text(out, 23, 4, "1.0");
}

static void modes(const struct ide_drive *d, u8 *out)
{
    u8 m = d->mode_dma;
    word(out, 53, 0x0006); /* words 64-70 and 88 hold */
    word(out, 63, 0x0007 | (m >> 3 == 4 ? BIT(8 + (m & 7)) : 0));
    word(out, 64, 0x0003); /* PIO 3 and 4 */
    for (int i = 65; i <= 68; i++)
        word(out, i, 120); /* ns */
    word(out, 80, 0x007e); /* ATA-1 to ATA/ATAPI-6 */
    word(out, 88, 0x003f | (m >> 3 == 8 ? BIT(8 + (m & 7)) : 0));
    word(out, 93, d->unit & 1 ? 0x6a01 : 0x604b); /* reset result: passed, 80-wire cable */
}

void ata_identify(const struct ide_drive *d, u8 *out)
{
    u64 total = ata_sectors(d);
    u32 lba28 = (u32)MIN(total, 0x0fffffff);
    u32 cyls = ata_cylinders(d, 16, 63), now = ata_cylinders(d, d->heads, d->spt);

    memset(out, 0, 512);
    word(out, 0, 0x0040); /* fixed */
    word(out, 1, cyls);
    word(out, 3, 16);
    word(out, 6, 63);
    serial(d, out);
    text(out, 27, 20, "TRIVISOR DISK");
    word(out, 47, 0x8000 | MAX_MULTIPLE);
    word(out, 49, 0x0f00); /* standby timer: vendor's; IORDY, LBA, DMA */
    word(out, 50, 0x4000);
    word(out, 51, 0x0200);
    modes(d, out);
    word(out, 53, 0x0007);
    word(out, 54, now);
    word(out, 55, d->heads);
    word(out, 56, d->spt);
    dword(out, 57, now * d->heads * d->spt);
    word(out, 59, d->multiple ? 0x0100u | d->multiple : 0);
    dword(out, 60, lba28);
    word(out, 82, 0x4060); /* NOP, look-ahead, write cache */
    word(out, 83, 0x7400); /* FLUSH CACHE EXT, FLUSH CACHE, 48-bit */
    word(out, 84, 0x4040); /* WRITE DMA FUA EXT */
    word(out, 85, 0x4040 | (d->cache_off ? 0 : 0x20));
    word(out, 86, 0x3400);
    word(out, 87, 0x4040);
    st_u64(out + 200, total);
}

void atapi_identify(const struct ide_drive *d, u8 *out)
{
    memset(out, 0, 512);
    word(out, 0, 0x85c0); /* ATAPI, CD-ROM, removable, DRQ within 50 us, 12-byte packets */
    serial(d, out);
    text(out, 27, 20, "TRIVISOR CD-ROM");
    word(out, 49, 0x0f00);
    modes(d, out);
    word(out, 82, 0x4210); /* NOP, DEVICE RESET, PACKET */
    word(out, 83, 0x4000);
    word(out, 84, 0x4000);
    word(out, 85, 0x4210);
    word(out, 87, 0x4000);
}
