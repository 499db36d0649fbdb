/*
 * tests/insn/test_integer.c - every integer row in 64-bit mode against the host's silicon.
 *
 * A form is an opcode with a ModRM shape; it is run at each operand size, on registers and on
 * memory, with boundary and random operands, by the row's exec function and by the interpreter
 * with its fast handlers. Registers: RAX destination, RCX source or count, RBX
 * the address of the memory operand, RSI and RDI string pointers, RSP a stack, all in the data
 * area; the rest random.
 */
#include <criterion/criterion.h>

#include "tests/insn/insn_test.h"

#include <stdio.h>

enum shape {
    PLAIN,  /* no ModRM */
    RM_REG, /* ModRM: rm = RAX or [RBX], reg = RCX */
    GROUP,  /* ModRM: rm = RAX or [RBX], reg = a digit */
    FIXED,  /* whole instruction given; no sizes */
};
enum {
    S8 = 1,
    S16 = 2,
    S32 = 4,
    S64 = 8,
    WIDE = S16 | S32 | S64,
    ALL = S8 | WIDE, /* the 8-bit form's opcode is the last byte - 1 */
    REG = 16,
    MEM = 32,
    RM = REG | MEM,
    LOCKED = 64,    /* also with LOCK, in memory */
    NEAR_BIT = 128, /* RCX is a small bit offset when the operand is in memory */
    IMM8 = 256,
    IMMZ = 512, /* imm16 or imm32, imm8 for the 8-bit form */
    ALIGN16 = 1024,
    COUNT = 2048, /* RCX is small: string lengths */
    D64 = 4096,   /* 64-bit operands by default, no REX.W needed; S64 and S16 only */
};

struct form {
    const char *name;
    enum shape shape;
    u8 prefix; /* mandatory 66, F2, F3, or 0 */
    u8 n;      /* opcode bytes */
    u8 op[12];
    u8 digit;
    int what;
};
#define OP1(a)                                                                                     \
    1,                                                                                             \
    {                                                                                              \
        a                                                                                          \
    }
#define OP2(a, b)                                                                                  \
    2,                                                                                             \
    {                                                                                              \
        a, b                                                                                       \
    }
#define OP3(a, b, c)                                                                               \
    3,                                                                                             \
    {                                                                                              \
        a, b, c                                                                                    \
    }
#define ALU(name, op, digit)                                                                       \
    {name " rm,r", RM_REG, 0, OP1(op), 0, ALL | RM | LOCKED},                                      \
        {name " r,rm", RM_REG, 0, OP1(op + 2), 0, ALL | RM},                                       \
        {name " rm,immz", GROUP, 0, OP1(0x81), digit, ALL | RM | IMMZ | LOCKED},                   \
        {name " rm,imm8", GROUP, 0, OP1(0x83), digit, WIDE | RM | IMM8 | LOCKED},                  \
    {                                                                                              \
        name " a,imm", PLAIN, 0, OP1(op + 4), 0, ALL | IMMZ                                        \
    }
#define SHIFTS(name, digit)                                                                        \
    {name " rm,imm8", GROUP, 0, OP1(0xc1), digit, ALL | RM | IMM8},                                \
        {name " rm,1", GROUP, 0, OP1(0xd1), digit, ALL | RM},                                      \
    {                                                                                              \
        name " rm,cl", GROUP, 0, OP1(0xd3), digit, ALL | RM                                        \
    }
#define BITS(name, op, digit, lock)                                                                \
    {name " rm,r", RM_REG, 0, OP2(0x0f, op), 0, WIDE | RM | NEAR_BIT | lock},                      \
    {                                                                                              \
        name " rm,imm8", GROUP, 0, OP2(0x0f, 0xba), digit, WIDE | RM | IMM8 | lock                 \
    }
#define SETCMOV(cc)                                                                                \
    {"setcc", GROUP, 0, OP2(0x0f, 0x90 + cc), 0, S8 | RM | D64},                                   \
    {                                                                                              \
        "cmovcc", RM_REG, 0, OP2(0x0f, 0x40 + cc), 0, WIDE | RM                                    \
    }
#define STRING(name, op)                                                                           \
    {name, PLAIN, 0, OP1(op), 0, ALL}, {"rep " name, PLAIN, 0xf3, OP1(op), 0, ALL | COUNT},        \
    {                                                                                              \
        "repne " name, PLAIN, 0xf2, OP1(op), 0, ALL | COUNT                                        \
    }

static const struct form forms[] = {
    ALU("add", 0x01, 0),
    ALU("or", 0x09, 1),
    ALU("adc", 0x11, 2),
    ALU("sbb", 0x19, 3),
    ALU("and", 0x21, 4),
    ALU("sub", 0x29, 5),
    ALU("xor", 0x31, 6),
    {"cmp rm,r", RM_REG, 0, OP1(0x39), 0, ALL | RM},
    {"cmp r,rm", RM_REG, 0, OP1(0x3b), 0, ALL | RM},
    {"cmp rm,immz", GROUP, 0, OP1(0x81), 7, ALL | RM | IMMZ},
    {"test rm,r", RM_REG, 0, OP1(0x85), 0, ALL | RM},
    {"test rm,immz", GROUP, 0, OP1(0xf7), 0, ALL | RM | IMMZ},
    {"xchg", RM_REG, 0, OP1(0x87), 0, ALL | RM | LOCKED},
    {"xchg a,c", PLAIN, 0, OP1(0x91), 0, WIDE},
    {"mov rm,r", RM_REG, 0, OP1(0x89), 0, ALL | RM},
    {"mov r,rm", RM_REG, 0, OP1(0x8b), 0, ALL | RM},
    {"mov rm,imm", GROUP, 0, OP1(0xc7), 0, ALL | RM | IMMZ},
    {"not", GROUP, 0, OP1(0xf7), 2, ALL | RM | LOCKED},
    {"neg", GROUP, 0, OP1(0xf7), 3, ALL | RM | LOCKED},
    {"inc", GROUP, 0, OP1(0xff), 0, ALL | RM | LOCKED},
    {"dec", GROUP, 0, OP1(0xff), 1, ALL | RM | LOCKED},
    {"mul", GROUP, 0, OP1(0xf7), 4, ALL | RM},
    {"imul", GROUP, 0, OP1(0xf7), 5, ALL | RM},
    {"div", GROUP, 0, OP1(0xf7), 6, ALL | RM},
    {"idiv", GROUP, 0, OP1(0xf7), 7, ALL | RM},
    {"imul r,rm", RM_REG, 0, OP2(0x0f, 0xaf), 0, WIDE | RM},
    {"imul r,rm,imm8", RM_REG, 0, OP1(0x6b), 0, WIDE | RM | IMM8},
    {"imul r,rm,imm", RM_REG, 0, OP1(0x69), 0, WIDE | RM | IMMZ},
    SHIFTS("rol", 0),
    SHIFTS("ror", 1),
    SHIFTS("rcl", 2),
    SHIFTS("rcr", 3),
    SHIFTS("shl", 4),
    SHIFTS("shr", 5),
    SHIFTS("sal", 6),
    SHIFTS("sar", 7),
    {"shld imm", RM_REG, 0, OP2(0x0f, 0xa4), 0, WIDE | RM | IMM8},
    {"shld cl", RM_REG, 0, OP2(0x0f, 0xa5), 0, WIDE | RM},
    {"shrd imm", RM_REG, 0, OP2(0x0f, 0xac), 0, WIDE | RM | IMM8},
    {"shrd cl", RM_REG, 0, OP2(0x0f, 0xad), 0, WIDE | RM},
    BITS("bt", 0xa3, 4, 0),
    BITS("bts", 0xab, 5, LOCKED),
    BITS("btr", 0xb3, 6, LOCKED),
    BITS("btc", 0xbb, 7, LOCKED),
    {"bsf", RM_REG, 0, OP2(0x0f, 0xbc), 0, WIDE | RM},
    {"bsr", RM_REG, 0, OP2(0x0f, 0xbd), 0, WIDE | RM},
    {"tzcnt", RM_REG, 0xf3, OP2(0x0f, 0xbc), 0, WIDE | RM},
    {"lzcnt", RM_REG, 0xf3, OP2(0x0f, 0xbd), 0, WIDE | RM},
    {"popcnt", RM_REG, 0xf3, OP2(0x0f, 0xb8), 0, WIDE | RM},
    {"movzx b", RM_REG, 0, OP2(0x0f, 0xb6), 0, WIDE | RM},
    {"movzx w", RM_REG, 0, OP2(0x0f, 0xb7), 0, S32 | S64 | RM},
    {"movsx b", RM_REG, 0, OP2(0x0f, 0xbe), 0, WIDE | RM},
    {"movsx w", RM_REG, 0, OP2(0x0f, 0xbf), 0, S32 | S64 | RM},
    {"movsxd", RM_REG, 0, OP1(0x63), 0, WIDE | RM},
    {"movbe load", RM_REG, 0, OP3(0x0f, 0x38, 0xf0), 0, WIDE | MEM},
    {"movbe store", RM_REG, 0, OP3(0x0f, 0x38, 0xf1), 0, WIDE | MEM},
    {"crc32", RM_REG, 0xf2, OP3(0x0f, 0x38, 0xf1), 0, ALL | RM},
    {"adcx", RM_REG, 0x66, OP3(0x0f, 0x38, 0xf6), 0, S32 | S64 | RM},
    {"adox", RM_REG, 0xf3, OP3(0x0f, 0x38, 0xf6), 0, S32 | S64 | RM},
    {"bswap", PLAIN, 0, OP2(0x0f, 0xc8), 0, WIDE},
    {"cbw", PLAIN, 0, OP1(0x98), 0, WIDE},
    {"cwd", PLAIN, 0, OP1(0x99), 0, WIDE},
    {"cmpxchg", RM_REG, 0, OP2(0x0f, 0xb1), 0, ALL | RM | LOCKED},
    {"xadd", RM_REG, 0, OP2(0x0f, 0xc1), 0, ALL | RM | LOCKED},
    {"cmpxchg8b", GROUP, 0, OP2(0x0f, 0xc7), 1, S32 | MEM | LOCKED},
    {"cmpxchg16b", GROUP, 0, OP2(0x0f, 0xc7), 1, S64 | MEM | LOCKED | ALIGN16},
    {"lea", RM_REG, 0, OP1(0x8d), 0, WIDE | MEM},
    {"push r", PLAIN, 0, OP1(0x51), 0, S16 | S64 | D64},
    {"push rsp", PLAIN, 0, OP1(0x54), 0, S16 | S64 | D64},
    {"push rm", GROUP, 0, OP1(0xff), 6, S16 | S64 | D64 | RM},
    {"push imm8", PLAIN, 0, OP1(0x6a), 0, S16 | S64 | D64 | IMM8},
    {"push imm", PLAIN, 0, OP1(0x68), 0, S16 | S64 | D64 | IMMZ},
    {"pop r", PLAIN, 0, OP1(0x59), 0, S16 | S64 | D64},
    {"pop rm", GROUP, 0, OP1(0x8f), 0, S16 | S64 | D64 | RM},
    {"leave", FIXED, 0, OP1(0xc9), 0, 0},
    {"leave w", FIXED, 0, OP2(0x66, 0xc9), 0, 0},
    {"enter 16,0", FIXED, 0, 4, {0xc8, 16, 0, 0}, 0, 0},
    {"enter 8,1", FIXED, 0, 4, {0xc8, 8, 0, 1}, 0, 0},
    {"enter 24,5", FIXED, 0, 4, {0xc8, 24, 0, 5}, 0, 0},
    {"enter 24,31+32", FIXED, 0, 4, {0xc8, 24, 0, 63}, 0, 0},
    {"enter w 6,2", FIXED, 0, 5, {0x66, 0xc8, 6, 0, 2}, 0, 0},
    {"pop [rsp+8]", FIXED, 0, 4, {0x8f, 0x44, 0x24, 8}, 0, 0},
    {"lahf", PLAIN, 0, OP1(0x9f), 0, S32},
    {"sahf", PLAIN, 0, OP1(0x9e), 0, S32},
    {"clc", PLAIN, 0, OP1(0xf8), 0, S32},
    {"stc", PLAIN, 0, OP1(0xf9), 0, S32},
    {"cmc", PLAIN, 0, OP1(0xf5), 0, S32},
    {"cld", PLAIN, 0, OP1(0xfc), 0, S32},
    {"std", PLAIN, 0, OP1(0xfd), 0, S32},
    {"xlat", PLAIN, 0, OP1(0xd7), 0, S32},
    SETCMOV(0),
    SETCMOV(1),
    SETCMOV(2),
    SETCMOV(3),
    SETCMOV(4),
    SETCMOV(5),
    SETCMOV(6),
    SETCMOV(7),
    SETCMOV(8),
    SETCMOV(9),
    SETCMOV(10),
    SETCMOV(11),
    SETCMOV(12),
    SETCMOV(13),
    SETCMOV(14),
    SETCMOV(15),
    STRING("movs", 0xa5),
    STRING("cmps", 0xa7),
    STRING("stos", 0xab),
    STRING("lods", 0xad),
    STRING("scas", 0xaf),
    /* AH CH DH BH as source, destination and both */
    {"add ah,cl", FIXED, 0, OP2(0x00, 0xcc), 0, 0},
    {"sub cl,bh", FIXED, 0, OP2(0x2a, 0xcf), 0, 0},
    {"xchg ah,dh", FIXED, 0, OP2(0x86, 0xf4), 0, 0},
    {"mov ch,imm", FIXED, 0, OP2(0xb5, 0x5a), 0, 0},
    {"inc bh", FIXED, 0, OP2(0xfe, 0xc7), 0, 0},
    {"shl dh,cl", FIXED, 0, OP2(0xd2, 0xe6), 0, 0},
    {"mul ch", FIXED, 0, OP2(0xf6, 0xe5), 0, 0},
    {"movsx ecx,ah", FIXED, 0, OP3(0x0f, 0xbe, 0xcc), 0, 0},
    {"movzx ecx,dh", FIXED, 0, OP3(0x0f, 0xb6, 0xce), 0, 0},
    {"cmpxchg ah,ch", FIXED, 0, OP3(0x0f, 0xb0, 0xec), 0, 0},
    {"cmpxchg ch,dl", FIXED, 0, OP3(0x0f, 0xb0, 0xd5), 0, 0},
    {"xadd ah,al", FIXED, 0, OP3(0x0f, 0xc0, 0xc4), 0, 0},
    {"xadd rcx,rcx", FIXED, 0, 4, {0x48, 0x0f, 0xc1, 0xc9}, 0, 0},
    {"cmpxchg eax,ecx", FIXED, 0, OP3(0x0f, 0xb1, 0xc8), 0, 0},
    {"add sil,r9b", FIXED, 0, OP3(0x44, 0x00, 0xce), 0, 0},
    {"mov rcx,imm64", FIXED, 0, 10, {0x48, 0xb9, 1, 2, 3, 4, 5, 6, 7, 0xf8}, 0, 0},
    {"lea rax,[rbx+rcx*8-7]", FIXED, 0, 5, {0x48, 0x8d, 0x44, 0xcb, 0xf9}, 0, 0},
    {"lea eax,[ebx+ecx*4+7]", FIXED, 0, 6, {0x67, 0x48, 0x8d, 0x44, 0x8b, 7}, 0, 0},
    {"lea rax,[rip+9]", FIXED, 0, 7, {0x48, 0x8d, 0x05, 9, 0, 0, 0}, 0, 0},
    {"mov eax,[ebx]", FIXED, 0, OP3(0x67, 0x8b, 0x03), 0, 0},
    {"nop", FIXED, 0, OP1(0x90), 0, 0},
    {"pause", FIXED, 0, OP2(0xf3, 0x90), 0, 0},
    {"nop [rbx]", FIXED, 0, OP3(0x0f, 0x1f, 0x03), 0, 0},
    {"endbr64", FIXED, 0, 4, {0xf3, 0x0f, 0x1e, 0xfa}, 0, 0},
    {"mfence", FIXED, 0, OP3(0x0f, 0xae, 0xf0), 0, 0},
    {"lfence", FIXED, 0, OP3(0x0f, 0xae, 0xe8), 0, 0},
    {"sfence", FIXED, 0, OP3(0x0f, 0xae, 0xf8), 0, 0},
    {"clflush [rbx]", FIXED, 0, OP3(0x0f, 0xae, 0x3b), 0, 0},
    {"prefetcht0 [rbx]", FIXED, 0, OP3(0x0f, 0x18, 0x0b), 0, 0},
    {"prefetchw [rbx]", FIXED, 0, OP3(0x0f, 0x0d, 0x0b), 0, 0},
    {"ud2", FIXED, 0, OP2(0x0f, 0x0b), 0, 0},
    /* VEX: 32 and 64 bits; destination RAX, sources RCX and RDX or [RBX] */
    {"andn eax,ecx,edx", FIXED, 0, 5, {0xc4, 0xe2, 0x70, 0xf2, 0xc2}, 0, 0},
    {"andn rax,rcx,[rbx]", FIXED, 0, 5, {0xc4, 0xe2, 0xf0, 0xf2, 0x03}, 0, 0},
    {"bextr eax,edx,ecx", FIXED, 0, 5, {0xc4, 0xe2, 0x70, 0xf7, 0xc2}, 0, 0},
    {"bextr rax,[rbx],rcx", FIXED, 0, 5, {0xc4, 0xe2, 0xf0, 0xf7, 0x03}, 0, 0},
    {"bzhi eax,edx,ecx", FIXED, 0, 5, {0xc4, 0xe2, 0x70, 0xf5, 0xc2}, 0, 0},
    {"bzhi rax,[rbx],rcx", FIXED, 0, 5, {0xc4, 0xe2, 0xf0, 0xf5, 0x03}, 0, 0},
    {"blsr ecx,edx", FIXED, 0, 5, {0xc4, 0xe2, 0x70, 0xf3, 0xca}, 0, 0},
    {"blsr rcx,[rbx]", FIXED, 0, 5, {0xc4, 0xe2, 0xf0, 0xf3, 0x0b}, 0, 0},
    {"blsmsk ecx,edx", FIXED, 0, 5, {0xc4, 0xe2, 0x70, 0xf3, 0xd2}, 0, 0},
    {"blsmsk rcx,[rbx]", FIXED, 0, 5, {0xc4, 0xe2, 0xf0, 0xf3, 0x13}, 0, 0},
    {"blsi ecx,edx", FIXED, 0, 5, {0xc4, 0xe2, 0x70, 0xf3, 0xda}, 0, 0},
    {"blsi rcx,[rbx]", FIXED, 0, 5, {0xc4, 0xe2, 0xf0, 0xf3, 0x1b}, 0, 0},
    {"mulx eax,ecx,edx", FIXED, 0, 5, {0xc4, 0xe2, 0x73, 0xf6, 0xc2}, 0, 0},
    {"mulx rax,rcx,[rbx]", FIXED, 0, 5, {0xc4, 0xe2, 0xf3, 0xf6, 0x03}, 0, 0},
    {"mulx rcx,rcx,rax", FIXED, 0, 5, {0xc4, 0xe2, 0xf3, 0xf6, 0xc8}, 0, 0},
    {"pdep eax,ecx,edx", FIXED, 0, 5, {0xc4, 0xe2, 0x73, 0xf5, 0xc2}, 0, 0},
    {"pdep rax,rcx,[rbx]", FIXED, 0, 5, {0xc4, 0xe2, 0xf3, 0xf5, 0x03}, 0, 0},
    {"pext eax,ecx,edx", FIXED, 0, 5, {0xc4, 0xe2, 0x72, 0xf5, 0xc2}, 0, 0},
    {"pext rax,rcx,[rbx]", FIXED, 0, 5, {0xc4, 0xe2, 0xf2, 0xf5, 0x03}, 0, 0},
    {"sarx eax,edx,ecx", FIXED, 0, 5, {0xc4, 0xe2, 0x72, 0xf7, 0xc2}, 0, 0},
    {"sarx rax,[rbx],rcx", FIXED, 0, 5, {0xc4, 0xe2, 0xf2, 0xf7, 0x03}, 0, 0},
    {"shlx eax,edx,ecx", FIXED, 0, 5, {0xc4, 0xe2, 0x71, 0xf7, 0xc2}, 0, 0},
    {"shlx rax,[rbx],rcx", FIXED, 0, 5, {0xc4, 0xe2, 0xf1, 0xf7, 0x03}, 0, 0},
    {"shrx eax,edx,ecx", FIXED, 0, 5, {0xc4, 0xe2, 0x73, 0xf7, 0xc2}, 0, 0},
    {"shrx rax,[rbx],rcx", FIXED, 0, 5, {0xc4, 0xe2, 0xf3, 0xf7, 0x03}, 0, 0},
    {"rorx eax,edx,5", FIXED, 0, 6, {0xc4, 0xe3, 0x7b, 0xf0, 0xc2, 5}, 0, 0},
    {"rorx rax,[rbx],32", FIXED, 0, 6, {0xc4, 0xe3, 0xfb, 0xf0, 0x03, 32}, 0, 0},
    {"rorx eax,edx,0", FIXED, 0, 6, {0xc4, 0xe3, 0x7b, 0xf0, 0xc2, 0}, 0, 0},
};

/* ---- from a form to bytes ------------------------------------------------------------------- */
static int assemble(const struct form *f, int size, bool mem, bool lock, u64 imm, u8 *out)
{
    u8 *p = out;
    if (f->shape == FIXED) {
        memcpy(out, f->op, f->n);
        return f->n;
    }
    if (lock)
        *p++ = 0xf0;
    if (size == 2)
        *p++ = 0x66;
    if (f->prefix)
        *p++ = f->prefix;
    if (size == 8 && !(f->what & D64))
        *p++ = 0x48;
    memcpy(p, f->op, f->n);
    p += f->n;
    if (size == 1 && !(f->what & D64))
        p[-1] -= 1; /* 8-bit forms have the even opcode */
    if (f->shape == RM_REG)
        *p++ = mem ? 0x0b : 0xc8;
    else if (f->shape == GROUP)
        *p++ = (u8)((mem ? 0x03 : 0xc0) | f->digit << 3);
    int n = f->what & IMM8 ? 1 : f->what & IMMZ ? MIN(size, 4) : 0;
    st_u64(p, imm);
    return (int)(p + n - out);
}

struct bench {
    struct box *box;
    u64 seed;
    u8 data[DATA_SIZE];
};

static void random_state(struct bench *t, const struct form *f, bool mem, struct regs *r)
{
    u64 *s = &t->seed;
    for (int k = 0; k < 16; k++)
        r->gpr[k] = next_operand(s);
    u64 align = f->what & ALIGN16 ? ~15ull : ~0ull;
    r->gpr[RBX] = (DATA_AT + 2048 + next_random(s) % 64) & align;
    r->gpr[RSI] = DATA_AT + 1024 + next_random(s) % 4096;
    r->gpr[RDI] = DATA_AT + 1024 + next_random(s) % 4096;
    r->gpr[RSP] = DATA_AT + 6000 + next_random(s) % 64;
    r->gpr[RBP] = DATA_AT + 7000 + next_random(s) % 64;
    if (mem && f->what & NEAR_BIT)
        r->gpr[RCX] = (u64)((i64)(next_random(s) % 16384) - 8192);
    if (f->what & COUNT)
        r->gpr[RCX] = next_random(s) % 20;
    r->flags = next_random(s) & FLAGS_SEEN;
    if (next_random(s) & 1)
        r->flags &= ~(u64)FL_DF;
    for (int k = 1024; k < DATA_SIZE; k += 8)
        st_u64(t->data + k, (u64)k * 0x0101010101010101ull);
    st_u64(t->data + (r->gpr[RBX] - DATA_AT), next_operand(s));
    /* now and then the divisor, the comparand or the string matches */
    if ((next_random(s) & 3) == 0)
        st_u64(t->data + (r->gpr[RBX] - DATA_AT), r->gpr[RAX]);
    if ((next_random(s) & 3) == 0) {
        r->gpr[RDX] = next_random(s) & 1 ? 0 : (u64)((i64)r->gpr[RAX] >> 63);
        memset(t->data + (r->gpr[RSI] - DATA_AT), 7, 64);
        memset(t->data + (r->gpr[RDI] - DATA_AT), 7, 60);
    }
    if ((next_random(s) & 7) == 0)
        r->gpr[RAX] = 0x0707070707070707;
}

/* FLAGS etc. of an exception: the host says which signal. */
static bool same_fault(int vector, int sig)
{
    if (sig == 0)
        return vector < 0;
    return sig == 8   ? vector == EX_DE
           : sig == 4 ? vector == EX_UD
                      : vector == EX_GP || vector == EX_PF;
}

static void same_state(const struct form *f, const char *hex, const char *who,
                       const struct regs *in, const struct regs *ours, const struct regs *host)
{
    for (int k = 0; k < 16; k++)
        cr_assert_eq(
            ours->gpr[k], host->gpr[k],
            "%s (%s): %s: r%d is %#lx, on the host %#lx (rax %#lx rcx %#lx rdx %#lx flags %#lx)",
            f->name, hex, who, k, ours->gpr[k], host->gpr[k], in->gpr[0], in->gpr[1], in->gpr[2],
            in->flags);
    cr_assert_eq(
        ours->flags, host->flags & FLAGS_SEEN,
        "%s (%s): %s: flags %#lx, on the host %#lx (rax %#lx rcx %#lx rdx %#lx flags %#lx)",
        f->name, hex, who, ours->flags, host->flags & FLAGS_SEEN, in->gpr[0], in->gpr[1],
        in->gpr[2], in->flags);
}

static void compare(struct bench *t, const struct form *f, const u8 *code, int len,
                    const struct insn *i, bool mem)
{
    struct regs in, ours, host;
    random_state(t, f, mem, &in);
    ours = host = in;
    u8 *guest = box_mem(t->box, DATA_AT);
    memcpy(guest, t->data, DATA_SIZE);
    memcpy(native_data(), t->data, DATA_SIZE);
    int vector = box_exec(t->box, i, &ours);
    int sig = native_run(code, len, false, &host);
    char hex[64];
    int at = 0;
    for (int k = 0; k < len; k++)
        at += snprintf(hex + at, sizeof(hex) - (size_t)at, " %02x", code[k]);
    cr_assert(same_fault(vector, sig), "%s (%s): vector %d, the host's signal %d", f->name, hex,
              vector, sig);
    if (sig)
        return;
    same_state(f, hex, "exec", &in, &ours, &host);
    cr_assert(!memcmp(guest, native_data(), DATA_SIZE), "%s (%s): memory differs", f->name, hex);
    ours = in;
    memcpy(guest, t->data, DATA_SIZE);
    cr_assert(box_engine(t->box, &ours), "%s (%s): the interpreter did not halt", f->name, hex);
    same_state(f, hex, "interpreter", &in, &ours, &host);
    cr_assert(!memcmp(guest, native_data(), DATA_SIZE), "%s (%s): interpreter: memory differs",
              f->name, hex);
}

enum { RUNS = 600 };

static void run_form(struct bench *t, const struct form *f)
{
    static const int sizes[] = {1, 2, 4, 8};
    for (size_t z = 0; z < 4; z++) {
        int size = sizes[z];
        if (f->shape == FIXED ? z > 0 : !(f->what & 1 << z))
            continue;
        for (int variant = 0; variant < 3; variant++) { /* registers, memory, LOCK in memory */
            bool mem = variant > 0, lock = variant == 2;
            bool has_rm = f->shape == RM_REG || f->shape == GROUP;
            if (has_rm ? !(f->what & (lock ? LOCKED : mem ? MEM : REG)) : mem)
                continue;
            int imms = f->what & (IMM8 | IMMZ) ? 12 : 1;
            for (int k = 0; k < imms; k++) {
                u8 code[32];
                struct insn i;
                int len = assemble(f, size, mem, lock, next_operand(&t->seed), code);
                box_decode(t->box, code, len, &i);
                box_load(t->box, code, len);
                for (int n = 0; n < RUNS / imms; n++)
                    compare(t, f, code, len, &i, mem);
            }
        }
    }
}

Test(integer, like_the_silicon)
{
    if (!native_open())
        cr_skip("the low addresses are taken");
    struct bench t = {.box = box_new("host"), .seed = 1};
    for (size_t k = 0; k < ARRAY_LEN(forms); k++)
        run_form(&t, &forms[k]);
    box_free(t.box);
}

/* Long REPs cross pages and pause; the destination overlaps its source at every distance. */
Test(integer, long_strings_like_the_silicon)
{
    static const struct form f = {"rep", PLAIN, 0xf3, OP1(0), 0, 0};
    static const u8 ops[] = {0xa4, 0xa5, 0xaa, 0xab, 0xa6, 0xa7, 0xae, 0xaf, 0xac};
    if (!native_open())
        cr_skip("the low addresses are taken");
    struct bench t = {.box = box_new("host"), .seed = 2};
    for (int n = 0; n < 3000; n++) {
        struct regs in = {0}, ours, host;
        u64 *s = &t.seed;
        u8 code[4] = {(u8)(next_random(s) & 1 ? 0xf3 : 0xf2), 0x48, ops[n % ARRAY_LEN(ops)]};
        struct insn i;
        box_decode(t.box, code, 3, &i);
        u64 from = 3000 + next_random(s) % 1500, to = from + next_random(s) % 40 - 20;
        if (next_random(s) & 1)
            to = 3000 + next_random(s) % 1500;
        in.gpr[RAX] = next_operand(s);
        in.gpr[RCX] = next_random(s) % 350;
        in.gpr[RSI] = DATA_AT + from;
        in.gpr[RDI] = DATA_AT + to;
        in.gpr[RSP] = DATA_AT + 7000;
        in.flags = next_random(s) & FL_DF & FLAGS_SEEN;
        for (int k = 0; k < DATA_SIZE; k += 8)
            st_u64(t.data + k, next_random(s) & 3 ? 0 : next_random(s));
        ours = host = in;
        memcpy(box_mem(t.box, DATA_AT), t.data, DATA_SIZE);
        memcpy(native_data(), t.data, DATA_SIZE);
        cr_assert_eq(box_exec(t.box, &i, &ours), -1);
        cr_assert_eq(native_run(code, 3, false, &host), 0);
        for (int k = 0; k < 16; k++)
            cr_assert_eq(ours.gpr[k], host.gpr[k], "%s %02x: r%d %#lx, on the host %#lx", f.name,
                         code[2], k, ours.gpr[k], host.gpr[k]);
        cr_assert_eq(ours.flags, host.flags & FLAGS_SEEN);
        cr_assert(!memcmp(box_mem(t.box, DATA_AT), native_data(), DATA_SIZE),
                  "%02x: memory differs", code[2]);
    }
    box_free(t.box);
}

/* Undefined shift and scan results of the 16- and 32-bit forms included: see forms[]. Random
 * numbers cannot be compared, but CF and the cleared flags can. */
Test(integer, random_numbers)
{
    if (!native_open())
        cr_skip("the low addresses are taken");
    struct box *b = box_new("host");
    static const u8 rdrand[] = {0x48, 0x0f, 0xc7, 0xf0};
    if (cpu_has(b->cpu, FEAT_RDRAND)) {
        struct regs r = {.flags = FL_ARITH}, before = r;
        cr_assert_eq(box_run(b, rdrand, sizeof(rdrand), &r), -1);
        cr_assert_eq(r.flags & ~(u64)FL_CF, 0);
        cr_assert(!(r.flags & FL_CF) || r.gpr[RAX] != before.gpr[RAX]);
    }
    box_free(b);
}
