/*
 * cpu/decode_old.c - encodings as the 8086 and 80286 took them.
 *
 * The decoder library knows the 80386 and later. What the old chips did otherwise is put into the
 * same words first: prefixes that then meant nothing are dropped, aliases become the opcode they
 * stood for, and the result is decoded as any other. Nothing here runs for later models.
 *
 * The 8086 decodes every byte: bits that later became opcodes of their own were not looked at.
 * iAPX 86/88 User's Manual (1981), table 4-12; iAPX 286 Programmer's Reference Manual, B ("LOCK",
 * interrupt 13: instructions of more than 10 bytes); the recorded suites.
 */
#include "cpu/decode_priv.h"
#include "cpu/interp_priv.h"

enum { MAX_286 = 10 };

/* F1 is LOCK on the 8086; on the 80286 it changes memory cycles of an emulator that is not there.
 */
static bool is_prefix(u8 b)
{
    return b == 0x26 || b == 0x2e || b == 0x36 || b == 0x3e || b == 0xf0 || b == 0xf2 ||
           b == 0xf3 || b == 0xf1;
}

static bool is_string(u8 op)
{
    return (op >= 0x6c && op <= 0x6f) || (op >= 0xa4 && op <= 0xa7) || (op >= 0xaa && op <= 0xaf);
}

/* What remains to be done when the instruction has been decoded. */
enum patch { PATCH_NONE, PATCH_CS, PATCH_SETMO, PATCH_ESC, PATCH_LOADALL };

/* The 8086's opcode and ModRM at op, avail bytes, into one that the library knows. */
static enum patch rename_8086(u8 *op, int avail)
{
    u8 reg = avail > 1 ? op[1] >> 3 & 7 : 0;

    if ((op[0] & 0xf0) == 0x60) { /* bit 4 of the conditional jumps */
        op[0] |= 0x10;
        return PATCH_NONE;
    }
    switch (op[0]) {
    case 0x0f: /* POP CS: as POP ES */
        op[0] = 0x07;
        return PATCH_CS;
    case 0xc0: /* RET, RETF: bit 1 */
    case 0xc1:
    case 0xc8:
    case 0xc9:
        op[0] |= 2;
        return PATCH_NONE;
    case 0x8e: /* two bits of segment register; CS is one */
        if (avail > 1) {
            op[1] &= (u8)~0x20;
            if ((reg & 3) == 1) {
                op[1] &= (u8)~0x38;
                return PATCH_CS;
            }
        }
        return PATCH_NONE;
    case 0x8c:
        if (avail > 1)
            op[1] &= (u8)~0x20;
        return PATCH_NONE;
    case 0x8f: /* one instruction in the group: the field is not looked at */
    case 0xc6:
    case 0xc7:
        if (avail > 1)
            op[1] &= (u8)~0x38;
        return PATCH_NONE;
    case 0xd0: /* /6: all ones */
    case 0xd1:
    case 0xd2:
    case 0xd3:
        return reg == 6 ? PATCH_SETMO : PATCH_NONE;
    case 0xff: /* /7: PUSH */
        if (reg == 7)
            op[1] &= (u8)~0x08;
        return PATCH_NONE;
    default:
        return PATCH_NONE;
    }
}

int decode_old(struct cpu *cpu, const u8 *bytes, int avail, u32 key, struct insn *out,
               struct decode_shape *shape)
{
    bool is_8086 = !cpu_has(cpu, FEAT_I286), rep = false;
    u8 rest[15];
    int k = 0, n = 0;
    enum patch patch = PATCH_NONE;

    avail = MIN(avail, 15);
    for (; k < avail && is_prefix(bytes[k]); k++) {
        rep |= bytes[k] == 0xf2 || bytes[k] == 0xf3;
        if (bytes[k] != 0xf0 && bytes[k] != 0xf1)
            rest[n++] = bytes[k];
    }
    if (k == avail) /* only prefixes so far */
        return avail < 15 ? 0 : decode_invalid(out, 1, is_8086 ? EX_GP : EX_UD);
    if (rep && !is_string(bytes[k])) { /* F3 90 is no PAUSE yet */
        int m = 0;
        for (int j = 0; j < n; j++)
            if (rest[j] != 0xf2 && rest[j] != 0xf3)
                rest[m++] = rest[j];
        n = m;
    }
    int dropped = k - n, start = n;
    while (k < avail)
        rest[n++] = bytes[k++];
    if (is_8086)
        patch = rename_8086(rest + start, n - start);
    if (!is_8086 && n - start >= 2 && rest[start] == 0x0f && rest[start + 1] == 0x05) {
        rest[start + 1] = 0x06; /* CLTS: as long */
        patch = PATCH_LOADALL;
    }
    if (!cpu_has(cpu, FEAT_FPU) && (rest[start] & 0xf8) == 0xd8) {
        rest[start] = 0x84; /* as long, and decoded by all */
        patch = PATCH_ESC;
    }
    shape->changed = dropped || is_8086 || patch != PATCH_NONE;
    int len = decode_known(cpu, rest, n, key, out, shape);
    if (len == 0 && avail >= 15) /* enough for any instruction of those without the prefixes */
        return decode_invalid(out, 1, EX_UD);
    if (len <= 0)
        return len;
    len += dropped;
    if (!is_8086 && len > MAX_286)
        return decode_invalid(out, 1, EX_GP);
    out->len = (u8)len;
    if (rep && out->row == INSN_IDIV_8086)
        out->flags |= INF_REP; /* changes the quotient's sign */
    switch (patch) {
    case PATCH_CS:
        out->reg[0] = SEG_CS;
        break;
    case PATCH_SETMO:
        out->row = INSN_SETMO;
        break;
    case PATCH_ESC:
        out->row = INSN_ESC;
        break;
    case PATCH_LOADALL:
        out->row = INSN_LOADALL;
        out->flags |= INF_EXIT;
        break;
    case PATCH_NONE:
        break;
    }
    return len;
}

void decode_wrapped(struct cpu *cpu, struct insn *out)
{
    u8 bytes[15];
    const struct seg *cs = &cpu->seg[SEG_CS];
    for (u32 k = 0; k < sizeof(bytes); k++)
        bytes[k] = (u8)mmu_read(&cpu->mmu, cpu->view, cs->base + ((cpu->rip + k) & 0xffff), 1);
    decode_insn(cpu, bytes, sizeof(bytes), cpu->key, out);
    insn_place(out, 0);
}
