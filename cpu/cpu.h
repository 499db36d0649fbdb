/*
 * cpu/cpu.h - one virtual CPU: its state and what the board can do with it.
 *
 * You are here: cpu/ is the specification of the machine's instructions. The state below is what
 * the engines share; cpu/exec_priv.h is how instruction functions reach it.
 *
 * Vendor: where AMD and Intel differ the guest sees an AMD-style CPU (docs/cpu.md): SYSCALL in
 * compatibility mode, #UD for SYSENTER in long mode follow the model's vendor string.
 * Thread: one thread runs a vCPU; cpu_kick() is the only call for others.
 */
#ifndef CPU_CPU_H
#define CPU_CPU_H

#include "base/status.h"
#include "base/types.h"
#include "bus/clock.h"
#include "bus/irq.h"
#include "bus/space.h"
#include "cpu/insn/insn.h"
#include "cpu/trace.h"
#include "mmu/mmu.h"

/* ---- names ----------------------------------------------------------------------------------- */
enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15 };
enum seg_id { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_COUNT, SEG_FLAT = SEG_COUNT };

enum {
    EX_DE = 0,
    EX_DB = 1,
    EX_NMI = 2,
    EX_BP = 3,
    EX_OF = 4,
    EX_BR = 5,
    EX_UD = 6,
    EX_NM = 7,
    EX_DF = 8,
    EX_TS = 10,
    EX_NP = 11,
    EX_SS = 12,
    EX_GP = 13,
    EX_PF = 14,
    EX_MF = 16,
    EX_AC = 17,
    EX_MC = 18,
    EX_XM = 19,
};

enum {
    FL_CF = 1 << 0,
    FL_1 = 1 << 1,
    FL_PF = 1 << 2,
    FL_AF = 1 << 4,
    FL_ZF = 1 << 6,
    FL_SF = 1 << 7,
    FL_TF = 1 << 8,
    FL_IF = 1 << 9,
    FL_DF = 1 << 10,
    FL_OF = 1 << 11,
    FL_IOPL = 3 << 12,
    FL_NT = 1 << 14,
    FL_RF = 1 << 16,
    FL_VM = 1 << 17,
    FL_AC = 1 << 18,
    FL_VIF = 1 << 19,
    FL_VIP = 1 << 20,
    FL_ID = 1 << 21,
    FL_ARITH = FL_CF | FL_PF | FL_AF | FL_ZF | FL_SF | FL_OF,
};

enum {
    CR0_PE = 1 << 0,
    CR0_MP = 1 << 1,
    CR0_EM = 1 << 2,
    CR0_TS = 1 << 3,
    CR0_ET = 1 << 4,
    CR0_NE = 1 << 5,
    CR0_WP = 1 << 16,
    CR0_AM = 1 << 18,
    CR0_NW = 1 << 29,
    CR0_CD = 1 << 30,
};
#define CR0_PG 0x80000000u
enum {
    CR4_VME = 1 << 0,
    CR4_PVI = 1 << 1,
    CR4_TSD = 1 << 2,
    CR4_DE = 1 << 3,
    CR4_PSE = 1 << 4,
    CR4_PAE = 1 << 5,
    CR4_MCE = 1 << 6,
    CR4_PGE = 1 << 7,
    CR4_PCE = 1 << 8,
    CR4_OSFXSR = 1 << 9,
    CR4_OSXMMEXCPT = 1 << 10,
    CR4_UMIP = 1 << 11,
    CR4_FSGSBASE = 1 << 16,
    CR4_PCIDE = 1 << 17,
    CR4_OSXSAVE = 1 << 18,
    CR4_SMEP = 1 << 20,
    CR4_SMAP = 1 << 21,
};
enum { EFER_SCE = 1 << 0, EFER_LME = 1 << 8, EFER_LMA = 1 << 10, EFER_NXE = 1 << 11 };

/* A segment register: selector and hidden part. attr is bits 8..23 of the descriptor's high
 * dword: type 0-3, S 4, DPL 5-6, P 7, AVL 12, L 13, D/B 14, G 15. */
struct seg {
    u16 sel;
    u16 attr;
    u32 limit; /* in bytes, granularity applied: the last valid offset (or, expand-down, the last
                  invalid one) */
    u64 base;
    /* derived by seg_cache(): what the access fast path asks */
    u32 rlimit;  /* expand-up and readable: limit, else 0 with rok false */
    u8 rok, wok; /* plain expand-up segment that may be read / written */
    u8 full;     /* both, and 4 GiB long */
};
/* What the descriptor `raw` of the GDT's selector seg.sel loads into a data segment register at CPL
 * 0, all checks passed and marked as accessed. Never out of date: a load reads the descriptor and
 * compares. At place selector / 8 modulo SEG_KNOWN; seg.sel 0: nothing. */
struct seg_known {
    u64 raw;
    struct seg seg;
};
enum { SEG_KNOWN = 16 };
/* What CPUID said, at place EAX modulo CPUID_KNOWN. True while the registers that it depends on are
 * the same; xcr0 0: nothing. */
struct cpuid_known {
    u32 leaf, sub;
    u64 cr4, xcr0, apic_base;
    u32 out[4]; /* EAX EBX ECX EDX */
    u64 pad[2];
};
enum { CPUID_KNOWN = 8 };
enum {
    ATTR_A = 1,
    ATTR_RW = 2,
    ATTR_DC = 4,
    ATTR_X = 8,
    ATTR_S = 0x10,
    ATTR_DPL = 0x60,
    ATTR_P = 0x80,
    ATTR_L = 0x2000,
    ATTR_DB = 0x4000,
    ATTR_G = 0x8000,
};

struct dtable {
    u64 base;
    u16 limit;
};

enum cpu_mode { MODE_REAL, MODE_V86, MODE_PROT, MODE_COMPAT, MODE_LONG64 };

/* What a decoded block depends on besides its bytes. */
enum block_key {
    KEY_16 = 0,
    KEY_32 = 1,
    KEY_64 = 2,
    KEY_DMODE = 3,
    KEY_SS32 = 4,    /* stack pointer is ESP */
    KEY_FLAT = 8,    /* CS DS ES SS: base 0, limit 4 GiB, readable and writable */
    KEY_REAL = 16,   /* real or virtual-8086 mode */
    KEY_USER = 32,   /* CPL 3: a page fetched as user (update_mode sets it) */
    KEY_RING12 = 64, /* CPL 1 or 2 */
};

enum cpu_pending {
    PEND_INTR = 1, /* PIC's pin or the local APIC has something */
    PEND_NMI = 2,
    PEND_INIT = 4,
    PEND_SHADOW = 8, /* STI or MOV SS just ran: no interrupts (MOV SS: no traps) for one insn */
    PEND_SHADOW_SS = 16,
    PEND_STEP = 32, /* TF is set, or a debug trap is due after the instruction */
    PEND_EXIT = 64, /* cpu_exit_request() */
    PEND_HALT = 128,
    PEND_SHUTDOWN = 256, /* triple fault */
    PEND_SIPI_WAIT = 512,
    PEND_DEBUG = 1024, /* a debugger's breakpoint was met (cpu/breaks.h) */
};

/* ---- features -------------------------------------------------------------------------------- */
enum feature {
    FEAT_ALWAYS,
#define FEATURE(name, leaf, sub, reg, bit) FEAT_##name,
#define ISA(set, feat)
#include "cpu/insn/features.def"
#undef FEATURE
#undef ISA
    FEAT_COUNT
};
_Static_assert(FEAT_COUNT <= 128, "struct cpu.features is two words");

struct cpu_model; /* cpu/cpuid.c */

/* What CPUID calls the CPU (cpu/cpuid.c fills it). */
struct cpu_identity {
    char vendor[13];
    char brand[49];
    u32 signature; /* family, model, stepping as CPUID.1:EAX */
};

/* x87/SSE/AVX state exactly as XSAVE's standard format puts it (SDM vol. 1, 13.4). */
struct xstate {
    u8 legacy[512]; /* FXSAVE image: FCW FSW FTW FOP FIP FDP MXCSR MASK ST0-7 XMM0-15 */
    u64 xstate_bv, xcomp_bv, reserved[6];
    u8 ymm_hi[256]; /* upper halves of YMM0-15, offset 576 */
} __attribute__((__aligned__(64)));

struct lapic;
struct block;
struct blocks; /* cpu/blocks.c: the cache of decoded blocks */
struct native; /* cpu/native.c: host stubs of exec_native */
struct breaks; /* cpu/breaks.c: a debugger's breakpoints */

/* The translator's memory of where indirect jumps and returns led. tag: RIP, mixed with secrets of
 * the processor's mode and of the address space (mmu.salt), so that what is not good now equals
 * nothing. */
struct jump_target {
    u64 tag;
    const u8 *code;
};
enum { JUMP_TARGETS = 16384, BT_PROBES = 2048, BT_STRIPS = 256 };

struct cpu {
    /* ---- hot: what every instruction touches ---- */
    u64 gpr[GPR_SLOTS];
    u64 rip;                /* inside exec: the next instruction; between: the current one */
    const struct insn *cur; /* the instruction whose faults are reported at its start; NULL: none,
                               faults are reported at rip */
    struct block *block;    /* the running block; NULL outside blocks (single steps) */
    i64 left;               /* instructions until the slice ends (counted a block ahead) */
    u16 fl;                 /* arithmetic flags as LAHF and SETO give them: AH | AL (OF in bit 0) */
    u8 view;                /* enum mmu_view of ordinary data accesses */
    u8 cpl;
    u32 flsys;     /* the other EFLAGS bits, FL_1 included; arithmetic bits are 0 here */
    u32 key;       /* enum block_key of the current mode */
    u32 pending;   /* enum cpu_pending; 0: nothing to look at between blocks */
    u32 vec_state; /* the translator's: what of the vector state is on the host (bt_priv.h) */
    u64 bt_scratch;
    u8 bt_across[32];      /* what was read across the end of a page */
    u64 bt_x87_address[2]; /* of the last x87 operands in memory */
    struct cpu *self;      /* for code that reaches the CPU through a segment base */
    u8 mode;               /* enum cpu_mode */
    bool fpu_trap;         /* CR0.EM or TS: x87/MMX must look before running */
    bool sse_trap;         /* CR0.EM, TS or !OSFXSR */
    bool avx_trap;         /* sse_trap, !OSXSAVE or XCR0 without AVX */
    struct tlb_entry *tlb; /* mmu.tlb[view] */
    struct seg seg[SEG_COUNT];
    struct tlb_entry *sys_tlb; /* of the processor's own accesses: descriptors */
    u8 sys_view;               /* enum mmu_view of them */
    struct seg_known known[SEG_KNOWN];
    struct cpuid_known cpuid_known[CPUID_KNOWN];

    /* ---- system registers ---- */
    u64 cr0, cr2, cr3, cr4, efer, xcr0;
    u64 dr[8]; /* 4 and 5 unused */
    struct seg ldtr, tr;
    struct dtable gdtr, idtr;
    u64 star, lstar, cstar, sfmask, kernel_gs_base, tsc_aux;
    u64 sysenter_cs, sysenter_esp, sysenter_eip;
    u64 apic_base, pat, misc_enable;
    u64 mtrr_def, mtrr_fix[11], mtrr_var[16];
    u64 mca_status;
    i64 tsc_offset; /* guest TSC = clock_now() + tsc_offset */
    u64 tsc_adjust;
    u64 dr6_pending; /* debug conditions met by the running instruction */
    u64 smi_count;
    bool nmi_blocked;
    bool intr_pin; /* PIC's INTR output */
    bool ferr;     /* x87 error pin latched (CR0.NE = 0): IRQ 13 */
    bool watch_on; /* DR7 enables a data or I/O breakpoint */
    bool halted;
    bool unhalted; /* woken before it slept: the next HLT does nothing (pv/) */

    /* ---- fault in flight ---- */
    void *jmp[5]; /* __builtin_setjmp buffer of the run loop */
    int ex_vector;
    int ex_nested; /* exception being delivered; -1 none, -2 an interrupt or INT n */
    bool ex_ext;   /* selector error codes of faults now get the EXT bit */
    u32 ex_error;
    bool ex_has_error;

    /* ---- FPU and vectors ---- */
    struct xstate xs;
    u16 fop; /* last x87 opcode and pointers, kept in software */
    u16 fcs, fds;
    u64 fip, fdp;

    /* ---- identity and wires ---- */
    const struct cpu_model *model;
    struct cpu_identity ident;
    u64 features[2];
    u32 id; /* APIC id */
    struct clock *clk;
    struct space *mem, *ports;
    struct ram *ram;           /* for code-write notifications */
    struct lapic *lapic;       /* NULL without FEAT_APIC */
    int (*pic_ack)(void *ctx); /* INTA cycle */
    void *pic_ctx;
    void (*eoi_hook)(void *ctx, int vector); /* level-triggered EOI broadcast to IOAPICs */
    void *eoi_ctx;
    struct irq ferr_irq; /* x87 error output */
    /* Hypercall opcode; returns false: raise #UD (pv/ sets it). */
    bool (*hypercall)(void *ctx, struct cpu *cpu);
    void *hypercall_ctx;
    /* Paravirtual CPUID leaves 0x4000_0000..; NULL: none. */
    bool (*pv_cpuid)(void *ctx, struct cpu *cpu, u32 leaf, u32 sub, u32 out[4]);
    /* MSRs that the CPU itself has not; NULL: none. False: #GP. */
    bool (*pv_rdmsr)(void *ctx, u32 msr, u64 *v);
    bool (*pv_wrmsr)(void *ctx, u32 msr, u64 v);
    void (*pv_tsc_moved)(void *ctx); /* tsc_offset changed; NULL: nobody cares */
    void (*pv_init)(void *ctx);      /* INIT without a reset; NULL: nobody cares */
    /* Interrupts may be ended without the EOI register. Lend: the one just accepted may be; false:
     * the guest was not told so. Reclaim: no longer; true: the guest has ended it. NULL: no way. */
    bool (*pv_lend_eoi)(void *ctx);
    bool (*pv_reclaim_eoi)(void *ctx);
    void *pv_ctx;

    struct blocks *blocks;
    struct native *native;
    const struct cpu_engine *engine; /* a translator, or NULL (bt/ sets it) */
    void *engine_ctx;
    struct cpu_tracer *tracer; /* NULL: nobody watches (cpu_set_tracer) */
    struct breaks *breaks;     /* NULL: never had any */
    bool hold_intr;            /* interrupts and NMIs wait: a debugger's step */

    /* ---- counting ---- */
    u64 insns;           /* executed up to the start of the running slice */
    i64 slice;           /* length of the running slice */
    i64 stolen;          /* instructions given back when a slice was cut short */
    bool cut;            /* it was: cpu_cut_slice() */
    i64 shadow;          /* left + stolen right after an STI: as long as it is that, no interrupts
                            (PEND_SHADOW without a stop); -1: none */
    volatile u32 kicked; /* set by other threads: end the slice */
    bool sequenced;      /* RDRAND and RDSEED give random_sequence, the same in every run */
    u64 random_sequence;
    bool catch_faults; /* exceptions end the run with CPU_CAUGHT instead of being delivered */
    bool plain;        /* every instruction by its exec function, in blocks all the same */
    u32 block_max;     /* instructions in a block at most; 0: as many as fit (tests, stepping) */
    u64 n_interrupts, n_exceptions, n_hypercalls, n_blocks, n_invalidations;

    struct jump_target bt_targets[JUMP_TARGETS];
    u32 bt_probes[BT_PROBES][2];
    u16 bt_strips[BT_STRIPS];
    struct mmu mmu; /* large: last */
};

/* ---- life ------------------------------------------------------------------------------------ */
struct cpu_config {
    const char *model; /* NULL: "host" */
    u32 id;
    struct clock *clk;
    struct space *mem, *ports;
    struct ram *ram;
};
/* In reset state. ST_INVAL: unknown model (message lists them). */
enum status cpu_new(const struct cpu_config *c, struct cpu **out, struct error *err);
void cpu_free(struct cpu *cpu);
/* Hardware RESET (init = false) or INIT (SDM vol. 3, 9.1). */
void cpu_reset(struct cpu *cpu, bool init);
const char *const *cpu_model_names(void); /* NULL-terminated */

/* ---- running --------------------------------------------------------------------------------- */
enum cpu_exit {
    CPU_SLICE,    /* the slice is used up, or it was cut short */
    CPU_HALT,     /* HLT: sleep until an interrupt is pending */
    CPU_SHUTDOWN, /* triple fault */
    CPU_BREAK,    /* a debugger's breakpoint or watch was met (cpu/breaks.h) */
    CPU_CAUGHT,   /* catch_faults: an exception, not delivered; RIP is where it is reported */
};
/* Executes at most max_insns instructions, exactly as many unless something ends the slice.
 * The guest's FPU environment is loaded on the host meanwhile. */
enum cpu_exit cpu_run(struct cpu *cpu, i64 max_insns);
/* One instruction (or one interrupt/fault delivery), for debuggers and tests. */
enum cpu_exit cpu_step(struct cpu *cpu);
/* Own thread, e.g. a device during an access: the slice ends after this block. */
void cpu_cut_slice(struct cpu *cpu);
/* Any thread. */
void cpu_kick(struct cpu *cpu);
/* Instructions executed so far, exact also during one. */
u64 cpu_icount(const struct cpu *cpu);

/* What runs the instruction at RIP next. Own thread, between slices; nothing changes. */
enum cpu_code {
    CPU_CODE_NEW,        /* not decoded yet, or not mapped */
    CPU_CODE_DECODED,    /* the interpreter */
    CPU_CODE_TRANSLATED, /* the engine's host code */
};
enum cpu_code cpu_code_here(struct cpu *cpu);

/* ---- pins ------------------------------------------------------------------------------------ */
void cpu_set_intr(struct cpu *cpu, bool level); /* PIC's INTR (also LINT0) */
void cpu_raise_nmi(struct cpu *cpu);
/* A message on the interrupt bus (I/O APIC, MSI) for this CPU's local APIC, which it must have.
 * mode: 0 fixed, 1 lowest priority, 2 SMI, 4 NMI, 5 INIT, 7 ExtINT. */
void cpu_apic_message(struct cpu *cpu, u32 dest, bool logical, int mode, int vector, bool level);
/* The board's answer to ferr_irq (port F0h on a PC): lowers it and asserts IGNNE# until the FPU's
 * error is cleared. Own thread. */
void cpu_ferr_ack(struct cpu *cpu);
void cpu_set_a20(struct cpu *cpu, bool on);
/* True when a halted CPU has a reason to run. */
bool cpu_wakeable(struct cpu *cpu);

/* In the child of a fork(): what the two processes would share becomes the child's own. False: no
 * memory; the CPU must not run. */
bool cpu_forked(struct cpu *cpu);

/* ---- state for debuggers, snapshots, loaders --------------------------------------------------
 */
u64 cpu_rflags(const struct cpu *cpu);
void cpu_set_rflags(struct cpu *cpu, u64 v); /* all bits, no checks */
size_t cpu_dump(const struct cpu *cpu, char *buf, size_t size);
/* Loads a segment register without checks (real-mode style, or flat for boot loaders). */
void cpu_set_seg(struct cpu *cpu, int s, u16 sel, u64 base, u32 limit, u16 attr);
/* RDMSR at CPL 0; false: #GP. */
bool cpu_read_msr(struct cpu *cpu, u32 msr, u64 *v);
u64 cpu_cr8(struct cpu *cpu);
void cpu_set_cr8(struct cpu *cpu, u64 v); /* its low four bits */
/* After CR0/CR3/CR4/EFER/segment state was written directly: recompute everything derived. */
void cpu_sync(struct cpu *cpu);
/* The same after everything may have been written but memory: cached code stays. paging: CR0, CR3,
 * CR4 or EFER changed. */
void cpu_state_written(struct cpu *cpu, bool paging);
/* Makes xs current while the guest's FPU state is on the host (inside cpu_run). */
void cpu_sync_fpu(struct cpu *cpu);

/* Before the CPU runs: whether CPUID shows a feature that needs nothing of the host. */
static inline void cpu_offer(struct cpu *cpu, enum feature f, bool on)
{
    u64 bit = BIT64(f & 63);
    cpu->features[f >> 6] = on ? cpu->features[f >> 6] | bit : cpu->features[f >> 6] & ~bit;
}

static always_inline bool cpu_has(const struct cpu *cpu, enum feature f)
{
    return cpu->features[f >> 6] >> (f & 63) & 1;
}

#endif
