/*
 * cpu/cpuid.c - the CPU models: what each one is called and has, and what CPUID says about it.
 *
 * A feature is one FEAT_* bit (features.def); CPUID bits, decoder and exec functions all ask that
 * bit, so what is advertised is what runs. Named models never change with the host: a feature whose
 * instructions run on host silicon and that the host lacks refuses the model. "host" is the host's
 * identity with what host and table both have.
 * Manuals: AMD APM vol. 3 appendix E; Intel SDM vol. 2 CPUID.
 */
#include "base/log.h"
#include "cpu/exec_priv.h"

#include <cpuid.h>
#include <stdio.h>

enum { EAX, EBX, ECX, EDX };

struct cpu_model {
    const char *name;
    const char *vendor;      /* 12 characters; NULL: the host's identity and features */
    const char *brand;       /* at most 47 characters */
    u32 signature;           /* CPUID.1:EAX, and EDX after reset */
    u8 features[FEAT_COUNT]; /* ends with FEAT_ALWAYS */
};

/* Each set includes the ones before it. */
#define SET_286 FEAT_I186, FEAT_I286
#define SET_386 SET_286, FEAT_I386
#define SET_486 SET_386, FEAT_I486, FEAT_CPUID
#define SET_PENTIUM                                                                                \
    SET_486, FEAT_VME, FEAT_DE, FEAT_PSE, FEAT_TSC, FEAT_MSR, FEAT_MCE, FEAT_CX8, FEAT_APIC,       \
        FEAT_MMX
#define SET_X64                                                                                    \
    SET_PENTIUM, FEAT_PAE, FEAT_SEP, FEAT_MTRR, FEAT_PGE, FEAT_MCA, FEAT_CMOV, FEAT_PAT,           \
        FEAT_PSE36, FEAT_CLFSH, FEAT_FXSR, FEAT_SSE, FEAT_SSE2, FEAT_SYSCALL, FEAT_NX, FEAT_LM,    \
        FEAT_PREFETCHW
#define SET_X64_V2                                                                                 \
    SET_X64, FEAT_SSE3, FEAT_SSSE3, FEAT_SSE41, FEAT_SSE42, FEAT_POPCNT, FEAT_CX16, FEAT_LAHF64,   \
        FEAT_RDTSCP, FEAT_X2APIC, FEAT_TSCDL, FEAT_INVTSC, FEAT_GBPAGES
#define SET_X64_V3                                                                                 \
    SET_X64_V2, FEAT_MOVBE, FEAT_XSAVE, FEAT_AVX, FEAT_AVX2, FEAT_FMA, FEAT_F16C, FEAT_BMI1,       \
        FEAT_BMI2, FEAT_LZCNT, FEAT_AES, FEAT_PCLMUL, FEAT_XSAVEOPT, FEAT_XSAVEC, FEAT_XGETBV1,    \
        FEAT_FSGSBASE, FEAT_SMEP, FEAT_SMAP, FEAT_ERMS, FEAT_ADX, FEAT_RDRAND, FEAT_RDSEED,        \
        FEAT_CLFLUSHOPT, FEAT_TOPOEXT

static const struct cpu_model models[] = {
    {"host", NULL, NULL, 0, {0}},
    {"8086", "", "", 0, {FEAT_ALWAYS}},
    {"286", "", "", 0, {SET_286}},
    {"386", "", "", 0x308, {FEAT_FPU, SET_386}},
    {"486", "GenuineIntel", "", 0x480, {FEAT_FPU, SET_486}},
    {"pentium", "GenuineIntel", "", 0x544, {FEAT_FPU, SET_PENTIUM}},
    {"x86-64", "AuthenticAMD", "Trivisor x86-64", 0x60fb1, {FEAT_FPU, SET_X64}},
    {"x86-64-v2", "AuthenticAMD", "Trivisor x86-64-v2", 0x600f20, {FEAT_FPU, SET_X64_V2}},
    {"x86-64-v3", "AuthenticAMD", "Trivisor x86-64-v3", 0x800f12, {FEAT_FPU, SET_X64_V3}},
};

static const char *const model_names[ARRAY_LEN(models) + 1] = {
    "host", "8086", "286", "386", "486", "pentium", "x86-64", "x86-64-v2", "x86-64-v3", NULL,
};

const char *const *cpu_model_names(void)
{
    return model_names;
}

/* Where CPUID says so, and what people call it. */
struct feature_bit {
    const char *name;
    u32 leaf, sub;
    u8 reg, bit;
};
static const struct feature_bit feature_bits[FEAT_COUNT] = {
    [FEAT_ALWAYS] = {"ALWAYS", ~0u, 0, 0, 0},
#define FEATURE(name, leaf, sub, reg, bit) [FEAT_##name] = {#name, leaf, sub, reg, bit},
#define ISA(set, feat)
#include "cpu/insn/features.def"
#undef FEATURE
#undef ISA
};

/* Features whose instructions are executed by the host's own (cpu/native.c, cpu/alu_priv.h). */
static bool runs_on_host(int f)
{
    switch (f) {
    case FEAT_MMX:
    case FEAT_SSE:
    case FEAT_SSE2:
    case FEAT_SSE3:
    case FEAT_PCLMUL:
    case FEAT_SSSE3:
    case FEAT_FMA:
    case FEAT_SSE41:
    case FEAT_SSE42:
    case FEAT_POPCNT:
    case FEAT_AES:
    case FEAT_AVX:
    case FEAT_F16C:
    case FEAT_RDRAND:
    case FEAT_BMI1:
    case FEAT_AVX2:
    case FEAT_BMI2:
    case FEAT_RDSEED:
    case FEAT_ADX:
    case FEAT_SHA:
    case FEAT_LZCNT:
    case FEAT_SSE4A:
    case FEAT_VAES:
    case FEAT_VPCLMUL:
    case FEAT_GFNI:
        return true;
    default:
        return false;
    }
}

/* Known to the table but not offered, by any model: no rows or no devices behind them. */
static bool never_offered(int f)
{
    return f == FEAT_MONITOR;
}

/* ---- the host ------------------------------------------------------------------------------- */
/* XCR0 says whether the host's kernel lets AVX be used. */
static bool host_has_avx_state(void)
{
    u32 a, b, c, d, lo, hi;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & BIT(27)))
        return false;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return (lo & 6) == 6;
}

static bool host_has(int f)
{
    const struct feature_bit *fb = &feature_bits[f];
    u32 r[4];
    if (fb->leaf == ~0u)
        return true;
    if (!__get_cpuid_count(fb->leaf, fb->sub, &r[EAX], &r[EBX], &r[ECX], &r[EDX]))
        return false;
    /* Intel says SYSCALL only while in 64-bit mode, and AMD's legacy bits are not its own. */
    if (!(r[fb->reg] & BIT(fb->bit)))
        return false;
    switch (f) {
    case FEAT_AVX:
    case FEAT_AVX2:
    case FEAT_FMA:
    case FEAT_F16C:
    case FEAT_VAES:
    case FEAT_VPCLMUL:
        return host_has_avx_state();
    default:
        return true;
    }
}

static void host_identity(struct cpu_identity *id)
{
    u32 a = 0, b = 0, c = 0, d = 0;
    __get_cpuid(0, &a, &b, &c, &d);
    st_u32(id->vendor, b);
    st_u32(id->vendor + 4, d);
    st_u32(id->vendor + 8, c);
    __get_cpuid(1, &id->signature, &b, &c, &d);
    for (u32 k = 0; k < 3; k++) {
        if (!__get_cpuid(0x80000002 + k, &a, &b, &c, &d))
            return;
        st_u32(id->brand + 16 * k, a);
        st_u32(id->brand + 16 * k + 4, b);
        st_u32(id->brand + 16 * k + 8, c);
        st_u32(id->brand + 16 * k + 12, d);
    }
}

/* ---- choosing a model ----------------------------------------------------------------------- */
static void add_feature(struct cpu *cpu, int f)
{
    cpu->features[f >> 6] |= BIT64(f & 63);
}

static enum status unknown_model(const char *name, struct error *err)
{
    char list[128] = "";
    size_t n = 0;
    for (size_t k = 0; model_names[k]; k++)
        n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%s", k ? ", " : "", model_names[k]);
    return fail(err, ST_INVAL, "unknown CPU model '%.40s' (there are: %s)", name, list);
}

enum status cpu_model_apply(struct cpu *cpu, const char *name, struct error *err)
{
    const struct cpu_model *m = NULL;
    if (!name)
        name = "host";
    for (size_t k = 0; k < ARRAY_LEN(models); k++)
        if (!strcmp(models[k].name, name))
            m = &models[k];
    if (!m)
        return unknown_model(name, err);
    cpu->model = m;
    memset(cpu->features, 0, sizeof(cpu->features));
    memset(&cpu->ident, 0, sizeof(cpu->ident));
    add_feature(cpu, FEAT_ALWAYS);
    if (!m->vendor) {
        host_identity(&cpu->ident);
        for (int f = FEAT_ALWAYS + 1; f < FEAT_COUNT; f++)
            if (!never_offered(f) && host_has(f))
                add_feature(cpu, f);
        return ST_OK;
    }
    snprintf(cpu->ident.vendor, sizeof(cpu->ident.vendor), "%s", m->vendor);
    snprintf(cpu->ident.brand, sizeof(cpu->ident.brand), "%s", m->brand);
    cpu->ident.signature = m->signature;
    for (const u8 *f = m->features; *f != FEAT_ALWAYS; f++) {
        if (runs_on_host(*f) && !host_has(*f))
            return fail(err, ST_UNSUP, "CPU model '%s' needs %s, which this host's CPU lacks",
                        m->name, feature_bits[*f].name);
        add_feature(cpu, *f);
    }
    return ST_OK;
}

u32 cpu_signature(const struct cpu *cpu)
{
    return cpu->ident.signature;
}

bool cpu_is_amd(const struct cpu *cpu)
{
    return !memcmp(cpu->ident.vendor, "AuthenticAMD", 12) ||
           !memcmp(cpu->ident.vendor, "HygonGenuine", 12);
}

/* ---- CPUID ---------------------------------------------------------------------------------- */
static u32 max_basic(const struct cpu *cpu)
{
    if (cpu_has(cpu, FEAT_XSAVE))
        return 0xd;
    if (cpu_has(cpu, FEAT_X2APIC))
        return 0xb;
    return cpu_has(cpu, FEAT_LM) ? 7 : 1;
}

static u32 max_extended(const struct cpu *cpu)
{
    if (!cpu_has(cpu, FEAT_LM))
        return 0;
    return cpu_has(cpu, FEAT_TOPOEXT) ? 0x8000001e : 0x80000008;
}

static void feature_words(const struct cpu *cpu, u32 leaf, u32 sub, u32 out[4])
{
    for (int f = FEAT_ALWAYS + 1; f < FEAT_COUNT; f++) {
        const struct feature_bit *fb = &feature_bits[f];
        if (fb->leaf == leaf && fb->sub == sub && cpu_has(cpu, (enum feature)f))
            out[fb->reg] |= BIT(fb->bit);
    }
}

/* Paravirtual leaves, 0x40000000..: whoever is there answers. */
static bool pv_leaf(struct cpu *cpu, u32 leaf, u32 sub, u32 out[4])
{
    return cpu->pv_cpuid && cpu->pv_cpuid(cpu->pv_ctx, cpu, leaf, sub, out);
}

static void leaf_1(struct cpu *cpu, u32 out[4])
{
    u32 pv[4] = {0};
    feature_words(cpu, 1, 0, out);
    out[EAX] = cpu->ident.signature;
    out[EBX] = cpu->id << 24 | (cpu_has(cpu, FEAT_CLFSH) ? 8u << 8 : 0);
    if (cpu->cr4 & CR4_OSXSAVE)
        out[ECX] |= BIT(27);
    if (pv_leaf(cpu, 0x40000000, 0, pv))
        out[ECX] |= BIT(31);
    if (!(cpu->apic_base & BIT(11)))
        out[EDX] &= ~BIT(9);
}

/* One cache as leaves 4 (Intel) and 0x8000001D (AMD) describe it; both have the same layout. */
static void cache_leaf(u32 sub, u32 out[4])
{
    /* type (1 data, 2 code, 3 both), level, ways, sets; 64-byte lines */
    static const struct {
        u8 type, level, ways;
        u16 sets;
    } caches[] = {{1, 1, 8, 64}, {2, 1, 8, 64}, {3, 2, 8, 1024}};
    if (sub >= ARRAY_LEN(caches))
        return;
    out[EAX] = caches[sub].type | (u32)caches[sub].level << 5 | 1u << 8;
    out[EBX] = 63 | (u32)(caches[sub].ways - 1) << 22;
    out[ECX] = caches[sub].sets - 1u;
}

/* One thread in one core in one package. */
static void leaf_topology(const struct cpu *cpu, u32 sub, u32 out[4])
{
    out[ECX] = sub & 0xff;
    out[EDX] = cpu->id;
    if (sub < 2) {
        out[EBX] = 1;
        out[ECX] |= (sub + 1) << 8;
    }
}

enum { XSAVE_LEGACY = 576, XSAVE_YMM = 256 };

static void leaf_xsave(const struct cpu *cpu, u32 sub, u32 out[4])
{
    bool avx = cpu_has(cpu, FEAT_AVX);
    u32 now = XSAVE_LEGACY + (cpu->xcr0 & 4 ? XSAVE_YMM : 0);
    switch (sub) {
    case 0:
        out[EAX] = avx ? 7 : 3;
        out[EBX] = now;
        out[ECX] = XSAVE_LEGACY + (avx ? XSAVE_YMM : 0);
        break;
    case 1:
        feature_words(cpu, 0xd, 1, out);
        if (cpu_has(cpu, FEAT_XSAVEC))
            out[EBX] = now;
        break;
    case 2:
        if (avx) {
            out[EAX] = XSAVE_YMM;
            out[EBX] = XSAVE_LEGACY;
        }
        break;
    default:
        break;
    }
}

static void leaf_extended(struct cpu *cpu, u32 leaf, u32 sub, u32 out[4])
{
    bool amd = cpu_is_amd(cpu);
    const char *v = cpu->ident.vendor, *brand = cpu->ident.brand;

    switch (leaf) {
    case 0x80000000:
        out[EAX] = max_extended(cpu);
        if (amd) {
            out[EBX] = ld_u32(v);
            out[EDX] = ld_u32(v + 4);
            out[ECX] = ld_u32(v + 8);
        }
        break;
    case 0x80000001:
        feature_words(cpu, leaf, 0, out);
        if (amd) { /* AMD repeats the old bits of leaf 1 here */
            u32 one[4] = {0};
            leaf_1(cpu, one);
            out[EAX] = one[EAX];
            out[EDX] |= one[EDX] & 0x0183f3ff;
        }
        break;
    case 0x80000002:
    case 0x80000003:
    case 0x80000004:
        brand += (leaf - 0x80000002) * 16;
        for (int k = 0; k < 4; k++)
            out[k] = ld_u32(brand + 4 * k);
        break;
    case 0x80000005: /* L1: TLBs of 64 entries, fully associative; 32 KiB, 8 ways, 64-byte lines */
        if (amd) {
            out[EAX] = out[EBX] = 0xff40ff40;
            out[ECX] = out[EDX] = 32u << 24 | 8 << 16 | 1 << 8 | 64;
        }
        break;
    case 0x80000006: /* L2: 512 KiB, 8 ways */
        out[ECX] = 512u << 16 | 6 << 12 | 1 << 8 | 64;
        break;
    case 0x80000007:
        feature_words(cpu, leaf, 0, out);
        break;
    case 0x80000008:
        out[EAX] = cpu->mmu.phys_bits | 48u << 8;
        break;
    case 0x8000001d:
        cache_leaf(sub, out);
        break;
    case 0x8000001e:
        out[EAX] = cpu->id;
        out[EBX] = cpu->id & 0xff;
        break;
    default:
        break;
    }
}

void cpuid(struct cpu *cpu, u32 leaf, u32 sub, u32 out[4])
{
    const char *v = cpu->ident.vendor;

    memset(out, 0, 4 * sizeof(out[0]));
    if (leaf >= 0x40000000 && leaf < 0x50000000 && pv_leaf(cpu, leaf, sub, out))
        return;
    if (leaf >= 0x80000000 && leaf <= max_extended(cpu)) {
        leaf_extended(cpu, leaf, sub, out);
        return;
    }
    if (leaf > max_basic(cpu)) {
        if (cpu_is_amd(cpu)) /* zeros; Intel answers with the last basic leaf */
            return;
        leaf = max_basic(cpu);
    }
    switch (leaf) {
    case 0:
        out[EAX] = max_basic(cpu);
        out[EBX] = ld_u32(v);
        out[EDX] = ld_u32(v + 4);
        out[ECX] = ld_u32(v + 8);
        break;
    case 1:
        leaf_1(cpu, out);
        break;
    case 2: /* descriptor 0xFF: see leaf 4; F0: 64-byte prefetch */
        if (!cpu_is_amd(cpu)) {
            out[EAX] = 0x00feff01;
            out[EBX] = 0xf0;
        }
        break;
    case 4:
        if (!cpu_is_amd(cpu))
            cache_leaf(sub, out);
        break;
    case 7:
        if (sub == 0)
            feature_words(cpu, 7, 0, out);
        break;
    case 0xb:
        if (cpu_has(cpu, FEAT_X2APIC))
            leaf_topology(cpu, sub, out);
        break;
    case 0xd:
        leaf_xsave(cpu, sub, out);
        break;
    default:
        break;
    }
}
