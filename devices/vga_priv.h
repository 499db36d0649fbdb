/*
 * devices/vga_priv.h - the display adapter's registers, shared by its four files.
 *
 * You are here: private to vga.c (registers), vga_mem.c (the window at A0000), vga_draw.c (what the
 * monitor shows).
 *
 * Video memory: the VGA's plane p at plane offset a is byte a * 4 + p; in VBE modes memory is
 * linear. Register arrays are as long as their index masks allow: any index is inside.
 */
#ifndef DEVICES_VGA_PRIV_H
#define DEVICES_VGA_PRIV_H

#include "bus/ram.h"
#include "devices/pci.h"
#include "devices/vga.h"

enum {
    VBE_ID,
    VBE_XRES,
    VBE_YRES,
    VBE_BPP,
    VBE_ENABLE,
    VBE_BANK,
    VBE_VIRT_WIDTH,
    VBE_VIRT_HEIGHT,
    VBE_X_OFFSET,
    VBE_Y_OFFSET,
    VBE_MEMORY_64K,
    VBE_REGS = 16, /* places; those above are registers */

    VBE_ENABLED = 0x01,
    VBE_GETCAPS = 0x02,
    VBE_DAC8 = 0x20,
    VBE_NOCLEAR = 0x80,
    VBE_MAX_XRES = 2560,
    VBE_MAX_YRES = 1600,
};

enum {
    MISC_COLOUR = 0x01,
    MISC_RAM = 0x02,
    SEQ_CLOCKING = 1,
    SEQ_MAP_MASK = 2,
    SEQ_FONT = 3,
    SEQ_MEMORY = 4,
    GR_SET_RESET = 0,
    GR_ENABLE_SR = 1,
    GR_COMPARE = 2,
    GR_ROTATE = 3,
    GR_READ_MAP = 4,
    GR_MODE = 5,
    GR_MISC = 6,
    GR_DONT_CARE = 7,
    GR_BIT_MASK = 8,
    CRTC_HDISP = 0x01,
    CRTC_VTOTAL = 0x06,
    CRTC_OVERFLOW = 0x07,
    CRTC_PRESET_ROW = 0x08,
    CRTC_MAX_SCAN = 0x09,
    CRTC_CURSOR_START = 0x0a,
    CRTC_CURSOR_END = 0x0b,
    CRTC_START_HI = 0x0c,
    CRTC_START_LO = 0x0d,
    CRTC_CURSOR_HI = 0x0e,
    CRTC_CURSOR_LO = 0x0f,
    CRTC_VSYNC_START = 0x10,
    CRTC_VSYNC_END = 0x11,
    CRTC_VDISP = 0x12,
    CRTC_OFFSET = 0x13,
    CRTC_UNDERLINE = 0x14,
    CRTC_MODE = 0x17,
    CRTC_LINE_COMPARE = 0x18,
    AC_MODE = 0x10,
    AC_OVERSCAN = 0x11,
    AC_PLANES = 0x12,
    AC_PANNING = 0x13,
    AC_COLOUR_SELECT = 0x14,
    AC_PAS = 0x20, /* in the index: the palette drives the screen */
};

enum { VGA_MAX_COLS = 256, VGA_MAX_ROWS = 128 };

struct vga {
    struct pci_device pci;
    struct ram *vram;
    struct clock *clk;
    struct screen screen;

    u8 misc, feature;
    u8 seq_index, seq[8];
    u8 gr_index, gr[16];
    u8 crtc_index, crtc[64];
    u8 ac_index, ac[32];
    bool ac_data; /* the next write to 3C0 is data */
    u8 dac_mask, dac_read, dac_write, dac_sub;
    bool dac_reading;
    u8 dac_temp[3], dac[768];
    u8 latch[4];
    u16 vbe_index, vbe[VBE_REGS];

    /* not state: the last answers */
    u64 last_hash;
    u16 cells[VGA_MAX_COLS * VGA_MAX_ROWS];
};

static inline bool vga_vbe_on(const struct vga *s)
{
    return s->vbe[VBE_ENABLE] & VBE_ENABLED;
}

/* vga_mem.c: the 128 KiB at A0000; off < 0x20000. */
u8 vga_mem_read(struct vga *s, u32 off);
void vga_mem_write(struct vga *s, u32 off, u8 val);
u8 vga_mem_peek(const struct vga *s, u32 off);

/* vga_draw.c */
void vga_draw_init(struct vga *s);
/* Lines the CRTC counts: displayed, all, and where vertical retrace begins. */
u32 vga_lines_shown(const struct vga *s);
u32 vga_lines_total(const struct vga *s);
u32 vga_retrace_start(const struct vga *s);
/* Bytes from one line to the next in a VBE mode. */
u32 vga_vbe_stride(const struct vga *s);

#endif
