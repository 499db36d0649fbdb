/*
 * tests/insn/native_rig.c - see native_rig.h. Not linked with the rest of cpu/: it defines the
 * functions that cpu/native* and its exec functions call.
 */
#include "tests/insn/native_rig.h"
#include "cpu/decode_priv.h"
#include "cpu/exec/rows_priv.h"

#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

/* ---- stand-ins ------------------------------------------------------------------------------- */
const struct insn_row insn_rows[INSN_COUNT] = {
#define INSN(id, mnem, when, exec, priv, sees, changes, faults, bt)                                \
    [INSN_##id] = {#id, exec, ZYDIS_MNEMONIC_##mnem, when, priv, sees, changes, faults, bt},
#include "cpu/insn/simd.def"
#include "cpu/insn/x87.def"
#undef INSN
};

static struct rig *rig_now;
static jmp_buf leave_exec;

static noreturn void leave_with(int vector)
{
    rig_now->ours.vector = vector;
    longjmp(leave_exec, 1);
}

void cpu_raise(struct cpu *cpu, int vector)
{
    leave_with(vector);
}
void cpu_raise_err(struct cpu *cpu, int vector, u32 error)
{
    leave_with(vector);
}
void cpu_restart(struct cpu *cpu)
{
    leave_with(-2);
}
void cpu_cut_slice(struct cpu *cpu)
{
}
void blocks_flush(struct cpu *cpu)
{
}
void decode_forget(struct cpu *cpu)
{
}
gla seg_linear_slow(struct cpu *cpu, int s, gva off, u32 size, bool write)
{
    leave_with(EX_GP);
}

static u8 *at(gla a, u32 len)
{
    u64 off = a - (u64)(uintptr_t)rig_now->mem;
    if (off >= RIG_MEM || off + len > RIG_MEM)
        leave_with(EX_PF);
    return rig_now->mem + off;
}
static bool in_page(gla a, int size)
{
    return ((a ^ (a + (u64)size - 1)) & PAGE_MASK) == 0;
}
u64 mem_read_slow(struct cpu *cpu, int s, gla a, int size)
{
    return ld_le(at(a, (u32)size), size);
}
void mem_write_slow(struct cpu *cpu, int s, gla a, u64 v, int size)
{
    st_le(at(a, (u32)size), v, size);
}
const u8 *mem_read_ptr_slow(struct cpu *cpu, int s, gla a, int size)
{
    if (!in_page(a, size))
        return NULL;
    const u8 *p = at(a, (u32)size);
    return rig_now->plain ? p : NULL;
}
hva mem_rmw_slow(struct cpu *cpu, int s, gla a, int size)
{
    if (!in_page(a, size))
        return NULL;
    hva p = at(a, (u32)size);
    return rig_now->plain ? p : NULL;
}
void mem_probe_write(struct cpu *cpu, int s, gva off, u32 len)
{
    at(off, len);
}
void mem_probe_write_bytes(struct cpu *cpu, int s, gva off, u32 len)
{
    at(off, len);
}
void check_canonical(struct cpu *cpu, int s, gla a, u32 size)
{
}
void check_alignment(struct cpu *cpu, int s, gva off, u32 align)
{
}
void mem_probe_read(struct cpu *cpu, int s, gva off, u32 len)
{
    at(off, len);
}
void mem_read_bytes(struct cpu *cpu, int s, gva off, void *buf, u32 len)
{
    memcpy(buf, at(off, len), len);
}
void mem_write_bytes(struct cpu *cpu, int s, gva off, const void *buf, u32 len)
{
    memcpy(at(off, len), buf, len);
}

/* ---- the host's own run ---------------------------------------------------------------------- */
struct thunk {
    u8 code[4096];
    u8 xs_in[1024], xs_out[4096];
    u64 gpr_in[16], gpr_out[16], fl_in, fl_out, host_rsp;
    u32 mxcsr;
    u8 env_in[28], env_out[28]; /* an AMD's XSAVE skips the x87 pointers: carried by FLDENV */
    int vector;
    u8 *insn, *epilogue;
};
static struct thunk *thunk;

static u8 *emit(u8 *p, const char *hex)
{
    unsigned b;
    for (; sscanf(hex, "%2x", &b) == 1; hex += hex[2] ? 3 : 2)
        *p++ = (u8)b;
    return p;
}
/* ModRM [rip + ...] to a thunk member. */
static u8 *rip_rel(u8 *p, int reg, const void *target)
{
    *p++ = (u8)((reg & 7) << 3 | 5);
    st_u32(p, (u32)((const u8 *)target - (p + 4)));
    return p + 4;
}

static void thunk_build(const u8 *insn, int len)
{
    u8 *p = emit(thunk->code, "53 55 41 54 41 55 41 56 41 57 48 89");
    p = rip_rel(p, RSP, &thunk->host_rsp);
    p = emit(p, "d9");
    p = rip_rel(p, 4, thunk->env_in);
    p = emit(p, "b8 07 00 00 00 31 d2 48 0f ae");
    p = rip_rel(p, 5, thunk->xs_in);
    p = emit(p, "ff");
    p = rip_rel(p, 6, &thunk->fl_in);
    p = emit(p, "9d");
    for (int r = 0; r < 16; r++) {
        if (r == RSP)
            continue;
        *p++ = (u8)(0x48 | (r >> 3) << 2);
        *p++ = 0x8b;
        p = rip_rel(p, r, &thunk->gpr_in[r]);
    }
    thunk->insn = p;
    memcpy(p, insn, (size_t)len);
    p += len;
    for (int r = 0; r < 16; r++) {
        if (r == RSP)
            continue;
        *p++ = (u8)(0x48 | (r >> 3) << 2);
        *p++ = 0x89;
        p = rip_rel(p, r, &thunk->gpr_out[r]);
    }
    p = emit(p, "9c 8f");
    p = rip_rel(p, 0, &thunk->fl_out);
    p = emit(p, "b8 07 00 00 00 31 d2 48 0f ae");
    p = rip_rel(p, 4, thunk->xs_out);
    p = emit(p, "d9");
    p = rip_rel(p, 6, thunk->env_out);
    thunk->epilogue = p;
    p = emit(p, "db e3 c5 f8 77 0f ae");
    p = rip_rel(p, 2, &thunk->mxcsr);
    emit(p, "41 5f 41 5e 41 5d 41 5c 5d 5b c3");
}

static void on_signal(int sig, siginfo_t *info, void *context)
{
    static const int order[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                                  REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                  REG_R12, REG_R13, REG_R14, REG_R15};
    ucontext_t *uc = context;
    greg_t *g = uc->uc_mcontext.gregs;
    if ((u8 *)(uintptr_t)g[REG_RIP] != thunk->insn) {
        signal(sig, SIG_DFL);
        return;
    }
    for (int r = 0; r < 16; r++)
        thunk->gpr_out[r] = (u64)g[order[r]];
    thunk->fl_out = (u64)g[REG_EFL];
    thunk->vector = (int)g[REG_TRAPNO];
    memcpy(thunk->xs_out, uc->uc_mcontext.fpregs, 832);
    /* components the kernel found in their initial state are not in the frame */
    u64 bv = ld_u64(thunk->xs_out + 512);
    if (!(bv & 4))
        memset(thunk->xs_out + 576, 0, 256);
    if (!(bv & 2))
        memset(thunk->xs_out + 160, 0, 256);
    g[REG_RIP] = (greg_t)(uintptr_t)thunk->epilogue;
    g[REG_RSP] = (greg_t)thunk->host_rsp;
    g[REG_EFL] &= ~(greg_t)0x400;
}

static void run_host(struct rig *r, const u8 *bytes, int len)
{
    thunk_build(bytes, len);
    memcpy(thunk->xs_in, r->in.xs, 832);
    memset(thunk->xs_out, 0, sizeof(thunk->xs_out));
    memcpy(thunk->gpr_in, r->in.gpr, sizeof(thunk->gpr_in));
    thunk->fl_in = r->in.flags;
    memset(thunk->env_in, 0xff, 28);
    st_u16(thunk->env_in, 0x37f);
    st_u16(thunk->env_in + 4, 0);
    st_u32(thunk->env_in + 12, ld_u32(r->in.xs + 8));
    st_u16(thunk->env_in + 18, ld_u16(r->in.xs + 6));
    st_u32(thunk->env_in + 20, ld_u32(r->in.xs + 16));
    thunk->vector = -1;
    thunk->mxcsr = mxcsr_get();
    memcpy(r->mem, r->in.mem, RIG_MEM);
    struct sigaction sa = {.sa_flags = SA_SIGINFO | SA_NODEFER}, product;
    sa.sa_sigaction = on_signal;
    sigaction(SIGFPE, &sa, &product);
    ((void (*)(void))(void *)thunk->code)();
    sigaction(SIGFPE, &product, NULL);
    memcpy(r->host.xs, thunk->xs_out, 832);
    st_u64(r->host.xs + 8, ld_u32(thunk->env_out + 12));
    st_u16(r->host.xs + 6, ld_u16(thunk->env_out + 18));
    st_u64(r->host.xs + 16, ld_u32(thunk->env_out + 20));
    memcpy(r->host.gpr, thunk->gpr_out, sizeof(r->host.gpr));
    r->host.flags = thunk->fl_out;
    r->host.vector = thunk->vector;
    memcpy(r->host.mem, r->mem, RIG_MEM);
}

/* ---- ours ------------------------------------------------------------------------------------ */
static u8 slot(ZydisRegister reg)
{
    ZyanI8 id = ZydisRegisterGetId(reg);
    return reg == ZYDIS_REGISTER_NONE || id < 0 || id > 15 ? GPR_ZERO : (u8)id;
}

bool rig_decode(struct rig *r, const u8 *bytes, ZydisMachineMode mode, struct insn *i,
                ZydisDecodedInstruction *d, ZydisDecodedOperand *ops)
{
    ZydisDecoder dec;
    ZydisDecoderInit(&dec, mode,
                     mode == ZYDIS_MACHINE_MODE_LONG_64     ? ZYDIS_STACK_WIDTH_64
                     : mode == ZYDIS_MACHINE_MODE_LEGACY_32 ? ZYDIS_STACK_WIDTH_32
                                                            : ZYDIS_STACK_WIDTH_16);
    memset(i, 0, sizeof(*i));
    i->base = i->index = GPR_ZERO;
    i->seg = SEG_FLAT;
    if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&dec, bytes, 15, d, ops)))
        return false;
    for (int id = 1; id < INSN_COUNT && !i->row; id++)
        if (insn_rows[id].exec && insn_rows[id].mnemonic == d->mnemonic)
            i->row = (u16)id;
    if (!i->row || (insn_rows[i->row].when == OPS_VEC && d->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT))
        return false;
    i->len = d->length;
    i->asize = (u8)(d->address_width / 8);
    for (int k = 0; k < d->operand_count_visible; k++) {
        const ZydisDecodedOperand *op = &ops[k];
        if (op->type == ZYDIS_OPERAND_TYPE_MEMORY) {
            ZydisRegisterClass ic = ZydisRegisterGetClass(op->mem.index);
            i->base = slot(op->mem.base);
            i->index = ic == ZYDIS_REGCLASS_XMM || ic == ZYDIS_REGCLASS_YMM ? GPR_ZERO
                                                                            : slot(op->mem.index);
            i->scale = op->mem.scale ? (u8)__builtin_ctz(op->mem.scale) : 0;
            i->disp = op->mem.disp.value;
        }
        if (k > 2)
            continue;
        i->size[k] = (u8)(op->size / 8);
        if (op->type == ZYDIS_OPERAND_TYPE_MEMORY) {
            i->kind[k] = OP_MEM;
        } else if (op->type == ZYDIS_OPERAND_TYPE_REGISTER) {
            ZydisRegisterClass c = ZydisRegisterGetClass(op->reg.value);
            i->reg[k] = (u8)ZydisRegisterGetId(op->reg.value);
            i->kind[k] = c == ZYDIS_REGCLASS_MMX                              ? OP_MMX
                         : c == ZYDIS_REGCLASS_XMM || c == ZYDIS_REGCLASS_YMM ? OP_VEC
                         : c == ZYDIS_REGCLASS_X87                            ? OP_ST
                                                                              : OP_GPR;
        }
    }
    return native_row(&insn_rows[i->row]) && native_prepare(r->cpu, d, ops, i);
}

void rig_run_ours(struct rig *r, const struct insn *i, u64 rip)
{
    struct cpu *c = r->cpu;
    memcpy(&c->xs, r->in.xs, sizeof(c->xs));
    memcpy(c->gpr, r->in.gpr, sizeof(r->in.gpr));
    c->fcs = c->fds = 0;
    c->fop = ld_u16(r->in.xs + 6);
    c->fip = ld_u64(r->in.xs + 8);
    c->fdp = ld_u64(r->in.xs + 16);
    c->fl = fl_from_eflags((u32)r->in.flags);
    c->rip = rip + i->len;
    c->cur = i;
    for (int p = 0; p < RIG_MEM; p += (int)PAGE_SIZE) {
        u64 a = (u64)(uintptr_t)r->mem + (u64)p;
        struct tlb_entry *e = mmu_slot(&c->mmu, c->view, a);
        e->rtag = e->wtag = r->tlb ? a : TLB_NONE;
        e->add = 0;
    }
    memcpy(r->mem, r->in.mem, RIG_MEM);
    rig_now = r;
    r->ours.vector = -1;
    native_enter(c);
    if (!setjmp(leave_exec))
        insn_rows[i->row].exec(c, i);
    native_leave(c);
    memcpy(r->ours.xs, &c->xs, 832);
    memcpy(r->ours.gpr, c->gpr, sizeof(r->ours.gpr));
    r->ours.flags = fl_to_eflags(c->fl);
    memcpy(r->ours.mem, r->mem, RIG_MEM);
}

/* The 64-bit code that does what these bytes do in 32-bit mode. */
static void as_64bit(const ZydisDecodedInstruction *d, const ZydisDecodedOperand *ops, u8 *b)
{
    bool gpr = false, is4 = false;
    if (d->encoding != ZYDIS_INSTRUCTION_ENCODING_VEX)
        return;
    for (int k = 0; k < d->operand_count; k++) {
        is4 |= ops[k].encoding == ZYDIS_OPERAND_ENCODING_IS4;
        gpr |= ops[k].type == ZYDIS_OPERAND_TYPE_REGISTER &&
               ZydisRegisterGetClass(ops[k].reg.value) == ZYDIS_REGCLASS_GPR32;
    }
    switch (d->mnemonic) {
    case ZYDIS_MNEMONIC_VCVTSI2SS:
    case ZYDIS_MNEMONIC_VCVTSI2SD:
    case ZYDIS_MNEMONIC_VMOVD:
    case ZYDIS_MNEMONIC_VPINSRD:
    case ZYDIS_MNEMONIC_VPEXTRD:
        gpr = true;
        break;
    default:
        break;
    }
    b[1] |= 0x20; /* B */
    b[2] |= 0x40; /* vvvv bit 3 */
    if (gpr)
        b[2] &= 0x7f; /* W */
    if (is4)
        b[d->length - 1] &= 0x7f;
}

bool rig_run(struct rig *r, const u8 *bytes)
{
    u8 host[15];
    struct insn i;
    ZydisDecodedInstruction d;
    ZydisDecodedOperand ops[ZYDIS_MAX_OPERAND_COUNT];
    if (!rig_decode(r, bytes, r->mode32 ? ZYDIS_MACHINE_MODE_LEGACY_32 : ZYDIS_MACHINE_MODE_LONG_64,
                    &i, &d, ops))
        return false;
    memcpy(host, bytes, sizeof(host));
    if (r->mode32) {
        as_64bit(&d, ops, host);
        i.asize = 8; /* the operands are where they are */
    }
    ZydisFormatter f;
    ZydisFormatterInit(&f, ZYDIS_FORMATTER_STYLE_INTEL);
    ZydisFormatterFormatInstruction(&f, &d, ops, d.operand_count_visible, r->text, sizeof(r->text),
                                    ZYDIS_RUNTIME_ADDRESS_NONE, NULL);
    run_host(r, host, d.length);
    rig_run_ours(r, &i, (u64)(uintptr_t)thunk->insn);
    return true;
}

/* ---- comparison ------------------------------------------------------------------------------ */
const char *rig_compare(struct rig *r)
{
    static char msg[256];
    const u8 *a = r->host.xs, *b = r->ours.xs;
#define DIFF(...)                                                                                  \
    do {                                                                                           \
        snprintf(msg, sizeof(msg), __VA_ARGS__);                                                   \
        return msg;                                                                                \
    } while (0)
    if (r->host.vector != r->ours.vector)
        DIFF("exception: host %d, ours %d", r->host.vector, r->ours.vector);
    for (int k = 0; k < 16; k++)
        if (k != RSP && r->host.gpr[k] != r->ours.gpr[k])
            DIFF("gpr %d: host %llx, ours %llx", k, (unsigned long long)r->host.gpr[k],
                 (unsigned long long)r->ours.gpr[k]);
    if ((r->host.flags ^ r->ours.flags) & FL_ARITH)
        DIFF("flags: host %x, ours %x", (u32)r->host.flags & FL_ARITH, (u32)r->ours.flags);
    if (ld_u32(a + 24) != ld_u32(b + 24))
        DIFF("mxcsr: host %x, ours %x (was %x)", ld_u32(a + 24), ld_u32(b + 24),
             ld_u32(r->in.xs + 24));
    if (memcmp(a, b, 5))
        DIFF("fcw fsw ftw: host %04x %04x %02x, ours %04x %04x %02x", ld_u16(a), ld_u16(a + 2),
             a[4], ld_u16(b), ld_u16(b + 2), b[4]);
    for (int k = 0; k < 8; k++)
        if (memcmp(a + 32 + 16 * k, b + 32 + 16 * k, 10))
            DIFF("st%d: host %04x %llx, ours %04x %llx", k, ld_u16(a + 40 + 16 * k),
                 (unsigned long long)ld_u64(a + 32 + 16 * k), ld_u16(b + 40 + 16 * k),
                 (unsigned long long)ld_u64(b + 32 + 16 * k));
    /* all zero: the host switched tasks meanwhile, and an AMD's XSAVE does not keep them */
    bool have = ld_u16(a + 6) | ld_u32(a + 8) | ld_u32(a + 16);
    if (have && r->host.vector < 0 &&
        (ld_u16(a + 6) != ld_u16(b + 6) || ld_u32(a + 8) != ld_u32(b + 8) ||
         ld_u32(a + 16) != ld_u32(b + 16)))
        DIFF("fop fip fdp: host %x %x %x, ours %x %x %x", ld_u16(a + 6), ld_u32(a + 8),
             ld_u32(a + 16), ld_u16(b + 6), ld_u32(b + 8), ld_u32(b + 16));
    for (int k = 0; k < 16; k++)
        for (int h = 0; h < 2; h++) {
            const u8 *x = a + (h ? 576 : 160) + 16 * k, *y = b + (h ? 576 : 160) + 16 * k;
            if (memcmp(x, y, 16))
                DIFF("%s%d: host %016llx%016llx, ours %016llx%016llx", h ? "ymm_hi" : "xmm", k,
                     (unsigned long long)ld_u64(x + 8), (unsigned long long)ld_u64(x),
                     (unsigned long long)ld_u64(y + 8), (unsigned long long)ld_u64(y));
        }
    for (int k = 0; k < RIG_MEM; k++)
        if (r->host.mem[k] != r->ours.mem[k])
            DIFF("memory at %d: host %02x, ours %02x", k, r->host.mem[k], r->ours.mem[k]);
    return NULL;
}

/* ---- random states --------------------------------------------------------------------------- */
u64 rig_rand(struct rig *r)
{
    r->seed ^= r->seed << 13;
    r->seed ^= r->seed >> 7;
    r->seed ^= r->seed << 17;
    return r->seed * 0x2545f4914f6cdd1dull;
}

static void random_vector(struct rig *r, u8 *v)
{
    static const u32 f32[] = {0,          0x80000000, 0x3f800000, 0xbf800000, 0x7f800000,
                              0xff800000, 0x7fc00000, 0x7f800001, 1,          0x007fffff,
                              0x7f7fffff, 0x00800000, 0x4f000000, 0x40490fdb};
    static const u64 f64[] = {0,
                              0x8000000000000000,
                              0x3ff0000000000000,
                              0x7ff0000000000000,
                              0xfff8000000000000,
                              0x7ff0000000000001,
                              1,
                              0x000fffffffffffff,
                              0x7fefffffffffffff,
                              0x41e0000000000000,
                              0x400921fb54442d18};
    for (int k = 0; k < 16; k += 8)
        switch (rig_rand(r) % 5) {
        case 0:
            st_u32(v + k, f32[rig_rand(r) % ARRAY_LEN(f32)]);
            st_u32(v + k + 4, f32[rig_rand(r) % ARRAY_LEN(f32)]);
            break;
        case 1:
            st_u64(v + k, f64[rig_rand(r) % ARRAY_LEN(f64)]);
            break;
        case 2:
            st_u32(v + k, (u32)(rig_rand(r) & 0x83ffffff) + 0x3e000000);
            st_u32(v + k + 4, (u32)(rig_rand(r) & 0x83ffffff) + 0x3e000000);
            break;
        default:
            st_u64(v + k, rig_rand(r));
        }
}

static void random_st(struct rig *r, u8 *p)
{
    memset(p, 0, 16);
    st_u64(p, rig_rand(r) | 1ull << 63);
    st_u16(p + 8, (u16)((rig_rand(r) & 0x803f) + 0x3fe0));
    switch (rig_rand(r) % 12) {
    case 0:
        st_u16(p + 8, (u16)(rig_rand(r) & 0xffff));
        break;
    case 1: /* zero */
        st_u64(p, 0);
        st_u16(p + 8, (u16)(rig_rand(r) & 0x8000));
        break;
    case 2: /* denormal */
        st_u64(p, rig_rand(r) >> 1);
        st_u16(p + 8, (u16)(rig_rand(r) & 0x8000));
        break;
    case 3: /* infinity, NaN */
        st_u64(p, rig_rand(r) & 1 ? 1ull << 63 : rig_rand(r) | 1ull << 63);
        st_u16(p + 8, (u16)((rig_rand(r) & 0x8000) | 0x7fff));
        break;
    case 4: /* unsupported */
        st_u64(p, rig_rand(r) >> 1);
        break;
    case 5: /* an integer */
        st_u64(p, rig_rand(r) | 1ull << 63);
        st_u16(p + 8, (u16)(0x4000 + rig_rand(r) % 70));
        break;
    default:
        break;
    }
}

void rig_random_state(struct rig *r, bool unmask)
{
    struct rig_state *s = &r->in;
    u8 *x = s->xs;

    for (int k = 0; k < 16; k++)
        s->gpr[k] = rig_rand(r) >> (rig_rand(r) % 3 * 24);
    s->flags = (rig_rand(r) & FL_ARITH) | 0x202;
    memset(x, 0, 832);
    u16 fcw = (u16)((rig_rand(r) & 0xf00) | 0x7f);
    u16 fsw = (u16)(rig_rand(r) & 0x7f7f);
    u32 mxcsr = (u32)(rig_rand(r) & 0xffff) | 0x1f80;
    if (rig_rand(r) % 4)
        mxcsr &= ~0x8040u; /* FZ, DAZ */
    if (rig_rand(r) % 2)
        fsw &= 0x7f00;
    if (unmask) {
        fcw &= (u16) ~(rig_rand(r) & 0x3f);
        mxcsr &= ~(u32)(rig_rand(r) & 0x1f80);
        if (rig_rand(r) % 4)
            fsw &= 0x7f00;
        if (rig_rand(r) % 2)
            mxcsr &= ~0x3fu;
    }
    if (fsw & ~fcw & 0x3f)
        fsw |= 0x8080;
    st_u16(x, fcw);
    st_u16(x + 2, fsw);
    x[4] = (u8)(rig_rand(r) % 2 ? 0xff : rig_rand(r));
    st_u16(x + 6, (u16)(rig_rand(r) & 0x7ff));
    st_u64(x + 8, rig_rand(r) & 0xffffffff);
    st_u64(x + 16, rig_rand(r) & 0xffffffff);
    st_u32(x + 24, mxcsr);
    for (int k = 0; k < 8; k++)
        random_st(r, x + 32 + 16 * k);
    for (int k = 0; k < 16; k++) {
        random_vector(r, x + 160 + 16 * k);
        random_vector(r, x + 576 + 16 * k);
    }
    x[512] = 7;
    for (int k = 0; k < RIG_MEM; k += 16) {
        if (rig_rand(r) % 3)
            random_vector(r, s->mem + k);
        else
            random_st(r, s->mem + k);
    }
}

/* ---- life ------------------------------------------------------------------------------------ */
struct rig *rig_new(u64 seed)
{
    struct rig *r = aligned_alloc(64, align_up(sizeof(*r), 64));
    memset(r, 0, sizeof(*r));
    r->seed = seed * 2 + 1;
    struct sigaction sa = {.sa_flags = SA_SIGINFO | SA_NODEFER};
    sa.sa_sigaction = on_signal;
    sigaction(SIGSEGV, &sa, NULL);
    sigaction(SIGILL, &sa, NULL);
    sigaction(SIGBUS, &sa, NULL);
    thunk = mmap(NULL, sizeof(*thunk), PROT_READ | PROT_WRITE | PROT_EXEC,
                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    r->mem =
        mmap(NULL, RIG_MEM + PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(r->mem + RIG_MEM, PAGE_SIZE, PROT_NONE);
    r->cpu = aligned_alloc(64, align_up(sizeof(*r->cpu), 64));
    memset(r->cpu, 0, sizeof(*r->cpu));
    struct cpu *c = r->cpu;
    memset(c->features, 0xff, sizeof(c->features));
    c->tlb = c->mmu.tlb[c->view];
    c->mode = MODE_LONG64;
    c->key = KEY_64;
    c->cr0 = CR0_PE | CR0_NE | CR0_MP | CR0_ET;
    c->cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE;
    c->xcr0 = 7;
    native_init(c);
    return r;
}

void rig_free(struct rig *r)
{
    native_free(r->cpu);
    munmap(r->mem, RIG_MEM + PAGE_SIZE);
    munmap(thunk, sizeof(*thunk));
    free(r->cpu);
    free(r);
}
