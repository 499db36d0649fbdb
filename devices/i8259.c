/*
 * devices/i8259.c - two 8259A programmable interrupt controllers as the PC/AT wires them.
 *
 * What it is: both chips, their cascade and the PIIX edge/level control registers. What it is not:
 * MCS-80/85 mode (ICW4 bit 0 clear) and more than one slave: no PC has them.
 *
 * Invariants: `lines` is what the pins say; irr of a level input equals its pin. irr of an edge
 * input is latched by the rising edge and stays until acknowledged or initialized, even when the
 * pin falls early: the chip would turn that into a spurious IRQ7, and chips that pulse their
 * line would lose interrupts. The cascade input follows the slave's INT as a level.
 *
 * Manuals: Intel 8259A data sheet (231468-003), Intel 82371SB (PIIX3) 2.5.4 and 2.5.5.
 */
#include "devices/i8259.h"
#include "base/bits.h"
#include "base/log.h"
#include "bus/space.h"
#include <stdlib.h>

enum { REGION_MASTER, REGION_SLAVE, REGION_ELCR };
enum { CASCADE = 2 };

/* What the next write to A0=1 means. */
enum { EXPECT_OCW1, EXPECT_ICW2, EXPECT_ICW3, EXPECT_ICW4 };

enum { ICW1_IC4 = 0x01, ICW1_SNGL = 0x02, ICW1_INIT = 0x10 };
enum { ICW4_AEOI = 0x02, ICW4_SFNM = 0x10 };
enum {
    OCW3 = 0x08,
    OCW3_RIS = 0x01,
    OCW3_RR = 0x02,
    OCW3_POLL = 0x04,
    OCW3_SMM = 0x20,
    OCW3_ESMM = 0x40
};

struct pic {
    u8 lines; /* pin levels */
    u8 irr;
    u8 isr;
    u8 imr;
    u8 elcr;   /* 1: level-triggered */
    u8 base;   /* ICW2: vector of input 0 */
    u8 lowest; /* the input of lowest priority; the next one up has the highest */
    u8 expect;
    bool single;
    bool want_icw4;
    bool read_isr;
    bool poll;
    bool special_mask;
    bool auto_eoi;
    bool rotate_aeoi;
    bool sfnm; /* special fully nested mode */
};

struct i8259 {
    struct device dev;
    struct irq intr_out;
    struct pic pic[2]; /* master, slave */
    bool intr;         /* what intr_out was last told */
};

static const u8 elcr_writable[2] = {0xf8, 0xde}; /* PIIX3: not 0, 1, 2, 8, 13 */

/* The input of highest priority in set, or -1. Sets the distance from the top in *rank. */
static int highest(const struct pic *p, u8 set, int *rank)
{
    for (int i = 0; i < 8; i++) {
        int n = (p->lowest + 1 + i) & 7;
        if (set & BIT(n)) {
            *rank = i;
            return n;
        }
    }
    *rank = 8;
    return -1;
}

/* The input this chip asks the CPU to serve, or -1. */
static int pending(const struct pic *p)
{
    u8 blocking = p->isr;
    /* Special mask mode: levels in service whose mask bit is set stop no others. */
    if (p->special_mask)
        blocking &= (u8)~p->imr;
    /* Special fully nested mode: the slave may interrupt its own service routine. */
    int req_rank, isr_rank;
    int n = highest(p, p->irr & (u8)~p->imr, &req_rank);
    int in_service = highest(p, blocking, &isr_rank);
    if (n < 0 || req_rank > isr_rank)
        return -1;
    if (n == in_service && !(p->sfnm && n == CASCADE))
        return -1;
    return n;
}

static void set_line(struct pic *p, int n, bool level)
{
    u8 bit = (u8)BIT(n);
    bool was = p->lines & bit;
    if (level)
        p->lines |= bit;
    else
        p->lines &= (u8)~bit;
    if (p->elcr & bit) {
        p->irr = (u8)((p->irr & ~bit) | (level ? bit : 0));
    } else if (level && !was) {
        p->irr |= bit;
    }
}

static void update(struct i8259 *s)
{
    struct pic *m = &s->pic[0];
    bool slave_int = pending(&s->pic[1]) >= 0;
    m->irr = (u8)((m->irr & ~BIT(CASCADE)) | (slave_int ? BIT(CASCADE) : 0));
    bool intr = pending(m) >= 0;
    if (intr != s->intr) {
        s->intr = intr;
        irq_set(&s->intr_out, intr);
    }
}

static void line_set(void *ctx, int n, bool level)
{
    struct i8259 *s = ctx;
    set_line(&s->pic[n >> 3], n & 7, level);
    update(s);
}

struct irq i8259_line(struct device *d, int n)
{
    CHECK(n >= 0 && n < 16);
    if (n == CASCADE)
        return (struct irq){0};
    return (struct irq){line_set, d, n};
}

/* The INTA or poll cycle for input n of one chip. */
static void accept(struct pic *p, int n)
{
    u8 bit = (u8)BIT(n);
    if (!(p->elcr & bit))
        p->irr &= (u8)~bit;
    if (!p->auto_eoi)
        p->isr |= bit;
    else if (p->rotate_aeoi)
        p->lowest = (u8)n;
}

int i8259_ack(struct device *d)
{
    struct i8259 *s = (struct i8259 *)d;
    struct pic *m = &s->pic[0], *sl = &s->pic[1];
    int n = pending(m), vector;
    if (n < 0) {
        /* The request is gone: "a default IR7", and nothing goes in service (data sheet p. 18). */
        vector = m->base | 7;
    } else if (n == CASCADE) {
        accept(m, n);
        int k = pending(sl);
        if (k >= 0)
            accept(sl, k);
        vector = sl->base | (k >= 0 ? k : 7);
    } else {
        accept(m, n);
        vector = m->base | n;
    }
    update(s);
    return vector;
}

bool i8259_intr(const struct device *d)
{
    return ((const struct i8259 *)d)->intr;
}

static void icw1(struct pic *p, u8 val)
{
    /* Data sheet, "Initialization command words": a. edge sense reset, b. IMR cleared, c. IR7
     * gets priority 7, e. special mask off and status read is IRR, f. IC4=0 zeroes ICW4. */
    p->irr = p->lines & p->elcr;
    p->isr = 0;
    p->imr = 0;
    p->lowest = 7;
    p->read_isr = false;
    p->poll = false;
    p->special_mask = false;
    p->auto_eoi = false;
    p->rotate_aeoi = false;
    p->sfnm = false;
    p->single = val & ICW1_SNGL;
    p->want_icw4 = val & ICW1_IC4;
    p->expect = EXPECT_ICW2;
    /* LTIM (bit 3) does nothing in a PIIX: the ELCR decides. */
}

static void ocw2(struct pic *p, u8 val)
{
    int level = val & 7, rank;
    /* A masked level in service is not ended by a non-specific EOI in special mask mode. */
    u8 endable = p->isr & (p->special_mask ? (u8)~p->imr : 0xff);
    switch (val >> 5) {
    case 0: /* rotate in automatic EOI mode: clear */
        p->rotate_aeoi = false;
        break;
    case 4: /* set */
        p->rotate_aeoi = true;
        break;
    case 1: /* non-specific EOI */
    case 5: /* and rotate */ {
        int n = highest(p, endable, &rank);
        if (n >= 0) {
            p->isr &= (u8)~BIT(n);
            if (val & 0x80)
                p->lowest = (u8)n;
        }
        break;
    }
    case 3: /* specific EOI */
        p->isr &= (u8)~BIT(level);
        break;
    case 7: /* rotate on specific EOI */
        p->isr &= (u8)~BIT(level);
        p->lowest = (u8)level;
        break;
    case 6: /* set priority */
        p->lowest = (u8)level;
        break;
    default: /* 2: no operation */
        break;
    }
}

static void ocw3(struct pic *p, u8 val)
{
    if (val & OCW3_ESMM)
        p->special_mask = val & OCW3_SMM;
    if (val & OCW3_POLL)
        p->poll = true; /* poll overrides a read command given with it */
    else if (val & OCW3_RR)
        p->read_isr = val & OCW3_RIS;
}

static void write_data(struct pic *p, u8 val)
{
    switch (p->expect) {
    case EXPECT_ICW2:
        p->base = val & 0xf8;
        p->expect = !p->single ? EXPECT_ICW3 : p->want_icw4 ? EXPECT_ICW4 : EXPECT_OCW1;
        break;
    case EXPECT_ICW3: /* the cascade is wired: what the guest says about it changes nothing */
        p->expect = p->want_icw4 ? EXPECT_ICW4 : EXPECT_OCW1;
        break;
    case EXPECT_ICW4:
        p->auto_eoi = val & ICW4_AEOI;
        p->sfnm = val & ICW4_SFNM;
        p->expect = EXPECT_OCW1;
        break;
    default:
        p->imr = val;
        break;
    }
}

static void i8259_write(struct device *d, int region, u64 off, u64 val64, int size)
{
    struct i8259 *s = (struct i8259 *)d;
    u8 val = (u8)val64;
    if (region == REGION_ELCR) {
        struct pic *p = &s->pic[off & 1];
        u8 elcr = val & elcr_writable[off & 1];
        /* Inputs that become level follow their pin from now on. */
        p->irr = (u8)((p->irr & ~elcr) | (p->lines & elcr));
        p->elcr = elcr;
    } else {
        struct pic *p = &s->pic[region];
        if (off & 1)
            write_data(p, val);
        else if (val & ICW1_INIT)
            icw1(p, val);
        else if (val & OCW3)
            ocw3(p, val);
        else
            ocw2(p, val);
    }
    update(s);
}

static u64 i8259_peek(struct device *d, int region, u64 off, int size)
{
    struct i8259 *s = (struct i8259 *)d;
    if (region == REGION_ELCR)
        return s->pic[off & 1].elcr;
    struct pic *p = &s->pic[region];
    if (p->poll) {
        int n = pending(p);
        return n >= 0 ? 0x80u | (u32)n : 0;
    }
    return off & 1 ? p->imr : p->read_isr ? p->isr : p->irr;
}

static u64 i8259_read(struct device *d, int region, u64 off, int size)
{
    struct i8259 *s = (struct i8259 *)d;
    u64 val = i8259_peek(d, region, off, size);
    if (region != REGION_ELCR && s->pic[region].poll) {
        /* The read after a poll command is an interrupt acknowledge. */
        struct pic *p = &s->pic[region];
        p->poll = false;
        if (val & 0x80)
            accept(p, val & 7);
        update(s);
    }
    return val;
}

static void i8259_reset(struct device *d)
{
    struct i8259 *s = (struct i8259 *)d;
    for (int i = 0; i < 2; i++) {
        u8 lines = s->pic[i].lines; /* wires keep their level */
        s->pic[i] = (struct pic){.lines = lines, .lowest = 7};
    }
    update(s);
}

static bool i8259_loaded(struct device *d)
{
    struct i8259 *s = (struct i8259 *)d;
    for (int i = 0; i < 2; i++) {
        struct pic *p = &s->pic[i];
        if (p->expect > EXPECT_ICW4)
            return false;
        p->lowest &= 7;
        p->base &= 0xf8;
        p->elcr &= elcr_writable[i];
        p->irr = (u8)((p->irr & ~p->elcr) | (p->lines & p->elcr));
    }
    s->intr = false;
    update(s);
    if (!s->intr) /* driven once, so that there is no edge that was none */
        irq_set(&s->intr_out, false);
    return true;
}

static void i8259_destroy(struct device *d)
{
    free(d);
}

#define PIC_FIELDS(i)                                                                              \
    FIELD_U(struct i8259, pic[i].lines), FIELD_U(struct i8259, pic[i].irr),                        \
        FIELD_U(struct i8259, pic[i].isr), FIELD_U(struct i8259, pic[i].imr),                      \
        FIELD_U(struct i8259, pic[i].elcr), FIELD_U(struct i8259, pic[i].base),                    \
        FIELD_U(struct i8259, pic[i].lowest), FIELD_U(struct i8259, pic[i].expect),                \
        FIELD_B(struct i8259, pic[i].single), FIELD_B(struct i8259, pic[i].want_icw4),             \
        FIELD_B(struct i8259, pic[i].read_isr), FIELD_B(struct i8259, pic[i].poll),                \
        FIELD_B(struct i8259, pic[i].special_mask), FIELD_B(struct i8259, pic[i].auto_eoi),        \
        FIELD_B(struct i8259, pic[i].rotate_aeoi), FIELD_B(struct i8259, pic[i].sfnm)

static const struct field i8259_state[] = {PIC_FIELDS(0), PIC_FIELDS(1), FIELD_END};

static const struct device_ops i8259_ops = {
    .name = "i8259",
    .reset = i8259_reset,
    .read = i8259_read,
    .write = i8259_write,
    .peek = i8259_peek,
    .state = i8259_state,
    .loaded = i8259_loaded,
    .destroy = i8259_destroy,
};

struct device *i8259_new(struct space *ports, struct irq intr_out)
{
    struct i8259 *s = calloc(1, sizeof(*s));
    CHECK(s);
    s->dev.ops = &i8259_ops;
    s->intr_out = intr_out;
    i8259_reset(&s->dev);
    space_map_io(ports, 0x20, 2, &s->dev, REGION_MASTER, 1, 0);
    space_map_io(ports, 0xa0, 2, &s->dev, REGION_SLAVE, 1, 0);
    space_map_io(ports, 0x4d0, 2, &s->dev, REGION_ELCR, 1, 0);
    return &s->dev;
}
