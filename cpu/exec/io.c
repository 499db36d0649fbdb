/*
 * cpu/exec/io.c - IN OUT INS OUTS and the permission to use them.
 *
 * Device writes may raise interrupts, end the slice or change the memory map; all of that takes
 * effect at the instruction's end. INS checks its destination before the device is read, so a
 * fault never loses a byte.
 * Manuals: AMD APM vol. 2, 12.2.4 (I/O-permission bitmap), vol. 3 ch. 3; Intel SDM vol. 1, 19.5.
 */
#include "cpu/exec/rows_priv.h"
#include "cpu/exec/string_priv.h"

enum { TSS_IOMAP_BASE = 0x66, TSS_MIN_LIMIT = 0x67 };

/* Outside CPL <= IOPL, and always in V86 mode, the 32/64-bit TSS's bitmap decides: every bit of the
 * access must be 0, and both bytes read must lie inside the limit. */
void check_io(struct cpu *cpu, u16 port, int size)
{
    if (cpu->mode == MODE_REAL)
        return;
    int iopl = (cpu->flsys >> 12) & 3;
    if (cpu->mode != MODE_V86 && cpu->cpl <= iopl)
        return;
    int type = cpu->tr.attr & 15;
    if ((type != 9 && type != 11) || cpu->tr.limit < TSS_MIN_LIMIT)
        raise_gp0(cpu);
    u32 map = (u32)sys_read(cpu, cpu->tr.base + TSS_IOMAP_BASE, 2);
    u32 at = map + port / 8;
    if (at + 1 > cpu->tr.limit)
        raise_gp0(cpu);
    u32 bits_of = (u32)sys_read(cpu, cpu->tr.base + at, 2) >> (port & 7);
    if (bits_of & ((1u << size) - 1))
        raise_gp0(cpu);
}

static always_inline u64 port_in(struct cpu *cpu, u16 port, int size)
{
    u64 began = ledger_begin(cpu->mmu.ledger);
    u64 v = space_read(cpu->ports, port, size);
    cpu->mmu.io_accesses++;
    ledger_end(cpu->mmu.ledger, LEDGER_PORT, began);
    TRACE(cpu, TRACE_IN, port | (u32)size << 16, v, 0);
    if (unlikely(cpu->watch_on))
        debug_io(cpu, port, size);
    return v;
}

static always_inline void port_out(struct cpu *cpu, u16 port, u64 v, int size)
{
    TRACE(cpu, TRACE_OUT, port | (u32)size << 16, v, 0);
    u64 began = ledger_begin(cpu->mmu.ledger);
    space_write(cpu->ports, port, v, size);
    cpu->mmu.io_accesses++;
    ledger_end(cpu->mmu.ledger, LEDGER_PORT, began);
    if (unlikely(cpu->watch_on))
        debug_io(cpu, port, size);
}

/* Operand k names the port: an immediate byte or DX. */
static u16 port_operand(struct cpu *cpu, const struct insn *i, int k)
{
    return i->kind[k] == OP_IMM ? (u8)i->imm : (u16)cpu->gpr[RDX];
}

void exec_in(struct cpu *cpu, const struct insn *i)
{
    u16 port = port_operand(cpu, i, 1);
    check_io(cpu, port, i->size[0]);
    gpr_write(cpu, RAX, i->size[0], port_in(cpu, port, i->size[0]));
}

void exec_out(struct cpu *cpu, const struct insn *i)
{
    u16 port = port_operand(cpu, i, 0);
    check_io(cpu, port, i->size[1]);
    port_out(cpu, port, gpr_read(cpu, RAX, i->size[1]), i->size[1]);
}

/* ---- INS OUTS ------------------------------------------------------------------------------- */
/* Element size: there is no 64-bit I/O, REX.W changes nothing. */
static int io_size(const struct insn *i)
{
    return MIN(i->osize, 4);
}

static void ins_one(struct cpu *cpu, const struct insn *i, u16 port, int size)
{
    int ds = cpu->key & (KEY_FLAT | KEY_64) ? SEG_FLAT : SEG_ES;
    gva di = addr_mask(cpu->gpr[RDI], i->asize);
    u8 *p = mem_rmw(cpu, ds, di, size);
    if (p) {
        st_le(p, port_in(cpu, port, size), size);
    } else {
        mem_probe_write(cpu, ds, di, (u32)size);
        mem_write(cpu, ds, di, port_in(cpu, port, size), size);
    }
    str_advance(cpu, i, RDI, str_step(cpu, size, 1));
}

static void outs_one(struct cpu *cpu, const struct insn *i, u16 port, int size)
{
    gva si = addr_mask(cpu->gpr[RSI], i->asize);
    port_out(cpu, port, mem_read(cpu, i->seg, si, size), size);
    str_advance(cpu, i, RSI, str_step(cpu, size, 1));
}

static always_inline void repeat(struct cpu *cpu, const struct insn *i,
                                 void (*one)(struct cpu *, const struct insn *, u16, int))
{
    u16 port = (u16)cpu->gpr[RDX];
    int size = io_size(i);
    check_io(cpu, port, size);
    if (!is_rep(i)) {
        one(cpu, i, port, size);
        return;
    }
    u64 n = rep_count(cpu, i);
    for (int budget = REP_BUDGET; n; n--, budget--) {
        if (budget < REP_BUDGET && (!budget || rep_should_pause(cpu))) {
            rep_pause(cpu, i);
            return;
        }
        one(cpu, i, port, size);
        rep_done(cpu, i, 1);
    }
}

void exec_ins(struct cpu *cpu, const struct insn *i)
{
    repeat(cpu, i, ins_one);
}

void exec_outs(struct cpu *cpu, const struct insn *i)
{
    repeat(cpu, i, outs_one);
}
