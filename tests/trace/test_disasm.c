/*
 * tests/trace/test_disasm.c - instructions as text, and bytes that are none.
 */
#include <criterion/criterion.h>

#include "frontends/disasm.h"

static void expect(struct disasm *d, const char *bytes, size_t n, u64 at, int len, const char *want)
{
    char text[DISASM_TEXT];
    int got = disasm_one(d, (const u8 *)bytes, n, at, text, sizeof(text));
    cr_expect_eq(got, len, "%s: %d", want, got);
    cr_expect_str_eq(text, want);
}

Test(disasm, widths_and_syntaxes)
{
    struct disasm *d = disasm_open(64);
    expect(d, "\x48\x89\xd8", 3, 0, 3, "mov rax, rbx");
    expect(d, "\x90\x48\x89", 3, 0, 1, "nop");
    expect(d, "\xeb\xfe", 2, 0x1000, 2, "jmp 0x1000");
    disasm_att(d, true);
    expect(d, "\x48\x89\xd8", 3, 0, 3, "movq %rbx, %rax");
    disasm_att(d, false);
    expect(d, "\x48\x89\xd8", 3, 0, 3, "mov rax, rbx");
    disasm_close(d);

    d = disasm_open(16);
    expect(d, "\x89\xd8", 2, 0, 2, "mov ax, bx");
    disasm_close(d);
    d = disasm_open(32);
    expect(d, "\x48", 1, 0, 1, "dec eax");
    disasm_close(d);
    cr_expect_null(disasm_open(8));
    disasm_close(NULL);
}

Test(disasm, bad_and_cut_bytes)
{
    struct disasm *d = disasm_open(64);
    expect(d, "\x06", 1, 0, 0, "(bad)");
    expect(d, "\x48\xb8\x00\x00", 4, 0, 0, "(bad)");
    expect(d, "", 0, 0, 0, "(bad)");
    char small[4];
    cr_expect_eq(disasm_one(d, (const u8 *)"\x48\x89\xd8", 3, 0, small, sizeof(small)), 3);
    cr_expect_str_eq(small, "mov");
    disasm_close(d);
}

Test(disasm, names_without_prefixes)
{
    struct disasm *d = disasm_open(64);
    char text[DISASM_TEXT];
    cr_expect_eq(disasm_name(d, (const u8 *)"\xf3\xa4", 2, 0, text, sizeof(text)), 2);
    cr_expect_str_eq(text, "movsb");
    cr_expect_eq(disasm_name(d, (const u8 *)"\xf0\x48\x01\x03", 4, 0, text, sizeof(text)), 4);
    cr_expect_str_eq(text, "add");
    disasm_close(d);
}
