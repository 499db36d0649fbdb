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

void e_view(struct asm_buf *a, int view)
{
    E(a, 0x65, 0xc6, 0x04, 0x25); /* mov byte gs:[view], imm */
    e4(a, offsetof(struct cpu, view));
    e1(a, (u8)view);
    e_gs(a, true, OP_LOAD, S1, offsetof(struct cpu, self));
    e_lea(a, true, S1, S1, H_NONE, 0,
          (i32)(offsetof(struct cpu, mmu.tlb) + (size_t)view * sizeof(((struct mmu *)0)->tlb[0])));
    e_gs(a, true, OP_STORE, S1, offsetof(struct cpu, tlb));
}

/* op dword gs:[flsys], imm */
static void change_flsys(struct xl *x, u8 digit, u32 imm)
{
    flags_destroy(x);
    e_gs(x->a, false, 0x81, digit, offsetof(struct cpu, flsys));
    e4(x->a, imm);
}

/* EFLAGS.AC and the view that follows from it: update_mode. */
static void change_ac(struct xl *x, int k, bool on)
{
    struct asm_buf *a = x->a;
    int first = x->n_cold;
    flags_destroy(x);
    if (!on) {
        e_gs_test(a, offsetof(struct cpu, cr4), CR4_SMAP);
        cold_add(x, e_jcc(a, CC_E), COLD_SLOW, k, 0);
    }
    change_flsys(x, on ? DIGIT_OR : DIGIT_AND, on ? FL_AC : ~(u32)FL_AC);
    e_view(a, on ? VIEW_SUP_AC : VIEW_SUP);
    cold_back(x, first);
}

/* ---- on the stack -----------------------------------------------------------------------------
 */
/* Pushes cpu->bt_scratch. */
static void push_scratch(struct xl *x, int k)
{
    int size = x->b->insn[k].osize, first = x->n_cold;
    flags_before_write(x, k, 1u << H_GUEST_RSP, false);
    stack_slot(x, k, -size, size, true, COLD_SLOW);
    e_gs(x->a, true, OP_LOAD, S2, offsetof(struct cpu, bt_scratch));
    store_reg(x, S2, size);
    move_sp(x, -size);
    cold_back(x, first);
}

static void push_flags(struct xl *x, int k)
{
    struct asm_buf *a = x->a;
    flags_to_mem(x);
    flags_destroy(x);
    E(a, 0x65, 0x44, 0x0f, 0xb7, 0x3c, 0x25); /* movzx r15d, word gs:[fl] */
    e4(a, offsetof(struct cpu, fl));
    e_mov_rr(a, false, S1, S2);
    E(a, 0x41, 0xc1, 0xef, 8); /* shr r15d, 8 */
    E(a, 0x41, 0x81, 0xe7);    /* and r15d, those of LAHF */
    e4(a, FL_ARITH & 0xff);
    E(a, 0x41, 0x83, 0xe6, 1);  /* and r14d, 1: OF */
    E(a, 0x41, 0xc1, 0xe6, 11); /* shl r14d, 11 */
    e_rr(a, false, 0x09, S1, S2);
    e_gs(a, false, 0x0b, S2, offsetof(struct cpu, flsys)); /* or r15d, gs:[flsys] */
    E(a, 0x41, 0x81, 0xe7);
    e4(a, ~(u32)(FL_RF | FL_VM));
    e_gs(a, true, OP_STORE, S2, offsetof(struct cpu, bt_scratch));
    push_scratch(x, k);
}

/* What POPF may change here without a look at anything else is IF and the arithmetic flags. */
static bool pop_flags(struct xl *x, int k)
{
    struct asm_buf *a = x->a;
    int size = x->b->insn[k].osize;
    u32 others = FL_TF | FL_DF | FL_NT | FL_IOPL | FL_RF | FL_AC | FL_ID;
    if (!cpl0(x))
        return false;
    flags_to_mem(x);
    flags_destroy(x);
    e_gs(a, false, 0x83, 7, offsetof(struct cpu, pending)); /* cmp dword gs:[pending], 0 */
    e1(a, 0);
    cold_add(x, e_jcc(a, CC_NE), COLD_EVENT, k, 0);
    stack_slot(x, k, 0, size, false, COLD_TAIL);
    load_s1(x, size);
    e_mov_rr(a, false, S2, S1);
    e_gs(a, false, OP_LOAD_XOR, S2, offsetof(struct cpu, flsys));
    E(a, 0x41, 0xf7, 0xc7); /* test r15d, the others */
    e4(a, size == 2 ? (u16)others : others);
    cold_add(x, e_jcc(a, CC_NE), COLD_EVENT, k, 0);
    E(a, 0x41, 0x81, 0xe7); /* and r15d, IF */
    e4(a, FL_IF);
    e_gs(a, false, 0x31, S2, offsetof(struct cpu, flsys)); /* xor gs:[flsys], r15d */
    e_mov_rr(a, false, S2, S1);
    E(a, 0x41, 0xc1, 0xef, 11); /* shr r15d, 11 */
    E(a, 0x41, 0x83, 0xe7, 1);  /* and r15d, 1: OF */
    E(a, 0x41, 0xc1, 0xe6, 8);  /* shl r14d, 8 */
    E(a, 0x41, 0x81, 0xe6);     /* and r14d, those of LAHF */
    e4(a, (FL_ARITH & 0xff) << 8);
    e_lea(a, false, S1, S1, S2, 0, FL_1 << 8); /* as fl_from_eflags */
    E(a, 0x65, 0x66, 0x44, 0x89, 0x34, 0x25);  /* mov gs:[fl], r14w */
    e4(a, offsetof(struct cpu, fl));
    move_sp(x, size);
    x->fl = (struct flag_state){.mem = true};
    return true;
}

static void push_segment(struct xl *x, int k, int s)
{
    E(x->a, 0x65, 0x44, 0x0f, 0xb7, 0x3c, 0x25); /* movzx r15d, word gs:[sel] */
    e4(x->a, (u32)(offsetof(struct cpu, seg) + (size_t)s * sizeof(struct seg) +
                   offsetof(struct seg, sel)));
    e_gs(x->a, true, OP_STORE, S2, offsetof(struct cpu, bt_scratch));
    push_scratch(x, k);
}

/* In segmented code: nothing of descriptors. */
static bool of_all_modes(int row)
{
    switch (row) {
    case INSN_CLI:
    case INSN_STI:
    case INSN_CLD:
    case INSN_STD:
    case INSN_PUSHF:
    case INSN_PUSHFD:
    case INSN_PUSH_SEG:
    case INSN_POPF:
    case INSN_POPFD:
    case INSN_CPUID:
    case INSN_MFENCE:
    case INSN_LFENCE:
    case INSN_SFENCE:
    case INSN_PAUSE:
        return true;
    default:
        return false;
    }
}

bool emit_system(struct xl *x, int k)
{
    const struct insn *i = &x->b->insn[k];
    struct asm_buf *a = x->a;
    size_t gs =
        offsetof(struct cpu, seg) + SEG_GS * sizeof(struct seg) + offsetof(struct seg, base);

    if (x->segmented && !of_all_modes(i->row))
        return false;
    switch (i->row) {
    case INSN_PUSHF:
    case INSN_PUSHFD:
    case INSN_PUSHFQ:
        if (!stack_size(x, i) || (x->b->key & KEY_REAL && !cpl0(x)))
            return false; /* not virtual-8086 mode */
        push_flags(x, k);
        break;
    case INSN_PUSH_SEG:
        if (!stack_size(x, i) || (i->osize == 4 && !cpu_is_amd(x->cpu)))
            return false; /* Intel writes 16 bits of 32 */
        push_segment(x, k, i->reg[0]);
        break;
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
    case INSN_STAC:
    case INSN_CLAC:
        if (!cpl0(x))
            return false;
        change_ac(x, k, i->row == INSN_STAC);
        break;
    case INSN_VERW:
        if (!emit_verw(x, k))
            return false;
        break;
    case INSN_CPUID:
        emit_cpuid(x, k);
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

static bool sti(struct xl *x, int k)
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
    e_frame(a, true, OP_LOAD, S1, FRAME_LEFT);
    e_gs(a, true, OP_LOAD_ADD, S1, offsetof(struct cpu, stolen));
    e_gs(a, true, OP_STORE, S1, offsetof(struct cpu, shadow));
    e_land(a, was_set);
    return true;
}

bool emit_system_end(struct xl *x, int k)
{
    const struct insn *i = &x->b->insn[k];
    bool done = false;
    if (i->row == INSN_STI)
        done = sti(x, k);
    else if (i->row == INSN_MOV_SEG)
        done = emit_seg_move(x, k);
    else if (i->row == INSN_POP_SEG)
        done = emit_seg_pop(x, k);
    else if (i->row == INSN_LDS || i->row == INSN_LES)
        done = emit_far_pointer(x, k, i->row == INSN_LDS ? SEG_DS : SEG_ES);
    else if (i->row == INSN_LFS || i->row == INSN_LGS)
        done = emit_far_pointer(x, k, i->row == INSN_LFS ? SEG_FS : SEG_GS);
    else if ((i->row == INSN_POPF || i->row == INSN_POPFD || i->row == INSN_POPFQ) &&
             stack_size(x, i))
        done = pop_flags(x, k);
    if (done)
        x->how[k] = BT_EMITTED;
    return done;
}
