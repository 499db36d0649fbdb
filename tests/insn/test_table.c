/*
 * tests/insn/test_table.c - the instruction table checked against the decoder and against a list of
 * sensitive instructions that is written down here and nowhere else.
 *
 * Encodings are enumerated over all opcode maps, prefixes and modes through decode_insn, so a row
 * that no encoding reaches, and a feature's mnemonic that no row takes, are found.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "cpu/decode_priv.h"
#include "cpu/interp_priv.h"
#include "cpu/zydis_priv.h"

static struct cpu *make_cpu(const char *model)
{
    struct error err;
    struct ram *ram;
    struct cpu *cpu;
    cr_assert(ram_new(MIB, &ram, &err) == ST_OK);
    struct space *mem = space_new("mem", BIT64(52));
    space_map_ram(mem, 0, MIB, ram, 0, MAP_RW, 0);
    struct cpu_config c = {.model = model,
                           .clk = clock_new(CLOCK_FAKE, 0),
                           .mem = mem,
                           .ports = space_new("io", 65536),
                           .ram = ram};
    cr_assert(cpu_new(&c, &cpu, &err) == ST_OK, "%s", err.msg);
    return cpu;
}

/* What software must never execute directly on the host, although ring 3 may (on some processors)
 * execute it: it would see or change the host's state instead of the guest's. By mnemonic. */
static const char *const sensitive[] = {
    "SGDT",     "SIDT",     "SLDT",    "STR",      "SMSW",    "PUSHF",    "PUSHFD",   "PUSHFQ",
    "POPF",     "POPFD",    "POPFQ",   "LAR",      "LSL",     "VERR",     "VERW",     "ARPL",
    "CPUID",    "RDTSC",    "RDTSCP",  "RDPID",    "RDPMC",   "XGETBV",   "RDFSBASE", "RDGSBASE",
    "WRFSBASE", "WRGSBASE", "MOV_SEG", "PUSH_SEG", "POP_SEG", "LDS",      "LES",      "LFS",
    "LGS",      "LSS",      "JMP_FAR", "CALL_FAR", "RET_FAR", "IRET",     "IRETD",    "IRETQ",
    "INT",      "INT3",     "INTO",    "INT1",     "SYSCALL", "SYSENTER", "SYSEXIT",  "SYSRET",
    "IN",       "OUT",      "INSB",    "INSW",     "INSD",    "OUTSB",    "OUTSW",    "OUTSD",
    "CLI",      "STI",      "CLAC",    "STAC",     "VMCALL",  "VMMCALL",  "HLT",      "LGDT",
    "LIDT",     "LLDT",     "LTR",     "LMSW",     "CLTS",    "INVLPG",   "INVPCID",  "WBINVD",
    "INVD",     "RDMSR",    "WRMSR",   "MOV_CR",   "MOV_DR",  "SWAPGS",   "XSETBV",   "RSM",
};

static int row_named(const char *name)
{
    for (int id = 1; id < INSN_COUNT; id++)
        if (!strcmp(insn_rows[id].name, name))
            return id;
    return 0;
}

Test(table, sensitive_instructions_are_never_copied)
{
    for (size_t k = 0; k < ARRAY_LEN(sensitive); k++) {
        int id = row_named(sensitive[k]);
        cr_expect(id, "no row %s", sensitive[k]);
        cr_expect(insn_rows[id].bt != NATIVE, "%s is NATIVE", sensitive[k]);
    }
}

Test(table, copied_rows_touch_no_system_state)
{
    for (int id = 1; id < INSN_COUNT; id++) {
        const struct insn_row *r = &insn_rows[id];
        if (r->bt != NATIVE)
            continue;
        cr_expect(!(r->sees & ~S_FPU) && !(r->changes & ~S_FPU), "%s", r->name);
        cr_expect(r->priv == USER, "%s is privileged and NATIVE", r->name);
    }
}

Test(table, what_changes_the_block_key_ends_the_block)
{
    for (int id = 1; id < INSN_COUNT; id++) {
        const struct insn_row *r = &insn_rows[id];
        if (r->changes & (S_MODE | S_IRQ))
            cr_expect(r->bt == EXIT, "%s changes mode or interrupt state and is not EXIT", r->name);
    }
}

Test(table, names_and_mnemonics)
{
    for (int id = 1; id < INSN_COUNT; id++) {
        const struct insn_row *r = &insn_rows[id];
        cr_expect(r->exec != NULL && r->mnemonic != ZYDIS_MNEMONIC_INVALID, "%s", r->name);
        for (int other = id + 1; other < INSN_COUNT; other++)
            cr_assert(strcmp(r->name, insn_rows[other].name), "two rows %s", r->name);
    }
}

/* ---- enumeration ------------------------------------------------------------------------------
 */
struct sweep {
    struct cpu *cpu;
    u8 seen[INSN_COUNT];
    u8 missed[ZYDIS_MNEMONIC_MAX_VALUE + 1]; /* an advertised feature's, without a row */
    u8 priv_wrong[INSN_COUNT];
};

/* These sets have one member each that the machine takes (VMCALL, VMMCALL, PREFETCH[W]); the others
 * are nested virtualization and 3DNow!, which no model has. */
static bool partial(ZydisISASet set)
{
    return set == ZYDIS_ISA_SET_VTX || set == ZYDIS_ISA_SET_SVM || set == ZYDIS_ISA_SET_AMD3DNOW;
}

static bool offered(const struct cpu *cpu, ZydisISASet set)
{
    switch (set) {
#define FEATURE(name, leaf, sub, reg, bit)
#define ISA(isa, feat)                                                                             \
    case ZYDIS_ISA_SET_##isa:                                                                      \
        return FEAT_##feat == FEAT_ALWAYS || cpu_has(cpu, FEAT_##feat);
#include "cpu/insn/features.def"
#undef FEATURE
#undef ISA
    default:
        return false;
    }
}

static void one(struct sweep *s, const u8 *bytes, u32 key)
{
    struct insn i;
    int n = decode_insn(s->cpu, bytes, 15, key, &i);
    ZydisDecodedInstruction d;
    ZydisDecodedOperand ops[ZYDIS_MAX_OPERAND_COUNT];
    const ZydisDecoder *dec = (const ZydisDecoder *)s->cpu->blocks->decoders + (key & KEY_DMODE);

    if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(dec, bytes, 15, &d, ops)))
        return;
    if (n > 0) {
        const struct insn_row *r = &insn_rows[i.row];
        s->seen[i.row] = 1;
        /* the decoder's "privileged" means CPL 0 alone */
        if ((d.attributes & ZYDIS_ATTRIB_IS_PRIVILEGED) && r->priv == USER)
            s->priv_wrong[i.row] = 1;
    } else if (offered(s->cpu, d.meta.isa_set) && !partial(d.meta.isa_set) &&
               !s->cpu->blocks->first_row[d.mnemonic]) {
        s->missed[d.mnemonic] = 1;
    }
}

static const u8 some_modrm[] = {0x00, 0x08, 0x10, 0x18, 0x20, 0x28, 0x30, 0x38,
                                0xc1, 0xc9, 0xd1, 0xd9, 0xe1, 0xe9, 0xf1, 0xf9};

/* Opcodes whose meaning is in every bit of ModRM. */
static bool all_modrm(int map, int op)
{
    if (map == 0)
        return op >= 0xd8 && op <= 0xdf;
    return map == 1 && (op == 0x00 || op == 0x01 || op == 0xae || op == 0xc7 || op == 0x18);
}

static void sweep_modrm(struct sweep *s, u8 *bytes, int at, int map, int op, u32 key)
{
    if (all_modrm(map, op)) {
        for (int m = 0; m < 256; m++) {
            bytes[at] = (u8)m;
            one(s, bytes, key);
        }
        return;
    }
    for (size_t m = 0; m < ARRAY_LEN(some_modrm); m++) {
        bytes[at] = some_modrm[m];
        one(s, bytes, key);
    }
    bytes[at] = 0x04; /* SIB with index 2: the gathers, whose three registers must differ */
    bytes[at + 1] = 0x10;
    one(s, bytes, key);
    bytes[at + 1] = 0;
}

static void sweep_legacy(struct sweep *s, u32 key)
{
    static const u8 prefix[][3] = {{0},    {0x66},       {0xf2},       {0xf3},      {0x48},
                                   {0x67}, {0x66, 0xf2}, {0x66, 0x67}, {0x66, 0x48}};
    for (size_t p = 0; p < ARRAY_LEN(prefix); p++) {
        if ((prefix[p][0] == 0x48 || prefix[p][1] == 0x48) && key != KEY_64)
            continue;
        for (int map = 0; map < 4; map++) {
            for (int op = 0; op < 256; op++) {
                u8 b[24] = {0};
                int n = (int)strlen((const char *)prefix[p]);
                memcpy(b, prefix[p], (size_t)n);
                if (map)
                    b[n++] = 0x0f;
                if (map >= 2)
                    b[n++] = map == 2 ? 0x38 : 0x3a;
                b[n++] = (u8)op;
                sweep_modrm(s, b, n, map, op, key);
            }
        }
    }
}

static void sweep_vex(struct sweep *s)
{
    for (int map = 1; map <= 3; map++)
        for (int low = 0; low < 16; low++) /* W, L, pp */
            for (int op = 0; op < 256; op++)
                for (int v = 0; v < 2; v++) {
                    u8 b[24] = {0xc4, (u8)(0xe0 | map),
                                (u8)((low & 8) << 4 | (v ? 0x78 : 0x70) | (low & 7)), (u8)op};
                    sweep_modrm(s, b, 4, 4, op, KEY_64);
                }
}

static void sweep(struct sweep *s, const char *model, bool modern)
{
    s->cpu = make_cpu(model);
    sweep_legacy(s, KEY_16);
    if (!modern)
        return;
    sweep_legacy(s, KEY_32);
    sweep_legacy(s, KEY_64);
    sweep_vex(s);
}

Test(table, every_row_is_reached_and_every_offered_mnemonic_has_one, .timeout = 120)
{
    static struct sweep s;
    sweep(&s, NULL, true);
    sweep(&s, "286", false);
    sweep(&s, "8086", false);
    /* Rows whose feature this host's silicon does not offer cannot be reached here. */
    for (int id = 1; id < INSN_COUNT; id++)
        cr_expect(s.seen[id], "no encoding reaches row %s", insn_rows[id].name);
    for (int m = 0; m <= ZYDIS_MNEMONIC_MAX_VALUE; m++)
        cr_expect(!s.missed[m], "%s is offered and has no row",
                  ZydisMnemonicGetString((ZydisMnemonic)m));
    for (int id = 1; id < INSN_COUNT; id++)
        cr_expect(!s.priv_wrong[id], "%s: the decoder says privileged", insn_rows[id].name);
}
