/* tests/audio/test_sb16.c - Sound Blaster 16: DSP commands, interrupts, the mixer's registers. */
#include "tests/audio/audio_rig.h"
#include "tests/devices/rig.h"
#include "bus/ram.h"
#include "devices/i8237.h"
#include "devices/opl3.h"
#include "devices/sb16.h"
#include "machine/mixer.h"

enum { BASE = 0x220, MPU = 0x330 };

struct card {
    struct rig r;
    struct space *mem;
    struct ram *ram;
    struct tape tape;
    struct device *mixer, *dma, *opl, *d;
    struct probe irq[4]; /* 2, 5, 7, 10 */
};

static const struct sb16_jumpers jumpers = {BASE, MPU, 5, 1, 5};

static void start(struct card *c)
{
    struct irq irq[4];
    memset(c, 0, sizeof(*c));
    rig_init(&c->r);
    c->mem = space_new("mem", 1ull << 32);
    cr_assert_eq(ram_new(MIB, &c->ram, NULL), ST_OK);
    space_map_ram(c->mem, 0, MIB, c->ram, 0, MAP_RW, 0);
    tape_init(&c->tape);
    c->mixer = mixer_new(c->r.clk, &c->tape.sink);
    c->dma = i8237_new(c->r.ports, c->mem);
    struct voice *fm = mixer_voice(c->mixer), *v = mixer_voice(c->mixer);
    c->opl = opl3_new(c->r.ports, BASE, fm, c->r.clk);
    for (int k = 0; k < 4; k++)
        irq[k] = probe_irq(&c->irq[k]);
    c->d = sb16_new(c->r.ports, &jumpers, irq, c->dma, c->opl, v, fm, c->r.clk);
    out8(&c->r, 0xd6, 0xc0);
    out8(&c->r, 0xd4, 0);
}

static void stop(struct card *c)
{
    device_destroy(c->d);
    device_destroy(c->opl);
    device_destroy(c->dma);
    device_destroy(c->mixer);
    space_free(c->mem);
    rig_fini(&c->r);
    ram_free(c->ram);
    free(c->tape.frames);
}

static void dsp(struct card *c, size_t n, const u8 *b)
{
    for (size_t k = 0; k < n; k++) {
        cr_assert(!(in8(&c->r, BASE + 12) & 0x80));
        out8(&c->r, BASE + 12, b[k]);
    }
}
#define DSP(c, ...) dsp(c, sizeof((const u8[]){__VA_ARGS__}), (const u8[]){__VA_ARGS__})

static u8 answer(struct card *c)
{
    cr_assert(in8(&c->r, BASE + 14) & 0x80, "no answer");
    return in8(&c->r, BASE + 10);
}

static u8 mix(struct card *c, u8 reg)
{
    out8(&c->r, BASE + 4, reg);
    return in8(&c->r, BASE + 5);
}

static void set_mix(struct card *c, u8 reg, u8 val)
{
    out8(&c->r, BASE + 4, reg);
    out8(&c->r, BASE + 5, val);
}

/* Channel 1 or 5 from `addr`, n units. */
static void dma(struct card *c, int ch, u8 mode, u32 addr, u32 n)
{
    bool w = ch == 5;
    u16 m = w ? 2 : 1, b = w ? 0xc0 : 0, a = (u16)(w ? addr >> 1 : addr);
    out8(&c->r, (u16)(b + 10 * m), 5);
    out8(&c->r, (u16)(b + 12 * m), 0);
    out8(&c->r, (u16)(b + 11 * m), (u8)(mode | 1));
    out8(&c->r, (u16)(b + 2 * m), (u8)a);
    out8(&c->r, (u16)(b + 2 * m), (u8)(a >> 8));
    out8(&c->r, (u16)(b + 3 * m), (u8)(n - 1));
    out8(&c->r, (u16)(b + 3 * m), (u8)((n - 1) >> 8));
    out8(&c->r, w ? 0x8b : 0x83, (u8)(addr >> 16));
    out8(&c->r, (u16)(b + 10 * m), 1);
}

static u16 dma_left(struct card *c, int ch)
{
    bool w = ch == 5;
    out8(&c->r, w ? 0xd8 : 0x0c, 0);
    u8 lo = in8(&c->r, w ? 0xc6 : 3);
    return (u16)(lo | in8(&c->r, w ? 0xc6 : 3) << 8);
}

static void ms(struct card *c, u64 n)
{
    clock_advance(c->r.clk, n * 1000000);
}

Test(sb16, identifies_itself)
{
    struct card c;
    start(&c);
    out8(&c.r, BASE + 6, 1);
    out8(&c.r, BASE + 6, 0);
    cr_expect_eq(answer(&c), 0xaa);
    cr_expect(!(in8(&c.r, BASE + 14) & 0x80));
    DSP(&c, 0xe1);
    cr_expect_eq(answer(&c), 4);
    cr_expect_eq(answer(&c), 5);
    DSP(&c, 0xe0, 0x5a);
    cr_expect_eq(answer(&c), 0xa5);
    DSP(&c, 0xe4, 0x77, 0xe8);
    cr_expect_eq(answer(&c), 0x77);
    DSP(&c, 0xe3);
    cr_expect_eq(answer(&c), 'C');
    out8(&c.r, BASE + 6, 1);
    out8(&c.r, BASE + 6, 0);
    cr_expect_eq(answer(&c), 0xaa, "a reset empties it");
    DSP(&c, 0xd8);
    cr_expect_eq(answer(&c), 0);
    DSP(&c, 0xd1, 0xd8);
    cr_expect_eq(answer(&c), 0xff);
    DSP(&c, 0xd3, 0xd8);
    cr_expect_eq(answer(&c), 0);
    stop(&c);
}

Test(sb16, interrupts_on_request)
{
    struct card c;
    start(&c);
    DSP(&c, 0xf2);
    cr_expect(c.irq[1].level);
    cr_expect_eq(mix(&c, 0x82) & 7, 1);
    in8(&c.r, BASE + 15);
    cr_expect(c.irq[1].level, "the other port does not acknowledge");
    in8(&c.r, BASE + 14);
    cr_expect(!c.irq[1].level);
    DSP(&c, 0xf3);
    cr_expect_eq(mix(&c, 0x82) & 7, 2);
    in8(&c.r, BASE + 14);
    cr_expect(c.irq[1].level);
    in8(&c.r, BASE + 15);
    cr_expect(!c.irq[1].level);
    /* another line; a pending interrupt moves to it */
    DSP(&c, 0xf2);
    set_mix(&c, 0x80, 4);
    cr_expect(!c.irq[1].level && c.irq[2].level);
    set_mix(&c, 0x80, 0);
    cr_expect(!c.irq[2].level);
    set_mix(&c, 0x80, 8);
    cr_expect(c.irq[3].level);
    cr_expect_eq(mix(&c, 0x80), 0xf8);
    stop(&c);
}

Test(sb16, mixer_registers)
{
    struct card c;
    start(&c);
    cr_expect_eq(mix(&c, 0x80), 0xf2, "IRQ 5");
    cr_expect_eq(mix(&c, 0x81), 0x22, "DMA 1 and 5");
    set_mix(&c, 0x22, 0x73); /* the SB Pro's master */
    cr_expect_eq(mix(&c, 0x30), 0x78);
    cr_expect_eq(mix(&c, 0x31), 0x38);
    set_mix(&c, 0x32, 0xa8);
    set_mix(&c, 0x33, 0x50);
    cr_expect_eq(mix(&c, 0x04), 0xa5);
    set_mix(&c, 0x81, 0xff);
    cr_expect_eq(mix(&c, 0x81), 0xeb);
    set_mix(&c, 0x00, 0);
    cr_expect_eq(mix(&c, 0x30), 0xf8, "as after power-on");
    cr_expect_eq(mix(&c, 0x81), 0xeb, "but for what is in its configuration");
    stop(&c);
}

/* A single block of 8 bits: the interrupt comes when the last sample was due, once. */
Test(sb16, single_cycle)
{
    struct card c;
    start(&c);
    dma(&c, 1, 0x48, 0x1000, 800);
    DSP(&c, 0x40, 131, 0x14, 800 & 0xff, 800 >> 8); /* one more than the DMA has: it stands */
    ms(&c, 50);
    cr_expect_eq(dma_left(&c, 1), 399, "%u", dma_left(&c, 1));
    ms(&c, 500);
    cr_expect_eq(c.irq[1].rises, 0);
    dma(&c, 1, 0x48, 0x1000, 100);
    ms(&c, 1);
    cr_expect_eq(c.irq[1].rises, 1, "the 801st sample");
    cr_expect_eq(dma_left(&c, 1), 98, "%u", dma_left(&c, 1));
    in8(&c.r, BASE + 14);
    ms(&c, 100);
    cr_expect_eq(c.irq[1].rises, 1);
    cr_expect_eq(dma_left(&c, 1), 98);
    stop(&c);
}

Test(sb16, auto_init_and_pause)
{
    struct card c;
    start(&c);
    dma(&c, 1, 0x58, 0x1000, 200);
    DSP(&c, 0x41, 8000 >> 8, 8000 & 0xff, 0x48, 79, 0, 0x1c); /* 10 ms blocks */
    for (u32 k = 1; k <= 10; k++) {
        ms(&c, 10);
        clock_advance(c.r.clk, 10000);
        cr_expect_eq(c.irq[1].rises, k, "%u after %u blocks", c.irq[1].rises, k);
        in8(&c.r, BASE + 14);
    }
    DSP(&c, 0xd0);
    u16 left = dma_left(&c, 1);
    ms(&c, 100);
    cr_expect_eq(c.irq[1].rises, 10);
    cr_expect_eq(dma_left(&c, 1), left);
    DSP(&c, 0xd5, 0xd6); /* the 16-bit commands are not about it */
    ms(&c, 100);
    cr_expect_eq(dma_left(&c, 1), left);
    DSP(&c, 0xd4);
    ms(&c, 11);
    cr_expect_eq(c.irq[1].rises, 11);
    in8(&c.r, BASE + 14);
    DSP(&c, 0xda);
    ms(&c, 11);
    cr_expect_eq(c.irq[1].rises, 12);
    in8(&c.r, BASE + 14);
    ms(&c, 100);
    cr_expect_eq(c.irq[1].rises, 12);
    stop(&c);
}

/* A late host: the guest gets its interrupts one at a time, with time to answer in between, and
 * catches up. */
Test(sb16, late)
{
    struct card c;
    start(&c);
    dma(&c, 5, 0x58, 0x1000, 2000);
    DSP(&c, 0x41, 48000 >> 8, 48000 & 0xff, 0xb6, 0x10, 479 & 0xff, 479 >> 8);
    ms(&c, 60); /* the fake clock fires timers in order, so run the pin by hand below */
    u32 rises = c.irq[1].rises;
    cr_expect(rises == 1, "nobody answered: the line stays up: %u", rises);
    for (u32 k = 0; k < 12; k++) {
        in8(&c.r, BASE + 15);
        clock_advance(c.r.clk, 10010000);
    }
    cr_expect(c.irq[1].rises >= 12, "%u", c.irq[1].rises);
    stop(&c);
}

/* What is played: formats. A square of known height on the left. */
Test(sb16, formats)
{
    static const struct {
        u8 cmd, mode;
        bool wide, stereo, is_signed;
    } format[] = {{0xc6, 0x00, false, false, false}, {0xc6, 0x10, false, false, true},
                  {0xc6, 0x20, false, true, false},  {0xc6, 0x30, false, true, true},
                  {0xb6, 0x00, true, false, false},  {0xb6, 0x10, true, false, true},
                  {0xb6, 0x20, true, true, false},   {0xb6, 0x30, true, true, true}};
    for (size_t k = 0; k < ARRAY_LEN(format); k++) {
        struct card c;
        start(&c);
        u8 *p = c.ram->base + 0x10000;
        u32 units = format[k].stereo ? 480 : 240;
        for (u32 n = 0; n < units; n++) {
            u32 frame = format[k].stereo ? n / 2 : n;
            int v = format[k].stereo && n % 2 ? 0 : frame % 48 < 24 ? 0x2000 : -0x2000;
            if (!format[k].is_signed)
                v += 0x8000;
            if (format[k].wide) {
                p[2 * n] = (u8)v;
                p[2 * n + 1] = (u8)(v >> 8);
            } else {
                p[n] = (u8)(v >> 8);
            }
        }
        dma(&c, format[k].wide ? 5 : 1, 0x58, 0x10000, units);
        DSP(&c, 0x41, 48000 >> 8, 48000 & 0xff, format[k].cmd, format[k].mode, (u8)(units - 1),
            (u8)((units - 1) >> 8));
        ms(&c, 300);
        expect_tone(&c.tape, 0, 4000, 8192, 1000, 0x2000 * 1.2);
        if (format[k].stereo)
            cr_expect_lt(level(&c.tape, 1, 4000, 8192, 1000), 2, "format %zu", k);
        else
            cr_expect_gt(level(&c.tape, 1, 4000, 8192, 1000), 0x2000 * 1.2, "format %zu", k);
        stop(&c);
    }
}

Test(sb16, direct_mode)
{
    struct card c;
    start(&c);
    for (int k = 0; k < 4000; k++) { /* 8 kHz, a square of 500 Hz */
        DSP(&c, 0x10, k % 16 < 8 ? 0xa0 : 0x60);
        clock_advance(c.r.clk, 125000);
    }
    ms(&c, 100);
    expect_tone(&c.tape, 0, 4000, 8192, 500, 0x2000 * 1.2);
    stop(&c);
}

Test(sb16, volume)
{
    struct card c;
    start(&c);
    for (int k = 0; k < 8000; k++) {
        if (k == 4000)
            set_mix(&c, 0x32, 0x88); /* 17 of 31: 28 dB less on the left */
        DSP(&c, 0x10, k % 16 < 8 ? 0xa0 : 0x60);
        clock_advance(c.r.clk, 125000);
    }
    double a = level(&c.tape, 0, 4000, 8192, 500), b = level(&c.tape, 0, 32000, 8192, 500);
    cr_expect(fabs(20 * log10(a / b) - 28) < 0.2, "%f dB", 20 * log10(a / b));
    cr_expect_gt(level(&c.tape, 1, 32000, 8192, 500), 0x2000 * 1.2);
    stop(&c);
}

Test(sb16, high_speed_and_silence)
{
    struct card c;
    start(&c);
    dma(&c, 1, 0x58, 0x1000, 200);
    DSP(&c, 0x40, 211, 0x48, 221, 0, 0x90); /* 22222 Hz: 10 ms a block */
    ms(&c, 11);
    cr_expect_eq(c.irq[1].rises, 1);
    in8(&c.r, BASE + 14);
    DSP(&c, 0x91);
    ms(&c, 11);
    cr_expect_eq(c.irq[1].rises, 2);
    in8(&c.r, BASE + 14);
    u16 left = dma_left(&c, 1);
    DSP(&c, 0x80, 221, 0);
    ms(&c, 5);
    cr_expect_eq(c.irq[1].rises, 2);
    ms(&c, 6);
    cr_expect_eq(c.irq[1].rises, 3);
    cr_expect_eq(dma_left(&c, 1), left, "silence takes no data");
    stop(&c);
}

/* What is recorded is silence. */
Test(sb16, recording)
{
    struct card c;
    start(&c);
    memset(c.ram->base + 0x1000, 1, 256);
    dma(&c, 1, 0x44, 0x1000, 80);
    DSP(&c, 0x41, 8000 >> 8, 8000 & 0xff, 0x24, 79, 0);
    ms(&c, 11);
    cr_expect_eq(c.irq[1].rises, 1);
    for (int k = 0; k < 80; k++)
        cr_expect_eq(c.ram->base[0x1000 + k], 0x80);
    cr_expect_eq(c.ram->base[0x1000 + 80], 1);
    stop(&c);
}

Test(sb16, mpu401)
{
    struct card c;
    start(&c);
    cr_expect_eq(in8(&c.r, MPU + 1) & 0xc0, 0x80, "nothing to read, may be written to");
    out8(&c.r, MPU + 1, 0xff);
    cr_expect_eq(in8(&c.r, MPU + 1) & 0xc0, 0);
    cr_expect(c.irq[1].level);
    cr_expect_eq(mix(&c, 0x82) & 7, 4);
    cr_expect_eq(in8(&c.r, MPU), 0xfe);
    cr_expect(!c.irq[1].level);
    out8(&c.r, MPU + 1, 0x3f);
    cr_expect_eq(in8(&c.r, MPU), 0xfe);
    out8(&c.r, MPU, 0x90);
    cr_expect_eq(in8(&c.r, MPU + 1) & 0xc0, 0x80);
    stop(&c);
}

Test(sb16, opl_ports)
{
    struct card c;
    start(&c);
    static const u16 at[][2] = {{0x388, 0x388}, {BASE, 0x388}, {BASE + 8, BASE}, {0x388, BASE + 8}};
    for (size_t k = 0; k < ARRAY_LEN(at); k++) {
        static const u8 set[][2] = {{4, 0x60}, {4, 0x80}, {2, 0xfe}, {3, 0xfe}, {4, 0x03}};
        for (size_t n = 0; n < ARRAY_LEN(set); n++) {
            out8(&c.r, at[k][0], set[n][0]);
            out8(&c.r, at[k][0] + 1, set[n][1]);
        }
        cr_expect_eq(in8(&c.r, at[k][1]), 0);
        clock_advance(c.r.clk, 159000); /* two steps of 80 us */
        cr_expect_eq(in8(&c.r, at[k][1]), 0);
        clock_advance(c.r.clk, 2000);
        cr_expect_eq(in8(&c.r, at[k][1]), 0xc0);
        clock_advance(c.r.clk, 480000); /* two of 320 us */
        cr_expect_eq(in8(&c.r, at[k][1]), 0xe0);
    }
    stop(&c);
}

/* In the middle of a block, on another card: it goes on at the same place at the same time. */
Test(sb16, save_and_restore)
{
    struct card a, b;
    start(&a);
    start(&b);
    dma(&a, 1, 0x58, 0x1000, 200);
    DSP(&a, 0x41, 8000 >> 8, 8000 & 0xff, 0x48, 79, 0, 0x1c);
    DSP(&a, 0xe0); /* half a command */
    clock_advance(a.r.clk, 12345678);
    clock_advance(b.r.clk, 12345678);
    cr_assert(clone_state(a.dma, b.dma));
    cr_assert(clone_state(a.opl, b.opl));
    cr_assert(clone_state(a.d, b.d));
    cr_expect(b.irq[1].level);
    DSP(&a, 0x0f);
    DSP(&b, 0x0f);
    cr_expect_eq(answer(&a), 0xf0); /* which looks at the port that acknowledges, too */
    cr_expect_eq(answer(&b), 0xf0);
    for (int k = 0; k < 40; k++) {
        clock_advance(a.r.clk, 777777);
        clock_advance(b.r.clk, 777777);
        u16 la = dma_left(&a, 1), lb = dma_left(&b, 1);
        cr_expect_eq(la, lb, "step %d: %u, %u", k, la, lb);
        cr_expect_eq(a.irq[1].level, b.irq[1].level);
        if (k % 9 == 0) {
            in8(&a.r, BASE + 14);
            in8(&b.r, BASE + 14);
        }
    }
    stop(&a);
    stop(&b);
}

Test(sb16, hostile)
{
    struct card c;
    start(&c);
    for (u32 seed = 1; seed < 60; seed++) {
        poison_state(c.dma, seed);
        poison_state(c.opl, seed);
        poison_state(c.d, seed);
        hammer(&c.r, BASE, 16, seed, 200);
        hammer(&c.r, MPU, 2, seed, 50);
        hammer(&c.r, 0, 16, seed, 50);
        ms(&c, 50);
    }
    stop(&c);
}
