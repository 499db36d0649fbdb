/*
 * frontends/display/keysym.c - keys as X names them, and as VNC sends them, on a US keyboard.
 *
 * Manuals: X11 keysyms (X Protocol, appendix A); RFB 3.8 (RFC 6143), 7.5.4; USB HID usage tables,
 * page 7.
 */
#include "frontends/display/parts.h"

u16 keysym_key(u32 sym, bool *shift)
{
    static const struct {
        u16 first, n, usage; /* n keysyms in a row are n usages in a row */
    } rows[] = {
        {0xff08, 1, 0x2a},  /* BackSpace */
        {0xff09, 1, 0x2b},  /* Tab */
        {0xff0d, 1, 0x28},  /* Return */
        {0xff13, 1, 0x48},  /* Pause */
        {0xff14, 1, 0x47},  /* Scroll_Lock */
        {0xff15, 1, 0x46},  /* Sys_Req */
        {0xff1b, 1, 0x29},  /* Escape */
        {0xff50, 1, 0x4a},  /* Home */
        {0xff51, 1, 0x50},  /* Left */
        {0xff52, 1, 0x52},  /* Up */
        {0xff53, 1, 0x4f},  /* Right */
        {0xff54, 1, 0x51},  /* Down */
        {0xff55, 1, 0x4b},  /* Page_Up */
        {0xff56, 1, 0x4e},  /* Page_Down */
        {0xff57, 1, 0x4d},  /* End */
        {0xff61, 1, 0x46},  /* Print */
        {0xff63, 1, 0x49},  /* Insert */
        {0xff67, 1, 0x65},  /* Menu */
        {0xff6b, 1, 0x48},  /* Break */
        {0xff7f, 1, 0x53},  /* Num_Lock */
        {0xff8d, 1, 0x58},  /* KP_Enter */
        {0xff95, 1, 0x5f},  /* KP_Home */
        {0xff96, 1, 0x5c},  /* KP_Left */
        {0xff97, 1, 0x60},  /* KP_Up */
        {0xff98, 1, 0x5e},  /* KP_Right */
        {0xff99, 1, 0x5a},  /* KP_Down */
        {0xff9a, 1, 0x61},  /* KP_Page_Up */
        {0xff9b, 1, 0x5b},  /* KP_Page_Down */
        {0xff9c, 1, 0x59},  /* KP_End */
        {0xff9d, 1, 0x5d},  /* KP_Begin */
        {0xff9e, 1, 0x62},  /* KP_Insert */
        {0xff9f, 1, 0x63},  /* KP_Delete */
        {0xffaa, 1, 0x55},  /* KP_Multiply */
        {0xffab, 1, 0x57},  /* KP_Add */
        {0xffac, 1, 0x85},  /* KP_Separator */
        {0xffad, 1, 0x56},  /* KP_Subtract */
        {0xffae, 1, 0x63},  /* KP_Decimal */
        {0xffaf, 1, 0x54},  /* KP_Divide */
        {0xffb0, 1, 0x62},  /* KP_0 */
        {0xffb1, 9, 0x59},  /* KP_1 ... KP_9 */
        {0xffbd, 1, 0x67},  /* KP_Equal */
        {0xffbe, 12, 0x3a}, /* F1 ... F12 */
        {0xffca, 12, 0x68}, /* F13 ... F24 */
        {0xffe1, 1, 0xe1},  /* Shift_L */
        {0xffe2, 1, 0xe5},  /* Shift_R */
        {0xffe3, 1, 0xe0},  /* Control_L */
        {0xffe4, 1, 0xe4},  /* Control_R */
        {0xffe5, 1, 0x39},  /* Caps_Lock */
        {0xffe7, 1, 0xe2},  /* Meta_L: as Alt */
        {0xffe8, 1, 0xe6},  /* Meta_R */
        {0xffe9, 1, 0xe2},  /* Alt_L */
        {0xffea, 1, 0xe6},  /* Alt_R */
        {0xffeb, 1, 0xe3},  /* Super_L */
        {0xffec, 1, 0xe7},  /* Super_R */
        {0xffff, 1, 0x4c},  /* Delete */
        {0xfe03, 1, 0xe6},  /* ISO_Level3_Shift: AltGr */
        {0xfe20, 1, 0x2b},  /* ISO_Left_Tab */
    };
    *shift = false;
    if (sym >= 0x20 && sym <= 0x7e)
        return typing_key(sym, shift);
    for (size_t k = 0; k < ARRAY_LEN(rows); k++)
        if (sym >= rows[k].first && sym - rows[k].first < rows[k].n)
            return (u16)(rows[k].usage + sym - rows[k].first);
    return 0;
}
