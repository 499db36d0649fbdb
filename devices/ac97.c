/*
 * devices/ac97.c - the 82801AA's audio function: registers, interrupts, state.
 *
 * What it is: PCM out, PCM in and microphone with their buffer lists, global control and status,
 * the codec's semaphore. What it is not: the modem function, wake-up, a second codec.
 *
 * Manual: Intel 82801AA (ICH) data sheet (290655), ch. 13 "AC'97 Audio Controller".
 */
#include "base/bits.h"
#include "base/log.h"
#include "bus/backend.h"
#include "devices/ac97_priv.h"
#include <stdlib.h>
#include <string.h>

enum { REGION_NAM, REGION_NABM };
enum { NAM_SIZE = 256, NABM_SIZE = 64 };
/* Registers of a bus master. */
enum { R_BDBAR = 0, R_CIV = 4, R_LVI = 5, R_SR = 6, R_PICB = 8, R_PIV = 10, R_CR = 11 };
enum { GLOB_CNT = 0x2c, GLOB_STA = 0x30, CAS = 0x34 };
enum { CNT_COLD = 0x02, CNT_WARM = 0x04, CNT_WRITABLE = 0x3b, STA_READY = 0x100 };

/* Which of GLOB_STA's bits is a channel's interrupt. */
static const u8 sta_bit[AC97_CHANNELS] = {5, 6, 7};

static bool wants_irq(const struct ac97_channel *c)
{
    return ((c->sr & SR_LVBCI) && (c->cr & CR_LVBIE)) || ((c->sr & SR_BCIS) && (c->cr & CR_IOCE)) ||
           ((c->sr & SR_FIFOE) && (c->cr & CR_FEIE));
}

static u32 glob_sta(const struct ac97 *s)
{
    u32 sta = s->glob_cnt & CNT_COLD ? STA_READY : 0;
    for (int k = 0; k < AC97_CHANNELS; k++)
        if (wants_irq(&s->ch[k]))
            sta |= BIT(sta_bit[k]);
    return sta;
}

void ac97_update_irq(struct ac97 *s)
{
    pci_set_intx(&s->pci, glob_sta(s) & 0xff);
}

/* ---- bus masters' registers --------------------------------------------------------------------
 */
static void write_cr(struct ac97 *s, struct ac97_channel *c, u8 val)
{
    bool was = c->cr & CR_RUN;
    if ((val & CR_RESET) && !was) {
        ac97_channel_reset(c);
    } else {
        c->cr = val & (CR_RUN | CR_LVBIE | CR_FEIE | CR_IOCE);
        if (!was && (c->cr & CR_RUN))
            ac97_start(s, c);
        else if (was && !(c->cr & CR_RUN))
            ac97_stop(s, c);
    }
    ac97_update_irq(s);
    ac97_arm(s);
}

static void write_lvi(struct ac97 *s, struct ac97_channel *c, u8 val)
{
    c->lvi = val % AC97_BUFFERS;
    if ((c->cr & CR_RUN) && (c->sr & SR_DCH)) /* it stood at the last buffer: there are more */
        ac97_start(s, c);
}

static void write_sr(struct ac97 *s, struct ac97_channel *c, u16 val)
{
    c->sr &= (u16) ~(val & (SR_LVBCI | SR_BCIS | SR_FIFOE));
    ac97_update_irq(s);
    ac97_run(s); /* it may have waited for this */
}

static u32 channel_reg(const struct ac97_channel *c, u32 reg)
{
    switch (reg) {
    case R_BDBAR:
        return c->bdbar;
    case R_CIV:
        return c->civ;
    case R_LVI:
        return c->lvi;
    case R_SR:
        return c->sr;
    case R_PICB:
        return c->picb;
    case R_PIV:
        return c->piv;
    default:
        return c->cr;
    }
}

static void write_channel(struct ac97 *s, struct ac97_channel *c, u32 reg, u32 val)
{
    switch (reg) {
    case R_BDBAR:
        c->bdbar = val & ~7u;
        break;
    case R_LVI:
        write_lvi(s, c, (u8)val);
        break;
    case R_SR:
        write_sr(s, c, (u16)val);
        break;
    case R_CR:
        write_cr(s, c, (u8)val);
        break;
    default: /* the others say where it is */
        break;
    }
}

/* ---- global registers
 * ----------------------------------------------------------------------------- */
static void write_glob_cnt(struct ac97 *s, u32 val)
{
    bool was = s->glob_cnt & CNT_COLD;
    s->glob_cnt = val & CNT_WRITABLE; /* a warm reset is over at once */
    if (was && !(s->glob_cnt & CNT_COLD)) {
        for (int k = 0; k < AC97_CHANNELS; k++)
            ac97_channel_reset(&s->ch[k]);
        codec_reset(s);
        ac97_update_irq(s);
        ac97_arm(s);
    }
}

/* Where registers begin and how long they are; programs read several at once, or parts. */
static const struct reg {
    u8 off, size;
} channel_regs[] = {{R_BDBAR, 4}, {R_CIV, 1}, {R_LVI, 1}, {R_SR, 2},
                    {R_PICB, 2},  {R_PIV, 1}, {R_CR, 1}},
  global_regs[] = {{GLOB_CNT, 4}, {GLOB_STA, 4}, {CAS, 1}};

static u32 reg_value(const struct ac97 *s, u32 off)
{
    if (off < GLOB_CNT)
        return channel_reg(&s->ch[off >> 4], off & 15);
    return off == GLOB_CNT ? s->glob_cnt : off == GLOB_STA ? glob_sta(s) : s->semaphore;
}

static const struct reg *reg_list(u64 off, u32 *base, size_t *n)
{
    *base = off < GLOB_CNT ? (u32)off & 0x30 : 0;
    *n = off < GLOB_CNT ? ARRAY_LEN(channel_regs) : ARRAY_LEN(global_regs);
    return off < GLOB_CNT ? channel_regs : global_regs;
}

static u64 nabm_read(const struct ac97 *s, u64 off, int size)
{
    u64 val = 0;
    for (int b = 0; b < size; b++) {
        u32 base, at = (u32)off + (u32)b;
        size_t n;
        const struct reg *r = reg_list(at, &base, &n);
        for (; n; n--, r++)
            if (at >= base + r->off && at < base + r->off + r->size)
                val |= (u64)(reg_value(s, base + r->off) >> 8 * (at - base - r->off) & 0xff)
                       << 8 * b;
    }
    return val;
}

static void nabm_write_reg(struct ac97 *s, u32 off, u32 val)
{
    if (off < GLOB_CNT)
        write_channel(s, &s->ch[off >> 4], off & 15, val);
    else if (off == GLOB_CNT)
        write_glob_cnt(s, val);
    else if (off == CAS)
        s->semaphore = val & 1;
}

/* A write of a part of a register leaves the rest; in status registers that means zeros. */
static void nabm_write(struct ac97 *s, u64 off, u64 val, int size)
{
    u32 base, end = (u32)off + (u32)size;
    size_t n;
    const struct reg *r = reg_list(off, &base, &n);
    for (; n; n--, r++) {
        u32 at = base + r->off, v;
        if (at >= end || at + r->size <= off)
            continue;
        v = at < GLOB_CNT && r->off == R_SR ? 0 : reg_value(s, at);
        for (u32 b = 0; b < r->size; b++)
            if (at + b >= off && at + b < end)
                v = (v & ~(0xffu << 8 * b)) | (u32)(val >> 8 * (at + b - off) & 0xff) << 8 * b;
        nabm_write_reg(s, at, v);
    }
}

/* ---- the function
 * ---------------------------------------------------------------------------------- */
static u64 ac97_peek(struct device *d, int region, u64 off, int size)
{
    struct ac97 *s = (struct ac97 *)d;
    if (region == REGION_NABM)
        return nabm_read(s, off, size);
    return off < CODEC_REGS * 2 ? codec_read(s, (u32)off & ~1u) >> (off & 1) * 8 : 0;
}

static u64 ac97_read(struct device *d, int region, u64 off, int size)
{
    struct ac97 *s = (struct ac97 *)d;
    if (region == REGION_NABM)
        ac97_run(s);
    u64 val = ac97_peek(d, region, off, size);
    if (region == REGION_NAM)
        s->semaphore = false;
    else if (off == CAS)
        s->semaphore = true;
    return val;
}

static void ac97_write(struct device *d, int region, u64 off, u64 val, int size)
{
    struct ac97 *s = (struct ac97 *)d;
    if (region == REGION_NABM) {
        ac97_run(s);
        nabm_write(s, off, val, size);
        return;
    }
    s->semaphore = false;
    if (size == 2 && !(off & 1) && off < CODEC_REGS * 2)
        codec_write(s, (u32)off, (u16)val);
    else
        log_guest("ac97: codec register %llx written as %d bytes", (unsigned long long)off, size);
}

static void ac97_reset(struct device *d)
{
    struct ac97 *s = (struct ac97 *)d;
    pci_reset(&s->pci);
    for (int k = 0; k < AC97_CHANNELS; k++)
        ac97_channel_reset(&s->ch[k]);
    s->glob_cnt = 0;
    s->semaphore = false;
    codec_reset(s);
    ac97_update_irq(s);
    ac97_arm(s);
}

static bool ac97_loaded(struct device *d)
{
    struct ac97 *s = (struct ac97 *)d;
    if (!pci_loaded(&s->pci))
        return false;
    s->glob_cnt &= CNT_WRITABLE;
    codec_loaded(s);
    for (int k = 0; k < AC97_CHANNELS; k++)
        ac97_channel_loaded(s, &s->ch[k]);
    ac97_update_irq(s);
    ac97_arm(s);
    return true;
}

static void ac97_destroy(struct device *d)
{
    struct ac97 *s = (struct ac97 *)d;
    timer_disarm(&s->timer);
    if (s->voice)
        s->voice->upto = NULL;
    pci_remove(&s->pci);
    free(s);
}

#define U(m) FIELD_U(struct ac97, m)
#define CHANNEL(k)                                                                                 \
    U(ch[k].bdbar), U(ch[k].civ), U(ch[k].lvi), U(ch[k].piv), U(ch[k].cr), U(ch[k].sr),            \
        U(ch[k].picb), U(ch[k].addr), U(ch[k].flags), U(ch[k].start), U(ch[k].done), U(ch[k].gate)
static const struct field ac97_state[] = {
    PCI_FIELDS(struct ac97, pci),
    CHANNEL(0),
    CHANNEL(1),
    CHANNEL(2),
    U(glob_cnt),
    FIELD_B(struct ac97, semaphore),
    FIELD_A(struct ac97, codec),
    FIELD_END,
};

static const struct device_ops ac97_ops = {
    .name = "ac97",
    .reset = ac97_reset,
    .read = ac97_read,
    .write = ac97_write,
    .peek = ac97_peek,
    .state = ac97_state,
    .loaded = ac97_loaded,
    .destroy = ac97_destroy,
};

struct device *ac97_new(struct device *pci, int devfn, struct voice *voice, struct clock *clk)
{
    struct ac97 *s = calloc(1, sizeof(*s));
    CHECK(s);
    pci_init(&s->pci, &ac97_ops,
             &(struct pci_id){.vendor = 0x8086,
                              .device = 0x2415,
                              .revision = 1,
                              .class_code = 0x040100,
                              .subsys_vendor = 0x8086,
                              .subsys = 0x0000,
                              .int_pin = 1});
    pci_bar_io(&s->pci, 0, PCI_BAR_IO, NAM_SIZE, &s->pci.dev, REGION_NAM, 2);
    pci_bar_io(&s->pci, 1, PCI_BAR_IO, NABM_SIZE, &s->pci.dev, REGION_NABM, 4);
    s->clk = clk;
    s->voice = voice;
    timer_init(&s->timer, clk, ac97_on_timer, s);
    if (voice) {
        voice->upto = ac97_upto;
        voice->ctx = s;
    }
    pci_add(pci, devfn, &s->pci);
    ac97_reset(&s->pci.dev);
    return &s->pci.dev;
}
