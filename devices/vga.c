/*
 * devices/vga.c - VGA registers, the Bochs VBE extension, retrace timing, the PCI function.
 *
 * What it is: everything the guest reads or writes by port or by BAR 2. What it is not: EDID (the
 * guest finds none), interrupts (a VGA on PCI needs none).
 *
 * Invariants: VBE registers hold what vbe_check() allows whenever VBE is enabled; offsets into
 * video memory are masked or checked where they are used.
 *
 * Manuals: IBM VGA technical reference (PS/2 Video Subsystem); "VBE Display API" of the Bochs VGA
 * BIOS project (VBE DISPI interface).
 */
#include "devices/vga.h"
#include "base/bits.h"
#include "base/log.h"
#include "bus/space.h"
#include "devices/vga_priv.h"
#include <stdlib.h>

/* Port regions are numbered by their first port. */
enum { R_MEM = 0, R_MMIO = 1, R_VBE = 0x1ce };
enum { VBE_ID_MIN = 0xb0c0, VBE_ID_MAX = 0xb0c5 };
enum { MMIO_SIZE = 4096, MMIO_PORTS = 0x400, MMIO_VBE = 0x500 };
enum { LINE_NS = 31778, LINE_SHOWN_NS = 25422 }; /* 800 and 640 dots of 25.175 MHz */

/* ---- timing -------------------------------------------------------------------------------- */
/* Input status 1: bit 0 not displaying, bit 3 vertical retrace. */
static u8 status1(struct vga *s)
{
    u32 total = MAX(vga_lines_total(s), 100u), shown = MIN(vga_lines_shown(s), total - 2);
    u32 retrace = MIN(vga_retrace_start(s), total - 2);
    u64 t = clock_now(s->clk) % ((u64)total * LINE_NS);
    u64 line = t / LINE_NS;
    bool in_retrace = line >= retrace && line < retrace + 2;
    bool blank = line >= shown || t % LINE_NS >= LINE_SHOWN_NS;
    return (u8)((blank || in_retrace ? 1 : 0) | (in_retrace ? 8 : 0));
}

/* ---- DAC ----------------------------------------------------------------------------------- */
static u8 dac_next(struct vga *s)
{
    u8 v = s->dac[(size_t)s->dac_read * 3 + s->dac_sub % 3];
    if (!(s->vbe[VBE_ENABLE] & VBE_DAC8))
        v &= 63;
    if (++s->dac_sub >= 3) {
        s->dac_sub = 0;
        s->dac_read++;
    }
    return v;
}

/* An entry changes when its third byte arrives. */
static void dac_put(struct vga *s, u8 v)
{
    bool wide = s->vbe[VBE_ENABLE] & VBE_DAC8;
    s->dac_temp[s->dac_sub % 3] = wide ? v : v & 63;
    if (++s->dac_sub >= 3) {
        s->dac_sub = 0;
        memcpy(s->dac + (size_t)s->dac_write * 3, s->dac_temp, 3);
        s->dac_write++;
    }
}

/* ---- VGA ports ----------------------------------------------------------------------------- */
static bool crtc_here(const struct vga *s, u16 port)
{
    return (port >= 0x3d0) == !!(s->misc & MISC_COLOUR);
}

static u8 port_read(struct vga *s, u16 port)
{
    switch (port) {
    case 0x3c0:
        return s->ac_index;
    case 0x3c1:
        return s->ac[s->ac_index & 31];
    case 0x3c2:
        return 0x10; /* switch sense: a monitor is there */
    case 0x3c4:
        return s->seq_index;
    case 0x3c5:
        return s->seq[s->seq_index & 7];
    case 0x3c6:
        return s->dac_mask;
    case 0x3c7:
        return s->dac_reading ? 3 : 0;
    case 0x3c8:
        return s->dac_write;
    case 0x3c9:
        return dac_next(s);
    case 0x3ca:
        return s->feature;
    case 0x3cc:
        return s->misc;
    case 0x3ce:
        return s->gr_index;
    case 0x3cf:
        return s->gr[s->gr_index & 15];
    case 0x3b4:
    case 0x3d4:
        return crtc_here(s, port) ? s->crtc_index : 0xff;
    case 0x3b5:
    case 0x3d5:
        return crtc_here(s, port) ? s->crtc[s->crtc_index & 63] : 0xff;
    case 0x3ba:
    case 0x3da:
        if (!crtc_here(s, port))
            return 0xff;
        s->ac_data = false;
        return status1(s);
    default:
        return 0xff;
    }
}

/* Bits that are not there read as zeros. */
static u8 attribute_mask(u8 i)
{
    static const u8 mask[5] = {0xef, 0xff, 0x3f, 0x0f, 0x0f};
    return i < AC_MODE ? 0x3f : mask[i - AC_MODE];
}

static void attribute_write(struct vga *s, u8 v)
{
    s->ac_data = !s->ac_data;
    if (s->ac_data)
        s->ac_index = v & 63;
    else if ((s->ac_index & 31) <= AC_COLOUR_SELECT)
        s->ac[s->ac_index & 31] = v & attribute_mask(s->ac_index & 31);
}

static void crtc_write(struct vga *s, u8 v)
{
    static const u8 mask[25] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,
                                0xff, 0x3f, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                0xff, 0xff, 0x7f, 0xff, 0xff, 0xef, 0xff};
    u8 i = s->crtc_index & 63;
    if (i > CRTC_LINE_COMPARE)
        return;
    if (i <= CRTC_OVERFLOW && (s->crtc[CRTC_VSYNC_END] & 0x80)) {
        /* protected, but for line compare bit 8 */
        if (i == CRTC_OVERFLOW)
            s->crtc[i] = (u8)((s->crtc[i] & ~0x10) | (v & 0x10));
        return;
    }
    s->crtc[i] = v & mask[i];
}

static void port_write(struct vga *s, u16 port, u8 v)
{
    static const u8 seq_mask[8] = {0x03, 0x3d, 0x0f, 0x3f, 0x0e, 0, 0, 0};
    static const u8 gr_mask[16] = {0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff};
    switch (port) {
    case 0x3c0:
        attribute_write(s, v);
        break;
    case 0x3c2:
        s->misc = v & 0xef;
        break;
    case 0x3c4:
        s->seq_index = v & 7;
        break;
    case 0x3c5:
        s->seq[s->seq_index & 7] = v & seq_mask[s->seq_index & 7];
        break;
    case 0x3c6:
        s->dac_mask = v;
        break;
    case 0x3c7:
        s->dac_read = v;
        s->dac_sub = 0;
        s->dac_reading = true;
        break;
    case 0x3c8:
        s->dac_write = v;
        s->dac_sub = 0;
        s->dac_reading = false;
        break;
    case 0x3c9:
        dac_put(s, v);
        break;
    case 0x3ce:
        s->gr_index = v & 15;
        break;
    case 0x3cf:
        s->gr[s->gr_index & 15] = v & gr_mask[s->gr_index & 15];
        break;
    case 0x3b4:
    case 0x3d4:
        if (crtc_here(s, port))
            s->crtc_index = v & 63;
        break;
    case 0x3b5:
    case 0x3d5:
        if (crtc_here(s, port))
            crtc_write(s, v);
        break;
    case 0x3ba:
    case 0x3da:
        if (crtc_here(s, port))
            s->feature = v;
        break;
    default:
        break;
    }
}

/* ---- VBE ----------------------------------------------------------------------------------- */
static bool depth_known(u16 bpp)
{
    return bpp == 4 || bpp == 8 || bpp == 15 || bpp == 16 || bpp == 24 || bpp == 32;
}

/* Makes the registers describe a picture: sizes in range, a line in memory. */
static void vbe_check(struct vga *s)
{
    u16 *r = s->vbe;
    if (!depth_known(r[VBE_BPP]))
        r[VBE_BPP] = 8;
    r[VBE_XRES] = (u16)MIN(MAX(r[VBE_XRES] & ~7u, 8u), (u32)VBE_MAX_XRES);
    r[VBE_YRES] = (u16)MIN(MAX(r[VBE_YRES], 1u), (u32)VBE_MAX_YRES);
    r[VBE_VIRT_WIDTH] = (u16)MAX(r[VBE_VIRT_WIDTH] & ~7u, r[VBE_XRES]);
    u32 lines = VGA_VRAM_SIZE / vga_vbe_stride(s);
    r[VBE_YRES] = (u16)MIN(r[VBE_YRES], lines);
    r[VBE_VIRT_HEIGHT] = (u16)MIN(lines, 0xffffu);
}

static void vbe_enable(struct vga *s, u16 v)
{
    u16 was = s->vbe[VBE_ENABLE];
    s->vbe[VBE_ENABLE] = v;
    s->vbe[VBE_BANK] = 0;
    if (!(v & VBE_ENABLED) || (was & VBE_ENABLED))
        return;
    s->vbe[VBE_VIRT_WIDTH] = s->vbe[VBE_XRES];
    s->vbe[VBE_X_OFFSET] = s->vbe[VBE_Y_OFFSET] = 0;
    vbe_check(s);
    if (!(v & VBE_NOCLEAR)) {
        u64 n = (u64)vga_vbe_stride(s) * s->vbe[VBE_YRES];
        memset(s->vram->base, 0, n);
        ram_note_write(s->vram, 0, n);
    }
}

static void vbe_write(struct vga *s, u16 index, u16 v)
{
    switch (index) {
    case VBE_ID:
        if (v >= VBE_ID_MIN && v <= VBE_ID_MAX)
            s->vbe[VBE_ID] = v;
        break;
    case VBE_XRES:
    case VBE_YRES:
    case VBE_BPP:
    case VBE_VIRT_WIDTH:
    case VBE_X_OFFSET:
    case VBE_Y_OFFSET:
        s->vbe[index] = v;
        if (vga_vbe_on(s))
            vbe_check(s);
        break;
    case VBE_ENABLE:
        vbe_enable(s, v);
        break;
    case VBE_BANK:
        if (v < VGA_VRAM_SIZE / 65536)
            s->vbe[VBE_BANK] = v;
        break;
    default:
        break;
    }
}

static u16 vbe_read(const struct vga *s, u16 index)
{
    if (s->vbe[VBE_ENABLE] & VBE_GETCAPS) {
        if (index == VBE_XRES)
            return VBE_MAX_XRES;
        if (index == VBE_YRES)
            return VBE_MAX_YRES;
        if (index == VBE_BPP)
            return 32;
    }
    if (index == VBE_MEMORY_64K)
        return VGA_VRAM_SIZE / 65536;
    return index < VBE_MEMORY_64K ? s->vbe[index] : 0;
}

/* ---- BAR 2: the same registers in memory --------------------------------------------------- */
static u64 mmio_read(struct vga *s, u64 off, int size)
{
    u64 v = 0;
    if (off >= MMIO_VBE && off < MMIO_VBE + 2 * VBE_REGS)
        return vbe_read(s, (u16)((off - MMIO_VBE) / 2)) >> (off & 1 ? 8 : 0);
    if (off >= MMIO_PORTS && off + (u64)size <= MMIO_PORTS + 0x20)
        for (int k = 0; k < size; k++)
            v |= (u64)port_read(s, (u16)(0x3c0 + off - MMIO_PORTS + (u64)k)) << (8 * k);
    return v;
}

static void mmio_write(struct vga *s, u64 off, u64 val, int size)
{
    if (off >= MMIO_VBE && off < MMIO_VBE + 2 * VBE_REGS) {
        if (!(off & 1) && size >= 2)
            vbe_write(s, (u16)((off - MMIO_VBE) / 2), (u16)val);
    } else if (off >= MMIO_PORTS && off + (u64)size <= MMIO_PORTS + 0x20) {
        for (int k = 0; k < size; k++)
            port_write(s, (u16)(0x3c0 + off - MMIO_PORTS + (u64)k), (u8)(val >> (8 * k)));
    }
}

/* ---- the device ---------------------------------------------------------------------------- */
static u64 vga_read(struct device *d, int region, u64 off, int size)
{
    struct vga *s = (struct vga *)d;
    u64 v = 0;
    switch (region) {
    case R_MEM:
        for (int k = 0; k < size; k++)
            v |= (u64)vga_mem_read(s, (u32)(off + (u64)k)) << (8 * k);
        return v;
    case R_MMIO:
        return mmio_read(s, off, size);
    case R_VBE:
        return off == 0 ? s->vbe_index : vbe_read(s, s->vbe_index);
    default:
        return port_read(s, (u16)((u64)region + off));
    }
}

static void vga_write(struct device *d, int region, u64 off, u64 val, int size)
{
    struct vga *s = (struct vga *)d;
    switch (region) {
    case R_MEM:
        for (int k = 0; k < size; k++)
            vga_mem_write(s, (u32)(off + (u64)k), (u8)(val >> (8 * k)));
        break;
    case R_MMIO:
        mmio_write(s, off, val, size);
        break;
    case R_VBE:
        if (off == 0)
            s->vbe_index = (u16)val;
        else
            vbe_write(s, s->vbe_index, (u16)val);
        break;
    default:
        port_write(s, (u16)((u64)region + off), (u8)val);
        break;
    }
}

static u64 vga_peek(struct device *d, int region, u64 off, int size)
{
    u64 v = 0;
    if (region == R_MEM)
        for (int k = 0; k < size; k++)
            v |= (u64)vga_mem_peek((struct vga *)d, (u32)(off + (u64)k)) << (8 * k);
    return v;
}

static void vga_reset(struct device *d)
{
    struct vga *s = (struct vga *)d;
    pci_reset(&s->pci);
    memset(&s->misc, 0, offsetof(struct vga, last_hash) - offsetof(struct vga, misc));
    s->misc = MISC_COLOUR;
    s->dac_mask = 0xff;
    s->vbe[VBE_ID] = VBE_ID_MAX;
}

static bool vga_loaded(struct device *d)
{
    struct vga *s = (struct vga *)d;
    if (!pci_loaded(&s->pci))
        return false;
    s->dac_sub %= 3;
    s->vbe[VBE_BANK] &= VGA_VRAM_SIZE / 65536 - 1;
    if (vga_vbe_on(s))
        vbe_check(s);
    s->last_hash = 0;
    return true;
}

static struct ram *vga_memory(struct device *d)
{
    return ((struct vga *)d)->vram;
}

static void vga_destroy(struct device *d)
{
    struct vga *s = (struct vga *)d;
    pci_remove(&s->pci);
    ram_free(s->vram);
    free(s);
}

static const struct field vga_state[] = {
    PCI_FIELDS(struct vga, pci),
    FIELD_U(struct vga, misc),
    FIELD_U(struct vga, feature),
    FIELD_U(struct vga, seq_index),
    FIELD_BUF(struct vga, seq),
    FIELD_U(struct vga, gr_index),
    FIELD_BUF(struct vga, gr),
    FIELD_U(struct vga, crtc_index),
    FIELD_BUF(struct vga, crtc),
    FIELD_U(struct vga, ac_index),
    FIELD_BUF(struct vga, ac),
    FIELD_B(struct vga, ac_data),
    FIELD_U(struct vga, dac_mask),
    FIELD_U(struct vga, dac_read),
    FIELD_U(struct vga, dac_write),
    FIELD_U(struct vga, dac_sub),
    FIELD_B(struct vga, dac_reading),
    FIELD_BUF(struct vga, dac_temp),
    FIELD_BUF(struct vga, dac),
    FIELD_BUF(struct vga, latch),
    FIELD_U(struct vga, vbe_index),
    FIELD_A(struct vga, vbe),
    FIELD_END,
};

static const struct device_ops vga_ops = {
    .name = "vga",
    .reset = vga_reset,
    .read = vga_read,
    .write = vga_write,
    .peek = vga_peek,
    .state = vga_state,
    .loaded = vga_loaded,
    .memory = vga_memory,
    .destroy = vga_destroy,
};

struct screen *vga_screen(struct device *d)
{
    return &((struct vga *)d)->screen;
}

void vga_set_text_mode(struct device *d, const u8 *font)
{
    static const u8 seq[5] = {0x03, 0x00, 0x03, 0x00, 0x02};
    static const u8 gr[9] = {0, 0, 0, 0, 0, 0x10, 0x0e, 0x00, 0xff};
    static const u8 crtc[25] = {0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00,
                                0x4f, 0x0d, 0x0e, 0x00, 0x00, 0x00, 0x00, 0x9c, 0x8e,
                                0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff};
    static const u8 ac[21] = {0,    1,    2,    3,    4,    5,    0x14, 7,    0x38, 0x39, 0x3a,
                              0x3b, 0x3c, 0x3d, 0x3e, 0x3f, 0x0c, 0x00, 0x0f, 0x08, 0x00};
    struct vga *s = (struct vga *)d;

    s->vbe[VBE_ENABLE] = 0;
    s->misc = 0x67;
    memcpy(s->seq, seq, sizeof(seq));
    memcpy(s->gr, gr, sizeof(gr));
    memcpy(s->crtc, crtc, sizeof(crtc));
    memcpy(s->ac, ac, sizeof(ac));
    s->ac_index = AC_PAS;
    /* The EGA's 64 colours: bits 0-2 are blue, green, red at two thirds, 3-5 at one third. */
    for (int k = 0; k < 64; k++)
        for (int c = 0; c < 3; c++)
            s->dac[k * 3 + c] = (u8)((k >> (2 - c) & 1) * 42 + (k >> (5 - c) & 1) * 21);
    for (u32 k = 0; k < 0x4000; k++) {
        s->vram->base[(size_t)k * 8] = ' ';
        s->vram->base[(size_t)k * 8 + 1] = 7;
    }
    for (u32 k = 0; font && k < VGA_FONT_SIZE; k++)
        s->vram->base[((k / 16) * 32 + k % 16) * 4 + 2] = font[k];
    ram_note_write(s->vram, 0, 0x40000);
}

enum status vga_new(struct device *pci_bus, int slot, struct space *mem, struct space *ports,
                    const u8 *rom, u64 rom_size, struct clock *clk, struct device **out,
                    struct error *err)
{
    static const struct {
        u16 port, len;
    } io[] = {{0x3b4, 2}, {0x3ba, 1}, {0x3c0, 16}, {0x3d4, 2}, {0x3da, 1}};
    struct vga *s = calloc(1, sizeof(*s));
    CHECK(s);
    enum status st = ram_new(VGA_VRAM_SIZE, &s->vram, err);
    if (st != ST_OK) {
        free(s);
        return st;
    }
    pci_init(&s->pci, &vga_ops,
             &(struct pci_id){.vendor = 0x1234,
                              .device = 0x1111,
                              .revision = 2,
                              .class_code = 0x030000,
                              .subsys_vendor = 0x1af4,
                              .subsys = 0x1100});
    s->clk = clk;
    pci_bar_ram(&s->pci, 0, PCI_BAR_MEM_PREFETCH, VGA_VRAM_SIZE, s->vram, 0);
    pci_bar_io(&s->pci, 2, PCI_BAR_MEM, MMIO_SIZE, &s->pci.dev, R_MMIO, 4);
    if (rom)
        pci_bar_rom(&s->pci, rom, rom_size);
    vga_draw_init(s);
    for (size_t k = 0; k < ARRAY_LEN(io); k++)
        space_map_io(ports, io[k].port, io[k].len, &s->pci.dev, io[k].port, 1, 0);
    space_map_io(ports, R_VBE, 3, &s->pci.dev, R_VBE, 2, 0);
    space_map_io(mem, 0xa0000, 0x20000, &s->pci.dev, R_MEM, 8, 1);
    pci_add(pci_bus, PCI_DEVFN(slot, 0), &s->pci);
    vga_reset(&s->pci.dev);
    *out = &s->pci.dev;
    return ST_OK;
}
