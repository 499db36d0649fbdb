/*
 * devices/ide_priv.h - what the IDE controller (ide.c), disks (ata.c) and CD-ROM drives (atapi.c)
 * share.
 *
 * A drive is registers, a phase, and one data buffer; the controller moves bytes between the
 * buffer and port or memory and asks the drive what is next.
 */
#ifndef DEVICES_IDE_PRIV_H
#define DEVICES_IDE_PRIV_H

#include "bus/backend.h"
#include "bus/clock.h"
#include "bus/irq.h"
#include "devices/pci.h"

/* Status register. ATA/ATAPI-6 7.15. */
enum {
    ST_ERR = 0x01,
    ST_DRQ = 0x08,
    ST_DSC = 0x10,
    ST_DF = 0x20,
    ST_DRDY = 0x40,
    ST_BSY = 0x80,
};
/* Error register. ATA/ATAPI-6 7.9. */
enum { ERR_ABRT = 0x04, ERR_IDNF = 0x10, ERR_UNC = 0x40 };
enum { DEV_SELECT = 0x10, DEV_LBA = 0x40 };

enum {
    SECTOR = 512,
    MAX_MULTIPLE = 16,
    DRIVE_BUF = 65536,
    CHUNK = 128 * 1024, /* most bytes of one host access by DMA */
};

enum ide_phase {
    PH_IDLE,
    PH_IN,      /* DRQ: the guest reads buf[pos..end) */
    PH_OUT,     /* DRQ: the guest writes buf[pos..end) */
    PH_DMA_IN,  /* waits for the bus master, towards memory */
    PH_DMA_OUT, /* from memory */
    PH_COUNT
};

/* How a data command moves; ide_drive.rw. */
enum {
    RW_EXT = 0x01, /* 48-bit addresses */
    RW_WRITE = 0x02,
    RW_DMA = 0x04,
    RW_MULTI = 0x08,
    RW_FUA = 0x10,
    RW_VERIFY = 0x20,
    RW_PACKET = 0x40, /* CD-ROM: the command packet is on its way */
};

struct ide_channel;

struct ide_drive {
    struct ide_channel *ch;
    struct block *blk; /* NULL: an empty CD-ROM drive, or no drive */
    bool present, cd;
    int unit; /* 0..3 */
    /* command block; hob_: the value written before (48-bit commands) */
    u8 features, count, lba[3], dev;
    u8 hob_features, hob_count, hob_lba[3];
    u8 error, status;
    bool intrq;
    /* data transfer. Invariant: pos <= end <= len <= DRIVE_BUF */
    u8 phase;
    u8 rw;
    u32 pos, end, len;
    u64 next; /* next sector to move between buffer and medium */
    u32 left; /* sectors after what is in the buffer */
    /* disk settings */
    u8 multiple;           /* sectors per DRQ block of the MULTIPLE commands; 0: not set */
    u8 heads, spt;         /* of the CHS translation in force; 0 never */
    u8 mode_pio, mode_dma; /* transfer modes as SET FEATURES gave them */
    bool cache_off;
    /* CD-ROM */
    u8 packet[12];
    u8 sense_key, asc, ascq;
    u32 sense_info;
    u16 byte_limit; /* bytes per DRQ block, even, not 0 */
    bool raw;       /* sectors of 2352 bytes */
    bool tray_open, locked;
    bool attention; /* medium may have changed: not yet told */
    u8 media_event; /* for GET EVENT STATUS NOTIFICATION */
    u8 buf[DRIVE_BUF];
};

struct ide;

struct ide_channel {
    struct ide *ide;
    struct irq irq;
    struct mapping *cmd_map, *ctl_map;
    struct ide_drive drive[2];
    u8 selected;
    u8 control; /* device control: HOB 7, SRST 2, nIEN 1 */
    bool irq_level;
    u8 bm_command, bm_status;
    u32 bm_table;
    struct timer dma;
    u8 *chunk; /* CHUNK bytes of scratch */
};

struct ide {
    struct pci_device pci;
    struct space *ports;
    struct clock *clk;
    struct ide_channel ch[2];
};

/* ---- ide.c: for drives -------------------------------------------------------------------------
 */
/* The command is over: status, and INTRQ if irq. */
void ide_done(struct ide_drive *d, u8 status, u8 error, bool irq);
/* ERR with these error bits. */
void ide_fail(struct ide_drive *d, u8 error);
/* buf[pos..end) is ready for (PH_IN) or wants (PH_OUT) the guest's data. */
void ide_drq(struct ide_drive *d, enum ide_phase phase, u32 pos, u32 end, bool irq);
/* The drive is ready for the bus master. */
void ide_dma_request(struct ide_drive *d, enum ide_phase phase);

/* Where the bus master stands in the guest's descriptor table. */
struct prd_walk {
    struct ide_channel *ch;
    u32 addr, bytes; /* rest of this descriptor */
    u32 entry;       /* next descriptor's address */
    u32 entries;     /* read so far */
    bool last;       /* this descriptor ends the table */
    bool failed;     /* the table could not be read */
};
/* Bytes moved: less than len when the table ends early. */
u32 prd_write(struct prd_walk *w, const u8 *buf, u32 len); /* to memory */
u32 prd_read(struct prd_walk *w, u8 *buf, u32 len);        /* from memory */

/* ---- ata.c
 * --------------------------------------------------------------------------------------- */
void ata_command(struct ide_drive *d, u8 cmd);
void ata_drained(struct ide_drive *d); /* PH_IN: the guest has read all of the DRQ block */
void ata_filled(struct ide_drive *d);  /* PH_OUT: the guest has written all of it */
/* Moves all the table allows; true when the command is over (ide_done or ide_fail was called). */
bool ata_dma(struct ide_drive *d, struct prd_walk *w);
void ata_reset(struct ide_drive *d); /* settings after power-on */

/* ---- atapi.c
 * ------------------------------------------------------------------------------------- */
void atapi_command(struct ide_drive *d, u8 cmd);
void atapi_drained(struct ide_drive *d);
void atapi_filled(struct ide_drive *d);
bool atapi_dma(struct ide_drive *d, struct prd_walk *w);
void atapi_reset(struct ide_drive *d);
/* How a packet command ends: CHECK CONDITION, no data, len bytes of buf, n sectors of the disc. */
void atapi_check(struct ide_drive *d, u8 key, u8 asc, u8 ascq);
void atapi_good(struct ide_drive *d);
void atapi_reply(struct ide_drive *d, u32 len, u32 allowed);
void atapi_reply_sectors(struct ide_drive *d, u64 lba, u32 n);

/* ---- cdrom.c
 * ------------------------------------------------------------------------------------- */
void cdrom_packet(struct ide_drive *d); /* executes d->packet */
u32 cdrom_sector_size(const struct ide_drive *d);
/* Sectors from d->next on, as READ CD set raw; returns how many are good from the first on. */
u32 cdrom_read(struct ide_drive *d, u8 *buf, u32 n);
void atapi_disc_changed(struct ide_drive *d);
void atapi_eject_wanted(struct ide_drive *d); /* the button was pressed */

/* ---- ata_identify.c
 * ------------------------------------------------------------------------------ */
void ata_identify(const struct ide_drive *d, u8 *out);   /* 512 bytes */
void atapi_identify(const struct ide_drive *d, u8 *out); /* 512 bytes */
u64 ata_sectors(const struct ide_drive *d);
u32 ata_cylinders(const struct ide_drive *d, u32 heads, u32 spt); /* at most 65535 */

/* The signature that tells a disk from a packet device. ATA/ATAPI-6 9.12. */
void ide_signature(struct ide_drive *d);

#endif
