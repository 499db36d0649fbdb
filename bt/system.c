/*
 * bt/system.c - system instructions that need no C function: flags of the system, SWAPGS, fences.
 *
 * Only what the privilege level of the block's key allows without a look. Their meaning is
 * cpu/exec/system.c, segreg.c and misc.c; what is emitted here does the same.
 */
#include "bt/bt_priv.h"

static bool cpl0(const struct xl *x)
{
    return !(x->b->key & (KEY_USER | KEY_RING12));
}

/* op dword gs:[flsys], imm */
static void change_flsys(struct xl *x, u8 digit, u32 imm)
{
    flags_destroy(x);
    e_gs(x->a, false, 0x81, digit, offsetof(struct cpu, flsys));
    e4(x->a, imm);
}
enum { DIGIT_OR = 1, DIGIT_AND = 4 };

bool emit_system(struct xl *x, int k)
{
    struct asm_buf *a = x->a;
    size_t gs =
        offsetof(struct cpu, seg) + SEG_GS * sizeof(struct seg) + offsetof(struct seg, base);

    switch (x->b->insn[k].row) {
    case INSN_CLI: /* CPL 0 is at most IOPL */
        if (!cpl0(x))
            return false;
        change_flsys(x, DIGIT_AND, ~(u32)FL_IF);
        break;
    case INSN_CLD:
        change_flsys(x, DIGIT_AND, ~(u32)FL_DF);
        break;
    case INSN_STD:
        change_flsys(x, DIGIT_OR, FL_DF);
        break;
    case INSN_SWAPGS:
        if (!cpl0(x) || !x->bits64)
            return false;
        e_gs(a, true, OP_LOAD, S1, gs);
        e_gs(a, true, OP_LOAD, S2, offsetof(struct cpu, kernel_gs_base));
        e_gs(a, true, OP_STORE, S1, offsetof(struct cpu, kernel_gs_base));
        e_gs(a, true, OP_STORE, S2, gs);
        break;
    case INSN_MFENCE:
        E(a, 0x0f, 0xae, 0xf0);
        break;
    case INSN_LFENCE: /* what they order is in order anyway: all memory is the host's, write-back */
    case INSN_SFENCE:
    case INSN_PAUSE:
        break;
    default:
        return false;
    }
    x->how[k] = BT_EMITTED;
    return true;
}

bool emit_sti(struct xl *x, int k)
{
    struct asm_buf *a = x->a;
    if (!cpl0(x))
        return false;
    flags_to_mem(x);
    x->fl = (struct flag_state){.mem = true};
    e_gs(a, false, 0x83, 7, offsetof(struct cpu, pending)); /* cmp dword gs:[pending], 0 */
    e1(a, 0);
    cold_add(x, e_jcc(a, CC_NE), COLD_EVENT, k, 0);
    E(a, 0x65, 0x0f, 0xba, 0x2c, 0x25); /* bts dword gs:[flsys], 9 */
    e4(a, offsetof(struct cpu, flsys));
    e1(a, 9);
    _Static_assert(FL_IF == 1 << 9, "the bit above");
    u8 *was_set = e_jcc(a, CC_B);
    e_gs(a, true, OP_LOAD, S1, offsetof(struct cpu, left));
    e_gs(a, true, OP_LOAD_ADD, S1, offsetof(struct cpu, stolen));
    e_gs(a, true, OP_STORE, S1, offsetof(struct cpu, shadow));
    e_land(a, was_set);
    x->how[k] = BT_EMITTED;
    return true;
}
