/*
 * tests/insn/test_models.c - what the old models lack: an instruction that a processor does not
 * have is #UD on it, and what a guest asks to find out which one it is.
 *
 * Manual: Intel SDM vol. 3, 23 (architecture compatibility); the 80386, Intel486 and Pentium
 * programmer's reference manuals.
 */
#include <criterion/criterion.h>

#include "tests/insn/insn_test.h"

static const char *const models[] = {"386", "486", "pentium", "x86-64"};

/* Each instruction, and the first of the models that has it. */
static const struct row {
    const char *name;
    u8 first, len, bytes[8];
} rows[] = {
    {"SETcc", 0, 3, {0x0f, 0x94, 0xc0}},
    {"MOVZX", 0, 3, {0x0f, 0xb6, 0xc1}},
    {"BSF", 0, 3, {0x0f, 0xbc, 0xc1}},
    {"BT", 0, 3, {0x0f, 0xa3, 0xc8}},
    {"SHLD", 0, 4, {0x0f, 0xa4, 0xc8, 0x03}},
    {"IMUL r, rm", 0, 3, {0x0f, 0xaf, 0xc1}},
    {"FLD1", 0, 2, {0xd9, 0xe8}},
    {"FSIN", 0, 2, {0xd9, 0xfe}},
    {"FPREM1", 0, 2, {0xd9, 0xf5}},
    {"FUCOMPP", 0, 2, {0xda, 0xe9}},
    {"BSWAP", 1, 2, {0x0f, 0xc8}},
    {"XADD", 1, 3, {0x0f, 0xc1, 0xc8}},
    {"XADD, byte", 1, 3, {0x0f, 0xc0, 0xc8}},
    {"CMPXCHG", 1, 3, {0x0f, 0xb1, 0xc8}},
    {"CMPXCHG, byte", 1, 3, {0x0f, 0xb0, 0xc8}},
    {"LOCK CMPXCHG", 1, 4, {0xf0, 0x0f, 0xb1, 0x0b}},
    {"INVD", 1, 2, {0x0f, 0x08}},
    {"WBINVD", 0, 2, {0x0f, 0x09}}, /* ours has it on a 386: firmware does it on anything */
    {"INVLPG", 1, 3, {0x0f, 0x01, 0x3b}},
    {"CPUID", 1, 2, {0x0f, 0xa2}},
    {"RDTSC", 2, 2, {0x0f, 0x31}},
    {"RDMSR", 2, 2, {0x0f, 0x32}},
    {"CMPXCHG8B", 2, 3, {0x0f, 0xc7, 0x0b}},
    {"EMMS", 2, 2, {0x0f, 0x77}},
    {"PADDB mm", 2, 3, {0x0f, 0xfc, 0xc1}},
    {"MOVD mm", 2, 3, {0x0f, 0x6e, 0xc0}},
    {"CMOV", 3, 3, {0x0f, 0x44, 0xc1}},
    {"FCMOV", 3, 2, {0xda, 0xc1}},
    {"FCOMI", 3, 2, {0xdb, 0xf1}},
    {"FXSAVE", 3, 3, {0x0f, 0xae, 0x03}},
    {"ADDPS", 3, 3, {0x0f, 0x58, 0xc1}},
    {"ADDPD", 3, 4, {0x66, 0x0f, 0x58, 0xc1}},
    {"PADDB xmm", 3, 4, {0x66, 0x0f, 0xfc, 0xc1}},
    {"PSHUFW", 3, 4, {0x0f, 0x70, 0xc1, 0x1b}},
    {"PAVGB mm", 3, 3, {0x0f, 0xe0, 0xc1}},
    {"PAVGW mm", 3, 3, {0x0f, 0xe3, 0xc1}},
    {"PMINUB mm", 3, 3, {0x0f, 0xda, 0xc1}},
    {"PMAXUB mm", 3, 3, {0x0f, 0xde, 0xc1}},
    {"PMINSW mm", 3, 3, {0x0f, 0xea, 0xc1}},
    {"PMAXSW mm", 3, 3, {0x0f, 0xee, 0xc1}},
    {"PINSRW mm", 3, 4, {0x0f, 0xc4, 0xc1, 0x01}},
    {"PEXTRW mm", 3, 4, {0x0f, 0xc5, 0xc1, 0x01}},
    {"PMOVMSKB mm", 3, 3, {0x0f, 0xd7, 0xc1}},
    {"PMULHUW mm", 3, 3, {0x0f, 0xe4, 0xc1}},
    {"PSADBW mm", 3, 3, {0x0f, 0xf6, 0xc1}},
    {"MOVNTQ", 3, 3, {0x0f, 0xe7, 0x03}},
    {"MASKMOVQ", 3, 3, {0x0f, 0xf7, 0xc1}},
    {"PADDQ mm", 3, 3, {0x0f, 0xd4, 0xc1}},
    {"PSUBQ mm", 3, 3, {0x0f, 0xfb, 0xc1}},
    {"PMULUDQ mm", 3, 3, {0x0f, 0xf4, 0xc1}},
    {"CVTPI2PS", 3, 3, {0x0f, 0x2a, 0xc1}},
    {"CVTPI2PD", 3, 4, {0x66, 0x0f, 0x2a, 0xc1}},
    {"MOVQ2DQ", 3, 4, {0xf3, 0x0f, 0xd6, 0xc1}},
    {"PSUBUSB mm", 2, 3, {0x0f, 0xd8, 0xc1}},
    {"PMULHW mm", 2, 3, {0x0f, 0xe5, 0xc1}},
    {"PMADDWD mm", 2, 3, {0x0f, 0xf5, 0xc1}},
    {"MOVNTI", 3, 3, {0x0f, 0xc3, 0x03}},
    {"SFENCE", 3, 3, {0x0f, 0xae, 0xf8}},
    {"PREFETCHNTA", 3, 3, {0x0f, 0x18, 0x03}},
    {"CLFLUSH", 3, 3, {0x0f, 0xae, 0x3b}},
    {"long NOP", 3, 3, {0x0f, 0x1f, 0xc0}},
    {"RDPMC", 3, 2, {0x0f, 0x33}},
    {"UD2", 4, 2, {0x0f, 0x0b}},
    {"POPCNT", 4, 4, {0xf3, 0x0f, 0xb8, 0xc1}},
    {"CRC32", 4, 5, {0xf2, 0x0f, 0x38, 0xf1, 0xc1}},
    {"PSHUFB mm", 4, 4, {0x0f, 0x38, 0x00, 0xc1}},
    {"MOVBE", 4, 4, {0x0f, 0x38, 0xf0, 0x03}},
    {"RDRAND", 4, 3, {0x0f, 0xc7, 0xf0}},
    {"MONITOR", 4, 3, {0x0f, 0x01, 0xc8}},
    {"XGETBV", 4, 3, {0x0f, 0x01, 0xd0}},
    {"RDTSCP", 4, 3, {0x0f, 0x01, 0xf9}},
    {"VADDPS", 4, 4, {0xc5, 0xf0, 0x58, 0xc1}},
    {"ANDN", 4, 5, {0xc4, 0xe2, 0x70, 0xf2, 0xc1}},
};

/* -1: it ran; else the exception. What the decoder does not know there is #UD. */
static int run(struct box *b, const u8 *bytes, int len, struct regs *r)
{
    struct insn i;
    if (decode_insn(b->cpu, bytes, len, b->cpu->mode == MODE_REAL ? KEY_16 | KEY_REAL : KEY_32,
                    &i) < 0)
        return EX_UD;
    return box_run(b, bytes, len, r);
}

static void run_rows(struct box *b, u8 model, bool bits32)
{
    for (size_t k = 0; k < ARRAY_LEN(rows); k++) {
        const struct row *row = &rows[k];
        struct regs r = {0};
        if (bits32)
            box_mode32(b);
        else
            box_mode16(b);
        b->cpu->cr0 &= ~(u64)(CR0_TS | CR0_EM);
        b->cpu->cr4 |= model >= 3 ? CR4_OSFXSR : 0;
        r.gpr[RBX] = bits32 ? DATA_AT : 0x100;
        r.gpr[RCX] = 0x1b; /* RDMSR: APIC base */
        if (!bits32 && row->bytes[0] >= 0xc4 && row->bytes[0] <= 0xc5)
            continue; /* LES, LDS */
        int got = run(b, row->bytes, row->len, &r);
        bool have = row->first <= model;
        cr_expect(have ? got != EX_UD : got == EX_UD, "%s on a %s, %d bits: exception %d",
                  row->name, models[model], bits32 ? 32 : 16, got);
    }
}

Test(models, instructions)
{
    for (u8 m = 0; m < ARRAY_LEN(models); m++) {
        struct box *b = box_new(models[m]);
        run_rows(b, m, true);
        run_rows(b, m, false);
        box_free(b);
    }
}

/* What firmware and guests read in EDX after a reset, and CPUID's answer. */
Test(models, identity)
{
    static const struct {
        const char *model, *vendor;
        u32 edx, family, has, lacks; /* leaf 1, EDX */
    } rows_[] = {
        {"386", NULL, 0x308, 3, 0, 0},
        {"486", "GenuineIntel", 0x480, 4, 0x00000001, 0x07ffbffe},
        {"pentium", "GenuineIntel", 0x544, 5, 0x008003bf, 0x0703fc40},
        {"x86-64", "AuthenticAMD", 0x60fb1, 15, 0x078bfbff, 0},
    };
    for (size_t k = 0; k < ARRAY_LEN(rows_); k++) {
        struct box *b = box_new(rows_[k].model);
        u32 r[4];
        cpu_reset(b->cpu, false);
        cr_expect_eq(b->cpu->gpr[RDX], rows_[k].edx, "%s: EDX %llx", rows_[k].model,
                     (unsigned long long)b->cpu->gpr[RDX]);
        if (rows_[k].vendor) {
            cpuid(b->cpu, 0, 0, r);
            cr_expect(!memcmp(&r[1], rows_[k].vendor, 4) &&
                      !memcmp(&r[3], rows_[k].vendor + 4, 4) &&
                      !memcmp(&r[2], rows_[k].vendor + 8, 4));
            cpuid(b->cpu, 1, 0, r);
            u32 family = r[0] >> 8 & 15;
            cr_expect_eq(r[0], rows_[k].edx);
            cr_expect_eq(family, rows_[k].family);
            cr_expect_eq(r[3] & rows_[k].has, rows_[k].has, "%s has %x", rows_[k].model, r[3]);
            cr_expect_eq(r[3] & rows_[k].lacks, 0, "%s has %x", rows_[k].model, r[3]);
        }
        box_free(b);
    }
}

/* CR4 came with the Pentium and those 486s that have CPUID. */
Test(models, control_registers)
{
    static const u8 read_cr4[] = {0x0f, 0x20, 0xe0};
    for (u8 m = 0; m < ARRAY_LEN(models); m++) {
        struct box *b = box_new(models[m]);
        struct regs r = {0};
        box_mode32(b);
        int got = run(b, read_cr4, sizeof(read_cr4), &r);
        cr_expect_eq(got, m >= 1 ? -1 : EX_UD, "%s: CR4, exception %d", models[m], got);
        box_free(b);
    }
}
