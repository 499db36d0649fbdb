/*
 * cpu/exec/segreg.c - instructions on segment registers and descriptor tables.
 *
 * Intel SDM vol. 2 (each instruction), vol. 3, 5.10 (LAR, LSL, VERR, VERW, ARPL).
 */
#include "cpu/exec/rows_priv.h"
#include "cpu/segment_priv.h"

static void shadow_ss(struct cpu *cpu)
{
    cpu->pending |= PEND_SHADOW_SS;
}

/* The register that the encoding names: the 8086 looks at two bits only, the 286 has no FS and GS
 * and says so. */
static int old_segment(struct cpu *cpu, int s)
{
    if (unlikely(s >= SEG_FS && !cpu_has(cpu, FEAT_I386))) {
        if (cpu_has(cpu, FEAT_I286))
            raise_ud(cpu);
        return s & 3;
    }
    return s;
}

void exec_mov_seg(struct cpu *cpu, const struct insn *i)
{
    if (i->kind[0] == OP_SEG) {
        int s = old_segment(cpu, i->reg[0]);
        if (s == SEG_CS && cpu_has(cpu, FEAT_I286))
            raise_ud(cpu);
        u16 sel = (u16)(i->kind[1] == OP_MEM ? mem_read(cpu, i->seg, op_ea(cpu, i), 2)
                                             : cpu->gpr[i->reg[1]]);
        load_seg(cpu, s, sel);
        if (s == SEG_SS)
            shadow_ss(cpu);
        return;
    }
    u16 sel = cpu->seg[old_segment(cpu, i->reg[1])].sel;
    if (i->kind[0] == OP_MEM)
        mem_write(cpu, i->seg, op_ea(cpu, i), sel, 2);
    else
        gpr_write(cpu, i->reg[0], i->size[0], sel);
}

void exec_push_seg(struct cpu *cpu, const struct insn *i)
{
    u16 sel = cpu->seg[i->reg[0]].sel;
    if (i->osize == 4 && !cpu_is_amd(cpu)) {
        /* Intel writes 16 bits of the 32-bit slot (SDM vol. 2, PUSH), AMD all of it */
        u64 sp = (cpu->gpr[RSP] - 4) & stack_mask(cpu);
        mem_write(cpu, SEG_SS, sp, sel, 2);
        set_sp(cpu, sp);
        return;
    }
    push(cpu, sel, i->osize);
}

void exec_pop_seg(struct cpu *cpu, const struct insn *i)
{
    u16 sel = (u16)stack_peek(cpu, 0, i->osize == 4 ? 2 : i->osize);
    u64 mask = stack_mask(cpu), sp = cpu->gpr[RSP];
    if (i->reg[0] == SEG_CS) { /* 8086: POP CS */
        load_seg(cpu, SEG_CS, sel);
    } else {
        load_seg(cpu, i->reg[0], sel);
    }
    sp = (sp + i->osize) & mask;
    if (mask == 0xffff)
        *(u16 *)&cpu->gpr[RSP] = (u16)sp;
    else
        cpu->gpr[RSP] = sp;
    if (i->reg[0] == SEG_SS)
        shadow_ss(cpu);
}

static void load_far_pointer(struct cpu *cpu, const struct insn *i, int s)
{
    gva ea = op_ea(cpu, i);
    u64 off = mem_read(cpu, i->seg, ea, i->osize);
    u16 sel = (u16)mem_read(cpu, i->seg, addr_mask(ea + i->osize, i->asize), 2);
    load_seg(cpu, s, sel);
    gpr_write(cpu, i->reg[0], i->osize, off);
}

void exec_lds(struct cpu *cpu, const struct insn *i)
{
    load_far_pointer(cpu, i, SEG_DS);
}
void exec_les(struct cpu *cpu, const struct insn *i)
{
    load_far_pointer(cpu, i, SEG_ES);
}
void exec_lfs(struct cpu *cpu, const struct insn *i)
{
    load_far_pointer(cpu, i, SEG_FS);
}
void exec_lgs(struct cpu *cpu, const struct insn *i)
{
    load_far_pointer(cpu, i, SEG_GS);
}
void exec_lss(struct cpu *cpu, const struct insn *i)
{
    load_far_pointer(cpu, i, SEG_SS);
}

/* ---- FS and GS bases
 * ------------------------------------------------------------------------------- */
static void need_fsgsbase(struct cpu *cpu)
{
    if (!(cpu->cr4 & CR4_FSGSBASE))
        raise_ud(cpu);
}

static void write_base(struct cpu *cpu, const struct insn *i, int s)
{
    u64 v = op_read(cpu, i, 0);
    need_fsgsbase(cpu);
    if (!is_canonical(v))
        raise_gp0(cpu);
    cpu->seg[s].base = v;
}

void exec_rdfsbase(struct cpu *cpu, const struct insn *i)
{
    need_fsgsbase(cpu);
    op_write(cpu, i, 0, cpu->seg[SEG_FS].base);
}
void exec_rdgsbase(struct cpu *cpu, const struct insn *i)
{
    need_fsgsbase(cpu);
    op_write(cpu, i, 0, cpu->seg[SEG_GS].base);
}
void exec_wrfsbase(struct cpu *cpu, const struct insn *i)
{
    write_base(cpu, i, SEG_FS);
}
void exec_wrgsbase(struct cpu *cpu, const struct insn *i)
{
    write_base(cpu, i, SEG_GS);
}

void exec_swapgs(struct cpu *cpu, const struct insn *i)
{
    (void)i;
    need_cpl0(cpu);
    u64 t = cpu->seg[SEG_GS].base;
    cpu->seg[SEG_GS].base = cpu->kernel_gs_base;
    cpu->kernel_gs_base = t;
}

/* ---- descriptor tables
 * --------------------------------------------------------------------------------- */
static void check_umip(struct cpu *cpu)
{
    if (unlikely(cpu->cr4 & CR4_UMIP) && cpu->cpl != 0)
        raise_gp0(cpu);
}

static void load_table(struct cpu *cpu, const struct insn *i, struct dtable *t)
{
    need_cpl0(cpu);
    gva ea = op_ea(cpu, i);
    u16 limit = (u16)mem_read(cpu, i->seg, ea, 2);
    bool lm = cpu->mode == MODE_LONG64;
    u64 base = mem_read(cpu, i->seg, addr_mask(ea + 2, i->asize), lm ? 8 : 4);
    if (!lm && i->osize == 2)
        base &= 0xffffff;
    if (lm && !is_canonical(base))
        raise_gp0(cpu);
    t->limit = limit;
    t->base = base;
}

static void store_table(struct cpu *cpu, const struct insn *i, const struct dtable *t)
{
    check_umip(cpu);
    gva ea = op_ea(cpu, i);
    bool lm = cpu->mode == MODE_LONG64;
    u64 base = t->base;
    if (!cpu_has(cpu, FEAT_I386))
        base |= 0xff000000; /* the 286 stores ones in the sixth byte */
    mem_probe_write(cpu, i->seg, ea, lm ? 10 : 6);
    mem_write(cpu, i->seg, ea, t->limit, 2);
    mem_write(cpu, i->seg, addr_mask(ea + 2, i->asize), base, lm ? 8 : 4);
}

void exec_lgdt(struct cpu *cpu, const struct insn *i)
{
    load_table(cpu, i, &cpu->gdtr);
}
void exec_lidt(struct cpu *cpu, const struct insn *i)
{
    load_table(cpu, i, &cpu->idtr);
}
void exec_sgdt(struct cpu *cpu, const struct insn *i)
{
    store_table(cpu, i, &cpu->gdtr);
}
void exec_sidt(struct cpu *cpu, const struct insn *i)
{
    store_table(cpu, i, &cpu->idtr);
}

static void need_protected(struct cpu *cpu)
{
    if (cpu->mode == MODE_REAL || cpu->mode == MODE_V86)
        raise_ud(cpu);
}

static u16 read_selector(struct cpu *cpu, const struct insn *i, int k)
{
    return (u16)(i->kind[k] == OP_MEM ? mem_read(cpu, i->seg, op_ea(cpu, i), 2)
                                      : cpu->gpr[i->reg[k]]);
}

static void store_selector(struct cpu *cpu, const struct insn *i, u16 sel)
{
    need_protected(cpu);
    check_umip(cpu);
    if (i->kind[0] == OP_MEM)
        mem_write(cpu, i->seg, op_ea(cpu, i), sel, 2);
    else
        gpr_write(cpu, i->reg[0], i->size[0], sel);
}

void exec_lldt(struct cpu *cpu, const struct insn *i)
{
    need_protected(cpu);
    need_cpl0(cpu);
    load_ldtr(cpu, read_selector(cpu, i, 0));
}
void exec_ltr(struct cpu *cpu, const struct insn *i)
{
    need_protected(cpu);
    need_cpl0(cpu);
    load_tr(cpu, read_selector(cpu, i, 0));
}
void exec_sldt(struct cpu *cpu, const struct insn *i)
{
    store_selector(cpu, i, cpu->ldtr.sel);
}
void exec_str(struct cpu *cpu, const struct insn *i)
{
    store_selector(cpu, i, cpu->tr.sel);
}

/* ---- asking about a selector
 * -------------------------------------------------------------------------------- */
static void set_zf(struct cpu *cpu, bool on)
{
    cpu->fl = (u16)((cpu->fl & ~AF_ZF) | (on ? AF_ZF : 0));
}

/* Reads the descriptor of sel if privilege lets the program see it. */
static bool visible(struct cpu *cpu, u16 sel, struct desc *d)
{
    if (sel_null(sel) || !desc_read(cpu, sel, d))
        return false;
    if (desc_s(d) && desc_code(d) && desc_conforming(d))
        return true;
    return desc_dpl(d) >= cpu->cpl && desc_dpl(d) >= (sel & 3);
}

void exec_lar(struct cpu *cpu, const struct insn *i)
{
    /* by type; long mode has no 16-bit TSS and no task gates */
    u32 types = cpu->efer & EFER_LMA ? 0x1a04 : 0x1a3e;
    struct desc d;
    need_protected(cpu);
    u16 sel = read_selector(cpu, i, 1);
    bool ok = visible(cpu, sel, &d) && (desc_s(&d) || (types >> desc_type(&d) & 1));
    if (ok)
        gpr_write(cpu, i->reg[0], i->osize, d.hi & (i->osize == 2 ? 0xff00 : 0xffff00));
    set_zf(cpu, ok);
}

void exec_lsl(struct cpu *cpu, const struct insn *i)
{
    u32 types = cpu->efer & EFER_LMA ? 0x0a04 : 0x0a0e;
    struct desc d;
    need_protected(cpu);
    u16 sel = read_selector(cpu, i, 1);
    bool ok = visible(cpu, sel, &d) && (desc_s(&d) || (types >> desc_type(&d) & 1));
    if (ok)
        gpr_write(cpu, i->reg[0], i->osize, desc_limit(&d));
    set_zf(cpu, ok);
}

void exec_verr(struct cpu *cpu, const struct insn *i)
{
    struct desc d;
    need_protected(cpu);
    u16 sel = read_selector(cpu, i, 0);
    set_zf(cpu, visible(cpu, sel, &d) && desc_s(&d) && (!desc_code(&d) || (d.hi & 0x200)));
}

void exec_verw(struct cpu *cpu, const struct insn *i)
{
    struct desc d;
    need_protected(cpu);
    u16 sel = read_selector(cpu, i, 0);
    bool yes = visible(cpu, sel, &d) && desc_writable_data(&d);
    if (yes)
        desc_remember(cpu, sel, &d);
    set_zf(cpu, yes);
}

void exec_arpl(struct cpu *cpu, const struct insn *i)
{
    need_protected(cpu);
    u16 dst = (u16)op_read(cpu, i, 0), rpl = (u16)cpu->gpr[i->reg[1]] & 3;
    bool raise = (dst & 3) < rpl;
    if (raise)
        op_write(cpu, i, 0, (u64)((dst & 0xfffc) | rpl));
    set_zf(cpu, raise);
}
