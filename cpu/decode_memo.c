/*
 * cpu/decode_memo.c - remembers how an encoding was decoded, so that the next one with the same
 * prefixes, opcode, ModRM and SIB needs only its displacement and immediate filled in.
 *
 * Not a decoder: what it gives back is what decode_slow said of the same leading bytes, and only of
 * forms where displacement and immediate are copied and decide nothing. A guest that writes code
 * (JITs, loaders, boot stages) is decoded at several times the library's speed.
 */
#include "cpu/decode_priv.h"
#include "cpu/interp_priv.h"

#include <stdlib.h>

enum { MEMO_BITS = 11, MAX_FIXED = 7, WINDOW = 15 };

struct memo_entry {
    u64 fixed; /* the leading bytes; 0 with n_fixed 0: free */
    u32 key;
    u8 n_fixed;
    struct decode_shape shape;
    struct insn insn;
};

struct memo {
    u8 lengths[256]; /* by first byte: bit n, some entry has n leading bytes */
    struct memo_entry e[1 << MEMO_BITS];
};

struct memo *memo_new(void)
{
    return calloc(1, sizeof(struct memo));
}

void memo_clear(struct memo *m)
{
    memset(m, 0, sizeof(*m));
}

static u32 slot(u64 fixed, u32 key)
{
    return (u32)(((fixed ^ (u64)key << 56) * 0x9e3779b97f4a7c15ull) >> (64 - MEMO_BITS));
}

static u64 leading(u64 bytes, u32 n)
{
    return bytes & (~0ull >> (64 - 8 * n));
}

/* A value of 1, 2, 4 or 8 bytes, extended to 64 bits. */
static u64 field(const u8 *p, u32 size, bool is_signed)
{
    switch (size) {
    case 1:
        return is_signed ? (u64)(i64)(i8)p[0] : p[0];
    case 2:
        return is_signed ? (u64)(i64)(i16)ld_u16(p) : ld_u16(p);
    case 4:
        return is_signed ? (u64)(i64)(i32)ld_u32(p) : ld_u32(p);
    default:
        return ld_u64(p);
    }
}

static void fill(struct insn *i, const struct decode_shape *s, const u8 *bytes)
{
    if (s->disp_size)
        i->disp = (i64)field(bytes + s->disp_at, s->disp_size, true);
    if (s->imm_size)
        i->imm = field(bytes + s->imm_at, s->imm_size, s->imm_signed);
}

int memo_find(const struct memo *m, const u8 *bytes, u32 key, struct insn *out)
{
    u64 all = ld_u64(bytes);
    key &= ~(u32)(KEY_USER | KEY_RING12);
    for (u32 want = m->lengths[bytes[0]]; want; want &= want - 1) {
        u32 n = (u32)__builtin_ctz(want);
        const struct memo_entry *e = &m->e[slot(leading(all, n), key)];
        if (e->n_fixed == n && e->fixed == leading(all, n) && e->key == key) {
            *out = e->insn;
            fill(out, &e->shape, bytes);
            return e->insn.len;
        }
    }
    return 0;
}

void memo_add(struct memo *m, const u8 *bytes, u32 key, const struct decode_shape *s,
              const struct insn *i)
{
    u32 n = s->disp_size ? s->disp_at : s->imm_size ? s->imm_at : i->len;
    if (n == 0 || n > MAX_FIXED || s->imm_size2 || (i->flags & INF_STUB && s->imm_size))
        return;
    struct insn again = *i;
    fill(&again, s, bytes);
    if (memcmp(&again, i, sizeof(again)))
        return; /* the fields are not simply copied here */
    key &= ~(u32)(KEY_USER | KEY_RING12);
    u64 fixed = leading(ld_u64(bytes), n);
    m->lengths[bytes[0]] |= (u8)(1u << n);
    m->e[slot(fixed, key)] =
        (struct memo_entry){.fixed = fixed, .key = key, .n_fixed = (u8)n, .shape = *s, .insn = *i};
}
