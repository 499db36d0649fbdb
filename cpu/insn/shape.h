/*
 * cpu/insn/shape.h - the operands and the layout of an encoding, for whoever makes up code.
 *
 * You are here: the vector recorder and the fuzzers vary registers, addresses and immediates of an
 * encoding without knowing the instruction set. Plain data: nothing of the decoder library and
 * nothing that an engine needs.
 */
#ifndef CPU_INSN_SHAPE_H
#define CPU_INSN_SHAPE_H

#include "base/types.h"

struct cpu;

enum shape_kind {
    SHAPE_OTHER,
    SHAPE_GPR,  /* reg 0..15 */
    SHAPE_GPRH, /* reg 0..3: AH CH DH BH */
    SHAPE_MEM,
    SHAPE_IMM,
    SHAPE_ST,  /* reg 0..7 */
    SHAPE_MMX, /* reg 0..7 */
    SHAPE_VEC, /* reg 0..15, size 16 or 32 */
    SHAPE_SEG, /* reg: ES CS SS DS FS GS */
};
enum { SHAPE_NONE = 0xff, SHAPE_OPS = 10 };

struct shape_op {
    u8 kind; /* enum shape_kind */
    u8 reg;
    u16 size; /* bytes */
    bool read, write;
    bool hidden; /* not in the text: stack, string and fixed register operands */
    /* SHAPE_MEM; registers SHAPE_NONE when there are none. */
    u8 base, index, scale, seg; /* scale: a factor */
    bool ip, vsib, agen;        /* base is RIP; index is a vector; no access (LEA) */
    i64 disp;
};

struct insn_shape {
    u16 row; /* enum insn_id */
    u8 len, n;
    u8 osize, asize; /* bytes */
    u8 veclen;       /* 0, 16, 32 */
    u8 map, opcode;  /* as the decoder library numbers the maps */
    u8 prefixes;     /* bytes before the opcode, VEX and escape bytes not counted */
    bool vex, w, lock, rep, accepts_lock, relative;
    /* Offsets in the bytes, 0: there is none. */
    u8 modrm_at, disp_at, imm_at;
    u8 disp_size, imm_size; /* bytes */
    u32 flags_undefined;
    struct shape_op op[SHAPE_OPS];
};

/* Decodes under key (enum block_key) with the features of cpu's model. False: no such
 * instruction, or too few bytes. */
bool insn_shape(const struct cpu *cpu, const u8 *bytes, int avail, u32 key, struct insn_shape *out);

#endif
