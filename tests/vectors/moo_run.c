/*
 * tests/vectors/moo_run.c - runs single-step suites in MOO format against the interpreter.
 *
 * usage: moo_run MODEL MASK FILE.MOO.gz...   MASK: hex of the flags that count
 * Prints one line a file: name, passed, failed; details of the first failures on stderr.
 * Not the conformance runner that users get (`trivisor check`): a test.
 *
 * MOO: chunks of a 4-byte tag, u32 length, payload; TEST holds NAME, BYTS, INIT, FINA, EXCP.
 */
#include "base/log.h"
#include "cpu/cpu.h"

#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

enum { RAM_SIZE = 16 << 20, MAX_STEPS = 3000 };

struct regs {
    u32 mask;
    u16 v[16];
};
struct cells {
    u32 n;
    const u8 *p;
};
struct half {
    struct regs regs;
    struct cells ram;
};

static const char *const reg_names[14] = {"ax", "bx", "cx", "dx", "cs", "ss", "ds",
                                          "es", "sp", "bp", "si", "di", "ip", "flags"};

static u8 *slurp(const char *path, size_t *len)
{
    gzFile f = gzopen(path, "rb");
    size_t cap = 1 << 20, n = 0;
    u8 *buf = malloc(cap);
    int r;
    if (!f || !buf)
        return NULL;
    while ((r = gzread(f, buf + n, (unsigned)(cap - n))) > 0) {
        n += (size_t)r;
        if (n == cap)
            buf = realloc(buf, cap *= 2);
    }
    gzclose(f);
    *len = n;
    return buf;
}

/* Finds tag among the chunks of [p, end); NULL when it is not there or is cut short. */
static const u8 *chunk(const u8 *p, const u8 *end, const char *tag, u32 *len)
{
    while (end - p >= 8) {
        u32 n = ld_u32(p + 4);
        if (n > (size_t)(end - p - 8))
            return NULL;
        if (!memcmp(p, tag, 4)) {
            *len = n;
            return p + 8;
        }
        p += 8 + n;
    }
    return NULL;
}

static bool parse_half(const u8 *p, u32 len, struct half *h)
{
    u32 n;
    const u8 *r = chunk(p, p + len, "REGS", &n);
    memset(h, 0, sizeof(*h));
    if (r && n >= 2) {
        h->regs.mask = ld_u16(r);
        const u8 *q = r + 2;
        for (int k = 0; k < 16; k++) {
            if (!(h->regs.mask >> k & 1))
                continue;
            if (q + 2 > r + n)
                return false;
            h->regs.v[k] = ld_u16(q);
            q += 2;
        }
    }
    r = chunk(p, p + len, "RAM ", &n);
    if (r && n >= 4) {
        h->ram.n = MIN(ld_u32(r), (n - 4) / 5);
        h->ram.p = r + 4;
    }
    return true;
}

struct rig {
    struct cpu *cpu;
    struct ram *ram;
    struct space *mem, *ports;
    struct clock *clk;
    gpa a_mask;
    bool one; /* the 8086 suite records one instruction; the later ones go on to a HLT */
};

static void set_regs(struct cpu *c, const u16 *v)
{
    static const u8 gpr[14] = {RAX, RBX, RCX, RDX, 0, 0, 0, 0, RSP, RBP, RSI, RDI};
    static const u8 seg[4] = {SEG_CS, SEG_SS, SEG_DS, SEG_ES};
    cpu_reset(c, false);
    for (int k = 0; k < 12; k++)
        if (k < 4 || k > 7)
            c->gpr[gpr[k]] = v[k];
    for (int k = 0; k < 4; k++)
        cpu_set_seg(c, seg[k], v[4 + k], (u64)v[4 + k] << 4, 0xffff,
                    ATTR_P | ATTR_S | ATTR_RW | ATTR_A | (k == 0 ? ATTR_X : 0));
    c->rip = v[12];
    cpu_set_rflags(c, (v[13] & 0xfff) | FL_1);
    c->gpr[GPR_ZERO] = 0;
}

static void get_regs(const struct cpu *c, u16 *v)
{
    static const u8 gpr[14] = {RAX, RBX, RCX, RDX, 0, 0, 0, 0, RSP, RBP, RSI, RDI};
    static const u8 seg[4] = {SEG_CS, SEG_SS, SEG_DS, SEG_ES};
    for (int k = 0; k < 12; k++)
        v[k] = k < 4 || k > 7 ? (u16)c->gpr[gpr[k]] : c->seg[seg[k - 4]].sel;
    v[12] = (u16)c->rip;
    v[13] = (u16)cpu_rflags(c);
}

static void poke(struct rig *r, u32 addr, u8 v)
{
    u64 off = addr & r->a_mask;
    r->ram->base[off] = v;
    if (r->ram->page_flags[off >> PAGE_SHIFT])
        ram_note_write(r->ram, off, 1);
}

/* Whether the test's FLAGS word that was pushed lies at this address: flags masks apply there too.
 */
static bool run_test(struct rig *r, const u8 *p, u32 len, u16 flag_mask, bool verbose)
{
    struct half init, fina;
    u32 n;
    const u8 *q = chunk(p + 4, p + len, "INIT", &n);
    if (!q || !parse_half(q, n, &init))
        return false;
    q = chunk(p + 4, p + len, "FINA", &n);
    if (!q || !parse_half(q, n, &fina))
        return false;
    u32 flag_addr = ~0u;
    q = chunk(p + 4, p + len, "EXCP", &n);
    if (q && n >= 5)
        flag_addr = ld_u32(q + 1);
    struct cpu *c = r->cpu;

    for (u32 k = 0; k < init.ram.n; k++)
        poke(r, ld_u32(init.ram.p + 5 * k), init.ram.p[5 * k + 4]);
    set_regs(c, init.regs.v);
    int steps = 0;
    while (!c->halted && steps++ < (r->one ? 1 : MAX_STEPS) && cpu_step(c) == CPU_SLICE)
        ;
    u16 want[16], got[16];
    memcpy(want, init.regs.v, sizeof(want));
    for (int k = 0; k < 14; k++)
        if (fina.regs.mask >> k & 1)
            want[k] = fina.regs.v[k];
    get_regs(c, got);
    bool ok = true;
    char diff[1024];
    size_t d = 0;
    for (int k = 0; k < 14; k++) {
        u16 m = k == 13 ? (u16)(flag_mask & 0xfd5) : 0xffff;
        if ((want[k] ^ got[k]) & m) {
            ok = false;
            d += (size_t)snprintf(diff + d, sizeof(diff) - d, " %s=%04x!%04x", reg_names[k], got[k],
                                  want[k]);
        }
    }
    for (u32 k = 0; k < fina.ram.n; k++) {
        u32 a = ld_u32(fina.ram.p + 5 * k);
        u8 w = fina.ram.p[5 * k + 4], g = r->ram->base[a & r->a_mask];
        u8 m = a == flag_addr       ? (u8)flag_mask
               : a == flag_addr + 1 ? (u8)(flag_mask >> 8) & 0xf
                                    : 0xff;
        if (((w ^ g) & m) && d < 900) {
            ok = false;
            d += (size_t)snprintf(diff + d, sizeof(diff) - d, " [%06x]=%02x!%02x", a, g, w);
        }
    }
    if (!ok && verbose) {
        const u8 *name = chunk(p + 4, p + len, "NAME", &n);
        const u8 *b = chunk(p + 4, p + len, "BYTS", &len);
        fprintf(stderr, "  #%u '%.*s' ", ld_u32(p), name && n > 4 ? (int)n - 4 : 0,
                name ? (const char *)name + 4 : "");
        for (u32 k = 4; b && k < len; k++)
            fprintf(stderr, "%02x", b[k]);
        fprintf(stderr, " got!want:%s\n     init:", diff);
        for (int k = 0; k < 14; k++)
            fprintf(stderr, " %s=%04x", reg_names[k], init.regs.v[k]);
        fprintf(stderr, "\n");
    }
    /* leave no trace for the next test */
    for (u32 k = 0; k < init.ram.n; k++)
        poke(r, ld_u32(init.ram.p + 5 * k), 0);
    for (u32 k = 0; k < fina.ram.n; k++)
        poke(r, ld_u32(fina.ram.p + 5 * k), 0);
    return ok;
}

static int run_file(struct rig *r, const char *path, u16 mask)
{
    size_t len;
    u8 *buf = slurp(path, &len);
    const char *base = strrchr(path, '/');
    u32 pass = 0, bad = 0;
    if (!buf) {
        printf("%s unreadable\n", path);
        return 1;
    }
    for (const u8 *p = buf; (size_t)(buf + len - p) >= 8;) {
        u32 n = ld_u32(p + 4);
        if (n > (size_t)(buf + len - p) - 8)
            break;
        if (!memcmp(p, "TEST", 4) && n > 4) {
            if (run_test(r, p + 8, n, mask, bad < 2))
                pass++;
            else
                bad++;
        }
        p += 8 + n;
    }
    printf("%-14s %5u passed %5u failed\n", base ? base + 1 : path, pass, bad);
    free(buf);
    return bad != 0 || !pass;
}

int main(int argc, char **argv)
{
    struct rig r = {0};
    struct error err;
    int failed = 0;
    if (argc < 4) {
        fprintf(stderr, "usage: moo_run MODEL MASK FILE.MOO.gz...\n");
        return 2;
    }
    bool old = !strcmp(argv[1], "8086");
    r.a_mask = old ? 0xfffff : 0xffffff;
    if (ram_new(RAM_SIZE, &r.ram, &err) != ST_OK) {
        fprintf(stderr, "%s\n", err.msg);
        return 2;
    }
    r.mem = space_new("mem", BIT64(52));
    r.ports = space_new("io", 65536);
    r.clk = clock_new(CLOCK_FAKE, 0);
    space_map_ram(r.mem, 0, RAM_SIZE, r.ram, 0, MAP_RW, 0);
    struct cpu_config cc = {
        .model = argv[1], .clk = r.clk, .mem = r.mem, .ports = r.ports, .ram = r.ram};
    if (cpu_new(&cc, &r.cpu, &err) != ST_OK) {
        fprintf(stderr, "%s\n", err.msg);
        return 2;
    }
    if (old)
        r.cpu->mmu.a20_mask = 0xfffff;
    r.one = old;
    u16 mask = (u16)strtoul(argv[2], NULL, 16);
    for (int k = 3; k < argc; k++)
        failed += run_file(&r, argv[k], mask);
    cpu_free(r.cpu);
    space_free(r.mem);
    space_free(r.ports);
    clock_free(r.clk);
    ram_free(r.ram);
    return failed != 0;
}
