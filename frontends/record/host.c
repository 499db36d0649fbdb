/*
 * frontends/record/host.c - see host.h.
 *
 * The child sits in a signal handler most of its life: the frame of one case's trap is read as its
 * result, then overwritten with the next case's registers and returned to. So a case costs one
 * signal, and the kernel loads and saves every register, the extended state included.
 */
#include "frontends/record/host.h"
#include "frontends/record/layout.h"
#include "frontends/record/segments.h"
#include "base/bits.h"

#include <asm/ldt.h>
#include <asm/hwcap2.h>
#include <cpuid.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#ifndef HWCAP2_FSGSBASE
#define HWCAP2_FSGSBASE 2
#endif
enum { FL_TRAP = 1 << 8, FL_RESUME = 1 << 16, ALT_STACK = 64 * 1024, WAIT_MS = 20000 };
enum { SW_RESERVED = 464, MAX_FRAME = 16384 };

/* Shared with the child. */
struct shared {
    struct host_case cases[HOST_BATCH];
    int n, at; /* at: the running case; n when done */
    u8 before[ARENA_BYTES];
};

struct host {
    struct shared *sh;
    u8 *arena; /* the areas, writable, at another address */
    int memfd;
    pid_t child;
    int to, from; /* pipes */
};

/* The child's own, found by its handler. */
struct runner {
    struct {
        u64 fs_base, gs_base; /* of the code that was interrupted */
        u16 sel[4];           /* its DS, ES, FS, GS */
        u64 own_fs, next_fs;  /* the C library's, the one to go on with */
    } entry;                  /* host_signal_entry knows the offsets */
    struct shared *sh;
    u8 *arena;
    bool running, shadow; /* shadow: the trap came an instruction late */
    int steps;
    gregset_t saved;
    u8 saved_fp[MAX_FRAME];
    u32 saved_fp_size;
};

static const int order[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                              REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                              REG_R12, REG_R13, REG_R14, REG_R15};

bool host_shadow(u64 addr)
{
    bool any = false;
#if defined(__SANITIZE_ADDRESS__)
    any = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
    any = true;
#endif
#endif
    return any && addr >= 0x7fff7000 && addr < 1ull << 47;
}

void host_arena(const struct host_case *c, u8 *image)
{
    memset(image, 0xcc, AREA_BYTES);
    memset(image + AREA_BYTES, 0, ARENA_BYTES - AREA_BYTES);
    for (u32 k = 0; k < c->n_in && k < HOST_CELLS; k++) {
        int off = arena_offset(c->mem_in[k].addr);
        if (off >= 0)
            image[off] = c->mem_in[k].value;
    }
}

/* ---- the child ------------------------------------------------------------------------------- */
/* DS, ES and GS for code of that width; FS is set on the way out of the handler. */
static void set_data_segments(int bits)
{
    u16 sel[6];
    segments_standard(bits, sel);
    __asm__ volatile("mov %0, %%ds; mov %0, %%es" : : "r"((int)sel[0]));
    __asm__ volatile("mov %0, %%gs" : : "r"((int)sel[5]));
    if (bits == 64)
        __asm__ volatile("wrgsbase %0" : : "r"((u64)GS_BASE));
}

static void load_case(struct runner *r, ucontext_t *uc)
{
    const struct host_case *c = &r->sh->cases[r->sh->at];
    greg_t *g = uc->uc_mcontext.gregs;
    u8 *fp = (u8 *)uc->uc_mcontext.fpregs;

    host_arena(c, r->sh->before);
    memcpy(r->arena, r->sh->before, ARENA_BYTES);
    for (int k = 0; k < 16; k++)
        g[order[k]] = (greg_t)c->in.gpr[k];
    g[REG_RIP] = (greg_t)c->in.rip;
    g[REG_EFL] = (greg_t)((c->in.rflags | FL_TRAP) & ~(u64)FL_RESUME);
    u16 sel[6];
    segments_standard(c->bits, sel);
    g[REG_CSGSFS] = (greg_t)(sel[1] | (u64)sel[2] << 48);
    memcpy(fp, c->in.xsave, SW_RESERVED); /* the kernel's words behind it stay */
    u64 bv[8] = {7};
    memcpy(fp + 512, bv, sizeof(bv));
    memcpy(fp + 576, c->in.xsave + 576, 256);
    r->steps = 0;
    r->entry.next_fs = c->bits == 64 ? FS_BASE : 0;
    set_data_segments(c->bits);
}

/* PUSHF shows the runner's TF: not so in the result. Its bytes: prefixes and 9C. */
static void hide_trap_flag(struct runner *r, const struct host_case *c, u64 rsp)
{
    int code = arena_offset(code_linear(c->bits, c->in.rip));
    int at = arena_offset(c->bits == 16 ? (u64)STACK16_BASE + (u16)(rsp + 1) : rsp + 1);
    static const u8 prefix[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf2, 0xf3};
    if (code < 0 || at < 0 || r->arena[code + c->len - 1] != 0x9c)
        return;
    for (int k = code; k < code + c->len - 1; k++)
        if (!memchr(prefix, r->arena[k], sizeof(prefix)) &&
            !(c->bits == 64 && r->arena[k] >> 4 == 4))
            return;
    r->arena[at] &= (u8) ~(FL_TRAP >> 8);
}

static void store_case(struct runner *r, const ucontext_t *uc)
{
    struct host_case *c = &r->sh->cases[r->sh->at];
    const greg_t *g = uc->uc_mcontext.gregs;
    const u8 *fp = (const u8 *)uc->uc_mcontext.fpregs;
    u64 bv;

    for (int k = 0; k < 16; k++)
        c->out.gpr[k] = (u64)g[order[k]] & (c->bits == 64 ? ~0ull : 0xffffffff);
    c->out.rip = (u64)g[REG_RIP];
    if (c->vector < 0 && r->shadow)
        c->out.rip--;
    c->out.sel[0] = r->entry.sel[1];
    c->out.sel[1] = (u16)g[REG_CSGSFS];
    c->out.sel[2] = (u16)((u64)g[REG_CSGSFS] >> 48);
    c->out.sel[3] = r->entry.sel[0];
    c->out.sel[4] = r->entry.sel[2];
    c->out.sel[5] = r->entry.sel[3];
    for (int k = 0; k < 6; k++)
        if (c->out.sel[k] <= 3)
            c->out.sel[k] = 0;
    c->out.fs_base = r->entry.fs_base;
    c->out.gs_base = r->entry.gs_base;
    c->out.rflags = (u64)g[REG_EFL] & ~(u64)(FL_TRAP | FL_RESUME);
    memset(c->out.xsave, 0, sizeof(c->out.xsave));
    memcpy(c->out.xsave, fp, 416);
    memcpy(c->out.xsave + 576, fp + 576, 256);
    memcpy(&bv, fp + 512, 8);
    if (!(bv & 1)) {
        memset(c->out.xsave, 0, 24);
        memset(c->out.xsave + 32, 0, 128);
        c->out.xsave[0] = 0x7f;
        c->out.xsave[1] = 0x03;
    }
    if (!(bv & 2))
        memset(c->out.xsave + 160, 0, 256);
    if (!(bv & 4))
        memset(c->out.xsave + 576, 0, 256);
    if (c->vector < 0)
        hide_trap_flag(r, c, c->out.gpr[4]);
    c->n_out = 0;
    for (int k = 0; k < ARENA_BYTES; k += 64) {
        if (!memcmp(r->arena + k, r->sh->before + k, 64))
            continue;
        for (int j = k; j < k + 64; j++) {
            if (r->arena[j] == r->sh->before[j])
                continue;
            if (c->n_out < HOST_CELLS)
                c->mem_out[c->n_out] = (struct host_cell){(u32)arena_address(j), r->arena[j]};
            if (c->n_out <= HOST_CELLS)
                c->n_out++;
        }
    }
}

/* True: the case is done. */
static bool judge(struct runner *r, const ucontext_t *uc)
{
    struct host_case *c = &r->sh->cases[r->sh->at];
    const greg_t *g = uc->uc_mcontext.gregs;
    int trap = (int)g[REG_TRAPNO];
    u64 rip = (u64)g[REG_RIP];

    c->end = HOST_OK;
    c->vector = -1;
    c->error = 0;
    c->has_error = false;
    c->cr2 = 0;
    r->shadow = trap == 3 && rip == c->in.rip + c->len + 1;
    if (r->shadow)
        return true;
    if (trap == 1) {
        if (c->rep && rip == c->in.rip && ++r->steps < c->max_steps)
            return false;
    } else if (trap == 3 || trap == 4) { /* traps: RIP is behind the instruction */
        c->vector = trap;
        if (rip != c->in.rip + c->len)
            c->end = HOST_ODD;
    } else {
        c->vector = trap;
        c->has_error = trap == 8 || (trap >= 10 && trap <= 14) || trap == 17;
        c->error = c->has_error ? (u32)g[REG_ERR] : 0;
        c->cr2 = trap == 14 ? (u64)g[REG_CR2] : 0;
        if (rip != c->in.rip)
            c->end = HOST_ODD;
    }
    return true;
}

static struct runner *the_runner(void)
{
    /* one in the whole child, at a place of its own: a handler has no argument */
    return (struct runner *)(uintptr_t)0x500000000000;
}

static void on_signal(int sig, siginfo_t *info, void *context) __asm__("host_on_signal");
__attribute__((__used__)) static void on_signal(int sig, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    struct runner *r = the_runner();
    u8 *fp = (u8 *)uc->uc_mcontext.fpregs;

    if (!r->running) { /* the INT3 below */
        u32 size;
        memcpy(&size, fp + SW_RESERVED + 4, 4);
        if (uc->uc_mcontext.gregs[REG_TRAPNO] != 3 || size > MAX_FRAME)
            _exit(3);
        memcpy(r->saved, uc->uc_mcontext.gregs, sizeof(r->saved));
        memcpy(r->saved_fp, fp, size);
        r->saved_fp_size = size;
        r->running = true;
        load_case(r, uc);
        return;
    }
    if (!judge(r, uc)) {
        uc->uc_mcontext.gregs[REG_EFL] |= FL_TRAP;
        return;
    }
    store_case(r, uc);
    if (++r->sh->at < r->sh->n) {
        load_case(r, uc);
        return;
    }
    r->running = false;
    r->entry.next_fs = r->entry.own_fs;
    memcpy(uc->uc_mcontext.gregs, r->saved, sizeof(r->saved));
    memcpy(fp, r->saved_fp, r->saved_fp_size);
}

/* Linux enters a handler with AC, NT and ID as they were: with AC the handler's own accesses would
 * fault, the others would leak into the next case. */
void host_signal_entry(int sig, siginfo_t *info, void *context);
__asm__(".text\n"
        "host_signal_entry:\n"
        "    pushfq\n"
        "    andl $0xffdbbfff, (%rsp)\n"
        "    popfq\n"
        "    movabs $0x500000000000, %rax\n" /* the_runner()->entry */
        "    rdfsbase %rcx\n"
        "    mov %rcx, (%rax)\n"
        "    rdgsbase %rcx\n"
        "    mov %rcx, 8(%rax)\n"
        "    mov %ds, 16(%rax)\n"
        "    mov %es, 18(%rax)\n"
        "    mov %fs, 20(%rax)\n"
        "    mov %gs, 22(%rax)\n"
        "    xor %ecx, %ecx\n"
        "    mov %ecx, %fs\n"
        "    mov 24(%rax), %rcx\n"
        "    wrfsbase %rcx\n"
        "    sub $8, %rsp\n"
        "    call host_on_signal\n"
        "    add $8, %rsp\n"
        "    movabs $0x500000000000, %rax\n"
        "    mov 32(%rax), %rcx\n"
        "    wrfsbase %rcx\n"
        "    ret\n");

static bool map_areas(int memfd)
{
    static const int prot[AREAS] = {PROT_READ | PROT_EXEC, PROT_READ | PROT_WRITE, PROT_READ,
                                    PROT_READ | PROT_WRITE};
    for (int a = 0; a < AREAS; a++) {
        u8 *want = (u8 *)(uintptr_t)(AREA_CODE + (u64)a * AREA_STEP);
        u8 *p = mmap(want, AREA_BYTES, prot[a], MAP_SHARED | MAP_FIXED_NOREPLACE | MAP_POPULATE,
                     memfd, (off_t)a * AREA_BYTES);
        if (p != want)
            return false;
        for (int k = 0; k < AREA_BYTES; k += 4096) { /* present, and writable where it is */
            volatile u8 *v = p + k;
            u8 was = *v;
            if (prot[a] & PROT_WRITE)
                *v = was;
        }
    }
    return true;
}

/* The local descriptors; false: the kernel has no such tables. */
static bool set_segments(void)
{
    for (int k = 0; k < SEGMENTS_LDT; k++) {
        const struct segment *s = &segments_local[k];
        struct user_desc d = {.entry_number = (unsigned)k,
                              .base_addr = s->base,
                              .limit = s->limit,
                              .seg_32bit = s->wide,
                              .contents = s->contents,
                              .read_exec_only = s->locked,
                              .seg_not_present = s->absent,
                              .useable = 1};
        if (s->there && syscall(SYS_modify_ldt, 0x11, &d, sizeof(d)) != 0)
            return false;
    }
    return true;
}

/* What a case that runs away could ask of the kernel: nothing. */
static bool filter_calls(void)
{
    static const int calls[] = {SYS_read, SYS_write, SYS_rt_sigreturn, SYS_exit_group, SYS_exit};
    enum { N = (int)ARRAY_LEN(calls) };
    struct sock_filter f[N + 5];
    int n = 0;
    f[n++] =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
    f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, N + 1);
    f[n++] =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (int k = 0; k < N; k++)
        f[n++] =
            (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (u32)calls[k], (u8)(N - k), 0);
    f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog prog = {.len = (unsigned short)n, .filter = f};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) == 0;
}

noreturn static void child_main(struct host *h, int in, int out)
{
    static const int signals[] = {SIGTRAP, SIGSEGV, SIGBUS, SIGILL, SIGFPE};
    struct rlimit none = {0, 0};
    char c = 0;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setrlimit(RLIMIT_CORE, &none);
    struct runner *r =
        mmap(the_runner(), align_up(sizeof(*r), PAGE_SIZE) + ALT_STACK, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (r != the_runner() || !map_areas(h->memfd) || !set_segments() ||
        !(getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE))
        _exit(4);
    __asm__ volatile("rdfsbase %0" : "=r"(r->entry.own_fs));
    r->sh = h->sh;
    r->arena = h->arena;
    stack_t alt = {.ss_sp = (u8 *)r + align_up(sizeof(*r), PAGE_SIZE), .ss_size = ALT_STACK};
    sigaltstack(&alt, NULL);
    for (size_t k = 0; k < ARRAY_LEN(signals); k++) {
        struct sigaction sa = {.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK};
        sa.sa_sigaction = host_signal_entry;
        sigaction(signals[k], &sa, NULL);
    }
    sigset_t all;
    sigemptyset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    if (!filter_calls() || write(out, &c, 1) != 1)
        _exit(4);
    while (read(in, &c, 1) == 1) {
        __asm__ volatile("int3" : : : "memory");
        if (write(out, &c, 1) != 1)
            break;
    }
    _exit(0);
}

/* ---- the parent ------------------------------------------------------------------------------ */
static bool wait_byte(struct host *h)
{
    struct pollfd p = {.fd = h->from, .events = POLLIN};
    char c;
    int n;
    while ((n = poll(&p, 1, WAIT_MS)) < 0 && errno == EINTR)
        ;
    return n == 1 && read(h->from, &c, 1) == 1;
}

static void stop_child(struct host *h)
{
    if (h->child > 0) {
        kill(h->child, SIGKILL);
        while (waitpid(h->child, NULL, 0) < 0 && errno == EINTR)
            ;
        close(h->to);
        close(h->from);
    }
    h->child = 0;
}

static enum status start_child(struct host *h, struct error *err)
{
    int a[2], b[2];
    if (pipe(a) != 0)
        return fail(err, ST_IO, "cannot make a pipe: %s", strerror(errno));
    if (pipe(b) != 0) {
        close(a[0]);
        close(a[1]);
        return fail(err, ST_IO, "cannot make a pipe: %s", strerror(errno));
    }
    h->child = fork();
    if (h->child == 0) {
        close(a[1]);
        close(b[0]);
        child_main(h, a[0], b[1]);
    }
    close(a[0]);
    close(b[1]);
    h->to = a[1];
    h->from = b[0];
    if (h->child > 0 && wait_byte(h))
        return ST_OK;
    if (h->child < 0) {
        close(h->to);
        close(h->from);
        return fail(err, ST_IO, "cannot start a process: %s", strerror(errno));
    }
    stop_child(h);
    return fail(err, ST_UNSUP,
                "instructions cannot be run on this host: its kernel refuses fixed "
                "addresses, local descriptors, FSGSBASE or system call filters");
}

enum status host_open(struct host **out, struct error *err)
{
    struct host *h = calloc(1, sizeof(*h));
    if (!h)
        return fail(err, ST_NOMEM, "out of memory");
    signal(SIGPIPE, SIG_IGN);
    h->memfd = memfd_create("arena", MFD_CLOEXEC);
    h->sh = mmap(NULL, sizeof(*h->sh), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (h->memfd >= 0 && ftruncate(h->memfd, ARENA_BYTES) == 0)
        h->arena = mmap(NULL, ARENA_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, h->memfd, 0);
    enum status st;
    if (h->sh == MAP_FAILED || !h->arena || h->arena == MAP_FAILED)
        st = fail(err, ST_NOMEM, "cannot map memory: %s", strerror(errno));
    else
        st = start_child(h, err);
    if (st != ST_OK)
        host_close(h);
    else
        *out = h;
    return st;
}

void host_close(struct host *h)
{
    if (!h)
        return;
    stop_child(h);
    if (h->sh != MAP_FAILED)
        munmap(h->sh, sizeof(*h->sh));
    if (h->arena && h->arena != MAP_FAILED)
        munmap(h->arena, ARENA_BYTES);
    if (h->memfd >= 0)
        close(h->memfd);
    free(h);
}

struct host_case *host_case(struct host *h, int k)
{
    return &h->sh->cases[k];
}

enum status host_run(struct host *h, int n, struct error *err)
{
    int end = 0;
    char c = 0;

    for (h->sh->at = 0; h->sh->at < n;) {
        int bits = h->sh->cases[h->sh->at].bits;
        for (end = h->sh->at; end < n && h->sh->cases[end].bits == bits; end++)
            ;
        h->sh->n = end;
        if (write(h->to, &c, 1) == 1 && wait_byte(h))
            continue;
        if (h->sh->at < n)
            h->sh->cases[h->sh->at++].end = HOST_DIED;
        stop_child(h);
        enum status st = start_child(h, err);
        if (st != ST_OK)
            return st;
    }
    return ST_OK;
}

void record_processor(char name[64])
{
    unsigned r[12];
    memset(name, 0, 64);
    for (unsigned k = 0; k < 3; k++)
        if (!__get_cpuid(0x80000002 + k, &r[4 * k], &r[4 * k + 1], &r[4 * k + 2], &r[4 * k + 3]))
            return;
    memcpy(name, r, 48);
    for (size_t n = strlen(name); n && name[n - 1] == ' '; n--)
        name[n - 1] = 0;
}
