/*
 * cpu/exec_priv.h - how instruction functions reach registers, memory, flags and faults.
 *
 * You are here: private to cpu/ and bt/. Everything in here keeps the rule "memory write is the
 * last thing that can fault, then registers and flags".
 *
 * Flags: cpu->fl holds what LAHF and SETO deliver on the host after the same operation, i.e.
 * bits 15..8 = SF ZF 0 AF 0 PF 1 CF, bits 7..0 = OF (0 or 1). Arithmetic is done by the host's own
 * instruction, so undefined flags are the host silicon's, in every engine alike.
 */
#ifndef CPU_EXEC_PRIV_H
#define CPU_EXEC_PRIV_H

#include "base/log.h"
#include "base/status.h"
#include "cpu/cpu.h"

/* ---- faults: do not return ------------------------------------------------------------------- */
noreturn void cpu_raise(struct cpu *cpu, int vector); /* no error code */
noreturn void cpu_raise_err(struct cpu *cpu, int vector, u32 error);
/* Leaves the running instruction unexecuted, without an exception: it starts again after whatever
 * is pending was looked at. */
noreturn void cpu_restart(struct cpu *cpu);
noreturn void cpu_page_fault(struct cpu *cpu, gla addr, u32 error); /* sets CR2 */

static always_inline noreturn void raise_gp0(struct cpu *cpu)
{
    cpu_raise_err(cpu, EX_GP, 0);
}
static always_inline noreturn void raise_ud(struct cpu *cpu)
{
    cpu_raise(cpu, EX_UD);
}
static always_inline void need_cpl0(struct cpu *cpu)
{
    if (unlikely(cpu->cpl != 0))
        raise_gp0(cpu);
}

/* ---- flags ----------------------------------------------------------------------------------- */
enum {
    AF_OF = 1,
    AF_CF = FL_CF << 8,
    AF_PF = FL_PF << 8,
    AF_AF = FL_AF << 8,
    AF_ZF = FL_ZF << 8,
    AF_SF = FL_SF << 8,
};

/* EFLAGS arithmetic bits <-> cpu->fl. */
static always_inline u32 fl_to_eflags(u16 fl)
{
    return (u32)((fl >> 8) & (FL_CF | FL_PF | FL_AF | FL_ZF | FL_SF)) | (u32)(fl & 1) << 11;
}
static always_inline u16 fl_from_eflags(u32 e)
{
    return (u16)((e & (FL_CF | FL_PF | FL_AF | FL_ZF | FL_SF)) << 8 | 0x200 | ((e >> 11) & 1));
}
static always_inline bool fl_cf(const struct cpu *c)
{
    return c->fl & AF_CF;
}
static always_inline bool fl_zf(const struct cpu *c)
{
    return c->fl & AF_ZF;
}

/* The 16 conditions of Jcc/SETcc/CMOVcc, tttn encoding. */
static always_inline bool fl_cond(u16 fl, int cc)
{
    bool r;
    switch (cc >> 1) {
    case 0:
        r = fl & AF_OF;
        break;
    case 1:
        r = fl & AF_CF;
        break;
    case 2:
        r = fl & AF_ZF;
        break;
    case 3:
        r = fl & (AF_CF | AF_ZF);
        break;
    case 4:
        r = fl & AF_SF;
        break;
    case 5:
        r = fl & AF_PF;
        break;
    case 6:
        r = ((fl >> 15) ^ fl) & 1;
        break;
    default:
        r = (((fl >> 15) ^ fl) & 1) | (fl & AF_ZF);
        break;
    }
    return r ^ (cc & 1);
}

/* ---- registers ------------------------------------------------------------------------------- */
static always_inline u64 gpr_read(const struct cpu *c, int r, int size)
{
    switch (size) {
    case 1:
        return (u8)c->gpr[r];
    case 2:
        return (u16)c->gpr[r];
    case 4:
        return (u32)c->gpr[r];
    default:
        return c->gpr[r];
    }
}
/* 32-bit writes clear the upper half, 8- and 16-bit writes keep the rest (APM vol. 1, 3.1). */
static always_inline void gpr_write(struct cpu *c, int r, int size, u64 v)
{
    switch (size) {
    case 1:
        *(u8 *)&c->gpr[r] = (u8)v;
        break;
    case 2:
        *(u16 *)&c->gpr[r] = (u16)v;
        break;
    case 4:
        c->gpr[r] = (u32)v;
        break;
    default:
        c->gpr[r] = v;
        break;
    }
}

/* ---- addresses ------------------------------------------------------------------------------- */
static always_inline u64 addr_mask(u64 a, int asize)
{
    return asize == 8 ? a : asize == 4 ? (u32)a : (u16)a;
}
/* Offset of the memory operand in its segment. */
static always_inline gva op_ea(const struct cpu *c, const struct insn *i)
{
    return addr_mask(c->gpr[i->base] + (c->gpr[i->index] << i->scale) + (u64)i->disp, i->asize);
}
static always_inline bool is_canonical(u64 a)
{
    return (u64)((i64)(a << 16) >> 16) == a;
}

/* Segmentation: linear address of [off, off+size) after the checks of the mode; raises #GP(0) or
 * #SS(0). The slow part takes expand-down, wrap, null, non-canonical, real-mode limits. */
gla seg_linear_slow(struct cpu *cpu, int s, gva off, u32 size, bool write);
/* True when seg_linear raises nothing: what must come before a segment's fault can look first. */
static always_inline bool seg_fits(const struct cpu *c, int s, gva off, u32 size, bool write)
{
    if (s == SEG_FLAT || c->mode == MODE_LONG64)
        return true;
    const struct seg *sg = &c->seg[s];
    return (write ? sg->wok : sg->rok) && off + (u64)size - 1 <= sg->limit;
}
/* The registers that the 80286 has moved when an operand of cpu->cur overruns its segment. */
void overrun_286(struct cpu *cpu);
static always_inline gla seg_linear(struct cpu *c, int s, gva off, u32 size, bool write)
{
    if (likely(s == SEG_FLAT))
        return off;
    if (c->mode == MODE_LONG64) {
        /* non-canonical addresses never hit the TLB; mem_*_slow finds them */
        return s >= SEG_FS ? c->seg[s].base + off : off;
    }
    const struct seg *sg = &c->seg[s];
    if (likely((write ? sg->wok : sg->rok) && off + (u64)size - 1 <= sg->limit))
        return (u32)(sg->base + off);
    return seg_linear_slow(c, s, off, size, write);
}

/* In 64-bit mode: #GP(0), or #SS(0) when s is SS, for a non-canonical [a, a+size). Called by the
 * access functions when the TLB misses. */
void check_canonical(struct cpu *cpu, int s, gla a, u32 size);

/* ---- memory: [seg:off], ordinary privilege ----------------------------------------------------
 */
/* The slow functions re-check canonical form and alignment (AC) and then ask the mmu. */
u64 mem_read_slow(struct cpu *cpu, int s, gla a, int size);
void mem_write_slow(struct cpu *cpu, int s, gla a, u64 v, int size);
hva mem_rmw_slow(struct cpu *cpu, int s, gla a, int size);
const u8 *mem_read_ptr_slow(struct cpu *cpu, int s, gla a, int size);

/* The entry for a in the current view. */
static always_inline struct tlb_entry *tlb_slot(const struct cpu *c, gla a)
{
    return &c->tlb[tlb_index(a)];
}

#define TLB_HIT(c, e, tag, a, size) likely(tlb_fits((e)->tag, (a), (u32)(size)))

static always_inline u64 lin_read(struct cpu *c, int s, gla a, int size)
{
    struct tlb_entry *e = tlb_slot(c, a);
    if (TLB_HIT(c, e, rtag, a, size)) {
        const u8 *p = (const u8 *)(a + e->add);
        return size == 1 ? *p : size == 2 ? ld_u16(p) : size == 4 ? ld_u32(p) : ld_u64(p);
    }
    return mem_read_slow(c, s, a, size);
}
static always_inline void lin_write(struct cpu *c, int s, gla a, u64 v, int size)
{
    struct tlb_entry *e = tlb_slot(c, a);
    if (TLB_HIT(c, e, wtag, a, size)) {
        u8 *p = (u8 *)(a + e->add);
        if (size == 1)
            *p = (u8)v;
        else if (size == 2)
            st_u16(p, (u16)v);
        else if (size == 4)
            st_u32(p, (u32)v);
        else
            st_u64(p, v);
        return;
    }
    mem_write_slow(c, s, a, v, size);
}
static always_inline u64 mem_read(struct cpu *c, int s, gva off, int size)
{
    return lin_read(c, s, seg_linear(c, s, off, (u32)size, false), size);
}
static always_inline void mem_write(struct cpu *c, int s, gva off, u64 v, int size)
{
    lin_write(c, s, seg_linear(c, s, off, (u32)size, true), v, size);
}
/* Host address for an in-place read-modify-write (all checks for writing done), or NULL: do
 * mem_probe_write, mem_read, mem_write instead (device memory, code page, page crossing). */
static always_inline hva mem_rmw(struct cpu *c, int s, gva off, int size)
{
    gla a = seg_linear(c, s, off, (u32)size, true);
    struct tlb_entry *e = tlb_slot(c, a);
    if (TLB_HIT(c, e, wtag, a, size))
        return (hva)(a + e->add);
    return mem_rmw_slow(c, s, a, size);
}
/* Host address to read size bytes (1..64) from, or NULL: use mem_read_bytes. */
static always_inline const u8 *mem_read_ptr(struct cpu *c, int s, gva off, int size)
{
    gla a = seg_linear(c, s, off, (u32)size, false);
    struct tlb_entry *e = tlb_slot(c, a);
    if (TLB_HIT(c, e, rtag, a, size))
        return (const u8 *)(a + e->add);
    return mem_read_ptr_slow(c, s, a, size);
}
void mem_probe_read(struct cpu *cpu, int s, gva off, u32 len); /* len <= 4096 */
void mem_probe_write(struct cpu *cpu, int s, gva off, u32 len);
/* #AC unless [s:off] is aligned, while alignment checking is on: for operands that are no scalars.
 */
void check_alignment(struct cpu *cpu, int s, gva off, u32 align);
/* These three never raise #AC. */
void mem_probe_write_bytes(struct cpu *cpu, int s, gva off, u32 len);
void mem_read_bytes(struct cpu *cpu, int s, gva off, void *buf, u32 len);
void mem_write_bytes(struct cpu *cpu, int s, gva off, const void *buf, u32 len);

/* ---- memory: implicit supervisor accesses by linear address (descriptor tables, TSS) ----------
 */
u64 sys_read_slow(struct cpu *cpu, gla a, int size);
void sys_write(struct cpu *cpu, gla a, u64 v, int size);
/* Implicit accesses have supervisor rights at any CPL, and SMAP applies whatever AC says
 * (SDM vol. 3, 4.6.1). */
static always_inline int sys_view(const struct cpu *c)
{
    return c->cr4 & CR4_SMAP ? VIEW_SUP : VIEW_SUP_AC;
}
static always_inline u64 sys_read(struct cpu *c, gla a, int size)
{
    const struct tlb_entry *e = mmu_slot(&c->mmu, sys_view(c), a);
    if (likely(tlb_fits(e->rtag, a, (u32)size)))
        return ld_le((const u8 *)(a + e->add), size);
    return sys_read_slow(c, a, size);
}

/* ---- operands -------------------------------------------------------------------------------- */
/* Operand k as a zero-extended value of its size (immediates: as decoded). */
static always_inline u64 op_read(struct cpu *c, const struct insn *i, int k)
{
    switch (i->kind[k]) {
    case OP_GPR:
        return gpr_read(c, i->reg[k], i->size[k]);
    case OP_GPRH:
        return (u8)(c->gpr[i->reg[k]] >> 8);
    case OP_MEM:
        return mem_read(c, i->seg, op_ea(c, i), i->size[k]);
    default:
        return i->imm;
    }
}
static always_inline void op_write(struct cpu *c, const struct insn *i, int k, u64 v)
{
    switch (i->kind[k]) {
    case OP_GPR:
        gpr_write(c, i->reg[k], i->size[k], v);
        break;
    case OP_GPRH:
        ((u8 *)&c->gpr[i->reg[k]])[1] = (u8)v;
        break;
    default:
        mem_write(c, i->seg, op_ea(c, i), v, i->size[k]);
        break;
    }
}

/* ---- stack ----------------------------------------------------------------------------------- */
static always_inline u64 stack_mask(const struct cpu *c)
{
    return c->mode == MODE_LONG64 ? ~0ull : c->key & KEY_SS32 ? 0xffffffffull : 0xffffull;
}
/* Writes only the bits of RSP that the stack size has (32-bit: zero-extends). */
static always_inline void set_sp(struct cpu *c, u64 v)
{
    u64 m = stack_mask(c);
    if (m == 0xffff)
        *(u16 *)&c->gpr[RSP] = (u16)v;
    else
        c->gpr[RSP] = v & m;
}
/* In 64-bit flat stacks the check is canonical form alone; SEG_FLAT must not be passed for SS. */
static always_inline void push(struct cpu *c, u64 v, int size)
{
    u64 sp = (c->gpr[RSP] - (u64)size) & stack_mask(c);
    mem_write(c, SEG_SS, sp, v, size);
    set_sp(c, sp);
}
/* Reads the top without moving RSP; pop_commit moves it, after everything else succeeded. */
static always_inline u64 stack_peek(struct cpu *c, int bytes_in, int size)
{
    return mem_read(c, SEG_SS, (c->gpr[RSP] + (u64)bytes_in) & stack_mask(c), size);
}
static always_inline void pop_commit(struct cpu *c, int bytes)
{
    set_sp(c, c->gpr[RSP] + (u64)bytes);
}

/* ---- control flow ---------------------------------------------------------------------------- */
/* Near branch target: checks CS limit or canonical form, #GP(0) before anything changed. Masks to
 * operand size (2: 16 bits, 4: 32 bits, 8: 64 bits). */
static always_inline u64 branch_target(struct cpu *c, u64 target, int osize)
{
    if (osize == 2)
        target = (u16)target;
    else if (osize == 4)
        target = (u32)target;
    if (c->mode == MODE_LONG64) {
        if (unlikely(!is_canonical(target)))
            raise_gp0(c);
    } else if (unlikely(target > c->seg[SEG_CS].limit)) {
        raise_gp0(c);
    }
    return target;
}

/* ---- segments, far transfers, delivery (cpu/segment.c, far.c, intr.c, task.c) ------------------
 */
void seg_derive(struct cpu *cpu, int s); /* recompute its derived fields; update_mode() follows */
void seg_cache(struct cpu *cpu, int s);  /* both */
void seg_usable(struct seg *s);          /* the same fields, in protected mode */
void load_seg(struct cpu *cpu, int s,
              u16 sel); /* MOV/POP/Lxx to ES SS DS FS GS: all modes, all checks */
void load_ldtr(struct cpu *cpu, u16 sel);
void load_tr(struct cpu *cpu, u16 sel);
void far_jump(struct cpu *cpu, u16 sel, u64 off, int osize);
void far_call(struct cpu *cpu, u16 sel, u64 off, int osize);
void far_return(struct cpu *cpu, int osize, u32 pop_bytes);
void iret(struct cpu *cpu, int osize);
/* INT n (soft), INT3/INTO/ICEBP, exceptions and interrupts. */
enum intr_kind { INTR_EXTERNAL, INTR_SOFT, INTR_TRAP /* INT3, INTO */, INTR_EXCEPTION, INTR_ICEBP };
void deliver(struct cpu *cpu, int vector, enum intr_kind kind, bool has_error, u32 error);
/* The run loop's reaction to cpu_raise: an exception at cpu->rip; a fault while delivering comes
 * back here with cpu->ex_nested set to the vector that was being delivered (-1: none): double
 * fault, then shutdown. */
void cpu_deliver_fault(struct cpu *cpu, int vector, bool has_error, u32 error);
void task_switch(struct cpu *cpu, u16 tss_sel, int source /* enum task_source */, bool has_error,
                 u32 error);
enum task_source { TASK_JUMP, TASK_CALL, TASK_INT, TASK_IRET };

/* ---- modes and control registers (cpu/control.c) ----------------------------------------------
 */
void update_mode(struct cpu *cpu); /* cpl, mode, key, view, traps from the registers */
void write_cr0(struct cpu *cpu, u64 v);
void write_cr3(struct cpu *cpu, u64 v);
void write_cr4(struct cpu *cpu, u64 v);
void write_efer(struct cpu *cpu, u64 v);
void write_cr8(struct cpu *cpu, u64 v);
u64 read_cr8(struct cpu *cpu);
bool msr_read(struct cpu *cpu, u32 msr, u64 *v); /* false: #GP(0) */
bool msr_write(struct cpu *cpu, u32 msr, u64 v);
void cpuid(struct cpu *cpu, u32 leaf, u32 sub, u32 out[4]); /* EAX EBX ECX EDX */
u64 read_tsc(struct cpu *cpu);
u64 cpu_tsc_hz(const struct cpu *cpu);
/* Replaces the bits of EFLAGS in mask; re-evaluates pending interrupts, TF, AC view. */
void set_eflags(struct cpu *cpu, u32 v, u32 mask);
/* I/O permission for [port, port+size): raises #GP(0) (cpu/exec/io.c). */
void check_io(struct cpu *cpu, u16 port, int size);

/* ---- debug (cpu/debug.c) -----------------------------------------------------------------------
 */
void write_dr(struct cpu *cpu, int n, u64 v);
void debug_sync(struct cpu *cpu); /* after DR0-3 or DR7 changed: what is watched */
void debug_io(struct cpu *cpu, u16 port, int size); /* I/O breakpoints */
void debug_fetch(struct cpu *cpu,
                 gla rip); /* instruction breakpoint at rip: raises #DB as a fault */
/* After an instruction: cpu->dr6_pending has what happened (BS, B0-3, BT). Sets DR6 and raises #DB
 * as a trap at cpu->rip. */
void debug_trap(struct cpu *cpu);

/* ---- local APIC (cpu/lapic.c) -------------------------------------------------------------------
 */
u32 cr4_known(const struct cpu *cpu); /* bits of CR4 that this model has */
struct lapic *lapic_new(struct cpu *cpu, struct clock *clk);
void lapic_free(struct lapic *l);
void lapic_reset(struct lapic *l);
struct device *lapic_device(struct lapic *l); /* MMIO page: region 0, 4-byte accesses */
int lapic_pending(struct lapic *l);           /* vector to deliver now (above PPR), or -1 */
int lapic_accept(struct lapic *l); /* moves it to in-service; returns the vector (spurious too) */
bool lapic_extint(
    const struct lapic *l); /* PIC's INTR pin passes through (LINT0 ExtINT or disabled) */
void lapic_set_lint0(struct lapic *l, bool level);
bool lapic_read_msr(struct lapic *l, u32 msr, u64 *v); /* x2APIC range */
bool lapic_write_msr(struct lapic *l, u32 msr, u64 v);
void lapic_set_base(struct lapic *l, u64 base);
void lapic_place(struct lapic *l); /* where cpu->apic_base says, nothing else changes */
u64 lapic_tpr(const struct lapic *l); /* the 8-bit TPR register; CR8 is its upper half */
void lapic_set_tpr(struct lapic *l, u64 tpr);
void lapic_set_deadline(struct lapic *l, u64 tsc); /* IA32_TSC_DEADLINE */
u64 lapic_deadline(const struct lapic *l);
/* A message on the interrupt bus (IOAPIC, MSI, IPI). mode: fixed 0, lowest 1, SMI 2, NMI 4, INIT 5,
 * SIPI 6, ExtINT 7. */
void lapic_message(struct lapic *l, u32 dest, bool logical, int mode, int vector, bool level);

/* Something may have become deliverable: recompute PEND_INTR, cut the slice if so. */
void cpu_update_intr(struct cpu *cpu);

exec_fn exec_invalid; /* #UD; imm is EX_GP when the instruction is longer than 15 bytes */

/* ---- blocks (cpu/blocks.c, decode.c)
 * ---------------------------------------------------------------------- */
/* Decode one instruction at bytes (max 15, fewer at a page end) for the block key. Returns its
 * length, or 0: more bytes needed, or -1: invalid (row INSN_INVALID filled in, len best guess). */
int decode_insn(struct cpu *cpu, const u8 *bytes, int avail, u32 key, struct insn *out);
/* Host stubs moved: forget decoded instructions that point to them. */
void decode_forget(struct cpu *cpu);
void blocks_flush(struct cpu *cpu); /* everything decoded is forgotten */

/* ---- identity (cpu/cpuid.c)
 * ------------------------------------------------------------------------ */
/* Sets cpu->model and features. name NULL: "host". ST_INVAL: unknown (the message lists the
 * models); ST_UNSUP: the host lacks what the model needs (the message names it). */
enum status cpu_model_apply(struct cpu *cpu, const char *name, struct error *err);
u32 cpu_signature(const struct cpu *cpu); /* EDX after reset; CPUID.1:EAX */
bool cpu_is_amd(const struct cpu *cpu);   /* whose rules the model follows */

/* ---- native (cpu/native.c) ----------------------------------------------------------------------
 */
void native_init(struct cpu *cpu);
void native_free(struct cpu *cpu);
/* Guest FPU environment (x87 registers, MXCSR) onto the host and back; around cpu_run. */
void native_enter(struct cpu *cpu);
void native_leave(struct cpu *cpu);
/* cpu->xs was set anew: RESET, possibly in the middle of a slice. */
void native_reset(struct cpu *cpu);
/* State components (bits of XCR0) that are not in their initial configuration: XGETBV with ECX = 1.
 * Between native_enter and native_leave. */
u64 native_xinuse(struct cpu *cpu);

#endif
