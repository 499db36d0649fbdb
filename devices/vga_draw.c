/*
 * devices/vga_draw.c - what the monitor shows: text cells, and every mode as pixels.
 *
 * What it is: the CRTC's address counter, the attribute controller and the DAC, one scan line at a
 * time. A VGA picture has as many lines as the CRTC shows (mode 13h is 640 by 400). What it is not:
 * borders, interlace, registers that change while the beam is on its way.
 *
 * Manual: IBM VGA technical reference: CRTC, attribute controller and DAC registers.
 */
#include "base/bits.h"
#include "devices/vga_priv.h"

enum { MAX_WIDTH = VGA_MAX_COLS * 9 * 2 };

static u32 crtc_bits(const struct vga *s, int low, int bit8, int bit9)
{
    u8 ov = s->crtc[CRTC_OVERFLOW];
    return s->crtc[low] | (u32)(ov >> bit8 & 1) << 8 | (u32)(ov >> bit9 & 1) << 9;
}

u32 vga_lines_shown(const struct vga *s)
{
    return crtc_bits(s, CRTC_VDISP, 1, 6) + 1;
}

u32 vga_lines_total(const struct vga *s)
{
    return crtc_bits(s, CRTC_VTOTAL, 0, 5) + 2;
}

u32 vga_retrace_start(const struct vga *s)
{
    return crtc_bits(s, CRTC_VSYNC_START, 2, 7);
}

static u32 line_compare(const struct vga *s)
{
    return s->crtc[CRTC_LINE_COMPARE] | (u32)(s->crtc[CRTC_OVERFLOW] >> 4 & 1) << 8 |
           (u32)(s->crtc[CRTC_MAX_SCAN] >> 6 & 1) << 9;
}

static bool graphics(const struct vga *s)
{
    return vga_vbe_on(s) || (s->gr[GR_MISC] & 1);
}

static u32 start_address(const struct vga *s)
{
    return (u32)s->crtc[CRTC_START_HI] << 8 | s->crtc[CRTC_START_LO];
}

/* Address counter and line in the character row -> plane offset. */
static u32 plane_offset(const struct vga *s, u32 ma, u32 ra)
{
    u8 mode = s->crtc[CRTC_MODE];
    u32 a = ma;
    if (s->crtc[CRTC_UNDERLINE] & 0x40)
        a = ma << 2;
    else if (!(mode & 0x40)) /* words: the highest bit that counts comes round to the lowest */
        a = ma << 1 | (ma >> (mode & 0x20 ? 15 : 13) & 1);
    if (!(mode & 1))
        a = (a & ~0x2000u) | (ra & 1) << 13;
    if (!(mode & 2))
        a = (a & ~0x4000u) | (ra >> 1 & 1) << 14;
    return a & 0xffff;
}

static const u8 *planes(const struct vga *s, u32 ma, u32 ra)
{
    return s->vram->base + (size_t)plane_offset(s, ma, ra) * 4;
}

/* ---- colours ------------------------------------------------------------------------------- */
static u32 dac_colour(const struct vga *s, u8 index)
{
    const u8 *c = s->dac + (size_t)(index & s->dac_mask) * 3;
    u32 rgb = 0;
    for (int k = 0; k < 3; k++) {
        u32 v = s->vbe[VBE_ENABLE] & VBE_DAC8 ? c[k] : (u32)(c[k] & 63) << 2 | (c[k] & 63) >> 4;
        rgb = rgb << 8 | v;
    }
    return rgb;
}

static u32 attribute_colour(const struct vga *s, u8 index)
{
    u8 pal = s->ac[index & s->ac[AC_PLANES] & 15] & 63;
    u8 sel = s->ac[AC_COLOUR_SELECT];
    if (s->ac[AC_MODE] & 0x80)
        pal = (u8)((pal & 15) | (sel & 3) << 4);
    return dac_colour(s, (u8)(pal | (sel & 12) << 4));
}

/* ---- text ---------------------------------------------------------------------------------- */
static void text_size(const struct vga *s, int *cols, int *rows)
{
    u32 height = (s->crtc[CRTC_MAX_SCAN] & 31) + 1u;
    u32 lines = vga_lines_shown(s) >> (s->crtc[CRTC_MAX_SCAN] >> 7);
    *cols = s->crtc[CRTC_HDISP] + 1;
    *rows = (int)MIN(MAX(lines / height, 1u), (u32)VGA_MAX_ROWS);
}

static u32 cursor_address(const struct vga *s)
{
    u32 skew = s->crtc[CRTC_CURSOR_END] >> 5 & 3; /* characters to the right */
    return (((u32)s->crtc[CRTC_CURSOR_HI] << 8 | s->crtc[CRTC_CURSOR_LO]) + skew) & 0xffff;
}

static const u16 *screen_text(void *ctx, int *cols, int *rows, int *cursor_x, int *cursor_y)
{
    struct vga *s = ctx;
    if (graphics(s))
        return NULL;
    text_size(s, cols, rows);
    u32 step = (u32)s->crtc[CRTC_OFFSET] * 2, start = start_address(s);
    *cursor_x = *cursor_y = -1;
    for (int y = 0; y < *rows; y++) {
        for (int x = 0; x < *cols; x++) {
            u32 ma = (start + (u32)y * step + (u32)x) & 0xffff;
            const u8 *p = planes(s, ma, 0);
            s->cells[y * *cols + x] = (u16)(p[0] | p[1] << 8);
            if (ma == cursor_address(s) && !(s->crtc[CRTC_CURSOR_START] & 0x20)) {
                *cursor_x = x;
                *cursor_y = y;
            }
        }
    }
    return s->cells;
}

static const u8 *glyph_row(const struct vga *s, u8 ch, u8 attr, u32 ra)
{
    static const u16 base[8] = {0, 0x4000, 0x8000, 0xc000, 0x2000, 0x6000, 0xa000, 0xe000};
    u8 f = s->seq[SEQ_FONT];
    int which = attr & 8 ? (f >> 2 & 3) | (f >> 5 & 1) << 2 : (f & 3) | (f >> 4 & 1) << 2;
    return s->vram->base + ((size_t)base[which] + ch * 32u + ra) * 4 + 2;
}

static bool blink_off(const struct vga *s, u64 half_ns)
{
    return clock_now(s->clk) / half_ns & 1;
}

static void text_line(const struct vga *s, u32 ma, u32 ra, u32 *out, int cols, int dots)
{
    u8 mode = s->ac[AC_MODE];
    bool hidden = blink_off(s, 457000000);
    bool cursor = !(s->crtc[CRTC_CURSOR_START] & 0x20) && !blink_off(s, 228000000) &&
                  ra >= (s->crtc[CRTC_CURSOR_START] & 31u) &&
                  ra <= (s->crtc[CRTC_CURSOR_END] & 31u);
    for (int x = 0; x < cols; x++, ma++) {
        const u8 *p = planes(s, ma, 0);
        u8 ch = p[0], attr = p[1], bits8 = *glyph_row(s, ch, attr, ra);
        u8 bg = attr >> 4;
        if (mode & 8) {
            bg &= 7;
            if ((attr & 0x80) && hidden)
                bits8 = 0;
        }
        if ((mode & 2) && (attr & 7) == 1 && ra == (s->crtc[CRTC_UNDERLINE] & 31u))
            bits8 = 0xff;
        if (cursor && (ma & 0xffff) == cursor_address(s))
            bits8 = 0xff;
        u32 fg_rgb = attribute_colour(s, attr & 15), bg_rgb = attribute_colour(s, bg);
        for (int k = 0; k < 8; k++)
            *out++ = bits8 >> (7 - k) & 1 ? fg_rgb : bg_rgb;
        if (dots == 9) /* line drawing characters touch their right neighbours */
            *out++ = (mode & 4) && ch >= 0xc0 && ch <= 0xdf && (bits8 & 1) ? fg_rgb : bg_rgb;
    }
}

/* ---- graphics ------------------------------------------------------------------------------ */
static void graphics_line(const struct vga *s, u32 ma, u32 ra, u32 *out, int cols)
{
    u32 colour[16];
    for (int k = 0; k < 16; k++)
        colour[k] = attribute_colour(s, (u8)k);
    for (int x = 0; x < cols; x++, ma++) {
        const u8 *p = planes(s, ma, ra);
        if (s->gr[GR_MODE] & 0x40) { /* 256 colours: four pixels, each two dots wide */
            for (int k = 0; k < 4; k++, out += 2)
                out[0] = out[1] = dac_colour(s, p[k]);
        } else if (s->gr[GR_MODE] & 0x20) { /* 4 colours: two bits from planes 0 and 2, 1 and 3 */
            for (int k = 0; k < 8; k++) {
                int sh = 6 - 2 * (k & 3);
                *out++ = colour[(p[k >> 2] >> sh & 3) | (p[(k >> 2) + 2] >> sh & 3) << 2];
            }
        } else {
            for (int k = 7; k >= 0; k--)
                *out++ = colour[(p[0] >> k & 1) | (p[1] >> k & 1) << 1 | (p[2] >> k & 1) << 2 |
                                (p[3] >> k & 1) << 3];
        }
    }
}

/* Dots that the picture is shifted to the left. */
static u32 pel_panning(const struct vga *s, int dots)
{
    u32 pan = s->ac[AC_PANNING] & 15u;
    if (dots == 9) /* 8 is no shift, 0 is one dot */
        return pan >= 8 ? 0 : pan + 1;
    return pan & 7;
}

static void draw_vga(const struct vga *s, u32 *out, u32 w, u32 h, int dots)
{
    u32 line[MAX_WIDTH];
    int cols = s->crtc[CRTC_HDISP] + 1;
    bool wide = s->seq[SEQ_CLOCKING] & 8, twice = s->crtc[CRTC_MAX_SCAN] & 0x80;
    u32 ma = start_address(s) + (s->crtc[CRTC_PRESET_ROW] >> 5 & 3);
    u32 ra = s->crtc[CRTC_PRESET_ROW] & 31, pan = pel_panning(s, dots);
    u32 max_ra = s->crtc[CRTC_MAX_SCAN] & 31;

    for (u32 y = 0; y < h; y++, out += w) {
        /* One column more than is shown: panning brings it in. */
        if (graphics(s))
            graphics_line(s, ma, ra, line, cols + 1);
        else
            text_line(s, ma, ra, line, cols + 1, dots);
        for (u32 x = 0; x < w; x++)
            out[x] = line[(wide ? x / 2 : x) + pan];
        if (y == line_compare(s)) {
            ma = 0;
            ra = 0;
            if (s->ac[AC_MODE] & 0x20) /* the lower part stands still */
                pan = 0;
        } else if (!twice || (y & 1)) {
            if (ra++ == max_ra) {
                ra = 0;
                ma += (u32)s->crtc[CRTC_OFFSET] * 2;
            }
            ra &= 31;
        }
    }
}

/* ---- VBE ----------------------------------------------------------------------------------- */
u32 vga_vbe_stride(const struct vga *s)
{
    u32 bpp = s->vbe[VBE_BPP], width = s->vbe[VBE_VIRT_WIDTH];
    return bpp == 4 ? width / 2 : width * ((bpp + 7) / 8);
}

static u32 scale(u32 v, int n)
{
    return n == 5 ? v << 3 | v >> 2 : v << 2 | v >> 4;
}

static u32 vbe_pixel(const struct vga *s, const u8 *line, u32 x)
{
    u32 v;
    switch (s->vbe[VBE_BPP]) {
    case 4: {
        const u8 *p = line + x / 8 * 4;
        int k = 7 - (int)(x & 7);
        return attribute_colour(s, (u8)((p[0] >> k & 1) | (p[1] >> k & 1) << 1 |
                                        (p[2] >> k & 1) << 2 | (p[3] >> k & 1) << 3));
    }
    case 8:
        return dac_colour(s, line[x]);
    case 15:
        v = ld_u16(line + x * 2);
        return scale(v >> 10 & 31, 5) << 16 | scale(v >> 5 & 31, 5) << 8 | scale(v & 31, 5);
    case 16:
        v = ld_u16(line + x * 2);
        return scale(v >> 11, 5) << 16 | scale(v >> 5 & 63, 6) << 8 | scale(v & 31, 5);
    case 24:
        line += x * 3;
        return line[0] | (u32)line[1] << 8 | (u32)line[2] << 16;
    default:
        return ld_u32(line + x * 4) & 0xffffff;
    }
}

static void draw_vbe(const struct vga *s, u32 *out, u32 w, u32 h)
{
    u32 bpp = s->vbe[VBE_BPP], stride = vga_vbe_stride(s);
    u32 first = bpp == 4 ? s->vbe[VBE_X_OFFSET] & 7 : 0; /* pixel of the first plane byte */
    u32 bytes = bpp == 4 ? (w + first + 7) / 8 * 4 : w * ((bpp + 7) / 8);
    u64 at = (u64)s->vbe[VBE_Y_OFFSET] * stride +
             (bpp == 4 ? s->vbe[VBE_X_OFFSET] / 8 * 4u : s->vbe[VBE_X_OFFSET] * ((bpp + 7) / 8));
    for (u32 y = 0; y < h; y++, at += stride, out += w) {
        const u8 *line = s->vram->base + at;
        if (at + bytes > VGA_VRAM_SIZE)
            memset(out, 0, w * sizeof(*out));
        else if (bpp == 32) /* the compiler makes vectors of it */
            for (u32 x = 0; x < w; x++)
                out[x] = ld_u32(line + (size_t)x * 4) & 0xffffff;
        else
            for (u32 x = 0; x < w; x++)
                out[x] = vbe_pixel(s, s->vram->base + at, x + first);
    }
}

/* ---- the picture --------------------------------------------------------------------------- */
/* Four chains, so that one multiplication need not wait for the other. */
static u64 hash(const u32 *p, size_t n, u64 h)
{
    u64 lane[4] = {h, ~h, h * 3, h * 5};
    size_t k = 0;
    for (; k + 8 <= n; k += 8)
        for (int c = 0; c < 4; c++)
            lane[c] =
                (lane[c] ^ ((u64)p[k + 2 * c] << 32 | p[k + 2 * c + 1])) * 0x9e3779b97f4a7c15ull;
    for (; k < n; k++)
        lane[0] = (lane[0] ^ p[k]) * 0x100000001b3ull;
    for (int c = 1; c < 4; c++)
        lane[0] = (lane[0] ^ lane[c] >> 29) * 0x100000001b3ull + lane[c];
    return lane[0];
}

static bool screen_render(void *ctx, u32 *pixels, size_t max_pixels, int *width, int *height)
{
    struct vga *s = ctx;
    int dots = graphics(s) || (s->seq[SEQ_CLOCKING] & 1) ? 8 : 9;
    u32 w = (s->crtc[CRTC_HDISP] + 1u) * (u32)dots << (s->seq[SEQ_CLOCKING] >> 3 & 1);
    u32 h = vga_lines_shown(s);

    if (vga_vbe_on(s)) {
        w = s->vbe[VBE_XRES];
        h = s->vbe[VBE_YRES];
    }
    *width = (int)w;
    *height = (int)h;
    size_t n = (size_t)w * h;
    if (!pixels || n > max_pixels)
        return false;
    if (!vga_vbe_on(s) && ((s->seq[SEQ_CLOCKING] & 0x20) || !(s->ac_index & AC_PAS)))
        memset(pixels, 0, n * sizeof(*pixels));
    else if (vga_vbe_on(s))
        draw_vbe(s, pixels, w, h);
    else
        draw_vga(s, pixels, w, h, dots);
    u64 sum = hash(pixels, n, ((u64)w << 32 | h) * 0x9e3779b97f4a7c15ull);
    bool changed = sum != s->last_hash || s->screen.stale;
    s->screen.stale = false;
    s->last_hash = sum;
    return changed;
}

void vga_draw_init(struct vga *s)
{
    s->screen = (struct screen){s, screen_text, screen_render, false};
}
