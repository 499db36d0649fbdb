/*
 * frontends/lockstep/differ.c - what differs between two CPUs and two memories, in words.
 */
#include "frontends/lockstep/lockstep_priv.h"

#include <inttypes.h>
#include <string.h>

bool regs_equal(const struct cpu_regs *a, const struct cpu_regs *b)
{
    return !memcmp(a, b, sizeof(*a)); /* vm_get_regs clears the padding */
}

static void line64(FILE *f, const char *name, u64 a, u64 b)
{
    if (a != b)
        fprintf(f, "  %-8s %016" PRIx64 "  %016" PRIx64 "\n", name, a, b);
}

static void line_seg(FILE *f, const char *name, const struct cpu_seg_state *a,
                     const struct cpu_seg_state *b)
{
    if (a->sel != b->sel || a->attr != b->attr || a->limit != b->limit || a->base != b->base)
        fprintf(f,
                "  %-8s %04x base %" PRIx64 " limit %x attr %04x  %04x base %" PRIx64
                " limit %x attr %04x\n",
                name, a->sel, a->base, a->limit, a->attr, b->sel, b->base, b->limit, b->attr);
}

static void hex(FILE *f, const u8 *p, int n)
{
    while (n--)
        fprintf(f, "%02x", p[n]);
}

static void line_bytes(FILE *f, const char *name, const u8 *a, const u8 *b, int n)
{
    if (!memcmp(a, b, (size_t)n))
        return;
    fprintf(f, "  %-8s ", name);
    hex(f, a, n);
    fprintf(f, "  ");
    hex(f, b, n);
    fprintf(f, "\n");
}

static void vectors(FILE *f, const u8 *a, const u8 *b)
{
    char name[16];
    for (int k = 0; k < 16; k++) {
        u8 x[32], y[32];
        memcpy(x, a + 160 + 16 * k, 16);
        memcpy(x + 16, a + 576 + 16 * k, 16);
        memcpy(y, b + 160 + 16 * k, 16);
        memcpy(y + 16, b + 576 + 16 * k, 16);
        snprintf(name, sizeof(name), "ymm%d", k);
        line_bytes(f, name, x, y, 32);
    }
}

void regs_print(FILE *f, const char *name_a, const struct cpu_regs *a, const char *name_b,
                const struct cpu_regs *b)
{
    static const char *const gpr[16] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                        "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
    static const char *const seg[CPU_SEGS] = {"es", "cs", "ss", "ds", "fs", "gs"};
    static const struct {
        const char *name;
        u16 at;
        u8 n;
    } fpu[] = {{"fcw", 0, 2}, {"fsw", 2, 2},  {"ftw", 4, 1},   {"fop", 6, 2},
               {"fip", 8, 8}, {"fdp", 16, 8}, {"mxcsr", 24, 4}};
    char name[16];

    if (regs_equal(a, b))
        return;
    fprintf(f, "  %-8s %-16.16s  %-16.16s\n", "", name_a, name_b);
    for (int k = 0; k < 16; k++)
        line64(f, gpr[k], a->gpr[k], b->gpr[k]);
    line64(f, "rip", a->rip, b->rip);
    line64(f, "rflags", a->rflags, b->rflags);
    for (int k = 0; k < CPU_SEGS; k++)
        line_seg(f, seg[k], &a->seg[k], &b->seg[k]);
    line_seg(f, "ldtr", &a->ldtr, &b->ldtr);
    line_seg(f, "tr", &a->tr, &b->tr);
    line64(f, "gdt", a->gdtr.base, b->gdtr.base);
    line64(f, "gdtlim", a->gdtr.limit, b->gdtr.limit);
    line64(f, "idt", a->idtr.base, b->idtr.base);
    line64(f, "idtlim", a->idtr.limit, b->idtr.limit);
    line64(f, "cr0", a->cr0, b->cr0);
    line64(f, "cr2", a->cr2, b->cr2);
    line64(f, "cr3", a->cr3, b->cr3);
    line64(f, "cr4", a->cr4, b->cr4);
    line64(f, "efer", a->efer, b->efer);
    line64(f, "xcr0", a->xcr0, b->xcr0);
    for (int k = 0; k < 8; k++) {
        snprintf(name, sizeof(name), "dr%d", k);
        line64(f, name, a->dr[k], b->dr[k]);
    }
    line64(f, "cpl", a->cpl, b->cpl);
    line64(f, "bits", a->mode_bits, b->mode_bits);
    for (size_t k = 0; k < ARRAY_LEN(fpu); k++)
        line_bytes(f, fpu[k].name, a->xsave + fpu[k].at, b->xsave + fpu[k].at, fpu[k].n);
    for (int k = 0; k < 8; k++) {
        snprintf(name, sizeof(name), "st%d", k);
        line_bytes(f, name, a->xsave + 32 + 16 * k, b->xsave + 32 + 16 * k, 10);
    }
    vectors(f, a->xsave, b->xsave);
}

void bytes_print(FILE *f, u64 where, const u8 *a, const u8 *b, size_t len, int lines)
{
    for (size_t k = 0; k < len && lines; k += 16) {
        size_t n = MIN(len - k, (size_t)16);
        if (!memcmp(a + k, b + k, n))
            continue;
        fprintf(f, "  %010" PRIx64 " ", where + k);
        for (size_t j = 0; j < n; j++)
            fprintf(f, "%s%02x", j % 8 ? "" : " ", a[k + j]);
        fprintf(f, " ");
        for (size_t j = 0; j < n; j++)
            fprintf(f, "%s%02x", j % 8 ? "" : " ", b[k + j]);
        fprintf(f, "\n");
        lines--;
    }
}

u64 digest(u64 start, const u8 *p, size_t len)
{
    enum { LANES = 4 };
    const u64 mul = 0x9e3779b97f4a7c15ull;
    u64 h[LANES], w;
    for (u64 k = 0; k < LANES; k++)
        h[k] = start + k * mul;
    while (len >= 8 * LANES) {
        for (int k = 0; k < LANES; k++) {
            memcpy(&w, p + 8 * k, 8);
            h[k] = ((h[k] ^ w) * mul) ^ (h[k] >> 29);
        }
        p += 8 * LANES;
        len -= 8 * LANES;
    }
    u64 sum = len;
    for (; len; len--)
        h[len % LANES] = (h[len % LANES] ^ *p++) * mul;
    for (int k = 0; k < LANES; k++)
        sum = (sum ^ h[k] ^ h[k] >> 31) * mul;
    return sum ^ sum >> 32;
}
