/*
 * cpu/native.c - the arena of host stubs, the guest's FPU environment on the host, and the host
 * exceptions that stubs cause. Building a stub is native_build.c; calling one is exec/simd.c and
 * exec/x87.c.
 *
 * The arena is one memfd mapped twice, writable and executable, never both. Stubs are position-
 * independent, shared by content, and all forgotten at once when the arena is full: at the start
 * of a slice, when no decoded instruction that names one is running.
 *
 * Intel SDM vol. 1, 8.7 (x87 exception handling, FERR# and IGNNE#), 11.5 (SIMD exceptions);
 * vol. 3, 2.5 (CR0.EM, MP, TS, NE), 6.15 (#MF, #XM).
 */
#include "cpu/native_priv.h"
#include "cpu/engine.h"
#include "base/log.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

/* ---- the process's SIGFPE ----------------------------------------------------------------------
 * The disposition of a signal belongs to the process: the first vCPU installs the handler and it
 * stays. It acts only for a thread that is inside native_enter..native_leave and on an address in
 * that vCPU's arena; everything else gets the default action. */
static _Thread_local struct cpu *active;

static noreturn void native_fault(struct cpu *cpu, u64 trapno);

static void on_sigfpe(int sig, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    greg_t *r = uc->uc_mcontext.gregs;
    struct cpu *cpu = active;

    if (cpu && cpu->native && (u64)r[REG_RIP] - (u64)(uintptr_t)cpu->native->rx < (u64)ARENA_SIZE) {
        /* A stub keeps nothing on its stack: from here it looks as if its caller had called
         * native_fault. The restored FPU state is the one the fault left. */
        r[REG_RSP] = ((r[REG_RSP] - 8) & ~(greg_t)15) - 8;
        r[REG_RDI] = (greg_t)(uintptr_t)cpu;
        r[REG_RSI] = r[REG_TRAPNO];
        r[REG_RIP] = (greg_t)(uintptr_t)native_fault;
        r[REG_EFL] &= ~(greg_t)0x400; /* DF clear, as C expects */
        return;
    }
    if (cpu && cpu->engine) {
        u64 pc = cpu->engine->fault_at(cpu, (u64)r[REG_RIP]);
        if (pc) {
            r[REG_RIP] = (greg_t)pc;
            return;
        }
    }
    signal(sig, SIG_DFL); /* the instruction runs again, and ends the process */
}

static void sigfpe_install(void)
{
    struct sigaction sa;
    sigaction(SIGFPE, NULL, &sa);
    if ((sa.sa_flags & SA_SIGINFO) && sa.sa_sigaction == on_sigfpe)
        return;
    memset(&sa, 0, sizeof(sa));
    sa.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sa.sa_sigaction = on_sigfpe;
    sigaction(SIGFPE, &sa, NULL);
}

/* ---- life ------------------------------------------------------------------------------------ */
static void arena_clear(struct native *n)
{
    memset(n->buckets, 0, sizeof(n->buckets));
    n->used = 64; /* offset 0 means "no stub" */
    n->want_flush = false;
}

void native_init(struct cpu *cpu)
{
    struct native *n = aligned_alloc(64, align_up(sizeof(*n), 64));
    int fd = memfd_create("trivisor-stubs", MFD_CLOEXEC);

    CHECK(n && fd >= 0 && ftruncate(fd, ARENA_SIZE) == 0);
    memset(n, 0, sizeof(*n));
    n->rw = mmap(NULL, ARENA_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    n->rx = mmap(NULL, ARENA_SIZE, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
    CHECK(n->rw != MAP_FAILED && n->rx != MAP_FAILED);
    close(fd);
    arena_clear(n);
    cpu->native = n;
    sigfpe_install();
}

void native_free(struct cpu *cpu)
{
    struct native *n = cpu->native;
    if (!n)
        return;
    munmap(n->rw, ARENA_SIZE);
    munmap((void *)(uintptr_t)n->rx, ARENA_SIZE);
    free(n);
    cpu->native = NULL;
}

bool cpu_forked(struct cpu *cpu)
{
    struct native *n = cpu->native;
    int fd = memfd_create("trivisor-stubs", MFD_CLOEXEC);
    bool ok = fd >= 0 && ftruncate(fd, ARENA_SIZE) == 0 && pwrite(fd, n->rw, n->used, 0) == n->used;
    ok = ok &&
         mmap(n->rw, ARENA_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == n->rw;
    ok = ok && mmap((void *)(uintptr_t)n->rx, ARENA_SIZE, PROT_READ | PROT_EXEC,
                    MAP_SHARED | MAP_FIXED, fd, 0) == n->rx;
    if (fd >= 0)
        close(fd);
    return ok;
}

/* ---- stubs ----------------------------------------------------------------------------------- */
static u32 hash_bytes(u32 h, const u8 *p, u32 len)
{
    for (u32 k = 0; k < len; k++)
        h = (h ^ p[k]) * 0x01000193u;
    return h ^ h >> 15;
}

const struct stub *native_intern(struct cpu *cpu, const struct stub *head, const u8 *code)
{
    struct native *n = cpu->native;
    u32 h = hash_bytes(hash_bytes(0x811c9dc5u, (const u8 *)head, 8), code, head->len);
    u32 *bucket = &n->buckets[h & (STUB_BUCKETS - 1)];

    for (u32 off = *bucket; off;) {
        const struct stub *s = (const struct stub *)(n->rw + off);
        if (s->hash == h && !memcmp(s, head, 8) && !memcmp(s->code, code, head->len))
            return (const struct stub *)(n->rx + off);
        off = s->next;
    }
    u32 need = (u32)align_up(sizeof(struct stub) + head->len, 32);
    if (n->used + need > ARENA_SIZE - ARENA_RESERVE && !n->want_flush) {
        n->want_flush = true;
        cpu_cut_slice(cpu);
    }
    if (n->used + need > ARENA_SIZE) {
        log_error("native: no room for another stub");
        return NULL;
    }
    struct stub *s = (struct stub *)(n->rw + n->used);
    *s = *head;
    s->hash = h;
    s->next = *bucket;
    memcpy(s->code, code, head->len);
    *bucket = n->used;
    n->used += need;
    return (const struct stub *)(n->rx + *bucket);
}

static void arena_flush(struct cpu *cpu)
{
    blocks_flush(cpu);
    decode_forget(cpu);
    arena_clear(cpu->native);
    /* Serialize: the bytes change through another mapping (SDM vol. 3, 8.1.3). */
    u32 a = 0, c = 0;
    __asm__ volatile("cpuid" : "+a"(a), "+c"(c) : : "ebx", "edx", "memory");
}

/* ---- environment ----------------------------------------------------------------------------- */
void native_enter(struct cpu *cpu)
{
    struct native *n = cpu->native;

    if (unlikely(n->want_flush))
        arena_flush(cpu);
    n->host_mxcsr = mxcsr_get();
    __asm__ volatile("fnstcw %0" : "=m"(n->host_fcw));
    memcpy(n->fx, cpu->xs.legacy, 160);
    memset(n->fx + 6, 0, 18); /* FOP, FIP, FDP */
    st_u32(n->fx + 24, ld_u32(n->fx + 24) & MXCSR_VALID);
    active = cpu;
    n->live = true;
    __asm__ volatile("fxrstor64 %0" : : "m"(n->fx));
}

void native_reset(struct cpu *cpu)
{
    struct native *n = cpu->native;

    n->ignne = false;
    if (n->live) {
        memcpy(n->fx, cpu->xs.legacy, 160);
        __asm__ volatile("fxrstor64 %0" : : "m"(n->fx));
    }
}

/* n->fx, just saved, into the guest's XSAVE area. */
static void take_image(struct cpu *cpu)
{
    memcpy(cpu->xs.legacy, cpu->native->fx, 160);
    st_u16(cpu->xs.legacy + 6, cpu->fop);
    st_u64(cpu->xs.legacy + 8, cpu->fip);
    st_u64(cpu->xs.legacy + 16, cpu->fdp);
    st_u32(cpu->xs.legacy + 28, MXCSR_VALID);
}

void native_leave(struct cpu *cpu)
{
    struct native *n = cpu->native;

    __asm__ volatile("fxsave64 %0; fninit; fldcw %1" : "=m"(n->fx) : "m"(n->host_fcw));
    mxcsr_set(n->host_mxcsr);
    n->live = false;
    active = NULL;
    take_image(cpu);
}

void cpu_sync_fpu(struct cpu *cpu)
{
    if (!cpu->native->live)
        return;
    __asm__ volatile("fxsave64 %0" : "=m"(cpu->native->fx));
    take_image(cpu);
}

/* ---- who may run ----------------------------------------------------------------------------- */
void native_gate(struct cpu *cpu, enum stub_gate gate)
{
    u64 cr0 = cpu->cr0;
    switch (gate & GATE_MASK) {
    case GATE_X87:
        if (cr0 & (CR0_EM | CR0_TS))
            cpu_raise(cpu, EX_NM);
        break;
    case GATE_MMX:
        if (cr0 & CR0_EM)
            raise_ud(cpu);
        break;
    case GATE_SSE:
        if ((cr0 & CR0_EM) || !(cpu->cr4 & CR4_OSFXSR))
            raise_ud(cpu);
        break;
    case GATE_AVX:
        if (!(cpu->cr4 & CR4_OSXSAVE) || (cpu->xcr0 & 6) != 6 || cpu->mode <= MODE_V86)
            raise_ud(cpu);
        break;
    default:
        return;
    }
    if (cr0 & CR0_TS)
        cpu_raise(cpu, EX_NM);
}

/* ---- unmasked exceptions --------------------------------------------------------------------- */
void native_raise_mf(struct cpu *cpu)
{
    if (cpu->cr0 & CR0_NE)
        cpu_raise(cpu, EX_MF);
    if (cpu->native->ignne) { /* go on as if the error had been cleared */
        __asm__ volatile("fnclex");
        cpu->native->ignne = false;
        return;
    }
    /* PC style: FERR# is the board's IRQ 13; the waiting instruction does not start until an
     * interrupt is taken, or the board asserts IGNNE#. */
    if (!cpu->ferr) {
        cpu->ferr = true;
        irq_set(&cpu->ferr_irq, true);
    }
    cpu_restart(cpu);
}

void native_check_mf(struct cpu *cpu)
{
    u16 fsw;
    __asm__ volatile("fnstsw %0" : "=a"(fsw));
    if (unlikely(fsw & 0x80))
        native_raise_mf(cpu);
}

void cpu_ferr_ack(struct cpu *cpu)
{
    u16 fsw = ld_u16(cpu->xs.legacy + 2);
    if (cpu->native->live)
        __asm__ volatile("fnstsw %0" : "=a"(fsw));
    if (cpu->ferr)
        irq_set(&cpu->ferr_irq, false);
    cpu->ferr = false;
    cpu->native->ignne = fsw & 0x80;
}

/* Where a stub goes that the host interrupted with #MF (16) or #XM (19). No guest register has
 * changed but MXCSR's flags. */
static noreturn void native_fault(struct cpu *cpu, u64 trapno)
{
    if (trapno == 19) {
        if (!(cpu->cr4 & CR4_OSXMMEXCPT))
            raise_ud(cpu);
        cpu_raise(cpu, EX_XM);
    }
    native_raise_mf(cpu);
    cpu_restart(cpu);
}
