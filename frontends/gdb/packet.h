/*
 * frontends/gdb/packet.h - packets of the GDB remote serial protocol, in and out.
 *
 * You are here: bytes to packets and back, nothing of a machine; a fuzzer can feed it anything.
 * GDB manual, appendix E.1 (overview), E.11 (interrupts).
 */
#ifndef FRONTENDS_GDB_PACKET_H
#define FRONTENDS_GDB_PACKET_H

#include "base/types.h"

enum { GDB_PACKET_MAX = 16384 }; /* payload bytes, both ways, before escaping */

enum gdb_event {
    GDB_MORE,      /* nothing complete yet */
    GDB_PACKET,    /* parser->buf has n payload bytes, and a NUL behind them */
    GDB_BAD,       /* a packet with a wrong checksum, or too long: ask for it again */
    GDB_INTERRUPT, /* Ctrl-C */
    GDB_ACK,
    GDB_NAK,
};

struct gdb_parser {
    int state;
    bool overflow, escaped;
    u8 sum, want;
    u32 n;
    char buf[GDB_PACKET_MAX + 1];
};

/* Zero-initialised: between packets. */
enum gdb_event gdb_feed(struct gdb_parser *p, u8 c);

/* A payload under construction; what does not fit is dropped and `full` set. */
struct gdb_text {
    u32 n;
    bool full;
    char buf[GDB_PACKET_MAX + 1];
};
void gdb_put(struct gdb_text *t, const void *data, size_t n);
void gdb_puts(struct gdb_text *t, const char *s);
void gdb_putf(struct gdb_text *t, const char *fmt, ...) printf_like(2, 3);
void gdb_put_hex(struct gdb_text *t, const void *data, size_t n); /* two digits a byte */

/* "$payload#cs" into out, which has room for 2 * GDB_PACKET_MAX + 4. Returns its length. */
size_t gdb_frame(const struct gdb_text *t, char *out);

/* ---- reading payloads: each moves *p behind what it took ---------------------------------------
 */
bool gdb_take_hex(const char **p, u64 *v); /* 1 to 16 digits; false: none, or too many */
bool gdb_take_char(const char **p, char c);
/* n bytes of two digits each */
bool gdb_take_bytes(const char **p, void *out, size_t n);

#endif
