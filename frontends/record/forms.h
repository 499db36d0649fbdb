/*
 * frontends/record/forms.h - the encoding forms of the table's rows, and instructions made of them.
 *
 * You are here: a form is what an implementation could get wrong separately: which opcode, which
 * kinds and sizes of operands, address size, LOCK, REP, segment override, VEX length and W.
 * Registers, displacements and immediates vary within a form.
 */
#ifndef FRONTENDS_RECORD_FORMS_H
#define FRONTENDS_RECORD_FORMS_H

#include "frontends/record/random.h"
#include "machine/insns.h"

struct form {
    u8 bits;      /* 16, 32 or 64 */
    u8 prefix[4]; /* without REX */
    u8 n_prefix;
    bool vex, rexw;
    u8 map, op;    /* 0: one byte, 1: 0F, 2: 0F38, 3: 0F3A */
    u8 wlpp, vvvv; /* of VEX, as in its third byte */
    u8 modrm, sib; /* what the walk met it with */
    u32 id;        /* a hash of what makes the form */
    struct insn_shape shape;
};
struct forms {
    struct form *v;
    int n, room;
};

/* All forms in code of that width which tb's model has, of rows that want() accepts; by row. False:
 * no memory. */
bool forms_list(const struct testbed *tb, int bits, bool (*want)(void *ctx, const struct form *f),
                void *ctx, struct forms *out);
void forms_free(struct forms *f);

/* An instruction of the form; bytes beyond its length are 0. */
void form_make(const struct testbed *tb, const struct form *f, struct rnd *r, u8 bytes[24],
               struct insn_shape *shape);

#endif
