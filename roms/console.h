/*
 * roms/console.h - text on the screen and on COM1, and the port instructions.
 *
 * You are here: freestanding guest code; the start-up code has set up both devices and
 * zeroed the cursor, a word at 0x6f00.
 */
#ifndef ROMS_CONSOLE_H
#define ROMS_CONSOLE_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;

static inline void outb(u16 port, u8 v)
{
    asm volatile("outb %0, %1" ::"a"(v), "Nd"(port));
}
static inline void outw(u16 port, u16 v)
{
    asm volatile("outw %0, %1" ::"a"(v), "Nd"(port));
}
static inline void outl(u16 port, u32 v)
{
    asm volatile("outl %0, %1" ::"a"(v), "Nd"(port));
}
static inline u8 inb(u16 port)
{
    u8 v;
    asm volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}
static inline u16 inw(u16 port)
{
    u16 v;
    asm volatile("inw %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}
static inline u32 inl(u16 port)
{
    u32 v;
    asm volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}

enum colour { NAME = 0x0b, PLAIN = 0x07, GOOD = 0x0a, BAD = 0x0c, BRIGHT = 0x0f, DIM = 0x08 };

void put_char(char c, enum colour colour);
void put_text(const char *s);
void put_dec(u64 v);
void put_hex(u64 v);
/* A number that is measured and so differs from run to run: written "~123". */
void put_measured(u64 v);

/* Starts the line of a step: "[ok] name  " or "[--] name  ". The result text follows. */
void step(int ok, const char *name);
extern u64 steps_failed;

/* The byte waiting at COM1, or -1. */
int serial_take(void);

#endif
