/*
 * tests/insn/sys_rig.h - a CPU with descriptor tables, for tests of what changes mode or privilege.
 *
 * You are here: the rig puts a GDT, an IDT whose every gate leads to a handler of its own, a TSS
 * and page tables into RAM, sets the CPU up in one of the modes, and steps instructions. One
 * sys_step() executes one instruction, its fault's delivery included: a fault shows as RIP at
 * HANDLER(vector).
 */
#ifndef TESTS_INSN_SYS_RIG_H
#define TESTS_INSN_SYS_RIG_H

#include "cpu/exec_priv.h"

enum {
    GDT_AT = 0x1000,
    IDT_AT = 0x2000,
    TSS_AT = 0x4000,
    TSS2_AT = 0x4400,
    LDT_AT = 0x4800,
    CODE_AT = 0x20000,
    HANDLERS = 0x30000,
    KSTACK = 0x50000, /* initial stack, and stack 0 of the TSS at KSTACK0 */
    KSTACK0 = 0x54000,
    KSTACK1 = 0x58000,
    IST1 = 0x5c000,
    USTACK = 0x60000,
    DATA_AT = 0x70000,
    PML4_AT = 0x80000,
};
#define HANDLER(v) (HANDLERS + (u64)(v)*16)

/* Selectors of the rig's GDT. */
enum {
    S_CODE0 = 0x08,
    S_DATA0 = 0x10,
    S_CODE3 = 0x1b,
    S_DATA3 = 0x23,
    S_TSS = 0x28, /* 16 bytes */
    S_TSS2 = 0x38,
    S_CONF = 0x40, /* conforming code, DPL 0 */
    S_CODE16 = 0x48,
    S_DATA16 = 0x50,
    S_GATE32 = 0x58, /* DPL 3, to CODE0:HANDLER(200), 2 parameters */
    S_GATE16 = 0x60,
    S_CODE64 = 0x68,
    S_CODE64_3 = 0x73,
    S_ABSENT = 0x78, /* data, not present */
    S_RODATA = 0x80,
    S_LDT = 0x88, /* 16 bytes */
    S_XONLY = 0x98,
    S_TASKGATE = 0xa0, /* to TSS2, DPL 3 */
    S_DATA1 = 0xa8,
    S_DOWN = 0xb0,   /* expand-down data, valid above 0xffff */
    S_GATE64 = 0xb8, /* 16 bytes; DPL 3, to CODE64:HANDLER(201) */
    S_CODE1 = 0xc8,
    S_ABSENT_CODE = 0xd0,
    GDT_END = 0xd8,
};

struct sys {
    struct clock *clk;
    struct space *mem, *ports;
    struct ram *ram;
    struct cpu *cpu;
};

/* In real mode, CS = 2000h, RIP 0, everything in RAM. Aborts on an unknown model. */
struct sys *sys_new(const char *model);
void sys_free(struct sys *s);

/* 32-bit protected mode at CODE_AT; cpl 0 or 3. */
void sys_prot(struct sys *s, int cpl);
/* 64-bit mode, identity-mapped; cpl 0 or 3. */
void sys_long(struct sys *s, int cpl);
/* Virtual-8086 mode with this IOPL, CS = 2000h, SS = 6000h:FFF0h. */
void sys_v86(struct sys *s, int iopl);

/* RAM. */
u8 *sys_mem(struct sys *s, u64 at);
u16 sys_u16(struct sys *s, u64 at);
u32 sys_u32(struct sys *s, u64 at);
u64 sys_u64(struct sys *s, u64 at);
void sys_put(struct sys *s, u64 at, const void *bytes, size_t n);

/* attr as in struct seg. limit in units of the G bit. */
u64 sys_desc(u32 base, u32 limit, u16 attr);
void sys_gdt(struct sys *s, u16 sel, u64 desc);
/* attr: the gate's type, DPL and present bit as ATTR_* has them. */
void sys_gate(struct sys *s, int vector, u16 sel, u32 off, u8 attr);

/* Writes code at the current instruction and executes one instruction. */
#define SYS_STEP(s, ...) sys_step((s), (const u8[]){__VA_ARGS__}, sizeof((const u8[]){__VA_ARGS__}))
enum cpu_exit sys_step(struct sys *s, const u8 *code, size_t n);

/* Asserts that the last step ended in the handler of vector, with this error code on its stack
 * (NO_ERROR: not looked at). */
#define NO_ERROR                       0xffffffffu
#define EXPECT_FAULT(s, vector, error) sys_expect_fault((s), (vector), (error), __LINE__)
void sys_expect_fault(struct sys *s, int vector, u32 error, int line);
/* Asserts that RIP is where it is told. */
#define EXPECT_AT(s, at) sys_expect_at((s), (at), __LINE__)
void sys_expect_at(struct sys *s, u64 at, int line);

/* The far pointer bytes of EA and 9A. */
#define FAR32(off, sel)                                                                            \
    (u8)(off), (u8)((off) >> 8), (u8)((off) >> 16), (u8)((off) >> 24), (u8)(sel), (u8)((sel) >> 8)

#endif
