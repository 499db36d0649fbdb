/*
 * tests/insn/test_native.c - every encoding of the rows of simd.def and x87.def against the host:
 * random registers and memory, masked and unmasked exceptions, misaligned, page-crossing and
 * faulting operands.
 */
#include <criterion/criterion.h>

#include "tests/insn/native_rig.h"
#include "cpu/decode_priv.h"

#include <stdio.h>
#include <stdlib.h>

struct tally {
    unsigned forms, runs, bad;
    bool seen[INSN_COUNT];
};

/* Where the operand starts: mostly aligned, sometimes not, across pages, over the end. */
static u64 pick_offset(struct rig *r)
{
    switch (rig_rand(r) % 8) {
    case 0:
        return rig_rand(r) % 4000;
    case 1:
        return PAGE_SIZE - rig_rand(r) % 40;
    case 2:
        return RIG_MEM - rig_rand(r) % 70;
    case 3:
        return RIG_MEM - 64 + rig_rand(r) % 8 * 8;
    default:
        return rig_rand(r) % 100 * 64;
    }
}

/* Gives RBX (the operand's base) and RDI (MASKMOV) their address. Gathers: small indices. */
static void place_operand(struct rig *r, int vsib, bool quad)
{
    u64 a = (u64)(uintptr_t)r->mem + pick_offset(r);
    r->in.gpr[RBX] = a;
    r->in.gpr[RDI] = a;
    if (vsib >= 0) {
        r->in.gpr[RBX] = (u64)(uintptr_t)r->mem + 2048;
        for (int k = 0; k < 4; k++) {
            u8 *p = r->in.xs + (k < 2 ? 160 : 576 - 16) + 16 * vsib + 8 * k;
            st_u64(p, quad ? rig_rand(r) % 200 : (rig_rand(r) % 200) << 32 | rig_rand(r) % 200);
        }
        if (!quad && rig_rand(r) % 2)
            st_u32(r->in.xs + 160 + 16 * vsib, (u32) - (rig_rand(r) % 100));
    }
}

static bool is_xsave(ZydisMnemonic m)
{
    switch (m) {
    case ZYDIS_MNEMONIC_XSAVE:
    case ZYDIS_MNEMONIC_XSAVE64:
    case ZYDIS_MNEMONIC_XSAVEOPT:
    case ZYDIS_MNEMONIC_XSAVEOPT64:
    case ZYDIS_MNEMONIC_XSAVEC:
    case ZYDIS_MNEMONIC_XSAVEC64:
    case ZYDIS_MNEMONIC_XRSTOR:
    case ZYDIS_MNEMONIC_XRSTOR64:
        return true;
    default:
        return false;
    }
}

/* Image bytes that differ by design: pointers without an error pending (AMD does not save them),
 * MXCSR_MASK, FCS and FDS. */
static void forgive(struct rig *r, ZydisMnemonic m, int size)
{
    u64 off = r->in.gpr[RBX] - (u64)(uintptr_t)r->mem;
    int from[3], len[3], n = 0;
#define SAME(f, l) (from[n] = (f), len[n++] = (l))
    if (r->host.vector >= 0)
        return;
    if (is_xsave(m) || m == ZYDIS_MNEMONIC_FXSAVE || m == ZYDIS_MNEMONIC_FXSAVE64) {
        SAME(6, 18);
        SAME(28, 4);
        if (is_xsave(m))
            SAME(512, 1);
    } else if (m == ZYDIS_MNEMONIC_FNSTENV || m == ZYDIS_MNEMONIC_FNSAVE) {
        bool wide = size == 28 || size == 108;
        SAME(wide ? 16 : 8, 2);
        SAME(wide ? 24 : 12, 2);
    }
    for (int k = 0; k < n; k++)
        memcpy(r->host.mem + off + from[k], r->ours.mem + off + from[k], (size_t)len[k]);
}

static void try_form(struct rig *r, const u8 *bytes, int vsib, int rounds, bool unmask,
                     struct tally *t)
{
    struct insn i;
    ZydisDecodedInstruction d;
    ZydisDecodedOperand ops[ZYDIS_MAX_OPERAND_COUNT];
    if (!rig_decode(r, bytes, r->mode32 ? ZYDIS_MACHINE_MODE_LEGACY_32 : ZYDIS_MACHINE_MODE_LONG_64,
                    &i, &d, ops))
        return;
    for (int k = 0; k < d.operand_count; k++)
        if (ops[k].type == ZYDIS_OPERAND_TYPE_REGISTER && k < d.operand_count_visible &&
            ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, ops[k].reg.value) ==
                ZYDIS_REGISTER_RSP)
            return;
        else if (ops[k].type == ZYDIS_OPERAND_TYPE_MEMORY && k < d.operand_count_visible &&
                 ZydisRegisterGetId(ops[k].mem.base) != RBX)
            return;
    t->forms++;
    t->seen[i.row] = true;
    for (int n = 0; n < rounds; n++) {
        rig_random_state(r, unmask);
        place_operand(r, vsib, d.opcode & 1);
        if (is_xsave(d.mnemonic))
            r->in.gpr[RAX] &= 7; /* the host may have more components on */
        r->plain = rig_rand(r) % 2;
        r->tlb = rig_rand(r) % 2;
        if (!rig_run(r, bytes))
            return;
        t->runs++;
        forgive(r, d.mnemonic, i.size[0]);
        const char *why = rig_compare(r);
        /* A task switch inside the host's run loses an AMD's x87 pointers: once more. */
        for (int again = 0; why && again < 4; again++) {
            rig_run(r, bytes);
            forgive(r, d.mnemonic, i.size[0]);
            why = rig_compare(r);
        }
        if (why && t->bad++ < 40) {
            fprintf(stderr, "%-40s", r->text);
            for (int k = 0; k < d.length; k++)
                fprintf(stderr, " %02x", bytes[k]);
            fprintf(stderr, "  offset %d: %s\n", (int)(r->in.gpr[RBX] - (u64)(uintptr_t)r->mem),
                    why);
        }
        if (why)
            return;
    }
}

static const u8 prefix_of[4] = {0, 0x66, 0xf3, 0xf2};

/* All legacy encodings of map 1..3 (0F, 0F38, 0F3A). */
static void legacy_forms(struct rig *r, int rounds, bool unmask, struct tally *t)
{
    for (int map = 1; map < 4; map++)
        for (int op = 0; op < 256; op++)
            for (int pw = 0; pw < 8; pw++)
                for (int form = 0; form < 16; form++) {
                    u8 b[15] = {0};
                    int n = 0;
                    u64 rnd = rig_rand(r);
                    bool mem = form & 8;
                    if (prefix_of[pw & 3])
                        b[n++] = prefix_of[pw & 3];
                    if (!r->mode32)
                        b[n++] = (u8)(0x40 | (pw & 4 ? 8 : 0) | (rnd & 4) |
                                      (mem ? 0 : (int)(rnd >> 3 & 1)));
                    b[n++] = 0x0f;
                    if (map > 1)
                        b[n++] = map == 2 ? 0x38 : 0x3a;
                    b[n++] = (u8)op;
                    b[n++] = (u8)(mem ? 0x43 | (form & 7) << 3
                                      : 0xc0 | (form & 7) << 3 | (int)(rnd >> 8 & 7));
                    b[n++] = mem ? 0 : (u8)(rnd >> 16);
                    b[n++] = (u8)(rnd >> 24);
                    try_form(r, b, -1, rounds, unmask, t);
                }
}

/* The register field is part of the opcode. */
static bool is_group(int op)
{
    return (op >= 0x71 && op <= 0x73) || op == 0xae;
}

static void vex_forms(struct rig *r, int rounds, bool unmask, struct tally *t)
{
    for (int map = 1; map < 4; map++)
        for (int op = 0; op < 256; op++)
            for (int pwl = 0; pwl < 16; pwl++)
                for (int form = 0; form < (is_group(op) ? 48 : 6); form++) {
                    u64 rnd = rig_rand(r);
                    int vvvv = form & 1 ? 15 : (int)(rnd >> 8 & 15);
                    int reg = is_group(op) ? form / 6 : (int)(rnd >> 16 & 7),
                        rm = (int)(rnd >> 20 & 7), index = -1;
                    bool mem = form % 6 >= 2, vsib = form % 6 >= 4;
                    if (r->mode32)
                        rnd &= ~(5ull << 32); /* R and X must be as they are without REX */
                    bool R = rnd >> 32 & 1, B = !mem && (rnd >> 33 & 1), X = rnd >> 34 & 1;
                    u8 b[15] = {0xc4, (u8)(!R << 7 | !X << 6 | !B << 5 | map),
                                (u8)((pwl & 1) << 7 | vvvv << 3 | (pwl & 2) << 1 | pwl >> 2),
                                (u8)op};
                    if (vsib) {
                        index = (int)(rnd >> 36 & 7);
                        b[4] = (u8)(0x44 | reg << 3);
                        b[5] = (u8)((rnd >> 40 & 3) << 6 | index << 3 | 3);
                        b[6] = (u8)((rnd >> 42) & 31);
                        b[7] = (u8)(rnd >> 56);
                        index += X * 8;
                        if (map != 2 || op < 0x90 || op > 0x93)
                            continue;
                    } else {
                        b[4] = (u8)(mem ? 0x43 | reg << 3 : 0xc0 | reg << 3 | rm);
                        b[5] = mem ? 0 : (u8)(rnd >> 56);
                        b[6] = (u8)(rnd >> 56);
                    }
                    try_form(r, b, index, rounds, unmask, t);
                }
}

static void x87_forms(struct rig *r, int rounds, bool unmask, struct tally *t)
{
    u8 fwait[15] = {0x9b};
    try_form(r, fwait, -1, rounds * 8, unmask, t);
    for (int op = 0xd8; op <= 0xdf; op++)
        for (int modrm = 0; modrm < 256; modrm++) {
            bool mem = modrm < 0xc0;
            if (mem && (modrm & 0xc7) != 0x43)
                continue;
            u8 b[15] = {(u8)op, (u8)modrm};
            try_form(r, b, -1, mem ? rounds * 8 : rounds, unmask, t);
            u8 b16[15] = {0x66, (u8)op, (u8)modrm};
            if (mem && (op == 0xd9 || op == 0xdd)) /* 16-bit environments */
                try_form(r, b16, -1, rounds * 8, unmask, t);
        }
}

static void finish(struct rig *r, struct tally *t, unsigned least)
{
    rig_free(r);
    fprintf(stderr, "%u forms, %u runs, %u differ\n", t->forms, t->runs, t->bad);
    cr_expect(t->forms >= least, "only %u forms", t->forms);
    cr_expect(t->bad == 0, "%u forms differ from the host", t->bad);
}

Test(native, legacy_simd_as_the_host)
{
    struct tally t = {0};
    struct rig *r = rig_new(1);
    legacy_forms(r, 8, false, &t);
    finish(r, &t, 3000);
}

Test(native, vex_simd_as_the_host)
{
    struct tally t = {0};
    struct rig *r = rig_new(2);
    vex_forms(r, 8, false, &t);
    finish(r, &t, 2000);
}

Test(native, simd_unmasked_exceptions)
{
    struct tally t = {0};
    struct rig *r = rig_new(3);
    legacy_forms(r, 3, true, &t);
    vex_forms(r, 3, true, &t);
    finish(r, &t, 5000);
}

/* As 32-bit code: fewer registers, ignored bits, the same stubs. */
Test(native, simd_of_32_bit_mode)
{
    struct tally t = {0};
    struct rig *r = rig_new(6);
    r->mode32 = true;
    legacy_forms(r, 3, false, &t);
    vex_forms(r, 3, false, &t);
    finish(r, &t, 5000);
}

/* Every row has at least one encoding that the tests above run. */
Test(native, no_row_untested)
{
    struct tally t = {0};
    struct rig *r = rig_new(7);
    legacy_forms(r, 1, false, &t);
    vex_forms(r, 1, false, &t);
    x87_forms(r, 1, false, &t);
    for (int id = 1; id < INSN_COUNT; id++)
        if (native_row(&insn_rows[id]))
            cr_expect(t.seen[id], "%s never ran", insn_rows[id].name);
    rig_free(r);
}

Test(native, x87_as_the_host)
{
    struct tally t = {0};
    struct rig *r = rig_new(4);
    x87_forms(r, 20, false, &t);
    finish(r, &t, 450);
}

Test(native, x87_unmasked_exceptions)
{
    struct tally t = {0};
    struct rig *r = rig_new(5);
    x87_forms(r, 20, true, &t);
    finish(r, &t, 450);
}
