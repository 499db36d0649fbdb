/*
 * tests/trace/test_symbols.c - names from lists and ELF files, good and damaged.
 */
#include "tests/machine/machine_rig.h"
#include "frontends/symbols.h"

static const char map[] = "ffffffff81000000 T _text\n"
                          "ffffffff81000000 t local\n"
                          "ffffffff81000100 T start_kernel\n"
                          "ffffffff81000200 D some_data\n"
                          "ffffffff81000300 t last [mod]\n";

Test(symbols, lists)
{
    struct file f;
    struct error err;
    struct symbols *s = symbols_new();
    char text[64];
    u64 v, to;
    file_write(&f, map, sizeof(map) - 1);
    cr_assert_eq(symbols_load(s, f.path, 0, &err), ST_OK, "%s", err.msg);
    cr_expect_eq(symbols_count(s), 5);
    cr_expect_str_eq(symbols_text(s, 0xffffffff81000000, text, sizeof(text)), "_text");
    cr_expect_str_eq(symbols_text(s, 0xffffffff81000234, text, sizeof(text)), "start_kernel+0x134");
    cr_expect_str_eq(symbols_text(s, 0xffffffff81000300, text, sizeof(text)), "last");
    cr_expect_str_eq(symbols_text(s, 0xffffffff80ffffff, text, sizeof(text)), "");
    cr_expect_str_eq(symbols_text(s, 0xffffffff89000000, text, sizeof(text)), "");
    cr_expect(symbols_find(s, "some_data", &v) && v == 0xffffffff81000200);
    cr_expect(symbols_range(s, "start_kernel", &v, &to) && to == 0xffffffff81000300);
    cr_expect_not(symbols_find(s, "nothing", &v));
    symbols_free(s);
    file_remove(&f);
}

Test(symbols, bad_files)
{
    static const char *const bad[] = {"hello", "123 T\nx", "zz T name\n", "\n\n\n\n\n\n\n\n",
                                      ("\x7f"
                                       "ELF1234567890")};
    struct error err;
    struct symbols *s = symbols_new();
    for (size_t k = 0; k < ARRAY_LEN(bad); k++) {
        struct file f;
        file_write(&f, bad[k], strlen(bad[k]));
        cr_expect_eq(symbols_load(s, f.path, 0, &err), ST_FORMAT, "%zu", k);
        file_remove(&f);
    }
    cr_expect_eq(symbols_load(s, "/nonexistent", 0, &err), ST_NOENT);
    cr_expect_eq(symbols_load(s, "/tmp", 0, &err), ST_FORMAT);
    cr_expect_eq(symbols_count(s), 0);
    symbols_free(s);
}

/* Ourselves, then the same with bytes changed: no crash, whatever comes of it. */
Test(symbols, elf)
{
    struct error err;
    struct symbols *s = symbols_new();
    u64 v;
    FILE *in = fopen(TRV_BUILD "/roms/demo/main.elf", "rb");
    cr_assert(in);
    static u8 data[1 << 20];
    size_t n = fread(data, 1, sizeof(data), in);
    fclose(in);
    cr_assert_eq(symbols_load(s, TRV_BUILD "/roms/demo/main.elf", 0, &err), ST_OK, "%s", err.msg);
    cr_expect(symbols_find(s, "demo_main", &v) || symbols_count(s) > 5);
    symbols_free(s);
    u64 x = 7;
    for (int k = 0; k < 300; k++) {
        struct file f;
        x = x * 6364136223846793005ull + 1;
        /* the head, and the section table at the end */
        size_t at = k < 64 ? (size_t)k : n - 1 - (x >> 33) % MIN(n, (size_t)2000);
        u8 was = data[at];
        data[at] ^= (u8)(1 + (x >> 20) % 255);
        file_write(&f, data, n);
        s = symbols_new();
        symbols_load(s, f.path, 0, &err);
        symbols_free(s);
        file_remove(&f);
        data[at] = was;
    }
}
