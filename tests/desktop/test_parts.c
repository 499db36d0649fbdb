/*
 * tests/desktop/test_parts.c - the window's plain functions: geometry, typing, options.
 */
#include <criterion/criterion.h>

#include "frontends/cli_priv.h"
#include "frontends/sdl/parts_priv.h"

#include <string.h>

Test(shape, proportions_of_a_monitor)
{
    static const struct {
        int w, h;
        enum window_scale scale;
        int want_w, want_h;
    } rows[] = {
        {720, 400, SCALE_SMOOTH, 720, 540},   {640, 400, SCALE_SHARP, 640, 480},
        {640, 480, SCALE_SMOOTH, 640, 480},   {640, 350, SCALE_SMOOTH, 640, 480},
        {320, 480, SCALE_SMOOTH, 640, 480},   {720, 400, SCALE_INTEGER, 720, 400},
        {1280, 800, SCALE_SMOOTH, 1280, 800}, {800, 600, SCALE_SHARP, 800, 600},
    };
    for (size_t k = 0; k < ARRAY_LEN(rows); k++) {
        int w, h;
        shape_natural(rows[k].w, rows[k].h, rows[k].scale, &w, &h);
        cr_expect(w == rows[k].want_w && h == rows[k].want_h, "%dx%d: %dx%d", rows[k].w, rows[k].h,
                  w, h);
    }
}

Test(shape, in_the_middle)
{
    struct shape s = shape_fit(640, 480, SCALE_SMOOTH, 1920, 1080);
    cr_expect(s.x == 240 && s.y == 0 && s.w == 1440 && s.h == 1080);
    s = shape_fit(800, 600, SCALE_INTEGER, 1700, 1300);
    cr_expect(s.x == 50 && s.y == 50 && s.w == 1600 && s.h == 1200);
    s = shape_fit(800, 600, SCALE_INTEGER, 400, 400); /* no whole number fits */
    cr_expect(s.x == 0 && s.y == 50 && s.w == 400 && s.h == 300);
    s = shape_fit(9, 1, SCALE_SMOOTH, 1, 1);
    cr_expect(s.w >= 1 && s.h >= 1);
    s = shape_fit(1, 4096, SCALE_SHARP, 100, 1);
    cr_expect(s.w >= 1 && s.h >= 1);
}

Test(shape, every_place_is_in_the_picture)
{
    struct shape s = {100, 50, 801, 601};
    u32 x, y;
    shape_point(&s, 100, 50, &x, &y);
    cr_expect(x == 0 && y == 0);
    shape_point(&s, 900, 650, &x, &y);
    cr_expect(x == 32767 && y == 32767);
    shape_point(&s, 500, 350, &x, &y);
    cr_expect(x == 16383 && y == 16383);
    shape_point(&s, -5, 4000, &x, &y);
    cr_expect(x == 0 && y == 32767);
    s.w = 1;
    shape_point(&s, 100, 50, &x, &y);
    cr_expect(x == 0);
}

Test(typing, keys_of_a_us_keyboard)
{
    static const struct {
        char ch;
        u16 usage;
        bool shift;
    } rows[] = {{'a', 0x04, false},  {'Z', 0x1d, true},   {'1', 0x1e, false}, {'0', 0x27, false},
                {'!', 0x1e, true},   {')', 0x27, true},   {' ', 0x2c, false}, {'-', 0x2d, false},
                {'_', 0x2d, true},   {'\\', 0x31, false}, {'|', 0x31, true},  {';', 0x33, false},
                {'"', 0x34, true},   {'~', 0x35, true},   {'/', 0x38, false}, {'?', 0x38, true},
                {'\n', 0x28, false}, {'\t', 0x2b, false}};
    bool shift;
    for (size_t k = 0; k < ARRAY_LEN(rows); k++) {
        u16 usage = typing_key((u8)rows[k].ch, &shift);
        cr_expect(usage == rows[k].usage && shift == rows[k].shift, "'%c': %#x %d", rows[k].ch,
                  usage, shift);
    }
    for (u32 ch = 0x20; ch < 0x7f; ch++)
        cr_expect(typing_key(ch, &shift) != 0, "'%c' has no key", (char)ch);
    static const u32 none[] = {0, 1, 0x7f, 0xe9, 0x20ac, 0x1f600, 0xfffd};
    for (size_t k = 0; k < ARRAY_LEN(none); k++)
        cr_expect(typing_key(none[k], &shift) == 0, "%#x", none[k]);
}

Test(typing, utf8)
{
    const char *text = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xff\xc3(\xe2\x82";
    static const u32 want[] = {'a', 0xe9, 0x20ac, 0x1f600, 0xfffd, 0xfffd, '(', 0xfffd, 0, 0};
    for (size_t k = 0; k < ARRAY_LEN(want); k++) {
        u32 ch = typing_next(&text);
        cr_expect_eq(ch, want[k], "%zu: %#x", k, ch);
    }
}

Test(options, words)
{
    struct window_options o = {0};
    struct error err;
    cr_expect_eq(window_parse("scale=integer,fullscreen=on,screenshots=/a,,b,slots=c", &o, &err),
                 ST_OK);
    cr_expect(o.scale == SCALE_INTEGER && o.fullscreen && !strcmp(o.shots, "/a,b") &&
              !strcmp(o.slots, "c"));
    static const char *const bad[] = {"scale",        "scale=large", "fullscreen",
                                      "screenshots=", "slots=",      "x=1"};
    for (size_t k = 0; k < ARRAY_LEN(bad); k++)
        cr_expect_eq(window_parse(bad[k], &o, &err), ST_INVAL, "%s", bad[k]);
}

Test(words, speed)
{
    static const struct {
        const char *text;
        enum status st;
        u64 rate;
        u32 percent;
    } rows[] = {{"max", ST_OK, 0, 0},
                {"8", ST_OK, 8000000, 0},
                {"0.33", ST_OK, 330000, 0},
                {".5", ST_OK, 500000, 0},
                {"4.772727", ST_OK, 4772727, 0},
                {"100000", ST_OK, 100000000000ull, 0},
                {"50%", ST_OK, 0, 50},
                {"100%", ST_OK, 0, 100},
                {"0", ST_RANGE},
                {"0.001", ST_RANGE},
                {"100001", ST_RANGE},
                {"0%", ST_RANGE},
                {"101%", ST_RANGE},
                {"1.5%", ST_RANGE},
                {"", ST_INVAL},
                {"%", ST_INVAL},
                {".", ST_INVAL},
                {"1.2.3", ST_INVAL},
                {"-1", ST_INVAL},
                {"8M", ST_INVAL},
                {"99999999999999999999", ST_INVAL}};
    for (size_t k = 0; k < ARRAY_LEN(rows); k++) {
        struct vm_speed s;
        struct error err;
        enum status st = speed_parse(rows[k].text, &s, &err);
        cr_expect_eq(st, rows[k].st, "'%s': %d", rows[k].text, st);
        if (st == ST_OK)
            cr_expect(s.insns_per_sec == rows[k].rate && s.percent == rows[k].percent, "'%s'",
                      rows[k].text);
    }
}
