/*
 * bt/syscall.c - SYSENTER and SYSEXIT in host code, on to the block they lead to.
 *
 * Protected mode only, as long as nothing is pending and EFLAGS.AC is clear; the rest is the C
 * function's. DS and ES are flat (the block's key), so the key that follows is known. Their meaning
 * is cpu/exec/system.c: exec_sysenter, exec_sysexit, flat_segments.
 */
#include "bt/bt_priv.h"

enum { FLAT32 = KEY_32 | KEY_SS32 | KEY_FLAT };

/* op byte/word/dword gs:[off], imm */
static void gs_imm(struct asm_buf *a, int bytes, u8 digit, size_t off, u32 imm)
{
    E(a, 0x65);
    if (bytes == 2)
        e1(a, 0x66);
    E(a, bytes == 1 ? 0x80 : 0x81, (u8)(digit << 3 | 4), 0x25);
    e4(a, (u32)off);
    en(a, &imm, (u32)bytes);
}

static void gs_move(struct asm_buf *a, size_t off, u32 imm, bool byte)
{
    E(a, 0x65, byte ? 0xc6 : 0xc7, 0x04, 0x25);
    e4(a, (u32)off);
    en(a, &imm, byte ? 1 : 4);
}

/* What flat_segments makes of s: IA32_SYSENTER_CS plus `add`. */
static void flat_segment(struct asm_buf *a, int s, u32 add, int cpl)
{
    size_t at = offsetof(struct cpu, seg) + (size_t)s * sizeof(struct seg);
    bool code = s == SEG_CS;
    u64 attr = ATTR_P | ATTR_S | ATTR_RW | ATTR_A | ATTR_G | ATTR_DB | (code ? ATTR_X : 0);
    attr |= (u64)cpl << 5;
    _Static_assert(offsetof(struct seg, sel) == 0 && offsetof(struct seg, attr) == 2 &&
                       offsetof(struct seg, limit) == 4 && offsetof(struct seg, base) == 8 &&
                       offsetof(struct seg, rlimit) == 16 && offsetof(struct seg, rok) == 20 &&
                       offsetof(struct seg, wok) == 21 && offsetof(struct seg, full) == 22 &&
                       sizeof(struct seg) == 24,
                   "the three words");
    e_gs(a, false, OP_LOAD, S1, offsetof(struct cpu, sysenter_cs));
    E(a, 0x41, 0x81, 0xe6); /* and r14d, fffch */
    e4(a, 0xfffc);
    E(a, 0x41, 0x81, 0xc6); /* add r14d, */
    e4(a, add | (u32)cpl);
    E(a, 0x45, 0x0f, 0xb7, 0xf6); /* movzx r14d, r14w */
    e_imm(a, S2, attr << 16 | (u64)0xffffffff << 32);
    e_rr(a, true, 0x09, S1, S2);
    e_gs(a, true, OP_STORE, S2, at);
    E(a, 0x45, 0x31, 0xf6); /* xor r14d, r14d */
    e_gs(a, true, OP_STORE, S1, at + 8);
    e_imm(a, S2, 0xffffffff | (u64)(code ? 0x000001 : 0x010101) << 32);
    e_gs(a, true, OP_STORE, S2, at + 16);
}

bool emit_syscall(struct xl *x, int k)
{
    const struct insn *i = &x->b->insn[k];
    struct asm_buf *a = x->a;
    bool in = i->row == INSN_SYSENTER;
    u32 key = in ? FLAT32 : FLAT32 | KEY_USER;

    if ((!in && i->row != INSN_SYSEXIT) || x->bits64 || !cpu_has(x->cpu, FEAT_SEP) ||
        (x->b->key & ~(u32)(KEY_USER | KEY_RING12)) != FLAT32)
        return false;
    if (!in && x->b->key != FLAT32)
        return false;
    flags_to_mem(x);
    flags_destroy(x);
    gs_imm(a, 1, DIGIT_CMP, offsetof(struct cpu, mode), MODE_PROT);
    cold_add(x, e_jcc(a, CC_NE), COLD_EVENT, k, 0);
    gs_imm(a, 4, DIGIT_CMP, offsetof(struct cpu, pending), 0);
    cold_add(x, e_jcc(a, CC_NE), COLD_EVENT, k, 0);
    e_gs_test(a, offsetof(struct cpu, sysenter_cs), 0xfffc);
    cold_add(x, e_jcc(a, CC_E), COLD_EVENT, k, 0);
    e_gs_test(a, offsetof(struct cpu, flsys), FL_AC);
    cold_add(x, e_jcc(a, CC_NE), COLD_EVENT, k, 0);
    if (in)
        e_gs(a, false, OP_LOAD, S1, offsetof(struct cpu, sysenter_eip));
    else
        e_mov_rr(a, false, S1, H_RDX);
    find_block(x, k, key);
    keep_found(x);
    flat_segment(a, SEG_CS, in ? 0 : 16, in ? 0 : 3);
    flat_segment(a, SEG_SS, in ? 8 : 24, in ? 0 : 3);
    gs_move(a, offsetof(struct cpu, cpl), in ? 0 : 3, true);
    gs_move(a, offsetof(struct cpu, key), key, false);
    if (in) {
        gs_imm(a, 4, DIGIT_AND, offsetof(struct cpu, flsys), ~(u32)(FL_IF | FL_RF | FL_VM));
        e_gs(a, true, OP_LOAD, S1, offsetof(struct cpu, sys_tlb));
        e_gs(a, true, OP_STORE, S1, offsetof(struct cpu, tlb));
        e_gs(a, false, OP_LOAD, S1, offsetof(struct cpu, sys_view));
        E(a, 0x65, 0x44, 0x88, 0x34, 0x25); /* mov gs:[view], r14b */
        e4(a, offsetof(struct cpu, view));
        e_gs(a, false, OP_LOAD, H_GUEST_RSP, offsetof(struct cpu, sysenter_esp));
    } else {
        e_view(a, VIEW_USER);
        e_mov_rr(a, false, H_GUEST_RSP, H_RCX);
    }
    jump_kept(x);
    x->how[k] = BT_EMITTED;
    return true;
}
