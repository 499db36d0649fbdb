/*
 * frontends/display/typing.c - characters as keys of a US keyboard.
 *
 * What it is not: other layouts; a guest set to one gets other characters.
 * Manual: USB HID usage tables 1.4, page 7.
 */
#include "frontends/display/parts.h"

#include <string.h>

u16 typing_key(u32 ch, bool *shift)
{
    /* Usages 0x1e-0x27, 0x2c-0x38 (0x32 is on European keyboards only), plain and shifted. */
    static const char digits[] = "1234567890", above[] = "!@#$%^&*()";
    static const char marks[] = " -=[]\\\1;'`,./", marks_above[] = "\1_+{}|\1:\"~<>?";
    const char *p;

    *shift = false;
    if (ch == '\n' || ch == '\r')
        return 0x28;
    if (ch == '\t')
        return 0x2b;
    if (ch < 0x20 || ch > 0x7e)
        return 0;
    if (ch >= 'a' && ch <= 'z')
        return (u16)(4 + ch - 'a');
    if ((p = strchr(digits, (int)ch)))
        return (u16)(0x1e + (p - digits));
    if ((p = strchr(marks, (int)ch)))
        return (u16)(0x2c + (p - marks));
    *shift = true;
    if (ch >= 'A' && ch <= 'Z')
        return (u16)(4 + ch - 'A');
    if ((p = strchr(above, (int)ch)))
        return (u16)(0x1e + (p - above));
    p = strchr(marks_above, (int)ch);
    return p ? (u16)(0x2c + (p - marks_above)) : 0;
}

u32 typing_next(const char **text)
{
    const u8 *p = (const u8 *)*text;
    if (!*p)
        return 0;
    int more = *p < 0x80 ? 0 : *p >= 0xf0 && *p < 0xf5 ? 3 : *p >= 0xe0 ? 2 : *p >= 0xc2 ? 1 : -1;
    u32 ch = more <= 0 ? *p : *p & (0x3fu >> more);
    if (*p >= 0xf5 || more < 0) {
        *text += 1;
        return 0xfffd;
    }
    for (int k = 1; k <= more; k++) {
        if ((p[k] & 0xc0) != 0x80) {
            *text += k;
            return 0xfffd;
        }
        ch = ch << 6 | (p[k] & 0x3f);
    }
    *text += more + 1;
    return ch;
}
