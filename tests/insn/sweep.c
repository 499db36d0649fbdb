/*
 * tests/insn/sweep.c - see sweep.h.
 */
#include "tests/insn/sweep.h"
#include "cpu/decode_priv.h"
#include "cpu/interp_priv.h"
#include "cpu/native_priv.h"

#include <stdio.h>
#include <stdlib.h>

struct cpu *sweep_cpu(const char *model)
{
    struct error err;
    struct ram *ram;
    struct cpu *cpu;
    if (ram_new(MIB, &ram, &err) != ST_OK)
        abort();
    struct space *mem = space_new("mem", BIT64(52));
    space_map_ram(mem, 0, MIB, ram, 0, MAP_RW, 0);
    struct cpu_config c = {.model = model,
                           .clk = clock_new(CLOCK_FAKE, 0),
                           .mem = mem,
                           .ports = space_new("io", 65536),
                           .ram = ram};
    if (cpu_new(&c, &cpu, &err) != ST_OK) {
        fprintf(stderr, "%s\n", err.msg);
        abort();
    }
    return cpu;
}

struct cpu *sweep_cpu_all(void)
{
    struct cpu *cpu = sweep_cpu("x86-64");
    for (int f = 0; f < FEAT_COUNT; f++)
        cpu->features[f >> 6] |= 1ull << (f & 63);
    free(cpu->blocks->decoders);
    cpu->blocks->decoders = decode_new(cpu);
    return cpu;
}

void sweep_free(struct cpu *cpu)
{
    struct clock *clk = cpu->clk;
    struct space *mem = cpu->mem, *ports = cpu->ports;
    struct ram *ram = cpu->ram;
    cpu_free(cpu);
    space_free(mem);
    space_free(ports);
    ram_free(ram);
    clock_free(clk);
}

enum feature sweep_feature(ZydisISASet set)
{
    switch (set) {
#define FEATURE(name, leaf, sub, reg, bit)
#define ISA(isa, feat)                                                                             \
    case ZYDIS_ISA_SET_##isa:                                                                      \
        return FEAT_##feat;
#include "cpu/insn/features.def"
#undef FEATURE
#undef ISA
    default:
        return FEAT_COUNT;
    }
}

const char *sweep_feature_name(enum feature f)
{
    static const char *const names[FEAT_COUNT] = {
        "",
#define FEATURE(name, leaf, sub, reg, bit) #name,
#define ISA(set, feat)
#include "cpu/insn/features.def"
#undef FEATURE
#undef ISA
    };
    return names[f];
}

/* ---- the walk -------------------------------------------------------------------------------- */
struct walk {
    struct cpu *cpu;
    sweep_fn *fn;
    void *ctx;
    int what;
};

static void one(struct walk *w, const u8 *bytes, u32 key)
{
    const ZydisDecoder *dec = (const ZydisDecoder *)w->cpu->blocks->decoders + (key & KEY_DMODE);
    struct encoding e = {.bytes = bytes, .key = key};

    if (w->cpu->native->want_flush) { /* done at the start of a slice */
        native_enter(w->cpu);
        native_leave(w->cpu);
    }
    e.valid = decode_insn(w->cpu, bytes, 15, key, &e.insn) > 0;
    if (ZYAN_SUCCESS(ZydisDecoderDecodeFull(dec, bytes, 15, &e.d, e.ops)))
        w->fn(w->ctx, w->cpu, &e);
}

/* Opcodes that use every bit of ModRM to say what they are: x87 and the groups of system
 * instructions. For the others a few bytes do when the walk is brief. */
static bool modrm_is_opcode(int map, int op)
{
    if (map == 0)
        return op >= 0xd8 && op <= 0xdf;
    return map == 1 && (op == 0x00 || op == 0x01 || op == 0xae || op == 0xc7 || op == 0x18);
}

static void each_modrm(struct walk *w, u8 *bytes, int at, int map, int op, u32 key)
{
    bool all = !(w->what & SWEEP_BRIEF) || modrm_is_opcode(map, op);
    for (int m = 0; m < 256; m++) {
        bool some = m < 0x40 ? (m & 7) == 0 : m >= 0xc0 && (m & 7) == 1;
        if (!all && !some)
            continue;
        bytes[at] = (u8)m;
        one(w, bytes, key);
    }
    bytes[at] = 0x04; /* SIB with index 2: the gathers, whose three registers must differ */
    bytes[at + 1] = 0x10;
    one(w, bytes, key);
    bytes[at + 1] = 0;
}

static void legacy(struct walk *w, u32 key)
{
    static const u8 prefix[][4] = {{0},
                                   {0x66},
                                   {0xf2},
                                   {0xf3},
                                   {0x67},
                                   {0x66, 0xf2},
                                   {0x66, 0xf3},
                                   {0x66, 0x67},
                                   {0x48},
                                   {0x66, 0x48},
                                   {0xf2, 0x48},
                                   {0xf3, 0x48},
                                   {0x66, 0xf2, 0x48}};
    for (size_t p = 0; p < ARRAY_LEN(prefix); p++) {
        int np = (int)strlen((const char *)prefix[p]);
        if (np && prefix[p][np - 1] == 0x48 && key != KEY_64)
            continue;
        for (int map = 0; map < 4; map++) {
            for (int op = 0; op < 256; op++) {
                u8 b[24] = {0};
                int n = np;
                memcpy(b, prefix[p], (size_t)n);
                if (map)
                    b[n++] = 0x0f;
                if (map >= 2)
                    b[n++] = map == 2 ? 0x38 : 0x3a;
                b[n++] = (u8)op;
                each_modrm(w, b, n, map, op, key);
            }
        }
    }
}

static void vex(struct walk *w, u32 key)
{
    for (int map = 1; map <= 3; map++)
        for (int low = 0; low < 16; low++) /* W, L, pp */
            for (int op = 0; op < 256; op++)
                for (int v = 0; v < 2; v++) {
                    u8 b[24] = {0xc4, (u8)(0xe0 | map),
                                (u8)((low & 8) << 4 | (v ? 0x78 : 0x70) | (low & 7)), (u8)op};
                    each_modrm(w, b, 4, -1, op, key);
                }
}

void sweep_encodings(struct cpu *cpu, int what, sweep_fn *fn, void *ctx)
{
    struct walk w = {cpu, fn, ctx, what};
    legacy(&w, KEY_16);
    if (what & SWEEP_16)
        return;
    legacy(&w, KEY_32);
    legacy(&w, KEY_64);
    vex(&w, KEY_32);
    vex(&w, KEY_64);
}
