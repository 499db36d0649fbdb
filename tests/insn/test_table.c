/*
 * tests/insn/test_table.c - the instruction table checked against the decoder and against a list of
 * sensitive instructions that is written down here and nowhere else.
 *
 * Encodings are enumerated over all opcode maps, prefixes and modes through decode_insn, so a row
 * that no encoding reaches, and a feature's mnemonic that no row takes, are found.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "cpu/interp_priv.h"
#include "tests/insn/sweep.h"

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

/* A block is decoded for a mode, for segments that are flat or not, and for a mapping of its code;
 * between blocks the run loop looks at what is pending. So whatever changes one of these ends the
 * block. */
Test(table, what_changes_the_block_key_ends_the_block)
{
    static const struct {
        u16 id;
        const char *why;
    } stays[] = {
        {INSN_CLTS, "CR0.TS is no part of the key; vector instructions look at it each time"},
        {INSN_WRFSBASE, "the base of FS is no part of the key: KEY_FLAT is about CS DS ES SS"},
        {INSN_WRGSBASE, "as WRFSBASE"},
        {INSN_SWAPGS, "as WRFSBASE"},
        {INSN_CLI, "nothing becomes deliverable"},
        {INSN_CLAC, "the view of data accesses is asked for at each access"},
        {INSN_STAC, "as CLAC"},
    };
    for (int id = 1; id < INSN_COUNT; id++) {
        const struct insn_row *r = &insn_rows[id];
        bool ends = r->changes & (S_MODE | S_IRQ | S_TLB | S_CR | S_SEG | S_SYSFL);
        const char *why = NULL;
        for (size_t k = 0; k < ARRAY_LEN(stays); k++)
            if (stays[k].id == id)
                why = stays[k].why;
        cr_expect(!ends || why || r->bt == EXIT, "%s changes what a block depends on; not EXIT",
                  r->name);
        cr_expect(!why || (ends && r->bt != EXIT), "%s needs no exception (%s)", r->name, why);
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

/* ---- enumeration ---------------------------------------------------------------------------- */
struct survey {
    u8 seen[INSN_COUNT];
    u8 priv_less[INSN_COUNT], priv_more[INSN_COUNT], copied[INSN_COUNT];
    u8 used[64]; /* lines of unoffered[] that were needed */
    int missed;
};

/* Mnemonics that belong to an ISA set of features.def and that no model offers. */
static const struct {
    ZydisMnemonic mnemonic;
    const char *why;
} unoffered[] = {
#define NESTED(m)                                                                                  \
    {                                                                                              \
        ZYDIS_MNEMONIC_##m, "nested virtualization: of these sets only VM[M]CALL"                  \
    }
    NESTED(VMXON),
    NESTED(VMXOFF),
    NESTED(VMLAUNCH),
    NESTED(VMRESUME),
    NESTED(VMREAD),
    NESTED(VMWRITE),
    NESTED(VMCLEAR),
    NESTED(VMPTRLD),
    NESTED(VMPTRST),
    NESTED(INVEPT),
    NESTED(INVVPID),
    NESTED(VMRUN),
    NESTED(VMLOAD),
    NESTED(VMSAVE),
    NESTED(STGI),
    NESTED(CLGI),
    NESTED(SKINIT),
    NESTED(INVLPGA),
#undef NESTED
    {ZYDIS_MNEMONIC_MONITOR, "no model has the feature (checked below)"},
    {ZYDIS_MNEMONIC_MWAIT, "as MONITOR"},
    {ZYDIS_MNEMONIC_FEMMS, "3DNow!: of this set only PREFETCH and PREFETCHW"},
};

/* AMD's processors do not decode these; Intel's do. */
static bool amd_refuses(const ZydisDecodedInstruction *d)
{
    if (d->opcode_map == ZYDIS_OPCODE_MAP_0F && d->opcode == 0x0d)
        return d->raw.modrm.mod == 3;
    return d->machine_mode != ZYDIS_MACHINE_MODE_LONG_64 && d->raw.vex.W &&
           (d->mnemonic == ZYDIS_MNEMONIC_VPEXTRD || d->mnemonic == ZYDIS_MNEMONIC_VPINSRD);
}

/* What SSE added for MMX registers, which the library counts among the first MMX. */
static bool added_by_sse(const ZydisDecodedInstruction *d)
{
    if (d->meta.isa_set != ZYDIS_ISA_SET_PENTIUMMMX)
        return false;
    switch (d->mnemonic) {
    case ZYDIS_MNEMONIC_PSHUFW:
    case ZYDIS_MNEMONIC_PINSRW:
    case ZYDIS_MNEMONIC_PEXTRW:
    case ZYDIS_MNEMONIC_PMOVMSKB:
    case ZYDIS_MNEMONIC_PMINUB:
    case ZYDIS_MNEMONIC_PMAXUB:
    case ZYDIS_MNEMONIC_PMINSW:
    case ZYDIS_MNEMONIC_PMAXSW:
    case ZYDIS_MNEMONIC_PAVGB:
    case ZYDIS_MNEMONIC_PAVGW:
    case ZYDIS_MNEMONIC_PMULHUW:
    case ZYDIS_MNEMONIC_PSADBW:
    case ZYDIS_MNEMONIC_MOVNTQ:
    case ZYDIS_MNEMONIC_MASKMOVQ:
        return true;
    default:
        return false;
    }
}

static bool offered(const struct cpu *cpu, const ZydisDecodedInstruction *d)
{
    if (cpu_is_amd(cpu) && amd_refuses(d))
        return false;
    enum feature f = sweep_feature(d->meta.isa_set);
    if (f == FEAT_COUNT || (f != FEAT_ALWAYS && !cpu_has(cpu, f)))
        return false;
    /* the prefixes are the 80386's */
    return cpu_has(cpu, FEAT_I386) ||
           !(d->attributes & (ZYDIS_ATTRIB_HAS_OPERANDSIZE | ZYDIS_ATTRIB_HAS_ADDRESSSIZE));
}

/* Operands, hidden ones too, that are system registers. */
static bool touches_system_register(const struct encoding *e)
{
    for (int k = 0; k < e->d.operand_count; k++) {
        if (e->ops[k].type != ZYDIS_OPERAND_TYPE_REGISTER)
            continue;
        switch (e->ops[k].reg.value) {
        case ZYDIS_REGISTER_GDTR:
        case ZYDIS_REGISTER_LDTR:
        case ZYDIS_REGISTER_IDTR:
        case ZYDIS_REGISTER_TR:
        case ZYDIS_REGISTER_XCR0:
            return true;
        default:
            break;
        }
        switch (ZydisRegisterGetClass(e->ops[k].reg.value)) {
        case ZYDIS_REGCLASS_SEGMENT:
        case ZYDIS_REGCLASS_CONTROL:
        case ZYDIS_REGCLASS_DEBUG:
        case ZYDIS_REGCLASS_TEST:
            return true;
        default:
            break;
        }
    }
    return false;
}

static void look(void *ctx, struct cpu *cpu, const struct encoding *e)
{
    struct survey *s = ctx;
    if (e->valid) {
        const struct insn_row *r = &insn_rows[e->insn.row];
        bool cpl0 = e->d.attributes & ZYDIS_ATTRIB_IS_PRIVILEGED;
        s->seen[e->insn.row] = 1;
        if (!cpu_has(cpu, FEAT_I386))
            return; /* the library speaks of later processors (cpu/decode_old.c) */
        s->priv_less[e->insn.row] |= cpl0 && r->priv != CPL0;
        s->priv_more[e->insn.row] |= !cpl0 && r->priv == CPL0;
        s->copied[e->insn.row] |= r->bt == NATIVE && touches_system_register(e);
        return;
    }
    if (!offered(cpu, &e->d) || (added_by_sse(&e->d) && !cpu_has(cpu, FEAT_SSE)))
        return;
    if (e->d.mnemonic == ZYDIS_MNEMONIC_INT1 && !cpu_has(cpu, FEAT_I386))
        return; /* a prefix then */
    for (size_t k = 0; k < ARRAY_LEN(unoffered); k++)
        if (unoffered[k].mnemonic == e->d.mnemonic) {
            s->used[k] = 1;
            return;
        }
    if (s->missed++ < 20)
        cr_expect(false, "%s (%s) is offered and refused: %02x %02x %02x %02x %02x %02x, key %u",
                  ZydisMnemonicGetString(e->d.mnemonic), ZydisISASetGetString(e->d.meta.isa_set),
                  e->bytes[0], e->bytes[1], e->bytes[2], e->bytes[3], e->bytes[4], e->bytes[5],
                  e->key);
}

Test(table, rows_encodings_and_privilege_agree_with_the_decoder, .timeout = 120)
{
    /* The library's mark is missing here; the table has the processor's answer. */
    static const struct {
        u16 id;
        const char *why;
    } marked[] = {
        {INSN_LGDT, "SDM vol. 2: #GP(0) if the current privilege level is not 0"},
    };
    struct survey s = {0};

    struct cpu *cpus[] = {sweep_cpu_all(), sweep_cpu("286"), sweep_cpu("8086")};
    for (size_t k = 0; k < ARRAY_LEN(cpus); k++) {
        sweep_encodings(cpus[k], k ? SWEEP_16 : SWEEP_ALL, look, &s);
        sweep_free(cpus[k]);
    }
    for (int id = 1; id < INSN_COUNT; id++) {
        const char *name = insn_rows[id].name, *why = NULL;
        for (size_t k = 0; k < ARRAY_LEN(marked); k++)
            if (marked[k].id == id)
                why = marked[k].why;
        cr_expect(s.seen[id], "no encoding reaches row %s", name);
        cr_expect(!s.priv_less[id], "%s: the decoder says CPL 0 only", name);
        cr_expect(!s.priv_more[id] || why, "%s: the decoder says not privileged", name);
        cr_expect(s.priv_more[id] || !why, "%s needs no exception (%s)", name, why);
        cr_expect(!s.copied[id], "%s is NATIVE and has a system register", name);
    }
    for (size_t k = 0; k < ARRAY_LEN(unoffered); k++)
        cr_expect(s.used[k], "%s needs no exception (%s)",
                  ZydisMnemonicGetString(unoffered[k].mnemonic), unoffered[k].why);
}

/* What a model's CPUID offers, the table has: the model people run, not all bits at once. */
Test(table, every_model_decodes_what_it_offers, .timeout = 120)
{
    for (const char *const *m = cpu_model_names(); *m; m++) {
        struct survey s = {0};
        struct cpu *cpu = sweep_cpu(*m);
        sweep_encodings(cpu, SWEEP_BRIEF | (cpu_has(cpu, FEAT_I386) ? 0 : SWEEP_16), look, &s);
        cr_expect(!cpu_has(cpu, FEAT_MONITOR), "%s offers MONITOR, which has no row", *m);
        cr_expect(s.missed == 0, "%s: %d encodings", *m, s.missed);
        sweep_free(cpu);
    }
}
