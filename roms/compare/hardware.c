/*
 * roms/compare/hardware.c - the work done with a PC's chips, as an ordinary driver does it.
 *
 * Disk: ATA, bus-master DMA with interrupt 14, or programmed I/O with polling. Console: a 16550.
 * Clock: the ACPI PM timer. Ticks: channel 0 of an 8254, one shot each, by the 8259. Manuals:
 * ATA-6, Intel 82371SB (PIIX3), 16550D, 8254, 8259A, ACPI 4.8.3.3.
 */
#include "roms/compare/guest.h"

enum {
    ATA = 0x1f0,
    ATA_CONTROL = 0x3f6,
    BUS_MASTER = 0xc000, /* where the board put BAR 4 */
    UART = 0x3f8,
    PM_TIMER = 0x608,
    BSY = 0x80,
    DRQ = 0x08,
    ERR = 0x01,
    PIT_HZ = 1193182,
};
enum { ATA_READ = 0x20, ATA_READ_DMA = 0xc8, ATA_WRITE_DMA = 0xca };

static volatile u32 disk_interrupts;

static __attribute__((interrupt)) void on_disk(struct frame *f)
{
    (void)f;
    disk_interrupts++;
    inb(ATA + 7);                                  /* the drive lowers its line */
    outb(BUS_MASTER + 2, inb(BUS_MASTER + 2) | 4); /* and the controller its own */
    outb(0xa0, 0x20);
    outb(0x20, 0x20);
}

static __attribute__((interrupt)) void on_tick(struct frame *f)
{
    (void)f;
    ticks++;
    outb(0x20, 0x20);
}

void hardware_init(void)
{
    static const u8 words[2][4] = {{0x11, PIC_VECTOR, 4, 1}, {0x11, PIC_VECTOR + 8, 2, 1}};
    for (u32 chip = 0; chip < 2; chip++)
        for (u32 k = 0; k < 4; k++)
            outb((u16)(0x20 + chip * 0x80 + (k > 0)), words[chip][k]);
    outb(0x21, (u8) ~(1 << 0 | 1 << 2)); /* the timer and the second chip */
    outb(0xa1, (u8) ~(1 << 6));          /* the disk, IRQ 14 */
    gate(PIC_VECTOR, (void *)on_tick);
    gate(PIC_VECTOR + 14, (void *)on_disk);
    outb(UART + 3, 0x80); /* the divisor: 115200 baud */
    outb(UART, 1);
    outb(UART + 1, 0);
    outb(UART + 3, 3); /* eight data bits */
    outb(UART + 2, 7); /* FIFOs on and empty */
}

/* ---- disk ------------------------------------------------------------------------------------ */
static void ata_command(u32 chunk, u8 command)
{
    u32 sector = chunk * (CHUNK / 512);
    while (inb(ATA + 7) & (BSY | DRQ))
        ;
    outb(ATA + 6, (u8)(0xe0 | (sector >> 24 & 15)));
    outb(ATA + 2, CHUNK / 512);
    outb(ATA + 3, (u8)sector);
    outb(ATA + 4, (u8)(sector >> 8));
    outb(ATA + 5, (u8)(sector >> 16));
    outb(ATA + 7, command);
}

static int ide_dma(u32 chunk, int write)
{
    static struct {
        u32 address, bytes;
    } table __attribute__((aligned(8)));
    u32 seen = disk_interrupts;
    table.address = (u32)(u64)buffer;
    table.bytes = CHUNK | 1u << 31;
    outb(ATA_CONTROL, 0); /* interrupts */
    outl(BUS_MASTER + 4, (u32)(u64)&table);
    outb(BUS_MASTER, write ? 0 : 8);
    outb(BUS_MASTER + 2, 6);
    ata_command(chunk, write ? ATA_WRITE_DMA : ATA_READ_DMA);
    outb(BUS_MASTER, write ? 1 : 9);
    while (disk_interrupts == seen)
        __asm__ volatile("sti; hlt; cli" ::: "memory");
    outb(BUS_MASTER, 0);
    return 1;
}

static int ide_pio_read(u32 chunk, int write)
{
    (void)write;
    void *to = buffer;
    outb(ATA_CONTROL, 2); /* no interrupts */
    ata_command(chunk, ATA_READ);
    for (u32 k = 0; k < CHUNK / 512; k++) {
        u8 status;
        u64 words = 256;
        do
            status = inb(ATA + 7);
        while ((status & BSY) || !(status & (DRQ | ERR)));
        if (status & ERR)
            return 0;
        __asm__ volatile("rep insw" : "+D"(to), "+c"(words) : "d"((u16)ATA) : "memory");
    }
    return 1;
}

u64 hw_disk_read(u32 count)
{
    disk_fill(ide_dma);
    return disk_read(count, ide_dma);
}

u64 hw_disk_pio(u32 count)
{
    disk_fill(ide_dma);
    return disk_read(count, ide_pio_read);
}

u64 hw_disk_write(u32 count)
{
    return disk_write(count, ide_dma);
}

/* ---- clock, console, timer ------------------------------------------------------------------- */
u64 hw_clock(u32 count)
{
    u64 sum = 0, now = 0;
    u32 last = inl(PM_TIMER);
    for (u32 k = 0; k < count; k++) {
        u32 t = inl(PM_TIMER);
        u64 before = now;
        now += (t - last) & 0xffffff; /* 24 bits */
        last = t;
        sum += now * 1000000000 / 3579545 >= before * 1000000000 / 3579545;
    }
    return sum;
}

u64 hw_console(u32 count)
{
    char line[LINE];
    u64 sum = 0;
    for (u32 k = 0; k < count; k++) {
        fill_line(line, k);
        for (u32 n = 0; n < LINE; n++) {
            while (!(inb(UART + 5) & 0x20))
                ;
            outb(UART, (u8)line[n]);
        }
        sum += (u8)line[0];
    }
    while (!(inb(UART + 5) & 0x40)) /* until the last has left */
        ;
    return sum;
}

u64 hw_timer(u32 count)
{
    u32 divisor = (u32)((u64)PIT_HZ * TICK_NS / 1000000000);
    ticks = 0;
    for (u32 k = 0; k < count; k++) {
        outb(0x43, 0x30); /* channel 0, both bytes, mode 0: one shot */
        outb(0x40, (u8)divisor);
        outb(0x40, (u8)(divisor >> 8));
        while (ticks == k)
            __asm__ volatile("sti; hlt; cli" ::: "memory");
    }
    return ticks;
}
