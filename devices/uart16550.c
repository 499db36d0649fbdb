/*
 * devices/uart16550.c - 16550A UART.
 *
 * What it is: all registers, both FIFOs, the five interrupts with their priorities, receive
 * timeout, loopback with modem lines, break. What it is not: a line with a speed. A transmitted
 * byte reaches the other end at once, so THRE and TEMT always read 1 and the transmitter-empty
 * interrupt comes back as soon as a byte is written; input arrives as fast as the guest takes it.
 * The divisor only sets the length of the receive timeout.
 *
 * Invariants: rx holds at most depth() bytes; `thri` is the latched transmitter interrupt. Every
 * entry point that changes state ends with update(), which derives the interrupt line.
 *
 * The interrupt pin is not gated with OUT2 as on PC serial cards: small kernels that never set OUT2
 * expect interrupts, and no known guest relies on the gate.
 *
 * Manual: National Semiconductor PC16550D data sheet (June 1995).
 */
#include "devices/uart16550.h"
#include "base/bits.h"
#include "base/log.h"
#include "bus/space.h"
#include <stdlib.h>

enum { R_DATA, R_IER, R_IIR_FCR, R_LCR, R_MCR, R_LSR, R_MSR, R_SCR };
enum { IER_RDI = 0x01, IER_THRI = 0x02, IER_RLSI = 0x04, IER_MSI = 0x08, IER_ALL = 0x0f };
enum {
    IIR_NONE = 0x01,
    IIR_MSI = 0x00,
    IIR_THRI = 0x02,
    IIR_RDI = 0x04,
    IIR_RLSI = 0x06,
    IIR_TIMEOUT = 0x0c,
    IIR_FIFO = 0xc0
};
enum { FCR_ENABLE = 0x01, FCR_CLEAR_RX = 0x02, FCR_TRIGGER = 0xc0, FCR_DMA = 0x08 };
enum { LCR_WLS = 0x03, LCR_STB = 0x04, LCR_PEN = 0x08, LCR_BREAK = 0x40, LCR_DLAB = 0x80 };
enum {
    MCR_DTR = 0x01,
    MCR_RTS = 0x02,
    MCR_OUT1 = 0x04,
    MCR_OUT2 = 0x08,
    MCR_LOOP = 0x10,
    MCR_ALL = 0x1f
};
enum {
    LSR_DR = 0x01,
    LSR_OE = 0x02,
    LSR_BI = 0x10,
    LSR_THRE = 0x20,
    LSR_TEMT = 0x40,
    LSR_FIFO_ERROR = 0x80
};
enum {
    MSR_DCTS = 0x01,
    MSR_TERI = 0x04,
    MSR_CTS = 0x10,
    MSR_DSR = 0x20,
    MSR_RI = 0x40,
    MSR_DCD = 0x80,
    MSR_DELTAS = 0x0f
};

#define FIFO_SIZE 16
#define BASE_BAUD 115200u /* 1.8432 MHz / 16 */

struct uart {
    struct device dev;
    struct irq irq;
    struct chardev *chr;
    struct clock *clk;
    struct timer timeout;
    u8 ier, fcr, lcr, mcr, scr;
    u8 msr;    /* lines and deltas */
    u8 errors; /* LSR_OE, LSR_BI: not yet read */
    u16 divisor;
    bool thri;      /* transmitter-empty interrupt, latched */
    bool timed_out; /* receive timeout */
    bool line;
    u8 rx_len;
    u8 rx[FIFO_SIZE];     /* rx[0] is the oldest */
    u8 rx_err[FIFO_SIZE]; /* LSR_BI of that character, revealed when it gets to the top */
};

static bool fifo_on(const struct uart *s)
{
    return s->fcr & FCR_ENABLE;
}

static u8 depth(const struct uart *s)
{
    return fifo_on(s) ? FIFO_SIZE : 1;
}

static u8 trigger(const struct uart *s)
{
    static const u8 level[4] = {1, 4, 8, 14};
    return fifo_on(s) ? level[s->fcr >> 6] : 1;
}

static u8 lsr(const struct uart *s)
{
    u8 v = LSR_THRE | LSR_TEMT | s->errors;
    if (s->rx_len)
        v |= LSR_DR;
    for (int i = 0; fifo_on(s) && i < s->rx_len; i++)
        if (s->rx_err[i])
            v |= LSR_FIFO_ERROR;
    return v;
}

/* The interrupt of highest priority, as IIR bits 0-3. */
static u8 iir(const struct uart *s)
{
    if ((s->ier & IER_RLSI) && s->errors)
        return IIR_RLSI;
    if ((s->ier & IER_RDI) && s->rx_len >= trigger(s))
        return IIR_RDI;
    if ((s->ier & IER_RDI) && s->timed_out)
        return IIR_TIMEOUT;
    if ((s->ier & IER_THRI) && s->thri)
        return IIR_THRI;
    if ((s->ier & IER_MSI) && (s->msr & MSR_DELTAS))
        return IIR_MSI;
    return IIR_NONE;
}

static void update(struct uart *s)
{
    bool level = iir(s) != IIR_NONE;
    if (level != s->line) {
        s->line = level;
        irq_set(&s->irq, level);
    }
}

/* ---- receiver ------------------------------------------------------------------------------- */
/* "at least one character is in the FIFO; the most recent was received longer than 4 continuous
 * character times ago; the most recent CPU read likewise" */
static void restart_timeout(struct uart *s)
{
    s->timed_out = false;
    if (!fifo_on(s) || !s->rx_len) {
        timer_disarm(&s->timeout);
        return;
    }
    u32 bits_per_char =
        7u + (s->lcr & LCR_WLS) + (s->lcr & LCR_PEN ? 1 : 0) + (s->lcr & LCR_STB ? 1 : 0);
    u64 divisor = s->divisor ? s->divisor : 1;
    u64 ns = 4 * bits_per_char * divisor * NS_PER_SEC / BASE_BAUD;
    timer_arm(&s->timeout, clock_now(s->clk) + ns);
}

static void on_timeout(void *ctx)
{
    struct uart *s = ctx;
    s->timed_out = s->rx_len > 0;
    update(s);
}

/* The error of the character that came to the top of the FIFO shows in LSR. */
static void reveal(struct uart *s)
{
    if (s->rx_len) {
        s->errors |= s->rx_err[0];
        s->rx_err[0] = 0;
    }
}

/* The other end is not a line but a program that sends bytes: they arrive whole, whatever the word
 * length, so what is typed before the guest has programmed the port (it wakes up with five bits) is
 * not mutilated. */
static void receive(struct uart *s, u8 byte, u8 err)
{
    if (s->rx_len >= depth(s)) {
        s->errors |= LSR_OE;
        if (fifo_on(s))
            return;    /* "the character in the shift register is overwritten" */
        s->rx_len = 0; /* the holding register is */
    }
    s->rx[s->rx_len] = byte;
    s->rx_err[s->rx_len++] = err;
    if (s->rx_len == 1)
        reveal(s);
    restart_timeout(s);
}

static u8 take(struct uart *s)
{
    u8 byte = s->rx[0]; /* an empty FIFO gives the last byte again */
    if (s->rx_len) {
        s->rx_len--;
        memmove(s->rx, s->rx + 1, s->rx_len);
        memmove(s->rx_err, s->rx_err + 1, s->rx_len);
        if (!s->rx_len)
            s->rx[0] = byte;
        reveal(s);
    }
    restart_timeout(s);
    return byte;
}

static void clear_rx(struct uart *s)
{
    s->rx_len = 0;
    restart_timeout(s);
}

/* The chardev's view. In loopback the receive pin is disconnected: input waits. */
static size_t uart_space(void *ctx)
{
    struct uart *s = ctx;
    return (s->mcr & MCR_LOOP) || s->rx_len >= depth(s) ? 0 : (size_t)(depth(s) - s->rx_len);
}

static void uart_recv(void *ctx, const u8 *buf, size_t len)
{
    struct uart *s = ctx;
    if (s->mcr & MCR_LOOP)
        return;
    for (size_t i = 0; i < len; i++)
        receive(s, buf[i], 0);
    update(s);
}

static void uart_brk(void *ctx)
{
    struct uart *s = ctx;
    if (!(s->mcr & MCR_LOOP))
        receive(s, 0, LSR_BI);
    update(s);
}

void uart16550_break(struct device *d)
{
    uart_brk(d);
}

/* ---- transmitter and modem lines ------------------------------------------------------------ */
static void transmit(struct uart *s, u8 byte)
{
    /* Writing clears the interrupt; the byte is gone at once, which sets it again: the line shows
     * an edge between, as with a real transmitter. */
    s->thri = false;
    update(s);
    byte &= (u8)(0xff >> (3 - (s->lcr & LCR_WLS)));
    if (s->mcr & MCR_LOOP)
        receive(s, byte, 0);
    else if (!(s->lcr & LCR_BREAK))
        chardev_write(s->chr, &byte, 1);
    s->thri = true;
}

static void update_modem(struct uart *s)
{
    u8 lines;
    if (s->mcr & MCR_LOOP)
        lines = (u8)((s->mcr & MCR_RTS ? MSR_CTS : 0) | (s->mcr & MCR_DTR ? MSR_DSR : 0) |
                     (s->mcr & MCR_OUT1 ? MSR_RI : 0) | (s->mcr & MCR_OUT2 ? MSR_DCD : 0));
    else
        lines = s->chr ? MSR_CTS | MSR_DSR | MSR_DCD : 0;
    u8 changed = (s->msr ^ lines) & 0xf0;
    u8 deltas = (u8)(changed >> 4) & (u8)~MSR_TERI;
    if ((changed & MSR_RI) && !(lines & MSR_RI)) /* only the trailing edge counts */
        deltas |= MSR_TERI;
    s->msr = lines | (s->msr & MSR_DELTAS) | deltas;
}

/* ---- registers ------------------------------------------------------------------------------ */
static void write_fcr(struct uart *s, u8 val)
{
    /* "When changing from FIFO to 16450 mode and back, data is automatically cleared"; the other
     * bits are only programmed when FCR0 is 1. */
    if ((val ^ s->fcr) & FCR_ENABLE || ((val & FCR_ENABLE) && (val & FCR_CLEAR_RX)))
        s->rx_len = 0;
    s->fcr = val & FCR_ENABLE ? val & (FCR_ENABLE | FCR_DMA | FCR_TRIGGER) : 0;
    restart_timeout(s);
}

static void uart_write(struct device *d, int region, u64 off, u64 val64, int size)
{
    struct uart *s = (struct uart *)d;
    u8 val = (u8)val64;
    bool dlab = s->lcr & LCR_DLAB, was_full = !uart_space(s);
    switch (off & 7) {
    case R_DATA:
        if (dlab)
            s->divisor = (u16)((s->divisor & 0xff00) | val);
        else
            transmit(s, val);
        break;
    case R_IER:
        if (dlab) {
            s->divisor = (u16)((s->divisor & 0x00ff) | val << 8);
            break;
        }
        /* Enabling the transmitter interrupt with an empty holding register raises it: drivers test
         * for that. */
        if ((val & IER_THRI) && !(s->ier & IER_THRI))
            s->thri = true;
        s->ier = val & IER_ALL;
        break;
    case R_IIR_FCR:
        write_fcr(s, val);
        break;
    case R_LCR:
        /* A break sent to oneself is received once, when it begins. */
        if ((s->mcr & MCR_LOOP) && (val & LCR_BREAK) && !(s->lcr & LCR_BREAK))
            receive(s, 0, LSR_BI);
        s->lcr = val;
        break;
    case R_MCR:
        s->mcr = val & MCR_ALL;
        update_modem(s);
        break;
    case R_SCR:
        s->scr = val;
        break;
    default: /* LSR: "factory test"; MSR: read-only here */
        break;
    }
    update(s);
    if (was_full && uart_space(s))
        chardev_resume(s->chr);
}

static u64 uart_peek(struct device *d, int region, u64 off, int size)
{
    struct uart *s = (struct uart *)d;
    bool dlab = s->lcr & LCR_DLAB;
    switch (off & 7) {
    case R_DATA:
        return dlab ? s->divisor & 0xffu : s->rx[0];
    case R_IER:
        return dlab ? s->divisor >> 8 : s->ier;
    case R_IIR_FCR:
        return iir(s) | (fifo_on(s) ? IIR_FIFO : 0u);
    case R_LCR:
        return s->lcr;
    case R_MCR:
        return s->mcr;
    case R_LSR:
        return lsr(s);
    case R_MSR:
        return s->msr;
    default:
        return s->scr;
    }
}

static u64 uart_read(struct device *d, int region, u64 off, int size)
{
    struct uart *s = (struct uart *)d;
    u64 val = uart_peek(d, region, off, size);
    switch (off & 7) {
    case R_DATA:
        if (!(s->lcr & LCR_DLAB)) {
            bool was_full = !uart_space(s);
            take(s);
            update(s);
            if (was_full && uart_space(s))
                chardev_resume(s->chr);
        }
        break;
    case R_IIR_FCR: /* "Reading IIR (if source of interrupt)" clears THRE's */
        if ((val & 0x0f) == IIR_THRI)
            s->thri = false;
        break;
    case R_LSR:
        s->errors = 0;
        break;
    case R_MSR:
        s->msr &= (u8)~MSR_DELTAS;
        break;
    default:
        return val;
    }
    update(s);
    return val;
}

static void uart_reset(struct device *d)
{
    struct uart *s = (struct uart *)d;
    s->ier = s->fcr = s->lcr = s->mcr = s->scr = s->errors = 0;
    s->divisor = 12; /* undefined on the chip; 9600 baud */
    s->thri = false;
    clear_rx(s);
    update_modem(s);
    s->msr &= (u8)~MSR_DELTAS;
    update(s);
}

static bool uart_loaded(struct device *d)
{
    struct uart *s = (struct uart *)d;
    if (s->rx_len > depth(s))
        return false;
    s->ier &= IER_ALL;
    s->mcr &= MCR_ALL;
    s->errors &= LSR_OE | LSR_BI;
    for (int i = 0; i < FIFO_SIZE; i++)
        s->rx_err[i] &= LSR_BI;
    irq_set(&s->irq, s->line);
    update_modem(s);
    update(s);
    return true; /* the machine tells the other end, when all devices are there */
}

static void uart_destroy(struct device *d)
{
    struct uart *s = (struct uart *)d;
    timer_disarm(&s->timeout);
    if (s->chr && s->chr->ctx == s) {
        s->chr->space = NULL;
        s->chr->recv = NULL;
        s->chr->brk = NULL;
        s->chr->ctx = NULL;
    }
    free(s);
}

static const struct field uart_state[] = {
    FIELD_U(struct uart, ier),     FIELD_U(struct uart, fcr),
    FIELD_U(struct uart, lcr),     FIELD_U(struct uart, mcr),
    FIELD_U(struct uart, scr),     FIELD_U(struct uart, msr),
    FIELD_U(struct uart, errors),  FIELD_U(struct uart, divisor),
    FIELD_B(struct uart, thri),    FIELD_B(struct uart, timed_out),
    FIELD_B(struct uart, line),    FIELD_U(struct uart, rx_len),
    FIELD_BUF(struct uart, rx),    FIELD_BUF(struct uart, rx_err),
    FIELD_T(struct uart, timeout), FIELD_END,
};

static const struct device_ops uart_ops = {
    .name = "uart16550",
    .reset = uart_reset,
    .read = uart_read,
    .write = uart_write,
    .peek = uart_peek,
    .state = uart_state,
    .loaded = uart_loaded,
    .destroy = uart_destroy,
};

struct device *uart16550_new(struct space *space, gpa base, struct irq irq, struct chardev *chr,
                             struct clock *clk)
{
    struct uart *s = calloc(1, sizeof(*s));
    CHECK(s);
    s->dev.ops = &uart_ops;
    s->irq = irq;
    s->chr = chr;
    s->clk = clk;
    timer_init(&s->timeout, clk, on_timeout, s);
    if (chr) {
        chr->space = uart_space;
        chr->recv = uart_recv;
        chr->brk = uart_brk;
        chr->ctx = s;
    }
    uart_reset(&s->dev);
    space_map_io(space, base, 8, &s->dev, 0, 1, 0);
    return &s->dev;
}
