/*
 * tests/insn/test_hostile.c - a guest that tries everything: random code, descriptors, gates, TSSs
 * and control registers, in every mode. Nothing is expected of the results but that the CPU stays
 * a CPU: no crash of ours, no endless step, state that makes sense. Built with -Dsanitize=true this
 * is where undefined behaviour shows.
 *
 * Deterministic: a failing seed is printed.
 */
#include <criterion/criterion.h>

#include "tests/insn/sys_rig.h"

enum { RUNS = 3000, STEPS = 40 };

static u64 next(u64 *s)
{
    u64 z = *s += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

/* Mostly instructions of the system kind, so that random bytes are not all arithmetic. */
static size_t hostile_code(u64 *seed, u8 *out)
{
    static const u8 one[] = {0xcf, 0xcb, 0xca, 0x9d, 0x9c, 0xcd, 0xcc, 0xce, 0xf1, 0xf4, 0xfa,
                             0xfb, 0x9a, 0xea, 0xff, 0x8e, 0x8c, 0xc4, 0xc5, 0x06, 0x07, 0x0e,
                             0x16, 0x17, 0x1e, 0x1f, 0x62, 0x63, 0xc8, 0x6c, 0x6e, 0xe4, 0xec,
                             0xa4, 0xab, 0x60, 0x61, 0xc9, 0xd9, 0xdb, 0x90, 0x50, 0x58};
    static const u8 two[] = {0x00, 0x01, 0x02, 0x03, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0b, 0x20,
                             0x21, 0x22, 0x23, 0x30, 0x31, 0x32, 0x33, 0x34, 0x35, 0xa0, 0xa1,
                             0xa2, 0xa8, 0xa9, 0xaa, 0xae, 0xb2, 0xb4, 0xb5, 0xc7};
    static const u8 prefix[] = {0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x2e, 0x36, 0x64, 0x65, 0x48};
    static const u16 sel[] = {S_CODE0,    S_DATA0,  S_CODE3,  S_DATA3,  S_TSS,      S_TSS2,
                              S_CONF,     S_GATE32, S_GATE16, S_CODE64, S_CODE64_3, S_LDT,
                              S_TASKGATE, S_DOWN,   S_GATE64, S_CODE1,  S_CODE16,   0};
    size_t n = 0;
    u64 r = next(seed);
    while ((r & 3) == 0 && n < 3) {
        out[n++] = prefix[(r >> 8) % sizeof(prefix)];
        r = next(seed);
    }
    if (r & 4)
        out[n++] = one[(r >> 8) % sizeof(one)];
    else if (r & 8) {
        out[n++] = 0x0f;
        out[n++] = two[(r >> 8) % sizeof(two)];
    }
    for (u64 k = 0, v = next(seed); k < 8; k++, v >>= 8)
        out[n++] = (u8)v;
    if (r & 16) { /* a far pointer into the table */
        st_u32(out + n - 8, (u32)HANDLER(r >> 24 & 255));
        st_u16(out + n - 4, sel[(r >> 32) % ARRAY_LEN(sel)]);
    }
    return n;
}

static void hostile_state(struct sys *s, u64 *seed)
{
    struct cpu *c = s->cpu;
    u64 r = next(seed);
    switch (r % 6) {
    case 0:
        break; /* real mode */
    case 1:
        sys_v86(s, (int)(r >> 8 & 3));
        break;
    case 2:
    case 3:
        sys_prot(s, r & 256 ? 3 : 0);
        break;
    default:
        sys_long(s, r & 256 ? 3 : 0);
        break;
    }
    /* some descriptors, gates and TSS words go bad */
    for (int k = 0; k < 8; k++) {
        u64 a = next(seed), v = next(seed);
        switch (a & 3) {
        case 0:
            sys_gdt(s, (u16)(a >> 8 & 0xff), v);
            break;
        case 1: /* one byte of a descriptor: most of it stays meaningful */
            *sys_mem(s, GDT_AT + (a >> 8 & 0xff)) = (u8)v;
            break;
        case 2:
            *sys_mem(s, IDT_AT + (a >> 8 & 0xfff)) = (u8)v;
            break;
        default:
            st_u16(sys_mem(s, (a & 4 ? TSS_AT : TSS2_AT) + (a >> 8 & 0x7f)), (u16)v);
            break;
        }
    }
    for (int k = 0; k < 16; k++) {
        u64 v = next(seed);
        c->gpr[k] = v & 1 ? v >> (v >> 1 & 63) : (v & 2 ? DATA_AT : S_DATA0) + (v >> 8 & 0xfff);
    }
    c->gpr[RSP] = r & 512 ? USTACK + (r >> 16 & 0xff) : c->gpr[RSP];
    cpu_set_rflags(c, FL_1 | (next(seed) & (FL_ARITH | FL_TF | FL_IF | FL_DF | FL_NT | FL_AC)) |
                          (cpu_rflags(c) & (FL_VM | FL_IOPL)));
    for (u64 k = 0; k < 64; k++) /* stack contents that IRET may like */
        st_u32(sys_mem(s, USTACK + 4 * k),
               next(seed) & 1 ? (u32)(next(seed) % GDT_END) : (u32)next(seed));
    c->efer |= next(seed) & EFER_SCE;
    c->star = next(seed);
    c->sysenter_cs = S_CODE0;
    if (!(next(seed) & 7))
        write_dr(c, 7, next(seed) & 0xffff00ff);
    cpu_sync(c);
}

static void check_sense(struct cpu *c, u64 seed)
{
    cr_assert_leq(c->cpl, 3);
    cr_assert_eq(c->flsys & (FL_ARITH | 0xffc08028), 0, "seed %#lx", seed);
    cr_assert_eq(c->gpr[GPR_ZERO], 0, "seed %#lx", seed);
    cr_assert(!(c->cr0 & CR0_PG) || (c->cr0 & CR0_PE), "seed %#lx", seed);
    cr_assert(!(c->efer & EFER_LMA) || (c->cr4 & CR4_PAE), "seed %#lx", seed);
    cr_assert(!(c->efer & EFER_LMA) || (c->efer & EFER_LME), "seed %#lx", seed);
    cr_assert(c->mode != MODE_V86 || c->cpl == 3, "seed %#lx", seed);
    cr_assert(c->mode != MODE_REAL || c->cpl == 0, "seed %#lx", seed);
    if (c->mode != MODE_LONG64)
        cr_assert_eq(c->rip >> 32, 0, "seed %#lx", seed);
    /* what was derived step by step is what a fresh look at the registers gives */
    u32 key = c->key;
    u8 mode = c->mode, view = c->view;
    bool trap = c->fpu_trap;
    update_mode(c);
    cr_assert_eq(c->key, key, "seed %#lx: key %#x, should be %#x", seed, key, c->key);
    cr_assert_eq(c->mode, mode, "seed %#lx", seed);
    cr_assert_eq(c->view, view, "seed %#lx: view %d, should be %d", seed, view, c->view);
    cr_assert_eq(c->fpu_trap, trap, "seed %#lx", seed);
}

static void hostile(const char *model, u64 first)
{
    struct sys *s = NULL;
    for (u64 run = 0; run < RUNS; run++) {
        u64 seed = first + run * 0x10001, start = seed;
        if (run % 64 == 0) { /* a machine is dear: reset in between */
            if (s)
                sys_free(s);
            s = sys_new(model);
        }
        cpu_reset(s->cpu, false);
        cpu_set_seg(s->cpu, SEG_CS, 0x2000, 0x20000, 0xffff,
                    ATTR_P | ATTR_S | ATTR_RW | ATTR_X | ATTR_A);
        s->cpu->rip = 0;
        hostile_state(s, &seed);
        for (int k = 0; k < STEPS; k++) {
            u8 code[16];
            size_t n = hostile_code(&seed, code);
            struct cpu *c = s->cpu;
            u64 at = c->mode == MODE_LONG64 ? c->rip : (u32)(c->seg[SEG_CS].base + c->rip);
            if (at < (4 << 20) - sizeof(code))
                sys_put(s, at, code, n);
            enum cpu_exit why = k & 8 ? cpu_run(c, 3) : cpu_step(c);
            check_sense(c, start);
            if (why == CPU_SHUTDOWN)
                break;
            if (why == CPU_HALT) {
                c->halted = false;
                c->pending &= ~(u32)PEND_HALT;
            }
            if (!(next(&seed) & 15))
                cpu_raise_nmi(c);
        }
    }
    sys_free(s);
}

Test(hostile, x86_64)
{
    hostile("x86-64", 1);
}

Test(hostile, host_model)
{
    hostile("host", 2);
}

Test(hostile, old_models)
{
    hostile("386", 3);
}
