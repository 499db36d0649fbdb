/*
 * machine/state.h - the architectural state of one vCPU as plain data.
 *
 * You are here: what debuggers, vectors, traces and lockstep read and write, whatever engine runs.
 * Nothing hidden: two engines agree when these structures and guest memory are equal.
 * SDM vol. 3, ch. 2 (system registers), 3.4.3 (hidden parts), vol. 1, 13.4 (XSAVE area).
 */
#ifndef MACHINE_STATE_H
#define MACHINE_STATE_H

#include "base/types.h"

struct vm;

enum { CPU_SEG_ES, CPU_SEG_CS, CPU_SEG_SS, CPU_SEG_DS, CPU_SEG_FS, CPU_SEG_GS, CPU_SEGS };

/* attr: bits 8..23 of the descriptor's high dword: type 0-3, S 4, DPL 5-6, P 7, AVL 12, L 13,
 * D/B 14, G 15. limit in bytes. */
struct cpu_seg_state {
    u64 base;
    u32 limit;
    u16 sel, attr;
};
struct cpu_dtable_state {
    u64 base;
    u16 limit;
};

/* Offsets into xsave: FCW 0, FSW 2, FTW (abridged) 4, FOP 6, FIP 8, FDP 16, MXCSR 24, ST(n)
 * 32 + 16n, XMMn 160 + 16n, YMMn's upper half 576 + 16n. */
enum { CPU_XSAVE_SIZE = 832 };

struct cpu_regs {
    u64 gpr[16]; /* RAX RCX RDX RBX RSP RBP RSI RDI R8.. */
    u64 rip, rflags;
    struct cpu_seg_state seg[CPU_SEGS], ldtr, tr;
    struct cpu_dtable_state gdtr, idtr;
    u64 cr0, cr2, cr3, cr4, efer, xcr0;
    u64 dr[8]; /* 4 and 5 are 0 */
    u8 cpl;
    u8 mode_bits; /* read only: 16, 32 or 64, width of the code at CS */
    u8 xsave[CPU_XSAVE_SIZE];
};

/* VM's thread, VM not inside vm_run (or inside a callback of it). vcpu: 0. */
void vm_get_regs(const struct vm *vm, int vcpu, struct cpu_regs *r);
/* Takes everything but mode_bits as it is, without checks: hidden parts are not reloaded from
 * descriptor tables. */
void vm_set_regs(struct vm *vm, int vcpu, const struct cpu_regs *r);

#endif
