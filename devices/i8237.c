/*
 * devices/i8237.c - two 8237A DMA controllers with PC/AT page registers.
 *
 * What it is: all registers and device transfers: read, write and verify, single, demand and block
 * (which differ only in who waits for whom, and here nobody does), auto-initialize, address
 * decrement. What it is not: memory-to-memory (the AT's wiring makes it useless), rotating priority
 * (bursts never compete), extended and compressed timing.
 *
 * Invariants: an address never leaves its 64 KiB (128 KiB for words) page: the page registers do
 * not count. Channels 0-3 work only through channel 4: unmasked and enabled.
 *
 * Manuals: Intel 8237A data sheet (231466-005); Intel 82371SB (PIIX3) 2.5.1.
 */
#include "devices/i8237.h"
#include "base/bits.h"
#include "base/log.h"
#include "bus/space.h"
#include <stdlib.h>

enum { REGION_LOW, REGION_HIGH, REGION_PAGE };
enum {
    MODE_CHANNEL = 0x03,
    MODE_TYPE = 0x0c,
    MODE_VERIFY = 0x00,
    MODE_WRITE = 0x04,
    MODE_READ = 0x08,
    MODE_AUTO = 0x10,
    MODE_DOWN = 0x20,
    MODE_CASCADE = 0xc0
};
enum { CMD_DISABLE = 0x04 };
enum {
    R_COMMAND = 8,
    R_REQUEST,
    R_MASK,
    R_MODE,
    R_CLEAR_FF,
    R_MASTER_CLEAR,
    R_CLEAR_MASK,
    R_ALL_MASK
};

struct chan {
    u16 base_addr, base_count;
    u16 addr, count;
    u8 mode;
};

struct ctrl {
    struct chan ch[4];
    u8 command;
    u8 tc;      /* status bits 0-3 */
    u8 request; /* by software */
    u8 mask;
    bool high; /* byte pointer flip-flop */
};

struct hook {
    void (*fn)(void *ctx);
    void *ctx;
};

struct i8237 {
    struct device dev;
    struct space *mem;
    struct ctrl ctrl[2];
    u8 page[16]; /* ports 0x80-0x8f */
    u8 drq;      /* a bit a channel */
    struct hook hook[I8237_CHANNELS];
};

static u8 page_of(const struct i8237 *s, int channel)
{
    static const u8 reg[I8237_CHANNELS] = {0x7, 0x3, 0x1, 0x2, 0xf, 0xb, 0x9, 0xa};
    return s->page[reg[channel]];
}

static bool enabled(const struct i8237 *s, int channel)
{
    const struct ctrl *c = &s->ctrl[channel >> 2];
    return !(c->command & CMD_DISABLE) && !(c->mask & BIT(channel & 3));
}

bool i8237_ready(const struct device *d, int channel, enum i8237_dir dir)
{
    const struct i8237 *s = (const struct i8237 *)d;
    CHECK(channel >= 0 && channel < I8237_CHANNELS);
    if (channel == 4 || !enabled(s, channel) || (channel < 4 && !enabled(s, 4)))
        return false;
    u8 mode = s->ctrl[channel >> 2].ch[channel & 3].mode;
    if ((mode & MODE_CASCADE) == MODE_CASCADE)
        return false;
    u8 type = mode & MODE_TYPE;
    return type == MODE_VERIFY || type == (dir == I8237_TO_MEMORY ? MODE_WRITE : MODE_READ);
}

/* Moves n units from the current address on; shift: 1 for words. */
static void move(struct i8237 *s, struct chan *c, u8 page, int shift, u8 *buf, size_t n)
{
    u8 type = c->mode & MODE_TYPE;
    gpa base = (gpa)(shift ? page & 0xfe : page) << 16;
    while (n) {
        /* A run up to the page's end; downwards one unit at a time. */
        size_t run = c->mode & MODE_DOWN ? 1 : MIN(n, 0x10000u - c->addr);
        gpa at = base + ((gpa)c->addr << shift);
        if (type == MODE_WRITE)
            space_write_bulk(s->mem, at, buf, run << shift);
        else if (type == MODE_READ)
            space_read_bulk(s->mem, at, buf, run << shift);
        c->addr = (u16)(c->mode & MODE_DOWN ? c->addr - 1 : c->addr + (u16)run);
        buf += run << shift;
        n -= run;
    }
}

size_t i8237_transfer(struct device *d, int channel, void *buf, size_t len, enum i8237_dir dir,
                      bool *tc)
{
    struct i8237 *s = (struct i8237 *)d;
    if (!i8237_ready(d, channel, dir))
        return 0;
    struct ctrl *ctl = &s->ctrl[channel >> 2];
    struct chan *c = &ctl->ch[channel & 3];
    u8 bit = (u8)BIT(channel & 3);
    int shift = channel >= 4;
    size_t left = c->count + (size_t)1, n = MIN(len >> shift, left);
    if (!n)
        return 0;
    move(s, c, page_of(s, channel), shift, buf, n);
    c->count = (u16)(c->count - n);
    if (n == left) { /* the count went from 0 to 0xffff */
        ctl->tc |= bit;
        ctl->request &= (u8)~bit;
        if (c->mode & MODE_AUTO) {
            c->addr = c->base_addr;
            c->count = c->base_count;
        } else {
            ctl->mask |= bit;
        }
        if (tc)
            *tc = true;
    }
    return n << shift;
}

void i8237_set_drq(struct device *d, int channel, bool level)
{
    struct i8237 *s = (struct i8237 *)d;
    CHECK(channel >= 0 && channel < I8237_CHANNELS);
    if (level)
        s->drq |= (u8)BIT(channel);
    else
        s->drq &= (u8)~BIT(channel);
}

void i8237_set_hook(struct device *d, int channel, void (*fn)(void *ctx), void *ctx)
{
    struct i8237 *s = (struct i8237 *)d;
    CHECK(channel >= 0 && channel < I8237_CHANNELS);
    s->hook[channel] = (struct hook){fn, ctx};
}

static void run_hooks(struct i8237 *s)
{
    for (int i = 0; i < I8237_CHANNELS; i++)
        if ((s->drq & BIT(i)) && s->hook[i].fn)
            s->hook[i].fn(s->hook[i].ctx);
}

/* ---- registers ------------------------------------------------------------------------------ */
static void master_clear(struct ctrl *c)
{
    c->command = c->tc = c->request = 0;
    c->high = false;
    c->mask = 0x0f;
}

static void put_byte(u16 *reg, bool high, u8 val)
{
    *reg = (u16)(high ? (*reg & 0x00ff) | val << 8 : (*reg & 0xff00) | val);
}

static void set_bit(u8 *reg, u8 val)
{
    if (val & 4)
        *reg |= (u8)BIT(val & 3);
    else
        *reg &= (u8)~BIT(val & 3);
}

static void write_ctrl(struct ctrl *c, int reg, u8 val)
{
    if (reg < 8) {
        struct chan *ch = &c->ch[reg >> 1];
        put_byte(reg & 1 ? &ch->base_count : &ch->base_addr, c->high, val);
        put_byte(reg & 1 ? &ch->count : &ch->addr, c->high, val);
        c->high = !c->high;
        return;
    }
    switch (reg) {
    case R_COMMAND:
        c->command = val;
        break;
    case R_REQUEST:
        set_bit(&c->request, val);
        break;
    case R_MASK:
        set_bit(&c->mask, val);
        break;
    case R_MODE:
        c->ch[val & MODE_CHANNEL].mode = val & (u8)~MODE_CHANNEL;
        break;
    case R_CLEAR_FF:
        c->high = false;
        break;
    case R_MASTER_CLEAR:
        master_clear(c);
        break;
    case R_CLEAR_MASK:
        c->mask = 0;
        break;
    default:
        c->mask = val & 0x0f;
        break;
    }
}

static void i8237_write(struct device *d, int region, u64 off, u64 val, int size)
{
    struct i8237 *s = (struct i8237 *)d;
    if (region == REGION_PAGE) {
        s->page[(off + 1) & 15] = (u8)val;
        return;
    }
    write_ctrl(&s->ctrl[region], (int)(region == REGION_HIGH ? off >> 1 : off) & 15, (u8)val);
    run_hooks(s);
}

static u64 i8237_peek(struct device *d, int region, u64 off, int size)
{
    struct i8237 *s = (struct i8237 *)d;
    if (region == REGION_PAGE)
        return s->page[(off + 1) & 15];
    const struct ctrl *c = &s->ctrl[region];
    int reg = (int)(region == REGION_HIGH ? off >> 1 : off) & 15;
    if (reg < 8) {
        u16 v = reg & 1 ? c->ch[reg >> 1].count : c->ch[reg >> 1].addr;
        return c->high ? v >> 8 : v & 0xffu;
    }
    switch (reg) {
    case R_COMMAND: { /* status: terminal counts, and who asks */
        u8 drq = region == REGION_HIGH ? s->drq >> 4 : s->drq & 15;
        return c->tc | (u32)(drq | c->request) << 4;
    }
    case R_ALL_MASK:
        return c->mask | 0xf0u;
    default: /* the temporary register; the others are write-only */
        return 0;
    }
}

static u64 i8237_read(struct device *d, int region, u64 off, int size)
{
    struct i8237 *s = (struct i8237 *)d;
    u64 val = i8237_peek(d, region, off, size);
    if (region != REGION_PAGE) {
        struct ctrl *c = &s->ctrl[region];
        int reg = (int)(region == REGION_HIGH ? off >> 1 : off) & 15;
        if (reg < 8)
            c->high = !c->high;
        else if (reg == R_COMMAND)
            c->tc = 0;
    }
    return val;
}

static void i8237_reset(struct device *d)
{
    struct i8237 *s = (struct i8237 *)d;
    memset(s->ctrl, 0, sizeof(s->ctrl));
    memset(s->page, 0, sizeof(s->page));
    master_clear(&s->ctrl[0]);
    master_clear(&s->ctrl[1]);
}

static bool i8237_loaded(struct device *d)
{
    struct i8237 *s = (struct i8237 *)d;
    for (int i = 0; i < 2; i++) {
        s->ctrl[i].tc &= 15;
        s->ctrl[i].mask &= 15;
        s->ctrl[i].request &= 15;
    }
    return true;
}

static void i8237_destroy(struct device *d)
{
    free(d);
}

#define CHAN_FIELDS(i, n)                                                                          \
    FIELD_U(struct i8237, ctrl[i].ch[n].base_addr), FIELD_U(struct i8237, ctrl[i].ch[n].addr),     \
        FIELD_U(struct i8237, ctrl[i].ch[n].base_count),                                           \
        FIELD_U(struct i8237, ctrl[i].ch[n].count), FIELD_U(struct i8237, ctrl[i].ch[n].mode)
#define CTRL_FIELDS(i)                                                                             \
    CHAN_FIELDS(i, 0), CHAN_FIELDS(i, 1), CHAN_FIELDS(i, 2), CHAN_FIELDS(i, 3),                    \
        FIELD_U(struct i8237, ctrl[i].command), FIELD_U(struct i8237, ctrl[i].tc),                 \
        FIELD_U(struct i8237, ctrl[i].request), FIELD_U(struct i8237, ctrl[i].mask),               \
        FIELD_B(struct i8237, ctrl[i].high)

static const struct field i8237_state[] = {
    CTRL_FIELDS(0), CTRL_FIELDS(1), FIELD_BUF(struct i8237, page), FIELD_U(struct i8237, drq),
    FIELD_END,
};

static const struct device_ops i8237_ops = {
    .name = "i8237",
    .reset = i8237_reset,
    .read = i8237_read,
    .write = i8237_write,
    .peek = i8237_peek,
    .state = i8237_state,
    .loaded = i8237_loaded,
    .destroy = i8237_destroy,
};

struct device *i8237_new(struct space *ports, struct space *mem)
{
    struct i8237 *s = calloc(1, sizeof(*s));
    CHECK(s);
    s->dev.ops = &i8237_ops;
    s->mem = mem;
    i8237_reset(&s->dev);
    space_map_io(ports, 0x00, 16, &s->dev, REGION_LOW, 1, 0);
    space_map_io(ports, 0xc0, 32, &s->dev, REGION_HIGH, 1, 0);
    space_map_io(ports, 0x81, 15, &s->dev, REGION_PAGE, 1, 0);
    return &s->dev;
}
