/*
 * tests/fuzz/fuzz_hypercall.c - any guest against the personalities kvm and trv: hypercalls, MSRs,
 * shared pages that change under the host, interrupts, time.
 *
 * Input: 1 byte of setup, then operations: a kind and its bytes. The instructions are
 * executed, so the CPU's side is fuzzed along. Expected: every hypercall is answered, an answer is
 * a documented one, the caller's privilege and the other registers stay, and what a guest has set
 * up can be restored.
 */
#include "tests/pv/rig.h"

#include "pv/kvm.h"
#include "pv/trv.h"
#include "tests/fuzz/fuzz_in.h"

enum { KINDS = 8, OPS = 64, DISK = 40 * 512 };

struct world {
    struct rig r;
    struct device *dev;
    struct block *disk;
    u64 stolen;
    bool kvm;
};

static u64 stolen(void *ctx)
{
    struct world *w = ctx;
    return w->stolen;
}

static void con_write(struct chardev *c, const u8 *buf, size_t len)
{
    u8 sum = 0;
    for (size_t k = 0; k < len; k++)
        sum ^= buf[k]; /* sanitizers look on */
    *(volatile u8 *)&sum = sum;
}

static void world_new(struct world *w, bool kvm)
{
    static const struct chardev_ops ops = {.write = con_write};
    static struct chardev con = {.ops = &ops};
    *w = (struct world){.r = rig_new("x86-64-v2"), .kvm = kvm};
    w->disk = block_new_mem(DISK);
    MUST(w->disk);
    if (kvm) {
        struct kvm_wires k = {w->r.cpu, w->r.mem, w->r.clk, stolen, w};
        w->dev = kvm_new(&k);
    } else {
        struct trv_wires t = {.cpu = w->r.cpu,
                              .mem = w->r.mem,
                              .clk = w->r.clk,
                              .console = &con,
                              .disk = {w->disk},
                              .engine = TRV_ENGINE_INTERP};
        w->dev = trv_new(&t);
    }
}

/* ---- the bytes ------------------------------------------------------------------------------ */
/* An address or a number: near RAM's ends, small, or anything. */
static u64 number(struct in *in)
{
    u8 how = (u8)take64(in, 1);
    switch (how & 7) {
    case 0:
        return take64(in, 1);
    case 1:
        return RIG_PAGE + take64(in, 2);
    case 2:
        return RIG_RAM - take64(in, 1);
    case 3:
        return 0xffffffff - take64(in, 1);
    case 4:
        return ~0ull - take64(in, 1);
    case 5:
        return (RIG_PAGE + (take64(in, 1) << 6)) | 1;
    case 6:
        return take64(in, 4);
    default:
        return take64(in, 8);
    }
}

/* ---- operations ----------------------------------------------------------------------------- */
static void check_answer(struct world *w)
{
    u64 a = w->r.cpu->gpr[RAX];
    if (w->kvm) {
        i32 v = (i32)a;
        MUST(v >= 0 || v == -1 || v == -14 || v == -22 || v == -95 || v == -1000);
        MUST(v <= 1);
    } else {
        MUST(a >> 32 == 0);
        MUST(a >= TRV_E_FIRST || a <= 4096);
    }
}

static void hypercall(struct world *w, struct in *in)
{
    struct cpu *c = w->r.cpu;
    u64 nr = take64(in, 1), keep = c->gpr[RDI], cpl = take64(in, 1);
    nr = nr == 255 ? number(in) : nr & 31;
    c->gpr[RAX] = nr;
    c->gpr[RBX] = number(in);
    c->gpr[RCX] = number(in);
    c->gpr[RDX] = number(in);
    c->gpr[RSI] = number(in);
    c->cpl = cpl == 3 ? 3 : 0;
    u8 was = c->cpl;
    rig_step(&w->r, cpl & 4 ? OP_VMCALL : OP_VMMCALL);
    MUST(!rig_faulted(&w->r, EX_UD));
    MUST(c->cpl == was && c->gpr[RDI] == keep);
    check_answer(w);
    c->cpl = 0;
}

static void msr(struct world *w, struct in *in, bool write)
{
    static const u32 some[] = {0x11,       0x12,       0x4b564d00, 0x4b564d01, 0x4b564d02,
                               0x4b564d03, 0x4b564d04, 0x4b564d05, 0x10,       0x1b,
                               0x80b,      0x80f,      0x830,      0x3b,       0x4b564d06};
    u32 n = some[take64(in, 1) % ARRAY_LEN(some)];
    u64 v;
    if (write)
        rig_wrmsr(&w->r, n, number(in));
    else
        rig_rdmsr(&w->r, n, &v);
}

static void poke(struct world *w, struct in *in)
{
    u64 at = (RIG_PAGE + take64(in, 2)) & (RIG_RAM - 1), n = take64(in, 1) & 31;
    for (u64 k = 0; k < n; k++) {
        u64 to = (at + k) & (RIG_RAM - 1);
        if (to < RIG_PAGE)
            continue;
        w->r.ram->base[to] = (u8)take64(in, 1);
        ram_note_write(w->r.ram, to, 1);
    }
}

static void interrupt(struct world *w, struct in *in)
{
    struct cpu *c = w->r.cpu;
    u8 vector = (u8)take64(in, 1), how = (u8)take64(in, 1);
    cpu_apic_message(c, 0, false, 0, vector, how & 1);
    if (how & 2) {
        c->gpr[RSP] = 0x7000;
        cpu_set_rflags(c, FL_1 | FL_IF);
        rig_step(&w->r, OP_NOP);
        cpu_set_rflags(c, FL_1);
    }
}

static void operation(struct world *w, struct in *in)
{
    u8 how;
    switch (take64(in, 1) % KINDS) {
    case 0:
    case 1:
        hypercall(w, in);
        break;
    case 2:
        msr(w, in, true);
        break;
    case 3:
        msr(w, in, false);
        break;
    case 4:
        poke(w, in);
        break;
    case 5:
        w->stolen += take64(in, 4);
        clock_advance(w->r.clk, take64(in, 4));
        break;
    case 6:
        interrupt(w, in);
        break;
    default:
        how = (u8)take64(in, 1);
        if (w->kvm && how & 1)
            kvm_sleep(w->dev);
        else if (w->kvm && how & 2)
            kvm_enter(w->dev);
        else
            MUST(w->dev->ops->loaded(w->dev)); /* what a guest can set up can be restored */
        break;
    }
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    static struct world *worlds[2];
    struct in in = {data, size};
    u8 setup = (u8)take64(&in, 1);
    struct world **w = &worlds[setup & 1];
    if (!*w) {
        *w = calloc(1, sizeof(**w));
        MUST(*w);
        world_new(*w, setup & 1);
    }
    struct cpu *c = (*w)->r.cpu;
    cpu_reset(c, false);
    cpu_set_seg(c, SEG_CS, 0, 0, 0xffff, 0x9b);
    cpu_set_seg(c, SEG_SS, 0, 0, 0xffff, 0x93);
    cpu_sync(c);
    c->gpr[RSP] = 0x7000;
    device_reset((*w)->dev);
    memset((*w)->r.ram->base + RIG_PAGE, 0, 0x4000);
    (*w)->disk->readonly = setup & 2;
    for (int k = 0; k < OPS && in.left; k++) {
        /* an INIT or NMI that the guest sent itself would come instead of the instruction */
        c->pending &= PEND_INTR;
        c->halted = false;
        c->gpr[RSP] = 0x7000;
        cpu_set_seg(c, SEG_CS, 0, 0, 0xffff, 0x9b); /* vectors may have been written over */
        cpu_sync(c);
        operation(*w, &in);
    }
    return 0;
}
