/*
 * tests/insn/test_facts.c - insn_facts against execution: what is claimed unread does not matter,
 * what is claimed unwritten stays, what is claimed replaced does not depend on its old value.
 *
 * Random integer instructions on registers run twice on a CPU, with the same values where the facts
 * say "read" and others elsewhere. Memory, which needs addresses, is a short table of examples.
 */
#include <criterion/criterion.h>

#include "cpu/insn/facts.h"
#include "tests/insn/insn_test.h"

#include <stdio.h>

enum { TRIES = 400000, RUNS = 4 };

static bool integer_row(u16 id)
{
    static const bool ours[INSN_COUNT] = {
#define INSN(id, mnem, when, exec, priv, sees, changes, faults, bt) [INSN_##id] = true,
#include "cpu/insn/integer.def"
#undef INSN
    };
    return ours[id];
}

/* Rows whose result is not a function of registers and flags. */
static bool is_random(u16 id)
{
    return id == INSN_RDRAND || id == INSN_RDSEED;
}

static int random_bytes(u8 *b, u64 *seed, bool bits64)
{
    static const u8 prefixes[] = {0x66, 0xf2, 0xf3};
    int n = 0;
    u64 r = next_random(seed);
    if ((r & 7) < 3)
        b[n++] = prefixes[r & 7];
    if ((r >> 8 & 3) == 0 && !(r & 4)) { /* BMI: VEX with W, vvvv, L = 0, pp */
        b[n++] = 0xc4;
        b[n++] = (u8)(0xe0 | (2 + (r >> 10 & 1)));
        b[n++] = (u8)((r >> 12 & 1) << 7 | 0x40 | (r >> 13 & 7) << 3 | (r >> 16 & 3));
        b[n++] = (u8)(0xf0 | (r >> 20 & 7));
    } else {
        if (bits64 && (r >> 10 & 1))
            b[n++] = (u8)(0x40 | (r >> 12 & 15));
        int map = (int)(r >> 16 & 7);
        if (map >= 4)
            b[n++] = 0x0f;
        if (map == 7)
            b[n++] = 0x38;
        b[n++] = (u8)(r >> 24);
    }
    b[n++] = (u8)(0xc0 | (r >> 32 & 0x3f));
    for (; n < 15; n++)
        b[n] = (u8)(next_random(seed) >> 13);
    if (r >> 40 & 1) /* immediate counts of 0 and 1 */
        for (int k = 3; k < 8; k++)
            b[k] = (u8)(b[k] & 0x21);
    return 15;
}

static const char *hex(const u8 *b, int n)
{
    static char text[64];
    for (int k = 0; k < n; k++)
        sprintf(text + 3 * k, "%02x ", b[k]);
    return text;
}

/* Bits that differ between two runs although neither run left them as they were. */
static u64 dependent(u64 old1, u64 new1, u64 old2, u64 new2)
{
    return (new1 ^ new2) & ((new1 ^ old1) | (new2 ^ old2));
}

static void compare_runs(struct box *b, const struct insn *i, const struct insn_facts *f,
                         const u8 *bytes, u64 *seed, u64 mask)
{
    struct regs a, c;
    const char *name = insn_rows[f->row].name;
    u32 flags = FL_ARITH | FL_DF;

    for (int r = 0; r < 16; r++) {
        a.gpr[r] = next_operand(seed) & mask;
        c.gpr[r] = (f->gpr_read >> r & 1) ? a.gpr[r] : next_operand(seed) & mask;
    }
    a.flags = next_random(seed) & flags;
    c.flags = (a.flags & f->flags_read) | (next_random(seed) & flags & ~f->flags_read);
    struct regs a0 = a, c0 = c;
    int va = box_exec(b, i, &a), vc = box_exec(b, i, &c);
    cr_assert(va == vc, "%s %s faults on what it does not read: %d %d", hex(bytes, f->len), name,
              va, vc);
    if (va >= 0)
        return;
    for (int r = 0; r < 16; r++) {
        if (!(f->gpr_may >> r & 1))
            cr_assert(a.gpr[r] == a0.gpr[r], "%s %s: register %d is written", hex(bytes, f->len),
                      name, r);
        else if (f->gpr_must >> r & 1)
            cr_assert(a.gpr[r] == c.gpr[r], "%s %s: register %d depends on what is not read",
                      hex(bytes, f->len), name, r);
        else
            cr_assert(!dependent(a0.gpr[r], a.gpr[r], c0.gpr[r], c.gpr[r]),
                      "%s %s: part of register %d depends on what is not read", hex(bytes, f->len),
                      name, r);
    }
    u32 must = f->flags_must & flags, may = f->flags_may & flags;
    cr_assert(!((a.flags ^ a0.flags) & flags & ~may), "%s %s: flags %llx are written",
              hex(bytes, f->len), name, (unsigned long long)((a.flags ^ a0.flags) & ~may));
    cr_assert(!((a.flags ^ c.flags) & must), "%s %s: flags %llx depend on what is not read",
              hex(bytes, f->len), name, (unsigned long long)((a.flags ^ c.flags) & must));
    cr_assert(!(dependent(a0.flags, a.flags, c0.flags, c.flags) & may & ~f->flags_undefined),
              "%s %s: optional flags depend on what is not read", hex(bytes, f->len), name);
}

/* Runs random instructions; ran counts them by row. */
static void run_random(struct box *b, u64 seed, u64 mask, u32 *ran)
{
    bool bits64 = b->cpu->key & KEY_64;
    for (int t = 0; t < TRIES; t++) {
        u8 bytes[32] = {0};
        struct insn_facts f;
        struct insn i;
        random_bytes(bytes, &seed, bits64);
        if (!insn_facts(b->cpu, bytes, 15, b->cpu->key, &f) || !integer_row(f.row) || f.mem_read ||
            f.mem_write || f.barrier || is_random(f.row))
            continue;
        cr_assert(decode_insn(b->cpu, bytes, 15, b->cpu->key, &i) == f.len && i.row == f.row);
        if (i.kind[0] == OP_MEM || i.kind[1] == OP_MEM)
            continue; /* LEA is a register instruction, NOP and PREFETCH do nothing */
        for (int n = 0; n < RUNS; n++)
            compare_runs(b, &i, &f, bytes, &seed, mask);
        ran[f.row]++;
    }
}

Test(facts, agree_with_execution, .timeout = 200)
{
    static u32 ran[INSN_COUNT];
    struct box *b = box_new(NULL);
    run_random(b, 1, ~0ull, ran);
    box_mode32(b);
    run_random(b, 2, 0xffffffff, ran);
    box_mode16(b);
    run_random(b, 3, 0xffffffff, ran);
    box_free(b);
    static const u16 must_run[] = {
        INSN_MOV,   INSN_MOVZX, INSN_XCHG, INSN_BSWAP, INSN_CBW,     INSN_CQO,  INSN_SETZ,
        INSN_CMOVZ, INSN_ADD,   INSN_ADC,  INSN_CMP,   INSN_INC,     INSN_SHL,  INSN_SAR,
        INSN_ROL,   INSN_RCL,   INSN_RCR,  INSN_SHLD,  INSN_MUL,     INSN_IMUL, INSN_DIV,
        INSN_DAA,   INSN_AAM,   INSN_BT,   INSN_BTS,   INSN_BSF,     INSN_BSR,  INSN_POPCNT,
        INSN_LAHF,  INSN_SAHF,  INSN_CMC,  INSN_STD,   INSN_CMPXCHG, INSN_XADD, INSN_SALC,
        INSN_NEG,   INSN_NOT,   INSN_XOR,  INSN_TEST,  INSN_AAA,     INSN_AAD,
    };
    for (size_t k = 0; k < ARRAY_LEN(must_run); k++)
        cr_expect(ran[must_run[k]] >= 10, "%s was run %u times", insn_rows[must_run[k]].name,
                  ran[must_run[k]]);
}

/* ---- examples -------------------------------------------------------------------------------- */
enum { AX = 1 << RAX, CX = 1 << RCX, DX = 1 << RDX, BX = 1 << RBX };
enum { SP = 1 << RSP, BP = 1 << RBP, SI = 1 << RSI, DI = 1 << RDI };
enum { LD = 1, ST = 2 };

Test(facts, examples)
{
    static const struct {
        const char *text;
        u8 bytes[12];
        u16 read, must, may;
        u32 fread, fmust, fmay;
        int mem;
    } cases[] = {
        {"rep movsb", {0xf3, 0xa4}, CX | SI | DI, 0, CX | SI | DI, FL_DF, 0, 0, LD | ST},
        {"movsb", {0xa4}, SI | DI, SI | DI, SI | DI, FL_DF, 0, 0, LD | ST},
        {"repe cmpsb", {0xf3, 0xa6}, CX | SI | DI, 0, CX | SI | DI, FL_DF | FL_ZF, 0, FL_ARITH, LD},
        {"cmpsb", {0xa6}, SI | DI, 0, SI | DI, FL_DF, FL_ARITH, FL_ARITH, LD},
        {"repne scasb", {0xf2, 0xae}, AX | CX | DI, 0, CX | DI, FL_DF | FL_ZF, 0, FL_ARITH, LD},
        {"lodsq", {0x48, 0xad}, SI, AX, AX | SI, FL_DF, 0, 0, LD},
        {"rep stosd", {0xf3, 0xab}, AX | CX | DI, 0, CX | DI, FL_DF, 0, 0, ST},
        {"push rax", {0x50}, AX | SP, 0, SP, 0, 0, 0, ST},
        {"pop rax", {0x58}, SP, AX, AX | SP, 0, 0, 0, LD},
        {"lea eax,[rdi+rcx*4]", {0x8d, 0x04, 0x8f}, CX | DI, AX, AX, 0, 0, 0, 0},
        {"mov al,[rbx]", {0x8a, 0x03}, BX, 0, AX, 0, 0, 0, LD},
        {"mov [rbx],ah", {0x88, 0x23}, AX | BX, 0, 0, 0, 0, 0, ST},
        {"add [rbx],ecx", {0x01, 0x0b}, BX | CX, 0, 0, 0, FL_ARITH, FL_ARITH, LD | ST},
        {"shl eax,cl", {0xd3, 0xe0}, AX | CX, AX, AX, 0, 0, FL_ARITH, 0},
        {"shl eax,5", {0xc1, 0xe0, 5}, AX, AX, AX, 0, FL_CF | FL_PF | FL_ZF | FL_SF, FL_ARITH, 0},
        {"shl eax,32", {0xc1, 0xe0, 32}, AX, AX, AX, 0, 0, FL_ARITH, 0},
        {"bsf ecx,eax", {0x0f, 0xbc, 0xc8}, AX, 0, CX, 0, FL_ZF, FL_ARITH, 0},
        {"cmovz ecx,[rax]", {0x0f, 0x44, 0x08}, AX, 0, CX, FL_ZF, 0, 0, LD},
        {"cmpxchg [rbx],ecx",
         {0x0f, 0xb1, 0x0b},
         AX | BX | CX,
         0,
         AX,
         0,
         FL_ARITH,
         FL_ARITH,
         LD | ST},
        {"xlatb", {0xd7}, AX | BX, 0, AX, 0, 0, 0, LD},
        {"nop [rax]", {0x0f, 0x1f, 0x00}, AX, 0, 0, 0, 0, 0, 0},
        {"enter 16,2", {0xc8, 16, 0, 2}, BP | SP, BP, BP | SP, 0, 0, 0, LD | ST},
        {"leave", {0xc9}, BP | SP, BP, BP | SP, 0, 0, 0, LD},
        {"clc", {0xf8}, 0, 0, 0, 0, FL_CF, FL_CF, 0},
        {"jz", {0x74, 0x10}, 0, 0, 0, FL_ZF, 0, 0, 0},
        {"loop", {0xe2, 0x10}, CX, CX, CX, 0, 0, 0, 0},
        {"div ecx", {0xf7, 0xf1}, AX | CX | DX, AX | DX, AX | DX, 0, 0, FL_ARITH, 0},
    };
    struct box *b = box_new(NULL);
    for (size_t k = 0; k < ARRAY_LEN(cases); k++) {
        struct insn_facts f;
        u8 bytes[15] = {0};
        memcpy(bytes, cases[k].bytes, sizeof(cases[k].bytes));
        cr_assert(insn_facts(b->cpu, bytes, 15, KEY_64, &f), "%s", cases[k].text);
        int mem = (f.mem_read ? LD : 0) | (f.mem_write ? ST : 0);
        cr_expect(f.gpr_read == cases[k].read && f.gpr_must == cases[k].must &&
                      f.gpr_may == cases[k].may,
                  "%s: registers %x %x %x", cases[k].text, f.gpr_read, f.gpr_must, f.gpr_may);
        cr_expect(f.flags_read == cases[k].fread && f.flags_must == cases[k].fmust &&
                      f.flags_may == cases[k].fmay,
                  "%s: flags %x %x %x", cases[k].text, f.flags_read, f.flags_must, f.flags_may);
        cr_expect(mem == cases[k].mem, "%s: memory %d", cases[k].text, mem);
        cr_expect(!(f.gpr_must & ~f.gpr_may) && !(f.flags_must & ~f.flags_may), "%s",
                  cases[k].text);
    }
    box_free(b);
}

Test(facts, refuses_what_decode_refuses)
{
    struct box *b = box_new("386");
    struct insn_facts f;
    static const u8 cmov[15] = {0x0f, 0x44, 0xc1}, add[15] = {0x01, 0xc1};
    cr_expect(!insn_facts(b->cpu, cmov, 15, KEY_32, &f));
    cr_expect(!insn_facts(b->cpu, add, 1, KEY_32, &f));
    cr_expect(insn_facts(b->cpu, add, 2, KEY_32, &f) && f.row == INSN_ADD && f.len == 2);
    static const u8 far_jump[15] = {0xea};
    cr_expect(insn_facts(b->cpu, far_jump, 15, KEY_32, &f) && f.barrier);
    box_free(b);
}
