/*
 * cpu/insn/insn.h - the decoded instruction and the one table that says what each one is.
 *
 * You are here: decode (cpu/decode.c) turns bytes into `struct insn`; the interpreter, translator,
 * tracer and debugger all read it. Each fact has one home:
 *   encoding facts   the decoder library (operands, sizes, flags, modes, ISA set)
 *   behaviour facts  a row of insn.def (and the .def files it includes)
 *   corrections      fixups.def
 */
#ifndef CPU_INSN_INSN_H
#define CPU_INSN_INSN_H

#include "base/types.h"

struct cpu;
struct insn;

/* The meaning of an instruction. On entry cpu->cur == i and cpu->rip is already the next
 * instruction. Shape: read -> compute -> write memory (the last thing that can fault) -> write
 * registers and flags. Faults leave by cpu_raise() and find nothing half done. */
typedef void exec_fn(struct cpu *cpu, const struct insn *i);

/* Interpreter dispatch target: does the work of one or more instructions and returns what to
 * dispatch next, or NULL for the run loop (cpu/interp.c). */
typedef const struct insn *run_fn(struct cpu *cpu, const struct insn *i);

enum op_kind {
    OP_NONE,
    OP_GPR,  /* reg: 0..15, low `size` bytes */
    OP_GPRH, /* reg: 0..3, AH CH DH BH */
    OP_MEM,  /* address in base/index/scale/disp/seg */
    OP_IMM,  /* value in imm, sign- or zero-extended to 64 bits as the instruction defines */
    OP_REL,  /* branch displacement in imm, from the next instruction */
    OP_FAR,  /* ptr16:16/32: offset in imm bits 0..31, selector in bits 32..47 */
    OP_SEG,  /* reg: enum seg_id */
    OP_CR,
    OP_DR,
    OP_ST, /* reg: 0..7 */
    OP_MMX,
    OP_VEC, /* reg: 0..15, size 16 or 32 */
    OP_OTHER,
};

enum {
    GPR_ZERO = 16,  /* a slot that always holds 0: "no base", "no index" */
    GPR_BLOCK = 17, /* RIP of the running block's first byte: rip-relative operands */
    GPR_SLOTS = 18,
};

enum insn_flags {
    INF_LOCK = 1,
    INF_REP = 2,     /* F3 that means REP/REPE */
    INF_REPNE = 4,   /* F2 that means REPNE */
    INF_ALIGN = 8,   /* memory operand must be aligned to its size, else #GP(0) */
    INF_BRANCH = 16, /* changes RIP: ends the block */
    INF_EXIT = 32,   /* changes state that the block key or the run loop watches */
    INF_OP66 = 64,   /* operand-size prefix present */
    INF_STUB = 128,  /* `stub` is live: executed through exec_native */
};

struct insn {
    run_fn *run;
    union {
        u64 imm;
        const void *stub; /* exec_native: host code */
    };
    i64 disp;
    u16 row;  /* enum insn_id */
    u16 off;  /* bytes from the block's start */
    u8 len;   /* 1..15 */
    u8 osize; /* effective operand size in bytes: 2, 4, 8 (1 for byte forms) */
    u8 asize; /* effective address size in bytes: 2, 4, 8 */
    u8 seg;   /* of the memory operand: enum seg_id, or SEG_FLAT: base 0 and no check needed */
    u8 base, index, scale; /* slots of cpu->gpr; scale is a shift count */
    u8 flags;
    u8 kind[3]; /* enum op_kind of the explicit operands, destination first */
    u8 reg[3];
    u8 size[3]; /* bytes of each operand (memory operands wider than 255: 0) */
    u8 imm2;    /* second immediate: ENTER's level, EXTRQ/INSERTQ */
};
_Static_assert(sizeof(struct insn) == 48, "the cached form decides how much guest code fits L2");

/* ---- rows ------------------------------------------------------------------------------------ */
enum insn_when {
    ANY,
    OPS_SEG,
    OPS_CR,
    OPS_DR,
    OPS_VEC,
    OPS_NOVEC,
    OPS_FAR,
    OPS_NEAR,
    WHEN_286, /* models before the 80386 */
    WHEN_8086 /* models before the 80186 */
};
enum insn_priv {
    USER,   /* any CPL */
    CPL0,   /* #GP(0) unless CPL is 0 */
    IOPL,   /* depends on IOPL (and VM86) */
    IOPERM, /* IOPL or the TSS's I/O bitmap */
    UMIP,   /* CPL 0 when CR4.UMIP */
    TSD,    /* CPL 0 when CR4.TSD */
    PCE,    /* CPL 0 unless CR4.PCE */
};
/* System state an instruction sees or changes. */
enum insn_state {
    S_SEG = 1 << 0,  /* segment registers */
    S_DESC = 1 << 1, /* descriptor tables in memory */
    S_DTR = 1 << 2,  /* GDTR IDTR LDTR TR */
    S_CR = 1 << 3,   /* control registers, XCR0 */
    S_DR = 1 << 4,
    S_MSR = 1 << 5,
    S_SYSFL = 1 << 6, /* IF IOPL VM AC TF NT ID ... of EFLAGS */
    S_TIME = 1 << 7,
    S_IO = 1 << 8,
    S_CPUID = 1 << 9,
    S_FPU = 1 << 10,  /* x87/SSE control, XSAVE state as memory */
    S_MODE = 1 << 11, /* CPL or processor mode */
    S_TLB = 1 << 12,
    S_IRQ = 1 << 13, /* interrupt shadow, halt, delivery */
};
/* Faults beyond the memory operand's and the decoder's. */
enum insn_faults {
    F_NP = 1, /* segment-load faults: #NP #SS #GP(sel) #TS */
    F_DE = 2,
    F_GP = 4,
    F_UD = 8,
    F_NM = 16,   /* device not available, #MF, #XM */
    F_TRAP = 32, /* raises by design: INT n, INT3, INTO, BOUND, UD2, ICEBP */
};
enum insn_bt { NATIVE, HELPER, EMIT, EXIT };

enum insn_id {
    INSN_INVALID, /* #UD */
#define INSN(id, mnem, when, exec, priv, sees, changes, faults, bt) INSN_##id,
#include "cpu/insn/insn.def"
#undef INSN
    INSN_COUNT
};

struct insn_row {
    const char *name;
    exec_fn *exec;
    u16 mnemonic; /* the decoder library's number */
    u8 when;
    u8 priv;
    u16 sees, changes;
    u8 faults;
    u8 bt;
};

/* Indexed by enum insn_id. */
extern const struct insn_row insn_rows[INSN_COUNT];

#endif
