/*
 * devices/vga_mem.c - how the CPU sees video memory through the window at A0000-BFFFF.
 *
 * What it is: the sequencer's and graphics controller's data paths: planes, latches, write modes
 * 0-3, read modes 0-1, odd/even and chain-4 addressing; in VBE modes the 64 KiB banks.
 *
 * Manual: IBM VGA (PS/2 Hardware Interface Technical Reference, Video Subsystem), graphics
 * controller and sequencer registers.
 */
#include "base/bits.h"
#include "devices/vga_priv.h"

enum { PLANE_MASK = 0xffff, BANK = 0x10000 };

/* The window's address -> offset in what it shows. False: nothing answers there. */
static bool window(const struct vga *s, u32 *off)
{
    static const struct {
        u32 start, size;
    } win[4] = {{0, 0x20000}, {0, 0x10000}, {0x10000, 0x8000}, {0x18000, 0x8000}};
    int w = s->gr[GR_MISC] >> 2 & 3;
    if (!(s->misc & MISC_RAM) || *off < win[w].start || *off - win[w].start >= win[w].size)
        return false;
    *off -= win[w].start;
    return true;
}

static bool linear(const struct vga *s)
{
    return vga_vbe_on(s) && s->vbe[VBE_BPP] != 4;
}

static u8 *linear_byte(const struct vga *s, u32 off)
{
    u64 at = (u64)s->vbe[VBE_BANK] * BANK + (off & (BANK - 1));
    return s->vram->base + (at & (VGA_VRAM_SIZE - 1));
}

/* The four planes' bytes at a plane offset. */
static u8 *planes(const struct vga *s, u32 a)
{
    if (vga_vbe_on(s))
        return s->vram->base + (((u64)s->vbe[VBE_BANK] * BANK + a) * 4 & (VGA_VRAM_SIZE - 1));
    return s->vram->base + (size_t)(a & PLANE_MASK) * 4;
}

static bool chain4(const struct vga *s)
{
    return s->seq[SEQ_MEMORY] & 8;
}

static u8 read_byte(const struct vga *s, u32 a, u8 latch[4])
{
    int plane = s->gr[GR_READ_MAP] & 3;
    if (chain4(s)) {
        plane = (int)(a & 3);
        a &= ~3u;
    } else if (s->gr[GR_MODE] & 0x10) {
        plane = (plane & 2) | (int)(a & 1);
        a &= ~1u;
    }
    memcpy(latch, planes(s, a), 4);
    if (chain4(s) || !(s->gr[GR_MODE] & 8))
        return latch[plane];
    /* Read mode 1: a bit is set where all planes that matter have the compare colour. */
    u8 differ = 0;
    for (int p = 0; p < 4; p++)
        if (s->gr[GR_DONT_CARE] >> p & 1)
            differ |= latch[p] ^ (s->gr[GR_COMPARE] >> p & 1 ? 0xff : 0);
    return (u8)~differ;
}

u8 vga_mem_read(struct vga *s, u32 off)
{
    if (!window(s, &off))
        return 0xff;
    return linear(s) ? *linear_byte(s, off) : read_byte(s, off, s->latch);
}

u8 vga_mem_peek(const struct vga *s, u32 off)
{
    u8 latch[4];
    if (!window(s, &off))
        return 0xff;
    return linear(s) ? *linear_byte(s, off) : read_byte(s, off, latch);
}

/* Somebody may hold decoded code of this page, or count its changes. */
static void note(struct vga *s, const u8 *at, u32 len)
{
    u64 off = (u64)(at - s->vram->base);
    if (unlikely(s->vram->page_flags[off >> PAGE_SHIFT]))
        ram_note_write(s->vram, off, len);
}

static u8 logic(const struct vga *s, u8 v, u8 latch)
{
    switch (s->gr[GR_ROTATE] >> 3 & 3) {
    case 1:
        return v & latch;
    case 2:
        return v | latch;
    case 3:
        return v ^ latch;
    default:
        return v;
    }
}

/* What one plane gets when the CPU writes `val`. */
static u8 plane_value(const struct vga *s, int p, u8 val)
{
    int turn = s->gr[GR_ROTATE] & 7;
    u8 turned = (u8)(val >> turn | val << (8 - turn));
    u8 mask = s->gr[GR_BIT_MASK], v;
    u8 set_reset = s->gr[GR_SET_RESET] >> p & 1 ? 0xff : 0;

    switch (s->gr[GR_MODE] & 3) {
    case 0:
        v = logic(s, s->gr[GR_ENABLE_SR] >> p & 1 ? set_reset : turned, s->latch[p]);
        break;
    case 1:
        return s->latch[p];
    case 2:
        v = logic(s, val >> p & 1 ? 0xff : 0, s->latch[p]);
        break;
    default: /* 3: the CPU's byte is a second bit mask */
        mask &= turned;
        v = logic(s, set_reset, s->latch[p]);
        break;
    }
    return (u8)((v & mask) | (s->latch[p] & ~mask));
}

void vga_mem_write(struct vga *s, u32 off, u8 val)
{
    if (!window(s, &off))
        return;
    if (linear(s)) {
        u8 *b = linear_byte(s, off);
        *b = val;
        note(s, b, 1);
        return;
    }
    u8 mask = s->seq[SEQ_MAP_MASK] & 15;
    if (chain4(s)) {
        mask &= (u8)BIT(off & 3);
        off &= ~3u;
    } else if (!(s->seq[SEQ_MEMORY] & 4)) {
        mask &= off & 1 ? 0x0a : 0x05;
        off &= ~1u;
    }
    u8 *b = planes(s, off);
    for (int p = 0; p < 4; p++)
        if (mask >> p & 1)
            b[p] = plane_value(s, p, val);
    note(s, b, 4);
}
