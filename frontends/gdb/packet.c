/*
 * frontends/gdb/packet.c - framing, checksums and escapes of the GDB remote serial protocol.
 */
#include "frontends/gdb/packet.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { IDLE, DATA, SUM_HIGH, SUM_LOW };

static int hex_digit(u8 c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void begin(struct gdb_parser *p)
{
    p->state = DATA;
    p->overflow = p->escaped = false;
    p->sum = 0;
    p->n = 0;
}

static void data(struct gdb_parser *p, u8 c)
{
    p->sum = (u8)(p->sum + c);
    if (c == '}' && !p->escaped) {
        p->escaped = true;
        return;
    }
    if (p->escaped)
        c ^= 0x20;
    p->escaped = false;
    if (p->n < GDB_PACKET_MAX)
        p->buf[p->n++] = (char)c;
    else
        p->overflow = true;
}

enum gdb_event gdb_feed(struct gdb_parser *p, u8 c)
{
    int digit = hex_digit(c);
    switch (p->state) {
    case DATA:
        if (c == '#') {
            p->state = SUM_HIGH;
        } else if (c == '$') {
            begin(p); /* never inside a packet: the rest of the last one was lost */
        } else {
            data(p, c);
        }
        return GDB_MORE;
    case SUM_HIGH:
        p->want = (u8)((u32)digit << 4);
        p->state = digit < 0 ? IDLE : SUM_LOW;
        return digit < 0 ? GDB_BAD : GDB_MORE;
    case SUM_LOW:
        p->state = IDLE;
        if (digit < 0 || (p->want | digit) != p->sum || p->overflow)
            return GDB_BAD;
        p->buf[p->n] = 0;
        return GDB_PACKET;
    default:
        if (c == '$')
            begin(p);
        return c == 3 ? GDB_INTERRUPT : c == '+' ? GDB_ACK : c == '-' ? GDB_NAK : GDB_MORE;
    }
}

/* ---- out ----------------------------------------------------------------------------------- */
void gdb_put(struct gdb_text *t, const void *in, size_t n)
{
    if (n > GDB_PACKET_MAX - t->n) {
        t->full = true;
        return;
    }
    memcpy(t->buf + t->n, in, n);
    t->n += (u32)n;
    t->buf[t->n] = 0;
}

void gdb_puts(struct gdb_text *t, const char *s)
{
    gdb_put(t, s, strlen(s));
}

void gdb_putf(struct gdb_text *t, const char *fmt, ...)
{
    char line[512];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    if (n > 0)
        gdb_put(t, line, MIN((size_t)n, sizeof(line) - 1));
}

void gdb_put_hex(struct gdb_text *t, const void *in, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    const u8 *b = in;
    if (n > (GDB_PACKET_MAX - t->n) / 2) {
        t->full = true;
        return;
    }
    for (size_t k = 0; k < n; k++) {
        t->buf[t->n++] = digits[b[k] >> 4];
        t->buf[t->n++] = digits[b[k] & 15];
    }
    t->buf[t->n] = 0;
}

size_t gdb_frame(const struct gdb_text *t, char *out)
{
    size_t n = 0;
    u8 sum = 0;
    out[n++] = '$';
    for (u32 k = 0; k < t->n; k++) {
        u8 c = (u8)t->buf[k];
        if (c == '$' || c == '#' || c == '}' || c == '*') {
            out[n++] = '}';
            sum = (u8)(sum + '}');
            c ^= 0x20;
        }
        out[n++] = (char)c;
        sum = (u8)(sum + c);
    }
    return n + (size_t)sprintf(out + n, "#%02x", sum);
}

/* ---- reading ------------------------------------------------------------------------------- */
bool gdb_take_hex(const char **p, u64 *v)
{
    int n = 0, d;
    *v = 0;
    while ((d = hex_digit((u8) * *p)) >= 0) {
        if (++n > 16)
            return false;
        *v = *v << 4 | (u64)d;
        ++*p;
    }
    return n > 0;
}

bool gdb_take_char(const char **p, char c)
{
    if (**p != c)
        return false;
    ++*p;
    return true;
}

bool gdb_take_bytes(const char **p, void *out, size_t n)
{
    u8 *b = out;
    for (size_t k = 0; k < n; k++) {
        int high = hex_digit((u8)(*p)[0]);
        int low = high < 0 ? -1 : hex_digit((u8)(*p)[1]);
        if (low < 0)
            return false;
        b[k] = (u8)(high << 4 | low);
        *p += 2;
    }
    return true;
}
