/*
 * cpu/exec/x87.c - x87: the host's own FPU computes (through stubs); what the host cannot know is
 * kept here: instruction and data pointers, environment images in the guest's mode, FERR#.
 *
 * Waiting instructions with an error pending are stopped by the host itself (native.c). The
 * environment instructions run in C, so they look first.
 *
 * Intel SDM vol. 1, 8.1.8-8.1.10 (pointers, opcode, image formats), 8.6-8.7 (errors, WAIT).
 */
#include "cpu/exec/rows_priv.h"
#include "cpu/native_priv.h"

/* Everything but the control instructions leaves its address, opcode and operand's address. */
void exec_x87(struct cpu *cpu, const struct insn *i)
{
    const struct stub *s = i->stub;
    u16 fop = (u16)(i->reg[2] << 8 | i->imm2);
    u64 fip = cpu->rip - i->len;

    check_gate(cpu, GATE_X87);
    if (s->access == STUB_NOMEM) {
        stub_call(cpu, s, NULL);
    } else {
        gva off = op_ea(cpu, i);
        u16 sel = cpu->seg[i->seg == SEG_FLAT ? SEG_DS : i->seg].sel;
        native_mem(cpu, i, s, off);
        cpu->fdp = off;
        cpu->fds = sel;
    }
    cpu->fop = fop;
    cpu->fip = cpu->mode == MODE_LONG64 ? fip : (u32)fip;
    cpu->fcs = cpu->seg[SEG_CS].sel;
}

/* FLDCW, FNSTCW, FNSTSW m16 and the 287's no-operations. */
void exec_x87_ctl(struct cpu *cpu, const struct insn *i)
{
    const struct stub *s = i->stub;
    check_gate(cpu, GATE_X87);
    if (s->access == STUB_NOMEM)
        stub_call(cpu, s, NULL);
    else
        native_mem(cpu, i, s, op_ea(cpu, i));
}

void exec_fnstsw(struct cpu *cpu, const struct insn *i)
{
    u16 fsw;
    check_gate(cpu, GATE_X87);
    __asm__ volatile("fnstsw %0" : "=a"(fsw));
    op_write(cpu, i, 0, fsw);
}

void exec_fnclex(struct cpu *cpu, const struct insn *i)
{
    check_gate(cpu, GATE_X87);
    __asm__ volatile("fnclex");
    cpu->native->ignne = false;
}

static void clear_pointers(struct cpu *cpu)
{
    cpu->fop = cpu->fcs = cpu->fds = 0;
    cpu->fip = cpu->fdp = 0;
    cpu->native->ignne = false;
}

void exec_fninit(struct cpu *cpu, const struct insn *i)
{
    check_gate(cpu, GATE_X87);
    __asm__ volatile("fninit");
    clear_pointers(cpu);
}

/* WAIT asks MP, not EM (SDM vol. 3, table 2-2). */
void exec_fwait(struct cpu *cpu, const struct insn *i)
{
    if ((cpu->cr0 & (CR0_MP | CR0_TS)) == (CR0_MP | CR0_TS))
        cpu_raise(cpu, EX_NM);
    native_check_mf(cpu);
}

/* ---- environment images ---------------------------------------------------------------------- */
static bool real_format(const struct cpu *cpu)
{
    return cpu->mode == MODE_REAL || cpu->mode == MODE_V86;
}

/* env: the host's 28 bytes, control, status and tags in place. Makes the guest's image of n (14 or
 * 28) bytes in out. */
static void env_to_guest(const struct cpu *cpu, const u8 env[28], u8 *out, u32 n)
{
    bool real = real_format(cpu);
    u32 ip = (u32)cpu->fip, dp = (u32)cpu->fdp;
    if (real) {
        ip += (u32)cpu->fcs << 4;
        dp += (u32)cpu->fds << 4;
    }
    if (n == 28) {
        memcpy(out, env, 12);
        if (real) {
            st_u32(out + 12, ip & 0xffff);
            st_u32(out + 16, (ip >> 16) << 12 | cpu->fop);
            st_u32(out + 20, dp & 0xffff);
            st_u32(out + 24, (dp >> 16) << 12);
        } else {
            st_u32(out + 12, ip);
            st_u32(out + 16, cpu->fcs | (u32)cpu->fop << 16);
            st_u32(out + 20, dp);
            st_u32(out + 24, cpu->fds | 0xffff0000u);
        }
        return;
    }
    memcpy(out, env, 2);
    memcpy(out + 2, env + 4, 2);
    memcpy(out + 4, env + 8, 2);
    st_u16(out + 6, (u16)ip);
    st_u16(out + 8, real ? (u16)((ip >> 16) << 12 | cpu->fop) : cpu->fcs);
    st_u16(out + 10, (u16)dp);
    st_u16(out + 12, real ? (u16)((dp >> 16) << 12) : cpu->fds);
}

struct pointers {
    u64 fip, fdp;
    u16 fop, fcs, fds;
};

static struct pointers env_from_guest(const struct cpu *cpu, const u8 *in, u32 n, u8 env[28])
{
    struct pointers p = {0};
    bool real = real_format(cpu);

    memset(env, 0, 28);
    if (n == 28) {
        memcpy(env, in, 12);
        p.fip = ld_u32(in + 12);
        p.fdp = ld_u32(in + 20);
        if (real) {
            p.fop = ld_u16(in + 16) & 0x7ff;
            p.fip = (p.fip & 0xffff) | (u64)(ld_u32(in + 16) >> 12 & 0xffff) << 16;
            p.fdp = (p.fdp & 0xffff) | (u64)(ld_u32(in + 24) >> 12 & 0xffff) << 16;
        } else {
            p.fcs = ld_u16(in + 16);
            p.fop = ld_u16(in + 18) & 0x7ff;
            p.fds = ld_u16(in + 24);
        }
        return p;
    }
    memcpy(env, in, 2);
    memcpy(env + 4, in + 2, 2);
    memcpy(env + 8, in + 4, 2);
    p.fip = ld_u16(in + 6);
    p.fdp = ld_u16(in + 10);
    if (real) {
        p.fop = ld_u16(in + 8) & 0x7ff;
        p.fip |= (u64)(ld_u16(in + 8) >> 12) << 16;
        p.fdp |= (u64)(ld_u16(in + 12) >> 12) << 16;
    } else {
        p.fcs = ld_u16(in + 8);
        p.fds = ld_u16(in + 12);
    }
    return p;
}

static void set_pointers(struct cpu *cpu, const struct pointers *p)
{
    cpu->fip = p->fip;
    cpu->fdp = p->fdp;
    cpu->fop = p->fop;
    cpu->fcs = p->fcs;
    cpu->fds = p->fds;
    cpu->native->ignne = false;
}

/* Saves, then masks all exceptions; the memory is checked first. */
void exec_fnstenv(struct cpu *cpu, const struct insn *i)
{
    u8 env[28], out[28];
    u32 n = i->size[0];
    gva off = op_ea(cpu, i);

    check_gate(cpu, GATE_X87);
    check_alignment(cpu, i->seg, off, n == 14 ? 2 : 4);
    mem_probe_write(cpu, i->seg, off, n);
    __asm__ volatile("fnstenv %0" : "=m"(env));
    env_to_guest(cpu, env, out, n);
    mem_write_bytes(cpu, i->seg, off, out, n);
}

void exec_fldenv(struct cpu *cpu, const struct insn *i)
{
    u8 env[28], in[28];
    u32 n = i->size[0];

    check_gate(cpu, GATE_X87);
    native_check_mf(cpu);
    check_alignment(cpu, i->seg, op_ea(cpu, i), n == 14 ? 2 : 4);
    mem_read_bytes(cpu, i->seg, op_ea(cpu, i), in, n);
    struct pointers p = env_from_guest(cpu, in, n, env);
    __asm__ volatile("fldenv %0" : : "m"(env));
    set_pointers(cpu, &p);
}

void exec_fnsave(struct cpu *cpu, const struct insn *i)
{
    u8 image[108], out[108];
    u32 env = i->size[0] - 80u;
    gva off = op_ea(cpu, i);

    check_gate(cpu, GATE_X87);
    check_alignment(cpu, i->seg, off, env == 14 ? 2 : 4);
    mem_probe_write(cpu, i->seg, off, env + 80);
    __asm__ volatile("fnsave %0" : "=m"(image));
    env_to_guest(cpu, image, out, env);
    memcpy(out + env, image + 28, 80);
    clear_pointers(cpu);
    mem_write_bytes(cpu, i->seg, off, out, env + 80);
}

void exec_frstor(struct cpu *cpu, const struct insn *i)
{
    u8 image[108], in[108];
    u32 env = i->size[0] - 80u;

    check_gate(cpu, GATE_X87);
    native_check_mf(cpu);
    check_alignment(cpu, i->seg, op_ea(cpu, i), env == 14 ? 2 : 4);
    mem_read_bytes(cpu, i->seg, op_ea(cpu, i), in, env + 80);
    struct pointers p = env_from_guest(cpu, in, env, image);
    memcpy(image + 28, in + env, 80);
    __asm__ volatile("frstor %0" : : "m"(image));
    set_pointers(cpu, &p);
}
