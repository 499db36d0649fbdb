/*
 * tests/fuzz/fuzz_sb16.c - any accesses to a Sound Blaster 16, its OPL3 and the DMA controllers, in
 * any order, with time passing and hostile saved states.
 *
 * Input: operations of one byte and what each takes. After each operation: the interrupt line as
 * the mixer's register says, and no more than one of them; in the end the mixer has played what the
 * clock says.
 */
#include "tests/devices/rig.h"
#include "tests/fuzz/fuzz_in.h"
#include "bus/backend.h"
#include "bus/ram.h"
#include "devices/i8237.h"
#include "devices/opl3.h"
#include "devices/sb16.h"
#include "devices/sb16_priv.h"
#include "machine/mixer.h"

enum { BASE = 0x220, MPU = 0x330, OPS = 300 };

struct card {
    struct rig r;
    struct space *mem;
    struct ram *ram;
    struct audio_sink sink;
    u64 played;
    struct device *mixer, *dma, *opl, *d;
    struct probe irq[4];
};

static void play(struct audio_sink *s, const i16 *frames, size_t n)
{
    container_of(s, struct card, sink)->played += n;
}

static void make(struct card *c)
{
    static const struct sb16_jumpers jumpers = {BASE, MPU, 5, 1, 5};
    static const struct audio_sink_ops ops = {.play = play};
    struct irq irq[4];
    rig_init(&c->r);
    c->sink.ops = &ops;
    c->mem = space_new("mem", 1ull << 32);
    MUST(ram_new(MIB, &c->ram, NULL) == ST_OK);
    space_map_ram(c->mem, 0, MIB, c->ram, 0, MAP_RW, 0);
    c->mixer = mixer_new(c->r.clk, &c->sink);
    c->dma = i8237_new(c->r.ports, c->mem);
    struct voice *fm = mixer_voice(c->mixer), *v = mixer_voice(c->mixer);
    c->opl = opl3_new(c->r.ports, BASE, fm, c->r.clk);
    for (int k = 0; k < 4; k++)
        irq[k] = probe_irq(&c->irq[k]);
    c->d = sb16_new(c->r.ports, &jumpers, irq, c->dma, c->opl, v, fm, c->r.clk);
}

static void usual_dma(struct card *c)
{
    static const u8 set[][2] = {{0xd6, 0xc0}, {0xd4, 0},    {0x0b, 0x59}, {0x02, 0},
                                {0x02, 0x10}, {0x03, 0xff}, {0x03, 1},    {0x0a, 1},
                                {0xd6, 0x59}, {0xc4, 0},    {0xc4, 0x10}, {0xc6, 0x7f},
                                {0xc6, 0},    {0xd4, 1}};
    for (size_t k = 0; k < ARRAY_LEN(set); k++)
        out8(&c->r, set[k][0], set[k][1]);
}

static void operate(struct in *in, struct card *c)
{
    static const u16 reg[] = {0x388, 0x389, 0x38a, 0x38b, 0, 1, 2, 3};
    u8 op = (u8)take(in, 1);
    switch (op & 15) {
    case 0:
    case 1:
    case 2: /* a DSP command, with bytes */
        for (int n = 1 + (op >> 4 & 3); n; n--)
            out8(&c->r, BASE + 12, (u8)take(in, 1));
        break;
    case 3:
        out8(&c->r, (u16)(BASE + (op >> 4)), (u8)take(in, 1));
        break;
    case 4:
        in8(&c->r, (u16)(BASE + (op >> 4)));
        break;
    case 5: /* a register of the mixer's */
        out8(&c->r, BASE + 4, (u8)take(in, 1));
        out8(&c->r, BASE + 5, (u8)take(in, 1));
        break;
    case 6: /* and of the OPL's */
    case 7:
        out8(&c->r, op & 16 ? 0x388 : 0x38a, (u8)take(in, 1));
        out8(&c->r, op & 16 ? 0x389 : 0x38b, (u8)take(in, 1));
        break;
    case 8:
        out8(&c->r, reg[op >> 4 & 7], (u8)take(in, 1));
        break;
    case 9:
        in8(&c->r, reg[op >> 4 & 7]);
        break;
    case 10: /* the DMA controllers */
        out8(&c->r, (u16)(op & 16 ? 0xc0 + (take(in, 1) & 31) : take(in, 1) & 15), (u8)take(in, 1));
        break;
    case 11:
        usual_dma(c);
        break;
    case 12:
        out8(&c->r, (u16)(MPU + (op >> 4 & 1)), (u8)take(in, 1));
        in8(&c->r, (u16)(MPU + (op >> 5 & 1)));
        break;
    case 13:
        clock_advance(c->r.clk, take(in, 2) << (op >> 4 & 7));
        break;
    case 14:
        clock_advance(c->r.clk, (op >> 4) * 1000000u);
        break;
    default:
        poison(op & 16 ? c->opl : op & 32 ? c->dma : c->d, in);
        break;
    }
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    static struct card c;
    static bool made;
    struct in in = {data, size};
    if (!made) {
        make(&c);
        made = true;
    }
    device_reset(c.dma);
    device_reset(c.opl);
    device_reset(c.d);
    u64 from = clock_now(c.r.clk), before = c.played;
    for (int k = 0; k < OPS && in.left; k++) {
        const struct sb16 *s = (const struct sb16 *)c.d;
        operate(&in, &c);
        int high = 0;
        for (int n = 0; n < 4; n++)
            high += c.irq[n].level;
        MUST(high == (s->pending && sb_irq_index(s) >= 0));
        MUST(high == 0 || c.irq[sb_irq_index(s)].level);
        MUST(!s->t.active || (s->t.left && s->t.left <= s->t.block && s->t.block <= 65536));
        MUST(s->fifo_n <= SB_FIFO && s->mpu_n <= sizeof(s->mpu_fifo) && s->n_args <= SB_ARGS);
    }
    device_reset(c.opl); /* quiet: the rest is quick */
    device_reset(c.d);
    clock_advance(c.r.clk, 200000000);
    u64 ms = (clock_now(c.r.clk) - from) / 1000000;
    MUST(c.played - before > (ms - 180) * 48 && c.played - before < (ms + 180) * 48);
    return 0;
}
