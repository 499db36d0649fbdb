/*
 * devices/opl3.c - YMF262 FM synthesis.
 *
 * What it is: 36 operators with eight waveforms, envelopes, key scaling, tremolo and vibrato;
 * channels of two and four operators, feedback, five percussion instruments, stereo; the two
 * timers. All samples are made at the chip's own 49716 Hz, when a register is written and when the
 * mixer asks. What it is not: the chip's test register, outputs C and D, its interrupt pin (a Sound
 * Blaster does not wire it).
 *
 * Invariants: register bytes are the only parameters, nothing is decoded ahead; an operator's state
 * is its phase (19 bits), attenuation (0 loud .. 511 silent, 0.1875 dB each) and stage.
 *
 * Manuals: Yamaha YMF262 data sheet and application manual; log-sine and power ROMs as published
 * from the die.
 */
#include "devices/opl3.h"
#include "base/bits.h"
#include "base/log.h"
#include "bus/backend.h"
#include "bus/space.h"
#include <stdlib.h>
#include <string.h>

#include "devices/opl3_tables.h"

enum { OPS = 36, CHANNELS = 18, BANK_OPS = 18, BANK_CHANNELS = 9, QUIET = 511, FRAMES = 256 };
enum { SILENT_WAVE = 0x1000 };
enum stage { ATTACK, DECAY, SUSTAIN, RELEASE };
enum { KEY_NOTE = 1, KEY_DRUM = 2 };
/* Percussion in bank 0: a bit of register BDh, and its operators. */
enum { DRUM_HH = 0x01, DRUM_CY = 0x02, DRUM_TT = 0x04, DRUM_SD = 0x08, DRUM_BD = 0x10 };
enum { OP_BD1 = 12, OP_HH = 13, OP_TT = 14, OP_BD2 = 15, OP_SD = 16, OP_CY = 17 };
enum {
    R_TIMER1 = 2,
    R_TIMER2,
    R_CONTROL,
    R_NOTE_SEL = 8,
    R_DRUMS = 0xbd,
    R_FOUR = 0x104,
    R_NEW = 0x105
};
#define RATE      49715903u /* of 1000 s: 14.31818 MHz / 288 */
#define RATE_UNIT 1000u
#define LONGEST   (NS_PER_SEC / 2) /* what lies further back is not made any more */

struct opl3 {
    struct device dev;
    struct clock *clk;
    struct voice *voice;
    u8 reg[512];
    u16 address;
    u64 done;  /* samples since time 0 that are made */
    u64 count; /* of the chip's own: envelopes, tremolo and vibrato */
    u32 noise;
    u32 phase[OPS];
    u16 att[OPS];
    u8 stage[OPS];
    u8 key[OPS]; /* KEY_*: who presses it */
    i16 out[OPS], before[OPS];
    u64 timer_from[2]; /* ns since which it counts */
    u8 status;
};

/* ---- what registers say -----------------------------------------------------------------------
 */
static bool is_new(const struct opl3 *s)
{
    return s->reg[R_NEW] & 1;
}

/* A register of an operator: base 0x20, 0x40, 0x60, 0x80, 0xe0. */
static u8 op_reg(const struct opl3 *s, int op, int base)
{
    int bank = op / BANK_OPS, n = op % BANK_OPS;
    return s->reg[bank * 256 + base + n / 6 * 8 + n % 6];
}

static u8 ch_reg(const struct opl3 *s, int ch, int base)
{
    return s->reg[ch / BANK_CHANNELS * 256 + base + ch % BANK_CHANNELS];
}

/* Operator 0 or 1 of a channel. */
static int op_of(int ch, int which)
{
    int n = ch % BANK_CHANNELS;
    return ch / BANK_CHANNELS * BANK_OPS + n / 3 * 6 + n % 3 + which * 3;
}

static int channel_of(int op)
{
    int n = op % BANK_OPS;
    return op / BANK_OPS * BANK_CHANNELS + n / 6 * 3 + n % 3;
}

/* Whether ch and ch + 3 are one channel of four operators. */
static bool four(const struct opl3 *s, int ch)
{
    int n = ch % BANK_CHANNELS;
    return is_new(s) && n < 3 && (s->reg[R_FOUR] & BIT(ch / BANK_CHANNELS * 3 + n));
}

static bool second_of_four(const struct opl3 *s, int ch)
{
    int n = ch % BANK_CHANNELS;
    return n >= 3 && n < 6 && four(s, ch - 3);
}

/* The channel whose frequency and key an operator has. */
static int pitch_channel(const struct opl3 *s, int op)
{
    int ch = channel_of(op);
    return second_of_four(s, ch) ? ch - 3 : ch;
}

static u32 f_number(const struct opl3 *s, int ch)
{
    return ch_reg(s, ch, 0xa0) | (u32)(ch_reg(s, ch, 0xb0) & 3) << 8;
}

static u32 block(const struct opl3 *s, int ch)
{
    return ch_reg(s, ch, 0xb0) >> 2 & 7;
}

static bool drums(const struct opl3 *s)
{
    return s->reg[R_DRUMS] & 0x20;
}

/* ---- envelopes ---------------------------------------------------------------------------------
 */
/* How far an envelope goes in this sample: rate 0..63 in quarters of an octave of time. */
static u32 envelope_step(u64 count, u32 rate)
{
    /* bit n: a step (a double one from rate 52 on) in sample n of eight */
    static const u8 single[4] = {0xaa, 0xba, 0xee, 0xfe}, twofold[4] = {0, 0x88, 0xaa, 0xee};
    u32 octave = rate >> 2, slow = octave < 12 ? 12 - octave : 0, n = (u32)(count >> slow) & 7;
    if (count & ((1u << slow) - 1))
        return 0;
    if (octave <= 12)
        return single[rate & 3] >> n & 1;
    if (octave == 15)
        return 4;
    return (octave == 13 ? 1u : 2u) << (twofold[rate & 3] >> n & 1);
}

static u32 envelope_rate(const struct opl3 *s, int op, u32 r)
{
    int ch = pitch_channel(s, op);
    u32 split = s->reg[R_NOTE_SEL] & 0x40 ? 8 : 9;
    u32 scale = block(s, ch) << 1 | (f_number(s, ch) >> split & 1);
    if (!r)
        return 0;
    return MIN(4 * r + (op_reg(s, op, 0x20) & 0x10 ? scale : scale >> 2), 63u);
}

static void envelope(struct opl3 *s, int op)
{
    u8 ad = op_reg(s, op, 0x60), sr = op_reg(s, op, 0x80);
    u32 sustain = sr >> 4 == 15 ? 31u : sr >> 4u, r, step;
    switch (s->stage[op]) {
    case ATTACK:
        r = ad >> 4;
        break;
    case DECAY:
        r = ad & 15;
        break;
    case SUSTAIN:
        r = op_reg(s, op, 0x20) & 0x20 ? 0 : sr & 15; /* held, or percussive */
        break;
    default:
        r = sr & 15;
        break;
    }
    r = envelope_rate(s, op, r);
    step = r ? envelope_step(s->count, r) : 0;
    if (s->stage[op] == ATTACK) {
        if (r >= 60)
            s->att[op] = 0;
        else /* exponential: the louder the slower */
            s->att[op] = (u16)(s->att[op] - ((s->att[op] + 1u) * step + 7) / 8);
        if (s->att[op] == 0 || s->att[op] > QUIET) {
            s->att[op] = 0;
            s->stage[op] = DECAY;
        }
        return;
    }
    s->att[op] = (u16)MIN(s->att[op] + step, (u32)QUIET);
    if (s->stage[op] == DECAY && s->att[op] >= sustain << 4)
        s->stage[op] = SUSTAIN;
}

static void press(struct opl3 *s, int op, u8 who, bool down)
{
    u8 was = s->key[op];
    s->key[op] = (u8)(down ? was | who : was & ~who);
    if (!was && s->key[op]) {
        s->stage[op] = ATTACK;
        s->phase[op] = 0;
    } else if (was && !s->key[op]) {
        s->stage[op] = RELEASE;
    }
}

/* ---- one operator ------------------------------------------------------------------------------
 */
static u32 attenuation(const struct opl3 *s, int op)
{
    static const u8 rom[16] = {0, 32, 40, 45, 48, 51, 53, 55, 56, 58, 59, 60, 61, 62, 63, 64};
    static const u8 shift[4] = {31, 1, 2, 0}; /* none, 3, 1.5 and 6 dB an octave */
    u8 level = op_reg(s, op, 0x40);
    int ch = pitch_channel(s, op);
    i32 scale = (rom[f_number(s, ch) >> 6] << 2) - (i32)((8 - block(s, ch)) << 5);
    u32 att = s->att[op] + ((level & 0x3fu) << 2) + ((u32)MAX(scale, 0) >> shift[level >> 6]);
    if (op_reg(s, op, 0x20) & 0x80) { /* tremolo: a triangle of 210 steps */
        u32 p = (u32)(s->count / 64 % 210);
        p = p < 105 ? p : 210 - p;
        att += s->reg[R_DRUMS] & 0x80 ? p >> 2 : p >> 4;
    }
    return MIN(att, (u32)QUIET);
}

static void advance(struct opl3 *s, int op)
{
    static const u8 twice[16] = {1, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 20, 24, 24, 30, 30};
    int ch = pitch_channel(s, op);
    u8 flags = op_reg(s, op, 0x20);
    u32 f = f_number(s, ch);
    if (flags & 0x40) { /* vibrato: eight steps */
        u32 p = (u32)(s->count / 1024 & 7), range = f >> 7;
        if (!(p & 3))
            range = 0;
        else if (p & 1)
            range >>= 1;
        if (!(s->reg[R_DRUMS] & 0x40))
            range >>= 1;
        f = p & 4 ? f - range : f + range;
    }
    s->phase[op] += ((f << block(s, ch) >> 1) * twice[flags & 15]) >> 1;
    s->phase[op] &= (1u << 19) - 1;
}

static u32 quarter(u32 p)
{
    return log_sine[p & 0x100 ? ~p & 0xff : p & 0xff];
}

/* The waveform at p (0..1023, a period) as attenuation in 1/256 octaves, and its sign. */
static u32 wave(u32 shape, u32 p, bool *negative)
{
    bool late = p & 0x200;
    *negative = false;
    switch (shape) {
    case 0: /* sine */
        *negative = late;
        return quarter(p);
    case 1: /* its upper half */
        return late ? SILENT_WAVE : quarter(p);
    case 2: /* rectified */
        return quarter(p);
    case 3: /* the rising quarters */
        return p & 0x100 ? SILENT_WAVE : quarter(p);
    case 4: /* twice as fast, then nothing */
        *negative = p & 0x100;
        return late ? SILENT_WAVE : quarter(p << 1);
    case 5: /* the same, rectified */
        return late ? SILENT_WAVE : quarter(p << 1);
    case 6: /* square */
        *negative = late;
        return 0;
    default: /* exponential saw */
        *negative = late;
        return (late ? ~p & 0x1ff : p) << 3;
    }
}

static i16 tone(const struct opl3 *s, int op, u32 p)
{
    bool negative;
    u32 shape = op_reg(s, op, 0xe0) & 7;
    if (!is_new(s))
        shape = s->reg[1] & 0x20 ? shape & 3 : 0;
    u32 level = wave(shape, p & 0x3ff, &negative) + (attenuation(s, op) << 3);
    level = MIN(level, 0x1fffu);
    i32 v = (i32)(((power[~level & 0xff] + 1024u) << 1) >> (level >> 8));
    return (i16)(negative ? ~v : v);
}

static bool quiet(const struct opl3 *s, int op)
{
    return s->att[op] == QUIET && s->stage[op] != ATTACK;
}

/* A sample of an operator, its phase moved by mod. */
static i32 run_op(struct opl3 *s, int op, i32 mod)
{
    s->before[op] = s->out[op];
    if (quiet(s, op)) {
        s->out[op] = 0;
        return 0;
    }
    s->out[op] = tone(s, op, (s->phase[op] >> 9) + (u32)mod);
    envelope(s, op);
    advance(s, op);
    return s->out[op];
}

/* The first of a channel modulates itself. */
static i32 run_first(struct opl3 *s, int ch)
{
    int op = op_of(ch, 0);
    u32 fb = ch_reg(s, ch, 0xc0) >> 1 & 7;
    return run_op(s, op, fb ? (s->out[op] + s->before[op]) >> (9 - fb) : 0);
}

/* ---- channels -----------------------------------------------------------------------------------
 */
static i32 run_two(struct opl3 *s, int ch)
{
    i32 a = run_first(s, ch);
    if (ch_reg(s, ch, 0xc0) & 1)
        return a + run_op(s, op_of(ch, 1), 0);
    return run_op(s, op_of(ch, 1), a);
}

static i32 run_four(struct opl3 *s, int ch)
{
    int op2 = op_of(ch, 1), op3 = op_of(ch + 3, 0), op4 = op_of(ch + 3, 1);
    i32 a = run_first(s, ch), b;
    switch ((ch_reg(s, ch, 0xc0) & 1) << 1 | (ch_reg(s, ch + 3, 0xc0) & 1)) {
    case 0:
        return run_op(s, op4, run_op(s, op3, run_op(s, op2, a)));
    case 1:
        b = run_op(s, op2, a);
        return b + run_op(s, op4, run_op(s, op3, 0));
    case 2:
        b = run_op(s, op2, 0);
        return a + run_op(s, op4, run_op(s, op3, b));
    default:
        b = run_op(s, op2, 0);
        b = run_op(s, op3, b);
        return a + b + run_op(s, op4, 0);
    }
}

/* An operator whose phase is made of others': only its envelope runs as usual. */
static i32 run_drum(struct opl3 *s, int op, u32 p)
{
    s->out[op] = quiet(s, op) ? 0 : tone(s, op, p);
    envelope(s, op);
    advance(s, op);
    return s->out[op];
}

/* Channels 6 to 8 as five instruments. to: of each channel. */
static void run_drums(struct opl3 *s, i32 to[3])
{
    u32 hh = s->phase[OP_HH] >> 9, cy = s->phase[OP_CY] >> 9, n = s->noise & 1;
    u32 x = ((hh >> 2 ^ hh >> 7) | (hh >> 3 ^ cy >> 5) | (cy >> 3 ^ cy >> 5)) & 1;
    i32 a = run_first(s, 6);
    /* without modulation the bass drum's first operator is not heard at all */
    to[0] = 2 * run_op(s, OP_BD2, ch_reg(s, 6, 0xc0) & 1 ? 0 : a);
    to[1] = 2 * (run_drum(s, OP_HH, x << 9 | (x ^ n ? 0xd0 : 0x34)) +
                 run_drum(s, OP_SD, (hh >> 8 & 1) << 9 | ((hh >> 8 & 1) ^ n) << 8));
    to[2] = 2 * (run_drum(s, OP_TT, s->phase[OP_TT] >> 9) + run_drum(s, OP_CY, x << 9 | 0x80));
}

static i16 clip(i32 v)
{
    return (i16)MAX(MIN(v, INT16_MAX), INT16_MIN);
}

static void sample(struct opl3 *s, i16 *frame)
{
    i32 left = 0, right = 0, drum[3];
    bool d = drums(s);
    if (d)
        run_drums(s, drum);
    for (int ch = 0; ch < CHANNELS; ch++) {
        i32 v;
        if (d && ch >= 6 && ch <= 8)
            v = drum[ch - 6];
        else if (second_of_four(s, ch))
            continue;
        else
            v = four(s, ch) ? run_four(s, ch) : run_two(s, ch);
        u8 c = is_new(s) ? ch_reg(s, four(s, ch) ? ch + 3 : ch, 0xc0) : 0x30;
        if (c & 0x10)
            left += v;
        if (c & 0x20)
            right += v;
    }
    s->count++;
    s->noise = s->noise >> 1 | ((s->noise >> 14 ^ s->noise) & 1) << 22;
    frame[0] = clip(left);
    frame[1] = clip(right);
}

static bool all_quiet(const struct opl3 *s)
{
    for (int op = 0; op < OPS; op++)
        if (!quiet(s, op) || s->out[op])
            return false;
    return true;
}

/* ---- time --------------------------------------------------------------------------------------
 */
u64 opl3_run(struct device *d)
{
    struct opl3 *s = (struct opl3 *)d;
    u64 now = clock_now(s->clk), due = muldiv64(now, RATE, RATE_UNIT * NS_PER_SEC);
    u64 most = muldiv64(LONGEST, RATE, RATE_UNIT * NS_PER_SEC);
    i16 buf[FRAMES * 2];
    if (due > s->done + most || !s->voice) {
        s->count += due - MIN(s->done, due);
        s->done = due;
    }
    while (s->done < due) {
        size_t n = (size_t)MIN(due - s->done, (u64)FRAMES);
        if (all_quiet(s)) {
            s->count += due - s->done;
            s->done = due;
            break;
        }
        for (size_t k = 0; k < n; k++)
            sample(s, buf + 2 * k);
        voice_push(s->voice, muldiv64(s->done, RATE_UNIT * NS_PER_SEC, RATE), RATE, buf, n);
        s->done += n;
    }
    return now;
}

static u64 upto(void *ctx, u64 now)
{
    return opl3_run(ctx);
}

/* Timers 1 and 2 count up to 256 in steps of 80 and 320 us, then begin again. */
static void run_timers(struct opl3 *s)
{
    u64 now = clock_now(s->clk);
    for (int k = 0; k < 2; k++) {
        u8 control = s->reg[R_CONTROL];
        u64 period = (256u - s->reg[R_TIMER1 + k]) * (k ? 320000ull : 80000ull);
        if (!(control & BIT(k)) || now < s->timer_from[k] + period)
            continue;
        s->timer_from[k] += (now - s->timer_from[k]) / period * period;
        if (!(control & (0x40 >> k)))
            s->status |= (u8)(0x80 | 0x40 >> k);
    }
}

/* ---- registers ----------------------------------------------------------------------------------
 */
static void write_control(struct opl3 *s, u8 val)
{
    if (val & 0x80) {
        s->status = 0;
        return;
    }
    for (int k = 0; k < 2; k++)
        if ((val & BIT(k)) && !(s->reg[R_CONTROL] & BIT(k)))
            s->timer_from[k] = clock_now(s->clk);
    s->reg[R_CONTROL] = val;
}

/* Keys as registers Bxh and BDh say. */
static void update_keys(struct opl3 *s)
{
    static const struct {
        u8 op, bit;
    } drum[] = {{OP_BD1, DRUM_BD}, {OP_BD2, DRUM_BD}, {OP_HH, DRUM_HH},
                {OP_SD, DRUM_SD},  {OP_TT, DRUM_TT},  {OP_CY, DRUM_CY}};
    for (int op = 0; op < OPS; op++)
        press(s, op, KEY_NOTE, ch_reg(s, pitch_channel(s, op), 0xb0) & 0x20);
    for (size_t k = 0; k < ARRAY_LEN(drum); k++)
        press(s, drum[k].op, KEY_DRUM, drums(s) && (s->reg[R_DRUMS] & drum[k].bit));
}

static void write_reg(struct opl3 *s, u16 r, u8 val)
{
    run_timers(s);
    if (r == R_CONTROL) {
        write_control(s, val);
        return;
    }
    opl3_run(&s->dev);
    s->reg[r] = val;
    r &= 0xff;
    if ((r >= 0xb0 && r <= 0xb8) || r == R_DRUMS || r <= 5)
        update_keys(s);
}

static u64 opl3_peek(struct device *d, int region, u64 off, int size)
{
    return off ? 0 : ((struct opl3 *)d)->status;
}

static u64 opl3_read(struct device *d, int region, u64 off, int size)
{
    run_timers((struct opl3 *)d);
    return opl3_peek(d, region, off, size);
}

static void opl3_write(struct device *d, int region, u64 off, u64 val, int size)
{
    struct opl3 *s = (struct opl3 *)d;
    if (off & 1)
        write_reg(s, s->address, (u8)val);
    else
        s->address = (u16)((u8)val | (off & 2) << 7);
}

static void opl3_reset(struct device *d)
{
    struct opl3 *s = (struct opl3 *)d;
    opl3_run(d);
    memset(s->reg, 0, sizeof(s->reg));
    memset(s->phase, 0, sizeof(s->phase));
    memset(s->key, 0, sizeof(s->key));
    memset(s->out, 0, sizeof(s->out));
    memset(s->before, 0, sizeof(s->before));
    for (int op = 0; op < OPS; op++) {
        s->att[op] = QUIET;
        s->stage[op] = RELEASE;
    }
    s->address = 0;
    s->status = 0;
    s->noise = 1;
    s->count = 0;
}

static bool opl3_loaded(struct device *d)
{
    struct opl3 *s = (struct opl3 *)d;
    u64 now = clock_now(s->clk);
    s->address &= 0x1ff;
    s->noise &= BIT(23) - 1;
    s->noise |= !s->noise;
    s->done = MIN(s->done, muldiv64(now, RATE, RATE_UNIT * NS_PER_SEC));
    for (int op = 0; op < OPS; op++) {
        s->phase[op] &= (1u << 19) - 1;
        s->att[op] = MIN(s->att[op], (u16)QUIET);
        s->stage[op] &= 3;
        s->key[op] &= KEY_NOTE | KEY_DRUM;
        s->out[op] = MAX(MIN(s->out[op], (i16)4095), (i16)-4096);
        s->before[op] = MAX(MIN(s->before[op], (i16)4095), (i16)-4096);
    }
    for (int k = 0; k < 2; k++)
        s->timer_from[k] = MIN(s->timer_from[k], now);
    s->status &= 0xe0;
    return true;
}

static void opl3_destroy(struct device *d)
{
    struct opl3 *s = (struct opl3 *)d;
    if (s->voice)
        s->voice->upto = NULL;
    free(s);
}

static const struct field opl3_state[] = {
    FIELD_BUF(struct opl3, reg),  FIELD_U(struct opl3, address),
    FIELD_U(struct opl3, done),   FIELD_U(struct opl3, count),
    FIELD_U(struct opl3, noise),  FIELD_A(struct opl3, phase),
    FIELD_A(struct opl3, att),    FIELD_A(struct opl3, stage),
    FIELD_A(struct opl3, key),    FIELD_A(struct opl3, out),
    FIELD_A(struct opl3, before), FIELD_A(struct opl3, timer_from),
    FIELD_U(struct opl3, status), FIELD_END,
};

static const struct device_ops opl3_ops = {
    .name = "opl3",
    .reset = opl3_reset,
    .read = opl3_read,
    .write = opl3_write,
    .peek = opl3_peek,
    .state = opl3_state,
    .loaded = opl3_loaded,
    .destroy = opl3_destroy,
};

struct device *opl3_new(struct space *ports, u16 base, struct voice *voice, struct clock *clk)
{
    struct opl3 *s = calloc(1, sizeof(*s));
    CHECK(s);
    s->dev.ops = &opl3_ops;
    s->clk = clk;
    s->voice = voice;
    if (voice) {
        voice->upto = upto;
        voice->ctx = s;
    }
    opl3_reset(&s->dev);
    space_map_io(ports, 0x388, 4, &s->dev, 0, 1, 0);
    space_map_io(ports, base, 4, &s->dev, 0, 1, 0);
    space_map_io(ports, base + 8u, 2, &s->dev, 0, 1, 0);
    return &s->dev;
}
