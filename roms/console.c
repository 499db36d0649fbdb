/*
 * roms/console.c - text on the screen and on COM1.
 *
 * Both are already programmed (start.asm); the cursor is the word at 0x6f00 that start.asm used.
 */
#include "roms/console.h"

#define COM1   0x3f8
#define CURSOR (*(volatile u16 *)0x6f00)
#define SCREEN ((volatile u16 *)0xb8000)

static void serial_put(char c)
{
    for (int i = 0; i < 100000 && !(inb(COM1 + 5) & 0x20); i++)
        ;
    outb(COM1, (u8)c);
}

int serial_take(void)
{
    return inb(COM1 + 5) & 1 ? inb(COM1) : -1;
}

static void scroll(void)
{
    for (int i = 0; i < 80 * 24; i++)
        SCREEN[i] = SCREEN[i + 80];
    for (int i = 80 * 24; i < 80 * 25; i++)
        SCREEN[i] = PLAIN << 8 | ' ';
}

void put_char(char c, enum colour colour)
{
    if (c == '\n')
        serial_put('\r');
    serial_put(c);
    u16 at = CURSOR;
    if (c == '\n')
        at = (u16)((at / 80 + 1) * 80);
    else
        SCREEN[at++] = (u16)(colour << 8 | (u8)c);
    if (at >= 80 * 25) {
        scroll();
        at -= 80;
    }
    CURSOR = at;
}

static void put_coloured(const char *s, enum colour colour)
{
    while (*s)
        put_char(*s++, colour);
}

void put_text(const char *s)
{
    put_coloured(s, PLAIN);
}

void put_dec(u64 v)
{
    char digits[20];
    int n = 0;
    do
        digits[n++] = (char)('0' + v % 10);
    while (v /= 10);
    while (n)
        put_char(digits[--n], BRIGHT);
}

void put_hex(u64 v)
{
    int shift = 60;
    while (shift && !(v >> shift))
        shift -= 4;
    for (; shift >= 0; shift -= 4)
        put_char("0123456789abcdef"[v >> shift & 15], BRIGHT);
}

void put_measured(u64 v)
{
    put_char('~', DIM);
    put_dec(v);
}

u64 steps_failed;

void step(int ok, const char *name)
{
    steps_failed += !ok;
    put_coloured(ok ? "[ok] " : "[--] ", ok ? GOOD : BAD);
    int n = 0;
    for (; name[n]; n++)
        put_char(name[n], NAME);
    for (; n < 15; n++)
        put_char(' ', NAME);
}
