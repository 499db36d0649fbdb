/*
 * tests/pv/rig.h - a processor with RAM and a clock that stands, for tests of personalities.
 *
 * You are here: guest code is bytes at CODE_AT in real mode (or any mode the test sets up); the CPU
 * runs them, so that the opcode, the CPUID bit and the MSRs are tested and not just the functions.
 */
#ifndef TESTS_PV_RIG_H
#define TESTS_PV_RIG_H

#include <criterion/criterion.h>

#include "cpu/cpu.h"

enum { RIG_RAM = 1 << 20, RIG_CODE = 0x2000, RIG_PAGE = 0x8000 };

struct rig {
    struct clock *clk;
    struct space *mem, *ports;
    struct ram *ram;
    struct cpu *cpu;
};

static inline struct rig rig_new(const char *model)
{
    struct rig r;
    struct error err;
    r.clk = clock_new(CLOCK_FAKE, 1000000000ull * NS_PER_SEC + 77);
    r.mem = space_new("memory", 1ull << 40);
    r.ports = space_new("ports", 65536);
    cr_assert_eq(ram_new(RIG_RAM, &r.ram, &err), ST_OK);
    space_map_ram(r.mem, 0, RIG_RAM, r.ram, 0, MAP_RW, 0);
    struct cpu_config c = {
        .model = model, .clk = r.clk, .mem = r.mem, .ports = r.ports, .ram = r.ram};
    cr_assert_eq(cpu_new(&c, &r.cpu, &err), ST_OK, "%s", err.msg);
    for (u32 v = 0; v < 32; v++) /* fault handlers, told apart by where they are */
        st_u32(r.ram->base + v * 4, 0x3000 + v * 16);
    cpu_set_seg(r.cpu, SEG_CS, 0, 0, 0xffff, 0x9b);
    cpu_set_seg(r.cpu, SEG_SS, 0, 0, 0xffff, 0x93);
    r.cpu->gpr[RSP] = 0x7000;
    cpu_sync(r.cpu);
    return r;
}

static inline void rig_free(struct rig *r)
{
    cpu_free(r->cpu);
    space_free(r->mem);
    space_free(r->ports);
    ram_free(r->ram);
    clock_free(r->clk);
}

/* Executes one instruction of at most 4 bytes, its fault's delivery included. */
static inline void rig_step(struct rig *r, u32 bytes)
{
    r->cpu->rip = RIG_CODE;
    st_u32(r->ram->base + RIG_CODE, bytes);
    ram_note_write(r->ram, RIG_CODE, 4);
    cpu_step(r->cpu);
}

static inline bool rig_faulted(const struct rig *r, int vector)
{
    return r->cpu->rip == 0x3000 + (u64)vector * 16;
}

enum { OP_VMCALL = 0xc1010f, OP_VMMCALL = 0xd9010f, OP_RDMSR = 0x320f, OP_WRMSR = 0x300f };
enum { OP_CPUID = 0xa20f, OP_HLT = 0xf4, OP_NOP = 0x90 };

/* True: no #GP. */
static inline bool rig_wrmsr(struct rig *r, u32 msr, u64 v)
{
    r->cpu->gpr[RCX] = msr;
    r->cpu->gpr[RAX] = (u32)v;
    r->cpu->gpr[RDX] = v >> 32;
    rig_step(r, OP_WRMSR);
    return !rig_faulted(r, EX_GP);
}

static inline bool rig_rdmsr(struct rig *r, u32 msr, u64 *v)
{
    r->cpu->gpr[RCX] = msr;
    rig_step(r, OP_RDMSR);
    *v = r->cpu->gpr[RDX] << 32 | (u32)r->cpu->gpr[RAX];
    return !rig_faulted(r, EX_GP);
}

#endif
